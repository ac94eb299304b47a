//! The comparison, asset by asset, producers first.

use std::collections::BTreeMap;

use chronon_run_core::{AssetId, Days, Ds, MadeDay, PartitionRange, RangeSet, SeenDay, TableName};

use super::{
    assessed::Assessed,
    needed::{days_of, followed, inputs_digest, is_content, needed_of, offsets, slice_of},
    parts,
    versions::Versions,
};
use crate::{
    graph::{Asset, AssetIndex, Input},
    need::Bounds,
    plan::{Cause, ChangedInput},
    world::{Freshness, History, PlanInput, Request},
};

/// What is out of date of every selected asset, and the history without the days that are known to
/// have no rows no more.
pub(crate) fn assess(world: PlanInput<'_>, request: &Request<'_>) -> (Vec<Assessed>, History) {
    let mut history = History {
        empty: world.history.empty.clone(),
        uploaded: world.history.uploaded.clone(),
        freshness: None,
        failed_checks: world.history.failed_checks.clone(),
        left_times: world.history.left_times.clone(),
    };
    let mut all = vec![Assessed::default(); world.graph.assets.len()];
    let Some(freshness) = &world.history.freshness else {
        return (all, history);
    };
    history.empty = empty_days(world, freshness);
    if world.driver.is_some() {
        for (id, times) in &mut history.left_times {
            // A job that was killed after it had written did not record what it filled beside.
            times.made_alone(&attempted_days(freshness, id));
        }
    }
    let assessor = Assessor { world, freshness };
    for &index in &request.selected {
        let asset = &world.graph.assets[index];
        if asset.day_column.is_none() {
            continue;
        }
        let mut found = assessor.own(asset);
        follow_reopened(world, asset, &all, &mut found);
        if request.stale {
            follow_refilled(world, asset, &all, &mut found);
        }
        parts::beside(world, &history, asset, request.stale, &mut found);
        let reopened = Assessed::days(&found.reopened);
        if let Some(empty) = history.empty.get_mut(&asset.id) {
            *empty = empty.minus(&reopened);
        }
        all[index] = found;
        parts::parts_with_output(world, &mut all, index);
        parts::lacking_steps(world, &mut all, index);
    }
    (all, history)
}

/// The days known to have no rows. One that an attempt was made at whose end was not seen, and that has a
/// partition, may have been filled by it: what reads it may have rows.
fn empty_days(world: PlanInput<'_>, freshness: &Freshness) -> BTreeMap<AssetId, RangeSet> {
    let mut empty = world.history.empty.clone();
    for (id, days) in &mut empty {
        if let Some(index) = world.graph.find(id) {
            let observed = world.observed_days(&world.graph.assets[index]);
            *days = days.minus(&attempted_days(freshness, id).intersect(&observed));
        }
    }
    empty
}

/// The days at which an attempt was made whose end was not seen.
fn attempted_days(freshness: &Freshness, asset: &AssetId) -> RangeSet {
    let made = freshness.memory.made.get(asset).into_iter();
    let made = made.flat_map(Days::iter);
    let attempted = made.filter(|(_, made)| made.unfinished || made.begun);
    attempted.map(|(ds, _)| ds).collect()
}

/// How days were made, in the order of the days.
struct MadeDays(Vec<(Ds, MadeDay)>);

impl MadeDays {
    fn get(&self, ds: Ds) -> Option<&MadeDay> {
        let at = self.0.binary_search_by_key(&ds, |(ds, _)| *ds).ok()?;
        Some(&self.0[at].1)
    }

    fn days(&self) -> RangeSet {
        self.0.iter().map(|(ds, _)| *ds).collect()
    }
}

struct Assessor<'a> {
    world: PlanInput<'a>,
    freshness: &'a Freshness,
}

