//! What is added to the left rows before any part is computed: ready values (`bootstrapParts`)
//! and the columns of external sources that have nothing offline (engine-semantics 3, Bootstrap).

use std::collections::BTreeSet;

use chronon_run_conf::{BootstrapPart, ExternalPart, Join, Query, left_column};
use chronon_run_core::{CatalogSnapshot, PartitionRange, TableName, TableSpec};
use serde_json::{Map, Value, json};

use super::{
    BY_DRIVER,
    day::DayColumn,
    derive,
    order::java_map_order,
    script::Script,
    source,
    text::{ident, indent, list, text},
};

/// What the feature of a contextual source has before the name of the column that it repeats.
const CONTEXTUAL: &str = "ext_contextual_";

/// One bootstrap part.
pub(super) struct Bootstrap {
    /// Its view.
    view: String,
    /// `SELECT` of its table.
    sql: String,
    /// The columns that match it with a left row, besides the day.
    keys: Vec<String>,
    /// The features that it has values for.
    fields: Vec<String>,
    /// SQL of the name that it has in `matched_hashes`.
    hash: String,
    /// Its place in the conf.
    title: String,
}

/// Everything that is added to the left rows.
#[derive(Default)]
pub(super) struct Additions {
    parts: Vec<Bootstrap>,
    /// `(column, SQL type)` of external sources, with those that only feed a contextual one.
    external: Vec<(String, String)>,
    /// The left columns by which external sources are asked, with their SQL types.
    external_keys: Vec<(String, String)>,
    /// The external columns that end up in the output.
    pub(super) external_features: Vec<String>,
}

impl Additions {
    /// # Errors
    /// The field and why it cannot be done.
    pub(super) fn of(
        conf: &Join,
        range: PartitionRange,
        tables: &CatalogSnapshot,
        ds: &str,
    ) -> Result<Self, (String, String)> {
        let mut parts = Vec::new();
        for (index, part) in conf.bootstrap_parts.iter().flatten().enumerate() {
            parts.push(Bootstrap::of(conf, part, index, range, tables, ds)?);
        }
        let mut additions = Self {
            parts,
            ..Self::default()
        };
        // Contextual sources come last in `O_bootstrap`, but where they stand among features.
        let external = || conf.online_external_parts.iter().flatten();
        for part in external().filter(|part| !is_contextual(part)) {
            additions.add_external(part);
        }
        for part in external().filter(|part| is_contextual(part)) {
            additions.add_external(part);
        }
        let features = external().flat_map(external_features);
        additions.external_features = features.map(|(column, _)| column).collect();
        Ok(additions)
    }

    fn add_external(&mut self, part: &ExternalPart) {
        if part.source.offline_group_by.is_some() {
            return;
        }
        let mapping = part.key_mapping.as_ref();
        let keys = schema(part.source.key_schema.as_ref()).into_iter();
        let keys = keys.map(|(key, kind)| (left_column(mapping, &key).to_owned(), kind));
        let keys: Vec<(String, String)> = keys.collect();
        if !is_contextual(part) {
            self.external.extend(keys.clone());
        }
        self.external_keys.extend(keys);
        if is_contextual(part) {
            let values = schema(part.source.value_schema.as_ref());
            self.external.extend(values);
        }
        self.external.extend(external_features(part));
    }

    /// The columns of external sources, with the names that they are asked by.
    pub(super) fn external_columns(&self) -> Vec<String> {
        let columns = self.external.iter().chain(&self.external_keys);
        columns.map(|(name, _)| name.clone()).collect()
    }

    /// The keys of external sources that are no left columns: columns of the output that are NULL.
    pub(super) fn lacking_keys(&self, left: &[String]) -> Vec<String> {
        let asked = self.external.iter().map(|(name, _)| name);
        let asked = asked.filter(|name| self.external_keys.iter().any(|(key, _)| key == *name));
        let mut lacking: Vec<String> = Vec::new();
        for name in asked {
            let value = self.external_features.contains(name) || self.own_of_contextual(name);
            if !left.contains(name) && !lacking.contains(name) && !value {
                lacking.push(name.clone());
            }
        }
        lacking
    }

