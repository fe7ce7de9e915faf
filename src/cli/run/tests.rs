//! What `run` makes of projects and failures.

use super::{not_started, without};
use crate::cli::exit::Failure;
use crate::model::Project;
use crate::runtime::RuntimeError;

#[test]
fn exit_codes_are_those_of_a_shell() {
    for (text, expected) in [
        ("exec: \"x\": executable file not found in $PATH", 127),
        ("exec: \"/x\": stat /x: no such file or directory", 127),
        ("exec: \"/etc\": permission denied", 126),
        ("exec: \"/etc\": is a directory", 126),
        ("port is already allocated", 1),
    ] {
        let failure = not_started("c", RuntimeError::Refused(text.to_owned()));
        assert!(matches!(failure, Failure::Start { code, .. } if code == expected), "{text}");
    }
}

#[test]
fn services_that_are_turned_off_are_not_depended_on() {
    let services = "{web: {image: a, depends_on: {db: {condition: x}}}, db: {image: b}}";
    let services = serde_yaml::from_str(services).expect("services");
    let project = Project { services, ..Project::default() };
    let alone = without(&project, |name| name != "web");
    assert_eq!(alone.services.keys().collect::<Vec<_>>(), ["web"]);
    assert!(alone.services["web"].depends_on.is_empty());
    assert!(alone.disabled_services.contains_key("db"));
}
