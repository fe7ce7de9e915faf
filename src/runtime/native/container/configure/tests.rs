//! Services and images to configs.

use std::path::PathBuf;

use super::{Configured, ImageSettings, Surroundings, configure};
use crate::model::spec::ContainerSpec;
use crate::model::{self, Service, label};
use crate::runtime::Result;
use crate::runtime::native::container::config::{
    Access, Config, Mount, Namespace, Propagation, Seccomp, Source,
};
use crate::runtime::native::container::{CapabilitySet, Limits};

/// A world with one other container.
struct World;

impl Surroundings for World {
    fn volume(&mut self, name: &str, _: &model::Mount) -> Result<(String, PathBuf)> {
        let name = if name.is_empty() { "random" } else { name };
        Ok((name.to_owned(), PathBuf::from(format!("/volumes/{name}"))))
    }

    fn image(&mut self, reference: &str) -> Result<Vec<PathBuf>> {
        Ok(vec![PathBuf::from(format!("/images/{reference}"))])
    }

    fn mounts_of(&mut self, _: &str) -> Result<Vec<Mount>> {
        let bind = |path: &str| Source::Bind { path: path.into(), create: true, recursive: true };
        let mount = |path: &str, target: &str| Mount {
            source: bind(path),
            target: target.to_owned(),
            access: Access::Write,
            propagation: Propagation::Rprivate,
        };
        Ok(vec![mount("/host", "/taken"), mount("/files", "/etc/hosts")])
    }

    fn network_files(&mut self, of: Option<&str>) -> Result<PathBuf> {
        Ok(PathBuf::from(format!("/files/{}", of.unwrap_or("own"))))
    }
}

fn image() -> ImageSettings {
    let owned = |words: &[&str]| words.iter().map(ToString::to_string).collect();
    ImageSettings {
        entrypoint: owned(&["/entry"]),
        command: owned(&["serve"]),
        environment: owned(&["PATH=/image", "A=image", "B=image"]),
        user: "app".to_owned(),
        working_dir: "srv".to_owned(),
        volumes: owned(&["/data/", "/logs"]),
        stop_signal: "SIGQUIT".to_owned(),
    }
}

/// The config of a service: its attributes, and what `spec` has besides.
fn made(service: &str, mounts: &str) -> std::result::Result<Config, String> {
    let service: Service = serde_yaml::from_str(service).expect("a canonical service");
    let spec = ContainerSpec {
        service: service.into(),
        mounts: serde_yaml::from_str(mounts).expect("canonical mounts"),
        labels: [(label::WORKING_DIR.to_owned(), "/project".to_owned())].into(),
        ..ContainerSpec::default()
    };
    let given = Configured {
        id: "0123456789abcdef".repeat(4),
        image: image(),
        directory: std::env::temp_dir(),
        ..Configured::default()
    };
    configure(&spec, given, &mut World).map_err(|error| error.to_string())
}

fn of(service: &str) -> Config {
    made(service, "[]").unwrap()
}

fn refused(service: &str) -> String {
    made(service, "[]").unwrap_err()
}

#[test]
fn words_are_merged_as_docker_does() {
    for (service, expected) in [
        ("{}", &["/entry", "serve"][..]),
        ("{command: [x]}", &["/entry", "x"]),
        ("{command: []}", &["/entry", "serve"]),
        ("{entrypoint: [/e]}", &["/e"]),
        ("{entrypoint: [/e], command: [x]}", &["/e", "x"]),
        ("{entrypoint: []}", &["serve"]),
        ("{entrypoint: ['']}", &["serve"]),
        ("{entrypoint: [], command: [x]}", &["x"]),
    ] {
        assert_eq!(of(service).process.args, expected, "{service}");
    }
}

