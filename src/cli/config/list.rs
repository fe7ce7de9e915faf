//! The lists of `ketch config`.
//!
//! In: a loaded project. Out: sorted lines, or a table.
//!
//! # Invariants
//!
//! - As with Docker Compose, only `--profiles`, `--images` and `--environment` heed services named
//!   on the command line; the other lists are of the whole project.

use std::collections::BTreeMap;

use serde_json::json;

use crate::cli::args::ConfigArgs;
use crate::cli::exit::Failure;
use crate::cli::session::Session;
use crate::cli::usage::UsageError;
use crate::diagnostic::closest;
use crate::model::{Project, Service, hash, render};
use crate::project::node::Value;
use crate::project::template::{self, Variable};
use crate::project::{Loaded, Node, Phases, Request};
use crate::ui::report;
use crate::ui::table::table;

/// What to list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum List {
    Services,
    Volumes,
    Networks,
    Models,
    Hash(String),
    Profiles,
    Images,
    Variables,
    Environment,
}

impl List {
    /// The list that the flags ask for; the first one wins.
    pub(super) fn of(args: &ConfigArgs) -> Option<Self> {
        let hash = args.hash.clone().unwrap_or_default();
        let lists = [
            (args.services, Self::Services),
            (args.volumes, Self::Volumes),
            (args.networks, Self::Networks),
            (args.models, Self::Models),
            (!hash.is_empty(), Self::Hash(hash)),
            (args.profiles, Self::Profiles),
            (args.images, Self::Images),
            (args.variables, Self::Variables),
            (args.environment, Self::Environment),
        ];
        lists.into_iter().find(|(asked, _)| *asked).map(|(_, list)| list)
    }

    /// Whether the services named on the command line matter.
    fn heeds_services(&self) -> bool {
        matches!(self, Self::Profiles | Self::Images | Self::Environment)
    }
}

/// Prints a list.
pub(super) fn run(
    list: &List,
    args: &ConfigArgs,
    mut request: Request,
    session: &mut Session<'_>,
) -> Result<(), Failure> {
    if *list == List::Variables {
        return print_variables(args, request, session);
    }
    if list.heeds_services() {
        request.services.clone_from(&args.services_named);
    }
    // No list needs env files, so that a missing one does no harm.
    request.phases.resolve_environment = false;
    let (mut loaded, _) = session.load(&request)?;
    crate::orchestrator::suppose_ports(&mut loaded.project);
    let underscore = session.joins_with_underscore(&loaded.variables);
    let separator = if underscore { '_' } else { '-' };
    let mut lines = lines(list, &loaded, separator)?;
    lines.sort();
    // Of all lists, `--quiet` silences only this one.
    if args.quiet && *list == List::Environment {
        return Ok(());
    }
    let text: String = lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
    Ok(session.screen.data(&text)?)
}

fn lines(list: &List, loaded: &Loaded, separator: char) -> Result<Vec<String>, Failure> {
    let project = &loaded.project;
    Ok(match list {
        List::Services => project.services.keys().cloned().collect(),
        List::Volumes => project.volumes.keys().cloned().collect(),
        List::Networks => project.networks.keys().cloned().collect(),
        List::Models => project.models.values().map(|model| model.model.clone()).collect(),
        List::Hash(names) => hashes(loaded, names)?,
        List::Profiles => profiles(project),
        List::Images => images(project, separator),
        List::Environment => loaded
            .variables
            .iter()
            .map(|(name, variable)| format!("{name}={}", variable.value))
            .collect(),
        // It is printed as a table, from another way of loading.
        List::Variables => Vec::new(),
    })
}

/// `web 9079c3…`, for all services or those named.
///
/// Env files are not read for this, as Docker Compose does not read them: the hash on a container
/// is another one where a service has env files.
fn hashes(loaded: &Loaded, names: &str) -> Result<Vec<String>, Failure> {
    let project = &loaded.project;
    let wanted: Vec<&str> = match names {
        "*" => project.services.keys().map(String::as_str).collect(),
        _ => names.split(',').collect(),
    };
    let hash = |name: &str| {
        let service = find_service(project, name)?;
        let service = with_platform(service, loaded);
        Ok(format!("{name} {}", hash::service_hash(&service)))
    };
    wanted.into_iter().map(hash).collect()
}

/// A service that is built runs on the default platform if it names none.
fn with_platform(service: &Service, loaded: &Loaded) -> Service {
    let mut service = service.clone();
    if let (true, Some(platform)) =
        (service.build.is_some(), loaded.variables.get("DOCKER_DEFAULT_PLATFORM"))
        && service.platform.is_empty()
    {
        service.platform.clone_from(&platform.value);
    }
    service
}

