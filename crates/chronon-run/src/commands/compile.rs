//! `chronon-run compile`: the Python sources that were edited, and what depends on them.

use std::{thread, time::Duration};

use chronon_run_compile::Sources;
use chronon_run_core::Diagnostic;
use chronon_run_process::Stop;
use chronon_run_project::{
    failure::Failure,
    loading::{
        compiler::{Compiler, Compiling},
        here, state,
    },
    output::{self, note, print, show},
};
use chronon_run_report::count;

use crate::cli::CompileArgs;

/// Between two looks at the files.
const POLL: Duration = Duration::from_millis(300);

/// Runs another command of this program in this process.
type Command<'a> = &'a dyn Fn(&[&str]) -> Result<(), Failure>;

/// `other` runs the commands that follow a compilation with `--watch`.
pub(crate) fn run(args: &CompileArgs, other: Command<'_>) -> Result<(), Failure> {
    let workspace = here::workspace()?.ok_or_else(|| {
        Failure::hinted(
            "there is no workspace.toml here or above",
            "`chronon-run init REPO` writes one; `-C DIR` runs in another folder",
        )
    })?;
    state::settle(&workspace)?;
    let compiling = Compiling {
        files: &args.files,
        all: args.all,
        force: args.force_overwrite,
    };
    let compiler = Compiler::find(&workspace, compiling)?;
    let once = |sources: &Sources| once(&compiler, sources, args.verbose);
    if !args.watch {
        return once(&compiler.sources()?);
    }
    let mut last: Option<Sources> = None;
    loop {
        let sources = compiler.sources()?;
        if last.as_ref() != Some(&sources) {
            turn(once(&sources), other);
            note("watching the Python sources; Ctrl-C ends it");
            last = Some(sources);
        }
        thread::sleep(POLL);
        if let Some(reason) = Stop::of_process().reason() {
            return Err(Failure::Interrupted(reason));
        }
    }
}

/// Compiles what is to be compiled; fails if something was not.
fn once(compiler: &Compiler<'_>, sources: &Sources, verbose: bool) -> Result<(), Failure> {
    let Some(compiled) = compiler.run(sources)? else {
        let all = count(sources.all.len() as u64, "source");
        return print(&format!(
            "nothing to compile: {all}, each as it was compiled\n"
        ));
    };
    print(&compiled.text(verbose))?;
    match compiled.findings.iter().any(Diagnostic::is_error) {
        true => Err(Failure::Findings(compiled.findings)),
        false => {
            show(&compiled.findings);
            Ok(())
        }
    }
}

/// After a compilation with `--watch`: checks and plans; what goes wrong is shown, and the loop goes on.
fn turn(mut done: Result<(), Failure>, other: Command<'_>) {
    let commands: [&[&str]; 2] = [
        &["chronon-run", "check", "--offline"],
        &["chronon-run", "plan"],
    ];
    for command in commands {
        done = done.and_then(|()| other(command));
    }
    if let Err(failure) = done {
        output::failure(&failure);
    }
}
