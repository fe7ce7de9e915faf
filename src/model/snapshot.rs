//! A snapshot of a project as it is told.

/// Volumes and container file systems of a project as they were at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The project that it is of.
    pub project: String,
    /// Its name.
    pub name: String,
    /// When it was made, in seconds since 1970.
    pub created: i64,
    /// The services whose containers it has.
    pub services: Vec<String>,
    /// The volumes that it has, by name.
    pub volumes: Vec<String>,
    /// Bytes on disk, those shared with others included.
    pub size: u64,
}
