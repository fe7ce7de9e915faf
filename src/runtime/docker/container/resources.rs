//! What a container may use: memory, processors, devices, limits.
//!
//! In: a service. Out: fields of the host config. What `deploy.resources` says wins over the
//! attributes of the service.

use bollard::models::{
    DeviceMapping, DeviceRequest, HostConfig, ResourcesBlkioWeightDevice, ResourcesUlimits,
    ThrottleDevice,
};

use crate::model::{self, BlkioConfig, Service};
use crate::runtime::docker::network::{list, map, text};

/// A host config with all that is about resources.
pub(super) fn resources(service: &Service) -> HostConfig {
    let mut host = HostConfig {
        cgroup_parent: text(&service.cgroup_parent),
        memory: number(service.mem_limit.0),
        memory_swap: number(service.memswap_limit.0),
        memory_swappiness: number(service.mem_swappiness.0),
        memory_reservation: number(service.mem_reservation.0),
        oom_kill_disable: service.oom_kill_disable.then_some(true),
        cpu_count: number(service.cpu_count),
        cpu_period: number(service.cpu_period),
        cpu_quota: number(service.cpu_quota),
        cpu_realtime_period: number(service.cpu_rt_period),
        cpu_realtime_runtime: number(service.cpu_rt_runtime),
        cpu_shares: number(service.cpu_shares),
        nano_cpus: number(times(service.cpus, 1e9)),
        cpu_percent: number(times(service.cpu_percent, 100.0)),
        cpuset_cpus: text(&service.cpuset),
        device_cgroup_rules: list(&service.device_cgroup_rules),
        pids_limit: number(service.pids_limit),
        ulimits: ulimits(service),
        ..HostConfig::default()
    };
    if let Some(blkio) = &service.blkio_config {
        limit_block_devices(&mut host, blkio);
    }
    let mut requests = Vec::new();
    if let Some(deploy) = &service.deploy {
        limit(&mut host, &deploy.resources);
        let reserved = deploy.resources.reservations.iter();
        requests.extend(reserved.flat_map(|reserved| &reserved.devices).map(request));
    }
    let (cdi, mapped): (Vec<_>, Vec<_>) =
        service.devices.iter().partition(|device| is_cdi(&device.source, &device.target));
    let mapped: Vec<_> = mapped.into_iter().map(device).collect();
    host.devices = list(&mapped);
    if !cdi.is_empty() {
        let ids = cdi.into_iter().map(|device| device.source.clone()).collect();
        let driver = Some("cdi".to_owned());
        requests.push(DeviceRequest { driver, device_ids: Some(ids), ..Default::default() });
    }
    requests.extend(service.gpus.iter().map(gpu));
    host.device_requests = list(&requests);
    host
}

/// A number, unless it is zero, which means unset.
fn number(number: i64) -> Option<i64> {
    (number != 0).then_some(number)
}

/// Compose multiplies in single precision and drops the fraction.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a number that is too large ends at the largest"
)]
fn times(value: f32, factor: f32) -> i64 {
    (value * factor) as i64
}

fn limit(host: &mut HostConfig, resources: &model::Resources) {
    if let Some(limits) = &resources.limits {
        host.memory = number(limits.memory.0).or(host.memory);
        host.nano_cpus = number(times(limits.cpus, 1e9)).or(host.nano_cpus);
        host.pids_limit = Some(limits.pids).filter(|pids| *pids > 0).or(host.pids_limit);
    }
    if let Some(reserved) = &resources.reservations {
        host.memory_reservation = number(reserved.memory.0).or(host.memory_reservation);
    }
}

fn ulimits(service: &Service) -> Option<Vec<ResourcesUlimits>> {
    let either = |value: i64, single: i64| Some(if value == 0 { single } else { value });
    let ulimits: Vec<_> = service
        .ulimits
        .iter()
        .map(|(name, limit)| ResourcesUlimits {
            name: Some(name.clone()),
            soft: either(limit.soft, limit.single),
            hard: either(limit.hard, limit.single),
        })
        .collect();
    list(&ulimits)
}

fn limit_block_devices(host: &mut HostConfig, blkio: &BlkioConfig) {
    let rates = |devices: &[model::ThrottleDevice]| {
        let rate = |device: &model::ThrottleDevice| ThrottleDevice {
            path: Some(device.path.clone()),
            rate: Some(device.rate.0),
        };
        list(&devices.iter().map(rate).collect::<Vec<_>>())
    };
    let weight = |device: &model::WeightDevice| ResourcesBlkioWeightDevice {
        path: Some(device.path.clone()),
        weight: Some(usize::from(device.weight)),
    };
    host.blkio_weight = Some(blkio.weight).filter(|weight| *weight != 0);
    host.blkio_weight_device = list(&blkio.weight_device.iter().map(weight).collect::<Vec<_>>());
    host.blkio_device_read_bps = rates(&blkio.device_read_bps);
    host.blkio_device_read_iops = rates(&blkio.device_read_iops);
    host.blkio_device_write_bps = rates(&blkio.device_write_bps);
    host.blkio_device_write_iops = rates(&blkio.device_write_iops);
}

fn device(device: &model::DeviceMapping) -> DeviceMapping {
    DeviceMapping {
        path_on_host: Some(device.source.clone()),
        path_in_container: Some(device.target.clone()),
        cgroup_permissions: text(&device.permissions),
    }
}

