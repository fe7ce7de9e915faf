//! What every runtime does, whichever it is: one body over all that can be had here.
//!
//! Only what the documentation of `Runtime` promises is checked, so that every runtime can pass.
//! Objects are named after the process; what a test leaves behind is removed before it ends.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use ketch::model::observed::{Health, Milestone, Observed, ObservedContainer, State};
use ketch::model::spec::{ContainerSpec, Endpoint, NetworkSpec, PullSpec, VolumeSpec};
use ketch::model::{
    Dict, Healthcheck, Hook, Mount, Network, Port, Service, ServiceNetwork, Volume,
};
use ketch::model::{duration, label};
use ketch::runtime::fake::{Behaviour, Fake};
use ketch::runtime::{Runtime, RuntimeError, Volumes};

use crate::native::Home;

/// Longer than any step of a test may take.
const LIMIT: Duration = Duration::from_mins(1);

/// The image of every container here: it has a shell, `sleep` and `true`.
const IMAGE: &str = "corpus/busybox:1";

/// The runtimes that there are. Another one is one line more here and in [`connect`].
const RUNTIMES: [&str; 3] = ["fake", "docker", "native"];

/// A runtime, with what must outlive it, or why it cannot be had here.
async fn connect(kind: &str) -> Result<(Box<dyn Runtime>, Option<Home>), String> {
    match kind {
        "docker" => crate::docker::connect(crate::docker::Probes::Engine)
            .await
            .map(|docker| (Box::new(docker) as Box<dyn Runtime>, None)),
        "native" => {
            let home = Home::new()?;
            Ok((Box::new(home.open()), Some(home)))
        }
        _ => Ok((Box::new(fake()), None)),
    }
}

/// What the commands of these tests do, for a runtime that runs none.
fn fake() -> Fake {
    let unhealthy = Behaviour::unhealthy_after(Duration::ZERO);
    let broken = Behaviour { exec_code: 3, hook_output: "oh\n".to_owned(), ..Behaviour::default() };
    Fake::new()
        .with_image(IMAGE)
        .with_behaviour(&name("sick"), unhealthy)
        .with_behaviour(&name("exits-0"), Behaviour::exits(Duration::ZERO, 0))
        .with_behaviour(&name("exits-3"), Behaviour::exits(Duration::ZERO, 3))
        .with_behaviour(&name("hook-3"), broken)
}

/// A name that no other run uses.
fn name(short: &str) -> String {
    format!("ketch-conformance-{}-{short}", std::process::id())
}

/// A runtime, and what a test made in it.
struct World<'a> {
    runtime: &'a dyn Runtime,
    label: &'static str,
}

impl World<'_> {
    fn labels(&self, more: [(&str, &str); 1]) -> Dict {
        let project = name(self.label);
        let own = [(label::PROJECT, project.as_str()), (label::ONE_OFF, "False")];
        own.into_iter().chain(more).map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    fn spec(&self, short: &str, command: &[&str]) -> ContainerSpec {
        let command = Some(command.iter().map(|word| (*word).to_owned()).collect());
        let stop_grace_period = Some(duration::Duration::parse("1s").unwrap());
        let service = Service { command, stop_grace_period, ..Service::default() };
        ContainerSpec {
            name: name(short),
            service_name: short.to_owned(),
            service: Arc::new(service),
            image: IMAGE.to_owned(),
            labels: self.labels([(label::SERVICE, short)]),
            ..ContainerSpec::default()
        }
    }

    fn network(&self, short: &str) -> NetworkSpec {
        let network = Network { name: name(short), ..Network::default() };
        NetworkSpec { network, labels: self.labels([(label::NETWORK, short)]) }
    }

    fn volume(&self, short: &str) -> VolumeSpec {
        let volume = Volume { name: name(short), ..Volume::default() };
        VolumeSpec { volume, labels: self.labels([(label::VOLUME, short)]) }
    }

    async fn create(&self, spec: &ContainerSpec) {
        self.runtime.create_container(spec).await.unwrap();
    }

    /// Creates and starts a container that sleeps.
    async fn sleeper(&self, short: &str) -> String {
        let spec = self.spec(short, &["sleep", "600"]);
        self.create(&spec).await;
        self.runtime.start_container(&spec.name, &[]).await.unwrap();
        spec.name
    }

    async fn observe(&self) -> Observed {
        self.runtime.observe(Some(&name(self.label))).await.unwrap()
    }

    async fn container(&self, short: &str) -> ObservedContainer {
        let found = self.observe().await.containers;
        let wanted = name(short);
        found.into_iter().find(|container| container.name == wanted).unwrap()
    }

    /// Removes all that the test made.
    async fn clear(&self) {
        let Observed { containers, networks, volumes, .. } = self.observe().await;
        for container in containers {
            self.runtime.remove_container(&container.id, Volumes::Remove).await.unwrap();
        }
        // Those that others made may only be looked at.
        let project = name(self.label);
        let is_ours = |labels: &Dict| labels.get(label::PROJECT) == Some(&project);
        for network in networks.iter().filter(|network| is_ours(&network.labels)) {
            self.runtime.remove_network(&network.name).await.unwrap();
        }
        for volume in volumes.iter().filter(|volume| is_ours(&volume.labels)) {
            self.runtime.remove_volume(&volume.name).await.unwrap();
        }
        let left = self.observe().await;
        assert_eq!(left, Observed::default(), "removed is removed");
    }
}

