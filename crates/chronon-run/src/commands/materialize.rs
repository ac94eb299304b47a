//! `chronon-run materialize`: plan, lock, plan again, run, verify, report.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{self, IsTerminal, Stderr, Stdout},
    path::{Path, PathBuf},
    time::Duration,
};

use chronon_run_core::{
    AssetId, Diagnostic, Location,
    event::{CancelReason, Sink},
};
use chronon_run_exec::{
    Backoff, Control, Job, Options, Retries, Summary,
    lock::{self, LockError},
    signals,
};
use chronon_run_export::{open_text, plan_text};
use chronon_run_ledger::{Ledger, Pace};
use chronon_run_plan::{PLAN_VERSION, Plan, State, Step};
use chronon_run_process::Watchdog;
use chronon_run_report::{Bars, JsonLines, Lines, RunView, SummaryContext, count};
use chronon_run_workspace::{FastStart, OnFailure as WorkspaceOnFailure};
use crossbeam_channel::Receiver;

use crate::{
    archives::{Background, Purpose, archive},
    cli::{self, MaterializeArgs, OnFailure, Output},
    context::{Context, now_millis, own_program},
    failure::Failure,
    output::{json, note, print},
    planning::{Planned, Wanted},
    seeding,
    warehouse::{Warehouse, log_config},
    work::SqlWork,
};

pub(crate) fn run(args: &MaterializeArgs) -> Result<(), Failure> {
    let context = Context::load()?;
    let saved = args.plan.as_deref().map(read_plan).transpose()?;
    let wanted = match &saved {
        Some(plan) => Wanted::of_plan(plan),
        None => Wanted {
            select: args.select.clone(),
            days: args.days.clone(),
            recompute: args.recompute,
        },
    };
    if args.dry_run {
        return dry_run(&context, &wanted, args.output);
    }
    // From here on Ctrl-C and TERM end things in order.
    let (_listener, control) = signals::listen()?;
    let warehouse = Warehouse::open(&context.workspace)?;
    let mut ledger = Ledger::open(&context.ledger_path());
    let planned = Planned::make(&context, &wanted, &warehouse, Some(&mut ledger))?;
    refuse_what_the_engine_cannot(&context, &planned)?;
    if let Some(saved) = &saved {
        check_unchanged(saved, &planned.plan)?;
    }
    if planned.plan.steps.is_empty() {
        return nothing_to_do(&planned.plan, args.output);
    }
    let run_id = run_id(&context);
    let folders = Folders::new(&context, &run_id);
    let families = planned.plan.steps.iter().map(|step| step.family.as_str());
    let _guard = lock::acquire(&folders.locks, &run_id, now_millis(), families).map_err(locked)?;
    for survivor in ledger.end_survivors(context.workspace.run.grace, now_millis()) {
        let attempt = &survivor.attempt;
        note(&format!(
            "run {} was killed while it filled {} {}; what was left of it is ended",
            attempt.run, attempt.asset, attempt.range
        ));
    }
    seeding::load(&context, &warehouse, &folders.seeds, &control)?;
    // Another run may have filled some of it while this one waited for its turn.
    let planned = Planned::make(&context, &wanted, &warehouse, Some(&mut ledger))?;
    if planned.plan.steps.is_empty() {
        return nothing_to_do(&planned.plan, args.output);
    }
    execute(
        &context, &warehouse, ledger, &planned, args, &folders, &control,
    )
}

fn dry_run(context: &Context, wanted: &Wanted, output: Output) -> Result<(), Failure> {
    let warehouse = Warehouse::look(&context.workspace)?;
    let mut ledger = context.existing_ledger();
    let planned = Planned::make(context, wanted, &warehouse, ledger.as_mut())?;
    match output {
        Output::Text => print(&plan_text(&planned.plan, true)),
        Output::Json => print(&json(&planned.plan)?),
    }
}

