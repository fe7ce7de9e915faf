//! Which ports are chosen, for projects and containers as they may be found.

use std::collections::{BTreeMap, BTreeSet};

use super::{Ask, Host, HostPort, Idle, POOL, Ports, choose, used};
use crate::model::observed::{ObservedContainer, ObservedPort, State};
use crate::model::{Instance, Project, Service, label};

/// A host whose ports are free, but for some.
#[derive(Default)]
struct Busy(BTreeSet<u16>);

impl Host for Busy {
    fn take(&mut self, port: &HostPort) -> bool {
        self.0.insert(port.port)
    }

    fn hold(&mut self, port: &HostPort) {
        self.0.insert(port.port);
    }
}

fn project(instance: &str, services: &[(&str, &str)]) -> Project {
    let service = |yaml: &str| serde_yaml::from_str::<Service>(yaml).expect("a canonical service");
    let instance = (!instance.is_empty())
        .then(|| Instance { name: instance.to_owned(), project: "shop".to_owned() });
    Project {
        name: instance.as_ref().map_or("shop".to_owned(), Instance::full_name),
        instance,
        services: services
            .iter()
            .map(|(name, yaml)| ((*name).to_owned(), Box::new(service(yaml))))
            .collect(),
        ..Project::default()
    }
}

/// What is published, by service.
fn published(project: &Project) -> Vec<String> {
    let all = project.services.iter().flat_map(|(name, service)| {
        service.ports.iter().map(move |port| format!("{name}: {}", port.published))
    });
    all.collect()
}

/// Paths and what is wrong there.
type Refused = Vec<(String, String)>;

fn chosen(
    project: &Project,
    observed: &[ObservedContainer],
    (used, host): (&[&str], &mut dyn Host),
) -> Result<(Vec<String>, Ports), Refused> {
    let used = used.iter().map(|name| (*name).to_owned()).collect();
    let ask = Ask { project, scale: &BTreeMap::new(), used: &used, observed };
    let ports = choose(&ask, host)?;
    let mut project = project.clone();
    ports.apply(&mut project);
    Ok((published(&project), ports))
}

fn texts(project: &Project, observed: &[ObservedContainer], host: &mut dyn Host) -> Vec<String> {
    chosen(project, observed, (&[], host)).expect("there are free ports").0
}

/// The containers of a project as they would run with these ports.
fn running(project: &Project, ports: &Ports) -> Vec<ObservedContainer> {
    let mut project = project.clone();
    ports.apply(&mut project);
    let instance = project.instance.clone().expect("an instance");
    let container = |(name, service): (&String, &Service)| {
        let ports = service.ports.iter().map(|port| ObservedPort {
            host_ip: "0.0.0.0".to_owned(),
            published: crate::model::port::range(&port.published).map(|range| *range.start()),
            target: u16::try_from(port.target).expect("a port"),
            protocol: port.protocol().to_owned(),
        });
        let spec = serde_json::to_string(service).expect("JSON");
        let labels = [
            (label::PROJECT, project.name.clone()),
            (label::SERVICE, name.clone()),
            (label::INSTANCE, instance.name.clone()),
            (label::BASE_PROJECT, instance.project.clone()),
            (label::SPEC, spec),
        ];
        ObservedContainer {
            state: State::Running,
            labels: labels.map(|(name, value)| (name.to_owned(), value)).into(),
            ports: ports.collect(),
            ..ObservedContainer::default()
        }
    };
    project.services.iter().map(|(name, service)| container((name, service))).collect()
}

fn stopped(mut containers: Vec<ObservedContainer>) -> Vec<ObservedContainer> {
    for container in &mut containers {
        container.state = State::Exited;
        container.ports.clear();
    }
    containers
}

const DB: (&str, &str) =
    ("db", "{image: x, ports: [{target: 5432, published: '5432', protocol: tcp}]}");

#[test]
fn the_wanted_port_is_taken_if_it_is_free_else_one_of_its_own() {
    let project = project("x", &[DB]);
    assert_eq!(texts(&project, &[], &mut Idle), ["db: 5432"]);
    let other = || texts(&project, &[], &mut Busy([5432].into()));
    let number: u16 = other()[0]["db: ".len()..].parse().expect("a port");
    assert!(POOL.contains(&number));
    assert_eq!(other(), other(), "the same again");
    let next = texts(&project, &[], &mut Busy([5432, number].into()));
    assert_eq!(next, [format!("db: {}", number + 1)]);
}

