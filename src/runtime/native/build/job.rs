//! One build: what all its steps share.
//!
//! In: a [`BuildSpec`] and its Dockerfile. Out: files by name, the cache, progress.
//!
//! # Invariants
//!
//! - A step with the same inputs is done once, whoever asks for it: who comes second waits and
//!   takes what the first one has made.

use std::collections::HashMap;
use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc::Sender;

use super::context::Files;
use super::dockerfile::Instruction;
use super::inputs::Inputs;
use super::sandbox::view;
use super::stage::Stages;
use crate::model::hash;
use crate::model::spec::{BuildSpec, PullSpec};
use crate::runtime::native::image::{Image, Origin, Platform, Step, Store};
use crate::runtime::native::thread::in_thread;
use crate::runtime::native::{Native, lock};
use crate::runtime::{Progress, Result, RuntimeError};

/// A build.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) native: Native,
    pub(super) store: Store,
    pub(super) spec: BuildSpec,
    pub(super) stages: Stages,
    /// What the Dockerfile is called.
    pub(super) dockerfile: String,
    pub(super) context: Arc<Files>,
    /// The stage that is built.
    pub(super) target: usize,
    pub(super) platform: Platform,
    /// `SOURCE_DATE_EPOCH`.
    pub(super) epoch: Option<u64>,
    pub(super) tell: Sender<Progress>,
    /// The first failure.
    pub(super) failure: Mutex<Option<RuntimeError>>,
    pub(super) has_failed: AtomicBool,
    /// Contexts by name, and files of stages and images by identity.
    pub(super) files: Mutex<HashMap<String, Arc<Files>>>,
    /// Keys of the steps that this build consists of.
    pub(super) used: Mutex<Vec<String>>,
    /// What it has looked at.
    pub(super) inputs: Mutex<Inputs>,
}

/// Collects the inputs of a step.
#[derive(Debug, Default)]
pub(super) struct Key(Sha256);

impl Key {
    pub(super) fn new(job: &Job, kind: &str) -> Self {
        let mut key = Self::default();
        // Another number when steps do something else with the same inputs.
        key.add("2").add(kind).add(&job.epoch.map(|it| it.to_string()).unwrap_or_default());
        key
    }

    pub(super) fn add(&mut self, text: &str) -> &mut Self {
        self.0.update((text.len() as u64).to_le_bytes());
        self.0.update(text);
        self
    }

    pub(super) fn all<'a>(&mut self, texts: impl IntoIterator<Item = &'a String>) -> &mut Self {
        for text in texts {
            self.add(text);
        }
        self.add("")
    }

    pub(super) fn hash(&mut self) -> &mut Sha256 {
        &mut self.0
    }

    pub(super) fn finish(self) -> String {
        hash::hex(&self.0.finalize())
    }
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Came {
    Cached,
    Done,
}

impl Job {
    /// Where the cache keeps what are no layers.
    pub(super) fn directory(&self) -> PathBuf {
        self.native.root.builds()
    }

    /// Seconds since 1970 for what is made now.
    pub(super) fn now(&self) -> u64 {
        let now = u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or(0);
        self.epoch.unwrap_or(now)
    }

    /// The same as images have it.
    pub(super) fn now_text(&self) -> String {
        match self.epoch.and_then(|epoch| i64::try_from(epoch).ok()) {
            Some(epoch) => jiff::Timestamp::from_second(epoch).unwrap_or_default().to_string(),
            None => jiff::Timestamp::now().to_string(),
        }
    }

    /// Whether steps are done although they were done before.
    fn is_anew(&self) -> bool {
        self.spec.options.no_cache || self.spec.build.no_cache
    }

    /// Does a step, unless its result is here already. Blocks.
    pub(super) fn once(
        &self,
        key: &str,
        make: impl FnOnce() -> Result<Step>,
    ) -> Result<(Step, Came)> {
        if let Ok(mut used) = self.used.lock() {
            used.push(key.to_owned());
        }
        let known = || if self.is_anew() { Ok(None) } else { self.store.step(key) };
        if let Some(step) = known()? {
            return Ok((step, Came::Cached));
        }
        let directory = self.directory().join("locks");
        fs::create_dir_all(&directory).map_err(failed("make", &directory))?;
        let path = directory.join(key);
        let turn = lock::wait(&path)?;
        let done = match known() {
            Ok(Some(step)) => Ok((step, Came::Cached)),
            Ok(None) => make().and_then(|step| {
                self.store.keep_step(key, &step)?;
                Ok((step, Came::Done))
            }),
            Err(error) => Err(error),
        };
        lock::remove(turn, &path)?;
        done
    }

