//! Where the native runtime keeps its files.
//!
//! In: the environment. Out: paths. What must outlive a reboot lies under the durable root, what
//! the kernel forgets with a reboot under the volatile one.
//!
//! # Invariants
//!
//! - No other module spells these paths.
//!
//! # Not here
//!
//! What stands in the files.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;

use crate::runtime::{Result, RuntimeError};

/// Names the durable root.
pub const STATE_DIR: &str = "KETCH_STATE_DIR";
/// Names the volatile root.
pub const RUN_DIR: &str = "KETCH_RUN_DIR";

/// The two roots of all files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    durable: PathBuf,
    volatile: PathBuf,
}

/// The directories of one container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its id: 64 hexadecimal digits.
    pub id: String,
    /// What outlives a reboot.
    pub durable: PathBuf,
    /// What does not.
    pub volatile: PathBuf,
}

impl Root {
    /// The roots that an environment names, else the system's own for root and the user's for
    /// others.
    ///
    /// # Errors
    ///
    /// The environment names no place, and the user has none.
    pub fn from_environment(environment: &IndexMap<String, String>) -> Result<Self> {
        let run = given(environment, "XDG_RUNTIME_DIR").map(PathBuf::from);
        let user = run.map(|dir| dir.join("ketch"));
        Ok(Self {
            durable: durable(environment)?,
            volatile: pick(environment, (RUN_DIR, "/run/ketch"), user)?,
        })
    }

    /// These very roots.
    pub fn at(durable: &Path, volatile: &Path) -> Self {
        Self { durable: durable.to_owned(), volatile: volatile.to_owned() }
    }

    /// The durable root.
    pub fn durable(&self) -> &Path {
        &self.durable
    }

    /// The volatile root.
    pub fn volatile(&self) -> &Path {
        &self.volatile
    }

    /// The image store.
    pub fn images(&self) -> PathBuf {
        self.durable.join("images")
    }

    /// What builds keep besides layers.
    pub fn builds(&self) -> PathBuf {
        self.durable.join("build")
    }

    /// What the images were built of that builds have made.
    pub fn built(&self) -> PathBuf {
        self.durable.join("built")
    }

    /// A directory for each volume, by name.
    pub fn volumes(&self) -> PathBuf {
        self.durable.join("volumes")
    }

    /// Where the volumes are mounted that are not directories, by name.
    pub fn mounted_volumes(&self) -> PathBuf {
        self.volatile.join("volumes")
    }

    /// Snapshots, by project and name.
    pub fn snapshots(&self) -> PathBuf {
        self.durable.join("snapshots")
    }

    /// What networks are, by name.
    pub fn networks(&self) -> PathBuf {
        self.durable.join("networks")
    }

    /// A directory for each container, by id.
    pub fn containers(&self) -> PathBuf {
        self.durable.join("containers")
    }

    /// A link for each name of a container, to its directory.
    pub fn names(&self) -> PathBuf {
        self.durable.join("names")
    }

    /// Who is in which network now.
    pub fn net(&self) -> PathBuf {
        self.volatile.join("net")
    }

    /// The pinned network namespaces of projects.
    pub fn namespaces(&self) -> PathBuf {
        self.volatile.join("ns")
    }

    /// What happened since the boot, a line of JSON for each event.
    pub fn events(&self) -> PathBuf {
        self.volatile.join("events")
    }

    /// Shared by those who make containers; who has it alone may remove what has no name.
    pub fn making(&self) -> PathBuf {
        self.durable.join("making.lock")
    }

    /// The directories of the container with this id.
    pub fn container(&self, id: &str) -> Place {
        Place {
            id: id.to_owned(),
            durable: self.containers().join(id),
            volatile: self.volatile.join("containers").join(id),
        }
    }
}

/// The durable root alone: also those have it who cannot run containers.
///
/// # Errors
///
/// The environment names no place, and the user has none.
pub fn durable(environment: &IndexMap<String, String>) -> Result<PathBuf> {
    let home = || given(environment, "HOME").map(|home| Path::new(home).join(".local/share"));
    let data = given(environment, "XDG_DATA_HOME").map(PathBuf::from).or_else(home);
    pick(environment, (STATE_DIR, "/var/lib/ketch"), data.map(|dir| dir.join("ketch")))
}

