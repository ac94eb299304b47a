//! Figures of a run as a Prometheus text file, for node_exporter's textfile collector.

use std::collections::BTreeSet;

use chronon_run_core::{RangeSet, event::StepIndex};
use chronon_run_plan::{AssetPlan, State};

use crate::{
    engines::checking,
    failure::Failure,
    loading::project::Project,
    options::MetricsArgs,
    output::note,
    program::now_millis,
    runs::{gauges::Gauges, run::Ended},
};

/// Writes the file, if one is asked for. A figure that cannot be written is reported; the command does not fail.
/// `started` is in milliseconds since the epoch.
pub fn write(
    args: &MetricsArgs,
    context: &Project,
    ended: &Ended,
    started: i64,
    outcome: &Result<(), Failure>,
) {
    let Some(path) = &args.metrics_file else {
        return;
    };
    let now = now_millis();
    let code = outcome.as_ref().err().map_or(0, Failure::exit_code);
    let figures = Figures {
        context,
        ended,
        now,
        millis: now - started,
        code,
    };
    let written = figures
        .text()
        .map_err(|error| error.to_string())
        .and_then(|text| {
            chronon_run_process::replace(path, &text).map_err(|error| error.to_string())
        });
    if let Err(why) = written {
        note(&format!("cannot write {}: {why}", path.display()));
    }
}

struct Figures<'a> {
    context: &'a Project,
    ended: &'a Ended,
    now: i64,
    millis: i64,
    code: u8,
}

#[expect(clippy::cast_precision_loss, reason = "figures are far below 2^52")]
impl Figures<'_> {
    fn text(&self) -> prometheus::Result<String> {
        let gauges = Gauges::default();
        self.add_run(&gauges)?;
        self.add_assets(&gauges)?;
        self.add_checks(&gauges)?;
        let help = "Days of a source that something waits for.";
        let missing = gauges.add("source_missing_days", help, &["table"])?;
        for wait in self.ended.plan.waits() {
            let table = wait.table.to_string();
            let days = wait.missing.days() as f64;
            missing.with_label_values(&[&table]).set(days);
        }
        gauges.text()
    }

    fn add_run(&self, gauges: &Gauges) -> prometheus::Result<()> {
        let one = |name: &str, help: &str, value: f64| {
            let gauge = gauges.add(name, help, &[])?;
            gauge.with_label_values::<&str>(&[]).set(value);
            prometheus::Result::Ok(())
        };
        let seconds = |millis: i64| millis as f64 / 1_000.0;
        let help = "When the last run ended.";
        one("last_end_timestamp_seconds", help, seconds(self.now))?;
        let help = "How long the last run took.";
        one("last_duration_seconds", help, seconds(self.millis))?;
        let help = "Exit code of the last run.";
        one("last_exit_code", help, f64::from(self.code))?;
        let help = "Steps of the last run by outcome.";
        let steps = gauges.add("last_steps", help, &["outcome"])?;
        let ran = self.ended.ran.as_ref().map(|ran| &ran.summary);
        for (outcome, found) in [
            ("succeeded", ran.map_or(0, |ran| ran.succeeded.len())),
            ("failed", ran.map_or(0, |ran| ran.failed.len())),
            ("not_run", ran.map_or(0, |ran| ran.skipped.len())),
        ] {
            steps.with_label_values(&[outcome]).set(found as f64);
        }
        Ok(())
    }

    fn add_assets(&self, gauges: &Gauges) -> prometheus::Result<()> {
        let help = "Days of an asset by state, of those that were asked for.";
        let days = gauges.add("asset_days", help, &["asset", "state"])?;
        let help = "End of an asset's newest filled day.";
        let newest = gauges.add("asset_newest_timestamp_seconds", help, &["asset"])?;
        for asset in &self.ended.plan.assets {
            let id = asset.asset.to_string();
            let done = self.done(asset);
            for (state, found) in [
                ("done", done.days()),
                ("missing", asset.days_in(State::Run).minus(&done).days()),
                ("waiting", asset.days_in(State::Waiting).days()),
                ("blocked", asset.days_in(State::Blocked).days()),
            ] {
                days.with_label_values(&[id.as_str(), state])
                    .set(found as f64);
            }
            if let Some(last) = done.last() {
                let next = last.plus(1);
                let timezone = &self.context.workspace.timezone;
                let end = next.start_in(timezone).unwrap_or(next.start_millis());
                newest.with_label_values(&[&id]).set(end as f64 / 1_000.0);
            }
        }
        Ok(())
    }

    fn add_checks(&self, gauges: &Gauges) -> prometheus::Result<()> {
        let labels = ["asset", "check", "on_fail"];
        let help = "Whether the newest day that a data check looked at passed.";
        let passed = gauges.add("check_passed", help, &labels)?;
        let help = "Days that do not pass a data check.";
        let failed = gauges.add("check_failed_days", help, &labels)?;
        for result in checking::Records::of(self.context).shown(self.context) {
            let (asset, on_fail) = (result.asset.to_string(), result.on_fail());
            let labels = [asset.as_str(), &result.check, on_fail];
            let passed_now = if result.passed { 1.0 } else { 0.0 };
            // Days are in order, so the newest one stays.
            passed.with_label_values(&labels).set(passed_now);
            failed.with_label_values(&labels).add(1.0 - passed_now);
        }
        Ok(())
    }

    /// What was there before and what the run has filled.
    fn done(&self, asset: &AssetPlan) -> RangeSet {
        let summary = self.ended.ran.as_ref().map(|ran| &ran.summary);
        let succeeded: BTreeSet<StepIndex> = summary
            .into_iter()
            .flat_map(|summary| summary.succeeded.iter().copied())
            .collect();
        let steps = self.ended.plan.steps.iter();
        let filled: RangeSet = steps
            .filter(|step| step.asset == asset.asset && succeeded.contains(&step.index))
            .map(|step| step.range)
            .collect();
        asset.days_in(State::Done).union(&filled)
    }
}
