//! GroupBys: from source rows to values per key and day, or per key and instant.
//!
//! Events are first merged per key and day. A window then is a frame over those days: all days
//! of a range come out of one pass, whatever their number. Point-in-time values add the rows of
//! the days at both ends of a window, which are cut by the millisecond.

use std::collections::BTreeSet;

use chronon_run_conf::{DataModel, Derivation, GroupBy, Window};
use chronon_run_core::CatalogSnapshot;

use super::{
    Refusal, Request,
    aggregate::{Feature, Partial, features, window_word},
    derive,
    script::{Output, Script, ident, indent, list},
    source::{Reach, Span, rows},
};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

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
    let values = values(
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
    .map_err(|(field, why)| refuse(field, why))?;
    let output = Output {
        table,
        kind: Some("group_by"),
        meta: &conf.meta_data,
        columns: Some(values.columns),
        partitioned_by: vec![request.partition_column.to_owned()],
    };
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
    let distinct: BTreeSet<&String> = setups.collect();
    for setup in distinct {
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
    let unaggregated = conf.aggregations.as_ref().is_none_or(Vec::is_empty);
    let reach = match conf.data_model() {
        DataModel::Entities => Reach::Span,
        DataModel::Events if unaggregated => Reach::Span,
        DataModel::Events => Reach::Back(conf.max_window_days().map(|days| days + 1)),
    };
    let rows = rows(conf, usage.span, reach, script.tables(), script.ds)?;
    for key in &conf.key_columns {
        if !rows.columns.contains(key) {
            return Err((
                "keyColumns".into(),
                format!("`{key}` is not among the selects"),
            ));
        }
    }
    let p = &usage.prefix;
    let events = format!("{p}_rows");
    let filter = key_filter(usage);
    let title = format!("GroupBy {}: sources", conf.meta_data.name);
    script.view(
        &events,
        &title,
        &format!(
            "SELECT * FROM (\n  {}\n)\nWHERE {filter}",
            indent(&rows.sql, 2)
        ),
    );
    let ds = script.ds.to_owned();
    let base = if unaggregated {
        let keys = conf.key_columns.clone();
        let mut columns: Vec<String> = rows.columns.iter().filter(|c| **c != ds).cloned().collect();
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
        let type_of = |input: &str| input_type(conf, input, script.tables());
        let features = features(conf, &type_of);
        let pipeline = Pipeline {
            usage,
            features,
            events: &events,
        };
        pipeline.declare(script)
    };
    Ok(derived(usage, base, script))
}

/// Applies the GroupBy's derivations.
fn derived(usage: &Use<'_>, base: Values, script: &mut Script<'_>) -> Values {
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

/// The type of an input column where it is plain to see: a column of the table, or a CAST.
fn input_type(conf: &GroupBy, input: &str, tables: &CatalogSnapshot) -> Option<String> {
    let source = conf.sources.first()?;
    let selects = source.query().selects.as_ref()?;
    let expression = selects.get(input)?.trim();
    let state = tables.table(&source.table().ok()?.table)?;
    let mut columns = state
        .info
        .columns
        .iter()
        .chain(&state.info.partition_columns);
    let column = columns.find(|column| column.name.eq_ignore_ascii_case(expression));
    column.map(|column| column.data_type.to_ascii_lowercase())
}

/// The views of one GroupBy with aggregations.
struct Pipeline<'a> {
    usage: &'a Use<'a>,
    features: Vec<Feature>,
    events: &'a str,
}

/// The features without bucket, or those of one bucket column.
struct Group<'a> {
    bucket: Option<&'a str>,
    features: Vec<&'a Feature>,
}

impl Group<'_> {
    /// What is aggregated, each once.
    fn partials(&self) -> Vec<&Partial> {
        let mut partials: Vec<&Partial> = Vec::new();
        for feature in &self.features {
            if !partials.contains(&&feature.partial) {
                partials.push(&feature.partial);
            }
        }
        partials
    }
}

/// A partial result's columns for one window.
fn cells(partial: &Partial, window: Option<Window>) -> Vec<String> {
    let suffix = window
        .map(|w| format!("_{}", window_word(w)))
        .unwrap_or_default();
    let columns = partial.columns().into_iter();
    columns
        .map(|column| ident(&format!("{column}{suffix}")))
        .collect()
}

