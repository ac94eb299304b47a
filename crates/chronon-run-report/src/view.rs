//! The state of a run, as far as its events told.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use chronon_run_core::{
    PartitionRange, RangeSet,
    event::{
        CancelReason, Checked, Compared, Event, Outcome, SkipReason, StepIndex, StepInfo, What,
    },
};
use chronon_run_ledger::{RunDetail, RunState, StepRecord};

/// Everything that is to be shown of a run.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct RunView {
    /// The run's id; empty before it started.
    pub run: String,
    /// Slots.
    pub jobs: u32,
    /// When it began, in milliseconds since the epoch.
    pub started: i64,
    /// When it ended.
    pub finished: Option<i64>,
    /// Why it was stopped early, if it was.
    pub cancelled: Option<CancelReason>,
    /// Every step, in plan order.
    pub steps: BTreeMap<StepIndex, StepView>,
}

/// One step.
#[derive(Clone, PartialEq, Debug)]
pub struct StepView {
    /// What it fills.
    pub info: StepInfo,
    /// Where it is.
    pub phase: Phase,
    /// Its last attempt; 0 before the first.
    pub attempt: u32,
    /// The days of its last attempt: all of them, unless it was split.
    pub trying: PartitionRange,
    /// The log of its last attempt; once it has failed, of the last that failed.
    pub log: Option<PathBuf>,
    /// The log of its last failed attempt.
    failed_log: Option<PathBuf>,
    /// Why its last failed attempt failed.
    pub message: Option<String>,
    /// Spark's progress in the current attempt: tasks done, tasks known, stage.
    pub progress: Option<(u32, u32, String)>,
    /// Since when the current attempt has made no progress (milliseconds since the epoch), if it is
    /// stuck.
    pub stuck_since: Option<i64>,
    /// Wall time of its finished attempts, in milliseconds.
    pub millis: u64,
    /// Its days that are there, once it ended.
    pub filled: RangeSet,
    /// What it found, if it compared logged features, once it ended.
    pub compared: Vec<Compared>,
    /// What its data checks found, once it ended.
    pub checked: Vec<Checked>,
    /// Its days that are legitimately empty, once it ended.
    pub empty: RangeSet,
    /// Its days that failed alone, once it ended.
    pub bad: RangeSet,
}

/// Where a step is.
#[derive(Clone, PartialEq, Debug)]
pub enum Phase {
    /// Not started.
    Waiting,
    /// Running since this moment (milliseconds since the epoch).
    Running(i64),
    /// Its next attempt is due at this moment (milliseconds since the epoch).
    Retrying(i64),
    /// Over.
    Ended(Outcome),
    /// Never started.
    Skipped(SkipReason),
}

impl RunView {
    /// A run of the ledger before its first event.
    #[must_use]
    pub fn planned(run: &RunDetail) -> Self {
        let view = |step: &StepRecord| {
            let info = StepInfo {
                step: step.step,
                asset: step.asset.clone(),
                range: step.range,
            };
            (step.step, StepView::new(info))
        };
        Self {
            run: run.record.run.clone(),
            jobs: run.record.jobs,
            started: run.record.started,
            finished: None,
            cancelled: None,
            steps: run.steps.iter().map(view).collect(),
        }
    }

    /// A run as far as the ledger knows it. How far its running steps are is not recorded there.
    #[must_use]
    pub fn recorded(run: &RunDetail) -> Self {
        let mut view = Self::planned(run);
        view.cancelled = run.record.cancelled;
        view.finished = run.record.finished;
        let runs = run.record.state == RunState::Running;
        for step in &run.steps {
            if let Some(known) = view.steps.get_mut(&step.step) {
                known.recall(step, runs);
            }
        }
        view
    }

    /// Takes one more event into account.
    pub fn apply(&mut self, event: &Event) {
        let at = event.at;
        match &event.what {
            What::RunStarted { run, steps, jobs } => {
                self.run.clone_from(run);
                self.jobs = *jobs;
                self.started = at;
                let view = |info: &StepInfo| (info.step, StepView::new(info.clone()));
                self.steps = steps.iter().map(view).collect();
            }
            What::Cancelling { reason } => self.cancelled = Some(*reason),
            What::RunFinished { .. } => self.finished = Some(at),
            What::Notice { .. } | What::HookEnded { .. } => {}
            What::AttemptStarting { step, .. }
            | What::AttemptSpawned { step, .. }
            | What::ApplicationSeen { step, .. }
            | What::Progress { step, .. }
            | What::StepStuck { step, .. }
            | What::StepMoves { step, .. }
            | What::AttemptFinished { step, .. }
            | What::StepFinished { step, .. }
            | What::StepSkipped { step, .. } => {
                if let Some(view) = self.steps.get_mut(step) {
                    view.apply(at, &event.what);
                }
            }
        }
    }

