//! What is wrong with a text that is not valid YAML, in the words of whoever wrote it.
//!
//! In: the text, and where and why the parser gave up. Out: what is most likely the mistake, its
//! place (often a line above the one where the parser noticed) and how to mend it.

use std::ops::Range;

use granit_parser::{ErrorKind, ScanError};

use crate::diagnostic::{Code, Diagnostic, FileId, Span, closest};

use super::lines::{self, Line};
use super::open::{Mark, Opened};
use super::too_nested;

/// How much of the user's text a hint repeats at most, in bytes.
const QUOTED: usize = 60;

/// A mistake and its remedy.
struct Fault {
    message: String,
    at: Range<usize>,
    label: String,
    /// Other places that help to understand.
    also: Vec<(Range<usize>, String)>,
    hint: Option<String>,
}

impl Fault {
    fn new(message: impl Into<String>, at: Range<usize>, label: impl Into<String>) -> Self {
        Self { message: message.into(), at, label: label.into(), also: Vec::new(), hint: None }
    }

    fn also(mut self, at: Range<usize>, label: impl Into<String>) -> Self {
        self.also.push((at, label.into()));
        self
    }

    fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

/// The diagnostic for what the parser says.
pub(super) fn diagnose(text: &str, file: FileId, error: &ScanError) -> Box<Diagnostic> {
    let at = text.floor_char_boundary(error.marker().byte_offset().unwrap_or(0).min(text.len()));
    if matches!(error.kind(), ErrorKind::RecursionLimitExceeded) {
        let width = text[at..].chars().next().map_or(0, char::len_utf8);
        return too_nested(Span::new(file, at, at + width));
    }
    let fault = find(text, at, error.kind()).unwrap_or_else(|| {
        let width = text[at..].chars().next().map_or(0, char::len_utf8);
        let fault = Fault::new(error.info(), at..at + width, "the parser gives up here");
        Fault { hint: remedy(error.kind()).map(str::to_owned), ..fault }
    });
    let code = match error.kind() {
        ErrorKind::UnknownAnchor => Code::Alias,
        _ => Code::Syntax,
    };
    let span = |at: Range<usize>| Span::new(file, at.start, at.end);
    let message = format!("not valid YAML: {}", fault.message);
    let mut diagnostic = Diagnostic::error(code, message).at(span(fault.at), fault.label);
    for (at, label) in fault.also {
        diagnostic = diagnostic.at(span(at), label);
    }
    diagnostic.hint = fault.hint;
    Box::new(diagnostic)
}

/// What else usually helps.
fn remedy(kind: &ErrorKind) -> Option<&'static str> {
    match kind {
        ErrorKind::CommentNotSeparated | ErrorKind::CommentInterceptedScalar => {
            Some("put a blank before `#`")
        }
        ErrorKind::UnknownQuotedScalarEscape => {
            Some("between `\"` a backslash begins an escape: double it, or use `'`")
        }
        _ => None,
    }
}

/// The most likely mistake.
fn find(text: &str, at: usize, kind: &ErrorKind) -> Option<Fault> {
    match kind {
        ErrorKind::UnknownAnchor => return Some(anchor(text, at)),
        ErrorKind::UnexpectedCharacter { character } => return reserved(text, at, *character),
        _ => {}
    }
    if let Some(fault) = tab(text, at, kind) {
        return Some(fault);
    }
    let lines = lines::up_to(text, at);
    let (here, above) = lines.split_last()?;
    quotes_and_brackets(text, at, here, kind).or_else(|| match kind {
        ErrorKind::MappingValueNotAllowed => {
            let above = above.last()?;
            colons(here)
                .or_else(|| forgotten_blank(above))
                .or_else(|| forgotten_colon(above))
                .or_else(|| too_deep(&lines))
        }
        ErrorKind::SimpleKeyExpected => {
            forgotten_blank(here).or_else(|| mixed(&lines)).or_else(|| forgotten_colon(here))
        }
        ErrorKind::InvalidTrailingSingleQuotedScalar
        | ErrorKind::InvalidTrailingDoubleQuotedScalar => behind_quotes(text, at, here),
        ErrorKind::ExpectedBlockMappingKey
        | ErrorKind::ExpectedBlockSequenceEntry
        | ErrorKind::BlockSequenceEntryNotAllowed
        | ErrorKind::InvalidIndentation
        | ErrorKind::ExpectedDocumentStart => behind_quotes(text, at, here)
            .or_else(|| forgotten_blank(here))
            .or_else(|| mixed(&lines))
            .or_else(|| too_deep(&lines))
            .or_else(|| misfit(&lines)),
        _ => None,
    })
}

