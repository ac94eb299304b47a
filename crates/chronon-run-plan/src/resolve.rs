//! What only the catalog tells of inputs: views have no partitions of their own, and a table that a query
//! reads may have none by day.

use std::collections::{BTreeMap, BTreeSet};

use chronon_run_conf::tables_read;
use chronon_run_core::{
    CatalogSnapshot, Column, PartitionFormat, Partitions, TableInfo, TableName, TableSpec,
    TableState,
};

use crate::{
    graph::{Asset, AssetIndex, Graph, Input, Role, Tables},
    need::Need,
};

/// For each view the tables whose days it has.
pub type Bases = BTreeMap<TableName, BTreeSet<TableName>>;

/// The tables behind the views of a snapshot: the declared one, or those that the view's text reads.
#[must_use]
pub fn bases(snapshot: &CatalogSnapshot, declared: &BTreeMap<TableName, TableName>) -> Bases {
    let mut bases = Bases::new();
    for (view, state) in &snapshot.tables {
        let Some(info) = state.as_ref().map(|state| &state.info) else {
            continue;
        };
        let read = match (declared.get(view), info.is_view) {
            (Some(table), _) => [table.clone()].into(),
            (None, true) => read_by_view(view, info),
            (None, false) => continue,
        };
        if !read.is_empty() {
            bases.insert(view.clone(), read);
        }
    }
    bases
}

/// The tables of a view's text; names without a database are of the view's own.
fn read_by_view(view: &TableName, info: &TableInfo) -> BTreeSet<TableName> {
    let Some(text) = &info.view_text else {
        return BTreeSet::new();
    };
    let current = info.properties.get("view.catalogAndNamespace.part.1");
    let namespace = current.map_or(view.namespace(), String::as_str);
    let mut tables = tables_read(text, &[]).in_namespace(namespace);
    tables.remove(view);
    tables
}

impl Graph {
    /// The graph with the views among its sources replaced by the tables behind them, and with query
    /// inputs that have no days asked for their existence only. Assets keep their places.
    #[must_use]
    pub fn resolved(&self, snapshot: &CatalogSnapshot, bases: &Bases) -> Self {
        let mut graph = self.clone();
        let producers = producers(&self.assets);
        for (index, asset) in graph.assets.iter_mut().enumerate() {
            resolve(index, asset, &producers, snapshot, bases);
        }
        graph
    }

    /// One asset of [`Graph::resolved`].
    #[must_use]
    pub fn resolved_asset(
        &self,
        index: AssetIndex,
        snapshot: &CatalogSnapshot,
        bases: &Bases,
    ) -> Asset {
        let mut asset = self.assets[index].clone();
        let producers = producers(&self.assets);
        resolve(index, &mut asset, &producers, snapshot, bases);
        asset
    }
}

/// Tables by the asset that fills their days.
type Producers = BTreeMap<TableName, AssetIndex>;

fn resolve(
    index: AssetIndex,
    asset: &mut Asset,
    producers: &Producers,
    snapshot: &CatalogSnapshot,
    bases: &Bases,
) {
    let producer = |table: &TableName| {
        let producer = producers.get(table).copied();
        producer.filter(|&producer| producer < index)
    };
    for inputs in [&mut asset.inputs, &mut asset.also_reads] {
        let found = std::mem::take(inputs).into_iter();
        inputs.extend(found.flat_map(|input| behind(input, bases, &producer)));
        inputs.iter_mut().for_each(|input| settle(input, snapshot));
    }
    // A table behind a view may be filled from this asset's own output.
    asset.also_reads.retain(|input| {
        let producer = producers.get(&input.spec.table);
        !matches!(input.role, Role::Behind { .. }) || producer.is_none_or(|&found| found < index)
    });
}

fn producers(assets: &[Asset]) -> Producers {
    let daily = assets.iter().enumerate();
    let daily = daily.filter(|(_, asset)| asset.day_column.is_some());
    daily
        .map(|(index, asset)| (asset.table.clone(), index))
        .collect()
}

