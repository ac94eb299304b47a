//! `chronon-run stream`: keeps the streaming apps of online GroupBys alive.

use chronon_run_core::ds::format_instant;
use chronon_run_exec::signals;
use chronon_run_report::table;

use crate::{
    cli::{Output, StreamArgs},
    context::Context,
    failure::Failure,
    output::{json, note, print},
    streaming::{self, App, AppStatus, Health},
};

pub(crate) fn run(args: &StreamArgs) -> Result<(), Failure> {
    let context = Context::load()?;
    let apps = apps(&context, args)?;
    let mut ledger = context.existing_ledger();
    let ledger = ledger.as_mut();
    let states = if args.status {
        streaming::look(&context, &apps, ledger)?
    } else if args.stop {
        streaming::stop(&context, &apps, ledger)?
    } else {
        let (_listener, control) = signals::listen()?;
        streaming::keep(&context, &apps, ledger, &control)?
    };
    match args.output {
        Output::Json => print(&json(&states)?)?,
        Output::Text if args.status => print(&text(&states))?,
        Output::Text if args.stop => {}
        Output::Text => tell(&states),
    }
    if args.stop {
        return Ok(());
    }
    outcome(&states)
}

fn apps(context: &Context, args: &StreamArgs) -> Result<Vec<App>, Failure> {
    let selected = context.select(&args.select, true)?;
    let apps = streaming::apps_of(context, selected);
    if apps.is_empty() && !args.select.is_empty() {
        return Err(Failure::hinted(
            "nothing selected streams: a streaming app belongs to an online GroupBy with a topic",
            "`chronon-run ls mode:streaming` lists them",
        ));
    }
    Ok(apps)
}

/// What is not as it should be.
fn tell(states: &[AppStatus]) {
    for state in states {
        let name = &state.app_name;
        match state.health {
            Health::Running | Health::Starting | Health::Absent => {}
            Health::Unlisted => note(&format!(
                "{name}: {} lives, but nobody lists an app of this name",
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
                "error: {name} does not run: {}; log: {}; once its cause is mended, `chronon-run stream --stop {}` lets it be tried again",
                remark(state),
                log(state),
                state.asset
            )),
        }
    }
}

fn outcome(states: &[AppStatus]) -> Result<(), Failure> {
    let any = |wanted: &[Health]| states.iter().any(|state| wanted.contains(&state.health));
    if any(&[Health::Twice, Health::GivenUp]) {
        return Err(Failure::StepFailed);
    }
    if any(&[
        Health::Absent,
        Health::Unlisted,
        Health::NotUploaded,
        Health::BackingOff,
    ]) {
        return Err(Failure::Waiting);
    }
    Ok(())
}

fn text(states: &[AppStatus]) -> String {
    let rows: Vec<Vec<String>> = states
        .iter()
        .map(|state| {
            vec![
                state.app_name.clone(),
                word(state.health).to_owned(),
                state.running.join(", "),
                state.started.map(format_instant).unwrap_or_default(),
                remark(state),
            ]
        })
        .collect();
    table(&["app", "state", "runs as", "started", ""], &rows)
}

fn word(health: Health) -> &'static str {
    match health {
        Health::Running => "running",
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
        let message = state.message.as_deref().unwrap_or("nobody saw why");
        format!("{starts} died soon ({message})")
    };
    match (state.health, state.next_try) {
        (Health::BackingOff, Some(at)) => {
            format!("{}, next try from {}", died(), format_instant(at))
        }
        (Health::BackingOff | Health::GivenUp, _) => died(),
        _ => String::new(),
    }
}

fn log(state: &AppStatus) -> String {
    let log = state.log.as_deref();
    log.map_or_else(|| "none".to_owned(), |log| log.display().to_string())
}
