//! `ketch port`: shows the address at which a port is published.
//!
//! In: a service and a port of it. Out: `ADDRESS:PORT`.

use super::args::PortArgs;
use super::engine::{Engine, Sight, one_container};
use super::exit::Failure;
use super::session::Session;
use super::usage::UsageError;
use crate::model::observed::ObservedContainer;
use crate::model::reach::address;
use crate::ui::containers::ports;

/// Shows the address of a port.
pub(super) async fn run(args: &PortArgs, session: &mut Session<'_>) -> Result<u8, Failure> {
    let port: u16 = args.port.parse().map_err(|_| {
        UsageError::Other(format!("`{}` is not a port: use a number up to 65535", args.port))
    })?;
    let sight = Sight::find(session)?;
    sight.named(std::slice::from_ref(&args.service))?;
    let engine = Engine::connect(session).await?;
    let mut containers = engine.containers(Some(&sight.name)).await?;
    containers.retain(ObservedContainer::is_up);
    let index = args.index.filter(|index| *index > 0);
    let container = one_container(&containers, &args.service, index)?;
    let text = published(container, port, &args.protocol).ok_or_else(|| {
        let protocol = &args.protocol;
        let known = ports(&container.ports);
        Failure::Other(format!(
            "no port {port}/{protocol} for container {}: {known}",
            container.name
        ))
    })?;
    engine.session.screen.data(&format!("{text}\n"))?;
    Ok(0)
}

/// Where a port is published; IPv4 comes first.
fn published(container: &ObservedContainer, port: u16, protocol: &str) -> Option<String> {
    let mut found: Vec<(&str, u16)> = container
        .ports
        .iter()
        .filter(|it| it.target == port && it.protocol.eq_ignore_ascii_case(protocol))
        .filter_map(|it| Some((it.host_ip.as_str(), it.published?)))
        .collect();
    found.sort_by_key(|(host, _)| host.contains(':'));
    found.first().map(|(host, port)| address(host, *port))
}

#[cfg(test)]
mod tests {
    use super::published;
    use crate::model::observed::{ObservedContainer, ObservedPort};

    #[test]
    fn what_is_published_has_an_address() {
        let port = |host: &str, published, target, protocol: &str| ObservedPort {
            host_ip: host.to_owned(),
            published,
            target,
            protocol: protocol.to_owned(),
        };
        let ports = vec![
            port("", None, 7000, "tcp"),
            port("::", Some(32_768), 80, "tcp"),
            port("0.0.0.0", Some(32_768), 80, "tcp"),
            port("::1", Some(53), 53, "udp"),
        ];
        let container = ObservedContainer { ports, ..ObservedContainer::default() };
        assert_eq!(published(&container, 80, "tcp").as_deref(), Some("0.0.0.0:32768"));
        assert_eq!(published(&container, 53, "UDP").as_deref(), Some("[::1]:53"));
        assert_eq!(published(&container, 80, "udp"), None);
        assert_eq!(published(&container, 7000, "tcp"), None);
    }
}
