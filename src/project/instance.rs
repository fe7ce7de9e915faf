//! A further copy of a project: its name, and the names that it gives to what it holds.
//!
//! In: what the user calls the copy, and the tree of the project. Out: an [`Instance`], and a tree
//! in which every fixed name is the copy's own.
//!
//! # Invariants
//!
//! - Without an instance nothing is looked at and nothing changes.
//! - What is external stays shared: its name is not the project's to give.

use std::collections::BTreeMap;
use std::path::Path;

use crate::diagnostic::{Code, Diagnostic};
use crate::model::Instance;

use super::discover::{Found, normal_name};
use super::node::{Node, Step, Value, VariableSource};
use super::normalize::is_external;
use super::session::Session;
use super::source::Source;
use super::worktree;

/// The variable that stands for the flag.
pub const INSTANCE_VARIABLE: &str = "KETCH_INSTANCE";
/// The variable that has the name of the project without the instance.
pub const PROJECT_VARIABLE: &str = "KETCH_PROJECT";
/// What stands for a name that is found by itself.
const AUTO: &str = "auto";
/// How long a name may be: names of containers are names of hosts, too.
const LONGEST: usize = 40;
/// What a name must be like.
const RULE: &str = "instances are named with up to 40 letters, digits, `-` and `_`, and begin with a letter or digit";

/// A text that cannot be the name of an instance.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not a valid name of an instance")]
pub struct InvalidInstance {
    /// The text.
    pub name: String,
    /// What it could be made into; empty: nothing.
    pub similar: String,
}

impl InvalidInstance {
    /// What to do about it.
    pub fn hint(&self) -> String {
        let meant = format!("did you mean `{}`?", self.similar);
        if self.similar.is_empty() { RULE.to_owned() } else { format!("{meant} {RULE}") }
    }
}

/// The name of an instance from what the user says; capital letters become small ones. What is
/// called `auto` is named after the work that lies in a folder.
///
/// # Errors
///
/// If it has characters that names of projects cannot have, or too many.
pub fn instance_name(
    source: &dyn Source,
    folder: &Path,
    text: &str,
) -> Result<String, InvalidInstance> {
    if text == AUTO {
        return Ok(worktree::name(source, folder));
    }
    let name = text.to_lowercase();
    if name == normal_name(&name) && name.len() <= LONGEST {
        return Ok(name);
    }
    Err(InvalidInstance { similar: slug(text, LONGEST), name: text.to_owned() })
}

/// The name of the project in a name that `ketch env` gave to programs, which has the instance in
/// it; `variable` reads what else it gave.
pub fn base_name(name: String, variable: impl Fn(&str) -> Option<String>) -> String {
    let (project, instance) = (variable(PROJECT_VARIABLE), variable(INSTANCE_VARIABLE));
    let told = project.zip(instance).map(|(project, name)| Instance { name, project });
    match told {
        Some(told) if told.full_name() == name => told.project,
        _ => name,
    }
}

/// The letters and digits of a text, with `-` for everything between them.
pub(super) fn slug(text: &str, longest: usize) -> String {
    let lower = text.to_lowercase();
    let is_kept = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = lower.split(|c: char| !is_kept(c)).filter(|word| !word.is_empty());
    let joined = words.collect::<Vec<_>>().join("-");
    let joined = joined.trim_start_matches('_');
    joined[..joined.len().min(longest)].trim_end_matches(['-', '_']).to_owned()
}

/// The instance that is asked for: by the flag, else by the variable. `Err`: the name is not valid,
/// which is reported.
pub(super) fn asked(session: &mut Session<'_>, found: &Found) -> Result<Option<String>, ()> {
    let flag = session.request.instance.clone();
    let is_flag = flag.is_some();
    let text = flag.or_else(|| found.variables.lookup(INSTANCE_VARIABLE)).unwrap_or_default();
    if text.is_empty() {
        return Ok(None);
    }
    instance_name(session.source, &found.dir, &text).map(Some).map_err(|error| {
        let mut diagnostic = Diagnostic::error(Code::ProjectName, error.to_string());
        if let (false, VariableSource::File(span)) =
            (is_flag, found.variables.origin(INSTANCE_VARIABLE))
        {
            diagnostic = diagnostic.at(span, "set here");
        }
        session.report(diagnostic.hint(error.hint()));
    })
}

