//! Reads the log of a container.
//!
//! In: a directory of files, and which part of them. Out: output as the container wrote it, and
//! what it goes on to write, through all rotations.
//!
//! # Invariants
//!
//! - No more than a block is held in memory.

use std::fs::File;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::BytesMut;
use futures_util::{StreamExt as _, stream};

use super::{FILE, STREAM, TAG, TEXT, TIME, stamp, tail, word};
use crate::model::Output;
use crate::runtime::native::clock;
use crate::runtime::native::state::failed;
use crate::runtime::native::watch::{Hubs, Watch};
use crate::runtime::{Chunk, LogOptions, Result, Stream};

/// How much is read at once.
const BLOCK: usize = 256 * 1024;

/// A log to read.
pub(in crate::runtime::native) struct Log {
    /// Where its files are.
    pub(in crate::runtime::native) directory: PathBuf,
    /// Where a change shows that the container has ended.
    pub(in crate::runtime::native) container: PathBuf,
    /// Whether the container may still write.
    pub(in crate::runtime::native) is_live: Box<dyn Fn() -> Result<bool> + Send>,
}

/// Reads a log.
pub(in crate::runtime::native) fn read(
    log: Log,
    hubs: &Arc<Hubs>,
    options: &LogOptions,
) -> Stream<'static, Chunk> {
    let reader = Reader {
        log,
        hubs: Arc::clone(hubs),
        filter: Filter::new(options),
        tail: options.tail,
        follows: options.follow,
        open: None,
        watches: None,
        rest: Vec::new(),
    };
    stream::try_unfold(reader, |mut reader| async move {
        Ok(reader.next().await?.map(|chunks| (chunks, reader)))
    })
    .flat_map(|batch: Result<Vec<Chunk>>| match batch {
        Ok(chunks) => stream::iter(chunks.into_iter().map(Ok).collect::<Vec<_>>()),
        Err(error) => stream::iter(vec![Err(error)]),
    })
    .boxed()
}

struct Reader {
    log: Log,
    hubs: Arc<Hubs>,
    filter: Filter,
    tail: Option<u64>,
    follows: bool,
    open: Option<Position>,
    watches: Option<[Watch; 2]>,
    /// The beginning of a record whose end has not been read.
    rest: Vec<u8>,
}

/// A place in a file.
struct Position {
    file: File,
    inode: u64,
    offset: u64,
}

impl Reader {
    /// The next output; `None` at the end.
    async fn next(&mut self) -> Result<Option<Vec<Chunk>>> {
        if self.open.is_none() {
            self.begin()?;
        }
        loop {
            // Asked before the end of the file is found: what it wrote last is there then.
            let live = self.follows && (self.log.is_live)()?;
            let found = self.block()?;
            if !found.is_empty() {
                return Ok(Some(found));
            }
            if self.filter.is_over() || !live {
                return Ok(None);
            }
            self.wait().await?;
        }
    }

    /// Opens the file in which the wanted part begins.
    fn begin(&mut self) -> Result<()> {
        if self.follows {
            let hub = self.hubs.get()?;
            let watches = [hub.watch(&self.log.directory)?, hub.watch(&self.log.container)?];
            self.watches = Some(watches);
        }
        let mut files = self.files()?;
        let start = match self.tail {
            Some(lines) => {
                let open: Vec<File> =
                    files.iter().map(|(file, _)| dup(file)).collect::<Result<_>>()?;
                tail::start(&open, lines).map_err(|error| self.failed(error))?
            }
            None => (files.len().saturating_sub(1), 0),
        };
        if start.0 < files.len() {
            let (file, inode) = files.swap_remove(start.0);
            self.open = Some(Position { file, inode, offset: start.1 });
        }
        Ok(())
    }

    /// What the next block holds; nothing at the end.
    fn block(&mut self) -> Result<Vec<Chunk>> {
        if self.open.is_none() {
            // The container has written nothing before.
            self.open =
                self.files()?.pop().map(|(file, inode)| Position { file, inode, offset: 0 });
        }
        loop {
            let Some(position) = &mut self.open else { return Ok(Vec::new()) };
            let have = self.rest.len();
            self.rest.resize(have + BLOCK, 0);
            let read = position.file.read_at(&mut self.rest[have..], position.offset);
            let read = read.map_err(|error| failed("read", &self.log.directory, error))?;
            position.offset += read as u64;
            self.rest.truncate(have + read);
            if read == 0 {
                if !self.turn()? {
                    return Ok(Vec::new());
                }
                continue;
            }
            let end = memchr::memrchr(b'\n', &self.rest).map_or(0, |newline| newline + 1);
            let chunks = self.filter.chunks(&self.rest[..end]);
            self.rest.drain(..end);
            if !chunks.is_empty() {
                return Ok(chunks);
            }
        }
    }

