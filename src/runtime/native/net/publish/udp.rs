//! Packets that are carried over by this process.
//!
//! In: packets to a port of the host. Out: packets to the container, and its answers. Each client
//! has a socket of its own, so that answers find their way back.
//!
//! # Invariants
//!
//! - A client that is silent for long is forgotten; so is the one that was silent longest, if
//!   there are too many.

use std::cell::Cell;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use super::dial::Dialer;
use super::reserve::Reserved;

/// How long a client may be silent, as for Docker.
const SILENCE: Duration = Duration::from_secs(90);
/// How many clients may be known.
const CLIENTS: usize = 1024;
/// The largest packet.
const PACKET: usize = 64 << 10;

/// A client that has sent something.
struct Client {
    socket: Rc<UdpSocket>,
    /// When it was last heard of.
    heard: Rc<Cell<Instant>>,
    answers: AbortHandle,
}

/// Carries packets over, for ever.
pub(super) async fn serve(reserved: &Reserved, dialer: &Dialer) -> io::Result<()> {
    let listener = std::net::UdpSocket::from(reserved.socket.try_clone()?);
    let listener = Rc::new(UdpSocket::from_std(listener)?);
    let mut clients: HashMap<SocketAddr, Client> = HashMap::new();
    let mut answers = JoinSet::new();
    let mut packet = vec![0; PACKET];
    loop {
        tokio::select! {
            received = listener.recv_from(&mut packet) => {
                // An error is about a packet that was sent before.
                let Ok((length, from)) = received else { continue };
                if !clients.contains_key(&from) {
                    forget_oldest(&mut clients);
                    let Ok(socket) = dialer.packets(reserved.target).await else { continue };
                    let socket = Rc::new(socket);
                    let heard = Rc::new(Cell::new(Instant::now()));
                    let answer = answer(Rc::clone(&listener), Rc::clone(&socket), from, Rc::clone(&heard));
                    let answers = answers.spawn_local(answer);
                    clients.insert(from, Client { socket, heard, answers });
                }
                if let Some(client) = clients.get(&from) {
                    client.heard.set(Instant::now());
                    let _ = client.socket.send(&packet[..length]).await;
                }
            }
            Some(ended) = answers.join_next() => {
                if let Ok(from) = ended {
                    clients.remove(&from);
                }
            }
        }
    }
}

fn forget_oldest(clients: &mut HashMap<SocketAddr, Client>) {
    if clients.len() < CLIENTS {
        return;
    }
    let oldest = clients.iter().min_by_key(|(_, client)| client.heard.get()).map(|(from, _)| *from);
    if let Some(client) = oldest.and_then(|from| clients.remove(&from)) {
        client.answers.abort();
    }
}

/// Carries answers back until both have been silent for long.
async fn answer(
    listener: Rc<UdpSocket>,
    socket: Rc<UdpSocket>,
    client: SocketAddr,
    heard: Rc<Cell<Instant>>,
) -> SocketAddr {
    let mut packet = vec![0; PACKET];
    loop {
        tokio::select! {
            received = socket.recv(&mut packet) => {
                if let Ok(length) = received {
                    heard.set(Instant::now());
                    let _ = listener.send_to(&packet[..length], client).await;
                }
            }
            () = tokio::time::sleep_until(heard.get() + SILENCE) => {
                if heard.get().elapsed() >= SILENCE {
                    return client;
                }
            }
        }
    }
}
