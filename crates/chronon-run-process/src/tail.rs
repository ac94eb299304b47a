//! Reading a log while it is written.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

/// How much is read at once; a log that grows faster is caught up with in several reads.
const CHUNK: u64 = 1 << 20;

/// Reads the lines that were added to a file since the last look.
///
/// A line ends with `\n`, or with `\r` as progress bars do.
#[derive(Debug)]
pub struct Tail {
    path: PathBuf,
    file: Option<File>,
    offset: u64,
    partial: Vec<u8>,
}

impl Tail {
    /// From the beginning of `path`, which need not exist yet.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            file: None,
            offset: 0,
            partial: Vec::new(),
        }
    }

    /// The complete new lines, at most about a megabyte of them; none if the file is not there.
    ///
    /// # Errors
    /// If the file is there and cannot be read.
    pub fn lines(&mut self) -> io::Result<Vec<String>> {
        let read = self.read(CHUNK)?;
        self.partial.extend_from_slice(&read);
        Ok(self.take_lines())
    }

    /// The complete new lines among the last `bytes` of the file; what is before is skipped.
    ///
    /// # Errors
    /// If the file is there and cannot be read.
    pub fn last_lines(&mut self, bytes: u64) -> io::Result<Vec<String>> {
        let length = self
            .open()?
            .map_or(0, |file| file.metadata().map_or(0, |m| m.len()));
        if length > self.offset + bytes {
            self.offset = length - bytes;
            self.partial.clear();
        }
        self.lines()
    }

    /// What is left after the last line end.
    pub fn rest(&mut self) -> Option<String> {
        let rest = std::mem::take(&mut self.partial);
        (!rest.is_empty()).then(|| String::from_utf8_lossy(&rest).into_owned())
    }

    fn open(&mut self) -> io::Result<Option<&mut File>> {
        if self.file.is_none() {
            self.file = match File::open(&self.path) {
                Ok(file) => Some(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(error),
            };
        }
        Ok(self.file.as_mut())
    }

    fn read(&mut self, limit: u64) -> io::Result<Vec<u8>> {
        let offset = self.offset;
        let mut bytes = Vec::new();
        if let Some(file) = self.open()? {
            file.seek(SeekFrom::Start(offset))?;
            file.take(limit).read_to_end(&mut bytes)?;
        }
        self.offset += bytes.len() as u64;
        Ok(bytes)
    }

    fn take_lines(&mut self) -> Vec<String> {
        let is_end = |byte: &u8| matches!(byte, b'\n' | b'\r');
        let Some(last) = self.partial.iter().rposition(&is_end) else {
            return Vec::new();
        };
        let complete: Vec<u8> = self.partial.drain(..=last).collect();
        complete
            .split(is_end)
            .filter(|line| !line.is_empty())
            .map(|line| String::from_utf8_lossy(line).into_owned())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::OpenOptions, io::Write};

    use super::*;

    #[test]
    fn lines_come_once_and_only_when_complete() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut tail = Tail::new(&path);
        assert!(tail.lines().unwrap().is_empty());

        let mut log = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&path)
            .unwrap();
        log.write_all(b"one\ntw").unwrap();
        assert_eq!(tail.lines().unwrap(), ["one"]);
        log.write_all(b"o\r[Stage 1]\rhalf \xff").unwrap();
        assert_eq!(tail.lines().unwrap(), ["two", "[Stage 1]"]);
        assert_eq!(tail.rest().as_deref(), Some("half \u{fffd}"));
        assert_eq!(tail.rest(), None);
    }

    #[test]
    fn a_long_log_is_skipped_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let text: String = (0..1000).map(|n| format!("line {n}\n")).collect();
        std::fs::write(&path, text).unwrap();
        let lines = Tail::new(&path).last_lines(20).unwrap();
        assert_eq!(lines.last().map(String::as_str), Some("line 999"));
        assert!(lines.len() <= 3, "{lines:?}");
    }
}
