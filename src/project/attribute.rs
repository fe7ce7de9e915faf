//! What holds for which attribute: the one table that all phases read.
//!
//! A row gives, for a path pattern (`*` is any key or item), how the attribute merges, what makes
//! its items unique, how its text is cast, its long form, its default, whether it is a path, and
//! the type that the model wants. What a row does not say is [`Attribute::PLAIN`].

use std::sync::LazyLock;

/// How two values of an attribute become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Merge {
    /// Mappings merge by key, lists append, anything else is replaced.
    Deep,
    /// The later value replaces the earlier, even if it is null.
    Replace,
    /// Both become lists of `KEY=VALUE`, and append.
    Sequence,
    /// As [`Merge::Sequence`], without items that are there already.
    Hosts,
    /// A string is the build context; then deep.
    Build,
    /// A list becomes a mapping to `service_started`; then deep.
    DependsOn,
    /// A list becomes a mapping to null; then deep.
    Named,
    /// Deep if the driver is the same, replaced if not.
    Logging,
    /// By `subnet`.
    Pools,
}

/// What tells items of a list apart; a later item takes the place of an earlier one like it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unique {
    /// Items may repeat.
    No,
    /// The part before `=`.
    Key,
    /// The target of a mount.
    Mount,
    /// The path of a device in the container.
    Device,
    /// The target, or the source below this folder.
    File(&'static str),
    /// The whole item.
    Expose,
    /// Host address, published port, target and protocol.
    Port,
    /// The path.
    EnvFile,
}

/// What text becomes once its variables are replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cast {
    /// It stays text.
    Text,
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// `true` or `false`.
    Bool,
}

/// The long form of an attribute that has a short one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Long {
    /// There is no short form.
    Same,
    /// A string is a list of one.
    List,
    /// A string is the value of this key.
    Under(&'static str),
    /// `KEY=VALUE` items are a mapping.
    KeyValue,
    /// A boolean is its name.
    Text,
    /// A list of services is a mapping to `service_started`.
    DependsOn,
    /// Strings are paths.
    EnvFiles,
    /// `all` is a request for all.
    Gpus,
    /// A list of names is a mapping to null.
    Named,
    /// `SOURCE:TARGET:OPTIONS`
    Mount,
    /// `SOURCE:TARGET:PERMISSIONS`
    Device,
    /// `HOST:CONTAINER/PROTOCOL`
    Ports,
    /// `id=path` items are a mapping.
    Ssh,
    /// `external: {name: …}` is `external: true` and a name.
    External,
}

/// What an attribute is given where the file says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Implied {
    /// Nothing.
    Nothing,
    /// `context: .`
    BuildContext,
    /// `/run/secrets/<source>` as target.
    SecretTarget,
    /// `protocol: tcp` and `mode: ingress`.
    Port,
    /// `count: all`
    DeviceCount,
}

/// Whether a value is a path, and how it becomes absolute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Location {
    /// It is not a path.
    No,
    /// A path on this machine.
    Local,
    /// As [`Location::Local`]; Windows paths stay.
    MaybeWindows,
    /// A build context: URLs and `service:` stay.
    Context,
    /// Links in it are followed.
    Followed,
    /// A mount whose source is a path if it is a bind mount.
    Mount,
    /// A volume that is a bind mount through its driver options.
    Volume,
}

