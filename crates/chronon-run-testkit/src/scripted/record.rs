//! The record of calls: JSON lines, one when a call starts and one when it ends.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{Read, Seek, Write as _},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use chronon_run_core::{AssetId, RangeSet, TableName};
use serde::{Deserialize, Serialize};

use super::Fault;
use crate::driver::{Commit, Write};

/// One call.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Record {
    /// Its process id.
    pub pid: u32,
    /// Arguments after the program's name.
    pub argv: Vec<String>,
    /// The variables that Spark or Chronon read.
    pub env: BTreeMap<String, String>,
    /// What it was for, if that could be told.
    pub asset: Option<AssetId>,
    /// The Driver's subcommand, or `sql`.
    pub subcommand: String,
    /// What it was going to write, fault or not.
    pub writes: BTreeMap<TableName, RangeSet>,
    /// Which faults of the script it met the conditions of.
    pub faults: Vec<usize>,
    /// Milliseconds since the epoch.
    pub start: u64,
    /// Milliseconds since the epoch; `None` if it was killed.
    #[serde(default)]
    pub end: Option<u64>,
    /// The exit code; `None` if it was killed.
    #[serde(default)]
    pub exit: Option<i32>,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Line {
    Start(Record),
    End {
        pid: u32,
        start: u64,
        end: u64,
        exit: i32,
    },
}

/// A record that cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{}: {why}", .path.display())]
pub struct RecordError {
    path: PathBuf,
    why: String,
}

fn failed<E: ToString>(path: &Path) -> impl Fn(E) -> RecordError + '_ {
    |error| RecordError {
        path: path.to_owned(),
        why: error.to_string(),
    }
}

fn now() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Every call so far, in the order in which they started.
///
/// # Errors
/// [`RecordError`] if the file exists and cannot be read.
pub fn records(path: &Path) -> Result<Vec<Record>, RecordError> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(path)(error)),
    };
    file.lock_shared().map_err(failed(path))?;
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(failed(path))?;
    parse(whole_lines(&text)).map_err(failed(path))
}

/// A call that is killed while it writes leaves the beginning of a line, which says nothing.
fn whole_lines(text: &str) -> &str {
    text.rfind('\n').map_or("", |last| &text[..=last])
}

fn parse(text: &str) -> Result<Vec<Record>, serde_json::Error> {
    let mut records: Vec<Record> = Vec::new();
    for line in text.lines() {
        match serde_json::from_str(line)? {
            Line::Start(record) => records.push(record),
            Line::End {
                pid,
                start,
                end,
                exit,
            } => {
                let mut all = records.iter_mut();
                if let Some(record) = all.find(|record| record.pid == pid && record.start == start)
                {
                    (record.end, record.exit) = (Some(end), Some(exit));
                }
            }
        }
    }
    Ok(records)
}

/// What a call says of itself, before it starts.
#[derive(Debug)]
pub struct Recorder<'a> {
    path: Option<&'a Path>,
    pid: u32,
    start: u64,
}

impl<'a> Recorder<'a> {
    /// Notes the start of a call and picks the fault it meets: the first whose conditions hold
    /// and whose turn it is. Without a path nothing is noted and every call is the first.
    ///
    /// # Errors
    /// [`RecordError`] if the file cannot be read or written.
    pub fn start<'f>(
        path: Option<&'a Path>,
        argv: &[String],
        asset: Option<AssetId>,
        subcommand: &str,
        commits: &[Commit],
        faults: &'f [Fault],
    ) -> Result<(Self, Option<&'f Fault>), RecordError> {
        let matching = |fault: &&Fault| fault.matches(asset.as_ref(), subcommand, commits);
        let met: Vec<usize> = (0..faults.len())
            .filter(|index| matching(&&faults[*index]))
            .collect();
        let (pid, start) = (std::process::id(), now());
        let mut record = Record {
            pid,
            argv: argv.to_vec(),
            env: relevant_env(),
            asset: None,
            subcommand: subcommand.to_owned(),
            writes: days_written(commits),
            faults: met.clone(),
            start,
            end: None,
            exit: None,
        };
        record.asset.clone_from(&asset);
        let earlier = match path {
            Some(path) => note_start(path, record)?,
            None => Vec::new(),
        };
        let turn = |index: &usize| {
            let before = earlier
                .iter()
                .filter(|record| record.faults.contains(index))
                .count();
            faults[*index]
                .nth
                .is_none_or(|nth| usize::try_from(nth).is_ok_and(|nth| nth == before + 1))
        };
        let fault = met.into_iter().find(turn).map(|index| &faults[index]);
        Ok((Self { path, pid, start }, fault))
    }

    /// Notes the end of the call.
    ///
    /// # Errors
    /// [`RecordError`] if the file cannot be written.
    pub fn end(&self, exit: i32) -> Result<(), RecordError> {
        let Some(path) = self.path else { return Ok(()) };
        let (pid, start, end) = (self.pid, self.start, now());
        let mut file = open(path)?;
        append(
            &mut file,
            &Line::End {
                pid,
                start,
                end,
                exit,
            },
        )
        .map_err(failed(path))
    }
}

