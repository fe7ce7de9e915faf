//! Which files of a directory are left out: `.dockerignore` after its specification, and the
//! `ignore` and `include` of watch rules, which are written the same way.
//!
//! In: the text of the file. Out: an answer for each path. The crate `ignore` is not used: it reads
//! these patterns as git does, where a pattern without a slash matches at any depth; here every
//! pattern begins at the root of the context. No crate of this dialect is kept.
//!
//! # Invariants
//!
//! - Paths are relative to the context, with `/` between names.
//! - The last pattern that matches a path or a directory above it decides.

use std::fmt::Write as _;

use regex_lite::Regex;
use thiserror::Error;

/// The patterns of a `.dockerignore`.
#[derive(Debug, Default)]
pub struct Patterns {
    patterns: Vec<Pattern>,
}

#[derive(Debug)]
struct Pattern {
    /// As it is written.
    text: String,
    regex: Regex,
    /// Whether it begins with `!`: what it matches goes along after all.
    keeps: bool,
    /// Its first names that have no wildcards.
    literal: Vec<String>,
}

impl Patterns {
    /// Reads the patterns of a file.
    ///
    /// # Errors
    ///
    /// For the first line that is none.
    pub fn parse(text: &str) -> Result<Self, InvalidPattern> {
        let lines = text.trim_start_matches('\u{feff}').lines();
        let lines = lines.filter(|line| !line.starts_with('#')).map(str::trim);
        let mut patterns = Vec::new();
        for line in lines.filter(|line| !line.is_empty()) {
            let (keeps, glob) = match line.strip_prefix('!') {
                Some(rest) => (true, rest.trim()),
                None => (false, line),
            };
            let glob = clean(glob);
            match glob.as_str() {
                "" if keeps => return Err(invalid(line)),
                "" => {}
                glob => patterns.push(Pattern {
                    text: line.to_owned(),
                    regex: Regex::new(&expression(glob)).map_err(|_| invalid(line))?,
                    keeps,
                    literal: literal(glob),
                }),
            }
        }
        Ok(Self { patterns })
    }

    /// Whether a path stays at home.
    pub fn excludes(&self, path: &str) -> bool {
        self.rule(path).is_some()
    }

    /// Whether there is nothing to leave out.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// The pattern, as it is written, because of which a path stays at home. The root itself, whose
    /// path is empty, never does.
    pub fn rule(&self, path: &str) -> Option<&str> {
        if path.is_empty() {
            return None;
        }
        let mut rule: Option<&str> = None;
        for pattern in &self.patterns {
            // Only a pattern that would change the answer has to be looked at.
            let would_change = pattern.keeps == rule.is_some();
            if would_change && with_parents(path).any(|p| pattern.regex.is_match(p)) {
                rule = (!pattern.keeps).then_some(&pattern.text);
            }
        }
        rule
    }

    /// Whether something below an excluded directory may go along.
    pub fn may_keep_below(&self, directory: &str) -> bool {
        let names = directory.split('/').collect::<Vec<_>>();
        self.patterns.iter().filter(|pattern| pattern.keeps).any(|pattern| {
            pattern.literal.iter().zip(&names).all(|(literal, name)| literal == name)
        })
    }
}

/// A pattern for paths, in the same dialect: what `COPY` takes.
#[derive(Clone, Debug)]
pub struct Glob(Regex);

impl Glob {
    /// Reads a pattern.
    ///
    /// # Errors
    ///
    /// It is none.
    pub fn new(text: &str) -> Result<Self, InvalidPattern> {
        Regex::new(&expression(text)).map(Self).map_err(|_| invalid(text))
    }

