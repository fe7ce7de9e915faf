//! How long to wait for more before a batch goes out. Pure.
//!
//! One save goes out after [`LEAST`]; while more keeps coming the wait grows with what was waited
//! already, up to [`MOST`], so that a burst of any length becomes few batches.

use std::time::Duration;

/// How long nothing may have happened before a batch goes out.
const LEAST: Duration = Duration::from_millis(6);

/// The longest that anything waits.
const MOST: Duration = Duration::from_millis(150);

/// A batch that is being collected. Times count from its first event.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    due: Duration,
}

impl Window {
    /// Something happened: a batch begins.
    pub(super) fn open() -> Self {
        Self { due: LEAST }
    }

    /// Something more has happened.
    pub(super) fn extend(&mut self, now: Duration) {
        let quiet = now.max(LEAST);
        self.due = self.due.max(now + quiet).min(MOST);
    }

    /// Whether it goes out although more may be coming.
    pub(super) fn is_full(&self) -> bool {
        self.due == MOST
    }

    /// When the batch goes out.
    pub(super) fn due(&self) -> Duration {
        self.due
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{LEAST, MOST, Window};

    fn milliseconds(number: u64) -> Duration {
        Duration::from_millis(number)
    }

    #[test]
    fn one_save_goes_out_at_once_and_a_burst_is_put_together() {
        let mut window = Window::open();
        assert_eq!(window.due(), LEAST);
        window.extend(Duration::from_micros(300));
        assert_eq!(window.due(), LEAST + Duration::from_micros(300));
        window.extend(milliseconds(10));
        assert_eq!(window.due(), milliseconds(20));
        window.extend(milliseconds(12));
        assert_eq!(window.due(), milliseconds(24));
        for time in 13..400 {
            window.extend(milliseconds(time));
        }
        assert_eq!(window.due(), MOST, "whatever goes on");
    }
}
