//! How a container stands on its host: namespaces, rights, restarts, ports.
//!
//! In: a spec. Out: the host config, with resources and mounts. Networks are not here.

use std::collections::HashMap;

use bollard::models::{
    HostConfig, HostConfigCgroupnsModeEnum, HostConfigIsolationEnum, HostConfigLogConfig,
    PortBinding, PortMap, RestartPolicy, RestartPolicyNameEnum,
};

use super::security::Security;
use super::{mounts, resources};
use crate::model::Service;
use crate::model::spec::ContainerSpec;
use crate::runtime::docker::network::{list, map, text};
use crate::runtime::{Result, RuntimeError};

/// The host config of a container, without its networks.
pub(super) fn config(container: &ContainerSpec, security: &Security) -> Result<HostConfig> {
    let service = &container.service;
    let mut host = resources::resources(service);
    rights(&mut host, service, security);
    namespaces(&mut host, service)?;
    surroundings(&mut host, service)?;
    host.auto_remove = container.one_off.is_some_and(|run| run.auto_remove).then_some(true);
    host.links = list(&container.links);
    mounts::mount_all(&mut host, &container.mounts)?;
    Ok(host)
}

/// What its processes may do.
fn rights(host: &mut HostConfig, service: &Service, security: &Security) {
    host.cap_add = list(&service.cap_add);
    host.cap_drop = list(&service.cap_drop);
    host.group_add = list(&service.group_add);
    host.privileged = service.privileged.then_some(true);
    host.readonly_rootfs = service.read_only.then_some(true);
    host.security_opt = list(&security.options);
    if security.open_system_paths {
        host.masked_paths = Some(Vec::new());
        host.readonly_paths = Some(Vec::new());
    }
    host.oom_score_adj = Some(service.oom_score_adj).filter(|score| *score != 0);
    host.sysctls = map(&service.sysctls);
}

/// What it shares with others.
fn namespaces(host: &mut HostConfig, service: &Service) -> Result<()> {
    host.ipc_mode = text(&service.ipc);
    host.pid_mode = text(&service.pid);
    host.uts_mode = text(&service.uts);
    host.userns_mode = text(&service.userns_mode);
    host.cgroupns_mode = word::<HostConfigCgroupnsModeEnum>("cgroup", &service.cgroup)?;
    host.isolation = word::<HostConfigIsolationEnum>("isolation", &service.isolation)?;
    let bare = |from: &String| from.strip_prefix("container:").unwrap_or(from).to_owned();
    host.volumes_from = list(&service.volumes_from.iter().map(bare).collect::<Vec<_>>());
    Ok(())
}

/// What is around it.
fn surroundings(host: &mut HostConfig, service: &Service) -> Result<()> {
    host.annotations = map(&service.annotations);
    host.init = service.init;
    host.runtime = text(&service.runtime);
    host.restart_policy = restart_policy(service)?;
    host.shm_size = Some(service.shm_size.0).filter(|size| *size != 0);
    host.storage_opt = map(&service.storage_opt);
    host.dns = list(&service.dns);
    host.dns_search = list(&service.dns_search);
    host.dns_options = list(&service.dns_opt);
    host.extra_hosts = list(&hosts(service));
    host.tmpfs = tmpfs(service);
    host.port_bindings = port_bindings(service);
    host.log_config = service.logging.as_ref().map(|logging| HostConfigLogConfig {
        typ: text(&logging.driver),
        config: map(&logging.options),
    });
    Ok(())
}

/// A word of a closed list; empty: none.
fn word<T: std::str::FromStr>(attribute: &str, word: &str) -> Result<Option<T>> {
    if word.is_empty() {
        return Ok(None);
    }
    let unknown = |_| {
        RuntimeError::Unsupported(format!("`{attribute}: {word}` is nothing that Docker knows"))
    };
    word.parse().map(Some).map_err(unknown)
}

/// What happens when it ends: what `deploy` says, else `restart`.
fn restart_policy(service: &Service) -> Result<Option<RestartPolicy>> {
    let deployed = service.deploy.as_ref().and_then(|deploy| deploy.restart_policy.as_ref());
    let (condition, attempts) = match deployed {
        Some(policy) => {
            let attempts = policy.max_attempts.map(|most| i64::try_from(most).unwrap_or(i64::MAX));
            (policy.condition.as_str(), attempts)
        }
        None => match service.restart.split_once(':') {
            Some((condition, attempts)) => (condition, attempts.parse().ok()),
            None => (service.restart.as_str(), None),
        },
    };
    let name = match condition {
        "none" => "no",
        "any" => "always",
        other => other,
    };
    let name = word::<RestartPolicyNameEnum>("restart", name)?;
    if name.is_none() && attempts.is_none() {
        return Ok(None);
    }
    Ok(Some(RestartPolicy { name, maximum_retry_count: attempts.filter(|most| *most != 0) }))
}

fn hosts(service: &Service) -> Vec<String> {
    let each = service.extra_hosts.iter();
    let mut hosts: Vec<String> =
        each.flat_map(|(host, ips)| ips.iter().map(move |ip| format!("{host}:{ip}"))).collect();
    hosts.sort();
    hosts
}

