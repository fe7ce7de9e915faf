//! Stub.

use super::Docker;
use crate::model::Hook;
use crate::runtime::{ExecSpec, Result, Session};

impl Docker {
    pub(super) async fn start_exec(
        &self,
        _container: &str,
        _command: &ExecSpec,
    ) -> Result<(String, Option<Session>)> {
        todo!()
    }

    pub(super) async fn exec_code(&self, _exec: &str) -> Result<Option<i64>> {
        todo!()
    }

    pub(super) async fn hook(&self, _container: &str, _hook: &Hook) -> Result<(i64, String)> {
        todo!()
    }
}
