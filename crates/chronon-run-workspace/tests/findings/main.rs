//! Every finding points at the bytes it is about and says what to do.
#![allow(clippy::unwrap_used)]

mod checks;
mod settings;

use std::fs;

use chronon_run_core::{Diagnostic, Severity};
use chronon_run_workspace::Workspace;

/// Loads `text` from a folder that holds `data/a.csv`, `data/a.txt` and the folder `sub`.
fn findings(text: &str) -> Vec<Diagnostic> {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("data")).unwrap();
    fs::create_dir(folder.path().join("sub")).unwrap();
    fs::write(folder.path().join("data/a.csv"), "ds\n").unwrap();
    fs::write(folder.path().join("data/a.txt"), "ds\n").unwrap();
    let file = folder.path().join("workspace.toml");
    fs::write(&file, text).unwrap();
    match Workspace::load(&file) {
        Ok(loaded) => {
            assert!(loaded.warnings.iter().all(|warning| !warning.is_error()));
            loaded.warnings
        }
        Err(all) => {
            assert!(all.iter().any(Diagnostic::is_error));
            all
        }
    }
}

/// `code | the bytes it points at | message | hint` of each finding.
fn lines(text: &str) -> Vec<String> {
    let show = |finding: Diagnostic| {
        let span = finding.location.unwrap().span.unwrap();
        let mark = match finding.severity {
            Severity::Error => "",
            Severity::Warning => "(warning) ",
        };
        format!(
            "{mark}{} | {} | {} | {}",
            finding.code,
            &text[span],
            finding.message,
            finding.hint.unwrap()
        )
    };
    findings(text).into_iter().map(show).collect()
}

/// Asserts that `text` has exactly one finding: its code, the bytes it points at, and a part of
/// its message or hint.
#[track_caller]
fn one(text: &str, code: &str, at: &str, says: &str) {
    let lines = lines(text);
    let start = format!("{code} | {at} | ");
    assert!(
        lines.len() == 1 && lines[0].starts_with(&start) && lines[0].contains(says),
        "wanted one finding `{start}…{says}…`, found {lines:#?}"
    );
}

#[test]
fn workspace() {
    let with = |line: &str| format!("[workspace]\n{line}\n");
    one(
        &with("repo = \"nowhere\""),
        "no-such-path",
        "\"nowhere\"",
        "teams.json",
    );
    one(
        &with("repo = \"data/a.csv\""),
        "no-such-path",
        "\"data/a.csv\"",
        "no folder",
    );
    one(
        &with("repo = 5"),
        "wrong-type",
        "5",
        "must be a string, not a whole number",
    );
    one(
        &with("repo = \"\""),
        "empty",
        "\"\"",
        "for example `repo = \".\"`",
    );
    one(
        &with("production = \"../x\""),
        "bad-value",
        "\"../x\"",
        "within the repo",
    );
    one(
        &with("production = \"/x\""),
        "bad-value",
        "\"/x\"",
        "within the repo",
    );
    one(
        &with("timezone = \"Mars/Phobos\""),
        "bad-value",
        "\"Mars/Phobos\"",
        "Europe/Prague",
    );
    one(
        &with("as_of = \"2026-02-30\""),
        "bad-day",
        "\"2026-02-30\"",
        "YYYY-MM-DD",
    );
    one(
        &with("as_of = 2026-01-30T00:00:00Z"),
        "bad-day",
        "2026-01-30T00:00:00Z",
        "YYYY-MM-DD",
    );
    one(
        &with("partition_column = \"d s\""),
        "bad-value",
        "\"d s\"",
        "column name",
    );
    one(
        &with("time_parts = [\"ds\", 3]"),
        "wrong-type",
        "3",
        "a string",
    );
    one(
        "workspace = \"x\"\n",
        "wrong-type",
        "\"x\"",
        "`[workspace]`",
    );
    assert_eq!(lines(&with("as_of = 2026-01-30\nrepo = \"sub\"")), [""; 0]);
}

