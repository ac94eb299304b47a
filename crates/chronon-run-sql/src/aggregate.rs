//! The operations, each as partial results that can be merged: lift a row, merge, finish.

use chronon_run_conf::{Aggregation, GroupBy, Operation, TimeUnit, Window};

use super::{inputs, kind::Kind, order::java_hash, text::ident, types::Shape};

/// One output column of a GroupBy.
#[derive(Clone)]
pub(super) struct Feature {
    pub(super) name: String,
    pub(super) partial: Partial,
    pub(super) window: Option<Window>,
    pub(super) split: Split,
}

/// How rows are split before they are aggregated, and how the parts come together again.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Split {
    /// Not at all.
    None,
    /// By the values of a bucket column; the feature is a map.
    Bucket(String),
    /// Into the elements of the input's list; the feature is a plain value.
    Elements(String),
    /// Into the entries of the input's map; the feature is a map.
    Entries(String),
    /// Into the positions of the input's list; the feature is a list.
    Positions(String),
    /// Into the elements of the input's list, and by a bucket column; the feature is a map.
    ElementsByBucket(String, String),
}

impl Split {
    /// What tells its views from those of other splits.
    pub(super) fn suffix(&self) -> String {
        match self {
            Self::None => String::new(),
            Self::Bucket(column) => format!("_by_{column}"),
            Self::Elements(input) => format!("_elements_of_{input}"),
            Self::Entries(input) => format!("_entries_of_{input}"),
            Self::Positions(input) => format!("_positions_of_{input}"),
            Self::ElementsByBucket(input, column) => format!("_elements_of_{input}_by_{column}"),
        }
    }

    /// Whether there is one partial result per value of [`PIECE`].
    pub(super) fn has_pieces(&self) -> bool {
        !matches!(self, Self::None | Self::Elements(_))
    }
}

/// The column that tells the pieces of a split apart.
pub(super) const PIECE: &str = "__piece";
/// The column of a list's element or a map's value.
const ITEM: &str = "__item";
/// The column that is 1 for a map without any entry, whose row has no piece.
pub(super) const EMPTY: &str = "__empty";
/// The column of a row's sign: 1, or -1 for a row that is taken back by a mutation.
pub(super) const SIGN: &str = "__sign";

/// What is aggregated, whatever the window: the operation and its input.
#[derive(Clone, PartialEq)]
pub(super) struct Partial {
    pub(super) input: String,
    /// The row column that is aggregated: the input, or its element.
    column: String,
    pub(super) operation: Operation,
    /// `k` of the operations that have one.
    k: Option<usize>,
    percentiles: Vec<String>,
    /// The input is a boolean, which SUM and AVERAGE count as 1 and 0.
    boolean: bool,
    /// The input cannot be a fraction, so that NaN cannot come out.
    exact: bool,
    /// The input is known to be a double or a float.
    fraction: bool,
    /// The result is an entry of a map or a list, where the engine keeps NaN.
    entry: bool,
    /// The type of an input that is kept whole.
    kind: Kind,
    /// Rows can be taken back by mutations, so that nothing may be left of something.
    signed: bool,
}

/// The output columns in the engine's order.
pub(super) fn features(conf: &GroupBy, shape_of: &dyn Fn(&str) -> Shape) -> Vec<Feature> {
    let mut features = Vec::new();
    for aggregation in conf.aggregations.iter().flatten() {
        let shape = shape_of(&aggregation.input_column);
        let buckets: Vec<Option<&String>> = match aggregation.buckets.as_deref() {
            None | Some([]) => vec![None],
            Some(buckets) => buckets.iter().map(Some).collect(),
        };
        for bucket in buckets {
            let split = split(aggregation, &shape, bucket);
            let partial = Partial::of(aggregation, &shape, &split);
            for window in aggregation.windows() {
                let suffix = window
                    .map(|w| format!("_{}", window_word(w)))
                    .unwrap_or_default();
                let by = bucket.map(|b| format!("_by_{b}")).unwrap_or_default();
                features.push(Feature {
                    name: format!("{}_{}{suffix}{by}", partial.input, partial.word()),
                    partial: partial.clone(),
                    window,
                    split: split.clone(),
                });
            }
        }
    }
    features
}

