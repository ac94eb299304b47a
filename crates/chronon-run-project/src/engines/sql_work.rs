//! What a step of the `sql` engine is: a script, the session that runs it, and the look at the
//! catalog afterwards.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chronon_run_catalog::{Catalog, Request};
use chronon_run_core::{
    AssetKind, CatalogSnapshot, CommandLine, ConfType, Ds, PartitionRange, RangeSet,
    event::{Checked, Outcome, StepIndex},
};
use chronon_run_exec::{
    Job, RetryDecision, ScriptMark, StageProgress, Task, TaskKind, Verdict, Work, WorkError,
};
use chronon_run_plan::{Asset, Step};
use chronon_run_spark::{
    Spark,
    command::Length,
    host, session,
    statements::{self, Mark, Statements},
};
use chronon_run_sql as sql;
use chronon_run_workspace::FastStart;

use crate::{
    engines::{
        driver::Driver,
        hosts::SharedSpark,
        other_days, other_form, retrying,
        spark_sql::{SparkSql, common_conf},
    },
    listing::{applications::Applications, leftovers, session::CatalogSession, snapshot::resolved},
    loading::{project::Project, targets},
    logs::failed_statement,
    planning::{filled::Records, freshness::Recording},
};

/// Runs the steps of one plan with the `sql` engine.
pub struct SqlWork<'a> {
    pub(crate) context: &'a Project,
    pub(crate) warehouse: &'a CatalogSession,
    pub(crate) sql: &'a SparkSql<'a>,
    pub(crate) applications: &'a Applications,
    /// The Spark that the slots share, if they do.
    pub shared: Option<SharedSpark>,
    /// The run's folder: scripts and logs.
    pub folder: PathBuf,
    /// The plan's steps, by index.
    pub steps: &'a [Step],
    pub(crate) recording: Recording<'a>,
    /// The statements of every script that was written.
    pub statements: Mutex<BTreeMap<StepIndex, Statements>>,
}

