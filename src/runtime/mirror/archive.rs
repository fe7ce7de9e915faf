//! Brings files into containers through the archives of a runtime, where the root of a container
//! cannot be reached: an engine of another machine, a container that does not run.
//!
//! In: a runtime, a container, transfers. Out: what became of each. One archive holds a whole
//! batch. Unlike what is written beneath a root, a file is visible while it grows, and removing
//! needs `rm` in the image.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::stream::{self, BoxStream, StreamExt as _};
use tar::{Archive, Builder, EntryType, Header};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::in_order;
use crate::model::Hook;
use crate::model::transfer::{Difference, Stamp, Transfer, Transferred, Trust};
use crate::runtime::pieces::{Incoming, Outgoing};
use crate::runtime::{Bytes, Result, Runtime, RuntimeError};

/// Pieces of an archive that may wait.
const PIECES: usize = 16;

/// How large a piece is.
const PIECE: usize = 64 * 1024;

/// How many owners of single files are asked for; in larger batches that of the directory counts.
const ASKED: usize = 64;

/// How many paths one `rm` gets.
const REMOVED: usize = 200;

/// Who owns a file, and its permissions.
#[derive(Clone, Copy, Debug, Default)]
struct Owner {
    uid: u64,
    gid: u64,
    mode: u32,
}

/// Does what the transfers say, as far as it can be done.
pub(in crate::runtime) async fn apply<R: Runtime + ?Sized>(
    runtime: &R,
    container: &str,
    transfers: &[Transfer],
) -> Result<Transferred> {
    let mut report = Transferred::default();
    let transfers = resolved(runtime, container, transfers).await?;
    let (gone, there): (Vec<&Transfer>, Vec<&Transfer>) =
        in_order(&transfers).into_iter().partition(|transfer| transfer.source.is_none());
    for some in gone.chunks(REMOVED) {
        match remove(runtime, container, some).await? {
            None => report.done += some.len(),
            Some(why) => {
                report.failed.extend(some.iter().map(|it| ((*it).clone(), why.clone())));
            }
        }
    }
    if there.is_empty() {
        return Ok(report);
    }
    let entries = entries(runtime, container, &there).await?;
    match send(runtime, container, entries).await {
        // What is a directory here and none there stays: whoever compares says what gives way.
        Err(RuntimeError::Refused(said)) if said.contains("cannot overwrite") => {
            report.failed.extend(there.iter().map(|it| ((*it).clone(), said.clone())));
        }
        sent => report.take(sent?),
    }
    Ok(report)
}

/// The transfers as an archive has to name them: engines follow no link at the end of a name.
async fn resolved<R: Runtime + ?Sized>(
    runtime: &R,
    container: &str,
    transfers: &[Transfer],
) -> Result<Vec<Transfer>> {
    let mut bases: BTreeMap<Arc<Path>, Arc<Path>> = BTreeMap::new();
    for base in transfers.iter().map(|transfer| &transfer.base) {
        if !bases.contains_key(base) {
            bases.insert(base.clone(), directory(runtime, container, base).await?);
        }
    }
    let moved = |transfer: &Transfer| {
        let (base, below) =
            (bases.get(&transfer.base)?, transfer.path.strip_prefix(&transfer.base).ok()?);
        let is_directory = transfer.source.as_ref().is_some_and(|source| source.is_dir());
        // Anything else takes the place of the link, not of what that leads to.
        if below.as_os_str().is_empty() && !is_directory {
            return None;
        }
        let path = base.join(below).components().collect();
        Some(Transfer { path, base: base.clone(), ..transfer.clone() })
    };
    Ok(transfers.iter().map(|it| moved(it).unwrap_or_else(|| it.clone())).collect())
}

/// The directory that a target leads to where it is a link to one; else the target.
async fn directory<R: Runtime + ?Sized>(
    runtime: &R,
    container: &str,
    base: &Arc<Path>,
) -> Result<Arc<Path>> {
    let found = runtime.stat_path(container, &base.to_string_lossy()).await?;
    let Some(link) = found.map(|found| found.link).filter(|link| !link.is_empty()) else {
        return Ok(base.clone());
    };
    let leads = runtime.stat_path(container, &link).await?;
    Ok(if leads.is_some_and(|it| it.is_dir) { Path::new(&link).into() } else { base.clone() })
}

