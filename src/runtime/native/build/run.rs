//! The step that `RUN` is.
//!
//! In: a [`Run`] and the stage so far. Out: a layer of what the command has changed.
//!
//! # Invariants
//!
//! - What a secret is, or an agent knows, is no input of the step: neither its key nor its layer
//!   nor its history depends on it.

use std::fs;
use std::sync::Arc;

use super::copy::{From, refused};
use super::dockerfile::{Form, Heredoc, Instruction, Mount, MountKind, Run};
use super::job::{Job, Key, failed};
use super::mount::{self, Caches, Mounted, Place};
use super::sandbox::{Command, Out, Sandbox};
use super::step::{Builder, Halt, Title};
use crate::model::spec::InjectedFile;
use crate::model::{Bytes, Service};
use crate::runtime::native::image::{Origin, Step};
use crate::runtime::native::thread::in_thread;
use crate::runtime::{Result, RuntimeError};

/// Where scripts of heredocs are: in memory, and gone with the command.
const SCRIPTS: &str = "/dev/pipes";

/// A `RUN` with nothing left to find out.
pub(super) struct Running {
    pub(super) command: Command,
    pub(super) mounts: Vec<(Mount, From)>,
    pub(super) origin: Origin,
    /// As errors call it.
    pub(super) text: String,
    pub(super) out: Out,
}

impl Builder {
    pub(super) async fn command(
        &mut self,
        run: &Run,
        instruction: &Instruction,
        title: &Title,
    ) -> std::result::Result<(), Halt> {
        let (args, files) = self.words(run);
        let mut mounts = Vec::new();
        for mount in &run.mounts {
            let mount = self.expanded_mount(mount).map_err(refused)?;
            let from = self.from(&mount.from).await?;
            mounts.push((mount, from));
        }
        let settings = self.state.settings();
        let working_dir = match settings.working_dir.as_str() {
            "" => "/".to_owned(),
            path => path.to_owned(),
        };
        let command = Command {
            environment: self.state.environment(),
            working_dir,
            user: settings.user.clone(),
            service: self.service(run)?,
            files,
            args,
            ..Command::default()
        };
        let by = self.history(run, &command.args);
        let out = Out { tell: title.tell.clone(), step: title.words.clone() };
        let text: String = instruction.text.chars().take(200).collect();
        let running = Running { command, mounts, origin: self.state.origin.clone(), text, out };
        let job = Arc::clone(&self.job);
        let (step, came) = in_thread(move || running.run(&job)).await?;
        self.finish(step, came, (&by, title)).await;
        Ok(())
    }

    /// The same with its variables substituted, and a target that begins at the root.
    fn expanded_mount(&self, mount: &Mount) -> std::result::Result<Mount, String> {
        let target = match self.state.expand(&mount.target)? {
            usual if usual.is_empty() => usual,
            path => self.state.directory(&path),
        };
        if target == "/" {
            let written = &mount.target;
            return Err(format!("`target={written}` is the root, where the image is"));
        }
        Ok(Mount {
            target,
            source: self.state.expand(&mount.source)?,
            from: self.state.expand(&mount.from)?,
            id: self.state.expand(&mount.id)?,
            ..mount.clone()
        })
    }

    /// The words of a command, and the scripts that it needs.
    fn words(&self, run: &Run) -> (Vec<String>, Vec<InjectedFile>) {
        let (Form::Shell(line), false) = (&run.form, run.heredocs.is_empty()) else {
            return (self.state.words(&run.form), Vec::new());
        };
        if let [only] = &run.heredocs[..]
            && line.trim() == only.word
        {
            if !only.content.starts_with("#!") {
                return (self.state.words(&Form::Shell(only.content.clone())), Vec::new());
            }
            let path = format!("{SCRIPTS}/{}", only.name);
            let content = only.content.clone();
            let file = InjectedFile { path: path.clone(), content, uid: 0, gid: 0, mode: 0o755 };
            return (vec![path], vec![file]);
        }
        (self.state.words(&Form::Shell(with_heredocs(line, &run.heredocs))), Vec::new())
    }

    /// How the history tells of a command.
    fn history(&self, run: &Run, args: &[String]) -> String {
        let arguments: Vec<String> =
            self.state.arguments.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let words = match &run.form {
            Form::Exec(words) => words.join(" "),
            Form::Shell(_) => args.join(" "),
        };
        match arguments.len() {
            0 => format!("RUN {words}"),
            count => format!("RUN |{count} {} {words}", arguments.join(" ")),
        }
    }

