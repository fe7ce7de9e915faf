//! A project as text: what `config` prints.
//!
//! In: the model, or raw values. Out: YAML and JSON, byte for byte as Docker Compose prints them.
//!
//! Both formats come from one description, the `Serialize` of the model. `tree` turns it into
//! the tree of one format, where the two differ; `yaml` and `json` write such a tree.
//! Doubling `$` is not done here: who prints for later reading does it before.

mod json;
mod natural;
mod resolve;
mod style;
mod tree;
mod yaml;

use std::collections::BTreeMap;

use serde::Serialize;

use super::{FileObject, Project, Service};
use tree::{Format, Tree};

/// Why a project has no JSON form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// An SSH key of a build has a path. Compose prints such keys in a way that is not JSON.
    #[error(
        "json: error calling MarshalJSON for type types.SSHKey: \
         invalid character ':' after top-level value"
    )]
    SshKey,
    /// A number is infinite or none at all.
    #[error("json: unsupported value: {0}")]
    Number(String),
    /// A value is of a kind that the model does not use.
    #[error("{0}")]
    Unsupported(String),
}

/// Renders a project for `config`.
pub fn project_yaml(project: &Project) -> String {
    // YAML has a form for every value, so there is no error to report.
    sections(project, Format::Yaml)
        .map(|sections| yaml::document(&Tree::Map(sections)))
        .unwrap_or_default()
}

/// Renders a project for `config --format json`.
///
/// # Errors
///
/// If a value has no JSON form.
pub fn project_json(project: &Project) -> Result<String, RenderError> {
    if project.services.values().any(|service| has_ssh_path(service)) {
        return Err(RenderError::SshKey);
    }
    let mut sections = sections(project, Format::Json)?;
    sections.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(json::indented(&Tree::Map(sections)))
}

/// Renders a raw value as YAML, for `config --no-interpolate`.
pub fn value_yaml(value: &serde_yaml::Value) -> String {
    tree::build(value, Format::Yaml).map(|tree| yaml::document(&tree)).unwrap_or_default()
}

/// Renders a raw value as JSON, for `config --no-interpolate --format json`.
///
/// Go shows empty lists as `null` here, but for those of attributes that may not repeat an entry:
/// tag an empty list with `!list` to have it shown as `[]`. The tag `!timestamp` marks text that
/// is a point in time.
///
/// # Errors
///
/// If a value has no JSON form.
pub fn value_json(value: &serde_yaml::Value) -> Result<String, RenderError> {
    Ok(json::indented(&tree::build(value, Format::RawJson)?))
}

/// Renders a part of the model as JSON in one line: what hashes are made of.
///
/// # Errors
///
/// If a value has no JSON form.
pub fn compact_json(value: &impl Serialize) -> Result<String, RenderError> {
    Ok(json::compact(&tree::build(value, Format::Json)?))
}

/// The top-level attributes of a project, in the order of YAML.
fn sections(project: &Project, format: Format) -> Result<Vec<(String, Tree)>, RenderError> {
    let secrets = without_content(&project.secrets, |_| true);
    // The content of a config may come from a variable; then the variable is shown, not its value.
    let configs = without_content(&project.configs, |config| !config.environment.is_empty());
    let mut sections = vec![
        ("name", Tree::Text(project.name.clone())),
        ("services", tree::build(&project.services, format)?),
        ("networks", tree::build(&project.networks, format)?),
        ("volumes", tree::build(&project.volumes, format)?),
        ("secrets", tree::build(&secrets, format)?),
        ("configs", tree::build(&configs, format)?),
    ];
    // Go's JSON knows no models, and always has a name.
    let (kept, raw) = if format == Format::Yaml {
        sections.push(("models", tree::build(&project.models, format)?));
        (&["services"][..], Format::Yaml)
    } else {
        (&["name", "services"][..], Format::RawJson)
    };
    sections.retain(|(name, tree)| kept.contains(name) || !tree.is_empty());
    let mut sections: Vec<_> =
        sections.into_iter().map(|(name, tree)| (name.to_owned(), tree)).collect();
    if let Tree::Map(extensions) = tree::build(&project.extensions, raw)? {
        sections.extend(extensions);
    }
    Ok(sections)
}

/// Whether the build of the service uses an SSH key with a path.
fn has_ssh_path(service: &Service) -> bool {
    let build = service.build.as_deref();
    build.is_some_and(|build| build.ssh.iter().any(|key| !key.path.is_empty()))
}

/// The objects, some without their content.
fn without_content(
    objects: &BTreeMap<String, FileObject>,
    hidden: impl Fn(&FileObject) -> bool,
) -> BTreeMap<String, FileObject> {
    let mut objects = objects.clone();
    for object in objects.values_mut().filter(|object| hidden(object)) {
        object.content.clear();
    }
    objects
}

#[cfg(test)]
mod tests;
