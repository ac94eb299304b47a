//! Figures of a run as a Prometheus text file, for node_exporter's textfile collector.

use std::collections::BTreeSet;

use chronon_run_core::{RangeSet, event::StepIndex};
use chronon_run_plan::{AssetPlan, State};
use prometheus::{GaugeVec, Opts, Registry, TextEncoder};

use crate::{
    engines::checking,
    failure::Failure,
    loading::project::{Project, now_millis},
    options::MetricsArgs,
    output::note,
    runs::run::Ended,
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
        let registry = Registry::new();
        let gauge = |name: &str, help: &str, labels: &[&str]| {
            let gauge = GaugeVec::new(Opts::new(format!("chronon_run_{name}"), help), labels)?;
            registry.register(Box::new(gauge.clone()))?;
            prometheus::Result::Ok(gauge)
        };
        let help = "When the last run ended.";
        let end = gauge("last_end_timestamp_seconds", help, &[])?;
        end.with_label_values::<&str>(&[])
            .set(self.now as f64 / 1_000.0);
        let took = gauge("last_duration_seconds", "How long the last run took.", &[])?;
        took.with_label_values::<&str>(&[])
            .set(self.millis as f64 / 1_000.0);
        let code = gauge("last_exit_code", "Exit code of the last run.", &[])?;
        code.with_label_values::<&str>(&[])
            .set(f64::from(self.code));

        let steps = gauge(
            "last_steps",
            "Steps of the last run by outcome.",
            &["outcome"],
        )?;
        let summary = self.ended.ran.as_ref().map(|ran| &ran.summary);
        for (outcome, found) in [
            (
                "succeeded",
                summary.map_or(0, |summary| summary.succeeded.len()),
            ),
            ("failed", summary.map_or(0, |summary| summary.failed.len())),
            (
                "not_run",
                summary.map_or(0, |summary| summary.skipped.len()),
            ),
        ] {
            steps.with_label_values(&[outcome]).set(found as f64);
        }

        let help = "Days of an asset by state, of those that were asked for.";
        let days = gauge("asset_days", help, &["asset", "state"])?;
        let help = "End of an asset's newest filled day.";
        let newest = gauge("asset_newest_timestamp_seconds", help, &["asset"])?;
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

        let help = "Whether the newest day that a data check looked at passed.";
        let passed = gauge("check_passed", help, &["asset", "check", "on_fail"])?;
        let help = "Days that do not pass a data check.";
        let failed = gauge("check_failed_days", help, &["asset", "check", "on_fail"])?;
        for result in checking::Records::of(self.context).shown(self.context) {
            let (asset, on_fail) = (result.asset.to_string(), result.on_fail());
            let labels = [asset.as_str(), &result.check, on_fail];
            let passed_now = if result.passed { 1.0 } else { 0.0 };
            // Days are in order, so the newest one stays.
            passed.with_label_values(&labels).set(passed_now);
            failed.with_label_values(&labels).add(1.0 - passed_now);
        }

        let help = "Days of a source that something waits for.";
        let missing = gauge("source_missing_days", help, &["table"])?;
        for wait in self.ended.plan.waits() {
            let table = wait.table.to_string();
            missing
                .with_label_values(&[&table])
                .set(wait.missing.days() as f64);
        }
        TextEncoder::new().encode_to_string(&registry.gather())
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