/// How many views may stand behind one another.
const DEEPEST: usize = 8;

/// The inputs that stand for `input`: itself, or the view's existence and the days of its tables.
fn behind(
    input: Input,
    bases: &Bases,
    producer: &dyn Fn(&TableName) -> Option<AssetIndex>,
) -> Vec<Input> {
    if input.producer.is_some()
        || input.need == Need::Table
        || !bases.contains_key(&input.spec.table)
    {
        return vec![input];
    }
    let mut tables: BTreeSet<TableName> = [input.spec.table.clone()].into();
    for _ in 0..DEEPEST {
        let next = tables.iter().flat_map(|table| match bases.get(table) {
            Some(read) => read.clone(),
            None => [table.clone()].into(),
        });
        tables = next.collect();
    }
    let of = |table: TableName| Input {
        producer: producer(&table),
        spec: TableSpec {
            table,
            sub_partitions: input.spec.sub_partitions.clone(),
        },
        role: Role::Behind {
            view: input.spec.table.clone(),
            role: Box::new(input.role.clone()),
        },
        ..input.clone()
    };
    let mut found: Vec<Input> = tables.into_iter().map(of).collect();
    found.push(Input {
        need: Need::Table,
        gates: false,
        ..input
    });
    found
}

/// A table that is only guessed to be read day by day along the column of outputs: if it has no such
/// partition column, its days are along another one; if none of its columns holds days, it must exist.
fn settle(input: &mut Input, snapshot: &CatalogSnapshot) {
    let guessed = matches!(input.role, Role::Query | Role::Behind { .. });
    if !guessed || input.producer.is_some() || input.need == Need::Table {
        return;
    }
    let Some(state) = snapshot.table(&input.spec.table) else {
        return;
    };
    let info = &state.info;
    let known = !info.columns.is_empty() || !info.partition_columns.is_empty();
    let mut columns = info.partition_columns.iter();
    let by_day = columns.any(|column| column.name.eq_ignore_ascii_case(&input.day_column));
    if !known || by_day {
        return;
    }
    match day_column(state) {
        Some(column) => input.day_column = column.to_owned(),
        None => {
            input.need = Need::Table;
            input.gates = false;
        }
    }
}

/// The partition column that holds a table's days: the first one with a day, or with values that look
/// like days, or, of a table without partitions, with a name or type of days.
fn day_column(state: &TableState) -> Option<&str> {
    let columns = || state.info.partition_columns.iter();
    let listed = |column: &Column| state.partitions.get(&column.name);
    let has_days = |column: &&Column| listed(column).is_some_and(|found| !found.days().is_empty());
    let looks = |column: &&Column| {
        let mut values = listed(column).into_iter().flat_map(Partitions::odd_values);
        values.any(PartitionFormat::is_common)
    };
    let empty = columns().all(|column| listed(column).is_none_or(Partitions::is_empty));
    let found = columns().find(has_days).or_else(|| columns().find(looks));
    let found = found.or_else(|| columns().find(|column| empty && is_named_for_days(column)));
    found.map(|column| column.name.as_str())
}

fn is_named_for_days(column: &Column) -> bool {
    let words = ["ds", "dt", "day", "date", "datestr"];
    let mut pieces = column.name.split('_');
    let data_type = column.data_type.to_lowercase();
    matches!(data_type.as_str(), "date" | "timestamp")
        || pieces.any(|piece| words.contains(&piece.to_lowercase().as_str()))
}

/// The tables of a snapshot that were listed along none of their partition columns, with these columns.
#[must_use]
pub fn other_columns(snapshot: &CatalogSnapshot, listed: &Tables) -> Tables {
    let others = |(table, columns): (&TableName, &BTreeSet<String>)| {
        let info = &snapshot.table(table)?.info;
        let own: BTreeSet<String> = info
            .partition_columns
            .iter()
            .map(|c| c.name.clone())
            .collect();
        let is_listed =
            |name: &String| columns.iter().any(|known| known.eq_ignore_ascii_case(name));
        let none = !own.is_empty() && !columns.is_empty() && !own.iter().any(is_listed);
        none.then(|| (table.clone(), own))
    };
    listed.iter().filter_map(others).collect()
}

