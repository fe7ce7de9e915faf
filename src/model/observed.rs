//! What a runtime found: containers, networks, volumes and images as they are.
//!
//! In: a runtime's answers. Out: what `plan` compares with the project, and what `ps` and others
//! print.

use std::collections::BTreeMap;
use std::fmt;

use super::{Dict, label};

/// All that carries a project's label.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// Containers, in order of their names.
    pub containers: Vec<ObservedContainer>,
    /// Networks of the project, and those that it only uses, once each.
    pub networks: Vec<ObservedNetwork>,
    /// Volumes of the project, and those that it only uses, once each.
    pub volumes: Vec<ObservedVolume>,
    /// Images that were asked for and are there, by the reference that was asked for.
    pub images: BTreeMap<String, ObservedImage>,
    /// Images whose build would come out otherwise now, by their names, and what changed first.
    pub changed_inputs: BTreeMap<String, ChangedInput>,
}

/// Something that an image was built of and that is not the same any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedInput {
    /// The attribute that brings it in: `build.context`.
    pub attribute: String,
    /// What it is, such as a file of the context; empty: the value of the attribute.
    pub subject: String,
    /// What became of it.
    pub change: InputChange,
}

/// What became of an input of a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputChange {
    /// It has another content or other rights.
    Changed,
    /// It was not there.
    New,
    /// It is not there any more.
    Gone,
    /// Its name means another one.
    Replaced,
}

impl fmt::Display for ChangedInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.attribute)?;
        if !self.subject.is_empty() {
            write!(f, ": {}", self.subject)?;
        }
        f.write_str(match self.change {
            InputChange::Changed => " changed",
            InputChange::New => " is new",
            InputChange::Gone => " is gone",
            InputChange::Replaced => " is another one now",
        })
    }
}

/// A container.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ObservedContainer {
    /// The runtime's id of it.
    pub id: String,
    /// Its name, without the slash that Docker puts in front.
    pub name: String,
    /// The reference that its image was named by.
    pub image: String,
    /// Identity of that image.
    pub image_id: String,
    /// What it does.
    pub state: State,
    /// What its health check says.
    pub health: Health,
    /// Exit code of its process; of use when it has exited.
    pub exit_code: i64,
    /// State and times in words, such as `Up 3 minutes (healthy)`.
    pub status: String,
    /// Its command on one line.
    pub command: String,
    /// When it was made, in seconds since 1970.
    pub created: i64,
    /// Its labels.
    pub labels: Dict,
    /// Networks that it is attached to.
    pub networks: Vec<Attachment>,
    /// What is mounted into it.
    pub mounts: Vec<ObservedMount>,
    /// Its ports, published and exposed.
    pub ports: Vec<ObservedPort>,
}

/// What a container does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Made and never started.
    #[default]
    Created,
    /// Runs.
    Running,
    /// Its processes are frozen.
    Paused,
    /// Somebody has asked it to end, and it has not yet.
    Stopping,
    /// Ended, and will be started again by its restart policy.
    Restarting,
    /// Being removed.
    Removing,
    /// Ended.
    Exited,
    /// Could not be removed.
    Dead,
}

impl State {
    /// Whether its processes live.
    pub fn has_processes(self) -> bool {
        matches!(self, Self::Running | Self::Paused | Self::Stopping)
    }

    /// The word that Docker uses.
    pub fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopping => "stopping",
            Self::Restarting => "restarting",
            Self::Removing => "removing",
            Self::Exited => "exited",
            Self::Dead => "dead",
        }
    }

    /// The state that Docker has this word for.
    pub fn from_word(word: &str) -> Option<Self> {
        let all = [
            Self::Created,
            Self::Running,
            Self::Paused,
            Self::Stopping,
            Self::Restarting,
            Self::Removing,
            Self::Exited,
            Self::Dead,
        ];
        all.into_iter().find(|state| state.word() == word)
    }
}

/// What a health check says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Health {
    /// There is no health check.
    #[default]
    None,
    /// It has not succeeded yet, nor failed too often.
    Starting,
    /// It succeeds.
    Healthy,
    /// It failed too often.
    Unhealthy,
}

/// How far a container has to get.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Milestone {
    /// It is healthy; one without a health check never gets there.
    Healthy,
    /// It has ended with exit code 0.
    Completed,
    /// It is healthy, or runs if it has no health check.
    Ready,
    /// It is ready, or has ended with exit code 0 and will not be started again.
    ReadyOrCompleted,
}

impl Milestone {
    /// Whether a running container of this health is there already.
    pub fn is_reached_by(self, health: Health) -> bool {
        match self {
            Self::Healthy => health == Health::Healthy,
            Self::Ready | Self::ReadyOrCompleted => {
                matches!(health, Health::Healthy | Health::None)
            }
            Self::Completed => false,
        }
    }
}