    /// The attributes of a service that say the same as those of the build.
    fn service(&self, run: &Run) -> Result<Service> {
        let build = &self.job.spec.build;
        let entitled = |wanted: &str| build.entitlements.iter().any(|given| given == wanted);
        let network = match (run.network.as_str(), build.network.as_str()) {
            ("" | "default", "" | "default" | "bridge") => "bridge",
            ("none", _) | ("" | "default", "none") => "none",
            ("host", own) if own == "host" || entitled("network.host") => "host",
            ("" | "default", "host") => "host",
            ("host", _) => {
                return Err(RuntimeError::Unsupported(
                    "`RUN --network=host` needs `build.entitlements: [network.host]`".to_owned(),
                ));
            }
            (_, other) => {
                return Err(RuntimeError::Unsupported(format!(
                    "`build.network: {other}`: builds of the native runtime have `default`, `host` \
                     and `none`"
                )));
            }
        };
        let privileged = match run.security.as_str() {
            "insecure" if build.privileged || entitled("security.insecure") => true,
            "insecure" => {
                return Err(RuntimeError::Unsupported(
                    "`RUN --security=insecure` needs `build.entitlements: [security.insecure]`"
                        .to_owned(),
                ));
            }
            _ => build.privileged,
        };
        Ok(Service {
            network_mode: network.to_owned(),
            privileged,
            extra_hosts: build.extra_hosts.clone(),
            shm_size: build.shm_size,
            ulimits: build.ulimits.clone(),
            mem_limit: Bytes(self.job.spec.options.memory),
            ..Service::default()
        })
    }
}

/// A line with its heredocs, as a shell reads them.
fn with_heredocs(line: &str, heredocs: &[Heredoc]) -> String {
    let mut text = line.to_owned();
    for file in heredocs {
        text.push('\n');
        text.push_str(&file.content);
        text.push_str(&file.name);
    }
    text.push('\n');
    text
}

impl Running {
    /// Does it. Blocks.
    fn run(mut self, job: &Job) -> Result<(Step, super::job::Came)> {
        let key = self.key(job)?;
        job.once(&key, || self.make(job))
    }

    fn key(&self, job: &Job) -> Result<String> {
        let (command, service) = (&self.command, &self.command.service);
        let mut key = Key::new(job, "RUN");
        key.add(&self.origin.identity()).all(&command.args).all(&command.environment);
        key.add(&command.working_dir).add(&command.user).add(&service.network_mode);
        key.add(if service.privileged { "privileged" } else { "" });
        for file in &command.files {
            key.add(&file.path).add(&file.content);
        }
        for (name, addresses) in &service.extra_hosts {
            key.add(name).all(addresses);
        }
        // How much memory there is, is no input: with more of it a command makes the same.
        key.add(&format!("{} {:?}", service.shm_size.0, service.ulimits));
        for (mount, from) in &self.mounts {
            key.add(&mount::inputs(mount));
            if mount.kind == MountKind::Bind {
                key.add(&mount::digest(job, mount, from)?);
            }
        }
        Ok(key.finish())
    }

    fn make(&mut self, job: &Job) -> Result<Step> {
        let sandbox = Sandbox::new(&job.native.root, &job.native.networks)?;
        let mut command = self.command.clone();
        command.environment.extend(job.proxies());
        // They are locked until the command has ended.
        let caches = Caches::lock(job, self.mounts.iter().map(|(mount, _)| mount))?;
        let mut agents = Vec::new();
        for (at, (mount, from)) in self.mounts.iter().enumerate() {
            let place = Place { sandbox: &sandbox, caches: &caches, at };
            let mounted = mount::prepare(job, &place, (mount, from))?;
            let Some(Mounted { mount, is_file, environment, agent }) = mounted else { continue };
            agents.extend(agent);
            if let Some(mount) = mount {
                if is_file {
                    command.file_mounts.push(mount.target.clone());
                }
                command.mounts.push(mount);
            }
            command.environment.extend(environment);
        }
        let lower = job.store.directories(&self.origin)?;
        let ended = sandbox.run(lower, command, &self.out);
        drop(agents);
        match ended? {
            0 => {}
            code => {
                return Err(refused(format!("`{}` failed with exit code {code}", self.text)));
            }
        }
        let upper = sandbox.upper();
        let mut entries = fs::read_dir(&upper).map_err(failed("read", &upper))?;
        let layer = match entries.next() {
            None => None,
            Some(_) => Some(job.store.layer_of_directory(&upper, job.epoch)?),
        };
        Ok(Step { layer, created: job.now_text() })
    }
}
