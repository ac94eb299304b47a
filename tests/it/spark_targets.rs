//! A feature is edited and filled in a target with a real Spark, compared with production, and dropped.

use std::{collections::BTreeSet, fs};

use serde_json::{Value, json};

use crate::{
    support::{Screen, Workspace},
    ui::Ui,
    widths::ending,
};

const SETTINGS: &str = r#"[workspace]
as_of = "2026-01-03"

[seeds."lake.orders"]
path = "orders.csv"
columns = { user = "bigint", amount = "double", ds = "string" }

[targets.dev]
namespace = "dev_{namespace}"

[hooks]
on_failure = ["tee", "failure.json"]

[[check]]
select = "team.orders"
name = "orders"
min_rows = 1
max_null_share = { user = 0.2 }
unique = ["user"]
accepted = { amount = [10.0, 20.0, 30.0, 40.0, 60.0, 5.0, 7.0, 14.0, 9.0] }

[[check]]
select = "team.spend"
name = "growth"
on_fail = "warn"
max_change = 0.1
"#;
const ORDERS: &str = "user,amount,ds\n1,10,2026-01-02\n2,20,2026-01-02\n3,30,2026-01-02\n1,5,2026-01-03\n2,7,2026-01-03\n";
const QUERY: &str = "SELECT user, amount * 1.0 AS amount, ds FROM lake.orders WHERE ds BETWEEN '{{ start_date }}' AND '{{ end_date }}'";