#[test]
fn what_the_image_says_holds_until_the_service_says_otherwise() {
    let config = of("{environment: {B: own, A: null, C: ''}, tty: true}");
    let expected = ["PATH=/image", "HOSTNAME=0123456789ab", "TERM=xterm", "B=own", "C="];
    assert_eq!(config.process.environment, expected);
    assert_eq!(
        (config.process.user.as_str(), config.process.working_dir.as_str()),
        ("app", "/srv")
    );
    assert_eq!(config.stop_signal, "SIGQUIT");
    let own = of("{user: '1:2', working_dir: /a/../b/., stop_signal: SIGINT, group_add: [g]}");
    assert_eq!((own.process.user.as_str(), own.process.working_dir.as_str()), ("1:2", "/b"));
    assert_eq!((own.stop_signal.as_str(), own.process.groups), ("SIGINT", vec!["g".to_owned()]));
}

#[test]
fn every_limit_is_passed_on() {
    let config = of("{mem_limit: 10000000, memswap_limit: -1, mem_swappiness: 10,
        mem_reservation: 5000, oom_kill_disable: true, cpu_period: 3, cpu_quota: 4,
        cpu_rt_period: 5, cpu_rt_runtime: 6, cpu_shares: 7, cpuset: '0', pids_limit: -1,
        device_cgroup_rules: ['c 1:* mr'], oom_score_adj: -5, shm_size: 1024,
        ulimits: {nofile: {soft: 1, hard: 2}, nproc: {single: 3}, core: {single: -1}},
        blkio_config: {weight: 300, weight_device: [{path: /dev/a, weight: 400}],
            device_read_bps: [{path: /dev/a, rate: 1}]}}");
    let limits = &config.limits;
    assert_eq!(limits.memory, Some(10_000_000));
    assert_eq!(limits.memory_and_swap, Some(u64::MAX));
    assert_eq!((limits.memory_reservation, limits.swappiness), (Some(5000), Some(10)));
    assert_eq!(
        (limits.cpu_period, limits.cpu_quota, limits.cpu_shares),
        (Some(3), Some(4), Some(7))
    );
    assert_eq!((limits.cpu_rt_period, limits.cpu_rt_runtime), (Some(5), Some(6)));
    assert_eq!((limits.pids, limits.cpuset.as_str()), (Some(u64::MAX), "0"));
    assert_eq!((limits.io_weight, limits.io_weight_device.len()), (Some(300), 1));
    assert_eq!((limits.read_bps.len(), limits.device_rules[0].minor), (1, None));
    assert_eq!((config.process.oom_score_adj, config.shm_size), (Some(-5), 1024));
    let limits: Vec<_> =
        config.process.rlimits.iter().map(|l| (l.name.as_str(), l.soft, l.hard)).collect();
    assert_eq!(limits, [("core", u64::MAX, u64::MAX), ("nofile", 1, 2), ("nproc", 3, 3)]);
}

#[test]
fn deploy_wins_over_the_service() {
    let config = of("{mem_limit: 7000000, cpus: 1, pids_limit: 1, mem_reservation: 1,
        deploy: {resources: {limits: {cpus: 0.5, memory: 20000000, pids: 30},
                             reservations: {cpus: 9, memory: 40}}}}");
    let expected = Limits {
        memory: Some(20_000_000),
        memory_reservation: Some(40),
        cpu_quota: Some(50_000),
        cpu_period: Some(100_000),
        pids: Some(30),
        ..Limits::default()
    };
    assert_eq!(config.limits, expected);
    assert_eq!(of("{}").limits, Limits::default());
}

