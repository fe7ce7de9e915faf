//! Networks, and how containers join them.
//!
//! In: specs and names. Out: requests. What is there already, or gone already, is no error.
//!
//! # Invariants
//!
//! - Names are compared here: engines also find networks by the beginning of an id.

use bollard::ClientVersion;
use bollard::models::{
    EndpointIpamConfig, EndpointSettings, Ipam, IpamConfig, Network, NetworkConnectRequest,
    NetworkCreateRequest, NetworkDisconnectRequest,
};
use serde_json::{Map, json};

use super::{Docker, body};
use crate::model::observed::ObservedNetwork;
use crate::model::spec::NetworkSpec;
use crate::model::{self, Dict, ServiceNetwork, label};
use crate::runtime::{Result, RuntimeError};

/// The option of an endpoint that names its interface.
const INTERFACE: &str = "com.docker.network.endpoint.ifname";
/// From this version of the API on no two networks have one name.
const UNIQUE_NAMES: ClientVersion = ClientVersion { major_version: 1, minor_version: 44 };

impl Docker {
    pub(super) async fn network_named(&self, name: &str) -> Result<Option<ObservedNetwork>> {
        let all = self.client.list_networks(None).await.map_err(|error| self.failure(error))?;
        only(name, all.into_iter().map(observed))
    }

    pub(super) async fn make_network(&self, network: &NetworkSpec) -> Result<()> {
        // From UNIQUE_NAMES on this is how it is.
        let unique = Map::from_iter([("CheckDuplicate".to_owned(), json!(true))]);
        let client = body::sending(&self.patient, &body::extended(&request(network), unique));
        match client.create_network(NetworkCreateRequest::default()).await {
            Ok(made) => self.give_way(network, &made.id).await,
            Err(error) => match self.failure(error) {
                conflict @ RuntimeError::Conflict(_) => {
                    let found = self.network_named(&network.network.name).await?;
                    found.map(|_| ()).ok_or(conflict)
                }
                other => Err(other),
            },
        }
    }

    /// Removes a network again if the project has one of this name already: before API 1.44 engines
    /// look for the name first, and the request of a command that was killed may still be under way.
    async fn give_way(&self, spec: &NetworkSpec, id: &str) -> Result<()> {
        if self.api >= UNIQUE_NAMES {
            return Ok(());
        }
        let all = self.client.list_networks(None).await.map_err(|error| self.failure(error))?;
        let same = |other: &ObservedNetwork| {
            other.name == spec.network.name
                && other.id != id
                && other.labels.get(label::PROJECT) == spec.labels.get(label::PROJECT)
        };
        if all.into_iter().map(observed).any(|other| same(&other)) {
            self.delete_network(id).await?;
        }
        Ok(())
    }

    pub(super) async fn delete_network(&self, network: &str) -> Result<()> {
        let done = self.patient.remove_network(network).await;
        match done.map_err(|error| self.failure(error)) {
            Err(RuntimeError::NotFound(_)) => Ok(()),
            done => done,
        }
    }

    pub(super) async fn join_network(
        &self,
        network: &str,
        container: &str,
        options: &ServiceNetwork,
    ) -> Result<()> {
        let request = NetworkConnectRequest {
            container: container.to_owned(),
            endpoint_config: Some(endpoint(options, &[])),
        };
        let done = self.patient.connect_network(network, request).await;
        match done.map_err(|error| self.failure(error)) {
            Err(error) if error.to_string().contains("already exists in network") => Ok(()),
            Err(error) if error.to_string().contains("already attached to network") => Ok(()),
            Err(error) if error.to_string().contains("is already connected to network") => Ok(()),
            done => done,
        }
    }

    pub(super) async fn leave_network(&self, network: &str, container: &str) -> Result<()> {
        let request =
            NetworkDisconnectRequest { container: container.to_owned(), force: Some(true) };
        let done = self.patient.disconnect_network(network, request).await;
        match done.map_err(|error| self.failure(error)) {
            Err(RuntimeError::NotFound(_)) => Ok(()),
            Err(error) if error.to_string().contains("is not connected to") => Ok(()),
            done => done,
        }
    }
}

/// A network of a list.
pub(super) fn observed(network: Network) -> ObservedNetwork {
    ObservedNetwork {
        id: network.id.unwrap_or_default(),
        name: network.name.unwrap_or_default(),
        driver: network.driver.unwrap_or_default(),
        labels: network.labels.unwrap_or_default().into_iter().collect(),
    }
}

/// The one network that has this name, or else this id.
fn only(name: &str, all: impl Iterator<Item = ObservedNetwork>) -> Result<Option<ObservedNetwork>> {
    let mut fitting: Vec<_> = all.filter(|found| found.name == name || found.id == name).collect();
    if fitting.len() > 1 {
        return Err(RuntimeError::Conflict(format!(
            "there are {} networks with the name `{name}`; put the id of one in its place",
            fitting.len()
        )));
    }
    Ok(fitting.pop())
}

fn request(spec: &NetworkSpec) -> NetworkCreateRequest {
    let network = &spec.network;
    NetworkCreateRequest {
        name: network.name.clone(),
        driver: text(&network.driver),
        options: map(&network.driver_opts),
        ipam: ipam(&network.ipam),
        internal: Some(network.internal),
        attachable: Some(network.attachable),
        enable_ipv4: network.enable_ipv4,
        enable_ipv6: network.enable_ipv6,
        labels: map(&spec.labels),
        ..NetworkCreateRequest::default()
    }
}

