//! `chronon-run compile`: the Python sources that were edited, and what depends on them.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use chronon_run_compile::{
    CHRONON_AI, Job, Outcome, Problem, Python, PythonError, Record, Source, Sources, compile,
    findings,
};
use chronon_run_core::Diagnostic;
use chronon_run_process::Stop;
use chronon_run_project::{
    failure::Failure,
    loading::{
        compiling::{confs, placed, spark_environment},
        here, state,
    },
    output::{self, note, print, show},
};
use chronon_run_report::{Activity, count};
use chronon_run_workspace::Workspace;

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
    let python = find(&workspace)?;
    let compiler = Compiler {
        workspace: &workspace,
        python: &python,
        args,
    };
    match args.watch {
        true => compiler.watch(other),
        false => compiler.once(&compiler.sources()?),
    }
}

fn find(workspace: &Workspace) -> Result<Python, Failure> {
    let _looking = Activity::start("looking for chronon-ai");
    Python::find(&spark_environment(workspace)).map_err(|error| {
        let hint = match &error {
            PythonError::Named { python, .. } => format!("install it there: `{python} -m pip install {CHRONON_AI}`, or correct `python` under [workspace]"),
            PythonError::None(_) => format!("`python3 -m venv .venv && .venv/bin/pip install {CHRONON_AI}` in the folder of workspace.toml, or name an interpreter as `python` under [workspace]"),
        };
        Failure::hinted(error, hint)
    })
}

struct Compiler<'a> {
    workspace: &'a Workspace,
    python: &'a Python,
    args: &'a CompileArgs,
}

