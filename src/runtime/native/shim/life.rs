//! The life of a container: it is started, ends, and is perhaps started again.
//!
//! In: a shim. Out: states and events, in the order in which Docker has them: who hears of an
//! event finds the state that belongs to it.

use std::rc::Rc;
use std::time::Duration;

use super::run::{Ended, Run};
use super::{Shim, Starter, ending, serve};
use crate::runtime::Result;
use crate::runtime::native::restart::{End, Pauses};
use crate::runtime::native::state::{Phase, Status};
use crate::runtime::native::{allocator, clock, lock};

/// Starts the container and looks after it until it has ended for good.
pub(super) async fn live(shim: &Rc<Shim>, starter: &mut Starter) -> Result<()> {
    let listener = serve::listen(shim)?;
    let begun = async {
        shim.change(Status::begin)?;
        // Those of the shim before, which are written down now; mostly there are none.
        let _ = std::fs::remove_file(shim.place.last_words());
        start(shim).await
    };
    let mut run = match begun.await {
        Ok(run) => run,
        Err(error) => {
            ending::clean(shim);
            ending::remove_if_wanted(shim);
            return Err(error);
        }
    };
    shim.tell("start", &[]);
    starter.tell(Ok(()));
    let server = tokio::task::spawn_local(serve::serve(Rc::clone(shim), listener));
    let mut pauses = Pauses::default();
    loop {
        allocator::trim();
        let ended = run.end(shim).await;
        shim.current.replace(None);
        let Some(pause) = ended_once(shim, &ended, &mut pauses) else { break };
        if is_stopped_within(shim, pause).await {
            shim.accept(|status| status.phase = Phase::Exited);
            break;
        }
        match start(shim).await {
            Ok(next) => run = next,
            // What has started once and cannot be started again stays as it is.
            Err(_) => break,
        }
        shim.tell("start", &[]);
        shim.tell("restart", &[]);
    }
    ending::finish(shim).await;
    server.abort();
    Ok(())
}

/// Starts the container once.
async fn start(shim: &Rc<Shim>) -> Result<Rc<Run>> {
    // Until the state says that it runs.
    let _turn = lock::directory(&shim.place.durable)?;
    match Run::start(shim).await {
        Ok(run) => {
            let run = Rc::new(run);
            shim.current.replace(Some(Rc::clone(&run)));
            let told = shim.change(|status| {
                status.phase = Phase::Running;
                status.pid = run.pid();
                status.exit_code = 0;
                status.started = clock::now();
                status.ports = run.ports();
                status.health = run.health();
                status.reason.clear();
            });
            // Who asked for the start hears of a full disk; one that is started again goes on.
            if shim.status.borrow().restarts == 0 {
                told?;
            }
            run.begin(shim);
            Ok(run)
        }
        Err((code, error)) => {
            shim.accept(|status| {
                // What never ran stays created, as with Docker.
                if status.started != 0 {
                    status.phase = Phase::Exited;
                }
                status.pid = 0;
                status.exit_code = code;
                status.finished = clock::now();
                status.reason = crate::runtime::native::control::whole(&error);
                status.ports.clear();
            });
            Err(error)
        }
    }
}

/// Writes down that the container has ended; gives the pause after which it is started again.
fn ended_once(shim: &Shim, ended: &Ended, pauses: &mut Pauses) -> Option<Duration> {
    let now = clock::now();
    let (restarts, by_request) = {
        let status = shim.status.borrow();
        (status.restarts, status.stop_wanted)
    };
    let again = shim.record.restart.wants(End { code: ended.code, by_request, restarts });
    shim.accept(|status| {
        status.phase = if again { Phase::Restarting } else { Phase::Exited };
        status.restarts += u32::from(again);
        status.pid = 0;
        status.finished = now;
        status.exit_code = ended.code;
        status.out_of_memory = ended.out_of_memory;
        status.reason.clone_from(&ended.reason);
        status.health = None;
        status.ports.clear();
    });
    if ended.out_of_memory {
        shim.tell("oom", &[]);
    }
    shim.tell("die", &[("exitCode", ended.code.to_string())]);
    if by_request {
        shim.tell("stop", &[]);
    }
    again.then(|| pauses.next(ended.ran))
}

/// Waits for the next start; whether somebody wants that there is none.
async fn is_stopped_within(shim: &Shim, pause: Duration) -> bool {
    tokio::select! {
        () = tokio::time::sleep(pause) => shim.status.borrow().stop_wanted,
        () = shim.stop.notified() => true,
    }
}
