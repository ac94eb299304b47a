//! From a context and what the user wants to a plan: asks the catalog, reads the ledger.

use std::collections::{BTreeMap, BTreeSet};

use chronon_run_core::{AssetId, AssetKind, CatalogSnapshot, Ds, RangeSet, TableName};
use chronon_run_export::archive_text;
use chronon_run_ledger::Ledger;
use chronon_run_plan::{
    ArchivedTables, AssetColumns, AssetIndex, AssetPlan, AssetSettings, Cause, ColumnsFate,
    DayLimit, Depth, DriverInput, Explanation, Freshness, Graph, History, Note, Plan, PlanInput,
    Reason, Request, State, States, explain, note_columns, plan, unfounded,
};
use chronon_run_report::Activity;

use crate::{
    engines::{checking, kv, sql_work::preview},
    failure::Failure,
    listing::{left_times, session::CatalogSession, snapshot::Looked},
    loading::{day_formats::formats_of, project::Project, targets},
    options::{DayArgs, SelectArgs},
    planning::{columns, edits::EditEffects, estimates, freshness},
    program::now_millis,
};

/// What the user wants planned.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Which assets.
    pub select: SelectArgs,
    /// Which days.
    pub days: DayArgs,
    /// Filled days, too.
    pub recompute: bool,
    /// Only filled days that are out of date, and what is made of them.
    pub stale: bool,
    /// Whether to show which filled days are out of date.
    pub compare: bool,
    /// Whether the Driver may rename tables whose conf was edited, and compute them again (§5.5).
    pub accept_archive: bool,
    /// Whether tables whose columns differ from the conf are rebuilt.
    pub rebuild: bool,
    /// Whether a selection stands for uploads, label joins and the rest too.
    pub every_mode: bool,
    /// Assets to leave out, because they would replace tables and the user has not agreed to it.
    pub without: BTreeSet<AssetId>,
    /// The days to which assets are limited.
    pub only: BTreeMap<AssetIndex, DayLimit>,
}

impl Wanted {
    /// The same, for one asset only.
    pub fn only(mut self, asset: &AssetId) -> Self {
        self.select.select = vec![asset.to_string()];
        self
    }

    /// What a saved plan was made for.
    pub fn of_plan(saved: &Plan) -> Self {
        let assets = saved.assets.iter().map(|asset| asset.asset.to_string());
        Self {
            select: SelectArgs {
                select: assets.collect(),
                ..SelectArgs::default()
            },
            days: DayArgs {
                start_ds: saved.start_ds,
                end_ds: saved.end_ds,
                ds: None,
                as_of: Some(saved.as_of),
                // It was accepted when the plan was made.
                allow_unfinished: true,
            },
            recompute: saved.recompute,
            stale: saved.stale,
            ..Self::default()
        }
    }
}

/// A plan, with everything that it was made from.
pub struct Planned<'a> {
    context: &'a Project,
    /// The context's graph, as far as the catalog tells more of its inputs.
    graph: Graph,
    /// Inputs that are there without any day, and why.
    pub dayless: Vec<String>,
    /// Tables and partitions that it was made from.
    pub snapshot: CatalogSnapshot,
    history: History,
    never: BTreeMap<TableName, RangeSet>,
    first_ds: BTreeMap<TableName, Ds>,
    refused: BTreeMap<AssetId, String>,
    driver: Option<DriverInput>,
    accept_archive: bool,
    /// There is no user to answer questions.
    unattended: bool,
    /// Assets that are left out for want of the user's consent, see [`Wanted::without`].
    without: BTreeSet<AssetId>,
    /// Of these and, where there is no user, of all others: what is left out, and why.
    left_out: BTreeMap<AssetId, String>,
    /// Assets at which the Driver would stop because of an edit, and why.
    stopped: BTreeMap<AssetId, String>,
    /// Assets whose tables have other columns than the conf.
    columns: BTreeMap<AssetId, AssetColumns>,
    /// The plan.
    pub plan: Plan,
}

