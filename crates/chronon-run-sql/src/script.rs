//! A script under construction: statements, and the way a table is written.
//!
//! What a conf says becomes a named query (a CTE) with a comment that names the field. A statement
//! that writes starts with those that it needs, so Spark analyses each of them once per write;
//! views would be analysed again wherever they are used.

use std::fmt::Write as _;

use chronon_run_core::{
    CatalogSnapshot, Column, Ds, PartitionRange, RangeSet, TableChanges, TableInfo, TableName,
};

use super::{
    columns,
    helpers::{EXPANDING, REPLACED, TYPES},
};

use crate::{
    output::{ALL_BUT, Output},
    text::{ident, indent, list},
};

/// A comment line may hold neither a quote nor a semicolon: the shell splits scripts at them.
fn comment(words: &str) -> String {
    words.replace([';', '\'', '"', '`', '\n'], " ")
}

/// The columns of a table without its partition columns.
fn data_columns(info: &TableInfo) -> Vec<&Column> {
    let is_partition =
        |column: &&Column| info.partition_columns.iter().any(|p| p.name == column.name);
    let data = info.columns.iter().filter(|column| !is_partition(column));
    data.collect()
}

/// The view of the rows of a table that is created: their types are those of its columns.
const ROWS: &str = "output_rows";

/// A query that others refer to by its name.
struct Named {
    name: String,
    /// The field of the conf that it stands for.
    comment: String,
    query: String,
}

/// The statements so far.
pub(super) struct Script<'a> {
    body: String,
    /// What statements may refer to, those that others are made of first.
    queries: Vec<Named>,
    writes: Vec<TableName>,
    /// The table whose rows are those of the view [`ROWS`].
    created: Option<TableName>,
    planned: Vec<(TableName, Vec<String>)>,
    /// Existing tables whose columns differ from the conf's.
    changes: Vec<TableChanges>,
    tables: &'a CatalogSnapshot,
    /// The step's days.
    range: PartitionRange,
    /// The run's partition column, that of every output.
    pub(super) ds: &'a str,
    /// Whether derivations may look at the order of a map's entries, so that it must be the engine's.
    pub(super) orders_maps: bool,
}

impl<'a> Script<'a> {
    pub(super) fn new(tables: &'a CatalogSnapshot, range: PartitionRange, ds: &'a str) -> Self {
        Self {
            body: String::new(),
            queries: Vec::new(),
            writes: Vec::new(),
            created: None,
            planned: Vec::new(),
            changes: Vec::new(),
            tables,
            range,
            ds,
            orders_maps: false,
        }
    }

