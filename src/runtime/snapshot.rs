//! Snapshots of projects: data and files as they were at one moment, to come back to.
//!
//! In: the name of a project. Out: what was kept or put back, and how. A runtime that can do this
//! is a [`Snapshots`] too; one that cannot lacks [`crate::model::Feature::Snapshots`].
//!
//! # Not here
//!
//! Starting containers after their files were put back: who asks does that, as for any start.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;

use super::Result;
use crate::model::snapshot::Snapshot;

/// What a runtime with snapshots can do. Projects and snapshots are named by name.
#[async_trait]
pub trait Snapshots: Send + Sync {
    /// Keeps the volumes and container file systems of a project, all frozen meanwhile.
    async fn save_snapshot(&self, project: &str, save: &Save) -> Result<Saved>;

    /// Kills the containers of a project and puts back what a snapshot has. They stay stopped.
    async fn restore_snapshot(&self, project: &str, name: &str) -> Result<Restored>;

    /// The snapshots of a project, or of all, in order of their names.
    async fn list_snapshots(&self, project: Option<&str>) -> Result<Vec<Snapshot>>;

    /// Removes a snapshot; one that is gone will do.
    async fn remove_snapshot(&self, project: &str, name: &str) -> Result<()>;
}

/// What to keep.
#[derive(Clone, Debug, Default)]
pub struct Save {
    /// The name of the snapshot: letters, digits, `_`, `.` and `-`.
    pub name: String,
    /// What becomes of one that has this name.
    pub existing: Existing,
    /// In what state the containers are kept.
    pub moment: Moment,
    /// Ends the work early.
    pub cancel: Cancel,
}

/// What becomes of a snapshot whose name is wanted again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Existing {
    /// It stays, and the new one is refused.
    #[default]
    Keep,
    /// The new one takes its place when it is whole.
    Replace,
}

/// In what state containers are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Moment {
    /// As if power had failed: they stand still for that moment, and go on.
    #[default]
    Frozen,
    /// After they were asked to stop: what starts from it has nothing to recover.
    Stopped,
}

/// Tells work in another thread to end. Copies are one.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Ends the work as soon as it looks.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it is to end.
    pub fn is_wanted(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// How much was done, and how, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Shared with the original by the file system: a reflink.
    pub shared: u64,
    /// Copied, because the file system has no reflinks.
    pub copied: u64,
    /// Left as it was: it had not changed since.
    pub kept: u64,
}

/// What came of saving.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Saved {
    /// The snapshot.
    pub snapshot: Snapshot,
    /// How much was done.
    pub work: Work,
    /// How long the containers stood still.
    pub frozen: Duration,
    /// The services that ran and were stopped for it: they can be started again.
    pub services: Vec<String>,
    /// What is not in it although the project uses it, in words.
    pub left_alone: Vec<String>,
}

/// What came of restoring.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// The services that ran when the snapshot was made: they can be started.
    pub services: Vec<String>,
    /// How much was done.
    pub work: Work,
    /// What was not put back although the project uses it, in words.
    pub left_alone: Vec<String>,
}
