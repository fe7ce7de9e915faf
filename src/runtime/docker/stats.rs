//! What containers use, and which processes they have.
//!
//! In: a container. Out: [`Sample`]s computed as `docker stats` does, and the process table.

use bollard::models::{
    ContainerBlkioStats, ContainerCpuStats, ContainerMemoryStats, ContainerStatsResponse,
};
use bollard::query_parameters::{StatsOptions, TopOptions};
use futures_util::stream::StreamExt as _;

use super::Docker;
use crate::runtime::{ProcessTable, Repeat, Result, Sample, Stream};

impl Docker {
    pub(super) async fn processes(&self, container: &str) -> Result<ProcessTable> {
        let found = self.client.top_processes(container, None::<TopOptions>).await;
        let found = found.map_err(|error| self.failure(error))?;
        Ok(ProcessTable {
            titles: found.titles.unwrap_or_default(),
            rows: found.processes.unwrap_or_default(),
        })
    }

    pub(super) fn samples(&self, container: &str, repeat: Repeat) -> Stream<'static, Sample> {
        // A single answer needs two measurements too: the engine waits for the second one.
        let options = StatsOptions { stream: repeat == Repeat::Forever, one_shot: false };
        let wire = self.wire();
        self.streaming
            .stats(container, Some(options))
            .map(move |answer| answer.map(sample).map_err(|error| wire.failure(error)))
            .boxed()
    }
}

fn sample(answer: ContainerStatsResponse) -> Sample {
    let networks = answer.networks.unwrap_or_default();
    let memory = answer.memory_stats.unwrap_or_default();
    Sample {
        cpu_percent: cpu_percent(
            &answer.precpu_stats.unwrap_or_default(),
            &answer.cpu_stats.unwrap_or_default(),
        ),
        memory: without_cache(&memory),
        memory_limit: memory.limit.unwrap_or_default(),
        network: (
            networks.values().filter_map(|network| network.rx_bytes).sum(),
            networks.values().filter_map(|network| network.tx_bytes).sum(),
        ),
        block: block(&answer.blkio_stats.unwrap_or_default()),
        processes: answer.pids_stats.and_then(|pids| pids.current).unwrap_or_default(),
    }
}

/// The container's share of the time that passed on all processors.
#[expect(clippy::cast_precision_loss, reason = "a percentage is shown with two decimals")]
fn cpu_percent(before: &ContainerCpuStats, now: &ContainerCpuStats) -> f64 {
    let used = |stats: &ContainerCpuStats| {
        stats.cpu_usage.as_ref().and_then(|usage| usage.total_usage).unwrap_or_default()
    };
    let system = |stats: &ContainerCpuStats| stats.system_cpu_usage.unwrap_or_default();
    let each = now.cpu_usage.as_ref().and_then(|usage| usage.percpu_usage.as_ref());
    let processors = match now.online_cpus {
        Some(count) if count > 0 => f64::from(count),
        _ => each.map_or(0, Vec::len) as f64,
    };
    let used = used(now).saturating_sub(used(before));
    let passed = system(now).saturating_sub(system(before));
    if passed == 0 { 0.0 } else { used as f64 / passed as f64 * processors * 100.0 }
}

/// Memory without the page cache that could be given back.
fn without_cache(memory: &ContainerMemoryStats) -> u64 {
    let usage = memory.usage.unwrap_or_default();
    let count = |name: &str| memory.stats.as_ref().and_then(|stats| stats.get(name)).copied();
    // Control groups of version 1 and version 2.
    let cache = count("total_inactive_file").or_else(|| count("inactive_file"));
    match cache {
        Some(cache) if cache < usage => usage - cache,
        _ => usage,
    }
}

