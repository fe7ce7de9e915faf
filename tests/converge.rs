//! Laws of planning and running, over random projects in a world in memory.
//!
//! A project in two versions is brought up, one version after the other, and each call to the
//! runtime in turn fails, is done without an answer, or is where the command is killed.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::time::Duration;

use ketch::model::Project;
use ketch::model::observed::Observed;
use ketch::plan::providers::ProviderCalls;
use ketch::plan::{Desired, Down, Op, Origin, Orphans, Plan, Up, images, reconcile};
use ketch::project::{Memory, Request, load};
use ketch::runtime::Runtime as _;
use ketch::runtime::fake::{Behaviour, Fake, Fault};
use ketch::scheduler::{Execution, Report, Shutdown, execute};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// Names whose order is not the order in which services depend on each other.
const NAMES: [&str; 4] = ["sun", "dog", "web", "ant"];
const NETWORKS: [&str; 2] = ["front", "back"];
const VOLUMES: [&str; 2] = ["data", "cache"];

/// In virtual time: when a command hangs for good.
const NEVER: Duration = Duration::from_hours(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Plain,
    Checked,
    OneShot,
}

/// What a service is; what does not fit the others is left out when it is written.
#[derive(Clone, Debug)]
struct Sketch {
    present: bool,
    kind: Kind,
    user: u8,
    scale: u8,
    /// An earlier service, whether it has to be healthy, and `restart`.
    depends: Vec<(usize, bool, bool)>,
    networks: [bool; 2],
    volume: Option<usize>,
    anonymous: bool,
    /// What is shared, and with which earlier service.
    shares: Option<(u8, usize)>,
    hooks: bool,
}

#[derive(Clone, Debug)]
struct Version {
    services: Vec<Sketch>,
    /// Labels of networks and volumes: other ones make them anew.
    marks: [u8; 4],
}

fn sketch() -> impl Strategy<Value = Sketch> {
    let kind = prop_oneof![
        4 => Just(Kind::Plain),
        3 => Just(Kind::Checked),
        2 => Just(Kind::OneShot),
    ];
    let depends = prop::collection::vec((0..3_usize, any::<bool>(), any::<bool>()), 0..3);
    let first = (prop::bool::weighted(0.9), kind, 0..2_u8, 0..3_u8, depends);
    let shares = prop::option::weighted(0.3, (0..4_u8, 0..3_usize));
    let volume = prop::option::weighted(0.4, 0..2_usize);
    let second = (any::<[bool; 2]>(), volume, any::<bool>(), shares, prop::bool::weighted(0.2));
    (first, second).prop_map(
        |((present, kind, user, scale, depends), (networks, volume, anonymous, shares, hooks))| {
            Sketch {
                present,
                kind,
                user,
                scale,
                depends,
                networks,
                volume,
                anonymous,
                shares,
                hooks,
            }
        },
    )
}

/// A version and a later one that has much in common with it.
fn versions() -> impl Strategy<Value = (Version, Version)> {
    let services = prop::collection::vec(sketch(), NAMES.len());
    let changes = prop::collection::vec(prop::option::weighted(0.4, sketch()), NAMES.len());
    let marks = prop::array::uniform4(prop_oneof![4 => Just(0_u8), 1 => Just(1)]);
    (services, changes, marks).prop_map(|(services, changes, marks)| {
        let later = services.iter().zip(changes);
        let later = later.map(|(old, new)| new.unwrap_or_else(|| old.clone())).collect();
        (Version { services, marks: [0; 4] }, Version { services: later, marks })
    })
}

impl Version {
    fn is_shared(&self, at: usize) -> bool {
        self.services[at + 1..]
            .iter()
            .any(|it| it.present && it.shares.is_some_and(|(_, with)| with == at))
    }