impl fmt::Display for Milestone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Healthy => "healthy",
            Self::Completed => "completed",
            Self::Ready => "ready",
            Self::ReadyOrCompleted => "ready or completed",
        })
    }
}

/// A container in a network.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attachment {
    /// Name of the network.
    pub network: String,
    /// Id of the network; empty until the container has started once.
    pub id: String,
}

/// Something mounted into a container.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ObservedMount {
    /// `bind`, `volume`, `tmpfs` and so on.
    pub kind: String,
    /// Name of the volume; empty for what has none.
    pub name: String,
    /// Path on the host.
    pub source: String,
    /// Path in the container.
    pub target: String,
}

/// A port of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObservedPort {
    /// Address of the host; empty if it is not published.
    pub host_ip: String,
    /// Port of the host, if it is published.
    pub published: Option<u16>,
    /// Port in the container.
    pub target: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
}

/// A network.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ObservedNetwork {
    /// The runtime's id of it.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its driver.
    pub driver: String,
    /// Its labels.
    pub labels: Dict,
}

/// A volume.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ObservedVolume {
    /// Its name.
    pub name: String,
    /// Its driver.
    pub driver: String,
    /// Where it lies, as the runtime sees it; empty if the runtime does not tell.
    pub mountpoint: String,
    /// Its labels.
    pub labels: Dict,
}

/// An image.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ObservedImage {
    /// Its identity: a digest.
    pub id: String,
    /// Its names here, with their tags.
    pub names: Vec<String>,
    /// `OS/ARCH` or `OS/ARCH/VARIANT`.
    pub platform: String,
    /// Paths that its containers get volumes at.
    pub volumes: Vec<String>,
    /// When it was last tagged or pulled here, in seconds since 1970; 0 if unknown.
    pub tagged: i64,
    /// The part of that moment below a second, in nanoseconds.
    pub tagged_nanos: i32,
    /// Bytes, layers shared with others included.
    pub size: u64,
    /// Its labels.
    pub labels: Dict,
}

/// What a container uses at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample {
    /// Share of the host's processors in percent; above 100 with several.
    pub cpu_percent: f64,
    /// Memory in bytes, without the page cache.
    pub memory: u64,
    /// The most memory that it may use, in bytes; 0 if unknown.
    pub memory_limit: u64,
    /// Bytes received and sent.
    pub network: (u64, u64),
    /// Bytes read from and written to block devices.
    pub block: (u64, u64),
    /// Number of processes and threads.
    pub processes: u64,
}

impl ObservedContainer {
    /// A label; empty if it is not there.
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }

    /// The service that it belongs to.
    pub fn service(&self) -> &str {
        self.label(label::SERVICE)
    }

    /// Its number among the containers of its service; `None` for those of `run`.
    pub fn number(&self) -> Option<u64> {
        self.label(label::CONTAINER_NUMBER).parse().ok()
    }

    /// Whether it was made by `run`.
    pub fn is_one_off(&self) -> bool {
        self.label(label::ONE_OFF) == "True"
    }

    /// Whether it has volumes that nobody gave a name: runtimes make up 64 hexadecimal digits.
    pub fn has_anonymous_volumes(&self) -> bool {
        let is_made_up =
            |name: &str| name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        self.mounts.iter().any(|mount| mount.kind == "volume" && is_made_up(&mount.name))
    }

    /// Whether its process lives, or is about to be started again.
    pub fn is_up(&self) -> bool {
        self.state.has_processes() || self.state == State::Restarting
    }
}

impl Observed {
    /// The containers of a service that `up` looks after.
    pub fn replicas<'a>(
        &'a self,
        service: &'a str,
    ) -> impl Iterator<Item = &'a ObservedContainer> + 'a {
        self.containers
            .iter()
            .filter(move |container| container.service() == service && !container.is_one_off())
    }

    /// The network of this name; of several, one that containers are in.
    pub fn network(&self, name: &str) -> Option<&ObservedNetwork> {
        let mut alike = self.networks.iter().filter(|network| network.name == name);
        let first = alike.next()?;
        let in_use = |network: &&ObservedNetwork| {
            let attached = self.containers.iter().flat_map(|container| &container.networks);
            attached.into_iter().any(|attachment| attachment.id == network.id)
        };
        if alike.clone().next().is_none() || in_use(&first) {
            return Some(first);
        }
        alike.find(in_use).or(Some(first))
    }

    /// By what a runtime is told which network is meant: its name, or its id if others have that
    /// name too. Engines make a second one if the command that made the first was killed meanwhile.
    pub fn handle<'a>(&self, network: &'a ObservedNetwork) -> &'a str {
        let alike = self.networks.iter().filter(|it| it.name == network.name);
        if alike.count() > 1 { &network.id } else { &network.name }
    }

    /// The volume of this name.
    pub fn volume(&self, name: &str) -> Option<&ObservedVolume> {
        self.volumes.iter().find(|volume| volume.name == name)
    }
}
