//! GroupBys: from source rows to values per key and day, or per key and instant.
//!
//! Events are first merged per key and day. A window then is a frame over those days: all days
//! of a range come out of one pass, whatever their number. Point-in-time values add the rows of
//! the days at both ends of a window, which are cut by the millisecond.

use std::collections::BTreeSet;

use chronon_run_conf::{DataModel, GroupBy, Source};
use chronon_run_core::{CatalogSnapshot, PartitionRange};

use super::{
    Refusal, Request, Types,
    aggregate::features,
    derive, incremental,
    output::Output,
    pipeline::Pipeline,
    script::Script,
    source::{self, Span},
    text::ident,
    types,
};

use crate::usage::{Target, Use, Values, derived, is_unaggregated, mutated, rows};

/// The script of a GroupBy backfill.
pub(super) fn backfill(
    request: &Request<'_>,
    conf: &GroupBy,
    script: &mut Script<'_>,
) -> Result<(), Refusal> {
    let table = request.output_table(&conf.meta_data)?;
    setups(conf, script);
    let values = if conf.is_incremental == Some(true) {
        incremental::values(request, conf, script)?
    } else {
        values(
            &Use {
                conf,
                prefix: "group_by".into(),
                span: Span::Days(request.range),
                target: Target::DayEnds,
                left_keys: Vec::new(),
                left: None,
                skew: None,
            },
            script,
        )
        .map_err(|(field, why)| request.refuse(field, why))?
    };
    let output = Output {
        table,
        kind: Some("group_by"),
        meta: &conf.meta_data,
        columns: Some(values.columns),
        types: table_types(conf, request.tables, request.partition_column),
        likely: likely_types(conf, request.tables, request.partition_column),
        partitioned_by: vec![request.partition_column.to_owned()],
    };
    let view = days_with_sources(request, conf, values.view, script);
    script.create(&output, &view);
    script.overwrite(&output, &view, Some(request.range));
    Ok(())
}

/// Leaves out the days on which no source has rows, if all sources are tables that Chronon fills:
/// the Driver leaves no partition there for a day without rows, so it does not fill such a day,
/// even if a window reaches rows before it.
fn days_with_sources(
    request: &Request<'_>,
    conf: &GroupBy,
    view: String,
    script: &mut Script<'_>,
) -> String {
    let filled = |source: &Source| {
        let table = source.table().ok()?.table;
        let info = &request.tables.table(&table)?.info;
        let column = source.query().partition_column.as_deref();
        let column = ident(column.unwrap_or(request.partition_column));
        let PartitionRange { start, end } = request.range;
        let generated = info.properties.get("chronon_generated").map(String::as_str);
        (generated == Some("true") && conf.data_model() == DataModel::Events).then(|| {
            format!(
                "SELECT {column} FROM {table} WHERE {column} >= '{start}' AND {column} <= '{end}'"
            )
        })
    };
    let Some(days) = conf.sources.iter().map(filled).collect::<Option<Vec<_>>>() else {
        return view;
    };
    let name = "group_by_days_with_sources";
    script.query(
        name,
        "sources: days on which none of them has rows have no values",
        &format!(
            "SELECT * FROM {}\nWHERE {} IN (\n  {}\n)",
            ident(&view),
            ident(request.partition_column),
            days.join("\n  UNION ALL\n  ")
        ),
    );
    name.to_owned()
}

/// Statements that the sources ask for.
pub(super) fn setups(conf: &GroupBy, script: &mut Script<'_>) {
    let setups = conf
        .sources
        .iter()
        .flat_map(|source| source.query().setups.iter().flatten());
    let mut done = BTreeSet::new();
    for setup in setups.filter(|setup| done.insert(*setup)) {
        script.heading("sources: setups");
        script.statement(setup);
    }
}

