//! The variables that interpolation sees, and where each comes from.

use std::sync::Arc;

use indexmap::IndexMap;

use super::node::VariableSource;
use super::{PortVariables, Variable};
use crate::model::port;

/// What stands for a published port that is not known yet.
const SOME_PORT: &str = "1";

/// Variables by name. Cheap to clone: includes see those of their project and a few more.
#[derive(Clone, Debug, Default)]
pub(super) struct Variables {
    known: Arc<IndexMap<String, Variable>>,
    /// Whether published ports are not known yet.
    awaits_ports: bool,
}

impl Variables {
    /// The environment of the process, and the ports that are published.
    pub(super) fn process(environment: &IndexMap<String, String>, ports: &PortVariables) -> Self {
        let variable = |(name, value): (&String, &String)| {
            (name.clone(), Variable { value: value.clone(), from: VariableSource::Process })
        };
        let mut variables = Self {
            known: Arc::new(environment.iter().map(variable).collect()),
            awaits_ports: *ports == PortVariables::Awaited,
        };
        if let PortVariables::Known(ports) = ports {
            for (name, value) in ports {
                variables.set(name, value, VariableSource::Ketch);
            }
        }
        variables
    }

    /// The value of a variable.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let known = self.known.get(name).map(|variable| variable.value.as_str());
        known.or_else(|| self.is_awaited(name).then_some(SOME_PORT))
    }

    /// The value of a variable, to keep.
    pub(super) fn lookup(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }

    /// Where the value of a variable comes from.
    pub(super) fn origin(&self, name: &str) -> VariableSource {
        match self.known.get(name) {
            Some(variable) => variable.from.clone(),
            None if self.is_awaited(name) => VariableSource::Ketch,
            None => VariableSource::Unset,
        }
    }

    fn is_awaited(&self, name: &str) -> bool {
        self.awaits_ports && name.starts_with(port::VARIABLE)
    }

    /// Sets a variable, whatever it was.
    pub(super) fn set(&mut self, name: &str, value: &str, from: VariableSource) {
        let variable = Variable { value: value.to_owned(), from };
        Arc::make_mut(&mut self.known).insert(name.to_owned(), variable);
    }

    /// Sets a variable if it is not set.
    pub(super) fn add(&mut self, name: &str, variable: Variable) {
        Arc::make_mut(&mut self.known).entry(name.to_owned()).or_insert(variable);
    }

    /// All of them, by name.
    pub(super) fn into_map(self) -> IndexMap<String, Variable> {
        Arc::unwrap_or_clone(self.known)
    }
}
