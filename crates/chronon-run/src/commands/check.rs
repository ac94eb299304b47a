//! `chronon-run check`.

use std::collections::{BTreeMap, BTreeSet};

use chronon_run_core::{AssetKind, CatalogSnapshot, Diagnostic, Ds, Location, Schedule, TableName};
use chronon_run_export::{fate_text, times_text};
use chronon_run_plan::{
    Asset, AssetColumns, AssetIndex, Dayless, Graph, History, Need, PlanInput, Role, Tables, Unmet,
    dayless, times_seen, undated_view_text, undated_views, unmet,
};
use chronon_run_project::{
    engines::{
        analyzing,
        checking::{self, CheckResult, Checks},
    },
    failure::Failure,
    listing::{
        leases, left_times,
        session::{CatalogSession, spark_environment},
        snapshot::list,
    },
    loading::{
        compiling, days, iso_macros, jars,
        project::Project,
        seed_days,
        targets::{self, Unselected},
    },
    output::{json, note, print, show},
    planning::columns,
    runs::sampling,
};
use chronon_run_report::{
    count,
    diagnostics::{from_disk, to_json},
};
use chronon_run_spark::{self as spark, Spark};
use chronon_run_workspace::Catalog;

use crate::cli::{CheckArgs, Output};

pub(crate) fn run(args: &CheckArgs) -> Result<(), Failure> {
    if args.data {
        return data(args);
    }
    let findings = match Project::load_with_findings() {
        Ok((context, mut findings)) => {
            if !args.offline {
                findings.extend(missing_inputs(&context)?);
                findings.extend(column_findings(&context)?);
                findings.extend(times_not_joined(&context)?);
            }
            findings.extend(compiling::stale(&context.workspace));
            findings.extend(seed_days::findings(&context));
            findings.extend(iso_macros::findings(&context));
            findings.extend(engine_findings(&context));
            findings.extend(lock_findings(&context));
            findings.extend(days::finding(&context));
            findings.extend(checking::findings(&context));
            if !args.offline && !context.workspace.checks.is_empty() {
                findings.extend(check_columns(&context));
            }
            findings.extend(schedule_findings(&context));
            if args.sample {
                findings.extend(sampling::findings(&context)?);
            }
            if args.analyze {
                findings.extend(analyzing::findings(&context, &args.select)?);
            } else if !args.select.is_empty() {
                let message =
                    "selectors choose what `--analyze` analyses; without it everything is checked";
                return Err(Failure::hinted(
                    message,
                    "add `--analyze`, or leave them out",
                ));
            }
            let spark = known_spark(&context);
            findings.extend(jars::findings(&context.workspace, spark.as_ref(), true));
            if args.output == Output::Text && findings.is_empty() {
                print(&format!(
                    "{} and {}: no findings\n",
                    count(context.conf_count(), "conf"),
                    count(context.graph.assets.len() as u64, "asset")
                ))?;
            }
            findings
        }
        Err(Failure::Findings(findings)) => findings,
        Err(other) => return Err(other),
    };
    match args.output {
        Output::Text => show(&findings),
        Output::Json => print(&json(&to_json(&findings, &from_disk))?)?,
    }
    if findings.iter().any(Diagnostic::is_error) || args.strict && !findings.is_empty() {
        return Err(Failure::Findings(Vec::new()));
    }
    Ok(())
}

