//! What an instance needs besides the names of its own: ports, and variables that tell them.
//!
//! In: a project that was loaded, the containers of all projects, the ports of the machine. Out:
//! the project with its ports, read again where its files use variables for them.
//!
//! # Invariants
//!
//! - A project that is no instance and does not use such variables stays as it is, and nothing is
//!   asked.
//! - Ports are chosen under the lock of the project, and stay claimed as long as that is held.

use std::collections::{BTreeMap, BTreeSet};

use super::host_ports::{HostPorts, Machine};
use super::{Lock, OrchestrationError, Orchestrator, Target};
use crate::diagnostic::Code;
use crate::model::observed::ObservedContainer;
use crate::model::{Feature, Instance, Project, label};
use crate::plan::ports::{self, Ask, Idle, Ports};
use crate::plan::{labels, subnets};
use crate::project::{self, Loaded, PortVariables, Report, Request, Source};

/// Loads a project. Where its files use variables for ports that are awaited, once more, with what
/// these would be if every port were free.
pub fn load(source: &dyn Source, request: &Request) -> (Option<Loaded>, Report) {
    let (loaded, report) = project::load(source, request);
    let is_awaited = request.ports == PortVariables::Awaited;
    let used = if is_awaited { ports::used(report.sources.texts()) } else { BTreeSet::new() };
    let Some(first) = loaded.as_ref().filter(|_| !used.is_empty()) else {
        return (loaded, report);
    };
    let ports = supposed(&first.project, &used);
    let known = PortVariables::Known(ports.variables(&first.project));
    project::load(source, &Request { ports: known, ..request.clone() })
}

/// Gives an instance the ports that it would have if every port were free.
pub fn suppose_ports(project: &mut Project) {
    if project.instance.is_some() {
        supposed(project, &BTreeSet::new()).apply(project);
    }
}

fn supposed(project: &Project, used: &BTreeSet<String>) -> Ports {
    let ask = Ask { project, scale: &BTreeMap::new(), used, observed: &[] };
    ports::choose(&ask, &mut Idle).unwrap_or_default()
}

impl Orchestrator<'_> {
    /// Gives a project its ports, under its lock. `scale` replaces numbers of containers; `source`
    /// is where its files come from.
    ///
    /// # Errors
    ///
    /// No port is free, or another project has its name.
    pub async fn settle(
        &self,
        source: &dyn Source,
        target: &mut Target,
        (scale, lock): (&BTreeMap<String, u64>, &mut Lock),
    ) -> Result<(), OrchestrationError> {
        let Some((sources, _)) = &target.files else { return Ok(()) };
        let used = ports::used(sources.texts());
        if target.project.instance.is_none() && used.is_empty() {
            return Ok(());
        }
        let observed = self.asking(self.runtime.containers(None)).await?;
        check_owner(&target.project, &observed)?;
        let is_here = self.runtime.published_on().is_none();
        let mut host = HostPorts::of(if is_here { Machine::This } else { Machine::Other });
        let ask = Ask { project: &target.project, scale, used: &used, observed: &observed };
        let ports = match ports::choose(&ask, &mut host) {
            Ok(ports) => ports,
            Err(refused) => return target.refuse(Code::NoFreePort, refused),
        };
        if !used.is_empty() {
            let known = PortVariables::Known(ports.variables(&target.project));
            target.reload(source, self.environment, known)?;
        }
        ports.apply(&mut target.project);
        if self.runtime.lacks(Feature::SharedSubnets).is_some() {
            subnets::release(&mut target.project);
        }
        lock.keep(host);
        Ok(())
    }
}

/// Refuses a project whose name another one has already.
fn check_owner(
    project: &Project,
    observed: &[ObservedContainer],
) -> Result<(), OrchestrationError> {
    let own = observed.iter().filter(|it| it.label(label::PROJECT) == project.name);
    let own: Vec<ObservedContainer> = own.cloned().collect();
    let found = labels::instance(&own);
    if own.is_empty() || found == project.instance {
        return Ok(());
    }
    let words = |instance: &Option<Instance>| match instance {
        Some(it) => format!("instance `{}` of project `{}`", it.name, it.project),
        None => "a project that is no instance".to_owned(),
    };
    Err(OrchestrationError::Other(format!(
        "the name `{}` is taken: its containers belong to {}, and this is {}; use another name",
        project.name,
        words(&found),
        words(&project.instance)
    )))
}
