//! Images first: what to pull and what to build before containers are planned.
//!
//! In: a project, flags, the images that are here, the time. Out: plans of pulls, and, once those
//! have run and images are observed anew, of builds. So no plan holds a maybe.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::desired::Up;
use super::name::Names;
use super::step::{Cause, Op, Plan, Step, StepId};
use crate::model::observed::{Observed, ObservedImage};
use crate::model::spec::{BuildOptions, BuildSecret, BuildSpec, PullSpec};
use crate::model::{Build, Dict, Project, Service, duration::Duration, label};

/// What the command line says about images.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageFlags {
    /// `--pull`: a policy for all services; empty: each service's own.
    pub pull: String,
    /// Whether images are built.
    pub build: BuildMode,
    /// The time in seconds since 1970, to tell how old an image is.
    pub now: i64,
}

/// Whether images are built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BuildMode {
    /// Those that are missing, and where the policy is `build`.
    #[default]
    Missing,
    /// `--build`: all that can be.
    Always,
    /// `--no-build`: none.
    Never,
}

/// When an image is pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Always,
    Missing,
    Never,
    /// When it is older than so many seconds.
    OlderThan(i64),
}

/// References of all images that the containers of a project need.
pub fn references(up: &Up<'_>) -> Vec<String> {
    let services = up.project.services.iter().filter(|(_, it)| it.provider.is_none());
    let mut references: Vec<String> = services
        .flat_map(|(name, settings)| {
            let mounted = settings.volumes.iter().filter(|mount| mount.kind == "image");
            let own = up.names().image(name, settings);
            mounted.map(|mount| mount.source.clone()).chain([own])
        })
        .collect();
    references.sort();
    references.dedup();
    references
}

/// The plan that pulls what is missing or too old.
pub fn pulls(up: &Up<'_>, observed: &Observed, flags: &ImageFlags) -> Plan {
    let mut plan = Plan::default();
    let mut planned: BTreeMap<PullSpec, StepId> = BTreeMap::new();
    let built: Vec<&str> =
        up.project.services.values().filter(|it| it.build.is_some()).map(|it| &*it.image).collect();
    for (name, settings) in &up.project.services {
        for pull in wanted(settings) {
            let cause = reason(settings, &pull, observed.images.get(&pull.image), flags);
            let Some(cause) = cause else { continue };
            if planned.contains_key(&pull) {
                continue;
            }
            tracing::debug!(service = name, image = pull.image, "pull");
            let can_be_built =
                built.contains(&pull.image.as_str()) && flags.build != BuildMode::Never;
            let step = Step::new(Op::PullImage(pull.clone()), cause, Vec::new());
            let step = if can_be_built { step.tolerated() } else { step };
            planned.insert(pull, plan.add(step));
        }
    }
    plan
}

/// The images that a service would pull: its own, and those that it mounts.
fn wanted(settings: &Service) -> Vec<PullSpec> {
    let mounted = settings.volumes.iter().filter(|mount| mount.kind == "image");
    let mut wanted: Vec<PullSpec> = mounted
        .map(|mount| PullSpec { image: mount.source.clone(), platform: String::new() })
        .collect();
    if !settings.image.is_empty() && settings.provider.is_none() {
        wanted
            .push(PullSpec { image: settings.image.clone(), platform: settings.platform.clone() });
    }
    wanted
}

/// Why an image is pulled; `None` if it is not.
fn reason(
    settings: &Service,
    pull: &PullSpec,
    found: Option<&ObservedImage>,
    flags: &ImageFlags,
) -> Option<Cause> {
    let policy = policy(settings, flags);
    let by_policy = Cause::Policy { policy: policy.to_owned() };
    let Some(image) = found else {
        return (when(policy) != When::Never).then_some(Cause::Missing);
    };
    match when(policy) {
        When::Always => Some(by_policy),
        When::OlderThan(seconds) if flags.now - image.tagged > seconds => Some(by_policy),
        When::Missing if !is_for(&image.platform, &pull.platform) => Some(Cause::Missing),
        When::Missing | When::Never | When::OlderThan(_) => None,
    }
}

fn policy<'s>(settings: &'s Service, flags: &'s ImageFlags) -> &'s str {
    if settings.build.is_some() && flags.build == BuildMode::Always {
        "build"
    } else if flags.pull.is_empty() {
        &settings.pull_policy
    } else {
        &flags.pull
    }
}

