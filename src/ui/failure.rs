//! The report after a failed run: what failed, why, what cannot go on, and what it said last.
//!
//! In: [`StepFailure`]s, put together by `orchestrator`. Out: text for standard error.
//!
//! # Not here
//!
//! Collecting logs and probe output (`orchestrator`), what is shown while a plan runs
//! ([`super::progress`]).

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use super::text::{count, cut, printable};
use crate::event::StepFailure;

const TITLE: Style = AnsiColor::Red.on_default().bold();
const STRONG: Style = Style::new().bold();
const FAINT: Style = Style::new().dimmed();
/// Lines of a log that are shown.
const LINES: usize = 20;
/// Characters of a line that are shown.
const LONGEST: usize = 400;

/// The report, with a line break at the end; nothing if nothing failed.
pub fn report(failures: &[StepFailure]) -> String {
    let mut text = String::new();
    for failure in failures {
        write(failure, &mut text);
    }
    if failures.len() > 1 {
        let _ = writeln!(text, "{TITLE}error{TITLE:#}: {} failed", count(failures.len(), "step"));
    }
    text
}

fn write(failure: &StepFailure, text: &mut String) {
    let what = printable(&failure.what);
    let _ = writeln!(text, "{TITLE}error{TITLE:#}{STRONG}: cannot {what}{STRONG:#}");
    section(text, "cause", failure.cause.lines());
    if !failure.blocks.is_empty() {
        section(text, "blocks", [failure.blocks.join(", ").as_str()].into_iter());
    }
    section(text, "last health check", last(failure.probe.lines().collect()).into_iter());
    section(
        text,
        "last output",
        last(failure.log.iter().map(String::as_str).collect()).into_iter(),
    );
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

    use super::{StepFailure, report};

    fn plain(failures: &[StepFailure]) -> String {
        anstream::adapter::strip_str(&report(failures)).to_string()
    }

    #[test]
    fn a_failure_is_told_with_all_that_is_known() {
        let failure = StepFailure {
            what: "wait for container shop-db-1 to be healthy".to_owned(),
            cause: "container shop-db-1 is unhealthy".to_owned(),
            blocks: vec!["web".to_owned(), "worker".to_owned()],
            probe: "connection refused\nexit code 1\n".to_owned(),
            log: (1..=22).map(|line| format!("line {line}\x1b[31m")).collect(),
        };
        let text = plain(std::slice::from_ref(&failure));
        assert!(!text.contains("line 2␛"), "only the last 20 lines: {text}");
        let short = StepFailure { log: failure.log[20..].to_vec(), ..failure };
        let bare = StepFailure {
            what: "create network a".into(),
            cause: "no".into(),
            ..StepFailure::default()
        };
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
