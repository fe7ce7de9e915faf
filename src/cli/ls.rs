//! `ketch ls`: lists projects.
//!
//! In: flags, and the containers of all projects. Out: a table, JSON, or names.

use regex_lite::Regex;

use super::args::LsArgs;
use super::engine::Engine;
use super::exit::Failure;
use super::session::Session;
use super::usage::{UsageError, table_or_json};
use crate::ui::projects::{Holder, ProjectLine, human, json, projects};

/// Lists projects.
pub(super) async fn run(args: &LsArgs, session: &mut Session<'_>) -> Result<u8, Failure> {
    let names = args.filter.iter().map(|filter| name_filter(filter));
    let names = names.collect::<Result<Vec<Name>, UsageError>>()?;
    let format = table_or_json(args.format.as_deref())?;
    let engine = Engine::connect(session).await?;
    let containers = engine.containers(None).await?;
    let shown = containers.iter().filter(|container| args.all || container.is_up());
    let mut projects = projects(shown);
    projects.retain(|line| names.is_empty() || names.iter().any(|name| name.matches(&line.name)));
    for lease in engine.orchestrator().leases().await? {
        if let Some(line) = projects.iter_mut().find(|line| line.name == lease.project) {
            line.lease = Some(Holder { pid: lease.owner.pid, program: lease.owner.program });
        }
    }
    let names = |projects: &[ProjectLine]| -> String {
        projects.iter().flat_map(|line| [&line.name, "\n"]).collect()
    };
    let text = if args.quiet { names(&projects) } else { format.draw(&projects, human, json) };
    engine.session.screen.data(&text)?;
    Ok(0)
}

/// A name, or a pattern that is found in it.
struct Name {
    text: String,
    /// `None`: it is no pattern.
    pattern: Option<Regex>,
}

impl Name {
    fn matches(&self, name: &str) -> bool {
        let is_found = |pattern: &Regex| pattern.is_match(name);
        name == self.text || self.pattern.as_ref().is_some_and(is_found)
    }
}

fn name_filter(filter: &str) -> Result<Name, UsageError> {
    match filter.split_once('=').map(|(key, value)| (key.trim().to_lowercase(), value.trim())) {
        Some((key, text)) if key == "name" => {
            Ok(Name { text: text.to_owned(), pattern: Regex::new(text).ok() })
        }
        Some((key, _)) => Err(UsageError::Other(format!("invalid filter '{key}'"))),
        None => {
            Err(UsageError::Other(format!("bad format of filter `{filter}` (expected name=value)")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::name_filter;

    #[test]
    fn filters_are_patterns_of_names() {
        let matches =
            |filter: &str, name: &str| name_filter(filter).is_ok_and(|it| it.matches(name));
        assert!(matches("name=sho", "shop"));
        assert!(matches("name=^s.*p$", "shop"));
        assert!(!matches("name=^hop", "shop"));
        assert!(!matches("name=(", "shop"));
        let said = |filter: &str| name_filter(filter).err().map(|error| error.to_string());
        assert_eq!(said("a=b").as_deref(), Some("invalid filter 'a'"));
        assert!(said("a").is_some());
    }
}
