//! Events folded into what is known: one row for each thing that something is done to.
//!
//! In: [`Event`]s, each with the time at which it came. Out: [`Row`]s, and for each event the
//! sentence that a reader of plain lines gets.
//!
//! # Invariants
//!
//! - Pure: no clock, no stream. The same events at the same times give the same state.
//! - Rows stay in the order in which they began, over any number of plans.
//! - The steps that replace a container show as one: `Recreate`, then `Recreated`.

use std::collections::HashSet;
use std::time::Duration;

use indexmap::IndexMap;

use crate::event::{Event, Outcome, StepLine};
use crate::plan::Role;
use crate::ui::replacement::lasting_names;

/// What came of a row so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Something is being done.
    Working,
    /// All went well up to here.
    Done,
    /// It went wrong, which is only a warning, or was interrupted.
    Warning,
    /// It failed.
    Failed,
}

/// A layer of an image, or a step of its build.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// What is going on.
    pub status: String,
    /// Bytes done.
    pub current: u64,
    /// Bytes to do; 0 if unknown.
    pub total: u64,
}

/// A container, network, volume or image, and how far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// `Container shop-web-1`.
    pub subject: String,
    /// `Creating`, `Created` and so on, or why it failed.
    pub status: String,
    /// How it stands.
    pub stage: Stage,
    /// Its layers or build steps, while it is being worked on.
    pub parts: IndexMap<String, Part>,
    /// The part that something was heard of last.
    latest: String,
    /// When it began.
    pub started: Duration,
    /// When it ended, if it has.
    pub ended: Option<Duration>,
}

/// What a reader of plain lines is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// How something stands now.
    Status {
        /// `Container shop-web-1`.
        subject: String,
        /// `Created`.
        text: String,
    },
    /// A warning.
    Warning(String),
}

/// A step of the running plan.
#[derive(Clone, Debug)]
struct Step {
    subject: String,
    doing: &'static str,
    done: &'static str,
    role: Role,
}

/// All that is known.
#[derive(Clone, Debug, Default)]
pub struct State {
    rows: IndexMap<String, Row>,
    steps: Vec<Step>,
    /// Every subject of every plan so far.
    subjects: HashSet<String>,
}

impl State {
    /// Takes in an event that came at `now`, counted from any fixed moment.
    pub fn apply(&mut self, event: &Event, now: Duration) -> Option<Told> {
        match event {
            Event::Planned { steps } => {
                self.plan(steps);
                None
            }
            Event::Started { step } => self.start(*step, now),
            Event::Progress { step, part, status, current, total } => {
                let part_now = Part { status: status.clone(), current: *current, total: *total };
                self.progress(*step, part, part_now)
            }
            Event::Ended { step, outcome, .. } => self.end(*step, outcome, now),
            Event::Skipped { step } => {
                self.skip(*step);
                None
            }
            Event::Noted { kind, name, message } => {
                Some(self.note(&format!("{} {name}", title(kind)), message, now))
            }
            // Those who watch have words of their own.
            Event::Watched { .. } => None,
            Event::Warned { message } => Some(Told::Warning(message.clone())),
        }
    }

    /// Something is done without a step.
    fn note(&mut self, subject: &str, text: &str, now: Duration) -> Told {
        self.subjects.insert(subject.to_owned());
        let fresh = || Row::new(subject, now);
        let row = self.rows.entry(subject.to_owned()).or_insert_with(fresh);
        row.stage = Stage::Done;
        row.ended = Some(now);
        row.say(text)
    }

