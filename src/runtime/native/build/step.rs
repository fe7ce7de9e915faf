//! A stage, instruction by instruction.
//!
//! In: a stage, and the earlier ones as futures. Out: its files and settings.
//!
//! # Invariants
//!
//! - Stages wait for each other only at the instruction that needs the other one.
//! - After a failure nothing new begins; what runs ends.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use tokio::sync::mpsc::Sender;

use super::copy::{Copying, From, refused};
use super::dockerfile::{Command, Heredoc, Instruction, Quotes, Transfer, TransferKind, parse_one};
use super::given;
use super::job::{Came, Job, Key, failed, line};
use super::sandbox::view;
use super::stage::{Base, is_proxy};
use super::state::State;
use crate::runtime::native::container;
use crate::runtime::native::image::{Layer, Step};
use crate::runtime::native::thread::in_thread;
use crate::runtime::{Progress, Result, RuntimeError};

/// How many characters of an instruction stand in front of what it prints.
const TITLE: usize = 48;

/// A stage that is being built; `None`: it could not be.
pub(super) type Pending = Shared<BoxFuture<'static, Option<Arc<State>>>>;

/// Why a stage ended.
#[derive(Debug)]
pub(super) enum Halt {
    /// Something failed in it.
    Failed(RuntimeError),
    /// Something failed elsewhere.
    Elsewhere,
}

impl std::convert::From<RuntimeError> for Halt {
    fn from(error: RuntimeError) -> Self {
        Self::Failed(error)
    }
}

/// A stage that is being built.
pub(super) struct Builder {
    pub(super) job: Arc<Job>,
    pub(super) at: usize,
    pub(super) earlier: Vec<Pending>,
    pub(super) state: State,
}

/// A stage as a future that several may wait for.
pub(super) fn pending(job: Arc<Job>, at: usize, earlier: Vec<Pending>) -> Pending {
    let stage = async move {
        let state = State::default();
        let mut builder = Builder { job: Arc::clone(&job), at, earlier, state };
        match builder.run().await {
            Ok(()) => Some(Arc::new(builder.state)),
            Err(Halt::Failed(error)) => {
                job.fail(error);
                None
            }
            Err(Halt::Elsewhere) => None,
        }
    };
    stage.boxed().shared()
}

/// How an instruction is called while it is done.
#[derive(Clone, Debug)]
pub(super) struct Title {
    pub(super) words: String,
    pub(super) began: Instant,
    pub(super) tell: Sender<Progress>,
}

impl Title {
    /// Says how the instruction came out.
    async fn end(&self, came: Came) {
        match came {
            Came::Cached => self.say("CACHED").await,
            Came::Done => {
                let took = self.began.elapsed().as_secs_f64();
                self.say(&format!("DONE {took:.1}s")).await;
            }
        }
    }

    pub(super) async fn say(&self, text: &str) {
        // Nobody may listen any more.
        let _ = self.tell.send(line(&self.words, text)).await;
    }
}

impl Builder {
    async fn run(&mut self) -> std::result::Result<(), Halt> {
        let job = Arc::clone(&self.job);
        let stage = job.stages.all[self.at].clone();
        self.state = match &stage.base {
            Base::Scratch => State::scratch(job.platform.clone(), job.stages.escape),
            Base::Stage(other) => self.other(*other).await?.child(),
            Base::Other(name) => {
                let found = self.image(name, &stage.platform).await;
                found.map_err(|error| job.at_line(stage.line, &error))?
            }
        };
        let total = stage.instructions.len() + 1;
        for trigger in self.state.take_triggers() {
            let parsed = parse_one(&trigger, '\\').map_err(|fault| {
                refused(format!("the base image wants `ONBUILD {trigger}`: {fault}"))
            });
            let mut instruction = parsed.map_err(|error| job.at_line(stage.line, &error))?;
            instruction.line = stage.line;
            let place = format!("{} onbuild", self.name());
            self.instruction(&instruction, &place).await?;
        }
        for (index, instruction) in stage.instructions.iter().enumerate() {
            let place = format!("{}{}/{total}", self.name(), index + 2);
            self.instruction(instruction, &place).await?;
        }
        Ok(())
    }

    fn name(&self) -> String {
        let stages = &self.job.stages.all;
        match stages[self.at].name.as_str() {
            "" if stages.len() == 1 => String::new(),
            "" => format!("stage-{} ", self.at),
            name => format!("{name} "),
        }
    }