impl SqlWork<'_> {
    fn known_statements(&self) -> MutexGuard<'_, BTreeMap<StepIndex, Statements>> {
        self.statements
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn step(&self, job: &Job) -> Result<&Step, WorkError> {
        let found = self.steps.get(job.step as usize);
        found.ok_or_else(|| WorkError::Failed(format!("the plan has no step {}", job.step)))
    }

    fn asset(&self, job: &Job) -> Result<&Asset, WorkError> {
        let graph = &self.context.graph;
        let index = graph.find(&job.asset);
        let found = index.map(|index| &graph.assets[index]);
        found.ok_or_else(|| WorkError::Failed(format!("there is no asset {}", job.asset)))
    }

    fn step_folder(&self, job: &Job) -> PathBuf {
        step_folder(&self.folder, self.steps, job)
    }

    /// What the catalog shows now.
    fn observe(&self, requests: &[Request]) -> Result<CatalogSnapshot, WorkError> {
        look(self.warehouse, requests)
    }

    /// Those of the asset's `days` that exist and hold no row.
    fn empty_days(
        &self,
        asset: &Asset,
        column: &str,
        days: &RangeSet,
    ) -> Result<RangeSet, WorkError> {
        let catalog = self.catalog()?;
        let days = days.widen(asset.shift, asset.shift);
        let empty = catalog.empty_days(&asset.table, column, &days);
        let empty = empty.map_err(|error| WorkError::Unavailable(error.to_string()))?;
        Ok(empty.widen(-asset.shift, -asset.shift))
    }

    /// Takes the partitions without rows away that the script has left to be seen: the Driver has
    /// none (§5.2), and that those days are done stands in the ledger. One that stays does no harm.
    fn drop_empty(&self, job: &Job, asset: &Asset, column: &str, empty: &RangeSet) {
        let Some(Catalog::Hive(hive)) = self.warehouse.catalog() else {
            return;
        };
        let own = empty.widen(asset.shift, asset.shift);
        let sides = asset.also_writes.iter().map(|side| {
            let days = RangeSet::from(job.range).widen(side.shift, side.shift);
            let empty = hive.empty_days(&side.table, column, &days);
            (&side.table, empty.unwrap_or_default())
        });
        let all = std::iter::once((&asset.table, own)).chain(sides);
        for (table, days) in all.filter(|(_, days)| !days.is_empty()) {
            let _ = hive.drop_days(table, column, &days, true);
        }
    }

    fn catalog(&self) -> Result<&Catalog, WorkError> {
        catalog_of(self.warehouse)
    }

    /// Compiles the step against what the catalog shows now, which is recorded.
    fn script(&self, job: &Job, attempt: u32) -> Result<String, WorkError> {
        let step = self.step(job)?;
        let index = self.context.graph.find(&job.asset).unwrap_or_default();
        let tables = self.context.graph.tables_of(&BTreeSet::from([index]));
        let requests: Vec<_> = tables
            .into_iter()
            .map(|(table, columns)| (table, columns.into_iter().collect()))
            .collect();
        let snapshot = self.observe(&requests)?;
        let asset = self.asset(job)?;
        // What is behind views tells how they write days.
        let (asset, snapshot) = resolved(self.context, self.warehouse, asset, &snapshot);
        let bytes = self.recording.look(job, attempt, &asset, &snapshot);
        let part = Step {
            range: job.range,
            ..step.clone()
        };
        let script = compile(self.context, &part, &snapshot)?;
        // A staging query may read more days of its tables than its own.
        let is_bounded = job.asset.conf.conf_type != ConfType::StagingQuery;
        if !is_bounded || bytes.is_none_or(|bytes| bytes > SMALL) {
            return Ok(script);
        }
        let conf = retrying::spark_conf(self.context, job);
        Ok(sql::with_settings(&script, &settings_of_small(&conf)))
    }

    fn command(&self, job: &Job, script: Option<&Path>) -> Result<CommandLine, WorkError> {
        let conf = retrying::spark_conf(self.context, job);
        let length = job_length(self.context.workspace.engine.fast_start, job.range);
        let command = match script {
            Some(script) => {
                let name = format!("chronon-run {}", job.asset);
                self.sql.script(&conf, script, &name, length)
            }
            None => self.sql.session(&conf, length),
        };
        let concealed = self.sql.concealed(command);
        concealed.map_err(|error| WorkError::Failed(error.to_string()))
    }

    /// The first attempt of a step runs in the Spark that all slots share, unless its settings or what its
    /// script does would be felt by its neighbours. Later attempts, and those with other settings, have a
    /// JVM of their own: what ended the first one was perhaps a neighbour, or more than one JVM can do.
    fn shared(&self, job: &Job, script: &Path, attempt: u32, text: &str) -> Option<TaskKind> {
        let spark = self.shared.clone()?;
        if attempt > 1 || job.more_memory || host::is_alone(text) {
            return None;
        }
        let conf = retrying::spark_conf(self.context, job);
        let common = common_conf(&self.context.workspace.engine);
        let settings = host::session_conf(&common, &conf)?;
        let name = format!("chronon-run {}", job.asset);
        let fields = host::request(script, &name, self.sql.uri(), &settings);
        let hosts = Arc::clone(self.warehouse.spark().hosts());
        let found = move || hosts.host(&spark).map_err(|failure| failure.to_string());
        Some(TaskKind::Shared {
            host: Arc::new(found),
            fields,
        })
    }

    /// A warm session runs the script if it can name it; else a process of its own does. On a
    /// cluster each attempt is an application of its own, which can be ended alone and leaves its
    /// executors to others as soon as it is over.
    fn kind(
        &self,
        job: &Job,
        folder: &Path,
        script: &Path,
        attempt: u32,
        token: &str,
    ) -> Result<(CommandLine, TaskKind), WorkError> {
        let warm = self.context.workspace.engine.sessions && !self.applications.elsewhere();
        let input = warm.then(|| session::request(script, token)).flatten();
        let Some(input) = input else {
            return Ok((self.command(job, Some(script))?, TaskKind::Process));
        };
        let command = self.command(job, None)?;
        let token = token.to_owned();
        let succeeded = std::sync::atomic::AtomicBool::new(false);
        let marker = move |line: &str| match session::parse_marker(line, &token)? {
            session::Marker::Ok => {
                succeeded.store(true, std::sync::atomic::Ordering::Relaxed);
                None
            }
            session::Marker::End => Some(succeeded.load(std::sync::atomic::Ordering::Relaxed)),
        };
        let kind = TaskKind::Session {
            key: command.to_string(),
            log: folder.join(format!("session-{attempt}.log")),
            input,
            marker: Arc::new(marker),
        };
        Ok((command, kind))
    }
}

/// Inputs of so many bytes at most are small: Spark's own work for a query then costs more than the rows.
const SMALL: u64 = 32 << 20;

/// What is fastest for a step of small inputs, unless the user has chosen it: adaptive execution plans a query again
/// after each stage, and each partition of a shuffle is a task.
fn settings_of_small(conf: &[(String, String)]) -> Vec<(&'static str, &'static str)> {
    let chosen = [
        ("spark.sql.adaptive.enabled", "false"),
        ("spark.sql.shuffle.partitions", "2"),
    ];
    let is_free = |(key, _): &(&str, &str)| !conf.iter().any(|(given, _)| given == key);
    chosen.into_iter().filter(is_free).collect()
}

