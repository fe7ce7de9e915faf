//! What only the fake can do: scripts, faults, time, files. What every runtime does is in
//! tests/runtime.rs.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _};
use tokio::io::AsyncWriteExt as _;
use tokio::time::{Instant, sleep, timeout};

use super::{Behaviour, Fake, Fault};
use crate::model::observed::{Health, Milestone, State};
use crate::model::spec::ContainerSpec;
use crate::model::{Mount, Port, Service, label};
use crate::runtime::{
    AttachOptions, ExecSpec, Feature, LogOptions, Repeat, Runtime as _, RuntimeError, Volumes,
};

const SECOND: Duration = Duration::from_secs(1);

fn spec(name: &str) -> ContainerSpec {
    let labels = [(label::PROJECT, "p"), (label::SERVICE, name)];
    ContainerSpec {
        name: name.to_owned(),
        service_name: name.to_owned(),
        image: "app".to_owned(),
        labels: labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        ..ContainerSpec::default()
    }
}

/// A world with one running container, `web`.
async fn running(behaviour: Behaviour) -> Fake {
    let fake = Fake::new().with_image("app").with_behaviour("web", behaviour);
    fake.create_container(&spec("web")).await.unwrap();
    fake.start_container("web", &[]).await.unwrap();
    fake
}

async fn state(fake: &Fake) -> (State, Health, i64) {
    let observed = fake.observe(Some("p")).await.unwrap();
    let web = &observed.containers[0];
    (web.state, web.health, web.exit_code)
}

fn checked(behaviour: Behaviour) -> Behaviour {
    Behaviour { has_healthcheck: true, ..behaviour }
}

