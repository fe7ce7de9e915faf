//! Whether the first process of a container would take a signal at all.
//!
//! In: a process id of this machine, and `/proc`. Out: whether a stop signal would be lost, so that
//! waiting for its effect is waiting for nothing. The kernel drops a signal to the first process of
//! a pid namespace unless that process catches it, or blocks it to fetch it by `sigwait`
//! (pid_namespaces(7)).
//!
//! # Invariants
//!
//! - In doubt the answer is no: whoever asked waits as ever.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Numbers of the signals that programs are told to stop by, as on every Linux but MIPS's.
const NUMBERS: [(&str, u32); 8] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ABRT", 6),
    ("USR1", 10),
    ("USR2", 12),
    ("TERM", 15),
    ("WINCH", 28),
];

/// Whether a signal, `SIGTERM`, `TERM` or `15`, would be lost on the first process of the container
/// `id`, which has the number `pid` on this machine. An empty signal means `SIGTERM`.
pub(crate) fn is_lost(pid: i64, id: &str, signal: &str) -> bool {
    let process = format!("/proc/{pid}");
    // The engine may count processes elsewhere: of another machine, or inside another namespace.
    let is_it = read(Path::new(&process).join("cgroup")).contains(id);
    let Some(bit) = number(signal).map(|number| 1_u64 << (number - 1)) else { return false };
    let Ok(threads) = fs::read_dir(format!("{process}/task")) else { return false };
    let mut threads = threads.flatten().peekable();
    is_it
        && threads.peek().is_some()
        && threads.all(|thread| drops(&read(thread.path().join("status")), bit))
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

fn number(signal: &str) -> Option<u32> {
    if signal.is_empty() {
        return Some(15);
    }
    let name = signal.trim_start_matches("SIG");
    let named = NUMBERS.iter().find(|(known, _)| *known == name).map(|(_, number)| *number);
    named.or_else(|| name.parse().ok().filter(|number| (1..=31).contains(number)))
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
    use super::{drops, is_lost, number};

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
        assert!(!is_lost(own, "", "SIGTERM"));
        assert!(!is_lost(own, "no such container", "SIGTERM"));
    }

    #[test]
    fn signals_have_names_and_numbers() {
        let known = ["", "SIGTERM", "TERM", "15", "SIGQUIT", "3", "SIGRTMIN+3", "nonsense", "64"];
        let numbers = [Some(15), Some(15), Some(15), Some(15), Some(3), Some(3), None, None, None];
        assert_eq!(known.map(number), numbers);
    }
}
