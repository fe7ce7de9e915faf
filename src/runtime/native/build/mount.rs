//! What a command of `RUN` sees besides its image: `--mount`.
//!
//! In: a [`Mount`] and where its files are. Out: something to mount.
//!
//! # Invariants
//!
//! - A secret is written to the volatile root alone, which is memory where the system has it so,
//!   for as long as the command runs.
//! - What a context ignores is not seen: it is covered.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FileType, Mode, mknodat};

use super::agent::{self, Agent};
use super::context::Files;
use super::copy::{From, refused};
use super::dockerfile::{Mount, MountKind, Sharing};
use super::inputs::{Seen, Wants};
use super::job::{Job, Key, failed};
use super::sandbox::Sandbox;
use super::select::{Owners, Wanted, select};
use super::tree::kind;
use crate::model::ignore::Patterns;
use crate::model::spec::BuildSecret;
use crate::runtime::native::container::{
    Access, Changes, Mount as Attached, Overlay, Propagation, Source,
};
use crate::runtime::native::lock::{self, Lock};
use crate::runtime::{Result, RuntimeError};

/// Something that is ready.
#[derive(Debug, Default)]
pub(super) struct Mounted {
    /// What is mounted; `None`: there is only a variable.
    pub(super) mount: Option<Attached>,
    /// Whether its place is a file.
    pub(super) is_file: bool,
    /// Variables of the command.
    pub(super) environment: Vec<String>,
    /// What works for the command until it has ended.
    pub(super) agent: Option<Agent>,
}

/// Where things are made ready.
#[derive(Debug)]
pub(super) struct Place<'a> {
    pub(super) sandbox: &'a Sandbox,
    pub(super) caches: &'a Caches,
    /// Which mount of the command it is.
    pub(super) at: usize,
}

/// What of a mount is an input of the step.
pub(super) fn inputs(mount: &Mount) -> String {
    let Mount {
        kind,
        target,
        source,
        from,
        id,
        read_only,
        required,
        // Who else uses a cache changes nothing for the command.
        sharing: _,
        size,
        mode,
        uid,
        gid,
        env,
    } = mount;
    // Files of a stage or context are known by what they are, not by its name.
    let from = if *kind == MountKind::Bind { "" } else { from };
    let words = format!("{kind:?} {target:?} {source:?} {from:?} {id:?} {env:?} {read_only:?}");
    format!("{words} {required} {size} {mode:?} {uid} {gid}")
}

/// The digest of the files that are mounted.
pub(super) fn digest(job: &Job, mount: &Mount, from: &From) -> Result<String> {
    let (files, context) = match from {
        // A stage is known by its layers, without looking at its files.
        From::Origin(origin, _) => return Ok(origin.identity()),
        From::Files(files, context) => (files, context),
    };
    let exclude = Patterns::default();
    let source = if mount.source.is_empty() { "/" } else { &mount.source };
    let selected = select(files, &Wanted { source, exclude: &exclude }).map_err(refused)?;
    let seen = Seen::of(&selected, Owners::All)?;
    let mut key = Key::new(job, "files");
    key.add(&seen.digest);
    let sources = vec![source.to_owned()];
    let what = Wants { context: context.clone(), sources, exclude: String::new() };
    job.saw(what, seen, Owners::All)?;
    Ok(key.finish())
}

/// Makes a mount ready; `None`: there is nothing, and that is fine.
pub(super) fn prepare(
    job: &Job,
    place: &Place<'_>,
    (mount, from): (&Mount, &From),
) -> Result<Option<Mounted>> {
    let (sandbox, at) = (place.sandbox, place.at);
    match mount.kind {
        MountKind::Bind => bind(job, (sandbox, at), (mount, from)).map(Some),
        MountKind::Cache => cache(job, place.caches, (mount, from)).map(Some),
        MountKind::Tmpfs => Ok(Some(memory(mount))),
        MountKind::Secret => secret(job, (sandbox, at), mount),
        MountKind::Ssh => ssh(job, (sandbox, at), mount),
    }
}

fn attached(source: Source, mount: &Mount, access: Access) -> Attached {
    let target = mount.target.clone();
    Attached { source, target, access, propagation: Propagation::default() }
}

