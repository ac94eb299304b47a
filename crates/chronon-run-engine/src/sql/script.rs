//! A script under construction: statements, and the way a table is written.

use std::fmt::Write as _;

use chronon_run_conf::MetaData;
use chronon_run_core::{
    CatalogSnapshot, Column, Ds, PartitionRange, RangeSet, TableInfo, TableName,
};

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

/// What the pattern for "all other columns" ends with.
const ALL_BUT: &str = ")?+.+`";

impl Output<'_> {
    /// Format, partition columns and properties (§3).
    fn definition(&self) -> String {
        let mut properties: Vec<(&str, &str)> = Vec::new();
        if let Some(kind) = self.kind {
            properties.push(("chronon_generated", "true"));
            properties.push(("chronon_table_type", kind));
        }
        for (name, value) in self.meta.table_properties.iter().flatten() {
            if !properties.iter().any(|(known, _)| known == name) {
                properties.push((name, value));
            }
        }
        let properties: Vec<_> = properties
            .iter()
            .map(|(name, value)| format!("{} = {}", text(name), text(value)))
            .collect();
        let mut definition = "STORED AS PARQUET".to_owned();
        if !self.partitioned_by.is_empty() {
            let _ = write!(
                definition,
                "\nPARTITIONED BY ({})",
                list(&self.partitioned_by)
            );
        }
        if !properties.is_empty() {
            let _ = write!(definition, "\nTBLPROPERTIES ({})", properties.join(", "));
        }
        definition
    }

    /// The planned columns; if only Spark knows them, all but the partition columns, then those.
    fn planned_columns(&self) -> String {
        match &self.columns {
            Some(columns) => list(columns),
            None if self.partitioned_by.is_empty() => "*".to_owned(),
            None => format!(
                "`({}{ALL_BUT}, {}",
                self.partitioned_by.join("|"),
                list(&self.partitioned_by)
            ),
        }
    }
}

/// The columns of a table without its partition columns.
fn data_columns(info: &TableInfo) -> Vec<&Column> {
    let is_partition =
        |column: &&Column| info.partition_columns.iter().any(|p| p.name == column.name);
    let data = info.columns.iter().filter(|column| !is_partition(column));
    data.collect()
}

/// The statements so far.
pub(super) struct Script<'a> {
    body: String,
    writes: Vec<TableName>,
    planned: Vec<(TableName, Vec<String>)>,
    tables: &'a CatalogSnapshot,
    /// The run's partition column, that of every output.
    pub(super) ds: &'a str,
}

impl<'a> Script<'a> {
    pub(super) fn new(tables: &'a CatalogSnapshot, ds: &'a str) -> Self {
        Self {
            body: String::new(),
            writes: Vec::new(),
            planned: Vec::new(),
            tables,
            ds,
        }
    }

