//! What the engines do with each feature of a conf: `docs/conf-features.md` is generated from what the
//! code says of a small conf that has the feature. `UPDATE_DOCS=1` writes it.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should stop here"
)]

mod features;

use std::{fmt::Write as _, fs, path::Path};

use chronon_run_conf::{ConfRepo, GroupBy, Join, StagingQuery};
use chronon_run_core::{AssetKind, Diagnostic, Severity};
use chronon_run_sql::{self as sql, Conf};
use serde_json::{Value, json};

use features::*;

/// What the code says of a feature.
struct Said {
    /// Of the `sql` engine: its refusals, as they are printed.
    refusals: Vec<String>,
    /// Of any engine.
    findings: Vec<Diagnostic>,
    /// Of the Driver.
    driver: Vec<Diagnostic>,
}

impl Feature {
    fn said(&self) -> Said {
        let mut conf = self.base.conf("shop.feature.v1");
        for (pointer, value) in &self.edits {
            put(&mut conf, pointer, value.clone());
        }
        let root = tempfile::tempdir().unwrap();
        let folder = root
            .path()
            .join("production")
            .join(self.base.folder())
            .join("shop");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("feature.v1"), conf.to_string()).unwrap();
        let teams = json!({ "default": { "namespace": "out" }, "shop": { "namespace": "out" } });
        fs::write(root.path().join("teams.json"), teams.to_string()).unwrap();
        let repo = ConfRepo::load(root.path(), "production").repo;
        Said {
            refusals: self.refusals(&conf),
            findings: repo.check(),
            driver: repo.check_driver(),
        }
    }

    fn refusals(&self, conf: &Value) -> Vec<String> {
        let text = conf.to_string();
        let found = match self.base {
            Base::Snapshot | Base::Temporal | Base::Entities => {
                let conf: GroupBy = serde_json::from_str(&text).unwrap();
                sql::check(Conf::GroupBy(&conf), &self.step)
            }
            Base::Join | Base::Panel | Base::Labels => {
                let conf: Join = serde_json::from_str(&text).unwrap();
                sql::check(Conf::Join(&conf), &self.step)
            }
            Base::StagingQuery => {
                let conf: StagingQuery = serde_json::from_str(&text).unwrap();
                sql::check(Conf::StagingQuery(&conf), &self.step)
            }
        };
        let texts = found.iter().map(ToString::to_string);
        texts
            .map(|text| text.replacen("shop.feature.v1: ", "", 1))
            .collect()
    }
}

fn worst(findings: &[Diagnostic], severity: Severity) -> Option<String> {
    let found = findings
        .iter()
        .find(|finding| finding.severity == severity)?;
    let word = match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    Some(format!(
        "{word}: {}",
        found.message.replace("shop.feature.v1", "…")
    ))
}

impl Said {
    fn of_both(&self, own: Option<String>) -> String {
        let both = worst(&self.findings, Severity::Error);
        let warning = worst(&self.findings, Severity::Warning);
        let text = both.or(own).or(warning);
        text.unwrap_or_else(|| "made".to_owned())
            .replace('|', "\\|")
    }

    fn sql(&self) -> String {
        let refused = self.refusals.first().map(|text| format!("refused: {text}"));
        self.of_both(refused)
    }

    fn driver(&self) -> String {
        if self
            .refusals
            .iter()
            .any(|text| !text.ends_with(BY_DRIVER) && !text.ends_with(DRIVER_TOO))
        {
            return self.of_both(Some("not tried".to_owned()));
        }
        // What `sql` knows of the Driver is said of it too.
        let fails = self.refusals.iter().find(|text| text.ends_with(DRIVER_TOO));
        let error = worst(&self.driver, Severity::Error);
        let own = error.or(fails.map(|_| "fails".to_owned()));
        self.of_both(own.or(worst(&self.driver, Severity::Warning)))
    }
}

const DRIVER_TOO: &str = "; the Driver fails too";
const BY_DRIVER: &str = "; use engine kind = \"chronon\"";

fn all() -> Vec<(&'static str, Vec<Feature>)> {
    let mut group_bys = group_bys();
    group_bys.extend(operations());
    vec![
        ("GroupBy", group_bys),
        ("Join", joins()),
        ("StagingQuery", staging_queries()),
    ]
}

