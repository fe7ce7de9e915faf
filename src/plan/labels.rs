//! A project from the labels of its containers, for commands that find no files.
//!
//! In: what is observed. Out: a project whose services have names, dependencies and numbers, and
//! nothing else.

use std::collections::BTreeMap;

use crate::model::observed::{Observed, ObservedContainer};
use crate::model::{Dependency, Instance, Network, Project, Service, Volume, label};

/// The project that these containers, networks and volumes were made from.
pub fn project(name: &str, observed: &Observed) -> Project {
    let mut services: BTreeMap<String, Box<Service>> = BTreeMap::new();
    for container in observed.containers.iter().filter(|it| !it.service().is_empty()) {
        let service = services.entry(container.service().to_owned()).or_default();
        service.image.clone_from(&container.image);
        if !container.is_one_off() {
            service.scale = Some(service.scale.unwrap_or(0) + 1);
            service.depends_on = depends_on(container);
        }
    }
    let known: Vec<String> = services.keys().cloned().collect();
    for service in services.values_mut() {
        service.depends_on.retain(|dependency, _| known.contains(dependency));
    }
    Project {
        name: name.to_owned(),
        instance: instance(&observed.containers),
        services,
        networks: keyed(&observed.networks, label::NETWORK, |it| (&it.labels, &it.name))
            .map(|(key, name)| (key, Network { name, ..Network::default() }))
            .collect(),
        volumes: keyed(&observed.volumes, label::VOLUME, |it| (&it.labels, &it.name))
            .map(|(key, name)| (key, Volume { name, ..Volume::default() }))
            .collect(),
        ..Project::default()
    }
}

/// Which copy of a project these containers are.
pub fn instance(containers: &[ObservedContainer]) -> Option<Instance> {
    let label = |name: &str| {
        let mut values = containers.iter().map(|container| container.label(name));
        values.find(|value| !value.is_empty()).map(str::to_owned)
    };
    Some(Instance { name: label(label::INSTANCE)?, project: label(label::BASE_PROJECT)? })
}

fn keyed<'o, T>(
    objects: &'o [T],
    key: &'o str,
    parts: impl Fn(&'o T) -> (&'o crate::model::Dict, &'o String),
) -> impl Iterator<Item = (String, String)> {
    objects.iter().filter_map(move |object| {
        let (labels, name) = parts(object);
        Some((labels.get(key)?.clone(), name.clone()))
    })
}

/// Reads `NAME:CONDITION:RESTART`, joined with commas.
fn depends_on(container: &ObservedContainer) -> BTreeMap<String, Dependency> {
    let entries = container.label(label::DEPENDS_ON).split(',').filter(|entry| !entry.is_empty());
    entries
        .map(|entry| {
            let mut parts = entry.split(':');
            let name = parts.next().unwrap_or_default();
            let condition = parts.next().unwrap_or("service_started");
            let restart = parts.next().is_none_or(|word| word == "true");
            let condition = condition.to_owned();
            (name.to_owned(), Dependency { condition, restart, ..Dependency::default() })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::project;
    use crate::model::label;
    use crate::model::observed::{Observed, ObservedContainer};

    fn container(service: &str, depends_on: &str) -> ObservedContainer {
        let labels = [(label::SERVICE, service), (label::DEPENDS_ON, depends_on)];
        ObservedContainer {
            labels: labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            ..ObservedContainer::default()
        }
    }

    #[test]
    fn services_their_numbers_and_dependencies_are_read_from_labels() {
        let containers = vec![
            container("db", ""),
            container("web", "db:service_healthy:false,gone:service_started:true"),
            container("web", "db:service_healthy:false"),
        ];
        let observed = Observed { containers, ..Observed::default() };
        let project = project("shop", &observed);
        let web = &project.services["web"];
        assert_eq!(web.scale, Some(2));
        assert_eq!(web.depends_on.len(), 1);
        assert_eq!(web.depends_on["db"].condition, "service_healthy");
        assert!(!web.depends_on["db"].restart);
    }
}
