//! What happened in a run, kept beside its logs for the pages: every event as a line of `events.jsonl`, and
//! while the run goes on how far its running steps are in `progress.json`.
//!
//! The ledger keeps what later plans ask for. These files are for people only: that they cannot be written does
//! not fail a run, and that they are gone changes no plan.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chronon_run_core::event::{Event, Sink, StepIndex, What};
use chronon_run_process::{open_append, replace};

use crate::program::now_millis;

const EVENTS: &str = "events.jsonl";
const PROGRESS: &str = "progress.json";
/// Bytes of events that are read: the newest ones of a run of ten thousand steps.
const MOST: u64 = 2 << 20;

/// Keeps the events of one run. Clones write into the same files.
#[derive(Clone, Debug)]
pub struct EventLog(Arc<Mutex<Kept>>);

#[derive(Debug)]
struct Kept {
    folder: PathBuf,
    file: Option<File>,
    /// Lines that are not written yet.
    lines: Vec<u8>,
    /// The newest progress of each running step.
    progress: BTreeMap<StepIndex, Event>,
    /// Whether `progress` is not what its file holds.
    progressed: bool,
    /// Why the events cannot be written.
    broken: Option<String>,
}

impl EventLog {
    /// The events of the run of this folder, which is there. Events that it has are kept.
    #[must_use]
    pub fn of(folder: &Path) -> Self {
        Self(Arc::new(Mutex::new(Kept {
            folder: folder.to_owned(),
            file: None,
            lines: Vec::new(),
            progress: BTreeMap::new(),
            progressed: false,
            broken: None,
        })))
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes down what happens now beside the run, or after it.
    pub fn tell(&self, what: What) {
        let event = Event {
            at: now_millis(),
            what,
        };
        let mut kept = self.kept();
        kept.take(&event);
        kept.write();
    }

    /// Why the events could not be written, as a fragment.
    #[must_use]
    pub fn broken(&self) -> Option<String> {
        self.kept().broken.clone()
    }
}

impl Sink for EventLog {
    fn emit(&mut self, event: &Event) {
        self.kept().take(event);
    }

    fn flush(&mut self) {
        self.kept().write();
    }
}

impl Kept {
    fn take(&mut self, event: &Event) {
        match &event.what {
            What::Progress { step, .. } => {
                self.progress.insert(*step, event.clone());
                self.progressed = true;
                return;
            }
            What::AttemptStarting { step, .. }
            | What::AttemptFinished { step, .. }
            | What::StepFinished { step, .. } => {
                self.progressed |= self.progress.remove(step).is_some();
            }
            What::RunFinished { .. } => {
                self.progress.clear();
                self.progressed = true;
            }
            _ => {}
        }
        if self.broken.is_some() {
            return;
        }
        // A log path that is not UTF-8 is no JSON; that event is left out.
        let before = self.lines.len();
        match serde_json::to_writer(&mut self.lines, &slim(event)) {
            Ok(()) => self.lines.push(b'\n'),
            Err(_) => self.lines.truncate(before),
        }
    }

    fn write(&mut self) {
        if !self.lines.is_empty() && self.broken.is_none() {
            let lines = std::mem::take(&mut self.lines);
            if let Err(error) = self.append(&lines) {
                let path = self.folder.join(EVENTS);
                self.broken = Some(format!("cannot write {}: {error}", path.display()));
            }
        }
        if std::mem::take(&mut self.progressed) {
            self.write_progress();
        }
    }

    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.file.is_none() {
            let path = self.folder.join(EVENTS);
            self.file = Some(open_append(&path)?);
        }
        match &mut self.file {
            Some(file) => file.write_all(lines),
            None => Ok(()),
        }
    }

    /// Without it the page shows no progress, which is all that a failure changes.
    fn write_progress(&self) {
        let path = self.folder.join(PROGRESS);
        let all: Vec<&Event> = self.progress.values().collect();
        let _ = match all.is_empty() {
            true => fs::remove_file(&path),
            false => serde_json::to_vec(&all)
                .map_err(io::Error::from)
                .and_then(|text| replace(&path, text)),
        };
    }
}

