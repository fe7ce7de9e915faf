//! What is left when processes are killed, and what other programs leave.

use super::super::dns::Settings;
use super::super::nft::{Filters, forward};
use super::super::{Networks, Swept};
use super::world::{HOST, OUTSIDE, ask, eventually, id, in_world};

/// Forgets what was made, as a process that is killed does.
fn killed<T>(value: T) {
    std::mem::forget(value);
}

#[test]
fn what_dead_containers_left_is_swept_and_the_living_keep_theirs() {
    in_world(|world| {
        let before = world.leftovers();
        world.create("shop", "front", "{}");
        let live = world.container("live", &[("front", "{}")]);
        let dead = world.container("dead", &[("front", "{}")]);
        live.answer(80);
        let served = world.serve(&live, "[{target: 80, published: '8080'}]", Settings::default());
        world.networks.publish_dead(&dead, 8081);
        let lives = |container: &str| container == id("live");
        let swept = world.networks.sweep(&lives).expect("swept");
        assert_eq!(swept, Swept { endpoints: 1, ports: 1, ..Swept::default() });
        assert_eq!(world.networks.sweep(&lives).expect("swept"), Swept::default());
        assert!(world.outside.visit(|| ask(HOST, 8080)).expect("a visit").is_ok());
        let next = world.container("next", &[("front", "{}")]);
        assert_eq!(next.ipv4(0), dead.ipv4(0), "its address is free again");

        // The network is forgotten, but not its namespace.
        drop(served);
        std::fs::remove_dir_all(world.networks.definitions.join("front")).expect("removed");
        let swept = world.networks.sweep(&|_| false).expect("swept");
        assert_eq!((swept.endpoints, swept.namespaces), (2, 1));
        drop((live, dead, next));
        eventually("the host is as before", || world.leftovers() == before);
    });
}

#[test]
fn interfaces_that_lead_nowhere_are_swept() {
    in_world(|world| {
        world.create("shop", "front", "{}");
        let before = world.leftovers();
        let prefix = super::super::host::Host::new(&world.volatile()).prefix();
        let mut links = super::super::netlink::link::Links::open().expect("a socket");
        let elsewhere = super::world::namespace();
        let name = format!("{prefix}stale");
        let veth = super::super::netlink::link::Veth {
            name: &name,
            bridge: None,
            mtu: 1500,
            peer: "x",
            mac: None,
        };
        let request = super::super::netlink::link::Request::veth(&veth, &elsewhere);
        links.run(vec![request]).expect("a pair");
        assert_eq!(world.networks.sweep(&|_| true).expect("swept").links, 1);
        assert_eq!(world.leftovers(), before);
    });
}

/// The kernel gives the number of a namespace that is gone to another one.
#[test]
fn what_is_left_of_a_namespace_does_not_count_for_the_next_one() {
    in_world(|world| {
        world.create("shop", "front", "{}");
        drop(world.container("a", &[("front", "{}")]));
        let projects = world.networks.projects();
        let gone = projects.find("shop").expect("read").expect("there").uplink;
        // As far as who removes the network gets, if killed then.
        projects.remove("shop").expect("removed");
        let mut project = projects.ensure("shop", &[]).expect("made");
        project.uplink.inode = gone.inode;
        let definition = world.networks.required("front").expect("there");
        let members = super::super::membership::Members::new(&world.volatile(), "front");
        let others = || Ok(vec![definition.bridge.clone()]);
        super::super::bridge::ensure(&definition, &project, &others, &members).expect("made");
        let links = project.namespace.visit(super::super::netlink::link::Links::open);
        let index = links.expect("a visit").expect("a socket").index(&definition.bridge);
        assert!(index.expect("asked").is_some(), "the bridge is in this one");
    });
}

/// After a reboot only the durable files are there.
#[test]
fn networks_come_back_after_a_reboot() {
    in_world(|world| {
        world.create("shop", "front", "{}");
        let subnet = world.container("a", &[("front", "{}")]).ipv4(0);
        let volatile = world.volatile();
        super::super::Namespace::unpin(&volatile.join("ns/shop")).expect("unpinned");
        std::fs::remove_dir_all(&volatile).expect("removed");
        let a = world.container("a", &[("front", "{}")]);
        assert_eq!(a.ipv4(0), subnet);
        super::world::answer(&world.outside, 80);
        assert_eq!(a.run(|| ask(OUTSIDE, 80)).expect("outside"), HOST.to_string());
    });
}

#[test]
fn a_namespace_that_was_half_made_is_made_anew() {
    in_world(|world| {
        let pin = world.volatile().join("ns");
        std::fs::create_dir_all(&pin).expect("a folder");
        super::super::Namespace::create(&pin.join("shop"), || ()).expect("a namespace");
        world.create("shop", "front", "{}");
        let a = world.container("a", &[("front", "{}")]);
        super::world::answer(&world.outside, 80);
        assert!(a.run(|| ask(OUTSIDE, 80)).is_ok());
    });
}

