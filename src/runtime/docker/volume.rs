//! Volumes.
//!
//! In: specs and names. Out: requests. What is there already, or gone already, is no error.

use bollard::models::{Volume, VolumeCreateRequest};
use bollard::query_parameters::RemoveVolumeOptions;

use super::Docker;
use super::network::{map, text};
use crate::model::observed::ObservedVolume;
use crate::model::spec::VolumeSpec;
use crate::runtime::{Result, RuntimeError};

impl Docker {
    pub(super) async fn volume_named(&self, name: &str) -> Result<Option<ObservedVolume>> {
        if !is_possible(name) {
            return Ok(None);
        }
        match self.client.inspect_volume(name).await.map_err(|error| self.failure(error)) {
            Ok(volume) => Ok(Some(observed(volume))),
            Err(RuntimeError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn make_volume(&self, volume: &VolumeSpec) -> Result<()> {
        let done = self.patient.create_volume(request(volume)).await;
        done.map(|_| ()).map_err(|error| self.failure(error))
    }

    pub(super) async fn delete_volume(&self, volume: &str) -> Result<()> {
        if !is_possible(volume) {
            return Ok(());
        }
        let options = None::<RemoveVolumeOptions>;
        let done = self.patient.remove_volume(volume, options).await;
        match done.map_err(|error| self.failure(error)) {
            Err(RuntimeError::NotFound(_)) => Ok(()),
            done => done,
        }
    }
}

/// Whether an engine lets a volume have this name. Another one would not even fit into a URL.
fn is_possible(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(fits)
}

/// A volume of a list.
pub(super) fn observed(volume: Volume) -> ObservedVolume {
    ObservedVolume {
        name: volume.name,
        driver: volume.driver,
        mountpoint: volume.mountpoint,
        labels: volume.labels.into_iter().collect(),
    }
}

fn request(spec: &VolumeSpec) -> VolumeCreateRequest {
    VolumeCreateRequest {
        name: Some(spec.volume.name.clone()),
        driver: text(&spec.volume.driver),
        driver_opts: map(&spec.volume.driver_opts),
        labels: map(&spec.labels),
        ..VolumeCreateRequest::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{is_possible, request};
    use crate::model::Volume;
    use crate::model::spec::VolumeSpec;

    #[test]
    fn a_volume_has_all_its_attributes() {
        let volume: Volume =
            serde_yaml::from_str("{name: v, driver: local, driver_opts: {o: bind}}").unwrap();
        let spec = VolumeSpec { volume, labels: [("l".to_owned(), "1".to_owned())].into() };
        assert_eq!(
            serde_json::to_value(request(&spec)).unwrap(),
            json!({"Name": "v", "Driver": "local", "DriverOpts": {"o": "bind"}, "Labels": {"l": "1"}})
        );
    }

    #[test]
    fn names_that_no_volume_can_have_are_not_asked_for() {
        assert!(is_possible("shop_data-1.x"));
        for name in ["", "../containers", "a/b", "a?b", "_a", "ä"] {
            assert!(!is_possible(name), "{name}");
        }
    }
}