/// Declares the views that compute a GroupBy, derivations included.
///
/// # Errors
/// The field and why it cannot be computed.
pub(super) fn values(usage: &Use<'_>, script: &mut Script<'_>) -> Result<Values, (String, String)> {
    let conf = usage.conf;
    let (events, columns) = rows(usage, script)?;
    let ds = script.ds.to_owned();
    let base = if is_unaggregated(conf) {
        let keys = conf.key_columns.clone();
        let mut columns: Vec<String> = columns.iter().filter(|c| **c != ds).cloned().collect();
        columns.push(ds.clone());
        let values = columns
            .iter()
            .filter(|c| !keys.contains(c) && **c != ds && *c != "ts");
        Values {
            view: events.clone(),
            values: values.cloned().collect(),
            columns,
        }
    } else {
        let tables = script.tables();
        let mut features = features(conf, &|input| types::input_shape(conf, input, tables));
        if mutated(usage) {
            for feature in &mut features {
                feature.partial = feature.partial.clone().signed();
            }
        }
        let pipeline = Pipeline {
            usage,
            features,
            events: &events,
        };
        pipeline.declare(script)
    };
    Ok(derived(usage, base, script))
}

/// The names of a GroupBy's values, derivations included, in the engine's order.
pub(super) fn value_names(conf: &GroupBy, tables: &CatalogSnapshot, ds: &str) -> Vec<String> {
    let base: Vec<String> = if is_unaggregated(conf) {
        let names = conf.sources.first().map(|source| selected(source, tables));
        names
            .into_iter()
            .flatten()
            .filter(|name| !conf.key_columns.contains(name) && *name != ds && *name != "ts")
            .collect()
    } else {
        let features = features(conf, &|input| types::input_shape(conf, input, tables));
        features.into_iter().map(|feature| feature.name).collect()
    };
    match conf.derivations.as_deref() {
        None | Some([]) => base,
        Some(derivations) => {
            let derived = derive::columns(&base, derivations).into_iter();
            derived.map(|(name, _)| name).collect()
        }
    }
}

/// The types of a GroupBy's values, where they are certain before Spark sees them.
pub(super) fn value_types(conf: &GroupBy, tables: &CatalogSnapshot, ds: &str) -> Types {
    typed_values(conf, tables, ds, &|name| {
        types::certain_type_of_all(&conf.sources, name, tables)
    })
}

/// The types of a GroupBy's values, where the text of their expressions tells them.
pub(super) fn likely_types(conf: &GroupBy, tables: &CatalogSnapshot, ds: &str) -> Types {
    typed_values(conf, tables, ds, &|name| {
        types::input_shape(conf, name, tables).kind().text()
    })
}

/// The certain types of the columns of a GroupBy's table: its keys and values.
pub(super) fn table_types(conf: &GroupBy, tables: &CatalogSnapshot, ds: &str) -> Types {
    let mut all = value_types(conf, tables, ds);
    for key in &conf.key_columns {
        let certain = types::certain_type_of_all(&conf.sources, key, tables);
        all.extend(certain.map(|data_type| (key.clone(), data_type)));
    }
    all
}

/// The types of a GroupBy's values, derivations included, from those of its inputs.
fn typed_values(
    conf: &GroupBy,
    tables: &CatalogSnapshot,
    ds: &str,
    input_type: &dyn Fn(&str) -> Option<String>,
) -> Types {
    let Some(source) = conf.sources.first() else {
        return Types::new();
    };
    let mut all: Types = if is_unaggregated(conf) {
        let names = selected(source, tables).into_iter();
        let typed = names.filter_map(|name| Some((name.clone(), input_type(&name)?)));
        typed.collect()
    } else {
        let features = features(conf, &|input| types::input_shape(conf, input, tables));
        let typed = features.into_iter().filter_map(|feature| {
            let input = match feature.has_fixed_type() {
                true => "string".to_owned(),
                false => input_type(&feature.partial.input)?,
            };
            let data_type = feature.data_type(&input)?;
            Some((feature.name, data_type))
        });
        typed.collect()
    };
    derive::rename_types(&mut all, conf.derivations.as_deref().unwrap_or_default());
    all.retain(|name, _| name != ds);
    all
}

/// The columns that a source selects.
fn selected(source: &Source, tables: &CatalogSnapshot) -> Vec<String> {
    match (&source.query().selects, source.table()) {
        (Some(selects), _) if source::has_selects(source.query()) => {
            selects.keys().cloned().collect()
        }
        (_, Ok(spec)) => source::raw_columns(&spec.table, tables)
            .into_iter()
            .map(|(name, _)| name)
            .collect(),
        _ => Vec::new(),
    }
}
