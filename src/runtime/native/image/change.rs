//! Instructions of a Dockerfile that change how containers run: for `commit --change`.
//!
//! In: instructions. Out: changed [`Defaults`].

use serde_json::{Value, json};

use super::spec::{Defaults, HealthCheck};
use crate::model::Duration;
use crate::runtime::{Result, RuntimeError};

/// Applies instructions in order.
pub(super) fn apply(defaults: &mut Defaults, changes: &[String]) -> Result<()> {
    let lines = changes.iter().flat_map(|change| change.lines());
    for line in lines.map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        one(defaults, line).map_err(|why| {
            RuntimeError::Refused(format!("the change `{line}` cannot be made: {why}"))
        })?;
    }
    Ok(())
}

fn one(defaults: &mut Defaults, line: &str) -> std::result::Result<(), String> {
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim();
    if rest.is_empty() {
        return Err("it has no value".to_owned());
    }
    match word.to_ascii_uppercase().as_str() {
        "CMD" => defaults.cmd = command(defaults, rest),
        "ENTRYPOINT" => {
            defaults.entrypoint = command(defaults, rest);
            // A new entrypoint has no use for the words of the old one.
            defaults.cmd.clear();
        }
        "ENV" => {
            for (name, value) in pairs(rest)? {
                let prefix = format!("{name}=");
                defaults.env.retain(|entry| !entry.starts_with(&prefix));
                defaults.env.push(prefix + &value);
            }
        }
        "LABEL" => defaults.labels.extend(pairs(rest)?),
        "EXPOSE" => {
            for port in rest.split_whitespace() {
                let port = if port.contains('/') { port.to_owned() } else { format!("{port}/tcp") };
                defaults.exposed_ports.insert(port, json!({}));
            }
        }
        "VOLUME" => {
            for path in list(rest).unwrap_or_else(|| words(rest)) {
                defaults.volumes.insert(path, json!({}));
            }
        }
        "USER" => rest.clone_into(&mut defaults.user),
        "WORKDIR" => defaults.working_dir = directory(&defaults.working_dir, rest),
        "STOPSIGNAL" => rest.clone_into(&mut defaults.stop_signal),
        "SHELL" => defaults.shell = list(rest).ok_or("it takes a JSON list")?,
        "HEALTHCHECK" => defaults.healthcheck = Some(health_check(rest)?),
        "ONBUILD" => on_build(defaults, rest),
        other => {
            return Err(format!(
                "`{other}` is none of CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, \
                 SHELL, STOPSIGNAL, USER, VOLUME, WORKDIR"
            ));
        }
    }
    Ok(())
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// A JSON list of strings.
fn list(text: &str) -> Option<Vec<String>> {
    serde_json::from_str(text).ok()
}

/// A list, or a line for the shell.
fn command(defaults: &Defaults, text: &str) -> Vec<String> {
    list(text).unwrap_or_else(|| {
        let shell = || vec!["/bin/sh".to_owned(), "-c".to_owned()];
        let mut words = if defaults.shell.is_empty() { shell() } else { defaults.shell.clone() };
        words.push(text.to_owned());
        words
    })
}

/// `NAME=VALUE …`, values quoted or not; or the old form `NAME VALUE`.
fn pairs(text: &str) -> std::result::Result<Vec<(String, String)>, String> {
    let first = text.split_whitespace().next().unwrap_or_default();
    if !first.contains('=') {
        let (name, value) = text.split_once(char::is_whitespace).ok_or("it has no value")?;
        return Ok(vec![(name.to_owned(), value.trim().to_owned())]);
    }
    let mut pairs = Vec::new();
    for word in quoted_words(text)? {
        let (name, value) = word.split_once('=').ok_or("it takes NAME=VALUE")?;
        if name.is_empty() {
            return Err("a name is missing before `=`".to_owned());
        }
        pairs.push((name.to_owned(), value.to_owned()));
    }
    Ok(pairs)
}

/// Words as a shell has them: quotes and backslashes are taken away.
fn quoted_words(text: &str) -> std::result::Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some(open), character) if character == open => quote = None,
            (Some('\''), character) => word.push(character),
            (_, '\\') => word.extend(characters.next()),
            (None, '"' | '\'') => quote = Some(character),
            (None, character) if character.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            (_, character) => word.push(character),
        }
    }
    if quote.is_some() {
        return Err("a quote is not closed".to_owned());
    }
    if !word.is_empty() {
        words.push(word);
    }
    Ok(words)
}

