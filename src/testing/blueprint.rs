//! What a stack is made of, before anything runs.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::source::Overlay;
use super::{RuntimeChoice, Stack, StackError};
use crate::orchestrator::{RUNTIME, Target, load};
use crate::plan::images::{BuildMode, ImageFlags};
use crate::project::{PortVariables, Request};
use crate::runtime::{docker, native};

/// How long a stack may take until it is ready, unless a test says otherwise.
const PATIENCE: Duration = Duration::from_mins(5);

/// A project, and what is to be different in the copy that a test gets.
#[derive(Clone, Debug)]
#[must_use = "nothing runs before `up`"]
pub struct Blueprint {
    pub(super) request: Request,
    pub(super) overlay: Overlay,
    pub(super) choice: Option<RuntimeChoice>,
    engine: Option<docker::Settings>,
    without: Vec<String>,
    pub(super) images: ImageFlags,
    pub(super) scale: BTreeMap<String, u64>,
    pub(super) patience: Duration,
    pub(super) bundle: Option<PathBuf>,
}

impl Blueprint {
    fn new() -> Self {
        // A directory that is gone is told when files are looked for in it.
        let cwd = std::env::current_dir().unwrap_or_default();
        let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        let environment =
            std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect();
        Self {
            request: Request { cwd, environment, ..Request::default() },
            overlay: Overlay::default(),
            choice: None,
            engine: None,
            without: Vec::new(),
            images: ImageFlags::default(),
            scale: BTreeMap::new(),
            patience: PATIENCE,
            bundle: None,
        }
    }

    /// The project that a command line names.
    pub(crate) fn of(request: Request) -> Self {
        Self { request, ..Self::new() }
    }

    pub(super) fn of_file(path: &Path) -> Self {
        Self::new().file(path)
    }

    pub(super) fn of_yaml(text: &str) -> Self {
        Self::new().yaml(text)
    }

    /// Adds a file that is merged over those before it.
    pub fn file(mut self, path: impl AsRef<Path>) -> Self {
        self.request.files.push(path.as_ref().to_string_lossy().into_owned());
        self
    }

    /// Adds YAML text that is merged over the files before it. Paths in it are relative to the
    /// directory of the first file, or to the current one.
    pub fn yaml(mut self, text: impl Into<String>) -> Self {
        let directory = match self.request.files.first() {
            Some(first) => self.request.cwd.join(first).parent().map(Path::to_owned),
            None => None,
        };
        let directory = directory.unwrap_or_else(|| self.request.cwd.clone());
        let path = directory.join(format!("text-{}.yaml", self.request.files.len() + 1));
        self.request.files.push(path.to_string_lossy().into_owned());
        self.overlay.add(path, text.into());
        self
    }

    /// Sets a variable for `${…}`; that of the process does not count then.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.request.environment.insert(name.into(), value.into());
        self
    }

    /// Turns a profile on.
    pub fn profile(mut self, profile: impl Into<String>) -> Self {
        self.request.profiles.push(profile.into());
        self
    }

    /// Brings up this service and those that it needs; called again, more of them. Otherwise all.
    pub fn only(mut self, service: impl Into<String>) -> Self {
        self.request.services.push(service.into());
        self
    }

    /// Leaves a service out when all are brought up: [`super::Service::run`] runs it.
    pub fn without(mut self, service: impl Into<String>) -> Self {
        self.without.push(service.into());
        self
    }

    /// Builds images anew, even those that are there.
    pub fn build(mut self) -> Self {
        self.images.build = BuildMode::Always;
        self
    }

    /// Gives a service several containers.
    pub fn scale(mut self, service: impl Into<String>, containers: u64) -> Self {
        self.scale.insert(service.into(), containers);
        self
    }

    /// Says where containers run. Otherwise `KETCH_RUNTIME` does, else the engine that answers, else
    /// Ketch's own runtime.
    pub fn runtime(mut self, choice: RuntimeChoice) -> Self {
        self.choice = Some(choice);
        self
    }

    /// Says how an engine is reached, if the environment does not.
    pub(crate) fn engine(mut self, settings: docker::Settings) -> Self {
        self.engine = Some(settings);
        self
    }

    /// How runtimes are reached.
    pub(super) fn settings(&self) -> (docker::Settings, native::Settings) {
        let environment = self.request.environment.clone();
        let own = native::Settings { environment: environment.clone() };
        let usual =
            || docker::Settings { environment, eager_probes: true, ..docker::Settings::default() };
        (self.engine.clone().unwrap_or_else(usual), own)
    }

    /// Says how long the stack may take until it is ready. Otherwise five minutes.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Writes all that is known into a folder if the stack does not come up, or is dropped by a
    /// test that panics. Otherwise `KETCH_BUNDLE` names it.
    pub fn bundle(mut self, directory: impl Into<PathBuf>) -> Self {
        self.bundle = Some(directory.into());
        self
    }

    /// Brings a copy up and waits until all its services are ready.
    ///
    /// # Errors
    ///
    /// The project has errors, or does not come up; what was made is gone then.
    pub async fn up(self) -> Result<Stack, StackError> {
        Stack::up(self).await
    }

    /// A variable of the environment, unless it is empty.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.request.environment.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Where containers are to run.
    pub(super) fn choice(&self) -> Result<RuntimeChoice, StackError> {
        if let Some(choice) = self.choice {
            return Ok(choice);
        }
        let word = self.variable(RUNTIME).unwrap_or_default();
        word.parse().map_err(|()| {
            let text = format!("{RUNTIME} is `{word}`, and must be auto, docker or native");
            crate::orchestrator::OrchestrationError::Other(text).into()
        })
    }

    /// Reads the project, as an instance of its own.
    pub(super) fn load(&self) -> Result<Target, StackError> {
        let request = Request {
            instance: Some(unique()),
            ports: PortVariables::Awaited,
            ..self.request.clone()
        };
        let (loaded, report) = load(&self.overlay, &request);
        let (problems, sources) = (report.diagnostics, report.sources);
        let Some(loaded) = loaded else { return Err(StackError::Project { problems, sources }) };
        let mut target = Target::of(&request, &request.environment, (loaded, sources));
        target.named(&self.without)?;
        target.disable(&self.without);
        Ok(target)
    }
}

/// A word that no other stack on this machine has, now or later.
pub(super) fn unique() -> String {
    // Its keys are random.
    let random = RandomState::new().build_hasher().finish();
    format!("t{:010x}", random >> 24)
}