/// A tab in front of a line.
fn tab(text: &str, at: usize, kind: &ErrorKind) -> Option<Fault> {
    if !kind.to_string().contains("tab") {
        return None;
    }
    let line = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let mut start = line;
    for line in text[line..].split_inclusive('\n') {
        let blanks = line.len() - line.trim_start_matches([' ', '\t']).len();
        if let Some(offset) = line[..blanks].find('\t').filter(|_| !line.trim().is_empty()) {
            let fault = Fault::new(
                "a line is indented with a tab",
                start + offset..start + blanks,
                "a tab, not blanks",
            );
            return Some(fault.hint("YAML allows only blanks there: replace every tab by blanks"));
        }
        start += line.len();
    }
    None
}

/// An alias to something that is not there.
fn anchor(text: &str, at: usize) -> Fault {
    let name = anchor_name(text, at + 1);
    let anchors = text[..at].match_indices('&').map(|(anchor, _)| anchor_name(text, anchor + 1));
    let hint = match closest(name, anchors.filter(|known| !known.is_empty())) {
        Some(known) => format!("did you mean `*{known}`?"),
        None => format!(
            "mark the value meant with `&{name}`, above this line; or write \"*{name}\" if it is plain text"
        ),
    };
    let place = at..at + 1 + name.len();
    Fault::new(format!("there is no anchor `&{name}`"), place, "refers to nothing above").hint(hint)
}

/// The name of an anchor, as far as it may reasonably be.
fn anchor_name(text: &str, from: usize) -> &str {
    let rest = &text[from..text.floor_char_boundary(from + QUOTED)];
    rest.split([' ', '\n', '\r', ',', ']', '}']).next().unwrap_or_default()
}

/// Characters that YAML keeps for itself.
fn reserved(text: &str, at: usize, character: char) -> Option<Fault> {
    let value = text[at..].lines().next()?.trim_end();
    let message = format!("text cannot begin with `{character}`");
    let fault = Fault::new(message, at..at + value.len(), "needs quotes");
    Some(fault.hint(format!("put quotes around it: {}", in_quotes(value)?)))
}

/// A quote or bracket that is closed nowhere, or in the wrong place.
fn quotes_and_brackets(text: &str, at: usize, here: &Line<'_>, kind: &ErrorKind) -> Option<Fault> {
    if let ErrorKind::UnclosedQuotedScalar = kind {
        return Some(unclosed_quote(text, at, text[at..].chars().next()?));
    }
    if let ErrorKind::UnclosedFlowCollection { open } = kind {
        return Some(unclosed_bracket(text, Mark { at, char: *open }));
    }
    if let ErrorKind::MismatchedFlowCollectionEnd { open, close } = kind {
        return Some(mismatched(text, at, (*open, *close)));
    }
    let end = here.start + here.content.len();
    if let Some(spanned) = Opened::read(&text[..end.max(at)]).spanned
        && spanned.end > here.start
    {
        let quote = text[spanned.start..].chars().next()?;
        let end = spanned.end - 1..spanned.end;
        return Some(unclosed_quote(text, spanned.start, quote).also(end, "this one ends it"));
    }
    let opened = Opened::read(&text[..at]);
    let mark = opened.brackets.last()?;
    // On its own line it may well be closed further on.
    let forgotten = mark.at < here.start || !text[at..end.max(at)].contains(closing(mark.char));
    forgotten.then(|| unclosed_bracket(text, *mark))
}

/// `[a}`. The parser points at the bracket that opens.
fn mismatched(text: &str, at: usize, (open, close): (char, char)) -> Fault {
    let wanted = closing(open);
    let end = at + text[at..].find(close).unwrap_or_default();
    let message = format!("`{open}` is closed by `{close}`");
    Fault::new(message, end..end + 1, format!("not `{wanted}`"))
        .also(at..at + 1, "opened here")
        .hint(format!("write `{wanted}` in place of `{close}`"))
}

fn unclosed_quote(text: &str, at: usize, quote: char) -> Fault {
    let line = text[at..].lines().next().unwrap_or_default().trim_end();
    let fault = Fault::new(
        format!("the quote `{quote}` is not closed"),
        at..at + line.len(),
        format!("no `{quote}` at the end"),
    );
    match line.len() {
        1..QUOTED => fault.hint(format!("close it: `{line}{quote}`")),
        _ => fault.hint(format!("put `{quote}` behind the text")),
    }
}