/// `a AS b` lines.
fn aliased(values: &[String], names: &[String]) -> Vec<String> {
    let pairs = values.iter().zip(names);
    pairs
        .map(|(value, name)| format!("{value} AS {name}"))
        .collect()
}

/// How a window of the point-in-time rule lies on the days before the instant's own day.
struct Lie {
    /// Days before the instant's day that are wholly inside, as a frame.
    frame: Option<String>,
    /// Days that are cut, counted back from the instant's day, which is 0.
    edges: Vec<i64>,
    /// The inclusive lower limit of event times, from `q.ts`.
    lower: Option<String>,
}

/// The engine's window rule: `floor(floor(t, 5 min) − W, hop)`.
fn lie(window: Option<Window>) -> Lie {
    let Some(window) = window else {
        return Lie {
            frame: Some("RANGE BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING".into()),
            edges: vec![0],
            lower: None,
        };
    };
    let width = window.millis();
    let whole = width.div_euclid(DAY);
    let even = width % DAY == 0;
    let hop = match width {
        width if width < 12 * HOUR => 300_000,
        width if width < 12 * DAY => HOUR,
        _ => DAY,
    };
    if hop == DAY && even {
        return Lie {
            frame: Some(format!("RANGE BETWEEN {whole} PRECEDING AND 1 PRECEDING")),
            edges: vec![0],
            lower: Some(format!("q.ts - PMOD(q.ts, {DAY}) - {width}")),
        };
    }
    let lower = if width % hop == 0 {
        format!("q.ts - PMOD(q.ts, {hop}) - {width}")
    } else {
        let moved = format!("(q.ts - PMOD(q.ts, 300000) - {width})");
        format!("{moved} - PMOD({moved}, {hop})")
    };
    let frame =
        (whole >= 2).then(|| format!("RANGE BETWEEN {} PRECEDING AND 1 PRECEDING", whole - 1));
    let mut edges = vec![0];
    edges.extend((whole > 0).then_some(whole));
    edges.extend((!even).then_some(whole + 1));
    Lie {
        frame,
        edges,
        lower: Some(lower),
    }
}

/// `w7d`, `all_time`: the name of a frame.
fn frame_name(window: Option<Window>) -> String {
    window.map_or_else(|| "all_time".into(), |w| format!("last_{}", window_word(w)))
}

