//! Signals that can be sent, by name and number.

use rustix::process::Signal;

use crate::runtime::{Result, RuntimeError, signal};

/// The signal of a name (`SIGTERM`, `term`, `RTMIN+3`) or number.
pub(super) fn parse(text: &str) -> Result<Signal> {
    let number = signal::number(text).and_then(|number| i32::try_from(number).ok());
    let found = number.map(|number| {
        // SAFETY: it is a signal of the kernel's that is none of those that the C library keeps to
        // itself, and is only ever sent to other processes.
        let real_time = || unsafe { Signal::from_raw_unchecked(number) };
        Signal::from_named_raw(number).unwrap_or_else(real_time)
    });
    found.ok_or_else(|| RuntimeError::Refused(format!("`{text}` is no signal")))
}

#[cfg(test)]
mod tests {
    use super::{Signal, parse};

    #[test]
    fn signals_have_names_and_numbers() {
        for text in ["SIGTERM", "term", "15"] {
            assert_eq!(parse(text).unwrap(), Signal::TERM, "{text}");
        }
        assert_eq!(parse("SIGRTMIN+3").unwrap().as_raw(), 37);
        assert_eq!(parse("64").unwrap().as_raw(), 64);
        assert!(parse("").is_err() && parse("SIGFOO").is_err());
    }
}
