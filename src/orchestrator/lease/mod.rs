//! Leases: projects that belong to a process. When that ends, however it ends, the project goes,
//! with its data.
//!
//! In: a project and an [`Owner`]. Out: a guard, which is a process of ours that sleeps until the
//! owner ends or the lease does, and a file that says all that is needed to start it again.
//!
//! # Invariants
//!
//! - The guard looks after the lease before anything of the project is created.
//! - A lease lasts as long as anything is left of the project, and its owner lives.
//! - A guard that was killed is replaced by the next command that changes anything.
//!
//! # Not here
//!
//! What containers are taken down by (`plan`).

mod file;
mod guard;
mod owner;
mod sweep;

use super::{Depth, OrchestrationError, Orchestrator, Route, Target, observe};
use crate::model::spec::ProviderAction;
use crate::model::{Dict, label};
use crate::plan::{Desired, Down, Origin, Orphans, reconcile};

pub use file::Lease;
pub use owner::Owner;

impl Orchestrator<'_> {
    /// Gives a project to a process. Whoever calls this holds the lock of the project, and has not
    /// created anything of it.
    ///
    /// # Errors
    ///
    /// The project belongs to another process, or is there already and belongs to none; the process
    /// has ended; the guard cannot be started.
    pub async fn lease(
        &self,
        project: &str,
        route: &Route,
        owner: Owner,
    ) -> Result<(), OrchestrationError> {
        if self.depth == Depth::Pretend {
            return Ok(());
        }
        let other = |text| Err(OrchestrationError::Other(text));
        match self.current_lease(project).await? {
            Some(lease) if lease.owner == owner => return Ok(()),
            Some(lease) => {
                return other(format!(
                    "project `{project}` is leased by {}: end that process, or use another \
                     project name",
                    lease.owner
                ));
            }
            None => {}
        }
        if self.is_there(project).await? {
            return other(format!(
                "project `{project}` is there already, without a lease, and would be removed with \
                 its data when {owner} ends: run `ketch down -v` first, or use another project name"
            ));
        }
        let address = self.runtime.version().await?.address;
        let lease = Lease { project: project.to_owned(), owner, address, route: route.clone() };
        if !lease.has_good_name() {
            return other(format!("a project named `{}` cannot be leased", project.escape_debug()));
        }
        match lease.owner.open() {
            Some(process) => Ok(guard::start(&lease, Some(process)).await?),
            None => other(format!("{}, which was to own the lease, has ended", lease.owner)),
        }
    }

    /// The lease of a project.
    ///
    /// # Errors
    ///
    /// The runtime fails.
    pub async fn lease_of(&self, project: &str) -> Result<Option<Lease>, OrchestrationError> {
        let mut leases = self.leases().await?;
        leases.retain(|lease| lease.project == project);
        Ok(leases.pop())
    }

    /// The same for who is about to bring the project up: what is still to be removed cannot be.
    ///
    /// # Errors
    ///
    /// The runtime fails, or the owner has ended and left something.
    pub async fn current_lease(&self, project: &str) -> Result<Option<Lease>, OrchestrationError> {
        let lease = self.lease_of(project).await?;
        match lease {
            Some(lease) if lease.is_over() => Err(OrchestrationError::Other(format!(
                "project `{project}` is still to be removed, for {}, whose it was, has ended: run \
                 `ketch down -v` first",
                lease.owner
            ))),
            lease => Ok(lease),
        }
    }

    /// All leases in this runtime.
    ///
    /// # Errors
    ///
    /// The runtime fails.
    pub async fn leases(&self) -> Result<Vec<Lease>, OrchestrationError> {
        let mut leases = Lease::all(self.environment);
        if !leases.is_empty() {
            let address = self.runtime.version().await?.address;
            leases.retain(|lease| lease.address == address);
        }
        Ok(leases)
    }

    /// Ends the lease of a project of which nothing is left. Whoever calls this holds the lock of
    /// the project.
    ///
    /// # Errors
    ///
    /// The runtime fails, or the file cannot be removed.
    pub async fn settle_lease(&self, project: &str) -> Result<(), OrchestrationError> {
        if self.depth == Depth::Pretend {
            return Ok(());
        }
        let Some(lease) = self.lease_of(project).await? else { return Ok(()) };
        if self.is_there(project).await? {
            return Ok(());
        }
        lease.end().map_err(|error| cannot("end", project, &error))
    }

    /// Lets a project be though its owner ends.
    ///
    /// # Errors
    ///
    /// The runtime fails, or the file cannot be removed.
    pub async fn release(&self, project: &str) -> Result<(), OrchestrationError> {
        let Some(lease) = self.lease_of(project).await? else { return Ok(()) };
        lease.end().map_err(|error| cannot("end", project, &error))
    }

    /// Removes a project at once, with its data and snapshots, and ends its lease. Whoever calls
    /// this holds the lock of the project.
    ///
    /// # Errors
    ///
    /// A step fails, or somebody wants an end.
    pub async fn erase(&self, project: &str) -> Result<(), OrchestrationError> {
        self.take_down(project).await?;
        self.settle_lease(project).await
    }

    async fn take_down(&self, project: &str) -> Result<(), OrchestrationError> {
        let target = Target::from_labels(self.runtime, project).await?;
        let observed = observe(self.runtime, &target.project, &[]).await?;
        let down = Down {
            project: &target.project,
            services: std::collections::BTreeSet::new(),
            volumes: true,
            orphans: Orphans::Remove,
            seconds: Some(0),
            images: Vec::new(),
            origin: Origin::Labels,
            calls: target.calls(ProviderAction::Down),
        };
        self.run(&reconcile(&Desired::Down(down), &observed)).await?;
        self.forget_snapshots(project).await
    }

    /// Removes all snapshots of a project that is taken down with its data.
    ///
    /// # Errors
    ///
    /// The runtime fails.
    pub async fn forget_snapshots(&self, project: &str) -> Result<(), OrchestrationError> {
        let Some(snapshots) = self.runtime.snapshots() else { return Ok(()) };
        for snapshot in snapshots.list_snapshots(Some(project)).await? {
            if self.depth == Depth::Really {
                snapshots.remove_snapshot(project, &snapshot.name).await?;
            }
            self.audience.aside(&format!("Snapshot {} of {project} removed\n", snapshot.name));
        }
        Ok(())
    }

    /// Whether anything carries the label of a project.
    async fn is_there(&self, project: &str) -> Result<bool, OrchestrationError> {
        let observed = self.asking(self.runtime.observe(Some(project))).await?;
        let is_own = |labels: &Dict| labels.get(label::PROJECT).is_some_and(|it| it == project);
        Ok(!observed.containers.is_empty()
            || observed.networks.iter().any(|it| is_own(&it.labels))
            || observed.volumes.iter().any(|it| is_own(&it.labels)))
    }
}

fn cannot(what: &str, project: &str, error: &dyn std::error::Error) -> OrchestrationError {
    OrchestrationError::Other(format!("cannot {what} the lease of project `{project}`: {error}"))
}
