//! The end of a shim: what the container had of the host is given back.
//!
//! In: a container that has ended for good. Out: nothing of it but its files; with `--rm` not even
//! those.

use super::Shim;
use crate::runtime::Volumes;
use crate::runtime::native::remove;

/// More turns than all the tasks together need to send their answers.
const TURNS: usize = 1000;

/// Gives back what the container had, removes it if it wants that, and lets those go on who wait.
pub(super) async fn finish(shim: &Shim) {
    clean(shim);
    shim.tell_the_end();
    remove_if_wanted(shim);
    // Who hears that it is over may start it again at once.
    shim.lock.take();
    shim.over.notify_waiters();
    // Answers fit into the buffers of their sockets: a client that does not read is not waited for.
    for _ in 0..TURNS {
        if shim.owed.get() == 0 {
            break;
        }
        tokio::task::yield_now().await;
    }
}

/// Removes what is to be removed when it has ended, or could not be started.
pub(super) fn remove_if_wanted(shim: &Shim) {
    if !shim.record.auto_remove || shim.is_kept.get() {
        return;
    }
    let name = shim.name();
    let removed = remove::delete(&shim.root, (&name, &shim.place), Volumes::Remove);
    if let Err(error) = removed {
        // It is seen as ended, and may be removed by hand.
        tracing::warn!("cannot remove {name}: {error}");
    }
}

/// Gives back addresses, names, and what the kernel keeps.
pub(super) fn clean(shim: &Shim) {
    if let Err(error) = remove::release(&shim.root, &shim.place, &shim.record) {
        // The next command finds it and tries again.
        tracing::warn!("cannot clean up after {}: {error}", shim.place.id);
    }
}
