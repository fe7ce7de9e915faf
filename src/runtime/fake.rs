//! A runtime in memory, for tests: real refusals, no containers.
//!
//! In: specs and names, what the containers shall do ([`Behaviour`]), and which calls shall go
//! wrong ([`Fault`]). Out: what a real runtime would answer. [`World`] is the pure half; this is
//! the asynchronous one.
//!
//! # Invariants
//!
//! - It knows no time but tokio's, so that a paused clock makes every test quick.
//! - With a [file](Fake::open) the world outlives the process; one process writes it at a time.

mod behaviour;
mod container;
mod fault;
mod file;
mod life;
mod methods;
mod observe;
mod resource;
mod streams;
#[cfg(test)]
mod tests;
mod world;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::{Feature, Result};
use fault::Faults;
use life::{Look, Stopping};

pub use behaviour::{Behaviour, Checkup, Exit};
pub use fault::Fault;
pub use world::{Image, World};

/// A runtime in memory. Clones share one world.
#[derive(Clone)]
pub struct Fake(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    /// Wakes those who wait for something in the world.
    changed: watch::Sender<()>,
    /// When the world's clock stood at `offset`.
    began: Instant,
    offset: Duration,
    file: Option<PathBuf>,
}

#[derive(Default)]
struct State {
    world: World,
    faults: Faults,
    /// How long every call takes.
    latency: Duration,
    lacking: Vec<Feature>,
}

impl fmt::Debug for Fake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fake").field("file", &self.0.file).finish_non_exhaustive()
    }
}

impl Default for Fake {
    fn default() -> Self {
        Self::new()
    }
}

impl Fake {
    /// An empty world.
    pub fn new() -> Self {
        Self::with_world(World::default(), None)
    }

    /// The world in a JSON file, which is written anew, atomically, after every change. Where
    /// there is no file the world is empty. The clock stands still between two processes.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or holds something else.
    pub fn open(path: &Path) -> Result<Self> {
        let mut world = file::read(path)?;
        world.settle();
        Ok(Self::with_world(world, Some(path.to_owned())))
    }

    fn with_world(world: World, file: Option<PathBuf>) -> Self {
        Self(Arc::new(Inner {
            offset: world.now,
            began: Instant::now(),
            state: Mutex::new(State { world, ..State::default() }),
            changed: watch::Sender::new(()),
            file,
        }))
    }

    /// Puts an image into the runtime.
    #[must_use]
    pub fn with_image(self, reference: &str) -> Self {
        self.with_image_of(reference, Image::default())
    }

    /// Puts an image of these properties into the runtime.
    #[must_use]
    pub fn with_image_of(self, reference: &str, image: Image) -> Self {
        let mut state = self.state();
        let image = state.world.identified(image);
        state.world.tag(reference, image);
        drop(state);
        self
    }

    /// Lets an image be pulled; again: a newer one.
    #[must_use]
    pub fn with_remote(self, reference: &str) -> Self {
        self.publish(reference);
        self
    }

    /// Puts a new image into the registry.
    pub fn publish(&self, reference: &str) {
        let mut state = self.state();
        let image = state.world.identified(Image::default());
        state.world.registry.insert(resource::normal(reference), image);
    }

    /// Says what the containers of an image, or the container of this name, do. It holds for
    /// those that are created from now on.
    #[must_use]
    pub fn with_behaviour(self, image_or_container: &str, behaviour: Behaviour) -> Self {
        self.state().world.behaviours.insert(image_or_container.to_owned(), behaviour);
        self
    }

    /// Takes a feature away.
    #[must_use]
    pub fn without(self, feature: Feature) -> Self {
        self.state().lacking.push(feature);
        self
    }

    /// Lets every call that changes something take a time.
    #[must_use]
    pub fn with_latency(self, latency: Duration) -> Self {
        self.state().latency = latency;
        self
    }

    /// Lets a call go wrong by its position, from 0, among those that change or wait from now on.
    #[must_use]
    pub fn with_fault_at(self, position: usize, fault: Fault) -> Self {
        self.fault_at(position, fault);
        self
    }

    /// As [`Fake::with_fault_at`], for a fake that is in use.
    pub fn fault_at(&self, position: usize, fault: Fault) {
        let mut state = self.state();
        let position = state.faults.calls.len() + position;
        state.faults.at_position.insert(position, fault);
    }

    /// Lets the next call of this text, such as `start_container shop-db-1`, go wrong.
    pub fn fault_in(&self, call: &str, fault: Fault) {
        self.state().faults.in_call.insert(call.to_owned(), fault);
    }

    /// The calls that changed something or waited, in the order in which they came: method and
    /// names.
    pub fn calls(&self) -> Vec<String> {
        self.state().faults.calls.clone()
    }

    /// The world as it is now.
    pub fn world(&self) -> World {
        let mut state = self.state();
        state.world.advance(self.now());
        state.world.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A test that panicked with the lock held has left a world that is whole.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Duration {
        self.0.offset + self.0.began.elapsed()
    }

    /// Makes a call that changes something, unless it shall go wrong.
    async fn act<T>(
        &self,
        call: String,
        change: impl FnOnce(&mut World) -> Result<T> + Send,
    ) -> Result<T> {
        let (fault, latency) = {
            let mut state = self.state();
            (state.faults.admit(&call), state.latency)
        };
        match fault {
            Some(Fault::Fail) => return Err(fault::told_to_fail(&call)),
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::LoseAnswer) | None => {}
        }
        if !latency.is_zero() {
            sleep(latency).await;
        }
        let result = self.change(change)?;
        match fault {
            Some(_) => Err(fault::told_to_fail(&call)),
            None => Ok(result),
        }
    }

    /// Changes the world and tells everybody.
    fn change<T>(&self, change: impl FnOnce(&mut World) -> Result<T>) -> Result<T> {
        let mut state = self.state();
        state.world.advance(self.now());
        let result = change(&mut state.world)?;
        if let Some(path) = &self.0.file {
            file::write(path, &state.world)?;
        }
        drop(state);
        self.0.changed.send_replace(());
        Ok(result)
    }

    /// Looks at the world.
    fn look<T>(&self, look: impl FnOnce(&World) -> T) -> T {
        let mut state = self.state();
        state.world.advance(self.now());
        look(&state.world)
    }

    /// Looks at the world until something is found.
    async fn until<T>(&self, look: impl Fn(&World) -> Result<Look<T>> + Send) -> Result<T> {
        let mut changed = self.0.changed.subscribe();
        loop {
            changed.mark_unchanged();
            let later = match self.look(&look)? {
                Look::Found(found) => return Ok(found),
                Look::Later(later) => later,
            };
            let due = async {
                match later {
                    Some(time) => {
                        let instant = self.0.began + time.saturating_sub(self.0.offset);
                        sleep_until(instant).await;
                    }
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // This fake holds the sender: it cannot be gone.
                _ = changed.changed() => {}
                () = due => {}
            }
        }
    }

    /// Waits until a container that was asked to stop has stopped.
    async fn stopped(&self, stopping: &Stopping) -> Result<()> {
        let time_is_up = async {
            match stopping.takes {
                Some(time) => sleep(time).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = time_is_up => self.change(|world| {
                world.end_stop(stopping);
                Ok(())
            }),
            // Killed, or removed.
            _ = self.until(|world| world.wait_ended(&stopping.id)) => Ok(()),
        }
    }
}
