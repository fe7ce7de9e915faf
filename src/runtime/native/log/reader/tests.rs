//! What is written is read, in parts and through rotations.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::TryStreamExt as _;

use super::{Chunk, Hubs, Log, LogOptions, Output, read};
use crate::runtime::native::clock;
use crate::runtime::native::log::{Driver, LogSettings, writer::Writer};

struct Trial {
    directory: tempfile::TempDir,
    writer: Writer,
    live: Arc<AtomicBool>,
}

impl Trial {
    fn new(max_size: Option<u64>, max_files: u32) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let settings = LogSettings { driver: Driver::Files, max_size, max_files };
        let writer = Writer::open(directory.path(), &settings).unwrap().unwrap();
        Self { directory, writer, live: Arc::default() }
    }

    fn out(&mut self, text: &str) {
        self.writer.write(Output::Stdout, text.as_bytes()).unwrap();
    }

    fn stream(&self, options: &LogOptions) -> crate::runtime::Stream<'static, Chunk> {
        let live = Arc::clone(&self.live);
        let log = Log {
            directory: self.directory.path().to_owned(),
            container: self.directory.path().to_owned(),
            is_live: Box::new(move || Ok(live.load(Ordering::Relaxed))),
        };
        read(log, &Arc::new(Hubs::default()), options)
    }

    async fn all(&self, options: &LogOptions) -> String {
        let limit = Duration::from_secs(10);
        let chunks = self.stream(options).try_collect::<Vec<_>>();
        text(&tokio::time::timeout(limit, chunks).await.unwrap().unwrap())
    }
}

fn text(chunks: &[Chunk]) -> String {
    chunks.iter().map(|chunk| String::from_utf8_lossy(&chunk.bytes)).collect()
}

#[tokio::test]
async fn output_comes_back_as_it_was_stream_by_stream() {
    let mut trial = Trial::new(None, 1);
    trial.out("a\n\nb");
    trial.out("c\nd");
    trial.writer.write(Output::Stderr, b"oh\n").unwrap();
    trial.out("e\n");
    let chunks: Vec<Chunk> = trial.stream(&LogOptions::default()).try_collect().await.unwrap();
    let seen: Vec<_> = chunks.iter().map(|chunk| (chunk.output, &chunk.bytes[..])).collect();
    let expected: [(Output, &[u8]); 3] =
        [(Output::Stdout, b"a\n\nbc\nd"), (Output::Stderr, b"oh\n"), (Output::Stdout, b"e\n")];
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn the_last_lines_may_lie_in_several_files() {
    let mut trial = Trial::new(Some(150), 20);
    for number in 0..20 {
        trial.out(&format!("{number}\n"));
    }
    trial.out("end");
    for tail in [0, 1, 2, 5, 21, 100] {
        let options = LogOptions { tail: Some(tail), ..LogOptions::default() };
        let whole: Vec<String> =
            (0..20).map(|number| format!("{number}\n")).chain(["end".to_owned()]).collect();
        let from = whole.len().saturating_sub(usize::try_from(tail).unwrap());
        assert_eq!(trial.all(&options).await, whole[from..].concat(), "{tail}");
    }
}

#[tokio::test]
async fn a_span_of_time_is_cut_out_and_lines_get_their_times() {
    let mut trial = Trial::new(None, 1);
    trial.out("old\n");
    let since = clock::now();
    trial.out("ne");
    trial.out("w\n");
    let until = clock::now();
    trial.out("later\n");
    let decimal = |time: i64| format!("{}.{:09}", time / clock::SECOND, time % clock::SECOND);
    let options = LogOptions {
        since: decimal(since),
        until: decimal(until),
        timestamps: true,
        ..LogOptions::default()
    };
    let found = trial.all(&options).await;
    let (time, line) = found.split_once(' ').unwrap();
    assert_eq!((line, time.len()), ("new\n", 30));
}

#[tokio::test]
async fn who_follows_misses_nothing_while_files_are_rotated() {
    let mut trial = Trial::new(Some(4000), 100);
    trial.live.store(true, Ordering::Relaxed);
    let mut stream = trial.stream(&LogOptions { follow: true, ..LogOptions::default() });
    let (mut found, mut expected) = (String::new(), String::new());
    for round in 0..50 {
        for number in 0..20 {
            let line = format!("{round}-{number}\n");
            trial.out(&line);
            expected.push_str(&line);
        }
        while found.len() < expected.len() {
            let next = tokio::time::timeout(Duration::from_secs(10), stream.try_next());
            found.push_str(&text(&[next.await.unwrap().unwrap().unwrap()]));
        }
    }
    trial.out("end");
    trial.live.store(false, Ordering::Relaxed);
    std::fs::write(trial.directory.path().join("state.json"), "").unwrap();
    let rest: Vec<Chunk> = stream.try_collect().await.unwrap();
    assert_eq!(found + &text(&rest), expected + "end");
}

#[tokio::test]
async fn who_follows_waits_for_the_first_word() {
    let mut trial = Trial::new(None, 1);
    trial.live.store(true, Ordering::Relaxed);
    let mut stream = trial.stream(&LogOptions { follow: true, ..LogOptions::default() });
    let first = std::pin::pin!(stream.try_next());
    let (first, ()) = tokio::join!(first, async { trial.out("hello\n") });
    assert_eq!(&first.unwrap().unwrap().bytes[..], b"hello\n");
}
