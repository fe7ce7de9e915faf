//! `ls`: the projects that have containers.
//!
//! In: the containers of all projects. Out: a table, JSON, or names.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::listing::compact;
use super::table::table;
use super::text::printable;
use crate::model::label;
use crate::model::observed::ObservedContainer;

/// A project and how its containers are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ProjectLine {
    /// Its name.
    pub name: String,
    /// `exited(1), running(2)`.
    pub status: String,
    /// Its files, joined with commas.
    pub config_files: String,
    /// The process that it belongs to, if it is leased.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease: Option<Holder>,
}

/// A process that a project belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Holder {
    /// Its number.
    pub pid: i32,
    /// The name of its program.
    pub program: String,
}

/// The projects of containers, by name.
pub fn projects<'a>(
    containers: impl IntoIterator<Item = &'a ObservedContainer>,
) -> Vec<ProjectLine> {
    let mut found: BTreeMap<&str, Vec<&ObservedContainer>> = BTreeMap::new();
    for container in containers {
        let name = container.label(label::PROJECT);
        if !name.is_empty() {
            found.entry(name).or_default().push(container);
        }
    }
    found.into_iter().map(|(name, containers)| project(name, &containers)).collect()
}

fn project(name: &str, containers: &[&ObservedContainer]) -> ProjectLine {
    let mut states: BTreeMap<&str, usize> = BTreeMap::new();
    for container in containers {
        *states.entry(container.state.word()).or_default() += 1;
    }
    let states: Vec<String> =
        states.iter().map(|(state, number)| format!("{state}({number})")).collect();
    let files: BTreeSet<&str> = containers
        .iter()
        .flat_map(|container| container.label(label::CONFIG_FILES).split(','))
        .filter(|file| !file.is_empty())
        .collect();
    let files: Vec<&str> = files.into_iter().collect();
    ProjectLine {
        name: name.to_owned(),
        status: states.join(", "),
        config_files: if files.is_empty() { "N/A".to_owned() } else { files.join(",") },
        lease: None,
    }
}

/// For people; whom projects belong to is a column where there is one that does.
pub fn human(projects: &[ProjectLine]) -> String {
    let cells = |line: &ProjectLine| {
        [&line.name, &line.status, &line.config_files].map(|cell| printable(cell).into_owned())
    };
    let heads = ["NAME", "STATUS", "CONFIG FILES"];
    if projects.iter().all(|line| line.lease.is_none()) {
        return table(heads, &projects.iter().map(cells).collect::<Vec<_>>());
    }
    let rows = projects.iter().map(|line| {
        let holder = |it: &Holder| format!("{} ({})", printable(&it.program), it.pid);
        let [name, status, files] = cells(line);
        [name, status, files, line.lease.as_ref().map(holder).unwrap_or_default()]
    });
    let [name, status, files] = heads;
    table([name, status, files, "LEASED TO"], &rows.collect::<Vec<_>>())
}

/// For programs.
pub fn json(projects: &[ProjectLine]) -> String {
    compact(&projects) + "\n"
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::{Holder, human, json, projects};
    use crate::model::label;
    use crate::model::observed::{ObservedContainer, State};

    #[test]
    fn projects_as_compose_lists_them() {
        let container = |project: &str, state| ObservedContainer {
            state,
            labels: [(label::PROJECT, project), (label::CONFIG_FILES, "/srv/a.yaml")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            ..ObservedContainer::default()
        };
        let containers = [
            container("t", State::Running),
            container("hui", State::Running),
            container("hui", State::Exited),
            container("hui", State::Running),
            ObservedContainer::default(),
        ];
        let projects = projects(&containers);
        assert_snapshot!(human(&projects), @"
        NAME                STATUS                  CONFIG FILES
        hui                 exited(1), running(2)   /srv/a.yaml
        t                   running(1)              /srv/a.yaml
        ");
        assert_snapshot!(json(&projects), @r#"[{"Name":"hui","Status":"exited(1), running(2)","ConfigFiles":"/srv/a.yaml"},{"Name":"t","Status":"running(1)","ConfigFiles":"/srv/a.yaml"}]"#);
        assert_eq!(json(&[]), "[]\n");
        let mut leased = projects;
        leased[1].lease = Some(Holder { pid: 7, program: "cargo".to_owned() });
        assert_snapshot!(human(&leased), @"
        NAME                STATUS                  CONFIG FILES        LEASED TO
        hui                 exited(1), running(2)   /srv/a.yaml         
        t                   running(1)              /srv/a.yaml         cargo (7)
        ");
        assert!(json(&leased).contains(r#""Lease":{"Pid":7,"Program":"cargo"}"#));
    }
}
