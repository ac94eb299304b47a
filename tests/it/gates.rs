//! What a day waits for: dependencies, the tables of a query, and what cannot be told. And files with
//! errors, which stop nothing but themselves.

use std::{fs, os::unix::fs::symlink};

use chronon_run_core::{CatalogSnapshot, Column, Partitions, RangeSet, TableName, TableState};
use serde_json::json;

use crate::{
    staged::{FIRST, LAST, Staged, all_days, days},
    support::{Screen, Workspace},
};

const ONE: &str = "production/staging_queries/team/one";

/// Replaces the dependencies of `team.one`.
fn depends(staged: &Staged, texts: &[&str]) {
    let mut conf: serde_json::Value = serde_json::from_str(&staged.workspace.read(ONE)).unwrap();
    conf["metaData"]["dependencies"] = texts.into();
    let text = serde_json::to_string_pretty(&conf).unwrap();
    staged.workspace.write(ONE, &text);
}

fn queries(staged: &Staged, query: &str) {
    let mut conf: serde_json::Value = serde_json::from_str(&staged.workspace.read(ONE)).unwrap();
    conf["metaData"]
        .as_object_mut()
        .unwrap()
        .remove("dependencies");
    conf["query"] = query.into();
    let text = serde_json::to_string_pretty(&conf).unwrap();
    staged.workspace.write(ONE, &text);
}

/// Days of a table with further partition columns.
fn set(staged: &Staged, table: &str, others: &[(&str, &str)], days: &RangeSet) {
    let mut catalog: CatalogSnapshot =
        serde_json::from_str(&staged.workspace.read("catalog.json")).unwrap();
    let table: TableName = table.parse().unwrap();
    let state = catalog.tables.entry(table).or_default();
    let state = state.get_or_insert_with(TableState::default);
    let partitions = state.partitions.entry("ds".to_owned()).or_default();
    let others: Vec<(String, String)> = others
        .iter()
        .map(|(column, value)| ((*column).to_owned(), (*value).to_owned()))
        .collect();
    partitions.insert(&others, days);
    let text = serde_json::to_string(&catalog).unwrap();
    staged.workspace.write("catalog.json", &text);
}

/// Partitions of `ds` with these values, in whatever format.
fn set_values(staged: &Staged, table: &str, values: &[&str]) {
    let mut catalog: CatalogSnapshot =
        serde_json::from_str(&staged.workspace.read("catalog.json")).unwrap();
    let rows: Vec<Vec<String>> = values.iter().map(|v| vec![(*v).to_owned()]).collect();
    let partitions = Partitions::along("ds", &["ds".to_owned()], &rows);
    let mut state = TableState::default();
    state.partitions.insert("ds".to_owned(), partitions);
    catalog.tables.insert(table.parse().unwrap(), Some(state));
    let text = serde_json::to_string(&catalog).unwrap();
    staged.workspace.write("catalog.json", &text);
}

fn shows(screen: &Screen, text: &str) {
    assert!(
        screen.text().contains(text),
        "no {text:?} in\n{}",
        screen.text()
    );
}

#[test]
fn a_query_without_dependencies_waits_for_the_tables_of_its_sql() {
    let staged = Staged::new(&[("one", &["lake.a", "lake.b"])]);
    queries(
        &staged,
        "WITH a AS (SELECT * FROM lake.a -- FROM lake.c\n) SELECT * FROM a JOIN `lake`.`b` b ON a.x = b.x LATERAL VIEW explode(b.y) AS y WHERE ds BETWEEN '{{ start_date }}' AND '{{ end_date }}'",
    );
    staged.set_source("lake.b", days(FIRST, "2026-01-02"));
    shows(
        &staged.run(&["check"]).expect(0),
        "waits for that day of lake.a, lake.b",
    );
    shows(
        &staged.run(&["materialize"]).expect(3),
        "waits for lake.b (read by the query) 2026-01-03",
    );
    assert_eq!(staged.filled("one"), days(FIRST, "2026-01-02"));
    staged.set_source("lake.b", all_days());
    staged.run(&["materialize"]).expect(0);
    assert_eq!(staged.filled("one"), all_days());
}

