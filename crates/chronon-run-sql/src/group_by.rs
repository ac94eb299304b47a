//! GroupBys: from source rows to values per key and day, or per key and instant.
//!
//! Events are first merged per key and day. A window then is a frame over those days: all days
//! of a range come out of one pass, whatever their number. Point-in-time values add the rows of
//! the days at both ends of a window, which are cut by the millisecond.

use std::collections::BTreeSet;

use chronon_run_conf::{DataModel, Derivation, GroupBy, Source};
use chronon_run_core::{CatalogSnapshot, PartitionRange};

use super::{
    Refusal, Request, Types,
    aggregate::features,
    derive, incremental,
    pipeline::Pipeline,
    script::{Output, Script, ident, indent},
    source::{self, Reach, Span},
    types,
};

/// For which rows values are computed.
#[derive(Clone, Copy)]
pub(super) enum Target {
    /// Every key, at the end of every day.
    DayEnds,
    /// The distinct keys and times of the left rows: a view of the keys, `ts` and the partition.
    Instants,
}

/// Where a GroupBy's values are used.
pub(super) struct Use<'a> {
    pub(super) conf: &'a GroupBy,
    /// Put before every view name.
    pub(super) prefix: String,
    pub(super) span: Span,
    pub(super) target: Target,
    /// `(key, left column, left view)`: only keys that the left has are computed.
    pub(super) left_keys: Vec<(String, String)>,
    pub(super) left: Option<String>,
    /// The condition of rows whose keys are not skewed.
    pub(super) skew: Option<String>,
}

/// A finished view.
pub(super) struct Values {
    pub(super) view: String,
    /// Keys, `ts` for instants, values, partition.
    pub(super) columns: Vec<String>,
    /// Only the values.
    pub(super) values: Vec<String>,
}

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

/// Declares the view of a GroupBy's source rows and returns its name.
///
/// # Errors
/// The field and why it cannot be read.
pub(super) fn source_rows(
    usage: &Use<'_>,
    script: &mut Script<'_>,
) -> Result<String, (String, String)> {
    rows(usage, script).map(|(view, _)| view)
}

/// The view of the source rows, and its columns.
fn rows(
    usage: &Use<'_>,
    script: &mut Script<'_>,
) -> Result<(String, Vec<String>), (String, String)> {
    let conf = usage.conf;
    let reach = match conf.data_model() {
        DataModel::Entities => Reach::Span,
        DataModel::Events if is_unaggregated(conf) => Reach::Span,
        DataModel::Events => Reach::Back(conf.max_window_days().map(|days| days + 1)),
    };
    let rows = if mutated(usage) {
        source::mutated_rows(conf, usage.span, script.tables(), script.ds)?
    } else {
        source::rows(conf, usage.span, reach, script.tables(), script.ds)?
    };
    for key in &conf.key_columns {
        if !rows.columns.contains(key) {
            return Err((
                "keyColumns".into(),
                format!("`{key}` is not among the selects"),
            ));
        }
    }
    let view = format!("{}_rows", usage.prefix);
    let title = format!("GroupBy {}: sources", conf.meta_data.name);
    script.query(
        &view,
        &title,
        &format!(
            "SELECT * FROM (\n  {}\n)\nWHERE {}",
            indent(&rows.sql, 2),
            key_filter(usage)
        ),
    );
    Ok((view, rows.columns))
}

/// Whether values are those of entities that change within the day.
fn mutated(usage: &Use<'_>) -> bool {
    let entities = usage.conf.data_model() == DataModel::Entities;
    entities && matches!(usage.target, Target::Instants)
}

/// Whether a part is computed for the keys of the left rows only. The engine adds that filter to
/// the `wheres` of each source, but not to those of a join source (`JoinUtils.injectKeyFilter`), so
/// the part table of a chained GroupBy has every key of the parent.
pub(super) fn takes_key_filter(conf: &GroupBy) -> bool {
    let is_join = |source: &Source| matches!(source, Source::JoinSource(_));
    !conf.sources.iter().any(is_join)
}

fn is_unaggregated(conf: &GroupBy) -> bool {
    conf.aggregations.as_ref().is_none_or(Vec::is_empty)
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

/// Applies the GroupBy's derivations.
pub(super) fn derived(usage: &Use<'_>, base: Values, script: &mut Script<'_>) -> Values {
    let derivations: &[Derivation] = usage.conf.derivations.as_deref().unwrap_or_default();
    if derivations.is_empty() {
        return base;
    }
    let mut head = usage.conf.key_columns.clone();
    if matches!(usage.target, Target::Instants) {
        head.push("ts".into());
    }
    // `*` means keys too, and leaves them where they are; without it they come first.
    let all: Vec<String> = base
        .columns
        .iter()
        .filter(|c| **c != script.ds)
        .cloned()
        .collect();
    let mut kept = derive::columns(&all, derivations);
    let missing = head
        .iter()
        .filter(|name| all.contains(name) && !kept.iter().any(|(kept, _)| kept == *name));
    let missing: Vec<_> = missing.map(|name| (name.clone(), name.clone())).collect();
    kept.splice(0..0, missing);
    let names: Vec<String> = kept.iter().map(|(name, _)| name.clone()).collect();
    let values = names
        .iter()
        .filter(|name| !head.contains(name) && *name != "ts");
    let values: Vec<String> = values.cloned().collect();
    let view = format!("{}_derived", usage.prefix);
    let lines: Vec<String> = kept
        .iter()
        .map(|(name, expression)| derive::line(name, expression))
        .chain([ident(script.ds)])
        .collect();
    let title = format!("GroupBy {}: derivations", usage.conf.meta_data.name);
    let sql = format!(
        "SELECT\n  {}\nFROM {}",
        lines.join(",\n  "),
        ident(&base.view)
    );
    script.query(&view, &title, &sql);
    let columns = names.into_iter().chain([script.ds.to_owned()]).collect();
    Values {
        view,
        columns,
        values,
    }
}

/// Rows whose keys are all NULL belong to no key; in a join only the left's keys matter.
fn key_filter(usage: &Use<'_>) -> String {
    let of_keys = match usage.left.as_ref().filter(|_| takes_key_filter(usage.conf)) {
        Some(left) => {
            let conditions: Vec<String> = usage
                .left_keys
                .iter()
                .map(|(key, column)| {
                    format!(
                        "{} IN (SELECT {} FROM {})",
                        ident(key),
                        ident(column),
                        ident(left)
                    )
                })
                .collect();
            conditions.join("\n  AND ")
        }
        None => {
            let keys = usage.conf.key_columns.iter();
            let present: Vec<String> = keys
                .map(|key| format!("{} IS NOT NULL", ident(key)))
                .collect();
            match present.is_empty() {
                true => "true".into(),
                false => format!("({})", present.join(" OR ")),
            }
        }
    };
    match &usage.skew {
        Some(skew) => format!("{of_keys}\n  AND ({skew})  -- skewKeys"),
        None => of_keys,
    }
}
