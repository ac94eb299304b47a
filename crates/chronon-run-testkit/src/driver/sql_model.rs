//! What a script of the `sql` engine writes for a step of a join: the same tables as the Driver, by the
//! engine's own rules. Only joins whose left rows are known.

use chronon_run_conf::Join;
use chronon_run_core::{AssetKind, CatalogSnapshot, PartitionRange, RangeSet, TableName};

use super::{
    Outcome, ended,
    facts::Facts,
    join::{output_of, own_left, part_table},
    label::label_by_sql,
    parts::Left,
    values,
    world::{World, Write},
};

/// How far from a part's step the keys of other days are taken.
const NEAR_DAYS: i32 = 30;

/// Runs a step of a join over `range`.
#[must_use]
pub fn run_sql(
    join: &Join,
    mode: &AssetKind,
    range: PartitionRange,
    catalog: &CatalogSnapshot,
    facts: &Facts,
) -> Outcome {
    let mut world = World::new(catalog, facts);
    let done = Model::of(&world, join, range).and_then(|model| model.run(&mut world, mode));
    let commits = world.into_commits();
    match done {
        Some(()) => ended(commits, 0, "done"),
        None => ended(commits, 1, "the model does not know the step or the rows"),
    }
}

struct Model<'a> {
    join: &'a Join,
    output: TableName,
    bootstrap: TableName,
    left: Left,
    range: PartitionRange,
}

impl<'a> Model<'a> {
    fn of(world: &World<'_>, join: &'a Join, range: PartitionRange) -> Option<Self> {
        let output = output_of(join).ok()?;
        Some(Self {
            join,
            bootstrap: output.suffixed("_bootstrap"),
            output,
            left: own_left(world, join).ok()?,
            range,
        })
    }

    fn run(&self, world: &mut World<'_>, mode: &AssetKind) -> Option<()> {
        let own = self.left.rows.intersect(&self.range.into());
        match mode {
            AssetKind::Backfill => {
                self.store_left(world, &own);
                for part in self.join.offline_parts() {
                    self.part(world, &part.full_prefix, &own)?;
                }
                self.join_parts(world, &own)
            }
            AssetKind::Left => {
                self.store_left(world, &own);
                Some(())
            }
            AssetKind::Part(name) => {
                let stored = world.outputs(&self.bootstrap);
                let near = RangeSet::from(self.range).widen(-NEAR_DAYS, NEAR_DAYS);
                let lacking = stored.minus(&world.outputs(&self.output));
                let own = stored.intersect(&self.range.into());
                self.part(world, name, &lacking.intersect(&near).union(&own))
            }
            AssetKind::Final => {
                let own = world.outputs(&self.bootstrap).intersect(&self.range.into());
                self.join_parts(world, &own)
            }
            AssetKind::LabelJoin => label_by_sql(world, self.join, self.range.end),
            _ => None,
        }
    }

    fn store_left(&self, world: &mut World<'_>, days: &RangeSet) {
        world.commit(vec![Write::days(self.bootstrap.clone(), days.clone())]);
    }

    /// Overwrites the partitions that the step's rows need, with the keys of the rows of `keyed`.
    fn part(&self, world: &mut World<'_>, name: &str, keyed: &RangeSet) -> Option<()> {
        let mut parts = self.join.offline_parts();
        let part = parts.find(|part| part.full_prefix == name)?;
        let table = part_table(self.join, &part.table_suffix).ok()?;
        let own = keyed.intersect(&self.range.into());
        let rows = world.left_rows(&self.left.table, &own)?;
        let keys = values::keys(&world.left_rows(&self.left.table, keyed)?);
        let written = match values::is_shifted(self.left.model, &part) {
            true => {
                let span = RangeSet::from(world.ts_span(&self.left.table, &own));
                values::day_ends(world, &part, &span.widen(-1, -1), &keys)
            }
            false => {
                let landed = values::landed(world, &part);
                values::own_values(self.left.model, &landed, &rows, &own)
            }
        };
        world.commit(values::write(world, &table, written));
        Some(())
    }

    fn join_parts(&self, world: &mut World<'_>, days: &RangeSet) -> Option<()> {
        let rows = world.left_rows(&self.left.table, days)?;
        let span = RangeSet::from(world.ts_span(&self.left.table, days)).widen(-1, -1);
        let mut parts = Vec::new();
        for part in self.join.offline_parts() {
            let table = part_table(self.join, &part.table_suffix).ok()?;
            let read = match values::is_shifted(self.left.model, &part) {
                true => span.clone(),
                false => days.clone(),
            };
            parts.push((part, table, read));
        }
        let values = values::joined(world, self.left.model, &parts, &rows);
        world.commit(values::write(world, &self.output, values));
        Some(())
    }
}
