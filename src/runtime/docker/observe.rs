//! What a project has: containers, networks and volumes with its label.
//!
//! In: three lists of the engine, asked for at once. Out: [`Observed`].
//!
//! # Invariants
//!
//! - Nothing is asked about a single container: state, health and exit code stand in the list,
//!   partly in words for people.

use std::collections::HashMap;

use bollard::errors::Error;
use bollard::models::{
    ContainerSummary, ContainerSummaryStateEnum, MountPoint, PortSummary, PortSummaryTypeEnum,
};
use bollard::query_parameters::{ListContainersOptions, ListNetworksOptions, ListVolumesOptions};

use futures_util::{TryFutureExt as _, TryStreamExt as _};
use hyper::Method;
use serde_json::Value;

use super::wire::Call;
use super::{Docker, network, volume};
use crate::model::observed::{
    Attachment, Health, Observed, ObservedContainer, ObservedMount, ObservedPort, State,
};
use crate::model::{Dict, label};
use crate::runtime::Result;

impl Docker {
    pub(super) async fn list_project(&self, project: Option<&str>) -> Result<Observed> {
        let filters = filters(project);
        let networks = ListNetworksOptions { filters: Some(filters.clone()) };
        let volumes = ListVolumesOptions { filters: Some(filters.clone()) };
        let (containers, networks, volumes) = tokio::try_join!(
            self.containers_of(project),
            self.client.list_networks(Some(networks)).map_err(|error| self.failure(error)),
            self.client.list_volumes(Some(volumes)).map_err(|error| self.failure(error)),
        )?;
        let belongs = |labels: &Dict| belongs(labels, project);
        let mut observed = Observed {
            containers,
            networks: networks.into_iter().map(network::observed).collect(),
            volumes: volumes.volumes.into_iter().flatten().map(volume::observed).collect(),
            ..Observed::default()
        };
        observed.networks.retain(|found| belongs(&found.labels));
        observed.volumes.retain(|found| belongs(&found.labels));
        observed.networks.sort_by(|a, b| a.name.cmp(&b.name));
        observed.volumes.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(observed)
    }

