//! What is built, how, and in which order.
//!
//! In: a project, flags. Out: one [`BuildSpec`] for each service, and a plan in which services that
//! build the same share an image.
//!
//! # Invariants
//!
//! - What others start from is built before them, even if its service does not take part.
//! - No specification names a service: the image stands in its place.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::spec::{BuildOptions, BuildSecret, BuildSpec};
use crate::model::{Build, Environment, Project, Service, SshKey, label};
use crate::plan::name::Names;
use crate::plan::step::{Cause, Op, Plan, Step, StepId};

const SERVICE: &str = "service:";

/// How images are built.
#[derive(Clone, Debug)]
pub struct Builds<'a> {
    /// The project.
    pub project: &'a Project,
    /// How names are made.
    pub names: Names<'a>,
    /// What the images are for.
    pub purpose: Purpose,
    /// Flags that are no attributes.
    pub options: BuildOptions,
    /// Values for `ARG`s that come before those of the file; `None`: from the environment.
    pub args: Environment,
    /// SSH agents and keys besides those of the file.
    pub ssh: Vec<SshKey>,
}

/// What images are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To run here: for one platform, and without records of what they are made of.
    Run,
    /// For anything.
    Publish,
}

/// The services that a build starts from.
pub(super) fn bases(settings: &Service) -> impl Iterator<Item = &str> {
    let contexts = settings.build.iter().flat_map(|build| build.additional_contexts.values());
    contexts.filter_map(|context| context.strip_prefix(SERVICE))
}

impl<'a> Builds<'a> {
    /// Builds what is about to run.
    pub fn to_run(project: &'a Project, names: Names<'a>) -> Self {
        let options = BuildOptions::default();
        let (args, ssh) = (Environment::default(), Vec::new());
        Self { project, names, purpose: Purpose::Run, options, args, ssh }
    }

    /// How each image is built for which `needs` gives a cause, by the names of the services.
    pub fn specs(
        &self,
        needs: impl Fn(&str, &Service) -> Option<Cause>,
    ) -> Vec<(BuildSpec, Cause)> {
        let mut causes: BTreeMap<&str, Cause> = BTreeMap::new();
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        let mut waiting: Vec<&str> = self.project.services.keys().map(String::as_str).collect();
        while let Some(name) = waiting.pop() {
            let Some(settings) = self.service(name) else { continue };
            if settings.build.is_none() || !seen.insert(name) {
                continue;
            }
            if let Some(cause) = needs(name, settings) {
                causes.insert(name, cause);
                waiting.extend(bases(settings));
            }
        }
        let spec = |(name, cause)| Some((self.spec(name, self.service(name)?)?, cause));
        causes.into_iter().filter_map(spec).collect()
    }

    /// The plan that builds the images for which `needs` gives a cause. Services that build the
    /// same get one image with several names.
    pub fn plan(&self, needs: impl Fn(&str, &Service) -> Option<Cause>) -> Plan {
        let mut groups: Vec<(BuildSpec, Cause)> = Vec::new();
        for (spec, cause) in self.specs(needs) {
            let same = groups.iter_mut().find(|(other, _)| {
                other.build == spec.build
                    && other.platform == spec.platform
                    && other.secrets == spec.secrets
                    && other.options == spec.options
            });
            match same {
                Some((other, _)) => other.tags.extend(spec.tags),
                None => groups.push((spec, cause)),
            }
        }
        ordered(groups)
    }

    /// A service, whether it takes part or not.
    fn service(&self, name: &str) -> Option<&'a Service> {
        let project = self.project;
        let found = project.services.get(name).or_else(|| project.disabled_services.get(name));
        found.map(Box::as_ref)
    }

    fn spec(&self, name: &str, settings: &Service) -> Option<BuildSpec> {
        let mut build = Build::clone(settings.build.as_deref()?);
        let mut platform = settings.platform.clone();
        match self.purpose {
            Purpose::Run => {
                if build.platforms.len() > 1 {
                    build.platforms.clear();
                }
                build.provenance.clear();
                build.sbom.clear();
            }
            Purpose::Publish if build.platforms.is_empty() => {}
            Purpose::Publish => platform.clear(),
        }
        build.args.extend(self.args.clone());
        build.ssh.extend(self.ssh.clone());
        let mut bases = BTreeMap::new();
        for context in build.additional_contexts.values_mut() {
            let Some(base) = context.strip_prefix(SERVICE).map(str::to_owned) else { continue };
            let image = self.names.image(&base, self.service(&base)?);
            *context = format!("docker-image://{image}");
            bases.insert(base, image);
        }
        let own = self.names.image(name, settings);
        let mut tags = std::mem::take(&mut build.tags);
        tags.retain(|tag| *tag != own);
        tags.insert(0, own);
        let push = self.options.push && !settings.image.is_empty();
        Some(BuildSpec {
            service_name: name.to_owned(),
            tags,
            labels: labels(self.project, name),
            platform,
            secrets: secrets(self.project, &build),
            bases,
            build,
            options: BuildOptions { push, ..self.options.clone() },
            directory: self.project.working_dir.clone(),
        })
    }
}