fn workspace() -> Workspace {
    let workspace = Workspace::empty();
    workspace.write("teams.json", r#"{"default": {}, "team": {}}"#);
    workspace.write("workspace.toml", SETTINGS);
    workspace.write("orders.csv", ORDERS);
    let orders = json!({
        "metaData": {"name": "team.orders", "team": "team", "outputNamespace": "out",
            "dependencies": ["lake.orders/ds={{ ds }}"]},
        "query": QUERY, "startPartition": "2026-01-02",
    });
    let spend = json!({
        "metaData": {"name": "team.spend", "team": "team", "outputNamespace": "out"},
        "sources": [{"events": {"table": "out.team_orders", "query": {
            "selects": {"user": "user", "amount": "amount"},
            "startPartition": "2026-01-02", "timeColumn": "unix_timestamp(ds, 'yyyy-MM-dd') * 1000"}}}],
        "keyColumns": ["user"],
        "aggregations": [{"inputColumn": "amount", "operation": 7, "windows": [{"length": 2, "timeUnit": 1}]}],
        "accuracy": 1, "backfillStartDate": "2026-01-02",
    });
    let folder = "production/staging_queries/team/orders";
    workspace.write(folder, &serde_json::to_string_pretty(&orders).unwrap());
    let folder = "production/group_bys/team/spend";
    workspace.write(folder, &serde_json::to_string_pretty(&spend).unwrap());
    workspace
}

fn parsed(screen: Screen, code: i32) -> Value {
    serde_json::from_str(&screen.expect(code).stdout).unwrap()
}

#[test]
fn an_edit_is_tried_in_a_target_and_compared_with_production() {
    let mut workspace = workspace();
    workspace.keep_spark();
    workspace.run(&["materialize"]).expect(0);
    let before = workspace
        .run(&["show", "team.spend", "--output", "csv"])
        .expect(0)
        .stdout;

    let conf = "production/staging_queries/team/orders";
    workspace.edit(conf, "amount * 1.0", "amount * 2.0");
    an_edit_is_compared_before_anything_is_filled(&workspace);
    workspace.write("keys.csv", "user\n1\n2\n");
    let fill = [
        "materialize",
        "team.orders",
        "team.spend",
        "--target",
        "dev",
        "--keys",
        "keys.csv",
    ];
    let filled = workspace.run(&fill).expect(0);
    assert!(filled.stderr.contains("sample: 2 keys (user)\n  from the target: dev_out.team_orders\n  from sources: lake.orders"), "{}", filled.text());
    let shown = workspace
        .run(&["show", "dev_out.team_spend", "--output", "csv"])
        .expect(0);
    assert_eq!(shown.stdout.lines().count(), 3, "{}", shown.text());
    // Days of all keys are not added to those of some.
    let other = workspace.run(&[
        "materialize",
        "team.spend",
        "--target",
        "dev",
        "--recompute",
        "--yes",
    ]);
    assert!(
        other
            .expect(2)
            .stderr
            .contains("holds a sample (2 keys (user)")
    );

    let compare = [
        "compare",
        "team.spend@2026-01-03",
        "--target",
        "dev",
        "--exit-code",
        "--output",
        "json",
    ];
    let found = parsed(workspace.run(&compare), 1);
    let expected = json!({"left": "out.team_spend on 2026-01-03", "right": "dev_out.team_spend on 2026-01-03",
        "keys": ["user"], "only_left": 1, "only_right": 0, "both": 2, "different": 2,
        "columns": [{"column": "amount_sum_2d", "different": 2, "null_left": 0, "null_right": 0, "max_difference": 27.0, "mean_difference": 21.0}]});
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(found[name], *value, "{name}: {found}");
    }
    let examples = found["examples"].as_array().unwrap();
    assert!(examples.contains(&json!({"side": "both", "keys": {"user": "1"}, "values": {"amount_sum_2d": ["15.0", "30.0"]}})), "{found}");
    for width in [50, 80] {
        let compare = [&compare[..4], &["--exit-code"]].concat();
        let shown = ending(&workspace, width, &compare, 1);
        assert!(shown.contains("greatest difference\n"), "{shown}");
        assert_eq!(shown.contains("mean difference  "), width == 80, "{shown}");
    }
    let several = parsed(
        workspace.run(&[
            "compare",
            "team.spend",
            "--target",
            "dev",
            "--start-ds",
            "2026-01-02",
            "--output",
            "json",
        ]),
        0,
    );
    assert_eq!(several["keys"], json!(["user", "ds"]), "{several}");
    assert_eq!(
        (&several["both"], &several["only_left"]),
        (&json!(4), &json!(2))
    );
    assert_eq!(several["columns"][0]["different"], 4, "{several}");
    let repeated = [
        "compare",
        "out.team_orders@2026-01-03",
        "out.team_orders@2026-01-02",
        "--on",
        "ds",
    ];
    assert!(
        workspace
            .run(&repeated)
            .expect(2)
            .stderr
            .contains("`ds` holds the day of out.team_orders")
    );

    // Production is as it was.
    let after = workspace
        .run(&["show", "team.spend", "--output", "csv"])
        .expect(0)
        .stdout;
    assert_eq!(before, after);
    let listed = parsed(workspace.run(&["target", "list", "--output", "json"]), 0);
    assert_eq!(
        listed["targets"][0]["tables"],
        json!(["dev_out.team_orders", "dev_out.team_spend"])
    );
    let asked = workspace.run(&["target", "drop", "dev"]);
    assert!(asked.expect(2).stderr.contains("dev_out.team_spend"));
    workspace.run(&["target", "drop", "dev", "--yes"]).expect(0);
    let listed = parsed(workspace.run(&["target", "list", "--output", "json"]), 0);
    assert_eq!(listed["targets"][0]["tables"], json!([]));
    assert!(!workspace.path(".chronon-run/targets/dev").exists());
    let left = workspace
        .run(&["show", "team.spend", "--output", "csv"])
        .expect(0)
        .stdout;
    assert_eq!(before, left);

    workspace.edit(conf, "amount * 2.0", "amount * 1.0");
    a_flood_of_nulls(&workspace);
}

/// The first days of assets: of a seed that is not loaded yet, and of a table that another asset has filled.
fn a_first_plan_says_what_its_steps_read(workspace: &Workspace, orders: &str) {
    let reads = |name: &str| {
        let plan = parsed(workspace.run(&["plan", name, "--output", "json"]), 0);
        plan["estimates"]["steps"][0]["reads"].clone()
    };
    let rows = json!({"bytes": orders.len(), "input_days": 2, "known_days": 2});
    assert_eq!(reads("team.features"), rows);
    assert_eq!(reads("team.copy"), Value::Null);
    workspace.run(&["materialize", "team.features"]).expect(0);
    let copy = reads("team.copy");
    assert_eq!(copy["known_days"], 2, "{copy}");
    assert!(copy["bytes"].as_u64() > Some(500), "{copy}");
    let text = workspace.run(&["plan", "team.copy"]).expect(0).stdout;
    assert!(text.contains("kB of 2 input days"), "{text}");
}

