//! Where a copy goes and what it is called there: the rules of `docker cp`. Pure.
//!
//! In: what is copied, and what lies where it shall go. Out: the directory to unpack it in, and the
//! name that it gets.

use crate::project::short::clean;

/// What is copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Whether only what is in it is meant: `DIR/.`.
    pub part: Part,
}

/// What lies at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// Anything else.
    Other,
}

/// How much of a directory is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// It itself.
    Whole,
    /// What is in it.
    Content,
}

/// The directory to unpack in, and the name of what is unpacked; empty: it goes right into the
/// directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) directory: String,
    pub(super) name: String,
}

/// Why there is no such place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PlaceError {
    /// A directory cannot take the place of a file.
    #[error("cannot copy directory")]
    OverFile,
    /// The user wants a directory that is not there: `DIR/`.
    #[error("no such directory")]
    NoDirectory,
}

/// Where a copy goes that shall go to `path`, where `found` lies.
pub(super) fn place(origin: &Origin, path: &str, found: Option<Kind>) -> Result<Place, PlaceError> {
    match (found, origin.kind) {
        (Some(Kind::Directory), _) => {
            let name = match origin.part {
                Part::Whole => origin.name.clone(),
                Part::Content => String::new(),
            };
            Ok(Place { directory: path.to_owned(), name })
        }
        (Some(Kind::Other), Kind::Directory) => Err(PlaceError::OverFile),
        (None, Kind::Other) if means_directory(path) => Err(PlaceError::NoDirectory),
        _ => {
            let (directory, name) = split(path);
            Ok(Place { directory, name })
        }
    }
}

/// Whether a path can only be that of a directory.
fn means_directory(path: &str) -> bool {
    path.ends_with('/') || part(path) == Part::Content
}

/// Whether a path means what is in a directory.
pub(super) fn part(path: &str) -> Part {
    if path.rsplit('/').next() == Some(".") { Part::Content } else { Part::Whole }
}

/// The directory and the last name of a path; what is relative starts at the root.
pub(super) fn split(path: &str) -> (String, String) {
    let path = clean(&format!("/{path}"));
    let (directory, name) = path.rsplit_once('/').unwrap_or(("", &path));
    let directory = if directory.is_empty() { "/" } else { directory };
    (directory.to_owned(), name.to_owned())
}

/// Where a link in a directory leads.
pub(super) fn follow(path: &str, link: &str) -> String {
    if link.starts_with('/') {
        return link.to_owned();
    }
    clean(&format!("{}/{link}", split(path).0))
}

/// One side of a copy: `SERVICE:PATH`, `PATH` or `-`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Side<'a> {
    /// A service, and a path in its containers.
    Service(&'a str, &'a str),
    /// A path of the host.
    Path(&'a str),
    /// `-`: an archive on a standard stream.
    Stream,
}

impl<'a> Side<'a> {
    /// Reads an argument. `./a:b` and `/a:b` are paths.
    pub fn parse(word: &'a str) -> Self {
        match word.split_once(':') {
            _ if word == "-" => Self::Stream,
            Some((service, path)) if !word.starts_with(['/', '.']) => Self::Service(service, path),
            _ => Self::Path(word),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, Origin, Part, Side, follow, place, split};

    /// `DIRECTORY NAME`, or why there is none.
    fn placed(name: &str, path: &str, found: Option<Kind>) -> String {
        let (name, kind) = match name.strip_suffix('/') {
            Some(name) => (name, Kind::Directory),
            None => (name, Kind::Other),
        };
        let (name, part) = match name.strip_suffix("/.") {
            Some(name) => (name, Part::Content),
            None => (name, Part::Whole),
        };
        let origin = Origin { name: name.to_owned(), kind, part };
        match place(&origin, path, found) {
            Ok(place) => format!("{} {}", place.directory, place.name),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_directory_takes_things_in() {
        let there = Some(Kind::Directory);
        assert_eq!(placed("f", "/d", there), "/d f");
        assert_eq!(placed("f", "/d/", there), "/d/ f");
        assert_eq!(placed("s/", "/d", there), "/d s");
        assert_eq!(placed("s/./", "/d", there), "/d ");
    }

    #[test]
    fn a_file_is_replaced_by_a_file_only() {
        let there = Some(Kind::Other);
        assert_eq!(placed("f", "/d/g", there), "/d g");
        assert_eq!(placed("s/", "/d/g", there), "cannot copy directory");
    }

    #[test]
    fn what_is_not_there_gives_the_name() {
        assert_eq!(placed("f", "/d/g", None), "/d g");
        assert_eq!(placed("f", "/d/g/", None), "no such directory");
        assert_eq!(placed("f", "/d/g/.", None), "no such directory");
        assert_eq!(placed("s/", "/d/g", None), "/d g");
        assert_eq!(placed("s/", "/d/g/", None), "/d g");
        assert_eq!(placed("s/./", "/d/g", None), "/d g");
    }

    #[test]
    fn paths_start_at_the_root() {
        assert_eq!(split("a"), ("/".to_owned(), "a".to_owned()));
        assert_eq!(split("/a/../b/c/"), ("/b".to_owned(), "c".to_owned()));
        assert_eq!(split("/"), ("/".to_owned(), String::new()));
        assert_eq!(follow("/a/b", "../c"), "/c");
        assert_eq!(follow("/a/b", "/c"), "/c");
    }

    #[test]
    fn only_what_has_a_colon_is_in_a_service() {
        assert_eq!(Side::parse("web:/x:y"), Side::Service("web", "/x:y"));
        assert_eq!(Side::parse("./web:x"), Side::Path("./web:x"));
        assert_eq!(Side::parse("/web:x"), Side::Path("/web:x"));
        assert_eq!(Side::parse("x"), Side::Path("x"));
        assert_eq!(Side::parse("-"), Side::Stream);
    }
}
