//! `COPY` and `ADD`: files to the archive of a layer.
//!
//! In: what was selected, where it goes, and the files that are there already. Out: an archive,
//! written while the files are read.
//!
//! # Invariants
//!
//! - Directories that exist keep what they are: their entries say what the image says.
//! - Links in the image are followed for the target, and stay in the image; none below it is.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek as _, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{FileType, Stat, fstat, major, minor};
use tar::{Archive, Builder, EntryType, Header};

use super::context::Files;
use super::select::{Item, Selected};
use super::tree::{Tree, capabilities, kind};
use crate::runtime::native::image::{is_too_large, plain};
use crate::runtime::pieces::Exactly;

/// The rights of directories that are made on the way.
const DIRECTORY: u32 = 0o755;

/// What goes where.
#[derive(Debug)]
pub(super) struct Put {
    pub(super) sources: Vec<Source>,
    /// As the Dockerfile has it, variables substituted.
    pub(super) target: String,
    /// Where a relative target begins.
    pub(super) working_dir: String,
    pub(super) dress: Dress,
    /// Whether the directories of the sources come along.
    pub(super) parents: bool,
    /// The time of what is made on the way; no file is newer than `newest`.
    pub(super) now: u64,
    pub(super) newest: Option<u64>,
}

impl Put {
    /// A directory alone.
    pub(super) fn nothing(directory: &str, now: u64, newest: Option<u64>) -> Self {
        Self {
            sources: Vec::new(),
            target: format!("{directory}/"),
            working_dir: String::new(),
            dress: Dress::default(),
            parents: false,
            now,
            newest,
        }
    }
}

/// Owner and rights, where they are not those of the files.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Dress {
    pub(super) owner: Option<(u32, u32)>,
    pub(super) mode: Option<super::mode::Change>,
}

/// What is put.
#[derive(Debug)]
pub(super) enum Source {
    /// Files of a context or image.
    Files(Selected),
    /// A file of the Dockerfile.
    Text { name: String, content: String },
    /// A file that was fetched.
    Fetched { name: String, file: PathBuf, modified: Option<u64> },
    /// An archive whose files are put, and what it was when it was digested.
    Unpacked { file: File, name: String, stat: Option<Stat> },
}

/// Writes the archive. `view`: the files that are there; `None`: as if there were none.
pub(super) fn write(put: &Put, view: Option<&Tree>, out: impl Write) -> io::Result<()> {
    let mut builder = Builder::new(out);
    builder.mode(tar::HeaderMode::Complete);
    let target = target(put, view)?;
    let mut writer = Writer { builder, view, put, known: HashSet::new(), new: HashSet::new() };
    if put.sources.is_empty() {
        writer.parents(&target.path.join("x"))?;
    }
    for source in &put.sources {
        match source {
            Source::Files(selected) => writer.selected(selected, &target)?,
            Source::Text { name, content } => {
                let path = target.of(OsStr::new(name));
                let (size, mut content) = (content.len() as u64, content.as_bytes());
                writer.plain(&path, (0o644, put.now, size), &mut content)?;
            }
            Source::Fetched { name, file, modified } => {
                let mut file = File::open(file)?;
                let size = file.metadata()?.len();
                let time = modified.unwrap_or(put.now);
                let path = target.of(OsStr::new(name));
                writer.plain(&path, (0o600, time, size), &mut file)?;
            }
            Source::Unpacked { file, name, stat } => {
                let done = writer.unpacked((file, stat.as_ref()), &target.path);
                done.map_err(|error| about(Path::new(name), &error))?;
            }
        }
    }
    writer.builder.into_inner()?.flush()
}

/// Where files go.
struct Target {
    /// From the root, without links.
    path: PathBuf,
    is_directory: bool,
}

impl Target {
    fn of(&self, name: &OsStr) -> PathBuf {
        if self.is_directory { self.path.join(name) } else { self.path.clone() }
    }
}

