//! What `--output json` prints has a version, and instants are texts.

use serde_json::Value;

use crate::{staged::Staged, status::run_with_a_failure};

/// Milliseconds since the epoch are greater, and nothing else is.
const INSTANT: f64 = 1e12;

/// The numbers of a document that can only be milliseconds since the epoch, each with its name.
fn instants(name: &str, value: &Value) -> Vec<String> {
    match value {
        Value::Number(number) if number.as_f64() > Some(INSTANT) => {
            vec![format!("{name}: {number}")]
        }
        Value::Array(items) => items.iter().flat_map(|item| instants(name, item)).collect(),
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(name, value)| instants(name, value))
            .collect(),
        _ => Vec::new(),
    }
}

fn is_document(what: &str, text: &str) -> Value {
    assert_eq!(text.lines().count(), 1, "{what}: {text}");
    let document: Value = serde_json::from_str(text).unwrap();
    assert_eq!(document["version"], 1, "{what}: {text}");
    assert!(text.starts_with("{\"version\":1,"), "{what}: {text}");
    assert_eq!(instants(what, &document), [""; 0], "{what}");
    document
}

#[test]
fn every_document_is_an_object_with_a_version_and_instants_that_are_texts() {
    let staged = Staged::chain();
    run_with_a_failure(&staged);
    let events = staged.run(&["retry", "--output", "json"]).stdout;
    assert!(events.lines().count() > 2, "{events}");
    for event in events.lines() {
        is_document("an event", event);
    }
    let shown = |command: &str| {
        let args: Vec<&str> = command.split(' ').collect();
        let screen = staged.run(&[&args[..], &["--output", "json"]].concat());
        is_document(command, &screen.stdout)
    };
    let runs = shown("runs");
    let run = &runs["runs"][0];
    let started = run["started"].as_str().unwrap();
    assert_eq!(started.len(), "2026-01-31T00:00:00.000Z".len(), "{started}");
    let shown_run = shown(&format!("runs show {}", run["run"].as_str().unwrap()));
    assert_eq!(shown_run["started"], run["started"]);
    let attempt = &shown_run["step_list"][0]["attempts"][0];
    assert!(attempt["finished"].is_string(), "{attempt}");
    assert!(shown("logs team.two")["started"].is_string());
    let status = shown("status");
    let last = &status["assets"][0]["last_attempt"]["at"];
    let last = last.as_str().unwrap();
    assert_eq!(last.len(), "2026-01-31T00:00:00Z".len(), "{last}");
    for (command, list) in [
        ("plan", "assets"),
        ("plan --explain team.two@2026-01-02", "inputs"),
        ("status --stale", "assets"),
        ("ls", "assets"),
        ("check", "findings"),
        ("check --data", "checks"),
        ("diff", "confs"),
        ("diff --data", "tables"),
        ("doctor", "checks"),
        ("stream --status", "apps"),
        ("target list", "targets"),
        ("runs prune --keep 1", "forgotten"),
    ] {
        let document = shown(command);
        assert!(document[list].is_array(), "{command}: {document}");
    }
    let ready = shown("ready team.two --ds 2026-01-02");
    assert!(ready["ready"].is_boolean(), "{ready}");
}