#[test]
fn ports_that_the_files_leave_open_are_chosen_and_their_variables_known() {
    let web = (
        "my-web",
        "{image: x, ports: [{target: 80, protocol: tcp}, {target: 53, protocol: udp, published: '0'}]}",
    );
    let project = project("x", &[web]);
    let (texts, ports) = chosen(&project, &[], (&[], &mut Idle)).expect("free ports");
    let variables = ports.variables(&project);
    let told: Vec<String> =
        variables.iter().map(|(name, value)| format!("{name} {value}")).collect();
    let number = |index: usize| texts[index].rsplit(' ').next().expect("a number").to_owned();
    assert_eq!(
        told,
        [
            format!("KETCH_PORT_MY_WEB_80 {}", number(0)),
            format!("KETCH_PORT_MY_WEB_53_UDP {}", number(1)),
        ]
    );
}

#[test]
fn instances_and_services_begin_at_different_places() {
    let open = "{image: x, ports: [{target: 80, protocol: tcp}]}";
    let mut all = BTreeSet::new();
    for instance in ["a", "b", "c", "d"] {
        all.extend(texts(&project(instance, &[("web", open), ("api", open)]), &[], &mut Idle));
    }
    assert_eq!(all.len(), 8, "{all:?}");
}

#[test]
fn what_runs_keeps_its_ports_and_so_does_what_is_stopped() {
    let open = ("web", "{image: x, ports: [{target: 80, protocol: tcp}]}");
    let project = project("x", &[DB, open]);
    let (first, ports) = chosen(&project, &[], (&[], &mut Busy([5432].into()))).expect("ports");
    let containers = running(&project, &ports);
    // Its own ports are taken: by itself. The wanted one is free now.
    let number = |text: &String| text.rsplit(' ').next().and_then(|it| it.parse().ok());
    let mut host = Busy(first.iter().filter_map(number).collect());
    assert_eq!(texts(&project, &containers, &mut host), first);
    assert_eq!(texts(&project, &stopped(containers.clone()), &mut Busy::default()), first);
    let other = texts(&project, &stopped(containers), &mut host);
    assert_eq!(other[0], "db: 5432", "somebody else got it meanwhile");
    assert_ne!(other[1], first[1]);
}

#[test]
fn a_port_that_the_files_do_not_want_any_more_is_given_up() {
    let before = project("x", &[DB]);
    let (_, ports) = chosen(&before, &[], (&[], &mut Idle)).expect("ports");
    let containers = running(&before, &ports);
    let moved = ("db", "{image: x, ports: [{target: 5432, published: '6000', protocol: tcp}]}");
    assert_eq!(texts(&project("x", &[moved]), &containers, &mut Idle), ["db: 6000"]);
}

#[test]
fn what_others_have_or_will_want_back_is_not_free() {
    let (first, second) = (project("a", &[DB]), project("b", &[DB]));
    let (_, ports) = chosen(&first, &[], (&[], &mut Idle)).expect("ports");
    let containers = running(&first, &ports);
    assert_ne!(texts(&second, &containers, &mut Idle), ["db: 5432"]);
    assert_ne!(texts(&second, &stopped(containers), &mut Idle), ["db: 5432"]);
    let local = ("db", "{image: x, ports: [{target: 1, published: '5432', protocol: udp}]}");
    let (_, ports) = chosen(&first, &[], (&[], &mut Idle)).expect("ports");
    let containers = running(&first, &ports);
    assert_eq!(texts(&project("b", &[local]), &containers, &mut Idle), ["db: 5432"], "udp");
}

#[test]
fn several_containers_get_a_block_of_ports() {
    let three = "{image: x, scale: 3, ports: [{target: 80, published: '8080', protocol: tcp}]}";
    let project = project("x", &[("web", three)]);
    assert_eq!(texts(&project, &[], &mut Idle), ["web: 8080-8082"]);
    let (busy, ports) = chosen(&project, &[], (&[], &mut Busy([8082].into()))).expect("free ports");
    let (first, last) = busy[0]["web: ".len()..].split_once('-').expect("a range");
    let numbers = [first, last].map(|it| it.parse::<u16>().expect("a port"));
    assert_eq!(numbers[1], numbers[0] + 2);
    assert_eq!(ports.variables(&project)["KETCH_PORT_WEB_80"], first);
    // Fewer containers need fewer ports; the others do not change for that.
    let containers = running(&project, &ports);
    let fewer = BTreeMap::from([("web".to_owned(), 1)]);
    let none = BTreeSet::new();
    let ask = Ask { project: &project, scale: &fewer, used: &none, observed: &containers };
    let ports = choose(&ask, &mut Idle).expect("free ports");
    let mut again = project.clone();
    ports.apply(&mut again);
    assert_eq!(published(&again), busy);
}

