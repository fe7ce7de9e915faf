//! Subnets of an instance's networks, where a runtime has every subnet once.
//!
//! In: the project of an instance. Out: which fixed addresses stand in the way of other subnets,
//! and the project without fixed subnets.

use std::collections::BTreeSet;

use crate::model::Project;

/// The addresses of services in networks of an instance whose subnets are fixed: their paths, and
/// the networks. A project that is no instance has none.
pub fn fixed_addresses(project: &Project) -> impl Iterator<Item = (String, &str)> {
    let services = project.services.iter().filter(|_| project.instance.is_some());
    let endpoints = services.flat_map(|(service, settings)| {
        settings.networks.iter().map(move |(key, endpoint)| (service, key, endpoint))
    });
    endpoints.filter_map(|(service, key, endpoint)| {
        let network = project.networks.get(key)?;
        let has_subnet = network.ipam.config.iter().any(|pool| !pool.subnet.is_empty());
        let endpoint = endpoint.as_ref().filter(|_| has_subnet && !network.external)?;
        let addresses =
            [(&endpoint.ipv4_address, "ipv4_address"), (&endpoint.ipv6_address, "ipv6_address")];
        let (_, attribute) = addresses.into_iter().find(|(address, _)| !address.is_empty())?;
        Some((format!("services.{service}.networks.{key}.{attribute}"), key.as_str()))
    })
}

/// Lets the runtime choose the subnets of an instance's networks, but for those in which services
/// have fixed addresses.
pub fn release(project: &mut Project) {
    if project.instance.is_none() {
        return;
    }
    let kept: BTreeSet<String> =
        fixed_addresses(project).map(|(_, network)| network.to_owned()).collect();
    let own = project.networks.iter_mut().filter(|(_, network)| !network.external);
    own.filter(|(key, _)| !kept.contains(*key)).for_each(|(_, it)| it.ipam.config.clear());
}

#[cfg(test)]
mod tests {
    use super::{fixed_addresses, release};
    use crate::model::{Instance, Network, Project, Service};

    #[test]
    fn subnets_are_let_go_of_where_nobody_has_an_address() {
        let network: Network =
            serde_yaml::from_str("{ipam: {config: [{subnet: 10.9.0.0/16}]}}").expect("a network");
        let service: Service = serde_yaml::from_str(
            "{image: x, networks: {free: null, fixed: {ipv4_address: 10.9.0.2}}}",
        )
        .expect("a service");
        let networks = ["free", "fixed"].map(|key| (key.to_owned(), network.clone()));
        let mut project = Project {
            services: [("db".to_owned(), Box::new(service))].into(),
            networks: networks.into(),
            ..Project::default()
        };
        release(&mut project);
        assert_eq!(project.networks["free"], network, "no instance");
        assert_eq!(fixed_addresses(&project).count(), 0);
        project.instance = Some(Instance { name: "x".to_owned(), project: "p".to_owned() });
        release(&mut project);
        assert_eq!(project.networks["free"], Network::default());
        assert_eq!(project.networks["fixed"], network);
        let found: Vec<_> = fixed_addresses(&project).collect();
        assert_eq!(found, [("services.db.networks.fixed.ipv4_address".to_owned(), "fixed")]);
    }
}
