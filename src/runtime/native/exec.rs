//! Commands in running containers: children of this process, not of the shim.
//!
//! In: a container and a command. Out: a [`Session`] with its streams, its exit code, and for
//! hooks the end of what it wrote.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, WaitIdStatus, pidfd_open, waitid};
use tokio::io::Interest;

use super::channel::{Channel, Input, register};
use super::container::{self, Config, ExecConfig, StartError, Started, Streams};
use super::control::{self, Request};
use super::lifecycle::not_running;
use super::names;
use super::record::Record;
use super::state::Phase;
use super::{Native, create};
use crate::model::Hook;
use crate::runtime::{
    Chunk, ExecSpec, Output, Result, RuntimeError, Session, Size, Stream, Terminal,
};

/// How much is read at once.
const PIECE: usize = 64 * 1024;

/// The size of a terminal that nobody has told its size.
const SIZE: Size = Size { columns: 80, rows: 24 };

/// The commands that were run here, by id.
#[derive(Debug, Default)]
pub(super) struct Execs(Mutex<HashMap<String, Exec>>);

/// A command that was run.
#[derive(Clone, Debug)]
enum Exec {
    /// It runs, or has ended and nobody has asked how.
    Process { process: Arc<OwnedFd>, terminal: Option<Arc<Channel>> },
    /// It has ended, or never began.
    Ended(i64),
}

impl Execs {
    fn insert(&self, id: &str, exec: Exec) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned(), exec);
    }

    fn get(&self, id: &str) -> Result<Exec> {
        let execs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = || RuntimeError::NotFound(format!("no such command: {id}"));
        execs.get(id).cloned().ok_or_else(missing)
    }
}

/// The first process of a container that runs, and what the container is.
pub(super) struct Target {
    pub(super) process: OwnedFd,
    pub(super) pid: i32,
    pub(super) config: Config,
}

impl Native {
    /// The first process of a container, which must run.
    pub(super) async fn target(&self, container: &str) -> Result<Target> {
        let named = names::the(&self.root, container)?;
        let seen = self.seen(&named).await?.ok_or_else(|| names::missing(container))?;
        if !seen.is_held || !seen.status.phase.has_processes() {
            return Err(not_running(&named.name));
        }
        let record = Record::read(&self.root.container(&named.id))?;
        let record = record.ok_or_else(|| names::missing(container))?;
        let pid = seen.status.pid;
        let process = Pid::from_raw(pid).map(|pid| pidfd_open(pid, PidfdFlags::empty()));
        let process = process.and_then(rustix::io::Result::ok);
        let process = process.ok_or_else(|| not_running(&named.name))?;
        // The number belongs to the container as long as its state says so.
        let again = self.seen(&named).await?;
        if again.is_none_or(|seen| seen.status.pid != pid) {
            return Err(not_running(&named.name));
        }
        Ok(Target { process, pid, config: record.config })
    }

    pub(super) async fn start_exec(
        &self,
        container: &str,
        command: &ExecSpec,
    ) -> Result<(String, Option<Session>)> {
        let id = create::random_id()?;
        let named = names::the(&self.root, container)?;
        if self.seen(&named).await?.is_some_and(|seen| seen.status.phase == Phase::Paused) {
            let said = format!("container {container} is paused, unpause it before exec");
            return Err(RuntimeError::Conflict(said));
        }
        let target = self.target(container).await?;
        let ends = Ends::open(command).map_err(no_streams)?;
        let config = ExecConfig {
            args: command.command.clone(),
            environment: command.environment.clone(),
            working_dir: command.working_dir.clone(),
            user: command.user.clone(),
            privileged: command.privileged,
        };
        let Ends { streams, mine } = ends;
        self.warm.ask();
        match container::exec(&target.config, target.process.as_fd(), &config, streams) {
            Ok(started) => self.begun(id, command, (started, mine)),
            Err(error) => self.refused(id, command, error),
        }
    }

    fn begun(
        &self,
        id: String,
        command: &ExecSpec,
        (started, mine): (Started, Mine),
    ) -> Result<(String, Option<Session>)> {
        let Started { pidfd, terminal, .. } = started;
        let terminal = terminal.map(Channel::new).transpose().map_err(no_streams)?.map(Arc::new);
        let exec = Exec::Process { process: Arc::new(pidfd), terminal: terminal.clone() };
        self.execs.insert(&id, exec);
        self.reap(id.clone());
        if command.detach {
            return Ok((id, None));
        }
        let session = match terminal {
            Some(terminal) => Session {
                output: chunks(Output::Stdout, Arc::clone(&terminal)),
                input: if command.stdin {
                    Box::pin(Input(Some(terminal)))
                } else {
                    Box::pin(tokio::io::sink())
                },
                tty: true,
            },
            None => mine.session(),
        };
        Ok((id, Some(session)))
    }

    /// Takes the end of a command, though nobody asks for it: our own child, if it is left, keeps its
    /// container from ending.
    fn reap(&self, exec: String) {
        let native = self.clone();
        tokio::spawn(async move {
            // Who asked for its end meanwhile has taken it.
            let _ = native.exec_ended(&exec).await;
            let _ = native.exec_code(&exec);
        });
    }

