//! What holds for every run, checked on random plans.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use proptest::prelude::{Just, Strategy, any, prop, proptest};
use proptest::{prop_assert, prop_assert_eq, prop_oneof};
use tokio::time::sleep;

use super::{Story, call, create, run, spec, start, stop, volume, wait};
use crate::event::{Event, Outcome};
use crate::model::observed::Milestone;
use crate::plan::{Cause, Op, Plan, Policy, Severity, Step};
use crate::runtime::Runtime as _;
use crate::runtime::fake::{Behaviour, Fake, Fault};
use crate::scheduler::{Shutdown, Stage, Timings, Trigger};

/// Checks what holds for every run, however it went.
pub(super) fn hold(plan: &Plan, story: &Story) {
    assert!(matches!(story.events[0].1, Event::Planned { .. }));
    let mut started = HashSet::new();
    let mut succeeded = HashSet::new();
    let mut over = HashSet::new();
    let mut failed = false;
    for (_, event) in &story.events {
        match event {
            Event::Started { step } => {
                assert!(started.insert(*step), "{step} started twice");
                assert!(!over.contains(step), "{step} started after it was skipped");
                let after = &plan.steps[*step].after;
                assert!(after.iter().all(|id| succeeded.contains(id)), "{step} was too early");
                assert!(!failed || plan.policy == Policy::CarryOn, "{step} after a failure");
            }
            Event::Ended { step, outcome, .. } => {
                assert!(started.contains(step) && over.insert(*step), "{step} ended twice");
                match outcome {
                    Outcome::Done | Outcome::Warned { .. } => _ = succeeded.insert(*step),
                    Outcome::Failed { .. } => failed = true,
                    Outcome::Interrupted => {}
                }
                let reported = story.report.steps[*step].as_ref().map(|step| &step.outcome);
                assert_eq!(reported, Some(outcome));
            }
            Event::Skipped { step } => {
                assert!(!started.contains(step) && over.insert(*step), "{step} skipped late");
                assert!(story.report.steps[*step].is_none());
            }
            Event::Progress { step, .. } => {
                assert!(started.contains(step) && !over.contains(step), "late progress of {step}");
            }
            Event::Planned { .. }
            | Event::Warned { .. }
            | Event::Noted { .. }
            | Event::Watched { .. } => {}
        }
    }
    assert_eq!(over.len(), plan.steps.len(), "every step is told");
    assert_eq!(failed, !story.report.failures.is_empty());
}

/// A random plan, what goes wrong in it, and how many steps may run at once.
#[derive(Clone, Debug)]
struct Case {
    plan: Plan,
    /// The container of each step: how long it takes.
    times: Vec<u64>,
    failing: BTreeSet<usize>,
    parallel: Option<usize>,
}

fn case() -> impl Strategy<Value = Case> {
    let step = (0..3_u8, prop::collection::vec(any::<prop::sample::Index>(), 0..4), any::<bool>());
    let times = 1..50_u64;
    let steps = prop::collection::vec((step, times), 1..25);
    let failing = prop::collection::vec(any::<prop::sample::Index>(), 0..3);
    let policy = prop_oneof![Just(Policy::StopAtFailure), Just(Policy::CarryOn)];
    (steps, failing, policy, prop::option::of(1..4_usize)).prop_map(
        |(steps, failing, policy, parallel)| {
            let failing = failing.into_iter().map(|index| index.index(steps.len())).collect();
            let mut plan = Plan { policy, ..Plan::default() };
            let mut times = Vec::new();
            for (id, ((kind, after, tolerated), time)) in steps.into_iter().enumerate() {
                let after: BTreeSet<usize> =
                    after.iter().filter(|_| id > 0).map(|index| index.index(id)).collect();
                let step = Step::new(op(id, kind), Cause::Missing, after.into_iter().collect());
                plan.add(if tolerated && id % 4 == 0 { step.tolerated() } else { step });
                times.push(time);
            }
            Case { plan, times, failing, parallel }
        },
    )
}

/// One of those that are limited, those that take their time, and those that wait.
fn op(id: usize, kind: u8) -> Op {
    match kind {
        0 => volume(&format!("v{id}")),
        1 => stop(&format!("c{id}")),
        _ => wait(&format!("c{id}"), Milestone::Healthy),
    }
}

