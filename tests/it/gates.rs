//! Which days a table can have: formats of partitions, views, days that will never be, and those before the
//! first one.

use std::fs;

use chronon_run_core::{CatalogSnapshot, Partitions, TableState};
use serde_json::json;

use crate::{
    dependencies::{ONE, depends, queries, set, set_rows, set_values},
    jars,
    staged::{FIRST, LAST, Staged, all_days, days},
    support::{Screen, Workspace, shows},
};

#[test]
fn partitions_that_are_no_days_are_named_and_their_format_can_be_declared() {
    let staged = Staged::new(&[("one", &["lake.a"])]);
    let values = ["20260101", "20260102", "20260103"];
    set_values(&staged, "lake.a", &values);
    let text = "lake.a has partitions, but none is a day of the form yyyy-MM-dd: ds=20260101";
    shows(&staged.run(&["check"]).expect(0), text);
    shows(&staged.run(&["plan"]).expect(0), text);
    shows(
        &staged.run(&["materialize"]).expect(3),
        "partition_format = \"yyyyMMdd\"",
    );
    let toml = staged.workspace.read("workspace.toml");
    let format = |pattern: &str| {
        let text = format!("{toml}\n[sources.\"lake.a\"]\npartition_format = \"{pattern}\"\n");
        staged.workspace.write("workspace.toml", &text);
    };
    format("dd.MM.yyyy");
    let text = "none is a day of the form dd.MM.yyyy: ds=20260101";
    shows(&staged.run(&["check"]).expect(0), text);
    format("yyyyMMdd");
    assert!(
        !staged
            .run(&["check"])
            .expect(0)
            .text()
            .contains("lake.a has")
    );
    staged.run(&["materialize"]).expect(0);
    assert_eq!(staged.filled("one"), all_days());
}

#[test]
fn days_that_begin_with_the_day_or_month_are_read() {
    let staged = Staged::new(&[("one", &["lake.a"])]);
    let toml = staged.workspace.read("workspace.toml");
    let hint = |values: &[&str], text: &str| {
        set_values(&staged, "lake.a", values);
        shows(&staged.run(&["check"]).expect(0), text);
    };
    // Which is the month is for the user to say.
    hint(
        &["01/01/2026", "02/01/2026", "03/01/2026"],
        "set `partition_format = \"dd/MM/yyyy\"` or `partition_format = \"MM/dd/yyyy\"` under",
    );
    hint(
        &["2026-1-1"],
        "they have no form that `partition_format` can name",
    );
    hint(
        &["31-12-2025", "01-01-2026", "02-01-2026", "03-01-2026"],
        "set `partition_format = \"dd-MM-yyyy\"` under",
    );
    let own = "\n[sources.\"lake.a\"]\npartition_format = \"dd-MM-yyyy\"\n";
    staged.workspace.write("workspace.toml", &(toml + own));
    shows(
        &staged.run(&["check"]).expect(0),
        "days of that form are not in order: compare to_date(<column>, 'dd-MM-yyyy') of lake.a",
    );
    staged.run(&["materialize"]).expect(0);
    assert_eq!(staged.filled("one"), all_days());
}

#[test]
fn a_table_whose_days_are_all_null_is_not_called_empty() {
    let staged = Staged::new(&[("one", &["lake.a"])]);
    set_values(&staged, "lake.a", &["__HIVE_DEFAULT_PARTITION__"]);
    let text = "lake.a has partitions, but none with a day: in all of its rows ds is NULL";
    shows(&staged.run(&["check"]).expect(0), text);
    shows(&staged.run(&["plan"]).expect(0), text);
    shows(&staged.run(&["materialize"]).expect(3), text);
}