fn target(put: &Put, view: Option<&Tree>) -> io::Result<Target> {
    let text = &put.target;
    let path = Path::new("/").join(&put.working_dir).join(text);
    let looks_like_one =
        text.ends_with('/') || text.ends_with("/.") || matches!(text.as_str(), "." | "");
    let place = match view {
        Some(view) => view.resolve(&path)?,
        None => super::tree::Place { path: clean(&path)?, found: None },
    };
    let is_directory = looks_like_one || place.is_directory() || place.path.as_os_str().is_empty();
    let is_one_file = |source: &Source| match source {
        Source::Files(selected) => !selected.is_directory,
        Source::Unpacked { .. } => false,
        Source::Text { .. } | Source::Fetched { .. } => true,
    };
    if !is_directory && put.sources.len() > 1 {
        let said = format!("several files go to `{text}`: a directory, which ends with `/`");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, said));
    }
    let needs_directory = is_directory || !put.sources.iter().all(is_one_file);
    if needs_directory && place.found.is_some() && !place.is_directory() {
        let said = format!("`{text}` is no directory in the image");
        return Err(io::Error::new(io::ErrorKind::NotADirectory, said));
    }
    Ok(Target { path: place.path, is_directory })
}

struct Writer<'a, W: Write> {
    builder: Builder<W>,
    view: Option<&'a Tree>,
    put: &'a Put,
    /// Directories that have their entry.
    known: HashSet<PathBuf>,
    /// Those of them that the image does not have.
    new: HashSet<PathBuf>,
}

