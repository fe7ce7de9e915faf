//! Capabilities: their names, and which of them a container has.
//!
//! In: `cap_add`, `cap_drop`, `privileged`. Out: a [`CapabilitySet`].

use super::config::CapabilitySet;

/// All names in the order of their numbers, without `CAP_`.
const NAMES: &[&str] = &[
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// What Docker leaves to containers.
const USUAL: &[&str] = &[
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

impl CapabilitySet {
    /// Every capability that is known.
    pub fn all() -> Self {
        Self((1 << NAMES.len()) - 1)
    }

    /// What a container has that asks for nothing.
    pub fn usual() -> Self {
        USUAL.iter().filter_map(|name| number(name)).fold(Self(0), Self::with)
    }

    fn with(self, number: u8) -> Self {
        Self(self.0 | 1 << number)
    }

    fn without(self, number: u8) -> Self {
        Self(self.0 & !(1 << number))
    }

    /// Whether it has a capability of this name; `CAP_` may stand in front.
    pub fn has(self, name: &str) -> bool {
        number(name).is_some_and(|number| self.0 & 1 << number != 0)
    }

    /// What a container has that asks for more and for less. As in Docker, what is dropped by name
    /// stays dropped, and `ALL` among the added gives everything else.
    ///
    /// # Errors
    ///
    /// The name that no capability has.
    pub fn adapted(add: &[String], drop: &[String]) -> Result<Self, String> {
        let is_all = |name: &String| name.eq_ignore_ascii_case("ALL");
        let mut set = match (add.iter().any(is_all), drop.iter().any(is_all)) {
            (true, _) => Self::all(),
            (false, true) => Self(0),
            (false, false) => Self::usual(),
        };
        for name in drop.iter().filter(|name| !is_all(name)) {
            set = set.without(number(name).ok_or_else(|| name.clone())?);
        }
        for name in add.iter().filter(|name| !is_all(name)) {
            let number = number(name).ok_or_else(|| name.clone())?;
            set = set.with(number);
        }
        Ok(set)
    }
}

/// The number of a capability.
fn number(name: &str) -> Option<u8> {
    let upper = name.to_ascii_uppercase();
    let short = upper.strip_prefix("CAP_").unwrap_or(&upper);
    let position = NAMES.iter().position(|known| *known == short)?;
    u8::try_from(position).ok()
}

#[cfg(test)]
mod tests {
    use super::CapabilitySet;

    fn adapted(add: &[&str], drop: &[&str]) -> Result<CapabilitySet, String> {
        let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        CapabilitySet::adapted(&owned(add), &owned(drop))
    }

    #[test]
    fn the_usual_set_is_that_of_docker() {
        assert_eq!(CapabilitySet::usual(), CapabilitySet(0xa804_25fb));
        assert_eq!(CapabilitySet::all(), CapabilitySet(0x1ff_ffff_ffff));
    }

    #[test]
    fn what_is_added_and_dropped_is_found_under_every_spelling() {
        assert!(adapted(&["net_admin"], &[]).unwrap().has("CAP_NET_ADMIN"));
        assert!(!adapted(&[], &["CAP_chown"]).unwrap().has("CHOWN"));
        assert_eq!(adapted(&["SYS_TIME"], &["ALL"]).unwrap(), CapabilitySet(1 << 25));
        assert_eq!(adapted(&["all"], &["CHOWN"]).unwrap(), CapabilitySet(0x1ff_ffff_fffe));
        assert_eq!(adapted(&["FLY"], &[]), Err("FLY".to_owned()));
    }
}
