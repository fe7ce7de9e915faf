//! Names of system calls and their numbers on each architecture.
//!
//! The tables beside this file hold rows of names behind the number of the first; `newer.txt` has
//! what is the same everywhere.

/// A set of numbers for system calls, as the kernel tells filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Arch {
    /// Its name in profiles, without `SCMP_ARCH_`.
    pub(super) name: &'static str,
    /// Its name in the conditions of profiles.
    pub(super) short: &'static str,
    /// `AUDIT_ARCH_*`.
    pub(super) audit: u32,
    table: &'static str,
}

const NEWER: &str = include_str!("numbers/newer.txt");

const X86_64: Arch = Arch {
    name: "X86_64",
    short: "amd64",
    audit: 0xc000_003e,
    table: include_str!("numbers/x86_64.txt"),
};
const X86: Arch =
    Arch { name: "X86", short: "x86", audit: 0x4000_0003, table: include_str!("numbers/i386.txt") };
const AARCH64: Arch = Arch {
    name: "AARCH64",
    short: "arm64",
    audit: 0xc000_00b7,
    table: include_str!("numbers/generic.txt"),
};
const ARM: Arch =
    Arch { name: "ARM", short: "arm", audit: 0x4000_0028, table: include_str!("numbers/arm.txt") };
const RISCV64: Arch = Arch {
    name: "RISCV64",
    short: "riscv64",
    audit: 0xc000_00f3,
    table: include_str!("numbers/generic.txt"),
};

/// What programs on this machine may use, its own first; empty where filters are not known.
pub(super) fn native() -> &'static [Arch] {
    match std::env::consts::ARCH {
        "x86_64" => &[X86_64, X86],
        "aarch64" => &[AARCH64, ARM],
        "riscv64" => &[RISCV64],
        _ => &[],
    }
}

impl Arch {
    /// All names and numbers.
    pub(super) fn calls(self) -> impl Iterator<Item = (&'static str, u32)> {
        let is_row = |line: &&str| !line.starts_with("//");
        self.table.lines().chain(NEWER.lines()).filter(is_row).flat_map(row)
    }
}

/// A row of a table: the number of the first name, then names.
fn row(line: &'static str) -> impl Iterator<Item = (&'static str, u32)> {
    let (first, names) = line.split_once(' ').unwrap_or((line, ""));
    names.split(' ').zip(first.parse().unwrap_or(u32::MAX)..)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{AARCH64, ARM, RISCV64, X86, X86_64};

    #[test]
    fn numbers_are_those_of_the_kernel() {
        let number = |arch: super::Arch, name| arch.calls().find(|(n, _)| *n == name).map(|c| c.1);
        assert_eq!(number(X86_64, "clone3"), Some(435));
        assert_eq!(number(X86_64, "read"), Some(0));
        assert_eq!(number(X86_64, "execve"), Some(59));
        assert_eq!(number(X86, "execve"), Some(11));
        assert_eq!(number(AARCH64, "execve"), Some(221));
        assert_eq!(number(ARM, "set_tls"), Some(983_045));
        #[cfg(target_arch = "x86_64")]
        for (name, expected) in [
            ("openat2", libc::SYS_openat2),
            ("statx", libc::SYS_statx),
            ("rseq", libc::SYS_rseq),
            ("mseal", libc::SYS_mseal),
        ] {
            assert_eq!(number(X86_64, name).map(i64::from), Some(expected), "{name}");
        }
    }

    #[test]
    fn no_name_and_no_number_stands_twice() {
        for arch in [X86_64, X86, AARCH64, ARM, RISCV64] {
            let all: Vec<_> = arch.calls().collect();
            let names: BTreeSet<_> = all.iter().map(|(name, _)| name).collect();
            let numbers: BTreeSet<_> = all.iter().map(|(_, number)| number).collect();
            assert_eq!((names.len(), numbers.len()), (all.len(), all.len()), "{}", arch.name);
            assert!(all.iter().all(|(name, number)| !name.is_empty() && *number != u32::MAX));
        }
    }
}