#[test]
fn what_is_shared_is_named() {
    let config = of("{network_mode: 'container:db', pid: host, ipc: 'container:x', cgroup: host}");
    let of_other = |name: &str| Namespace::Of(name.to_owned());
    assert_eq!(config.namespaces.network, of_other("db"));
    assert_eq!((config.namespaces.pid, config.namespaces.ipc), (Namespace::Host, of_other("x")));
    assert_eq!(
        (config.namespaces.cgroup, config.namespaces.uts),
        (Namespace::Host, Namespace::Own)
    );
    assert_eq!((config.hostname.as_str(), config.sysctls.len()), ("", 0));
    let hosts = config.mounts.iter().find(|mount| mount.target == "/etc/hosts").unwrap();
    assert!(matches!(&hosts.source, Source::Bind { path, .. } if path.ends_with("db/hosts")));
    let own = of("{hostname: h, domainname: d, ipc: none, sysctls: {net.core.somaxconn: '5'}}");
    assert_eq!((own.hostname.as_str(), own.domainname.as_str()), ("h", "d"));
    assert!(own.namespaces.without_shm);
    assert_eq!((own.sysctls.len(), own.sysctls["net.core.somaxconn"].as_str()), (3, "5"));
    assert_eq!(of("{network_mode: none}").namespaces.network, Namespace::Own);
}

#[test]
fn rights_are_added_and_taken() {
    let config = of("{cap_add: [NET_ADMIN], cap_drop: [ALL], read_only: true, init: true,
        security_opt: ['no-new-privileges:true', seccomp=unconfined, apparmor=unconfined,
                       systempaths=unconfined, label=disable]}");
    assert_eq!(config.process.capabilities, CapabilitySet(1 << 12));
    assert!(config.process.no_new_privileges && config.read_only && config.init);
    assert_eq!(config.security.seccomp, Seccomp::Unconfined);
    assert!(config.security.masked_paths.is_empty() && config.security.readonly_paths.is_empty());
    let privileged = of("{privileged: true}");
    assert_eq!(privileged.process.capabilities, CapabilitySet::all());
    assert!(privileged.security.privileged && privileged.security.masked_paths.is_empty());
    assert_eq!(privileged.security.seccomp, Seccomp::Unconfined);
    let usual = of("{}");
    assert_eq!(usual.process.capabilities, CapabilitySet::usual());
    assert_eq!(usual.security.seccomp, Seccomp::Default);
    assert!(!usual.process.no_new_privileges);
}

#[test]
fn everything_is_mounted_once() {
    let config = made(
        "{tmpfs: ['/run:size=1m,exec', /logs], volumes_from: ['container:x:ro']}",
        "[{type: bind, source: /a, target: /b, read_only: true},
          {type: bind, source: /a, target: /c, read_only: true, bind: {recursive: writable, propagation: rslave}},
          {type: bind, source: /a, target: /d, bind: {recursive: disabled}},
          {type: volume, source: v, target: /e, volume: {nocopy: true, subpath: s}},
          {type: tmpfs, target: /f, tmpfs: {size: 10, mode: 448}},
          {type: image, source: i, target: /g, read_only: true, image: {subpath: p}},
          {type: bind, source: /own, target: /etc/hosts}]",
    )
    .unwrap();
    let mount = |target: &str| config.mounts.iter().find(|mount| mount.target == target).unwrap();
    assert_eq!(mount("/b").access, Access::Read);
    assert_eq!(
        (mount("/c").access, mount("/c").propagation),
        (Access::ReadTop, Propagation::Rslave)
    );
    assert!(matches!(mount("/d").source, Source::Bind { recursive: false, create: false, .. }));
    assert!(matches!(mount("/b").source, Source::Bind { recursive: true, create: true, .. }));
    assert!(
        matches!(&mount("/e").source, Source::Volume { copy_up: false, subpath, .. } if subpath == "s")
    );
    let memory = |target: &str| match &mount(target).source {
        Source::Tmpfs { options, flags } => (options.join(","), flags.join(",")),
        other => panic!("{other:?}"),
    };
    assert_eq!(memory("/f"), ("size=10,mode=700".to_owned(), "noexec,nosuid,nodev".to_owned()));
    assert_eq!(memory("/run"), ("size=1m".to_owned(), "noexec,nosuid,nodev,exec".to_owned()));
    assert!(matches!(&mount("/g").source, Source::Image { files, .. } if files.changes.is_none()));
    assert!(
        matches!(&mount("/data").source, Source::Volume { name, copy_up: true, .. } if name == "random")
    );
    assert!(matches!(mount("/logs").source, Source::Tmpfs { .. }), "not a volume of the image");
    assert_eq!(mount("/taken").access, Access::Read);
    assert!(
        matches!(&mount("/etc/hosts").source, Source::Bind { path, .. } if path.ends_with("own"))
    );
    assert_eq!(config.mounts.len(), 13);
}

