//! External programs that run services and AI models.
//!
//! In: a [`ProviderCall`]. Out: progress, and the variables that the program has for others. A
//! program that runs a service speaks in lines of JSON (`type` and `message`); one that handles
//! models prints text.
//!
//! # Invariants
//!
//! - A call that is dropped, or that fails, leaves no program running.
//! - No line is longer than [`LONGEST`], however much a program prints.
//!
//! # Not here
//!
//! Which programs there are and what they are told (`cli`, `plan`).

use std::collections::VecDeque;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader,
};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::{OnProgress, Progress, Result, RuntimeError};
use crate::model::Dict;
use crate::model::spec::{Handed, Provided, ProviderCall};

/// The longest line that is read.
const LONGEST: u64 = 1024 * 1024;
/// How many of the last lines of standard error are told when a program fails.
const LAST_LINES: usize = 10;
/// How long a program may take to answer a question.
const PATIENCE: Duration = Duration::from_secs(30);

/// Lets the program do its work. `engine`: the variables that say which engine is meant.
pub(super) async fn run(
    call: &ProviderCall,
    engine: &Dict,
    progress: OnProgress<'_>,
) -> Result<Handed> {
    let mut child = spawn(call, engine, Stdio::piped())?;
    let errors = tokio::spawn(last_lines(child.stderr.take()));
    let mut listener = Listener {
        handed: Handed::default(),
        progress,
        answers: child.stdin.take().map(|stdin| answer(stdin, call.service.clone() + "\n")),
    };
    let stdout = child.stdout.take().map(BufReader::new);
    if let Some(mut stdout) = stdout {
        while let Some(line) = line(&mut stdout).await.map_err(|source| io(call, source))? {
            match call.subject {
                Provided::Service(_) => listener.hear(&line)?,
                Provided::Model(_) => listener.tell(&line),
            }
        }
    }
    let status = ended(&mut child).await.map_err(|source| io(call, source))?;
    if status.success() {
        return Ok(listener.handed);
    }
    let words = errors.await.unwrap_or_default();
    Err(failure(&call.program, status, &words))
}

