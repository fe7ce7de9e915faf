//! A name for the work that lies in a folder: after its git branch, and after where it lies.
//!
//! In: a folder. Out: a name that is the same as long as folder and branch are, and another one for
//! every other folder. Git's own files are read; no program runs.
//!
//! # Invariants
//!
//! - The files may hold anything: of each only the beginning counts, and what cannot be read is as
//!   if it were not there.

use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::model::hash::hex;

use super::instance::slug;
use super::short;
use super::source::{Kind, Source};

/// How much of the name of a branch is told.
const LONGEST: usize = 24;
/// How much of a file is looked at.
const READ: usize = 4096;
/// Bytes of the digest that tells folders apart.
const DIGEST: usize = 3;

/// Names the work in this folder.
pub(super) fn name(source: &dyn Source, folder: &Path) -> String {
    let found = folder.ancestors().find_map(|root| {
        let dot_git = root.join(".git");
        let directory = match source.kind(&dot_git).ok()? {
            Kind::Directory => dot_git,
            Kind::File => linked(source, root, &dot_git)?,
            Kind::Other => return None,
        };
        Some((root, branch(source, &directory)))
    });
    let (root, branch) = found.unwrap_or((folder, None));
    let branch = branch.unwrap_or_default();
    let real = source.canonical(root).unwrap_or_else(|_| root.to_owned());
    let mut digest = Sha256::new();
    digest.update(real.as_os_str().as_encoded_bytes());
    digest.update([0]);
    digest.update(&branch);
    let end = hex(&digest.finalize()[..DIGEST]);
    let begin = slug(&branch, LONGEST);
    if begin.is_empty() { end } else { format!("{begin}-{end}") }
}

/// The directory that the `.git` file of a further worktree, or of a submodule, names.
fn linked(source: &dyn Source, root: &Path, file: &Path) -> Option<PathBuf> {
    let text = beginning(source, file)?;
    let path = text.lines().next()?.strip_prefix("gitdir:")?.trim();
    let joined = root.join(path);
    (!path.is_empty()).then(|| PathBuf::from(short::clean(&joined.to_string_lossy())))
}

/// The branch that is checked out; `None`: a commit is, or it cannot be told.
fn branch(source: &dyn Source, directory: &Path) -> Option<String> {
    /// What stands there where branches are kept in another way.
    const ELSEWHERE: &str = ".invalid";
    let head = beginning(source, &directory.join("HEAD"))?;
    let reference = head.lines().next()?.strip_prefix("ref:")?.trim();
    let branch = reference.strip_prefix("refs/heads/")?;
    (branch != ELSEWHERE && !branch.is_empty()).then(|| branch.to_owned())
}

fn beginning(source: &dyn Source, path: &Path) -> Option<String> {
    let bytes = source.read(path).ok()?;
    Some(String::from_utf8_lossy(&bytes[..bytes.len().min(READ)]).into_owned())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::name;
    use crate::project::Memory;

    fn named(source: &Memory, folder: &str) -> String {
        name(source, Path::new(folder))
    }

    /// What stands before the digest.
    fn begin(source: &Memory, folder: &str) -> String {
        let name = named(source, folder);
        assert!(name[name.len() - 6..].bytes().all(|byte| byte.is_ascii_hexdigit()), "{name}");
        name[..name.len() - 6].trim_end_matches('-').to_owned()
    }

    #[test]
    fn work_is_named_after_branch_and_folder() {
        let source = Memory::default()
            .with("/a/shop/.git/HEAD", "ref: refs/heads/feature/Login_2\n")
            .with("/a/shop/deploy/compose.yaml", "")
            .with("/b/shop/.git/HEAD", "ref: refs/heads/feature/Login_2\n");
        assert_eq!(begin(&source, "/a/shop"), "feature-login_2");
        assert_eq!(named(&source, "/a/shop/deploy"), named(&source, "/a/shop"), "the same work");
        assert_ne!(named(&source, "/b/shop"), named(&source, "/a/shop"), "another clone");
        let other = Memory::default().with("/a/shop/.git/HEAD", "ref: refs/heads/feature-login_2");
        assert_eq!(begin(&other, "/a/shop"), "feature-login_2");
        assert_ne!(named(&other, "/a/shop"), named(&source, "/a/shop"), "another branch");
    }

    #[test]
    fn further_worktrees_have_heads_of_their_own() {
        let source = Memory::default()
            .with("/a/.git/HEAD", "ref: refs/heads/main\n")
            .with("/a/.git/worktrees/b/HEAD", "ref: refs/heads/fix\n")
            .with("/a/.git/worktrees/c/HEAD", "ref: refs/heads/other\n")
            .with("/b/.git", "gitdir: /a/.git/worktrees/b\n")
            .with("/c/.git", "gitdir: ../a/.git/worktrees/c\n");
        assert_eq!(["/a", "/b", "/c"].map(|it| begin(&source, it)), ["main", "fix", "other"]);
    }

    #[test]
    fn without_a_branch_the_folder_names_the_work() {
        let commit = "0123456789012345678901234567890123456789\n";
        let source = Memory::default()
            .with("/commit/.git/HEAD", commit)
            .with("/none/compose.yaml", "")
            .with("/reftable/.git/HEAD", "ref: refs/heads/.invalid\n")
            .with("/noise/.git/HEAD", [0xff, 0, b'\n'].repeat(10_000))
            .with("/lost/.git", "gitdir: /nowhere\n")
            .with("/blank/.git", "gitdir:\n")
            .with("/odd/.git/HEAD", "ref: refs/heads/../../ü\n");
        for folder in ["/commit", "/none", "/reftable", "/noise", "/lost", "/blank", "/odd"] {
            assert_eq!(begin(&source, folder), "", "{folder}");
        }
        assert_ne!(named(&source, "/none"), named(&source, "/lost"));
        let long = format!("ref: refs/heads/{}\n", "é-x".repeat(3_000));
        let source = Memory::default().with("/long/.git/HEAD", long);
        assert!(named(&source, "/long").len() <= 31);
    }
}
