//! The step that `COPY` and `ADD` are.
//!
//! In: a [`Transfer`] with its variables substituted, and where its files are. Out: a layer.
//!
//! # Invariants
//!
//! - Files of a stage are looked at only if that stage, as it is now, was not looked at before.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::Digest as _;

use super::context::{Files, read_bytes};
use super::dockerfile::{Transfer, TransferKind};
use super::fetch::Fetched;
use super::inputs::{Seen, Wants};
use super::job::{Came, Job, Key, failed};
use super::mode::Change;
use super::sandbox::view;
use super::select::{Owners, Selected, Wanted, select};
use super::transfer::{Dress, Put, Source, is_archive, write};
use super::tree::{Tree, kind};
use crate::model::ignore::Patterns;
use crate::runtime::native::container;
use crate::runtime::native::image::{Origin, Step};
use crate::runtime::{Result, RuntimeError};

/// How long a digest is.
const DIGITS: u64 = 64;

/// Where files are taken from.
#[derive(Clone, Debug)]
pub(super) enum From {
    /// A context, and its name; empty: that of the build.
    Files(Arc<Files>, String),
    /// A stage or image, and what it is called.
    Origin(Origin, String),
}

/// A `COPY` or `ADD` with nothing left to substitute.
#[derive(Debug)]
pub(super) struct Copying {
    pub(super) transfer: Transfer,
    pub(super) from: From,
    /// Names and contents of heredocs.
    pub(super) texts: Vec<(String, String)>,
    /// What was downloaded.
    pub(super) fetched: Vec<Fetched>,
    pub(super) working_dir: String,
    /// The image so far.
    pub(super) origin: Origin,
}

impl Copying {
    /// Does it. Blocks.
    pub(super) fn run(self, job: &Job) -> Result<(Step, Came)> {
        let exclude = self.transfer.exclude.join("\n");
        let exclude = Patterns::parse(&exclude);
        let exclude = exclude.map_err(|error| refused(format!("`--exclude`: {error}")))?;
        let change = match self.transfer.chmod.as_str() {
            "" => None,
            text => Some(Change::parse(text).map_err(refused)?),
        };
        let (digest, selected) = self.content(job, &exclude)?;
        let mut key = Key::new(job, self.transfer.kind.word());
        self.add_to(&mut key);
        key.add(&digest);
        job.once(&key.finish(), || {
            let selected = match selected {
                Some(selected) => selected,
                None => self.select(job, &exclude)?,
            };
            self.make(job, selected, change)
        })
    }

    fn add_to(&self, key: &mut Key) {
        let transfer = &self.transfer;
        // A name is looked up in the image, whether or not the files are put on it.
        if !transfer.link || !is_numeric(&transfer.chown) {
            key.add(&self.origin.identity());
        }
        key.add(&transfer.target).add(&self.working_dir).add(&transfer.chown).add(&transfer.chmod);
        key.add(if transfer.parents { "parents" } else { "" }).add(match transfer.unpack {
            None => "",
            Some(true) => "unpack",
            Some(false) => "keep",
        });
        for (name, content) in &self.texts {
            key.add(name).add(content);
        }
        for fetched in &self.fetched {
            key.add(&fetched.name).add(&fetched.digest);
        }
    }

    /// The digest of all files, and the files themselves if they had to be looked at.
    fn content(&self, job: &Job, exclude: &Patterns) -> Result<(String, Option<Vec<Selected>>)> {
        let memo = match &self.from {
            From::Files(..) => None,
            From::Origin(origin, _) => {
                let mut key = Key::default();
                key.add(&origin.identity()).all(&self.transfer.sources).all(&self.transfer.exclude);
                Some(job.directory().join("digests").join(key.finish()))
            }
        };
        let known = memo.as_ref().and_then(|path| read_bytes(path, DIGITS).ok().flatten());
        let known = known.and_then(|bytes| String::from_utf8(bytes).ok());
        if let Some(known) = known.filter(|known| known.len() as u64 == DIGITS) {
            return Ok((known, None));
        }
        let selected = self.select(job, exclude)?;
        let seen = Seen::of(&selected, Owners::OfImages)?;
        let mut key = Key::default();
        key.add(&seen.digest);
        if self.transfer.parents {
            for selected in &selected {
                key.hash().update(selected.written.as_os_str().as_encoded_bytes());
            }
        }
        let digest = key.finish();
        if let From::Files(_, context) = &self.from {
            let (sources, exclude) =
                (self.transfer.sources.clone(), self.transfer.exclude.join("\n"));
            let what = Wants { context: context.clone(), sources, exclude };
            job.saw(what, seen, Owners::OfImages)?;
        }
        if let Some(memo) = memo {
            remember(&memo, &digest);
        }
        Ok((digest, Some(selected)))
    }

    fn select(&self, job: &Job, exclude: &Patterns) -> Result<Vec<Selected>> {
        let files = match &self.from {
            From::Files(files, _) => Arc::clone(files),
            From::Origin(origin, name) => job.files_of(origin, name)?,
        };
        let mut all = Vec::new();
        for source in &self.transfer.sources {
            let wanted = Wanted { source, exclude };
            all.extend(select(&files, &wanted).map_err(refused)?);
        }
        Ok(all)
    }

