//! What is known about steps that failed: the cause, what it holds up, and the last words.

use std::collections::BTreeSet;
use std::error::Error;

use futures_util::StreamExt as _;

use super::converge::BuildLines;
use super::port_holder;
use crate::event::StepFailure;
use crate::model::observed::ObservedContainer;
use crate::plan::{Op, Plan, StepId, Subject};
use crate::runtime::{LogOptions, Runtime, RuntimeError};
use crate::scheduler::{Report, StepError};

/// How many last lines of a container are told.
const LINES: u64 = 20;

/// Puts together what is known.
pub(super) async fn describe(
    runtime: &dyn Runtime,
    plan: &Plan,
    report: Report,
    output: &BuildLines,
) -> Vec<StepFailure> {
    let mut told = Vec::new();
    for error in &report.failures {
        let step = error.step();
        let op = &plan.steps[step].op;
        let log = match op.subject() {
            Subject::Container(name) if concerns_process(op) => last_lines(runtime, name).await,
            _ => output.get(&step).into_iter().flatten().cloned().collect(),
        };
        told.push(StepFailure {
            what: op.to_string(),
            cause: cause(runtime, error).await,
            blocks: blocked(plan, step),
            probe: probe(error),
            log,
        });
    }
    told
}

/// What is known about containers that were ready and are not any more.
pub(super) async fn of_fallen(
    runtime: &dyn Runtime,
    fallen: &[&ObservedContainer],
) -> Vec<StepFailure> {
    let mut told = Vec::new();
    for container in fallen {
        let name = container.name.clone();
        let code = container.exit_code;
        told.push(StepFailure {
            what: format!("keep container {name} ready"),
            cause: if container.is_up() {
                format!("container {name} is unhealthy")
            } else {
                format!("container {name} exited ({code}) while others were waited for")
            },
            blocks: Vec::new(),
            probe: String::new(),
            log: last_lines(runtime, &name).await,
        });
    }
    told
}

/// Whether what the container wrote can tell why the step failed.
fn concerns_process(op: &Op) -> bool {
    matches!(op, Op::Wait { .. } | Op::RunHook { .. })
}

/// Why it failed, and for a port that is taken, by whom.
async fn cause(runtime: &dyn Runtime, error: &StepError) -> String {
    let text = causes(error);
    let inner = error.source().and_then(|cause| cause.downcast_ref::<RuntimeError>());
    let Some(RuntimeError::PortTaken { port, .. }) = inner else { return text };
    match port_holder::holder(runtime, *port).await {
        Some(holder) => format!("{text}\nport {port} is held by {holder}"),
        None => text,
    }
}

/// The error's causes, innermost last; the error itself if it has none.
fn causes(error: &StepError) -> String {
    let mut lines = Vec::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        lines.push(error.to_string());
        cause = error.source();
    }
    if lines.is_empty() { error.to_string() } else { lines.join(": ") }
}

fn probe(error: &StepError) -> String {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<RuntimeError>());
    match cause {
        Some(RuntimeError::Unhealthy { output, .. }) => output.clone(),
        _ => String::new(),
    }
}

/// Services whose containers are not created or started because of a step.
fn blocked(plan: &Plan, failed: StepId) -> Vec<String> {
    let mut held = BTreeSet::from([failed]);
    let mut names = BTreeSet::new();
    let own = plan.steps[failed].op.subject();
    for (id, step) in plan.steps.iter().enumerate() {
        if step.after.iter().any(|before| held.contains(before)) {
            held.insert(id);
            if let (Op::StartContainer { container, .. }, true) =
                (&step.op, step.op.subject() != own)
            {
                names.insert(container.clone());
            }
        }
    }
    names.into_iter().collect()
}

async fn last_lines(runtime: &dyn Runtime, container: &str) -> Vec<String> {
    let options = LogOptions { tail: Some(LINES), ..LogOptions::default() };
    let mut logs = runtime.logs(container, &options);
    let mut bytes = Vec::new();
    while let Some(Ok(chunk)) = logs.next().await {
        bytes.extend_from_slice(&chunk.bytes);
    }
    String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect()
}
