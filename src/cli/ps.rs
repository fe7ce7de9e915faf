//! `ketch ps`: lists containers.
//!
//! In: flags, and what is observed, all of it with one look. Out: a listing, ids, or services.

use std::collections::BTreeSet;
use std::path::Path;

use indexmap::IndexMap;
use serde::Deserialize;

use super::args::PsArgs;
use super::engine::{Engine, Sight};
use super::exit::Failure;
use super::session::Session;
use super::usage::UsageError;
use crate::model::observed::ObservedContainer;
use crate::orchestrator::now;
use crate::ui::containers;
use crate::ui::listing::Truncation;

/// Lists containers.
pub(super) async fn run(args: &PsArgs, session: &mut Session<'_>) -> Result<u8, Failure> {
    let states = states(args)?;
    let orphans = orphans(&args.orphans)?;
    let sight = Sight::find(session)?;
    let mut services = sight.named(&args.services)?;
    if let (Orphans::Hide, true, Some(project)) = (orphans, services.is_empty(), &sight.project) {
        services.extend(project.services.keys().cloned());
    }
    let engine = Engine::connect(session).await?;
    let containers = engine.containers(Some(&sight.name)).await?;
    let wanted = Wanted { services, states, all: args.all };
    let listed: Vec<&ObservedContainer> =
        containers.iter().filter(|container| wanted.includes(container)).collect();
    let format = match &args.format {
        Some(format) => format.clone(),
        None => usual_format(engine.session.environment()).await.unwrap_or_default(),
    };
    let text = draw(args, &listed, &format)?;
    engine.session.screen.data(&text)?;
    Ok(0)
}

/// Which containers are listed.
#[derive(Clone, Debug, Default)]
struct Wanted {
    /// Those of these services; empty: of all.
    services: BTreeSet<String>,
    /// Those in these states; empty: in any.
    states: BTreeSet<String>,
    /// Those too that do not run, and those of `run`.
    all: bool,
}

impl Wanted {
    fn includes(&self, container: &ObservedContainer) -> bool {
        let any_state = self.all || !self.states.is_empty();
        (any_state || (container.is_up() && !container.is_one_off()))
            && (self.services.is_empty() || self.services.contains(container.service()))
            && (self.states.is_empty() || self.states.contains(container.state.word()))
    }
}

fn draw(args: &PsArgs, listed: &[&ObservedContainer], format: &str) -> Result<String, Failure> {
    if args.quiet {
        return Ok(listed.iter().flat_map(|container| [&container.id, "\n"]).collect());
    }
    if args.only_services {
        let mut services: Vec<&str> = Vec::new();
        for container in listed {
            if !services.contains(&container.service()) {
                services.push(container.service());
            }
        }
        return Ok(services.join("\n") + "\n");
    }
    let truncation = if args.no_trunc { Truncation::Full } else { Truncation::Short };
    Ok(containers::listing(listed, now(), truncation).format(format)?)
}

/// The format that the settings of the `docker` program ask for.
async fn usual_format(environment: &IndexMap<String, String>) -> Option<String> {
    #[derive(Deserialize)]
    struct Config {
        #[serde(rename = "psFormat")]
        format: Option<String>,
    }
    let set = |name: &str| environment.get(name).filter(|value| !value.is_empty());
    let folder = match (set("DOCKER_CONFIG"), set("HOME")) {
        (Some(folder), _) => Path::new(folder).to_owned(),
        (None, Some(home)) => Path::new(home).join(".docker"),
        (None, None) => return None,
    };
    // Whether the file is whole matters only where the engine is looked for in it.
    let text = tokio::fs::read(folder.join("config.json")).await.ok()?;
    serde_json::from_slice::<Config>(&text).ok()?.format
}

/// The states that are asked for.
fn states(args: &PsArgs) -> Result<BTreeSet<String>, UsageError> {
    let mut states: BTreeSet<String> = args.status.iter().cloned().collect();
    if let Some(filter) = args.filter.as_deref().filter(|filter| !filter.is_empty()) {
        let pair = filter.split_once('=').ok_or_else(|| {
            UsageError::Other("arguments to --filter should be in form KEY=VAL".to_owned())
        })?;
        match pair {
            ("status", state) => states.insert(state.to_owned()),
            ("source", _) => return Err(UsageError::Other("not implemented".to_owned())),
            (key, _) => return Err(UsageError::Other(format!("unknown filter {key}"))),
        };
    }
    Ok(states)
}