impl Assessor<'_> {
    /// What is out of date of an asset by itself.
    fn own(&self, asset: &Asset) -> Assessed {
        let there = self.world.observed_days(asset);
        let observed = parts::filled_days(self.world, asset);
        let empty = self.world.history.empty.get(&asset.id).cloned();
        let empty = empty.unwrap_or_default().minus(&observed);
        let made = self.made(&asset.id);
        let compared = Compared {
            assessor: self,
            asset,
            inputs_now: inputs_digest(asset),
            conf_now: self.freshness.confs.get(&asset.id).copied(),
            versions: match made.0.is_empty() {
                true => BTreeMap::new(),
                false => self.versions(asset),
            },
            parts: self.parts(asset),
            other_flow: self.made_in_other_flow(asset, &made),
        };
        // A partition of a day that was left without is another program's, but for a part: rows of other
        // days make it.
        let left_without = self.world.history.empty.get(&asset.id);
        let left_without = left_without.filter(|_| !asset.is_shifted_part());
        let left_without = left_without.map(|days| {
            let attempted = attempted_days(self.freshness, &asset.id);
            days.intersect(&there).minus(&attempted)
        });
        let recorded = made.days().minus(&left_without.unwrap_or_default());
        let recorded = recorded.union(&compared.other_flow);
        Assessed {
            unknown: there.minus(&recorded),
            stale: compared.group(&observed.intersect(&recorded), &made, false),
            reopened: compared.group(&empty, &made, true),
            refilled: RangeSet::new(),
            lost: attempted_days(self.freshness, &asset.id).minus(&observed),
        }
    }

    /// The days of a join that were made in the other flow after they were `made` in this one.
    fn made_in_other_flow(&self, asset: &Asset, made: &MadeDays) -> RangeSet {
        let other = asset.in_other_flow().map(|id| self.made(&id));
        let other = other.into_iter().flat_map(|other| other.0);
        let is_later = |(ds, other): &(Ds, MadeDay)| {
            made.get(*ds)
                .is_none_or(|made| made.attempt < other.attempt)
        };
        other.filter(is_later).map(|(ds, _)| ds).collect()
    }

    /// How the days of an asset were made. They are kept as long as they are compared, not for all assets.
    fn made(&self, asset: &AssetId) -> MadeDays {
        let made = self.freshness.memory.made.get(asset).into_iter();
        MadeDays(made.flat_map(Days::iter).collect())
    }

    /// The changes of the inputs that days are made of, by their places.
    fn versions(&self, asset: &Asset) -> BTreeMap<usize, Versions> {
        let graph = self.world.graph;
        let inputs = asset.reads().enumerate();
        let compared = |input: &Input| is_content(input) && !parts::is_part(graph, input);
        let inputs = inputs.filter(|(_, input)| compared(input));
        inputs
            .map(|(place, input)| (place, self.versions_of(input)))
            .collect()
    }

    fn versions_of(&self, input: &Input) -> Versions {
        let (world, freshness, slice) = (self.world, self.freshness, slice_of(input));
        let there = days_of(input, world.snapshot);
        let seen = freshness.memory.seen.get(&slice.to_string());
        let emptied = emptied(world, freshness, input, &there, seen);
        let evidence = freshness.before.get(&slice);
        let evidence = evidence.zip(freshness.now.get(&slice));
        Versions::new(&there, seen, evidence, &emptied)
    }

    /// How the days of the inputs that are parts were made, by the place of the input.
    fn parts(&self, asset: &Asset) -> BTreeMap<usize, MadeDays> {
        let graph = self.world.graph;
        let inputs = asset.reads().enumerate();
        let parts = inputs.filter(|(_, input)| parts::is_part(graph, input));
        let made = |input: &Input| Some(self.made(&graph.assets[input.producer?].id));
        parts
            .filter_map(|(place, input)| Some((place, made(input)?)))
            .collect()
    }
}

/// The days of an input that were there when they were seen last, and that the asset that fills it has left
/// without rows since: by which attempt. A partition that is gone for another reason, e.g. because its
/// retention has ended, is no change.
fn emptied(
    world: PlanInput<'_>,
    freshness: &Freshness,
    input: &Input,
    there: &RangeSet,
    seen: Option<&Days<SeenDay>>,
) -> BTreeMap<Ds, i64> {
    let producer = input.producer.map(|index| &world.graph.assets[index].id);
    let empty = producer.and_then(|id| world.history.empty.get(id));
    let made = producer.and_then(|id| freshness.memory.made.get(id));
    let (Some(empty), Some(made), Some(seen)) = (empty, made, seen) else {
        return BTreeMap::new();
    };
    let gone = empty.minus(there);
    if gone.is_empty() {
        return BTreeMap::new();
    }
    let was_there = seen.iter().filter(|(_, seen)| seen.evident);
    let gone = gone.intersect(&was_there.map(|(ds, _)| ds).collect());
    let made = made.iter().filter(|(ds, _)| gone.contains(*ds));
    made.map(|(ds, made)| (ds, made.attempt)).collect()
}

/// One asset under comparison.
struct Compared<'a, 'w> {
    assessor: &'a Assessor<'w>,
    asset: &'a Asset,
    inputs_now: i64,
    conf_now: Option<i64>,
    versions: BTreeMap<usize, Versions>,
    parts: BTreeMap<usize, MadeDays>,
    other_flow: RangeSet,
}

/// Why one day is out of date, without the days of its inputs.
#[derive(Clone, PartialEq, Eq, Default)]
struct Verdict {
    nothing_recorded: bool,
    other_flow: bool,
    unfinished: bool,
    /// The digest of the earlier conf.
    edited: Option<i64>,
    /// Places of the inputs that changed.
    inputs: Vec<usize>,
    /// Places of the inputs that are parts and were filled again.
    parts: Vec<usize>,
}

