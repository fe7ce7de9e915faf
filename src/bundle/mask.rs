//! Keeps secrets out of what is written.
//!
//! In: a project. Out: the project without values that may be secret, and a mask for all other text.
//!
//! A bundle is uploaded by machines and read by many. So the values of `environment`, of build
//! arguments, and what stands in configs and secrets are not in it at all. Further values are known
//! to be secret: those of secrets, of variables with a name like `…PASSWORD` or `…TOKEN`, and
//! passwords in URLs. Wherever they come up (logs, checks, commands), `***` stands instead. What a
//! program itself reveals in other ways cannot be known.

use serde_json::Value;

use indexmap::IndexMap;

use crate::model::{FileObject, Project, Service};

/// What stands for a value.
const HIDDEN: &str = "***";
/// Parts of names whose values are secret.
const SECRET_NAMES: &[&str] = &["PASSW", "SECRET", "TOKEN", "CREDENTIAL", "_KEY", "APIKEY", "AUTH"];
/// Shorter values are words that stand everywhere.
const SHORTEST: usize = 4;
/// The most that is read of a file with a secret.
const LONGEST: u64 = 64 * 1024;

/// Texts that are not to be seen, the longest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Mask {
    hidden: Vec<String>,
}

impl Mask {
    /// The secrets of a project.
    pub(super) fn of(project: &Project, environment: Option<&IndexMap<String, String>>) -> Self {
        let mut hidden = Vec::new();
        let services = project.services.values().chain(project.disabled_services.values());
        for service in services {
            for (name, value) in variables(service) {
                if is_secret(name) {
                    hidden.push(value.to_owned());
                }
                hidden.extend(password(value).map(str::to_owned));
            }
        }
        for secret in project.secrets.values() {
            hidden.extend(content(secret, environment));
        }
        let lines: Vec<String> = hidden
            .iter()
            .flat_map(|text| text.lines())
            .map(|line| line.trim().to_owned())
            .collect();
        let mut hidden = lines;
        hidden.retain(|text| text.len() >= SHORTEST);
        hidden.sort_by_key(|text| std::cmp::Reverse(text.len()));
        hidden.dedup();
        Self { hidden }
    }

    /// A text without what is secret.
    pub(super) fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for hidden in &self.hidden {
            if text.contains(hidden.as_str()) {
                text = text.replace(hidden.as_str(), HIDDEN);
            }
        }
        text
    }
}

/// The variables of a service, also those of its build, that have a value.
fn variables(service: &Service) -> impl Iterator<Item = (&str, &str)> {
    let build = service.build.iter().flat_map(|build| build.args.iter());
    let all = service.environment.iter().chain(build);
    all.filter_map(|(name, value)| Some((name.as_str(), value.as_deref()?)))
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    SECRET_NAMES.iter().any(|part| name.contains(part)) || name.ends_with("PASS")
}

/// The password in `scheme://user:password@host`.
fn password(value: &str) -> Option<&str> {
    let (_, rest) = value.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let (user, _) = authority.rsplit_once('@')?;
    user.split_once(':').map(|(_, password)| password)
}

/// What is in a secret.
fn content(secret: &FileObject, environment: Option<&IndexMap<String, String>>) -> Option<String> {
    use std::io::Read as _;
    if !secret.content.is_empty() {
        return Some(secret.content.clone());
    }
    if !secret.environment.is_empty() {
        return environment?.get(&secret.environment).cloned();
    }
    let is_file = std::fs::metadata(&secret.file).is_ok_and(|found| found.is_file());
    let file = std::fs::File::open(&secret.file).ok().filter(|_| is_file)?;
    let mut bytes = Vec::new();
    file.take(LONGEST).read_to_end(&mut bytes).ok()?;
    String::from_utf8(bytes).ok()
}

/// The project without values that may be secret.
pub(super) fn project(project: &Project) -> Project {
    let mut project = project.clone();
    let services = project.services.values_mut().chain(project.disabled_services.values_mut());
    for service in services {
        let hooks = service.post_start.iter_mut().chain(&mut service.pre_stop);
        let of_hooks = hooks.flat_map(|hook| hook.environment.values_mut());
        let of_build = service.build.iter_mut().flat_map(|build| build.args.values_mut());
        for value in service.environment.values_mut().chain(of_hooks).chain(of_build) {
            hide(value);
        }
    }
    let files = project.configs.values_mut().chain(project.secrets.values_mut());
    for file in files.filter(|file| !file.content.is_empty()) {
        HIDDEN.clone_into(&mut file.content);
    }
    project
}

fn hide(value: &mut Option<String>) {
    if value.is_some() {
        *value = Some(HIDDEN.to_owned());
    }
}

/// Takes the values of variables out of what a runtime tells about a container.
pub(super) fn inspected(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let key = key.to_ascii_lowercase();
                match key.as_str() {
                    "env" | "environment" => hide_variables(value),
                    _ => inspected(value),
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(inspected),
        _ => {}
    }
}

fn hide_variables(value: &mut Value) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(hide_variables),
        Value::Object(map) => map.values_mut().for_each(|value| *value = HIDDEN.into()),
        Value::String(text) => {
            let name = text.split_once('=').map_or(text.as_str(), |(name, _)| name);
            *text = format!("{name}={HIDDEN}");
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Mask, inspected, project};
    use crate::model::render::project_yaml;
    use crate::model::{FileObject, Project, Service};

    fn shop() -> Project {
        let service: Service = serde_yaml::from_str(
            "{image: x, environment: {MODE: test-mode, DB_PASSWORD: hunter2, EMPTY: null,
              URL: 'postgres://app:sesame@db/app'}, build: {context: ., args: {NPM_TOKEN: abcdef}}}",
        )
        .expect("a canonical service");
        let file = |content: &str| FileObject { content: content.to_owned(), ..Default::default() };
        Project {
            services: [("web".to_owned(), Box::new(service))].into(),
            configs: [("c".to_owned(), file("settings"))].into(),
            secrets: [("s".to_owned(), file("first line\nsecond"))].into(),
            ..Project::default()
        }
    }

    #[test]
    fn values_of_the_project_are_not_told() {
        let text = project_yaml(&project(&shop()));
        for hidden in ["test-mode", "hunter2", "sesame", "abcdef", "settings", "second"] {
            assert!(!text.contains(hidden), "{hidden}: {text}");
        }
        assert!(
            text.contains("DB_PASSWORD: '***'") || text.contains("DB_PASSWORD: \"***\""),
            "{text}"
        );
    }

    #[test]
    fn known_secrets_are_taken_out_of_any_text() {
        let mask = Mask::of(&shop(), None);
        let said = mask.text("hunter2 sesame@db abcdef: first line, second; test-mode settings");
        assert_eq!(said, "*** ***@db ***: ***, ***; test-mode settings");
    }

    #[test]
    fn variables_of_containers_keep_their_names() {
        let mut value = json!({"Config": {"Env": ["A=b=c", "D"], "Cmd": ["x=y"]},
                               "process": {"environment": ["E=f"]}});
        inspected(&mut value);
        let expected = json!({"Config": {"Env": ["A=***", "D=***"], "Cmd": ["x=y"]},
                              "process": {"environment": ["E=***"]}});
        assert_eq!(value, expected);
    }
}
