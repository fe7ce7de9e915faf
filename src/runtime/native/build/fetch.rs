//! What `ADD` and contexts name by an address: files over HTTP, and git repositories.
//!
//! In: an address. Out: a file or a directory, and what its content is known by.
//!
//! Repositories are fetched by the program `git`, as BuildKit does: it has the credentials and the
//! protocols.
//!
//! # Invariants
//!
//! - No address becomes a word that `git` takes for an option, and only protocols to other
//!   machines are permitted.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use indexmap::IndexMap;
use tokio::process::Command;

use super::copy::refused;
use super::dockerfile::Transfer;
use super::job::{Job, failed};
use super::tree::Tree;
use crate::runtime::native::image::{Scratch, download};
use crate::runtime::{Result, RuntimeError};

/// What was fetched.
#[derive(Clone, Debug)]
pub(super) struct Fetched {
    /// What it is called.
    pub(super) name: String,
    /// Where it is now: a file, or a directory for a repository.
    pub(super) path: PathBuf,
    /// What its content is known by.
    pub(super) digest: String,
    /// When it was changed, in seconds since 1970.
    pub(super) modified: Option<u64>,
    _scratch: Arc<Scratch>,
}

/// A repository: `ADDRESS[#REFERENCE[:DIRECTORY]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Repository {
    address: String,
    reference: String,
    directory: String,
}

impl Repository {
    /// The repository that an address names; `None`: it names none.
    pub(super) fn of(text: &str) -> Option<Self> {
        let (address, fragment) = text.split_once('#').unwrap_or((text, ""));
        let is_git = ["git@", "git://", "ssh://"].iter().any(|start| address.starts_with(start))
            || (address.starts_with("http") && address.strip_suffix(".git").is_some())
            || address.starts_with("github.com/");
        let address = match address.strip_prefix("github.com/") {
            Some(_) => format!("https://{address}"),
            None => address.to_owned(),
        };
        let (reference, directory) = fragment.split_once(':').unwrap_or((fragment, ""));
        is_git.then(|| Self {
            address,
            reference: reference.to_owned(),
            directory: directory.to_owned(),
        })
    }

    /// Fetches it as a build context; gives where it is.
    pub(super) async fn context(
        &self,
        scratch: &Scratch,
        environment: &IndexMap<String, String>,
        git: GitFiles,
    ) -> Result<PathBuf> {
        let top = scratch.path().join("repository");
        std::fs::create_dir(&top).map_err(failed("make", &top))?;
        self.fetch(&top, environment).await?;
        git.apply(&top)?;
        self.inside(&top)
    }

    /// The wanted directory of a repository that was fetched.
    fn inside(&self, top: &Path) -> Result<PathBuf> {
        let tree = Tree::open(top).and_then(|tree| tree.resolve(Path::new(&self.directory)));
        Ok(top.join(tree.map_err(failed("find", top))?.path))
    }

    /// Fetches it to an empty directory; gives the commit.
    async fn fetch(&self, to: &Path, environment: &IndexMap<String, String>) -> Result<String> {
        let reference = if self.reference.is_empty() { "HEAD" } else { &self.reference };
        if reference.starts_with('-') || self.address.starts_with('-') {
            return Err(refused(format!("`{}` is no address of a repository", self.address)));
        }
        let git = Git { to, environment };
        git.run(&["init", "--quiet"]).await?;
        let address = self.address.as_str();
        let whole = ["fetch", "--quiet", "--tags", "--", address, "+refs/*:refs/remotes/all/*"];
        let shallow = ["fetch", "--quiet", "--depth=1", "--", address, reference];
        let commit = match git.run(&shallow).await {
            Ok(_) => "FETCH_HEAD".to_owned(),
            // Some servers hand out commits only along with what leads to them.
            Err(_) if is_commit(reference) => {
                git.run(&whole).await?;
                reference.to_owned()
            }
            Err(error) => return Err(error),
        };
        git.run(&["checkout", "--quiet", "--detach", &commit]).await?;
        git.run(&["rev-parse", "HEAD"]).await.map(|text| text.trim().to_owned())
    }
}

/// What becomes of the files by which `git` knows a repository. Times stand in them: the same
/// commit has others each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GitFiles {
    Keep,
    Remove,
}

