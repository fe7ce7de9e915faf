//! Images without an engine: Dockerfiles, built by the native runtime.
//!
//! In: a [`BuildSpec`]. Out: an image in the store under all its names, and progress.
//!
//! ```text
//! text ──> dockerfile ──> stage (what needs what) ──> step: one instruction after the other
//!                                                      ├─ state      settings alone
//!                                                      ├─ copy       context, select, transfer
//!                                                      └─ run        mount, sandbox
//!                                                    job (once: the cache) ──> image::Store
//! ```
//!
//! # Invariants
//!
//! - A step is known by its inputs: the files below it, its words, what it reads. The same inputs
//!   give the layer that is there already.
//! - No attribute is dropped: it is carried out, or the build is refused with its place.
//! - What a build that is killed leaves is either cache, or swept up by the next command.

mod agent;
mod cache;
mod context;
mod copy;
pub mod dockerfile;
mod fetch;
mod inputs;
mod job;
mod lint;
mod mode;
mod mount;
mod run;
mod sandbox;
mod select;
mod stage;
mod state;
mod step;
mod transfer;
mod tree;

use std::collections::HashMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use futures_util::future::join_all;
use indexmap::IndexMap;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use self::cache::Place;
use self::context::Files;
use self::copy::refused;
use self::dockerfile::{Dockerfile, Fault, Remark, parse};
use self::fetch::{GitFiles, Repository};
pub(super) use self::inputs::forget;
use self::job::{Job, failed};
use self::stage::{Stages, is_automatic};
use self::step::pending;
use self::tree::Tree;
use super::Native;
use super::image::{Image, Platform, Store};
use super::thread::in_thread;
use crate::model::hash;
use crate::model::spec::BuildSpec;
use crate::runtime::{OnProgress, Progress, Result, RuntimeError};

/// How many messages may wait for whoever is slower.
const MESSAGES: usize = 256;

/// A Dockerfile that was read.
struct Script {
    file: Dockerfile,
    /// What it is called.
    name: String,
    /// Its own ignore file.
    ignore: Option<PathBuf>,
    /// The digest of its text.
    digest: String,
}

impl Script {
    /// What should be written otherwise, unless nobody wants to know.
    fn remarks(&self) -> Remarks {
        let check = &self.file.directives.check;
        let linted = lint::remarks(&self.file);
        let all = self.file.remarks.iter().chain(&linted).filter(|remark| !check.skips(remark));
        let failures = all.clone().filter(|remark| check.is_error && !remark.is_guess).count();
        let shown = |it: &Remark| format!("{}:{}: {} ({})", self.name, it.line, it.text, it.rule);
        let mut all: Vec<String> = all.map(shown).collect();
        all.dedup();
        Remarks { all, failures }
    }
}

/// What should be written otherwise.
struct Remarks {
    all: Vec<String>,
    /// How many of them the file itself wants to be failures.
    failures: usize,
}

impl Job {
    /// Tells that no other program reads the file.
    async fn tell_of_syntax(&self, syntax: Option<&str>) {
        let Some(syntax) = syntax else { return };
        let said = format!(
            "{}: `# syntax={syntax}` is not needed: Ketch reads all of the language itself",
            self.dockerfile
        );
        self.say("", &said).await;
    }

    /// Tells what should be written otherwise.
    async fn report(&self, remarks: &Remarks) -> Result<()> {
        for remark in &remarks.all {
            self.say("", remark).await;
        }
        if remarks.failures > 0 {
            let said = "remarks are failures here: `# check=error=true`";
            return Err(refused(format!("{}: {said}", self.dockerfile)));
        }
        if remarks.all.is_empty() {
            self.say("", &format!("{}: nothing to remark", self.dockerfile)).await;
        }
        Ok(())
    }
}

impl Native {
    pub(super) async fn build_image(
        &self,
        spec: &BuildSpec,
        progress: OnProgress<'_>,
    ) -> Result<()> {
        let (tell, mut told) = mpsc::channel::<Progress>(MESSAGES);
        let work = self.build_and_tell(spec, tell);
        tokio::pin!(work);
        let done = loop {
            tokio::select! {
                biased;
                Some(said) = told.recv() => progress(said),
                done = &mut work => break done,
            }
        };
        while let Ok(said) = told.try_recv() {
            progress(said);
        }
        done?;
        if spec.options.push {
            for tag in &spec.tags {
                self.push_image(tag, progress).await?;
            }
        }
        Ok(())
    }