fn ipam(ipam: &model::Ipam) -> Option<Ipam> {
    let pool = |pool: &model::IpamPool| IpamConfig {
        subnet: text(&pool.subnet),
        ip_range: text(&pool.ip_range),
        gateway: text(&pool.gateway),
        auxiliary_addresses: map(&pool.aux_addresses),
    };
    let pools: Vec<_> = ipam.config.iter().map(pool).collect();
    let wanted = !ipam.driver.is_empty() || !pools.is_empty() || !ipam.options.is_empty();
    wanted.then(|| Ipam {
        driver: text(&ipam.driver),
        config: Some(pools).filter(|pools| !pools.is_empty()),
        options: map(&ipam.options),
    })
}

/// How a container stands in a network.
pub(super) fn endpoint(options: &ServiceNetwork, links: &[String]) -> EndpointSettings {
    let mut driver_opts = options.driver_opts.clone();
    if !options.interface_name.is_empty() {
        driver_opts.insert(INTERFACE.to_owned(), options.interface_name.clone());
    }
    let addressed = !options.ipv4_address.is_empty()
        || !options.ipv6_address.is_empty()
        || !options.link_local_ips.is_empty();
    EndpointSettings {
        aliases: list(&options.aliases),
        links: list(links),
        ipam_config: addressed.then(|| EndpointIpamConfig {
            ipv4_address: text(&options.ipv4_address),
            ipv6_address: text(&options.ipv6_address),
            link_local_ips: list(&options.link_local_ips),
        }),
        mac_address: text(&options.mac_address),
        driver_opts: map(&driver_opts),
        gw_priority: Some(options.gw_priority).filter(|priority| *priority != 0),
        ..EndpointSettings::default()
    }
}

/// Text, unless it is empty.
pub(super) fn text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// A list, unless it is empty.
pub(super) fn list<T: Clone>(list: &[T]) -> Option<Vec<T>> {
    (!list.is_empty()).then(|| list.to_vec())
}

/// A mapping, unless it is empty.
pub(super) fn map(map: &Dict) -> Option<std::collections::HashMap<String, String>> {
    (!map.is_empty()).then(|| map.clone().into_iter().collect())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{ObservedNetwork, endpoint, only, request};
    use crate::model::spec::NetworkSpec;
    use crate::model::{Network, ServiceNetwork};

    fn named(id: &str, name: &str) -> ObservedNetwork {
        ObservedNetwork { id: id.to_owned(), name: name.to_owned(), ..Default::default() }
    }

    #[test]
    fn networks_are_found_by_their_very_name_or_id() {
        let all = || [named("12", "db"), named("34", "db-2"), named("56", "x"), named("78", "x")];
        let found = |name| only(name, all().into_iter()).map(|found| found.map(|found| found.id));
        assert_eq!(found("db").unwrap().as_deref(), Some("12"));
        assert_eq!(found("34").unwrap().as_deref(), Some("34"));
        assert_eq!(found("3").unwrap(), None);
        assert_eq!(
            found("x").unwrap_err().to_string(),
            "there are 2 networks with the name `x`; put the id of one in its place"
        );
    }

    #[test]
    fn a_network_has_all_its_attributes() {
        let network: Network = serde_yaml::from_str(
            "{name: n, driver: bridge, driver_opts: {a: b}, internal: true, attachable: true,
              enable_ipv6: true, ipam: {driver: default, options: {x: y}, config: [
                {subnet: 10.9.0.0/16, ip_range: 10.9.1.0/24, gateway: 10.9.0.1,
                 aux_addresses: {h: 10.9.0.5}}]}}",
        )
        .unwrap();
        let spec = NetworkSpec { network, labels: [("l".to_owned(), "1".to_owned())].into() };
        let body: Value = serde_json::to_value(request(&spec)).unwrap();
        assert_eq!(
            body,
            json!({
                "Name": "n", "Driver": "bridge", "Options": {"a": "b"}, "Internal": true,
                "Attachable": true, "EnableIPv6": true, "Labels": {"l": "1"},
                "IPAM": {"Driver": "default", "Options": {"x": "y"}, "Config": [{
                    "Subnet": "10.9.0.0/16", "IPRange": "10.9.1.0/24", "Gateway": "10.9.0.1",
                    "AuxiliaryAddresses": {"h": "10.9.0.5"}}]},
            })
        );
        let plain = NetworkSpec::default();
        assert_eq!(
            serde_json::to_value(request(&plain)).unwrap(),
            json!({"Name": "", "Internal": false, "Attachable": false})
        );
    }

    #[test]
    fn an_endpoint_has_all_its_attributes() {
        let options: ServiceNetwork = serde_yaml::from_str(
            "{aliases: [a], driver_opts: {o: p}, gw_priority: 5, interface_name: eth9,
              ipv4_address: 10.9.0.7, ipv6_address: 'fd::7', link_local_ips: [169.254.1.1],
              mac_address: '02:42:0a:09:00:07', priority: 3}",
        )
        .unwrap();
        assert_eq!(
            serde_json::to_value(endpoint(&options, &["db:alias".to_owned()])).unwrap(),
            json!({
                "Aliases": ["a"], "Links": ["db:alias"], "GwPriority": 5,
                "DriverOpts": {"o": "p", "com.docker.network.endpoint.ifname": "eth9"},
                "MacAddress": "02:42:0a:09:00:07",
                "IPAMConfig": {"IPv4Address": "10.9.0.7", "IPv6Address": "fd::7",
                               "LinkLocalIPs": ["169.254.1.1"]},
            })
        );
        assert_eq!(
            serde_json::to_value(endpoint(&ServiceNetwork::default(), &[])).unwrap(),
            json!({})
        );
    }
}
