//! The process that looks after one container: `ketch shim ID`.
//!
//! In: the id of a container, and the roots in the environment. Out: a container that runs, and
//! all that outlives the command which started it: its log, health checks, restarts, ports, names,
//! attached streams, and in the end how it ended. It tells on its standard output that the
//! container has started, or why not; then nobody listens.
//!
//! # Invariants
//!
//! - It holds the lock of the container from its first to its last breath.
//! - One thread: the kernel kills the container when its parent thread ends.
//! - Idle, it sleeps: nothing wakes it but its container, its clients and its health checks.
//!
//! # Not here
//!
//! What commands do when a shim was killed (`recover`).

mod console;
mod ending;
mod life;
mod network;
mod prober;
mod run;
mod serve;

pub(super) use network::{host_resolv_conf, overwrite};

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use tokio::sync::Notify;

use super::events::{self, Subject};
use super::lock::{self, Lock};
use super::names;
use super::net::Networks;
use super::record::Record;
use super::role::{self, SHIM_NAME, Starter, role};
use super::root::{Place, Root};
use super::state::{self, Durability, Status};
use crate::runtime::{Result, RuntimeError};

/// What a shim knows.
#[derive(Debug)]
struct Shim {
    root: Root,
    place: Place,
    record: Record,
    networks: Networks,
    status: RefCell<Status>,
    /// Somebody wants the container to end, or no longer to be started again.
    stop: Notify,
    /// Whether who stopped it will start it again.
    is_kept: Cell<bool>,
    /// The container, while it runs.
    current: RefCell<Option<Rc<run::Run>>>,
    /// Waits for the end of the shim: told when everything has been written down.
    over: Notify,
    /// How many clients wait for an answer.
    owed: Cell<usize>,
    lock: RefCell<Option<Lock>>,
    /// Whether the file has the state of the container.
    is_told: Cell<bool>,
}

role! {
    /// What starts a container and looks after it: its argument is the id.
    pub(super) SHIM, SHIM_NAME, main
}

/// The first argument of a shim.
pub(super) const WORD: &str = "shim";

fn main(arguments: &[String]) -> u8 {
    let mut starter = Starter::from_stdout();
    let id = arguments.last().map_or("", String::as_str);
    let lived = Root::from_environment(&role::environment())
        .and_then(|root| role::settle().map(|()| root))
        .and_then(|root| Shim::open(root, id))
        .and_then(|shim| live(shim, &mut starter));
    match lived {
        Ok(()) => 0,
        Err(error) => {
            starter.tell(Err(error));
            1
        }
    }
}

fn live(shim: Shim, starter: &mut Starter) -> Result<()> {
    let failed = |source| RuntimeError::Io { action: "start the event loop".to_owned(), source };
    let executor = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(failed)?;
    let shim = Rc::new(shim);
    tokio::task::LocalSet::new().block_on(&executor, life::live(&shim, starter))
}

impl Shim {
    /// Takes the lock of a container and reads what it is.
    fn open(root: Root, id: &str) -> Result<Self> {
        names::check(id)?;
        let place = root.container(id);
        if !place.config().exists() {
            return Err(names::missing(id));
        }
        let lock = lock::take(&place.lock())?;
        let Some(lock) = lock else {
            return Err(RuntimeError::Conflict(format!("container {id} is looked after already")));
        };
        let record = Record::read(&place)?.ok_or_else(|| names::missing(id))?;
        // Where the disk was full, the shim before could tell the end only here.
        let status = match state::read(&place.last_words())? {
            Some(told) => told,
            None => state::read(&place.state())?.unwrap_or_default(),
        };
        std::fs::create_dir_all(&place.volatile)
            .map_err(|error| state::failed("make", &place.volatile, error))?;
        Ok(Self {
            networks: Networks::new(root.durable(), root.volatile()),
            root,
            place,
            record,
            status: RefCell::new(status),
            stop: Notify::new(),
            is_kept: Cell::new(false),
            current: RefCell::new(None),
            over: Notify::new(),
            owed: Cell::new(0),
            lock: RefCell::new(Some(lock)),
            is_told: Cell::new(true),
        })
    }

    /// Changes what the container is seen to do.
    fn change(&self, change: impl FnOnce(&mut Status)) -> Result<()> {
        let mut status = self.status.borrow_mut();
        change(&mut status);
        let written = state::write(&self.place.state(), &*status, Durability::Volatile);
        self.is_told.set(written.is_ok());
        written
    }

    /// Changes it to what cannot be helped: where the disk is full, it is told in the end.
    fn accept(&self, change: impl FnOnce(&mut Status)) {
        if let Err(error) = self.change(change) {
            tracing::warn!("{error}");
        }
    }

    /// Sees to it that the next command learns how the container ended.
    fn tell_the_end(&self) {
        if self.is_told.get() || self.change(|_| {}).is_ok() {
            return;
        }
        let path = self.place.last_words();
        let told = state::write(&path, &*self.status.borrow(), Durability::Volatile);
        if let Err(error) = told {
            tracing::warn!("{error}");
        }
    }

    /// Tells what has happened to the container.
    fn tell(&self, action: &str, details: &[(&str, String)]) {
        let name = self.name();
        let Record { image, labels, .. } = &self.record;
        let subject = Subject { id: &self.place.id, name: &name, image, labels };
        events::tell(&self.root, subject, action, details);
    }

    /// The name of the container, which may have changed.
    fn name(&self) -> String {
        let named = names::find(&self.root, &self.place.id);
        named.ok().flatten().map(|named| named.name).unwrap_or_default()
    }
}
