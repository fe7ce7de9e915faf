//! Stub.

use super::Docker;
use crate::runtime::{LogOptions, RuntimeEvent, Stream};

impl Docker {
    pub(super) fn read_events(
        &self,
        _project: &str,
        _options: &LogOptions,
    ) -> Stream<'static, RuntimeEvent> {
        todo!()
    }
}