/// The type that the model wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    /// What the schema has checked already.
    Checked,
    /// A boolean, perhaps as text.
    Bool,
    /// A whole number, perhaps as text or as a fraction that is cut off.
    Int,
    /// A whole number that is not negative; not as text.
    Unsigned(u64),
    /// A number, perhaps as text.
    Float,
    /// Text, perhaps written as a whole number.
    Text,
    /// A duration such as `1m30s`.
    Duration,
    /// A size such as `64m`.
    Bytes,
    /// A file mode in octal.
    FileMode,
    /// A command line, split into words.
    Command,
    /// A list of strings, perhaps only one.
    Strings,
    /// A list of strings, perhaps written as numbers.
    Numbers,
    /// Variables: key to text or null.
    Environment,
    /// Key to text; null is blank.
    Mapping,
    /// Key to list of texts.
    MultiMapping,
    /// Host to addresses.
    Hosts,
    /// A number or `all`.
    DeviceCount,
    /// One limit for both, or two.
    Ulimit,
    /// SSH keys by id.
    Ssh,
    /// `CMD`, `CMD-SHELL` or `NONE` first.
    HealthTest,
    /// A mapping whose keys users choose and whose values may be null.
    Nullable,
    /// A mapping whose keys users choose and whose values are objects.
    Keyed,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attribute {
    path: &'static str,
    pub(super) merge: Merge,
    pub(super) unique: Unique,
    pub(super) cast: Cast,
    pub(super) long: Long,
    pub(super) implied: Implied,
    pub(super) location: Location,
    pub(super) kind: Type,
}

impl Attribute {
    /// An attribute without rules of its own.
    pub(super) const PLAIN: Self = at("");

    const fn merge(mut self, merge: Merge) -> Self {
        self.merge = merge;
        self
    }
    const fn unique(mut self, unique: Unique) -> Self {
        self.unique = unique;
        self
    }
    const fn cast(mut self, cast: Cast) -> Self {
        self.cast = cast;
        self
    }
    const fn long(mut self, long: Long) -> Self {
        self.long = long;
        self
    }
    const fn implied(mut self, implied: Implied) -> Self {
        self.implied = implied;
        self
    }
    const fn location(mut self, location: Location) -> Self {
        self.location = location;
        self
    }
    const fn kind(mut self, kind: Type) -> Self {
        self.kind = kind;
        self
    }
    /// A whole number that may be written as text.
    const fn int(self) -> Self {
        self.cast(Cast::Int).kind(Type::Int)
    }
    /// A boolean that may be written as text.
    const fn bool(self) -> Self {
        self.cast(Cast::Bool).kind(Type::Bool)
    }
}

const fn at(path: &'static str) -> Attribute {
    Attribute {
        path,
        merge: Merge::Deep,
        unique: Unique::No,
        cast: Cast::Text,
        long: Long::Same,
        implied: Implied::Nothing,
        location: Location::No,
        kind: Type::Checked,
    }
}

