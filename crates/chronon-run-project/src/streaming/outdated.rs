//! Whether an app was started with another conf, jar, class or settings than today's, and whether it
//! may be started again.

use chronon_run_conf::edits::{streamed, unnoticed_edits};
use chronon_run_core::{AssetId, AssetKind, ConfType};
use chronon_run_engine::streaming::{Jar, StartedWith};
use chronon_run_workspace::Launcher;

use crate::{
    loading::project::Project,
    planning::filled::{Records, conf_of},
};

use super::{App, Streams, record::Record};

/// run.py's word for the mode.
const MODE: &str = "streaming";

/// What an app would be started with now. `known` is what it was started with, so that checksums of
/// jars that were not touched need not be made again.
pub(super) fn today(context: &Project, app: &App, known: Option<&StartedWith>) -> StartedWith {
    let workspace = &context.workspace;
    let mut with = StartedWith {
        conf: conf_of(context, &app.asset).map_or_else(Default::default, |conf| streamed(&conf)),
        ..StartedWith::default()
    };
    if let Some(template) = &workspace.streaming.command {
        with.set("streaming.command", &template.join("\u{0}"));
        return with;
    }
    let engine = &workspace.engine;
    for (key, jar) in [
        ("chronon_jar", &engine.chronon_jar),
        ("online_jar", &engine.online_jar),
    ] {
        let known = known.and_then(|known| known.jars.get(key));
        // One that cannot be read is reported by the next start.
        let jar = jar.as_ref().and_then(|jar| Jar::of(jar, known).ok());
        let jar = jar.or_else(|| known.cloned());
        with.jars.extend(jar.map(|jar| (key.to_owned(), jar)));
    }
    with.class.clone_from(&engine.online_class);
    with.set("master", &engine.master);
    with.set("deploy_mode", engine.deploy_mode.as_deref().unwrap_or(""));
    with.set("launcher", launcher(engine.launcher));
    for (name, value) in context.spark_conf(app.index) {
        with.set(name, &value);
    }
    for (name, value) in variables(context, app) {
        with.set(format!("variable {name}"), &value);
    }
    with
}

const fn launcher(launcher: Launcher) -> &'static str {
    match launcher {
        Launcher::Scripts => "scripts",
        Launcher::SparkSubmit => "spark-submit",
    }
}

/// What teams.json and the conf set for the mode, first writer first.
fn variables(context: &Project, app: &App) -> Vec<(String, String)> {
    let (teams, env) = (&context.repo.teams, context.workspace.env.as_str());
    let asset = &context.graph.assets[app.index];
    let mut all = teams.common_env();
    for (team, env) in [
        ("default", "production"),
        (asset.team.as_str(), "production"),
        (asset.team.as_str(), env),
    ] {
        all.extend(teams.mode_env(team, env, MODE));
    }
    let group_by = context.repo.group_bys.get(&app.asset.conf.name);
    let modes = group_by.and_then(|file| file.conf.meta_data.mode_to_env_map.as_ref());
    let own = modes
        .into_iter()
        .flatten()
        .filter(|(mode, _)| *mode == MODE);
    all.extend(own.flat_map(|(_, variables)| variables.clone()));
    all.into_iter().collect()
}

impl Streams<'_> {
    /// What of a running app is another today; empty if nothing is, or if nothing is known of its start.
    pub(super) fn differences(&self, app: &App, record: &Record) -> Vec<String> {
        let Some(before) = &record.started_with else {
            return Vec::new();
        };
        before.differences(&today(self.context, app, Some(before)))
    }

    /// Whether an outdated app may be started again: it reads its serving information from the KV
    /// store (§8.1), so an upload with today's conf must have been loaded.
    pub(super) fn is_todays_conf_loaded(&self, app: &App, record: &Record) -> bool {
        let Some(before) = &record.started_with else {
            return false;
        };
        let conf = conf_of(self.context, &app.asset).unwrap_or_default();
        let today = StartedWith {
            conf: streamed(&conf),
            ..StartedWith::default()
        };
        if !before.has_other_conf(&today) {
            return true;
        }
        let of = |step| AssetId::new(ConfType::GroupBy, &app.asset.conf.name, step);
        let upload = of(AssetKind::Upload);
        let Some(index) = self.context.graph.find(&upload) else {
            return false;
        };
        let table = &self.context.graph.assets[index].table;
        let Some(filled) = Records::of(self.context).get(table) else {
            return false;
        };
        if !unnoticed_edits(&filled.conf, &conf).is_empty() {
            return false;
        }
        let uploaded = self.uploaded.get(&upload);
        match self.context.workspace.hooks.kv_upload.is_some() {
            true => uploaded.is_some() && self.uploaded.get(&of(AssetKind::Kv)) >= uploaded,
            false => uploaded.is_some(),
        }
    }
}
