//! Snapshots of projects: volumes, and what containers have changed in their images.
//!
//! In: the name of a project. Out: copies beside the originals, by reflink where the file system
//! can, and the way back.
//!
//! - `manifest`: the files;
//! - `scope`: what belongs to a project, and whether a snapshot still fits;
//! - `copy`: a tree to its copy;
//! - `known`, `patch`: what need not be copied on the way back;
//! - `save`, `restore`: the two ways.
//!
//! # Invariants
//!
//! - One at a time for each project: a lock is held.
//! - What a command that was killed has begun is ended by the next one, before it does anything.
//!
//! # Not here
//!
//! Memory, processes, networks: a container that is put back starts anew. Overlays as volumes: a
//! program that opens its files for writing, as databases do, would have each copied whole at its
//! first look, which is slower than what is done here; and an overlay that several containers
//! share would have to stay mounted where all see it.

mod copy;
mod known;
mod manifest;
mod patch;
mod restore;
mod save;
mod scope;

use std::fs;
use std::io;
use std::ops::AddAssign;

use async_trait::async_trait;

use super::root::Root;
use super::state::{self, failed};
use super::thread::in_thread;
use super::{Native, lock};
use crate::runtime::{Restored, Result, Save, Saved, Snapshot, Snapshots, Work};
use manifest::Shelf;
pub(super) use restore::check_whole;

#[async_trait]
impl Snapshots for Native {
    async fn save_snapshot(&self, project: &str, save: &Save) -> Result<Saved> {
        save::save(self, project, save).await
    }

    async fn restore_snapshot(&self, project: &str, name: &str) -> Result<Restored> {
        restore::restore(self, project, name).await
    }

    async fn list_snapshots(&self, project: Option<&str>) -> Result<Vec<Snapshot>> {
        list(&self.root, project)
    }

    async fn remove_snapshot(&self, project: &str, name: &str) -> Result<()> {
        let place = Shelf::of(&self.root, project)?;
        let path = place.of_snapshot(name)?;
        if !place.path.exists() {
            return Ok(());
        }
        in_thread(move || {
            let lock = lock::wait(&place.lock())?;
            let aside =
                place.path.join(format!(".old-{}", path.file_name().unwrap_or_default().display()));
            match fs::rename(&path, &aside) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                done => {
                    done.map_err(|error| failed("remove", &path, error))?;
                    let removed = fs::remove_dir_all(&aside);
                    removed.map_err(|error| failed("remove", &aside, error))?;
                }
            }
            if place.names()?.is_empty() {
                // Nobody can end a restore any more.
                let _ = fs::remove_file(place.journal());
                lock::remove(lock, &place.lock())?;
                // Somebody may make one in this moment.
                let _ = fs::remove_dir(&place.path);
            }
            Ok(())
        })
        .await
    }
}

/// The snapshots of a project, or of all.
pub(super) fn list(root: &Root, project: Option<&str>) -> Result<Vec<Snapshot>> {
    let shelves = match project {
        Some(project) => vec![Shelf::of(root, project)?],
        None => Shelf::all(root)?,
    };
    let mut found = Vec::new();
    for shelf in shelves {
        for name in shelf.names()? {
            found.extend(shelf.read(&name).ok().map(|manifest| manifest.snapshot()));
        }
    }
    Ok(found)
}

/// Ends what commands that were killed have begun.
pub(super) fn sweep(root: &Root) -> Result<()> {
    for shelf in Shelf::all(root)? {
        let names = manifest::entries(&shelf.path)?;
        let is_begun = |name: &String| name.starts_with(".new-") || name.starts_with(".old-");
        let begun: Vec<&String> = names.iter().filter(|name| is_begun(name)).collect();
        if begun.is_empty() && !shelf.journal().exists() {
            continue;
        }
        // Who holds it is at work.
        let Some(_lock) = lock::take(&shelf.lock())? else { continue };
        if let Some(journal) = state::read(&shelf.journal())?
            && let Err(error) = restore::carry_on(&shelf, journal)
        {
            // Whoever starts a container of the project is told what to do.
            tracing::warn!("a restore of project `{}` was cut off: {error}", shelf.project);
        }
        for name in begun {
            save::sweep(root, &shelf.path.join(name))?;
        }
    }
    Ok(())
}

impl AddAssign for Work {
    fn add_assign(&mut self, other: Self) {
        self.shared += other.shared;
        self.copied += other.copied;
        self.kept += other.kept;
    }
}
