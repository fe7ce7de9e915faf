//! Making containers.
//!
//! In: a spec. Out: a directory with all that its shim needs, and then a name.
//!
//! # Invariants
//!
//! - The name is the last thing that a container gets: one that could not be made leaves nothing,
//!   and what a killed command leaves is swept up.

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use super::container::{
    self, Changes, Config, Configured, ImageSettings, Overlay, Surroundings, configure,
};
use super::health::{Check, ImageCheck, Probe};
use super::image::{Defaults, Image, Store};
use super::log::LogSettings;
use super::record::{Joining, Names, Record, Stdin};
use super::restart::Policy;
use super::root::{Place, Root};
use super::state::{self, Durability, Status, failed};
use super::{clock, events, lock, names, net, remove, volume};
use crate::model::spec::{ContainerSpec, VolumeSpec};
use crate::model::{Dict, Mount, Service, ServiceNetwork, Volume, hash, label};
use crate::runtime::{Result, RuntimeError};

/// Makes a container; gives what the user should know.
pub(super) fn create(root: &Root, spec: &ContainerSpec) -> Result<Vec<String>> {
    names::check(&spec.name)?;
    let store = Store::open(&root.images())?;
    let image = store.find(&spec.image)?;
    let image =
        image.ok_or_else(|| RuntimeError::NotFound(format!("no such image: {}", spec.image)))?;
    check_others(root, spec)?;
    let _making = lock::share(&root.making())?;
    let place = root.container(&random_id()?);
    let mut draft = Draft { root, place, anonymous: Vec::new(), is_done: false };
    draft.make_directories()?;
    store.hold(&image, &draft.place.durable)?;
    let remarks = draft.describe(spec, &image)?;
    names::give(root, &spec.name, &draft.place.id)?;
    draft.is_done = true;
    remove::keep_volumes(&draft.place)?;
    Ok(remarks)
}

/// Looks whether the networks and containers are there that it is to be connected with.
fn check_others(root: &Root, spec: &ContainerSpec) -> Result<()> {
    let networks = net::Networks::new(root.durable(), root.volatile());
    for Joining { network, .. } in joinings(spec) {
        if network != net::DEFAULT && networks.find(&network)?.is_none() {
            return Err(RuntimeError::NotFound(format!("no such network: {network}")));
        }
    }
    for link in &spec.links {
        names::the(root, link.split(':').next().unwrap_or_default())?;
    }
    Ok(())
}

/// What a container joins: its networks, else the one that `network_mode` names; `bridge` is the one
/// that is there for those without one.
fn joinings(spec: &ContainerSpec) -> Vec<Joining> {
    let joining = |network: &str, options: &ServiceNetwork| Joining {
        network: network.to_owned(),
        options: options.clone(),
    };
    let usual = ServiceNetwork::default();
    match spec.service.network_mode.as_str() {
        "" => spec.endpoints.iter().map(|it| joining(&it.network, &it.options)).collect(),
        "bridge" | "default" => vec![joining(net::DEFAULT, &usual)],
        "none" | "host" => Vec::new(),
        mode if mode.starts_with("container:") => Vec::new(),
        name => vec![joining(name, &usual)],
    }
}

/// A new id: 64 hexadecimal digits, not all of them decimal ones, as Docker's.
pub(super) fn random_id() -> Result<String> {
    loop {
        let mut bytes = [0_u8; 32];
        rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).map_err(
            |error| RuntimeError::Io { action: "choose an id".to_owned(), source: error.into() },
        )?;
        let id = hash::hex(&bytes);
        if id[..12].parse::<i64>().is_err() {
            return Ok(id);
        }
    }
}

/// A container that has no name yet; its files go when it is dropped.
struct Draft<'a> {
    root: &'a Root,
    place: Place,
    anonymous: Vec<String>,
    is_done: bool,
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        // What remains is swept up by the next command.
        for name in &self.anonymous {
            let _ = volume::remove(self.root, name);
        }
        let _ = fs::remove_dir_all(&self.place.durable);
    }
}

