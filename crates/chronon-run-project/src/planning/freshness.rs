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
    /// The bytes of the inputs; `None` if they are not known.
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
        let days = seen.values().flat_map(BTreeMap::values);
        let bytes = days.map(|one| one.bytes).sum::<Option<u64>>();
        let all = wanted.iter().all(|(slice, days)| {
            let known = seen.get(slice).map_or(0, BTreeMap::len);
            known as u64 == days.days()
        });
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
        bytes.filter(|_| all)
    }
}

impl Recording<'_> {
    /// Looks at the rows' times of what a step has filled.
    pub fn times(&self, job: &Job, asset: &Asset, filled: &RangeSet) {
        let (context, warehouse) = (self.context, self.warehouse);
        left_times::record(context, warehouse, self.provenance, job, asset, filled);
    }
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
