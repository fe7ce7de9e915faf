//! What the commands `pull` and `push` do.
//!
//! In: a project, flags, the images that are here. Out: a plan, and what is left out of it and why,
//! in the words of Docker Compose.

use std::collections::{BTreeMap, BTreeSet};

use super::{for_platform, wanted};
use crate::model::observed::Observed;
use crate::model::spec::PullSpec;
use crate::model::{Project, Service};
use crate::plan::step::{Cause, Op, Plan, Severity, Step, StepId};

/// What is transferred, and what is not.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Transfer {
    /// The transfers.
    pub plan: Plan,
    /// Services that are left out, and why.
    pub skipped: Vec<(String, String)>,
}

/// What the command line says about pulls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PullFlags {
    /// A policy for all services; empty: each service's own.
    pub policy: String,
    /// Platform of images whose services name none; empty: the runtime's own.
    pub platform: String,
    /// Whether images that can be built are left out.
    pub ignore_buildable: bool,
    /// Whether a failure is only a warning.
    pub ignore_failures: bool,
}

/// What `pull` does.
pub fn pull(project: &Project, observed: &Observed, flags: &PullFlags) -> Transfer {
    let mut transfer = Transfer::default();
    let mut first: BTreeMap<PullSpec, &str> = BTreeMap::new();
    for (name, settings) in &project.services {
        if let Some(why) = left_out(settings, observed, flags) {
            transfer.skip(name, why);
            continue;
        }
        for pull in wanted(settings) {
            match first.get(&pull) {
                Some(by) if pull.image == settings.image => {
                    let why = format!(" - Image is already being pulled by {by}");
                    transfer.skip(name, &why);
                }
                Some(_) => {}
                None => {
                    let asked = for_platform(&pull, &flags.platform);
                    let step = Step::new(Op::PullImage(asked), Cause::Requested, Vec::new());
                    let tolerated = flags.ignore_failures || settings.build.is_some();
                    transfer.plan.add(if tolerated { step.tolerated() } else { step });
                    first.insert(pull, name);
                }
            }
        }
    }
    transfer
}

/// Why the image of a service is not pulled; `None` if it is.
fn left_out(settings: &Service, observed: &Observed, flags: &PullFlags) -> Option<&'static str> {
    if settings.image.is_empty() || settings.provider.is_some() {
        return Some(" - No image to be pulled");
    }
    let policy = if flags.policy.is_empty() { &settings.pull_policy } else { &flags.policy };
    let is_here = observed.images.contains_key(&settings.image) && !is_latest(&settings.image);
    match policy.as_str() {
        "never" | "build" => Some(""),
        "missing" | "if_not_present" if is_here => Some(" - Image is already present locally"),
        _ if flags.ignore_buildable && settings.build.is_some() => Some(" - Image can be built"),
        _ => None,
    }
}

/// Whether a reference means whatever is newest.
fn is_latest(image: &str) -> bool {
    let name = image.rsplit('/').next().unwrap_or(image);
    !name.contains('@') && name.split_once(':').is_none_or(|(_, tag)| tag == "latest")
}

/// The services whose images have to be built, after these steps of a pull went wrong.
pub fn to_build<'a>(project: &'a Project, plan: &Plan, failed: &BTreeSet<StepId>) -> Vec<&'a str> {
    let is_missing =
        |image: &str| failed.iter().any(|step| plan.steps[*step].op.subject().name() == image);
    let services = project.services.iter();
    let can_be = services.filter(|(_, it)| it.build.is_some() && is_missing(&it.image));
    can_be.map(|(name, _)| name.as_str()).collect()
}

/// What `push` does: it pushes what is built here and has a name. `failure`: what one means.
pub fn push(project: &Project, failure: Severity) -> Transfer {
    let mut transfer = Transfer::default();
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    for (name, settings) in &project.services {
        let Some(build) = settings.build.as_ref().filter(|_| !settings.image.is_empty()) else {
            transfer.skip(name, "");
            continue;
        };
        for tag in std::iter::once(&settings.image).chain(&build.tags) {
            if seen.insert(tag) {
                let step = Step::new(Op::PushImage(tag.clone()), Cause::Requested, Vec::new());
                transfer.plan.add(Step { failure, ..step });
            }
        }
    }
    transfer
}

