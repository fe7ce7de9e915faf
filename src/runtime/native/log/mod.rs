//! What containers write: files, a line of text for each line or part of one.
//!
//! In: `logging` of a service, and bytes. Out: bytes, as they came. A record is a line of the form
//! that Kubernetes has for logs, so that programs which ship logs can read it:
//!
//! ```text
//! 2026-11-23T16:00:00.000000000Z stdout F a whole line, or the end of one
//! 2026-11-23T16:00:00.000000000Z stderr P a part: more of the line follows in the next record
//! ```
//!
//! # Invariants
//!
//! - All that stands before the text of a record has a fixed width.
//! - `container.log` is written to; `container.log.1` is older than it, `.2` older than that.

pub(super) mod reader;
mod tail;
pub(super) mod writer;

use serde::{Deserialize, Serialize};

use crate::model::{Bytes, Logging, Output};
use crate::runtime::{Result, RuntimeError};

/// The file that is written to.
const FILE: &str = "container.log";

/// Length of the time.
const TIME: usize = 30;
/// Where the name of the stream begins.
const STREAM: usize = TIME + 1;
/// Where the tag is.
const TAG: usize = STREAM + 7;
/// Where the text begins.
const TEXT: usize = TAG + 2;

/// Where output goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct LogSettings {
    /// The driver.
    pub(super) driver: Driver,
    /// Bytes after which a new file is begun; `None`: never.
    pub(super) max_size: Option<u64>,
    /// How many files there are at most.
    pub(super) max_files: u32,
}

/// Where output goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Driver {
    /// To files.
    #[default]
    Files,
    /// Nowhere.
    None,
}

/// Options of Docker's drivers that say nothing about files of ours, or what is done anyway.
const WITHOUT_EFFECT: [&str; 8] =
    ["compress", "labels", "labels-regex", "env", "env-regex", "tag", "mode", "max-buffer-size"];

impl LogSettings {
    /// What a service asks for, and what of it has no effect here.
    pub(super) fn of(logging: Option<&Logging>) -> Result<(Self, Vec<String>)> {
        let (driver, defaults) = match logging.map_or("", |logging| logging.driver.as_str()) {
            "" | "json-file" => (Driver::Files, (None, 1)),
            "local" => (Driver::Files, (Some(20 << 20), 5)),
            "none" => (Driver::None, (None, 1)),
            other => {
                return Err(RuntimeError::Unsupported(format!(
                    "the logging driver `{other}` needs an engine; without one there are \
                     `json-file`, `local` and `none`"
                )));
            }
        };
        let mut settings = Self { driver, max_size: defaults.0, max_files: defaults.1 };
        let mut remarks = Vec::new();
        for (name, value) in logging.iter().flat_map(|logging| &logging.options) {
            match name.as_str() {
                "max-size" => settings.max_size = max_size(value)?,
                "max-file" => settings.max_files = max_files(value)?,
                name if WITHOUT_EFFECT.contains(&name) => {
                    remarks.push(format!("the logging option `{name}` has no effect here"));
                }
                _ => {
                    let said = format!("`{name}` is no option of the logging driver");
                    return Err(RuntimeError::Refused(said));
                }
            }
        }
        Ok((settings, remarks))
    }
}

fn max_size(text: &str) -> Result<Option<u64>> {
    if text == "-1" {
        return Ok(None);
    }
    let size = Bytes::parse(text).ok().and_then(|size| u64::try_from(size.0).ok());
    let wrong = || RuntimeError::Refused(format!("`{text}` is no size for `max-size`"));
    size.filter(|size| *size > 0).map(Some).ok_or_else(wrong)
}

fn max_files(text: &str) -> Result<u32> {
    let wrong =
        || RuntimeError::Refused(format!("`{text}` is no number for `max-file`: 1 or more"));
    text.parse().ok().filter(|number| *number > 0).ok_or_else(wrong)
}

fn word(output: Output) -> &'static str {
    match output {
        Output::Stdout => "stdout",
        Output::Stderr => "stderr",
    }
}

/// A time in nanoseconds since 1970 as records have it: of fixed width, so that texts compare as
/// times do.
fn stamp(time: i64) -> String {
    let seconds = time.div_euclid(super::clock::SECOND);
    let nanoseconds = time.rem_euclid(super::clock::SECOND);
    // Years beyond 9999 do not fit into nanoseconds.
    let second = jiff::Timestamp::from_second(seconds).unwrap_or_default().to_string();
    format!("{}.{nanoseconds:09}Z", second.trim_end_matches('Z'))
}

#[cfg(test)]
mod tests {
    use super::{Driver, LogSettings, TIME, stamp};
    use crate::model::Logging;

    fn of(yaml: &str) -> crate::runtime::Result<(LogSettings, Vec<String>)> {
        let logging: Logging = serde_yaml::from_str(yaml).unwrap();
        LogSettings::of(Some(&logging))
    }

    #[test]
    fn drivers_and_options_are_docker_s() {
        let files =
            |max_size, max_files| LogSettings { driver: Driver::Files, max_size, max_files };
        assert_eq!(LogSettings::of(None).unwrap().0, files(None, 1));
        let (found, remarks) =
            of("{driver: json-file, options: {max-size: 10k, max-file: '3', tag: x}}").unwrap();
        assert_eq!(found, files(Some(10_240), 3));
        assert_eq!(remarks, ["the logging option `tag` has no effect here"]);
        assert_eq!(of("{driver: local}").unwrap().0, files(Some(20 << 20), 5));
        assert_eq!(of("{driver: none}").unwrap().0.driver, Driver::None);
        for wrong in [
            "{driver: syslog}",
            "{options: {max-size: x}}",
            "{options: {max-file: '0'}}",
            "{options: {nope: '0'}}",
        ] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn times_have_one_width() {
        assert_eq!(stamp(0), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(stamp(1_700_000_000_000_000_001), "2023-11-14T22:13:20.000000001Z");
        assert_eq!(stamp(i64::MAX).len(), TIME);
    }
}