/// The keys of the join's conf on either side, whatever the order of a map's entries; a staging query need not
/// have all of its columns.
fn a_join_is_compared_with_what_it_replaces(workspace: &Workspace) {
    let days = ["--start-ds", "2026-01-02", "--end-ds", "2026-01-03"];
    let compare = |of: [&str; 2], more: &[&str], code: i32| {
        let args = ["compare", of[0], of[1], "--exit-code", "--output", "json"];
        parsed(workspace.run(&[&args, &days[..], more].concat()), code)
    };
    let found = compare(["team.features", "team.copy"], &[], 1);
    assert_eq!(found["keys"], json!(["id"]));
    assert_eq!(
        (&found["both"], &found["different"]),
        (&json!(39), &json!(0))
    );
    assert_eq!(found["columns_only_right"], json!(["t", "n", "m"]));
    assert_eq!(found["columns_only_left"], json!([]));
    let ignored = found["columns_ignored"].as_array().unwrap();
    assert!(ignored.contains(&json!("buyer")), "{found}");
    let turned = compare(["team.copy", "team.features"], &["--columns", "ds"], 0);
    assert_eq!(turned["keys"], json!(["id"]));

    let other = compare(["team.copy", "team.other"], &["--on", "id"], 1);
    let column = |name: &str| {
        let mut columns = other["columns"].as_array().unwrap().iter();
        columns
            .find(|column| column["column"] == name)
            .unwrap()
            .clone()
    };
    assert_eq!(
        column("m")["different"],
        0,
        "entries in another order: {other}"
    );
    assert_eq!(column("n")["different"], 39);
    assert_eq!(
        (&column("n")["null_left"], &column("n")["null_right"]),
        (&json!(0), &json!(1))
    );
    let types = json!([{"column": "t", "left": "bigint", "right": "string"}]);
    assert_eq!(
        (&other["types"], &column("t")["different"]),
        (&types, &json!(0)),
        "{other}"
    );

    let none = workspace.run(&[&["compare", "team.copy", "team.other"], &days[..]].concat());
    let none = none.expect(2).stderr;
    assert!(
        none.contains("the columns that identify a row are not known"),
        "{none}"
    );
    let both = [
        "compare",
        "team.copy@2026-01-02",
        "team.other",
        "--start-ds",
        "2026-01-02",
    ];
    let both = workspace.run(&both).expect(2).stderr;
    assert!(both.contains("a table is given with a day"), "{both}");
    let early = [
        "compare",
        "team.copy",
        "team.other",
        "--start-ds",
        "2025-01-02",
        "--end-ds",
        "2025-01-03",
    ];
    let early = workspace.run(&early).expect(3).stderr;
    assert!(
        early.contains("no day of out.team_copy in 2025-01-02..2025-01-03 is filled"),
        "{early}"
    );
}

/// A share of the keys with all rows of each, the same in every run and however the days are filled.
fn a_share_of_the_keys_is_taken(workspace: &Workspace, rows: &dyn Fn(&str) -> Vec<String>) {
    let fill = |more: &[&str]| {
        let args = ["materialize", "team.features", "--sample", "40%"];
        workspace.run(&[&args, more].concat())
    };
    let production = fill(&[]).expect(2).stderr;
    assert!(production.contains("--target"), "{production}");
    let filled = fill(&["--target", "one"]).expect(0).stderr;
    assert!(filled.contains("sample: 40%"), "{filled}");
    for ds in ["2026-01-03", "2026-01-02"] {
        fill(&["--target", "two", "--ds", ds]).expect(0);
    }
    let one = rows("one_out.team_features");
    assert_eq!(rows("two_out.team_features"), one);
    let all = rows("out.team_features");
    let at = all[0].split(',').position(|name| name == "buyer").unwrap();
    let buyer = |row: &String| row.split(',').nth(at).unwrap().to_owned();
    let taken: BTreeSet<String> = one[1..].iter().map(buyer).collect();
    let is_taken = |row: &&String| taken.contains(&buyer(row));
    let whole: Vec<String> = all[1..].iter().filter(is_taken).cloned().collect();
    assert_eq!(
        one[1..],
        whole,
        "all rows of the keys, with the values of production"
    );
    assert!((1..9).contains(&taken.len()), "{taken:?}");
    let properties = "SHOW TBLPROPERTIES one_out.team_features('chronon_run.sample')";
    let properties = workspace
        .run(&["query", properties, "--output", "csv"])
        .expect(0)
        .stdout;
    assert!(properties.contains("40%"), "{properties}");
}

