//! How `ketch plan` shows a plan: what will be done, why, and what it costs.
//!
//! In: a [`Plan`], and a function that knows where attributes stand. Out: text for people, or
//! JSON after `schemas/plan.schema.json`.
//!
//! # Invariants
//!
//! - The steps appear in the order of the plan; those that replace a container are one line for
//!   people, and all of them are in the JSON.
//! - Words of steps and causes are those of `plan`.

use std::borrow::Cow;
use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use schemars::JsonSchema;
use serde::Serialize;

use super::replacement::lasting_names;
use super::report::pretty;
use super::text::{count, cut, printable};
use crate::event::{Event, StepLine};
use crate::model::spec::ProviderAction;
use crate::plan::{Cause, Change, Op, Plan, Role, Severity, Step};

const MAKES: Style = AnsiColor::Green.on_default();
const CHANGES: Style = AnsiColor::Yellow.on_default();
const REMOVES: Style = AnsiColor::Red.on_default();
const STRONG: Style = Style::new().bold();
const PLACE: Style = AnsiColor::Cyan.on_default();
const PLAIN: Style = Style::new();
/// Characters of a value that are shown.
const LONGEST: usize = 200;

/// Gives the place, such as `compose.yaml:9:13`, of an attribute of a service: `(service,
/// attribute)`.
pub type PlaceOf<'a> = &'a dyn Fn(&str, &str) -> Option<String>;

/// A plan as programs read it.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct PlanReport {
    /// Version of this format.
    pub version: u32,
    /// The steps; one comes after those that it names, which stand before it.
    pub steps: Vec<StepReport>,
    /// What the user should know, whether or not the plan is run.
    pub warnings: Vec<String>,
    /// Containers that are as they should be.
    pub unchanged: Vec<String>,
    /// Containers that run now and will be stopped and started, or replaced.
    pub restarts: Vec<String>,
    /// Volumes whose data will be lost.
    pub lost_volumes: Vec<String>,
}

/// A step.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct StepReport {
    /// Its position, from 0.
    pub id: usize,
    /// `container`, `network`, `volume`, `image`, `service` or `model`.
    pub kind: &'static str,
    /// What it is done to.
    pub name: String,
    /// The whole operation: `create container shop-web-1`.
    pub operation: String,
    /// Why.
    pub cause: CauseReport,
    /// Steps that come before.
    pub after: Vec<usize>,
    /// Its part in the replacement of a container.
    pub role: RoleReport,
    /// Whether its failure is only a warning.
    pub tolerated: bool,
    /// Whether data is lost by it.
    pub loses_data: bool,
    /// Whether the user has to agree first.
    pub needs_consent: bool,
}

/// Why a step is in the plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CauseReport {
    /// What kind of cause.
    pub reason: &'static str,
    /// In words.
    pub text: String,
    /// Attributes that changed.
    pub changes: Vec<ChangeReport>,
}

/// An attribute that changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ChangeReport {
    /// Its path below the service.
    pub attribute: String,
    /// What it was; null: it was not there, or is not told.
    pub from: Option<String>,
    /// What it is; null: it is gone.
    pub to: Option<String>,
    /// Where it stands.
    pub place: Option<String>,
}

/// The part of a step in the replacement of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RoleReport {
    /// It stands for itself.
    Alone,
    /// A replacement begins.
    Begins,
    /// A replacement goes on.
    GoesOn,
    /// A replacement ends.
    Ends,
}

/// Puts a plan into the form that programs read.
pub fn report(plan: &Plan, place: PlaceOf<'_>) -> PlanReport {
    let step = |(id, step): (usize, &Step)| {
        let subject = step.op.subject();
        StepReport {
            id,
            kind: subject.kind(),
            name: subject.name().to_owned(),
            operation: step.op.to_string(),
            cause: cause(step, place),
            after: step.after.clone(),
            role: role(step.role),
            tolerated: step.failure == Severity::Warning,
            loses_data: loses_data(&step.op),
            needs_consent: plan.needs_consent().any(|asked| std::ptr::eq(asked, step)),
        }
    };
    let lost = plan.steps.iter().filter_map(|step| match &step.op {
        Op::RemoveVolume(volume) => Some(volume.clone()),
        _ => None,
    });
    PlanReport {
        version: 1,
        steps: plan.steps.iter().enumerate().map(step).collect(),
        warnings: plan.warnings.clone(),
        unchanged: plan.unchanged.clone(),
        restarts: restarts(plan, &lines(plan)),
        lost_volumes: lost.collect(),
    }
}

/// For programs.
pub fn json(plan: &Plan, place: PlaceOf<'_>) -> String {
    pretty(&serde_json::to_value(report(plan, place)).unwrap_or_default())
}

