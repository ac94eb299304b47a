//! `check --analyze`: every field of the selected confs, analysed by Spark against the catalog.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use chronon_run_core::{ConfId, Diagnostic, Location, TableName};
use chronon_run_engine::analyze::{Finding, World, analysis};
use chronon_run_exec::signals;
use chronon_run_report::diagnostics::from_disk;

use crate::{
    failure::Failure,
    listing::session::CatalogSession,
    loading::{compiling::placed, project::Project},
    options::SelectArgs,
    program::now_millis,
    runs::seeding::run_script,
};

/// What Spark does not understand, in one session that reads no row.
pub fn findings(context: &Project, select: &SelectArgs) -> Result<Vec<Diagnostic>, Failure> {
    let (_listener, control) = signals::listen()?;
    let selected = selected(context, select)?;
    let warehouse = CatalogSession::open(&context.workspace)?;
    let exists = exists(context, &warehouse)?;
    let seeds = context.workspace.seeds.iter();
    let seeds = seeds
        .map(|seed| (seed.table.clone(), seed.columns.clone()))
        .collect();
    let analysis = analysis(&World {
        repo: &context.repo,
        selected: &selected,
        exists: &exists,
        seeds: &seeds,
        partition_column: &context.workspace.partition_column,
        day: context.as_of(None)?,
    });
    // A statement that fails must not hide the others.
    let goes_on = [(
        "spark.hadoop.hive.cli.errors.ignore".to_owned(),
        "true".to_owned(),
    )];
    let folder = context
        .workspace
        .state_dir
        .join("samples")
        .join(format!("analysis-{}", now_millis()));
    let log = run_script(
        &context.workspace,
        &warehouse,
        &folder,
        "analysis",
        &goes_on,
        &analysis.script,
        &control,
    )?;
    let Some(found) = analysis.findings(&log) else {
        let message = format!(
            "Spark ended before all {} statements were analysed",
            analysis.statements()
        );
        return Err(Failure::hinted(
            message,
            format!("its log is in {}", folder.display()),
        ));
    };
    // Nothing there is worth keeping.
    let _ = fs::remove_dir_all(&folder);
    Ok(found
        .iter()
        .map(|finding| diagnostic(context, finding))
        .collect())
}

fn selected(context: &Project, select: &SelectArgs) -> Result<BTreeSet<ConfId>, Failure> {
    let assets = context.select(select, true)?.into_iter();
    let sound = assets.filter(|&index| !context.has_errors(index));
    Ok(sound
        .map(|index| context.graph.assets[index].id.conf.clone())
        .collect())
}

/// The tables that confs read or write and that the catalog has now: not the seeds that are still to be
/// loaded.
fn exists(context: &Project, warehouse: &CatalogSession) -> Result<BTreeSet<TableName>, Failure> {
    let all = (0..context.graph.assets.len()).collect();
    let tables = context.graph.tables_of(&all);
    let Some(catalog) = warehouse.catalog() else {
        return Ok(BTreeSet::new());
    };
    let requests = tables.iter();
    let requests =
        requests.map(|(table, columns)| (table.clone(), columns.iter().cloned().collect()));
    let requests: Vec<_> = requests.collect();
    let snapshot = catalog.snapshot(&requests).map_err(Failure::setup)?;
    let names = tables
        .keys()
        .filter(|table| snapshot.table(table).is_some());
    Ok(names.cloned().collect())
}

fn diagnostic(context: &Project, finding: &Finding) -> Diagnostic {
    let line = finding
        .line
        .map(|line| format!(", line {line}"))
        .unwrap_or_default();
    let message = format!(
        "{}: `{}`{line}: {}",
        finding.conf.name, finding.field, finding.message
    );
    let shown = Diagnostic::error("analysis", message).at(in_conf(context, finding));
    let source = in_python(&context.workspace.repo, finding);
    let hint = [finding.hint.clone(), source]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>();
    let shown = match hint.is_empty() {
        true => shown,
        false => shown.hint(hint.join("; ")),
    };
    placed(shown, &context.workspace)
}

/// Where the compiled conf has the field.
fn in_conf(context: &Project, finding: &Finding) -> Location {
    let text = match &context.target {
        // The confs of a target differ from the files that they are made of.
        Some(_) => from_disk(&context.workspace.repo.join(&finding.path)),
        None => context.repo.text(&finding.conf).map(str::to_owned),
    };
    let Some(text) = text else {
        return Location::file(&finding.path);
    };
    let value = serde_json::to_string(&finding.text).unwrap_or_default();
    let key = finding.field.rsplit(['.', '[']).next().unwrap_or_default();
    let with_key = format!("\"{key}\": {value}");
    let at = match text.find(&with_key) {
        Some(at) => Some(at + with_key.len() - value.len()),
        None => text.find(&value),
    };
    match at {
        Some(at) => Location::bytes(&finding.path, at..at + value.len()),
        None => Location::file(&finding.path),
    }
}

/// The Python file that the conf is compiled from, with the line if it has the field's text.
fn in_python(repo: &Path, finding: &Finding) -> Option<String> {
    let mut parts: Vec<&str> = finding.conf.name.split('.').collect();
    parts.pop();
    let path: PathBuf = std::iter::once(finding.conf.conf_type.folder())
        .chain(parts)
        .collect();
    let path = path.with_extension("py");
    let text = fs::read_to_string(repo.join(&path)).ok()?;
    let wanted = finding
        .text
        .lines()
        .nth(finding.line.map_or(0, |line| line - 1))
        .unwrap_or_default()
        .trim();
    let at = (wanted.len() > 1)
        .then(|| text.lines().position(|line| line.contains(wanted)))
        .flatten();
    Some(match at {
        Some(at) => format!("its source is {}:{}", path.display(), at + 1),
        None => format!("its source is {}", path.display()),
    })
}
