//! A sequence of runs over the days of a join leaves the tables of one clean backfill, whatever the
//! engine, the flow, the cuts and the order, and wherever runs are killed.
//!
//! The planner's plans are run through the simulated Driver and through a model of the `sql` engine's
//! scripts, with left rows that are early or late, and every value of the output is compared.

#![expect(
    clippy::unwrap_used,
    reason = "a test stops at whatever it cannot read"
)]

mod shop;

use std::collections::BTreeMap;

use chronon_run_plan::{JoinFlow, Note, Reason};
use proptest::prelude::*;

use shop::{Engine, KINDS, Kill, Kind, Run, Shop, day, row};

/// The rows of the recorded case: gull 1 and heron on the first day, heron early; tern and skua on the
/// second, skua early; gull 4 on the third.
fn harbour() -> BTreeMap<i32, Vec<(String, String, i32)>> {
    let rows = [
        (2, "1", "gull", 2),
        (2, "2", "heron", 3),
        (3, "3", "tern", 3),
        (3, "5", "skua", 4),
        (4, "4", "gull", 4),
    ];
    let mut days: BTreeMap<i32, Vec<(String, String, i32)>> = BTreeMap::new();
    for (ds, id, key, time) in rows {
        days.entry(ds).or_default().push(row(id, key, time));
    }
    days
}

fn harbour_shop() -> Shop {
    Shop::new(&KINDS[0], &harbour(), 1, 4)
}

/// The ids of the rows without a value, after a run for each of these last days.
fn without_value(shop: &mut Shop, run: &Run, last_days: &[i32]) -> Vec<String> {
    for &last in last_days {
        shop.land(4);
        shop.run(&Run { end: last, ..*run });
    }
    shop.output(1, 4)
        .into_iter()
        .filter(|(_, value)| value.is_none())
        .map(|(id, _)| id)
        .collect()
}

fn a_run(engine: Engine, flow: JoinFlow, step_days: u32) -> Run {
    Run {
        engine,
        flow,
        step_days,
        start: None,
        end: 4,
        recompute: false,
        kill: None,
        drops: true,
        order: 0,
    }
}

/// Engine, flow, `step_days`, whether premature partitions are dropped, the last days of the runs, and
/// the rows without a value.
type Recorded<'a> = (Engine, JoinFlow, u32, bool, &'a [i32], &'a [&'a str]);

/// The recorded table of the case, with and without the remedy: which rows have no value.
#[test]
fn the_simulated_driver_makes_the_recorded_nulls() {
    let daily: &[i32] = &[2, 3, 4];
    let cases: [Recorded<'_>; 9] = [
        (Engine::Driver, JoinFlow::Whole, 0, true, &[4], &[]),
        (
            Engine::Driver,
            JoinFlow::Whole,
            0,
            false,
            daily,
            &["3", "5"],
        ),
        (Engine::Driver, JoinFlow::Whole, 1, false, &[4], &["3", "5"]),
        (
            Engine::Driver,
            JoinFlow::Modular,
            1,
            false,
            &[4],
            &["2", "3", "5"],
        ),
        (
            Engine::Driver,
            JoinFlow::Modular,
            0,
            false,
            daily,
            &["2", "3", "5"],
        ),
        (Engine::Driver, JoinFlow::Whole, 0, true, daily, &[]),
        (Engine::Driver, JoinFlow::Whole, 1, true, &[4], &[]),
        (
            Engine::Driver,
            JoinFlow::Modular,
            0,
            true,
            daily,
            &["2", "5"],
        ),
        (Engine::Sql, JoinFlow::Modular, 1, true, &[4], &[]),
    ];
    for (engine, flow, step_days, drops, runs, nulls) in cases {
        let mut shop = harbour_shop();
        let run = Run {
            drops,
            ..a_run(engine, flow, step_days)
        };
        let found = without_value(&mut shop, &run, runs);
        assert_eq!(
            found, nulls,
            "{engine:?} {flow:?} {step_days} {drops} {runs:?}"
        );
    }
}

