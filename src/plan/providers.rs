//! Services and AI models that external programs run.
//!
//! In: a project, and the programs that were found. Out: the plan that brings those services and
//! models up, the calls that take them down, and a project whose other services have the variables
//! that were handed over.
//!
//! Like images they come before containers, so that no plan for containers holds a maybe. What a
//! program hands over is known only once it has run: a forecast takes it to be what it was.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use super::step::{Cause, Op, Plan, Step, StepId};
use super::up::order;
use crate::model::render::compact_json;
use crate::model::spec::{Handed, Provided, ProviderAction, ProviderCall};
use crate::model::{Dict, Project, ProviderCommand, ProviderMetadata, Service, ServiceModel};

/// The external programs that a project needs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Providers {
    /// Those that run services, by `provider.type`.
    pub programs: BTreeMap<String, Program>,
    /// The one that runs AI models.
    pub models: Option<ModelProgram>,
    /// The variables that the files of the project see.
    pub environment: Dict,
}

/// A program that runs services.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Program {
    /// Where it is.
    pub path: PathBuf,
    /// What it says about itself.
    pub metadata: ProviderMetadata,
}

/// The program that runs AI models.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelProgram {
    /// Where it is.
    pub path: PathBuf,
    /// The models that are here.
    pub present: BTreeSet<String>,
    /// Whether it takes flags for the inference engine.
    pub takes_flags: bool,
}

/// Calls of external programs, by service.
pub type ProviderCalls = BTreeMap<String, Arc<ProviderCall>>;

/// Variables of a service that are not known yet: by service, names or, with a star at the end,
/// how names begin.
pub type Unknown = BTreeMap<String, BTreeSet<String>>;

/// Whether external programs have to run before the containers of a project.
pub fn are_needed(project: &Project) -> bool {
    !project.models.is_empty() || project.services.values().any(|it| it.provider.is_some())
}

/// The plan that brings services and models of external programs up.
pub fn up(project: &Project, providers: &Providers) -> Plan {
    let mut plan = Plan::default();
    if let Some(program) = &providers.models {
        for key in project.models.keys() {
            model(project, key, (program, providers), &mut plan);
        }
    }
    let mut calls = calls(project, providers, ProviderAction::Up);
    let mut done: BTreeMap<&str, Vec<StepId>> = BTreeMap::new();
    for service in order(project) {
        let dependencies = project.services.get(service).map(|it| it.depends_on.keys());
        let before = dependencies.into_iter().flatten().filter_map(|it| done.get(it.as_str()));
        let after: Vec<StepId> = before.flatten().copied().collect();
        let last = match calls.remove(service) {
            Some(call) => {
                vec![plan.add(Step::new(Op::CallProvider(call), Cause::Requested, after))]
            }
            None => after,
        };
        done.insert(service, last);
    }
    plan
}

/// Fetches a model that is not here, and gives it its settings.
fn model(
    project: &Project,
    key: &str,
    (program, providers): (&ModelProgram, &Providers),
    plan: &mut Plan,
) {
    let Some(model) = project.models.get(key) else { return };
    let call = |action, arguments: Vec<String>| {
        Op::CallProvider(Arc::new(ProviderCall {
            subject: Provided::Model(key.to_owned()),
            action,
            program: program.path.clone(),
            arguments,
            environment: providers.environment.clone(),
            service: String::new(),
        }))
    };
    let mut after = Vec::new();
    if !program.present.contains(&model.model) {
        let pull = call(ProviderAction::Pull, vec!["pull".to_owned(), model.model.clone()]);
        after.push(plan.add(Step::new(pull, Cause::Missing, Vec::new())));
    }
    let mut words = vec!["configure".to_owned()];
    if model.context_size > 0 {
        words.extend(["--context-size".to_owned(), model.context_size.to_string()]);
    }
    words.push(model.model.clone());
    if !model.runtime_flags.is_empty() && program.takes_flags {
        words.push("--".to_owned());
        words.extend(model.runtime_flags.iter().cloned());
    } else if !model.runtime_flags.is_empty() {
        let path = format!("models.{key}.runtime_flags");
        plan.warnings.push(format!("{path} has no effect: it needs docker-model 1.0.6 or later"));
    }
    let configure = call(ProviderAction::Configure, words);
    plan.add(Step::new(configure, Cause::Requested, after));
}

/// The calls that do something to all services of external programs. Those whose program is not
/// known, or cannot do it, are left out.
pub fn calls(project: &Project, providers: &Providers, action: ProviderAction) -> ProviderCalls {
    let services = project.services.iter();
    services
        .filter_map(|(name, it)| {
            Some((name.clone(), call((project, name, it), providers, action)?))
        })
        .collect()
}

