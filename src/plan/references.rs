//! References of a service to other services: whose namespaces and volumes it shares.
//!
//! In: `network_mode: service:db`. Out: `network_mode: container:shop-db-1`.

use std::collections::BTreeSet;

use crate::model::Service;

const SERVICE: &str = "service:";
const CONTAINER: &str = "container:";

/// The services whose namespaces or volumes this one shares.
pub(super) fn shared_services(settings: &Service) -> BTreeSet<&str> {
    let modes = [&settings.network_mode, &settings.ipc, &settings.pid];
    let namespaces = modes.into_iter().filter_map(|mode| mode.strip_prefix(SERVICE));
    let volumes = settings.volumes_from.iter().filter_map(|from| volumes_of(from));
    namespaces.chain(volumes).collect()
}

/// The service in `SERVICE[:ro]`; `None` for `container:NAME`.
fn volumes_of(from: &str) -> Option<&str> {
    let name = from.split(':').next().unwrap_or(from);
    (name != "container").then_some(name)
}

/// The service with other services named as containers. `container` gives the name of a service's
/// first container; a service that has none stays as it is written.
pub(super) fn resolve<'n>(
    settings: &Service,
    container: impl Fn(&str) -> Option<&'n str>,
) -> Service {
    let mut settings = settings.clone();
    for mode in [&mut settings.network_mode, &mut settings.ipc, &mut settings.pid] {
        if let Some(found) = mode.strip_prefix(SERVICE).and_then(&container) {
            *mode = format!("{CONTAINER}{found}");
        }
    }
    for from in &mut settings.volumes_from {
        let Some(service) = volumes_of(from) else { continue };
        if let Some(found) = container(service) {
            *from = format!("{CONTAINER}{found}{}", &from[service.len()..]);
        }
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::{resolve, shared_services};
    use crate::model::Service;

    #[test]
    fn services_are_named_as_containers() {
        let settings = Service {
            network_mode: "service:db".to_owned(),
            pid: "host".to_owned(),
            volumes_from: ["data:ro", "container:old:ro", "gone"].map(str::to_owned).to_vec(),
            ..Service::default()
        };
        assert_eq!(
            shared_services(&settings).into_iter().collect::<Vec<_>>(),
            ["data", "db", "gone"]
        );
        let resolved = resolve(&settings, |service| match service {
            "db" => Some("shop-db-1"),
            "data" => Some("shop-data-1"),
            _ => None,
        });
        assert_eq!(resolved.network_mode, "container:shop-db-1");
        assert_eq!(resolved.pid, "host");
        assert_eq!(resolved.volumes_from, ["container:shop-data-1:ro", "container:old:ro", "gone"]);
    }
}
