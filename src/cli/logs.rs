//! `ketch logs`: shows what containers have written.
//!
//! In: flags and services. Out: whole lines of all containers on standard output, as they come;
//! with `--follow` until the last container has ended.

mod follow;
mod reader;

use std::collections::BTreeSet;

use super::args::LogsArgs;
use super::engine::{Engine, Sight, interruptible, moment};
use super::exit::Failure;
use super::session::Session;
use super::usage::UsageError;
use crate::model::observed::ObservedContainer;
use crate::model::{Dict, label};
use crate::runtime::LogOptions;
use crate::ui::logs::{LinePrefix, LogStyle, Logs, PrefixColour};
use follow::Follow;
use reader::{Reader, Step};

/// Shows what containers have written.
pub(super) async fn run(args: &LogsArgs, session: &mut Session<'_>) -> Result<u8, Failure> {
    let options = options(args)?;
    let index = args.index.filter(|index| *index > 0);
    if index.is_some() && args.services.len() != 1 {
        let text = "--index requires one service to be selected";
        return Err(UsageError::Other(text.to_owned()).into());
    }
    let sight = Sight::find(session)?;
    let wanted = Wanted { services: services(args, &sight)?, index };
    let engine = Engine::connect(session).await?;
    let logs = Logs::new(engine.session.screen, style(args));
    let warn = |text: &str| engine.progress.aside(&format!("{text}\n"));
    let reader = Reader::new(&*engine.runtime, options, logs, &warn);
    let read = async {
        // Where an end is given, containers that are started later do not matter.
        if args.follow && args.until.is_none() {
            let follow = Follow::new(&*engine.runtime, &sight.name, (&wanted, reader));
            return follow.run().await;
        }
        let containers = engine.runtime.containers(Some(&sight.name)).await?;
        read_all(wanted.select(&containers)?, reader).await
    };
    interruptible(engine.interrupts.shutdown(), read).await?;
    Ok(0)
}

/// Reads what there is.
async fn read_all(
    containers: Vec<&ObservedContainer>,
    mut reader: Reader<'_>,
) -> Result<(), Failure> {
    for container in containers {
        reader.open(&container.id, (&container.name, &container.labels), None);
    }
    while reader.step().await? != Step::Idle {}
    Ok(reader.finish()?)
}

/// Whose logs are shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Wanted {
    /// Those of these services; `None`: of all.
    services: Option<BTreeSet<String>>,
    /// Only those of the container with this number.
    index: Option<u64>,
}

impl Wanted {
    /// Whether a container of these labels is meant.
    fn includes(&self, labels: &Dict) -> bool {
        let label = |name| labels.get(name).map_or("", String::as_str);
        let services = self.services.as_ref();
        label(label::ONE_OFF) != "True"
            && services.is_none_or(|services| services.contains(label(label::SERVICE)))
            && self.index.is_none_or(|index| {
                label(label::CONTAINER_NUMBER).parse().is_ok_and(|number: u64| number == index)
            })
    }

    /// The containers that are meant; one that is asked for by its number has to be there.
    fn select<'c>(
        &self,
        containers: &'c [ObservedContainer],
    ) -> Result<Vec<&'c ObservedContainer>, Failure> {
        let meant: Vec<_> = containers.iter().filter(|it| self.includes(&it.labels)).collect();
        if self.index.is_some() && meant.is_empty() {
            let service = self.services.iter().flatten().next().cloned().unwrap_or_default();
            return Err(Failure::NotRunning { service, index: self.index });
        }
        Ok(meant)
    }
}

/// The named services, else those that the files have and do not keep quiet; `None`: all.
fn services(args: &LogsArgs, sight: &Sight) -> Result<Option<BTreeSet<String>>, Failure> {
    let named = sight.named(&args.services)?;
    if !named.is_empty() {
        return Ok(Some(named));
    }
    Ok(sight.project.as_ref().map(|project| {
        let loud = project.services.iter().filter(|(_, service)| service.attach != Some(false));
        loud.map(|(name, _)| name.clone()).collect()
    }))
}

fn options(args: &LogsArgs) -> Result<LogOptions, UsageError> {
    let tail = match args.tail.as_str() {
        "all" | "" => None,
        word => {
            let number: i64 = word.parse().map_err(|_| {
                UsageError::Other(format!("`--tail {word}` is neither a number nor `all`"))
            })?;
            // Less than nothing is everything, as with Docker.
            u64::try_from(number).ok()
        }
    };
    Ok(LogOptions {
        follow: args.follow,
        since: moment(args.since.as_deref().unwrap_or_default())?,
        until: moment(args.until.as_deref().unwrap_or_default())?,
        tail,
        timestamps: args.timestamps,
    })
}

fn style(args: &LogsArgs) -> LogStyle {
    LogStyle {
        prefix: if args.no_log_prefix { LinePrefix::None } else { LinePrefix::Name },
        colour: if args.no_color { PrefixColour::Never } else { PrefixColour::Auto },
        clock: None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Sight, Wanted, options, services};
    use crate::cli::args::LogsArgs;
    use crate::model::observed::ObservedContainer;
    use crate::model::{Project, Service, label};

    fn container(service: &str, number: &str) -> ObservedContainer {
        let labels = [(label::SERVICE, service), (label::CONTAINER_NUMBER, number)];
        ObservedContainer {
            name: format!("{service}-{number}"),
            labels: labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            ..ObservedContainer::default()
        }
    }

    #[test]
    fn containers_are_meant_by_service_and_number() {
        let mut one_off = container("web", "");
        one_off.labels.insert(label::ONE_OFF.to_owned(), "True".to_owned());
        let all = [container("db", "1"), container("db", "2"), container("web", "1"), one_off];
        let names = |services: &[&str], index| {
            let services: Vec<String> = services.iter().map(|it| (*it).to_owned()).collect();
            let services = (!services.is_empty()).then(|| services.into_iter().collect());
            let found = Wanted { services, index }.select(&all);
            let found = found.map(|it| it.iter().map(|it| it.name.as_str()).collect::<Vec<_>>());
            found.map_or_else(|error| error.to_string(), |names| names.join(" "))
        };
        assert_eq!(names(&[], None), "db-1 db-2 web-1");
        assert_eq!(names(&["db"], Some(2)), "db-2");
        assert_eq!(names(&["db"], Some(9)), "service \"db\" is not running container #9");
    }

    #[test]
    fn services_that_are_not_attached_have_to_be_named() {
        let mut project = Project::default();
        let quiet = Service { attach: Some(false), ..Service::default() };
        project.services.insert("quiet".to_owned(), Box::new(quiet));
        project.services.insert("web".to_owned(), Box::<Service>::default());
        let mut sight = Sight { name: "p".to_owned(), project: Some(project) };
        let mut args = LogsArgs::default();
        assert_eq!(services(&args, &sight).ok(), Some(Some(["web".to_owned()].into())));
        args.services = vec!["quiet".to_owned()];
        assert_eq!(services(&args, &sight).ok(), Some(Some(["quiet".to_owned()].into())));
        sight.project = None;
        args.services.clear();
        assert_eq!(services(&args, &sight).ok(), Some(None));
    }

    #[test]
    fn the_last_lines_are_a_number_or_all() {
        let tail = |word: &str| {
            let args = LogsArgs { tail: word.to_owned(), ..LogsArgs::default() };
            options(&args).map(|options| options.tail).map_err(|error| error.to_string())
        };
        assert_eq!((tail("all"), tail("3"), tail("0")), (Ok(None), Ok(Some(3)), Ok(Some(0))));
        assert_eq!(tail("-1"), Ok(None));
        assert!(tail("few").is_err());
    }
}
