//! Running a plan: lock, look again, run, verify, report. `materialize` and every other command that
//! fills tables come through here.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, Stderr, Stdout},
    path::{Path, PathBuf},
    sync::Mutex,
    time::Duration,
};

use chronon_run_core::{
    AssetId, AssetKind,
    event::{CancelReason, Sink, What},
};
use chronon_run_exec::{Backoff, Control, Job, Options, Retries, Summary, Work, lock};
use chronon_run_export::{excluded_text, open_text, out_of_date_text};
use chronon_run_ledger::{AttemptRecord, Ledger, Pace, Provenance};
use chronon_run_plan::{Plan, State, Step};
use chronon_run_process::Watchdog;
use chronon_run_report::{
    Activity, Bars, JsonLines, Lines, RunView, SummaryContext, can_redraw, count, terminal_width,
};
use chronon_run_workspace::{FastStart, OnFailure as WorkspaceOnFailure};
use crossbeam_channel::{Receiver, Sender};

use crate::{
    engines::{
        checking::{Checks, WithChecks},
        driver::{self, Driver},
        driver_work::DriverWork,
        hosts::SharedSpark,
        keeping::end_kept,
        kv::{self, WithKv},
        spark_sql::{SparkSql, start_host},
        sql_work::SqlWork,
    },
    failure::Failure,
    listing::{applications::Applications, leases, leftovers, session::CatalogSession},
    loading::{jars, project::Project, targets},
    options::{OnFailure, Output, RunArgs},
    output::{note, print},
    planning::{freshness::Recording, prepared::Planned},
    program::{now_millis, own_watchdog},
    runs::{
        archives::Background,
        events::EventLog,
        hooks::{self, Call, Hooks, StepHooks},
        rebuild, seeding,
    },
};

/// What a run needs besides its plan.
pub struct Running<'a> {
    /// The workspace.
    pub context: &'a Project,
    /// Its catalog.
    pub warehouse: &'a CatalogSession,
    /// Where Ctrl-C and TERM arrive.
    pub control: &'a Receiver<Control>,
    /// How events are shown.
    pub output: Output,
    /// How many steps run at once; default the workspace's.
    pub jobs: Option<u32>,
    /// Default the workspace's.
    pub on_failure: Option<OnFailure>,
}

impl<'a> Running<'a> {
    /// A run as the command line says.
    pub fn new(
        context: &'a Project,
        warehouse: &'a CatalogSession,
        control: &'a Receiver<Control>,
        how: &RunArgs,
    ) -> Self {
        Self {
            context,
            warehouse,
            control,
            output: how.output,
            jobs: how.jobs,
            on_failure: how.on_failure,
        }
    }

    /// Runs `planned`. The plan is made again by `replan` once everything that it writes is
    /// locked: another run may have filled some of it while this one waited for its turn.
    pub fn run(
        &self,
        ledger: &mut Ledger,
        planned: Planned<'a>,
        replan: &dyn Fn(&mut Ledger) -> Result<Planned<'a>, Failure>,
    ) -> Result<Ended, Failure> {
        if planned.plan.steps.is_empty() {
            rebuild::finish(self.context, self.warehouse, ledger, &planned.plan);
            return Ok(Ended::without_run(planned));
        }
        let doing = Activity::start("preparing the run");
        start_host(&self.context.workspace, self.warehouse.spark());
        planned.check_edits()?;
        planned.check_columns()?;
        let folders = Folders::claim(self.context)?;
        let families = self.families(&planned.plan);
        let names = families.iter().map(String::as_str);
        let grace = self.context.workspace.run.grace;
        let _guard = lock::acquire(&folders.locks, &folders.id, now_millis(), names, grace)?;
        doing.say("claiming the tables");
        let _lease = leases::acquire(self.context, &folders.id, &families, self.control)?;
        let spark = self.warehouse.spark().known(&self.context.workspace);
        let applications = Applications::of(&self.context.workspace, spark.as_ref())?;
        doing.say("ending what is left of earlier runs");
        self.end_survivors(ledger, &applications)?;
        doing.say("preparing the run");
        rebuild::set_aside(self.warehouse, &planned.rebuilds(), &folders.id)?;
        seeding::load(self.context, self.warehouse, &folders.seeds, self.control)?;
        leftovers::remove(self.context, self.warehouse, &planned.plan, &folders.id);
        let planned = replan(ledger)?;
        targets::write_confs(self.context, &planned.plan)?;
        if planned.plan.steps.is_empty() {
            return Ok(Ended::without_run(planned));
        }
        let left_out = left_out(&planned);
        let plan = planned.plan;
        doing.say("preparing the first steps");
        let ran = self.execute(ledger, &plan, &folders, &applications, doing)?;
        let _ending = Activity::start("ending the run");
        rebuild::finish(self.context, self.warehouse, ledger, &plan);
        self.record_tables(&plan);
        Ok(Ended {
            plan,
            left_out,
            ran: Some(ran),
        })
    }