    /// An image, which is pulled if it is not here.
    pub(super) async fn image(&self, reference: &str, platform: &str) -> Result<Image> {
        let image = self.find_or_pull(reference, platform).await?;
        if let Ok(mut inputs) = self.inputs.lock() {
            inputs.bases.insert(reference.to_owned(), image.id.to_string());
        }
        Ok(image)
    }

    async fn find_or_pull(&self, reference: &str, platform: &str) -> Result<Image> {
        let wanted = match platform {
            "" => self.platform.clone(),
            text => {
                text.parse().map_err(|error: crate::runtime::native::image::NotAPlatform| {
                    RuntimeError::Refused(error.to_string())
                })?
            }
        };
        let pulls = self.spec.build.pull || self.spec.options.pull;
        let found = {
            let (store, reference) = (self.store.clone(), reference.to_owned());
            in_thread(move || store.find(&reference)).await?
        };
        let fits = |image: &Image| wanted.distance(&image.config.platform).is_some();
        match found.filter(fits) {
            Some(image) if !pulls || is_local(reference) => Ok(image),
            found => {
                let pull = PullSpec { image: reference.to_owned(), platform: wanted.to_string() };
                let tell = self.tell.clone();
                let progress = move |progress: Progress| {
                    let _ = tell.try_send(progress);
                };
                let credentials = self.native.credentials().await?;
                match self.store.pull(&pull, &credentials, &progress).await {
                    // Made here by another service: no registry has it.
                    Err(RuntimeError::NotFound(said)) => found.ok_or(RuntimeError::NotFound(said)),
                    pulled => pulled,
                }
            }
        }
    }

    /// The files of an image or a stage, mounted once.
    pub(super) fn files_of(&self, origin: &Origin, name: &str) -> Result<Arc<Files>> {
        let identity = origin.identity();
        if let Some(known) = self.files.lock().ok().and_then(|all| all.get(&identity).cloned()) {
            return Ok(known);
        }
        let directories = self.store.directories(origin)?;
        let tree = view(&directories).map_err(failed("see the files of", Path::new(name)))?;
        let files = Arc::new(Files::of_image(tree, name));
        if let Ok(mut all) = self.files.lock() {
            all.insert(identity, Arc::clone(&files));
        }
        Ok(files)
    }

    /// A context that has a name.
    pub(super) fn named_context(&self, name: &str, directory: &str) -> Result<Arc<Files>> {
        let key = format!("context {name}");
        if let Some(known) = self.files.lock().ok().and_then(|all| all.get(&key).cloned()) {
            return Ok(known);
        }
        let memory = self.directory().join("contexts");
        let path = Path::new(directory);
        let files = Files::context(path, None, Some(&memory));
        let files = Arc::new(files.map_err(failed("read the context", path))?);
        if let Ok(mut all) = self.files.lock() {
            all.insert(key, Arc::clone(&files));
        }
        Ok(files)
    }

    /// Says what a step prints or does.
    pub(super) async fn say(&self, step: &str, text: &str) {
        // Nobody may listen any more.
        let _ = self.tell.send(line(step, text)).await;
    }

    /// An error with the place of an instruction.
    pub(super) fn at(&self, instruction: &Instruction, error: &RuntimeError) -> RuntimeError {
        self.at_line(instruction.line, error)
    }

    pub(super) fn at_line(&self, line: usize, error: &RuntimeError) -> RuntimeError {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        let text = format!("{}:{line}: {text}", self.dockerfile);
        match error {
            RuntimeError::Unsupported(_) => RuntimeError::Unsupported(text),
            RuntimeError::NotFound(_) => RuntimeError::NotFound(text),
            _ => RuntimeError::Refused(text),
        }
    }

    /// Keeps the first failure.
    pub(super) fn fail(&self, error: RuntimeError) {
        self.has_failed.store(true, Ordering::Relaxed);
        if let Ok(mut first) = self.failure.lock() {
            first.get_or_insert(error);
        }
    }
}

/// Whether an image is a source of this machine.
fn is_local(reference: &str) -> bool {
    ["rootfs:", "oci:", "docker-archive:"].iter().any(|start| reference.starts_with(start))
}

/// A line of output of a step.
pub(super) fn line(step: &str, text: &str) -> Progress {
    Progress { part: step.to_owned(), status: text.to_owned(), ..Progress::default() }
}

/// Says what could not be done with a path.
pub(super) fn failed(verb: &str, path: &Path) -> impl FnOnce(io::Error) -> RuntimeError + use<> {
    let action = format!("{verb} `{}`", path.display());
    move |source| RuntimeError::Io { action, source }
}
