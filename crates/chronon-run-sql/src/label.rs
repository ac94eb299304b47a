//! Label joins: labels that became known by a day, for older left rows (§3, §4.2).
//!
//! For the label day L the left rows of `L−(S−1) ..= L−(E−1)` get the labels of the snapshot L,
//! or of a window that ends with L. They are written to `O_labels` (by `label_ds` and day). The
//! view `O_labeled` joins them to the features, `O_labeled_latest` keeps each day's newest.

use chronon_run_conf::{DataModel, GroupBy, Join, JoinPart, LabelPart, TimeUnit};
use chronon_run_core::{Ds, PartitionRange, TableName};

use super::{
    DRIVER_TOO, Refusal, Request, Types,
    day::DayColumn,
    derive, group_by,
    join::part_skew,
    output::Output,
    script::Script,
    source::{self, Reach, Scan, Span},
    text::{ident, indent, list, text},
    usage::{Target, Use, Values},
};

/// The partition column of the day at which labels were known.
const LABEL_DS: &str = "label_ds";
/// The view of the left rows that get labels.
const LEFT: &str = "label_left";

/// Fields of a join that a label join cannot do, as `(field, why)`; the labels' GroupBys are
/// checked by the caller.
pub(super) fn check(conf: &Join) -> Vec<(String, String)> {
    let mut problems = Vec::new();
    let mut add = |field: String, why: String| problems.push((field, why));
    let Some(label) = &conf.label_part else {
        add(
            "labelPart".into(),
            format!("the join has no labels; {DRIVER_TOO}"),
        );
        return problems;
    };
    if conf.left.data_model() != DataModel::Events {
        let why = format!("labels need events on the left; {DRIVER_TOO}");
        add("left".into(), why);
    }
    let (oldest, newest) = offsets(label);
    if oldest < newest {
        add(
            "labelPart.leftStartOffset".into(),
            format!("it is {oldest}, which is after leftEndOffset {newest}; {DRIVER_TOO}"),
        );
    }
    for part in &label.labels {
        let path = format!("labelPart.labels[{}]", part.full_prefix());
        for why in label_problems(&part.group_by) {
            let field = format!("{path}.groupBy.aggregations");
            add(field, format!("{why}; {DRIVER_TOO}"));
        }
    }
    problems
}

/// What is not possible for a label's GroupBy.
fn label_problems(conf: &GroupBy) -> Vec<&'static str> {
    let aggregations = conf.aggregations.as_deref().unwrap_or_default();
    let entities = conf.data_model() == DataModel::Entities;
    match (aggregations, entities) {
        ([], true) => Vec::new(),
        ([], false) => vec!["labels without aggregations must be entities"],
        (_, true) => vec!["labels with aggregations must be events"],
        ([one], false) => match one.windows.as_deref() {
            Some([window]) if window.time_unit == TimeUnit::Days => Vec::new(),
            _ => vec!["a label needs exactly one window of days"],
        },
        _ => vec!["labels have one aggregation"],
    }
}

/// `(S, E)`: how old left rows are, in days, when they get labels; 1 is the label's own day.
fn offsets(label: &LabelPart) -> (i32, i32) {
    (
        label.left_start_offset.unwrap_or(1),
        label.left_end_offset.unwrap_or(1),
    )
}

/// `(key, left column)` of a label.
fn keys(part: &JoinPart) -> Vec<(String, String)> {
    let owned = |(key, left): (&str, &str)| (key.to_owned(), left.to_owned());
    part.left_columns().map(owned).collect()
}

/// The left columns that labels are looked up by.
fn key_columns(label: &LabelPart) -> Vec<String> {
    let mut columns = Vec::new();
    for (_, left) in label.labels.iter().flat_map(keys) {
        if !columns.contains(&left) {
            columns.push(left);
        }
    }
    columns
}

/// The columns that identify a left row, its day last.
fn row_ids(conf: &Join, label: &LabelPart, ds: &str) -> Vec<String> {
    let declared = conf.row_ids.as_deref().unwrap_or_default();
    let mut ids: Vec<String> = declared.to_vec();
    if ids.is_empty() {
        ids = key_columns(label);
    }
    if !ids.iter().any(|id| id == ds) {
        ids.push(ds.to_owned());
    }
    ids
}