    fn make(&self, job: &Job, selected: Vec<Selected>, mode: Option<Change>) -> Result<Step> {
        let place = Path::new(&self.transfer.target);
        let lower = job.store.directories(&self.origin)?;
        let tree = view(&lower).map_err(failed("see the files of the image for", place))?;
        let view = (!self.transfer.link).then_some(&tree);
        let owner = match self.transfer.chown.as_str() {
            "" => None,
            text => Some(owner(text, &tree)?),
        };
        let texts = self
            .texts
            .iter()
            .map(|(name, content)| Source::Text { name: name.clone(), content: content.clone() });
        let mut sources = self.sources(selected)?;
        sources.extend(texts);
        for fetched in &self.fetched {
            sources.extend(self.fetched(fetched)?);
        }
        let put = Put {
            sources,
            target: self.transfer.target.clone(),
            working_dir: self.working_dir.clone(),
            dress: Dress { owner, mode },
            parents: self.transfer.parents,
            now: job.now(),
            newest: job.epoch,
        };
        let layer = job.store.layer(place, |out| write(&put, view, out))?;
        Ok(Step { layer: Some(layer), created: job.now_text() })
    }

    /// Archives that `ADD` unpacks, and files as they are.
    fn sources(&self, selected: Vec<Selected>) -> Result<Vec<Source>> {
        let unpacks =
            self.transfer.kind == TransferKind::Add && self.transfer.unpack != Some(false);
        let mut sources = Vec::new();
        for selected in selected {
            let is_file = !selected.is_directory
                && selected
                    .items
                    .first()
                    .is_some_and(|item| kind(&item.stat) == rustix::fs::FileType::RegularFile);
            if unpacks && is_file {
                let shown = || failed("read", &selected.written);
                let file = selected.files.tree.file(&selected.root).map_err(shown())?;
                if is_archive(&file).map_err(failed("unpack", &selected.written))? {
                    let name = selected.written.display().to_string();
                    let stat = selected.items.first().map(|item| item.stat);
                    sources.push(Source::Unpacked { file, name, stat });
                    continue;
                }
            }
            sources.push(Source::Files(selected));
        }
        Ok(sources)
    }

    fn fetched(&self, fetched: &Fetched) -> Result<Vec<Source>> {
        let name = fetched.name.clone();
        if fetched.path.is_dir() {
            let files = Files::of_image(
                Tree::open(&fetched.path).map_err(failed("open", &fetched.path))?,
                &fetched.name,
            );
            let exclude = Patterns::default();
            let wanted = Wanted { source: "/", exclude: &exclude };
            let selected = select(&Arc::new(files), &wanted).map_err(refused)?;
            return Ok(selected.into_iter().map(Source::Files).collect());
        }
        if self.transfer.unpack == Some(true) {
            let file = fs::File::open(&fetched.path).map_err(failed("open", &fetched.path))?;
            if is_archive(&file).map_err(failed("unpack", Path::new(&name)))? {
                return Ok(vec![Source::Unpacked { file, name, stat: None }]);
            }
        }
        let (file, modified) = (fetched.path.clone(), fetched.modified);
        let name = match Path::new(&name).file_name().and_then(OsStr::to_str) {
            Some(last) => last.to_owned(),
            None => return Err(refused(format!("`{name}` names no file"))),
        };
        Ok(vec![Source::Fetched { name, file, modified }])
    }
}

/// Whether an owner is the same in every image. A number alone is not: it may be a name, and its
/// group may have another number.
fn is_numeric(chown: &str) -> bool {
    let is_number = |text: &str| text.parse::<u32>().is_ok();
    chown.is_empty() || chown.split_once(':').is_some_and(|(a, b)| is_number(a) && is_number(b))
}

fn owner(text: &str, tree: &Tree) -> Result<(u32, u32)> {
    let found = container::owner(tree.root(), text);
    found.map_err(|error| refused(format!("`--chown={text}`: {error}")))
}

/// Writes down what the next build need not find out. If that fails, it finds out.
fn remember(path: &PathBuf, text: &str) {
    let write = || {
        let parent = path.parent().unwrap_or(path);
        fs::create_dir_all(parent)?;
        let mut file = tempfile::NamedTempFile::new_in(parent)?;
        std::io::Write::write_all(&mut file, text.as_bytes())?;
        file.persist(path).map_err(|error| error.error)
    };
    if let Err(error) = write() {
        tracing::debug!("`{}` is not remembered: {error}", path.display());
    }
}

pub(super) fn refused(text: impl Into<String>) -> RuntimeError {
    RuntimeError::Refused(text.into())
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_numbers_of_user_and_group_are_the_same_in_every_image() {
        for text in ["", "1:2"] {
            assert!(super::is_numeric(text), "{text}");
        }
        for text in ["app", "app:1", "1:app", "1", "1:", "1:2:3"] {
            assert!(!super::is_numeric(text), "{text}");
        }
    }
}
