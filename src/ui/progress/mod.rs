//! What is going on, while it is going on.
//!
//! In: [`Event`]s, from any thread. Out: on standard error, in the [`Mode`] that was chosen, a
//! picture that is redrawn ([`tty`]), lines ([`plain`]), the events themselves as JSON, or nothing.
//!
//! # Invariants
//!
//! - Several plans may follow one another; they share one picture.
//! - A picture is redrawn at most every [`tty::FRAME`], and once more at the end.
//! - A thread exists only where there is a picture, and wakes up only while it moves.
//!
//! # Not here
//!
//! The report of a failure at the end ([`super::failure`]), the output of containers
//! ([`super::logs`]).

pub mod plain;
pub mod state;
pub mod tty;

use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use super::{Colour, Screen};
use crate::event::Event;
use state::{State, Told};
use tty::{FRAME, Painter, Size};

/// How progress is shown, as the user says it: `--progress`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum How {
    /// As fits the stream.
    #[default]
    Auto,
    /// As a picture.
    Tty,
    /// As lines.
    Plain,
    /// As JSON.
    Json,
    /// Not at all.
    Quiet,
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// As a picture.
    Tty,
    /// As lines.
    Plain,
    /// As JSON.
    Json,
    /// Not at all.
    Quiet,
}

/// Why progress cannot be shown as the user wants it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModeError {
    /// No such way.
    #[error("unsupported --progress value {0:?}")]
    Unknown(String),
    /// A picture needs what `--ansi never` forbids.
    #[error("can't use --progress tty while ANSI support is disabled")]
    NoAnsi,
    /// Lines do without what `--ansi always` wants.
    #[error("can't use --progress plain while ANSI support is forced")]
    ForcedAnsi,
}

/// What stands before every line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Prefix {
    /// Nothing.
    #[default]
    None,
    /// `DRY-RUN MODE -`.
    DryRun,
}

impl Prefix {
    /// The text between the edge and the subject.
    fn text(self) -> &'static str {
        match self {
            Self::None => "",
            Self::DryRun => " DRY-RUN MODE - ",
        }
    }
}

impl How {
    /// Reads the value of `--progress`.
    ///
    /// # Errors
    ///
    /// If there is no such way.
    pub fn parse(word: &str) -> Result<Self, ModeError> {
        match word {
            "auto" | "" => Ok(Self::Auto),
            "tty" => Ok(Self::Tty),
            "plain" => Ok(Self::Plain),
            "json" => Ok(Self::Json),
            "quiet" | "none" => Ok(Self::Quiet),
            _ => Err(ModeError::Unknown(word.to_owned())),
        }
    }

    /// The mode that this comes to on a screen.
    ///
    /// # Errors
    ///
    /// If it contradicts what was said about colours.
    pub fn mode(self, colour: Colour, screen: &Screen) -> Result<Mode, ModeError> {
        match (self, colour) {
            (Self::Tty, Colour::Never) => Err(ModeError::NoAnsi),
            (Self::Plain, Colour::Always) => Err(ModeError::ForcedAnsi),
            (Self::Auto, Colour::Never) | (Self::Plain, _) => Ok(Mode::Plain),
            (Self::Auto, _) if !screen.err_is_terminal() => Ok(Mode::Plain),
            (Self::Auto | Self::Tty, _) => Ok(Mode::Tty),
            (Self::Json, _) => Ok(Mode::Json),
            (Self::Quiet, _) => Ok(Mode::Quiet),
        }
    }
}

/// Shows progress while it lives.
#[derive(Debug)]
pub struct Progress {
    shared: Arc<Shared>,
    ticker: Mutex<Option<JoinHandle<()>>>,
}

/// What the ticking thread sees too.
struct Shared {
    view: Mutex<View>,
    /// Rings when there is something to tick for, or when it is over.
    bell: Condvar,
}

struct View {
    mode: Mode,
    prefix: Prefix,
    state: State,
    painter: Painter,
    out: Box<dyn Write + Send>,
    colours: bool,
    size: fn() -> Size,
    begun: Instant,
    drawn: Option<Instant>,
    /// Whether something happened since.
    stale: bool,
    over: bool,
}

impl Progress {
    /// Begins to show progress on the error stream of a screen.
    pub fn new(screen: &Screen, mode: Mode, prefix: Prefix) -> Self {
        let view = View {
            mode,
            prefix,
            state: State::default(),
            painter: Painter::default(),
            out: screen.err_writer(),
            colours: screen.err_has_colours(),
            size: terminal,
            begun: Instant::now(),
            drawn: None,
            stale: false,
            over: false,
        };
        let shared = Arc::new(Shared { view: Mutex::new(view), bell: Condvar::new() });
        Self { shared, ticker: Mutex::new(None) }
    }