#[test]
fn a_query_of_the_newest_day_says_that_it_waits_for_no_day() {
    let staged = Staged::new(&[("one", &["lake.a"])]);
    let newest = "SELECT * FROM lake.a WHERE ds = '{{ max_date(table=lake.a) }}'";
    staged.set_source("lake.a", days(FIRST, "2026-01-02"));
    queries(&staged, newest);
    shows(
        &staged.run(&["check"]).expect(0),
        "no day of lake.a is waited for, of which it reads the newest (`max_date`)",
    );
    shows(&staged.run(&["plan"]).expect(0), "days: 3 run");
    let both = format!("{newest} UNION ALL SELECT * FROM lake.a WHERE ds = '{{{{ end_date }}}}'");
    queries(&staged, &both);
    shows(
        &staged.run(&["plan"]).expect(0),
        "waits for lake.a (read by the query) 2026-01-03",
    );
}

#[test]
fn what_a_query_waits_for_can_be_said_otherwise() {
    let staged = Staged::new(&[("one", &["lake.a"])]);
    queries(&staged, "SELECT * FROM ice.db.x JOIN lake.a JOIN lake.gone");
    shows(
        &staged.run(&["check"]).expect(0),
        "`ice.db.x`, which is in another catalog",
    );
    staged.run(&["materialize"]).expect(3);
    let toml = staged.workspace.read("workspace.toml");
    let own = "\n[[override]]\nselect = \"team.one\"\ndependencies = [\"lake.a/ds={{ ds }}\"]\n";
    staged.workspace.write("workspace.toml", &(toml + own));
    let checked = staged.run(&["check"]).expect(0);
    assert!(
        !checked.text().contains("dependencies"),
        "{}",
        checked.text()
    );
    staged.run(&["materialize"]).expect(0);
}

#[test]
fn a_query_over_what_it_feeds_does_not_stop_anything() {
    let staged = Staged::new(&[("one", &["lake.a"]), ("two", &["out.team_one"])]);
    queries(
        &staged,
        "SELECT * FROM lake.a LEFT JOIN out.team_two LEFT JOIN out.team_one",
    );
    shows(
        &staged.run(&["check"]).expect(0),
        "team.one reads out.team_two, which is filled from it",
    );
    staged.run(&["materialize"]).expect(0);
    assert_eq!(staged.filled("two"), all_days());
}

#[test]
fn airflows_templates_and_sub_partitions_gate() {
    let staged = Staged::new(&[("one", &["lake.a"])]);
    depends(
        &staged,
        &[
            "`lake`.`hours`/ds={{ ds }}/hr=23",
            "lake.days/ds={{ macros.ds_format(yesterday_ds, '%Y-%m-%d', '%Y%m%d') }}",
            "spark_catalog.lake.a/ds={{ data_interval_end | ds }}",
        ],
    );
    set(&staged, "lake.hours", &[("hr", "22")], &all_days());
    set(
        &staged,
        "lake.hours",
        &[("hr", "23")],
        &days(FIRST, "2026-01-02"),
    );
    set_values(&staged, "lake.days", &["20251231", "20260101", "20260102"]);
    staged.set_source("lake.a", days(FIRST, "2026-01-04"));
    shows(
        &staged.run(&["plan"]).expect(0),
        "waits for lake.hours (dependency) 2026-01-03",
    );
    staged.run(&["materialize"]).expect(3);
    assert_eq!(staged.filled("one"), days(FIRST, "2026-01-02"));
    set(&staged, "lake.hours", &[("hr", "23")], &all_days());
    staged.run(&["materialize"]).expect(0);
    assert_eq!(staged.filled("one"), days(FIRST, LAST));
}

/// A GroupBy over `lake.a` with these dependencies.
fn group_by(staged: &Staged, dependencies: &[&str]) {
    let conf = json!({
        "metaData": {
            "name": "team.g", "team": "team", "outputNamespace": "out", "dependencies": dependencies,
        },
        "sources": [{"events": {"table": "lake.a", "query": {
            "selects": {"x": "x"}, "startPartition": FIRST, "timeColumn": "ts",
        }}}],
        "keyColumns": ["x"],
        "aggregations": [{"inputColumn": "x", "operation": 7, "windows": [{"length": 1, "timeUnit": 1}]}],
        "accuracy": 1,
        "backfillStartDate": FIRST,
    });
    let path = "production/group_bys/team/g";
    staged.workspace.write(path, &conf.to_string());
}

