//! GroupBys: from source rows to values per key and day, or per key and instant.
//!
//! Events are first merged per key and day. A window then is a frame over those days: all days
//! of a range come out of one pass, whatever their number. Point-in-time values add the rows of
//! the days at both ends of a window, which are cut by the millisecond.

use std::collections::BTreeSet;

use chronon_run_conf::{DataModel, Derivation, GroupBy};
use chronon_run_core::CatalogSnapshot;

use super::{
    Refusal, Request,
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
    let name = &conf.meta_data.name;
    let refuse = |field: String, why: String| Refusal {
        conf: name.clone(),
        field,
        why,
    };
    let table = conf
        .meta_data
        .output_table()
        .map_err(|error| refuse("metaData.outputNamespace".into(), error.to_string()))?;
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
            },
            script,
        )
        .map_err(|(field, why)| refuse(field, why))?
    };
    let output = Output {
        table,
        kind: Some("group_by"),
        meta: &conf.meta_data,
        columns: Some(values.columns),
        partitioned_by: vec![request.partition_column.to_owned()],
    };
    if let Some(why) = script.misfit(&output) {
        return Err(refuse("aggregations".into(), why));
    }
    script.create(&output, &values.view);
    script.overwrite(&output, &values.view, Some(request.range));
    Ok(())
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
    let mutated =
        matches!(usage.target, Target::Instants) && conf.data_model() == DataModel::Entities;
    let rows = if mutated {
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
    script.view(
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
        let features = features(conf, &|input| types::input_shape(conf, input, tables));
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
        let query = conf.sources.first().map(chronon_run_conf::Source::query);
        let selects = query.and_then(|query| query.selects.as_ref());
        let names = selects.into_iter().flat_map(indexmap::IndexMap::keys);
        names
            .filter(|name| !conf.key_columns.contains(name) && *name != ds && *name != "ts")
            .cloned()
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

/// Applies the GroupBy's derivations.
pub(super) fn derived(usage: &Use<'_>, base: Values, script: &mut Script<'_>) -> Values {
    let derivations: &[Derivation] = usage.conf.derivations.as_deref().unwrap_or_default();
    if derivations.is_empty() {
        return base;
    }
    let kept = derive::columns(&base.values, derivations);
    let mut head = usage.conf.key_columns.clone();
    if matches!(usage.target, Target::Instants) {
        head.push("ts".into());
    }
    let values: Vec<String> = kept.iter().map(|(name, _)| name.clone()).collect();
    let view = format!("{}_derived", usage.prefix);
    let lines: Vec<String> = head
        .iter()
        .map(|name| ident(name))
        .chain(
            kept.iter()
                .map(|(name, expression)| derive::line(name, expression)),
        )
        .chain([ident(script.ds)])
        .collect();
    let title = format!("GroupBy {}: derivations", usage.conf.meta_data.name);
    let sql = format!(
        "SELECT\n  {}\nFROM {}",
        lines.join(",\n  "),
        ident(&base.view)
    );
    script.view(&view, &title, &sql);
    let columns = head
        .into_iter()
        .chain(values.clone())
        .chain([script.ds.to_owned()])
        .collect();
    Values {
        view,
        columns,
        values,
    }
}

/// Rows whose keys are all NULL belong to nobody; in a join only the left's keys matter.
fn key_filter(usage: &Use<'_>) -> String {
    match &usage.left {
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
    }
}