fn call(
    (project, name, service): (&Project, &str, &Service),
    providers: &Providers,
    action: ProviderAction,
) -> Option<Arc<ProviderCall>> {
    let provider = service.provider.as_ref()?;
    let program = providers.programs.get(&provider.kind)?;
    let (word, command) = command(&program.metadata, action)?;
    let takes = |option: &String| {
        let mut known = command.parameters.iter().flatten();
        program.metadata.is_silent() || known.any(|parameter| parameter.name == *option)
    };
    let options = provider.options.iter().filter(|(option, _)| takes(option));
    let options = options
        .flat_map(|(option, values)| values.iter().map(move |value| format!("--{option}={value}")));
    let start = ["compose".to_owned(), format!("--project-name={}", project.name), word.to_owned()];
    Some(Arc::new(ProviderCall {
        subject: Provided::Service(name.to_owned()),
        action,
        program: program.path.clone(),
        arguments: start.into_iter().chain(options).chain([name.to_owned()]).collect(),
        environment: providers.environment.clone(),
        service: compact_json(service).unwrap_or_default(),
    }))
}

/// The word for what shall be done, and the options that the program takes then.
fn command(
    metadata: &ProviderMetadata,
    action: ProviderAction,
) -> Option<(&'static str, &ProviderCommand)> {
    match action {
        ProviderAction::Up => Some(("up", &metadata.up)),
        ProviderAction::Down => Some(("down", &metadata.down)),
        ProviderAction::Stop => Some(("stop", metadata.stop.as_ref()?)),
        ProviderAction::Pull | ProviderAction::Configure => None,
    }
}

/// The options that a program must have for this and that the service does not give.
pub fn lacking<'p>(
    service: &Service,
    program: &'p Program,
    action: ProviderAction,
) -> Vec<&'p str> {
    let Some(provider) = &service.provider else { return Vec::new() };
    let parameters = command(&program.metadata, action).and_then(|(_, it)| it.parameters.as_ref());
    let lacks = |name: &str| !provider.options.contains_key(name);
    let required = parameters.into_iter().flatten().filter(|it| it.required && lacks(&it.name));
    required.map(|parameter| parameter.name.as_str()).collect()
}

/// Gives what the provider of a service has to those that depend on that one. Returns what is
/// overwritten by it.
pub fn hand_over(project: &mut Project, service: &str, handed: &Handed) -> Vec<String> {
    let mut warnings = Vec::new();
    let prefix = prefix(service);
    let dependents = project.services.iter_mut();
    for (name, dependent) in dependents.filter(|(_, it)| it.depends_on.contains_key(service)) {
        for (key, value) in &handed.prefixed {
            dependent.environment.insert(format!("{prefix}{key}"), Some(value.clone()));
        }
        for (key, value) in &handed.plain {
            let before = dependent.environment.insert(key.clone(), Some(value.clone()));
            if before.is_some_and(|before| before.as_ref() != Some(value)) {
                let text = format!(
                    "the provider of service `{service}` overwrites the variable `{key}` of \
                     service `{name}`"
                );
                warnings.push(text);
            }
        }
    }
    warnings
}

/// Gives services the names of their AI models and, once it is known, the address.
pub fn hand_over_models(project: &mut Project, address: Option<&str>) {
    let models = &project.models;
    for service in project.services.values_mut() {
        for (key, settings) in &service.models {
            let (address_name, model_name) = variables(key, settings.as_ref());
            let model = models.get(key).map(|model| model.model.clone());
            service.environment.insert(model_name, Some(model.unwrap_or_default()));
            if let Some(address) = address {
                service.environment.insert(address_name, Some(address.to_owned()));
            }
        }
    }
}

/// What is not known before the programs have run.
pub fn unknown(project: &Project) -> Unknown {
    let is_provided =
        |name: &String| project.services.get(name).is_some_and(|it| it.provider.is_some());
    let names = |service: &Service| {
        let provided = service.depends_on.keys().filter(|name| is_provided(name));
        let prefixes = provided.map(|name| format!("{}*", prefix(name)));
        let models = service.models.iter();
        prefixes.chain(models.map(|(key, it)| variables(key, it.as_ref()).0)).collect()
    };
    let all = project.services.iter().map(|(name, it)| (name.clone(), names(it)));
    all.filter(|(_, names): &(String, BTreeSet<String>)| !names.is_empty()).collect()
}

/// Whether a variable is among those that are not known yet.
pub(super) fn is_unknown(names: &BTreeSet<String>, variable: &str) -> bool {
    names.iter().any(|name| match name.strip_suffix('*') {
        Some(prefix) => variable.starts_with(prefix),
        None => name == variable,
    })
}

/// What stands before the variables of a service's provider.
fn prefix(service: &str) -> String {
    service.to_uppercase() + "_"
}

/// The variables for the address and the name of a model.
fn variables(key: &str, settings: Option<&ServiceModel>) -> (String, String) {
    let stem = key.to_uppercase().replace('-', "_");
    let own = |name: fn(&ServiceModel) -> &String, end: &str| {
        let given = settings.map(name).filter(|name| !name.is_empty());
        given.cloned().unwrap_or_else(|| format!("{stem}_{end}"))
    };
    (own(|it| &it.endpoint_var, "URL"), own(|it| &it.model_var, "MODEL"))
}

#[cfg(test)]
mod tests;