    /// Goes on with the next newer file, if there is one and this one was read to its end.
    fn turn(&mut self) -> Result<bool> {
        let Some(position) = &self.open else { return Ok(false) };
        let mut files = self.files()?;
        let own = files.iter().position(|(_, inode)| *inode == position.inode);
        let next = match own {
            Some(0) => return Ok(false),
            Some(own) => own - 1,
            // It was rotated away while it was read.
            None if files.is_empty() => return Ok(false),
            None => files.len() - 1,
        };
        // Something may have been written between the end that was read and the rotation.
        let length = position.file.metadata().map_err(|error| self.failed(error))?.len();
        if length > position.offset {
            return Ok(true);
        }
        let (file, inode) = files.swap_remove(next);
        self.open = Some(Position { file, inode, offset: 0 });
        Ok(true)
    }

    /// The files, the newest first.
    fn files(&self) -> Result<Vec<(File, u64)>> {
        let mut files = Vec::new();
        for number in 0.. {
            let name = if number == 0 { FILE.to_owned() } else { format!("{FILE}.{number}") };
            match open(&self.log.directory.join(name))? {
                Some(file) => files.push(file),
                None if number == 0 => {}
                None => break,
            }
        }
        Ok(files)
    }

    async fn wait(&mut self) -> Result<()> {
        let Some([files, container]) = &mut self.watches else { return Ok(()) };
        let limit = self.filter.left().unwrap_or(std::time::Duration::from_hours(1));
        tokio::select! {
            changed = files.changed() => changed,
            changed = container.changed() => changed,
            () = tokio::time::sleep(limit) => Ok(()),
        }
    }

    fn failed(&self, error: std::io::Error) -> crate::runtime::RuntimeError {
        failed("read", &self.log.directory, error)
    }
}

fn dup(file: &File) -> Result<File> {
    file.try_clone().map_err(|error| failed("read", Path::new(FILE), error))
}

fn open(path: &Path) -> Result<Option<(File, u64)>> {
    let opened = File::open(path).and_then(|file| {
        let inode = file.metadata()?.ino();
        Ok((file, inode))
    });
    match opened {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("open", path, error)),
    }
}

/// Which records are wanted, and how they are shown.
#[derive(Debug)]
struct Filter {
    since: Option<String>,
    until: Option<(i64, String)>,
    timestamps: bool,
    /// The streams that are in the middle of a line.
    unended: [bool; 2],
}

impl Filter {
    fn new(options: &LogOptions) -> Self {
        let until = clock::parse(&options.until).map(|until| (until, stamp(until)));
        let since = clock::parse(&options.since).map(stamp);
        Self { since, until, timestamps: options.timestamps, unended: [false; 2] }
    }

    fn is_over(&self) -> bool {
        self.until.as_ref().is_some_and(|(until, _)| clock::now() > *until)
    }

    /// How long it is to the end.
    fn left(&self) -> Option<std::time::Duration> {
        let (until, _) = self.until.as_ref()?;
        let left = until.saturating_sub(clock::now()).saturating_add(1);
        Some(std::time::Duration::from_nanos(u64::try_from(left).unwrap_or(0)))
    }

    fn wants(&self, time: &[u8]) -> bool {
        self.since.as_ref().is_none_or(|since| time >= since.as_bytes())
            && self.until.as_ref().is_none_or(|(_, until)| time <= until.as_bytes())
    }

    /// The output of whole records; what one stream wrote without the other one makes one piece.
    fn chunks(&mut self, records: &[u8]) -> Vec<Chunk> {
        let mut chunks = Vec::new();
        let mut bytes = BytesMut::with_capacity(records.len());
        let mut current = Output::Stdout;
        let mut begin = 0;
        for end in memchr::memchr_iter(b'\n', records) {
            let record = &records[begin..=end];
            begin = end + 1;
            // A record that is damaged is passed over.
            let Some(text) = record.get(TEXT..) else { continue };
            if !self.wants(&record[..TIME]) {
                continue;
            }
            let is_error = record[STREAM..].starts_with(word(Output::Stderr).as_bytes());
            let output = if is_error { Output::Stderr } else { Output::Stdout };
            if output != current && !bytes.is_empty() {
                chunks.push(Chunk { output: current, bytes: bytes.split().freeze() });
            }
            current = output;
            let unended = &mut self.unended[usize::from(is_error)];
            if self.timestamps && !*unended {
                bytes.extend_from_slice(&record[..TIME]);
                bytes.extend_from_slice(b" ");
            }
            *unended = record[TAG] == b'P';
            bytes.extend_from_slice(if *unended { &text[..text.len() - 1] } else { text });
        }
        if !bytes.is_empty() {
            chunks.push(Chunk { output: current, bytes: bytes.freeze() });
        }
        chunks
    }
}

#[cfg(test)]
mod tests;
