//! What happens to containers: a file that all who make things happen write to.
//!
//! In: actions of containers. Out: the events of a project, and those to come.
//!
//! # Invariants
//!
//! - An event is one line of JSON, written by one call to the end of the file, so that lines of
//!   several writers do not mix.
//! - The file is renamed to `events.1` when it is long; one that is older is forgotten.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream;
use serde::{Deserialize, Serialize};

use super::clock;
use super::root::Root;
use super::state::failed;
use super::watch::{Hubs, Watch};
use crate::model::{Dict, label};
use crate::runtime::{LogOptions, Result, RuntimeEvent, Stream};

/// The length at which a new file is begun.
const LONGEST: u64 = 4 << 20;

/// A line of the file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Line {
    time: i64,
    id: String,
    action: String,
    attributes: Dict,
}

/// Whom an event is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject<'a> {
    /// Id of the container.
    pub(super) id: &'a str,
    /// Name of the container.
    pub(super) name: &'a str,
    /// Reference of its image.
    pub(super) image: &'a str,
    /// Its labels.
    pub(super) labels: &'a Dict,
}

/// Writes an event down. That it cannot be told does not undo what has happened: it is logged.
pub(super) fn tell(root: &Root, subject: Subject<'_>, action: &str, details: &[(&str, String)]) {
    let told = append(root, &line(subject, action, details));
    if let Err(error) = told {
        tracing::warn!("cannot tell that {action} happened to {}: {error}", subject.name);
    }
}

fn line(subject: Subject<'_>, action: &str, details: &[(&str, String)]) -> Line {
    // The service as it was is long, and of no use here.
    let labels = subject.labels.iter().filter(|(name, _)| *name != label::SPEC);
    let labels = labels.map(|(name, value)| (name.clone(), value.clone()));
    let own = [("name", subject.name), ("image", subject.image)];
    let own = own.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let details = details.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
    Line {
        time: clock::now(),
        id: subject.id.to_owned(),
        action: action.to_owned(),
        attributes: labels.chain(own).chain(details).collect(),
    }
}

fn append(root: &Root, line: &Line) -> Result<()> {
    let path = root.events();
    let write = || {
        let mut options = OpenOptions::new();
        let mut file = options.create(true).append(true).mode(0o600).open(&path)?;
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        file.write_all(&text)?;
        if file.metadata()?.len() > LONGEST {
            // Somebody else may have done it in this very moment: then a short file is renamed.
            std::fs::rename(&path, older(&path))?;
        }
        Ok(())
    };
    write().map_err(|error| failed("write to", &path, error))
}

fn older(path: &Path) -> PathBuf {
    path.with_extension("1")
}

/// The events of a project.
pub(super) fn read(
    root: &Root,
    hubs: &Arc<Hubs>,
    (project, options): (&str, &LogOptions),
) -> Stream<'static, RuntimeEvent> {
    let until = clock::parse(&options.until);
    let tail = Tail {
        path: root.events(),
        directory: root.volatile().to_owned(),
        hubs: Arc::clone(hubs),
        project: project.to_owned(),
        since: clock::parse(&options.since),
        until: if options.follow { until } else { until.or_else(|| Some(clock::now())) },
        follows: options.follow,
        open: None,
        watch: None,
    };
    stream::try_unfold(tail, |mut tail| async move {
        Ok(tail.next().await?.map(|events| (events, tail)))
    })
    .flat_map(|batch: Result<Vec<RuntimeEvent>>| match batch {
        Ok(events) => stream::iter(events.into_iter().map(Ok).collect::<Vec<_>>()),
        Err(error) => stream::iter(vec![Err(error)]),
    })
    .boxed()
}

/// Reads the file from the beginning and goes on at its end.
#[derive(Debug)]
struct Tail {
    path: PathBuf,
    directory: PathBuf,
    hubs: Arc<Hubs>,
    project: String,
    since: Option<i64>,
    until: Option<i64>,
    follows: bool,
    open: Option<BufReader<File>>,
    watch: Option<Watch>,
}

impl Tail {
    /// The next events; `None` at the end.
    async fn next(&mut self) -> Result<Option<Vec<RuntimeEvent>>> {
        if self.watch.is_none() {
            return self.begin().map(Some);
        }
        loop {
            let events = self.rest()?;
            if !events.is_empty() {
                return Ok(Some(events));
            }
            if !self.follows || self.until.is_some_and(|until| clock::now() > until) {
                return Ok(None);
            }
            self.wait().await?;
        }
    }

    async fn wait(&mut self) -> Result<()> {
        let Some(watch) = &mut self.watch else { return Ok(()) };
        let left = self.until.map(|until| until.saturating_sub(clock::now()).max(0));
        match left.and_then(|left| u64::try_from(left).ok()) {
            Some(left) => {
                let left = std::time::Duration::from_nanos(left);
                tokio::time::timeout(left, watch.changed()).await.unwrap_or(Ok(()))
            }
            None => watch.changed().await,
        }
    }

