//! What a container does, whether its shim lives or not.
//!
//! In: a container. Out: what its state file says while its lock is held. A shim that was killed,
//! or a host that was restarted, leaves a file that says more than is true: then it is put right.

use super::lock;
use super::names::Named;
use super::record::Record;
use super::remove::release;
use super::restart::End;
use super::root::{Place, Root};
use super::state::{self, Durability, Phase, Status, boot};
use super::{clock, events};
use crate::runtime::Result;

/// What is known of a container.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Seen {
    /// What it does.
    pub(super) status: Status,
    /// Whether somebody looks after it: its shim, or who removes it.
    pub(super) is_held: bool,
    /// Whether its restart policy wants it to be started by who sees this.
    pub(super) wants_start: bool,
}

/// The exit code of a container whose shim was killed, and with it the container.
const KILLED: i64 = 137;

/// Looks at a container; `None` if it is gone.
pub(super) fn look(root: &Root, named: &Named) -> Result<Option<Seen>> {
    let place = root.container(&named.id);
    let Some(status) = state::read::<Status>(&place.state())? else { return Ok(None) };
    let is_held = lock::is_held(&place.lock())?;
    if is_held || !status.phase.is_up() {
        return Ok(Some(Seen { status, is_held, wants_start: false }));
    }
    // Its shim may have ended between the two looks.
    let Some(status) = state::read::<Status>(&place.state())? else { return Ok(None) };
    if !status.phase.is_up() {
        return Ok(Some(Seen { status, ..Seen::default() }));
    }
    put_right(root, named)
}

/// Writes down how a container ended whose shim is gone, and gives back what it had.
fn put_right(root: &Root, named: &Named) -> Result<Option<Seen>> {
    let place = root.container(&named.id);
    let Some(_lock) = lock::take(&place.lock())? else {
        // Somebody else is at it, or starts it anew.
        let status = state::read::<Status>(&place.state())?;
        return Ok(status.map(|status| Seen { status, is_held: true, wants_start: false }));
    };
    let Some(mut status) = state::read::<Status>(&place.state())? else { return Ok(None) };
    let Some(record) = Record::read(&place)? else { return Ok(None) };
    if !status.phase.is_up() {
        return Ok(Some(Seen { status, ..Seen::default() }));
    }
    release(root, &place, &record)?;
    // Where the disk was full, its shim could tell the end only here. It may still be full.
    let told: Option<Status> = state::read(&place.last_words())?;
    if let Some(status) = told {
        keep(&place, &status);
        return Ok(Some(Seen { status, ..Seen::default() }));
    }
    let is_same_boot = status.boot == boot();
    status.phase = Phase::Exited;
    status.pid = 0;
    status.finished = clock::now();
    status.exit_code = KILLED;
    status.health = None;
    status.ports.clear();
    status.reason = if is_same_boot {
        "its supervisor was killed, and the container with it".to_owned()
    } else {
        "the host was restarted".to_owned()
    };
    let end = End { code: KILLED, by_request: status.stop_wanted, restarts: status.restarts };
    // After a restart of the host `autostart` starts what is to be started.
    let wants_start = is_same_boot && record.restart.wants(end);
    if !keep(&place, &status) {
        return Ok(Some(Seen { status, ..Seen::default() }));
    }
    let Record { image, labels, .. } = &record;
    let subject = events::Subject { id: &place.id, name: &named.name, image, labels };
    events::tell(root, subject, "die", &[("exitCode", KILLED.to_string())]);
    Ok(Some(Seen { status, is_held: false, wants_start }))
}

/// Writes the state down, which a full disk does not permit; whether it is written.
fn keep(place: &Place, status: &Status) -> bool {
    let kept = state::write(&place.state(), status, Durability::Durable);
    if let Err(error) = &kept {
        tracing::warn!("{error}");
    }
    kept.is_ok()
}