fn request(request: &model::DeviceRequest) -> DeviceRequest {
    DeviceRequest {
        driver: text(&request.driver),
        count: number(request.count),
        device_ids: list(&request.device_ids),
        capabilities: Some(vec![request.capabilities.clone()]),
        options: map(&request.options),
    }
}

fn gpu(gpu: &model::DeviceRequest) -> DeviceRequest {
    let mut capabilities = gpu.capabilities.clone();
    capabilities.push("gpu".to_owned());
    DeviceRequest { capabilities: Some(vec![capabilities]), ..request(gpu) }
}

/// Whether a device is a name of the Container Device Interface: `VENDOR/CLASS=NAME`.
fn is_cdi(source: &str, target: &str) -> bool {
    let named = |text: &str, more: &str| {
        text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
    };
    let parts = source.split_once('=').and_then(|(kind, name)| Some((kind.split_once('/')?, name)));
    source == target
        && parts.is_some_and(|((vendor, class), name)| {
            named(vendor, "-_.") && named(class, "-_") && named(name, "-_.:")
        })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::resources;

    fn of(yaml: &str) -> Value {
        let service = serde_yaml::from_str(yaml).expect("a canonical service");
        serde_json::to_value(resources(&service)).unwrap()
    }

    #[test]
    fn a_service_without_limits_has_none() {
        assert_eq!(of("{}"), json!({}));
    }

    #[test]
    fn every_limit_of_a_service_is_sent() {
        let body = of("{cgroup_parent: p, mem_limit: 1024, memswap_limit: -1, mem_swappiness: 10,
            mem_reservation: 512, oom_kill_disable: true, cpu_count: 2, cpu_period: 3, cpu_quota: 4,
            cpu_rt_period: 5, cpu_rt_runtime: 6, cpu_shares: 7, cpus: 0.1, cpu_percent: 12.5,
            cpuset: 0-1, device_cgroup_rules: [c 1:3 mr], pids_limit: -1,
            ulimits: {nofile: {soft: 1, hard: 2}, nproc: {single: 3}},
            blkio_config: {weight: 300, weight_device: [{path: /dev/a, weight: 400}],
                device_read_bps: [{path: /dev/a, rate: 1}], device_read_iops: [{path: /dev/a, rate: 2}],
                device_write_bps: [{path: /dev/a, rate: 3}], device_write_iops: [{path: /dev/a, rate: 4}]}}");
        assert_eq!(
            body,
            json!({
                "CgroupParent": "p", "Memory": 1024, "MemorySwap": -1, "MemorySwappiness": 10,
                "MemoryReservation": 512, "OomKillDisable": true, "CpuCount": 2, "CpuPeriod": 3,
                "CpuQuota": 4, "CpuRealtimePeriod": 5, "CpuRealtimeRuntime": 6, "CpuShares": 7,
                "NanoCpus": 100_000_000, "CpuPercent": 1250, "CpusetCpus": "0-1",
                "DeviceCgroupRules": ["c 1:3 mr"], "PidsLimit": -1,
                "Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": 2},
                            {"Name": "nproc", "Soft": 3, "Hard": 3}],
                "BlkioWeight": 300, "BlkioWeightDevice": [{"Path": "/dev/a", "Weight": 400}],
                "BlkioDeviceReadBps": [{"Path": "/dev/a", "Rate": 1}],
                "BlkioDeviceReadIOps": [{"Path": "/dev/a", "Rate": 2}],
                "BlkioDeviceWriteBps": [{"Path": "/dev/a", "Rate": 3}],
                "BlkioDeviceWriteIOps": [{"Path": "/dev/a", "Rate": 4}],
            })
        );
    }

    #[test]
    fn deploy_wins_over_the_service() {
        let body =
            of("{mem_limit: 1, cpus: 1, pids_limit: 1, mem_reservation: 1, deploy: {resources: {
            limits: {cpus: 0.5, memory: 20, pids: 30}, reservations: {cpus: 9, memory: 40}}}}");
        assert_eq!(
            body,
            json!({"Memory": 20, "NanoCpus": 500_000_000, "PidsLimit": 30, "MemoryReservation": 40})
        );
    }

    #[test]
    fn devices_are_mapped_named_or_requested() {
        let body = of("{devices: [{source: /dev/a, target: /dev/b, permissions: rw},
                {source: vendor.com/gpu=all, target: vendor.com/gpu=all}],
            gpus: [{count: -1}, {driver: nvidia, device_ids: ['1'], capabilities: [utility]}],
            deploy: {resources: {reservations: {devices: [{capabilities: [tpu], count: 2,
                options: {a: b}}]}}}}");
        assert_eq!(
            body,
            json!({
                "Devices": [{"PathOnHost": "/dev/a", "PathInContainer": "/dev/b",
                             "CgroupPermissions": "rw"}],
                "DeviceRequests": [
                    {"Count": 2, "Capabilities": [["tpu"]], "Options": {"a": "b"}},
                    {"Driver": "cdi", "DeviceIDs": ["vendor.com/gpu=all"]},
                    {"Count": -1, "Capabilities": [["gpu"]]},
                    {"Driver": "nvidia", "DeviceIDs": ["1"], "Capabilities": [["utility", "gpu"]]},
                ],
            })
        );
    }
}