impl<'a> Planned<'a> {
    /// Plans what `wanted` asks for, to look at it: no ledger is made, and nothing is installed.
    pub fn look(context: &'a Project, wanted: &Wanted) -> Result<Self, Failure> {
        let warehouse = CatalogSession::look(&context.workspace)?;
        let mut ledger = context.existing_ledger();
        Self::make(context, wanted, &warehouse, ledger.as_mut())
    }

    /// Plans what `wanted` asks for, against the catalog as it is now.
    pub fn make(
        context: &'a Project,
        wanted: &Wanted,
        warehouse: &CatalogSession,
        ledger: Option<&mut Ledger>,
    ) -> Result<Self, Failure> {
        let _planning = Activity::start("planning");
        check_days(&wanted.days)?;
        let as_of = context.as_of(wanted.days.as_of)?;
        let selected = context.select(&wanted.select, wanted.every_mode)?;
        let looked = Looked::at(context, warehouse, &selected)?;
        let mut refused = context.misread(&selected, &looked.snapshot);
        refused.extend(context.refused(&selected));
        let mut planned = Self {
            context,
            graph: looked.graph,
            dayless: looked.dayless,
            snapshot: looked.snapshot,
            history: History::default(),
            never: context.never(),
            first_ds: context.first_days(),
            refused,
            driver: driver_world(context)?,
            accept_archive: wanted.accept_archive,
            unattended: wanted.every_mode,
            without: wanted.without.clone(),
            left_out: BTreeMap::new(),
            stopped: BTreeMap::new(),
            columns: BTreeMap::new(),
            plan: Plan::empty(as_of),
        };
        planned.add_columns(&selected, wanted.rebuild, as_of);
        planned.add_edits(&selected);
        planned.history = planned.history(&selected, wanted, warehouse, ledger);
        let settings = |index: AssetIndex| -> AssetSettings { context.settings(index) };
        let target = context.target.as_ref();
        let target = target.map(|target| target.of_plan(&planned.graph, &selected));
        planned.plan = plan(
            planned.world(),
            &Request {
                selected,
                start_ds: wanted.days.ds.or(wanted.days.start_ds),
                end_ds: wanted.days.ds.or(wanted.days.end_ds),
                as_of,
                recompute: wanted.recompute,
                stale: wanted.stale,
                only: &wanted.only,
                settings: &settings,
            },
        );
        planned.plan.target = target;
        note_columns(&mut planned.plan, &planned.columns);
        if let Some(target) = &context.target {
            targets::check_samples(context, target, &planned.plan, &planned.snapshot)?;
        }
        Ok(planned)
    }

    /// Compares the columns of existing tables with those of the confs. Where a rebuild cannot be asked
    /// for, assets that need one are left alone.
    fn add_columns(&mut self, selected: &BTreeSet<AssetIndex>, rebuild: bool, day: Ds) {
        let mut found = columns::differing(self.context, selected, &self.snapshot, day);
        if rebuild {
            columns::rebuild(self.context, &mut found, &mut self.snapshot);
        } else {
            let blocked = found.iter().filter(|(asset, found)| {
                found.fate == ColumnsFate::NeedsRebuild && self.goes_without(asset)
            });
            let why = |(asset, found): (&AssetId, &AssetColumns)| {
                let text = found.text();
                let why = format!(
                    "the table has other columns than the conf ({text}); `materialize --rebuild` makes it anew"
                );
                (asset.clone(), why)
            };
            let blocked: BTreeMap<AssetId, String> = blocked.map(why).collect();
            self.leave_out(blocked);
        }
        self.columns = found;
    }

    /// Whether an asset whose tables would be replaced is left out instead.
    fn goes_without(&self, asset: &AssetId) -> bool {
        self.unattended || self.without.contains(asset)
    }

    fn leave_out(&mut self, assets: BTreeMap<AssetId, String>) {
        self.refused.extend(assets.clone());
        self.left_out.extend(assets);
    }

    /// What is left out for want of the user's consent, and why.
    pub fn left_out(&self) -> &BTreeMap<AssetId, String> {
        &self.left_out
    }