/// An attribute of services; their rows leave out `services.*.`.
const SERVICE: &[Attribute] = &[
    at("annotations").merge(Merge::Sequence).unique(Unique::Key).kind(Type::Mapping),
    at("attach").kind(Type::Bool),
    at("blkio_config.weight").kind(Type::Unsigned(u16::MAX as u64)),
    at("blkio_config.weight_device.*.weight").kind(Type::Unsigned(u16::MAX as u64)),
    at("blkio_config.device_read_bps.*.rate").kind(Type::Bytes),
    at("blkio_config.device_read_iops.*.rate").kind(Type::Bytes),
    at("blkio_config.device_write_bps.*.rate").kind(Type::Bytes),
    at("blkio_config.device_write_iops.*.rate").kind(Type::Bytes),
    at("build").merge(Merge::Build).long(Long::Under("context")).implied(Implied::BuildContext),
    at("build.additional_contexts")
        .merge(Merge::Sequence)
        .unique(Unique::Key)
        .long(Long::KeyValue)
        .kind(Type::Mapping),
    at("build.additional_contexts.*").location(Location::Context),
    at("build.args").merge(Merge::Sequence).unique(Unique::Key).kind(Type::Environment),
    at("build.context").location(Location::Context),
    at("build.extra_hosts").merge(Merge::Hosts).kind(Type::Hosts),
    at("build.labels").merge(Merge::Sequence).unique(Unique::Key).kind(Type::Mapping),
    at("build.no_cache").kind(Type::Bool),
    at("build.privileged").kind(Type::Bool),
    at("build.provenance").long(Long::Text),
    at("build.pull").kind(Type::Bool),
    at("build.sbom").long(Long::Text),
    at("build.secrets.*").long(Long::Under("source")),
    at("build.secrets.*.mode").kind(Type::FileMode),
    at("build.shm_size").kind(Type::Bytes),
    at("build.ssh").long(Long::Ssh).kind(Type::Ssh),
    at("build.ssh.*").location(Location::MaybeWindows),
    at("build.tags").unique(Unique::Key),
    at("build.ulimits").kind(Type::Keyed),
    at("build.ulimits.*").kind(Type::Ulimit),
    at("cap_add").unique(Unique::Key),
    at("cap_drop").unique(Unique::Key),
    at("command").merge(Merge::Replace).kind(Type::Command),
    at("configs").unique(Unique::File("")),
    at("configs.*").long(Long::Under("source")),
    at("configs.*.mode").kind(Type::FileMode),
    at("cpu_count").int(),
    at("cpu_percent").cast(Cast::Float).kind(Type::Float),
    at("cpu_period").int(),
    at("cpu_quota").int(),
    at("cpu_rt_period").int(),
    at("cpu_rt_runtime").int(),
    at("cpu_shares").int(),
    at("cpus").cast(Cast::Float).kind(Type::Float),
    at("depends_on").merge(Merge::DependsOn).long(Long::DependsOn).kind(Type::Keyed),
    at("depends_on.*.restart").kind(Type::Bool),
    at("deploy.labels").merge(Merge::Sequence).unique(Unique::Key).kind(Type::Mapping),
    at("deploy.placement.max_replicas_per_node").cast(Cast::Int).kind(Type::Unsigned(u64::MAX)),
    at("deploy.replicas").int(),
    at("deploy.resources.limits.cpus").kind(Type::Float),
    at("deploy.resources.limits.memory").kind(Type::Bytes),
    at("deploy.resources.limits.pids").kind(Type::Int),
    at("deploy.resources.reservations.cpus").kind(Type::Float),
    at("deploy.resources.reservations.memory").kind(Type::Bytes),
    at("deploy.resources.reservations.devices.*").implied(Implied::DeviceCount),
    at("deploy.resources.reservations.devices.*.count").kind(Type::DeviceCount),
    at("deploy.resources.reservations.devices.*.options").kind(Type::Mapping),
    at("deploy.resources.reservations.generic_resources.*.discrete_resource_spec.value")
        .kind(Type::Int),
    at("deploy.restart_policy.delay").kind(Type::Duration),
    at("deploy.restart_policy.max_attempts").cast(Cast::Int).kind(Type::Unsigned(u64::MAX)),
    at("deploy.restart_policy.window").kind(Type::Duration),
    at("deploy.rollback_config.delay").kind(Type::Duration),
    at("deploy.rollback_config.max_failure_ratio").cast(Cast::Float).kind(Type::Float),
    at("deploy.rollback_config.monitor").kind(Type::Duration),
    at("deploy.rollback_config.parallelism").cast(Cast::Int).kind(Type::Unsigned(u64::MAX)),
    at("deploy.update_config.delay").kind(Type::Duration),
    at("deploy.update_config.max_failure_ratio").cast(Cast::Float).kind(Type::Float),
    at("deploy.update_config.monitor").kind(Type::Duration),
    at("deploy.update_config.parallelism").cast(Cast::Int).kind(Type::Unsigned(u64::MAX)),
    at("develop.watch.*.exec.command").kind(Type::Command),
    at("develop.watch.*.exec.environment").kind(Type::Environment),
    at("develop.watch.*.exec.privileged").kind(Type::Bool),
    at("develop.watch.*.ignore").long(Long::List),
    at("develop.watch.*.include").long(Long::List),
    at("develop.watch.*.path").location(Location::Followed),
    at("devices").unique(Unique::Device),
    at("devices.*").long(Long::Device),
    at("dns").merge(Merge::Sequence).unique(Unique::Key).long(Long::List),
    at("dns_opt").merge(Merge::Sequence).unique(Unique::Key),
    at("dns_search").merge(Merge::Sequence).unique(Unique::Key).kind(Type::Strings),
    at("entrypoint").merge(Merge::Replace).kind(Type::Command),
    at("env_file").merge(Merge::Sequence).unique(Unique::EnvFile).long(Long::EnvFiles),
    at("env_file.*.path").location(Location::Local),
    at("env_file.*.required").kind(Type::Bool),
    at("environment").merge(Merge::Sequence).unique(Unique::Key).kind(Type::Environment),
    at("expose").unique(Unique::Expose).kind(Type::Numbers),
    at("extends").long(Long::Under("service")),
    at("extends.file").location(Location::Local),
    at("extra_hosts").merge(Merge::Hosts).kind(Type::Hosts),
    at("gpus").long(Long::Gpus),
    at("gpus.*").implied(Implied::DeviceCount),
    at("gpus.*.count").kind(Type::DeviceCount),
    at("gpus.*.options").kind(Type::Mapping),
    at("group_add.*").kind(Type::Text),
    at("healthcheck.disable").bool(),
    at("healthcheck.interval").kind(Type::Duration),
    at("healthcheck.retries").cast(Cast::Int).kind(Type::Unsigned(u64::MAX)),
    at("healthcheck.start_interval").kind(Type::Duration),
    at("healthcheck.start_period").kind(Type::Duration),
    at("healthcheck.test").merge(Merge::Replace).kind(Type::HealthTest),
    at("healthcheck.timeout").kind(Type::Duration),
    at("init").bool(),
    at("label_file").merge(Merge::Sequence).long(Long::List),
    at("label_file.*").location(Location::Local),
    at("labels").merge(Merge::Sequence).unique(Unique::Key).kind(Type::Mapping),
    at("links").unique(Unique::Key),
    at("logging").merge(Merge::Logging),
    at("logging.options").kind(Type::Mapping),
    at("mem_limit").kind(Type::Bytes),
    at("mem_reservation").kind(Type::Bytes),
    at("mem_swappiness").kind(Type::Bytes),
    at("memswap_limit").kind(Type::Bytes),
    at("models").merge(Merge::Named).long(Long::Named).kind(Type::Nullable),
    at("networks").merge(Merge::Named).long(Long::Named).kind(Type::Nullable),
    at("networks.*.aliases").unique(Unique::Key),
    at("networks.*.driver_opts").kind(Type::Mapping),
    at("networks.*.gw_priority").kind(Type::Int),
    at("networks.*.link_local_ips").unique(Unique::Key),
    at("networks.*.priority").kind(Type::Int),
    at("oom_kill_disable").bool(),
    at("oom_score_adj").int(),
    at("pids_limit").int(),
    at("ports").unique(Unique::Port).long(Long::Ports),
    at("ports.*").implied(Implied::Port),
    at("ports.*.published").kind(Type::Text),
    at("ports.*.target").cast(Cast::Int).kind(Type::Unsigned(u32::MAX as u64)),
    at("post_start.*.command").kind(Type::Command),
    at("post_start.*.environment").kind(Type::Environment),
    at("post_start.*.privileged").kind(Type::Bool),
    at("pre_stop.*.command").kind(Type::Command),
    at("pre_stop.*.environment").kind(Type::Environment),
    at("pre_stop.*.privileged").kind(Type::Bool),
    at("privileged").bool(),
    at("profiles").unique(Unique::Key),
    at("provider.options").kind(Type::MultiMapping),
    at("read_only").bool(),
    at("scale").int(),
    at("secrets").unique(Unique::File("/run/secrets")),
    at("secrets.*").long(Long::Under("source")).implied(Implied::SecretTarget),
    at("secrets.*.mode").kind(Type::FileMode),
    at("shm_size").kind(Type::Bytes),
    at("stdin_open").bool(),
    at("stop_grace_period").kind(Type::Duration),
    at("storage_opt").kind(Type::Keyed),
    at("storage_opt.*").kind(Type::Text),
    at("sysctls").merge(Merge::Sequence).unique(Unique::Key).kind(Type::Mapping),
    at("tmpfs").merge(Merge::Sequence).unique(Unique::Key).kind(Type::Strings),
    at("tty").bool(),
    at("ulimits").kind(Type::Keyed),
    at("ulimits.*").merge(Merge::Replace).cast(Cast::Int).kind(Type::Ulimit),
    at("ulimits.*.hard").cast(Cast::Int),
    at("ulimits.*.soft").cast(Cast::Int),
    at("volumes").unique(Unique::Mount),
    at("volumes.*").long(Long::Mount).location(Location::Mount),
    at("volumes.*.bind.create_host_path").kind(Type::Bool),
    at("volumes.*.read_only").bool(),
    at("volumes.*.tmpfs.mode").kind(Type::Unsigned(u32::MAX as u64)),
    at("volumes.*.tmpfs.size").kind(Type::Bytes),
    at("volumes.*.volume.labels").merge(Merge::Sequence).kind(Type::Mapping),
    at("volumes.*.volume.nocopy").bool(),
];

