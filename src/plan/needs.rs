//! What a project needs that not every runtime has.
//!
//! In: a project. Out: features, each with the path of the value that asks for it. The command
//! compares them with what the runtime lacks, before anything runs.

use super::subnets;
use crate::model::{Feature, Mount, Project, Service, ServiceNetwork};

/// A probe from outside.
const PROBE: &str = "x-ketch-probe";

/// A feature and the path of the value that asks for it.
pub type Need = (Feature, String);

/// All that the enabled services and their networks need.
pub fn needs(project: &Project) -> Vec<Need> {
    let mut needs = Vec::new();
    for (name, service) in &project.services {
        let path = format!("services.{name}");
        of_service(&path, service, &mut needs);
    }
    let addresses = subnets::fixed_addresses(project).map(|(path, _)| path);
    needs.extend(addresses.map(|path| (Feature::SharedSubnets, path)));
    for (key, network) in &project.networks {
        let path = format!("networks.{key}");
        let asked = [
            (!["", "bridge", "default"].contains(&&*network.driver), "driver"),
            (!["", "default"].contains(&&*network.ipam.driver), "ipam.driver"),
        ];
        add(
            &path,
            asked.map(|(is_asked, name)| (is_asked, Feature::NetworkDriver, name)),
            &mut needs,
        );
        if network.enable_ipv4 == Some(false) {
            needs.push((Feature::DisableIpv4, format!("networks.{key}.enable_ipv4")));
        }
    }
    for (key, volume) in &project.volumes {
        let is_usual = ["", "local"].contains(&&*volume.driver);
        add(&format!("volumes.{key}"), [(!is_usual, Feature::VolumeDriver, "driver")], &mut needs);
    }
    needs
}

fn of_service(path: &str, service: &Service, needs: &mut Vec<Need>) {
    let start_interval = service.healthcheck.as_ref().and_then(|check| check.start_interval);
    if start_interval.is_some() {
        needs.push((Feature::HealthStartInterval, format!("{path}.healthcheck.start_interval")));
    }
    if !service.annotations.is_empty() {
        needs.push((Feature::Annotations, format!("{path}.annotations")));
    }
    if is_local(&service.image) {
        needs.push((Feature::LocalImage, format!("{path}.image")));
    }
    of_kernel(path, service, needs);
    of_surroundings(path, service, needs);
    for (index, mount) in service.volumes.iter().enumerate() {
        of_mount(&format!("{path}.volumes.{index}"), mount, needs);
    }
    for (key, endpoint) in &service.networks {
        if let Some(endpoint) = endpoint {
            of_endpoint(&format!("{path}.networks.{key}"), endpoint, needs);
        }
    }
}

/// Whether an image is a directory or an archive. `oci:1` is a name with a tag, but no tag has a
/// slash.
fn is_local(image: &str) -> bool {
    let rest =
        ["rootfs:", "oci:", "docker-archive:"].iter().find_map(|kind| image.strip_prefix(kind));
    rest.is_some_and(|rest| rest.contains('/'))
}

/// What not every kernel can limit.
fn of_kernel(path: &str, service: &Service, needs: &mut Vec<Need>) {
    let asked = [
        (service.cpu_count != 0, Feature::WindowsCpu, "cpu_count"),
        (service.cpu_percent != 0.0, Feature::WindowsCpu, "cpu_percent"),
        (service.mem_swappiness.0 > 0, Feature::Swappiness, "mem_swappiness"),
        (service.oom_kill_disable, Feature::OomKillDisable, "oom_kill_disable"),
        (service.cpu_rt_runtime != 0, Feature::RealTimeCpu, "cpu_rt_runtime"),
        (service.cpu_rt_period != 0, Feature::RealTimeCpu, "cpu_rt_period"),
        (service.memswap_limit.0 != 0, Feature::SwapLimit, "memswap_limit"),
    ];
    add(path, asked, needs);
    let Some(blkio) = &service.blkio_config else { return };
    let asked = [
        (blkio.weight != 0, Feature::BlockWeight, "blkio_config.weight"),
        (!blkio.weight_device.is_empty(), Feature::BlockWeight, "blkio_config.weight_device"),
    ];
    add(path, asked, needs);
}