impl GitFiles {
    /// As the arguments of a build want it.
    pub(super) fn of_context(args: &BTreeMap<String, Option<String>>) -> Self {
        match args.get("BUILDKIT_CONTEXT_KEEP_GIT_DIR").and_then(Option::as_deref) {
            Some("1" | "true") => Self::Keep,
            _ => Self::Remove,
        }
    }

    fn apply(self, top: &Path) -> Result<()> {
        let git = top.join(".git");
        match self {
            Self::Keep => Ok(()),
            Self::Remove => std::fs::remove_dir_all(&git).map_err(failed("remove", &git)),
        }
    }
}

/// Variables that name another repository than the one that is worked on, as
/// `git rev-parse --local-env-vars` has them: a hook of `git` has them set. Not among them here are
/// those of settings, which may be how `git` gets at credentials.
const LOCAL: &[&str] = &[
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
];

fn is_commit(text: &str) -> bool {
    text.len() >= 7 && text.chars().all(|char| char.is_ascii_hexdigit())
}

struct Git<'a> {
    to: &'a Path,
    environment: &'a IndexMap<String, String>,
}

impl Git<'_> {
    async fn run(&self, words: &[&str]) -> Result<String> {
        let output = Command::new("git")
            .args(words)
            .current_dir(self.to)
            .env_clear()
            .envs(self.environment.iter().filter(|(name, _)| !LOCAL.contains(&name.as_str())))
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_ALLOW_PROTOCOL", "https:http:git:ssh")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await;
        let output = output.map_err(|source| RuntimeError::Io {
            action: "run `git`, which fetches repositories".to_owned(),
            source,
        })?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(refused(format!("`git {}` failed: {said}", words.first().unwrap_or(&""))))
    }
}

impl Job {
    /// Fetches what an address names.
    pub(super) async fn fetch(&self, address: &str, transfer: &Transfer) -> Result<Fetched> {
        let scratch = Arc::new(self.store.scratch()?);
        match Repository::of(address) {
            Some(repository) => self.fetch_repository(&repository, scratch, transfer).await,
            None => self.fetch_file(address, scratch, &transfer.checksum).await,
        }
    }

    async fn fetch_repository(
        &self,
        repository: &Repository,
        scratch: Arc<Scratch>,
        transfer: &Transfer,
    ) -> Result<Fetched> {
        let top = scratch.path().join("repository");
        std::fs::create_dir(&top).map_err(failed("make", &top))?;
        let commit = repository.fetch(&top, &self.native.environment).await?;
        let git = if transfer.keep_git { GitFiles::Keep } else { GitFiles::Remove };
        git.apply(&top)?;
        let path = repository.inside(&top)?;
        let digest = format!("{commit} {} {git:?}", repository.directory);
        let name = repository.address.clone();
        Ok(Fetched { name, path, digest, modified: None, _scratch: scratch })
    }

    async fn fetch_file(
        &self,
        address: &str,
        scratch: Arc<Scratch>,
        checksum: &str,
    ) -> Result<Fetched> {
        let path = scratch.path().join("file");
        let found = download(address, &self.native.environment, &path).await?;
        let digest = format!("sha256:{}", found.digest);
        if !checksum.is_empty() && checksum != digest {
            let said = format!("`{address}` is {digest}, and `--checksum` wants {checksum}");
            return Err(refused(said));
        }
        let own = address.split(['?', '#']).next().unwrap_or(address);
        let name = own.rsplit('/').next().unwrap_or_default();
        let name = if name.is_empty() { found.name } else { name.to_owned() };
        Ok(Fetched { name, path, digest, modified: found.modified, _scratch: scratch })
    }
}

#[cfg(test)]
mod tests {
    use super::Repository;

    #[test]
    fn addresses_of_repositories_are_told_from_files() {
        let of = |text: &str| {
            let found = Repository::of(text)?;
            Some(format!("{} {} {}", found.address, found.reference, found.directory))
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(of("https://x.org/a.git#v1:sub"), some("https://x.org/a.git v1 sub"));
        assert_eq!(of("git@x.org:a/b"), some("git@x.org:a/b  "));
        assert_eq!(of("github.com/a/b#:d"), some("https://github.com/a/b  d"));
        assert_eq!(of("https://x.org/a.tar.gz"), None);
    }
}
