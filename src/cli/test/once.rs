//! One run: a copy of the project, the command, and what is shown of it.

use std::cell::RefCell;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::command::{self, Command, Ended};
use super::{Outcome, Run, limit};
use crate::bundle::annotate;
use crate::cli::args::{ShowLogs, TestArgs};
use crate::cli::engine::{Probes, choice, engine};
use crate::cli::exit::{Failure, code as exit_code};
use crate::cli::session::Session;
use crate::model::Output;
use crate::orchestrator::OrchestrationError;
use crate::runtime::{Bytes, Chunk};
use crate::scheduler::{Shutdown, Stage};
use crate::testing::{Blueprint, Stack, StackError};
use crate::ui::Screen;
use crate::ui::logs::{LogStyle, Logs, SourceId};

/// The folder where machines run jobs, in the current one.
const USUAL_BUNDLE: &str = "ketch-failure";
/// The variable that names another.
const BUNDLE: &str = "KETCH_BUNDLE";

/// What all runs have in common.
pub(super) struct Runs<'s> {
    blueprint: Blueprint,
    args: &'s TestArgs,
    limit: Option<Duration>,
    /// The mark of the test in which this one runs.
    outer: Option<String>,
    shutdown: Shutdown,
    screen: RefCell<&'s mut Screen>,
    /// Where several commands at once write to, line by line.
    lines: RefCell<Logs>,
}

impl<'s> Runs<'s> {
    pub(super) fn new(
        args: &'s TestArgs,
        session: &'s mut Session<'_>,
        shutdown: Shutdown,
    ) -> Result<Self, Failure> {
        let limit = limit(args.timeout.as_deref())?;
        let mut blueprint = Blueprint::of(session.request()?);
        blueprint = blueprint.runtime(choice(session)?).engine(engine(session, Probes::Eager));
        if let Some(service) = &args.service {
            blueprint = blueprint.without(service);
        }
        if args.build {
            blueprint = blueprint.build();
        }
        if let Some(directory) = bundle(args, session) {
            blueprint = blueprint.bundle(directory);
        }
        let outer = session.environment().get(command::MARK).cloned();
        let lines = RefCell::new(Logs::new(session.screen, LogStyle::default()));
        let screen = RefCell::new(&mut *session.screen);
        Ok(Self { blueprint, args, limit, outer, shutdown, screen, lines })
    }

    /// Brings a copy up, runs the command, and takes the copy down.
    pub(super) async fn once(&self, shard: u32, name: String) -> Run {
        let began = Instant::now();
        let mut run = Run {
            name,
            ready: Duration::ZERO,
            took: Duration::ZERO,
            outcome: Outcome::Interrupted,
        };
        let up = self.blueprint.clone().up();
        let stack = tokio::select! {
            up = up => match up {
                Ok(stack) => stack,
                Err(error) => return Run { outcome: self.not_up(error), ..run },
            },
            // Who drops it takes down what is there by now.
            () = self.shutdown.clone().reaches(Stage::Graceful) => return run,
        };
        run.ready = began.elapsed();
        let seconds = run.ready.as_secs_f64();
        self.tell(&run.name, &format!("{} is ready after {seconds:.2} s", stack.name()));
        let began = Instant::now();
        run.outcome = self.command(&stack, shard, &run.name).await;
        run.took = began.elapsed();
        self.end(stack, &mut run).await;
        run
    }

    fn not_up(&self, error: StackError) -> Outcome {
        let is_wanted = self.shutdown.stage() > Stage::Running;
        let is_end = matches!(
            error,
            StackError::Orchestration(OrchestrationError::Interrupted) | StackError::Down
        );
        if is_wanted && is_end { Outcome::Interrupted } else { Outcome::Failed(error) }
    }