    /// The assets that this plan cannot run as it is: their tables would be replaced, which the user has
    /// not agreed to, or the Driver would stop.
    pub fn needing_consent(&self) -> BTreeSet<AssetId> {
        let steps: BTreeSet<&AssetId> = self.plan.steps.iter().map(|step| &step.asset).collect();
        let columns = self.columns.iter().filter(|(asset, found)| {
            found.fate == ColumnsFate::NeedsRebuild && steps.contains(asset)
        });
        let columns = columns.map(|(asset, _)| asset);
        let archived = self.archiving().into_iter().map(|asset| &asset.asset);
        let archived = archived.filter(|_| !self.accept_archive);
        let stopped = self.stopped.keys();
        columns.chain(archived).chain(stopped).cloned().collect()
    }

    /// The planned assets for which the Driver would rename tables.
    fn archiving(&self) -> Vec<&AssetPlan> {
        let archives = |asset: &&AssetPlan| {
            let mut notes = asset.notes.iter();
            notes.any(|note| matches!(note, Note::Archives { .. }))
        };
        self.plan.assets.iter().filter(archives).collect()
    }

    /// The tables that a run of this plan sets aside, with their days.
    pub fn rebuilds(&self) -> BTreeMap<TableName, RangeSet> {
        let steps: BTreeSet<&AssetId> = self.plan.steps.iter().map(|step| &step.asset).collect();
        let found = self
            .columns
            .iter()
            .filter(|(asset, _)| steps.contains(asset));
        let tables = found.filter_map(|(_, found)| match &found.fate {
            ColumnsFate::Rebuilt { tables } => Some(tables.clone()),
            _ => None,
        });
        tables.flatten().collect()
    }

    /// Refuses to run a plan with steps whose tables need a rebuild that was not asked for.
    pub fn check_columns(&self) -> Result<(), Failure> {
        let steps: BTreeSet<&AssetId> = self.plan.steps.iter().map(|step| &step.asset).collect();
        let blocked = self.columns.iter().filter(|(asset, found)| {
            found.fate == ColumnsFate::NeedsRebuild && steps.contains(asset)
        });
        let lines: Vec<String> = blocked
            .map(|(asset, found)| format!("  {asset}: {}", found.text()))
            .collect();
        if lines.is_empty() {
            return Ok(());
        }
        Err(Failure::hinted(
            format!(
                "existing tables cannot take the columns of their confs:\n{}",
                lines.join("\n")
            ),
            "`materialize --rebuild` keeps each old table under another name until the new one is complete; `--exclude NAME` leaves one out",
        ))
    }

    /// What the ledger knows. What is seen of the inputs is only asked for where it decides or is shown.
    fn history(
        &self,
        selected: &BTreeSet<AssetIndex>,
        wanted: &Wanted,
        warehouse: &CatalogSession,
        mut ledger: Option<&mut Ledger>,
    ) -> History {
        let (context, graph, tables) = (self.context, &self.graph, &self.snapshot);
        let known = ledger.as_deref_mut();
        let failed_checks = checking::Records::of(context).blocked(context);
        let left_times = left_times::read(context, graph, tables, selected, warehouse, known);
        let Some(ledger) = ledger else {
            return History {
                // Of filled days it is said that nothing is recorded.
                freshness: wanted.compare.then(Freshness::default),
                left_times,
                failed_checks,
                ..History::default()
            };
        };
        let mut history = History {
            empty: ledger.all_empty_days(),
            uploaded: uploaded(ledger),
            freshness: None,
            left_times,
            failed_checks,
        };
        let depth = match wanted.stale || wanted.compare {
            true => Depth::FilledDays,
            false => Depth::EmptyDays,
        };
        let world = PlanInput {
            history: &history,
            ..self.world()
        };
        let found = freshness::read(self.context, world, selected, warehouse, ledger, depth);
        history.freshness = Some(found);
        history
    }

