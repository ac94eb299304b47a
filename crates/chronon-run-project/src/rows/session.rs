//! Rows that only Spark can read: one script, whose answer is read from the files that it wrote.

use std::{
    fs,
    path::{Path, PathBuf},
};

use chronon_run_engine::query::{HEADERS, parse_text, rows_script, text_script};
use chronon_run_exec::signals;
use chronon_run_rows::{Scan, list_files};
use chronon_run_workspace::Workspace;

use super::{HALF_WRITTEN, failure};
use crate::{
    failure::Failure, listing::session::CatalogSession, loading::project::Project, output::note,
    program::now_millis, runs::seeding::run_script,
};

/// An answer of Spark's, in a folder that is removed with it.
pub struct Answer {
    pub scan: Scan,
    _folder: Folder,
}

/// A folder of one query.
struct Folder(PathBuf);

impl Folder {
    fn create(context: &Project) -> Self {
        let name = format!("{}-{}", now_millis(), std::process::id());
        Self(context.workspace.state_dir.join("queries").join(name))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed costs only space.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The first `limit` rows of a query, or all.
pub fn rows_of(
    context: &Project,
    warehouse: &CatalogSession,
    query: &str,
    limit: Option<u64>,
) -> Result<Answer, Failure> {
    let folder = Folder::create(context);
    let rows = folder.path().join("rows");
    let script = rows_script(query, &rows, limit);
    run(context, warehouse, folder.path(), &script, &[])?;
    let files = list_files(&rows)
        .map_err(failure)?
        .unwrap_or_default()
        .files;
    let scan = Scan::open_written(&files).map_err(failure)?;
    Ok(Answer {
        scan,
        _folder: folder,
    })
}

/// The columns and rows of a statement that has text.
pub fn text_of(
    context: &Project,
    warehouse: &CatalogSession,
    statement: &str,
) -> Result<(Vec<String>, Vec<Vec<String>>), Failure> {
    let folder = Folder::create(context);
    let headers = HEADERS.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let script = text_script(statement);
    let log = run(context, warehouse, folder.path(), &script, &headers)?;
    Ok(parse_text(&log).unwrap_or_default())
}

fn run(
    context: &Project,
    warehouse: &CatalogSession,
    folder: &Path,
    script: &str,
    extra: &[(String, String)],
) -> Result<String, Failure> {
    if warehouse.spark().known(&context.workspace).is_none() {
        return Err(Failure::hinted(
            "this needs Spark, and there is none",
            "`chronon-run engine install` downloads it once; or set `spark_home` under [engine] or SPARK_HOME to one that is there",
        ));
    }
    let (_listener, control) = signals::listen()?;
    let workspace = on_this_machine(&context.workspace);
    let done = run_script(
        &workspace, warehouse, folder, "query", extra, script, &control,
    );
    done.map_err(|failure| match failure {
        // The log is removed with its folder; its one line that counts is quoted.
        Failure::Setup { message, .. } => Failure::setup(hinted(&message)),
        other => other,
    })
}

/// Answers come back as files, so Spark runs where they can be read.
fn on_this_machine(workspace: &Workspace) -> Workspace {
    let mut workspace = workspace.clone();
    let master = &workspace.engine.master;
    if !master.starts_with("local") {
        note(&format!(
            "note: the query runs on this machine, not on {master}"
        ));
        workspace.engine.master = "local[*]".to_owned();
    }
    workspace
}

/// Spark's words, without the name of a script that the user has not written, and what to do.
fn hinted(message: &str) -> String {
    let message = message
        .strip_prefix("`query.sql` failed: ")
        .unwrap_or(message);
    let advice = [
        ("is not a Parquet file", HALF_WRITTEN),
        ("Could not read footer", HALF_WRITTEN),
        ("Checksum error", HALF_WRITTEN),
        (
            "duplicate column",
            "give each column a name of its own with AS",
        ),
        (
            "COLUMN_ALREADY_EXISTS",
            "give each column a name of its own with AS",
        ),
        ("invalid character(s)", "give the column a name with AS"),
        (
            "does not support void",
            "give the NULL a type with CAST(NULL AS …)",
        ),
        (
            "does not support null",
            "give the NULL a type with CAST(NULL AS …)",
        ),
        ("does not support interval", "CAST the interval AS STRING"),
    ];
    let message = in_query(message);
    let lower = message.to_lowercase();
    let found = advice
        .iter()
        .find(|(part, _)| lower.contains(&part.to_lowercase()));
    match found {
        Some((_, what)) => format!("Spark: {}: {what}", message.trim_end_matches('.')),
        None => format!("Spark: {message}"),
    }
}

/// Lines before the user's own, in the statement as Spark counts them.
const LINES_BEFORE: u64 = 3;

/// The message with the line of the user's query instead of that of the script.
fn in_query(message: &str) -> String {
    let moved = || {
        let (before, place) = message.rsplit_once("line ")?;
        let (line, column) = place.split_once(" pos ")?;
        let line: u64 = line.parse().ok()?;
        Some(format!(
            "{before}line {} pos {column}",
            line.checked_sub(LINES_BEFORE)?
        ))
    };
    moved().unwrap_or_else(|| message.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_of_the_query() {
        assert_eq!(
            in_query("no column x; line 4 pos 15"),
            "no column x; line 1 pos 15"
        );
        assert_eq!(in_query("line up"), "line up");
        let told = hinted("`query.sql` failed: Found duplicate column(s) x");
        assert_eq!(
            told,
            "Spark: Found duplicate column(s) x: give each column a name of its own with AS"
        );
        let half = hinted("java.lang.RuntimeException: file:/w/p.parquet is not a Parquet file.");
        assert!(
            half.contains("p.parquet is not a Parquet file: the day is half written"),
            "{half}"
        );
    }
}
