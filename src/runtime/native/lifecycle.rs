//! Starting, stopping and removing containers.
//!
//! In: names. Out: shims that are started and asked. What has been done already is done.

use rustix::process::Signal;

use super::control::{self, Request, Then};
use super::names::{self, Named};
use super::record::Record;
use super::recover::{Seen, look};
use super::root::{Place, RUN_DIR, STATE_DIR};
use super::state::{self, Durability, Phase, Status, failed};
use super::thread::in_thread;
use super::watch::Lazy;
use super::{Native, events, injected, lock, remove, shim, snapshot};
use crate::model::label;
use crate::model::observed::State;
use crate::model::spec::InjectedFile;
use crate::runtime::{Result, RuntimeError, Volumes};

impl Native {
    pub(super) async fn state_of(&self, container: &str) -> Result<Option<State>> {
        let Some(named) = names::find(&self.root, container)? else { return Ok(None) };
        let seen = self.seen(&named).await?;
        Ok(seen.map(|seen| seen.status.phase.into()))
    }

    /// Looks at a container; one that was killed with its shim is started again if it wants that.
    pub(super) async fn seen(&self, named: &Named) -> Result<Option<Seen>> {
        let seen = look(&self.root, named)?;
        if !seen.as_ref().is_some_and(|seen| seen.wants_start) {
            return Ok(seen);
        }
        if let Err(error) = Box::pin(self.spawn(&named.id)).await {
            tracing::warn!("container {} cannot be started again: {error}", named.name);
        }
        look(&self.root, named)
    }

    pub(super) async fn start(&self, container: &str, files: &[InjectedFile]) -> Result<()> {
        let named = names::the(&self.root, container)?;
        let place = self.root.container(&named.id);
        self.check_whole(&place)?;
        let mut watch = self.watch(&place);
        loop {
            let seen = look(&self.root, &named)?.ok_or_else(|| names::missing(container))?;
            if seen.is_held && seen.status.phase.is_up() && seen.status.phase != Phase::Stopping {
                return Ok(());
            }
            if seen.is_held {
                // Somebody starts it, or it ends, or has ended and is being tidied up.
                watch.changed().await?;
                continue;
            }
            injected::keep(&place, files)?;
            match self.spawn(&named.id).await {
                Err(RuntimeError::Conflict(_)) if lock::is_held(&place.lock())? => {}
                done => return done,
            }
        }
    }

    /// Refuses to start what has only a part of the data that was to be put back.
    fn check_whole(&self, place: &Place) -> Result<()> {
        if !self.root.snapshots().exists() {
            return Ok(());
        }
        let record = Record::read(place)?.unwrap_or_default();
        let project = record.labels.get(label::PROJECT);
        project.map_or(Ok(()), |project| snapshot::check_whole(&self.root, project))
    }

    /// Starts a shim and waits until it says that its container has started.
    async fn spawn(&self, id: &str) -> Result<()> {
        self.warm.ask();
        let mut command = self.program.command(&shim::SHIM, shim::WORD);
        command.arg(id).env(STATE_DIR, self.root.durable()).env(RUN_DIR, self.root.volatile());
        self.program.start(command).await
    }

    pub(super) async fn stop(&self, container: &str, seconds: Option<i32>) -> Result<()> {
        match names::find(&self.root, container)? {
            Some(named) => self.end(&named, (None, seconds), Then::Nothing).await,
            None => Ok(()),
        }
    }

    pub(super) async fn restart(&self, container: &str, seconds: Option<i32>) -> Result<()> {
        let named = names::the(&self.root, container)?;
        self.end(&named, (None, seconds), Then::Start).await?;
        self.start(container, &[]).await?;
        self.tell(&named, "restart")
    }

    /// Kills a container, if it runs; it is not started again, nor removed if it wants that.
    pub(super) async fn kill_for_good(&self, named: &Named) -> Result<()> {
        self.end(named, (Some("SIGKILL".to_owned()), Some(0)), Then::Start).await
    }

    /// Ends a container, if it runs, and waits until nothing of it is left.
    async fn end(
        &self,
        named: &Named,
        (signal, seconds): (Option<String>, Option<i32>),
        then: Then,
    ) -> Result<()> {
        let place = self.root.container(&named.id);
        let mut watch = self.watch(&place);
        loop {
            let Some(seen) = look(&self.root, named)? else { return Ok(()) };
            if !seen.is_held {
                return match then {
                    Then::Nothing => stay_stopped(&place, &seen),
                    Then::Start => Ok(()),
                };
            }
            let request = Request::Stop { signal: signal.clone(), seconds, then };
            match control::ask(&place.volatile, &request).await {
                // It is about to listen, or has just ended.
                Err(RuntimeError::Io { .. }) => {}
                Err(error) => return Err(error),
                Ok(()) => return Ok(()),
            }
            if lock::is_held(&place.lock())? {
                watch.changed().await?;
            }
        }
    }

