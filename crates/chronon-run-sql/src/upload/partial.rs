//! Uploads of point-in-time GroupBys: partial results that a fetcher completes with the events
//! since the end of the day.

use std::collections::BTreeSet;

use super::{
    super::{
        aggregate::{Feature, PIECE, Partial, Split, features, window_word},
        pipeline::{DAY, Group, Pipeline, aliased, cells},
        script::Script,
        source::{self, Reach, Span},
        text::{ident, indent, list},
        types::input_shape,
        usage::{Target, Use},
    },
    bounded,
    encoding::{Finding, PREFIX, item_type, json, key_json, structure},
    form::{Names, engine_form},
};
use chronon_run_conf::{DataModel, GroupBy, Operation, Window};
use chronon_run_core::{CatalogSnapshot, Ds, PartitionRange};

/// The column of the hop size's index; -1 for what is merged over the whole window.
const LEVEL: &str = "__level";
/// The column of a hop's start in milliseconds.
const HOP_START: &str = "__hop_start";
/// Rows younger than a window's start by less than this are kept in hops.
const TAIL_BUFFER: i64 = 2 * DAY;
/// Hop sizes in milliseconds, as the engine lists them.
const HOPS: [i64; 3] = [DAY, 3_600_000, 300_000];

/// What is uploaded of one aggregation and bucket: it has one hop list for all its windows.
struct Base<'a> {
    /// Its name without a window.
    name: String,
    /// One per window.
    features: Vec<&'a Feature>,
    /// The type of the values, elements or entries that are aggregated, if it is known.
    input: Option<String>,
}

impl<'a> Base<'a> {
    /// The features cut into aggregations and buckets, in the engine's order.
    fn all(conf: &GroupBy, features: &'a [Feature], tables: &CatalogSnapshot) -> Vec<Self> {
        let mut rest = features;
        let mut all = Vec::new();
        for aggregation in conf.aggregations.iter().flatten() {
            let buckets = aggregation.buckets.as_ref().map_or(1, |b| b.len().max(1));
            for _ in 0..buckets {
                let (own, others) = rest.split_at(aggregation.windows().count().min(rest.len()));
                rest = others;
                let Some(first) = own.first() else { continue };
                all.push(Self {
                    name: without_window(first),
                    features: own.iter().collect(),
                    input: item_type(input_shape(conf, &aggregation.input_column, tables)),
                });
            }
        }
        all
    }

    fn partial(&self) -> Option<&'a Partial> {
        self.features.first().map(|feature| &feature.partial)
    }
}

/// A feature's name without its window.
fn without_window(feature: &Feature) -> String {
    let by = match &feature.split {
        Split::Bucket(bucket) | Split::ElementsByBucket(_, bucket) => format!("_by_{bucket}"),
        _ => String::new(),
    };
    let window = feature.window.map(|w| format!("_{}", window_word(w)));
    let stem = feature.name.strip_suffix(&by).unwrap_or(&feature.name);
    let stem = match &window {
        Some(window) => stem.strip_suffix(window.as_str()).unwrap_or(stem),
        None => stem,
    };
    format!("{stem}{by}")
}

/// The index of a window's hop size in [`HOPS`].
fn hop_index(window: Window) -> usize {
    match window.millis() {
        millis if millis >= 12 * DAY => 0,
        millis if millis >= DAY / 2 => 1,
        _ => 2,
    }
}

/// Which rows are merged over the whole window: they stay in it for two days after `end`.
fn in_collapsed(window: Option<Window>, end: i64) -> String {
    match window {
        None => format!("ts < {end}L"),
        Some(window) if window.millis() <= TAIL_BUFFER => "false".to_owned(),
        Some(window) => format!(
            "ts >= {}L AND ts < {end}L",
            end - window.millis() + TAIL_BUFFER
        ),
    }
}

/// Which rows are merged per hop: those that leave the window within two days after `end`.
fn in_tail(window: Window, end: i64) -> String {
    let start = end - window.millis();
    let until = end.min(start + TAIL_BUFFER);
    format!("ts > {start}L AND ts < {until}L")
}

/// Conditions joined by OR, each once; `false` if there is none.
fn any_of(conditions: impl Iterator<Item = String>) -> String {
    let each: BTreeSet<String> = conditions
        .map(|condition| format!("({condition})"))
        .collect();
    match each.is_empty() {
        true => "false".to_owned(),
        false => each.into_iter().collect::<Vec<_>>().join(" OR "),
    }
}

