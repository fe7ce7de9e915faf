//! The variables that interpolation sees, and where each comes from.

use std::sync::Arc;

use indexmap::IndexMap;

use super::Variable;
use super::node::VariableSource;

/// Variables by name. Cheap to clone: includes see those of their project and a few more.
#[derive(Clone, Debug, Default)]
pub(super) struct Variables(Arc<IndexMap<String, Variable>>);

impl Variables {
    /// The environment of the process.
    pub(super) fn process(environment: &IndexMap<String, String>) -> Self {
        let variable = |(name, value): (&String, &String)| {
            (name.clone(), Variable { value: value.clone(), from: VariableSource::Process })
        };
        Self(Arc::new(environment.iter().map(variable).collect()))
    }

    /// The value of a variable.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|variable| variable.value.as_str())
    }

    /// The value of a variable, to keep.
    pub(super) fn lookup(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }

    /// Where the value of a variable comes from.
    pub(super) fn origin(&self, name: &str) -> VariableSource {
        self.0.get(name).map_or(VariableSource::Unset, |variable| variable.from.clone())
    }

    /// Sets a variable, whatever it was.
    pub(super) fn set(&mut self, name: &str, value: &str, from: VariableSource) {
        let variable = Variable { value: value.to_owned(), from };
        Arc::make_mut(&mut self.0).insert(name.to_owned(), variable);
    }

    /// Sets a variable if it is not set.
    pub(super) fn add(&mut self, name: &str, variable: Variable) {
        Arc::make_mut(&mut self.0).entry(name.to_owned()).or_insert(variable);
    }

    /// All of them, by name.
    pub(super) fn into_map(self) -> IndexMap<String, Variable> {
        Arc::unwrap_or_clone(self.0)
    }
}
