//! An archive to a directory as overlayfs takes it.
//!
//! In: a stream without compression, and the layers below where they are known. Out: `root`, and
//! what makes the same archive again.
//!
//! # Invariants
//!
//! - What an entry replaces is moved to `kept`, not removed: the recipe may name it.
//! - A file is made new with `O_EXCL`: nothing is written through what exists.
//! - No archive sets attributes that steer overlayfs.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, Timespec, Uid, XattrFlags, chownat, fchmod, fchown,
    fsetxattr, futimens, linkat, lsetxattr, makedev, mknodat, openat, renameat, symlinkat,
    unlinkat, utimensat,
};
use rustix::io::Errno;

use super::super::digest::Hashing;
use super::super::overlay::{
    Privilege, copy_attributes, is_whiteout, make_opaque, stat, steers_overlay, times, whiteout,
};
use super::super::record::LayerInfo;
use super::archive::Move;
use super::beneath::{Directory, Tree, make, open, refused};
use super::entry::{Entry, Kind};
use super::limits::{CHECK, Limits, check_space};
use super::lower::Below;
use super::reader::Reader;
use super::recipe::Writer;
use super::sparse::Sparse;

/// The mark of AUFS, which the image specification took over.
const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
const AUFS: &[u8] = b".wh..wh.";

/// How much is copied at once.
const BUFFER: usize = 128 << 10;

/// How an archive is unpacked.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Job<'a> {
    /// The empty directory for `root` and what belongs to it.
    pub(in super::super) into: &'a Path,
    /// The layers below, lowest first; `None`: they are not known yet.
    pub(in super::super) lowers: Option<&'a [PathBuf]>,
    pub(in super::super) limits: Limits,
}

/// Unpacks an archive to the end of the stream.
pub(in super::super) fn unpack(archive: impl Read, job: &Job<'_>) -> io::Result<LayerInfo> {
    let privilege = Privilege::own();
    let root = job.into.join("root");
    let kept = job.into.join("kept");
    for directory in [&root, &kept] {
        fs::create_dir(directory)?;
    }
    let (root, kept) = (open(CWD, root.as_os_str())?, open(CWD, kept.as_os_str())?);
    fchmod(&root, Mode::from_raw_mode(0o755))?;
    let recipe = Writer::create(&job.into.join("recipe.gz"))?;
    let mut unpacker = Unpacker {
        reader: Reader::new(Hashing::new(archive), recipe, job.limits),
        tree: Tree::new(root, job.lowers, privilege),
        kept,
        moves: Vec::new(),
        late: Vec::new(),
        privilege,
        limits: job.limits,
        buffer: vec![0; BUFFER],
        size: 0,
        unchecked: CHECK,
    };
    while let Some(entry) = unpacker.reader.next()? {
        let done = unpacker.take(&entry);
        done.map_err(|error| about(&entry.path, error))?;
    }
    unpacker.finish(job.into)
}

/// Says which entry it was.
fn about(path: &Path, error: io::Error) -> io::Error {
    if super::NeedsLower::is_why(&error) {
        return error;
    }
    let shown: String = path.to_string_lossy().chars().take(200).collect();
    io::Error::new(error.kind(), format!("entry {shown:?}: {error}"))
}

struct Unpacker<'a, R> {
    reader: Reader<Hashing<R>>,
    tree: Tree<'a>,
    /// What was replaced.
    kept: OwnedFd,
    moves: Vec<Move>,
    /// Directories get these when nothing changes in them any more.
    late: Vec<(PathBuf, u32, Timespec)>,
    privilege: Privilege,
    limits: Limits,
    buffer: Vec<u8>,
    /// Bytes of files.
    size: u64,
    /// Bytes that may be written before the space is looked at.
    unchecked: u64,
}

/// Whether something of a name was there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    Nothing,
    Replaced,
}

