//! Plans as text: what is asked for, what is there, what is done.

use super::{Action, Removal, Treatment};
use super::{Desired, Down, Origin, Orphans, Recreate, Until, Up, labels, reconcile};
use crate::model::observed::{
    Attachment, Health, Observed, ObservedContainer, ObservedImage, ObservedMount, ObservedNetwork,
    ObservedVolume, State,
};
use crate::model::spec::ProviderAction;
use crate::model::{Project, hash, label};
use crate::plan::providers::{self, Program, ProviderCalls, Providers};
use crate::project::{Memory, Request, load};

/// The project `shop` with these services and resources.
fn project(yaml: &str) -> Project {
    let source = Memory::default().with("/shop/compose.yaml", yaml);
    let request = Request { cwd: "/shop".into(), ..Request::default() };
    let (loaded, report) = load(&source, &request);
    loaded.unwrap_or_else(|| panic!("{:?}", report.diagnostics)).project
}

/// What there is once the project is up: every container runs.
fn settled(project: &Project) -> Observed {
    let plan = reconcile(&Desired::Up(Up::all(project)), &Observed::default());
    let mut observed = Observed::default();
    for step in plan.steps {
        apply(&mut observed, step.op);
    }
    observed
}

/// The little that a plan needs to see of a step that has run.
fn apply(observed: &mut Observed, op: super::Op) {
    match op {
        super::Op::CreateNetwork(spec) => observed.networks.push(ObservedNetwork {
            id: format!("id-{}", spec.network.name),
            name: spec.network.name.clone(),
            labels: spec.labels.clone(),
            ..ObservedNetwork::default()
        }),
        super::Op::CreateVolume(spec) => observed.volumes.push(ObservedVolume {
            name: spec.volume.name.clone(),
            labels: spec.labels.clone(),
            ..ObservedVolume::default()
        }),
        super::Op::CreateContainer(spec) => {
            let id = |name: &str| {
                let mut containers = observed.containers.iter();
                containers.find(|it| it.name == name).map(|it| it.id.clone())
            };
            let mut labels = spec.labels.clone();
            let hash = hash::container_hash(&spec.service, id);
            labels.insert(label::CONFIG_HASH.to_owned(), hash);
            let attachments = spec.endpoints.iter().map(|endpoint| Attachment {
                network: endpoint.network.clone(),
                id: format!("id-{}", endpoint.network),
            });
            let mounts = spec.mounts.iter().map(|mount| ObservedMount {
                kind: mount.kind.clone(),
                name: mount.source.clone(),
                source: String::new(),
                target: mount.target.clone(),
            });
            observed.containers.push(ObservedContainer {
                id: format!("{:0>12}", observed.containers.len()),
                name: spec.name.clone(),
                state: State::Created,
                labels,
                networks: attachments.collect(),
                mounts: mounts.collect(),
                ..ObservedContainer::default()
            });
        }
        super::Op::StartContainer { container, .. } => {
            at(observed, &container).state = State::Running;
        }
        _ => {}
    }
}

fn at<'o>(observed: &'o mut Observed, name: &str) -> &'o mut ObservedContainer {
    observed.containers.iter_mut().find(|container| container.name == name).expect("it is there")
}

#[track_caller]
fn check(desired: &Desired<'_>, observed: &Observed, expected: &str) {
    assert_eq!(reconcile(desired, observed).to_string(), expected);
}

#[track_caller]
fn check_up(yaml: &str, observed: &Observed, expected: &str) {
    let project = project(yaml);
    check(&Desired::Up(Up::all(&project)), observed, expected);
}

const CHAIN: &str = "
services:
  db: {image: db, healthcheck: {test: ready}}
  web:
    image: web
    depends_on: {db: {condition: service_healthy, restart: true}}
";