/// Asks the program something; gives what it prints.
pub(super) async fn ask(call: &ProviderCall, engine: &Dict) -> Result<String> {
    let mut child = spawn(call, engine, Stdio::null())?;
    let errors = tokio::spawn(last_lines(child.stderr.take()));
    let mut text = Vec::new();
    let answer = async {
        if let Some(stdout) = child.stdout.take() {
            stdout.take(LONGEST).read_to_end(&mut text).await?;
        }
        ended(&mut child).await
    };
    let Ok(status) = tokio::time::timeout(PATIENCE, answer).await else {
        let (program, words) = (call.program.display(), call.arguments.join(" "));
        return Err(RuntimeError::Refused(format!(
            "`{program} {words}` has not answered for {} seconds",
            PATIENCE.as_secs()
        )));
    };
    let status = status.map_err(|source| io(call, source))?;
    if !status.success() {
        return Err(failure(&call.program, status, &errors.await.unwrap_or_default()));
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn spawn(call: &ProviderCall, engine: &Dict, input: Stdio) -> Result<Child> {
    let mut command = Command::new(&call.program);
    command
        .args(&call.arguments)
        .env_clear()
        .envs(&call.environment)
        // The engine that Ketch speaks to, whatever the context is.
        .env_remove("DOCKER_CONTEXT")
        .envs(engine)
        .stdin(input)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command.spawn().map_err(|source| io(call, source))
}

fn io(call: &ProviderCall, source: std::io::Error) -> RuntimeError {
    RuntimeError::Io { action: format!("run `{}`", call.program.display()), source }
}

/// Waits for the end of a program whose output has ended.
async fn ended(child: &mut Child) -> std::io::Result<ExitStatus> {
    // Whoever reads on has got all answers.
    drop(child.stdin.take());
    child.wait().await
}

fn failure(program: &Path, status: ExitStatus, words: &[String]) -> RuntimeError {
    let words = if words.is_empty() { String::new() } else { format!(": {}", words.join("\n")) };
    RuntimeError::Refused(format!("`{}` failed ({status}){words}", program.display()))
}

/// The next line, without its end; `None` at the end of the stream.
async fn line(stream: &mut (impl AsyncBufRead + Unpin)) -> std::io::Result<Option<String>> {
    let mut bytes = Vec::new();
    if stream.take(LONGEST).read_until(b'\n', &mut bytes).await? == 0 {
        return Ok(None);
    }
    if bytes.last() != Some(&b'\n') && bytes.len() as u64 == LONGEST {
        return Err(std::io::Error::other(format!(
            "it printed a line of more than {LONGEST} bytes"
        )));
    }
    Ok(Some(String::from_utf8_lossy(&bytes).trim_end().to_owned()))
}

/// Reads a stream to its end and keeps its last lines.
async fn last_lines(stream: Option<tokio::process::ChildStderr>) -> Vec<String> {
    let mut kept = VecDeque::new();
    let Some(mut stream) = stream.map(BufReader::new) else { return Vec::new() };
    while let Ok(Some(line)) = line(&mut stream).await {
        if line.is_empty() {
            continue;
        }
        if kept.len() == LAST_LINES {
            kept.pop_front();
        }
        kept.push_back(line);
    }
    kept.into()
}

/// Writes the answer as often as it is asked for, beside reading: a program need not read before
/// it has written all it has to say.
fn answer(mut stdin: ChildStdin, text: String) -> UnboundedSender<()> {
    let (ask, mut asked) = unbounded_channel();
    tokio::spawn(async move {
        while asked.recv().await.is_some() {
            if stdin.write_all(text.as_bytes()).await.is_err() {
                return;
            }
        }
    });
    ask
}

/// What a program says.
#[derive(Deserialize)]
struct Message {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    message: String,
}

/// Takes in what a program says.
struct Listener<'p> {
    handed: Handed,
    progress: OnProgress<'p>,
    answers: Option<UnboundedSender<()>>,
}

impl Listener<'_> {
    /// Takes in a line, which may hold several messages.
    fn hear(&mut self, line: &str) -> Result<()> {
        for message in serde_json::Deserializer::from_str(line).into_iter::<Message>() {
            let message = message.map_err(|error| {
                RuntimeError::Refused(format!("it printed what is no message ({error}): {line}"))
            })?;
            self.take(message)?;
        }
        Ok(())
    }

    fn take(&mut self, message: Message) -> Result<()> {
        let Message { kind, message } = message;
        match kind.as_str() {
            "info" => self.tell(&message),
            "debug" => tracing::debug!("{message}"),
            "error" => return Err(RuntimeError::Refused(message)),
            "setenv" | "rawsetenv" => {
                let Some((name, value)) = message.split_once('=') else {
                    let text = format!("it sent a {kind:?} message without `=`");
                    return Err(RuntimeError::Refused(text));
                };
                let handed = &mut self.handed;
                let list = if kind == "setenv" { &mut handed.prefixed } else { &mut handed.plain };
                list.insert(name.to_owned(), value.to_owned());
            }
            "get-service-config" => {
                // Nobody reads the answer only when the program has ended.
                let _ = self.answers.as_ref().map(|answers| answers.send(()));
            }
            other => {
                let text = format!("it sent a message of the unknown type {other:?}");
                return Err(RuntimeError::Refused(text));
            }
        }
        Ok(())
    }

    fn tell(&self, text: &str) {
        let status = text.lines().next().unwrap_or_default().to_owned();
        if !status.is_empty() {
            (self.progress)(Progress { status, ..Progress::default() });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use super::{ask, run};
    use crate::model::Dict;
    use crate::model::spec::{Handed, Provided, ProviderCall};
    use crate::runtime::{Progress, Result};

    /// A call of a shell script.
    fn script(text: &str) -> ProviderCall {
        ProviderCall {
            subject: Provided::Service("db".to_owned()),
            program: "/bin/sh".into(),
            arguments: vec!["-c".to_owned(), text.to_owned()],
            environment: [("PATH".to_owned(), "/usr/bin:/bin".to_owned())].into(),
            service: r#"{"image":"x"}"#.to_owned(),
            ..ProviderCall::default()
        }
    }

    async fn told(text: &str) -> (Result<Handed>, Vec<String>) {
        let lines = Mutex::new(Vec::new());
        let progress = |progress: Progress| {
            lines.lock().expect("nobody panics with it").push(progress.status);
        };
        let (call, engine) = (script(text), Dict::new());
        let run = run(&call, &engine, &progress);
        let result = tokio::time::timeout(Duration::from_secs(20), run).await.expect("it ends");
        (result, lines.into_inner().expect("nobody panics with it"))
    }

    #[tokio::test]
    async fn messages_are_heard() {
        let (handed, told) = told(
            r#"printf '%s\n' '{"type":"info","message":"one\ntwo"}{"type":"debug","message":"x"}'
            echo '{"type":"setenv","message":"URL=http://a?b=c"}'
            echo '{"type":"rawsetenv","message":"TOKEN="}'"#,
        )
        .await;
        let handed = handed.expect("it succeeds");
        assert_eq!(told, ["one"]);
        assert_eq!(handed.prefixed["URL"], "http://a?b=c");
        assert_eq!(handed.plain["TOKEN"], "");
    }

    #[tokio::test]
    async fn a_program_can_ask_for_its_service() {
        let (handed, told) = told(
            r#"echo '{"type":"get-service-config"}'; read -r line
            [ "$line" = '{"image":"x"}' ] && echo '{"type":"info","message":"good"}'"#,
        )
        .await;
        handed.expect("it succeeds");
        assert_eq!(told, ["good"]);
    }

    #[tokio::test]
    async fn what_goes_wrong_is_told() {
        for (text, expected) in [
            (r#"echo '{"type":"error","message":"no quota"}'; sleep 100"#, "no quota"),
            ("echo oops; sleep 100", "no message"),
            (r#"echo '{"type":"dance"}'; sleep 100"#, "unknown type \"dance\""),
            (r#"echo '{"type":"setenv","message":"x"}'"#, "without `=`"),
            ("echo because >&2; exit 3", "(exit status: 3): because"),
            ("head -c 3000000 /dev/zero; sleep 100", "a line of more than"),
        ] {
            let mut error: &dyn std::error::Error = &told(text).await.0.expect_err(text);
            let mut words = error.to_string();
            while let Some(source) = error.source() {
                words = format!("{words}: {source}");
                error = source;
            }
            assert!(words.contains(expected), "{text}: {words}");
        }
    }

    #[tokio::test]
    async fn a_question_is_answered() {
        let engine = Dict::from([("DOCKER_HOST".to_owned(), "unix:///x".to_owned())]);
        let answer = ask(&script("echo $DOCKER_HOST; cat"), &engine).await.expect("it answers");
        assert_eq!(answer, "unix:///x\n");
        assert!(ask(&script("exit 1"), &engine).await.is_err());
    }
}
