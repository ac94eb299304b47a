//! What `check` and the plan make of hazards that a conf or the catalog tells.

use std::collections::BTreeSet;

use chronon_run_core::{CatalogSnapshot, Column, TableInfo, TableState};

use crate::{driven::Driven, staged::Staged};

#[test]
fn a_source_without_partitions_is_said() {
    let staged = Staged::new(&[("one", &["lake.a"])]);
    let mut catalog: CatalogSnapshot =
        serde_json::from_str(&staged.workspace.read("catalog.json")).unwrap();
    let column = Column {
        name: "ts".to_owned(),
        data_type: "bigint".to_owned(),
    };
    let bare = TableState {
        info: TableInfo {
            columns: vec![column],
            ..TableInfo::default()
        },
        ..TableState::default()
    };
    catalog.tables.insert("lake.a".parse().unwrap(), Some(bare));
    staged
        .workspace
        .write("catalog.json", &serde_json::to_string(&catalog).unwrap());
    let screen = staged.run(&["check"]);
    assert!(
        screen
            .stderr
            .contains("lake.a has no partitions by day; team.one read it"),
        "{}",
        screen.stderr
    );
    staged.run(&["materialize"]).expect(3);
    assert!(staged.calls().is_empty());
}

#[test]
fn confs_that_know_their_day_are_filled_day_by_day() {
    let driven = Driven::scripted("own_day", "");
    let days = |driven: &Driven| -> BTreeSet<bool> {
        let plan = driven.plan(&["stays.listings.dim_v1"]);
        let steps = plan["steps"].as_array().unwrap().iter();
        steps
            .map(|step| step["range"]["start"] == step["range"]["end"])
            .collect()
    };
    assert!(days(&driven).contains(&false));
    let conf = "production/group_bys/stays/listings.dim_v1";
    driven.workspace.edit(
        conf,
        "\"selects\": {",
        "\"selects\": {\n\"run\": \"'CHRONON_RUN_DS'\",",
    );
    assert_eq!(days(&driven), BTreeSet::from([true]));
}
