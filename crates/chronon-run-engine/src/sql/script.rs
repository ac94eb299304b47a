//! A script under construction: statements, and the way a table is written.

use std::fmt::Write as _;

use chronon_run_conf::MetaData;
use chronon_run_core::{CatalogSnapshot, Ds, PartitionRange, TableName};

/// A name as it stands in SQL: quoted only if it has to be.
pub(super) fn ident(name: &str) -> String {
    let mut chars = name.chars();
    let plain = chars
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_');
    if plain && !RESERVED.contains(&name.to_ascii_lowercase().as_str()) {
        name.to_owned()
    } else {
        format!("`{}`", name.replace('`', "``"))
    }
}

/// Words that mean something else where a column may stand.
const RESERVED: [&str; 58] = [
    "all",
    "and",
    "anti",
    "any",
    "array",
    "as",
    "between",
    "both",
    "by",
    "case",
    "cast",
    "cross",
    "current_date",
    "current_time",
    "current_timestamp",
    "date",
    "distinct",
    "else",
    "end",
    "except",
    "exists",
    "false",
    "first",
    "from",
    "full",
    "group",
    "having",
    "in",
    "inner",
    "intersect",
    "interval",
    "into",
    "is",
    "join",
    "last",
    "lateral",
    "left",
    "like",
    "limit",
    "map",
    "minus",
    "natural",
    "not",
    "null",
    "on",
    "or",
    "order",
    "outer",
    "over",
    "position",
    "right",
    "select",
    "semi",
    "struct",
    "true",
    "union",
    "using",
    "where",
];

/// Names, quoted where needed, with commas.
pub(super) fn list<S: AsRef<str>>(names: &[S]) -> String {
    let quoted: Vec<_> = names.iter().map(|name| ident(name.as_ref())).collect();
    quoted.join(", ")
}

/// A string literal.
pub(super) fn text(value: &str) -> String {
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// Indents every line but the first.
pub(super) fn indent(block: &str, spaces: usize) -> String {
    block.replace('\n', &format!("\n{}", " ".repeat(spaces)))
}

/// A comment line may hold neither a quote nor a semicolon: the shell splits scripts at them.
fn comment(words: &str) -> String {
    words.replace([';', '\'', '"', '`', '\n'], " ")
}

/// A table that a step writes.
pub(super) struct Output<'a> {
    pub(super) table: TableName,
    /// `chronon_table_type` of §3; none where the engine sets none.
    pub(super) kind: Option<&'static str>,
    pub(super) meta: &'a MetaData,
    /// Columns in the engine's order, partition columns last. None if only Spark knows them.
    pub(super) columns: Option<Vec<String>>,
    pub(super) partitioned_by: Vec<String>,
}

/// The statements so far.
pub(super) struct Script<'a> {
    body: String,
    writes: Vec<TableName>,
    tables: &'a CatalogSnapshot,
    /// The run's partition column, that of every output.
    pub(super) ds: &'a str,
}

impl<'a> Script<'a> {
    pub(super) fn new(tables: &'a CatalogSnapshot, ds: &'a str) -> Self {
        Self {
            body: String::new(),
            writes: Vec::new(),
            tables,
            ds,
        }
    }

