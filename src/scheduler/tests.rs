//! The scheduler against a world in memory, in virtual time.

mod laws;
mod size;

use std::cell::RefCell;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::{Execution, Report, Shutdown, Stage, StepError, Timings, Trigger, execute};
use crate::event::{Event, Outcome};
use crate::model::observed::Milestone;
use crate::model::spec::{BuildSpec, ContainerSpec, Endpoint, NetworkSpec, PullSpec, VolumeSpec};
use crate::model::{Hook, Network, ServiceNetwork, Volume};
use crate::plan::{Cause, HookStage, Op, Plan, Policy, Step};
use crate::runtime::Runtime as _;
use crate::runtime::fake::{Behaviour, Fake, Fault};

/// A plan of these steps: what is done, and after which.
fn plan(steps: Vec<(Op, &[usize])>) -> Plan {
    let step = |(op, after): (Op, &[usize])| Step::new(op, Cause::Requested, after.to_vec());
    Plan { steps: steps.into_iter().map(step).collect(), ..Plan::default() }
}

fn network(name: &str) -> Op {
    let network = Network { name: name.to_owned(), ..Network::default() };
    Op::CreateNetwork(Arc::new(NetworkSpec { network, ..NetworkSpec::default() }))
}

fn volume(name: &str) -> Op {
    let volume = Volume { name: name.to_owned(), ..Volume::default() };
    Op::CreateVolume(Arc::new(VolumeSpec { volume, ..VolumeSpec::default() }))
}

fn spec(name: &str) -> ContainerSpec {
    ContainerSpec {
        name: name.to_owned(),
        service_name: name.trim_start_matches("tmp_").trim_end_matches("-1").to_owned(),
        image: "app".to_owned(),
        ..ContainerSpec::default()
    }
}

fn create(name: &str) -> Op {
    Op::CreateContainer(Arc::new(spec(name)))
}

fn start(name: &str) -> Op {
    Op::StartContainer { container: name.to_owned(), files: Arc::from([]) }
}

fn stop(name: &str) -> Op {
    Op::StopContainer { container: name.to_owned(), seconds: None }
}

fn wait(name: &str, milestone: Milestone) -> Op {
    Op::Wait { container: name.to_owned(), milestone }
}

fn hook(name: &str, stage: HookStage) -> Op {
    let hook = Hook { command: Some(vec!["warm-up".to_owned()]), ..Hook::default() };
    Op::RunHook { container: name.to_owned(), hook: Arc::new(hook), stage }
}

/// `db` has to be healthy before `web` and `job` start, and `proxy` needs both.
fn diamond() -> Plan {
    plan(vec![
        (create("db-1"), &[]),
        (start("db-1"), &[0]),
        (wait("db-1", Milestone::Healthy), &[1]),
        (create("web-1"), &[]),
        (start("web-1"), &[2, 3]),
        (create("job-1"), &[]),
        (start("job-1"), &[2, 5]),
        (wait("job-1", Milestone::Completed), &[6]),
        (create("proxy-1"), &[]),
        (start("proxy-1"), &[4, 7, 8]),
    ])
}

fn diamond_world() -> Fake {
    let healthy =
        Behaviour { has_healthcheck: true, ..Behaviour::healthy_after(Duration::from_secs(5)) };
    Fake::new()
        .with_image("app")
        .with_behaviour("db-1", healthy)
        .with_behaviour("job-1", Behaviour::exits(Duration::from_secs(2), 0))
        .with_latency(Duration::from_millis(100))
}

/// A run: its events with the time of each, and its report.
struct Story {
    events: Vec<(Duration, Event)>,
    report: Report,
    took: Duration,
}

impl Story {
    fn started(&self) -> Vec<usize> {
        self.steps(|event| match event {
            Event::Started { step } => Some(*step),
            _ => None,
        })
    }

    fn skipped(&self) -> Vec<usize> {
        self.steps(|event| match event {
            Event::Skipped { step } => Some(*step),
            _ => None,
        })
    }

    fn interrupted(&self) -> Vec<usize> {
        self.steps(|event| match event {
            Event::Ended { step, outcome: Outcome::Interrupted, .. } => Some(*step),
            _ => None,
        })
    }

    fn steps(&self, choose: impl Fn(&Event) -> Option<usize>) -> Vec<usize> {
        self.events.iter().filter_map(|(_, event)| choose(event)).collect()
    }

