//! Signals by name, and whether the first process of a container would take one at all.
//!
//! In: the name or number of a signal; a process id of this machine, and `/proc`. Out: its number,
//! and whether it would be lost, so that waiting for its effect is waiting for nothing. The kernel
//! drops a signal to the first process of a pid namespace unless that process catches it, or blocks
//! it to fetch it by `sigwait` (`pid_namespaces(7)`).
//!
//! # Invariants
//!
//! - In doubt a signal is not lost: whoever asked waits as ever.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Names and numbers, which are those of most architectures, as Docker has them.
const NAMES: [(&str, u32); 34] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("IOT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("POLL", 29),
    ("PWR", 30),
    ("SYS", 31),
];

/// The real-time signals that programs may use.
const REAL_TIME: (u32, u32) = (34, 64);

/// The number of a signal: `SIGTERM`, `term`, `15`, `RTMIN+3`.
pub(crate) fn number(text: &str) -> Option<u32> {
    let is_known = |number: &u32| (1..=31).contains(number) || is_real_time(*number);
    if let Ok(number) = text.parse() {
        return Some(number).filter(is_known);
    }
    let upper = text.to_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let named = NAMES.iter().find(|(known, _)| *known == name).map(|(_, number)| *number);
    named.or_else(|| {
        let (edge, offset) = match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
            (Some(offset), _) => (REAL_TIME.0, offset),
            (None, offset) => (REAL_TIME.1, offset?),
        };
        let offset = if offset.is_empty() { 0 } else { offset.parse().ok()? };
        edge.checked_add_signed(offset).filter(|number| is_real_time(*number))
    })
}

fn is_real_time(number: u32) -> bool {
    (REAL_TIME.0..=REAL_TIME.1).contains(&number)
}

/// Whether a signal would be lost on a process of this machine, because that process is the first
/// of a container and none of its threads would take it.
pub(crate) fn is_lost(pid: i64, signal: u32) -> bool {
    let bit = signal.checked_sub(1).and_then(|above| 1_u64.checked_shl(above));
    let (Some(bit), Ok(threads)) = (bit, fs::read_dir(format!("/proc/{pid}/task"))) else {
        return false;
    };
    let mut threads = threads.flatten().peekable();
    threads.peek().is_some()
        && threads.all(|thread| drops(&read(thread.path().join("status")), bit))
}

/// Whether a process of this machine belongs to the container `id`. An engine may count processes
/// elsewhere: of another machine, or inside another namespace.
pub(crate) fn is_of(pid: i64, id: &str) -> bool {
    !id.is_empty() && read(Path::new("/proc").join(pid.to_string()).join("cgroup")).contains(id)
}

/// A file of `/proc`; nothing if the process has gone.
fn read(path: PathBuf) -> String {
    const LONGEST: u64 = 64 << 10;
    let mut text = String::new();
    let file = fs::File::open(path);
    match file.and_then(|file| file.take(LONGEST).read_to_string(&mut text)) {
        Ok(_) => text,
        Err(_) => String::new(),
    }
}

/// Whether a thread of the first process of a namespace neither catches nor blocks a signal.
fn drops(status: &str, bit: u64) -> bool {
    let field = |name: &str| {
        status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
    };
    let mask = |name| field(name).and_then(|mask| u64::from_str_radix(mask, 16).ok());
    // Seen from outside and from inside: its number in its own namespace comes last. A thread has
    // the number of its process there.
    let is_first = field("NStgid").is_some_and(|ids| {
        let ids: Vec<&str> = ids.split_whitespace().collect();
        ids.len() > 1 && ids.last() == Some(&"1")
    });
    match (mask("SigBlk"), mask("SigCgt")) {
        (Some(blocked), Some(caught)) => is_first && (blocked | caught) & bit == 0,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{drops, is_lost, is_of, number};

    const TERM: u64 = 1 << 14;

    fn status(ids: &str, blocked: &str, caught: &str) -> String {
        format!("Name:\tsleep\nNStgid:\t{ids}\nSigBlk:\t{blocked}\nSigCgt:\t{caught}\n")
    }

    #[test]
    fn a_first_process_without_a_handler_drops_signals() {
        assert!(drops(&status("812\t1", "0000000000000000", "0000000000000000"), TERM));
        assert!(drops(&status("812\t1", "0000000000010000", "0000000000000002"), TERM));
        assert!(!drops(&status("812\t1", "0000000000004000", "0000000000000000"), TERM));
        assert!(!drops(&status("812\t1", "0000000000000000", "0000000000004002"), TERM));
    }

    #[test]
    fn any_other_process_ends_by_itself() {
        assert!(!drops(&status("812\t7", "0000000000000000", "0000000000000000"), TERM));
        assert!(!drops(&status("1", "0000000000000000", "0000000000000000"), TERM));
        assert!(!drops("", TERM));
        let own = i64::from(std::process::id());
        assert!(!is_lost(own, 15) && !is_lost(own, 0) && !is_lost(own, u32::MAX));
        assert!(!is_of(own, "") && !is_of(own, "no such container"));
    }

    #[test]
    fn signals_have_names_and_numbers() {
        for text in ["SIGTERM", "TERM", "term", "15"] {
            assert_eq!(number(text), Some(15), "{text}");
        }
        let known = ["SIGQUIT", "IOT", "SIGRTMIN+3", "RTMAX-1", "rtmin", "64"];
        assert_eq!(known.map(number), [3, 6, 37, 63, 34, 64].map(Some));
        let unknown = ["", "0", "32", "65", "-1", "SIG", "RTMIN+99", "SIGFOO", "RTMIN+9999999999"];
        for text in unknown {
            assert_eq!(number(text), None, "{text}");
        }
    }
}