#[test]
fn what_another_program_drops_is_accepted_for_us_alone_and_only_while_we_are_there() {
    for chain in ["FORWARD", "DOCKER-USER"] {
        in_world(|world| {
            let mut filters = Filters::open().expect("a socket");
            filters.apply(forward::docker_like(chain)).expect("a chain that drops");
            let dropping = super::super::dropping_chains().expect("chains");
            assert_eq!(dropping, [format!("ip filter {chain}")]);
            let rules = |filters: &mut Filters| filters.count_rules(chain).expect("rules");
            let before = rules(&mut filters);

            world.create("shop", "front", "{}");
            let web = world.container("web", &[("front", "{}")]);
            super::world::answer(&world.outside, 80);
            web.answer(80);
            assert!(web.run(|| ask(OUTSIDE, 80)).is_ok());
            let served =
                world.serve(&web, "[{target: 80, published: '8080'}]", Settings::default());
            assert!(world.outside.visit(|| ask(HOST, 8080)).expect("a visit").is_ok());
            drop(served);
            assert_eq!(rules(&mut filters), before + 2);
            world.create("shop", "front", "{}");
            assert_eq!(rules(&mut filters), before + 2, "once");
            world.end(web);
            world.networks.remove("front").expect("removed");
            assert_eq!(rules(&mut filters), before);
        });
    }
}

#[test]
fn two_roots_do_not_disturb_each_other() {
    in_world(|world| {
        let folder = tempfile::tempdir().expect("a folder");
        let other = Networks::new(&folder.path().join("d"), &folder.path().join("r"));
        world.create("shop", "front", "{}");
        other.create(&super::world::spec("shop", "front", "{}")).expect("created");
        let web = world.container("web", &[("front", "{}")]);
        other.remove("front").expect("removed");
        // Its own interface may still be on its way out.
        let swept = other.sweep(&|_| false).expect("swept");
        assert_eq!(Swept { links: 0, ..swept }, Swept::default());
        super::world::answer(&world.outside, 80);
        assert!(web.run(|| ask(OUTSIDE, 80)).is_ok());
    });
}

/// Forwarding is switched on for us, and off again.
#[test]
fn the_host_forwards_only_while_there_is_a_project() {
    in_world(|world| {
        let forwards = || super::super::host::sysctl("net/ipv4/ip_forward").expect("a switch");
        super::super::host::set_sysctl("net/ipv4/ip_forward", "0").expect("switched off");
        world.create("shop", "front", "{}");
        assert_eq!(forwards().as_deref(), Some("1"));
        world.networks.remove("front").expect("removed");
        assert_eq!(forwards().as_deref(), Some("0"));
    });
}

impl Networks {
    /// What a process that was killed has left of a published port.
    fn publish_dead(&self, container: &super::world::Container, port: u16) {
        let text = format!("{{target: 80, published: '{port}'}}");
        let port = serde_yaml::from_str(&text).expect("a port");
        let listeners = super::super::publish::reserve(&[port]).expect("free");
        let listeners = std::rc::Rc::new(listeners);
        let published = self.publish(&container.member.id, listeners, &container.endpoints);
        killed(published.expect("published"));
    }
}

/// The filters of iptables before nf_tables, changed by the program of that name.
#[test]
fn what_the_old_iptables_drop_is_accepted_too() {
    let iptables = |arguments: &str| {
        let words = arguments.split(' ');
        let output = std::process::Command::new("iptables-legacy").args(words).output();
        output
            .ok()
            .filter(|output| output.status.success())
            .map(|output| String::from_utf8(output.stdout).expect("text"))
    };
    for chain in ["FORWARD", "DOCKER-USER"] {
        in_world(|world| {
            if iptables("-P FORWARD DROP").is_none() {
                super::world::skipped("it needs iptables-legacy");
                return;
            }
            iptables("-A INPUT -p tcp --dport 1 -m comment --comment hello -j ACCEPT")
                .expect("a rule");
            if chain == "DOCKER-USER" {
                iptables("-N DOCKER-USER").expect("a chain");
                iptables("-A FORWARD -j DOCKER-USER").expect("a jump");
            }
            iptables("-A FORWARD -s 203.0.113.9 -j REJECT").expect("a rule");
            iptables("-N OTHER").expect("a chain");
            iptables("-A FORWARD -j OTHER").expect("a jump");
            let before = iptables("-S").expect("rules");
            let dropping = super::super::dropping_chains().expect("chains");
            assert_eq!(dropping, ["iptables-legacy filter FORWARD"]);

            world.create("shop", "front", "{}");
            let web = world.container("web", &[("front", "{}")]);
            super::world::answer(&world.outside, 80);
            assert!(web.run(|| ask(OUTSIDE, 80)).is_ok());
            let prefix = super::super::host::Host::new(&world.volatile()).prefix();
            let during = iptables("-S").expect("rules");
            let ours: Vec<&str> = during.lines().filter(|rule| rule.contains(&prefix)).collect();
            let rule = |side: &str| format!("-A {chain} -{side} {prefix}+ -j ACCEPT");
            assert_eq!(ours, [rule("i"), rule("o")]);
            let others: Vec<&str> = during.lines().filter(|rule| !rule.contains(&prefix)).collect();
            assert_eq!(others, before.lines().collect::<Vec<_>>());

            world.create("shop", "front", "{}");
            assert_eq!(iptables("-S").expect("rules"), during, "once");
            world.end(web);
            world.networks.remove("front").expect("removed");
            assert_eq!(iptables("-S").expect("rules"), before);
        });
    }
}

/// Networks come and go while containers join them: nobody waits for ever, and none is lost.
#[test]
fn joining_and_removing_at_once_is_no_trap() {
    in_world(|world| {
        let before = world.leftovers();
        let turn = |name: &str| {
            for _ in 0..10 {
                let container = world.container(name, &[("bridge", "{}")]);
                world.end(container);
            }
        };
        std::thread::scope(|scope| {
            for name in ["a", "b", "c"] {
                scope.spawn(move || turn(name));
            }
        });
        assert!(world.networks.list().expect("a list").is_empty());
        eventually("the host is as before", || world.leftovers() == before);
    });
}
