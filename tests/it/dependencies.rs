//! What a day waits for: dependencies, the tables of a query, and what cannot be told.

use chronon_run_core::{CatalogSnapshot, Column, Partitions, RangeSet, TableName, TableState};
use serde_json::json;

use crate::{
    staged::{FIRST, LAST, Staged, all_days, days},
    support::shows,
};

pub(crate) const ONE: &str = "production/staging_queries/team/one";

/// Replaces the dependencies of `team.one`.
pub(crate) fn depends(staged: &Staged, texts: &[&str]) {
    let mut conf: serde_json::Value = serde_json::from_str(&staged.workspace.read(ONE)).unwrap();
    conf["metaData"]["dependencies"] = texts.into();
    let text = serde_json::to_string_pretty(&conf).unwrap();
    staged.workspace.write(ONE, &text);
}

pub(crate) fn queries(staged: &Staged, query: &str) {
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
pub(crate) fn set(staged: &Staged, table: &str, others: &[(&str, &str)], days: &RangeSet) {
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
pub(crate) fn set_values(staged: &Staged, table: &str, values: &[&str]) {
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
fn dependencies_of_bootstraps_and_labels_are_read_too() {
    let staged = Staged::new(&[("one", &["lake.a"])]);
    staged.set_source("lake.ready", all_days());
    let join = |bootstrap: &str, label: &str| {
        let conf = json!({
            "metaData": {"name": "team.j", "team": "team", "outputNamespace": "out"},
            "left": {"events": {"table": "lake.a", "query": {
                "selects": {"x": "x"}, "startPartition": FIRST, "timeColumn": "ts",
            }}},
            "joinParts": [], "rowIds": ["x"],
            "bootstrapParts": [{
                "metaData": {"name": "b", "dependencies": [bootstrap]},
                "table": "lake.ready", "query": {"selects": {"x": "x"}},
            }],
            "labelPart": {"labels": [], "metaData": {"name": "l", "dependencies": [label]}},
        });
        let path = "production/joins/team/j";
        staged.workspace.write(path, &conf.to_string());
    };
    join("ops.signals/ds={{ ds }}", "lake.a/ds={{ ds }}");
    shows(
        &staged.run(&["plan", "team.j"]).expect(0),
        "waits for ops.signals (dependency) 2026-01-01..2026-01-03, which does not exist",
    );
    join("lake.a/ds={{ x }}", "lake.a/ds={{ y }}");
    let checked = staged.run(&["check"]).expect(2);
    for name in ["x", "y"] {
        shows(
            &checked,
            &format!("the template `{{{{ {name} }}}}` is not known"),
        );
    }
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

/// Partitions of a table whose partition columns are `columns`.
pub(crate) fn set_rows(staged: &Staged, table: &str, columns: &[&str], rows: &[&[&str]]) {
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

/// Its days only make what reads it stale.
#[test]
fn a_table_that_dependencies_leave_out_is_shown_as_not_waited_for() {
    let staged = Staged::new(&[("one", &["lake.a", "lake.b"])]);
    depends(&staged, &["lake.a/ds={{ ds }}"]);
    staged.set_source("lake.b", days(FIRST, "2026-01-02"));
    let explained = staged.run(&["plan", "--explain", &format!("team.one@{LAST}")]);
    let explained = explained.expect(0);
    shows(&explained, "run: ");
    shows(&explained, "lake.a (dependency)");
    shows(
        &explained,
        "lake.b (read by the query, not waited for)\n    needs    ds 2026-01-03\n    missing  2026-01-03",
    );
    staged.run(&["materialize"]).expect(0);
    assert_eq!(staged.filled("one"), all_days());
}
