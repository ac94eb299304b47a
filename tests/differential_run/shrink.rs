//! Makes a case that differs smaller: without confs, parts, aggregations, windows, sources, rows.

use serde_json::Value;

use crate::{Outcome, generate::Case, run};

/// The smallest case found with so many runs of Spark that still differs.
pub(crate) fn smallest(case: &Case, runs: u64) -> Case {
    let mut best = case.clone();
    let mut left = runs;
    let mut changed = true;
    while changed && left > 0 {
        changed = false;
        for smaller in candidates(&best) {
            if left == 0 {
                break;
            }
            left -= 1;
            if differs(&smaller) {
                best = smaller;
                changed = true;
                break;
            }
        }
    }
    best
}

fn differs(case: &Case) -> bool {
    let outcomes: Vec<Outcome> = run(&[case]).into_iter().flatten().collect();
    // A table that is not there is another failure than a wrong value.
    let made = |outcome: &Outcome| outcome.rows > 0;
    outcomes
        .iter()
        .any(|outcome| made(outcome) && outcome.is_wrong())
}

/// Cases that lack something, the most first.
fn candidates(case: &Case) -> Vec<Case> {
    let mut all = Vec::new();
    for at in 0..case.group_bys.len() {
        let mut one = case.clone();
        one.group_bys = vec![case.group_bys[at].clone()];
        one.joins.clear();
        all.push(one);
    }
    for at in 0..case.joins.len() {
        let mut one = case.clone();
        one.joins = vec![case.joins[at].clone()];
        one.group_bys.clear();
        all.push(one);
    }
    all.retain(|one| {
        one.group_bys.len() + one.joins.len() < case.group_bys.len() + case.joins.len()
    });
    for (name, table) in &case.tables {
        let half = table.rows.len() / 2;
        for rows in [0..half, half..table.rows.len()] {
            if half > 4 {
                let mut one = case.clone();
                one.tables.get_mut(name).unwrap().rows.drain(rows);
                all.push(one);
            }
        }
    }
    for at in 0..case.joins.len() {
        for smaller in without(&case.joins[at]) {
            let mut one = case.clone();
            one.joins[at] = smaller;
            all.push(one);
        }
    }
    for at in 0..case.group_bys.len() {
        for smaller in without(&case.group_bys[at]) {
            let mut one = case.clone();
            one.group_bys[at] = smaller;
            all.push(one);
        }
    }
    all
}

/// A conf without one item of one of its lists, or without its derivations.
fn without(conf: &Value) -> Vec<Value> {
    let mut all = Vec::new();
    if !conf["derivations"].is_null() {
        let mut one = conf.clone();
        one.as_object_mut().unwrap().remove("derivations");
        all.push(one);
    }
    let lists = [
        "/joinParts",
        "/aggregations",
        "/sources",
        "/joinParts/0/groupBy/aggregations",
        "/joinParts/1/groupBy/aggregations",
        "/joinParts/0/groupBy/aggregations/0/windows",
        "/aggregations/0/windows",
    ];
    for list in lists {
        let length = conf
            .pointer(list)
            .and_then(Value::as_array)
            .map_or(0, Vec::len);
        for at in 0..length {
            let mut one = conf.clone();
            let items = one.pointer_mut(list).and_then(Value::as_array_mut);
            if let Some(items) = items.filter(|_| length > 1) {
                items.remove(at);
                all.push(one);
            }
        }
    }
    all
}
