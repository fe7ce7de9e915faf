//! Limits to the files of the kernel that hold them.
//!
//! In: [`Limits`]. Out: files and what to write into them, for version 1 and 2. Pure, but for the
//! numbers of block devices, which the caller looks up.

use std::fmt::Display;

use super::limits::Limits;

/// Something to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    /// The controller that has the file.
    pub(super) controller: &'static str,
    /// The file; another where that one is not there.
    pub(super) file: [&'static str; 2],
    /// What is written.
    pub(super) value: String,
    /// What is done when there is no such file.
    pub(super) need: Need,
}

/// Whether a container starts without a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// It does not.
    Must,
    /// It does: nobody asked for this limit in so many words.
    May,
}

/// A rate or weight of a block device, with its numbers as `8:0`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Numbered {
    /// `MAJOR:MINOR`.
    pub(super) device: String,
    /// Weight or rate.
    pub(super) value: u64,
}

/// Weights and rates by the numbers of devices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Block {
    /// Weights.
    pub(super) weight: Vec<Numbered>,
    /// Bytes read per second.
    pub(super) read_bps: Vec<Numbered>,
    /// Bytes written per second.
    pub(super) write_bps: Vec<Numbered>,
    /// Reads per second.
    pub(super) read_iops: Vec<Numbered>,
    /// Writes per second.
    pub(super) write_iops: Vec<Numbered>,
}

impl Setting {
    /// What version 1 calls the controller of a setting of version 2.
    pub(super) fn old_controller(&self) -> &'static str {
        if self.controller == "io" { "blkio" } else { self.controller }
    }
}

fn set(controller: &'static str, file: &'static str, value: impl Display) -> Setting {
    Setting { controller, file: [file, file], value: value.to_string(), need: Need::Must }
}

/// The limit on memory and swap together. Kernels may not count swap: then the user was warned.
fn swap(limits: &Limits) -> Option<u64> {
    match (limits.memory, limits.memory_and_swap) {
        (_, Some(both)) => Some(both),
        // As much swap as memory, as in Docker.
        (Some(memory), None) => Some(memory.saturating_mul(2)),
        (None, None) => None,
    }
}

/// For version 1, in the order that the kernel demands.
pub(super) fn old(limits: &Limits, block: &Block) -> Vec<Setting> {
    let mut all = Vec::new();
    let mut number = |controller, file, value: Option<u64>| {
        all.extend(value.map(|value| set(controller, file, value)));
    };
    number("memory", "memory.limit_in_bytes", limits.memory);
    number("memory", "memory.soft_limit_in_bytes", limits.memory_reservation);
    number("cpu", "cpu.shares", limits.cpu_shares);
    number("cpu", "cpu.cfs_period_us", limits.cpu_period);
    number("cpu", "cpu.rt_period_us", limits.cpu_rt_period);
    all.extend(limits.cpu_quota.map(|quota| set("cpu", "cpu.cfs_quota_us", quota)));
    all.extend(limits.cpu_rt_runtime.map(|time| set("cpu", "cpu.rt_runtime_us", time)));
    if let Some(both) = swap(limits) {
        let value = if both == u64::MAX { "-1".to_owned() } else { both.to_string() };
        all.push(Setting {
            need: Need::May,
            ..set("memory", "memory.memsw.limit_in_bytes", value)
        });
    }
    // Where the kernel does not know these, the user has been warned.
    if let Some(eager) = limits.swappiness {
        all.push(Setting { need: Need::May, ..set("memory", "memory.swappiness", eager) });
    }
    if limits.oom_kill_disable {
        all.push(Setting { need: Need::May, ..set("memory", "memory.oom_control", 1) });
    }
    if !limits.cpuset.is_empty() {
        all.push(set("cpuset", "cpuset.cpus", &limits.cpuset));
    }
    all.extend(limits.pids.map(pids));
    if let Some(weight) = limits.io_weight {
        let file = ["blkio.weight", "blkio.bfq.weight"];
        all.push(Setting { file, need: Need::May, ..set("blkio", file[0], weight) });
    }
    let rows = |file: [&'static str; 2], rows: &[Numbered], need| -> Vec<Setting> {
        let row = |row: &Numbered| format!("{} {}", row.device, row.value);
        let setting = |entry| Setting { file, need, ..set("blkio", file[0], row(entry)) };
        rows.iter().map(setting).collect()
    };
    let weights = ["blkio.weight_device", "blkio.bfq.weight_device"];
    all.extend(rows(weights, &block.weight, Need::May));
    for (file, rates) in [
        ("blkio.throttle.read_bps_device", &block.read_bps),
        ("blkio.throttle.write_bps_device", &block.write_bps),
        ("blkio.throttle.read_iops_device", &block.read_iops),
        ("blkio.throttle.write_iops_device", &block.write_iops),
    ] {
        all.extend(rows([file, file], rates, Need::Must));
    }
    all
}

fn pids(most: u64) -> Setting {
    set("pids", "pids.max", if most == u64::MAX { "max".to_owned() } else { most.to_string() })
}

/// For version 2.
pub(super) fn new(limits: &Limits, block: &Block) -> Vec<Setting> {
    let mut all = Vec::new();
    all.extend(limits.memory.map(|memory| set("memory", "memory.max", memory)));
    all.extend(limits.memory_reservation.map(|low| set("memory", "memory.low", low)));
    if let Some(both) = swap(limits) {
        let swap = both.saturating_sub(limits.memory.unwrap_or(0));
        let value = if both == u64::MAX { "max".to_owned() } else { swap.to_string() };
        all.push(Setting { need: Need::May, ..set("memory", "memory.swap.max", value) });
    }
    all.extend(limits.cpu_shares.map(|shares| set("cpu", "cpu.weight", weight(shares))));
    if limits.cpu_quota.is_some() || limits.cpu_period.is_some() {
        let quota = limits.cpu_quota.filter(|quota| *quota > 0);
        let quota = quota.map_or("max".to_owned(), |quota| quota.to_string());
        let period = limits.cpu_period.unwrap_or(100_000);
        all.push(set("cpu", "cpu.max", format!("{quota} {period}")));
    }
    if !limits.cpuset.is_empty() {
        all.push(set("cpuset", "cpuset.cpus", &limits.cpuset));
    }
    all.extend(limits.pids.map(pids));
    all.extend(block_settings(limits, block));
    all
}

