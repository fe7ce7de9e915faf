//! Bad input ends in a clear error with its place: no panic, no hang, no gigabytes.

use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;

mod cases;

use cases::{Case, Pace};

/// Runs the rows that a debug build can, on a few threads, and fails with all that is wrong.
fn hold(rows: &[Case]) {
    let rows: Vec<&Case> = rows.iter().filter(|row| row.pace == Pace::Quick).collect();
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut wrong = String::new();
        while let Some(row) = rows.get(next.fetch_add(1, Ordering::Relaxed)) {
            let dir = TempDir::new().unwrap();
            (row.make)(dir.path());
            if let Err(found) = row.check(&run(row.line, dir.path())) {
                wrong += &found;
            }
        }
        wrong
    };
    let wrong: String = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..2).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    assert!(wrong.is_empty(), "{wrong}");
}

/// Runs a line in at most 256 MiB; a minute is a hang.
fn run(line: &str, dir: &Path) -> cases::Said {
    let ketch = Path::new(env!("CARGO_BIN_EXE_ketch"));
    let output = cases::limited(line, ketch).current_dir(dir).stdin(Stdio::null()).output();
    cases::Said::from(output.unwrap())
}

#[test]
fn expansion_is_bounded() {
    hold(cases::BOMBS);
}

#[test]
fn depth_is_bounded() {
    hold(cases::DEPTHS);
}

#[test]
fn circles_are_found() {
    hold(cases::CIRCLES);
}

#[test]
fn size_is_bounded() {
    hold(cases::SIZES);
}

#[test]
fn values_out_of_range_are_refused() {
    hold(cases::VALUES);
}

#[test]
fn messages_never_steer_the_terminal() {
    hold(cases::ESCAPES);
}

#[test]
fn streams_may_be_endless_full_or_closed() {
    hold(cases::STREAMS);
}

#[test]
fn what_is_no_file_is_refused() {
    hold(&cases::places());
    hold(cases::SPECIAL_PLACES);
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    hold(&cases::encodings());
}
