//! End-to-end tests of the real binary.
//!
//! Those in `spark_*` run on a real Spark with a real Hive metastore, which the binary installs
//! into `target/test-cache` the first time; the others need nothing but the binary.

#![expect(clippy::unwrap_used, reason = "a test stops at whatever it cannot do")]

// Helpers. Other test targets take some of them, so that each is a module of its own.
#[path = "support/browser.rs"]
mod browser;
#[path = "support/corpus.rs"]
mod corpus;
#[path = "support/driven.rs"]
mod driven;
#[path = "support/staged.rs"]
mod staged;
#[path = "support/tables.rs"]
mod tables;

mod alarms;
mod bad_input;
mod broken_files;
mod browsing;
mod clean;
mod clusters;
mod compile;
mod dependencies;
mod docs;
mod doctor;
mod documents;
mod driver_backfill;
mod driver_daily;
mod driver_edits;
mod driver_modes;
mod driver_verify;
mod edited_columns;
mod environment;
mod export;
mod file_cycles;
mod five_days;
mod freshness;
mod frontfill;
mod gates;
mod hazard_page;
mod hazards;
mod hooks;
mod hostile;
mod interrupts;
mod jars;
mod kafka;
mod killed_statements;
mod kv;
mod layers;
mod leftovers;
mod licences;
mod limits;
mod nothing_lost;
mod online;
mod packaging;
mod point_in_time;
mod readers;
mod reference;
mod relocated;
mod retries;
mod scripted;
mod secrets;
mod seeds;
mod seeing;
mod site;
mod spark_analysis;
mod spark_archives;
mod spark_cluster;
mod spark_daily;
mod spark_example;
mod spark_kept;
mod spark_late_rows;
mod spark_rows;
mod spark_shared;
mod spark_targets;
mod status;
mod stream;
mod support;
mod targets;
mod terminal;
mod tools;
mod tutorial;
mod two_checkouts;
mod ui;
mod widths;