    /// The containers of a project, or of all, by name.
    pub(super) async fn containers_of(
        &self,
        project: Option<&str>,
    ) -> Result<Vec<ObservedContainer>> {
        let found = self.list_containers(filters(project)).await?;
        let mut found: Vec<_> = found.into_iter().map(container).collect();
        found.retain(|found| belongs(&found.labels, project) && is_managed(found));
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    async fn list_containers(&self, filters: Filters) -> Result<Vec<ContainerSummary>> {
        let query = [("all", "1".to_owned()), ("filters", serde_json::json!(filters).to_string())];
        let options =
            ListContainersOptions { all: true, filters: Some(filters), ..Default::default() };
        match self.client.list_containers(Some(options)).await {
            // Podman has a state of its own, for a moment after the end of a container.
            Err(error @ Error::JsonDataError { .. }) => {
                let call = Call::new(Method::GET, "/containers/json").query(&query);
                let lists = self.wire().lines(call).await?.try_collect().await;
                let found = lists.ok().and_then(|lists: Vec<_>| summaries(lists).ok());
                found.ok_or_else(|| self.failure(error))
            }
            found => found.map_err(|error| self.failure(error)),
        }
    }
}

type Filters = HashMap<String, Vec<String>>;

/// What has the label of a project, or of any.
fn filters(project: Option<&str>) -> Filters {
    let wanted = project.map_or_else(
        || label::PROJECT.to_owned(),
        |project| format!("{}={project}", label::PROJECT),
    );
    HashMap::from([("label".to_owned(), vec![wanted])])
}

/// Containers of lists in which states may have names that the Docker API does not know.
fn summaries(lists: Vec<Value>) -> serde_json::Result<Vec<ContainerSummary>> {
    let lists: Vec<Vec<Value>> =
        lists.into_iter().map(serde_json::from_value).collect::<serde_json::Result<_>>()?;
    let items = lists.into_iter().flatten();
    let known = |mut item: Value| {
        if let Some(state) = item.get_mut("State")
            && state == "stopped"
        {
            *state = "exited".into();
        }
        serde_json::from_value(item)
    };
    items.map(known).collect()
}

/// Whether the labels are those of the project. Engines take filters more or less literally.
fn belongs(labels: &Dict, project: Option<&str>) -> bool {
    let found = labels.get(label::PROJECT);
    project.map_or(found.is_some(), |project| found.is_some_and(|found| found == project))
}

/// Whether Compose looks after a container: helpers that it runs have no hash.
fn is_managed(container: &ObservedContainer) -> bool {
    container.labels.contains_key(label::CONFIG_HASH) || container.is_one_off()
}

/// A container of the list.
fn container(summary: ContainerSummary) -> ObservedContainer {
    let status = summary.status.unwrap_or_default();
    let names = summary.names.unwrap_or_default();
    let networks = summary.network_settings.and_then(|settings| settings.networks);
    let mut networks: Vec<Attachment> = networks
        .into_iter()
        .flatten()
        .map(|(network, endpoint)| Attachment {
            network,
            id: endpoint.network_id.unwrap_or_default(),
        })
        .collect();
    networks.sort_by(|a, b| a.network.cmp(&b.network));
    let mut ports: Vec<ObservedPort> = summary.ports.into_iter().flatten().map(port).collect();
    ports.sort();
    ObservedContainer {
        id: summary.id.unwrap_or_default(),
        name: own_name(&names).to_owned(),
        image: summary.image.unwrap_or_default(),
        image_id: summary.image_id.unwrap_or_default(),
        state: state(summary.state, &status),
        health: health(&status),
        exit_code: exit_code(&status),
        command: summary.command.unwrap_or_default(),
        created: summary.created.unwrap_or_default(),
        labels: summary.labels.unwrap_or_default().into_iter().collect(),
        networks,
        mounts: summary.mounts.into_iter().flatten().map(mount).collect(),
        ports,
        status,
    }
}

/// The container's own name among those that links give it: `/web/db` is a link's.
fn own_name(names: &[String]) -> &str {
    let bare = |name: &'_ String| name.trim_start_matches('/').contains('/');
    let name = names.iter().find(|name| !bare(name)).or(names.first());
    name.map_or("", |name| name.trim_start_matches('/'))
}

fn state(state: Option<ContainerSummaryStateEnum>, status: &str) -> State {
    match state {
        // An engine may have words that are not known here, for what has not ended.
        Some(state) => State::from_word(state.as_ref()).unwrap_or(State::Running),
        None if status.starts_with("Up") => State::Running,
        None => State::Exited,
    }
}

/// What stands about health in `Up 3 minutes (healthy)`.
fn health(status: &str) -> Health {
    if status.ends_with("(healthy)") {
        Health::Healthy
    } else if status.ends_with("(unhealthy)") {
        Health::Unhealthy
    } else if status.ends_with("(health: starting)") {
        Health::Starting
    } else {
        Health::None
    }
}

/// The number in `Exited (3) 5 minutes ago` and `Restarting (1) 2 seconds ago`.
fn exit_code(status: &str) -> i64 {
    let rest = status.strip_prefix("Exited (").or(status.strip_prefix("Restarting ("));
    rest.and_then(|rest| rest.split_once(')')).and_then(|(code, _)| code.parse().ok()).unwrap_or(0)
}

fn mount(point: MountPoint) -> ObservedMount {
    ObservedMount {
        kind: point.typ.unwrap_or_default(),
        name: point.name.unwrap_or_default(),
        source: point.source.unwrap_or_default(),
        target: point.destination.unwrap_or_default(),
    }
}

fn port(port: PortSummary) -> ObservedPort {
    let protocol = port.typ.filter(|kind| *kind != PortSummaryTypeEnum::EMPTY);
    ObservedPort {
        host_ip: port.ip.unwrap_or_default(),
        published: port.public_port,
        target: port.private_port,
        protocol: protocol.map_or_else(|| "tcp".to_owned(), |kind| kind.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use bollard::models::{ContainerSummary, ContainerSummaryStateEnum};
    use serde_json::json;

    use super::{Health, State, belongs, container, exit_code, health, is_managed, summaries};
    use crate::model::Dict;

    #[test]
    fn health_is_read_from_words() {
        for (status, expected) in [
            ("Up 3 minutes", Health::None),
            ("Up 3 minutes (healthy)", Health::Healthy),
            ("Up Less than a second (health: starting)", Health::Starting),
            ("Up 2 hours (unhealthy)", Health::Unhealthy),
            ("Up 2 hours (Paused)", Health::None),
            ("Exited (0) 3 days ago", Health::None),
        ] {
            assert_eq!(health(status), expected, "{status}");
        }
    }

    #[test]
    fn exit_codes_are_read_from_words() {
        for (status, expected) in [
            ("Exited (137) 5 minutes ago", 137),
            ("Restarting (1) 2 seconds ago", 1),
            ("Exited (-1) 1 second ago", -1),
            ("Up 3 minutes", 0),
            ("Created", 0),
            ("Exited (", 0),
        ] {
            assert_eq!(exit_code(status), expected, "{status}");
        }
    }

    #[test]
    fn podmans_own_state_is_understood() {
        let list = json!([{"State": "stopped", "Labels": {"State": "stopped"}}, {"State": "dead"}]);
        let found = summaries(vec![list]).expect("understood");
        let [stopped, dead] = &found[..] else { panic!("{found:?}") };
        assert_eq!(stopped.state, Some(ContainerSummaryStateEnum::EXITED));
        assert_eq!(stopped.labels.as_ref().map(|labels| labels["State"].as_str()), Some("stopped"));
        assert_eq!(dead.state, Some(ContainerSummaryStateEnum::DEAD));
        assert!(summaries(vec![json!("no list")]).is_err());
    }

    #[test]
    fn a_container_of_the_list_is_understood() {
        let summary: ContainerSummary = serde_json::from_str(
            r#"{"Id": "1f", "Names": ["/web/db", "/shop-db-1"], "Image": "a", "ImageID": "sha256:0",
                "Command": "sh -c x", "Created": 5, "State": "running",
                "Status": "Up 3 minutes (healthy)",
                "Labels": {"com.docker.compose.service": "db"},
                "Ports": [{"PrivatePort": 53, "Type": "udp"},
                          {"IP": "::", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"}],
                "NetworkSettings": {"Networks": {"b": {"NetworkID": "2"}, "a": {"NetworkID": "1"}}},
                "Mounts": [{"Type": "volume", "Name": "v", "Source": "/s", "Destination": "/d"}]}"#,
        )
        .unwrap();
        let found = container(summary);
        assert_eq!(found.name, "shop-db-1");
        assert_eq!((found.state, found.health), (State::Running, Health::Healthy));
        assert_eq!(found.service(), "db");
        assert_eq!(found.networks[0].network, "a");
        assert_eq!(found.mounts[0].name, "v");
        assert_eq!((found.ports[0].target, found.ports[0].protocol.as_str()), (53, "udp"));
        assert_eq!(found.ports[1].published, Some(8080));
    }

    #[test]
    fn projects_are_told_apart_exactly() {
        let labels = Dict::from([("com.docker.compose.project".to_owned(), "shop".to_owned())]);
        assert!(belongs(&labels, Some("shop")) && belongs(&labels, None));
        assert!(!belongs(&labels, Some("sho")) && !belongs(&Dict::new(), None));
    }

    #[test]
    fn helpers_without_a_hash_are_not_seen() {
        let with = |name: &str, value: &str| {
            let labels = Dict::from([(format!("com.docker.compose.{name}"), value.to_owned())]);
            is_managed(&super::ObservedContainer { labels, ..Default::default() })
        };
        assert!(with("config-hash", "0") && with("oneoff", "True") && !with("oneoff", "False"));
    }
}