/// The block devices of version 2.
fn block_settings(limits: &Limits, block: &Block) -> Vec<Setting> {
    let file = ["io.bfq.weight", "io.weight"];
    let weighed = |prefix: &str, weight: u64| {
        let value = if prefix == "default" { weight } else { io_weight(weight) };
        Setting { file, need: Need::May, ..set("io", file[0], format!("{prefix} {value}")) }
    };
    let mut all = Vec::new();
    all.extend(limits.io_weight.map(|weight| weighed("default", u64::from(weight))));
    all.extend(block.weight.iter().map(|row| weighed(&row.device, row.value)));
    for (key, rates) in [
        ("rbps", &block.read_bps),
        ("wbps", &block.write_bps),
        ("riops", &block.read_iops),
        ("wiops", &block.write_iops),
    ] {
        let row =
            |row: &Numbered| set("io", "io.max", format!("{} {key}={}", row.device, row.value));
        all.extend(rates.iter().map(row));
    }
    all
}

/// Shares (2 to 262144, usual 1024) as a weight of version 2 (1 to 10000).
fn weight(shares: u64) -> u64 {
    1 + (shares.clamp(2, 262_144) - 2) * 9999 / 262_142
}

/// A weight of version 1 (10 to 1000) as one of version 2 (1 to 10000).
fn io_weight(weight: u64) -> u64 {
    1 + (weight.clamp(10, 1000) - 10) * 9999 / 990
}

#[cfg(test)]
mod tests {
    use super::{Block, Limits, Need, Numbered, Setting, new, old};

    fn lines(all: &[Setting]) -> Vec<String> {
        let line = |setting: &Setting| {
            let mark = if setting.need == Need::May { " ?" } else { "" };
            format!("{} {}{mark}", setting.file[0], setting.value)
        };
        all.iter().map(line).collect()
    }

    fn limits() -> Limits {
        Limits {
            memory: Some(1000),
            memory_reservation: Some(500),
            swappiness: Some(10),
            oom_kill_disable: true,
            cpu_shares: Some(512),
            cpu_quota: Some(50_000),
            cpu_period: Some(100_000),
            cpuset: "0-1".to_owned(),
            pids: Some(20),
            io_weight: Some(300),
            ..Limits::default()
        }
    }

    fn block() -> Block {
        let row = |value| vec![Numbered { device: "8:0".to_owned(), value }];
        Block {
            weight: row(1000),
            read_bps: row(1),
            write_bps: row(2),
            read_iops: row(3),
            write_iops: row(4),
        }
    }

    #[test]
    fn version_1_has_a_file_for_every_limit() {
        assert_eq!(
            lines(&old(&limits(), &block())),
            [
                "memory.limit_in_bytes 1000",
                "memory.soft_limit_in_bytes 500",
                "cpu.shares 512",
                "cpu.cfs_period_us 100000",
                "cpu.cfs_quota_us 50000",
                "memory.memsw.limit_in_bytes 2000 ?",
                "memory.swappiness 10 ?",
                "memory.oom_control 1 ?",
                "cpuset.cpus 0-1",
                "pids.max 20",
                "blkio.weight 300 ?",
                "blkio.weight_device 8:0 1000 ?",
                "blkio.throttle.read_bps_device 8:0 1",
                "blkio.throttle.write_bps_device 8:0 2",
                "blkio.throttle.read_iops_device 8:0 3",
                "blkio.throttle.write_iops_device 8:0 4",
            ]
        );
    }

    #[test]
    fn version_2_counts_in_other_units() {
        assert_eq!(
            lines(&new(&limits(), &block())),
            [
                "memory.max 1000",
                "memory.low 500",
                "memory.swap.max 1000 ?",
                "cpu.weight 20",
                "cpu.max 50000 100000",
                "cpuset.cpus 0-1",
                "pids.max 20",
                "io.bfq.weight default 300 ?",
                "io.bfq.weight 8:0 10000 ?",
                "io.max 8:0 rbps=1",
                "io.max 8:0 wbps=2",
                "io.max 8:0 riops=3",
                "io.max 8:0 wiops=4",
            ]
        );
    }

    #[test]
    fn unlimited_is_said_in_the_words_of_the_kernel() {
        let limits = Limits {
            memory: Some(1),
            memory_and_swap: Some(u64::MAX),
            pids: Some(u64::MAX),
            cpu_quota: Some(-1),
            ..Limits::default()
        };
        let none = Block::default();
        assert_eq!(
            lines(&old(&limits, &none)),
            [
                "memory.limit_in_bytes 1",
                "cpu.cfs_quota_us -1",
                "memory.memsw.limit_in_bytes -1 ?",
                "pids.max max"
            ]
        );
        assert_eq!(
            lines(&new(&limits, &none)),
            ["memory.max 1", "memory.swap.max max ?", "cpu.max max 100000", "pids.max max"]
        );
        assert_eq!(lines(&old(&Limits::default(), &none)), Vec::<String>::new());
        assert_eq!(lines(&new(&Limits::default(), &none)), Vec::<String>::new());
    }
}
