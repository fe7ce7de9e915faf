//! Other servers, which know all other names.
//!
//! In: queries as they came. Out: answers as they came.
//!
//! # Invariants
//!
//! - An answer is taken only from the server that was asked, with our number and the question.
//! - Servers of `dns` are asked from the container's namespace, since they may be containers;
//!   those of the host from the host's, since they may be at its loopback address.

use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::net::{AddressFamily, SocketFlags, SocketType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, UdpSocket};
use tokio::time::timeout;

use crate::runtime::Result;

use super::super::{Namespace, files, store};
use super::message::question_bytes;
use super::{ADDRESS, wrong_server};

/// How long one server has to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many servers are asked, as the C library does.
const SERVERS: usize = 3;
/// The longest message.
const LONGEST: usize = 65535;

/// How a query came, and is sent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Udp,
    Tcp,
}

/// Who is asked.
#[derive(Debug)]
pub(super) enum Upstream {
    /// These servers, from inside the container.
    Given(Vec<IpAddr>, Namespace),
    /// The servers of the host, as its file named them at that time.
    Host(RefCell<(Option<SystemTime>, Vec<IpAddr>)>),
}

impl Upstream {
    /// The servers of `dns`; with none, those of the host.
    pub(super) fn new(given: &[String], container: Namespace) -> Result<Self> {
        if given.is_empty() {
            return Ok(Self::Host(RefCell::default()));
        }
        let parse = |text: &String| text.parse().map_err(|_| wrong_server(text));
        let mut servers = given.iter().map(parse).collect::<Result<Vec<IpAddr>>>()?;
        // It would be asking itself.
        servers.retain(|ip| *ip != IpAddr::V4(ADDRESS));
        Ok(Self::Given(servers, container))
    }

    /// Whether the user says whom to ask.
    pub(super) fn is_given(&self) -> bool {
        matches!(self, Self::Given(..))
    }

    fn servers(&self) -> Vec<IpAddr> {
        let mut servers = match self {
            Self::Given(servers, _) => servers.clone(),
            Self::Host(known) => {
                let path = Path::new("/etc/resolv.conf");
                let changed = std::fs::metadata(path).and_then(|data| data.modified()).ok();
                let mut known = known.borrow_mut();
                if known.0 != changed || changed.is_none() {
                    let text = store::read(path).ok().flatten().unwrap_or_default();
                    *known = (changed, files::servers(&text));
                }
                known.1.clone()
            }
        };
        servers.truncate(SERVERS);
        servers
    }

    /// The answer of the first server that has one; none if nobody has.
    pub(super) async fn ask(&self, query: &[u8], transport: Transport) -> Option<Vec<u8>> {
        let mut last = None;
        for server in self.servers() {
            let asked = async {
                match transport {
                    Transport::Udp => self.by_udp(server, query).await,
                    Transport::Tcp => self.by_tcp(server, query).await,
                }
            };
            let Ok(Ok(answer)) = timeout(PATIENCE, asked).await else { continue };
            // The next server may know what this one could not find out, or would not say.
            let has_failed = answer.get(3).is_some_and(|byte| [2, 5].contains(&(byte & 15)));
            if !has_failed {
                return Some(answer);
            }
            last = Some(answer);
        }
        last
    }

    async fn by_udp(&self, server: IpAddr, query: &[u8]) -> io::Result<Vec<u8>> {
        let socket: std::net::UdpSocket = self.socket(server, SocketType::DGRAM)?.into();
        let socket = UdpSocket::from_std(socket)?;
        socket.connect(SocketAddr::new(server, super::PORT)).await?;
        let sent = numbered(query)?;
        socket.send(&sent).await?;
        let mut answer = vec![0; LONGEST];
        loop {
            let length = socket.recv(&mut answer).await?;
            if fits(&sent, &answer[..length]) {
                answer.truncate(length);
                answer[..2].copy_from_slice(&query[..2]);
                return Ok(answer);
            }
        }
    }

    async fn by_tcp(&self, server: IpAddr, query: &[u8]) -> io::Result<Vec<u8>> {
        let socket: std::net::TcpStream = self.socket(server, SocketType::STREAM)?.into();
        let socket = TcpSocket::from_std_stream(socket);
        let mut stream = socket.connect(SocketAddr::new(server, super::PORT)).await?;
        let sent = numbered(query)?;
        let length = u16::try_from(sent.len()).map_err(io::Error::other)?;
        stream.write_all(&[&length.to_be_bytes()[..], &sent].concat()).await?;
        let length = stream.read_u16().await?;
        let mut answer = vec![0; usize::from(length)];
        stream.read_exact(&mut answer).await?;
        if !fits(&sent, &answer) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        answer[..2].copy_from_slice(&query[..2]);
        Ok(answer)
    }

    fn socket(&self, server: IpAddr, kind: SocketType) -> io::Result<OwnedFd> {
        let (family, any): (_, IpAddr) = match server {
            IpAddr::V4(_) => (AddressFamily::INET, Ipv4Addr::UNSPECIFIED.into()),
            IpAddr::V6(_) => (AddressFamily::INET6, Ipv6Addr::UNSPECIFIED.into()),
        };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let make = || -> io::Result<OwnedFd> {
            let socket = rustix::net::socket_with(family, kind, flags, None)?;
            if kind == SocketType::DGRAM {
                rustix::net::bind(&socket, &SocketAddr::new(any, 0))?;
            }
            Ok(socket)
        };
        match self {
            Self::Given(_, container) => container.visit(make).map_err(io::Error::other)?,
            Self::Host(_) => make(),
        }
    }
}

/// The query with a number that nobody can guess.
fn numbered(query: &[u8]) -> io::Result<Vec<u8>> {
    let mut sent = query.to_vec();
    let number = store::random::<2>().map_err(io::Error::other)?;
    sent.get_mut(..2).ok_or(io::ErrorKind::InvalidData)?.copy_from_slice(&number);
    Ok(sent)
}

/// Whether this is an answer to that.
fn fits(query: &[u8], answer: &[u8]) -> bool {
    let is_answer = answer.len() >= 12 && answer[..2] == query[..2] && answer[2] & 0x80 != 0;
    let same = match (question_bytes(query), question_bytes(answer)) {
        (Some(asked), Some(answered)) => asked.eq_ignore_ascii_case(answered),
        // Servers may leave the question out of a refusal.
        (_, None) => answer.len() >= 6 && answer[4..6] == [0, 0],
        (None, Some(_)) => false,
    };
    is_answer && same
}
