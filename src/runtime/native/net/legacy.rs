//! placeholder
use std::io;
pub(super) fn allow_forwarding(_p: &str) -> io::Result<()> {
    Ok(())
}
pub(super) fn disallow_forwarding(_p: &str) -> io::Result<()> {
    Ok(())
}