#[test]
fn what_makes_no_sense_is_refused() {
    for (service, part) in [
        ("{cap_add: [FLY]}", "`FLY`"),
        ("{userns_mode: 'remap'}", "USER mode"),
        ("{pid: 'weird'}", "PID mode"),
        ("{ipc: weird}", "IPC mode"),
        ("{cgroup: weird}", "cgroup namespace"),
        ("{uts: host, hostname: h}", "`hostname`"),
        ("{network_mode: 'container:x', hostname: h}", "`hostname`"),
        ("{mem_limit: 1000}", "6MB"),
        ("{memswap_limit: 10000000}", "memswap_limit"),
        ("{mem_limit: 20000000, memswap_limit: 10000000}", "memswap_limit"),
        ("{mem_swappiness: 101}", "mem_swappiness"),
        ("{cpus: 1000}", "CPUs"),
        ("{cpus: 1, cpu_quota: 5}", "`cpus`"),
        ("{ulimits: {fish: {single: 1}}}", "`fish`"),
        ("{ulimits: {core: {soft: 2, hard: 1}}}", "soft limit"),
        ("{device_cgroup_rules: [x]}", "`x`"),
        ("{device_cgroup_rules: ['c 1:2 x']}", "`c 1:2 x`"),
        ("{devices: [{source: a.b/c=d}]}", "Container Device Interface"),
        ("{devices: [{source: /dev/a, permissions: q}]}", "`q`"),
        ("{sysctls: {kernel.panic: '1'}}", "kernel.panic"),
        ("{sysctls: {net.core.x: '1'}, network_mode: host}", "network namespace"),
        ("{sysctls: {'net...x': '1'}}", "no name"),
        ("{security_opt: [magic]}", "`magic`"),
        ("{security_opt: ['no-new-privileges:maybe']}", "maybe"),
        ("{security_opt: ['seccomp=none.json']}", "/project/none.json"),
        ("{blkio_config: {weight: 5}}", "10 to 1000"),
        ("{shm_size: -1}", "shm_size"),
    ] {
        let text = refused(service);
        assert!(text.contains(part), "{service}: {text}");
    }
    for (mounts, part) in [
        ("[{type: bind, source: /a, target: /}]", "invalid mount path"),
        ("[{type: bind, source: /a, target: b}]", "invalid mount path"),
        ("[{type: bind, target: /b}]", "Source"),
        ("[{type: bind, source: a, target: /b}]", "absolute"),
        ("[{type: npipe, source: a, target: /b}]", "`npipe`"),
        ("[{type: bind, source: /a, target: /b, bind: {propagation: x}}]", "propagation"),
        ("[{type: bind, source: /a, target: /b, bind: {recursive: readonly}}]", "readonly"),
        ("[{type: tmpfs, target: /b, tmpfs: {size: -1}}]", "size"),
    ] {
        let text = made("{}", mounts).unwrap_err();
        assert!(text.contains(part), "{mounts}: {text}");
    }
}

#[test]
fn a_config_survives_its_file() {
    let config = made(
        "{read_only: true, security_opt: [seccomp=unconfined], devices: [{source: /dev/null}]}",
        "[{type: volume, source: v, target: /e}, {type: tmpfs, target: /f}]",
    );
    let config = config.unwrap();
    let text = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<Config>(&text).unwrap(), config);
}
