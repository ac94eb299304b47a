//! What the hooks of streaming apps are called for.

use chronon_run_core::{ds::format_millis, event::EVENT_VERSION};
use chronon_run_process::Stop;
use serde_json::json;

use crate::{
    loading::project::Project,
    output::note,
    program::now_millis,
    runs::hooks::{Call, Hooks},
};

use super::{
    app::{App, AppStatus},
    record::folder,
};

/// What has happened to an app.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Event {
    /// It ran, and has stopped working.
    Down,
    /// It lives and makes no progress any more.
    Stalled,
    /// It ran before, was started again, and lives.
    Restarted,
}

/// One event, and why.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) app: App,
    pub(super) event: Event,
    pub(super) reason: String,
}

impl Event {
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Down => ("on_stream_down", "stream_down"),
            Self::Stalled => ("on_stream_stalled", "stream_stalled"),
            Self::Restarted => ("on_stream_restarted", "stream_restarted"),
        }
    }
}

/// Runs the hooks, one after another. One that fails is reported and changes nothing else.
pub(super) fn tell(context: &Project, events: &[Told], states: &[AppStatus]) {
    let calls: Vec<Call> = events
        .iter()
        .enumerate()
        .filter_map(|(number, told)| call(context, number, told, states))
        .collect();
    if calls.is_empty() {
        return;
    }
    let watchdog = match crate::program::own_watchdog(context.workspace.run.grace) {
        Ok(watchdog) => watchdog,
        Err(_) => return note("the hooks of streaming apps cannot be run: no watchdog"),
    };
    let hooks = Hooks::new(&context.workspace, &watchdog);
    for call in &calls {
        if let Err(error) = hooks.run(call, Stop::of_process()) {
            note(&format!("hook {}: {error}", call.hook));
        }
    }
}

fn call(context: &Project, number: usize, told: &Told, states: &[AppStatus]) -> Option<Call> {
    let settings = &context.workspace.hooks;
    let (hook, word) = told.event.words();
    let template = match told.event {
        Event::Down => &settings.on_stream_down,
        Event::Stalled => &settings.on_stream_stalled,
        Event::Restarted => &settings.on_stream_restarted,
    };
    let name = &told.app.name;
    let state = states.iter().find(|state| state.app_name == *name);
    Some(Call {
        hook,
        template: template.clone()?,
        values: vec![
            ("event", word.to_owned()),
            ("asset", told.app.asset.to_string()),
            ("app_name", name.clone()),
            ("reason", told.reason.clone()),
        ],
        event: json!({
            "version": EVENT_VERSION,
            "event": word,
            "at": format_millis(now_millis()),
            "asset": told.app.asset,
            "app_name": name,
            "reason": told.reason,
            "app": state,
        }),
        log: folder(context).join(format!("{hook}.{}.log", number + 1)),
    })
}
