//! Figures of streaming apps and of the paths of their GroupBys as a Prometheus text file.

use std::path::Path;

use crate::{
    output::note,
    planning::online::Online,
    runs::gauges::Gauges,
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

fn text(states: &[AppStatus], paths: &[Online]) -> prometheus::Result<String> {
    let gauges = Gauges::default();
    add_health(&gauges, states)?;
    add_progress(&gauges, states)?;
    add_links(&gauges, paths)?;
    gauges.text()
}

/// A figure of each app, where it has one.
fn add(
    gauges: &Gauges,
    states: &[AppStatus],
    (name, help): (&str, &str),
    value: impl Fn(&AppStatus) -> Option<f64>,
) -> prometheus::Result<()> {
    let gauge = gauges.add(name, help, &["group_by"])?;
    for state in states {
        if let Some(value) = value(state) {
            let name = [state.asset.conf.name.as_str()];
            gauge.with_label_values(&name).set(value);
        }
    }
    Ok(())
}

fn add_health(gauges: &Gauges, states: &[AppStatus]) -> prometheus::Result<()> {
    let flag = |is: bool| Some(f64::from(u8::from(is)));
    let up = ("stream_up", "1 if the app runs and is not stalled.");
    add(gauges, states, up, |state| {
        flag(matches!(state.health, Health::Running | Health::Outdated))
    })?;
    let stalled = ("stream_stalled", "1 if the app makes no progress.");
    add(gauges, states, stalled, |state| {
        flag(state.health == Health::Stalled)
    })?;
    let outdated = (
        "stream_outdated",
        "1 if the app was started with another conf, jar, class or settings than today's.",
    );
    add(gauges, states, outdated, |state| {
        flag(!state.outdated.is_empty())
    })?;
    let failures = ("stream_failed_starts", "Starts in a row that failed.");
    add(gauges, states, failures, |state| {
        Some(f64::from(state.failures))
    })
}

#[expect(clippy::cast_precision_loss, reason = "figures are far below 2^52")]
fn add_progress(gauges: &Gauges, states: &[AppStatus]) -> prometheus::Result<()> {
    let seconds = |millis: i64| millis as f64 / 1_000.0;
    let progress = (
        "stream_last_progress_timestamp_seconds",
        "When the app last made progress.",
    );
    add(gauges, states, progress, |state| {
        state.alive_at.map(seconds)
    })?;
    let rate = ("stream_rows_per_second", "Rows processed per second.");
    add(gauges, states, rate, |state| {
        state.progress.as_ref()?.processed_rows_per_second
    })?;
    let records = (
        "stream_lag_records",
        "Records of the topic that were not read.",
    );
    add(gauges, states, records, |state| {
        Some(state.progress.as_ref()?.lag.records? as f64)
    })?;
    let lag = (
        "stream_lag_seconds",
        "For how long the brokers have had the oldest of them.",
    );
    add(gauges, states, lag, |state| {
        Some(seconds(state.progress.as_ref()?.lag.millis?))
    })
}

#[expect(clippy::cast_precision_loss, reason = "figures are far below 2^52")]
fn add_links(gauges: &Gauges, paths: &[Online]) -> prometheus::Result<()> {
    let labels = ["group_by", "link"];
    let help = "End of the day that a link of the path has come to, or its last progress.";
    let link_end = gauges.add("online_link_timestamp_seconds", help, &labels)?;
    let late = gauges.add("online_link_late", "1 if the link is late.", &labels)?;
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
    Ok(())
}
