//! Events of runs.

use chronon_run_core::{
    PartitionRange, RangeSet,
    event::{Event, Outcome, StepInfo, What},
};
use chronon_run_ledger::Ledger;

fn day() -> PartitionRange {
    let ds = "2026-01-01".parse().unwrap();
    PartitionRange::new(ds, ds).unwrap()
}

/// One run of `steps` steps, all of them well.
pub(crate) fn run(id: &str, steps: u32) -> Vec<What> {
    let info = |step| StepInfo {
        step,
        asset: format!("group_by/team.a{step}/backfill").parse().unwrap(),
        range: day(),
    };
    let mut events = vec![What::RunStarted {
        run: id.to_owned(),
        steps: (0..steps).map(info).collect(),
        jobs: 1,
    }];
    for step in 0..steps {
        events.push(What::AttemptStarting {
            step,
            attempt: 1,
            range: day(),
            argv: vec!["x".repeat(200)],
            log: "a.log".into(),
        });
        events.push(What::AttemptFinished {
            step,
            attempt: 1,
            outcome: Outcome::Succeeded,
            millis: 5,
            message: None,
            retry_in: None,
            next: None,
            may_write: false,
        });
        events.push(What::StepFinished {
            step,
            outcome: Outcome::Succeeded,
            filled: RangeSet::from(day()),
            empty: RangeSet::new(),
            bad: RangeSet::new(),
            compared: Vec::new(),
            checked: Vec::new(),
        });
    }
    events.push(What::RunFinished {
        succeeded: true,
        millis: 9,
    });
    events
}

pub(crate) fn tell(ledger: &mut Ledger, events: Vec<What>) {
    for what in events {
        ledger.record(&Event { at: 7, what });
    }
    ledger.flush();
}
