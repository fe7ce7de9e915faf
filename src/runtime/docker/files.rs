//! Files in containers, in and out as tar archives.
//!
//! In: a container, a path, an archive. Out: archives as they are made; nothing is held in memory.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::AsFd as _;

use bollard::body_stream;
use bollard::query_parameters::{
    ContainerArchiveInfoOptions, DownloadFromContainerOptions, UploadToContainerOptions,
};
use futures_util::stream::{BoxStream, StreamExt as _};

use super::{Address, Docker};
use crate::model::transfer::{Difference, Transfer, Transferred, Trust};
use crate::runtime::mirror;
use crate::runtime::{Bytes, PathInfo, Result, RuntimeError, Stream};

/// The most that is read of what the kernel says about a process.
const LONGEST: u64 = 64 * 1024;

/// The bit of a directory in the modes that engines tell, which are those of Go.
const DIRECTORY: u32 = 1 << 31;

impl Docker {
    pub(super) async fn path_info(&self, container: &str, path: &str) -> Result<Option<PathInfo>> {
        let options = ContainerArchiveInfoOptions { path: path.to_owned() };
        let found = self.client.get_container_archive_info(container, Some(options)).await;
        match found.map_err(|error| self.failure(error)) {
            Ok(found) => Ok(Some(PathInfo {
                name: found.name,
                is_dir: found.file_mode & DIRECTORY != 0,
                link: found.link_target,
            })),
            // The answer has no words: is it the path that is missing, or the container?
            Err(RuntimeError::NotFound(_)) => self.packing_of(container).await.map(|_| None),
            Err(other) => Err(other),
        }
    }

    pub(super) fn download(&self, container: &str, path: &str) -> Stream<'static, Bytes> {
        let wire = self.wire();
        let options = DownloadFromContainerOptions { path: path.to_owned() };
        self.streaming
            .download_from_container(container, Some(options))
            .map(move |bytes| bytes.map_err(|error| wire.failure(error)))
            .boxed()
    }

    /// Unpacks an archive. Files belong to whom the archive says: the engine's `copyUIDGID` would
    /// give them to the container's user, whom engines look for among the users of the host, so
    /// that it fails for `user: 1000:1000`. A directory is never replaced by something else, nor
    /// the other way round.
    pub(super) async fn upload(
        &self,
        container: &str,
        directory: &str,
        tar: BoxStream<'static, Bytes>,
    ) -> Result<()> {
        let options = UploadToContainerOptions {
            path: directory.to_owned(),
            no_overwrite_dir_non_dir: Some("1".to_owned()),
            copy_uidgid: None,
        };
        self.patient
            .upload_to_container(container, Some(options), body_stream(tar))
            .await
            .map_err(|error| self.failure(error))
    }

    /// Brings files, in one step each where the root of the container can be reached from here.
    pub(super) async fn mirror_files(
        &self,
        container: &str,
        transfers: Vec<Transfer>,
    ) -> Result<Transferred> {
        match self.root_of(container).await? {
            Some(root) => beneath(move || Ok(mirror::apply(root.as_fd(), &transfers))).await,
            None => mirror::archive::apply(self, container, &transfers).await,
        }
    }

    pub(super) async fn compare_files(
        &self,
        container: &str,
        transfers: Vec<Transfer>,
        trust: Trust,
    ) -> Result<Vec<(Transfer, Difference)>> {
        match self.root_of(container).await? {
            Some(root) => beneath(move || mirror::compare(root.as_fd(), &transfers, trust)).await,
            None => mirror::archive::compare(self, container, &transfers, trust).await,
        }
    }

    /// The root of a container that runs on this machine, if this process may write to it.
    async fn root_of(&self, container: &str) -> Result<Option<File>> {
        if !matches!(self.address, Address::Unix(_)) || !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let found = self.client.inspect_container(container, None).await;
        let found = found.map_err(|error| self.failure(error))?;
        let pid = found.state.and_then(|state| state.pid).unwrap_or_default();
        let id = found.id.unwrap_or_default();
        if pid <= 0 || id.is_empty() {
            return Ok(None);
        }
        let root = File::open(format!("/proc/{pid}/root/"));
        // The engine may live in another world, where this number means another process; and the
        // process may have ended. Looked at after the root was opened, this holds for the root.
        let mut groups = String::new();
        let read = File::open(format!("/proc/{pid}/cgroup"))
            .and_then(|file| file.take(LONGEST).read_to_string(&mut groups));
        let is_it = read.is_ok() && groups.contains(&id);
        Ok(root.ok().filter(|_| is_it))
    }

    pub(super) fn whole_file_system(&self, container: &str) -> Stream<'static, Bytes> {
        let wire = self.wire();
        self.streaming
            .export_container(container)
            .map(move |bytes| bytes.map_err(|error| wire.failure(error)))
            .boxed()
    }
}

