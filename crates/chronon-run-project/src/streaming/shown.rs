//! How streaming apps are, for people, and the exit code for it.

use chronon_run_core::ds::format_instant;
use chronon_run_report::{Column, duration};

use super::{
    app::{AppStatus, Health},
    keeper::stalled,
};
use crate::{
    failure::Failure,
    output::{Page, note},
    program::now_millis,
};

/// On narrow screens the start is left out first, then who runs, the last progress and the lag.
const COLUMNS: [Column; 6] = [
    Column::id("app"),
    Column::new("state", 0),
    Column::new("runs as", 3),
    Column::new("started", 4),
    Column::new("progress", 2),
    Column::new("lag", 1),
];

/// Notes what is not as it should be.
pub fn tell(states: &[AppStatus]) {
    for state in states {
        let name = &state.app_name;
        match state.health {
            Health::Absent if state.failures > 0 => note(&format!(
                "{name} does not run: {}; log: {}",
                remark(state),
                log(state)
            )),
            Health::Running | Health::Starting | Health::Absent | Health::Over => {}
            Health::Stalled => note(&format!(
                "error: {name} is stalled: {}; log: {}",
                stalled(state),
                log(state)
            )),
            Health::Outdated if state.restart_waits => note(&format!(
                "{name} is outdated: {}; it is started again once the upload with today's conf has been loaded",
                state.outdated.join(", ")
            )),
            Health::Outdated => {}
            Health::Unlisted => note(&format!(
                "{name}: {} lives, but no app of this name is listed",
                state.running.join(", ")
            )),
            Health::Twice => note(&format!(
                "error: {name} runs {} times: {}; `chronon-run stream --stop {}` ends all of them",
                state.running.len(),
                state.running.join(", "),
                state.asset
            )),
            Health::NotUploaded => note(&format!(
                "{name} waits for the first upload of {}",
                state.asset.conf.name
            )),
            Health::BackingOff => note(&format!(
                "{name} does not run: {}; log: {}",
                remark(state),
                log(state)
            )),
            Health::GivenUp => note(&format!(
                "error: {name} does not run: {}; log: {}; after the cause is fixed, `chronon-run stream --stop {}` makes the next `stream` try again",
                remark(state),
                log(state),
                state.asset
            )),
        }
    }
}

/// Whether every app runs.
///
/// # Errors
/// [`Failure::StepFailed`] if one does not run or makes no progress; [`Failure::Waiting`] if one is expected to
/// run later.
pub fn outcome(states: &[AppStatus]) -> Result<(), Failure> {
    let any = |wanted: &[Health]| states.iter().any(|state| wanted.contains(&state.health));
    if any(&[Health::Twice, Health::GivenUp, Health::Stalled]) {
        return Err(Failure::StepFailed);
    }
    if any(&[
        Health::Absent,
        Health::Unlisted,
        Health::NotUploaded,
        Health::BackingOff,
        Health::Over,
    ]) || states.iter().any(|state| state.restart_waits)
    {
        return Err(Failure::Waiting);
    }
    Ok(())
}

/// Adds a table of the apps, and below it what is to be known of some of them.
pub fn add_to(page: &mut Page, states: &[AppStatus]) {
    let rows: Vec<Vec<String>> = states
        .iter()
        .map(|state| {
            vec![
                state.app_name.clone(),
                word(state.health).to_owned(),
                state.running.join(", "),
                state.started.map(format_instant).unwrap_or_default(),
                progress(state),
                lag(state),
            ]
        })
        .collect();
    page.table(&COLUMNS, &rows);
    for state in states {
        let remark = remark(state);
        if !remark.is_empty() {
            page.say(&format!("{}: {remark}\n", state.app_name));
        }
    }
}

/// The last progress: its age and rate.
fn progress(state: &AppStatus) -> String {
    let Some(progress) = &state.progress else {
        return state.alive_at.map(age).unwrap_or_default();
    };
    let mut text = progress.at.map(age).unwrap_or_default();
    if let Some(rate) = progress.processed_rows_per_second {
        text += &format!(", {rate:.1} rows/s");
    }
    text
}

/// How far the app is behind its topic.
fn lag(state: &AppStatus) -> String {
    let lag = state.progress.as_ref().map(|progress| &progress.lag);
    let Some(records) = lag.and_then(|lag| lag.records) else {
        return String::new();
    };
    let mut text = format!("{records} records");
    if let Some(millis) = lag.and_then(|lag| lag.millis).filter(|_| records > 0) {
        text += &format!(", {}", duration(u64::try_from(millis).unwrap_or_default()));
    }
    text
}

fn age(at: i64) -> String {
    let age = now_millis().saturating_sub(at);
    format!("{} ago", duration(u64::try_from(age).unwrap_or_default()))
}

fn word(health: Health) -> &'static str {
    match health {
        Health::Running => "running",
        Health::Stalled => "stalled",
        Health::Over => "query over",
        Health::Outdated => "outdated",
        Health::Starting => "starting",
        Health::Unlisted => "not listed",
        Health::Twice => "runs twice",
        Health::Absent => "absent",
        Health::NotUploaded => "not uploaded",
        Health::BackingOff => "backing off",
        Health::GivenUp => "given up",
    }
}

fn remark(state: &AppStatus) -> String {
    let died = || {
        let starts = match state.failures {
            1 => "its last start".to_owned(),
            failures => format!("its last {failures} starts"),
        };
        let message = state.message.as_deref().unwrap_or("the cause is not known");
        format!("{starts} failed ({message})")
    };
    match (state.health, state.next_try) {
        (Health::BackingOff, Some(at)) => {
            format!("{}, next try from {}", died(), format_instant(at))
        }
        (Health::BackingOff | Health::GivenUp, _) => died(),
        (Health::Absent, _) if state.failures > 0 => died(),
        (Health::Stalled, _) => stalled(state),
        (Health::Over, _) => state.message.clone().unwrap_or_default(),
        (Health::Outdated, _) => format!("started with another {}", state.outdated.join(", ")),
        _ => String::new(),
    }
}

fn log(state: &AppStatus) -> String {
    let log = state.log.as_deref();
    log.map_or_else(|| "none".to_owned(), |log| log.display().to_string())
}