    /// Whether the whole text fits.
    pub fn fits(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

/// A line that is no pattern.
#[derive(Clone, Debug, Eq, PartialEq, Error)]
#[error("`{0}` is no pattern")]
pub struct InvalidPattern(String);

fn invalid(line: &str) -> InvalidPattern {
    InvalidPattern(line.to_owned())
}

/// The path itself and the directories above it.
fn with_parents(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| path.rsplit_once('/').map(|(parent, _)| parent))
}

/// A pattern without what does not matter: slashes at its ends, `.` and `..`.
fn clean(glob: &str) -> String {
    let mut names: Vec<&str> = Vec::new();
    for name in glob.split('/') {
        match name {
            "" | "." => {}
            ".." => drop(names.pop()),
            name => names.push(name),
        }
    }
    names.join("/")
}

fn literal(glob: &str) -> Vec<String> {
    let is_plain = |name: &&str| !name.contains(['*', '?', '[', '\\']);
    glob.split('/').take_while(is_plain).map(str::to_owned).collect()
}

/// The regular expression for a pattern: `*` and `?` stay within a name, `**` does not.
fn expression(glob: &str) -> String {
    let mut regex = String::from("(?s)^");
    let mut rest = glob.chars().peekable();
    while let Some(char) = rest.next() {
        match char {
            '*' if rest.next_if_eq(&'*').is_some() => {
                let slash = rest.next_if_eq(&'/').is_some();
                // At the end it is everything below; else any number of directories.
                regex.push_str(match (rest.peek(), slash) {
                    (None, _) | (_, false) => ".*",
                    (Some(_), true) => "(?:.*/)?",
                });
            }
            '*' => regex.push_str("[^/]*"),
            '?' => regex.push_str("[^/]"),
            '\\' => literally(&mut regex, rest.next().unwrap_or('\\')),
            '[' | ']' | '^' | '-' => regex.push(char),
            other => literally(&mut regex, other),
        }
    }
    regex.push('$');
    regex
}

fn literally(regex: &mut String, char: char) {
    if char.is_ascii_punctuation() {
        // Writing to a string cannot fail.
        let _ = write!(regex, "\\{char}");
    } else {
        regex.push(char);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excluded(text: &str, paths: &[&str]) -> Vec<bool> {
        let patterns = Patterns::parse(text).unwrap();
        paths.iter().map(|path| patterns.excludes(path)).collect()
    }

    #[test]
    fn patterns_begin_at_the_root() {
        let paths = ["temp", "temp/a", "x/temp", "tempo", "a.md", "x/a.md"];
        assert_eq!(excluded("temp", &paths), [true, true, false, false, false, false]);
        assert_eq!(excluded("/temp/", &paths), [true, true, false, false, false, false]);
        assert_eq!(excluded("*/temp*", &paths), [false, false, true, false, false, false]);
        assert_eq!(excluded("temp?", &paths), [false, false, false, true, false, false]);
        assert_eq!(excluded("*.md", &paths), [false, false, false, false, true, false]);
        assert_eq!(excluded("**/*.md", &paths), [false, false, false, false, true, true]);
        assert_eq!(excluded("./x/../temp", &paths), [true, true, false, false, false, false]);
    }

    #[test]
    fn two_stars_cross_directories() {
        let paths = ["a/b/c/d", "a/d", "ab/d", "a"];
        assert_eq!(excluded("a/**/d", &paths), [true, true, false, false]);
        assert_eq!(excluded("a/**", &paths), [true, true, false, false]);
        assert_eq!(excluded("**/c", &paths), [true, false, false, false]);
        assert_eq!(excluded("**", &paths), [true; 4]);
    }

    #[test]
    fn the_last_match_decides() {
        let paths = ["a.md", "README.md", "README-secret.md"];
        assert_eq!(excluded("*.md\n!README.md", &paths), [true, false, true]);
        assert_eq!(excluded("*.md\n!README*.md\nREADME-secret.md", &paths), [true, false, true]);
        assert_eq!(excluded("*.md\nREADME-secret.md\n!README*.md", &paths), [true, false, false]);
        assert_eq!(excluded("!README.md\n*.md", &paths), [true, true, true]);
        assert_eq!(excluded("*\n!src", &["src", "src/a/b", "lib"]), [false, false, true]);
        assert_eq!(excluded("*", &["", "src"]), [false, true], "the root is no entry of itself");
        assert_eq!(excluded("**", &["", "src"]), [false, true]);
    }

    #[test]
    fn comments_blanks_and_escapes() {
        let paths = ["#a", "a+b(c)", "x*", "xy", "[z]", "b", "d"];
        let found = excluded("\u{feff}# note\n\n  a+b(c)  \nx\\*\n.\n[a-c]\n\\#a", &paths);
        assert_eq!(found, [true, true, true, false, false, true, false]);
        for bad in ["!", "a\n! ", "[a"] {
            assert!(Patterns::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_excluded_directory_is_entered_only_if_something_may_be_kept() {
        let patterns = Patterns::parse("*\n!src/lib/*.rs\n!**/x/*.c").unwrap();
        assert!(patterns.may_keep_below("src") && patterns.may_keep_below("node_modules"));
        let patterns = Patterns::parse("*\n!src/lib/*.rs").unwrap();
        assert!(patterns.may_keep_below("src") && patterns.may_keep_below("src/lib/x"));
        assert!(!patterns.may_keep_below("node_modules") && !patterns.may_keep_below("src/bin"));
        assert!(!Patterns::parse("a").unwrap().may_keep_below("a"));
    }
}