    /// What the catalog knows.
    pub(super) fn tables(&self) -> &'a CatalogSnapshot {
        self.tables
    }

    /// How many days the step has.
    pub(super) fn days(&self) -> usize {
        self.range.iter().count()
    }

    /// The columns of a table that this script writes, partition columns last, if it knows them.
    pub(super) fn planned(&self, table: &TableName) -> Option<&[String]> {
        let mut planned = self.planned.iter();
        let (_, columns) = planned.find(|(written, _)| written == table)?;
        Some(columns)
    }

    /// The existing tables whose columns differ from those that the script writes.
    pub(super) fn changes(&self) -> &[TableChanges] {
        &self.changes
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

    /// Declares a query under a name; a later one of the same name takes its place.
    pub(super) fn query(&mut self, name: &str, comment_words: &str, query: &str) {
        self.queries.retain(|known| known.name != name);
        self.queries.push(Named {
            name: name.to_owned(),
            comment: comment(comment_words),
            query: query.to_owned(),
        });
    }

    /// `WITH …` for a statement that uses `words`: every named query that it needs, in order;
    /// empty if it needs none.
    fn with(&self, words: &str) -> String {
        let mut needed: Vec<&Named> = Vec::new();
        for query in self.queries.iter().rev() {
            let users = needed.iter().map(|user| user.query.as_str());
            if users.chain([words]).any(|text| mentions(text, &query.name)) {
                needed.push(query);
            }
        }
        let queries = needed.iter().rev().map(|query| {
            format!(
                "-- {}\n{} AS (\n  {}\n)",
                query.comment,
                ident(&query.name),
                indent(&query.query, 2)
            )
        });
        let queries: Vec<String> = queries.collect();
        match queries.is_empty() {
            true => String::new(),
            false => format!("WITH\n{}\n", queries.join(",\n")),
        }
    }

    /// A temporary view, for what may hold anything that Spark understands.
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
        let with = self.with(query);
        self.statement(&format!("CACHE TABLE {} AS\n{with}{query}", ident(name)));
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
        if let Some(info) = self.known(output) {
            self.changes.extend(columns::changes(output, info));
            self.expand(output, view);
            return;
        }
        self.statement(&format!(
            "CREATE DATABASE IF NOT EXISTS {}",
            ident(table.namespace())
        ));
        if let Some((data, days)) = output.typed_columns() {
            self.statement(&format!(
                "CREATE TABLE IF NOT EXISTS {table} (\n  {}\n)\n{}",
                data.join(",\n  "),
                output.definition_by(&days.join(", ")),
            ));
            return;
        }
        let selected = output.planned_columns();
        let with = self.with(view);
        self.with_regex_names(&selected, |script| {
            script.statement(&format!(
                "CREATE OR REPLACE TEMPORARY VIEW {ROWS} AS\n{with}SELECT {selected}\nFROM {}",
                ident(view)
            ));
        });
        let types = self.nullable(table, "*", ROWS);
        self.statement(&format!(
            "CREATE TABLE IF NOT EXISTS {table}\n{} AS\nSELECT * FROM {types}",
            output.definition(),
        ));
        self.statement(&format!("DROP TABLE {types}"));
        self.created = Some(table.clone());
    }

    /// Makes an empty table with the types of what is selected `from`, which may all be NULL, down
    /// to the elements of lists: a Hive table keeps it if they may not, and cannot be read then.
    fn nullable(&mut self, table: &TableName, selected: &str, from: &str) -> TableName {
        // Steps of one table that run at the same time begin on different days.
        let day = self.range.start.to_string().replace('-', "");
        let types = table.suffixed(&format!("{TYPES}{day}"));
        self.statement(&format!("DROP TABLE IF EXISTS {types}"));
        let with = self.with(from);
        self.statement(&format!(
            "CREATE TABLE {types} USING PARQUET AS\n{with}SELECT {selected} FROM {from} WHERE false"
        ));
        types
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

    /// Gives an existing table the planned columns that it lacks, after those that it has, as
    /// the engine does.
    fn expand(&mut self, output: &Output<'_>, view: &str) {
        let new = self.new_columns(output);
        if new.is_empty() {
            return;
        }
        self.heading(&format!("new columns of {}", output.table));
        let typed = new.iter().map(|name| {
            let data_type = output.types.get(name)?;
            Some(format!("{} {data_type}", ident(name)))
        });
        match typed.collect::<Option<Vec<_>>>() {
            Some(typed) => self.statement(&format!(
                "ALTER TABLE {} ADD COLUMNS ({})",
                output.table,
                typed.join(", ")
            )),
            None => self.remake(output, view, &new),
        }
    }

    /// Makes a table anew with columns whose types only Spark knows. At every moment all of its
    /// rows are in a table: itself, `__expanding`, or `__replaced`.
    fn remake(&mut self, output: &Output<'_>, view: &str, new: &[String]) {
        let Some(info) = self.known(output) else {
            return;
        };
        let table = &output.table;
        let (expanding, replaced) = (table.suffixed(EXPANDING), table.suffixed(REPLACED));
        let old = data_columns(info)
            .into_iter()
            .map(|column| ident(&column.name));
        let types = self.nullable(table, &list(new), &ident(view));
        let added = new.iter().map(|name| {
            let name = ident(name);
            format!("(SELECT {name} FROM {types}) AS {name}")
        });
        let partitions_last = output.partitioned_by.iter().map(|name| ident(name));
        let lines: Vec<String> = old.chain(added).chain(partitions_last).collect();
        self.statement(&format!("DROP TABLE IF EXISTS {expanding}"));
        self.statement(&format!(
            "CREATE TABLE {expanding}\n{} AS\nSELECT\n  {}\nFROM {table}",
            output.definition(),
            lines.join(",\n  ")
        ));
        if let [column] = output.partitioned_by.as_slice() {
            let days = self.tables.days(table, column, &[]);
            let days: Vec<Ds> = days.iter().collect();
            if !days.is_empty() {
                self.statement(&format!(
                    "ALTER TABLE {expanding} ADD IF NOT EXISTS {}",
                    partitions(column, &days, " ")
                ));
            }
        }
        self.statement(&format!("ALTER TABLE {table} RENAME TO {replaced}"));
        self.statement(&format!("ALTER TABLE {expanding} RENAME TO {table}"));
        self.statement(&format!("DROP TABLE {replaced}"));
        self.statement(&format!("DROP TABLE {types}"));
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
        self.heading("a day without rows is done too: it exists until that was seen");
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
        let old: Vec<Ds> = match self.known(output) {
            Some(_) if day_only => {
                let known = self.tables.days(table, &column, &[]);
                let known = all_days.into_iter().filter(|day| known.contains(*day));
                known.collect()
            }
            Some(_) => all_days,
            None => Vec::new(),
        };
        if !old.is_empty() {
            self.heading("a day that has no rows any more must not keep its old ones");
            self.statement(&format!(
                "ALTER TABLE {table} DROP IF EXISTS {}",
                partitions(&column, &old, ", ")
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
        let (with, columns, view) = match self.created.as_ref() == Some(table) {
            true => (String::new(), "*".to_owned(), ROWS.to_owned()),
            false => (self.with(view), columns, ident(view)),
        };
        self.with_regex_names(&columns, |script| {
            script.statement(&format!(
                "INSERT OVERWRITE TABLE {table}{target}\n{with}SELECT {hint}{columns}\nFROM {view}"
            ));
        });
        if !days.is_empty() {
            self.heading("a day without rows is done too: it exists until that was seen");
            self.statement(&format!(
                "ALTER TABLE {table} ADD IF NOT EXISTS {}",
                partitions(&column, &days, " ")
            ));
        }
    }
}

/// Whether a text has the name as a word of its own.
fn mentions(text: &str, name: &str) -> bool {
    let in_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    text.match_indices(name).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + name.len()..].chars().next();
        !in_word(before) && !in_word(after)
    })
}