#[test]
fn a_dependent_waits_for_a_healthy_database() {
    check_up(
        CHAIN,
        &Observed::default(),
        "\
1 create network shop_default (missing)
2 create container shop-db-1 after 1 (missing)
3 start container shop-db-1 after 2 (not running)
4 create container shop-web-1 after 1 (missing)
5 wait for container shop-db-1 to be healthy after 3 (web needs it)
6 start container shop-web-1 after 4 5 (not running)
",
    );
}

#[test]
fn a_project_that_is_up_needs_nothing() {
    let project = project(CHAIN);
    let observed = settled(&project);
    let plan = reconcile(&Desired::Up(Up::all(&project)), &observed);
    assert_eq!(plan.to_string(), "");
    assert_eq!(plan.unchanged, ["shop-db-1", "shop-web-1"]);
}

#[test]
fn a_change_replaces_the_container_and_restarts_its_dependents() {
    let observed = settled(&project(CHAIN));
    check_up(
        &CHAIN.replace("image: db,", "image: db, user: u,"),
        &observed,
        "\
1 create container 000000000000_shop-db-1 (user: now \"u\")
2 stop container shop-web-1 (depends on db, which is replaced)
3 stop container shop-db-1 after 1 2 (replacement)
4 remove container shop-db-1 after 3 (replacement)
5 rename container 000000000000_shop-db-1 to shop-db-1 after 4 (replacement)
6 start container shop-db-1 after 5 (not running)
7 wait for container shop-db-1 to be healthy after 6 (web needs it)
8 start container shop-web-1 after 2 7 (not running)
",
    );
}

#[test]
fn an_interrupted_replacement_is_finished() {
    let project = project(CHAIN);
    let mut observed = settled(&project);
    let container = at(&mut observed, "shop-web-1");
    "0123456789ab_shop-web-1".clone_into(&mut container.name);
    container.labels.insert(label::REPLACE.to_owned(), "web-1".to_owned());
    container.state = State::Created;
    at(&mut observed, "shop-db-1").health = Health::Healthy;
    check(
        &Desired::Up(Up::all(&project)),
        &observed,
        "\
1 rename container 0123456789ab_shop-web-1 to shop-web-1 (left over from an interrupted command)
2 start container shop-web-1 after 1 (not running)
",
    );
}

#[test]
fn what_an_interrupted_replacement_left_beside_the_container_is_removed() {
    let project = project(CHAIN);
    let mut observed = settled(&project);
    let mut container = at(&mut observed, "shop-web-1").clone();
    "0123456789ab_shop-web-1".clone_into(&mut container.name);
    "other".clone_into(&mut container.id);
    container.labels.insert(label::REPLACE.to_owned(), "web-1".to_owned());
    container.state = State::Created;
    observed.containers.push(container);
    check(
        &Desired::Up(Up::all(&project)),
        &observed,
        "1 remove container 0123456789ab_shop-web-1 (left over from an interrupted command)\n",
    );
}

#[test]
fn more_containers_get_the_next_numbers_and_fewer_lose_the_highest() {
    let one = project("services: {a: {image: x, network_mode: none}}");
    let observed = settled(&one);
    let mut up = Up::all(&one);
    up.scale.insert("a".to_owned(), 3);
    check(
        &Desired::Up(up),
        &observed,
        "\
1 create container shop-a-2 (missing)
2 create container shop-a-3 (missing)
3 start container shop-a-2 after 1 (not running)
4 start container shop-a-3 after 2 (not running)
",
    );
    let three = project("services: {a: {image: x, network_mode: none, scale: 3}}");
    check(
        &Desired::Up(Up::all(&one)),
        &settled(&three),
        "\
1 stop container shop-a-2 (more containers than asked for)
2 remove container shop-a-2 after 1 (more containers than asked for)
3 stop container shop-a-3 (more containers than asked for)
4 remove container shop-a-3 after 3 (more containers than asked for)
",
    );
}

