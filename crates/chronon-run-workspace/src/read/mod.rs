//! From the document to a [`Workspace`]: one function per section, one line per key.
//!
//! A value that is wrong is put down in the report and replaced by its default, so that every
//! error of the file is found in one reading.

mod settings;
mod tables;

use std::path::{Path, PathBuf};

use crate::{
    document::{Section, Value},
    model::{Engine, EngineKind, Workspace},
    parse,
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
    out.hooks = document.child("hooks", settings::hooks);
    out.streaming = document.child("streaming", settings::streaming);
    out.airflow = document.child("airflow", |section| settings::airflow(section, &paths));
    out
}

/// Where relative paths start.
struct Paths<'r> {
    root: &'r Path,
}

impl Paths<'_> {
    /// `text` as an absolute path without `.` components.
    fn absolute(&self, text: &str) -> PathBuf {
        let joined = self.root.join(text);
        std::path::absolute(&joined).unwrap_or(joined)
    }

    /// The absolute path that `value` names.
    fn of(&self, value: &Value<'_>) -> Option<PathBuf> {
        value.word().map(|text| self.absolute(text))
    }

    /// The same; doubted if it is not there. Who uses it says the rest.
    fn expected(&self, value: &Value<'_>) -> Option<PathBuf> {
        let path = self.of(value)?;
        if !path.exists() {
            let message = format!("`{}`: there is no `{}`", value.shown(), path.display());
            value.doubt("no-such-path", message, FROM_ROOT.to_owned());
        }
        Some(path)
    }

    /// A jar: a path, made absolute, or a URL or Maven coordinates as they are.
    fn jar(&self, value: &Value<'_>) -> Option<String> {
        let text = value.word()?;
        let coordinates = !text.contains('/') && text.split(':').count() >= 3;
        if coordinates || text.contains("://") {
            return Some(text.to_owned());
        }
        let path = self.expected(value)?;
        Some(path.to_string_lossy().into_owned())
    }
}

const FROM_ROOT: &str = "a relative path starts at the folder of workspace.toml";

fn text(value: Value<'_>) -> Option<String> {
    value.word().map(str::to_owned)
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
    if let Some(value) = section.get("repo") {
        out.repo = repo(&value, paths).unwrap_or_else(|| paths.root.to_owned());
    }
    out.as_of = section.get("as_of").and_then(|value| {
        let text = value.date_text()?;
        let refuse = |why| value.refuse("bad-day", format!("`{}`: {why}", value.shown()));
        parse::day(&text).map_err(refuse).ok()
    });
    if let Some(path) = section.get("state_dir").and_then(|value| paths.of(&value)) {
        out.state_dir = path;
    }
    if let Some(parts) = section.get("time_parts").and_then(|value| value.words()) {
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
    let kind = section.get("kind");
    let jar = section.get("chronon_jar");
    let out = Engine {
        kind: kind
            .as_ref()
            .and_then(|value| value.choice(&settings::ENGINES))
            .unwrap_or(or.kind),
        spark_home: section
            .get("spark_home")
            .and_then(|value| paths.expected(&value)),
        java_home: section
            .get("java_home")
            .and_then(|value| paths.expected(&value)),
        master: section
            .get("master")
            .and_then(|value| value.parsed("bad-master", parse::master))
            .unwrap_or(or.master),
        deploy_mode: section
            .get("deploy_mode")
            .and_then(|value| value.choice(&settings::DEPLOY_MODES))
            .map(str::to_owned),
        conf: section
            .get("conf")
            .map(|value| tables::spark_properties(&value))
            .unwrap_or_default(),
        chronon_jar: jar.as_ref().and_then(|value| paths.jar(value)),
        online_jar: section
            .get("online_jar")
            .and_then(|value| paths.jar(&value)),
        online_class: section.get("online_class").and_then(text),
        launcher: section
            .get("launcher")
            .and_then(|value| value.choice(&settings::LAUNCHERS))
            .unwrap_or(or.launcher),
        fast_start: section
            .get("fast_start")
            .and_then(|value| value.choice(&settings::FAST_STARTS))
            .unwrap_or(or.fast_start),
        sessions: section
            .get("sessions")
            .and_then(|value| value.boolean())
            .unwrap_or(or.sessions),
        test_team: section
            .get("test_team")
            .and_then(text)
            .unwrap_or(or.test_team),
        test_chronon_jar: section
            .get("test_chronon_jar")
            .and_then(|value| paths.jar(&value)),
    };
    if let (EngineKind::Chronon, Some(kind), None) = (out.kind, kind, jar) {
        kind.refuse_with(
            "missing-key",
            "`engine.kind = \"chronon\"` needs `engine.chronon_jar`".to_owned(),
            "name the Driver's jar, for example \
             `chronon_jar = \"jars/spark_uber_2.12-0.0.113-assembly.jar\"`"
                .to_owned(),
        );
    }
    out
}