    /// Another stage, when it is done.
    pub(super) async fn other(&self, at: usize) -> std::result::Result<Arc<State>, Halt> {
        self.earlier[at].clone().await.ok_or(Halt::Elsewhere)
    }

    /// An image, or a context of that name that stands for one.
    async fn image(&self, name: &str, platform: &str) -> Result<State> {
        let contexts = &self.job.spec.build.additional_contexts;
        let reference = match contexts.get(name) {
            None => name.to_owned(),
            Some(context) => match context.strip_prefix("docker-image://") {
                Some(image) => image.to_owned(),
                None => {
                    return Err(refused(format!(
                        "`FROM {name}`: the context `{name}` is `{context}`, which is no image"
                    )));
                }
            },
        };
        let image = self.job.image(&reference, platform).await?;
        let (origin, config) = self.job.store.origin(&reference, &image)?;
        Ok(State::new(origin, config, self.job.stages.escape))
    }

    /// Where `--from` takes files.
    pub(super) async fn from(&self, name: &str) -> std::result::Result<From, Halt> {
        if name.is_empty() {
            return Ok(From::Files(Arc::clone(&self.job.context), String::new()));
        }
        if let Base::Stage(other) = self.job.stages.source(self.at, name) {
            let state = self.other(other).await?;
            return Ok(From::Origin(state.origin.clone(), name.to_owned()));
        }
        let contexts = &self.job.spec.build.additional_contexts;
        let directory = contexts.get(name).filter(|it| !it.starts_with("docker-image://"));
        if let Some(directory) = directory {
            let files = self.job.named_context(name, directory)?;
            return Ok(From::Files(files, name.to_owned()));
        }
        if self.job.stages.knows(name) {
            let said =
                format!("`{name}` is no earlier stage: files come from those before this one");
            return Err(refused(said).into());
        }
        let state = self.image(name, "").await?;
        Ok(From::Origin(state.origin, name.to_owned()))
    }

    async fn instruction(
        &mut self,
        instruction: &Instruction,
        place: &str,
    ) -> std::result::Result<(), Halt> {
        if self.job.has_failed.load(Ordering::Relaxed) {
            return Err(Halt::Elsewhere);
        }
        let text: String = instruction.text.chars().take(TITLE).collect();
        let title = Title {
            words: format!("[{place}] {text}"),
            began: Instant::now(),
            tell: self.job.tell.clone(),
        };
        match self.apply(instruction, &title).await {
            Err(Halt::Failed(error)) => Err(Halt::Failed(self.job.at(instruction, &error))),
            done => done,
        }
    }

    async fn apply(
        &mut self,
        instruction: &Instruction,
        title: &Title,
    ) -> std::result::Result<(), Halt> {
        match &instruction.command {
            Command::Arg(arguments) => self.arguments(arguments)?,
            Command::Workdir(path) => return Ok(self.directory(path, title).await?),
            Command::Transfer(transfer) => {
                return self.transfer(transfer, instruction, title).await;
            }
            Command::Run(run) => return self.command(run, instruction, title).await,
            command => {
                self.state.apply(command).map_err(refused)?;
            }
        }
        self.state.done(&instruction.text, None, None);
        Ok(())
    }

    /// `ARG`: values from outside come before those of the file.
    fn arguments(&mut self, arguments: &[(String, Option<String>)]) -> Result<()> {
        for (name, default) in arguments {
            let name = self.state.expand(name).map_err(refused)?;
            let value = match (self.job.given(&name), default) {
                (Some(value), _) => Some(value),
                (None, Some(text)) => Some(self.state.expand(text).map_err(refused)?),
                (None, None) => self.job.stages.arguments.get(&name).cloned(),
            };
            if let Some(value) = value {
                self.state.arguments.insert(name, value);
            }
        }
        Ok(())
    }

    /// `WORKDIR`: the directory is made if it is missing, and belongs to `USER`.
    async fn directory(&mut self, path: &str, title: &Title) -> Result<()> {
        let path = self.state.expand(path).map_err(refused)?;
        let path = self.state.directory(&path);
        self.state.config.config.working_dir.clone_from(&path);
        let (job, origin) = (Arc::clone(&self.job), self.state.origin.clone());
        let (target, user) = (path.clone(), self.state.settings().user.clone());
        let (step, came) = in_thread(move || {
            let mut key = Key::new(&job, "WORKDIR");
            key.add(&origin.identity()).add(&target).add(&user);
            job.once(&key.finish(), || make_directory(&job, &origin, (&target, &user)))
        })
        .await?;
        let created = step.layer.as_ref().map(|_| step.created.clone());
        title.end(came).await;
        self.state.done(&format!("WORKDIR {path}"), step.layer, created);
        Ok(())
    }

