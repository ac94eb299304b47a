//! The workspace: its confs, state folder, ledger and catalog.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    time::Duration,
};

use chronon_run_catalog::{Catalog, Timeouts, embedded};
use chronon_run_core::{Diagnostic, TableName, secret::mask_text};
use chronon_run_ledger::{Condition, inspect};
use chronon_run_process::{User, is_writable, used};
use chronon_run_report::{Check, Verdict, count, size};
use chronon_run_workspace::{Catalog as CatalogSettings, Workspace};

use super::disk::{room, shown};
use crate::{failure::Failure, loading::project::Project, paths::metastore_directory};

const WORKSPACE: &str = "workspace";
const STATE: &str = "state folder";

/// How many findings `check --offline` has.
pub(super) fn of_confs(workspace: &Result<Option<Workspace>, Vec<Diagnostic>>) -> Vec<Check> {
    let workspace = match workspace {
        Ok(Some(workspace)) => workspace,
        Ok(None) => {
            let none = "there is no workspace.toml here or above";
            return vec![
                Check::new(WORKSPACE, "file", Verdict::Warning, none)
                    .hint("`-C DIR` looks elsewhere; `chronon-run init REPO` writes one"),
            ];
        }
        Err(findings) => return vec![summary(findings)],
    };
    let file = Check::info(WORKSPACE, "file", shown(&workspace.file));
    let repo = Check::info(WORKSPACE, "repo", shown(&workspace.repo));
    match Project::load_with_findings() {
        Ok((context, findings)) => {
            let found = format!(
                "{}, {}",
                count(context.conf_count(), "conf"),
                count(context.graph.assets.len() as u64, "asset")
            );
            vec![
                file,
                repo,
                Check::info(WORKSPACE, "confs", found),
                summary(&findings),
            ]
        }
        Err(Failure::Findings(findings)) => vec![file, repo, summary(&findings)],
        Err(failure) => vec![
            file,
            repo,
            Check::new(WORKSPACE, "confs", Verdict::Problem, failure.text()),
        ],
    }
}

fn summary(findings: &[Diagnostic]) -> Check {
    let check = |verdict, text: &str| Check::new(WORKSPACE, "findings", verdict, text);
    let errors = findings.iter().filter(|it| it.is_error()).count();
    let warnings = findings.len() - errors;
    let text = format!(
        "{}, {}",
        count(errors as u64, "error"),
        count(warnings as u64, "warning")
    );
    let hint = "`chronon-run check` shows them";
    match (errors, warnings) {
        (0, 0) => check(Verdict::Ok, "none"),
        (0, _) => check(Verdict::Warning, &text).hint(hint),
        _ => check(Verdict::Problem, &text).hint(hint),
    }
}

pub(super) fn of_state(workspace: &Workspace) -> Vec<Check> {
    let folder = &workspace.state_dir;
    let Ok(found) = fs::metadata(folder) else {
        return vec![
            Check::info(
                STATE,
                "folder",
                format!("{}, not there yet", folder.display()),
            ),
            room(STATE, "free", folder),
        ];
    };
    let owner = User::owner_of(folder);
    let owner = owner.map_or_else(String::new, |owner| match owner.name {
        Some(name) => name,
        None => owner.uid.to_string(),
    });
    let mode = found.permissions().mode() & 0o7777;
    let whose = format!("owner {owner}, group {}", found.gid());
    let held = used(folder);
    let held = format!("{} in {}", size(held.bytes), count(held.files, "file"));
    vec![
        Check::info(STATE, "folder", shown(folder)),
        of_rights(mode, &whose, is_writable(folder)),
        Check::info(STATE, "size", held),
        room(STATE, "free", folder),
        of_ledger(&folder.join("ledger.db")),
    ]
}

fn of_rights(mode: u32, whose: &str, writable: bool) -> Check {
    let rights = format!("{mode:04o}, {whose}");
    match (mode & 0o002 != 0, writable) {
        (true, _) => Check::new(STATE, "rights", Verdict::Warning, rights)
            .hint("every user of the machine can change what runs here: `chmod o-w` it"),
        (false, false) => {
            let text = rights + ", not writable by this user";
            Check::new(STATE, "rights", Verdict::Warning, text)
        }
        (false, true) => Check::new(STATE, "rights", Verdict::Ok, rights),
    }
}

fn of_ledger(path: &Path) -> Check {
    let check = |verdict, text: String| Check::new(STATE, "ledger", verdict, text);
    if fs::symlink_metadata(path).is_err() {
        return check(Verdict::Info, "nothing was run yet".to_owned());
    }
    match inspect(path) {
        Ok(found) => of_inspection(&found),
        Err(why) => check(Verdict::Problem, format!("cannot be read: {why}")),
    }
}