/// Runs a body over every runtime, with a limit, and clears up whether it succeeded or not.
fn on_every_runtime(label: &'static str, body: &impl AsyncFn(&World<'_>)) {
    for kind in RUNTIMES {
        let executor = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (runtime, _home) = match executor.block_on(connect(kind)) {
            Ok(connected) => connected,
            Err(reason) => {
                println!("{label} on {kind} skipped: {reason}");
                continue;
            }
        };
        let world = World { runtime: runtime.as_ref(), label };
        let body = std::panic::AssertUnwindSafe(|| {
            executor.block_on(async { tokio::time::timeout(LIMIT, body(&world)).await })
        });
        let result = std::panic::catch_unwind(body);
        executor.block_on(world.clear());
        match result {
            Ok(in_time) => assert!(in_time.is_ok(), "{label} on {kind} took too long"),
            Err(panic) => {
                println!("{label} failed on {kind}");
                std::panic::resume_unwind(panic);
            }
        }
    }
}

fn is_not_found<T>(result: &Result<T, RuntimeError>) -> bool {
    matches!(result, Err(RuntimeError::NotFound(_)))
}

fn is_conflict<T>(result: &Result<T, RuntimeError>) -> bool {
    matches!(result, Err(RuntimeError::Conflict(_)))
}

#[test]
fn what_is_made_is_observed() {
    on_every_runtime("observed", &async |world| {
        let runtime = world.runtime;
        let (network, volume) = (world.network("net"), world.volume("data"));
        runtime.create_network(&network).await.unwrap();
        runtime.create_volume(&volume).await.unwrap();
        let mount = Mount {
            kind: "volume".to_owned(),
            source: volume.volume.name.clone(),
            target: "/data".to_owned(),
            ..Mount::default()
        };
        let endpoint = Endpoint { network: network.network.name.clone(), ..Endpoint::default() };
        let mut spec = world.spec("web", &["sleep", "600"]);
        (spec.mounts, spec.endpoints) = (vec![mount], vec![endpoint]);
        world.create(&spec).await;
        let made = world.container("web").await;
        assert_eq!((made.state, made.service()), (State::Created, "web"));
        assert_eq!(made.label(label::CONFIG_HASH).len(), 64, "the runtime adds the hash");
        assert_eq!(made.mounts[0].name, volume.volume.name);

        runtime.start_container(&spec.name, &[]).await.unwrap();
        let running = world.container("web").await;
        assert_eq!((running.state, running.health), (State::Running, Health::None));
        let observed = world.observe().await;
        let id = &observed.network(&network.network.name).unwrap().id;
        assert_eq!(&running.networks[0].id, id);
        assert!(observed.volume(&volume.volume.name).is_some());
        let everything = runtime.observe(None).await.unwrap();
        assert!(everything.containers.iter().any(|container| container.id == running.id));
        let other = runtime.observe(Some(&name("nobody"))).await.unwrap();
        assert_eq!(other, Observed::default());
    });
}