impl Feature {
    /// How many maps without any entry the window holds; not a column of the output, but a
    /// window that holds only such maps has an empty map for a value.
    pub(super) fn empty_maps(split: &Split, window: Option<Window>) -> Self {
        let suffix = window.map(|w| format!("_{}", window_word(w)));
        Self {
            name: format!("{EMPTY}{}", suffix.unwrap_or_default()),
            partial: Partial {
                input: EMPTY.to_owned(),
                column: EMPTY.to_owned(),
                operation: Operation::Count,
                k: None,
                percentiles: Vec::new(),
                boolean: false,
                exact: true,
                fraction: false,
                entry: true,
                kind: Kind::Unknown,
                signed: false,
            },
            window,
            split: split.clone(),
        }
    }

    /// Whether the output is a map with texts as keys.
    pub(super) fn is_map(&self) -> bool {
        use Operation::{ApproxHistogramK, Histogram};
        match self.split {
            Split::Bucket(_) | Split::Entries(_) | Split::ElementsByBucket(..) => true,
            Split::None | Split::Elements(_) => {
                matches!(self.partial.operation, Histogram | ApproxHistogramK)
            }
            Split::Positions(_) => false,
        }
    }

    /// Whether it is a column of the output.
    pub(super) fn is_output(&self) -> bool {
        self.partial.input != EMPTY
    }

    /// Whether the output column has the same type whatever that of the input is.
    pub(super) fn has_fixed_type(&self) -> bool {
        use Operation::{
            ApproxUniqueCount, Average, BoundedUniqueCount, Count, Kurtosis, Skew, UniqueCount,
            Variance,
        };
        let fixed = matches!(
            self.partial.operation,
            Count
                | UniqueCount
                | ApproxUniqueCount
                | BoundedUniqueCount
                | Average
                | Variance
                | Skew
                | Kurtosis
        );
        fixed && matches!(self.split, Split::None | Split::Bucket(_))
    }

    /// The type of the output column, if that of the input tells it.
    pub(super) fn data_type(&self, input: &str) -> Option<String> {
        use Operation::{
            ApproxHistogramK, ApproxPercentile, ApproxUniqueCount, Average, BottomK,
            BoundedUniqueCount, Count, First, FirstK, Histogram, Kurtosis, Last, LastK, Max, Min,
            Skew, Sum, TopK, UniqueCount, Variance,
        };
        let item = match (&self.split, Shape::of_type(input)) {
            (Split::None | Split::Bucket(_), _) => input.to_owned(),
            (_, Shape::List(Some(item)) | Shape::Map(Some(item))) => item,
            _ => return None,
        };
        let value = match self.partial.operation {
            Count | UniqueCount | ApproxUniqueCount | BoundedUniqueCount => "bigint".to_owned(),
            Average | Variance | Skew | Kurtosis => "double".to_owned(),
            Sum => match item.as_str() {
                "boolean" | "tinyint" | "smallint" | "int" | "bigint" => "bigint".to_owned(),
                "float" | "double" => "double".to_owned(),
                _ => return None,
            },
            Min | Max | First | Last => item,
            FirstK | LastK | TopK | BottomK => format!("array<{item}>"),
            ApproxPercentile => "array<float>".to_owned(),
            Histogram => "map<string,int>".to_owned(),
            ApproxHistogramK => "map<string,bigint>".to_owned(),
        };
        Some(match self.split {
            Split::None | Split::Elements(_) => value,
            Split::Positions(_) => format!("array<{value}>"),
            Split::Bucket(_) | Split::Entries(_) | Split::ElementsByBucket(..) => {
                format!("map<string,{value}>")
            }
        })
    }
}

