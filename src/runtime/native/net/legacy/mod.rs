//! The old packet filters of iptables, which live beside nf_tables.
//!
//! In: what the names of our interfaces begin with. Out: accept rules where iptables drops what is
//! forwarded, and their removal.
//!
//! Docker on an older distribution leaves such a filter behind, and no other one can overrule it.
//! The kernel takes and gives it as one block of bytes (`block`), through options of a raw socket.
//!
//! # Invariants
//!
//! - Nothing happens where no such filter is: asking for one would make it.
//! - The lock that iptables takes is held meanwhile.

mod block;
mod socket;

use std::fs::File;
use std::io::{self, Read};

use rustix::fs::FlockOperation;

use block::{Block, Layout};
use socket::Socket;

use crate::runtime::native::lock;

/// What iptables locks.
const LOCK: &str = "/run/xtables.lock";

/// Makes sure that packets from and to interfaces whose names begin so are not dropped.
pub(super) fn allow_forwarding(prefix: &str) -> io::Result<()> {
    change(|block| {
        if block.has_rules_for(prefix) {
            return None;
        }
        let place = block.dropping_place()?;
        Some(block.with_rules_for(prefix, place))
    })
}

/// Removes what [`allow_forwarding`] made.
pub(super) fn disallow_forwarding(prefix: &str) -> io::Result<()> {
    change(|block| block.has_rules_for(prefix).then(|| block.without_rules_for(prefix)))
}

/// Whether iptables translates addresses.
pub(super) fn translates() -> bool {
    [Layout::V4, Layout::V6].iter().any(|layout| has_table(*layout, "nat"))
}

/// The filters that drop what is forwarded, as a person names them.
pub(super) fn dropping() -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    for (layout, name) in [(Layout::V4, "iptables-legacy"), (Layout::V6, "ip6tables-legacy")] {
        if has_table(layout, "filter") && Socket::open(layout)?.read()?.dropping_place().is_some() {
            found.push(format!("{name} filter FORWARD"));
        }
    }
    Ok(found)
}

/// Puts another filter in the place of each that is there, if there is a better one.
fn change(better: impl Fn(&Block) -> Option<block::Changed>) -> io::Result<()> {
    for layout in [Layout::V4, Layout::V6] {
        if !has_table(layout, "filter") {
            continue;
        }
        let lock = File::options().write(true).create(true).truncate(false).open(LOCK)?;
        let _lock = lock::on(lock.into(), FlockOperation::LockExclusive)?;
        let socket = Socket::open(layout)?;
        let change = || {
            let block = socket.read()?;
            better(&block).map_or(Ok(()), |changed| socket.replace(&block, &changed))
        };
        // Who does not take the lock may have changed it in between.
        change().or_else(|error| match error.kind() {
            io::ErrorKind::WouldBlock => change(),
            _ => Err(error),
        })?;
    }
    Ok(())
}

/// Whether a table is there, in the namespace of this thread.
fn has_table(layout: Layout, table: &str) -> bool {
    let mut names = String::new();
    let path = match layout {
        Layout::V4 => "/proc/thread-self/net/ip_tables_names",
        Layout::V6 => "/proc/thread-self/net/ip6_tables_names",
    };
    let read = File::open(path).and_then(|file| file.take(4096).read_to_string(&mut names));
    read.is_ok() && names.lines().any(|name| name == table)
}
