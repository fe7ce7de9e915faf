//! Whatever the bytes, the loader neither panics nor hangs.
//!
//! A few hundred inputs each; `KETCH_FUZZ_SECONDS=60 cargo test fuzz` tries for that long instead.

use std::cell::Cell;
use std::ffi::OsString;
use std::fmt::Debug;
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use indexmap::IndexMap;
use ketch::cli::{self, Process};
use ketch::project::{Memory, Request, dotenv, load, template};
use ketch::runtime::native::build::dockerfile::{Command, Expander, Quotes, parse};
use ketch::ui::{Captured, Screen};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

mod projects;

use projects::Made;

/// Longer than this is a hang. Most inputs take less than a millisecond.
const LIMIT: Duration = Duration::from_secs(20);

/// How many inputs there are between two looks at the clock.
const CASES: u32 = 300;

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

/// Tries inputs until there were enough, and says how many there were. `body` says whether one was
/// accepted: where none is, what lies behind the first checks is not tried at all.
fn each<S>(strategy: &S, body: fn(S::Value) -> bool)
where
    S: Strategy,
    S::Value: Clone + Debug + Send + 'static,
{
    let seconds = std::env::var("KETCH_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let end = Instant::now() + Duration::from_secs(seconds.unwrap_or(0));
    let accepted = Cell::new(0);
    for runs in 1.. {
        let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
        let run = |value| {
            accepted.set(accepted.get() + u32::from(within(LIMIT, value, body)?));
            Ok(())
        };
        TestRunner::new(config).run(strategy, run).unwrap_or_else(|error| panic!("{error}"));
        if Instant::now() >= end {
            let name = std::thread::current().name().unwrap_or_default().to_owned();
            return println!("{name}: {} inputs, {} accepted", runs * CASES, accepted.get());
        }
    }
}

/// Runs `body` on a thread of its own and fails if it panics or takes too long.
fn within<T, R>(limit: Duration, value: T, body: fn(T) -> R) -> Result<R, TestCaseError>
where
    T: Send + 'static,
    R: Send + 'static,
{
    let (done, wait) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        let result = body(value);
        let _ = done.send(());
        result
    });
    match wait.recv_timeout(limit) {
        Err(mpsc::RecvTimeoutError::Timeout) => Err(TestCaseError::fail("it hangs")),
        _ => thread.join().map_err(|_| TestCaseError::fail("it panics")),
    }
}

fn load_bytes(bytes: Vec<u8>) -> bool {
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
    loaded.is_some()
}

fn load_compose(text: String) -> bool {
    let files = Memory::default().with("/p/compose.yaml", text).with("/p/.env", "A=1\n");
    let request = Request { cwd: "/p".into(), ..Request::default() };
    let (loaded, report) = load(&files, &request);
    assert!(loaded.is_some() || !report.diagnostics.is_empty(), "refused without a word");
    loaded.is_some()
}

/// Runs the whole program on a project.
fn run_made(made: &Made) -> bool {
    let shared = "A=1\nB=\nexport LONG=\"${A}${A:-x}\"\nTAG='t'\n";
    let add = |memory: Memory, (path, text)| memory.with(Path::new("/p").join::<&str>(path), text);
    let files = Memory::default().with("/p/.env", shared).with("/p/app.env", shared);
    let files = made.files().into_iter().fold(files, add);
    let (code, said) = run_ketch(&files, made.arguments);
    let printable = |text: &[u8]| !String::from_utf8_lossy(text).contains(hidden);
    assert!(printable(&said.err), "{}", String::from_utf8_lossy(&said.err).escape_debug());
    assert!(code == 0 || !(said.err.is_empty() && said.out.is_empty()), "refused without a word");
    if (code, made.arguments) == (0, "config") {
        settles(said.out);
    }
    code == 0
}

/// What `config` shows is a project, which means the same each time from then on. At first a blank
/// value may still be left out, and a dependency may be missing that a profile turned off; and a
/// `$` in a key is doubled each time. Docker Compose has all three.
fn settles(shown: Vec<u8>) {
    let again = |text| run_ketch(&Memory::default().with("/p/compose.yaml", text), "config");
    let (code, second) = again(shown);
    if code == 0 && !second.out.contains(&b'$') {
        let (_, third) = again(second.out.clone());
        let [second, third] =
            [second.out, third.out].map(|text| String::from_utf8_lossy(&text).into_owned());
        assert_eq!(second, third);
    }
}