    /// What the catalog knows.
    pub(super) fn tables(&self) -> &'a CatalogSnapshot {
        self.tables
    }

    /// The whole script under its header.
    pub(super) fn finish(self, step: &str, range: PartitionRange) -> String {
        let mut script = format!(
            "-- step: {} {}..{}\n",
            comment(step),
            range.start,
            range.end
        );
        for table in &self.writes {
            let _ = writeln!(script, "-- writes: {table}");
        }
        script.push_str(SETTINGS);
        script + &self.body
    }

    /// A heading.
    pub(super) fn heading(&mut self, words: &str) {
        let _ = write!(self.body, "\n-- {}\n", comment(words));
    }

    /// One statement, without its semicolon.
    pub(super) fn statement(&mut self, statement: &str) {
        let _ = writeln!(self.body, "{};", statement.trim().trim_end_matches(';'));
    }

    /// A temporary view.
    pub(super) fn view(&mut self, name: &str, comment_words: &str, query: &str) {
        self.heading(comment_words);
        self.statement(&format!(
            "CREATE OR REPLACE TEMPORARY VIEW {} AS\n{query}",
            ident(name)
        ));
    }

    /// A small result that is computed once and kept in memory.
    pub(super) fn cached(&mut self, name: &str, comment_words: &str, query: &str) {
        self.heading(comment_words);
        self.statement(&format!("DROP VIEW IF EXISTS {}", ident(name)));
        self.statement(&format!("CACHE TABLE {} AS\n{query}", ident(name)));
    }

    /// Creates the output's database and table, if missing, with the columns of a view.
    pub(super) fn create(&mut self, output: &Output<'_>, view: &str) {
        let table = &output.table;
        if !self.writes.contains(table) {
            self.writes.push(table.clone());
        }
        self.heading(&format!("output {table}"));
        self.statement(&format!(
            "CREATE DATABASE IF NOT EXISTS {}",
            ident(table.namespace())
        ));
        let mut properties: Vec<(String, String)> = Vec::new();
        if let Some(kind) = output.kind {
            properties.push(("chronon_generated".into(), "true".into()));
            properties.push(("chronon_table_type".into(), kind.into()));
        }
        for (name, value) in output.meta.table_properties.iter().flatten() {
            if !properties.iter().any(|(known, _)| known == name) {
                properties.push((name.clone(), value.clone()));
            }
        }
        let properties: Vec<_> = properties
            .iter()
            .map(|(name, value)| format!("{} = {}", text(name), text(value)))
            .collect();
        let properties = if properties.is_empty() {
            String::new()
        } else {
            format!("\nTBLPROPERTIES ({})", properties.join(", "))
        };
        let partitioned = if output.partitioned_by.is_empty() {
            String::new()
        } else {
            format!("\nPARTITIONED BY ({})", list(&output.partitioned_by))
        };
        self.statement(&format!(
            "CREATE TABLE IF NOT EXISTS {table}\nSTORED AS PARQUET{partitioned}{properties} AS\nSELECT {} FROM {} WHERE false",
            self.columns(output, false), ident(view)
        ));
    }

    /// The columns to select: those of an existing table in its order, else those planned.
    fn columns(&self, output: &Output<'_>, existing: bool) -> String {
        let known = self.tables.table(&output.table).filter(|_| existing);
        if let Some(state) = known.filter(|state| !state.info.columns.is_empty()) {
            let mut names: Vec<&str> = Vec::new();
            let info = &state.info;
            let partitions = info.partition_columns.iter();
            for column in info.columns.iter().chain(partitions.clone()) {
                let partition = info.partition_columns.iter().any(|p| p.name == column.name);
                if !partition && !names.contains(&column.name.as_str()) {
                    names.push(&column.name);
                }
            }
            names.extend(partitions.map(|column| column.name.as_str()));
            return list(&names);
        }
        match &output.columns {
            Some(columns) => list(columns),
            None => "*".to_owned(),
        }
    }

    /// Fills the table from the view by dynamic partitions. The days of `range` are emptied
    /// first and exist afterwards; other days are only touched if the view has rows for them.
    pub(super) fn overwrite(
        &mut self,
        output: &Output<'_>,
        view: &str,
        range: Option<PartitionRange>,
    ) {
        let table = &output.table;
        let day_only = output.partitioned_by.len() == 1;
        let days = range
            .filter(|_| day_only)
            .map(|range| range.iter().collect::<Vec<_>>())
            .unwrap_or_default();
        let column = output.partitioned_by.first().cloned().unwrap_or_default();
        if !days.is_empty() {
            self.heading("a day that has no rows any more must not keep its old ones");
            self.statement(&format!(
                "ALTER TABLE {table} DROP IF EXISTS {}",
                partitions(&column, &days, ", ")
            ));
        }
        let columns = self.columns(output, true);
        let target = if output.partitioned_by.is_empty() {
            String::new()
        } else {
            format!(" PARTITION ({})", list(&output.partitioned_by))
        };
        let hint = if output.partitioned_by.is_empty() {
            String::new()
        } else {
            format!("/*+ REBALANCE({}) */ ", list(&output.partitioned_by))
        };
        self.statement(&format!(
            "INSERT OVERWRITE TABLE {table}{target}\nSELECT {hint}{columns}\nFROM {}",
            ident(view)
        ));
        if !days.is_empty() {
            self.heading("a day without rows is done too, so it exists");
            self.statement(&format!(
                "ALTER TABLE {table} ADD IF NOT EXISTS {}",
                partitions(&column, &days, " ")
            ));
        }
    }
}

/// One `PARTITION (ds='…')` per day.
fn partitions(column: &str, days: &[Ds], separator: &str) -> String {
    let clauses: Vec<_> = days
        .iter()
        .map(|day| format!("PARTITION ({}='{day}')", ident(column)))
        .collect();
    clauses.join(separator)
}

/// Session settings: the engine's time zone and calendar, and writes that replace only the
/// partitions that they have rows for.
const SETTINGS: &str = "\
SET spark.sql.variable.substitute=false;
SET spark.sql.session.timeZone=UTC;
SET spark.sql.legacy.timeParserPolicy=LEGACY;
SET spark.sql.sources.partitionOverwriteMode=dynamic;
SET hive.exec.dynamic.partition=true;
SET hive.exec.dynamic.partition.mode=nonstrict;
SET hive.exec.max.dynamic.partitions=100000;
SET spark.sql.mapKeyDedupPolicy=LAST_WIN;
";
