//! Writes the log of a container.
//!
//! In: what it writes, piece by piece. Out: records in files, of which there are not more, nor
//! longer ones, than the settings say.

use std::fs::{File, OpenOptions, rename};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::{Driver, FILE, LogSettings, stamp, word};
use crate::model::Output;
use crate::runtime::native::clock;

/// The log of a container, open.
#[derive(Debug)]
pub(in crate::runtime::native) struct Writer {
    directory: PathBuf,
    settings: LogSettings,
    file: File,
    length: u64,
    /// Records that are about to be written.
    records: Vec<u8>,
}

impl Writer {
    /// Goes on with the log in a directory; `None` if there is to be none.
    pub(in crate::runtime::native) fn open(
        directory: &Path,
        settings: &LogSettings,
    ) -> io::Result<Option<Self>> {
        if settings.driver == Driver::None {
            return Ok(None);
        }
        let file = append(&directory.join(FILE))?;
        let length = file.metadata()?.len();
        let (directory, settings) = (directory.to_owned(), settings.clone());
        Ok(Some(Self { directory, settings, file, length, records: Vec::new() }))
    }

    /// Writes a piece of output.
    pub(in crate::runtime::native) fn write(
        &mut self,
        output: Output,
        bytes: &[u8],
    ) -> io::Result<()> {
        let time = stamp(clock::now());
        self.records.clear();
        let mut rest = bytes;
        while !rest.is_empty() {
            let begin = self.records.len();
            let end = memchr::memchr(b'\n', rest);
            let (text, tag) = end.map_or((rest, b"P"), |end| (&rest[..end], b"F"));
            for part in [time.as_bytes(), b" ", word(output).as_bytes(), b" ", tag, b" ", text] {
                self.records.extend_from_slice(part);
            }
            self.records.push(b'\n');
            rest = end.map_or(&[], |end| &rest[end + 1..]);
            if self.is_full(begin) {
                self.flush(begin)?;
                self.turn()?;
            }
        }
        self.flush(self.records.len())
    }

    /// Whether the last record, which begins there, does not fit into this file. A new file takes
    /// any record.
    fn is_full(&self, begin: usize) -> bool {
        let length = self.length + self.records.len() as u64;
        self.length + begin as u64 > 0 && self.settings.max_size.is_some_and(|max| length > max)
    }

    /// Writes the records before `end`.
    fn flush(&mut self, end: usize) -> io::Result<()> {
        if let Err(error) = self.file.write_all(&self.records[..end]) {
            // The disk is full: what follows must not begin in the middle of a record.
            self.file.set_len(self.length)?;
            return Err(error);
        }
        self.length += end as u64;
        self.records.drain(..end);
        Ok(())
    }

    /// Begins a new file.
    fn turn(&mut self) -> io::Result<()> {
        let path = self.directory.join(FILE);
        // Before the others are shifted: where the disk is full, they stay as they are.
        let begun = self.directory.join(format!("{FILE}.new"));
        let file = append(&begun)?;
        let older = |number: u32| self.directory.join(format!("{FILE}.{number}"));
        for number in (1..self.settings.max_files).rev() {
            let from = if number == 1 { path.clone() } else { older(number - 1) };
            match rename(from, older(number)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        rename(&begun, &path)?;
        self.file = file;
        self.length = 0;
        Ok(())
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o640).open(path)
}

#[cfg(test)]
mod tests {
    use super::{Driver, FILE, LogSettings, Output, Writer};

    fn names(directory: &std::path::Path) -> Vec<String> {
        let entries = std::fs::read_dir(directory).unwrap();
        let mut names: Vec<String> =
            entries.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn there_are_not_more_nor_longer_files_than_asked_for() {
        for max_files in [1, 3] {
            let directory = tempfile::tempdir().unwrap();
            let settings = LogSettings { driver: Driver::Files, max_size: Some(200), max_files };
            let mut writer = Writer::open(directory.path(), &settings).unwrap().unwrap();
            let line = |number: u32| format!("line {number}\n");
            for number in 0..30 {
                writer.write(Output::Stdout, line(number).as_bytes()).unwrap();
            }
            let many: String = (0..30).map(line).collect();
            writer.write(Output::Stdout, many.as_bytes()).unwrap();
            let names = names(directory.path());
            assert_eq!(names.len(), max_files as usize, "{names:?}");
            for name in names {
                let length = std::fs::metadata(directory.path().join(name)).unwrap().len();
                assert!((1..=200).contains(&length), "{length}");
            }
        }
    }

    #[test]
    fn nothing_is_shifted_where_no_file_can_be_begun() {
        let directory = tempfile::tempdir().unwrap();
        let settings = LogSettings { driver: Driver::Files, max_size: Some(60), max_files: 3 };
        let mut writer = Writer::open(directory.path(), &settings).unwrap().unwrap();
        writer.write(Output::Stdout, b"first\n").unwrap();
        let obstacle = directory.path().join(format!("{FILE}.new"));
        std::fs::create_dir(&obstacle).unwrap();
        for _ in 0..3 {
            assert!(writer.write(Output::Stdout, b"it does not fit in there\n").is_err());
        }
        std::fs::remove_dir(&obstacle).unwrap();
        assert_eq!(names(directory.path()), [FILE]);
        writer.write(Output::Stdout, b"it goes into the next file\n").unwrap();
        let older = std::fs::File::open(directory.path().join(format!("{FILE}.1"))).unwrap();
        let mut text = String::new();
        std::io::Read::read_to_string(&mut &older, &mut text).unwrap();
        assert!(text.ends_with("first\n") && names(directory.path()).len() == 2, "{text}");
    }

    #[test]
    fn none_writes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let settings = LogSettings { driver: Driver::None, ..LogSettings::default() };
        assert!(Writer::open(directory.path(), &settings).unwrap().is_none());
        assert!(names(directory.path()).is_empty());
    }
}
