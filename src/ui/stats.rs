//! `stats`: what containers use.
//!
//! In: [`Usage`], one for each container. Out: a [`Listing`].

use serde_json::{Value, json};

use super::listing::{Columns, Listing, Row, Truncation, short_id};
use super::size::{binary, decimal};
use crate::model::Dict;
use crate::model::observed::Sample;

const COLUMNS: Columns = &[
    ("ID", "CONTAINER ID"),
    ("Name", "NAME"),
    ("CPUPerc", "CPU %"),
    ("MemUsage", "MEM USAGE / LIMIT"),
    ("MemPerc", "MEM %"),
    ("NetIO", "NET I/O"),
    ("BlockIO", "BLOCK I/O"),
    ("PIDs", "PIDS"),
];
const MORE: Columns = &[("Container", "CONTAINER")];

/// Makes room for the next table on a terminal.
pub const CLEAR: &str = "\x1b[2J\x1b[H";

/// A container and what it uses.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Usage {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What was measured; `None`: nothing, as it does not run.
    pub measured: Option<Sample>,
}

/// What `stats` prints.
pub fn listing(usages: &[Usage], truncation: Truncation) -> Listing {
    let rows = usages.iter().map(|usage| row(usage, truncation)).collect();
    Listing { rows, columns: COLUMNS, more: MORE, raw: "" }
}

fn row(usage: &Usage, truncation: Truncation) -> Row {
    let [cpu, memory, share, network, block, processes] = match &usage.measured {
        Some(measured) => Usage::texts(measured),
        None => ["--", "-- / --", "--", "--", "--", "--"].map(str::to_owned),
    };
    let fields: [(&'static str, Value); 9] = [
        ("BlockIO", json!(block)),
        ("CPUPerc", json!(cpu)),
        ("Container", json!(usage.id)),
        ("ID", json!(short_id(&usage.id, truncation))),
        ("MemPerc", json!(share)),
        ("MemUsage", json!(memory)),
        ("Name", json!(usage.name)),
        ("NetIO", json!(network)),
        ("PIDs", json!(processes)),
    ];
    Row { fields: fields.into_iter().collect(), labels: Dict::new() }
}

impl Usage {
    /// What was measured, column by column.
    fn texts(sample: &Sample) -> [String; 6] {
        #[expect(clippy::cast_precision_loss, reason = "two decimals are shown")]
        let share = match sample.memory_limit {
            0 => 0.0,
            limit => sample.memory as f64 / limit as f64 * 100.0,
        };
        let pair =
            |(one, other): (u64, u64)| format!("{} / {}", decimal(one, 3), decimal(other, 3));
        [
            format!("{:.2}%", sample.cpu_percent),
            format!("{} / {}", binary(sample.memory), binary(sample.memory_limit)),
            format!("{share:.2}%"),
            pair(sample.network),
            pair(sample.block),
            sample.processes.to_string(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::{Sample, Usage, listing};
    use crate::ui::listing::Truncation;

    #[test]
    fn stats_as_docker_prints_them() {
        let measured = Sample {
            cpu_percent: 0.071,
            memory: 708 * 1024,
            memory_limit: 25_274_000_000,
            network: (1110, 0),
            block: (0, 0),
            processes: 2,
        };
        let id = "0d66a5517cae2cbf174ae4b6e27aadfd63348277d60eac92eb4faca8575d528c".to_owned();
        let running = Usage { id, name: "p-a-1".to_owned(), measured: Some(measured) };
        let stopped = Usage { measured: None, name: "p-b-1".to_owned(), ..running.clone() };
        let shown = |format: &str| {
            let listing = listing(&[running.clone(), stopped.clone()], Truncation::Short);
            listing.format(format).expect("a good format")
        };
        assert_snapshot!(shown(""), @"
        CONTAINER ID   NAME      CPU %     MEM USAGE / LIMIT   MEM %     NET I/O       BLOCK I/O   PIDS
        0d66a5517cae   p-a-1     0.07%     708KiB / 23.54GiB   0.00%     1.11kB / 0B   0B / 0B     2
        0d66a5517cae   p-b-1     --        -- / --             --        --            --          --
        ");
        assert_snapshot!(shown("json"), @r#"
        {"BlockIO":"0B / 0B","CPUPerc":"0.07%","Container":"0d66a5517cae2cbf174ae4b6e27aadfd63348277d60eac92eb4faca8575d528c","ID":"0d66a5517cae","MemPerc":"0.00%","MemUsage":"708KiB / 23.54GiB","Name":"p-a-1","NetIO":"1.11kB / 0B","PIDs":"2"}
        {"BlockIO":"--","CPUPerc":"--","Container":"0d66a5517cae2cbf174ae4b6e27aadfd63348277d60eac92eb4faca8575d528c","ID":"0d66a5517cae","MemPerc":"--","MemUsage":"-- / --","Name":"p-b-1","NetIO":"--","PIDs":"--"}
        "#);
    }
}
