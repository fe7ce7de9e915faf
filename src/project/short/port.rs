//! `ports`: `[[host address:]published:]target[/protocol]`, each port a number or a range.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use super::ShortError;

/// One published port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Address on the host; empty: all.
    pub host_ip: String,
    /// Port on the host, or a range `a-b` to choose from; empty: any.
    pub published: String,
    /// Port in the container.
    pub target: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
}

/// Reads the short form of ports. A range of container ports becomes one entry each.
///
/// The entries are in the order of their targets *as text*, so 10 comes before 9.
///
/// # Errors
///
/// If an address, a port or a protocol is malformed, or two ranges do not fit each other.
pub fn ports(text: &str) -> Result<Vec<Port>, ShortError> {
    let mut parts = text.rsplitn(3, ':');
    let (target, protocol) = split_protocol(parts.next().unwrap_or_default());
    let published = parts.next().unwrap_or_default();
    let host_ip = host_ip(parts.next().unwrap_or_default())?;

    if target.is_empty() {
        let message = format!("`{text}` names no container port");
        return Err(ShortError::new(message));
    }
    let targets = range(target).ok_or_else(|| not_a_port(target, "container"))?;
    let published = publish(published, targets.len())?;
    let protocol = read_protocol(protocol)?;
    let mut entries: Vec<Port> = targets
        .zip(published)
        .map(|(target, published)| Port {
            host_ip: host_ip.to_owned(),
            published,
            target,
            protocol: protocol.clone(),
        })
        .collect();
    entries.sort_by_cached_key(|entry| entry.target.to_string());
    Ok(entries)
}

/// Reads the host ports for a number of container ports. A single one may choose from a range.
fn publish(text: &str, count: usize) -> Result<Vec<String>, ShortError> {
    if text.is_empty() {
        return Ok(vec![String::new(); count]);
    }
    let hosts = range(text).ok_or_else(|| not_a_port(text, "host"))?;
    if count == 1 {
        return Ok(vec![show(&hosts)]);
    }
    if hosts.len() != count {
        let message = format!(
            "the host range `{text}` has {} ports, the container range {count}",
            hosts.len()
        );
        return Err(ShortError::new(message).with_hint("make both ranges equally long"));
    }
    Ok(hosts.map(|port| port.to_string()).collect())
}

/// Splits `80/udp`; only what stands before a second slash counts, and `tcp` if nothing does.
fn split_protocol(text: &str) -> (&str, &str) {
    let mut parts = text.split('/');
    let target = parts.next().unwrap_or_default();
    (target, parts.next().filter(|protocol| !protocol.is_empty()).unwrap_or("tcp"))
}

fn read_protocol(text: &str) -> Result<String, ShortError> {
    let protocol = text.to_lowercase();
    if matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Ok(protocol);
    }
    let message = format!("`{text}` is not a protocol");
    Err(ShortError::new(message).with_hint("the protocols are tcp, udp and sctp"))
}

/// Checks a host address and takes it out of its brackets.
fn host_ip(text: &str) -> Result<&str, ShortError> {
    let inside = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let address = inside.unwrap_or(text);
    let is_bare_v6 = inside.is_none() && address.contains(':');
    if !is_bare_v6 && (address.is_empty() || address.parse::<IpAddr>().is_ok()) {
        return Ok(address);
    }
    let error = ShortError::new(format!("`{text}` is not an IP address"));
    Err(if is_bare_v6 && address.parse::<IpAddr>().is_ok() {
        error.with_hint(format!("write an IPv6 address in brackets: `[{address}]`"))
    } else {
        error
    })
}

/// Reads `80` or `80-90`; anything behind a second `-` is ignored.
fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let mut ends = text.split('-');
    let start = number(ends.next()?)?;
    let end = ends.next().map_or(Some(start), number)?;
    (start <= end).then_some(start..=end)
}

/// Reads digits, and nothing but digits.
fn number(text: &str) -> Option<u16> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn show(range: &RangeInclusive<u16>) -> String {
    let (start, end) = (range.start(), range.end());
    if start == end { start.to_string() } else { format!("{start}-{end}") }
}