    fn service(&self, at: usize) -> Value {
        let sketch = &self.services[at];
        let earlier = |index: usize| index < at && self.services[index].present;
        let image = if sketch.kind == Kind::OneShot { "job" } else { "app" };
        let scale = if self.is_shared(at) { sketch.scale.max(1) } else { sketch.scale };
        let mut it = json!({"image": image, "scale": scale, "user": format!("u{}", sketch.user)});
        let depends: Map<String, Value> = sketch
            .depends
            .iter()
            .filter(|(index, ..)| earlier(*index))
            .map(|(index, healthy, restart)| {
                let condition = match self.services[*index].kind {
                    Kind::OneShot => "service_completed_successfully",
                    Kind::Checked if *healthy => "service_healthy",
                    _ => "service_started",
                };
                (NAMES[*index].to_owned(), json!({"condition": condition, "restart": restart}))
            })
            .collect();
        it["depends_on"] = depends.into();
        let mut networks: Vec<&str> =
            (0..2).filter(|index| sketch.networks[*index]).map(|index| NETWORKS[index]).collect();
        let shares = sketch
            .shares
            .filter(|(_, with)| earlier(*with) && self.services[*with].kind != Kind::OneShot);
        if let Some((what, with)) = shares {
            let attribute = ["network_mode", "ipc", "pid", "volumes_from"][usize::from(what)];
            it[attribute] = match attribute {
                "volumes_from" => json!([NAMES[with]]),
                _ => json!(format!("service:{}", NAMES[with])),
            };
            if attribute == "network_mode" {
                networks.clear();
            }
        }
        if !networks.is_empty() {
            it["networks"] = json!(networks);
        }
        let mut volumes: Vec<String> =
            sketch.volume.iter().map(|index| format!("{}:/data", VOLUMES[*index])).collect();
        volumes.extend(sketch.anonymous.then(|| "/scratch".to_owned()));
        it["volumes"] = json!(volumes);
        if sketch.kind == Kind::Checked {
            it["healthcheck"] = json!({"test": "ready"});
        }
        if sketch.hooks {
            it["post_start"] = json!([{"command": "warm-up"}]);
            it["pre_stop"] = json!([{"command": "flush"}]);
        }
        it
    }

    /// The project `shop`, from a file whose services stand in this order.
    fn project(&self, order: &[usize]) -> Project {
        let present = order.iter().filter(|at| self.services[**at].present);
        let services: Map<String, Value> =
            present.map(|at| (NAMES[*at].to_owned(), self.service(*at))).collect();
        let resources = |names: [&str; 2], marks: &[u8]| -> Map<String, Value> {
            let mark = |mark: &u8| json!({"labels": {"mark": mark.to_string()}});
            names.into_iter().map(str::to_owned).zip(marks.iter().map(mark)).collect()
        };
        let file = json!({
            "name": "shop",
            "services": services,
            "networks": resources(NETWORKS, &self.marks[..2]),
            "volumes": resources(VOLUMES, &self.marks[2..]),
        });
        let source = Memory::default().with("/shop/compose.yaml", file.to_string());
        let request = Request { cwd: "/shop".into(), ..Request::default() };
        let (loaded, report) = load(&source, &request);
        loaded.unwrap_or_else(|| panic!("{file}: {:?}", report.diagnostics)).project
    }

    fn in_order(&self) -> Project {
        self.project(&[0, 1, 2, 3])
    }

    fn is_empty(&self) -> bool {
        self.services.iter().all(|it| !it.present)
    }

    fn kind(&self, service: &str) -> Option<Kind> {
        let at = NAMES.iter().position(|name| *name == service)?;
        self.services[at].present.then_some(self.services[at].kind)
    }
}

fn world() -> Fake {
    let second = Duration::from_secs(1);
    let job = Behaviour::exits(second, 0);
    Fake::new()
        .with_image("app")
        .with_image("job")
        .with_behaviour("app", Behaviour::healthy_after(second))
        .with_behaviour("job", job)
        .with_latency(Duration::from_millis(10))
}

