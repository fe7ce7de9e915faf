//! What `env` prints, and that who reads it gets the same values.

use insta::assert_snapshot;

use super::{dotenv, json, shell};
use crate::model::observed::{ObservedContainer, ObservedPort};
use crate::model::reach::{Variables, variables};
use crate::model::{Instance, label};

fn container(service: &str, number: &str, ports: &[(&str, u16, u16, &str)]) -> ObservedContainer {
    let labels = [
        (label::SERVICE, service),
        (label::CONTAINER_NUMBER, number),
        (label::ONE_OFF, if number.is_empty() { "True" } else { "False" }),
    ];
    let port = |(host, published, target, protocol): &(&str, u16, u16, &str)| ObservedPort {
        host_ip: (*host).to_owned(),
        published: (*published != 0).then_some(*published),
        target: *target,
        protocol: (*protocol).to_owned(),
    };
    ObservedContainer {
        labels: labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        ports: ports.iter().map(port).collect(),
        ..ObservedContainer::default()
    }
}

fn world() -> Vec<ObservedContainer> {
    vec![
        container("my-web", "2", &[("0.0.0.0", 8081, 80, "tcp")]),
        container("my-web", "1", &[("::", 8080, 80, "tcp"), ("0.0.0.0", 8080, 80, "tcp")]),
        container("dns", "1", &[("10.0.0.9", 53, 53, "udp"), ("10.0.0.9", 53, 53, "tcp")]),
        container("six", "1", &[("::1", 9, 9, "tcp")]),
        container("db", "1", &[("", 0, 5432, "tcp")]),
        container("db", "", &[("0.0.0.0", 1, 1, "tcp")]),
    ]
}

#[test]
fn what_is_published_is_told() {
    let instance = Instance { name: "x".to_owned(), project: "shop".to_owned() };
    let told = variables(&world(), ("shop-x", Some(&instance)), None);
    assert_snapshot!(shell(&told), @"
    export COMPOSE_PROJECT_NAME='shop-x'
    export KETCH_PROJECT='shop'
    export KETCH_INSTANCE='x'
    export KETCH_HOST_DNS='10.0.0.9'
    export KETCH_PORT_DNS_53='53'
    export KETCH_ADDRESS_DNS_53='10.0.0.9:53'
    export KETCH_PORT_DNS_53_UDP='53'
    export KETCH_ADDRESS_DNS_53_UDP='10.0.0.9:53'
    export KETCH_HOST_MY_WEB='127.0.0.1'
    export KETCH_PORT_MY_WEB_80='8080'
    export KETCH_ADDRESS_MY_WEB_80='127.0.0.1:8080'
    export KETCH_HOST_SIX='::1'
    export KETCH_PORT_SIX_9='9'
    export KETCH_ADDRESS_SIX_9='[::1]:9'
    ");
    let plain = variables(&world()[..1], ("shop", None), Some("build.example"));
    assert_snapshot!(dotenv(&plain), @"
    COMPOSE_PROJECT_NAME=shop
    KETCH_HOST_MY_WEB=build.example
    KETCH_PORT_MY_WEB_80=8081
    KETCH_ADDRESS_MY_WEB_80=build.example:8081
    ");
    assert_snapshot!(json(&plain), @r#"{"COMPOSE_PROJECT_NAME":"shop","KETCH_HOST_MY_WEB":"build.example","KETCH_PORT_MY_WEB_80":"8081","KETCH_ADDRESS_MY_WEB_80":"build.example:8081"}"#);
}

#[test]
fn values_come_out_as_they_were() {
    let odd = "a'b \"c\" $d `e` \\f\n\r#g=;é !";
    let told: Variables = [("ODD".to_owned(), odd.to_owned())].into_iter().collect();
    let script = format!("{}printf %s \"$ODD\"", shell(&told));
    let printed = std::process::Command::new("sh").args(["-c", &script]).output().expect("a shell");
    assert_eq!(String::from_utf8_lossy(&printed.stdout), odd);
    let read: Variables = serde_json::from_str(&json(&told)).expect("JSON");
    assert_eq!(read, told);
}