/// Partial results at the end of the day.
pub(super) fn declare(
    conf: &GroupBy,
    day: Ds,
    script: &mut Script<'_>,
) -> Result<&'static str, Finding> {
    let end = day.plus(1).start_millis();
    let tables = script.tables();
    let features = features(conf, &|input| input_shape(conf, input, tables));
    let bases = Base::all(conf, &features, tables);
    rows(conf, day, script)?;
    levels(&features, end, script);
    let usage = Use {
        conf,
        prefix: PREFIX.to_owned(),
        span: Span::Days(PartitionRange {
            start: day,
            end: day,
        }),
        target: Target::DayEnds,
        left_keys: Vec::new(),
        left: None,
        skew: None,
    };
    let pipeline = Pipeline {
        usage: &usage,
        features: features.clone(),
        events: "upload_levels",
    };
    let upload = Upload {
        pipeline: &pipeline,
        bases: &bases,
        end,
    };
    upload.declare(script);
    Ok("upload_json")
}

/// Declares `upload_rows`: the rows of all sources that may count.
fn rows(conf: &GroupBy, day: Ds, script: &mut Script<'_>) -> Result<(), Finding> {
    let (first, reach) = match conf.data_model() {
        DataModel::Entities => (day, Reach::Span),
        // The rows of the next partition may belong to this day.
        DataModel::Events => (
            day.plus(1),
            Reach::Back(conf.max_window_days().map(|days| days + 1)),
        ),
    };
    let span = Span::Days(PartitionRange {
        start: first,
        end: first,
    });
    let rows = source::rows(conf, span, reach, script.tables(), script.ds)?;
    for key in &conf.key_columns {
        if !rows.columns.contains(key) {
            let why = format!("`{key}` is not among the selects");
            return Err(("keyColumns".into(), why));
        }
    }
    if !rows.columns.iter().any(|column| column == "ts") {
        let why = "TEMPORAL uploads need the rows time".to_owned();
        return Err(("sources.query.timeColumn".into(), why));
    }
    let columns: Vec<String> = rows
        .columns
        .iter()
        .map(|column| match column.as_str() {
            "ts" => "COALESCE(ts, 0L) AS ts".to_owned(),
            _ => ident(column),
        })
        .collect();
    let keys: Vec<String> = conf
        .key_columns
        .iter()
        .map(|key| format!("{} IS NOT NULL", ident(key)))
        .collect();
    script.query(
        "upload_rows",
        &format!("GroupBy {}: sources", conf.meta_data.name),
        &format!(
            "SELECT {}\nFROM (\n  {}\n)\nWHERE {}",
            columns.join(", "),
            indent(&rows.sql, 2),
            keys.join(" OR ")
        ),
    );
    Ok(())
}

/// Declares `upload_levels`: every row once for the whole windows, and once per hop size of
/// which a window has it in its tail.
fn levels(features: &[Feature], end: i64, script: &mut Script<'_>) {
    let windows = || features.iter().filter_map(|feature| feature.window);
    let mut kept = vec![format!("{LEVEL} = -1")];
    let mut starts = String::new();
    for (level, hop) in HOPS.iter().enumerate() {
        let own = windows().filter(|window| hop_index(*window) == level);
        let tails = any_of(own.map(|window| in_tail(window, end)));
        if tails != "false" {
            kept.push(format!("{LEVEL} = {level} AND ({tails})"));
        }
        starts.push_str(&format!(" WHEN {level} THEN ts - PMOD(ts, {hop}L)"));
    }
    script.query(
        "upload_levels",
        "aggregations.windows: whole windows (-1), and hops of a day, an hour, five minutes (0 to 2)",
        &format!(
            "SELECT *, CASE {LEVEL}{starts} ELSE 0L END AS {HOP_START}\nFROM (SELECT *, EXPLODE(ARRAY(-1, 0, 1, 2)) AS {LEVEL} FROM upload_rows)\nWHERE {}",
            kept.join("\n  OR ")
        ),
    );
}

/// The views of a point-in-time upload.
struct Upload<'a> {
    pipeline: &'a Pipeline<'a>,
    bases: &'a [Base<'a>],
    /// The end of the day in milliseconds, exclusive.
    end: i64,
}

/// A column of partial results in the engine's form.
struct Ir<'a> {
    column: String,
    /// The schema's field.
    field: String,
    /// From cells to the engine's form.
    value: String,
    partial: &'a Partial,
    cells: Vec<String>,
    /// Which rows count.
    condition: String,
    split: &'a Split,
}

impl<'a> Upload<'a> {
    fn identity(&self) -> Vec<String> {
        let keys = self.pipeline.usage.conf.key_columns.iter().cloned();
        keys.chain([LEVEL.to_owned(), HOP_START.to_owned()])
            .collect()
    }

