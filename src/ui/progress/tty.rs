//! Progress as a picture that is drawn over and over.
//!
//! In: [`State`], the size of the terminal, the time. Out: lines, and the text that puts them in
//! the place of those drawn before.
//!
//! # Invariants
//!
//! - No line is wider than the terminal, and the picture is lower than it.
//! - Every frame is one piece of text that leaves the cursor visible below the picture, so that
//!   a program that ends at any instant, in whatever way, leaves a usable terminal.
//! - Only the signs of this file steer the terminal; foreign text is neutralised.

use std::fmt::Write as _;
use std::time::Duration;

use anstyle::{AnsiColor, Style};

use super::Prefix;
use super::state::{Part, Row, Stage, State};
use crate::ui::size;
use crate::ui::text::{fit, printable, width};

/// How often the picture changes by itself.
pub const FRAME: Duration = Duration::from_millis(100);

const SPINNER: [char; 10] = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
const LEVELS: [char; 9] = ['⠀', '⡀', '⣀', '⣄', '⣤', '⣦', '⣶', '⣷', '⣿'];
const GOOD: Style = AnsiColor::Green.on_default();
const DOUBTFUL: Style = AnsiColor::Yellow.on_default();
const BAD: Style = AnsiColor::Red.on_default();
const QUIET: Style = AnsiColor::Blue.on_default();
const PLAIN: Style = Style::new();
/// A subject is never cut below this.
const NARROWEST: usize = 10;
/// Layers that a bar shows at most; every one takes a column.
const WIDEST_BAR: usize = 40;

/// The size of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Width in columns.
    pub columns: usize,
    /// Height in lines.
    pub lines: usize,
}

impl Default for Size {
    fn default() -> Self {
        Self { columns: 80, lines: 24 }
    }
}

/// The picture: lines with colours and without line breaks.
pub fn picture(state: &State, size: Size, now: Duration, prefix: Prefix) -> Vec<String> {
    if state.rows().next().is_none() {
        return Vec::new();
    }
    let (rows, hidden) = visible(state, size.lines.saturating_sub(2).max(1));
    let column = rows.iter().map(|row| width(&printable(&row.subject))).max().unwrap_or(0);
    let (done, all) = state.count();
    let style = if done == all { QUIET } else { PLAIN };
    let header = format!("[+] Running {done}/{all}");
    let mut lines = vec![painted(style, &fit(&header, size.columns.saturating_sub(1)))];
    let draw = |row: &&Row| Cells::new(row, now, prefix).line(column, size.columns);
    lines.extend(rows.iter().map(draw));
    if hidden > 0 {
        let more = format!(" ... {hidden} more");
        lines.push(fit(&more, size.columns.saturating_sub(1)).into_owned());
    }
    lines
}

/// The rows that there is room for, and how many are left out. What is done goes first.
fn visible(state: &State, room: usize) -> (Vec<&Row>, usize) {
    let mut rows: Vec<&Row> = state.rows().collect();
    let all = rows.len();
    if all <= room {
        return (rows, 0);
    }
    let room = room.saturating_sub(1).max(1);
    let mut spare = all - room;
    rows.retain(|row| {
        let goes = spare > 0 && row.stage == Stage::Done;
        spare -= usize::from(goes);
        !goes
    });
    rows.truncate(room);
    (rows, all - room)
}

fn painted(style: Style, text: &str) -> String {
    if style == PLAIN { text.to_owned() } else { format!("{style}{text}{style:#}") }
}

/// A row in pieces that can be cut one by one.
struct Cells {
    sign: char,
    style: Style,
    status_style: Style,
    prefix: &'static str,
    subject: String,
    bar: String,
    sizes: String,
    status: String,
    timer: String,
}

impl Cells {
    fn new(row: &Row, now: Duration, prefix: Prefix) -> Self {
        let (sign, style, status_style) = match row.stage {
            Stage::Working => (spinner(now), DOUBTFUL, PLAIN),
            Stage::Done => ('✔', GOOD, GOOD),
            Stage::Warning => ('!', DOUBTFUL, DOUBTFUL),
            Stage::Failed => ('✘', BAD, BAD),
        };
        let elapsed = row.ended.unwrap_or(now).saturating_sub(row.started);
        let (bar, sizes) = bar(row);
        let detail = if bar.is_empty() { row.latest() } else { None };
        let status = match detail {
            Some(detail) => format!("{} {detail}", row.status),
            None => row.status.clone(),
        };
        Self {
            sign,
            style,
            status_style,
            prefix: prefix.text(),
            subject: printable(&row.subject).into_owned(),
            bar,
            sizes,
            status: printable(&status).into_owned(),
            timer: format!("{:.1}s", elapsed.as_secs_f64()),
        }
    }