/// Lists count by their elements and maps by their entries, except where they are kept whole.
fn split(aggregation: &Aggregation, shape: &Shape, bucket: Option<&String>) -> Split {
    let input = aggregation.input_column.clone();
    let whole = match shape {
        Shape::List(Some(item)) if !inputs::is_scalar(item) => true,
        _ => inputs::keeps_whole(aggregation.operation),
    };
    match (shape, bucket) {
        (_, None) if whole => Split::None,
        (_, Some(bucket)) if whole => Split::Bucket(bucket.clone()),
        (Shape::List(_), None) if aggregation.element_wise == Some(true) => Split::Positions(input),
        (Shape::List(_), None) => Split::Elements(input),
        (Shape::List(_), Some(bucket)) => Split::ElementsByBucket(input, bucket.clone()),
        (Shape::Map(_), None) => Split::Entries(input),
        (_, None) => Split::None,
        (_, Some(bucket)) => Split::Bucket(bucket.clone()),
    }
}

/// `7d`, `12h`.
pub(super) fn window_word(window: Window) -> String {
    match window.time_unit {
        TimeUnit::Hours => format!("{}h", window.length),
        TimeUnit::Days => format!("{}d", window.length),
    }
}

/// A number that may not be one: NaN and Infinity are NULL in the engine's output.
fn finite(value: &str) -> String {
    format!("IF(CAST({value} AS STRING) IN ('NaN', 'Infinity', '-Infinity'), NULL, {value})")
}

/// The same where the value may also be a text that reads `NaN`.
fn finite_if_fraction(value: &str) -> String {
    format!(
        "IF(TYPEOF({value}) IN ('double', 'float') AND CAST({value} AS STRING) IN ('NaN', 'Infinity', '-Infinity'), NULL, {value})"
    )
}

impl Partial {
    fn of(aggregation: &Aggregation, shape: &Shape, split: &Split) -> Self {
        let whole = matches!(split, Split::None | Split::Bucket(_));
        let data_type = match shape {
            Shape::Scalar(data_type) => data_type.as_deref(),
            Shape::List(item) | Shape::Map(item) if !whole => item.as_deref(),
            // A whole list or map is never NaN.
            Shape::List(_) | Shape::Map(_) => Some("array"),
        };
        let argument = |name: &str| aggregation.arg_map.as_ref().and_then(|map| map.get(name));
        let k = argument("k").and_then(|k| k.trim().parse().ok());
        let default_k = match aggregation.operation {
            Operation::BoundedUniqueCount => Some(8),
            _ => None,
        };
        let percentiles = argument("percentiles").map_or_else(
            || vec!["0.5".to_owned()],
            |list| {
                let inner = list.trim().trim_start_matches('[').trim_end_matches(']');
                inner.split(',').map(|p| p.trim().to_owned()).collect()
            },
        );
        Self {
            input: aggregation.input_column.clone(),
            column: if whole {
                aggregation.input_column.clone()
            } else {
                ITEM.to_owned()
            },
            operation: aggregation.operation,
            k: k.or(default_k),
            percentiles,
            boolean: data_type == Some("boolean"),
            fraction: matches!(data_type, Some("double" | "float")),
            entry: split.has_pieces(),
            kind: if whole { shape.kind() } else { Kind::Unknown },
            signed: false,
            exact: data_type.is_some_and(|t| {
                matches!(
                    t,
                    "array"
                        | "string"
                        | "boolean"
                        | "tinyint"
                        | "smallint"
                        | "int"
                        | "bigint"
                        | "date"
                        | "timestamp"
                        | "binary"
                )
            }),
        }
    }

    /// The same where mutations take rows back.
    pub(super) fn signed(mut self) -> Self {
        self.signed = true;
        self
    }