#[test]
fn a_format_of_all_tables_is_refused_wherever_it_is_set() {
    let refused = |screen: &Screen| {
        shows(
            screen,
            "is not supported: every output would be written in that format",
        );
    };
    let staged = Staged::new(&[("one", &["lake.a"]), ("two", &["lake.a"])]);
    let conf = staged.workspace.read(ONE);
    let env = r#""metaData": {"modeToEnvMap": {"backfill": {"PARTITION_FORMAT": "yyyyMMdd"}},"#;
    let own = conf.replacen("\"metaData\": {", env, 1);
    staged.workspace.write(ONE, &own);
    let checked = staged.run(&["check"]).expect(2);
    refused(&checked);
    shows(&checked, "production/staging_queries/team/one:2:");
    staged.run(&["materialize"]).expect(2);
    assert_eq!(staged.filled("two"), all_days());
    assert!(staged.filled("one").is_empty());

    let staged = Staged::new(&[("one", &["lake.a"])]);
    let team = r#"{"default": {}, "team": {"dev": {"upload": {"PARTITION_FORMAT": "yyyyMMdd"}}}}"#;
    staged.workspace.write("teams.json", team);
    refused(&staged.run(&["check"]).expect(2));
    let all = r#"{"default": {"common_env": {"PARTITION_FORMAT": "yyyyMMdd"}}, "team": {}}"#;
    staged.workspace.write("teams.json", all);
    let checked = staged.run(&["plan"]).expect(2);
    refused(&checked);
    shows(&checked, "teams.json:1:");
    let iso = r#"{"default": {"common_env": {"PARTITION_FORMAT": "yyyy-MM-dd"}}, "team": {}}"#;
    staged.workspace.write("teams.json", iso);
    staged.run(&["plan"]).expect(0);
    let toml = staged.workspace.read("workspace.toml").replace(
        "[engine]",
        "[engine]\nconf = { \"spark.chronon.partition.format\" = \"yyyyMMdd\" }",
    );
    staged.workspace.write("workspace.toml", &toml);
    refused(&staged.run(&["plan"]).expect(2));
}

#[test]
fn what_no_partition_will_ever_be_is_said() {
    let staged = Staged::new(&[("one", &["lake.a"])]);
    depends(&staged, &["lake.hours/ds={{ ds }}/hr=3"]);
    set(&staged, "lake.hours", &[("hr", "03")], &all_days());
    let text = "no partition of lake.hours has hr=3: there are 03";
    shows(&staged.run(&["check"]).expect(0), text);
    shows(&staged.run(&["plan"]).expect(0), text);
    shows(&staged.run(&["materialize"]).expect(3), text);
    // Of a table that changed its form only the days of the first form would be seen.
    depends(&staged, &["lake.mixed/ds={{ ds }}"]);
    set_values(&staged, "lake.mixed", &[FIRST, "20260102", "20260103"]);
    let text = "2 of the partitions of lake.mixed are days of another form than yyyy-MM-dd";
    shows(&staged.run(&["materialize"]).expect(3), text);
    shows(&staged.run(&["check"]).expect(0), text);
}

#[test]
fn a_view_has_the_days_of_the_tables_behind_it() {
    let staged = Staged::new(&[("one", &["lake.v"])]);
    let view = |text: Option<&str>| {
        let mut catalog: CatalogSnapshot =
            serde_json::from_str(&staged.workspace.read("catalog.json")).unwrap();
        let mut state = TableState::default();
        state.info.is_view = true;
        state.info.view_text = text.map(str::to_owned);
        catalog
            .tables
            .insert("lake.v".parse().unwrap(), Some(state));
        let text = serde_json::to_string(&catalog).unwrap();
        staged.workspace.write("catalog.json", &text);
    };
    view(None);
    staged.set_source("lake.base", days(FIRST, "2026-01-02"));
    shows(
        &staged.run(&["check"]).expect(0),
        "lake.v is a view, and its text does not tell which tables it reads",
    );
    shows(&staged.run(&["plan"]).expect(0), "days_from = \"db.table\"");
    staged.run(&["materialize"]).expect(3);
    assert!(staged.started().is_empty());
    view(Some("SELECT * FROM base"));
    shows(
        &staged.run(&["plan"]).expect(0),
        "waits for lake.base (dependency through lake.v) 2026-01-03",
    );
    // Of a table without days nothing can be waited for, which is said.
    view(Some("SELECT *, current_date() AS ds FROM lake.regions"));
    set_rows(&staged, "lake.regions", &["region"], &[&["eu"]]);
    let text = "lake.v is a view of tables without partitions by day";
    shows(&staged.run(&["check"]).expect(0), text);
    shows(&staged.run(&["plan"]).expect(0), text);
    view(None);
    let toml = staged.workspace.read("workspace.toml");
    let own = "\n[sources.\"lake.v\"]\ndays_from = \"lake.base\"\n";
    staged.workspace.write("workspace.toml", &(toml + own));
    staged.run(&["materialize"]).expect(3);
    assert_eq!(staged.filled("one"), days(FIRST, "2026-01-02"));
}