#[test]
fn a_dependency_with_a_derived_name_and_a_partition_of_its_own_gates() {
    let staged = Staged::new(&[("one", &["lake.a"])]);
    let derived = |spec: &str| {
        let entry = json!({"name": "wait_for_lake.a_ds", "spec": spec, "start": null, "end": null});
        entry.to_string()
    };
    group_by(&staged, &[&derived("lake.a/ds={{ ds }}")]);
    let plan = staged.run(&["plan", "team.g"]).expect(0);
    shows(&plan, "days: 3 run");
    group_by(&staged, &[&derived("lake.a/ds={{ ds }}/hr=23")]);
    let plan = staged.run(&["plan", "team.g"]).expect(0);
    shows(&plan, "days: 3 waiting");
    group_by(&staged, &["ops.signals/ds={{ ds }}"]);
    shows(
        &staged.run(&["plan", "team.g"]).expect(0),
        "waits for ops.signals (dependency) 2026-01-01..2026-01-03, which does not exist",
    );
}

#[test]
fn a_template_in_another_form_than_the_partitions_stops_no_reader() {
    let staged = Staged::new(&[("one", &["lake.a"]), ("two", &["lake.a"])]);
    depends(&staged, &["lake.a/ds={{ ds.replace('-', '') }}"]);
    staged.set_source("lake.a", days(FIRST, "2026-01-02"));
    let text = "the template of a dependency on lake.a writes yyyyMMdd";
    shows(&staged.run(&["check"]).expect(0), text);
    shows(&staged.run(&["plan"]).expect(0), text);
    staged.run(&["materialize"]).expect(3);
    assert_eq!(staged.filled("one"), days(FIRST, "2026-01-02"));
    assert_eq!(staged.filled("two"), days(FIRST, "2026-01-02"));
    // Where partitions are written like that, the template tells so.
    set_values(&staged, "lake.a", &["20260101", "20260102", "20260103"]);
    let checked = staged.run(&["check"]).expect(0);
    assert!(!checked.text().contains(text), "{}", checked.text());
    staged.run(&["materialize"]).expect(0);
    assert_eq!(staged.filled("two"), all_days());
}

#[test]
fn a_dependency_that_is_not_understood_excludes_its_conf_at_its_place() {
    let staged = Staged::new(&[("one", &["lake.a"]), ("two", &["lake.b"])]);
    for (text, why) in [
        ("ice.lake.a/ds={{ ds }}", "is in the catalog `ice`"),
        ("s3://bucket/a/ds={{ ds }}", "names a path"),
        ("lake.a/ds={{ dag_run.conf }}", "is not known"),
        ("lake.a/ds={{ ds }},hr=23", "is a template with other text"),
        ("lake.a/ds=${ds}", "template of another kind"),
        ("lake.a ds={{ ds }}", "a template that is not known"),
    ] {
        depends(&staged, &["lake.a/ds={{ ds }}", text]);
        let checked = staged.run(&["check"]).expect(2);
        shows(&checked, why);
        shows(&checked, &format!("--> {ONE}:"));
        let plan = staged.run(&["plan"]).expect(0);
        shows(&plan, "excluded  the dependency is not understood");
        shows(&plan, "run       2026-01-01..2026-01-03 (3 days)");
    }
    let ended = staged.run(&["materialize"]).expect(2);
    shows(
        &ended,
        "left out, everything else is done: staging_query/team.one/backfill",
    );
    assert_eq!(staged.started(), ["two"]);
    staged
        .run(&["materialize", "--exclude", "team.one"])
        .expect(0);
    staged.run(&["materialize", "team.two"]).expect(0);
    staged.run(&["materialize", "team.one"]).expect(2);
}

