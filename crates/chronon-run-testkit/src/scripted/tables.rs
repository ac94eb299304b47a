//! Which tables a conf's jobs look at, so that a metastore is asked once.

use std::collections::BTreeMap;

use chronon_run_catalog::Request;
use chronon_run_core::{TableName, TableSpec, clean};
use serde_json::Value;

/// Every table that a Driver run over this conf may read or write, with its day columns.
pub(super) fn tables_of(conf: &Value, extra: &[&str]) -> Vec<Request> {
    let mut found = BTreeMap::new();
    walk(conf, &mut found);
    for text in extra {
        add(&mut found, text, "ds");
    }
    found.into_iter().collect()
}

type Found = BTreeMap<TableName, Vec<String>>;

fn add(found: &mut Found, text: &str, column: &str) {
    if let Ok(spec) = text.parse::<TableSpec>() {
        let columns = found.entry(spec.table).or_default();
        if !columns.iter().any(|known| known == column) {
            columns.push(column.to_owned());
        }
    }
}

fn walk(tree: &Value, found: &mut Found) {
    match tree {
        Value::Array(items) => items.iter().for_each(|item| walk(item, found)),
        Value::Object(members) => {
            let column = tree["query"]["partitionColumn"].as_str().unwrap_or("ds");
            for key in ["table", "snapshotTable", "mutationTable"] {
                if let Some(table) = tree[key].as_str() {
                    add(found, table, column);
                }
            }
            outputs(tree, found);
            members.values().for_each(|member| walk(member, found));
        }
        _ => {}
    }
}

/// The output tables of a conf, embedded or not (§3), and a staging query's dependencies.
fn outputs(conf: &Value, found: &mut Found) {
    let meta_data = &conf["metaData"];
    let (Some(namespace), Some(name)) = (
        meta_data["outputNamespace"].as_str(),
        meta_data["name"].as_str(),
    ) else {
        return;
    };
    let output = format!("{namespace}.{}", clean(name));
    const SUFFIXES: [&str; 14] = [
        "",
        "_bootstrap",
        "_pre_mt",
        "_upload",
        "_daily_inc",
        "_labels",
        "_labeled",
        "_labeled_latest",
        "_logged",
        "_daily_stats",
        "_logged_daily_stats",
        "_comparison",
        "_comparison_bootstrap",
        "_consistency",
    ];
    for suffix in SUFFIXES {
        add(found, &format!("{output}{suffix}"), "ds");
    }
    let parts = conf["joinParts"].as_array().into_iter().flatten();
    let labels = conf["labelPart"]["labels"].as_array().into_iter().flatten();
    for part in parts.chain(labels) {
        let group_by = clean(
            part["groupBy"]["metaData"]["name"]
                .as_str()
                .unwrap_or_default(),
        );
        let table = match part["prefix"].as_str() {
            Some(prefix) => format!("{output}_{prefix}_{group_by}"),
            None => format!("{output}_{group_by}"),
        };
        add(found, &table, "ds");
    }
    for part in conf["onlineExternalParts"].as_array().into_iter().flatten() {
        if let Some(name) = part["source"]["offlineGroupBy"]["metaData"]["name"].as_str() {
            add(found, &format!("{output}_{}", clean(name)), "ds");
        }
    }
    if conf["query"].is_string() {
        let dependencies = meta_data["dependencies"].as_array().into_iter().flatten();
        for text in dependencies.filter_map(Value::as_str) {
            add(found, text.split('/').next().unwrap_or_default(), "ds");
        }
    }
}
