//! Containers of `run`, from a project and what the user says.

use super::{Aliases, Ports, Run, plan};
use crate::model::observed::{Observed, ObservedContainer, ObservedImage, State};
use crate::model::spec::{ContainerSpec, OneOff};
use crate::model::{Mount, Network, Port, Project, Service, Volume, label};
use crate::plan::{Op, Plan, Until, Up};

const SLUG: &str = "0123456789abcdef0123456789abcdef";

fn project() -> Project {
    let services = "
        web: {image: web, container_name: w, restart: always, command: [serve], tty: true,
              ports: [{target: 80, published: '80', protocol: tcp}], cap_drop: [KILL],
              volumes: [{type: volume, source: data, target: /data}],
              deploy: {replicas: 3, restart_policy: {condition: any}},
              networks: {default: {aliases: [www]}}, pid: 'service:db',
              depends_on: {db: {condition: service_healthy, required: true},
                           job: {condition: service_completed_successfully, required: false},
                           log: {condition: service_started}}}
        db: {image: db}
        job: {image: job}
        log: {image: log}";
    let network = Network { name: "shop_default".to_owned(), ..Network::default() };
    let volume = Volume { name: "shop_data".to_owned(), ..Volume::default() };
    Project {
        name: "shop".to_owned(),
        services: serde_yaml::from_str(services).expect("services"),
        networks: [("default".to_owned(), network)].into(),
        volumes: [("data".to_owned(), volume)].into(),
        ..Project::default()
    }
}

fn found(service: &str, number: &str, state: State) -> ObservedContainer {
    let labels =
        [(label::SERVICE, service), (label::CONTAINER_NUMBER, number), (label::ONE_OFF, "False")];
    ObservedContainer {
        name: format!("shop-{service}-{number}"),
        state,
        labels: labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        ..ObservedContainer::default()
    }
}

fn observed() -> Observed {
    let image = ObservedImage { id: "sha256:1".to_owned(), ..ObservedImage::default() };
    Observed {
        containers: vec![
            found("db", "1", State::Running),
            found("job", "1", State::Exited),
            found("log", "1", State::Running),
            found("web", "1", State::Running),
            found("web", "2", State::Exited),
        ],
        images: [("web".to_owned(), image)].into(),
        ..Observed::default()
    }
}

fn run() -> Run {
    Run { service: "web".to_owned(), slug: SLUG.to_owned(), ..Run::default() }
}

fn planned(run: &Run, until: Until) -> Plan {
    let project = project();
    let up = Up { until, ..Up::all(&project) };
    plan(&up, &observed(), run)
}

fn spec(run: &Run) -> ContainerSpec {
    let plan = planned(run, Until::Created);
    let spec = plan.steps.iter().find_map(|step| match &step.op {
        Op::CreateContainer(spec) => Some((**spec).clone()),
        _ => None,
    });
    spec.expect("a container")
}

#[test]
fn what_the_service_depends_on_is_waited_for() {
    insta::assert_snapshot!(planned(&run(), Until::Created).to_string(), @r"
    1 wait for container shop-db-1 to be healthy (web needs it)
    2 wait for container shop-job-1 to be completed (web needs it)
    3 create container shop-web-run-0123456789ab after 1 2 (requested)
    ");
    let plan = planned(&run(), Until::Started);
    let last = plan.steps.last().expect("a step");
    assert_eq!(last.op.to_string(), "start container shop-web-run-0123456789ab");
    assert_eq!(plan.steps[1].failure, crate::plan::Severity::Warning);
}

#[test]
fn without_dependencies_nothing_is_waited_for() {
    let mut project = project();
    project.services.retain(|name, _| name == "web");
    let plan = plan(&Up { until: Until::Created, ..Up::all(&project) }, &observed(), &run());
    assert_eq!(plan.steps.len(), 1);
}

#[test]
fn it_stands_beside_the_containers_of_up() {
    let spec = spec(&run());
    let label = |name: &str| spec.labels.get(name).map(String::as_str);
    assert_eq!(label(label::ONE_OFF), Some("True"));
    assert_eq!(label(label::SLUG), Some(SLUG));
    assert_eq!(label(label::CONTAINER_NUMBER), None);
    assert_eq!(label(label::IMAGE), Some("sha256:1"));
    let service = &spec.service;
    assert_eq!((&*service.container_name, &*service.restart, service.tty), ("", "", false));
    let deploy = service.deploy.as_ref().expect("deploy");
    assert_eq!((deploy.replicas, &deploy.restart_policy), (None, &None));
    assert!(service.ports.is_empty());
    assert_eq!(service.pid, "container:shop-db-1");
    assert_eq!(spec.shares_with, ["shop-db-1"]);
    assert_eq!(spec.endpoints[0].options.aliases, ["shop-web-run-0123456789ab"]);
    assert_eq!(
        spec.links,
        ["shop-web-1:web", "shop-web-1:web-1", "shop-web-1:shop-web-1"],
        "only the one that runs"
    );
    assert_eq!(spec.mounts[0].source, "shop_data");
}

#[test]
fn what_the_user_says_replaces_what_the_file_says() {
    let words = |words: &[&str]| words.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
    let mount = Mount {
        kind: "bind".to_owned(),
        source: "/x".to_owned(),
        target: "/data".to_owned(),
        ..Mount::default()
    };
    let port = Port { target: 9, ..Port::default() };
    let run = Run {
        name: "own".to_owned(),
        entrypoint: Some(words(&["sh", "-c"])),
        user: "u".to_owned(),
        environment: [("A".to_owned(), Some("b".to_owned()))].into(),
        labels: [("l".to_owned(), "m".to_owned())].into(),
        cap_add: words(&["KILL"]),
        mounts: vec![mount.clone()],
        ports: Ports::These(vec![port.clone()]),
        aliases: Aliases::Service,
        one_off: OneOff { auto_remove: true, interactive: true },
        ..run()
    };
    let spec = spec(&run);
    let service = &spec.service;
    assert_eq!(spec.name, "own");
    assert_eq!(service.entrypoint, Some(words(&["sh", "-c"])));
    assert_eq!(service.command, Some(Vec::new()), "a new entrypoint takes the command away");
    assert_eq!((&*service.user, service.stdin_open), ("u", true));
    assert_eq!((&service.cap_add, &service.cap_drop), (&words(&["KILL"]), &words(&[])));
    assert_eq!(service.volumes, [mount]);
    assert_eq!(service.ports, [port]);
    assert_eq!(spec.labels["l"], "m");
    assert_eq!(spec.endpoints[0].options.aliases, ["own", "web", "www"]);
    assert_eq!(spec.one_off, Some(run.one_off));
    let service = Service { command: Some(words(&["serve"])), ..Service::default() };
    let run = Run { command: Some(words(&["x"])), ..run };
    assert_eq!(run.settings(&service).command, Some(words(&["x"])));
}
