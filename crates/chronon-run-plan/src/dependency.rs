//! Inputs that a conf names besides its sources: `metaData.dependencies` (§4.5), the tables of a staging
//! query's SQL, and macros (§4.4).

use std::collections::BTreeMap;

use chronon_run_conf::{Dependency, MetaData, StagingQuery, max_date_tables, tables_read};
use chronon_run_core::{Ds, PartitionFormat, TableName, TableSpec};

use crate::{
    graph::{Input, Role},
    need::{Bounds, Need},
};

/// How tables write days, as far as dependencies tell.
pub(crate) type Formats = BTreeMap<TableName, PartitionFormat>;

/// The inputs of dependencies that can be understood; the conf's own checks report the others.
pub(crate) fn declared<'a>(
    texts: impl IntoIterator<Item = &'a String>,
    daily: bool,
    partition_column: &str,
    formats: &mut Formats,
) -> Vec<Input> {
    let understood = texts
        .into_iter()
        .filter_map(|text| Dependency::parse(text, daily).ok());
    understood
        .map(|found| input(found, partition_column, formats))
        .collect()
}

/// The dependencies of `metas` that ask for something that `inputs` do not: those that an author wrote
/// instead of the ones that `chronon-ai` derives from the sources.
pub(crate) fn overriding(
    metas: &[&MetaData],
    inputs: &[Input],
    partition_column: &str,
    formats: &mut Formats,
) -> Vec<Input> {
    let mut added: Vec<Input> = Vec::new();
    for meta in metas {
        let daily = meta.is_daily();
        let texts = meta.dependencies.iter().flatten();
        for found in texts.filter_map(|text| Dependency::parse(text, daily).ok()) {
            // What chronon-ai derives names the partitions of the source and no others.
            let is_source = inputs.iter().any(|input| {
                let own = &input.spec.sub_partitions;
                let mut named = found.sub_partitions.iter();
                input.spec.table == found.table && named.all(|wanted| own.contains(wanted))
            });
            if found.derived && is_source {
                continue;
            }
            let mut input = input(found, partition_column, formats);
            input.gates = false;
            let known = |other: &Input| covers(other, &input);
            if !inputs.iter().any(known) && !added.iter().any(known) {
                added.push(input);
            }
        }
    }
    added
}

/// Whether `other` waits for everything that `input` waits for.
fn covers(other: &Input, input: &Input) -> bool {
    let days = match (other.need, input.need) {
        (_, Need::Table) => true,
        (Need::Days { lo, hi }, Need::Days { lo: wanted, .. }) => lo <= wanted && wanted <= hi,
        (Need::Since { hi }, Need::Days { lo: wanted, .. }) => wanted <= hi,
        _ => false,
    };
    let same_place = other.spec.table == input.spec.table && other.day_column == input.day_column;
    let bounds = |input: &Input| Bounds {
        from: input.from,
        until: input.until,
    };
    let sub_partitions = &other.spec.sub_partitions;
    let narrower = input.spec.sub_partitions.iter();
    same_place
        && days
        && bounds(other) == bounds(input)
        && { narrower }.all(|wanted| sub_partitions.contains(wanted))
        && sub_partitions.len() == input.spec.sub_partitions.len()
}

fn input(found: Dependency, partition_column: &str, formats: &mut Formats) -> Input {
    let need = found.day.as_ref().map_or(Need::Table, |day| Need::Days {
        lo: day.offset,
        hi: day.offset,
    });
    if let Some(day) = found.day.as_ref().filter(|day| !day.format.is_iso()) {
        formats.insert(found.table.clone(), day.format.clone());
    }
    let column = found.day.map(|day| day.column);
    Input {
        spec: TableSpec {
            table: found.table,
            sub_partitions: found.sub_partitions,
        },
        gates: need != Need::Table,
        day_column: column.unwrap_or_else(|| partition_column.to_owned()),
        role: Role::Dependency,
        need,
        from: found.start,
        until: found.end,
        follows_times: false,
        producer: None,
    }
}

/// The tables that a staging query's SQL reads, each for the day that is filled: the inputs of a query
/// that declares no dependencies. Of the tables of `max_date` only some day is read. `outputs` are the
/// tables and views that the query writes.
pub(crate) fn read_by_query(
    conf: &StagingQuery,
    outputs: &[&TableName],
    partition_column: &str,
) -> Vec<Input> {
    let read = tables_read(&conf.query, conf.setups.as_deref().unwrap_or_default());
    let daily = read.tables.into_iter();
    let daily = daily.filter(|table| !outputs.contains(&table) && !read.newest.contains(table));
    daily
        .map(|table| Input {
            spec: TableSpec {
                table,
                sub_partitions: Vec::new(),
            },
            gates: true,
            day_column: partition_column.to_owned(),
            role: Role::Query,
            need: Need::SAME_DAY,
            from: None,
            until: None,
            follows_times: false,
            producer: None,
        })
        .collect()
}

/// Of the tables that a staging query's SQL reads those of which its `declared` dependencies name no day:
/// the query does not wait for them, but its rows are made of them.
pub(crate) fn undeclared(read: Vec<Input>, declared: &[Input]) -> Vec<Input> {
    let names_a_day = |table: &TableName| {
        let mut declared = declared.iter();
        declared.any(|input| input.spec.table == *table && input.need != Need::Table)
    };
    let undeclared = read.into_iter();
    let undeclared = undeclared.filter(|input| !names_a_day(&input.spec.table));
    undeclared
        .map(|input| Input {
            gates: false,
            ..input
        })
        .collect()
}

/// The tables of `{{ max_date(table=db.t) }}` (§4.4): they must exist.
pub(crate) fn macro_tables<'a>(
    query: &'a str,
    partition_column: &'a str,
) -> impl Iterator<Item = Input> + 'a {
    max_date_tables(query).map(move |table| Input {
        spec: TableSpec {
            table,
            sub_partitions: Vec::new(),
        },
        day_column: partition_column.to_owned(),
        role: Role::Dependency,
        need: Need::Table,
        from: None,
        until: None,
        gates: false,
        follows_times: false,
        producer: None,
    })
}

/// A date of a conf; one that is no day is reported by the conf's own checks.
pub(crate) fn day(text: Option<&str>) -> Option<Ds> {
    text?.parse().ok()
}
