//! Hooks: the user's own commands, run when something has happened (`[hooks]`).
//!
//! A hook is an argv template, never a shell string: `{word}` in an argument stands for a value.
//! The event is on its stdin as one JSON object. It runs in the workspace's folder, leads its own
//! process group, and is ended with all that it started when it takes too long or the run is
//! killed. Whatever it does, it never fails a step: its failure is only reported.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use chronon_run_core::{
    AssetId, CommandLine,
    ds::format_millis,
    event::{CancelReason, EVENT_VERSION, Event, Outcome, Sink, What},
    secret::mask_text,
};
use chronon_run_exec::Control;
use chronon_run_plan::{AssetPlan, Plan, Reason, State};
use chronon_run_process::{Exit, Helper, HelperError, StartError, Stop, Watchdog};
use chronon_run_report::{Activity, RunView, StepView};
use chronon_run_workspace::{Hooks as Settings, Workspace};
use crossbeam_channel::{Receiver, Sender, bounded, never, select, unbounded};
use serde_json::{Value, json};

use crate::runs::events::EventLog;

/// One hook to run.
#[derive(Clone, PartialEq, Debug)]
pub struct Call {
    /// Its key under `[hooks]`.
    pub hook: &'static str,
    /// Its argv, with words in braces.
    pub template: Vec<String>,
    /// What stands for each word.
    pub values: Vec<(&'static str, String)>,
    /// What it reads from stdin.
    pub event: Value,
    /// Where its output goes.
    pub log: PathBuf,
}

impl Call {
    /// The asset that it is about.
    fn asset(&self) -> Option<&str> {
        let found = self.values.iter().find(|(word, _)| *word == "asset");
        found.map(|(_, asset)| asset.as_str())
    }
}

/// Why a hook did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// It could not be started.
    #[error(transparent)]
    Start(#[from] StartError),
    /// It ended badly.
    #[error("{exit}; log: {}", .log.display())]
    Failed {
        /// How.
        exit: Exit,
        /// Its output.
        log: PathBuf,
    },
    /// It was ended, because it took longer than `hooks.timeout`.
    #[error("took longer than {} s and was ended; log: {}", .limit.as_secs_f32(), .log.display())]
    TimedOut {
        /// How long it may take.
        limit: Duration,
        /// Its output.
        log: PathBuf,
    },
    /// It was ended or not begun, because the run was stopped.
    #[error("the run was stopped first")]
    Stopped,
    /// The system could not tell how it ended.
    #[error("cannot wait for it: {0}")]
    Wait(std::io::Error),
}

/// What every hook of a run has in common.
#[derive(Clone, Copy)]
pub struct Hooks<'a> {
    settings: &'a Settings,
    /// Where hooks run: relative paths in a template start here.
    root: &'a Path,
    grace: Duration,
    /// Gets every hook, so that none survives a hard kill of this process.
    watchdog: &'a Watchdog,
}

impl<'a> Hooks<'a> {
    /// The hooks of a workspace.
    pub fn new(workspace: &'a Workspace, watchdog: &'a Watchdog) -> Self {
        Self {
            settings: &workspace.hooks,
            root: &workspace.root,
            grace: workspace.run.grace,
            watchdog,
        }
    }

    /// Runs one hook to its end. Ended early if it takes longer than `hooks.timeout`, or once
    /// `stop` is true.
    ///
    /// # Errors
    /// [`HookError`] unless it exits with 0.
    pub fn run(&self, call: &Call, stop: &Stop) -> Result<(), HookError> {
        let command = CommandLine {
            argv: fill(&call.template, &call.values),
            env: Vec::new(),
            cwd: Some(self.root.to_owned()),
        };
        let mut input = call.event.to_string().into_bytes();
        input.push(b'\n');
        let limit = self.settings.timeout;
        let helper = Helper::new(&command)
            .input(input)
            .limit(limit)
            .grace(self.grace)
            .watchdog(self.watchdog)
            .stop(stop);
        let log = call.log.clone();
        match helper.run(&log) {
            Ok(Exit::Code(0)) => Ok(()),
            Ok(exit) => Err(HookError::Failed { exit, log }),
            Err(HelperError::Start(error)) => Err(HookError::Start(error)),
            Err(HelperError::Stopped(_)) => Err(HookError::Stopped),
            Err(HelperError::TimedOut { limit }) => Err(HookError::TimedOut { limit, log }),
            Err(HelperError::Wait(error)) => Err(HookError::Wait(error)),
        }
    }