/// The script of a label join for each label day of the request.
pub(super) fn compile(
    request: &Request<'_>,
    conf: &Join,
    script: &mut Script<'_>,
) -> Result<(), Refusal> {
    let refuse = |(field, why): Finding| request.refuse(field, why);
    let Some(label) = &conf.label_part else {
        return Err(request.refuse("labelPart", "the join has no labels"));
    };
    let output = request.output_table(&conf.meta_data)?;
    let labels = Labels {
        conf,
        label,
        ids: row_ids(conf, label, script.ds),
        table: output.suffixed("_labels"),
        features: output,
    };
    for setup in conf.left.query().setups.iter().flatten() {
        script.heading("left: setups");
        script.statement(setup);
    }
    for part in &label.labels {
        group_by::setups(&part.group_by, script);
    }
    let mut columns = Vec::new();
    for day in request.range.iter() {
        columns = labels.day(day, script).map_err(refuse)?;
    }
    labels.views(&columns, script).map_err(refuse)
}

type Finding = (String, String);

/// What the days of one label join share.
struct Labels<'a> {
    conf: &'a Join,
    label: &'a LabelPart,
    /// The columns that identify a left row.
    ids: Vec<String>,
    /// `O_labels`.
    table: TableName,
    /// `O`.
    features: TableName,
}