#[test]
fn engine() {
    let with = |line: &str| format!("[engine]\n{line}\n");
    one(
        &with("kind = \"chronom\""),
        "unknown-value",
        "\"chronom\"",
        "did you mean `chronon`? allowed: `sql`, `chronon`",
    );
    one(
        &with("kind = \"chronon\""),
        "missing-key",
        "\"chronon\"",
        "chronon_jar",
    );
    one(
        &with("kind = \"chronon\"\nchronon_jar = \"x.jar\""),
        "(warning) no-such-path",
        "\"x.jar\"",
        "engine.chronon_jar",
    );
    one(
        &with("spark_home = \"nowhere\""),
        "(warning) no-such-path",
        "\"nowhere\"",
        "nowhere",
    );
    one(
        &with("master = \"localhost\""),
        "bad-master",
        "\"localhost\"",
        "local[N]",
    );
    one(
        &with("deploy_mode = \"clustr\""),
        "unknown-value",
        "\"clustr\"",
        "`cluster`",
    );
    one(
        &with("launcher = \"script\""),
        "unknown-value",
        "\"script\"",
        "did you mean `scripts`?",
    );
    one(&with("fast_start = true"), "wrong-type", "true", "a string");
    one(
        &with("sessions = \"yes\""),
        "wrong-type",
        "\"yes\"",
        "true or false",
    );
    one(
        &with("conf = \"spark.x=1\""),
        "wrong-type",
        "\"spark.x=1\"",
        "table of properties",
    );
    one(
        &with("conf = { \"spark.x\" = [1] }"),
        "wrong-type",
        "[1]",
        "spark.x",
    );
    one(
        &with("conf = { \"executor.memory\" = \"1g\" }"),
        "(warning) not-a-spark-property",
        "\"executor.memory\"",
        "spark.executor.memory",
    );
    one(
        &with("master = \"local[2]\"\ndeploy_mode = \"cluster\""),
        "bad-value",
        "\"cluster\"",
        "no cluster",
    );
    one(
        &with("master = \"yarn\"\ndeploy_mode = \"cluster\""),
        "bad-value",
        "\"cluster\"",
        "client mode only",
    );
    one(
        &with("master = \"yarn\"\ncluster_url = \"https://rm:8090\""),
        "bad-url",
        "\"https://rm:8090\"",
        "put `yarn` on PATH",
    );
    let maven = with("kind = \"chronon\"\nchronon_jar = \"ai.chronon:spark_uber_2.12:0.0.113\"");
    assert_eq!(lines(&maven), [""; 0]);
}

#[test]
fn catalog() {
    let with = |line: &str| format!("[catalog]\n{line}\n");
    one(
        &with("kind = \"hiv\""),
        "unknown-value",
        "\"hiv\"",
        "did you mean `hive`?",
    );
    one(
        &with("kind = \"hive\""),
        "missing-key",
        "\"hive\"",
        "thrift://metastore:9083",
    );
    one(
        &with("kind = \"fixture\""),
        "missing-key",
        "\"fixture\"",
        "path",
    );
    for bad in [
        "metastore:9083",
        "http://metastore:9083",
        "thrift://metastore",
        "thrift://a:1,b:2",
    ] {
        let text = with(&format!("kind = \"hive\"\nuri = \"{bad}\""));
        one(
            &text,
            "bad-uri",
            &format!("\"{bad}\""),
            "thrift://host:port",
        );
    }
    one(
        &with("uri = \"thrift://a:1\""),
        "(warning) no-effect",
        "\"thrift://a:1\"",
        "kind = \"hive\"",
    );
    one(
        &with("kind = \"hive\"\nuri = \"thrift://a:1\"\nidle = \"1m\""),
        "(warning) no-effect",
        "\"1m\"",
        "kind = \"embedded\"",
    );
    one(
        &with("idle = \"1 minit\""),
        "bad-duration",
        "\"1 minit\"",
        "`30s`",
    );
}

#[test]
fn run() {
    let with = |line: &str| format!("[run]\n{line}\n");
    one(&with("jobs = 0"), "out-of-range", "0", "from 1");
    one(&with("jobs = -2"), "out-of-range", "-2", "from 1");
    one(
        &with("jobs = 99999999999999999999"),
        "out-of-range",
        "99999999999999999999",
        "from 1",
    );
    one(
        &with("jobs = \"2\""),
        "wrong-type",
        "\"2\"",
        "for example `jobs = 4`",
    );
    one(&with("step_days = 0"), "out-of-range", "0", "step_days");
    one(
        &with("retry_delay = 5"),
        "wrong-type",
        "5",
        "for example `retry_delay = \"5m\"`",
    );
    one(
        &with("timeout = \"0s\""),
        "bad-duration",
        "\"0s\"",
        "longer than zero",
    );
    one(
        &with("grace = \"99999999999999999999d\""),
        "bad-duration",
        "\"99999999999999999999d\"",
        "duration",
    );
    one(
        &with("on_failure = \"halt\""),
        "unknown-value",
        "\"halt\"",
        "allowed: `stop`, `continue`",
    );
    one(
        &with("join_flow = \"moduler\""),
        "unknown-value",
        "\"moduler\"",
        "did you mean `modular`?",
    );
    one(&with("bisect = 1"), "wrong-type", "1", "true or false");
    one(
        &with("upload_schedule = \"daily\""),
        "bad-schedule",
        "\"daily\"",
        "@daily",
    );
}

