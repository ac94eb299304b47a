//! Data checks: the rows of a day are read after a step has filled it, and nothing is made of a day that does
//! not pass. What was found is kept beside the ledger, a file for each asset, until the day is checked again.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use chronon_run_catalog::TableStorage;
use chronon_run_core::{
    AssetId, Diagnostic, Ds, Location,
    event::{Checked, Outcome, StepIndex},
};
use chronon_run_engine::query::{Reading, read_only};
use chronon_run_exec::{Job, RetryDecision, Task, Verdict, Work, WorkError};
use chronon_run_plan::{Asset, AssetIndex, Selection};
use chronon_run_rows::{Rules, Violation, nearest};
use chronon_run_workspace::{DataCheck, OnFail};
use serde::{Deserialize, Serialize};

use crate::{
    failure::Failure,
    listing::session::CatalogSession,
    loading::project::Project,
    output::note,
    program::now_millis,
    rows::{self, Found, Place, Target},
};

/// What a check found of a day.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CheckResult {
    /// The asset whose day was checked.
    pub asset: AssetId,
    /// The day.
    pub ds: Ds,
    /// The name of the check.
    pub check: String,
    /// Whether the day is as the check wants it.
    pub passed: bool,
    /// Whether nothing is made of the day if it did not pass.
    pub blocks: bool,
    /// The column that it is about, if it is about one.
    pub column: Option<String>,
    /// What was found and what is the bound.
    pub message: Option<String>,
    /// When, in milliseconds since the epoch.
    #[serde(with = "chronon_run_core::instant")]
    pub at: i64,
}

impl CheckResult {
    /// `check guests of out.a failed on 2026-01-03: …`, if it failed.
    pub fn text(&self) -> Option<String> {
        self.event().text(&self.asset)
    }

    /// What it does if it does not pass, as workspace.toml calls it.
    pub fn on_fail(&self) -> &'static str {
        match self.blocks {
            true => "block",
            false => "warn",
        }
    }

    /// The same as a step tells it.
    fn event(&self) -> Checked {
        Checked {
            ds: self.ds,
            check: self.check.clone(),
            passed: self.passed,
            blocks: self.blocks,
            column: self.column.clone(),
            message: self.message.clone(),
        }
    }
}

/// The checks of a workspace, by asset.
pub struct Checks<'a> {
    context: &'a Project,
    warehouse: &'a CatalogSession,
    of: BTreeMap<AssetIndex, Vec<&'a DataCheck>>,
}

impl<'a> Checks<'a> {
    /// The checks of a workspace, whose tables are read from `warehouse`.
    pub fn new(context: &'a Project, warehouse: &'a CatalogSession) -> Self {
        let mut of: BTreeMap<AssetIndex, Vec<&DataCheck>> = BTreeMap::new();
        for check in &context.workspace.checks {
            for index in selected(context, check).unwrap_or_default() {
                of.entry(index).or_default().push(check);
            }
        }
        Self {
            context,
            warehouse,
            of,
        }
    }

    /// The assets that have checks.
    pub fn assets(&self) -> BTreeSet<AssetIndex> {
        self.of.keys().copied().collect()
    }

    /// Checks these days of an asset and keeps what was found.
    pub fn run(
        &self,
        index: AssetIndex,
        days: impl Iterator<Item = Ds>,
    ) -> Result<Vec<CheckResult>, Failure> {
        let asset = &self.context.graph.assets[index];
        let Some(checks) = self.of.get(&index) else {
            return Ok(Vec::new());
        };
        let mut days = days.peekable();
        if days.peek().is_none() {
            return Ok(Vec::new());
        }
        let table = Table::of(self.context, self.warehouse, asset)?;
        let mut results = Vec::new();
        for ds in days {
            for check in checks {
                results.push(self.check(&table, check, ds)?);
            }
        }
        Records::of(self.context).keep(&asset.id, &results);
        Ok(results)
    }

