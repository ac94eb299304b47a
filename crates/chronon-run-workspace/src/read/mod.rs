//! From the document to a [`Workspace`]: one function per section, one line per key.
//!
//! A value that is wrong is put down in the report and replaced by its default, so that every
//! error of the file is found in one reading.

mod checks;
mod driver_args;
mod paths;
mod settings;
mod tables;

use std::path::{Path, PathBuf};

use crate::{
    document::{Section, Value},
    model::{Engine, EngineKind, Workspace},
    parse,
    read::paths::{FROM_ROOT, Paths},
};

/// Reads the whole file, which is `file` in the absolute folder `root`.
pub(crate) fn workspace(document: &Section<'_>, file: &Path, root: &Path) -> Workspace {
    let mut out = Workspace::with_defaults(file, root);
    let paths = Paths { root };
    document.child("workspace", |section| general(section, &paths, &mut out));
    out.engine = document.child("engine", |section| engine(section, &paths));
    out.catalog = document.child("catalog", |section| settings::catalog(section, &paths));
    out.run = document.child("run", settings::run);
    if let Some(seeds) = document.get("seeds") {
        out.seeds = tables::seeds(&seeds, &paths, &out.partition_column);
    }
    if let Some(sources) = document.get("sources") {
        out.sources = tables::sources(&sources);
    }
    if let Some(overrides) = document.get("override") {
        out.overrides = tables::overrides(&overrides);
    }
    if let Some(list) = document.get("check") {
        out.checks = checks::checks(&list);
    }
    if let Some(targets) = document.get("targets") {
        out.targets = tables::targets(&targets);
    }
    out.hooks = document.child("hooks", settings::hooks);
    out.streaming = document.child("streaming", settings::streaming);
    out.airflow = document.child("airflow", |section| settings::airflow(section, &paths));
    out
}

fn general(section: &Section<'_>, paths: &Paths<'_>, out: &mut Workspace) {
    let set = |key, field: &mut String, parse: fn(&str) -> Result<String, String>| {
        let value = section.get(key);
        if let Some(value) = value.and_then(|value| value.parsed("bad-value", parse)) {
            *field = value;
        }
    };
    set("production", &mut out.production, relative_folder);
    set("env", &mut out.env, |text| Ok(text.to_owned()));
    set("timezone", &mut out.timezone, timezone);
    set("partition_column", &mut out.partition_column, parse::column);
    if let Some(value) = section.get("folder") {
        let message = "`workspace.folder` must be the only key of the file";
        let hint = "the workspace.toml of that folder is read instead of this one";
        value.refuse_with("not-alone", message.to_owned(), hint.to_owned());
    }
    if let Some(value) = section.get("repo") {
        out.repo = repo(&value, paths).unwrap_or_else(|| paths.root.to_owned());
    }
    out.as_of = section.day("as_of");
    if let Some(path) = section.get("state_dir").and_then(|value| paths.of(&value)) {
        out.state_dir = path;
    }
    out.python = paths.expected(section, "python");
    if let Some(parts) = section.words("time_parts") {
        out.time_parts = parts;
    }
}

fn timezone(text: &str) -> Result<String, String> {
    match chronon_run_core::ds::check_timezone(text) {
        Ok(()) => Ok(text.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn relative_folder(text: &str) -> Result<String, String> {
    let inside = Path::new(text)
        .components()
        .all(|part| matches!(part, std::path::Component::Normal(_)));
    if inside {
        Ok(text.trim_end_matches('/').to_owned())
    } else {
        Err(format!("`{text}` is not a folder within the repo"))
    }
}

fn repo(value: &Value<'_>, paths: &Paths<'_>) -> Option<PathBuf> {
    let path = paths.of(value)?;
    if path.is_dir() {
        return Some(path);
    }
    let message = format!("`workspace.repo`: there is no folder `{}`", path.display());
    let hint = format!("it holds teams.json and production/; {FROM_ROOT}");
    value.refuse_with("no-such-path", message, hint);
    None
}

fn engine(section: &Section<'_>, paths: &Paths<'_>) -> Engine {
    let or = Engine::default();
    let out = Engine {
        kind: section
            .choice("kind", &settings::ENGINES)
            .unwrap_or(or.kind),
        spark_home: paths.expected(section, "spark_home"),
        java_home: paths.expected(section, "java_home"),
        master: section
            .parsed("master", "bad-master", parse::master)
            .unwrap_or(or.master),
        names_master: section.get("master").is_some(),
        deploy_mode: section
            .choice("deploy_mode", &settings::DEPLOY_MODES)
            .map(str::to_owned),
        cluster_url: section.parsed("cluster_url", "bad-url", parse::plain_http_url),
        conf: section
            .get("conf")
            .map(|value| settings::spark_properties(&value))
            .unwrap_or_default(),
        driver_args: section
            .get("driver_args")
            .map(|value| driver_args::driver_args(&value))
            .unwrap_or_default(),
        chronon_jar: paths.jar(section, "chronon_jar"),
        online_jar: paths.jar(section, "online_jar"),
        online_class: section.word("online_class"),
        launcher: section
            .choice("launcher", &settings::LAUNCHERS)
            .unwrap_or(or.launcher),
        fast_start: section
            .choice("fast_start", &settings::FAST_STARTS)
            .unwrap_or(or.fast_start),
        sessions: section.boolean("sessions").unwrap_or(or.sessions),
        share_spark: section.boolean("share_spark"),
        keep_spark: section.parsed("keep_spark", "bad-duration", parse::duration),
        test_team: section.word("test_team").unwrap_or(or.test_team),
        test_chronon_jar: paths.jar(section, "test_chronon_jar"),
    };
    check_engine(section, &out);
    out
}

/// What one key of `[engine]` demands of another.
fn check_engine(section: &Section<'_>, engine: &Engine) {
    let jar = section.get("chronon_jar");
    if let (EngineKind::Chronon, Some(kind), None) = (engine.kind, section.get("kind"), jar) {
        kind.refuse_with(
            "missing-key",
            "`engine.kind = \"chronon\"` needs `engine.chronon_jar`".to_owned(),
            "name the Driver's jar, for example \
             `chronon_jar = \"jars/spark_uber_2.12-0.0.113-assembly.jar\"`"
                .to_owned(),
        );
    }
    let in_cluster = engine.deploy_mode.as_deref() == Some("cluster");
    let on_cluster = !engine.master.starts_with("local");
    if let (true, false, Some(mode)) = (in_cluster, on_cluster, section.get("deploy_mode")) {
        mode.refuse_with(
            "bad-value",
            format!("the master `{}` has no cluster to deploy on", engine.master),
            "leave `deploy_mode` out, or name a cluster's `master`".to_owned(),
        );
    }
    let sql = engine.kind == EngineKind::Sql;
    if let (true, true, true, Some(mode)) =
        (in_cluster, on_cluster, sql, section.get("deploy_mode"))
    {
        mode.refuse_with(
            "bad-value",
            "Spark SQL runs in client mode only".to_owned(),
            "leave `deploy_mode` out, or use `kind = \"chronon\"`".to_owned(),
        );
    }
}