/// Whether containers are listed whose services the files do not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Orphans {
    Show,
    Hide,
}

fn orphans(word: &str) -> Result<Orphans, UsageError> {
    match super::args::switch(word) {
        Ok(true) => Ok(Orphans::Show),
        Ok(false) => Ok(Orphans::Hide),
        Err(reason) => Err(UsageError::InvalidValue {
            flag: "--orphans".to_owned(),
            value: word.to_owned(),
            possible: Vec::new(),
            reason: Some(reason.to_owned()),
        }),
    }
}

#[cfg(test)]
mod tests {
    use indexmap::IndexMap;

    use super::{Orphans, Wanted, draw, orphans, states, usual_format};
    use crate::cli::args::PsArgs;
    use crate::model::label;
    use crate::model::observed::{ObservedContainer, State};

    fn container(name: &str, service: &str, state: State) -> ObservedContainer {
        ObservedContainer {
            id: format!("id-{name}"),
            name: name.to_owned(),
            state,
            labels: [(label::SERVICE.to_owned(), service.to_owned())].into(),
            ..ObservedContainer::default()
        }
    }

    fn listed(wanted: &Wanted) -> String {
        let mut one_off = container("run", "web", State::Running);
        one_off.labels.insert(label::ONE_OFF.to_owned(), "True".to_owned());
        let all = [
            container("db", "db", State::Running),
            container("job", "job", State::Exited),
            container("late", "job", State::Restarting),
            one_off,
        ];
        let names = all.iter().filter(|it| wanted.includes(it)).map(|it| it.name.as_str());
        names.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_runs_is_listed_unless_more_or_less_is_asked_for() {
        let words = |words: &[&str]| words.iter().map(|it| (*it).to_owned()).collect();
        assert_eq!(listed(&Wanted::default()), "db late");
        assert_eq!(listed(&Wanted { all: true, ..Wanted::default() }), "db job late run");
        let wanted = Wanted { states: words(&["exited"]), ..Wanted::default() };
        assert_eq!(listed(&wanted), "job");
        let wanted = Wanted { services: words(&["job"]), ..Wanted::default() };
        assert_eq!(listed(&wanted), "late");
    }

    #[test]
    fn filters_are_states() {
        let with = |filter: &str| PsArgs { filter: Some(filter.to_owned()), ..PsArgs::default() };
        let said = |filter: &str| states(&with(filter)).expect_err("refused").to_string();
        assert_eq!(states(&with("status=dead")), Ok(["dead".to_owned()].into()));
        assert_eq!(said("status"), "arguments to --filter should be in form KEY=VAL");
        assert_eq!(said("name=x"), "unknown filter name");
        assert_eq!(said("source=x"), "not implemented");
        assert_eq!(orphans("0"), Ok(Orphans::Hide));
        assert!(orphans("maybe").is_err());
    }

    #[test]
    fn services_come_once_and_none_leaves_an_empty_line() {
        let args = PsArgs { only_services: true, ..PsArgs::default() };
        let drawn = |all: &[&ObservedContainer]| draw(&args, all, "").expect("lines");
        let [a, b] = [container("a", "x", State::Running), container("b", "x", State::Running)];
        assert_eq!(drawn(&[&a, &b]), "x\n");
        assert_eq!(drawn(&[]), "\n");
    }

    #[tokio::test]
    async fn the_settings_of_docker_have_a_format() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().display().to_string();
        let environment = IndexMap::from([("DOCKER_CONFIG".to_owned(), path)]);
        assert_eq!(usual_format(&environment).await, None);
        let written =
            std::fs::write(folder.path().join("config.json"), r#"{"psFormat":"{{.ID}}"}"#);
        written.expect("a file");
        assert_eq!(usual_format(&environment).await.as_deref(), Some("{{.ID}}"));
    }
}
