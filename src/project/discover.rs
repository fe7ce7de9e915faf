//! Finds the files of a project, its folder, its variables and its name.
//!
//! The order is Docker Compose's: the env files may name the project files, and the folder of the
//! project files may hold another env file.

use std::path::{Path, PathBuf};

use crate::diagnostic::{Code, Diagnostic, Span};

use super::compose::Parsed;
use super::environment;
use super::include::is_remote;
use super::instance::base_name;
use super::node::{Node, VariableSource};
use super::session::{STDIN, Session};
use super::short;
use super::template;
use super::variables::Variables;

const NAMES: [&str; 4] =
    ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];
const OVERRIDES: [&str; 4] = [
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
];

/// What was found.
#[derive(Debug)]
pub(super) struct Found {
    /// Project files in the order in which they merge; `-` is standard input.
    pub(super) files: Vec<PathBuf>,
    /// The project directory, absolute.
    pub(super) dir: PathBuf,
    /// What interpolation sees.
    pub(super) variables: Variables,
    /// Active profiles.
    pub(super) profiles: Vec<String>,
}

/// Finds all there is; problems are reported.
pub(super) fn discover(session: &mut Session<'_>) -> Option<Found> {
    let request = session.request;
    let mut variables = Variables::process(&request.environment, &request.ports);
    if variables.get("PWD").is_none() {
        variables.set("PWD", &request.cwd.to_string_lossy(), VariableSource::Ketch);
    }
    let mut files: Vec<PathBuf> =
        request.files.iter().map(|file| absolute(session, file)).collect();
    if let Some(remote) = request.files.iter().find(|file| is_remote(file)) {
        session.report(
            Diagnostic::error(Code::RemoteInclude, format!("`{remote}` is not on this machine"))
                .hint(
                    "fetch it first and name the local file: Ketch reads local files only, so far",
                ),
        );
        return None;
    }
    read_env_files(session, &working_dir(session, &files), &mut variables)?;
    if files.is_empty() {
        files = from_variable(session, &variables)?;
    }
    if files.is_empty() {
        files = default_files(session, &working_dir(session, &files));
        if files.is_empty() {
            report_none(session);
            return None;
        }
    }
    let dir = working_dir(session, &files);
    read_env_files(session, &dir, &mut variables)?;
    let profiles = profiles(session, &variables);
    Some(Found { files, dir, variables, profiles })
}

/// A path as the command line or a variable has it.
fn absolute(session: &Session<'_>, file: &str) -> PathBuf {
    if file == STDIN {
        return PathBuf::from(file);
    }
    let path = session.request.cwd.join(file);
    PathBuf::from(short::clean(&path.to_string_lossy()))
}

/// `--project-directory`, else the folder of the first file, else the current one.
fn working_dir(session: &Session<'_>, files: &[PathBuf]) -> PathBuf {
    if let Some(dir) = session.request.project_directory.as_ref().filter(|dir| !dir.is_empty()) {
        return absolute(session, dir);
    }
    let first = files.iter().find(|file| *file != Path::new(STDIN));
    let folder = first.and_then(|file| file.parent());
    folder.map_or_else(|| session.request.cwd.clone(), Path::to_owned)
}

fn read_env_files(session: &mut Session<'_>, dir: &Path, variables: &mut Variables) -> Option<()> {
    let request = session.request;
    if !request.env_files.is_empty() {
        environment::project(session, &request.env_files, variables);
        return Some(());
    }
    if default_env_file_is_off(session)? {
        return Some(());
    }
    let file = dir.join(".env");
    if environment::has_default(session, &file) {
        environment::project(session, &[file.to_string_lossy().into_owned()], variables);
    }
    Some(())
}

