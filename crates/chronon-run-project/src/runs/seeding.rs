//! Seeds: small sources that the workspace itself loads, before the first step of a run.

use std::{fs, path::Path, thread, time::Duration};

use chronon_run_core::event::CancelReason;

use chronon_run_engine::seeds::{self};
use chronon_run_exec::{Control, lock};
use chronon_run_process::{Exit, GuestError, Helper, HelperError, SessionOutcome, Stop, Tail};
use chronon_run_report::Activity;
use chronon_run_spark::{
    command::Length,
    host, log,
    statements::{self, Mark, Statements},
};
use chronon_run_workspace::Workspace;
use crossbeam_channel::Receiver;

use crate::{
    engines::{
        hosts::SharedSpark,
        spark_sql::{SparkSql, common_conf},
    },
    failure::Failure,
    listing::{
        seeds::{remember, seeds_to_load},
        session::CatalogSession,
    },
    loading::project::Project,
    output::note,
    program::{now_millis, own_watchdog},
    runs::control::interrupted,
};

/// Loads every seed that is missing or stale, in one Spark session; its script and log go to
/// `folder`. Waits while another run loads seeds.
pub fn load(
    context: &Project,
    warehouse: &CatalogSession,
    folder: &Path,
    control: &Receiver<Control>,
) -> Result<(), Failure> {
    if context.workspace.seeds.is_empty() {
        return Ok(());
    }
    for (table, why) in context.bad_seeds() {
        note(&format!("warning: the seed {table} is not loaded: {why}"));
    }
    let _guard = lock_seeds(context, control)?;
    let missing = seeds_to_load(context, warehouse)?;
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = missing
        .iter()
        .map(|seed| seed.table().to_string())
        .collect();
    note(&chronon_run_report::fit_line(&format!(
        "loading {}: {}",
        chronon_run_report::count(names.len() as u64, "seed"),
        names.join(", ")
    )));
    run_script(
        &context.workspace,
        warehouse,
        folder,
        "seeds",
        &[],
        &seeds::script(&missing),
        control,
    )?;
    match seeds_to_load(context, warehouse)?.as_slice() {
        [] => {
            missing.iter().for_each(|seed| remember(context, seed));
            Ok(())
        }
        [first, ..] => Err(Failure::hinted(
            format!(
                "the seed {} is not in the catalog although its load exited 0",
                first.table()
            ),
            format!("look at {}", folder.join("seeds.log").display()),
        )),
    }
}

const SEEDS: &str = "(seeds)";

fn lock_seeds(context: &Project, control: &Receiver<Control>) -> Result<lock::Guard, Failure> {
    let folder = context.workspace.state_dir.join("locks");
    let mut told = false;
    loop {
        match lock::acquire(
            &folder,
            "seeds",
            now_millis(),
            [SEEDS],
            context.workspace.run.grace,
        ) {
            Ok(guard) => return Ok(guard),
            Err(lock::LockError::Held { pid, .. }) => {
                if !std::mem::replace(&mut told, true) {
                    note(&format!("waiting for process {pid}, which loads the seeds"));
                }
                interrupted(control)?;
                thread::sleep(Duration::from_millis(200));
            }
            Err(error) => return Err(Failure::setup(error)),
        }
    }
}

/// How much of a log's end is looked at, at once, for what is being done.
const LOOK: u64 = 64 << 10;

/// What a script of the workspace's own is doing after `ended` of its statements.
fn doing(name: &str, statements: &Statements, ended: usize) -> String {
    match statements.table(ended) {
        Some(table) if name == "seeds" => {
            let (place, all) = statements.place(table);
            format!("loading seed {place} of {all}: {table}")
        }
        _ => format!("{name}: {}", statements.describe(ended)),
    }
}

