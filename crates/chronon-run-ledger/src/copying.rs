//! Rows of one ledger are copied into another, as far as they can be read.

use std::{collections::BTreeSet, fmt};

use rusqlite::{Connection, OptionalExtension, ToSql, TransactionBehavior, types::Value};

use crate::{blocks, state};

/// How much could be read of a damaged file.
pub(crate) struct Salvaged {
    pub(crate) runs: u64,
    pub(crate) rows: u64,
}

impl fmt::Display for Salvaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.rows, self.runs) {
            (0, _) => write!(f, "nothing of it could be read"),
            (rows, 1) => write!(f, "1 run of it ({rows} rows) could be read"),
            (rows, runs) => write!(f, "{runs} runs of it ({rows} rows) could be read"),
        }
    }
}

/// Copies every row that can be read of `from`, which may be of an earlier version. What is in `into`
/// already stays, and counts as later.
pub(crate) fn copy(from: &Connection, into: &mut Connection) -> Salvaged {
    copy_tables(from, into, |_| true)
}

pub(crate) fn copy_tables(
    from: &Connection,
    into: &mut Connection,
    is_wanted: impl Fn(&str) -> bool,
) -> Salvaged {
    let mut read = Salvaged { runs: 0, rows: 0 };
    // Nothing of the source is lost if this fails: it stays as it is.
    let _ = copy_all(from, into, &is_wanted, &mut read);
    read
}

fn copy_all(
    from: &Connection,
    into: &mut Connection,
    is_wanted: &dyn Fn(&str) -> bool,
    read: &mut Salvaged,
) -> rusqlite::Result<()> {
    let transaction = into.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let newest = "SELECT max(seq) FROM runs";
    let newest: Option<i64> = from.query_row(newest, [], |row| row.get(0)).unwrap_or(None);
    let later = "UPDATE runs SET seq = seq + ?1";
    transaction.execute(later, [newest.unwrap_or(0).max(0)])?;
    let mut runs = BTreeSet::new();
    for table in tables(&transaction)? {
        let columns = columns(&transaction, &table)?;
        let known = self::columns(from, &table).unwrap_or_default();
        if !is_wanted(&table) {
            continue;
        }
        let shared: Vec<String> = columns
            .into_iter()
            .filter(|it| known.contains(it))
            .collect();
        if !shared.is_empty() {
            let mut copied = Table {
                from,
                into: &transaction,
                table: &table,
                columns: &shared,
                runs: &mut runs,
                rows: 0,
            };
            copied.copy()?;
            read.rows += copied.rows;
            if table == "runs" {
                read.runs = copied.rows;
            }
        }
    }
    if !columns(from, "runs")
        .unwrap_or_default()
        .iter()
        .any(|it| it == "seq")
    {
        transaction.execute_batch(crate::schema::NUMBER_RUNS)?;
    }
    if is_wanted("runs") {
        read.runs += transaction.execute(RUNS_OF_STEPS, [])? as u64;
    }
    state::rebuild(&transaction)?;
    blocks::rebuild(&transaction)?;
    transaction.commit()
}

/// Runs whose steps could be read, but not they themselves, in the order of their names, which are times.
const RUNS_OF_STEPS: &str = "
    INSERT INTO runs (run, started, jobs, boot, pid, pid_ticks, finished, succeeded, seq)
    SELECT s.run, coalesce(min(a.started), 0), 1, '', 0, 0, max(s.finished),
        min(coalesce(s.outcome LIKE '%succeeded%', 0)),
        row_number() OVER (ORDER BY s.run) + (SELECT coalesce(max(seq), 0) FROM runs)
    FROM steps s LEFT JOIN attempts a ON a.run = s.run AND a.step = s.step
    WHERE s.run NOT IN (SELECT run FROM runs) GROUP BY s.run";

/// Names of the tables, that of the runs first; what is derived from others is left out.
fn tables(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'
        AND name NOT IN ('asset_state', 'made_blocks', 'seen_blocks') ORDER BY name <> 'runs', name";
    let mut statement = connection.prepare(sql)?;
    let names = statement.query_map([], |row| row.get(0))?;
    names.collect()
}

fn columns(connection: &Connection, table: &str) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare("SELECT name FROM pragma_table_info(?1)")?;
    let names = statement.query_map([table], |row| row.get(0))?;
    names.collect()
}

/// One table that is copied.
struct Table<'a> {
    from: &'a Connection,
    into: &'a Connection,
    table: &'a str,
    columns: &'a [String],
    /// Runs that are known to have been there.
    runs: &'a mut BTreeSet<String>,
    rows: u64,
}

impl Table<'_> {
    /// Forwards up to the first page that cannot be read; if there is one, also backwards, and every
    /// run by itself.
    fn copy(&mut self) -> rusqlite::Result<()> {
        let list = self.columns.join(", ");
        let all = format!("SELECT {list} FROM {}", self.table);
        if self.query(&all, &[])? {
            return Ok(());
        }
        let key = match self.columns.first() {
            Some(first) if self.table == "empty_days" => format!("{first} DESC, ds DESC"),
            Some(first) => format!("{first} DESC"),
            None => return Ok(()),
        };
        self.query(&format!("{all} ORDER BY {key}"), &[])?;
        if self.columns.iter().any(|column| column == "run") {
            for run in self.runs.clone() {
                self.query(&format!("{all} WHERE run = ?1"), &[&run])?;
            }
        }
        Ok(())
    }

    /// Copies the rows of one query; whether all of them could be read.
    fn query(&mut self, sql: &str, params: &[&dyn ToSql]) -> rusqlite::Result<bool> {
        let marks = vec!["?"; self.columns.len()].join(", ");
        let list = self.columns.join(", ");
        let insert = format!(
            "INSERT OR IGNORE INTO {} ({list}) VALUES ({marks})",
            self.table
        );
        let mut insert = self.into.prepare_cached(&insert)?;
        let Ok(mut statement) = self.from.prepare(sql) else {
            return Ok(false);
        };
        let Ok(mut rows) = statement.query(params) else {
            return Ok(false);
        };
        loop {
            let row = match rows.next() {
                Ok(Some(row)) => row,
                Ok(None) => return Ok(true),
                Err(_) => return Ok(false),
            };
            let values: rusqlite::Result<Vec<Value>> =
                (0..self.columns.len()).map(|at| row.get(at)).collect();
            // A row that is no row is left out.
            let Ok(values) = values else { continue };
            let run = self.columns.iter().position(|column| column == "run");
            if let Some(Value::Text(run)) = run.and_then(|at| values.get(at)) {
                self.runs.insert(run.clone());
            }
            let added = insert.execute(rusqlite::params_from_iter(values));
            self.rows += added.optional().ok().flatten().unwrap_or(0) as u64;
        }
    }
}
