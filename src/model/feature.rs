//! What some runtimes, or old versions of them, cannot do.

/// Something that a project may ask for and a runtime may lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Feature {
    /// `healthcheck.start_interval`.
    HealthStartInterval,
    /// `networks.*.gw_priority`.
    GatewayPriority,
    /// `networks.*.interface_name`.
    InterfaceName,
    /// Volumes of type `image`.
    ImageMount,
    /// `volume.subpath`.
    VolumeSubpath,
    /// `bind.recursive`.
    RecursiveBind,
    /// `enable_ipv4: false`.
    DisableIpv4,
    /// `annotations`.
    Annotations,
    /// `gpus`, devices in `deploy.resources.reservations`, and names of the Container Device
    /// Interface in `devices`.
    DeviceRequests,
    /// `runtime`, but for the usual one.
    OciRuntime,
    /// `storage_opt`.
    StorageOptions,
    /// `isolation`, but for the usual one.
    Isolation,
    /// `userns_mode`, but for `host`.
    UserNamespaceMode,
    /// `use_api_socket`.
    ApiSocket,
    /// `cpu_count` and `cpu_percent`.
    WindowsCpu,
    /// `mem_swappiness`.
    Swappiness,
    /// `oom_kill_disable`.
    OomKillDisable,
    /// `cpu_rt_runtime` and `cpu_rt_period`.
    RealTimeCpu,
    /// `memswap_limit`.
    SwapLimit,
    /// Weights in `blkio_config`.
    BlockWeight,
    /// `logging.driver`, but for those that write files.
    LoggingDriver,
    /// Mounts of type `npipe` and `cluster`.
    ForeignMount,
    /// `driver` of a volume, but for `local`.
    VolumeDriver,
    /// `driver` of a network or of its addresses, but for `bridge` and the usual one.
    NetworkDriver,
    /// `x-ketch-probe`.
    OutsideProbe,
    /// Images that are a directory or an archive: `rootfs:`, `oci:`, `docker-archive:`.
    LocalImage,
    /// The same subnet for networks of several instances.
    SharedSubnets,
    /// `ketch snapshot`.
    Snapshots,
}

impl Feature {
    /// Whether containers do what they should without it, only less well: its lack is a warning.
    pub fn is_dispensable(self) -> bool {
        matches!(
            self,
            Self::GatewayPriority
                | Self::Annotations
                | Self::WindowsCpu
                | Self::Swappiness
                | Self::OomKillDisable
                | Self::SwapLimit
                | Self::BlockWeight
                | Self::OutsideProbe
        )
    }
}
