//! What a job started on a cluster ends before anything else happens: on a scripted
//! `spark-submit` and an imaginary YARN, so that applications outlive their children.

use std::process::{Child, Stdio};

use chronon_run_testkit::{
    scripted::{Fault, Output},
    yarn::{FakeApplication, FakeYarn},
};

use crate::{
    driven::Driven,
    staged::{Staged, all_days, fault_of},
    support::{signal, wait_until},
};

const ID: &str = "application_1769860800000_0001";

/// `one` ← `two` on YARN, of which each step has one day.
fn on_yarn(yarn: &FakeYarn) -> Staged {
    let staged = Staged::new(&[("one", &["lake.a"]), ("two", &["out.team_one"])]);
    let address = format!(
        "master = \"yarn\"\ncluster_url = \"{}\"\nspark_home",
        yarn.url()
    );
    let workspace = &staged.workspace;
    workspace.edit("workspace.toml", "spark_home", &address);
    workspace.edit("workspace.toml", "jobs = 2", "jobs = 1\nstep_days = 1");
    workspace.edit("workspace.toml", "retries = 0", "retries = 1");
    staged
}

/// The first call for `one` submits an application and never ends by itself.
fn hangs() -> Fault {
    Fault {
        nth: Some(1),
        says: format!("26/01/04 00:00:00 INFO YarnClientImpl: Submitted application {ID}"),
        output: Output::None,
        hang: true,
        ..fault_of("one")
    }
}

fn attempts(staged: &Staged) -> Vec<serde_json::Value> {
    let runs = staged.run(&["runs", "--output", "json"]).expect(0);
    let runs: serde_json::Value = serde_json::from_str(&runs.stdout).unwrap();
    let run = runs["runs"][0]["run"].as_str().unwrap();
    let shown = staged
        .run(&["runs", "show", run, "--output", "json"])
        .expect(0);
    let detail: serde_json::Value = serde_json::from_str(&shown.stdout).unwrap();
    let steps = detail["step_list"].as_array().unwrap();
    let attempts = steps
        .iter()
        .flat_map(|step| step["attempts"].as_array().unwrap());
    attempts.cloned().collect()
}

