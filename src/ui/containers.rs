//! `ps` and `port`: containers and their ports.
//!
//! In: [`ObservedContainer`]s. Out: a [`Listing`], and addresses.

use serde_json::{Value, json};

use super::listing::{Columns, Listing, Row, Truncation, ellipsis, labels, short_id};
use super::{size, time};
use crate::model::label;
use crate::model::observed::{Health, ObservedContainer, ObservedMount, ObservedPort, State};
use crate::model::reach::address;

const COLUMNS: Columns = &[
    ("Name", "NAME"),
    ("Image", "IMAGE"),
    ("Command", "COMMAND"),
    ("Service", "SERVICE"),
    ("RunningFor", "CREATED"),
    ("Status", "STATUS"),
    ("Ports", "PORTS"),
];
const MORE: Columns = &[
    ("CreatedAt", "CREATED AT"),
    ("ExitCode", "EXIT CODE"),
    ("Health", "HEALTH"),
    ("ID", "CONTAINER ID"),
    ("Labels", "LABELS"),
    ("LocalVolumes", "LOCAL VOLUMES"),
    ("Mounts", "MOUNTS"),
    ("Names", "NAMES"),
    ("Networks", "NETWORKS"),
    ("Project", "PROJECT"),
    ("Publishers", "PUBLISHERS"),
    ("Size", "SIZE"),
    ("State", "STATE"),
];
/// What `--format raw` stands for.
const RAW: &str = "container_id: {{.ID}}
image: {{.Image}}
command: {{.Command}}
created_at: {{.CreatedAt}}
state: {{- pad .State 1 0}}
status: {{- pad .Status 1 0}}
names: {{.Names}}
labels: {{- pad .Labels 1 0}}
ports: {{- pad .Ports 1 0}}
";
/// Characters of a command and of a mount that are shown.
const COMMAND: usize = 20;
const MOUNT: usize = 15;

/// What `ps` prints of containers; `now` in seconds since 1970.
pub fn listing(containers: &[&ObservedContainer], now: i64, truncation: Truncation) -> Listing {
    let rows = containers.iter().map(|container| row(container, now, truncation)).collect();
    Listing { rows, columns: COLUMNS, more: MORE, raw: RAW }
}

fn row(container: &ObservedContainer, now: i64, truncation: Truncation) -> Row {
    let command = match truncation {
        Truncation::Short => ellipsis(&container.command, COMMAND),
        Truncation::Full => container.command.clone(),
    };
    let mount = |mount: &ObservedMount| mount_name(mount, truncation);
    let mounts: Vec<String> = container.mounts.iter().map(mount).collect();
    let volumes = container.mounts.iter().filter(|mount| mount.kind == "volume").count();
    let networks: Vec<&str> = container.networks.iter().map(|at| at.network.as_str()).collect();
    let exit_code = if container.state == State::Exited { container.exit_code } else { 0 };
    let fields: [(&'static str, Value); 20] = [
        // Go quotes the command, and escapes what it has to.
        ("Command", json!(format!("{command:?}"))),
        ("CreatedAt", json!(time::full(container.created))),
        ("ExitCode", json!(exit_code)),
        ("Health", json!(health(container.health))),
        ("ID", json!(short_id(&container.id, truncation))),
        ("Image", json!(container.image)),
        ("Labels", json!(labels(&container.labels))),
        ("LocalVolumes", json!(volumes.to_string())),
        ("Mounts", json!(mounts.join(","))),
        ("Name", json!(container.name)),
        ("Names", json!(container.name)),
        ("Networks", json!(networks.join(","))),
        ("Ports", json!(ports(&container.ports))),
        ("Project", json!(container.label(label::PROJECT))),
        ("Publishers", publishers(&container.ports)),
        ("RunningFor", json!(ago(container.created, now))),
        ("Service", json!(container.service())),
        // The engine tells sizes only if it is asked for them, and `ps` does not ask.
        ("Size", json!("0B")),
        ("State", json!(container.state.word())),
        ("Status", json!(container.status)),
    ];
    Row { fields: fields.into_iter().collect(), labels: container.labels.clone() }
}

fn mount_name(mount: &ObservedMount, truncation: Truncation) -> String {
    let name = if mount.name.is_empty() { &mount.source } else { &mount.name };
    match truncation {
        Truncation::Short => ellipsis(name, MOUNT),
        Truncation::Full => name.clone(),
    }
}

fn health(health: Health) -> &'static str {
    match health {
        Health::None => "",
        Health::Starting => "starting",
        Health::Healthy => "healthy",
        Health::Unhealthy => "unhealthy",
    }
}

/// `5 minutes ago`, from seconds since 1970.
pub fn ago(moment: i64, now: i64) -> String {
    let seconds = u64::try_from(now.saturating_sub(moment)).unwrap_or(0);
    format!("{} ago", size::words(std::time::Duration::from_secs(seconds)))
}

