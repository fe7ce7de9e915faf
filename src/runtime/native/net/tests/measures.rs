//! How long things take. Not asserted: `cargo test --release measure -- --ignored --nocapture`.

use std::fmt::Display;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::super::dns::{ADDRESS, Settings};
use super::super::publish;
use super::world::{Container, HOST, in_world};
use crate::model::Port;

fn tell(what: &str, value: impl Display) {
    let _ = writeln!(std::io::stderr(), "{what:<58} {value}");
}

/// The shortest and the middle time, in milliseconds.
fn times(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let millis = |time: Duration| time.as_secs_f64() * 1000.0;
    let (least, middle) = (millis(times[0]), millis(times[times.len() / 2]));
    tell(what, format!("min {least:.3} ms, p50 {middle:.3} ms"));
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let result = work();
    (result, start.elapsed())
}

#[test]
#[ignore = "it measures"]
fn measure_how_long_a_network_and_its_endpoints_take() {
    in_world(|world| {
        let mut made = Vec::new();
        let mut removed = Vec::new();
        for number in 0..20 {
            let (project, name) = (format!("p{number}"), format!("n{number}"));
            made.push(timed(|| world.create(&project, &name, "{}")).1);
        }
        let mut second = Vec::new();
        for number in 0..20 {
            second.push(timed(|| world.create("p0", &format!("m{number}"), "{internal: true}")).1);
        }
        times("network of a new project", made);
        times("further network of a project", second);
        let many = 50;
        let mut parts: [Vec<Duration>; 4] = Default::default();
        let mut all = Vec::new();
        for number in 0..many {
            let name = format!("c{number}");
            let member = super::super::Member { id: super::world::id(&name), name };
            let namespace = super::world::namespace();
            let (endpoint, time) =
                timed(|| world.join(&member, "n1", "{aliases: [c]}").expect("in"));
            parts[0].push(time);
            let endpoints = vec![endpoint];
            parts[1].push(timed(|| world.networks.attach(&endpoints, &namespace).expect("at")).1);
            parts[2].push(timed(|| super::super::dns::bind(&namespace).expect("bound")).1);
            let port: Port = serde_yaml::from_str("{target: 80}").expect("a port");
            let publish = || {
                let listeners = Rc::new(publish::reserve(&[port]).expect("free"));
                world.networks.publish(&member.id, listeners, &endpoints).expect("published")
            };
            let (published, time) = timed(publish);
            parts[3].push(time);
            all.push((Container { member, namespace, endpoints }, published));
        }
        for (what, part) in ["join", "attach", "dns::bind", "reserve and publish"].iter().zip(parts)
        {
            times(what, part);
        }
        let (_, time) = timed(|| world.networks.sweep(&|_| true).expect("swept"));
        times("sweep with 50 containers", vec![time]);
        for (container, published) in all {
            drop(published);
            world.end(container);
        }
        for number in 0..20 {
            removed.push(timed(|| world.networks.remove(&format!("m{number}")).expect("gone")).1);
        }
        times("remove a network of a project that goes on", removed);
        let remove = |number: usize| world.networks.remove(&format!("n{number}")).expect("gone");
        times("remove a project", (0..20).map(|number| timed(|| remove(number)).1).collect());
    });
}

#[test]
#[ignore = "it measures"]
fn measure_names_and_bytes() {
    in_world(|world| {
        world.create("shop", "front", "{}");
        let web = world.container("web", &[("front", "{}")]);
        let peer = world.container("peer", &[("front", "{}")]);
        let served = world.serve(&web, "[{target: 80, published: '8080'}]", Settings::default());
        let query = super::lookups::query("peer", simple_dns::TYPE::A);
        web.run(|| {
            let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
            socket.connect((ADDRESS, 53)).expect("an address");
            let mut packet = [0; 512];
            let mut ask = || {
                socket.send(&query).expect("sent");
                socket.recv(&mut packet).expect("an answer");
            };
            times("look a name up", (0..2000).map(|_| timed(&mut ask).1).collect());
        });
        sink(&web, 80);
        let target = SocketAddr::from((web.ipv4(0), 80));
        let outside = |ip: Ipv4Addr| SocketAddr::from((ip, 8080));
        for _ in 0..3 {
            tell("container to container", peer.run(|| rate(target)));
            let led = world.outside.visit(|| rate(outside(HOST))).expect("a visit");
            tell("outside to published port, by the kernel", led);
            tell("host to its own address, by the kernel", rate(outside(HOST)));
            tell("host to 127.0.0.1, by the listener", rate(outside(Ipv4Addr::LOCALHOST)));
        }
        let connect = |at: SocketAddr| {
            let once = || drop(TcpStream::connect(at).expect("connected"));
            (0..300).map(|_| timed(once).1).collect::<Vec<_>>()
        };
        times("connect container to container", peer.run(|| connect(target)));
        let led = world.outside.visit(|| connect(outside(HOST))).expect("a visit");
        times("connect from outside", led);
        times("connect to 127.0.0.1", connect(outside(Ipv4Addr::LOCALHOST)));
        drop(served);
    });
}

/// Takes what comes, and answers with one byte at its end.
fn sink(container: &Container, port: u16) {
    let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    let listener = container.run(|| TcpListener::bind(any)).expect("a free port");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut buffer = vec![0; 256 << 10];
                while stream.read(&mut buffer).is_ok_and(|length| length > 0) {}
                let _ = stream.write_all(b".");
            });
        }
    });
}

/// How fast bytes get through.
fn rate(at: SocketAddr) -> String {
    const BYTES: usize = 1 << 30;
    let mut stream = TcpStream::connect(at).expect("connected");
    let buffer = vec![7; 256 << 10];
    let start = Instant::now();
    for _ in 0..BYTES / buffer.len() {
        stream.write_all(&buffer).expect("sent");
    }
    stream.shutdown(std::net::Shutdown::Write).expect("ended");
    stream.read_exact(&mut [0]).expect("all arrived");
    let bits = f64::from(u32::try_from(BYTES).unwrap_or(u32::MAX)) * 8.0;
    format!("{:.1} Gbit/s", bits / start.elapsed().as_secs_f64() / 1e9)
}
