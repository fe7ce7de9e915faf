//! A copy of a project that runs for a test.

use std::path::Path;

use super::worker::Worker;
use super::world::World;
use super::{Blueprint, RuntimeChoice, Service, StackError};
use crate::model::reach::Variables;
use crate::orchestrator::OrchestrationError;

/// A copy of a project that runs. Dropping it takes it down, with its volumes, and waits for that.
#[derive(Debug)]
pub struct Stack {
    pub(super) worker: Worker<World>,
    name: String,
    runtime: RuntimeChoice,
}

impl Stack {
    /// A project in a file, such as `compose.yaml`; a relative path begins in the current directory,
    /// which in tests is that of the package.
    pub fn from_file(path: impl AsRef<Path>) -> Blueprint {
        Blueprint::of_file(path.as_ref())
    }

    /// A project in a text.
    pub fn from_yaml(text: impl AsRef<str>) -> Blueprint {
        Blueprint::of_yaml(text.as_ref())
    }

    pub(super) async fn up(blueprint: Blueprint) -> Result<Self, StackError> {
        let worker =
            Worker::start(move || Box::pin(async move { World::open(blueprint).await })).await?;
        let (name, runtime) = worker
            .call(|world| Box::pin(async move { Ok((world.project.clone(), world.kind())) }))
            .await?;
        // From here on whoever does not wait for the end drops the stack, which takes it down.
        let stack = Self { worker, name, runtime };
        stack.worker.call(|world| Box::pin(async move { world.up().await })).await?;
        Ok(stack)
    }

    /// The name of this copy: that of its project for every other command, as in
    /// `ketch -p NAME logs`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where its containers run; never [`RuntimeChoice::Auto`].
    pub fn runtime(&self) -> RuntimeChoice {
        self.runtime
    }

    /// A service of it; whether there is one turns out when something is asked of it.
    pub fn service(&self, name: impl Into<String>) -> Service<'_> {
        Service::new(self, name.into())
    }

    /// What all its containers have written, by name.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is more than 64 MiB for one of them.
    pub async fn logs(&self) -> Result<Vec<(String, String)>, StackError> {
        self.worker.call(|world| Box::pin(async move { world.logs().await })).await
    }

    /// Writes all that is known about a failure of a test, where a folder is named for it.
    pub async fn write_bundle(&self, failure: impl Into<String>) {
        let error = OrchestrationError::Other(failure.into()).into();
        let write = self.worker.call(move |world| {
            Box::pin(async move {
                world.write_bundle(&error).await;
                Ok(())
            })
        });
        // The thread is there as long as the stack is.
        let _ = write.await;
    }

    /// Lets it run on when the test is over: `ketch -p NAME down -v` takes it down.
    ///
    /// # Errors
    ///
    /// Its lease cannot be ended: it goes with this process.
    pub async fn keep(self) -> Result<(), StackError> {
        self.worker.call(|world| Box::pin(async move { world.keep().await })).await
    }

    /// Where its services are reached from this machine, as variables for programs: what
    /// `ketch env` prints.
    ///
    /// # Errors
    ///
    /// The runtime fails.
    pub async fn environment(&self) -> Result<Variables, StackError> {
        self.worker.call(|world| Box::pin(async move { world.variables().await })).await
    }

    /// Takes it down, with its volumes. Dropping does the same, and tells nobody what went wrong.
    ///
    /// # Errors
    ///
    /// Something could not be removed.
    pub async fn down(self) -> Result<(), StackError> {
        self.worker.call(|world| Box::pin(async move { world.down().await })).await
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let has_failed = std::thread::panicking();
        let done = self.worker.call_blocking(move |world| {
            Box::pin(async move {
                if has_failed {
                    let text = "a test panicked".to_owned();
                    let error = OrchestrationError::Other(text);
                    world.write_bundle(&error.into()).await;
                }
                world.down().await
            })
        });
        if let Err(error) = done {
            tracing::warn!("stack {} was not taken down: {error}", self.name);
        }
    }
}
