//! Following a log that grows to gigabytes and is rotated, from one run of the program to the next.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use chronon_run_core::epoch_millis;
use memchr::{memchr, memmem, memrchr};
use serde::{Deserialize, Serialize};

use super::log::AppLog;

/// How much is read at once.
const BLOCK: usize = 1 << 20;
/// A longer line is skipped.
const LINE: usize = 256 << 10;
/// So many bytes before the offset must be what they were, or the file is another one.
const ANCHOR: u64 = 64;
/// So many rotated copies are looked at.
const COPIES: usize = 5;
/// Lines without any of these say nothing between two events.
const WORDS: [&[u8]; 2] = [b"uery ", b"Exception in thread"];

/// How far a log was read, and what it said so far. Serialised between runs.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Followed {
    path: PathBuf,
    device: u64,
    inode: u64,
    /// Of the first byte that was not read.
    offset: u64,
    /// The bytes before it, in hexadecimal digits.
    anchor: String,
    /// Whether the rest of a line that was too long is skipped.
    skipping: bool,
    /// What it said.
    pub log: AppLog,
}

impl Followed {
    /// Nothing is known yet of the log at `path`.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            ..Self::default()
        }
    }

    /// The log.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads what was added since the last look, which is made at `now`; the app was started at
    /// `started`. Both are milliseconds since the epoch. Memory is bounded, whatever was added.
    ///
    /// A log that was renamed is followed under its new name, as the app does. After one that was
    /// copied and truncated, the rest of the copy is read first.
    ///
    /// # Errors
    /// If a log that is there cannot be read; what was read before is known.
    pub fn catch_up(&mut self, now: i64, started: i64) -> io::Result<()> {
        let path = self.path.clone();
        let mut current = open(&path)?;
        if self.inode != 0 {
            if let Some(file) = &mut current
                && self.is_continued_by(file)?
            {
                return self.read(file, now, started);
            }
            let copies = copies(&path)?;
            if self.read_renamed(&copies, now, started)? {
                let length = current.as_ref().map(|file| file.metadata()).transpose()?;
                if length.is_none_or(|data| data.len() == 0) {
                    return Ok(());
                }
            } else {
                self.read_copy(&copies, now, started)?;
            }
        }
        if let Some(mut file) = current {
            self.begin(&file)?;
            self.read(&mut file, now, started)?;
        }
        Ok(())
    }

    /// Renamed: the app goes on writing to the same file.
    fn read_renamed(&mut self, copies: &[PathBuf], now: i64, started: i64) -> io::Result<bool> {
        for copy in copies {
            if let Some(mut file) = open(copy)?
                && self.is_continued_by(&mut file)?
            {
                self.read(&mut file, now, started)?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What was added to the rotated copy before it was made.
    fn read_copy(&mut self, copies: &[PathBuf], now: i64, started: i64) -> io::Result<()> {
        for copy in copies {
            let Some(mut file) = open(copy)? else {
                continue;
            };
            if self.offset > 0
                && file.metadata()?.len() >= self.offset
                && self.has_anchor(&mut file)?
            {
                return self.read(&mut file, now, started);
            }
        }
        Ok(())
    }

    fn is_same_file(&self, file: &File) -> io::Result<bool> {
        let data = file.metadata()?;
        Ok((data.dev(), data.ino()) == (self.device, self.inode) && data.len() >= self.offset)
    }

    fn is_continued_by(&self, file: &mut File) -> io::Result<bool> {
        Ok(self.is_same_file(file)? && self.has_anchor(file)?)
    }

    fn has_anchor(&self, file: &mut File) -> io::Result<bool> {
        Ok(anchor(file, self.offset)? == self.anchor)
    }

    fn begin(&mut self, file: &File) -> io::Result<()> {
        let data = file.metadata()?;
        self.device = data.dev();
        self.inode = data.ino();
        self.offset = 0;
        self.anchor.clear();
        self.skipping = false;
        Ok(())
    }

    /// Reads a file from the offset to its end.
    fn read(&mut self, file: &mut File, now: i64, started: i64) -> io::Result<()> {
        // What was written before now was seen before now.
        let written = epoch_millis(file.metadata()?.modified()?);
        let seen = now.min(written.max(started));
        let result = self.read_blocks(file, seen, started);
        self.anchor = anchor(file, self.offset)?;
        result
    }

    fn read_blocks(&mut self, file: &mut File, seen: i64, started: i64) -> io::Result<()> {
        file.seek(SeekFrom::Start(self.offset))?;
        let mut buffer = vec![0_u8; BLOCK + LINE];
        let mut kept = 0;
        // Where the report begins that is being read: if it does not end, it is read again.
        let mut report_at = None;
        loop {
            let read = file.read(&mut buffer[kept..kept + BLOCK])?;
            if read == 0 {
                break;
            }
            let filled = kept + read;
            let used = self.block(&buffer[..filled], seen, started, &mut report_at);
            self.offset += used as u64;
            buffer.copy_within(used..filled, 0);
            kept = filled - used;
            if kept > LINE {
                self.offset += kept as u64;
                self.skipping = true;
                kept = 0;
            }
        }
        if let (true, Some(at)) = (self.log.is_in_report(), report_at) {
            self.offset = at;
            self.log.forget_report();
        }
        Ok(())
    }

    /// Reads the complete lines of a block; how many bytes they are.
    fn block(
        &mut self,
        block: &[u8],
        seen: i64,
        started: i64,
        report_at: &mut Option<u64>,
    ) -> usize {
        let Some(end) = memrchr(b'\n', block).map(|at| at + 1) else {
            return 0;
        };
        let lines = &block[..end];
        let mut at = 0;
        if self.skipping {
            at = memchr(b'\n', lines).map_or(end, |at| at + 1);
            self.skipping = false;
        }
        let mut words = WORDS.map(Word::new);
        while at < end {
            if self.log.is_between_events() {
                let next = words
                    .iter_mut()
                    .filter_map(|word| word.next(lines, at))
                    .min();
                let Some(next) = next else { break };
                at += memrchr(b'\n', &lines[at..next]).map_or(0, |before| before + 1);
            }
            let length = memchr(b'\n', &lines[at..]).unwrap_or(end - at);
            let before = self.log.reports;
            let was_in_report = self.log.is_in_report();
            let text = String::from_utf8_lossy(&lines[at..at + length]);
            self.log.line(text.trim_end_matches('\r'), seen, started);
            let begins = !was_in_report || self.log.reports > before;
            if self.log.is_in_report() && begins {
                *report_at = Some(self.offset + at as u64);
            }
            at += length + 1;
        }
        end
    }
}

/// The next place of a word in a block; each byte is searched once.
struct Word {
    word: &'static [u8],
    found: Option<usize>,
    searched: bool,
}

impl Word {
    fn new(word: &'static [u8]) -> Self {
        Self {
            word,
            found: None,
            searched: false,
        }
    }

    fn next(&mut self, block: &[u8], from: usize) -> Option<usize> {
        if !self.searched || self.found.is_some_and(|at| at < from) {
            self.searched = true;
            self.found = memmem::find(&block[from..], self.word).map(|at| from + at);
        }
        self.found
    }
}

fn open(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The last bytes before `offset`, in hexadecimal digits.
fn anchor(file: &mut File, offset: u64) -> io::Result<String> {
    let length = offset.min(ANCHOR);
    file.seek(SeekFrom::Start(offset - length))?;
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Files beside a log whose names begin with its own, e.g. `app.log.1`, newest first.
fn copies(path: &Path) -> io::Result<Vec<PathBuf>> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok(Vec::new());
    };
    let name = name.to_string_lossy();
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found: Vec<_> = entries
        .flatten()
        .filter(|entry| {
            let other = entry.file_name();
            let other = other.to_string_lossy();
            other.len() > name.len() && other.starts_with(&*name)
        })
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    found.sort();
    Ok(found
        .into_iter()
        .rev()
        .map(|(_, path)| path)
        .take(COPIES)
        .collect())
}

#[cfg(test)]
mod tests {
    use std::{fs::OpenOptions, io::Write, time::Instant};

    use super::*;
    use crate::streaming::progress::tests::report;

    const NOW: i64 = 4_000_000_000_000;

    fn append(path: &Path, text: &str) {
        let mut options = OpenOptions::new();
        let mut file = options.append(true).create(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn progress(batch: u32) -> String {
        let report = report(batch, "2026-01-31T00:01:00.000Z", 1, 1);
        format!("Query made progress: {report}\n")
    }

    fn batch(followed: &Followed) -> Option<i64> {
        followed
            .log
            .progress
            .as_ref()
            .and_then(|progress| progress.batch)
    }

    fn look(followed: &mut Followed) {
        // Between two runs of the program it is text.
        let text = serde_json::to_string(followed).unwrap();
        *followed = serde_json::from_str(&text).unwrap();
        followed.catch_up(NOW, 0).unwrap();
    }

    #[test]
    fn a_growing_log_is_read_once_and_a_report_may_come_in_pieces() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.log");
        let mut followed = Followed::new(&path);
        look(&mut followed);
        assert_eq!(followed.log, AppLog::default());
        append(&path, "up\nQuery started: a\n");
        look(&mut followed);
        assert!(followed.log.speaks);
        let text = progress(1);
        let (first, second) = text.split_at(text.len() / 2);
        append(&path, first);
        look(&mut followed);
        assert_eq!(followed.log.reports, 0);
        append(&path, second);
        look(&mut followed);
        look(&mut followed);
        assert_eq!((followed.log.reports, batch(&followed)), (1, Some(1)));
        append(&path, &[progress(2), progress(3)].concat());
        look(&mut followed);
        assert_eq!((followed.log.reports, batch(&followed)), (3, Some(3)));
    }

    #[test]
    fn copytruncate_loses_nothing_if_the_copy_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.log");
        let mut followed = Followed::new(&path);
        append(&path, "Query started: a\n");
        look(&mut followed);
        append(&path, &[progress(1), progress(2)].concat());
        fs::copy(&path, folder.path().join("app.log.1")).unwrap();
        let log = OpenOptions::new().write(true).open(&path).unwrap();
        log.set_len(0).unwrap();
        append(&path, &progress(3));
        look(&mut followed);
        assert_eq!((followed.log.reports, batch(&followed)), (3, Some(3)));

        // Without a copy, and grown beyond the offset: still another file.
        log.set_len(0).unwrap();
        append(&path, &"x\n".repeat(10_000));
        append(&path, &progress(4));
        look(&mut followed);
        assert_eq!((followed.log.reports, batch(&followed)), (4, Some(4)));
    }

    #[test]
    fn a_renamed_log_is_followed_as_the_app_writes_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.log");
        let mut followed = Followed::new(&path);
        append(&path, &progress(1));
        look(&mut followed);
        let renamed = folder.path().join("app.log-20260131");
        fs::rename(&path, &renamed).unwrap();
        append(&renamed, &progress(2));
        look(&mut followed);
        assert_eq!((followed.log.reports, batch(&followed)), (2, Some(2)));
        append(&path, "");
        append(&renamed, &progress(3));
        look(&mut followed);
        assert_eq!((followed.log.reports, batch(&followed)), (3, Some(3)));
    }

    #[test]
    fn events_are_found_wherever_blocks_and_long_lines_end() {
        let folder = tempfile::tempdir().unwrap();
        for padding in [BLOCK - 3, BLOCK, BLOCK + 1, LINE, 3 * BLOCK + LINE + 7] {
            let path = folder.path().join(padding.to_string());
            append(&path, &"y".repeat(padding));
            append(&path, "\nQuery started: a\n");
            append(&path, &progress(1));
            append(&path, &"no query here\n".repeat(padding / 14));
            append(&path, &progress(2));
            let mut followed = Followed::new(&path);
            look(&mut followed);
            assert_eq!(
                (followed.log.reports, batch(&followed)),
                (2, Some(2)),
                "{padding}"
            );
            look(&mut followed);
            assert_eq!(followed.log.reports, 2);
        }
    }

    #[test]
    fn two_gigabytes_cost_seconds_once_and_nothing_later() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.log");
        append(&path, "Query started: a\n");
        let log = OpenOptions::new().write(true).open(&path).unwrap();
        log.set_len(2 << 30).unwrap();
        append(&path, &format!("\n{}", progress(7)));
        let mut followed = Followed::new(&path);
        let begun = Instant::now();
        look(&mut followed);
        assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
        assert_eq!((followed.log.reports, batch(&followed)), (1, Some(7)));
        let begun = Instant::now();
        look(&mut followed);
        assert!(begun.elapsed().as_millis() < 500, "{:?}", begun.elapsed());
        // What is remembered is small.
        assert!(serde_json::to_string(&followed).unwrap().len() < 4_096);
    }
}
