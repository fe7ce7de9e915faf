//! Problems drawn for people.
//!
//! In: [`Diagnostic`]s and the [`Sources`] that they point into. Out: text in the manner of rustc,
//! with colours as escape sequences, which [`super::Screen`] keeps or strips.
//!
//! # Invariants
//!
//! - Warnings come first, errors last: those stand next to the prompt.
//! - At most [`LIMIT`] problems are drawn, errors before warnings; the rest is counted.
//! - Any span is drawn, also one that does not fit its file: it is moved to where the text ends.
//! - No long line is printed whole and no file can steer the terminal: annotate-snippets cuts
//!   lines around the spans and replaces control characters by signs.
//!
//! # Not here
//!
//! Formats for programs ([`super::report`]), what becomes of a problem (`cli`).

use annotate_snippets::{
    Annotation, AnnotationKind, Element, Group, Level, Origin, Renderer, Snippet,
};

use anstyle::AnsiColor;

use super::text::{count, cut, place, printable, printable_in_place};
use crate::diagnostic::{Diagnostic, FileId, Label, Severity, Sources, Span};

/// How many problems are drawn.
pub const LIMIT: usize = 50;

/// How many places of one problem are drawn.
const LABELS: usize = 12;

/// How many bytes of one file are drawn from at most: a problem whose places lie further apart,
/// or on a line longer than this, is shown by its position only.
const EXCERPT: usize = 2 << 20;

/// How many characters of a message are shown.
const MESSAGE: usize = 600;

/// As annotate-snippets draws it.
const ARROW: anstyle::Style = AnsiColor::BrightBlue.on_default().bold();

/// How problems are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// How much of a warning is drawn.
    pub warnings: Warnings,
    /// The width of the terminal: longer source lines are cut around what they show.
    pub width: usize,
}

/// How much of a warning is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Warnings {
    /// As much as of an error.
    Full,
    /// Its position, without the source line.
    Brief,
}

/// An error or a warning that has no place in a file.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Error or warning.
    pub severity: Severity,
    /// What is wrong: a lowercase fragment.
    pub text: &'a str,
    /// What to do about it.
    pub hint: Option<&'a str>,
}

impl<'a> Message<'a> {
    /// A warning without a hint.
    pub fn warning(text: &'a str) -> Self {
        Self { severity: Severity::Warning, text, hint: None }
    }

    /// Draws it, with a line break at the end.
    pub fn draw(&self) -> String {
        let title = level(self.severity).primary_title(line(self.text));
        let mut groups = vec![Group::with_title(title)];
        groups.extend(self.hint.map(hint));
        apart(&groups)
    }
}

/// Draws all problems and a last line that counts them; nothing if there is none.
pub fn draw(sources: &Sources, diagnostics: &[Diagnostic], style: Style) -> String {
    let (errors, warnings): (Vec<_>, Vec<_>) =
        diagnostics.iter().partition(|diagnostic| diagnostic.severity == Severity::Error);
    let shown_errors = errors.len().min(LIMIT);
    let shown_warnings = warnings.len().min(LIMIT - shown_errors);
    let shown = warnings[..shown_warnings].iter().chain(&errors[..shown_errors]);
    let mut text = String::new();
    for diagnostic in shown {
        text.push_str(&draw_one(sources, diagnostic, style));
        text.push('\n');
    }
    if diagnostics.len() > 1 {
        text.push_str(&summary(diagnostics));
    } else {
        // The blank line between two problems has nothing to separate.
        text.pop();
    }
    text
}

