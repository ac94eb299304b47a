//! A real Spark cluster on loopback: a standalone master and worker, which this test starts and
//! ends.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use chronon_run_engine::cluster::{Cluster, application_id};
use serde_json::json;

use crate::support::{Workspace, signal, wait_until};

/// A program that ends with the test.
pub(crate) struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    fn start(spark: &Spark, folder: &Path, name: &str, args: &[&str]) -> Self {
        let log = folder.join(format!("{name}.log"));
        let file = File::create(&log).unwrap();
        let mut command = spark.command("spark-class");
        command.args(args).stdin(Stdio::null());
        command.stdout(file.try_clone().unwrap()).stderr(file);
        let child = command.spawn().unwrap();
        Self { child, log }
    }

    /// What stands between `before` and the end of the line, once it does.
    fn says(&self, before: &str) -> String {
        let mut said = None;
        wait_until(before, || {
            let log = fs::read_to_string(&self.log).unwrap();
            let found = log
                .split_once(before)
                .and_then(|(_, rest)| rest.split_once('\n'));
            said = found.map(|(line, _)| line.trim().to_owned());
            said.is_some()
        });
        said.unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The Spark and Java that `chronon-run` uses.
pub(crate) struct Spark {
    pub(crate) home: PathBuf,
    pub(crate) java: PathBuf,
}

impl Spark {
    pub(crate) fn of(workspace: &Workspace) -> Self {
        let mut screen = workspace.run(&["engine", "info"]);
        if screen.code != Some(0) {
            screen = workspace.run(&["engine", "install"]).expect(0);
        }
        let path = |word: &str| {
            let mut lines = screen.stdout.lines();
            let line = lines.find(|line| line.starts_with(word)).unwrap();
            PathBuf::from(line.split_once(" in ").unwrap().1)
        };
        Self {
            home: path("Spark "),
            java: path("Java "),
        }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.home.join("bin").join(program));
        command
            .env("SPARK_HOME", &self.home)
            .env("JAVA_HOME", &self.java)
            .env("SPARK_LOCAL_IP", "127.0.0.1")
            .env("SPARK_DAEMON_MEMORY", "256m")
            .env("SPARK_DAEMON_JAVA_OPTS", "-XX:TieredStopAtLevel=1");
        command
    }
}

const LOOPBACK: [&str; 6] = ["--host", "127.0.0.1", "--port", "0", "--webui-port", "0"];

/// A standalone master, its address and that of its web interface.
pub(crate) fn master(spark: &Spark, folder: &Workspace) -> (Daemon, String, String) {
    let master_class = "org.apache.spark.deploy.master.Master";
    let args = [&[master_class], &LOOPBACK[..]].concat();
    let master = Daemon::start(spark, folder.root(), "master", &args);
    let address = master.says("Starting Spark master at ");
    let port = master.says("Successfully started service 'MasterUI' on port ");
    let url = format!("http://127.0.0.1:{}", port.trim_end_matches('.'));
    master.says("I have been elected leader! New state: ");
    (master, address, url)
}

fn add_query(workspace: &Workspace, name: &str, query: &str) {
    let conf = json!({
        "metaData": {
            "name": format!("team.{name}"), "team": "team", "outputNamespace": "out",
            "tableProperties": {},
        },
        "query": query,
        "startPartition": "2026-01-01",
    });
    let path = format!("production/staging_queries/team/{name}");
    workspace.write(&path, &conf.to_string());
}

fn workspace(master: &str, url: &str) -> Workspace {
    let workspace = Workspace::empty();
    workspace.write("teams.json", r#"{"default": {}, "team": {}}"#);
    add_query(
        &workspace,
        "quick",
        "SELECT 'x' AS x, '{{ start_date }}' AS ds",
    );
    add_query(
        &workspace,
        "endless",
        "SELECT reflect('java.lang.Thread', 'sleep', 600000L) AS x, '{{ start_date }}' AS ds",
    );
    workspace.write(
        "workspace.toml",
        &format!(
            r#"[workspace]
as_of = "2026-01-01"

[engine]
master = "{master}"
cluster_url = "{url}"
conf = {{ "spark.driver.host" = "127.0.0.1", "spark.driver.bindAddress" = "127.0.0.1", "spark.executor.memory" = "512m", "spark.sql.shuffle.partitions" = "1" }}

[run]
grace = "10s"
"#
        ),
    );
    workspace
}

/// The application that the ledger knows of the asset's last attempt.
fn recorded(workspace: &Workspace) -> Option<String> {
    let runs = workspace.run(&["runs", "--output", "json"]);
    let runs: serde_json::Value = serde_json::from_str(&runs.stdout).ok()?;
    let run = runs["runs"][0]["run"].as_str()?.to_owned();
    let shown = workspace.run(&["runs", "show", &run, "--output", "json"]);
    let detail: serde_json::Value = serde_json::from_str(&shown.stdout).ok()?;
    let attempt = &detail["step_list"][0]["attempts"][0];
    attempt["application"].as_str().map(str::to_owned)
}

#[test]
fn applications_of_a_standalone_cluster_are_recorded_and_ended() {
    let folder = Workspace::empty();
    let spark = Spark::of(&folder);
    let (_master, address, url) = master(&spark, &folder);
    let work = folder.path("work").display().to_string();
    let worker_class = "org.apache.spark.deploy.worker.Worker";
    let limits = [
        "--cores",
        "2",
        "--memory",
        "1g",
        "--work-dir",
        &work,
        &address,
    ];
    let args = [&[worker_class], &LOOPBACK[..], &limits[..]].concat();
    let worker = Daemon::start(&spark, folder.root(), "worker", &args);
    worker.says("Successfully registered with master ");
    let cluster = Cluster::standalone(&url);

    // A job that ends well.
    let workspace = workspace(&address, &url);
    workspace
        .run(&["materialize", "-s", "team.quick"])
        .expect(0);
    let first = recorded(&workspace).unwrap();
    assert!(first.starts_with("app-"), "{first}");
    assert_eq!(cluster.applications().unwrap(), []);

    // One that is stopped.
    let mut command = workspace.command(&["materialize", "-s", "team.endless"]);
    let mut run = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut second = None;
    wait_until("the second application is recorded", || {
        second = recorded(&workspace).filter(|id| *id != first);
        second.is_some()
    });
    let second = second.unwrap();
    assert!(cluster.runs(&second).unwrap());
    assert_eq!(cluster.applications().unwrap()[0].id, second);
    signal(run.id(), "TERM");
    assert_eq!(run.wait().unwrap().code(), Some(143));
    assert!(!cluster.runs(&second).unwrap());

    // In cluster mode a driver outlives the child that submitted it.
    let jar = spark.home.join("jars").join("spark-core_2.12-3.3.1.jar");
    let mut submit = spark.command("spark-submit");
    submit.args([
        "--master",
        &address,
        "--deploy-mode",
        "cluster",
        "--driver-memory",
        "256m",
    ]);
    submit
        .args(["--class", "org.apache.spark.deploy.ExternalShuffleService"])
        .arg(jar);
    let output = submit.output().unwrap();
    let log = [output.stdout, output.stderr].concat();
    let log = String::from_utf8_lossy(&log);
    let driver = application_id(&log).unwrap_or_else(|| panic!("{:?}: {log}", output.status));
    assert!(driver.starts_with("driver-"), "{driver}");
    assert!(
        cluster.end(driver, Duration::from_secs(60)).unwrap(),
        "it still ran"
    );
    assert!(!cluster.runs(driver).unwrap());
}