/// Removes paths; says why not.
async fn remove<R: Runtime + ?Sized>(
    runtime: &R,
    container: &str,
    transfers: &[&Transfer],
) -> Result<Option<String>> {
    let paths = transfers.iter().map(|it| it.path.to_string_lossy().into_owned());
    let words = ["rm", "-rf", "--"].map(str::to_owned).into_iter().chain(paths).collect();
    let hook = Hook { command: Some(words), user: "0".to_owned(), ..Hook::default() };
    Ok(match runtime.run_hook(container, &hook).await {
        Ok((0, _)) => None,
        Ok((126 | 127, _)) => Some(
            "the image has no `rm`, and the files of this container cannot be reached from here"
                .to_owned(),
        ),
        Ok((code, said)) => Some(format!("`rm` exited with code {code}: {}", said.trim())),
        Err(error @ (RuntimeError::NotFound(_) | RuntimeError::Unreachable { .. })) => {
            return Err(error);
        }
        Err(error) => Some(format!("cannot run `rm` in the container: {error}")),
    })
}

/// What goes into the archive, with the owners that it gets.
async fn entries<R: Runtime + ?Sized>(
    runtime: &R,
    container: &str,
    transfers: &[&Transfer],
) -> Result<Vec<(Transfer, Owner)>> {
    let mut directories: BTreeMap<PathBuf, Owner> = BTreeMap::new();
    let mut entries = Vec::with_capacity(transfers.len());
    for transfer in transfers {
        let own = if transfers.len() <= ASKED {
            owner(runtime, container, &transfer.path).await?
        } else {
            None
        };
        let parent = transfer.path.parent().unwrap_or(Path::new("/"));
        let owner = match (own, directories.get(parent)) {
            (Some(own), _) => own,
            (None, Some(known)) => *known,
            (None, None) => {
                let found = nearest(runtime, container, parent).await?;
                directories.insert(parent.to_owned(), found);
                found
            }
        };
        entries.push(((*transfer).clone(), owner));
    }
    Ok(entries)
}

/// The owner of a directory, or of the nearest one above it that is there.
async fn nearest<R: Runtime + ?Sized>(runtime: &R, container: &str, path: &Path) -> Result<Owner> {
    for path in path.ancestors() {
        if let Some(found) = owner(runtime, container, path).await? {
            return Ok(found);
        }
    }
    Ok(Owner { mode: 0o755, ..Owner::default() })
}

/// The owner of what lies at a path: the first header of its archive tells.
async fn owner<R: Runtime + ?Sized>(
    runtime: &R,
    container: &str,
    path: &Path,
) -> Result<Option<Owner>> {
    let mut archive = runtime.copy_out(container, &path.to_string_lossy());
    let mut start = Vec::new();
    while let Some(bytes) = archive.next().await {
        match bytes {
            Ok(bytes) => start.extend_from_slice(&bytes),
            Err(RuntimeError::NotFound(_)) => return Ok(None),
            Err(error) => return Err(error),
        }
        let mut tar = Archive::new(start.as_slice());
        let Some(Ok(entry)) = tar.entries().ok().and_then(|mut all| all.next()) else { continue };
        let header = entry.header();
        return Ok(Some(Owner {
            uid: header.uid().unwrap_or_default(),
            gid: header.gid().unwrap_or_default(),
            mode: header.mode().unwrap_or(0o755),
        }));
    }
    Ok(None)
}

/// Sends an archive of all entries.
async fn send<R: Runtime + ?Sized>(
    runtime: &R,
    container: &str,
    entries: Vec<(Transfer, Owner)>,
) -> Result<Transferred> {
    let (sender, receiver) = channel(PIECES);
    let packing = tokio::task::spawn_blocking(move || pack(&entries, sender));
    let pieces = stream::unfold(receiver, |mut receiver: Receiver<Bytes>| async move {
        receiver.recv().await.map(|piece| (piece, receiver))
    });
    let sent = runtime.copy_in(container, "/", pieces.boxed()).await;
    let packed = packing.await;
    sent?;
    let failed = |source| RuntimeError::Io { action: "pack files of the host".to_owned(), source };
    packed.map_err(|error| failed(io::Error::other(error)))?.map_err(failed)
}

