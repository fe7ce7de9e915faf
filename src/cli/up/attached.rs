//! `up` in the foreground: shows what containers write until they have ended or the user has
//! enough.
//!
//! In: a plan. Out: lines on the standard streams, and an exit code. Attaching comes before
//! starting, so that nothing a container writes is lost.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::happenings::Happenings;
use super::menu::{Key, Menu};
use super::watched::{EndsWith, Verdict, Watched};
use super::watching::Watching;
use crate::cli::args::UpArgs;
use crate::cli::engine::{Engine, this_moment};
use crate::cli::exit::{Failure, hint};
use crate::cli::usage::UsageError;
use crate::model::label;
use crate::model::observed::State;
use crate::model::spec::ProviderAction;
use crate::orchestrator::{Converged, Lock, Target};
use crate::plan::{Action, Desired, Op, Plan, Treatment, reconcile};
use crate::runtime::{AttachOptions, Chunk, LogOptions, Runtime, RuntimeEvent};
use crate::scheduler::Stage;
use crate::ui::diagnostics::Message;
use crate::ui::logs::{LinePrefix, LogStyle, Logs, PrefixColour, SourceId};
use crate::ui::time;

/// Chunks that may wait to be written; containers that write more have to wait.
const CHUNKS: usize = 256;

/// A chunk of a container's output; `None` when there is no more.
type Piece = (String, Option<Chunk>);

/// What comes after the output was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// All containers have ended.
    End,
    /// They go on without us.
    Detach,
}

/// What an attached `up` shows, and when it ends.
pub(super) struct Attached<'e, 's, 'a> {
    engine: &'e mut Engine<'s, 'a>,
    target: &'e Target,
    /// Services whose output is shown.
    shown: BTreeSet<String>,
    /// Services that are stopped at the end.
    targets: BTreeSet<String>,
    watched: Watched,
    /// When containers ended that have not started since, in nanoseconds since 1970.
    ended: BTreeMap<String, i64>,
    seconds: Option<i32>,
    logs: Logs,
    sources: BTreeMap<String, SourceId>,
    watching: Option<Watching>,
    menu: Option<Menu>,
    /// `--watch`.
    is_watched: bool,
}

/// The services whose output is shown.
pub(super) fn shown(args: &UpArgs, target: &Target) -> Result<BTreeSet<String>, Failure> {
    let services = &target.project.services;
    if let Some(unknown) = args.attach.iter().find(|name| !services.contains_key(*name)) {
        let text = format!("cannot attach to services not included in up: {unknown}");
        return Err(UsageError::Other(text).into());
    }
    let named: Vec<&String> = match (args.attach.is_empty(), args.services.is_empty()) {
        (false, _) => args.attach.iter().collect(),
        (true, false) if !args.attach_dependencies => args.services.iter().collect(),
        _ => services.keys().collect(),
    };
    let is_shown = |name: &&&String| {
        let attach = services.get(**name).and_then(|service| service.attach);
        !args.no_attach.contains(name) && (!args.attach.is_empty() || attach != Some(false))
    };
    Ok(named.iter().filter(is_shown).map(|name| (*name).clone()).collect())
}

impl<'e, 's, 'a> Attached<'e, 's, 'a> {
    pub(super) fn new(
        engine: &'e mut Engine<'s, 'a>,
        target: &'e Target,
        args: &UpArgs,
    ) -> Result<Self, Failure> {
        let style = LogStyle {
            prefix: if args.no_log_prefix { LinePrefix::None } else { LinePrefix::Name },
            colour: if args.no_color { PrefixColour::Never } else { PrefixColour::Auto },
            clock: args.timestamps.then_some(time::log_now as fn() -> String),
        };
        let ends_with = if args.abort_on_container_failure {
            EndsWith::FirstFailure
        } else if args.abort_on_container_exit || args.exit_code_from.is_some() {
            EndsWith::First
        } else {
            EndsWith::All
        };
        if let Some(name) = &args.exit_code_from
            && !target.project.services.contains_key(name)
        {
            return Err(Failure::Other(format!("no such service: {name}")));
        }
        let logs = Logs::new(engine.session.screen, style);
        Ok(Self {
            shown: shown(args, target)?,
            targets: target.up(&args.services).targets,
            watched: Watched::new(ends_with, args.exit_code_from.clone()),
            ended: BTreeMap::new(),
            seconds: args.timeout,
            logs,
            sources: BTreeMap::new(),
            watching: None,
            menu: Menu::open(args, engine.session)?,
            is_watched: args.watch,
            engine,
            target,
        })
    }

