//! Finds the project that a command is about, as flags and the environment say.

use super::Engine;
use crate::cli::exit::Failure;
use crate::cli::session::Session;
use crate::diagnostic::Sources;
use crate::orchestrator::Target;
use crate::plan::{Orphans, labels};
use crate::project::{Loaded, Request};
use crate::ui::diagnostics::Warnings;

/// The variable that stands for `--remove-orphans`.
pub(in crate::cli) const REMOVE_ORPHANS: &str = "COMPOSE_REMOVE_ORPHANS";

impl Target {
    /// Loads the project, restricted to these services and what they depend on.
    pub(in crate::cli) fn load(
        session: &mut Session<'_>,
        services: &[String],
    ) -> Result<Self, Failure> {
        let mut request = session.request()?;
        request.services = services.to_vec();
        let found = session.load(&request)?;
        Ok(read(session, &request, found))
    }

    /// Loads the whole project; where there are no files but a name, reads it from labels.
    pub(in crate::cli) async fn find(engine: &mut Engine<'_, '_>) -> Result<Self, Failure> {
        let mut request = engine.session.request()?;
        let given = engine.session.given_name()?;
        if let (Some(name), None) = (&given, engine.session.given_instance()?)
            && let Some(instance) = labels::instance(&engine.containers(Some(name)).await?)
        {
            // It is called by its whole name: its files give names without the instance.
            request.project_name = Some(instance.project);
            request.instance = Some(instance.name);
        }
        let (loaded, report) = engine.session.inspect(&request)?;
        match (loaded, given) {
            (Some(loaded), _) => Ok(read(engine.session, &request, (loaded, report.sources))),
            (None, Some(name)) => Ok(Self::from_labels(&*engine.runtime, &name).await?),
            (None, None) => {
                engine.session.draw(&report.sources, &report.diagnostics, Warnings::Brief);
                Err(Failure::Project)
            }
        }
    }

    /// What becomes of containers of services that the project does not have.
    pub(in crate::cli) fn orphans(
        &self,
        session: &Session<'_>,
        asked: Orphans,
    ) -> Result<Orphans, Failure> {
        let remove = asked == Orphans::Remove || session.is_on(REMOVE_ORPHANS);
        match (remove, self.ignore_orphans) {
            (true, true) => Err(Failure::Other(
                "cannot combine COMPOSE_IGNORE_ORPHANS and --remove-orphans".to_owned(),
            )),
            (true, false) => Ok(Orphans::Remove),
            (false, true) => Ok(Orphans::Ignore),
            (false, false) => Ok(Orphans::Tell),
        }
    }
}

fn read(session: &Session<'_>, request: &Request, found: (Loaded, Sources)) -> Target {
    let mut target = Target::of(request, session.environment(), found);
    if session.global.compatibility {
        target.separator = '_';
    }
    target
}