/// Everything that is not a service.
const RESOURCES: &[Attribute] = &[
    at("configs").kind(Type::Keyed),
    at("configs.*").long(Long::External),
    at("configs.*.external").cast(Cast::Bool).kind(Type::Bool),
    at("configs.*.file").location(Location::MaybeWindows),
    at("configs.*.labels").kind(Type::Mapping),
    at("include.*").long(Long::Under("path")),
    at("models").kind(Type::Keyed),
    at("networks").kind(Type::Keyed),
    at("networks.*").long(Long::External),
    at("networks.*.attachable").bool(),
    at("networks.*.driver_opts").kind(Type::Mapping),
    at("networks.*.enable_ipv4").bool(),
    at("networks.*.enable_ipv6").bool(),
    at("networks.*.external").bool(),
    at("networks.*.internal").bool(),
    at("networks.*.ipam.config").merge(Merge::Pools),
    at("networks.*.ipam.config.*.aux_addresses").kind(Type::Mapping),
    at("networks.*.labels").merge(Merge::Sequence).unique(Unique::Key).kind(Type::Mapping),
    at("secrets").kind(Type::Keyed),
    at("secrets.*").long(Long::External),
    at("secrets.*.driver_opts").kind(Type::Keyed),
    at("secrets.*.driver_opts.*").kind(Type::Text),
    at("secrets.*.external").bool(),
    at("secrets.*.file").location(Location::MaybeWindows),
    at("secrets.*.labels").kind(Type::Mapping),
    at("services").kind(Type::Keyed),
    at("volumes").kind(Type::Keyed),
    at("volumes.*").long(Long::External).location(Location::Volume),
    at("volumes.*.driver_opts").kind(Type::Mapping),
    at("volumes.*.external").bool(),
    at("volumes.*.labels").merge(Merge::Sequence).kind(Type::Mapping),
];

