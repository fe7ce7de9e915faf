//! Stub.

use super::Docker;
use crate::model::observed::ObservedVolume;
use crate::model::spec::VolumeSpec;
use crate::runtime::Result;

impl Docker {
    pub(super) async fn volume_named(&self, _name: &str) -> Result<Option<ObservedVolume>> {
        todo!()
    }

    pub(super) async fn make_volume(&self, _volume: &VolumeSpec) -> Result<()> {
        todo!()
    }

    pub(super) async fn delete_volume(&self, _volume: &str) -> Result<()> {
        todo!()
    }
}