/// Files of a context, a stage or an image, seen through an overlay: writing changes nothing.
fn bind(
    job: &Job,
    (sandbox, at): (&Sandbox, usize),
    (mount, from): (&Mount, &From),
) -> Result<Mounted> {
    let (mut lower, files, name) = match from {
        From::Origin(origin, name) => {
            (job.store.directories(origin)?, job.files_of(origin, name)?, name.clone())
        }
        From::Files(files, _) => {
            let directory = files.directory.clone().unwrap_or_default();
            (vec![directory], Arc::clone(files), "the context".to_owned())
        }
    };
    if files.ignores() {
        let cover = sandbox.directory(&format!("cover-{at}"))?;
        put_cover(&files, Path::new(""), &cover).map_err(failed("cover", &cover))?;
        lower.push(cover);
    }
    let place = files.tree.resolve(Path::new(&mount.source));
    let place = place.map_err(failed("find", Path::new(&mount.source)))?;
    let Some(found) = &place.found else {
        return Err(refused(format!("there is no `{}`{}", mount.source, files.place())));
    };
    let is_file = kind(found) != FileType::Directory;
    let is_read_only = mount.read_only != Some(false);
    let changes = if is_read_only {
        None
    } else {
        let upper = sandbox.directory(&format!("upper-{at}"))?;
        Some(Changes { upper, work: sandbox.directory(&format!("work-{at}"))? })
    };
    let subpath = place.path.to_string_lossy().into_owned();
    let source = Source::Image { name, files: Overlay { lower, changes }, subpath };
    let access = if is_read_only { Access::Read } else { Access::Write };
    let mount = Some(attached(source, mount, access));
    Ok(Mounted { mount, is_file, ..Mounted::default() })
}

/// Puts whiteouts where a context has what is ignored.
fn put_cover(files: &Files, directory: &Path, cover: &Path) -> io::Result<()> {
    for (name, stat) in files.tree.list(directory)? {
        let path = directory.join(&name);
        let is_directory = kind(&stat) == FileType::Directory;
        let is_ignored = files.rule(&path).is_some();
        if is_ignored && !(is_directory && files.may_keep_below(&path)) {
            fs::create_dir_all(cover.join(directory))?;
            let parent = File::open(cover.join(directory))?;
            mknodat(parent, &name, FileType::CharacterDevice, Mode::empty(), 0)?;
        } else if is_directory {
            put_cover(files, &path, cover)?;
        }
    }
    Ok(())
}

/// The caches of a command, each locked once as long as this lives.
#[derive(Debug)]
pub(super) struct Caches(BTreeMap<String, (PathBuf, Lock)>);

impl Caches {
    /// Locks them, all commands in the same order: no two wait for each other.
    pub(super) fn lock<'a>(job: &Job, mounts: impl Iterator<Item = &'a Mount>) -> Result<Self> {
        let all = job.directory().join("mounts");
        fs::create_dir_all(&all).map_err(failed("make", &all))?;
        let mut caches = BTreeMap::new();
        for (name, sharing) in wanted(mounts) {
            let path = all.join(&name);
            let locked = match sharing {
                Sharing::Shared => {
                    let hold = lock::share(&path.with_extension("lock"))?;
                    (path, hold)
                }
                Sharing::Locked => {
                    let hold = lock::wait(&path.with_extension("lock"))?;
                    (path, hold)
                }
                Sharing::Private => private(&all, &name)?,
            };
            caches.insert(name, locked);
        }
        Ok(Self(caches))
    }
}

/// The caches that mounts want, each with the strictest of its sharings.
fn wanted<'a>(mounts: impl Iterator<Item = &'a Mount>) -> BTreeMap<String, Sharing> {
    let mut wanted = BTreeMap::<String, Sharing>::new();
    for mount in mounts.filter(|mount| mount.kind == MountKind::Cache) {
        let sharing = wanted.entry(cache_name(mount)).or_default();
        *sharing = mount.sharing.max(*sharing);
    }
    wanted
}

/// What the directory of a cache is called.
fn cache_name(mount: &Mount) -> String {
    let id = if mount.id.is_empty() { &mount.target } else { &mount.id };
    let mut key = Key::default();
    key.add(id);
    key.finish()
}