    fn check(&self, table: &Table<'_>, check: &DataCheck, ds: Ds) -> Result<CheckResult, Failure> {
        let (name, asset) = (name_of(check), table.asset);
        let found = match self.violations(table, check, ds) {
            // A check that cannot be made is not passed.
            Err(Failure::Setup { message, .. }) => vec![Violation {
                column: None,
                text: format!("it cannot be checked: {message}"),
            }],
            found => found?,
        };
        let texts: Vec<&str> = found.iter().map(|found| found.text.as_str()).collect();
        Ok(CheckResult {
            asset: asset.id.clone(),
            ds,
            passed: found.is_empty(),
            blocks: check.on_fail == OnFail::Block,
            column: found.iter().find_map(|found| found.column.clone()),
            message: (!texts.is_empty()).then(|| texts.join("; ")),
            at: now_millis(),
            check: name.clone(),
        })
    }

    fn violations(
        &self,
        table: &Table<'_>,
        check: &DataCheck,
        ds: Ds,
    ) -> Result<Vec<Violation>, Failure> {
        let asset = table.asset;
        let partition = ds.plus(asset.shift);
        let mut found = Vec::new();
        let rules = self.rules(table, check, ds)?;
        if rules != Rules::default() {
            found.extend(self.evaluate(table, &rules, partition)?);
        }
        if let Some(sql) = &check.sql {
            let table = asset.table.to_string();
            let query = query_of(sql, &table, &partition.to_string()).map_err(Failure::setup)?;
            let answer = rows::rows_of(self.context, self.warehouse, &query, None)?;
            let rows = answer.scan.row_count();
            if rows > 0 {
                found.push(Violation {
                    column: None,
                    text: format!("its query returns {rows} rows, none are expected"),
                });
            }
        }
        Ok(found)
    }

    fn rules(&self, table: &Table<'_>, check: &DataCheck, ds: Ds) -> Result<Rules, Failure> {
        let accepted = check.accepted.iter();
        let accepted =
            accepted.map(|(name, values)| (name.clone(), values.iter().cloned().collect()));
        let newest = match (&check.time_column, check.max_age) {
            (Some(column), Some(age)) => {
                let end = (i64::from(ds.epoch_days()) + 1) * 86_400_000;
                let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
                Some((column.clone(), end.saturating_sub(age)))
            }
            _ => None,
        };
        let change = match check.max_change {
            Some(share) => self
                .mean_rows(table, ds, check.change_days)?
                .map(|mean| (share, mean)),
            None => None,
        };
        Ok(Rules {
            least_rows: check.min_rows,
            most_rows: check.max_rows,
            null_share: check.max_null_share.clone(),
            unique: check.unique.clone(),
            accepted: accepted.collect(),
            change,
            newest,
        })
    }

    /// The mean number of rows of the days before that are filled.
    fn mean_rows(&self, table: &Table<'_>, ds: Ds, days: u32) -> Result<Option<f64>, Failure> {
        let mut counts = Vec::new();
        for back in 1..=i32::try_from(days).unwrap_or(i32::MAX) {
            match table.place(self.context, ds.plus(table.asset.shift - back)) {
                Ok(place) => counts.push(self.count(&place)?),
                Err(Failure::NotFilled { .. }) => {}
                Err(other) => return Err(other),
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "a mean needs no more digits")]
        let mean = counts.iter().sum::<u64>() as f64 / counts.len().max(1) as f64;
        Ok((!counts.is_empty()).then_some(mean))
    }

    fn count(&self, place: &Place) -> Result<u64, Failure> {
        if let Some(catalog) = self.warehouse.catalog()
            && let Found::Rows(scan) = rows::find(catalog, place)?
        {
            return Ok(scan.row_count());
        }
        let query = rows::select(place, &[], None);
        let answer = rows::rows_of(self.context, self.warehouse, &query, None)?;
        Ok(answer.scan.row_count())
    }

