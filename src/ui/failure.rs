//! The report after a failed run: what failed, why, what cannot go on, and what it said last.
//!
//! In: [`Failure`]s, put together by `cli`. Out: text for standard error.
//!
//! # Not here
//!
//! Collecting logs and probe output (`cli`), what is shown while a plan runs
//! ([`super::progress`]).

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use super::text::{count, cut, printable};

const TITLE: Style = AnsiColor::Red.on_default().bold();
const STRONG: Style = Style::new().bold();
const FAINT: Style = Style::new().dimmed();
/// Lines of a log that are shown.
const LINES: usize = 20;
/// Characters of a line that are shown.
const LONGEST: usize = 400;

/// A step that failed, and what is known about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failure {
    /// What failed: `start container shop-web-1`.
    pub what: String,
    /// Why: a lowercase fragment or the runtime's words; further causes on further lines.
    pub cause: String,
    /// Services that could not go on because of it.
    pub blocks: Vec<String>,
    /// What its health check printed last; empty if it has none.
    pub probe: String,
    /// What its container wrote last, oldest line first; at most 20 are shown.
    pub log: Vec<String>,
}

/// The report, with a line break at the end; nothing if nothing failed.
pub fn report(failures: &[Failure]) -> String {
    let mut text = String::new();
    for failure in failures {
        failure.write(&mut text);
    }
    if failures.len() > 1 {
        let _ = writeln!(text, "{TITLE}error{TITLE:#}: {} failed", count(failures.len(), "step"));
    }
    text
}

impl Failure {
    fn write(&self, text: &mut String) {
        let what = printable(&self.what);
        let _ = writeln!(text, "{TITLE}error{TITLE:#}{STRONG}: cannot {what}{STRONG:#}");
        section(text, "cause", self.cause.lines());
        if !self.blocks.is_empty() {
            section(text, "blocks", [self.blocks.join(", ").as_str()].into_iter());
        }
        section(text, "last health check", last(self.probe.lines().collect()).into_iter());
        section(
            text,
            "last output",
            last(self.log.iter().map(String::as_str).collect()).into_iter(),
        );
    }
}

fn last(mut lines: Vec<&str>) -> Vec<&str> {
    lines.split_off(lines.len().saturating_sub(LINES))
}

/// A heading and what stands below it; one line stands beside it.
fn section<'a>(text: &mut String, heading: &str, mut lines: impl Iterator<Item = &'a str>) {
    let Some(first) = lines.next() else { return };
    let shown = |line: &str| printable(&cut(line, LONGEST)).into_owned();
    let _ = write!(text, "  {FAINT}{heading}:{FAINT:#}");
    let Some(second) = lines.next() else {
        let _ = writeln!(text, " {}", shown(first));
        return;
    };
    let _ = writeln!(text);
    for line in [first, second].into_iter().chain(lines) {
        let _ = writeln!(text, "    {}", shown(line));
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::{Failure, report};

    fn plain(failures: &[Failure]) -> String {
        anstream::adapter::strip_str(&report(failures)).to_string()
    }

    #[test]
    fn a_failure_is_told_with_all_that_is_known() {
        let failure = Failure {
            what: "wait for container shop-db-1 to be healthy".to_owned(),
            cause: "container shop-db-1 is unhealthy".to_owned(),
            blocks: vec!["web".to_owned(), "worker".to_owned()],
            probe: "connection refused\nexit code 1\n".to_owned(),
            log: (1..=22).map(|line| format!("line {line}\x1b[31m")).collect(),
        };
        let text = plain(std::slice::from_ref(&failure));
        assert!(!text.contains("line 2␛"), "only the last 20 lines: {text}");
        let short = Failure { log: failure.log[20..].to_vec(), ..failure };
        let bare =
            Failure { what: "create network a".into(), cause: "no".into(), ..Failure::default() };
        assert_snapshot!(plain(&[short, bare]), @"
        error: cannot wait for container shop-db-1 to be healthy
          cause: container shop-db-1 is unhealthy
          blocks: web, worker
          last health check:
            connection refused
            exit code 1
          last output:
            line 21␛[31m
            line 22␛[31m
        error: cannot create network a
          cause: no
        error: 2 steps failed
        ");
        assert_eq!(report(&[]), "");
    }
}