    /// Steps that run now, the longest running first.
    #[must_use]
    pub fn running(&self) -> Vec<(i64, &StepView)> {
        let since = |view: &StepView| match view.phase {
            Phase::Running(since) => Some(since),
            _ => None,
        };
        let views = self.steps.values();
        let mut running: Vec<_> = views
            .filter_map(|view| Some((since(view)?, view)))
            .collect();
        running.sort_by_key(|(since, view)| (*since, view.info.step));
        running
    }

    /// Steps whose end is of this kind, in plan order.
    pub fn ended(&self, wanted: impl Fn(&Outcome) -> bool) -> impl Iterator<Item = &StepView> {
        self.steps
            .values()
            .filter(move |view| matches!(&view.phase, Phase::Ended(outcome) if wanted(outcome)))
    }

    /// Steps that were not started and will not be.
    pub fn skipped(&self) -> impl Iterator<Item = &StepView> {
        self.steps
            .values()
            .filter(|view| matches!(view.phase, Phase::Skipped(_)))
    }

    /// Steps that are over, one way or the other.
    #[must_use]
    pub fn over(&self) -> usize {
        let over = |view: &&StepView| matches!(view.phase, Phase::Ended(_) | Phase::Skipped(_));
        self.steps.values().filter(over).count()
    }
}

impl StepView {
    fn new(info: StepInfo) -> Self {
        Self {
            trying: info.range,
            info,
            phase: Phase::Waiting,
            attempt: 0,
            log: None,
            failed_log: None,
            message: None,
            progress: None,
            stuck_since: None,
            millis: 0,
            filled: RangeSet::new(),
            empty: RangeSet::new(),
            bad: RangeSet::new(),
            compared: Vec::new(),
            checked: Vec::new(),
        }
    }

    /// Takes over what the ledger knows of a step, of a run that may still run.
    fn recall(&mut self, step: &StepRecord, runs: bool) {
        self.millis = step.attempts.iter().filter_map(|each| each.millis).sum();
        let last = step.attempts.last();
        if let Some(last) = last {
            self.begin(last.attempt, last.range, &last.log);
            self.message.clone_from(&last.message);
        }
        self.phase = match (&step.outcome, &step.skipped, last) {
            (Some(outcome), ..) => Phase::Ended(outcome.clone()),
            (None, Some(reason), _) => Phase::Skipped(reason.clone()),
            (None, None, Some(last)) if runs && !last.abandoned => match last.finished {
                // When the next attempt is due is not recorded.
                Some(ended) => Phase::Retrying(ended),
                None => Phase::Running(last.started.unwrap_or_default()),
            },
            (None, None, _) => Phase::Waiting,
        };
        self.filled.clone_from(&step.filled);
        self.empty.clone_from(&step.empty);
        self.bad.clone_from(&step.bad);
        self.checked.clone_from(&step.checked);
    }

