//! What is mounted into a container.
//!
//! In: the mounts of a spec. Out: `Binds` and `Mounts` of the host config. Only `Binds` make a
//! missing folder of the host; only `Mounts` have all options.

use bollard::models::{
    HostConfig, Mount, MountBindOptions, MountImageOptions, MountTmpfsOptions, MountType,
    MountVolumeOptions,
};

use crate::model::{self, BindOptions, VolumeOptions};
use crate::runtime::docker::network::{list, map, text};
use crate::runtime::{Result, RuntimeError};

/// Sorts the mounts into the two lists of a host config.
pub(super) fn mount_all(host: &mut HostConfig, all: &[model::Mount]) -> Result<()> {
    let (binds, mounts): (Vec<_>, Vec<_>) = all.iter().partition(|mount| fits_bind(mount));
    let binds: Vec<_> = binds.into_iter().map(bind).collect();
    let mounts = mounts.into_iter().map(mount).collect::<Result<Vec<_>>>()?;
    host.binds = list(&binds);
    host.mounts = list(&mounts);
    Ok(())
}

/// Whether a mount can be told as `SOURCE:TARGET:OPTIONS`.
fn fits_bind(mount: &model::Mount) -> bool {
    match mount.kind.as_str() {
        "bind" => mount.bind.as_ref().is_none_or(|bind| {
            // Only here can the label of SELinux and the propagation stand side by side.
            let propagates = !bind.propagation.is_empty() && bind.selinux.is_empty();
            bind.create_host_path && bind.recursive.is_empty() && !propagates
        }),
        "volume" => {
            let plain = |volume: &VolumeOptions| {
                volume.labels.is_empty() && volume.subpath.is_empty() && !volume.nocopy
            };
            !mount.source.is_empty() && mount.volume.as_ref().is_none_or(plain)
        }
        _ => false,
    }
}

fn bind(mount: &model::Mount) -> String {
    let mut options = vec![if mount.read_only { "ro" } else { "rw" }];
    if let Some(bind) = &mount.bind {
        options.extend([bind.selinux.as_str(), bind.propagation.as_str()]);
    }
    options.retain(|option| !option.is_empty());
    format!("{}:{}:{}", mount.source, mount.target, options.join(","))
}

fn mount(mount: &model::Mount) -> Result<Mount> {
    let kind = mount.kind.as_str();
    let typ: MountType = kind.parse().map_err(|()| {
        RuntimeError::Unsupported(format!("`{kind}` is no type of mount that Docker knows"))
    })?;
    Ok(Mount {
        typ: Some(typ),
        source: text(&mount.source),
        target: Some(mount.target.clone()),
        read_only: mount.read_only.then_some(true),
        consistency: text(&mount.consistency),
        bind_options: match &mount.bind {
            Some(bind) if kind == "bind" => Some(bind_options(bind)?),
            _ => None,
        },
        volume_options: mount.volume.as_ref().filter(|_| kind == "volume").map(volume_options),
        tmpfs_options: mount.tmpfs.as_ref().filter(|_| kind == "tmpfs").map(tmpfs_options),
        image_options: mount
            .image
            .as_ref()
            .filter(|_| kind == "image")
            .map(|image| MountImageOptions { subpath: text(&image.subpath) }),
    })
}

fn bind_options(bind: &BindOptions) -> Result<MountBindOptions> {
    let propagation = match bind.propagation.as_str() {
        "" => None,
        text => Some(text.parse().map_err(|_| {
            RuntimeError::Unsupported(format!("`{text}` is no propagation that Docker knows"))
        })?),
    };
    let recursive = |word| (bind.recursive == word).then_some(true);
    Ok(MountBindOptions {
        propagation,
        create_mountpoint: bind.create_host_path.then_some(true),
        non_recursive: recursive("disabled"),
        read_only_non_recursive: recursive("writable"),
        read_only_force_recursive: recursive("readonly"),
    })
}

fn volume_options(volume: &VolumeOptions) -> MountVolumeOptions {
    MountVolumeOptions {
        no_copy: volume.nocopy.then_some(true),
        labels: map(&volume.labels),
        subpath: text(&volume.subpath),
        driver_config: None,
    }
}