#[test]
fn ids_do_as_well_as_names() {
    on_every_runtime("ids", &async |world| {
        let runtime = world.runtime;
        let (home, other) = (world.network("ids-home"), world.network("ids-other"));
        runtime.create_network(&home).await.unwrap();
        runtime.create_network(&other).await.unwrap();
        let mut spec = world.spec("ids", &["sleep", "600"]);
        spec.endpoints = vec![Endpoint { network: home.network.name, ..Endpoint::default() }];
        world.create(&spec).await;
        let container = world.container("ids").await.id;
        runtime.start_container(&container, &[]).await.unwrap();
        let id = world.observe().await.network(&other.network.name).unwrap().id.clone();
        runtime.connect(&id, &container, &ServiceNetwork::default()).await.unwrap();
        let joined = world.container("ids").await.networks;
        assert!(joined.iter().any(|it| it.network == other.network.name), "{joined:?}");
        runtime.disconnect(&id, &container).await.unwrap();
        runtime.remove_network(&id).await.unwrap();
        assert!(runtime.find_network(&other.network.name).await.unwrap().is_none());
        runtime.remove_container(&container, Volumes::Remove).await.unwrap();
    });
}

#[test]
fn names_are_found_exactly() {
    on_every_runtime("found", &async |world| {
        let runtime = world.runtime;
        runtime.create_network(&world.network("found-net")).await.unwrap();
        runtime.create_volume(&world.volume("found-volume")).await.unwrap();
        let network = runtime.find_network(&name("found-net")).await.unwrap().unwrap();
        assert_eq!(network.labels.get(label::NETWORK).unwrap(), "found-net");
        assert!(runtime.find_network(&name("found-ne")).await.unwrap().is_none());
        assert!(runtime.find_volume(&name("found-volume")).await.unwrap().is_some());
        assert!(runtime.find_volume(&name("found-volum")).await.unwrap().is_none());
        assert!(runtime.find_image(IMAGE).await.unwrap().is_some());
        assert!(runtime.find_image("ketch-conformance/none:1").await.unwrap().is_none());
    });
}

#[test]
fn making_what_exists_and_removing_what_is_gone_will_do() {
    on_every_runtime("again", &async |world| {
        let runtime = world.runtime;
        let (network, volume) = (world.network("again-net"), world.volume("again-volume"));
        for _ in 0..2 {
            runtime.create_network(&network).await.unwrap();
            runtime.create_volume(&volume).await.unwrap();
        }
        let home = world.network("again-home");
        runtime.create_network(&home).await.unwrap();
        let mut spec = world.spec("again", &["sleep", "600"]);
        spec.endpoints = vec![Endpoint { network: home.network.name, ..Endpoint::default() }];
        world.create(&spec).await;
        let web = spec.name;
        runtime.start_container(&web, &[]).await.unwrap();
        runtime.start_container(&web, &[]).await.unwrap();
        let options = ServiceNetwork::default();
        for _ in 0..2 {
            runtime.connect(&network.network.name, &web, &options).await.unwrap();
        }
        for _ in 0..2 {
            runtime.disconnect(&network.network.name, &web).await.unwrap();
        }
        for _ in 0..2 {
            runtime.stop_container(&web, None).await.unwrap();
        }
        for _ in 0..2 {
            runtime.remove_container(&web, Volumes::Keep).await.unwrap();
            runtime.kill_container(&web, "SIGKILL").await.unwrap();
            runtime.remove_network(&network.network.name).await.unwrap();
            runtime.remove_volume(&volume.volume.name).await.unwrap();
            runtime.remove_image("ketch-conformance/none:1").await.unwrap();
        }
    });
}

#[test]
fn a_container_that_never_ran_has_files() {
    on_every_runtime("unstarted", &async |world| {
        let spec = world.spec("unstarted", &["true"]);
        world.create(&spec).await;
        let found = world.runtime.stat_path(&spec.name, "/").await.unwrap();
        assert!(found.unwrap().is_dir);
        let pieces: Vec<_> = world.runtime.copy_out(&spec.name, "/").collect().await;
        assert!(!pieces.is_empty() && pieces.iter().all(Result::is_ok), "{pieces:?}");
    });
}

