//! A ledger that tells of every day of a repo how it was filled.

use std::{collections::BTreeSet, env, path::Path};

use chronon_run_conf::edits::content_digest;
use chronon_run_core::{CatalogSnapshot, Ds};
use chronon_run_ledger::Ledger;
use chronon_run_plan::{Asset, inputs_digest, memory_wanted};
use chronon_run_project::{loading::project::Project, planning::filled::conf_of};
use rusqlite::{Connection, params};

/// Writes the rows of one history.
struct Writer<'a> {
    raw: &'a Connection,
    project: &'a Project,
    catalog: &'a CatalogSnapshot,
    step_days: i32,
}

/// Records every day of `catalog` as filled by an attempt for `step_days` days with the present conf
/// and inputs: no day is out of date. `repo` becomes the current directory.
pub(crate) fn record(repo: &Path, catalog: &CatalogSnapshot, step_days: i32) {
    env::set_current_dir(repo).unwrap();
    let project = Project::load().unwrap();
    let path = repo.join(".chronon-run/ledger.db");
    drop(Ledger::open(&path));
    let mut raw = Connection::open(&path).unwrap();
    let transaction = raw.transaction().unwrap();
    let writer = Writer {
        raw: &transaction,
        project: &project,
        catalog,
        step_days,
    };
    for (id, asset) in (0..).zip(&project.graph.assets) {
        writer.made(id, asset);
    }
    let all: BTreeSet<usize> = (0..project.graph.assets.len()).collect();
    let (_, slices) = memory_wanted(&project.graph, &all);
    for (id, slice) in (0..).zip(slices) {
        writer.seen(id, &slice);
    }
    // As an older version leaves it: what is derived of the rows is written when it is opened.
    transaction
        .execute_batch("DROP TABLE made_blocks; DROP TABLE seen_blocks; PRAGMA user_version = 9")
        .unwrap();
    transaction.commit().unwrap();
}

impl Writer<'_> {
    /// The number of the first attempt of the run that fills a day.
    fn run(&self, ds: Ds) -> i64 {
        let assets = i64::try_from(self.project.graph.assets.len()).unwrap();
        i64::from(ds.epoch_days() / self.step_days) * assets + 1
    }

    fn made(&self, id: i64, asset: &Asset) {
        let name = asset.id.to_string();
        let conf = conf_of(self.project, &asset.id).unwrap();
        let digest = content_digest(&conf, asset.id.conf.conf_type, &asset.id.mode);
        let sql = "INSERT OR IGNORE INTO contents VALUES (?1, ?2)";
        let values = params![digest, conf.to_string()];
        self.raw.execute(sql, values).unwrap();
        let sql = "INSERT INTO assets VALUES (?1, ?2)";
        self.raw.execute(sql, params![id, name]).unwrap();
        let sql = "INSERT OR IGNORE INTO looks VALUES (?1, ?2, ?3, 1, ?4, ?5, ?6)";
        let mut look = self.raw.prepare_cached(sql).unwrap();
        let sql = "INSERT INTO made_days VALUES (?1, ?2, ?3, 0)";
        let mut made = self.raw.prepare_cached(sql).unwrap();
        let column = asset.day_column.as_deref().unwrap_or_default();
        let days = self
            .catalog
            .days(&asset.table, column, &asset.sub_partitions);
        for ds in days.iter() {
            let run = self.run(ds);
            let inputs = inputs_digest(asset);
            let values = params![run + id, format!("r{run:09}"), id, name, digest, inputs];
            look.execute(values).unwrap();
            let values = params![id, ds.epoch_days(), run + id];
            made.execute(values).unwrap();
        }
    }

    /// The first attempt of a run sees the day of each input.
    fn seen(&self, id: i64, slice: &str) {
        let sql = "INSERT INTO slices VALUES (?1, ?2)";
        self.raw.execute(sql, params![id, slice]).unwrap();
        let sql = "INSERT INTO seen_days VALUES (?1, ?2, ?3, ?4, ?5, ?5)";
        let mut seen = self.raw.prepare_cached(sql).unwrap();
        let (table, _) = slice.split_once('/').unwrap();
        for ds in self.catalog.days(&table.parse().unwrap(), "ds", &[]).iter() {
            let day = ds.epoch_days();
            let digest = (i64::from(day) ^ id << 20).wrapping_mul(0x1E37_79B9_7F4A_7C15);
            let values = params![id, day, digest, !digest, self.run(ds)];
            seen.execute(values).unwrap();
        }
    }
}