    /// Takes in an event.
    pub fn apply(&self, event: &Event) {
        let mut view = self.shared.lock();
        view.apply(event);
        if view.mode == Mode::Tty && !view.over {
            drop(view);
            self.tick();
        }
    }

    /// Writes something else, such as a question, above the picture.
    pub fn aside(&self, text: &str) {
        self.shared.lock().aside(text);
    }

    /// Lets somebody else write to the terminal, above the picture.
    pub fn step_aside<T>(&self, write: impl FnOnce() -> T) -> T {
        let mut view = self.shared.lock();
        view.clear();
        let written = write();
        view.redraw();
        written
    }

    /// Draws for the last time; what comes later is not shown. Dropping does the same.
    pub fn finish(&self) {
        {
            let mut view = self.shared.lock();
            if !view.over && view.mode == Mode::Tty {
                view.draw();
            }
            view.over = true;
        }
        self.shared.bell.notify_all();
        let ticker = self.ticker.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(ticker) = ticker {
            // Its only way to fail is a panic, which has been told.
            let _ = ticker.join();
        }
    }

    /// Makes sure that the thread is there and awake.
    fn tick(&self) {
        let mut ticker = self.ticker.lock().unwrap_or_else(PoisonError::into_inner);
        if ticker.is_none() {
            let shared = Arc::clone(&self.shared);
            // Without the thread the picture still moves with every event.
            let thread = std::thread::Builder::new().name("progress".to_owned());
            *ticker = thread.spawn(move || shared.run()).ok();
        }
        self.shared.bell.notify_all();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, View> {
        // A panic while drawing leaves nothing half done that the next frame does not mend.
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut view = self.lock();
        while !view.over {
            if view.moves() {
                let waited = self.bell.wait_timeout(view, FRAME);
                view = waited.map_or_else(|poisoned| poisoned.into_inner().0, |(view, _)| view);
                if !view.over {
                    view.draw_if_due();
                }
            } else {
                view = self.bell.wait(view).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

impl View {
    fn apply(&mut self, event: &Event) {
        if self.over {
            return;
        }
        let now = self.begun.elapsed();
        let told = self.state.apply(event, now);
        match (self.mode, told) {
            (Mode::Quiet, _) | (Mode::Plain, None) => {}
            (Mode::Json, _) => self.write(&json(event)),
            (Mode::Plain, Some(told)) => self.write_coloured(&plain::line(&told, self.prefix)),
            (Mode::Tty, Some(Told::Warning(message))) => {
                let warning = Told::Warning(message);
                self.aside(&plain::line(&warning, self.prefix));
            }
            (Mode::Tty, _) => {
                self.stale = true;
                self.draw_if_due();
            }
        }
    }

    /// Whether the picture has to be drawn again.
    fn moves(&self) -> bool {
        self.stale || self.state.is_working()
    }

    fn draw_if_due(&mut self) {
        if self.drawn.is_none_or(|drawn| drawn.elapsed() >= FRAME) {
            self.draw();
        }
    }

    fn draw(&mut self) {
        self.stale = false;
        let size = (self.size)();
        let mut lines = tty::picture(&self.state, size, self.begun.elapsed(), self.prefix);
        if lines.is_empty() {
            return;
        }
        if !self.colours {
            for line in &mut lines {
                *line = anstream::adapter::strip_str(line).to_string();
            }
        }
        let frame = self.painter.frame(&lines, size);
        self.write(&frame);
        self.drawn = Some(Instant::now());
    }

    fn aside(&mut self, text: &str) {
        self.clear();
        self.write_coloured(text);
        self.redraw();
    }

    /// Takes the picture away.
    fn clear(&mut self) {
        if self.mode == Mode::Tty && !self.over {
            let erase = self.painter.erase((self.size)());
            self.write(&erase);
        }
    }

    /// Puts the picture back.
    fn redraw(&mut self) {
        if self.mode == Mode::Tty && !self.over {
            self.draw();
        }
    }

    fn write_coloured(&mut self, text: &str) {
        if self.colours {
            self.write(text);
        } else {
            self.write(&anstream::adapter::strip_str(text).to_string());
        }
    }

    /// There is nowhere to report that this failed, so failures are ignored.
    fn write(&mut self, text: &str) {
        let _ = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush());
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

/// An event as one line.
pub(super) fn json(event: &Event) -> String {
    // Only a map with keys that are no text could fail, and events have none.
    serde_json::to_string(event).map_or_else(|_| String::new(), |line| line + "\n")
}

/// The size of the terminal behind standard error.
fn terminal() -> Size {
    let known = terminal_size::terminal_size_of(std::io::stderr());
    known.map_or_else(Size::default, |(columns, lines)| match (columns.0, lines.0) {
        // A terminal that does not know its size says 0.
        (0, _) | (_, 0) => Size::default(),
        (columns, lines) => Size { columns: columns.into(), lines: lines.into() },
    })
}

#[cfg(test)]
mod tests;