fn tmpfs(service: &Service) -> Option<HashMap<String, String>> {
    let split = |entry: &String| {
        let (path, options) = entry.split_once(':').unwrap_or((entry, ""));
        (path.to_owned(), options.to_owned())
    };
    let all: HashMap<_, _> = service.tmpfs.iter().map(split).collect();
    (!all.is_empty()).then_some(all)
}

fn port_bindings(service: &Service) -> Option<PortMap> {
    let mut all = PortMap::new();
    for port in &service.ports {
        let binding =
            PortBinding { host_ip: text(&port.host_ip), host_port: text(&port.published) };
        let key = port_key(port.target, &port.protocol);
        all.entry(key).or_default().get_or_insert_default().push(binding);
    }
    (!all.is_empty()).then_some(all)
}

/// A port of a container as the engine writes it.
pub(super) fn port_key(target: u32, protocol: &str) -> String {
    format!("{target}/{}", if protocol.is_empty() { "tcp" } else { protocol })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::config;
    use crate::model::spec::{ContainerSpec, OneOff};
    use crate::runtime::docker::container::security::Security;

    fn of(yaml: &str) -> Result<Value, String> {
        let service: crate::model::Service = serde_yaml::from_str(yaml).expect("a service");
        let spec = ContainerSpec { service: service.into(), ..ContainerSpec::default() };
        let body = config(&spec, &Security::default()).map_err(|error| error.to_string())?;
        Ok(serde_json::to_value(body).unwrap())
    }

    #[test]
    fn every_attribute_of_a_service_is_sent() {
        let body = of("{cap_add: [A], cap_drop: [B], group_add: [g], privileged: true,
            read_only: true, oom_score_adj: 5, sysctls: {a.b: '1'}, ipc: shareable, pid: host,
            uts: host, userns_mode: host, cgroup: private, isolation: default,
            volumes_from: ['container:shop-db-1:ro', 'container:other'], annotations: {a: b},
            init: false, runtime: r, restart: 'on-failure:3', shm_size: 64, storage_opt: {size: 1G},
            dns: [1.1.1.1], dns_search: [s], dns_opt: [o], extra_hosts: {b: ['::1'], a: [x, y]},
            tmpfs: [/t, '/u:size=1m,mode=700'], logging: {driver: local, options: {max-size: 1m}},
            ports: [{target: 80, published: 8000-8010, protocol: tcp, host_ip: 127.0.0.1},
                    {target: 80, protocol: tcp}, {target: 53, protocol: udp}]}");
        assert_eq!(
            body.unwrap(),
            json!({
                "CapAdd": ["A"], "CapDrop": ["B"], "GroupAdd": ["g"], "Privileged": true,
                "ReadonlyRootfs": true, "OomScoreAdj": 5, "Sysctls": {"a.b": "1"},
                "IpcMode": "shareable", "PidMode": "host", "UTSMode": "host", "UsernsMode": "host",
                "CgroupnsMode": "private", "Isolation": "default",
                "VolumesFrom": ["shop-db-1:ro", "other"], "Annotations": {"a": "b"}, "Init": false,
                "Runtime": "r", "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3},
                "ShmSize": 64, "StorageOpt": {"size": "1G"}, "Dns": ["1.1.1.1"], "DnsSearch": ["s"],
                "DnsOptions": ["o"], "ExtraHosts": ["a:x", "a:y", "b:::1"],
                "Tmpfs": {"/t": "", "/u": "size=1m,mode=700"},
                "LogConfig": {"Type": "local", "Config": {"max-size": "1m"}},
                "PortBindings": {
                    "80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8000-8010"}, {}],
                    "53/udp": [{}]},
            })
        );
        assert_eq!(of("{}").unwrap(), json!({}));
    }

    #[test]
    fn restart_policies_of_deploy_win() {
        let policy = |yaml: &str| of(yaml).unwrap()["RestartPolicy"].clone();
        assert_eq!(policy("{restart: unless-stopped}"), json!({"Name": "unless-stopped"}));
        assert_eq!(policy("{restart: 'no'}"), json!({"Name": "no"}));
        assert_eq!(
            policy("{restart: always, deploy: {restart_policy: {condition: none}}}"),
            json!({"Name": "no"})
        );
        assert_eq!(
            policy("{deploy: {restart_policy: {condition: on-failure, max_attempts: 2}}}"),
            json!({"Name": "on-failure", "MaximumRetryCount": 2})
        );
        assert_eq!(
            policy("{deploy: {restart_policy: {condition: any}}}"),
            json!({"Name": "always"})
        );
        assert_eq!(
            of("{restart: sometimes}").unwrap_err(),
            "`restart: sometimes` is nothing that Docker knows"
        );
    }

    #[test]
    fn open_system_paths_hide_nothing() {
        let security = Security { options: vec!["a=b".to_owned()], open_system_paths: true };
        let one_off = Some(OneOff { auto_remove: true, interactive: false });
        let spec = ContainerSpec { one_off, ..ContainerSpec::default() };
        let body = serde_json::to_value(config(&spec, &security).unwrap()).unwrap();
        assert_eq!(
            body,
            json!({"SecurityOpt": ["a=b"], "MaskedPaths": [], "ReadonlyPaths": [], "AutoRemove": true})
        );
    }
}
