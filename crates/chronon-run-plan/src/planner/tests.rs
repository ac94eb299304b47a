//! The planner against a planner that looks at one day at a time.

use std::collections::{BTreeMap, BTreeSet};

use chronon_run_core::{
    CatalogSnapshot, Ds, PartitionRange, Partitions, RangeSet, TableName, TableSpec, TableState,
    event::StepIndex,
};
use proptest::prelude::*;

use super::*;
use crate::graph::{Asset, Input, Role};
use crate::testing::{self, day, table};
use crate::{AssetSettings, History, Reason, need::Bounds};

const LAST: i32 = 24;

/// One input of a random asset: a source or an earlier asset, and a need.
#[derive(Clone, Debug)]
struct RandomInput {
    of: usize,
    need: Need,
    from: Option<i32>,
}

#[derive(Clone, Debug)]
struct RandomAsset {
    inputs: Vec<RandomInput>,
    observed: BTreeSet<i32>,
}

#[derive(Clone, Debug)]
struct RandomWorld {
    sources: Vec<BTreeSet<i32>>,
    never: BTreeSet<i32>,
    /// The declared first day of the last source.
    first: Option<i32>,
    assets: Vec<RandomAsset>,
}

fn need() -> impl Strategy<Value = Need> {
    prop_oneof![
        (-6..1_i32, -1..1_i32).prop_map(|(lo, hi)| Need::Days { lo: lo.min(hi), hi }),
        (-1..1_i32).prop_map(|hi| Need::Since { hi }),
        (-1..1_i32).prop_map(|hi| Need::Newest { hi }),
        Just(Need::Table),
    ]
}

fn world() -> impl Strategy<Value = RandomWorld> {
    let days = |most| prop::collection::btree_set(0..=LAST, 0..most);
    let input = (0..8_usize, need(), prop::option::of(-2..6_i32))
        .prop_map(|(of, need, from)| RandomInput { of, need, from });
    let asset = (prop::collection::vec(input, 1..4), days(12))
        .prop_map(|(inputs, observed)| RandomAsset { inputs, observed });
    let dense = days(30).prop_map(|holes| {
        let holes: BTreeSet<i32> = holes.into_iter().filter(|day| day % 3 == 0).collect();
        (0..=LAST).filter(|day| !holes.contains(day)).collect()
    });
    (
        prop::collection::vec((dense, 0..9_i32), 3),
        days(4),
        prop::option::of(-2..9_i32),
        prop::collection::vec(asset, 1..5),
    )
        .prop_map(|(sources, never, first, assets)| RandomWorld {
            sources: sources.into_iter().map(starting).collect(),
            never,
            first,
            assets,
        })
}

/// Days without those before the first one.
fn starting((days, first): (BTreeSet<i32>, i32)) -> BTreeSet<i32> {
    days.into_iter().filter(|day| *day >= first).collect()
}

impl RandomWorld {
    fn first_ds(&self) -> BTreeMap<TableName, Ds> {
        let last = table(&format!("s{}", self.sources.len() - 1));
        self.first
            .map(|first| (last, day(first)))
            .into_iter()
            .collect()
    }

    /// The declared first day of an input.
    fn declared(&self, input: &RandomInput, reader: usize) -> Option<i32> {
        let source = self.producer(input, reader).is_none();
        let last = self.source(input) == self.sources.len() - 1;
        self.first.filter(|_| source && last)
    }

    /// Whether the newest day of an input is one that it will never have, because it begins later.
    fn begins_later(
        &self,
        input: &RandomInput,
        reader: usize,
        d: i32,
        before: &[BTreeSet<i32>],
        states: &[BTreeMap<i32, State>],
    ) -> bool {
        let (Need::Days { hi, .. } | Need::Since { hi }) = input.need else {
            return false;
        };
        let newest = d + hi;
        let declared = self.declared(input, reader);
        if input.from.max(declared).is_some_and(|from| newest < from) {
            return false;
        }
        match self.producer(input, reader) {
            Some(asset) => {
                let state = states[asset].get(&newest);
                let exists = matches!(state, Some(State::Done | State::Run));
                !exists && (newest < 0 || before[asset].contains(&newest))
            }
            None => {
                let never = self.source(input) == 0 && self.never.contains(&newest);
                let first = self.sources[self.source(input)].first();
                declared.is_none() && !never && first.is_some_and(|first| newest < *first)
            }
        }
    }

