//! What arrives, and how much of it at once.
//!
//! In: packets and connections of one container. Out: answers.
//!
//! # Invariants
//!
//! - However much a container asks, what is done for it at any moment is bounded.

use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::message::{Arrived, Kind, Query, Refusal, pointed_at, read};
use super::names::Pointer;
use super::upstream::Transport;
use super::{Server, watch::Watch};

/// Queries that other servers are asked at once.
const FORWARDED: usize = 128;
/// Connections at once.
const CONNECTIONS: usize = 32;
/// How long a connection may be silent.
const SILENCE: Duration = Duration::from_secs(10);
/// The longest query.
const LONGEST: usize = 4096;

/// What is to be done with a query.
enum Reply {
    /// Send this.
    Now(Vec<u8>),
    /// Ask others.
    Forward,
}

/// Answers until it is dropped.
pub(super) async fn forever(server: &Server) {
    let turn = Rc::new(Cell::new(0));
    let mut forwarded = FuturesUnordered::new();
    let mut connections = FuturesUnordered::new();
    let mut packet = vec![0; LONGEST];
    loop {
        tokio::select! {
            received = server.udp.recv_from(&mut packet) => {
                // An error is about an answer that nobody waited for.
                let Ok((length, from)) = received else { continue };
                let query = &packet[..length];
                match reply(server, &turn, query) {
                    Some(Reply::Now(answer)) => send(server, query, &answer, from).await,
                    Some(Reply::Forward) if forwarded.len() < FORWARDED => {
                        forwarded.push(forward(server, query.to_vec(), from));
                    }
                    Some(Reply::Forward) => send(server, query, &failure(query), from).await,
                    None => {}
                }
            }
            accepted = server.tcp.accept(), if connections.len() < CONNECTIONS => {
                if let Ok((stream, _)) = accepted {
                    connections.push(converse(server, Rc::clone(&turn), stream));
                }
            }
            Some(()) = forwarded.next(), if !forwarded.is_empty() => {}
            Some(_) = connections.next(), if !connections.is_empty() => {}
        }
    }
}

/// Asks others, and tells what they say.
async fn forward(server: &Server, query: Vec<u8>, from: SocketAddr) {
    let answer = server.upstream.ask(&query, Transport::Udp).await;
    send(server, &query, &answer.unwrap_or_else(|| failure(&query)), from).await;
}

/// Sends an answer, or that it is too long.
async fn send(server: &Server, query: &[u8], answer: &[u8], to: SocketAddr) {
    let short = match read(query) {
        Arrived::Query(query) if answer.len() > query.room => Some(query.truncated()),
        _ => None,
    };
    // Who does not take it has gone.
    let _ = server.udp.send_to(short.as_deref().unwrap_or(answer), to).await;
}

/// Answers the queries of a connection, one after the other.
async fn converse(server: &Server, turn: Rc<Cell<usize>>, mut stream: TcpStream) -> Option<()> {
    let mut query = vec![0; LONGEST];
    loop {
        let read_one = async {
            let length = usize::from(stream.read_u16().await.ok()?);
            stream.read_exact(query.get_mut(..length)?).await.ok()?;
            Some(length)
        };
        let length = timeout(SILENCE, read_one).await.ok()??;
        let query = &query[..length];
        let answer = match reply(server, &turn, query)? {
            Reply::Now(answer) => answer,
            Reply::Forward => {
                let answer = server.upstream.ask(query, Transport::Tcp).await;
                answer.unwrap_or_else(|| failure(query))
            }
        };
        let length = u16::try_from(answer.len()).ok()?.to_be_bytes();
        let message = [&length[..], &answer].concat();
        timeout(SILENCE, stream.write_all(&message)).await.ok()?.ok()?;
    }
}

fn failure(query: &[u8]) -> Vec<u8> {
    match read(query) {
        Arrived::Query(query) => query.refuse(Refusal::Failure),
        Arrived::Bad(answer) => answer,
        Arrived::Nothing => Vec::new(),
    }
}

/// What is to be done with the bytes of a query; nothing if they are none.
fn reply(server: &Server, turn: &Cell<usize>, bytes: &[u8]) -> Option<Reply> {
    let query = match read(bytes) {
        Arrived::Query(query) => query,
        Arrived::Bad(answer) => return Some(Reply::Now(answer)),
        Arrived::Nothing => return None,
    };
    let mut watch = server.watch.borrow_mut();
    let answer = own(&mut watch, turn, &query);
    let is_known_nowhere = || {
        let is_single = matches!(query.kind, Kind::Ipv4 | Kind::Ipv6) && !query.name.contains('.');
        // Who names servers of his own may have such names there.
        !server.upstream.is_given() && (is_single || watch.is_internal())
    };
    Some(match answer {
        Some(answer) => Reply::Now(answer),
        None if is_known_nowhere() => Reply::Now(query.refuse(Refusal::NoName)),
        None => Reply::Forward,
    })
}

/// An answer from what is known here, if it is.
fn own(watch: &mut Watch, turn: &Cell<usize>, query: &Query<'_>) -> Option<Vec<u8>> {
    let names = watch.names();
    if query.kind == Kind::Pointer
        && let Some(ip) = pointed_at(&query.name)
    {
        return match names.pointer(ip) {
            Pointer::Container(name) => Some(query.pointer(&name)),
            Pointer::Nobody => Some(query.refuse(Refusal::NoName)),
            Pointer::Foreign => None,
        };
    }
    let mut found = names.find(&query.name)?;
    found.retain(|ip| match query.kind {
        Kind::Ipv4 => ip.is_ipv4(),
        Kind::Ipv6 => ip.is_ipv6(),
        Kind::Any => true,
        Kind::Pointer | Kind::Other => false,
    });
    rotate(&mut found, turn);
    Some(query.addresses(&found))
}

/// Puts another address first each time.
fn rotate(found: &mut [IpAddr], turn: &Cell<usize>) {
    if found.len() > 1 {
        turn.set(turn.get().wrapping_add(1));
        found.rotate_left(turn.get() % found.len());
    }
}