#[test]
fn seeds() {
    let with = |line: &str| format!("[seeds.\"a.b\"]\npath = \"data/a.csv\"\n{line}\n");
    assert_eq!(lines("[seeds]\n\"a.b\" = \"data/a.csv\"\n"), [""; 0]);
    one(
        "[seeds]\n\"a.b\" = \"data/x.csv\"\n",
        "(warning) no-such-path",
        "\"data/x.csv\"",
        "does not exist",
    );
    one(
        "[seeds]\n\"a.b\" = \"data/a.txt\"\n",
        "unknown-format",
        "\"data/a.txt\"",
        "format = \"csv\"",
    );
    one(
        "[seeds]\nab = \"data/a.csv\"\n",
        "bad-table",
        "ab",
        "<namespace>.<table>",
    );
    one(
        "[seeds.a.b]\npath = \"data/a.csv\"\n",
        "bad-table",
        "a",
        "quote the whole name",
    );
    one(
        "[seeds]\n\"a.b\" = 5\n",
        "wrong-type",
        "5",
        "must be a table",
    );
    one(
        "[seeds]\n\"a.b\" = \"data/a.csv\"\n\"A.B\" = \"data/a.csv\"\n",
        "duplicate-table",
        "\"A.B\"",
        "by case",
    );
    one(
        "[seeds.\"a.b\"]\nformat = \"csv\"\n",
        "missing-key",
        "[seeds.\"a.b\"]",
        "path = ",
    );
    one(
        "[seeds.\"a.b\"]\npath = \"data/a.txt\"\n",
        "unknown-format",
        "\"data/a.txt\"",
        "format",
    );
    one(
        &with("format = \"cvs\""),
        "unknown-value",
        "\"cvs\"",
        "did you mean `csv`?",
    );
    one(
        &with("columns = { ds = \"strin\" }"),
        "bad-type",
        "\"strin\"",
        "did you mean `string`?",
    );
    one(
        &with("columns = { ds = \"array<int\" }"),
        "bad-type",
        "\"array<int\"",
        "whole Spark type",
    );
    one(
        &with("columns = { ds = 5 }"),
        "wrong-type",
        "5",
        "columns.ds",
    );
    one(
        &with("columns = { \"d s\" = \"int\", ds = \"string\" }"),
        "bad-column",
        "\"d s\"",
        "column name",
    );
    one(
        &with("columns = { ds = \"string\", DS = \"string\" }"),
        "duplicate-column",
        "DS",
        "by case",
    );
    one(
        &with("columns = { x = \"int\" }"),
        "unknown-column",
        "{ x = \"int\" }",
        "`ds`",
    );
    one(
        &with("columns = { ds = \"date\" }\npartition_by = [\"dt\"]"),
        "unknown-column",
        "[\"dt\"]",
        "`dt`",
    );
    one(&with("partition_by = []"), "empty", "[]", "names no column");
    one(
        &with("partition_by = \"ds\""),
        "wrong-type",
        "\"ds\"",
        "a list",
    );
    one(
        &with("format = \"json\"\nnull = \"x\""),
        "(warning) no-effect",
        "\"x\"",
        "only CSV",
    );
    one(&with("null = 0"), "wrong-type", "0", "a string");
    one(
        &with("empty_partitions = [\"2026-1-3\"]"),
        "bad-day",
        "\"2026-1-3\"",
        "YYYY-MM-DD",
    );
    one(
        &with("partition_by = [\"ds\", \"x\"]\nempty_partitions = [\"2026-01-03\"]"),
        "bad-value",
        "[\"2026-01-03\"]",
        "exactly one",
    );
}

#[test]
fn unknown_keys_are_warned_about_at_the_key() {
    one(
        "[run]\njob = 2\n",
        "(warning) unknown-key",
        "job",
        "did you mean `jobs`?",
    );
    one(
        "[engine]\njobs = 2\n",
        "(warning) unknown-key",
        "jobs",
        "belongs in `[run]`",
    );
    one(
        "[enigne]\nkind = \"sql\"\n",
        "(warning) unknown-key",
        "enigne",
        "did you mean `engine`?",
    );
    one(
        "jobs = 2\n",
        "(warning) unknown-key",
        "jobs",
        "belongs in `[run]`",
    );
    one(
        "[catalog]\ncolour = \"red\"\n",
        "(warning) unknown-key",
        "colour",
        "known here: `kind`",
    );
    // Keys that several readers ask for are listed once.
    let hint = lines("[engine]\ncolour = \"red\"\n").remove(0);
    assert_eq!(hint.matches("`deploy_mode`").count(), 1, "{hint}");
    one(
        "[[override]]\nselect = \"x\"\nstep_day = 3\n",
        "(warning) unknown-key",
        "step_day",
        "`step_days`",
    );
    one(
        "[seeds.\"a.b\"]\npath = \"data/a.csv\"\n\"nul l\" = \"\"\n",
        "(warning) unknown-key",
        "\"nul l\"",
        "`null`",
    );
    one(
        "[hooks]\n\"k'v\" = 1\nkv_upload = [\"x\"]\n",
        "(warning) unknown-key",
        "\"k'v\"",
        "hooks",
    );
}