/// Whether a character may steer a terminal.
fn hidden(character: char) -> bool {
    character != '\n' && (character.is_control() || ('\u{202a}'..='\u{202e}').contains(&character))
}

fn run_ketch(files: &Memory, arguments: &str) -> (u8, Captured) {
    let arguments = format!("ketch {arguments}");
    let process = Process {
        arguments: arguments.split(' ').map(OsString::from).collect(),
        environment: IndexMap::new(),
        cwd: Some("/p".into()),
    };
    let mut screen = Screen::captured();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let code = runtime.block_on(cli::run_on(&process, files, &mut screen));
    (code, screen.take())
}

fn expand(text: &str) -> bool {
    template::variables(text);
    template::expand(text, &|name| (name.len() == 1).then(|| text.to_owned())).is_ok()
}

fn parse_dotenv(text: &str) -> bool {
    let known = |name: &str| (name.len() == 1).then(|| "v".to_owned());
    let _ = dotenv::parse_raw(text, &known);
    dotenv::parse(text, &known, &|_| None).is_ok()
}

/// A valid Dockerfile that is cut up and put together again.
const DOCKERFILE: &str = "# syntax=a\n# escape=\\\nARG V=1\nFROM --platform=$P a:${V:-1} AS b\n\
    RUN --mount=type=cache,target=/x,id=\"y\" a \\\n  && b\nCOPY --from=b --chown=1:2 [\"a b\", \"/c\"]\n\
    COPY <<EOF <<-'X' /d/\n$V\nEOF\n\tx\n\tX\nENV A=\"${V##*/} ${V%.*} ${V//a/b}\" B='c'\n\
    HEALTHCHECK --interval=5s CMD x\nONBUILD RUN <<E\ny\nE\nEXPOSE 80-90/tcp\nSHELL [\"a\"]\n";

/// Reads a Dockerfile and substitutes what it says, over and over.
fn read_dockerfile(text: &str) -> bool {
    let Ok(file) = parse(text) else { return false };
    let mut value = text.to_owned();
    for instruction in &file.instructions {
        assert!(instruction.line > 0 && instruction.line <= text.lines().count());
        if let Command::Env(pairs) = &instruction.command {
            for (_, text) in pairs {
                let lookup = |_: &str| Some(value.clone());
                let expander = Expander { escape: '\\', quotes: Quotes::Remove, lookup: &lookup };
                value = expander.word(text).unwrap_or_default();
                assert!(value.len() < 8 << 20, "it grows without an end");
            }
        }
    }
    true
}

/// A Dockerfile after a few cuts.
fn cut_dockerfile() -> impl Strategy<Value = String> {
    let cut = (any::<prop::sample::Index>(), 0..30_usize, prop::sample::select(PIECES));
    vec(cut, 0..6).prop_map(|cuts| {
        let mut text: Vec<char> = DOCKERFILE.chars().collect();
        for (at, length, piece) in cuts {
            let start = at.index(text.len() + 1);
            let end = (start + length).min(text.len());
            text.splice(start..end, piece.chars());
        }
        text.into_iter().collect()
    })
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
fn projects_made_of_valid_pieces_are_shown_or_refused() {
    each(&projects::made(), |made| run_made(&made));
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
fn any_dockerfile_is_read_or_refused() {
    let noise = noise().prop_map(|text| format!("FROM a\n{text}"));
    each(&prop_oneof![noise, cut_dockerfile()], |text| read_dockerfile(&text));
    for (first, word) in [("", "ONBUILD "), ("RUN ", "--a ")] {
        let text = format!("FROM a\n{first}{}x", word.repeat(500_000));
        assert!(!within(LIMIT, text, |text| read_dockerfile(&text)).unwrap(), "{word}");
    }
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
    let panics = |()| -> bool { panic!("seen, as it should be") };
    assert!(within(LIMIT, (), panics).is_err());
}