    /// What was written before; from here on nothing is missed.
    fn begin(&mut self) -> Result<Vec<RuntimeEvent>> {
        self.watch = Some(self.hubs.get()?.watch(&self.directory)?);
        let mut events = match open(&older(&self.path))? {
            Some(mut file) => self.lines(&mut file)?,
            None => Vec::new(),
        };
        events.extend(self.rest()?);
        if !self.follows {
            return Ok(events);
        }
        // What comes is wanted, though the clock may be set back.
        match self.since.take() {
            Some(_) => Ok(events),
            None => Ok(Vec::new()),
        }
    }

    /// What is new in the file, and in the one that has taken its place.
    fn rest(&mut self) -> Result<Vec<RuntimeEvent>> {
        let mut events = Vec::new();
        loop {
            if self.open.is_none() {
                self.open = open(&self.path)?;
            }
            let Some(mut file) = self.open.take() else { return Ok(events) };
            let replaced = !is_at(file.get_ref(), &self.path);
            events.extend(self.lines(&mut file)?);
            if !replaced {
                self.open = Some(file);
                return Ok(events);
            }
        }
    }

    fn lines(&self, file: &mut BufReader<File>) -> Result<Vec<RuntimeEvent>> {
        let mut events = Vec::new();
        let mut line = Vec::new();
        let failed = |error| failed("read", &self.path, error);
        while file.read_until(b'\n', &mut line).map_err(failed)? > 0 {
            events.extend(self.event(&line));
            line.clear();
        }
        Ok(events)
    }

    /// The event of a line, if it is wanted. A line that is damaged is passed over.
    fn event(&self, line: &[u8]) -> Option<RuntimeEvent> {
        let Line { time, id, action, attributes } = serde_json::from_slice(line).ok()?;
        let is_ours = attributes.get(label::PROJECT) == Some(&self.project);
        let is_late = self.since.is_none_or(|since| time >= since);
        let is_early = self.until.is_none_or(|until| time <= until);
        (is_ours && is_late && is_early).then_some(RuntimeEvent {
            time,
            container: id,
            action,
            attributes,
        })
    }
}

fn open(path: &Path) -> Result<Option<BufReader<File>>> {
    match File::open(path) {
        Ok(file) => Ok(Some(BufReader::new(file))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("open", path, error)),
    }
}

/// Whether an open file still lies at a path.
fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(own), Ok(there)) = (file.metadata(), std::fs::metadata(path)) else { return false };
    (own.dev(), own.ino()) == (there.dev(), there.ino())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use futures_util::TryStreamExt as _;

    use super::{Hubs, LONGEST, Subject, older, read, tell};
    use crate::model::{Dict, label};
    use crate::runtime::LogOptions;
    use crate::runtime::native::root::Root;

    fn say(root: &Root, project: &str, action: &str) {
        let labels = Dict::from([(label::PROJECT.to_owned(), project.to_owned())]);
        let subject = Subject { id: "1f", name: "web", image: "i", labels: &labels };
        tell(root, subject, action, &[("exitCode", "3".to_owned())]);
    }

    #[tokio::test]
    async fn the_past_is_told_and_then_what_comes() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::at(directory.path(), directory.path());
        let hubs = Arc::new(Hubs::default());
        say(&root, "shop", "create");
        say(&root, "other", "create");
        let follow = LogOptions { follow: true, since: "0".to_owned(), ..LogOptions::default() };
        let mut events = read(&root, &hubs, ("shop", &follow));
        let next = events.try_next().await.unwrap().unwrap();
        assert_eq!((next.action.as_str(), next.container.as_str()), ("create", "1f"));
        assert_eq!((next.attributes["name"].as_str(), &*next.attributes["exitCode"]), ("web", "3"));
        say(&root, "shop", "start");
        let limit = Duration::from_secs(10);
        let next = tokio::time::timeout(limit, events.try_next()).await.unwrap().unwrap();
        assert_eq!(next.unwrap().action, "start");
        std::fs::rename(root.events(), older(&root.events())).unwrap();
        say(&root, "shop", "die");
        let next = tokio::time::timeout(limit, events.try_next()).await.unwrap().unwrap();
        assert_eq!(next.unwrap().action, "die");
        let past = LogOptions::default();
        let all: Vec<_> = read(&root, &hubs, ("shop", &past)).try_collect().await.unwrap();
        assert_eq!(all.len(), 3);
    }

    #[tokio::test]
    async fn what_comes_is_told_though_the_clock_was_set_back() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::at(directory.path(), directory.path());
        let hubs = Arc::new(Hubs::default());
        say(&root, "shop", "create");
        // From the clock as it was before.
        for since in ["9999999999", ""] {
            let follow =
                LogOptions { follow: true, since: since.to_owned(), ..LogOptions::default() };
            let mut events = read(&root, &hubs, ("shop", &follow));
            let next = events.try_next();
            let say_more = async {
                tokio::task::yield_now().await;
                say(&root, "shop", "start");
            };
            let limit = tokio::time::timeout(Duration::from_secs(10), next);
            let (next, ()) = tokio::join!(limit, say_more);
            assert_eq!(next.unwrap().unwrap().unwrap().action, "start");
        }
    }

    #[test]
    fn a_long_file_is_put_aside() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::at(directory.path(), directory.path());
        let file = std::fs::File::create(root.events()).unwrap();
        file.set_len(LONGEST).unwrap();
        say(&root, "shop", "start");
        assert!(!root.events().exists());
        assert!(std::fs::metadata(older(&root.events())).unwrap().len() > LONGEST);
    }
}
