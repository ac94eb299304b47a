//! `chronon-run`: wiring, diagnostics and exit codes.

#![cfg_attr(not(test), warn(clippy::disallowed_methods, clippy::too_many_lines))]

mod cli;
mod commands;
mod completing;
#[cfg(test)]
mod documented;
mod ui;

use std::{env, io, process::ExitCode};

use chronon_run_exec::signals;
use chronon_run_process::Stop;
use chronon_run_project::{engines::keeping, failure::Failure, output, paging, runs::archives};
use chronon_run_report::colours_in;
use clap::{ColorChoice, CommandFactory, Parser};
use clap_complete::CompleteEnv;

use crate::cli::{Cli, Command};

fn main() -> ExitCode {
    chronon_run_process::raise_soft_limits();
    chronon_run_report::set_colours(colours_in(env::args_os()));
    let done = match own_process() {
        Some(done) => done,
        None => {
            CompleteEnv::with_factory(|| completing::with_selectors(Cli::command()))
                .var(COMPLETE)
                .complete();
            let cli = Cli::parse();
            let ready = signals::install().and_then(|()| chronon_run_process::reap_orphans());
            ready.map_err(no_thread).and_then(|()| run(&cli))
        }
    };
    paging::finish();
    let stop = Stop::of_process();
    match Failure::after_signals(done, stop.reason(), stop.gave_up()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::failure(&failure);
            ExitCode::from(failure.exit_code())
        }
    }
}

fn set_colours(choice: ColorChoice) {
    chronon_run_report::set_colours(match choice {
        ColorChoice::Auto => None,
        ColorChoice::Always => Some(true),
        ColorChoice::Never => Some(false),
    });
}

fn no_thread(error: io::Error) -> Failure {
    Failure::hinted(
        format!("cannot start a thread: {error}"),
        "raise the limit of processes and threads of this user (`ulimit -u`) or of the container (`pids`)",
    )
}

/// What needs no command line: the version, and what a copy of the program does that the program itself has
/// started. The watchdog takes no signals: it outlives the run that it watches.
fn own_process() -> Option<Result<(), Failure>> {
    let mut arguments = env::args_os().skip(1);
    let (argument, None) = (arguments.next()?, arguments.next()) else {
        return None;
    };
    match argument.to_str()? {
        "--version" | "-V" => Some(output::print(&commands::doctor::versions())),
        cli::WATCHDOG => {
            chronon_run_process::watchdog_main(io::stdin().lock());
            Some(Ok(()))
        }
        cli::BUILD_ARCHIVES => {
            let installed = signals::install().map_err(no_thread);
            Some(installed.and_then(|()| archives::builder_main()))
        }
        _ => None,
    }
}

fn run(cli: &Cli) -> Result<(), Failure> {
    set_colours(cli.color);
    if let Some(directory) = &cli.directory {
        env::set_current_dir(directory).map_err(|error| {
            Failure::setup(format!("cannot go to {}: {error}", directory.display()))
        })?;
    }
    if cli.command.is_paged() && !cli.no_pager {
        paging::allow();
    }
    if cli.no_daemon {
        keeping::forbid_keeping();
    }
    if let Some(target) = cli.command.target() {
        output::for_target(target);
    }
    match &cli.command {
        Command::Init(args) => commands::init::run(args),
        Command::Compile(args) => commands::compile::run(args, &run_words),
        Command::Check(args) => commands::check::run(args),
        Command::Ls(args) => commands::ls::run(args),
        Command::Plan(args) => commands::plan::run(args),
        Command::Materialize(args) => commands::materialize::run(args),
        Command::Diff(args) if args.data => commands::diff_data::run(args),
        Command::Diff(args) => commands::diff::run(args),
        Command::Frontfill(args) => commands::frontfill::run(args),
        Command::Ready(args) => commands::ready::run(args),
        Command::Retry(args) => commands::retry::run(args),
        Command::Status(args) => commands::status::run(args),
        Command::Stream(args) => commands::stream::run(args),
        Command::Show(args) => commands::show::run(args),
        Command::Compare(args) => commands::compare::run(args),
        Command::Query(args) => commands::query::run(args),
        Command::Sql(args) => commands::sql::run(args),
        Command::Runs(args) => commands::runs::run(args),
        Command::Report(args) => commands::report::run(args),
        Command::Logs(args) => commands::logs::run(args),
        Command::Target(command) => commands::target::run(command),
        Command::Ui(args) => commands::ui::run(args),
        Command::Clean(args) => commands::clean::run(args),
        Command::Doctor(args) => commands::doctor::run(args),
        Command::Engine(command) => commands::engine::run(command),
        Command::Export(command) => commands::export::run(command),
        Command::Completions { shell } => output::print(&completion_script(*shell)?),
        Command::Reference { topic, out } => commands::reference::run(*topic, out.as_deref()),
    }
}

/// Runs a command of this program in this process.
fn run_words(words: &[&str]) -> Result<(), Failure> {
    run(&Cli::try_parse_from(words).map_err(Failure::setup)?)
}

/// The variable in which a shell asks this program for completions.
const COMPLETE: &str = "CHRONON_RUN_COMPLETE";

/// What a shell needs to ask this program for completions.
fn completion_script(shell: clap_complete::Shell) -> Result<String, Failure> {
    let known = clap_complete::env::Shells::builtins();
    let name = shell.to_string();
    let completer = known.completer(&name);
    let completer = completer.ok_or_else(|| Failure::setup(format!("{name} is not known")))?;
    let mut script = Vec::new();
    let program = "chronon-run";
    completer.write_registration(COMPLETE, program, program, program, &mut script)?;
    Ok(String::from_utf8_lossy(&script).into_owned())
}
