//! What compile.py did not compile, in one line each.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use chronon_run_core::{Diagnostic, Location};

use crate::{Confs, Outcome, Problem, record::Stale};

/// Findings about what was not compiled. `sampled` are the joins that logged a share of their requests
/// before. Paths are relative to the repo.
#[must_use]
pub fn findings(
    outcomes: &[Outcome],
    sampled: &BTreeSet<PathBuf>,
    confs: &Confs<'_>,
) -> Vec<Diagnostic> {
    let mut found: Vec<Diagnostic> = Vec::new();
    for outcome in outcomes {
        for problem in &outcome.problems {
            let finding = one(outcome, problem, outcomes, confs);
            // compile.py writes the parts of a join with it, so it may say the same of a part again.
            found.extend(finding.filter(|new| !found.iter().any(|old| old.message == new.message)));
        }
        found.extend(left_over(outcome, confs));
    }
    let sampled_now = confs.sampled();
    let lost = sampled.difference(&sampled_now).map(|conf| {
        let message = format!(
            "{} no longer names a `sample_percent`: its requests are no longer logged",
            conf.display()
        );
        Diagnostic::warning("sampling-removed", message)
            .at(Location::file(conf))
            .hint("set `sample_percent` in the join if that was not intended, and compile it again")
    });
    found.extend(lost);
    found
}

fn one(
    outcome: &Outcome,
    problem: &Problem,
    outcomes: &[Outcome],
    confs: &Confs<'_>,
) -> Option<Diagnostic> {
    let at_source = |finding: Diagnostic| finding.at(Location::file(&outcome.source));
    let finding = match problem {
        Problem::Failed { error, message, at } => {
            let same = outcomes
                .iter()
                .filter(|other| other.problems.contains(problem));
            let sources: Vec<String> = same
                .map(|other| other.source.display().to_string())
                .collect();
            let message = format!("{error}: {}", message.lines().next().unwrap_or_default());
            return Some(failed(outcome, &sources, &message, at.as_ref(), confs));
        }
        Problem::Invalid { name, why } => {
            let message = format!("`{name}` was not compiled: compile.py finds it invalid: {why}");
            Diagnostic::error("invalid-source", message)
                .hint("correct the source and compile it again")
        }
        Problem::Online { name } => {
            let message = format!(
                "`{name}` was not compiled: it is online and was edited, and compile.py does not overwrite online confs"
            );
            Diagnostic::error("online-conf", message).hint("leave it as it is and add the edited conf under a new name, or `--force-overwrite` changes what is served")
        }
        Problem::Skipped { name, why, left } => {
            return skipped(name, why, *left, confs).map(at_source);
        }
        Problem::Dependents(names) => {
            let missing: Vec<&str> = names
                .iter()
                .map(String::as_str)
                .filter(|name| !written(outcomes, name))
                .collect();
            if missing.is_empty() {
                return None;
            }
            let message = format!(
                "what was compiled is embedded in {}, and that was not compiled",
                missing.join(", ")
            );
            Diagnostic::error("dependents", message)
                .hint("correct the other findings, then run `chronon-run compile` for the rest")
        }
    };
    Some(at_source(finding))
}

/// The same failure of several sources, of something that they import, is one finding.
fn failed(
    outcome: &Outcome,
    sources: &[String],
    message: &str,
    at: Option<&(PathBuf, usize)>,
    confs: &Confs<'_>,
) -> Diagnostic {
    let were = if sources.len() == 1 { "was" } else { "were" };
    let message = format!("{} {were} not compiled: {message}", sources.join(", "));
    let finding = Diagnostic::error("python-error", message);
    let finding = finding.hint("correct it and compile again; `--verbose` shows the traceback");
    match at {
        Some((file, line)) => {
            let path = file.strip_prefix(confs.repo).unwrap_or(file);
            finding.at(line_of(confs.repo, path, *line))
        }
        None => finding.at(Location::file(&outcome.source)),
    }
}

