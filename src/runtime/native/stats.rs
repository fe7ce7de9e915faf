//! What containers use, and which processes they have.
//!
//! In: a container. Out: [`Sample`]s from its cgroup, twice a second apart, and the process table
//! as `ps -ef` shows it.

use std::collections::HashMap;
use std::io::Read as _;
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};

use super::Native;
use super::container::{Cgroup, Usage};
use crate::runtime::{ProcessTable, Repeat, Result, RuntimeError, Sample, Stream};

/// The time between two measurements.
const PAUSE: Duration = Duration::from_secs(1);

/// A cgroup, a process whose interfaces are counted, and what was measured last.
struct Meter {
    cgroup: Cgroup,
    pid: i32,
    last: (Instant, Usage),
    repeat: Repeat,
    is_over: bool,
}

impl Native {
    pub(super) fn samples(&self, container: &str, repeat: Repeat) -> Stream<'static, Sample> {
        let native = self.clone();
        let container = container.to_owned();
        stream::once(async move { native.meter(&container, repeat).await })
            .flat_map(|meter| match meter {
                Ok(Some(meter)) => measured(meter),
                // One that does not run uses nothing.
                Ok(None) => stream::iter([Ok(Sample::default())]).boxed(),
                Err(error) => stream::iter([Err(error)]).boxed(),
            })
            .boxed()
    }

    async fn meter(&self, container: &str, repeat: Repeat) -> Result<Option<Meter>> {
        let target = match self.target(container).await {
            Err(RuntimeError::Conflict(_)) => return Ok(None),
            target => target?,
        };
        let cgroup = Cgroup::open(&target.config).map_err(|error| unmeasured(container, error))?;
        let usage = cgroup.usage().map_err(|error| unmeasured(container, error))?;
        let last = (Instant::now(), usage);
        Ok(Some(Meter { cgroup, pid: target.pid, last, repeat, is_over: false }))
    }

    pub(super) async fn processes(&self, container: &str) -> Result<ProcessTable> {
        let target = self.target(container).await?;
        let cgroup = Cgroup::open(&target.config).map_err(|error| unmeasured(container, error))?;
        let mut pids = cgroup.processes().map_err(|error| unmeasured(container, error))?;
        pids.sort_unstable();
        let users = users();
        let titles = ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"];
        Ok(ProcessTable {
            titles: titles.map(str::to_owned).to_vec(),
            rows: pids.into_iter().filter_map(|pid| row(pid, &users)).collect(),
        })
    }
}

fn unmeasured(container: &str, source: std::io::Error) -> RuntimeError {
    RuntimeError::Io { action: format!("measure container {container}"), source }
}

fn measured(meter: Meter) -> Stream<'static, Sample> {
    stream::unfold(meter, |mut meter| async move {
        if meter.is_over {
            return None;
        }
        tokio::time::sleep(PAUSE).await;
        let usage = meter.cgroup.usage().ok()?;
        let now = (Instant::now(), usage);
        let sample = sample(&meter, now);
        meter.last = now;
        meter.is_over = meter.repeat == Repeat::Once;
        Some((Ok(sample), meter))
    })
    .boxed()
}

#[expect(clippy::cast_precision_loss, reason = "a percentage is shown with two decimals")]
fn sample(meter: &Meter, (time, usage): (Instant, Usage)) -> Sample {
    let passed = time.saturating_duration_since(meter.last.0).as_nanos().max(1) as f64;
    let used = usage.cpu.saturating_sub(meter.last.1.cpu) as f64;
    Sample {
        cpu_percent: used / passed * 100.0,
        memory: usage.memory,
        memory_limit: if usage.memory_limit == 0 { host_memory() } else { usage.memory_limit },
        network: interfaces(&read(&format!("/proc/{}/net/dev", meter.pid))),
        block: usage.block,
        processes: usage.processes,
    }
}

