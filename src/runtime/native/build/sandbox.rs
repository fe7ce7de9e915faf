//! A command of `RUN` in a container of its own.
//!
//! In: the layers below, a command, mounts. Out: its output line by line, its exit code, and the
//! directory with what it has changed.
//!
//! The container has a directory like any other, but no name: who lists containers does not see
//! it, and what a build that is killed leaves is swept up by the next command. Its lock says that
//! it lives.
//!
//! # Invariants
//!
//! - What is mounted needs places: they are in a layer of their own, so that none of them becomes
//!   part of the image.
//! - The thread that calls [`Sandbox::run`] is the parent of the container: both end together.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::process::{WaitId, WaitIdOptions, WaitIdStatus, waitid};
use tokio::io::Interest;
use tokio::net::unix::pipe;
use tokio::sync::mpsc::Sender;

use super::job::line;
use super::tree::Tree;
use crate::model::spec::{ContainerSpec, Endpoint as Wanted, InjectedFile};
use crate::model::{self, Service};
use crate::runtime::native::channel::register;
use crate::runtime::native::container::{
    self, Changes, Config, Configured, ImageSettings, Joined, Launch, Mount, Namespace as Sharing,
    Overlay, Started, Streams, Surroundings, configure,
};
use crate::runtime::native::create::random_id;
use crate::runtime::native::lock::{self, Lock};
use crate::runtime::native::net::{self, Endpoint, Member, Namespace, Networks, dns, files};
use crate::runtime::native::record::Record;
use crate::runtime::native::remove;
use crate::runtime::native::root::{Place, Root};
use crate::runtime::native::shim::{host_resolv_conf, overwrite};
use crate::runtime::native::state::{self, Durability, failed};
use crate::runtime::{Progress, Result, RuntimeError};

/// What the kernel and the runtime put into every container.
const SYSTEM: &[(&str, Kind)] = &[
    ("proc", Kind::Directory),
    ("sys", Kind::Directory),
    ("dev", Kind::Directory),
    ("etc/resolv.conf", Kind::File),
    ("etc/hosts", Kind::File),
    ("etc/hostname", Kind::File),
    (".dockerenv", Kind::File),
];
/// The longest line of output that is told in one piece.
const LINE: usize = 8 << 10;

/// What is made where something is mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Directory,
    File,
}

/// A command to run.
#[derive(Clone, Debug, Default)]
pub(super) struct Command {
    /// The program and its arguments.
    pub(super) args: Vec<String>,
    /// Its variables as `NAME=VALUE`.
    pub(super) environment: Vec<String>,
    pub(super) working_dir: String,
    pub(super) user: String,
    /// What the attributes of a service say: network mode, hosts, limits.
    pub(super) service: Service,
    pub(super) mounts: Vec<Mount>,
    /// Which of them are files.
    pub(super) file_mounts: Vec<String>,
    /// Files that are written where something is mounted.
    pub(super) files: Vec<InjectedFile>,
}

/// Who is told what a command prints.
#[derive(Clone, Debug)]
pub(super) struct Out {
    pub(super) tell: Sender<Progress>,
    pub(super) step: String,
}

/// A container without a name.
#[derive(Debug)]
pub(super) struct Sandbox {
    root: Root,
    place: Place,
    networks: Networks,
    lock: Option<Lock>,
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // What remains is swept up by the next command.
        let _ = fs::remove_dir_all(&self.place.volatile);
        let _ = fs::remove_dir_all(&self.place.durable);
        drop(self.lock.take());
    }
}