    fn evaluate(
        &self,
        table: &Table<'_>,
        rules: &Rules,
        partition: Ds,
    ) -> Result<Vec<Violation>, Failure> {
        let place = table.place(self.context, partition)?;
        let info = &place.storage.info;
        let mut columns = rules.columns();
        // Rows are counted without reading more than one column.
        if let (true, Some(first)) = (columns.is_empty(), info.columns.first()) {
            columns.push(first.name.clone());
        }
        let all = info.columns.iter().chain(&info.partition_columns);
        let known: Vec<&str> = all.map(|column| column.name.as_str()).collect();
        let is_known = |name: &&String| !known.iter().any(|k| k.eq_ignore_ascii_case(name));
        if let Some(missing) = columns.iter().find(is_known) {
            return Err(Failure::setup(format!(
                "there is no column `{missing}`; {} has {}",
                place.table,
                known.join(", ")
            )));
        }
        if let Some(catalog) = self.warehouse.catalog()
            && let Found::Rows(scan) = rows::find(catalog, &place)?
        {
            let scan = scan.select(&columns).map_err(rows::failure)?;
            let found = rules.violations(&scan.columns(), scan.rows(None));
            return found.map_err(Failure::setup);
        }
        let query = rows::select(&place, &columns, None);
        let answer = rows::rows_of(self.context, self.warehouse, &query, None)?;
        let found = rules.violations(&answer.scan.columns(), answer.scan.rows(None));
        found.map_err(Failure::setup)
    }
}

/// The table of an asset, as the catalog has it when its days are checked.
struct Table<'a> {
    asset: &'a Asset,
    target: Target,
    name: String,
    storage: TableStorage,
}

impl<'a> Table<'a> {
    fn of(
        context: &Project,
        warehouse: &CatalogSession,
        asset: &'a Asset,
    ) -> Result<Self, Failure> {
        let target = Target::filled_by(asset);
        let name = asset.id.to_string();
        let storage = rows::storage(context, warehouse, &target, &name)?;
        Ok(Self {
            asset,
            target,
            name,
            storage,
        })
    }

    fn place(&self, context: &Project, partition: Ds) -> Result<Place, Failure> {
        let storage = self.storage.clone();
        Place::find(context, &self.target, &self.name, Some(partition), storage)
    }
}

/// The query of a check for a table and day, or why it is not run.
fn query_of(sql: &str, table: &str, ds: &str) -> Result<String, String> {
    let text = sql.replace("{table}", table).replace("{ds}", ds);
    match read_only(&text).map_err(|error| error.to_string())? {
        Reading::Rows(query) => Ok(query),
        Reading::Text(_) => Err(
            "the statement has no rows: only queries are run (SELECT, WITH, VALUES, TABLE)"
                .to_owned(),
        ),
    }
}

fn selected(context: &Project, check: &DataCheck) -> Result<BTreeSet<AssetIndex>, String> {
    let parsed = Selection::parse(std::slice::from_ref(&check.select), &[]);
    let found = parsed.and_then(|selection| selection.resolve(&context.graph, false));
    found.map_err(|error| error.to_string())
}

/// The assets that have checks.
fn checked_assets(context: &Project) -> BTreeSet<AssetId> {
    let checks = context.workspace.checks.iter();
    let found = checks.flat_map(|check| selected(context, check).unwrap_or_default());
    found
        .map(|index| context.graph.assets[index].id.clone())
        .collect()
}

/// The name of a check in messages: its own, or what it checks.
fn name_of(check: &DataCheck) -> String {
    if let Some(name) = &check.name {
        return name.clone();
    }
    let rules = [
        (check.min_rows.is_some(), "min_rows"),
        (check.max_rows.is_some(), "max_rows"),
        (!check.max_null_share.is_empty(), "max_null_share"),
        (!check.unique.is_empty(), "unique"),
        (!check.accepted.is_empty(), "accepted"),
        (check.max_change.is_some(), "max_change"),
        (check.max_age.is_some(), "max_age"),
        (check.sql.is_some(), "sql"),
    ];
    let named = rules.iter().filter(|(there, _)| *there);
    let names: Vec<&str> = named.map(|(_, name)| *name).collect();
    names.join(", ")
}

/// Checks that select nothing, or whose query does not only read.
pub fn findings(context: &Project) -> Vec<Diagnostic> {
    let file = &context.workspace.file;
    let mut wrong = Vec::new();
    for check in &context.workspace.checks {
        if let Err(why) = selected(context, check) {
            let at = Location::bytes(file, check.span.clone());
            wrong.push(Diagnostic::error("check", why).at(at));
        }
        wrong.extend(bad_query(file, check));
    }
    wrong
}

