//! Incremental GroupBys: partial results per key and day are kept in `O_daily_inc`, and the
//! windows are put together from there (§3). Only days that the table lacks are computed from
//! the sources, as the engine does.

use chronon_run_conf::{DataModel, GroupBy, Source};
use chronon_run_core::{CatalogSnapshot, PartitionRange, RangeSet};

use super::{
    BY_DRIVER, DRIVER_TOO, Refusal, Request, Types,
    aggregate::{Feature, Partial, Split, features},
    output::Output,
    pipeline::{DAY, Group, Pipeline, aliased},
    script::Script,
    source::Span,
    text::{ident, list},
    types,
    usage::{Target, Use, Values},
};

use crate::usage::{derived, source_rows};

/// Fields that keep a GroupBy from being incremental, as `(field, why)`.
pub(super) fn check(conf: &GroupBy) -> Vec<(String, String)> {
    let mut problems = Vec::new();
    let mut add = |field: String, why: &str| problems.push((field, why.to_owned()));
    if conf.data_model() != DataModel::Events
        || conf.accuracy() != chronon_run_conf::Accuracy::Snapshot
    {
        add(
            "isIncremental".into(),
            &format!("only end-of-day values of events are incremental; {DRIVER_TOO}"),
        );
    }
    for (index, aggregation) in conf.aggregations.iter().flatten().enumerate() {
        let field = |name: &str| format!("aggregations[{index}].{name}");
        if aggregation.windows().any(|window| window.is_none()) {
            add(
                field("windows"),
                &format!("an incremental GroupBy needs a window everywhere; {DRIVER_TOO}"),
            );
        }
        if aggregation
            .buckets
            .as_ref()
            .is_some_and(|buckets| !buckets.is_empty())
        {
            let why = "buckets are not kept in the table of daily increments by this engine";
            add(field("buckets"), &format!("{why}; {BY_DRIVER}"));
        }
    }
    for feature in features(conf, &|_| types::Shape::Scalar(None)) {
        if !feature.partial.can_be_stored() {
            let why = "its partial result is a sketch, which SQL cannot store as the Driver does";
            let why = format!("{why}; {BY_DRIVER}");
            add(format!("aggregations ({})", feature.name), &why);
        }
    }
    problems
}

/// Fills the missing days of `O_daily_inc` and declares the views over it that hold the values.
///
/// # Errors
/// What cannot be read or computed.
pub(super) fn values(
    request: &Request<'_>,
    conf: &GroupBy,
    script: &mut Script<'_>,
) -> Result<Values, Refusal> {
    let table = request.output_table(&conf.meta_data)?;
    let table = table.suffixed("_daily_inc");
    let tables = script.tables();
    let features = features(conf, &|input| types::input_shape(conf, input, tables));
    if let Some(feature) = features.iter().find(|feature| feature.split != Split::None) {
        let why = format!(
            "`{}` is made of a list or map, which is not incremental; {BY_DRIVER}",
            feature.name
        );
        return Err(request.refuse("aggregations", why));
    }
    let reach = conf.max_window_days().unwrap_or(1);
    let wanted = PartitionRange {
        start: request.range.start.plus(-reach),
        end: request.range.end,
    };
    let known = tables.days(&table, request.partition_column, &[]);
    let missing = RangeSet::from(wanted).minus(&known);
    let missing = match days_of_sources(conf, tables, request.partition_column) {
        Some(days) => missing.intersect(&days),
        None => missing,
    };
    let output = Output {
        table: table.clone(),
        kind: Some("group_by_incremental"),
        meta: &conf.meta_data,
        columns: Some(stored_columns(conf, &features, request.partition_column)),
        types: Types::new(),
        likely: Types::new(),
        partitioned_by: vec![request.partition_column.to_owned()],
    };
    if let Some(hull) = missing.hull() {
        fill(conf, &features, (&missing, hull), script)
            .map_err(|(field, why)| request.refuse(field, why))?;
        script.create(&output, "increments");
        script.overwrite_days(&output, "increments", &missing);
    }
    Ok(windows(
        conf,
        features,
        (&table.to_string(), wanted),
        request.range,
        script,
    ))
}

/// The days on which any source has a partition, for only those have increments; `None` if the
/// sources do not tell.
fn days_of_sources(conf: &GroupBy, tables: &CatalogSnapshot, ds: &str) -> Option<RangeSet> {
    let mut days = RangeSet::default();
    for source in &conf.sources {
        let spec = source.table().ok()?;
        if source.is_cumulative() || tables.table(&spec.table).is_none() {
            return None;
        }
        let column = source.query().partition_column.as_deref().unwrap_or(ds);
        days = days.union(&tables.days(&spec.table, column, &spec.sub_partitions));
    }
    Some(days)
}

