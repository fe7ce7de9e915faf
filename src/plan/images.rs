//! Images first: what to pull and what to build before containers are planned.
//!
//! In: a project, flags, the images that are here, the time. Out: plans of pulls, and, once those
//! have run and images are observed anew, of builds. So no plan holds a maybe; only [`forecast`],
//! which nobody runs, says what may come of it.
//!
//! The commands that are about images only are in [`transfer`] and [`build`].

pub mod bake;
pub mod build;
pub mod transfer;

use std::collections::BTreeMap;

use super::desired::Up;
use super::step::{Cause, Op, Plan, Step, StepId, Subject};
use crate::model::observed::{Observed, ObservedImage};
use crate::model::spec::{BuildSpec, PullSpec};
use crate::model::{Service, duration::Duration};
use build::{Builds, bases};

/// What the command line says about images.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageFlags {
    /// `--pull`: a policy for all services; empty: each service's own.
    pub pull: String,
    /// Whether images are built.
    pub build: BuildMode,
    /// The time in seconds since 1970, to tell how old an image is.
    pub now: i64,
    /// Platform of images whose services name none; empty: the runtime's own.
    pub platform: String,
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
        .chain(disabled_bases(up))
        .collect();
    references.sort();
    references.dedup();
    references
}

/// Images of services that do not take part but that others may start their builds from.
fn disabled_bases(up: &Up<'_>) -> impl Iterator<Item = String> {
    let disabled = &up.project.disabled_services;
    let all = || up.project.services.values().chain(disabled.values());
    let names: Vec<&str> = all().flat_map(|service| bases(service)).collect();
    names.into_iter().filter_map(|name| Some(up.names().image(name, disabled.get(name)?)))
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
            let asked = for_platform(&pull, &flags.platform);
            let step = Step::new(Op::PullImage(asked), cause, Vec::new());
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

/// The same pull, for a platform if it names none.
fn for_platform(pull: &PullSpec, platform: &str) -> PullSpec {
    let mut pull = pull.clone();
    if pull.platform.is_empty() {
        platform.clone_into(&mut pull.platform);
    }
    pull
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

/// The plan that builds what is missing after the pulls, what shall be built, and what would come
/// out otherwise than the image that is here.
pub fn builds(up: &Up<'_>, observed: &Observed, flags: &ImageFlags) -> Plan {
    if flags.build == BuildMode::Never {
        return Plan::default();
    }
    let needs = Needs { up, observed, flags };
    Builds::to_run(up.project, up.names()).plan(|name, settings| needs.cause(&[name], settings))
}

/// The builds whose image is here, and of which nobody knows whether they would come out the same:
/// the runtime can tell.
pub fn unsure(up: &Up<'_>, observed: &Observed, flags: &ImageFlags) -> Vec<BuildSpec> {
    if flags.build == BuildMode::Never {
        return Vec::new();
    }
    let is_here = |name: &str, settings: &Service| {
        observed.images.contains_key(&up.names().image(name, settings))
    };
    let builds = Builds::to_run(up.project, up.names()).specs(|name, settings| {
        let is_unsure = is_here(name, settings) && policy(settings, flags) != "build";
        // Each is looked at, and what it starts from: only then is known which of them are built.
        Some(if is_unsure { Cause::Requested } else { Cause::Missing })
    });
    let unsure = builds.into_iter().filter(|(_, cause)| *cause == Cause::Requested);
    unsure.map(|(spec, _)| spec).collect()
}

/// Why images are built.
struct Needs<'a> {
    up: &'a Up<'a>,
    observed: &'a Observed,
    flags: &'a ImageFlags,
}

impl Needs<'_> {
    /// Why the image of the last of these services is built; the others start from it.
    fn cause(&self, services: &[&str], settings: &Service) -> Option<Cause> {
        let name = services.last().copied().unwrap_or_default();
        if policy(settings, self.flags) == "build" {
            return Some(Cause::Policy { policy: "build".to_owned() });
        }
        let image = self.up.names().image(name, settings);
        if !self.observed.images.contains_key(&image) {
            return Some(Cause::Missing);
        }
        if let Some(input) = self.observed.changed_inputs.get(&image) {
            return Some(Cause::InputChanged(input.clone()));
        }
        bases(settings).find_map(|base| self.of_base(services, base))
    }

    /// That a service which others start from is built.
    fn of_base(&self, services: &[&str], base: &str) -> Option<Cause> {
        let project = self.up.project;
        let found = project.services.get(base).or_else(|| project.disabled_services.get(base));
        let settings = found.filter(|it| it.build.is_some() && !services.contains(&base))?;
        let path: Vec<&str> = services.iter().copied().chain([base]).collect();
        self.cause(&path, settings)?;
        Some(Cause::Uses { resource: self.up.names().image(base, settings) })
    }
}

