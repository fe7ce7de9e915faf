//! `ls`: the projects that have containers.
//!
//! In: the containers of all projects. Out: a table, JSON, or names.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::listing::compact;
use super::table::{Layout, lay_out};
use super::text::printable;
use crate::model::label;
use crate::model::observed::ObservedContainer;

/// A project and how its containers are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ProjectLine {
    /// Its name.
    pub name: String,
    /// Which copy of which project it is, if it is one.
    #[serde(flatten)]
    pub instance: Option<InstanceLine>,
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

/// Which copy of which project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InstanceLine {
    /// The instance.
    #[serde(rename = "Instance")]
    pub name: String,
    /// The name of the project without it.
    #[serde(rename = "Project")]
    pub project: String,
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
    let label = |name: &str| {
        let mut values = containers.iter().map(|container| container.label(name));
        values.find(|value| !value.is_empty()).unwrap_or_default().to_owned()
    };
    let instance =
        InstanceLine { name: label(label::INSTANCE), project: label(label::BASE_PROJECT) };
    ProjectLine {
        name: name.to_owned(),
        instance: (!instance.name.is_empty()).then_some(instance),
        status: states.join(", "),
        config_files: if files.is_empty() { "N/A".to_owned() } else { files.join(",") },
        lease: None,
    }
}

/// For people; whom projects belong to is a column where there is one that does.
pub fn human(projects: &[ProjectLine]) -> String {
    let has_instances = projects.iter().any(|line| line.instance.is_some());
    let has_leases = projects.iter().any(|line| line.lease.is_some());
    let show = |cell: &str| printable(cell).into_owned();
    let rows = projects.iter().map(|line| {
        let instance = line.instance.as_ref().map_or("", |it| &it.name);
        let instance = has_instances.then(|| show(instance));
        let holder = |it: &Holder| format!("{} ({})", printable(&it.program), it.pid);
        let lease = has_leases.then(|| line.lease.as_ref().map(holder).unwrap_or_default());
        let cells = std::iter::once(show(&line.name)).chain(instance);
        cells.chain([show(&line.status), show(&line.config_files)]).chain(lease).collect()
    });
    let instance = has_instances.then_some("INSTANCE");
    let heading = std::iter::once("NAME").chain(instance).chain(["STATUS", "CONFIG FILES"]);
    let heading = heading.chain(has_leases.then_some("LEASED TO"));
    let heading: Vec<String> = heading.map(str::to_owned).collect();
    lay_out(Layout::Wide, std::iter::once(heading).chain(rows))
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

    #[test]
    fn instances_stand_in_a_column_of_their_own() {
        let container = |project: &str, labels: &[(&str, &str)]| ObservedContainer {
            labels: labels
                .iter()
                .chain(&[(label::PROJECT, project)])
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            ..ObservedContainer::default()
        };
        let of = [(label::INSTANCE, "x"), (label::BASE_PROJECT, "shop")];
        let containers = [container("shop-x", &of), container("shop", &[])];
        let projects = projects(&containers);
        assert_snapshot!(human(&projects), @"
        NAME                INSTANCE            STATUS              CONFIG FILES
        shop                                    created(1)          N/A
        shop-x              x                   created(1)          N/A
        ");
        assert_snapshot!(json(&projects), @r#"[{"Name":"shop","Status":"created(1)","ConfigFiles":"N/A"},{"Name":"shop-x","Instance":"x","Project":"shop","Status":"created(1)","ConfigFiles":"N/A"}]"#);
    }
}
