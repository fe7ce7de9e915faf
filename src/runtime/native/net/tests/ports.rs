//! Published ports from everywhere.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};

use super::super::dns::Settings;
use super::world::{HOST, OUTSIDE, ask, ask_udp, in_world};

#[test]
fn a_published_port_answers_from_everywhere() {
    in_world(|world| {
        world.create("shop", "front", "{}");
        world.create("other", "side", "{}");
        let web = world.container("web", &[("front", "{}")]);
        web.answer(80);
        let served = world.serve(&web, "[{target: 80, published: '8080'}]", Settings::default());
        assert_eq!(served.ports, [8080, 8080]);
        let gateway = web.endpoints[0].ipv4.expect("an address").gateway;

        let outside = world.outside.visit(|| ask(HOST, 8080)).expect("a visit");
        assert_eq!(outside.expect("from outside"), OUTSIDE.to_string(), "the client is told");
        let local = ask(Ipv4Addr::LOCALHOST, 8080).expect("from the host");
        assert_eq!(local, gateway.to_string());
        assert_eq!(ask(Ipv6Addr::LOCALHOST, 8080).expect("by IPv6"), gateway.to_string());
        assert_eq!(ask(HOST, 8080).expect("at its own address"), HOST.to_string());

        let neighbour = world.container("neighbour", &[("front", "{}")]);
        let stranger = world.container("stranger", &[("side", "{}")]);
        for (who, container) in [("itself", &web), ("a", &neighbour), ("another", &stranger)] {
            assert!(container.run(|| ask(HOST, 8080)).is_ok(), "{who}");
        }
        let direct = stranger.run(|| ask(web.ipv4(0), 80));
        assert!(direct.is_err(), "another project has no way in but published ports");

        drop(served);
        assert!(world.outside.visit(|| ask(HOST, 8080)).expect("a visit").is_err());
        assert!(ask(Ipv4Addr::LOCALHOST, 8080).is_err());
        let again = world.serve(&web, "[{target: 80, published: '8080'}]", Settings::default());
        assert!(world.outside.visit(|| ask(HOST, 8080)).expect("a visit").is_ok());
        drop(again);
    });
}

#[test]
fn packets_and_chosen_ports_and_given_addresses() {
    in_world(|world| {
        world.create("shop", "front", "{}");
        let dns = world.container("dns", &[("front", "{}")]);
        let web = world.container("web", &[("front", "{}")]);
        dns.answer(53);
        web.answer(80);
        let ports = "[{target: 53, protocol: udp, host_ip: 192.0.2.1, published: '5300-5310'},
                      {target: 53, protocol: udp, host_ip: 127.0.0.1, published: '5300'},
                      {target: 53}]";
        let served = world.serve(&dns, ports, Settings::default());
        let gateway = dns.endpoints[0].ipv4.expect("an address").gateway.to_string();
        let chosen = served.ports[2];
        assert_eq!(served.ports, [5300, 5300, chosen, chosen]);
        assert!(chosen > 1024);
        let outside = || (ask_udp(HOST, 5300), ask(HOST, chosen));
        let (packet, stream) = world.outside.visit(outside).expect("a visit");
        assert_eq!(packet.expect("an answer"), OUTSIDE.to_string());
        assert_eq!(stream.expect("an answer"), OUTSIDE.to_string());
        assert_eq!(ask_udp(Ipv4Addr::LOCALHOST, 5300).expect("an answer"), gateway);

        // The same port of another address of the host leads to another container.
        let ports = "[{target: 80, host_ip: 127.0.0.2, published: '5300'}]";
        let other = world.serve(&web, ports, Settings::default());
        assert_eq!(ask(Ipv4Addr::new(127, 0, 0, 2), 5300).expect("an answer"), gateway);
        let inside = || ask(HOST, 5300);
        assert!(world.outside.visit(inside).expect("a visit").is_err(), "not published there");
        drop((served, other));
    });
}

