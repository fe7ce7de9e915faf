//! Signals by name and number, and whether a process can do anything about one.

use rustix::process::Signal;

use crate::runtime::{Result, RuntimeError};

/// Names and numbers. Numbers are those of most architectures, as Docker has them.
const NAMES: [(&str, Signal); 31] = [
    ("HUP", Signal::HUP),
    ("INT", Signal::INT),
    ("QUIT", Signal::QUIT),
    ("ILL", Signal::ILL),
    ("TRAP", Signal::TRAP),
    ("ABRT", Signal::ABORT),
    ("BUS", Signal::BUS),
    ("FPE", Signal::FPE),
    ("KILL", Signal::KILL),
    ("USR1", Signal::USR1),
    ("SEGV", Signal::SEGV),
    ("USR2", Signal::USR2),
    ("PIPE", Signal::PIPE),
    ("ALRM", Signal::ALARM),
    ("TERM", Signal::TERM),
    ("STKFLT", Signal::STKFLT),
    ("CHLD", Signal::CHILD),
    ("CONT", Signal::CONT),
    ("STOP", Signal::STOP),
    ("TSTP", Signal::TSTP),
    ("TTIN", Signal::TTIN),
    ("TTOU", Signal::TTOU),
    ("URG", Signal::URG),
    ("XCPU", Signal::XCPU),
    ("XFSZ", Signal::XFSZ),
    ("VTALRM", Signal::VTALARM),
    ("PROF", Signal::PROF),
    ("WINCH", Signal::WINCH),
    ("IO", Signal::IO),
    ("PWR", Signal::POWER),
    ("SYS", Signal::SYS),
];

/// The real-time signals that programs may use.
const REAL_TIME: (i32, i32) = (34, 64);

/// The signal of a name (`SIGTERM`, `term`, `RTMIN+3`) or number.
pub(super) fn parse(text: &str) -> Result<Signal> {
    let wrong = || RuntimeError::Refused(format!("`{text}` is no signal"));
    if let Ok(number) = text.parse::<i32>() {
        return Signal::from_named_raw(number).or_else(|| real_time(number)).ok_or_else(wrong);
    }
    let upper = text.to_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let alias = match name {
        "IOT" => "ABRT",
        "CLD" => "CHLD",
        "POLL" => "IO",
        name => name,
    };
    if let Some((_, signal)) = NAMES.iter().find(|(name, _)| *name == alias) {
        return Ok(*signal);
    }
    let number = if let Some(above) = name.strip_prefix("RTMIN") {
        offset(above).and_then(|above| REAL_TIME.0.checked_add(above))
    } else {
        let below = name.strip_prefix("RTMAX").and_then(offset);
        below.and_then(|below| REAL_TIME.1.checked_add(below))
    };
    number.and_then(real_time).ok_or_else(wrong)
}

fn offset(text: &str) -> Option<i32> {
    if text.is_empty() { Some(0) } else { text.parse().ok() }
}

fn real_time(number: i32) -> Option<Signal> {
    if number < REAL_TIME.0 || number > REAL_TIME.1 {
        return None;
    }
    // SAFETY: the number is that of a real-time signal that the C library leaves to programs; it
    // is only ever sent to other processes.
    Some(unsafe { Signal::from_raw_unchecked(number) })
}

/// Whether the first process of a pid namespace takes a signal: the kernel drops those that it
/// neither catches nor holds back. `status` is what `/proc/PID/status` says.
pub(super) fn is_taken(status: &str, signal: Signal) -> bool {
    let mask = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        u64::from_str_radix(line.trim(), 16).ok()
    };
    let (Some(caught), Some(blocked)) = (mask("SigCgt:"), mask("SigBlk:")) else { return true };
    let bit = u32::try_from(signal.as_raw() - 1).ok().and_then(|bit| 1_u64.checked_shl(bit));
    bit.is_none_or(|bit| (caught | blocked) & bit != 0)
}

#[cfg(test)]
mod tests {
    use super::{Signal, is_taken, parse};

    #[test]
    fn signals_have_names_and_numbers() {
        for text in ["SIGTERM", "term", "15"] {
            assert_eq!(parse(text).unwrap(), Signal::TERM, "{text}");
        }
        assert_eq!(parse("SIGRTMIN+3").unwrap().as_raw(), 37);
        assert_eq!(parse("RTMAX-1").unwrap().as_raw(), 63);
        assert_eq!(parse("64").unwrap().as_raw(), 64);
        for text in ["", "0", "65", "-1", "SIG", "RTMIN+99", "SIGFOO", "RTMIN+9999999999"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_neither_caught_nor_held_back_is_not_taken() {
        let status = "Name:\tsh\nSigBlk:\t0000000000000001\nSigIgn:\t0000000000000004\n\
                      SigCgt:\t0000000000004000\n";
        assert!(is_taken(status, Signal::TERM) && is_taken(status, Signal::HUP));
        assert!(!is_taken(status, Signal::QUIT) && !is_taken(status, Signal::INT));
        assert!(is_taken("", Signal::TERM), "nobody knows");
    }
}