impl<R: Read> Unpacker<'_, R> {
    /// Unpacks one entry with its content.
    fn take(&mut self, entry: &Entry) -> io::Result<()> {
        let names = super::beneath::names(&entry.path)?;
        let (parent, name) = match names.split_last() {
            _ if entry.kind == Kind::Ignored => return self.reader.skip(entry.size),
            Some((name, parents)) => (parents.iter().collect::<PathBuf>(), name.as_os_str()),
            None if entry.kind == Kind::Directory => {
                return self.root(entry);
            }
            None => return Err(refused("the root of a layer is a directory")),
        };
        let parent = self.tree.directory(&parent)?;
        if name.as_bytes().starts_with(WHITEOUT) {
            self.mark(&parent, name)?;
            return self.reader.skip(entry.size);
        }
        match &entry.kind {
            Kind::File => return self.file(&parent, name, entry),
            Kind::Sparse(sparse) => return self.sparse(&parent, name, entry, sparse.clone()),
            Kind::Directory => self.directory(&parent, name, entry)?,
            Kind::HardLink(target) => self.link(&parent, name, target)?,
            Kind::Ignored => {}
            kind => {
                self.replace(&parent, name)?;
                if self.node(&parent, name, kind, entry)? {
                    self.dress_node(&parent, name, entry)?;
                }
            }
        }
        Ok(())
    }

    /// The entry of the layer's own root.
    fn root(&mut self, entry: &Entry) -> io::Result<()> {
        self.own(self.tree.root(), entry)?;
        set_attributes(self.tree.root(), entry, self.privilege)?;
        self.late.push((PathBuf::new(), entry.mode, entry.modified));
        Ok(())
    }

    /// Puts what a whiteout of the archive means.
    fn mark(&mut self, parent: &Directory, name: &OsStr) -> io::Result<()> {
        let bytes = name.as_bytes();
        if bytes == OPAQUE {
            self.tree.forget();
            return make_opaque(parent, self.privilege);
        }
        if bytes.starts_with(AUFS) {
            return Ok(());
        }
        let hidden = OsStr::from_bytes(&bytes[WHITEOUT.len()..]);
        if hidden.is_empty() || hidden == "." || hidden == ".." {
            return Err(refused("it removes nothing that has a name"));
        }
        match stat(parent, hidden)? {
            None => whiteout(parent, hidden),
            // It is about lower layers: what this one has stays.
            Some(found) if FileType::from_raw_mode(found.st_mode) == FileType::Directory => {
                self.tree.forget();
                make_opaque(open(parent, hidden)?, self.privilege)
            }
            Some(_) => Ok(()),
        }
    }

    /// Moves away what is in the way of something new.
    fn replace(&mut self, parent: &Directory, name: &OsStr) -> io::Result<Before> {
        let Some(found) = stat(parent, name)? else { return Ok(Before::Nothing) };
        if is_whiteout(&found) {
            unlinkat(parent, name, AtFlags::empty())?;
            return Ok(Before::Replaced);
        }
        let place = OsString::from(self.moves.len().to_string());
        renameat(parent, name, &self.kept, &place)?;
        self.moves.push(Move { after: self.reader.named(), path: parent.path.join(name) });
        self.tree.forget();
        Ok(Before::Replaced)
    }

    fn directory(&mut self, parent: &Directory, name: &OsStr, entry: &Entry) -> io::Result<()> {
        let found = stat(parent, name)?;
        let is_there = found
            .is_some_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::Directory);
        let directory = if is_there {
            open(parent, name)?
        } else {
            let before = self.replace(parent, name)?;
            let made = make(parent, name)?;
            if before == Before::Replaced {
                // What was there hid what lower layers have; so does this.
                make_opaque(&made, self.privilege)?;
            }
            made
        };
        self.own(&directory, entry)?;
        set_attributes(&directory, entry, self.privilege)?;
        self.late.push((parent.path.join(name), entry.mode, entry.modified));
        Ok(())
    }

    fn file(&mut self, parent: &Directory, name: &OsStr, entry: &Entry) -> io::Result<()> {
        self.grow(entry.size)?;
        let mut file = self.create(parent, name)?;
        self.reader.name_content(&parent.path.join(name), entry.size)?;
        let mut left = entry.size;
        while left > 0 {
            let room = usize::try_from(left).map_or(BUFFER, |left| left.min(BUFFER));
            let count = self.reader.content(&mut self.buffer[..room])?;
            if count == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it is cut off"));
            }
            file.write_all(&self.buffer[..count])?;
            left -= count as u64;
        }
        self.reader.padding(entry.size)?;
        self.dress(&file, entry)
    }

    fn sparse(
        &mut self,
        parent: &Directory,
        name: &OsStr,
        entry: &Entry,
        mut sparse: Sparse,
    ) -> io::Result<()> {
        let map = sparse.complete(&mut self.reader.recorded())?;
        let content = entry.size.checked_sub(map).ok_or_else(|| refused("its map is too long"))?;
        sparse.check(content)?;
        self.grow(content)?;
        if sparse.size > self.limits.bytes {
            return Err(self.limits.too_large());
        }
        let mut file = self.create(parent, name)?;
        for (offset, length) in &sparse.pieces {
            file.seek(SeekFrom::Start(*offset))?;
            // Content is recorded as it is: in the archive it is not in one piece.
            let copied = io::copy(&mut self.reader.recorded().take(*length), &mut file)?;
            if copied != *length {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it is cut off"));
            }
        }
        file.set_len(sparse.size)?;
        self.reader.padding(entry.size)?;
        self.dress(&file, entry)
    }

    /// Makes a file; what was there goes.
    fn create(&mut self, parent: &Directory, name: &OsStr) -> io::Result<File> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let create = || openat(parent, name, flags, Mode::RUSR | Mode::WUSR);
        match create() {
            Err(Errno::EXIST) => {
                self.replace(parent, name)?;
                Ok(create()?.into())
            }
            done => Ok(done?.into()),
        }
    }

    fn link(&mut self, parent: &Directory, name: &OsStr, target: &Path) -> io::Result<()> {
        let names = super::beneath::names(target)?;
        let (last, parents) = names.split_last().ok_or_else(|| refused("it links to the root"))?;
        let from = self.tree.directory(&parents.iter().collect::<PathBuf>())?;
        if from.path == parent.path && last == name {
            return Err(refused("it links to itself"));
        }
        match stat(&from, last)? {
            Some(found) if is_whiteout(&found) => Err(refused("it links to what was removed")),
            Some(_) => {
                self.replace(parent, name)?;
                Ok(linkat(&from, last.as_os_str(), parent, name, AtFlags::empty())?)
            }
            None => self.copy_up(&from, last, parent, name),
        }
    }

    /// What is linked to is in a layer below: it is copied, as an overlay would.
    fn copy_up(
        &mut self,
        from: &Directory,
        target: &OsStr,
        parent: &Directory,
        name: &OsStr,
    ) -> io::Result<()> {
        let (lower, found) = match self.tree.below(from, target)? {
            Below::Other(lower, found) if FileType::from_raw_mode(found.st_mode).is_file() => {
                (lower, found)
            }
            Below::Nothing => return Err(refused("it links to nothing")),
            _ => return Err(refused("it links to something below that is no file")),
        };
        self.grow(u64::try_from(found.st_size).unwrap_or(0))?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut original = File::from(openat(&lower, target, flags, Mode::empty())?);
        let mut file = self.create(parent, name)?;
        io::copy(&mut original, &mut file)?;
        copy_attributes(&original, &found, &file, self.privilege)
    }

    /// Makes what is neither file nor directory; says whether it could be.
    fn node(
        &mut self,
        parent: &Directory,
        name: &OsStr,
        kind: &Kind,
        entry: &Entry,
    ) -> io::Result<bool> {
        let mode = Mode::from_raw_mode(entry.mode);
        let (kind, device) = match kind {
            Kind::Symlink(target) => {
                symlinkat(target.as_path(), parent, name)?;
                return Ok(true);
            }
            Kind::CharacterDevice(major, minor) => (FileType::CharacterDevice, (*major, *minor)),
            Kind::BlockDevice(major, minor) => (FileType::BlockDevice, (*major, *minor)),
            _ => (FileType::Fifo, (0, 0)),
        };
        match mknodat(parent, name, kind, mode, makedev(device.0, device.1)) {
            // Only root makes devices; containers of others have none of their own anyway.
            Err(Errno::PERM) if self.privilege == Privilege::User => Ok(false),
            done => done.map(|()| true).map_err(Into::into),
        }
    }

    /// Gives what is not opened its owner, attributes and time.
    fn dress_node(&self, parent: &Directory, name: &OsStr, entry: &Entry) -> io::Result<()> {
        let (uid, gid) = owner(entry);
        let is_link = matches!(entry.kind, Kind::Symlink(_));
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        if self.privilege == Privilege::Root {
            chownat(parent, name, Some(uid), Some(gid), flags)?;
        }
        if !is_link {
            // It is no link, and nobody else is here to make it one.
            let mode = Mode::from_raw_mode(entry.mode);
            rustix::fs::chmodat(parent, name, mode, AtFlags::empty())?;
        }
        if !entry.attributes.is_empty() {
            // There is no call that takes a directory and a name; this is the same.
            use std::os::fd::AsRawFd as _;
            let parent = parent.as_fd().as_raw_fd();
            let path = Path::new("/proc/self/fd").join(parent.to_string()).join(name);
            for (key, value) in &entry.attributes {
                let set = || lsetxattr(&path, key.as_c_str(), value, XattrFlags::empty());
                attribute(key, self.privilege, set)?;
            }
        }
        Ok(utimensat(parent, name, &times(entry.modified), flags)?)
    }

    /// Gives a file owner, permissions, attributes and time, in the order in which none undoes
    /// another.
    fn dress(&self, file: &File, entry: &Entry) -> io::Result<()> {
        self.own(file, entry)?;
        let own = if self.privilege == Privilege::User { 0o400 } else { 0 };
        fchmod(file, Mode::from_raw_mode(entry.mode | own))?;
        set_attributes(file, entry, self.privilege)?;
        Ok(futimens(file, &times(entry.modified))?)
    }

    fn own(&self, file: impl AsFd, entry: &Entry) -> io::Result<()> {
        let (uid, gid) = owner(entry);
        match self.privilege {
            Privilege::Root => Ok(fchown(file, Some(uid), Some(gid))?),
            Privilege::User => Ok(()),
        }
    }

    /// Counts what is about to be written.
    fn grow(&mut self, bytes: u64) -> io::Result<()> {
        self.size = self.size.saturating_add(bytes);
        if self.size > self.limits.bytes {
            return Err(self.limits.too_large());
        }
        self.unchecked = self.unchecked.saturating_sub(bytes);
        if self.unchecked == 0 {
            self.unchecked = CHECK;
            check_space(&self.kept)?;
        }
        Ok(())
    }

    /// Gives directories what they get last, and writes down what the recipe needs.
    fn finish(self, into: &Path) -> io::Result<LayerInfo> {
        // Whoever unpacks for itself must be able to remove it again.
        let own = if self.privilege == Privilege::User { 0o700 } else { 0 };
        for (path, mode, modified) in self.late.iter().rev() {
            // One that was replaced later is not there any more.
            let Some(directory) = self.tree.existing(path)? else { continue };
            fchmod(&directory, Mode::from_raw_mode(mode | own))?;
            futimens(&directory, &times(*modified))?;
        }
        if self.moves.is_empty() {
            fs::remove_dir(into.join("kept"))?;
        } else {
            Move::write(&self.moves, &into.join("moved"))?;
        }
        let size = self.size;
        let (diff_id, archive_size) = self.reader.finish()?.finish();
        Ok(LayerInfo { diff_id, archive_size, size })
    }
}

fn owner(entry: &Entry) -> (Uid, Gid) {
    (Uid::from_raw(entry.uid), Gid::from_raw(entry.gid))
}

/// Gives an open file its extended attributes.
fn set_attributes(file: impl AsFd, entry: &Entry, privilege: Privilege) -> io::Result<()> {
    let file = file.as_fd();
    for (key, value) in &entry.attributes {
        attribute(key, privilege, || fsetxattr(file, key.as_c_str(), value, XattrFlags::empty()))?;
    }
    Ok(())
}

/// Sets an attribute, unless it steers overlayfs, or the file system or the user cannot have it.
fn attribute(
    key: &std::ffi::CStr,
    privilege: Privilege,
    set: impl FnOnce() -> rustix::io::Result<()>,
) -> io::Result<()> {
    if steers_overlay(key.to_bytes()) {
        return Ok(());
    }
    match set() {
        Ok(()) | Err(Errno::OPNOTSUPP) => Ok(()),
        Err(Errno::PERM) if privilege == Privilege::User => Ok(()),
        Err(error) => {
            let error = io::Error::from(error);
            Err(io::Error::new(error.kind(), format!("attribute {key:?}: {error}")))
        }
    }
}
