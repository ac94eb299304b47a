//! Every dependency has a licence that `deny.toml` allows, comes from the registry, and is there once.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    process::Command,
};

use serde_json::Value;

use crate::support::repository;

/// The lists of `deny.toml` under this section and key.
fn listed(section: &str, key: &str) -> BTreeSet<String> {
    let text = std::fs::read_to_string(repository().join("deny.toml")).unwrap();
    let file: toml::Table = text.parse().unwrap();
    let list = file[section][key].as_array().unwrap();
    let texts = list.iter().map(|value| value.as_str().unwrap().to_owned());
    texts.collect()
}

fn packages() -> Vec<Value> {
    let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(repository())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let read: Value = serde_json::from_slice(&output.stdout).unwrap();
    read["packages"].as_array().unwrap().clone()
}

/// Whether an SPDX expression can be met with the allowed licences. An older form has `/` for OR.
fn is_met(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let expression = expression.replace('/', " OR ");
    let all = |alternative: &str| {
        let mut parts = alternative.split(" AND ");
        parts.all(|part| match part.trim().strip_prefix('(') {
            Some(inner) => is_met(inner.trim_end_matches(')'), allowed),
            None => allowed.contains(part.trim()),
        })
    };
    let in_parentheses = expression.starts_with('(') && expression.contains(") AND ");
    match in_parentheses {
        true => all(&expression),
        false => expression.split(" OR ").any(all),
    }
}

#[test]
fn licences_sources_and_versions_are_those_that_are_allowed() {
    let allowed = listed("licenses", "allow");
    let mut wrong = Vec::new();
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in packages() {
        let text = |key: &str| package[key].as_str().unwrap_or_default().to_owned();
        let (name, version) = (text("name"), text("version"));
        if !is_met(&text("license"), &allowed) {
            wrong.push(format!(
                "{name} {version} has the licence `{}`",
                text("license")
            ));
        }
        let is_own = package["source"].is_null() && name.starts_with("chronon-run");
        if !is_own && !text("source").starts_with("registry+") {
            wrong.push(format!("{name} {version} is from `{}`", text("source")));
        }
        versions.entry(name).or_default().insert(version);
    }
    let known = listed("bans", "skip");
    for (name, versions) in versions.iter().filter(|(_, versions)| versions.len() > 1) {
        if !known.contains(name) {
            wrong.push(format!("{name} is there as {versions:?}"));
        }
    }
    let needless = known
        .iter()
        .filter(|name| versions.get(*name).is_none_or(|all| all.len() < 2));
    wrong.extend(needless.map(|name| format!("{name} is in `skip` and there once")));
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn an_expression_is_met_as_a_whole() {
    let allowed = ["MIT", "Unicode-3.0"].map(str::to_owned).into();
    for (expression, met) in [
        ("MIT", true),
        ("MIT/Apache-2.0", true),
        ("GPL-3.0", false),
        ("GPL-3.0 OR MIT", true),
        ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
        ("(MIT OR Apache-2.0) AND GPL-3.0", false),
        ("MIT AND GPL-3.0", false),
    ] {
        assert_eq!(is_met(expression, &allowed), met, "{expression}");
    }
}
