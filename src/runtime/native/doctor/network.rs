//! Networks of containers.

use std::path::Path;

use super::Finding;
use crate::runtime::native::container::probe;

/// Whether bridges can be made: one is, in a network namespace that nobody sees.
pub(super) fn bridges(may: bool) -> Finding {
    let subject = "bridge";
    if !may {
        let known = Path::new("/sys/module/bridge").exists();
        return if known {
            Finding::good(subject, "the kernel has it")
        } else {
            Finding::weak(subject, "the kernel has not loaded it", "load it: `modprobe bridge`")
        };
    }
    match probe::bridge() {
        Ok(()) => Finding::good(subject, "networks can be made"),
        Err(errno) => {
            let found = format!("no bridge can be made: {errno}");
            Finding::missing(subject, found, "load it: `modprobe bridge`")
        }
    }
}

/// Whether the kernel's packet filter answers.
pub(super) fn nftables(may: bool) -> Finding {
    let subject = "nftables";
    match probe::nftables() {
        Ok(()) => Finding::good(subject, "outbound traffic and published ports can be translated"),
        Err(errno) if may => {
            let found = format!(
                "does not answer ({errno}): containers reach nothing outside their networks, and \
                 ports are forwarded by a process"
            );
            Finding::weak(subject, found, "load it: `modprobe nf_tables nft_chain_nat nft_masq`")
        }
        Err(_) => Finding::good(subject, "not asked: only root is answered"),
    }
}

/// Whether the host hands on what containers send.
pub(super) fn forwarding() -> Finding {
    let subject = "forwarding";
    let value = probe::text(Path::new("/proc/sys/net/ipv4/ip_forward"));
    match value.trim() {
        "" => {
            let remedy = "run a kernel with CONFIG_INET";
            Finding::weak(subject, "this kernel has no IPv4", remedy)
        }
        "1" => Finding::good(subject, "the host forwards packets"),
        _ => {
            let writable = probe::may_write(Path::new("/proc/sys/net/ipv4/ip_forward"));
            if writable {
                return Finding::good(subject, "off; Ketch turns it on when a network needs it");
            }
            let remedy = "turn it on: `sysctl -w net.ipv4.ip_forward=1`";
            Finding::weak(subject, "the host forwards no packets", remedy)
        }
    }
}