impl Sandbox {
    /// Makes its directories.
    pub(super) fn new(root: &Root, networks: &Networks) -> Result<Self> {
        let _making = lock::share(&root.making())?;
        let place = root.container(&random_id()?);
        let private = [&place.durable, &place.volatile].map(|path| (path.clone(), 0o700));
        let own = [place.upper(), place.work(), place.files(), place.durable.join("init")];
        for (path, mode) in private.into_iter().chain(own.map(|path| (path, 0o755))) {
            let made = DirBuilder::new().recursive(true).mode(mode).create(&path);
            made.map_err(|error| failed("make", &path, error))?;
        }
        for name in ["hosts", "resolv.conf", "hostname"] {
            let path = place.files().join(name);
            fs::write(&path, "").map_err(|error| failed("make", &path, error))?;
        }
        let lock = lock::take(&place.lock())?;
        Ok(Self { root: root.clone(), networks: networks.clone(), place, lock })
    }

    /// The directory with what the command has changed.
    pub(super) fn upper(&self) -> PathBuf {
        self.place.upper()
    }

    /// A directory in memory, where the system has one, for secrets.
    pub(super) fn volatile(&self) -> &Path {
        &self.place.volatile
    }

    /// A new directory for something, such as the changes to what is mounted.
    pub(super) fn directory(&self, name: &str) -> Result<PathBuf> {
        let path = self.place.durable.join(name);
        let made = DirBuilder::new().recursive(true).mode(0o755).create(&path);
        made.map_err(|error| failed("make", &path, error))?;
        Ok(path)
    }

    /// Runs a command on layers, the lowest first; gives its exit code. Its output goes to `out`.
    pub(super) fn run(&self, lower: Vec<PathBuf>, command: Command, out: &Out) -> Result<i32> {
        let init = self.place.durable.join("init");
        make_places(&lower, &init, &command).map_err(|error| failed("prepare", &init, error))?;
        let (files, service) = (command.files.clone(), command.service.clone());
        let config = self.config(lower, command)?;
        // Whoever sweeps up after a kill finds cgroup and addresses by this. What is run, and with
        // which variables, may be secret.
        let (id, cgroup_parent) = (config.id.clone(), config.cgroup_parent.clone());
        let found_by = Config { id, cgroup_parent, ..Config::default() };
        let record = Record { config: found_by, ..Record::default() };
        state::write(&self.place.config(), &record, Durability::Volatile)?;
        let failed = |source| RuntimeError::Io { action: "start a thread".to_owned(), source };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(failed)?;
        let running = Running { sandbox: self, config: &config, service };
        let done = runtime.block_on(running.start(&files, out));
        let released = remove::release(&self.root, &self.place, &record);
        done.and_then(|code| released.map(|()| code))
    }

    fn config(&self, mut lower: Vec<PathBuf>, command: Command) -> Result<Config> {
        lower.push(self.place.durable.join("init"));
        let changes = Changes { upper: self.place.upper(), work: self.place.work() };
        let given = Configured {
            id: self.place.id.clone(),
            image: ImageSettings {
                command: command.args,
                environment: command.environment,
                user: command.user,
                working_dir: command.working_dir,
                ..ImageSettings::default()
            },
            root: Overlay { lower, changes: Some(changes) },
            directory: self.place.files(),
        };
        let service = Arc::new(command.service);
        let spec = ContainerSpec { service, ..ContainerSpec::default() };
        let mut config = configure(&spec, given, &mut OwnFiles(self.place.files()))?;
        config.mounts.extend(command.mounts);
        Ok(config)
    }
}

/// A container that is about to run.
struct Running<'a> {
    sandbox: &'a Sandbox,
    config: &'a Config,
    service: Service,
}

