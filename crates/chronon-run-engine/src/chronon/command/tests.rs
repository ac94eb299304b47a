//! The traps of run.py (§9), one by one, and what the Driver gets.

use chronon_run_core::{AssetKind, ConfType};
use serde_json::json;

use super::*;
use crate::chronon::{STREAMING_PACKAGES, SparkSubmit};

/// A setup and a job that each test changes where it matters.
struct Fixture {
    teams: Value,
    process_env: BTreeMap<String, String>,
    launcher: Launcher,
    meta_data: MetaData,
    conf_type: ConfType,
    step: AssetKind,
    extra_args: Vec<String>,
    env: &'static str,
    jar: Option<&'static str>,
    run_first_hole: bool,
    step_days: Option<u32>,
    fallback_env: Vec<(String, String)>,
}

impl Default for Fixture {
    fn default() -> Self {
        let process_env = [("USER", "u"), ("SPARK_SUBMIT_PATH", "/spark-submit")];
        let process_env = process_env.map(|(k, v)| (k.to_owned(), v.to_owned()));
        Self {
            teams: json!({
                "default": {"common_env": {"JOB_MODE": "local[2]"}},
                "t": {"production": {"backfill": {"EXECUTOR_CORES": "2"}}}
            }),
            process_env: process_env.into(),
            launcher: Launcher::Scripts,
            meta_data: MetaData {
                name: "t.n.v1".to_owned(),
                ..MetaData::default()
            },
            conf_type: ConfType::Join,
            step: AssetKind::Backfill,
            extra_args: Vec::new(),
            env: "production",
            jar: Some("/c.jar"),
            run_first_hole: false,
            step_days: None,
            fallback_env: Vec::new(),
        }
    }
}

impl Fixture {
    fn run(&self, conf_path: &str) -> Result<CommandLine, Error> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, self.teams.to_string()).unwrap();
        let (teams, findings) = Teams::load(file.path());
        assert!(findings.is_empty(), "{findings:?}");
        let setup = Setup {
            repo: Path::new("/repo"),
            teams: &teams,
            env: self.env,
            process_env: &self.process_env,
            launcher: &self.launcher,
            jar: self.jar,
            online_jar: None,
            online_class: None,
            online_args: &[],
            app_name: None,
            class_path: None,
            fallback_env: &self.fallback_env,
        };
        let job = Job {
            conf_path,
            meta_data: Some(&self.meta_data),
            mode: Mode::of(self.conf_type, &self.step).unwrap(),
            ds: "2026-01-30".parse().unwrap(),
            start_ds: None,
            run_first_hole: self.run_first_hole,
            step_days: self.step_days,
            extra_args: &self.extra_args,
        };
        command(&setup, &job)
    }

    fn line(&self) -> String {
        self.run("production/joins/t/n.v1").unwrap().to_string()
    }

    fn error(&self) -> String {
        self.run("production/joins/t/n.v1").unwrap_err().to_string()
    }

    fn variable(&self, name: &str) -> Option<String> {
        let command = self.run("production/joins/t/n.v1").unwrap();
        command.env.into_iter().find(|(key, _)| key == name)?.1
    }
}

fn custom(json: &str) -> MetaData {
    MetaData {
        name: "t.n.v1".to_owned(),
        custom_json: Some(json.to_owned()),
        ..MetaData::default()
    }
}

#[test]
fn trap_11_white_space_is_an_error_that_names_the_argument() {
    let extra_args = vec!["--key-json={\"a\": 1}".to_owned()];
    let fixture = Fixture {
        extra_args,
        ..Fixture::default()
    };
    assert_eq!(
        fixture.error(),
        "argument `--key-json={\"a\": 1}` of production/joins/t/n.v1 contains white space or is empty, \
         which the Driver's launcher cannot pass on"
    );
    let jar = Some("/my jars/c.jar");
    let fixture = Fixture {
        jar,
        ..Fixture::default()
    };
    assert!(fixture.error().starts_with("argument `/my jars/c.jar`"));
}

