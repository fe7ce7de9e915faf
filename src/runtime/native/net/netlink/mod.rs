//! Sockets that speak netlink.
//!
//! In: messages, as bytes. Out: the kernel's answers.
//!
//! # Invariants
//!
//! - A socket stays in the network namespace that it was opened in.
//! - Requests are answered before the next one is sent: a socket has no more than one conversation.
//!
//! # Not here
//!
//! What the messages say: `link` and `nft`.

pub(super) mod flow;
pub(super) mod link;

use std::io;
use std::os::fd::OwnedFd;

use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, netlink,
};

/// Bytes before the body of a message.
pub(super) const HEADER: usize = 16;
/// This is a request.
pub(super) const REQUEST: u16 = 0x1;
/// Say that it was done.
pub(super) const ACK: u16 = 0x4;
/// Refuse if it is there; for requests that make something.
pub(super) const EXCL: u16 = 0x200;
/// Make it if it is not there.
pub(super) const CREATE: u16 = 0x400;
/// Put it after what is there; for rules.
pub(super) const APPEND: u16 = 0x800;
/// Put it in the place of what is there; for requests that make something.
pub(super) const REPLACE: u16 = 0x100;
/// Tell all; for requests that ask.
pub(super) const DUMP: u16 = 0x300;

const ERROR: u16 = 2;
const DONE: u16 = 3;
/// Room for one datagram of the kernel.
const DATAGRAM: usize = 64 << 10;

/// A netlink socket.
#[derive(Debug)]
pub(super) struct Socket {
    descriptor: OwnedFd,
    sequence: u32,
}

/// One message of an answer.
#[derive(Debug)]
pub(super) struct Message<'a> {
    /// What kind of message it is.
    pub(super) kind: u16,
    sequence: u32,
    /// What stands after the header.
    pub(super) body: &'a [u8],
    /// Header and body.
    pub(super) whole: &'a [u8],
}

impl Socket {
    /// A socket that speaks of links, addresses and routes.
    pub(super) fn route() -> io::Result<Self> {
        Self::open(None)
    }

    /// A socket that speaks of packet filters.
    pub(super) fn netfilter() -> io::Result<Self> {
        Self::open(Some(netlink::NETFILTER))
    }

    fn open(protocol: Option<Protocol>) -> io::Result<Self> {
        let descriptor = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            protocol,
        )?;
        rustix::net::bind(&descriptor, &netlink::SocketAddrNetlink::new(0, 0))?;
        Ok(Self { descriptor, sequence: 0 })
    }

    /// The number of the next request.
    pub(super) fn next(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }

    /// Sends requests whose last one has the number `last` and asks for an answer, and waits for
    /// that. Any error among the answers is returned.
    pub(super) fn finish(&mut self, requests: &[u8], last: u32) -> io::Result<()> {
        self.send(requests)?;
        let mut first_error = None;
        loop {
            let datagram = self.receive()?;
            for message in messages(&datagram) {
                if let Some(error) = message.error() {
                    first_error.get_or_insert(error);
                }
                // An error without a number of ours would be for a batch as a whole.
                if message.kind == ERROR && (message.sequence == last || message.sequence == 0) {
                    return first_error.map_or(Ok(()), Err);
                }
            }
        }
    }

    /// Sends a request with the number `number`, and gives each message of the answer to `take`.
    pub(super) fn ask(
        &mut self,
        request: &[u8],
        number: u32,
        take: &mut dyn FnMut(&Message<'_>),
    ) -> io::Result<()> {
        self.send(request)?;
        loop {
            let datagram = self.receive()?;
            for message in messages(&datagram).filter(|message| message.sequence == number) {
                match message.kind {
                    ERROR => return message.error().map_or(Ok(()), Err),
                    DONE => return Ok(()),
                    _ => take(&message),
                }
            }
        }
    }

    fn send(&self, requests: &[u8]) -> io::Result<()> {
        let sent = rustix::net::send(&self.descriptor, requests, SendFlags::empty())?;
        if sent == requests.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
    }

    fn receive(&self) -> io::Result<Vec<u8>> {
        let mut datagram = vec![0; DATAGRAM];
        loop {
            match rustix::net::recv(&self.descriptor, &mut datagram[..], RecvFlags::empty()) {
                Ok((length, _)) => {
                    datagram.truncate(length);
                    return Ok(datagram);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Message<'_> {
    /// The error that the message tells, if it tells one.
    fn error(&self) -> Option<io::Error> {
        let code = self.body.get(..4).filter(|_| self.kind == ERROR)?;
        let code = i32::from_ne_bytes(code.try_into().ok()?);
        (code != 0).then(|| io::Error::from_raw_os_error(code.saturating_neg()))
    }
}

/// The messages of a datagram, as far as they are whole.
fn messages(mut datagram: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let header = datagram.get(..HEADER)?;
        let length = usize::try_from(u32::from_ne_bytes(header[..4].try_into().ok()?)).ok()?;
        let whole = datagram.get(..length).filter(|whole| whole.len() >= HEADER)?;
        let message = Message {
            kind: u16::from_ne_bytes(header[4..6].try_into().ok()?),
            sequence: u32::from_ne_bytes(header[8..12].try_into().ok()?),
            body: &whole[HEADER..],
            whole,
        };
        datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    })
}