    /// The operation in column names.
    fn word(&self) -> String {
        let k = self.k.map(|k| k.to_string()).unwrap_or_default();
        match self.operation {
            Operation::Min => "min".into(),
            Operation::Max => "max".into(),
            Operation::First => "first".into(),
            Operation::Last => "last".into(),
            Operation::UniqueCount => "unique_count".into(),
            Operation::ApproxUniqueCount => "approx_unique_count".into(),
            Operation::Count => "count".into(),
            Operation::Sum => "sum".into(),
            Operation::Average => "average".into(),
            Operation::Variance => "variance".into(),
            Operation::Skew => "skew".into(),
            Operation::Kurtosis => "kurtosis".into(),
            Operation::ApproxPercentile => "approx_percentile".into(),
            Operation::LastK => format!("last{k}"),
            Operation::FirstK => format!("first{k}"),
            Operation::TopK => format!("top{k}"),
            Operation::BottomK => format!("bottom{k}"),
            Operation::Histogram => "histogram".into(),
            Operation::ApproxHistogramK => "approx_histogram_k".into(),
            Operation::BoundedUniqueCount => "bounded_unique_count".into(),
        }
    }

    /// The row column that is aggregated.
    pub(super) fn row_column(&self) -> String {
        ident(&self.column)
    }

    /// The most values that a bounded operation keeps.
    pub(super) fn bound(&self) -> usize {
        self.k.unwrap_or(usize::MAX)
    }

    /// Whether the operation cannot work without `k`.
    pub(super) fn lacks_k(&self) -> bool {
        use Operation::{BottomK, FirstK, LastK, TopK};
        matches!(self.operation, LastK | FirstK | TopK | BottomK) && self.k.is_none()
    }

    /// Whether the partial result can be stored as the engine stores it.
    pub(super) fn can_be_stored(&self) -> bool {
        use Operation::{
            ApproxHistogramK, ApproxPercentile, ApproxUniqueCount, BoundedUniqueCount, Kurtosis,
            Skew,
        };
        !matches!(
            self.operation,
            ApproxHistogramK
                | ApproxPercentile
                | ApproxUniqueCount
                | BoundedUniqueCount
                | Kurtosis
                | Skew
        )
    }

    /// The column of the table of daily increments.
    pub(super) fn stored_name(&self) -> String {
        format!("{}_{}", self.input, self.word())
    }

    /// The partial result as the engine stores it, from [`Partial::columns`].
    pub(super) fn store(&self) -> String {
        let columns: Vec<String> = self.columns().iter().map(|name| ident(name)).collect();
        let c = columns.first().cloned().unwrap_or_default();
        let entry = |row: &str, sign: &str| {
            format!("NAMED_STRUCT('epochMillis', {sign}{row}.at, 'payload', {row}.value)")
        };
        let present = |value: String| format!("IF({c} IS NULL, NULL, {value})");
        // A day without any input has nothing, not an empty list. The engine's heap has its worst
        // entry first (`MinHeap`).
        let filled = |value: String| format!("IF(SIZE({c}) > 0, {value}, NULL)");
        match self.operation {
            Operation::Average => {
                let n = columns.get(1).cloned().unwrap_or_default();
                present(format!(
                    "NAMED_STRUCT('sum', {c}, 'count', CAST({n} AS INT))"
                ))
            }
            Operation::First => present(entry(&c, "")),
            Operation::Last => present(entry(&c, "-")),
            Operation::FirstK => {
                filled(format!("TRANSFORM(REVERSE({c}), e -> {})", entry("e", "")))
            }
            Operation::LastK => {
                filled(format!("TRANSFORM(REVERSE({c}), e -> {})", entry("e", "-")))
            }
            Operation::TopK | Operation::BottomK => filled(format!("REVERSE({c})")),
            Operation::UniqueCount => filled(c.clone()),
            Operation::Histogram => filled(format!(
                "TRANSFORM_VALUES({c}, (word, n) -> CAST(n AS INT))"
            )),
            Operation::Variance => format!(
                "IF({c}.n > 0, NAMED_STRUCT('count', CAST({c}.n AS INT), 'mean', {c}.mean, 'm2', {c}.m2), NULL)"
            ),
            _ => c,
        }
    }