    /// Asks the shim of a container that runs; `None` if it does not run.
    pub(super) async fn ask(&self, container: &str, request: &Request) -> Result<Option<()>> {
        let named = names::the(&self.root, container)?;
        let Some(seen) = self.seen(&named).await? else { return Err(names::missing(container)) };
        if !seen.is_held {
            return Ok(None);
        }
        let place = self.root.container(&named.id);
        match control::ask(&place.volatile, request).await {
            Err(RuntimeError::Io { .. }) if !lock::is_held(&place.lock())? => Ok(None),
            done => done.map(Some),
        }
    }

    pub(super) async fn signal(&self, container: &str, signal: &str) -> Result<()> {
        let parsed = super::signal::parse(signal)?;
        match self.ask(container, &Request::Kill { signal: signal.to_owned() }).await {
            Ok(Some(())) if parsed == Signal::KILL => {
                // Nothing outlives it, but what hangs in the kernel may take long.
                let end = self.wait_for_end(container);
                let _ = tokio::time::timeout(std::time::Duration::from_secs(10), end).await;
                Ok(())
            }
            Err(RuntimeError::NotFound(_)) | Ok(_) => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn pause(&self, container: &str) -> Result<()> {
        let asked = self.ask(container, &Request::Pause).await?;
        asked.ok_or_else(|| not_running(container))
    }

    pub(super) async fn unpause(&self, container: &str) -> Result<()> {
        let asked = self.ask(container, &Request::Unpause).await?;
        asked.ok_or_else(|| not_running(container))
    }

    pub(super) async fn delete(&self, container: &str, volumes: Volumes) -> Result<()> {
        let Some(named) = names::find(&self.root, container)? else { return Ok(()) };
        let place = self.root.container(&named.id);
        self.kill_for_good(&named).await?;
        let lock = match self.lock(&place).await {
            // Somebody else has removed it.
            Err(_) if !place.durable.exists() => return Ok(()),
            lock => lock?,
        };
        // It may have been removed while the lock was waited for, and the name given to another.
        let is_same = names::find(&self.root, &named.name)?.is_some_and(|it| it.id == named.id);
        if !is_same {
            return Ok(());
        }
        let record = Record::read(&place)?.unwrap_or_default();
        let root = self.root.clone();
        // Disks are slow: others are removed meanwhile.
        in_thread(move || {
            remove::release(&root, &place, &record)?;
            remove::delete(&root, (&named.name, &place), volumes)?;
            drop(lock);
            Ok(())
        })
        .await
    }

    /// Waits for the lock of a container.
    pub(super) async fn lock(&self, place: &Place) -> Result<lock::Lock> {
        let mut watch = self.watch(place);
        loop {
            if let Some(lock) = lock::take(&place.lock())? {
                return Ok(lock);
            }
            watch.changed().await?;
        }
    }

    pub(super) fn rename(&self, container: &str, name: &str) -> Result<()> {
        let named = names::the(&self.root, container)?;
        names::rename(&self.root, &named.name, name)?;
        self.rename_endpoints(&named.id, name)?;
        let place = self.root.container(&named.id);
        let record = Record::read(&place)?.unwrap_or_default();
        let subject =
            events::Subject { id: &named.id, name, image: &record.image, labels: &record.labels };
        events::tell(&self.root, subject, "rename", &[("oldName", named.name.clone())]);
        Ok(())
    }

    fn tell(&self, named: &Named, action: &str) -> Result<()> {
        let record = Record::read(&self.root.container(&named.id))?.unwrap_or_default();
        let Record { image, labels, .. } = &record;
        let subject = events::Subject { id: &named.id, name: &named.name, image, labels };
        events::tell(&self.root, subject, action, &[]);
        Ok(())
    }

    /// Tells when the files of a container change.
    pub(super) fn watch(&self, place: &Place) -> Lazy {
        Lazy::new(self.hubs.clone(), place.durable.clone())
    }
}

/// One that does not run, but would be started after a restart of the host, is not.
fn stay_stopped(place: &Place, seen: &Seen) -> Result<()> {
    if seen.status.stop_wanted || seen.status.phase == Phase::Created {
        return Ok(());
    }
    let Some(_lock) = lock::take(&place.lock())? else { return Ok(()) };
    // It may have started and ended since it was looked at.
    let Some(status) = state::read::<Status>(&place.state())? else { return Ok(()) };
    state::write(&place.state(), &Status { stop_wanted: true, ..status }, Durability::Durable)
}

/// The container must run for that.
pub(super) fn not_running(container: &str) -> RuntimeError {
    RuntimeError::Conflict(format!("container {container} is not running"))
}

/// A directory that could not be made.
pub(super) fn make_directory(path: &std::path::Path) -> Result<()> {
    std::fs::create_dir_all(path).map_err(|error| failed("make", path, error))
}