fn unclosed_bracket(text: &str, mark: Mark) -> Fault {
    let line = text[mark.at..].lines().next().unwrap_or_default().trim_end();
    let closing = closing(mark.char);
    let fault = Fault::new(
        format!("the bracket `{}` is not closed", mark.char),
        mark.at..mark.at + line.len(),
        format!("no `{closing}` for this `{}`", mark.char),
    );
    let whole = line.trim_end_matches(',');
    match line.len() {
        2..QUOTED => fault.hint(format!("close it: `{whole}{closing}`")),
        _ => fault.hint(format!("put `{closing}` where it ends")),
    }
}

fn closing(bracket: char) -> char {
    if bracket == '{' { '}' } else { ']' }
}

/// `command: echo a: b`.
fn colons(here: &Line<'_>) -> Option<Fault> {
    let (key, value) = here.pair()?;
    let starts_plain = !value.starts_with(['"', '\'', '[', '{', '|', '>']);
    if !starts_plain || !(value.contains(": ") || value.ends_with(':')) {
        return None;
    }
    let end = here.start + here.content.len();
    let at = end - value.len()..end;
    let fault = Fault::new(format!("the value of `{key}` holds `: `"), at, "needs quotes");
    let written = in_quotes(value).map(|value| format!(": `{key}: {value}`"));
    Some(fault.hint(format!("put quotes around it{}", written.unwrap_or_default())))
}

/// `-item` where others are `- item`.
fn forgotten_blank(line: &Line<'_>) -> Option<Fault> {
    let rest = line.content.strip_prefix('-').filter(|rest| !rest.starts_with(['-', ' ']))?;
    let fault = Fault::new("there is no blank behind `-`", line.range(), "not read as an item");
    let written = if rest.len() <= QUOTED { rest } else { "…" };
    (!rest.is_empty()).then(|| fault.hint(format!("write `- {written}`")))
}

/// `image nginx` or `image:nginx`, or `services` above lines that are indented deeper.
fn forgotten_colon(line: &Line<'_>) -> Option<Fault> {
    let inner = line.inner();
    if line.pair().is_some() || inner.starts_with(['"', '\'', '[', '{', '&', '*', '-', '?', '<']) {
        return None;
    }
    let first = inner.split([' ', ':']).next().filter(|word| is_key(word))?;
    let at = line.range();
    Some(
        match inner[first.len()..].strip_prefix(':') {
            Some(_) => Fault::new(format!("there is no blank behind `{first}:`"), at, "one word"),
            None => {
                Fault::new(format!("there is no `:` behind `{first}`"), at, "a key needs a `:`")
            }
        }
        .hint(format!("write `{}`", with_colon(inner)?)),
    )
}

/// `image nginx` or `image:nginx` as it was meant, if it was meant so: `image: nginx`.
pub(in crate::project) fn with_colon(text: &str) -> Option<String> {
    let first = text.split([' ', ':']).next().filter(|word| is_key(word))?;
    let rest = text[first.len()..].strip_prefix(':').unwrap_or(&text[first.len()..]).trim();
    (text.len() <= QUOTED).then(|| format!("{first}: {rest}").trim_end().to_owned())
}

/// Whether a word looks like the name of an attribute or variable.
fn is_key(word: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && word.chars().all(plain)
}

