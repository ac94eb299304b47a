//! What a day waits for: dependencies, the tables of a query, and what cannot be told. And files with
//! errors, which stop nothing but themselves.

use std::{fs, os::unix::fs::symlink};

use chronon_run_core::{CatalogSnapshot, Partitions, RangeSet, TableName, TableState};

use crate::{
    staged::{FIRST, LAST, Staged, all_days, days},
    support::Screen,
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
fn what_a_query_waits_for_can_be_said_otherwise() {
    let staged = Staged::new(&[("one", &["lake.a"])]);
    queries(
        &staged,
        "SELECT * FROM {{ db }}.x JOIN lake.a JOIN lake.gone",
    );
    shows(
        &staged.run(&["check"]).expect(0),
        "`{{ … }}.x`, whose name has a macro",
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

#[test]
fn a_dependency_that_is_not_understood_excludes_its_conf_at_its_place() {
    let staged = Staged::new(&[("one", &["lake.a"]), ("two", &["lake.b"])]);
    for (text, why) in [
        ("ice.lake.a/ds={{ ds }}", "is in the catalog `ice`"),
        ("s3://bucket/a/ds={{ ds }}", "names a path"),
        ("lake.a/ds={{ dag_run.conf }}", "is not known"),
        ("lake.a/ds={{ ds }},hr=23", "is more than one template"),
        ("lake.a/ds=${ds}", "template of another kind"),
        ("lake.a ds={{ ds }}", "is not a table name"),
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
fn a_byte_order_mark_is_no_error() {
    let staged = Staged::new(&[("one", &["lake.a"])]);
    for file in [ONE, "teams.json", "workspace.toml"] {
        let text = staged.workspace.read(file);
        fs::write(staged.workspace.path(file), format!("\u{feff}{text}")).unwrap();
    }
    shows(&staged.run(&["check"]).expect(0), "no findings");
    staged.run(&["materialize"]).expect(0);
}
