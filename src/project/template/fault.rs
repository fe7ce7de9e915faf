//! Why `${` begins no expression, in words.

use std::ops::Range;

use super::scan::name_length;

/// What is wrong with an expression, and how to mend it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong.
    pub message: String,
    /// The part of the text to show.
    pub at: Range<usize>,
    /// What to say there.
    pub label: &'static str,
    /// What to write.
    pub hint: String,
}

/// How much of the user's text a hint repeats at most, in bytes.
const QUOTED: usize = 60;

/// What helps whoever meant no variable at all.
const DOLLAR: &str = "for a plain dollar sign write `$$`";

/// Says what is wrong with the expression that begins at byte `start` of a text.
pub fn fault(text: &str, start: usize) -> Fault {
    let rest = text.get(start..).unwrap_or_default();
    let line = rest.split('\n').next().unwrap_or_default();
    let name = name_length(line.get(2..).unwrap_or_default());
    match line.find('}') {
        Some(end) => misnamed(&line[..=end], name, start),
        None => unclosed(line, name, start),
    }
}

fn unclosed(line: &str, name: usize, start: usize) -> Fault {
    let behind = line.get(2 + name..).unwrap_or_default();
    // Behind a plain name, other text goes on; a default may hold anything but blanks, most likely.
    let operator = behind.starts_with([':', '-', '+', '?']);
    let end = if operator { behind.find([' ', '"', '\'']).unwrap_or(behind.len()) } else { 0 };
    let expression = &line[..line.len() - behind.len() + end];
    let hint = match expression.len() {
        _ if name == 0 => DOLLAR.to_owned(),
        0..QUOTED => format!("write `{expression}}}`; {DOLLAR}"),
        _ => format!("put `}}` where it ends; {DOLLAR}"),
    };
    let at = start..start + expression.len();
    let message = "is never closed: there is no `}` on its line".to_owned();
    Fault { message, at, label: "`}` is missing", hint }
}

fn misnamed(expression: &str, name: usize, start: usize) -> Fault {
    let at = start..start + expression.len();
    let inside = expression.trim_start_matches("${").trim_end_matches('}');
    let behind = &inside[name.min(inside.len())..];
    let (message, hint) = match behind {
        "" if name > 0 => {
            let hint = "write `{ }` for `{}` in the default of a variable".to_owned();
            ("follows an expression whose braces do not balance", hint)
        }
        "" => ("names no variable", DOLLAR.to_owned()),
        _ if name == 0 => {
            let rule = "a name has letters, digits and `_`, and no digit at its beginning";
            ("is not followed by the name of a variable", format!("{rule}; {DOLLAR}"))
        }
        _ if behind.starts_with(':') && inside.len() < QUOTED => {
            let (name, default) = (&inside[..name], &behind[1..]);
            let hint = format!("for a default write `${{{name}:-{default}}}`; {DOLLAR}");
            ("has a `:` without `-`, `?` or `+` behind it", hint)
        }
        _ => {
            let hint = format!("a name has only letters, digits and `_`; {DOLLAR}");
            ("has something behind the name that is no operator, such as `:-`", hint)
        }
    };
    Fault { message: message.to_owned(), at, label: "not a variable", hint }
}

#[cfg(test)]
mod tests {
    use super::fault;

    #[test]
    fn each_mistake_has_its_own_words() {
        let said: Vec<String> = [
            "${x-y",
            "a ${x b",
            "${x:-\"a b",
            "${",
            "${}",
            "${1x}",
            "${x:y}",
            "${x y}",
            "${x.y}",
            "${a:-{}} ${b}",
        ]
        .iter()
        .map(|text| {
            let fault = fault(text, text.rfind('$').unwrap_or_default());
            format!("{} {} | {}", &text[fault.at], fault.message, fault.hint)
        })
        .collect();
        insta::assert_snapshot!(said.join("\n"), @"
        ${x-y is never closed: there is no `}` on its line | write `${x-y}`; for a plain dollar sign write `$$`
        ${x is never closed: there is no `}` on its line | write `${x}`; for a plain dollar sign write `$$`
        ${x:- is never closed: there is no `}` on its line | write `${x:-}`; for a plain dollar sign write `$$`
        ${ is never closed: there is no `}` on its line | for a plain dollar sign write `$$`
        ${} names no variable | for a plain dollar sign write `$$`
        ${1x} is not followed by the name of a variable | a name has letters, digits and `_`, and no digit at its beginning; for a plain dollar sign write `$$`
        ${x:y} has a `:` without `-`, `?` or `+` behind it | for a default write `${x:-y}`; for a plain dollar sign write `$$`
        ${x y} has something behind the name that is no operator, such as `:-` | a name has only letters, digits and `_`; for a plain dollar sign write `$$`
        ${x.y} has something behind the name that is no operator, such as `:-` | a name has only letters, digits and `_`; for a plain dollar sign write `$$`
        ${b} follows an expression whose braces do not balance | write `{ }` for `{}` in the default of a variable
        ");
    }
}