    /// Runs a hook, keeps that it ended, and returns a fragment if it failed.
    fn run_and_tell(&self, call: &Call, stop: &Stop, events: Option<&EventLog>) -> Option<String> {
        let started = Instant::now();
        let failed = self.run(call, stop).err();
        if let Some(events) = events {
            events.tell(What::HookEnded {
                hook: call.hook.to_owned(),
                asset: call.asset().and_then(|asset| asset.parse().ok()),
                millis: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
                message: failed.as_ref().map(|error| mask_text(&error.to_string())),
            });
        }
        Some(failure(call, &failed?))
    }

    /// Runs the hooks that `body` hands in, one after another, beside it. Returns when all are
    /// over, with what `body` returned and one fragment for each hook that failed; `events` keep
    /// each. A word from `control` after `body` ends the running hook and drops the others.
    pub fn beside<T>(
        &self,
        control: &Receiver<Control>,
        events: Option<&EventLog>,
        body: impl FnOnce(&Sender<Call>) -> T,
    ) -> (T, Vec<String>) {
        let stop = Stop::new();
        let (calls, queue) = unbounded::<Call>();
        let (over, all_over) = bounded::<()>(0);
        thread::scope(|scope| {
            let worker = scope.spawn(|| {
                // Hung up when this thread is done.
                let _over = over;
                let failed = |call: Call| self.run_and_tell(&call, &stop, events);
                queue.iter().filter_map(failed).collect::<Vec<String>>()
            });
            let result = body(&calls);
            drop(calls);
            let _waiting = Activity::start("waiting for hooks");
            let silence = never();
            let mut control = control;
            loop {
                select! {
                    recv(all_over) -> _ => break,
                    recv(control) -> word => match word {
                        Ok(Control::Stop(reason)) => stop.request(reason),
                        Ok(Control::Kill) => stop.request(CancelReason::Interrupt),
                        Err(_) => control = &silence,
                    },
                }
            }
            let panicked = |_| vec!["a hook could not be watched to its end".to_owned()];
            (result, worker.join().unwrap_or_else(panicked))
        })
    }
}

fn failure(call: &Call, error: &HookError) -> String {
    let of = call.asset().map(|asset| format!(" of {asset}"));
    format!("hook {}{}: {error}", call.hook, of.unwrap_or_default())
}