/// Reads what is there and adds a line, as one step under a lock.
fn note_start(path: &Path, record: Record) -> Result<Vec<Record>, RecordError> {
    let mut file = open(path)?;
    let mut text = String::new();
    file.rewind()
        .and_then(|()| file.read_to_string(&mut text))
        .map_err(failed(path))?;
    let earlier = parse(whole_lines(&text)).map_err(failed(path))?;
    append(&mut file, &Line::Start(record)).map_err(failed(path))?;
    Ok(earlier)
}

/// The file, locked until it is closed.
fn open(path: &Path) -> Result<File, RecordError> {
    let file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .open(path);
    let file = file.map_err(failed(path))?;
    file.lock().map_err(failed(path))?;
    Ok(file)
}

/// Adds a line in place of the beginning of one that a killed call may have left.
fn append(file: &mut File, line: &Line) -> std::io::Result<()> {
    let mut before = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut before)?;
    let whole = before.iter().rposition(|byte| *byte == b'\n');
    file.set_len(whole.map_or(0, |last| last as u64 + 1))?;
    let mut text = serde_json::to_string(line)?;
    text.push('\n');
    file.write_all(text.as_bytes())
}

fn days_written(commits: &[Commit]) -> BTreeMap<TableName, RangeSet> {
    let mut all: BTreeMap<TableName, RangeSet> = BTreeMap::new();
    for write in commits.iter().flat_map(|commit| &commit.writes) {
        let days = match write {
            Write::Partitions { days, .. } => days.clone(),
            Write::Unpartitioned { ds, .. } => RangeSet::from_iter([*ds]),
            Write::View { .. } | Write::Rename { .. } | Write::Properties { .. } => RangeSet::new(),
        };
        let known = all.entry(write.table().clone()).or_default();
        *known = known.union(&days);
    }
    all
}

fn relevant_env() -> BTreeMap<String, String> {
    const NAMES: [&str; 12] = [
        "APP_NAME",
        "USER",
        "JOB_MODE",
        "PARALLELISM",
        "MAX_EXECUTORS",
        "EXECUTOR_CORES",
        "EXECUTOR_MEMORY",
        "DRIVER_MEMORY",
        "PARTITION_COLUMN",
        "PARTITION_FORMAT",
        "OUTPUT_PARALLELISM",
        "ENABLE_VALIDATION",
    ];
    let relevant = |name: &str| {
        NAMES.contains(&name) || name.starts_with("CHRONON_") || name.starts_with("SPARK_")
    };
    std::env::vars()
        .filter(|(name, _)| relevant(name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_cut_by_a_kill_is_replaced_by_the_next_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("calls.jsonl");
        let start = || Recorder::start(Some(&path), &[], None, "join", &[], &[]).unwrap();
        start().0.end(0).unwrap();
        let whole = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{whole}{{\"event\":\"start\",\"pi")).unwrap();
        assert_eq!(records(&path).unwrap().len(), 1);
        start();
        let calls = records(&path).unwrap();
        assert_eq!(calls.len(), 2);
        assert_eq!((calls[0].exit, calls[1].exit), (Some(0), None));
    }
}
