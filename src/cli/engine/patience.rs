//! Says what is waited for when an engine takes long over what it should answer at once.

use std::pin::pin;
use std::time::Duration;

use super::{Engine, interruptible};
use crate::cli::exit::Failure;
use crate::runtime::Result;

/// How long nothing is said.
const SILENCE: Duration = Duration::from_secs(5);

/// Does some work, and tells if it takes long.
pub(super) async fn patiently<T>(work: impl Future<Output = T>, tell: impl FnOnce(&str)) -> T {
    let mut work = pin!(work);
    tokio::select! {
        biased;
        done = &mut work => return done,
        () = tokio::time::sleep(SILENCE) => {
            let seconds = SILENCE.as_secs();
            tell(&format!("waiting for the engine, which has not answered for {seconds} seconds\n"));
        }
    }
    work.await
}

impl Engine<'_, '_> {
    /// Asks the engine something, until Ctrl-C, and tells if that takes long.
    pub(in crate::cli) async fn asking<T>(
        &self,
        work: impl Future<Output = Result<T>>,
    ) -> std::result::Result<T, Failure> {
        let work = async { Ok(patiently(work, |text| self.progress.aside(text)).await?) };
        interruptible(self.interrupts.shutdown(), work).await
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::time::Duration;

    use super::patiently;

    #[tokio::test(start_paused = true)]
    async fn only_what_takes_long_is_told() {
        let told = RefCell::new(String::new());
        let work = |seconds| tokio::time::sleep(Duration::from_secs(seconds));
        patiently(work(4), |text| told.borrow_mut().push_str(text)).await;
        assert_eq!(told.borrow().as_str(), "");
        patiently(work(20), |text| told.borrow_mut().push_str(text)).await;
        assert!(told.borrow().contains("for 5 seconds"));
    }
}