    /// A command that cannot be run has an exit code, as in a shell, and says why.
    fn refused(
        &self,
        id: String,
        command: &ExecSpec,
        error: StartError,
    ) -> Result<(String, Option<Session>)> {
        let code = i64::from(error.exit_code());
        let is_the_program =
            matches!(error, StartError::ProgramMissing { .. } | StartError::ProgramRefused { .. });
        if command.detach || !is_the_program {
            return Err(error.into_runtime_error());
        }
        self.execs.insert(&id, Exec::Ended(code));
        let text = format!("{}\r\n", control::whole(&error));
        let bytes = Bytes::from(text);
        let chunk = Chunk { output: Output::Stderr, bytes };
        let output = stream::iter([Ok(chunk)]).boxed();
        let input = Box::pin(tokio::io::sink());
        Ok((id, Some(Session { output, input, tty: command.tty })))
    }

    /// The exit code of a command; `None` while it runs.
    pub(super) fn exec_code(&self, exec: &str) -> Result<Option<i64>> {
        let process = match self.execs.get(exec)? {
            Exec::Ended(code) => return Ok(Some(code)),
            Exec::Process { process, .. } => process,
        };
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        let status = waitid(WaitId::PidFd(process.as_fd()), options);
        let status = status.map_err(|error| RuntimeError::Io {
            action: format!("ask how the command {exec} ended"),
            source: error.into(),
        })?;
        let code = status.as_ref().map(code_of);
        if let Some(code) = code {
            self.execs.insert(exec, Exec::Ended(code));
        }
        Ok(code)
    }

    pub(super) async fn hook(&self, container: &str, hook: &Hook) -> Result<(i64, String)> {
        let (exec, session) = self.start_exec(container, &hook.into()).await?;
        let output = match session {
            Some(session) => session.last_output().await?,
            None => String::new(),
        };
        self.exec_ended(&exec).await?;
        Ok((self.exec_code(&exec)?.unwrap_or_default(), output))
    }

    async fn exec_ended(&self, exec: &str) -> Result<()> {
        let Exec::Process { process, .. } = self.execs.get(exec)? else { return Ok(()) };
        let failed =
            |source| RuntimeError::Io { action: format!("wait for the command {exec}"), source };
        let process = process.try_clone().map_err(failed)?;
        let process = register(process, Interest::READABLE).map_err(failed)?;
        process.readable().await.map(drop).map_err(failed)
    }

    pub(super) async fn resize_terminal(&self, terminal: &Terminal, size: Size) -> Result<()> {
        match terminal {
            Terminal::Container(container) => {
                let asked = self.ask(container, &Request::from(size)).await?;
                asked.ok_or_else(|| not_running(container))
            }
            Terminal::Exec(exec) => {
                let Exec::Process { terminal: Some(terminal), .. } = self.execs.get(exec)? else {
                    return Ok(());
                };
                let size = rustix::termios::Winsize {
                    ws_row: size.rows,
                    ws_col: size.columns,
                    ws_xpixel: 0,
                    ws_ypixel: 0,
                };
                let done = rustix::termios::tcsetwinsize(terminal.as_ref(), size);
                done.map_err(|error| RuntimeError::Io {
                    action: "tell the terminal its size".to_owned(),
                    source: error.into(),
                })
            }
        }
    }
}

/// The streams of a command: those that it gets, and their other ends.
struct Ends {
    streams: Streams,
    mine: Mine,
}

/// The ends of the streams that are ours.
#[derive(Default)]
struct Mine {
    stdin: Option<Channel>,
    outputs: Vec<(Output, Channel)>,
}

impl Ends {
    fn open(command: &ExecSpec) -> io::Result<Self> {
        if command.tty {
            return Ok(Self { streams: Streams::Terminal(SIZE), mine: Mine::default() });
        }
        let null = || std::fs::File::options().read(true).write(true).open("/dev/null");
        if command.detach {
            let (stdin, stdout, stderr) = (null()?.into(), null()?.into(), null()?.into());
            let streams = Streams::Files { stdin, stdout, stderr };
            return Ok(Self { streams, mine: Mine::default() });
        }
        let (out, err) = (pipe_with(PipeFlags::CLOEXEC)?, pipe_with(PipeFlags::CLOEXEC)?);
        let (stdin, own) = if command.stdin {
            let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
            (read, Some(Channel::new(write)?))
        } else {
            (null()?.into(), None)
        };
        let outputs =
            vec![(Output::Stdout, Channel::new(out.0)?), (Output::Stderr, Channel::new(err.0)?)];
        let streams = Streams::Files { stdin, stdout: out.1, stderr: err.1 };
        Ok(Self { streams, mine: Mine { stdin: own, outputs } })
    }
}

impl Mine {
    fn session(self) -> Session {
        let outputs = self.outputs.into_iter();
        let outputs = outputs.map(|(output, channel)| chunks(output, Arc::new(channel)));
        Session {
            output: stream::select_all(outputs).boxed(),
            input: match self.stdin {
                Some(channel) => Box::pin(Input(Some(Arc::new(channel)))),
                None => Box::pin(tokio::io::sink()),
            },
            tty: false,
        }
    }
}

/// What is read from a channel until its end.
fn chunks(output: Output, channel: Arc<Channel>) -> Stream<'static, Chunk> {
    stream::try_unfold(channel, move |channel| async move {
        let mut piece = vec![0; PIECE];
        let read = channel.read(&mut piece).await.map_err(no_streams)?;
        piece.truncate(read);
        let chunk = Chunk { output, bytes: Bytes::from(piece) };
        Ok((read > 0).then_some((chunk, channel)))
    })
    .boxed()
}

fn no_streams(source: io::Error) -> RuntimeError {
    RuntimeError::Io { action: "connect the streams of the command".to_owned(), source }
}

/// The exit code as a shell has it.
fn code_of(status: &WaitIdStatus) -> i64 {
    let signal = status.terminating_signal().map(|signal| 128 + signal);
    i64::from(status.exit_status().or(signal).unwrap_or(255))
}
