//! What an image was built of, and whether that is still the same.
//!
//! In: what a build looks at. Out: a record beside the image; later, the first input that is not
//! any more what it was.
//!
//! # Invariants
//!
//! - Files count by content and rights: one that was only touched is the same. One whose size,
//!   times and number are known is not read again.
//! - Values stand in a record as digests: arguments may be nobody's business.
//! - An image that no build here has made, or that has got its name otherwise since, is nothing
//!   that this knows about: nothing is said.
//!
//! # Not here
//!
//! What is elsewhere: repositories, what `ADD` downloads, newer images of registries. A build looks
//! at those.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::context::{Files, read_bytes};
use super::fetch::Repository;
use super::job::{Job, Key, failed};
use super::select::{Owners, Selected, Wanted, select};
use super::stage::is_proxy;
use super::{check, script};
use crate::model::hash;
use crate::model::ignore::Patterns;
use crate::model::observed::{ChangedInput, InputChange};
use crate::model::spec::BuildSpec;
use crate::runtime::Result;
use crate::runtime::native::Native;
use crate::runtime::native::image::{Image, Store};
use crate::runtime::native::thread::in_thread;

/// The most bytes of a record or list that are read.
const MOST: u64 = 512 << 20;
/// Attributes that lead to inputs but are none, or that only say how a build goes.
const NO_INPUTS: &[&str] = &[
    "#extensions",
    "additional_contexts",
    "args",
    "cache_from",
    "cache_to",
    "context",
    "dockerfile",
    "dockerfile_inline",
    "no_cache",
    "platforms",
    "provenance",
    "pull",
    "sbom",
    "secrets",
    "ssh",
    "tags",
];

/// What a build has looked at.
#[derive(Debug, Default)]
pub(super) struct Inputs {
    /// Identities of images by the references that stand for them.
    pub(super) bases: BTreeMap<String, String>,
    reads: Vec<Read>,
}

/// Which files of a context a step wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Wants {
    /// The name of the context; empty: that of the build.
    pub(super) context: String,
    pub(super) sources: Vec<String>,
    /// Patterns of what is left out, one a line.
    pub(super) exclude: String,
}

/// Files of a context, as a step has seen them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Read {
    wants: Wants,
    owners: Owners,
    digest: String,
}

/// What files are.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) digest: String,
    /// Each file by its path, and all that matters of it.
    files: BTreeMap<String, String>,
}

impl Seen {
    /// Looks at files. Those that are known are not read again.
    pub(super) fn of(selected: &[Selected], owners: Owners) -> Result<Self> {
        let (mut key, mut files) = (Key::default(), BTreeMap::new());
        for selected in selected {
            let identities = selected.digest(key.hash(), owners);
            let identities = identities.map_err(failed("read", &selected.written))?;
            let paths = selected.items.iter().map(|item| selected.path(item));
            let paths = paths.map(|path| path.to_string_lossy().into_owned());
            files.extend(paths.zip(identities));
        }
        Ok(Self { digest: key.finish(), files })
    }
}

/// What an image was built of.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Record {
    /// The name that the image got.
    name: String,
    /// Its identity.
    image: String,
    /// Digests of attributes, by their paths.
    attributes: BTreeMap<String, String>,
    /// Arguments that a flag gave: the file says nothing about their values.
    given: Vec<String>,
    bases: BTreeMap<String, String>,
    reads: Vec<Read>,
}

/// Where records are.
struct Shelf(PathBuf);

impl Shelf {
    fn record(&self, name: &str) -> PathBuf {
        self.0.join(format!("{}.json", hash::hex(&Sha256::digest(name))))
    }

    fn list(&self, digest: &str) -> PathBuf {
        self.0.join("files").join(digest)
    }
}

impl Job {
    /// Notes what a step has seen of a context.
    pub(super) fn saw(&self, wants: Wants, seen: Seen, owners: Owners) -> Result<()> {
        let is_passing =
            wants.context.is_empty() && Repository::of(&self.spec.build.context).is_some();
        if is_passing || wants.sources.is_empty() {
            return Ok(());
        }
        let path = Shelf(self.native.root.built()).list(&seen.digest);
        if !path.is_file() {
            write(&path, &seen.files)?;
        }
        let read = Read { wants, owners, digest: seen.digest };
        if let Ok(mut inputs) = self.inputs.lock()
            && !inputs.reads.contains(&read)
        {
            inputs.reads.push(read);
        }
        Ok(())
    }