#[test]
fn a_name_is_given_once() {
    on_every_runtime("names", &async |world| {
        let (first, second) = (world.spec("first", &["true"]), world.spec("second", &["true"]));
        world.create(&first).await;
        assert!(is_conflict(&world.runtime.create_container(&first).await));
        world.create(&second).await;
        let renamed = world.runtime.rename_container(&second.name, &first.name).await;
        assert!(is_conflict(&renamed), "{renamed:?}");
        world.runtime.remove_container(&first.name, Volumes::Keep).await.unwrap();
        world.runtime.rename_container(&second.name, &first.name).await.unwrap();
        assert_eq!(world.container("first").await.service(), "second");
    });
}

#[test]
fn what_is_missing_is_not_found() {
    on_every_runtime("missing", &async |world| {
        let gone = name("gone");
        let runtime = world.runtime;
        assert!(is_not_found(&runtime.start_container(&gone, &[]).await));
        assert!(is_not_found(&runtime.rename_container(&gone, &name("other")).await));
        assert!(is_not_found(&runtime.wait(&gone, Milestone::Ready).await));
        assert!(is_not_found(&runtime.wait_ended(&gone).await));
        assert!(is_not_found(&runtime.run_hook(&gone, &hook()).await));
        let unknown = "ketch-conformance/none:1".to_owned();
        let spec = ContainerSpec { image: unknown, ..world.spec("no-image", &["true"]) };
        assert!(is_not_found(&runtime.create_container(&spec).await));
        let mut spec = world.spec("no-network", &["true"]);
        spec.endpoints = vec![Endpoint { network: gone, ..Endpoint::default() }];
        // Some runtimes look for the network early, others late.
        if runtime.create_container(&spec).await.is_ok() {
            assert!(is_not_found(&runtime.start_container(&spec.name, &[]).await));
        }
    });
}

#[test]
fn what_is_in_use_stays() {
    on_every_runtime("used", &async |world| {
        let runtime = world.runtime;
        let (network, volume) = (world.network("used-net"), world.volume("used-volume"));
        runtime.create_network(&network).await.unwrap();
        runtime.create_volume(&volume).await.unwrap();
        let mut spec = world.spec("used", &["sleep", "600"]);
        let (network, volume) = (network.network.name, volume.volume.name);
        spec.endpoints = vec![Endpoint { network: network.clone(), ..Endpoint::default() }];
        let kind = "volume".to_owned();
        let (source, target) = (volume.clone(), "/data".to_owned());
        spec.mounts = vec![Mount { kind, source, target, ..Mount::default() }];
        world.create(&spec).await;
        runtime.start_container(&spec.name, &[]).await.unwrap();
        let removed = runtime.remove_network(&network).await;
        assert!(is_conflict(&removed), "{removed:?}");
        runtime.stop_container(&spec.name, None).await.unwrap();
        let removed = runtime.remove_volume(&volume).await;
        assert!(is_conflict(&removed), "{removed:?}");
        runtime.remove_container(&spec.name, Volumes::Remove).await.unwrap();
        assert!(runtime.find_volume(&volume).await.unwrap().is_some(), "it has a name");
    });
}

#[test]
fn a_port_is_given_once() {
    on_every_runtime("ports", &async |world| {
        let port = Port { target: 80, published: "39417".to_owned(), ..Port::default() };
        for short in ["port-a", "port-b"] {
            let mut spec = world.spec(short, &["sleep", "600"]);
            Arc::make_mut(&mut spec.service).ports = vec![port.clone()];
            let network = world.network("ports-net");
            world.runtime.create_network(&network).await.unwrap();
            let network = network.network.name;
            spec.endpoints = vec![Endpoint { network, ..Endpoint::default() }];
            world.create(&spec).await;
        }
        world.runtime.start_container(&name("port-a"), &[]).await.unwrap();
        assert_eq!(world.container("port-a").await.ports[0].published, Some(39417));
        let second = world.runtime.start_container(&name("port-b"), &[]).await;
        assert!(matches!(second, Err(RuntimeError::PortTaken { port: 39417, .. })), "{second:?}");
    });
}

