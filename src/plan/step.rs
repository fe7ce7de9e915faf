//! The words of a plan: steps, what they do, and why.
//!
//! # Invariants
//!
//! - An [`Op`] is one call to the runtime and carries all that the call needs.
//! - The text of a plan is made here and only here.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::model::Hook;
use crate::model::ServiceNetwork;
use crate::model::observed::{ChangedInput, Milestone};
use crate::model::spec::{
    BuildSpec, ContainerSpec, InjectedFile, NetworkSpec, Provided, ProviderAction, ProviderCall,
    PullSpec, VolumeSpec,
};

/// Position of a step in its plan.
pub type StepId = usize;

/// Steps that lead from what is to what shall be.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// The steps; one comes after those that it names, which stand before it.
    pub steps: Vec<Step>,
    /// What becomes of the rest when a step fails.
    pub policy: Policy,
    /// What the user should know, whether or not the plan is run.
    pub warnings: Vec<String>,
    /// Containers that are as they should be: their names.
    pub unchanged: Vec<String>,
    /// The service of each container that shall run in the end, by name.
    pub services: BTreeMap<String, String>,
}

/// What becomes of the other steps when one fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Nothing new starts; what runs may end. For going up.
    #[default]
    StopAtFailure,
    /// All that does not come after the failed step still runs. For going down.
    CarryOn,
}

/// An operation, why it is needed, and the steps that it comes after.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// What is done.
    pub op: Op,
    /// Why.
    pub cause: Cause,
    /// Steps that must have succeeded before.
    pub after: Vec<StepId>,
    /// Its part in something larger.
    pub role: Role,
    /// What its failure means.
    pub failure: Severity,
}

/// What the failure of a step means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Severity {
    /// The command fails.
    #[default]
    Fatal,
    /// A warning; the steps after it run.
    Warning,
}

/// The part of a step in the replacement of a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// It stands for itself.
    #[default]
    Alone,
    /// A replacement begins.
    Begins,
    /// A replacement goes on.
    GoesOn,
    /// A replacement ends.
    Ends,
}

/// One call to the runtime.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// Pull an image.
    PullImage(PullSpec),
    /// Build an image.
    BuildImage(Arc<BuildSpec>),
    /// Push an image.
    PushImage(String),
    /// Remove an image.
    RemoveImage(String),
    /// Create a network.
    CreateNetwork(Arc<NetworkSpec>),
    /// Remove a network.
    RemoveNetwork(String),
    /// Attach a container to a network.
    Connect {
        /// The network.
        network: String,
        /// The container.
        container: String,
        /// How it joins.
        options: Arc<ServiceNetwork>,
    },
    /// Detach a container from a network.
    Disconnect {
        /// The network.
        network: String,
        /// The container.
        container: String,
    },
    /// Create a volume.
    CreateVolume(Arc<VolumeSpec>),
    /// Remove a volume with its data.
    RemoveVolume(String),
    /// Create a container.
    CreateContainer(Arc<ContainerSpec>),
    /// Put files into a container and start it.
    StartContainer {
        /// The container.
        container: String,
        /// What it gets.
        files: Arc<[InjectedFile]>,
    },
    /// Run a command in a container at a point of its life.
    RunHook {
        /// The container.
        container: String,
        /// The command.
        hook: Arc<Hook>,
        /// `post_start` or `pre_stop`.
        stage: HookStage,
    },
    /// Hold back the steps after it until the container gets that far.
    Wait {
        /// The container.
        container: String,
        /// How far.
        milestone: Milestone,
    },
    /// Stop a container.
    StopContainer {
        /// The container.
        container: String,
        /// Seconds until it is killed; `None`: its own setting.
        seconds: Option<i32>,
    },
    /// Stop a container and start it again.
    RestartContainer {
        /// The container.
        container: String,
        /// Seconds until it is killed; `None`: its own setting.
        seconds: Option<i32>,
    },
    /// Send a signal to a container.
    KillContainer {
        /// The container.
        container: String,
        /// The signal.
        signal: String,
    },
    /// Freeze a container.
    PauseContainer(String),
    /// Let a frozen container go on.
    UnpauseContainer(String),
    /// Remove a container, with its anonymous volumes or without.
    RemoveContainer {
        /// The container.
        container: String,
        /// Whether its anonymous volumes go too.
        volumes: bool,
    },
    /// Give a container another name.
    RenameContainer {
        /// Its name.
        from: String,
        /// The other name.
        to: String,
    },
    /// Call the external program that runs a service or an AI model.
    CallProvider(Arc<ProviderCall>),
}