impl Draft<'_> {
    fn store(&self) -> Result<Store> {
        Store::open(&self.root.images())
    }

    fn make_directories(&self) -> Result<()> {
        let place = &self.place;
        let private = [&place.durable, &place.log()].map(|path| (path.to_owned(), 0o700));
        let open = [place.upper(), place.work(), place.files()].map(|path| (path, 0o755));
        for (path, mode) in private.into_iter().chain(open) {
            let made = fs::DirBuilder::new().mode(mode).create(&path);
            made.map_err(|error| failed("make", &path, error))?;
        }
        for name in ["hosts", "resolv.conf", "hostname"] {
            let path = place.files().join(name);
            fs::write(&path, "").map_err(|error| failed("make", &path, error))?;
        }
        Ok(())
    }

    /// Writes down what the container is.
    fn describe(&mut self, spec: &ContainerSpec, image: &Image) -> Result<Vec<String>> {
        let (log, remarks) = LogSettings::of(spec.service.logging.as_ref())?;
        let changes = Changes { upper: self.place.upper(), work: self.place.work() };
        let given = Configured {
            id: self.place.id.clone(),
            image: settings(&image.config.config),
            root: Overlay { lower: self.store()?.files(image)?, changes: Some(changes) },
            directory: self.place.files(),
        };
        let config = configure(spec, given, self)?;
        let mut record = record(spec, image, config)?;
        record.labels.insert(label::CONFIG_HASH.to_owned(), self.hash(spec));
        (record.log, record.anonymous) = (log, self.anonymous.clone());
        state::write(&self.place.state(), &Status::default(), Durability::Volatile)?;
        state::write(&self.place.config(), &record, Durability::Durable)?;
        let (id, image, labels) = (&self.place.id, &record.image, &record.labels);
        let subject = events::Subject { id, name: &spec.name, image, labels };
        events::tell(self.root, subject, "create", &[]);
        Ok(remarks)
    }

    /// The config hash, with the ids of those whose namespaces or volumes it shares.
    fn hash(&self, spec: &ContainerSpec) -> String {
        let id = |name: &str| {
            let is_shared = spec.shares_with.iter().any(|shared| shared == name);
            let found = is_shared.then(|| names::find(self.root, name).ok().flatten());
            Some(found.flatten()?.id)
        };
        hash::container_hash(&spec.service, id)
    }
}

impl Surroundings for Draft<'_> {
    fn volume(&mut self, name: &str, mount: &Mount) -> Result<(String, PathBuf)> {
        let labels: Dict =
            mount.volume.as_ref().map(|options| options.labels.clone()).unwrap_or_default();
        let name = if name.is_empty() {
            let name = random_id()?;
            self.anonymous.push(name.clone());
            // Whoever sweeps up after a kill finds the volume by this.
            let intended = self.place.intended_volumes();
            state::write(&intended, &self.anonymous, Durability::Volatile)?;
            volume::create_anonymous(self.root, &name, &labels)?;
            name
        } else {
            if volume::find(self.root, name)?.is_none() {
                let volume = Volume { name: name.to_owned(), ..Volume::default() };
                volume::create(self.root, &VolumeSpec { volume, labels })?;
            }
            name.to_owned()
        };
        let path = volume::data(self.root, &name)?;
        let gone = || RuntimeError::NotFound(format!("no such volume: {name}"));
        Ok((name.clone(), path.ok_or_else(gone)?))
    }

    fn image(&mut self, reference: &str) -> Result<Vec<PathBuf>> {
        let store = self.store()?;
        let image = store.find(reference)?;
        let image =
            image.ok_or_else(|| RuntimeError::NotFound(format!("no such image: {reference}")))?;
        store.hold(&image, &self.place.durable)?;
        store.files(&image)
    }

    fn mounts_of(&mut self, container: &str) -> Result<Vec<container::Mount>> {
        let named = names::the(self.root, container)?;
        let record = Record::read(&self.root.container(&named.id))?;
        Ok(record.map(|record| record.config.mounts).unwrap_or_default())
    }

    fn network_files(&mut self, of: Option<&str>) -> Result<PathBuf> {
        match of {
            None => Ok(self.place.files()),
            Some(container) => {
                let named = names::the(self.root, container)?;
                Ok(self.root.container(&named.id).files())
            }
        }
    }
}

fn settings(image: &Defaults) -> ImageSettings {
    ImageSettings {
        entrypoint: image.entrypoint.clone(),
        command: image.cmd.clone(),
        environment: image.env.clone(),
        user: image.user.clone(),
        working_dir: image.working_dir.clone(),
        volumes: image.volumes.keys().cloned().collect(),
        stop_signal: image.stop_signal.clone(),
    }
}

