//! What the host's own network gets, and loses again: one table of packet filters, accept rules
//! where another program drops what is forwarded, and forwarding itself.
//!
//! In: the first project that is there, and the last one that is gone. Out: a host that forwards.
//!
//! # Invariants
//!
//! - All that is made carries the tag of the volatile root, so that two roots do not disturb each
//!   other.
//! - With the last project all of it goes.
//! - The caller holds the lock of the uplinks.
//!
//! # Not here
//!
//! The interfaces to projects: `uplink`.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::runtime::Result;

use super::nft::{Batch, Family, Filters, tables};
use super::store::{self, Lasting};
use super::{failed, legacy};

/// What was changed on the host, to be changed back.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Changed {
    ipv4_forwarding: bool,
    ipv6_forwarding: bool,
}

/// The host, as one volatile root sees it.
#[derive(Debug)]
pub(super) struct Host<'a> {
    volatile: &'a Path,
    tag: String,
}

/// Switches of the kernel: whether packets of a family are forwarded.
fn switch(family: Family) -> &'static str {
    match family {
        Family::V4 => "net/ipv4/ip_forward",
        Family::V6 => "net/ipv6/conf/all/forwarding",
    }
}

impl<'a> Host<'a> {
    pub(super) fn new(volatile: &'a Path) -> Self {
        let hash = Sha256::digest(volatile.as_os_str().as_encoded_bytes());
        Self { volatile, tag: store::hex(&hash[..3]) }
    }

    /// What the names of our interfaces on the host begin with.
    pub(super) fn prefix(&self) -> String {
        format!("k{}", self.tag)
    }

    /// Name of our table, and the comment on our rules in others' chains.
    pub(super) fn table(&self) -> String {
        format!("ketch-{}", self.tag)
    }

    /// Makes the host forward what comes from and goes to projects, and takes their packets for
    /// its own.
    pub(super) fn open(&self, family: Family) -> Result<()> {
        let mut filters = Filters::open().map_err(failed("open a packet filter socket"))?;
        let table = self.table();
        let made = filters.has_table(family, &table).and_then(|is_there| {
            if is_there {
                Ok(())
            } else {
                filters.apply(tables::host(family, (&table, &self.prefix())))
            }
        });
        made.map_err(failed(
            "make a packet filter (the kernel needs nf_tables with nft_chain_nat, nft_masq and \
             nft_fib)",
        ))?;
        self.let_forward(&mut filters)?;
        self.switch_on(family)
    }

    /// Makes sure that no other program drops what we forward. Asked again whenever something
    /// starts: Docker may have come in between.
    pub(super) fn let_forward(&self, filters: &mut Filters) -> Result<()> {
        let (prefix, comment) = (self.prefix(), self.table());
        filters
            .allow_forwarding((&prefix, &comment))
            .map_err(failed("add an accept rule to the packet filter of another program"))?;
        legacy::allow_forwarding(&prefix)
            .map_err(failed("add an accept rule to the iptables of another program"))
    }

    fn switch_on(&self, family: Family) -> Result<()> {
        let path = self.changes();
        let mut changed: Changed = store::load(&path)?.unwrap_or_default();
        if sysctl(switch(family))?.as_deref() != Some("0") {
            return Ok(());
        }
        match family {
            Family::V4 => changed.ipv4_forwarding = true,
            Family::V6 => {
                changed.ipv6_forwarding = true;
                keep_routers()?;
            }
        }
        store::save(&path, &changed, Lasting::Boot)?;
        set_sysctl(switch(family), "1")
    }

    /// Takes back all that was done.
    pub(super) fn close(&self) -> Result<()> {
        let mut filters = Filters::open().map_err(failed("open a packet filter socket"))?;
        for family in [Family::V4, Family::V6] {
            let mut batch = Batch::new(family, &self.table());
            batch.delete_table();
            missing(filters.apply(batch)).map_err(failed("remove a packet filter"))?;
        }
        filters
            .disallow_forwarding(&self.table())
            .map_err(failed("remove an accept rule from the packet filter of another program"))?;
        legacy::disallow_forwarding(&self.prefix())
            .map_err(failed("remove an accept rule from the iptables of another program"))?;
        let path = self.changes();
        let changed: Changed = store::load(&path)?.unwrap_or_default();
        // Who translates addresses counts on forwarding, and may have found it switched on.
        let others = filters.others_translate().map_err(failed("look at the packet filters"))?
            || legacy::translates();
        for (was_changed, family) in
            [(changed.ipv4_forwarding, Family::V4), (changed.ipv6_forwarding, Family::V6)]
        {
            if was_changed && !others {
                set_sysctl(switch(family), "0")?;
            }
        }
        store::remove(&path)
    }

    fn changes(&self) -> std::path::PathBuf {
        self.volatile.join("uplink").join(".host.json")
    }
}

/// A machine that forwards IPv6 no longer listens to routers, unless it is told to go on.
fn keep_routers() -> Result<()> {
    for interface in store::names(Path::new("/proc/sys/net/ipv6/conf"))? {
        let name = format!("net/ipv6/conf/{interface}/accept_ra");
        if sysctl(&name)?.as_deref() == Some("1") {
            set_sysctl(&name, "2")?;
        }
    }
    Ok(())
}

/// What stands in a file below `/proc/sys`, of the namespace of this thread; none if there is no
/// such file.
pub(super) fn sysctl(name: &str) -> Result<Option<String>> {
    let text = store::read(&Path::new("/proc/sys").join(name))?;
    Ok(text.map(|text| text.trim_end().to_owned()))
}

/// Writes a file below `/proc/sys`.
pub(super) fn set_sysctl(name: &str, value: &str) -> Result<()> {
    std::fs::write(Path::new("/proc/sys").join(name), value)
        .map_err(failed(format!("set `{}` to {value}", name.replace('/', "."))))
}

/// It will do if it is there already.
pub(super) fn already(result: io::Result<()>) -> io::Result<()> {
    tolerate(result, io::ErrorKind::AlreadyExists)
}

/// It will do if it is gone already.
pub(super) fn missing(result: io::Result<()>) -> io::Result<()> {
    tolerate(result, io::ErrorKind::NotFound)
}

fn tolerate(result: io::Result<()>, kind: io::ErrorKind) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == kind => Ok(()),
        other => other,
    }
}