impl<W: Write> Writer<'_, W> {
    fn selected(&mut self, selected: &Selected, target: &Target) -> io::Result<()> {
        let mut root =
            if selected.is_directory { target.path.clone() } else { target.of(&selected.name) };
        if self.put.parents {
            root = target.path.join(kept_parents(&selected.written));
        }
        for item in &selected.items {
            let path =
                if item.path.as_os_str().is_empty() { root.clone() } else { root.join(&item.path) };
            let done = self.item(selected, item, &path);
            done.map_err(|error| about(&selected.path(item), &error))?;
        }
        if selected.items.is_empty() {
            self.parents(&root.join("x"))?;
        }
        Ok(())
    }

    fn item(&mut self, selected: &Selected, item: &Item, path: &Path) -> io::Result<()> {
        self.parents(path)?;
        let is_top = item.path.as_os_str().is_empty();
        if kind(&item.stat) == FileType::Directory {
            return self.directory(selected, item, (path, is_top));
        }
        self.check_place(path)?;
        let mut header = self.header(&item.stat, &selected.files);
        let from = selected.path(item);
        match kind(&item.stat) {
            FileType::RegularFile => {
                let file = selected.files.tree.file(&from)?;
                check_unchanged(&file, &item.stat)?;
                let size = u64::try_from(item.stat.st_size).unwrap_or(0);
                header.set_size(size);
                if let Some(value) = capabilities(&file)? {
                    let key = "SCHILY.xattr.security.capability";
                    self.builder.append_pax_extensions([(key, &value[..])])?;
                }
                self.builder.append_data(&mut header, path, Exactly::new(&file, size))?;
                check_unchanged(&file, &item.stat)
            }
            FileType::Symlink => {
                header.set_entry_type(EntryType::Symlink);
                header.set_mode(0o777);
                self.builder.append_link(&mut header, path, selected.files.tree.link(&from)?)
            }
            FileType::CharacterDevice | FileType::BlockDevice => {
                let is_block = kind(&item.stat) == FileType::BlockDevice;
                header.set_entry_type(if is_block { EntryType::Block } else { EntryType::Char });
                header.set_device_major(major(item.stat.st_rdev))?;
                header.set_device_minor(minor(item.stat.st_rdev))?;
                self.builder.append_data(&mut header, path, io::empty())
            }
            _ => {
                header.set_entry_type(EntryType::Fifo);
                self.builder.append_data(&mut header, path, io::empty())
            }
        }
    }

    /// A directory of the source. The top one is what the image has at the target, else a new one.
    fn directory(
        &mut self,
        selected: &Selected,
        item: &Item,
        (path, is_top): (&Path, bool),
    ) -> io::Result<()> {
        let existing = match self.view {
            Some(view) if !self.is_below_new(path) => view.stat(path)?,
            _ => None,
        };
        let existing = existing.filter(|found| kind(found) == FileType::Directory);
        if path.as_os_str().is_empty() || (is_top && self.known.contains(path)) {
            return Ok(());
        }
        self.known.insert(path.to_owned());
        let mut header = match &existing {
            Some(found) if is_top => self.as_it_is(found),
            None if is_top && !self.put.parents => self.made(&item.stat),
            _ => self.header(&item.stat, &selected.files),
        };
        if existing.is_none() {
            self.new.insert(path.to_owned());
        }
        header.set_entry_type(EntryType::Directory);
        self.builder.append_data(&mut header, path, io::empty())
    }

    /// Writes the directories that lead to a path.
    fn parents(&mut self, path: &Path) -> io::Result<()> {
        check_names(path)?;
        let above: Vec<PathBuf> = path.ancestors().skip(1).map(Path::to_owned).collect();
        for directory in above.into_iter().rev() {
            if directory.as_os_str().is_empty() || !self.known.insert(directory.clone()) {
                continue;
            }
            let found = match self.view {
                Some(view) if !self.is_below_new(&directory) => view.stat(&directory)?,
                _ => None,
            };
            let mut header = match found {
                Some(found) if kind(&found) == FileType::Directory => self.as_it_is(&found),
                Some(_) => {
                    let said = format!("`/{}` is no directory in the image", directory.display());
                    return Err(io::Error::new(io::ErrorKind::NotADirectory, said));
                }
                None => {
                    self.new.insert(directory.clone());
                    self.own(DIRECTORY, self.put.now)
                }
            };
            header.set_entry_type(EntryType::Directory);
            self.builder.append_data(&mut header, &directory, io::empty())?;
        }
        Ok(())
    }

    fn is_below_new(&self, path: &Path) -> bool {
        path.parent().is_some_and(|parent| self.new.contains(parent))
    }

    /// Refuses a file where the image has a directory.
    fn check_place(&self, path: &Path) -> io::Result<()> {
        let Some(view) = self.view.filter(|_| !self.is_below_new(path)) else { return Ok(()) };
        let found = view.stat(path)?;
        if self.known.contains(path) || found.is_some_and(|it| kind(&it) == FileType::Directory) {
            let said =
                format!("`/{}` is a directory in the image, and this is a file", path.display());
            return Err(io::Error::new(io::ErrorKind::IsADirectory, said));
        }
        Ok(())
    }

    /// A file that has no file of this machine behind it: rights, time and size are given.
    fn plain(
        &mut self,
        path: &Path,
        (mode, time, size): (u32, u64, u64),
        content: &mut dyn Read,
    ) -> io::Result<()> {
        self.parents(path)?;
        self.check_place(path)?;
        let mode = self.put.dress.mode.map_or(mode, |change| change.apply(mode));
        let mut header = self.own(mode, time);
        header.set_size(size);
        self.builder.append_data(&mut header, path, content.take(size))
    }

    /// The files of an archive that is still what it was.
    fn unpacked(&mut self, (file, stat): (&File, Option<&Stat>), target: &Path) -> io::Result<()> {
        let check = || stat.map_or(Ok(()), |stat| check_unchanged(file, stat));
        check()?;
        let mut archive = file.try_clone()?;
        archive.rewind()?;
        self.archive(archive, target)?;
        check()
    }

    /// The files of an archive.
    fn archive(&mut self, file: File, target: &Path) -> io::Result<()> {
        self.parents(&target.join("x"))?;
        let mut archive = Archive::new(plain(file)?);
        for entry in archive.entries()? {
            let mut entry = entry?;
            let below = clean(&Path::new("/").join(entry.path()?))?;
            if below.as_os_str().is_empty() {
                continue;
            }
            let path = self.place_of(&target.join(below))?;
            self.parents(&path)?;
            let mut header = entry.header().clone();
            let kind = header.entry_type();
            header.set_mtime(self.limit(header.mtime().unwrap_or(0)));
            if let Some((uid, gid)) = self.put.dress.owner {
                header.set_uid(uid.into());
                header.set_gid(gid.into());
            }
            if kind.is_dir() {
                self.known.insert(path.clone());
            }
            if kind.is_hard_link() || kind.is_symlink() {
                let Some(to) = entry.link_name()? else { continue };
                let to = if kind.is_hard_link() {
                    self.place_of(&target.join(clean(&Path::new("/").join(to))?))?
                } else {
                    to.into_owned()
                };
                self.builder.append_link(&mut header, &path, to)?;
            } else if kind.is_file() || kind.is_contiguous() || kind.is_gnu_sparse() {
                header.set_entry_type(EntryType::Regular);
                header.set_size(entry.size());
                let size = entry.size();
                self.builder.append_data(&mut header, &path, (&mut entry).take(size))?;
            } else if kind.is_dir()
                || kind.is_fifo()
                || kind.is_character_special()
                || kind.is_block_special()
            {
                header.set_size(0);
                self.builder.append_data(&mut header, &path, io::empty())?;
            }
        }
        Ok(())
    }

    /// A path whose parents may be links in the image.
    fn place_of(&self, path: &Path) -> io::Result<PathBuf> {
        let (Some(view), Some(parent), Some(name)) = (self.view, path.parent(), path.file_name())
        else {
            return Ok(path.to_owned());
        };
        if self.known.contains(parent) {
            return Ok(path.to_owned());
        }
        Ok(view.resolve(parent)?.path.join(name))
    }

    /// The header of a file of a source.
    fn header(&self, found: &Stat, files: &Files) -> Header {
        let mut header = self.as_it_is(found);
        let own = if files.is_context() { (0, 0) } else { (found.st_uid, found.st_gid) };
        let (uid, gid) = self.put.dress.owner.unwrap_or(own);
        header.set_uid(uid.into());
        header.set_gid(gid.into());
        if let Some(change) = self.put.dress.mode {
            header.set_mode(change.apply(found.st_mode & 0o7777));
        }
        header
    }

    /// The header of the directory that files of a directory are put into, and that comes to be by
    /// that: who may enter the source says nothing about it.
    fn made(&self, source: &Stat) -> Header {
        let mode = self.put.dress.mode.map_or(DIRECTORY, |change| change.apply(DIRECTORY));
        self.own(mode, u64::try_from(source.st_mtime).unwrap_or(0))
    }

    fn as_it_is(&self, found: &Stat) -> Header {
        let mut header = Header::new_gnu();
        header.set_mode(found.st_mode & 0o7777);
        header.set_uid(found.st_uid.into());
        header.set_gid(found.st_gid.into());
        header.set_mtime(self.limit(u64::try_from(found.st_mtime).unwrap_or(0)));
        header.set_size(0);
        header
    }

    /// The header of something that is made here.
    fn own(&self, mode: u32, time: u64) -> Header {
        let mut header = Header::new_gnu();
        let (uid, gid) = self.put.dress.owner.unwrap_or((0, 0));
        header.set_mode(mode);
        header.set_uid(uid.into());
        header.set_gid(gid.into());
        header.set_mtime(self.limit(time));
        header.set_size(0);
        header
    }

    fn limit(&self, time: u64) -> u64 {
        self.put.newest.map_or(time, |newest| time.min(newest))
    }
}

