//! `driver_args`: options of Chronon's Driver that are handed on, by run.py mode.

use std::collections::BTreeMap;

use crate::{
    document::Value,
    words::{listed, nearest},
};

/// The run.py modes that have assets (contract §2.1).
const MODES: [&str; 11] = [
    "backfill",
    "backfill-left",
    "backfill-final",
    "model-transform-batch",
    "upload",
    "streaming",
    "label-join",
    "log-flattener",
    "log-summary",
    "stats-summary",
    "consistency-metrics-compute",
];

/// Options that every job gets from `chronon-run` itself, and where each is set.
const OWN: [(&str, &str); 12] = [
    ("--conf-path", "it is the conf of the step"),
    ("--end-date", "days are chosen with `--ds` and `--end-ds`"),
    (
        "--start-partition-override",
        "days are chosen with `--start-ds`",
    ),
    (
        "--run-first-hole",
        "it is given where the planned days need it",
    ),
    ("--step-days", "set `run.step_days`"),
    (
        "--selected-join-parts",
        "set `join_flow = \"modular\"` to run parts by themselves",
    ),
    (
        "--use-cached-left",
        "set `join_flow = \"modular\"` to run parts by themselves",
    ),
    ("--online-jar", "set `engine.online_jar`"),
    ("--online-class", "set `engine.online_class`"),
    (
        "--log-table",
        "set CHRONON_LOG_TABLE in `default.common_env` of teams.json",
    ),
    (
        "--schema-table",
        "set CHRONON_SCHEMA_TABLE in `default.common_env` of teams.json",
    ),
    ("--app-name", "run.py sets it from the conf's name"),
];

/// The lists of arguments by mode; entries that are wrong are reported and left out.
pub(super) fn driver_args(value: &Value<'_>) -> BTreeMap<String, Vec<String>> {
    let mut out = BTreeMap::new();
    for (mode, span, entry) in value.properties() {
        if !MODES.contains(&mode.as_str()) {
            let near = nearest(&mode, MODES.into_iter());
            let near = near
                .map(|near| format!("did you mean `{near}`? "))
                .unwrap_or_default();
            let hint = format!("{near}modes are those of run.py: {}", listed(&MODES));
            let message = format!("`{mode}` is not a mode of run.py that fills an asset");
            value.report().error("unknown-mode", span, message, hint);
            continue;
        }
        let items = entry.list().unwrap_or_default();
        let arguments = items.iter().filter_map(argument).collect();
        out.insert(mode, arguments);
    }
    out
}

/// One argument, unless it cannot be handed on.
fn argument(item: &Value<'_>) -> Option<String> {
    let text = item.word()?;
    if text.contains(char::is_whitespace) {
        let message = format!("`{text}` contains white space, which run.py cannot pass on");
        let hint = "write an option and its value as two items, or as `--option=value`";
        item.refuse_with("bad-value", message, hint.to_owned());
        return None;
    }
    let option = text.split('=').next().unwrap_or(text);
    if let Some((_, instead)) = OWN.iter().find(|(own, _)| *own == option) {
        let message = format!("`{option}` is set by chronon-run itself");
        item.refuse_with("own-argument", message, (*instead).to_owned());
        return None;
    }
    if is_short_option(text) {
        let message = format!("`{text}` may be the short form of an option that chronon-run sets");
        let hint = "write the long form, for example `--sample=1.0`";
        item.refuse_with("bad-value", message, hint.to_owned());
        return None;
    }
    Some(text.to_owned())
}

/// `-e`, but not `-5` and not a property of the online implementation, `-Zhost=kv`.
fn is_short_option(text: &str) -> bool {
    let mut characters = text.chars();
    characters.next() == Some('-')
        && characters
            .next()
            .is_some_and(|second| second.is_ascii_alphabetic() && second != 'Z')
}
