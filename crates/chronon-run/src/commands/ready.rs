//! `chronon-run ready`: whether an asset's inputs are there for one day. One listing, nothing is
//! written; made to be asked again and again by a scheduler's sensor.

use chronon_run_core::{AssetId, Ds, PartitionRange};
use chronon_run_export::reason_text;
use chronon_run_plan::{AssetIndex, AssetPlan, Fill, Plan, Reason, State};
use chronon_run_project::{
    failure::Failure,
    listing::session::CatalogSession,
    loading::project::Project,
    output::{json, print, say},
    planning::prepared::{Planned, Wanted},
};
use serde::Serialize;

use crate::cli::{DayArgs, Output, ReadyArgs};

pub(crate) fn run(args: &ReadyArgs) -> Result<(), Failure> {
    let context = Project::load()?;
    let asset = context.asset_named(&args.asset)?;
    let index = context.index_of(&asset)?;
    if context.graph.assets[index].fill == Fill::App {
        return Err(Failure::hinted(
            format!("{asset} is a long-running app and has no days"),
            "ask about its upload",
        ));
    }
    context.check_fillable(&[index].into())?;
    let as_of = context.as_of(args.as_of)?;
    let readiness = if args.ds > as_of {
        Readiness::not_closed(asset, args.ds)
    } else {
        look(&context, index, args.ds, as_of)?
    };
    match args.output {
        Output::Text => say(&readiness.text())?,
        Output::Json => print(&json(&readiness)?)?,
    }
    match (readiness.ready, readiness.state) {
        (true, _) => Ok(()),
        (false, State::Excluded) => Err(Failure::Findings(Vec::new())),
        (false, _) => Err(Failure::Waiting),
    }
}

/// What is known of one day of one asset.
#[derive(Debug, Serialize)]
struct Readiness {
    asset: AssetId,
    /// The day: the one asked for, minus the asset's lag.
    ds: Ds,
    /// Whether nothing is waited for.
    ready: bool,
    /// What a plan would make of the day.
    state: State,
    /// Why.
    reason: Option<Reason>,
    /// The newest later closed day that is ready and not filled. A job that fills it fills this day
    /// too; only of assets that fill every missing day.
    newer_ds: Option<Ds>,
}

impl Readiness {
    fn not_closed(asset: AssetId, ds: Ds) -> Self {
        Self {
            asset,
            ds,
            ready: false,
            state: State::Waiting,
            reason: Some(Reason::AfterAsOf),
            newer_ds: None,
        }
    }

    fn text(&self) -> String {
        let word = match (self.ready, self.state) {
            (true, _) => "ready",
            (false, State::Excluded) => "never",
            (false, _) => "waiting",
        };
        let why = self.reason.as_ref().map(reason_text).unwrap_or_default();
        let state = self.state.as_str();
        let mut text = format!("{word}: {} {}: {state}: {why}", self.asset, self.ds);
        if let Some(newer) = self.newer_ds {
            text.push_str(&format!("; {newer} is ready too"));
        }
        text.push('\n');
        text
    }
}

fn look(context: &Project, index: AssetIndex, ds: Ds, as_of: Ds) -> Result<Readiness, Failure> {
    let asset = &context.graph.assets[index];
    let lag = i32::try_from(context.settings(index).lag).unwrap_or(i32::MAX);
    let day = ds.plus(-lag);
    // Of assets of which only the last day is ever filled, that day must be the last.
    let as_of = if asset.fill == Fill::Daily { as_of } else { ds };
    let wanted = Wanted {
        days: DayArgs {
            start_ds: Some(day),
            end_ds: None,
            ds: None,
            as_of: Some(as_of),
            allow_unfinished: false,
        },
        ..Wanted::default()
    }
    .only(&asset.id);
    let warehouse = CatalogSession::look(&context.workspace)?;
    let mut ledger = context.existing_ledger();
    let planned = Planned::make(context, &wanted, &warehouse, ledger.as_mut())?;
    Ok(readiness(asset.id.clone(), day, &planned.plan))
}

fn readiness(asset: AssetId, ds: Ds, plan: &Plan) -> Readiness {
    let (state, reason) = state_of(plan.assets.first(), ds);
    let later = PartitionRange::new(ds.plus(1), plan.as_of);
    let newer = plan.assets.first().zip(later).and_then(|(asset, later)| {
        let days = asset.days_in(State::Run).intersect(&later.into());
        days.hull().map(|hull| hull.end)
    });
    // A day without rows is a day; what reads it has nothing to wait for.
    let empty = matches!(reason, Some(Reason::NoRowsThere { .. }));
    Readiness {
        asset,
        ds,
        ready: matches!(state, State::Done | State::Run) || empty,
        state,
        reason,
        newer_ds: newer,
    }
}

/// A day without a cell has nothing to fill, unless it is the left side that has no partition yet.
fn state_of(asset: Option<&AssetPlan>, ds: Ds) -> (State, Option<Reason>) {
    let Some(asset) = asset else {
        return (State::Excluded, None);
    };
    if let Some(cell) = asset.cell(ds) {
        return (cell.state, Some(cell.reason.clone()));
    }
    match &asset.excluded {
        Some(reason @ Reason::NoLeftPartition { .. }) => (State::Waiting, Some(reason.clone())),
        reason => (State::Excluded, reason.clone()),
    }
}