    /// [`Partial::columns`] from what the engine stores; the reverse of [`Partial::store`].
    pub(super) fn load(&self) -> Vec<String> {
        let c = ident(&self.stored_name());
        let entry = |row: &str, sign: &str| {
            format!("NAMED_STRUCT('at', {sign}{row}.epochMillis, 'value', {row}.payload)")
        };
        let present = |value: String| format!("IF({c} IS NULL, NULL, {value})");
        vec![match self.operation {
            Operation::Average => {
                return vec![format!("{c}.sum"), format!("CAST({c}.count AS BIGINT)")];
            }
            Operation::First => present(entry(&c, "")),
            Operation::Last => present(entry(&c, "-")),
            Operation::FirstK => format!("TRANSFORM({c}, e -> {})", entry("e", "")),
            Operation::LastK => format!("TRANSFORM({c}, e -> {})", entry("e", "-")),
            Operation::Histogram => {
                format!("TRANSFORM_VALUES({c}, (word, n) -> CAST(n AS BIGINT))")
            }
            Operation::Variance => present(format!(
                "NAMED_STRUCT('n', CAST({c}.count AS DOUBLE), 'mean', {c}.mean, 'm2', {c}.m2, 'm3', 0D, 'm4', 0D)"
            )),
            _ => c,
        }]
    }

    /// The columns that hold the partial result.
    pub(super) fn columns(&self) -> Vec<String> {
        let base = format!("{}_{}", self.input, self.word());
        let base = match self.operation {
            Operation::Histogram | Operation::ApproxHistogramK | Operation::BoundedUniqueCount => {
                format!(
                    "{base}{}",
                    self.k.map(|k| k.to_string()).unwrap_or_default()
                )
            }
            Operation::ApproxPercentile => {
                let list: Vec<_> = self
                    .percentiles
                    .iter()
                    .map(|p| p.replace('.', "_"))
                    .collect();
                format!("{base}_{}", list.join("_"))
            }
            _ => base,
        };
        match self.operation {
            Operation::Average => vec![format!("{base}_total"), format!("{base}_n")],
            _ => vec![base],
        }
    }

    /// The partial result of one row, per column; NULL for a NULL input.
    ///
    /// Of rows with the same time the smallest value counts as the first and as the last one:
    /// the engine takes the same row for both, whichever it saw first.
    pub(super) fn lift(&self, row: &str) -> Vec<String> {
        let x = format!("{row}{}", ident(&self.column));
        let ts = format!("{row}ts");
        let number = if self.boolean {
            format!("CAST({x} AS INT)")
        } else {
            x.clone()
        };
        let present = |value: String| format!("IF({x} IS NULL, NULL, {value})");
        // Spark has no order of maps, and rows of one time have to be put into one.
        let value = self.kind.orderable(&x);
        match self.operation {
            Operation::Count => vec![present("1L".into())],
            Operation::Sum => vec![number],
            Operation::Average => vec![format!("CAST({number} AS DOUBLE)"), present("1L".into())],
            Operation::Min | Operation::Max => vec![x],
            Operation::First => vec![present(format!(
                "NAMED_STRUCT('at', {ts}, 'value', {value})"
            ))],
            Operation::Last => vec![present(format!(
                "NAMED_STRUCT('at', -{ts}, 'value', {value})"
            ))],
            Operation::FirstK => vec![present(format!(
                "ARRAY(NAMED_STRUCT('at', {ts}, 'value', {value}))"
            ))],
            Operation::LastK => vec![present(format!(
                "ARRAY(NAMED_STRUCT('at', -{ts}, 'value', {value}))"
            ))],
            Operation::TopK
            | Operation::BottomK
            | Operation::UniqueCount
            | Operation::ApproxUniqueCount
            | Operation::BoundedUniqueCount => vec![present(format!("ARRAY({x})"))],
            Operation::ApproxPercentile => {
                vec![format!(
                    "IF({x} IS NULL OR ISNAN({x}), NULL, ARRAY(CAST({x} AS FLOAT)))"
                )]
            }
            Operation::Histogram | Operation::ApproxHistogramK => {
                vec![present(format!("MAP(CAST({x} AS STRING), 1L)"))]
            }
            Operation::Variance | Operation::Skew | Operation::Kurtosis => vec![present(format!(
                // NaN and Infinity have no distance from themselves.
                "NAMED_STRUCT('n', 1D, 'mean', CAST({x} AS DOUBLE), 'm2', CAST({x} AS DOUBLE) - CAST({x} AS DOUBLE), 'm3', 0D, 'm4', 0D)"
            ))],
        }
    }

