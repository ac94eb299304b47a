//! `check --sample`: sources whose rows carry times of other days than that of their partition.

use std::collections::{BTreeMap, BTreeSet};

use chronon_run_conf::{GroupBy, Join, Source};
use chronon_run_core::{Diagnostic, Ds, Location, TableName, TableSpec};
use chronon_run_engine::sample::{self, ROWS, Sample, Sampled};
use chronon_run_exec::signals;

use crate::{
    failure::Failure, listing::session::CatalogSession, loading::project::Project, output::note,
    program::now_millis, runs::seeding,
};

/// Who reads a source: what it is said of.
#[derive(Default)]
struct Readers {
    /// The file of the first, relative to the repo.
    path: std::path::PathBuf,
    /// Joins of which it is the left side.
    lefts: BTreeSet<String>,
    group_bys: BTreeSet<String>,
}

/// A source, told apart by what of it is read: table, column, expression of the time.
type Sources = BTreeMap<(String, String, String), (TableSpec, Readers)>;

/// What the newest partition of each source of events looks like, in one Spark session.
pub fn findings(context: &Project) -> Result<Vec<Diagnostic>, Failure> {
    let (_listener, control) = signals::listen()?;
    let sources = sources(context);
    let warehouse = CatalogSession::open(&context.workspace)?;
    let samples = samples(context, &warehouse, &sources)?;
    if samples.is_empty() {
        note("no source of events has a partition yet: there is nothing to sample");
        return Ok(Vec::new());
    }
    let queries = samples.iter().enumerate();
    let text: String = queries
        .map(|(index, (sample, _))| sample::query(index, sample))
        .collect();
    let folder = context
        .workspace
        .state_dir
        .join("samples")
        .join(now_millis().to_string());
    // A source that cannot be read must not hide the others.
    let goes_on = [(
        "spark.hadoop.hive.cli.errors.ignore".to_owned(),
        "true".to_owned(),
    )];
    let log = seeding::run_script(
        &context.workspace,
        &warehouse,
        &folder,
        "sample",
        &goes_on,
        &text,
        &control,
    )?;
    let answers: BTreeMap<usize, Sampled> = sample::answers(&log).into_iter().collect();
    let mut found = Vec::new();
    for (index, (sample, readers)) in samples.iter().enumerate() {
        match answers.get(&index) {
            Some(seen) => found.extend(finding(context, sample, readers, *seen)),
            None => note(&format!(
                "{} could not be sampled; see {}",
                sample.spec.table,
                folder.display()
            )),
        }
    }
    if answers.len() == samples.len() {
        // Nothing there is worth keeping.
        let _ = std::fs::remove_dir_all(&folder);
    }
    Ok(found)
}

/// Every source of events with a time, of GroupBys and on the left of joins.
fn sources(context: &Project) -> Sources {
    let mut sources = Sources::new();
    for file in context.repo.joins.values() {
        let conf: &Join = &file.conf;
        if let Some(readers) = entry(context, &mut sources, &file.path, &conf.left) {
            readers.lefts.insert(conf.meta_data.name.clone());
        }
    }
    for file in context.repo.group_bys.values() {
        let conf: &GroupBy = &file.conf;
        for source in &conf.sources {
            if let Some(readers) = entry(context, &mut sources, &file.path, source) {
                readers.group_bys.insert(conf.meta_data.name.clone());
            }
        }
    }
    sources
}

fn entry<'a>(
    context: &Project,
    sources: &'a mut Sources,
    path: &std::path::Path,
    source: &Source,
) -> Option<&'a mut Readers> {
    let Source::Events(events) = source else {
        return None;
    };
    // A partition of a cumulative table holds all days.
    if source.is_cumulative() {
        return None;
    }
    let time = events.query.time_column.clone()?;
    let spec = source.table().ok()?;
    let column = events.query.partition_column.clone();
    let column = column.unwrap_or_else(|| context.workspace.partition_column.clone());
    let (_, readers) = sources
        .entry((events.table.clone(), column, time))
        .or_insert_with(|| {
            let readers = Readers {
                path: path.to_owned(),
                ..Readers::default()
            };
            (spec, readers)
        });
    Some(readers)
}

/// The newest partition of each source that has one.
fn samples<'a>(
    context: &Project,
    warehouse: &CatalogSession,
    sources: &'a Sources,
) -> Result<Vec<(Sample, &'a Readers)>, Failure> {
    let Some(catalog) = warehouse.catalog() else {
        return Ok(Vec::new());
    };
    let mut columns: BTreeMap<TableName, BTreeSet<String>> = BTreeMap::new();
    for ((_, column, _), (spec, _)) in sources {
        columns
            .entry(spec.table.clone())
            .or_default()
            .insert(column.clone());
    }
    let requests: Vec<_> = columns
        .into_iter()
        .map(|(table, columns)| (table, columns.into_iter().collect()))
        .collect();
    let snapshot = catalog.snapshot(&requests).map_err(Failure::setup)?;
    let last = context.workspace.as_of;
    let sample = |((_, column, time), (spec, readers)): (
        &(String, String, String),
        &'a (TableSpec, Readers),
    )| {
        let days = snapshot.days(&spec.table, column, &spec.sub_partitions);
        let mut known: Vec<Ds> = days.iter().collect();
        known.retain(|ds| last.is_none_or(|last| *ds <= last));
        let sample = Sample {
            spec: spec.clone(),
            day_column: column.clone(),
            time: time.clone(),
            ds: *known.last()?,
        };
        Some((sample, readers))
    };
    Ok(sources.iter().filter_map(sample).collect())
}

fn finding(
    context: &Project,
    sample: &Sample,
    readers: &Readers,
    seen: Sampled,
) -> Option<Diagnostic> {
    if seen.before + seen.after == 0 {
        return None;
    }
    let rows = match seen.rows {
        ROWS => format!("the first {ROWS} rows"),
        rows => format!("{rows} rows"),
    };
    let message = format!(
        "{} {}: of {rows}, {} carry an earlier day and {} a later one than their partition",
        sample.spec.table, sample.ds, seen.before, seen.after
    );
    let names = |names: &BTreeSet<String>| {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        names.join(", ")
    };
    let mut hints = Vec::new();
    if !readers.group_bys.is_empty() {
        hints.push(format!(
            "SNAPSHOT values of {} depend on how days are cut into steps",
            names(&readers.group_bys)
        ));
    }
    if !readers.lefts.is_empty() {
        hints.push(format!(
            "on the left of {}, early rows let the next day be filled too soon and late ones let older part partitions be written again with fewer keys",
            names(&readers.lefts)
        ));
    }
    hints.push(
        "fill such days once, late enough and with one `step_days`, or correct the source"
            .to_owned(),
    );
    let path = context.workspace.repo.join(&readers.path);
    Some(
        Diagnostic::warning("rows-of-other-days", message)
            .at(Location::file(path))
            .hint(hints.join("; ")),
    )
}
