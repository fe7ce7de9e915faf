//! Whatever the bytes, the loader neither panics nor hangs.
//!
//! A few hundred inputs each; `KETCH_FUZZ_SECONDS=60 cargo test fuzz` tries for that long instead.

use std::fmt::Debug;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use ketch::project::{Memory, Request, dotenv, load, template};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

/// Longer than this is a hang. Most inputs take less than a millisecond.
const LIMIT: Duration = Duration::from_secs(20);

/// Valid text that is cut up and put together again.
const SEEDS: &[&str] = &[
    include_str!("../examples/shop/compose.yaml"),
    include_str!("../examples/shop/compose.override.yaml"),
    include_str!("load/ports-are-written-short-or-long/compose.yaml"),
    include_str!("load/anchors-and-merge-keys-are-expanded/compose.yaml"),
    include_str!("load/extends-follows-chains-and-files/compose.yaml"),
    include_str!("load/every-interpolation-operator-works/compose.yaml"),
    include_str!("load/reset-and-override-tags-replace-values/compose.override.yaml"),
];

/// Pieces that the grammars care about.
const PIECES: &[&str] = &[
    "${",
    "}",
    "$",
    ":-",
    ":?",
    "+",
    "$$",
    "&a ",
    "*a",
    "<<: ",
    "!reset ",
    "!override ",
    "- ",
    ": ",
    "\n",
    "\n  ",
    "\"",
    "'",
    "|\n",
    "{",
    "[",
    "#",
    "\t",
    "\u{feff}",
    "---\n",
    "extends: ",
    "export ",
    "include: [compose.yaml]\n",
    "=",
    "é",
    "\0",
];

/// Tries inputs until there were enough.
fn each<S>(strategy: &S, body: fn(S::Value))
where
    S: Strategy,
    S::Value: Clone + Debug + Send + 'static,
{
    let seconds = std::env::var("KETCH_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let end = Instant::now() + Duration::from_secs(seconds.unwrap_or(0));
    loop {
        let config = Config { cases: 300, failure_persistence: None, ..Config::default() };
        let run = |value| within(LIMIT, value, body);
        TestRunner::new(config).run(strategy, run).unwrap_or_else(|error| panic!("{error}"));
        if Instant::now() >= end {
            return;
        }
    }
}

/// Runs `body` on a thread of its own and fails if it panics or takes too long.
fn within<T: Send + 'static>(limit: Duration, value: T, body: fn(T)) -> Result<(), TestCaseError> {
    let (done, wait) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        body(value);
        let _ = done.send(());
    });
    match wait.recv_timeout(limit) {
        Err(mpsc::RecvTimeoutError::Timeout) => Err(TestCaseError::fail("it hangs")),
        _ => thread.join().map_err(|_| TestCaseError::fail("it panics")),
    }
}

fn load_bytes(bytes: Vec<u8>) {
    let files = Memory::default()
        .with("/p/compose.yaml", bytes.clone())
        .with("/p/.env", bytes.clone())
        .with("/p/env/app.env", bytes);
    let request = Request { cwd: "/p".into(), ..Request::default() };
    let (loaded, report) = load(&files, &request);
    assert!(loaded.is_some() || !report.diagnostics.is_empty(), "refused without a word");
    for label in report.diagnostics.iter().flat_map(|found| &found.labels) {
        let text = &report.sources.get(label.span.file).text;
        let range = label.span.start as usize..label.span.end as usize;
        assert!(text.get(range.clone()).is_some(), "{range:?} is no part of {text:?}");
    }
}

fn load_compose(text: String) {
    let files = Memory::default().with("/p/compose.yaml", text).with("/p/.env", "A=1\n");
    let request = Request { cwd: "/p".into(), ..Request::default() };
    let (loaded, report) = load(&files, &request);
    assert!(loaded.is_some() || !report.diagnostics.is_empty(), "refused without a word");
}

fn expand(text: &str) {
    let _ = template::expand(text, &|name| (name.len() == 1).then(|| text.to_owned()));
    template::variables(text);
}

fn parse_dotenv(text: &str) {
    let known = |name: &str| (name.len() == 1).then(|| "v".to_owned());
    let _ = dotenv::parse(text, &known, &|_| None);
    let _ = dotenv::parse_raw(text, &known);
}

/// Text in which grammar and chance alternate.
fn noise() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        prop::sample::select(PIECES).prop_map(str::to_owned),
        "[a-zA-Z_.:/0-9 ]{0,6}",
        any::<char>().prop_map(String::from),
    ];
    vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

/// A valid file after a few cuts: something removed, something put in.
fn mutated() -> impl Strategy<Value = String> {
    let cut = (any::<prop::sample::Index>(), 0..40_usize, prop::sample::select(PIECES));
    (prop::sample::select(SEEDS), vec(cut, 1..6)).prop_map(|(seed, cuts)| {
        let mut text: Vec<char> = seed.chars().collect();
        for (at, length, piece) in cuts {
            let start = at.index(text.len() + 1);
            let end = (start + length).min(text.len());
            text.splice(start..end, piece.chars());
        }
        text.into_iter().collect()
    })
}

#[test]
fn arbitrary_bytes_are_loaded_or_refused() {
    each(&vec(any::<u8>(), 0..400), load_bytes);
}

#[test]
fn noise_that_looks_like_compose_is_loaded_or_refused() {
    each(&noise(), |text| load_bytes(text.into_bytes()));
}

#[test]
fn damaged_compose_files_are_loaded_or_refused() {
    each(&mutated(), load_compose);
}

#[test]
fn any_text_is_expanded_or_refused() {
    each(&noise(), |text| expand(&text));
}

#[test]
fn any_env_file_is_read_or_refused() {
    each(&noise(), |text| parse_dotenv(&text));
}

#[test]
fn an_error_at_a_wide_character_covers_all_of_it() {
    for text in [": \n¡", "&a \u{feff}", "extends: \u{feff}"] {
        load_bytes(text.into());
    }
}

#[test]
fn panics_and_hangs_are_seen() {
    let limit = Duration::from_millis(50);
    assert!(within(LIMIT, (), |()| {}).is_ok());
    assert!(within(limit, (), |()| std::thread::sleep(Duration::from_secs(1))).is_err());
    assert!(within(LIMIT, (), |()| panic!("seen, as it should be")).is_err());
}
