//! What the steps of a plan read.

use std::collections::BTreeMap;

use chronon_run_core::{DayEvidence, Ds, RangeSet, Slice, TableName};

use crate::{
    estimates::Reads,
    freshness::{days_of, inputs_of_step, slice_of},
    graph::{Asset, Input},
    plan::{Plan, Step},
    world::PlanInput,
};

/// What each step of a plan reads, in their order, as far as the sizes of input partitions were seen: when
/// filled days were compared with what they were made of, or `more` for the plan itself, see [`unsized_reads`].
#[must_use]
pub fn reads(
    world: PlanInput<'_>,
    plan: &Plan,
    more: &BTreeMap<Slice, DayEvidence>,
) -> Vec<Option<Reads>> {
    let freshness = world.history.freshness.as_ref();
    let seen = freshness.into_iter().flat_map(|freshness| &freshness.now);
    let seen = seen.chain(more);
    let sizes = Sizes {
        known: seen
            .filter_map(|(slice, days)| Some((slice, Known::of(days)?)))
            .collect(),
        filled: filled(plan),
    };
    let one = |step: &Step| {
        let asset = &world.graph.assets[world.graph.find(&step.asset)?];
        sizes.of(world, asset, &step.range.into())
    };
    plan.steps.iter().map(one).collect()
}

/// The input days that the steps of a plan read and that are there, of inputs of which no size was seen.
#[must_use]
pub fn unsized_reads(world: PlanInput<'_>, plan: &Plan) -> BTreeMap<Slice, RangeSet> {
    let freshness = world.history.freshness.as_ref();
    let is_known = |slice: &Slice| {
        let seen = freshness.and_then(|freshness| freshness.now.get(slice));
        seen.and_then(Known::of).is_some()
    };
    let there = |input: &Input| days_of(input, world.snapshot);
    let mut asked: BTreeMap<Slice, RangeSet> = BTreeMap::new();
    for step in &plan.steps {
        let Some(index) = world.graph.find(&step.asset) else {
            continue;
        };
        let asset = &world.graph.assets[index];
        for (slice, days) in inputs_of_step(world, asset, &step.range.into(), &there) {
            let all = asked.entry(slice).or_default();
            *all = all.union(&days);
        }
    }
    asked.retain(|slice, days| !days.is_empty() && !is_known(slice));
    asked
}

/// The days that a plan fills, by table.
fn filled(plan: &Plan) -> BTreeMap<&TableName, RangeSet> {
    let mut filled: BTreeMap<&TableName, RangeSet> = BTreeMap::new();
    let tables: BTreeMap<_, _> = plan.assets.iter().map(|a| (&a.asset, &a.table)).collect();
    for step in &plan.steps {
        if let Some(&table) = tables.get(&step.asset) {
            let days = filled.entry(table).or_default();
            *days = days.union(&step.range.into());
        }
    }
    filled
}

/// The sizes of partitions.
struct Sizes<'p> {
    known: BTreeMap<&'p Slice, Known>,
    filled: BTreeMap<&'p TableName, RangeSet>,
}

/// The days of known size of one slice.
struct Known {
    days: BTreeMap<Ds, u64>,
    mean: u64,
}

impl Known {
    fn of(seen: &DayEvidence) -> Option<Self> {
        let sized = seen
            .iter()
            .filter_map(|(ds, seen)| Some((*ds, seen.bytes?)));
        let days: BTreeMap<Ds, u64> = sized.collect();
        let sum: u128 = days.values().map(|bytes| u128::from(*bytes)).sum();
        let mean = sum.checked_div(days.len() as u128)?;
        Some(Self {
            mean: u64::try_from(mean).ok()?,
            days,
        })
    }
}

