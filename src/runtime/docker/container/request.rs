//! The request that makes a container.
//!
//! In: a spec, what is known of the engine, and what was found out. Out: a body as JSON, and what
//! is left to do afterwards. Pure: nobody is asked.

use bollard::ClientVersion;
use bollard::models::{ContainerCreateBody, HealthConfig, NetworkingConfig};
use serde_json::{Map, Value, json};

use super::attachment::{self, Many};
use super::host::{self, port_key};
use super::mounts;
use super::security::Security;
use crate::model::spec::{ContainerSpec, Endpoint};
use crate::model::{Duration, Environment, Healthcheck, Service, label};
use crate::runtime::Result;
use crate::runtime::docker::connect::Proxies;
use crate::runtime::docker::network::text;

/// What is known of the engine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Engine<'a> {
    /// The version of the API that is spoken.
    pub(super) api: ClientVersion,
    /// What containers are told about proxies.
    pub(super) proxies: &'a Proxies,
}

/// What was found out before.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The config hash.
    pub(super) hash: String,
    /// What `security_opt` says, with the profiles that it names.
    pub(super) security: Security,
}

/// A request and what belongs to it.
#[derive(Debug)]
pub(super) struct Request {
    /// The body.
    pub(super) body: Value,
    /// Networks to join when the container is there.
    pub(super) later: Vec<Endpoint>,
    /// What the user should know.
    pub(super) remarks: Vec<String>,
}

/// Assembles the request for a container.
pub(super) fn assemble(
    container: &ContainerSpec,
    engine: Engine<'_>,
    found: Found,
) -> Result<Request> {
    let one_by_one = ClientVersion { major_version: 1, minor_version: 43 };
    let many = if engine.api > one_by_one { Many::Yes } else { Many::No };
    let attachment = attachment::attach(container, many)?;
    let mut host = host::config(container, &found.security)?;
    host.network_mode = Some(attachment.mode);
    let networking = NetworkingConfig { endpoints_config: Some(attachment.endpoints) };
    let mut config = config(container, engine.proxies);
    config.labels = Some(labels(container, found.hash));
    config.host_config = Some(host);
    config.networking_config = Some(networking).filter(|networks| {
        networks.endpoints_config.as_ref().is_some_and(|endpoints| !endpoints.is_empty())
    });
    let mut fields = Map::new();
    if let Some(address) = attachment.mac_address {
        fields.insert("MacAddress".to_owned(), json!(address));
    }
    let mut remarks = attachment.remarks;
    remarks.extend(mounts::remarks(&container.mounts));
    let body = crate::runtime::docker::body::extended(&config, fields);
    Ok(Request { body, later: attachment.later, remarks })
}

fn labels(container: &ContainerSpec, hash: String) -> std::collections::HashMap<String, String> {
    let own = container.labels.clone().into_iter();
    own.chain([(label::CONFIG_HASH.to_owned(), hash)]).collect()
}

/// What runs in the container.
fn config(container: &ContainerSpec, proxies: &Proxies) -> ContainerCreateBody {
    let service = &container.service;
    let interactive = container.one_off.is_some_and(|run| run.interactive);
    ContainerCreateBody {
        image: Some(container.image.clone()),
        hostname: text(&service.hostname),
        domainname: text(&service.domainname),
        user: text(&service.user),
        working_dir: text(&service.working_dir),
        cmd: service.command.clone(),
        entrypoint: service.entrypoint.clone(),
        env: Some(environment(&service.environment, proxies)).filter(|env| !env.is_empty()),
        exposed_ports: Some(exposed(service)).filter(|ports| !ports.is_empty()),
        healthcheck: service.healthcheck.as_ref().map(healthcheck),
        attach_stdin: interactive.then_some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        tty: service.tty.then_some(true),
        open_stdin: (service.stdin_open || interactive).then_some(true),
        stdin_once: interactive.then_some(true),
        network_disabled: (service.network_mode == "disabled").then_some(true),
        stop_signal: text(&service.stop_signal),
        stop_timeout: service.stop_grace_period.map(whole_seconds),
        ..ContainerCreateBody::default()
    }
}

/// Variables as `NAME=VALUE`; a name alone takes the image's variable away.
fn environment(environment: &Environment, proxies: &Proxies) -> Vec<String> {
    let mut all: Environment =
        proxies.iter().map(|(name, value)| (name.clone(), Some(value.clone()))).collect();
    all.extend(environment.clone());
    let line = |(name, value): (String, Option<String>)| match value {
        Some(value) => format!("{name}={value}"),
        None => name,
    };
    all.into_iter().map(line).collect()
}

/// All ports that others may reach: those of `expose`, range by range, and those of `ports`.
fn exposed(service: &Service) -> Vec<String> {
    let published = service.ports.iter().map(|port| port_key(port.target, &port.protocol));
    let mut all: Vec<String> =
        service.expose.iter().flat_map(|ports| range(ports)).chain(published).collect();
    all.sort();
    all.dedup();
    all
}

/// `FIRST[-LAST][/PROTOCOL]` port by port. What is no range is left to the engine to refuse.
fn range(ports: &str) -> Vec<String> {
    let (numbers, protocol) = ports.split_once('/').unwrap_or((ports, "tcp"));
    let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
    match (first.parse::<u16>(), last.parse::<u16>()) {
        (Ok(first), Ok(last)) => {
            (first..=last).map(|port| port_key(u32::from(port), protocol)).collect()
        }
        _ => vec![ports.to_owned()],
    }
}