    /// Runs the plan, gives up the lock, and shows output until the end.
    pub(super) async fn run(mut self, plan: &Plan, lock: Lock) -> Result<u8, Failure> {
        let runtime = self.engine.runtime.clone();
        let (sender, mut pieces) = channel(CHUNKS);
        let follow = LogOptions { follow: true, since: this_moment(), ..LogOptions::default() };
        let events = runtime.events(&self.target.project.name, &follow);
        let mut events = Happenings::listen(events);
        let names = self.names(plan);
        self.announce(&names)?;
        for name in names.iter().filter(|name| plan.unchanged.contains(name)) {
            if join(&*runtime, name, &sender).await? {
                self.watched.started(name);
            }
        }
        self.start(plan, &names, (&sender, &mut pieces)).await?;
        self.engine.progress.finish();
        drop(lock);
        if self.is_watched {
            self.toggle_watch()?;
        }
        if self.show(&sender, (&mut pieces, &mut events)).await? == Next::Detach {
            self.logs.finish()?;
            return Ok(0);
        }
        let code = self.watched.exit_code();
        self.drain(sender, pieces).await?;
        Ok(code)
    }

    /// Shows output until the containers have ended or the user has enough.
    async fn show(
        &mut self,
        sender: &Sender<Piece>,
        (pieces, events): (&mut Receiver<Piece>, &mut Happenings),
    ) -> Result<Next, Failure> {
        let mut shutdown =
            std::pin::pin!(self.engine.interrupts.shutdown().reaches(Stage::Graceful));
        // While files are watched, containers that have ended may come back.
        while !self.watched.is_over() || self.watching.is_some() {
            tokio::select! {
                biased;
                () = &mut shutdown => {
                    self.stop_all(pieces).await?;
                    return Err(Failure::Interrupted);
                }
                Some(piece) = pieces.recv() => {
                    write_all(&mut self.logs, &self.sources, &piece, pieces)?;
                }
                event = events.next() => {
                    let verdict = self.take(&event?, sender).await?;
                    if matches!(verdict, Verdict::End | Verdict::Abort) {
                        self.watching = None;
                    }
                    if verdict == Verdict::Abort {
                        self.abort(pieces, events).await?;
                        break;
                    }
                }
                done = Watching::ends(&mut self.watching) => self.watch_ended(done)?,
                key = Menu::next(&mut self.menu) => match key {
                    Key::Detach => {
                        self.leave().await?;
                        return Ok(Next::Detach);
                    }
                    Key::Line => self.engine.session.screen.data("\n")?,
                    Key::Watch => self.toggle_watch()?,
                },
            }
        }
        Ok(Next::End)
    }

    /// Begins to watch files, or ends that.
    fn toggle_watch(&mut self) -> Result<(), Failure> {
        if let Some(watching) = &self.watching {
            watching.escalate();
            return Ok(());
        }
        match Watching::begin(self.engine, self.target, &self.targets) {
            Ok(watching) => {
                self.watching = Some(watching);
                Ok(())
            }
            Err(failure) => self.watch_ended(Err(failure)),
        }
    }

    /// Goes on without watching; not if the command has asked for it and it does not work.
    fn watch_ended(&mut self, done: Result<(), Failure>) -> Result<(), Failure> {
        self.watching = None;
        match done {
            Err(failure) if !self.is_watched => {
                let hint = hint(&failure).map(|hint| format!(": {hint}")).unwrap_or_default();
                let text = format!("{failure}{hint}");
                self.engine.session.screen.message(Message::warning(&text));
                Ok(())
            }
            done => done,
        }
    }

