//! What the pages of `chronon-run ui` and `report --site` show: the values of the other commands.

mod act;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use chronon_run_core::{
    AssetId, Diagnostic, Ds, PartitionRange,
    event::{Compared, Event},
    secret::mask_text,
};
use chronon_run_export::{AssetRow, listing, status};
use chronon_run_ledger::{AttemptRecord, Ledger, RunDetail, RunRecord};
use chronon_run_plan::{Explanation, Plan, explain};
use chronon_run_process::release_memory;
use chronon_run_project::{
    changes::confs::Changes,
    engines::scripts,
    failure::Failure,
    listing::session::CatalogSession,
    loading::{
        definition,
        project::Project,
        targets::{self, Unselected},
    },
    planning::{
        due::Now,
        online,
        prepared::{Planned, Wanted},
    },
    program::now_millis,
    rows::pages,
    runs::{events, history},
    status::{facts, streams},
};
use chronon_run_rows::FirstRows;
use chronon_run_ui::{
    Action, ColumnHistory, Definition, EditedConf, OnlinePath, PlanForm, Script, Source, Trouble,
    View,
};

use crate::cli::{DayArgs, SelectArgs};

/// A workspace is read again after this time at the earliest.
const READ_AGAIN: Duration = Duration::from_secs(4);
/// Columns of several days are read again after this time at the earliest.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// Steps whose comparisons are shown.
const COMPARED: u32 = 60;

/// The workspace of the current directory, for pages.
#[derive(Default)]
pub(crate) struct Pages {
    /// The target that they show instead of production.
    target: Option<String>,
    loaded: Mutex<Option<(Instant, Arc<Loaded>)>>,
    state: OnceLock<PathBuf>,
    /// The columns of the asset that was looked at last.
    columns: Mutex<Option<(AssetId, Instant, Arc<ColumnHistory>)>>,
}

struct Loaded {
    context: Project,
    findings: Vec<String>,
}

pub(super) fn trouble(failure: Failure) -> Trouble {
    let hint = match &failure {
        Failure::Setup { hint, .. } => hint.clone(),
        Failure::NotFilled { hint, .. } => Some(hint.clone()),
        Failure::Findings(_) => Some("`chronon-run check` shows them with their lines".to_owned()),
        _ => None,
    };
    Trouble {
        message: failure.text(),
        hint,
    }
}

impl Pages {
    /// The pages of a target; of production if none is named.
    pub(crate) fn of(target: Option<&str>) -> Self {
        Self {
            target: target.map(str::to_owned),
            ..Self::default()
        }
    }

    /// The workspace as it was read last, so that pages do not wait for its confs.
    fn loaded(&self) -> Result<Arc<Loaded>, Trouble> {
        let kept = self.kept().clone();
        match kept {
            Some((_, loaded)) => Ok(loaded),
            None => self.reloaded(),
        }
    }

    /// The workspace, read again if that is some time ago.
    fn reloaded(&self) -> Result<Arc<Loaded>, Trouble> {
        if let Some((at, loaded)) = self.kept().as_ref()
            && at.elapsed() < READ_AGAIN
        {
            return Ok(loaded.clone());
        }
        let read = self.read();
        let mut kept = self.kept();
        // What cannot be read any more is not shown as if it could.
        *kept = None;
        let (context, findings) = read.map_err(trouble)?;
        let _ = self.state.set(context.history_dir());
        let findings = findings.into_iter().map(|finding| match &finding.location {
            Some(at) => format!("{}: {}", at.path.display(), finding.message),
            None => finding.message,
        });
        let loaded = Arc::new(Loaded {
            findings: findings.collect(),
            context,
        });
        *kept = Some((Instant::now(), loaded.clone()));
        Ok(loaded)
    }

    /// The workspace with what is wrong with it, in the target with what was built there.
    fn read(&self) -> Result<(Project, Vec<Diagnostic>), Failure> {
        let (context, findings) = Project::load_quietly()?;
        let (target, all) = (self.target.as_deref(), SelectArgs::default());
        let context = targets::enter(context, target, &all, Unselected::Built, None)?;
        Ok((context, findings))
    }

    fn kept(&self) -> MutexGuard<'_, Option<(Instant, Arc<Loaded>)>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The folder of the history; it stays where it was when the workspace was read first.
    fn state_dir(&self) -> Option<PathBuf> {
        if self.state.get().is_none() {
            self.loaded().ok()?;
        }
        self.state.get().cloned()
    }

    fn ledger(&self) -> Option<Ledger> {
        let path = self.state_dir()?.join("ledger.db");
        path.exists().then(|| Ledger::open(&path))
    }