fn given<'e>(environment: &'e IndexMap<String, String>, name: &str) -> Option<&'e String> {
    environment.get(name).filter(|value| !value.is_empty())
}

/// What a variable says, else the system's own place for root and the user's for others.
fn pick(
    environment: &IndexMap<String, String>,
    (own, system): (&str, &str),
    user: Option<PathBuf>,
) -> Result<PathBuf> {
    let directory = match given(environment, own) {
        Some(path) => PathBuf::from(path),
        None if rustix::process::geteuid().is_root() => PathBuf::from(system),
        None => user.ok_or_else(|| no_place(own))?,
    };
    std::path::absolute(&directory).map_err(|source| RuntimeError::Io {
        action: format!("find the directory `{}`", directory.display()),
        source,
    })
}

fn no_place(variable: &str) -> RuntimeError {
    RuntimeError::Unsupported(format!(
        "there is no place for the files of the native runtime: neither {variable} nor HOME and \
         XDG_RUNTIME_DIR are set"
    ))
}

impl Place {
    /// What the container is; written once, before it gets its name.
    pub fn config(&self) -> PathBuf {
        self.durable.join("config.json")
    }

    /// The networks that the container is to join, if they are others than it was made for; changed
    /// under the lock of [`Place::networks_lock`].
    pub fn networks(&self) -> PathBuf {
        self.durable.join("networks.json")
    }

    /// Names of the volumes that are made for the container, until it has a name itself.
    pub fn intended_volumes(&self) -> PathBuf {
        self.durable.join("volumes.json")
    }

    /// Where a thread with mounts of its own mounts the root of a container that does not run for
    /// a moment. Any directory will do that is there as long as the container is.
    pub fn view(&self) -> PathBuf {
        self.log()
    }

    /// Held while the networks are changed.
    pub fn networks_lock(&self) -> PathBuf {
        self.durable.join("networks.lock")
    }

    /// What the container does; written by its shim, and by others only under its lock.
    pub fn state(&self) -> PathBuf {
        self.durable.join("state.json")
    }

    /// Held by the shim for all its life.
    pub fn lock(&self) -> PathBuf {
        self.durable.join("lock")
    }

    /// The log and those that were rotated away.
    pub fn log(&self) -> PathBuf {
        self.durable.join("log")
    }

    /// The upper directory of the overlay.
    pub fn upper(&self) -> PathBuf {
        self.durable.join("upper")
    }

    /// The work directory of the overlay.
    pub fn work(&self) -> PathBuf {
        self.durable.join("work")
    }

    /// Files that are made for the container: `hosts`, `resolv.conf`, `hostname`.
    pub fn files(&self) -> PathBuf {
        self.durable.join("files")
    }

    /// Files to put into the container when it starts.
    pub fn injected(&self) -> PathBuf {
        self.durable.join("injected.json")
    }

    /// The state at the end, where the disk was too full for [`Place::state`].
    pub fn last_words(&self) -> PathBuf {
        self.volatile.join("ended.json")
    }

    /// Where those listen who want to be attached when the container starts.
    pub fn waiting(&self) -> PathBuf {
        self.volatile.join("waiting")
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use indexmap::IndexMap;

    use super::Root;

    #[test]
    fn variables_name_the_roots() {
        let pairs = [("KETCH_STATE_DIR", "/a"), ("KETCH_RUN_DIR", "/b")];
        let environment: IndexMap<String, String> =
            pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let root = Root::from_environment(&environment).unwrap();
        assert_eq!(root, Root::at(Path::new("/a"), Path::new("/b")));
        let place = root.container("1f");
        assert_eq!(place.state(), Path::new("/a/containers/1f/state.json"));
        assert_eq!(place.waiting(), Path::new("/b/containers/1f/waiting"));
    }
}
