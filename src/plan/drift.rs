//! Whether a container still is what the project asks for, and if not, why.
//!
//! In: a container as it is, and the service as it shall be. Out: a [`Cause`] to replace it.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::providers;
use super::step::{Cause, Change};
use crate::model::hash::hex;
use crate::model::observed::ObservedContainer;
use crate::model::render::compact_json;
use crate::model::{Service, label};

/// What a container is compared with.
#[derive(Debug)]
pub(super) struct Expected<'a> {
    /// The service, with other services named as containers.
    pub(super) settings: &'a Service,
    /// The hash of the service, with those containers named by id.
    pub(super) hash: String,
    /// The reference of its image and that image's identity, if it is here.
    pub(super) image: (&'a str, Option<&'a str>),
    /// Names of the networks to be in, and their ids where they exist.
    pub(super) networks: Vec<(&'a str, Option<&'a str>)>,
    /// Names of the volumes to be mounted.
    pub(super) volumes: Vec<&'a str>,
    /// Variables of its environment that are not known yet.
    pub(super) unknown: Option<&'a BTreeSet<String>>,
}

/// Why the container must be replaced; `None` if it will do.
pub(super) fn cause(container: &ObservedContainer, expected: &Expected<'_>) -> Option<Cause> {
    if container.label(label::CONFIG_HASH) != expected.hash {
        let changed = config_changed(container, expected);
        if changed.is_some() {
            return changed;
        }
    }
    let (image, id) = expected.image;
    let made_from = container.label(label::IMAGE);
    if id.is_some_and(|id| !made_from.is_empty() && id != made_from) {
        return Some(Cause::ImageChanged { image: image.to_owned() });
    }
    if let Some((network, _)) =
        expected.networks.iter().find(|network| !is_attached(container, network))
    {
        return Some(Cause::NotAttached { network: (*network).to_owned() });
    }
    let lacks = |volume: &&&str| !container.mounts.iter().any(|mount| mount.name == ***volume);
    let volume = expected.volumes.iter().find(lacks)?;
    Some(Cause::NotMounted { volume: (*volume).to_owned() })
}

/// A container that has never run knows its networks by name only.
fn is_attached(container: &ObservedContainer, (name, id): &(&str, Option<&str>)) -> bool {
    let attachment = container.networks.iter().find(|at| at.network == *name);
    attachment.is_some_and(|at| at.id.is_empty() || id.is_some_and(|id| at.id == id))
}

/// What changed, as far as it can be told; `None`: only what is not known yet.
fn config_changed(container: &ObservedContainer, expected: &Expected<'_>) -> Option<Cause> {
    let Ok(before) = serde_json::from_str(container.label(label::SPEC)) else {
        return Some(Cause::ConfigChanged);
    };
    let mut after = record(expected.settings);
    if let Some(unknown) = expected.unknown {
        keep_unknown(&before, &mut after, unknown);
        if before == after {
            return None;
        }
    }
    let changes = changes(&before, &after);
    Some(if changes.is_empty() { Cause::ConfigChanged } else { Cause::Changed(changes) })
}

/// Takes variables that are not known yet to be what they were.
fn keep_unknown(before: &Value, after: &mut Value, unknown: &BTreeSet<String>) {
    let Some(Value::Object(before)) = before.get("environment") else { return };
    let kept = before.iter().filter(|(name, _)| providers::is_unknown(unknown, name));
    for (name, value) in kept {
        after["environment"][name] = value.clone();
    }
}

/// The text of [`label::SPEC`].
pub(super) fn record_text(settings: &Service) -> String {
    record(settings).to_string()
}

/// A service as it is recorded with its containers. The values of its environment may be secret:
/// digests stand in their places.
fn record(settings: &Service) -> Value {
    let mut settings = settings.clone();
    settings.build = None;
    settings.pull_policy.clear();
    settings.scale = None;
    settings.depends_on.clear();
    settings.profiles.clear();
    settings.develop = None;
    if let Some(deploy) = &mut settings.deploy {
        deploy.replicas = None;
    }
    for value in settings.environment.values_mut().flatten() {
        *value = digest(value);
    }
    let text = compact_json(&settings).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

fn digest(value: &str) -> String {
    hex(&Sha256::digest(value)[..6])
}

/// The attributes in which two records differ, in the order of the second.
fn changes(before: &Value, after: &Value) -> Vec<Change> {
    let mut found = Vec::new();
    compare(String::new(), Some(before), Some(after), &mut found);
    found
}

fn compare(
    attribute: String,
    before: Option<&Value>,
    after: Option<&Value>,
    found: &mut Vec<Change>,
) {
    if before == after {
        return;
    }
    if let (Some(Value::Object(before)), Some(Value::Object(after))) = (before, after) {
        for key in keys(before, after) {
            let dot = if attribute.is_empty() { "" } else { "." };
            let path = format!("{attribute}{dot}{key}");
            compare(path, before.get(key), after.get(key), found);
        }
        return;
    }
    let is_secret = attribute.starts_with("environment.");
    let text = |value: Option<&Value>| value.filter(|_| !is_secret).map(Value::to_string);
    found.push(Change { from: text(before), to: text(after), attribute });
}

fn keys<'v>(before: &'v Map<String, Value>, after: &'v Map<String, Value>) -> Vec<&'v String> {
    let gone = before.keys().filter(|key| !after.contains_key(*key));
    after.keys().chain(gone).collect()
}

#[cfg(test)]
mod tests {
    use super::{changes, record};
    use crate::model::Service;

    fn told(before: &str, after: &str) -> Vec<String> {
        let service = |yaml| serde_yaml::from_str::<Service>(yaml).expect("a canonical service");
        let changes = changes(&record(&service(before)), &record(&service(after)));
        changes.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_change_is_told_by_attribute() {
        assert_eq!(
            told("{image: a, command: [x], user: u}", "{image: b, command: [x, y], tty: true}"),
            [
                r#"command: ["x"] -> ["x","y"]"#,
                r#"image: "a" -> "b""#,
                "tty: now true",
                r#"user: "u" -> nothing"#,
            ]
        );
    }

    #[test]
    fn values_of_the_environment_are_never_told() {
        let before = "{image: a, environment: {PASSWORD: old, SAME: x}}";
        let after = "{image: a, environment: {PASSWORD: new, SAME: x}}";
        assert_eq!(told(before, after), ["environment.PASSWORD changed"]);
        let service: Service = serde_yaml::from_str(after).expect("a canonical service");
        assert!(!record(&service).to_string().contains("new"));
    }

    #[test]
    fn what_containers_do_not_depend_on_is_no_change() {
        let before = "{image: a}";
        let after = "{image: a, scale: 3, pull_policy: always, profiles: [x]}";
        assert!(told(before, after).is_empty());
    }
}
