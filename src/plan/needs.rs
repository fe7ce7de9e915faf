//! What a project needs that not every runtime has.
//!
//! In: a project. Out: features, each with the path of the value that asks for it. The command
//! compares them with what the runtime lacks, before anything runs.

use crate::model::{Feature, Mount, Project, Service, ServiceNetwork};

/// A feature and the path of the value that asks for it.
pub type Need = (Feature, String);

/// All that the enabled services and their networks need.
pub fn needs(project: &Project) -> Vec<Need> {
    let mut needs = Vec::new();
    for (name, service) in &project.services {
        let path = format!("services.{name}");
        of_service(&path, service, &mut needs);
    }
    for (key, network) in &project.networks {
        if network.enable_ipv4 == Some(false) {
            needs.push((Feature::DisableIpv4, format!("networks.{key}.enable_ipv4")));
        }
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
    for (index, mount) in service.volumes.iter().enumerate() {
        of_mount(&format!("{path}.volumes.{index}"), mount, needs);
    }
    for (key, endpoint) in &service.networks {
        if let Some(endpoint) = endpoint {
            of_endpoint(&format!("{path}.networks.{key}"), endpoint, needs);
        }
    }
}

fn of_mount(path: &str, mount: &Mount, needs: &mut Vec<Need>) {
    if mount.kind == "image" {
        needs.push((Feature::ImageMount, path.to_owned()));
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
            "{image: x, healthcheck: {start_interval: 1000},
              volumes: [{type: image, source: a, target: /a}],
              networks: {front: {gw_priority: 1}}}",
        )
        .expect("a canonical service");
        let project =
            Project { services: [("web".to_owned(), service)].into(), ..Project::default() };
        let paths: Vec<String> = needs(&project).into_iter().map(|(_, path)| path).collect();
        assert_eq!(
            paths,
            [
                "services.web.healthcheck.start_interval",
                "services.web.volumes.0",
                "services.web.networks.front.gw_priority",
            ]
        );
    }
}
