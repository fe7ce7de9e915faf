//! The guard of a lease: the process `ketch-lease PROJECT`.
//!
//! In: the owner as its standard input, and the [`Lease`] in its environment. Out: nothing of the
//! project once the owner has ended. It tells on its standard output that it looks after the lease;
//! if there is no owner any more, only after the first try to remove the project.
//!
//! # Invariants
//!
//! - It holds the lock of the file of the lease from its first to its last breath.
//! - It ends when the file of the lease goes, and then removes nothing.
//! - Idle, it sleeps: there is no async runtime before there is work.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;

use super::cannot;
use super::file::{Claim, Lease};
use crate::event::Event;
use crate::orchestrator::{Audience, Depth, Lock, OrchestrationError, Orchestrator};
use crate::plan::Plan;
use crate::runtime::native::role::{self, GUARD_NAME, Program, Starter, role};
use crate::runtime::{Result, RuntimeError};
use crate::scheduler::Trigger;

/// The variable that holds the lease.
const LEASE: &str = "KETCH_LEASE";

/// How long a runtime that fails is given, each time.
const PAUSES: [u64; 6] = [1, 2, 4, 8, 16, 29];

/// When to look again whether anything is left, in milliseconds: engines finish what somebody asked
/// for who was killed meanwhile.
const LOOKS: [u64; 4] = [100, 200, 400, 800];

role! {
    /// What removes a project when its owner ends: its argument is the project.
    GUARD, GUARD_NAME, main
}

/// Starts the guard of a lease. Without an owner: waits until it has removed the project.
pub(super) async fn start(lease: &Lease, owner: Option<OwnedFd>) -> Result<()> {
    let text = serde_json::to_string(lease).map_err(io::Error::from);
    let text = text.map_err(|source| failed("write down the lease", source))?;
    let program = Program::own();
    let mut command = program.command(&GUARD, &lease.project);
    command.envs(&lease.route.environment).env(LEASE, text);
    if let Some(owner) = owner {
        command.stdin(owner);
    }
    program.start(command).await
}

fn failed(action: &str, source: io::Error) -> RuntimeError {
    RuntimeError::Io { action: action.to_owned(), source }
}

fn main(_arguments: &[String]) -> u8 {
    let mut starter = Starter::from_stdout();
    let (lease, claim) = match role::settle().and_then(|()| begin()) {
        Ok(begun) => begun,
        Err(error) => {
            starter.tell(Err(error));
            return 1;
        }
    };
    // What is no process, as where there is none any more, can always be read.
    if !has_ended(None, Some(&NOW)) {
        starter.tell(Ok(()));
        // Its name is as good as kept already; a loss of power must find it too.
        let _ = claim.file.sync_all();
        if let Some(folder) = claim.path.parent() {
            let _ = std::fs::File::open(folder).and_then(|folder| folder.sync_all());
        }
        role::rest();
        if !outlives_owner(&claim) {
            return 0;
        }
    }
    match remove(&lease, &claim, &mut starter) {
        Ok(()) => 0,
        Err(_) => 1,
    }
}

fn begin() -> Result<(Lease, Claim)> {
    let text = role::environment().swap_remove(LEASE).unwrap_or_default();
    let lease: Lease =
        serde_json::from_str(&text).map_err(|error| failed("read the lease", error.into()))?;
    let claim = lease.claim().map_err(|source| {
        failed(&format!("write down the lease of project `{}`", lease.project), source)
    })?;
    let claim = claim.ok_or_else(|| {
        RuntimeError::Conflict(format!("project `{}` is leased already", lease.project))
    })?;
    Ok((lease, claim))
}

const NOW: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// Whether the owner has ended; waits for that, or for news of the lease.
fn has_ended(news: Option<&OwnedFd>, limit: Option<&Timespec>) -> bool {
    let stdin = io::stdin();
    let mut polled = vec![PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::IN)];
    polled.extend(news.map(|news| PollFd::new(news, PollFlags::IN)));
    loop {
        match poll(&mut polled, limit) {
            Err(Errno::INTR) => {}
            _ => return !polled[0].revents().is_empty(),
        }
    }
}

/// Sleeps until the owner has ended (true) or the lease has (false).
fn outlives_owner(claim: &Claim) -> bool {
    let queue = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC);
    // Where a user has too many queues, the end of the lease is noticed with that of the owner.
    let news = queue.ok().filter(|queue| {
        let flags = WatchFlags::ATTRIB | WatchFlags::MOVE_SELF | WatchFlags::DELETE_SELF;
        inotify::add_watch(queue, &claim.path, flags).is_ok()
    });
    while claim.holds() {
        if has_ended(news.as_ref(), None) {
            return claim.holds();
        }
        if let Some(news) = &news {
            let mut read = [std::mem::MaybeUninit::uninit(); 1024];
            let mut events = inotify::Reader::new(news, &mut read);
            while events.next().is_ok() {}
        }
    }
    false
}

/// Removes the project; tries again for a while if the runtime fails, then leaves the file for the
/// next command.
fn remove(
    lease: &Lease,
    claim: &Claim,
    starter: &mut Starter,
) -> std::result::Result<(), OrchestrationError> {
    let executor = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let executor = executor.map_err(|error| cannot("clean up", &lease.project, &error))?;
    executor.block_on(async {
        let mut pauses = PAUSES.into_iter();
        loop {
            let done = attempt(lease, claim).await;
            let told = done.as_ref().map_err(|error| RuntimeError::Refused(error.to_string()));
            starter.tell(told.copied());
            match (done, pauses.next()) {
                (Err(_), Some(pause)) => tokio::time::sleep(Duration::from_secs(pause)).await,
                (done, _) => return done,
            }
        }
    })
}

async fn attempt(lease: &Lease, claim: &Claim) -> std::result::Result<(), OrchestrationError> {
    let environment = &lease.route.environment;
    let connection = lease.route.connect().await?;
    let orchestrator = Orchestrator {
        runtime: &*connection.runtime,
        environment,
        parallel: None,
        shutdown: Trigger::default().listen(),
        depth: Depth::Really,
        audience: &Nobody,
    };
    let project = lease.project.as_str();
    let _lock = Lock::take(environment, (project, "lease"), |_| {}).await?;
    // Somebody may have taken it down while the lock was waited for.
    if !claim.holds() {
        return Ok(());
    }
    orchestrator.take_down(project).await?;
    let looks = if connection.kind.finishes_alone() { &LOOKS[..] } else { &[] };
    for pause in looks {
        tokio::time::sleep(Duration::from_millis(*pause)).await;
        if orchestrator.is_there(project).await? {
            orchestrator.take_down(project).await?;
        }
    }
    if orchestrator.is_there(project).await? {
        return Err(OrchestrationError::Other(format!("something of project `{project}` stays")));
    }
    lease.end().map_err(|error| cannot("end", project, &error))
}

/// Nobody is told anything.
struct Nobody;

impl Audience for Nobody {
    fn event(&self, _plan: &Plan, _event: Event) {}

    fn aside(&self, _text: &str) {}
}