/// Bytes read and written. Version 1 calls the operations `Read`, version 2 `read`.
fn block(stats: &ContainerBlkioStats) -> (u64, u64) {
    let sum = |operation: &str| {
        let entries = stats.io_service_bytes_recursive.iter().flatten();
        entries
            .filter(|entry| {
                entry.op.as_deref().is_some_and(|op| op.eq_ignore_ascii_case(operation))
            })
            .filter_map(|entry| entry.value)
            .sum()
    };
    (sum("read"), sum("write"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(json: serde_json::Value) -> Sample {
        sample(serde_json::from_value(json).unwrap())
    }

    #[test]
    fn control_groups_of_version_1() {
        let found = from(serde_json::json!({
            "precpu_stats": { "cpu_usage": { "total_usage": 1000 }, "system_cpu_usage": 10_000 },
            "cpu_stats": {
                "cpu_usage": { "total_usage": 2000, "percpu_usage": [1000, 1000] },
                "system_cpu_usage": 14_000
            },
            "memory_stats": {
                "usage": 5000, "limit": 9000,
                "stats": { "total_inactive_file": 1500, "inactive_file": 1 }
            },
            "networks": {
                "eth0": { "rx_bytes": 1, "tx_bytes": 2 }, "eth1": { "rx_bytes": 10, "tx_bytes": 20 }
            },
            "blkio_stats": { "io_service_bytes_recursive": [
                { "major": 8, "minor": 0, "op": "Read", "value": 3 },
                { "major": 8, "minor": 0, "op": "Write", "value": 4 },
                { "major": 8, "minor": 0, "op": "Total", "value": 7 },
                { "major": 9, "minor": 0, "op": "Read", "value": 30 }
            ] },
            "pids_stats": { "current": 6 }
        }));
        let expected = Sample {
            cpu_percent: 50.0,
            memory: 3500,
            memory_limit: 9000,
            network: (11, 22),
            block: (33, 4),
            processes: 6,
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn control_groups_of_version_2() {
        let found = from(serde_json::json!({
            "precpu_stats": { "cpu_usage": { "total_usage": 0 }, "system_cpu_usage": 0 },
            "cpu_stats": {
                "cpu_usage": { "total_usage": 100 }, "system_cpu_usage": 400, "online_cpus": 8
            },
            "memory_stats": { "usage": 5000, "limit": 9000, "stats": { "inactive_file": 1000 } },
            "blkio_stats": { "io_service_bytes_recursive": [{ "op": "read", "value": 3 }] }
        }));
        assert!((found.cpu_percent - 200.0).abs() < 1e-9);
        assert_eq!((found.memory, found.block), (4000, (3, 0)));
    }

    #[test]
    fn a_container_that_does_not_run_uses_nothing() {
        let found = from(serde_json::json!({
            "precpu_stats": { "cpu_usage": { "total_usage": 5 }, "system_cpu_usage": 9 },
            "cpu_stats": { "cpu_usage": { "total_usage": 0 } },
            "memory_stats": {}
        }));
        assert_eq!(found, Sample::default());
    }

    #[tokio::test]
    async fn a_running_container_is_measured() {
        use futures_util::TryStreamExt as _;

        use super::super::trial::{IMAGE, Trial, engine};

        let Some(engine) = engine().await else { return };
        let trial = Trial::run("stats", &[IMAGE, "sh", "-c", "while :; do :; done"]);
        let once: Vec<Sample> =
            engine.samples(&trial.name, Repeat::Once).try_collect().await.unwrap();
        assert_eq!(once.len(), 1);
        assert!(once[0].cpu_percent > 0.0 && once[0].memory > 0 && once[0].processes == 1);
        assert!(once[0].memory_limit > once[0].memory);
        let two = engine.samples(&trial.name, Repeat::Forever).take(2);
        assert_eq!(two.try_collect::<Vec<_>>().await.unwrap().len(), 2);
        let table = engine.processes(&trial.name).await.unwrap();
        assert_eq!((table.titles[0].as_str(), table.rows.len()), ("UID", 1));
        assert!(table.rows[0].last().unwrap().contains("while"));
    }
}