    fn planned<T>(
        &self,
        wanted: &Wanted,
        then: impl FnOnce(Planned<'_>, &CatalogSession, Option<&mut Ledger>) -> T,
    ) -> Result<T, Trouble> {
        let loaded = self.loaded()?;
        let context = &loaded.context;
        let warehouse = CatalogSession::look(&context.workspace).map_err(trouble)?;
        let mut ledger = context.existing_ledger();
        let planned = Planned::make(context, wanted, &warehouse, ledger.as_mut());
        let found = then(planned.map_err(trouble)?, &warehouse, ledger.as_mut());
        // A plan is made of much more than is kept of it.
        release_memory();
        Ok(found)
    }
}

/// As `chronon-run status` asks.
fn everything() -> Wanted {
    Wanted {
        every_mode: true,
        compare: true,
        ..Wanted::default()
    }
}

impl Source for Pages {
    fn look(&self) -> Result<View, Trouble> {
        let loaded = self.reloaded()?;
        let mut view = self.planned(&everything(), |planned, warehouse, ledger| {
            look(&loaded.context, planned, warehouse, ledger)
        })?;
        view.findings.clone_from(&loaded.findings);
        if let Some(target) = &self.target {
            view.name = format!("{}, target {target}", view.name);
        }
        Ok(view)
    }

    fn stamp(&self) -> u64 {
        let state = self.state_dir();
        state.map_or(0, |state| {
            chronon_run_ledger::stamp(&state.join("ledger.db"))
        })
    }

    fn runs(&self, limit: u32) -> Vec<RunRecord> {
        let ledger = self.ledger();
        ledger
            .map(|mut ledger| ledger.runs(limit))
            .unwrap_or_default()
    }

    fn run(&self, id: &str) -> Option<RunDetail> {
        self.ledger()?.run(id)
    }

    fn events(&self, run: &str) -> Vec<Event> {
        let folder = history::folder(&self.logs(), run);
        folder
            .map(|folder| events::read(&folder))
            .unwrap_or_default()
    }

    fn attempts(&self, asset: &AssetId) -> Vec<AttemptRecord> {
        let ledger = self.ledger();
        ledger
            .map(|mut ledger| ledger.attempts(asset, None))
            .unwrap_or_default()
    }

    fn compared(&self, asset: &AssetId) -> BTreeMap<Ds, Vec<Compared>> {
        let ledger = self.ledger();
        ledger
            .map(|mut ledger| ledger.compared_days(asset, COMPARED))
            .unwrap_or_default()
    }

    fn explain(&self, asset: &AssetId, ds: Ds) -> Result<Option<Explanation>, Trouble> {
        self.planned(&everything(), |planned, _, _| {
            explain(planned.world(), &planned.plan, asset, ds)
        })
    }

    fn rows(&self, asset: &AssetId, ds: Option<Ds>) -> Result<FirstRows, Trouble> {
        let loaded = self.loaded()?;
        pages::first(&loaded.context, asset, ds).map_err(trouble)
    }

    fn columns(&self, asset: &AssetId) -> Result<Arc<ColumnHistory>, Trouble> {
        let mut kept = self.columns.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, at, history)) = kept.as_ref()
            && known == asset
            && at.elapsed() < LOOK_AGAIN
        {
            return Ok(history.clone());
        }
        let loaded = self.loaded()?;
        let newest = pages::newest(&loaded.context, asset).map_err(trouble)?;
        let history = Arc::new(ColumnHistory {
            days: newest.days,
            left_out: newest.left_out,
            columns: newest.columns,
            described: newest.described,
        });
        *kept = Some((asset.clone(), Instant::now(), history.clone()));
        Ok(history)
    }

    fn definition(&self, asset: &AssetId, ds: Option<Ds>) -> Result<Definition, Trouble> {
        let loaded = self.loaded()?;
        definition(&loaded.context, asset, ds).map_err(trouble)
    }

    fn select(&self, selectors: &str) -> Result<BTreeSet<AssetId>, Trouble> {
        let loaded = self.loaded()?;
        let context = &loaded.context;
        let found = context
            .select(&act::selected(selectors), true)
            .map_err(trouble)?;
        let ids = found
            .into_iter()
            .map(|index| context.graph.assets[index].id.clone());
        Ok(ids.collect())
    }

    fn plan(&self, form: &PlanForm) -> Result<Plan, Trouble> {
        let wanted = Wanted {
            select: act::selected(&form.select),
            days: DayArgs {
                start_ds: form.start,
                end_ds: form.end,
                ..DayArgs::default()
            },
            compare: true,
            ..Wanted::default()
        };
        self.planned(&wanted, |mut planned, warehouse, ledger| {
            planned.add_estimates(warehouse, ledger);
            planned.plan
        })
    }

    fn diff(&self) -> Result<Vec<EditedConf>, Trouble> {
        let loaded = self.loaded()?;
        let context = &loaded.context;
        let found = Changes::of(context, &SelectArgs::default()).map_err(trouble)?;
        release_memory();
        let edited = found.confs.iter().map(|one| EditedConf {
            conf: one.conf.clone(),
            filled_at: one.filled_at,
            edits: one.edits.clone(),
            causes: Vec::new(),
            consequence: one.consequence(context.uses_driver()).to_owned(),
            tables: one.tables.clone(),
            downstream: one.downstream.clone(),
        });
        let stale = found.stale.iter().map(|one| EditedConf {
            conf: one.asset.to_string(),
            causes: one.because.clone(),
            consequence: "`materialize --stale` fills it again".to_owned(),
            tables: context
                .graph
                .find(&one.asset)
                .map(|index| (context.graph.assets[index].table.clone(), one.days.clone()))
                .into_iter()
                .collect(),
            ..EditedConf::default()
        });
        Ok(edited.chain(stale).collect())
    }

    fn logs(&self) -> PathBuf {
        let state = self.state_dir();
        state.map(|state| state.join("runs")).unwrap_or_default()
    }

    fn act(&self, action: &Action) -> Result<String, Trouble> {
        let loaded = self.loaded()?;
        act::act(&loaded.context, action).map_err(trouble)
    }
}

