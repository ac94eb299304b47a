//! Environment assembly of §2.5: which variable a job gets from where.

use std::collections::BTreeMap;

use serde_json::Value;

/// The layers below the process environment, first writer first. All values are strings.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Layers {
    /// `(where it comes from, variables)`.
    pub layers: Vec<(String, BTreeMap<String, String>)>,
}

impl Layers {
    /// Adds a layer that every earlier one overrides.
    pub fn push(&mut self, origin: &str, variables: BTreeMap<String, String>) {
        self.layers.push((origin.to_owned(), variables));
    }

    /// The variable's value and where it comes from.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<(&str, &str)> {
        self.layers
            .iter()
            .find_map(|(origin, variables)| Some((variables.get(name)?.as_str(), origin.as_str())))
    }

    /// The first writer of every variable.
    #[must_use]
    pub fn flatten(&self) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        for (_, variables) in self.layers.iter().rev() {
            all.extend(variables.iter().map(|(k, v)| (k.clone(), v.clone())));
        }
        all
    }
}

/// What the layers below the process environment depend on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    /// The parsed `teams.json`.
    pub teams: &'a Value,
    /// The team of the conf's path; empty means `default`.
    pub team: &'a str,
    /// run.py's `--env`.
    pub env: &'a str,
    /// [`super::Mode::settings_word`].
    pub mode: &'a str,
}

/// Why there is no environment; run.py dies of a `KeyError` or `TypeError`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Trouble {
    /// `teams.json` does not have the team.
    UnknownTeam(String),
    /// A variable's value is not text: `<place>.<name>`.
    NotText(String),
}

/// The layers (3) to (6) of §2.5: the team's own environment, its production, the default team's
/// production, `common_env`.
pub(super) fn team_layers(request: Request<'_>) -> Result<Layers, Trouble> {
    let Request {
        teams,
        team,
        env,
        mode,
    } = request;
    let team = if team.is_empty() { "default" } else { team };
    let settings = teams
        .get(team)
        .ok_or_else(|| Trouble::UnknownTeam(team.to_owned()))?;
    let default = &teams["default"];
    let places = [
        (format!("{team}.{env}.{mode}"), &settings[env][mode]),
        (
            format!("{team}.production.{mode}"),
            &settings["production"][mode],
        ),
        (
            format!("default.production.{mode}"),
            &default["production"][mode],
        ),
        ("default.common_env".to_owned(), &default["common_env"]),
    ];
    let mut layers = Layers::default();
    for (place, tree) in places {
        let origin = format!("teams.json {place}");
        layers.push(&origin, texts(&origin, tree)?);
    }
    Ok(layers)
}

/// The members of an object, which must be texts; `null` counts as absent, as in run.py.
fn texts(origin: &str, tree: &Value) -> Result<BTreeMap<String, String>, Trouble> {
    let members = tree.as_object().into_iter().flatten();
    members
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| match value.as_str() {
            Some(text) => Ok((name.clone(), text.to_owned())),
            None => Err(Trouble::NotText(format!("{origin}.{name}"))),
        })
        .collect()
}
