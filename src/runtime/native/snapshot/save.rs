//! Makes a snapshot.
//!
//! In: a project. Out: copies of all its trees, made while no container of it runs.
//!
//! # Invariants
//!
//! - All are frozen before the first file is read, and go on when the last one was: what one has
//!   told another before is in both.
//! - A snapshot gets its name when it is whole and on disk.
//! - Whoever is killed meanwhile leaves a list of those who stand still; the next command lets
//!   them go on.

use std::collections::HashMap;
use std::fs;
use std::io::{self, BufRead as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::copy::Copy;
use super::known::{self, Pages};
use super::manifest::{Manifest, Owner, Shelf, files, known as known_path};
use super::scope::{Container, Scope};
use crate::model::observed::State;
use crate::runtime::native::control::{Request, SOCKET};
use crate::runtime::native::root::Root;
use crate::runtime::native::state::{self, Durability, Phase, failed};
use crate::runtime::native::thread::in_thread;
use crate::runtime::native::{Native, clock, lock};
use crate::runtime::{
    Cancel, Existing, Moment, Result, Runtime as _, RuntimeError, Save, Saved, Work,
};

/// The list of containers that stand still, in a snapshot that is being made.
const FROZEN: &str = "frozen.json";

/// Makes a snapshot.
pub(super) async fn save(native: &Native, project: &str, save: &Save) -> Result<Saved> {
    let shelf = Shelf::of(&native.root, project)?;
    let target = shelf.of_snapshot(&save.name)?;
    make_directory(&shelf.path)?;
    let path = shelf.lock();
    let _lock = in_thread(move || lock::wait(&path)).await?;
    if save.existing == Existing::Keep && target.exists() {
        return Err(RuntimeError::Conflict(format!(
            "there is a snapshot `{}` of project `{project}`: `--replace` makes it anew",
            save.name
        )));
    }
    let (root, name) = (native.root.clone(), project.to_owned());
    let scope = in_thread(move || Scope::of(&root, &name)).await?;
    check(&scope)?;
    let aside = Aside::new(&shelf)?;
    let draft = Draft { native, scope, aside: &aside.path, save };
    let (manifest, work, frozen) = draft.fill().await?;
    let path = aside.path.clone();
    in_thread(move || flush(&path)).await?;
    aside.give_name(&target)?;
    let services = match save.moment {
        Moment::Frozen => Vec::new(),
        Moment::Stopped => manifest.running_services(),
    };
    let left_alone = draft.scope.left_alone;
    Ok(Saved { snapshot: manifest.snapshot(), work, frozen, services, left_alone })
}

fn check(scope: &Scope) -> Result<()> {
    if scope.trees.is_empty() {
        return Err(RuntimeError::NotFound(format!(
            "project `{}` has neither containers nor volumes to keep: bring it up first",
            scope.project
        )));
    }
    scope.check_others(|other| !other.is_one_off_of(&scope.project))?;
    let restless = |it: &&Container| matches!(it.phase, Phase::Restarting | Phase::Stopping);
    let mut all = scope.containers.iter().chain(&scope.others);
    match all.find(restless) {
        Some(container) => Err(RuntimeError::Conflict(format!(
            "container {} is about to end or to start again: a snapshot needs it to run or to be \
             stopped",
            container.named.name
        ))),
        None => Ok(()),
    }
}

/// A directory that only we may look into.
fn make_directory(path: &Path) -> Result<()> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| failed("make", path, error))
}

/// A snapshot that has no name yet; it goes when it is dropped.
struct Aside {
    path: PathBuf,
}

impl Aside {
    fn new(shelf: &Shelf) -> Result<Self> {
        let made = tempfile::Builder::new().prefix(".new-").tempdir_in(&shelf.path);
        let made = made.map_err(|error| failed("make a directory in", &shelf.path, error))?;
        Ok(Self { path: made.keep() })
    }

