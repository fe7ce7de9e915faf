//! What a container may use: plain data.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What a container may use. `None`, 0 and empty: as the kernel has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Most memory in bytes.
    pub memory: Option<u64>,
    /// Most memory and swap together in bytes; `u64::MAX`: no limit.
    pub memory_and_swap: Option<u64>,
    /// Memory in bytes that is left to it when the host runs short.
    pub memory_reservation: Option<u64>,
    /// How eagerly it is swapped out, 0 to 100.
    pub swappiness: Option<u64>,
    /// Whether its processes wait instead of being killed when its memory runs out.
    pub oom_kill_disable: bool,
    /// Weight against others, 2 to 262144; usual is 1024.
    pub cpu_shares: Option<u64>,
    /// Processor time per period, in microseconds.
    pub cpu_quota: Option<i64>,
    /// The period, in microseconds.
    pub cpu_period: Option<u64>,
    /// Real-time processor time per period, in microseconds.
    pub cpu_rt_runtime: Option<i64>,
    /// The period of that, in microseconds.
    pub cpu_rt_period: Option<u64>,
    /// Processors that it may use, as `0-3,7`.
    pub cpuset: String,
    /// Most processes and threads.
    pub pids: Option<u64>,
    /// Weight against others at block devices, 10 to 1000.
    pub io_weight: Option<u16>,
    /// Weights at single devices.
    pub io_weight_device: Vec<BlockWeight>,
    /// Most bytes per second to read.
    pub read_bps: Vec<BlockRate>,
    /// Most bytes per second to write.
    pub write_bps: Vec<BlockRate>,
    /// Most reads per second.
    pub read_iops: Vec<BlockRate>,
    /// Most writes per second.
    pub write_iops: Vec<BlockRate>,
    /// Rules for devices besides the usual ones and those of `Config::devices`.
    pub device_rules: Vec<DeviceRule>,
}

/// The weight of a container at a block device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockWeight {
    /// Path of the device on the host.
    pub device: PathBuf,
    /// 10 to 1000.
    pub weight: u16,
}

/// The most that a container gets of a block device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockRate {
    /// Path of the device on the host.
    pub device: PathBuf,
    /// Bytes or operations per second.
    pub rate: u64,
}

/// What a container may do with devices, as `c 1:3 mr`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRule {
    /// `a` (all), `b` or `c`.
    pub kind: char,
    /// Major number; `None`: any.
    pub major: Option<u32>,
    /// Minor number; `None`: any.
    pub minor: Option<u32>,
    /// Any of `r`, `w` and `m`.
    pub access: String,
}
