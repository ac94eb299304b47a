//! Sources, overrides, arguments of the Driver, hooks, streaming and Airflow.

use super::*;

#[test]
fn sources() {
    let with = |line: &str| format!("[sources.\"a.b\"]\n{line}\n");
    one(
        &with("missing = [\"2026-01-16..2026-01-14\"]"),
        "bad-day",
        "\"2026-01-16..2026-01-14\"",
        "ends before it starts",
    );
    one(
        &with("missing = [\"2026-01-16\", \"x\"]"),
        "bad-day",
        "\"x\"",
        "`x`",
    );
    one(
        &with("missing = [\"1000-01-01..2026-01-01\"]"),
        "bad-day",
        "\"1000-01-01..2026-01-01\"",
        "hundred years",
    );
    one(
        &with("missing = \"2026-01-16\""),
        "wrong-type",
        "\"2026-01-16\"",
        "a list",
    );
    one(
        &with("lands_after = \"late\""),
        "bad-duration",
        "\"late\"",
        "`30s`",
    );
    one("[sources.\"a b\"]\n", "bad-table", "\"a b\"", "quote");
    one(
        "[sources]\n\"a.b\" = [\"2026-01-16\"]\n",
        "wrong-type",
        "[\"2026-01-16\"]",
        "must be a table",
    );
    assert_eq!(
        lines(&with("missing = [2026-01-16, \"2026-01-17..2026-01-18\"]")),
        [""; 0]
    );
}

#[test]
fn overrides() {
    let with = |line: &str| format!("[[override]]\n{line}\n");
    one(
        &with("select = \" \"\nstep_days = 7"),
        "empty",
        "\" \"",
        "type:join",
    );
    one(
        &with("step_days = 7"),
        "missing-key",
        "[[override]]",
        "select = ",
    );
    one(
        &with("select = \"x\""),
        "(warning) no-effect",
        "[[override]]",
        "step_days = 7",
    );
    one(
        &with("select = \"x\"\nstep_days = 0"),
        "out-of-range",
        "0",
        "step_days",
    );
    one(
        &with("select = \"x\"\nlag = \"1d\""),
        "wrong-type",
        "\"1d\"",
        "for example `lag = 1`",
    );
    one(
        &with("select = \"x\"\njoin_flow = \"hole\""),
        "unknown-value",
        "\"hole\"",
        "did you mean `whole`?",
    );
    one(
        "[override]\nselect = \"x\"\n",
        "wrong-type",
        "[override]",
        "`[[override]]`",
    );
    one("override = [5]\n", "wrong-type", "5", "[[override]]");
}

#[test]
fn arguments_of_the_driver() {
    let with = |line: &str| format!("[engine]\ndriver_args = {line}\n");
    one(
        &with("{ stats-sumary = [\"--sample=1.0\"] }"),
        "unknown-mode",
        "stats-sumary",
        "did you mean `stats-summary`?",
    );
    one(
        &with("{ backfill = [\"--step-days=3\"] }"),
        "own-argument",
        "\"--step-days=3\"",
        "run.step_days",
    );
    one(
        &with("{ backfill = [\"--end-date\", \"2026-01-30\"] }"),
        "own-argument",
        "\"--end-date\"",
        "--end-ds",
    );
    one(
        &with("{ backfill = [\"--sample 0.5\"] }"),
        "bad-value",
        "\"--sample 0.5\"",
        "--option=value",
    );
    one(
        &with("{ backfill = [\"-e\", \"x\"] }"),
        "bad-value",
        "\"-e\"",
        "long form",
    );
    one(
        &with("{ backfill = \"--sample=1.0\" }"),
        "wrong-type",
        "\"--sample=1.0\"",
        "list",
    );
    one(
        &with("[\"--sample=1.0\"]"),
        "wrong-type",
        "[\"--sample=1.0\"]",
        "table",
    );
    assert_eq!(
        lines(&with(
            "{ stats-summary = [\"--sample=1.0\"], upload = [\"-Zhost=kv\", \"-5\"] }"
        )),
        [""; 0]
    );
}

#[test]
fn hooks_and_streaming() {
    let hook = |line: &str| format!("[hooks]\n{line}\n");
    one(&hook("kv_upload = []"), "empty", "[]", "names no program");
    one(&hook("kv_upload = [\"\"]"), "empty", "\"\"", "is empty");
    one(
        &hook("kv_upload = \"python3 x.py\""),
        "wrong-type",
        "\"python3 x.py\"",
        "list of strings",
    );
    one(
        &hook("kv_upload = [\"x\", 5]"),
        "wrong-type",
        "5",
        "a string",
    );
    one(
        &hook("kv_upload = [\"x\", \"{tabel}\"]"),
        "(warning) unknown-placeholder",
        "\"{tabel}\"",
        "did you mean `{table}`?",
    );
    one(&hook("timeout = \"0s\""), "bad-duration", "\"0s\"", "zero");
    assert_eq!(
        lines(&hook("kv_upload = [\"x\", \"\", \"{\\\"a\\\": {table}}\"]")),
        [""; 0]
    );
    let stream = |line: &str| format!("[streaming]\n{line}\n");
    one(
        &stream("list_apps = \"yarm\""),
        "unknown-value",
        "\"yarm\"",
        "did you mean `yarn`?",
    );
    one(
        &stream("list_apps = \"yarn\""),
        "missing-key",
        "\"yarn\"",
        "streaming.url",
    );
    one(&stream("list_apps = []"), "empty", "[]", "names no program");
    one(
        &stream("url = \"master:8080\""),
        "bad-url",
        "\"master:8080\"",
        "http://",
    );
    one(&stream("tries = 0"), "out-of-range", "0", "from 1");
}

#[test]
fn airflow() {
    let with = |line: &str| format!("[airflow]\n{line}\n");
    one(
        &with("naming = \"doc\""),
        "unknown-value",
        "\"doc\"",
        "did you mean `docs`?",
    );
    one(
        &with("start_date = \"2023\""),
        "bad-day",
        "\"2023\"",
        "YYYY-MM-DD",
    );
    one(
        &with("emails = \"a@example.com\""),
        "wrong-type",
        "\"a@example.com\"",
        "a list",
    );
    one(
        &with("command = \"chronon-run\""),
        "wrong-type",
        "\"chronon-run\"",
        "list of strings",
    );
    one(&with("join_concurrency = 0"), "out-of-range", "0", "from 1");
}
