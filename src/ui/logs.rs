//! The output of containers, line by line, each with the name of its container.
//!
//! In: chunks of bytes that are cut anywhere. Out: lines on the stream that they came from.
//!
//! # Invariants
//!
//! - What a container wrote is passed on byte for byte, valid UTF-8 or not.
//! - Lines of two containers are never mixed into one.
//! - At most 64 KiB of an unfinished line are kept, for each stream of each container. A
//!   longer line is written as it comes; if something else has to be written in its middle, it is
//!   broken there.
//!
//! # Not here
//!
//! Where chunks come from (`runtime`), which containers are shown (`cli`).

use std::fmt;
use std::io::{self, BufWriter, Write};

use anstyle::{AnsiColor, Style};

use super::Screen;
use super::text::width;
use crate::model::Output;

/// Bytes of an unfinished line that are kept.
const HELD: usize = 64 * 1024;
/// Bytes that are collected before they are written.
const BUFFER: usize = 64 * 1024;

/// The colours of containers, in the order in which they are registered.
const COLOURS: [Style; 10] = [
    AnsiColor::Cyan.on_default(),
    AnsiColor::Yellow.on_default(),
    AnsiColor::Green.on_default(),
    AnsiColor::Magenta.on_default(),
    AnsiColor::Blue.on_default(),
    AnsiColor::Cyan.on_default().bold(),
    AnsiColor::Yellow.on_default().bold(),
    AnsiColor::Green.on_default().bold(),
    AnsiColor::Magenta.on_default().bold(),
    AnsiColor::Blue.on_default().bold(),
];

/// What stands before a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LinePrefix {
    /// The name of the container.
    #[default]
    Name,
    /// Nothing: `--no-log-prefix`.
    None,
}

/// Whether prefixes have colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PrefixColour {
    /// Where standard output shows them.
    #[default]
    Auto,
    /// No: `--no-color`.
    Never,
}

/// How lines look.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogStyle {
    /// What stands before each.
    pub prefix: LinePrefix,
    /// Whether that is coloured.
    pub colour: PrefixColour,
    /// Gives the time to put before each line; `None`: nothing, or the runtime has put it there.
    pub clock: Option<fn() -> String>,
}

/// A registered container.
pub type SourceId = usize;

/// Writes the lines of many containers.
pub struct Logs {
    style: LogStyle,
    sources: Vec<Source>,
    /// Widest name.
    width: usize,
    out: BufWriter<Box<dyn Write + Send>>,
    err: BufWriter<Box<dyn Write + Send>>,
    terminal: Terminal,
    colours: PrefixColour,
    /// The unfinished line that stands at the end of what was written.
    open: Option<(SourceId, Output)>,
}

/// Whether somebody watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Terminal {
    Yes,
    No,
}

#[derive(Clone, Debug)]
struct Source {
    name: String,
    colour: Style,
    /// What stands before its lines.
    prefix: String,
    /// Unfinished lines of both streams.
    held: [Vec<u8>; 2],
}

impl Logs {
    /// Writes to the streams of a screen.
    pub fn new(screen: &Screen, style: LogStyle) -> Self {
        let terminal = if screen.out_is_terminal() || screen.err_is_terminal() {
            Terminal::Yes
        } else {
            Terminal::No
        };
        let colours = match style.colour {
            PrefixColour::Auto if screen.out_has_colours() => PrefixColour::Auto,
            _ => PrefixColour::Never,
        };
        Self {
            style,
            sources: Vec::new(),
            width: 0,
            out: BufWriter::with_capacity(BUFFER, screen.out_writer()),
            err: BufWriter::with_capacity(BUFFER, screen.err_writer()),
            terminal,
            colours,
            open: None,
        }
    }

    /// Makes a container known by the name that its lines get. All prefixes become as wide as
    /// the widest name.
    pub fn register(&mut self, name: &str) -> SourceId {
        let colour = COLOURS[self.sources.len() % COLOURS.len()];
        let source = Source {
            name: name.to_owned(),
            colour,
            prefix: String::new(),
            held: Default::default(),
        };
        self.sources.push(source);
        self.width = self.width.max(width(name));
        self.set_prefixes();
        self.sources.len() - 1
    }

    fn set_prefixes(&mut self) {
        if self.style.prefix == LinePrefix::None {
            return;
        }
        for source in &mut self.sources {
            let pad = self.width - width(&source.name) + 1;
            let text = format!("{}{:pad$} | ", source.name, "");
            source.prefix = match self.colours {
                PrefixColour::Auto => format!("{}{text}{:#}", source.colour, source.colour),
                PrefixColour::Never => text,
            };
        }
    }