    /// What the catalog knows.
    pub(super) fn tables(&self) -> &'a CatalogSnapshot {
        self.tables
    }

    /// The columns of a table that this script writes, partition columns last, if it knows them.
    pub(super) fn planned(&self, table: &TableName) -> Option<&[String]> {
        let mut planned = self.planned.iter();
        let (_, columns) = planned.find(|(written, _)| written == table)?;
        Some(columns)
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
        let statement = statement.trim().trim_end_matches(';');
        // A semicolon behind a line comment would be part of the comment.
        let commented = statement
            .lines()
            .last()
            .is_some_and(|line| line.contains("--"));
        let end = if commented { "\n;" } else { ";" };
        let _ = writeln!(self.body, "{statement}{end}");
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
            let columns = output.columns.clone();
            self.planned
                .extend(columns.map(|columns| (table.clone(), columns)));
        }
        self.heading(&format!("output {table}"));
        self.statement(&format!(
            "CREATE DATABASE IF NOT EXISTS {}",
            ident(table.namespace())
        ));
        let selected = output.planned_columns();
        self.with_regex_names(&selected, |script| {
            script.statement(&format!(
                // Constants would make columns that may not be NULL, which later rows may have to be.
                "CREATE TABLE IF NOT EXISTS {table}\n{} AS\nSELECT {selected} FROM (SELECT v.* FROM (SELECT 1) LEFT JOIN {} v ON false) WHERE false",
                output.definition(),
                ident(view)
            ));
        });
        self.expand(output, view);
    }

    /// Runs `write`; for its statements only, a quoted name in a select list is a pattern, if
    /// `selected` has one.
    fn with_regex_names(&mut self, selected: &str, write: impl FnOnce(&mut Self)) {
        let pattern = selected.contains(ALL_BUT);
        if pattern {
            self.statement("SET spark.sql.parser.quotedRegexColumnNames=true");
        }
        write(self);
        if pattern {
            self.statement("SET spark.sql.parser.quotedRegexColumnNames=false");
        }
    }

    /// The table as the catalog knows it, if it has columns.
    fn known(&self, output: &Output<'_>) -> Option<&'a TableInfo> {
        let state = self.tables.table(&output.table)?;
        (!state.info.columns.is_empty()).then_some(&state.info)
    }

    /// The planned columns that the existing table lacks.
    fn new_columns(&self, output: &Output<'_>) -> Vec<String> {
        let (Some(info), Some(planned)) = (self.known(output), &output.columns) else {
            return Vec::new();
        };
        let lacks = |name: &&String| {
            let mut all = info.columns.iter().chain(&info.partition_columns);
            !all.any(|column| column.name.eq_ignore_ascii_case(name))
        };
        planned.iter().filter(lacks).cloned().collect()
    }

    /// Why an existing table cannot take the planned columns, where the engine expands none.
    pub(super) fn misfit(&self, output: &Output<'_>) -> Option<String> {
        let (info, planned) = (self.known(output)?, output.columns.as_ref()?);
        let columns = data_columns(info).len() + info.partition_columns.len();
        let fits = self.new_columns(output).is_empty() && columns == planned.len();
        (!fits).then(|| {
            format!(
                "{} has other columns than the conf; the Driver cannot write it either: rename or drop the table first",
                output.table
            )
        })
    }

    /// Gives an existing table the planned columns that it lacks, after those that it has, as
    /// the engine does. Only Spark knows their types, so the table is made anew.
    fn expand(&mut self, output: &Output<'_>, view: &str) {
        let new = self.new_columns(output);
        let Some(info) = self.known(output).filter(|_| !new.is_empty()) else {
            return;
        };
        let table = &output.table;
        let expanding = table.suffixed("__expanding");
        let old = data_columns(info)
            .into_iter()
            .map(|column| ident(&column.name));
        let added = new.iter().map(|name| {
            format!(
                "(SELECT {0} FROM {1} WHERE false) AS {0}",
                ident(name),
                ident(view)
            )
        });
        let partitions_last = output.partitioned_by.iter().map(|name| ident(name));
        let lines: Vec<String> = old.chain(added).chain(partitions_last).collect();
        self.heading(&format!("new columns of {table}: {}", new.join(", ")));
        self.statement(&format!("DROP TABLE IF EXISTS {expanding}"));
        self.statement(&format!(
            "CREATE TABLE {expanding}\n{} AS\nSELECT\n  {}\nFROM {table}",
            output.definition(),
            lines.join(",\n  ")
        ));
        self.statement(&format!("DROP TABLE {table}"));
        self.statement(&format!("ALTER TABLE {expanding} RENAME TO {table}"));
        if let [column] = output.partitioned_by.as_slice() {
            let days = self.tables.days(table, column, &[]);
            let days: Vec<Ds> = days
                .ranges()
                .iter()
                .flat_map(|range| range.iter())
                .collect();
            if !days.is_empty() {
                self.statement(&format!(
                    "ALTER TABLE {table} ADD IF NOT EXISTS {}",
                    partitions(column, &days, " ")
                ));
            }
        }
    }

    /// The columns to select: those of an existing table in its order, else those planned.
    fn columns(&self, output: &Output<'_>) -> String {
        let Some(info) = self.known(output) else {
            return output.planned_columns();
        };
        let planned = |name: &str| {
            let columns = output.columns.as_ref();
            columns.is_none_or(|columns| columns.iter().any(|c| c.eq_ignore_ascii_case(name)))
        };
        let old = data_columns(info).into_iter().map(|column| {
            let name = ident(&column.name);
            match planned(&column.name) {
                true => name,
                // A column that the conf no longer has is NULL from now on.
                false => format!("CAST(NULL AS {}) AS {name}", column.data_type),
            }
        });
        let new = self.new_columns(output);
        let new = new.iter().map(|name| ident(name));
        let last = info
            .partition_columns
            .iter()
            .map(|column| ident(&column.name));
        let all: Vec<String> = old.chain(new).chain(last).collect();
        all.join(", ")
    }

    /// Like [`Script::overwrite`] for days that the table lacks: what the view has, and empty
    /// partitions for the rest.
    pub(super) fn overwrite_days(&mut self, output: &Output<'_>, view: &str, days: &RangeSet) {
        self.overwrite(output, view, None);
        let days: Vec<Ds> = days
            .ranges()
            .iter()
            .flat_map(|range| range.iter())
            .collect();
        let column = output.partitioned_by.first().cloned().unwrap_or_default();
        self.heading("a day without rows is done too, so it exists");
        self.statement(&format!(
            "ALTER TABLE {} ADD IF NOT EXISTS {}",
            output.table,
            partitions(&column, &days, " ")
        ));
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
        let all_days: Vec<Ds> = range.into_iter().flat_map(PartitionRange::iter).collect();
        let days = range
            .filter(|_| day_only)
            .map(|range| range.iter().collect::<Vec<_>>())
            .unwrap_or_default();
        let column = output.partitioned_by.first().cloned().unwrap_or_default();
        if !all_days.is_empty() {
            self.heading("a day that has no rows any more must not keep its old ones");
            self.statement(&format!(
                "ALTER TABLE {table} DROP IF EXISTS {}",
                partitions(&column, &all_days, ", ")
            ));
        }
        let columns = self.columns(output);
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
        self.with_regex_names(&columns, |script| {
            script.statement(&format!(
                "INSERT OVERWRITE TABLE {table}{target}\nSELECT {hint}{columns}\nFROM {}",
                ident(view)
            ));
        });
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
