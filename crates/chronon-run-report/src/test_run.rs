//! An imaginary run for tests.

use chronon_run_core::{
    PartitionRange, RangeSet,
    event::{CancelReason, Event, Outcome, SkipReason, StepIndex, StepInfo, What},
};

use chronon_run_ledger::{AttemptRecord, RunDetail, RunRecord, RunState, StepRecord};

use crate::RunView;

pub(crate) fn range(start: &str, end: &str) -> PartitionRange {
    PartitionRange::new(start.parse().unwrap(), end.parse().unwrap()).unwrap()
}

pub(crate) fn started(assets: &[&str], jobs: u32) -> What {
    let info = |(step, asset): (usize, &&str)| StepInfo {
        step: step as StepIndex,
        asset: asset.parse().unwrap(),
        range: range("2026-01-01", "2026-01-10"),
    };
    What::RunStarted {
        run: "r1".to_owned(),
        steps: assets.iter().enumerate().map(info).collect(),
        jobs,
    }
}

pub(crate) fn starting(step: StepIndex, attempt: u32) -> What {
    What::AttemptStarting {
        step,
        attempt,
        range: range("2026-01-01", "2026-01-10"),
        argv: vec!["spark-submit".to_owned()],
        log: format!("logs/{step}-{attempt}.log").into(),
    }
}

pub(crate) fn ended(
    step: StepIndex,
    attempt: u32,
    outcome: Outcome,
    message: Option<&str>,
    retry_in: Option<u64>,
) -> What {
    What::AttemptFinished {
        step,
        attempt,
        outcome,
        millis: 12_300,
        message: message.map(str::to_owned),
        next: retry_in.map(|_| range("2026-01-01", "2026-01-10")),
        retry_in,
        may_write: false,
    }
}

pub(crate) fn finished(
    step: StepIndex,
    outcome: Outcome,
    filled: RangeSet,
    empty: RangeSet,
) -> What {
    What::StepFinished {
        step,
        outcome,
        filled,
        empty,
        bad: RangeSet::new(),
        compared: Vec::new(),
        checked: Vec::new(),
    }
}

/// One success after a retry with an empty day, one failure, one skip each way.
pub(crate) fn mixed_run() -> Vec<Event> {
    let failed = Outcome::Failed { code: 1 };
    let whats = vec![
        started(
            &[
                "staging_query/a.s/backfill",
                "group_by/a.one/backfill",
                "join/a.j/backfill",
                "group_by/a.two/backfill",
            ],
            2,
        ),
        starting(0, 1),
        ended(0, 1, Outcome::Killed { signal: 9 }, None, Some(60_000)),
        starting(1, 1),
        What::Progress {
            step: 1,
            done: 3,
            total: 12,
            stage: "stage 2".to_owned(),
        },
        starting(0, 2),
        What::Notice {
            message: "waiting: metastore at thrift://localhost:9083 does not answer".to_owned(),
        },
        ended(0, 2, Outcome::Succeeded, None, None),
        finished(
            0,
            Outcome::Succeeded,
            range("2026-01-01", "2026-01-09").into(),
            range("2026-01-10", "2026-01-10").into(),
        ),
        ended(1, 1, failed.clone(), Some("cannot resolve `x`"), None),
        finished(1, failed, RangeSet::new(), RangeSet::new()),
        What::StepSkipped {
            step: 2,
            reason: SkipReason::Upstream { step: 1 },
        },
        What::Cancelling {
            reason: CancelReason::StepFailed,
        },
        What::StepSkipped {
            step: 3,
            reason: SkipReason::Cancelled,
        },
        What::RunFinished {
            succeeded: false,
            millis: 13_000,
        },
    ];
    timed(whats)
}

/// One event a second, from second 1,000.
pub(crate) fn timed(whats: Vec<What>) -> Vec<Event> {
    let event = |(second, what)| Event {
        at: 1_000_000 + 1_000 * second as i64,
        what,
    };
    whats.into_iter().enumerate().map(event).collect()
}

pub(crate) fn view_of(events: &[Event]) -> RunView {
    let mut view = RunView::default();
    events.iter().for_each(|event| view.apply(event));
    view
}

fn attempt(number: u32, started: i64, outcome: Outcome, message: Option<&str>) -> AttemptRecord {
    AttemptRecord {
        run: "r1".to_owned(),
        step: 0,
        asset: "join/a.one/backfill".parse().unwrap(),
        range: range("2026-01-01", "2026-01-02"),
        attempt: number,
        started: Some(started),
        finished: Some(started + 1_000),
        abandoned: false,
        millis: Some(1_000),
        outcome: Some(outcome),
        message: message.map(str::to_owned),
        argv: Vec::new(),
        log: format!("logs/{number}.log").into(),
        application: None,
        may_write: false,
    }
}

/// A run of one step, whose first attempt failed.
pub(crate) fn recorded() -> RunDetail {
    let days = range("2026-01-01", "2026-01-02");
    RunDetail {
        record: RunRecord {
            run: "r1".to_owned(),
            state: RunState::Finished,
            started: 0,
            finished: Some(4_000),
            all_succeeded: Some(true),
            cancelled: None,
            jobs: 1,
            steps: 1,
            succeeded: 1,
            failed: 0,
            skipped: 0,
            interrupted: 0,
        },
        steps: vec![StepRecord {
            step: 0,
            asset: "join/a.one/backfill".parse().unwrap(),
            range: days,
            outcome: Some(Outcome::Succeeded),
            skipped: None,
            filled: RangeSet::from(days),
            empty: RangeSet::new(),
            bad: RangeSet::new(),
            checked: Vec::new(),
            attempts: vec![
                attempt(
                    1,
                    0,
                    Outcome::Failed { code: 1 },
                    Some("a < b & \"c\" <script>"),
                ),
                attempt(2, 2_000, Outcome::Succeeded, None),
            ],
        }],
    }
}