/// Does something that blocks.
async fn beneath<T: Send + 'static>(act: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let ended = |error: tokio::task::JoinError| RuntimeError::Refused(error.to_string());
    tokio::task::spawn_blocking(act).await.map_err(ended)?
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt as _;
    use futures_util::stream;

    use super::super::trial::{IMAGE, Trial, docker, engine};
    use super::*;

    fn archive(files: &[(&str, &str)]) -> BoxStream<'static, Bytes> {
        let mut tar = tar::Builder::new(Vec::new());
        for (path, text) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o640);
            header.set_uid(7);
            header.set_gid(8);
            tar.append_data(&mut header, path, text.as_bytes()).unwrap();
        }
        let bytes = Bytes::from(tar.into_inner().unwrap());
        let pieces: Vec<Bytes> = bytes.chunks(100).map(|piece| bytes.slice_ref(piece)).collect();
        stream::iter(pieces).boxed()
    }

    async fn paths(stream: Stream<'static, Bytes>) -> Vec<String> {
        let bytes = stream.try_collect::<Vec<Bytes>>().await.unwrap().concat();
        let mut tar = tar::Archive::new(bytes.as_slice());
        let path = |entry: std::io::Result<tar::Entry<'_, _>>| {
            entry.unwrap().path().unwrap().display().to_string()
        };
        tar.entries().unwrap().map(path).collect()
    }

    #[tokio::test]
    async fn files_go_in_and_come_out() {
        let Some(engine) = engine().await else { return };
        let trial = Trial::run("files", &["--user", "5:6", IMAGE, "sleep", "600"]);
        let files = [("d/a", "one"), ("d/b", "two")];
        engine.upload(&trial.name, "/tmp", archive(&files)).await.unwrap();
        let format = "%u:%g %a %n";
        let words = ["exec", &trial.name, "busybox", "stat", "-c", format, "/tmp/d/a"];
        let found = String::from_utf8(docker(&words).stdout).unwrap();
        assert_eq!(found.trim(), "7:8 640 /tmp/d/a");
        assert_eq!(paths(engine.download(&trial.name, "/tmp/d")).await, ["d/", "d/a", "d/b"]);
        let file = engine.path_info(&trial.name, "/tmp/d/a").await.unwrap().unwrap();
        assert_eq!(file, PathInfo { name: "a".into(), is_dir: false, link: String::new() });
        let directory = engine.path_info(&trial.name, "/tmp/d").await.unwrap().unwrap();
        assert!(directory.is_dir);
        // A directory is not replaced by a file.
        let over = engine.upload(&trial.name, "/tmp", archive(&[("d", "x")])).await.unwrap_err();
        assert!(over.to_string().contains("cannot overwrite directory"), "{over}");
    }

    fn transfers(host: &std::path::Path, names: &[&str]) -> Vec<Transfer> {
        let base: std::sync::Arc<std::path::Path> = std::path::Path::new("/app").into();
        let transfer = |name: &&str| Transfer {
            path: base.join(name),
            base: base.clone(),
            source: Some(host.join(name)),
            only: None,
        };
        names.iter().map(transfer).collect()
    }

    /// As with an engine of another machine.
    #[tokio::test]
    async fn archives_take_nothing_away_that_was_not_asked_for() {
        let Some(engine) = engine().await else { return };
        let script = "mkdir -p /srv/pkg/own /srv/a; ln -s srv /app; exec sleep 600";
        let trial = Trial::run("files-kinds", &[IMAGE, "sh", "-c", script]);
        let host = tempfile::tempdir().unwrap();
        std::fs::create_dir(host.path().join("pkg")).unwrap();
        std::fs::write(host.path().join("a"), "a").unwrap();
        std::fs::write(host.path().join("pkg/b"), "b").unwrap();
        let all = transfers(host.path(), &["", "a", "pkg", "pkg/b"]);
        while engine.path_info(&trial.name, "/app").await.unwrap().is_none() {
            tokio::task::yield_now().await;
        }
        let brought = mirror::archive::apply(&engine, &trial.name, &all).await.unwrap();
        assert_eq!((brought.done, brought.failed.len()), (0, 4), "{brought:?}");
        assert!(brought.failed[0].1.contains("cannot overwrite"), "{brought:?}");
        let own = engine.path_info(&trial.name, "/srv/pkg/own").await.unwrap();
        assert!(own.is_some_and(|it| it.is_dir));
        let compare = async || {
            let found = mirror::archive::compare(&engine, &trial.name, &all, Trust::Times).await;
            let found = found.unwrap().into_iter();
            found.map(|(it, difference)| (it.path, difference)).collect::<Vec<_>>()
        };
        let found = compare().await;
        assert!(found.contains(&("/app/a".into(), Difference::Kind)), "{found:?}");
        let stay = [std::path::Path::new("/app"), std::path::Path::new("/app/pkg")];
        assert!(!found.iter().any(|(path, _)| stay.contains(&path.as_path())), "{found:?}");
        let mut again = all.clone();
        again.push(Transfer { source: None, ..all[1].clone() });
        let brought = mirror::archive::apply(&engine, &trial.name, &again).await.unwrap();
        assert_eq!((brought.done, brought.failed.len()), (5, 0), "{brought:?}");
        assert_eq!(compare().await, []);
        assert_eq!(engine.path_info(&trial.name, "/app").await.unwrap().unwrap().link, "/srv");
    }

    #[tokio::test]
    async fn archives_take_a_link_away_and_not_what_it_leads_to() {
        let Some(engine) = engine().await else { return };
        let script = "mkdir -p /srv/own; ln -s srv /app; exec sleep 600";
        let trial = Trial::run("files-link", &[IMAGE, "sh", "-c", script]);
        while engine.path_info(&trial.name, "/app").await.unwrap().is_none() {
            tokio::task::yield_now().await;
        }
        let path = std::path::Path::new("/app");
        let gone = Transfer { path: path.into(), base: path.into(), source: None, only: None };
        let brought = mirror::archive::apply(&engine, &trial.name, &[gone]).await.unwrap();
        assert_eq!(brought.done, 1, "{brought:?}");
        assert_eq!(engine.path_info(&trial.name, "/app").await.unwrap(), None);
        assert!(engine.path_info(&trial.name, "/srv/own").await.unwrap().is_some());
    }

    #[tokio::test]
    async fn archives_compare_a_target_that_is_the_root() {
        let Some(engine) = engine().await else { return };
        let trial = Trial::create("files-root", &[IMAGE, "true"]);
        let host = tempfile::tempdir().unwrap();
        std::fs::create_dir(host.path().join("bin")).unwrap();
        std::fs::write(host.path().join("bin/new"), "x").unwrap();
        let base: std::sync::Arc<std::path::Path> = std::path::Path::new("/").into();
        let all: Vec<Transfer> = ["/", "/bin", "/bin/new"]
            .map(|path| Transfer {
                path: path.into(),
                base: base.clone(),
                source: Some(host.path().join(&path[1..])),
                only: None,
            })
            .into();
        let found = mirror::archive::compare(&engine, &trial.name, &all, Trust::Contents).await;
        let found = found.unwrap().into_iter().map(|(it, difference)| (it.path, difference));
        assert_eq!(found.collect::<Vec<_>>(), [("/bin/new".into(), Difference::Missing)]);
    }

    #[tokio::test]
    async fn what_is_missing_is_told_apart() {
        let Some(engine) = engine().await else { return };
        let trial = Trial::create("files-missing", &[IMAGE, "true"]);
        assert_eq!(engine.path_info(&trial.name, "/nosuch").await.unwrap(), None);
        let gone = "hstreams-missing";
        let error = engine.path_info(gone, "/").await.unwrap_err();
        assert!(matches!(error, RuntimeError::NotFound(_)), "{error:?}");
        let error = engine.download(&trial.name, "/nosuch").try_next().await.unwrap_err();
        assert!(matches!(error, RuntimeError::NotFound(_)), "{error:?}");
        let error = engine.upload(gone, "/", archive(&[("a", "")])).await.unwrap_err();
        assert!(matches!(error, RuntimeError::NotFound(_)), "{error:?}");
    }

    #[tokio::test]
    async fn the_whole_file_system_comes_out() {
        let Some(engine) = engine().await else { return };
        let trial = Trial::create("files-export", &[IMAGE, "true"]);
        let found = paths(engine.whole_file_system(&trial.name)).await;
        assert!(found.iter().any(|path| path == "bin/busybox"), "{found:?}");
    }
}
