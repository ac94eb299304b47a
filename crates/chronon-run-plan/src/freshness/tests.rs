//! Any order of landing, rewriting, editing, running and being killed ends with the tables that one
//! clean backfill makes, and with nothing left to do.

mod lab;

use std::collections::{BTreeMap, BTreeSet};

use chronon_run_core::{
    AssetId, AssetKind, CatalogSnapshot, ConfType, DayEvidence, Ds, Evidence, PartitionRange,
    Partitions, RangeSet, Slice, TableName, TableSpec, TableState,
    event::{Event, Outcome, Sink, StepInfo, What},
};
use chronon_run_ledger::{Ledger, Look, Provenance};
use proptest::prelude::*;

use lab::*;

use super::*;
use crate::{
    AssetSettings, Cause, ChangedInput, DriverInput, Freshness, Graph, History, Input, Need, Plan,
    Reason, Request, Role, State, Step, plan,
    testing::{asset, day, table},
};

const LAST: i32 = 8;

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]
    #[test]
    fn any_order_of_acts_ends_with_one_clean_backfill(
        windows in [0..4_i32, 0..3_i32], acts in acts(), driver in any::<bool>(),
    ) {
        let mut lab = Lab::new(windows);
        lab.driver = driver.then(DriverInput::default);
        acts.iter().for_each(|act| lab.act(act));
        for source in 0..2 {
            for n in 0..=LAST {
                if lab.tables.get(&table(&format!("s{source}"))).is_none_or(|days| !days.contains_key(&n)) {
                    lab.act(&Act::Land { source, day: n, rows: true });
                }
            }
        }
        lab.run(false);
        lab.run(true);
        for index in 0..3 {
            prop_assert_eq!(lab.filled(index), lab.clean(index), "a{}", index);
        }
        for stale in [false, true] {
            let plan = lab.plan(stale);
            prop_assert!(plan.steps.is_empty(), "{:?}", plan.assets);
        }
    }
}

/// The reasons of the cells of an asset in a state.
fn reasons(plan: &Plan, asset: usize, state: State) -> Vec<(RangeSet, Reason)> {
    let cells = plan.assets[asset].cells.iter().filter(|c| c.state == state);
    cells.map(|c| (c.range.into(), c.reason.clone())).collect()
}

fn days(first: i32, last: i32) -> RangeSet {
    PartitionRange::new(day(first), day(last)).into()
}

/// A lab whose sources have every day, and whose tables are filled.
fn filled_lab() -> Lab {
    let mut lab = Lab::new([1, 0]);
    for source in 0..2 {
        for n in 0..=LAST {
            let rows = (source, n) != (0, 4);
            lab.act(&Act::Land {
                source,
                day: n,
                rows,
            });
        }
    }
    lab.run(false);
    lab
}

#[test]
fn a_day_without_rows_is_planned_again_once_its_input_changes_with_what_had_none_for_it() {
    let mut lab = filled_lab();
    let plan = lab.plan(false);
    assert!(plan.steps.is_empty());
    assert_eq!(
        reasons(&plan, 0, State::Done)[1],
        (days(4, 4), Reason::KnownEmpty)
    );
    lab.act(&Act::Land {
        source: 0,
        day: 4,
        rows: true,
    });
    let plan = lab.plan(false);
    let changed = ChangedInput {
        table: table("s0"),
        appeared: RangeSet::new(),
        rewritten: days(4, 4),
    };
    let because = vec![Cause::InputsChanged {
        inputs: vec![changed],
    }];
    assert_eq!(
        reasons(&plan, 0, State::Run),
        [(days(4, 4), Reason::EmptyNoMore { because })]
    );
    let of: Vec<RangeSet> = plan.steps.iter().map(|step| step.range.into()).collect();
    assert_eq!(of, [days(4, 4), days(4, 4), days(4, 4)], "all three assets");
}

