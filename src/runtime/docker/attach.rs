//! Stub.

use super::Docker;
use crate::runtime::{AttachOptions, Result, Session, Size, Terminal};

impl Docker {
    pub(super) async fn attach_streams(
        &self,
        _container: &str,
        _options: &AttachOptions,
    ) -> Result<Session> {
        todo!()
    }

    pub(super) async fn resize_terminal(&self, _terminal: &Terminal, _size: Size) -> Result<()> {
        todo!()
    }
}
