//! Starting, stopping and removing containers.
//!
//! In: names. Out: requests. What has been done already is done: a container that runs may be
//! started, one that has ended may be stopped, one that is gone may be removed.
//!
//! # Invariants
//!
//! - Starts take turns with requests that make containers; stops do not, and may take their time.

use bollard::query_parameters::{
    KillContainerOptions, RemoveContainerOptions, RenameContainerOptions, RestartContainerOptions,
    StopContainerOptions, UploadToContainerOptions, WaitContainerOptions,
};
use futures_util::StreamExt as _;

use super::Docker;
use super::connect::Address;
use crate::model::observed::State;
use crate::model::spec::InjectedFile;
use crate::runtime::signal;
use crate::runtime::{Bytes, Result, RuntimeError, Volumes};

impl Docker {
    pub(super) async fn state_of(&self, container: &str) -> Result<Option<State>> {
        let found = self.client.inspect_container(container, None).await;
        let found = match found.map_err(|error| self.failure(error)) {
            Err(RuntimeError::NotFound(_)) => return Ok(None),
            found => found?,
        };
        let word = found.state.and_then(|state| state.status).map(|status| status.to_string());
        Ok(word.and_then(|word| State::from_word(&word)))
    }

    /// What the engine tells of a container, as it tells it.
    pub(super) async fn all_about(&self, container: &str) -> Result<serde_json::Value> {
        let found = self.client.inspect_container(container, None).await;
        let found = found.map_err(|error| self.failure(error))?;
        serde_json::to_value(found).map_err(|error| {
            RuntimeError::Refused(format!("the engine's words about {container}: {error}"))
        })
    }

    pub(super) async fn start(&self, container: &str, files: &[InjectedFile]) -> Result<()> {
        let _slot = self.slot().await?;
        if !files.is_empty() {
            self.inject(container, files).await?;
        }
        let done = self.patient.start_container(container, None).await;
        done.map_err(|error| self.failure(error))
    }

    /// Puts files into a container; folders that are missing are made by the engine.
    async fn inject(&self, container: &str, files: &[InjectedFile]) -> Result<()> {
        let failed = |source| RuntimeError::Io {
            action: format!("pack files for the container `{container}`"),
            source,
        };
        let tar = archive(files).map_err(failed)?;
        let options = UploadToContainerOptions { path: "/".to_owned(), ..Default::default() };
        let body = bollard::body_full(Bytes::from(tar));
        let done = self.patient.upload_to_container(container, Some(options), body).await;
        done.map_err(|error| self.failure(error))
    }

    pub(super) async fn stop(&self, container: &str, seconds: Option<i32>) -> Result<()> {
        let t = self.grace(container, seconds).await;
        let options = StopContainerOptions { t, ..Default::default() };
        let done = self.patient.stop_container(container, Some(options)).await;
        gone_is_fine(done.map_err(|error| self.failure(error)))
    }

    /// How long a container may take to stop. Where nobody has said it, a container of this machine
    /// whose first process cannot take its stop signal gets no time: it would not use it.
    async fn grace(&self, container: &str, seconds: Option<i32>) -> Option<i32> {
        if seconds.is_some() || !matches!(self.address, Address::Unix(_)) {
            return seconds;
        }
        let found = self.client.inspect_container(container, None).await.ok()?;
        let (config, state) = (found.config?, found.state?);
        if config.stop_timeout.is_some() || state.running != Some(true) {
            return None;
        }
        let named = config.stop_signal.filter(|name| !name.is_empty());
        let number = signal::number(named.as_deref().unwrap_or("SIGTERM"))?;
        let pid = state.pid?;
        (signal::is_of(pid, &found.id?) && signal::is_lost(pid, number)).then_some(0)
    }

    pub(super) async fn restart(&self, container: &str, seconds: Option<i32>) -> Result<()> {
        let t = self.grace(container, seconds).await;
        let options = RestartContainerOptions { t, ..Default::default() };
        let done = self.patient.restart_container(container, Some(options)).await;
        done.map_err(|error| self.failure(error))
    }