    /// The columns of the whole windows and those of the hops, and the name of a hop's start.
    fn columns(&self) -> (Vec<Ir<'a>>, Vec<Ir<'a>>, [String; 3]) {
        let mut names = Names::default();
        names.add("Value");
        let collapsed_name = names.add("collapsedIr");
        names.add("CollapsedIrStruct");
        let mut collapsed = Vec::new();
        let mut hops = Vec::new();
        for base in self.bases {
            for feature in &base.features {
                let cells = cells(&feature.partial, feature.window);
                let cells: Vec<String> = cells.iter().map(|cell| prefixed("whole", cell)).collect();
                collapsed.push(Ir {
                    column: feature.name.clone(),
                    field: names.add(&feature.name),
                    value: engine_form(&feature.partial, &cells, base.input.as_deref(), &mut names),
                    partial: &feature.partial,
                    cells,
                    condition: format!(
                        "{LEVEL} = -1 AND {}",
                        in_collapsed(feature.window, self.end)
                    ),
                    split: &feature.split,
                });
            }
        }
        let hops_name = names.add("tailHopIrs");
        names.add("TailHopIrsElementElementStruct");
        for (index, base) in self.bases.iter().enumerate() {
            let (Some(partial), Some(first)) = (base.partial(), base.features.first()) else {
                continue;
            };
            let prefix = format!("hop{index}");
            let cells = cells(partial, None);
            let cells: Vec<String> = cells.iter().map(|cell| prefixed(&prefix, cell)).collect();
            let windows = || base.features.iter().filter_map(|feature| feature.window);
            let tails = (0..HOPS.len()).map(|level| {
                let own = windows().filter(|window| hop_index(*window) == level);
                let tails: Vec<String> = own.map(|window| in_tail(window, self.end)).collect();
                (!tails.is_empty())
                    .then(|| format!("{LEVEL} = {level} AND ({})", any_of(tails.into_iter())))
            });
            hops.push(Ir {
                column: format!("{prefix}_{}", base.name),
                field: names.add(&base.name),
                value: engine_form(partial, &cells, base.input.as_deref(), &mut names),
                partial,
                cells,
                condition: any_of(tails.flatten()),
                split: &first.split,
            });
        }
        let start = names.add("ts");
        (collapsed, hops, [collapsed_name, hops_name, start])
    }

    fn declare(&self, script: &mut Script<'_>) {
        let (collapsed, hops, names) = self.columns();
        let all: Vec<&Ir<'_>> = collapsed.iter().chain(&hops).collect();
        self.declare_partial(&all, script);
        self.declare_json(&collapsed, &hops, names, script);
    }