    /// Lists what was filled, for users who may only read.
    fn record_tables(&self, plan: &Plan) {
        let graph = &self.context.graph;
        let steps = plan.steps.iter();
        let filled = steps.filter_map(|step| graph.find(&step.asset)).collect();
        let tables = graph.tables_of(&filled);
        self.warehouse
            .record_tables(&self.context.workspace, &tables);
    }

    /// Every table family that a run of the plan writes, or that no other run may write meanwhile.
    fn families(&self, plan: &Plan) -> BTreeSet<String> {
        let of_step = |step: &Step| {
            let index = self.context.graph.find(&step.asset);
            let also = index.map(|index| self.context.graph.assets[index].also_locks.clone());
            let mut families = also.unwrap_or_default();
            families.push(step.family.clone());
            families
        };
        plan.steps.iter().flat_map(of_step).collect()
    }

    /// Ends what dead runs left behind, here and on the cluster.
    fn end_survivors(
        &self,
        ledger: &mut Ledger,
        applications: &Applications,
    ) -> Result<(), Failure> {
        let grace = self.context.workspace.run.grace;
        let mut end = |attempt: &AttemptRecord| applications.end_abandoned(attempt);
        for survivor in ledger.end_survivors(grace, now_millis(), &mut end) {
            let attempt = &survivor.attempt;
            let what = format!(
                "run {} ended while it filled {} {}",
                attempt.run, attempt.asset, attempt.range
            );
            if let Some(why) = &survivor.may_write {
                return Err(Failure::hinted(
                    format!("{what}, and {why}"),
                    "end it on the cluster, then run this again",
                ));
            }
            note(&format!("{what}; what was left of it is ended"));
        }
        Ok(())
    }

    /// The process that ends the children if this one is killed.
    fn watchdog(&self) -> Result<Watchdog, Failure> {
        own_watchdog(self.context.workspace.run.grace)
    }

    /// Runs `on_waiting` for what waits now that everything is over.
    pub fn tell_waiting(&self, ended: &Ended) -> Result<(), Failure> {
        if matches!(ended.outcome(), Err(Failure::Interrupted(_))) {
            return Ok(());
        }
        let workspace = &self.context.workspace;
        let run = ended.ran.as_ref().map(|ran| ran.run.as_str());
        let folders = Folders::claim(self.context)?;
        let folder = &folders.hooks;
        let calls = hooks::waiting_calls(&workspace.hooks, &ended.plan, now_millis(), run, folder);
        if calls.is_empty() {
            return Ok(());
        }
        let watchdog = self.watchdog()?;
        let send = |queue: &Sender<Call>| {
            for call in calls {
                // The queue lives until it is hung up.
                let _ = queue.send(call);
            }
        };
        let events = run.map(|run| EventLog::of(&self.context.runs_dir().join(run)));
        let hooks = Hooks::new(workspace, &watchdog);
        let ((), failures) = hooks.beside(self.control, events.as_ref(), send);
        failures.iter().for_each(|failure| note(failure));
        Ok(())
    }