    async fn transfer(
        &mut self,
        transfer: &Transfer,
        instruction: &Instruction,
        title: &Title,
    ) -> std::result::Result<(), Halt> {
        let mut transfer = self.expanded(transfer).map_err(refused)?;
        let texts = transfer.heredocs.iter().map(|file| self.text(file));
        let texts = texts.collect::<std::result::Result<Vec<_>, _>>().map_err(refused)?;
        let mut fetched = Vec::new();
        if transfer.kind == TransferKind::Add {
            let (remote, local) =
                std::mem::take(&mut transfer.sources).into_iter().partition(|it| is_remote(it));
            transfer.sources = local;
            let remote: Vec<String> = remote;
            for address in &remote {
                fetched.push(self.job.fetch(address, &transfer).await?);
            }
            if !transfer.checksum.is_empty() && remote.is_empty() {
                return Err(refused("`--checksum` is for what is downloaded").into());
            }
        }
        let copying = Copying {
            from: self.from(&transfer.from).await?,
            transfer,
            texts,
            fetched,
            working_dir: self.state.settings().working_dir.clone(),
            origin: self.state.origin.clone(),
        };
        let job = Arc::clone(&self.job);
        let (step, came) = in_thread(move || copying.run(&job)).await?;
        self.finish(step, came, (&instruction.text, title)).await;
        Ok(())
    }

    /// The same with its variables substituted.
    fn expanded(&self, transfer: &Transfer) -> std::result::Result<Transfer, String> {
        let expand = |text: &String| self.state.expand(text);
        let all =
            |texts: &[String]| texts.iter().map(expand).collect::<std::result::Result<_, _>>();
        Ok(Transfer {
            sources: all(&transfer.sources)?,
            target: expand(&transfer.target)?,
            from: expand(&transfer.from)?,
            chown: expand(&transfer.chown)?,
            chmod: expand(&transfer.chmod)?,
            checksum: expand(&transfer.checksum)?,
            exclude: all(&transfer.exclude)?,
            ..transfer.clone()
        })
    }

    fn text(&self, file: &Heredoc) -> std::result::Result<(String, String), String> {
        let content = if file.expands {
            self.state.expand_as(&file.content, Quotes::Keep)?
        } else {
            file.content.clone()
        };
        Ok((file.name.clone(), content))
    }

    /// Takes over what a step has made, and says so.
    pub(super) async fn finish(&mut self, step: Step, came: Came, (by, title): (&str, &Title)) {
        title.end(came).await;
        self.state.done(by, step.layer, Some(step.created));
    }
}

impl Job {
    /// The value that a build argument has from outside.
    pub(super) fn given(&self, name: &str) -> Option<String> {
        given(&self.spec, &self.native.environment, (&self.platform, name))
    }

    /// Arguments that commands see without asking for them.
    pub(super) fn proxies(&self) -> Vec<String> {
        let names = self.spec.build.args.keys().filter(|name| is_proxy(name));
        names.filter_map(|name| Some(format!("{name}={}", self.given(name)?))).collect()
    }
}

/// Whether a source of `ADD` is somewhere else.
fn is_remote(source: &str) -> bool {
    const STARTS: &[&str] = &["http://", "https://", "git@", "git://", "ssh://"];
    STARTS.iter().any(|start| source.starts_with(start))
}

fn make_directory(
    job: &Job,
    origin: &super::super::image::Origin,
    (path, user): (&str, &str),
) -> Result<Step> {
    let place = std::path::Path::new(path);
    let tree = view(&job.store.directories(origin)?).map_err(failed("see", place))?;
    let found = tree.resolve(place).map_err(failed("find", place))?;
    let layer: Option<Layer> = if found.is_directory() {
        None
    } else {
        let mut put = super::transfer::Put::nothing(path, job.now(), job.epoch);
        if !user.is_empty() {
            let owner = container::owner(tree.root(), user);
            let owner = owner.map_err(|error| refused(format!("`USER {user}`: {error}")))?;
            put.dress.owner = Some(owner);
        }
        Some(job.store.layer(place, |out| super::transfer::write(&put, Some(&tree), out))?)
    };
    Ok(Step { layer, created: job.now_text() })
}