impl Running<'_> {
    /// Runs it to its end.
    async fn start(&self, files: &[InjectedFile], out: &Out) -> Result<i32> {
        let endpoints = self.join()?;
        let (reader, writer) = io::pipe().map_err(no_streams)?;
        let null = fs::File::open("/dev/null").map_err(no_streams)?;
        let streams = Streams::Files {
            stdin: null.into(),
            stdout: writer.try_clone().map_err(no_streams)?.into(),
            stderr: writer.into(),
        };
        let launch = Launch { streams, joined: Joined::default(), files };
        let mut server = None;
        let started = container::start(self.config, launch, |pid| {
            server = self.connect(&endpoints, pid)?;
            Ok(())
        });
        let started = started.map_err(container::StartError::into_runtime_error)?;
        let serve = async {
            match &server {
                Some(server) => server.serve().await,
                None => std::future::pending().await,
            }
        };
        let work = async { tokio::join!(wait(started), read(reader.into(), out)).0 };
        tokio::select! {
            code = work => code,
            () = serve => Err(RuntimeError::Refused("names are not served any more".to_owned())),
        }
    }

    fn has_network(&self) -> bool {
        self.config.namespaces.network == Sharing::Own && self.service.network_mode != "none"
    }

    fn join(&self) -> Result<Vec<Endpoint>> {
        if !self.has_network() {
            return Ok(Vec::new());
        }
        let id = self.sandbox.place.id.clone();
        let member = Member { name: id[..12].to_owned(), id };
        let wanted = Wanted { network: net::DEFAULT.to_owned(), ..Wanted::default() };
        Ok(vec![self.sandbox.networks.join(&member, &wanted)?])
    }

    /// Connects the namespace of the container before its program runs.
    fn connect(&self, endpoints: &[Endpoint], pid: i32) -> Result<Option<dns::Server>> {
        let networks = &self.sandbox.networks;
        let connection = match &self.config.namespaces.network {
            Sharing::Host => files::Connection::Host,
            _ if endpoints.is_empty() => files::Connection::None,
            _ => files::Connection::Networks(endpoints),
        };
        let mut server = None;
        if self.config.namespaces.network == Sharing::Own {
            let namespace = Namespace::of_process(u32::try_from(pid).unwrap_or_default())?;
            networks.attach(endpoints, &namespace)?;
            if !endpoints.is_empty() {
                let container = self.sandbox.place.id.clone();
                let settings = dns::Settings { container, ..dns::Settings::default() };
                server = Some(dns::Server::new(networks, dns::bind(&namespace)?, settings)?);
            }
        }
        let directory = self.sandbox.place.files();
        let hosts = files::hosts(&self.service, &self.config.hostname, connection)?;
        let resolv = files::resolv_conf(&self.service, &host_resolv_conf(), connection);
        overwrite(&directory.join("hosts"), &hosts)?;
        overwrite(&directory.join("resolv.conf"), &resolv)?;
        overwrite(&directory.join("hostname"), &format!("{}\n", self.config.hostname))?;
        Ok(server)
    }
}

fn no_streams(source: io::Error) -> RuntimeError {
    RuntimeError::Io { action: "open the streams of a build step".to_owned(), source }
}

/// Waits for the end of the process, and ends all that it has left.
async fn wait(started: Started) -> Result<i32> {
    let failed = |source| RuntimeError::Io { action: "watch a build step".to_owned(), source };
    let process = register(started.pidfd, Interest::READABLE).map_err(failed)?;
    process.readable().await.map_err(failed)?.retain_ready();
    let kept = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    let status = waitid(WaitId::PidFd(process.get_ref().as_fd()), kept);
    // Else what goes on in the background would hold the streams.
    if let Err(error) = started.cgroup.kill() {
        tracing::debug!("cannot kill what a build step left: {error}");
    }
    // Now that its end is known, its number may be given to others.
    let _ = waitid(WaitId::PidFd(process.get_ref().as_fd()), WaitIdOptions::EXITED);
    let status = status.map_err(|errno| failed(errno.into()))?;
    let code = status.as_ref().and_then(WaitIdStatus::exit_status);
    let signal = status.as_ref().and_then(WaitIdStatus::terminating_signal);
    Ok(code.or(signal.map(|signal| 128 + signal)).unwrap_or(255))
}

