//! Why a step failed.

use std::error::Error;

use super::call::Failure;
use crate::model::observed::Milestone;
use crate::plan::{Op, Plan, StepId};
use crate::runtime::RuntimeError;

/// How much of what a failed hook printed is told.
const HOOK_LINES: usize = 10;
const HOOK_BYTES: usize = 2048;

/// A step that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StepError {
    /// The runtime could not do it.
    #[error("cannot {op}")]
    Runtime {
        /// Which step of the plan.
        step: StepId,
        /// What it was to do.
        op: String,
        /// Why it could not be done.
        source: RuntimeError,
    },
    /// A container did not get as far as others need it.
    #[error("container `{container}` was to be {milestone}")]
    Wait {
        /// Which step of the plan.
        step: StepId,
        /// The container.
        container: String,
        /// How far it was to get.
        milestone: Milestone,
        /// What became of it instead.
        source: RuntimeError,
    },
    /// A hook ran and failed.
    #[error("{owner} hook exited with status {code}{output}")]
    Hook {
        /// Which step of the plan.
        step: StepId,
        /// The service, or the container if the plan does not tell its service.
        owner: String,
        /// Exit code of the hook.
        code: i64,
        /// The end of what it printed, with a colon in front; empty if it printed nothing.
        output: String,
    },
}

impl StepError {
    pub(super) fn new(plan: &Plan, step: StepId, failure: Failure) -> Self {
        let op = &plan.steps[step].op;
        match (failure, op) {
            (Failure::Runtime(source), Op::Wait { container, milestone }) => {
                Self::Wait { step, container: container.clone(), milestone: *milestone, source }
            }
            (Failure::Runtime(source), op) => Self::Runtime { step, op: op.to_string(), source },
            (Failure::Hook(code, output), op) => {
                let container = op.subject().name();
                let owner = service_of(plan, container).unwrap_or(container).to_owned();
                Self::Hook { step, owner, code, output: last_lines(&output) }
            }
        }
    }

    /// Which step of the plan failed.
    pub fn step(&self) -> StepId {
        match self {
            Self::Runtime { step, .. } | Self::Wait { step, .. } | Self::Hook { step, .. } => *step,
        }
    }

    /// Why, for a reader who sees already which step it was.
    pub(super) fn reason(&self) -> String {
        let Some(mut cause) = self.source() else { return self.to_string() };
        let mut text = cause.to_string();
        while let Some(next) = cause.source() {
            text.push_str(": ");
            text.push_str(&next.to_string());
            cause = next;
        }
        text
    }
}

/// The service of a container that this plan creates.
fn service_of<'p>(plan: &'p Plan, container: &str) -> Option<&'p str> {
    let created_as = plan.steps.iter().find_map(|step| match &step.op {
        Op::RenameContainer { from, to } if to == container => Some(from.as_str()),
        _ => None,
    });
    plan.steps.iter().find_map(|step| match &step.op {
        Op::CreateContainer(spec)
            if spec.name == container || Some(spec.name.as_str()) == created_as =>
        {
            Some(spec.service_name.as_str())
        }
        _ => None,
    })
}

/// The end of an output, on lines of its own if there are several.
fn last_lines(output: &str) -> String {
    let output = output.trim_end();
    let mut start = output.len().saturating_sub(HOOK_BYTES);
    while !output.is_char_boundary(start) {
        start += 1;
    }
    let lines: Vec<&str> = output[start..].lines().collect();
    match &lines[lines.len().saturating_sub(HOOK_LINES)..] {
        [] => String::new(),
        [line] => format!(": {line}"),
        lines => format!(":\n{}", lines.join("\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::last_lines;

    #[test]
    fn only_the_end_of_what_a_hook_printed_is_told() {
        assert_eq!(last_lines(" \n"), "");
        assert_eq!(last_lines("no such file\n"), ": no such file");
        assert_eq!(last_lines("a\nb\n"), ":\na\nb");
        let many: Vec<String> = (0..20).map(|line| line.to_string()).collect();
        assert_eq!(last_lines(&many.join("\n")), ":\n10\n11\n12\n13\n14\n15\n16\n17\n18\n19");
        assert_eq!(last_lines(&"ä".repeat(5000)).len(), 2048 + 2);
    }
}
