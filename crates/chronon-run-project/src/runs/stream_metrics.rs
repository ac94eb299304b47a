//! Figures of streaming apps and of the paths of their GroupBys as a Prometheus text file.

use std::path::Path;

use prometheus::{GaugeVec, Opts, Registry, TextEncoder};

use crate::{
    output::note,
    planning::online::Online,
    streaming::{AppStatus, Health},
};

/// Writes the file. A figure that cannot be written is reported and fails nothing.
pub fn write(path: &Path, states: &[AppStatus], paths: &[Online]) {
    let written = text(states, paths)
        .map_err(|error| error.to_string())
        .and_then(|text| {
            chronon_run_process::replace(path, &text).map_err(|error| error.to_string())
        });
    if let Err(why) = written {
        note(&format!("cannot write {}: {why}", path.display()));
    }
}

#[expect(clippy::cast_precision_loss, reason = "figures are far below 2^52")]
fn text(states: &[AppStatus], paths: &[Online]) -> prometheus::Result<String> {
    let registry = Registry::new();
    let gauge = |name: &str, help: &str, labels: &[&str]| {
        let gauge = GaugeVec::new(Opts::new(format!("chronon_run_{name}"), help), labels)?;
        registry.register(Box::new(gauge.clone()))?;
        prometheus::Result::Ok(gauge)
    };
    let label = ["group_by"];
    let up = gauge("stream_up", "1 if the app runs and is not stalled.", &label)?;
    let stalled = gauge("stream_stalled", "1 if the app makes no progress.", &label)?;
    let help = "1 if the app was started with another conf, jar, class or settings than today's.";
    let outdated = gauge("stream_outdated", help, &label)?;
    let failures = gauge(
        "stream_failed_starts",
        "Starts in a row that failed.",
        &label,
    )?;
    let help = "When the app last made progress.";
    let progress = gauge("stream_last_progress_timestamp_seconds", help, &label)?;
    let rate = gauge(
        "stream_rows_per_second",
        "Rows processed per second.",
        &label,
    )?;
    let help = "Records of the topic that were not read.";
    let records = gauge("stream_lag_records", help, &label)?;
    let help = "For how long the brokers have had the oldest of them.";
    let seconds = gauge("stream_lag_seconds", help, &label)?;
    for state in states {
        let name = [state.asset.conf.name.as_str()];
        let flag = |gauge: &GaugeVec, is: bool| {
            gauge.with_label_values(&name).set(f64::from(u8::from(is)));
        };
        flag(
            &up,
            matches!(state.health, Health::Running | Health::Outdated),
        );
        flag(&stalled, state.health == Health::Stalled);
        flag(&outdated, !state.outdated.is_empty());
        failures
            .with_label_values(&name)
            .set(f64::from(state.failures));
        let set = |gauge: &GaugeVec, value: Option<f64>| {
            if let Some(value) = value {
                gauge.with_label_values(&name).set(value);
            }
        };
        set(&progress, state.alive_at.map(|at| at as f64 / 1_000.0));
        let report = state.progress.as_ref();
        set(&rate, report.and_then(|it| it.processed_rows_per_second));
        set(
            &records,
            report.and_then(|it| it.lag.records).map(|it| it as f64),
        );
        let lag = report.and_then(|it| it.lag.millis);
        set(&seconds, lag.map(|it| it as f64 / 1_000.0));
    }
    let labels = ["group_by", "link"];
    let help = "End of the day that a link of the path has come to, or its last progress.";
    let link_end = gauge("online_link_timestamp_seconds", help, &labels)?;
    let late = gauge("online_link_late", "1 if the link is late.", &labels)?;
    for path in paths {
        for link in &path.links {
            let names = [path.group_by.as_str(), link.link];
            if let Some(at) = link.at {
                link_end.with_label_values(&names).set(at as f64 / 1_000.0);
            }
            let is_late = f64::from(u8::from(link.late.is_some()));
            late.with_label_values(&names).set(is_late);
        }
    }
    TextEncoder::new().encode_to_string(&registry.gather())
}
