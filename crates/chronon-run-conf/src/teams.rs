//! `teams.json` (§1.6).

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::ErrorKind,
    path::Path,
};

use chronon_run_core::{BYTE_ORDER_MARK, Diagnostic, Location};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Variables to set.
pub type Env = BTreeMap<String, String>;

/// The teams of a repo; `default` applies to all of them.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Teams {
    teams: BTreeMap<String, Value>,
    unread: bool,
}

/// One entry, as far as its shape is fixed.
#[derive(Deserialize)]
struct Shape {
    #[serde(default)]
    #[expect(dead_code, reason = "only its shape is checked")]
    namespace: Option<String>,
    #[serde(default)]
    #[expect(dead_code, reason = "only its shape is checked")]
    user: Option<String>,
    #[serde(default)]
    #[expect(dead_code, reason = "only its shape is checked")]
    table_properties: Option<BTreeMap<String, String>>,
    #[serde(default)]
    #[expect(dead_code, reason = "only its shape is checked")]
    common_env: Option<Env>,
}

impl Teams {
    /// Reads `path`. What is wrong becomes findings; what is right is still there.
    #[must_use]
    pub fn load(path: &Path) -> (Self, Vec<Diagnostic>) {
        let at = || Location::file(path);
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                let finding = Diagnostic::error("bad-teams", "the file is not UTF-8 text");
                let finding = finding.at(at()).hint("save it as UTF-8");
                return (Self::unread(), vec![finding]);
            }
            Err(error) => {
                let finding = Diagnostic::error("no-teams", format!("cannot read teams.json: {error}"))
                    .at(at())
                    .hint("`repo` in workspace.toml must name the folder that holds teams.json and production/");
                return (Self::unread(), vec![finding]);
            }
        };
        let text = text.trim_start_matches(BYTE_ORDER_MARK);
        match serde_json::from_str::<BTreeMap<String, Value>>(text) {
            Ok(teams) => {
                let findings = check(&teams).map(|finding| finding.at(at())).collect();
                let unread = false;
                (Self { teams, unread }, findings)
            }
            Err(error) => {
                let byte = crate::json::offset(text, error.line(), error.column());
                let finding = Diagnostic::error("bad-teams", crate::json::describe(".", &error))
                    .at(Location::bytes(path, byte..byte));
                (Self::unread(), vec![finding])
            }
        }
    }

    /// Whether `team` has an entry. Of a teams.json that could not be read it is not known, so it
    /// has every team: one finding about the file says more than one for each conf.
    #[must_use]
    pub fn has(&self, team: &str) -> bool {
        self.unread || self.teams.contains_key(team)
    }

    fn unread() -> Self {
        Self {
            unread: true,
            ..Self::default()
        }
    }

    /// The names of all entries but `default`.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.teams
            .keys()
            .map(String::as_str)
            .filter(|name| *name != DEFAULT)
    }

    /// A text of the team's entry, else of `default`'s: `namespace`, `user`, …
    #[must_use]
    pub fn text(&self, team: &str, key: &str) -> Option<&str> {
        let of = |team: &str| self.teams.get(team)?.get(key)?.as_str();
        of(team).or_else(|| of(DEFAULT))
    }

    /// A value of the team's entry, else of `default`'s, whatever its shape (Airflow's keys).
    #[must_use]
    pub fn value(&self, team: &str, key: &str) -> Option<&Value> {
        let of = |team: &str| self.teams.get(team)?.get(key);
        of(team).or_else(|| of(DEFAULT))
    }

    /// `teams.<team>.<environment>.<mode>` (§2.5).
    #[must_use]
    pub fn mode_env(&self, team: &str, environment: &str, mode: &str) -> Env {
        let modes = self
            .teams
            .get(team)
            .and_then(|entry| entry.get(environment));
        texts(modes.and_then(|modes| modes.get(mode)))
    }

    /// Every value that the team's own entry gives a variable, in whatever environment and mode.
    #[must_use]
    pub fn variable(&self, team: &str, name: &str) -> BTreeSet<&str> {
        let mut found = BTreeSet::new();
        let mut open: Vec<&Value> = self.teams.get(team).into_iter().collect();
        while let Some(entry) = open.pop() {
            let entries = entry.as_object().into_iter().flatten();
            found.extend(entry.get(name).and_then(Value::as_str));
            open.extend(
                entries
                    .map(|(_, value)| value)
                    .filter(|value| value.is_object()),
            );
        }
        found
    }

    /// `teams.default.common_env` (§1.6).
    #[must_use]
    pub fn common_env(&self) -> Env {
        texts(
            self.teams
                .get(DEFAULT)
                .and_then(|entry| entry.get("common_env")),
        )
    }
}

const DEFAULT: &str = "default";

fn texts(value: Option<&Value>) -> Env {
    let entries = value.and_then(Value::as_object).into_iter().flatten();
    entries
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// Entries whose shape run.py could not use; every environment value must be a text (§2.5).
fn check(teams: &BTreeMap<String, Value>) -> impl Iterator<Item = Diagnostic> + '_ {
    teams.iter().flat_map(|(team, entry)| {
        let shape = Shape::deserialize(entry).err();
        let shape = shape.map(|error| bad(format!("team `{team}`: {error}")));
        let modes = entry
            .as_object()
            .into_iter()
            .flat_map(|entry| modes(team, entry));
        shape.into_iter().chain(modes)
    })
}

/// Values of `production.<mode>` and the like that are not texts.
fn modes<'a>(
    team: &'a str,
    entry: &'a Map<String, Value>,
) -> impl Iterator<Item = Diagnostic> + 'a {
    let environments = entry
        .iter()
        .filter(|(key, _)| !["table_properties", "common_env"].contains(&key.as_str()));
    environments.flat_map(move |(environment, modes)| {
        let modes = modes.as_object().into_iter().flatten();
        modes.flat_map(move |(mode, variables)| {
            let variables = variables.as_object().into_iter().flatten();
            variables
                .filter(|(_, value)| !value.is_string())
                .map(move |(variable, _)| {
                    bad(format!(
                        "team `{team}`: {environment}.{mode}.{variable} is not a string"
                    ))
                })
        })
    })
}

fn bad(message: String) -> Diagnostic {
    Diagnostic::error("bad-teams", message)
        .hint("all values of environment variables must be strings: \"2\", not 2")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_and_findings() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("teams.json");
        let text = r#"{"default": {"namespace": "d", "common_env": {"A": "1"}, "production": {"backfill": {"X": "2"}}},
                       "search": {"user": "s", "production": {"backfill": {"N": 4}}}}"#;
        fs::write(&path, text).unwrap();
        let (teams, findings) = Teams::load(&path);
        assert!(teams.has("search") && !teams.has("nobody"));
        assert_eq!(teams.text("search", "namespace"), Some("d"));
        assert_eq!(teams.common_env()["A"], "1");
        assert_eq!(teams.variable("default", "X"), ["2"].into());
        assert_eq!(teams.variable("default", "A"), ["1"].into());
        assert!(teams.variable("search", "A").is_empty());
        assert_eq!(
            teams.mode_env("default", "production", "backfill")["X"],
            "2"
        );
        assert_eq!(findings.len(), 1);
        assert!(
            findings[0]
                .message
                .contains("production.backfill.N is not a string"),
            "{findings:?}"
        );

        fs::write(&path, "{\"default\": ").unwrap();
        assert_eq!(Teams::load(&path).1[0].code, "bad-teams");
        assert_eq!(
            Teams::load(&folder.path().join("none")).1[0].code,
            "no-teams"
        );
    }
}