/// A part step in a later run takes the keys of all left rows that the output lacks.
#[test]
fn a_later_part_step_takes_all_keys_that_the_output_lacks() {
    let mut shop = harbour_shop();
    shop.land(4);
    for end in [2, 4] {
        shop.run(&Run {
            end,
            ..a_run(Engine::Sql, JoinFlow::Modular, 0)
        });
    }
    let keys: Vec<String> = shop.part_keys(3);
    assert_eq!(keys, ["gull", "skua", "tern"]);
}

/// The plan says which partitions go, and why a day runs again.
#[test]
fn the_plan_names_premature_partitions() {
    let mut shop = harbour_shop();
    shop.land(4);
    shop.run(&Run {
        end: 2,
        ..a_run(Engine::Driver, JoinFlow::Modular, 0)
    });
    let plan = shop.plan(&Run {
        end: 3,
        ..a_run(Engine::Driver, JoinFlow::Modular, 0)
    });
    let part = &plan.assets[1];
    let premature = part.notes.iter().find_map(|note| match note {
        Note::Premature { tables } => Some(tables.values().next()?.to_string()),
        _ => None,
    });
    assert_eq!(premature, Some(day(2).to_string()));
    assert_eq!(part.cell(day(3)).unwrap().reason, Reason::NotHandedOver);
}

/// One day of all rows early is right in a step of two days, and only there.
#[test]
fn a_day_of_early_rows_alone_needs_a_step_of_two_days() {
    let rows = BTreeMap::from([
        (2, vec![row("a", "gull", 2)]),
        (3, vec![row("b", "heron", 4), row("c", "tern", 4)]),
        (4, vec![row("d", "gull", 4)]),
    ]);
    let nulls = |ends: &[i32]| {
        let mut shop = Shop::new(&KINDS[0], &rows, 1, 4);
        without_value(&mut shop, &a_run(Engine::Driver, JoinFlow::Whole, 0), ends)
    };
    assert_eq!(nulls(&[2, 3, 4]), ["b", "c"]);
    assert_eq!(nulls(&[2, 4]), Vec::<String>::new());
    assert_eq!(nulls(&[3, 4]), Vec::<String>::new());
}

/// What a sequence is made of.
#[derive(Clone, Debug)]
struct Sequence {
    kind: &'static Kind,
    rows: BTreeMap<i32, Vec<(String, String, i32)>>,
    runs: Vec<Run>,
    large: bool,
}

const FIRST: i32 = 20;
const LAST: i32 = 29;

fn rows(least: usize) -> impl Strategy<Value = BTreeMap<i32, Vec<(String, String, i32)>>> {
    let offset = prop_oneof![5 => Just(0), 3 => Just(1), 2 => -10..0_i32];
    let of_day = prop::collection::vec((0..4_usize, offset), least..4);
    prop::collection::vec(of_day, (LAST - FIRST + 1) as usize).prop_map(|days| {
        let keys = ["ant", "bee", "cat", "dog"];
        let days = days.into_iter().zip(FIRST..).map(|(rows, ds)| {
            let rows = rows
                .into_iter()
                .enumerate()
                .map(|(at, (key, offset))| row(&format!("{ds}.{at}"), keys[key], ds + offset));
            (ds, rows.collect())
        });
        days.collect()
    })
}

fn run(engines: &'static [Engine], flows: &'static [JoinFlow]) -> impl Strategy<Value = Run> {
    let kill = prop::option::weighted(0.3, (0..6_usize, 0..4_usize));
    let start = prop::option::weighted(0.4, FIRST..=LAST);
    (
        (prop::sample::select(engines), prop::sample::select(flows)),
        prop::sample::select(&[0_u32, 1, 2, 3, 30][..]),
        start,
        FIRST..=LAST,
        prop::bool::weighted(0.1),
        kill,
        any::<u64>(),
    )
        .prop_map(
            |((engine, flow), step_days, start, end, recompute, kill, order)| Run {
                engine,
                flow,
                step_days,
                start: start.map(|start: i32| start.min(end)),
                end,
                recompute,
                kill: kill.map(|(step, commits)| Kill { step, commits }),
                drops: true,
                order,
            },
        )
}

