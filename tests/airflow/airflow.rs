//! An Airflow of PyPI in a virtual environment that is kept in the test cache.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{
    RUN,
    support::{Workspace, cache},
};

/// Which Airflow.
#[derive(Clone, Copy)]
pub(crate) enum Major {
    Two,
    Three,
}

impl Major {
    fn word(self) -> &'static str {
        match self {
            Self::Two => "2",
            Self::Three => "3",
        }
    }

    /// Every package and its version: those with which the tests were written.
    fn requirements(self) -> &'static str {
        match self {
            Self::Two => include_str!("requirements-2.txt"),
            Self::Three => include_str!("requirements-3.txt"),
        }
    }
}

/// The DAGs of a workspace in an Airflow of their own.
pub(crate) struct Airflow<'a> {
    workspace: &'a Workspace,
    major: Major,
    bin: PathBuf,
    home: PathBuf,
    dags: PathBuf,
}

impl<'a> Airflow<'a> {
    /// Exports the workspace into the folder of an Airflow with an empty database.
    pub(crate) fn new(major: Major, workspace: &'a Workspace) -> Self {
        let word = major.word();
        let home = workspace.path(&format!("airflow-{word}"));
        let dags = home.join("dags");
        let out = dags.display().to_string();
        let export = ["export", "airflow", "--airflow", word, "--out", &out];
        workspace.run(&export).expect(0);
        let airflow = Self {
            workspace,
            major,
            bin: installed(major).join("bin"),
            home,
            dags,
        };
        succeed(airflow.command("airflow").args(["db", "migrate"]));
        airflow
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.bin.join(program));
        command
            .current_dir(self.workspace.root())
            .env("HOME", self.workspace.root())
            .env("CHRONON_RUN_CACHE", cache())
            .env("AIRFLOW_HOME", &self.home)
            .env("AIRFLOW__CORE__DAGS_FOLDER", &self.dags)
            .env("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
            // Airflow 2 warns of its own default.
            .env("AIRFLOW__METRICS__TIMER_UNIT_CONSISTENCY", "True")
            .env_remove("SPARK_HOME")
            .stdin(Stdio::null());
        command
    }

    /// What it makes of the DAGs: `errors`, `warnings`, and tasks by DAG.
    pub(crate) fn look(&self) -> Value {
        self.ask("look.py", &[&self.dags.display().to_string()])
    }

    /// How many signals the chronon-run of a task gets if Airflow kills the task.
    pub(crate) fn kill(&self) -> Value {
        let file = self.dags.join("chronon_join.py").display().to_string();
        let folder = self.home.display().to_string();
        self.ask("killed.py", &[self.major.word(), &file, &folder])
    }

    /// What a script beside this file answers.
    fn ask(&self, script: &str, args: &[&str]) -> Value {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/airflow");
        let mut command = self.command("python");
        let printed = succeed(command.arg(folder.join(script)).args(args));
        let line = printed.lines().find_map(|line| line.strip_prefix('@'));
        serde_json::from_str(line.unwrap()).unwrap()
    }

    /// `airflow dags test`, to its end in success.
    pub(crate) fn run(&self, dag: &str) {
        self.start(dag).expect_success();
    }

    /// `airflow dags test`, under way.
    pub(crate) fn start(&self, dag: &str) -> DagRun {
        let log = self.home.join(format!("{dag}.log"));
        let file = File::create(&log).unwrap();
        let mut command = self.command("airflow");
        command.args(["dags", "test", dag, RUN]);
        command.stdout(file.try_clone().unwrap()).stderr(file);
        let child = command.spawn().unwrap();
        DagRun { child, log }
    }
}

/// A run of a DAG.
pub(crate) struct DagRun {
    child: Child,
    log: PathBuf,
}

impl DagRun {
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap()).into_owned()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub(crate) fn expect_success(mut self) {
        let status = self.child.wait().unwrap();
        let log = self.log();
        let succeeded = log.contains("state=success") || log.contains("successful");
        assert!(status.success() && succeeded, "{log}");
    }
}

impl Drop for DagRun {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The virtual environment of an Airflow, made now if it is not in the cache.
fn installed(major: Major) -> PathBuf {
    let digest = Sha256::digest(major.requirements());
    let digest: String = digest[..4]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let folder = cache().join(format!("airflow-{}-{digest}", major.word()));
    fs::create_dir_all(&folder).unwrap();
    // Tests run side by side: one installs, the others wait for it.
    let lock = File::create(folder.join("lock")).unwrap();
    lock.lock().unwrap();
    let done = folder.join("done");
    if !done.exists() {
        let list = folder.join("requirements.txt");
        fs::write(&list, major.requirements()).unwrap();
        succeed(
            Command::new("python3")
                .args(["-m", "venv", "--clear"])
                .arg(folder.join("venv")),
        );
        let mut pip = Command::new(folder.join("venv/bin/pip"));
        succeed(
            pip.args(["install", "--quiet", "--no-deps", "-r"])
                .arg(&list),
        );
        fs::write(done, "").unwrap();
    }
    folder.join("venv")
}

/// Runs a command to its end, and returns what it printed.
fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}\n{printed}\n{errors}");
    printed
}