/// When a hook runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookStage {
    /// Right after the start.
    PostStart,
    /// Before the container is stopped.
    PreStop,
}

/// Why a step is in the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// What it makes is not there.
    Missing,
    /// The container does not run.
    NotRunning,
    /// The user asked for it.
    Requested,
    /// Attributes of the service changed.
    Changed(Vec<Change>),
    /// The service changed; which attributes cannot be told.
    ConfigChanged,
    /// What the image was built of changed.
    InputChanged(ChangedInput),
    /// The image is another one now.
    ImageChanged {
        /// The reference.
        image: String,
    },
    /// The container is not in a network that it belongs to.
    NotAttached {
        /// The network.
        network: String,
    },
    /// The container lacks a volume.
    NotMounted {
        /// The volume.
        volume: String,
    },
    /// A container whose namespace or volumes it shares is replaced.
    SharesWith {
        /// That container's service.
        service: String,
    },
    /// A network or volume that it uses is made anew.
    Uses {
        /// Its name.
        resource: String,
    },
    /// A service that it depends on is replaced or restarted.
    DependsOn {
        /// That service.
        service: String,
    },
    /// Another step cannot do without.
    NeededBy {
        /// The service that it is for.
        service: String,
    },
    /// It is one of the steps that replace a container.
    Replacement,
    /// There are more containers than asked for.
    Surplus,
    /// No service of the project has this name.
    Orphan,
    /// An interrupted command left it behind.
    LeftOver,
    /// The pull policy says so.
    Policy {
        /// `pull_policy`, or the flag that replaces it.
        policy: String,
    },
}

/// An attribute that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its path below the service, such as `environment.LOG_LEVEL`.
    pub attribute: String,
    /// What it was; `None`: it was not there, or is not told.
    pub from: Option<String>,
    /// What it is; `None`: it is gone.
    pub to: Option<String>,
}

impl Plan {
    /// Adds a step and returns its position.
    pub fn add(&mut self, mut step: Step) -> StepId {
        step.after.sort_unstable();
        step.after.dedup();
        self.steps.push(step);
        self.steps.len() - 1
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Whether something is known to change. External programs are called each time, and mostly
    /// find all as it should be.
    pub fn changes_something(&self) -> bool {
        self.steps.iter().any(|step| match &step.op {
            Op::CallProvider(call) => call.action == ProviderAction::Pull,
            _ => true,
        })
    }

    /// The steps that lose data which nobody asked to lose.
    pub fn needs_consent(&self) -> impl Iterator<Item = &Step> {
        self.steps
            .iter()
            .filter(|step| matches!(step.op, Op::RemoveVolume(_)) && step.cause != Cause::Requested)
    }
}

impl Step {
    /// A step that stands for itself.
    pub fn new(op: Op, cause: Cause, after: Vec<StepId>) -> Self {
        Self { op, cause, after, role: Role::Alone, failure: Severity::Fatal }
    }

    /// The same step as part of the replacement of a container.
    #[must_use]
    pub fn with_role(self, role: Role) -> Self {
        Self { role, ..self }
    }

    /// The same step, but its failure is only a warning.
    #[must_use]
    pub fn tolerated(self) -> Self {
        Self { failure: Severity::Warning, ..self }
    }
}

impl Op {
    /// Runs a hook right after the start.
    pub fn post_start(container: &str, hook: &Hook) -> Self {
        Self::hook(container, hook, HookStage::PostStart)
    }

    /// Runs a hook before the container is stopped.
    pub fn pre_stop(container: &str, hook: &Hook) -> Self {
        Self::hook(container, hook, HookStage::PreStop)
    }

    fn hook(container: &str, hook: &Hook, stage: HookStage) -> Self {
        Self::RunHook { container: container.to_owned(), hook: Arc::new(hook.clone()), stage }
    }