#[test]
fn containers_pause_stop_and_are_killed() {
    on_every_runtime("life", &async |world| {
        let runtime = world.runtime;
        let web = world.sleeper("life").await;
        runtime.pause_container(&web).await.unwrap();
        assert_eq!(world.container("life").await.state, State::Paused);
        runtime.unpause_container(&web).await.unwrap();
        runtime.restart_container(&web, Some(0)).await.unwrap();
        assert_eq!(world.container("life").await.state, State::Running);
        runtime.kill_container(&web, "SIGKILL").await.unwrap();
        assert_eq!(runtime.wait_ended(&web).await.unwrap(), 137);
        assert_eq!(world.container("life").await.state, State::Exited);
        runtime.kill_container(&web, "SIGKILL").await.unwrap();
        runtime.start_container(&web, &[]).await.unwrap();
        runtime.stop_container(&web, Some(0)).await.unwrap();
        assert_eq!(world.container("life").await.state, State::Exited);
        runtime.start_container(&web, &[]).await.unwrap();
        runtime.remove_container(&web, Volumes::Keep).await.unwrap();
        assert!(world.observe().await.containers.is_empty(), "one that runs is removed too");
    });
}

#[test]
fn milestones_are_reached_or_refused() {
    on_every_runtime("milestones", &async |world| {
        let runtime = world.runtime;
        let plain = world.sleeper("plain").await;
        runtime.wait(&plain, Milestone::Ready).await.unwrap();
        let unchecked = runtime.wait(&plain, Milestone::Healthy).await;
        assert!(matches!(unchecked, Err(RuntimeError::NoHealthcheck(_))), "{unchecked:?}");
        for (short, test) in [("well", "true"), ("sick", "false")] {
            let mut spec = world.spec(short, &["sleep", "600"]);
            Arc::make_mut(&mut spec.service).healthcheck = Some(healthcheck(test));
            world.create(&spec).await;
            runtime.start_container(&spec.name, &[]).await.unwrap();
        }
        runtime.wait(&name("well"), Milestone::Healthy).await.unwrap();
        let sick = runtime.wait(&name("sick"), Milestone::Healthy).await;
        assert!(matches!(sick, Err(RuntimeError::Unhealthy { .. })), "{sick:?}");
        for (short, command) in [("exits-0", "exit 0"), ("exits-3", "exit 3")] {
            let spec = world.spec(short, &["sh", "-c", command]);
            world.create(&spec).await;
            runtime.start_container(&spec.name, &[]).await.unwrap();
        }
        runtime.wait(&name("exits-0"), Milestone::Completed).await.unwrap();
        runtime.wait(&name("exits-0"), Milestone::ReadyOrCompleted).await.unwrap();
        assert_eq!(runtime.wait_ended(&name("exits-3")).await.unwrap(), 3);
        for milestone in [Milestone::Completed, Milestone::Ready, Milestone::ReadyOrCompleted] {
            let ended = runtime.wait(&name("exits-3"), milestone).await;
            assert!(matches!(ended, Err(RuntimeError::Exited { code: 3, .. })), "{ended:?}");
        }
    });
}

fn healthcheck(test: &str) -> Healthcheck {
    let time = |text: &str| Some(duration::Duration::parse(text).unwrap());
    Healthcheck {
        test: vec!["CMD".to_owned(), test.to_owned()],
        interval: time("100ms"),
        retries: Some(1),
        ..Healthcheck::default()
    }
}

fn hook() -> Hook {
    let command = ["sh", "-c", "echo oh; exit 3"].map(str::to_owned).to_vec();
    Hook { command: Some(command), ..Hook::default() }
}

#[test]
fn a_hook_tells_its_end() {
    on_every_runtime("hooks", &async |world| {
        let container = world.sleeper("hook-3").await;
        let ran = world.runtime.run_hook(&container, &hook()).await.unwrap();
        assert_eq!(ran, (3, "oh\n".to_owned()));
        world.runtime.stop_container(&container, None).await.unwrap();
        assert!(is_conflict(&world.runtime.run_hook(&container, &hook()).await));
    });
}

#[test]
fn an_image_that_nobody_has_cannot_be_pulled() {
    on_every_runtime("images", &async |world| {
        let image = "localhost:1/ketch-conformance/none:1".to_owned();
        let pull = PullSpec { image, ..PullSpec::default() };
        assert!(world.runtime.pull(&pull, &|_| {}).await.is_err());
    });
}