/// A query whose declared dependencies leave out a table is filled without it, and looked at again when a day
/// of that table lands or changes.
#[test]
fn a_table_that_is_read_without_waiting_reopens_empty_days_and_makes_filled_ones_stale() {
    let mut lab = filled_lab();
    let undeclared = Input {
        role: Role::Query,
        ..input("s2", Need::Days { lo: 0, hi: 0 }, None, false)
    };
    lab.graph.assets[0].also_reads = vec![undeclared];
    for asset in 0..3 {
        lab.confs[asset] += 1;
    }
    lab.run(true);
    lab.run(false);
    let land = |lab: &mut Lab, n: i32| lab.write(&table("s2"), n, Some(String::new()));
    land(&mut lab, 2);
    land(&mut lab, 4);
    let appeared = |n| {
        let changed = ChangedInput {
            table: table("s2"),
            appeared: days(n, n),
            rewritten: RangeSet::new(),
        };
        vec![Cause::InputsChanged {
            inputs: vec![changed],
        }]
    };
    let plan = lab.plan(false);
    let because = appeared(4);
    assert_eq!(
        reasons(&plan, 0, State::Run),
        [(days(4, 4), Reason::EmptyNoMore { because })]
    );
    let stale = lab.plan(true);
    let of_a0 = { stale.steps.iter() }.filter(|step| step.asset == lab.graph.assets[0].id);
    let ranges: Vec<RangeSet> = of_a0.map(|step| step.range.into()).collect();
    assert_eq!(ranges, [days(2, 2), days(4, 4)]);
}

/// A restated source makes the GroupBy's day stale; once that is filled, alone, the tables that read it are
/// stale, one after another.
#[test]
fn staleness_goes_on_downstream_when_each_table_is_filled_alone() {
    for driver in [None, Some(DriverInput::default())] {
        let mut lab = filled_lab();
        lab.driver = driver;
        let rows = true;
        lab.act(&Act::Land {
            source: 0,
            day: 6,
            rows,
        });
        for asset in 0..3 {
            let stale = lab.plan_of([asset].into(), true, None);
            let of = stale.steps.iter().map(|step| RangeSet::from(step.range));
            // `a0` has a window of two days.
            assert_eq!(of.collect::<Vec<_>>(), [days(6, 7)], "a{asset}");
            let later: Vec<usize> = (asset + 1..3).collect();
            for &later in &later {
                assert!(
                    lab.plan_of([later].into(), true, None).steps.is_empty(),
                    "a{later}"
                );
            }
            lab.run_plan(&stale, usize::MAX);
        }
        assert!(lab.plan(true).steps.is_empty());
    }
}

/// A run that is killed after it has written some days of a step knows, later, how they were made.
#[test]
fn days_of_a_killed_run_are_known() {
    let mut lab = Lab::new([0, 0]);
    for n in 0..=2 {
        lab.act(&Act::Land {
            source: 0,
            day: n,
            rows: true,
        });
    }
    lab.act(&Act::Killed {
        stale: false,
        steps: 0,
        days: 2,
    });
    assert_eq!(lab.filled(0).len(), 2);
    assert!(lab.plan(true).steps.is_empty());
    lab.act(&Act::Land {
        source: 0,
        day: 1,
        rows: true,
    });
    let plan = lab.plan(true);
    let of = plan.steps.iter().map(|step| RangeSet::from(step.range));
    assert_eq!(of.collect::<Vec<_>>(), [days(1, 1)]);
    assert!(
        plan.assets[0].notes.is_empty(),
        "{:?}",
        plan.assets[0].notes
    );
}

/// A day that had no rows, and for which a killed run has written some, has them for what is downstream.
#[test]
fn a_reopened_day_of_a_killed_run_is_read_downstream() {
    let mut lab = Lab::new([0, 0]);
    let land = |rows| Act::Land {
        source: 0,
        day: 1,
        rows,
    };
    lab.act(&Act::Land {
        source: 1,
        day: 1,
        rows: true,
    });
    lab.act(&land(false));
    lab.run(false);
    lab.act(&land(true));
    lab.act(&Act::Killed {
        stale: false,
        steps: 0,
        days: 1,
    });
    let plan = lab.plan(false);
    let of = plan.steps.iter().map(|step| RangeSet::from(step.range));
    assert_eq!(
        of.collect::<Vec<_>>(),
        [days(1, 1), days(1, 1)],
        "{:#?}",
        plan.assets
    );
}

/// A day that lost its rows while a run was killed before it could go on downstream.
#[test]
fn a_day_that_was_emptied_before_a_kill_makes_what_reads_it_stale() {
    let mut lab = Lab::new([0, 0]);
    let land = |source, rows| Act::Land {
        source,
        day: 4,
        rows,
    };
    lab.act(&land(0, true));
    lab.act(&land(1, false));
    lab.run(false);
    assert_eq!(lab.filled(1).len(), 1);
    lab.act(&land(0, false));
    lab.act(&Act::Killed {
        stale: true,
        steps: 0,
        days: 1,
    });
    lab.run(false);
    lab.run(true);
    assert!(lab.filled(1).is_empty() && lab.filled(2).is_empty());
    assert!(lab.plan(true).steps.is_empty());
}