/// The text of line `line`, from 1, of a file.
fn line_of(repo: &Path, path: &Path, line: usize) -> Location {
    let text = fs::read_to_string(repo.join(path)).unwrap_or_default();
    let mut start = 0;
    for (index, content) in text.split_inclusive('\n').enumerate() {
        if index + 1 == line {
            let indent = content.len() - content.trim_start().len();
            let end = content.trim_end().len().max(indent);
            return Location::bytes(path, start + indent..start + end);
        }
        start += content.len();
    }
    Location::file(path)
}

/// A GroupBy of which compile.py writes no conf. That is as it should be if a join embeds it.
fn skipped(name: &str, why: &str, left: bool, confs: &Confs<'_>) -> Option<Diagnostic> {
    if left {
        let message =
            format!("`{name}` was not compiled, and its earlier conf is still there: {why}");
        return Some(Diagnostic::error("skipped-source", message).hint("delete the conf, or give the GroupBy `online=True` or a `backfill_start_date`, or add `--force-overwrite`"));
    }
    if confs.embeds(name) {
        return None;
    }
    let message = format!("`{name}` was not compiled: {why}");
    Some(Diagnostic::error("skipped-source", message).hint("give it `online=True` or a `backfill_start_date`, use it in a join, or add `--force-overwrite`"))
}

/// Confs whose variable is no longer in the source.
fn left_over(outcome: &Outcome, confs: &Confs<'_>) -> Vec<Diagnostic> {
    if outcome.written.is_empty() && !outcome.problems.is_empty() {
        return Vec::new();
    }
    let named = |path: &Path| {
        outcome.problems.iter().any(|problem| match problem {
            Problem::Invalid { name, .. }
            | Problem::Online { name }
            | Problem::Skipped { name, .. } => is_conf_of(path, name),
            // What comes after it was not tried.
            Problem::Failed { .. } => true,
            Problem::Dependents(_) => false,
        })
    };
    let there = confs.of(&outcome.source).into_keys();
    let left = there.filter(|path| !outcome.written.contains(path) && !named(path));
    let finding = |path: PathBuf| {
        let message = format!(
            "{} is no longer defined in {}",
            path.display(),
            outcome.source.display()
        );
        Diagnostic::warning("conf-without-source", message)
            .at(Location::file(&path))
            .hint("delete the file if the conf is meant to be gone; until then its table is filled as before")
    };
    left.map(finding).collect()
}

fn written(outcomes: &[Outcome], name: &str) -> bool {
    outcomes.iter().any(|outcome| outcome.has_written(name))
}

impl Outcome {
    /// Whether the conf `name` was written.
    #[must_use]
    pub fn has_written(&self, name: &str) -> bool {
        self.written.iter().any(|path| is_conf_of(path, name))
    }
}

/// Whether `production/type/team/rest` is the conf `team.rest`.
fn is_conf_of(path: &Path, name: &str) -> bool {
    name.split_once('.')
        .is_some_and(|(team, rest)| path.ends_with(Path::new(team).join(rest)))
}

