//! What a step of the `chronon` engine is: one run of the Driver, and a check of what it wrote. The
//! Driver exits 0 even if it wrote nothing (§5.7), so each mode has its own rules of verification
//! (§4.6).

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chronon_run_catalog::Catalog;
use chronon_run_core::{
    AssetKind, CatalogSnapshot, ConfType, Ds, PartitionRange, RangeSet, TableName,
    event::{Compared, Outcome, StepIndex},
};
use chronon_run_exec::{
    Job, RetryDecision, StageProgress, Task, TaskKind, Verdict, Work, WorkError,
};
use chronon_run_plan::{Asset, AssetIndex, Step, dropped_of, first_hole};
use chronon_run_process::{Exit, Helper, HelperError, Watchdog};
use chronon_run_spark::command::Length;
use chronon_run_sql as sql;

use crate::{
    engines::{
        driver::{Driver, Start},
        other_days, other_form, retrying,
        spark_sql::SparkSql,
        sql_work::{job_length, look, step_folder, uploaded},
    },
    listing::{applications::Applications, session::CatalogSession, snapshot::resolved},
    loading::{project::Project, targets},
    planning::{filled::Records, freshness::Recording},
};

/// Runs the steps of one plan with Chronon's Driver.
pub struct DriverWork<'a> {
    pub(crate) context: &'a Project,
    pub(crate) warehouse: &'a CatalogSession,
    pub(crate) sql: &'a SparkSql<'a>,
    pub(crate) driver: Driver<'a>,
    pub(crate) applications: &'a Applications,
    pub(crate) watchdog: &'a Watchdog,
    /// The run's folder: logs, and scripts that count rows.
    pub folder: PathBuf,
    /// The plan's steps, by index.
    pub steps: &'a [Step],
    /// Whether what exists is to be computed again.
    pub recompute: bool,
    /// What is known of the steps that were begun.
    pub begun: Mutex<BTreeMap<StepIndex, StepState>>,
    pub(crate) recording: Recording<'a>,
}

/// What is known of a step that was begun.
#[derive(Default)]
pub struct StepState {
    /// The table's days before its last attempt.
    before: RangeSet,
    /// Days of which nothing is left that the Driver could take for done.
    dropped: RangeSet,
    /// The days before whose last attempt premature part partitions were dropped.
    parts_dropped_for: Option<PartitionRange>,
    /// Whether its last attempt has failed already.
    failed: bool,
}

/// How long counting rows may take.
const COUNTING: Duration = Duration::from_secs(1800);

impl Work for DriverWork<'_> {
    fn prepare(&self, job: &Job, attempt: u32) -> Result<Task, WorkError> {
        let (index, asset) = self.asset(job)?;
        targets::check_step(self.context, asset)?;
        if self.recompute {
            self.drop_caches(job, asset)?;
        }
        let snapshot = self.tables_of(index)?;
        let (seen, listed) = resolved(self.context, self.warehouse, asset, &snapshot);
        self.recording.look(job, attempt, &seen, &listed);
        let column = asset.day_column.as_deref().unwrap_or_default();
        let days_of = |table: &TableName| snapshot.days(table, column, &[]);
        self.drop_premature(job, asset, &days_of)?;
        let step = Step {
            range: job.range,
            // Earlier steps of this run may have filled days since the plan was made.
            run_first_hole: first_hole(asset, job.range, &days_of),
            ..self.step(job)?.clone()
        };
        {
            let mut all = self.begun();
            let begun = all.entry(job.step).or_default();
            begun.before = self.days_in(&snapshot, asset);
            begun.failed = false;
        }
        let folder = self.step_folder(job);
        fs::create_dir_all(&folder).map_err(|error| {
            WorkError::Failed(format!("cannot write {}: {error}", folder.display()))
        })?;
        let conf = retrying::spark_conf(self.context, job);
        let start = Start {
            folder: &folder,
            length: job_length(self.context.workspace.engine.fast_start, job.range),
            conf: &conf,
        };
        let command = self.driver.command(&step, asset, Some(start));
        let command = command.map_err(|error| WorkError::Failed(error.to_string()))?;
        let concealed = self.sql.concealed(command);
        Ok(Task {
            command: concealed.map_err(|error| WorkError::Failed(error.to_string()))?,
            log: folder.join(format!("attempt-{attempt}.log")),
            kind: TaskKind::Process,
        })
    }

    fn verify(&self, job: &Job) -> Result<Verdict, WorkError> {
        let (index, asset) = self.asset(job)?;
        let snapshot = self.tables_of(index)?;
        let mut verdict = self.judge(job, index, &snapshot)?;
        if asset.id.mode == AssetKind::Consistency && verdict.missing.is_empty() {
            verdict.compared = self.compared(job, index, &snapshot)?;
        }
        if !self.has_failed(job) {
            self.recording.times(job, asset, &verdict.filled);
            let written = self.other_days(job, &self.days_in(&snapshot, asset));
            verdict.checked.extend(other_days::written(job, &written));
        }
        if !verdict.filled.is_empty() && !self.has_failed(job) {
            Records::of(self.context).note(self.context, asset, &snapshot);
        }
        Ok(verdict)
    }

    fn explain(&self, job: &Job, log: &Path, outcome: &Outcome) -> Option<String> {
        retrying::explain(log, outcome).or_else(|| {
            let (index, asset) = self.asset(job).ok()?;
            other_form::explain(asset, outcome, || self.tables_of(index).ok())
        })
    }

    fn settle(&self, job: &Job, log: &Path, _outcome: &Outcome) -> Result<(), String> {
        self.begun().entry(job.step).or_default().failed = true;
        self.applications.end(log)
    }

    fn application(&self, line: &str) -> Option<String> {
        self.applications.named(line)
    }

    fn progress(&self, line: &str) -> Option<StageProgress> {
        retrying::progress(line)
    }

    fn retry(&self, job: &Job, outcome: &Outcome, log: Option<&Path>) -> RetryDecision {
        retrying::decide(self.context, job, outcome, log)
    }
}

