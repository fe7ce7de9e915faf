//! Building images.
//!
//! In: a [`BuildSpec`]. Out: an image of all its tags, and each line of output as progress.
//!
//! BuildKit is driven through the program `docker-buildx`, as Docker Compose does: it alone covers
//! every attribute (attestations, caches, named contexts, entitlements, several tags), for every
//! kind of builder. bollard's own client holds the context in memory, tags one name, and knows no
//! attestations. Without the program, or if BuildKit is not wanted, the engine's classic builder is
//! used, and what it cannot do is refused.
//!
//! # Invariants
//!
//! - No attribute is dropped: it is passed on, or the build is refused before it begins. Only the
//!   flag `--memory` is merely told to have no effect, as Docker Compose has it.
//! - `additional_contexts` name no services: `plan` has put images in their place.

mod buildx;
mod classic;
mod context;

use std::path::{Path, PathBuf};

use super::connect::Proxies;
use super::{Address, Docker};
use crate::model::Dict;
use crate::model::spec::BuildSpec;
use crate::runtime::{OnProgress, Progress, Result, RuntimeError};

/// What builds.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Builder {
    /// BuildKit, through this program.
    Buildx(PathBuf),
    /// The engine's classic builder, and why it is not BuildKit.
    Classic(&'static str),
}

/// Where the files for a build are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source<'a> {
    /// A directory of this machine.
    Directory(&'a Path),
    /// A repository or archive that the engine fetches.
    Remote(&'a str),
}

impl<'a> Source<'a> {
    fn of(context: &'a str) -> Self {
        const REMOTE: [&str; 7] =
            ["https://", "http://", "git://", "ssh://", "git@", "github.com/", "file://"];
        if REMOTE.iter().any(|start| context.starts_with(start)) {
            Self::Remote(context)
        } else {
            Self::Directory(Path::new(if context.is_empty() { "." } else { context }))
        }
    }
}

impl Docker {
    pub(super) async fn build_image(
        &self,
        build: &BuildSpec,
        progress: OnProgress<'_>,
    ) -> Result<()> {
        check_contexts(build)?;
        match self.builder() {
            Builder::Buildx(program) => {
                if build.options.memory > 0 {
                    progress(line("", "--memory has no effect: BuildKit knows no such limit"));
                }
                self.build_with_buildx(&program, build, progress).await
            }
            Builder::Classic(why) => {
                classic::refuse(build, why)?;
                progress(line("", &format!("using the engine's classic builder: {why}")));
                self.build_classic(&with_proxies(build, &self.proxies), progress).await
            }
        }
    }

    fn builder(&self) -> Builder {
        // The first version of the API that knows BuildKit.
        const OLDEST: (usize, usize) = (1, 39);
        let wanted = self.settings.environment.get("DOCKER_BUILDKIT").map_or("", String::as_str);
        if matches!(wanted, "0" | "false" | "f" | "F" | "FALSE" | "False") {
            Builder::Classic("DOCKER_BUILDKIT turns it off")
        } else if (self.api.major_version, self.api.minor_version) < OLDEST {
            Builder::Classic("the engine is too old for it")
        } else {
            match self.plugin_named("docker-buildx") {
                Some(program) => Builder::Buildx(program),
                None => Builder::Classic("the plug-in docker-buildx is not installed"),
            }
        }
    }

    /// What tells other programs which engine is meant.
    pub(super) fn engine_variables(&self) -> Dict {
        let host = match &self.address {
            Address::Unix(path) => format!("unix://{}", path.display()),
            Address::Remote(address) => address.clone(),
        };
        [("DOCKER_HOST".to_owned(), host)].into()
    }

    /// A plug-in of the `docker` program, from where that one looks for them.
    pub(super) fn plugin_named(&self, name: &str) -> Option<PathBuf> {
        const EVERYBODYS: [&str; 4] = [
            "/usr/local/lib/docker/cli-plugins",
            "/usr/local/libexec/docker/cli-plugins",
            "/usr/lib/docker/cli-plugins",
            "/usr/libexec/docker/cli-plugins",
        ];
        let own = self.config_directory().map(|directory| directory.join("cli-plugins"));
        let directories = own.into_iter().chain(EVERYBODYS.map(PathBuf::from));
        directories.map(|directory| directory.join(name)).find(|path| path.is_file())
    }
}

/// The same build with the proxies that the `docker` program is set up with; `docker-buildx` adds
/// them itself. What the file says wins.
fn with_proxies(build: &BuildSpec, proxies: &Proxies) -> BuildSpec {
    let mut build = build.clone();
    for (name, value) in proxies {
        build.build.args.entry(name.clone()).or_insert_with(|| Some(value.clone()));
    }
    build
}

fn check_contexts(build: &BuildSpec) -> Result<()> {
    let mut contexts = build.build.additional_contexts.iter();
    match contexts.find(|(_, value)| value.starts_with("service:")) {
        None => Ok(()),
        Some((name, value)) => Err(RuntimeError::Unsupported(format!(
            "`additional_contexts.{name}` of service `{}` is `{value}`, which has no image",
            build.service_name
        ))),
    }
}

/// A line of output of a step.
fn line(step: &str, text: &str) -> Progress {
    Progress { part: step.to_owned(), status: text.to_owned(), ..Progress::default() }
}

/// The error of a step.
fn failed(step: &str, why: &str) -> RuntimeError {
    RuntimeError::Refused(if step.is_empty() {
        why.to_owned()
    } else {
        format!("step `{step}` failed: {why}")
    })
}

#[cfg(test)]
mod tests;