fn cause(step: &Step, place: PlaceOf<'_>) -> CauseReport {
    let change = |change: &Change| ChangeReport {
        attribute: change.attribute.clone(),
        from: change.from.clone(),
        to: change.to.clone(),
        place: place(service(&step.op), &change.attribute),
    };
    CauseReport {
        reason: reason(&step.cause),
        text: step.cause.to_string(),
        changes: changes(&step.cause).iter().map(change).collect(),
    }
}

fn reason(cause: &Cause) -> &'static str {
    match cause {
        Cause::Missing => "missing",
        Cause::NotRunning => "not-running",
        Cause::Requested => "requested",
        Cause::Changed(_) => "changed",
        Cause::ConfigChanged => "config-changed",
        Cause::InputChanged(_) => "input-changed",
        Cause::ImageChanged { .. } => "image-changed",
        Cause::NotAttached { .. } => "not-attached",
        Cause::NotMounted { .. } => "not-mounted",
        Cause::SharesWith { .. } => "shares-with",
        Cause::Uses { .. } => "uses",
        Cause::DependsOn { .. } => "depends-on",
        Cause::NeededBy { .. } => "needed-by",
        Cause::Replacement => "replacement",
        Cause::Surplus => "surplus",
        Cause::Orphan => "orphan",
        Cause::LeftOver => "left-over",
        Cause::Policy { .. } => "policy",
    }
}

fn role(role: Role) -> RoleReport {
    match role {
        Role::Alone => RoleReport::Alone,
        Role::Begins => RoleReport::Begins,
        Role::GoesOn => RoleReport::GoesOn,
        Role::Ends => RoleReport::Ends,
    }
}

fn changes(cause: &Cause) -> Cow<'_, [Change]> {
    match cause {
        Cause::Changed(changes) => Cow::Borrowed(changes),
        Cause::InputChanged(input) => {
            let attribute = input.attribute.clone();
            Cow::Owned(vec![Change { attribute, from: None, to: None }])
        }
        _ => Cow::Borrowed(&[]),
    }
}

/// The service whose attributes a step is about; empty if it is about none.
fn service(op: &Op) -> &str {
    match op {
        Op::CreateContainer(container) => &container.service_name,
        Op::BuildImage(build) => &build.service_name,
        _ => "",
    }
}

fn loses_data(op: &Op) -> bool {
    matches!(op, Op::RemoveVolume(_) | Op::RemoveContainer { volumes: true, .. })
}

/// The steps by the names that containers keep.
fn lines(plan: &Plan) -> Vec<StepLine> {
    let Event::Planned { mut steps } = Event::planned(plan) else { return Vec::new() };
    for (id, name) in lasting_names(&steps) {
        steps[id].name = name;
    }
    steps
}

fn restarts(plan: &Plan, lines: &[StepLine]) -> Vec<String> {
    let starts = |name: &str| {
        plan.steps.iter().any(
            |step| matches!(&step.op, Op::StartContainer { container, .. } if container == name),
        )
    };
    let mut names: Vec<String> = Vec::new();
    for (step, line) in plan.steps.iter().zip(lines) {
        let is_restarted = match (&step.op, step.role) {
            (_, Role::Begins) | (Op::RestartContainer { .. }, _) => true,
            (Op::StopContainer { container, .. }, Role::Alone) => starts(container),
            _ => false,
        };
        if is_restarted && !names.contains(&line.name) {
            names.push(line.name.clone());
        }
    }
    names
}

/// For people.
pub fn human(plan: &Plan, place: PlaceOf<'_>) -> String {
    let lines = lines(plan);
    let mut text = String::new();
    for (step, line) in plan.steps.iter().zip(&lines) {
        if !matches!(step.role, Role::GoesOn | Role::Ends) {
            write_step(&mut text, step, line, place);
        }
    }
    if !plan.is_empty() {
        text.push('\n');
    }
    costs(&mut text, plan, &lines);
    let _ = writeln!(text, "{STRONG}{}{STRONG:#}", summary(plan));
    text
}

fn write_step(text: &mut String, step: &Step, line: &StepLine, place: PlaceOf<'_>) {
    let (sign, style) = sign(step);
    let operation = match step.role {
        Role::Begins => format!("replace {} {}", line.kind, line.name),
        _ => step.op.to_string(),
    };
    let _ = write!(text, "{style}{sign}{style:#} {}", printable(&operation));
    let words = |change: &Change| match &step.cause {
        Cause::InputChanged(input) => input.to_string(),
        _ => change.to_string(),
    };
    let changes = changes(&step.cause);
    let told = changes.iter().map(|it| told((&words(it), &it.attribute), &step.op, place));
    let told: Vec<String> = told.collect();
    match told.as_slice() {
        [] => {
            let cause = step.cause.to_string();
            let _ = writeln!(text, " ({})", printable(&cut(&cause, LONGEST)));
        }
        [change] => {
            let _ = writeln!(text, " ({change})");
        }
        several => {
            let _ = writeln!(text);
            for change in several {
                let _ = writeln!(text, "    {change}");
            }
        }
    }
}

