//! `chronon-run init`: a workspace.toml for an existing Chronon repo.

use std::{env, path::Path};

use chronon_run_conf::ConfRepo;
use chronon_run_plan::{BuildOptions, Graph};
use chronon_run_project::{failure::Failure, loading::state, output::note};
use chronon_run_workspace::{RepoFacts, Workspace, init_text};

use crate::cli::InitArgs;

pub(crate) fn run(args: &InitArgs) -> Result<(), Failure> {
    let file = env::current_dir()?.join("workspace.toml");
    if file.exists() && !args.force {
        return Err(Failure::hinted(
            format!("{} exists already", file.display()),
            "`--force` overwrites it",
        ));
    }
    let has = |name: &str| args.repo.join(name).exists();
    if (has("teams.py") || has("compiled")) && !(has("teams.json") && has("production")) {
        return Err(Failure::hinted(
            format!(
                "{} is a repo of Zipline, a fork of Chronon: it has {}",
                args.repo.display(),
                if has("compiled") {
                    "compiled/"
                } else {
                    "teams.py"
                }
            ),
            "Zipline's confs are not supported: they have fields of another meaning (`tableDependencies`, `partitionInterval`, `partitionFormat`, `engineType`) and are run by Zipline's own programs; confs that Chronon's compile.py writes to production/, beside teams.json, are",
        ));
    }
    if !args.repo.join("teams.json").is_file() {
        return Err(Failure::hinted(
            format!(
                "{} is no Chronon repo: it has no teams.json",
                args.repo.display()
            ),
            "name the folder that holds teams.json and production/: `chronon-run init REPO`",
        ));
    }
    let text = init_text(&facts(&args.repo));
    chronon_run_process::replace(&file, text)
        .map_err(|error| Failure::setup(format!("cannot write {}: {error}", file.display())))?;
    ignore_state(&file);
    note(&format!("wrote {}", file.display()));
    note("next: `chronon-run check`, then `chronon-run plan`");
    Ok(())
}

/// Nothing in the state folder is for git. The first run sees to it too.
fn ignore_state(file: &Path) {
    if let Ok(loaded) = Workspace::load(file)
        && let Err(failure) = state::create(&loaded.workspace)
    {
        note(&failure.text());
    }
}

/// What the repo tells: teams, and the tables that none of its confs fills.
fn facts(repo: &Path) -> RepoFacts {
    let loaded = ConfRepo::load(repo, "production").repo;
    let (graph, _) = Graph::build(&loaded.views(), &BuildOptions::default());
    RepoFacts {
        repo: repo.display().to_string(),
        teams: loaded.teams.names().map(str::to_owned).collect(),
        sources: graph.sources().into_keys().collect(),
    }
}