    fn failures(&self) -> Vec<String> {
        let text = |error: &StepError| {
            let source = std::error::Error::source(error);
            source.map_or(error.to_string(), |source| format!("{error}: {source}"))
        };
        self.report.failures.iter().map(text).collect()
    }
}

/// Runs a plan; `react` sees each event.
async fn run(
    plan: &Plan,
    fake: &Fake,
    (parallel, shutdown): (Option<usize>, Shutdown),
    react: impl Fn(&Event),
) -> Story {
    let began = Instant::now();
    let events = RefCell::new(Vec::new());
    let on_event = |event: Event| {
        react(&event);
        events.borrow_mut().push((began.elapsed(), event));
    };
    let parallel = parallel.and_then(NonZeroUsize::new);
    let report = execute(
        plan,
        fake,
        &Execution { parallel, shutdown, on_event: &on_event, before_start: None },
    )
    .await;
    let story = Story { events: events.take(), report, took: began.elapsed() };
    laws::hold(plan, &story);
    story
}

async fn simply(plan: &Plan, fake: &Fake) -> Story {
    run(plan, fake, (None, Shutdown::never()), |_| {}).await
}

#[tokio::test(start_paused = true)]
async fn steps_run_as_early_as_they_may() {
    let story = simply(&diamond(), &diamond_world()).await;
    assert!(story.report.is_success());
    // db: create, start, healthy after 5 s, then job: start, 2 s, then proxy: start.
    let seconds = story.took.as_secs_f64();
    assert!((7.3..7.7).contains(&seconds), "{seconds}");
    assert_eq!(story.started(), [0, 3, 5, 8, 1, 2, 4, 6, 7, 9]);
}

#[tokio::test(start_paused = true)]
async fn each_operation_is_one_call() {
    let build = BuildSpec {
        service_name: "web".to_owned(),
        tags: vec!["app".to_owned()],
        ..BuildSpec::default()
    };
    let pull = PullSpec { image: "base".to_owned(), ..PullSpec::default() };
    let (web, net) = ("web-1".to_owned(), "net".to_owned());
    let options = Arc::new(ServiceNetwork::default());
    let ops = vec![
        Op::PullImage(pull),
        Op::BuildImage(Arc::new(build)),
        Op::PushImage("app".to_owned()),
        network("net"),
        volume("data"),
        create("web-1"),
        Op::Connect { network: net.clone(), container: web.clone(), options },
        start("web-1"),
        hook("web-1", HookStage::PostStart),
        wait("web-1", Milestone::Ready),
        Op::PauseContainer(web.clone()),
        Op::UnpauseContainer(web.clone()),
        Op::RestartContainer { container: web.clone(), seconds: None },
        Op::KillContainer { container: web.clone(), signal: "SIGHUP".to_owned() },
        hook("web-1", HookStage::PreStop),
        stop("web-1"),
        Op::Disconnect { network: net.clone(), container: web.clone() },
        Op::RenameContainer { from: web, to: "old-1".to_owned() },
        Op::RemoveContainer { container: "old-1".to_owned(), volumes: true },
        Op::RemoveVolume("data".to_owned()),
        Op::RemoveNetwork(net),
        Op::RemoveImage("app".to_owned()),
    ];
    let names: Vec<usize> = (0..ops.len()).collect();
    let chain = |(at, op)| (op, if at == 0 { &[][..] } else { &names[at - 1..at] });
    let plan = plan(ops.into_iter().enumerate().map(chain).collect());
    let fake = Fake::new().with_remote("base");
    let story = simply(&plan, &fake).await;
    assert_eq!(story.failures(), Vec::<String>::new());
    let calls = "pull base|build web|push app|create_network net|create_volume data|\
        create_container web-1|connect net web-1|start_container web-1|run_hook web-1 warm-up|\
        wait web-1 ready|pause_container web-1|unpause_container web-1|restart_container web-1|\
        kill_container web-1 SIGHUP|run_hook web-1 warm-up|stop_container web-1|\
        disconnect net web-1|rename_container web-1 old-1|remove_container old-1|\
        remove_volume data|remove_network net|remove_image app";
    assert_eq!(fake.calls().join("|"), calls);
    let told = |event: &Event| match event {
        Event::Progress { step, .. } => Some(*step),
        _ => None,
    };
    assert_eq!(story.steps(told), [0, 1, 2], "progress is passed on");
}

