//! A frontfill: what is due is run as soon as it can be.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use chronon_run_core::{AssetKind, ds::format_millis, event::EVENT_VERSION};
use chronon_run_export::{never_text, waits_text};
use chronon_run_ledger::Ledger;
use chronon_run_plan::{AssetPlan, Reason, Wait};
use chronon_run_report::count;
use serde_json::{Value, json};

use crate::{
    failure::Failure,
    listing::landing::expect_landings,
    options::Output,
    output::{json, note, print, say},
    planning::prepared::{Planned, Wanted},
    program::now_millis,
    runs::{
        control::pause,
        run::{Ended, Running, nothing_to_do},
    },
};

/// One frontfill.
pub struct Frontfill<'a> {
    /// How it is run.
    pub running: &'a Running<'a>,
    /// What is due.
    pub wanted: &'a Wanted,
    /// Whether the user said what day it is: then it is not known how late a partition is.
    pub simulated: bool,
    /// How long what waits is waited for.
    pub wait: Option<Duration>,
    /// Between two looks.
    pub poll: Duration,
    /// Says only what needs attention.
    pub quiet: bool,
}

impl Frontfill<'_> {
    /// Runs what is ready; with `--wait`, again and again until nothing waits, a step has failed or
    /// time is over. Each look is one listing for all assets.
    ///
    /// # Errors
    /// What a run fails with before its first step, and being stopped.
    pub fn until_ready(&self, ledger: &mut Ledger) -> Result<Ended, Failure> {
        let deadline = self.wait.map(|wait| Instant::now() + wait);
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
            pause(self.running.control, self.poll.min(left))?;
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
        if self.quiet {
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

    /// Says what was not filled, and what is waited for.
    pub fn tell(&self, ended: &Ended) -> Result<(), Failure> {
        if ended.ran.is_none() && !self.quiet && self.running.output == Output::Text {
            say(&nothing_to_do(&ended.plan))?;
            let never = never_text(&ended.plan);
            if !never.is_empty() {
                note(never.trim_end());
            }
        }
        if !self.quiet {
            tell_left_out(ended);
        }
        if !ended.leaves_days_open() {
            return Ok(());
        }
        let waits = self.waits(ended);
        match self.running.output {
            Output::Json => tell_json(&waits),
            Output::Text => {
                let in_time = waits.iter().all(|wait| wait.late_seconds == Some(0));
                if !(self.quiet && in_time) {
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

/// Says how much cannot be filled here; the exit code does not tell of uploads and loads.
fn tell_left_out(ended: &Ended) {
    let cannot = |asset: &&AssetPlan| {
        matches!(asset.excluded, Some(Reason::EngineCannot { .. }))
            && asset.asset.mode != AssetKind::Streaming
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
        let at = format_millis(now_millis());
        let mut event = json!({"version": EVENT_VERSION, "at": at, "event": "waiting"});
        let wait = serde_json::to_value(wait).map_err(Failure::setup)?;
        if let (Value::Object(event), Value::Object(wait)) = (&mut event, wait) {
            event.extend(wait);
        }
        print(&json(&event)?)?;
    }
    Ok(())
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
