//! Rows that come late or early, on a real Spark.

use serde_json::json;

use crate::support::{Screen, Workspace, repository};

fn has(screen: &Screen, line: &str) {
    assert!(screen.stdout.contains(line), "{}", screen.stdout);
}

/// Two confs whose day was first without rows, on a real Spark: the cases that were reported.
#[test]
fn rows_that_arrive_after_an_empty_day_are_filled_on_a_real_spark() {
    let mut example = Workspace::copy_of(&repository().join("tests/it/late_rows"));
    example.keep_spark();
    let settings = example.read("workspace.toml");
    example.run(&["materialize"]).expect(0);
    let empty = "2026-01-04 (1 day): known to have no rows";
    has(&example.run(&["plan"]).expect(0), empty);
    let data = example.read("data/src.events.csv");
    example.write(
        "data/src.events.csv",
        &format!("{data}u0,1000,1767488400000,2026-01-04\n"),
    );
    example.write(
        "workspace.toml",
        &settings.replace("empty_partitions = [\"2026-01-04\"]\n", ""),
    );
    let plan = example.run(&["plan"]).expect(0);
    has(
        &plan,
        "known to have no rows until now: src.events 2026-01-04 rewritten",
    );
    has(&plan, "out of date: src.events 2026-01-04 rewritten");
    example.run(&["materialize"]).expect(0);
    example.run(&["materialize", "--stale"]).expect(0);
    let plan = example.run(&["plan"]).expect(0);
    has(&plan, "days: 12 done\n");
    has(
        &example.run(&["status", "--stale"]).expect(0),
        "no filled day is known to be out of date",
    );
    statistics(&example);
}

/// On the first day, no row has an earlier event.
fn statistics(example: &Workspace) {
    example
        .run(&["materialize", "mode:stats-summary"])
        .expect(0);
    let status = example.run(&["status"]).expect(0);
    has(
        &status,
        "  join/shop.train.v1/stats-summary on 2026-01-04: 1 row, 3 in the mean of 3 days before\n",
    );
    has(&status, ": 0 % NULL, 33.33 % before\n");
    let json = example.run(&["status", "--output", "json"]).expect(0);
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    let found = &json["statistics"][0];
    assert_eq!(
        (&found["rows"], &found["days_before"]),
        (&json!(1), &json!(3))
    );
    assert_eq!(found["columns"][0]["share"], json!(0.0));
}

fn query(workspace: &Workspace, name: &str, query: &str) {
    let conf = serde_json::json!({
        "metaData": {
            "name": format!("shop.{name}"), "team": "shop", "outputNamespace": "shop_out",
            "dependencies": ["src.events/ds={{ ds }}"],
        },
        "query": query,
        "startPartition": "2026-01-01",
    });
    let path = format!("production/staging_queries/shop/{name}");
    workspace.write(&path, &conf.to_string());
}

/// The first fill of a table finds no row at all, and a query writes its days in another form.
#[test]
fn a_table_whose_first_days_have_no_rows_is_looked_at_again() {
    let mut example = Workspace::copy_of(&repository().join("tests/it/late_rows"));
    example.keep_spark();
    let days = "BETWEEN '{{ start_date }}' AND '{{ end_date }}'";
    let rare = format!("SELECT user, ds FROM src.events WHERE amount > 500 AND ds {days}");
    query(&example, "rare.v1", &rare);
    let form = "date_format(ds, 'yyyyMMdd') AS ds";
    query(
        &example,
        "nodash.v1",
        &format!("SELECT user, {form} FROM src.events WHERE ds {days}"),
    );
    let ended = example
        .run(&["materialize", "shop.rare.v1", "shop.nodash.v1"])
        .expect(1);
    let text = ended.text();
    assert!(text.contains("no rows on 2026-01-01..2026-01-04"), "{text}");
    let why = "the query wrote ds=20260101, which is no day of the form yyyy-MM-dd";
    assert!(text.contains(why), "{text}");
    let plan = example
        .run(&["plan", "shop.rare.v1", "shop.nodash.v1"])
        .expect(0);
    has(
        &plan,
        "2026-01-01..2026-01-04 (4 days): known to have no rows",
    );
    has(&plan, "days: 5 done, 3 run");
    let data = example.read("data/src.events.csv");
    example.write(
        "data/src.events.csv",
        &format!("{data}u0,1000,1767402000000,2026-01-03\n"),
    );
    example.run(&["materialize", "shop.rare.v1"]).expect(0);
    let rows = example.run(&["show", "shop.rare.v1@2026-01-03"]).expect(0);
    has(&rows, "u0");
}

/// A staging query that computes its day from its rows, one day at a time: late rows must not replace the
/// day that has them, early rows must not make a day that then counts as filled.
#[test]
fn a_staging_query_writes_only_the_days_of_its_step() {
    let mut workspace = Workspace::empty();
    workspace.write(
        "workspace.toml",
        "[workspace]\nrepo = \".\"\n\n[engine]\nkind = \"sql\"\n\n[catalog]\nkind = \"embedded\"\n\n\
         [seeds.\"lake.a\"]\npath = \"a.csv\"\npartition_by = [\"ds\"]\n\
         columns = { id = \"bigint\", day = \"string\", ds = \"string\" }\n",
    );
    workspace.keep_spark();
    workspace.write(
        "a.csv",
        "id,day,ds\n1,2026-01-01,2026-01-01\n2,2026-01-02,2026-01-01\n3,2026-01-01,2026-01-02\n4,2026-01-02,2026-01-02\n",
    );
    workspace.write("teams.json", r#"{"default": {"namespace": "out"}}"#);
    let conf = json!({
        "metaData": {"name": "t.q.v1", "team": "default", "outputNamespace": "out"},
        "query": "SELECT id, day AS ds FROM lake.a WHERE ds BETWEEN '{{ start_date }}' AND '{{ end_date }}'",
        "startPartition": "2026-01-01",
    });
    workspace.write("production/staging_queries/t/q.v1", &conf.to_string());
    for (day, left_out, id) in [
        ("2026-01-01", "1 row of 2026-01-02", "1"),
        ("2026-01-02", "1 row of 2026-01-01", "4"),
    ] {
        let run = workspace.run(&["materialize", "--as-of", day]).expect(0);
        assert!(run.stderr.contains(left_out), "{}", run.text());
        assert!(
            run.text().contains("filled 1 day of 1 table"),
            "{}",
            run.text()
        );
        let rows = ["show", "out.t_q_v1@2026-01-01", "--output", "csv"];
        has(&workspace.run(&rows).expect(0), "1,2026-01-01\n");
        let rows = ["show", &format!("out.t_q_v1@{day}"), "--output", "csv"];
        has(
            &workspace.run(&rows).expect(0),
            &format!("id,ds\n{id},{day}\n"),
        );
    }
}