/// Gives the names that the files fix to this copy.
pub(super) fn scope(tree: &mut Node, instance: &Instance) {
    for kind in ["networks", "volumes", "configs", "secrets"] {
        let resources = tree.get_mut(kind).and_then(Node::as_map_mut);
        for resource in resources.into_iter().flat_map(|map| map.values_mut()) {
            if !is_external(&resource.node)
                && let Some(name) = resource.node.get_mut("name")
            {
                rename(name, instance);
            }
        }
    }
    let mut containers = BTreeMap::new();
    for service in services(tree) {
        if let Some(name) = service.get_mut("container_name") {
            let old = name.as_str().unwrap_or_default().to_owned();
            rename(name, instance);
            containers.insert(old, name.as_str().unwrap_or_default().to_owned());
        }
    }
    if !containers.is_empty() {
        services(tree).for_each(|service| follow(service, &containers));
    }
}

fn services(tree: &mut Node) -> impl Iterator<Item = &mut Node> {
    let services = tree.get_mut("services").and_then(Node::as_map_mut);
    services.into_iter().flat_map(|map| map.values_mut()).map(|entry| &mut entry.node)
}

/// Names that are made of the project's, or of the instance's, are this copy's already.
fn rename(name: &mut Node, instance: &Instance) {
    let is_own = |step: &&Step| matches!(step, Step::Variable { name, .. } if name == "COMPOSE_PROJECT_NAME" || name == INSTANCE_VARIABLE);
    if name.trail.steps().iter().any(is_own) {
        return;
    }
    if let Value::Str(text) = &mut name.value
        && !text.is_empty()
    {
        *text = instance.scoped(text);
        name.note(Step::Default { rule: "the instance is added to fixed names" });
    }
}

/// Lets a service that names containers of the project by their fixed names mean this copy's.
fn follow(service: &mut Node, containers: &BTreeMap<String, String>) {
    const CONTAINER: &str = "container:";
    for key in ["network_mode", "ipc", "pid"] {
        if let Some(Value::Str(mode)) = service.get_mut(key).map(|node| &mut node.value)
            && let Some(new) = mode.strip_prefix(CONTAINER).and_then(|name| containers.get(name))
        {
            *mode = format!("{CONTAINER}{new}");
        }
    }
    for (key, prefix) in [("volumes_from", CONTAINER), ("external_links", "")] {
        let Some(Value::Seq(items)) = service.get_mut(key).map(|node| &mut node.value) else {
            continue;
        };
        for item in items {
            let Value::Str(text) = &mut item.value else { continue };
            let Some(rest) = text.strip_prefix(prefix) else { continue };
            let end = rest.find(':').unwrap_or(rest.len());
            if let Some(new) = containers.get(&rest[..end]) {
                // A link is known by the name that it was written with.
                let alias = if prefix.is_empty() && end == rest.len() { rest } else { "" };
                let colon = if alias.is_empty() { "" } else { ":" };
                *text = format!("{prefix}{new}{}{colon}{alias}", &rest[end..]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{base_name, instance_name};
    use crate::project::Memory;

    fn named(text: &str) -> Result<String, String> {
        let named = instance_name(&Memory::default(), Path::new("/p"), text);
        named.map_err(|error| error.similar)
    }

    #[test]
    fn names_are_small_letters_digits_and_two_signs() {
        assert_eq!(named("Review_7-b"), Ok("review_7-b".to_owned()));
        for (text, similar) in [
            ("feature/login", "feature-login"),
            ("-a", "a"),
            ("__a b\n", "a-b"),
            ("ü/é", ""),
            ("../../etc", "etc"),
            ("a\0b", "a-b"),
            ("İx", "i-x"),
        ] {
            assert_eq!(named(text), Err(similar.to_owned()), "{text:?}");
        }
        assert_eq!(named(&"x".repeat(41)), Err("x".repeat(40)));
        assert_eq!(named(&"x".repeat(40)), Ok("x".repeat(40)));
    }

    #[test]
    fn programs_that_ketch_env_told_of_an_instance_mean_that_one() {
        let told = |name: &str| match name {
            "KETCH_PROJECT" => Some("shop".to_owned()),
            "KETCH_INSTANCE" => Some("x".to_owned()),
            _ => None,
        };
        assert_eq!(base_name("shop-x".to_owned(), told), "shop");
        assert_eq!(base_name("other-x".to_owned(), told), "other-x");
        assert_eq!(base_name("shop-x".to_owned(), |_| None), "shop-x");
    }
}