    /// Runs the command to its end.
    async fn command(&self, stack: &Stack, shard: u32, name: &str) -> Outcome {
        let work = async {
            match &self.args.service {
                Some(service) => self.in_service(stack, service, name).await,
                None => self.on_host(stack, shard, name).await,
            }
        };
        let late = async {
            match self.limit {
                Some(limit) => tokio::time::sleep(limit).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            outcome = work => outcome.unwrap_or_else(Outcome::Failed),
            () = late => Outcome::Late(self.limit.unwrap_or_default()),
        }
    }

    async fn in_service(
        &self,
        stack: &Stack,
        service: &str,
        name: &str,
    ) -> Result<Outcome, StackError> {
        let command = Some(self.args.command.clone()).filter(|command| !command.is_empty());
        let (sender, mut pieces) = tokio::sync::mpsc::unbounded_channel::<(Output, Bytes)>();
        let source = self.source(name);
        let show = async {
            while let Some((output, bytes)) = pieces.recv().await {
                self.show(source, output, &bytes);
            }
        };
        let work = async {
            let tell = move |chunk: Chunk| {
                // Nobody listens any more if the run is over.
                let _ = sender.send((chunk.output, chunk.bytes));
            };
            let service = stack.service(service);
            tokio::select! {
                code = service.run_with(command, Box::new(tell)) => Ok(Outcome::Ended(exit_code(code?))),
                () = self.shutdown.clone().reaches(Stage::Graceful) => Ok(Outcome::Interrupted),
            }
        };
        let (outcome, ()) = tokio::join!(work, show);
        outcome
    }

    async fn on_host(&self, stack: &Stack, shard: u32, name: &str) -> Result<Outcome, StackError> {
        let mut environment = stack.environment().await?;
        environment.extend(self.outer.clone().map(|mark| (command::MARK.to_owned(), mark)));
        environment.insert("KETCH_SHARD".to_owned(), shard.to_string());
        environment.insert("KETCH_SHARDS".to_owned(), self.args.parallel.to_string());
        let command = Command { words: &self.args.command, mark: stack.name(), environment };
        let ended = if self.args.parallel == 1 {
            command::run(&command, self.shutdown.clone(), None).await
        } else {
            let source = self.source(name);
            let show = |output, bytes: &[u8]| self.show(source, output, bytes);
            command::run(&command, self.shutdown.clone(), Some(&show)).await
        };
        Ok(match ended? {
            Ended::Code(code) => Outcome::Ended(code),
            Ended::Interrupted => Outcome::Interrupted,
        })
    }

    /// Shows what is of use, and takes the copy down, or says how to.
    async fn end(&self, stack: Stack, run: &mut Run) {
        let has_failed = !run.outcome.is_success();
        if let Outcome::Late(limit) = run.outcome {
            self.tell(&run.name, &format!("killed after {:.0} s", limit.as_secs_f64()));
        }
        if self.args.logs == ShowLogs::Always
            || (self.args.logs == ShowLogs::OnFailure && has_failed)
        {
            self.logs(&stack, &run.name).await;
        }
        if has_failed {
            let text = format!("the command ended with {}", run.outcome.code());
            stack.write_bundle(&text).await;
        }
        if self.args.keep || (self.args.keep_on_failure && has_failed) {
            let name = stack.name().to_owned();
            let text = match stack.keep().await {
                Ok(()) => format!("{name} stays: `ketch -p {name} down -v` removes it"),
                Err(error) => format!("{name} cannot stay: {error}"),
            };
            return self.tell(&run.name, &text);
        }
        if let Err(error) = stack.down().await {
            self.tell(&run.name, &format!("not all of it could be removed: {error}"));
            if !has_failed {
                run.outcome = Outcome::Failed(error);
            }
        }
    }

    /// The logs of all services, each line with its service.
    async fn logs(&self, stack: &Stack, name: &str) {
        match stack.logs().await {
            Ok(logs) => {
                let mut text = String::new();
                for (service, log) in logs {
                    for line in log.lines() {
                        text += &[&service, " | ", line, "\n"].concat();
                    }
                }
                self.screen.borrow_mut().tell(&text);
            }
            Err(error) => self.tell(name, &format!("there are no logs: {error}")),
        }
    }

    fn tell(&self, name: &str, text: &str) {
        let before = if name.is_empty() { String::new() } else { format!("{name}: ") };
        self.screen.borrow_mut().tell(&format!("{before}{text}\n"));
    }

    fn source(&self, name: &str) -> Option<SourceId> {
        (self.args.parallel > 1).then(|| self.lines.borrow_mut().register(name))
    }

    /// Passes output on, with the name of the run where several are under way.
    fn show(&self, source: Option<SourceId>, output: Output, bytes: &[u8]) {
        let written = if let Some(source) = source {
            let mut lines = self.lines.borrow_mut();
            lines.write(source, output, bytes).and_then(|()| lines.flush())
        } else {
            let screen = self.screen.borrow();
            let mut writer = match output {
                Output::Stdout => screen.out_writer(),
                Output::Stderr => screen.err_writer(),
            };
            writer.write_all(bytes).and_then(|()| writer.flush())
        };
        // Who reads our output may have gone; the command is run to its end all the same.
        drop(written);
    }
}

/// Where all that is known is written if something fails.
fn bundle(args: &TestArgs, session: &Session<'_>) -> Option<PathBuf> {
    let environment = session.environment();
    let usual = || annotate::is_ci(environment).then(|| USUAL_BUNDLE.to_owned());
    let found = args.bundle.clone().or_else(|| environment.get(BUNDLE).cloned()).or_else(usual);
    found.filter(|path| !path.is_empty()).map(PathBuf::from)
}