#[tokio::test(start_paused = true)]
async fn when_a_step_fails_nothing_new_starts() {
    let plan = diamond();
    for failing in 0..plan.steps.len() {
        let fake = diamond_world();
        fake.fault_in(&call(&plan.steps[failing].op), Fault::Fail);
        let story = simply(&plan, &fake).await;
        assert_eq!(story.report.failures.len(), 1, "step {failing}");
        assert_eq!(story.report.failures[0].step(), failing);
        assert!(!story.report.is_success() && !story.report.is_interrupted());
        assert_eq!(story.skipped(), story.report.skipped().collect::<Vec<_>>());
    }
}

#[tokio::test(start_paused = true)]
async fn going_down_all_that_can_run_runs() {
    let plan = Plan { policy: Policy::CarryOn, ..diamond() };
    let expected: [&[usize]; 10] = [
        &[1, 2, 4, 6, 7, 9],
        &[2, 4, 6, 7, 9],
        &[4, 6, 7, 9],
        &[4, 9],
        &[9],
        &[6, 7, 9],
        &[7, 9],
        &[9],
        &[9],
        &[],
    ];
    for (failing, skipped) in expected.into_iter().enumerate() {
        let fake = diamond_world();
        fake.fault_in(&call(&plan.steps[failing].op), Fault::Fail);
        let story = simply(&plan, &fake).await;
        assert_eq!(story.skipped(), skipped, "step {failing}");
        let mut events = story.events.iter().map(|(_, event)| event);
        events.find(|event| matches!(event, Event::Ended { outcome: Outcome::Failed { .. }, .. }));
        let told = events.take_while(|event| matches!(event, Event::Skipped { .. })).count();
        assert_eq!(told, skipped.len(), "they are told at once");
    }
}

#[tokio::test(start_paused = true)]
async fn every_failure_is_reported() {
    let plan = Plan {
        policy: Policy::CarryOn,
        ..plan(vec![(stop("a"), &[]), (stop("b"), &[]), (volume("v"), &[0])])
    };
    let story = simply(&plan, &Fake::new()).await;
    assert_eq!(
        story.failures(),
        [
            "cannot stop container a: no such container: a",
            "cannot stop container b: no such container: b"
        ]
    );
    assert_eq!(story.skipped(), [2]);
}

#[tokio::test(start_paused = true)]
async fn a_tolerated_failure_is_a_warning() {
    let mut plan = plan(vec![(stop("gone"), &[]), (volume("v"), &[0])]);
    plan.steps[0] = plan.steps[0].clone().tolerated();
    let story = simply(&plan, &Fake::new()).await;
    assert!(story.report.is_success());
    let outcome = story.report.steps[0].as_ref().map(|step| &step.outcome);
    let message = "no such container: gone".to_owned();
    assert_eq!(outcome, Some(&Outcome::Warned { message }));
}

#[tokio::test(start_paused = true)]
async fn what_the_runtime_remarks_is_a_warning() {
    let remarks = vec!["no swap limit".to_owned()];
    let behaviour = Behaviour { remarks, ..Behaviour::default() };
    let fake = Fake::new().with_image("app").with_behaviour("app", behaviour);
    let story = simply(&plan(vec![(create("web-1"), &[])]), &fake).await;
    let message = "web-1: no swap limit".to_owned();
    assert_eq!(story.events[2].1, Event::Warned { message });
}

