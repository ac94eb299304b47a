//! The DAGs of the example, of a repo with every kind of asset, and of names that collide.

use std::collections::BTreeSet;
use std::path::Path;
use std::{fmt::Write, fs, path::PathBuf};

use chronon_run_conf::ConfRepo;
use chronon_run_core::Diagnostic;

use chronon_run_plan::{BuildOptions, Graph, JoinFlow};
use chronon_run_workspace::{Airflow, Naming};
use insta::assert_snapshot;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    manifest::{Dag, Manifest, When},
    *,
};

/// A repo in a folder of its own.
struct Repo {
    folder: TempDir,
    flow: JoinFlow,
}

impl Repo {
    fn new(teams: &Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("teams.json"), teams.to_string()).unwrap();
        let flow = JoinFlow::Whole;
        Self { folder, flow }
    }

    fn conf(&self, conf_type: &str, meta: &Value, mut conf: Value) {
        let name = meta["name"].as_str().unwrap();
        let (team, file) = name.split_once('.').unwrap();
        let mut meta = meta.clone();
        meta["team"] = team.into();
        meta["outputNamespace"] = "out".into();
        conf["metaData"] = meta;
        let folder = self
            .folder
            .path()
            .join("production")
            .join(conf_type)
            .join(team);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(file), conf.to_string()).unwrap();
    }

    fn staging(&self, meta: &Value) {
        let conf = json!({"query": "SELECT 1", "startPartition": "2026-01-01"});
        self.conf("staging_queries", meta, conf);
    }

    fn group_by(&self, meta: &Value) {
        let source = json!({"events": {
            "table": "lake.clicks", "topic": "clicks",
            "query": {"selects": {"user": "user"}, "timeColumn": "ts"},
        }});
        let conf = json!({
            "sources": [source], "keyColumns": ["user"], "accuracy": 1,
            "backfillStartDate": "2026-01-01",
        });
        self.conf("group_bys", meta, conf);
    }

    fn join(&self, meta: &Value, parts: &Value) {
        let query = json!({"selects": {"user": "user"}, "timeColumn": "ts"});
        let left = json!({"events": {"table": "lake.views", "query": query}});
        let mut conf = json!({"left": left, "joinParts": []});
        for (key, value) in parts.as_object().unwrap() {
            conf[key] = value.clone();
        }
        self.conf("joins", meta, conf);
    }

    /// Calls `look` with an export that has every default.
    fn export<T>(&self, look: impl FnOnce(AirflowExport<'_>) -> T) -> T {
        export_of(self.folder.path(), self.flow, look)
    }
}

fn export_of<T>(repo: &Path, flow: JoinFlow, look: impl FnOnce(AirflowExport<'_>) -> T) -> T {
    let read = ConfRepo::load(repo, "production");
    let errors = read.diagnostics.iter().filter(|found| found.is_error());
    assert_eq!(errors.collect::<Vec<_>>(), Vec::<&Diagnostic>::new());
    let repo = read.repo;
    let options = BuildOptions {
        flow,
        ..BuildOptions::default()
    };
    let (graph, findings) = Graph::build(&repo.views(), &options);
    assert!(findings.is_empty(), "{findings:?}");
    look(AirflowExport {
        graph: &graph,
        left_out: &BTreeSet::new(),
        teams: &repo.teams,
        settings: &Airflow::default(),
        timezone: "UTC",
        time_parts: &["ds".to_owned(), "ts".to_owned(), "hr".to_owned()],
        workspace: Path::new("/srv/features"),
        operators: None,
    })
}

fn teams() -> Value {
    json!({"default": {}, "search": {}, "ads": {}})
}

fn manifest_of(export: &AirflowExport<'_>) -> Manifest {
    dags::manifest(export).unwrap()
}

/// DAGs and tasks, a line each.
fn outline(manifest: &Manifest) -> String {
    let mut out = String::new();
    for (kind, dags) in &manifest.dags {
        for dag in dags {
            let _ = writeln!(out, "{}: {} {}", kind.word(), dag.dag_id, when(dag));
            for task in &dag.tasks {
                let sensor = task.sensor_id.as_deref().unwrap_or("-");
                let skips = if task.newest { " newest" } else { "" };
                let _ = writeln!(out, "  {sensor} {:?} → {}{skips}", task.after, task.task_id);
            }
        }
    }
    out
}

fn when(dag: &Dag) -> String {
    match &dag.schedule {
        When::Cron(cron) => cron.clone(),
        When::Every(seconds) => format!("every {seconds}s"),
    }
}

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/stays")
}

