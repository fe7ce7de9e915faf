//! What `watch` tells: which file, which service, what was done, and how long it took.
//!
//! In: what happened. Out: lines on standard error, none while nothing happens.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anstyle::{AnsiColor, Style};

use super::Screen;
use super::diagnostics::Message;
use super::text::{count, printable};

const MARK: Style = Style::new().fg_color(Some(anstyle::Color::Ansi(AnsiColor::BrightGreen)));

/// How many files are named.
const NAMED: usize = 2;

/// Tells, line by line.
pub struct Voice {
    out: Mutex<Box<dyn Write + Send>>,
    colours: bool,
    /// Paths below it are told without it.
    base: PathBuf,
}

impl std::fmt::Debug for Voice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Voice").field("base", &self.base).finish_non_exhaustive()
    }
}

impl Voice {
    /// Speaks on the error stream of a screen; `base` is the directory of the project.
    pub fn new(screen: &Screen, base: &Path) -> Self {
        let out = Mutex::new(screen.err_writer());
        Self { out, colours: screen.err_has_colours(), base: base.to_owned() }
    }

    /// One line about a service, with how long it took.
    pub fn done(&self, service: &str, what: &str, took: Duration) {
        let text = format!("{}: {} ({})", printable(service), printable(what), time(took));
        self.write(&line(&text));
    }

    /// One line about a service, or about everything.
    pub fn say(&self, text: &str) {
        self.write(&line(&printable(text)));
    }

    /// Something is not as it should be, and watching goes on.
    pub fn warn(&self, text: &str) {
        self.write(&Message::warning(text).draw());
    }

    /// A report that was drawn already.
    pub fn report(&self, text: &str) {
        self.write(text);
    }

    /// Some files, the first of them by name.
    pub fn files<'p>(&self, files: impl IntoIterator<Item = &'p Path>) -> String {
        let files: BTreeSet<&Path> = files.into_iter().collect();
        let name =
            |path: &&Path| path.strip_prefix(&self.base).unwrap_or(path).display().to_string();
        let mut names: Vec<String> = files.iter().take(NAMED).map(name).collect();
        let more = files.len() - names.len();
        if more > 0 {
            names.push(format!("{more} more"));
        }
        match names.split_last() {
            Some((last, [])) => last.clone(),
            Some((last, others)) => format!("{} and {last}", others.join(", ")),
            None => count(0, "file"),
        }
    }

    /// There is nowhere to report that this failed, so failures are ignored.
    fn write(&self, text: &str) {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let plain = anstream::adapter::strip_str(text);
        let _ = if self.colours { write!(out, "{text}") } else { write!(out, "{plain}") };
        let _ = out.flush();
    }
}

fn line(text: &str) -> String {
    format!("{MARK}⦿{MARK:#} {text}\n")
}

/// `4 ms` or `1.3 s`.
fn time(took: Duration) -> String {
    if took < Duration::from_secs(1) {
        format!("{} ms", took.as_millis())
    } else {
        format!("{:.1} s", took.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::Voice;
    use crate::ui::Screen;

    #[test]
    fn files_are_named_until_there_are_too_many() {
        let mut screen = Screen::captured();
        let voice = Voice::new(&screen, Path::new("/p"));
        let files = |names: &[&str]| voice.files(names.iter().map(Path::new));
        assert_eq!(files(&["/p/a"]), "a");
        assert_eq!(files(&["/p/a", "/q/b"]), "a and /q/b");
        assert_eq!(files(&["/p/a", "/p/b", "/p/c", "/p/d"]), "a, b and 2 more");
        voice.done("web", "synced a\u{1b}", Duration::from_millis(4));
        voice.say("Watch enabled");
        let told = String::from_utf8(screen.take().err).unwrap();
        assert_eq!(told, "⦿ web: synced a␛ (4 ms)\n⦿ Watch enabled\n");
    }
}