/// What pulls and builds will probably be, told before any has run.
pub fn forecast(up: &Up<'_>, observed: &Observed, flags: &ImageFlags) -> Plan {
    let pulls = pulls(up, observed, flags);
    let mut then = observed.clone();
    for step in &pulls.steps {
        if let Op::PullImage(pull) = &step.op {
            then.images.entry(pull.image.clone()).or_default();
        }
    }
    let mut plan = pulls.then(builds(up, &then, flags));
    let in_use = |image: &str| observed.containers.iter().any(|it| it.image == image);
    let changed = |step: &Step| match step.op.subject() {
        Subject::Image(image) if in_use(image) => {
            Some(format!("if this changes the image {image}, its containers will be replaced"))
        }
        _ => None,
    };
    plan.warnings = plan.steps.iter().filter_map(changed).collect();
    plan
}

#[cfg(test)]
mod tests {
    use super::{BuildMode, ImageFlags, builds, forecast, is_for, pulls, references, unsure};
    use crate::model::Project;
    use crate::model::observed::{ChangedInput, InputChange, Observed, ObservedImage};
    use crate::plan::Up;

    fn project(services: &str) -> Project {
        let services = serde_yaml::from_str(services).expect("canonical services");
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
    fn what_would_come_out_otherwise_is_built_anew_and_all_that_starts_from_it() {
        let project = project(
            "{a: {build: {context: /a, additional_contexts: {base: 'service:z'}}},
              b: {build: {context: /b}, pull_policy: build}, c: {image: x, build: {context: /c}},
              z: {build: {context: /z}}}",
        );
        let up = Up::all(&project);
        let mut observed = with(&["shop-a", "shop-b", "x", "shop-z"]);
        let unsure: Vec<String> = unsure(&up, &observed, &ImageFlags::default())
            .into_iter()
            .map(|build| build.tags[0].clone())
            .collect();
        assert_eq!(unsure, ["shop-a", "x", "shop-z"], "the others are built anyway");
        let input = ChangedInput {
            attribute: "build.context".to_owned(),
            subject: "src/app.py".to_owned(),
            change: InputChange::Changed,
        };
        observed.changed_inputs = [("shop-z".to_owned(), input)].into();
        insta::assert_snapshot!(builds(&up, &observed, &ImageFlags::default()).to_string(), @"
        1 build image shop-b (pull policy build)
        2 build image shop-z (build.context: src/app.py changed)
        3 build image shop-a after 2 (uses shop-z, which is made anew)
        ");
        let never = ImageFlags { build: BuildMode::Never, ..ImageFlags::default() };
        assert!(builds(&up, &observed, &never).is_empty());
        assert!(super::unsure(&up, &observed, &never).is_empty());
    }

    #[test]
    fn services_that_start_from_each_other_in_a_circle_have_no_cause_in_each_other() {
        let project = project(
            "{a: {build: {context: /a, additional_contexts: {base: 'service:b'}}},
              b: {build: {context: /b, additional_contexts: {base: 'service:a'}}}}",
        );
        let plan = builds(&Up::all(&project), &with(&["shop-a", "shop-b"]), &ImageFlags::default());
        assert!(plan.is_empty());
    }

    #[test]
    fn a_forecast_tells_pulls_then_builds_and_what_they_may_lead_to() {
        let project = project(
            "{a: {image: x, pull_policy: always}, b: {image: y, build: {context: /b}},
              c: {build: {context: /c}}, d: {image: z}}",
        );
        let used = crate::model::observed::ObservedContainer {
            image: "x".to_owned(),
            ..Default::default()
        };
        let observed = Observed { containers: vec![used], ..with(&["x", "z"]) };
        let plan = forecast(&Up::all(&project), &observed, &ImageFlags::default());
        insta::assert_snapshot!(plan.to_string(), @"
        1 pull image x (pull policy always)
        2 pull image y (missing)
        3 build image shop-c after 1 2 (missing)
        ");
        let warning = "if this changes the image x, its containers will be replaced";
        assert_eq!(plan.warnings, [warning]);
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
