//! Containers reach each other and the world, and nothing stays behind.

use super::super::{Member, Namespace};
use super::world::{HOST, OUTSIDE, ask, eventually, id, in_world, spec};
use crate::runtime::RuntimeError;

#[test]
fn containers_reach_each_other_and_the_outside_and_nothing_survives() {
    in_world(|world| {
        let before = world.leftovers();
        world.create("shop", "shop_default", "{}");
        let (a, b) = (
            world.container("a", &[("shop_default", "{}")]),
            world.container("b", &[("shop_default", "{}")]),
        );
        b.answer(80);
        super::world::answer(&world.outside, 80);
        assert_eq!(a.run(|| ask(b.ipv4(0), 80)).expect("the neighbour"), a.ipv4(0).to_string());
        assert_eq!(a.run(|| ask(OUTSIDE, 80)).expect("outside"), HOST.to_string());

        let refused = world.networks.remove("shop_default").expect_err("in use");
        assert!(matches!(refused, RuntimeError::Conflict(_)), "{refused}");
        assert!(refused.to_string().ends_with("containers are in it: a, b"), "{refused}");
        world.end(a);
        world.end(b);
        world.networks.remove("shop_default").expect("removed");
        world.networks.remove("shop_default").expect("removed again");
        eventually("the host is as before", || world.leftovers() == before);
        assert!(world.networks.list().expect("a list").is_empty());
    });
}

#[test]
fn projects_may_have_identical_subnets() {
    in_world(|world| {
        let subnet = "{ipam: {config: [{subnet: 10.9.0.0/24}]}}";
        for project in ["one", "two"] {
            world.create(project, &format!("{project}_net"), subnet);
        }
        let a = world.container("a", &[("one_net", "{ipv4_address: 10.9.0.9}")]);
        let b = world.container("b", &[("two_net", "{ipv4_address: 10.9.0.9}")]);
        let c = world.container("c", &[("two_net", "{}")]);
        b.answer(80);
        assert!(c.run(|| ask(b.ipv4(0), 80)).is_ok());
        super::world::answer(&world.outside, 80);
        for container in [&a, &b] {
            assert_eq!(container.run(|| ask(OUTSIDE, 80)).expect("outside"), HOST.to_string());
        }
        let both = Member { id: id("a"), name: "a".to_owned() };
        let error = world.join(&both, "two_net", "{}").expect_err("overlap").to_string();
        assert!(error.contains("overlap"), "{error}");
    });
}

#[test]
fn networks_of_a_project_are_apart_and_internal_ones_lead_nowhere() {
    in_world(|world| {
        world.create("shop", "front", "{}");
        world.create("shop", "back", "{internal: true}");
        let web = world.container("web", &[("front", "{}"), ("back", "{}")]);
        let db = world.container("db", &[("back", "{}")]);
        let other = world.container("other", &[("front", "{}")]);
        db.answer(80);
        other.answer(80);
        super::world::answer(&world.outside, 80);
        super::world::answer(&Namespace::current().expect("the host"), 81);
        assert!(web.run(|| ask(db.ipv4(0), 80)).is_ok());
        assert!(web.run(|| ask(OUTSIDE, 80)).is_ok());
        assert!(db.run(|| ask(OUTSIDE, 80)).is_err(), "internal");
        assert!(other.run(|| ask(db.ipv4(0), 80)).is_err(), "apart");
        // Even with a route of its own making.
        let cheat = || {
            let mut links = super::super::netlink::link::Links::open().expect("a socket");
            let index = links.index("eth0").expect("an answer").expect("the interface");
            let gateway = db.endpoints[0].ipv4.expect("an address").gateway;
            let route = super::super::netlink::link::Request::default_route(index, gateway.into());
            links.run(vec![route]).expect("a route");
            (ask(OUTSIDE, 80), ask(other.ipv4(0), 80), ask(gateway, 81))
        };
        let (outside, neighbour, host) = db.run(cheat);
        assert!(outside.is_err() && neighbour.is_err() && host.is_err());
    });
}

#[test]
fn containers_of_an_isolated_network_reach_the_outside_only() {
    in_world(|world| {
        let isolated = "{driver_opts: {com.docker.network.bridge.enable_icc: 'false'}}";
        world.create("shop", "front", isolated);
        let (a, b) =
            (world.container("a", &[("front", "{}")]), world.container("b", &[("front", "{}")]));
        b.answer(80);
        super::world::answer(&world.outside, 80);
        assert!(a.run(|| ask(b.ipv4(0), 80)).is_err());
        assert!(a.run(|| ask(OUTSIDE, 80)).is_ok());
    });
}

/// `network_mode: bridge`.
#[test]
fn the_default_network_is_there_as_long_as_somebody_is_in_it() {
    in_world(|world| {
        let before = world.leftovers();
        let a = world.container("a", &[("bridge", "{}")]);
        let b = world.container("b", &[("bridge", "{}")]);
        b.answer(80);
        assert!(a.run(|| ask(b.ipv4(0), 80)).is_ok());
        world.end(a);
        assert_eq!(world.networks.list().expect("a list").len(), 1);
        world.end(b);
        assert!(world.networks.list().expect("a list").is_empty());
        eventually("the host is as before", || world.leftovers() == before);
        let member = Member { id: id("a"), name: "a".to_owned() };
        let error = world.join(&member, "host", "{}").expect_err("no bridge").to_string();
        assert!(error.contains("network_mode: host"), "{error}");
        assert!(world.networks.find("host").expect("an answer").is_some());
    });
}

