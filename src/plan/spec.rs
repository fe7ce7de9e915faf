//! A service to the container that is made from it.
//!
//! In: a project, a service, a name. Out: [`ContainerSpec`]s, [`NetworkSpec`]s and
//! [`VolumeSpec`]s, complete but for ids that only the runtime knows.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::name;
use crate::model::observed::{ObservedContainer, ObservedImage};
use crate::model::spec::{ContainerSpec, Endpoint, InjectedFile, NetworkSpec, VolumeSpec};
use crate::model::{
    BindOptions, Dict, FileObject, FileReference, Mount, Project, Service, hash, label,
};

/// Permission bits of secrets and configs that name none.
const DEFAULT_MODE: u32 = 0o444;

/// What a container is besides its service.
#[derive(Clone, Copy, Debug)]
pub struct Identity<'a> {
    /// Name of the service.
    pub service: &'a str,
    /// Its final name.
    pub name: &'a str,
    /// Its number; `None` for those of `run`.
    pub number: Option<u64>,
    /// The reference of its image.
    pub image: &'a str,
    /// Identity of that image, if it is here.
    pub image_id: Option<&'a str>,
}

/// The container of a service. `settings` names other services as containers.
pub fn container(project: &Project, settings: &Service, identity: Identity<'_>) -> ContainerSpec {
    ContainerSpec {
        name: identity.name.to_owned(),
        service_name: identity.service.to_owned(),
        image: identity.image.to_owned(),
        labels: labels(project, settings, identity),
        mounts: mounts(project, settings),
        endpoints: endpoints(project, settings, identity),
        links: Vec::new(),
        shares_with: Vec::new(),
        one_off: None,
        service: Arc::new(settings.clone()),
    }
}

/// A network of the project.
pub fn network(project: &Project, key: &str) -> Option<NetworkSpec> {
    let network = project.networks.get(key)?.clone();
    let mut labels = network.labels.clone();
    labels.extend(object_labels(project, label::NETWORK, key));
    labels.insert(label::CONFIG_HASH.to_owned(), hash::network_hash(&network));
    Some(NetworkSpec { network, labels })
}

/// A volume of the project.
pub fn volume(project: &Project, key: &str) -> Option<VolumeSpec> {
    let volume = project.volumes.get(key)?.clone();
    let mut labels = volume.labels.clone();
    labels.extend(object_labels(project, label::VOLUME, key));
    labels.insert(label::CONFIG_HASH.to_owned(), hash::volume_hash(&volume));
    Some(VolumeSpec { volume, labels })
}

fn object_labels(project: &Project, kind: &str, key: &str) -> Dict {
    let entries =
        [(kind, key), (label::PROJECT, &project.name), (label::VERSION, label::COMPATIBLE_VERSION)];
    let all = entries.into_iter().chain(instance_labels(project));
    all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The labels that tell which copy of a project something belongs to.
fn instance_labels(project: &Project) -> impl Iterator<Item = (&str, &str)> {
    let labels = project.instance.iter().map(|instance| {
        [(label::INSTANCE, &*instance.name), (label::BASE_PROJECT, &*instance.project)]
    });
    labels.flatten()
}

/// All labels of a container but the config hash; ours win over the user's.
fn labels(project: &Project, settings: &Service, identity: Identity<'_>) -> Dict {
    let mut labels = settings.labels.clone();
    let one_off = if identity.number.is_none() { "True" } else { "False" };
    let files: Vec<_> =
        project.compose_files.iter().map(|file| file.to_string_lossy().into_owned()).collect();
    let entries = [
        (label::PROJECT, project.name.clone()),
        (label::SERVICE, identity.service.to_owned()),
        (label::VERSION, label::COMPATIBLE_VERSION.to_owned()),
        (label::WORKING_DIR, project.working_dir.to_string_lossy().into_owned()),
        (label::CONFIG_FILES, files.join(",")),
        (label::ONE_OFF, one_off.to_owned()),
        (label::DEPENDS_ON, depends_on(settings)),
    ];
    labels.extend(entries.map(|(name, value)| (name.to_owned(), value)));
    let copy = instance_labels(project);
    labels.extend(copy.map(|(name, value)| (name.to_owned(), value.to_owned())));
    if let Some(number) = identity.number {
        labels.insert(label::CONTAINER_NUMBER.to_owned(), number.to_string());
    }
    if let Some(id) = identity.image_id {
        labels.insert(label::IMAGE.to_owned(), id.to_owned());
    }
    if !project.env_files.is_empty() {
        let files: Vec<_> =
            project.env_files.iter().map(|file| file.to_string_lossy().into_owned()).collect();
        labels.insert(label::ENVIRONMENT_FILE.to_owned(), files.join(","));
    }
    labels
}

/// `NAME:CONDITION:RESTART`, joined with commas.
fn depends_on(settings: &Service) -> String {
    let entries: Vec<String> = settings
        .depends_on
        .iter()
        .map(|(name, dependency)| format!("{name}:{}:{}", dependency.condition, dependency.restart))
        .collect();
    entries.join(",")
}

/// What is mounted: volumes by their names in the runtime, then secrets and configs that are files
/// of the host. An explicit mount wins over these.
fn mounts(project: &Project, settings: &Service) -> Vec<Mount> {
    let mut mounts: Vec<Mount> = settings.volumes.clone();
    for mount in &mut mounts {
        if mount.kind == "volume" && !mount.source.is_empty() {
            mount.source = name::volume(project, &mount.source).to_owned();
        }
    }
    let secrets = files(&project.secrets, &settings.secrets, secret_target);
    let configs = files(&project.configs, &settings.configs, config_target);
    for (object, _, target) in secrets.chain(configs) {
        if !object.file.is_empty() && !mounts.iter().any(|mount| mount.target == target) {
            mounts.push(read_only_bind(&object.file, target));
        }
    }
    mounts
}

fn read_only_bind(source: &str, target: String) -> Mount {
    Mount {
        kind: "bind".to_owned(),
        source: source.to_owned(),
        target,
        read_only: true,
        bind: Some(BindOptions::default()),
        ..Mount::default()
    }
}

/// Secrets and configs that are no files of the host, to be put into the container.
pub fn injected(project: &Project, settings: &Service) -> Vec<InjectedFile> {
    let secrets = files(&project.secrets, &settings.secrets, secret_target);
    let configs = files(&project.configs, &settings.configs, config_target);
    secrets
        .chain(configs)
        .filter(|(object, ..)| object.file.is_empty() && !object.content.is_empty())
        .map(|(object, reference, path)| InjectedFile {
            path,
            content: object.content.clone(),
            uid: reference.uid.parse().unwrap_or(0),
            gid: reference.gid.parse().unwrap_or(0),
            mode: reference
                .mode
                .map_or(DEFAULT_MODE, |mode| u32::try_from(mode.0).unwrap_or(DEFAULT_MODE)),
        })
        .collect()
}

fn files<'a>(
    objects: &'a BTreeMap<String, FileObject>,
    references: &'a [FileReference],
    target: fn(&FileReference) -> String,
) -> impl Iterator<Item = (&'a FileObject, &'a FileReference, String)> {
    references.iter().filter_map(move |reference| {
        objects.get(&reference.source).map(|object| (object, reference, target(reference)))
    })
}