/// Fails if a file is not any more what was digested: the layer would be found under inputs that it
/// was not made of.
fn check_unchanged(file: &File, digested: &Stat) -> io::Result<()> {
    let now = fstat(file)?;
    let of = |it: &Stat| (it.st_size, it.st_mtime, it.st_mtime_nsec, it.st_ctime, it.st_ctime_nsec);
    if of(&now) == of(digested) {
        Ok(())
    } else {
        Err(io::Error::other("it was changed while it was read"))
    }
}

/// What `--parents` keeps of a path: all, or what follows `/./`.
fn kept_parents(written: &Path) -> PathBuf {
    let bytes = written.as_os_str().as_bytes();
    let pivot = bytes.windows(3).position(|three| three == b"/./").map_or(0, |at| at + 3);
    let kept = Path::new(OsStr::from_bytes(&bytes[pivot..]));
    kept.components().filter(|part| matches!(part, Component::Normal(_))).collect()
}

/// A path from the root without `.` and `..`; refused if it leads out.
fn clean(path: &Path) -> io::Result<PathBuf> {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir if !clean.pop() => {
                let said = format!("`{}` leads out of the image", path.display());
                return Err(io::Error::new(io::ErrorKind::InvalidInput, said));
            }
            _ => {}
        }
    }
    Ok(clean)
}

