//! What `watch` tells: which file, which service, what was done, and how long it took.
//!
//! In: what happened. Out: lines on standard error, or events as JSON; none while nothing happens.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anstyle::{AnsiColor, Style};

use super::Screen;
use super::diagnostics::Message;
use super::progress::{Mode, json};
use super::text::{count, printable};
use crate::event::{Deed, Event};

const MARK: Style = Style::new().fg_color(Some(anstyle::Color::Ansi(AnsiColor::BrightGreen)));

/// How many files are named.
const NAMED: usize = 2;

/// Tells, line by line.
pub struct Voice {
    out: Mutex<Box<dyn Write + Send>>,
    mode: Mode,
    colours: bool,
    /// Paths below it are told without it.
    base: PathBuf,
}

impl std::fmt::Debug for Voice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Voice").field("base", &self.base).finish_non_exhaustive()
    }
}

/// What was done for a service, and because of what.
#[derive(Debug)]
pub struct Done<'d> {
    /// What.
    pub deed: Deed,
    /// The files of the host because of which.
    pub files: &'d BTreeSet<PathBuf>,
    /// What was taken away from its containers.
    pub removed: &'d BTreeSet<PathBuf>,
    /// All of that, in words.
    pub text: String,
}

impl Voice {
    /// Speaks on the error stream of a screen; `base` is the directory of the project.
    pub fn new(screen: &Screen, mode: Mode, base: &Path) -> Self {
        let out = Mutex::new(screen.err_writer());
        Self { out, mode, colours: screen.err_has_colours(), base: base.to_owned() }
    }

    /// One line about a service, with how long it took.
    pub fn done(&self, service: &str, done: &Done<'_>, took: Duration) {
        let names = |paths: &BTreeSet<PathBuf>| {
            paths.iter().map(|path| path.to_string_lossy().into_owned()).collect()
        };
        self.tell(
            || format!("{}: {} ({})", printable(service), printable(&done.text), time(took)),
            || Event::Watched {
                service: service.to_owned(),
                deed: done.deed,
                files: names(done.files),
                removed: names(done.removed),
                took,
            },
        );
    }

    /// One line about a service, or about everything.
    pub fn say(&self, text: &str) {
        self.tell(
            || printable(text).into_owned(),
            || Event::Noted { kind: "watch", name: String::new(), message: text.to_owned() },
        );
    }

    /// Something is not as it should be, and watching goes on.
    pub fn warn(&self, text: &str) {
        match self.mode {
            Mode::Json => self.write(&json(&Event::Warned { message: text.to_owned() })),
            _ => self.write(&Message::warning(text).draw()),
        }
    }

    /// A report that was drawn already; events have told of it as it happened.
    pub fn report(&self, text: &str) {
        if self.mode != Mode::Json {
            self.write(text);
        }
    }

    fn tell(&self, text: impl FnOnce() -> String, event: impl FnOnce() -> Event) {
        match self.mode {
            Mode::Json => self.write(&json(&event())),
            _ => self.write(&line(&text())),
        }
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
    use std::collections::BTreeSet;
    use std::path::Path;
    use std::time::Duration;

    use super::{Done, Voice};
    use crate::event::Deed;
    use crate::ui::Screen;
    use crate::ui::progress::Mode;

    #[test]
    fn files_are_named_until_there_are_too_many() {
        let mut screen = Screen::captured();
        let voice = Voice::new(&screen, Mode::Plain, Path::new("/p"));
        let files = |names: &[&str]| voice.files(names.iter().map(Path::new));
        assert_eq!(files(&["/p/a"]), "a");
        assert_eq!(files(&["/p/a", "/q/b"]), "a and /q/b");
        assert_eq!(files(&["/p/a", "/p/b", "/p/c", "/p/d"]), "a, b and 2 more");
        tell(&voice);
        let told = String::from_utf8(screen.take().err).unwrap();
        assert_eq!(told, "⦿ web: synced a␛ (4 ms)\n⦿ Watch enabled\n");
    }

    fn tell(voice: &Voice) {
        let (files, removed) = (BTreeSet::from(["/p/a\u{1b}".into()]), BTreeSet::new());
        let text = "synced a\u{1b}".to_owned();
        let done = Done { deed: Deed::Synced, files: &files, removed: &removed, text };
        voice.done("web", &done, Duration::from_millis(4));
        voice.say("Watch enabled");
    }

    #[test]
    fn programs_are_told_events_and_nothing_else() {
        let mut screen = Screen::captured();
        let voice = Voice::new(&screen, Mode::Json, Path::new("/p"));
        tell(&voice);
        voice.report("a drawing");
        voice.warn("beware");
        let told = String::from_utf8(screen.take().err).unwrap();
        let expected = [
            r#"{"event":"watched","service":"web","deed":"synced","files":["/p/a\u001b"],"removed":[],"took_ms":4.0}"#,
            r#"{"event":"noted","kind":"watch","name":"","message":"Watch enabled"}"#,
            r#"{"event":"warned","message":"beware"}"#,
        ];
        assert_eq!(told.lines().collect::<Vec<_>>(), expected);
    }
}