/// Compared with days of the form yyyy-MM-dd, it would have no rows, without an error.
#[test]
fn a_view_that_hands_on_days_in_another_form_is_read_in_that_form() {
    let workspace = unloaded("", "int", "");
    let mut catalog = CatalogSnapshot::default();
    let rows = [vec!["20260101".to_owned()], vec!["20260102".to_owned()]];
    let days = Partitions::along("ds", &["ds".to_owned()], &rows);
    let mut base = TableState::default();
    base.partitions.insert("ds".to_owned(), days);
    let mut view = TableState::default();
    view.info.is_view = true;
    for (name, text) in [
        ("src.events", "SELECT * FROM src.inner"),
        (
            "src.inner",
            "SELECT user, amount, ts, day AS ds FROM src.base",
        ),
    ] {
        view.info.view_text = Some(text.to_owned());
        let state = Some(view.clone());
        catalog.tables.insert(name.parse().unwrap(), state);
    }
    let table = "src.base".parse().unwrap();
    catalog.tables.insert(table, Some(base));
    let text = serde_json::to_string(&catalog).unwrap();
    workspace.write("catalog.json", &text);
    let toml = format!(
        "[workspace]\nas_of = \"{LAST}\"\n\n[catalog]\nkind = \"fixture\"\npath = \"catalog.json\"\n\n[sources.\"src.base\"]\npartition_format = \"yyyyMMdd\"\n"
    );
    workspace.write("workspace.toml", &toml);
    workspace.edit(
        "production/group_bys/team/spend.v1",
        "src.events/hr=23",
        "src.events",
    );
    let plan = workspace.run(&["plan", "team.spend.v1"]).expect(0);
    shows(&plan, "run       2026-01-01..2026-01-02 (2 days)");
    let script = ["sql", "group_by/team.spend.v1/backfill", "--ds", FIRST];
    let script = workspace.run(&script).expect(0);
    shows(&script, "ds >= '20260101'\n");
    shows(&script, "CONCAT(SUBSTR(ds, 1, 4), '-'");
    // The Driver has one format for all tables.
    let engine = "\n[engine]\nkind = \"chronon\"\nchronon_jar = \"chronon.jar\"\n";
    fs::write(workspace.path("chronon.jar"), jars::jar(&[jars::DRIVER])).unwrap();
    workspace.write("workspace.toml", &(toml + engine));
    let text = "it reads src.events, whose partitions are days of the form yyyyMMdd";
    shows(&workspace.run(&["check"]).expect(0), text);
    shows(&workspace.run(&["plan", "team.spend.v1"]).expect(0), text);
}