impl Transfer {
    fn skip(&mut self, service: &str, why: &str) {
        self.skipped.push((service.to_owned(), format!("Skipped{why}")));
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::{PullFlags, Transfer, is_latest, pull, push, to_build};
    use crate::model::Project;
    use crate::model::observed::{Observed, ObservedImage};
    use crate::plan::Severity;

    const SERVICES: &str = "
a: {image: x/a:1, build: {context: /a, tags: ['x/a:2', 'x/a:1']}}
b: {build: {context: /b}}
c: {image: 'here:1', pull_policy: missing}
d: {image: 'here:1', pull_policy: never}
e: {image: 'here:1'}
f: {image: 'here:1'}
g: {image: 'latest', pull_policy: missing, volumes: [{type: image, source: data, target: /d}]}
";

    fn project() -> Project {
        let services = serde_yaml::from_str(SERVICES).expect("canonical services");
        Project { name: "shop".to_owned(), services, ..Project::default() }
    }

    fn text(transfer: &Transfer) -> String {
        let skipped = transfer.skipped.iter().map(|(name, why)| format!("{name}: {why}\n"));
        format!("{}{}", transfer.plan, skipped.collect::<String>())
    }

    fn pulled(flags: &PullFlags) -> Transfer {
        let here = |name: &str| (name.to_owned(), ObservedImage::default());
        let images = [here("here:1"), here("latest")].into();
        pull(&project(), &Observed { images, ..Observed::default() }, flags)
    }

    #[test]
    fn every_image_is_pulled_once_unless_its_policy_says_no() {
        assert_snapshot!(text(&pulled(&PullFlags::default())), @"
        1 pull image x/a:1 (requested)
        2 pull image here:1 (requested)
        3 pull image data (requested)
        4 pull image latest (requested)
        b: Skipped - No image to be pulled
        c: Skipped - Image is already present locally
        d: Skipped
        f: Skipped - Image is already being pulled by e
        ");
    }

    #[test]
    fn flags_replace_policies_and_leave_out_what_can_be_built() {
        let policy = "missing".to_owned();
        let flags = PullFlags { policy, ignore_buildable: true, ..PullFlags::default() };
        assert_snapshot!(text(&pulled(&flags)), @"
        1 pull image data (requested)
        2 pull image latest (requested)
        a: Skipped - Image can be built
        b: Skipped - No image to be pulled
        c: Skipped - Image is already present locally
        d: Skipped - Image is already present locally
        e: Skipped - Image is already present locally
        f: Skipped - Image is already present locally
        ");
    }

    #[test]
    fn what_can_be_built_may_fail() {
        let tolerated = |transfer: &Transfer| {
            let steps = transfer.plan.steps.iter();
            steps.map(|step| step.failure == Severity::Warning).collect::<Vec<_>>()
        };
        let pulls = pulled(&PullFlags::default());
        assert_eq!(tolerated(&pulls), [true, false, false, false]);
        assert_eq!(to_build(&project(), &pulls.plan, &[0, 1].into()), ["a"]);
        let flags = PullFlags { ignore_failures: true, ..PullFlags::default() };
        assert_eq!(tolerated(&pulled(&flags)), [true; 4]);
        assert_eq!(tolerated(&push(&project(), Severity::Warning)), [true; 2]);
    }

    #[test]
    fn pulls_may_be_for_another_platform() {
        let platform = "linux/arm64".to_owned();
        let pulls = pulled(&PullFlags { platform, ..PullFlags::default() });
        let crate::plan::Op::PullImage(first) = &pulls.plan.steps[0].op else { panic!() };
        assert_eq!(first.platform, "linux/arm64");
    }

    #[test]
    fn only_what_is_built_and_has_a_name_is_pushed() {
        assert_snapshot!(text(&push(&project(), Severity::Fatal)), @"
        1 push image x/a:1 (requested)
        2 push image x/a:2 (requested)
        b: Skipped
        c: Skipped
        d: Skipped
        e: Skipped
        f: Skipped
        g: Skipped
        ");
    }

    #[test]
    fn no_tag_is_the_latest() {
        assert!(is_latest("a") && is_latest("h:5000/a") && is_latest("a:latest"));
        assert!(!is_latest("a:1") && !is_latest("a@sha256:0"));
    }
}