/// Checks the rows of filled days, as after a step. Days that pass are not blocked any more.
fn data(args: &CheckArgs) -> Result<(), Failure> {
    let context = targets::load(args.target.name(), &args.select, Unselected::Built)?;
    let warehouse = CatalogSession::look(&context.workspace)?;
    warehouse.check_rows(&context.workspace)?;
    let checks = Checks::new(&context, &warehouse);
    let selected = context.select(&args.select, false)?;
    let blocked = checking::Records::of(&context).blocked(&context);
    let mut results = Vec::new();
    for index in checks.assets().intersection(&selected).copied() {
        let asset = &context.graph.assets[index];
        let tables = context.graph.tables_of(&BTreeSet::from([index]));
        let (snapshot, _) = list(&context, &warehouse, &tables)?;
        let column = asset.day_column.as_deref().unwrap_or_default();
        let filled = snapshot
            .days(&asset.table, column, &asset.sub_partitions)
            .widen(-asset.shift, -asset.shift);
        let failed = blocked.get(&asset.id).into_iter().flat_map(BTreeMap::keys);
        let days: BTreeSet<Ds> = match args.ds {
            Some(ds) if filled.contains(ds) => [ds].into(),
            Some(ds) => {
                note(&format!("{} is not filled on {ds}", asset.id));
                BTreeSet::new()
            }
            None => filled.last().into_iter().chain(failed.copied()).collect(),
        };
        let days = days.into_iter().filter(|ds| filled.contains(*ds));
        results.extend(checks.run(index, days)?);
    }
    show_data(&results, args.output)?;
    match results.iter().any(|result| !result.passed && result.blocks) {
        true => Err(Failure::Found),
        false => Ok(()),
    }
}

fn show_data(results: &[CheckResult], output: Output) -> Result<(), Failure> {
    if output == Output::Json {
        return print(&json(&results)?);
    }
    let line = |result: &CheckResult| match result.text() {
        Some(text) if result.blocks => format!("{text}\n"),
        Some(text) => format!("warning: {text}\n"),
        None => format!(
            "check `{}` of {} passed on {}\n",
            result.check, result.asset, result.ds
        ),
    };
    let lines: String = results.iter().map(line).collect();
    match lines.is_empty() {
        true => print("no filled day has a check\n"),
        false => print(&lines),
    }
}

/// The Spark that would run jobs, if one is found without installing it.
fn known_spark(context: &Project) -> Option<Spark> {
    let found = spark::find(&spark_environment(Some(&context.workspace))).ok()?;
    let (spark, java) = (found.spark?, found.java?);
    Some(Spark { spark, java })
}

/// Sources that neither a conf nor a seed fills and that the catalog does not have.
fn missing_inputs(context: &Project) -> Result<Vec<Diagnostic>, Failure> {
    let sources: Tables = context.graph.sources();
    let warehouse = CatalogSession::look(&context.workspace);
    let found = warehouse.and_then(|warehouse| list(context, &warehouse, &sources));
    let (snapshot, bases) = match found {
        Ok(found) => found,
        Err(failure) => {
            note(&format!("the inputs are not checked: {}", failure.text()));
            return Ok(Vec::new());
        }
    };
    let readers = readers(&context.graph);
    let missing = sources
        .keys()
        .filter(|table| snapshot.table(table).is_none())
        .filter(|table| !context.bad_seeds().contains_key(*table));
    let finding = |table: &TableName| {
        let (path, names) = &readers[table];
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        Diagnostic::warning("missing-input", format!("{table} does not exist; {} read it", names.join(", ")))
            .at(Location::file(context.workspace.repo.join(path)))
            .hint("it is neither in the catalog nor a seed of workspace.toml nor the output of a conf; steps that need it will wait")
    };
    let graph = context.graph.resolved(&snapshot, &bases);
    let inputs = graph.assets.iter().flat_map(|asset| &asset.inputs);
    let unmet = unmet(inputs, &graph.formats, &snapshot);
    let dayless = dayless(&snapshot, &daily_sources(&graph), &bases);
    let without_days = |(table, why): (&TableName, &Dayless)| {
        let (path, names) = readers.get(table)?;
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let columns = sources.get(table)?;
        let message = format!("{}; {} read it", why.text(table, columns), names.join(", "));
        let finding = Diagnostic::warning(code(why), message);
        let at = Location::file(context.workspace.repo.join(path));
        Some(finding.at(at).hint(why.hint(table)))
    };
    let missing = missing.map(finding);
    let in_vain = |unmet: Unmet| {
        let (path, names) = readers.get(&unmet.table)?;
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let message = format!("{}; {} read it", unmet.text, names.join(", "));
        let at = Location::file(context.workspace.repo.join(path));
        let finding = Diagnostic::warning("no-such-partition", message);
        Some(finding.at(at).hint(unmet.hint))
    };
    Ok(missing
        .chain(dayless.iter().filter_map(without_days))
        .chain(unmet.into_iter().filter_map(in_vain))
        .chain(undated_view_findings(context, &graph, &readers))
        .chain(only_existence(context, &graph, &snapshot))
        .collect())
}

