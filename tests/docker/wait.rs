//! Waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ketch::model::observed::{Health, Milestone};
use ketch::model::spec::InjectedFile;
use ketch::runtime::docker::{Docker, Settings};
use ketch::runtime::{Runtime as _, RuntimeError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc::UnboundedSender;

use super::{Probes, in_world};

/// Longer than anything here takes; shorter than the checks of slow containers.
const LIMIT: Duration = Duration::from_mins(1);

#[test]
fn health_is_an_event() {
    in_world("health", Probes::Engine, |world| async move {
        let yaml = "{command: [sleep, '1000'],
                     healthcheck: {test: [CMD, 'true'], interval: 100000000}}";
        let spec = world.spec("web", yaml);
        world.docker.create_container(&spec).await.unwrap();
        // Those who wait may come before the start.
        let (started, one, other) = tokio::join!(
            world.docker.start_container(&spec.name, &[]),
            world.docker.wait(&spec.name, Milestone::Healthy),
            world.docker.wait(&spec.name, Milestone::Ready),
        );
        started.and(one).and(other).unwrap();
        assert_eq!(world.seen("web").await.unwrap().health, Health::Healthy);
        world.docker.wait(&spec.name, Milestone::Healthy).await.unwrap();
    });
}

#[test]
fn a_check_that_fails_says_why() {
    in_world("unhealthy", Probes::Engine, |world| async move {
        let yaml = "{command: [sleep, '1000'], healthcheck: {
                     test: [CMD-SHELL, 'echo refused; exit 1'], interval: 100000000, retries: 2}}";
        let name = world.run("web", yaml).await;
        let error = world.docker.wait(&name, Milestone::Healthy).await.unwrap_err();
        let RuntimeError::Unhealthy { container, output } = error else { panic!("{error}") };
        assert_eq!((container, output.as_str()), (name, "refused"));
    });
}

#[test]
fn what_has_no_check_never_becomes_healthy() {
    in_world("checkless", Probes::Engine, |world| async move {
        let name = world.run("web", "{command: [sleep, '1000']}").await;
        let error = world.docker.wait(&name, Milestone::Healthy).await.unwrap_err();
        assert!(matches!(error, RuntimeError::NoHealthcheck(_)), "{error}");
        world.docker.wait(&name, Milestone::Ready).await.unwrap();
    });
}

#[test]
fn the_end_is_an_event_too() {
    in_world("end", Probes::Engine, |world| async move {
        let docker = &world.docker;
        let good = world.run("good", "{command: [sleep, '0.5']}").await;
        let bad = world.run("bad", "{command: [sh, -c, 'sleep 0.5; exit 3']}").await;
        let checked =
            "{command: [sh, -c, 'sleep 0.5; exit 4'], healthcheck: {test: [CMD, 'false']}}";
        let checked = world.run("checked", checked).await;
        let (good, bad, checked, code) = tokio::join!(
            docker.wait(&good, Milestone::Completed),
            docker.wait(&bad, Milestone::Completed),
            docker.wait(&checked, Milestone::ReadyOrCompleted),
            docker.wait_ended(&bad),
        );
        good.unwrap();
        assert!(matches!(bad, Err(RuntimeError::Exited { code: 3, .. })), "{bad:?}");
        assert!(matches!(checked, Err(RuntimeError::Exited { code: 4, .. })), "{checked:?}");
        assert_eq!(code.unwrap(), 3);
    });
}

#[test]
fn what_is_removed_is_not_waited_for() {
    in_world("removed", Probes::Engine, |world| async move {
        let yaml =
            "{command: [sleep, '1000'], healthcheck: {test: [CMD, 'true'], interval: 60000000000}}";
        let name = world.run("web", yaml).await;
        let wait = world.docker.wait(&name, Milestone::Healthy);
        let remove = world.docker.remove_container(&name, ketch::runtime::Volumes::Remove);
        let (waited, removed) = tokio::join!(wait, remove);
        removed.unwrap();
        let gone = matches!(waited, Err(RuntimeError::NotFound(_) | RuntimeError::Exited { .. }));
        assert!(gone, "{waited:?}");
    });
}