    async fn build_and_tell(&self, spec: &BuildSpec, tell: mpsc::Sender<Progress>) -> Result<()> {
        let platform = check(spec)?;
        let store = Store::open(&self.root.images())?;
        store.check_names(&spec.tags)?;
        let _busy = store.begin()?;
        let own = Path::new(if spec.build.context.is_empty() { "." } else { &spec.build.context });
        let scratch = store.scratch()?;
        let fetched = match Repository::of(&spec.build.context) {
            Some(repository) => {
                let git = GitFiles::of_context(&spec.build.args);
                Some(repository.context(&scratch, &self.environment, git).await?)
            }
            None => None,
        };
        let context = fetched.as_deref().unwrap_or(own);
        let script = script(spec, (context, own))?;
        let remarks = script.remarks();
        let syntax = script.file.directives.syntax.clone();
        let text = script.digest.clone();
        let job = self.job(spec, script, (store, platform, tell), context)?;
        let job = Arc::new(job);
        if spec.options.check || remarks.failures > 0 {
            return job.report(&remarks).await;
        }
        let caches = |texts: &[String]| {
            let places = texts.iter().map(|text| Place::parse(text, &spec.directory));
            places.collect::<std::result::Result<Vec<_>, _>>().map_err(refused)
        };
        job.tell_of_syntax(syntax.as_deref()).await;
        let (given, wanted) = (caches(&spec.build.cache_from)?, caches(&spec.build.cache_to)?);
        job.import(&given).await;
        let mut stages = Vec::new();
        for at in 0..job.stages.all.len() {
            let stage = pending(Arc::clone(&job), at, stages.clone());
            stages.push(stage);
        }
        let needed = job.stages.needed(job.target);
        join_all(needed.iter().map(|at| stages[*at].clone())).await;
        job.context.remember();
        for files in job.files.lock().iter().flat_map(|all| all.values()) {
            files.remember();
        }
        if let Some(error) = job.failure.lock().ok().and_then(|mut first| first.take()) {
            return Err(error);
        }
        let state = stages[job.target].clone().await;
        let state = state.ok_or_else(|| refused("the target has not been built"))?;
        let image = in_thread({
            let job = Arc::clone(&job);
            move || {
                let image = finish(&job, &state)?;
                job.record(&image, &text)?;
                Ok(image)
            }
        })
        .await?;
        job.say("", &format!("{} is {}", spec.tags.join(", "), image.id)).await;
        job.export(&wanted).await
    }

    fn job(
        &self,
        spec: &BuildSpec,
        script: Script,
        (store, platform, tell): (Store, Platform, mpsc::Sender<Progress>),
        context: &Path,
    ) -> Result<Job> {
        let place =
            |fault: Fault| refused(format!("{}:{}: {}", script.name, fault.line, fault.text));
        let given = |name: &str| given(spec, &self.environment, (&platform, name));
        let contexts = spec.build.additional_contexts.keys().cloned().collect();
        let stages = Stages::of(&script.file, &given, contexts).map_err(place)?;
        let target = stages.target(&spec.build.target).map_err(|why| {
            refused(format!("`build.target` of service `{}`: {why}", spec.service_name))
        })?;
        let is_fetched = Repository::of(&spec.build.context).is_some();
        let memory = (!is_fetched).then(|| self.root.builds().join("contexts"));
        let files = Files::context(context, script.ignore.as_deref(), memory.as_deref());
        let files = files.map_err(failed("read the build context", context))?;
        let epoch = match self.environment.get("SOURCE_DATE_EPOCH").map(String::as_str) {
            None | Some("") => None,
            Some(text) => Some(text.parse().map_err(|_| {
                refused(format!("SOURCE_DATE_EPOCH is `{text}`: it is seconds since 1970"))
            })?),
        };
        Ok(Job {
            native: self.clone(),
            store,
            spec: spec.clone(),
            stages,
            dockerfile: script.name,
            context: Arc::new(files),
            target,
            platform,
            epoch,
            tell,
            failure: Mutex::default(),
            has_failed: AtomicBool::new(false),
            files: Mutex::new(HashMap::new()),
            used: Mutex::default(),
            inputs: Mutex::default(),
        })
    }
}

/// Records the image of a stage.
fn finish(job: &Job, state: &state::State) -> Result<Image> {
    let mut config = state.config.clone();
    config.config.labels.extend(job.spec.build.labels.clone());
    config.config.labels.extend(job.spec.labels.clone());
    if config.created.is_empty() {
        // Nothing in it was made at any time.
        config.created = jiff::Timestamp::from_second(0).unwrap_or_default().to_string();
    }
    job.store.assemble(&state.origin, config, &job.spec.tags)
}

/// The value that a build argument has from outside.
fn given(
    spec: &BuildSpec,
    environment: &IndexMap<String, String>,
    (platform, name): (&Platform, &str),
) -> Option<String> {
    match spec.build.args.get(name) {
        Some(given) => given.clone().or_else(|| environment.get(name).cloned()),
        None if is_automatic(name) => automatic(platform, &spec.build.target, name),
        None => None,
    }
}

/// The value of an argument that every build has.
fn automatic(platform: &Platform, target: &str, name: &str) -> Option<String> {
    let part = name.strip_prefix("TARGET").or_else(|| name.strip_prefix("BUILD"))?;
    match part {
        "PLATFORM" => Some(platform.to_string()),
        "OS" => Some(platform.os.clone()),
        "ARCH" => Some(platform.architecture.clone()),
        "VARIANT" => Some(platform.variant.clone()),
        "STAGE" => Some(if target.is_empty() { "default" } else { target }.to_owned()),
        _ => None,
    }
}