#[test]
fn a_network_that_changed_is_made_anew_around_its_containers() {
    let yaml = "
services: {a: {image: x}}
networks: {default: {}}
";
    let observed = settled(&project(yaml));
    check_up(
        &yaml.replace("default: {}", "default: {internal: true}"),
        &observed,
        "\
1 stop container shop-a-1 (uses shop_default, which is made anew)
2 disconnect container shop-a-1 from network shop_default after 1 (uses shop_default, which is made anew)
3 remove network shop_default after 2 (settings changed)
4 create network shop_default after 3 (settings changed)
5 connect container shop-a-1 to network shop_default after 4 (uses shop_default, which is made anew)
6 start container shop-a-1 after 1 5 (not running)
",
    );
}

#[test]
fn of_networks_with_one_name_the_one_in_use_stays() {
    let yaml = "services: {a: {image: x}}";
    let project = project(yaml);
    let mut observed = settled(&project);
    let double = |id: &str| ObservedNetwork { id: id.to_owned(), ..observed.networks[0].clone() };
    let doubles = [double("one"), double("two")];
    observed.networks.splice(0..0, doubles);
    at(&mut observed, "shop-a-1").state = State::Exited;
    check_up(
        yaml,
        &observed,
        "\
1 remove network one (left over from an interrupted command)
2 remove network two after 1 (left over from an interrupted command)
3 start container shop-a-1 after 2 (not running)
",
    );
    let down = reconcile(&Desired::Down(down(&project)), &observed).to_string();
    for id in ["one", "two", "id-shop_default"] {
        assert!(down.contains(&format!("remove network {id}")), "{down}");
    }
}

#[test]
fn a_stopped_container_that_was_taken_out_of_a_network_is_replaced() {
    let yaml = "
services: {a: {image: x, networks: [one, two]}}
networks: {one: {}, two: {}}
";
    let mut observed = settled(&project(yaml));
    let container = at(&mut observed, "shop-a-1");
    container.networks.retain(|attachment| attachment.network == "shop_one");
    container.state = State::Exited;
    check_up(
        yaml,
        &observed,
        "\
1 create container 000000000000_shop-a-1 (not attached to network shop_two)
2 remove container shop-a-1 after 1 (replacement)
3 rename container 000000000000_shop-a-1 to shop-a-1 after 2 (replacement)
4 start container shop-a-1 after 3 (not running)
",
    );
}

#[test]
fn a_volume_that_changed_is_made_anew_only_with_consent() {
    let yaml = "
services: {a: {image: x, network_mode: none, volumes: ['data:/data']}}
volumes: {data: {}}
";
    let observed = settled(&project(yaml));
    let changed = project(&yaml.replace("data: {}", "data: {labels: {a: b}}"));
    let plan = reconcile(&Desired::Up(Up::all(&changed)), &observed);
    assert_eq!(plan.needs_consent().count(), 1);
    assert_eq!(
        plan.to_string(),
        "\
1 stop container shop-a-1 (uses shop_data, which is made anew)
2 remove container shop-a-1 after 1 (uses shop_data, which is made anew)
3 remove volume shop_data after 2 (settings changed)
4 create volume shop_data after 3 (settings changed)
5 create container shop-a-1 after 2 4 (uses shop_data, which is made anew)
6 start container shop-a-1 after 5 (not running)
"
    );
    let keep = Up { changed_volumes: super::ChangedVolumes::Keep, ..Up::all(&changed) };
    check(&Desired::Up(keep), &observed, "");
}

#[test]
fn a_container_whose_namespace_is_shared_takes_its_followers_with_it() {
    let yaml =
        "services: {a: {image: x, network_mode: none}, b: {image: x, network_mode: 'service:a'}}";
    let observed = settled(&project(yaml));
    check_up(yaml, &observed, "");
    let changed = yaml.replace("a: {image: x,", "a: {image: x, user: u,");
    let plan = reconcile(&Desired::Up(Up::all(&project(&changed))), &observed).to_string();
    assert!(
        plan.contains(
            "create container 000000000001_shop-b-1 after 4 (shares with a, which is replaced)"
        ),
        "{plan}"
    );
}

