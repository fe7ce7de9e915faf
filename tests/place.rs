//! Where tests of the whole program run: on every runtime that can be had here.
//!
//! In: the name of a test. Out: one [`Place`] after the other, and a line for each runtime that is
//! skipped. What a test made is looked at through the [`Runtime`] itself, which the conformance
//! tests vouch for, so that one body holds for all.

use ketch::model::observed::Observed;
use ketch::model::{Dict, Hook, label};
use ketch::runtime::{Runtime, Volumes};

use crate::docker::{IMAGE, Probes, connect, settings};
use crate::native::Home;

/// The runtimes that run real containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Docker,
    Native,
}

/// A runtime, and what `ketch` must be told to use it.
pub(crate) struct Place {
    pub(crate) kind: Kind,
    pub(crate) runtime: Box<dyn Runtime>,
    /// The native runtime's own files: they go with it.
    home: Option<Home>,
    executor: tokio::runtime::Runtime,
}

impl Place {
    /// Every runtime in turn; those that cannot be had are told.
    pub(crate) fn all(test: &str) -> impl Iterator<Item = Self> {
        [Kind::Docker, Kind::Native].into_iter().filter_map(move |kind| Self::on(kind, test))
    }

    /// One runtime, if it can be had.
    pub(crate) fn on(kind: Kind, test: &str) -> Option<Self> {
        match Self::open(kind) {
            Ok(place) => {
                println!("{test} on {kind:?}");
                Some(place)
            }
            Err(reason) => {
                println!("skipped {test} on {kind:?}: {reason}");
                None
            }
        }
    }

    fn open(kind: Kind) -> Result<Self, String> {
        let executor = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (runtime, home): (Box<dyn Runtime>, _) = match kind {
            Kind::Docker => (Box::new(executor.block_on(connect(Probes::Engine))?), None),
            Kind::Native => {
                let home = Home::new()?;
                (Box::new(home.open()), Some(home))
            }
        };
        Ok(Self { kind, runtime, home, executor })
    }

    /// What the environment of `ketch` must say.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        let wanted = |name: &str| name.starts_with("DOCKER_") || name == "HOME" || name == "PATH";
        let inherited = settings().environment.into_iter().filter(|(name, _)| wanted(name));
        let own = match &self.home {
            Some(home) => home.environment(),
            None => vec![("KETCH_RUNTIME", "docker".to_owned())],
        };
        inherited.chain(own.into_iter().map(|(name, value)| (name.to_owned(), value))).collect()
    }

    /// What comes of asking the runtime something.
    pub(crate) fn ask<T>(&self, question: impl Future<Output = T>) -> T {
        self.executor.block_on(question)
    }

    /// All that carries the label of a project, and nothing that it only uses.
    pub(crate) fn observe(&self, project: &str) -> Observed {
        let mut seen = self.ask(self.runtime.observe(Some(project))).unwrap();
        seen.networks.retain(|it| it.labels.get(label::PROJECT).is_some_and(|it| it == project));
        seen.volumes.retain(|it| it.labels.get(label::PROJECT).is_some_and(|it| it == project));
        seen
    }

    /// Runs a command in a container to its end; gives its exit code and what it writes.
    pub(crate) fn exec(&self, container: &str, command: &[&str]) -> (i64, String) {
        let command = command.iter().map(|word| (*word).to_owned()).collect();
        let hook = Hook { command: Some(command), ..Hook::default() };
        self.ask(self.runtime.run_hook(container, &hook)).unwrap()
    }

    /// Gives the image of these tests another name.
    pub(crate) fn tag(&self, name: &str) {
        self.tag_of(IMAGE, name);
    }

    /// Gives an image another name.
    pub(crate) fn tag_of(&self, image: &str, name: &str) {
        let (program, words) = match self.kind {
            Kind::Docker => ("docker", &["tag"][..]),
            Kind::Native => (env!("CARGO_BIN_EXE_ketch"), &["image", "tag"][..]),
        };
        let mut command = std::process::Command::new(program);
        let done = command.args(words).args([image, name]).envs(self.environment()).output();
        assert!(done.as_ref().unwrap().status.success(), "{done:?}");
    }

    /// Removes all that belongs to a project, though its test may have failed.
    pub(crate) fn clear(&self, project: &str) {
        self.ask(async {
            let Ok(left) = self.runtime.observe(Some(project)).await else { return };
            for container in left.containers {
                let _ = self.runtime.remove_container(&container.id, Volumes::Remove).await;
            }
            let is_ours =
                |labels: &Dict| labels.get(label::PROJECT).is_some_and(|name| name == project);
            for network in left.networks.iter().filter(|it| is_ours(&it.labels)) {
                let _ = self.runtime.remove_network(&network.id).await;
            }
            for volume in left.volumes.iter().filter(|it| is_ours(&it.labels)) {
                let _ = self.runtime.remove_volume(&volume.name).await;
            }
        });
        if !std::thread::panicking() {
            assert_eq!(self.observe(project), Observed::default(), "removed is removed");
        }
    }
}
