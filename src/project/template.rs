//! Variables in text: `$NAME`, `${NAME}`, `${NAME:-default}` and their relatives.
//!
//! In: a text and a way to look variables up. Out: the text with values in place of variables,
//! and what was looked up where.
//!
//! # Invariants
//!
//! - Every range is an offset into the text that was given, on character boundaries.
//! - Values are taken as they are: a `$` in the value of a variable means nothing.
//! - Hostile text costs little: nesting stops at [`MAX_DEPTH`], one level is read in linear time,
//!   and variables add at most [`MAX_GROWTH`] bytes, whether their values are used or not.
//!
//! # Rules that surprise
//!
//! An expression with an operator first reaches to the *last* `}` of its line and is then cut at
//! the first brace that balances it. Counting braces skips the character after every `{`, so `{}`
//! counts as opening only. When nothing balances, the expression keeps everything up to that
//! last `}`.
//!
//! Not here: type casts, paths, and how a warning reads.

mod fault;
mod scan;

use std::ops::Range;

use thiserror::Error;

pub use fault::{Fault, fault};
use scan::{Kind, Operation, Scanner, Token};

/// How many bytes the values of variables may add to one text.
pub const MAX_GROWTH: usize = 1 << 20;

/// How deep expressions may stand inside each other.
pub const MAX_DEPTH: usize = 100;

/// A text whose variables are replaced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expanded {
    /// The new text.
    pub text: String,
    /// Every variable that was looked up, in that order: those of a default come before the
    /// variable that it is the default of.
    pub uses: Vec<Use>,
}

/// One look-up of a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// The variable.
    pub name: String,
    /// Where its expression stands in the text.
    pub at: Range<usize>,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of looking a variable up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its value was used.
    Set,
    /// It has no value; a blank was used, of which Compose warns.
    Unset,
    /// Its operator decided: a default, a replacement, or a blank on purpose.
    Default,
}

/// Why a text cannot be expanded.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TemplateError {
    /// `${` without a proper expression behind it.
    #[error("invalid interpolation format")]
    Invalid {
        /// The expression, as far as it can be told.
        at: Range<usize>,
    },
    /// `${NAME:?reason}` and there is no value.
    #[error("required variable `{variable}` is missing a value{}{reason}", separator(.reason))]
    Required {
        /// The variable.
        variable: String,
        /// The reason that the text gives, expanded; may be empty.
        reason: String,
        /// The expression.
        at: Range<usize>,
    },
    /// More than [`MAX_DEPTH`] expressions stand inside each other.
    #[error("variables are nested deeper than {MAX_DEPTH} levels")]
    TooDeep {
        /// The first expression that is too deep.
        at: Range<usize>,
    },
    /// Variables add more than [`MAX_GROWTH`] bytes.
    #[error("variables make the text more than 1 MiB longer")]
    TooLarge,
}

fn separator(reason: &str) -> &'static str {
    if reason.is_empty() { "" } else { ": " }
}

/// A variable that a text mentions, and what the text says about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// The text behind `-` or `:-`, not expanded.
    pub default: String,
    /// The text behind `+` or `:+`, not expanded.
    pub alternate: String,
    /// Whether it has a `?` or `:?`.
    pub required: bool,
}

/// Replaces the variables in a text.
///
/// # Errors
///
/// If an expression is malformed, a required variable is missing, or the text gets too long.
pub fn expand(
    template: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<Expanded, TemplateError> {
    if !template.contains('$') {
        return Ok(Expanded { text: template.to_owned(), uses: Vec::new() });
    }
    let mut expansion =
        Expansion { template, lookup, out: Expanded::default(), depth: 0, growth: 0 };
    expansion.region(0..template.len())?;
    Ok(expansion.out)
}

/// Lists the variables that a text mentions.
///
/// The order is Compose's, for the sake of variables that occur twice with different defaults:
/// the last one counts, and what follows an expression on its line comes before it. Malformed
/// expressions are left out.
pub fn variables(template: &str) -> Vec<Variable> {
    let mut found = Vec::new();
    collect(template, 0..template.len(), 0, &mut found);
    found
}

/// An expansion on its way.
struct Expansion<'a> {
    template: &'a str,
    lookup: &'a dyn Fn(&str) -> Option<String>,
    out: Expanded,
    depth: usize,
    growth: usize,
}