/// A client that keeps its port reaches the container that is there now.
#[test]
fn packets_follow_a_port_that_is_published_again() {
    in_world(|world| {
        world.create("shop", "front", "{}");
        let all =
            [world.container("a", &[("front", "{}")]), world.container("b", &[("front", "{}")])];
        let client = world.outside.visit(|| UdpSocket::bind("0.0.0.0:0")).expect("a visit");
        let client = client.expect("a socket");
        client.set_read_timeout(Some(super::world::LIMIT)).expect("a limit");
        for (container, target) in all.iter().zip([70, 71]) {
            let socket = container.run(|| UdpSocket::bind(("0.0.0.0", target)));
            let socket = socket.expect("a free port");
            let ports = format!("[{{target: {target}, published: '5300', protocol: udp}}]");
            let served = world.serve(container, &ports, Settings::default());
            client.send_to(b"hello", (HOST, 5300)).expect("sent");
            socket.set_read_timeout(Some(super::world::LIMIT)).expect("a limit");
            let mut packet = [0; 16];
            assert_eq!(socket.recv(&mut packet).expect("it arrives"), 5);
            drop(served);
        }
    });
}

#[test]
fn one_port_of_two_addresses_leads_to_two_containers() {
    in_world(|world| {
        let mut links = super::super::netlink::link::Links::open().expect("a socket");
        let index = links.index("eth0").expect("an answer").expect("the interface");
        let second = Ipv4Addr::new(192, 0, 2, 9);
        let address = super::super::netlink::link::Request::address(index, second.into(), 24);
        links.run(vec![address]).expect("an address");
        world.create("shop", "front", "{}");
        let (a, b) =
            (world.container("a", &[("front", "{}")]), world.container("b", &[("front", "{}")]));
        a.answer(80);
        b.answer(81);
        let at = |ip: &str, target: u16| {
            format!("[{{target: {target}, host_ip: {ip}, published: '8080'}}]")
        };
        let first = world.serve(&a, &at("192.0.2.1", 80), Settings::default());
        let other = world.serve(&b, &at("192.0.2.9", 81), Settings::default());
        let both = || (ask(HOST, 8080), ask(second, 8080));
        let (one, two) = world.outside.visit(both).expect("a visit");
        assert!(one.is_ok() && two.is_ok());
        drop(first);
        let (one, two) = world.outside.visit(both).expect("a visit");
        assert!(one.is_err() && two.is_ok());
        drop(other);
    });
}

#[test]
fn ipv6_is_led_to_containers_that_have_it() {
    in_world(|world| {
        world.create("shop", "front", "{enable_ipv6: true}");
        let web = world.container("web", &[("front", "{}")]);
        web.answer(80);
        let served = world.serve(&web, "[{target: 80, published: '8080'}]", Settings::default());
        let host: Ipv6Addr = "2001:db8::1".parse().expect("an address");
        let outside = world.outside.visit(|| ask(host, 8080)).expect("a visit");
        assert_eq!(outside.expect("an answer"), "2001:db8::2");
        drop(served);
    });
}

#[test]
fn ports_of_internal_containers_lead_nowhere() {
    in_world(|world| {
        world.create("shop", "back", "{internal: true}");
        let db = world.container("db", &[("back", "{}")]);
        db.answer(80);
        let served = world.serve(&db, "[{target: 80, published: '8080'}]", Settings::default());
        assert!(world.outside.visit(|| ask(HOST, 8080)).expect("a visit").is_err());
        drop(served);
    });
}

/// A connection carries many bytes both ways, each way ends by itself, and nothing is lost.
#[test]
fn long_streams_are_carried_whole() {
    const BYTES: usize = 8 << 20;
    in_world(|world| {
        world.create("shop", "front", "{}");
        let web = world.container("web", &[("front", "{}")]);
        let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 80));
        let listener = web.run(|| TcpListener::bind(any)).expect("a free port");
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut received = Vec::new();
                stream.read_to_end(&mut received).expect("all of it");
                stream.write_all(&received).expect("sent back");
            }
        });
        let served = world.serve(&web, "[{target: 80, published: '8080'}]", Settings::default());
        let sent: Vec<u8> =
            (0..BYTES).map(|at| u8::try_from(at * 7 % 251).expect("a byte")).collect();
        let echo = |ip: Ipv4Addr| {
            let mut stream = TcpStream::connect((ip, 8080)).expect("connected");
            stream.set_read_timeout(Some(super::world::LIMIT)).expect("a limit");
            stream.write_all(&sent).expect("sent");
            stream.shutdown(Shutdown::Write).expect("half closed");
            let mut back = Vec::new();
            stream.read_to_end(&mut back).expect("all of it");
            assert!(back == sent, "{} of {BYTES}", back.len());
        };
        echo(Ipv4Addr::LOCALHOST);
        world.outside.visit(|| echo(HOST)).expect("a visit");
        drop(served);
    });
}