fn secret_target(reference: &FileReference) -> String {
    target_below("/run/secrets/", reference)
}

fn config_target(reference: &FileReference) -> String {
    target_below("/", reference)
}

fn target_below(directory: &str, reference: &FileReference) -> String {
    let target = if reference.target.is_empty() { &reference.source } else { &reference.target };
    if target.starts_with('/') { target.clone() } else { format!("{directory}{target}") }
}

/// The networks to join, the one with the highest priority first.
fn endpoints(project: &Project, settings: &Service, identity: Identity<'_>) -> Vec<Endpoint> {
    if !settings.network_mode.is_empty() {
        return Vec::new();
    }
    let mut keys: Vec<(&String, i64)> = settings
        .networks
        .iter()
        .map(|(key, options)| (key, options.as_ref().map_or(0, |options| options.priority)))
        .collect();
    keys.sort_by_key(|(_, priority)| std::cmp::Reverse(*priority));
    let endpoint = |key: &String| {
        let joined = settings.networks.get(key).cloned().flatten();
        let mut options = joined.map(|options| *options).unwrap_or_default();
        let mut aliases = vec![identity.name.to_owned()];
        if identity.number.is_some() {
            aliases.push(identity.service.to_owned());
            // The name that others know it by, if the instance was added to it.
            let instance = project.instance.as_ref();
            let known = instance.and_then(|it| it.unscoped(&settings.container_name));
            aliases.extend(known.filter(|name| *name != identity.service).map(str::to_owned));
            aliases.append(&mut options.aliases);
        }
        options.aliases = aliases;
        Endpoint { network: name::network(project, key).to_owned(), options }
    };
    keys.into_iter().map(|(key, _)| endpoint(key)).collect()
}

/// Lets a container take over the anonymous volumes of the one that it replaces.
pub fn inherit(spec: &mut ContainerSpec, old: &ObservedContainer, image: Option<&ObservedImage>) {
    for mount in &old.mounts {
        if mount.kind != "volume" || mount.name.is_empty() {
            continue;
        }
        let position = spec.mounts.iter().position(|new| new.target == mount.target);
        let of_image = image.is_some_and(|image| image.volumes.contains(&mount.target));
        let taken_over = Mount {
            kind: "volume".to_owned(),
            source: mount.name.clone(),
            target: mount.target.clone(),
            ..Mount::default()
        };
        match position {
            Some(at) if spec.mounts[at].kind == "volume" && spec.mounts[at].source.is_empty() => {
                spec.mounts[at].source.clone_from(&mount.name);
            }
            None if of_image => spec.mounts.push(taken_over),
            _ => {}
        }
    }
}

/// The links of a service: each container of the other service under three names.
///
/// `containers` gives the number and name of each container of a service.
pub fn links(settings: &Service, containers: impl Fn(&str) -> Vec<(u64, String)>) -> Vec<String> {
    let mut links = Vec::new();
    for link in &settings.links {
        let (service, alias) = link.split_once(':').unwrap_or((link, link));
        for (number, container) in containers(service) {
            let numbered = format!("{service}-{number}");
            for alias in [alias, &numbered, &container] {
                links.push(format!("{container}:{alias}"));
            }
        }
    }
    for link in &settings.external_links {
        let (container, alias) = link.split_once(':').unwrap_or((link, link));
        links.push(format!("{container}:{alias}"));
    }
    links
}