impl DriverWork<'_> {
    fn step(&self, job: &Job) -> Result<&Step, WorkError> {
        let found = self.steps.get(job.step as usize);
        found.ok_or_else(|| WorkError::Failed(format!("the plan has no step {}", job.step)))
    }

    fn asset(&self, job: &Job) -> Result<(AssetIndex, &Asset), WorkError> {
        let graph = &self.context.graph;
        let index = graph.find(&job.asset);
        let found = index.map(|index| (index, &graph.assets[index]));
        found.ok_or_else(|| WorkError::Failed(format!("there is no asset {}", job.asset)))
    }

    fn step_folder(&self, job: &Job) -> PathBuf {
        step_folder(&self.folder, self.steps, job)
    }

    fn begun(&self) -> MutexGuard<'_, BTreeMap<StepIndex, StepState>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Of the `days` that a staging query's table has now, those that this step made and that no step of
    /// the plan fills.
    fn other_days(&self, job: &Job, days: &RangeSet) -> RangeSet {
        if job.asset.conf.conf_type != ConfType::StagingQuery {
            return RangeSet::new();
        }
        let steps = self.steps.iter().filter(|step| step.asset == job.asset);
        let filled = steps.map(|step| step.range).collect();
        let begun = self.begun();
        let before = begun.get(&job.step).map(|begun| &begun.before);
        before.map_or_else(RangeSet::new, |before| days.minus(before).minus(&filled))
    }

    /// How the mode of the asset is verified (§4.6).
    fn judge(
        &self,
        job: &Job,
        index: AssetIndex,
        snapshot: &CatalogSnapshot,
    ) -> Result<Verdict, WorkError> {
        let asset = &self.context.graph.assets[index];
        if asset.day_column.is_none() {
            return self.verify_upload(job, asset, snapshot);
        }
        let days = self.days_in(snapshot, asset);
        let wanted = RangeSet::from(job.range);
        let verdict = Verdict {
            filled: wanted.intersect(&days),
            missing: wanted.minus(&days),
            ..Verdict::default()
        };
        if verdict.missing.is_empty() || self.has_failed(job) {
            return Ok(verdict);
        }
        let verdict = without_any_gate(asset, snapshot, verdict);
        match asset.id.mode {
            AssetKind::Consistency => Ok(self.verify_by_row_days(job, verdict, &days)),
            _ => {
                let verdict = self.verify_empty(job, index, snapshot, verdict)?;
                Ok(other_form::judged(asset, snapshot, verdict))
            }
        }
    }

    /// Takes away what the Driver would take for done (§5.4), once for each day: what an attempt has
    /// computed is kept by the next.
    fn drop_caches(&self, job: &Job, asset: &Asset) -> Result<(), WorkError> {
        let known = self
            .begun()
            .get(&job.step)
            .map(|begun| begun.dropped.clone());
        let known = known.unwrap_or_default();
        let days = RangeSet::from(job.range).minus(&known);
        let (Some(Catalog::Hive(hive)), Some(column)) =
            (self.warehouse.catalog(), &asset.day_column)
        else {
            return Ok(());
        };
        for (table, days) in asset.dropped_for(&days) {
            hive.drop_days(&table, column, &days, true)
                .map_err(|error| WorkError::Unavailable(error.to_string()))?;
        }
        self.begun().entry(job.step).or_default().dropped = known.union(&days);
        Ok(())
    }

    /// Drops part partitions that were made before the left rows of their day were handed to the part:
    /// the Driver would keep them. What an attempt has computed is kept by the next over the same days.
    /// Safe to be killed in: part tables are helper tables, and days that the output lacks are handed to
    /// them again.
    fn drop_premature(
        &self,
        job: &Job,
        asset: &Asset,
        days_of: &dyn Fn(&TableName) -> RangeSet,
    ) -> Result<(), WorkError> {
        let mut begun = self.begun();
        let known = begun.entry(job.step).or_default();
        if known.parts_dropped_for == Some(job.range) {
            return Ok(());
        }
        let (Some(Catalog::Hive(hive)), Some(column)) =
            (self.warehouse.catalog(), &asset.day_column)
        else {
            return Ok(());
        };
        let step = Step {
            range: job.range,
            ..self.step(job)?.clone()
        };
        let premature = dropped_of(asset, &step, days_of);
        self.log_drops(job, column, &premature)?;
        for (table, days) in premature {
            hive.drop_days(&table, column, &days, true)
                .map_err(|error| WorkError::Unavailable(error.to_string()))?;
        }
        known.parts_dropped_for = Some(job.range);
        Ok(())
    }

    /// Writes the statements into `dropped-<first day>.sql` of the step's folder, before they are done.
    fn log_drops(
        &self,
        job: &Job,
        column: &str,
        premature: &BTreeMap<TableName, RangeSet>,
    ) -> Result<(), WorkError> {
        if premature.is_empty() {
            return Ok(());
        }
        let statements = premature
            .iter()
            .map(|(table, days)| format!("{};\n", sql::drop_partitions(table, column, days)));
        let text: String = std::iter::once(PREMATURE.to_owned())
            .chain(statements)
            .collect();
        let folder = self.step_folder(job);
        let path = folder.join(format!("dropped-{}.sql", job.range.start));
        let written =
            fs::create_dir_all(&folder).and_then(|()| chronon_run_process::replace(&path, text));
        written
            .map_err(|error| WorkError::Failed(format!("cannot write {}: {error}", path.display())))
    }

    fn has_failed(&self, job: &Job) -> bool {
        self.begun()
            .get(&job.step)
            .is_some_and(|begun| begun.failed)
    }

    /// What the catalog shows now of everything that the asset reads and writes.
    fn tables_of(&self, index: AssetIndex) -> Result<CatalogSnapshot, WorkError> {
        let tables = self.context.graph.tables_of(&BTreeSet::from([index]));
        let requests: Vec<_> = tables
            .into_iter()
            .map(|(table, columns)| (table, columns.into_iter().collect()))
            .collect();
        look(self.warehouse, &requests)
    }

    /// The table's partitions as days of the asset.
    fn days_in(&self, snapshot: &CatalogSnapshot, asset: &Asset) -> RangeSet {
        let column = asset.day_column.as_deref().unwrap_or_default();
        snapshot
            .days(&asset.table, column, &asset.sub_partitions)
            .widen(-asset.shift, -asset.shift)
    }

    /// Consistency is partitioned by the day of the rows' time, not by its input's day (§10.23): an input day need not become a partition. That the table exists and has got days,
    /// or has some of those asked for, is all that can be asked.
    fn verify_by_row_days(&self, job: &Job, verdict: Verdict, days: &RangeSet) -> Verdict {
        let begun = self.begun();
        let before = begun.get(&job.step).map(|begun| begun.before.clone());
        let grown = !days.minus(&before.unwrap_or_default()).is_empty();
        match grown || !verdict.filled.is_empty() {
            true => Verdict {
                empty: verdict.empty.union(&verdict.missing),
                missing: RangeSet::new(),
                ..verdict
            },
            false => verdict,
        }
    }

    /// Tells days that have no rows from days that were lost.
    fn verify_empty(
        &self,
        job: &Job,
        index: AssetIndex,
        snapshot: &CatalogSnapshot,
        verdict: Verdict,
    ) -> Result<Verdict, WorkError> {
        let request = self.request(job, snapshot);
        let Some(request) = request.filter(|_| !verdict.missing.is_empty()) else {
            return Ok(verdict);
        };
        // What cannot be counted stays missing.
        let Ok(Some(script)) = sql::count_rows(&request, &verdict.missing) else {
            return Ok(verdict);
        };
        let Some(counts) = self.count(job, index, &script)? else {
            return Ok(verdict);
        };
        // A day without an answer is not known to be empty.
        let is_lost = |day: &Ds| counts.get(day) != Some(&0);
        let lost: RangeSet = verdict.missing.iter().filter(is_lost).collect();
        Ok(Verdict {
            empty: verdict.empty.union(&verdict.missing.minus(&lost)),
            missing: lost,
            ..verdict
        })
    }

    /// Done is a table that holds exactly this day, and rows besides the serving information (§4.6).
    fn verify_upload(
        &self,
        job: &Job,
        asset: &Asset,
        snapshot: &CatalogSnapshot,
    ) -> Result<Verdict, WorkError> {
        let wanted = RangeSet::from(job.range);
        let lost = Verdict {
            missing: wanted.clone(),
            ..Verdict::default()
        };
        if snapshot.table(&asset.table).is_none() || self.has_failed(job) {
            return Ok(lost);
        }
        let index = self.context.graph.find(&asset.id).unwrap_or_default();
        let script = sql::count_upload(&asset.table);
        let counts = self.count(job, index, &script)?.ok_or_else(|| {
            WorkError::Failed(format!(
                "the rows of {} cannot be counted; see {}",
                asset.table,
                self.step_folder(job).join(format!("{COUNT}.log")).display()
            ))
        })?;
        Ok(uploaded(job, &counts))
    }

    /// What a consistency job found. What cannot be told is left out: the tables themselves are there.
    fn compared(
        &self,
        job: &Job,
        index: AssetIndex,
        snapshot: &CatalogSnapshot,
    ) -> Result<Vec<Compared>, WorkError> {
        let Some(request) = self.request(job, snapshot) else {
            return Ok(Vec::new());
        };
        let Ok(Some(script)) = sql::findings(&request) else {
            return Ok(Vec::new());
        };
        let printed = self.query(job, index, "compared", &script)?;
        Ok(printed
            .map(|log| sql::parse_findings(&log))
            .unwrap_or_default())
    }

    /// The step as the `sql` engine would be asked for it.
    fn request<'s>(
        &'s self,
        job: &'s Job,
        snapshot: &'s CatalogSnapshot,
    ) -> Option<sql::Request<'s>> {
        Some(sql::Request {
            conf: self.context.conf(&job.asset)?,
            mode: &job.asset.mode,
            range: job.range,
            latest_date: job.range.end,
            partition_column: &self.context.workspace.partition_column,
            tables: snapshot,
        })
    }

    /// Runs a script that counts rows; `None` if it failed.
    fn count(
        &self,
        job: &Job,
        index: AssetIndex,
        script: &str,
    ) -> Result<Option<BTreeMap<Ds, u64>>, WorkError> {
        let printed = self.query(job, index, COUNT, script)?;
        Ok(printed.and_then(|log| sql::parse_counts(&log)))
    }

    /// What the script printed into `<name>.log` of the step's folder; `None` if it failed.
    fn query(
        &self,
        job: &Job,
        index: AssetIndex,
        name: &str,
        script: &str,
    ) -> Result<Option<String>, WorkError> {
        let folder = self.step_folder(job);
        let path = folder.join(format!("{name}.sql"));
        let log = folder.join(format!("{name}.log"));
        let failed = |error: &dyn std::fmt::Display| WorkError::Failed(error.to_string());
        fs::create_dir_all(&folder)
            .and_then(|()| chronon_run_process::replace(&path, script))
            .map_err(|error| failed(&format!("cannot write {}: {error}", path.display())))?;
        let conf = self.context.spark_conf(index);
        let name = format!("chronon-run {name} of {}", job.asset);
        let command = self.sql.script(&conf, &path, &name, Length::Short);
        let command = self
            .sql
            .concealed(command)
            .map_err(|error| failed(&error))?;
        let helper = Helper::new(&command)
            .limit(COUNTING)
            .grace(self.context.workspace.run.grace)
            .watchdog(self.watchdog);
        match helper.run(&log) {
            Ok(Exit::Code(0)) => {}
            Ok(_) | Err(HelperError::TimedOut { .. }) => return Ok(None),
            Err(error) => return Err(failed(&error)),
        }
        let text = fs::read(&log).map_err(|error| failed(&error))?;
        Ok(Some(String::from_utf8_lossy(&text).into_owned()))
    }
}

/// A day for which the inputs that decide about it were made by this workspace and turned out to be
/// empty does not exist for the Driver (§4.1): it is empty too.
fn without_any_gate(asset: &Asset, snapshot: &CatalogSnapshot, verdict: Verdict) -> Verdict {
    let gates: Vec<_> = asset.inputs.iter().filter(|input| input.gates).collect();
    if gates.is_empty() || gates.iter().any(|input| input.producer.is_none()) {
        return verdict;
    }
    let there = gates.iter().fold(RangeSet::new(), |all, input| {
        let spec = &input.spec;
        all.union(&snapshot.days(&spec.table, &input.day_column, &spec.sub_partitions))
    });
    let empty = verdict.missing.minus(&there);
    Verdict {
        missing: verdict.missing.minus(&empty),
        empty: verdict.empty.union(&empty),
        ..verdict
    }
}

/// Heads the statements that drop part partitions.
const PREMATURE: &str = "-- made before the left rows of their day were handed to the part; the Driver would keep them\n";
/// The script that counts rows, and its log.
const COUNT: &str = "rows";