    /// One line; the status begins in the same column for all that have no bar.
    fn line(mut self, column: usize, columns: usize) -> String {
        // The last column stays free: some terminals break the line there.
        let room = columns.saturating_sub(1);
        let pad = |cells: &Self| column.saturating_sub(width(&cells.subject) + cells.extra());
        let fixed = |cells: &Self| 3 + width(cells.prefix) + cells.extra() + pad(cells);
        let whole = |cells: &Self| fixed(cells) + width(&cells.subject) + 2;
        let rest = width(&self.timer) + 1;
        if whole(&self) + width(&self.status).min(NARROWEST) + rest > room {
            self.sizes.clear();
        }
        if whole(&self) + width(&self.status).min(NARROWEST) + rest > room {
            self.bar.clear();
        }
        if whole(&self) + rest > room {
            let spare = room.saturating_sub(fixed(&self) + 2 + rest).max(NARROWEST);
            self.subject = fit(&self.subject, spare).into_owned();
        }
        let status_room = room.saturating_sub(whole(&self) + rest);
        self.status = fit(&self.status, status_room).into_owned();
        let gap = room.saturating_sub(whole(&self) + width(&self.status) + width(&self.timer));
        if whole(&self) + rest > room {
            // Too narrow for anything but what it is about.
            let text = format!(" {}{} {}", self.sign, self.prefix, self.subject);
            return fit(&text, room).into_owned();
        }
        let pad = pad(&self);
        let mut line = format!(
            " {}{} {}",
            painted(self.style, &self.sign.to_string()),
            self.prefix,
            self.subject
        );
        if !self.bar.is_empty() {
            let _ = write!(line, " [{}]{}", painted(GOOD, &self.bar), self.sizes);
        }
        let status = painted(self.status_style, &self.status);
        let _ = write!(line, "{:pad$}  {status}{:gap$}{}", "", "", painted(QUIET, &self.timer));
        line
    }

    /// Width of bar and sizes.
    fn extra(&self) -> usize {
        if self.bar.is_empty() { 0 } else { 3 + width(&self.bar) + width(&self.sizes) }
    }
}

fn spinner(now: Duration) -> char {
    let frames = now.as_millis() / FRAME.as_millis();
    let length = SPINNER.len() as u128;
    usize::try_from(frames % length).ok().and_then(|at| SPINNER.get(at)).copied().unwrap_or(' ')
}

/// A sign for each layer, and the bytes of all of them.
fn bar(row: &Row) -> (String, String) {
    let parts = || row.parts.values();
    let total: u64 = parts().map(|part| part.total).fold(0, u64::saturating_add);
    if row.stage != Stage::Working || total == 0 {
        return (String::new(), String::new());
    }
    let current = parts().map(|part| part.current).fold(0, u64::saturating_add);
    let layers = row.parts.iter().filter(|(name, part)| !name.is_empty() || part.total > 0);
    let signs = layers.map(|(_, part)| level(part)).take(WIDEST_BAR).collect();
    let (current, total) = (size::decimal(current, 4), size::decimal(total, 4));
    (signs, format!(" {current:>7} / {total:<7}"))
}

fn level(part: &Part) -> char {
    let full = LEVELS.len() - 1;
    let eighths = match part.total {
        0 if part.is_complete() => full,
        0 => 0,
        total => {
            let eighths = u128::from(part.current.min(total)) * (full as u128) / u128::from(total);
            usize::try_from(eighths).unwrap_or(full)
        }
    };
    LEVELS[eighths]
}

/// Puts pictures one over the other.
#[derive(Clone, Debug, Default)]
pub struct Painter {
    /// Width of each line that stands on the terminal.
    drawn: Vec<usize>,
}

impl Painter {
    /// The text that draws a picture in the place of the last one.
    pub fn frame(&mut self, lines: &[String], size: Size) -> String {
        let mut text = format!("\x1b[?25l{}", self.back(size));
        for line in lines {
            let _ = write!(text, "{line}\x1b[K\r\n");
        }
        text.push_str("\x1b[J\x1b[?25h");
        let plain = |line: &String| width(&anstream::adapter::strip_str(line).to_string());
        self.drawn = lines.iter().map(plain).collect();
        text
    }

    /// The text that takes the picture away, so that something else can be written.
    pub fn erase(&mut self, size: Size) -> String {
        if self.drawn.is_empty() {
            return String::new();
        }
        let text = format!("{}\x1b[J", self.back(size));
        self.drawn.clear();
        text
    }

    /// Leads to the first line of the picture, which a narrower terminal has broken into more.
    fn back(&self, size: Size) -> String {
        let columns = size.columns.max(1);
        let lines: usize = self.drawn.iter().map(|width| width.div_ceil(columns).max(1)).sum();
        match lines.min(size.lines.saturating_sub(1)) {
            0 => "\r".to_owned(),
            up => format!("\r\x1b[{up}A"),
        }
    }
}
