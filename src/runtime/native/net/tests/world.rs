//! A host of its own for a test: a thread with a network and mounts that nobody else sees.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::mount::MountPropagationFlags;
use rustix::thread::UnshareFlags;

use super::super::dns::{self, Settings};
use super::super::netlink::link::{Links, Request, Veth};
use super::super::{Endpoint, Member, Namespace, Networks, publish};
use crate::model::spec::{self, NetworkSpec};
use crate::model::{Port, ServiceNetwork, label};

/// How long anything may take.
pub(super) const LIMIT: Duration = Duration::from_secs(20);
/// The host, as the machine outside sees it.
pub(super) const HOST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// The machine outside.
pub(super) const OUTSIDE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// What serves a container: its ports and its names, until this is dropped.
pub(super) struct Served {
    /// Ports of the host, as they were chosen.
    pub(super) ports: Vec<u16>,
    stop: tokio::sync::oneshot::Sender<()>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Drop for Served {
    fn drop(&mut self) {
        let (never, _) = tokio::sync::oneshot::channel();
        drop(std::mem::replace(&mut self.stop, never));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A host, and a machine outside that is its way to everywhere.
pub(super) struct World {
    pub(super) networks: Networks,
    pub(super) outside: Namespace,
    folder: tempfile::TempDir,
}

/// A container: a namespace, with what a runtime knows of it.
pub(super) struct Container {
    pub(super) member: Member,
    pub(super) namespace: Namespace,
    pub(super) endpoints: Vec<Endpoint>,
}

#[expect(clippy::print_stdout, reason = "a test that is skipped says so")]
pub(super) fn skipped(why: &str) {
    println!("skipped: {why}");
}

/// Runs a test in a world of its own, if this is permitted.
pub(super) fn in_world(test: impl FnOnce(&World) + Send) {
    if !rustix::process::geteuid().is_root() {
        return skipped("it needs root");
    }
    let run = || {
        fresh(UnshareFlags::NEWNET | UnshareFlags::NEWNS);
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        rustix::mount::mount_change("/", private).expect("mounts of its own");
        let folder = tempfile::tempdir().expect("a folder");
        let (durable, volatile) = (folder.path().join("d"), folder.path().join("r"));
        let networks = Networks::new(&durable, &volatile);
        let outside = namespace();
        connect(&outside);
        test(&World { networks, outside, folder });
    };
    std::thread::scope(|scope| {
        let thread = scope.spawn(run);
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

#[expect(unsafe_code, reason = "the safe wrapper is deprecated")]
fn fresh(flags: UnshareFlags) {
    // SAFETY: descriptors stay shared; only `FILES` would change that.
    unsafe { rustix::thread::unshare_unsafe(flags) }.expect("new namespaces");
}

/// A namespace with a loopback interface that is not up.
pub(super) fn namespace() -> Namespace {
    let make = || {
        fresh(UnshareFlags::NEWNET);
        Namespace::current().expect("a namespace")
    };
    std::thread::scope(|scope| scope.spawn(make).join().expect("no panic"))
}

/// Connects this namespace, as the host, with a machine outside.
fn connect(outside: &Namespace) {
    let mut links = Links::open().expect("a socket");
    let veth = Veth { name: "eth0", bridge: None, mtu: 1500, peer: "eth0", mac: None };
    links.run(vec![Request::up(1), Request::veth(&veth, outside)]).expect("a pair");
    let index = links.index("eth0").expect("an answer").expect("the interface");
    links
        .run(vec![
            Request::address(index, HOST.into(), 24),
            Request::address(index, "2001:db8::1".parse().expect("an address"), 64),
            Request::default_route(index, OUTSIDE.into()),
        ])
        .expect("addresses");
    let inside = || {
        let mut links = Links::open().expect("a socket");
        let index = links.index("eth0").expect("an answer").expect("the interface");
        links
            .run(vec![
                Request::up(1),
                Request::up(index),
                Request::address(index, OUTSIDE.into(), 24),
                Request::address(index, "2001:db8::2".parse().expect("an address"), 64),
            ])
            .expect("addresses");
    };
    outside.visit(inside).expect("a visit");
}

impl World {
    /// A network of a project; `yaml` holds its attributes, but its name.
    pub(super) fn create(&self, project: &str, name: &str, yaml: &str) {
        self.networks.create(&spec(project, name, yaml)).expect(name);
    }

    /// A container in networks: names and attributes.
    pub(super) fn container(&self, name: &str, networks: &[(&str, &str)]) -> Container {
        let mut container = Container {
            member: Member { id: id(name), name: name.to_owned() },
            namespace: namespace(),
            endpoints: Vec::new(),
        };
        for (network, yaml) in networks {
            let endpoint = self.join(&container.member, network, yaml).expect(network);
            container.endpoints.push(endpoint);
        }
        self.networks.attach(&container.endpoints, &container.namespace).expect("attached");
        container
    }

    pub(super) fn join(
        &self,
        member: &Member,
        network: &str,
        yaml: &str,
    ) -> crate::runtime::Result<Endpoint> {
        let options: ServiceNetwork = serde_yaml::from_str(yaml).expect("attributes");
        self.networks.join(member, &spec::Endpoint { network: network.to_owned(), options })
    }

    /// Does for a container what its shim does: ports as in a project, and names.
    pub(super) fn serve(&self, container: &Container, ports: &str, settings: Settings) -> Served {
        let ports: Vec<Port> = serde_yaml::from_str(ports).expect("ports");
        let (networks, endpoints) = (self.networks.clone(), container.endpoints.clone());
        let namespace = container.namespace.try_clone().expect("a handle");
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let (tell, told) = std::sync::mpsc::channel();
        let id = container.member.id.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let local = tokio::task::LocalSet::new();
            local.block_on(&runtime.expect("a runtime"), async {
                let listeners = Rc::new(publish::reserve(&ports).expect("free ports"));
                let chosen = listeners.ports();
                let published = networks.publish(&id, listeners, &endpoints).expect("published");
                let settings = Settings { container: id.clone(), ..settings };
                let sockets = dns::bind(&namespace).expect("bound");
                let server = dns::Server::new(&networks, sockets, settings).expect("a server");
                tell.send(chosen.iter().filter_map(|port| port.published).collect()).expect("told");
                tokio::select! {
                    () = published.serve() => {}
                    () = server.serve() => {}
                    _ = stopped => {}
                }
            });
        });
        let ports = told.recv_timeout(LIMIT).expect("served");
        Served { ports, stop, thread: Some(thread) }
    }

    /// The end of a container.
    pub(super) fn end(&self, container: Container) {
        for endpoint in &container.endpoints {
            self.networks.leave(&container.member.id, &endpoint.network).expect("left");
        }
        drop(container);
    }

    pub(super) fn volatile(&self) -> std::path::PathBuf {
        self.folder.path().join("r")
    }

    /// What this host's network has: interfaces and tables of packet filters.
    pub(super) fn leftovers(&self) -> Vec<String> {
        let links = Links::open().and_then(|mut links| links.all()).expect("interfaces");
        let mut found: Vec<String> = links.into_iter().map(|(_, name)| name).collect();
        let mut filters = super::super::nft::Filters::open().expect("a socket");
        found.extend(filters.tables().expect("tables"));
        let mounts = std::fs::File::open("/proc/thread-self/mounts");
        let mut text = String::new();
        mounts.and_then(|mut file| file.read_to_string(&mut text)).expect("mounts");
        let ours = self.volatile().display().to_string();
        found.extend(text.lines().filter(|line| line.contains(&ours)).map(str::to_owned));
        found
    }
}

pub(super) fn spec(project: &str, name: &str, yaml: &str) -> NetworkSpec {
    let mut network: crate::model::Network = serde_yaml::from_str(yaml).expect("attributes");
    name.clone_into(&mut network.name);
    let mut spec = NetworkSpec { network, ..NetworkSpec::default() };
    if !project.is_empty() {
        spec.labels.insert(label::PROJECT.to_owned(), project.to_owned());
    }
    spec
}

/// The id of a container with this name.
pub(super) fn id(name: &str) -> String {
    super::super::store::hex(&<sha2::Sha256 as sha2::Digest>::digest(name))
}

impl Container {
    pub(super) fn ipv4(&self, network: usize) -> Ipv4Addr {
        self.endpoints[network].ipv4.expect("an address").ip
    }

    /// What a function gives inside.
    pub(super) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.namespace.visit(work).expect("a visit")
    }

    /// Answers each connection to a port with the address that it came from.
    pub(super) fn answer(&self, port: u16) {
        answer(&self.namespace, port);
    }
}

/// Answers each connection, and each packet, to a port with the address that it came from.
pub(super) fn answer(namespace: &Namespace, port: u16) {
    let bind = || {
        let any = SocketAddr::new(IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED), port);
        (TcpListener::bind(any).expect("a free port"), UdpSocket::bind(any).expect("a free port"))
    };
    let (listener, packets) = namespace.visit(bind).expect("a visit");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let from = stream.peer_addr().expect("an address").ip().to_canonical();
            let _ = stream.write_all(from.to_string().as_bytes());
        }
    });
    std::thread::spawn(move || {
        let mut packet = [0; 64];
        while let Ok((_, from)) = packets.recv_from(&mut packet) {
            let _ = packets.send_to(from.ip().to_canonical().to_string().as_bytes(), from);
        }
    });
}

/// What answers at an address: who asks, as the other side sees it.
pub(super) fn ask(ip: impl Into<IpAddr>, port: u16) -> Result<String, std::io::Error> {
    let limit = Duration::from_secs(3);
    let mut stream = TcpStream::connect_timeout(&SocketAddr::new(ip.into(), port), limit)?;
    stream.set_read_timeout(Some(limit))?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

/// The same by UDP.
pub(super) fn ask_udp(ip: impl Into<IpAddr>, port: u16) -> Result<String, std::io::Error> {
    let ip = ip.into();
    let any: &str = if ip.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any)?;
    socket.set_read_timeout(Some(Duration::from_secs(3)))?;
    socket.connect(SocketAddr::new(ip, port))?;
    socket.send(b"?")?;
    let mut packet = [0; 64];
    let length = socket.recv(&mut packet)?;
    Ok(String::from_utf8_lossy(&packet[..length]).into_owned())
}

/// Waits until something holds.
pub(super) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < LIMIT, "{what}");
        std::thread::yield_now();
    }
}
