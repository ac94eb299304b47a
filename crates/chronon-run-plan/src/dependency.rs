//! Inputs that a staging query or a label part names in words: `metaData.dependencies` (§4.5)
//! and macros (§4.4).

use chronon_run_core::{Ds, TableSpec};

use crate::{
    graph::{Input, Role},
    need::Need,
};

/// One entry of `metaData.dependencies`: `db.t`, `db.t/ds={{ ds }}[/sub=x]`, or a JSON object
/// with such a `spec` (§4.5). What cannot be read is not a dependency that could be waited for.
pub(crate) fn dependency(text: &str, partition_column: &str) -> Option<Input> {
    #[derive(serde::Deserialize)]
    struct Entry {
        spec: String,
        start: Option<String>,
        end: Option<String>,
    }
    let entry = serde_json::from_str::<Entry>(text).unwrap_or(Entry {
        spec: text.to_owned(),
        start: None,
        end: None,
    });
    let mut pieces = entry.spec.split('/');
    let table = pieces.next()?.trim().parse().ok()?;
    let mut day_column = None;
    let mut lag = 0;
    let mut sub_partitions = Vec::new();
    for piece in pieces {
        let (column, value) = piece.split_once('=')?;
        if value.contains("{{") {
            day_column = Some(column.trim().to_lowercase());
            lag = lag_of(value);
        } else {
            sub_partitions.push((column.trim().to_lowercase(), value.trim().to_owned()));
        }
    }
    let need = match day_column {
        Some(_) => Need::Days { lo: -lag, hi: -lag },
        None => Need::Table,
    };
    Some(Input {
        spec: TableSpec {
            table,
            sub_partitions,
        },
        gates: need != Need::Table,
        day_column: day_column.unwrap_or_else(|| partition_column.to_owned()),
        role: Role::Dependency,
        need,
        from: day(entry.start.as_deref()),
        until: day(entry.end.as_deref()),
        producer: None,
    })
}

/// `n` of `{{ macros.ds_add(ds, -n) }}`, else 0.
fn lag_of(template: &str) -> i32 {
    let arguments = template
        .split_once("ds_add(")
        .and_then(|(_, rest)| rest.split_once(')'));
    let days = arguments
        .and_then(|(arguments, _)| arguments.split(',').nth(1)?.trim().parse::<i32>().ok());
    days.map_or(0, |days| -days)
}

/// The tables of `{{ max_date(table=db.t) }}` (§4.4): they must exist.
pub(crate) fn macro_tables<'a>(
    query: &'a str,
    partition_column: &'a str,
) -> impl Iterator<Item = Input> + 'a {
    query.split("{{").skip(1).filter_map(move |rest| {
        let inside = rest.split_once("}}")?.0.trim();
        let arguments = inside.strip_prefix("max_date(")?.strip_suffix(')')?;
        let table = arguments
            .split(',')
            .find_map(|argument| argument.trim().strip_prefix("table="))?;
        Some(Input {
            spec: table.trim().parse().ok()?,
            day_column: partition_column.to_owned(),
            role: Role::Dependency,
            need: Need::Table,
            from: None,
            until: None,
            gates: false,
            producer: None,
        })
    })
}

/// A date of a conf; one that is no day is reported by the conf's own checks.
pub(crate) fn day(text: Option<&str>) -> Option<Ds> {
    text?.parse().ok()
}
