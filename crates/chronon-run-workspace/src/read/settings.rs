//! The sections with fixed keys: catalog, run, hooks, streaming, airflow; and every enum's words.

use std::{collections::BTreeMap, path::PathBuf};

use super::paths::Paths;
use crate::{
    document::{Section, Value},
    model::{
        Airflow, Catalog, EngineKind, FastStart, Hooks, JoinFlow, Launcher, ListApps, Naming,
        OnFailure, Run, SeedFormat, Streaming,
    },
    parse,
    words::{listed, nearest},
};

pub(super) const ENGINES: [(&str, EngineKind); 2] =
    [("sql", EngineKind::Sql), ("chronon", EngineKind::Chronon)];
pub(super) const DEPLOY_MODES: [(&str, &str); 2] = [("client", "client"), ("cluster", "cluster")];
pub(super) const LAUNCHERS: [(&str, Launcher); 2] = [
    ("scripts", Launcher::Scripts),
    ("spark-submit", Launcher::SparkSubmit),
];
pub(super) const FAST_STARTS: [(&str, FastStart); 3] = [
    ("auto", FastStart::Auto),
    ("always", FastStart::Always),
    ("never", FastStart::Never),
];
pub(super) const JOIN_FLOWS: [(&str, JoinFlow); 2] =
    [("whole", JoinFlow::Whole), ("modular", JoinFlow::Modular)];
pub(super) const SEED_FORMATS: [(&str, SeedFormat); 3] = [
    ("csv", SeedFormat::Csv),
    ("json", SeedFormat::Json),
    ("parquet", SeedFormat::Parquet),
];
const ON_FAILURES: [(&str, OnFailure); 2] =
    [("stop", OnFailure::Stop), ("continue", OnFailure::Continue)];
const NAMINGS: [(&str, Naming); 2] = [("docs", Naming::Docs), ("code", Naming::Code)];
const LIST_APPS: [(&str, ListApps); 3] = [
    ("local", ListApps::Local),
    ("spark", ListApps::Spark),
    ("yarn", ListApps::Yarn),
];

/// What `{…}` may stand for in `hooks.kv_upload`.
pub(crate) const KV_UPLOAD_WORDS: [&str; 5] = ["table", "ds", "dataset", "batch_end", "location"];
/// What `{…}` may stand for in `hooks.kv_get`.
pub(crate) const KV_GET_WORDS: [&str; 3] = ["dataset", "group_by", "key"];
/// What `{…}` may stand for in `streaming.command`.
pub(crate) const STREAMING_WORDS: [&str; 4] = ["group_by", "conf", "app_name", "env"];
/// What `{…}` may stand for in the other hooks.
pub(crate) const EVENT_WORDS: [&str; 4] = ["event", "run", "asset", "ds"];

/// What `{…}` may stand for in the hooks of streaming apps.
pub(crate) const STREAM_WORDS: [&str; 4] = ["event", "asset", "app_name", "reason"];

#[derive(Clone, Copy, PartialEq)]
enum CatalogKind {
    Embedded,
    Hive,
    Fixture,
}

const CATALOGS: [(&str, CatalogKind); 3] = [
    ("embedded", CatalogKind::Embedded),
    ("hive", CatalogKind::Hive),
    ("fixture", CatalogKind::Fixture),
];

pub(super) fn catalog(section: &Section<'_>, paths: &Paths<'_>) -> Catalog {
    let kind_value = section.get("kind");
    let kind = kind_value.as_ref().map(|value| value.choice(&CATALOGS));
    let (idle, timeout) = (section.get("idle"), section.get("timeout"));
    let (uri, path) = (section.get("uri"), section.get("path"));
    // After an unknown word it is not known which keys belong to it.
    if let Some(kind) = kind.unwrap_or(Some(CatalogKind::Embedded)) {
        let of_kind = |wanted, value: &Option<Value<'_>>| {
            if let (false, Some(value)) = (kind == wanted, value) {
                has_no_effect(value, wanted);
            }
        };
        of_kind(CatalogKind::Embedded, &idle);
        of_kind(CatalogKind::Hive, &uri);
        of_kind(CatalogKind::Hive, &timeout);
        of_kind(CatalogKind::Fixture, &path);
    }
    let needs = |key: &str, value: &Option<Value<'_>>, example: &str| {
        if let (None, Some(kind)) = (value, &kind_value) {
            let message = format!("this kind of catalog needs `catalog.{key}`");
            kind.refuse_with("missing-key", message, format!("add `{key} = {example}`"));
        }
    };
    let idle = section.duration("idle").unwrap_or(Catalog::IDLE);
    let timeout = section.some_duration("timeout").unwrap_or(Catalog::TIMEOUT);
    match kind.flatten() {
        None | Some(CatalogKind::Embedded) => Catalog::Embedded { idle },
        Some(CatalogKind::Hive) => {
            needs("uri", &uri, "\"thrift://metastore:9083\"");
            let uri = section.parsed("uri", "bad-uri", parse::thrift_uri);
            let uri = uri.unwrap_or_default();
            Catalog::Hive { uri, timeout }
        }
        Some(CatalogKind::Fixture) => {
            needs("path", &path, "\"catalog.json\"");
            let path = path.and_then(|value| paths.of(&value)).unwrap_or_default();
            Catalog::Fixture { path }
        }
    }
}