fn tmpfs_options(tmpfs: &model::TmpfsOptions) -> MountTmpfsOptions {
    MountTmpfsOptions {
        size_bytes: Some(tmpfs.size.0).filter(|size| *size != 0),
        mode: Some(i64::from(tmpfs.mode)).filter(|mode| *mode != 0),
        options: None,
    }
}

/// What the mounts ask for that no request can say.
pub(super) fn remarks(all: &[model::Mount]) -> Vec<String> {
    let lost = |mount: &&model::Mount| {
        let labelled = mount.bind.as_ref().is_some_and(|bind| !bind.selinux.is_empty());
        labelled && !fits_bind(mount)
    };
    let remark = |mount: &model::Mount| {
        format!(
            "`selinux` of the mount at `{}` has no effect beside `create_host_path: false` or \
             `recursive`",
            mount.target
        )
    };
    all.iter().filter(lost).map(remark).collect()
}

#[cfg(test)]
mod tests {
    use bollard::models::HostConfig;
    use serde_json::{Value, json};

    use super::{mount_all, remarks};
    use crate::model::Mount;

    fn mounted(yaml: &str) -> Result<Value, String> {
        let all: Vec<Mount> = serde_yaml::from_str(yaml).expect("canonical mounts");
        let mut host = HostConfig::default();
        mount_all(&mut host, &all).map_err(|error| error.to_string())?;
        Ok(serde_json::to_value(host).unwrap())
    }

    #[test]
    fn what_a_bind_can_say_is_a_bind() {
        let body = mounted(
            "[{type: bind, source: /a, target: /b},
              {type: bind, source: /c, target: /d, read_only: true,
               bind: {create_host_path: true, selinux: z}},
              {type: volume, source: v, target: /e, volume: {}}]",
        );
        assert_eq!(body.unwrap(), json!({"Binds": ["/a:/b:rw", "/c:/d:ro,z", "v:/e:rw"]}));
    }

    #[test]
    fn all_else_is_a_mount() {
        let body = mounted(
            "[{type: bind, source: /a, target: /b, bind: {create_host_path: false}},
              {type: bind, source: /a, target: /c,
               bind: {create_host_path: true, propagation: rshared, recursive: readonly}},
              {type: volume, target: /d, volume: {}},
              {type: volume, source: v, target: /e, volume: {nocopy: true, subpath: s, labels: {l: m}}},
              {type: tmpfs, target: /f, tmpfs: {size: 10, mode: 448}},
              {type: image, source: i, target: /g, read_only: true, image: {subpath: s}}]",
        );
        assert_eq!(
            body.unwrap(),
            json!({"Mounts": [
                {"Type": "bind", "Source": "/a", "Target": "/b", "BindOptions": {}},
                {"Type": "bind", "Source": "/a", "Target": "/c", "BindOptions": {
                    "Propagation": "rshared", "CreateMountpoint": true,
                    "ReadOnlyForceRecursive": true}},
                {"Type": "volume", "Target": "/d", "VolumeOptions": {}},
                {"Type": "volume", "Source": "v", "Target": "/e", "VolumeOptions": {
                    "NoCopy": true, "Subpath": "s", "Labels": {"l": "m"}}},
                {"Type": "tmpfs", "Target": "/f", "TmpfsOptions": {"SizeBytes": 10, "Mode": 448}},
                {"Type": "image", "Source": "i", "Target": "/g", "ReadOnly": true,
                 "ImageOptions": {"Subpath": "s"}},
            ]})
        );
    }

    #[test]
    fn what_docker_does_not_know_is_refused() {
        assert_eq!(
            mounted("[{type: floppy, target: /a}]").unwrap_err(),
            "`floppy` is no type of mount that Docker knows"
        );
    }

    #[test]
    fn what_is_lost_is_remarked() {
        let all: Vec<Mount> = serde_yaml::from_str(
            "[{type: bind, source: /a, target: /b, bind: {create_host_path: false, selinux: z}},
              {type: bind, source: /a, target: /c, bind: {create_host_path: true, selinux: z}}]",
        )
        .unwrap();
        let remarks = remarks(&all);
        assert_eq!(remarks.len(), 1);
        assert!(remarks[0].starts_with("`selinux` of the mount at `/b`"));
    }
}