fn pack(entries: &[(Transfer, Owner)], to: Sender<Bytes>) -> io::Result<Transferred> {
    let mut report = Transferred::default();
    let mut tar = Builder::new(Outgoing::new(to, |piece| piece));
    for (transfer, owner) in entries {
        let Some(source) = &transfer.source else { continue };
        match append(&mut tar, (source, &transfer.path), *owner) {
            Ok(true) => report.done += 1,
            Ok(false) => report.unsettled.push(transfer.clone()),
            // Nobody reads on: whoever sends says why.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(report),
            Err(error) => report.failed.push((transfer.clone(), error.to_string())),
        }
    }
    tar.into_inner()?.flush()?;
    Ok(report)
}

/// Appends one file; `false`: it was gone, or it changed meanwhile.
fn append<W: Write>(
    tar: &mut Builder<W>,
    (source, path): (&Path, &Path),
    owner: Owner,
) -> io::Result<bool> {
    let name = path.strip_prefix("/").unwrap_or(path);
    let found = match std::fs::symlink_metadata(source) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        found => found?,
    };
    let mut header = Header::new_gnu();
    header.set_uid(owner.uid);
    header.set_gid(owner.gid);
    header.set_mtime(u64::try_from(found.mtime()).unwrap_or_default());
    header.set_size(0);
    if found.is_dir() {
        header.set_entry_type(EntryType::Directory);
        header.set_mode(owner.mode & 0o777);
        let mut name = name.as_os_str().to_owned();
        name.push("/");
        tar.append_data(&mut header, name, io::empty())?;
    } else if found.is_symlink() {
        header.set_entry_type(EntryType::Symlink);
        header.set_mode(0o777);
        tar.append_link(&mut header, name, std::fs::read_link(source)?)?;
    } else if found.is_file() {
        let mut file = File::open(source)?;
        let executable = found.permissions().mode() & 0o111 != 0;
        let execute = if executable { (owner.mode & 0o444) >> 2 } else { 0 };
        header.set_mode((owner.mode & 0o666) | execute);
        header.set_size(found.len());
        // As many bytes as were promised, whatever becomes of the file meanwhile.
        let content = (&mut file).chain(io::repeat(0)).take(found.len());
        tar.append_data(&mut header, name, content)?;
        let after = file.metadata()?;
        return Ok(after.len() == found.len() && after.mtime_nsec() == found.mtime_nsec());
    }
    Ok(true)
}

/// The transfers that have something to do: each target is read whole.
pub(in crate::runtime) async fn compare<R: Runtime + ?Sized>(
    runtime: &R,
    container: &str,
    transfers: &[Transfer],
    trust: Trust,
) -> Result<Vec<(Transfer, Difference)>> {
    let mut bases: BTreeMap<Arc<Path>, BTreeMap<PathBuf, Transfer>> = BTreeMap::new();
    for transfer in transfers {
        let expected = bases.entry(transfer.base.clone()).or_default();
        expected.insert(transfer.path.clone(), transfer.clone());
    }
    let mut found = Vec::new();
    for (base, expected) in bases {
        let directory = directory(runtime, container, &base).await?;
        let archive = runtime.copy_out(container, &directory.to_string_lossy());
        match present(archive).await? {
            Some(archive) => found.extend(read(archive, (base, trust), expected).await?),
            None => found.extend(missing(expected)),
        }
    }
    Ok(found)
}

/// Compares what is expected at and below a target with the archive of it.
async fn read(
    mut archive: BoxStream<'static, Result<Bytes>>,
    (base, trust): (Arc<Path>, Trust),
    expected: BTreeMap<PathBuf, Transfer>,
) -> Result<Vec<(Transfer, Difference)>> {
    let (sender, receiver) = channel(PIECES);
    let comparing = tokio::task::spawn_blocking(move || {
        let tar = Archive::new(Incoming::new(receiver));
        judge(tar, (&base, trust), expected)
    });
    let mut broken = None;
    while let Some(bytes) = archive.next().await {
        match bytes {
            Ok(bytes) => {
                if sender.send(bytes).await.is_err() {
                    break;
                }
            }
            Err(error) => {
                broken = Some(error);
                break;
            }
        }
    }
    drop(sender);
    let failed = |source| RuntimeError::Io { action: "compare an archive".to_owned(), source };
    let judged = comparing.await.map_err(|error| failed(io::Error::other(error)))?;
    match broken {
        Some(error) => Err(error),
        None => judged.map_err(failed),
    }
}

/// The archive, with its first piece looked at; `None`: there is nothing at its path.
async fn present(
    mut archive: crate::runtime::Stream<'static, Bytes>,
) -> Result<Option<BoxStream<'static, Result<Bytes>>>> {
    match archive.next().await {
        None | Some(Err(RuntimeError::NotFound(_))) => Ok(None),
        Some(Err(error)) => Err(error),
        Some(first) => Ok(Some(stream::once(async { first }).chain(archive).boxed())),
    }
}