    /// Declares `upload_partial`: all columns in one row per key, and per whole window or hop.
    fn declare_partial(&self, all: &[&Ir<'_>], script: &mut Script<'_>) {
        let mut splits: Vec<&Split> = Vec::new();
        for column in all {
            if !splits.contains(&column.split) {
                splits.push(column.split);
            }
        }
        let identity = list(&self.identity());
        let nothing = |name: &str| format!("NULL AS {}", ident(name));
        let mut pieces = Vec::new();
        for split in splits {
            let is_own = |column: &&&Ir<'_>| column.split == split;
            let own: Vec<&Ir<'_>> = all.iter().filter(is_own).copied().collect();
            let view = self.group(split, &own, script);
            let cells: Vec<String> = all
                .iter()
                .map(|column| match column.split == split {
                    true => ident(&column.column),
                    false => nothing(&column.column),
                })
                .collect();
            pieces.push(format!(
                "SELECT {identity}, {} FROM {}",
                cells.join(", "),
                ident(&view)
            ));
        }
        // A key or hop without any input has a row too.
        let nothings: Vec<String> = all.iter().map(|column| nothing(&column.column)).collect();
        pieces.push(format!(
            "SELECT {identity}, {} FROM upload_levels",
            nothings.join(", ")
        ));
        let merged: Vec<String> = all
            .iter()
            .map(|column| format!("FIRST({0}, true) AS {0}", ident(&column.column)))
            .collect();
        script.query(
            "upload_partial",
            "all partial results of a key, per whole window or hop",
            &format!(
                "SELECT {identity},\n  {}\nFROM (\n  {}\n)\nGROUP BY {identity}",
                merged.join(",\n  "),
                pieces.join("\n  UNION ALL\n  ")
            ),
        );
    }

    /// Declares `upload_json` with the names of both parts of the value and of a hop's start.
    fn declare_json(
        &self,
        collapsed: &[Ir<'_>],
        hops: &[Ir<'_>],
        [collapsed_name, hops_name, start_name]: [String; 3],
        script: &mut Script<'_>,
    ) {
        let fields = |columns: &[Ir<'_>]| -> Vec<(String, String)> {
            let pairs = columns.iter();
            pairs
                .map(|column| (column.field.clone(), ident(&column.column)))
                .collect()
        };
        let mut hop_fields = fields(hops);
        let start = ident(&start_name);
        hop_fields.push((start_name, HOP_START.to_owned()));
        let tails: Vec<String> = (0..HOPS.len())
            .map(|level| {
                format!(
                    "ARRAY_SORT(COLLECT_LIST(IF({LEVEL} = {level}, hop, NULL)), (a, b) -> CAST(SIGN(a.{start} - b.{start}) AS INT))"
                )
            })
            .collect();
        let keys = list(&self.pipeline.usage.conf.key_columns);
        let value = json(&[
            (
                collapsed_name,
                format!("FIRST(IF({LEVEL} = -1, whole, NULL), true)"),
            ),
            (hops_name, format!("ARRAY({})", tails.join(", "))),
        ]);
        script.query(
            "upload_json",
            "keys and partial results as JSON",
            &format!(
                "WITH formed AS (\nSELECT {keys}, {LEVEL},\n  {} AS whole,\n  {} AS hop\nFROM upload_partial\n)\nSELECT {} AS key_json,\n  {value} AS value_json\nFROM formed\nGROUP BY {keys}",
                structure(&fields(collapsed)),
                structure(&hop_fields),
                key_json(self.pipeline.usage.conf),
            ),
        );
    }

    /// Declares the view of one split's partial results, pieces together again.
    fn group(&self, split: &Split, own: &[&Ir<'_>], script: &mut Script<'_>) -> String {
        let group = Group {
            split,
            features: Vec::new(),
        };
        let view = format!("upload_merged{}", split.suffix());
        let mut identity = self.identity();
        if split.has_pieces() {
            identity.push(PIECE.to_owned());
        }
        let identity = list(&identity);
        let merged: BTreeSet<String> = own
            .iter()
            .flat_map(|column| {
                let lifted: Vec<String> = lift(column.partial)
                    .into_iter()
                    .map(|cell| format!("IF({}, {cell}, NULL)", column.condition))
                    .collect();
                aliased(&merge(column.partial, &lifted), &column.cells)
            })
            .collect();
        let merged: Vec<String> = merged.into_iter().collect();
        let values: Vec<String> = own
            .iter()
            .map(|column| format!("{} AS {}", column.value, ident(&column.column)))
            .collect();
        script.query(
            &view,
            "aggregations: merged per key, and per whole window or hop",
            &format!(
                "WITH merged AS (\n  SELECT {identity},\n    {}\n  FROM {}\n  GROUP BY {identity}\n)\nSELECT {identity},\n  {}\nFROM merged",
                merged.join(",\n    "),
                self.pipeline.rows(&group),
                values.join(",\n  ")
            ),
        );
        match split.has_pieces() {
            true => self.together(split, own, &view, script),
            false => view,
        }
    }

    /// Declares the view of the pieces of `view` together again.
    fn together(
        &self,
        split: &Split,
        own: &[&Ir<'_>],
        view: &str,
        script: &mut Script<'_>,
    ) -> String {
        let identity = list(&self.identity());
        let together: Vec<String> = own
            .iter()
            .map(|column| {
                let name = ident(&column.column);
                let entries = format!(
                    "COLLECT_LIST(IF({name} IS NULL, NULL, NAMED_STRUCT('piece', {PIECE}, 'value', {name})))"
                );
                let value = match split {
                    Split::Positions(_) => format!(
                        "TRANSFORM(ARRAY_SORT({entries}, (a, b) -> a.piece - b.piece), e -> e.value)"
                    ),
                    _ => format!("MAP_FROM_ENTRIES({entries})"),
                };
                format!("IF(COUNT({name}) > 0, {value}, NULL) AS {name}")
            })
            .collect();
        let whole = format!("upload_together{}", split.suffix());
        script.query(
            &whole,
            "aggregations: the pieces together again",
            &format!(
                "SELECT {identity},\n  {}\nFROM {}\nGROUP BY {identity}",
                together.join(",\n  "),
                ident(view)
            ),
        );
        whole
    }
}

/// The partial result of one row.
fn lift(partial: &Partial) -> Vec<String> {
    match partial.operation {
        Operation::BoundedUniqueCount => vec![bounded::lift(partial)],
        _ => partial.lift(""),
    }
}

/// Partial results merged.
fn merge(partial: &Partial, cells: &[String]) -> Vec<String> {
    match partial.operation {
        Operation::BoundedUniqueCount => cells.iter().map(|cell| bounded::merge(cell)).collect(),
        _ => partial.merge(cells, ""),
    }
}

/// A cell's name behind a prefix.
fn prefixed(prefix: &str, cell: &str) -> String {
    ident(&format!("{prefix}_{}", cell.trim_matches('`')))
}