#[test]
fn stray_files_and_unreadable_confs_stop_only_themselves() {
    let staged = Staged::new(&[
        ("one", &["lake.a"]),
        ("two", &["lake.b"]),
        ("three", &["out.team_bad"]),
    ]);
    let workspace = &staged.workspace;
    let folder = "production/staging_queries/team";
    let conf = workspace.read(ONE);
    for stray in [
        "one~",
        "README.md",
        ".DS_Store",
        "one.swp",
        "#one#",
        "one.orig",
        "LICENSE",
    ] {
        workspace.write(&format!("{folder}/{stray}"), &conf);
    }
    symlink(
        workspace.path("production"),
        workspace.path(&format!("{folder}/up")),
    )
    .unwrap();
    shows(&staged.run(&["check"]).expect(0), "stray-file");
    staged
        .run(&["materialize", "--exclude", "team.three"])
        .expect(0);
    assert_eq!(staged.filled("one"), all_days());

    symlink("nowhere", workspace.path(&format!("{folder}/broken"))).unwrap();
    symlink("loop", workspace.path(&format!("{folder}/loop"))).unwrap();
    workspace.write(&format!("{folder}/half"), &conf[..conf.len() / 2]);
    workspace.write(&format!("{folder}/copy"), &conf);
    let bad = conf
        .replace("team.one", "team.bad")
        .replace("\"out\"", "\"cat.out\"");
    workspace.write(&format!("{folder}/bad"), &bad);
    workspace.write(
        "teams.json",
        r#"{"default": {"namespace": "out"}, "team": {}}"#,
    );
    for args in [
        vec!["ls"],
        vec!["plan"],
        vec!["status"],
        vec!["runs"],
        vec!["plan", "team.one"],
    ] {
        shows(
            &staged.run(&args).expect(0),
            "5 confs with errors will not be filled",
        );
    }
    for name in ["broken", "loop", "half", "copy", "bad"] {
        shows(
            &staged.run(&["check"]).expect(2),
            &format!("{folder}/{name}"),
        );
    }
    staged.set_source("lake.b", days(FIRST, LAST));
    let ended = staged.run(&["materialize"]).expect(2);
    shows(
        &ended,
        &format!("left out, everything else is done: {folder}/bad"),
    );
    assert_eq!(staged.filled("two"), all_days());
    staged.run(&["materialize", "team.one"]).expect(0);
    shows(
        &staged.run(&["materialize", "team.half"]).expect(2),
        "production/staging_queries/team/half has errors",
    );
    let left =
        ["broken", "loop", "half", "copy", "bad"].map(|name| format!("path:{folder}/{name}"));
    let mut args = vec!["materialize", "--exclude", "team.three"];
    left.iter()
        .for_each(|name| args.extend(["--exclude", name]));
    staged.run(&args).expect(0);
}

#[test]
fn a_byte_order_mark_is_no_error_and_other_encodings_are_named() {
    let staged = Staged::new(&[("one", &["lake.a"])]);
    for file in [ONE, "teams.json", "workspace.toml"] {
        let text = staged.workspace.read(file);
        fs::write(staged.workspace.path(file), format!("\u{feff}{text}")).unwrap();
    }
    shows(&staged.run(&["check"]).expect(0), "no findings");
    let plan = staged.workspace.path("plan.json");
    staged
        .run(&["plan", "--out", plan.to_str().unwrap()])
        .expect(0);
    let text = fs::read_to_string(&plan).unwrap();
    fs::write(&plan, format!("\u{feff}{text}")).unwrap();
    staged
        .run(&["materialize", "--plan", plan.to_str().unwrap()])
        .expect(0);
    assert_eq!(staged.filled("one"), all_days());
    fs::write(staged.workspace.path("teams.json"), b"\xff\xfe{\0}\0").unwrap();
    shows(
        &staged.run(&["check"]).expect(2),
        "the file is not UTF-8 text",
    );
}

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
    shows(&staged.run(&["check"]).expect(2), "does not sort by day");
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

/// Partitions of a table whose partition columns are `columns`.
fn set_rows(staged: &Staged, table: &str, columns: &[&str], rows: &[&[&str]]) {
    let names: Vec<String> = columns.iter().map(|&name| name.to_owned()).collect();
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| row.iter().map(|&value| value.to_owned()).collect())
        .collect();
    let mut catalog: CatalogSnapshot =
        serde_json::from_str(&staged.workspace.read("catalog.json")).unwrap();
    let mut state = TableState::default();
    for name in &names {
        state.info.partition_columns.push(Column {
            name: name.clone(),
            data_type: "string".to_owned(),
        });
        let partitions = Partitions::along(name, &names, &rows);
        state.partitions.insert(name.clone(), partitions);
    }
    catalog.tables.insert(table.parse().unwrap(), Some(state));
    let text = serde_json::to_string(&catalog).unwrap();
    staged.workspace.write("catalog.json", &text);
}

