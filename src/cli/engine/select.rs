//! Which containers a command means.

use std::collections::BTreeSet;

use crate::cli::exit::Failure;
use crate::model::observed::{Observed, ObservedContainer};

/// The containers of services, without those of `run`; of all services if none is named.
pub(in crate::cli) fn containers<'o>(
    observed: &'o Observed,
    services: &BTreeSet<String>,
) -> Vec<&'o ObservedContainer> {
    observed
        .containers
        .iter()
        .filter(|container| !container.is_one_off())
        .filter(|container| services.is_empty() || services.contains(container.service()))
        .collect()
}

/// The container that `exec`, `port` and others mean: the one with this number, else the one that
/// runs with the lowest number.
pub(in crate::cli) fn one_container<'o>(
    observed: &'o Observed,
    service: &str,
    index: Option<u64>,
) -> Result<&'o ObservedContainer, Failure> {
    let mut all: Vec<&ObservedContainer> =
        observed.containers.iter().filter(|container| container.service() == service).collect();
    all.sort_by_key(|container| (container.is_one_off(), !container.is_up(), container.number()));
    let mut meant = all.into_iter().filter(|container| match index {
        Some(index) => container.number() == Some(index),
        None => true,
    });
    meant.next().ok_or_else(|| Failure::NotRunning { service: service.to_owned(), index })
}