    fn execute(
        &self,
        ledger: &mut Ledger,
        plan: &Plan,
        folders: &Folders,
        applications: &Applications,
        preparing: Activity,
    ) -> Result<CompletedRun, Failure> {
        let workspace = &self.context.workspace;
        save_plan(plan, &folders.run);
        let sql = self.prepare_spark(plan)?;
        let shared = sql.shared(workspace)?;
        self.warehouse.spark().hosts().keep_logs(&folders.run);
        let watchdog = self.watchdog()?;
        let provenance = Provenance::open(&self.context.ledger_path());
        let engine = Engine {
            sql: &sql,
            shared: &shared,
            folders,
            applications,
            watchdog: &watchdog,
            provenance: &provenance,
        };
        let work = self.work(plan, engine);
        let builder = (workspace.engine.fast_start != FastStart::Never)
            .then(|| Background::start(sql.spark(), &watchdog))
            .flatten();
        let paces = ledger.paces();
        let jobs = plan.steps.iter();
        let jobs: Vec<Job> = jobs.map(|step| job(self.context, step, &paces)).collect();
        // The bars take the line's place.
        drop(preparing);
        let mut screen = Screen::new(self.output, &jobs);
        let hooks = Hooks::new(workspace, &watchdog);
        let table_of = |asset: &AssetId| table_of(self.context, asset);
        let events = EventLog::of(&folders.run);
        let (summary, hook_failures) = hooks.beside(self.control, Some(&events), |calls| {
            let mut kept = events.clone();
            let folder = folders.hooks.clone();
            let mut told = StepHooks::new(&workspace.hooks, folder, &table_of, calls);
            chronon_run_exec::run(
                &jobs,
                work.as_ref(),
                &self.options(folders, &watchdog),
                &mut [
                    &mut *ledger,
                    &mut &provenance,
                    &mut kept,
                    screen.sink(),
                    &mut told,
                ],
                self.control,
            )
        });
        let summary = summary.map_err(Failure::setup)?;
        if let (Some(builder), true) = (builder, was_interrupted(&summary)) {
            builder.end();
        }
        say_notices(ledger, &provenance, &events);
        if let Some(view) = screen.view() {
            note(summary_text(self.context, &view, folders, &summary).trim_end());
        }
        hook_failures.iter().for_each(|failure| note(failure));
        Ok(CompletedRun {
            run: folders.id.clone(),
            summary,
        })
    }

    /// The Spark of the scripts. With the Driver, prepares what its jobs need.
    fn prepare_spark(&self, plan: &Plan) -> Result<SparkSql<'_>, Failure> {
        let workspace = &self.context.workspace;
        let sql = SparkSql::new(workspace, self.warehouse.spark())?;
        jars::refuse_unfit(workspace, sql.spark())?;
        if self.context.uses_driver() {
            // The seeds are loaded, and the Driver's jobs have JVMs of their own, which need the memory.
            self.warehouse.spark().hosts().end();
            end_kept(workspace)?;
            driver::prepare_databases(self.context, self.warehouse, plan)?;
        }
        Ok(sql)
    }

    /// The work of the workspace's engine, and that of the loader.
    fn work<'w>(&'w self, plan: &'w Plan, engine: Engine<'w>) -> Box<dyn Work + 'w> {
        let checked = WithChecks {
            engine: self.engine(plan, engine),
            checks: Checks::new(self.context, self.warehouse),
            failed: Mutex::default(),
        };
        Box::new(WithKv {
            engine: Box::new(checked),
            context: self.context,
            warehouse: self.warehouse,
            folder: engine.folders.run.clone(),
            steps: &plan.steps,
            failed: Mutex::default(),
        })
    }

    /// The work of the workspace's engine.
    fn engine<'w>(&'w self, plan: &'w Plan, engine: Engine<'w>) -> Box<dyn Work + 'w> {
        let Engine { sql, folders, .. } = engine;
        let recording = Recording {
            context: self.context,
            warehouse: self.warehouse,
            provenance: engine.provenance,
            run: folders.id.clone(),
        };
        if self.context.uses_driver() {
            return Box::new(DriverWork {
                context: self.context,
                warehouse: self.warehouse,
                sql,
                driver: Driver::new(self.context, Some(sql)),
                applications: engine.applications,
                watchdog: engine.watchdog,
                folder: folders.run.clone(),
                steps: &plan.steps,
                recompute: plan.recompute || plan.stale,
                begun: Mutex::default(),
                recording,
            });
        }
        Box::new(SqlWork {
            context: self.context,
            warehouse: self.warehouse,
            sql,
            applications: engine.applications,
            shared: engine.shared.clone(),
            folder: folders.run.clone(),
            steps: &plan.steps,
            recording,
            statements: Mutex::default(),
        })
    }

    fn options<'w>(&self, folders: &Folders, watchdog: &'w Watchdog) -> Options<'w> {
        let settings = &self.context.workspace.run;
        Options {
            run: folders.id.clone(),
            jobs: self.jobs.unwrap_or(settings.jobs),
            on_failure: on_failure(self.on_failure, settings.on_failure),
            grace: settings.grace,
            stuck_after: settings.stuck_after,
            patience: settings.patience,
            pause: Duration::from_secs(1),
            watchdog: Some(watchdog),
        }
    }
}

