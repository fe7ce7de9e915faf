//! What every container has besides its own files: `/proc`, `/dev`, `/sys`.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::mount::MountAttrFlags;

use super::program::Terminal;
use super::{process_of, relative, text};
use crate::runtime::native::container::cgroup::{Cgroup, Views};
use crate::runtime::native::container::child::{Attach, FileSystem, Kind, Over, Step};
use crate::runtime::native::container::config::{Access, Config, Namespace, Propagation};
use crate::runtime::native::container::error::{StartError, kernel};
use crate::runtime::native::container::start::Joined;
use crate::runtime::native::container::sys::Depth;
use crate::runtime::native::container::tree::{self, Dev, Node, Tmpfs};

/// What the system's own file systems forbid.
const CLOSED: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID
    .union(MountAttrFlags::MOUNT_ATTR_NODEV)
    .union(MountAttrFlags::MOUNT_ATTR_NOEXEC);

/// What every container has besides its own files.
pub(super) struct System<'a> {
    pub(super) config: &'a Config,
    pub(super) joined: &'a Joined,
}

/// The devices that a container sees besides the usual ones.
pub(super) fn nodes(config: &Config) -> Result<Vec<Node>, StartError> {
    let mut nodes = if config.security.privileged { tree::own_devices()? } else { Vec::new() };
    nodes.extend(tree::devices(&config.devices)?);
    Ok(nodes)
}

impl System<'_> {
    /// Adds the steps; gives the terminal of the container if it has one. What a user mounts at
    /// the same places covers these later.
    pub(super) fn mount(
        &self,
        cgroup: &Cgroup,
        nodes: &[Node],
        uid: u32,
        steps: &mut Vec<Step>,
    ) -> Result<Option<Terminal>, StartError> {
        let flags = CLOSED;
        steps.push(Step::Mount(FileSystem { kind: c"proc", target: c"proc", flags }));
        steps.push(Step::HoldParameters);
        let dev = Dev::new(nodes)?;
        steps.push(Step::HoldNull(dev.null));
        if self.config.process.terminal {
            tree::console(&dev.tree).map_err(kernel(|| "make `/dev/console`".to_owned()))?;
        }
        steps.push(attach(dev.tree, "dev")?);
        let terminal = self.mount_terminals(uid, steps)?;
        if let Some(shm) = self.shm()? {
            steps.push(attach(shm, "dev/shm")?);
        }
        steps.push(Step::Mount(FileSystem { kind: c"mqueue", target: c"dev/mqueue", flags }));
        let read_only = MountAttrFlags::MOUNT_ATTR_RDONLY;
        let flags = if self.config.security.privileged { CLOSED } else { CLOSED | read_only };
        steps.push(Step::Mount(FileSystem { kind: c"sysfs", target: c"sys", flags }));
        self.mount_cgroups(cgroup, steps)?;
        for node in nodes {
            if let Some(target) = node.elsewhere() {
                let failed = || format!("show the device `{target}`");
                let tree = node.shown().map_err(kernel(failed))?;
                let target = relative(target)?;
                let over = Over::Files;
                steps.push(Step::Attach(Attach { tree, target, kind: Kind::File, over }));
            }
        }
        Ok(terminal)
    }

    /// `/dev/pts`, and the terminal of the container in it.
    fn mount_terminals(
        &self,
        uid: u32,
        steps: &mut Vec<Step>,
    ) -> Result<Option<Terminal>, StartError> {
        let options = ["newinstance", "ptmxmode=0666", "mode=0620", "gid=5"].map(str::to_owned);
        let flags = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        let pts = tree::tmpfs(&Tmpfs { kind: "devpts", name: "devpts", options: &options, flags })?;
        let terminal = match self.config.process.terminal {
            true => {
                let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
                let master = rustix::fs::openat(&pts, c"ptmx", flags, Mode::empty());
                Some(Terminal::of(master.map_err(kernel(|| "make a terminal".to_owned()))?, uid)?)
            }
            false => None,
        };
        steps.push(attach(pts, "dev/pts")?);
        if let Some(terminal) = &terminal {
            let from = relative(&terminal.path)?;
            steps.push(Step::Bind(from, relative("dev/console")?));
        }
        Ok(terminal)
    }

    /// Memory that processes share.
    fn shm(&self) -> Result<Option<OwnedFd>, StartError> {
        match &self.config.namespaces.ipc {
            Namespace::Own if self.config.namespaces.without_shm => Ok(None),
            Namespace::Own => {
                let size = format!("size={}", self.config.shm_size);
                let options = ["mode=1777".to_owned(), size];
                tree::tmpfs(&Tmpfs { kind: "tmpfs", name: "shm", options: &options, flags: CLOSED })
                    .map(Some)
            }
            Namespace::Host => {
                let failed = || "share `/dev/shm` of the host".to_owned();
                let flags = OFlags::PATH | OFlags::CLOEXEC;
                let shm = rustix::fs::open(c"/dev/shm", flags, Mode::empty());
                let shm = shm.map_err(kernel(failed))?;
                let (access, spread) = (Access::Write, Propagation::Rprivate);
                let shown = tree::bind(shm.as_fd(), Depth::One, access, spread);
                shown.map(|(tree, _)| Some(tree)).map_err(kernel(failed))
            }
            Namespace::Of(other) => {
                let process = process_of(self.joined.ipc.as_ref(), other, "ipc")?;
                tree::foreign(process.as_fd(), c"/dev/shm").map(Some)
            }
        }
    }

    /// What it may use, as it sees it. With version 1, each hierarchy has a directory.
    fn mount_cgroups(&self, cgroup: &Cgroup, steps: &mut Vec<Step>) -> Result<(), StartError> {
        let access = if self.config.security.privileged { Access::Write } else { Access::Read };
        let show = |path: &Path| {
            let failed = || format!("show the cgroup `{}`", path.display());
            let opened = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
            let opened = opened.map_err(kernel(failed))?;
            let shown = tree::bind(opened.as_fd(), Depth::One, access, Propagation::Rprivate);
            let (tree, _) = shown.map_err(kernel(failed))?;
            tree::close(&tree).map_err(kernel(failed))?;
            Ok::<_, StartError>(tree)
        };
        match cgroup.views(&self.config.namespaces.cgroup) {
            Views::None => Ok(()),
            Views::New(path) => {
                steps.push(attach(show(&path)?, "sys/fs/cgroup")?);
                Ok(())
            }
            Views::Old(views) => {
                let names: Vec<_> = views.iter().map(|view| view.name.as_str()).collect();
                let links = views.iter().flat_map(|view| {
                    view.links.iter().map(|link| (link.as_str(), view.name.as_str()))
                });
                let links: Vec<_> = links.collect();
                let top = tree::directories(&names, &links, CLOSED)?;
                steps.push(attach(top, "sys/fs/cgroup")?);
                for view in &views {
                    let target = format!("sys/fs/cgroup/{}", view.name);
                    steps.push(attach(show(&view.path)?, &target)?);
                }
                Ok(())
            }
        }
    }
}

/// Attaches a tree of the system's.
fn attach(tree: OwnedFd, target: &str) -> Result<Step, StartError> {
    let (target, kind) = (text(target)?, Kind::Directory);
    Ok(Step::Attach(Attach { tree, target, kind, over: Over::Files }))
}