#[test]
fn of_a_range_one_is_chosen() {
    let range = "{image: x, ports: [{target: 80, published: '8000-8002', protocol: tcp}]}";
    let project = project("x", &[("web", range)]);
    assert_eq!(texts(&project, &[], &mut Busy([8000].into())), ["web: 8001"]);
    let all = texts(&project, &[], &mut Busy([8000, 8001, 8002].into()));
    assert!(all[0].starts_with("web: 2"), "{all:?}");
}

#[test]
fn addresses_of_one_port_may_have_the_same_number() {
    let both = "{image: x, ports: [
        {target: 80, published: '8080', host_ip: 127.0.0.1, protocol: tcp},
        {target: 80, published: '8080', host_ip: '::1', protocol: tcp},
        {target: 81, published: '8080', host_ip: 127.0.0.1, protocol: tcp}]}";
    let all = texts(&project("x", &[("web", both)]), &[], &mut Idle);
    assert_eq!(all[..2], ["web: 8080", "web: 8080"]);
    assert_ne!(all[2], "web: 8080");
}

#[test]
fn a_project_that_is_no_instance_gets_what_it_asks_for() {
    let open =
        ("web", "{image: x, ports: [{target: 80, protocol: tcp}, {target: 81, protocol: tcp}]}");
    let plain = project("", &[DB, open]);
    assert_eq!(texts(&plain, &[], &mut Busy([5432].into())), ["db: 5432", "web: ", "web: "]);
    let used = &["KETCH_PORT_WEB_80"][..];
    let (all, ports) = chosen(&plain, &[], (used, &mut Idle)).expect("free ports");
    assert!(all[1].len() > 5 && all[2] == "web: ", "{all:?}");
    let variables = ports.variables(&plain);
    assert_eq!(variables.keys().collect::<Vec<_>>(), ["KETCH_PORT_DB_5432", "KETCH_PORT_WEB_80"]);
    assert_eq!(variables["KETCH_PORT_DB_5432"], "5432");
}

#[test]
fn what_the_engine_has_chosen_is_told_and_left() {
    let open = ("web", "{image: x, ports: [{target: 80, protocol: tcp}]}");
    let plain = project("", &[open]);
    let port = ObservedPort {
        host_ip: "0.0.0.0".to_owned(),
        published: Some(32_768),
        target: 80,
        protocol: "tcp".to_owned(),
    };
    let labels = [(label::PROJECT, "shop"), (label::SERVICE, "web")];
    let container = ObservedContainer {
        state: State::Running,
        labels: labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        ports: vec![port],
        ..ObservedContainer::default()
    };
    let used = &["KETCH_PORT_WEB_80"][..];
    let (all, ports) = chosen(&plain, &[container], (used, &mut Idle)).expect("free ports");
    assert_eq!(all, ["web: "]);
    assert_eq!(ports.variables(&plain)["KETCH_PORT_WEB_80"], "32768");
}

#[test]
fn what_has_no_ports_of_its_own_gets_none() {
    let host = "{image: x, network_mode: host, ports: [{target: 80, published: '80'}]}";
    let odd = "{image: x, ports: [{target: 80, published: 'many'}]}";
    let project = project("x", &[("host", host), ("odd", odd)]);
    assert_eq!(texts(&project, &[], &mut Idle), ["host: 80", "odd: many"]);
}

#[test]
fn no_free_port_is_told_at_its_place() {
    struct Full;
    impl Host for Full {
        fn take(&mut self, _port: &HostPort) -> bool {
            false
        }
        fn hold(&mut self, _port: &HostPort) {}
    }
    let refused = chosen(&project("x", &[DB]), &[], (&[], &mut Full)).expect_err("none is free");
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].0, "services.db.ports.0");
    assert_eq!(
        refused[0].1,
        "no port of the host is free for port 5432/tcp of service `db`: nothing from 20000 to \
         29999 is; take down instances that nobody needs, which `ketch ls` shows"
    );
}

#[test]
fn variables_are_found_in_any_text() {
    let texts =
        ["a: ${KETCH_PORT_WEB_80:-x}", "KETCH_PORT_DNS_53_UDP=1 $KETCH_PORT_A", "KETCH_POR"];
    let found: Vec<String> = used(texts).into_iter().collect();
    assert_eq!(found, ["KETCH_PORT_A", "KETCH_PORT_DNS_53_UDP", "KETCH_PORT_WEB_80"]);
}