/// The statement that drops these days of a table; without its semicolon.
#[must_use]
pub fn drop_partitions(table: &TableName, column: &str, days: &RangeSet) -> String {
    let days: Vec<Ds> = days.iter().collect();
    let clauses = partitions(column, &days, ", ");
    format!("ALTER TABLE {table} DROP IF EXISTS {clauses}")
}

/// One `PARTITION (ds='…')` per day.
fn partitions(column: &str, days: &[Ds], separator: &str) -> String {
    let clauses: Vec<_> = days
        .iter()
        .map(|day| format!("PARTITION ({}='{day}')", ident(column)))
        .collect();
    clauses.join(separator)
}

/// Session settings: the engine's time zone and calendar, writes that replace only the partitions
/// that they have rows for, and views that Spark analyses once, not wherever they are used: a
/// table that is created is typed and filled from one view.
const SETTINGS: &str = "\
SET spark.sql.variable.substitute=false;
SET spark.sql.session.timeZone=UTC;
SET spark.sql.legacy.timeParserPolicy=LEGACY;
SET spark.sql.sources.partitionOverwriteMode=dynamic;
SET hive.exec.dynamic.partition=true;
SET hive.exec.dynamic.partition.mode=nonstrict;
SET hive.exec.max.dynamic.partitions=100000;
SET spark.sql.mapKeyDedupPolicy=LAST_WIN;
SET spark.sql.legacy.ctePrecedencePolicy=CORRECTED;
SET spark.sql.legacy.storeAnalyzedPlanForView=true;
";
