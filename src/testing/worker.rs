//! The thread in which a stack lives.
//!
//! Runtimes are tied to the executor that they were opened in, and tests come and go with theirs; so
//! each stack brings its own. What a test awaits is only an answer, which any executor can wait for.

use std::rc::Rc;
use std::sync::mpsc as blocking;
use std::thread::JoinHandle;

use futures_util::future::LocalBoxFuture;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{LocalSet, spawn_local};

use super::StackError;

/// Work that is done in the thread.
type Job<W> = Box<dyn FnOnce(Rc<W>) -> LocalBoxFuture<'static, ()> + Send>;

/// What comes of work.
type Done<T> = Result<T, StackError>;

/// A thread with something in it that never leaves it. Dropping it drops all that is being done.
#[derive(Debug)]
pub(super) struct Worker<W> {
    jobs: Option<mpsc::UnboundedSender<Job<W>>>,
    thread: Option<JoinHandle<()>>,
}

impl<W: 'static> Worker<W> {
    /// Starts a thread and makes in it what lives there.
    pub(super) async fn start(
        make: impl FnOnce() -> LocalBoxFuture<'static, Done<W>> + Send + 'static,
    ) -> Done<Self> {
        let (jobs, queue) = mpsc::unbounded_channel();
        let (answer, answered) = oneshot::channel();
        let body = move || {
            let executor = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let executor = executor.expect("the system has file descriptors to spare");
            let work = async move { work(make().await, answer, queue).await };
            LocalSet::new().block_on(&executor, work);
            // Threads that read or write files may hang in the kernel: nobody waits for those.
            executor.shutdown_background();
        };
        let thread = std::thread::Builder::new().name("ketch stack".to_owned()).spawn(body);
        let failed = |source| StackError::File { action: "start a thread".to_owned(), source };
        let worker = Self { jobs: Some(jobs), thread: Some(thread.map_err(failed)?) };
        answered.await.map_err(|_| StackError::Down)??;
        Ok(worker)
    }

    /// Does something in the thread.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(Rc<W>) -> LocalBoxFuture<'static, Done<T>> + Send + 'static,
    ) -> Done<T> {
        let (answer, answered) = oneshot::channel();
        // Who does not wait any more has dropped the other end.
        self.send(work, move |done| drop(answer.send(done)))?;
        answered.await.map_err(|_| StackError::Down)?
    }

    /// The same for who cannot await, even in the middle of an asynchronous test.
    pub(super) fn call_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(Rc<W>) -> LocalBoxFuture<'static, Done<T>> + Send + 'static,
    ) -> Done<T> {
        let (answer, answered) = blocking::channel();
        self.send(work, move |done| drop(answer.send(done)))?;
        answered.recv().map_err(|_| StackError::Down)?
    }

    fn send<T: 'static>(
        &self,
        work: impl FnOnce(Rc<W>) -> LocalBoxFuture<'static, Done<T>> + Send + 'static,
        answer: impl FnOnce(Done<T>) + Send + 'static,
    ) -> Done<()> {
        let job: Job<W> = Box::new(move |world| Box::pin(async move { answer(work(world).await) }));
        let jobs = self.jobs.as_ref().ok_or(StackError::Down)?;
        jobs.send(job).map_err(|_| StackError::Down)
    }
}

/// Does what is asked, all at once, until nobody can ask any more.
async fn work<W: 'static>(
    made: Done<W>,
    answer: oneshot::Sender<Done<()>>,
    mut queue: mpsc::UnboundedReceiver<Job<W>>,
) {
    let world = match made {
        Ok(world) => Rc::new(world),
        Err(error) => return drop(answer.send(Err(error))),
    };
    drop(answer.send(Ok(())));
    while let Some(job) = queue.recv().await {
        spawn_local(job(world.clone()));
    }
}

impl<W> Drop for Worker<W> {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A panic in there has been told.
            drop(thread.join());
        }
    }
}