/// `COMPOSE_DISABLE_ENV_FILE`, a boolean as Go reads it.
fn default_env_file_is_off(session: &mut Session<'_>) -> Option<bool> {
    let Some(value) = session.request.environment.get("COMPOSE_DISABLE_ENV_FILE") else {
        return Some(false);
    };
    match value.as_str() {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        other => {
            let message =
                format!("`COMPOSE_DISABLE_ENV_FILE` must be `true` or `false`, not {other:?}");
            session.report(
                Diagnostic::error(Code::Environment, message).hint("unset it, or set it to `true`"),
            );
            None
        }
    }
}

/// `COMPOSE_FILE`: every file in it must exist.
fn from_variable(session: &mut Session<'_>, variables: &Variables) -> Option<Vec<PathBuf>> {
    let Some(list) = variables.get("COMPOSE_FILE") else { return Some(Vec::new()) };
    let separator = variables.get("COMPOSE_PATH_SEPARATOR").filter(|text| !text.is_empty());
    let mut files = Vec::new();
    for name in list.split(separator.unwrap_or(":")) {
        let path = absolute(session, name);
        if name != STDIN && session.source.kind(&path).is_err() {
            let message = format!("`COMPOSE_FILE` names `{name}`, which does not exist");
            let mut diagnostic = Diagnostic::error(Code::Unreadable, message);
            if let VariableSource::File(span) = variables.origin("COMPOSE_FILE") {
                diagnostic = diagnostic.at(span, "set here");
            }
            session.report(diagnostic);
            return None;
        }
        files.push(path);
    }
    Some(files)
}

/// The default file of the folder or the nearest one above, and its override file.
fn default_files(session: &mut Session<'_>, dir: &Path) -> Vec<PathBuf> {
    for folder in dir.ancestors() {
        if let Some(file) = first_of(session, folder, NAMES, "project") {
            let more = first_of(session, folder, OVERRIDES, "override");
            return std::iter::once(file).chain(more).collect();
        }
    }
    Vec::new()
}

fn first_of(
    session: &mut Session<'_>,
    folder: &Path,
    names: [&str; 4],
    what: &str,
) -> Option<PathBuf> {
    let exists = |path: &PathBuf| session.source.kind(path).is_ok();
    let found: Vec<PathBuf> = names.iter().map(|name| folder.join(name)).filter(exists).collect();
    let first = found.first()?.clone();
    if found.len() > 1 {
        let list: Vec<String> =
            found.iter().map(|path| format!("`{}`", session.display(path))).collect();
        let message = format!("there are several {what} files: {}", list.join(", "));
        session.report(
            Diagnostic::warning(Code::SeveralFiles, message)
                .note(format!("using `{}`", session.display(&first)))
                .hint("name the one that you mean with `--file`, or remove the others"),
        );
    }
    Some(first)
}

fn report_none(session: &mut Session<'_>) {
    session.report(
        Diagnostic::error(Code::NoProjectFile, "no project file found")
            .note(format!("looked for {} here and in every folder above", NAMES.join(", ")))
            .hint("go to the folder of your project, or name its file with `--file`"),
    );
}

/// `--profile`, else `COMPOSE_PROFILES`. Unset, that is the one profile with a blank name.
fn profiles(session: &Session<'_>, variables: &Variables) -> Vec<String> {
    if !session.request.profiles.is_empty() {
        return session.request.profiles.clone();
    }
    let list = variables.get("COMPOSE_PROFILES").unwrap_or_default();
    list.split(',').map(|name| name.trim().to_owned()).collect()
}