/// Refuses what cannot be done here; gives the platform.
fn check(spec: &BuildSpec) -> Result<Platform> {
    let (build, options) = (&spec.build, &spec.options);
    let is_asked = |text: &str| !matches!(text, "" | "false");
    let is_flag = |flag: &Option<String>| flag.as_deref().is_some_and(is_asked);
    let platform = match (spec.platform.as_str(), &build.platforms[..]) {
        ("", [only]) => only,
        ("", []) => "",
        ("", _) => return Err(lacks(spec, "build.platforms", "builds for one platform at a time")),
        (own, _) => own,
    };
    let host = Platform::host();
    let parsed = match platform {
        "" => host.clone(),
        text => {
            text.parse().map_err(|error: super::image::NotAPlatform| refused(error.to_string()))?
        }
    };
    if host.distance(&parsed).is_none() {
        let said = format!("runs on {host}, and cannot build for {parsed}");
        return Err(lacks(spec, "build.platforms", &said));
    }
    let needs = [
        ("build.provenance", is_asked(&build.provenance) || is_flag(&options.provenance)),
        ("build.sbom", is_asked(&build.sbom) || is_flag(&options.sbom)),
        ("--builder", options.builder.as_deref().is_some_and(|name| !name.is_empty())),
        ("build.isolation", !matches!(build.isolation.as_str(), "" | "default")),
    ];
    if let Some((attribute, _)) = needs.into_iter().find(|(_, is_needed)| *is_needed) {
        return Err(lacks(spec, attribute, "has no such thing"));
    }
    let is_remote = ["https://", "http://"].iter().any(|start| build.context.starts_with(start));
    if is_remote && Repository::of(&build.context).is_none() {
        let said = "builds from directories and repositories: fetch the archive first";
        return Err(lacks(spec, "build.context", said));
    }
    Ok(parsed)
}

fn lacks(spec: &BuildSpec, attribute: &str, why: &str) -> RuntimeError {
    RuntimeError::Unsupported(format!(
        "`{attribute}` of service `{}`: the native runtime {why}",
        spec.service_name
    ))
}

/// Reads the Dockerfile. Where the context was fetched, no link leads out of it; in a directory of
/// the user's own it may.
fn script(spec: &BuildSpec, (context, own): (&Path, &Path)) -> Result<Script> {
    const MOST: u64 = 4 << 20;
    let build = &spec.build;
    let (text, name, ignore) = if build.dockerfile_inline.is_empty() {
        let name = if build.dockerfile.is_empty() { "Dockerfile" } else { &build.dockerfile };
        let path = context.join(name);
        let file = if context == own {
            fs::File::open(&path)
        } else {
            Tree::open(context).and_then(|tree| tree.file(&tree.resolve(Path::new(name))?.path))
        };
        let file = file.map_err(failed("read the Dockerfile", &path))?;
        let mut bytes = Vec::new();
        let read = file.take(MOST + 1).read_to_end(&mut bytes);
        read.map_err(failed("read the Dockerfile", &path))?;
        let mut ignore = path.into_os_string();
        ignore.push(".dockerignore");
        let ignore = (context == own).then(|| PathBuf::from(ignore));
        (String::from_utf8_lossy(&bytes).into_owned(), name.to_owned(), ignore)
    } else {
        (build.dockerfile_inline.clone(), "dockerfile_inline".to_owned(), None)
    };
    let digest = hash::hex(&Sha256::digest(&text));
    let file =
        parse(&text).map_err(|fault| refused(format!("{name}:{}: {}", fault.line, fault.text)))?;
    Ok(Script { file, name, ignore, digest })
}

#[cfg(test)]
mod tests {
    use super::{Script, parse};

    /// The remarks about a file that begins so, and how many of them are failures.
    fn remarks(check: &str) -> (Vec<String>, usize) {
        let text = format!("{check}FROM a\nMAINTAINER me\nCOPY x $Y\nWORKDIR w");
        let (file, name) = (parse(&text).unwrap(), "D".to_owned());
        let script = Script { file, name, ignore: None, digest: String::new() };
        let found = script.remarks();
        (found.all, found.failures)
    }

    #[test]
    fn the_file_says_what_becomes_of_remarks() {
        let (all, failures) = remarks("");
        assert_eq!((all.len(), failures), (3, 0), "{all:?}");
        assert_eq!(all[0], "D:2: `MAINTAINER` is outdated: use a label (MaintainerDeprecated)");
        let (all, failures) = remarks("# check=skip=maintainerdeprecated;error=true\n");
        assert_eq!(
            (all.len(), failures),
            (2, 1),
            "the base image may set what is missing: {all:?}"
        );
        assert_eq!(remarks("# check=skip=all;error=true\n"), (Vec::new(), 0));
    }
}
