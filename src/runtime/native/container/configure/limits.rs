//! What a service may use.

use super::refused;
use crate::model::{BlkioConfig, DeviceMapping, Service, ThrottleDevice};
use crate::runtime::Result;
use crate::runtime::native::container::cgroup::{BlockRate, BlockWeight, DeviceRule, Limits};
use crate::runtime::native::container::config::Device;

/// The least memory that a container can run with.
const LEAST_MEMORY: i64 = 6 << 20;
/// The period of a number of processors, in microseconds.
const PERIOD: u64 = 100_000;

/// The limits of a service; those of `deploy` win.
pub(super) fn limits(service: &Service) -> Result<Limits> {
    let deployed = service.deploy.as_ref().map(|deploy| &deploy.resources);
    let most = deployed.and_then(|resources| resources.limits.as_ref());
    let least = deployed.and_then(|resources| resources.reservations.as_ref());
    let pick = |own: i64, deployed: Option<i64>| deployed.filter(|n| *n != 0).unwrap_or(own);
    let cpus = most.map(|most| most.cpus).filter(|cpus| *cpus != 0.0).unwrap_or(service.cpus);
    let pids = most.map(|most| most.pids).filter(|pids| *pids > 0).unwrap_or(service.pids_limit);
    let mut limits = Limits { cpuset: service.cpuset.clone(), ..Limits::default() };
    memory(
        service,
        pick(service.mem_limit.0, most.map(|most| most.memory.0)),
        pick(service.mem_reservation.0, least.map(|least| least.memory.0)),
        &mut limits,
    )?;
    cpu(service, cpus, &mut limits)?;
    limits.pids = match pids {
        0 => None,
        pids => Some(u64::try_from(pids).unwrap_or(u64::MAX)),
    };
    if let Some(blkio) = &service.blkio_config {
        block(blkio, &mut limits)?;
    }
    let rules = service.device_cgroup_rules.iter().map(|rule| device_rule(rule));
    limits.device_rules = rules.collect::<Result<_>>()?;
    Ok(limits)
}

/// A number that is set.
fn set(number: i64) -> Option<u64> {
    u64::try_from(number).ok().filter(|number| *number != 0)
}

fn memory(service: &Service, most: i64, least: i64, limits: &mut Limits) -> Result<()> {
    let both = service.memswap_limit.0;
    if most > 0 && most < LEAST_MEMORY {
        return Err(refused("minimum memory limit allowed is 6MB"));
    }
    if most <= 0 && both > 0 {
        return Err(refused("you should always set the memory limit when using `memswap_limit`"));
    }
    if both > 0 && both < most {
        return Err(refused("`memswap_limit` should be larger than the memory limit"));
    }
    if most > 0 && least > most {
        return Err(refused("the memory limit can not be less than the memory reservation"));
    }
    limits.memory = set(most);
    limits.memory_and_swap = if both < 0 { limits.memory.map(|_| u64::MAX) } else { set(both) };
    limits.memory_reservation = set(least);
    limits.oom_kill_disable = service.oom_kill_disable;
    limits.swappiness = match service.mem_swappiness.0 {
        0 | -1 => None,
        eager @ 1..=100 => set(eager),
        other => {
            return Err(refused(format!("invalid value: {other}, `mem_swappiness` is 0 to 100")));
        }
    };
    Ok(())
}

fn cpu(service: &Service, cpus: f32, limits: &mut Limits) -> Result<()> {
    limits.cpu_shares = set(service.cpu_shares);
    limits.cpu_period = set(service.cpu_period);
    limits.cpu_quota = Some(service.cpu_quota).filter(|quota| *quota != 0);
    limits.cpu_rt_period = set(service.cpu_rt_period);
    limits.cpu_rt_runtime = Some(service.cpu_rt_runtime).filter(|time| *time != 0);
    if cpus == 0.0 {
        return Ok(());
    }
    if limits.cpu_period.is_some() || limits.cpu_quota.is_some() {
        return Err(refused("`cpus` cannot be set together with `cpu_period` or `cpu_quota`"));
    }
    let all = std::thread::available_parallelism().map_or(1, usize::from);
    let share = crate::model::number::single(cpus);
    #[expect(clippy::cast_precision_loss, reason = "no host has so many processors")]
    let all = all as f64;
    if !(0.01..=all).contains(&share) {
        let text = format!(
            "range of CPUs is from 0.01 to {all:.2}, as there are only {all} CPUs available"
        );
        return Err(refused(text));
    }
    #[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
    let quota = (share * 100_000.0).round() as i64;
    limits.cpu_period = Some(PERIOD);
    limits.cpu_quota = Some(quota);
    Ok(())
}

fn block(blkio: &BlkioConfig, limits: &mut Limits) -> Result<()> {
    let weighs = |weight: u16| match weight {
        0 => Ok(None),
        10..=1000 => Ok(Some(weight)),
        _ => Err(refused("range of `blkio_config.weight` is from 10 to 1000")),
    };
    let rates = |devices: &[ThrottleDevice]| -> Vec<BlockRate> {
        let rate = |device: &ThrottleDevice| BlockRate {
            device: device.path.clone().into(),
            rate: u64::try_from(device.rate.0).unwrap_or(0),
        };
        devices.iter().map(rate).collect()
    };
    limits.io_weight = weighs(blkio.weight)?;
    for device in &blkio.weight_device {
        let weight = weighs(device.weight)?;
        let weight =
            weight.map(|weight| BlockWeight { device: device.path.clone().into(), weight });
        limits.io_weight_device.extend(weight);
    }
    limits.read_bps = rates(&blkio.device_read_bps);
    limits.write_bps = rates(&blkio.device_write_bps);
    limits.read_iops = rates(&blkio.device_read_iops);
    limits.write_iops = rates(&blkio.device_write_iops);
    Ok(())
}

/// `KIND MAJOR:MINOR ACCESS`.
fn device_rule(text: &str) -> Result<DeviceRule> {
    let broken = || refused(format!("invalid device cgroup format: `{text}`"));
    let words: Vec<&str> = text.split_whitespace().collect();
    let [kind @ ("a" | "b" | "c"), numbers, access] = words[..] else { return Err(broken()) };
    let (major, minor) = numbers.split_once(':').ok_or_else(broken)?;
    let number = |text: &str| match text {
        "*" => Ok(None),
        text => text.parse().map(Some).map_err(|_| broken()),
    };
    if access.is_empty() || !access.chars().all(|letter| "rwm".contains(letter)) {
        return Err(broken());
    }
    Ok(DeviceRule {
        kind: kind.chars().next().unwrap_or('a'),
        major: number(major)?,
        minor: number(minor)?,
        access: access.to_owned(),
    })
}

/// The devices of the host that a service sees.
pub(super) fn devices(service: &Service) -> Result<Vec<Device>> {
    service.devices.iter().map(device).collect()
}

fn device(device: &DeviceMapping) -> Result<Device> {
    let DeviceMapping { source, target, permissions, .. } = device;
    if super::support::is_cdi(source) {
        return Err(refused(format!("the device `{source}` needs the Container Device Interface")));
    }
    let target = if target.is_empty() { source } else { target };
    let permissions = if permissions.is_empty() { "rwm" } else { permissions };
    if !permissions.chars().all(|letter| "rwm".contains(letter)) {
        return Err(refused(format!("invalid device permissions: `{permissions}`")));
    }
    Ok(Device {
        source: source.clone(),
        target: super::process::directory(target),
        permissions: permissions.to_owned(),
    })
}