impl Labels<'_> {
    /// Writes the labels of one day and returns the columns of `O_labels`.
    fn day(&self, day: Ds, script: &mut Script<'_>) -> Result<Vec<String>, Finding> {
        let (oldest, newest) = offsets(self.label);
        let left = PartitionRange {
            start: day.plus(1 - oldest),
            end: day.plus(1 - newest),
        };
        self.left(left, script)?;
        let mut order = self.ids.clone();
        let mut values = Vec::new();
        let mut joins = String::new();
        for (index, part) in self.label.labels.iter().enumerate() {
            let label = self.part(part, day, script)?;
            let alias = format!("p{}", index + 1);
            let keys = keys(part);
            // A join moves its keys to the front; what does not identify a row is left out.
            let front = keys.iter().map(|(_, left)| left.clone());
            let front: Vec<String> = front.filter(|left| self.ids.contains(left)).collect();
            order.retain(|column| !front.contains(column));
            order.splice(0..0, front);
            let on: Vec<String> = keys
                .iter()
                .map(|(key, left)| format!("l.{} = {alias}.{}", ident(left), ident(key)))
                .collect();
            joins.push_str(&format!(
                "\nLEFT JOIN {} {alias}  -- labelPart.labels {}\n  ON {}",
                ident(&label.view),
                part.full_prefix(),
                on.join(" AND ")
            ));
            for value in &label.values {
                let name = format!("{}_{value}", part.full_prefix());
                values.push((name, format!("{alias}.{}", ident(value))));
            }
        }
        order.retain(|column| column != script.ds);
        let columns: Vec<String> = order
            .iter()
            .cloned()
            .chain(values.iter().map(|(name, _)| name.clone()))
            .chain([LABEL_DS.to_owned(), script.ds.to_owned()])
            .collect();
        self.write(day, left, &columns, &values, &joins, script);
        Ok(columns)
    }

    /// Declares the left rows of the days: what identifies them, and the keys of their labels.
    fn left(&self, range: PartitionRange, script: &mut Script<'_>) -> Result<(), Finding> {
        let left = &self.conf.left;
        let table = left
            .table()
            .map_err(|error| ("left.table".to_owned(), error.to_string()))?
            .table;
        let span = Span::Days(range);
        let scan = Scan::of(left, &table, span, Reach::Span, script.tables(), script.ds)
            .map_err(|why| ("left".to_owned(), why))?;
        let query = left.query();
        let day = DayColumn::of(query, &table, script.tables(), script.ds);
        let implicit = source::implicit(&day, script.ds, query.time_column.clone());
        let (sql, columns) = source::select(query, &table, &implicit, &scan, script.tables());
        let mut kept = self.ids.clone();
        kept.extend(
            key_columns(self.label)
                .into_iter()
                .filter(|key| !self.ids.contains(key)),
        );
        if let Some(lacking) = kept.iter().find(|name| !columns.contains(name)) {
            let why = format!("the left has no column `{lacking}`");
            return Err(("rowIds".into(), why));
        }
        let skewed = super::join::without_skew(self.conf);
        script.query(
            LEFT,
            "left, rowIds: the rows that get labels",
            &format!(
                "SELECT {}\nFROM (\n  {}\n){skewed}",
                list(&kept),
                indent(&sql, 2)
            ),
        );
        Ok(())
    }

    /// Declares one label's values at the end of the day; windows are written to their table.
    fn part(&self, part: &JoinPart, day: Ds, script: &mut Script<'_>) -> Result<Values, Finding> {
        let at = |(field, why): Finding| {
            let path = format!("labelPart.labels[{}].groupBy", part.full_prefix());
            (format!("{path}.{field}"), why)
        };
        let base = GroupBy {
            derivations: None,
            ..part.group_by.clone()
        };
        let values = group_by::values(
            &Use {
                conf: &base,
                prefix: format!("label_{}", part.full_prefix()),
                span: Span::Days(PartitionRange {
                    start: day,
                    end: day,
                }),
                target: Target::DayEnds,
                left_keys: keys(part),
                left: Some(LEFT.to_owned()),
                skew: part_skew(self.conf, part.key_mapping.as_ref(), &base.key_columns),
            },
            script,
        )
        .map_err(at)?;
        if base.aggregations.as_ref().is_none_or(Vec::is_empty) {
            return Ok(values);
        }
        self.cache(part, values, day, script)
    }

    /// Writes the table of an aggregated label, by label day.
    fn cache(
        &self,
        part: &JoinPart,
        values: Values,
        day: Ds,
        script: &mut Script<'_>,
    ) -> Result<Values, Finding> {
        let mut columns: Vec<String> = values.columns;
        columns.retain(|column| column != script.ds);
        let mut lines: Vec<String> = columns.iter().map(|column| ident(column)).collect();
        lines.push(format!("{} AS {LABEL_DS}", ident(script.ds)));
        columns.push(LABEL_DS.to_owned());
        let view = format!("label_{}_by_day", part.full_prefix());
        script.query(
            &view,
            "labelPart.labels: the label, by the day at which it was known",
            &format!("SELECT {}\nFROM {}", lines.join(", "), ident(&values.view)),
        );
        let output = Output {
            table: self.features.suffixed(&format!("_{}", part.full_prefix())),
            kind: None,
            meta: &self.conf.meta_data,
            columns: Some(columns.clone()),
            types: Types::new(),
            likely: Types::new(),
            partitioned_by: vec![LABEL_DS.to_owned()],
        };
        script.create(&output, &view);
        script.overwrite(
            &output,
            &view,
            Some(PartitionRange {
                start: day,
                end: day,
            }),
        );
        Ok(Values {
            view,
            columns,
            values: values.values,
        })
    }

    /// Writes `O_labels` for one label day.
    fn write(
        &self,
        day: Ds,
        left: PartitionRange,
        columns: &[String],
        values: &[(String, String)],
        joins: &str,
        script: &mut Script<'_>,
    ) {
        let ids = list(&self.ids);
        let mut joined: Vec<String> = self
            .ids
            .iter()
            .map(|id| format!("l.{}", ident(id)))
            .collect();
        joined.extend(values.iter().map(|(name, value)| derive::line(name, value)));
        let first: Vec<String> = values
            .iter()
            .map(|(name, _)| format!("FIRST({0}) AS {0}", ident(name)))
            .collect();
        let first: String = first.iter().map(|line| format!(",\n    {line}")).collect();
        let ordered: Vec<String> = columns
            .iter()
            .map(|column| match column.as_str() {
                LABEL_DS => format!("{} AS {LABEL_DS}", text(&day.to_string())),
                _ => ident(column),
            })
            .collect();
        script.query(
            "labels",
            "labelPart: one row per row identifier",
            &format!(
                "SELECT {}\nFROM (\n  SELECT {ids}{first}\n  FROM (\n    SELECT {}\n    FROM {LEFT} l{}\n  )\n  GROUP BY {ids}\n)",
                ordered.join(", "),
                joined.join(", "),
                indent(joins, 4),
            ),
        );
        let output = Output {
            table: self.table.clone(),
            kind: Some("label"),
            meta: &self.conf.meta_data,
            columns: Some(columns.to_vec()),
            types: Types::new(),
            likely: Types::new(),
            partitioned_by: vec![LABEL_DS.to_owned(), script.ds.to_owned()],
        };
        script.create(&output, "labels");
        let old: Vec<String> = left
            .iter()
            .map(|ds| {
                format!(
                    "PARTITION ({LABEL_DS}='{day}', {}='{ds}')",
                    ident(script.ds)
                )
            })
            .collect();
        script.heading("a day that has no rows any more must not keep its old labels");
        script.statement(&format!(
            "ALTER TABLE {} DROP IF EXISTS {}",
            self.table,
            old.join(", ")
        ));
        script.overwrite(&output, "labels", None);
    }

    /// The views of features and labels.
    fn views(&self, planned: &[String], script: &mut Script<'_>) -> Result<(), Finding> {
        let features = columns_of(script, &self.features);
        if features.is_empty() {
            let why = format!("{} does not exist yet; run the join first", self.features);
            return Err(("labelPart".into(), why));
        }
        let mut labels = columns_of(script, &self.table);
        if labels.is_empty() {
            labels = planned.to_vec();
        }
        let is_id = |name: &String| self.ids.iter().any(|id| id.eq_ignore_ascii_case(name));
        let mut lines: Vec<String> = self
            .ids
            .iter()
            .chain(features.iter().filter(|name| !is_id(name)))
            .map(|name| format!("l.{}", ident(name)))
            .collect();
        lines.extend(labels.iter().filter(|name| !is_id(name)).map(|name| {
            match name.starts_with("label") {
                true => format!("r.{}", ident(name)),
                false => format!("r.{} AS {}", ident(name), ident(&format!("label_{name}"))),
            }
        }));
        let on: Vec<String> = self
            .ids
            .iter()
            .map(|id| format!("l.{0} = r.{0}", ident(id)))
            .collect();
        let properties = format!(
            "TBLPROPERTIES ({} = {}, {} = {})",
            text("label_table"),
            text(self.table.as_str()),
            text("feature_table"),
            text(self.features.as_str())
        );
        let labeled = self.features.suffixed("_labeled");
        script.heading("the view of features and labels, once per label day");
        script.statement(&format!(
            "CREATE OR REPLACE VIEW {labeled}\n{properties} AS\nSELECT\n  {}\nFROM {} l\nLEFT JOIN {} r\n  ON {}",
            lines.join(",\n  "),
            self.features,
            self.table,
            on.join(" AND ")
        ));
        script.heading("the view of features and the newest labels of each day");
        let ds = ident(script.ds);
        script.statement(&format!(
            "CREATE OR REPLACE VIEW {labeled}_latest\n{properties} AS\nSELECT v.*\nFROM {labeled} v\nLEFT JOIN (SELECT {ds} AS labeled_day, MAX({LABEL_DS}) AS latest FROM {} GROUP BY {ds}) m\n  ON v.{ds} = m.labeled_day\nWHERE m.labeled_day IS NULL OR v.{LABEL_DS} = m.latest",
            self.table
        ));
        Ok(())
    }
}

/// The columns of a table as it is now, each once.
fn columns_of(script: &Script<'_>, table: &TableName) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let state = script.tables().table(table);
    for column in state.iter().flat_map(|state| {
        let info = &state.info;
        info.columns.iter().chain(&info.partition_columns)
    }) {
        if !names.contains(&column.name) {
            names.push(column.name.clone());
        }
    }
    names
}
