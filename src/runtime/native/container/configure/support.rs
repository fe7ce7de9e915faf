//! What this runtime, or this host, cannot do.

use std::path::Path;

use crate::model::Feature;
use crate::runtime::native::container::cgroup;

/// Why a feature cannot be had; `None` if it can, or if it is not about containers.
pub fn lacks(feature: Feature) -> Option<String> {
    let always = |text: &str| Some(text.to_owned());
    match feature {
        Feature::Annotations => always("nothing reads annotations in the native runtime"),
        Feature::DeviceRequests => {
            always("the native runtime cannot ask drivers for devices: name them in `devices`")
        }
        Feature::OciRuntime => always("the native runtime is the runtime: it starts no other"),
        Feature::StorageOptions => {
            always("the native runtime stores files on the host's own file system, without quota")
        }
        Feature::Isolation => always("there is no such isolation on Linux"),
        Feature::UserNamespaceMode => always("user namespaces can only be shared with the host"),
        Feature::ApiSocket => always("the native runtime has no API socket to share"),
        Feature::WindowsCpu => always("only Windows counts CPUs in this way"),
        Feature::LoggingDriver => {
            always("the native runtime has the drivers `json-file`, `local` and `none`")
        }
        Feature::ForeignMount => always("the native runtime has no such mounts"),
        Feature::VolumeDriver => always("the native runtime has the driver `local` alone"),
        Feature::NetworkDriver => always(
            "the native runtime has bridges alone, and no plugins: leave the driver out; for              `host` and `none` give the services that `network_mode`",
        ),
        Feature::Swappiness
        | Feature::OomKillDisable
        | Feature::RealTimeCpu
        | Feature::SwapLimit
        | Feature::BlockWeight => cgroup::lacks(feature),
        _ => None,
    }
}

/// Whether SELinux decides on this host.
pub(super) fn has_selinux() -> bool {
    Path::new("/sys/fs/selinux/enforce").exists()
}

/// Whether a device is a name of the Container Device Interface: `VENDOR/CLASS=NAME`.
pub(super) fn is_cdi(source: &str) -> bool {
    !source.starts_with('/')
        && source.split_once('=').is_some_and(|(kind, name)| kind.contains('/') && !name.is_empty())
}