/// What the work of an engine is made with.
#[derive(Clone, Copy)]
struct Engine<'w> {
    sql: &'w SparkSql<'w>,
    shared: &'w Option<SharedSpark>,
    folders: &'w Folders,
    applications: &'w Applications,
    watchdog: &'w Watchdog,
    provenance: &'w Provenance,
}

/// How it went.
pub struct Ended {
    /// What was planned, last of all.
    pub plan: Plan,
    /// What was left out for want of the user's consent.
    left_out: BTreeSet<String>,
    /// What was run, if there was anything to run.
    pub ran: Option<CompletedRun>,
}

/// A run that is over.
pub struct CompletedRun {
    /// Its id.
    pub run: String,
    /// What became of its steps.
    pub summary: Summary,
}

impl Ended {
    fn without_run(planned: Planned<'_>) -> Self {
        Self {
            left_out: left_out(&planned),
            plan: planned.plan,
            ran: None,
        }
    }

    /// Whether days stay open because something is missing that this run could not fill.
    pub fn leaves_days_open(&self) -> bool {
        self.plan.days_in(State::Waiting) + self.plan.days_in(State::Blocked) > 0
    }

    /// Says what there is to say in the end of what was asked for by hand.
    pub fn tell(&self, output: Output) -> Result<(), Failure> {
        if self.ran.is_none() && output == Output::Text {
            print(&nothing_to_do(&self.plan))?;
        }
        if self.leaves_days_open() && !self.stopped() {
            note(open_text(&self.plan).trim_end());
        }
        if let Some(text) = out_of_date_text(&self.plan) {
            note(&text);
        }
        let excluded = excluded_text(&self.plan);
        if !excluded.is_empty() {
            note(excluded.trim_end());
        }
        Ok(())
    }

    /// Fails if days were asked for by name and none of them is, or will be, filled.
    pub fn check_asked(&self) -> Result<(), Failure> {
        let asked = self.plan.start_ds.or(self.plan.end_ds).is_some();
        let other = State::ALL
            .into_iter()
            .filter(|state| *state != State::Excluded);
        let others: u64 = other.map(|state| self.plan.days_in(state)).sum();
        let excluded = self.plan.days_in(State::Excluded) > 0;
        let nothing = excluded
            || self
                .plan
                .assets
                .iter()
                .any(|asset| asset.excluded.is_some());
        match asked && others == 0 && nothing {
            true => Err(Failure::setup(
                "none of the days that were asked for can be filled",
            )),
            false => Ok(()),
        }
    }

    /// Whether a step failed or the run was interrupted.
    pub fn stopped(&self) -> bool {
        matches!(
            self.outcome(),
            Err(Failure::Interrupted(_) | Failure::StepFailed)
        )
    }

    /// The command's exit, if these were asked for and left out because something is wrong with them,
    /// besides what was left out for want of the user's consent.
    pub fn outcome_without(&self, not_filled: &BTreeSet<String>) -> Result<(), Failure> {
        let outcome = self.outcome();
        let left_out: BTreeSet<&String> = not_filled.union(&self.left_out).collect();
        if left_out.is_empty() || !matches!(outcome, Ok(()) | Err(Failure::Waiting)) {
            return outcome;
        }
        let names: Vec<&str> = left_out.into_iter().map(String::as_str).collect();
        Err(Failure::hinted(
            format!("left out, everything else is done: {}", names.join(", ")),
            "`chronon-run check` shows why; `--exclude` leaves them out without this error",
        ))
    }