    /// [`Partial::lift`] for rows with a sign: what can be taken back is, the rest stays.
    pub(super) fn lift_signed(&self, row: &str) -> Vec<String> {
        let sign = format!("{row}{SIGN}");
        let cells = self.lift(row).into_iter();
        match self.operation {
            Operation::Count | Operation::Sum | Operation::Average => {
                cells.map(|cell| format!("{sign} * {cell}")).collect()
            }
            Operation::Histogram => cells
                .map(|cell| format!("TRANSFORM_VALUES({cell}, (word, n) -> {sign} * n)"))
                .collect(),
            _ => cells
                .map(|cell| format!("IF({sign} > 0, {cell}, NULL)"))
                .collect(),
        }
    }

    /// Partial results merged, per column. `cells` are the inputs; `over` is empty or ` OVER w`.
    pub(super) fn merge(&self, cells: &[String], over: &str) -> Vec<String> {
        cells
            .iter()
            .map(|cell| self.merge_one(cell, over))
            .collect()
    }

    /// [`Partial::merge`] of partial results with a sign: what was taken back is gone.
    pub(super) fn merge_signed(&self, cells: &[String]) -> Vec<String> {
        let merged = self.merge(cells, "").into_iter();
        match self.operation {
            Operation::Histogram => merged
                .zip(cells)
                .map(|(all, cell)| {
                    format!("IF(COUNT({cell}) > 0, MAP_FILTER({all}, (word, n) -> n <> 0), NULL)")
                })
                .collect(),
            _ => merged.collect(),
        }
    }

    fn merge_one(&self, cell: &str, over: &str) -> String {
        let collected = format!("COLLECT_LIST({cell}){over}");
        let k = self.k.unwrap_or(usize::MAX);
        match self.operation {
            Operation::Count | Operation::Sum | Operation::Average => format!("SUM({cell}){over}"),
            // One NaN makes the engine's minimum NaN; Spark's NaN is the largest number.
            Operation::Min if !self.exact => {
                let largest = format!("MAX({cell}){over}");
                let is_nan = match self.fraction {
                    true => format!("ISNAN({largest})"),
                    false => format!(
                        "TYPEOF({largest}) IN ('double', 'float') AND CAST({largest} AS STRING) = 'NaN'"
                    ),
                };
                format!("IF({is_nan}, {largest}, MIN({cell}){over})")
            }
            Operation::Min | Operation::First | Operation::Last => format!("MIN({cell}){over}"),
            Operation::Max => format!("MAX({cell}){over}"),
            Operation::FirstK | Operation::LastK | Operation::BottomK => {
                format!("SLICE(SORT_ARRAY(FLATTEN({collected})), 1, {k})")
            }
            Operation::TopK => {
                format!("SLICE(SORT_ARRAY(FLATTEN({collected}), false), 1, {k})")
            }
            Operation::UniqueCount | Operation::ApproxUniqueCount => {
                format!("ARRAY_DISTINCT(FLATTEN({collected}))")
            }
            Operation::BoundedUniqueCount => {
                format!("SLICE(ARRAY_DISTINCT(FLATTEN({collected})), 1, {k})")
            }
            Operation::ApproxPercentile => format!("FLATTEN({collected})"),
            Operation::Histogram | Operation::ApproxHistogramK => format!(
                "AGGREGATE({collected}, CAST(MAP() AS MAP<STRING, BIGINT>), (a, b) -> MAP_ZIP_WITH(a, b, (word, x, y) -> COALESCE(x, 0L) + COALESCE(y, 0L)))"
            ),
            Operation::Variance | Operation::Skew | Operation::Kurtosis => format!(
                "AGGREGATE({collected}, {NO_MOMENTS}, (a, b) -> IF(a.n = 0, b, {MERGED_MOMENTS}))"
            ),
        }
    }