/// A change and where it stands.
fn told((text, attribute): (&str, &str), op: &Op, place: PlaceOf<'_>) -> String {
    let text = printable(&cut(text, LONGEST)).into_owned();
    match place(service(op), attribute) {
        Some(place) => format!("{text}, {PLACE}{}{PLACE:#}", printable(&place)),
        None => text,
    }
}

fn sign(step: &Step) -> (char, Style) {
    if step.role == Role::Begins {
        return ('~', CHANGES);
    }
    match step.op {
        Op::PullImage(_)
        | Op::BuildImage(_)
        | Op::PushImage(_)
        | Op::CreateNetwork(_)
        | Op::CreateVolume(_)
        | Op::CreateContainer(_) => ('+', MAKES),
        Op::RemoveImage(_)
        | Op::RemoveNetwork(_)
        | Op::RemoveVolume(_)
        | Op::RemoveContainer { .. } => ('-', REMOVES),
        Op::Connect { .. }
        | Op::Disconnect { .. }
        | Op::RestartContainer { .. }
        | Op::RenameContainer { .. } => ('~', CHANGES),
        Op::StartContainer { .. } | Op::UnpauseContainer(_) => ('>', MAKES),
        Op::StopContainer { .. } | Op::KillContainer { .. } | Op::PauseContainer(_) => {
            ('x', CHANGES)
        }
        Op::RunHook { .. } | Op::Wait { .. } => ('.', PLAIN),
        Op::CallProvider(ref call) => match call.action {
            ProviderAction::Up | ProviderAction::Pull => ('+', MAKES),
            ProviderAction::Configure => ('~', CHANGES),
            ProviderAction::Down => ('-', REMOVES),
            ProviderAction::Stop => ('x', CHANGES),
        },
    }
}

/// Warnings, what is restarted and what is lost.
fn costs(text: &mut String, plan: &Plan, lines: &[StepLine]) {
    for warning in &plan.warnings {
        let _ = writeln!(text, "{CHANGES}warning{CHANGES:#}: {}", printable(warning));
    }
    let restarts = restarts(plan, lines);
    if !restarts.is_empty() {
        let _ = writeln!(text, "restarts: {}", printable(&restarts.join(", ")));
    }
    for step in plan.steps.iter().filter(|step| loses_data(&step.op)) {
        let what = match &step.op {
            Op::RemoveVolume(volume) => format!("all data of volume {volume}"),
            other => format!("anonymous volumes of container {}", other.subject().name()),
        };
        let _ = writeln!(text, "{REMOVES}loses{REMOVES:#}: {}", printable(&what));
    }
}

