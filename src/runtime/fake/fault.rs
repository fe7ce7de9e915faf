//! Calls that go wrong on demand.

use std::collections::{BTreeMap, HashMap};

use crate::runtime::RuntimeError;

/// How a call goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It fails and changes nothing.
    Fail,
    /// It never returns and changes nothing.
    Hang,
    /// It is done, but who called hears of an error.
    LoseAnswer,
}

/// Which calls were made, and which shall go wrong, once each.
#[derive(Debug, Default)]
pub(super) struct Faults {
    pub(super) calls: Vec<String>,
    pub(super) at_position: BTreeMap<usize, Fault>,
    pub(super) in_call: HashMap<String, Fault>,
}

impl Faults {
    /// Notes a call and says whether it shall go wrong.
    pub(super) fn admit(&mut self, call: &str) -> Option<Fault> {
        let position = self.calls.len();
        self.calls.push(call.to_owned());
        let in_call = self.in_call.remove(call);
        self.at_position.remove(&position).or(in_call)
    }
}

pub(super) fn told_to_fail(call: &str) -> RuntimeError {
    RuntimeError::Refused(format!("`{call}` was told to fail"))
}