    /// Whether the column is the one that a contextual feature repeats.
    fn own_of_contextual(&self, name: &str) -> bool {
        let feature = format!("{CONTEXTUAL}{name}");
        self.external.iter().any(|(column, _)| *column == feature)
    }

    /// The types of the columns of external sources.
    pub(super) fn types(&self) -> impl Iterator<Item = (String, String)> + '_ {
        let external = self.external.iter();
        external.map(|(name, kind)| (name.clone(), kind.to_ascii_lowercase().replace(", ", ",")))
    }

    /// The left columns after the additions: a match moves its keys to the front.
    pub(super) fn left_order(&self, left: Vec<String>) -> Vec<String> {
        self.parts
            .iter()
            .fold(left, |order, part| moved_to_front(order, &part.keys))
    }

    /// Whether there are bootstraps.
    pub(super) fn has_parts(&self) -> bool {
        !self.parts.is_empty()
    }

    /// Whether a bootstrap has values for the feature.
    pub(super) fn has(&self, feature: &str) -> bool {
        let mut fields = self.parts.iter().flat_map(|part| &part.fields);
        fields.any(|field| field == feature)
    }

    /// The condition that a left row needs nothing of a part, so that the part is not computed for
    /// it: everything in the output that is made of the part's features is bootstrapped, as it is
    /// or by all of the features that it is made of. `outputs` are those columns, each with its
    /// features. `None` if that can never be.
    pub(super) fn covers(&self, outputs: &[(String, Vec<String>)], row: &str) -> Option<String> {
        if self.parts.is_empty() {
            return None;
        }
        let ready = |field: &String| {
            let parts = self.parts.iter().filter(|part| part.fields.contains(field));
            let matched = parts.map(|p| format!("ARRAY_CONTAINS({row}matched_hashes, {})", p.hash));
            any(&matched.collect::<Vec<_>>(), " OR ")
        };
        let covered = |(name, features): &(String, Vec<String>)| {
            let made = features.iter().map(ready).collect::<Option<Vec<_>>>();
            let made = made.and_then(|made| any(&distinct(made), " AND "));
            let ways: Vec<String> = ready(name).into_iter().chain(made).collect();
            any(&distinct(ways), " OR ")
        };
        let conditions = outputs.iter().map(covered).collect::<Option<Vec<_>>>()?;
        Some(match any(&distinct(conditions), " AND ") {
            Some(all) => format!("COALESCE({all}, false)"),
            None => format!("{row}matched_hashes IS NOT NULL"),
        })
    }

    /// The columns of the output that `O_bootstrap` has besides those of the left.
    pub(super) fn stored(&self, left: &[String]) -> Vec<String> {
        let names = self.columns(left).into_iter().map(|(name, _)| name);
        names.collect()
    }

    /// The value of a column: the left's own, else that of the first part that has one. A contextual
    /// feature and the column of its own name have one value. `None` if nothing has the column.
    fn value(&self, name: &str, left: &[String]) -> Option<String> {
        let own = name.strip_prefix(CONTEXTUAL).unwrap_or(name);
        let names = match self.own_of_contextual(own) {
            true => vec![own.to_owned(), format!("{CONTEXTUAL}{own}")],
            false => vec![name.to_owned()],
        };
        let mut values = Vec::new();
        for name in &names {
            let of_left = left.contains(name).then(|| format!("l.{}", ident(name)));
            let parts = self.parts.iter().enumerate();
            let having = parts.filter(|(_, part)| part.fields.contains(name));
            let ready = having.map(|(index, _)| format!("b{}.{}", index + 1, ident(name)));
            values.extend(of_left.into_iter().chain(ready));
        }
        match values.as_slice() {
            [] => None,
            [only] => Some(only.clone()),
            many => Some(format!("COALESCE({})", many.join(", "))),
        }
    }

    /// The fields of the parts, as `(field of the conf, name)`.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&str, &String)> {
        let parts = self.parts.iter();
        parts.flat_map(|part| part.fields.iter().map(|field| (part.title.as_str(), field)))
    }

    /// The added columns as `(name, expression)`, over the left row `l` and the parts' aliases.
    fn columns(&self, left: &[String]) -> Vec<(String, String)> {
        let mut columns: Vec<(String, String)> = Vec::new();
        let fields = self.parts.iter().flat_map(|part| &part.fields);
        let external = self.external.iter();
        let external = external.map(|(name, kind)| (name, format!("CAST(NULL AS {kind})")));
        let all = fields
            .map(|field| (field, "NULL".to_owned()))
            .chain(external);
        for (name, nothing) in all {
            if left.contains(name) || columns.iter().any(|(column, _)| column == name) {
                continue;
            }
            let value = self.value(name, left).unwrap_or(nothing);
            columns.push((name.clone(), value));
        }
        columns
    }

    /// Declares the view `target`: the rows of `rows` with `matched_hashes` and the additions.
    /// Returns its columns after the left ones.
    pub(super) fn add(
        &self,
        script: &mut Script<'_>,
        (rows, target): (&str, &str),
        left: &[String],
        ds: &str,
    ) -> Vec<String> {
        for part in &self.parts {
            let title = format!("{}: ready values, one row per match", part.title);
            let keys = list(&part.keys);
            script.query(
                &part.view,
                &title,
                &format!(
                    "SELECT * FROM (\n  SELECT *, ROW_NUMBER() OVER (PARTITION BY {keys}, {ds} ORDER BY {keys}) AS __nth, true AS __matched\n  FROM (\n    {}\n  )\n)\nWHERE __nth = 1",
                    indent(&part.sql, 4),
                    ds = ident(ds),
                ),
            );
        }
        let columns = self.columns(left);
        // What the left has comes before what is ready.
        let mut lines: Vec<String> = left
            .iter()
            .map(|name| match self.value(name, left) {
                Some(value) if value != format!("l.{}", ident(name)) => derive::line(name, &value),
                _ => format!("l.{}", ident(name)),
            })
            .collect();
        lines.push(format!("{} AS matched_hashes", self.matched()));
        lines.extend(
            columns
                .iter()
                .map(|(name, value)| format!("{value} AS {}", ident(name))),
        );
        lines.push(format!("l.{}", ident(ds)));
        let joins: String = self
            .parts
            .iter()
            .enumerate()
            .map(|(index, part)| {
                let keys = part.keys.iter().map(String::as_str).chain([ds]);
                let on: Vec<String> = keys
                    .map(|key| format!("l.{0} = b{1}.{0}", ident(key), index + 1))
                    .collect();
                let (view, number) = (ident(&part.view), index + 1);
                format!("\nLEFT JOIN {view} b{number} ON {}", on.join(" AND "))
            })
            .collect();
        script.query(
            target,
            "bootstrapParts, onlineExternalParts: what the left rows get before any part",
            &format!("SELECT\n  {}\nFROM {rows} l{joins}", lines.join(",\n  ")),
        );
        let names = columns.into_iter().map(|(name, _)| name);
        ["matched_hashes".to_owned()]
            .into_iter()
            .chain(names)
            .collect()
    }

    /// SQL of `matched_hashes`: the names of the parts that a row matches, NULL if none.
    fn matched(&self) -> String {
        if self.parts.is_empty() {
            return "CAST(NULL AS ARRAY<STRING>)".to_owned();
        }
        let hashes: Vec<String> = self
            .parts
            .iter()
            .enumerate()
            .map(|(index, part)| format!("IF(b{}.__matched, {}, NULL)", index + 1, part.hash))
            .collect();
        let any: Vec<String> = (1..=self.parts.len())
            .map(|number| format!("b{number}.__matched"))
            .collect();
        format!(
            "IF(COALESCE({}), FILTER(ARRAY({}), h -> h IS NOT NULL), NULL)",
            any.join(", "),
            hashes.join(", ")
        )
    }
}

