//! `chronon-run frontfill`: everything scheduled that is due and whose inputs are there.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use chronon_run_core::{AssetKind, Ds, PartitionRange, RangeSet, event::CancelReason};
use chronon_run_exec::{Control, signals};
use chronon_run_export::waits_text;
use chronon_run_ledger::Ledger;
use chronon_run_plan::{AssetIndex, AssetPlan, DayLimit, Reason, Wait};
use chronon_run_project::{
    failure::Failure,
    listing::{landing::expect_landings, session::CatalogSession},
    loading::{days::check_as_of, project::Project},
    output::{line, note, print, print_plan, say},
    planning::{
        due::{Now, last_due},
        prepared::{Planned, Wanted},
    },
    program::now_millis,
    runs::{
        metrics,
        run::{Ended, Running, nothing_to_do},
    },
};
use chronon_run_report::count;
use crossbeam_channel::{Receiver, RecvTimeoutError};
use serde_json::{Value, json};

use crate::cli::{DayArgs, FrontfillArgs, Output};

pub(crate) fn run(args: &FrontfillArgs) -> Result<(), Failure> {
    let started = now_millis();
    let context = Project::load()?;
    let wanted = due(&context, args)?;
    if args.how.dry_run {
        return dry_run(&context, &wanted, args.how.output);
    }
    // From here on Ctrl-C and TERM end things in order.
    let (_listener, control) = signals::listen()?;
    let warehouse = CatalogSession::open(&context.workspace)?;
    let mut ledger = Ledger::open(&context.ledger_path());
    let running = Running {
        context: &context,
        warehouse: &warehouse,
        control: &control,
        output: args.how.output,
        jobs: args.how.jobs,
        on_failure: args.how.on_failure,
    };
    let frontfill = Frontfill {
        args,
        running: &running,
        wanted: &wanted,
        simulated: is_simulated(&context, args),
    };
    let ended = frontfill.until_ready(&mut ledger)?;
    running.tell_waiting(&ended)?;
    frontfill.tell(&ended)?;
    let selected = context.select(&args.select, true)?;
    let not_filled = context.not_filled(&args.select, &selected, false)?;
    let outcome = ended.outcome_without(&not_filled);
    metrics::write(&args.how.metrics, &context, &ended, started, &outcome);
    outcome
}

/// Whether the user said what day it is.
fn is_simulated(context: &Project, args: &FrontfillArgs) -> bool {
    args.ds.or(args.as_of).or(context.workspace.as_of).is_some()
}

/// What is due: the selected assets, each up to the last day that its schedule calls for.
fn due(context: &Project, args: &FrontfillArgs) -> Result<Wanted, Failure> {
    check_as_of(context, args.as_of)?;
    let as_of = context.as_of(args.as_of)?;
    if let Some(ds) = args.ds
        && ds > as_of
    {
        return Err(Failure::hinted(
            format!("--ds {ds} has not closed yet; the last closed day is {as_of}"),
            "`--as-of` says which day is the last closed one",
        ));
    }
    let selected = context.select(&args.select, true)?;
    if !args.select.selectors.is_empty() || !args.select.select.is_empty() {
        context.check_fillable(&offline(context, &selected))?;
    }
    let days = DayArgs {
        ds: None,
        end_ds: args.ds,
        start_ds: None,
        as_of: Some(as_of),
        allow_unfinished: false,
    };
    let now = match is_simulated(context, args) {
        true => Now::After(args.ds.unwrap_or(as_of)),
        false => Now::Clock,
    };
    let only = selected
        .iter()
        .map(|&index| (index, only(args, last_due(context, now, index))));
    Ok(Wanted {
        select: args.select.clone(),
        days,
        every_mode: true,
        only: only.collect(),
        ..Wanted::default()
    })
}

/// The offline tables among the selected assets. The name of a conf means these; what else it has
/// and cannot be done here, such as a load without a hook, is left out of the plan with its reason.
fn offline(context: &Project, selected: &BTreeSet<AssetIndex>) -> BTreeSet<AssetIndex> {
    let is_table = |index: &&AssetIndex| context.graph.assets[**index].id.step.is_offline_table();
    selected.iter().filter(is_table).copied().collect()
}

fn only(args: &FrontfillArgs, due: Option<Ds>) -> DayLimit {
    let Some(last) = due else {
        return DayLimit::default();
    };
    let most = args.max_days.and_then(|days| i32::try_from(days).ok());
    let first = most.map_or(Ds::from_epoch_days(FIRST), |days| last.plus(1 - days));
    DayLimit {
        days: RangeSet::from(PartitionRange::new(first, last)),
        last: Some(last),
    }
}

/// 0001-01-01: before every day that there is.
const FIRST: i32 = -719_162;

fn dry_run(context: &Project, wanted: &Wanted, shown: Output) -> Result<(), Failure> {
    let warehouse = CatalogSession::look(&context.workspace)?;
    let mut ledger = context.existing_ledger();
    let planned = Planned::make(context, wanted, &warehouse, ledger.as_mut())?;
    let details = !wanted.select.is_empty();
    print_plan(&planned.plan, shown, details, false)
}

