//! A recorded run, folded and drawn.

use std::time::Duration;

use insta::assert_snapshot;

use super::state::State;
use super::tty::{Painter, Size, picture};
use super::{How, Mode, ModeError, Prefix, Progress, plain};
use crate::event::{Event, Outcome, StepLine};
use crate::plan::Role;
use crate::ui::{Colour, Screen};

fn line(kind: &'static str, name: &str, words: (&'static str, &'static str)) -> StepLine {
    StepLine {
        kind,
        name: name.to_owned(),
        doing: words.0,
        done: words.1,
        cause: String::new(),
        after: Vec::new(),
        role: Role::Alone,
    }
}

fn part(line: StepLine, role: Role, after: &[usize]) -> StepLine {
    StepLine { role, after: after.to_vec(), ..line }
}

fn ended(step: usize, outcome: Outcome) -> Event {
    Event::Ended { step, outcome, took: Duration::from_millis(7) }
}

fn failed(step: usize, message: &str) -> Event {
    ended(step, Outcome::Failed { message: message.to_owned() })
}

fn pulled(step: usize, part: &str, status: &str, bytes: (u64, u64)) -> Event {
    let (part, status) = (part.to_owned(), status.to_owned());
    Event::Progress { step, part, status, current: bytes.0, total: bytes.1 }
}

/// A pull, then a network, a replacement, a failure and what it stops.
fn recorded() -> Vec<Event> {
    let create = ("Creating", "Created");
    let replace =
        |role, name: &str, after: &[usize]| part(line("container", name, create), role, after);
    vec![
        Event::Planned { steps: vec![line("image", "busybox:1", ("Pulling", "Pulled"))] },
        Event::Started { step: 0 },
        pulled(0, "aaa", "Pulling fs layer", (0, 0)),
        pulled(0, "bbb", "Downloading", (250_000, 1_000_000)),
        pulled(0, "bbb", "Downloading", (500_000, 1_000_000)),
        pulled(0, "aaa", "Already exists", (0, 0)),
        ended(0, Outcome::Done),
        Event::Planned {
            steps: vec![
                line("network", "p_default", create),
                replace(Role::Begins, "abc_p-web-1", &[0]),
                replace(Role::GoesOn, "p-web-1", &[1]),
                replace(Role::Ends, "p-web-1", &[2]),
                line("container", "p-db-1", ("Starting", "Started")),
                line("container", "p-late-1", ("Starting", "Started")),
            ],
        },
        Event::Started { step: 0 },
        Event::Warned { message: "`x` is old\x1b[2J".to_owned() },
        ended(0, Outcome::Done),
        Event::Started { step: 1 },
        ended(1, Outcome::Done),
        Event::Started { step: 2 },
        ended(2, Outcome::Done),
        Event::Started { step: 4 },
        Event::Started { step: 3 },
        ended(3, Outcome::Done),
        failed(4, "port 80 is taken\nby \x1b[31msomebody"),
        Event::Skipped { step: 5 },
    ]
}

/// The state after some events, one every 100 ms.
fn after(events: &[Event]) -> State {
    let mut state = State::default();
    for (event, at) in events.iter().zip(0..) {
        let _ = state.apply(event, Duration::from_millis(100 * at));
    }
    state
}

fn drawn(state: &State, columns: usize, lines: usize) -> String {
    let size = Size { columns, lines };
    let lines = picture(state, size, Duration::from_millis(2500), Prefix::None);
    anstream::adapter::strip_str(&lines.join("\n")).to_string()
}

