//! Running a container's health check more often than the engine does.
//!
//! In: the check of a container that has not succeeded yet. Out: that it has succeeded, or that
//! nothing is to be found out this way. Engines wait a whole interval before the first check;
//! that is most of the time that a project takes to start.
//!
//! # Invariants
//!
//! - One check at a time, each within its own time limit. Failures do not count.

use std::time::Duration;

use bollard::Docker as Client;
use bollard::errors::Error;
use bollard::exec::StartExecResults;
use bollard::models::{ContainerConfig, ExecConfig};
use futures_util::StreamExt as _;

use super::CHECK_LIMIT;

/// The pause after the first check, and the longest one.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(100));

/// How soon to ask again for the exit code of a command whose output has ended.
const EXIT_PAUSE: Duration = Duration::from_millis(5);

/// A health check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Test {
    /// The command.
    pub(super) command: Vec<String>,
    /// How long it may take.
    pub(super) limit: Duration,
}

/// How probing ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The check has succeeded.
    Passed,
    /// A check took too long, and may still run: another one must not begin.
    Hung,
    /// Nothing can be run in the container now.
    Impossible,
}

/// The health check of a container, if it has one.
pub(super) fn test(config: &ContainerConfig) -> Option<Test> {
    let check = config.healthcheck.as_ref()?;
    let (kind, rest) = check.test.as_ref()?.split_first()?;
    let command = match kind.as_str() {
        "CMD" => rest.to_vec(),
        "CMD-SHELL" => {
            let shell = config.shell.clone().filter(|shell| !shell.is_empty());
            let shell = shell.unwrap_or_else(|| vec!["/bin/sh".to_owned(), "-c".to_owned()]);
            shell.into_iter().chain(rest.iter().cloned()).collect()
        }
        _ => return None,
    };
    let limit =
        check.timeout.and_then(|limit| u64::try_from(limit).ok()).filter(|limit| *limit > 0);
    let limit = limit.map_or(CHECK_LIMIT, Duration::from_nanos);
    Some(Test { command, limit }).filter(|test| !test.command.is_empty())
}

/// Runs a check again and again until it succeeds.
pub(super) async fn run(client: Client, container: String, test: Test) -> Outcome {
    let (mut pause, longest) = PAUSES;
    loop {
        match tokio::time::timeout(test.limit, check(&client, &container, &test)).await {
            Ok(Ok(0)) => return Outcome::Passed,
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                tracing::debug!("cannot probe {container}: {error}");
                return Outcome::Impossible;
            }
            Err(_) => return Outcome::Hung,
        }
        tokio::time::sleep(pause).await;
        pause = longest.min(pause * 2);
    }
}

/// Runs a check once; gives its exit code.
async fn check(client: &Client, container: &str, test: &Test) -> Result<i64, Error> {
    let config = ExecConfig {
        cmd: Some(test.command.clone()),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        ..ExecConfig::default()
    };
    let exec = client.create_exec(container, config).await?.id;
    if let StartExecResults::Attached { mut output, .. } = client.start_exec(&exec, None).await? {
        // The end of its output is the end of the command; what it prints is of no interest.
        while let Some(Ok(_)) = output.next().await {}
    }
    loop {
        let found = client.inspect_exec(&exec).await?;
        match found.exit_code {
            Some(code) if found.running != Some(true) => return Ok(code),
            _ => tokio::time::sleep(EXIT_PAUSE).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{CHECK_LIMIT, Test, test};

    fn of(config: &str) -> Option<Test> {
        test(&serde_json::from_str(config).unwrap())
    }

    fn command(config: &str) -> String {
        of(config).unwrap().command.join(" ")
    }

    #[test]
    fn checks_are_commands_or_lines_for_a_shell() {
        let exec = r#"{"Healthcheck": {"Test": ["CMD", "a", "b"], "Timeout": 2000000000}}"#;
        assert_eq!(command(exec), "a b");
        assert_eq!(of(exec).unwrap().limit, Duration::from_secs(2));
        let line = r#"{"Healthcheck": {"Test": ["CMD-SHELL", "a b"], "Timeout": 0}}"#;
        assert_eq!(command(line), "/bin/sh -c a b");
        assert_eq!(of(line).unwrap().limit, CHECK_LIMIT);
        let shell = r#"{"Shell": ["bash", "-ec"], "Healthcheck": {"Test": ["CMD-SHELL", "a"]}}"#;
        assert_eq!(command(shell), "bash -ec a");
    }

    #[test]
    fn a_container_may_have_no_check() {
        for config in [
            "{}",
            r#"{"Healthcheck": {}}"#,
            r#"{"Healthcheck": {"Test": []}}"#,
            r#"{"Healthcheck": {"Test": ["NONE"]}}"#,
            r#"{"Healthcheck": {"Test": ["CMD"]}}"#,
        ] {
            assert_eq!(of(config), None, "{config}");
        }
    }
}
