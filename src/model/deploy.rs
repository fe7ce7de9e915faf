//! How many containers of a service run, where, and with what.
//!
//! # Invariants
//!
//! - The order of the fields is the order of Compose's own types.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::mark::{always_in_json, is_default};
use super::{Bytes, DeviceRequest, Dict, Duration, Extensions, form};

/// How a service is deployed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("type" = ["object", "null"]))]
pub struct Deploy {
    /// `replicated` (default) or `global`. For orchestrators of many hosts.
    #[serde(skip_serializing_if = "is_default")]
    pub mode: String,
    /// Number of containers. Default: 1.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::IntegerOrString")]
    pub replicas: Option<i64>,
    /// Labels of the service; containers do not get them.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::ListOrDict")]
    pub labels: Dict,
    /// How the containers are updated. For orchestrators of many hosts.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "UpdateConfig")]
    pub update_config: Option<UpdateConfig>,
    /// How a failed update is taken back. For orchestrators of many hosts.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "UpdateConfig")]
    pub rollback_config: Option<UpdateConfig>,
    /// What the containers may use.
    #[serde(serialize_with = "always_in_json")]
    pub resources: Resources,
    /// Whether a container that ends is started again.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "RestartPolicy")]
    pub restart_policy: Option<RestartPolicy>,
    /// Where the containers run. For orchestrators of many hosts.
    #[serde(serialize_with = "always_in_json")]
    pub placement: Placement,
    /// How clients reach the service: `vip` or `dnsrr`. For orchestrators of many hosts.
    #[serde(skip_serializing_if = "is_default")]
    pub endpoint_mode: String,
    /// Attributes that start with `x-`: free for your own use.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    #[schemars(with = "form::Any")]
    pub extensions: Extensions,
}

/// How the containers of a service are updated, or an update is taken back.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct UpdateConfig {
    /// Number of containers at a time. 0: all at once.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::IntegerOrString")]
    pub parallelism: Option<u64>,
    /// Pause between the groups, such as `10s`.
    #[serde(skip_serializing_if = "is_default")]
    pub delay: Duration,
    /// What to do when it fails: `continue`, `pause` or `rollback`.
    #[serde(skip_serializing_if = "is_default")]
    pub failure_action: String,
    /// How long to watch each container for failures.
    #[serde(skip_serializing_if = "is_default")]
    pub monitor: Duration,
    /// Share of failures to bear, 0 to 1.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::NumberOrString")]
    pub max_failure_ratio: f32,
    /// Whether new containers start before the old ones stop.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(extend("enum" = ["start-first", "stop-first"]))]
    pub order: String,
    /// Attributes that start with `x-`: free for your own use.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    #[schemars(with = "form::Any")]
    pub extensions: Extensions,
}

/// What the containers of a service may use.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Resources {
    /// The most that a container gets.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "Limits")]
    pub limits: Option<Limits>,
    /// The least that a container needs.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "Reservations")]
    pub reservations: Option<Reservations>,
    /// Attributes that start with `x-`: free for your own use.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    #[schemars(with = "form::Any")]
    pub extensions: Extensions,
}

/// The most that a container gets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Limits {
    /// Number of CPUs, such as 0.5.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::NumberOrString")]
    pub cpus: f32,
    /// Memory, with a unit (`512m`).
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "String")]
    pub memory: Bytes,
    /// Number of processes.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::IntegerOrString")]
    pub pids: i64,
    /// Attributes that start with `x-`: free for your own use.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    #[schemars(with = "form::Any")]
    pub extensions: Extensions,
}

/// The least that a container needs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Reservations {
    /// Number of CPUs, such as 0.5.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::NumberOrString")]
    pub cpus: f32,
    /// Memory, with a unit (`512m`).
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "String")]
    pub memory: Bytes,
    /// Devices that the engine must provide, such as GPUs.
    #[serde(skip_serializing_if = "is_default")]
    pub devices: Vec<DeviceRequest>,
    /// Resources that an orchestrator counts.
    #[serde(skip_serializing_if = "is_default")]
    pub generic_resources: Vec<GenericResource>,
    /// Attributes that start with `x-`: free for your own use.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    #[schemars(with = "form::Any")]
    pub extensions: Extensions,
}

/// A resource that an orchestrator counts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct GenericResource {
    /// Its kind and number.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "DiscreteResource")]
    pub discrete_resource_spec: Option<DiscreteResource>,
    /// Attributes that start with `x-`: free for your own use.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    #[schemars(with = "form::Any")]
    pub extensions: Extensions,
}

/// A number of things of one kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct DiscreteResource {
    /// The kind, such as `GPU` or `SSD`.
    pub kind: String,
    /// How many.
    #[schemars(with = "form::NumberOrString")]
    pub value: i64,
    /// Attributes that start with `x-`: free for your own use.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    #[schemars(with = "form::Any")]
    pub extensions: Extensions,
}

/// Whether a container that ends is started again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RestartPolicy {
    /// When: `none`, `on-failure` or `any`. Default: `any`.
    #[serde(skip_serializing_if = "is_default")]
    pub condition: String,
    /// Pause before a restart, such as `5s`. Default: 0s.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "Duration")]
    pub delay: Option<Duration>,
    /// How often at most. Default: no limit.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::IntegerOrString")]
    pub max_attempts: Option<u64>,
    /// How long a container must run before its restart counts as a success.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "Duration")]
    pub window: Option<Duration>,
    /// Attributes that start with `x-`: free for your own use.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    #[schemars(with = "form::Any")]
    pub extensions: Extensions,
}

/// Where the containers of a service run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Placement {
    /// Conditions for a host, such as `node.role==manager`.
    #[serde(skip_serializing_if = "is_default")]
    pub constraints: Vec<String>,
    /// How to spread the containers over hosts.
    #[serde(skip_serializing_if = "is_default")]
    pub preferences: Vec<PlacementPreference>,
    /// Most containers of the service on one host. 0: no limit.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "form::IntegerOrString")]
    pub max_replicas_per_node: u64,
    /// Attributes that start with `x-`: free for your own use.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    #[schemars(with = "form::Any")]
    pub extensions: Extensions,
}

/// How to spread containers over hosts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PlacementPreference {
    /// Label of the hosts: containers are spread evenly over its values.
    #[serde(skip_serializing_if = "is_default")]
    pub spread: String,
    /// Attributes that start with `x-`: free for your own use.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    #[schemars(with = "form::Any")]
    pub extensions: Extensions,
}