/// Tells output line by line, to its end.
async fn read(output: OwnedFd, out: &Out) {
    use tokio::io::AsyncReadExt as _;
    let Ok(mut output) = pipe::Receiver::from_owned_fd(output) else { return };
    let mut piece = vec![0; LINE];
    let mut line = Vec::new();
    while let Ok(count) = output.read(&mut piece).await {
        if count == 0 {
            break;
        }
        for byte in &piece[..count] {
            if *byte != b'\n' && line.len() < LINE {
                line.push(*byte);
                continue;
            }
            tell(&mut line, out).await;
            if *byte != b'\n' {
                line.push(*byte);
            }
        }
    }
    if !line.is_empty() {
        tell(&mut line, out).await;
    }
}

async fn tell(bytes: &mut Vec<u8>, out: &Out) {
    let text = String::from_utf8_lossy(bytes).trim_end_matches('\r').to_owned();
    // A bar that draws itself anew shows how it ended.
    let last = text.rsplit('\r').next().unwrap_or_default();
    bytes.clear();
    // Nobody may listen any more.
    let _ = out.tell.send(line(&out.step, last)).await;
}

/// Makes the places where something is mounted and the image has nothing.
fn make_places(lower: &[PathBuf], init: &Path, command: &Command) -> io::Result<()> {
    let view = view(lower)?;
    for (path, kind) in SYSTEM {
        make_place(&view, init, Path::new(path), *kind)?;
    }
    for mount in &command.mounts {
        let is_file = command.file_mounts.contains(&mount.target);
        let kind = if is_file { Kind::File } else { Kind::Directory };
        make_place(&view, init, Path::new(&mount.target), kind)?;
    }
    let mtab = view.resolve(Path::new("etc/mtab"))?;
    let is_free = view.stat(Path::new("etc/mtab"))?.is_none() && mtab.found.is_none();
    if is_free && init.join("etc").is_dir() {
        symlink("/proc/mounts", init.join("etc/mtab"))?;
    }
    Ok(())
}

/// The files of layers, the lowest first.
pub(super) fn view(lower: &[PathBuf]) -> io::Result<Tree> {
    if lower.is_empty() {
        // An image without files; whoever looks finds nothing.
        return Tree::open(tempfile::tempdir()?.path());
    }
    let overlay = Overlay { lower: lower.to_vec(), changes: None };
    container::overlay(&overlay).map(Tree::of).map_err(io::Error::other)
}

fn make_place(view: &Tree, init: &Path, path: &Path, kind: Kind) -> io::Result<()> {
    let place = view.resolve(path)?;
    if place.found.is_some() || init.join(&place.path).symlink_metadata().is_ok() {
        return Ok(());
    }
    let above: Vec<&Path> = place.path.ancestors().skip(1).collect();
    for directory in above.into_iter().rev().filter(|path| !path.as_os_str().is_empty()) {
        let made = init.join(directory);
        if made.is_dir() {
            continue;
        }
        fs::create_dir(&made)?;
        let found = view.stat(directory)?;
        let (rights, owner) = match &found {
            Some(like) => (like.st_mode & 0o7777, (like.st_uid, like.st_gid)),
            None => (0o755, (0, 0)),
        };
        chown(&made, Some(owner.0), Some(owner.1))?;
        fs::set_permissions(&made, fs::Permissions::from_mode(rights))?;
    }
    let made = init.join(&place.path);
    match kind {
        Kind::Directory => fs::create_dir(&made),
        Kind::File => fs::File::create_new(&made).map(drop),
    }
}

/// What a build has of the world: no volumes, no other containers.
struct OwnFiles(PathBuf);

fn none<T>() -> Result<T> {
    Err(RuntimeError::Unsupported("a build has no volumes and no other containers".to_owned()))
}

impl Surroundings for OwnFiles {
    fn volume(&mut self, _: &str, _: &model::Mount) -> Result<(String, PathBuf)> {
        none()
    }

    fn image(&mut self, _: &str) -> Result<Vec<PathBuf>> {
        none()
    }

    fn mounts_of(&mut self, _: &str) -> Result<Vec<Mount>> {
        none()
    }

    fn network_files(&mut self, _: Option<&str>) -> Result<PathBuf> {
        Ok(self.0.clone())
    }
}