/// One frontfill.
struct Frontfill<'a> {
    args: &'a FrontfillArgs,
    running: &'a Running<'a>,
    wanted: &'a Wanted,
    simulated: bool,
}

impl Frontfill<'_> {
    /// Runs what is ready; with `--wait`, again and again until nothing waits, a step has failed or
    /// time is over. Each look is one listing for all assets.
    fn until_ready(&self, ledger: &mut Ledger) -> Result<Ended, Failure> {
        let deadline = self.args.wait.map(|wait| Instant::now() + wait);
        let mut ran: Option<Ended> = None;
        let mut told = BTreeSet::new();
        loop {
            let left = deadline
                .map(|deadline| deadline.saturating_duration_since(Instant::now()))
                .unwrap_or_default();
            match self.once(ledger) {
                Ok(ended) => {
                    let waits = matches!(ended.outcome(), Err(Failure::Waiting));
                    let ended = merged(ran.take(), ended);
                    if !waits || left.is_zero() {
                        return Ok(ended);
                    }
                    self.tell_once(&ended, &mut told);
                    ran = Some(ended);
                }
                Err(Failure::Locked { .. } | Failure::OutOfReach { .. }) if !left.is_zero() => {}
                Err(failure) => return Err(failure),
            }
            pause(self.running.control, self.args.poll.min(left))?;
        }
    }

    fn once(&self, ledger: &mut Ledger) -> Result<Ended, Failure> {
        let make = |ledger: &mut Ledger| {
            let Running {
                context, warehouse, ..
            } = *self.running;
            Planned::make(context, self.wanted, warehouse, Some(ledger))
        };
        let planned = make(ledger)?;
        self.running.run(ledger, planned, &make)
    }

    /// Says what is waited for, as often as that changes.
    fn tell_once(&self, ended: &Ended, told: &mut BTreeSet<String>) {
        if self.args.quiet {
            return;
        }
        let waits = ended.plan.waits();
        let tables: Vec<String> = waits
            .iter()
            .map(|wait| format!("{} {}", wait.table, wait.missing))
            .collect();
        let text = format!("waiting for {}", tables.join(", "));
        if told.insert(text.clone()) {
            note(&text);
        }
    }

    fn tell(&self, ended: &Ended) -> Result<(), Failure> {
        let args = self.args;
        if ended.ran.is_none() && !args.quiet && args.how.output == Output::Text {
            say(&nothing_to_do(&ended.plan))?;
        }
        if !args.quiet {
            tell_left_out(ended);
        }
        if !ended.leaves_days_open() {
            return Ok(());
        }
        let waits = self.waits(ended);
        match args.how.output {
            Output::Json => tell_json(&waits),
            Output::Text => {
                let in_time = waits.iter().all(|wait| wait.late_seconds == Some(0));
                if !(args.quiet && in_time) {
                    note(waits_text(&ended.plan, &waits).trim_end());
                }
                Ok(())
            }
        }
    }

    fn waits(&self, ended: &Ended) -> Vec<Wait> {
        let Running {
            context, warehouse, ..
        } = *self.running;
        expect_landings(context, warehouse, ended.plan.waits(), self.simulated)
    }
}

/// What the engine cannot fill is not asked for by name here, so it is no error; but it is said.
fn tell_left_out(ended: &Ended) {
    let cannot = |asset: &&AssetPlan| {
        matches!(asset.excluded, Some(Reason::EngineCannot { .. }))
            && asset.asset.step != AssetKind::Streaming
    };
    let left_out = ended.plan.assets.iter().filter(cannot).count() as u64;
    if left_out > 0 {
        let assets = count(left_out, "asset");
        note(&format!(
            "{assets} left out, which cannot be filled here; `chronon-run status` says why"
        ));
    }
}

fn tell_json(waits: &[Wait]) -> Result<(), Failure> {
    for wait in waits {
        let mut event = json!({"at": now_millis(), "event": "waiting"});
        let wait = serde_json::to_value(wait).map_err(Failure::setup)?;
        if let (Value::Object(event), Value::Object(wait)) = (&mut event, wait) {
            event.extend(wait);
        }
        print(&line(&event)?)?;
    }
    Ok(())
}

/// Sleeps, unless Ctrl-C or TERM comes.
fn pause(control: &Receiver<Control>, length: Duration) -> Result<(), Failure> {
    match control.recv_timeout(length) {
        Ok(Control::Stop(reason)) => Err(Failure::Interrupted(reason)),
        Ok(Control::Kill) => Err(Failure::Interrupted(CancelReason::Interrupt)),
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Ok(()),
    }
}

/// The later of two looks, with what was run by either.
fn merged(before: Option<Ended>, mut now: Ended) -> Ended {
    let Some(before) = before.and_then(|before| before.ran) else {
        return now;
    };
    match &mut now.ran {
        None => now.ran = Some(before),
        Some(ran) => {
            let (all, more) = (&mut ran.summary, before.summary);
            all.succeeded.extend(more.succeeded);
            all.failed.extend(more.failed);
            all.skipped.extend(more.skipped);
        }
    }
    now
}
