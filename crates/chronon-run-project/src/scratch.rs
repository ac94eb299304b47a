//! The target of `diff --data`: it exists for one comparison. What an interrupted command left of it is dropped
//! by the next one.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    hash::{BuildHasher, RandomState},
    path::{Path, PathBuf},
};

use chronon_run_catalog::{Catalog, Hive};
use chronon_run_core::{Ds, RangeSet, TableName, event::StepIndex};
use chronon_run_exec::{Control, lock};
use chronon_run_ledger::Ledger;
use chronon_run_plan::{Asset, AssetIndex, DayLimit, upstream_days};
use chronon_run_workspace::{Target, Workspace};
use crossbeam_channel::Receiver;

use crate::{
    failure::Failure,
    listing::session::CatalogSession,
    loading::{
        holdings,
        in_target::{InTarget, SCRATCH_NAME},
        project::Project,
        targets::{self, Unselected},
    },
    options::{OnFailure, Output, SelectArgs},
    output::note,
    paths::SCRATCH_ID_FILE,
    planning::prepared::{Planned, Wanted},
    program::now_millis,
    runs::run::{Ended, Running},
};

/// The selected confs in a target of their own, whose tables are dropped with this value.
pub struct Scratch<'w> {
    /// The workspace as the target sees it.
    pub project: Project,
    place: Place<'w>,
    select: SelectArgs,
    _guard: lock::Guard,
}

/// The target's namespaces.
struct Place<'w> {
    hive: &'w Hive,
    namespaces: BTreeMap<String, String>,
}

impl<'w> Scratch<'w> {
    /// Enters the target, after dropping what is left of an earlier one. Fails if another `diff --data` of this
    /// workspace is going on.
    pub fn enter(select: &SelectArgs, warehouse: &'w CatalogSession) -> Result<Self, Failure> {
        let (mut project, _) = Project::load_quietly()?;
        let Some(Catalog::Hive(hive)) = warehouse.catalog() else {
            return Err(Failure::setup(
                "`diff --data` fills tables, which a saved snapshot (`catalog.kind = \"fixture\"`) cannot",
            ));
        };
        let guard = locked(&project.workspace)?;
        let target = Target {
            namespace: format!("chronon_run_diff_{}_{{namespace}}", id(&project.workspace)?),
            span: 0..0,
        };
        let place = Place {
            hive,
            namespaces: targets::namespaces(&target, &project.workspace, &project.graph)?,
        };
        // Whether a day is as it should be is not the question.
        project.workspace.checks.clear();
        project.workspace.targets = BTreeMap::from([(SCRATCH_NAME.to_owned(), target)]);
        if let Some(clash) = targets::findings(&project.workspace, &project.graph).first() {
            return Err(Failure::setup(&clash.message));
        }
        holdings::remove_history(&InTarget::folder(&project.workspace, SCRATCH_NAME))?;
        place.drop_tables()?;
        let project = targets::enter(project, Some(SCRATCH_NAME), select, Unselected::All, None)?;
        Ok(Self {
            project,
            place,
            select: select.clone(),
            _guard: guard,
        })
    }

    /// Fills these days of the selected assets, and those that they read of each other.
    pub fn fill(
        &self,
        warehouse: &CatalogSession,
        control: &Receiver<Control>,
        days: &RangeSet,
        jobs: Option<u32>,
    ) -> Result<Ended, Failure> {
        let project = &self.project;
        let selected = project.select(&self.select, false)?;
        project.check_fillable(&selected)?;
        let wanted = Wanted {
            select: self.select.clone(),
            only: self.limits(&selected, days),
            ..Wanted::default()
        };
        let mut ledger = Ledger::open(&project.ledger_path());
        let planned = Planned::make(project, &wanted, warehouse, Some(&mut ledger))?;
        targets::tell(&planned.plan);
        let running = Running {
            context: project,
            warehouse,
            control,
            output: Output::Text,
            jobs,
            on_failure: Some(OnFailure::Continue),
        };
        running.run(&mut ledger, planned, &|ledger| {
            Planned::make(project, &wanted, warehouse, Some(ledger))
        })
    }