impl Sizes<'_> {
    fn of(&self, world: PlanInput<'_>, asset: &Asset, days: &RangeSet) -> Option<Reads> {
        // What the plan itself fills is read, too.
        let there = |input: &Input| {
            let slice = slice_of(input);
            let filled = self.filled.get(&slice.table).cloned().unwrap_or_default();
            filled.union(&days_of(input, world.snapshot))
        };
        let mut reads = Reads::default();
        for (slice, days) in inputs_of_step(world, asset, days, &there) {
            self.add(&mut reads, &slice, &days);
        }
        (reads.input_days > 0).then_some(reads)
    }

    fn add(&self, reads: &mut Reads, slice: &Slice, days: &RangeSet) {
        if days.is_empty() {
            return;
        }
        let Some(known) = self.known.get(slice) else {
            reads.unknown.insert(slice.table.clone());
            return;
        };
        reads.input_days += days.days();
        let ranges = days.ranges().iter();
        let sized = ranges.flat_map(|range| known.days.range(range.start..=range.end));
        let (mut count, mut bytes) = (0, 0_u64);
        for (_, size) in sized {
            count += 1;
            bytes = bytes.saturating_add(*size);
        }
        let guessed = known.mean.saturating_mul(days.days() - count);
        reads.known_days += count;
        reads.bytes = reads.bytes.saturating_add(bytes).saturating_add(guessed);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use chronon_run_core::{
        CatalogSnapshot, Evidence, PartitionRange, Partitions, TableState, event::StepIndex,
    };

    use super::*;
    use crate::{
        Freshness, Graph, History, Need, Role,
        testing::{self, asset, day, table},
    };

    fn input(name: &str, lo: i32) -> Input {
        let spec = format!("db.{name}").parse().unwrap();
        testing::input(spec, Role::Dependency, Need::Days { lo, hi: 0 })
    }

    fn days(first: i32, last: i32) -> PartitionRange {
        PartitionRange::new(day(first), day(last)).unwrap()
    }

    fn step(index: StepIndex, asset: &Asset, range: PartitionRange) -> Step {
        Step {
            index,
            asset: asset.id.clone(),
            range,
            latest_date: range.end,
            after: Vec::new(),
            once_over: Vec::new(),
            again: RangeSet::new(),
            family: String::new(),
            run_first_hole: false,
            command: None,
        }
    }

    fn plan(graph: &Graph, steps: Vec<Step>) -> Plan {
        let of = |asset: &Asset| crate::AssetPlan {
            asset: asset.id.clone(),
            table: asset.table.clone(),
            cells: Vec::new(),
            excluded: None,
            notes: Vec::new(),
        };
        Plan {
            assets: graph.assets.iter().map(of).collect(),
            steps,
            ..Plan::empty(day(9))
        }
    }

    /// `db.s` has days 0 to 5, of which 0 to 4 have sizes; nothing is known of `db.u`.
    #[test]
    fn a_step_reads_the_days_of_its_windows_and_what_the_plan_fills() {
        let mut graph = Graph {
            assets: vec![
                asset(0, vec![input("s", -2), input("u", 0)]),
                asset(1, vec![input("a0", 0)]),
            ],
            ..Graph::default()
        };
        let ids = graph.assets.iter().enumerate();
        graph.by_id = ids
            .map(|(index, asset)| (asset.id.clone(), index))
            .collect();
        let mut snapshot = CatalogSnapshot::default();
        for (name, last) in [("s", 5), ("u", 5), ("a0", 2)] {
            let mut state = TableState::default();
            let partitions = Partitions::of_days(days(0, last).into());
            state.partitions.insert("ds".to_owned(), partitions);
            snapshot.tables.insert(table(name), Some(state));
        }
        let sized = |last: i32, bytes: u64| -> DayEvidence {
            let seen = Evidence {
                bytes: Some(bytes),
                ..Evidence::default()
            };
            days(0, last).iter().map(|ds| (ds, seen)).collect()
        };
        let now = BTreeMap::from([
            (slice_of(&input("s", 0)), sized(4, 100)),
            (slice_of(&input("a0", 0)), sized(2, 7)),
        ]);
        let history = History {
            freshness: Some(Freshness {
                now,
                ..Freshness::default()
            }),
            ..History::default()
        };
        let steps = vec![
            step(0, &graph.assets[0], days(4, 5)),
            step(1, &graph.assets[1], days(2, 5)),
        ];
        let plan = plan(&graph, steps);
        let none = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let world = |history| PlanInput {
            graph: &graph,
            snapshot: &snapshot,
            history,
            never: &none.0,
            first_ds: &none.1,
            refused: &none.2,
            driver: None,
        };
        let more = BTreeMap::new();
        let found = reads(world(&history), &plan, &more);
        let wanted = Reads {
            bytes: 400,
            input_days: 4,
            known_days: 3,
            unknown: BTreeSet::from([table("u")]),
        };
        assert_eq!(found[0], Some(wanted));
        // Day 2 is there; 4 and 5 are filled by the first step, 3 is not.
        let read = found[1].as_ref().unwrap();
        assert_eq!((read.bytes, read.input_days, read.known_days), (21, 3, 1));
        let nothing = History::default();
        assert_eq!(reads(world(&nothing), &plan, &more), [None, None]);

        // Sizes that are asked for because no filled day was compared count the same.
        let unknown = unsized_reads(world(&nothing), &plan);
        let asked = |name: &str| unknown[&slice_of(&input(name, 0))].clone();
        assert_eq!(asked("s"), RangeSet::from(days(2, 5)));
        assert_eq!(asked("a0"), RangeSet::from(days(2, 2)));
        let unknown = unsized_reads(world(&history), &plan);
        let left: Vec<&Slice> = unknown.keys().collect();
        assert_eq!(left, [&slice_of(&input("u", 0))]);
        let more = history.freshness.as_ref().unwrap().now.clone();
        assert_eq!(reads(world(&nothing), &plan, &more), found);
    }
}
