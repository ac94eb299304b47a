//! Environment assembly of §2.5: which variable a job gets from where.

use std::collections::BTreeMap;

use chronon_run_conf::Teams;

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

/// A team that `teams.json` does not have; run.py dies of a `KeyError`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct UnknownTeam(pub(super) String);

/// The layers (3) to (6) of §2.5 for run.py's `--env` and [`super::Mode::settings_word`]: the
/// team's own environment, its production, the default team's production, `common_env`.
/// A path without a team belongs to `default`.
pub(super) fn team_layers(
    teams: &Teams,
    team: &str,
    env: &str,
    mode: &str,
) -> Result<Layers, UnknownTeam> {
    let team = if team.is_empty() { "default" } else { team };
    if !teams.has(team) {
        return Err(UnknownTeam(team.to_owned()));
    }
    let mut layers = Layers::default();
    for (team, env) in [(team, env), (team, "production"), ("default", "production")] {
        let origin = format!("teams.json {team}.{env}.{mode}");
        layers.push(&origin, teams.mode_env(team, env, mode));
    }
    layers.push("teams.json default.common_env", teams.common_env());
    Ok(layers)
}