    /// Writes down what an image was built of. `text` is the digest of its Dockerfile.
    pub(super) fn record(&self, image: &Image, text: &str) -> Result<()> {
        let records = Shelf(self.native.root.built());
        let (bases, mut reads) = match self.inputs.lock() {
            Ok(inputs) => (inputs.bases.clone(), inputs.reads.clone()),
            Err(_) => return Ok(()),
        };
        // Stages end in any order.
        reads.sort_by_key(|read| (read.wants.context.clone(), read.wants.sources.clone()));
        let record = Record {
            name: String::new(),
            image: image.id.to_string(),
            attributes: self.native.attributes(&self.spec, Some(text)),
            given: self.spec.options.given.clone(),
            bases,
            reads,
        };
        for name in &self.spec.tags {
            let record = Record { name: name.clone(), ..record.clone() };
            write(&records.record(name), &record)?;
        }
        Ok(())
    }
}

impl Native {
    /// The first input of an image that is not any more what it was when the image was built.
    pub(in crate::runtime::native) async fn input_changed_since(
        &self,
        spec: &BuildSpec,
    ) -> Result<Option<ChangedInput>> {
        let (native, spec) = (self.clone(), spec.clone());
        in_thread(move || native.find_changed_input(&spec)).await
    }

    fn find_changed_input(&self, spec: &BuildSpec) -> Result<Option<ChangedInput>> {
        let Some(name) = spec.tags.first() else { return Ok(None) };
        let records = Shelf(self.root.built());
        let Some(record) = read::<Record>(&records.record(name)) else { return Ok(None) };
        let store = Store::open(&self.root.images())?;
        let id_of = |name: &str| -> Result<Option<String>> {
            Ok(store.find(name)?.map(|image| image.id.to_string()))
        };
        if id_of(name)?.as_ref() != Some(&record.image) {
            return Ok(None);
        }
        for tag in &spec.tags[1..] {
            let change = match id_of(tag)? {
                Some(id) if id == record.image => continue,
                Some(_) => InputChange::Replaced,
                None => InputChange::Gone,
            };
            return Ok(Some(changed("build.tags", tag, change)));
        }
        let own = Path::new(&spec.build.context);
        let is_elsewhere = Repository::of(&spec.build.context).is_some();
        if !is_elsewhere && !own.is_dir() {
            // Nothing is here of which it could be built: the image is all there is.
            return Ok(None);
        }
        let script = if is_elsewhere { None } else { Some(script(spec, (own, own))) };
        let Ok(script) = script.transpose() else {
            // The build tells what is wrong with it.
            return Ok(Some(changed(
                dockerfile(spec),
                dockerfile_name(spec),
                InputChange::Changed,
            )));
        };
        let now = self.attributes(spec, script.as_ref().map(|it| it.digest.as_str()));
        if let Some(found) = record.attribute_changed(&now, spec) {
            return Ok(Some(found));
        }
        for (reference, id) in &record.bases {
            if id_of(reference)?.is_some_and(|now| now != *id) {
                let subject = format!("image {reference}");
                return Ok(Some(changed("build.dockerfile", &subject, InputChange::Replaced)));
            }
        }
        let ignore = script.as_ref().and_then(|script| script.ignore.as_deref());
        let contexts = Contexts { native: self, spec, ignore, open: HashMap::new() };
        contexts.changed(&records, &record)
    }

