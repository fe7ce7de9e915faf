//! Sessions with a container of the fake runtime.

use futures_util::{StreamExt as _, stream};

use super::{Asked, DetachKeys, Ended, GRACE, Link, Next, OnSignal, Stdin, TtyFlag, TtyFlags};
use crate::model::label;
use crate::model::spec::ContainerSpec;
use crate::runtime::fake::{Behaviour, Fake};
use crate::runtime::{Bytes, Chunk, Output, Runtime as _, Session, Terminal};
use crate::ui::Screen;

fn chunk(output: Output, text: &'static str) -> Chunk {
    Chunk { output, bytes: Bytes::from_static(text.as_bytes()) }
}

/// A container that runs until it is killed.
async fn running() -> Fake {
    let stubborn = Behaviour { ignores_stop: true, ..Behaviour::default() };
    let fake = Fake::new().with_image("web").with_behaviour("web", stubborn);
    let spec = ContainerSpec {
        name: "web".to_owned(),
        image: "web".to_owned(),
        labels: [(label::PROJECT.to_owned(), "shop".to_owned())].into(),
        ..ContainerSpec::default()
    };
    fake.create_container(&spec).await.expect("created");
    fake.start_container("web", &[]).await.expect("started");
    fake
}

async fn runs(fake: &Fake) -> bool {
    let observed = fake.observe(None).await.expect("observed");
    observed.containers.iter().any(|it| it.name == "web" && it.is_up())
}

#[test]
fn a_terminal_is_given_where_the_user_has_one_or_says_so() {
    let settle = |tty, no_tty| {
        let flag = TtyFlag::new(TtyFlags { tty, no_tty }).expect("no contradiction");
        flag.settle(&Screen::captured())
    };
    assert!(!settle(false, false), "nobody looks at a captured screen");
    assert!(settle(true, false));
    assert!(!settle(false, true));
    assert!(TtyFlag::new(TtyFlags { tty: true, no_tty: true }).is_err());
}

#[tokio::test]
async fn both_streams_go_where_they_belong() {
    let output = [chunk(Output::Stdout, "one"), chunk(Output::Stderr, "two")];
    let mut screen = Screen::captured();
    let link = Link {
        runtime: &Fake::new(),
        session: Session {
            output: stream::iter(output.map(Ok)).boxed(),
            input: Box::pin(tokio::io::sink()),
            tty: false,
        },
        terminal: Terminal::Exec("e".to_owned()),
        stdin: Stdin::Closed,
        keys: DetachKeys::default(),
        on_signal: OnSignal::Leave,
    };
    assert_eq!(link.run(&screen).await.expect("no failure"), Ended::Output);
    let found = screen.take();
    assert_eq!((&found.out[..], &found.err[..]), (&b"one"[..], &b"two"[..]));
}

#[tokio::test]
async fn signals_end_the_session_or_reach_the_container() {
    let fake = running().await;
    let mut asked = Asked { runtime: &fake, on_signal: OnSignal::Leave, since: None };
    assert_eq!(asked.take("SIGHUP").await.expect("taken"), Next::GoOn);
    assert_eq!(asked.take("SIGINT").await.expect("taken"), Next::Leave);
    assert!(runs(&fake).await);
    asked.on_signal = OnSignal::Forward("web".to_owned());
    assert_eq!(asked.take("SIGUSR1").await.expect("taken"), Next::GoOn);
    assert!(
        fake.calls().iter().any(|call| call == "kill_container web SIGUSR1"),
        "{:?}",
        fake.calls()
    );
    assert_eq!(asked.ended(), Ended::Output, "the exit code is the container's own");
}

#[tokio::test(start_paused = true)]
async fn a_container_that_does_not_end_when_asked_is_killed() {
    let fake = running().await;
    let on_signal = OnSignal::End("web".to_owned());
    let mut asked = Asked { runtime: &fake, on_signal: on_signal.clone(), since: None };
    asked.take("SIGINT").await.expect("taken");
    let start = tokio::time::Instant::now();
    asked.overdue().await;
    assert_eq!(start.elapsed(), GRACE);
    asked.kill().await.expect("killed");
    assert!(!runs(&fake).await);
    assert_eq!(asked.ended(), Ended::Interrupted);
    let fake = running().await;
    let mut asked = Asked { runtime: &fake, on_signal, since: None };
    asked.take("SIGINT").await.expect("taken");
    asked.take("SIGINT").await.expect("taken");
    let killed = fake.calls().iter().filter(|call| call.contains("SIGKILL")).count();
    assert_eq!(killed, 1, "the second one kills");
    asked.take("SIGINT").await.expect("what has ended needs no signal");
}
