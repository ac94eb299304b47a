//! The same on the real thing: Chronon's own Driver from the jar that `CHRONON_RUN_TEST_JAR` names, on a
//! local Spark with a real metastore. Without that variable it is skipped, and says so.

#![expect(clippy::print_stderr, reason = "says that it is skipped")]

use std::collections::BTreeMap;

use chronon_run_core::RangeSet;
use chronon_run_testkit::golden::recorded_days;
use serde_json::Value;

use crate::{
    corpus::Corpus,
    support::{Screen, Workspace},
};

/// The last day of every run.
const LAST: &str = "2026-01-30";

struct Real {
    workspace: Workspace,
}

impl Real {
    /// The corpus with its sources as seeds; `None` if there is no jar.
    fn open(corpus: &Corpus) -> Option<Self> {
        let Some(jar) = std::env::var_os("CHRONON_RUN_TEST_JAR") else {
            eprintln!("skipped: CHRONON_RUN_TEST_JAR names no jar with Chronon's Driver");
            return None;
        };
        let jar = std::path::absolute(jar).unwrap();
        let workspace = corpus.workspace();
        let engine = format!("kind = \"chronon\"\nchronon_jar = \"{}\"\n", jar.display());
        workspace.edit("workspace.toml", "kind = \"sql\"\n", &engine);
        Some(Self { workspace })
    }

    fn run(&self, args: &[&str]) -> Screen {
        let mut all = args.to_vec();
        all.extend(["--as-of", LAST]);
        self.workspace.run(&all)
    }

    /// What the catalog shows of every table that is filled without being asked for by mode.
    fn observed(&self) -> BTreeMap<String, RangeSet> {
        let plan = self.run(&["plan", "--output", "json"]).expect(0);
        let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
        let tables = plan["observed"].as_object().unwrap().iter();
        let existing = tables.filter(|(_, days)| !days.is_null());
        existing
            .map(|(table, days)| (table.clone(), serde_json::from_value(days.clone()).unwrap()))
            .collect()
    }
}

/// What the recorded runs left of each table at last.
fn recorded(corpus: &Corpus) -> BTreeMap<String, RangeSet> {
    let runs = corpus
        .runs
        .iter()
        .filter(|run| run["kind"] == "engine" && run["exit"] == 0);
    let changes = runs.flat_map(|run| run["tables_changed"].as_object().unwrap());
    changes
        .map(|(table, change)| (table.clone(), recorded_days(&change["after"], "ds")))
        .collect()
}

#[test]
fn the_real_driver_fills_the_corpus() {
    let corpus = Corpus::open("a");
    let Some(real) = Real::open(&corpus) else {
        return;
    };
    real.run(&["materialize"]).expect(0);
    let observed = real.observed();
    let mut compared = 0;
    for (table, days) in recorded(&corpus) {
        let Some(ours) = observed.get(&table).filter(|ours| ours.days() > 1) else {
            continue; // Not filled here, or its last day only.
        };
        assert!(
            days.minus(ours).is_empty(),
            "{table}: {days} recorded, {ours} here"
        );
        compared += 1;
    }
    assert!(compared > 30, "{compared} tables compared");
    let again = real.run(&["materialize"]).expect(0);
    assert!(
        again.stdout.starts_with("nothing to do"),
        "{}",
        again.text()
    );

    for selector in [
        "mode:upload",
        "join/stays.search_boot.v1/label-join",
        "join/stays.search_train.derived_v1/stats-summary",
    ] {
        real.run(&["materialize", selector]).expect(0);
        let again = real.run(&["plan", selector]).expect(0);
        assert!(!again.stdout.contains("waiting"), "{}", again.text());
    }
    edited(&real);
    computed_again(&real);
}

/// The prediction of an archive is what the Driver then does.
fn edited(real: &Real) {
    let path = "production/joins/stays/online.v1";
    let mut conf: Value = serde_json::from_str(&real.workspace.read(path)).unwrap();
    conf["joinParts"][0]["groupBy"]["backfillStartDate"] = "2025-11-11".into();
    let text = serde_json::to_string_pretty(&conf).unwrap();
    real.workspace.write(path, &text);
    let refused = real.run(&["materialize", "stays.online.v1"]).expect(2);
    assert!(
        refused.stderr.contains("stays_out.stays_online_v1:"),
        "{}",
        refused.text()
    );
    real.run(&["materialize", "stays.online.v1", "--accept-archive"])
        .expect(0);
    let again = real.run(&["materialize", "stays.online.v1"]).expect(0);
    assert!(
        again.stdout.starts_with("nothing to do"),
        "{}",
        again.text()
    );
}

fn computed_again(real: &Real) {
    let before = real.observed();
    let args = [
        "materialize",
        "stays.online.v1",
        "--recompute",
        "--ds",
        "2026-01-26",
    ];
    real.run(&args).expect(2);
    let mut yes = args.to_vec();
    yes.push("--yes");
    real.run(&yes).expect(0);
    assert_eq!(real.observed(), before);
}