/// Each condition once, in order.
fn distinct(mut conditions: Vec<String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    conditions.retain(|condition| seen.insert(condition.clone()));
    conditions
}

/// The conditions joined; `None` if there are none.
fn any(conditions: &[String], word: &str) -> Option<String> {
    match conditions {
        [] => None,
        [only] => Some(only.clone()),
        many => Some(format!("({})", many.join(word))),
    }
}

/// `keys` first, then the others.
pub(super) fn moved_to_front(mut order: Vec<String>, keys: &[String]) -> Vec<String> {
    let mut front: Vec<String> = Vec::new();
    for key in keys {
        if !front.contains(key) {
            front.push(key.clone());
        }
    }
    order.retain(|column| !front.contains(column));
    front.extend(order);
    front
}

impl Bootstrap {
    fn of(
        conf: &Join,
        part: &BootstrapPart,
        index: usize,
        range: PartitionRange,
        tables: &CatalogSnapshot,
        ds: &str,
    ) -> Result<Self, (String, String)> {
        let title = format!("bootstrapParts[{index}]");
        let table = part
            .table
            .parse::<TableSpec>()
            .map_err(|error| (format!("{title}.table"), error.to_string()))?
            .table;
        let keys = part.key_columns.as_ref().or(conf.row_ids.as_ref());
        let keys: Vec<String> = keys
            .into_iter()
            .flatten()
            .filter(|key| *key != ds)
            .cloned()
            .collect();
        if keys.is_empty() {
            let why = "neither keyColumns nor the join's rowIds say which rows match";
            return Err((format!("{title}.keyColumns"), why.to_owned()));
        }
        let query = part.query.clone().unwrap_or_default();
        if !source::has_selects(&query) && is_log(&table, tables) {
            let why = format!(
                "{table} is a flattened log, of which each row has values for the features of its own \
                 schema; select the features that all rows have, or {BY_DRIVER}"
            );
            return Err((format!("{title}.table"), why));
        }
        let day = DayColumn::of(&query, &table, tables, ds);
        let implicit = source::implicit(&day, ds, None);
        let scan = source::Scan::days(&query, &day, range);
        let (sql, columns) = source::select(&query, &table, &implicit, &scan, tables);
        let is_field = |name: &String| !keys.contains(name) && *name != ds && *name != "ts";
        let mut fields: Vec<String> = columns.into_iter().filter(is_field).collect();
        fields.sort();
        if !source::has_selects(&query) && source::raw_columns(&table, tables).is_empty() {
            let why = format!("the columns of {table} are not known");
            return Err((format!("{title}.query.selects"), why));
        }
        let digest = text(&canonical(part).to_string());
        Ok(Self {
            view: format!("bootstrap_{}", index + 1),
            sql,
            keys,
            fields,
            hash: format!("SUBSTRING(BASE64(UNHEX(MD5({digest}))), 1, 10)"),
            title,
        })
    }
}

