//! What a container uses, from the files of the kernel.

use std::io;
use std::path::Path;

use super::hierarchy::Hierarchies;
use super::text;

/// What a container uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time in nanoseconds.
    pub cpu: u64,
    /// Memory in bytes, without the page cache that could be given up at once.
    pub memory: u64,
    /// The most memory that it may use; 0: no limit.
    pub memory_limit: u64,
    /// Bytes read from and written to block devices.
    pub block: (u64, u64),
    /// Number of processes and threads.
    pub processes: u64,
}

/// From here on a number of bytes is no limit.
const UNLIMITED: u64 = 1 << 60;

pub(super) fn of(at: &Hierarchies) -> io::Result<Usage> {
    let (memory, memory_limit) = memory(at)?;
    Ok(Usage { cpu: cpu(at)?, memory, memory_limit, block: block(at)?, processes: processes(at)? })
}

fn unified(at: &Hierarchies) -> io::Result<&Path> {
    at.unified.as_deref().ok_or_else(|| io::ErrorKind::NotFound.into())
}

fn cpu(at: &Hierarchies) -> io::Result<u64> {
    if let Some(path) = at.old("cpuacct") {
        return text::number(&path.join("cpuacct.usage"));
    }
    let stat = text::read(&unified(at)?.join("cpu.stat"))?;
    Ok(text::value(&stat, "usage_usec").unwrap_or(0) * 1000)
}

fn memory(at: &Hierarchies) -> io::Result<(u64, u64)> {
    let (path, names) = match at.old("memory") {
        Some(path) => {
            (path, ["memory.usage_in_bytes", "memory.limit_in_bytes", "total_inactive_file"])
        }
        None => (unified(at)?, ["memory.current", "memory.max", "inactive_file"]),
    };
    let [current, limit, inactive] = names;
    // A kernel without the controller counts nothing.
    let Ok(current) = text::number(&path.join(current)) else { return Ok((0, 0)) };
    let stat = text::read(&path.join("memory.stat"))?;
    let idle = text::value(&stat, inactive).unwrap_or(0);
    let limit = text::number(&path.join(limit)).unwrap_or(u64::MAX);
    Ok((current.saturating_sub(idle), if limit >= UNLIMITED { 0 } else { limit }))
}

fn block(at: &Hierarchies) -> io::Result<(u64, u64)> {
    if let Some(path) = at.old("blkio") {
        let files =
            ["blkio.throttle.io_service_bytes_recursive", "blkio.throttle.io_service_bytes"];
        let text = files.iter().find_map(|file| text::read(&path.join(file)).ok());
        return Ok(old_block(&text.unwrap_or_default()));
    }
    // The controller may be off.
    Ok(new_block(&text::read(&unified(at)?.join("io.stat")).unwrap_or_default()))
}

/// Rows as `8:0 Read 4096`.
fn old_block(text: &str) -> (u64, u64) {
    let mut sum = (0, 0);
    for line in text.lines() {
        let mut words = line.split(' ').skip(1);
        let (Some(kind), Some(Ok(bytes))) = (words.next(), words.next().map(str::parse::<u64>))
        else {
            continue;
        };
        match kind {
            "Read" => sum.0 += bytes,
            "Write" => sum.1 += bytes,
            _ => {}
        }
    }
    sum
}

/// Rows as `8:0 rbytes=4096 wbytes=0 rios=1`.
fn new_block(text: &str) -> (u64, u64) {
    let sum = |key: &str| {
        let words = text.split_whitespace().filter_map(|word| word.split_once('='));
        words.filter(|(name, _)| *name == key).filter_map(|(_, n)| n.parse::<u64>().ok()).sum()
    };
    (sum("rbytes"), sum("wbytes"))
}

fn processes(at: &Hierarchies) -> io::Result<u64> {
    let path = at.old("pids").map_or_else(|| unified(at), Ok)?;
    match text::number(&path.join("pids.current")) {
        Ok(number) => Ok(number),
        Err(_) => Ok(text::read(&path.join("cgroup.procs"))?.lines().count() as u64),
    }
}

pub(super) fn oom_kills(at: &Hierarchies) -> io::Result<u64> {
    let file = match at.old("memory") {
        Some(path) => path.join("memory.oom_control"),
        None => unified(at)?.join("memory.events"),
    };
    let text = match text::read(&file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && at.old("memory").is_none() => {
            String::new()
        }
        read => read?,
    };
    Ok(text::value(&text, "oom_kill").unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::{new_block, old_block};

    #[test]
    fn bytes_of_all_devices_are_added() {
        assert_eq!(
            old_block("8:0 Read 5\n8:0 Write 6\n8:0 Sync 11\n8:16 Read 1\nTotal 12\n"),
            (6, 6)
        );
        assert_eq!(new_block("8:0 rbytes=5 wbytes=6 rios=1\n8:16 rbytes=1 wbytes=x\n"), (6, 6));
        assert_eq!((old_block(""), new_block("")), ((0, 0), (0, 0)));
    }
}