impl Expansion<'_> {
    fn region(&mut self, region: Range<usize>) -> Result<(), TemplateError> {
        let mut scanner = Scanner::new(self.template, region);
        while let Some(token) = scanner.token() {
            match token {
                Token::Literal(text) => self.out.text.push_str(&self.template[text]),
                Token::Dollar => self.out.text.push('$'),
                Token::Plain { name, at } => self.plain(name, at)?,
                Token::Operation(operation) => self.operation(&operation)?,
                Token::Invalid(start) => {
                    return Err(TemplateError::Invalid { at: scanner.malformed(start) });
                }
            }
        }
        Ok(())
    }

    fn plain(&mut self, name: Range<usize>, at: Range<usize>) -> Result<(), TemplateError> {
        let value = self.look_up(name.clone())?;
        let outcome = if value.is_some() { Outcome::Set } else { Outcome::Unset };
        self.out.text.push_str(&value.unwrap_or_default());
        self.note(name, at, outcome);
        Ok(())
    }

    /// Writes the argument first, as Compose expands it even when it is not needed, and takes it
    /// back if the value of the variable is what counts.
    fn operation(&mut self, operation: &Operation) -> Result<(), TemplateError> {
        let Operation { name, operator, argument, at, .. } = operation;
        if self.depth == MAX_DEPTH {
            return Err(TemplateError::TooDeep { at: at.clone() });
        }
        let mark = self.out.text.len();
        self.depth += 1;
        self.region(argument.clone())?;
        self.depth -= 1;

        let value = self.look_up(name.clone())?;
        let value = value.filter(|value| !(operator.blank_is_unset && value.is_empty()));
        let outcome = match (operator.kind, value) {
            (Kind::Default, None) | (Kind::Replacement, Some(_)) => Outcome::Default,
            (Kind::Default | Kind::Required, Some(value)) => {
                self.out.text.truncate(mark);
                self.out.text.push_str(&value);
                Outcome::Set
            }
            (Kind::Replacement, None) => {
                self.out.text.truncate(mark);
                Outcome::Default
            }
            (Kind::Required, None) => {
                let variable = self.template[name.clone()].to_owned();
                let reason = self.out.text.split_off(mark);
                return Err(TemplateError::Required { variable, reason, at: at.clone() });
            }
        };
        self.note(name.clone(), at.clone(), outcome);
        Ok(())
    }

    fn look_up(&mut self, name: Range<usize>) -> Result<Option<String>, TemplateError> {
        let value = (self.lookup)(&self.template[name]);
        self.growth = self.growth.saturating_add(value.as_ref().map_or(0, String::len));
        if self.growth > MAX_GROWTH { Err(TemplateError::TooLarge) } else { Ok(value) }
    }

    fn note(&mut self, name: Range<usize>, at: Range<usize>, outcome: Outcome) {
        let name = self.template[name].to_owned();
        self.out.uses.push(Use { name, at, outcome });
    }
}

/// Adds the variables of one region.
///
/// Expressions with an operator wait until their line has no more braces, and are then taken from
/// the last to the first: see [`variables`].
fn collect(text: &str, region: Range<usize>, depth: usize, found: &mut Vec<Variable>) {
    let mut scanner = Scanner::new(text, region);
    let mut waiting: Vec<Operation> = Vec::new();
    loop {
        if waiting.last().is_some_and(|operation| operation.reach <= scanner.at) {
            flush(text, &mut waiting, depth, found);
        }
        match scanner.token() {
            Some(Token::Operation(operation)) => waiting.push(operation),
            Some(Token::Plain { name, .. }) => {
                found.push(Variable { name: text[name].to_owned(), ..Variable::default() });
            }
            Some(Token::Literal(_) | Token::Dollar | Token::Invalid(_)) => {}
            None => break,
        }
    }
    flush(text, &mut waiting, depth, found);
}