/// Where a run keeps its files.
struct Folders {
    run: PathBuf,
    locks: PathBuf,
    seeds: PathBuf,
}

impl Folders {
    fn new(context: &Context, run: &str) -> Self {
        let state = &context.workspace.state_dir;
        Self {
            run: state.join("runs").join(run),
            locks: state.join("locks"),
            seeds: state.join("runs").join(run).join("seeds"),
        }
    }
}

/// Sortable by time, unique in its workspace: `20260131-235959`, and a number if that is taken.
fn run_id(context: &Context) -> String {
    let instant = chronon_run_core::ds::format_instant(now_millis());
    let digits: String = instant.chars().filter(char::is_ascii_digit).collect();
    let base = format!("{}-{}", &digits[..8], &digits[8..]);
    let taken = |id: &str| context.workspace.state_dir.join("runs").join(id).exists();
    let numbered = (2..).map(|number| format!("{base}-{number}"));
    let mut names = std::iter::once(base.clone()).chain(numbered);
    names.find(|id| !taken(id)).unwrap_or(base)
}

fn read_plan(path: &Path) -> Result<Plan, Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::hinted(
            format!("cannot read the plan {}: {error}", path.display()),
            "`chronon-run plan --out FILE` writes one",
        )
    };
    let text = fs::read_to_string(path).map_err(|error| failed(&error))?;
    // The version first: a plan of another version may have another shape.
    let version = serde_json::from_str::<serde_json::Value>(&text)
        .ok()
        .and_then(|plan| plan["version"].as_u64());
    match version {
        Some(version) if version != u64::from(PLAN_VERSION) => Err(failed(&format!(
            "it has version {version}, this chronon-run reads version {PLAN_VERSION}"
        ))),
        _ => serde_json::from_str(&text).map_err(|error| failed(&error)),
    }
}

fn check_unchanged(saved: &Plan, fresh: &Plan) -> Result<(), Failure> {
    let differences = saved.differences(fresh);
    if differences.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = differences
        .iter()
        .map(|difference| format!("  {difference}"))
        .collect();
    Err(Failure::hinted(
        format!("the plan no longer fits:\n{}", lines.join("\n")),
        "make a new one with `chronon-run plan --out FILE`",
    ))
}

/// An asset that the engine cannot fill is an error before anything runs.
fn refuse_what_the_engine_cannot(context: &Context, planned: &Planned<'_>) -> Result<(), Failure> {
    let finding = |(asset, why): (&AssetId, &String)| {
        let found = context.graph.find(asset).map(|index| {
            context
                .workspace
                .repo
                .join(&context.graph.assets[index].path)
        });
        let finding = Diagnostic::error("engine-cannot", format!("{asset}: {why}"));
        let finding = match found {
            Some(path) => finding.at(Location::file(path)),
            None => finding,
        };
        finding.hint(format!(
            "leave it out with `--exclude {}`, or use the engine that can",
            asset.conf.name
        ))
    };
    let findings: Vec<Diagnostic> = planned.refused().iter().map(finding).collect();
    if findings.is_empty() {
        Ok(())
    } else {
        Err(Failure::Findings(findings))
    }
}

/// What to say when there is no step: all is filled, or the rest waits.
fn nothing_to_do(plan: &Plan, output: Output) -> Result<(), Failure> {
    if output == Output::Text {
        let done = count(plan.days_in(State::Done), "day");
        print(&format!(
            "nothing to do: {}, {done} filled\n",
            count(plan.totals.assets, "asset")
        ))?;
    }
    open_days(plan)
}

/// Exit 3, with the reasons, if something waits or is blocked.
fn open_days(plan: &Plan) -> Result<(), Failure> {
    if plan.days_in(State::Waiting) + plan.days_in(State::Blocked) == 0 {
        return Ok(());
    }
    note(open_text(plan).trim_end());
    Err(Failure::Waiting)
}

fn locked(error: LockError) -> Failure {
    match error {
        LockError::Held { .. } => Failure::Locked {
            message: error.to_string(),
        },
        LockError::Io { .. } => Failure::setup(error),
    }
}

