//! The labels by which containers, networks and volumes of a project are found again.
//!
//! They are Docker Compose's own, so that either program sees what the other one made.

/// Name of the project.
pub const PROJECT: &str = "com.docker.compose.project";
/// Name of the service of a container.
pub const SERVICE: &str = "com.docker.compose.service";
/// Version of the program that made the object.
pub const VERSION: &str = "com.docker.compose.version";
/// Project directory.
pub const WORKING_DIR: &str = "com.docker.compose.project.working_dir";
/// Compose files, joined with commas.
pub const CONFIG_FILES: &str = "com.docker.compose.project.config_files";
/// `--env-file`s, joined with commas.
pub const ENVIRONMENT_FILE: &str = "com.docker.compose.project.environment_file";
/// `True` for the container of a `run`, else `False`.
pub const ONE_OFF: &str = "com.docker.compose.oneoff";
/// Number of a container among those of its service, from 1.
pub const CONTAINER_NUMBER: &str = "com.docker.compose.container-number";
/// Hash of the service, network or volume. A container without it is not managed.
pub const CONFIG_HASH: &str = "com.docker.compose.config-hash";
/// What the service depends on: `NAME:CONDITION:RESTART`, joined with commas.
pub const DEPENDS_ON: &str = "com.docker.compose.depends_on";
/// Identity of the image that the container was made from.
pub const IMAGE: &str = "com.docker.compose.image";
/// Name of the container that this one replaced.
pub const REPLACE: &str = "com.docker.compose.replace";
/// Random identity of the container of a `run`.
pub const SLUG: &str = "com.docker.compose.slug";
/// Key of a network in the project.
pub const NETWORK: &str = "com.docker.compose.network";
/// Key of a volume in the project.
pub const VOLUME: &str = "com.docker.compose.volume";
/// How the image was built.
pub const BUILDER: &str = "com.docker.compose.image.builder";

/// Ketch's own: the instance that the object belongs to.
pub const INSTANCE: &str = "ketch.instance";
/// Ketch's own: the name of the project without the instance.
pub const BASE_PROJECT: &str = "ketch.project";
/// Ketch's own: the service as the container was made from it, as JSON with the values of
/// environment variables replaced by digests. By it a change is told by attribute.
pub const SPEC: &str = "ketch.spec";

/// The prefix of Docker Compose's labels.
pub const PREFIX: &str = "com.docker.compose.";

/// What stands in [`VERSION`]: the version of Docker Compose that Ketch is equal to.
pub const COMPATIBLE_VERSION: &str = "2.40.3";