/// `2 to create, 1 to replace; 3 containers unchanged`.
fn summary(plan: &Plan) -> String {
    let mut numbers = [("create", 0), ("replace", 0), ("start", 0), ("stop", 0), ("remove", 0)];
    let mut others = 0;
    for step in &plan.steps {
        let (sign, _) = sign(step);
        match (sign, step.role, &step.op) {
            (_, Role::GoesOn | Role::Ends, _) => {}
            (_, Role::Begins, _) => numbers[1].1 += 1,
            ('+', ..) => numbers[0].1 += 1,
            ('>', ..) => numbers[2].1 += 1,
            ('x', ..) => numbers[3].1 += 1,
            ('-', ..) => numbers[4].1 += 1,
            _ => others += 1,
        }
    }
    let mut parts: Vec<String> = numbers
        .iter()
        .filter(|(_, number)| *number > 0)
        .map(|(verb, number)| format!("{number} to {verb}"))
        .collect();
    if others > 0 {
        parts.push(count(others, "other step"));
    }
    if parts.is_empty() {
        parts.push("nothing to do".to_owned());
    }
    let unchanged = plan.unchanged.len();
    let rest = if unchanged > 0 {
        format!("; {} unchanged", count(unchanged, "container"))
    } else {
        String::new()
    };
    parts.join(", ") + &rest
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use insta::assert_snapshot;

    use super::{human, json};
    use crate::model::observed::Milestone;
    use crate::model::spec::{ContainerSpec, NetworkSpec};
    use crate::plan::{Cause, Change, Op, Plan, Role, Step};

    fn create(name: &str) -> Op {
        let spec = ContainerSpec {
            name: name.to_owned(),
            service_name: "web".to_owned(),
            ..ContainerSpec::default()
        };
        Op::CreateContainer(Arc::new(spec))
    }

    fn change(attribute: &str, from: Option<&str>, to: Option<&str>) -> Change {
        Change {
            attribute: attribute.to_owned(),
            from: from.map(str::to_owned),
            to: to.map(str::to_owned),
        }
    }

    fn place(service: &str, attribute: &str) -> Option<String> {
        (attribute == "image").then(|| format!("compose.yaml:{}:1", service.len()))
    }

    fn example() -> Plan {
        let mut plan = Plan::default();
        let mut network = NetworkSpec::default();
        network.network.name = "p_default".to_owned();
        let changes = vec![
            change("image", Some("a:1"), Some("a:2")),
            change("environment.X", None, Some("\x1b")),
        ];
        let web = || "p-web-1".to_owned();
        let alone = |op, cause, after: &[usize]| Step::new(op, cause, after.to_vec());
        let part = |op, after: &[usize], role| {
            Step::new(op, Cause::Replacement, after.to_vec()).with_role(role)
        };
        plan.add(alone(Op::CreateNetwork(Arc::new(network)), Cause::Missing, &[]));
        let begin = alone(create("abc_p-web-1"), Cause::Changed(changes), &[0]);
        plan.add(begin.with_role(Role::Begins));
        plan.add(part(Op::StopContainer { container: web(), seconds: None }, &[1], Role::GoesOn));
        plan.add(part(
            Op::RemoveContainer { container: web(), volumes: false },
            &[2],
            Role::GoesOn,
        ));
        let rename = Op::RenameContainer { from: "abc_p-web-1".to_owned(), to: web() };
        plan.add(part(rename, &[3], Role::Ends));
        let wait = Op::Wait { container: "p-db-1".to_owned(), milestone: Milestone::Healthy };
        plan.add(alone(wait, Cause::NeededBy { service: "web".to_owned() }, &[]));
        let start = Op::StartContainer { container: web(), files: Arc::new([]) };
        plan.add(alone(start, Cause::Changed(vec![change("image", None, None)]), &[4, 5]));
        plan.add(alone(Op::RemoveVolume("p_old".to_owned()), Cause::LeftOver, &[]).tolerated());
        plan.warnings.push("x is old".to_owned());
        plan.unchanged.push("p-db-1".to_owned());
        plan
    }

    #[test]
    fn people_see_what_why_and_at_what_cost() {
        let text = human(&example(), &place);
        assert_snapshot!(anstream::adapter::strip_str(&text), @"
        + create network p_default (missing)
        ~ replace container p-web-1
            image: a:1 -> a:2, compose.yaml:3:1
            environment.X: now ␛
        . wait for container p-db-1 to be healthy (web needs it)
        > start container p-web-1 (image changed, compose.yaml:0:1)
        - remove volume p_old (left over from an interrupted command)

        warning: x is old
        restarts: p-web-1
        loses: all data of volume p_old
        1 to create, 1 to replace, 1 to start, 1 to remove, 1 other step; 1 container unchanged
        ");
        let nothing = human(&Plan { unchanged: vec!["a".into()], ..Plan::default() }, &place);
        assert_snapshot!(anstream::adapter::strip_str(&nothing), @"nothing to do; 1 container unchanged");
    }

    #[test]
    fn programs_see_every_step() {
        let json: serde_json::Value =
            serde_json::from_str(&json(&example(), &place)).expect("JSON");
        assert_eq!(json["steps"].as_array().map(Vec::len), Some(8));
        assert_snapshot!(format!("{:#}", json["steps"][1]), @r#"
        {
          "id": 1,
          "kind": "container",
          "name": "abc_p-web-1",
          "operation": "create container abc_p-web-1",
          "cause": {
            "reason": "changed",
            "text": "image: a:1 -> a:2, environment.X: now \u001b",
            "changes": [
              {
                "attribute": "image",
                "from": "a:1",
                "to": "a:2",
                "place": "compose.yaml:3:1"
              },
              {
                "attribute": "environment.X",
                "from": null,
                "to": "\u001b",
                "place": null
              }
            ]
          },
          "after": [
            0
          ],
          "role": "begins",
          "tolerated": false,
          "loses_data": false,
          "needs_consent": false
        }
        "#);
        assert_eq!(json["steps"][7]["needs_consent"], true);
        assert_eq!(json["lost_volumes"], serde_json::json!(["p_old"]));
        assert_eq!(json["restarts"], serde_json::json!(["p-web-1"]));
    }
}