impl Compared<'_, '_> {
    /// The days that are out of date, joined where they are so for the same causes.
    fn group(&self, days: &RangeSet, made: &MadeDays, empty: bool) -> Vec<(RangeSet, Vec<Cause>)> {
        let mut runs: Vec<(PartitionRange, Verdict, i64)> = Vec::new();
        for ds in days.iter() {
            // Of a day without rows only an attempt tells whose end was seen.
            let made = made.get(ds).filter(|made| !(empty && made.begun));
            let verdict = self.verdict(ds, made, empty);
            if verdict == Verdict::default() {
                continue;
            }
            let attempt = made.map_or(0, |made| made.attempt);
            match runs.last_mut() {
                Some((range, last, oldest)) if range.end.plus(1) == ds && *last == verdict => {
                    range.end = ds;
                    *oldest = attempt.min(*oldest);
                }
                _ => runs.push((PartitionRange::day(ds), verdict, attempt)),
            }
        }
        runs.into_iter()
            .map(|(range, verdict, oldest)| (range.into(), self.causes(range, &verdict, oldest)))
            .collect()
    }

    fn verdict(&self, ds: Ds, made: Option<&MadeDay>, empty: bool) -> Verdict {
        if !empty && self.other_flow.contains(ds) {
            return Verdict {
                other_flow: true,
                ..Verdict::default()
            };
        }
        let Some(made) = made else {
            return Verdict {
                nothing_recorded: empty,
                ..Verdict::default()
            };
        };
        // Other inputs than then are an edit too, of days that have no rows; a filled day was made by
        // another version of this program.
        let other_inputs = made.inputs != self.inputs_now;
        let conf = self.conf_now;
        let edited = conf.is_some_and(|conf| conf != made.conf) || (empty && other_inputs);
        let changed = |(&place, versions): (&usize, &Versions)| {
            let input = self.asset.read_at(place)?;
            let counts = !other_inputs && (!empty || self.decides(input));
            let needed = || self.needed(input, versions, PartitionRange::day(ds));
            let newer = |needed| versions.changed_in(needed, made.attempt);
            (counts && needed().is_some_and(newer)).then_some(place)
        };
        let later = |days: &MadeDays| {
            !empty && days.get(ds).is_some_and(|part| part.attempt > made.attempt)
        };
        let parts = self.parts.iter().filter(|(_, days)| later(days));
        Verdict {
            parts: parts.map(|(place, _)| *place).collect(),
            nothing_recorded: false,
            other_flow: false,
            unfinished: made.unfinished && !empty,
            edited: edited.then_some(made.conf),
            inputs: self.versions.iter().filter_map(changed).collect(),
        }
    }

    /// Whether an input can give rows to a day that has none. A join has the rows of its left side.
    fn decides(&self, input: &Input) -> bool {
        let has_gates = self.asset.inputs.iter().any(|input| input.gates);
        let is_join = self.asset.id.conf.conf_type == chronon_run_core::ConfType::Join;
        input.gates || !is_join || !has_gates
    }

    /// The days of an input that `range` is made of, as far as the times of its rows reach.
    fn needed(
        &self,
        input: &Input,
        versions: &Versions,
        range: PartitionRange,
    ) -> Option<PartitionRange> {
        let range = reached(self.assessor.world, self.asset, input, range)?;
        needed_of(input, range, Ds::from_epoch_days(versions.first()))
    }

    fn causes(&self, range: PartitionRange, verdict: &Verdict, oldest: i64) -> Vec<Cause> {
        let mut causes = Vec::new();
        if verdict.nothing_recorded {
            causes.push(Cause::NothingRecorded);
        }
        if verdict.other_flow {
            causes.push(Cause::OtherFlow);
        }
        if let Some(conf) = verdict.edited {
            let edits = self.assessor.freshness.edits.get(&self.asset.id);
            let edits = edits.and_then(|edits| edits.get(&conf)).cloned();
            causes.push(Cause::ConfEdited {
                edits: edits.unwrap_or_default(),
            });
        }
        if verdict.unfinished {
            causes.push(Cause::Unfinished);
        }
        causes.extend(parts::cause(self.asset, &verdict.parts));
        let mut inputs: BTreeMap<TableName, ChangedInput> = BTreeMap::new();
        for place in &verdict.inputs {
            let versions = &self.versions[place];
            let Some(input) = self.asset.read_at(*place) else {
                continue;
            };
            let Some(needed) = self.needed(input, versions, range) else {
                continue;
            };
            let (appeared, rewritten) = versions.changes(needed, oldest);
            let table = input.spec.table.clone();
            let entry = inputs.entry(table.clone());
            let entry = entry.or_insert_with(|| ChangedInput {
                table,
                appeared: RangeSet::new(),
                rewritten: RangeSet::new(),
            });
            entry.appeared = entry.appeared.union(&appeared);
            entry.rewritten = entry.rewritten.union(&rewritten);
        }
        if !inputs.is_empty() {
            causes.push(Cause::InputsChanged {
                inputs: inputs.into_values().collect(),
            });
        }
        causes
    }
}

