//! What commands on a project have in common: checked global flags, and loading.
//!
//! In: [`GlobalArgs`] and the [`Process`]. Out: a [`Request`] for the loader, and what it loaded.
//!
//! # Invariants
//!
//! - Global flags are checked before anything is read, as Docker Compose does.
//! - A flag beats the environment of the process, and that beats the project's `.env`.

use std::num::NonZeroUsize;

use indexmap::IndexMap;

use super::Process;
use super::args::GlobalArgs;
use super::exit::Failure;
use super::usage::UsageError;
use crate::diagnostic::{Diagnostic, Sources};
use crate::model::Instance;
use crate::orchestrator::{self, is_true};
use crate::project::{
    self, INSTANCE_VARIABLE, Loaded, PortVariables, Report, Request, Source, Variable,
};
use crate::ui::diagnostics::{Message, Style, Warnings, draw};
use crate::ui::{Colour, Screen};

/// One command on one project.
pub(super) struct Session<'a> {
    pub(super) global: GlobalArgs,
    pub(super) screen: &'a mut Screen,
    process: &'a Process,
    source: &'a dyn Source,
}

impl<'a> Session<'a> {
    /// Checks the global flags and settles colours.
    pub(super) fn new(
        mut global: GlobalArgs,
        process: &'a Process,
        source: &'a dyn Source,
        screen: &'a mut Screen,
    ) -> Result<Self, Failure> {
        let variable = |name: &str| process.environment.get(name).map(String::as_str);
        replace_deprecated(&mut global, screen)?;
        let ansi = global.ansi.as_deref().or(variable("COMPOSE_ANSI"));
        let colour = ansi.map_or(Colour::Auto, |word| colour(word, screen));
        screen.set_colour(colour);
        let progress = global.progress.as_deref().or(variable("COMPOSE_PROGRESS"));
        check_progress(progress.unwrap_or_default(), colour)?;
        if global.parallel.is_none() {
            check_parallel(variable("COMPOSE_PARALLEL_LIMIT"))?;
        }
        Ok(Self { global, screen, process, source })
    }

    /// Tells with `--dry-run` what a command would do; then it does nothing else.
    pub(super) fn only_tells(&mut self, what: impl FnOnce() -> String) -> bool {
        if self.global.dry_run {
            self.screen.tell(&format!("would {}\n", what()));
        }
        self.global.dry_run
    }

    /// What to load: everything that all commands have in common.
    pub(super) fn request(&self) -> Result<Request, Failure> {
        let cwd = self.process.cwd.clone().ok_or(Failure::NoCurrentDirectory)?;
        let environment = self.process.environment.clone();
        let env_files = match environment.get("COMPOSE_ENV_FILES") {
            Some(list) if self.global.env_file.is_empty() => {
                list.split(',').filter(|file| !file.is_empty()).map(str::to_owned).collect()
            }
            _ => self.global.env_file.clone(),
        };
        Ok(Request {
            cwd,
            environment,
            files: self.global.file.clone(),
            project_name: self.global.project_name.clone(),
            instance: self.global.instance.clone(),
            ports: PortVariables::Awaited,
            profiles: self.global.profile.clone(),
            env_files,
            project_directory: self.global.project_directory.clone(),
            all_resources: self.global.all_resources,
            ..Request::default()
        })
    }

