//! Which files matter to which services, and what follows.
//!
//! In: the services of a project. Out: [`Rules`], which answer for any path.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use super::passing::is_passing;
use crate::model::ignore::{InvalidPattern, Patterns};
use crate::model::{Develop, Hook, Mount, Project, Service, Trigger};

/// The most that is read of a `.dockerignore`.
const LONGEST: u64 = 1 << 20;

/// What follows when a file changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// The image is built and the containers are replaced.
    Rebuild,
    /// The file is brought into the containers.
    Sync,
    /// The containers are restarted.
    Restart,
    /// The file is brought, then the containers are restarted.
    SyncRestart,
    /// The file is brought, then a command is run in the containers.
    SyncExec,
}

impl Action {
    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "rebuild" => Self::Rebuild,
            "sync" => Self::Sync,
            "restart" => Self::Restart,
            "sync+restart" => Self::SyncRestart,
            "sync+exec" => Self::SyncExec,
            _ => return None,
        })
    }

    /// Whether files are brought.
    pub fn syncs(self) -> bool {
        matches!(self, Self::Sync | Self::SyncRestart | Self::SyncExec)
    }
}

/// One rule of one service.
#[derive(Debug)]
pub struct Rule {
    /// The service.
    pub service: String,
    /// What follows.
    pub action: Action,
    /// The file or directory that is watched.
    pub path: PathBuf,
    /// The command of [`Action::SyncExec`].
    pub exec: Hook,
    /// Where its files go in the container; `None`: nowhere, or they are mounted there anyway.
    target: Option<Arc<Path>>,
    ignore: Patterns,
    include: Option<Patterns>,
    context: Option<Context>,
}

/// A build context, and what `.dockerignore` leaves out of it.
#[derive(Debug)]
struct Context {
    folder: PathBuf,
    /// The files that may say so: the first that is there does.
    files: [PathBuf; 2],
    text: String,
    patterns: Patterns,
}

/// The rules of a project.
#[derive(Debug, Default)]
pub struct Rules {
    /// The rules, in order of the services.
    pub all: Vec<Rule>,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// Why a rule cannot be followed.
#[derive(Debug, Error)]
pub enum RuleError {
    /// There is no such action.
    #[error("service `{service}` cannot be watched: there is no action `{action}`")]
    Action {
        /// The service.
        service: String,
        /// The word.
        action: String,
    },
    /// Nothing can be built.
    #[error("service `{0}` cannot be watched with `rebuild`: it has no `build`")]
    NoBuild(String),
    /// Nothing can be run.
    #[error("service `{0}` cannot be watched with `sync+exec`: it has no `exec.command`")]
    NoCommand(String),
    /// A pattern is none.
    #[error("service `{service}` cannot be watched")]
    Pattern {
        /// The service.
        service: String,
        /// Which.
        source: InvalidPattern,
    },
    /// A `.dockerignore` cannot be read.
    #[error("cannot read `{}`", path.display())]
    Ignore {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// `x-develop` is not what `develop` is.
    #[error("service `{service}` has an `x-develop` that cannot be read")]
    Legacy {
        /// The service.
        service: String,
        /// Why.
        source: serde_yaml::Error,
    },
}

impl Rules {
    /// Reads the rules of all services of a project, and the `.dockerignore` files that they heed.
    ///
    /// # Errors
    ///
    /// For the first rule that cannot be followed.
    pub fn of(project: &Project) -> Result<Self, RuleError> {
        let mut rules = Self::default();
        for (name, service) in &project.services {
            for trigger in triggers(project, name, service, &mut rules.warnings)? {
                rules.add((name, service), &trigger)?;
            }
        }
        Ok(rules)
    }