async fn observe(fake: &Fake, project: &Project) -> Observed {
    let mut observed = fake.observe(Some("shop")).await.unwrap();
    for image in images::references(&Up::all(project)) {
        let found = fake.find_image(&image).await.unwrap().unwrap();
        observed.images.insert(image, found);
    }
    observed
}

async fn plan_up(fake: &Fake, project: &Project) -> Plan {
    let up = Up { orphans: Orphans::Remove, ..Up::all(project) };
    reconcile(&Desired::Up(up), &observe(fake, project).await)
}

/// Runs a plan; `None`: it hung and was killed.
async fn run(fake: &Fake, plan: &Plan) -> Option<Report> {
    let how = Execution {
        parallel: None,
        shutdown: Shutdown::never(),
        on_event: &|_| {},
        before_start: None,
    };
    tokio::time::timeout(NEVER, execute(plan, fake, &how)).await.ok()
}

/// Brings a version up. What then is left to do can only be what has ended and runs again.
async fn converge(fake: &Fake, version: &Version) {
    let project = version.in_order();
    let plan = plan_up(fake, &project).await;
    let report = run(fake, &plan).await.expect("nothing hangs");
    let failures: Vec<String> = report
        .failures
        .iter()
        .map(|it| format!("{it}: {:?}", std::error::Error::source(it)))
        .collect();
    assert!(report.is_success(), "{failures:?}\nof\n{plan}");
    // One-shots come to their end.
    tokio::time::sleep(Duration::from_mins(1)).await;
    let again = plan_up(fake, &project).await;
    let observed = observe(fake, &project).await;
    for step in &again.steps {
        let container = step.op.subject().name();
        let service = observed
            .containers
            .iter()
            .find(|it| it.name == container)
            .map_or("", |it| it.service());
        let is_rerun = version.kind(service) == Some(Kind::OneShot)
            && matches!(step.op, Op::StartContainer { .. } | Op::Wait { .. } | Op::RunHook { .. });
        assert!(is_rerun, "after\n{plan}\nthere still is\n{again}");
    }
}

/// Takes a version down with its volumes, and says what is left, by kind.
async fn down(fake: &Fake, version: &Version) -> BTreeMap<String, Vec<String>> {
    let project = version.in_order();
    let observed = observe(fake, &project).await;
    let down = Down {
        project: &project,
        services: BTreeSet::new(),
        volumes: true,
        orphans: Orphans::Remove,
        seconds: None,
        images: Vec::new(),
        origin: Origin::Files,
        calls: ProviderCalls::new(),
    };
    let plan = reconcile(&Desired::Down(down), &observed);
    let report = run(fake, &plan).await.expect("nothing hangs");
    assert!(report.is_success(), "{:?}\nof\n{plan}", report.failures);
    let world = serde_json::to_value(fake.world()).unwrap();
    let names = |kind: &str| {
        let found = world[kind].as_object().into_iter().flatten();
        found.map(|(name, _)| name.clone()).collect()
    };
    ["containers", "networks", "volumes"].map(|kind| (kind.to_owned(), names(kind))).into()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().unwrap().block_on(future)
}

/// Numbers of calls that bringing the later version up takes, where the earlier one is up.
async fn calls(earlier: Option<&Version>, later: &Version) -> usize {
    let fake = world();
    if let Some(earlier) = earlier {
        converge(&fake, earlier).await;
    }
    let before = fake.calls().len();
    let plan = plan_up(&fake, &later.in_order()).await;
    run(&fake, &plan).await;
    fake.calls().len() - before
}

/// The containers of each service, by number.
fn numbers(observed: &Observed) -> BTreeMap<String, BTreeSet<u64>> {
    let mut all: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    for container in &observed.containers {
        let numbers = all.entry(container.service().to_owned()).or_default();
        numbers.extend(container.number());
    }
    all
}