/// Draws one problem.
fn draw_one(sources: &Sources, diagnostic: &Diagnostic, style: Style) -> String {
    let title = level(diagnostic.severity)
        .primary_title(line(&diagnostic.message))
        .id(diagnostic.code.name());
    let mut groups = vec![Group::with_title(title)];
    groups.extend(diagnostic.notes.iter().map(|note| {
        let title = Level::NOTE.primary_title(line(note));
        Group::with_title(title)
    }));
    groups.extend(diagnostic.hint.as_deref().map(hint));
    let Some(label) = diagnostic.labels.first() else { return apart(&groups) };
    if diagnostic.severity == Severity::Warning && style.warnings == Warnings::Brief {
        let place = place(sources, label.span);
        let (title, rest) = groups.split_at(1);
        return format!("{} {ARROW}-->{ARROW:#} {place}\n{}", apart(title), apart(rest));
    }
    let labels: Vec<Label> =
        diagnostic.labels.iter().map(|label| narrowed(sources, label, style.width)).collect();
    let excerpts = by_file(&labels).into_iter().map(|(file, marks)| excerpt(sources, file, &marks));
    groups[0] = excerpts.fold(groups[0].clone(), Group::element);
    rendered(&Renderer::styled().term_width(style.width), &groups)
}

fn rendered(renderer: &Renderer, groups: &[Group<'_>]) -> String {
    renderer.render(groups) + "\n"
}

/// Draws pieces without source lines; the bar would lead from nowhere.
fn apart(groups: &[Group<'_>]) -> String {
    groups.chunks(1).map(|group| rendered(&Renderer::styled(), group)).collect()
}

fn hint(text: &str) -> Group<'_> {
    Group::with_title(Level::HELP.with_name("hint").primary_title(line(text)))
}

/// A text of a message: cut, and safe to print.
fn line(text: &str) -> String {
    printable(&cut(text, MESSAGE)).into_owned()
}

fn level(severity: Severity) -> Level<'static> {
    match severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    }
}

/// A label, and whether it is the place of the problem itself.
type Mark<'a> = (AnnotationKind, &'a Label);

/// The labels of each file; the file of the first label comes first.
fn by_file(labels: &[Label]) -> Vec<(FileId, Vec<Mark<'_>>)> {
    let mut files: Vec<(FileId, Vec<Mark<'_>>)> = Vec::new();
    for (index, label) in labels.iter().take(LABELS).enumerate() {
        let kind = if index == 0 { AnnotationKind::Primary } else { AnnotationKind::Context };
        let file = label.span.file;
        match files.iter_mut().find(|(known, _)| *known == file) {
            Some((_, marks)) => marks.push((kind, label)),
            None => files.push((file, vec![(kind, label)])),
        }
    }
    files
}

/// The lines of one file that labels stand on, with what to say there.
fn excerpt<'a>(sources: &'a Sources, file: FileId, marks: &[Mark<'a>]) -> Element<'a> {
    let source = sources.get(file);
    let text = &*source.text;
    let ranges = || marks.iter().map(|(_, label)| range(text, label));
    let first = ranges().map(|range| range.start).min().unwrap_or_default();
    let last = ranges().map(|range| range.end).max().unwrap_or_default();
    // Only these lines are handed on, so that the size of the file does not matter.
    let start = text[..first].rfind('\n').map_or(0, |newline| newline + 1);
    let rest = text[last..].lines().next().unwrap_or_default();
    let end = last + rest.len();
    if end - start > EXCERPT {
        let (_, label) = marks[0];
        return origin(sources, label).into();
    }
    let line = text[..start].bytes().filter(|byte| *byte == b'\n').count() + 1;
    let annotations = marks.iter().map(|(kind, label)| annotation(text, start, *kind, label));
    // annotate-snippets does the same for the control characters of ASCII.
    Snippet::source(printable_in_place(&text[start..end]))
        .path(printable(&source.name))
        .line_start(line)
        .annotations(annotations)
        .into()
}

/// What to say at one place of an excerpt that begins at byte `start`.
fn annotation<'a>(
    text: &str,
    start: usize,
    kind: AnnotationKind,
    label: &'a Label,
) -> Annotation<'a> {
    let range = range(text, label);
    let annotation = kind.span(range.start - start..range.end - start);
    if label.text.is_empty() {
        return annotation;
    }
    annotation.label(printable(&label.text))
}

