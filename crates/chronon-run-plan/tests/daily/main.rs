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

use chronon_run_core::PartitionRange;
use chronon_run_plan::{EARLY_DAYS, JoinFlow, LeftTimes, Note, Plan, Reason, State};
use proptest::{prelude::*, test_runner::RngSeed};

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
        stale: false,
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

/// The steps to be typed drop what the steps before them may have made, rows early by days included.
#[test]
fn typed_steps_drop_what_earlier_steps_may_make() {
    let mut shop = harbour_shop();
    shop.land(4);
    let plan = shop.plan(&a_run(Engine::Driver, JoinFlow::Whole, 1));
    let dropped = shop.dropped_before(&plan);
    let last = day(1).plus(EARLY_DAYS);
    let second = format!("{}..{last}", day(2));
    let third = format!("{}..{}", day(3), last.plus(1));
    assert_eq!(dropped, [vec![], vec![second], vec![third]]);
}

/// A day all of whose rows are early, or late, is filled in one job with the day beside it, again if it
/// has to be.
#[test]
fn a_day_of_early_or_late_rows_alone_is_filled_with_the_day_beside_it() {
    let rows = |offset: i32| {
        BTreeMap::from([
            (2, vec![row("a", "gull", 2)]),
            (
                3,
                vec![row("b", "heron", 3 + offset), row("c", "tern", 3 + offset)],
            ),
            (4, vec![row("d", "gull", 4)]),
        ])
    };
    let plan_of = |offset: i32, last: i32| {
        let mut shop = Shop::new(&KINDS[0], &rows(offset), 1, 4);
        let run = a_run(Engine::Driver, JoinFlow::Whole, 1);
        for end in 2..last {
            shop.land(end);
            shop.run(&Run { end, ..run });
        }
        shop.land(last);
        shop.plan(&Run { end: last, ..run })
    };
    let steps = |plan: &Plan| -> Vec<String> {
        let steps = plan.steps.iter();
        steps
            .map(|step| format!("{} again {}", step.range, step.again))
            .collect()
    };
    let early = plan_of(1, 3);
    assert_eq!(
        steps(&early),
        [format!("{}..{} again {}", day(2), day(3), day(2))]
    );
    assert_eq!(
        early.assets[0].cell(day(2)).unwrap().reason,
        Reason::MadeAlone
    );
    let drops = early.assets[0].notes.iter().find_map(|note| match note {
        Note::Drops { tables } => Some(tables.values().next()?.to_string()),
        _ => None,
    });
    assert_eq!(drops, Some(day(2).to_string()), "the output's day is named");
    let late = plan_of(-1, 3);
    assert_eq!(steps(&late), [format!("{} again ", day(3))]);
    let alone = late.assets[0].notes.iter().find_map(|note| match note {
        Note::Alone { days, hopeless } => Some((days.to_string(), hopeless.is_empty())),
        _ => None,
    });
    assert_eq!(alone, Some((day(3).to_string(), true)));
    let late = plan_of(-1, 4);
    assert_eq!(
        steps(&late),
        [format!("{}..{} again {}", day(3), day(4), day(3))]
    );
    for offset in [1, -1] {
        let mut shop = Shop::new(&KINDS[0], &rows(offset), 1, 4);
        let run = a_run(Engine::Driver, JoinFlow::Whole, 1);
        assert_eq!(
            without_value(&mut shop, &run, &[2, 3, 4]),
            Vec::<String>::new()
        );
    }
}

/// Where files tell nothing of the times of the left rows, the plan says so. With the Driver of each day of a
/// join that has a part with SNAPSHOT accuracy, before and after it is filled; else of each filled day of a
/// join of events, TEMPORAL ones too, because source days that its early rows need do not make it out of date.
/// Where files tell them, it says nothing.
#[test]
fn unknown_row_times_are_said_where_they_matter() {
    let late = BTreeMap::from([
        (2, vec![row("a", "gull", 2)]),
        (3, vec![row("b", "heron", 2)]),
        (4, vec![row("c", "gull", 4)]),
    ]);
    let unknown = |kind: usize, engine: Engine, flow: JoinFlow, blind: bool| {
        let mut shop = Shop::new(&KINDS[kind], &late, 1, 4);
        if blind {
            shop.set_blind();
        }
        shop.land(3);
        let run = Run {
            end: 3,
            ..a_run(engine, flow, 1)
        };
        let before = days_of_unknown_times(&shop.plan(&run));
        shop.run(&run);
        (before, days_of_unknown_times(&shop.plan(&run)))
    };
    let said = |nulls: bool| vec![(format!("{}..{}", day(2), day(3)), nulls)];
    let nothing = || (vec![], vec![]);
    for flow in [JoinFlow::Whole, JoinFlow::Modular] {
        let snapshot = |engine| unknown(0, engine, flow, true);
        assert_eq!(snapshot(Engine::Driver), (said(true), said(true)));
        assert_eq!(snapshot(Engine::Sql), (vec![], said(false)));
        for engine in [Engine::Driver, Engine::Sql] {
            assert_eq!(unknown(0, engine, flow, false), nothing());
            let (entities, temporal) = (3, 4);
            assert_eq!(unknown(entities, engine, flow, true), nothing());
            assert_eq!(unknown(temporal, engine, flow, true), (vec![], said(false)));
            assert_eq!(unknown(temporal, engine, flow, false), nothing());
        }
    }
}