/// A directory relative to the one before.
fn directory(before: &str, text: &str) -> String {
    if text.starts_with('/') {
        return text.to_owned();
    }
    format!("{}/{text}", before.trim_end_matches('/'))
}

fn health_check(text: &str) -> std::result::Result<HealthCheck, String> {
    if text.eq_ignore_ascii_case("none") {
        return Ok(HealthCheck { test: vec!["NONE".to_owned()], ..HealthCheck::default() });
    }
    let mut check = HealthCheck::default();
    let mut rest = text;
    while let Some(flag) = rest.strip_prefix("--") {
        let (flag, after) = flag.split_once(char::is_whitespace).unwrap_or((flag, ""));
        let (name, value) = flag.split_once('=').ok_or("its flags take `=`")?;
        let time = || -> std::result::Result<i64, String> {
            let duration = Duration::parse(value);
            duration.map(|duration| duration.0).map_err(|_| format!("`{value}` is no time"))
        };
        match name {
            "interval" => check.interval = time()?,
            "timeout" => check.timeout = time()?,
            "start-period" => check.start_period = time()?,
            "start-interval" => check.start_interval = time()?,
            "retries" => {
                check.retries = value.parse().map_err(|_| format!("`{value}` is no number"))?;
            }
            other => return Err(format!("`--{other}` is no flag of it")),
        }
        rest = after.trim_start();
    }
    let (word, command) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    if !word.eq_ignore_ascii_case("cmd") || command.trim().is_empty() {
        return Err("it takes CMD and a command, or NONE".to_owned());
    }
    let command = command.trim();
    let (kind, words) = match list(command) {
        Some(words) => ("CMD", words),
        None => ("CMD-SHELL", vec![command.to_owned()]),
    };
    check.test = std::iter::once(kind.to_owned()).chain(words).collect();
    Ok(check)
}

/// Docker keeps what a later build does; nobody here runs it.
fn on_build(defaults: &mut Defaults, instruction: &str) {
    let list = defaults.other.entry("OnBuild").or_insert_with(|| json!([]));
    if list.is_null() {
        *list = json!([]);
    }
    if let Some(list) = list.as_array_mut() {
        list.push(Value::String(instruction.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_change_what_containers_get() {
        let mut defaults =
            Defaults { env: vec!["A=1".into(), "B=2".into()], ..Defaults::default() };
        let changes = [
            "ENV A=one C=\"t w\\\" o\" D='x'",
            "env E  plain words",
            "CMD [\"a\", \"b\"]\nENTRYPOINT run it",
            "CMD echo hi",
            "EXPOSE 80 53/udp",
            "VOLUME [\"/d\", \"/e f\"]",
            "VOLUME /g /h",
            "LABEL x=y",
            "WORKDIR /srv",
            "WORKDIR app",
            "USER 1:2",
            "STOPSIGNAL SIGINT",
            "HEALTHCHECK --interval=5s --retries=3 CMD test -f /x",
            "ONBUILD RUN x",
        ];
        apply(&mut defaults, &changes.map(str::to_owned)).unwrap();
        assert_eq!(defaults.env, ["B=2", "A=one", "C=t w\" o", "D=x", "E=plain words"]);
        assert_eq!(defaults.entrypoint, ["/bin/sh", "-c", "run it"]);
        assert_eq!(defaults.cmd, ["/bin/sh", "-c", "echo hi"]);
        assert_eq!(defaults.exposed_ports.keys().collect::<Vec<_>>(), ["53/udp", "80/tcp"]);
        assert_eq!(defaults.volumes.keys().collect::<Vec<_>>(), ["/d", "/e f", "/g", "/h"]);
        assert_eq!((defaults.working_dir.as_str(), defaults.user.as_str()), ("/srv/app", "1:2"));
        let check = defaults.healthcheck.unwrap();
        assert_eq!((check.interval, check.retries), (5_000_000_000, 3));
        assert_eq!(check.test, ["CMD-SHELL", "test -f /x"]);
        assert_eq!(defaults.other["OnBuild"][0], "RUN x");
    }

    #[test]
    fn what_is_no_change_is_told() {
        for (change, why) in [
            ("RUN x", "is none of CMD"),
            ("CMD", "has no value"),
            ("ENV A=\"x", "not closed"),
            ("ENV A", "has no value"),
            ("HEALTHCHECK --interval=x CMD y", "is no time"),
            ("HEALTHCHECK true", "takes CMD"),
            ("SHELL sh", "takes a JSON list"),
        ] {
            let error = apply(&mut Defaults::default(), &[change.to_owned()]).unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
        }
    }
}