impl Stale {
    /// The finding about it, at the source, relative to the repo.
    #[must_use]
    pub fn finding(&self) -> Diagnostic {
        let (source, message) = match self {
            Self::Edited { edited, confs } => {
                let names: Vec<String> = edited
                    .iter()
                    .map(|path| path.display().to_string())
                    .collect();
                let confs = match confs.len() {
                    1 => "1 conf was compiled from it".to_owned(),
                    several => format!("{several} confs were compiled from it"),
                };
                let message = format!("{} was edited since {confs}", names.join(", "));
                (edited.first(), message)
            }
            Self::Never { source } => (
                Some(source),
                format!(
                    "{} was not compiled yet, or not without errors",
                    source.display()
                ),
            ),
            Self::Gone { source, confs } => {
                let confs: Vec<String> = confs
                    .iter()
                    .map(|path| path.display().to_string())
                    .collect();
                let message = format!(
                    "{} is gone, and its confs are still there: {}",
                    source.display(),
                    confs.join(", ")
                );
                return Diagnostic::warning("not-compiled", message)
                    .hint("delete the confs if they are meant to be gone");
            }
        };
        let finding = Diagnostic::warning("not-compiled", message)
            .hint("`chronon-run compile` compiles it and what depends on it");
        match source {
            Some(source) => finding.at(Location::file(source)),
            None => finding,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(problems: Vec<Problem>) -> Outcome {
        Outcome {
            source: "group_bys/shop/a.py".into(),
            problems,
            ..Outcome::default()
        }
    }

    #[test]
    fn a_failure_points_at_the_line_of_the_repo() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("lib.py"), "x = 1\n\n  y = nothing\n").unwrap();
        let confs = Confs {
            repo: folder.path(),
            production: "production",
        };
        let at = Some((folder.path().join("lib.py"), 3));
        let problem = Problem::Failed {
            error: "NameError".into(),
            message: "name 'nothing' is not defined\nmore".into(),
            at,
        };
        let found = findings(&[outcome(vec![problem])], &BTreeSet::new(), &confs);
        assert_eq!(
            found[0].message,
            "group_bys/shop/a.py was not compiled: NameError: name 'nothing' is not defined"
        );
        assert_eq!(found[0].location, Some(Location::bytes("lib.py", 9..20)));
    }

    #[test]
    fn dependents_that_were_compiled_are_no_finding() {
        let folder = tempfile::tempdir().unwrap();
        let confs = Confs {
            repo: folder.path(),
            production: "production",
        };
        let group_by = outcome(vec![Problem::Dependents(vec!["shop.j.v1".into()])]);
        let join = Outcome {
            source: "joins/shop/j.py".into(),
            written: vec!["production/joins/shop/j.v1".into()],
            ..Outcome::default()
        };
        assert_eq!(
            findings(std::slice::from_ref(&group_by), &BTreeSet::new(), &confs).len(),
            1
        );
        assert!(findings(&[group_by, join], &BTreeSet::new(), &confs).is_empty());
    }

    #[test]
    fn a_skipped_group_by_is_a_finding_unless_a_join_embeds_it() {
        let folder = tempfile::tempdir().unwrap();
        let confs = Confs {
            repo: folder.path(),
            production: "production",
        };
        let skipped = |left| {
            outcome(vec![Problem::Skipped {
                name: "shop.a.v1".into(),
                why: "not needed".into(),
                left,
            }])
        };
        assert!(findings(&[skipped(false)], &BTreeSet::new(), &confs)[0].is_error());
        let joins = folder.path().join("production/joins/shop");
        fs::create_dir_all(&joins).unwrap();
        fs::write(
            joins.join("j.v1"),
            r#"{"joinParts": [{"groupBy": {"metaData": {"name": "shop.a.v1"}}}]}"#,
        )
        .unwrap();
        assert!(findings(&[skipped(false)], &BTreeSet::new(), &confs).is_empty());
        assert!(findings(&[skipped(true)], &BTreeSet::new(), &confs)[0].is_error());
    }

    #[test]
    fn lost_sampling_and_confs_without_source_are_warned_of() {
        let folder = tempfile::tempdir().unwrap();
        let confs = Confs {
            repo: folder.path(),
            production: "production",
        };
        let joins = folder.path().join("production/joins/shop");
        fs::create_dir_all(&joins).unwrap();
        fs::write(
            joins.join("j.v1"),
            r#"{"metaData": {"samplePercent": 10.0}}"#,
        )
        .unwrap();
        let sampled = confs.sampled();
        assert_eq!(sampled.len(), 1);
        fs::write(joins.join("j.v1"), "{}").unwrap();
        let join = Outcome {
            source: "joins/shop/j.py".into(),
            ..Outcome::default()
        };
        let codes: Vec<&str> = findings(&[join], &sampled, &confs)
            .iter()
            .map(|f| f.code)
            .collect();
        assert_eq!(codes, ["conf-without-source", "sampling-removed"]);
    }
}