/// Whether the Driver takes the table for a flattened log, in which NULL may mean that a feature was not
/// logged yet (`BootstrapInfo.from`).
fn is_log(table: &TableName, tables: &CatalogSnapshot) -> bool {
    let state = tables.table(table);
    state.is_some_and(|state| state.info.properties.contains_key("chronon_log_table"))
}

/// The part as the engine writes it before it hashes it: JSON without `metaData`, in the order
/// of the Thrift fields.
fn canonical(part: &BootstrapPart) -> Value {
    let mut all = Map::new();
    all.insert("table".into(), json!(part.table));
    if let Some(query) = &part.query {
        all.insert("query".into(), canonical_query(query));
    }
    if let Some(keys) = &part.key_columns {
        all.insert("keyColumns".into(), json!(keys));
    }
    Value::Object(all)
}

fn canonical_query(query: &Query) -> Value {
    let mut all = Map::new();
    if let Some(selects) = &query.selects {
        let names: Vec<&str> = selects.keys().map(String::as_str).collect();
        let entries = java_map_order(&names).into_iter();
        let entries = entries.map(|name| (name.to_owned(), json!(selects.get(name))));
        all.insert("selects".into(), Value::Object(entries.collect()));
    }
    if let Some(wheres) = &query.wheres {
        all.insert("wheres".into(), json!(wheres));
    }
    let mut put = |name: &str, value: &Option<String>| {
        if let Some(value) = value {
            all.insert(name.into(), json!(value));
        }
    };
    put("startPartition", &query.start_partition);
    put("endPartition", &query.end_partition);
    put("timeColumn", &query.time_column);
    if let Some(setups) = &query.setups {
        all.insert("setups".into(), json!(setups));
    }
    let mut put = |name: &str, value: &Option<String>| {
        if let Some(value) = value {
            all.insert(name.into(), json!(value));
        }
    };
    put("mutationTimeColumn", &query.mutation_time_column);
    put("reversalColumn", &query.reversal_column);
    put("partitionColumn", &query.partition_column);
    Value::Object(all)
}

