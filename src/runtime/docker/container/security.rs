//! `security_opt`: profiles are read here and sent whole.
//!
//! In: a spec. Out: options for the engine. The engine cannot see our files.

use std::path::Path;

use serde_json::Value;

use crate::model::label;
use crate::model::spec::ContainerSpec;
use crate::runtime::{Result, RuntimeError};

/// What the engine is told about security.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Security {
    /// Options, with profiles in place of their paths.
    pub(super) options: Vec<String>,
    /// Whether no path of `/proc` and `/sys` is hidden.
    pub(super) open_system_paths: bool,
}

/// Reads what `security_opt` names.
pub(super) async fn read(container: &ContainerSpec) -> Result<Security> {
    let mut security = Security::default();
    for option in &container.service.security_opt {
        if option == "systempaths=unconfined" {
            security.open_system_paths = true;
            continue;
        }
        let path = option.strip_prefix("seccomp=").or(option.strip_prefix("seccomp:"));
        security.options.push(match path {
            Some(path) if !["unconfined", "builtin"].contains(&path) => {
                format!("seccomp={}", profile(container, path).await?)
            }
            _ => option.clone(),
        });
    }
    Ok(security)
}

/// A profile as compact JSON. Its path stands relative to the project.
async fn profile(container: &ContainerSpec, path: &str) -> Result<Value> {
    let folder = container.labels.get(label::WORKING_DIR).map_or("", String::as_str);
    let path = Path::new(folder).join(path);
    let failed = |source| RuntimeError::Io {
        action: format!("read the seccomp profile `{}`", path.display()),
        source,
    };
    let text = tokio::fs::read(&path).await.map_err(failed)?;
    serde_json::from_slice(&text).map_err(|error| failed(error.into()))
}

#[cfg(test)]
mod tests {
    use super::{ContainerSpec, Security, read};
    use crate::model::{Service, label};

    fn spec(folder: &str, options: &[&str]) -> ContainerSpec {
        let security_opt = options.iter().map(ToString::to_string).collect();
        ContainerSpec {
            service: Service { security_opt, ..Service::default() }.into(),
            labels: [(label::WORKING_DIR.to_owned(), folder.to_owned())].into(),
            ..ContainerSpec::default()
        }
    }

    #[tokio::test]
    async fn profiles_are_read_beneath_the_project_and_compacted() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("p.json"), "{ \"b\": 1,\n \"a\": [ 2 ] }").unwrap();
        let options =
            ["seccomp:p.json", "seccomp=unconfined", "systempaths=unconfined", "label=disable"];
        let found = read(&spec(folder.path().to_str().unwrap(), &options)).await.unwrap();
        let options = ["seccomp={\"b\":1,\"a\":[2]}", "seccomp=unconfined", "label=disable"];
        let options = options.map(str::to_owned).to_vec();
        assert_eq!(found, Security { options, open_system_paths: true });
    }

    #[tokio::test]
    async fn a_missing_or_broken_profile_is_named() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("broken.json"), "{").unwrap();
        for name in ["none.json", "broken.json"] {
            let spec = spec(folder.path().to_str().unwrap(), &[&format!("seccomp={name}")]);
            let path = folder.path().join(name);
            assert_eq!(
                read(&spec).await.unwrap_err().to_string(),
                format!("cannot read the seccomp profile `{}`", path.display())
            );
        }
    }
}
