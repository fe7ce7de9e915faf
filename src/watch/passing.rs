//! Files that editors and tools put down for a moment, and folders that are nobody's code.

/// Whether a path, relative to what is watched, is of no interest to anybody.
pub(super) fn is_passing(relative: &str) -> bool {
    let mut names = relative.split('/').rev();
    let last = names.next().unwrap_or_default();
    is_temporary(last) || is_private(last) || names.any(is_private)
}

/// Folders that version control and editors keep for themselves.
fn is_private(name: &str) -> bool {
    matches!(name, ".git" | ".idea")
}

/// Names that editors use while they save.
fn is_temporary(name: &str) -> bool {
    let is_swap = || {
        let end = name.rsplit('.').next().unwrap_or_default();
        name.starts_with('.') && matches!(end, "swp" | "swx" | "swo" | "swn" | "kate-swp")
    };
    // `sed -i` has six random letters and digits; words have lower case alone.
    let is_sed = || {
        let random = name.strip_prefix("sed").filter(|it| it.len() == 6).unwrap_or_default();
        random.bytes().all(|it| it.is_ascii_alphanumeric())
            && random.bytes().any(|it| !it.is_ascii_lowercase())
    };
    name.ends_with('~')
        || name == "4913"
        || name.starts_with(".#")
        || (name.len() > 1 && name.starts_with('#') && name.ends_with('#'))
        || name.ends_with("___jb_tmp___")
        || name.ends_with("___jb_old___")
        || name.ends_with("-go-tmp-umask")
        || is_swap()
        || is_sed()
}

#[cfg(test)]
mod tests {
    use super::is_passing;

    #[test]
    fn what_editors_leave_is_told_from_code() {
        let passing = [
            "a.rs~",
            "x/4913",
            ".#a",
            "#a#",
            ".a.rs.swp",
            "d/.b.swx",
            "a___jb_tmp___",
            ".git/HEAD",
            "x/.git",
            ".idea/a/b",
            ".c.kate-swp",
            "d/sedvRx5rv",
        ];
        for path in passing {
            assert!(is_passing(path), "{path}");
        }
        let code =
            ["a.rs", "49130", "#", "a.swp", "x.git/y", "src/git", ".env", "", "sed", "sedentary"];
        for path in code {
            assert!(!is_passing(path), "{path}");
        }
    }
}