fn publishers(ports: &[ObservedPort]) -> Value {
    let mut ports: Vec<&ObservedPort> = ports.iter().collect();
    ports.sort_by_key(|port| port.published.is_none());
    let publisher = |port: &ObservedPort| {
        json!({
            "URL": port.host_ip,
            "TargetPort": port.target,
            "PublishedPort": port.published.unwrap_or(0),
            "Protocol": port.protocol,
        })
    };
    ports.into_iter().map(publisher).collect()
}

/// Ports that follow each other, on one address with one protocol.
struct Range<'a> {
    host: &'a str,
    protocol: &'a str,
    first: u16,
    last: u16,
}

impl Range<'_> {
    fn text(&self) -> String {
        let Self { host, protocol, first, last } = self;
        let ports = if first == last { first.to_string() } else { format!("{first}-{last}") };
        match *host {
            "" => format!("{ports}/{protocol}"),
            host if host.contains(':') => format!("[{host}]:{ports}->{ports}/{protocol}"),
            host => format!("{host}:{ports}->{ports}/{protocol}"),
        }
    }
}

/// Ports as Docker prints them: neighbours as one range if they have the same number outside,
/// then those with another one.
pub fn ports(ports: &[ObservedPort]) -> String {
    let mut sorted: Vec<&ObservedPort> = ports.iter().collect();
    sorted.sort_by_key(|port| (port.target, &port.host_ip, port.published, &port.protocol));
    let (mut open, mut closed, mut mapped) = (Vec::<Range<'_>>::new(), Vec::new(), Vec::new());
    for port in sorted {
        let published = port.published.unwrap_or(0);
        if !port.host_ip.is_empty() && published != port.target {
            let address = address(&port.host_ip, published);
            mapped.push(format!("{address}->{}/{}", port.target, port.protocol));
            continue;
        }
        let next = Range {
            host: &port.host_ip,
            protocol: &port.protocol,
            first: port.target,
            last: port.target,
        };
        let same =
            |range: &&mut Range<'_>| range.host == next.host && range.protocol == next.protocol;
        match open.iter_mut().find(same) {
            Some(range) if range.last.checked_add(1) == Some(next.last) => range.last = next.last,
            Some(range) => closed.push(std::mem::replace(range, next).text()),
            None => open.push(next),
        }
    }
    closed.extend(open.iter().map(Range::text));
    closed.extend(mapped);
    closed.join(", ")
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::{address, ago, listing, ports};
    use crate::model::label;
    use crate::model::observed::{
        Attachment, Health, ObservedContainer, ObservedMount, ObservedPort, State,
    };
    use crate::ui::listing::Truncation;
    use crate::ui::time;

    fn port(host: &str, published: u16, target: u16, protocol: &str) -> ObservedPort {
        ObservedPort {
            host_ip: host.to_owned(),
            published: (published > 0).then_some(published),
            target,
            protocol: protocol.to_owned(),
        }
    }

    fn web() -> ObservedContainer {
        let mount = |kind: &str, name: &str, source: &str| ObservedMount {
            kind: kind.to_owned(),
            name: name.to_owned(),
            source: source.to_owned(),
            target: String::new(),
        };
        let labels = [(label::PROJECT, "p"), (label::SERVICE, "web"), ("x", "y=z")];
        ObservedContainer {
            id: "0d66a5517cae2cbf174ae4b6e27aadfd63348277d60eac92eb4faca8575d528c".to_owned(),
            name: "p-web-1".to_owned(),
            image: "busybox:1".to_owned(),
            state: State::Running,
            health: Health::Healthy,
            status: "Up 2 seconds (healthy)".to_owned(),
            command: "sh -c 'trap exit TERM; while :; do sleep 1; done'".to_owned(),
            labels: labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            networks: vec![Attachment { network: "p_default".to_owned(), id: String::new() }],
            mounts: vec![
                mount("volume", "abf5085bbaf5ff0123456789", ""),
                mount("bind", "", "/srv/x"),
            ],
            ports: vec![port("127.0.0.1", 8080, 80, "tcp"), port("", 0, 7000, "tcp")],
            ..ObservedContainer::default()
        }
    }

    fn shown(format: &str, truncation: Truncation) -> String {
        let (web, gone) = (
            web(),
            ObservedContainer {
                name: "p-job-1".to_owned(),
                command: "true".to_owned(),
                state: State::Exited,
                exit_code: 3,
                status: "Exited (3) 1 second ago".to_owned(),
                ..ObservedContainer::default()
            },
        );
        let listing = listing(&[&web, &gone], 300, truncation);
        let text = listing.format(format).unwrap_or_else(|error| error.to_string());
        text.lines().flat_map(|line| [line, "|\n"]).collect()
    }

    #[test]
    fn tables_are_those_of_docker() {
        assert_snapshot!(shown("", Truncation::Short), @r#"
        NAME      IMAGE       COMMAND                  SERVICE   CREATED         STATUS                    PORTS|
        p-web-1   busybox:1   "sh -c 'trap exit TE…"   web       5 minutes ago   Up 2 seconds (healthy)    7000/tcp, 127.0.0.1:8080->80/tcp|
        p-job-1               "true"                             5 minutes ago   Exited (3) 1 second ago   |
        "#);
        assert_snapshot!(shown("table", Truncation::Full), @r#"
        NAME      IMAGE       COMMAND                                               SERVICE   CREATED         STATUS                    PORTS|
        p-web-1   busybox:1   "sh -c 'trap exit TERM; while :; do sleep 1; done'"   web       5 minutes ago   Up 2 seconds (healthy)    7000/tcp, 127.0.0.1:8080->80/tcp|
        p-job-1               "true"                                                          5 minutes ago   Exited (3) 1 second ago   |
        "#);
        assert_snapshot!(shown("table {{.Name}}\\t{{.State}}", Truncation::Full), @"
        NAME      STATE|
        p-web-1   running|
        p-job-1   exited|
        ");
    }

    #[test]
    fn json_is_that_of_docker() {
        // The time is shown in the zone of the machine.
        let json = shown("json", Truncation::Short).replace(&time::full(0), "MOMENT");
        assert_snapshot!(json, @r#"
        {"Command":"\"sh -c 'trap exit TE…\"","CreatedAt":"MOMENT","ExitCode":0,"Health":"healthy","ID":"0d66a5517cae","Image":"busybox:1","Labels":"com.docker.compose.project=p,com.docker.compose.service=web,x=y=z","LocalVolumes":"1","Mounts":"abf5085bbaf5ff…,/srv/x","Name":"p-web-1","Names":"p-web-1","Networks":"p_default","Ports":"7000/tcp, 127.0.0.1:8080-\u003e80/tcp","Project":"p","Publishers":[{"URL":"127.0.0.1","TargetPort":80,"PublishedPort":8080,"Protocol":"tcp"},{"URL":"","TargetPort":7000,"PublishedPort":0,"Protocol":"tcp"}],"RunningFor":"5 minutes ago","Service":"web","Size":"0B","State":"running","Status":"Up 2 seconds (healthy)"}|
        {"Command":"\"true\"","CreatedAt":"MOMENT","ExitCode":3,"Health":"","ID":"","Image":"","Labels":"","LocalVolumes":"0","Mounts":"","Name":"p-job-1","Names":"p-job-1","Networks":"","Ports":"","Project":"","Publishers":[],"RunningFor":"5 minutes ago","Service":"","Size":"0B","State":"exited","Status":"Exited (3) 1 second ago"}|
        "#);
    }

    #[test]
    fn templates_see_every_field() {
        assert_snapshot!(shown("{{.Name}} {{.Label \"x\"}} {{.Publishers}}", Truncation::Short), @"
        p-web-1 y=z [{127.0.0.1 80 8080 tcp} { 7000 0 tcp}]|
        p-job-1  []|
        ");
    }

    #[test]
    fn neighbouring_ports_are_a_range() {
        let both =
            |number| [port("0.0.0.0", number, number, "tcp"), port("::", number, number, "tcp")];
        let range: Vec<_> = [100, 101, 102].into_iter().flat_map(both).collect();
        assert_eq!(ports(&range), "0.0.0.0:100-102->100-102/tcp, [::]:100-102->100-102/tcp");
        // What Docker Compose 2.40.3 printed for the same ports.
        let mixed = [
            port("127.0.0.1", 18081, 81, "tcp"),
            port("::", 18090, 90, "udp"),
            port("0.0.0.0", 18090, 90, "udp"),
            port("", 0, 7001, "tcp"),
            port("127.0.0.1", 18080, 80, "tcp"),
            port("", 0, 7000, "tcp"),
        ];
        assert_eq!(
            ports(&mixed),
            "7000-7001/tcp, 127.0.0.1:18080->80/tcp, 127.0.0.1:18081->81/tcp, \
             0.0.0.0:18090->90/udp, [::]:18090->90/udp"
        );
        let gap = [port("", 0, 1, "tcp"), port("", 0, 3, "tcp"), port("", 0, 65535, "udp")];
        assert_eq!(ports(&gap), "1/tcp, 3/tcp, 65535/udp");
        assert_eq!(ports(&[]), "");
    }

    #[test]
    fn addresses_and_ages() {
        assert_eq!([address("0.0.0.0", 80), address("::", 80)], ["0.0.0.0:80", "[::]:80"]);
        assert_eq!([ago(0, 300), ago(9, 3)], ["5 minutes ago", "Less than a second ago"]);
    }
}
