//! Text to nodes.
//!
//! In: a template. Out: [`Node`]s, or the first mistake.

use serde_json::Value;

use super::TemplateError;

/// How deep parentheses and blocks may be nested.
const DEEPEST: usize = 50;

/// A piece of a template.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Text(String),
    Show(Pipeline),
    If { condition: Pipeline, then: Vec<Node>, otherwise: Vec<Node> },
    With { value: Pipeline, then: Vec<Node>, otherwise: Vec<Node> },
    Range { values: Pipeline, then: Vec<Node>, otherwise: Vec<Node> },
}

/// Commands that pass on their results.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pipeline(pub(super) Vec<Vec<Argument>>);

/// A part of a command.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Argument {
    Dot,
    Field(Vec<String>),
    Name(String),
    Literal(Value),
    Inner(Pipeline),
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Argument(Argument),
    Pipe,
    Open,
    Close,
}

/// Text between actions, or an action.
enum Piece<'a> {
    Text(&'a str),
    Action(&'a str),
}

type Result<T> = std::result::Result<T, TemplateError>;

/// Reads a whole template.
pub(super) fn parse(text: &str) -> Result<Vec<Node>> {
    let pieces = pieces(text)?;
    let mut parser = Parser { pieces: pieces.into_iter(), depth: 0 };
    let (nodes, end) = parser.block()?;
    match end {
        End::Text => Ok(nodes),
        End::Else(_) => Err(syntax("unexpected {{else}}")),
        End::Close => Err(syntax("unexpected {{end}}")),
    }
}

fn syntax(what: &str) -> TemplateError {
    TemplateError::Syntax(what.to_owned())
}

fn pieces(mut text: &str) -> Result<Vec<Piece<'_>>> {
    let mut pieces = Vec::new();
    let mut trim = false;
    while let Some(start) = text.find("{{") {
        let (before, rest) = (&text[..start], &text[start + 2..]);
        let (action, after) = action(rest)?;
        let before = if trim { before.trim_start() } else { before };
        let (action, left) = match action.strip_prefix('-') {
            Some(inner) if inner.starts_with(char::is_whitespace) => (inner, true),
            _ => (action, false),
        };
        let (action, right) = match action.strip_suffix('-') {
            Some(inner) if inner.ends_with(char::is_whitespace) => (inner, true),
            _ => (action, false),
        };
        pieces.push(Piece::Text(if left { before.trim_end() } else { before }));
        pieces.push(Piece::Action(action.trim()));
        (text, trim) = (after, right);
    }
    pieces.push(Piece::Text(if trim { text.trim_start() } else { text }));
    Ok(pieces)
}

/// The inside of an action that has just been opened, and what comes after it.
fn action(text: &str) -> Result<(&str, &str)> {
    let mut quote = None;
    let mut escaped = false;
    for (at, character) in text.char_indices() {
        match (quote, character) {
            _ if escaped => escaped = false,
            (Some('"'), '\\') => escaped = true,
            (Some(open), _) if open == character => quote = None,
            (None, '"' | '`') => quote = Some(character),
            (None, '}') if text[at..].starts_with("}}") => {
                return Ok((&text[..at], &text[at + 2..]));
            }
            _ => {}
        }
    }
    Err(syntax(if quote.is_some() { "unterminated quoted string" } else { "unclosed action" }))
}

struct Parser<'a> {
    pieces: std::vec::IntoIter<Piece<'a>>,
    depth: usize,
}

/// What ends a block.
enum End<'a> {
    Text,
    Close,
    /// What stands behind `else`.
    Else(&'a str),
}

impl<'a> Parser<'a> {
    fn block(&mut self) -> Result<(Vec<Node>, End<'a>)> {
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.next() {
            let action = match piece {
                Piece::Text("") => continue,
                Piece::Text(text) => {
                    nodes.push(Node::Text(text.to_owned()));
                    continue;
                }
                Piece::Action(action) => action,
            };
            match action.split_once(char::is_whitespace).unwrap_or((action, "")) {
                ("end", "") => return Ok((nodes, End::Close)),
                ("else", rest) => return Ok((nodes, End::Else(rest.trim()))),
                ("if", rest) => nodes.push(self.choice(rest)?),
                (word @ ("with" | "range"), rest) => nodes.push(self.scope(word, rest)?),
                _ if action.starts_with("/*") && action.ends_with("*/") => {}
                _ => nodes.push(Node::Show(pipeline(action)?)),
            }
        }
        Ok((nodes, End::Text))
    }

    fn choice(&mut self, condition: &str) -> Result<Node> {
        self.deeper()?;
        let condition = pipeline(condition)?;
        let (then, end) = self.block()?;
        let otherwise = match end {
            End::Text => return Err(syntax("unexpected end of the template")),
            End::Close => Vec::new(),
            End::Else("") => self.last_block()?,
            End::Else(more) => match more.strip_prefix("if") {
                Some(next) if next.starts_with(char::is_whitespace) => vec![self.choice(next)?],
                _ => return Err(syntax(&format!("unexpected {more:?} in {{{{else}}}}"))),
            },
        };
        self.depth -= 1;
        Ok(Node::If { condition, then, otherwise })
    }

