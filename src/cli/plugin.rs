//! Ketch as a plug-in of the `docker` program.
//!
//! In: arguments as `docker` passes them on to a program that is called `docker-NAME`: its own
//! flags, `NAME`, and what follows. Out: the arguments without that word; and what `docker` wants
//! to know about a plug-in before it shows it.
//!
//! # Invariants
//!
//! - A program of another name is no plug-in, and its arguments stay as they are.

use std::ffi::OsString;
use std::path::Path;

use serde_json::json;

use super::exit::Failure;
use crate::ui::Screen;

/// The question of `docker`.
const METADATA: &str = "docker-cli-plugin-metadata";

/// Flags of `docker` itself that take a value.
const WITH_VALUE: &[&str] = &[
    "-H",
    "--host",
    "-c",
    "--context",
    "-l",
    "--log-level",
    "--config",
    "--tlscacert",
    "--tlscert",
    "--tlskey",
];

/// Flags of `docker` itself that take none.
const SWITCHES: &[&str] = &["-D", "--debug", "--tls", "--tlsverify"];

/// The `NAME` of `docker-NAME`; `None`: it is no plug-in.
fn name(arguments: &[OsString]) -> Option<&str> {
    let program = Path::new(arguments.first()?).file_name()?.to_str()?;
    program.strip_prefix("docker-").filter(|name| !name.is_empty())
}

/// Whether `docker` asks what this is.
pub(super) fn is_asked(arguments: &[OsString]) -> bool {
    name(arguments).is_some() && arguments.get(1).is_some_and(|word| word == METADATA)
}

/// Tells `docker` what this is.
pub(super) fn answer(screen: &mut Screen) -> Result<(), Failure> {
    let metadata = json!({
        "SchemaVersion": "0.1.0",
        "Vendor": "Ketch",
        "Version": env!("CARGO_PKG_VERSION"),
        "ShortDescription": "Run Compose projects with Ketch",
    });
    Ok(screen.data(&format!("{metadata}\n"))?)
}

/// The arguments as if the program had been called by itself.
pub(super) fn unwrapped(arguments: &[OsString]) -> Vec<OsString> {
    let mut arguments = arguments.to_vec();
    let Some(name) = name(&arguments).map(str::to_owned) else { return arguments };
    let mut at = 1;
    while let Some(word) = arguments.get(at).and_then(|word| word.to_str()) {
        let flag = word.split('=').next().unwrap_or(word);
        at += match flag {
            _ if word == name => {
                arguments.remove(at);
                break;
            }
            _ if SWITCHES.contains(&flag) => 1,
            _ if WITH_VALUE.contains(&flag) => 1 + usize::from(flag == word),
            _ if is_short_with_value(word) => 1,
            _ => break,
        };
    }
    arguments
}

/// `-Htcp://…`: a short flag with its value right behind.
fn is_short_with_value(word: &str) -> bool {
    !word.starts_with("--") && word.get(..2).is_some_and(|flag| WITH_VALUE.contains(&flag))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::{is_asked, unwrapped};

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn the_name_of_the_plug_in_is_dropped() {
        for (given, expected) in [
            ("/p/docker-compose compose up", "/p/docker-compose up"),
            ("docker-compose -H x --tls compose up", "docker-compose -H x --tls up"),
            ("docker-compose --host=x -lwarn compose up", "docker-compose --host=x -lwarn up"),
            ("docker-compose -H compose compose up", "docker-compose -H compose up"),
            ("docker-compose up compose", "docker-compose up compose"),
            ("docker-compose -f compose up", "docker-compose -f compose up"),
            ("docker-ketch ketch up", "docker-ketch up"),
            ("docker-compose compose", "docker-compose"),
            ("docker-compose", "docker-compose"),
            ("ketch compose up", "ketch compose up"),
        ] {
            assert_eq!(unwrapped(&words(given)), words(expected), "{given}");
        }
    }

    #[test]
    fn only_a_plug_in_is_asked() {
        assert!(is_asked(&words("/p/docker-compose docker-cli-plugin-metadata")));
        assert!(!is_asked(&words("ketch docker-cli-plugin-metadata")));
        assert!(!is_asked(&words("docker-compose up")));
    }
}
