//! Runs as a `JUnit` report, which CI systems read.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::{Outcome, Run};

/// The report.
pub(super) fn report(runs: &[Run]) -> String {
    let failures = runs.iter().filter(|run| !run.outcome.is_success()).count();
    let seconds: f64 = runs.iter().map(|run| (run.ready + run.took).as_secs_f64()).sum();
    let tests = runs.len();
    let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned();
    let _ = writeln!(
        text,
        "<testsuites><testsuite name=\"ketch test\" tests=\"{tests}\" failures=\"{failures}\" \
         time=\"{seconds:.3}\">"
    );
    for run in runs {
        case(run, &mut text);
    }
    text + "</testsuite></testsuites>\n"
}

fn case(run: &Run, text: &mut String) {
    let name = if run.name.is_empty() { "run" } else { &run.name };
    let (name, seconds) = (escaped(name), (run.ready + run.took).as_secs_f64());
    let _ =
        write!(text, "<testcase classname=\"ketch test\" name=\"{name}\" time=\"{seconds:.3}\"");
    let why = match &run.outcome {
        Outcome::Ended(0) => {
            text.push_str("/>\n");
            return;
        }
        Outcome::Ended(code) => format!("the command ended with {code}"),
        Outcome::Late(limit) => format!("killed after {:.0} s", limit.as_secs_f64()),
        Outcome::Failed(error) => error.to_string(),
        Outcome::Interrupted => "interrupted".to_owned(),
    };
    let (first, why) = (escaped(why.lines().next().unwrap_or_default()), escaped(&why));
    let _ = writeln!(text, "><failure message=\"{first}\">{why}</failure></testcase>");
}

/// Text as XML has it; characters that XML cannot have become `?`.
fn escaped(text: &str) -> Cow<'_, str> {
    let is_plain = |c: char| !matches!(c, '&' | '<' | '>' | '"') && is_allowed(c);
    if text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c => escaped.push(if is_allowed(c) { c } else { '?' }),
        }
    }
    Cow::Owned(escaped)
}

fn is_allowed(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::report;
    use crate::cli::test::{Outcome, Run};

    #[test]
    fn a_report_has_each_run_and_why_it_failed() {
        let run = |name: &str, outcome| Run {
            name: name.to_owned(),
            ready: Duration::from_millis(250),
            took: Duration::from_secs(1),
            outcome,
        };
        let late = Outcome::Late(Duration::from_secs(90));
        let runs = [run("", Outcome::Ended(0)), run("<2>", Outcome::Ended(3)), run("3", late)];
        insta::assert_snapshot!(report(&runs), @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites><testsuite name="ketch test" tests="3" failures="2" time="3.750">
        <testcase classname="ketch test" name="run" time="1.250"/>
        <testcase classname="ketch test" name="&lt;2&gt;" time="1.250"><failure message="the command ended with 3">the command ended with 3</failure></testcase>
        <testcase classname="ketch test" name="3" time="1.250"><failure message="killed after 90 s">killed after 90 s</failure></testcase>
        </testsuite></testsuites>
        "#);
    }
}