/// A label that covers no more than fits beside the margins of a terminal.
fn narrowed(sources: &Sources, label: &Label, width: usize) -> Label {
    const MARGINS: usize = 24;
    let room = width.saturating_sub(MARGINS).max(8);
    let covered = sources.text(label.span);
    let end = covered.char_indices().nth(room).filter(|_| !covered.trim_end().contains('\n'));
    let mut label = label.clone();
    if let Some((end, _)) = end {
        let start = label.span.start as usize;
        label.span = Span::new(label.span.file, start, start + end);
    }
    label
}

/// The position of a label alone.
fn origin<'a>(sources: &'a Sources, label: &Label) -> Origin<'a> {
    let position = sources.position(label.span);
    let name = printable(&sources.get(label.span.file).name);
    Origin::path(name).line(position.line).char_column(position.column)
}

/// The bytes that a label covers, on character boundaries of the text.
fn range(text: &str, label: &Label) -> std::ops::Range<usize> {
    let start = text.floor_char_boundary(label.span.start as usize);
    let end = text.floor_char_boundary(label.span.end as usize).max(start);
    // A block ends with its line break; drawing that would show the line after it.
    let covered = text[start..end].trim_end_matches(['\n', '\r', ' ']).len();
    start..if covered == 0 { end } else { start + covered }
}

/// The line that counts: `error: 3 problems and 1 warning in 2 files`.
fn summary(diagnostics: &[Diagnostic]) -> String {
    let total = diagnostics.len();
    let errors =
        diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count();
    let warnings = total - errors;
    let mut text = match (errors, warnings) {
        (0, _) => count(warnings, "warning"),
        (_, 0) => count(errors, "problem"),
        _ => format!("{} and {}", count(errors, "problem"), count(warnings, "warning")),
    };
    let mut files: Vec<FileId> =
        diagnostics.iter().filter_map(Diagnostic::span).map(|span| span.file).collect();
    files.sort_unstable();
    files.dedup();
    if !files.is_empty() {
        text = format!("{text} in {}", count(files.len(), "file"));
    }
    if total > LIMIT {
        text = format!("{text}, of which {LIMIT} are shown");
    }
    let severity = if errors == 0 { Severity::Warning } else { Severity::Error };
    Message { severity, text: &text, hint: None }.draw()
}

#[cfg(test)]
mod tests {
    use anstream::adapter::strip_str;
    use insta::assert_snapshot;
    use proptest::prelude::{any, proptest};

    use super::{Style, Warnings, draw};
    use crate::diagnostic::{Code, Diagnostic, FileId, Sources, Span};

    const FULL: Style = Style { warnings: Warnings::Full, width: 140 };

    fn one(name: &str, text: &str) -> (Sources, FileId) {
        let mut sources = Sources::default();
        let file = sources.add(name, text);
        (sources, file)
    }

    fn span(sources: &Sources, file: FileId, word: &str) -> Span {
        let start = sources.get(file).text.find(word).expect("the text has the word");
        Span::new(file, start, start + word.len())
    }

    fn drawn(sources: &Sources, diagnostics: &[Diagnostic]) -> String {
        strip_str(&draw(sources, diagnostics, FULL)).to_string()
    }