/// Columns that data checks name and that existing tables do not have.
fn check_columns(context: &Project) -> Vec<Diagnostic> {
    // That the catalog is out of reach was said already.
    let warehouse = CatalogSession::look(&context.workspace).ok();
    warehouse.map_or_else(Vec::new, |warehouse| {
        checking::unknown_columns(context, &warehouse)
    })
}

/// Existing tables whose columns differ from those of their confs.
fn column_findings(context: &Project) -> Result<Vec<Diagnostic>, Failure> {
    let offline = (0..context.graph.assets.len())
        .filter(|&index| context.graph.assets[index].id.step.is_offline_table());
    let offline: BTreeSet<usize> = offline
        .filter(|&index| !context.has_errors(index))
        .collect();
    let warehouse = CatalogSession::look(&context.workspace);
    let tables = context.graph.tables_of(&offline);
    // That it is out of reach was said already.
    let snapshot = warehouse.and_then(|found| found.snapshot(&context.workspace, &tables));
    let Ok(snapshot) = snapshot else {
        return Ok(Vec::new());
    };
    let day = context.as_of(None)?;
    let differing = columns::differing(context, &offline, &snapshot, day);
    let finding = |(asset, found): (&chronon_run_core::AssetId, &AssetColumns)| {
        let finding = Diagnostic::warning("columns-differ", found.text());
        let finding = finding.hint(fate_text(&found.fate));
        match context.graph.find(asset) {
            Some(index) => {
                let path = &context.graph.assets[index].path;
                finding.at(Location::file(context.workspace.repo.join(path)))
            }
            None => finding,
        }
    };
    Ok(differing.iter().map(finding).collect())
}

/// Modular joins whose early and late left rows the Driver leaves without SNAPSHOT features, as far as
/// partitions show such rows.
fn times_not_joined(context: &Project) -> Result<Vec<Diagnostic>, Failure> {
    let assets = context.graph.assets.iter().enumerate();
    let finals: BTreeSet<AssetIndex> = assets
        .filter(|(_, asset)| asset.id.step == AssetKind::Final)
        .map(|(index, _)| index)
        .collect();
    if !context.uses_driver() || finals.is_empty() {
        return Ok(Vec::new());
    }
    let warehouse = CatalogSession::look(&context.workspace)?;
    let mut tables = context.graph.tables_of(&finals);
    for (table, columns) in context.graph.sources() {
        tables.entry(table).or_default().extend(columns);
    }
    let Ok(snapshot) = warehouse.snapshot(&context.workspace, &tables) else {
        // That the catalog is out of reach was noted with the inputs.
        return Ok(Vec::new());
    };
    let mut ledger = context.existing_ledger();
    let (graph, known) = (&context.graph, ledger.as_mut());
    let history = History {
        left_times: left_times::read(context, graph, &snapshot, &finals, &warehouse, known),
        ..History::default()
    };
    let nothing = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    let world = PlanInput {
        graph,
        snapshot: &snapshot,
        history: &history,
        never: &nothing.0,
        first_ds: &nothing.1,
        refused: &nothing.2,
        driver: None,
    };
    let finding = |index: &AssetIndex| {
        let asset = &context.graph.assets[*index];
        let seen = times_seen(world, asset)?;
        let message = format!("{}: {}", asset.id.conf.name, times_text(&seen));
        let path = context.workspace.repo.join(&asset.path);
        let finding = Diagnostic::warning("times-not-joined", message).at(Location::file(path));
        Some(finding.hint("set join_flow = \"whole\" for it in an [[override]] of workspace.toml"))
    };
    Ok(finals.iter().filter_map(finding).collect())
}

/// Views of which no table behind has days.
fn undated_view_findings(context: &Project, graph: &Graph, readers: &Readers) -> Vec<Diagnostic> {
    let finding = |view: TableName| {
        let (path, names) = readers.get(&view)?;
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let (text, hint) = undated_view_text(&view);
        let message = format!("{text}; {} read it", names.join(", "));
        let at = Location::file(context.workspace.repo.join(path));
        Some(Diagnostic::warning("view-input", message).at(at).hint(hint))
    };
    let views = undated_views(&graph.assets).into_iter();
    views.filter_map(finding).collect()
}