fn when(policy: &str) -> When {
    const DAY: i64 = 24 * 60 * 60;
    match policy {
        "always" | "refresh" => When::Always,
        "never" | "build" => When::Never,
        "daily" => When::OlderThan(DAY),
        "weekly" => When::OlderThan(7 * DAY),
        other => other
            .strip_prefix("every_")
            .and_then(|span| Duration::parse(span).ok())
            .map_or(When::Missing, |span| When::OlderThan(span.0 / 1_000_000_000)),
    }
}

/// Whether an image of one platform serves where another is asked for; no variant serves all.
fn is_for(image: &str, asked: &str) -> bool {
    asked.is_empty()
        || image == asked
        || image.strip_prefix(asked).is_some_and(|rest| rest.starts_with('/'))
}

/// The plan that builds what is missing after the pulls, or shall be built.
pub fn builds(up: &Up<'_>, observed: &Observed, flags: &ImageFlags) -> Plan {
    if flags.build == BuildMode::Never {
        return Plan::default();
    }
    let needs = |name: &str, settings: &Service| {
        let image = up.names().image(name, settings);
        if policy(settings, flags) == "build" {
            return Some(Cause::Policy { policy: "build".to_owned() });
        }
        (!observed.images.contains_key(&image)).then_some(Cause::Missing)
    };
    build_plan(up.project, up.names(), needs, &BuildOptions::default())
}

/// The plan that builds the images of services for which `needs` gives a cause. Services that
/// build the same get one image with several names.
pub fn build_plan(
    project: &Project,
    names: Names<'_>,
    needs: impl Fn(&str, &Service) -> Option<Cause>,
    options: &BuildOptions,
) -> Plan {
    let mut plan = Plan::default();
    let mut groups: Vec<(BuildSpec, Cause)> = Vec::new();
    for (name, settings) in &project.services {
        let Some(cause) = needs(name, settings) else { continue };
        let Some(spec) = build_spec(project, names, (name, settings), options) else { continue };
        let same = groups.iter_mut().find(|(other, _)| {
            other.build == spec.build
                && other.platform == spec.platform
                && other.secrets == spec.secrets
        });
        match same {
            Some((other, _)) => other.tags.extend(spec.tags),
            None => groups.push((spec, cause)),
        }
    }
    order_builds(groups, names, project, &mut plan);
    plan
}

/// Adds the builds, each after those whose images it starts from.
fn order_builds(
    groups: Vec<(BuildSpec, Cause)>,
    names: Names<'_>,
    project: &Project,
    plan: &mut Plan,
) {
    let mut waiting = groups;
    let mut built: BTreeMap<String, StepId> = BTreeMap::new();
    while !waiting.is_empty() {
        let pending: Vec<String> = waiting.iter().flat_map(|(spec, _)| spec.tags.clone()).collect();
        let (ready, rest): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|(spec, _)| {
            !bases(spec, names, project).iter().any(|base| pending.contains(base))
        });
        // Services that start from each other in a circle: the loader refuses them.
        let (ready, rest) = if ready.is_empty() { (rest, Vec::new()) } else { (ready, rest) };
        for (spec, cause) in ready {
            let bases = bases(&spec, names, project);
            let after = bases.iter().filter_map(|base| built.get(base)).copied().collect();
            let tags = spec.tags.clone();
            let step = plan.add(Step::new(Op::BuildImage(Arc::new(spec)), cause, after));
            built.extend(tags.into_iter().map(|tag| (tag, step)));
        }
        waiting = rest;
    }
}

/// Images of other services that a build starts from.
fn bases(spec: &BuildSpec, names: Names<'_>, project: &Project) -> Vec<String> {
    let services =
        spec.build.additional_contexts.values().filter_map(|it| it.strip_prefix("service:"));
    services.filter_map(|name| Some(names.image(name, project.services.get(name)?))).collect()
}

fn build_spec(
    project: &Project,
    names: Names<'_>,
    (name, settings): (&str, &Service),
    options: &BuildOptions,
) -> Option<BuildSpec> {
    let build = settings.build.clone()?;
    let labels = [
        (label::PROJECT, project.name.as_str()),
        (label::SERVICE, name),
        (label::VERSION, label::COMPATIBLE_VERSION),
    ];
    let mut tags = vec![names.image(name, settings)];
    tags.extend(build.tags.iter().filter(|tag| **tag != tags[0]).cloned().collect::<Vec<_>>());
    Some(BuildSpec {
        service_name: name.to_owned(),
        tags,
        labels: labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        platform: settings.platform.clone(),
        secrets: build_secrets(project, &build),
        bases: base_images(project, names, &build),
        build: Build { tags: Vec::new(), ..*build },
        options: options.clone(),
    })
}