fn execute(
    context: &Context,
    warehouse: &Warehouse,
    mut ledger: Ledger,
    planned: &Planned<'_>,
    args: &MaterializeArgs,
    folders: &Folders,
    control: &Receiver<Control>,
) -> Result<(), Failure> {
    let plan = &planned.plan;
    let spark = warehouse.spark(&context.workspace)?;
    fs::create_dir_all(&folders.run).map_err(|error| {
        Failure::setup(format!("cannot write {}: {error}", folders.run.display()))
    })?;
    let work = SqlWork {
        context,
        warehouse,
        archive: archive(Purpose::Sql, &spark),
        log_config: log_config(&context.workspace.state_dir)?,
        spark: &spark,
        folder: folders.run.clone(),
        steps: &plan.steps,
        inherited_options: env::var("SPARK_SUBMIT_OPTS").ok(),
    };
    let settings = &context.workspace.run;
    let watchdog = Watchdog::start(&own_program()?, &[cli::WATCHDOG], settings.grace)
        .map_err(Failure::setup)?;
    let wants_archives = context.workspace.engine.fast_start != FastStart::Never;
    let builder = wants_archives
        .then(|| Background::start(&spark, &watchdog))
        .flatten();
    let options = Options {
        run: folders
            .run
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default(),
        jobs: args.jobs.unwrap_or(settings.jobs),
        on_failure: on_failure(args.on_failure, settings.on_failure),
        grace: settings.grace,
        patience: settings.patience,
        pause: Duration::from_secs(1),
        watchdog: Some(&watchdog),
    };
    let paces = ledger.paces();
    let jobs: Vec<Job> = plan
        .steps
        .iter()
        .map(|step| job(context, step, &paces))
        .collect();
    let mut screen = Screen::new(args.output, &jobs);
    let summary = chronon_run_exec::run(
        &jobs,
        &work,
        &options,
        &mut [&mut ledger, screen.sink()],
        control,
    )
    .map_err(Failure::setup)?;
    let interrupted = matches!(
        summary.cancelled,
        Some(CancelReason::Interrupt | CancelReason::Terminate)
    );
    if let (Some(builder), true) = (builder, interrupted) {
        builder.end();
    }
    for notice in ledger.take_notices() {
        note(&notice);
    }
    if let Some(view) = screen.view() {
        note(summary_text(context, &view, folders, &summary).trim_end());
    }
    outcome(&summary, plan)
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
            Output::Text if io::stderr().is_terminal() => Self::Bars(Bars::new(expected.collect())),
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

fn summary_text(context: &Context, view: &RunView, folders: &Folders, summary: &Summary) -> String {
    let table_of = |asset: &AssetId| match context.graph.find(asset) {
        Some(index) => context.graph.assets[index].table.to_string(),
        None => asset.to_string(),
    };
    let next = if summary.all_succeeded() {
        vec!["chronon-run plan".to_owned(), "chronon-run runs".to_owned()]
    } else {
        let run = folders
            .run
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        vec![
            format!("chronon-run runs show {}", run.unwrap_or_default()),
            "chronon-run materialize".to_owned(),
        ]
    };
    chronon_run_report::summary(
        view,
        &SummaryContext {
            table_of: &table_of,
            logs: folders.run.clone(),
            next,
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

fn job(context: &Context, step: &Step, paces: &BTreeMap<AssetId, Pace>) -> Job {
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
        cost: pace.unwrap_or(1),
    }
}

fn outcome(summary: &Summary, plan: &Plan) -> Result<(), Failure> {
    match summary.cancelled {
        Some(reason @ (CancelReason::Interrupt | CancelReason::Terminate)) => {
            Err(Failure::Interrupted(reason))
        }
        _ if !summary.all_succeeded() => Err(Failure::StepFailed),
        _ => open_days(plan),
    }
}
