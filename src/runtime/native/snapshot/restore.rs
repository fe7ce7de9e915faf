//! Puts back what a snapshot has.
//!
//! In: a snapshot of a project. Out: the trees of the project as they were then; its containers
//! are stopped.
//!
//! # Invariants
//!
//! - What is to be done is written down first. Whatever happens then, the next command does it
//!   again from the start or ends it, and until that has succeeded no container of the project
//!   starts: what is half restored does not look whole.
//! - New trees are made beside the old ones, and use up what the old ones have in common with them.
//!   They take their places when all are whole and on disk.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use futures_util::future::{join_all, try_join_all};
use serde::{Deserialize, Serialize};

use super::copy::Copy;
use super::known::{self, Pages};
use super::manifest::{Manifest, Owner, Shelf, files, known as known_path};
use super::save::flush;
use super::scope::Scope;
use crate::runtime::native::root::Root;
use crate::runtime::native::state::{self, Durability, failed};
use crate::runtime::native::thread::in_thread;
use crate::runtime::native::{Native, lock};
use crate::runtime::{Cancel, Restored, Result, RuntimeError, Work};

/// What stands in the journal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Journal {
    /// The snapshot.
    snapshot: String,
    /// Whether the new trees are whole: then they only have to take their places.
    is_whole: bool,
    /// One for each tree of the snapshot.
    swaps: Vec<Swap>,
}

/// A tree that takes the place of another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Swap {
    /// Whose tree it is, in words.
    what: String,
    /// The place.
    live: PathBuf,
    /// Where the new tree is made.
    new: PathBuf,
    /// Where the old one goes.
    old: PathBuf,
    /// The directory that the overlay works in, which knows the old one.
    work: Option<PathBuf>,
}

impl Swap {
    fn of(owner: &Owner, live: &Path) -> Self {
        let beside = |end: &str| {
            let mut name = live.file_name().unwrap_or_default().to_owned();
            name.push(end);
            live.with_file_name(name)
        };
        let is_upper = matches!(owner, Owner::Changes { .. } | Owner::Image { .. });
        Self {
            what: owner.words(),
            live: live.to_owned(),
            new: beside(".restored"),
            old: beside(".replaced"),
            work: is_upper.then(|| live.with_file_name("work")),
        }
    }
}

/// Puts a snapshot back.
pub(super) async fn restore(native: &Native, project: &str, name: &str) -> Result<Restored> {
    let shelf = Shelf::of(&native.root, project)?;
    let manifest = shelf.read(name)?;
    let path = shelf.lock();
    let _lock = in_thread(move || lock::wait(&path)).await?;
    let (root, owner) = (native.root.clone(), project.to_owned());
    let scope = in_thread(move || Scope::of(&root, &owner)).await?;
    refuse_changed(&scope, &manifest)?;
    scope.check_others(|_| true)?;
    let ends = scope.containers.iter().map(|it| native.kill_for_good(&it.named));
    join_all(ends).await.into_iter().collect::<Result<()>>()?;
    let places: Vec<_> =
        scope.containers.iter().map(|it| native.root.container(&it.named.id)).collect();
    let locks = try_join_all(places.iter().map(|place| native.lock(place))).await?;
    let swaps = manifest.trees.iter().filter_map(|owner| {
        let live = scope.trees.get(owner)?;
        Some(Swap::of(owner, live))
    });
    let swaps = swaps.collect();
    let journal = Journal { snapshot: name.to_owned(), is_whole: false, swaps };
    let work = in_thread(move || {
        state::write(&shelf.journal(), &journal, Durability::Durable)?;
        let work = carry_on(&shelf, journal);
        drop(locks);
        work
    })
    .await?;
    let services = manifest.running_services();
    Ok(Restored { services, work, left_alone: scope.left_alone })
}

/// Does what the journal says; a command that was cut off may have done a part.
pub(super) fn carry_on(shelf: &Shelf, mut journal: Journal) -> Result<Work> {
    let snapshot = shelf.of_snapshot(&journal.snapshot)?;
    let (mut work, mut made) = (Work::default(), Vec::new());
    if !journal.is_whole {
        let began = Instant::now();
        let is_unwritten;
        (work, made, is_unwritten) = make(&snapshot, &journal)?;
        tracing::debug!("new trees were made within {:?}", began.elapsed());
        if is_unwritten {
            flush(&shelf.path)?;
        }
        journal.is_whole = true;
        state::write(&shelf.journal(), &journal, Durability::Durable)?;
        tracing::debug!("they are on disk after {:?}", began.elapsed());
    }
    finish(&shelf.journal(), &journal)?;
    remember(made);
    Ok(work)
}