fn look(
    context: &Project,
    mut planned: Planned<'_>,
    warehouse: &CatalogSession,
    mut ledger: Option<&mut Ledger>,
) -> View {
    let facts = ledger.as_deref_mut().map(facts).unwrap_or_default();
    let streams = streams(context, ledger.as_deref_mut());
    let now = context.workspace.as_of.map_or(Now::Clock, Now::After);
    let paths = online::paths(context, &planned, now, &facts.uploaded, &streams);
    let offline = planned.plan.narrowed(|asset| asset.mode.is_offline_table());
    let plan = std::mem::replace(&mut planned.plan, offline);
    planned.add_estimates(warehouse, ledger.as_deref_mut());
    View {
        name: name(context),
        at: now_millis(),
        rows: rows(context),
        statuses: status(&plan, &facts),
        online: paths
            .into_iter()
            .map(|path| OnlinePath {
                group_by: path.group_by,
                links: path.links,
            })
            .collect(),
        paces: ledger.map(Ledger::paces).unwrap_or_default(),
        findings: Vec::new(),
        plan,
        offline: planned.plan,
    }
}

/// Every asset; of a target those that were built there.
fn rows(context: &Project) -> Vec<AssetRow> {
    let built = || context.select(&SelectArgs::default(), true);
    let shown = match context.target {
        Some(_) => built().unwrap_or_default(),
        None => (0..context.graph.assets.len()).collect(),
    };
    let mut rows = listing(&context.graph, &shown);
    let ids: BTreeSet<AssetId> = rows.iter().map(|row| row.asset.clone()).collect();
    for row in &mut rows {
        row.upstream.retain(|asset| ids.contains(asset));
        row.embeds.retain(|asset| ids.contains(asset));
    }
    rows
}

/// The name of the workspace's folder.
fn name(context: &Project) -> String {
    let folder = context.workspace.file.canonicalize().ok();
    let name = folder
        .as_deref()
        .and_then(Path::parent)
        .and_then(Path::file_name);
    name.map_or("workspace".to_owned(), |name| {
        name.to_string_lossy().into_owned()
    })
}

fn definition(context: &Project, asset: &AssetId, ds: Option<Ds>) -> Result<Definition, Failure> {
    let index = context.index_of(asset)?;
    let found = &context.graph.assets[index];
    let day = match ds {
        Some(ds) => ds,
        None => context.as_of(None)?,
    };
    let files = definition::Definition::of(context, found);
    Ok(Definition {
        conf_path: found.path.clone(),
        conf: files.conf,
        python: files.python,
        script: script(context, index, day),
    })
}

fn script(context: &Project, index: usize, day: Ds) -> Script {
    let range = PartitionRange::day(day);
    if context.uses_driver() {
        let asset = &context.graph.assets[index];
        return match scripts::command(context, asset, range) {
            Some(command) => Script::Command(command.masked().to_string()),
            None => {
                Script::None("no step of it is run by Spark, or no Spark is installed".to_owned())
            }
        };
    }
    match scripts::script(context, index, range) {
        Ok(text) => Script::Sql(mask_text(&text)),
        Err(failure) => Script::None(failure.text()),
    }
}