    /// The rows, oldest first.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.values()
    }

    /// Whether anything is being worked on.
    pub fn is_working(&self) -> bool {
        self.rows().any(|row| row.stage == Stage::Working)
    }

    /// How many subjects are done, and how many there are in all plans so far.
    pub fn count(&self) -> (usize, usize) {
        let done = self.rows().filter(|row| row.stage != Stage::Working).count();
        (done, self.subjects.len().max(self.rows.len()))
    }

    fn plan(&mut self, lines: &[StepLine]) {
        let names = lasting_names(lines);
        let step = |(id, line): (usize, &StepLine)| {
            let name = names.get(&id).map_or(line.name.as_str(), |name| name);
            Step {
                subject: format!("{} {name}", title(line.kind)),
                doing: line.doing,
                done: line.done,
                role: line.role,
            }
        };
        self.steps = lines.iter().enumerate().map(step).collect();
        self.subjects.extend(self.steps.iter().map(|step| step.subject.clone()));
    }

    fn start(&mut self, step: usize, now: Duration) -> Option<Told> {
        let step = self.steps.get(step)?;
        let told = match step.role {
            Role::Alone => Some(step.doing),
            Role::Begins => Some("Recreate"),
            Role::GoesOn | Role::Ends => None,
        };
        let fresh = || Row::new(&step.subject, now);
        let row = self.rows.entry(step.subject.clone()).or_insert_with(fresh);
        if row.stage == Stage::Done {
            row.stage = Stage::Working;
            row.ended = None;
        }
        told.map(|text| row.say(text))
    }

    fn progress(&mut self, step: usize, part: &str, now: Part) -> Option<Told> {
        let row = self.rows.get_mut(&self.steps.get(step)?.subject)?;
        let before = row.parts.get(part).map(|before| before.status.as_str());
        // A pull says the same word again for every few bytes; a build never repeats a line by
        // chance, and nobody misses it if it does.
        let is_new = before != Some(now.status.as_str()) && !now.status.is_empty();
        let told = is_new.then(|| Told::Status {
            subject: row.subject.clone(),
            text: format!("{part} {}", now.status).trim().to_owned(),
        });
        part.clone_into(&mut row.latest);
        match row.parts.get_mut(part) {
            Some(known) => *known = known.followed_by(now),
            None => {
                row.parts.insert(part.to_owned(), now);
            }
        }
        told
    }

    fn end(&mut self, step: usize, outcome: &Outcome, now: Duration) -> Option<Told> {
        let step = self.steps.get(step)?;
        let row = self.rows.get_mut(&step.subject)?;
        let (stage, text) = match outcome {
            Outcome::Done => {
                let text = match step.role {
                    Role::Alone => step.done,
                    Role::Ends => "Recreated",
                    Role::Begins | Role::GoesOn => return None,
                };
                (Stage::Done, text.to_owned())
            }
            Outcome::Warned { message } => (Stage::Warning, format!("Warning {message}")),
            Outcome::Failed { message } => (Stage::Failed, format!("Error {message}")),
            Outcome::Interrupted => (Stage::Warning, "Interrupted".to_owned()),
        };
        // What went wrong stays visible, whatever else succeeds.
        if stage == Stage::Done && row.stage == Stage::Failed {
            return Some(Told::Status { subject: row.subject.clone(), text });
        }
        row.stage = stage;
        row.ended = Some(now);
        row.parts.clear();
        Some(row.say(&text))
    }

    /// A row that waits for a skipped step to go on has come to its end.
    fn skip(&mut self, step: usize) {
        let Some(step) = self.steps.get(step) else { return };
        if let Some(row) = self.rows.get_mut(&step.subject)
            && row.stage == Stage::Working
            && matches!(step.role, Role::GoesOn | Role::Ends)
        {
            row.stage = Stage::Warning;
            "Interrupted".clone_into(&mut row.status);
        }
    }
}

impl Row {
    fn new(subject: &str, now: Duration) -> Self {
        Self {
            subject: subject.to_owned(),
            status: String::new(),
            stage: Stage::Working,
            parts: IndexMap::new(),
            latest: String::new(),
            started: now,
            ended: None,
        }
    }

    /// What a build, or a pull whose size is not known, said last.
    pub fn latest(&self) -> Option<&str> {
        let part = self.parts.get(&self.latest)?;
        (self.stage == Stage::Working && !part.status.is_empty()).then_some(&part.status)
    }

    fn say(&mut self, text: &str) -> Told {
        text.clone_into(&mut self.status);
        Told::Status { subject: self.subject.clone(), text: text.to_owned() }
    }
}

impl Part {
    /// Whether nothing is left to do for it, by what the engine says.
    pub fn is_complete(&self) -> bool {
        matches!(
            self.status.as_str(),
            "Already exists"
                | "Download complete"
                | "Pull complete"
                | "Layer already exists"
                | "Pushed"
        )
    }

    /// A part whose end is told without sizes has all its bytes.
    fn followed_by(&self, now: Self) -> Self {
        if now.total == 0 && self.total > 0 {
            return Self { current: self.total, total: self.total, ..now };
        }
        // A layer is unpacked after it has been loaded: its bytes do not begin anew.
        let current =
            if now.total == self.total { now.current.max(self.current) } else { now.current };
        Self { current, ..now }
    }
}

fn title(kind: &str) -> String {
    let mut letters = kind.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