fn bad_query(file: &Path, check: &DataCheck) -> Option<Diagnostic> {
    // Any table and day do: only the kind of the statement is judged.
    let why = query_of(check.sql.as_ref()?, "db.name", "2026-01-01").err()?;
    let finding = Diagnostic::error("check-query", format!("the `sql` of a check: {why}"));
    let at = Location::bytes(file, check.sql_span.clone());
    let hint = "write one query that returns the rows that are wrong, for example `sql = \"SELECT * FROM {table} WHERE ds = '{ds}' AND price < 0\"`";
    Some(finding.at(at).hint(hint))
}

/// Columns that checks name and that the tables, as far as they are there, do not have.
pub fn unknown_columns(context: &Project, warehouse: &CatalogSession) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for check in &context.workspace.checks {
        for index in selected(context, check).unwrap_or_default() {
            let table = &context.graph.assets[index].table;
            let storage = warehouse.catalog().map(|catalog| catalog.storage(table));
            let Some(Ok(Some(storage))) = storage else {
                continue;
            };
            let info = &storage.info;
            let all = info.columns.iter().chain(&info.partition_columns);
            let known: Vec<&str> = all.map(|column| column.name.as_str()).collect();
            for (key, name) in named_columns(check) {
                if known.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                    continue;
                }
                let near = nearest(name, known.iter().copied());
                let near = near.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
                let message =
                    format!("`{key}` names `{name}`, which is no column of {table}{near}");
                let at = Location::bytes(&context.workspace.file, check.span.clone());
                let hint = format!("it has {}", known.join(", "));
                found.push(Diagnostic::error("check-column", message).at(at).hint(hint));
            }
        }
    }
    found
}

/// The columns that a check names, each with its key.
fn named_columns(check: &DataCheck) -> Vec<(&'static str, &str)> {
    let shares = check
        .max_null_share
        .keys()
        .map(|name| ("max_null_share", name));
    let unique = check.unique.iter().map(|name| ("unique", name));
    let accepted = check.accepted.keys().map(|name| ("accepted", name));
    let time = check.time_column.iter().map(|name| ("time_column", name));
    let all = shares.chain(unique).chain(accepted).chain(time);
    all.map(|(key, name)| (key, name.as_str())).collect()
}

/// What was found last of each day of each asset.
pub struct Records {
    folder: PathBuf,
}

impl Records {
    /// The records of a workspace.
    pub fn of(context: &Project) -> Self {
        Self {
            folder: context.history_dir().join("checks"),
        }
    }

    /// The days on which nothing is made of an asset, and why.
    pub fn blocked(&self, context: &Project) -> BTreeMap<AssetId, BTreeMap<Ds, String>> {
        let mut blocked: BTreeMap<AssetId, BTreeMap<Ds, String>> = BTreeMap::new();
        for result in self.all(context).into_iter().filter(|result| result.blocks) {
            if let Some(text) = result.text() {
                let days = blocked.entry(result.asset.clone()).or_default();
                days.entry(result.ds).or_insert(text);
            }
        }
        blocked
    }

    /// Everything that was found last of the assets that have checks now.
    pub fn all(&self, context: &Project) -> Vec<CheckResult> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        paths.sort();
        let checked = match paths.is_empty() {
            true => BTreeSet::new(),
            false => checked_assets(context),
        };
        let all = paths.iter().flat_map(|path| read(path));
        all.filter(|result| checked.contains(&result.asset))
            .collect()
    }

    /// What does not pass, or was found last of each check: the newest day.
    pub fn shown(&self, context: &Project) -> Vec<CheckResult> {
        let all = self.all(context);
        let newest = |result: &CheckResult| {
            let mut same = all
                .iter()
                .filter(|other| other.asset == result.asset && other.check == result.check);
            same.all(|other| other.ds <= result.ds)
        };
        let shown = all.iter().filter(|result| !result.passed || newest(result));
        shown.cloned().collect()
    }

    /// Keeps these in place of what was found of the same days before. What cannot be kept is said: the day
    /// would not be blocked.
    fn keep(&self, asset: &AssetId, results: &[CheckResult]) {
        let days: BTreeSet<Ds> = results.iter().map(|result| result.ds).collect();
        let path = self
            .folder
            .join(format!("{}.json", asset.to_string().replace('/', ".")));
        let mut kept = read(&path);
        kept.retain(|known| !days.contains(&known.ds));
        kept.extend_from_slice(results);
        kept.sort_by(|a, b| (a.ds, &a.check).cmp(&(b.ds, &b.check)));
        let written = fs::create_dir_all(&self.folder)
            .and_then(|()| serde_json::to_vec(&kept).map_err(io::Error::from))
            .and_then(|text| chronon_run_process::replace(&path, text));
        if let Err(error) = written {
            note(&format!("cannot write {}: {error}", path.display()));
        }
    }
}