impl Case {
    /// A world in which each step succeeds, but for those that shall not.
    async fn world(&self) -> Fake {
        let mut fake = Fake::new().with_image("app").with_latency(Duration::from_millis(3));
        for (id, time) in self.times.iter().enumerate() {
            let time = Duration::from_millis(*time);
            let behaviour = Behaviour {
                has_healthcheck: true,
                stops_after: time,
                ..Behaviour::healthy_after(time)
            };
            fake = fake.with_behaviour(&format!("c{id}"), behaviour);
        }
        for id in 0..self.times.len() {
            let name = format!("c{id}");
            fake.create_container(&spec(&name)).await.unwrap();
            fake.start_container(&name, &[]).await.unwrap();
        }
        for id in &self.failing {
            fake.fault_in(&call(&self.plan.steps[*id].op), Fault::Fail);
        }
        fake
    }

    /// All steps that come after a failure that counts.
    fn lost(&self) -> Vec<usize> {
        let mut lost = BTreeSet::new();
        let fatal = |id: &usize| {
            self.failing.contains(id) && self.plan.steps[*id].failure == Severity::Fatal
        };
        for (id, step) in self.plan.steps.iter().enumerate() {
            let is_lost = |before: &usize| lost.contains(before) || fatal(before);
            if step.after.iter().any(is_lost) {
                lost.insert(id);
            }
        }
        lost.into_iter().collect()
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let builder =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    builder.unwrap().block_on(future)
}

/// The most limited steps that ran at the same time.
fn most_at_once(plan: &Plan, story: &Story) -> usize {
    let is_limited = |step: &usize| matches!(plan.steps[*step].op, Op::CreateVolume(_));
    let (mut now, mut most) = (0_usize, 0);
    for (_, event) in &story.events {
        match event {
            Event::Started { step } if is_limited(step) => now += 1,
            Event::Ended { step, .. } if is_limited(step) => now -= 1,
            _ => {}
        }
        most = most.max(now);
    }
    most
}

proptest! {
    #[test]
    fn every_run_keeps_the_laws(case in case()) {
        let story = block_on(async {
            let fake = case.world().await;
            run(&case.plan, &fake, (case.parallel, Shutdown::never()), |_| {}).await
        });
        prop_assert!(most_at_once(&case.plan, &story) <= case.parallel.unwrap_or(usize::MAX));
        let mut skipped = story.skipped();
        skipped.sort_unstable();
        if case.plan.policy == Policy::CarryOn {
            prop_assert_eq!(skipped, case.lost());
        }
        if case.parallel.is_none() && story.report.failures.is_empty() {
            // No step waited for anything but what it comes after.
            let timings = Timings::new(&case.plan, &story.report.durations());
            prop_assert_eq!(timings.total, story.took);
            let chain: Duration = timings.chain.iter().map(|link| link.took).sum();
            prop_assert_eq!(chain, story.took);
        }
    }

    #[test]
    fn every_shutdown_keeps_the_laws(case in case(), first in 0..60_u64, second in 0..60_u64) {
        let (first, second) = (Duration::from_millis(first), Duration::from_millis(second));
        let trigger = Trigger::default();
        let shutdown = trigger.listen();
        let story = block_on(async {
            let fake = case.world().await;
            let requests = async {
                sleep(first).await;
                trigger.raise(Stage::Graceful);
                sleep(second).await;
                trigger.raise(Stage::Now);
            };
            tokio::join!(run(&case.plan, &fake, (case.parallel, shutdown), |_| {}), requests).0
        });
        // Timers are exact to a millisecond.
        let late = Duration::from_millis(1);
        for (time, event) in &story.events {
            match event {
                Event::Started { .. } => prop_assert!(*time <= first + late),
                Event::Ended { step, outcome, .. } => {
                    prop_assert!(*time <= first + second + 2 * late);
                    let is_wait = matches!(case.plan.steps[*step].op, Op::Wait { .. });
                    if is_wait {
                        prop_assert!(*time <= first + late);
                    } else if *outcome == Outcome::Interrupted {
                        prop_assert!(*time >= first + second);
                    }
                }
                _ => {}
            }
        }
    }

    #[test]
    fn whatever_call_fails_or_loses_its_answer_the_laws_hold(position in 0..10_usize, lost: bool) {
        let fault = if lost { Fault::LoseAnswer } else { Fault::Fail };
        let story = block_on(async {
            let fake = super::diamond_world().with_fault_at(position, fault);
            run(&super::diamond(), &fake, (None, Shutdown::never()), |_| {}).await
        });
        prop_assert_eq!(story.report.failures.len(), 1);
    }
}

#[test]
fn a_plan_that_is_not_in_order_ends() {
    let steps = vec![
        Step::new(create("a"), Cause::Missing, vec![7]),
        Step::new(start("a"), Cause::Missing, vec![1]),
    ];
    let plan = Plan { steps, ..Plan::default() };
    let story = block_on(run(&plan, &Fake::new(), (None, Shutdown::never()), |_| {}));
    assert_eq!(story.skipped(), [0, 1]);
    assert!(!story.report.is_success());
}
