//! Making, starting, stopping and removing.

use ketch::model::observed::{Milestone, State};
use ketch::model::spec::{Endpoint, InjectedFile, OneOff, VolumeSpec};
use ketch::model::{ServiceNetwork, Volume, hash, label};
use ketch::runtime::{Runtime as _, RuntimeError, Volumes};

use super::{Probes, dict, in_world};

#[test]
fn a_container_lives_and_dies_and_everything_may_be_asked_twice() {
    in_world("life", Probes::Engine, |world| async move {
        let docker = &world.docker;
        let spec = world.spec("web", "{command: [sleep, '1000'], stop_grace_period: 0}");
        docker.create_container(&spec).await.unwrap();
        let again = docker.create_container(&spec).await.unwrap_err();
        assert!(matches!(again, RuntimeError::Conflict(_)), "{again}");
        let made = world.seen("web").await.unwrap();
        assert_eq!((made.state, made.name.as_str()), (State::Created, spec.name.as_str()));
        assert_eq!(made.label(label::CONFIG_HASH), hash::service_hash(&spec.service));

        for _ in 0..2 {
            docker.start_container(&spec.name, &[]).await.unwrap();
        }
        assert_eq!(world.seen("web").await.unwrap().state, State::Running);
        for _ in 0..2 {
            docker.pause_container(&spec.name).await.unwrap();
        }
        assert_eq!(world.seen("web").await.unwrap().state, State::Paused);
        for _ in 0..2 {
            docker.unpause_container(&spec.name).await.unwrap();
        }
        docker.restart_container(&spec.name, Some(0)).await.unwrap();
        docker.kill_container(&spec.name, "SIGTERM").await.unwrap();
        for _ in 0..2 {
            docker.stop_container(&spec.name, Some(0)).await.unwrap();
        }
        docker.kill_container(&spec.name, "SIGKILL").await.unwrap();
        assert_eq!(docker.wait_ended(&spec.name).await.unwrap(), 137);
        let ended = world.seen("web").await.unwrap();
        assert_eq!((ended.state, ended.exit_code), (State::Exited, 137));

        let name = format!("{}-renamed", spec.name);
        docker.rename_container(&spec.name, &name).await.unwrap();
        for _ in 0..2 {
            docker.remove_container(&name, Volumes::Remove).await.unwrap();
            docker.stop_container(&name, None).await.unwrap();
        }
        assert_eq!(world.seen("web").await, None);
    });
}

#[test]
fn files_are_there_before_a_container_starts() {
    in_world("files", Probes::Engine, |world| async move {
        let script = "test \"$(cat /run/secrets/deep/token)\" = secret && \
                      test \"$(busybox stat -c '%u %g %a' /run/secrets/deep/token)\" = '7 8 440' && \
                      test \"$(busybox stat -c '%u %a' /run/secrets)\" = '0 755'";
        let spec = world.spec("web", "{}");
        let mut service = (*spec.service).clone();
        service.command = Some(vec!["sh".to_owned(), "-c".to_owned(), script.to_owned()]);
        let spec = ketch::model::spec::ContainerSpec { service: service.into(), ..spec };
        world.docker.create_container(&spec).await.unwrap();
        let file = InjectedFile {
            path: "/run/secrets/deep/token".to_owned(),
            content: "secret".to_owned(),
            uid: 7,
            gid: 8,
            mode: 0o440,
        };
        world.docker.start_container(&spec.name, &[file]).await.unwrap();
        world.docker.wait(&spec.name, Milestone::Completed).await.unwrap();
    });
}

