//! Argv and environment against Chronon's own run.py (PyPI chronon-ai 0.0.115), which is
//! installed into a virtual environment of its own on first use. Needs python3 with pip.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test helper panics, and the matrix is its output"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use chronon_run_conf::{MetaData, Teams};
use chronon_run_core::ConfType;
use chronon_run_engine::chronon::{
    ClassPath, Job, JoinMode, Launcher, Mode, Runner, Setup, SparkSubmit, command,
};
use serde_json::{Value, json};

const JAR: &str = "/jars/spark_uber_2.12-0.0.115-assembly.jar";
const CLASS: &str = "com.example.OnlineImpl";
/// Every mode word of run.py's route table.
const MODES: [&str; 18] = [
    "backfill",
    "backfill-left",
    "backfill-final",
    "upload",
    "stats-summary",
    "log-summary",
    "analyze",
    "streaming",
    "metadata-upload",
    "fetch",
    "consistency-metrics-compute",
    "compare",
    "local-streaming",
    "log-flattener",
    "metadata-export",
    "label-join",
    "model-transform-batch",
    "nonsense",
];

/// What varies besides conf and mode.
#[derive(Clone, Debug, Default)]
struct Variant {
    env: &'static str,
    start_ds: Option<&'static str>,
    run_first_hole: bool,
    step_days: Option<u32>,
    extra_args: Vec<String>,
    online_args: Vec<String>,
    process_env: Vec<(&'static str, &'static str)>,
}