fn of_inspection(found: &Condition) -> Check {
    let check = |verdict, text: String| Check::new(STATE, "ledger", verdict, text);
    let held = format!(
        "{}, {}",
        count(found.runs, "run"),
        count(found.steps, "step")
    );
    match (&found.damage, found.is_newer) {
        (Some(damage), _) => check(Verdict::Problem, format!("{held}; damaged: {damage}")).hint(
            "the next run keeps it under another name and begins a new one with what can be read",
        ),
        (None, true) => check(
            Verdict::Warning,
            format!("{held}; written by a newer version"),
        ),
        (None, false) => check(Verdict::Ok, format!("{held}, no damage")),
    }
}

/// How long a metastore may take to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// Whether the catalog answers. An embedded metastore is not started for this.
pub(super) fn of_catalog(workspace: &Workspace) -> Check {
    let check = |verdict, text: String| Check::new("catalog", "metastore", verdict, text);
    match &workspace.catalog {
        CatalogSettings::Embedded { .. } => {
            let folder = metastore_directory(workspace);
            match (embedded::is_usable(&folder), embedded::is_running(&folder)) {
                (false, _) => check(
                    Verdict::Warning,
                    format!("embedded, {}, of another user", folder.display()),
                ),
                (true, true) => check(Verdict::Ok, "embedded, runs".to_owned()),
                (true, false) => check(
                    Verdict::Ok,
                    "embedded, does not run now; a command starts it".to_owned(),
                ),
            }
        }
        CatalogSettings::Hive { uri, .. } => of_hive(uri),
        CatalogSettings::Fixture { path } => match asked(&Catalog::fixture(path)) {
            Ok(()) => check(Verdict::Ok, format!("fixture {}", path.display())),
            Err(error) => check(Verdict::Problem, error.to_string()),
        },
    }
}

fn of_hive(uri: &str) -> Check {
    let check = |verdict, text: String| Check::new("catalog", "metastore", verdict, text);
    let shown = mask_text(uri);
    let timeouts = Timeouts {
        connect: ANSWER,
        call: ANSWER,
    };
    match Catalog::connect(uri, timeouts).and_then(|catalog| asked(&catalog)) {
        Ok(()) => check(Verdict::Ok, format!("{shown} answers")),
        Err(error) => check(
            Verdict::Problem,
            format!("{shown}: {}", mask_text(&error.to_string())),
        )
        .hint("correct `uri` under [catalog], or start the metastore"),
    }
}

/// Asks for a table that need not exist.
fn asked(catalog: &Catalog) -> Result<(), chronon_run_catalog::CatalogError> {
    let Ok(table) = "default.chronon_run_doctor".parse::<TableName>() else {
        return Ok(());
    };
    catalog.snapshot(&[(table, Vec::new())]).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_counted_and_errors_are_a_problem() {
        let warning = || Diagnostic::warning("w", "x");
        assert_eq!(summary(&[]).verdict, Verdict::Ok);
        let warned = summary(&[warning(), warning()]);
        assert_eq!(
            (warned.verdict, warned.value.as_str()),
            (Verdict::Warning, "0 errors, 2 warnings")
        );
        let failed = summary(&[warning(), Diagnostic::error("e", "x")]);
        assert_eq!(
            (failed.verdict, failed.value.as_str()),
            (Verdict::Problem, "1 error, 1 warning")
        );
    }

    #[test]
    fn a_folder_that_everyone_can_write_is_a_warning() {
        let of = |mode, writable| of_rights(mode, "owner ann, group 7", writable);
        let open = of(0o0777, true);
        assert_eq!(open.verdict, Verdict::Warning);
        assert!(open.hint.is_some_and(|hint| hint.contains("chmod o-w")));
        assert_eq!(of(0o2775, true).verdict, Verdict::Ok);
        assert_eq!(of(0o2775, true).value, "2775, owner ann, group 7");
        let foreign = of(0o0755, false);
        assert_eq!(foreign.verdict, Verdict::Warning);
        assert!(foreign.value.ends_with("not writable by this user"));
    }

    #[test]
    fn a_damaged_ledger_is_a_problem_and_a_newer_one_a_warning() {
        let of = |damage: Option<&str>, is_newer| {
            let found = Condition {
                runs: 1,
                steps: 2,
                damage: damage.map(str::to_owned),
                is_newer,
            };
            of_inspection(&found)
        };
        let sound = of(None, false);
        assert_eq!(
            (sound.verdict, sound.value.as_str()),
            (Verdict::Ok, "1 run, 2 steps, no damage")
        );
        assert_eq!(of(None, true).verdict, Verdict::Warning);
        let damaged = of(Some("page 7"), false);
        assert_eq!(damaged.verdict, Verdict::Problem);
        assert!(damaged.value.ends_with("damaged: page 7"));
    }
}