    /// What the Driver would do about confs that were edited. Where no user is there to accept that tables
    /// are renamed, those assets are left alone.
    fn add_edits(&mut self, selected: &BTreeSet<AssetIndex>) {
        if self.driver.is_none() {
            return;
        }
        let mut edits = EditEffects::of(self.context, selected, &self.snapshot);
        self.stopped = edits.refused.clone();
        let mut left_out = std::mem::take(&mut edits.refused);
        if !self.accept_archive {
            let without = |asset: &AssetId| self.goes_without(asset);
            let (skipped, archived) = std::mem::take(&mut edits.archived)
                .into_iter()
                .partition(|(asset, _)| without(asset));
            edits.archived = archived;
            let skipped: BTreeMap<AssetId, ArchivedTables> = skipped;
            left_out.extend(skipped.into_iter().map(|(asset, archived)| {
                let why = format!(
                    "the conf was edited ({}), so the Driver would rename {} and compute again; `materialize --accept-archive` lets it",
                    archived.because.join("; "),
                    tables(archived.tables.keys())
                );
                (asset, why)
            }));
        }
        self.leave_out(left_out);
        edits.hide_archived(&mut self.snapshot);
        let Some(driver) = &mut self.driver else {
            return;
        };
        driver.archived = edits.archived;
        driver.unnoticed = edits.unnoticed;
    }

    /// Refuses to run a plan in which the Driver would stop at an edited conf, or would rename tables
    /// without the user having accepted that.
    pub fn check_edits(&self) -> Result<(), Failure> {
        if self.unattended {
            return Ok(());
        }
        let mut stopped = self.stopped.iter();
        if let Some((asset, why)) = stopped.find(|(asset, _)| !self.without.contains(asset)) {
            return Err(Failure::setup(format!("{asset}: {why}")));
        }
        let found = self.archiving();
        if found.is_empty() || self.accept_archive {
            return Ok(());
        }
        let texts: Vec<String> = found.into_iter().map(archive_text).collect();
        Err(Failure::hinted(
            format!(
                "the Driver would rename tables whose conf was edited:\n{}",
                texts.join("\n")
            ),
            "look at `chronon-run plan`; `--accept-archive` lets it, and a new version of the conf leaves the old tables alone",
        ))
    }

    /// Ranges of more than ten years that would be filled though no input has any of their days.
    pub fn unfounded_lines(&self) -> Vec<String> {
        let found = unfounded(self.world(), &self.plan);
        let line = |(asset, days): (AssetId, RangeSet)| {
            format!(
                "warning: {asset} would be filled for {} days, {days}, before the first day of any input",
                days.days()
            )
        };
        found.into_iter().map(line).collect()
    }

    /// An asset's inputs on one day, or on the last that is planned.
    ///
    /// # Errors
    /// There is no such asset.
    pub fn explain(&self, asset: &AssetId, ds: Option<Ds>) -> Result<Explanation, Failure> {
        let last = self.plan.end_ds.unwrap_or(self.plan.as_of);
        let found = explain(self.world(), &self.plan, asset, ds.unwrap_or(last));
        found.ok_or_else(|| {
            let message = format!("there is no asset `{asset}`");
            Failure::hinted(message, "`chronon-run ls` lists the assets")
        })
    }

    /// What the Driver would rename of an asset, because its conf was edited.
    pub fn archived(&self, asset: &AssetId) -> Option<&ArchivedTables> {
        self.driver.as_ref()?.archived.get(asset)
    }

    /// The partitions that a run with `--recompute` or `--stale` drops first. What another run drops, to
    /// fill a day beside another, is not asked about.
    pub fn drops(&self) -> BTreeMap<TableName, RangeSet> {
        let asked = self.plan.recompute || self.plan.stale;
        let assets = self.plan.assets.iter().filter(|_| asked);
        let notes = assets.flat_map(|asset| &asset.notes);
        let mut all: BTreeMap<TableName, RangeSet> = BTreeMap::new();
        for note in notes {
            if let Note::Drops { tables } = note {
                for (table, days) in tables {
                    let known = all.entry(table.clone()).or_default();
                    *known = known.union(days);
                }
            }
        }
        all
    }

    /// Adds what the steps are expected to take, by those that the ledger knows, and to read, by the sizes
    /// that the catalog knows.
    pub fn add_estimates(&mut self, warehouse: &CatalogSession, ledger: Option<&mut Ledger>) {
        let durations = ledger.map(Ledger::durations).unwrap_or_default();
        let wanted = estimates::sizes_wanted(&self.plan, self.world());
        let workspace = &self.context.workspace;
        let formats = formats_of(self.context, &self.snapshot);
        let sizes = warehouse.evidence(workspace, &wanted, None, &formats);
        let found = estimates::of(&self.plan, self.world(), &durations, &sizes);
        self.plan.estimates = Some(found);
    }

