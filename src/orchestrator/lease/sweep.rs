//! What guards have left who were killed, too: found by the next command that changes anything.
//!
//! In: the files of leases. Out: guards, and nothing of projects whose owners have ended.
//!
//! # Invariants
//!
//! - Where all is well this costs a look into a folder, and no question to the runtime.
//! - Nobody waits for longer than [`PATIENCE`], nor for what lies in another runtime.

use std::os::fd::OwnedFd;
use std::time::Duration;

use futures_util::future::join_all;

use super::{Lease, guard};
use crate::orchestrator::lock::wait;
use crate::orchestrator::{OrchestrationError, Orchestrator};
use crate::scheduler::Stage;

/// How long a command waits for what others have left.
const PATIENCE: Duration = Duration::from_secs(30);

impl Orchestrator<'_> {
    /// Sees to it that all leases are looked after, and that nothing is left of those whose owners
    /// have ended; what cannot be helped is told. `project` is about to be changed.
    ///
    /// # Errors
    ///
    /// The runtime does not say where it is, or somebody wants an end.
    pub(in crate::orchestrator) async fn sweep(
        &self,
        project: &str,
    ) -> Result<(), OrchestrationError> {
        let mut leases = Lease::all(self.environment);
        leases.retain(|lease| !is_well(lease));
        if leases.is_empty() {
            return Ok(());
        }
        let address = self.runtime.version().await?.address;
        let work = join_all(leases.iter().map(|lease| self.care_for(lease, project, &address)));
        tokio::select! {
            _ = work => Ok(()),
            () = self.shutdown.clone().reaches(Stage::Graceful) => {
                Err(OrchestrationError::Interrupted)
            }
        }
    }

    async fn care_for(&self, lease: &Lease, project: &str, address: &str) {
        let is_here = lease.address == address;
        let done = match (lease.is_held(), lease.owner.open()) {
            // Its guard is at work: what it still removes must not be used again.
            (true, None) if is_here && lease.project == project => finished(lease).await,
            (true, _) => Ok(()),
            (false, None) if is_here => {
                let Lease { project, owner, .. } = lease;
                let text =
                    format!("removing project {project}: {owner}, whose it was, has ended\n");
                self.audience.aside(&text);
                start(lease, None, PATIENCE).await
            }
            (false, None) => {
                let _ = start(lease, None, Duration::ZERO).await;
                Ok(())
            }
            (false, owner) => start(lease, owner, PATIENCE).await,
        };
        if let Err(why) = done {
            let name = &lease.project;
            self.warn(format!("the lease of project `{name}` cannot be seen to: {why}"));
        }
    }
}

/// Starts a guard, which is not stopped when the patience with it ends.
async fn start(lease: &Lease, owner: Option<OwnedFd>, patience: Duration) -> Result<(), String> {
    match tokio::time::timeout(patience, guard::start(lease, owner)).await {
        Ok(started) => started.map_err(|error| error.to_string()),
        Err(_) => Err(format!("it takes longer than {patience:?}")),
    }
}

/// Whether somebody looks after a lease whose owner lives.
fn is_well(lease: &Lease) -> bool {
    lease.is_held() && !lease.is_over()
}

/// Waits until nobody looks after a lease.
async fn finished(lease: &Lease) -> Result<(), String> {
    let Some(file) = lease.file() else { return Ok(()) };
    match tokio::time::timeout(PATIENCE, wait(file)).await {
        Ok(done) => done.map_err(|error| error.to_string()),
        Err(_) => Err(format!("it takes longer than {PATIENCE:?}")),
    }
}
