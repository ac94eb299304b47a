//! Compiles the Python sources that were edited, and what depends on them.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use chronon_run_compile::{
    CHRONON_AI, Job, Outcome, Problem, Python, PythonError, Record, Source, Sources, compile,
    findings,
};
use chronon_run_core::Diagnostic;
use chronon_run_report::{Activity, count};
use chronon_run_workspace::Workspace;

use super::{
    compiling::{confs, placed, spark_environment},
    state,
};
use crate::failure::Failure;

/// What is to be compiled, and how.
#[derive(Clone, Copy, Default)]
pub struct Compiling<'a> {
    /// Only these files, and what imports them; none: what was edited.
    pub files: &'a [PathBuf],
    /// Every source.
    pub all: bool,
    /// Whether confs that are online are overwritten.
    pub force: bool,
}

/// The compiler of a workspace.
pub struct Compiler<'a> {
    workspace: &'a Workspace,
    python: Python,
    compiling: Compiling<'a>,
}

/// What a compilation has done.
pub struct Compiled {
    outcomes: Vec<Outcome>,
    /// The version of chronon-ai.
    version: String,
    /// The compiled confs, by their paths, before and after.
    confs: [BTreeMap<PathBuf, String>; 2],
    /// What was not compiled, and why.
    pub findings: Vec<Diagnostic>,
}

impl<'a> Compiler<'a> {
    /// Looks for an interpreter that has chronon-ai.
    pub fn find(workspace: &'a Workspace, compiling: Compiling<'a>) -> Result<Self, Failure> {
        let _looking = Activity::start("looking for chronon-ai");
        let python = Python::find(&spark_environment(workspace));
        Ok(Self {
            workspace,
            python: python.map_err(not_found)?,
            compiling,
        })
    }

    /// The Python sources as they are now.
    pub fn sources(&self) -> Result<Sources, Failure> {
        let read = Sources::read(&self.workspace.repo);
        read.map_err(|error| Failure::setup(format!("cannot read the Python sources: {error}")))
    }

    /// Compiles what is to be compiled; `None` if nothing is.
    pub fn run(&self, sources: &Sources) -> Result<Option<Compiled>, Failure> {
        let mut record = Record::load(&self.workspace.state_dir);
        let wanted = self.wanted(sources, &record)?;
        if wanted.is_empty() {
            return Ok(None);
        }
        let confs = confs(self.workspace);
        let (before, sampled) = (confs.all(), confs.sampled());
        let mut outcomes = self.compile(&wanted, &mut record)?;
        // compile.py also writes what depends on a conf, and not always as it does for its own source.
        let tried = |source: &&Source| wanted.iter().any(|done| done.path == source.path);
        let mut touched = record.changed(sources, &confs);
        touched.retain(|source| self.compiling.force && !tried(source) && record.knows(source));
        if !touched.is_empty() {
            outcomes.extend(self.compile(&touched, &mut record)?);
        }
        for source in wanted.iter().chain(&touched) {
            if record.knows(source) {
                record.compiled(source, &confs);
            }
        }
        record.forget_gone(&confs);
        self.save(&record)?;
        let found = findings(&outcomes, &sampled, &confs).into_iter();
        let placed = found.map(|finding| placed(finding, self.workspace));
        Ok(Some(Compiled {
            findings: placed.collect(),
            confs: [before, confs.all()],
            version: self.python.version.clone(),
            outcomes,
        }))
    }

    fn save(&self, record: &Record) -> Result<(), Failure> {
        state::create(self.workspace)?;
        let saved = record.save(&self.workspace.state_dir);
        saved.map_err(|error| Failure::setup(format!("cannot write the state folder: {error}")))
    }

    fn compile(&self, wanted: &[&Source], record: &mut Record) -> Result<Vec<Outcome>, Failure> {
        let number = count(wanted.len() as u64, "source");
        let _compiling = Activity::start(&format!("compiling {number}"));
        let paths: Vec<PathBuf> = wanted.iter().map(|source| source.path.clone()).collect();
        let job = Job {
            repo: &self.workspace.repo,
            production: &self.workspace.production,
            force: self.compiling.force,
            sources: &paths,
        };
        let outcomes = compile(&self.python, &job).map_err(Failure::setup)?;
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
        let Compiling { files, all, .. } = self.compiling;
        if all {
            return Ok(sources.all.iter().collect());
        }
        if files.is_empty() {
            return Ok(record.changed(sources, &confs(self.workspace)));
        }
        let files = files.iter().map(|file| in_repo(&self.workspace.repo, file));
        let files = files.collect::<Result<Vec<PathBuf>, Failure>>()?;
        let uses = |source: &&Source| files.iter().any(|file| source.inputs.contains_key(file));
        Ok(sources.all.iter().filter(uses).collect())
    }
}