#[test]
fn the_host_answers_at_its_own_address_and_at_the_gateways() {
    in_world(|world| {
        world.create("shop", "front", "{}");
        let web = world.container("web", &[("front", "{}")]);
        super::world::answer(&Namespace::current().expect("the host"), 81);
        let place = &web.endpoints[0];
        let (host, gateway) = (place.host.expect("a host"), place.ipv4.expect("one").gateway);
        assert!(web.run(|| ask(host, 81)).is_ok());
        assert!(web.run(|| ask(gateway, 81)).is_ok());
        assert!(web.run(|| ask(HOST, 81)).is_ok());
    });
}

#[test]
fn attributes_of_a_connection_are_obeyed() {
    in_world(|world| {
        let subnets = "{enable_ipv6: true, ipam: {config: [{subnet: 10.9.0.0/24},
                        {subnet: 'fd12::/64'}]}}";
        world.create("shop", "one", subnets);
        world.create("shop", "two", "{driver_opts: {com.docker.network.driver.mtu: '1400'}}");
        let options = "{ipv4_address: 10.9.0.77, ipv6_address: 'fd12::77', interface_name: lan0,
            mac_address: '02:00:00:00:00:77', link_local_ips: [169.254.7.7],
            driver_opts: {com.docker.network.endpoint.sysctls: net.ipv4.conf.IFNAME.log_martians=1}}";
        let web = world.container("web", &[("one", options), ("two", "{gw_priority: 1}")]);
        let names: Vec<&str> = web.endpoints.iter().map(|one| one.interface.as_str()).collect();
        assert_eq!(names, ["lan0", "eth0"]);
        let read = |path: &str| {
            let text = std::process::Command::new("cat").arg(path).output();
            String::from_utf8(text.expect("it is read").stdout).expect("text").trim().to_owned()
        };
        let inside = web.run(|| {
            let martians = read("/proc/self/net/route");
            (read("/proc/sys/net/ipv4/conf/lan0/log_martians"), martians)
        });
        assert_eq!(inside.0, "1");
        let default = inside.1.lines().find(|line| line.split('\t').nth(1) == Some("00000000"));
        assert!(default.expect("a default route").starts_with("eth0"), "{}", inside.1);

        let peer = world.container("peer", &[("one", "{}")]);
        peer.answer(80);
        assert_eq!(web.run(|| ask(peer.ipv4(0), 80)).expect("by IPv4"), "10.9.0.77");
        let neighbours = peer.run(|| read("/proc/self/net/arp"));
        assert!(neighbours.contains("02:00:00:00:00:77"), "{neighbours}");
        let ipv6 = peer.endpoints[0].ipv6.expect("an address").ip;
        assert_eq!(web.run(|| ask(ipv6, 80)).expect("by IPv6"), "fd12::77");
        super::world::answer(&world.outside, 80);
        let outside: std::net::IpAddr = "2001:db8::2".parse().expect("an address");
        assert_eq!(web.run(|| ask(outside, 80)).expect("outside by IPv6"), "2001:db8::1");

        let other = Member { id: id("other"), name: "other".to_owned() };
        for (yaml, part) in [
            ("{ipv4_address: 10.9.0.77}", "in use"),
            ("{ipv4_address: 10.8.0.77}", "not in the subnet"),
            ("{ipv4_address: 10.9.0.1}", "own"),
            ("{mac_address: x}", "MAC"),
            ("{interface_name: a/b}", "interface"),
            ("{driver_opts: {some: thing}}", "`some`"),
        ] {
            let error = world.join(&other, "one", yaml).expect_err(yaml).to_string();
            assert!(error.contains(part), "{error}");
        }
        let error = world.networks.create(&spec("shop", "three", subnets)).expect_err("overlap");
        assert!(error.to_string().contains("overlaps"), "{error}");
    });
}

#[test]
fn a_container_may_join_and_leave_while_it_runs() {
    in_world(|world| {
        world.create("shop", "one", "{}");
        world.create("", "shared", "{}");
        let mut web = world.container("web", &[("one", "{}")]);
        let peer = world.container("peer", &[("shared", "{}")]);
        peer.answer(80);
        assert!(web.run(|| ask(peer.ipv4(0), 80)).is_err());
        let endpoint = world.join(&web.member, "shared", "{}").expect("joined");
        assert_eq!(world.join(&web.member, "shared", "{}").expect("again"), endpoint);
        web.endpoints.push(endpoint.clone());
        assert_eq!(world.networks.endpoints(&web.member.id).expect("two"), web.endpoints);
        world.networks.attach(&web.endpoints, &web.namespace).expect("attached");
        assert!(web.run(|| ask(peer.ipv4(0), 80)).is_ok());
        world.networks.detach(&endpoint, &web.namespace).expect("detached");
        world.networks.detach(&endpoint, &web.namespace).expect("detached again");
        world.networks.leave(&web.member.id, "shared").expect("left");
        web.endpoints.pop();
        world.networks.attach(&web.endpoints, &web.namespace).expect("still attached");
        assert!(web.run(|| ask(peer.ipv4(0), 80)).is_err());
    });
}
