//! Standard streams of running processes.
//!
//! In: a container or a command in it. Out: a [`Session`] over a connection of its own.
//!
//! # Invariants
//!
//! - When [`Docker::attach_streams`] returns, the engine has attached: what the container writes
//!   from then on arrives.
//! - Shutting the input down closes the process's standard input and nothing else.

use hyper::Method;

use super::Docker;
use super::frames::{self, Packing};
use super::wire::{Call, Hijacked, chunks_of};
use crate::runtime::{AttachOptions, Result, Session, Size, Terminal};

impl Docker {
    pub(super) async fn attach_streams(
        &self,
        container: &str,
        options: &AttachOptions,
    ) -> Result<Session> {
        let tty = self.has_tty(container).await?;
        let yes = || "1".to_owned();
        let call = Call::new(Method::POST, format!("/containers/{container}/attach")).query(&[
            ("stream", yes()),
            ("stdout", yes()),
            ("stderr", yes()),
            ("stdin", if options.stdin { yes() } else { String::new() }),
            ("detachKeys", options.detach_keys.clone()),
        ]);
        Ok(session(self.wire().hijack(call).await?, Input::wanted(options.stdin), tty))
    }

    pub(super) async fn resize_terminal(&self, terminal: &Terminal, size: Size) -> Result<()> {
        let path = match terminal {
            Terminal::Container(container) => format!("/containers/{container}/resize"),
            Terminal::Exec(exec) => format!("/exec/{exec}/resize"),
        };
        let call = Call::new(Method::POST, path)
            .query(&[("w", size.columns.to_string()), ("h", size.rows.to_string())]);
        self.wire().send(call).await.map(drop)
    }
}

/// Whether input goes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    Open,
    None,
}

impl Input {
    pub(super) fn wanted(stdin: bool) -> Self {
        if stdin { Self::Open } else { Self::None }
    }
}

/// The session over a connection that was taken over.
pub(super) fn session((reader, writer): Hijacked, input: Input, tty: bool) -> Session {
    Session {
        output: frames::unpack(chunks_of(reader), Packing::with_tty(tty)),
        input: match input {
            Input::Open => Box::pin(writer),
            Input::None => Box::pin(tokio::io::sink()),
        },
        tty,
    }
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt as _;
    use tokio::io::AsyncWriteExt as _;

    use super::super::trial::{IMAGE, Trial, docker, engine, limited};
    use super::*;

    async fn rest_of(session: &mut Session) -> String {
        let mut output = Vec::new();
        while let Some(chunk) = limited(session.output.try_next()).await.unwrap() {
            output.extend_from_slice(&chunk.bytes);
        }
        String::from_utf8(output).unwrap()
    }

    #[tokio::test]
    async fn who_attaches_before_the_start_misses_nothing() {
        let Some(engine) = engine().await else { return };
        let trial = Trial::create("attach", &["-i", IMAGE, "sh", "-c", "echo up; cat; echo end"]);
        let options = AttachOptions { stdin: true, ..AttachOptions::default() };
        let mut session = engine.attach_streams(&trial.name, &options).await.unwrap();
        docker(&["start", &trial.name]);
        session.input.write_all(b"hi\n").await.unwrap();
        session.input.shutdown().await.unwrap();
        assert_eq!(rest_of(&mut session).await, "up\nhi\nend\n");
    }

    #[tokio::test]
    async fn a_terminal_is_raw_has_a_size_and_is_left_by_keys() {
        let Some(engine) = engine().await else { return };
        let script = r"printf '\002\001> '; read -r a; stty size; read -r a";
        let trial = Trial::create("attach-tty", &["-it", IMAGE, "sh", "-c", script]);
        let options = AttachOptions { stdin: true, detach_keys: "ctrl-x,d".to_owned() };
        let mut session = engine.attach_streams(&trial.name, &options).await.unwrap();
        docker(&["start", &trial.name]);
        let mut found = Vec::new();
        while found.len() < 4 {
            found.extend_from_slice(
                &limited(session.output.try_next()).await.unwrap().unwrap().bytes,
            );
        }
        assert_eq!(found, b"\x02\x01> ");
        let size = Size { columns: 99, rows: 44 };
        engine.resize_terminal(&Terminal::Container(trial.name.clone()), size).await.unwrap();
        session.input.write_all(b"x\n").await.unwrap();
        let mut found = String::new();
        while !found.contains("44 99") {
            let chunk = limited(session.output.try_next()).await.unwrap().unwrap();
            found.push_str(&String::from_utf8_lossy(&chunk.bytes));
        }
        session.input.write_all(b"\x18d").await.unwrap();
        rest_of(&mut session).await;
        let state = docker(&["inspect", "-f", "{{.State.Running}}", &trial.name]);
        assert_eq!(String::from_utf8_lossy(&state.stdout).trim(), "true");
    }
}
