//! What is started when the host was started.
//!
//! In: containers whose last boot is over. Out: those of them run whose restart policy wants it.

use super::Native;
use super::names;
use super::record::Record;
use super::recover::look;
use super::restart::End;
use super::state::boot;
use crate::runtime::Result;

/// What came of starting a container.
#[derive(Debug)]
pub struct Revived {
    /// Its name.
    pub container: String,
    /// Whether it runs, or why not.
    pub outcome: Result<()>,
}

impl Native {
    /// Starts all containers that ran, or were to run, when the host went down.
    ///
    /// # Errors
    ///
    /// The containers cannot be listed. That one cannot be started is told beside its name.
    pub async fn revive(&self) -> Result<Vec<Revived>> {
        let mut revived = Vec::new();
        for named in names::all(&self.root)? {
            let Some(seen) = look(&self.root, &named)? else { continue };
            let Some(record) = Record::read(&self.root.container(&named.id))? else { continue };
            let status = &seen.status;
            let end = End { code: 0, by_request: status.stop_wanted, restarts: 0 };
            let is_of_the_past = status.started != 0 && status.boot != boot();
            if !seen.is_held && is_of_the_past && record.restart.outlives_boot(end) {
                let outcome = self.start(&named.id, &[]).await;
                revived.push(Revived { container: named.name, outcome });
            }
        }
        Ok(revived)
    }
}
