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
}

impl Feature {
    /// Whether containers do what they should without it, only less well: its lack is a warning.
    pub fn is_dispensable(self) -> bool {
        matches!(self, Self::GatewayPriority | Self::Annotations)
    }
}
