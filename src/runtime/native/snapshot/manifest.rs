//! The files of snapshots: what one has, and where.
//!
//! ```text
//! snapshots/PROJECT/.lock             held by who changes anything here
//! snapshots/PROJECT/.restore.json     a restore that is going on, or was cut off
//! snapshots/PROJECT/.new-…            a snapshot that is being made
//! snapshots/PROJECT/NAME/snapshot.json
//! snapshots/PROJECT/NAME/0/files      a volume, or what a container has changed
//! snapshots/PROJECT/NAME/0/known.json which of these files are unchanged where they came from
//! ```

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::runtime::native::clock;
use crate::runtime::native::names::check;
use crate::runtime::native::root::Root;
use crate::runtime::native::state::{self, failed};
use crate::runtime::{Result, RuntimeError, Snapshot};

/// What stands in `snapshot.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// The project.
    pub(super) project: String,
    /// Its name.
    pub(super) name: String,
    /// When it was made, in nanoseconds since 1970.
    pub(super) created: i64,
    /// The containers, in order of their names.
    pub(super) members: Vec<Member>,
    /// The trees, by number.
    pub(super) trees: Vec<Owner>,
    /// Bytes on disk.
    pub(super) size: u64,
}

/// A container as it was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Member {
    /// Its name.
    pub(super) name: String,
    /// Its service.
    pub(super) service: String,
    /// The identity of its image.
    pub(super) image: String,
    /// The hash of its settings.
    pub(super) hash: String,
    /// Whether it ran.
    pub(super) ran: bool,
}

/// Whose files a tree has.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Owner {
    /// A volume.
    Volume {
        /// Its name.
        name: String,
    },
    /// A volume without a name of its own.
    Anonymous {
        /// The container that it was made for.
        container: String,
        /// Where it is mounted there.
        target: String,
    },
    /// What a container has changed in its image.
    Changes {
        /// The container.
        container: String,
    },
    /// What a container has changed in another image.
    Image {
        /// The container.
        container: String,
        /// Where that image is mounted.
        target: String,
    },
}

impl Owner {
    /// It in words.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Volume { name } => format!("volume `{name}`"),
            Self::Anonymous { container, target } => {
                format!("the volume at `{target}` of container {container}")
            }
            Self::Changes { container } => format!("the files of container {container}"),
            Self::Image { container, target } => {
                format!("the image at `{target}` of container {container}")
            }
        }
    }
}

impl Manifest {
    /// The services of which a container ran, in order.
    pub(super) fn running_services(&self) -> Vec<String> {
        let running = self.members.iter().filter(|it| it.ran);
        let mut services: Vec<String> = running.map(|it| it.service.clone()).collect();
        services.sort();
        services.dedup();
        services
    }

    /// As others know it.
    pub(super) fn snapshot(&self) -> Snapshot {
        let mut services: Vec<String> = self.members.iter().map(|it| it.service.clone()).collect();
        services.sort();
        services.dedup();
        let volume = |owner: &Owner| match owner {
            Owner::Volume { name } => Some(name.clone()),
            _ => None,
        };
        Snapshot {
            project: self.project.clone(),
            name: self.name.clone(),
            created: self.created / clock::SECOND,
            services,
            volumes: self.trees.iter().filter_map(volume).collect(),
            size: self.size,
        }
    }
}

/// The place of the snapshots of a project.
#[derive(Clone, Debug)]
pub(super) struct Shelf {
    /// The directory.
    pub(super) path: PathBuf,
    /// The project.
    pub(super) project: String,
}

impl Shelf {
    /// That of a project, whether it is there or not.
    pub(super) fn of(root: &Root, project: &str) -> Result<Self> {
        check(project)?;
        Ok(Self { path: root.snapshots().join(project), project: project.to_owned() })
    }

    /// All that are there.
    pub(super) fn all(root: &Root) -> Result<Vec<Self>> {
        let projects = entries(&root.snapshots())?.into_iter();
        Ok(projects.filter_map(|project| Self::of(root, &project).ok()).collect())
    }

    /// Held while anything is changed here.
    pub(super) fn lock(&self) -> PathBuf {
        self.path.join(".lock")
    }

    /// What a restore is about to do.
    pub(super) fn journal(&self) -> PathBuf {
        self.path.join(".restore.json")
    }

    /// The directory of a snapshot.
    pub(super) fn of_snapshot(&self, name: &str) -> Result<PathBuf> {
        check(name)?;
        Ok(self.path.join(name))
    }

    /// What a snapshot has.
    pub(super) fn read(&self, name: &str) -> Result<Manifest> {
        let path = self.of_snapshot(name)?.join("snapshot.json");
        state::read(&path)?.ok_or_else(|| self.missing(name))
    }

    fn missing(&self, name: &str) -> RuntimeError {
        let names = self.names().unwrap_or_default();
        let there = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        RuntimeError::NotFound(format!(
            "there is no snapshot `{name}` of project `{}` (there is: {there}): `ketch snapshot \
             save {name}` makes it",
            self.project
        ))
    }

    /// The names of the snapshots, in order.
    pub(super) fn names(&self) -> Result<Vec<String>> {
        let mut names = entries(&self.path)?;
        names.retain(|name| check(name).is_ok());
        names.sort();
        Ok(names)
    }
}

/// The files of a tree in the directory of its snapshot.
pub(super) fn files(snapshot: &Path, number: usize) -> PathBuf {
    snapshot.join(number.to_string()).join("files")
}

/// What is known of a tree in the directory of its snapshot.
pub(super) fn known(snapshot: &Path, number: usize) -> PathBuf {
    snapshot.join(number.to_string()).join("known.json")
}

/// The names in a directory; none if it is not there.
pub(super) fn entries(directory: &Path) -> Result<Vec<String>> {
    let read = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        read => read.map_err(|error| failed("read", directory, error))?,
    };
    Ok(read.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
}
