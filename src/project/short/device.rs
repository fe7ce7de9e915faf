//! `devices`: `source[:target[:permissions]]`.

use super::ShortError;

/// A device that a container gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Path on the host, or the name of a CDI device.
    pub source: String,
    /// Path in the container.
    pub target: String,
    /// Some of `r`, `w` and `m`.
    pub permissions: String,
}

/// Reads the short form of a device.
///
/// # Errors
///
/// If it has more than three parts.
pub fn device(text: &str) -> Result<Device, ShortError> {
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, permissions) = match *parts {
        [source] => (source, "", "rwm"),
        [source, target] => (source, target, "rwm"),
        [source, target, permissions] => (source, target, permissions),
        _ => {
            let message = format!("`{text}` has too many colons for a device");
            return Err(ShortError::new(message)
                .with_hint("use the long form: `source`, `target` and `permissions`"));
        }
    };
    Ok(Device {
        source: source.to_owned(),
        target: if target.is_empty() { source } else { target }.to_owned(),
        permissions: permissions.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::device;

    #[test]
    fn devices_are_read_as_in_compose() {
        for (text, expected) in [
            ("a", ["a", "a", "rwm"]),
            ("a:b", ["a", "b", "rwm"]),
            ("a:b:r", ["a", "b", "r"]),
            ("a::r", ["a", "a", "r"]),
            ("a:b:", ["a", "b", ""]),
            (":b", ["", "b", "rwm"]),
            ("", ["", "", "rwm"]),
            ("vendor.com/class=name", ["vendor.com/class=name", "vendor.com/class=name", "rwm"]),
        ] {
            let found = device(text).unwrap();
            assert_eq!([found.source, found.target, found.permissions], expected);
        }
        let error = device("a:b:c:d").unwrap_err();
        assert_eq!(error.to_string(), "`a:b:c:d` has too many colons for a device");
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in any::<String>()) {
            let _ = device(&text);
        }
    }
}
