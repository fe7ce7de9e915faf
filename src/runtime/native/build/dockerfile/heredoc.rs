//! Files that stand in an instruction: `<<EOF`.
//!
//! In: the words of an instruction, then the lines after it. Out: the files.

use super::words;

/// A file in an instruction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heredoc {
    /// What ends it, and the name of the file.
    pub name: String,
    /// The word as it is written: `<<-"EOF"`, also with a number in front.
    pub word: String,
    /// What stands in it.
    pub content: String,
    /// Whether variables in it are substituted: its name has no quotes.
    pub expands: bool,
    /// Whether tabs at the begin of its lines go: `<<-`.
    pub chomps: bool,
}

impl Heredoc {
    /// The heredoc that a word begins; `None` if it begins none.
    pub(super) fn of(word: &str) -> Option<Self> {
        let (number, rest) = word.split_once("<<")?;
        if !number.chars().all(|char| char.is_ascii_digit()) {
            return None;
        }
        let (chomps, name) = match rest.strip_prefix('-') {
            Some(name) => (true, name),
            None => (false, rest),
        };
        let plain: String = name.chars().filter(|char| !matches!(char, '"' | '\'')).collect();
        let is_name = !plain.is_empty() && !plain.contains(['<', '\\', '$']);
        is_name.then(|| Self {
            expands: plain == name,
            name: plain,
            word: word.to_owned(),
            content: String::new(),
            chomps,
        })
    }

    /// The heredocs that a line begins.
    pub(super) fn in_line(line: &str, escape: char) -> Vec<Self> {
        let words = words::split(line, escape);
        words.iter().filter_map(|word| Self::of(word)).collect()
    }

    /// Takes a line; says whether it was the last one.
    pub(super) fn take(&mut self, line: &str) -> bool {
        let line = if self.chomps { line.trim_start_matches('\t') } else { line };
        if line == self.name {
            return true;
        }
        self.content.push_str(line);
        self.content.push('\n');
        false
    }
}