    /// The command's exit (design §7).
    pub fn outcome(&self) -> Result<(), Failure> {
        let summary = self.ran.as_ref().map(|ran| &ran.summary);
        match summary.and_then(|summary| summary.cancelled) {
            Some(reason) if reason != CancelReason::StepFailed => {
                return Err(Failure::Interrupted(reason));
            }
            _ if summary.is_some_and(|summary| !summary.all_succeeded()) => {
                return Err(Failure::StepFailed);
            }
            _ => {}
        }
        if self.leaves_days_open() {
            return Err(Failure::Waiting);
        }
        Ok(())
    }
}

fn left_out(planned: &Planned<'_>) -> BTreeSet<String> {
    planned.left_out().keys().map(ToString::to_string).collect()
}

/// What to say when there is no step: all is filled, or the rest waits.
pub fn nothing_to_do(plan: &Plan) -> String {
    let done = count(plan.days_in(State::Done), "day");
    let assets = count(plan.totals.assets, "asset");
    format!("nothing to do: {assets}, {done} filled\n")
}

/// Keeps the plan beside the logs, so that `retry` knows what the run set out to do. A run does not
/// fail because it cannot be retried.
fn save_plan(plan: &Plan, folder: &Path) {
    let path = folder.join(PLAN_FILE);
    let written = serde_json::to_vec(plan)
        .map_err(io::Error::from)
        .and_then(|text| chronon_run_process::replace(&path, text));
    if let Err(error) = written {
        note(&format!("cannot write {}: {error}", path.display()));
    }
}

/// Says what could not be recorded.
fn say_notices(ledger: &mut Ledger, provenance: &Provenance, events: &EventLog) {
    let notices = ledger.take_notices().into_iter();
    let notices = notices.chain(provenance.take_notices());
    for message in notices.chain(events.broken()) {
        note(&message);
        events.tell(What::Notice { message });
    }
}

/// The plan of a run, in its folder.
pub const PLAN_FILE: &str = "plan.json";

fn was_interrupted(summary: &Summary) -> bool {
    summary
        .cancelled
        .is_some_and(|reason| reason != CancelReason::StepFailed)
}

/// Where a run keeps its files.
struct Folders {
    /// The run's id.
    id: String,
    run: PathBuf,
    locks: PathBuf,
    seeds: PathBuf,
    /// What hooks printed.
    hooks: PathBuf,
}

impl Folders {
    fn claim(context: &Project) -> Result<Self, Failure> {
        let (id, run) = claim(&context.runs_dir(), now_millis())?;
        Ok(Self {
            id,
            seeds: run.join("seeds"),
            hooks: run.join("hooks"),
            run,
            locks: context.workspace.state_dir.join("locks"),
        })
    }
}

impl Drop for Folders {
    /// Removes the folder of a run that has written nothing.
    fn drop(&mut self) {
        // Not if it holds anything.
        let _ = fs::remove_dir(&self.run);
    }
}