    /// Lets the watch end what it has begun, unless a signal comes first: half a replacement would
    /// leave no container.
    async fn leave(&mut self) -> Result<(), Failure> {
        let Some(watching) = &self.watching else { return Ok(()) };
        watching.end();
        let signal = self.engine.interrupts.shutdown().reaches(Stage::Graceful);
        let done = tokio::select! {
            done = Watching::ends(&mut self.watching) => done,
            () = signal => Ok(()),
        };
        self.watch_ended(done)
    }

    /// Names of the containers that are shown, in order.
    fn names(&self, plan: &Plan) -> Vec<String> {
        let started = plan.steps.iter().filter_map(|step| match &step.op {
            Op::StartContainer { container, .. } => Some(container),
            _ => None,
        });
        let mut names: Vec<String> = started
            .chain(&plan.unchanged)
            .filter(|name| plan.services.get(*name).is_some_and(|it| self.shown.contains(it)))
            .cloned()
            .collect();
        names.sort();
        names
    }

    fn announce(&mut self, names: &[String]) -> Result<(), Failure> {
        let short: Vec<&str> = names.iter().map(|name| self.short(name)).collect();
        let text = format!("Attaching to {}\n", short.join(", "));
        for name in names {
            let short = self.short(name).to_owned();
            let source = self.logs.register(&short);
            self.sources.insert(name.clone(), source);
        }
        Ok(self.engine.session.screen.data(&text)?)
    }