    /// What it is done to, as progress names it: `Container shop-web-1`.
    pub fn subject(&self) -> Subject<'_> {
        match self {
            Self::PullImage(pull) => Subject::Image(&pull.image),
            Self::BuildImage(build) => {
                Subject::Image(build.tags.first().map_or(&build.service_name, |tag| tag))
            }
            Self::PushImage(image) | Self::RemoveImage(image) => Subject::Image(image),
            Self::CreateNetwork(network) => Subject::Network(&network.network.name),
            Self::RemoveNetwork(network) => Subject::Network(network),
            Self::CreateVolume(volume) => Subject::Volume(&volume.volume.name),
            Self::RemoveVolume(volume) => Subject::Volume(volume),
            Self::CreateContainer(container) => Subject::Container(&container.name),
            Self::Connect { container, .. }
            | Self::Disconnect { container, .. }
            | Self::StartContainer { container, .. }
            | Self::RunHook { container, .. }
            | Self::Wait { container, .. }
            | Self::StopContainer { container, .. }
            | Self::RestartContainer { container, .. }
            | Self::KillContainer { container, .. }
            | Self::PauseContainer(container)
            | Self::UnpauseContainer(container)
            | Self::RemoveContainer { container, .. } => Subject::Container(container),
            Self::RenameContainer { to, .. } => Subject::Container(to),
            Self::CallProvider(call) => match &call.subject {
                Provided::Service(name) => Subject::Service(name),
                Provided::Model(name) => Subject::Model(name),
            },
        }
    }

    /// What is being done, and what has been done when it is over: `Creating`, `Created`.
    pub fn words(&self) -> (&'static str, &'static str) {
        match self {
            Self::PullImage(_) => ("Pulling", "Pulled"),
            Self::BuildImage(_) => ("Building", "Built"),
            Self::PushImage(_) => ("Pushing", "Pushed"),
            Self::CreateNetwork(_) | Self::CreateVolume(_) | Self::CreateContainer(_) => {
                ("Creating", "Created")
            }
            Self::RemoveImage(_)
            | Self::RemoveNetwork(_)
            | Self::RemoveVolume(_)
            | Self::RemoveContainer { .. } => ("Removing", "Removed"),
            Self::Connect { .. } => ("Connecting", "Connected"),
            Self::Disconnect { .. } => ("Disconnecting", "Disconnected"),
            Self::StartContainer { .. } => ("Starting", "Started"),
            Self::RunHook { stage: HookStage::PostStart, .. } => ("Running post_start", "Started"),
            Self::RunHook { stage: HookStage::PreStop, .. } => ("Running pre_stop", "Stopping"),
            Self::Wait { milestone, .. } => match milestone {
                Milestone::Completed => ("Waiting", "Exited"),
                Milestone::Healthy | Milestone::Ready | Milestone::ReadyOrCompleted => {
                    ("Waiting", "Healthy")
                }
            },
            Self::StopContainer { .. } => ("Stopping", "Stopped"),
            Self::RestartContainer { .. } => ("Restarting", "Started"),
            Self::KillContainer { .. } => ("Killing", "Killed"),
            Self::PauseContainer(_) => ("Pausing", "Paused"),
            Self::UnpauseContainer(_) => ("Unpausing", "Unpaused"),
            Self::RenameContainer { .. } => ("Renaming", "Renamed"),
            Self::CallProvider(call) => match call.action {
                ProviderAction::Up => ("Creating", "Created"),
                ProviderAction::Down => ("Removing", "Removed"),
                ProviderAction::Stop => ("Stopping", "Stopped"),
                ProviderAction::Pull => ("Pulling", "Pulled"),
                ProviderAction::Configure => ("Configuring", "Configured"),
            },
        }
    }
}

