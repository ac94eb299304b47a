//! Everything that `check` finds wrong with a workspace and its confs.

mod inputs;
mod refused;
mod tables;

use chronon_run_core::{Diagnostic, Location, Schedule};
use chronon_run_plan::Asset;
use chronon_run_spark::{self as spark, Spark};
use chronon_run_workspace::Catalog;

use crate::{
    engines::{analyzing, checking},
    failure::Failure,
    listing::{leases, session::CatalogSession},
    loading::{
        compiling,
        day_formats::formats,
        days, iso_macros, jars,
        project::Project,
        seed_days,
        spark::spark_environment,
        targets::{self, Unselected},
    },
    options::SelectArgs,
    runs::sampling,
};

/// What is looked at besides the files.
pub struct Scope<'a> {
    /// Not the catalog.
    pub offline: bool,
    /// Rows of the sources.
    pub sample: bool,
    /// The expressions of these assets, by Spark.
    pub analyze: Option<&'a SelectArgs>,
    /// The confs and tables are those of this target instead of production's.
    pub target: Option<&'a str>,
}

impl Scope<'_> {
    /// The context of the target, if there is one.
    fn enter(&self, context: Project) -> Result<Project, Failure> {
        let select = self.analyze.cloned().unwrap_or_default();
        targets::enter(context, self.target, &select, Unselected::All, None)
    }
}

/// What is wrong besides `found`, which loading the workspace of production has found.
///
/// # Errors
/// [`Failure`] if there is no such target, or the catalog or Spark cannot be asked.
pub fn all(
    context: Project,
    found: Vec<Diagnostic>,
    scope: &Scope<'_>,
) -> Result<Vec<Diagnostic>, Failure> {
    let mut findings = found;
    // Files are the same for every target, and so are the names of tables in them.
    let sources: Vec<Diagnostic> = compiling::stale(&context.workspace)
        .into_iter()
        .chain(seed_days::findings(&context))
        .collect();
    let settings: Vec<Diagnostic> = local_locks(&context)
        .into_iter()
        .chain(days::finding(&context))
        .chain(checking::findings(&context))
        .collect();
    let context = &scope.enter(context)?;
    let warehouse = match scope.offline {
        true => None,
        false => look(context)?,
    };
    match &warehouse {
        Some(warehouse) => findings.extend(of_catalog(context, warehouse)?),
        None => findings.extend(iso_macros::findings(context, &formats(context))),
    }
    findings.extend(sources);
    findings.extend(refused::engine_cannot(context));
    findings.extend(settings);
    if let Some(warehouse) = &warehouse {
        findings.extend(checking::unknown_columns(context, warehouse));
    }
    findings.extend(bad_schedules(context));
    if scope.sample {
        findings.extend(sampling::findings(context)?);
    }
    if let Some(select) = scope.analyze {
        findings.extend(analyzing::findings(context, select)?);
    }
    let spark = known_spark(context);
    findings.extend(jars::findings(&context.workspace, spark.as_ref(), true));
    Ok(findings)
}

/// What the catalog shows of the tables that are read and written.
fn of_catalog(context: &Project, warehouse: &CatalogSession) -> Result<Vec<Diagnostic>, Failure> {
    let mut findings = inputs::missing(context, warehouse);
    findings.extend(tables::differing_columns(context, warehouse)?);
    findings.extend(tables::times_not_joined(context, warehouse));
    Ok(findings)
}

/// The catalog; `None` if it is out of reach, which is said.
fn look(context: &Project) -> Result<Option<CatalogSession>, Failure> {
    match CatalogSession::look(&context.workspace) {
        Ok(warehouse) => Ok(Some(warehouse)),
        Err(failure) => {
            inputs::tell_unchecked(&failure);
            match tables::finals_of_driver(context).is_empty() {
                true => Ok(None),
                false => Err(failure),
            }
        }
    }
}

/// The Spark that would run jobs, if one is found without installing it.
fn known_spark(context: &Project) -> Option<Spark> {
    let found = spark::find(&spark_environment(Some(&context.workspace))).ok()?;
    found.complete()
}

/// That other checkouts and hosts may write the same tables at the same time.
fn local_locks(context: &Project) -> Option<Diagnostic> {
    let workspace = &context.workspace;
    let why = match &workspace.catalog {
        Catalog::Hive { .. } => leases::only_local(workspace)?,
        Catalog::Embedded { .. } | Catalog::Fixture { .. } => return None,
    };
    let message = "locks hold for this checkout only: the catalog keeps no claims of runs";
    let finding = Diagnostic::warning("local-locks", format!("{message}: {why}"));
    let hint = "let the metastore's user create views in the databases of the tables, or run from one checkout only";
    Some(finding.at(Location::file(&workspace.file)).hint(hint))
}

/// Schedules that `frontfill` does not understand.
fn bad_schedules(context: &Project) -> Vec<Diagnostic> {
    let finding = |asset: &Asset| {
        let finding = bad_schedule(asset)?;
        let path = context.workspace.repo.join(&asset.path);
        Some(finding.at(Location::file(path)))
    };
    context.graph.assets.iter().filter_map(finding).collect()
}

fn bad_schedule(asset: &Asset) -> Option<Diagnostic> {
    let parsed: Result<Schedule, _> = asset.schedule.as_deref()?.parse();
    let message = format!("{}: {}", asset.id, parsed.err()?);
    let finding = Diagnostic::warning("bad-schedule", message);
    Some(
        finding
            .hint("`frontfill` leaves it out and exits 2; `materialize` does not need a schedule"),
    )
}
