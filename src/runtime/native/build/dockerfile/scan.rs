//! Lines of a Dockerfile: which belong together.
//!
//! In: text. Out: directives, and each instruction on one line, with the heredocs after it.

use super::heredoc::Heredoc;
use super::{Check, Directives, Fault, Remark, words};

/// A file in lines.
#[derive(Debug, Default)]
pub(super) struct Scanned {
    pub(super) directives: Directives,
    pub(super) lines: Vec<Line>,
    pub(super) remarks: Vec<Remark>,
}

/// An instruction.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// Its first line, from 1.
    pub(super) number: usize,
    /// All of it, without heredocs.
    pub(super) text: String,
    pub(super) heredocs: Vec<Heredoc>,
}

/// Reads all lines.
pub(super) fn scan(text: &str) -> Result<Scanned, Fault> {
    let text = text.trim_start_matches('\u{feff}');
    let mut scanned = Scanned { directives: directives(text)?, ..Scanned::default() };
    let escape = scanned.directives.escape();
    let mut lines = text.lines().enumerate().map(|(at, line)| (at + 1, line));
    while let Some((number, first)) = lines.next() {
        let first = first.trim_start();
        if first.is_empty() || first.starts_with('#') {
            continue;
        }
        let (mut all, mut goes_on) = part(first, escape);
        let mut has_gap = false;
        while goes_on {
            let Some((_, next)) = lines.next() else { break };
            if next.trim_start().starts_with('#') {
                continue;
            }
            if next.trim().is_empty() {
                has_gap = true;
                continue;
            }
            let (more, further) = part(next, escape);
            all.push_str(&more);
            goes_on = further;
        }
        if has_gap {
            let text = "an empty line in a continued instruction";
            scanned.remarks.push(Remark::new("NoEmptyContinuation", number, text));
        }
        if all.trim().is_empty() {
            continue;
        }
        let mut line = Line { number, text: all.trim().to_owned(), heredocs: Vec::new() };
        if may_have_heredocs(&line.text) {
            line.heredocs = Heredoc::in_line(&line.text, escape);
            let rest = lines.by_ref().map(|(_, text)| text);
            fill(&mut line, rest)?;
        }
        scanned.lines.push(line);
    }
    Ok(scanned)
}

/// Reads the content of the heredocs of a line.
fn fill<'a>(line: &mut Line, mut rest: impl Iterator<Item = &'a str>) -> Result<(), Fault> {
    for heredoc in &mut line.heredocs {
        loop {
            let Some(text) = rest.next() else {
                let said = format!("`{}` has no end: a line `{}`", heredoc.word, heredoc.name);
                return Err(Fault::new(line.number, said));
            };
            if heredoc.take(text) {
                break;
            }
        }
    }
    Ok(())
}

/// Which instructions have heredocs. A JSON list has none.
fn may_have_heredocs(text: &str) -> bool {
    let (mut word, mut rest) = words::first(text);
    if word.eq_ignore_ascii_case("ONBUILD") {
        // One in another is refused later.
        (word, rest) = words::first(rest);
    }
    let takes_files = ["RUN", "COPY", "ADD"].iter().any(|name| word.eq_ignore_ascii_case(name));
    takes_files && rest.contains("<<") && words::json(rest).is_none()
}

/// A line without the escape at its end, and whether there was one.
fn part(line: &str, escape: char) -> (String, bool) {
    let trimmed = line.trim_end_matches([' ', '\t']);
    match trimmed.strip_suffix(escape) {
        Some(rest) if !rest.ends_with(escape) => (rest.to_owned(), true),
        _ => (line.to_owned(), false),
    }
}

/// The directives at the top: the first line that is none ends them.
fn directives(text: &str) -> Result<Directives, Fault> {
    let mut directives = Directives::default();
    let mut seen: Vec<String> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let Some(comment) = line.trim().strip_prefix('#') else { break };
        let Some((name, value)) = comment.split_once('=') else { break };
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
        if seen.contains(&name) {
            return Err(Fault::new(at + 1, format!("the directive `{name}` stands here twice")));
        }
        match name.as_str() {
            "syntax" => directives.syntax = Some(value.to_owned()),
            "check" => directives.check = check(at + 1, value)?,
            "escape" => directives.escape = Some(escape(at + 1, value)?),
            _ => break,
        }
        seen.push(name);
    }
    Ok(directives)
}

fn check(line: usize, value: &str) -> Result<Check, Fault> {
    let mut check = Check::default();
    for part in value.split(';').map(str::trim) {
        match part.split_once('=') {
            Some(("skip", names)) => {
                check.skipped.extend(names.split(',').map(|name| name.trim().to_owned()));
            }
            Some(("error", "true")) => check.is_error = true,
            Some(("error", "false")) => check.is_error = false,
            _ => {
                let said = format!("`check` has `{part}`: it has `skip=NAME,…` and `error=true`");
                return Err(Fault::new(line, said));
            }
        }
    }
    Ok(check)
}

fn escape(line: usize, value: &str) -> Result<char, Fault> {
    match value {
        "\\" => Ok('\\'),
        "`" => Ok('`'),
        other => {
            let said = format!("`escape` is `{other}`: it is a backslash or a backtick");
            Err(Fault::new(line, said))
        }
    }
}
