//! What killed scripts leave in the catalog, over a real metastore and a scripted Spark.

use std::collections::BTreeSet;

use chronon_run_catalog::{Hive, NewTable, Timeouts};
use chronon_run_core::{Column, TableName};
use chronon_run_testkit::{
    driver::{Commit, Write},
    scripted::{Backend, CATALOG},
};

use crate::{
    nothing_lost::metastore,
    staged::{Staged, all_days},
};

fn table(name: &str) -> TableName {
    name.parse().unwrap()
}

fn create(hive: &Hive, name: &str) {
    let created = hive.create_table(&NewTable {
        table: table(name),
        columns: vec![Column {
            name: "value".to_owned(),
            data_type: "string".to_owned(),
        }],
        partition_columns: Vec::new(),
        properties: Vec::new(),
    });
    assert!(created.unwrap());
}

#[test]
fn helper_tables_of_a_killed_script_are_undone() {
    let staged = Staged::chain();
    let lease = metastore(&staged.workspace.path("server"));
    let server = lease.uri();
    let source = |name: &str| Write::days(table(name), all_days());
    let writes = ["lake.a", "lake.b"].map(source).to_vec();
    let backend = Backend::open(&server).unwrap();
    backend.apply(&[Commit { writes }]).unwrap();
    staged.workspace.edit(
        "workspace.toml",
        "kind = \"fixture\"\npath = \"catalog.json\"",
        &format!("kind = \"hive\"\nuri = \"{server}\""),
    );
    let materialize = || {
        let mut run = staged.command(&["materialize", "team.one"]);
        let run = run.env(CATALOG, &server).output().unwrap();
        assert!(run.status.success(), "{run:?}");
    };
    materialize();
    assert_eq!(staged.started(), ["one"]);

    // As a script leaves them that was killed between its two renames, its copy not being made yet.
    let hive = Hive::new(&server, Timeouts::default()).unwrap();
    hive.rename_table(&table("out.team_one"), &table("out.team_one__replaced"))
        .unwrap();
    create(&hive, "out.team_one__types_20260101");
    create(&hive, "out.team_one__mine");
    materialize();
    assert_eq!(staged.started(), ["one"], "its days are there again");
    let left = hive.tables_like("out", "team_one*").unwrap();
    let left: BTreeSet<String> = left.iter().map(ToString::to_string).collect();
    let wanted = ["out.team_one", "out.team_one__mine"].map(str::to_owned);
    assert_eq!(left, BTreeSet::from(wanted));
}