fn has_no_effect(value: &Value<'_>, wanted: CatalogKind) {
    let word = CATALOGS.iter().find(|(_, kind)| *kind == wanted);
    let word = word.map_or("", |(word, _)| *word);
    let message = format!(
        "`{}` has no effect with this kind of catalog",
        value.shown()
    );
    let hint = format!("it belongs to `kind = \"{word}\"`");
    value.doubt("no-effect", message, hint);
}

pub(super) fn run(section: &Section<'_>) -> Run {
    let or = Run::default();
    Run {
        jobs: section.number("jobs", 1).unwrap_or(or.jobs),
        retries: section.number("retries", 0).unwrap_or(or.retries),
        retry_delay: section.duration("retry_delay").unwrap_or(or.retry_delay),
        timeout: section.some_duration("timeout").unwrap_or(or.timeout),
        grace: section.duration("grace").unwrap_or(or.grace),
        stuck_after: section
            .some_duration("stuck_after")
            .unwrap_or(or.stuck_after),
        step_days: section.number("step_days", 1).unwrap_or(or.step_days),
        on_failure: section
            .choice("on_failure", &ON_FAILURES)
            .unwrap_or(or.on_failure),
        join_flow: section
            .choice("join_flow", &JOIN_FLOWS)
            .unwrap_or(or.join_flow),
        patience: section.duration("patience").unwrap_or(or.patience),
        bisect: section.boolean("bisect").unwrap_or(or.bisect),
        more_memory: section
            .get("more_memory")
            .map(|value| spark_properties(&value))
            .unwrap_or_default(),
        upload_schedule_key: section
            .word("upload_schedule_key")
            .unwrap_or(or.upload_schedule_key),
        upload_schedule: section
            .parsed("upload_schedule", "bad-schedule", parse::schedule)
            .unwrap_or(or.upload_schedule),
    }
}

/// A command: a list with at least one word, of which the first is the program.
fn argv(value: &Value<'_>) -> Option<Vec<String>> {
    if value.is_text() {
        let message = format!(
            "`{}` must be a list of strings, not one string",
            value.shown()
        );
        value.refuse("wrong-type", message);
        return None;
    }
    let items = value.list()?;
    if items.is_empty() {
        value.refuse("empty", format!("`{}` names no program", value.shown()));
        return None;
    }
    // Later words may be empty or blank, as a program's arguments may.
    let program = items[0].word().map(str::to_owned);
    let arguments: Vec<_> = items[1..].iter().map(Value::text).collect();
    let arguments: Option<Vec<&str>> = arguments.into_iter().collect();
    let (program, arguments) = (program?, arguments?);
    let arguments = arguments.into_iter().map(str::to_owned);
    Some(std::iter::once(program).chain(arguments).collect())
}

/// A command whose arguments may hold `{word}`s of `known`.
fn template(value: Option<Value<'_>>, known: &[&'static str]) -> Option<Vec<String>> {
    let value = value?;
    let argv = argv(&value)?;
    for (item, argument) in value.list()?.iter().zip(&argv) {
        let unknown = parse::placeholders(argument)
            .into_iter()
            .filter(|word| !known.contains(word));
        for word in unknown {
            let message = format!("`{{{word}}}` stands for nothing here and is left as it is");
            let near = nearest(word, known.iter().copied());
            let near = near
                .map(|near| format!("did you mean `{{{near}}}`? "))
                .unwrap_or_default();
            let braced: Vec<_> = known.iter().map(|word| format!("{{{word}}}")).collect();
            let braced: Vec<_> = braced.iter().map(String::as_str).collect();
            let hint = format!("{near}known: {}", listed(&braced));
            item.doubt("unknown-placeholder", message, hint);
        }
    }
    Some(argv)
}