/// The images behind `additional_contexts: NAME: service:OTHER`, by that service.
fn base_images(project: &Project, names: Names<'_>, build: &Build) -> Dict {
    let services = build.additional_contexts.values().filter_map(|it| it.strip_prefix("service:"));
    services
        .filter_map(|name| Some((name.to_owned(), names.image(name, project.services.get(name)?))))
        .collect()
}

fn build_secrets(project: &Project, build: &Build) -> Vec<BuildSecret> {
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

#[cfg(test)]
mod tests {
    use super::{BuildMode, ImageFlags, builds, is_for, pulls, references};
    use crate::model::observed::{Observed, ObservedImage};
    use crate::model::{Project, Service};
    use crate::plan::Up;

    fn project(services: &str) -> Project {
        let services: std::collections::BTreeMap<String, Service> =
            serde_yaml::from_str(services).expect("canonical services");
        Project { name: "shop".to_owned(), services, ..Project::default() }
    }

    fn with(images: &[&str]) -> Observed {
        let image = ObservedImage {
            platform: "linux/amd64".to_owned(),
            tagged: 1000,
            ..ObservedImage::default()
        };
        let images = images.iter().map(|name| ((*name).to_owned(), image.clone())).collect();
        Observed { images, ..Observed::default() }
    }

    fn pulled(services: &str, here: &[&str], flags: &ImageFlags) -> String {
        let project = project(services);
        pulls(&Up::all(&project), &with(here), flags).to_string()
    }

    #[test]
    fn what_is_missing_is_pulled_once() {
        let services = "{a: {image: x}, b: {image: x}, c: {image: here}}";
        let plan = pulled(services, &["here"], &ImageFlags::default());
        assert_eq!(plan, "1 pull image x (missing)\n");
    }

    #[test]
    fn the_policy_and_the_age_decide() {
        let services = "{a: {image: a, pull_policy: always}, b: {image: b, pull_policy: never},
            c: {image: c, pull_policy: daily}, d: {image: d, pull_policy: every_2d}}";
        let flags = ImageFlags { now: 1000 + 90_000, ..ImageFlags::default() };
        let plan = pulled(services, &["a", "c", "d"], &flags);
        assert_eq!(
            plan,
            "1 pull image a (pull policy always)\n2 pull image c (pull policy daily)\n"
        );
    }

    #[test]
    fn an_image_for_another_platform_is_missing() {
        assert!(is_for("linux/amd64", ""));
        assert!(is_for("linux/arm64/v8", "linux/arm64"));
        assert!(!is_for("linux/arm64", "linux/arm"));
        let plan = pulled("{a: {image: a, platform: linux/arm64}}", &["a"], &ImageFlags::default());
        assert_eq!(plan, "1 pull image a (missing)\n");
    }

    #[test]
    fn services_that_build_the_same_get_one_image() {
        let project = project(
            "{a: {build: {context: /c}}, b: {build: {context: /c}, image: other},
              c: {build: {context: /d}}}",
        );
        let up = Up::all(&project);
        let plan = builds(&up, &with(&[]), &ImageFlags::default());
        assert_eq!(
            plan.to_string(),
            "1 build image shop-a (missing)\n2 build image shop-c (missing)\n"
        );
        let plan = builds(&up, &with(&["shop-a", "other", "shop-c"]), &ImageFlags::default());
        assert!(plan.is_empty());
        let flags = ImageFlags { build: BuildMode::Never, ..ImageFlags::default() };
        assert!(builds(&up, &with(&[]), &flags).is_empty());
    }

    #[test]
    fn an_image_that_others_start_from_is_built_first() {
        let project = project(
            "{a: {build: {context: /a, additional_contexts: {base: 'service:z'}}},
              z: {build: {context: /z}}}",
        );
        let plan = builds(&Up::all(&project), &with(&[]), &ImageFlags::default());
        assert_eq!(
            plan.to_string(),
            "1 build image shop-z (missing)\n2 build image shop-a after 1 (missing)\n"
        );
    }

    #[test]
    fn a_failed_pull_is_no_failure_where_the_image_can_be_built() {
        let project = project("{a: {image: x, build: {context: /c}}}");
        let plan = pulls(&Up::all(&project), &with(&[]), &ImageFlags::default());
        assert_eq!(plan.steps[0].failure, crate::plan::Severity::Warning);
        assert_eq!(references(&Up::all(&project)), ["x"]);
    }
}