#[test]
fn everything_is_said_at_once_in_file_order() {
    let text = "\
[run]
jobs = 0
retires = 3
timeout = \"soon\"

[catalog]
kind = \"hive\"

[workspace]
timezone = \"Mars\"

[seeds]
\"a.b\" = \"data/a.txt\"
";
    insta::with_settings!({filters => vec![(r"`/[^`]*/data/a.txt`", "`[root]/data/a.txt`")]}, {
        insta::assert_snapshot!(lines(text).join("\n"), @r#"
        out-of-range | 0 | `run.jobs` must be from 1 to 10000 | for example `jobs = 4`
        (warning) unknown-key | retires | unknown key `run.retires` is ignored | did you mean `retries`?
        bad-duration | "soon" | `run.timeout`: `soon` is not a duration such as `30s`, `15m`, `2h` or `4d` | for example `timeout = "6h"`
        missing-key | "hive" | this kind of catalog needs `catalog.uri` | add `uri = "thrift://metastore:9083"`
        bad-value | "Mars" | `workspace.timezone`: `Mars` is not a time zone (expected a name such as `UTC` or `Europe/Prague`) | for example `timezone = "Europe/Prague"`
        unknown-format | "data/a.txt" | the name of `[root]/data/a.txt` does not say its format | add `format = "csv"`, `"json"` or `"parquet"` to the seed's table
        "#);
    });
}

#[test]
fn broken_toml_is_shown_where_it_breaks() {
    let lines = lines("[run]\njobs = = 2\n[engine\n");
    assert!(lines.len() > 1, "{lines:#?}");
    assert!(
        lines.iter().all(|line| line.starts_with("broken-toml | ")),
        "{lines:#?}"
    );
    one(
        "[run]\njobs = 1\njobs = 2\n",
        "broken-toml",
        "jobs",
        "duplicate key",
    );
}

#[test]
fn data_checks_with_mistakes_are_errors_at_their_place() {
    let one = |lines: &str, code: &str, at: &str, says: &str| {
        one(
            &format!("[[check]]\nselect = \"a\"\nmax_rows = 9\n{lines}\n"),
            code,
            at,
            says,
        );
    };
    one(
        "min_row = 1",
        "unknown-key",
        "min_row",
        "did you mean `min_rows`?",
    );
    one(
        "freshness = \"2h\"",
        "unknown-key",
        "freshness",
        "known here: ",
    );
    one("min_rows = \"many\"", "wrong-type", "\"many\"", "min_rows");
    one("max_null_share = { user = 20 }", "out-of-range", "20", "0");
    one(
        "max_null_share = { user = \"20%\" }",
        "wrong-type",
        "\"20%\"",
        "user",
    );
    one("unique = [7]", "wrong-type", "7", "unique");
    one("on_fail = \"stop\"", "unknown-value", "\"stop\"", "block");
    one(
        "max_age = \"soon\"\ntime_column = \"ts\"",
        "bad-duration",
        "\"soon\"",
        "max_age",
    );
}

#[test]
fn files_that_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let code = |name: &str| {
        let findings = Workspace::load(&folder.path().join(name)).unwrap_err();
        assert_eq!(findings.len(), 1);
        (findings[0].code, findings[0].hint.clone().unwrap())
    };
    let (missing, hint) = code("workspace.toml");
    assert_eq!(missing, "no-workspace");
    assert!(hint.contains("chronon-run init"));
    fs::create_dir(folder.path().join("folder")).unwrap();
    assert_eq!(code("folder").0, "unreadable-file");
    fs::write(folder.path().join("latin1"), b"# caf\xe9\n").unwrap();
    assert_eq!(code("latin1").0, "broken-toml");
}

#[test]
fn the_file_is_found_from_below() {
    let folder = tempfile::tempdir().unwrap();
    let deep = folder.path().join("a/b");
    fs::create_dir_all(&deep).unwrap();
    let file = folder.path().join("a/workspace.toml");
    fs::write(&file, "").unwrap();
    assert_eq!(Workspace::find(&deep).as_deref(), Some(file.as_path()));
    assert_eq!(
        Workspace::find(&folder.path().join("a")),
        Some(file.clone())
    );
    assert_ne!(Workspace::find(folder.path()), Some(file));
}
