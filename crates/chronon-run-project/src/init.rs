//! What the first workspace.toml of an existing Chronon repo is made from.

use std::path::Path;

use chronon_run_conf::ConfRepo;
use chronon_run_plan::{BuildOptions, Graph};
use chronon_run_workspace::{RepoFacts, Workspace};

use crate::{failure::Failure, loading::state, output::note};

/// Fails if a folder is no repo whose confs can be read.
pub fn check_repo(repo: &Path) -> Result<(), Failure> {
    let has = |name: &str| repo.join(name).exists();
    if (has("teams.py") || has("compiled")) && !(has("teams.json") && has("production")) {
        return Err(Failure::hinted(
            format!(
                "{} is a repo of Zipline, a fork of Chronon: it has {}",
                repo.display(),
                if has("compiled") {
                    "compiled/"
                } else {
                    "teams.py"
                }
            ),
            "Zipline's confs are not supported: they have fields of another meaning (`tableDependencies`, `partitionInterval`, `partitionFormat`, `engineType`) and are run by Zipline's own programs; confs that Chronon's compile.py writes to production/, beside teams.json, are",
        ));
    }
    match repo.join("teams.json").is_file() {
        true => Ok(()),
        false => Err(Failure::hinted(
            format!(
                "{} is no Chronon repo: it has no teams.json",
                repo.display()
            ),
            "name the folder that holds teams.json and production/: `chronon-run init REPO`",
        )),
    }
}

/// What the repo tells: teams, and the tables that none of its confs fills.
#[must_use]
pub fn facts(repo: &Path) -> RepoFacts {
    let loaded = ConfRepo::load(repo, "production").repo;
    let (graph, _) = Graph::build(&loaded.views(), &BuildOptions::default());
    RepoFacts {
        repo: repo.display().to_string(),
        teams: loaded.teams.names().map(str::to_owned).collect(),
        sources: graph.sources().into_keys().collect(),
    }
}

/// Nothing in the state folder is for git. The first run sees to it, too, so a failure is only reported.
pub fn ignore_state(file: &Path) {
    if let Ok(loaded) = Workspace::load(file)
        && let Err(failure) = state::create(&loaded.workspace)
    {
        note(&failure.text());
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_repo_of_zipline_is_named_unless_chronons_confs_are_there_too() {
        let folder = tempfile::tempdir().unwrap();
        let repo = folder.path();
        let problem = || check_repo(repo).err().map(|failure| failure.text());
        assert!(problem().unwrap().ends_with("it has no teams.json"));
        fs::write(repo.join("teams.py"), "").unwrap();
        assert!(problem().unwrap().ends_with("it has teams.py"));
        fs::create_dir(repo.join("compiled")).unwrap();
        assert!(problem().unwrap().ends_with("it has compiled/"));
        fs::write(repo.join("teams.json"), "{}").unwrap();
        assert!(problem().is_some());
        fs::create_dir(repo.join("production")).unwrap();
        assert_eq!(problem(), None);
    }
}
