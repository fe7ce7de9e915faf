//! How a filter of iptables is taken from the kernel, and given back.
//!
//! In: blocks. Out: options of a raw socket.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto};

use super::block::{Block, Changed, HOOKS, Layout};

/// The option that gives a description, or takes a whole table.
const INFO: i32 = 64;
/// The option that gives the entries, or takes their counters.
const ENTRIES: i32 = 65;
/// Bytes of the name of a table.
const NAME: usize = 32;
/// Bytes of a description: the name, the hooks, their two lists, two sizes.
const DESCRIPTION: usize = NAME + 4 * (1 + 2 * HOOKS + 2);
/// Bytes before the entries, or counters, of a request.
const BEFORE: usize = NAME + 8;
/// Bytes of the counters of an entry.
const COUNTERS: usize = 16;

/// A socket that speaks of filters of one family.
#[derive(Debug)]
pub(super) struct Socket {
    layout: Layout,
    descriptor: OwnedFd,
}

impl Socket {
    pub(super) fn open(layout: Layout) -> io::Result<Self> {
        let family = match layout {
            Layout::V4 => AddressFamily::INET,
            Layout::V6 => AddressFamily::INET6,
        };
        let (kind, flags) = (SocketType::RAW, SocketFlags::CLOEXEC);
        let descriptor = rustix::net::socket_with(family, kind, flags, Some(ipproto::RAW))?;
        Ok(Self { layout, descriptor })
    }

    /// The table `filter`.
    pub(super) fn read(&self) -> io::Result<Block> {
        let mut info = named(DESCRIPTION);
        self.get(INFO, &mut info)?;
        let number = |index: usize| read_number(&info, NAME + 4 * index);
        let list = |start: usize| std::array::from_fn(|index| number(start + index));
        let size = number(2 + 2 * HOOKS);
        let length = usize::try_from(size).map_err(io::Error::other)?;
        let mut answer = named(BEFORE + length);
        answer[NAME..NAME + 4].copy_from_slice(&size.to_ne_bytes());
        self.get(ENTRIES, &mut answer)?;
        Ok(Block {
            layout: self.layout,
            hooks: number(0),
            entries: list(1),
            policies: list(1 + HOOKS),
            bytes: answer.split_off(BEFORE),
        })
    }

    /// Puts another table in the place of this one, whose counters go on.
    pub(super) fn replace(&self, old: &Block, changed: &Changed) -> io::Result<()> {
        let block = &changed.block;
        let mut counted = vec![0_u8; old.count() * COUNTERS];
        let mut request = named(NAME);
        let mut put = |number: u32| request.extend(number.to_ne_bytes());
        put(block.hooks);
        put(u32::try_from(changed.origins.len()).map_err(io::Error::other)?);
        put(u32::try_from(block.bytes.len()).map_err(io::Error::other)?);
        block.entries.into_iter().chain(block.policies).for_each(&mut put);
        put(u32::try_from(old.count()).map_err(io::Error::other)?);
        request.resize(request.len().next_multiple_of(size_of::<usize>()), 0);
        request.extend(counted.as_mut_ptr().expose_provenance().to_ne_bytes());
        request.extend(&block.bytes);
        self.set(INFO, &request)?;

        let mut counters = named(BEFORE);
        let count = u32::try_from(changed.origins.len()).map_err(io::Error::other)?;
        counters[NAME..NAME + 4].copy_from_slice(&count.to_ne_bytes());
        for origin in &changed.origins {
            let old = origin.and_then(|at| counted.get(at * COUNTERS..(at + 1) * COUNTERS));
            counters.extend(old.unwrap_or(&[0; COUNTERS]));
        }
        self.set(ENTRIES, &counters)
    }

    fn level(&self) -> i32 {
        match self.layout {
            Layout::V4 => libc::IPPROTO_IP,
            Layout::V6 => libc::IPPROTO_IPV6,
        }
    }

    #[expect(unsafe_code, reason = "no library knows these options")]
    fn get(&self, option: i32, answer: &mut [u8]) -> io::Result<()> {
        let mut length = libc::socklen_t::try_from(answer.len()).map_err(io::Error::other)?;
        // SAFETY: the kernel writes at most `length` bytes, which are ours.
        let result = unsafe {
            let (to, length) = (answer.as_mut_ptr().cast(), &raw mut length);
            libc::getsockopt(self.descriptor.as_raw_fd(), self.level(), option, to, length)
        };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    #[expect(unsafe_code, reason = "no library knows these options")]
    fn set(&self, option: i32, request: &[u8]) -> io::Result<()> {
        let length = libc::socklen_t::try_from(request.len()).map_err(io::Error::other)?;
        // SAFETY: the kernel reads `length` bytes, which are ours. Where they hold a pointer, that
        // is to as many counters as they say, which live until this returns.
        let result = unsafe {
            let from = request.as_ptr().cast();
            libc::setsockopt(self.descriptor.as_raw_fd(), self.level(), option, from, length)
        };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

/// Zeros behind the name of the table.
fn named(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    bytes[..6].copy_from_slice(b"filter");
    bytes
}

fn read_number(bytes: &[u8], at: usize) -> u32 {
    let bytes = bytes.get(at..).and_then(|rest| rest.first_chunk());
    bytes.map_or(0, |bytes| u32::from_ne_bytes(*bytes))
}