    /// The name without that of the project.
    fn short<'n>(&self, name: &'n str) -> &'n str {
        let rest = name.strip_prefix(&self.target.project.name);
        rest.and_then(|rest| rest.strip_prefix(self.target.separator)).unwrap_or(name)
    }

    /// Runs the plan while output is shown.
    async fn start(
        &mut self,
        plan: &Plan,
        names: &[String],
        (sender, pieces): (&Sender<Piece>, &mut Receiver<Piece>),
    ) -> Result<Converged, Failure> {
        let runtime = self.engine.runtime.clone();
        let before_start = |name: &str| {
            let name = name.to_owned();
            let (runtime, sender) = (runtime.clone(), sender.clone());
            let is_shown = names.contains(&name);
            Box::pin(async move {
                if is_shown {
                    attach(&*runtime, &name, &sender).await;
                }
            }) as BoxFuture<'static, ()>
        };
        let Self { engine, logs, sources, .. } = self;
        let engine = &**engine;
        let orchestrator = engine.orchestrator();
        let mut run = std::pin::pin!(orchestrator.run_with(plan, Some(&before_start)));
        let converged = loop {
            tokio::select! {
                biased;
                converged = &mut run => break converged?,
                Some(piece) = pieces.recv() => {
                    let shown = || write_all(logs, sources, &piece, pieces);
                    engine.progress.step_aside(shown)?;
                }
            }
        };
        for name in names.iter().filter(|name| !plan.unchanged.contains(name)) {
            self.watched.started(name);
        }
        Ok(converged)
    }

    /// Takes in what happened to a container.
    async fn take(
        &mut self,
        event: &RuntimeEvent,
        sender: &Sender<Piece>,
    ) -> Result<Verdict, Failure> {
        let attribute = |name: &str| event.attributes.get(name).map_or("", String::as_str);
        let (name, service) = (attribute("name").to_owned(), attribute(label::SERVICE).to_owned());
        match event.action.as_str() {
            "die" if self.watched.is_alive(&name) => {
                let code = attribute("exitCode").parse().unwrap_or(0);
                self.ended.insert(name.clone(), event.time);
                self.died(&name, &service, code).await
            }
            "start" if self.shown.contains(&service) && !self.sources.contains_key(&name) => {
                if attribute(label::ONE_OFF) != "True" {
                    let short = self.short(&name).to_owned();
                    let source = self.logs.register(&short);
                    self.sources.insert(name.clone(), source);
                    self.watched.started(&name);
                    follow(&self.engine.runtime, &name, event.time, sender);
                }
                Ok(Verdict::GoOn)
            }
            "start" => {
                // Its first words may be older than the news of its start.
                if let Some(ended) = self.ended.remove(&name) {
                    self.watched.started(&name);
                    follow(&self.engine.runtime, &name, ended, sender);
                }
                Ok(Verdict::GoOn)
            }
            _ => Ok(Verdict::GoOn),
        }
    }

    async fn died(&mut self, name: &str, service: &str, code: i64) -> Result<Verdict, Failure> {
        let state = self.engine.runtime.state(name).await?;
        let comes_back = matches!(state, Some(State::Running | State::Restarting))
            || self.watching.as_ref().is_some_and(Watching::acts);
        let source = self.sources.get(name).copied();
        let text = format!("exited with code {code}");
        match (comes_back, source) {
            (true, Some(source)) => self.logs.status(source, &format!("{text} (restarting)"))?,
            (false, Some(source)) => self.logs.status(source, &text)?,
            _ => {}
        }
        Ok(if comes_back { Verdict::GoOn } else { self.watched.ended(name, service, code) })
    }

    /// Stops the other containers after one has ended.
    async fn abort(
        &mut self,
        pieces: &mut Receiver<Piece>,
        events: &mut Happenings,
    ) -> Result<(), Failure> {
        self.engine.session.screen.data("Aborting on container exit...\n")?;
        self.stop_all(pieces).await?;
        // The codes of those that were stopped may count: `--exit-code-from`.
        let (sender, _) = channel(1);
        while !self.watched.is_over() {
            let event = events.next().await?;
            self.take(&event, &sender).await?;
        }
        Ok(())
    }

    /// Stops what was started; a second Ctrl-C kills it.
    async fn stop_all(&mut self, pieces: &mut Receiver<Piece>) -> Result<(), Failure> {
        if self.engine.interrupts.happened() {
            let text = "Gracefully Stopping... press Ctrl+C again to force\n";
            self.engine.session.screen.data(text)?;
        }
        self.settle(pieces).await?;
        self.engine.renew_progress()?;
        self.engine.interrupts.renew();
        let stop = Action::Stop { seconds: self.seconds };
        match self.treat(stop, pieces).await {
            Err(Failure::Interrupted) => {
                self.engine.interrupts.renew();
                self.treat(Action::Kill { signal: "SIGKILL".to_owned() }, pieces).await
            }
            done => done,
        }
    }

    /// Lets the steps end that the watch has begun, unless the user does not want to wait for them.
    async fn settle(&mut self, pieces: &mut Receiver<Piece>) -> Result<(), Failure> {
        let Some(watching) = &self.watching else { return Ok(()) };
        watching.end();
        watching.cut();
        let mut now = std::pin::pin!(self.engine.interrupts.shutdown().reaches(Stage::Now));
        loop {
            tokio::select! {
                biased;
                () = &mut now => break,
                () = Watching::settles(&mut self.watching) => break,
                Some(piece) = pieces.recv() => {
                    write_all(&mut self.logs, &self.sources, &piece, pieces)?;
                }
            }
        }
        self.watching = None;
        Ok(())
    }

    async fn treat(&mut self, action: Action, pieces: &mut Receiver<Piece>) -> Result<(), Failure> {
        let project = &self.target.project;
        let observed = self.engine.runtime.observe(Some(&project.name)).await?;
        let services = self.targets.clone();
        let calls = self.target.calls(ProviderAction::Stop);
        let treatment = Treatment { project, services, action, calls };
        let plan = reconcile(&Desired::Treat(treatment), &observed);
        let Self { engine, logs, sources, .. } = self;
        let engine = &**engine;
        let orchestrator = engine.orchestrator();
        let mut run = std::pin::pin!(orchestrator.run(&plan));
        loop {
            tokio::select! {
                biased;
                done = &mut run => return Ok(done.map(drop)?),
                Some(piece) = pieces.recv() => {
                    let shown = || write_all(logs, sources, &piece, pieces);
                    engine.progress.step_aside(shown)?;
                }
            }
        }
    }

    /// Writes what containers that have ended left behind.
    async fn drain(
        mut self,
        sender: Sender<Piece>,
        mut pieces: Receiver<Piece>,
    ) -> Result<(), Failure> {
        drop(sender);
        while let Some(piece) = pieces.recv().await {
            write(&mut self.logs, &self.sources, &piece)?;
        }
        Ok(self.logs.finish()?)
    }
}