    /// The asset and its days.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}  {}", self.info.asset, self.info.range)
    }

    /// The same for narrow screens: no type, and no mode if it is a backfill.
    #[must_use]
    pub fn short_name(&self) -> String {
        let id = self.info.asset.to_string();
        let id = id.split_once('/').map_or(id.as_str(), |(_, rest)| rest);
        let id = id.strip_suffix("/backfill").unwrap_or(id);
        let (start, end) = (
            self.info.range.start.to_string(),
            self.info.range.end.to_string(),
        );
        // The year of the last day only if it is another one.
        let end_alone = match (start.get(..5), end.get(..5)) {
            (Some(a), Some(b)) if a == b => end[5..].to_owned(),
            _ => end.clone(),
        };
        match start == end {
            true => format!("{id}  {start}"),
            false => format!("{id}  {start}..{end_alone}"),
        }
    }

    /// The days of its last attempt, if they are not all of its days: ` (2026-01-02)`.
    #[must_use]
    pub fn part(&self) -> String {
        match self.trying == self.info.range {
            true => String::new(),
            false => format!(" ({})", self.trying),
        }
    }

    /// What its current attempt does: `statement 4 of 11: out.a; stage 3: 2 of 8 tasks`.
    #[must_use]
    pub fn doing(&self) -> Option<String> {
        let (done, total, stage) = self.progress.as_ref()?;
        let (statement, stages) = split(stage);
        let statement = statement.map(|text| text.replacen(" (", ": ", 1).replacen(')', "", 1));
        let tasks = stages.map(|stages| format!("{stages}: {done} of {total} tasks"));
        match (statement, tasks) {
            (Some(statement), Some(tasks)) => Some(format!("{statement}; {tasks}")),
            (statement, tasks) => statement.or(tasks),
        }
    }

    /// Which share of its current attempt is done, from 0 to 1: statements of the script, and of the one that
    /// runs the tasks of the stages that Spark knows.
    #[must_use]
    pub fn share(&self) -> Option<f64> {
        let (done, total, stage) = self.progress.as_ref()?;
        let part = f64::from(*done) / f64::from((*total).max(1));
        let share = match split(stage) {
            (Some(statement), Some(_)) => {
                let mut numbers = statement
                    .strip_prefix("statement ")?
                    .split(' ')
                    .filter_map(|word| word.parse::<f64>().ok());
                let (number, all) = (numbers.next()?, numbers.next()?);
                (number - 1.0 + part) / all.max(1.0)
            }
            _ => part,
        };
        Some(share.clamp(0.0, 1.0))
    }

    /// Forgets what was seen of an earlier attempt.
    fn begin(&mut self, attempt: u32, range: PartitionRange, log: &Path) {
        self.attempt = attempt;
        self.trying = range;
        self.log = Some(log.to_owned());
        self.progress = None;
        self.stuck_since = None;
    }

    fn apply(&mut self, at: i64, what: &What) {
        match what {
            What::AttemptStarting {
                attempt,
                range,
                log,
                ..
            } => {
                self.phase = Phase::Running(at);
                self.begin(*attempt, *range, log);
            }
            What::Progress {
                done, total, stage, ..
            } => self.progress = Some((*done, *total, stage.clone())),
            What::StepStuck { millis, .. } => {
                self.stuck_since = Some(at.saturating_sub_unsigned(*millis));
            }
            What::StepMoves { .. } => self.stuck_since = None,
            What::AttemptFinished {
                attempt,
                outcome,
                millis,
                message,
                retry_in,
                ..
            } => {
                self.attempt = *attempt;
                self.millis += millis;
                if !outcome.succeeded() {
                    self.message.clone_from(message);
                    self.failed_log.clone_from(&self.log);
                }
                if let Some(wait) = retry_in {
                    self.phase = Phase::Retrying(at.saturating_add_unsigned(*wait));
                }
            }
            What::StepFinished {
                outcome,
                filled,
                empty,
                bad,
                compared,
                checked,
                ..
            } => {
                if !outcome.succeeded() && self.failed_log.is_some() {
                    self.log = self.failed_log.take();
                }
                self.phase = Phase::Ended(outcome.clone());
                self.bad.clone_from(bad);
                self.filled.clone_from(filled);
                self.empty.clone_from(empty);
                self.compared.clone_from(compared);
                self.checked.clone_from(checked);
            }
            What::StepSkipped { reason, .. } => self.phase = Phase::Skipped(reason.clone()),
            _ => {}
        }
    }
}

/// `statement 4 of 11 (out.a), stages 3, 4` as its two parts, each of which may be missing.
fn split(stage: &str) -> (Option<&str>, Option<&str>) {
    if stage.starts_with("stage") {
        return (None, Some(stage));
    }
    match stage.rfind(", stage") {
        Some(at) => (Some(&stage[..at]), Some(&stage[at + 2..])),
        None => (Some(stage), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_run::{started, timed, view_of};

    fn after(done: u32, total: u32, stage: &str) -> StepView {
        let progress = What::Progress {
            step: 0,
            done,
            total,
            stage: stage.to_owned(),
        };
        let view = view_of(&timed(vec![started(&["join/a.j/backfill"], 1), progress]));
        view.steps[&0].clone()
    }

    #[test]
    fn what_a_step_does_and_how_far_it_is() {
        let cases = [
            ((0, 4), "starting Spark", "starting Spark", 0.0),
            (
                (3, 4),
                "statement 4 of 4 (out.a)",
                "statement 4 of 4: out.a",
                0.75,
            ),
            (
                (2, 8),
                "statement 3 of 4 (out.a), stages 3, 4",
                "statement 3 of 4: out.a; stages 3, 4: 2 of 8 tasks",
                0.5625,
            ),
            ((2, 8), "stage 3", "stage 3: 2 of 8 tasks", 0.25),
        ];
        for ((done, total), stage, doing, share) in cases {
            let step = after(done, total, stage);
            assert_eq!(step.doing().unwrap(), doing);
            assert!((step.share().unwrap() - share).abs() < 1e-9, "{stage}");
        }
        assert_eq!(after(0, 0, "statement x (y), stage 1").share(), None);
        assert_eq!(StepView::new(after(0, 0, "s").info).doing(), None);
    }
}
