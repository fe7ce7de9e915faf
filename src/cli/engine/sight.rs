//! The project as commands see it that only look.
//!
//! In: the session. Out: the name of the project, and its services where files say them.
//!
//! # Invariants
//!
//! - A lock is never taken here.
//! - What has a name can be looked at, whatever its files are like.

use std::collections::BTreeSet;

use super::Engine;
use crate::cli::exit::Failure;
use crate::cli::session::Session;
use crate::model::Project;
use crate::model::observed::ObservedContainer;
use crate::orchestrator::no_such_service;
use crate::ui::diagnostics::Warnings;

/// The project that is looked at.
#[derive(Debug)]
pub(in crate::cli) struct Sight {
    /// Its name.
    pub(in crate::cli) name: String,
    /// What its files say; `None`: it is known by name only.
    pub(in crate::cli) project: Option<Project>,
}

impl Sight {
    /// Finds the project: by name if one is given, else by its files.
    pub(in crate::cli) fn find(session: &mut Session<'_>) -> Result<Self, Failure> {
        // A file that merely lies in this folder may be that of another project.
        let is_named = session.global.project_name.is_some() && session.global.file.is_empty();
        if let (true, Some(name)) = (is_named, session.given_name()?) {
            return Ok(Self { name, project: None });
        }
        let request = session.request()?;
        let (loaded, report) = session.inspect(&request)?;
        match (loaded, session.given_name()?) {
            (Some(loaded), _) => {
                Ok(Self { name: loaded.project.name.clone(), project: Some(loaded.project) })
            }
            (None, Some(name)) => Ok(Self { name, project: None }),
            (None, None) => {
                session.draw(&report.sources, &report.diagnostics, Warnings::Brief);
                Err(Failure::Project)
            }
        }
    }

    /// The services that are named; none if none is. Where there are no files, any name will do.
    pub(in crate::cli) fn named(&self, services: &[String]) -> Result<BTreeSet<String>, Failure> {
        if let Some(project) = &self.project {
            let is_known = |name: &str| {
                project.services.contains_key(name) || project.disabled_services.contains_key(name)
            };
            if let Some(name) = services.iter().find(|name| !is_known(name)) {
                return Err(no_such_service(project, name).into());
            }
        }
        Ok(services.iter().cloned().collect())
    }
}

impl Engine<'_, '_> {
    /// The containers of a project, or of all.
    pub(in crate::cli) async fn containers(
        &self,
        project: Option<&str>,
    ) -> Result<Vec<ObservedContainer>, Failure> {
        self.asking(self.runtime.containers(project)).await
    }
}

#[cfg(test)]
mod tests {
    use super::Sight;
    use crate::model::{Project, Service};

    #[test]
    fn only_files_tell_which_services_there_are() {
        let mut project = Project::default();
        project.services.insert("web".to_owned(), Box::<Service>::default());
        project.disabled_services.insert("debug".to_owned(), Box::<Service>::default());
        let mut sight = Sight { name: "p".to_owned(), project: Some(project) };
        let words = |words: &[&str]| words.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        let named = sight.named(&words(&["web", "debug"])).expect("known");
        assert_eq!(named.len(), 2);
        let error = sight.named(&words(&["web", "wep"])).expect_err("unknown");
        assert_eq!(error.to_string(), "no such service: wep");
        sight.project = None;
        assert!(sight.named(&words(&["wep"])).is_ok());
    }
}