/// An id that no other run has, and its folder, by whose making it is claimed: another run may begin in the same
/// second. Sortable by time: `20260131-235959`, and a number if that is taken.
fn claim(runs: &Path, now: i64) -> Result<(String, PathBuf), Failure> {
    let failed = |path: &Path, error: io::Error| {
        Failure::setup(format!("cannot write {}: {error}", path.display()))
    };
    fs::create_dir_all(runs).map_err(|error| failed(runs, error))?;
    let instant = chronon_run_core::ds::format_instant(now);
    let digits: String = instant.chars().filter(char::is_ascii_digit).collect();
    let base = format!("{}-{}", &digits[..8], &digits[8..]);
    let mut number = 1;
    loop {
        let id = match number {
            1 => base.clone(),
            _ => format!("{base}-{number}"),
        };
        let folder = runs.join(&id);
        match fs::create_dir(&folder) {
            Ok(()) => return Ok((id, folder)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(failed(&folder, error)),
        }
    }
}

/// How a run is shown: bars on a terminal, plain lines elsewhere, JSON lines for programs.
enum Screen {
    Bars(Bars),
    Lines(Lines<Stderr>),
    Json(JsonLines<Stdout>),
}

impl Screen {
    fn new(output: Output, jobs: &[Job]) -> Self {
        let expected = jobs
            .iter()
            .filter(|job| job.cost > 1)
            .map(|job| (job.step, job.cost));
        match output {
            Output::Json => Self::Json(JsonLines::new(io::stdout())),
            Output::Text if can_redraw() => Self::Bars(Bars::new(expected.collect())),
            Output::Text => Self::Lines(Lines::new(io::stderr())),
        }
    }

    fn sink(&mut self) -> &mut dyn Sink {
        match self {
            Self::Bars(bars) => bars,
            Self::Lines(lines) => lines,
            Self::Json(json) => json,
        }
    }

    /// The run as seen by a person.
    fn view(self) -> Option<RunView> {
        match self {
            Self::Bars(bars) => Some(bars.view()),
            Self::Lines(lines) => Some(lines.view().clone()),
            Self::Json(_) => None,
        }
    }
}

/// The table of an asset, as the user knows it.
fn table_of(context: &Project, asset: &AssetId) -> String {
    if asset.mode == AssetKind::Kv {
        return kv::dataset(asset);
    }
    match context.graph.find(asset) {
        Some(index) => context.graph.assets[index].table.to_string(),
        None => asset.to_string(),
    }
}

fn summary_text(context: &Project, view: &RunView, folders: &Folders, summary: &Summary) -> String {
    let table_of = |asset: &AssetId| table_of(context, asset);
    let next = if summary.all_succeeded() {
        vec!["chronon-run plan".to_owned(), "chronon-run runs".to_owned()]
    } else {
        let failed = view.ended(|outcome| !outcome.succeeded()).next();
        let logs = failed.map(|step| format!("chronon-run logs {}", step.info.asset));
        let show = format!("chronon-run runs show {}", folders.id);
        let retry = "chronon-run retry".to_owned();
        [Some(show), logs, Some(retry)]
            .into_iter()
            .flatten()
            .collect()
    };
    let next: Vec<String> = next
        .into_iter()
        .filter_map(|next| context.in_its_target(&next))
        .collect();
    chronon_run_report::summary(
        view,
        &SummaryContext {
            table_of: &table_of,
            logs: folders.run.clone(),
            next,
            width: terminal_width(),
        },
    )
}

fn on_failure(
    given: Option<OnFailure>,
    settings: WorkspaceOnFailure,
) -> chronon_run_exec::OnFailure {
    match (given, settings) {
        (Some(OnFailure::Stop), _) | (None, WorkspaceOnFailure::Stop) => {
            chronon_run_exec::OnFailure::Stop
        }
        (Some(OnFailure::Continue), _) | (None, WorkspaceOnFailure::Continue) => {
            chronon_run_exec::OnFailure::Continue
        }
    }
}

fn job(context: &Project, step: &Step, paces: &BTreeMap<AssetId, Pace>) -> Job {
    let settings = &context.workspace.run;
    let index = context.graph.find(&step.asset).unwrap_or_default();
    let pace = paces
        .get(&step.asset)
        .and_then(|pace| pace.estimate(step.range.days()));
    Job {
        step: step.index,
        asset: step.asset.clone(),
        range: step.range,
        family: step.family.clone(),
        after: step.after.clone(),
        once_over: step.once_over.clone(),
        timeout: Some(
            context
                .last(index, |found| found.timeout)
                .unwrap_or(settings.timeout),
        ),
        retries: Retries {
            count: context
                .last(index, |found| found.retries)
                .unwrap_or(settings.retries),
            backoff: Backoff::Fixed(
                context
                    .last(index, |found| found.retry_delay)
                    .unwrap_or(settings.retry_delay),
            ),
        },
        bisect: context
            .last(index, |found| found.bisect)
            .unwrap_or(settings.bisect),
        more_memory: false,
        cost: pace.unwrap_or(1),
    }
}
