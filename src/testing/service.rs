//! A service of a stack: where it is reached, and what can be done to it.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use futures_util::future::LocalBoxFuture;
use tokio::io::AsyncWriteExt as _;

use super::error::indented;
use super::world::World;
use super::{ExecSpec, Stack, StackError, WaitFor};
use crate::model::Output;
use crate::model::observed::{ObservedContainer, ObservedPort, State};
use crate::model::reach;
use crate::orchestrator::copy::{self, Destination, Links, Owners, outgoing, receive};
use crate::orchestrator::exec_code;
use crate::plan::{Action, Dependents};
use crate::runtime::{Chunk, LogOptions, Runtime};

/// The most that is kept of what a command or container writes, in bytes.
const LONGEST: usize = 64 << 20;

/// A service of a stack. Calls that are about one container mean its first one, unless
/// [`Service::replica`] says otherwise.
#[derive(Clone, Debug)]
pub struct Service<'s> {
    stack: &'s Stack,
    name: String,
    number: Option<u64>,
}

/// What came of a command in a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Executed {
    /// Its exit code.
    pub code: i64,
    /// What it wrote to standard output. What is not UTF-8 is replaced.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
    service: String,
    command: String,
}

impl Executed {
    /// What it wrote to standard output, if it ended with 0.
    ///
    /// # Errors
    ///
    /// It did not.
    pub fn success(self) -> Result<String, StackError> {
        if self.code == 0 {
            return Ok(self.stdout);
        }
        let output = indented(self.stdout.lines().chain(self.stderr.lines()));
        let output = if output.is_empty() { output } else { format!("\n{output}") };
        Err(StackError::Command {
            service: self.service,
            command: self.command,
            code: self.code,
            output,
        })
    }
}

impl<'s> Service<'s> {
    pub(super) fn new(stack: &'s Stack, name: String) -> Self {
        Self { stack, name, number: None }
    }

    /// The container of this number, from 1.
    #[must_use]
    pub fn replica(mut self, number: u64) -> Self {
        self.number = Some(number);
        self
    }

    /// Where a TCP port of the container is reached from here.
    ///
    /// # Errors
    ///
    /// It is not published.
    pub fn address(&self, target: u16) -> Result<SocketAddr, StackError> {
        self.published(target, "tcp")
    }

    /// The same for UDP.
    ///
    /// # Errors
    ///
    /// It is not published.
    pub fn udp_address(&self, target: u16) -> Result<SocketAddr, StackError> {
        self.published(target, "udp")
    }

    /// The port of this machine at which a TCP port of the container is published.
    ///
    /// # Errors
    ///
    /// It is not published.
    pub fn port(&self, target: u16) -> Result<u16, StackError> {
        Ok(self.address(target)?.port())
    }

    fn published(&self, target: u16, protocol: &'static str) -> Result<SocketAddr, StackError> {
        let (name, number) = (self.name.clone(), self.number);
        self.stack.worker.call_blocking(move |world| {
            Box::pin(async move {
                let container = one(&world, &name, number).await?;
                address_of(&container, (&name, target), protocol)
            })
        })
    }

    /// Runs a command in the container and waits for its end.
    ///
    /// # Errors
    ///
    /// It cannot be started, or writes more than 64 MiB.
    pub async fn exec<W: Into<String>>(
        &self,
        command: impl IntoIterator<Item = W>,
    ) -> Result<Executed, StackError> {
        let command = command.into_iter().map(Into::into).collect();
        self.exec_with(ExecSpec { command, ..ExecSpec::default() }, "").await
    }

    /// The same, as another user, elsewhere, with other variables, or with input.
    ///
    /// # Errors
    ///
    /// It cannot be started, or writes more than 64 MiB.
    pub async fn exec_with(
        &self,
        spec: ExecSpec,
        input: impl Into<Bytes>,
    ) -> Result<Executed, StackError> {
        let (service, input) = (self.name.clone(), input.into());
        self.on_one(move |world, container| {
            Box::pin(async move { execute(&world, (service, container.id), spec, input).await })
        })
        .await
    }

    /// Runs a command, or the service's own without one, in a container that is made for it and goes
    /// with it, as `ketch run --rm` does.
    ///
    /// # Errors
    ///
    /// It cannot be started. Of what it writes at most 64 MiB are kept.
    pub async fn run(&self, command: Option<Vec<String>>) -> Result<Executed, StackError> {
        let said = command.clone().unwrap_or_default().join(" ");
        let streams = Arc::new(Mutex::new((Vec::new(), Vec::new())));
        let kept = streams.clone();
        let tell = move |chunk: Chunk| {
            let mut streams = kept.lock().unwrap_or_else(PoisonError::into_inner);
            let is_error = chunk.output == Output::Stderr;
            let stream = if is_error { &mut streams.1 } else { &mut streams.0 };
            // What is too much is cut off: the container runs to its end all the same.
            let _ = keep(stream, &chunk.bytes);
        };
        let code = self.run_with(command, Box::new(tell)).await?;
        let streams = streams.lock().unwrap_or_else(PoisonError::into_inner);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (stdout, stderr) = (text(&streams.0), text(&streams.1));
        Ok(Executed { code, stdout, stderr, service: self.name.clone(), command: said })
    }