fn missing(expected: BTreeMap<PathBuf, Transfer>) -> Vec<(Transfer, Difference)> {
    let there = expected.into_values().filter(|it| it.source.is_some());
    there.map(|transfer| (transfer, Difference::Missing)).collect()
}

fn judge(
    mut tar: Archive<Incoming>,
    (base, trust): (&Path, Trust),
    mut expected: BTreeMap<PathBuf, Transfer>,
) -> io::Result<Vec<(Transfer, Difference)>> {
    let mut found = Vec::new();
    for entry in tar.entries()? {
        let mut entry = entry?;
        let path = place(&entry.path()?, base);
        let Some(transfer) = expected.remove(&path) else { continue };
        let difference = match &transfer.source {
            None => {
                let is_ours = match &transfer.only {
                    Some(stamp) => is_still(&entry, stamp)?,
                    None => true,
                };
                is_ours.then_some(Difference::LeftOver)
            }
            Some(source) => against(&mut entry, source, trust)?,
        };
        found.extend(difference.map(|difference| (transfer, difference)));
    }
    found.extend(missing(expected));
    Ok(found)
}

/// Where an entry of the archive of a target lies: all names in it begin with the last one of what
/// was read, but for the root, which has none.
fn place(name: &Path, base: &Path) -> PathBuf {
    let named = |part: &std::path::Component<'_>| matches!(part, std::path::Component::Normal(_));
    let own = usize::from(base != Path::new("/"));
    base.components().chain(name.components().filter(named).skip(own)).collect()
}

fn against(
    entry: &mut tar::Entry<'_, Incoming>,
    source: &Path,
    trust: Trust,
) -> io::Result<Option<Difference>> {
    let Ok(here) = std::fs::symlink_metadata(source) else { return Ok(None) };
    let kind = entry.header().entry_type();
    let same_kind = match kind {
        EntryType::Directory => here.is_dir(),
        EntryType::Symlink => here.is_symlink(),
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => here.is_file(),
        // Another name of a file that came before: what is in it is not told again.
        EntryType::Link => return Ok(here.is_file().then_some(Difference::Content)),
        _ => false,
    };
    if !same_kind {
        return Ok(Some(Difference::Kind));
    }
    if here.is_symlink() {
        let other = entry.link_name()?.map(std::borrow::Cow::into_owned);
        let differs = std::fs::read_link(source).ok() != other;
        return Ok(differs.then_some(Difference::Content));
    }
    if here.is_dir() {
        return Ok(None);
    }
    if entry.size() != here.len() {
        return Ok(Some(Difference::Content));
    }
    let time = entry.header().mtime().ok().and_then(|time| i64::try_from(time).ok());
    let is_trusted = trust == Trust::Times && time == Some(here.mtime()) && here.mtime_nsec() == 0;
    if !is_trusted && !same_bytes(entry, source).unwrap_or(false) {
        return Ok(Some(Difference::Content));
    }
    let executable = here.permissions().mode() & 0o111 != 0;
    let differs = executable != (entry.header().mode()? & 0o111 != 0);
    Ok(differs.then_some(Difference::Mode))
}

/// Whether an entry still is as it was brought; nobody knows who made a directory.
fn is_still(entry: &tar::Entry<'_, Incoming>, stamp: &Stamp) -> io::Result<bool> {
    let header = entry.header();
    Ok(match (stamp, header.entry_type()) {
        (Stamp::File { size, modified }, EntryType::Regular) => {
            entry.size() == *size && i64::try_from(header.mtime()?) == Ok(modified.0)
        }
        (Stamp::Link(leads), EntryType::Symlink) => entry.link_name()?.as_deref() == Some(leads),
        _ => false,
    })
}

fn same_bytes(entry: &mut impl Read, source: &Path) -> io::Result<bool> {
    let mut file = File::open(source)?;
    let (mut left, mut right) = (Vec::with_capacity(PIECE), Vec::with_capacity(PIECE));
    loop {
        left.clear();
        right.clear();
        entry.take(PIECE as u64).read_to_end(&mut left)?;
        (&mut file).take(PIECE as u64).read_to_end(&mut right)?;
        if left != right || left.is_empty() {
            return Ok(left == right);
        }
    }
}