/// Its days run and have no rows, for good: `plan` says so too.
#[test]
fn a_comparison_of_days_in_two_forms_is_said_by_plan() {
    let staged = Staged::new(&[("one", &["lake.a"])]);
    set_values(&staged, "lake.a", &["20260101", "20260102", "20260103"]);
    let toml = staged.workspace.read("workspace.toml");
    let own = "\n[sources.\"lake.a\"]\npartition_format = \"yyyyMMdd\"\n";
    staged.workspace.write("workspace.toml", &(toml + own));
    let text = "a comparison of the two is wrong without an error";
    queries(
        &staged,
        "SELECT a FROM lake.a WHERE ds BETWEEN '{{ start_date }}' AND '{{ end_date }}'",
    );
    shows(&staged.run(&["check"]).expect(0), text);
    let plan = staged.run(&["plan"]).expect(0);
    shows(&plan, text);
    shows(&plan, "date_format('{{ start_date }}', 'yyyyMMdd')");
    queries(
        &staged,
        "SELECT a FROM lake.a WHERE ds >= date_format('{{ start_date }}', 'yyyyMMdd')",
    );
    let plan = staged.run(&["plan"]).expect(0);
    assert!(!plan.text().contains(text), "{}", plan.text());
}

#[test]
fn tables_of_other_formats_are_named() {
    let staged = Staged::new(&[("one", &["lake.a"])]);
    for (key, value, shown) in [
        ("table_type", "ICEBERG", "lake.a is an Iceberg table"),
        ("TABLE_TYPE", "iceberg", "lake.a is an Iceberg table"),
        (
            "storage_handler",
            "org.apache.iceberg.mr.hive.HiveIcebergStorageHandler",
            "lake.a is an Iceberg table",
        ),
        (
            "spark.sql.sources.provider",
            "delta",
            "lake.a is a Delta table",
        ),
        (
            "spark.sql.sources.provider",
            "hudi",
            "lake.a is a Hudi table",
        ),
    ] {
        let mut catalog: CatalogSnapshot =
            serde_json::from_str(&staged.workspace.read("catalog.json")).unwrap();
        let mut state = TableState::default();
        state
            .info
            .properties
            .insert(key.to_owned(), value.to_owned());
        catalog
            .tables
            .insert("lake.a".parse().unwrap(), Some(state));
        let text = serde_json::to_string(&catalog).unwrap();
        staged.workspace.write("catalog.json", &text);
        shows(&staged.run(&["check"]).expect(0), shown);
        shows(&staged.run(&["plan"]).expect(0), shown);
    }
}

#[test]
fn a_day_that_will_never_be_is_not_ready_and_not_done() {
    let staged = Staged::new(&[("one", &["lake.a"])]);
    let early = "2025-12-31";
    let ready = staged.run(&["ready", "team.one", "--ds", early]).expect(2);
    shows(&ready, "never: staging_query/team.one/backfill 2025-12-31");
    staged.run(&["ready", "team.one", "--ds", FIRST]).expect(0);
    staged
        .run(&["ready", "team.one", "--ds", "2026-01-04"])
        .expect(3);
    let ended = staged.run(&["materialize", "--ds", early]).expect(2);
    shows(&ended, "excluded staging_query/team.one/backfill");
    shows(&ended, "none of the days that were asked for can be filled");
    staged.run(&["materialize", "--ds", "2026-01-04"]).expect(2);
    let ended = staged.run(&["materialize", "--start-ds", "2026-01-04"]);
    shows(&ended.expect(2), "after the last closed day");
    let ended = staged
        .run(&["materialize", "--end-ds", "2026-01-04"])
        .expect(0);
    assert_eq!(staged.filled("one"), all_days(), "{}", ended.text());
}

/// Gives `team.one` another first day.
fn starts(staged: &Staged, day: &str) {
    let mut conf: serde_json::Value = serde_json::from_str(&staged.workspace.read(ONE)).unwrap();
    conf["startPartition"] = day.into();
    let text = serde_json::to_string_pretty(&conf).unwrap();
    staged.workspace.write(ONE, &text);
}