/// Refuses names that would remove files of the image instead of being put there.
fn check_names(path: &Path) -> io::Result<()> {
    let is_mark = |name: &OsStr| name.as_bytes().starts_with(b".wh.");
    match path.iter().find(|name| is_mark(name)) {
        None => Ok(()),
        Some(name) => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("`{}`: in layers `.wh.` begins the marks of removed files", name.display()),
        )),
    }
}

fn about(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("`{}`: {error}", path.display()))
}

/// Whether a file is an archive that `ADD` unpacks.
pub(super) fn is_archive(file: &File) -> io::Result<bool> {
    let mut file = file.try_clone()?;
    file.rewind()?;
    let mut block = Vec::new();
    match plain(file) {
        Err(_) => return Ok(false),
        Ok(bytes) => match bytes.take(512).read_to_end(&mut block) {
            Err(error) if is_too_large(&error) => return Err(error),
            Err(_) => return Ok(false),
            Ok(_) => {}
        },
    }
    let Ok(block) = <[u8; 512]>::try_from(block) else { return Ok(false) };
    let header = Header::from_byte_slice(&block);
    let sum: u32 = block
        .iter()
        .enumerate()
        .map(|(at, byte)| if (148..156).contains(&at) { u32::from(b' ') } else { u32::from(*byte) })
        .sum();
    Ok(block[0] != 0 && header.cksum().is_ok_and(|found| found == sum))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::select::{Wanted, select};
    use super::*;
    use crate::model::ignore::Patterns;

    /// Writes all of a directory, in which something happens after it was looked at.
    fn written(name: &str, happens: impl FnOnce(&Path)) -> io::Result<()> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, "one").unwrap();
        let files = Arc::new(Files::context(folder.path(), None, None).unwrap());
        let exclude = Patterns::default();
        let found = select(&files, &Wanted { source: ".", exclude: &exclude }).unwrap();
        happens(&path);
        let sources = found.into_iter().map(Source::Files).collect();
        write(&Put { sources, ..Put::nothing("to", 0, None) }, None, io::sink())
    }

    #[test]
    fn what_was_changed_since_it_was_digested_is_refused() {
        written("f", |_| ()).unwrap();
        let error = written("f", |path| std::fs::write(path, "another").unwrap()).unwrap_err();
        assert_eq!(error.to_string(), "`f`: it was changed while it was read");
    }

    #[test]
    fn names_that_would_remove_files_of_the_image_are_refused() {
        let error = written(".wh.passwd", |_| ()).unwrap_err().to_string();
        assert!(error.contains("`.wh.` begins the marks of removed files"), "{error}");
    }
}
