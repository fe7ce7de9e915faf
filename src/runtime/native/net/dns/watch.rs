//! The endpoint files of a container's networks, as they are at this moment.
//!
//! In: directories. Out: names.
//!
//! The kernel notes what changes; the notes are read when somebody asks, and at no other time.

use std::collections::BTreeMap;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

use crate::runtime::Result;

use super::super::membership::endpoint_directory;
use super::super::{Endpoint, Networks, failed, store};
use super::Settings;
use super::names::{Names, Network};

/// A directory that is watched.
#[derive(Debug)]
struct Directory {
    watch: i32,
    path: PathBuf,
}

/// Names that are kept up to date.
#[derive(Debug)]
pub(super) struct Watch {
    networks: Networks,
    container: String,
    notes: OwnedFd,
    /// One for each network of the names, in the same order.
    directories: Vec<Directory>,
    names: Names,
}

impl Watch {
    pub(super) fn new(networks: Networks, settings: Settings) -> Result<Self> {
        let link = |link: &String| {
            let (container, alias) = link.split_once(':').unwrap_or((link, link));
            (container.to_owned(), alias.to_owned())
        };
        let links = settings.links.iter().map(link).collect();
        let mut watch = Self {
            networks,
            container: settings.container,
            notes: notes()?,
            directories: Vec::new(),
            names: Names { networks: Vec::new(), links },
        };
        watch.refresh()?;
        Ok(watch)
    }

    /// Looks again which networks the container is in, and who else is.
    pub(super) fn refresh(&mut self) -> Result<()> {
        // The old watches go with their descriptor.
        self.notes = notes()?;
        self.directories.clear();
        self.names.networks.clear();
        for endpoint in self.networks.endpoints(&self.container)? {
            let path = endpoint_directory(&self.networks.volatile, &endpoint.network);
            let flags = WatchFlags::MOVED_TO | WatchFlags::MOVED_FROM | WatchFlags::DELETE;
            let watch = inotify::add_watch(&self.notes, &path, flags).map_err(io::Error::from);
            let watch = watch.map_err(failed(format!("watch `{}`", path.display())))?;
            self.directories.push(Directory { watch, path });
            self.names
                .networks
                .push(Network { name: endpoint.network, endpoints: BTreeMap::new() });
        }
        // Watched first, read then: nothing can come in between.
        for (network, directory) in self.names.networks.iter_mut().zip(&self.directories) {
            for file in store::names(&directory.path)? {
                read(network, directory, &file);
            }
        }
        Ok(())
    }

    /// The names at this moment.
    pub(super) fn names(&mut self) -> &Names {
        if self.read_notes() == Notes::Lost
            && let Err(error) = self.refresh()
        {
            tracing::warn!("names of other containers may be old: {error}");
        }
        &self.names
    }

    fn read_notes(&mut self) -> Notes {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&self.notes, &mut buffer);
        loop {
            let note = match reader.next() {
                Ok(note) => note,
                Err(Errno::INTR) => continue,
                // There are no more.
                Err(_) => return Notes::Read,
            };
            if note.events().contains(ReadFlags::QUEUE_OVERFLOW) {
                return Notes::Lost;
            }
            let at = self.directories.iter().position(|one| one.watch == note.wd());
            let file = note.file_name().and_then(|name| name.to_str().ok());
            if let (Some(at), Some(file)) = (at, file)
                && let (Some(network), Some(directory)) =
                    (self.names.networks.get_mut(at), self.directories.get(at))
            {
                read(network, directory, file);
            }
        }
    }

    /// Whether the container has no way to the outside.
    pub(super) fn is_internal(&self) -> bool {
        self.names.is_internal(&self.container)
    }
}

/// What was noted.
#[derive(PartialEq, Eq)]
enum Notes {
    /// All of it is known now.
    Read,
    /// There was too much of it.
    Lost,
}

fn notes() -> Result<OwnedFd> {
    inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)
        .map_err(failed("watch endpoint files"))
}

/// Reads an endpoint file again, which may be gone.
fn read(network: &mut Network, directory: &Directory, file: &str) {
    let Some(id) = file.strip_suffix(".json").filter(|_| !file.starts_with('.')) else { return };
    match store::load::<Endpoint>(&directory.path.join(file)) {
        Ok(Some(endpoint)) => {
            network.endpoints.insert(id.to_owned(), endpoint);
        }
        Ok(None) => {
            network.endpoints.remove(id);
        }
        Err(error) => tracing::warn!("a name is not known: {error}"),
    }
}
