//! Large plans take time in proportion to their size.

use std::time::{Duration, Instant};

use super::{Timings, simply, volume};
use crate::plan::{Cause, Op, Plan, Policy, Step};
use crate::runtime::fake::{Fake, Fault};

const STEPS: usize = 20_000;
/// Far above what it takes (about a second in a debug build), far below what quadratic work would.
const LIMIT: Duration = Duration::from_secs(10);

fn large(after: impl Fn(usize) -> Vec<usize>) -> Plan {
    let op = |id: usize| match id % 2 {
        0 => volume(&format!("v{}", id % 100)),
        _ => Op::RemoveNetwork("gone".to_owned()),
    };
    let steps = (0..STEPS).map(|id| Step::new(op(id), Cause::Missing, after(id))).collect();
    Plan { steps, ..Plan::default() }
}

/// A chain, a star, and layers that depend on several of the layer before.
fn shapes() -> [(&'static str, Plan); 3] {
    let layers =
        |id: usize| [100, 101, 137].iter().filter_map(|back| id.checked_sub(*back)).collect();
    [
        ("chain", large(|id| id.checked_sub(1).into_iter().collect())),
        ("star", large(|id| if id == 0 { Vec::new() } else { vec![0] })),
        ("layers", large(layers)),
    ]
}

#[tokio::test(start_paused = true)]
async fn twenty_thousand_steps_are_no_matter() {
    for (name, plan) in shapes() {
        let began = Instant::now();
        let story = simply(&plan, &Fake::new()).await;
        let ran = began.elapsed();
        assert!(story.report.is_success());
        let timings = Timings::new(&plan, &story.report.durations());
        let timed = began.elapsed().saturating_sub(ran);
        assert!(!timings.chain.is_empty());
        assert!(ran < LIMIT && timed < LIMIT, "{name}: {ran:?}, {timed:?}");
        tell(name, [ran, timed]);
    }
}

#[tokio::test(start_paused = true)]
async fn giving_up_twenty_thousand_steps_is_no_matter() {
    for policy in [Policy::StopAtFailure, Policy::CarryOn] {
        for (name, plan) in shapes() {
            let plan = Plan { policy, ..plan };
            let began = Instant::now();
            let story = simply(&plan, &Fake::new().with_fault_at(0, Fault::Fail)).await;
            assert_eq!(story.report.failures.len(), 1);
            assert!(began.elapsed() < LIMIT, "{name}: {:?}", began.elapsed());
        }
    }
}

#[expect(clippy::print_stderr, reason = "tests tell what they measured")]
fn tell(name: &str, [ran, timed]: [Duration; 2]) {
    eprintln!("{STEPS} steps as a {name}: run in {ran:?}, timings in {timed:?}");
}
