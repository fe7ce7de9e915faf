//! Work that ends when nobody waits for it any more.

use super::install::Cancel;

/// Sets a [`Cancel`] when it is dropped.
#[derive(Debug, Default)]
pub(super) struct CancelOnDrop(pub(super) Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.set();
    }
}
