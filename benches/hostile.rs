//! How long `ketch` takes to refuse bad input, and in how much memory: `cargo bench --bench hostile`.
//!
//! The cases are those of `tests/hostile.rs`, all of them, on the release build. It needs GNU time.
#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a bench has nobody to tell")]
#![expect(clippy::print_stdout, reason = "it tells what it measured")]

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

#[path = "../tests/hostile/cases.rs"]
mod cases;

use cases::Pace;

/// What the house promises for each case.
const SECONDS: f64 = 1.0;
const MEBIBYTES: u64 = 256;

fn main() -> ExitCode {
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let wanted = |case: &&cases::Case| filter.as_ref().is_none_or(|word| case.name.contains(word));
    let (mut count, mut broken) = (0, 0);
    println!("seconds     MiB  case");
    for case in rows().iter().filter(wanted) {
        let (seconds, memory, wrong) = measure(case);
        let over = seconds > SECONDS || memory > MEBIBYTES;
        let pace = if case.pace == Pace::Slow { ", not in the tests" } else { "" };
        let mark = if over { "  OVER THE LIMIT" } else { "" };
        println!("{seconds:7.3} {memory:7}  {}{pace}{mark}", case.name);
        print!("{wrong}");
        count += 1;
        broken += u32::from(over || !wrong.is_empty());
    }
    println!("{count} cases, {broken} broken");
    ExitCode::from(u8::from(broken > 0))
}

fn rows() -> Vec<cases::Case> {
    let tables = [cases::BOMBS, cases::DEPTHS, cases::CIRCLES, cases::SIZES, cases::VALUES];
    let more = [cases::ESCAPES, cases::STREAMS, cases::SPECIAL_PLACES];
    [tables.concat(), more.concat(), cases::places(), cases::encodings()].concat()
}

/// Seconds and mebibytes that the whole line took, and what it said wrong.
fn measure(case: &cases::Case) -> (f64, u64, String) {
    let dir = tempfile::tempdir().unwrap();
    (case.make)(dir.path());
    let notes = dir.path().join(".time");
    let limited = cases::limited(case.line, Path::new(env!("CARGO_BIN_EXE_ketch")));
    let mut timed = Command::new("/usr/bin/time");
    timed.args(["-f", "%M", "-o"]).arg(&notes).arg(limited.get_program()).args(limited.get_args());
    for (name, value) in limited.get_envs() {
        timed.env(name, value.unwrap_or_default());
    }
    let start = Instant::now();
    let output = timed.current_dir(dir.path()).stdin(Stdio::null()).output().unwrap();
    let seconds = start.elapsed().as_secs_f64();
    let notes = std::fs::read_to_string(notes).unwrap_or_default();
    let memory: u64 = notes.lines().last().and_then(|line| line.parse().ok()).unwrap_or(0);
    let wrong = case.check(&cases::Said::from(output)).err().unwrap_or_default();
    (seconds, memory / 1024, wrong)
}