/// The views that assets read and of which no table behind has days: that these exist is all that is waited
/// for.
#[must_use]
pub fn undated_views<'a>(assets: impl IntoIterator<Item = &'a Asset>) -> BTreeSet<TableName> {
    let mut found = BTreeSet::new();
    for asset in assets {
        let behind = asset.inputs.iter().filter_map(|input| match &input.role {
            Role::Behind { view, .. } => Some((view, input.need != Need::Table)),
            _ => None,
        });
        let mut dated: BTreeMap<&TableName, bool> = BTreeMap::new();
        for (view, has_days) in behind {
            *dated.entry(view).or_default() |= has_days;
        }
        let views = dated.into_iter().filter(|(_, dated)| !dated);
        found.extend(views.map(|(view, _)| view.clone()));
    }
    found
}

/// What to say of a view of [`undated_views`].
#[must_use]
pub fn undated_view_text(view: &TableName) -> (String, String) {
    (
        format!(
            "{view} is a view of tables without partitions by day: that they exist is all that is waited for"
        ),
        format!(
            "name the table whose days it has: `days_from = \"db.table\"` under `[sources.\"{view}\"]` in workspace.toml"
        ),
    )
}

/// Why a table that is there has no day at all.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Dayless {
    /// Its partitions are days in another format, or no days.
    Format {
        /// One of the values.
        value: String,
        /// The format that it should have.
        expected: PartitionFormat,
        /// The formats that it seems to have; with several, its values do not tell which.
        guesses: Vec<PartitionFormat>,
    },
    /// The day of all of its rows is NULL.
    Null,
    /// A table of another format, e.g. `Iceberg`, whose partitions the metastore does not know.
    Lake(&'static str),
    /// A view whose tables cannot be told.
    View,
    /// It has no such partition column; the ones that it has.
    NoColumn(Vec<String>),
    /// It has no partition yet.
    Empty,
}

/// For each of `tables` that exists without any day along its columns: why. `bases` are the tables of
/// views.
#[must_use]
pub fn dayless(
    snapshot: &CatalogSnapshot,
    tables: &Tables,
    bases: &Bases,
) -> BTreeMap<TableName, Dayless> {
    let found = tables.iter().filter_map(|(table, columns)| {
        let why = why_dayless(snapshot, table, columns, bases)?;
        Some((table.clone(), why))
    });
    found.collect()
}

fn why_dayless(
    snapshot: &CatalogSnapshot,
    table: &TableName,
    columns: &BTreeSet<String>,
    bases: &Bases,
) -> Option<Dayless> {
    let state = snapshot.table(table)?;
    let info = &state.info;
    let mut listed = columns
        .iter()
        .filter_map(|column| state.partitions.get(column));
    if columns.is_empty() || listed.clone().any(|found| !found.days().is_empty()) {
        return None;
    }
    if let Some(why) = lake(info) {
        return Some(why);
    }
    let mut odd = listed.clone().flat_map(Partitions::odd_values).peekable();
    if let Some(value) = odd.peek() {
        let iso = PartitionFormat::iso;
        return Some(Dayless::Format {
            value: (*value).to_owned(),
            expected: state.day_format.clone().unwrap_or_else(iso),
            guesses: PartitionFormat::guesses(odd),
        });
    }
    if listed.clone().any(Partitions::has_null) {
        return Some(Dayless::Null);
    }
    if info.is_view {
        return (!bases.contains_key(table)).then_some(Dayless::View);
    }
    let names: Vec<String> = info
        .partition_columns
        .iter()
        .map(|c| c.name.clone())
        .collect();
    if listed.next().is_some() {
        return Some(Dayless::Empty);
    }
    // Nothing is known of a table without columns.
    (!info.columns.is_empty()).then_some(Dayless::NoColumn(names))
}