/// A directory that outlives the build.
fn cache(job: &Job, caches: &Caches, (mount, from): (&Mount, &From)) -> Result<Mounted> {
    let found = caches.0.get(&cache_name(mount));
    let (path, _) = found.ok_or_else(|| refused("a cache is used that is not locked"))?;
    if !path.is_dir() {
        fill(job, mount, (from, path))?;
    }
    let source = Source::Bind { path: path.clone(), create: false, recursive: false };
    let access = if mount.read_only == Some(true) { Access::Read } else { Access::Write };
    let mount = Some(attached(source, mount, access));
    Ok(Mounted { mount, ..Mounted::default() })
}

/// The first of several caches that nobody uses.
fn private(all: &Path, name: &str) -> Result<(PathBuf, Lock)> {
    const MOST: usize = 1000;
    for number in 0..MOST {
        let path = all.join(format!("{name}-{number}"));
        if let Some(hold) = lock::take(&path.with_extension("lock"))? {
            return Ok((path, hold));
        }
    }
    Err(RuntimeError::Conflict(format!("{MOST} builds use this cache")))
}

/// Makes a new cache: empty, or with the files that it is to begin with.
fn fill(job: &Job, mount: &Mount, (from, path): (&From, &Path)) -> Result<()> {
    let parent = path.parent().unwrap_or(path);
    let staging = tempfile::tempdir_in(parent).map_err(failed("make", path))?;
    if !mount.from.is_empty() {
        let files = match from {
            From::Files(files, _) => Arc::clone(files),
            From::Origin(origin, name) => job.files_of(origin, name)?,
        };
        let place = files.tree.resolve(Path::new(&mount.source));
        let place = place.map_err(failed("find", Path::new(&mount.source)))?;
        copy(&files, &place.path, staging.path()).map_err(failed("fill", path))?;
    }
    let dress = || -> io::Result<()> {
        chown(staging.path(), Some(mount.uid), Some(mount.gid))?;
        let mode = fs::Permissions::from_mode(mount.mode.unwrap_or(0o755));
        fs::set_permissions(staging.path(), mode)?;
        match fs::rename(staging.path(), path) {
            // Somebody else was faster.
            Err(_) if path.is_dir() => Ok(()),
            done => done,
        }
    };
    dress().map_err(failed("make", path))
}

fn copy(files: &Files, from: &Path, to: &Path) -> io::Result<()> {
    for (name, stat) in files.tree.list(from)? {
        let (source, target) = (from.join(&name), to.join(&name));
        match kind(&stat) {
            FileType::Directory => {
                fs::create_dir(&target)?;
                copy(files, &source, &target)?;
            }
            FileType::RegularFile => {
                io::copy(&mut files.tree.file(&source)?, &mut File::create_new(&target)?)?;
            }
            FileType::Symlink => {
                std::os::unix::fs::symlink(files.tree.link(&source)?, &target)?;
                continue;
            }
            _ => continue,
        }
        chown(&target, Some(stat.st_uid), Some(stat.st_gid))?;
        fs::set_permissions(&target, fs::Permissions::from_mode(stat.st_mode & 0o7777))?;
    }
    Ok(())
}

fn memory(mount: &Mount) -> Mounted {
    let mut options = Vec::new();
    if mount.size > 0 {
        options.push(format!("size={}", mount.size));
    }
    let flags = ["nosuid", "nodev"].map(str::to_owned).to_vec();
    let source = Source::Tmpfs { options, flags };
    Mounted { mount: Some(attached(source, mount, Access::Write)), ..Mounted::default() }
}

/// A secret: a file, a variable, or both.
fn secret(job: &Job, (sandbox, at): (&Sandbox, usize), mount: &Mount) -> Result<Option<Mounted>> {
    let last = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let id = match (mount.id.as_str(), mount.source.as_str()) {
        ("", "") => last(&mount.target),
        ("", source) => source.to_owned(),
        (id, _) => id.to_owned(),
    };
    let Some(secret) = job.spec.secrets.iter().find(|secret| secret.id == id) else {
        if mount.required {
            return Err(refused(format!(
                "the secret `{id}` is required: name it in `build.secrets`"
            )));
        }
        return Ok(None);
    };
    let content = content(secret)?;
    let mut mounted = Mounted::default();
    if !mount.env.is_empty() {
        let text = String::from_utf8(content.clone());
        let text = text.map_err(|_| refused(format!("the secret `{id}` is no text")))?;
        mounted.environment.push(format!("{}={text}", mount.env));
        if mount.target.is_empty() {
            return Ok(Some(mounted));
        }
    }
    let path = sandbox.volatile().join(format!("secret-{at}"));
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(&content)?;
        chown(&path, Some(mount.uid), Some(mount.gid))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mount.mode.unwrap_or(0o400)))
    };
    write().map_err(failed("write a secret to", &path))?;
    let mut mount = mount.clone();
    if mount.target.is_empty() {
        mount.target = format!("/run/secrets/{}", last(&id));
    }
    let source = Source::Bind { path, create: false, recursive: false };
    mounted.mount = Some(attached(source, &mount, Access::Read));
    mounted.is_file = true;
    Ok(Some(mounted))
}