    fn add(&mut self, service: (&str, &Service), trigger: &Trigger) -> Result<(), RuleError> {
        let (name, settings) = service;
        let Some(action) = Action::parse(&trigger.action) else {
            let action = trigger.action.clone();
            return Err(RuleError::Action { service: name.to_owned(), action });
        };
        if action == Action::Rebuild && settings.build.is_none() {
            return Err(RuleError::NoBuild(name.to_owned()));
        }
        let has_command = trigger.exec.command.as_ref().is_some_and(|words| !words.is_empty());
        if action == Action::SyncExec && !has_command {
            return Err(RuleError::NoCommand(name.to_owned()));
        }
        let path = PathBuf::from(&trigger.path);
        let target = match seen_at(settings, trigger) {
            _ if !action.syncs() => None,
            Seen::No => Some(target(trigger).into()),
            Seen::Same if action == Action::Sync => {
                self.warnings.push(format!(
                    "service `{name}`: `{}` is not watched for `sync`: it is mounted at `{}` anyway",
                    trigger.path, trigger.target
                ));
                return Ok(());
            }
            Seen::Same => None,
            Seen::Within(mount) => {
                self.warnings.push(format!(
                    "service `{name}`: `{}` is not watched: its target `{}` is in `{mount}`, which \
                     is mounted from the same files, so that bringing them would never end",
                    trigger.path, trigger.target
                ));
                return Ok(());
            }
        };
        let patterns = |lines: &[String]| {
            let service = name.to_owned();
            let parsed = Patterns::parse(&lines.join("\n"));
            parsed.map_err(|source| RuleError::Pattern { service, source })
        };
        let include = match trigger.include.as_slice() {
            [] => None,
            lines => Some(patterns(lines)?),
        };
        self.all.push(Rule {
            service: name.to_owned(),
            action,
            path,
            exec: trigger.exec.clone(),
            target,
            ignore: patterns(&trigger.ignore)?,
            include,
            context: context(name, settings)?,
        });
        Ok(())
    }
}

impl Rule {
    /// Whether a path below the rule's own matters.
    pub(super) fn heeds(&self, path: &Path) -> bool {
        let Ok(relative) = path.strip_prefix(&self.path) else { return false };
        if relative.as_os_str().is_empty() {
            return true;
        }
        let relative = relative.to_string_lossy();
        let is_included = self.include.as_ref().is_none_or(|it| it.excludes(&relative));
        is_included && !self.ignores(path, &relative)
    }

    /// Whether something below a directory may matter.
    pub(super) fn enters(&self, directory: &Path) -> bool {
        let Ok(relative) = directory.strip_prefix(&self.path) else { return false };
        if relative.as_os_str().is_empty() {
            return true;
        }
        let relative = relative.to_string_lossy();
        if is_passing(&relative) {
            return false;
        }
        let closed = |patterns: &Patterns, relative: &str| {
            patterns.excludes(relative) && !patterns.may_keep_below(relative)
        };
        let in_context = self.context.as_ref().and_then(|context| {
            let relative = directory.strip_prefix(&context.folder).ok()?.to_string_lossy();
            Some(closed(&context.patterns, &relative))
        });
        !closed(&self.ignore, &relative) && !in_context.unwrap_or_default()
    }

    fn ignores(&self, path: &Path, relative: &str) -> bool {
        let by_context = || {
            let context = self.context.as_ref()?;
            let relative = path.strip_prefix(&context.folder).ok()?.to_string_lossy();
            Some(context.patterns.excludes(&relative))
        };
        is_passing(relative) || self.ignore.excludes(relative) || by_context().unwrap_or_default()
    }

    /// The files that say what is left out of the build context.
    pub(super) fn ignore_files(&self) -> &[PathBuf] {
        self.context.as_ref().map_or(&[], |context| &context.files)
    }

    /// Reads those files again; whether something else is left out now.
    pub(super) fn read_again(&mut self) -> Result<bool, RuleError> {
        let Some(context) = &mut self.context else { return Ok(false) };
        let text = first_text(&context.files)?;
        if text == context.text {
            return Ok(false);
        }
        let service = || self.service.clone();
        let invalid = |source| RuleError::Pattern { service: service(), source };
        context.patterns = Patterns::parse(&text).map_err(invalid)?;
        context.text = text;
        Ok(true)
    }

    /// Where its own path goes in the container.
    pub fn target(&self) -> Option<Arc<Path>> {
        self.target.clone()
    }

    /// Where a file of the host goes in the container, if it goes anywhere.
    pub fn place_of(&self, path: &Path) -> Option<PathBuf> {
        let target = self.target.as_ref()?;
        let relative = path.strip_prefix(&self.path).ok()?;
        Some(if relative.as_os_str().is_empty() {
            target.to_path_buf()
        } else {
            target.join(relative)
        })
    }