    /// The same; tells what it writes.
    pub(crate) async fn run_with(
        &self,
        command: Option<Vec<String>>,
        tell: Box<dyn Fn(Chunk) + Send>,
    ) -> Result<i64, StackError> {
        let name = self.name.clone();
        self.stack
            .worker
            .call(move |world| Box::pin(async move { world.run(&name, command, &*tell).await }))
            .await
    }

    /// What the container has written so far, to both streams. What is not UTF-8 is replaced.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is more than 64 MiB.
    pub async fn logs(&self) -> Result<String, StackError> {
        self.on_one(|world, container| {
            Box::pin(async move { log_of(&*world.runtime, &container.id).await })
        })
        .await
    }

    /// What the container does.
    ///
    /// # Errors
    ///
    /// There is none.
    pub async fn state(&self) -> Result<State, StackError> {
        self.on_one(|_, container| Box::pin(async move { Ok(container.state) })).await
    }

    /// Waits for something, 30 seconds at most; [`WaitFor::within`] says otherwise.
    ///
    /// # Errors
    ///
    /// It does not come; the error has the end of the log.
    pub async fn wait_for(&self, what: WaitFor) -> Result<(), StackError> {
        let service = self.name.clone();
        self.on_one(move |world, container| {
            Box::pin(async move { what.come(&world, &service, &container).await })
        })
        .await
    }

    /// Stops the containers of the service and starts them again.
    ///
    /// # Errors
    ///
    /// The runtime fails.
    pub async fn restart(&self) -> Result<(), StackError> {
        self.treat(Action::Restart { seconds: None, dependents: Dependents::Ignore }).await
    }

    /// Asks the containers of the service to end, and waits for that.
    ///
    /// # Errors
    ///
    /// The runtime fails.
    pub async fn stop(&self) -> Result<(), StackError> {
        self.treat(Action::Stop { seconds: None }).await
    }

    /// Starts the containers of the service that do not run, and waits until they are ready.
    ///
    /// # Errors
    ///
    /// They do not get ready.
    pub async fn start(&self) -> Result<(), StackError> {
        let name = self.name.clone();
        let work = async |world: Rc<World>| world.start(&[name]).await;
        self.stack.worker.call(move |world| Box::pin(async move { work(world).await })).await
    }

    /// Kills the containers of the service. Their restart policy counts.
    ///
    /// # Errors
    ///
    /// The runtime fails.
    pub async fn kill(&self) -> Result<(), StackError> {
        self.signal("SIGKILL").await
    }

    /// Sends a signal, such as `SIGHUP`, to the first process of the containers of the service.
    ///
    /// # Errors
    ///
    /// There is no such signal, or the runtime fails.
    pub async fn signal(&self, signal: impl Into<String>) -> Result<(), StackError> {
        self.treat(Action::Kill { signal: signal.into() }).await
    }

    /// Freezes the containers of the service: they hold their connections and answer nobody.
    ///
    /// # Errors
    ///
    /// The runtime fails.
    pub async fn pause(&self) -> Result<(), StackError> {
        self.treat(Action::Pause).await
    }

    /// Lets frozen containers go on.
    ///
    /// # Errors
    ///
    /// The runtime fails.
    pub async fn unpause(&self) -> Result<(), StackError> {
        self.treat(Action::Unpause).await
    }

    /// Takes the container out of a network of the project, such as `default`.
    ///
    /// # Errors
    ///
    /// The project has no such network, or the runtime fails.
    pub async fn disconnect_network(&self, network: &str) -> Result<(), StackError> {
        let network = network.to_owned();
        self.on_one(move |world, container| {
            Box::pin(async move { world.disconnect(&network, &container).await })
        })
        .await
    }

    /// Puts the container back into a network of the project, with its names and addresses.
    ///
    /// # Errors
    ///
    /// The project has no such network, or the runtime fails.
    pub async fn connect_network(&self, network: &str) -> Result<(), StackError> {
        let (network, service) = (network.to_owned(), self.name.clone());
        self.on_one(move |world, container| {
            Box::pin(async move { world.connect(&network, &service, &container).await })
        })
        .await
    }

    /// Copies a file or directory of the host into the container, as `docker cp` does.
    ///
    /// # Errors
    ///
    /// It is not there, or cannot be written there.
    pub async fn copy_in(&self, from: impl AsRef<Path>, to: &str) -> Result<(), StackError> {
        let (from, to) = (from.as_ref().to_owned(), to.to_owned());
        self.on_one(move |world, container| {
            Box::pin(async move {
                let (local, origin) = copy::look(&world.absolute(&from), Links::Keep)?;
                let (runtime, container, path) = (&*world.runtime, &container, to.as_str());
                Ok(Destination { runtime, container, path }.take_files(&local, &origin).await?)
            })
        })
        .await
    }

