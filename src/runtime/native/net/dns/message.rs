//! Queries and answers as bytes.
//!
//! In: what a container sent. Out: the question, and answers to it. Pure.
//!
//! # Invariants
//!
//! - Whatever the bytes are, work and memory are in proportion to their number.

use std::net::IpAddr;

use simple_dns::rdata::{OPT, PTR, RData};
use simple_dns::{CLASS, Name, OPCODE, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE};
use simple_dns::{ResourceRecord, TYPE};

/// How long an answer may be remembered: containers come and go.
const SECONDS: u32 = 5;
/// Bytes of a header.
const HEADER: usize = 12;
/// What a client takes that does not say so, and the least that one may say.
const SHORT: usize = 512;
/// What answers of our own say that they take.
const ROOM: u16 = 1232;
/// Additional records that a query may have.
const EXTRAS: u16 = 4;

/// What a container asks.
#[derive(Debug)]
pub(super) struct Query<'a> {
    packet: Packet<'a>,
    question: Question<'a>,
    /// The name in small letters, without the dot at its end.
    pub(super) name: String,
    pub(super) kind: Kind,
    /// Bytes that an answer may have.
    pub(super) room: usize,
}

/// What is wanted of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Ipv4,
    Ipv6,
    /// Any address.
    Any,
    /// The name of an address.
    Pointer,
    Other,
}

/// What arrived.
#[derive(Debug)]
pub(super) enum Arrived<'a> {
    Query(Box<Query<'a>>),
    /// No query that can be answered, but by these bytes.
    Bad(Vec<u8>),
    /// Nothing that may be answered.
    Nothing,
}

/// Why there are no records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// There is no such name.
    NoName,
    /// It cannot be found out.
    Failure,
}

/// Reads what a container sent.
pub(super) fn read(bytes: &[u8]) -> Arrived<'_> {
    let Some(header) = bytes.first_chunk::<HEADER>() else { return Arrived::Nothing };
    let is_answer = header[2] & 0x80 != 0;
    if is_answer {
        return Arrived::Nothing;
    }
    let count = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let fits = count(4) == 1 && count(6) == 0 && count(8) == 0 && count(10) <= EXTRAS;
    let packet = if fits { Packet::parse(bytes).ok() } else { None };
    let Some((packet, question)) = packet.and_then(|packet| {
        let question = packet.questions.first()?.clone();
        Some((packet, question))
    }) else {
        return Arrived::Bad(bare(header, RCODE::FormatError));
    };
    let is_usual = packet.opcode() == OPCODE::StandardQuery
        && question.qclass == QCLASS::CLASS(CLASS::IN)
        && matches!(question.qtype, QTYPE::TYPE(_) | QTYPE::ANY);
    if !is_usual {
        return Arrived::Bad(bare(header, RCODE::NotImplemented));
    }
    let kind = match question.qtype {
        QTYPE::TYPE(TYPE::A) => Kind::Ipv4,
        QTYPE::TYPE(TYPE::AAAA) => Kind::Ipv6,
        QTYPE::TYPE(TYPE::PTR) => Kind::Pointer,
        QTYPE::ANY => Kind::Any,
        _ => Kind::Other,
    };
    let room = packet.opt().map_or(SHORT, |opt| usize::from(opt.udp_packet_size).max(SHORT));
    let name = question.qname.to_string().to_lowercase();
    Arrived::Query(Box::new(Query { packet, question, name, kind, room }))
}

/// An answer to what cannot be understood: its header alone.
fn bare(header: &[u8; HEADER], code: RCODE) -> Vec<u8> {
    let mut bytes = vec![0; HEADER];
    bytes[..2].copy_from_slice(&header[..2]);
    // An answer, with the operation and the wish for recursion as they were.
    bytes[2] = 0x80 | header[2] & 0x79;
    bytes[3] = match code {
        RCODE::FormatError => 1,
        _ => 4,
    };
    bytes
}

