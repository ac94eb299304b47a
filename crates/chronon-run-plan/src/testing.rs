//! What the tests of several modules make their graphs of.

use std::collections::BTreeSet;

use chronon_run_core::{AssetId, AssetKind, ConfType, Ds, TableName, TableSpec};

use crate::{Asset, Fill, Input, Need, Role};

/// The day that is `n` after 1970-01-01.
pub(crate) fn day(n: i32) -> Ds {
    Ds::from_epoch_days(n)
}

/// An input that gates, whose producer is not known.
pub(crate) fn input(spec: TableSpec, role: Role, need: Need) -> Input {
    Input {
        spec,
        day_column: "ds".to_owned(),
        role,
        need,
        from: None,
        until: None,
        gates: true,
        follows_times: false,
        producer: None,
    }
}

/// `db.<name>`.
pub(crate) fn table(name: &str) -> TableName {
    TableName::new("db", name).unwrap()
}

/// `a<number>`: a staging query that is filled daily from [`day`] 0 on into the table of its name.
pub(crate) fn asset(number: usize, inputs: Vec<Input>) -> Asset {
    let name = format!("a{number}");
    Asset {
        id: AssetId::new(ConfType::StagingQuery, &name, AssetKind::Backfill),
        path: name.clone().into(),
        digest: String::new(),
        team: String::new(),
        tags: BTreeSet::new(),
        schedule: None,
        table: table(&name),
        sub_partitions: Vec::new(),
        day_column: Some("ds".to_owned()),
        also_writes: Vec::new(),
        shift: 0,
        fill: Fill::Daily,
        from: Some(day(0)),
        until: None,
        inputs,
        also_reads: Vec::new(),
        embedded_group_bys: BTreeSet::new(),
        embeds: BTreeSet::new(),
        also_locks: Vec::new(),
        final_table: None,
        family: name,
    }
}