    /// The file of the host that goes to a place in the container.
    pub(super) fn source_of(&self, place: &Path) -> Option<PathBuf> {
        let relative = place.strip_prefix(self.target.as_ref()?).ok()?;
        Some(if relative.as_os_str().is_empty() {
            self.path.clone()
        } else {
            self.path.join(relative)
        })
    }
}

/// The triggers of a service, those of the old `x-develop` too.
fn triggers(
    project: &Project,
    name: &str,
    service: &Service,
    warnings: &mut Vec<String>,
) -> Result<Vec<Trigger>, RuleError> {
    if let Some(develop) = &service.develop {
        return Ok(develop.watch.clone());
    }
    let Some(legacy) = service.extensions.get("x-develop") else { return Ok(Vec::new()) };
    let read = serde_yaml::from_value::<Develop>(legacy.clone());
    let develop = read.map_err(|source| RuleError::Legacy { service: name.to_owned(), source })?;
    warnings.push(format!("service `{name}`: `x-develop` is old, please write `develop`"));
    let absolute = |mut trigger: Trigger| {
        let path: PathBuf = project.working_dir.join(&trigger.path).components().collect();
        trigger.path = path.to_string_lossy().into_owned();
        trigger
    };
    Ok(develop.watch.into_iter().map(absolute).collect())
}

/// Where the files of a trigger go. A slash at its end says that it is a directory: a single file
/// goes into it.
fn target(trigger: &Trigger) -> PathBuf {
    let target = Path::new("/").join(&trigger.target);
    let path = Path::new(&trigger.path);
    let clean: PathBuf = target.components().collect();
    match path.file_name() {
        Some(name) if trigger.target.ends_with('/') && path.is_file() => clean.join(name),
        _ => clean,
    }
}

/// Whether the container sees the watched files where they would be brought.
enum Seen {
    No,
    /// The very files are mounted there.
    Same,
    /// Others are, through this mount, but those are watched too.
    Within(String),
}

fn seen_at(service: &Service, trigger: &Trigger) -> Seen {
    let (path, place) = (Path::new(&trigger.path), target(trigger));
    let bind = |mount: &&Mount| mount.kind == "bind" && place.starts_with(&mount.target);
    let nearest = service.volumes.iter().filter(bind).max_by_key(|mount| mount.target.len());
    let Some(mount) = nearest else { return Seen::No };
    let below = place.strip_prefix(&mount.target).unwrap_or(Path::new(""));
    let source: PathBuf = Path::new(&mount.source).join(below).components().collect();
    if source == path {
        Seen::Same
    } else if source.starts_with(path) || path.starts_with(&source) {
        Seen::Within(mount.target.clone())
    } else {
        Seen::No
    }
}

/// The build context of a service and what is left out of it, as builds read it.
fn context(name: &str, service: &Service) -> Result<Option<Context>, RuleError> {
    let Some(build) = &service.build else { return Ok(None) };
    let folder = PathBuf::from(&build.context);
    if !folder.is_absolute() {
        return Ok(None);
    }
    let dockerfile = if build.dockerfile.is_empty() { "Dockerfile" } else { &build.dockerfile };
    let own = PathBuf::from(format!("{}.dockerignore", folder.join(dockerfile).display()));
    let files = [own, folder.join(".dockerignore")];
    let text = first_text(&files)?;
    let invalid = |source| RuleError::Pattern { service: name.to_owned(), source };
    let patterns = Patterns::parse(&text).map_err(invalid)?;
    Ok(Some(Context { folder, files, text, patterns }))
}

/// The text of the first of some files that is there.
fn first_text(files: &[PathBuf]) -> Result<String, RuleError> {
    for path in files {
        let failed = |source| RuleError::Ignore { path: path.clone(), source };
        if let Some(text) = read(path).map_err(failed)? {
            return Ok(text);
        }
    }
    Ok(String::new())
}

/// The text of a file; `None` if there is none.
fn read(path: &Path) -> io::Result<Option<String>> {
    match std::fs::metadata(path) {
        Ok(found) if found.is_file() => {}
        Ok(_) => return Ok(None),
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(error),
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(LONGEST).read_to_end(&mut bytes)?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

#[cfg(test)]
mod tests;
