//! Commands that run at once, and commands that are killed.

use std::time::Duration;

use super::{Running, scenario, until, within};

const FILE: &str = "
services:
  db: {<<: *app, volumes: ['data:/data', /scratch], networks: [a], scale: 2}
  web: {<<: *app, depends_on: [db], networks: [a, b]}
  side: {<<: *app, network_mode: 'service:web'}
networks: {a: {}, b: {}}
volumes: {data: {}}
";

const UP: [&str; 4] = ["db-1 running", "db-2 running", "side-1 running", "web-1 running"];

#[test]
fn two_at_once_do_not_clash() {
    scenario("twins", FILE, |it| {
        let mut all = [it.start("up -d"), it.start("up -d"), it.start("up -d")];
        let ends: Vec<Option<i32>> = all.iter_mut().map(Running::end).collect();
        assert_eq!(ends, [Some(0); 3]);
        assert_eq!(it.states(), UP);
    });
}

#[test]
fn the_second_is_told_whom_it_waits_for() {
    let slow = "
services:
  web: {<<: *app, healthcheck: {test: [CMD, ls, /go], interval: 100ms, retries: 10000}}
";
    scenario("waits", slow, |it| {
        let mut first = it.start("up -d --wait");
        until("it runs", || it.states() == ["web-1 running"]);
        let second = it.ketch("down").arguments(&["-t", "0"]);
        let first_id = first.child.id();
        let second = std::thread::scope(|scope| {
            let second = scope.spawn(|| second.output());
            assert!(!within(Duration::from_millis(500), || second.is_finished()), "it waits");
            it.exec("web-1", &["touch", "/go"]);
            second.join().unwrap()
        });
        assert_eq!((first.end(), second.code), (Some(0), 0), "{second:?}");
        assert!(second.stderr.contains("waiting for"), "{second:?}");
        assert!(second.stderr.contains(&format!("process {first_id}")), "{second:?}");
        assert_eq!(it.left(), Vec::<String>::new());
    });
}

impl Running {
    /// Kills it, unless it ends before this time.
    fn killed_after(mut self, moment: Duration) {
        if !within(moment, || self.child.try_wait().unwrap().is_some()) {
            self.signal("KILL");
        }
        self.end();
    }
}

/// Moments from 0 to `most`, spread without a pattern but the same each time.
fn moments(rounds: u32, most: Duration) -> impl Iterator<Item = Duration> {
    (0..rounds).map(move |round| most * (round * 7 % rounds) / rounds)
}

#[test]
fn what_is_killed_at_any_moment_is_made_good() {
    scenario("killed", FILE, |it| {
        let changed = FILE.replace("<<: *app,", "<<: *app, user: '0',");
        // Longer than an `up` takes here, so that some are killed late.
        for (round, moment) in moments(20, Duration::from_secs(3)).enumerate() {
            it.start("up -d -y").killed_after(moment);
            // Every other round brings the other version up on what is there.
            it.write(if round % 2 == 0 { &changed } else { FILE });
            it.ok("up -d -y");
            assert_eq!(it.states(), UP, "killed after {moment:?}");
            let before = it.containers();
            it.ok("up -d");
            assert_eq!(it.containers(), before, "killed after {moment:?}");
            if round % 4 == 3 {
                it.ok("down -v");
                assert_eq!(it.left(), Vec::<String>::new(), "killed after {moment:?}");
            }
        }
        it.ok("down -v");
        assert_eq!(it.left(), Vec::<String>::new());
    });
}

#[test]
fn what_is_killed_is_taken_down_at_once() {
    scenario("killed-down", FILE, |it| {
        for moment in moments(6, Duration::from_secs(2)) {
            it.start("up -d").killed_after(moment);
            // What the engine was asked for last may be made only after the first look.
            until("nothing is left", || {
                it.ok("down -v");
                it.left().is_empty()
            });
        }
    });
}