/// `<run>/<step>-<asset>/`: one folder for each step, one log for each attempt.
pub fn step_folder(run: &Path, steps: &[Step], job: &Job) -> PathBuf {
    let name = job.asset.to_string().replace('/', ".");
    let step = steps.get(job.step as usize);
    let start = step.map_or(job.range, |step| step.range).start;
    run.join(format!("{:03}-{name}-{start}", job.step + 1))
}

/// What the catalog shows now.
pub fn look(
    warehouse: &CatalogSession,
    requests: &[Request],
) -> Result<CatalogSnapshot, WorkError> {
    catalog_of(warehouse)?
        .snapshot(requests)
        .map_err(|error| WorkError::Unavailable(error.to_string()))
}

fn catalog_of(warehouse: &CatalogSession) -> Result<&Catalog, WorkError> {
    let catalog = warehouse.catalog();
    catalog.ok_or_else(|| WorkError::Failed("there is no catalog".to_owned()))
}

/// The script of a step, without the statement that reports its end. `snapshot` is one that is
/// [`resolved`]: days of sources in other formats are read.
pub fn compile(
    context: &Project,
    step: &Step,
    snapshot: &CatalogSnapshot,
) -> Result<String, WorkError> {
    let conf = context
        .conf(&step.asset)
        .ok_or_else(|| WorkError::Failed(format!("there is no conf for {}", step.asset)))?;
    let request = sql::Request {
        conf,
        mode: &step.asset.mode,
        range: step.range,
        latest_date: step.latest_date,
        partition_column: &context.workspace.partition_column,
        tables: snapshot,
    };
    sql::compile(&request).map_err(|refusals| {
        let texts: Vec<String> = refusals.iter().map(ToString::to_string).collect();
        WorkError::Failed(texts.join("; "))
    })
}

impl Work for SqlWork<'_> {
    fn prepare(&self, job: &Job, attempt: u32) -> Result<Task, WorkError> {
        targets::check_step(self.context, self.asset(job)?)?;
        let folder = self.step_folder(job);
        let token = format!("{}-{attempt}", job.step);
        let script = folder.join(format!("attempt-{attempt}.sql"));
        let counting = match job.asset.mode {
            AssetKind::Upload => sql::count_upload(&self.asset(job)?.table),
            _ => String::new(),
        };
        let text = format!(
            "{}\n{counting}\n{}\n",
            self.script(job, attempt)?.trim_end(),
            session::ok_statement(&token)
        );
        let statements = Statements::of(&text);
        targets::check_script(self.context, &job.asset, &statements)?;
        self.known_statements().insert(job.step, statements);
        fs::create_dir_all(&folder)
            .and_then(|()| chronon_run_process::replace(&script, &text))
            .map_err(|error| {
                WorkError::Failed(format!("cannot write {}: {error}", script.display()))
            })?;
        let (command, kind) = match self.shared(job, &script, attempt, &text) {
            Some(kind) => (self.command(job, Some(&script))?, kind),
            None => self.kind(job, &folder, &script, attempt, &token)?,
        };
        let log = folder.join(format!("attempt-{attempt}.log"));
        Ok(Task { command, log, kind })
    }

    fn verify(&self, job: &Job) -> Result<Verdict, WorkError> {
        let asset = self.asset(job)?;
        let Some(column) = &asset.day_column else {
            return self.verify_upload(job, asset);
        };
        let request = [(asset.table.clone(), vec![column.clone()])];
        let snapshot = self.observe(&request)?;
        let days = snapshot
            .days(&asset.table, column, &asset.sub_partitions)
            .widen(-asset.shift, -asset.shift);
        let wanted = RangeSet::from(job.range);
        let there = wanted.intersect(&days);
        let empty = self.empty_days(asset, column, &there)?;
        self.drop_empty(job, asset, column, &empty);
        if !there.is_empty() {
            Records::of(self.context).note(self.context, asset, &snapshot);
        }
        self.recording.times(job, asset, &there.minus(&empty));
        let compared = match job.asset.mode {
            AssetKind::Consistency => self.last_log(job).map(|log| sql::parse_findings(&log)),
            _ => None,
        };
        let verdict = Verdict {
            filled: there.minus(&empty),
            missing: wanted.minus(&days),
            empty,
            compared: compared.unwrap_or_default(),
            checked: self.left_out(job).into_iter().collect(),
            ..Verdict::default()
        };
        Ok(other_form::judged(asset, &snapshot, verdict))
    }

    fn explain(&self, job: &Job, log: &Path, outcome: &Outcome) -> Option<String> {
        let told = retrying::explain(log, outcome).map(|why| match failed_statement(log) {
            Some(statement) => format!("{why}; in {statement}"),
            None => why,
        });
        told.or_else(|| {
            let asset = self.asset(job).ok()?;
            let column = asset.day_column.iter().cloned().collect();
            let look = || self.observe(&[(asset.table.clone(), column)]).ok();
            other_form::explain(asset, outcome, look)
        })
    }

    fn settle(&self, job: &Job, log: &Path, _outcome: &Outcome) -> Result<(), String> {
        self.applications.end(log)?;
        if let Ok(asset) = self.asset(job) {
            leftovers::remove_helpers(self.warehouse, asset);
        }
        Ok(())
    }

    fn application(&self, line: &str) -> Option<String> {
        self.applications.named(line)
    }

    fn progress(&self, line: &str) -> Option<StageProgress> {
        retrying::progress(line)
    }

    fn mark(&self, line: &str) -> Option<ScriptMark> {
        Some(match statements::mark(line)? {
            Mark::Begins => ScriptMark::Begins,
            Mark::Ended => ScriptMark::Ended,
        })
    }

    fn statement(&self, job: &Job, ended: Option<usize>) -> Option<StageProgress> {
        let known = self.known_statements();
        let statements = known.get(&job.step)?;
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Some(StageProgress {
            done: count(ended.unwrap_or(0).min(statements.len())),
            total: count(statements.len()),
            stage: match ended {
                Some(ended) => statements.describe(ended),
                None => "starting Spark".to_owned(),
            },
        })
    }

    fn retry(&self, job: &Job, outcome: &Outcome, log: Option<&Path>) -> RetryDecision {
        retrying::decide(self.context, job, outcome, log)
    }
}

