//! A service: the heart of a Compose file.
//!
//! In: canonical values from the loader. Out: read by everyone who creates containers, by the
//! renderer and by the config hash.
//!
//! # Invariants
//!
//! - The order of the fields is the order of Compose's own type: output and hash depend on it.
//! - Attributes that only the loader understands (`extends`) are always empty after loading; they
//!   are here for the schema.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::mark::{always_in_json, is_default};
use super::{
    BlkioConfig, Build, Bytes, CredentialSpec, Dependency, Deploy, Develop, DeviceMapping,
    DeviceRequest, Dict, Duration, EnvFile, Environment, Extends, Extensions, FileReference,
    Healthcheck, Hook, Logging, Mount, Port, Provider, ServiceModel, ServiceNetwork, ShellCommand,
    Ulimit, form,
};

/// A service: containers that run the same image with the same settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the Compose file")]
pub struct Service {
    /// Profiles that enable the service. Without any it is always enabled.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::UniqueList<String>")]
    pub profiles: Vec<String>,
    /// Annotations of the container: metadata for the runtime.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::ListOrDict")]
    pub annotations: Dict,
    /// Whether `up` shows the logs of the service. Default: true.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::BoolOrString")]
    pub attach: Option<bool>,
    /// How to build the image: the path of the build context, or an object.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::ShortOr<Build>")]
    pub build: Option<Box<Build>>,
    /// What `watch` does while you develop.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "Develop")]
    pub develop: Option<Box<Develop>>,
    /// Limits for block devices: weights and rates.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "BlkioConfig")]
    pub blkio_config: Option<Box<BlkioConfig>>,
    /// Linux capabilities to add, such as `NET_ADMIN`.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::UniqueList<String>")]
    pub cap_add: Vec<String>,
    /// Linux capabilities to drop. `ALL` drops every one.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::UniqueList<String>")]
    pub cap_drop: Vec<String>,
    /// Parent cgroup of the container.
    #[serde(skip_serializing_if = "is_default")]
    pub cgroup_parent: String,
    /// Cgroup namespace: `host` shares the host's, `private` makes one. Default: the engine's.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(extend("enum" = ["host", "private"]))]
    pub cgroup: String,
    /// Number of usable CPUs (Windows).
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::RangeOrString<0, { i64::MAX }>")]
    pub cpu_count: i64,
    /// Usable share of the CPUs in percent, 0 to 100 (Windows).
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::RangeOrString<0, 100>")]
    pub cpu_percent: f32,
    /// Length of a CPU scheduler period, in microseconds.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::NumberOrString")]
    pub cpu_period: i64,
    /// CPU time in each period, in microseconds.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::NumberOrString")]
    pub cpu_quota: i64,
    /// Length of a real-time scheduler period, in microseconds or as a duration.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::NumberOrString")]
    pub cpu_rt_period: i64,
    /// Real-time CPU time in each period, in microseconds or as a duration.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::NumberOrString")]
    pub cpu_rt_runtime: i64,
    /// Number of CPUs that the container may use, such as 0.5. 0: no limit.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::NumberOrString")]
    pub cpus: f32,
    /// CPUs that the container may use, such as `0-3` or `0,1`.
    #[serde(skip_serializing_if = "is_default")]
    pub cpuset: String,
    /// Weight against other containers when CPUs are short. Default: 1024.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::NumberOrString")]
    pub cpu_shares: i64,
    /// Arguments that replace the image's command. Empty text or an empty list clears it.
    #[serde(serialize_with = "always_in_json")]
    #[schemars(with = "form::Command")]
    pub command: ShellCommand,
    /// Configs that the container gets as files.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "Vec<form::ShortOr<FileReference>>")]
    pub configs: Vec<FileReference>,
    /// Fixed name of the container. Such a service cannot be scaled.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(extend("pattern" = "[a-zA-Z0-9][a-zA-Z0-9_.-]+"))]
    pub container_name: String,
    /// Credentials of a managed service account (Windows).
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "CredentialSpec")]
    pub credential_spec: Option<CredentialSpec>,
    /// Services that start before this one and stop after it.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::NamesOr<form::ByName<Dependency>>")]
    pub depends_on: BTreeMap<String, Dependency>,
    /// How many containers run, with which resources, and what happens when one stops.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "Deploy")]
    pub deploy: Option<Box<Deploy>>,
    /// Rules for access to devices, such as `c 1:3 mr`.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::UniqueList<String>")]
    pub device_cgroup_rules: Vec<String>,
    /// Devices of the host: `HOST[:CONTAINER[:PERMISSIONS]]`, a CDI name, or an object.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "Vec<form::ShortOr<DeviceMapping>>")]
    pub devices: Vec<DeviceMapping>,
    /// DNS servers.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::StringOrList")]
    pub dns: Vec<String>,
    /// Options for the DNS resolver.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::UniqueList<String>")]
    pub dns_opt: Vec<String>,
    /// Domains that the DNS resolver tries for short names.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::StringOrList")]
    pub dns_search: Vec<String>,
    /// Domain name of the container.
    #[serde(skip_serializing_if = "is_default")]
    pub domainname: String,
    /// Program that replaces the image's entrypoint. Empty text or an empty list clears it.
    #[serde(serialize_with = "always_in_json")]
    #[schemars(with = "form::Command")]
    pub entrypoint: ShellCommand,
    /// External program that runs the service in place of the engine.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "Provider")]
    pub provider: Option<Provider>,
    /// Environment variables. One without a value is taken from your own environment.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::ListOrDict")]
    pub environment: Environment,
    /// Files with environment variables; later files win, `environment` wins over all.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::EnvFiles")]
    pub env_file: Vec<EnvFile>,
    /// Ports that other services may reach; the host does not see them.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::UniqueList<form::NumberOrString>")]
    pub expose: Vec<String>,
    /// Service whose attributes this one takes over: its name, or an object with its file too.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::ShortOr<Extends>")]
    pub extends: Option<Extends>,
    /// Containers outside the project to link to: `CONTAINER[:ALIAS]`.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::UniqueList<String>")]
    pub external_links: Vec<String>,
    /// Host names to add to `/etc/hosts`.
    #[serde(serialize_with = "super::host::serialize")]
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::ExtraHosts")]
    pub extra_hosts: BTreeMap<String, Vec<String>>,
    /// Additional groups of the user inside the container, by name or number.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::UniqueList<form::NumberOrString>")]
    pub group_add: Vec<String>,
    /// GPUs that the container may use: `all` or a list.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::Gpus")]
    pub gpus: Vec<DeviceRequest>,
    /// Host name of the container.
    #[serde(skip_serializing_if = "is_default")]
    pub hostname: String,
    /// How to find out whether the container works.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "Healthcheck")]
    pub healthcheck: Option<Healthcheck>,
    /// Image to run: `[REGISTRY/]NAME[:TAG|@DIGEST]`. With `build`: the name of the result.
    #[serde(skip_serializing_if = "is_default")]
    pub image: String,
    /// Whether an init process forwards signals and reaps orphans.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::BoolOrString")]
    pub init: Option<bool>,
    /// IPC namespace: `host`, `shareable`, `service:NAME`, `container:NAME`.
    #[serde(skip_serializing_if = "is_default")]
    pub ipc: String,
    /// Isolation technology of the container (Windows).
    #[serde(skip_serializing_if = "is_default")]
    pub isolation: String,
    /// Labels of the container.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::ListOrDict")]
    pub labels: Dict,
    /// Files with labels; `labels` wins over them.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::StringOrPlainList")]
    pub label_file: Vec<String>,
    /// Services to link to under another name: `SERVICE[:ALIAS]`.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::UniqueList<String>")]
    pub links: Vec<String>,
    /// Where the logs of the container go.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "Logging")]
    pub logging: Option<Logging>,
    /// Most memory that the container may use, in bytes or with a unit (`512m`).
    #[serde(skip_serializing_if = "is_default")]
    pub mem_limit: Bytes,
    /// Memory that the container keeps when memory is short, in bytes or with a unit.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::IntegerOrString")]
    pub mem_reservation: Bytes,
    /// Most memory and swap together, in bytes or with a unit. -1: unlimited swap.
    #[serde(skip_serializing_if = "is_default")]
    pub memswap_limit: Bytes,
    /// How eagerly the kernel swaps the container out, 0 to 100.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::IntegerOrString")]
    pub mem_swappiness: Bytes,
    /// MAC address of the container.
    #[serde(skip_serializing_if = "is_default")]
    pub mac_address: String,
    /// AI models that the service uses: names of top-level `models`.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::NamesOr<form::OpenByName<form::OrNull<ServiceModel>>>")]
    pub models: BTreeMap<String, Option<ServiceModel>>,
    /// Network stack: `none`, `host`, `bridge`, `service:NAME`, `container:NAME`.
    #[serde(skip_serializing_if = "is_default")]
    pub network_mode: String,
    /// Networks to join. Default: `default`.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::NamesOr<form::ByName<form::OrNull<ServiceNetwork>>>")]
    pub networks: BTreeMap<String, Option<Box<ServiceNetwork>>>,
    /// Whether the kernel spares the container when memory runs out.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::BoolOrString")]
    pub oom_kill_disable: bool,
    /// Preference of the kernel for this container when memory runs out, -1000 to 1000.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::RangeOrString<-1000, 1000>")]
    pub oom_score_adj: i64,
    /// PID namespace: `host`, `service:NAME`, `container:NAME`.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::StringOrNull")]
    pub pid: String,
    /// Most processes in the container. -1: no limit.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::NumberOrString")]
    pub pids_limit: i64,
    /// Platform of the container: `OS[/ARCH[/VARIANT]]`.
    #[serde(skip_serializing_if = "is_default")]
    pub platform: String,
    /// Ports to publish: `[[IP:]HOST:]CONTAINER[/PROTOCOL]`, each a port or a range, or objects.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::UniqueList<form::NumberShortOr<Port>>")]
    pub ports: Vec<Port>,
    /// Whether the container may do nearly everything that the host may.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::BoolOrString")]
    pub privileged: bool,
    /// When to pull the image: `always`, `never`, `missing`, `build`, `daily`, `weekly`, or
    /// `every_` with a duration.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(extend("pattern" = PULL_POLICY))]
    pub pull_policy: String,
    /// Accepted and ignored: write `pull_policy: every_…` instead.
    #[serde(skip_serializing)]
    pub pull_refresh_after: String,
    /// Whether the root file system of the container is read-only.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::BoolOrString")]
    pub read_only: bool,
    /// When the engine starts the container again: `no`, `always`, `on-failure[:N]` or
    /// `unless-stopped`.
    #[serde(skip_serializing_if = "is_default")]
    pub restart: String,
    /// OCI runtime of the container, such as `runc`.
    #[serde(skip_serializing_if = "is_default")]
    pub runtime: String,
    /// Number of containers. Default: 1.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::IntegerOrString")]
    pub scale: Option<i64>,
    /// Secrets that the container gets as files.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "Vec<form::ShortOr<FileReference>>")]
    pub secrets: Vec<FileReference>,
    /// Security options: labels, seccomp and AppArmor profiles.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::UniqueList<String>")]
    pub security_opt: Vec<String>,
    /// Size of `/dev/shm`, in bytes or with a unit (`64m`).
    #[serde(skip_serializing_if = "is_default")]
    pub shm_size: Bytes,
    /// Whether standard input stays open when nobody is attached.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::BoolOrString")]
    pub stdin_open: bool,
    /// How long a container may take to stop before it is killed, such as `1m30s`. Default: 10s.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "Duration")]
    pub stop_grace_period: Option<Duration>,
    /// Signal that stops the container. Default: SIGTERM.
    #[serde(skip_serializing_if = "is_default")]
    pub stop_signal: String,
    /// Options of the storage driver.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::Object")]
    pub storage_opt: Dict,
    /// Kernel parameters inside the container.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::ListOrDict")]
    pub sysctls: Dict,
    /// Paths to mount a file system in memory at: `PATH[:OPTIONS]`.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::StringOrList")]
    pub tmpfs: Vec<String>,
    /// Whether the container gets a terminal.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::BoolOrString")]
    pub tty: bool,
    /// Limits of the processes inside the container.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::Ulimits")]
    pub ulimits: BTreeMap<String, Ulimit>,
    /// Whether the container may use the socket of the engine.
    #[serde(skip_serializing_if = "is_default")]
    pub use_api_socket: bool,
    /// User of the process: `USER[:GROUP]`, by name or number.
    #[serde(skip_serializing_if = "is_default")]
    pub user: String,
    /// User namespace. `host` shares the host's.
    #[serde(skip_serializing_if = "is_default")]
    pub userns_mode: String,
    /// UTS namespace. `host` shares the host's.
    #[serde(skip_serializing_if = "is_default")]
    pub uts: String,
    /// What to mount: `[SOURCE:]TARGET[:OPTIONS]` or objects.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::UniqueList<form::ShortOr<Mount>>")]
    pub volumes: Vec<Mount>,
    /// Services or containers whose volumes to mount too: `SERVICE[:ro]`, `container:NAME[:ro]`.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::UniqueList<String>")]
    pub volumes_from: Vec<String>,
    /// Working directory of the process.
    #[serde(skip_serializing_if = "is_default")]
    pub working_dir: String,
    /// Commands to run in the container right after it has started.
    #[serde(skip_serializing_if = "is_default")]
    pub post_start: Vec<Hook>,
    /// Commands to run in the container before it is stopped.
    #[serde(skip_serializing_if = "is_default")]
    pub pre_stop: Vec<Hook>,
    /// Attributes that start with `x-`: free for your own use.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    #[schemars(with = "form::Any")]
    pub extensions: Extensions,
}

/// What the specification demands of `pull_policy`: no anchors, so it need only be contained.
const PULL_POLICY: &str =
    "always|never|build|if_not_present|missing|refresh|daily|weekly|every_([0-9]+[wdhms])+";