impl Compiled {
    /// What became of each source. `verbose` adds what compile.py printed.
    pub fn text(&self, verbose: bool) -> String {
        let [before, after] = &self.confs;
        let changed = |path: &&PathBuf| before.get(*path) != after.get(*path);
        let mut text = String::new();
        let mut shown: Vec<&PathBuf> = Vec::new();
        for outcome in &self.outcomes {
            if verbose {
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
        let outcomes = self.outcomes.iter();
        let compiled = outcomes.filter(|outcome| is_compiled(outcome, &self.outcomes));
        let compiled = compiled.count();
        let all = count(self.outcomes.len() as u64, "source");
        let confs = count(after.keys().filter(changed).count() as u64, "conf");
        let version = &self.version;
        text + &format!("compiled {compiled} of {all} with chronon-ai {version}: {confs} changed\n")
    }
}

fn not_found(error: PythonError) -> Failure {
    let hint = match &error {
        PythonError::Named { python, .. } => format!(
            "install it there: `{python} -m pip install {CHRONON_AI}`, or correct `python` under [workspace]"
        ),
        PythonError::None(_) => format!(
            "`python3 -m venv .venv && .venv/bin/pip install {CHRONON_AI}` in the folder of workspace.toml, or name an interpreter as `python` under [workspace]"
        ),
    };
    Failure::hinted(error, hint)
}

/// A file relative to the repo, however it was typed.
fn in_repo(repo: &Path, file: &Path) -> Result<PathBuf, Failure> {
    let here = std::env::current_dir()?;
    let root = repo.canonicalize()?;
    let typed = [here.join(file), repo.join(file)];
    let found = typed.iter().filter_map(|path| path.canonicalize().ok());
    let mut found = found.filter_map(|path| Some(path.strip_prefix(&root).ok()?.to_owned()));
    found.next().ok_or_else(|| {
        let message = format!("there is no file `{}` in the repo", file.display());
        Failure::hinted(message, format!("name files of {}", root.display()))
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(source: &str, written: &[&str], problems: Vec<Problem>) -> Outcome {
        Outcome {
            source: source.into(),
            written: written.iter().map(PathBuf::from).collect(),
            problems,
            output: format!("printed of {source}\n"),
        }
    }

    fn confs(all: &[(&str, &str)]) -> BTreeMap<PathBuf, String> {
        let one = |(path, text): &(&str, &str)| (path.into(), (*text).to_owned());
        all.iter().map(one).collect()
    }

    #[test]
    fn each_changed_conf_is_named_once_below_its_source() {
        let compiled = Compiled {
            outcomes: vec![
                outcome("a.py", &["p/a.v1", "p/a.v2"], Vec::new()),
                outcome("b.py", &["p/a.v1"], Vec::new()),
                outcome(
                    "c.py",
                    &[],
                    vec![Problem::Online {
                        name: "c.v1".to_owned(),
                    }],
                ),
            ],
            version: "0.1".to_owned(),
            confs: [
                confs(&[("p/a.v1", "old"), ("p/a.v2", "same")]),
                confs(&[("p/a.v1", "new"), ("p/a.v2", "same")]),
            ],
            findings: Vec::new(),
        };
        let wanted = "compiled  a.py  2 confs\n          p/a.v1 changed\ncompiled  b.py  1 conf\n\
                      compiled 2 of 3 sources with chronon-ai 0.1: 1 conf changed\n";
        assert_eq!(compiled.text(false), wanted);
        assert!(compiled.text(true).contains("printed of c.py\n"));
    }

    #[test]
    fn a_source_is_compiled_if_its_dependents_are_written() {
        let needs = || vec![Problem::Dependents(vec!["team.b.v1".to_owned()])];
        let alone = [outcome("a.py", &["p/team/a.v1"], needs())];
        assert!(!is_compiled(&alone[0], &alone));
        let both = [
            outcome("a.py", &["p/team/a.v1"], needs()),
            outcome("b.py", &["p/joins/team/b.v1"], Vec::new()),
        ];
        assert!(is_compiled(&both[0], &both));
        let skipped = |left| Problem::Skipped {
            name: "team.a.v1".to_owned(),
            why: String::new(),
            left,
        };
        let of = |left| outcome("a.py", &[], vec![skipped(left)]);
        assert!(is_compiled(&of(false), &[]));
        assert!(!is_compiled(&of(true), &[]));
    }
}
