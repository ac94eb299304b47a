//! What `check` says of seeds, without a Spark.

use crate::support::Workspace;

const SEEDS: &str = r#"[workspace]
as_of = "2026-01-03"

[seeds]
"src.good" = "data/good"
"src.no_ds" = "data/no_ds.csv"
"src.ragged" = "data/ragged.csv"
"src.other_days" = "data/other_days.csv"
"src.empty" = "data/empty.csv"
"src.no_rows" = "data/no_rows.csv"
"src.garbage" = "data/garbage.parquet"
"src.some_days" = "data/some_days.csv"
"src.no_file" = "data/no_file.csv"
"src.no_folder" = "data/no_folder"

[seeds."src.typed"]
path = "data/typed.csv"
columns = { amount = "bigint", ds = "string" }

[seeds."src.header"]
path = "data/header.csv"
columns = { price = "double", ds = "string" }
"#;

#[test]
fn seeds_explain_themselves() {
    let workspace = Workspace::empty();
    workspace.write("teams.json", r#"{"default": {}}"#);
    workspace.write("production/group_bys/.keep", "");
    workspace.write("workspace.toml", SEEDS);
    for (name, text) in [
        ("good/a.csv", "a,ds\n1,2026-01-01\n"),
        ("good/b.csv", "a,ds\n2,2026-01-02\n"),
        ("no_ds.csv", "a,dt\n1,2026-01-01\n"),
        ("ragged.csv", "a,ds\n1,2026-01-01\n2\n"),
        ("other_days.csv", "a,ds\n1,20260101\n"),
        ("empty.csv", ""),
        ("no_rows.csv", "a,ds\n"),
        ("garbage.parquet", "this is no Parquet file"),
        (
            "some_days.csv",
            "a,ds\n1,2026-01-01\n1,20260102\n1,20260103\n1,x\n",
        ),
        ("typed.csv", "amount,ds\n1,2026-01-01\nmuch,2026-01-01\n"),
        ("header.csv", "cost,ds\n1,2026-01-01\n"),
    ] {
        workspace.write(&format!("data/{name}"), text);
    }
    let screen = workspace.run(&["check", "--offline"]);
    insta::assert_snapshot!(screen.expect(2).stderr);
}

/// A conf that reads it is left out; everything else is planned.
#[test]
fn a_seed_without_its_file_stops_only_what_reads_it() {
    let example = Workspace::example("stays");
    std::fs::remove_file(example.path("data/lake.hosts.csv")).unwrap();
    let plan = example.run(&["plan"]).expect(0);
    let said = "a seed that cannot be loaded: cannot read";
    assert!(plan.stdout.contains(said), "{}", plan.text());
    let others = example.run(&["plan", "stays.listings.dim_v1"]).expect(0);
    assert!(!others.stdout.contains(said), "{}", others.text());
    assert!(others.stdout.contains(" run"), "{}", others.text());
    let check = example.run(&["check", "--offline"]).expect(2);
    let said = "lake.hosts.csv for seed lake.hosts: there is no such file or folder";
    assert!(check.stderr.contains(said), "{}", check.text());
}
