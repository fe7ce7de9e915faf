//! Stub.

use super::Docker;
use crate::model::spec::InjectedFile;
use crate::runtime::{Result, Volumes};

impl Docker {
    pub(super) async fn start(&self, _container: &str, _files: &[InjectedFile]) -> Result<()> {
        todo!()
    }

    pub(super) async fn stop(&self, _container: &str, _seconds: Option<i32>) -> Result<()> {
        todo!()
    }

    pub(super) async fn restart(&self, _container: &str, _seconds: Option<i32>) -> Result<()> {
        todo!()
    }

    pub(super) async fn signal(&self, _container: &str, _signal: &str) -> Result<()> {
        todo!()
    }

    pub(super) async fn pause(&self, _container: &str) -> Result<()> {
        todo!()
    }

    pub(super) async fn unpause(&self, _container: &str) -> Result<()> {
        todo!()
    }

    pub(super) async fn delete_container(&self, _container: &str, _volumes: Volumes) -> Result<()> {
        todo!()
    }

    pub(super) async fn rename(&self, _container: &str, _name: &str) -> Result<()> {
        todo!()
    }
}
