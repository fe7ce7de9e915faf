//! Text to [`Project`]: finds, reads, composes and checks the files of a project.
//!
//! Pure but for its [`Source`] (files and variables). [`load`] reads as the phases it performs;
//! each phase is a module:
//!
//! | phase | module |
//! |---|---|
//! | find files, env files, profiles, the name | `discover` |
//! | parse into [`Node`]s, which know their places | `yaml` |
//! | compose documents: `${…}`, `extends`, `!reset`, `include`, merge, shape, long forms | `compose` and what it calls |
//! | fill in what is implied | `normalize` |
//! | give every value its final type | `lower` |
//! | check references and contradictions | `consistency` |
//! | give fixed names to an instance, if one is asked for | `instance`, `worktree` |
//! | keep what is selected, read env files | `select`, `environment` |
//!
//! What holds for which attribute stands in one table: `attribute`.
//!
//! # Invariants
//!
//! - Every problem is reported, with its place; what is reported is taken out of the tree, so that
//!   the phases after it neither fail on it nor report it again.
//! - Time and memory are bounded, whatever the files hold.
//!
//! # Not here
//!
//! Drawing problems (`ui`), deciding what to do with a project (`plan`).

mod attribute;
mod canonical;
mod compose;
mod consistency;
mod cursor;
mod discover;
pub mod dotenv;
mod environment;
mod extends;
mod implied;
mod include;
mod instance;
mod interpolate;
mod locations;
mod lower;
mod map;
mod merge;
pub mod node;
mod normalize;
mod parallel;
pub mod path;
mod resources;
mod select;
mod session;
mod shape;
pub mod short;
pub mod source;
pub mod template;
mod trail;
mod unique;
mod value;
mod variables;
pub mod words;
mod worktree;
mod yaml;

use std::collections::BTreeSet;
use std::path::PathBuf;

use indexmap::IndexMap;

use crate::diagnostic::{Code, Diagnostic, Sources};
use crate::model::{Instance, Project};

use compose::Scope;
use cursor::Cursor;
use discover::Found;
use locations::Base;
use node::VariableSource;
use session::Session;

pub use instance::{
    INSTANCE_VARIABLE, InvalidInstance, PROJECT_VARIABLE, base_name, instance_name,
};
pub use locations::display;
pub use node::Node;
pub use source::{Disk, Memory, Source};

/// What to load, as the command line and the environment say it.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The current directory, absolute.
    pub cwd: PathBuf,
    /// The environment of the process.
    pub environment: IndexMap<String, String>,
    /// `--file`, in order; empty: `COMPOSE_FILE` or the default names.
    pub files: Vec<String>,
    /// `--project-name`.
    pub project_name: Option<String>,
    /// `--instance`; `None`: `KETCH_INSTANCE`.
    pub instance: Option<String>,
    /// What `${KETCH_PORT_…}` stands for.
    pub ports: PortVariables,
    /// `--profile`; empty: `COMPOSE_PROFILES`.
    pub profiles: Vec<String>,
    /// `--env-file`; empty: `.env`.
    pub env_files: Vec<String>,
    /// `--project-directory`.
    pub project_directory: Option<String>,
    /// Services named on the command line; empty: all.
    pub services: Vec<String>,
    /// `--all-resources`: keep resources that no selected service uses.
    pub all_resources: bool,
    /// Which phases run.
    pub phases: Phases,
}

/// What the variables stand for that hold published ports. Which ports are published is known only
/// when the files have been read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortVariables {
    /// They are not known yet: any of them stands for some number.
    Awaited,
    /// They are known, by their whole names.
    Known(IndexMap<String, String>),
}

impl Default for PortVariables {
    fn default() -> Self {
        Self::Known(IndexMap::new())
    }
}

/// Switches for single phases; all on by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "one independent switch for each `config --no-…` flag"
)]
pub struct Phases {
    /// Replace `${…}`. Off: `--no-interpolate`.
    pub interpolate: bool,
    /// Fill in what Compose implies. Off: `--no-normalize`.
    pub normalize: bool,
    /// Make paths absolute. Off: `--no-path-resolution`.
    pub resolve_paths: bool,
    /// Check references and contradictions. Off: `--no-consistency`.
    pub check_consistency: bool,
    /// Read `env_file`s into `environment`. Off: `--no-env-resolution`.
    pub resolve_environment: bool,
}