/// Fails if a service of both versions has fewer containers than both want, unless a volume that
/// it mounts is made anew.
fn holds_what_stays(before: &Observed, after: &Observed, version: &Version) {
    let (before, after) = (numbers(before), numbers(after));
    for (service, old) in &before {
        let Some(at) = NAMES.iter().position(|name| name == service) else { continue };
        let sketch = &version.services[at];
        let mounts_remade = version.marks[2..].iter().any(|mark| *mark != 0);
        if !sketch.present || mounts_remade {
            continue;
        }
        let wanted = old.len().min(usize::from(sketch.scale));
        let found = after.get(service).map_or(0, BTreeSet::len);
        assert!(found >= wanted, "{service} has {found} containers where {wanted} stay");
    }
}

/// Brings the later version up with a fault at a call, then again without.
async fn recover(earlier: Option<&Version>, later: &Version, (at, fault): (usize, Fault)) -> Fake {
    let fake = world();
    if let Some(earlier) = earlier {
        converge(&fake, earlier).await;
    }
    let project = later.in_order();
    let before = observe(&fake, &project).await;
    fake.fault_at(at, fault);
    let plan = plan_up(&fake, &project).await;
    run(&fake, &plan).await;
    holds_what_stays(&before, &observe(&fake, &project).await, later);
    converge(&fake, later).await;
    fake
}

const FAULTS: [Fault; 3] = [Fault::Fail, Fault::LoseAnswer, Fault::Hang];

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn one_run_converges_and_down_leaves_nothing((one, two) in versions()) {
        prop_assume!(!one.is_empty() && !two.is_empty());
        block_on(async {
            let fake = world();
            converge(&fake, &one).await;
            converge(&fake, &two).await;
            converge(&fake, &one).await;
            let left = down(&fake, &one).await;
            assert!(left["containers"].is_empty() && left["networks"].is_empty(), "{left:?}");
        });
    }

    #[test]
    fn a_first_run_that_breaks_anywhere_is_made_good((one, _) in versions()) {
        prop_assume!(!one.is_empty());
        block_on(async {
            for at in 0..calls(None, &one).await {
                for fault in FAULTS {
                    let fake = recover(None, &one, (at, fault)).await;
                    let left = down(&fake, &one).await;
                    assert!(left.values().all(Vec::is_empty), "{fault:?} at {at}: {left:?}");
                }
            }
        });
    }

    #[test]
    fn a_change_that_breaks_anywhere_is_made_good((one, two) in versions()) {
        prop_assume!(!one.is_empty() && !two.is_empty());
        block_on(async {
            for at in 0..calls(Some(&one), &two).await {
                for fault in FAULTS {
                    let fake = recover(Some(&one), &two, (at, fault)).await;
                    let left = down(&fake, &two).await;
                    let gone = left["containers"].is_empty() && left["networks"].is_empty();
                    assert!(gone, "{fault:?} at {at}: {left:?}");
                }
            }
        });
    }

    #[test]
    fn what_breaks_half_way_is_taken_down_at_once((one, two) in versions()) {
        prop_assume!(!one.is_empty() && !two.is_empty());
        block_on(async {
            for at in 0..calls(Some(&one), &two).await {
                let fake = world();
                converge(&fake, &one).await;
                fake.fault_at(at, Fault::Hang);
                let plan = plan_up(&fake, &two.in_order()).await;
                run(&fake, &plan).await;
                let left = down(&fake, &two).await;
                let gone = left["containers"].is_empty() && left["networks"].is_empty();
                assert!(gone, "at {at}: {left:?}");
            }
        });
    }

    #[test]
    fn the_order_of_services_in_the_file_does_not_matter((one, two) in versions()) {
        prop_assume!(!one.is_empty() && !two.is_empty());
        block_on(async {
            let fake = world();
            converge(&fake, &one).await;
            let forward = plan_up(&fake, &two.in_order()).await;
            let backward = plan_up(&fake, &two.project(&[3, 2, 1, 0])).await;
            assert_eq!(forward, backward);
        });
    }
}