    fn scope(&mut self, word: &str, value: &str) -> Result<Node> {
        self.deeper()?;
        let value = pipeline(value)?;
        let (then, end) = self.block()?;
        let otherwise = match end {
            End::Close => Vec::new(),
            End::Else("") => self.last_block()?,
            End::Text | End::Else(_) => return Err(syntax("unexpected end of the template")),
        };
        self.depth -= 1;
        Ok(match word {
            "with" => Node::With { value, then, otherwise },
            _ => Node::Range { values: value, then, otherwise },
        })
    }

    fn last_block(&mut self) -> Result<Vec<Node>> {
        match self.block()? {
            (nodes, End::Close) => Ok(nodes),
            _ => Err(syntax("{{else}} without {{end}}")),
        }
    }

    fn deeper(&mut self) -> Result<()> {
        self.depth += 1;
        if self.depth > DEEPEST { Err(syntax("too many nested blocks")) } else { Ok(()) }
    }
}

fn pipeline(text: &str) -> Result<Pipeline> {
    let tokens = tokens(text)?;
    let mut tokens = tokens.into_iter();
    let (pipeline, closed) = commands(&mut tokens, 0)?;
    if closed { Err(syntax("unexpected right paren")) } else { Ok(pipeline) }
}

/// Commands up to the end or a closing parenthesis, and whether it was the latter.
fn commands(tokens: &mut impl Iterator<Item = Token>, depth: usize) -> Result<(Pipeline, bool)> {
    if depth > DEEPEST {
        return Err(syntax("too many nested parentheses"));
    }
    let mut commands = vec![Vec::new()];
    let mut closed = false;
    while let Some(token) = tokens.next() {
        let argument = match token {
            Token::Argument(argument) => argument,
            Token::Pipe => {
                commands.push(Vec::new());
                continue;
            }
            Token::Open => match self::commands(&mut *tokens, depth + 1)? {
                (inner, true) => Argument::Inner(inner),
                (_, false) => return Err(syntax("unclosed left paren")),
            },
            Token::Close => {
                closed = true;
                break;
            }
        };
        if let Some(command) = commands.last_mut() {
            command.push(argument);
        }
    }
    if commands.iter().any(Vec::is_empty) {
        return Err(syntax("an empty action"));
    }
    Ok((Pipeline(commands), closed))
}

fn tokens(text: &str) -> Result<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            '|' => (Token::Pipe, 1),
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            '"' | '`' => quoted(rest, first)?,
            '.' | '-' | '_' | '0'..='9' | 'a'..='z' | 'A'..='Z' => {
                let part =
                    |character: char| character.is_alphanumeric() || "._-".contains(character);
                let end = rest.find(|character| !part(character)).unwrap_or(rest.len());
                (Token::Argument(word(&rest[..end])?), end)
            }
            other => return Err(syntax(&format!("unexpected {:?}", other.to_string()))),
        };
        tokens.push(token);
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

/// A quoted text at the start, and its length with the quotes.
fn quoted(text: &str, quote: char) -> Result<(Token, usize)> {
    let mut escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' if quote == '"' => escaped = true,
            _ if character == quote => {
                let whole = &text[..=at];
                let value = if quote == '"' {
                    // Go's escapes are those of JSON and a few that nobody uses here.
                    let json = whole.replace('\t', "\\t").replace('\n', "\\n");
                    serde_json::from_str(&json).map_err(|_| syntax("invalid syntax in a string"))?
                } else {
                    Value::from(&whole[1..at])
                };
                return Ok((Token::Argument(Argument::Literal(value)), at + 1));
            }
            _ => {}
        }
    }
    Err(syntax("unterminated quoted string"))
}

fn word(word: &str) -> Result<Argument> {
    if word == "." {
        return Ok(Argument::Dot);
    }
    if let Some(path) = word.strip_prefix('.') {
        let names: Vec<String> = path.split('.').map(str::to_owned).collect();
        let good = |name: &String| {
            !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_')
        };
        return if names.iter().all(good) {
            Ok(Argument::Field(names))
        } else {
            Err(syntax(&format!("bad field {word:?}")))
        };
    }
    if let Ok(number) = word.parse::<i64>() {
        return Ok(Argument::Literal(Value::from(number)));
    }
    match word {
        "true" => Ok(Argument::Literal(Value::Bool(true))),
        "false" => Ok(Argument::Literal(Value::Bool(false))),
        "nil" => Ok(Argument::Literal(Value::Null)),
        _ if word.chars().all(|c| c.is_alphanumeric() || c == '_') => {
            Ok(Argument::Name(word.to_owned()))
        }
        _ => Err(syntax(&format!("unexpected {word:?}"))),
    }
}