    /// A row's value from what [`Partial::lift`] made of it, so that rows have an order.
    pub(super) fn restored(&self, value: &str) -> String {
        self.kind.restored(value)
    }

    /// The feature's value from its merged partial result; NULL if no input was there.
    pub(super) fn finish(&self, cells: &[String]) -> String {
        let c = cells.first().cloned().unwrap_or_default();
        let fraction = |value: &str| match self.exact || self.entry {
            true => value.to_owned(),
            false => finite_if_fraction(value),
        };
        let finite = |value: &str| match self.entry {
            true => value.to_owned(),
            false => finite(value),
        };
        let kept = |row: &str| self.restored(&format!("{row}.value"));
        match self.operation {
            Operation::Count => c,
            Operation::Sum if self.exact => c,
            Operation::Sum => finite(&c),
            Operation::Average => {
                let n = cells.get(1).cloned().unwrap_or_default();
                let mean = format!("({c} / {n})");
                match self.signed && self.entry {
                    // Nothing is left of something; SQL divides by zero otherwise.
                    true => format!("IF({n} = 0, DOUBLE('NaN'), {mean})"),
                    false => finite(&mean),
                }
            }
            Operation::Min | Operation::Max => fraction(&c),
            Operation::First | Operation::Last => fraction(&kept(&c)),
            Operation::FirstK | Operation::LastK => {
                format!(
                    "IF(SIZE({c}) > 0, TRANSFORM({c}, e -> {}), NULL)",
                    kept("e")
                )
            }
            Operation::TopK | Operation::BottomK => format!("IF(SIZE({c}) > 0, {c}, NULL)"),
            Operation::UniqueCount | Operation::BoundedUniqueCount => {
                format!("IF(SIZE({c}) > 0, CAST(SIZE({c}) AS BIGINT), NULL)")
            }
            // The engine's sketch does not see empty texts.
            Operation::ApproxUniqueCount => format!(
                "IF(SIZE({c}) > 0, CAST(SIZE(FILTER({c}, x -> CAST(x AS STRING) <> '')) AS BIGINT), NULL)"
            ),
            Operation::ApproxPercentile => self.percentiles_of(&c),
            Operation::Histogram => format!(
                "IF(SIZE({c}) {} 0, TRANSFORM_VALUES({}, (word, n) -> CAST(n AS INT)), NULL)",
                if self.signed { ">=" } else { ">" },
                self.most_frequent(&c)
            ),
            Operation::ApproxHistogramK => {
                format!("IF(SIZE({c}) > 0, {}, NULL)", self.most_frequent(&c))
            }
            Operation::Variance | Operation::Skew | Operation::Kurtosis => self.moment(&c),
        }
    }

    /// The value of the moments `c` of all inputs.
    fn moment(&self, c: &str) -> String {
        // Too few values to tell: NaN, which only an entry shows.
        let too_few = match self.entry {
            true => format!("IF({c}.n > 0, DOUBLE('NaN'), NULL)"),
            false => "NULL".to_owned(),
        };
        let (enough, value, otherwise) = match self.operation {
            Operation::Skew => (
                format!("{c}.n >= 3 AND {c}.m2 > 0"),
                format!("(SQRT({c}.n) * {c}.m3 / POWER({c}.m2, 1.5D))"),
                too_few,
            ),
            Operation::Kurtosis => (
                format!("{c}.n >= 4 AND {c}.m2 > 0"),
                format!("({c}.n * {c}.m4 / ({c}.m2 * {c}.m2) - 3D)"),
                too_few,
            ),
            _ => (
                format!("{c}.n > 0"),
                format!("({c}.m2 / {c}.n)"),
                "NULL".to_owned(),
            ),
        };
        let value = match self.entry {
            true => value,
            false => finite(&value),
        };
        format!("IF({enough}, {value}, {otherwise})")
    }