/// Writes a piece and those that wait behind it, and lets them be seen.
fn write_all(
    logs: &mut Logs,
    sources: &BTreeMap<String, SourceId>,
    first: &Piece,
    pieces: &mut Receiver<Piece>,
) -> Result<(), Failure> {
    write(logs, sources, first)?;
    // No more than can wait at once: something else may have happened.
    for _ in 0..CHUNKS {
        let Ok(piece) = pieces.try_recv() else { break };
        write(logs, sources, &piece)?;
    }
    Ok(logs.flush()?)
}

fn write(
    logs: &mut Logs,
    sources: &BTreeMap<String, SourceId>,
    (name, chunk): &Piece,
) -> Result<(), Failure> {
    let Some(source) = sources.get(name) else { return Ok(()) };
    match chunk {
        Some(chunk) => {
            logs.write(*source, chunk.output, &chunk.bytes)?;
        }
        None => logs.end(*source)?,
    }
    Ok(())
}

/// Attaches to a container and passes on what it writes, until it ends.
async fn attach(runtime: &dyn Runtime, name: &str, sender: &Sender<Piece>) {
    match runtime.attach(name, &AttachOptions::default()).await {
        Ok(session) => forward(session.output, name, sender),
        // Some log drivers allow neither: the container runs all the same.
        Err(error) => tracing::debug!(name, %error, "cannot attach"),
    }
}

/// Attaches to a container that was seen to run; says whether it still does. If it has ended since,
/// nobody listened when its end was told, and the engine keeps its streams open for the next start.
async fn join(runtime: &dyn Runtime, name: &str, sender: &Sender<Piece>) -> Result<bool, Failure> {
    let session = runtime.attach(name, &AttachOptions::default()).await;
    let runs = runtime
        .state(name)
        .await?
        .is_some_and(|state| state.has_processes() || state == State::Restarting);
    match session {
        Ok(session) if runs => forward(session.output, name, sender),
        Ok(_) => {}
        Err(error) => tracing::debug!(name, %error, "cannot attach"),
    }
    Ok(runs)
}

/// Reads the log of a container from a time on (nanoseconds since 1970), until it ends.
fn follow(runtime: &std::sync::Arc<dyn Runtime>, name: &str, since: i64, sender: &Sender<Piece>) {
    let second = 1_000_000_000;
    let since = format!("{}.{:09}", since.div_euclid(second), since.rem_euclid(second));
    let options = LogOptions { follow: true, since, ..LogOptions::default() };
    forward(runtime.logs(name, &options), name, sender);
}

fn forward(mut output: crate::runtime::Stream<'static, Chunk>, name: &str, sender: &Sender<Piece>) {
    let (name, sender) = (name.to_owned(), sender.clone());
    tokio::spawn(async move {
        while let Some(Ok(chunk)) = output.next().await {
            if sender.send((name.clone(), Some(chunk))).await.is_err() {
                return;
            }
        }
        let _ = sender.send((name, None)).await;
    });
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::channel;

    use super::join;
    use crate::model::spec::ContainerSpec;
    use crate::runtime::Runtime as _;
    use crate::runtime::fake::Fake;

    #[tokio::test]
    async fn what_has_ended_since_it_was_seen_is_not_waited_for() {
        let fake = Fake::new().with_image("web");
        let spec = ContainerSpec {
            name: "web".to_owned(),
            image: "web".to_owned(),
            ..ContainerSpec::default()
        };
        fake.create_container(&spec).await.expect("created");
        fake.start_container("web", &[]).await.expect("started");
        let (sender, mut pieces) = channel(1);
        assert!(join(&fake, "web", &sender).await.expect("asked"));
        fake.stop_container("web", None).await.expect("stopped");
        while pieces.recv().await.is_some_and(|(_, chunk)| chunk.is_some()) {}
        assert!(!join(&fake, "web", &sender).await.expect("asked"));
        fake.remove_container("web", crate::runtime::Volumes::Keep).await.expect("removed");
        assert!(!join(&fake, "web", &sender).await.expect("asked"));
        drop(sender);
        assert!(pieces.recv().await.is_none(), "nobody holds the other end");
    }
}
