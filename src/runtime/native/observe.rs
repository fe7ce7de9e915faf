//! What there is: containers, networks and volumes, read from their files.
//!
//! In: a project, or none. Out: [`Observed`], with states in words as Docker has them.

use super::names::{self, Named};
use super::record::{self, Record};
use super::state::{self, Phase, Status};
use super::volume;
use super::{Native, clock};
use crate::model::observed::{
    Attachment, Health, Observed, ObservedContainer, ObservedMount, ObservedPort,
};
use crate::model::{Dict, label};
use crate::runtime::Result;
use crate::runtime::native::container::{Config, Source};

impl Native {
    /// What stands in the files of a container.
    pub(super) fn all_about(&self, container: &str) -> Result<serde_json::Value> {
        let named = names::the(&self.root, container)?;
        let place = self.root.container(&named.id);
        let (record, status): (Option<Record>, Option<Status>) =
            (Record::read(&place)?, state::read(&place.state())?);
        Ok(serde_json::json!({
            "id": named.id,
            "name": named.name,
            "state": status,
            "networks": record::joinings(&place)?,
            "container": record,
        }))
    }

    pub(super) async fn list_project(&self, project: Option<&str>) -> Result<Observed> {
        let belongs = |labels: &Dict| {
            let found = labels.get(label::PROJECT);
            project.map_or(found.is_some(), |project| found.is_some_and(|it| it == project))
        };
        let mut observed = Observed::default();
        for named in names::all(&self.root)? {
            let place = self.root.container(&named.id);
            // It may be removed in this moment.
            let Some(record) = Record::read(&place)? else { continue };
            if !belongs(&record.labels) {
                continue;
            }
            let Some(seen) = self.seen(&named).await? else { continue };
            observed.containers.push(self.container(&named, record, &seen.status)?);
        }
        observed.networks = self.networks.list()?;
        observed.networks.retain(|network| belongs(&network.labels));
        observed.volumes = volume::list(&self.root)?;
        observed.volumes.retain(|volume| belongs(&volume.labels));
        Ok(observed)
    }

    fn container(
        &self,
        named: &Named,
        record: Record,
        status: &Status,
    ) -> Result<ObservedContainer> {
        let health = status.health.as_ref().map_or(Health::None, |health| health.verdict.into());
        Ok(ObservedContainer {
            id: named.id.clone(),
            name: named.name.clone(),
            image: record.image,
            image_id: record.image_id,
            state: status.phase.into(),
            health,
            exit_code: status.exit_code,
            status: words(status, clock::now()),
            command: record.command,
            created: record.created / clock::SECOND,
            labels: record.labels,
            networks: self.attachments(named, status)?,
            mounts: mounts(&record.config),
            ports: if status.phase.is_up() { ports(&record.exposed, status) } else { Vec::new() },
        })
    }

    fn attachments(&self, named: &Named, status: &Status) -> Result<Vec<Attachment>> {
        let mut found = Vec::new();
        for joining in record::joinings(&self.root.container(&named.id))? {
            let has_started = status.started != 0;
            let id = if has_started { self.networks.find(&joining.network)? } else { None };
            let id = id.map(|network| network.id).unwrap_or_default();
            found.push(Attachment { network: joining.network, id });
        }
        found.sort_by(|a, b| a.network.cmp(&b.network));
        Ok(found)
    }
}

fn mounts(config: &Config) -> Vec<ObservedMount> {
    let observed = |mount: &super::container::Mount| {
        let (kind, name, source) = match &mount.source {
            Source::Bind { path, .. } => ("bind", String::new(), path.display().to_string()),
            Source::Volume { name, path, .. } => {
                ("volume", name.clone(), path.display().to_string())
            }
            Source::Tmpfs { .. } => ("tmpfs", String::new(), String::new()),
            Source::Image { name, .. } => ("image", String::new(), name.clone()),
        };
        ObservedMount { kind: kind.to_owned(), name, source, target: mount.target.clone() }
    };
    config.mounts.iter().map(observed).collect()
}