/// The table as a tree: one step for each key of a path.
#[derive(Debug, Default)]
pub(super) struct Level {
    named: foldhash::HashMap<&'static str, Level>,
    any: Option<Box<Level>>,
    attribute: Option<&'static Attribute>,
}

impl Level {
    /// The level of a whole project file.
    pub(super) fn top() -> &'static Self {
        static TOP: LazyLock<Level> = LazyLock::new(|| {
            let mut top = Level::default();
            for attribute in RESOURCES {
                top.enter(attribute.path).attribute = Some(attribute);
            }
            let services = top.enter("services.*");
            for attribute in SERVICE {
                services.enter(attribute.path).attribute = Some(attribute);
            }
            top
        });
        &TOP
    }

    /// The level of the value of `key`.
    pub(super) fn child(&self, key: &str) -> Option<&Self> {
        self.named.get(key).or(self.any.as_deref())
    }

    /// The level of an item.
    pub(super) fn item(&self) -> Option<&Self> {
        self.any.as_deref()
    }

    /// The row for this path.
    pub(super) fn attribute(&self) -> Option<&'static Attribute> {
        self.attribute
    }

    fn enter(&mut self, path: &'static str) -> &mut Self {
        path.split('.').fold(self, |level, key| match key {
            "*" => level.any.get_or_insert_default(),
            _ => level.named.entry(key).or_default(),
        })
    }
}
