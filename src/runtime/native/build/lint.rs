//! What a Dockerfile should say otherwise, though it can be built.
//!
//! In: a Dockerfile. Out: remarks, each with its line. Those about the words of one instruction
//! come with parsing.

use std::collections::BTreeSet;

use super::dockerfile::{Command, Dockerfile, Remark};
use super::stage::{is_automatic, is_proxy};

/// Parts of names whose values are secrets.
const SECRETS: &[&str] = &["password", "passwd", "pword", "secret", "token", "apikey", "api_key"];

/// What is said of a variable that the base image may set.
const GUESS: &str = " here: perhaps by the base image";

/// All remarks, by line.
pub(super) fn remarks(file: &Dockerfile) -> Vec<Remark> {
    let mut found = Vec::new();
    let mut stage = Stage::default();
    for instruction in &file.instructions {
        let mut tell = |rule: &'static str, text: String| {
            let is_guess = text.ends_with(GUESS);
            let remark = Remark::new(rule, instruction.line, text);
            found.push(Remark { is_guess, ..remark });
        };
        match &instruction.command {
            Command::From(from) => {
                if from.platform.contains('/') && !from.platform.contains('$') {
                    let text =
                        format!("`--platform={}` is the same on every machine", from.platform);
                    tell("FromPlatformFlagConstDisallowed", text);
                }
                stage = Stage { globals: stage.globals, ..Stage::default() };
            }
            Command::Arg(arguments) => {
                for (name, _) in arguments {
                    stage.globals.insert(name.clone());
                    stage.names.insert(name.clone());
                    warn_of_secret("ARG", name, &mut tell);
                }
            }
            Command::Env(pairs) => {
                for (name, value) in pairs {
                    stage.check(value, &mut tell);
                    stage.names.insert(name.clone());
                    warn_of_secret("ENV", name, &mut tell);
                }
            }
            Command::Cmd(_) => stage.once("CMD", &mut tell),
            Command::Entrypoint(_) => stage.once("ENTRYPOINT", &mut tell),
            Command::Healthcheck(_) => stage.once("HEALTHCHECK", &mut tell),
            Command::Transfer(transfer) => {
                stage.check(&transfer.target, &mut tell);
                transfer.sources.iter().for_each(|source| stage.check(source, &mut tell));
            }
            Command::Workdir(path) | Command::User(path) => stage.check(path, &mut tell),
            _ => {}
        }
    }
    found
}

/// What a stage has said so far.
#[derive(Default)]
struct Stage {
    globals: BTreeSet<String>,
    names: BTreeSet<String>,
    once: BTreeSet<&'static str>,
}

impl Stage {
    fn once(&mut self, name: &'static str, tell: &mut impl FnMut(&'static str, String)) {
        if !self.once.insert(name) {
            let text = format!("only the last `{name}` of a stage counts");
            tell("MultipleInstructionsDisallowed", text);
        }
    }

    /// Tells of a variable that nothing sets and that looks like one that is set.
    fn check(&self, text: &str, tell: &mut impl FnMut(&'static str, String)) {
        for name in variables(text) {
            let is_known = self.names.contains(name) || is_automatic(name) || is_proxy(name);
            if is_known || name == "PATH" || name == "HOME" {
                continue;
            }
            let hint = if self.globals.contains(name) {
                format!(": an `ARG` before `FROM` counts in a stage that says `ARG {name}`")
            } else {
                GUESS.to_owned()
            };
            tell("UndefinedVar", format!("`${name}` is not set{hint}"));
        }
    }
}

fn warn_of_secret(instruction: &str, name: &str, tell: &mut impl FnMut(&'static str, String)) {
    let small = name.to_ascii_lowercase();
    if SECRETS.iter().any(|part| small.contains(part)) {
        let text = format!(
            "`{instruction} {name}`: who has the image can read it; use `RUN --mount=type=secret`"
        );
        tell("SecretsUsedInArgOrEnv", text);
    }
}

/// The names of plain variables in a text.
fn variables(text: &str) -> impl Iterator<Item = &str> {
    let is_name = |char: char| char.is_ascii_alphanumeric() || char == '_';
    text.split('$').skip(1).filter_map(move |rest| {
        let rest = rest.strip_prefix('{').unwrap_or(rest);
        let end = rest.find(|char| !is_name(char)).unwrap_or(rest.len());
        // With a modifier it is meant to be absent.
        let is_plain = matches!(rest[end..].chars().next(), None | Some('}' | '/' | ' ' | '"'));
        (end > 0 && is_plain).then(|| &rest[..end])
    })
}

#[cfg(test)]
mod tests {
    use crate::runtime::native::build::dockerfile::parse;

    #[test]
    fn what_should_be_otherwise_is_told() {
        let text = "ARG V=1\nFROM --platform=linux/amd64 a\nENV DB_PASSWORD=x P=$V\nARG V\n\
            ENV Q=$V:$P:$PATH:${N:-x}\nCMD [\"a\"]\nCMD [\"b\"]\nCOPY $lost /x\n";
        let found = super::remarks(&parse(text).unwrap());
        let found: Vec<String> =
            found.iter().map(|it| format!("{}: {}", it.line, it.text)).collect();
        insta::assert_snapshot!(found.join("\n"), @"
        2: `--platform=linux/amd64` is the same on every machine
        3: `ENV DB_PASSWORD`: who has the image can read it; use `RUN --mount=type=secret`
        3: `$V` is not set: an `ARG` before `FROM` counts in a stage that says `ARG V`
        7: only the last `CMD` of a stage counts
        8: `$lost` is not set here: perhaps by the base image
        ");
    }
}