#[test]
fn a_query_waits_for_the_days_of_a_table_whatever_its_partition_column_is_called() {
    let staged = Staged::new(&[("one", &["lake.a"])]);
    queries(&staged, "SELECT *, dt AS ds FROM lake.dt JOIN lake.regions");
    set_rows(
        &staged,
        "lake.dt",
        &["region", "dt"],
        &[&["eu", FIRST], &["us", "2026-01-02"]],
    );
    set_rows(&staged, "lake.regions", &["region"], &[&["eu"]]);
    shows(
        &staged.run(&["check"]).expect(0),
        "team.one reads lake.regions, without partitions by day",
    );
    shows(
        &staged.run(&["materialize"]).expect(3),
        "waits for lake.dt (read by the query) 2026-01-03",
    );
    assert_eq!(staged.filled("one"), days(FIRST, "2026-01-02"));
    // Values in another form are no reason to go on without them.
    set_rows(&staged, "lake.dt", &["dt"], &[&["20260103"]]);
    let waits = staged.run(&["materialize"]).expect(3);
    shows(&waits, "none is a day of the form yyyy-MM-dd: dt=20260103");
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

#[test]
fn tables_of_iceberg_and_delta_are_named() {
    let staged = Staged::new(&[("one", &["lake.a"])]);
    for (key, value, shown) in [
        ("table_type", "ICEBERG", "lake.a is an Iceberg table"),
        (
            "spark.sql.sources.provider",
            "delta",
            "lake.a is a Delta table",
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

#[test]
fn the_path_of_a_conf_selects_it() {
    let staged = Staged::new(&[("one", &["lake.a"]), ("two", &["lake.b"])]);
    let absolute = staged.workspace.path(ONE);
    for path in [
        ONE,
        "./production/staging_queries/team/one",
        "staging_queries/team/one",
        "team/one",
        absolute.to_str().unwrap(),
    ] {
        let plan = staged.run(&["plan", path]).expect(0);
        shows(&plan, "staging_query/team.one/backfill");
        assert!(!plan.text().contains("team.two"), "{}", plan.text());
    }
    // From a folder below, as a shell completes it.
    let team = "production/staging_queries/team";
    let plan = staged.run(&["-C", team, "plan", "one"]).expect(0);
    assert!(!plan.text().contains("team.two"), "{}", plan.text());
    let folder = staged.workspace.path(team);
    for path in [
        team,
        "production/staging_queries/",
        "production/staging_queries/team/*",
        "staging_queries/team/",
        folder.to_str().unwrap(),
    ] {
        let plan = staged.run(&["plan", path]).expect(0);
        shows(&plan, "staging_query/team.one/backfill");
        shows(&plan, "staging_query/team.two/backfill");
    }
    staged.run(&["plan", "production/joins/"]).expect(2);
    let plan = staged.run(&["plan", "--exclude", ONE]).expect(0);
    assert!(!plan.text().contains("team.one"), "{}", plan.text());
    // What excludes nothing is said: it may be a typing error.
    let plan = staged.run(&["plan", "--exclude", "team.gone"]).expect(0);
    shows(&plan, "warning: `--exclude team.gone` matches no asset");
}

#[test]
fn fields_of_another_meaning_are_not_passed_over() {
    let staged = Staged::new(&[("one", &["lake.a"]), ("two", &["lake.b"])]);
    let text = staged.workspace.read(ONE);
    for (field, fails) in [
        (
            "\"tableDependencies\": [{\"tableInfo\": {\"table\": \"x.y\"}}],",
            true,
        ),
        ("\"engineType\": 1,", true),
        ("\"partitionFormat\": \"yyyyMMdd\",", true),
        (
            "\"partitionInterval\": {\"length\": 1, \"timeUnit\": 0},",
            true,
        ),
        (
            "\"engineType\": 0, \"partitionFormat\": \"yyyy-MM-dd\", \"tableDependencies\": [],",
            false,
        ),
    ] {
        staged
            .workspace
            .write(ONE, &text.replacen('{', &format!("{{{field}"), 1));
        let checked = staged.run(&["check"]).expect(if fails { 2 } else { 0 });
        assert_eq!(
            checked.text().contains("Zipline's fork"),
            fails,
            "{}",
            checked.text()
        );
    }
    let settings = "\"metaData\": {\"executionInfo\": {\"scheduleCron\": \"0 3 * * *\"},";
    let with_settings = text.replacen("\"metaData\": {", settings, 1);
    staged.workspace.write(ONE, &with_settings);
    shows(&staged.run(&["check"]).expect(0), "foreign-settings");
    let empty = crate::support::Workspace::empty();
    empty.write("teams.py", "");
    empty.write("compiled/joins/team/x", "{}");
    shows(&empty.run(&["init"]).expect(2), "a repo of Zipline");
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
