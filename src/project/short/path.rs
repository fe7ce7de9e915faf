//! Paths as text, whatever system this runs on.

/// Shortens a path without looking at the disk, as Go's `path.Clean` does.
///
/// `.`, `..` and double slashes go where possible; nothing left is `.`.
pub fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            _ => parts.push(part),
        }
    }
    let path = parts.join("/");
    match (rooted, path.is_empty()) {
        (true, _) => format!("/{path}"),
        (false, true) => ".".to_owned(),
        (false, false) => path,
    }
}

/// Whether Windows would take a path for absolute: `C:\…`, `\\host\…`, `\??\C:\…`.
pub fn is_windows_abs(path: &str) -> bool {
    let separator = |byte: &u8| matches!(byte, b'/' | b'\\');
    match path.as_bytes() {
        [_, b':', rest @ ..] => rest.first().is_some_and(separator),
        [first, second, ..] if separator(first) && separator(second) => true,
        // A root local device: absolute only if something follows the device.
        [first, b'?', b'?', third, rest @ ..] if separator(first) && separator(third) => {
            rest.iter().any(separator)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::{clean, is_windows_abs};

    #[test]
    fn paths_are_cleaned_as_in_go() {
        for (path, expected) in [
            ("", "."),
            (".", "."),
            ("./", "."),
            ("/", "/"),
            ("//a//b/", "/a/b"),
            ("a/./b/../c", "a/c"),
            ("a/..", "."),
            ("../../a", "../../a"),
            ("a/../../b", "../b"),
            ("/../a", "/a"),
            ("/..", "/"),
            ("...", "..."),
            ("C:\\a\\..", "C:\\a\\.."),
        ] {
            assert_eq!(clean(path), expected, "{path}");
        }
    }

    #[test]
    fn windows_paths_are_told_apart() {
        for path in [
            "C:\\",
            "c:/x",
            "\\\\host\\share",
            "//host",
            "\\\\",
            "/\\",
            "\\\\.\\pipe\\x",
            "\\\\?\\c:\\",
            "\\??\\c:\\",
            "/??/c:/x",
            "1:/",
            "/:/",
        ] {
            assert!(is_windows_abs(path), "{path}");
        }
        for path in [
            "", "C", "C:", "C:x", "\\", "/x", "\\x", "a\\b", "\\??", "\\??\\", "\\??\\c:", "é:/x",
            "./c:/",
        ] {
            assert!(!is_windows_abs(path), "{path}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_paths_never_panic(path in any::<String>(), syntax in "[./\\\\:?aé]*") {
            for path in [path, syntax] {
                is_windows_abs(&path);
                let once = clean(&path);
                assert_eq!(clean(&once), once);
            }
        }
    }
}