fn content(secret: &BuildSecret) -> Result<Vec<u8>> {
    /// As in BuildKit.
    const MOST: u64 = 500 << 10;
    if secret.file.is_empty() {
        return Ok(secret.content.clone().into_bytes());
    }
    let path = Path::new(&secret.file);
    let shown = format!("read the secret `{}` from", secret.id);
    let file = File::open(path).map_err(failed(&shown, path))?;
    let mut bytes = Vec::new();
    let mut limited = io::Read::take(file, MOST + 1);
    io::Read::read_to_end(&mut limited, &mut bytes).map_err(failed(&shown, path))?;
    if bytes.len() as u64 > MOST {
        return Err(refused(format!("the secret `{}` has more than {MOST} bytes", secret.id)));
    }
    Ok(bytes)
}

/// The socket of an SSH agent.
fn ssh(job: &Job, (sandbox, at): (&Sandbox, usize), mount: &Mount) -> Result<Option<Mounted>> {
    let Some((path, agent)) = agent::socket(job, (sandbox, at), mount)? else { return Ok(None) };
    let mut mount = mount.clone();
    if mount.target.is_empty() {
        mount.target = format!("/run/buildkit/ssh_agent.{at}");
    }
    let environment = vec![format!("SSH_AUTH_SOCK={}", mount.target)];
    let source = Source::Bind { path, create: false, recursive: false };
    let mount = Some(attached(source, &mount, Access::Write));
    Ok(Some(Mounted { mount, is_file: true, environment, agent }))
}

#[cfg(test)]
mod tests {
    use super::{BuildSecret, Mount, MountKind, Sharing, cache_name, content, inputs, wanted};

    fn cache(id: &str, sharing: Sharing) -> Mount {
        Mount { kind: MountKind::Cache, id: id.to_owned(), sharing, ..Mount::default() }
    }

    #[test]
    fn a_cache_is_locked_once_and_as_strictly_as_anybody_wants() {
        let mounts = [
            cache("b", Sharing::Shared),
            cache("a", Sharing::Locked),
            cache("b", Sharing::Locked),
            cache("b", Sharing::Shared),
            Mount::default(),
        ];
        let found = wanted(mounts.iter());
        assert_eq!(found, wanted(mounts.iter().rev()), "in one order, however they are written");
        assert_eq!(found.len(), 2);
        assert_eq!(found[&cache_name(&mounts[0])], Sharing::Locked);
    }

    #[test]
    fn a_secret_has_an_end() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap().to_owned();
        let secret = BuildSecret { id: "s".to_owned(), file: path, content: String::new() };
        std::fs::write(file.path(), vec![7; 500 << 10]).unwrap();
        assert_eq!(content(&secret).unwrap().len(), 500 << 10);
        std::fs::write(file.path(), vec![7; (500 << 10) + 1]).unwrap();
        let error = content(&secret).unwrap_err().to_string();
        assert_eq!(error, "the secret `s` has more than 512000 bytes");
    }

    #[test]
    fn what_a_command_can_see_of_a_mount_is_an_input() {
        let plain = || Mount { kind: MountKind::Tmpfs, ..Mount::default() };
        let others = [
            Mount { mode: Some(0o700), ..plain() },
            Mount { uid: 1, ..plain() },
            Mount { gid: 1, ..plain() },
            Mount { size: 1, ..plain() },
            Mount { required: true, ..plain() },
        ];
        for other in others {
            assert_ne!(inputs(&other), inputs(&plain()), "{other:?}");
        }
        let locked = Mount { sharing: Sharing::Locked, ..plain() };
        assert_eq!(inputs(&locked), inputs(&plain()));
    }
}