/// The template with every known `{word}` replaced; other braces mean themselves.
pub fn fill(template: &[String], values: &[(&'static str, String)]) -> Vec<String> {
    template
        .iter()
        .map(|word| fill_word(word, values))
        .collect()
}

fn fill_word(text: &str, values: &[(&'static str, String)]) -> String {
    let mut out = String::new();
    let mut rest = text;
    // From left to right, so that what a value brings in is never replaced itself.
    while let Some(at) = rest.find('{') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let known = values.iter().find_map(|(word, value)| {
            let after = from[1..].strip_prefix(word)?.strip_prefix('}')?;
            Some((value, after))
        });
        rest = match known {
            Some((value, after)) => {
                out.push_str(value);
                after
            }
            None => {
                out.push('{');
                &from[1..]
            }
        };
    }
    out.push_str(rest);
    out
}

/// Hands `on_success` and `on_failure` in as the steps of a run end.
pub struct StepHooks<'a> {
    settings: &'a Settings,
    /// Where their output goes.
    folder: PathBuf,
    table_of: &'a dyn Fn(&AssetId) -> String,
    calls: &'a Sender<Call>,
    view: RunView,
}

impl<'a> StepHooks<'a> {
    /// Hooks of one run. `table_of` names the table that an asset fills.
    pub fn new(
        settings: &'a Settings,
        folder: PathBuf,
        table_of: &'a dyn Fn(&AssetId) -> String,
        calls: &'a Sender<Call>,
    ) -> Self {
        Self {
            settings,
            folder,
            table_of,
            calls,
            view: RunView::default(),
        }
    }

    /// The call for a step that is over, if a hook is configured for it.
    fn call(&self, at: i64, step: &StepView, outcome: &Outcome) -> Option<Call> {
        let (hook, word, template) = match outcome {
            Outcome::Succeeded => ("on_success", "success", &self.settings.on_success),
            // The user who stopped the run knows.
            Outcome::Interrupted => return None,
            _ => ("on_failure", "failure", &self.settings.on_failure),
        };
        let info = &step.info;
        let event = json!({
            "version": EVENT_VERSION,
            "event": word,
            "at": format_millis(at),
            "run": self.view.run,
            "asset": info.asset,
            "table": (self.table_of)(&info.asset),
            "start_ds": info.range.start,
            "end_ds": info.range.end,
            "outcome": outcome,
            "message": step.message.as_ref().filter(|_| !outcome.succeeded()),
            "attempts": step.attempt,
            "millis": step.millis,
            "log": step.log,
            "checks": step.checked,
        });
        let values = vec![
            ("event", word.to_owned()),
            ("run", self.view.run.clone()),
            ("asset", info.asset.to_string()),
            ("ds", info.range.end.to_string()),
        ];
        Some(Call {
            hook,
            template: template.clone()?,
            values,
            event,
            log: self.folder.join(format!("{}-{hook}.log", info.step + 1)),
        })
    }
}

impl Sink for StepHooks<'_> {
    fn emit(&mut self, event: &Event) {
        self.view.apply(event);
        if let What::StepFinished { step, outcome, .. } = &event.what
            && let Some(view) = self.view.steps.get(step)
            && let Some(call) = self.call(event.at, view, outcome)
        {
            // The queue lives longer than the run.
            let _ = self.calls.send(call);
        }
    }
}

/// A call of `on_waiting` for every asset that waits for a source; assets that wait for those do
/// not count.
pub fn waiting_calls(
    settings: &Settings,
    plan: &Plan,
    at: i64,
    run: Option<&str>,
    folder: &Path,
) -> Vec<Call> {
    let Some(template) = &settings.on_waiting else {
        return Vec::new();
    };
    let waiting = plan
        .assets
        .iter()
        .filter(|asset| !asset.days_in(State::Waiting).is_empty());
    let call = |(number, asset): (usize, &AssetPlan)| {
        let days = asset.days_in(State::Waiting);
        let ds = days.last().map(|ds| ds.to_string()).unwrap_or_default();
        Call {
            hook: "on_waiting",
            template: template.clone(),
            values: vec![
                ("event", "waiting".to_owned()),
                ("run", run.unwrap_or_default().to_owned()),
                ("asset", asset.asset.to_string()),
                ("ds", ds),
            ],
            event: json!({
                "version": EVENT_VERSION,
                "event": "waiting",
                "at": format_millis(at),
                "run": run,
                "asset": asset.asset,
                "table": asset.table,
                "days": days,
                "inputs": missing_inputs(asset),
            }),
            log: folder.join(format!("waiting-{}.log", number + 1)),
        }
    };
    waiting.enumerate().map(call).collect()
}

/// Table → the days that are missing.
fn missing_inputs(asset: &AssetPlan) -> BTreeMap<String, chronon_run_core::RangeSet> {
    let mut missing: BTreeMap<String, chronon_run_core::RangeSet> = BTreeMap::new();
    for cells in &asset.cells {
        let Reason::InputsMissing { inputs } = &cells.reason else {
            continue;
        };
        for blame in inputs {
            let days = missing.entry(blame.table.to_string()).or_default();
            *days = days.union(&blame.missing);
        }
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_replaced_once_and_other_braces_stay() {
        let values = [
            ("asset", "{ds}".to_owned()),
            ("ds", "2026-01-30".to_owned()),
        ];
        let template = ["{asset}/{ds}", "{}", "{unknown", "a{ds}b{ds}"].map(str::to_owned);
        assert_eq!(
            fill(&template, &values),
            [
                "{ds}/2026-01-30",
                "{}",
                "{unknown",
                "a2026-01-30b2026-01-30"
            ]
        );
    }
}
