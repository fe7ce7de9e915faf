//! A health check: a command, and how often it runs.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::{Healthcheck, Service};
use crate::runtime::{Result, RuntimeError};

/// What is checked how often.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::runtime::native) struct Check {
    /// The command; empty: only probes from outside are tried.
    pub(in crate::runtime::native) command: Vec<String>,
    /// How long a check may take.
    pub(in crate::runtime::native) timeout: Duration,
    /// Pause between checks.
    pub(in crate::runtime::native) interval: Duration,
    /// Failures in a row that make the container unhealthy.
    pub(in crate::runtime::native) retries: u64,
    /// Time after the start in which failures do not count.
    pub(in crate::runtime::native) start_period: Duration,
    /// Pause between checks in that time.
    pub(in crate::runtime::native) start_interval: Duration,
}

/// What an image says about its health; what it does not say is nothing or zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::runtime::native) struct ImageCheck {
    /// `CMD`, `CMD-SHELL` or `NONE`, and words.
    pub(in crate::runtime::native) test: Vec<String>,
    /// Timeout, interval, start period and start interval, in nanoseconds.
    pub(in crate::runtime::native) times: [i64; 4],
    /// Failures in a row that make the container unhealthy.
    pub(in crate::runtime::native) retries: u64,
    /// The shell for lines.
    pub(in crate::runtime::native) shell: Vec<String>,
}

impl Check {
    /// The check of a service, else of its image; `None` if there is none.
    pub(in crate::runtime::native) fn of(
        service: &Service,
        image: &ImageCheck,
    ) -> Result<Option<Self>> {
        let none = Healthcheck::default();
        let own = service.healthcheck.as_ref().unwrap_or(&none);
        if own.disable {
            return Ok(None);
        }
        let test = if own.test.is_empty() { &image.test } else { &own.test };
        let Some(command) = command(test, &image.shell)? else { return Ok(None) };
        Ok(Some(Self::timed(command, own, image)))
    }

    /// How often a probe from outside is tried: as `healthcheck` says of its command.
    pub(in crate::runtime::native) fn of_probe(service: &Service) -> Self {
        let none = Healthcheck::default();
        let own = service.healthcheck.as_ref().unwrap_or(&none);
        Self::timed(Vec::new(), own, &ImageCheck::default())
    }

    fn timed(command: Vec<String>, own: &Healthcheck, image: &ImageCheck) -> Self {
        let given = [own.timeout, own.interval, own.start_period, own.start_interval];
        let usual = [30, 30, 0, 5].map(Duration::from_secs);
        let time = |index: usize| {
            let own =
                given[index].map(crate::model::Duration::to_std).filter(|time| !time.is_zero());
            let image = u64::try_from(image.times[index]).ok().filter(|time| *time > 0);
            own.or_else(|| image.map(Duration::from_nanos)).unwrap_or(usual[index])
        };
        let retries = own.retries.filter(|retries| *retries > 0);
        let image_retries = Some(image.retries).filter(|retries| *retries > 0);
        Self {
            command,
            timeout: time(0),
            interval: time(1),
            start_period: time(2),
            start_interval: time(3),
            retries: retries.or(image_retries).unwrap_or(3),
        }
    }
}

fn command(test: &[String], shell: &[String]) -> Result<Option<Vec<String>>> {
    let Some((kind, rest)) = test.split_first() else { return Ok(None) };
    match kind.as_str() {
        "NONE" => Ok(None),
        "CMD" if rest.is_empty() => Ok(None),
        "CMD" => Ok(Some(rest.to_vec())),
        "CMD-SHELL" => {
            let usual = ["/bin/sh", "-c"].map(str::to_owned).to_vec();
            let shell = if shell.is_empty() { usual } else { shell.to_vec() };
            Ok(Some(shell.into_iter().chain(rest.iter().cloned()).collect()))
        }
        other => Err(RuntimeError::Refused(format!(
            "a health check begins with CMD, CMD-SHELL or NONE, not with `{other}`"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Check, ImageCheck};
    use crate::model::Service;

    fn of(yaml: &str) -> Option<Check> {
        let service: Service = serde_yaml::from_str(yaml).unwrap();
        let image = ImageCheck {
            test: vec!["CMD".to_owned(), "image".to_owned()],
            times: [0, 7_000_000_000, 0, 0],
            ..ImageCheck::default()
        };
        Check::of(&service, &image).unwrap()
    }

    #[test]
    fn what_a_service_does_not_say_its_image_says() {
        let found = of("{healthcheck: {timeout: 2000000000}}").unwrap();
        assert_eq!(found.command, ["image"]);
        assert_eq!(found.timeout, Duration::from_secs(2));
        assert_eq!(found.interval, Duration::from_secs(7));
        assert_eq!((found.retries, found.start_interval), (3, Duration::from_secs(5)));
        assert_eq!(of("{healthcheck: {disable: true}}"), None);
        assert_eq!(of("{healthcheck: {test: [NONE]}}"), None);
    }

    #[test]
    fn lines_are_for_a_shell() {
        let found = of("{healthcheck: {test: [CMD-SHELL, 'a b']}}").unwrap();
        assert_eq!(found.command, ["/bin/sh", "-c", "a b"]);
    }
}