    #[test]
    fn an_error_with_a_hint() {
        let (sources, file) = one("compose.yaml", "a:\n  b:\n    depends_on:\n      - databse\n");
        let message = "service `web` depends on `databse`, which is not defined";
        let problem = Diagnostic::error(Code::UndefinedService, message)
            .at(span(&sources, file, "databse"), "no such service")
            .hint("a service with a similar name exists: `database`");
        assert_snapshot!(drawn(&sources, &[problem]), @"
        error[undefined-service]: service `web` depends on `databse`, which is not defined
         --> compose.yaml:4:9
          |
        4 |       - databse
          |         ^^^^^^^ no such service
          |
        hint: a service with a similar name exists: `database`
        ");
    }

    #[test]
    fn places_in_several_files_and_notes() {
        let (mut sources, base) =
            one("compose.yaml", "services:\n  web:\n    ports: 80\n\n\n\n\nx: 1\n");
        let dev = sources.add("compose.dev.yaml", "services:\n  web:\n    ports: [81]\n");
        let problem = Diagnostic::error(Code::Override, "a list cannot replace a number")
            .at(span(&sources, dev, "[81]"), "a list")
            .at(span(&sources, base, "80"), "a number")
            .at(span(&sources, base, "x: 1"), "")
            .note("both must be lists")
            .note("or neither")
            .hint("write `ports: [\"80\"]`");
        assert_snapshot!(drawn(&sources, &[problem]), @r#"
        error[override-type]: a list cannot replace a number
         --> compose.dev.yaml:3:12
          |
        3 |     ports: [81]
          |            ^^^^ a list
          |
         ::: compose.yaml:3:12
          |
        3 |     ports: 80
          |            -- a number
        ...
        8 | x: 1
          | ----
          |
        note: both must be lists
        note: or neither
        hint: write `ports: ["80"]`
        "#);
    }

    #[test]
    fn long_lines_are_cut_to_the_terminal() {
        let text = format!("a: [{}]\n", "one, ".repeat(40));
        let (sources, file) = one("a.yaml", &text);
        let problem = Diagnostic::error(Code::WrongType, "a list")
            .at(Span::new(file, 3, text.len() - 1), "this is a list");
        let style = Style { warnings: Warnings::Full, width: 60 };
        let drawn = strip_str(&draw(&sources, &[problem], style)).to_string();
        assert_snapshot!(drawn, @"
        error[wrong-type]: a list
         --> a.yaml:1:4
          |
        1 | a: [one, one, one, one, one, one, one, one, one, one,...
          |    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ this is a list
        ");
        assert!(drawn.lines().all(|line| line.chars().count() <= 60));
    }

    #[test]
    fn tabs_wide_characters_and_windows_line_ends() {
        let (sources, file) = one("a.yaml", "a:\r\n\tb: 日本語 foo # c\r\nend: 1\r\n");
        let problem = Diagnostic::error(Code::Syntax, "tab in indentation")
            .at(span(&sources, file, "foo"), "here")
            .at(span(&sources, file, "\t"), "the tab");
        assert_snapshot!(drawn(&sources, &[problem]), @"
        error[yaml-syntax]: tab in indentation
         --> a.yaml:2:9
          |
        2 |     b: 日本語 foo # c
          | ---- the tab  ^^^ here
        ");
    }

    #[test]
    fn spans_over_lines_and_at_the_end() {
        let (sources, file) = one("a.yaml", "a:\n  b: 1\n  c: 2\n\nd: 3\n");
        let block = Span::new(file, 5, 18);
        let end = Span::new(file, 23, 23);
        let problems = [
            Diagnostic::error(Code::WrongType, "a mapping").at(block, "this"),
            Diagnostic::error(Code::Syntax, "unexpected end").at(end, "here"),
        ];
        assert_snapshot!(drawn(&sources, &problems), @"
        error[wrong-type]: a mapping
         --> a.yaml:2:3
          |
        2 | /   b: 1
        3 | |   c: 2
          | |______^ this

        error[yaml-syntax]: unexpected end
         --> a.yaml:6:1
          |
        6 |
          | ^ here

        error: 2 problems in 1 file
        ");
    }

    #[test]
    fn an_empty_file() {
        let (sources, file) = one("a.yaml", "");
        let problem = Diagnostic::error(Code::EmptyProject, "empty").at(Span::new(file, 0, 0), "");
        assert_snapshot!(drawn(&sources, &[problem]), @"
        error[empty-project]: empty
         --> a.yaml:1:1
          |
        1 |
          | ^
        ");
    }

    #[test]
    fn no_place_at_all() {
        let problem = Diagnostic::error(Code::NoProjectFile, "no file found")
            .note("looked for `compose.yaml`")
            .hint("name one with `-f`");
        assert_snapshot!(drawn(&Sources::default(), &[problem]), @"
        error[no-project-file]: no file found
        note: looked for `compose.yaml`
        hint: name one with `-f`
        ");
    }

    #[test]
    fn warnings_come_first_and_may_be_brief() {
        let (sources, file) = one("a.yaml", "version: 3\nservices: 1\n");
        let problems = [
            Diagnostic::error(Code::WrongType, "wrong").at(span(&sources, file, "1"), "a number"),
            Diagnostic::warning(Code::ObsoleteVersion, "the attribute `version` is obsolete")
                .at(span(&sources, file, "version"), "")
                .hint("remove it"),
        ];
        let text = draw(&sources, &problems, Style { warnings: Warnings::Brief, ..FULL });
        assert_snapshot!(strip_str(&text).to_string(), @"
        warning[obsolete-version]: the attribute `version` is obsolete
         --> a.yaml:1:1
        hint: remove it

        error[wrong-type]: wrong
         --> a.yaml:2:11
          |
        2 | services: 1
          |           ^ a number

        error: 1 problem and 1 warning in 1 file
        ");
        assert_eq!(draw(&sources, &[], FULL), "");
    }

    #[test]
    fn at_most_fifty_are_drawn_and_errors_are_among_them() {
        let mut problems = vec![Diagnostic::warning(Code::UnsetVariable, "unset"); 60];
        problems.push(Diagnostic::error(Code::Syntax, "bad"));
        let text = drawn(&Sources::default(), &problems);
        assert_eq!(text.matches("unset\n").count(), 49);
        let end = text.split_once("error").expect("an error").1;
        assert_snapshot!(end, @"
        [yaml-syntax]: bad

        error: 1 problem and 60 warnings, of which 50 are shown
        ");
    }

    #[test]
    fn files_cannot_steer_the_terminal() {
        let (sources, file) = one("a\u{1b}]0;x\u{7}.yaml", "a: \u{1b}[31mred\u{202e}\u{9b}\n");
        let problem = Diagnostic::error(Code::InvalidName, "bad name `\u{1b}[2J`")
            .at(span(&sources, file, "red"), "la\u{1b}bel")
            .note("no\u{1b}te")
            .hint("hi\u{1b}nt");
        assert_snapshot!(drawn(&sources, &[problem]), @"
        error[invalid-name]: bad name `␛[2J`
         --> a␛]0;x␇.yaml:1:9
          |
        1 | a: ␛[31mred�¤
          |         ^^^ la␛bel
          |
        note: no␛te
        hint: hi␛nt
        ");
    }

    #[test]
    fn long_lines_are_cut() {
        let text = format!("{}databse{}", "x".repeat(600_000), "y, ".repeat(300_000));
        let (sources, file) = one("a.json", &text);
        let problem = Diagnostic::error(Code::Syntax, "m".repeat(2000))
            .at(span(&sources, file, "databse"), "here");
        let drawn = drawn(&sources, &[problem]);
        assert!(drawn.contains("databse") && drawn.contains("a.json:1:600001"));
        assert!(drawn.len() < 1500, "{} bytes", drawn.len());
    }

    proptest! {
        #[test]
        fn any_span_is_drawn(text in any::<String>(), start in 0usize..60, length in 0usize..60) {
            let (sources, file) = one("a.yaml", &text);
            let span = Span::new(file, start, start + length);
            let problem = Diagnostic::error(Code::Syntax, text.clone())
                .at(span, text.clone())
                .at(Span::new(file, start / 2, start), "other")
                .hint(text);
            let drawn = drawn(&sources, &[problem]);
            let steers = |character: char| character.is_control() && character != '\n';
            assert!(!drawn.contains(steers), "{drawn:?}");
        }
    }
}
