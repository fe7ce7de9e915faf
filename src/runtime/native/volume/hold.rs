//! Volumes that are mounted as long as a container uses them.
//!
//! In: volumes. Out: holds: a volume is mounted for the first and unmounted after the last. It is
//! mounted on the host, where the containers that share it find the same file system.
//!
//! # Invariants
//!
//! - Who uses a volume shares a lock, which the kernel gives back when a user is killed: what is
//!   mounted while nobody has it was left behind, and is unmounted by the next who comes.
//! - Who mounts or unmounts has the turn. Nothing is removed in what may be mounted.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FlockOperation, StatxFlags, statx};
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags};

use super::options::Filesystem;
use super::{Data, parse, read};
use crate::runtime::native::container::{Mount, Source};
use crate::runtime::native::lock::{self, Lock};
use crate::runtime::native::root::Root;
use crate::runtime::native::state::failed;
use crate::runtime::{Result, RuntimeError};

/// A volume that stays mounted until this is dropped.
#[derive(Debug)]
pub(in crate::runtime::native) struct Hold {
    place: PathBuf,
    users: Option<Lock>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        let done = turn(&self.place).and_then(|_turn| {
            self.users.take();
            unmount_unused(&self.place)
        });
        if let Err(error) = done {
            // The next who uses or removes the volume tries again.
            tracing::warn!("{error}");
        }
    }
}

/// Where a volume is mounted.
pub(super) fn mountpoint(root: &Root, name: &str) -> PathBuf {
    root.mounted_volumes().join(name).join("data")
}

/// Mounts those of the volumes in `mounts` that are to be mounted.
pub(in crate::runtime::native) fn hold(root: &Root, mounts: &[Mount]) -> Result<Vec<Hold>> {
    names(root, mounts).map(|name| hold_one(root, name)).collect()
}

/// Unmounts those of the volumes in `mounts` that nobody uses: their users were killed.
pub(in crate::runtime::native) fn let_go(root: &Root, mounts: &[Mount]) -> Result<()> {
    names(root, mounts).try_for_each(|name| forget(root, name))
}

/// Unmounts all that nobody uses.
pub(super) fn sweep(root: &Root) -> Result<()> {
    let entries = fs::read_dir(root.mounted_volumes()).into_iter().flatten().flatten();
    let mut names = entries.map(|entry| entry.file_name());
    names.try_for_each(|name| forget(root, &name.to_string_lossy()))
}

/// Unmounts a volume that nobody uses; one that was never mounted will do.
pub(super) fn forget(root: &Root, name: &str) -> Result<()> {
    let place = root.mounted_volumes().join(name);
    if !place.exists() {
        return Ok(());
    }
    let _turn = turn(&place)?;
    unmount_unused(&place)?;
    if !root.volumes().join(name).exists() && !is_mounted(&place.join("data"))? {
        // Only empty files and directories are left, and a mount that appears now stays.
        let _ = fs::remove_dir(place.join("data"));
        for file in ["users", "turn"] {
            let _ = fs::remove_file(place.join(file));
        }
        let _ = fs::remove_dir(&place);
    }
    Ok(())
}

/// The names of the volumes that are mounted: only they lie there.
fn names<'a>(root: &Root, mounts: &'a [Mount]) -> impl Iterator<Item = &'a str> {
    let own = root.mounted_volumes();
    mounts.iter().filter_map(move |mount| match &mount.source {
        Source::Volume { name, path, .. } if path.starts_with(&own) => Some(&**name),
        _ => None,
    })
}

fn hold_one(root: &Root, name: &str) -> Result<Hold> {
    let gone = || RuntimeError::NotFound(format!("no such volume: {name}"));
    let record = read(root, name)?.ok_or_else(gone)?;
    let place = root.mounted_volumes().join(name);
    let data = place.join("data");
    fs::create_dir_all(&data).map_err(|error| failed("make", &data, error))?;
    let _turn = turn(&place)?;
    unmount_unused(&place)?;
    if !is_mounted(&data)?
        && let Data::Mounted(system) = parse(name, &record.options)?
    {
        mount(name, &system, &data)?;
    }
    let users = lock::share(&place.join("users"))?;
    Ok(Hold { place, users: Some(users) })
}

/// Waits until nobody else mounts or unmounts a volume.
fn turn(place: &Path) -> Result<Lock> {
    lock::wait(&place.join("turn"))
}

/// Unmounts a volume unless somebody uses it. The caller has the turn.
fn unmount_unused(place: &Path) -> Result<()> {
    let path = place.join("users");
    let file = fs::File::create(&path).map_err(|error| failed("open", &path, error))?;
    match lock::on(file.into(), FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => return Ok(()),
        Err(error) => return Err(failed("lock", &path, error.into())),
        Ok(_alone) => {}
    }
    let data = place.join("data");
    while is_mounted(&data)? {
        rustix::mount::unmount(&data, UnmountFlags::DETACH)
            .map_err(|error| failed("unmount", &data, error.into()))?;
    }
    Ok(())
}

fn is_mounted(path: &Path) -> Result<bool> {
    match statx(CWD, path, AtFlags::NO_AUTOMOUNT, StatxFlags::TYPE) {
        Ok(found) => Ok(found.stx_attributes.contains(rustix::fs::StatxAttributes::MOUNT_ROOT)),
        Err(Errno::NOENT) => Ok(false),
        // Something is mounted whose server has gone.
        Err(Errno::STALE | Errno::IO) => Ok(true),
        Err(error) => Err(failed("look at", path, error.into())),
    }
}

fn mount(name: &str, system: &Filesystem, target: &Path) -> Result<()> {
    let data = system.resolved(name)?;
    let failed = |source: Errno| {
        let Filesystem { device, kind, .. } = system;
        let options = if data.is_empty() { String::new() } else { format!(" with `{data}`") };
        let remedy = match source {
            Errno::NODEV => ": this kernel has no such file system, or not its module",
            _ => "",
        };
        RuntimeError::Io {
            action: format!("mount volume `{name}`: `{device}` of type `{kind}`{options}{remedy}"),
            source: source.into(),
        }
    };
    let text = std::ffi::CString::new(data.clone()).map_err(|_| failed(Errno::INVAL))?;
    rustix::mount::mount(&*system.device, target, &*system.kind, system.flags, &*text)
        .map_err(failed)?;
    let more = system.flags.difference(MountFlags::BIND | MountFlags::REC);
    if system.flags.contains(MountFlags::BIND) && !more.is_empty() {
        // What is bound has the rights of the other mount until it gets its own.
        let changed = rustix::mount::mount_remount(target, MountFlags::BIND | more, "");
        if let Err(error) = changed {
            let _ = rustix::mount::unmount(target, UnmountFlags::DETACH);
            return Err(failed(error));
        }
    }
    Ok(())
}

#[cfg(test)]
impl Hold {
    /// What a kill does.
    pub(super) fn lose(&mut self) {
        self.users.take();
    }
}