/// The bytes of the input partitions, in text, JSON and a saved plan; nothing where no size is known.
fn a_plan_says_what_its_steps_read(workspace: &Workspace) {
    let plan = |more: &[&str]| {
        let args = ["plan", "team.copy", "--recompute"];
        workspace.run(&[&args, more].concat()).expect(0).stdout
    };
    let folder = workspace.path(".chronon-run/warehouse/out.db/team_features/ds=2026-01-03");
    let files = fs::read_dir(folder).unwrap().flatten();
    let rows = files.filter(|file| file.file_name().as_encoded_bytes().starts_with(b"part-"));
    let bytes: u64 = rows.map(|file| file.metadata().unwrap().len()).sum();
    let found: Value =
        serde_json::from_str(&plan(&["--ds", "2026-01-03", "--output", "json"])).unwrap();
    let estimates = &found["estimates"];
    let reads = json!({"bytes": bytes, "input_days": 1, "known_days": 1});
    assert_eq!(estimates["steps"][0]["reads"], reads, "{estimates}");
    assert_eq!(estimates["reads_bytes"], bytes);
    let text = plan(&["--out", "plan.json"]);
    let line = "reads, by the sizes of input partitions: ";
    assert!(
        text.contains(line) && text.contains("kB of 2 input days\n"),
        "{text}"
    );
    let saved = workspace
        .run(&["materialize", "--plan", "plan.json", "--yes"])
        .expect(0);
    assert!(
        saved.stderr.contains(line) && saved.stderr.contains("expected, by the last steps"),
        "{}",
        saved.text()
    );
}

/// The page reads the files of both days and has the figures that Spark has.
fn columns_are_shown_over_days(workspace: &Workspace) {
    let ui = Ui::serve(workspace.command(&["ui", "--port", "0"]));
    let page = ui.get("/columns/join~team.features~backfill", "");
    assert!(
        page.contains("The 2 newest filled days, 2026-01-02 to 2026-01-03"),
        "{page}"
    );
    let query = "SELECT ds, COUNT(DISTINCT buyer) AS buyers, AVG(id) AS mean, MAX(id) AS most FROM out.team_features GROUP BY ds ORDER BY ds";
    let found = workspace.run(&["query", query, "--output", "csv"]);
    let found = found.expect(0).stdout;
    let rows: Vec<Vec<&str>> = found
        .lines()
        .skip(1)
        .map(|row| row.split(',').collect())
        .collect();
    let buyers = rows.iter().map(|row| format!("{} {}", row[0], row[1]));
    let buyers: Vec<String> = buyers.collect();
    let words = format!("Distinct values of buyer: {}\"", buyers.join(", "));
    assert!(page.contains(&words), "{words}: {page}");
    let mean = |row: &Vec<&str>| format!("{} {:.3}", row[0], row[2].parse::<f64>().unwrap());
    let means: Vec<String> = rows.iter().map(mean).collect();
    let plain = |text: &String| text.trim_end_matches('0').trim_end_matches('.').to_owned();
    let means: Vec<String> = means.iter().map(plain).collect();
    assert!(
        page.contains(&format!("Mean of id: {}\"", means.join(", "))),
        "{means:?}: {page}"
    );
    let parts = format!("id in 12 equal parts from 1 to {}: ", rows[1][3]);
    assert!(page.contains(&parts), "{parts}: {page}");
    // A day column is the same everywhere, and an asset without days has no page of columns.
    assert!(!page.contains("Mean of ds"), "{page}");
    let none = ui.get("/columns/group_by~no.such~backfill", "");
    assert!(none.starts_with("HTTP/1.1 404"), "{none}");
}