#[test]
fn a_container_joins_all_its_networks_or_is_not_there() {
    in_world("networks", Probes::Engine, |world| async move {
        let docker = &world.docker;
        let (front, back) = (world.network("front"), world.network("back"));
        for network in [&front, &back, &back] {
            docker.create_network(network).await.unwrap();
        }
        let endpoint = |network: &str| Endpoint {
            network: network.to_owned(),
            options: ServiceNetwork { aliases: vec!["web".to_owned()], ..Default::default() },
        };
        let mut spec = world.spec("web", "{command: [sleep, '1000']}");
        // The engine's own bridge knows no aliases.
        spec.endpoints = vec![endpoint(&front.network.name), endpoint("bridge")];
        let error = docker.create_container(&spec).await.unwrap_err();
        assert!(error.to_string().contains("alias"), "{error}");
        assert_eq!(world.seen("web").await, None);

        spec.endpoints[1] = endpoint(&back.network.name);
        docker.create_container(&spec).await.unwrap();
        docker.start_container(&spec.name, &[]).await.unwrap();
        let names = |networks: Vec<ketch::model::observed::Attachment>| {
            networks.into_iter().map(|network| network.network).collect::<Vec<_>>()
        };
        let seen = world.seen("web").await.unwrap();
        assert_eq!(names(seen.networks), [back.network.name.as_str(), &front.network.name]);

        for _ in 0..2 {
            docker.disconnect(&back.network.name, &spec.name).await.unwrap();
        }
        assert_eq!(names(world.seen("web").await.unwrap().networks), [front.network.name.as_str()]);
        for _ in 0..2 {
            docker
                .connect(&back.network.name, &spec.name, &ServiceNetwork::default())
                .await
                .unwrap();
        }
        let used = docker.remove_network(&back.network.name).await.unwrap_err();
        assert!(matches!(used, RuntimeError::Conflict(_)), "{used}");
        docker.remove_container(&spec.name, Volumes::Keep).await.unwrap();
        for _ in 0..2 {
            docker.remove_network(&back.network.name).await.unwrap();
        }
        let found = docker.find_network(&front.network.name).await.unwrap().unwrap();
        assert_eq!(docker.find_network(&found.id).await.unwrap(), Some(found.clone()));
        assert_eq!(docker.find_network(&found.id[..12]).await.unwrap(), None);
        assert_eq!(docker.find_network(&back.network.name).await.unwrap(), None);
    });
}

#[test]
fn volumes_are_found_by_their_very_name() {
    in_world("volumes", Probes::Engine, |world| async move {
        let docker = &world.docker;
        let name = format!("{}_data", world.project);
        let spec = VolumeSpec {
            volume: Volume { name: name.clone(), ..Volume::default() },
            labels: dict([(label::PROJECT, &world.project)]),
        };
        for _ in 0..2 {
            docker.create_volume(&spec).await.unwrap();
        }
        assert_eq!(docker.find_volume(&name).await.unwrap().unwrap().labels, spec.labels);
        assert_eq!(docker.find_volume(&name[..5]).await.unwrap(), None);
        let mut user = world.spec("web", "{}");
        user.mounts =
            serde_yaml::from_str(&format!("[{{type: volume, source: {name}, target: /d}}]"))
                .unwrap();
        docker.create_container(&user).await.unwrap();
        assert_eq!(world.seen("web").await.unwrap().mounts[0].name, name);
        let refused = docker.remove_volume(&name).await.unwrap_err();
        assert!(matches!(refused, RuntimeError::Conflict(_)), "{refused}");
        docker.remove_container(&user.name, Volumes::Keep).await.unwrap();
        for _ in 0..2 {
            docker.remove_volume(&name).await.unwrap();
        }
    });
}

#[test]
fn a_taken_port_is_told_apart() {
    in_world("port", Probes::Engine, |world| async move {
        let first = "{command: [sleep, '1000'], ports: [{target: 80, host_ip: 127.0.0.1}]}";
        world.docker.create_network(&world.network("n")).await.unwrap();
        let endpoint = Endpoint {
            network: world.network("n").network.name,
            options: ServiceNetwork::default(),
        };
        let mut spec = world.spec("one", first);
        spec.endpoints = vec![endpoint.clone()];
        world.docker.create_container(&spec).await.unwrap();
        world.docker.start_container(&spec.name, &[]).await.unwrap();
        let seen = world.seen("one").await.unwrap();
        let taken = seen.ports[0].published.unwrap();
        let second =
            format!("{{ports: [{{target: 80, host_ip: 127.0.0.1, published: '{taken}'}}]}}");
        let mut spec = world.spec("two", &second);
        spec.endpoints = vec![endpoint];
        world.docker.create_container(&spec).await.unwrap();
        let error = world.docker.start_container(&spec.name, &[]).await.unwrap_err();
        assert!(matches!(error, RuntimeError::PortTaken { port, .. } if port == taken), "{error}");
    });
}

#[test]
fn the_container_of_a_run_removes_itself() {
    in_world("run", Probes::Engine, |world| async move {
        let mut spec = world.spec("job", "{command: [sh, -c, 'exit 5']}");
        spec.labels.insert(label::ONE_OFF.to_owned(), "True".to_owned());
        spec.one_off = Some(OneOff { auto_remove: true, interactive: false });
        world.docker.create_container(&spec).await.unwrap();
        let (started, waited) = tokio::join!(
            world.docker.start_container(&spec.name, &[]),
            world.docker.wait(&spec.name, Milestone::Completed),
        );
        started.unwrap();
        let error = waited.unwrap_err();
        // It may be gone before anybody looks.
        let known =
            matches!(error, RuntimeError::Exited { code: 5, .. } | RuntimeError::NotFound(_));
        assert!(known, "{error}");
    });
}