#[tokio::test(start_paused = true)]
async fn health_follows_the_script() {
    let fake = running(checked(Behaviour::healthy_after(5 * SECOND))).await;
    assert_eq!(state(&fake).await.1, Health::Starting);
    let began = Instant::now();
    fake.wait("web", Milestone::Healthy).await.unwrap();
    assert_eq!(began.elapsed(), 5 * SECOND);
    assert_eq!(state(&fake).await.1, Health::Healthy);

    let fake = running(checked(Behaviour::unhealthy_after(5 * SECOND))).await;
    let error = fake.wait("web", Milestone::Ready).await.unwrap_err();
    assert!(matches!(error, RuntimeError::Unhealthy { .. }), "{error}");

    let fake = running(checked(Behaviour::never_healthy())).await;
    assert!(timeout(1000 * SECOND, fake.wait("web", Milestone::Healthy)).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_process_ends_when_the_script_says() {
    let fake = running(Behaviour::exits(2 * SECOND, 3)).await;
    let began = Instant::now();
    assert_eq!(fake.wait_ended("web").await.unwrap(), 3);
    assert_eq!(began.elapsed(), 2 * SECOND);
    assert_eq!(state(&fake).await, (State::Exited, Health::None, 3));
    let error = fake.wait("web", Milestone::Ready).await.unwrap_err();
    assert!(matches!(error, RuntimeError::Exited { code: 3, .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_container_that_fails_to_start_stays_created() {
    let fake = Fake::new().with_image("app");
    let fake = fake.with_behaviour("app", Behaviour::fails_to_start("exec: no such file"));
    fake.create_container(&spec("web")).await.unwrap();
    let error = fake.start_container("web", &[]).await.unwrap_err();
    assert_eq!(error.to_string(), "exec: no such file");
    assert_eq!(state(&fake).await.0, State::Created);
}

#[tokio::test(start_paused = true)]
async fn what_ignores_the_signal_is_killed_when_the_time_is_up() {
    for (seconds, expected) in [(None, 10), (Some(3), 3)] {
        let fake = running(Behaviour::ignores_stop()).await;
        let began = Instant::now();
        fake.stop_container("web", seconds).await.unwrap();
        assert_eq!(began.elapsed(), expected * SECOND);
        assert_eq!(state(&fake).await.2, 137);
    }
    let fake = running(Behaviour::ignores_stop()).await;
    assert!(timeout(1000 * SECOND, fake.stop_container("web", Some(-1))).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_kill_ends_a_stop() {
    let fake = running(Behaviour::ignores_stop()).await;
    let began = Instant::now();
    let kill = async {
        sleep(SECOND).await;
        fake.kill_container("web", "SIGKILL").await.unwrap();
    };
    let (stopped, ()) = tokio::join!(fake.stop_container("web", None), kill);
    stopped.unwrap();
    assert_eq!(began.elapsed(), SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_call_goes_wrong_once() {
    let fake = Fake::new().with_image("app").with_fault_at(1, Fault::Fail);
    fake.create_container(&spec("a")).await.unwrap();
    let error = fake.create_container(&spec("b")).await.unwrap_err();
    assert_eq!(error.to_string(), "`create_container b` was told to fail");
    fake.create_container(&spec("b")).await.unwrap();

    fake.fault_in("start_container a", Fault::Hang);
    assert!(timeout(1000 * SECOND, fake.start_container("a", &[])).await.is_err());
    assert_eq!(fake.look(|world| world.container("a").unwrap().state()), State::Created);

    fake.fault_at(0, Fault::LoseAnswer);
    fake.start_container("a", &[]).await.unwrap_err();
    assert_eq!(fake.look(|world| world.container("a").unwrap().state()), State::Running);
}

#[tokio::test(start_paused = true)]
async fn ports_of_the_host_are_given_to_one() {
    let port =
        |published: &str| Port { target: 80, published: published.to_owned(), ..Port::default() };
    let with = |name: &str, published: &str| ContainerSpec {
        service: Arc::new(Service { ports: vec![port(published)], ..Service::default() }),
        ..spec(name)
    };
    let fake = Fake::new().with_image("app");
    for (name, published) in [("a", "8080"), ("b", "8080-8081"), ("c", ""), ("d", "8081")] {
        fake.create_container(&with(name, published)).await.unwrap();
    }
    for name in ["a", "b", "c"] {
        fake.start_container(name, &[]).await.unwrap();
    }
    let error = fake.start_container("d", &[]).await.unwrap_err();
    assert!(matches!(error, RuntimeError::PortTaken { port: 8081, .. }), "{error}");
    let observed = fake.observe(None).await.unwrap();
    let ports: Vec<_> = observed.containers.iter().map(|it| it.ports[0].published).collect();
    assert_eq!(ports, [Some(8080), Some(8081), Some(32768), None]);
    fake.stop_container("b", None).await.unwrap();
    fake.start_container("d", &[]).await.unwrap();
    let error = fake.create_container(&with("e", "http")).await.unwrap_err();
    assert_eq!(error.to_string(), "invalid port: http");
}

#[tokio::test(start_paused = true)]
async fn anonymous_volumes_go_only_when_asked() {
    let mount = Mount { kind: "volume".to_owned(), target: "/d".to_owned(), ..Mount::default() };
    let spec = ContainerSpec { mounts: vec![mount], ..spec("web") };
    let fake = Fake::new().with_image("app");
    for (volumes, left) in [(Volumes::Keep, 1), (Volumes::Remove, 1)] {
        fake.create_container(&spec).await.unwrap();
        fake.remove_container("web", volumes).await.unwrap();
        assert_eq!(fake.world().volumes.len(), left);
    }
}

#[tokio::test(start_paused = true)]
async fn a_hash_covers_the_ids_of_other_containers() {
    let fake = Fake::new().with_image("app");
    let network_mode = "container:db".to_owned();
    let service = Arc::new(Service { network_mode, ..Service::default() });
    let shares_with = vec!["db".to_owned()];
    let web = ContainerSpec { service, shares_with, ..spec("web") };
    let mut hashes = Vec::new();
    for _ in 0..2 {
        fake.create_container(&spec("db")).await.unwrap();
        fake.create_container(&web).await.unwrap();
        let observed = fake.observe(None).await.unwrap();
        hashes.push(observed.containers[1].label(label::CONFIG_HASH).to_owned());
        for name in ["db", "web"] {
            fake.remove_container(name, Volumes::Keep).await.unwrap();
        }
    }
    assert_eq!(hashes[0].len(), 64);
    assert_ne!(hashes[0], hashes[1]);
}

#[tokio::test(start_paused = true)]
async fn logs_and_attached_streams_have_the_lines_of_the_script() {
    let lines =
        Behaviour { lines: vec!["a".to_owned(), "b".to_owned()], ..Behaviour::exits(SECOND, 0) };
    let fake = Fake::new().with_image("app").with_behaviour("web", lines);
    fake.create_container(&spec("web")).await.unwrap();
    let session = fake.attach("web", &AttachOptions::default()).await.unwrap();
    fake.start_container("web", &[]).await.unwrap();
    let attached: Vec<_> = session.output.map_ok(|it| it.bytes).try_collect().await.unwrap();
    assert_eq!(attached.concat(), b"a\nb\n");
    let options =
        LogOptions { tail: Some(1), follow: true, timestamps: true, ..LogOptions::default() };
    let logs: Vec<_> =
        fake.logs("web", &options).map_ok(|it| it.bytes).try_collect().await.unwrap();
    assert_eq!(logs.concat(), b"1700000000.000000000 b\n");
}

#[tokio::test(start_paused = true)]
async fn a_command_echoes() {
    let behaviour = Behaviour { exec_code: 4, ..Behaviour::default() };
    let fake = running(behaviour).await;
    let command = ExecSpec {
        command: vec!["sh".to_owned(), "-x".to_owned()],
        stdin: true,
        ..ExecSpec::default()
    };
    let (id, session) = fake.exec("web", &command).await.unwrap();
    let mut session = session.unwrap();
    session.input.write_all(b"hello").await.unwrap();
    drop(session.input);
    let output: Vec<_> = session.output.map_ok(|it| it.bytes).try_collect().await.unwrap();
    assert_eq!(output.concat(), b"sh -x\nhello");
    assert_eq!(fake.exec_exit_code(&id).await.unwrap(), Some(4));
}

#[tokio::test(start_paused = true)]
async fn events_tell_the_life_of_a_container() {
    let fake = Fake::new().with_image("app");
    let follow = LogOptions { follow: true, ..LogOptions::default() };
    let events = fake.events("p", &follow).map_ok(|event| event.action).take(6);
    let live = async {
        fake.create_container(&spec("web")).await.unwrap();
        fake.start_container("web", &[]).await.unwrap();
        fake.stop_container("web", None).await.unwrap();
        fake.remove_container("web", Volumes::Keep).await.unwrap();
    };
    let (actions, ()) = tokio::join!(events.try_collect::<Vec<_>>(), live);
    let expected = ["create", "start", "kill", "die", "stop", "destroy"];
    assert_eq!(actions.unwrap(), expected);
    let past = LogOptions { since: "1700000000".to_owned(), ..LogOptions::default() };
    assert_eq!(fake.events("p", &past).count().await, 6);
    assert_eq!(fake.events("q", &past).count().await, 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_copied_in_comes_out() {
    let fake = running(Behaviour::default()).await;
    let tar = futures_util::stream::iter([bytes::Bytes::from_static(b"tar")]).boxed();
    fake.copy_in("web", "/srv", tar).await.unwrap();
    let out: Vec<_> = fake.copy_out("web", "/srv").try_collect().await.unwrap();
    assert_eq!(out.concat(), b"tar");
    assert!(fake.stat_path("web", "/srv").await.unwrap().is_some_and(|path| path.is_dir));
    assert_eq!(fake.stat_path("web", "/none").await.unwrap(), None);
    let missing: Result<Vec<_>, _> = fake.copy_out("web", "/none").try_collect().await;
    assert!(matches!(missing, Err(RuntimeError::NotFound(_))));
}

#[tokio::test(start_paused = true)]
async fn samples_end_with_the_container() {
    let fake = running(Behaviour::exits(3 * SECOND, 0)).await;
    assert_eq!(fake.stats("web", Repeat::Once).count().await, 1);
    assert_eq!(fake.stats("web", Repeat::Forever).count().await, 3);
}

#[tokio::test]
async fn a_world_in_a_file_outlives_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("world.json");
    std::fs::write(&path, r#"{"images": {"app": {}}, "behaviours": {"app": {"lines": ["hi"]}}}"#)
        .unwrap();
    let fake = Fake::open(&path).unwrap();
    fake.create_container(&spec("web")).await.unwrap();
    fake.start_container("web", &[]).await.unwrap();
    drop(fake);
    let again = Fake::open(&path).unwrap();
    assert_eq!(state(&again).await.0, State::Running);
    assert_eq!(again.logs("web", &LogOptions::default()).count().await, 1);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");

    assert_eq!(Fake::open(&folder.path().join("none.json")).unwrap().world().containers.len(), 0);
    std::fs::write(&path, "{").unwrap();
    let error = Fake::open(&path).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot read `{}`", path.display()));
}

#[tokio::test]
async fn a_feature_can_be_taken_away() {
    let fake = Fake::new().without(Feature::Annotations);
    assert!(fake.lacks(Feature::Annotations).is_some());
    assert!(fake.lacks(Feature::ImageMount).is_none());
}
