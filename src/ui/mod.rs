//! What people and programs read: the only module that writes to the standard streams.
//!
//! In: finished data ([`Diagnostic`](crate::diagnostic::Diagnostic)s, values, rows). Out: text on
//! a [`Screen`].
//!
//! # Invariants
//!
//! - Results go to standard output, everything else to standard error.
//! - Colours appear only where the stream can show them, or where the user insists.
//! - Text from files or variables is neutralised before it is drawn for people; data stays as it is.
//!
//! # Not here
//!
//! What to say (whoever finds a problem), when to say it and exit codes (`cli`).

pub mod containers;
pub mod diagnostics;
pub mod environment;
pub mod events;
pub mod explain;
pub mod failure;
pub mod graph;
pub mod images;
pub mod listing;
pub mod log;
pub mod logs;
pub mod plan;
pub mod processes;
pub mod progress;
pub mod projects;
mod replacement;
pub mod report;
pub mod schema;
pub mod size;
pub mod snapshots;
pub mod stats;
pub mod store;
pub mod table;
pub mod template;
pub mod text;
pub mod time;
pub mod volumes;
pub mod watch;

use std::io::{self, IsTerminal as _, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anstream::{AutoStream, ColorChoice};

use crate::model::Output;
use diagnostics::Message;

/// When colours are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Colour {
    /// Where the stream is a terminal; `NO_COLOR` and `CLICOLOR` are respected.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The two output streams.
#[derive(Debug, Default)]
pub struct Screen {
    colour: Colour,
    captured: Option<Kept>,
}

/// What is written, shared by a screen and its writers.
#[derive(Clone, Debug, Default)]
struct Kept(Arc<Mutex<Captured>>);

impl Kept {
    fn lock(&self) -> MutexGuard<'_, Captured> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes to one stream of a screen that keeps it.
struct KeptStream(Kept, Output);

impl Write for KeptStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut captured = self.0.lock();
        match self.1 {
            Output::Stdout => captured.out.write(bytes),
            Output::Stderr => captured.err.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What was written to a screen that keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Captured {
    /// Standard output.
    pub out: Vec<u8>,
    /// Standard error.
    pub err: Vec<u8>,
}

impl Screen {
    /// The streams of the process.
    pub fn standard() -> Self {
        Self::default()
    }

    /// A screen that keeps what is written, for tests and embedding.
    pub fn captured() -> Self {
        Self { colour: Colour::Never, captured: Some(Kept::default()) }
    }

    /// Takes what was written so far; empty for the streams of the process.
    pub fn take(&mut self) -> Captured {
        self.captured.as_ref().map(|kept| std::mem::take(&mut *kept.lock())).unwrap_or_default()
    }

    /// Decides about colours from here on.
    pub fn set_colour(&mut self, colour: Colour) {
        self.colour = colour;
    }

    /// What was decided about colours.
    pub fn colour(&self) -> Colour {
        self.colour
    }

    /// The width of the terminal that errors go to; that of a wide one where it is none.
    pub fn width(&self) -> usize {
        const WIDE: usize = 140;
        const NARROWEST: usize = 40;
        let size = match self.captured {
            Some(_) => None,
            None => terminal_size::terminal_size_of(io::stderr()),
        };
        size.map_or(WIDE, |(width, _)| usize::from(width.0).max(NARROWEST))
    }

    /// Writes data to standard output, byte for byte.
    ///
    /// # Errors
    ///
    /// If the stream cannot be written.
    pub fn data(&mut self, text: &str) -> io::Result<()> {
        match &self.captured {
            Some(kept) => kept.lock().out.write_all(text.as_bytes()),
            None => write_whole(io::stdout().lock(), text),
        }
    }

    /// Writes coloured text to standard output.
    ///
    /// # Errors
    ///
    /// If the stream cannot be written.
    pub fn show(&mut self, text: &str) -> io::Result<()> {
        let choice = self.choice();
        match &self.captured {
            Some(kept) => write_whole(AutoStream::new(&mut kept.lock().out, choice), text),
            None => write_whole(AutoStream::new(io::stdout().lock(), choice), text),
        }
    }

    /// Writes coloured text to standard error. There is nowhere to report that this failed, so
    /// failures are ignored.
    pub fn tell(&mut self, text: &str) {
        let choice = self.choice();
        let _ = match &self.captured {
            Some(kept) => write_whole(AutoStream::new(&mut kept.lock().err, choice), text),
            None => write_whole(AutoStream::new(io::stderr().lock(), choice), text),
        };
    }

    /// Tells one error or warning that has no place in a file.
    pub fn message(&mut self, message: Message<'_>) {
        self.tell(&message.draw());
    }

    /// A writer to standard output that may live on its own; nothing is buffered.
    pub fn out_writer(&self) -> Box<dyn Write + Send> {
        match &self.captured {
            Some(kept) => Box::new(KeptStream(kept.clone(), Output::Stdout)),
            None => Box::new(io::stdout()),
        }
    }

    /// A writer to standard error that may live on its own; nothing is buffered.
    pub fn err_writer(&self) -> Box<dyn Write + Send> {
        match &self.captured {
            Some(kept) => Box::new(KeptStream(kept.clone(), Output::Stderr)),
            None => Box::new(io::stderr()),
        }
    }

    /// Whether standard output is a terminal.
    pub fn out_is_terminal(&self) -> bool {
        self.captured.is_none() && io::stdout().is_terminal()
    }

    /// Whether standard error is a terminal.
    pub fn err_is_terminal(&self) -> bool {
        self.captured.is_none() && io::stderr().is_terminal()
    }

    /// Whether standard output gets colours.
    pub fn out_has_colours(&self) -> bool {
        self.has_colours(Output::Stdout)
    }

    /// Whether standard error gets colours.
    pub fn err_has_colours(&self) -> bool {
        self.has_colours(Output::Stderr)
    }

    fn has_colours(&self, stream: Output) -> bool {
        match (self.colour, &self.captured) {
            (Colour::Always, _) => true,
            (Colour::Never, _) | (Colour::Auto, Some(_)) => false,
            (Colour::Auto, None) => {
                let choice = match stream {
                    Output::Stdout => AutoStream::choice(&io::stdout()),
                    Output::Stderr => AutoStream::choice(&io::stderr()),
                };
                choice != ColorChoice::Never
            }
        }
    }

    fn choice(&self) -> ColorChoice {
        match self.colour {
            Colour::Auto => ColorChoice::Auto,
            Colour::Always => ColorChoice::AlwaysAnsi,
            Colour::Never => ColorChoice::Never,
        }
    }
}

fn write_whole(mut stream: impl Write, text: &str) -> io::Result<()> {
    stream.write_all(text.as_bytes())?;
    stream.flush()
}

#[cfg(test)]
mod tests {
    use super::{Colour, Screen};

    #[test]
    fn data_is_never_changed_and_text_loses_its_colours() {
        let mut screen = Screen::captured();
        screen.data("\u{1b}[1mraw").expect("memory");
        screen.show("\u{1b}[1mbold\u{1b}[0m").expect("memory");
        screen.tell("\u{1b}[31mred\u{1b}[0m");
        screen.set_colour(Colour::Always);
        screen.tell("\u{1b}[31mred\u{1b}[0m");
        let captured = screen.take();
        assert_eq!(captured.out, b"\x1b[1mrawbold");
        assert_eq!(captured.err, b"red\x1b[31mred\x1b[0m");
    }
}