    /// Takes in a chunk. What makes whole lines is written, the rest is kept. Only a terminal
    /// gets it at once; elsewhere call [`Logs::flush`] when nothing more is at hand.
    ///
    /// # Errors
    ///
    /// If a stream cannot be written.
    pub fn write(&mut self, source: SourceId, stream: Output, chunk: &[u8]) -> io::Result<()> {
        let mut rest = chunk;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (line, more) = rest.split_at(end + 1);
            rest = more;
            self.piece(source, stream, line)?;
        }
        self.keep(source, stream, rest)?;
        if self.terminal == Terminal::Yes { self.flush() } else { Ok(()) }
    }

    /// Keeps the beginning of a line, or passes it on if it is long.
    fn keep(&mut self, source: SourceId, stream: Output, rest: &[u8]) -> io::Result<()> {
        if rest.is_empty() {
            return Ok(());
        }
        let held = &mut self.sources[source].held[stream as usize];
        if self.open != Some((source, stream)) && held.len() + rest.len() <= HELD {
            held.extend_from_slice(rest);
            return Ok(());
        }
        self.piece(source, stream, rest)
    }

    /// Writes what is kept and a piece that follows it, which may end the line.
    fn piece(&mut self, source: SourceId, stream: Output, piece: &[u8]) -> io::Result<()> {
        let goes_on = self.open == Some((source, stream));
        if !goes_on {
            self.close()?;
        }
        let Self { sources, out, err, style, .. } = self;
        let from = &mut sources[source];
        let target = match stream {
            Output::Stdout => out,
            Output::Stderr => err,
        };
        if !goes_on {
            target.write_all(from.prefix.as_bytes())?;
            if let Some(clock) = style.clock {
                write!(target, "{} ", clock())?;
            }
        }
        let held = &mut from.held[stream as usize];
        if !held.is_empty() {
            target.write_all(held)?;
            // A line that was long once does not bind its memory for good.
            held.clear();
            held.shrink_to(4096);
        }
        target.write_all(piece)?;
        self.open = (!piece.ends_with(b"\n")).then_some((source, stream));
        Ok(())
    }

    /// Ends the line that stands unfinished at the end.
    fn close(&mut self) -> io::Result<()> {
        match self.open.take() {
            Some((_, Output::Stdout)) => self.out.write_all(b"\n"),
            Some((_, Output::Stderr)) => self.err.write_all(b"\n"),
            None => Ok(()),
        }
    }

    /// A container has ended: writes what is kept of it and ends the line.
    ///
    /// # Errors
    ///
    /// If a stream cannot be written.
    pub fn end(&mut self, source: SourceId) -> io::Result<()> {
        for stream in [Output::Stdout, Output::Stderr] {
            if !self.sources[source].held[stream as usize].is_empty() {
                self.piece(source, stream, b"\n")?;
            } else if self.open == Some((source, stream)) {
                self.close()?;
            }
        }
        self.flush()
    }

    /// A line about a container: `web-1 exited with code 0`. What it wrote before comes first.
    ///
    /// # Errors
    ///
    /// If a stream cannot be written.
    pub fn status(&mut self, source: SourceId, text: &str) -> io::Result<()> {
        self.end(source)?;
        self.close()?;
        let from = &self.sources[source];
        let (name, colour) = (&from.name, from.colour);
        // Whatever a terminal shows in this line, such as a menu, has to go.
        let clean = if self.terminal == Terminal::Yes { "\r\x1b[K" } else { "" };
        match self.colours {
            PrefixColour::Auto => writeln!(self.out, "{colour}{clean}{name} {text}{colour:#}")?,
            PrefixColour::Never => writeln!(self.out, "{clean}{name} {text}")?,
        }
        self.flush()
    }

    /// Hands all whole lines to the streams.
    ///
    /// # Errors
    ///
    /// If a stream cannot be written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()?;
        self.err.flush()
    }

    /// Writes all that is kept, of all containers.
    ///
    /// # Errors
    ///
    /// If a stream cannot be written.
    pub fn finish(&mut self) -> io::Result<()> {
        (0..self.sources.len()).try_for_each(|source| self.end(source))
    }
}