impl Pipeline<'_> {
    /// Declares all views and returns the one with the features in the engine's order.
    fn declare(&self, script: &mut Script<'_>) -> Values {
        let mut groups: Vec<Group<'_>> = Vec::new();
        for feature in &self.features {
            let bucket = feature.bucket.as_deref();
            match groups.iter_mut().find(|group| group.bucket == bucket) {
                Some(group) => group.features.push(feature),
                None => groups.push(Group {
                    bucket,
                    features: vec![feature],
                }),
            }
        }
        let views: Vec<String> = groups
            .iter()
            .map(|group| self.group(group, script))
            .collect();
        let instants = matches!(self.usage.target, Target::Instants);
        let mut head = self.usage.conf.key_columns.clone();
        if instants {
            head.push("ts".into());
        }
        let ds = script.ds.to_owned();
        let identity: Vec<String> = head.iter().chain([&ds]).cloned().collect();
        let names: Vec<String> = self.features.iter().map(|f| f.name.clone()).collect();
        let columns: Vec<String> = head.iter().chain(&names).chain([&ds]).cloned().collect();
        let view = format!("{}_values", self.usage.prefix);
        let title = format!("GroupBy {}: aggregations", self.usage.conf.meta_data.name);
        let mut pieces: Vec<String> = Vec::new();
        for (group, source) in groups.iter().zip(&views) {
            let own = |feature: &Feature| group.features.iter().any(|f| f.name == feature.name);
            let cells: Vec<String> = self
                .features
                .iter()
                .map(|feature| match own(feature) {
                    true => ident(&feature.name),
                    false => format!("NULL AS {}", ident(&feature.name)),
                })
                .collect();
            pieces.push(format!(
                "SELECT {}, {} FROM {}",
                list(&identity),
                cells.join(", "),
                ident(source)
            ));
        }
        let present = self.row_condition(&names);
        let sql = if views.len() == 1 && groups.iter().all(|group| group.bucket.is_none()) {
            let source = views.first().cloned().unwrap_or_default();
            format!(
                "SELECT {}\nFROM {}{present}",
                list(&columns),
                ident(&source)
            )
        } else {
            if instants {
                let nothing: Vec<String> = names
                    .iter()
                    .map(|name| format!("NULL AS {}", ident(name)))
                    .collect();
                pieces.push(format!(
                    "SELECT {}, {} FROM {}",
                    list(&identity),
                    nothing.join(", "),
                    ident(&self.queries())
                ));
            }
            let merged: Vec<String> = names
                .iter()
                .map(|name| format!("FIRST({0}, true) AS {0}", ident(name)))
                .collect();
            format!(
                "SELECT {columns}\nFROM (\n  SELECT {identity}, {merged}\n  FROM (\n    {pieces}\n  )\n  GROUP BY {identity}\n){present}",
                columns = list(&columns),
                identity = list(&identity),
                merged = merged.join(", "),
                pieces = pieces.join("\n    UNION ALL\n    "),
            )
        };
        script.view(&view, &title, &sql);
        Values {
            view,
            columns,
            values: names,
        }
    }

    /// Days of events on which a key has no value at all have no row.
    fn row_condition(&self, names: &[String]) -> String {
        let days_of_events = matches!(self.usage.target, Target::DayEnds)
            && self.usage.conf.data_model() == DataModel::Events;
        if !days_of_events {
            return String::new();
        }
        let some: Vec<String> = names
            .iter()
            .map(|name| format!("{} IS NOT NULL", ident(name)))
            .collect();
        format!("\nWHERE {}", some.join("\n  OR "))
    }

    fn queries(&self) -> String {
        format!("{}_instants", self.usage.prefix)
    }

    /// Declares the views of one group and returns the last.
    fn group(&self, group: &Group<'_>, script: &mut Script<'_>) -> String {
        let suffix = group.bucket.map(|b| format!("_by_{b}")).unwrap_or_default();
        let raw = format!("{}{suffix}_raw", self.usage.prefix);
        let entities = self.usage.conf.data_model() == DataModel::Entities;
        match (self.usage.target, entities) {
            (Target::DayEnds, true) => self.snapshots(group, &raw, script),
            (Target::DayEnds, false) => self.day_ends(group, &suffix, &raw, script),
            (Target::Instants, _) => self.instants(group, &suffix, &raw, script),
        }
        let Some(bucket) = group.bucket else {
            return raw;
        };
        let ds = script.ds.to_owned();
        let mut identity: Vec<String> = self.usage.conf.key_columns.clone();
        if matches!(self.usage.target, Target::Instants) {
            identity.push("ts".into());
        }
        identity.push(ds);
        let maps: Vec<String> = group
            .features
            .iter()
            .map(|feature| {
                let name = ident(&feature.name);
                let entries = format!(
                    "COLLECT_LIST(IF({name} IS NULL, NULL, NAMED_STRUCT('bucket', bucket, 'value', {name})))"
                );
                format!("IF(COUNT({name}) > 0, MAP_FROM_ENTRIES({entries}), NULL) AS {name}")
            })
            .collect();
        let view = format!("{}{suffix}", self.usage.prefix);
        script.view(
            &view,
            &format!("aggregations.buckets {bucket}: one map entry per value"),
            &format!(
                "SELECT {identity},\n  {}\nFROM {}\nGROUP BY {identity}",
                maps.join(",\n  "),
                ident(&raw),
                identity = list(&identity),
            ),
        );
        view
    }

    /// Keys, and the bucket's value.
    fn keys(&self, group: &Group<'_>) -> Vec<String> {
        let bucket = group.bucket.map(|_| "bucket".to_owned());
        self.usage
            .conf
            .key_columns
            .iter()
            .cloned()
            .chain(bucket)
            .collect()
    }

    /// The rows of a group: with the bucket's value, if any, and only rows that have one.
    fn bucketed(&self, group: &Group<'_>) -> String {
        match group.bucket {
            None => ident(self.events),
            Some(bucket) => format!(
                "(SELECT *, CAST({0} AS STRING) AS bucket FROM {1} WHERE {0} IS NOT NULL)",
                ident(bucket),
                ident(self.events)
            ),
        }
    }

    /// Finished features of a group.
    fn finished(group: &Group<'_>) -> Vec<String> {
        let lines = group.features.iter().map(|feature| {
            let value = feature
                .partial
                .finish(&cells(&feature.partial, feature.window));
            format!("{value} AS {}", ident(&feature.name))
        });
        lines.collect()
    }

    /// Entities: the rows of each snapshot, windows ending at the end of its day.
    fn snapshots(&self, group: &Group<'_>, view: &str, script: &mut Script<'_>) {
        let ds = ident(script.ds);
        let keys = list(&self.keys(group));
        let end = format!("(UNIX_DATE(CAST({ds} AS DATE)) + 1) * {DAY}L");
        let windowed = self.features.iter().any(|feature| feature.window.is_some());
        let filter = match windowed {
            true => format!("\n  WHERE ts < {end}"),
            false => String::new(),
        };
        let mut merged: Vec<String> = Vec::new();
        for feature in &group.features {
            let names = cells(&feature.partial, feature.window);
            let lifted: Vec<String> = feature
                .partial
                .lift(if windowed { "" } else { "r." })
                .into_iter()
                .map(|cell| match feature.window {
                    None => cell,
                    Some(window) => format!("IF(ts >= {end} - {}L, {cell}, NULL)", window.millis()),
                })
                .collect();
            for line in aliased(&feature.partial.merge(&lifted, ""), &names) {
                if !merged.contains(&line) {
                    merged.push(line);
                }
            }
        }
        let from = self.bucketed(group);
        script.view(
            view,
            "aggregations: per snapshot",
            &format!(
                "WITH merged AS (\n  SELECT {keys}, {ds},\n    {}\n  FROM {from} r{filter}\n  GROUP BY {keys}, {ds}\n)\nSELECT {keys}, {ds},\n  {}\nFROM merged",
                merged.join(",\n    "),
                Self::finished(group).join(",\n  ")
            ),
        );
    }

    /// The partial results per key and day.
    fn days(&self, group: &Group<'_>, suffix: &str, script: &mut Script<'_>) -> String {
        let view = format!("{}{suffix}_days", self.usage.prefix);
        let keys = list(&self.keys(group));
        let partials = group.partials();
        let lines: Vec<String> = partials
            .iter()
            .flat_map(|partial| {
                let names: Vec<String> = partial.columns().iter().map(|c| ident(c)).collect();
                aliased(&partial.merge(&partial.lift(""), ""), &names)
            })
            .collect();
        script.view(
            &view,
            "aggregations: merged per key and day of the event time",
            &format!(
                "SELECT {keys}, CAST(FLOOR(ts / {DAY}) AS INT) AS day,\n  {}\nFROM {}\nGROUP BY {keys}, CAST(FLOOR(ts / {DAY}) AS INT)",
                lines.join(",\n  "),
                self.bucketed(group)
            ),
        );
        view
    }

    /// Events, at the end of each day: a window of n days is a frame of n days.
    fn day_ends(&self, group: &Group<'_>, suffix: &str, view: &str, script: &mut Script<'_>) {
        let days = self.days(group, suffix, script);
        let keys = list(&self.keys(group));
        let frame = |window: Option<Window>| match window {
            None => "RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW".to_owned(),
            Some(window) => {
                format!(
                    "RANGE BETWEEN {} PRECEDING AND CURRENT ROW",
                    window.days_back() - 1
                )
            }
        };
        let targets = format!(
            "SELECT {keys}, EXPLODE(SEQUENCE(UNIX_DATE(CAST({} AS DATE)), UNIX_DATE(CAST({} AS DATE)))) AS day\n  FROM (SELECT DISTINCT {keys} FROM {})",
            self.usage.span.first(0),
            self.usage.span.last(0),
            ident(&days)
        );
        let framed = self.framed(group, &keys, &days, &targets, &frame);
        script.view(
            view,
            "aggregations.windows: frames over the days, one row per key and day",
            &format!(
                "{framed}\nSELECT {keys}, CAST(DATE_FROM_UNIX_DATE(day) AS STRING) AS {},\n  {}\nFROM framed\nWHERE is_target",
                ident(script.ds),
                Self::finished(group).join(",\n  ")
            ),
        );
    }

    /// `WITH framed AS (…)`: for every target (keys, day) the partial results of each window.
    fn framed(
        &self,
        group: &Group<'_>,
        keys: &str,
        days: &str,
        targets: &str,
        frame: &dyn Fn(Option<Window>) -> String,
    ) -> String {
        let partials = group.partials();
        let columns: Vec<String> = partials
            .iter()
            .flat_map(|p| p.columns())
            .map(|c| ident(&c))
            .collect();
        let nothing: Vec<String> = columns.iter().map(|c| format!("NULL AS {c}")).collect();
        let mut lines: Vec<String> = Vec::new();
        let mut windows: Vec<String> = Vec::new();
        for feature in &group.features {
            let name = frame_name(feature.window);
            let inputs: Vec<String> = feature.partial.columns().iter().map(|c| ident(c)).collect();
            let merged = feature.partial.merge(&inputs, &format!(" OVER {name}"));
            for line in aliased(&merged, &cells(&feature.partial, feature.window)) {
                if !lines.contains(&line) {
                    lines.push(line);
                }
            }
            let definition = format!(
                "{name} AS (PARTITION BY {keys} ORDER BY day {})",
                frame(feature.window)
            );
            if !windows.contains(&definition) {
                windows.push(definition);
            }
        }
        format!(
            "WITH targets AS (\n  {targets}\n),\ndays_and_targets AS (\n  SELECT {keys}, day, false AS is_target, {columns} FROM {days}\n  UNION ALL\n  SELECT {keys}, day, true AS is_target, {nothing} FROM targets\n),\nframed AS (\n  SELECT {keys}, day, is_target,\n    {lines}\n  FROM days_and_targets\n  WINDOW\n    {windows}\n)",
            columns = columns.join(", "),
            days = ident(days),
            nothing = nothing.join(", "),
            lines = lines.join(",\n    "),
            windows = windows.join(",\n    "),
        )
    }

    /// Events, at the left rows' own times: whole days by frames, cut days row by row.
    fn instants(&self, group: &Group<'_>, suffix: &str, view: &str, script: &mut Script<'_>) {
        let days = self.days(group, suffix, script);
        let plain_keys = list(&self.usage.conf.key_columns);
        let keys = list(&self.keys(group));
        let queries = ident(&self.queries());
        let ds = ident(script.ds);

        // Whole days.
        let whole: Vec<&Feature> = group
            .features
            .iter()
            .copied()
            .filter(|feature| lie(feature.window).frame.is_some())
            .collect();
        let whole_group = Group {
            bucket: group.bucket,
            features: whole,
        };
        let day_of_query = format!("CAST(FLOOR(ts / {DAY}) AS INT)");
        let targets = match group.bucket {
            None => format!("SELECT DISTINCT {keys}, {day_of_query} AS day FROM {queries}"),
            Some(_) => format!(
                "SELECT DISTINCT d.*, q.day FROM (SELECT DISTINCT {keys} FROM {}) d\n  JOIN (SELECT DISTINCT {plain_keys}, {day_of_query} AS day FROM {queries}) q USING ({plain_keys})",
                ident(&days)
            ),
        };
        let framed = (!whole_group.features.is_empty()).then(|| {
            self.framed(&whole_group, &keys, &days, &targets, &|window| {
                lie(window).frame.unwrap_or_default()
            })
        });

        // Cut days.
        let mut edges: BTreeSet<i64> = BTreeSet::new();
        let mut edge_lines: Vec<String> = Vec::new();
        let mut whole_lines: Vec<String> = Vec::new();
        let mut merged: Vec<String> = Vec::new();
        for feature in &group.features {
            let lie = lie(feature.window);
            edges.extend(&lie.edges);
            let offsets: Vec<String> = lie.edges.iter().map(i64::to_string).collect();
            let mut condition = format!("q.back IN ({})", offsets.join(", "));
            if let Some(lower) = &lie.lower {
                condition = format!("{condition} AND e.ts >= {lower}");
            }
            let names = cells(&feature.partial, feature.window);
            let lifted: Vec<String> = feature
                .partial
                .lift("e.")
                .iter()
                .map(|cell| format!("IF({condition}, {cell}, NULL)"))
                .collect();
            let from_days: Vec<String> = names
                .iter()
                .map(|name| match lie.frame {
                    Some(_) => format!("d.{name}"),
                    None => "NULL".to_owned(),
                })
                .collect();
            let lines = aliased(&lifted, &names);
            if lines.iter().all(|line| edge_lines.contains(line)) {
                continue;
            }
            edge_lines.extend(lines);
            whole_lines.extend(aliased(&from_days, &names));
            merged.extend(aliased(&feature.partial.merge(&names, ""), &names));
        }
        let offsets: Vec<String> = edges.iter().map(i64::to_string).collect();
        let on = |right: &str| {
            let conditions: Vec<String> = self
                .usage
                .conf
                .key_columns
                .iter()
                .map(|key| format!("q.{0} = {right}.{0}", ident(key)))
                .collect();
            conditions.join(" AND ")
        };
        let q_keys: Vec<String> = self
            .usage
            .conf
            .key_columns
            .iter()
            .map(|key| format!("q.{}", ident(key)))
            .collect();
        let (q_keys, bucket) = (q_keys.join(", "), |row: &str| match group.bucket {
            Some(_) => format!(", {row}.bucket"),
            None => String::new(),
        });
        // An instant without any event has a row too; with buckets the caller adds it.
        let lonely = match group.bucket {
            None => {
                let nothing: Vec<String> = edge_lines
                    .iter()
                    .filter_map(|line| line.rsplit_once(" AS "))
                    .map(|(_, name)| format!("NULL AS {name}"))
                    .collect();
                format!(
                    "\n  UNION ALL\n  SELECT {plain_keys}, ts, {ds}, {}\n  FROM {queries}",
                    nothing.join(", ")
                )
            }
            Some(_) => String::new(),
        };
        let from_days = match &framed {
            Some(_) => format!(
                "\n  UNION ALL\n  SELECT {q_keys}, q.ts, q.{ds}{},\n    {}\n  FROM {queries} q\n  JOIN framed d ON {} AND d.day = CAST(FLOOR(q.ts / {DAY}) AS INT) AND d.is_target",
                bucket("d"),
                whole_lines.join(",\n    "),
                on("d")
            ),
            None => String::new(),
        };
        let with = match framed {
            Some(framed) => format!("{framed},\n"),
            None => "WITH ".to_owned(),
        };
        let lonely = if from_days.is_empty() {
            lonely
        } else {
            String::new()
        };
        script.view(
            view,
            "aggregations.windows: whole days by frames, the days that a window cuts row by row",
            &format!(
                "{with}edges AS (\n  SELECT *, EXPLODE(ARRAY({offsets})) AS back FROM {queries}\n),\npieces AS (\n  SELECT {q_keys}, q.ts, q.{ds}{edge_bucket},\n    {edge_lines}\n  FROM edges q\n  JOIN {rows} e\n    ON {on} AND FLOOR(e.ts / {DAY}) = FLOOR(q.ts / {DAY}) - q.back AND e.ts < q.ts{from_days}{lonely}\n),\nmerged AS (\n  SELECT {keys}, ts, {ds},\n    {merged}\n  FROM pieces\n  GROUP BY {keys}, ts, {ds}\n)\nSELECT {keys}, ts, {ds},\n  {finished}\nFROM merged",
                offsets = offsets.join(", "),
                edge_bucket = bucket("e"),
                edge_lines = edge_lines.join(",\n    "),
                rows = self.bucketed(group),
                on = on("e"),
                merged = merged.join(",\n    "),
                finished = Self::finished(group).join(",\n  "),
            ),
        );
    }
}