    /// Copies a file or directory of the container to the host, as `docker cp` does.
    ///
    /// # Errors
    ///
    /// It is not there, or cannot be written here.
    pub async fn copy_out(&self, from: &str, to: impl AsRef<Path>) -> Result<(), StackError> {
        let (from, to) = (from.to_owned(), to.as_ref().to_owned());
        self.on_one(move |world, container| {
            Box::pin(async move {
                let from_container = (&*world.runtime, &container);
                let (archive, origin) = outgoing(from_container, &from, Links::Keep).await?;
                let place = (world.absolute(&to), Owners::Mine);
                receive(archive, &origin, (&place.0, place.1)).await?;
                Ok(())
            })
        })
        .await
    }

    async fn treat(&self, action: Action) -> Result<(), StackError> {
        let name = self.name.clone();
        self.stack
            .worker
            .call(move |world| Box::pin(async move { world.treat(&name, action).await }))
            .await
    }

    /// Does something with the container that is meant.
    async fn on_one<T: Send + 'static>(
        &self,
        work: impl FnOnce(
            Rc<World>,
            ObservedContainer,
        ) -> LocalBoxFuture<'static, Result<T, StackError>>
        + Send
        + 'static,
    ) -> Result<T, StackError> {
        let (name, number) = (self.name.clone(), self.number);
        self.stack
            .worker
            .call(move |world| {
                Box::pin(async move {
                    let container = one(&world, &name, number).await?;
                    work(world, container).await
                })
            })
            .await
    }
}

/// The container of this number, or the first.
async fn one(
    world: &World,
    service: &str,
    number: Option<u64>,
) -> Result<ObservedContainer, StackError> {
    let mut found = world.containers(service).await?;
    let known = found.iter().filter_map(|it| it.number().map(|number| format!("number {number}")));
    let known: Vec<String> = known.collect();
    found.retain(|it| number.is_none() || it.number() == number);
    found.into_iter().next().ok_or_else(|| {
        let service = format!("{service}` number `{}", number.unwrap_or(1));
        StackError::NoContainer { service, known }
    })
}

/// Where a published port of a container is reached from this machine.
pub(super) fn address_of(
    container: &ObservedContainer,
    (service, target): (&str, u16),
    protocol: &str,
) -> Result<SocketAddr, StackError> {
    let of_kind = |it: &&ObservedPort| it.protocol == protocol && it.published.is_some();
    let published = container.ports.iter().filter(of_kind);
    let found = published.clone().filter(|it| it.target == target);
    // IPv4 comes first: it is what programs try that know nothing better.
    let found = found.min_by_key(|it| it.host_ip.contains(':')).and_then(address);
    found.ok_or_else(|| {
        let known: BTreeSet<u16> = published.map(|it| it.target).collect();
        let known = known.into_iter().map(|port| port.to_string()).collect();
        StackError::NoPort { service: service.to_owned(), target, known }
    })
}

fn address(port: &ObservedPort) -> Option<SocketAddr> {
    Some(SocketAddr::new(reach::host(port, None).parse().ok()?, port.published?))
}

async fn execute(
    world: &World,
    (service, container): (String, String),
    spec: ExecSpec,
    input: Bytes,
) -> Result<Executed, StackError> {
    let command = spec.command.join(" ");
    let spec = ExecSpec { stdin: !input.is_empty(), detach: false, ..spec };
    let (id, session) = world.runtime.exec(&container, &spec).await?;
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    if let Some(mut session) = session {
        let write = async {
            // A command need not read all that it is given.
            let _ = session.input.write_all(&input).await;
            let _ = session.input.shutdown().await;
            Ok(())
        };
        let read = async {
            while let Some(chunk) = session.output.try_next().await? {
                let is_error = chunk.output == Output::Stderr;
                keep(if is_error { &mut stderr } else { &mut stdout }, &chunk.bytes)?;
            }
            Ok::<_, StackError>(())
        };
        futures_util::future::try_join(write, read).await?;
    }
    let code = exec_code(&*world.runtime, &id).await?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(Executed { code, stdout: text(stdout), stderr: text(stderr), service, command })
}

/// What a container has written.
pub(super) async fn log_of(runtime: &dyn Runtime, container: &str) -> Result<String, StackError> {
    let mut logs = runtime.logs(container, &LogOptions::default());
    let mut kept = Vec::new();
    while let Some(chunk) = logs.try_next().await? {
        keep(&mut kept, &chunk.bytes)?;
    }
    Ok(String::from_utf8_lossy(&kept).into_owned())
}

/// Keeps output, up to a bound.
fn keep(kept: &mut Vec<u8>, bytes: &[u8]) -> Result<(), StackError> {
    if kept.len() + bytes.len() > LONGEST {
        return Err(StackError::File {
            action: "keep what was written".to_owned(),
            source: std::io::Error::other(format!("it is more than {} MiB", LONGEST >> 20)),
        });
    }
    kept.extend_from_slice(bytes);
    Ok(())
}
