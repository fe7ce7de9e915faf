//! `up --lease`: the project belongs to a process.
//!
//! In: `--lease[=PID]`. Out: the process, and a project that goes when that ends.

use crate::cli::args::UpArgs;
use crate::cli::engine::Engine;
use crate::cli::exit::Failure;
use crate::cli::usage::UsageError;
use crate::orchestrator::Owner;

/// Whom the project is to belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Whom it belongs to already: nobody, as a rule.
    Unchanged,
    /// This command, which removes it itself at the end.
    Own(Owner),
    /// Another process.
    Other(Owner),
}

impl Wanted {
    /// What the flag says.
    pub(super) fn from(args: &UpArgs) -> Result<Self, Failure> {
        let Some(word) = &args.lease else { return Ok(Self::Unchanged) };
        let leaves = args.detach || args.wait || args.no_start;
        let owner = match word.as_str() {
            "" if leaves => Owner::parent(),
            "" => return Ok(Self::Own(Owner::this_process().map_err(|error| unseen(&error))?)),
            number => Owner::of(number.parse().map_err(|_| {
                UsageError::Other(format!(
                    "invalid --lease option {word:?}. Should be a process id"
                ))
            })?),
        };
        Ok(Self::Other(owner.map_err(|error| unseen(&error))?))
    }

    /// Gives the project to that process, with the lock of the project held and before anything
    /// is created.
    pub(super) async fn take(self, engine: &Engine<'_, '_>, project: &str) -> Result<(), Failure> {
        let orchestrator = engine.orchestrator();
        match self {
            Self::Own(owner) | Self::Other(owner) => {
                Ok(orchestrator.lease(project, &engine.route, owner).await?)
            }
            Self::Unchanged => {
                if let Some(lease) = orchestrator.current_lease(project).await? {
                    let text = format!(
                        "project {project} is leased: it is removed when {} ends\n",
                        lease.owner
                    );
                    engine.progress.aside(&text);
                }
                Ok(())
            }
        }
    }
}

fn unseen(error: &std::io::Error) -> Failure {
    Failure::Other(format!("cannot lease to that process: {error}"))
}

/// Removes the project that this command owns, after what it came to.
pub(super) async fn remove(engine: &mut Engine<'_, '_>, project: &str) -> Result<(), Failure> {
    engine.interrupts.renew();
    engine.renew_progress()?;
    let lock = engine.orchestrator().lock(project, "up").await?;
    engine.orchestrator().erase(project).await?;
    drop(lock);
    engine.progress.finish();
    Ok(())
}
