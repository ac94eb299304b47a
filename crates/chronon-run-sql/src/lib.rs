//! The embedded engine: one conf, one step, one day range → one Spark SQL script.
//!
//! The tables that a script fills are those that the Chronon Driver fills: same names, columns,
//! types, partitions and values. What cannot be done is refused by [`check`], by field, before
//! anything runs.

#![cfg_attr(not(test), warn(clippy::disallowed_methods, clippy::too_many_lines))]

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
mod output;
mod pipeline;
mod refuse;
mod request;
mod rows;
mod script;
mod select;
mod source;
mod staging;
mod stats;
mod text;
mod types;
mod upload;
mod usage;

#[cfg(test)]
mod tests;

#[cfg(test)]
mod additions_tests;
#[cfg(test)]
mod followers_tests;

use chronon_run_conf::Derivation;
use chronon_run_core::{AssetId, AssetKind, TableChanges};

pub use chronon_run_conf::AnyConf as Conf;
pub use consistency::{findings, parse_findings};
pub(crate) use request::{BY_DRIVER, DRIVER_TOO, Types};
pub use request::{Refusal, Request};
pub use rows::{count_rows, count_upload, parse_counts};
pub use script::drop_partitions;
pub use staging::{LeftOut, parse_left_out};
pub use text::{quoted, text as literal};

/// What ends the reason for a refusal if the existing table is in the way.
const REBUILD: &str = "`materialize --rebuild` makes the table anew";

/// Everything in a conf that this engine cannot do in this mode; empty if it can be compiled.
#[must_use]
pub fn check(conf: Conf<'_>, mode: &AssetKind) -> Vec<Refusal> {
    refuse::check(conf, mode)
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
        request.mode.clone(),
    );
    Ok(script.finish(&asset.to_string(), request.range))
}

/// A script of [`compile`] that has these settings before its own, behind the lines that it begins with.
#[must_use]
pub fn with_settings(script: &str, settings: &[(&str, &str)]) -> String {
    let header = script.lines().take_while(|line| line.starts_with("--"));
    let header = header.map(|line| line.len() + 1).sum::<usize>();
    let (header, body) = script.split_at(header.min(script.len()));
    let settings = settings.iter();
    let settings: String = settings
        .map(|(key, value)| format!("SET {key}={value};\n"))
        .collect();
    format!("{header}{settings}{body}")
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
    let refusals = check(request.conf, request.mode);
    if !refusals.is_empty() {
        return Err(refusals);
    }
    let mut script = script::Script::new(request.tables, request.range, request.partition_column);
    script.orders_maps = has_derivations(request.conf);
    let done = match request.conf {
        Conf::StagingQuery(conf) => staging::compile(request, conf, &mut script),
        Conf::GroupBy(conf) => match request.mode {
            AssetKind::Upload => upload::compile(request, conf, &mut script),
            _ => group_by::backfill(request, conf, &mut script),
        },
        Conf::Join(conf) => match request.mode {
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
