//! Names, asked for inside containers.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, TYPE};
use simple_dns::{ResourceRecord, rdata};

use super::super::dns::{ADDRESS, Settings};
use super::world::{Container, OUTSIDE, in_world};

/// What an answer says: how it went, and each record.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    code: RCODE,
    records: Vec<String>,
    is_cut: bool,
}

pub(super) fn query(name: &str, kind: TYPE) -> Vec<u8> {
    let mut packet = Packet::new_query(7);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let class = QCLASS::CLASS(CLASS::IN);
    let name = Name::new(name).expect("a name");
    packet.questions.push(Question::new(name, QTYPE::TYPE(kind), class, false));
    packet.build_bytes_vec().expect("bytes")
}

fn answer(bytes: &[u8]) -> Answer {
    let packet = Packet::parse(bytes).expect("an answer");
    assert_eq!(packet.id(), 7);
    let text = |record: &ResourceRecord<'_>| match &record.rdata {
        RData::A(a) => Ipv4Addr::from(a.address).to_string(),
        RData::AAAA(a) => std::net::Ipv6Addr::from(a.address).to_string(),
        RData::PTR(name) => name.0.to_string(),
        other => format!("{other:?}"),
    };
    let records = packet.answers.iter().map(text).collect();
    Answer { code: packet.rcode(), records, is_cut: packet.has_flags(PacketFlag::TRUNCATION) }
}

fn exchange(query: &[u8]) -> Vec<u8> {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(5))).expect("a limit");
    socket.connect((ADDRESS, 53)).expect("an address");
    let mut packet = vec![0; 65535];
    // As resolvers do: packets may get lost.
    for _ in 0..4 {
        socket.send(query).expect("sent");
        if let Ok(length) = socket.recv(&mut packet) {
            packet.truncate(length);
            return packet;
        }
    }
    panic!("no answer")
}

fn exchange_tcp(query: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect((ADDRESS, 53)).expect("connected");
    stream.set_read_timeout(Some(super::world::LIMIT)).expect("a limit");
    let length = u16::try_from(query.len()).expect("short").to_be_bytes();
    stream.write_all(&[&length[..], query].concat()).expect("sent");
    let mut length = [0; 2];
    stream.read_exact(&mut length).expect("a length");
    let mut packet = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut packet).expect("a message");
    packet
}

impl Container {
    fn look_up(&self, name: &str, kind: TYPE) -> Answer {
        self.run(|| answer(&exchange(&query(name, kind))))
    }
}

fn found(records: &[&str]) -> Answer {
    let records = records.iter().map(|&record| record.to_owned()).collect();
    Answer { code: RCODE::NoError, records, is_cut: false }
}

fn refused(code: RCODE) -> Answer {
    Answer { code, records: Vec::new(), is_cut: false }
}

#[test]
fn containers_find_each_other_by_all_their_names() {
    in_world(|world| {
        world.create(
            "shop",
            "shop_back",
            "{ipam: {config: [{subnet: 10.9.0.0/24}]}, enable_ipv6: true}",
        );
        world.create("shop", "shop_front", "{ipam: {config: [{subnet: 10.8.0.0/24}]}}");
        let web = world.container("shop-web-1", &[("shop_front", "{aliases: [web]}")]);
        let settings =
            Settings { links: vec!["shop-web-1:site".to_owned()], ..Settings::default() };
        let _served = world.serve(&web, "[]", settings);
        assert_eq!(web.look_up("web", TYPE::A), found(&["10.8.0.2"]));
        assert_eq!(web.look_up("db", TYPE::A), refused(RCODE::NameError), "not yet");

        // Whoever is there when it is asked for is found: no time passes in between.
        let networks = [("shop_front", "{aliases: [DB]}"), ("shop_back", "{}")];
        let db = world.container("shop-db-1", &networks);
        for name in ["db", "DB", "shop-db-1", "shop-db-1.shop_front", &db.member.id[..12]] {
            assert_eq!(web.look_up(name, TYPE::A), found(&["10.8.0.3"]), "{name}");
        }
        assert_eq!(web.look_up("site", TYPE::A), found(&["10.8.0.2"]));
        assert_eq!(web.look_up("db", TYPE::AAAA), found(&[]), "it has none, but it is there");
        assert_eq!(web.look_up("db", TYPE::MX), found(&[]));
        assert_eq!(
            web.look_up("3.0.8.10.in-addr.arpa", TYPE::PTR),
            found(&["shop-db-1.shop_front"])
        );
        assert_eq!(web.look_up("99.0.8.10.in-addr.arpa", TYPE::PTR), refused(RCODE::NameError));
        let by_tcp = web.run(|| answer(&exchange_tcp(&query("db", TYPE::A))));
        assert_eq!(by_tcp, found(&["10.8.0.3"]));

        let second = world.container("shop-db-2", &[("shop_front", "{aliases: [db]}")]);
        let turns: Vec<Vec<String>> = (0..4).map(|_| web.look_up("db", TYPE::A).records).collect();
        assert_eq!(turns[0], turns[2]);
        assert_ne!(turns[0], turns[1], "each is first in turn");
        world.end(second);
        assert_eq!(web.look_up("db", TYPE::A), found(&["10.8.0.3"]));
        world.end(db);
        assert_eq!(web.look_up("db", TYPE::A), refused(RCODE::NameError));
    });
}