/// The published ports, and those that are only told of.
fn ports(exposed: &[(u16, String)], status: &Status) -> Vec<ObservedPort> {
    let published = status.ports.iter().map(|port| ObservedPort {
        host_ip: port.host_ip.clone(),
        published: Some(port.published),
        target: port.target,
        protocol: port.protocol.clone(),
    });
    let mut all: Vec<ObservedPort> = published.collect();
    for (target, protocol) in exposed {
        if !all.iter().any(|port| port.target == *target && port.protocol == *protocol) {
            let (target, protocol) = (*target, protocol.clone());
            all.push(ObservedPort { target, protocol, ..ObservedPort::default() });
        }
    }
    all.sort();
    all
}

/// State and times, such as `Up 3 minutes (healthy)`.
fn words(status: &Status, now: i64) -> String {
    let since = |time: i64| span(now.saturating_sub(time) / clock::SECOND);
    let code = status.exit_code;
    let why = if status.out_of_memory { " (memory ran out)" } else { "" };
    match status.phase {
        Phase::Created => "Created".to_owned(),
        Phase::Removing => "Removal In Progress".to_owned(),
        Phase::Paused => format!("Up {} (Paused)", since(status.started)),
        Phase::Restarting => format!("Restarting ({code}) {} ago{why}", since(status.finished)),
        Phase::Exited => format!("Exited ({code}) {} ago{why}", since(status.finished)),
        Phase::Running | Phase::Stopping => {
            let health = match &status.health {
                None => String::new(),
                Some(health) => match health.verdict {
                    super::state::Verdict::Starting => " (health: starting)".to_owned(),
                    verdict => format!(" ({})", verdict.word()),
                },
            };
            format!("Up {}{health}", since(status.started))
        }
    }
}

/// A span of time as Docker says it.
fn span(seconds: i64) -> String {
    let (minutes, hours) = (seconds / 60, (seconds + 1800) / 3600);
    match () {
        () if seconds < 1 => "Less than a second".to_owned(),
        () if seconds == 1 => "1 second".to_owned(),
        () if seconds < 60 => format!("{seconds} seconds"),
        () if minutes == 1 => "About a minute".to_owned(),
        () if minutes < 60 => format!("{minutes} minutes"),
        () if hours == 1 => "About an hour".to_owned(),
        () if hours < 48 => format!("{hours} hours"),
        () if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        () if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        () if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        () => format!("{} years", hours / 24 / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::{Phase, Status, span, words};
    use crate::runtime::native::clock::SECOND;
    use crate::runtime::native::state::{HealthReport, Verdict};

    #[test]
    fn states_are_told_as_docker_tells_them() {
        let told = |phase, verdict: Option<Verdict>| {
            let health = verdict.map(|verdict| HealthReport { verdict, ..HealthReport::default() });
            let status = Status { phase, health, exit_code: 3, ..Status::default() };
            words(&status, 5 * SECOND)
        };
        assert_eq!(told(Phase::Running, None), "Up 5 seconds");
        assert_eq!(told(Phase::Running, Some(Verdict::Healthy)), "Up 5 seconds (healthy)");
        let starting = told(Phase::Running, Some(Verdict::Starting));
        assert_eq!(starting, "Up 5 seconds (health: starting)");
        assert_eq!(told(Phase::Paused, None), "Up 5 seconds (Paused)");
        assert_eq!(told(Phase::Exited, None), "Exited (3) 5 seconds ago");
        assert_eq!(told(Phase::Restarting, None), "Restarting (3) 5 seconds ago");
        assert_eq!(told(Phase::Created, None), "Created");
        let phase = Phase::Exited;
        let status = Status { phase, out_of_memory: true, exit_code: 137, ..Status::default() };
        assert_eq!(words(&status, SECOND), "Exited (137) 1 second ago (memory ran out)");
    }

    #[test]
    fn spans_are_rounded_as_docker_does() {
        let spans = [0, 1, 59, 60, 120, 3600, 7200, 47 * 3600, 49 * 3600, 15 * 86400, 61 * 86400];
        let said = spans.map(span);
        assert_eq!(
            said,
            [
                "Less than a second",
                "1 second",
                "59 seconds",
                "About a minute",
                "2 minutes",
                "About an hour",
                "2 hours",
                "47 hours",
                "2 days",
                "2 weeks",
                "2 months"
            ]
        );
    }
}
