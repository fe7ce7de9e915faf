//! `ketch doctor`: what this machine can do, what is missing, and what to do about it.
//!
//! In: flags. Out: a list or JSON; fails if neither an engine nor the native runtime can run
//! containers. No project is loaded.

use std::fmt::Write as _;

use serde_json::json;

use super::args::DoctorArgs;
use super::engine::Engine;
use super::exit::Failure;
use super::session::Session;
use super::usage::UsageError;
use crate::runtime::native::doctor::{Finding, Verdict, examine, is_able};
use crate::runtime::native::root::Root;

/// The exit code when nothing can run containers.
const UNABLE: u8 = 1;

/// An engine that answered, or why none did.
type Answer = Result<String, String>;

/// Examines the machine.
pub(super) async fn run(args: &DoctorArgs, session: &mut Session<'_>) -> Result<u8, Failure> {
    let is_json = match args.format.as_deref() {
        None | Some("text") => false,
        Some("json") => true,
        Some(other) => {
            return Err(UsageError::InvalidValue {
                flag: "--format".to_owned(),
                value: other.to_owned(),
                possible: ["text", "json"].map(str::to_owned).to_vec(),
                reason: None,
            }
            .into());
        }
    };
    let root = Root::from_environment(session.environment())?;
    let findings = examine(root.durable());
    let engine = engine(session).await;
    let text = if is_json { as_json(&findings, &engine) } else { as_text(&findings, &engine) };
    session.screen.data(&text)?;
    Ok(if is_able(&findings) || engine.is_ok() { 0 } else { UNABLE })
}

/// Asks the engine that commands would use if they use one.
async fn engine(session: &mut Session<'_>) -> Answer {
    session.global.engine.runtime = Some("docker".to_owned());
    let connected = Engine::connect(session).await.map_err(|failure| told(&failure))?;
    let version = connected.runtime.version().await.map_err(|error| told(&error))?;
    Ok(format!("{} {} at {}", version.name, version.version, version.address))
}

/// An error with what is behind it.
fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let _ = write!(text, ": {cause}");
        source = cause.source();
    }
    text
}

fn as_json(findings: &[Finding], engine: &Answer) -> String {
    let engine = match engine {
        Ok(found) => json!({ "answers": true, "found": found }),
        Err(why) => json!({ "answers": false, "found": why }),
    };
    let all = json!({ "native": is_able(findings), "engine": engine, "findings": findings });
    format!("{all:#}\n")
}

fn as_text(findings: &[Finding], engine: &Answer) -> String {
    let mut text = String::new();
    for finding in findings {
        line(&mut text, finding.verdict, finding.subject, &finding.found);
        if !finding.remedy.is_empty() {
            let _ = writeln!(text, "{:22}to do: {}", "", finding.remedy);
        }
    }
    match engine {
        Ok(found) => line(&mut text, Verdict::Good, "engine", found),
        Err(why) => line(&mut text, Verdict::Weak, "engine", why),
    }
    let summary = match (is_able(findings), engine) {
        (true, Ok(_)) => "Projects can run on the engine, and without it (`--runtime native`).",
        (true, Err(_)) => "Projects can run here without an engine.",
        (false, Ok(_)) => "Projects can run on the engine; the native runtime cannot work here.",
        (false, Err(_)) => "No project can run here: see what is missing.",
    };
    let _ = writeln!(text, "\n{summary}");
    text
}

fn line(text: &mut String, verdict: Verdict, subject: &str, found: &str) {
    let _ = writeln!(text, "{:<9}{subject:<13}{found}", verdict.word());
}

#[cfg(test)]
mod tests {
    use super::{Answer, as_json, as_text};
    use crate::runtime::native::doctor::{Finding, Verdict};

    fn findings() -> [Finding; 2] {
        let finding = |subject, verdict, found: &str, remedy: &str| Finding {
            subject,
            verdict,
            found: found.to_owned(),
            remedy: remedy.to_owned(),
        };
        [
            finding("kernel", Verdict::Good, "Linux 6.1", ""),
            finding("overlay", Verdict::Missing, "not there", "load it: `modprobe overlay`"),
        ]
    }

    #[test]
    fn each_finding_stands_with_its_remedy() {
        let engine: Answer = Err("cannot reach the engine".to_owned());
        insta::assert_snapshot!(as_text(&findings(), &engine), @r"
        ok       kernel       Linux 6.1
        missing  overlay      not there
                              to do: load it: `modprobe overlay`
        weak     engine       cannot reach the engine

        No project can run here: see what is missing.
        ");
        let engine: Answer = Ok("docker 20.10".to_owned());
        let summary = as_text(&findings()[..1], &engine);
        assert!(summary.ends_with("without it (`--runtime native`).\n"), "{summary}");
    }

    #[test]
    fn machines_get_the_same() {
        let engine: Answer = Ok("docker 20.10".to_owned());
        let found: serde_json::Value =
            serde_json::from_str(&as_json(&findings(), &engine)).unwrap();
        assert_eq!(found["native"], false);
        assert_eq!(found["engine"]["answers"], true);
        assert_eq!(found["findings"][1]["verdict"], "missing");
        assert_eq!(found["findings"][1]["remedy"], "load it: `modprobe overlay`");
        assert!(found["findings"][0].get("remedy").is_none());
    }
}