#[tokio::test(start_paused = true)]
async fn a_container_that_does_not_get_there_is_told() {
    let unhealthy =
        Behaviour { has_healthcheck: true, ..Behaviour::unhealthy_after(Duration::from_secs(1)) };
    let cases = [
        (unhealthy, Milestone::Healthy, "to be healthy: container db-1 is unhealthy"),
        (
            Behaviour::exits(Duration::from_secs(1), 3),
            Milestone::Completed,
            "to be completed: container db-1 exited (3)",
        ),
        (
            Behaviour::default(),
            Milestone::Healthy,
            "to be healthy: container db-1 has no healthcheck configured",
        ),
    ];
    for (behaviour, milestone, end) in cases {
        let fake = Fake::new().with_image("app").with_behaviour("db-1", behaviour);
        let plan = plan(vec![
            (create("db-1"), &[]),
            (start("db-1"), &[0]),
            (wait("db-1", milestone), &[1]),
        ]);
        let story = simply(&plan, &fake).await;
        assert_eq!(story.failures(), [format!("container `db-1` was {end}")]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_fails_fails_its_step() {
    let behaviour = Behaviour {
        exec_code: 7,
        hook_output: "no such table\n".to_owned(),
        ..Behaviour::default()
    };
    let fake = Fake::new().with_image("app").with_behaviour("app", behaviour);
    let plan = plan(vec![
        (create("tmp_web-1"), &[]),
        (Op::RenameContainer { from: "tmp_web-1".to_owned(), to: "web-1".to_owned() }, &[0]),
        (start("web-1"), &[1]),
        (hook("web-1", HookStage::PostStart), &[2]),
    ]);
    let story = simply(&plan, &fake).await;
    assert_eq!(story.failures(), ["web hook exited with status 7: no such table"]);
}

#[tokio::test(start_paused = true)]
async fn a_pre_stop_hook_of_a_container_that_does_not_run_is_ignored() {
    let fake = Fake::new().with_image("app");
    let (before, after) = (HookStage::PreStop, HookStage::PostStart);
    let steps = vec![(hook("web-1", before), &[][..]), (create("web-1"), &[0])];
    let story = simply(&plan(steps), &fake).await;
    assert!(story.report.is_success());
    assert!(simply(&plan(vec![(hook("web-1", before), &[])]), &fake).await.report.is_success());
    let story = simply(&plan(vec![(hook("web-1", after), &[])]), &fake).await;
    let failure = "cannot run post_start in container web-1: container web-1 is not running";
    assert_eq!(story.failures(), [failure]);
}

#[tokio::test(start_paused = true)]
async fn nothing_starts_after_a_stop_at_any_step() {
    let plan = diamond();
    for at in 0..plan.steps.len() {
        let trigger = Trigger::default();
        let react = |event: &Event| {
            if *event == (Event::Started { step: at }) {
                trigger.escalate();
            }
        };
        let story = run(&plan, &diamond_world(), (None, trigger.listen()), react).await;
        assert_eq!(story.started().last(), Some(&at));
        let waits: Vec<usize> = [2, 7].into_iter().filter(|id| *id == at).collect();
        assert_eq!(story.interrupted(), waits, "only waits are dropped");
        assert_eq!(story.report.is_interrupted(), at != 9);
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_hangs_ends_at_the_first_request() {
    let plan = diamond();
    for hanging in [2, 7] {
        let fake = diamond_world();
        fake.fault_in(&call(&plan.steps[hanging].op), Fault::Hang);
        let trigger = Trigger::default();
        let shutdown = trigger.listen();
        let request = async {
            sleep(Duration::from_mins(1)).await;
            trigger.raise(Stage::Graceful);
        };
        let (story, ()) = tokio::join!(run(&plan, &fake, (None, shutdown), |_| {}), request);
        assert_eq!(story.took, Duration::from_mins(1));
        assert_eq!(story.interrupted(), [hanging]);
        assert!(story.report.is_interrupted());
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_about_images_ends_at_the_first_request() {
    let build = BuildSpec { service_name: "web".to_owned(), ..BuildSpec::default() };
    let pull = PullSpec { image: "base".to_owned(), ..PullSpec::default() };
    let build = (Op::BuildImage(Arc::new(build)), "build web");
    for (op, call) in
        [build, (Op::PullImage(pull), "pull base"), (Op::PushImage("app".to_owned()), "push app")]
    {
        let plan = plan(vec![(op, &[][..]), (network("net"), &[0])]);
        let fake = Fake::new();
        fake.fault_in(call, Fault::Hang);
        let trigger = Trigger::default();
        let request = async {
            sleep(Duration::from_mins(1)).await;
            trigger.raise(Stage::Graceful);
        };
        let shutdown = trigger.listen();
        let (story, ()) = tokio::join!(run(&plan, &fake, (None, shutdown), |_| {}), request);
        assert_eq!(story.took, Duration::from_mins(1), "{call}");
        assert_eq!((story.started(), story.interrupted()), (vec![0], vec![0]), "{call}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_step_that_hangs_ends_at_the_second_request() {
    let plan = diamond();
    for hanging in [0, 1, 3, 4, 5, 6, 8, 9] {
        let fake = diamond_world();
        fake.fault_in(&call(&plan.steps[hanging].op), Fault::Hang);
        let trigger = Trigger::default();
        let shutdown = trigger.listen();
        let requests = async {
            sleep(Duration::from_mins(1)).await;
            trigger.escalate();
            sleep(Duration::from_mins(1)).await;
            trigger.escalate();
        };
        let (story, ()) = tokio::join!(run(&plan, &fake, (None, shutdown), |_| {}), requests);
        assert_eq!(story.took, Duration::from_mins(2));
        assert_eq!(story.interrupted(), [hanging]);
    }
}

#[tokio::test(start_paused = true)]
async fn dropping_the_run_drops_its_steps() {
    let fake = diamond_world();
    let second = Duration::from_secs(1);
    assert!(timeout(second, simply(&diamond(), &fake)).await.is_err());
    let calls = fake.calls();
    sleep(Duration::from_mins(1)).await;
    assert_eq!(fake.calls(), calls);
}

#[tokio::test(start_paused = true)]
async fn the_limit_holds_for_starts_and_not_for_waits() {
    let fake = (0..6)
        .fold(Fake::new().with_image("app"), |fake, id| {
            fake.with_behaviour(
                &format!("c{id}"),
                Behaviour {
                    has_healthcheck: true,
                    ..Behaviour::healthy_after(Duration::from_secs(9))
                },
            )
        })
        .with_latency(Duration::from_secs(1));
    let mut steps: Vec<Step> = Vec::new();
    for id in 0..6 {
        let name = format!("c{id}");
        let first = steps.len();
        for (at, op) in
            [create(&name), start(&name), wait(&name, Milestone::Healthy)].into_iter().enumerate()
        {
            let after = if at == 0 { vec![] } else { vec![first + at - 1] };
            steps.push(Step::new(op, Cause::Missing, after));
        }
    }
    let plan = Plan { steps, ..Plan::default() };
    let story = run(&plan, &fake, (Some(2), Shutdown::never()), |_| {}).await;
    assert!(story.report.is_success());
    // 12 seconds of creating and starting by two, and one wait of 9 that began at the end.
    assert_eq!(story.took.as_secs(), 15);
}

#[tokio::test(start_paused = true)]
async fn timings_tell_the_chain_that_decided() {
    let plan = diamond();
    let story = simply(&plan, &diamond_world()).await;
    let timings = Timings::new(&plan, &story.report.durations());
    assert_eq!(timings.total, story.took);
    insta::assert_snapshot!(timings, @r"
    STEP                                       TOOK    SHARE
    start container proxy-1                    100ms   1%
    wait for container job-1 to be completed   2.0s    27%
    start container job-1                      100ms   1%
    wait for container db-1 to be healthy      5.0s    68%
    start container db-1                       100ms   1%
    create container db-1                      100ms   1%
    total                                      7.4s    100%

    SERVICE   WAITED FOR   TIME
    proxy     job          7.2s
    proxy     web          5.2s
    job       db           5.1s
    web       db           5.1s
    ");
}

#[tokio::test(start_paused = true)]
async fn a_network_that_is_missing_fails_the_start() {
    let mut spec = spec("web-1");
    spec.endpoints = vec![Endpoint { network: "gone".to_owned(), ..Endpoint::default() }];
    let steps = vec![(Op::CreateContainer(Arc::new(spec)), &[][..]), (start("web-1"), &[0])];
    let fake = Fake::new().with_image("app");
    let story = simply(&plan(steps), &fake).await;
    assert_eq!(story.failures(), ["cannot start container web-1: network gone not found"]);
    assert_eq!(fake.observe(None).await.map(|it| it.containers.len()).ok(), Some(0));
}

/// The call of an operation in the words of the fake.
fn call(op: &Op) -> String {
    match op {
        Op::CreateContainer(spec) => format!("create_container {}", spec.name),
        Op::StartContainer { container, .. } => format!("start_container {container}"),
        Op::StopContainer { container, .. } => format!("stop_container {container}"),
        Op::Wait { container, milestone } => format!("wait {container} {milestone}"),
        Op::CreateVolume(spec) => format!("create_volume {}", spec.volume.name),
        other => unreachable!("no test lets `{other}` go wrong"),
    }
}