    /// Digests of all attributes that are inputs. `text` is the digest of the Dockerfile.
    fn attributes(&self, spec: &BuildSpec, text: Option<&str>) -> BTreeMap<String, String> {
        let digest = |text: &str| hash::hex(&Sha256::digest(text));
        let mut all = BTreeMap::new();
        if let Ok(serde_json::Value::Object(build)) = serde_json::to_value(&spec.build) {
            let inputs = build.iter().filter(|(name, _)| !NO_INPUTS.contains(&name.as_str()));
            all.extend(
                inputs.map(|(name, value)| (format!("build.{name}"), digest(&value.to_string()))),
            );
        }
        for name in spec.build.args.keys().filter(|name| !is_proxy(name)) {
            let value = spec.build.args.get(name).cloned().flatten();
            if let Some(value) = value.or_else(|| self.environment.get(name).cloned()) {
                all.insert(format!("build.args.{name}"), digest(&value));
            }
        }
        for (name, context) in &spec.build.additional_contexts {
            if context.contains("://") {
                all.insert(format!("build.additional_contexts.{name}"), digest(context));
            }
        }
        if let Ok(platform) = check(spec) {
            all.insert("platform".to_owned(), platform.to_string());
        }
        match text {
            Some(text) => all.insert(dockerfile(spec).to_owned(), text.to_owned()),
            None => all.insert("build.context".to_owned(), digest(&spec.build.context)),
        };
        all
    }
}

impl Record {
    fn attribute_changed(
        &self,
        now: &BTreeMap<String, String>,
        spec: &BuildSpec,
    ) -> Option<ChangedInput> {
        let is_given = |path: &str| {
            let name = path.strip_prefix("build.args.");
            name.is_some_and(|name| self.given.iter().any(|given| given == name))
        };
        let paths = self.attributes.keys().chain(now.keys());
        let path = paths
            .filter(|path| !is_given(path))
            .find(|path| self.attributes.get(*path) != now.get(*path))?;
        let change = match (self.attributes.get(path), now.get(path)) {
            (None, _) => InputChange::New,
            (_, None) => InputChange::Gone,
            _ => InputChange::Changed,
        };
        let subject = if path == dockerfile(spec) { dockerfile_name(spec) } else { "" };
        Some(changed(path, subject, change))
    }
}

/// The contexts of a build, each opened once.
struct Contexts<'a> {
    native: &'a Native,
    spec: &'a BuildSpec,
    /// The ignore file of the Dockerfile.
    ignore: Option<&'a Path>,
    open: HashMap<String, Arc<Files>>,
}

impl Contexts<'_> {
    /// The first file that is not what a step has seen.
    fn changed(mut self, records: &Shelf, record: &Record) -> Result<Option<ChangedInput>> {
        let mut found = None;
        for seen in &record.reads {
            found = self.changed_since(records, seen)?;
            if found.is_some() {
                break;
            }
        }
        for files in self.open.values() {
            files.remember();
        }
        Ok(found)
    }

    fn changed_since(&mut self, records: &Shelf, read: &Read) -> Result<Option<ChangedInput>> {
        let wants = &read.wants;
        let attribute = match wants.context.as_str() {
            "" => "build.context".to_owned(),
            name => format!("build.additional_contexts.{name}"),
        };
        let Some(files) = self.files(&wants.context)? else {
            return Ok(Some(changed(&attribute, "", InputChange::Gone)));
        };
        let Ok(exclude) = Patterns::parse(&wants.exclude) else { return Ok(None) };
        let mut all = Vec::new();
        for source in &wants.sources {
            match select(&files, &Wanted { source, exclude: &exclude }) {
                Ok(selected) => all.extend(selected),
                Err(_) => return Ok(Some(changed(&attribute, source, InputChange::Gone))),
            }
        }
        let now = Seen::of(&all, read.owners)?;
        if now.digest == read.digest {
            return Ok(None);
        }
        let before: BTreeMap<String, String> =
            self::read(&records.list(&read.digest)).unwrap_or_default();
        let (subject, change) = difference(&before, &now.files);
        Ok(Some(changed(&attribute, subject, change)))
    }

    /// A context by name; `None`: it is gone.
    fn files(&mut self, name: &str) -> Result<Option<Arc<Files>>> {
        if let Some(files) = self.open.get(name) {
            return Ok(Some(Arc::clone(files)));
        }
        let build = &self.spec.build;
        let (directory, ignore) = match name {
            "" => (Some(&build.context), self.ignore),
            name => (build.additional_contexts.get(name), None),
        };
        let Some(directory) = directory.map(Path::new).filter(|it| it.is_dir()) else {
            return Ok(None);
        };
        let memory = self.native.root.builds().join("contexts");
        let files = Files::context(directory, ignore, Some(&memory));
        let files = Arc::new(files.map_err(failed("read the context", directory))?);
        self.open.insert(name.to_owned(), Arc::clone(&files));
        Ok(Some(files))
    }
}