#[test]
fn lines_are_those_of_compose() {
    let mut state = State::default();
    let told = recorded().into_iter().filter_map(|event| state.apply(&event, Duration::ZERO));
    let lines: String = told.map(|told| plain::line(&told, Prefix::None)).collect();
    assert_snapshot!(anstream::adapter::strip_str(&lines), @"
     Image busybox:1  Pulling
     Image busybox:1  aaa Pulling fs layer
     Image busybox:1  bbb Downloading
     Image busybox:1  aaa Already exists
     Image busybox:1  Pulled
     Network p_default  Creating
    warning: `x` is old␛[2J
     Network p_default  Created
     Container p-web-1  Recreate
     Container p-db-1  Starting
     Container p-web-1  Recreated
     Container p-db-1  Error port 80 is taken␊by ␛[31msomebody
    ");
}

#[test]
fn a_dry_run_says_so_on_every_line() {
    let mut state = State::default();
    let events = [
        Event::Planned { steps: vec![line("container", "p-a-1", ("Starting", "Started"))] },
        Event::Started { step: 0 },
    ];
    let told = events.iter().filter_map(|event| state.apply(event, Duration::ZERO)).last();
    assert_eq!(
        told.map(|told| plain::line(&told, Prefix::DryRun)).unwrap_or_default(),
        " DRY-RUN MODE -  Container p-a-1  Starting\n"
    );
    let lines = picture(&state, Size::default(), Duration::ZERO, Prefix::DryRun);
    assert_snapshot!(anstream::adapter::strip_str(&lines.join("\n")), @"
    [+] Running 0/1
     ⠋ DRY-RUN MODE -  Container p-a-1  Starting                               0.0s
    ");
}

#[test]
fn the_picture_of_a_pull_has_a_bar() {
    let events = recorded();
    assert_snapshot!(drawn(&after(&events[..4]), 80, 24), @"
    [+] Running 0/1
     ⠴ Image busybox:1 [⠀⣀]   250kB / 1MB      Pulling                         2.4s
    ");
    assert_snapshot!(drawn(&after(&events[..6]), 80, 24), @"
    [+] Running 0/1
     ⠴ Image busybox:1 [⣿⣤]   500kB / 1MB      Pulling                         2.4s
    ");
    assert_snapshot!(drawn(&after(&events[..6]), 40, 24), @"
    [+] Running 0/1
     ⠴ Image busybox:1 [⣿⣤]  Pulling   2.4s
    ");
    assert_snapshot!(drawn(&after(&events[..7]), 80, 24), @"
    [+] Running 1/1
     ✔ Image busybox:1  Pulled                                                 0.5s
    ");
}

#[test]
fn the_picture_of_a_run_has_a_row_for_each_thing() {
    let events = recorded();
    assert_snapshot!(drawn(&after(&events[..16]), 60, 24), @"
    [+] Running 2/5
     ✔ Image busybox:1    Pulled                           0.5s
     ✔ Network p_default  Created                          0.2s
     ⠴ Container p-web-1  Recreate                         1.4s
     ⠴ Container p-db-1   Starting                         1.0s
    ");
    assert_snapshot!(drawn(&after(&events), 60, 24), @"
    [+] Running 4/5
     ✔ Image busybox:1    Pulled                           0.5s
     ✔ Network p_default  Created                          0.2s
     ✔ Container p-web-1  Recreated                        0.6s
     ✘ Container p-db-1   Error port 80 is taken␊by ␛[31m… 0.3s
    ");
}

#[test]
fn what_is_done_gives_way_in_a_low_terminal() {
    assert_snapshot!(drawn(&after(&recorded()), 60, 5), @"
    [+] Running 4/5
     ✔ Container p-web-1  Recreated                        0.6s
     ✘ Container p-db-1   Error port 80 is taken␊by ␛[31m… 0.3s
     ... 2 more
    ");
}

#[test]
fn no_line_is_too_wide_and_no_picture_too_high() {
    let events = recorded();
    for columns in 0..100 {
        for lines in 0..8 {
            for until in 0..events.len() {
                let drawn = drawn(&after(&events[..until]), columns, lines);
                let widest = drawn.lines().map(crate::ui::text::width).max().unwrap_or(0);
                assert!(widest <= columns, "{columns}: {drawn}");
                assert!(drawn.lines().count() < lines.max(4), "{lines}: {drawn}");
            }
        }
    }
}

#[test]
fn names_of_wide_characters_keep_the_columns() {
    let start = ("Starting", "Started");
    let steps = vec![line("container", "日本-1", start), line("container", "a-1", start)];
    let events = [Event::Planned { steps }, Event::Started { step: 0 }, Event::Started { step: 1 }];
    assert_snapshot!(drawn(&after(&events), 50, 24), @"
    [+] Running 0/2
     ⠴ Container 日本-1  Starting                2.4s
     ⠴ Container a-1     Starting                2.3s
    ");
}

#[test]
fn a_build_shows_its_last_line() {
    let events = [
        Event::Planned { steps: vec![line("image", "p-web", ("Building", "Built"))] },
        Event::Started { step: 0 },
        pulled(0, "2/3", "RUN make", (0, 0)),
    ];
    assert_snapshot!(drawn(&after(&events), 60, 24), @"
    [+] Running 0/1
     ⠴ Image p-web  Building RUN make                      2.4s
    ");
}

#[test]
fn a_frame_replaces_the_one_before() {
    let mut painter = Painter::default();
    let size = Size { columns: 20, lines: 10 };
    let two = ["one".to_owned(), "x".repeat(19)];
    assert_eq!(
        painter.frame(&two, size),
        "\x1b[?25l\rone\x1b[K\r\nxxxxxxxxxxxxxxxxxxx\x1b[K\r\n\x1b[J\x1b[?25h"
    );
    assert_eq!(painter.frame(&two[..1], size), "\x1b[?25l\r\x1b[2Aone\x1b[K\r\n\x1b[J\x1b[?25h");
    let _ = painter.frame(&two, size);
    // In ten columns the second line has become two.
    assert_eq!(painter.erase(Size { columns: 10, lines: 10 }), "\r\x1b[3A\x1b[J");
    assert_eq!(painter.erase(size), "");
}

#[test]
fn modes_follow_the_flags() {
    let screen = Screen::captured();
    let mode = |word: &str, colour| How::parse(word).and_then(|how| how.mode(colour, &screen));
    assert_eq!(mode("auto", Colour::Auto), Ok(Mode::Plain));
    assert_eq!(mode("tty", Colour::Auto), Ok(Mode::Tty));
    assert_eq!(mode("none", Colour::Never), Ok(Mode::Quiet));
    assert_eq!(mode("tty", Colour::Never), Err(ModeError::NoAnsi));
    assert_eq!(mode("plain", Colour::Always), Err(ModeError::ForcedAnsi));
    assert_eq!(
        mode("x", Colour::Auto).map_err(|error| error.to_string()),
        Err("unsupported --progress value \"x\"".to_owned())
    );
}

fn shown(mode: Mode) -> String {
    let mut screen = Screen::captured();
    let progress = Progress::new(&screen, mode, Prefix::None);
    for event in &recorded() {
        progress.apply(event);
    }
    let captured = |screen: &mut Screen| String::from_utf8(screen.take().err).expect("text");
    let mut text = captured(&mut screen);
    drop(progress);
    text.push_str(&captured(&mut screen));
    text
}

#[test]
fn each_mode_writes_to_standard_error() {
    assert_eq!(shown(Mode::Quiet), "");
    assert!(shown(Mode::Plain).contains(" Container p-web-1  Recreated\n"));
    let json = shown(Mode::Json);
    assert_eq!(json.lines().count(), recorded().len());
    assert_snapshot!(json.lines().nth(6).unwrap_or_default(), @r#"{"event":"ended","step":0,"outcome":{"result":"done"},"took_ms":7.0}"#);
    let tty = shown(Mode::Tty);
    assert!(tty.ends_with("\x1b[J\x1b[?25h"), "{tty:?}");
    assert!(tty.contains("warning: `x` is old␛[2J"), "{tty:?}");
    // The warning, the first picture and the last one; the time between them is too short.
    assert!(tty.matches("[+] Running").count() < 8, "{tty:?}");
}

#[test]
fn a_picture_is_finished_even_by_a_panic() {
    let mut screen = Screen::captured();
    let progress = Progress::new(&screen, Mode::Tty, Prefix::None);
    let run = std::panic::AssertUnwindSafe(move || {
        recorded().iter().take(9).for_each(|event| progress.apply(event));
        std::panic::resume_unwind(Box::new(()));
    });
    assert!(std::panic::catch_unwind(run).is_err());
    assert!(screen.take().err.ends_with(b"\x1b[?25h"));
}

#[test]
fn what_needs_no_step_is_told_and_shown_as_done() {
    let (kind, name) = ("service", "web".to_owned());
    let event = Event::Noted { kind, name, message: "Skipped".to_owned() };
    let mut state = State::default();
    let told = state.apply(&event, Duration::ZERO).expect("it is told");
    assert_eq!(plain::line(&told, Prefix::None), " Service web  Skipped\n");
    let lines = picture(&state, Size::default(), Duration::ZERO, Prefix::None);
    let line = anstream::adapter::strip_str(&lines[1]).to_string();
    assert!(line.starts_with(" ✔ Service web  Skipped"), "{line}");
}
