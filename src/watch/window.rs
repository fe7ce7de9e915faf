//! How long to wait for more before a batch goes out. Pure.
//!
//! One save goes out after [`LEAST`]. While more keeps coming the wait grows with what was waited
//! already, up to a limit: [`FIRST`] at the beginning of a burst, so that its first files are there
//! at once, then twice as much for each batch that was cut off, up to [`MOST`], so that a burst of
//! any length becomes few batches.

use std::time::Duration;

/// How long nothing may have happened before a batch goes out.
const LEAST: Duration = Duration::from_millis(6);

/// The longest that anything waits in the first batch of a burst.
const FIRST: Duration = Duration::from_millis(24);

/// The longest that anything waits.
const MOST: Duration = Duration::from_millis(150);

/// A batch that is being collected, or was last. Times count from its first event.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Window {
    due: Duration,
    most: Duration,
}

impl Window {
    /// Something happened: the next batch begins.
    pub(super) fn following(&self) -> Self {
        let most = if self.is_full() { (self.most * 2).min(MOST) } else { FIRST };
        Self { due: LEAST, most }
    }

    /// Something more has happened.
    pub(super) fn extend(&mut self, now: Duration) {
        let quiet = (now / 2).max(LEAST);
        self.due = self.due.max(now + quiet).min(self.most);
    }

    /// Whether it goes out although more may be coming.
    pub(super) fn is_full(&self) -> bool {
        !self.most.is_zero() && self.due == self.most
    }

    /// When the batch goes out.
    pub(super) fn due(&self) -> Duration {
        self.due
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{FIRST, LEAST, MOST, Window};

    fn milliseconds(number: u64) -> Duration {
        Duration::from_millis(number)
    }

    #[test]
    fn one_save_goes_out_at_once_and_a_burst_is_put_together() {
        let mut window = Window::default().following();
        assert_eq!(window.due(), LEAST);
        window.extend(Duration::from_micros(300));
        assert_eq!(window.due(), LEAST + Duration::from_micros(300));
        window.extend(milliseconds(6));
        assert_eq!(window.due(), milliseconds(12));
        assert!(!window.is_full());
    }

    #[test]
    fn a_burst_that_goes_on_is_cut_and_what_is_cut_grows() {
        let mut window = Window::default();
        let mut lengths = Vec::new();
        for _ in 0..5 {
            window = window.following();
            let mut now = Duration::ZERO;
            while now < window.due() {
                window.extend(now);
                now += milliseconds(1);
            }
            assert!(window.is_full(), "whatever goes on");
            lengths.push(window.due());
        }
        assert_eq!(lengths, [FIRST, FIRST * 2, FIRST * 4, MOST, MOST]);
        assert_eq!(window.following().due(), LEAST);
        assert!(!window.following().is_full());
        assert_eq!(window.following().following().most, FIRST, "the burst is over");
    }
}