    /// An input's table: a source, or the asset of that number if it is earlier than `reader`.
    fn producer(&self, input: &RandomInput, reader: usize) -> Option<usize> {
        let asset = input.of.checked_sub(self.sources.len())?;
        (asset < reader).then_some(asset)
    }

    fn source(&self, input: &RandomInput) -> usize {
        input.of % self.sources.len()
    }

    fn table_of(&self, input: &RandomInput, reader: usize) -> TableName {
        match self.producer(input, reader) {
            Some(asset) => table(&format!("a{asset}")),
            None => table(&format!("s{}", self.source(input))),
        }
    }

    fn graph(&self) -> Graph {
        let assets: Vec<Asset> = self
            .assets
            .iter()
            .enumerate()
            .map(|(number, asset)| self.asset(number, asset))
            .collect();
        let by_id = assets
            .iter()
            .enumerate()
            .map(|(at, asset)| (asset.id.clone(), at))
            .collect();
        let readers = vec![BTreeSet::new(); assets.len()];
        Graph {
            formats: BTreeMap::new(),
            assets,
            by_id,
            readers,
        }
    }

    fn asset(&self, number: usize, asset: &RandomAsset) -> Asset {
        let inputs = asset.inputs.iter().map(|input| Input {
            spec: TableSpec {
                table: self.table_of(input, number),
                sub_partitions: Vec::new(),
            },
            day_column: "ds".to_owned(),
            role: Role::Dependency,
            need: input.need,
            from: input.from.map(day),
            until: None,
            gates: false,
            follows_times: false,
            producer: self.producer(input, number),
        });
        testing::asset(number, inputs.collect())
    }

    fn snapshot(&self) -> CatalogSnapshot {
        let state = |days: &BTreeSet<i32>| {
            let days = days.iter().map(|&n| day(n)).collect();
            let partitions = BTreeMap::from([("ds".to_owned(), Partitions::of_days(days))]);
            Some(TableState {
                partitions,
                ..TableState::default()
            })
        };
        let sources = self
            .sources
            .iter()
            .enumerate()
            .map(|(n, days)| (format!("s{n}"), days));
        let assets = self
            .assets
            .iter()
            .enumerate()
            .map(|(n, asset)| (format!("a{n}"), &asset.observed));
        // An asset without partitions has no table yet.
        let assets =
            assets.map(|(name, days)| (name, if days.is_empty() { None } else { state(days) }));
        let tables = sources
            .map(|(name, days)| (name, state(days)))
            .chain(assets);
        CatalogSnapshot {
            tables: tables.map(|(name, state)| (table(&name), state)).collect(),
        }
    }

    /// Day by day: for every asset and day whether it is filled once the plan has run, and if it
    /// was not before, whether the plan runs it.
    fn oracle(&self) -> Vec<BTreeMap<i32, State>> {
        let mut states: Vec<BTreeMap<i32, State>> = Vec::new();
        let mut before: Vec<BTreeSet<i32>> = Vec::new();
        for (number, asset) in self.assets.iter().enumerate() {
            let is_before = |d: &i32| {
                let mut inputs = asset.inputs.iter();
                inputs.any(|input| self.begins_later(input, number, *d, &before, &states))
            };
            let early: BTreeSet<i32> = (0..=LAST).filter(is_before).collect();
            let of_day = |d: i32| {
                if asset.observed.contains(&d) {
                    return State::Done;
                }
                if early.contains(&d) {
                    return State::Excluded;
                }
                let lacking = asset
                    .inputs
                    .iter()
                    .filter(|input| !self.satisfied(input, number, d, &states));
                lacking.fold(State::Run, |state, input| {
                    match self.producer(input, number) {
                        None => State::Waiting,
                        Some(_) if state == State::Waiting => State::Waiting,
                        Some(_) => State::Blocked,
                    }
                })
            };
            states.push((0..=LAST).map(|d| (d, of_day(d))).collect());
            before.push(early);
        }
        states
    }