/// A line deeper than one that has a value already.
fn too_deep(lines: &[Line<'_>]) -> Option<Fault> {
    let (here, above) = lines.split_last()?;
    let above = above.last()?;
    let (_, value) = above.pair().unwrap_or(("", above.inner()));
    if value.is_empty() || here.column() <= above.column() {
        return None;
    }
    let message = format!("`{}` is indented too deep", here.name());
    let fault = Fault::new(message, here.range(), count(here.column()))
        .also(above.range(), "this has a value already");
    let sibling = lines::enclosing(lines).into_iter().find(|line| line.pair().is_some())?;
    let hint = format!("indent it {}", as_in(here, &sibling));
    Some(fault.hint(format!("{hint}; or indent line {} deeper as well", above.number)))
}

/// `C: d` below `- A=b`, or the other way round.
fn mixed(lines: &[Line<'_>]) -> Option<Fault> {
    let (here, above) = lines.split_last()?;
    let sibling = above
        .iter()
        .rev()
        .take_while(|line| line.indent >= here.indent)
        .find(|line| line.indent == here.indent)?;
    let (message, label) = match (here.is_item(), sibling.is_item()) {
        (true, false) => ("an item of a list stands among the keys of a mapping", "an item"),
        (false, true) => ("a key stands among the items of a list", "no `- ` in front"),
        _ => return None,
    };
    let fault = Fault::new(message, here.range(), label).also(sibling.range(), "unlike this");
    Some(fault.hint("write all of them with `- ` in front, or none; or indent it differently"))
}

/// A line whose indentation fits none above.
fn misfit(lines: &[Line<'_>]) -> Option<Fault> {
    let here = lines.last()?;
    let around = lines::enclosing(lines);
    if here.pair().is_none() && !here.is_item() {
        return forgotten_colon(here);
    }
    if around.iter().any(|line| line.indent == here.indent) {
        return None;
    }
    // A key goes where keys are, not where the text of an item is.
    let alike = |line: &Line<'_>| here.is_item() || line.pair().is_some();
    let deeper = around.iter().rev().find(|line| line.indent > here.indent && alike(line));
    let shallower = around.iter().find(|line| line.indent < here.indent);
    let message = format!("the indentation of `{}` fits no line above", here.name());
    let fault = Fault::new(message, here.range(), count(here.indent));
    let near = || deeper.into_iter().chain(shallower);
    let fault =
        near().fold(fault, |fault, line| fault.also(line.range(), count(depth(here, line))));
    let choices: Vec<String> = near().map(|line| as_in(here, line)).collect();
    // Lines of this depth further up mean that this one may be right and those before it wrong.
    let usual = lines.iter().rev().skip(1).any(|line| line.indent == here.indent);
    let or = if usual { "; or mend the lines above" } else { "" };
    Some(fault.hint(format!("indent it {}{or}", choices.join(", or "))))
}

fn count(blanks: usize) -> String {
    if blanks == 1 { "1 blank".to_owned() } else { format!("{blanks} blanks") }
}

/// How deep `here` has to be to stand beside `line`.
fn depth(here: &Line<'_>, line: &Line<'_>) -> usize {
    if here.is_item() { line.indent } else { line.column() }
}

/// `by 4 blanks, as `image:` in line 3`; dashes go where dashes are.
fn as_in(here: &Line<'_>, line: &Line<'_>) -> String {
    let blanks = depth(here, line);
    let (name, number) = (line.name(), line.number);
    match blanks {
        0 => format!("not at all, as `{name}` in line {number}"),
        _ => format!("by {}, as `{name}` in line {number}", count(blanks)),
    }
}

/// `"a" b`: more text behind a quoted or bracketed value.
fn behind_quotes(text: &str, at: usize, here: &Line<'_>) -> Option<Fault> {
    let (_, value) = here.pair()?;
    let end = here.start + here.content.len();
    let start = end - value.len();
    if !value.starts_with(['"', '\'', '[', '{']) || !(start..end).contains(&at) {
        return None;
    }
    let rest = text[at..end].trim_end();
    let fault = Fault::new(
        "text follows a value that is complete",
        at..at + rest.len(),
        "more than the value",
    );
    Some(fault.hint("put quotes around all of it, or remove the rest"))
}

/// A text as YAML takes it, if it is short.
pub(in crate::project) fn in_quotes(text: &str) -> Option<String> {
    if text.len() > QUOTED || text.contains('\n') {
        return None;
    }
    if text.contains(['"', '\\']) {
        return Some(format!("'{}'", text.replace('\'', "''")));
    }
    Some(format!("\"{text}\""))
}

#[cfg(test)]
mod tests {
    use crate::diagnostic::Sources;
    use crate::project::yaml::{Budget, parse};

    /// Place, message, labels and hint on one line each.
    fn said(text: &str) -> String {
        let mut sources = Sources::default();
        let file = sources.add("a", text);
        let Err(problem) = parse(text, file, &Budget::default(), &mut Vec::new()) else {
            return format!("no error: {text:?}");
        };
        let labels = problem.labels.iter().map(|label| {
            let at = sources.position(label.span);
            format!("{}:{} {}", at.line, at.column, label.text)
        });
        let labels: Vec<String> = labels.collect();
        let message = problem.message.trim_start_matches("not valid YAML: ");
        format!("{message} ({}) {}", labels.join("; "), problem.hint.unwrap_or_default())
    }

    #[test]
    fn the_mistake_is_named_where_it_was_made() {
        let web = "services:\n  web:\n    image: nginx\n";
        let said: Vec<String> = [
            "services:\n  web:\n    image nginx\n    ports: []\n",
            "services\n  web:\n    image: nginx\n",
            "web:\n  build:\n    context:core\n    target: a\n",
            &format!("{web}    restart always\n"),
            &format!("{web}      ports: []\n"),
            "services:\n  web:\n    image: \"nginx\"\n      ports: []\n",
            &format!("{web}   ports: []\n"),
            "services:\n  web:\n    image: nginx\n  networks:\n      - a\n    restart: \"no\"\n",
            "a:\n  - b: 1\n   c: 2\n",
            &format!("{web}    environment:\n      - A=b\n      C: d\n"),
            &format!("{web}    environment:\n      A: b\n      - C=d\n"),
            &format!("{web}    ports:\n      - \"80\"\n      -\"81\"\n"),
            &format!("{web}\tports: []\n"),
            "web:\n  image: \"nginx\n  restart: \"no\"\n",
            "web:\n  command: 'it\n",
            "web:\n  ports: [\"80\", \"81\"\n  restart: no\n",
            "web:\n  deploy: {replicas: 1\n",
            "web:\n  ports: [\"80\"}\n",
            "web:\n  command: echo a: b\n",
            "web:\n  image: \"a\" b\n",
            "web:\n  user: @me\n",
            "x-a: &default {}\nweb:\n  <<: *defaults\n",
            "web:\n  password: *secret\n",
            "web:\n  a: \"\\d\"\n",
        ]
        .iter()
        .map(|text| said(text))
        .collect();
        insta::assert_snapshot!(said.join("\n"), @r##"
        there is no `:` behind `image` (3:5 a key needs a `:`) write `image: nginx`
        there is no `:` behind `services` (1:1 a key needs a `:`) write `services:`
        there is no blank behind `context:` (3:5 one word) write `context: core`
        there is no `:` behind `restart` (4:5 a key needs a `:`) write `restart: always`
        `ports:` is indented too deep (4:7 6 blanks; 3:5 this has a value already) indent it by 4 blanks, as `image:` in line 3; or indent line 3 deeper as well
        `ports:` is indented too deep (4:7 6 blanks; 3:5 this has a value already) indent it by 4 blanks, as `image:` in line 3; or indent line 3 deeper as well
        the indentation of `ports:` fits no line above (4:4 3 blanks; 3:5 4 blanks; 2:3 2 blanks) indent it by 4 blanks, as `image:` in line 3, or by 2 blanks, as `web:` in line 2
        the indentation of `restart:` fits no line above (6:5 4 blanks; 4:3 2 blanks) indent it by 2 blanks, as `networks:` in line 4; or mend the lines above
        the indentation of `c:` fits no line above (3:4 3 blanks; 2:5 4 blanks) indent it by 4 blanks, as `b:` in line 2
        a key stands among the items of a list (6:7 no `- ` in front; 5:9 unlike this) write all of them with `- ` in front, or none; or indent it differently
        an item of a list stands among the keys of a mapping (6:9 an item; 5:7 unlike this) write all of them with `- ` in front, or none; or indent it differently
        there is no blank behind `-` (6:7 not read as an item) write `- "81"`
        a line is indented with a tab (4:1 a tab, not blanks) YAML allows only blanks there: replace every tab by blanks
        the quote `"` is not closed (2:10 no `"` at the end; 3:12 this one ends it) close it: `"nginx"`
        the quote `'` is not closed (2:12 no `'` at the end) close it: `'it'`
        the bracket `[` is not closed (2:10 no `]` for this `[`) close it: `["80", "81"]`
        the bracket `{` is not closed (2:11 no `}` for this `{`) close it: `{replicas: 1}`
        `[` is closed by `}` (2:15 not `]`; 2:10 opened here) write `]` in place of `}`
        the value of `command` holds `: ` (2:12 needs quotes) put quotes around it: `command: "echo a: b"`
        text follows a value that is complete (2:14 more than the value) put quotes around all of it, or remove the rest
        text cannot begin with `@` (2:9 needs quotes) put quotes around it: "@me"
        there is no anchor `&defaults` (3:7 refers to nothing above) did you mean `*default`?
        there is no anchor `&secret` (2:13 refers to nothing above) mark the value meant with `&secret`, above this line; or write "*secret" if it is plain text
        while parsing a quoted scalar, found unknown escape character (2:6 the parser gives up here) between `"` a backslash begins an escape: double it, or use `'`
        "##);
    }
}
