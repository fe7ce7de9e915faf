//! Which containers a command means.

use super::Engine;
use crate::cli::exit::Failure;
use crate::model::observed::ObservedContainer;
use crate::model::{Dict, label};

/// The container that `exec`, `port` and others mean: the one with this number, else the one that
/// runs with the lowest number.
pub(in crate::cli) fn one_container<'o>(
    containers: &'o [ObservedContainer],
    service: &str,
    index: Option<u64>,
) -> Result<&'o ObservedContainer, Failure> {
    let mut all: Vec<&ObservedContainer> =
        containers.iter().filter(|container| container.service() == service).collect();
    all.sort_by_key(|container| (container.is_one_off(), !container.is_up(), container.number()));
    let mut meant = all.into_iter().filter(|container| match index {
        Some(index) => container.number() == Some(index),
        None => true,
    });
    meant.next().ok_or_else(|| Failure::NotRunning { service: service.to_owned(), index })
}

impl Engine<'_, '_> {
    /// The container of a service that runs and has this number; 0: the lowest that runs.
    pub(in crate::cli) async fn running(
        &self,
        project: &str,
        service: &str,
        index: u64,
    ) -> Result<ObservedContainer, Failure> {
        let mut containers = self.containers(Some(project)).await?;
        containers.retain(ObservedContainer::is_up);
        one_container(&containers, service, (index > 0).then_some(index)).cloned()
    }
}

/// The name that the lines of a container get: without the project's where that goes without
/// saying.
pub(in crate::cli) fn short_name<'c>(name: &'c str, labels: &Dict) -> &'c str {
    let label = |name| labels.get(name).map_or("", String::as_str);
    let own = name.strip_prefix(label(label::PROJECT)).and_then(|name| name.get(1..));
    let is_made = |own: &&str| {
        let rest = own.strip_prefix(label(label::SERVICE)).and_then(|rest| rest.get(1..));
        rest == Some(label(label::CONTAINER_NUMBER))
    };
    own.filter(is_made).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::short_name;
    use crate::model::label;

    #[test]
    fn names_that_were_made_lose_their_project() {
        let labels =
            [(label::PROJECT, "p"), (label::SERVICE, "web"), (label::CONTAINER_NUMBER, "2")];
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        assert_eq!(short_name("p-web-2", &labels), "web-2");
        assert_eq!(short_name("p_web_2", &labels), "web_2");
        assert_eq!(short_name("p-web-20", &labels), "p-web-20");
        assert_eq!(short_name("p-own", &labels), "p-own");
        assert_eq!(short_name("own", &labels), "own");
        assert_eq!(short_name("pé", &labels), "pé");
    }
}