#[test]
fn trap_12_additional_args_are_split_and_must_be_a_list() {
    let meta_data = custom(r#"{"additional_args": ["--step-days 14", "--x"]}"#);
    let fixture = Fixture {
        meta_data,
        step_days: Some(7),
        ..Fixture::default()
    };
    // Ours would come twice, which the Driver refuses.
    assert!(
        fixture
            .line()
            .ends_with("--end-date=2026-01-30 --step-days 14 --x")
    );
    for bad in [
        r#"{"additional_args": {"--step-days": 14}}"#,
        r#"{"additional_args": "--x"}"#,
        r#"{"additional_args": [1]}"#,
    ] {
        let fixture = Fixture {
            meta_data: custom(bad),
            ..Fixture::default()
        };
        assert!(
            fixture
                .error()
                .starts_with("t.n.v1: customJson.additional_args must be a list"),
            "{bad}"
        );
    }
    let elsewhere = Fixture {
        meta_data: custom(r#"{"additional_args": {"--step-days": 14}}"#),
        step: AssetKind::StatsSummary,
        ..Fixture::default()
    };
    assert!(
        elsewhere
            .line()
            .ends_with("stats-summary --conf-path=production/joins/t/n.v1 --end-date=2026-01-30")
    );
}

#[test]
fn trap_13_the_environment_is_named_in_the_app_name() {
    let app_name = |env| {
        let fixture = Fixture {
            env,
            ..Fixture::default()
        };
        fixture.variable("APP_NAME").unwrap()
    };
    assert_eq!(
        app_name("production"),
        "chronon_joins_backfill_production_t.n.v1"
    );
    assert_eq!(app_name("dev"), "chronon_joins_backfill_dev_t.n.v1");
}

#[test]
fn trap_14_backfill_settings_do_not_reach_left_and_final() {
    let cores = |step| {
        let fixture = Fixture {
            step,
            ..Fixture::default()
        };
        fixture.variable("EXECUTOR_CORES")
    };
    assert_eq!(cores(AssetKind::Backfill).as_deref(), Some("2"));
    assert_eq!(cores(AssetKind::Part("p".into())).as_deref(), Some("2"));
    assert_eq!(cores(AssetKind::Left), None);
    assert_eq!(cores(AssetKind::Final), None);
}

#[test]
fn trap_15_the_end_date_is_always_passed() {
    for conf_type in ConfType::ALL {
        for mode in Mode::all_of(conf_type) {
            assert_eq!(
                mode.takes_end_date(),
                mode.runner() == Runner::Submit,
                "{mode:?}"
            );
        }
    }
    assert!(Fixture::default().line().contains(" --end-date=2026-01-30"));
}

#[test]
fn trap_16_the_scripts_need_their_variables() {
    let mut fixture = Fixture::default();
    fixture.process_env.remove("USER");
    assert_eq!(
        fixture.error(),
        "scripts/spark_submit.sh needs the variable USER; set it in the environment or in teams.json"
    );
    fixture.fallback_env = vec![("USER".into(), "cron".into())];
    assert_eq!(fixture.variable("USER").as_deref(), Some("cron"));
    assert_eq!(fixture.variable("SPARK_SUBMIT_PATH"), None, "inherited");
    fixture.process_env.insert("USER".into(), "me".into());
    assert_eq!(fixture.variable("USER"), None, "inherited");
}

#[test]
fn trap_17_confs_stay_relative_to_the_repo() {
    let fixture = Fixture::default();
    let command = fixture.run("production/joins/t/n.v1").unwrap();
    assert_eq!(command.cwd.as_deref(), Some(Path::new("/repo")));
    for elsewhere in ["n.v1", "joins/t/n.v1", "production/group_bys/t/n.v1"] {
        let error = fixture.run(elsewhere).unwrap_err().to_string();
        assert!(
            error.contains("must lie in <folder>/joins/<team>/<name>"),
            "{error}"
        );
    }
    let error = fixture.run("production/joins/nobody/n.v1").unwrap_err();
    assert_eq!(
        error.to_string(),
        "production/joins/nobody/n.v1: teams.json has no team `nobody`; add it, or move the conf"
    );
}

#[test]
fn options_come_once_and_only_where_they_work() {
    let mut fixture = Fixture {
        run_first_hole: true,
        step_days: Some(7),
        step: AssetKind::Part("p".into()),
        ..Fixture::default()
    };
    insta::assert_snapshot!(fixture.line(), @"bash ./scripts/spark_submit.sh --class ai.chronon.spark.Driver /c.jar join --conf-path=production/joins/t/n.v1 --end-date=2026-01-30 --selected-join-parts=p --use-cached-left --run-first-hole --step-days=7");
    fixture.extra_args = vec!["--run-first-hole".into(), "--step-days=3".into()];
    insta::assert_snapshot!(fixture.line(), @"bash ./scripts/spark_submit.sh --class ai.chronon.spark.Driver /c.jar join --conf-path=production/joins/t/n.v1 --end-date=2026-01-30 --selected-join-parts=p --use-cached-left --run-first-hole --step-days=3");
    fixture.extra_args.clear();
    fixture.step = AssetKind::Final;
    insta::assert_snapshot!(fixture.line(), @"bash ./scripts/spark_submit.sh --class ai.chronon.spark.Driver /c.jar join-final --conf-path=production/joins/t/n.v1 --end-date=2026-01-30 --run-first-hole");
}

#[test]
fn the_direct_launcher_passes_what_the_script_would() {
    let direct = SparkSubmit {
        program: "/spark/bin/spark-submit".into(),
        spark_home: Some("/spark".into()),
        conf: vec![("spark.sql.shuffle.partitions".into(), "4".into())],
        driver_java_options: Some("-Xlog:disable -Da=b".into()),
        streaming_packages: Some(STREAMING_PACKAGES.into()),
        deploy_mode: None,
    };
    let fixture = Fixture {
        launcher: Launcher::SparkSubmit(direct),
        process_env: BTreeMap::new(),
        ..Fixture::default()
    };
    insta::assert_snapshot!(fixture.line(), @"/spark/bin/spark-submit --driver-java-options '-Xlog:disable -Da=b' --conf 'spark.executor.extraJavaOptions=-XX:ParallelGCThreads=4 -XX:+UseParallelGC -XX:+UseCompressedOops' --conf spark.sql.shuffle.partitions=4000 --conf spark.dynamicAllocation.maxExecutors=1000 --conf spark.default.parallelism=4000 --conf spark.executor.cores=2 --conf spark.chronon.partition.column=ds --conf spark.chronon.partition.format=yyyy-MM-dd --conf spark.chronon.backfill.validation.enabled=false --conf spark.chronon.outputParallelismOverride=-1 --conf spark.chronon.rowCountPerPartition=-1 --conf spark.app.name=chronon_joins_backfill_production_t.n.v1 --conf spark.sql.shuffle.partitions=4 --deploy-mode client --master local[2] --executor-memory 2G --driver-memory 1G --class ai.chronon.spark.Driver /c.jar join --conf-path=production/joins/t/n.v1 --end-date=2026-01-30");
    assert_eq!(fixture.variable("SPARK_HOME").as_deref(), Some("/spark"));
    let command = fixture.run("production/joins/t/n.v1").unwrap();
    assert!(command.env.contains(&("PYSPARK_PYTHON".into(), None)));
}

#[test]
fn online_modes_name_what_they_lack() {
    let fixture = Fixture {
        step: AssetKind::ModelTransform,
        ..Fixture::default()
    };
    assert_eq!(
        fixture.error(),
        "mode `model-transform-batch` needs `online_jar` in [engine], or CHRONON_ONLINE_JAR"
    );
    let fixture = Fixture {
        jar: None,
        ..Fixture::default()
    };
    assert!(fixture.error().starts_with("there is no Chronon jar"));
}