fn read(path: &str) -> String {
    const LONGEST: u64 = 1 << 20;
    let mut bytes = Vec::new();
    // What is gone has nothing to tell.
    let _ = std::fs::File::open(path).and_then(|file| file.take(LONGEST).read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Bytes received and sent by all interfaces but the loopback.
fn interfaces(table: &str) -> (u64, u64) {
    let mut sum = (0_u64, 0_u64);
    for line in table.lines() {
        let Some((name, counts)) = line.split_once(':') else { continue };
        let counts: Vec<u64> =
            counts.split_whitespace().filter_map(|count| count.parse().ok()).collect();
        if name.trim() != "lo" {
            sum.0 += counts.first().copied().unwrap_or(0);
            sum.1 += counts.get(8).copied().unwrap_or(0);
        }
    }
    sum
}

fn host_memory() -> u64 {
    let text = read("/proc/meminfo");
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}

/// The names of the host's users by number.
fn users() -> HashMap<u32, String> {
    let text = read("/etc/passwd");
    let user = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        Some((fields.nth(1)?.parse().ok()?, name))
    };
    text.lines().filter_map(user).collect()
}

/// A process as `ps -ef` shows it; `None` if it has ended.
fn row(pid: i32, users: &HashMap<u32, String>) -> Option<Vec<String>> {
    let stat = read(&format!("/proc/{pid}/stat"));
    let status = read(&format!("/proc/{pid}/status"));
    let uid = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    let uid: u32 = uid.split_whitespace().nth(1)?.parse().ok()?;
    let command = read(&format!("/proc/{pid}/cmdline"));
    let command = command.trim_end_matches('\0').replace('\0', " ");
    let (name, rest) = stat.split_once('(')?.1.rsplit_once(") ")?;
    let fields: Vec<i64> =
        rest.split_whitespace().map(|field| field.parse().unwrap_or(0)).collect();
    let field = |index: usize| fields.get(index).copied().unwrap_or(0);
    let (used, began) = (field(11) + field(12), field(19));
    let (ticks, up) = (100, uptime());
    let (used, age) = (used / ticks, (up - began / ticks).max(0));
    let share = if age == 0 { 0 } else { used * 100 / age };
    Some(vec![
        users.get(&uid).cloned().unwrap_or_else(|| uid.to_string()),
        pid.to_string(),
        field(1).to_string(),
        share.to_string(),
        start_time(age),
        terminal(field(4)),
        format!("{:02}:{:02}:{:02}", used / 3600, used / 60 % 60, used % 60),
        if command.is_empty() { format!("[{name}]") } else { command },
    ])
}

fn uptime() -> i64 {
    let text = read("/proc/uptime");
    text.split('.').next().and_then(|seconds| seconds.parse().ok()).unwrap_or(0)
}

/// When a process began that is so old: the time of today, else the day.
fn start_time(age: i64) -> String {
    let now = jiff::Timestamp::now();
    let began = now.checked_sub(jiff::SignedDuration::from_secs(age)).unwrap_or(now);
    let local = |time| jiff::ZonedDateTime::new(time, jiff::tz::TimeZone::system());
    let (now, began) = (local(now), local(began));
    let form = if began.date() == now.date() { "%H:%M" } else { "%b%d" };
    began.strftime(form).to_string()
}

/// The terminal by its number.
fn terminal(number: i64) -> String {
    const PTS: i64 = 136;
    match (number >> 8 & 0xfff, number & 0xff) {
        (PTS, minor) => format!("pts/{minor}"),
        _ => "?".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{interfaces, row, users};

    #[test]
    fn interfaces_are_summed_without_the_loopback() {
        let table = "Inter-|   Receive\n face |bytes\n    lo: 9 1 0 0 0 0 0 0 9 1\n  \
                     eth0: 10 1 0 0 0 0 0 0 20 1\n  eth1:1 1 0 0 0 0 0 0 2 1\n";
        assert_eq!(interfaces(table), (11, 22));
    }

    #[test]
    fn a_process_is_shown_as_ps_shows_it() {
        let own = i32::try_from(std::process::id()).unwrap();
        let row = row(own, &users()).unwrap();
        assert_eq!(row.len(), 8);
        assert_eq!(row[1], own.to_string());
        assert_eq!(row[6].len(), 8);
    }
}
