//! What a project asks for that no runtime can give.
//!
//! In: a project. Out: the path of each value that is refused, and why.

use crate::model::{FileObject, FileReference, Project, Service};

/// All that is refused: paths and reasons.
pub fn refusals(project: &Project) -> Vec<(String, String)> {
    let mut refused = Vec::new();
    for (name, service) in &project.services {
        of_service(project, name, service, &mut refused);
    }
    refused
}

fn of_service(
    project: &Project,
    name: &str,
    service: &Service,
    refused: &mut Vec<(String, String)>,
) {
    let path = format!("services.{name}");
    let kinds = [
        ("secret", "secrets", &service.secrets, &project.secrets),
        ("config", "configs", &service.configs, &project.configs),
    ];
    for (kind, attribute, references, objects) in kinds {
        for (index, reference) in references.iter().enumerate() {
            let Some(object) = objects.get(&reference.source) else { continue };
            let problem = file_problem(service, (kind, name), reference, object);
            refused.extend(problem.map(|text| (format!("{path}.{attribute}.{index}"), text)));
        }
    }
}

fn file_problem(
    service: &Service,
    (kind, name): (&str, &str),
    reference: &FileReference,
    object: &FileObject,
) -> Option<String> {
    let source = &reference.source;
    if object.external {
        return Some(format!("unsupported external {kind} {source}"));
    }
    if !object.driver.is_empty() || !object.template_driver.is_empty() {
        return Some(format!("{kind} {source} needs a driver, which only a swarm has"));
    }
    let is_injected = object.file.is_empty() && !object.content.is_empty();
    (is_injected && service.read_only).then(|| {
        format!(
            "cannot create {kind} {source:?} in read-only service {name}: `file` is the sole \
             supported option"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::refusals;
    use crate::model::{FileObject, Project, Service};

    #[test]
    fn what_cannot_be_had_is_refused_by_its_path() {
        let service: Service = serde_yaml::from_str(
            "{image: x, read_only: true,
              secrets: [{source: out}, {source: text}, {source: file}]}",
        )
        .expect("a canonical service");
        let file = |yaml: &str| serde_yaml::from_str::<FileObject>(yaml).expect("a secret");
        let secrets = [
            ("out".to_owned(), file("{external: true}")),
            ("text".to_owned(), file("{content: a}")),
            ("file".to_owned(), file("{file: /a}")),
        ];
        let project = Project {
            services: [("web".to_owned(), Box::new(service))].into(),
            secrets: secrets.into(),
            ..Project::default()
        };
        let paths: Vec<String> = refusals(&project).into_iter().map(|(path, _)| path).collect();
        assert_eq!(paths, ["services.web.secrets.0", "services.web.secrets.1"]);
    }
}