fn labels(project: &Project, service: &str) -> BTreeMap<String, String> {
    let labels = [
        (label::PROJECT, project.name.as_str()),
        (label::SERVICE, service),
        (label::VERSION, label::COMPATIBLE_VERSION),
    ];
    labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

fn secrets(project: &Project, build: &Build) -> Vec<BuildSecret> {
    let secret = |reference: &crate::model::FileReference| {
        let object = project.secrets.get(&reference.source)?;
        let id = if reference.target.is_empty() { &reference.source } else { &reference.target };
        Some(BuildSecret {
            id: id.clone(),
            file: object.file.clone(),
            content: object.content.clone(),
        })
    };
    build.secrets.iter().filter_map(secret).collect()
}

/// The builds, each after those whose images it starts from.
fn ordered(groups: Vec<(BuildSpec, Cause)>) -> Plan {
    let mut plan = Plan::default();
    let mut waiting = groups;
    let mut built: BTreeMap<String, StepId> = BTreeMap::new();
    while !waiting.is_empty() {
        let pending: BTreeSet<String> =
            waiting.iter().flat_map(|(spec, _)| spec.tags.clone()).collect();
        let (ready, rest): (Vec<_>, Vec<_>) = waiting
            .into_iter()
            .partition(|(spec, _)| !spec.bases.values().any(|base| pending.contains(base)));
        // Services that start from each other in a circle: the builder refuses them.
        let (ready, rest) = if ready.is_empty() { (rest, Vec::new()) } else { (ready, rest) };
        for (spec, cause) in ready {
            let after = spec.bases.values().filter_map(|base| built.get(base)).copied().collect();
            let tags = spec.tags.clone();
            let step = plan.add(Step::new(Op::BuildImage(Arc::new(spec)), cause, after));
            built.extend(tags.into_iter().map(|tag| (tag, step)));
        }
        waiting = rest;
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::{Builds, Purpose};
    use crate::model::spec::{BuildOptions, BuildSpec};
    use crate::model::{Project, SshKey};
    use crate::plan::Cause;
    use crate::plan::name::Names;

    const SERVICES: &str = "
a:
  image: reg/a
  platform: linux/amd64
  build:
    context: /a
    args: {X: file, Y: file}
    platforms: [linux/amd64, linux/arm64]
    provenance: 'true'
    tags: [reg/a:2, reg/a]
    additional_contexts: {base: 'service:z', other: /o}
";

    fn project() -> Project {
        let disabled = "z: {build: {context: /z}}";
        Project {
            name: "shop".to_owned(),
            services: serde_yaml::from_str(SERVICES).expect("canonical services"),
            disabled_services: serde_yaml::from_str(disabled).expect("canonical services"),
            ..Project::default()
        }
    }

    fn specs(builds: &Builds<'_>) -> Vec<BuildSpec> {
        let specs = builds.specs(|_, _| Some(Cause::Requested));
        specs.into_iter().map(|(spec, _)| spec).collect()
    }

    fn to_run(project: &Project) -> Builds<'_> {
        Builds::to_run(project, Names { project: &project.name, separator: '-' })
    }

    #[test]
    fn what_another_build_starts_from_is_built_though_its_service_is_off() {
        let project = project();
        let plan = to_run(&project).plan(|_, _| Some(Cause::Requested));
        insta::assert_snapshot!(plan.to_string(), @"
        1 build image shop-z (requested)
        2 build image reg/a after 1 (requested)
        ");
        let spec = &specs(&to_run(&project))[0];
        assert_eq!(spec.build.additional_contexts["base"], "docker-image://shop-z");
        assert_eq!(spec.build.additional_contexts["other"], "/o");
        assert_eq!(spec.bases["z"], "shop-z");
        assert_eq!(spec.tags, ["reg/a", "reg/a:2"]);
        let nothing = to_run(&project).plan(|name, _| (name == "z").then_some(Cause::Missing));
        assert!(nothing.is_empty(), "nobody needs the base");
    }

    #[test]
    fn what_runs_here_is_built_for_one_platform_only() {
        let project = project();
        let spec = &specs(&to_run(&project))[0];
        assert_eq!((spec.platform.as_str(), spec.build.platforms.len()), ("linux/amd64", 0));
        assert_eq!(spec.build.provenance, "");
        let all = Builds { purpose: Purpose::Publish, ..to_run(&project) };
        let spec = &specs(&all)[0];
        assert_eq!((spec.platform.as_str(), spec.build.platforms.len()), ("", 2));
        assert_eq!(spec.build.provenance, "true");
    }

    #[test]
    fn flags_come_before_the_file() {
        let project = project();
        let builds = Builds {
            args: [("X".to_owned(), Some("flag".to_owned()))].into(),
            ssh: vec![SshKey { id: "default".to_owned(), path: String::new() }],
            options: BuildOptions { push: true, no_cache: true, ..BuildOptions::default() },
            ..to_run(&project)
        };
        let specs = specs(&builds);
        assert_eq!(specs[0].build.args["X"].as_deref(), Some("flag"));
        assert_eq!(specs[0].build.args["Y"].as_deref(), Some("file"));
        assert_eq!(specs[0].build.ssh.len(), 1);
        let pushed: Vec<bool> = specs.iter().map(|spec| spec.options.push).collect();
        assert_eq!(pushed, [true, false], "only what has a name of its own is pushed");
        assert!(specs.iter().all(|spec| spec.options.no_cache));
    }
}