fn healthcheck(check: &Healthcheck) -> HealthConfig {
    if check.disable {
        return HealthConfig { test: Some(vec!["NONE".to_owned()]), ..HealthConfig::default() };
    }
    let nanoseconds = |duration: Option<Duration>| duration.map(|duration| duration.0);
    HealthConfig {
        test: Some(check.test.clone()).filter(|test| !test.is_empty()),
        interval: nanoseconds(check.interval),
        timeout: nanoseconds(check.timeout),
        retries: check.retries.map(|retries| i64::try_from(retries).unwrap_or(i64::MAX)),
        start_period: nanoseconds(check.start_period),
        start_interval: nanoseconds(check.start_interval),
    }
}

/// The engine counts whole seconds; Compose drops the rest.
fn whole_seconds(duration: Duration) -> i64 {
    duration.0 / 1_000_000_000
}

#[cfg(test)]
mod tests {
    use bollard::ClientVersion;
    use serde_json::{Value, json};

    use super::{Engine, Found, Proxies, assemble};
    use crate::model::ServiceNetwork;
    use crate::model::spec::{ContainerSpec, Endpoint, OneOff};

    fn spec(yaml: &str) -> ContainerSpec {
        let service: crate::model::Service = serde_yaml::from_str(yaml).expect("a service");
        ContainerSpec {
            name: "shop-web-1".to_owned(),
            image: "web".to_owned(),
            service: service.into(),
            labels: [("a".to_owned(), "b".to_owned())].into(),
            ..ContainerSpec::default()
        }
    }

    fn body(spec: &ContainerSpec, minor_version: usize) -> Value {
        let proxies = Proxies::from([("HTTP_PROXY".to_owned(), "p".to_owned())]);
        let api = ClientVersion { major_version: 1, minor_version };
        let found = Found { hash: "0f".to_owned(), ..Found::default() };
        assemble(spec, Engine { api, proxies: &proxies }, found).unwrap().body
    }

    #[test]
    fn every_attribute_of_a_service_is_sent() {
        let spec = spec(
            "{hostname: h, domainname: d, user: u, working_dir: /w, command: [a, b],
              entrypoint: [], environment: {A: '1', B: null}, expose: ['70-72/udp', '80'],
              ports: [{target: 80, protocol: tcp}, {target: 90}], tty: true, stdin_open: true,
              healthcheck: {test: [CMD, x], interval: 1000000000, timeout: 2, retries: 3,
                            start_period: 4, start_interval: 5},
              stop_signal: SIGINT, stop_grace_period: 1500000000}",
        );
        assert_eq!(
            body(&spec, 41),
            json!({
                "Image": "web", "Hostname": "h", "Domainname": "d", "User": "u", "WorkingDir": "/w",
                "Cmd": ["a", "b"], "Entrypoint": [], "Env": ["A=1", "B", "HTTP_PROXY=p"],
                "ExposedPorts": {"70/udp": {}, "71/udp": {}, "72/udp": {}, "80/tcp": {}, "90/tcp": {}},
                "Tty": true, "OpenStdin": true, "AttachStdout": true, "AttachStderr": true,
                "Healthcheck": {"Test": ["CMD", "x"], "Interval": 1_000_000_000, "Timeout": 2,
                                "Retries": 3, "StartPeriod": 4, "StartInterval": 5},
                "StopSignal": "SIGINT", "StopTimeout": 1,
                "Labels": {"a": "b", "com.docker.compose.config-hash": "0f"},
                "HostConfig": {"NetworkMode": "none",
                               "PortBindings": {"80/tcp": [{}], "90/tcp": [{}]}},
            })
        );
    }

    #[test]
    fn a_disabled_check_is_none() {
        let spec =
            spec("{healthcheck: {disable: true, test: [CMD, x]}, environment: {HTTP_PROXY: ''}}");
        let body = body(&spec, 41);
        assert_eq!(body["Healthcheck"], json!({"Test": ["NONE"]}));
        assert_eq!(body["Env"], json!(["HTTP_PROXY="]), "the service wins over proxies");
    }

    #[test]
    fn the_input_of_a_run_is_closed_by_its_first_user() {
        let mut spec = spec("{}");
        spec.one_off = Some(OneOff { auto_remove: false, interactive: true });
        let body = body(&spec, 41);
        for name in ["AttachStdin", "OpenStdin", "StdinOnce"] {
            assert_eq!(body[name], json!(true), "{name}");
        }
    }

    #[test]
    fn old_engines_get_one_network_and_the_address_at_the_container() {
        let mut spec = spec("{mac_address: m}");
        let endpoint = |network: &str| Endpoint {
            network: network.to_owned(),
            options: ServiceNetwork { aliases: vec!["web".to_owned()], ..Default::default() },
        };
        spec.endpoints = vec![endpoint("front"), endpoint("back")];
        let old = body(&spec, 43);
        assert_eq!(old["MacAddress"], json!("m"));
        assert_eq!(old["HostConfig"]["NetworkMode"], json!("front"));
        assert_eq!(
            old["NetworkingConfig"],
            json!({"EndpointsConfig": {"front": {"Aliases": ["web"]}}})
        );
        let new = body(&spec, 44);
        assert_eq!(new["MacAddress"], Value::Null);
        assert_eq!(
            new["NetworkingConfig"],
            json!({"EndpointsConfig": {"front": {"Aliases": ["web"], "MacAddress": "m"},
                                       "back": {"Aliases": ["web"]}}})
        );
    }
}