#[test]
fn another_image_replaces_the_container() {
    let project = project("services: {a: {image: x, network_mode: none}}");
    let image = |id: &str| ObservedImage { id: id.to_owned(), ..ObservedImage::default() };
    let mut before = Observed::default();
    before.images.insert("x".to_owned(), image("one"));
    let plan = reconcile(&Desired::Up(Up::all(&project)), &before);
    let mut observed = before;
    plan.steps.into_iter().for_each(|step| apply(&mut observed, step.op));
    check(&Desired::Up(Up::all(&project)), &observed, "");
    observed.images.insert("x".to_owned(), image("two"));
    let plan = reconcile(&Desired::Up(Up::all(&project)), &observed).to_string();
    assert!(
        plan.starts_with("1 create container 000000000000_shop-a-1 (image x is another one now)\n"),
        "{plan}"
    );
    let never = Up { recreate: Recreate::Never, ..Up::all(&project) };
    check(&Desired::Up(never), &observed, "");
}

#[test]
fn waiting_for_all_lets_one_shots_end() {
    let project = project(
        "
services:
  db: {image: x, network_mode: none, restart: always}
  job: {image: x, network_mode: none}
  init: {image: x, network_mode: none}
  web: {image: x, network_mode: none, depends_on: {init: {condition: service_completed_successfully}}}
",
    );
    let up = Up { until: Until::Ready, ..Up::all(&project) };
    let plan = reconcile(&Desired::Up(up), &Observed::default()).to_string();
    let waits: Vec<&str> = plan.lines().filter(|line| line.contains("wait for")).collect();
    assert_eq!(
        waits,
        [
            "8 wait for container shop-init-1 to be completed after 4 (web needs it)",
            "10 wait for container shop-db-1 to be ready after 2 (requested)",
            "11 wait for container shop-job-1 to be ready or completed after 6 (requested)",
            "12 wait for container shop-web-1 to be ready or completed after 9 (requested)",
        ],
        "{plan}"
    );
}

#[test]
fn orphans_are_told_and_removed_on_request() {
    let both =
        project("services: {a: {image: x, network_mode: none}, b: {image: x, network_mode: none}}");
    let one = project("services: {a: {image: x, network_mode: none}}");
    let observed = settled(&both);
    let plan = reconcile(&Desired::Up(Up::all(&one)), &observed);
    assert!(plan.is_empty());
    assert!(
        plan.warnings[0].starts_with("Found orphan containers ([shop-b-1])"),
        "{:?}",
        plan.warnings
    );
    let remove = Up { orphans: Orphans::Remove, ..Up::all(&one) };
    check(
        &Desired::Up(remove),
        &observed,
        "\
1 stop container shop-b-1 (no such service in the project)
2 remove container shop-b-1 after 1 (no such service in the project)
",
    );
}

fn down(project: &Project) -> Down<'_> {
    Down {
        project,
        services: std::collections::BTreeSet::new(),
        volumes: false,
        orphans: Orphans::Ignore,
        seconds: None,
        images: Vec::new(),
        origin: Origin::Files,
        calls: ProviderCalls::new(),
    }
}

#[test]
fn down_leaves_the_volume_of_another_project() {
    let project = project(
        "
services: {a: {image: x, volumes: ['data:/data']}}
volumes: {data: {}}
",
    );
    let mut observed = settled(&project);
    observed.volumes[0].labels.insert(label::PROJECT.to_owned(), "other".to_owned());
    let plan = reconcile(&Desired::Down(Down { volumes: true, ..down(&project) }), &observed);
    assert!(!plan.to_string().contains("remove volume"), "{plan}");
    let said = "volume shop_data stays, because it was created for project \"other\"";
    assert!(plan.warnings.iter().any(|warning| warning == said), "{:?}", plan.warnings);
}