impl Query<'_> {
    /// An answer with these addresses; with none, the name has no such record.
    pub(super) fn addresses(&self, ips: &[IpAddr]) -> Vec<u8> {
        let data = ips.iter().map(|ip| match ip {
            IpAddr::V4(ip) => RData::A((*ip).into()),
            IpAddr::V6(ip) => RData::AAAA((*ip).into()),
        });
        self.records(data.collect())
    }

    /// An answer with the name of an address.
    pub(super) fn pointer(&self, name: &str) -> Vec<u8> {
        match Name::new(name) {
            Ok(name) => self.records(vec![RData::PTR(PTR(name))]),
            Err(_) => self.refuse(Refusal::NoName),
        }
    }

    fn records(&self, data: Vec<RData<'_>>) -> Vec<u8> {
        let mut reply = self.reply();
        reply.set_flags(PacketFlag::AUTHORITATIVE_ANSWER);
        let name = || self.question.qname.clone();
        let record = |data| ResourceRecord::new(name(), CLASS::IN, SECONDS, data);
        reply.answers = data.into_iter().map(record).collect();
        build(&reply)
    }

    /// An answer without records.
    pub(super) fn refuse(&self, refusal: Refusal) -> Vec<u8> {
        let mut reply = self.reply();
        *reply.rcode_mut() = match refusal {
            Refusal::NoName => RCODE::NameError,
            Refusal::Failure => RCODE::ServerFailure,
        };
        build(&reply)
    }

    /// An answer that asks the client to come again by TCP.
    pub(super) fn truncated(&self) -> Vec<u8> {
        let mut reply = self.reply();
        reply.set_flags(PacketFlag::TRUNCATION);
        build(&reply)
    }

    fn reply(&self) -> Packet<'_> {
        let mut reply = Packet::new_reply(self.packet.id());
        reply.set_flags(PacketFlag::RECURSION_AVAILABLE);
        if self.packet.has_flags(PacketFlag::RECURSION_DESIRED) {
            reply.set_flags(PacketFlag::RECURSION_DESIRED);
        }
        if self.packet.opt().is_some() {
            *reply.opt_mut() =
                Some(OPT { opt_codes: Vec::new(), udp_packet_size: ROOM, version: 0 });
        }
        reply.questions.push(self.question.clone());
        reply
    }
}

fn build(reply: &Packet<'_>) -> Vec<u8> {
    // A message that was parsed can be written; were it not so, nobody would be answered.
    reply.build_bytes_vec_compressed().unwrap_or_default()
}

/// The address whose name is asked for: `4.3.2.1.in-addr.arpa`.
pub(super) fn pointed_at(name: &str) -> Option<IpAddr> {
    if let Some(digits) = name.strip_suffix(".in-addr.arpa") {
        let reversed: Vec<&str> = digits.split('.').rev().collect();
        return reversed.join(".").parse::<std::net::Ipv4Addr>().ok().map(IpAddr::V4);
    }
    let digits = name.strip_suffix(".ip6.arpa")?;
    let mut number: u128 = 0;
    let mut count = 0;
    for digit in digits.split('.').rev() {
        let value = u128::from(char::to_digit(digit.chars().next()?, 16)?);
        if digit.len() != 1 || count == 32 {
            return None;
        }
        number = number << 4 | value;
        count += 1;
    }
    (count == 32).then(|| IpAddr::V6(number.into()))
}