/// Each day has the rows that production has for the first keys, whatever steps it is filled in.
#[test]
fn a_target_holds_the_first_left_rows_of_each_day() {
    let mut workspace = Workspace::empty();
    let orders: String = (0..40)
        .map(|at| format!("{at},{},{},2026-01-0{}\n", at % 9, at * 10, 2 + at % 2))
        .collect();
    workspace.write("orders.csv", &format!("id,user,amount,ds\n{orders}"));
    workspace.write("teams.json", r#"{"default": {}, "team": {}}"#);
    let settings = [
        "[workspace]\nas_of = \"2026-01-03\"\n",
        "[seeds.\"lake.orders\"]\npath = \"orders.csv\"\npartition_by = [\"ds\"]\n",
        "columns = { id = \"bigint\", user = \"bigint\", amount = \"double\", ds = \"string\" }\n",
        "[targets.dev]\nnamespace = \"dev_{namespace}\"\n[targets.days]\nnamespace = \"days_{namespace}\"\n",
        "[targets.one]\nnamespace = \"one_{namespace}\"\n[targets.two]\nnamespace = \"two_{namespace}\"\n",
    ];
    workspace.write("workspace.toml", &settings.concat());
    workspace.keep_spark();
    let source = |selects: Value| {
        json!({"events": {"table": "lake.orders", "query": {"selects": selects, "wheres": ["id <> 7"],
            "startPartition": "2026-01-02", "timeColumn": "unix_timestamp(ds, 'yyyy-MM-dd') * 1000 + id"}}})
    };
    let meta = |name: &str| json!({"name": name, "team": "team", "outputNamespace": "out"});
    let join = json!({
        "metaData": meta("team.features"),
        "left": source(json!({"id": "id", "buyer": "user"})),
        "joinParts": [{"keyMapping": {"buyer": "user"}, "groupBy": {
            "metaData": meta("team.spend"), "sources": [source(json!({"user": "user", "amount": "amount"}))],
            "keyColumns": ["user"], "accuracy": 1, "backfillStartDate": "2026-01-02",
            "aggregations": [{"inputColumn": "amount", "operation": 7, "windows": [{"length": 2, "timeUnit": 1}]}]}}],
        "rowIds": ["id"],
    });
    workspace.write("production/joins/team/features", &join.to_string());
    let copy = json!({
        "metaData": {"name": "team.copy", "team": "team", "outputNamespace": "out",
            "dependencies": ["out.team_features/ds={{ ds }}"]},
        "query": "SELECT id, buyer AS t, buyer AS n, map('a', id, 'b', 2) AS m, ds FROM out.team_features WHERE ds BETWEEN '{{ start_date }}' AND '{{ end_date }}'",
        "startPartition": "2026-01-02",
    });
    let queries = "production/staging_queries/team";
    workspace.write(&format!("{queries}/copy"), &copy.to_string());
    let other = copy.to_string();
    let other = other.replace("team.copy", "team.other");
    let other = other.replace("map('a', id, 'b', 2)", "map('b', 2, 'a', id)");
    let other = other.replace(
        "buyer AS t, buyer AS n",
        "CAST(buyer AS STRING) AS t, NULLIF(buyer + id + 1, 3) AS n",
    );
    workspace.write(&format!("{queries}/other"), &other);
    a_first_plan_says_what_its_steps_read(&workspace, &orders);
    workspace.run(&["materialize"]).expect(0);
    a_join_is_compared_with_what_it_replaces(&workspace);
    a_plan_says_what_its_steps_read(&workspace);
    columns_are_shown_over_days(&workspace);
    let limited = [
        "materialize",
        "team.features",
        "--limit-left",
        "5",
        "--target",
        "dev",
    ];
    let filled = workspace.run(&limited).expect(0);
    assert!(
        filled.stderr.contains("sample: 5 left rows of a day"),
        "{}",
        filled.text()
    );
    let by_day = [
        "materialize",
        "team.features",
        "--limit-left",
        "5",
        "--target",
        "days",
        "--ds",
    ];
    for ds in ["2026-01-03", "2026-01-02"] {
        workspace.run(&[&by_day[..], &[ds]].concat()).expect(0);
    }
    let rows = |table: &str| {
        let query = format!("SELECT * FROM {table} ORDER BY ds, id");
        let screen = workspace
            .run(&["query", &query, "--output", "csv"])
            .expect(0);
        screen.stdout.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let (all, dev) = (rows("out.team_features"), rows("dev_out.team_features"));
    assert_eq!((all.len(), dev.len()), (1 + 39, 1 + 10), "{dev:?}");
    assert!(dev.iter().all(|row| all.contains(row)), "{dev:?}");
    for ds in ["2026-01-02", "2026-01-03"] {
        assert_eq!(
            dev.iter().filter(|row| row.contains(ds)).count(),
            5,
            "{dev:?}"
        );
    }
    assert_eq!(rows("days_out.team_features"), dev);
    a_share_of_the_keys_is_taken(&workspace, &rows);
    let other = [
        "materialize",
        "team.features",
        "--limit-left",
        "6",
        "--target",
        "dev",
        "--recompute",
        "--yes",
    ];
    let other = workspace.run(&other).expect(2).stderr;
    assert!(
        other.contains("holds a sample (5 left rows of a day)"),
        "{other}"
    );
    a_half_written_day_is_named(&workspace);
}

/// One line that names the file and what to do, whichever command lets Spark read it.
fn a_half_written_day_is_named(workspace: &Workspace) {
    let folder = workspace.path(".chronon-run/warehouse/out.db/team_copy/ds=2026-01-03");
    let files = fs::read_dir(&folder).unwrap().flatten();
    let mut files = files.map(|file| file.path()).filter(|path| {
        let name = path.file_name().unwrap().as_encoded_bytes();
        name.starts_with(b"part-")
    });
    let file = files.next().unwrap();
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    let commands: [&[&str]; 2] = [
        &[
            "compare",
            "team.copy@2026-01-03",
            "team.other",
            "--on",
            "id",
        ],
        &["show", "team.copy@2026-01-03", "--where", "id > 0"],
    ];
    for command in commands {
        let screen = workspace.run(command).expect(2);
        let error = screen.stderr.lines().last().unwrap();
        let name = file.file_name().unwrap().to_str().unwrap();
        assert!(error.contains(name), "{}", screen.text());
        assert!(error.contains("half written"), "{}", screen.text());
    }
}

/// What the workspace's command has for a key, beside the row of the table.
fn a_key_is_shown_as_it_is_served(workspace: &Workspace) {
    let get = |more: &[&str]| {
        let args = ["show", "--online", "team.spend@2026-01-04"];
        workspace.run(&[&args, more].concat())
    };
    let none = get(&["--key", "user=4"]).expect(2).stderr;
    assert!(
        none.contains("no command reads the KV store") && none.contains("kv_get ="),
        "{none}"
    );
    workspace.edit(
        "workspace.toml",
        "[hooks]\n",
        "[hooks]\nkv_get = [\"tee\", \"asked.json\"]\n",
    );
    let found = parsed(get(&["--key", "user=4", "--output", "json"]), 0);
    let served = json!({"event": "get", "group_by": "team.spend", "dataset": "TEAM_SPEND_BATCH", "keys": {"user": 4}});
    assert_eq!(found["online"], served);
    assert_eq!(
        found["batch"],
        json!([{"user": 4, "amount_sum_2d": 9.0, "ds": "2026-01-04"}]),
        "{found}"
    );
    let text = get(&["--key", "user=77"]).expect(0).stdout;
    assert!(
        text.contains("batch 2026-01-04  no row of this key"),
        "{text}"
    );
    for (key, says) in [
        ("user=x", "`x` is no bigint, which the key `user` is"),
        ("usr=4", "`usr` is no key of team.spend; its keys are user"),
        ("user", "`user` is not NAME=VALUE"),
    ] {
        let screen = get(&["--key", key]).expect(2);
        assert!(screen.stderr.contains(says), "{}", screen.text());
    }
    let twice = get(&["--key", "user=4", "--key", "user=5"]).expect(2);
    assert!(twice.stderr.contains("given twice"), "{}", twice.text());
    workspace.edit(
        "workspace.toml",
        "\"tee\", \"asked.json\"",
        "\"cat\", \"no-such-file\"",
    );
    let failed = get(&["--key", "user=4"]).expect(2).stderr;
    assert!(
        failed.contains("hook kv_get: exit code 1: cat: no-such-file"),
        "{failed}"
    );
}

/// What a check found is in the status, the run, its page, the figures and what hooks read.
fn results_are_shown_everywhere(workspace: &Workspace, failed: &str) {
    let status = workspace.run(&["status"]).expect(0).stdout;
    assert!(status.contains(&format!("{failed} (block)")), "{status}");
    let status = parsed(workspace.run(&["status", "--output", "json"]), 0);
    let is_failed = |found: &&Value| found["passed"] == false && found["blocks"] == true;
    let mut checks = status["checks"].as_array().unwrap().iter();
    let found = checks.find(is_failed).unwrap();
    assert_eq!(
        (&found["column"], &found["ds"]),
        (&json!("user"), &json!("2026-01-04")),
        "{status}"
    );

    let runs = parsed(workspace.run(&["runs", "--output", "json"]), 0);
    let newest = runs["runs"][0]["run"].as_str().unwrap().to_owned();
    let run = parsed(
        workspace.run(&["runs", "show", &newest, "--output", "json"]),
        0,
    );
    let step = &run["step_list"][0];
    assert_eq!(step["outcome"]["kind"], "checks_failed", "{run}");
    assert_eq!(step["checked"][0]["column"], "user", "{run}");
    assert_eq!(
        step["attempts"].as_array().unwrap().len(),
        1,
        "it is not tried again: {run}"
    );
    let page = workspace.run(&["report", &newest]).expect(0).stdout;
    assert!(
        page.contains("Data checks") && page.contains("at most 20 % are allowed"),
        "{page}"
    );

    let hook: Value = serde_json::from_str(&workspace.read("failure.json")).unwrap();
    assert_eq!(hook["outcome"]["kind"], "checks_failed");
    assert_eq!(hook["checks"][0]["check"], "orders");
    assert!(hook["message"].as_str().unwrap().contains(failed), "{hook}");
    let figures = workspace.read("figures.prom");
    let labels = r#"asset="staging_query/team.orders/backfill",check="orders",on_fail="block""#;
    assert!(
        figures.contains(&format!("chronon_run_check_passed{{{labels}}} 0")),
        "{figures}"
    );
    assert!(
        figures.contains(&format!("chronon_run_check_failed_days{{{labels}}} 1")),
        "{figures}"
    );
}

/// `diff --data` computes what the edited conf makes of a day and what is made of that, and leaves nothing behind.
fn an_edit_is_compared_before_anything_is_filled(workspace: &Workspace) {
    let tables = || workspace.run(&["query", "SHOW DATABASES", "--output", "csv"]);
    let before = tables().expect(0).stdout;
    let diff = |more: &[&str]| {
        let args = ["diff", "--data", "--output", "json"];
        workspace.run(&[&args, more].concat())
    };
    let found = parsed(
        diff(&[
            "team.orders",
            "team.spend",
            "--ds",
            "2026-01-03",
            "--exit-code",
        ]),
        1,
    );
    let (orders, spend) = (&found["tables"][0], &found["tables"][1]);
    assert_eq!(orders["asset"], "staging_query/team.orders/backfill");
    let rows =
        |of: &Value| ["both", "only_left", "only_right", "different"].map(|name| of[name].as_u64());
    assert_eq!(orders["whole_rows"], true);
    assert_eq!(
        rows(orders),
        [Some(0), Some(2), Some(2), Some(0)],
        "{orders}"
    );
    assert_eq!(spend["keys"], json!(["user"]));
    assert_eq!(
        spend["days"],
        json!([{"start": "2026-01-03", "end": "2026-01-03"}])
    );
    assert_eq!(rows(spend), [Some(3), Some(0), Some(0), Some(3)], "{spend}");
    let column = json!([{"column": "amount_sum_2d", "different": 3, "null_left": 0, "null_right": 0, "max_difference": 30.0, "mean_difference": 24.0}]);
    assert_eq!(
        spend["columns"], column,
        "the days of the window are those of the edited conf, too"
    );

    // Only what was edited, on the newest day; two days.
    let found = parsed(diff(&["--columns", "amount", "--on", "user"]), 0);
    assert_eq!(found["tables"].as_array().unwrap().len(), 1, "{found}");
    assert_eq!(
        rows(&found["tables"][0]),
        [Some(2), Some(0), Some(0), Some(2)],
        "{found}"
    );
    assert_eq!(
        tables().expect(0).stdout,
        before,
        "the databases of the comparison are dropped"
    );
    assert!(!workspace.path(".chronon-run/targets/diff--data").exists());
    let conf = "production/staging_queries/team/orders";
    workspace.edit(conf, "amount * 2.0", "amount * no_such_column");
    let failed = diff(&["team.orders", "--ds", "2026-01-03"]).expect(1);
    assert!(
        failed.stderr.contains("no_such_column"),
        "{}",
        failed.text()
    );
    assert!(
        !failed.stderr.contains("chronon-run retry"),
        "{}",
        failed.text()
    );
    assert_eq!(tables().expect(0).stdout, before, "also after a failure");
    workspace.edit(conf, "amount * no_such_column", "amount * 2.0");
    let none = workspace.run(&[
        "diff",
        "--data",
        "team.orders",
        "--start-ds",
        "2026-01-04",
        "--end-ds",
        "2026-01-03",
    ]);
    assert!(
        none.expect(2)
            .stderr
            .contains("first day 2026-01-04 is after the last day 2026-01-03")
    );
}

/// A flood of NULLs stops what reads the table, in this run and in the next, until the day passes.
fn a_flood_of_nulls(workspace: &Workspace) {
    workspace.write("orders.csv", &format!("{ORDERS},9,2026-01-04\n"));
    workspace.edit("workspace.toml", "2026-01-03", "2026-01-04");
    let failed = "check `orders` of staging_query/team.orders/backfill failed on 2026-01-04: 100 % of the values of `user` are NULL, at most 20 % are allowed";
    let screen = workspace
        .run(&["materialize", "--metrics-file", "figures.prom"])
        .expect(1);
    let line = format!("filled, but a data check failed: {failed}");
    assert!(screen.stderr.contains(&line), "{}", screen.text());
    results_are_shown_everywhere(workspace, failed);
    let days = |name: &str| {
        workspace
            .run(&["show", name, "--output", "csv", "--limit", "0"])
            .expect(0)
            .stderr
    };
    assert!(days("team.orders").contains("on 2026-01-04"));
    assert!(days("team.spend").contains("on 2026-01-03"));

    let plan = workspace.run(&["plan", "team.spend"]).expect(0);
    assert!(
        plan.stdout.contains(failed) && plan.stdout.contains("blocked"),
        "{}",
        plan.text()
    );
    let next = workspace.run(&["materialize", "team.spend"]).expect(3);
    assert!(next.stderr.contains(failed), "{}", next.text());
    let checked = parsed(
        workspace.run(&["check", "--data", "--output", "json", "team.orders"]),
        1,
    );
    assert_eq!(checked["checks"][0]["column"], "user");
    assert_eq!(checked["checks"][0]["passed"], false);

    workspace.write(
        "orders.csv",
        &format!("{ORDERS}4,9,2026-01-04\n5,9,2026-01-04\n6,9,2026-01-04\n"),
    );
    let again = [
        "materialize",
        "team.orders",
        "team.spend",
        "--start-ds",
        "2026-01-04",
        "--end-ds",
        "2026-01-04",
        "--recompute",
        "--yes",
    ];
    let filled = workspace.run(&again).expect(0);
    assert!(
        filled.stderr.contains(
            "warning: check `growth` of group_by/team.spend/backfill failed on 2026-01-04"
        ),
        "{}",
        filled.text()
    );
    assert!(days("team.spend").contains("on 2026-01-04"));
    a_key_is_shown_as_it_is_served(workspace);
    let figures = [
        "\n[[check]]\nselect = \"team.spend\"\nname = \"sql\"\n",
        "sql = \"SELECT * FROM {table} WHERE ds = '{ds}' AND amount_sum_2d > 8\"\n",
        "\n[[check]]\nselect = \"team.spend\"\nname = \"typo\"\nunique = [\"usr\"]\n",
    ];
    let settings = workspace.read("workspace.toml");
    workspace.write("workspace.toml", &format!("{settings}{}", figures.concat()));
    let checked = workspace.run(&["check", "--data", "team.spend"]).expect(1);
    for text in [
        "check `sql` of group_by/team.spend/backfill failed on 2026-01-04: its query returns 3 rows, none are expected",
        "check `typo` of group_by/team.spend/backfill failed on 2026-01-04: it cannot be checked: there is no column `usr`; out.team_spend has user, amount_sum_2d, ds",
    ] {
        assert!(checked.stdout.contains(text), "{}", checked.text());
    }
    let other = ["check", "--data", "team.orders", "--ds", "2026-01-09"];
    let other = workspace.run(&other).expect(3).stderr;
    let says = "staging_query/team.orders/backfill is not filled on 2026-01-09";
    assert!(other.contains(says), "{other}");
    let unknown = workspace.run(&["check"]).expect(2);
    assert!(
        unknown.text().contains("workspace.toml:"),
        "{}",
        unknown.text()
    );
    assert!(
        unknown.text().contains(
            "`unique` names `usr`, which is no column of out.team_spend; did you mean `user`?"
        ),
        "{}",
        unknown.text()
    );
    workspace.write("workspace.toml", &settings);
    let passed = workspace.run(&["check", "--data", "team.orders"]).expect(0);
    assert!(
        passed
            .stdout
            .contains("check `orders` of staging_query/team.orders/backfill passed on 2026-01-04")
    );
}
