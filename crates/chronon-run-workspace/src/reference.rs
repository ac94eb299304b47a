//! The reference of `workspace.toml`, written from the table of keys.

use std::fmt::Write;

use crate::keys::{KEYS, Key};

const INTRODUCTION: &str = "\
# workspace.toml

One file says everything that Chronon's confs and `teams.json` do not: where the repo is, which
engine fills the tables, how, and when a step has failed. Every key is optional unless the table says
that it is needed; an empty file is a workspace with the defaults below. `chronon-run init` writes a first
one. Errors and unknown keys are reported by `chronon-run check`, all at once.

- A path that is not absolute starts at the folder of `workspace.toml`.
- A duration is a string such as `\"30s\"`, `\"15m\"`, `\"2h\"`, `\"4d\"` or `\"1h 30m\"`.
- A day is `\"2026-01-30\"`; a range of days is `\"2026-01-14..2026-01-16\"`, both ends included.
- A command is a list of strings, one for each argument, never a shell string. A name in braces stands for a value.
- A table's name is quoted as a whole: `[seeds.\"data.purchases\"]`.
- Names in capitals in brackets are the constants of Chronon's `airflow/constants.py`.
";

/// One paragraph below the heading of each section, in the order of the reference.
pub(crate) const SECTIONS: [(&str, &str, &str); 12] = [
    (
        "workspace",
        "[workspace]",
        "General settings. `repo` corresponds to `CHRONON_PATH`.",
    ),
    (
        "engine",
        "[engine]",
        "What turns a step into a `spark-submit` command line.",
    ),
    ("catalog", "[catalog]", "Where partitions are listed."),
    ("run", "[run]", "How steps are cut, run and tried again."),
    (
        "seeds.<table>",
        "[seeds.\"db.table\"]",
        "A small source that the workspace itself loads from a file. \
         `[seeds]` with `\"db.table\" = \"data/file.csv\"` is short for a table with only `path`.",
    ),
    (
        "sources.<table>",
        "[sources.\"db.table\"]",
        "Properties of a source that the catalog does not hold.",
    ),
    (
        "override",
        "[[override]]",
        "Settings of some assets. There may be many; later ones win.",
    ),
    (
        "check",
        "[[check]]",
        "What must be true of the rows of each day of some assets, checked right after a step has filled it; see docs/checks.md. \
         There may be many.",
    ),
    (
        "targets.<name>",
        "[targets.dev]",
        "A place beside production: with `--target dev` the selected assets are filled into namespaces of their own, \
         and what was not built there is read from production; see docs/targets.md.",
    ),
    (
        "hooks",
        "[hooks]",
        "Commands that are run when something has happened. A failing hook is reported and never fails a step.",
    ),
    (
        "streaming",
        "[streaming]",
        "How `chronon-run stream` starts streaming apps and knows which ones run; see docs/streaming.md.",
    ),
    (
        "airflow",
        "[airflow]",
        "What `export airflow` writes into the DAG files, where `teams.json` says nothing else; see docs/airflow.md.",
    ),
];

/// The reference as Markdown: every key, its type, default and meaning.
#[must_use]
pub fn reference() -> String {
    let mut out = INTRODUCTION.to_owned();
    for (section, heading, about) in SECTIONS {
        let _ = write!(out, "\n## `{heading}`\n\n{about}\n\n");
        out.push_str("| key | type | default | meaning |\n|---|---|---|---|\n");
        for key in KEYS.iter().filter(|key| key.section == section) {
            out.push_str(&row(key));
        }
    }
    out
}

fn row(key: &Key) -> String {
    let default = key
        .default
        .map_or_else(|| format!("none; e.g. {}", code(key.example)), code);
    let (name, kind, meaning) = (key.key, key.kind, key.meaning);
    format!("| `{name}` | {kind} | {default} | {meaning} |\n")
}

fn code(toml: &str) -> String {
    format!("`{toml}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_documented_key_is_in_the_reference_once() {
        let text = reference();
        let rows = text.lines().filter(|line| line.starts_with("| `"));
        assert_eq!(rows.count(), KEYS.len());
        for key in KEYS {
            let cell = key.default.unwrap_or(key.example);
            assert!(
                text.contains(&format!("| `{}` | {} |", key.key, key.kind)) && text.contains(cell),
                "{}.{}",
                key.section,
                key.key
            );
            // A bar would end the cell.
            assert!(
                !row(key)
                    .trim_matches(['|', '\n'])
                    .replace(" | ", "")
                    .contains('|')
            );
        }
    }

    #[test]
    fn every_constant_of_chronons_airflow_code_has_its_place() {
        for constant in [
            "CHRONON_PATH",
            "TEST_TEAM_NAME",
            "GROUP_BY_BATCH_CONCURRENCY",
            "JOIN_CONCURRENCY",
            "UPLOAD_SCHEDULE_KEY",
            "DEFAULT_UPLOAD_SCHEDULE",
            "time_parts",
        ] {
            assert!(reference().contains(&format!("`{constant}`")), "{constant}");
        }
    }
}
