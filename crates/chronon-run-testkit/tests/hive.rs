//! The scripted Driver on a real metastore leaves the partitions that it leaves in a file.

#![allow(clippy::unwrap_used, reason = "a test helper panics")]

use std::{path::Path, process::Command, time::Duration};

use chronon_run_catalog::{Catalog, Timeouts, embedded::Embedded};
use chronon_run_core::{CatalogSnapshot, PartitionRange, TableName};
use chronon_run_spark::{Environment, locate};
use chronon_run_testkit::{
    driver::{Commit, Write},
    scripted::{Backend, CATALOG},
};

const TABLES: [&str; 6] = [
    "stays_out.stays_search_boot_v1",
    "stays_out.stays_search_boot_v1_bootstrap",
    "stays_out.stays_search_boot_v1_stays_bookings_guest_rt_v1",
    "stays_out.stays_search_boot_v1_stays_bookings_listing_daily_v1",
    "stays_out.stays_search_boot_v1_labels",
    "stays_out.stays_search_boot_v1_labeled",
];

/// The sources of a join with bootstrap parts and labels, all of January.
fn prepare(place: &str) {
    let backend = Backend::open(place).unwrap();
    let january = PartitionRange::new("2026-01-01".parse().unwrap(), "2026-01-31".parse().unwrap());
    let sources = [
        "lake.searches",
        "lake.bookings",
        "lake.search_scores",
        "lake.search_outcomes",
    ];
    let write = |table: &str| Write::days(table.parse().unwrap(), january.into());
    let writes = sources.map(write).to_vec();
    backend.apply(&[Commit { writes }]).unwrap();
}

fn drive(place: &str) {
    let repo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/a/repo");
    let calls = [
        ["join", "--end-date=2026-01-20"],
        ["join", "--end-date=2026-01-30"],
        ["label-join", "--end-date=2026-01-28"],
    ];
    for [subcommand, end] in calls {
        let status = Command::new(env!("CARGO_BIN_EXE_scripted-spark-submit"))
            .args(["--class", "ai.chronon.spark.Driver", "/c.jar", subcommand])
            .args(["--conf-path=production/joins/stays/search_boot.v1", end])
            .current_dir(&repo)
            .env(CATALOG, place)
            .output()
            .unwrap();
        assert!(status.status.success(), "{subcommand}: {status:?}");
    }
}

/// `table: days` of every table, `-` for one that does not exist.
fn state(snapshot: &CatalogSnapshot) -> Vec<String> {
    let text = |name: &str| {
        let table: TableName = name.parse().unwrap();
        match snapshot.table(&table) {
            Some(_) => format!("{table}: {}", snapshot.days(&table, "ds", &[])),
            None => format!("{table}: -"),
        }
    };
    TABLES.map(text).to_vec()
}

#[test]
fn a_metastore_and_a_file_end_up_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("catalog.json");
    let empty = serde_json::to_vec(&CatalogSnapshot::default()).unwrap();
    std::fs::write(&file, empty).unwrap();
    prepare(file.to_str().unwrap());
    drive(file.to_str().unwrap());
    let in_file: CatalogSnapshot = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();

    let environment = Environment::new(None, |name| std::env::var_os(name));
    let spark = locate(&environment, &mut |_| ()).unwrap();
    let metastore = Embedded {
        java: spark.java.program(),
        java_options: Vec::new(),
        env: Vec::new(),
        jars: spark.jars(),
        directory: folder.path().join("metastore"),
        warehouse: folder.path().join("warehouse"),
        idle: Duration::from_secs(1),
        start: Duration::from_secs(120),
    };
    let lease = metastore.join().unwrap();
    prepare(&lease.uri());
    drive(&lease.uri());
    let requests = TABLES.map(|table| (table.parse().unwrap(), vec!["ds".to_owned()]));
    let hive = Catalog::connect(&lease.uri(), Timeouts::default()).unwrap();
    let in_hive = hive.snapshot(&requests).unwrap();

    assert_eq!(state(&in_file), state(&in_hive));
    assert!(
        state(&in_file)[4].ends_with("2026-01-25..2026-01-27"),
        "{:?}",
        state(&in_file)
    );
}
