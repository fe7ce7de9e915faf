//! Entries for `/etc/hosts` as they are printed.

use std::collections::BTreeMap;

use serde::Serializer;

/// Serialises host names and their addresses as a sorted list of `HOST=ADDRESS`.
pub(super) fn serialize<S: Serializer>(
    hosts: &BTreeMap<String, Vec<String>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut lines: Vec<String> = hosts
        .iter()
        .flat_map(|(host, addresses)| addresses.iter().map(move |ip| format!("{host}={ip}")))
        .collect();
    lines.sort();
    serializer.collect_seq(lines)
}
