//! `volumes`: `[source:]target[:options]`, with room for Windows drives in both paths.

use super::{ShortError, clean};

/// Stands for the end of the text, as one more character behind it.
const END: char = '\0';

/// What is mounted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MountKind {
    /// A path of the host.
    Bind,
    /// A volume.
    #[default]
    Volume,
}

/// A mount of a service, in the words of the long form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is an attribute of the long form")]
pub struct Mount {
    /// `type`.
    pub kind: MountKind,
    /// Path on the host or name of the volume; empty: an anonymous volume.
    pub source: String,
    /// Path in the container, cleaned.
    pub target: String,
    /// Whether the container may only read.
    pub read_only: bool,
    /// `bind.propagation`; empty: none given.
    pub propagation: String,
    /// `bind.selinux`: `z`, `Z` or empty.
    pub selinux: String,
    /// `volume.nocopy`.
    pub nocopy: bool,
    /// Whether the long form has `bind`. It has `create_host_path` if the kind is bind, too.
    pub has_bind: bool,
    /// Whether the long form has `volume`.
    pub has_volume: bool,
}

/// Reads the short form of a mount. Unknown options are ignored, as Compose does.
///
/// # Errors
///
/// If it is empty, or has an empty part or too many.
pub fn volume(text: &str) -> Result<Mount, ShortError> {
    let mut mount = Mount::default();
    match text.len() {
        0 => return Err(ShortError::new("the volume is empty")),
        // Too short for a colon to mean anything; such a mount gets no defaults either.
        1 | 2 => text.clone_into(&mut mount.target),
        _ => {
            read_sections(text, &mut mount)?;
            set_kind(&mut mount);
        }
    }
    if !mount.target.is_empty() {
        mount.target = clean(&mount.target);
    }
    Ok(mount)
}

/// Splits at colons, save those of a Windows drive and those within `${…}`.
fn read_sections(text: &str, mount: &mut Mount) -> Result<(), ShortError> {
    let mut section = String::new();
    let mut depth = 0_usize;
    let mut chars = text.chars().chain([END]).peekable();
    while let Some(char) = chars.next() {
        match char {
            '$' if chars.peek() == Some(&'{') => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ':' if is_drive(&section) => {}
            ':' | END if depth == 0 => {
                take_section(&section, char, mount).map_err(|problem| {
                    ShortError::new(format!("`{text}` is not a valid volume: {problem}"))
                })?;
                section.clear();
                continue;
            }
            _ => {}
        }
        section.push(char);
    }
    Ok(())
}

/// Whether a colon behind this makes it a drive, as in `C:`.
fn is_drive(text: &str) -> bool {
    let mut chars = text.chars();
    let letter = chars.next().is_some_and(|first| first.is_alphabetic() && !first.is_numeric());
    letter && chars.next().is_none()
}

/// Puts a section where it belongs; `end` is the character behind it.
fn take_section(section: &str, end: char, mount: &mut Mount) -> Result<(), &'static str> {
    if section.is_empty() {
        return Err("there is nothing between two colons or behind the last");
    }
    if mount.source.is_empty() && end != END {
        section.clone_into(&mut mount.source);
    } else if mount.source.is_empty() || mount.target.is_empty() {
        section.clone_into(&mut mount.target);
    } else if end == ':' {
        return Err("too many colons");
    } else {
        section.split(',').for_each(|option| set_option(option, mount));
    }
    Ok(())
}

fn set_option(option: &str, mount: &mut Mount) {
    match option {
        "ro" => mount.read_only = true,
        "rw" => mount.read_only = false,
        "nocopy" => {
            mount.nocopy = true;
            mount.has_volume = true;
        }
        "rprivate" | "private" | "rshared" | "shared" | "rslave" | "slave" => {
            option.clone_into(&mut mount.propagation);
            mount.has_bind = true;
        }
        "z" | "Z" => {
            option.clone_into(&mut mount.selinux);
            mount.has_bind = true;
        }
        _ => {}
    }
}

fn set_kind(mount: &mut Mount) {
    if is_path(&mount.source) {
        mount.kind = MountKind::Bind;
        mount.has_bind = true;
    } else {
        mount.kind = MountKind::Volume;
        mount.has_volume = true;
    }
}