fn read(path: &Path) -> Vec<CheckResult> {
    let text = fs::read(path).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

/// The work of an engine, whose days are checked once they are seen.
pub struct WithChecks<'a> {
    pub(crate) engine: Box<dyn Work + 'a>,
    pub(crate) checks: Checks<'a>,
    /// Why the last attempt of a step did not pass.
    pub failed: Mutex<BTreeMap<StepIndex, String>>,
}

impl WithChecks<'_> {
    fn note_failed(&self, step: StepIndex, why: Option<String>) {
        let mut all = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        match why {
            Some(why) => all.insert(step, why),
            None => all.remove(&step),
        };
    }

    fn why_failed(&self, step: StepIndex) -> Option<String> {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.get(&step).cloned()
    }

    fn check(&self, job: &Job, mut verdict: Verdict) -> Result<Verdict, WorkError> {
        let Some(index) = self.checks.context.graph.find(&job.asset) else {
            return Ok(verdict);
        };
        let results = self.checks.run(index, verdict.filled.iter());
        let results = results.map_err(|error| {
            self.note_failed(job.step, Some(error.text()));
            WorkError::Failed(error.text())
        })?;
        let failed = results.iter().filter(|result| !result.passed);
        for warning in failed.clone().filter(|result| !result.blocks) {
            note(&format!("warning: {}", warning.text().unwrap_or_default()));
        }
        let blocking: Vec<String> = failed
            .filter(|result| result.blocks)
            .filter_map(CheckResult::text)
            .collect();
        let why = (!blocking.is_empty()).then(|| blocking.join("; "));
        self.note_failed(job.step, why);
        verdict
            .checked
            .extend(results.iter().map(CheckResult::event));
        Ok(verdict)
    }
}

impl Work for WithChecks<'_> {
    fn inner(&self) -> Option<&dyn Work> {
        Some(&*self.engine)
    }

    fn prepare(&self, job: &Job, attempt: u32) -> Result<Task, WorkError> {
        self.engine.prepare(job, attempt)
    }

    fn verify(&self, job: &Job) -> Result<Verdict, WorkError> {
        self.check(job, self.engine.verify(job)?)
    }

    fn explain(&self, job: &Job, log: &Path, outcome: &Outcome) -> Option<String> {
        match outcome {
            Outcome::ChecksFailed => self.why_failed(job.step),
            _ => self.engine.explain(job, log, outcome),
        }
    }

    /// The same rows would not pass again.
    fn retry(&self, job: &Job, outcome: &Outcome, log: Option<&Path>) -> RetryDecision {
        match self.why_failed(job.step).is_some() {
            true => RetryDecision::GiveUp,
            false => self.engine.retry(job, outcome, log),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_of_a_check_has_rows_and_changes_nothing() {
        let query = |sql| query_of(sql, "out.a", "2026-01-02");
        assert_eq!(
            query("SELECT * FROM {table} WHERE ds = '{ds}';").as_deref(),
            Ok("SELECT * FROM out.a WHERE ds = '2026-01-02'")
        );
        let refused = |sql, wanted: &str| {
            let why = query(sql).unwrap_err();
            assert!(why.contains(wanted), "{why}");
        };
        refused("DROP TABLE {table}", "`DROP` is not run");
        refused("SELECT 1; DROP TABLE {table}", "only one statement");
        refused("SELECT 'a", "the query is no SQL");
        refused("SHOW TABLES", "has no rows");
        refused(
            "WITH a AS (SELECT 1) FROM a INSERT INTO {table} SELECT *",
            "is not run",
        );
    }
}