fn start(staged: &Staged) -> Child {
    let mut command = staged.command(&["materialize"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

#[test]
fn a_retry_starts_when_the_old_application_has_ended() {
    let yarn = FakeYarn::start().unwrap();
    yarn.put(FakeApplication {
        lingers: 2,
        ..FakeApplication::running(ID, "chronon-run")
    });
    let staged = on_yarn(&yarn);
    staged.workspace.edit(
        "workspace.toml",
        "grace = \"1s\"",
        "grace = \"1s\"\ntimeout = \"3s\"",
    );
    staged.faults(&[hangs()]);
    staged.run(&["materialize"]).expect(0);
    assert_eq!(yarn.killed(), [ID]);
    assert_eq!(yarn.applications()[0].state, "KILLED");
    assert_eq!(staged.filled("two"), all_days());
    let attempts = attempts(&staged);
    assert_eq!(attempts[0]["outcome"]["kind"], "timed_out");
    assert_eq!(attempts[0]["application"], ID);
    assert_eq!(attempts[0]["may_write"], false);
    assert_eq!(attempts[1]["outcome"]["kind"], "succeeded");
}

#[test]
fn what_cannot_be_ended_stops_its_family_in_this_run_and_in_the_next() {
    let yarn = FakeYarn::start().unwrap();
    yarn.put(FakeApplication::running(ID, "chronon-run"));
    yarn.refuse_kills();
    let staged = on_yarn(&yarn);
    staged.workspace.edit(
        "workspace.toml",
        "grace = \"1s\"",
        "grace = \"1s\"\ntimeout = \"3s\"",
    );
    staged.faults(&[hangs()]);
    let screen = staged.run(&["materialize"]).expect(1);
    let why = format!("application {ID} may still write: ");
    assert!(screen.stderr.contains(&why), "{}", screen.stderr);
    assert!(
        screen.stderr.contains("may still write\n"),
        "{}",
        screen.stderr
    );
    assert_eq!(staged.started(), ["one"], "no retry, and no other day");
    let screen = staged.run(&["materialize"]).expect(2);
    assert!(screen.stderr.contains(&why), "{}", screen.stderr);
    assert_eq!(staged.started(), ["one"]);
    // Somebody ends it by hand.
    yarn.put(FakeApplication {
        state: "KILLED".to_owned(),
        ..FakeApplication::running(ID, "chronon-run")
    });
    staged.run(&["materialize"]).expect(0);
    assert_eq!(staged.filled("two"), all_days());
}

#[test]
fn a_run_that_was_killed_hard_leaves_no_application_to_the_next() {
    let yarn = FakeYarn::start().unwrap();
    yarn.put(FakeApplication::running(ID, "chronon-run"));
    let staged = on_yarn(&yarn);
    staged.faults(&[hangs()]);
    let mut run = start(&staged);
    let log = || {
        let logs = staged.run(&["logs", "staging_query/team.one/backfill"]);
        logs.stdout.contains(ID)
    };
    wait_until("the application is submitted", log);
    signal(run.id(), "KILL");
    run.wait().unwrap();
    assert_eq!(yarn.killed(), Vec::<String>::new());
    staged.run(&["materialize"]).expect(0);
    assert_eq!(yarn.killed(), [ID]);
    assert_eq!(staged.filled("two"), all_days());
}

#[test]
fn an_interrupted_run_ends_its_application() {
    let yarn = FakeYarn::start().unwrap();
    yarn.put(FakeApplication::running(ID, "chronon-run"));
    let staged = on_yarn(&yarn);
    staged.faults(&[hangs()]);
    let mut run = start(&staged);
    wait_until("the application is submitted", || {
        let logs = staged.run(&["logs", "staging_query/team.one/backfill"]);
        logs.stdout.contains(ID)
    });
    signal(run.id(), "TERM");
    assert_eq!(run.wait().unwrap().code(), Some(143));
    assert_eq!(yarn.killed(), [ID]);
}

#[test]
fn a_cluster_without_a_url_is_refused_before_the_first_job() {
    let staged = Staged::new(&[("one", &["lake.a"])]);
    staged.workspace.edit(
        "workspace.toml",
        "spark_home",
        "master = \"yarn\"\nspark_home",
    );
    let mut command = staged.command(&["materialize"]);
    let output = command.env("PATH", "/nowhere").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("set `cluster_url` under [engine]"), "{said}");
    assert!(staged.calls().is_empty());
}

#[test]
fn the_driver_s_application_ends_too_in_cluster_mode() {
    let yarn = FakeYarn::start().unwrap();
    yarn.put(FakeApplication {
        lingers: 1,
        ..FakeApplication::running(ID, "join_stays.online.v1")
    });
    let driven = Driven::scripted("yarn", "");
    let engine = format!(
        "kind = \"chronon\"\nmaster = \"yarn\"\ndeploy_mode = \"cluster\"\ncluster_url = \"{}\"",
        yarn.url()
    );
    let workspace = &driven.workspace;
    workspace.edit("workspace.toml", "kind = \"chronon\"", &engine);
    let run = "retries = 1\ntimeout = \"3s\"";
    workspace.edit("workspace.toml", "retries = 0", run);
    driven.faults(&[Fault {
        asset: Some("group_by/stays.listings.dim_v1/backfill".parse().unwrap()),
        table: None,
        ..hangs()
    }]);
    let args = ["materialize", "stays.listings.dim_v1", "--ds", "2026-01-20"];
    driven.run(&args).expect(0);
    assert_eq!(yarn.killed(), [ID]);
    let calls = driven.calls();
    assert_eq!(calls.len(), 2);
    for call in calls {
        let line = call.argv.join(" ");
        assert!(
            line.contains("--deploy-mode cluster --master yarn"),
            "{line}"
        );
        assert!(line.contains("waitAppCompletion=true"), "{line}");
        let conf = workspace.path("production/group_bys/stays/listings.dim_v1");
        let conf = format!("--conf-path={}", conf.display());
        assert!(line.contains(&conf), "{line}");
    }
}
