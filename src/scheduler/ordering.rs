//! Which step may run when. Pure: it starts nothing and reads no clock.
//!
//! In: a plan, and which steps ended how. Out: the steps that may start, and those that never
//! will.
//!
//! # Invariants
//!
//! - A step is handed out once, and only after all that it comes after have succeeded.
//! - The whole run costs as much as the plan has steps and edges.

use std::collections::VecDeque;

use crate::plan::{Op, Plan, StepId};

/// How far each step is.
#[derive(Debug)]
pub(super) struct Ordering {
    standing: Vec<Standing>,
    /// The steps that come after each step.
    followers: Vec<Vec<StepId>>,
    /// Steps that may start at once.
    free: VecDeque<StepId>,
    /// Steps that may start when there is room.
    limited: VecDeque<StepId>,
    /// How many more limited steps may run at the same time.
    room: usize,
}

/// Where a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// So many of the steps before it have not succeeded yet; none: it may start.
    Before(usize),
    /// It has been handed out.
    Begun,
    /// It will not run.
    Skipped,
}

impl Ordering {
    /// The beginning: nothing has run. `room` is how many limited steps may run at once.
    pub(super) fn new(plan: &Plan, room: usize) -> Self {
        let count = plan.steps.len();
        let mut followers = vec![Vec::new(); count];
        for (id, step) in plan.steps.iter().enumerate() {
            for &before in &step.after {
                // A step that comes after one that is not there never gets its turn.
                if let Some(followers) = followers.get_mut(before) {
                    followers.push(id);
                }
            }
        }
        let standing = plan.steps.iter().map(|step| Standing::Before(step.after.len())).collect();
        let mut ordering =
            Self { standing, followers, free: VecDeque::new(), limited: VecDeque::new(), room };
        for (id, step) in plan.steps.iter().enumerate() {
            if step.after.is_empty() {
                ordering.queue(id, plan);
            }
        }
        ordering
    }

    fn queue(&mut self, id: StepId, plan: &Plan) {
        if is_limited(&plan.steps[id].op) {
            self.limited.push_back(id);
        } else {
            self.free.push_back(id);
        }
    }

    /// The next step that may start now.
    pub(super) fn hand_out(&mut self) -> Option<StepId> {
        while let Some(id) = self.take() {
            if self.standing[id] == Standing::Before(0) {
                self.standing[id] = Standing::Begun;
                return Some(id);
            }
        }
        None
    }

    fn take(&mut self) -> Option<StepId> {
        if let Some(id) = self.free.pop_front() {
            return Some(id);
        }
        // One that will be skipped takes no room; those go when everything is skipped.
        let id = if self.room > 0 { self.limited.pop_front() } else { None }?;
        if self.standing[id] == Standing::Before(0) {
            self.room -= 1;
        }
        Some(id)
    }

    /// A step that was handed out no longer runs.
    pub(super) fn release(&mut self, id: StepId, plan: &Plan) {
        if is_limited(&plan.steps[id].op) {
            self.room = self.room.saturating_add(1);
        }
    }

    /// The steps after this one need wait for it no longer.
    pub(super) fn succeed(&mut self, id: StepId, plan: &Plan) {
        for follower in std::mem::take(&mut self.followers[id]) {
            if let Standing::Before(open @ 1..) = self.standing[follower] {
                self.standing[follower] = Standing::Before(open - 1);
                if open == 1 {
                    self.queue(follower, plan);
                }
            }
        }
    }

    /// Gives up all that comes after this step, directly or not; returns it in order.
    pub(super) fn skip_after(&mut self, id: StepId) -> Vec<StepId> {
        let mut skipped = Vec::new();
        let mut open = std::mem::take(&mut self.followers[id]);
        while let Some(id) = open.pop() {
            if self.skip(id) {
                skipped.push(id);
                open.append(&mut self.followers[id]);
            }
        }
        skipped.sort_unstable();
        skipped
    }

    /// Gives up all that has not been handed out; returns it in order.
    pub(super) fn skip_rest(&mut self) -> Vec<StepId> {
        (0..self.standing.len()).filter(|id| self.skip(*id)).collect()
    }

    fn skip(&mut self, id: StepId) -> bool {
        let waits = matches!(self.standing[id], Standing::Before(_));
        if waits {
            self.standing[id] = Standing::Skipped;
        }
        waits
    }
}

/// Whether `--parallel` limits how many steps such as this run at once: those that load the
/// network, the disk or the engine. Waiting and stopping cost nothing and hold others back.
fn is_limited(op: &Op) -> bool {
    match op {
        Op::PullImage(_)
        | Op::BuildImage(_)
        | Op::PushImage(_)
        | Op::CallProvider(_)
        | Op::CreateNetwork(_)
        | Op::CreateVolume(_)
        | Op::CreateContainer(_)
        | Op::StartContainer { .. } => true,
        Op::RemoveImage(_)
        | Op::RemoveNetwork(_)
        | Op::Connect { .. }
        | Op::Disconnect { .. }
        | Op::RemoveVolume(_)
        | Op::RunHook { .. }
        | Op::Wait { .. }
        | Op::StopContainer { .. }
        | Op::RestartContainer { .. }
        | Op::KillContainer { .. }
        | Op::PauseContainer(_)
        | Op::UnpauseContainer(_)
        | Op::RemoveContainer { .. }
        | Op::RenameContainer { .. } => false,
    }
}