/// Runs a script of the workspace's own with `extra` properties; its log.
/// Script and log are `<folder>/<name>.sql` and `.log`. The workspace may be one whose settings were changed
/// for this script.
pub fn run_script(
    workspace: &Workspace,
    warehouse: &CatalogSession,
    folder: &Path,
    name: &str,
    extra: &[(String, String)],
    text: &str,
    control: &Receiver<Control>,
) -> Result<String, Failure> {
    let script = folder.join(format!("{name}.sql"));
    let log_path = folder.join(format!("{name}.log"));
    fs::create_dir_all(folder)
        .and_then(|()| chronon_run_process::replace(&script, text))
        .map_err(|error| Failure::setup(format!("cannot write {}: {error}", script.display())))?;
    interrupted(control)?;
    let statements = Statements::of(text);
    let activity = Activity::start(&format!("starting Spark for the {name}"));
    let mut tail = Tail::new(&log_path);
    let mut ended = 0;
    let mut beat = || {
        let lines = tail.last_lines(LOOK).unwrap_or_default();
        let marks = lines.iter().filter_map(|line| statements::mark(line));
        ended += marks.filter(|mark| *mark == Mark::Ended).count();
        if ended > 0 {
            activity.say(&doing(name, &statements, ended));
        }
    };
    let own = OwnScript {
        workspace,
        warehouse,
        name,
        script: &script,
        log: &log_path,
        extra,
    };
    let exit = match own.run(&mut beat)? {
        Ok(exit) => exit,
        Err(HelperError::Stopped(reason)) => return Err(Failure::Interrupted(reason)),
        Err(error) => return Err(Failure::setup(error)),
    };
    let log = fs::read(&log_path).unwrap_or_default();
    let log = String::from_utf8_lossy(&log).into_owned();
    match exit {
        Exit::Code(0) => Ok(log),
        _ => {
            let why = log::quote_error(&log);
            let why = why.unwrap_or_else(|| "no error was logged".to_owned());
            Err(Failure::hinted(
                format!("`{name}.sql` failed: {why}"),
                format!("the whole log is {}", log_path.display()),
            ))
        }
    }
}

/// A script of the workspace's own, and where it is run.
struct OwnScript<'a> {
    workspace: &'a Workspace,
    warehouse: &'a CatalogSession,
    name: &'a str,
    script: &'a Path,
    log: &'a Path,
    extra: &'a [(String, String)],
}

impl OwnScript<'_> {
    /// In the Spark that slots share, if they do; else in a process of its own.
    fn run(&self, beat: &mut dyn FnMut()) -> Result<Result<Exit, HelperError>, Failure> {
        let sql = SparkSql::new(self.workspace, self.warehouse.spark())?;
        let options = host::options(self.extra);
        match (sql.shared(self.workspace)?, options) {
            (Some(spark), Some(options)) => self.run_shared(&sql, &spark, options, beat),
            _ => self.run_alone(&sql, beat),
        }
    }

    fn run_shared(
        &self,
        sql: &SparkSql<'_>,
        spark: &SharedSpark,
        options: Vec<(String, String)>,
        beat: &mut dyn FnMut(),
    ) -> Result<Result<Exit, HelperError>, Failure> {
        let mut fields = host::request(self.script, &self.title(), sql.uri(), &[]);
        fields.extend(options);
        // The log of this script begins again.
        chronon_run_process::replace(self.log, "").map_err(Failure::setup)?;
        let found = self
            .warehouse
            .spark()
            .hosts()
            .host(spark)
            .map_err(Failure::setup)?;
        let is_stopped = || Stop::of_process().reason().is_some();
        let guest = match found.ask(&fields, &is_stopped) {
            Ok(guest) => guest,
            Err(GuestError::GivenUp) => {
                Stop::of_process().give_up();
                let reason = Stop::of_process().reason();
                return Ok(Err(HelperError::Stopped(
                    reason.unwrap_or(CancelReason::Interrupt),
                )));
            }
            Err(GuestError::Gone) => {
                let died = found.explain_exit(self.log).map_err(Failure::setup)?;
                return Ok(Ok(exit_of(died)));
            }
            Err(error) => return Err(Failure::setup(error)),
        };
        let run = &self.workspace.run;
        Ok(guest
            .watch(self.log, run.timeout, run.grace, beat)
            .map(exit_of))
    }

    fn run_alone(
        &self,
        sql: &SparkSql<'_>,
        beat: &mut dyn FnMut(),
    ) -> Result<Result<Exit, HelperError>, Failure> {
        let mut conf = common_conf(&self.workspace.engine);
        conf.extend_from_slice(self.extra);
        let command = sql.script(&conf, self.script, &self.title(), Length::Short);
        let command = sql.concealed(command).map_err(Failure::setup)?;
        let run = &self.workspace.run;
        let watchdog = own_watchdog(run.grace)?;
        let mut beat = beat;
        let helper = Helper::new(&command)
            .beat(&mut beat)
            .limit(run.timeout)
            .grace(run.grace)
            .watchdog(&watchdog);
        Ok(helper.run(self.log))
    }

    fn title(&self) -> String {
        format!("chronon-run {}", self.name)
    }
}

/// How a process that had run only this script would have exited.
fn exit_of(outcome: SessionOutcome) -> Exit {
    match outcome {
        SessionOutcome::Done { ok: true } => Exit::Code(0),
        SessionOutcome::Done { ok: false } | SessionOutcome::Died(Exit::Code(0)) => Exit::Code(1),
        SessionOutcome::Died(exit) => exit,
    }
}