fn flush(text: &str, waiting: &mut Vec<Operation>, depth: usize, found: &mut Vec<Variable>) {
    while let Some(operation) = waiting.pop() {
        let mut variable =
            Variable { name: text[operation.name].to_owned(), ..Variable::default() };
        let argument = || text[operation.argument.clone()].to_owned();
        match operation.operator.kind {
            Kind::Default => variable.default = argument(),
            Kind::Replacement => variable.alternate = argument(),
            Kind::Required => variable.required = true,
        }
        let nested = !variable.required && depth < MAX_DEPTH;
        found.push(variable);
        if nested {
            collect(text, operation.argument, depth + 1, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::{any, proptest};

    use super::{Expanded, MAX_GROWTH, Outcome, TemplateError, Use, Variable, expand, variables};

    fn lookup(name: &str) -> Option<String> {
        let value = match name {
            "FOO" => "first",
            "BAR" => "",
            "JSON" => "{\"json\":2}",
            "DOLLAR" => "$FOO ${FOO}",
            "_X" => "under",
            "K\u{17f}" => "long",
            _ => return None,
        };
        Some(value.to_owned())
    }

    fn run(template: &str) -> Result<Expanded, TemplateError> {
        expand(template, &lookup)
    }

    fn text(template: &str) -> String {
        match run(template) {
            Ok(expanded) => expanded.text,
            Err(error) => format!("error: {error}"),
        }
    }

    #[test]
    fn expressions_expand_as_in_compose() {
        for (template, expected) in [
            ("", ""),
            ("plain", "plain"),
            ("$FOO ${FOO}-${_X}$_X", "first first-underunder"),
            ("$foo", ""),
            ("$", "$"),
            ("^REGEX$", "^REGEX$"),
            ("$1 $. $é $", "$1 $. $é $"),
            ("$$FOO $${FOO} $$$FOO $$$$", "$FOO ${FOO} $first $$"),
            ("${A:-d}${A-d}${BAR:-d}${BAR-d}${FOO:-d}${FOO-d}", "dddfirstfirst"),
            ("${A:+r}|${A+r}|${BAR:+r}|${BAR+r}|${FOO:+r}|${FOO+r}", "|||r|r|r"),
            ("${FOO:?m}${FOO?m}${BAR?m}", "firstfirst"),
            ("${A:-}", ""),
            ("${A:-x${B:-y}z}w", "xyzw"),
            ("${A:-{a}}", "{a}"),
            ("${A:-{}}", "{}"),
            ("${A:-x}}", "x}"),
            ("${A:-x} and ${B-y} and $FOO}", "x and y and first}"),
            ("${A-x:?y}", "x:?y"),
            ("${A:?}", "error: required variable `A` is missing a value"),
            ("${A:?say ${B:-q}}", "error: required variable `A` is missing a value: say q"),
            ("${BAR:?blank}", "error: required variable `BAR` is missing a value: blank"),
            ("${A?b} ${", "error: required variable `A` is missing a value: b"),
            ("${FOO:-${}}", "error: invalid interpolation format"),
            ("${", "error: invalid interpolation format"),
            ("${}", "error: invalid interpolation format"),
            ("${1bad}", "error: invalid interpolation format"),
            ("${A B}", "error: invalid interpolation format"),
            ("${A", "error: invalid interpolation format"),
            ("${A:-x", "error: invalid interpolation format"),
            ("${A:-x\n}", "error: invalid interpolation format"),
            ("${A:x}", "error: invalid interpolation format"),
            ("${A:-a}\n${B:-b}", "a\nb"),
            ("${A:-{}} ${B}", "error: invalid interpolation format"),
            ("${A:-é${B:-ü}ö}ä", "éüöä"),
            ("$DOLLAR", "$FOO ${FOO}"),
            ("${A:-$DOLLAR}", "$FOO ${FOO}"),
            ("$K\u{17f}${K\u{17f}}", "longlong"),
            ("$\u{131}", "$\u{131}"),
            ("${A:-$$}", "$"),
            ("${JSON}", "{\"json\":2}"),
        ] {
            assert_eq!(text(template), expected, "{template}");
        }
    }

    #[test]
    fn uses_come_in_the_order_of_look_ups_with_their_places() {
        let uses = run("a${A:-$B}${FOO:+$FOO}$$").unwrap().uses;
        let expected = [
            ("B", 6..8, Outcome::Unset),
            ("A", 1..9, Outcome::Default),
            ("FOO", 16..20, Outcome::Set),
            ("FOO", 9..21, Outcome::Default),
        ]
        .map(|(name, at, outcome)| Use { name: name.to_owned(), at, outcome });
        assert_eq!(uses, expected);
    }

    #[test]
    fn errors_point_at_the_innermost_expression() {
        for (template, at) in [
            ("ab ${1bad} c", 3..10),
            ("ab ${A:-${}}", 8..11),
            ("ab ${", 3..5),
            ("${A:-é${\n}}", 0..2),
            ("x${A:?no}", 1..9),
        ] {
            let found = match run(template).unwrap_err() {
                TemplateError::Invalid { at } | TemplateError::Required { at, .. } => at,
                error => unreachable!("{template}: {error}"),
            };
            assert_eq!(found, at, "{template}");
        }
    }

    #[test]
    fn variables_are_listed_in_the_order_of_compose() {
        for (template, expected) in [
            ("", ""),
            ("$$A ${} ${1}", ""),
            ("$A ${B}", "A B"),
            ("${A:-x} ${B} ${C:-${D:-z}}", "B C-${D:-z} D-z A-x"),
            ("${A:-x}\n$B", "A-x B"),
            ("${A:-x} ${A:-y}", "A-y A-x"),
            ("${A:?why $B}${C+d}${D:+$E}", "D+$E E C+d A?"),
            ("${A:-{}} ${B}", "A-{}} ${B"),
        ] {
            let found: Vec<String> = variables(template).iter().map(show).collect();
            assert_eq!(found.join(" "), expected, "{template}");
        }
    }

    fn show(variable: &Variable) -> String {
        let Variable { name, default, alternate, required } = variable;
        let mut shown = name.clone();
        for (mark, text) in [("-", default), ("+", alternate)] {
            if !text.is_empty() {
                shown = format!("{shown}{mark}{text}");
            }
        }
        if *required { shown + "?" } else { shown }
    }

    #[test]
    fn values_may_add_one_mebibyte_even_if_they_are_dropped() {
        let half = "x".repeat(MAX_GROWTH / 2);
        let large = |_: &str| Some(half.clone());
        assert!(expand("$A$A", &large).is_ok());
        assert_eq!(expand("$A$A$A", &large), Err(TemplateError::TooLarge));
        assert_eq!(expand("${A:+}${A:+}${A:+}", &large), Err(TemplateError::TooLarge));
        let long = "y".repeat(2 * MAX_GROWTH);
        assert_eq!(text(&format!("{long}$FOO")), format!("{long}first"));
    }

    #[test]
    fn a_hundred_levels_are_allowed() {
        let nested = |depth: usize| format!("{}x{}", "${A:-".repeat(depth), "}".repeat(depth));
        assert_eq!(text(&nested(100)), "x");
        assert_eq!(text(&nested(101)), "error: variables are nested deeper than 100 levels");
        assert!(variables(&nested(1000)).len() > 100);
    }

    #[test]
    fn hostile_text_is_read_in_little_time() {
        let start = Instant::now();
        for piece in [
            "$",
            "${",
            "${A",
            "${A:-",
            "${A:-}",
            "${A:-{}} ",
            "${A:-{",
            "$A",
            "}",
            "{",
            "${A:-\n",
            "${A}",
            "${A:-x}${",
            "$A\n${B:-}",
            "\u{17f}$",
        ] {
            let text = piece.repeat((1 << 18) / piece.len());
            for text in [format!("{text}}}"), format!("{text}{}", "}".repeat(1 << 16)), text] {
                let _ = expand(&text, &lookup);
                variables(&text);
            }
        }
        assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in any::<String>()) {
            let _ = run(&text);
            variables(&text);
        }

        #[test]
        fn text_made_of_syntax_keeps_its_ranges_on_boundaries(text in "([$}{:?+\n -]|FOO|é|A|\u{17f}|\\$\\{)*") {
            match run(&text) {
                Ok(expanded) => {
                    for one in expanded.uses {
                        assert!(text[one.at].contains(&one.name));
                    }
                }
                Err(TemplateError::Invalid { at } | TemplateError::Required { at, .. }) => {
                    assert!(text[at].starts_with("${"));
                }
                Err(error) => unreachable!("{error}"),
            }
            variables(&text);
        }

        #[test]
        fn doubled_dollars_always_come_back_single(text in any::<String>()) {
            assert_eq!(run(&text.replace('$', "$$")).unwrap().text, text);
        }
    }
}
