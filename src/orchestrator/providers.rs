//! External programs that run services and AI models: finds them, asks what they can, lets them
//! work, and gives their variables to the project.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde::Deserialize;

use super::{OrchestrationError, Orchestrator, Target};
use crate::diagnostic::Code;
use crate::model::spec::{Provided, ProviderAction, ProviderCall};
use crate::model::{Dict, Project, ProviderMetadata};
use crate::plan::providers::{self, ModelProgram, Program, Unknown};
use crate::plan::{Op, Plan};

/// The first version of `docker-model` that takes flags for the inference engine.
const TAKES_FLAGS: [u64; 3] = [1, 0, 6];

/// A path of the project and what is wrong there.
type Problem = (String, String);

/// A project whose services have what external programs handed over.
#[derive(Debug)]
pub struct Supplied<'p> {
    /// The project.
    pub project: Cow<'p, Project>,
    /// What is not known, because nothing ran.
    pub unknown: Unknown,
}

impl Orchestrator<'_> {
    /// Finds the external programs that services and models need, to bring them up; refuses what
    /// is not there, at its place.
    ///
    /// # Errors
    ///
    /// Something is not there.
    pub async fn admit_providers(&self, target: &mut Target) -> Result<(), OrchestrationError> {
        if !providers::are_needed(&target.project) {
            return Ok(());
        }
        let mut problems = self.find_programs(target).await;
        problems.extend(lacking_options(target, ProviderAction::Up));
        if !target.project.models.is_empty() {
            match self.find_model_program(&target.providers.environment).await {
                Ok(program) => target.providers.models = Some(program),
                Err(text) => {
                    let keys = target.project.models.keys();
                    problems.extend(keys.map(|key| (format!("models.{key}"), text.clone())));
                }
            }
        }
        target.refuse(Code::Unsupported, problems)
    }

    /// Finds the programs that run services, to take those down.
    ///
    /// # Errors
    ///
    /// Some are not there; the rest can go on.
    pub async fn find_providers(
        &self,
        target: &mut Target,
        action: ProviderAction,
    ) -> Result<(), OrchestrationError> {
        if target.project.services.values().all(|it| it.provider.is_none()) {
            return Ok(());
        }
        let mut problems = self.find_programs(target).await;
        problems.extend(lacking_options(target, action));
        target.refuse(Code::Unsupported, problems)
    }

    /// Lets the programs bring their services and models up, and takes in what they hand over.
    ///
    /// # Errors
    ///
    /// A program fails.
    pub async fn supply<'p>(
        &self,
        target: &Target,
        project: &'p Project,
    ) -> Result<Supplied<'p>, OrchestrationError> {
        let plan = providers::up(project, &target.providers);
        if plan.is_empty() {
            return Ok(Supplied { project: Cow::Borrowed(project), unknown: Unknown::new() });
        }
        let done = self.run(&plan).await?;
        if self.pretends() {
            return Ok(forecast(project));
        }
        let mut project = project.clone();
        for (step, handed) in &done.handed {
            let Op::CallProvider(call) = &plan.steps[*step].op else { continue };
            let Provided::Service(service) = &call.subject else { continue };
            for message in providers::hand_over(&mut project, service, handed) {
                self.warn(message);
            }
        }
        if let Some(program) = &target.providers.models {
            let address = self.model_address(&program.path, &target.providers.environment).await?;
            providers::hand_over_models(&mut project, Some(&address));
        }
        Ok(Supplied { project: Cow::Owned(project), unknown: Unknown::new() })
    }

    /// What the programs would do, and the project as far as it is known without them.
    pub fn forecast_supply<'p>(target: &Target, project: &'p Project) -> (Plan, Supplied<'p>) {
        (providers::up(project, &target.providers), forecast(project))
    }

    async fn find_programs(&self, target: &mut Target) -> Vec<Problem> {
        target.providers.environment = environment(self.environment, target);
        let mut problems = Vec::new();
        for (name, service) in &target.project.services {
            let Some(provider) = &service.provider else { continue };
            let (kind, path) = (&provider.kind, format!("services.{name}.provider.type"));
            if target.providers.programs.contains_key(kind) {
                continue;
            }
            match self.program(kind, &target.providers.environment) {
                Ok(path) => {
                    let metadata = self.metadata(&path, &target.providers.environment).await;
                    target.providers.programs.insert(kind.clone(), Program { path, metadata });
                }
                Err(text) => problems.push((path, text)),
            }
        }
        problems
    }

    /// A plug-in of the `docker` program, or else a program in `PATH`.
    fn program(&self, kind: &str, environment: &Dict) -> Result<PathBuf, String> {
        if kind == "compose" {
            return Err("`compose` is no provider: it is what calls providers".to_owned());
        }
        let is_name = !kind.is_empty() && !kind.contains('/');
        let plugin = is_name.then(|| self.runtime.plugin(&format!("docker-{kind}"))).flatten();
        plugin.or_else(|| in_path(kind, environment)).ok_or_else(|| {
            format!(
                "no program runs this service: there is no plug-in `docker-{kind}` of docker, and \
                 no `{kind}` in PATH; install one of them"
            )
        })
    }

    /// What a program says about itself; nothing if it does not.
    async fn metadata(&self, program: &Path, environment: &Dict) -> ProviderMetadata {
        let said = self.ask((program, environment), &["compose", "metadata"]).await;
        let parsed = said.map(|text| serde_json::from_str(&text));
        match parsed {
            Ok(Ok(metadata)) => metadata,
            other => {
                tracing::debug!("{} tells nothing about itself: {other:?}", program.display());
                ProviderMetadata::default()
            }
        }
    }

    async fn find_model_program(&self, environment: &Dict) -> Result<ModelProgram, String> {
        let path = self.runtime.plugin("docker-model").ok_or_else(|| {
            "AI models need a Docker engine and its plug-in `docker-model`, which is not there: install it"
                .to_owned()
        })?;
        let wrong = |error: &dyn std::fmt::Display| {
            format!("`docker-model` does not tell which models there are: {error}")
        };
        let listed = self.ask((&path, environment), &["ls", "--json"]).await;
        let listed = listed.map_err(|error| wrong(&error))?;
        let models: Vec<Listed> = serde_json::from_str(&listed).map_err(|error| wrong(&error))?;
        let version = self.ask((&path, environment), &["docker-cli-plugin-metadata"]).await;
        let version = version.ok().and_then(|text| serde_json::from_str::<Plugin>(&text).ok());
        Ok(ModelProgram {
            path,
            present: models.into_iter().flat_map(|model| model.tags).collect::<BTreeSet<_>>(),
            takes_flags: version.is_some_and(|plugin| is_at_least(&plugin.version, TAKES_FLAGS)),
        })
    }

    /// Where AI models are reached.
    async fn model_address(
        &self,
        program: &Path,
        environment: &Dict,
    ) -> Result<String, OrchestrationError> {
        let text = self.ask((program, environment), &["status", "--json"]).await?;
        let status: Status = serde_json::from_str(&text).map_err(|error| {
            OrchestrationError::Other(format!(
                "`docker-model status` does not tell an address: {error}"
            ))
        })?;
        Ok(status.endpoint)
    }

    async fn ask(
        &self,
        (program, environment): (&Path, &Dict),
        words: &[&str],
    ) -> crate::runtime::Result<String> {
        let call = ProviderCall {
            program: program.to_owned(),
            arguments: words.iter().map(|word| (*word).to_owned()).collect(),
            environment: environment.clone(),
            ..ProviderCall::default()
        };
        self.runtime.ask_provider(&call).await
    }
}

