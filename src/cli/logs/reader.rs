//! Reads the output of many containers at once.
//!
//! In: containers. Out: their lines, handed to [`Logs`] as they come, and which container has no
//! more.

use std::collections::HashMap;

use futures_util::future::ready;
use futures_util::stream::{BoxStream, SelectAll};
use futures_util::{FutureExt as _, StreamExt as _, stream};

use crate::cli::engine::short_name;
use crate::cli::exit::Failure;
use crate::model::Dict;
use crate::runtime::{Chunk, LogOptions, Output, Result, Runtime, RuntimeError};
use crate::ui::logs::{Logs, SourceId};

/// Output of a container; `None`: there is no more.
type Piece = (String, Option<Result<Chunk>>);

/// What came of going on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// There may be more.
    More,
    /// The container of this id has no more output.
    Over(String),
    /// No container is read.
    Idle,
}

/// Reads the output of many containers.
pub(super) struct Reader<'r> {
    runtime: &'r dyn Runtime,
    options: LogOptions,
    logs: Logs,
    /// What containers are registered as, by the name that their lines get.
    sources: HashMap<String, SourceId>,
    /// The same for the containers that are read, by id.
    reading: HashMap<String, SourceId>,
    pieces: SelectAll<BoxStream<'static, Piece>>,
    /// Takes the reason why the output of a container cannot be read.
    warn: &'r dyn Fn(&str),
}

impl<'r> Reader<'r> {
    /// Reads nothing yet.
    pub(super) fn new(
        runtime: &'r dyn Runtime,
        options: LogOptions,
        logs: Logs,
        warn: &'r dyn Fn(&str),
    ) -> Self {
        Self {
            runtime,
            options,
            logs,
            sources: HashMap::new(),
            reading: HashMap::new(),
            pieces: SelectAll::new(),
            warn,
        }
    }

    /// Begins to read a container of this name and these labels: what was asked for, or with
    /// `since` all from this moment on, which may be empty for its start.
    pub(super) fn open(&mut self, id: &str, own: (&str, &Dict), since: Option<String>) {
        let source = self.source(own);
        self.reading.insert(id.to_owned(), source);
        let options = match since {
            Some(since) => LogOptions { since, tail: None, ..self.options.clone() },
            None => self.options.clone(),
        };
        let (own, over) = (id.to_owned(), id.to_owned());
        let chunks = self.runtime.logs(id, &options);
        let pieces = chunks.map(move |chunk| (own.clone(), Some(chunk)));
        self.pieces.push(pieces.chain(stream::once(ready((over, None)))).boxed());
    }

    fn source(&mut self, (name, labels): (&str, &Dict)) -> SourceId {
        let name = short_name(name, labels);
        let known = self.sources.get(name).copied();
        known.unwrap_or_else(|| {
            let source = self.logs.register(name);
            self.sources.insert(name.to_owned(), source);
            source
        })
    }

    /// Whether a container is read.
    pub(super) fn reads(&self, id: &str) -> bool {
        self.reading.contains_key(id)
    }

    /// Whether no container is read.
    pub(super) fn is_idle(&self) -> bool {
        self.reading.is_empty()
    }

    /// Goes on for one piece. May be dropped anywhere.
    pub(super) async fn step(&mut self) -> std::result::Result<Step, Failure> {
        let piece = if let Some(piece) = self.pieces.next().now_or_never() {
            piece
        } else {
            self.logs.flush()?;
            self.pieces.next().await
        };
        let Some((id, piece)) = piece else { return Ok(Step::Idle) };
        let Some(source) = self.reading.get(&id).copied() else { return Ok(Step::More) };
        match piece {
            // Docker Compose shows both streams on standard output.
            Some(Ok(chunk)) => self.logs.write(source, Output::Stdout, &chunk.bytes)?,
            Some(Err(RuntimeError::Unsupported(reason))) => {
                // The user knows it by its name.
                let name = self.sources.iter().find(|(_, it)| **it == source);
                (self.warn)(&name.map_or(reason.clone(), |(name, _)| reason.replace(&id, name)));
            }
            // It was removed while it was read, or before.
            Some(Err(RuntimeError::NotFound(_))) => {}
            Some(Err(error)) => return Err(error.into()),
            None => {
                self.reading.remove(&id);
                self.logs.end(source)?;
                return Ok(Step::Over(id));
            }
        }
        Ok(Step::More)
    }

    /// Says something about a container.
    pub(super) fn say(&mut self, own: (&str, &Dict), text: &str) -> std::io::Result<()> {
        let source = self.source(own);
        self.logs.status(source, text)
    }

    /// Writes what is left.
    pub(super) fn finish(mut self) -> std::io::Result<()> {
        self.logs.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::{Reader, Step};
    use crate::model::Dict;
    use crate::model::spec::ContainerSpec;
    use crate::runtime::fake::{Behaviour, Fake};
    use crate::runtime::{LogOptions, Runtime as _};
    use crate::ui::Screen;
    use crate::ui::logs::{LogStyle, Logs};

    #[tokio::test(start_paused = true)]
    async fn containers_that_are_gone_do_not_disturb_the_others() {
        let fake =
            Fake::new().with_image("i").with_behaviour("i", Behaviour::writes(&["one", "two"]));
        let spec =
            ContainerSpec { name: "a".to_owned(), image: "i".to_owned(), ..Default::default() };
        fake.create_container(&spec).await.expect("created");
        fake.start_container("a", &[]).await.expect("started");
        let mut screen = Screen::captured();
        let logs = Logs::new(&screen, LogStyle::default());
        let mut reader = Reader::new(&fake, LogOptions::default(), logs, &|_| ());
        reader.open("a", ("a", &Dict::new()), None);
        reader.open("gone", ("gone", &Dict::new()), None);
        let mut over = Vec::new();
        loop {
            match reader.step().await.expect("no failure") {
                Step::More => {}
                Step::Over(id) => over.push(id),
                Step::Idle => break,
            }
        }
        assert!(reader.is_idle());
        reader.finish().expect("memory");
        over.sort();
        assert_eq!(over, ["a", "gone"]);
        assert_eq!(screen.take().out, b"a     | one\na     | two\n");
    }
}