/// The same where the killed step had removed the day, because its input had lost its rows.
#[test]
fn a_day_that_a_killed_step_removed_makes_what_reads_it_stale() {
    for driver in [None, Some(DriverInput::default())] {
        let mut lab = Lab::new([0, 0]);
        lab.driver = driver;
        let land = |source, rows| Act::Land {
            source,
            day: 4,
            rows,
        };
        lab.act(&land(0, true));
        lab.act(&land(1, false));
        lab.run(false);
        assert_eq!(lab.filled(2).len(), 1);
        lab.act(&land(0, false));
        lab.act(&Act::Killed {
            stale: true,
            steps: 1,
            days: 1,
        });
        lab.run(false);
        lab.run(true);
        assert!(lab.filled(1).is_empty() && lab.filled(2).is_empty());
        for stale in [false, true] {
            assert!(lab.plan(stale).steps.is_empty());
        }
    }
}

#[test]
fn a_day_is_stale_until_it_is_filled_again_whatever_else_is_filled() {
    let mut lab = filled_lab();
    lab.act(&Act::Edit(2));
    lab.act(&Act::Land {
        source: 0,
        day: 6,
        rows: true,
    });
    for _ in 0..2 {
        let plan = lab.plan(true);
        let of = |asset: usize| -> RangeSet {
            reasons(&plan, asset, State::Run)
                .into_iter()
                .flat_map(|(days, _)| days.ranges().to_vec())
                .collect()
        };
        assert_eq!(of(0), days(6, 7));
        assert_eq!(of(1), days(6, 7));
        assert_eq!(
            of(2),
            days(0, 3).union(&days(5, LAST)),
            "the edit is about all of them"
        );
        lab.run(false);
    }
    lab.run(true);
    assert!(lab.plan(true).steps.is_empty());
}

#[test]
fn days_of_others_are_unknown_and_not_stale() {
    let mut lab = filled_lab();
    lab.write(&table("a2"), 4, Some("by hand".to_owned()));
    let plan = lab.plan(true);
    assert!(plan.steps.is_empty());
    assert_eq!(
        plan.assets[2].notes,
        [crate::Note::Unrecorded { days: days(4, 4) }]
    );
}

/// What days were made of is recorded for the steps that made them: of days that a join has from its other flow
/// nothing could be found to be stale.
#[test]
fn days_of_the_other_flow_of_a_join_are_stale() {
    let mut lab = filled_lab();
    for _ in 0..2 {
        assert!(lab.plan(true).steps.is_empty());
        lab.change_flow();
        lab.run(false);
        let plan = lab.plan(true);
        let planned: RangeSet = plan.steps.iter().map(|step| step.range).collect();
        assert_eq!(planned, days(0, 3).union(&days(5, LAST)));
        for (_, reason) in reasons(&plan, 2, State::Run) {
            let because = vec![Cause::OtherFlow];
            assert_eq!(reason, Reason::Stale { because });
        }
        lab.run_plan(&plan, usize::MAX);
    }
    assert!(lab.plan(true).steps.is_empty());
}

/// The job of a whole join writes the tables of its parts as well.
#[test]
fn days_of_a_part_are_stale_once_the_whole_join_was_filled() {
    let mut lab = filled_lab();
    let mut part = lab.graph.assets[2].id.clone();
    part.mode = AssetKind::Part("p".to_owned());
    lab.rename(1, part);
    lab.change_flow();
    lab.run(true);
    assert!(lab.plan(true).steps.is_empty());
    lab.change_flow();
    let whole = lab.plan_of([2].into(), true, None);
    lab.run_plan(&whole, usize::MAX);
    lab.change_flow();
    let plan = lab.plan(true);
    let planned: BTreeSet<&AssetId> = plan.steps.iter().map(|step| &step.asset).collect();
    let of_join = lab.graph.assets[1..].iter().map(|asset| &asset.id);
    assert_eq!(planned, of_join.collect());
}

#[test]
fn without_a_ledger_nothing_is_stale() {
    let mut lab = filled_lab();
    lab.act(&Act::Edit(0));
    let path = lab._folder.path().join("other.db");
    lab.ledger = Ledger::open(&path);
    assert!(lab.plan(true).steps.is_empty());
    let again = lab.plan(false);
    let ranges = again.steps.iter().map(|step| RangeSet::from(step.range));
    assert_eq!(
        ranges.collect::<Vec<_>>(),
        vec![days(4, 4); 3],
        "days without rows are looked at again"
    );
}
