//! Files of a container to an archive.
//!
//! In: the root of a container and a path. Out: a tar archive of what lies there.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::{self, Read as _, Write};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Dir, FileType, Mode, OFlags, ResolveFlags, Stat, fstat, openat2, readlinkat};
use rustix::io::Errno;
use tar::{Builder, EntryType, Header};

use super::failed;
use crate::runtime::Result;

/// What the names in the archive begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Naming {
    /// The last name of the path.
    LastName,
    /// Nothing: the path is the root.
    Root,
}

/// Packs what lies at a path.
pub(super) fn pack(
    root: BorrowedFd<'_>,
    (path, naming): (&str, Naming),
    archive: impl Write,
) -> Result<()> {
    let base = super::open(root, path, OFlags::PATH | OFlags::NOFOLLOW);
    let base = base.map_err(|error| failed("read", path, error))?;
    let name = match (naming, Path::new(path).file_name()) {
        (Naming::LastName, Some(name)) => PathBuf::from(name),
        (Naming::LastName, None) => PathBuf::from("."),
        (Naming::Root, _) => PathBuf::new(),
    };
    let mut packing = Packing { builder: Builder::new(archive), links: HashMap::new(), naming };
    let packed = packing.all(&base, &name).and_then(|()| packing.builder.into_inner());
    let flushed = packed.and_then(|mut archive| archive.flush());
    match flushed {
        // Nobody listens any more.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done.map_err(|error| failed("read", path, error)),
    }
}

struct Packing<W: Write> {
    builder: Builder<W>,
    /// Files with several names, by device and number: the name that was packed.
    links: HashMap<(u64, u64), PathBuf>,
    naming: Naming,
}