/// The output columns of an external source that has nothing offline, with their SQL types.
fn external_features(part: &ExternalPart) -> Vec<(String, String)> {
    if part.source.offline_group_by.is_some() {
        return Vec::new();
    }
    let prefix = part.full_prefix();
    let values = schema(part.source.value_schema.as_ref()).into_iter();
    values
        .map(|(name, data_type)| (format!("{prefix}_{name}"), data_type))
        .collect()
}

/// A contextual source takes its values from the request itself.
fn is_contextual(part: &ExternalPart) -> bool {
    part.source.metadata.name == "contextual"
}

/// `(name, SQL type)` of the fields of a Thrift data type.
fn schema(data_type: Option<&Value>) -> Vec<(String, String)> {
    let fields = data_type.into_iter().flat_map(parameters);
    fields
        .filter_map(|(name, data_type)| Some((name?.to_owned(), data_type)))
        .collect()
}

/// The parameters of a Thrift data type: name, if it has one, and SQL type.
fn parameters(data_type: &Value) -> impl Iterator<Item = (Option<&str>, String)> {
    let all = data_type.get("params").and_then(Value::as_array);
    all.into_iter().flatten().filter_map(|field| {
        let name = field.get("name").and_then(Value::as_str);
        Some((name, sql_type(field.get("dataType")?)))
    })
}

/// The SQL type of a Thrift data type (`DataKind`).
fn sql_type(data_type: &Value) -> String {
    let inner = || {
        parameters(data_type)
            .map(|(_, kind)| kind)
            .collect::<Vec<_>>()
    };
    let plain = match data_type.get("kind").and_then(Value::as_i64) {
        Some(0) => "BOOLEAN",
        Some(1) => "TINYINT",
        Some(2) => "SMALLINT",
        Some(3) => "INT",
        Some(4) => "BIGINT",
        Some(5) => "FLOAT",
        Some(6) => "DOUBLE",
        Some(8) => "BINARY",
        Some(9) => "DATE",
        Some(10) => "TIMESTAMP",
        Some(11) => return format!("MAP<{}>", inner().join(", ")),
        Some(12) => return format!("ARRAY<{}>", inner().join(", ")),
        Some(13) => {
            let fields = parameters(data_type);
            let fields =
                fields.map(|(name, kind)| format!("{}: {kind}", ident(name.unwrap_or_default())));
            return format!("STRUCT<{}>", fields.collect::<Vec<_>>().join(", "));
        }
        _ => "STRING",
    };
    plain.to_owned()
}