#[test]
fn days_before_the_first_partition_of_a_source_are_excluded_until_it_appears() {
    let staged = Staged::new(&[("one", &["lake.a"]), ("two", &["out.team_one"])]);
    staged.set_source("lake.a", days("2026-01-02", LAST));
    let reason = "before the first partition (2026-01-02) of lake.a";
    let plan = staged.run(&["plan"]).expect(0);
    shows(&plan, &format!("excluded  2026-01-01 (1 day): {reason}"));
    shows(&plan, "days: 4 run, 2 excluded");
    let explained = [
        "plan",
        "--explain",
        "staging_query/team.two/backfill@2026-01-01",
    ];
    shows(&staged.run(&explained).expect(0), reason);
    let ready = ["ready", "team.one", "--ds", FIRST];
    shows(&staged.run(&ready).expect(2), "never: ");
    let ended = staged.run(&["materialize"]).expect(0);
    shows(
        &ended,
        &format!(
            "excluded {reason}: 2 days of staging_query/team.one/backfill, staging_query/team.two/backfill"
        ),
    );
    assert_eq!(staged.filled("two"), days("2026-01-02", LAST));
    let status = staged.run(&["status"]).expect(0);
    shows(&status, "team.two/backfill: 1 day, oldest 2026-01-01");
    // Asked for by name, it is no success.
    let ended = staged.run(&["materialize", "--ds", FIRST]).expect(2);
    shows(&ended, reason);
    // Told otherwise: the history is still to come.
    let toml = staged.workspace.read("workspace.toml");
    let own = "\n[sources.\"lake.a\"]\nfirst_ds = \"2026-01-01\"\n";
    staged
        .workspace
        .write("workspace.toml", &format!("{toml}{own}"));
    shows(
        &staged.run(&["materialize"]).expect(3),
        "lake.a (dependency) 2026-01-01",
    );
    staged.workspace.write("workspace.toml", &toml);
    // An earlier partition appears.
    staged.set_source("lake.a", all_days());
    staged.run(&["ready", "team.one", "--ds", FIRST]).expect(0);
    staged.run(&["materialize"]).expect(0);
    assert_eq!(staged.filled("two"), all_days());
}

#[test]
fn a_day_that_is_not_over_yet_is_an_error_unless_it_is_meant() {
    let staged = Staged::new(&[("one", &["lake.a"])]);
    let late = ["materialize", "--ds", "2026-01-04"];
    let ended = staged.run(&late).expect(2);
    shows(
        &ended,
        "--ds 2026-01-04 is not over yet; the last closed day is 2026-01-03",
    );
    staged.run(&["plan", "--ds", "2026-01-04"]).expect(2);
    for command in ["plan", "materialize", "frontfill"] {
        let ended = staged.run(&[command, "--as-of", "2999-01-01"]).expect(2);
        shows(
            &ended,
            "--as-of 2999-01-01 is not over yet; the last closed day is 20",
        );
    }
    let toml = staged.workspace.read("workspace.toml");
    let later = toml.replace("2026-01-03", "2999-01-01");
    staged.workspace.write("workspace.toml", &later);
    shows(
        &staged.run(&["materialize"]).expect(2),
        "`as_of` in workspace.toml: 2999-01-01",
    );
    shows(&staged.run(&["check"]).expect(0), "open-day");
    staged.workspace.write("workspace.toml", &toml);
    staged.set_source("lake.a", days(FIRST, "2026-01-04"));
    let mut meant = late.to_vec();
    meant.push("--allow-unfinished");
    staged.run(&meant).expect(0);
    assert_eq!(staged.filled("one"), days("2026-01-04", "2026-01-04"));
}

#[test]
fn more_than_ten_years_without_any_input_are_asked_about() {
    let staged = Staged::new(&[("one", &["lake.a"])]);
    queries(&staged, "SELECT 1 AS x, '{{ start_date }}' AS ds");
    starts(&staged, "1026-01-01");
    let why = "one/backfill would be filled for 365246 days";
    shows(&staged.run(&["plan"]).expect(0), why);
    let ended = staged.run(&["materialize"]).expect(2);
    shows(&ended, why);
    shows(&ended, "`--yes`");
    assert!(staged.started().is_empty());
    starts(&staged, "2025-06-01");
    staged.run(&["materialize"]).expect(0);
}