/// The first file that differs; directories come last: mostly something in them tells more.
fn difference<'a>(
    before: &'a BTreeMap<String, String>,
    now: &'a BTreeMap<String, String>,
) -> (&'a str, InputChange) {
    let gone = before.iter().filter(|(path, _)| !now.contains_key(*path));
    let gone = gone.map(|(path, identity)| (path, identity, InputChange::Gone));
    let others = now.iter().filter_map(|(path, identity)| match before.get(path) {
        None => Some((path, identity, InputChange::New)),
        Some(known) if known != identity => Some((path, identity, InputChange::Changed)),
        Some(_) => None,
    });
    let is_directory = |identity: &str| identity.starts_with('4');
    let first =
        gone.chain(others).min_by_key(|(path, identity, _)| (is_directory(identity), *path));
    first.map_or(("", InputChange::Changed), |(path, _, change)| (path, change))
}

/// The attribute with the Dockerfile.
fn dockerfile(spec: &BuildSpec) -> &'static str {
    if spec.build.dockerfile_inline.is_empty() {
        "build.dockerfile"
    } else {
        "build.dockerfile_inline"
    }
}

/// The file with it.
fn dockerfile_name(spec: &BuildSpec) -> &str {
    match (spec.build.dockerfile_inline.is_empty(), spec.build.dockerfile.as_str()) {
        (false, _) => "",
        (true, "") => "Dockerfile",
        (true, name) => name,
    }
}

fn changed(attribute: &str, subject: &str, change: InputChange) -> ChangedInput {
    ChangedInput { attribute: attribute.to_owned(), subject: subject.to_owned(), change }
}

/// Forgets what images were built of that are not here any more.
pub(in crate::runtime::native) fn forget(directory: &Path, store: &Store) -> Result<()> {
    let records = Shelf(directory.to_owned());
    let mut kept = Vec::new();
    for path in entries(directory) {
        let Some(record) = read::<Record>(&path) else { continue };
        match store.find(&record.name)? {
            Some(image) if image.id.to_string() == record.image => {
                kept.extend(record.reads.iter().map(|read| records.list(&read.digest)));
            }
            _ => fs::remove_file(&path).map_err(failed("remove", &path))?,
        }
    }
    for path in entries(&directory.join("files")).filter(|path| !kept.contains(path)) {
        fs::remove_file(&path).map_err(failed("remove", &path))?;
    }
    Ok(())
}

fn entries(directory: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path())
}

/// Reads what was written; what cannot be read is as good as nothing.
fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&read_bytes(path, MOST).ok()??).ok()
}

fn write(path: &Path, value: &impl Serialize) -> Result<()> {
    let parent = path.parent().unwrap_or(path);
    let write = || -> io::Result<()> {
        fs::create_dir_all(parent)?;
        let mut file = tempfile::NamedTempFile::new_in(parent)?;
        file.write_all(&serde_json::to_vec(value)?)?;
        file.persist(path)?;
        Ok(())
    };
    write().map_err(failed("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(files: &[(&str, &str)]) -> BTreeMap<String, String> {
        files.iter().map(|(path, is)| ((*path).to_owned(), (*is).to_owned())).collect()
    }

    #[test]
    fn the_first_file_that_differs_is_told() {
        let before = list(&[("", "40755 "), ("a", "100644 1"), ("b", "100644 1")]);
        let told = |now: &[(&str, &str)]| {
            let now = list(now);
            let (subject, change) = difference(&before, &now);
            changed("build.context", subject, change).to_string()
        };
        for (now, expected) in [
            (
                &[("", "40700 "), ("a", "100644 1"), ("b", "100755 1")][..],
                "build.context: b changed",
            ),
            (&[("", "40755 "), ("b", "100644 2")], "build.context: a is gone"),
            (
                &[
                    ("", "40755 "),
                    ("a", "100644 1"),
                    ("b", "100644 1"),
                    ("c", "40755 "),
                    ("c/d", "1"),
                ],
                "build.context: c/d is new",
            ),
            (&[("", "40700 "), ("a", "100644 1"), ("b", "100644 1")], "build.context changed"),
        ] {
            assert_eq!(told(now), expected);
        }
    }
}