impl Compiler<'_> {
    fn sources(&self) -> Result<Sources, Failure> {
        let read = Sources::read(&self.workspace.repo);
        read.map_err(|error| Failure::setup(format!("cannot read the Python sources: {error}")))
    }

    /// Compiles what is to be compiled; fails if something was not.
    fn once(&self, sources: &Sources) -> Result<(), Failure> {
        let mut record = Record::load(&self.workspace.state_dir);
        let wanted = self.wanted(sources, &record)?;
        if wanted.is_empty() {
            let all = count(sources.all.len() as u64, "source");
            return print(&format!(
                "nothing to compile: {all}, each as it was compiled\n"
            ));
        }
        let confs = confs(self.workspace);
        let (before, sampled) = (confs.all(), confs.sampled());
        let mut outcomes = self.compile(&wanted, &mut record)?;
        // compile.py also writes what depends on a conf, and not always as it does for its own source.
        let tried = |source: &&Source| wanted.iter().any(|done| done.path == source.path);
        let mut touched = record.changed(sources, &confs);
        touched
            .retain(|source| self.args.force_overwrite && !tried(source) && record.knows(source));
        if !touched.is_empty() {
            outcomes.extend(self.compile(&touched, &mut record)?);
        }
        for source in wanted.iter().chain(&touched) {
            if record.knows(source) {
                record.compiled(source, &confs);
            }
        }
        record.forget_gone(&confs);
        state::create(self.workspace)?;
        let saved = record.save(&self.workspace.state_dir);
        saved.map_err(|error| Failure::setup(format!("cannot write the state folder: {error}")))?;
        let found = findings(&outcomes, &sampled, &confs);
        self.tell(&outcomes, &before, &confs.all())?;
        let placed = found
            .into_iter()
            .map(|finding| placed(finding, self.workspace));
        ended(placed.collect())
    }

    fn compile(&self, wanted: &[&Source], record: &mut Record) -> Result<Vec<Outcome>, Failure> {
        let number = count(wanted.len() as u64, "source");
        let _compiling = Activity::start(&format!("compiling {number}"));
        let paths: Vec<PathBuf> = wanted.iter().map(|source| source.path.clone()).collect();
        let job = Job {
            repo: &self.workspace.repo,
            production: &self.workspace.production,
            force: self.args.force_overwrite,
            sources: &paths,
        };
        let outcomes = compile(self.python, &job).map_err(Failure::setup)?;
        let confs = confs(self.workspace);
        for (source, outcome) in wanted.iter().zip(&outcomes) {
            match is_compiled(outcome, &outcomes) {
                true => record.compiled(source, &confs),
                false => record.failed(source, &confs),
            }
        }
        Ok(outcomes)
    }

    /// The sources to compile, imported ones first.
    fn wanted<'s>(
        &self,
        sources: &'s Sources,
        record: &Record,
    ) -> Result<Vec<&'s Source>, Failure> {
        if self.args.all {
            return Ok(sources.all.iter().collect());
        }
        if self.args.files.is_empty() {
            return Ok(record.changed(sources, &confs(self.workspace)));
        }
        let files = self.args.files.iter().map(|file| self.in_repo(file));
        let files = files.collect::<Result<Vec<PathBuf>, Failure>>()?;
        let uses = |source: &&Source| files.iter().any(|file| source.inputs.contains_key(file));
        Ok(sources.all.iter().filter(uses).collect())
    }

    /// A file relative to the repo, however it was typed.
    fn in_repo(&self, file: &Path) -> Result<PathBuf, Failure> {
        let here = std::env::current_dir()?;
        let repo = self.workspace.repo.canonicalize()?;
        let typed = [here.join(file), self.workspace.repo.join(file)];
        let found = typed.iter().filter_map(|path| path.canonicalize().ok());
        let mut found = found.filter_map(|path| Some(path.strip_prefix(&repo).ok()?.to_owned()));
        found.next().ok_or_else(|| {
            let message = format!("there is no file `{}` in the repo", file.display());
            Failure::hinted(message, format!("name files of {}", repo.display()))
        })
    }

    /// What became of each source.
    fn tell(
        &self,
        outcomes: &[Outcome],
        before: &BTreeMap<PathBuf, String>,
        after: &BTreeMap<PathBuf, String>,
    ) -> Result<(), Failure> {
        let mut text = String::new();
        let changed = |path: &&PathBuf| before.get(*path) != after.get(*path);
        let mut shown: Vec<&PathBuf> = Vec::new();
        for outcome in outcomes {
            if self.args.verbose {
                text.push_str(&outcome.output);
            }
            if outcome.written.is_empty() {
                continue;
            }
            let path = outcome.source.display();
            let written = count(outcome.written.len() as u64, "conf");
            text.push_str(&format!("compiled  {path}  {written}\n"));
            for path in outcome.written.iter().filter(changed) {
                if !shown.contains(&path) {
                    text.push_str(&format!("          {} changed\n", path.display()));
                    shown.push(path);
                }
            }
        }
        let compiled = outcomes
            .iter()
            .filter(|outcome| is_compiled(outcome, outcomes))
            .count();
        let all = count(outcomes.len() as u64, "source");
        let changed = after.keys().filter(changed).count();
        let confs = count(changed as u64, "conf");
        let version = &self.python.version;
        text.push_str(&format!(
            "compiled {compiled} of {all} with chronon-ai {version}: {confs} changed\n"
        ));
        print(&text)
    }

    /// Compiles, checks and plans whenever the content of a source has changed, until it is interrupted.
    fn watch(&self, other: Command<'_>) -> Result<(), Failure> {
        let mut last: Option<Sources> = None;
        loop {
            let sources = self.sources()?;
            if last.as_ref() != Some(&sources) {
                self.turn(&sources, other);
                note("watching the Python sources; Ctrl-C ends it");
                last = Some(sources);
            }
            thread::sleep(POLL);
            if let Some(reason) = Stop::of_process().reason() {
                return Err(Failure::Interrupted(reason));
            }
        }
    }

    /// One turn of the loop; what goes wrong is shown, and the loop goes on.
    fn turn(&self, sources: &Sources, other: Command<'_>) {
        let commands: [&[&str]; 2] = [
            &["chronon-run", "check", "--offline"],
            &["chronon-run", "plan"],
        ];
        let mut done = self.once(sources);
        for command in commands {
            done = done.and_then(|()| other(command));
        }
        if let Err(failure) = done {
            output::failure(&failure);
        }
    }
}

/// Whether the confs of a source are what it says.
fn is_compiled(outcome: &Outcome, outcomes: &[Outcome]) -> bool {
    let is_written = |name: &String| outcomes.iter().any(|outcome| outcome.has_written(name));
    outcome.problems.iter().all(|problem| match problem {
        Problem::Skipped { left, .. } => !left,
        Problem::Dependents(names) => names.iter().all(is_written),
        Problem::Failed { .. } | Problem::Invalid { .. } | Problem::Online { .. } => false,
    })
}

fn ended(found: Vec<Diagnostic>) -> Result<(), Failure> {
    match found.iter().any(Diagnostic::is_error) {
        true => Err(Failure::Findings(found)),
        false => {
            show(&found);
            Ok(())
        }
    }
}