    /// Adds each step's command line, as far as it is known before the run: without it, a plan
    /// shows the same days and steps.
    pub fn add_commands(&mut self, warehouse: &CatalogSession) {
        let spark = warehouse.spark().known(&self.context.workspace);
        for step in &mut self.plan.steps {
            if step.asset.mode == AssetKind::Kv {
                let index = self.context.graph.find(&step.asset);
                let asset = index.map(|index| &self.context.graph.assets[index]);
                let command =
                    asset.and_then(|asset| kv::command(self.context, asset, step.range.end, None));
                step.command = command.map(|command| command.masked());
                continue;
            }
            let command = preview(self.context, warehouse.spark().uri(), spark.as_ref(), step);
            step.command = command.map(|command| command.masked());
        }
    }

    /// What the plan was made from.
    pub fn world(&self) -> PlanInput<'_> {
        PlanInput {
            graph: &self.graph,
            snapshot: &self.snapshot,
            history: &self.history,
            never: &self.never,
            first_ds: &self.first_ds,
            refused: &self.refused,
            driver: self.driver.as_ref(),
        }
    }
}

/// Which assets are in which state, for `state:` selectors: a plan of everything tells.
pub fn states(context: &Project) -> Result<States, Failure> {
    let warehouse = CatalogSession::look(&context.workspace)?;
    let mut ledger = context.existing_ledger();
    let wanted = Wanted {
        every_mode: true,
        compare: true,
        accept_archive: true,
        ..Wanted::default()
    };
    let planned = Planned::make(context, &wanted, &warehouse, ledger.as_mut())?;
    let failing = ledger.as_mut().map(Ledger::failing_days);
    let failing = failing.unwrap_or_default();
    let mut states = States::default();
    for asset in &planned.plan.assets {
        let Some(index) = context.graph.find(&asset.asset) else {
            continue;
        };
        let causes = asset.cells.iter().filter_map(|cells| match &cells.reason {
            Reason::Stale { because } => Some(because),
            _ => None,
        });
        let is_edit = |cause: &Cause| matches!(cause, Cause::ConfEdited { .. });
        let edited = causes.clone().flatten().any(is_edit);
        if edited || planned.archived(&asset.asset).is_some() {
            states.edited.insert(index);
        }
        if edited || causes.clone().next().is_some() {
            states.stale.insert(index);
        }
        if !asset.days_in(State::Waiting).is_empty() {
            states.waiting.insert(index);
        }
        let failed = failing.get(&asset.asset);
        let run = asset.days_in(State::Run);
        if failed.is_some_and(|days| !days.intersect(&run).is_empty()) {
            states.failed.insert(index);
        }
    }
    Ok(states)
}

fn tables<'t>(names: impl Iterator<Item = &'t TableName>) -> String {
    let names: Vec<String> = names.map(ToString::to_string).collect();
    names.join(", ")
}

/// What counts besides if the real Driver fills the tables.
fn driver_world(context: &Project) -> Result<Option<DriverInput>, Failure> {
    if !context.uses_driver() {
        return Ok(None);
    }
    let today = Ds::at(now_millis(), "UTC").map_err(Failure::setup)?;
    Ok(Some(DriverInput {
        today: Some(today),
        ..DriverInput::default()
    }))
}

/// The days that uploads and loads into the KV store have come to.
pub fn uploaded(ledger: &mut Ledger) -> BTreeMap<AssetId, Ds> {
    let mut days = ledger.uploaded();
    days.extend(ledger.loaded());
    days
}

fn check_days(days: &DayArgs) -> Result<(), Failure> {
    match (days.start_ds, days.end_ds) {
        (Some(start), Some(end)) if end < start => Err(Failure::hinted(
            format!("--end-ds {end} is before --start-ds {start}"),
            "both are inclusive; give the earlier day first",
        )),
        _ => Ok(()),
    }
}
