//! Whether a running attempt still makes progress.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use chronon_run_core::secret::mask_text;
use chronon_run_process::{Tail, Target, Usage};

/// Between two looks at the processes of an attempt.
const LOOK: Duration = Duration::from_secs(1);
/// An idle JVM uses a little of a processor; this share of one is no progress.
const IDLE_SHARE: u32 = 50;
/// How much of a log's end is read for its last line.
const END: u64 = 16 << 10;
/// Characters of the last line that are kept.
const LINE: usize = 400;

/// Watches one attempt: progress is output, or processor time.
pub(crate) struct Vigil {
    patience: Duration,
    log: PathBuf,
    /// What was there when the last progress was seen, and when.
    size: u64,
    cpu: Option<Duration>,
    since: Instant,
    next_look: Instant,
    is_stuck: bool,
}

/// What was seen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Seen {
    /// It has made no progress for so long.
    Stuck {
        idle: Duration,
        usage: Option<Usage>,
        last_line: Option<String>,
    },
    /// It was stuck and makes progress again.
    Moves,
}

impl Vigil {
    pub(crate) fn new(patience: Duration, log: &Path, now: Instant) -> Self {
        Self {
            patience,
            log: log.to_owned(),
            size: 0,
            cpu: None,
            since: now,
            next_look: now,
            is_stuck: false,
        }
    }

    /// Looks again, if it is time to.
    pub(crate) fn look(&mut self, group: &Target, now: Instant) -> Option<Seen> {
        if now < self.next_look || group.is_over() {
            return None;
        }
        self.next_look = now + LOOK.min(self.patience / 4);
        let size = fs::metadata(&self.log).map_or(0, |found| found.len());
        let usage = group.usage();
        let cpu = usage.as_ref().map(|usage| usage.cpu);
        match self.judge(size, cpu, now) {
            Some(true) => Some(Seen::Stuck {
                idle: now.saturating_duration_since(self.since),
                usage,
                last_line: last_line(&self.log),
            }),
            Some(false) => Some(Seen::Moves),
            None => None,
        }
    }

    /// Whether it has become stuck, or moves again; `None` if nothing has changed.
    fn judge(&mut self, size: u64, cpu: Option<Duration>, now: Instant) -> Option<bool> {
        let works = match (cpu, self.cpu) {
            // A process that ended takes its time with it.
            (Some(now), Some(before)) => now < before || now - before > self.patience / IDLE_SHARE,
            // Where processes cannot be seen, output alone decides.
            (None, _) => false,
            (Some(_), None) => true,
        };
        if size != self.size || works {
            (self.size, self.cpu, self.since) = (size, cpu, now);
            return std::mem::take(&mut self.is_stuck).then_some(false);
        }
        let is_late = now.saturating_duration_since(self.since) >= self.patience;
        if is_late && !self.is_stuck {
            self.is_stuck = true;
            return Some(true);
        }
        None
    }
}

/// The last line of a log that is not empty or noise.
fn last_line(log: &Path) -> Option<String> {
    let mut tail = Tail::new(log);
    let mut lines = tail.last_lines(END).unwrap_or_default();
    lines.extend(tail.rest());
    let line = lines.iter().rev().find(|line| !line.trim().is_empty())?;
    let line: String = mask_text(line).trim().chars().take(LINE).collect();
    Some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(100);

    /// What is found after looks at so many seconds, with a log of so many bytes and so many
    /// milliseconds of processor time.
    fn looks(looks: &[(u64, u64, Option<u64>)]) -> Vec<Option<bool>> {
        let start = Instant::now();
        let mut vigil = Vigil::new(PATIENCE, Path::new("log"), start);
        let look = |&(second, size, millis): &(u64, u64, Option<u64>)| {
            let cpu = millis.map(Duration::from_millis);
            vigil.judge(size, cpu, start + Duration::from_secs(second))
        };
        looks.iter().map(look).collect()
    }

    #[test]
    fn without_output_and_work_it_is_stuck_once() {
        let quiet = [
            (0, 5, Some(10)),
            (99, 5, Some(1_900)),
            (100, 5, Some(1_900)),
            (300, 5, Some(2_000)),
        ];
        assert_eq!(looks(&quiet), [None, None, Some(true), None]);
    }

    #[test]
    fn output_or_work_is_progress() {
        let speaks = [(0, 5, Some(10)), (90, 6, Some(10)), (150, 6, Some(10))];
        assert_eq!(looks(&speaks), [None, None, None]);
        let works = [
            (0, 5, Some(10)),
            (90, 5, Some(2_100)),
            (150, 5, Some(2_100)),
        ];
        assert_eq!(looks(&works), [None, None, None]);
        let forks = [(0, 5, Some(500)), (90, 5, Some(10)), (150, 5, Some(10))];
        assert_eq!(looks(&forks), [None, None, None]);
    }

    #[test]
    fn it_may_move_again_and_be_stuck_again() {
        let moves = [
            (0, 5, Some(0)),
            (100, 5, Some(0)),
            (101, 6, Some(0)),
            (201, 6, Some(0)),
        ];
        assert_eq!(looks(&moves), [None, Some(true), Some(false), Some(true)]);
    }

    #[test]
    fn where_processes_cannot_be_seen_output_decides() {
        let hidden = [(0, 5, None), (90, 6, None), (189, 6, None), (190, 6, None)];
        assert_eq!(looks(&hidden), [None, None, None, Some(true)]);
    }

    #[test]
    fn the_last_line_is_masked_and_may_be_unfinished() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        std::fs::write(&log, "one\n\n[Stage 1:> (0 + 1) / 2]\r  \n").unwrap();
        assert_eq!(last_line(&log).as_deref(), Some("[Stage 1:> (0 + 1) / 2]"));
        std::fs::write(&log, "one\nhttps://user:hunter2@host/x").unwrap();
        let line = last_line(&log).unwrap();
        assert!(
            line.contains("host/x") && !line.contains("hunter2"),
            "{line}"
        );
        assert_eq!(last_line(&folder.path().join("none")), None);
    }
}
