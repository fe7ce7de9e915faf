//! `ketch image pull` and `push`.
//!
//! In: references, and the credentials of the `docker` program. Out: progress layer by layer on
//! standard error, and the names on standard output.

use std::time::Instant;

use super::args::{PullArgs, PushArgs};
use crate::cli::engine::{Interrupts, interruptible, progress_mode};
use crate::cli::exit::Failure;
use crate::cli::session::Session;
use crate::event::{Event, Outcome, StepLine};
use crate::model::spec::PullSpec;
use crate::plan::Role;
use crate::runtime::native::image::Store;
use crate::runtime::{self, Credentials};
use crate::ui::progress::{Mode, Prefix, Progress};

/// Gets images, one after the other.
pub(super) async fn pull(
    args: &PullArgs,
    images: &Store,
    session: &mut Session<'_>,
) -> Result<u8, Failure> {
    let environment = session.environment();
    let variable = environment.get("DOCKER_DEFAULT_PLATFORM").cloned();
    let platform = args.platform.clone().or(variable).unwrap_or_default();
    let credentials = Credentials::read(environment).await?;
    let mode = if args.quiet { Mode::Quiet } else { progress_mode(session)? };
    let transfer = Transfer::begin(session, mode, (&args.images, "Pulling", "Pulled"))?;
    for (step, image) in args.images.iter().enumerate() {
        let spec = PullSpec { image: image.clone(), platform: platform.clone() };
        let tell = |told| transfer.tell(step, told);
        let pull = Box::pin(images.pull(&spec, &credentials, &tell));
        transfer.step(step, pull).await?;
    }
    transfer.end(session, &args.images)
}

/// Sends images, one after the other.
pub(super) async fn push(
    args: &PushArgs,
    images: &Store,
    session: &mut Session<'_>,
) -> Result<u8, Failure> {
    let credentials = Credentials::read(session.environment()).await?;
    let mode = if args.quiet { Mode::Quiet } else { progress_mode(session)? };
    let transfer = Transfer::begin(session, mode, (&args.images, "Pushing", "Pushed"))?;
    for (step, image) in args.images.iter().enumerate() {
        let tell = |told| transfer.tell(step, told);
        let push = Box::pin(images.push(image, &credentials, &tell));
        transfer.step(step, push).await?;
    }
    transfer.end(session, &args.images)
}

/// Images on their way, as they are shown.
struct Transfer {
    progress: Progress,
    interrupts: Interrupts,
}

impl Transfer {
    /// Shows what will be done: images, and the words for doing and having done it.
    fn begin(
        session: &Session<'_>,
        mode: Mode,
        (images, doing, done): (&[String], &'static str, &'static str),
    ) -> Result<Self, Failure> {
        let progress = Progress::new(session.screen, mode, Prefix::None);
        let line = |name: &String| StepLine {
            kind: "image",
            name: name.clone(),
            doing,
            done,
            cause: "requested".to_owned(),
            after: Vec::new(),
            role: Role::default(),
        };
        progress.apply(&Event::Planned { steps: images.iter().map(line).collect() });
        Ok(Self { progress, interrupts: Interrupts::listen()? })
    }

    /// Shows how far an image is.
    fn tell(&self, step: usize, told: runtime::Progress) {
        let runtime::Progress { part, status, current, total } = told;
        self.progress.apply(&Event::Progress { step, part, status, current, total });
    }

    /// Does the work for one image; Ctrl-C ends it.
    async fn step<T>(
        &self,
        step: usize,
        work: impl Future<Output = runtime::Result<T>>,
    ) -> Result<T, Failure> {
        let begun = Instant::now();
        self.progress.apply(&Event::Started { step });
        let work = async { work.await.map_err(Failure::from) };
        let done = interruptible(self.interrupts.shutdown(), work).await;
        let outcome = match &done {
            Ok(_) => Outcome::Done,
            Err(Failure::Interrupted) => Outcome::Interrupted,
            Err(failure) => Outcome::Failed { message: failure.to_string() },
        };
        self.progress.apply(&Event::Ended { step, outcome, took: begun.elapsed() });
        if done.is_err() {
            self.progress.finish();
        }
        done
    }

    /// Names what is here, or there, now.
    fn end(self, session: &mut Session<'_>, images: &[String]) -> Result<u8, Failure> {
        self.progress.finish();
        let text: String = images.iter().flat_map(|image| [image.as_str(), "\n"]).collect();
        session.screen.data(&text)?;
        Ok(0)
    }
}