impl Default for Phases {
    fn default() -> Self {
        Self {
            interpolate: true,
            normalize: true,
            resolve_paths: true,
            check_consistency: true,
            resolve_environment: true,
        }
    }
}

/// What was read and what is wrong with it.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Every file that was read.
    pub sources: Sources,
    /// Errors and warnings, in the order in which they were found.
    pub diagnostics: Vec<Diagnostic>,
}

/// A project that could be loaded.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The typed model, restricted to the selected services.
    pub project: Project,
    /// The merged tree behind it: every value with its place and history.
    pub tree: Node,
    /// The variables that interpolation saw.
    pub variables: IndexMap<String, Variable>,
}

impl Loaded {
    /// The tree as plain values: `config --no-interpolate`.
    pub fn values(&self) -> serde_yaml::Value {
        value::uninterpolated(&self.tree, &Cursor::top())
    }
}

/// A variable and where its value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// The value.
    pub value: String,
    /// Where it comes from.
    pub from: node::VariableSource,
}

/// Loads a project.
///
/// The result is `None` if the report holds an error.
pub fn load(source: &dyn Source, request: &Request) -> (Option<Loaded>, Report) {
    let mut session = Session::new(source, request);
    let loaded = run(&mut session);
    session.report_unset();
    session.report_repetitions();
    // In the order of the files, whatever phase found them.
    session.report.diagnostics.sort_by_key(Diagnostic::span);
    let loaded = loaded.filter(|_| !session.has_errors());
    (loaded, session.report)
}

fn run(session: &mut Session<'_>) -> Option<Loaded> {
    let mut found = discover::discover(session)?;
    let mut files = Vec::with_capacity(found.files.len());
    for path in &found.files {
        files.push(compose::parse_file(session, path, None));
    }
    // What the others hold is checked, as far as it does not depend on the missing ones.
    session.incomplete |= files.iter().any(Option::is_none);
    let files: Vec<_> = files.into_iter().flatten().collect();
    let base_name = discover::project_name(session, &found, &files)?;
    let instance = instance::asked(session, &found).ok()?;
    let instance = instance.map(|name| Instance { name, project: base_name.clone() });
    let name = instance.as_ref().map_or(base_name, Instance::full_name);
    let named = match instance {
        Some(_) => discover::Named::By("project and instance make it"),
        None => discover::named(session, &found),
    };
    found.variables.set("COMPOSE_PROJECT_NAME", &name, VariableSource::Ketch);
    if let Some(instance) = &instance {
        found.variables.set(INSTANCE_VARIABLE, &instance.name, VariableSource::Ketch);
    }
    let base = Base { prefix: found.dir.to_string_lossy().into_owned(), dir: found.dir.clone() };
    let scope = Scope { base, variables: found.variables.clone(), chain: Vec::new() };
    let Some(mut tree) = compose::compose(session, files, &scope) else {
        report_empty(session, &found);
        return None;
    };
    if tree.as_map().is_some_and(|top| top.is_empty()) {
        report_empty(session, &found);
    }
    if session.phases().normalize {
        put_name(&mut tree, &name, named);
        if let Some(instance) = &instance {
            instance::scope(&mut tree, instance);
        }
        let variables = session.phases().interpolate.then_some(&found.variables);
        normalize::normalize(session, &mut tree, &name, variables);
    }
    if session.phases().interpolate {
        let loaded = finish(session, tree, found, name)?;
        Some(Loaded { project: Project { instance, ..loaded.project }, ..loaded })
    } else {
        let project = Project { name, instance, ..Project::default() };
        Some(Loaded { project, tree, variables: found.variables.into_map() })
    }
}

/// Puts the project's name into the tree. Unless the files give it, `named` says where it is from.
fn put_name(tree: &mut Node, name: &str, named: discover::Named) {
    let implied = match named {
        discover::Named::At(span) => Node::string(name, span),
        discover::Named::By(rule) => {
            Node::string(name, tree.span).with(node::Step::Default { rule })
        }
    };
    let Some(top) = tree.as_map_mut() else { return };
    let written = top.get_mut("name").map(|entry| &mut entry.node);
    match written
        .filter(|node| node.scalar_text().is_some_and(|text| discover::is_name(&text, name)))
    {
        Some(node) => node.value = node::Value::Str(name.to_owned()),
        None => drop(top.insert("name".to_owned(), merge::entry(implied))),
    }
}