/// Without the command line, which the ledger has and which is longer than all the rest.
fn slim(event: &Event) -> Event {
    let mut slim = event.clone();
    if let What::AttemptStarting { argv, .. } = &mut slim.what {
        argv.clear();
    }
    slim
}

/// The events of the run of this folder, oldest first, then how far each running step is. Of a long run the newest
/// events; none of a run of an earlier version.
#[must_use]
pub fn read(folder: &Path) -> Vec<Event> {
    let lines = newest(&folder.join(EVENTS)).unwrap_or_default();
    let lines = lines.split(|byte| *byte == b'\n');
    // The first line may be a part of one, and the last may be written just now.
    let mut events: Vec<Event> = lines
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect();
    let progress = fs::read(folder.join(PROGRESS)).unwrap_or_default();
    events.extend(serde_json::from_slice::<Vec<Event>>(&progress).unwrap_or_default());
    events
}

fn newest(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(MOST)))?;
    let mut bytes = Vec::new();
    file.take(MOST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use chronon_run_core::{PartitionRange, event::Outcome};

    use super::*;

    fn starting(step: StepIndex) -> What {
        let day = "2026-01-01".parse().unwrap();
        What::AttemptStarting {
            step,
            attempt: 1,
            range: PartitionRange::day(day),
            argv: vec!["spark-submit".to_owned()],
            log: "1.log".into(),
        }
    }

    fn progress(step: StepIndex, done: u32) -> What {
        What::Progress {
            step,
            done,
            total: 8,
            stage: "stage 3".to_owned(),
        }
    }

    fn whats(folder: &Path) -> Vec<What> {
        read(folder).into_iter().map(|event| event.what).collect()
    }

    #[test]
    fn events_are_kept_and_progress_only_as_long_as_a_step_runs() {
        let folder = tempfile::tempdir().unwrap();
        let log = EventLog::of(folder.path());
        let mut sink = log.clone();
        for (second, what) in [starting(0), progress(0, 1), starting(1), progress(0, 2)]
            .into_iter()
            .enumerate()
        {
            sink.emit(&Event {
                at: second as i64,
                what,
            });
        }
        assert!(read(folder.path()).is_empty(), "nothing was flushed");
        sink.flush();
        let found = whats(folder.path());
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(matches!(&found[0], What::AttemptStarting { argv, .. } if argv.is_empty()));
        assert_eq!(found[2], progress(0, 2));
        log.tell(What::AttemptFinished {
            step: 0,
            attempt: 1,
            outcome: Outcome::Succeeded,
            millis: 1,
            message: None,
            retry_in: None,
            next: None,
            may_write: false,
        });
        assert_eq!(whats(folder.path()).len(), 3);
        assert!(!folder.path().join(PROGRESS).exists());
        assert_eq!(log.broken(), None);
    }

    #[test]
    fn a_line_that_is_cut_and_a_folder_that_is_gone_are_no_failure() {
        let folder = tempfile::tempdir().unwrap();
        let log = EventLog::of(folder.path());
        log.tell(starting(0));
        let path = folder.path().join(EVENTS);
        let mut text = fs::read_to_string(&path).unwrap();
        text.push_str("{\"at\": 1, \"event\": \"noti");
        fs::write(&path, text).unwrap();
        assert_eq!(read(folder.path()).len(), 1);
        let gone = EventLog::of(&folder.path().join("gone"));
        gone.tell(starting(0));
        gone.tell(starting(1));
        assert!(gone.broken().unwrap().contains("events.jsonl"));
        assert!(read(&folder.path().join("gone")).is_empty());
    }

    #[test]
    fn a_link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let victim = folder.path().join("victim");
        std::os::unix::fs::symlink(&victim, folder.path().join(EVENTS)).unwrap();
        let log = EventLog::of(folder.path());
        log.tell(starting(0));
        assert!(log.broken().unwrap().contains("events.jsonl"));
        assert!(!victim.exists());
    }
}
