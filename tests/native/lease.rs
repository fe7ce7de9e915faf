//! Leases in process: the guard and the shims are this very test program, called by other names.

use std::os::unix::fs::MetadataExt as _;
use std::process::{Command, Stdio};
use std::sync::Arc;

use indexmap::IndexMap;
use ketch::event::Event;
use ketch::model::spec::{ContainerSpec, VolumeSpec};
use ketch::model::{Dict, Service, Volume, label};
use ketch::orchestrator::{Audience, Choice, Depth, Orchestrator, Owner, connect};
use ketch::plan::Plan;
use ketch::runtime::Runtime;
use ketch::runtime::docker::Settings as Engine;
use ketch::runtime::native::Settings;
use ketch::scheduler::Trigger;

use super::life::FILE;
use super::stage::{Stage, read, traces, until};
use crate::binary::ketch;
use crate::docker::IMAGE;

struct Silent;

impl Audience for Silent {
    fn event(&self, _plan: &Plan, _event: Event) {}

    fn aside(&self, _text: &str) {}
}

/// The files that processes execute which are called like this, by device and number.
fn called(name: &str, argument: &str) -> Vec<(u64, u64)> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = entries.map(|entry| entry.path()).filter(|process| {
        let line = read(process.join("cmdline").to_str().unwrap());
        let mut words = line.split('\0');
        words.next() == Some(name) && words.any(|word| word == argument)
    });
    lines
        .filter_map(|process| Some(identity(&std::fs::metadata(process.join("exe")).ok()?)))
        .collect()
}

fn identity(file: &std::fs::Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

async fn create(runtime: &dyn Runtime, project: &str) -> String {
    let labels: Dict = [(label::PROJECT, project), (label::SERVICE, "web")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    let name = format!("{project}-data");
    let volume = Volume { name, ..Volume::default() };
    let volume = VolumeSpec { volume, labels: labels.clone() };
    runtime.create_volume(&volume).await.unwrap();
    let command = Some(vec!["sleep".to_owned(), "1000".to_owned()]);
    let container = ContainerSpec {
        name: format!("{project}-web-1"),
        image: IMAGE.to_owned(),
        labels,
        service: Arc::new(Service { command, ..Service::default() }),
        ..ContainerSpec::default()
    };
    runtime.create_container(&container).await.unwrap();
    runtime.start_container(&container.name, &[]).await.unwrap();
    let all = runtime.containers(Some(project)).await.unwrap();
    all[0].id.clone()
}

#[test]
fn a_library_needs_no_ketch_beside_it() {
    let Some(stage) = Stage::new("library", FILE) else { return };
    let before = traces(&stage);
    let environment: IndexMap<String, String> =
        stage.home.environment().into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    let executor = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
    let owner = Owner::of(i32::try_from(child.id()).unwrap()).unwrap();
    executor.block_on(async {
        let settings = (Engine::default(), Settings { environment: environment.clone() });
        let connection = connect(Choice::Native, settings, |_| {}).await.unwrap();
        let orchestrator = Orchestrator {
            runtime: &*connection.runtime,
            environment: &environment,
            parallel: None,
            shutdown: Trigger::default().listen(),
            depth: Depth::Really,
            audience: &Silent,
        };
        let lock = orchestrator.lock(&stage.name, "test").await.unwrap();
        orchestrator.lease(&stage.name, &connection.route, owner).await.unwrap();
        let id = create(&*connection.runtime, &stage.name).await;
        drop(lock);
        let own = identity(&std::fs::metadata("/proc/self/exe").unwrap());
        for (role, argument) in [("ketch-lease", &stage.name), ("ketch-shim", &id)] {
            let programs = called(role, argument);
            assert_eq!(programs, [own], "{role}");
        }
    });
    child.kill().unwrap();
    child.wait().unwrap();
    until("nothing is left", || {
        traces(&stage) == before && called("ketch-lease", &stage.name).is_empty()
    });
    let leases = std::fs::read_dir(stage.home.state().join("leases")).unwrap();
    assert_eq!(leases.count(), 0);
}

#[test]
fn nothing_is_left_of_a_project_whose_owner_was_killed() {
    let Some(stage) = Stage::new("leased", FILE) else { return };
    let before = traces(&stage);
    let mut up = stage.start("up --lease");
    until("it runs", || stage.states() == ["again=running", "db=running", "web=running"]);
    let ids: Vec<String> = stage.ok("ps -a -q --no-trunc").lines().map(str::to_owned).collect();
    up.kill().unwrap();
    up.wait().unwrap();
    until("nothing is left", || traces(&stage) == before);
    assert_eq!(super::stage::cgroups(&ids), Vec::<String>::new());
}

#[test]
fn the_words_of_a_user_are_no_role() {
    let own = Command::new(std::env::current_exe().unwrap())
        .args(["shim", "0", "--list"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&own.stdout);
    assert!(said.contains(" tests, ") && !said.contains("Err"), "it is a test program: {said}");
    let output = ketch(&std::env::temp_dir(), "shim 0").output();
    assert!(output.code != 0 && output.stderr.contains("`shim`"), "{output:?}");
}