    /// Where files come from.
    pub(super) fn source(&self) -> &'a dyn Source {
        self.source
    }

    /// The environment of the process.
    pub(super) fn environment(&self) -> &IndexMap<String, String> {
        &self.process.environment
    }

    /// Whether a variable of the environment that is a switch is on.
    pub(super) fn is_on(&self, variable: &str) -> bool {
        self.process.environment.get(variable).is_some_and(|value| is_true(value))
    }

    /// The name of the command: the first argument that is one.
    pub(super) fn command(&self) -> &str {
        let commands = super::help::command();
        let mut words = self.process.arguments.iter().skip(1).filter_map(|word| word.to_str());
        words.find(|word| commands.find_subcommand(word).is_some()).unwrap_or_default()
    }

    /// Tells problems that have places, as wide as the terminal.
    pub(super) fn draw(&mut self, sources: &Sources, problems: &[Diagnostic], warnings: Warnings) {
        let style = Style { warnings, width: self.screen.width() };
        self.screen.tell(&draw(sources, problems, style));
    }

    /// The name that the user gives to the project without a file: `--project-name`, or
    /// `COMPOSE_PROJECT_NAME`, with the instance if one is asked for.
    pub(super) fn given_name(&self) -> Result<Option<String>, Failure> {
        let variable = |name: &str| self.process.environment.get(name).cloned();
        let told = || Some(project::base_name(variable("COMPOSE_PROJECT_NAME")?, variable));
        let name = self.global.project_name.clone().or_else(told).filter(|name| !name.is_empty());
        let Some(project) = name else { return Ok(None) };
        let name = self.given_instance()?;
        Ok(Some(match name {
            Some(name) => Instance { name, project }.full_name(),
            None => project,
        }))
    }

    /// The instance that is asked for without a file.
    pub(super) fn given_instance(&self) -> Result<Option<String>, Failure> {
        let variable = self.process.environment.get(INSTANCE_VARIABLE);
        let text = self.global.instance.as_ref().or(variable).filter(|text| !text.is_empty());
        let Some(text) = text else { return Ok(None) };
        let cwd = self.process.cwd.clone().ok_or(Failure::NoCurrentDirectory)?;
        let folder = cwd.join(self.global.project_directory.as_deref().unwrap_or_default());
        let name = project::instance_name(self.source, &folder, text);
        Ok(Some(name.map_err(UsageError::from)?))
    }

    /// Reads a file that the command line names, relative to the current directory.
    pub(super) fn read(&self, path: &str) -> Result<String, Failure> {
        let cwd = self.process.cwd.clone().ok_or(Failure::NoCurrentDirectory)?;
        let path = cwd.join(path);
        let failed = |source| Failure::Read { path: path.clone(), source };
        let bytes = self.source.read(&path).map_err(failed)?;
        String::from_utf8(bytes).map_err(|error| failed(std::io::Error::other(error)))
    }

    /// How many things may be done at once: `--parallel`, else `COMPOSE_PARALLEL_LIMIT`; `None`:
    /// any number.
    pub(super) fn parallel(&self) -> Option<NonZeroUsize> {
        let variable = || self.process.environment.get("COMPOSE_PARALLEL_LIMIT")?.parse().ok();
        let number = self.global.parallel.or_else(variable)?;
        usize::try_from(number).ok().and_then(NonZeroUsize::new)
    }

    /// How progress is shown, as the user says it.
    pub(super) fn progress_word(&self) -> String {
        let variable = self.process.environment.get("COMPOSE_PROGRESS");
        self.global.progress.as_ref().or(variable).cloned().unwrap_or_default()
    }

    /// Loads, and leaves it to the caller to tell what is wrong.
    pub(super) fn inspect(
        &mut self,
        request: &Request,
    ) -> Result<(Option<Loaded>, Report), Failure> {
        tracing::debug!(files = ?request.files, services = ?request.services, "load");
        let (loaded, report) = orchestrator::load(self.source, request);
        if let Some(loaded) = &loaded {
            self.heed(&loaded.variables)?;
        }
        Ok((loaded, report))
    }

    /// Loads, and tells what is wrong.
    pub(super) fn load(&mut self, request: &Request) -> Result<(Loaded, Sources), Failure> {
        let (loaded, report) = self.inspect(request)?;
        self.tell(loaded, report)
    }

    /// Tells what is wrong with what was loaded; fails if nothing was.
    pub(super) fn tell(
        &mut self,
        loaded: Option<Loaded>,
        report: Report,
    ) -> Result<(Loaded, Sources), Failure> {
        self.draw(&report.sources, &report.diagnostics, Warnings::Brief);
        Ok((loaded.ok_or(Failure::Project)?, report.sources))
    }

    /// Whether names are joined with `_`; the project's `.env` may say so too.
    pub(super) fn joins_with_underscore(&self, variables: &IndexMap<String, Variable>) -> bool {
        let variable = variables.get("COMPOSE_COMPATIBILITY");
        self.global.compatibility || variable.is_some_and(|variable| is_true(&variable.value))
    }

    /// Settings that the project's env files make for the command line itself.
    fn heed(&mut self, variables: &IndexMap<String, Variable>) -> Result<(), UsageError> {
        let value = |name| variables.get(name).map(|variable| variable.value.as_str());
        if self.global.parallel.is_none() {
            check_parallel(value("COMPOSE_PARALLEL_LIMIT"))?;
        }
        let known =
            self.global.ansi.is_some() || self.process.environment.contains_key("COMPOSE_ANSI");
        if let (false, Some(word)) = (known, value("COMPOSE_ANSI")) {
            let colour = colour(word, self.screen);
            self.screen.set_colour(colour);
        }
        Ok(())
    }
}

/// Puts old flags in the place of those that replaced them.
fn replace_deprecated(global: &mut GlobalArgs, screen: &mut Screen) -> Result<(), UsageError> {
    if global.no_ansi {
        if global.ansi.as_deref().is_some_and(|word| word != "auto") {
            return Err(UsageError::OldAndNew { old: "--no-ansi", new: "--ansi" });
        }
        global.ansi = Some("never".to_owned());
        screen.message(Message::warning("`--no-ansi` is deprecated; use `--ansi never`"));
    }
    if let Some(directory) = global.workdir.take() {
        if global.project_directory.is_some() {
            return Err(UsageError::OldAndNew { old: "--workdir", new: "--project-directory" });
        }
        global.project_directory = Some(directory);
        screen.message(Message::warning("`--workdir` is deprecated; use `--project-directory`"));
    }
    Ok(())
}

/// Docker Compose takes any word for `auto`; we do too, but not in silence.
fn colour(word: &str, screen: &mut Screen) -> Colour {
    match word {
        "never" => Colour::Never,
        "always" => Colour::Always,
        "auto" | "" => Colour::Auto,
        _ => {
            let text =
                format!("`{word}` is not a value of --ansi (never, always, auto); using auto");
            screen.message(Message::warning(&text));
            Colour::Auto
        }
    }
}

fn check_progress(word: &str, colour: Colour) -> Result<(), UsageError> {
    match (word, colour) {
        ("tty", Colour::Never) => {
            Err(UsageError::ProgressWithoutAnsi { progress: "tty", ansi: "disabled" })
        }
        ("plain", Colour::Always) => {
            Err(UsageError::ProgressWithoutAnsi { progress: "plain", ansi: "forced" })
        }
        ("" | "auto" | "tty" | "plain" | "json" | "quiet" | "none", _) => Ok(()),
        _ => Err(UsageError::Progress(word.to_owned())),
    }
}

fn check_parallel(word: Option<&str>) -> Result<(), UsageError> {
    match word {
        Some(word) if !word.is_empty() && word.parse::<i64>().is_err() => {
            let value = word.to_owned();
            Err(UsageError::NotInteger { name: "COMPOSE_PARALLEL_LIMIT", value })
        }
        _ => Ok(()),
    }
}