fn variants() -> Vec<Variant> {
    let plain = Variant {
        env: "production",
        ..Variant::default()
    };
    vec![
        plain.clone(),
        Variant {
            env: "dev",
            start_ds: Some("2026-01-10"),
            run_first_hole: true,
            step_days: Some(7),
            ..plain.clone()
        },
        Variant {
            extra_args: ["--log-table", "a.b", "--schema-table", "a.c"]
                .map(String::from)
                .to_vec(),
            online_args: vec!["-Zhost=kv".into(), "-Zport=1".into()],
            process_env: vec![
                ("EXECUTOR_MEMORY", "9G"),
                ("APP_NAME", "mine"),
                ("CHRONON_CONFIG_ADDITIONAL_ARGS", "--step-days 3"),
            ],
            ..plain
        },
    ]
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

/// The interpreter of a virtual environment that has chronon-ai 0.0.115.
fn python() -> PathBuf {
    let cache = std::env::var_os("CHRONON_RUN_CACHE").map(PathBuf::from);
    let cache = cache.unwrap_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")));
    let venv = cache.join("chronon-ai-0.0.115");
    let python = venv.join("bin/python");
    if !venv.join("installed").exists() {
        std::fs::create_dir_all(&cache).unwrap();
        let run = |command: &mut Command| {
            let output = command.output().unwrap();
            assert!(
                output.status.success(),
                "{command:?}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        };
        run(Command::new("python3").args(["-m", "venv"]).arg(&venv));
        // run.py needs nothing but the standard library.
        run(Command::new(&python).args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "chronon-ai==0.0.115",
        ]));
        std::fs::write(venv.join("installed"), "").unwrap();
    }
    python
}

fn run_py(cases: &[Value]) -> Vec<Value> {
    let python = python();
    let find = "import importlib.util as u; print(u.find_spec('ai.chronon').submodule_search_locations[0])";
    let output = Command::new(&python).args(["-c", find]).output().unwrap();
    let package = String::from_utf8(output.stdout).unwrap();
    let script = Path::new(package.trim()).join("repo/run.py");
    let driver = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/run_py_driver.py");
    let mut child = Command::new(python)
        .args([driver, script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let input = serde_json::to_vec(cases).unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(&input).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

struct Conf {
    repo: PathBuf,
    path: String,
    conf_type: ConfType,
    meta_data: MetaData,
    parts: Vec<String>,
}

fn confs(repo: &Path) -> Vec<Conf> {
    let mut out = Vec::new();
    for conf_type in ConfType::ALL {
        let folder = repo.join("production").join(conf_type.folder());
        for team in std::fs::read_dir(folder).unwrap() {
            for file in std::fs::read_dir(team.unwrap().path()).unwrap() {
                let file = file.unwrap().path();
                let tree: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
                let parts = serde_json::from_value::<chronon_run_conf::Join>(tree.clone())
                    .map(|join| join.offline_parts().map(|part| part.full_prefix).collect())
                    .unwrap_or_default();
                out.push(Conf {
                    repo: repo.to_owned(),
                    path: file
                        .strip_prefix(repo)
                        .unwrap()
                        .to_str()
                        .unwrap()
                        .to_owned(),
                    conf_type,
                    meta_data: serde_json::from_value(tree["metaData"].clone()).unwrap(),
                    parts,
                });
            }
        }
    }
    out.sort_by(|a, b| a.path.cmp(&b.path));
    out
}

/// A copy of the golden repo with everything that the shipped confs leave out: mode environments
/// of the conf, team environments per mode and block, additional arguments as one text.
fn contrived(folder: &Path) {
    let write = |path: &str, tree: Value| {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, tree.to_string()).unwrap();
    };
    write(
        "teams.json",
        json!({
            "default": {
                "common_env": {"CHRONON_ONLINE_ARGS": "-Zcommon=1", "DRIVER_MEMORY": "1G", "MAX_EXECUTORS": "8"},
                "production": {
                    "backfill": {"DRIVER_MEMORY": "2G", "EXECUTOR_CORES": "2", "CHRONON_CONFIG_ADDITIONAL_ARGS": "--team 1"},
                    "label-join": {"CHRONON_CONFIG_ADDITIONAL_ARGS": "--team 2"},
                    "streaming": {"PARALLELISM": "5"}
                }
            },
            "t": {
                "dev": {"backfill": {"EXECUTOR_CORES": "1"}, "streaming": {"PARALLELISM": "6"}},
                "production": {"backfill": {"EXECUTOR_CORES": "4", "EXECUTOR_MEMORY": "4G"}, "backfill-left": {"A": "left"}}
            }
        }),
    );
    let meta = |name: &str, custom: Option<&str>| {
        json!({
            "name": name, "team": "t", "outputNamespace": "ns", "customJson": custom,
            "modeToEnvMap": {
                "backfill": {"EXECUTOR_MEMORY": "7G", "CHRONON_CONFIG_ADDITIONAL_ARGS": "--from-conf"},
                "streaming": {"PARALLELISM": "7"},
                "upload": {"X": "y"}
            }
        })
    };
    let no_custom = |mut tree: Value| {
        tree.as_object_mut().unwrap().remove("customJson");
        tree
    };
    let query = json!({"setups": []});
    let left = json!({"events": {"table": "a.b", "query": query}});
    let group_by = |meta: Value| json!({"metaData": meta, "sources": [left], "keyColumns": ["k"]});
    let group_by_meta = meta(
        "t.g.v1",
        Some(r#"{"additional_args": ["--step-days 14", "--x"], "lag": 0}"#),
    );
    write(
        "production/group_bys/t/g.v1",
        group_by(group_by_meta.clone()),
    );
    write(
        "production/group_bys/t/g.v2",
        group_by(meta("t.g.v2", Some("{}"))),
    );
    write(
        "production/group_bys/t/g.v3",
        group_by(no_custom(meta("t.g.v3", None))),
    );
    write(
        "production/joins/t/j.v1",
        json!({
            "metaData": meta("t.j.v1", Some(r#"{"lag": 0}"#)), "left": left,
            "joinParts": [{"groupBy": group_by(group_by_meta)}]
        }),
    );
    write(
        "production/staging_queries/t/s.v1",
        json!({"metaData": no_custom(meta("t.s.v1", None)), "query": "SELECT 1"}),
    );
}

/// The arguments with which run.py is asked for the same.
fn run_py_args(
    conf: &Conf,
    word: &str,
    part: Option<&str>,
    variant: &Variant,
    online_jar: &str,
) -> Vec<String> {
    let mut args = vec![
        format!("--mode={word}"),
        format!("--conf={}", conf.path),
        format!("--env={}", variant.env),
        "--ds=2026-01-30".to_owned(),
        format!("--chronon-jar={JAR}"),
        format!("--online-jar={online_jar}"),
        format!("--online-class={CLASS}"),
    ];
    args.extend(variant.start_ds.map(|ds| format!("--start-ds={ds}")));
    if !variant.online_args.is_empty() {
        args.push(format!("--online-args={}", variant.online_args.join(" ")));
    }
    if let Some(part) = part {
        args.push(format!("--selected-join-parts={part}"));
        args.push("--use-cached-left".to_owned());
    }
    if let Ok(mode) = Mode::parse(conf.conf_type, word) {
        if variant.run_first_hole && mode.honours_first_hole() {
            args.push("--run-first-hole".to_owned());
        }
        let custom = conf.meta_data.custom_json.as_deref().unwrap_or_default();
        let by_hand = custom.contains("--step-days") && mode.takes_additional_args()
            || variant
                .process_env
                .iter()
                .any(|(_, value)| value.contains("--step-days"));
        if let Some(days) = variant
            .step_days
            .filter(|_| mode.honours_step_days() && !by_hand)
        {
            args.push(format!("--step-days={days}"));
        }
    }
    args.extend(variant.extra_args.clone());
    args
}

struct Case<'a> {
    conf: &'a Conf,
    word: &'a str,
    part: Option<String>,
    variant: &'a Variant,
}

fn ours(
    case: &Case<'_>,
    process_env: &BTreeMap<String, String>,
    online_jar: &str,
    launcher: &Launcher,
    class_path: Option<&ClassPath>,
) -> Result<Value, String> {
    let Case {
        conf,
        word,
        part,
        variant,
    } = case;
    let mode = match part {
        Some(part) => Mode::Join(JoinMode::Part(part.clone())),
        None => Mode::parse(conf.conf_type, word).map_err(|error| error.to_string())?,
    };
    let (teams, _) = Teams::load(&conf.repo.join("teams.json"));
    let setup = Setup {
        repo: &conf.repo,
        teams: &teams,
        env: variant.env,
        process_env,
        launcher,
        jar: Some(JAR),
        online_jar: Some(online_jar),
        online_class: Some(CLASS),
        online_args: &variant.online_args,
        app_name: None,
        class_path,
        fallback_env: &[],
    };
    let job = Job {
        conf_path: &conf.path,
        meta_data: Some(&conf.meta_data),
        mode,
        ds: "2026-01-30".parse().unwrap(),
        start_ds: variant.start_ds.map(|ds| ds.parse().unwrap()),
        run_first_hole: variant.run_first_hole,
        step_days: variant.step_days,
        extra_args: &variant.extra_args,
    };
    let command = command(&setup, &job).map_err(|error| error.to_string())?;
    let mut env = process_env.clone();
    for (name, value) in command.env {
        match value {
            Some(value) => env.insert(name, value),
            None => env.remove(&name),
        };
    }
    Ok(json!({"argv": command.argv, "env": env}))
}

/// What does not depend on the launcher: everything from the class on, the online jar, which the script
/// makes `--jars` of, and the environment without the variables that the script removes. The other
/// options before the class are the script's, which run.py does not see; a test beside the launcher
/// has them.
fn from_the_class_on(started: &Value) -> Value {
    let words = started["argv"].as_array().unwrap();
    let class = words.iter().position(|word| *word == DRIVER).unwrap();
    let mut env = started["env"].clone();
    let env = env.as_object_mut().unwrap();
    let jars = words[..class].iter().position(|word| *word == "--jars");
    let online = env.remove("CHRONON_ONLINE_JAR");
    let online = jars.map(|at| words[at + 1].clone()).or(online);
    for name in REMOVED {
        env.remove(name);
    }
    json!({"argv": words[class..], "env": env, "jars": online})
}

/// With a class path only the jars differ from run.py, and only where the online jar has a use.
fn assert_class_path(case: &Case<'_>, whole: &Value, theirs: &Value, online_jar: &str) {
    let what = format!("{} {} {:?}", case.conf.path, case.word, case.variant);
    let words = |started: &Value| started["argv"].as_array().unwrap().clone();
    if words(theirs)[0] == "java" {
        assert_eq!(whole["argv"], theirs["argv"], "{what}");
        return;
    }
    let (mut whole, mut theirs) = (from_the_class_on(whole), from_the_class_on(theirs));
    let (jars, plain) = (whole["jars"].take(), theirs["jars"].take());
    assert_eq!(whole, theirs, "{what}");
    let online = words(&theirs).iter().any(|word| {
        let word = word.as_str().unwrap_or_default();
        word.starts_with("--online-jar=")
    });
    match online {
        true => assert_eq!(jars, format!("{online_jar},/own.jar,/kafka.jar"), "{what}"),
        false => assert_eq!(jars, plain, "{what}"),
    }
}

const DRIVER: &str = "ai.chronon.spark.Driver";
const REMOVED: [&str; 4] = [
    "PYSPARK_DRIVER_PYTHON",
    "PYSPARK_PYTHON",
    "SPARK_CONF_DIR",
    "SPARK_HOME",
];

#[test]
fn argv_and_environment_equal_run_py() {
    let folder = tempfile::tempdir().unwrap();
    contrived(folder.path());
    let online_jar = folder.path().join("online.jar");
    std::fs::write(&online_jar, "").unwrap();
    let online_jar = online_jar.to_str().unwrap();

    let mut all = confs(&root().join("examples/stays"));
    all.extend(confs(&root().join("tests/golden/a/repo")));
    all.extend(confs(folder.path()));
    let variants = variants();
    let mut cases = Vec::new();
    for conf in &all {
        for variant in &variants {
            // What is impossible is so whatever else varies.
            let first = std::ptr::eq(variant, &raw const variants[0]);
            let possible = |word: &&&str| first || Mode::parse(conf.conf_type, word).is_ok();
            let plain = MODES.iter().filter(possible).map(|&word| (word, None));
            let parts = conf
                .parts
                .iter()
                .map(|part| ("backfill", Some(part.clone())));
            cases.extend(plain.chain(parts).map(|(word, part)| Case {
                conf,
                word,
                part,
                variant,
            }));
        }
    }
    let process_env = |case: &Case<'_>| -> BTreeMap<String, String> {
        let base = [
            ("USER", "u"),
            ("SPARK_SUBMIT_PATH", "/s/spark-submit"),
            ("PATH", "/bin"),
        ];
        let all = base
            .into_iter()
            .chain(case.variant.process_env.iter().copied());
        all.map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    };
    let input: Vec<_> = cases
        .iter()
        .map(|case| {
            let args = run_py_args(
                case.conf,
                case.word,
                case.part.as_deref(),
                case.variant,
                online_jar,
            );
            json!({"args": args, "env": process_env(case), "cwd": case.conf.repo})
        })
        .collect();

    let added = ClassPath {
        user_jars: Some("/own.jar".to_owned()),
        added: vec!["/kafka.jar".to_owned()],
    };
    let mut matrix: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let started_directly = Launcher::SparkSubmit(SparkSubmit {
        program: "/s/spark-submit".to_owned(),
        ..SparkSubmit::default()
    });
    for (case, theirs) in cases.iter().zip(run_py(&input)) {
        let by = |launcher| ours(case, &process_env(case), online_jar, launcher, None);
        let whole = |launcher| ours(case, &process_env(case), online_jar, launcher, Some(&added));
        let (scripts, direct) = (by(&Launcher::Scripts), by(&started_directly));
        assert_eq!(scripts.is_ok(), direct.is_ok(), "{scripts:?} {direct:?}");
        let verdict = match (scripts, theirs.get("error")) {
            (Ok(ours), None) => {
                let what = format!("{} {} {:?}", case.conf.path, case.word, case.variant);
                assert_eq!(ours, theirs, "{what}");
                let direct = from_the_class_on(&direct.unwrap());
                assert_eq!(direct, from_the_class_on(&theirs), "{what}");
                let wholes = [whole(&Launcher::Scripts), whole(&started_directly)];
                for whole in wholes.map(Result::unwrap) {
                    assert_class_path(case, &whole, &theirs, online_jar);
                }
                "equal"
            }
            (Err(_), Some(_)) => "both refuse",
            (ours, error) => panic!(
                "{} {}: ours {ours:?}, run.py {error:?}",
                case.conf.path, case.word
            ),
        };
        let word = if case.part.is_some() {
            "backfill, one part"
        } else {
            case.word
        };
        matrix
            .entry((word, case.conf.conf_type.folder()))
            .or_default()
            .insert(verdict);
        *counts.entry(verdict).or_default() += 1;
    }
    println!("mode × conf type: both launchers against run.py");
    for ((mode, folder), verdicts) in &matrix {
        println!("{mode:28} {folder:16} {verdicts:?}");
    }
    println!("{counts:?}");
    assert!(matrix.values().all(|verdicts| verdicts.len() == 1));
    let equal = matrix
        .values()
        .filter(|verdicts| verdicts.contains("equal"))
        .count();
    let possible: usize = ConfType::ALL
        .map(|conf_type| Mode::all_of(conf_type).len())
        .iter()
        .sum();
    assert_eq!(
        equal,
        possible + 1,
        "every row of the route table, and parts"
    );
}

#[test]
fn streaming_is_the_only_mode_of_its_script() {
    let streaming = ConfType::ALL.into_iter().flat_map(Mode::all_of);
    let words: Vec<_> = streaming
        .filter(|mode| mode.runner() == Runner::SubmitStreaming)
        .map(|mode| mode.word())
        .collect();
    assert_eq!(words, ["streaming"]);
}