/// The days, and whether features may be NULL.
fn days_of_unknown_times(plan: &Plan) -> Vec<(String, bool)> {
    let notes = plan.assets.iter().flat_map(|asset| &asset.notes);
    let unknown = notes.filter_map(|note| match note {
        Note::TimesUnknown { days, nulls, .. } => Some((days.to_string(), *nulls)),
        _ => None,
    });
    unknown.collect()
}

/// What a sequence is made of.
#[derive(Clone, Debug)]
struct Sequence {
    kind: &'static Kind,
    rows: BTreeMap<i32, Vec<(String, String, i32)>>,
    /// Days whose source is written again before the run.
    runs: Vec<(Vec<i32>, Run)>,
    large: bool,
}

const FIRST: i32 = 20;
const LAST: i32 = 29;

fn rows(least: usize) -> impl Strategy<Value = BTreeMap<i32, Vec<(String, String, i32)>>> {
    let offset = prop_oneof![5 => Just(0), 3 => Just(1), 1 => 2..4_i32, 2 => -10..0_i32];
    let of_day = prop::collection::vec((0..4_usize, offset), least..4);
    prop::collection::vec(of_day, (LAST - FIRST) as usize).prop_map(|mut days| {
        // The last day is a day like most.
        days.push(vec![(0, 0)]);
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
        prop::sample::select(&[0_u32, 1, 2, 3, 7, 30][..]),
        start,
        FIRST..=LAST,
        prop::sample::select(
            &[
                (false, false),
                (false, false),
                (false, false),
                (true, false),
                (false, true),
            ][..],
        ),
        kill,
        any::<u64>(),
    )
        .prop_map(
            |((engine, flow), step_days, start, end, (recompute, stale), kill, order)| Run {
                engine,
                flow,
                step_days,
                start: start.map(|start: i32| start.min(end)),
                end,
                recompute,
                stale,
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
        .filter(|kind| {
            let by_parts = flows.contains(&JoinFlow::Modular);
            kind.modular || !by_parts || !engines.contains(&Engine::Driver)
        })
        .collect();
    let kinds = prop::sample::select(kinds);
    let rewritten = prop::collection::vec(FIRST - 8..=LAST, 0..3);
    let runs = prop::collection::vec((rewritten, run(engines, flows)), 1..8);
    let last = run(engines, flows).prop_map(|run| Run {
        start: None,
        end: LAST,
        recompute: false,
        stale: false,
        kill: None,
        ..run
    });
    // The Driver's part job cuts at left days without rows (hazard S4).
    let least =
        usize::from(engines.contains(&Engine::Driver) && flows.contains(&JoinFlow::Modular));
    (kinds, rows(least), runs, last, any::<bool>()).prop_map(
        move |(kind, mut rows, mut runs, last, large)| {
            runs.push((Vec::new(), last));
            let first = runs[0].1.flow;
            if runs.iter().any(|(_, run)| run.flow != first) {
                // How a day was made in the other flow is not compared.
                runs.iter_mut().for_each(|(rewritten, _)| rewritten.clear());
                for (ds, rows) in &mut rows {
                    rows.iter_mut()
                        .for_each(|row| row.2 = row.2.min(ds + kind.near()));
                }
            }
            Sequence {
                kind,
                rows,
                runs,
                large,
            }
        },
    )
}

/// A row of the output with another value than it should have.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Wrong {
    id: String,
    ds: i32,
    /// Whether the row's time is on another day than its partition.
    off_its_day: bool,
    /// What the output holds.
    found: Option<String>,
    /// Whether a plan says so that is not asked for what is out of date.
    said: bool,
}

/// Runs the sequence, daily as far as runs ask for later days, and then what is out of date.
fn wrong_rows(sequence: &Sequence) -> Vec<Wrong> {
    let mut shop = Shop::new(sequence.kind, &sequence.rows, FIRST - 12, LAST);
    shop.set_large(sequence.large);
    for (rewritten, run) in &sequence.runs {
        shop.land(run.end);
        rewritten.iter().for_each(|number| shop.rewrite(*number));
        shop.run(run);
    }
    let (_, last) = sequence.runs.last().unwrap();
    shop.land_sources(LAST + 4);
    let stale = Run {
        stale: true,
        ..*last
    };
    // With the Driver, a modular join may need a second time.
    for _ in 0..3 {
        shop.run(&stale);
    }
    let more = shop.plan(&stale);
    let reasons = more.assets.iter().flat_map(|asset| &asset.cells);
    let reasons: Vec<_> = reasons.filter(|cells| cells.state == State::Run).collect();
    assert!(
        more.steps.is_empty(),
        "nothing is out of date any more: {reasons:?}"
    );
    let plan = shop.plan(last);
    let mut wrong = wrong_values(sequence, &shop, &plan);
    let wrong_labels = shop.wrong_labels();
    // Labels are filled for the last day only (§4.2): earlier ones keep what they were made of.
    let rewritten = sequence.runs.iter().any(|(days, _)| !days.is_empty());
    let labels = wrong_labels
        .into_iter()
        .filter(|ds| *ds == LAST || !rewritten);
    wrong.extend(labels.map(|ds| Wrong {
        id: "labels".to_owned(),
        ds,
        off_its_day: false,
        found: None,
        said: false,
    }));
    wrong
}

/// The wrong rows of the output, and whether `plan` names them.
fn wrong_values(sequence: &Sequence, shop: &Shop, plan: &Plan) -> Vec<Wrong> {
    let found: BTreeMap<String, Option<String>> = shop.output(FIRST, LAST).into_iter().collect();
    let wanted = shop.wanted(FIRST, LAST);
    assert_eq!(
        found.keys().collect::<Vec<_>>(),
        wanted.keys().collect::<Vec<_>>(),
        "every left row is in the output"
    );
    let off_its_day = |id: &str, ds: i32| {
        let name = id.split('/').next().unwrap();
        let rows = &sequence.rows[&ds];
        rows.iter().any(|row| row.0 == name && row.2 != ds)
    };
    let wrong = wanted
        .into_iter()
        .filter(|(id, (_, value))| found[id] != *value);
    let wrong = wrong.map(|(id, (ds, _))| Wrong {
        off_its_day: off_its_day(&id, ds),
        found: found[&id].clone(),
        said: says(plan, ds),
        id,
        ds,
    });
    wrong.collect()
}

/// Whether the notes of a plan name what may be wrong on `ds`.
fn says(plan: &Plan, ds: i32) -> bool {
    let notes = plan.assets.iter().flat_map(|asset| &asset.notes);
    notes.into_iter().any(|note| match note {
        Note::Alone { days, hopeless } => days.contains(day(ds)) || hopeless.contains(day(ds)),
        Note::TimesUnknown { days, .. } => days.contains(day(ds)),
        Note::TimesNotJoined { .. } => true,
        _ => false,
    })
}

/// Whether the Driver cannot compute a day, alone or beside others: all of its rows are early or all are
/// late, and no day near it helps.
fn is_hopeless(sequence: &Sequence, ds: i32) -> bool {
    let mut times = LeftTimes::default();
    for (number, rows) in &sequence.rows {
        let of_rows = rows.iter().map(|row| day(row.2));
        let range = of_rows.clone().min().zip(of_rows.max());
        let range = range.and_then(|(first, last)| PartitionRange::new(first, last));
        times.days.extend(range.map(|range| (day(*number), range)));
    }
    times.is_one_sided(day(ds)) && times.beside(day(ds)).is_none()
}

/// Sequences of each kind: 200, or as many as `CHRONON_RUN_SEQUENCES` says.
fn sequences() -> u32 {
    let asked = std::env::var("CHRONON_RUN_SEQUENCES").ok();
    asked.map_or(200, |text| text.parse().unwrap())
}

/// The same sequences each time, unless `CHRONON_RUN_SEED` names others or their number is asked for.
fn config() -> ProptestConfig {
    let seed = std::env::var("CHRONON_RUN_SEED").ok();
    let rng_seed = match (seed, std::env::var_os("CHRONON_RUN_SEQUENCES")) {
        (Some(seed), _) => RngSeed::Fixed(seed.parse().unwrap()),
        (None, Some(_)) => RngSeed::Random,
        (None, None) => RngSeed::Fixed(3),
    };
    ProptestConfig {
        cases: sequences(),
        rng_seed,
        ..ProptestConfig::default()
    }
}

/// Left rows of one day each, at these offsets from its days.
fn one_row_a_day(offsets: &[(i32, i32)]) -> BTreeMap<i32, Vec<(String, String, i32)>> {
    let mut days: BTreeMap<_, _> = (FIRST..=LAST).map(|ds| (ds, Vec::new())).collect();
    for (ds, offset) in offsets {
        days.insert(*ds, vec![row(&format!("{ds}.0"), "ant", ds + offset)]);
    }
    days
}

/// A run with `--recompute` that is killed right after the left side's partition was dropped leaves the
/// output's day: the left side is missed as soon as the day is filled again.
#[test]
fn a_dropped_partition_of_an_earlier_step_is_filled_before_its_day_is_joined_again() {
    let every_day: Vec<(i32, i32)> = (FIRST..=LAST).map(|ds| (ds, 0)).collect();
    let run = |end: i32| Run {
        end,
        ..a_run(Engine::Driver, JoinFlow::Modular, 0)
    };
    let killed = Run {
        recompute: true,
        kill: Some(Kill {
            step: 0,
            commits: 0,
        }),
        ..run(20)
    };
    for kind in [&KINDS[0], &KINDS[1]] {
        let sequence = Sequence {
            kind,
            rows: one_row_a_day(&every_day),
            runs: vec![(vec![], run(23)), (vec![16], killed), (vec![], run(29))],
            large: false,
        };
        assert_eq!(wrong_rows(&sequence), [], "{kind:?}");
    }
}

/// All rows of the 21st are early, so its part has no partition for it; the late row of the 22nd makes one.
/// The 21st is still known to be made without the source's 22nd.
#[test]
fn a_part_partition_of_other_days_does_not_hide_how_a_day_was_made() {
    let run = |end: i32, step_days: u32| Run {
        end,
        ..a_run(Engine::Sql, JoinFlow::Modular, step_days)
    };
    let sequence = Sequence {
        kind: &KINDS[0],
        rows: one_row_a_day(&[(21, 2), (22, -2), (25, 0), (29, 0)]),
        runs: vec![(vec![], run(21, 0)), (vec![], run(29, 7))],
        large: false,
    };
    assert_eq!(wrong_rows(&sequence), []);
}

/// Hazard S4: the 21st has no left rows, so the Driver's part job begins anew behind it, and the late row of the
/// 22nd overwrites the part partition of the 20th with its own key only. The plan reports it.
#[test]
fn a_late_row_behind_a_left_day_without_rows_takes_values_away_and_the_plan_reports_it() {
    let mut rows = one_row_a_day(&[(20, 0), (22, -2), (23, 0), (29, 0)]);
    rows.get_mut(&20).unwrap().push(row("20.1", "bee", 20));
    let first = Run {
        end: 29,
        ..a_run(Engine::Driver, JoinFlow::Modular, 30)
    };
    let wrong = |flow: JoinFlow| {
        let sequence = Sequence {
            kind: &KINDS[0],
            rows: rows.clone(),
            runs: vec![(vec![], Run { flow, ..first })],
            large: false,
        };
        wrong_rows(&sequence)
    };
    let found = wrong(JoinFlow::Modular);
    assert!(found.iter().any(|wrong| !wrong.off_its_day), "{found:?}");
    assert!(found.iter().all(|wrong| wrong.said), "{found:?}");
    assert_eq!(wrong(JoinFlow::Whole), []);
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_sql_engine_is_right_in_every_sequence(
        sequence in sequence(&[Engine::Sql], &[JoinFlow::Whole, JoinFlow::Modular])
    ) {
        prop_assert_eq!(wrong_rows(&sequence), []);
    }

    /// But for days that no day near them helps, which `plan` names.
    #[test]
    fn whole_joins_of_the_driver_are_right_in_every_sequence(
        sequence in sequence(&[Engine::Driver], &[JoinFlow::Whole])
    ) {
        for wrong in wrong_rows(&sequence) {
            prop_assert!(is_hopeless(&sequence, wrong.ds), "{:?}", wrong);
            prop_assert!(wrong.said && wrong.found.is_none(), "{:?}", wrong);
        }
    }

    /// But for rows that are early or late, which join-final does not see: they are NULL, or keep a value
    /// after a source day was written again, and `plan` reports it.
    #[test]
    fn modular_joins_of_the_driver_are_right_for_rows_of_their_own_day(
        sequence in sequence(&[Engine::Driver], &[JoinFlow::Modular])
    ) {
        for wrong in wrong_rows(&sequence) {
            prop_assert!(wrong.off_its_day && wrong.said, "{:?}", wrong);
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
        for wrong in wrong_rows(&sequence) {
            prop_assert!(wrong.off_its_day, "{:?}", wrong);
        }
    }
}
