//! Says what is waited for when an engine takes long over what it should answer at once.

use std::pin::pin;
use std::time::Duration;

/// How long nothing is said.
const SILENCE: Duration = Duration::from_secs(5);

/// Does some work, and tells if it takes long.
pub async fn patiently<T>(work: impl Future<Output = T>, tell: impl FnOnce(&str)) -> T {
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
