//! A `spark-submit` without Spark, for tests: see `chronon_run_testkit::scripted`.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program talks to its log"
)]

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    sync::{Arc, atomic::AtomicBool},
    thread,
    time::Duration,
};

use chronon_run_core::CatalogSnapshot;
use chronon_run_testkit::{
    driver::{Commit, DriverArgs, Facts},
    scripted::{Backend, CALLS, CATALOG, Call, FACTS, FAULTS, Fault, Recorder, cut},
};
use serde::de::DeserializeOwned;

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    match run() {
        Ok(exit) => ExitCode::from(u8::try_from(exit & 0xff).unwrap_or(1)),
        Err(error) => {
            eprintln!("scripted spark-submit: {error}");
            ExitCode::from(70)
        }
    }
}

fn run() -> Result<i32, Failure> {
    let argv: Vec<String> = env::args().skip(1).collect();
    let call = Call::parse(&argv)?;
    if call == Call::Version {
        eprintln!("Welcome to Spark version 3.3.1 (scripted)");
        return Ok(0);
    }
    let cwd = env::current_dir()?;
    let backend = env::var(CATALOG)
        .ok()
        .map(|place| Backend::open(&place))
        .transpose()?;
    let catalog = snapshot(backend.as_ref(), &call, &cwd)?;
    let facts: Facts = json(FACTS)?.unwrap_or_default();
    let faults: Vec<Fault> = json(FAULTS)?.unwrap_or_default();
    let outcome = call.outcome(&cwd, &catalog, &facts)?;
    let calls = env::var_os(CALLS).map(PathBuf::from);
    let (recorder, fault) = Recorder::start(
        calls.as_deref(),
        &argv,
        call.asset(&cwd),
        call.subcommand(),
        &outcome.commits,
        &faults,
    )?;
    let fault = fault.cloned().unwrap_or_default();
    begin(&fault)?;
    write(
        backend.as_ref(),
        &cut(outcome.commits, fault.output),
        fault.slow_millis,
    )?;
    println!("{}", outcome.message);
    if fault.hang || call.subcommand() == "group-by-streaming" && outcome.exit == 0 {
        loop {
            thread::sleep(Duration::from_secs(3600));
        }
    }
    let exit = fault.exit.unwrap_or(outcome.exit);
    if exit != 0 {
        eprintln!("Exception in thread \"main\" {}", outcome.message);
    }
    recorder.end(exit)?;
    Ok(exit)
}

fn snapshot(
    backend: Option<&Backend>,
    call: &Call,
    cwd: &Path,
) -> Result<CatalogSnapshot, Failure> {
    let Some(backend) = backend else {
        return Ok(CatalogSnapshot::default());
    };
    let Call::Driver { args } = call else {
        let counted = call.counts();
        let counted: Vec<&str> = counted.iter().map(String::as_str).collect();
        return match counted.is_empty() {
            true => Ok(CatalogSnapshot::default()),
            false => Ok(backend.snapshot(None, &counted)?),
        };
    };
    let args = DriverArgs::parse(args).ok();
    let conf = args.as_ref().map(|args| cwd.join(&args.conf_path));
    let log_table = args.as_ref().and_then(|args| args.values.get("log-table"));
    let extra: Vec<&str> = log_table.map(String::as_str).into_iter().collect();
    Ok(backend.snapshot(conf.as_deref(), &extra)?)
}

/// The JSON file that a variable names, if it is set.
fn json<T: DeserializeOwned>(variable: &str) -> Result<Option<T>, Failure> {
    let Some(path) = env::var_os(variable).map(PathBuf::from) else {
        return Ok(None);
    };
    let bytes =
        std::fs::read(&path).map_err(|error| format!("{variable} {}: {error}", path.display()))?;
    Ok(Some(serde_json::from_slice(&bytes)?))
}

fn begin(fault: &Fault) -> Result<(), Failure> {
    if !fault.says.is_empty() {
        eprintln!("{}", fault.says);
    }
    if fault.ignore_term {
        let flag = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(signal_hook::consts::SIGTERM, flag)?;
    }
    if fault.fork {
        // Lives on when this process ends; its supervisor has to end the whole group.
        Command::new("sleep").arg("600").spawn()?;
    }
    Ok(())
}

/// Commits one by one if that is to take time, else all at once.
fn write(backend: Option<&Backend>, commits: &[Commit], slow_millis: u64) -> Result<(), Failure> {
    let apply = |commits: &[Commit]| backend.map_or(Ok(()), |backend| backend.apply(commits));
    if slow_millis == 0 {
        return Ok(apply(commits)?);
    }
    let pieces = commits.len().max(1);
    let pause = Duration::from_millis(slow_millis) / u32::try_from(pieces).unwrap_or(1);
    for piece in 0..pieces {
        eprintln!("[Stage {piece}:=====>  ({piece} + 1) / {pieces}]");
        thread::sleep(pause);
        apply(commits.get(piece..=piece).unwrap_or_default())?;
    }
    Ok(())
}