fn not_a_port(text: &str, side: &str) -> ShortError {
    let error = ShortError::new(format!("`{text}` is not a valid {side} port"));
    error.with_hint("a port is a number up to 65535, or a range such as `8000-8010`")
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::{any, proptest};

    use super::ports;

    fn show(text: &str) -> String {
        match ports(text) {
            Ok(ports) => {
                let all = ports.iter().map(|port| {
                    let (ip, published) = (&port.host_ip, &port.published);
                    format!("{ip}|{published}|{}/{}", port.target, port.protocol)
                });
                all.collect::<Vec<_>>().join(" ")
            }
            Err(error) => format!("error: {error}"),
        }
    }

    #[test]
    fn ports_are_read_as_in_compose() {
        for (text, expected) in [
            ("80", "||80/tcp"),
            ("8080:80", "|8080|80/tcp"),
            ("127.0.0.1::80", "127.0.0.1||80/tcp"),
            ("[::1]:80:80", "::1|80|80/tcp"),
            ("[127.0.0.1]:80:80", "127.0.0.1|80|80/tcp"),
            ("[]:80:80", "|80|80/tcp"),
            ("::80", "||80/tcp"),
            (":80", "||80/tcp"),
            ("0:80", "|0|80/tcp"),
            ("0", "||0/tcp"),
            ("008:080", "|8|80/tcp"),
            ("8080-8082:80", "|8080-8082|80/tcp"),
            ("127.0.0.1:8000-8001:80/UDP", "127.0.0.1|8000-8001|80/udp"),
            ("8080-8081:80-81", "|8080|80/tcp |8081|81/tcp"),
            ("80-80:90-90", "|80|90/tcp"),
            ("9-11", "||10/tcp ||11/tcp ||9/tcp"),
            ("80-81-82", "||80/tcp ||81/tcp"),
            ("80/", "||80/tcp"),
            ("80:80/tCp", "|80|80/tcp"),
            ("80/sctp/udp", "||80/sctp"),
        ] {
            assert_eq!(show(text), expected, "{text}");
        }
    }

    #[test]
    fn malformed_ports_are_refused() {
        for text in ["", "80:", "/80", "/tcp", "80:/tcp"] {
            assert_eq!(show(text), format!("error: `{text}` names no container port"));
        }
        for text in ["-", "80-", "-80", "80-79", "70000", "+80", "1_0", "80 ", "é"] {
            assert_eq!(show(text), format!("error: `{text}` is not a valid container port"));
            assert_eq!(
                show(&format!("{text}:80")),
                format!("error: `{text}` is not a valid host port")
            );
        }
        for text in [
            "::1",
            "[::1%eth0]",
            "[x]",
            "x",
            "1.2.3.4.5",
            "010.0.0.1",
            "[::1",
            "1.2.3.4]",
            "[:",
            "[[::1]]",
            "1:2",
            "::ffff:1.2.3.4",
        ] {
            let expected = format!("error: `{text}` is not an IP address");
            assert_eq!(show(&format!("{text}:80:80")), expected);
        }
        assert_eq!(show("80/foo"), "error: `foo` is not a protocol");
        for (text, count) in [("8080", 1), ("8080-8082", 3)] {
            let expected =
                format!("error: the host range `{text}` has {count} ports, the container range 2");
            assert_eq!(show(&format!("{text}:80-81")), expected);
        }
        let hint = ports("::1:80:80").unwrap_err().hint;
        assert_eq!(hint.as_deref(), Some("write an IPv6 address in brackets: `[::1]`"));
    }

    #[test]
    fn the_widest_range_is_expanded_in_little_time() {
        let start = Instant::now();
        let all = ports("0-65535:0-65535").unwrap();
        assert_eq!(all.len(), 65_536);
        assert!(all.iter().all(|port| port.published == port.target.to_string()));
        assert!(start.elapsed() < Duration::from_secs(10));
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in any::<String>(), syntax in "[0-9:/tcp.\\[\\]é-]*") {
            let _ = ports(&text);
            let _ = ports(&syntax);
        }
    }
}