#[test]
fn an_eager_probe_knows_before_the_engine() {
    in_world("eager", Probes::Eager, |world| async move {
        // The engine looks for the first time after half an hour.
        let yaml = "{command: [sh, -c, 'sleep 0.3; touch /tmp/ready; sleep 1000'],
                     healthcheck: {test: [CMD-SHELL, 'test -f /tmp/ready'], interval: 1800000000000}}";
        let name = world.run("web", yaml).await;
        let both = async {
            tokio::join!(
                world.docker.wait(&name, Milestone::Healthy),
                world.docker.wait(&name, Milestone::Ready)
            )
        };
        let (one, other) = tokio::time::timeout(LIMIT, both).await.unwrap();
        one.and(other).unwrap();
        assert_eq!(world.seen("web").await.unwrap().health, Health::Starting);
    });
}

#[test]
fn eager_probes_stop_when_the_container_ends() {
    in_world("eager-end", Probes::Eager, |world| async move {
        let yaml = "{command: [sh, -c, 'sleep 0.5; exit 3'],
                     healthcheck: {test: [CMD, 'false'], interval: 1800000000000}}";
        let name = world.run("web", yaml).await;
        let wait = world.docker.wait(&name, Milestone::Healthy);
        let ended = tokio::time::timeout(LIMIT, wait).await.unwrap();
        assert!(matches!(ended, Err(RuntimeError::Exited { code: 3, .. })), "{ended:?}");
    });
}

#[test]
fn a_broken_subscription_is_opened_again() {
    in_world("broken", Probes::Engine, |world| async move {
        let Some(socket) = engine_socket(&world).await else {
            return println!("skipped: the engine has no socket here");
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("proxy.sock");
        let (streams, mut broken) = tokio::sync::mpsc::unbounded_channel();
        let proxy = tokio::spawn(relay(UnixListener::bind(&path).unwrap(), socket, streams));
        let host = Some(format!("unix://{}", path.display()));
        let docker = Docker::connect(Settings { host, ..Settings::default() }).await.unwrap();

        let yaml = "{command: [sleep, '1000'],
                     healthcheck: {test: [CMD-SHELL, 'test -f /ready'], interval: 100000000,
                                   retries: 1000}}";
        let name = world.run("web", yaml).await;
        let becomes_ready = async {
            // The first subscription has broken, the second one lives.
            for _ in 0..2 {
                tokio::time::timeout(LIMIT, broken.recv()).await.unwrap();
            }
            let file = InjectedFile { path: "/ready".to_owned(), ..InjectedFile::default() };
            world.docker.start_container(&name, &[file]).await.unwrap();
        };
        let both = async { tokio::join!(docker.wait(&name, Milestone::Healthy), becomes_ready) };
        tokio::time::timeout(LIMIT, both).await.unwrap().0.unwrap();
        proxy.abort();
    });
}

async fn engine_socket(world: &super::World) -> Option<String> {
    let version = world.docker.version().await.unwrap();
    version.address.strip_prefix("unix://").map(str::to_owned)
}

/// Relays connections to an engine, tells of requests for events, and breaks the first of them.
async fn relay(listener: UnixListener, engine: String, streams: UnboundedSender<()>) {
    let breaks = Arc::new(AtomicBool::new(true));
    loop {
        let (here, _) = listener.accept().await.unwrap();
        let there = UnixStream::connect(&engine).await.unwrap();
        tokio::spawn(relay_one(here, there, streams.clone(), Arc::clone(&breaks)));
    }
}

async fn relay_one(
    here: UnixStream,
    there: UnixStream,
    streams: UnboundedSender<()>,
    breaks: Arc<AtomicBool>,
) {
    let (mut requests, mut to_client) = here.into_split();
    let (mut answers, mut to_engine) = there.into_split();
    let back = tokio::spawn(async move { tokio::io::copy(&mut answers, &mut to_client).await });
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(length @ 1..) = requests.read(&mut buffer).await {
        let request = &buffer[..length];
        to_engine.write_all(request).await.unwrap();
        if String::from_utf8_lossy(request).contains("/events?") {
            let first = breaks.swap(false, Ordering::Relaxed);
            // The test may have ended.
            let _ = streams.send(());
            if first {
                break;
            }
        }
    }
    back.abort();
}