/// What every feature of the same partial result shares.
fn partials(features: &[Feature]) -> Vec<&Partial> {
    let mut partials: Vec<&Partial> = Vec::new();
    for feature in features {
        if !partials.contains(&&feature.partial) {
            partials.push(&feature.partial);
        }
    }
    partials
}

/// Keys, the day's first millisecond, one column per partial result, partition.
fn stored_columns(conf: &GroupBy, features: &[Feature], ds: &str) -> Vec<String> {
    let partials = partials(features).into_iter().map(Partial::stored_name);
    let keys = conf.key_columns.iter().cloned();
    keys.chain(["ts".to_owned()])
        .chain(partials)
        .chain([ds.to_owned()])
        .collect()
}

/// So many partitions before the missing days are read for rows that came early
/// (`buildSourceDataFrame`, with a window of as many days as are missing).
const PARTITIONS_BEFORE: i32 = 2;

/// Declares the view `increments`: the partial results of the missing days.
fn fill(
    conf: &GroupBy,
    features: &[Feature],
    (missing, hull): (&RangeSet, PartitionRange),
    script: &mut Script<'_>,
) -> Result<(), (String, String)> {
    let usage = usage(conf, "increment", hull);
    let events = source_rows(&usage, script)?;
    let reached = "increment_rows_reached";
    let ds = ident(script.ds);
    let cumulative = conf.sources.iter().any(Source::is_cumulative);
    let inside: Vec<String> = missing
        .ranges()
        .iter()
        .map(|range| {
            let PartitionRange { start, end } = *range;
            let first = start.plus(-PARTITIONS_BEFORE);
            let partitions = match cumulative {
                true => String::new(),
                false => format!(" AND {ds} >= '{first}' AND {ds} <= '{end}'"),
            };
            let (start, end) = (start.epoch_days(), end.epoch_days());
            format!("FLOOR(ts / {DAY}) BETWEEN {start} AND {end}{partitions}")
        })
        .collect();
    script.query(
        reached,
        "isIncremental: days without a gap between them are read together, with the partitions just before",
        &format!(
            "SELECT * FROM {}\nWHERE {}",
            ident(&events),
            inside.join("\n  OR ")
        ),
    );
    let pipeline = Pipeline {
        usage: &usage,
        features: features.to_vec(),
        events: reached,
    };
    let group = Group {
        split: &Split::None,
        features: pipeline.features.iter().collect(),
    };
    let days = pipeline.days(&group, script);
    let stored: Vec<String> = partials(features)
        .iter()
        .map(|partial| format!("{} AS {}", partial.store(), ident(&partial.stored_name())))
        .collect();
    script.query(
        "increments",
        "isIncremental: one row per key and day that the table lacks",
        &format!(
            "SELECT {}, __day * {DAY}L AS ts,\n  {},\n  CAST(DATE_FROM_UNIX_DATE(__day) AS STRING) AS {}\nFROM {}",
            list(&conf.key_columns),
            stored.join(",\n  "),
            ident(script.ds),
            ident(&days)
        ),
    );
    Ok(())
}

/// Declares the values of the range over the stored increments.
fn windows(
    conf: &GroupBy,
    features: Vec<Feature>,
    (table, wanted): (&str, PartitionRange),
    range: PartitionRange,
    script: &mut Script<'_>,
) -> Values {
    let usage = usage(conf, "group_by", range);
    let lines: Vec<String> = partials(&features)
        .iter()
        .flat_map(|partial| {
            let names: Vec<String> = partial.columns().iter().map(|name| ident(name)).collect();
            aliased(&partial.load(), &names)
        })
        .collect();
    let ds = ident(script.ds);
    script.query(
        "group_by_days",
        "isIncremental: the stored partial results per key and day",
        &format!(
            "SELECT {}, UNIX_DATE(CAST({ds} AS DATE)) AS __day,\n  {}\nFROM {table}\nWHERE {ds} >= '{}' AND {ds} <= '{}'",
            list(&conf.key_columns),
            lines.join(",\n  "),
            wanted.start,
            wanted.end
        ),
    );
    let pipeline = Pipeline {
        usage: &usage,
        features,
        events: "group_by_days",
    };
    let base = pipeline.declare_over_days("group_by_days", script);
    derived(&usage, base, script)
}

fn usage<'a>(conf: &'a GroupBy, prefix: &str, range: PartitionRange) -> Use<'a> {
    Use {
        conf,
        prefix: prefix.to_owned(),
        span: Span::Days(range),
        target: Target::DayEnds,
        left_keys: Vec::new(),
        left: None,
        skew: None,
    }
}