#[test]
fn the_table_of_conf_features_is_what_the_engines_do() {
    let mut text = String::from(
        "# Conf features\n\nWhat each engine does with a feature of a conf, before anything runs. Generated from the checks of the\nprogram over a small conf that has the feature: `UPDATE_DOCS=1 cargo test -p chronon-run-sql --test conf_features`.\n\n* **made**: the tables are those of Chronon's Driver, but for the differences in [sql-engine.md](sql-engine.md).\n* **refused**, **error**: the asset is excluded from plans, with this text.\n* **warning**: `check` prints it, and the asset is made.\n* **fails**: the Driver fails with it; nothing stops the run before.\n* **not tried**: what the Driver does is not known.\n\nWhat only tables show (a type, a missing table) is refused or reported when the plan or the script is made.\n",
    );
    for (kind, features) in all() {
        let _ = write!(
            text,
            "\n## {kind}\n\n| field | value | `sql` | `chronon` |\n|---|---|---|---|\n"
        );
        for feature in features {
            let said = feature.said();
            let (sql, driver) = (said.sql(), said.driver());
            let with = match feature.with {
                "" => "—",
                with => with,
            };
            let _ = writeln!(text, "| `{}` | {with} | {sql} | {driver} |", feature.field);
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/conf-features.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &text).unwrap();
    }
    assert!(
        fs::read_to_string(&path).unwrap_or_default() == text,
        "docs/conf-features.md is stale: run `UPDATE_DOCS=1 cargo test -p chronon-run-sql --test conf_features`"
    );
}

/// A refusal that names the Driver is of what the Driver can do; one that says that it fails does not
/// send the user there.
#[test]
fn no_refusal_names_an_engine_that_cannot_do_it() {
    let mut sent = 0;
    for feature in all().into_iter().flat_map(|(_, features)| features) {
        let said = feature.said();
        let name = format!("{} ({})", feature.field, feature.with);
        let error = worst(&said.driver, Severity::Error);
        for refusal in &said.refusals {
            if refusal.contains("kind = \"chronon\"") {
                sent += 1;
                assert!(refusal.ends_with(BY_DRIVER), "{name}: {refusal}");
                assert!(error.is_none(), "{name}: {refusal}, but {error:?}");
                assert!(!refusal.contains(DRIVER_TOO), "{name}: {refusal}");
            }
        }
    }
    assert!(sent > 5, "only {sent} refusals name the other engine");
}

/// Every field of a conf that changes what a job does has a row: those of the recorded corpora.
#[test]
fn every_field_of_the_recorded_confs_has_a_row() {
    let rows: Vec<&str> = all()
        .into_iter()
        .flat_map(|(_, features)| features)
        .map(|feature| feature.field)
        .collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/a/repo/production");
    let mut fields = std::collections::BTreeSet::new();
    collect(&root, &mut fields);
    let lacking: Vec<&String> = fields
        .iter()
        .filter(|field| !WITHOUT_ROW.contains(&field.as_str()))
        .filter(|field| {
            !rows
                .iter()
                .any(|row| row.split(['.', '[', ']', ' ']).any(|word| word == **field))
        })
        .collect();
    assert!(lacking.is_empty(), "no row for {lacking:?}");
}

/// Names and texts, what belongs to one of the rows, and what no job reads.
const WITHOUT_ROW: [&str; 22] = [
    "expression",
    "groupBy",
    "join",
    "keySchema",
    "labels",
    "leftEndOffset",
    "leftStartOffset",
    "length",
    "metadata",
    "modeToEnvMap",
    "mutationTimeColumn",
    "mutationTopic",
    "name",
    "offlineSchedule",
    "outputNamespace",
    "production",
    "reversalColumn",
    "snapshotTable",
    "source",
    "team",
    "timeUnit",
    "valueSchema",
];

/// The names of all fields below `folder`, but of maps.
fn collect(folder: &Path, fields: &mut std::collections::BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => collect(&path, fields),
            false => names(
                &serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap(),
                fields,
            ),
        }
    }
}

fn names(value: &Value, fields: &mut std::collections::BTreeSet<String>) {
    const MAPS: [&str; 8] = [
        "selects",
        "argMap",
        "tableProperties",
        "modeToEnvMap",
        "keyMapping",
        "skewKeys",
        "keySchema",
        "valueSchema",
    ];
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                fields.insert(name.clone());
                if !MAPS.contains(&name.as_str()) {
                    names(value, fields);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| names(item, fields)),
        _ => {}
    }
}
