//! The order in which go-yaml prints the keys of mappings: `k9` before `k10`, letters last.

/// A key, its characters, and the value that belongs to it.
type Keyed<T> = (Vec<char>, (String, T));

/// Sorts entries by their keys.
pub(super) fn sort<T>(entries: Vec<(String, T)>) -> Vec<(String, T)> {
    let keyed = entries.into_iter().map(|entry| (entry.0.chars().collect(), entry)).collect();
    merge_sort(keyed).into_iter().map(|(_, entry)| entry).collect()
}

/// Sorts by halves. The sort of the standard library may panic here, since the order is not quite
/// transitive.
fn merge_sort<T>(mut entries: Vec<Keyed<T>>) -> Vec<Keyed<T>> {
    if entries.len() < 2 {
        return entries;
    }
    let right = entries.split_off(entries.len() / 2);
    let mut left = merge_sort(entries).into_iter().peekable();
    let mut right = merge_sort(right).into_iter().peekable();
    let mut merged = Vec::with_capacity(left.len() + right.len());
    while let (Some((one, _)), Some((other, _))) = (left.peek(), right.peek()) {
        let next = if less(other, one) { right.next() } else { left.next() };
        merged.extend(next);
    }
    merged.extend(left);
    merged.extend(right);
    merged
}

/// Whether `one` stands before `other`.
fn less(one: &[char], other: &[char]) -> bool {
    match one.iter().zip(other).position(|(a, b)| a != b) {
        Some(at) => differs(one, other, at),
        None => one.len() < other.len(),
    }
}

/// Compares two keys at the first character in which they differ.
fn differs(one: &[char], other: &[char], at: usize) -> bool {
    let (a, b) = (one[at], other[at]);
    match (a.is_alphabetic(), b.is_alphabetic()) {
        (true, true) => return a < b,
        // After a digit letters come first, otherwise last.
        (true, false) | (false, true) => {
            let after_digit = at > 0 && one[at - 1].is_numeric();
            return if after_digit { a.is_alphabetic() } else { b.is_alphabetic() };
        }
        (false, false) => {}
    }
    // A zero inside a number must count as a digit, not as a leading zero.
    let seed = i64::from((a == '0' || b == '0') && inside_number(&one[..at]));
    let ((a_value, a_len), (b_value, b_len)) =
        (number(&one[at..], seed), number(&other[at..], seed));
    (a_value, a_len, a) < (b_value, b_len, b)
}

/// Whether the text ends with digits that are not all zero.
fn inside_number(text: &[char]) -> bool {
    text.iter().rev().take_while(|c| c.is_numeric()).any(|c| *c != '0')
}

/// The number at the start of the text, with `seed` before it, and how many digits it has.
fn number(text: &[char], seed: i64) -> (i64, usize) {
    let digits = text.iter().take_while(|c| c.is_numeric());
    digits.fold((seed, 0), |(value, count), digit| {
        // Like Go this takes other scripts' digits for characters far behind zero.
        let digit = i64::from(u32::from(*digit)) - i64::from(b'0');
        (value.wrapping_mul(10).wrapping_add(digit), count + 1)
    })
}

#[cfg(test)]
mod tests {
    use super::sort;

    #[test]
    fn keys_stand_in_the_order_that_go_yaml_gives_them() {
        // Printed by docker compose 2.40.3 for the keys of one mapping.
        let sorted = "-a .a _a 1 1a 1.5 1_0 1_1 01 2 9 10 A A1 B WEB Z a a-b a.b a/b a_b a0 \
             a0b a00 a1 a1b a1c a1.2 a1.10 a01 a001 a2 a9 a10 a100 a1000 aB ab abc b \
             k1x k1-x k1_x k9x k10x web web-1 web-2 web-10 x9 x86 x86_64 z é";
        let sorted: Vec<&str> = sorted.split(' ').collect();
        let entries = sorted.iter().rev().map(|key| ((*key).to_owned(), ())).collect();
        let keys: Vec<String> = sort(entries).into_iter().map(|(key, ())| key).collect();
        assert_eq!(keys, sorted);
    }

    #[test]
    fn numbers_that_are_too_long_do_no_harm() {
        let key = |index: usize| format!("{index}{}", "9".repeat(40 - index));
        let entries = (0..40).map(|index| (key(index), ())).collect();
        assert_eq!(sort(entries).len(), 40);
    }
}