    fn percentiles_of(&self, values: &str) -> String {
        let points: Vec<_> = self.percentiles.iter().map(|p| format!("{p}D")).collect();
        format!(
            "IF(SIZE({values}) > 0, TRANSFORM(ARRAY({}), p -> ELEMENT_AT(SORT_ARRAY({values}), LEAST(CAST(FLOOR(p * SIZE({values})) AS INT) + 1, SIZE({values})))), NULL)",
            points.join(", ")
        )
    }

    /// The k most frequent entries of a count map, or all without k.
    ///
    /// A plain histogram takes the first k entries that are at least as frequent as the k-th,
    /// in the order of a Java hash map, as the engine does.
    fn most_frequent(&self, counts: &str) -> String {
        let Some(k) = self.k else {
            return counts.to_owned();
        };
        if self.operation == Operation::Histogram {
            let least = format!("ELEMENT_AT(SORT_ARRAY(MAP_VALUES({counts}), false), {k})");
            let frequent = format!("MAP_FILTER({counts}, (word, n) -> n >= {least})");
            let hashed = format!(
                "TRANSFORM(MAP_ENTRIES({frequent}), e -> NAMED_STRUCT('h', {}, 'e', e))",
                java_hash("e.key")
            );
            // Words that share a slot come as they were met, which is not known here.
            let ordered = format!(
                "SORT_ARRAY(TRANSFORM({hashed}, x -> NAMED_STRUCT('slot', -PMOD(x.h ^ SHIFTRIGHT(x.h, 16), {}), 'e', x.e)), false)",
                slots(counts)
            );
            return format!(
                "IF(SIZE({counts}) <= {k}, {counts}, MAP_FROM_ENTRIES(TRANSFORM(SLICE({ordered}, 1, {k}), x -> x.e)))"
            );
        }
        format!(
            "MAP_FROM_ENTRIES(SLICE(ARRAY_SORT(MAP_ENTRIES({counts}), (a, b) -> CASE WHEN a.value <> b.value THEN CAST(SIGN(b.value - a.value) AS INT) WHEN a.key < b.key THEN -1 ELSE 1 END), 1, {k}))"
        )
    }
}

/// The number of slots of a Java hash map that was copied from `counts`.
fn slots(counts: &str) -> String {
    format!("SHIFTLEFT(1L, LENGTH(BIN(CAST(FLOOR(SIZE({counts}) / 0.75D) AS BIGINT))))")
}

/// Central moments of nothing.
const NO_MOMENTS: &str = "NAMED_STRUCT('n', 0D, 'mean', 0D, 'm2', 0D, 'm3', 0D, 'm4', 0D)";

/// Central moments of two disjoint sets `a` and `b` (Chan, Pébay).
const MERGED_MOMENTS: &str = "NAMED_STRUCT(
      'n', a.n + b.n,
      'mean', a.mean + (b.mean - a.mean) * b.n / (a.n + b.n),
      'm2', a.m2 + b.m2 + POWER(b.mean - a.mean, 2) * a.n * b.n / (a.n + b.n),
      'm3', a.m3 + b.m3 + POWER(b.mean - a.mean, 3) * a.n * b.n * (a.n - b.n) / POWER(a.n + b.n, 2)
          + 3D * (b.mean - a.mean) * (a.n * b.m2 - b.n * a.m2) / (a.n + b.n),
      'm4', a.m4 + b.m4 + POWER(b.mean - a.mean, 4) * a.n * b.n * (a.n * a.n - a.n * b.n + b.n * b.n) / POWER(a.n + b.n, 3)
          + 6D * POWER(b.mean - a.mean, 2) * (a.n * a.n * b.m2 + b.n * b.n * a.m2) / POWER(a.n + b.n, 2)
          + 4D * (b.mean - a.mean) * (a.n * b.m3 - b.n * a.m3) / (a.n + b.n))";