impl SqlWork<'_> {
    /// An upload's table must be there after exit 0, and the script must have counted its rows.
    fn verify_upload(&self, job: &Job, asset: &Asset) -> Result<Verdict, WorkError> {
        let snapshot = self.observe(&[(asset.table.clone(), Vec::new())])?;
        if snapshot.table(&asset.table).is_none() {
            return Ok(Verdict {
                missing: job.range.into(),
                ..Verdict::default()
            });
        }
        let counts = self.last_log(job).and_then(|log| sql::parse_counts(&log));
        let counts = counts.ok_or_else(|| {
            WorkError::Failed(format!("the rows of {} were not counted", asset.table))
        })?;
        Ok(uploaded(job, &counts))
    }

    /// That a staging query had rows of days that its step does not fill.
    fn left_out(&self, job: &Job) -> Option<Checked> {
        if job.asset.conf.conf_type != ConfType::StagingQuery {
            return None;
        }
        other_days::left_out(job, &sql::parse_left_out(&self.last_log(job)?))
    }

    /// The output of the step's last attempt.
    fn last_log(&self, job: &Job) -> Option<String> {
        let folder = self.step_folder(job);
        let log = |attempt: u32| folder.join(format!("attempt-{attempt}.log"));
        let last = (1..).take_while(|&attempt| log(attempt).exists()).last()?;
        retrying::tail(&log(last))
    }
}

/// Done is an upload table that holds exactly this day, and rows besides the serving information
/// (§4.6).
pub fn uploaded(job: &Job, counts: &BTreeMap<Ds, u64>) -> Verdict {
    let newest = counts.last_key_value();
    let rows =
        newest.and_then(|(day, rows)| (PartitionRange::day(*day) == job.range).then_some(*rows));
    match rows {
        Some(1..) => Verdict {
            filled: job.range.into(),
            ..Verdict::default()
        },
        _ => Verdict {
            missing: job.range.into(),
            empty_upload: rows == Some(0),
            ..Verdict::default()
        },
    }
}

/// Steps of a laptop's size are mostly start-up; hours of work want the good compiler.
pub fn job_length(setting: FastStart, range: PartitionRange) -> Length {
    const SHORT_DAYS: u32 = 90;
    match setting {
        FastStart::Always => Length::Short,
        FastStart::Auto if range.days() <= SHORT_DAYS => Length::Short,
        FastStart::Auto | FastStart::Never => Length::Long,
    }
}

/// The command line of a step as `plan` shows it: the run's folder is not known yet.
pub fn preview(
    context: &Project,
    uri: &str,
    spark: Option<&Spark>,
    step: &Step,
) -> Option<CommandLine> {
    let index = context.graph.find(&step.asset)?;
    let sql = SparkSql::shown(&context.workspace, uri, spark?.clone());
    if context.uses_driver() {
        let driver = Driver::new(context, Some(&sql));
        let asset = &context.graph.assets[index];
        return driver.command(step, asset, None).ok();
    }
    let asset = step.asset.to_string();
    let script = format!("{}-{}.sql", asset.replace('/', "."), step.range.start);
    Some(sql.script(
        &context.spark_conf(index),
        Path::new(&script),
        &format!("chronon-run {asset}"),
        Length::Long,
    ))
}