    pub(super) async fn signal(&self, container: &str, signal: &str) -> Result<()> {
        let options = KillContainerOptions { signal: signal.to_owned() };
        let done = self.client.kill_container(container, Some(options)).await;
        let words = ["is not running", "can only kill running containers"];
        gone_is_fine(done_is_fine(done.map_err(|error| self.failure(error)), &words))
    }

    pub(super) async fn pause(&self, container: &str) -> Result<()> {
        let done = self.patient.pause_container(container).await;
        done_is_fine(done.map_err(|error| self.failure(error)), &["already paused"])
    }

    pub(super) async fn unpause(&self, container: &str) -> Result<()> {
        let done = self.patient.unpause_container(container).await;
        done_is_fine(done.map_err(|error| self.failure(error)), &["is not paused"])
    }

    pub(super) async fn delete_container(&self, container: &str, volumes: Volumes) -> Result<()> {
        let options = RemoveContainerOptions {
            force: true,
            v: volumes == Volumes::Remove,
            ..Default::default()
        };
        let done = self.patient.remove_container(container, Some(options)).await;
        match done.map_err(|error| self.failure(error)) {
            Err(error) if error.to_string().contains("already in progress") => {
                self.wait_until_removed(container).await;
                Ok(())
            }
            done => gone_is_fine(done),
        }
    }

    /// Waits for somebody else's removal: whoever asked for it wants the name to be free.
    async fn wait_until_removed(&self, container: &str) {
        let options = WaitContainerOptions { condition: "removed".to_owned() };
        let mut waiting = std::pin::pin!(self.patient.wait_container(container, Some(options)));
        // However it ends, the container is gone or will be removed by the other one.
        let _ = waiting.next().await;
    }

    pub(super) async fn rename(&self, container: &str, name: &str) -> Result<()> {
        let options = RenameContainerOptions { name: name.to_owned() };
        let done = self.client.rename_container(container, options).await;
        done_is_fine(done.map_err(|error| self.failure(error)), &["same name"])
    }
}

/// Takes it as done that a container is gone.
fn gone_is_fine(done: Result<()>) -> Result<()> {
    match done {
        Err(RuntimeError::NotFound(_)) => Ok(()),
        done => done,
    }
}

/// Takes it as done that the engine says so, in Docker's words or in Podman's.
fn done_is_fine(done: Result<()>, words: &[&str]) -> Result<()> {
    match done {
        Err(error) if words.iter().any(|words| error.to_string().contains(words)) => Ok(()),
        done => done,
    }
}

/// The files as one archive. Their folders are not in it: those that exist stay as they are.
fn archive(files: &[InjectedFile]) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for file in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(file.content.len() as u64);
        header.set_mode(file.mode);
        header.set_uid(file.uid);
        header.set_gid(file.gid);
        let path = file.path.trim_start_matches('/');
        archive.append_data(&mut header, path, file.content.as_bytes())?;
    }
    archive.into_inner()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::archive;
    use crate::model::spec::InjectedFile;

    #[test]
    fn files_are_packed_with_owner_and_mode_and_without_their_folders() {
        let file = InjectedFile {
            path: "/run/secrets/token".to_owned(),
            content: "secret".to_owned(),
            uid: 7,
            gid: 8,
            mode: 0o440,
        };
        let packed = archive(&[file]).unwrap();
        let mut archive = tar::Archive::new(&packed[..]);
        let mut entries = archive.entries().unwrap();
        let mut entry = entries.next().unwrap().unwrap();
        let header = entry.header();
        assert_eq!(entry.path().unwrap().to_str(), Some("run/secrets/token"));
        assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (7, 8));
        assert_eq!(header.mode().unwrap(), 0o440);
        let mut content = String::new();
        entry.read_to_string(&mut content).unwrap();
        assert_eq!(content, "secret");
        assert!(entries.next().is_none());
    }

    #[test]
    fn a_path_out_of_the_container_is_refused() {
        let file = InjectedFile { path: "/../etc/passwd".to_owned(), ..Default::default() };
        assert!(archive(&[file]).is_err());
    }
}
