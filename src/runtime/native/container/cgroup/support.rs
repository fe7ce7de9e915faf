//! Which limits this kernel knows.

use std::fs;
use std::path::{Path, PathBuf};

use super::hierarchy::Hierarchies;
use crate::model::Feature;

/// Why a limit cannot be set; `None` if it can.
pub(in crate::runtime::native::container) fn lacks(feature: Feature) -> Option<String> {
    let Ok(hosts) = Hierarchies::find() else {
        return Some("the mount table of this host cannot be read".to_owned());
    };
    let (old, files): (&str, &[&str]) = match feature {
        Feature::Swappiness => ("memory", &["memory.swappiness"]),
        Feature::OomKillDisable => ("memory", &["memory.oom_control"]),
        Feature::RealTimeCpu => ("cpu", &["cpu.rt_runtime_us"]),
        Feature::SwapLimit => ("memory", &["memory.memsw.limit_in_bytes", "memory.swap.max"]),
        Feature::BlockWeight => {
            ("blkio", &["blkio.weight", "blkio.bfq.weight", "io.weight", "io.bfq.weight"])
        }
        _ => return None,
    };
    let place = hosts.old(old).or(hosts.unified.as_deref());
    let Some(place) = place else {
        return Some(format!("this host has no cgroup controller `{old}`"));
    };
    // The root of a hierarchy has no limits: look into what lies below it.
    let has = |place: &Path| files.iter().any(|file| place.join(file).exists());
    let below = first_below(place);
    if has(place) || below.as_deref().is_none_or(has) {
        return None;
    }
    let version = if hosts.old(old).is_some() { "version 1" } else { "version 2" };
    Some(format!("this kernel has no `{}` in its cgroups of {version}", files[0]))
}

fn first_below(place: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(place).ok()?.flatten();
    entries.map(|entry| entry.path()).find(|path| path.is_dir())
}

/// What is mounted: `v1`, `v2`, `hybrid` or nothing, and the controllers that can be used.
pub(in crate::runtime::native::container) fn describe() -> (&'static str, Vec<String>) {
    let hosts = Hierarchies::find().unwrap_or_default();
    let mut controllers: Vec<String> =
        hosts.old.iter().flat_map(|old| old.controllers.iter().cloned()).collect();
    if let Some(unified) = &hosts.unified {
        let text = super::text::read(&unified.join("cgroup.controllers")).unwrap_or_default();
        controllers.extend(text.split_whitespace().map(str::to_owned));
    }
    let kind = match (hosts.old.is_empty(), hosts.unified.is_some()) {
        (true, true) => "v2",
        (false, true) => "hybrid",
        (false, false) => "v1",
        (true, false) => "none",
    };
    (kind, controllers)
}
