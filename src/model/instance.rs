//! A further copy of a project, separate from all others.

/// Which copy of which project.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(test, derive(serde::Deserialize))]
pub struct Instance {
    /// Its name.
    pub name: String,
    /// The name of the project without it.
    pub project: String,
}

impl Instance {
    /// The name under which the copy runs.
    pub fn full_name(&self) -> String {
        self.scoped(&self.project)
    }

    /// A name that only this copy has.
    pub fn scoped(&self, name: &str) -> String {
        format!("{name}-{}", self.name)
    }

    /// What [`Instance::scoped`] made this name of.
    pub fn unscoped<'n>(&self, name: &'n str) -> Option<&'n str> {
        name.strip_suffix(&self.name)?.strip_suffix('-').filter(|name| !name.is_empty())
    }
}