    fn satisfied(
        &self,
        input: &RandomInput,
        reader: usize,
        d: i32,
        states: &[BTreeMap<i32, State>],
    ) -> bool {
        let (have, never, exists, first): (BTreeSet<i32>, _, _, _) =
            match self.producer(input, reader) {
                Some(asset) => {
                    let filled = states[asset]
                        .iter()
                        .filter(|(_, state)| matches!(state, State::Done | State::Run));
                    let planned = states[asset].values().any(|state| *state == State::Run);
                    let exists = planned || !self.assets[asset].observed.is_empty();
                    (
                        filled.map(|(d, _)| *d).collect(),
                        BTreeSet::new(),
                        exists,
                        Some(0),
                    )
                }
                None => {
                    let days = self.sources[self.source(input)].clone();
                    let first = self.declared(input, reader).or(days.first().copied());
                    let never = if self.source(input) == 0 {
                        self.never.clone()
                    } else {
                        BTreeSet::new()
                    };
                    (days, never, true, first)
                }
            };
        let there = |n: &i32| have.contains(n) || never.contains(n);
        let from = input.from.max(self.declared(input, reader));
        match input.need {
            Need::Table => exists,
            Need::Newest { hi } => have
                .union(&never)
                .max()
                .is_some_and(|newest| *newest >= d + hi),
            Need::Days { .. } | Need::Since { .. } if !exists => false,
            Need::Days { .. } | Need::Since { .. } => {
                let lower = from.max(first);
                let (lo, hi) = match input.need {
                    Need::Days { lo, hi } => (d + lo, d + hi),
                    Need::Since { hi } => (lower.unwrap_or(d + hi).min(d + hi), d + hi),
                    _ => unreachable!("handled above"),
                };
                let history = (lo..=hi).filter(|n| lower.is_none_or(|lower| *n >= lower));
                let newest = Some(hi).filter(|n| from.is_none_or(|from| *n >= from));
                history.chain(newest).all(|n| there(&n))
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn agrees_with_the_day_by_day_planner(world in world(), step_days in 0..9_u32) {
        let graph = world.graph();
        let snapshot = world.snapshot();
        let history = History::default();
        let never = BTreeMap::from([(table("s0"), world.never.iter().map(|&n| day(n)).collect::<RangeSet>())]);
        let refused = BTreeMap::new();
        let first_ds = world.first_ds();
        let settings = |_| AssetSettings { step_days, lag: 0 };
        let plan = plan(
            PlanInput { graph: &graph, snapshot: &snapshot, history: &history, never: &never, first_ds: &first_ds, refused: &refused, driver: None },
            &Request { selected: (0..graph.assets.len()).collect(), start_ds: None, end_ds: None, as_of: day(LAST), recompute: false, stale: false, only: &BTreeMap::new(), settings: &settings },
        );

        for (planned, expected) in plan.assets.iter().zip(world.oracle()) {
            let found: BTreeMap<i32, State> = planned.cells.iter()
                .flat_map(|cells| cells.range.iter().map(|ds| (ds.epoch_days(), cells.state)))
                .collect();
            prop_assert_eq!(found, expected, "{}", planned.asset);
            let days: u32 = planned.cells.iter().map(|cells| cells.range.days()).sum();
            prop_assert_eq!(days, LAST as u32 + 1, "every day once");
        }
        check_steps(&graph, &snapshot, &plan)?;
    }
}

/// Steps are the run cells, and each comes after every step that fills something it needs or the newest
/// partition where that is read, and a table that does not exist is made before it is read.
fn check_steps(
    graph: &Graph,
    snapshot: &CatalogSnapshot,
    plan: &Plan,
) -> Result<(), TestCaseError> {
    for planned in &plan.assets {
        let of_asset = plan.steps.iter().filter(|step| step.asset == planned.asset);
        let steps: RangeSet = of_asset.map(|step| step.range).collect();
        prop_assert_eq!(steps, planned.days_in(State::Run));
    }
    for step in &plan.steps {
        prop_assert!(step.after.iter().all(|earlier| *earlier < step.index));
        let asset = &graph.assets[graph.find(&step.asset).unwrap()];
        for input in &asset.inputs {
            let Some(producer) = input.producer else {
                continue;
            };
            let makes = |earlier: &StepIndex| {
                plan.steps[*earlier as usize].asset == graph.assets[producer].id
            };
            let exists = snapshot.table(&input.spec.table).is_some();
            prop_assert!(exists || step.after.iter().any(makes));
            let of_producer = || {
                let steps = plan.steps.iter();
                steps.filter(|other| other.asset == graph.assets[producer].id)
            };
            if let Need::Newest { hi } = input.need {
                // Whichever partition is the newest is read.
                let mut later =
                    of_producer().filter(|other| other.range.end >= step.range.end.plus(hi));
                prop_assert!(later.all(|other| step.after.contains(&other.index)));
            }
            let Need::Days { lo, hi } = input.need else {
                continue;
            };
            for other in of_producer() {
                let needed = step
                    .range
                    .widen(lo, hi)
                    .and_then(|needed| match input.from {
                        Some(from) => PartitionRange::new(needed.start.max(from), needed.end),
                        None => Some(needed),
                    });
                if needed.is_some_and(|needed| needed.intersect(other.range).is_some()) {
                    prop_assert!(step.after.contains(&other.index));
                }
            }
        }
    }
    Ok(())
}

/// §4.2: the bootstrap table must exist; before its first day there is nothing to wait for.
#[test]
fn a_bootstrap_is_waited_for_from_its_first_day_on() {
    let input = Input {
        spec: "db.boot".parse().unwrap(),
        day_column: "ds".to_owned(),
        role: Role::Bootstrap,
        need: Need::SAME_DAY,
        from: Some(day(3)),
        until: None,
        gates: false,
        follows_times: false,
        producer: None,
    };
    let of = |days: &[i32], table| {
        let days: RangeSet = days.iter().map(|&n| day(n)).collect();
        Available {
            bounds: Bounds {
                from: Some(day(3)).max(days.first()),
                until: None,
            },
            declared: Bounds {
                from: Some(day(3)),
                until: None,
            },
            days,
            table,
        }
    };
    let wanted: RangeSet = (0..10).map(day).collect();
    let waiting = |days: &[i32], table| starved(&input, &wanted, &of(days, table));
    let expected = |days: &[i32]| -> RangeSet { days.iter().map(|&n| day(n)).collect() };
    assert_eq!(waiting(&[5, 6, 8], true), expected(&[7, 9]));
    assert_eq!(
        missing(&input, &wanted, &of(&[5, 6, 8], true)),
        expected(&[7, 9])
    );
    assert_eq!(waiting(&[], false), wanted);
}

/// §4.1: the Driver leaves no partition for a day without rows, so what reads it has a hole there.
#[test]
fn a_day_without_rows_is_no_day_further_down() {
    let world = RandomWorld {
        sources: vec![(0..=LAST).collect()],
        never: BTreeSet::new(),
        first: None,
        assets: vec![
            RandomAsset {
                inputs: vec![RandomInput {
                    of: 0,
                    need: Need::SAME_DAY,
                    from: None,
                }],
                observed: (0..=LAST).collect(),
            },
            RandomAsset {
                inputs: vec![RandomInput {
                    of: 1,
                    need: Need::SAME_DAY,
                    from: None,
                }],
                observed: BTreeSet::new(),
            },
        ],
    };
    let mut graph = world.graph();
    graph.assets[1].inputs[0].gates = true;
    let empty: RangeSet = [day(3)].into_iter().collect();
    let history = History {
        empty: BTreeMap::from([(graph.assets[0].id.clone(), empty.clone())]),
        ..History::default()
    };
    let plan = plan(
        PlanInput {
            graph: &graph,
            snapshot: &world.snapshot(),
            history: &history,
            never: &BTreeMap::new(),
            first_ds: &BTreeMap::new(),
            refused: &BTreeMap::new(),
            driver: None,
        },
        &Request {
            selected: BTreeSet::from([0, 1]),
            start_ds: None,
            end_ds: None,
            as_of: day(LAST),
            recompute: false,
            stale: false,
            only: &BTreeMap::new(),
            settings: &|_| AssetSettings {
                step_days: 0,
                lag: 0,
            },
        },
    );
    let reader = &plan.assets[1];
    assert_eq!(reader.days_in(State::Excluded), empty);
    let reason = &reader.cell(day(3)).unwrap().reason;
    assert!(matches!(reason, Reason::NoRowsThere { .. }), "{reason:?}");
    let ranges: Vec<String> = plan
        .steps
        .iter()
        .map(|step| step.range.to_string())
        .collect();
    assert_eq!(ranges, ["1970-01-01..1970-01-03", "1970-01-05..1970-01-25"]);
}

/// The day is there, but nothing is made of it until it is filled again.
#[test]
fn a_day_that_failed_its_check_blocks_what_reads_it() {
    let input = |of| RandomInput {
        of,
        need: Need::SAME_DAY,
        from: None,
    };
    let world = RandomWorld {
        sources: vec![(0..=LAST).collect()],
        never: BTreeSet::new(),
        first: None,
        assets: vec![
            RandomAsset {
                inputs: vec![input(0)],
                observed: (0..=LAST).collect(),
            },
            RandomAsset {
                inputs: vec![input(1)],
                observed: BTreeSet::new(),
            },
        ],
    };
    let graph = world.graph();
    let text = "check `nulls` failed: 40 % NULL".to_owned();
    let failed = BTreeMap::from([(day(3), text.clone())]);
    let history = History {
        failed_checks: BTreeMap::from([(graph.assets[0].id.clone(), failed)]),
        ..History::default()
    };
    let planned = |recompute, selected: &[AssetIndex]| {
        plan(
            PlanInput {
                graph: &graph,
                snapshot: &world.snapshot(),
                history: &history,
                never: &BTreeMap::new(),
                first_ds: &BTreeMap::new(),
                refused: &BTreeMap::new(),
                driver: None,
            },
            &Request {
                selected: selected.iter().copied().collect(),
                start_ds: None,
                end_ds: None,
                as_of: day(LAST),
                recompute,
                stale: false,
                only: &BTreeMap::new(),
                settings: &|_| AssetSettings {
                    step_days: 0,
                    lag: 0,
                },
            },
        )
    };
    for selected in [&[0, 1][..], &[1]] {
        let found = planned(false, selected);
        let reader = found.assets.last().unwrap();
        assert_eq!(
            reader.days_in(State::Blocked),
            [day(3)].into_iter().collect()
        );
        let blocked = reader
            .cells
            .iter()
            .find(|cell| cell.state == State::Blocked);
        let Reason::UpstreamNotFilled { inputs } = &blocked.unwrap().reason else {
            panic!("{blocked:?}");
        };
        assert_eq!(inputs[0].check.as_ref(), Some(&text));
    }
    let again = planned(true, &[0, 1]);
    assert!(again.assets[1].days_in(State::Blocked).is_empty());
}
