//! Runs and their steps as tables.

use chronon_run_ledger::{RunDetail, RunRecord, RunState, StepRecord};

use crate::{Column, ago, duration, outcome};

const RUNS: [Column; 8] = [
    Column::new("run", 0),
    Column::new("started", 3),
    Column::new("took", 2),
    Column::new("state", 0).of_states(),
    Column::new("succeeded", 1),
    Column::new("failed", 0).of_counts(),
    INTERRUPTED,
    Column::new("not run", 1),
];
/// Only there if a step of a run that is listed was interrupted.
const INTERRUPTED: Column = Column::new("interrupted", 0).of_counts();

/// The columns of [`step_rows`].
pub const STEP_COLUMNS: [Column; 7] = [
    Column::new("step", 3),
    Column::id("asset"),
    Column::new("range", 1),
    Column::new("attempts", 4),
    Column::new("outcome", 0).of_outcomes(),
    Column::new("took", 2),
    Column::new("log", 5),
];

/// The columns of a list of runs, and a row for each. `now` is in milliseconds since the epoch.
#[must_use]
pub fn run_rows(runs: &[RunRecord], now: i64) -> (Vec<Column>, Vec<Vec<String>>) {
    let row = |run: &RunRecord| {
        let took = run
            .finished
            .map(|finished| duration(u64::try_from(finished - run.started).unwrap_or(0)));
        vec![
            run.run.clone(),
            ago(now, run.started),
            took.unwrap_or_default(),
            run_state(run).to_owned(),
            format!("{} of {}", run.succeeded, run.steps),
            run.failed.to_string(),
            run.interrupted.to_string(),
            run.skipped.to_string(),
        ]
    };
    let mut columns = RUNS.to_vec();
    let mut rows: Vec<Vec<String>> = runs.iter().map(row).collect();
    let at = columns.iter().position(|column| *column == INTERRUPTED);
    if let Some(at) = at.filter(|_| runs.iter().all(|run| run.interrupted == 0)) {
        columns.remove(at);
        for row in &mut rows {
            row.remove(at);
        }
    }
    (columns, rows)
}

/// How a run ended, or that it runs, in a word.
#[must_use]
pub fn run_state(run: &RunRecord) -> &'static str {
    match (run.state, run.all_succeeded, run.cancelled) {
        (RunState::Running, ..) => "running",
        (RunState::Crashed, ..) => "crashed",
        (RunState::Finished, _, Some(_)) => "stopped",
        (RunState::Finished, Some(true), None) => "succeeded",
        (RunState::Finished, _, None) => "failed",
    }
}

/// A row for each step of a run, with the log of its last attempt.
#[must_use]
pub fn step_rows(run: &RunDetail) -> Vec<Vec<String>> {
    run.steps.iter().map(step_row).collect()
}

fn step_row(step: &StepRecord) -> Vec<String> {
    let last = step.attempts.last();
    let how = match (&step.outcome, &step.skipped) {
        (Some(how), _) => outcome(how),
        (None, Some(_)) => "not run".to_owned(),
        (None, None) => "unfinished".to_owned(),
    };
    vec![
        (step.step + 1).to_string(),
        step.asset.to_string(),
        step.range.to_string(),
        step.attempts.len().to_string(),
        how,
        last.and_then(|attempt| attempt.millis)
            .map(duration)
            .unwrap_or_default(),
        last.map(|attempt| attempt.log.display().to_string())
            .unwrap_or_default(),
    ]
}

/// What the attempts of a run reported, each after an empty line.
#[must_use]
pub fn messages_text(run: &RunDetail) -> String {
    let attempts = run.steps.iter().flat_map(|step| &step.attempts);
    let texts = attempts.filter_map(|attempt| {
        let message = attempt.message.as_ref()?;
        Some(format!(
            "\n{} {} attempt {}: {message}\n",
            attempt.asset, attempt.range, attempt.attempt
        ))
    });
    texts.collect()
}

#[cfg(test)]
mod tests {
    use chronon_run_core::event::{CancelReason, Outcome, SkipReason};

    use super::*;
    use crate::test_run::recorded;

    /// A run of one step, without attempts.
    fn run(outcome: Option<Outcome>, skipped: Option<SkipReason>) -> RunDetail {
        let mut run = recorded();
        let step = &mut run.steps[0];
        (step.outcome, step.skipped) = (outcome, skipped);
        step.attempts.clear();
        run
    }

    #[test]
    fn a_column_of_interrupted_steps_is_there_only_if_one_was() {
        let record = recorded().record;
        let (columns, rows) = run_rows(std::slice::from_ref(&record), 120_000);
        assert_eq!((columns.len(), rows[0].len()), (7, 7));
        let shown = ["r1", "2 min ago", "4.0s", "succeeded", "1 of 1", "0", "0"];
        assert_eq!(rows[0], shown);
        let stopped = RunRecord {
            interrupted: 1,
            ..record.clone()
        };
        let (columns, rows) = run_rows(&[record, stopped], 120_000);
        assert_eq!((columns.len(), rows[0].len()), (8, 8));
        assert_eq!([&rows[0][6], &rows[1][6]], ["0", "1"]);
    }

    #[test]
    fn a_run_that_was_stopped_did_not_succeed() {
        let state = |state, all_succeeded, cancelled| {
            run_state(&RunRecord {
                state,
                all_succeeded,
                cancelled,
                ..recorded().record
            })
        };
        let stopped = Some(CancelReason::Interrupt);
        assert_eq!(state(RunState::Running, None, None), "running");
        assert_eq!(state(RunState::Crashed, None, stopped), "crashed");
        assert_eq!(state(RunState::Finished, Some(true), stopped), "stopped");
        assert_eq!(state(RunState::Finished, Some(true), None), "succeeded");
        assert_eq!(state(RunState::Finished, None, None), "failed");
    }

    #[test]
    fn a_step_without_an_attempt_has_an_outcome_all_the_same() {
        let how = |outcome, skipped| step_rows(&run(outcome, skipped))[0][4].clone();
        assert_eq!(how(None, None), "unfinished");
        assert_eq!(how(None, Some(SkipReason::Cancelled)), "not run");
        assert_eq!(how(Some(Outcome::TimedOut), None), "timed out");
        assert_eq!(step_rows(&recorded())[0].len(), STEP_COLUMNS.len());
    }

    #[test]
    fn only_attempts_with_a_message_are_quoted() {
        let found = messages_text(&recorded());
        let (head, text) = found.split_once(": ").unwrap();
        assert_eq!(
            head,
            "\njoin/a.one/backfill 2026-01-01..2026-01-02 attempt 1"
        );
        assert_eq!(text, "a < b & \"c\" <script>\n");
    }
}