impl<W: Write> Packing<W> {
    /// Packs what is open and all below it.
    fn all(&mut self, base: &OwnedFd, name: &Path) -> io::Result<()> {
        let stat = fstat(base)?;
        self.one(base, Path::new("."), (name, &stat))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            return Ok(());
        }
        // Paths below the base that are still to be packed, the next one last.
        let mut waiting = children(base, Path::new("."))?;
        while let Some(path) = waiting.pop() {
            match self.below(base, &path, name) {
                Ok(more) => waiting.extend(more),
                // It was removed meanwhile.
                Err(error) if is_gone(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Packs what lies below the base; gives what lies below that.
    fn below(&mut self, base: &OwnedFd, path: &Path, name: &Path) -> io::Result<Vec<PathBuf>> {
        let file = open_below(base, path, OFlags::PATH | OFlags::NOFOLLOW)?;
        let stat = fstat(&file)?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        let name = name.join(path);
        if self.is_left_out(base, path, &file)? {
            self.placeholder(kind, (&name, &stat))?;
            return Ok(Vec::new());
        }
        self.one(base, path, (&name, &stat))?;
        if kind == FileType::Directory { children(base, path) } else { Ok(Vec::new()) }
    }

    /// Whether something is mounted there that is no part of what is packed: with the whole file
    /// system nothing that is mounted is, and what the kernel makes up never is.
    fn is_left_out(&self, base: &OwnedFd, path: &Path, file: &OwnedFd) -> io::Result<bool> {
        if self.naming == Naming::Root {
            let resolve = BELOW | ResolveFlags::NO_XDEV;
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            return match openat2(base, path, flags, Mode::empty(), resolve) {
                Err(Errno::XDEV) => Ok(true),
                found => found.map(|_| false).map_err(io::Error::from),
            };
        }
        let kind = |file: &OwnedFd| rustix::fs::fstatfs(file).map(|found| found.f_type);
        let (own, there) = (kind(base)?, kind(file)?);
        Ok(own != there && MADE_UP.iter().any(|made_up| i128::from(there) == *made_up))
    }

    /// Stands for what is left out: an empty directory or file, as it is below the mount.
    fn placeholder(&mut self, kind: FileType, (name, stat): (&Path, &Stat)) -> io::Result<()> {
        let mut header = header(stat, kind);
        header.set_size(0);
        match kind {
            FileType::Directory => {
                let mut name = name.as_os_str().to_owned();
                name.push("/");
                self.builder.append_data(&mut header, name, io::empty())
            }
            FileType::RegularFile => self.builder.append_data(&mut header, name, io::empty()),
            _ => Ok(()),
        }
    }

    /// Packs one file.
    fn one(&mut self, base: &OwnedFd, path: &Path, (name, stat): (&Path, &Stat)) -> io::Result<()> {
        if name.as_os_str().is_empty() {
            return Ok(());
        }
        let kind = FileType::from_raw_mode(stat.st_mode);
        let mut header = header(stat, kind);
        if kind != FileType::Directory && stat.st_nlink > 1 {
            if let Some(first) = self.links.get(&(stat.st_dev, stat.st_ino)) {
                header.set_entry_type(EntryType::Link);
                header.set_size(0);
                return self.builder.append_link(&mut header, name, first);
            }
            self.links.insert((stat.st_dev, stat.st_ino), name.to_owned());
        }
        match kind {
            FileType::Directory => {
                let mut name = name.as_os_str().to_owned();
                name.push("/");
                self.builder.append_data(&mut header, name, io::empty())
            }
            FileType::Symlink => {
                let file = open_self(base, path, OFlags::PATH | OFlags::NOFOLLOW)?;
                let target = readlinkat(&file, "", Vec::new())?;
                let target = Path::new(OsStr::from_bytes(target.as_bytes()));
                self.builder.append_link(&mut header, name, target)
            }
            FileType::RegularFile => {
                let file =
                    open_self(base, path, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK)?;
                let size = header.size()?;
                // As many bytes as were promised, whatever becomes of the file meanwhile.
                let content = std::fs::File::from(file).chain(io::repeat(0)).take(size);
                self.builder.append_data(&mut header, name, content)
            }
            // Nobody can use the socket of somebody else's process.
            FileType::Socket | FileType::Unknown => Ok(()),
            _ => self.builder.append_data(&mut header, name, io::empty()),
        }
    }
}

fn header(stat: &Stat, kind: FileType) -> Header {
    let mut header = Header::new_gnu();
    header.set_mode(stat.st_mode & 0o7777);
    header.set_uid(stat.st_uid.into());
    header.set_gid(stat.st_gid.into());
    header.set_mtime(u64::try_from(stat.st_mtime).unwrap_or(0));
    header.set_size(0);
    header.set_entry_type(match kind {
        FileType::Directory => EntryType::Directory,
        FileType::Symlink => EntryType::Symlink,
        FileType::CharacterDevice => EntryType::Char,
        FileType::BlockDevice => EntryType::Block,
        FileType::Fifo => EntryType::Fifo,
        _ => EntryType::Regular,
    });
    if kind == FileType::RegularFile {
        header.set_size(u64::try_from(stat.st_size).unwrap_or(0));
    }
    if matches!(kind, FileType::CharacterDevice | FileType::BlockDevice) {
        // Headers of this form have room for them.
        let _ = header.set_device_major(rustix::fs::major(stat.st_rdev));
        let _ = header.set_device_minor(rustix::fs::minor(stat.st_rdev));
    }
    header
}

/// The base itself, or what lies below it.
fn open_self(base: &OwnedFd, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    if path != Path::new(".") {
        return open_below(base, path, flags);
    }
    if flags.contains(OFlags::PATH) {
        return base.try_clone();
    }
    // The base is open as a place only; its own number leads to it again.
    let own = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(base));
    let flags = flags.difference(OFlags::NOFOLLOW) | OFlags::CLOEXEC;
    Ok(rustix::fs::open(own, flags, Mode::empty())?)
}

fn open_below(base: &OwnedFd, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    Ok(openat2(base, path, flags | OFlags::CLOEXEC, Mode::empty(), BELOW)?)
}

/// How paths below the base are resolved.
const BELOW: ResolveFlags =
    ResolveFlags::BENEATH.union(ResolveFlags::NO_MAGICLINKS).union(ResolveFlags::NO_SYMLINKS);

/// File systems that the kernel makes up: `proc`, `sysfs`, both versions of `cgroup`, `devpts`.
const MADE_UP: [i128; 5] = [0x9fa0, 0x6265_6572, 0x0027_e0eb, 0x6367_7270, 0x1cd1];

fn is_gone(error: &io::Error) -> bool {
    let is_process_gone = error.raw_os_error() == Some(Errno::SRCH.raw_os_error());
    error.kind() == io::ErrorKind::NotFound || is_process_gone
}

/// The paths of what is in a directory, the last one first.
fn children(base: &OwnedFd, path: &Path) -> io::Result<Vec<PathBuf>> {
    let directory = open_below(base, path, OFlags::RDONLY | OFlags::DIRECTORY)?;
    let mut found = Vec::new();
    for entry in Dir::read_from(directory.as_fd())? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            let path = path.join(OsStr::from_bytes(name));
            found.push(path.strip_prefix(".").map(Path::to_owned).unwrap_or(path));
        }
    }
    found.sort_by(|a, b| b.cmp(a));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use super::{Naming, pack};

    fn names(root: &std::path::Path, path: &str, naming: Naming) -> Vec<String> {
        let open = std::fs::File::open(root).unwrap();
        let mut bytes = Vec::new();
        pack(open.as_fd(), (path, naming), &mut bytes).unwrap();
        let mut archive = tar::Archive::new(&bytes[..]);
        let entries = archive.entries().unwrap();
        entries
            .map(|entry| {
                let entry = entry.unwrap();
                let kind = entry.header().entry_type();
                format!("{} {kind:?} {}", entry.path().unwrap().display(), entry.size())
            })
            .collect()
    }

    #[test]
    fn what_lies_at_a_path_is_packed_and_links_stay_links() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        std::fs::create_dir_all(at("d/e")).unwrap();
        std::fs::write(at("d/a"), "one").unwrap();
        std::fs::hard_link(at("d/a"), at("d/b")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", at("d/e/l")).unwrap();
        let all = names(root.path(), "/d", Naming::LastName);
        let expected = [
            "d/ Directory 0",
            "d/a Regular 3",
            "d/b Link 0",
            "d/e/ Directory 0",
            "d/e/l Symlink 0",
        ];
        assert_eq!(all, expected);
        assert_eq!(names(root.path(), "/d/a", Naming::LastName), ["a Regular 3"]);
        assert_eq!(names(root.path(), "/", Naming::Root)[0], "d/ Directory 0");
        let open = std::fs::File::open(root.path()).unwrap();
        assert!(pack(open.as_fd(), ("/no", Naming::LastName), Vec::new()).is_err());
    }
}
