//! Reads what the planner compares days by, and records it before a step starts: the content of
//! confs, what is seen of input partitions, what the ledger remembers.

use std::collections::{BTreeMap, BTreeSet};

use chronon_run_conf::edits::{content_digest, content_edits};
use chronon_run_core::{CatalogSnapshot, DayEvidence, RangeSet, Slice};
use chronon_run_exec::Job;
use chronon_run_ledger::{Ledger, Look, Provenance};
use chronon_run_plan::{
    Asset, AssetIndex, Depth, Freshness, PlanInput, evidence_wanted, inputs_digest, inputs_seen,
    memory_wanted,
};
use serde_json::Value;

use crate::{
    listing::{left_times, session::CatalogSession},
    loading::{day_formats::formats_of, project::Project},
    planning::filled::conf_of,
};

/// Everything that the planner needs to tell which days of `selected` are out of date.
pub fn read(
    context: &Project,
    world: PlanInput<'_>,
    selected: &BTreeSet<AssetIndex>,
    warehouse: &CatalogSession,
    ledger: &mut Ledger,
    depth: Depth,
) -> Freshness {
    let (assets, slices) = memory_wanted(world.graph, selected);
    let memory = ledger.memory(&assets, &slices);
    let wanted = evidence_wanted(world, selected, &memory, depth);
    let formats = formats_of(context, world.snapshot);
    let now = warehouse.evidence(&context.workspace, &wanted, None, &formats);
    let mut freshness = Freshness {
        memory,
        before: ledger.evidence(&now),
        now,
        ..Freshness::default()
    };
    let mut contents = Contents::default();
    for &index in selected {
        let asset = &context.graph.assets[index];
        contents.compare(context, asset, ledger, &mut freshness);
    }
    freshness
}

/// Confs of earlier days, each read once.
#[derive(Default)]
struct Contents {
    earlier: BTreeMap<i64, Option<Value>>,
}

impl Contents {
    /// Adds the digest of an asset's conf, and what was edited since its days were filled.
    fn compare(
        &mut self,
        context: &Project,
        asset: &Asset,
        ledger: &mut Ledger,
        freshness: &mut Freshness,
    ) {
        let Some(made) = freshness.memory.made.get(&asset.id) else {
            return;
        };
        let Some(conf) = conf_of(context, &asset.id) else {
            return;
        };
        let conf_type = asset.id.conf.conf_type;
        let digest = content_digest(&conf, conf_type, &asset.id.mode);
        let earlier: BTreeSet<i64> = made.iter().map(|(_, made)| made.conf).collect();
        let mut edits = BTreeMap::new();
        for before in earlier.into_iter().filter(|before| *before != digest) {
            let read = self.earlier.entry(before).or_insert_with(|| {
                let text = ledger.conf_content(before)?;
                serde_json::from_str(&text).ok()
            });
            let words = read
                .as_ref()
                .map(|then| content_edits(then, &conf, conf_type, &asset.id.mode));
            edits.insert(before, words.unwrap_or_default());
        }
        freshness.confs.insert(asset.id.clone(), digest);
        freshness.edits.insert(asset.id.clone(), edits);
    }
}

/// Records what the steps of one run start from.
pub struct Recording<'a> {
    /// The workspace.
    pub context: &'a Project,
    /// Its catalog.
    pub warehouse: &'a CatalogSession,
    /// Where it is written.
    pub provenance: &'a Provenance,
    /// The id of the run.
    pub run: String,
}