/// A model in the list of `docker-model`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Listed {
    tags: Vec<String>,
}

/// What `docker-model` says about itself.
#[derive(Deserialize)]
struct Plugin {
    #[serde(rename = "Version", default)]
    version: String,
}

/// How `docker-model` is reached.
#[derive(Deserialize)]
struct Status {
    endpoint: String,
}

/// What is known before any program has run.
fn forecast(project: &Project) -> Supplied<'_> {
    let unknown = providers::unknown(project);
    let mut project = project.clone();
    providers::hand_over_models(&mut project, None);
    Supplied { project: Cow::Owned(project), unknown }
}

/// The environment of external programs: that of the process, and the variables of the project.
fn environment(process: &IndexMap<String, String>, target: &Target) -> Dict {
    let process = process.iter();
    let project = target.variables.iter().map(|(name, variable)| (name, &variable.value));
    process.chain(project).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// A program in `PATH`; one with a slash in its name is a path.
fn in_path(name: &str, environment: &Dict) -> Option<PathBuf> {
    let is_program = |path: &PathBuf| {
        let metadata = std::fs::metadata(path).ok();
        metadata.is_some_and(|it| {
            it.is_file() && std::os::unix::fs::PermissionsExt::mode(&it.permissions()) & 0o111 != 0
        })
    };
    if name.contains('/') {
        return Some(PathBuf::from(name)).filter(is_program);
    }
    let path = environment.get("PATH")?;
    std::env::split_paths(path).map(|directory| directory.join(name)).find(is_program)
}

/// Options that programs must have and that the project does not give.
fn lacking_options(target: &Target, action: ProviderAction) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (name, service) in &target.project.services {
        let Some(provider) = &service.provider else { continue };
        let Some(program) = target.providers.programs.get(&provider.kind) else { continue };
        for option in providers::lacking(service, program, action) {
            let text = format!("the provider `{}` must have the option `{option}`", provider.kind);
            problems.push((format!("services.{name}.provider"), text));
        }
    }
    problems
}

/// Whether a version such as `v1.0.6` is this one or a later one.
fn is_at_least(version: &str, least: [u64; 3]) -> bool {
    let core = version.trim_start_matches('v').split(['-', '+']).next().unwrap_or_default();
    let numbers: Vec<u64> = core.split('.').map_while(|number| number.parse().ok()).collect();
    numbers.len() == least.len() && numbers.as_slice() >= least.as_slice()
}

#[cfg(test)]
mod tests {
    use super::is_at_least;

    #[test]
    fn versions_are_compared_by_number() {
        for (version, expected) in
            [("v1.0.6", true), ("1.0.10-rc1", true), ("1.0.5", false), ("2.0.0", true), ("", false)]
        {
            assert_eq!(is_at_least(version, [1, 0, 6]), expected, "{version}");
        }
    }
}