fn image_check(image: &Defaults) -> ImageCheck {
    let shell = image.shell.clone();
    let Some(check) = &image.healthcheck else {
        return ImageCheck { shell, ..ImageCheck::default() };
    };
    ImageCheck {
        test: check.test.clone(),
        times: [check.timeout, check.interval, check.start_period, check.start_interval],
        retries: u64::try_from(check.retries).unwrap_or(0),
        shell,
    }
}

fn record(spec: &ContainerSpec, image: &Image, config: Config) -> Result<Record> {
    let service = &spec.service;
    let probe = Probe::of(service)?;
    let check = Check::of(service, &image_check(&image.config.config))?;
    let usual = || probe.as_ref().map(|_| Check::of_probe(service));
    let is_interactive = spec.one_off.is_some_and(|run| run.interactive);
    Ok(Record {
        created: clock::now(),
        image: spec.image.clone(),
        image_id: image.id.to_string(),
        labels: image_labels(image, &spec.labels),
        command: command_line(&config.process.args),
        ports: service.ports.clone(),
        exposed: exposed(service, &image.config.config),
        networks: joinings(spec),
        names: Names::of(service, &spec.links),
        check: check.or_else(usual),
        probe,
        restart: Policy::of(service)?,
        grace: service.stop_grace_period.map(|grace| grace.0),
        auto_remove: spec.one_off.is_some_and(|run| run.auto_remove),
        stdin: match (is_interactive, service.stdin_open) {
            (true, _) => Stdin::Once,
            (false, true) => Stdin::Open,
            (false, false) => Stdin::Closed,
        },
        config,
        ..Record::default()
    })
}

/// The labels of an image are those of its containers too.
fn image_labels(image: &Image, own: &Dict) -> Dict {
    let mut labels: Dict = image
        .config
        .config
        .labels
        .iter()
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    labels.extend(own.clone());
    labels
}

/// A command as Docker lists it.
fn command_line(args: &[String]) -> String {
    let quoted = |word: &String| {
        if word.contains(' ') { format!("'{word}'") } else { word.clone() }
    };
    let words = args.iter().enumerate();
    let words = words.map(|(index, word)| if index == 0 { word.clone() } else { quoted(word) });
    words.collect::<Vec<_>>().join(" ")
}

/// Ports that others may reach: those of `expose` and of the image.
fn exposed(service: &Service, image: &Defaults) -> Vec<(u16, String)> {
    let texts = service.expose.iter().chain(image.exposed_ports.keys());
    let mut all: Vec<(u16, String)> = texts.flat_map(|text| range(text)).collect();
    all.sort();
    all.dedup();
    all
}

fn range(ports: &str) -> Vec<(u16, String)> {
    let (numbers, protocol) = ports.split_once('/').unwrap_or((ports, "tcp"));
    let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
    match (first.parse::<u16>(), last.parse::<u16>()) {
        (Ok(first), Ok(last)) => (first..=last).map(|port| (port, protocol.to_owned())).collect(),
        _ => Vec::new(),
    }
}

/// Makes the directories of the roots.
pub(super) fn make_roots(root: &Root) -> Result<()> {
    let make = |path: &Path| {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(|error| failed("make", path, error))
    };
    make(root.durable())?;
    make(root.volatile())?;
    for path in [root.containers(), root.names(), root.volumes(), root.networks(), root.images()] {
        make(&path)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{command_line, exposed, random_id};
    use crate::model::Service;
    use crate::runtime::native::image::Defaults;

    #[test]
    fn a_command_is_listed_as_docker_lists_it() {
        let words = ["/bin/a b", "-c", "exit 3", ""].map(str::to_owned);
        assert_eq!(command_line(&words), "/bin/a b -c 'exit 3' ");
        assert_eq!(command_line(&[]), "");
    }

    #[test]
    fn ids_are_random() {
        let (one, two) = (random_id().unwrap(), random_id().unwrap());
        assert!(one.len() == 64 && one != two);
    }

    #[test]
    fn ports_of_service_and_image_are_exposed() {
        let service: Service = serde_yaml::from_str("{expose: ['70-71/udp', '80', x]}").unwrap();
        let image = Defaults {
            exposed_ports: [("80/tcp".to_owned(), serde_json::Value::Null)].into(),
            ..Defaults::default()
        };
        let found = exposed(&service, &image);
        let expected = [(70, "udp"), (71, "udp"), (80, "tcp")];
        assert_eq!(found, expected.map(|(port, protocol)| (port, protocol.to_owned())));
    }
}
