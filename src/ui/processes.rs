//! `top`: the processes of containers in one table.
//!
//! In: [`Processes`] of each container, whose columns may differ. Out: a table.

use super::table::{Layout, lay_out};
use super::text::printable;

/// The column that stands last, whatever order the runtime has.
const LAST: &str = "CMD";

/// The processes of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Processes {
    /// Its service.
    pub service: String,
    /// Its number among the containers of the service; empty for those of `run`.
    pub number: String,
    /// Titles of the columns.
    pub titles: Vec<String>,
    /// A row for each process.
    pub rows: Vec<Vec<String>>,
}

/// All processes; nothing if there is none.
pub fn table(containers: &[Processes]) -> String {
    if containers.iter().all(|container| container.rows.is_empty()) {
        return String::new();
    }
    let mut titles: Vec<&str> = Vec::new();
    for title in containers.iter().flat_map(|container| &container.titles) {
        if title != LAST && !titles.contains(&title.as_str()) {
            titles.push(title);
        }
    }
    if containers.iter().any(|container| container.titles.iter().any(|title| title == LAST)) {
        titles.push(LAST);
    }
    let heading = ["SERVICE", "#"].into_iter().chain(titles.iter().copied());
    let mut rows: Vec<Vec<String>> = vec![heading.map(str::to_owned).collect()];
    for container in containers {
        for row in &container.rows {
            rows.push(container.cells(row, &titles));
        }
    }
    lay_out(Layout::Tight, &rows)
}

impl Processes {
    fn cells(&self, row: &[String], titles: &[&str]) -> Vec<String> {
        let cell = |title: &&str| {
            let at = self.titles.iter().position(|own| own == title);
            at.and_then(|at| row.get(at)).map_or("-", String::as_str)
        };
        let own = [self.service.as_str(), self.number.as_str()];
        let cells = own.into_iter().chain(titles.iter().map(cell));
        cells.map(|cell| printable(cell).into_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::{Processes, table};

    #[test]
    fn columns_are_joined_and_the_command_is_last() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let processes = |service: &str, titles: &str, rows: &[&str]| Processes {
            service: service.to_owned(),
            number: "1".to_owned(),
            titles: words(titles),
            rows: rows.iter().map(|row| words(row)).collect(),
        };
        let a = processes("a", "UID PID CMD", &["root 13308 sleep", "root 1 sh"]);
        let b = processes("b", "PID CMD TIME", &["24995 x 00:00:00"]);
        assert_snapshot!(table(&[a.clone(), b]), @"
        SERVICE  #   UID   PID    TIME      CMD
        a        1   root  13308  -         sleep
        a        1   root  1      -         sh
        b        1   -     24995  00:00:00  x
        ");
        assert_eq!(table(&[Processes { rows: Vec::new(), ..a }]), "");
        assert_eq!(table(&[]), "");
    }
}