#[test]
fn down_stops_dependents_first_and_leaves_nothing() {
    let project = project(CHAIN);
    check(
        &Desired::Down(down(&project)),
        &settled(&project),
        "\
1 stop container shop-web-1 (requested)
2 remove container shop-web-1 after 1 (requested)
3 stop container shop-db-1 after 1 (requested)
4 remove container shop-db-1 after 3 (requested)
5 remove network shop_default after 2 4 (requested)
",
    );
}

#[test]
fn down_works_from_labels_alone() {
    let observed = settled(&project(CHAIN));
    let known = labels::project("shop", &observed);
    let from_labels = Down { origin: Origin::Labels, ..down(&known) };
    let plan = reconcile(&Desired::Down(from_labels), &observed).to_string();
    assert!(plan.contains("3 stop container shop-db-1 after 1"), "{plan}");
}

#[test]
fn down_of_one_service_takes_what_depends_on_it() {
    let project = project(CHAIN);
    let observed = settled(&project);
    let web = Down { services: ["web".to_owned()].into(), ..down(&project) };
    check(
        &Desired::Down(web),
        &observed,
        "1 stop container shop-web-1 (requested)\n2 remove container shop-web-1 after 1 (requested)\n",
    );
    let db = Down { services: ["db".to_owned()].into(), ..down(&project) };
    assert_eq!(reconcile(&Desired::Down(db), &observed).steps.len(), 5);
}

#[test]
fn restart_takes_those_along_that_follow() {
    let project = project(CHAIN);
    let observed = settled(&project);
    let dependents = super::Dependents::Follow;
    let restart = Treatment {
        project: &project,
        services: ["db".to_owned()].into(),
        action: Action::Restart { seconds: None, dependents },
        calls: ProviderCalls::new(),
    };
    check(
        &Desired::Treat(restart),
        &observed,
        "\
1 restart container shop-db-1 (requested)
2 wait for container shop-db-1 to be healthy after 1 (web needs it)
3 restart container shop-web-1 after 1 2 (requested)
",
    );
}

#[test]
fn rm_leaves_what_runs() {
    let project = project(CHAIN);
    let mut observed = settled(&project);
    at(&mut observed, "shop-web-1").state = State::Exited;
    let services = project.services.keys().cloned().collect();
    let removal = Removal { services, volumes: true };
    check(&Desired::Removed(removal), &observed, "1 remove container shop-web-1 (requested)\n");
}

const CLOUD: &str = "
services:
  cloud: {provider: {type: sky}}
  web: {image: web, environment: {A: b}, depends_on: [cloud]}
";

#[test]
fn what_a_provider_runs_goes_after_its_dependents() {
    let project = project(CLOUD);
    let program = Program { path: "/bin/sky".into(), ..Program::default() };
    let programs = [("sky".to_owned(), program)].into();
    let found = Providers { programs, ..Providers::default() };
    let calls = providers::calls(&project, &found, ProviderAction::Down);
    check(
        &Desired::Down(Down { calls, ..down(&project) }),
        &settled(&project),
        "\
1 stop container shop-web-1 (requested)
2 remove container shop-web-1 after 1 (requested)
3 remove service cloud with sky after 1 (requested)
4 remove network shop_default after 2 (requested)
",
    );
}

#[test]
fn a_forecast_takes_what_providers_hand_over_to_be_what_it_was() {
    let before = project(&CLOUD.replace("A: b", "A: b, CLOUD_URL: x, LOG: y"));
    let observed = settled(&before);
    let after = project(&CLOUD.replace("A: b", "A: b, LOG: y"));
    let up = |project| Up { unknown: providers::unknown(&after), ..Up::all(project) };
    assert_eq!(reconcile(&Desired::Up(up(&after)), &observed).to_string(), "");
    let changed = project(CLOUD);
    let plan = reconcile(&Desired::Up(up(&changed)), &observed).to_string();
    assert!(plan.contains("(environment.LOG changed)"), "{plan}");
    assert!(!plan.contains("CLOUD_URL"), "{plan}");
}