#[test]
fn the_example_has_the_dags_of_chronons_documentation() {
    export_of(&example(), JoinFlow::Whole, |export| {
        assert_snapshot!("example", outline(&manifest_of(&export)));
        let text = manifest_of(&export).to_json();
        assert_eq!(text, manifest_of(&export).to_json());
        let manifest: Value = serde_json::from_str(&text).unwrap();
        let task = &manifest["dags"]["streaming"][0]["tasks"][0];
        assert_eq!(
            task["argv"],
            json!([
                "chronon-run",
                "-C",
                "/srv/features",
                "stream",
                "group_by/stays.bookings.guest_v1/streaming"
            ])
        );
    });
}

/// The pieces that both versions and all kinds share are in the snapshot of one file.
#[test]
fn the_python_differs_by_kind_and_version_only_where_it_must() {
    let (two, three) = (
        python::files(AirflowMajor::Two),
        python::files(AirflowMajor::Three),
    );
    assert_snapshot!("batch_3", three["chronon_batch.py"]);
    let only = |a: &str, b: &str| -> Vec<String> {
        let b: BTreeSet<&str> = b.lines().collect();
        let lines = a.lines().filter(|line| !b.contains(line));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(
        only(&two["chronon_join.py"], &two["chronon_stats.py"]).len(),
        2
    );
    assert_snapshot!(
        "only_in_2",
        only(&two["chronon_join.py"], &three["chronon_join.py"]).join("\n")
    );
    assert_eq!(three.len(), 9);
}

#[test]
fn every_kind_of_asset_is_a_task() {
    let mut repo = Repo::new(&teams());
    repo.staging(&json!({"name": "search.weekly", "offlineSchedule": "@weekly"}));
    repo.staging(&json!({"name": "search.off", "offlineSchedule": "@never"}));
    repo.staging(&json!({"name": "search.odd", "offlineSchedule": "now and then"}));
    repo.group_by(&json!({
        "name": "ads.clicks", "online": 1, "customJson": "{\"uploadSchedule\": \"0 3 * * 1-5\"}",
    }));
    let label_part = json!({"labels": [],
        "leftStartOffset": 7, "leftEndOffset": 7});
    let logged = json!({
        "name": "search.all", "samplePercent": 10.0, "offlineSchedule": "@weekly",
        "customJson": "{\"check_consistency\": true}",
    });
    let models =
        json!({"labelPart": label_part, "modelTransforms": {"transforms": [{"name": "m"}]}});
    repo.join(&logged, &models);
    let never = json!({
        "name": "ads.never", "offlineSchedule": "@never",
        "customJson": "{\"check_consistency\": true}",
    });
    repo.join(&never, &json!({}));
    repo.export(|export| assert_snapshot!("every_kind", outline(&manifest_of(&export))));
    repo.flow = JoinFlow::Modular;
    repo.export(|export| {
        let manifest = manifest_of(&export);
        let join = &manifest.dags[&manifest::DagKind::Join][0];
        assert_eq!(join.tasks.len(), 3);
        assert_eq!(join.tasks[1].after, ["left__search__all"]);
        assert_eq!(join.tasks[1].sensor_id, None, "it reads nothing else");
    });
}

#[test]
fn the_teams_say_who_and_where() {
    let repo = Repo::new(&json!({
        "default": {"maintainer_emails": "all@example.com", "airflow_queue": "silver"},
        "search": {"team_name": "Search", "maintainer_emails": ["b@example.com", "a@example.com"],
            "dag_start_date": "2025-05-01"},
        "ads": {},
    }));
    repo.staging(&json!({"name": "search.one"}));
    repo.staging(&json!({"name": "ads.one"}));
    repo.group_by(&json!({"name": "ads.clicks", "online": 1}));
    repo.export(|export| {
        let settings = Airflow {
            emails: vec!["b@example.com".to_owned()],
            streaming_queue: Some("fast".to_owned()),
            metadata_upload: Some(vec!["publish".to_owned()]),
            naming: Naming::Code,
            ..Airflow::default()
        };
        let export = AirflowExport {
            settings: &settings,
            ..export
        };
        let manifest = manifest_of(&export);
        let staging = &manifest.dags[&manifest::DagKind::StagingQuery];
        let (ads, search) = (&staging[0], &staging[1]);
        assert_eq!(ads.dag_id, "chronon_staging_query_batch_ads");
        assert_eq!(ads.start_date.to_string(), "2023-02-01");
        assert_eq!(search.start_date.to_string(), "2025-05-01");
        let args = &search.tasks[0].args;
        assert_eq!(args.owner, "Search");
        assert_eq!(args.emails, ["a@example.com", "b@example.com"]);
        assert_eq!(args.queue.as_deref(), Some("silver"));
        assert_eq!(ads.tasks[0].args.owner, "chronon");
        let streaming = &manifest.dags[&manifest::DagKind::Streaming][0];
        assert_eq!(streaming.dag_id, "chronon_group_by_streaming_ads");
        assert_eq!(streaming.tasks[0].args.queue.as_deref(), Some("fast"));
        let metadata = &manifest.dags[&manifest::DagKind::MetadataUpload][0];
        assert_eq!(metadata.dag_id, "chronon_metadata_upload");
        assert_eq!(metadata.tasks[0].argv, ["publish"]);
    });
}

#[test]
fn the_users_operator_comes_after_the_upload() {
    let repo = Repo::new(&teams());
    repo.group_by(&json!({"name": "ads.clicks", "online": 1}));
    repo.export(|export| {
        let operators = OwnOperators {
            source: "# mine\n".to_owned(),
            teams: json!({"default": {}}),
            confs: BTreeMap::from([("ads.clicks".to_owned(), json!({"keyColumns": ["user"]}))]),
        };
        let export = AirflowExport {
            operators: Some(&operators),
            ..export
        };
        let files = export.files(AirflowMajor::Three).unwrap();
        assert_eq!(files["chronon_operators.py"], "# mine\n");
        let manifest = manifest_of(&export);
        let tasks = &manifest.dags[&manifest::DagKind::Batch][0].tasks;
        let own: Vec<_> = tasks.iter().filter(|task| task.conf.is_some()).collect();
        assert_eq!(own.len(), 1);
        assert_eq!(own[0].after, ["group_by_batch__ads__clicks"]);
    });
}

#[test]
fn left_out_assets_have_no_task() {
    let repo = Repo::new(&teams());
    repo.staging(&json!({"name": "ads.one"}));
    repo.export(|export| {
        let left_out = export
            .graph
            .assets
            .iter()
            .map(|asset| asset.id.clone())
            .collect();
        let export = AirflowExport {
            left_out: &left_out,
            ..export
        };
        assert!(manifest_of(&export).dags.is_empty());
    });
}

#[test]
fn ids_that_collide_are_refused() {
    let error = |repo: &Repo| repo.export(|export| dags::manifest(&export).unwrap_err());
    let same_task = Repo::new(&teams());
    same_task.staging(&json!({"name": "ads.a.b"}));
    same_task.staging(&json!({"name": "ads.a-b"}));
    assert_eq!(
        error(&same_task),
        AirflowError::SameTask {
            dag: "chronon_staging_query_ads".to_owned(),
            id: "staging_query__ads__a__b".to_owned()
        }
    );
    let long = Repo::new(&teams());
    long.staging(&json!({"name": format!("ads.{}", "a".repeat(240))}));
    assert!(matches!(error(&long), AirflowError::LongId { .. }));
}

#[test]
fn two_joins_of_one_name_and_two_schedules_are_refused() {
    let repo = Repo::new(&teams());
    repo.join(&json!({"name": "ads.a.b"}), &json!({}));
    repo.join(
        &json!({"name": "ads.a-b", "offlineSchedule": "@weekly"}),
        &json!({}),
    );
    let error = repo.export(|export| dags::manifest(&export).unwrap_err());
    assert!(matches!(error, AirflowError::SameDag { .. }), "{error}");
}

#[test]
fn names_are_those_of_chronons_helpers() {
    let parts = ["ds".to_owned(), "hr".to_owned()];
    for (name, wanted) in [
        ("team.join.v1", "team__join__v1"),
        ("db.table/ds=2026-01-01/hr=3", "db__table"),
        ("db.table/name=x", "db__table__name__x"),
        ("a-b é", "a__b____"),
    ] {
        assert_eq!(names::normalized(name, &parts), wanted, "{name}");
    }
    for (cadence, wanted) in [
        ("@daily", ""),
        ("@weekly", "__weekly"),
        ("@hourly", "__hourly"),
        ("0 3 * * *", "__0_3_x_x_x"),
        ("0 3 * * 1-5", "__0_3_x_x_1to5"),
        ("*/5 0,6 * * *", "__xby5_0and6_x_x_x"),
    ] {
        assert_eq!(cadence::suffix(cadence), wanted, "{cadence}");
        let every_day = !["@weekly", "0 3 * * 1-5"].contains(&cadence);
        assert_eq!(cadence::is_daily(cadence), every_day, "{cadence}");
    }
}
