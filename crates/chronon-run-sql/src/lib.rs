//! The embedded engine: one conf, one step, one day range → one Spark SQL script.
//!
//! The tables that a script fills are those that the Chronon Driver fills: same names, columns,
//! types, partitions and values. What cannot be done is refused by [`check`], by field, before
//! anything runs.

#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

mod aggregate;
mod bootstrap;
mod columns;
mod consistency;
mod day;
mod derive;
mod group_by;
pub mod helpers;
mod incremental;
mod inputs;
mod instants;
mod join;
mod kind;
mod label;
mod order;
mod pipeline;
mod refuse;
mod rows;
mod script;
mod select;
mod source;
mod staging;
mod stats;
mod types;
mod upload;

#[cfg(test)]
mod tests;

#[cfg(test)]
mod additions_tests;
#[cfg(test)]
mod followers_tests;

use std::collections::BTreeMap;

use chronon_run_conf::{Derivation, MetaData};
use chronon_run_core::{
    AssetId, AssetKind, CatalogSnapshot, Ds, PartitionRange, TableChanges, TableName,
};

pub use chronon_run_conf::AnyConf as Conf;
pub use consistency::{findings, parse_findings};
pub use rows::{count_rows, count_upload, parse_counts};
pub use script::{drop_partitions, quoted, text as literal};

/// What a script is asked to fill.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The conf.
    pub conf: Conf<'a>,
    /// Which of its steps.
    pub step: &'a AssetKind,
    /// The output days, both inclusive.
    pub range: PartitionRange,
    /// End date of the run: the macro `latest_date`.
    pub latest_date: Ds,
    /// The partition column of every output (`ds`).
    pub partition_column: &'a str,
    /// Partitions and column types of the inputs and of the output tables.
    pub tables: &'a CatalogSnapshot,
}

/// Hive types of columns, by name.
type Types = BTreeMap<String, String>;

impl Request<'_> {
    /// What only the catalog shows that cannot be done.
    fn refuse(&self, field: impl Into<String>, why: impl ToString) -> Refusal {
        Refusal {
            conf: self.conf.meta().name.clone(),
            field: field.into(),
            why: why.to_string(),
        }
    }

    /// The output table of a conf.
    fn output_table(&self, meta: &MetaData) -> Result<TableName, Refusal> {
        meta.output_table()
            .map_err(|error| self.refuse("metaData.outputNamespace", error))
    }
}

/// Something that the embedded engine cannot do.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{conf}: {}{why}", place(field))]
pub struct Refusal {
    /// Name of the conf.
    pub conf: String,
    /// The field, as in the compiled JSON.
    pub field: String,
    /// What is not possible, and what else is: another engine only if it can do it.
    pub why: String,
}

/// The field with a colon; nothing if it is the mode as a whole that is refused.
fn place(field: &str) -> String {
    match field {
        "step" => String::new(),
        field => format!("{field}: "),
    }
}

/// What ends the reason for a refusal if the Driver does it: only where that is known.
const BY_DRIVER: &str = "use engine kind = \"chronon\"";

/// What ends the reason for a refusal if the Driver fails as well.
const DRIVER_TOO: &str = "the Driver fails too";

/// What ends the reason for a refusal if the existing table is in the way.
const REBUILD: &str = "`materialize --rebuild` makes the table anew";

/// Everything in a conf that this engine cannot do for the step; empty if it can be compiled.
#[must_use]
pub fn check(conf: Conf<'_>, step: &AssetKind) -> Vec<Refusal> {
    refuse::check(conf, step)
}

/// The script of one step. Its first lines are `-- step: <asset id> <start>..<end>` and one
/// `-- writes: <table>` per written table; every statement ends with `;` at the end of a line.
///
/// # Errors
/// What [`check`] finds, or what only the catalog shows (e.g. a source without columns).
pub fn compile(request: &Request<'_>) -> Result<String, Vec<Refusal>> {
    let script = build(request)?;
    if let Some(found) = script.changes().iter().find(|found| found.needs_rebuild) {
        let why = format!(
            "{} has other columns than the conf ({}); {REBUILD}",
            found.table, found.changes
        );
        return Err(vec![request.refuse("columns", why)]);
    }
    let asset = AssetId::new(
        request.conf.conf_type(),
        request.conf.meta().name.as_str(),
        request.step.clone(),
    );
    Ok(script.finish(&asset.to_string(), request.range))
}

/// How the columns of the existing tables that the step writes differ from those that it produces.
///
/// # Errors
/// What [`compile`] refuses for another reason than these differences.
pub fn column_changes(request: &Request<'_>) -> Result<Vec<TableChanges>, Vec<Refusal>> {
    build(request).map(|script| script.changes().to_vec())
}

/// Whether something is derived from the features of a conf.
fn has_derivations(conf: Conf<'_>) -> bool {
    let some = |list: &Option<Vec<Derivation>>| list.as_ref().is_some_and(|list| !list.is_empty());
    match conf {
        Conf::StagingQuery(_) => false,
        Conf::GroupBy(conf) => some(&conf.derivations),
        Conf::Join(conf) => {
            let mut parts = conf.offline_parts();
            some(&conf.derivations) || parts.any(|part| some(&part.group_by.derivations))
        }
    }
}

/// The statements of one step.
fn build<'a>(request: &Request<'a>) -> Result<script::Script<'a>, Vec<Refusal>> {
    let refusals = check(request.conf, request.step);
    if !refusals.is_empty() {
        return Err(refusals);
    }
    let mut script = script::Script::new(request.tables, request.range, request.partition_column);
    script.orders_maps = has_derivations(request.conf);
    let done = match request.conf {
        Conf::StagingQuery(conf) => staging::compile(request, conf, &mut script),
        Conf::GroupBy(conf) => match request.step {
            AssetKind::Upload => upload::compile(request, conf, &mut script),
            _ => group_by::backfill(request, conf, &mut script),
        },
        Conf::Join(conf) => match request.step {
            AssetKind::LabelJoin => label::compile(request, conf, &mut script),
            AssetKind::Consistency => consistency::compile(request, conf, &mut script),
            AssetKind::StatsSummary | AssetKind::LogSummary => {
                stats::compile(request, conf, &mut script)
            }
            _ => join::compile(request, conf, &mut script),
        },
    };
    done.map_err(|refusal| vec![refusal])?;
    Ok(script)
}
