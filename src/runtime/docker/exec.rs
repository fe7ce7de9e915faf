//! Commands in running containers.
//!
//! In: a container and a command. Out: a [`Session`] with its streams, its exit code, and for
//! hooks the end of what it wrote.

use std::time::Duration;

use bollard::exec::StartExecOptions;
use bollard::models::ExecConfig;
use hyper::Method;
use serde_json::json;

use super::Docker;
use super::attach::session;
use super::wire::Call;
use crate::model::Hook;
use crate::runtime::{ExecSpec, Result, Session};

impl Docker {
    pub(super) async fn start_exec(
        &self,
        container: &str,
        command: &ExecSpec,
    ) -> Result<(String, Option<Session>)> {
        let created = self.client.create_exec(container, config(command)).await;
        let exec = created.map_err(|error| self.failure(error))?.id;
        if command.detach {
            let options =
                StartExecOptions { detach: true, tty: command.tty, output_capacity: None };
            self.streaming
                .start_exec(&exec, Some(options))
                .await
                .map_err(|error| self.failure(error))?;
            return Ok((exec, None));
        }
        let call = Call::new(Method::POST, format!("/exec/{exec}/start"))
            .json(&json!({ "Detach": false, "Tty": command.tty }));
        let streams = self.wire().hijack(call).await?;
        Ok((exec, Some(session(streams, command.stdin.into(), command.tty.into()))))
    }

    pub(super) async fn exec_code(&self, exec: &str) -> Result<Option<i64>> {
        let found = self.client.inspect_exec(exec).await.map_err(|error| self.failure(error))?;
        Ok(if found.running == Some(true) { None } else { found.exit_code })
    }

    pub(super) async fn hook(&self, container: &str, hook: &Hook) -> Result<(i64, String)> {
        let (exec, session) = self.start_exec(container, &hook.into()).await?;
        let output = match session {
            Some(session) => session.last_output().await?,
            None => String::new(),
        };
        Ok((self.exec_ended(&exec).await?, output))
    }

    /// Waits for a command whose streams have ended, which is nearly always its own end. One that
    /// has closed its streams and goes on is asked for, ever more seldom.
    async fn exec_ended(&self, exec: &str) -> Result<i64> {
        const LONGEST: Duration = Duration::from_secs(1);
        let mut pause = Duration::from_millis(5);
        loop {
            if let Some(code) = self.exec_code(exec).await? {
                return Ok(code);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST);
        }
    }
}

