//! How a command in a container ended.

use std::time::Duration;

use crate::runtime::{Result, Runtime};

/// The exit code of a command whose streams have ended, which is nearly always its own end.
///
/// # Errors
///
/// The runtime fails.
pub async fn exec_code(runtime: &dyn Runtime, exec: &str) -> Result<i64> {
    const LONGEST: Duration = Duration::from_millis(500);
    let mut pause = Duration::from_millis(2);
    loop {
        if let Some(code) = runtime.exec_exit_code(exec).await? {
            return Ok(code);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST);
    }
}
