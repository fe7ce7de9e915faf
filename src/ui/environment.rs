//! `env`: where a project can be reached, as text.
//!
//! In: variables. Out: their text for shells, programs and env files.
//!
//! # Invariants
//!
//! - Whatever a value holds, who reads the text gets that value and nothing else happens.

use std::fmt::Write as _;

use super::listing::compact;
use crate::model::reach::Variables;

/// For `eval` in a shell.
pub fn shell(variables: &Variables) -> String {
    let mut text = String::new();
    for (name, value) in variables {
        // Nothing is special between these but the sign itself.
        let quoted = value.replace('\'', r"'\''");
        let _ = writeln!(text, "export {name}='{quoted}'");
    }
    text
}

/// For programs.
pub fn json(variables: &Variables) -> String {
    compact(variables) + "\n"
}

/// For env files.
pub fn dotenv(variables: &Variables) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/@[]".contains(c);
    let mut text = String::new();
    for (name, value) in variables {
        if value.chars().all(is_plain) {
            let _ = writeln!(text, "{name}={value}");
            continue;
        }
        let _ = write!(text, "{name}=\"");
        for c in value.chars() {
            match c {
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                '"' | '\\' | '$' => text.extend(['\\', c]),
                _ => text.push(c),
            }
        }
        text.push_str("\"\n");
    }
    text
}

#[cfg(test)]
mod tests;
