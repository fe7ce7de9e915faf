//! `--chmod`: rights as `chmod` takes them.
//!
//! In: text. Out: a change of permission bits.

/// A change of permission bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// These very bits.
    Exact(u32),
    /// Clauses, one after the other, and how many there are.
    Parts([Part; 8], usize),
}

/// One clause, such as `go-w`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Part {
    clear: u32,
    set: u32,
    /// Bits that come only where somebody may execute already: `X`.
    set_if_executable: u32,
}

impl Change {
    /// Reads a number in octal, or clauses such as `u=rwX,go=rX`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`--chmod={text}`: it is a number like 0644, or like u=rw,go=r");
        if text.starts_with(|char: char| char.is_ascii_digit()) {
            let bits = u32::from_str_radix(text, 8).ok().filter(|bits| *bits <= 0o7777);
            return bits.map(Self::Exact).ok_or_else(wrong);
        }
        let mut parts = [Part::default(); 8];
        let mut count = 0;
        for clause in text.split(',') {
            *parts.get_mut(count).ok_or_else(wrong)? = part(clause).ok_or_else(wrong)?;
            count += 1;
        }
        Ok(Self::Parts(parts, count))
    }

    /// The bits after the change.
    pub(super) fn apply(self, mode: u32) -> u32 {
        match self {
            Self::Exact(bits) => bits,
            Self::Parts(parts, count) => parts[..count].iter().fold(mode, |bits, part| {
                let extra = if bits & 0o111 == 0 { 0 } else { part.set_if_executable };
                (bits & !part.clear) | part.set | extra
            }),
        }
    }
}

fn part(clause: &str) -> Option<Part> {
    let at = clause.find(['+', '-', '='])?;
    let (who, rest) = clause.split_at(at);
    let mut classes = 0;
    for class in who.chars() {
        classes |= match class {
            'u' => 0o700,
            'g' => 0o070,
            'o' => 0o007,
            'a' => 0o777,
            _ => return None,
        };
    }
    let classes = if who.is_empty() { 0o777 } else { classes };
    let (mut bits, mut maybe) = (0, 0);
    for right in rest[1..].chars() {
        match right {
            'r' => bits |= 0o444 & classes,
            'w' => bits |= 0o222 & classes,
            'x' => bits |= 0o111 & classes,
            'X' => maybe |= 0o111 & classes,
            's' | 't' => {}
            _ => return None,
        }
    }
    let sticky = if rest.contains('t') { 0o1000 } else { 0 };
    let bits = bits | set_id(rest, classes) | sticky;
    Some(match rest.as_bytes()[0] {
        b'-' => Part { clear: bits | maybe, ..Part::default() },
        b'=' => Part { clear: classes, set: bits, set_if_executable: maybe },
        _ => Part { set: bits, set_if_executable: maybe, clear: 0 },
    })
}

fn set_id(rights: &str, classes: u32) -> u32 {
    if !rights.contains('s') {
        return 0;
    }
    let user = if classes & 0o700 == 0 { 0 } else { 0o4000 };
    let group = if classes & 0o070 == 0 { 0 } else { 0o2000 };
    user | group
}

#[cfg(test)]
mod tests {
    use super::Change;

    #[test]
    fn rights_are_numbers_or_clauses() {
        let apply = |text: &str, mode: u32| Change::parse(text).unwrap().apply(mode);
        assert_eq!(apply("0644", 0o777), 0o644);
        assert_eq!(apply("4755", 0), 0o4755);
        assert_eq!(apply("u=rwX,go=rX", 0o755), 0o755);
        assert_eq!(apply("u=rwX,go=rX", 0o600), 0o644);
        assert_eq!(apply("+x", 0o644), 0o755);
        assert_eq!(apply("go-w", 0o666), 0o644);
        assert_eq!(apply("u+s,+t", 0o755), 0o5755);
        for wrong in ["", "9", "77777", "rw", "u=q", "z+x"] {
            assert!(Change::parse(wrong).is_err(), "{wrong}");
        }
    }
}
