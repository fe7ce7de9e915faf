//! Stub.

use super::Docker;
use crate::model::ServiceNetwork;
use crate::model::observed::ObservedNetwork;
use crate::model::spec::NetworkSpec;
use crate::runtime::Result;

impl Docker {
    pub(super) async fn network_named(&self, _name: &str) -> Result<Option<ObservedNetwork>> {
        todo!()
    }

    pub(super) async fn make_network(&self, _network: &NetworkSpec) -> Result<()> {
        todo!()
    }

    pub(super) async fn delete_network(&self, _network: &str) -> Result<()> {
        todo!()
    }

    pub(super) async fn join_network(
        &self,
        _network: &str,
        _container: &str,
        _options: &ServiceNetwork,
    ) -> Result<()> {
        todo!()
    }

    pub(super) async fn leave_network(&self, _network: &str, _container: &str) -> Result<()> {
        todo!()
    }
}