fn sequence(
    engines: &'static [Engine],
    flows: &'static [JoinFlow],
) -> impl Strategy<Value = Sequence> {
    let all = KINDS.iter();
    let kinds: Vec<&'static Kind> = all
        .filter(|kind| kind.modular || !flows.contains(&JoinFlow::Modular))
        .collect();
    let kinds = prop::sample::select(kinds);
    let runs = prop::collection::vec(run(engines, flows), 1..8);
    let last = run(engines, flows).prop_map(|run| Run {
        start: None,
        end: LAST,
        recompute: false,
        kill: None,
        ..run
    });
    // The Driver's part job cuts at left days without rows (hazard S4).
    let least =
        usize::from(engines.contains(&Engine::Driver) && flows.contains(&JoinFlow::Modular));
    (kinds, rows(least), runs, last, any::<bool>()).prop_map(
        |(kind, rows, mut runs, last, large)| {
            runs.push(last);
            Sequence {
                kind,
                rows,
                runs,
                large,
            }
        },
    )
}

/// Runs the sequence, daily as far as runs ask for later days, and tells each row that has another
/// value than it should, with its left day.
fn wrong_rows(sequence: &Sequence) -> Vec<(String, i32)> {
    let mut shop = Shop::new(sequence.kind, &sequence.rows, FIRST - 12, LAST);
    shop.set_large(sequence.large);
    for run in &sequence.runs {
        shop.land(run.end);
        shop.run(run);
    }
    let found: BTreeMap<String, Option<String>> = shop.output(FIRST, LAST).into_iter().collect();
    let wanted = shop.wanted(FIRST, LAST);
    assert_eq!(
        found.keys().collect::<Vec<_>>(),
        wanted.keys().collect::<Vec<_>>(),
        "every left row is in the output"
    );
    let wrong = wanted.into_iter().filter_map(|(id, (ds, value))| {
        let right = found[&id] == value;
        assert!(
            right || found[&id].is_none(),
            "{id}: {:?} instead of {value:?}",
            found[&id]
        );
        (!right).then_some((id, ds))
    });
    wrong.collect()
}

/// Whether all rows of a day are early, or all are late.
fn is_one_sided(rows: &BTreeMap<i32, Vec<(String, String, i32)>>, ds: i32) -> bool {
    let mut offsets = rows[&ds].iter().map(|(_, _, time)| time - ds);
    let mut others = offsets.clone();
    offsets.all(|offset| offset > 0) || others.all(|offset| offset < 0)
}

/// Sequences of each kind: 200, or as many as `CHRONON_RUN_SEQUENCES` says.
fn sequences() -> u32 {
    let asked = std::env::var("CHRONON_RUN_SEQUENCES").ok();
    asked.map_or(200, |text| text.parse().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(sequences()))]

    #[test]
    fn the_sql_engine_is_right_in_every_sequence(
        sequence in sequence(&[Engine::Sql], &[JoinFlow::Whole, JoinFlow::Modular])
    ) {
        prop_assert_eq!(wrong_rows(&sequence), []);
    }

    /// But for days all of whose rows are early, or all late.
    #[test]
    fn whole_joins_of_the_driver_are_right_in_every_sequence(
        sequence in sequence(&[Engine::Driver], &[JoinFlow::Whole])
    ) {
        for (id, ds) in wrong_rows(&sequence) {
            prop_assert!(is_one_sided(&sequence.rows, ds), "{} of {}", id, ds);
        }
    }

    /// But for rows that are early or late, which join-final does not see.
    #[test]
    fn modular_joins_of_the_driver_are_right_for_rows_of_their_own_day(
        sequence in sequence(&[Engine::Driver], &[JoinFlow::Modular])
    ) {
        for (id, ds) in wrong_rows(&sequence) {
            let row = sequence.rows[&ds].iter().find(|row| id.starts_with(&row.0)).unwrap();
            prop_assert!(row.2 != ds, "{} of {}", id, ds);
        }
    }

    /// Both engines and both flows over the same tables: rows of their own day are right.
    #[test]
    fn mixed_sequences_are_right_for_rows_of_their_own_day(
        sequence in sequence(
            &[Engine::Driver, Engine::Sql],
            &[JoinFlow::Whole, JoinFlow::Modular]
        )
    ) {
        for (id, ds) in wrong_rows(&sequence) {
            let row = sequence.rows[&ds].iter().find(|row| id.starts_with(&row.0)).unwrap();
            prop_assert!(row.2 != ds, "{} of {}", id, ds);
        }
    }
}