    fn limits(
        &self,
        selected: &BTreeSet<AssetIndex>,
        days: &RangeSet,
    ) -> BTreeMap<AssetIndex, DayLimit> {
        let graph = &self.project.graph;
        let all = upstream_days(graph, selected, days, |index| {
            first_day(&graph.assets[index])
        });
        let limit = |(index, days): (AssetIndex, RangeSet)| {
            let last = days.last();
            (index, DayLimit { days, last })
        };
        all.into_iter().map(limit).collect()
    }

    /// Drops the tables. `keep_logs` leaves the logs of the run where its messages say.
    pub fn end(self, keep_logs: bool) -> Result<(), Failure> {
        self.place.drop_tables()?;
        match keep_logs {
            true => Ok(()),
            false => holdings::remove_history(&self.project.history_dir()),
        }
    }
}

/// The first day that the conf of an asset allows, or of what it is made of.
fn first_day(asset: &Asset) -> Option<Ds> {
    let gates = asset.inputs.iter().filter(|input| input.gates);
    asset
        .from
        .or_else(|| gates.filter_map(|input| input.from).min())
}

/// The days of an asset that a run in the target has computed.
pub fn computed(ended: &Ended, asset: &Asset) -> RangeSet {
    let summary = ended.ran.as_ref().map(|ran| &ran.summary);
    let succeeded = summary.into_iter().flat_map(|summary| &summary.succeeded);
    let succeeded: BTreeSet<&StepIndex> = succeeded.collect();
    let steps = ended.plan.steps.iter();
    steps
        .filter(|step| step.asset == asset.id && succeeded.contains(&step.index))
        .map(|step| step.range)
        .collect()
}

impl Place<'_> {
    /// Drops everything in the target's namespaces, which no other workspace uses.
    fn drop_tables(&self) -> Result<(), Failure> {
        let mut all: Vec<TableName> = Vec::new();
        let spaces: BTreeSet<&String> = self.namespaces.values().collect();
        for space in spaces {
            if self.hive.has_database(space).map_err(Failure::setup)? {
                all.extend(self.hive.tables_like(space, "*").map_err(Failure::setup)?);
            }
        }
        holdings::drop_tables(self.hive, &all, &self.namespaces, false)
    }
}

impl Drop for Place<'_> {
    /// After a failure; nothing is left to drop if all went well.
    fn drop(&mut self) {
        if let Err(failure) = self.drop_tables() {
            note(&format!(
                "the tables of the comparison are dropped by the next `diff --data`: {}",
                failure.text()
            ));
        }
    }
}

fn locked(workspace: &Workspace) -> Result<lock::Guard, Failure> {
    let folder = workspace.state_dir.join("locks");
    let grace = workspace.run.grace;
    let names = [SCRATCH_NAME];
    Ok(lock::acquire(
        &folder,
        SCRATCH_NAME,
        now_millis(),
        names,
        grace,
    )?)
}

/// What tells this workspace's tables from those of others in the same metastore, the same each time.
fn id(workspace: &Workspace) -> Result<String, Failure> {
    let path: PathBuf = workspace.state_dir.join(SCRATCH_ID_FILE);
    let known = fs::read_to_string(&path).unwrap_or_default();
    let is_id = |text: &str| text.len() == 16 && text.chars().all(|c| c.is_ascii_hexdigit());
    if is_id(&known) {
        return Ok(known);
    }
    let own = (now_millis(), std::process::id(), &workspace.root);
    let new = format!("{:016x}", RandomState::new().hash_one(own));
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)
        .and_then(|()| chronon_run_process::replace(&path, &new))
        .map_err(|error| Failure::setup(format!("cannot write {}: {error}", path.display())))?;
    Ok(new)
}