/// A GroupBy and a join of one source, a seed that is not loaded yet.
fn unloaded(rows: &str, day_type: &str, more: &str) -> Workspace {
    let workspace = Workspace::empty();
    let toml = format!(
        r#"[workspace]
as_of = "{LAST}"

[seeds."src.events"]
path = "events.csv"
columns = {{ user = "string", amount = "bigint", ts = "bigint", ds = "{day_type}", hr = "string" }}
partition_by = ["ds", "hr"]
{more}"#
    );
    workspace.write("workspace.toml", &toml);
    workspace.write("teams.json", r#"{"default": {}, "team": {}}"#);
    workspace.write("events.csv", &format!("user,amount,ts,ds,hr\n{rows}"));
    let source = json!({"events": {"table": "src.events/hr=23", "query": {
        "selects": {"user": "user", "amount": "amount"},
        "wheres": ["ds > '20251231'"],
        "startPartition": FIRST,
        "timeColumn": "ts",
    }}});
    let group_by = json!({
        "metaData": {"name": "team.spend.v1", "team": "team", "outputNamespace": "out"},
        "sources": [source],
        "keyColumns": ["user"],
        "aggregations": [{"inputColumn": "amount", "operation": 7, "argMap": {}}],
        "accuracy": 1,
        "backfillStartDate": FIRST,
    });
    let path = "production/group_bys/team/spend.v1";
    workspace.write(path, &group_by.to_string());
    let join = json!({
        "metaData": {"name": "team.train.v1", "team": "team", "outputNamespace": "out"},
        "left": {"events": {"table": "src.events", "query": {
            "selects": {"user": "user"},
            "startPartition": FIRST,
            "timeColumn": "ts",
        }}},
        "joinParts": [{"groupBy": group_by}],
    });
    workspace.write("production/joins/team/train.v1", &join.to_string());
    workspace
}

#[test]
fn a_seed_that_is_not_loaded_yet_gates_with_all_of_its_partition_columns() {
    let workspace = unloaded(
        "u,1,1767229200000,2026-01-01,23\nu,1,1767315600000,2026-01-02,05\n",
        "string",
        "",
    );
    let plan = workspace.run(&["plan", "team.spend.v1"]).expect(0);
    shows(&plan, "run       2026-01-01 (1 day)");
    shows(&plan, "waits for src.events (source) 2026-01-02");
}

#[test]
fn the_sql_engine_reads_sources_in_their_own_format() {
    let rows = "u,1,1767229200000,20260101,23\nu,1,1767315600000,20260102,23\n";
    let workspace = unloaded(rows, "int", "");
    let text = "src.events has partitions, but none is a day of the form yyyy-MM-dd: ds=20260101";
    shows(&workspace.run(&["plan"]).expect(0), text);
    let check = workspace.run(&["check"]).expect(0);
    shows(&check, "partition_format = \"yyyyMMdd\"");
    let format = "[sources.\"src.events\"]\npartition_format = \"yyyyMMdd\"\n";
    let workspace = unloaded(rows, "int", format);
    shows(&workspace.run(&["check"]).expect(0), "no findings");
    let plan = workspace.run(&["plan"]).expect(0);
    shows(&plan, "days: 4 run, 2 waiting");
    let range = ["--start-ds", FIRST, "--end-ds", "2026-01-02"];
    for asset in [
        "group_by/team.spend.v1/backfill",
        "join/team.train.v1/backfill",
    ] {
        let mut args = vec!["sql", asset];
        args.extend(range);
        let script = workspace.run(&args).expect(0);
        shows(&script, "ds >= 20260101\n");
        shows(&script, "AND ds <= 20260102\n");
        shows(&script, "CONCAT(SUBSTR(CAST(ds AS STRING), 1, 4), '-'");
        // What the author wrote is about the column as it is.
        shows(&script, "(ds > '20251231')");
    }
}