/// The bytes of the question of a message: what an answer must repeat.
pub(super) fn question_bytes(bytes: &[u8]) -> Option<&[u8]> {
    let mut at = HEADER;
    loop {
        let length = usize::from(*bytes.get(at)?);
        // A question has no compressed names: nothing stands before it.
        if length > 63 {
            return None;
        }
        at += 1 + length;
        if length == 0 {
            return bytes.get(HEADER..at + 4);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use simple_dns::rdata::RData;
    use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, TYPE};

    use super::{Arrived, Kind, Query, Refusal, pointed_at, question_bytes, read};

    pub(crate) fn query(name: &str, kind: TYPE) -> Vec<u8> {
        let mut packet = Packet::new_query(77);
        packet.set_flags(PacketFlag::RECURSION_DESIRED);
        let name = Name::new(name).expect("a name");
        let class = QCLASS::CLASS(CLASS::IN);
        packet.questions.push(Question::new(name, QTYPE::TYPE(kind), class, false));
        packet.build_bytes_vec().expect("bytes")
    }

    fn parsed(bytes: &[u8]) -> Box<Query<'_>> {
        match read(bytes) {
            Arrived::Query(query) => query,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn answers_repeat_the_question_and_have_its_number() {
        let bytes = query("Web.Example", TYPE::A);
        let query = parsed(&bytes);
        assert_eq!((query.name.as_str(), query.kind, query.room), ("web.example", Kind::Ipv4, 512));
        let answer = query.addresses(&["10.0.0.2".parse().expect("an address")]);
        let answer = Packet::parse(&answer).expect("an answer");
        assert_eq!((answer.id(), answer.rcode()), (77, RCODE::NoError));
        assert_eq!(answer.questions[0].qname.to_string(), "Web.Example");
        assert!(answer.has_flags(PacketFlag::RECURSION_DESIRED | PacketFlag::RECURSION_AVAILABLE));
        assert_eq!(answer.answers[0].ttl, 5);
        assert!(matches!(&answer.answers[0].rdata, RData::A(a) if a.address == 0x0a00_0002));

        let empty = query.addresses(&[]);
        let empty = Packet::parse(&empty).expect("an answer");
        assert_eq!((empty.rcode(), empty.answers.len()), (RCODE::NoError, 0));
        let none = query.refuse(Refusal::NoName);
        assert_eq!(Packet::parse(&none).expect("an answer").rcode(), RCODE::NameError);
        let short = query.truncated();
        assert!(Packet::parse(&short).expect("an answer").has_flags(PacketFlag::TRUNCATION));
    }

    #[test]
    fn what_is_no_query_is_refused_by_its_header_or_not_at_all() {
        let good = query("a", TYPE::A);
        assert!(matches!(read(&good[..11]), Arrived::Nothing));
        let mut answer = good.clone();
        answer[2] |= 0x80;
        assert!(matches!(read(&answer), Arrived::Nothing), "answers are not answered");
        for (at, value, code) in [(5, 2, 1), (4, 255, 1), (7, 1, 1), (10, 255, 1), (2, 0x10, 4)] {
            let mut bad = good.clone();
            bad[at] = value;
            let Arrived::Bad(reply) = read(&bad) else { panic!("byte {at}") };
            assert_eq!((reply.len(), reply[0..2].to_vec(), reply[3] & 15), (12, vec![0, 77], code));
        }
        let Arrived::Bad(cut) = read(&good[..14]) else { panic!("cut off") };
        assert_eq!(cut[3], 1);
    }

    #[test]
    fn addresses_are_read_backwards() {
        let ipv4 = pointed_at("2.0.18.172.in-addr.arpa").expect("an address");
        assert_eq!(ipv4.to_string(), "172.18.0.2");
        let zeros = "0.".repeat(24);
        let ipv6 = pointed_at(&format!("2.0.0.0.{zeros}2.1.d.f.ip6.arpa")).expect("an address");
        assert_eq!(ipv6.to_string(), "fd12::2");
        for bad in ["in-addr.arpa", "1.2.3.in-addr.arpa", "x.ip6.arpa", "1.2.ip6.arpa", "web"] {
            assert_eq!(pointed_at(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_question_is_found() {
        let bytes = query("web.example", TYPE::A);
        assert_eq!(question_bytes(&bytes), Some(&bytes[12..]));
        assert_eq!(question_bytes(&bytes[..bytes.len() - 1]), None);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            if let Arrived::Query(query) = read(&bytes) {
                let _ = query.refuse(Refusal::Failure);
            }
            let _ = question_bytes(&bytes);
        }

        #[test]
        fn damaged_queries_never_panic(at in 0_usize..29, value in any::<u8>()) {
            let mut bytes = query("web.example", TYPE::A);
            bytes[at] = value;
            if let Arrived::Query(query) = read(&bytes) {
                prop_assert!(!query.refuse(Refusal::NoName).is_empty());
            }
        }
    }
}