#[test]
fn many_replicas_do_not_fit_into_a_packet_but_into_a_stream() {
    in_world(|world| {
        world.create("shop", "front", "{}");
        let many: Vec<Container> = (0..40)
            .map(|number| world.container(&format!("w{number}"), &[("front", "{aliases: [w]}")]))
            .collect();
        let _served = world.serve(&many[0], "[]", Settings::default());
        assert!(many[0].look_up("w", TYPE::A).is_cut);
        let all = many[0].run(|| answer(&exchange_tcp(&query("w", TYPE::A))));
        assert_eq!((all.records.len(), all.is_cut), (40, false));
    });
}

/// A server of the outside world, which knows one name, and never answers for another.
fn upstream(socket: &UdpSocket, tcp: &TcpListener) {
    let known = |bytes: &[u8]| {
        let packet = Packet::parse(bytes).expect("a query");
        let question = packet.questions[0].clone();
        if question.qname.to_string() == "silent.example" {
            return None;
        }
        let mut reply = Packet::new_reply(packet.id());
        reply.questions.push(question.clone());
        let data = RData::A(rdata::A { address: 0x0102_0304 });
        reply.answers.push(ResourceRecord::new(question.qname, CLASS::IN, 60, data));
        Some(reply.build_bytes_vec().expect("bytes"))
    };
    let (socket, tcp) = (socket.try_clone().expect("one"), tcp.try_clone().expect("one"));
    std::thread::spawn(move || {
        let mut packet = vec![0; 4096];
        while let Ok((length, from)) = socket.recv_from(&mut packet) {
            if let Some(reply) = known(&packet[..length]) {
                // Somebody else's answer comes first.
                let mut wrong = reply.clone();
                wrong[0] ^= 1;
                socket.send_to(&wrong, from).expect("sent");
                socket.send_to(&reply, from).expect("sent");
            }
        }
    });
    std::thread::spawn(move || {
        for mut stream in tcp.incoming().flatten() {
            let mut length = [0; 2];
            stream.read_exact(&mut length).expect("a length");
            let mut packet = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut packet).expect("a query");
            let reply = known(&packet).expect("an answer");
            let length = u16::try_from(reply.len()).expect("short").to_be_bytes();
            stream.write_all(&[&length[..], &reply].concat()).expect("sent");
        }
    });
}

#[test]
fn all_other_names_are_asked_for_elsewhere() {
    in_world(|world| {
        world.create("shop", "front", "{}");
        world.create("shop", "back", "{internal: true}");
        let bind = || {
            let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 53));
            (UdpSocket::bind(any).expect("a port"), TcpListener::bind(any).expect("a port"))
        };
        let (udp, tcp) = world.outside.visit(bind).expect("a visit");
        upstream(&udp, &tcp);
        let web = world.container("web", &[("front", "{}")]);
        let servers = vec!["192.0.2.99".to_owned(), OUTSIDE.to_string()];
        let settings = Settings { servers, ..Settings::default() };
        let _served = world.serve(&web, "[]", settings);
        assert_eq!(web.look_up("www.example", TYPE::A), found(&["1.2.3.4"]));
        assert_eq!(web.look_up("single", TYPE::A), found(&["1.2.3.4"]), "its own servers may");
        let by_tcp = web.run(|| answer(&exchange_tcp(&query("www.example", TYPE::A))));
        assert_eq!(by_tcp, found(&["1.2.3.4"]));
        assert_eq!(web.look_up("silent.example", TYPE::A), refused(RCODE::ServerFailure));

        let db = world.container("db", &[("back", "{}")]);
        let _served = world.serve(&db, "[]", Settings::default());
        assert_eq!(db.look_up("www.example", TYPE::A), refused(RCODE::NameError), "internal");
    });
}

#[test]
fn a_hostile_container_gets_short_answers_and_others_go_on() {
    in_world(|world| {
        world.create("shop", "front", "{}");
        let web = world.container("web", &[("front", "{}")]);
        let settings = Settings { servers: vec!["192.0.2.99".to_owned()], ..Settings::default() };
        let _served = world.serve(&web, "[]", settings);
        web.run(|| {
            let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
            // More than other servers are asked at once: the rest is refused at once.
            for number in 0..400 {
                let query = query(&format!("n{number}.example"), TYPE::A);
                socket.send_to(&query, (ADDRESS, 53)).expect("sent");
            }
            for junk in [&[][..], &[0; 5], &[255; 40], &[0; 4096], &[0xc0; 600]] {
                socket.send_to(junk, (ADDRESS, 53)).expect("sent");
            }
            let idle: Vec<_> = (0..64)
                .filter_map(|_| {
                    let address = SocketAddr::from((ADDRESS, 53));
                    TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()
                })
                .collect();
            assert_eq!(answer(&exchange(&query("web", TYPE::A))).code, RCODE::NoError);
            drop(idle);
        });
    });
}