/// Why containers of a project must not start: a restore was cut off, and could not be ended.
pub(in crate::runtime::native) fn check_whole(root: &Root, project: &str) -> Result<()> {
    let Ok(shelf) = Shelf::of(root, project) else { return Ok(()) };
    let Some(journal) = state::read::<Journal>(&shelf.journal())? else { return Ok(()) };
    let name = journal.snapshot;
    Err(RuntimeError::Conflict(format!(
        "snapshot `{name}` of project `{project}` was only half restored: let `ketch snapshot \
         restore {name}` succeed, or give the data up with `ketch down -v`"
    )))
}

fn refuse_changed(scope: &Scope, manifest: &Manifest) -> Result<()> {
    let differences = scope.differences(manifest);
    if differences.is_empty() {
        return Ok(());
    }
    Err(RuntimeError::Conflict(format!(
        "snapshot `{}` does not fit project `{}` any more: {}; make the project what it was \
         (`ketch create` makes containers that are missing) or save a new snapshot",
        manifest.name,
        manifest.project,
        differences.join("; ")
    )))
}

/// A tree that was made: what is known of it is written to this path.
struct Made {
    known: PathBuf,
    live: PathBuf,
    pairs: Vec<(u64, u64)>,
}

/// Makes the new trees; says whether there is more in memory than on disk.
fn make(snapshot: &Path, journal: &Journal) -> Result<(Work, Vec<Made>, bool)> {
    let (mut work, mut all, mut is_unwritten) = (Work::default(), Vec::new(), false);
    for (number, swap) in journal.swaps.iter().enumerate() {
        if !swap.new.parent().is_some_and(Path::exists) {
            // Since the restore was cut off, its owner was removed.
            continue;
        }
        let known = known_path(snapshot, number);
        let (from, marks) = (files(snapshot, number), known::read(&known));
        remove_tree(&swap.new)?;
        let live = Some((swap.live.as_path(), &marks));
        let copied = Copy { from: &from, to: &swap.new, live, cancel: &Cancel::default() }.run();
        let copied = copied.map_err(|source| RuntimeError::Io {
            action: format!("put {} back; until that succeeds the project cannot start", swap.what),
            source,
        })?;
        work += copied.work;
        is_unwritten |= copied.is_unwritten;
        all.push(Made { known, live: swap.live.clone(), pairs: copied.pairs });
    }
    Ok((work, all, is_unwritten))
}

/// Writes down what is known of the new trees: the next restore leaves alone what does not change.
fn remember(made: Vec<Made>) {
    let mut all = Vec::new();
    for Made { known, live, pairs } in made {
        let marks = known::marks(&live, Pages::Clean).unwrap_or_default();
        all.push((known, pairs, marks));
    }
    for (path, pairs, mut marks) in all {
        known::settle(&mut marks);
        let known: HashMap<_, _> =
            pairs.iter().filter_map(|(from, to)| Some((*from, *marks.get(to)?))).collect();
        known::write(&path, known);
    }
}

/// Lets the new trees take their places.
fn finish(path: &Path, journal: &Journal) -> Result<()> {
    journal.swaps.iter().try_for_each(take_place)?;
    journal.swaps.iter().try_for_each(|swap| remove_tree(&swap.old))?;
    fs::remove_file(path).map_err(|error| failed("remove", path, error))
}

/// Puts a new tree in its place; done already, it does nothing.
fn take_place(swap: &Swap) -> Result<()> {
    if !swap.new.exists() {
        return Ok(());
    }
    if let Some(work) = &swap.work {
        remove_tree(work)?;
        let made = fs::DirBuilder::new().mode(0o755).create(work);
        made.map_err(|error| failed("make", work, error))?;
    }
    if swap.live.exists() {
        remove_tree(&swap.old)?;
        fs::rename(&swap.live, &swap.old).map_err(|error| failed("rename", &swap.live, error))?;
    }
    fs::rename(&swap.new, &swap.live).map_err(|error| failed("rename", &swap.new, error))
}

fn remove_tree(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path, error)),
        _ => Ok(()),
    }
}