/// Days without rows of which an input was without rows and is looked at again.
fn follow_reopened(world: PlanInput<'_>, asset: &Asset, all: &[Assessed], found: &mut Assessed) {
    let empty = world.history.empty.get(&asset.id).cloned();
    let already = Assessed::days(&found.reopened);
    let rest = empty
        .unwrap_or_default()
        .minus(&already)
        .minus(&parts::filled_days(world, asset));
    let of = |producer: AssetIndex| Assessed::days(&all[producer].reopened);
    found.reopened.extend(following(world, asset, &rest, &of));
}

/// Filled days of which an input is filled again; with those that are out of date themselves.
fn follow_refilled(world: PlanInput<'_>, asset: &Asset, all: &[Assessed], found: &mut Assessed) {
    let observed = parts::filled_days(world, asset);
    let archived = world
        .driver
        .and_then(|driver| driver.archived.get(&asset.id)?.tables.get(&asset.table));
    let own = Assessed::days(&found.stale).union(&archived.cloned().unwrap_or_default());
    let of = |producer: AssetIndex| {
        let found = &all[producer];
        found.refilled.union(&Assessed::days(&found.reopened))
    };
    let further = following(world, asset, &observed.minus(&own), &of);
    found.refilled = own.union(&Assessed::days(&further));
    found.stale.extend(further);
}

/// `range`, and as far as the times of its left rows reach, where the input follows them.
fn reached(
    world: PlanInput<'_>,
    asset: &Asset,
    input: &Input,
    range: PartitionRange,
) -> Option<PartitionRange> {
    if !input.follows_times {
        return Some(range);
    }
    let mut reached = range;
    for ds in range.iter() {
        let (lo, hi) = offsets(world, asset, ds);
        reached.start = reached.start.min(ds.plus(lo));
        reached.end = reached.end.max(ds.plus(hi));
    }
    Some(reached)
}

/// The days of `days` with early or late rows that need a day of `again`.
fn off_their_day(
    world: PlanInput<'_>,
    asset: &Asset,
    input: &Input,
    again: &RangeSet,
    days: &RangeSet,
) -> RangeSet {
    let known = world
        .history
        .times_of(asset)
        .filter(|_| input.follows_times);
    let Some((known, first)) = known.zip(again.first()) else {
        return RangeSet::new();
    };
    let off = known.days.keys().filter(|ds| days.contains(**ds));
    let off = off.filter(|ds| known.offsets(**ds) != (0, 0));
    let needs = |ds: &&Ds| {
        let range = reached(world, asset, input, PartitionRange::day(**ds));
        let needed = range.and_then(|range| needed_of(input, range, first));
        needed.is_some_and(|needed| !again.intersect(&needed.into()).is_empty())
    };
    off.filter(needs).copied().collect()
}

/// The days of `days` that need a day of an input that is filled again.
fn following(
    world: PlanInput<'_>,
    asset: &Asset,
    days: &RangeSet,
    again: &dyn Fn(AssetIndex) -> RangeSet,
) -> Vec<(RangeSet, Vec<Cause>)> {
    let Some(domain) = days.hull() else {
        return Vec::new();
    };
    let mut runs: Vec<(RangeSet, Vec<Cause>)> = Vec::new();
    let mut touched = RangeSet::new();
    let mut inputs: BTreeMap<TableName, RangeSet> = BTreeMap::new();
    for input in &asset.inputs {
        let Some(producer) = input.producer else {
            continue;
        };
        let shift = world.graph.assets[producer].shift;
        let again = again(producer).widen(shift, shift);
        let bounds = Bounds {
            from: input.from,
            until: input.until,
        };
        let outputs = followed(input.need).outputs_of(&again, bounds, domain);
        let outputs = outputs.union(&off_their_day(world, asset, input, &again, days));
        let outputs = outputs.intersect(days);
        if !outputs.is_empty() {
            touched = touched.union(&outputs);
            let known = inputs.entry(input.spec.table.clone()).or_default();
            *known = known.union(&again);
        }
    }
    if !touched.is_empty() {
        runs.push((touched, vec![Cause::InputsFilledAgain { inputs }]));
    }
    runs
}