fn config(command: &ExecSpec) -> ExecConfig {
    let said = |text: &String| (!text.is_empty()).then(|| text.clone());
    let attached = Some(!command.detach);
    ExecConfig {
        attach_stdin: Some(command.stdin && !command.detach),
        attach_stdout: attached,
        attach_stderr: attached,
        tty: Some(command.tty),
        env: (!command.environment.is_empty()).then(|| command.environment.clone()),
        cmd: Some(command.command.clone()),
        privileged: Some(command.privileged),
        user: said(&command.user),
        working_dir: said(&command.working_dir),
        ..ExecConfig::default()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt as _;
    use tokio::io::AsyncWriteExt as _;

    use super::super::trial::{IMAGE, Trial, engine, limited};
    use super::*;
    use crate::runtime::{Output, RuntimeError, Size, Terminal};

    fn words(words: &[&str]) -> ExecSpec {
        let command = words.iter().map(ToString::to_string).collect();
        ExecSpec { command, ..ExecSpec::default() }
    }

    async fn output_of(session: &mut Session) -> Vec<u8> {
        let mut output = Vec::new();
        while let Some(chunk) = limited(session.output.try_next()).await.unwrap() {
            output.extend_from_slice(&chunk.bytes);
        }
        output
    }

    #[tokio::test]
    async fn streams_and_exit_code_of_a_command() {
        let Some(engine) = engine().await else { return };
        let trial = Trial::run("exec", &[IMAGE, "sleep", "600"]);
        let spec = ExecSpec {
            environment: vec!["A=b c".to_owned()],
            user: "7:8".to_owned(),
            working_dir: "/etc".to_owned(),
            ..words(&["sh", "-c", "echo $A $(id -u):$(id -g) $PWD; echo no >&2; exit 7"])
        };
        let (exec, session) = engine.start_exec(&trial.name, &spec).await.unwrap();
        let mut chunks = session.unwrap().output;
        let (mut out, mut err) = (Vec::new(), Vec::new());
        while let Some(chunk) = chunks.try_next().await.unwrap() {
            let text = if chunk.output == Output::Stdout { &mut out } else { &mut err };
            text.extend_from_slice(&chunk.bytes);
        }
        assert_eq!((&out[..], &err[..]), (&b"b c 7:8 /etc\n"[..], &b"no\n"[..]));
        assert_eq!(engine.exec_ended(&exec).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn the_end_of_the_input_reaches_the_process() {
        let Some(engine) = engine().await else { return };
        let trial = Trial::run("exec-eof", &[IMAGE, "sleep", "600"]);
        let spec = ExecSpec { stdin: true, ..words(&["sh", "-c", "cat; echo end"]) };
        let (exec, session) = engine.start_exec(&trial.name, &spec).await.unwrap();
        let mut session = session.unwrap();
        session.input.write_all(b"hi\n").await.unwrap();
        session.input.shutdown().await.unwrap();
        assert_eq!(output_of(&mut session).await, b"hi\nend\n");
        assert_eq!(engine.exec_ended(&exec).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_terminal_that_prints_low_bytes_first_does_not_stall() {
        let Some(engine) = engine().await else { return };
        let trial = Trial::run("exec-tty", &[IMAGE, "sleep", "600"]);
        let script = r"printf '\001\000\002> '; read -r a; stty size; exit 3";
        let spec = ExecSpec { stdin: true, tty: true, ..words(&["sh", "-c", script]) };
        let (exec, session) = engine.start_exec(&trial.name, &spec).await.unwrap();
        let mut session = session.unwrap();
        let mut found = Vec::new();
        while found.len() < 5 {
            found.extend_from_slice(
                &limited(session.output.try_next()).await.unwrap().unwrap().bytes,
            );
        }
        assert_eq!(found, b"\x01\x00\x02> ");
        let size = Size { columns: 111, rows: 33 };
        engine.resize_terminal(&Terminal::Exec(exec.clone()), size).await.unwrap();
        session.input.write_all(b"x\n").await.unwrap();
        let rest = String::from_utf8(output_of(&mut session).await).unwrap();
        assert_eq!(rest, "x\r\n33 111\r\n");
        assert_eq!(engine.exec_ended(&exec).await.unwrap(), 3);
    }

    #[tokio::test]
    async fn a_detached_command_goes_on_alone() {
        let Some(engine) = engine().await else { return };
        let trial = Trial::run("exec-detached", &[IMAGE, "sleep", "600"]);
        let spec =
            ExecSpec { detach: true, ..words(&["sh", "-c", "read -r x </dev/null; exit 4"]) };
        let (exec, session) = engine.start_exec(&trial.name, &spec).await.unwrap();
        assert!(session.is_none());
        assert_eq!(engine.exec_ended(&exec).await.unwrap(), 4);
    }

    #[tokio::test]
    async fn a_command_that_is_not_there_is_told() {
        let Some(engine) = engine().await else { return };
        let trial = Trial::run("exec-missing", &[IMAGE, "sleep", "600"]);
        let (exec, session) = engine.start_exec(&trial.name, &words(&["nosuch"])).await.unwrap();
        let said = String::from_utf8(output_of(&mut session.unwrap()).await).unwrap();
        assert!(said.contains("nosuch"), "{said}");
        assert_eq!(engine.exec_ended(&exec).await.unwrap(), 126);
        let missing = engine.start_exec("hstreams-missing", &words(&["true"])).await.unwrap_err();
        assert!(matches!(missing, RuntimeError::NotFound(_)), "{missing:?}");
    }

    #[tokio::test]
    async fn a_hook_gives_its_exit_code_and_the_end_of_its_output() {
        let Some(engine) = engine().await else { return };
        let trial = Trial::run("hook", &[IMAGE, "sleep", "600"]);
        let script = "echo start; head -c 100000 /dev/zero | tr '\\0' x; echo \"$A $PWD\"; exit 5";
        let hook = Hook {
            command: Some(["sh", "-c", script].map(str::to_owned).to_vec()),
            working_dir: "/etc".to_owned(),
            environment: [("A".to_owned(), Some("b".to_owned()))].into(),
            ..Hook::default()
        };
        let (code, output) = engine.hook(&trial.name, &hook).await.unwrap();
        assert_eq!(code, 5);
        assert_eq!(output.len(), Session::KEPT);
        assert!(output.ends_with("xb /etc\n") && !output.contains("start"));
    }

    #[tokio::test]
    async fn a_hook_that_closes_its_streams_is_waited_for() {
        let Some(engine) = engine().await else { return };
        let trial = Trial::run("hook-quiet", &[IMAGE, "sleep", "600"]);
        let script = "exec >/dev/null 2>&1; sleep 1; exit 6";
        let command = Some(["sh", "-c", script].map(str::to_owned).to_vec());
        let hook = Hook { command, ..Hook::default() };
        assert_eq!(engine.hook(&trial.name, &hook).await.unwrap(), (6, String::new()));
    }
}