/// Whether a source is a path of the host and not the name of a volume.
fn is_path(source: &str) -> bool {
    let drive = source.split_once(':').map_or("", |(drive, _)| drive);
    source.starts_with(['.', '/', '~']) || source.starts_with("\\\\") || is_drive(drive)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::{Mount, MountKind, volume};

    fn show(text: &str) -> String {
        let mount = match volume(text) {
            Ok(mount) => mount,
            Err(error) => return format!("error: {error}"),
        };
        let Mount { kind, source, target, propagation, selinux, .. } = mount;
        let mut shown = format!("{kind:?} {source} {target} {propagation}{selinux}");
        for (set, name) in [
            (mount.read_only, " ro"),
            (mount.nocopy, " nocopy"),
            (mount.has_bind, " +bind"),
            (mount.has_volume, " +volume"),
        ] {
            if set {
                shown.push_str(name);
            }
        }
        shown
    }

    #[test]
    fn volumes_are_read_as_in_compose() {
        for (text, expected) in [
            ("a", "Volume  a "),
            ("/a", "Volume  /a "),
            ("a:", "Volume  a: "),
            (":a", "Volume  :a "),
            ("./", "Volume  . "),
            ("abc", "Volume  abc  +volume"),
            ("/a/b/", "Volume  /a/b  +volume"),
            ("./a:/b", "Bind ./a /b  +bind"),
            ("ab:/b/../c/", "Volume ab /c  +volume"),
            ("ab:/b:ro", "Volume ab /b  ro +volume"),
            ("ab:/b:ro,rw", "Volume ab /b  +volume"),
            ("ab:/b:nocopy", "Volume ab /b  nocopy +volume"),
            ("ab:/b:zzz", "Volume ab /b  +volume"),
            ("ab:/b:private", "Volume ab /b private +bind +volume"),
            ("./x:/b:rw,z,rshared", "Bind ./x /b rsharedz +bind"),
            ("./x:/b:nocopy", "Bind ./x /b  nocopy +bind +volume"),
            ("a:/b", "Volume  a:/b  +volume"),
            ("a:/b:ro", "Bind a:/b ro  +bind"),
            ("a:/b:c:d", "Bind a:/b c:d  +bind"),
            ("a::b", "Bind a: b  +bind"),
            ("C:\\x:/y", "Bind C:\\x /y  +bind"),
            ("C:/x", "Volume  C:/x  +volume"),
            ("C:\\x:D:\\y:ro", "Bind C:\\x D:\\y  ro +bind"),
            ("\\\\.\\pipe\\x:/y", "Bind \\\\.\\pipe\\x /y  +bind"),
            ("é:/b", "Volume  é:/b  +volume"),
            ("Δ:/x:/y", "Bind Δ:/x /y  +bind"),
            ("Ⅷ:/x", "Volume Ⅷ /x  +volume"),
            ("1:/x", "Volume 1 /x  +volume"),
            ("~:/x", "Bind ~ /x  +bind"),
            ("~/x:/y:Z", "Bind ~/x /y Z +bind"),
            ("${a:-b}:/x", "Volume ${a:-b} /x  +volume"),
            ("${a:/b", "Volume    +volume"),
            ("x${a}:/y:${z:-ro}", "Volume x${a} /y  +volume"),
            ("x$a:/y}", "Volume x$a /y}  +volume"),
        ] {
            assert_eq!(show(text), expected, "{text}");
        }
        assert_eq!(volume("./a:/b").unwrap().kind, MountKind::Bind);
    }

    #[test]
    fn malformed_volumes_are_refused() {
        assert_eq!(show(""), "error: the volume is empty");
        for text in ["abc:", ":::", "/x:/y:", "ab::/c", ":/x"] {
            let expected = format!(
                "error: `{text}` is not a valid volume: \
                 there is nothing between two colons or behind the last"
            );
            assert_eq!(show(text), expected, "{text}");
        }
        let expected = "error: `ab:/b:ro:x` is not a valid volume: too many colons";
        assert_eq!(show("ab:/b:ro:x"), expected);
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in any::<String>(), syntax in "[:/a.C\\\\$\\{}\0,roé]*") {
            let _ = volume(&text);
            let _ = volume(&syntax);
        }
    }
}