/// What belongs to an engine rather than to containers.
fn of_surroundings(path: &str, service: &Service, needs: &mut Vec<Need>) {
    let usual_runtime = ["", "runc", "io.containerd.runc.v2"].contains(&service.runtime.as_str());
    let usual_isolation = ["", "default"].contains(&service.isolation.as_str());
    let usual_users = ["", "host"].contains(&service.userns_mode.as_str());
    let log = service.logging.as_ref().map_or("", |logging| logging.driver.as_str());
    let is_file_log = ["", "json-file", "local", "none"].contains(&log);
    let reserved =
        service.deploy.as_ref().and_then(|deploy| deploy.resources.reservations.as_ref());
    let devices = "deploy.resources.reservations.devices";
    let asked = [
        (!service.gpus.is_empty(), Feature::DeviceRequests, "gpus"),
        (reserved.is_some_and(|it| !it.devices.is_empty()), Feature::DeviceRequests, devices),
        (!usual_runtime, Feature::OciRuntime, "runtime"),
        (!service.storage_opt.is_empty(), Feature::StorageOptions, "storage_opt"),
        (!usual_isolation, Feature::Isolation, "isolation"),
        (!usual_users, Feature::UserNamespaceMode, "userns_mode"),
        (service.use_api_socket, Feature::ApiSocket, "use_api_socket"),
        (service.extensions.contains_key(PROBE), Feature::OutsideProbe, PROBE),
        (!is_file_log, Feature::LoggingDriver, "logging.driver"),
    ];
    add(path, asked, needs);
    for (index, device) in service.devices.iter().enumerate() {
        if !device.source.starts_with('/') && device.source.contains('=') {
            needs.push((Feature::DeviceRequests, format!("{path}.devices.{index}")));
        }
    }
}

/// Adds what is asked for.
fn add<const N: usize>(path: &str, asked: [(bool, Feature, &str); N], needs: &mut Vec<Need>) {
    let asked = asked.into_iter().filter(|(is_asked, ..)| *is_asked);
    needs.extend(asked.map(|(_, feature, attribute)| (feature, format!("{path}.{attribute}"))));
}

fn of_mount(path: &str, mount: &Mount, needs: &mut Vec<Need>) {
    if mount.kind == "image" {
        needs.push((Feature::ImageMount, path.to_owned()));
    }
    if ["npipe", "cluster"].contains(&mount.kind.as_str()) {
        needs.push((Feature::ForeignMount, path.to_owned()));
    }
    if mount.volume.as_ref().is_some_and(|options| !options.subpath.is_empty()) {
        needs.push((Feature::VolumeSubpath, format!("{path}.volume.subpath")));
    }
    if mount.bind.as_ref().is_some_and(|options| !options.recursive.is_empty()) {
        needs.push((Feature::RecursiveBind, format!("{path}.bind.recursive")));
    }
}

fn of_endpoint(path: &str, endpoint: &ServiceNetwork, needs: &mut Vec<Need>) {
    if endpoint.gw_priority != 0 {
        needs.push((Feature::GatewayPriority, format!("{path}.gw_priority")));
    }
    if !endpoint.interface_name.is_empty() {
        needs.push((Feature::InterfaceName, format!("{path}.interface_name")));
    }
}

#[cfg(test)]
mod tests {
    use super::needs;
    use crate::model::{Project, Service};

    #[test]
    fn what_asks_for_a_feature_is_told_by_its_path() {
        let service: Service = serde_yaml::from_str(
            "{image: x, healthcheck: {start_interval: 1000}, runtime: kata, mem_swappiness: 5,
              cpu_count: 1, gpus: [{count: 1}], devices: [{source: a.b/c=d}, {source: /dev/a=b}],
              blkio_config: {weight: 10}, userns_mode: host, isolation: default,
              volumes: [{type: image, source: a, target: /a}],
              logging: {driver: syslog}, '#extensions': {x-ketch-probe: {tcp: 80}},
              networks: {front: {gw_priority: 1}}}",
        )
        .expect("a canonical service");
        let image =
            |image: &str| Box::new(Service { image: image.to_owned(), ..Service::default() });
        let services = [
            ("web".to_owned(), Box::new(service)),
            ("host".to_owned(), image("rootfs:/")),
            ("tag".to_owned(), image("oci:1")),
        ];
        let network = |text: &str| serde_yaml::from_str(text).expect("a network");
        let networks = [
            ("front".to_owned(), network("{name: a, driver: bridge}")),
            ("far".to_owned(), network("{name: b, driver: overlay, ipam: {driver: dhcp}}")),
        ];
        let volume = serde_yaml::from_str("{name: c, driver: far}").expect("a volume");
        let project = Project {
            services: services.into(),
            networks: networks.into(),
            volumes: [("data".to_owned(), volume)].into(),
            ..Project::default()
        };
        let paths: Vec<String> = needs(&project).into_iter().map(|(_, path)| path).collect();
        assert_eq!(
            paths,
            [
                "services.host.image",
                "services.web.healthcheck.start_interval",
                "services.web.cpu_count",
                "services.web.mem_swappiness",
                "services.web.blkio_config.weight",
                "services.web.gpus",
                "services.web.runtime",
                "services.web.x-ketch-probe",
                "services.web.logging.driver",
                "services.web.devices.0",
                "services.web.volumes.0",
                "services.web.networks.front.gw_priority",
                "networks.far.driver",
                "networks.far.ipam.driver",
                "volumes.data.driver",
            ]
        );
    }
}