    /// Gives it its name; what had it before goes.
    fn give_name(&self, target: &Path) -> Result<()> {
        let is_there = target.exists();
        let flags = if is_there { RenameFlags::EXCHANGE } else { RenameFlags::NOREPLACE };
        let renamed = renameat_with(CWD, &self.path, CWD, target, flags);
        renamed.map_err(|error| failed("make", target, error.into()))?;
        let parent = target.parent().unwrap_or(target);
        let directory = fs::File::open(parent).and_then(|it| it.sync_all());
        directory.map_err(|error| failed("write", parent, error))
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        // What stays is swept up by the next command.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// What a snapshot is made of.
struct Draft<'a> {
    native: &'a Native,
    scope: Scope,
    aside: &'a Path,
    save: &'a Save,
}

impl Draft<'_> {
    /// Freezes or stops all, copies, and lets those go on that are frozen.
    async fn fill(&self) -> Result<(Manifest, Work, Duration)> {
        let trees: Vec<(Owner, PathBuf)> = self.scope.trees.clone().into_iter().collect();
        let early: Vec<PathBuf> = trees.iter().map(|(_, path)| path.clone()).collect();
        // What is written out now need not be while all stand still.
        in_thread(move || {
            for path in &early {
                drop(known::marks(path, Pages::WriteOut));
            }
            Ok(())
        })
        .await?;
        let running = self.running();
        let ids: Vec<&String> = running.iter().map(|it| &it.named.id).collect();
        state::write(&self.aside.join(FROZEN), &ids, Durability::Volatile)?;
        let began = Instant::now();
        let stands_still = match self.save.moment {
            Moment::Frozen => self.freeze(&running).await,
            Moment::Stopped => self.stop(&running).await,
        };
        let cancel = self.save.cancel.clone();
        let (paths, aside) = (trees.clone(), self.aside.to_owned());
        let copied = match stands_still {
            Ok(()) => in_thread(move || copy(&paths, &aside, &cancel)).await,
            Err(error) => Err(error),
        };
        let thawed = join_all(running.iter().map(|it| self.thaw(it))).await;
        let frozen = began.elapsed();
        let work = copied?;
        thawed.into_iter().collect::<Result<()>>()?;
        let list = self.aside.join(FROZEN);
        fs::remove_file(&list).map_err(|error| failed("remove", &list, error))?;
        let manifest = Manifest {
            project: self.scope.project.clone(),
            name: self.save.name.clone(),
            created: clock::now(),
            members: self.scope.members(),
            trees: trees.into_iter().map(|(owner, _)| owner).collect(),
            size: work.copied + work.shared,
        };
        state::write(&self.aside.join("snapshot.json"), &manifest, Durability::Durable)?;
        Ok((manifest, work, frozen))
    }

    /// All that run, also those that `run` has made.
    fn running(&self) -> Vec<Container> {
        let all = self.scope.containers.iter().chain(&self.scope.others);
        all.filter(|it| it.phase == Phase::Running).cloned().collect()
    }

    async fn freeze(&self, running: &[Container]) -> Result<()> {
        let freeze = running.iter().map(|it| self.native.pause(&it.named.id));
        let frozen = join_all(freeze).await;
        for (container, frozen) in running.iter().zip(frozen) {
            match frozen {
                // It has ended meanwhile, for good.
                Err(RuntimeError::Conflict(_)) if self.has_ended(container).await? => {}
                frozen => frozen?,
            }
        }
        Ok(())
    }

    async fn stop(&self, running: &[Container]) -> Result<()> {
        let stop = running.iter().map(|it| self.native.stop(&it.named.id, None));
        join_all(stop).await.into_iter().collect()
    }

    async fn has_ended(&self, container: &Container) -> Result<bool> {
        let state = self.native.state_of(&container.named.id).await?;
        Ok(!matches!(state, Some(State::Running | State::Restarting | State::Stopping)))
    }

    /// Lets one go on; one that is gone or stopped need not.
    async fn thaw(&self, container: &Container) -> Result<()> {
        match self.native.unpause_container(&container.named.id).await {
            Err(RuntimeError::Conflict(_) | RuntimeError::NotFound(_)) => Ok(()),
            done => done,
        }
    }
}

/// Copies all trees, and writes down what is known of the originals.
fn copy(trees: &[(Owner, PathBuf)], aside: &Path, cancel: &Cancel) -> Result<Work> {
    let mut work = Work::default();
    let mut all = Vec::new();
    for (number, (owner, path)) in trees.iter().enumerate() {
        let to = files(aside, number);
        make_directory(&aside.join(number.to_string()))?;
        let copied = Copy { from: path, to: &to, live: None, cancel }.run();
        let copied = copied.map_err(|source| RuntimeError::Io {
            action: format!("keep {}", owner.words()),
            source,
        })?;
        work += copied.work;
        let marks = known::marks(path, Pages::WriteOut).unwrap_or_default();
        all.push((known_path(aside, number), copied.pairs, marks));
    }
    for (path, pairs, mut marks) in all {
        known::settle(&mut marks);
        let known: HashMap<_, _> =
            pairs.iter().filter_map(|(from, to)| Some((*to, *marks.get(from)?))).collect();
        known::write(&path, known);
    }
    Ok(work)
}

/// Waits until all is on disk.
pub(super) fn flush(path: &Path) -> Result<()> {
    let open = fs::File::open(path).map_err(|error| failed("open", path, error))?;
    rustix::fs::syncfs(&open).map_err(|error| failed("write", path, error.into()))
}

/// Ends what a command that was killed has begun; the caller holds the lock.
pub(super) fn sweep(root: &Root, aside: &Path) -> Result<()> {
    let frozen: Option<Vec<String>> = state::read(&aside.join(FROZEN)).unwrap_or_default();
    for id in frozen.unwrap_or_default() {
        if let Err(error) = let_go_on(&root.container(&id).volatile) {
            tracing::debug!("container {id} stands still no longer: {error}");
        }
    }
    fs::remove_dir_all(aside).map_err(|error| failed("remove", aside, error))
}

/// Asks a supervisor to thaw its container, and waits for the answer.
fn let_go_on(directory: &Path) -> io::Result<()> {
    const PATIENCE: Duration = Duration::from_secs(5);
    let open = fs::File::open(directory)?;
    let path = format!("/proc/self/fd/{}/{SOCKET}", open.as_raw_fd());
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_vec(&Request::Unpause)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    io::BufReader::new(stream).read_until(b'\n', &mut Vec::new()).map(drop)
}