/// What a step is done to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject<'a> {
    /// An image, by reference.
    Image(&'a str),
    /// A network, by name.
    Network(&'a str),
    /// A volume, by name.
    Volume(&'a str),
    /// A container, by name.
    Container(&'a str),
    /// A service that an external program runs, by name.
    Service(&'a str),
    /// An AI model, by its key in the file.
    Model(&'a str),
}

impl<'a> Subject<'a> {
    /// The kind of thing: `container`.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Image(_) => "image",
            Self::Network(_) => "network",
            Self::Volume(_) => "volume",
            Self::Container(_) => "container",
            Self::Service(_) => "service",
            Self::Model(_) => "model",
        }
    }

    /// Its name.
    pub fn name(self) -> &'a str {
        match self {
            Self::Image(name)
            | Self::Network(name)
            | Self::Volume(name)
            | Self::Container(name)
            | Self::Service(name)
            | Self::Model(name) => name,
        }
    }
}

impl fmt::Display for Subject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::Image(_) => "Image",
            Self::Network(_) => "Network",
            Self::Volume(_) => "Volume",
            Self::Container(_) => "Container",
            Self::Service(_) => "Service",
            Self::Model(_) => "Model",
        };
        write!(f, "{kind} {}", self.name())
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match self {
            Self::PullImage(_) => "pull",
            Self::BuildImage(_) => "build",
            Self::PushImage(_) => "push",
            Self::CreateNetwork(_) | Self::CreateVolume(_) | Self::CreateContainer(_) => "create",
            Self::RemoveImage(_)
            | Self::RemoveNetwork(_)
            | Self::RemoveVolume(_)
            | Self::RemoveContainer { .. } => "remove",
            Self::StartContainer { .. } => "start",
            Self::StopContainer { .. } => "stop",
            Self::RestartContainer { .. } => "restart",
            Self::PauseContainer(_) => "pause",
            Self::UnpauseContainer(_) => "unpause",
            Self::KillContainer { container, signal } => {
                return write!(f, "send {signal} to container {container}");
            }
            Self::Connect { network, container, .. } => {
                return write!(f, "connect container {container} to network {network}");
            }
            Self::Disconnect { network, container } => {
                return write!(f, "disconnect container {container} from network {network}");
            }
            Self::RunHook { container, stage, .. } => {
                return write!(f, "run {stage} in container {container}");
            }
            Self::Wait { container, milestone } => {
                return write!(f, "wait for container {container} to be {milestone}");
            }
            Self::RenameContainer { from, to } => {
                return write!(f, "rename container {from} to {to}");
            }
            Self::CallProvider(call) => {
                let program = call.program.file_name().unwrap_or_default().display();
                let verb = match call.action {
                    ProviderAction::Up => "create",
                    ProviderAction::Down => "remove",
                    ProviderAction::Stop => "stop",
                    ProviderAction::Pull => "pull",
                    ProviderAction::Configure => "configure",
                };
                let subject = self.subject();
                return write!(f, "{verb} {} {} with {program}", subject.kind(), subject.name());
            }
        };
        write!(f, "{verb} {} {}", self.subject().kind(), self.subject().name())
    }
}

impl fmt::Display for HookStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PostStart => "post_start",
            Self::PreStop => "pre_stop",
        })
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("missing"),
            Self::NotRunning => f.write_str("not running"),
            Self::Requested => f.write_str("requested"),
            Self::Changed(changes) => {
                for (index, change) in changes.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(f, "{comma}{change}")?;
                }
                Ok(())
            }
            Self::ConfigChanged => f.write_str("settings changed"),
            Self::InputChanged(input) => input.fmt(f),
            Self::ImageChanged { image } => write!(f, "image {image} is another one now"),
            Self::NotAttached { network } => write!(f, "not attached to network {network}"),
            Self::NotMounted { volume } => write!(f, "volume {volume} is not mounted"),
            Self::SharesWith { service } => write!(f, "shares with {service}, which is replaced"),
            Self::Uses { resource } => write!(f, "uses {resource}, which is made anew"),
            Self::DependsOn { service } => write!(f, "depends on {service}, which is replaced"),
            Self::NeededBy { service } => write!(f, "{service} needs it"),
            Self::Replacement => f.write_str("replacement"),
            Self::Surplus => f.write_str("more containers than asked for"),
            Self::Orphan => f.write_str("no such service in the project"),
            Self::LeftOver => f.write_str("left over from an interrupted command"),
            Self::Policy { policy } => write!(f, "pull policy {policy}"),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.attribute)?;
        match (&self.from, &self.to) {
            (Some(from), Some(to)) => write!(f, ": {from} -> {to}"),
            (Some(from), None) => write!(f, ": {from} -> nothing"),
            (None, Some(to)) => write!(f, ": now {to}"),
            (None, None) => f.write_str(" changed"),
        }
    }
}

impl fmt::Display for Plan {
    /// One line for each step: number, operation, what it comes after, cause.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (id, step) in self.steps.iter().enumerate() {
            write!(f, "{} {}", id + 1, step.op)?;
            if !step.after.is_empty() {
                let after: Vec<String> = step.after.iter().map(|id| (id + 1).to_string()).collect();
                write!(f, " after {}", after.join(" "))?;
            }
            writeln!(f, " ({})", step.cause)?;
        }
        Ok(())
    }
}
