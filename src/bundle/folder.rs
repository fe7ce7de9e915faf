//! The folder of a bundle: files that are bounded and masked.

use std::cell::RefCell;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::BundleError;
use super::mask::Mask;

/// The most that one file has, in bytes.
const LONGEST: usize = 4 << 20;
/// The file by which a folder is known to be ours.
const MARK: &str = "bundle.json";

/// A folder that is being filled.
pub(super) struct Folder<'a> {
    path: PathBuf,
    mask: &'a Mask,
    cut: RefCell<Vec<String>>,
}

impl<'a> Folder<'a> {
    /// Makes it, or empties one of ours.
    pub(super) fn new(path: &Path, mask: &'a Mask) -> Result<Self, BundleError> {
        let failed = |source| BundleError::Write { path: path.to_owned(), source };
        match fs::read_dir(path) {
            Ok(mut entries) => {
                if path.join(MARK).is_file() {
                    fs::remove_dir_all(path).map_err(failed)?;
                } else if entries.next().is_some() {
                    return Err(BundleError::Occupied(path.to_owned()));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        fs::create_dir_all(path.join("inspect")).map_err(failed)?;
        let folder = Self { path: path.to_owned(), mask, cut: RefCell::default() };
        // Whoever is cut off leaves a folder that is known all the same.
        folder.write(MARK, "{}\n")?;
        Ok(folder)
    }

    /// Writes a file; the beginning of one that is too long is left out.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<(), BundleError> {
        let masked = self.mask.text(text);
        let text = match last_part(&masked, LONGEST) {
            None => masked,
            Some(part) => {
                self.cut.borrow_mut().push(name.to_owned());
                let left = masked.len() - part.len();
                format!("[cut: {left} bytes before this are left out]\n{part}")
            }
        };
        let path = self.path.join(name);
        fs::write(&path, text).map_err(|source| BundleError::Write { path, source })
    }

    /// Says what it is, and what was cut.
    pub(super) fn finish(&self, about: &Value) -> Result<(), BundleError> {
        let mut about = about.clone();
        if let Some(map) = about.as_object_mut() {
            map.insert("cut".to_owned(), json!(*self.cut.borrow()));
        }
        self.write(MARK, &format!("{about:#}\n"))
    }
}

/// The last lines that are no longer than this; `None` if all are.
fn last_part(text: &str, longest: usize) -> Option<&str> {
    let mut at = text.len().checked_sub(longest).filter(|at| *at > 0)?;
    while !text.is_char_boundary(at) {
        at += 1;
    }
    let part = &text[at..];
    Some(part.find('\n').map_or(part, |end| &part[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::super::BundleError;
    use super::{Folder, LONGEST, Mask, last_part};

    #[test]
    fn the_folder_of_somebody_else_stays_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b");
        let mask = Mask::default();
        let folder = Folder::new(&path, &mask).unwrap();
        folder.write("logs.txt", &"line\n".repeat(LONGEST)).unwrap();
        folder.finish(&serde_json::json!({})).unwrap();
        let about = std::fs::File::open(path.join("bundle.json")).unwrap();
        let about: serde_json::Value = serde_json::from_reader(about).unwrap();
        assert_eq!(about["cut"][0], "logs.txt");
        assert!(std::fs::metadata(path.join("logs.txt")).unwrap().len() < 5 << 20);
        Folder::new(&path, &mask).unwrap();
        assert!(!path.join("logs.txt").exists(), "that of the last time");
        let other = directory.path();
        assert!(matches!(Folder::new(other, &mask), Err(BundleError::Occupied(_))));
        assert!(path.exists());
    }

    #[test]
    fn whole_lines_are_kept() {
        assert_eq!(last_part("one\ntwo\nthree", 100), None);
        assert_eq!(last_part("one\ntwo\nthree", 8), Some("three"));
        assert_eq!(last_part("ää\nb", 4), Some("b"));
    }
}
