//! Where the time went. Pure.
//!
//! In: a plan and how long each step took. Out: the chain of steps that decided the total, and for
//! each service how long it was held up by each other one.
//!
//! Steps are taken to start as soon as what they come after is over: what `--parallel` holds back
//! is not counted.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::time::Duration;

use crate::plan::{Op, Plan, Step, StepId, Subject};

/// Links of the chain that took less than this share are not printed.
const SMALLEST_SHARE: f64 = 0.005;
/// How many rows are printed of who waited for whom.
const WAITING_ROWS: usize = 10;

/// Where the time went.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timings {
    /// From the start of the first step to the end of the last one.
    pub total: Duration,
    /// The chain of steps that decided it, the last one first.
    pub chain: Vec<Link>,
    /// Who was held up by whom, the longest first.
    pub waiting: Vec<Waiting>,
}

/// A step of the chain that decided the total.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// Which step of the plan.
    pub step: StepId,
    /// What it did.
    pub op: String,
    /// How long it took.
    pub took: Duration,
    /// Its part of the total, from 0 to 1.
    pub share: f64,
}

/// How long a service could have gone on but for another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The service that waited; a container where the plan does not tell its service.
    pub service: String,
    /// What it waited for.
    pub dependency: String,
    /// How long: from when all that is its own was ready.
    pub cost: Duration,
}

impl Timings {
    /// Finds out where the time went. `took` has an entry for each step; `None`: it did not run.
    pub fn new(plan: &Plan, took: &[Option<Duration>]) -> Self {
        let ends = Ends::of(plan, took);
        let total = ends.end.iter().flatten().max().copied().unwrap_or_default();
        let share = |took: Duration| {
            if total.is_zero() { 0.0 } else { took.as_secs_f64() / total.as_secs_f64() }
        };
        let link = |step: StepId| {
            let took = took[step].unwrap_or_default();
            Link { step, op: plan.steps[step].op.to_string(), took, share: share(took) }
        };
        let chain = ends.chain().into_iter().map(link).collect();
        Self { total, chain, waiting: waiting(plan, &ends.end) }
    }
}

/// When each step ended, counted from the start of the plan.
struct Ends {
    end: Vec<Option<Duration>>,
    /// The step that each one had to wait for longest.
    decided_by: Vec<Option<StepId>>,
}

impl Ends {
    fn of(plan: &Plan, took: &[Option<Duration>]) -> Self {
        let count = plan.steps.len();
        let mut ends = Self { end: vec![None; count], decided_by: vec![None; count] };
        for (id, step) in plan.steps.iter().enumerate() {
            let Some(took) = took.get(id).copied().flatten() else { continue };
            let before = step.after.iter().filter_map(|before| Some((ends.at(*before)?, *before)));
            let last = before.max_by_key(|(end, _)| *end);
            ends.decided_by[id] = last.map(|(_, step)| step);
            ends.end[id] = Some(last.map_or(Duration::ZERO, |(end, _)| end) + took);
        }
        ends
    }

    fn at(&self, step: StepId) -> Option<Duration> {
        self.end.get(step).copied().flatten()
    }

    /// From the step that ended last back to one that came after nothing.
    fn chain(&self) -> Vec<StepId> {
        let last = (0..self.end.len()).filter(|id| self.end[*id].is_some());
        let mut next = last.max_by_key(|id| self.end[*id]);
        std::iter::from_fn(|| {
            let step = next?;
            next = self.decided_by[step];
            Some(step)
        })
        .collect()
    }
}

/// Who was held up by whom, the longest first.
fn waiting(plan: &Plan, end: &[Option<Duration>]) -> Vec<Waiting> {
    let services = services(plan);
    let end = |step: &StepId| end.get(*step).copied().flatten().unwrap_or_default();
    let owner = |step: &StepId| plan.steps.get(*step).and_then(|step| owner(step, &services));
    let mut costs: BTreeMap<(&str, &str), Duration> = BTreeMap::new();
    for (id, step) in plan.steps.iter().enumerate() {
        let Some(service) = owner(&id) else { continue };
        let is_other = |before: &&StepId| owner(before).is_some_and(|other| other != service);
        let own = step.after.iter().filter(|before| !is_other(before));
        let ready = own.map(end).max().unwrap_or_default();
        for before in step.after.iter().filter(is_other) {
            let Some(dependency) = owner(before) else { continue };
            let cost = costs.entry((service, dependency)).or_default();
            *cost = end(before).saturating_sub(ready).max(*cost);
        }
    }
    let mut waiting: Vec<Waiting> = costs
        .into_iter()
        .filter(|(_, cost)| !cost.is_zero())
        .map(|((service, dependency), cost)| Waiting {
            service: service.to_owned(),
            dependency: dependency.to_owned(),
            cost,
        })
        .collect();
    waiting.sort_by_key(|waiting| std::cmp::Reverse(waiting.cost));
    waiting
}

/// The services of containers, by the names that they have in the plan.
fn services(plan: &Plan) -> HashMap<&str, &str> {
    let known = plan.services.iter();
    let mut services: HashMap<&str, &str> =
        known.map(|(container, service)| (container.as_str(), service.as_str())).collect();
    for step in &plan.steps {
        match &step.op {
            Op::CreateContainer(spec) => {
                services.insert(spec.name.as_str(), spec.service_name.as_str());
            }
            Op::RenameContainer { from, to } => {
                if let Some(service) = services.get(from.as_str()).copied() {
                    services.insert(to.as_str(), service);
                }
            }
            _ => {}
        }
    }
    services
}

/// Whom a step is for, if it is for a container.
fn owner<'p>(step: &'p Step, services: &HashMap<&'p str, &'p str>) -> Option<&'p str> {
    match step.op.subject() {
        Subject::Container(name) => Some(services.get(name).copied().unwrap_or(name)),
        Subject::Service(name) => Some(name),
        Subject::Image(_) | Subject::Network(_) | Subject::Volume(_) | Subject::Model(_) => None,
    }
}

impl fmt::Display for Timings {
    /// Two small tables: the chain, and who waited for whom.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows = vec![["STEP".to_owned(), "TOOK".to_owned(), "SHARE".to_owned()]];
        for link in self.chain.iter().filter(|link| link.share >= SMALLEST_SHARE) {
            let share = format!("{:.0}%", link.share * 100.0);
            rows.push([link.op.clone(), seconds(link.took), share]);
        }
        rows.push(["total".to_owned(), seconds(self.total), "100%".to_owned()]);
        write_rows(f, &rows)?;
        if self.waiting.is_empty() {
            return Ok(());
        }
        let heading = ["SERVICE", "WAITED FOR", "TIME"].map(str::to_owned);
        let row = |row: &Waiting| [row.service.clone(), row.dependency.clone(), seconds(row.cost)];
        let mut rows = vec![heading];
        rows.extend(self.waiting.iter().take(WAITING_ROWS).map(row));
        writeln!(f)?;
        write_rows(f, &rows)
    }
}

fn seconds(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{}ms", time.as_millis())
    } else {
        format!("{:.1}s", time.as_secs_f64())
    }
}

/// Columns three blanks apart.
fn write_rows(f: &mut fmt::Formatter<'_>, rows: &[[String; 3]]) -> fmt::Result {
    let width = |column: usize| {
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()
    };
    let (first, second) = (width(0), width(1));
    for [a, b, c] in rows {
        writeln!(f, "{a:first$}   {b:second$}   {c}")?;
    }
    Ok(())
}