impl Recording<'_> {
    /// Looks at the inputs of an attempt that is about to start. What changes from now on is seen as
    /// changed, even if the attempt still reads it. The asset and the snapshot are those of
    /// [`resolved`](crate::listing::snapshot::resolved).
    ///
    /// The bytes of the inputs' days that the attempt reads; `None` if those of one input are not known.
    pub fn look(
        &self,
        job: &Job,
        attempt: u32,
        asset: &Asset,
        snapshot: &CatalogSnapshot,
    ) -> Option<u64> {
        let column = asset.day_column.as_ref()?;
        let conf = conf_of(self.context, &asset.id)?;
        let wanted = inputs_seen(asset, &RangeSet::from(job.range), snapshot);
        let workspace = &self.context.workspace;
        let formats = formats_of(self.context, snapshot);
        let mut seen = self
            .warehouse
            .evidence(workspace, &wanted, Some(snapshot), &formats);
        let bytes = bytes_of(&wanted, &seen);
        note_presence(&mut seen, &wanted);
        let days = snapshot.days(&asset.table, column, &asset.sub_partitions);
        let days = days.widen(-asset.shift, -asset.shift);
        self.provenance.look(&Look {
            run: &self.run,
            step: job.step,
            attempt,
            asset: &asset.id,
            range: job.range,
            conf: content_digest(&conf, asset.id.conf.conf_type, &asset.id.mode),
            content: &conf.to_string(),
            inputs: inputs_digest(asset),
            seen: &seen,
            there: &days,
        });
        bytes
    }
}

impl Recording<'_> {
    /// Looks at the rows' times of what a step has filled.
    pub fn times(&self, job: &Job, asset: &Asset, filled: &RangeSet) {
        let (context, warehouse) = (self.context, self.warehouse);
        left_times::record(context, warehouse, self.provenance, job, asset, filled);
    }
}

/// The bytes of all days of all inputs. `None` if those of a day are not known, or an input has no day: a table
/// without days may be of any size.
fn bytes_of(
    wanted: &BTreeMap<Slice, RangeSet>,
    seen: &BTreeMap<Slice, DayEvidence>,
) -> Option<u64> {
    if wanted.is_empty() || wanted.values().any(RangeSet::is_empty) {
        return None;
    }
    let days = wanted
        .iter()
        .flat_map(|(slice, days)| days.iter().map(move |ds| (slice, ds)));
    let mut sizes = days.map(|(slice, ds)| seen.get(slice)?.get(&ds)?.bytes);
    sizes.try_fold(0_u64, |all, size| Some(all.saturating_add(size?)))
}

/// A day that is there counts as seen, whatever could be learnt of it.
fn note_presence(seen: &mut BTreeMap<Slice, DayEvidence>, there: &BTreeMap<Slice, RangeSet>) {
    for (slice, days) in there {
        let known = seen.entry(slice.clone()).or_default();
        for ds in days.iter() {
            known.entry(ds).or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use chronon_run_core::{Ds, Evidence};

    use super::*;

    #[test]
    fn bytes_are_known_if_those_of_every_input_are() {
        let slice = |name: &str| Slice {
            table: name.parse().unwrap(),
            day_column: "ds".to_owned(),
            sub_partitions: Vec::new(),
        };
        let days = |numbers: &[i32]| -> RangeSet {
            let days = numbers.iter().copied();
            days.map(Ds::from_epoch_days).collect()
        };
        let sizes = |sizes: &[(i32, Option<u64>)]| -> DayEvidence {
            let one = |(day, bytes): &(i32, Option<u64>)| {
                let seen = Evidence {
                    bytes: *bytes,
                    ..Evidence::default()
                };
                (Ds::from_epoch_days(*day), seen)
            };
            sizes.iter().map(one).collect()
        };
        let seen = BTreeMap::from([
            (slice("lake.a"), sizes(&[(1, Some(5)), (2, Some(7))])),
            (slice("lake.b"), sizes(&[(1, None), (2, Some(1))])),
        ]);
        let of = |wanted: &[(&str, &[i32])]| {
            let wanted = wanted.iter();
            let wanted = wanted.map(|(name, numbers)| (slice(name), days(numbers)));
            bytes_of(&wanted.collect(), &seen)
        };
        assert_eq!(of(&[("lake.a", &[1, 2]), ("lake.b", &[2])]), Some(13));
        assert_eq!(of(&[("lake.a", &[1]), ("lake.b", &[1])]), None);
        assert_eq!(of(&[("lake.a", &[1, 3])]), None);
        assert_eq!(of(&[("lake.a", &[1]), ("lake.no_days", &[])]), None);
        assert_eq!(of(&[]), None);
    }
}