/// From the composed tree to the selected part of the project.
fn finish(
    session: &mut Session<'_>,
    mut tree: Node,
    mut found: Found,
    name: String,
) -> Option<Loaded> {
    lower::finish(session, &mut tree);
    if session.is_exhausted() {
        return None;
    }
    let mut enabled = select::enabled(&tree, &found.profiles);
    if session.phases().check_consistency && !session.incomplete {
        consistency::check(session, &mut tree, &enabled);
    }
    let request = session.request;
    if !request.services.is_empty() {
        select::activate(&tree, &request.services, &mut found.profiles);
        enabled = select::enabled(&tree, &found.profiles);
        select::select(session, &mut tree, &request.services, &mut enabled);
    }
    if !request.all_resources {
        select::drop_unused(&mut tree, &enabled);
    }
    resolve_files(session, &mut tree, &found, &enabled);
    if session.has_errors() {
        return None;
    }
    match typed(&tree, &found, name, &enabled) {
        Ok(project) => Some(Loaded { project, tree, variables: found.variables.into_map() }),
        Err(diagnostic) => {
            session.report(*diagnostic);
            None
        }
    }
}

/// Reads the env files and label files of enabled services.
fn resolve_files(
    session: &mut Session<'_>,
    tree: &mut Node,
    found: &Found,
    enabled: &BTreeSet<String>,
) {
    let top = Cursor::top();
    let parent = top.key("services");
    let Some(services) = tree.get_mut("services").and_then(Node::as_map_mut) else { return };
    for (name, entry) in services.iter_mut().filter(|(name, _)| enabled.contains(*name)) {
        if session.is_exhausted() {
            return;
        }
        let cursor = parent.key(name);
        if session.phases().resolve_environment {
            environment::service(session, &mut entry.node, &found.variables, &cursor);
        }
        environment::labels(session, &mut entry.node, &cursor);
    }
}

/// The typed model of the finished tree.
fn typed(
    tree: &Node,
    found: &Found,
    name: String,
    enabled: &BTreeSet<String>,
) -> Result<Project, Box<Diagnostic>> {
    let top = Cursor::top();
    let mut project = Project {
        name,
        working_dir: found.dir.clone(),
        compose_files: found.files.clone(),
        profiles: found.profiles.clone(),
        ..Project::default()
    };
    project.services = lower::resources(tree, &top.key("services"))?;
    let disabled = |name: &String, _: &mut _| !enabled.contains(name);
    project.disabled_services = project.services.extract_if(.., disabled).collect();
    project.networks = lower::resources(tree, &top.key("networks"))?;
    project.volumes = lower::resources(tree, &top.key("volumes"))?;
    project.configs = lower::resources(tree, &top.key("configs"))?;
    project.secrets = lower::resources(tree, &top.key("secrets"))?;
    project.models = lower::resources(tree, &top.key("models"))?;
    for resource in project.configs.values_mut().chain(project.secrets.values_mut()) {
        if let Some(value) = found.variables.get(&resource.environment) {
            resource.content = value.to_owned();
        }
    }
    for (key, entry) in tree.as_map().into_iter().flatten() {
        if key.starts_with("x-") {
            project.extensions.insert(key.clone(), (&entry.node).into());
        }
    }
    Ok(project)
}

fn report_empty(session: &mut Session<'_>, found: &Found) {
    if session.has_errors() || session.is_exhausted() {
        return;
    }
    let names: Vec<String> =
        found.files.iter().map(|file| format!("`{}`", session.display(file))).collect();
    let places = found.files.iter().filter_map(|file| session.first_line(file));
    let diagnostic = places.fold(
        Diagnostic::error(Code::EmptyProject, format!("{} defines nothing", names.join(", "))),
        |diagnostic, place| diagnostic.at(place, "no service, and nothing else"),
    );
    session.report(diagnostic.hint("begin with `services:`"));
}