/// Tables that the SQL of a staging query reads and that have no days, so that nothing of them is waited
/// for but their existence.
fn only_existence(context: &Project, graph: &Graph, snapshot: &CatalogSnapshot) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    for asset in &graph.assets {
        let named = asset.inputs.iter();
        let named = named.filter(|input| input.role == Role::Query && input.need == Need::Table);
        let tables = named.map(|input| &input.spec.table);
        let tables: BTreeSet<&str> = tables
            .filter(|table| {
                snapshot
                    .table(table)
                    .is_some_and(|state| !state.info.is_view)
            })
            .map(TableName::as_str)
            .collect();
        if tables.is_empty() {
            continue;
        }
        let message = format!(
            "{} reads {}, without partitions by day: that the table exists is all that is waited for",
            asset.id.conf.name,
            tables.into_iter().collect::<Vec<_>>().join(", ")
        );
        let at = Location::file(context.workspace.repo.join(&asset.path));
        findings.push(Diagnostic::warning("input-without-days", message).at(at).hint(
            "if its rows belong to days, say what to wait for in `metaData.dependencies`, or with `dependencies` of an `[[override]]` in workspace.toml",
        ));
    }
    findings
}

/// The sources of which days are needed.
fn daily_sources(graph: &Graph) -> Tables {
    let mut tables = Tables::new();
    for input in graph.assets.iter().flat_map(|asset| &asset.inputs) {
        if input.producer.is_none() && input.need != Need::Table {
            let columns = tables.entry(input.spec.table.clone()).or_default();
            columns.insert(input.day_column.clone());
        }
    }
    tables
}

fn code(why: &Dayless) -> &'static str {
    match why {
        Dayless::Format { .. } => "partition-format",
        Dayless::Iceberg => "iceberg-input",
        Dayless::Delta => "delta-input",
        Dayless::View => "view-input",
        Dayless::NoColumn(_) => "unpartitioned-input",
        Dayless::Empty => "empty-input",
    }
}

type Readers = BTreeMap<TableName, (std::path::PathBuf, BTreeSet<String>)>;

/// For each table the confs that read it, and the file of the first.
fn readers(graph: &Graph) -> Readers {
    let mut readers = Readers::new();
    for asset in &graph.assets {
        for input in &asset.inputs {
            let entry = readers
                .entry(input.spec.table.clone())
                .or_insert_with(|| (asset.path.clone(), BTreeSet::new()));
            entry.1.insert(asset.id.conf.name.clone());
        }
    }
    readers
}

/// That other checkouts and hosts may write the same tables at the same time.
fn lock_findings(context: &Project) -> Option<Diagnostic> {
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
fn schedule_findings(context: &Project) -> Vec<Diagnostic> {
    let finding = |asset: &Asset| {
        let parsed: Result<Schedule, _> = asset.schedule.as_deref()?.parse();
        let message = format!("{}: {}", asset.id, parsed.err()?);
        let path = context.workspace.repo.join(&asset.path);
        let finding = Diagnostic::warning("bad-schedule", message).at(Location::file(path));
        Some(finding.hint("`frontfill` leaves it out; `materialize` does not need a schedule"))
    };
    context.graph.assets.iter().filter_map(finding).collect()
}

/// Offline tables of sound confs that the workspace's engine cannot fill.
fn engine_findings(context: &Project) -> Vec<Diagnostic> {
    let offline = (0..context.graph.assets.len())
        .filter(|&index| context.graph.assets[index].id.step.is_offline_table())
        .filter(|&index| !context.has_errors(index));
    let refused = context.refused(&offline.collect());
    let finding = |(asset, why): (&chronon_run_core::AssetId, &String)| {
        let finding = Diagnostic::warning("engine-cannot", format!("{asset}: {why}"));
        match context.graph.find(asset) {
            Some(index) => finding.at(Location::file(
                context
                    .workspace
                    .repo
                    .join(&context.graph.assets[index].path),
            )),
            None => finding,
        }
    };
    refused.iter().map(finding).collect()
}