/// Formats that keep the partitions of a table to themselves.
const LAKES: [&str; 4] = ["Iceberg", "Delta", "Hudi", "Paimon"];
/// The parameters of a table that name its format.
const NAMES_FORMAT: [&str; 3] = [
    "table_type",
    "spark.sql.sources.provider",
    "storage_handler",
];

/// Whether the table's parameters are those of such a format.
pub(crate) fn lake(info: &TableInfo) -> Option<Dayless> {
    let properties = info.properties.iter();
    let formats = properties.filter(|(name, _)| {
        let mut keys = NAMES_FORMAT.iter();
        keys.any(|key| name.eq_ignore_ascii_case(key))
    });
    let formats: Vec<String> = formats.map(|(_, value)| value.to_lowercase()).collect();
    let is = |lake: &&str| {
        let word = lake.to_lowercase();
        formats.iter().any(|format| format.contains(&word))
    };
    LAKES.into_iter().find(is).map(Dayless::Lake)
}

impl Dayless {
    /// What is the matter with `table`, as a fragment of a sentence.
    #[must_use]
    pub fn text(&self, table: &TableName, columns: &BTreeSet<String>) -> String {
        let column = columns.iter().next().map_or("ds", String::as_str);
        match self {
            Self::Format {
                value, expected, ..
            } if expected.read(value).is_some() => {
                format!("{table} has partitions, but no day is complete: {column}={value}")
            }
            Self::Format {
                value, expected, ..
            } => format!(
                "{table} has partitions, but none is a day of the form {expected}: {column}={value}"
            ),
            Self::Null => format!(
                "{table} has partitions, but none with a day: in all of its rows {column} is NULL (__HIVE_DEFAULT_PARTITION__)"
            ),
            Self::Lake(format) => {
                let article = if *format == "Iceberg" { "an" } else { "a" };
                format!("{table} is {article} {format} table; its partitions cannot be listed here")
            }
            Self::View => {
                format!("{table} is a view, and its text does not tell which tables it reads")
            }
            Self::NoColumn(names) if names.is_empty() => {
                format!("{table} has no partitions by day")
            }
            Self::NoColumn(names) => format!(
                "{table} has no partitions by day: it is partitioned by {}, not by {column}",
                names.join(", ")
            ),
            Self::Empty => format!("{table} has no partition yet"),
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self, table: &TableName) -> String {
        match self {
            Self::Format { value, expected, .. } if expected.read(value).is_some() => format!(
                "a day is there once it has all 24 hours; `last_hour` under `[sources.\"{table}\"]` in workspace.toml names an earlier last one"
            ),
            Self::Format { guesses, expected, .. } => match PartitionFormat::offer(guesses) {
                Some(lines) if expected.is_iso() => {
                    format!("set {lines} under `[sources.\"{table}\"]` in workspace.toml")
                }
                Some(lines) => format!(
                    "set {lines} under `[sources.\"{table}\"]` in workspace.toml, or correct the dependency whose template writes {expected}"
                ),
                None => "they have no form that `partition_format` can name; read the table through a staging query that writes days".to_owned(),
            },
            Self::Null => "what needs it waits for the first day; correct the job that writes it".to_owned(),
            Self::Lake(_) => "the metastore does not know which days it has, so what needs it waits; copy the days into a Hive table with a job of your own, and read that, or declare what a staging query waits for with `dependencies` of an `[[override]]`".to_owned(),
            Self::View => format!(
                "name the table whose days it has: `days_from = \"db.table\"` under `[sources.\"{table}\"]` in workspace.toml"
            ),
            Self::NoColumn(names) if names.is_empty() => "it is not known which days it has, so steps that need it will wait; partition it, or read it through a staging query that writes days".to_owned(),
            Self::NoColumn(_) => "it is not known which days it has, so steps that need it will wait; if one of its columns holds days, name it as `partitionColumn`, else read it through a staging query that writes days".to_owned(),
            Self::Empty => "what needs it waits for the first one".to_owned(),
        }
    }
}