pub(super) fn hooks(section: &Section<'_>) -> Hooks {
    Hooks {
        kv_upload: template(section.get("kv_upload"), &KV_UPLOAD_WORDS),
        kv_get: template(section.get("kv_get"), &KV_GET_WORDS),
        on_success: template(section.get("on_success"), &EVENT_WORDS),
        on_failure: template(section.get("on_failure"), &EVENT_WORDS),
        on_waiting: template(section.get("on_waiting"), &EVENT_WORDS),
        on_stream_down: template(section.get("on_stream_down"), &STREAM_WORDS),
        on_stream_stalled: template(section.get("on_stream_stalled"), &STREAM_WORDS),
        on_stream_restarted: template(section.get("on_stream_restarted"), &STREAM_WORDS),
        timeout: section
            .some_duration("timeout")
            .unwrap_or(Hooks::default().timeout),
    }
}

pub(super) fn streaming(section: &Section<'_>) -> Streaming {
    let or = Streaming::default();
    let list_apps = section.get("list_apps");
    let url = section.get("url");
    let out = Streaming {
        command: template(section.get("command"), &STREAMING_WORDS),
        list_apps: list_apps.as_ref().and_then(apps).unwrap_or(or.list_apps),
        url: section.parsed("url", "bad-url", parse::http_url),
        settle: section.duration("settle").unwrap_or(or.settle),
        tries: section.number("tries", 1).unwrap_or(or.tries),
        backoff: section.duration("backoff").unwrap_or(or.backoff),
        stalled_after: section
            .some_duration("stalled_after")
            .unwrap_or(or.stalled_after),
        names_stalled_after: section.get("stalled_after").is_some(),
        restart_stalled: section
            .boolean("restart_stalled")
            .unwrap_or(or.restart_stalled),
        restart_outdated: section
            .boolean("restart_outdated")
            .unwrap_or(or.restart_outdated),
    };
    let asks = matches!(out.list_apps, ListApps::Spark | ListApps::Yarn);
    if let (true, None, Some(list_apps)) = (asks, url, list_apps) {
        list_apps.refuse_with(
            "missing-key",
            "this way of listing apps needs `streaming.url`".to_owned(),
            "add the address of the REST interface, for example `url = \"http://master:8080\"`"
                .to_owned(),
        );
    }
    out
}

fn apps(value: &Value<'_>) -> Option<ListApps> {
    if value.is_list() {
        argv(value).map(ListApps::Command)
    } else {
        value.choice(&LIST_APPS)
    }
}

pub(super) fn airflow(section: &Section<'_>, paths: &Paths<'_>) -> Airflow {
    let or = Airflow::default();
    Airflow {
        naming: section.choice("naming", &NAMINGS).unwrap_or(or.naming),
        command: section
            .get("command")
            .and_then(|value| argv(&value))
            .unwrap_or(or.command),
        workspace: section.word("workspace").map(PathBuf::from),
        owner: section.word("owner").unwrap_or(or.owner),
        emails: section.words("emails").unwrap_or(or.emails),
        queue: section.word("queue"),
        streaming_queue: section.word("streaming_queue"),
        pool: section.word("pool"),
        retries: section.number("retries", 0).unwrap_or(or.retries),
        retry_delay: section.duration("retry_delay").unwrap_or(or.retry_delay),
        start_date: section.day("start_date").unwrap_or(or.start_date),
        dagrun_timeout: section
            .some_duration("dagrun_timeout")
            .unwrap_or(or.dagrun_timeout),
        streaming_every: section
            .some_duration("streaming_every")
            .unwrap_or(or.streaming_every),
        poke_every: section.some_duration("poke_every").unwrap_or(or.poke_every),
        sensor_timeout: section
            .some_duration("sensor_timeout")
            .unwrap_or(or.sensor_timeout),
        group_by_concurrency: section
            .number("group_by_concurrency", 1)
            .unwrap_or(or.group_by_concurrency),
        join_concurrency: section
            .number("join_concurrency", 1)
            .unwrap_or(or.join_concurrency),
        operators: paths.expected(section, "operators"),
        metadata_upload: section
            .get("metadata_upload")
            .and_then(|value| argv(&value)),
    }
}

/// Spark properties. Others are passed too, but spark-submit drops them.
pub(super) fn spark_properties(value: &Value<'_>) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for (name, span, entry) in value.properties() {
        if !name.starts_with("spark.") {
            let message = format!("spark-submit ignores `{name}`");
            let hint = format!("properties start with `spark.`: did you mean `spark.{name}`?");
            entry
                .report()
                .warning("not-a-spark-property", span, message, hint);
        }
        if let Some(text) = entry.scalar() {
            out.insert(name, text);
        }
    }
    out
}