/// The name of the project: `--project-name`, `COMPOSE_PROJECT_NAME`, the last `name:` in the
/// files, or the folder.
pub(super) fn project_name(
    session: &mut Session<'_>,
    found: &Found,
    files: &[Parsed],
) -> Option<String> {
    let imposed = session.request.project_name.clone().filter(|name| !name.is_empty());
    let variable = |name: &str| found.variables.lookup(name);
    let imposed =
        imposed.or_else(|| variable("COMPOSE_PROJECT_NAME").map(|it| base_name(it, variable)));
    if let Some(name) = imposed.filter(|name| !name.is_empty()) {
        return check_name(session, name, found);
    }
    let named = files
        .iter()
        .flat_map(|file| &file.documents)
        .filter_map(|document| document.node.get("name"))
        .rfind(|node| node.scalar_text().is_some_and(|text| !text.is_empty()));
    let name = match named {
        Some(node) => from_file(session, node, found),
        None => normal_name(&folder_name(session, &found.dir)),
    };
    if name.is_empty() {
        let mut diagnostic = Diagnostic::error(Code::ProjectName, "the project has no name");
        if let Some(node) = named {
            diagnostic = diagnostic.at(node.span, "nothing is left of this");
        }
        let hint = "names are made of lowercase letters, digits, `-` and `_`; give one with `name:` or `--project-name`";
        session.report(diagnostic.hint(hint));
        return None;
    }
    Some(name)
}

/// Whether a text in a file gives a project this name.
pub(super) fn is_name(text: &str, name: &str) -> bool {
    normal_name(text) == name
}

/// What gives a project its name.
#[derive(Clone, Copy, Debug)]
pub(super) enum Named {
    /// A line of an env file.
    At(Span),
    /// A rule.
    By(&'static str),
}

/// What gives the project its name if its files do not.
pub(super) fn named(session: &Session<'_>, found: &Found) -> Named {
    const VARIABLE: &str = "COMPOSE_PROJECT_NAME";
    let is_set = |text: Option<&str>| text.is_some_and(|text| !text.is_empty());
    if is_set(session.request.project_name.as_deref()) {
        Named::By("`--project-name` gives it")
    } else if !is_set(found.variables.get(VARIABLE)) {
        Named::By("the folder of the project gives it")
    } else if let VariableSource::File(span) = found.variables.origin(VARIABLE) {
        Named::At(span)
    } else {
        Named::By("`COMPOSE_PROJECT_NAME` gives it")
    }
}

fn check_name(session: &mut Session<'_>, name: String, found: &Found) -> Option<String> {
    let normal = normal_name(&name);
    if normal == name {
        return Some(name);
    }
    let message = format!("`{name}` is not a valid project name");
    let mut diagnostic = Diagnostic::error(Code::ProjectName, message);
    if let (None, VariableSource::File(span)) =
        (&session.request.project_name, found.variables.origin("COMPOSE_PROJECT_NAME"))
    {
        diagnostic = diagnostic.at(span, "set here");
    }
    let rule = "names begin with a lowercase letter or digit and go on with these, `-` and `_`";
    diagnostic = diagnostic.note(rule);
    if !normal.is_empty() {
        diagnostic = diagnostic.hint(format!("did you mean `{normal}`?"));
    }
    session.report(diagnostic);
    None
}

/// The interpolated name. What is wrong with it is reported when its file is interpolated.
fn from_file(session: &Session<'_>, node: &Node, found: &Found) -> String {
    let text = node.scalar_text().unwrap_or_default();
    if !session.phases().interpolate {
        return normal_name(&text);
    }
    let expanded = template::expand(&text, &|name| found.variables.lookup(name));
    expanded.map_or_else(|_| "invalid".to_owned(), |expanded| normal_name(&expanded.text))
}

fn folder_name(session: &mut Session<'_>, dir: &Path) -> String {
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let own = name(dir).unwrap_or_default();
    let real = session.source.canonical(dir).ok().and_then(|path| name(&path));
    if real.is_some_and(|real| real != own) {
        session.report(
            Diagnostic::warning(
                Code::ProjectName,
                format!("the project is named `{own}` after a link"),
            )
            .hint("give it a name of its own with `name:`"),
        );
    }
    own
}

/// What Compose makes of any text: lowercase letters, digits, `-` and `_`.
pub(super) fn normal_name(text: &str) -> String {
    let lower = text.to_lowercase();
    let kept: String =
        lower.chars().filter(|c| matches!(c, 'a'..='z' | '0'..='9' | '-' | '_')).collect();
    kept.trim_start_matches(['-', '_']).to_owned()
}