impl fmt::Debug for Logs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logs").field("style", &self.style).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{HELD, LinePrefix, LogStyle, Logs, PrefixColour};
    use crate::model::Output;
    use crate::ui::{Colour, Screen};

    fn written(screen: &mut Screen) -> (String, String) {
        let captured = screen.take();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (text(&captured.out), text(&captured.err))
    }

    #[test]
    fn lines_have_names_of_one_width() {
        let mut screen = Screen::captured();
        let mut logs = Logs::new(&screen, LogStyle::default());
        let a = logs.register("a-1");
        logs.write(a, Output::Stdout, b"alone\n").expect("memory");
        let long = logs.register("database-1");
        logs.write(a, Output::Stdout, b"one\ntw").expect("memory");
        logs.write(long, Output::Stderr, b"x\n").expect("memory");
        logs.write(a, Output::Stdout, b"o\n\npart\r").expect("memory");
        logs.status(a, "exited with code 0").expect("memory");
        logs.finish().expect("memory");
        let (out, err) = written(&mut screen);
        assert_eq!(
            out,
            "a-1  | alone\na-1         | one\na-1         | two\na-1         | \n\
             a-1         | part\r\na-1 exited with code 0\n"
        );
        assert_eq!(err, "database-1  | x\n");
    }

    #[test]
    fn colours_follow_the_order_of_registration() {
        let mut screen = Screen::captured();
        screen.set_colour(Colour::Always);
        let mut logs = Logs::new(&screen, LogStyle::default());
        let ids: Vec<_> = (0..11).map(|number| logs.register(&format!("{number:02}"))).collect();
        for id in [ids[0], ids[1], ids[5], ids[10]] {
            logs.write(id, Output::Stdout, b"x\n").expect("memory");
        }
        logs.status(ids[1], "ended").expect("memory");
        assert_eq!(
            written(&mut screen).0,
            "\x1b[36m00  | \x1b[0mx\n\x1b[33m01  | \x1b[0mx\n\x1b[1m\x1b[36m05  | \x1b[0mx\n\
             \x1b[36m10  | \x1b[0mx\n\x1b[33m01 ended\x1b[0m\n"
        );
        let style = LogStyle { colour: PrefixColour::Never, ..LogStyle::default() };
        let mut logs = Logs::new(&screen, style);
        let id = logs.register("a");
        logs.write(id, Output::Stdout, b"x\n").expect("memory");
        logs.finish().expect("memory");
        assert_eq!(written(&mut screen).0, "a  | x\n");
    }

    #[test]
    fn times_and_bare_lines() {
        let mut screen = Screen::captured();
        let clock: fn() -> String = || "NOW".to_owned();
        let style =
            LogStyle { prefix: LinePrefix::None, clock: Some(clock), ..LogStyle::default() };
        let mut logs = Logs::new(&screen, style);
        let id = logs.register("a");
        logs.write(id, Output::Stdout, b"x\ny").expect("memory");
        logs.write(id, Output::Stdout, b"z\n").expect("memory");
        logs.finish().expect("memory");
        assert_eq!(written(&mut screen).0, "NOW x\nNOW yz\n");
    }

    #[test]
    fn bytes_that_are_no_text_pass_unchanged() {
        let mut screen = Screen::captured();
        let mut logs = Logs::new(&screen, LogStyle::default());
        let id = logs.register("a");
        logs.write(id, Output::Stdout, b"\xff\xc3").expect("memory");
        logs.write(id, Output::Stdout, b"\xa9\x00\x1b[2J\n").expect("memory");
        logs.finish().expect("memory");
        assert_eq!(screen.take().out, b"a  | \xff\xc3\xa9\x00\x1b[2J\n");
    }

    #[test]
    fn an_endless_line_is_not_kept() {
        let mut screen = Screen::captured();
        let style = LogStyle { prefix: LinePrefix::None, ..LogStyle::default() };
        let mut logs = Logs::new(&screen, style);
        let (a, b) = (logs.register("a"), logs.register("b"));
        let chunk = vec![b'x'; 1000];
        let mut seen = 0;
        for _ in 0..1000 {
            logs.write(a, Output::Stdout, &chunk).expect("memory");
            assert!(logs.sources[a].held[0].capacity() <= 2 * HELD);
            logs.flush().expect("memory");
            seen += screen.take().out.len();
        }
        logs.write(b, Output::Stdout, b"y\n").expect("memory");
        logs.write(a, Output::Stdout, b"end\n").expect("memory");
        logs.flush().expect("memory");
        assert_eq!(seen, 1_000_000);
        assert_eq!(written(&mut screen).0, "\ny\nend\n");
    }

    #[test]
    fn any_cut_gives_the_same_lines() {
        let text = b"one\n\ntwo\r\nthree\xff\nfour";
        for size in 1..text.len() {
            let mut screen = Screen::captured();
            let mut logs = Logs::new(&screen, LogStyle::default());
            let id = logs.register("a");
            for chunk in text.chunks(size) {
                logs.write(id, Output::Stdout, chunk).expect("memory");
            }
            logs.finish().expect("memory");
            let expected = b"a  | one\na  | \na  | two\r\na  | three\xff\na  | four\n";
            assert_eq!(screen.take().out, expected);
        }
    }
}
