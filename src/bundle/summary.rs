//! The first thing that went wrong, in at most ten lines.

use std::path::Path;

use super::collect::{Logs, last_words};
use super::mask::Mask;
use super::recorder::{Recorder, Trouble};
use super::{Place, Story};

/// How many last lines of the container are shown.
const WORDS: usize = 3;
/// The longest line, in characters.
const LONGEST: usize = 160;

/// What is told on the terminal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// At most ten lines.
    pub lines: Vec<String>,
    /// What went wrong first, on one line.
    pub first: String,
    /// Where the service of that stands.
    pub place: Option<Place>,
}

impl Summary {
    /// Puts together what is known.
    pub(super) fn of(
        story: &Story<'_>,
        recorder: &Recorder,
        (logs, directory): (&Logs, &Path),
    ) -> Self {
        let (failed, waiting) = (recorder.failed(), recorder.unfinished());
        let trouble = failed.first().or(waiting.first());
        let after = recorder.elapsed();
        let name = &story.project.name;
        let mut lines = vec![format!("project {name} did not come up within {after:.1?}")];
        let mut place = None;
        let first = match trouble {
            None => story.failure.clone(),
            Some(trouble) => {
                let service = trouble.service.as_ref();
                place = service.and_then(|service| story.places.get(service)).cloned();
                of_trouble(trouble)
            }
        };
        let stands = place.as_ref().map(|place| format!(" ({}:{})", place.file, place.line));
        lines.push(format!("first: {first}{}", stands.unwrap_or_default()));
        if let Some(trouble) = trouble {
            let why = trouble.why.lines().next().unwrap_or_default();
            if !why.is_empty() {
                lines.push(format!("why: {why}"));
            }
            let words = last_words(logs, &trouble.subject, WORDS);
            lines.extend(words.iter().map(|line| format!("{} | {line}", trouble.subject)));
        }
        let others = failed.len().saturating_sub(1);
        if others > 0 {
            lines.push(format!("then {others} more failed"));
        }
        let held: Vec<&str> = waiting
            .iter()
            .skip(usize::from(failed.is_empty()))
            .map(|trouble| trouble.subject.as_str())
            .collect();
        if !held.is_empty() {
            lines.push(format!("not done: {}", held.join(", ")));
        }
        lines.push(format!("all of it: {}", directory.display()));
        Self { lines: lines.iter().map(|line| short(line)).collect(), first: short(&first), place }
    }

    /// The same without what is secret.
    pub(super) fn masked(self, mask: &Mask) -> Self {
        let lines = self.lines.iter().map(|line| mask.text(line)).collect();
        Self { lines, first: mask.text(&self.first), place: self.place }
    }

    /// It as text.
    pub fn text(&self) -> String {
        self.lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect()
    }
}

fn of_trouble(trouble: &Trouble) -> String {
    let Trouble { what, at, why, .. } = trouble;
    if why.is_empty() {
        format!("still had to {what} (since {at:.1?})")
    } else {
        format!("cannot {what} (after {at:.1?})")
    }
}

/// A line without what moves the cursor, and not too long.
fn short(line: &str) -> String {
    line.chars().filter(|letter| !letter.is_control()).take(LONGEST).collect()
}