fn find_service<'a>(project: &'a Project, name: &str) -> Result<&'a Service, Failure> {
    project.services.get(name).map(Box::as_ref).ok_or_else(|| {
        let disabled = project.disabled_services.contains_key(name);
        let reason = if disabled { " (no active profile enables it)" } else { "" };
        let others = project.services.keys().map(String::as_str);
        let similar = closest(name, others).filter(|_| !disabled).map(str::to_owned);
        Failure::NoSuchService { name: name.to_owned(), reason, similar }
    })
}

/// Every profile that a service has, active or not, each once.
fn profiles(project: &Project) -> Vec<String> {
    let services = project.services.values().chain(project.disabled_services.values());
    let mut profiles: Vec<String> =
        services.flat_map(|service| service.profiles.iter().cloned()).collect();
    profiles.sort();
    profiles.dedup();
    profiles
}

/// The image of each service; without one, the name that building gives it.
fn images(project: &Project, separator: char) -> Vec<String> {
    let images = project.services.iter().map(|(name, service)| {
        if service.image.is_empty() {
            return format!("{}{separator}{name}", project.name);
        }
        service.image.clone()
    });
    images.collect()
}

/// Prints the variables that the files use, whether they are set or not.
fn print_variables(
    args: &ConfigArgs,
    mut request: Request,
    session: &mut Session<'_>,
) -> Result<(), Failure> {
    // Nothing that a variable could break matters here.
    request.phases = Phases {
        interpolate: false,
        normalize: false,
        resolve_paths: false,
        check_consistency: false,
        resolve_environment: false,
    };
    let format = args.format.as_deref().unwrap_or_default().to_lowercase();
    if !matches!(format.as_str(), "" | "table" | "pretty" | "json" | "yaml") {
        let possible = &["table", "json", "yaml"];
        return Err(UsageError::Format { format, possible }.into());
    }
    let (loaded, _) = session.load(&request)?;
    let mut variables = BTreeMap::new();
    for (key, entry) in loaded.tree.as_map().into_iter().flatten() {
        // The name is settled before; Compose does not count what it is made of.
        if key != "name" {
            collect(&entry.node, &mut variables);
        }
    }
    let text = match format.as_str() {
        "json" => variables_json(&variables),
        "yaml" => variables_yaml(&variables),
        _ => variables_table(&variables),
    };
    Ok(session.screen.data(&text)?)
}

/// Walks the tree; of several uses of a variable the last one counts, as with Docker Compose.
fn collect(node: &Node, variables: &mut BTreeMap<String, Variable>) {
    match &node.value {
        Value::Str(text) => {
            let found = template::variables(text).into_iter();
            variables.extend(found.map(|variable| (variable.name.clone(), variable)));
        }
        Value::Seq(items) => items.iter().for_each(|item| collect(item, variables)),
        Value::Map(map) => map.values().for_each(|entry| collect(&entry.node, variables)),
        _ => {}
    }
}

fn variables_table(variables: &BTreeMap<String, Variable>) -> String {
    let row = |variable: &Variable| {
        let required = variable.required.to_string();
        [variable.name.clone(), required, variable.default.clone(), variable.alternate.clone()]
    };
    let rows: Vec<[String; 4]> = variables.values().map(row).collect();
    table(["NAME", "REQUIRED", "DEFAULT VALUE", "ALTERNATE VALUE"], &rows)
}

/// JSON in Docker Compose's words.
fn variables_json(variables: &BTreeMap<String, Variable>) -> String {
    let entry = |variable: &Variable| {
        json!({
            "Name": variable.name,
            "DefaultValue": variable.default,
            "PresenceValue": variable.alternate,
            "Required": variable.required,
        })
    };
    let entries: serde_json::Map<String, serde_json::Value> =
        variables.iter().map(|(name, variable)| (name.clone(), entry(variable))).collect();
    report::pretty(&entries.into())
}

/// YAML in Docker Compose's words.
fn variables_yaml(variables: &BTreeMap<String, Variable>) -> String {
    // Maps are printed sorted, but these keys have an order of their own: one at a time.
    let line = |key: &str, value: serde_yaml::Value| {
        let map = serde_yaml::Mapping::from_iter([(key.into(), value)]);
        format!("  {}", render::value_yaml(&map.into()))
    };
    let entry = |(name, variable): (&String, &Variable)| {
        [
            format!("{name}:\n"),
            line("name", name.as_str().into()),
            line("defaultvalue", variable.default.as_str().into()),
            line("presencevalue", variable.alternate.as_str().into()),
            line("required", variable.required.into()),
        ]
        .concat()
    };
    variables.iter().map(entry).collect::<Vec<_>>().concat()
}
