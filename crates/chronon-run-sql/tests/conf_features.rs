//! What the engines do with each feature of a conf: `docs/conf-features.md` is generated from what the
//! code says of a small conf that has the feature. `UPDATE_DOCS=1` writes it.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should stop here"
)]

use std::{fmt::Write as _, fs, path::Path};

use chronon_run_conf::{ConfRepo, GroupBy, Join, StagingQuery};
use chronon_run_core::{AssetKind, Diagnostic, Severity};
use chronon_run_sql::{self as sql, Conf};
use serde_json::{Value, json};

/// A feature: a place in a conf, and a conf that has it.
struct Feature {
    field: &'static str,
    with: &'static str,
    base: Base,
    step: AssetKind,
    /// What is put where in the base, as JSON pointers; NULL takes away.
    edits: Vec<(&'static str, Value)>,
}

/// The confs that features are put into.
#[derive(Clone, Copy)]
enum Base {
    /// End-of-day values of events.
    Snapshot,
    /// Point-in-time values of events.
    Temporal,
    /// Snapshots of entities, without aggregations.
    Entities,
    /// Events on the left, a SNAPSHOT part.
    Join,
    /// Entities on the left.
    Panel,
    /// A join with a label.
    Labels,
    StagingQuery,
}

impl Base {
    fn folder(self) -> &'static str {
        match self {
            Self::Snapshot | Self::Temporal | Self::Entities => "group_bys",
            Self::Join | Self::Panel | Self::Labels => "joins",
            Self::StagingQuery => "staging_queries",
        }
    }

    fn conf(self, name: &str) -> Value {
        let mut conf = match self {
            Self::Snapshot => events(1),
            Self::Temporal => events(0),
            Self::Entities => entities(),
            Self::Join => json!({ "left": left(), "joinParts": [{ "groupBy": events(1) }],
                "rowIds": ["ts", "user"] }),
            Self::Panel => json!({ "left": entities()["sources"][0], "joinParts": [
                { "groupBy": events(1) }] }),
            Self::Labels => json!({ "left": left(), "joinParts": [{ "groupBy": events(1) }],
                "rowIds": ["ts", "user"], "labelPart": { "leftStartOffset": 3, "leftEndOffset": 1,
                "labels": [{ "groupBy": events(1) }] } }),
            Self::StagingQuery => json!({ "startPartition": "2026-01-01", "query":
                "SELECT user, ds FROM in.buys WHERE ds BETWEEN '{{ start_date }}' AND '{{ end_date }}'" }),
        };
        conf["metaData"] = json!({ "name": name, "team": "shop", "outputNamespace": "out" });
        if matches!(self, Self::StagingQuery) {
            conf["metaData"]["dependencies"] = json!(["in.buys/ds={{ ds }}"]);
        }
        conf
    }
}

fn query() -> Value {
    json!({ "selects": { "user": "user", "price": "price", "word": "word" }, "timeColumn": "ts",
        "startPartition": "2026-01-01", "setups": [] })
}

fn events(accuracy: u8) -> Value {
    json!({
        "metaData": { "name": "shop.buys.v1", "team": "shop", "outputNamespace": "out" },
        "sources": [{ "events": { "table": "in.buys", "query": query() } }],
        "keyColumns": ["user"], "accuracy": accuracy, "backfillStartDate": "2026-01-01",
        "aggregations": [{ "inputColumn": "price", "operation": 7, "argMap": {},
            "windows": [{ "length": 7, "timeUnit": 1 }] }],
    })
}

fn entities() -> Value {
    json!({
        "metaData": { "name": "shop.users.v1", "team": "shop", "outputNamespace": "out" },
        "sources": [{ "entities": { "snapshotTable": "in.users", "query": {
            "selects": { "user": "user", "price": "price" }, "startPartition": "2026-01-01", "setups": [] } } }],
        "keyColumns": ["user"], "accuracy": 1, "backfillStartDate": "2026-01-01",
    })
}

fn left() -> Value {
    json!({ "events": { "table": "in.views", "query": { "selects": { "user": "user" },
        "timeColumn": "ts", "startPartition": "2026-01-01", "setups": [] } } })
}

fn feature(
    field: &'static str,
    with: &'static str,
    base: Base,
    edits: Vec<(&'static str, Value)>,
) -> Feature {
    Feature {
        field,
        with,
        base,
        step: AssetKind::Backfill,
        edits,
    }
}

impl Feature {
    fn step(self, step: AssetKind) -> Self {
        Self { step, ..self }
    }
}

const FIRST: &str = "/aggregations/0";
const OPERATION: &str = "/aggregations/0/operation";
const ARGUMENTS: &str = "/aggregations/0/argMap";

/// Every operation, with what it needs.
fn operations() -> Vec<Feature> {
    let names = [
        "MIN",
        "MAX",
        "FIRST",
        "LAST",
        "UNIQUE_COUNT",
        "APPROX_UNIQUE_COUNT",
        "COUNT",
        "SUM",
        "AVERAGE",
        "VARIANCE",
        "SKEW",
        "KURTOSIS",
        "APPROX_PERCENTILE",
        "LAST_K",
        "FIRST_K",
        "TOP_K",
        "BOTTOM_K",
        "HISTOGRAM",
        "APPROX_HISTOGRAM_K",
        "BOUNDED_UNIQUE_COUNT",
    ];
    let all = names.into_iter().enumerate();
    all.map(|(number, name)| {
        let k = matches!(number, 13..=16 | 18 | 19).then(|| json!({ "k": "3" }));
        let mut edits = vec![(OPERATION, json!(number))];
        edits.extend(k.map(|arguments| (ARGUMENTS, arguments)));
        // Frequencies are of texts.
        edits.extend((number == 17).then(|| ("/aggregations/0/inputColumn", json!("word"))));
        feature("aggregations[].operation", name, Base::Snapshot, edits)
    })
    .collect()
}

fn group_bys() -> Vec<Feature> {
    use Base::{Entities, Snapshot, Temporal};
    let window = |length: i32, unit: u8| json!([{ "length": length, "timeUnit": unit }]);
    let windows = "/aggregations/0/windows";
    let selected = |text: &str| json!({ "user": "user", "price": text });
    let parent = |models: bool| {
        let mut join = Base::Join.conf("shop.parent.v1");
        if models {
            join["modelTransforms"] = json!({ "transforms": [{ "model": {} }] });
        }
        json!({ "joinSource": { "join": join, "query": query() } })
    };
    let entities_of = |column: &str| json!({ "inputColumn": column, "operation": 7, "argMap": {} });
    vec![
        feature("accuracy", "SNAPSHOT", Snapshot, vec![]),
        feature("accuracy", "TEMPORAL", Temporal, vec![]),
        feature("sources", "events", Snapshot, vec![]),
        feature("sources", "entities", Entities, vec![]),
        feature(
            "sources",
            "events and entities",
            Snapshot,
            vec![("/sources/1", entities()["sources"][0].clone())],
        ),
        feature(
            "sources",
            "several of events",
            Snapshot,
            vec![("/sources/1", events(1)["sources"][0].clone())],
        ),
        feature(
            "sources[].events.table",
            "with sub-partitions",
            Snapshot,
            vec![("/sources/0/events/table", json!("in.buys/market=eu"))],
        ),
        feature(
            "sources[].events.topic",
            "a topic",
            Temporal,
            vec![("/sources/0/events/topic", json!("buys"))],
        ),
        feature(
            "sources[].events.isCumulative",
            "true",
            Snapshot,
            vec![("/sources/0/events/isCumulative", json!(1))],
        ),
        feature(
            "sources[].events.isCumulative",
            "true, with partitionColumn",
            Snapshot,
            vec![
                ("/sources/0/events/isCumulative", json!(1)),
                ("/sources/0/events/query/partitionColumn", json!("day")),
            ],
        ),
        feature(
            "sources[].entities.mutationTable",
            "a table",
            Entities,
            vec![
                (
                    "/sources/0/entities/mutationTable",
                    json!("in.user_changes"),
                ),
                (
                    "/sources/0/entities/query/mutationTimeColumn",
                    json!("mutation_ts"),
                ),
                (
                    "/sources/0/entities/query/reversalColumn",
                    json!("is_before"),
                ),
            ],
        ),
        feature(
            "sources[].joinSource",
            "a parent join",
            Snapshot,
            vec![("/sources/0", parent(false))],
        ),
        feature(
            "sources[].joinSource",
            "a parent join with models",
            Snapshot,
            vec![("/sources/0", parent(true))],
        ),
        feature(
            "sources[].query.selects",
            "expressions",
            Snapshot,
            vec![("/sources/0/events/query/selects", selected("price * 2"))],
        ),
        feature(
            "sources[].query.selects",
            "none",
            Snapshot,
            vec![("/sources/0/events/query/selects", Value::Null)],
        ),
        feature(
            "sources[].query.selects",
            "`'{{ CHRONON_RUN_DS }}'` alone",
            Snapshot,
            vec![(
                "/sources/0/events/query/selects",
                selected("IF(day = '{{ CHRONON_RUN_DS }}', 1, 0)"),
            )],
        ),
        feature(
            "sources[].query.selects",
            "`{{ CHRONON_RUN_DS }}` inside a text",
            Snapshot,
            vec![(
                "/sources/0/events/query/selects",
                selected("IF(day = '{{ CHRONON_RUN_DS }} 00:00', 1, 0)"),
            )],
        ),
        feature(
            "sources[].query.wheres",
            "conditions",
            Snapshot,
            vec![("/sources/0/events/query/wheres", json!(["price > 0"]))],
        ),
        feature(
            "sources[].query.wheres",
            "`{{ CHRONON_RUN_DS }}`",
            Snapshot,
            vec![(
                "/sources/0/events/query/wheres",
                json!(["day = '{{ CHRONON_RUN_DS }}'"]),
            )],
        ),
        feature(
            "sources[].query.endPartition",
            "a day",
            Snapshot,
            vec![("/sources/0/events/query/endPartition", json!("2026-01-31"))],
        ),
        feature(
            "sources[].query.partitionColumn",
            "another than `ds`",
            Snapshot,
            vec![("/sources/0/events/query/partitionColumn", json!("day"))],
        ),
        feature(
            "sources[].query.timeColumn",
            "none, where rows need a time",
            Entities,
            vec![(
                FIRST,
                json!({ "inputColumn": "price", "operation": 3, "argMap": {} }),
            )],
        ),
        feature(
            "sources[].query.setups",
            "statements",
            Snapshot,
            vec![(
                "/sources/0/events/query/setups",
                json!(["CREATE TEMPORARY FUNCTION f AS 'x.Y'"]),
            )],
        ),
        feature(
            "keyColumns",
            "not among the selects",
            Snapshot,
            vec![("/keyColumns/0", json!("other"))],
        ),
        feature(
            "aggregations",
            "none, of events",
            Snapshot,
            vec![("/aggregations", Value::Null)],
        ),
        feature(
            "aggregations",
            "of entities",
            Entities,
            vec![(FIRST, entities_of("price"))],
        ),
        feature(
            "aggregations",
            "two with one name",
            Snapshot,
            vec![("/aggregations/1", events(1)["aggregations"][0].clone())],
        ),
        feature(
            "aggregations[].argMap",
            "without k, where it is needed",
            Snapshot,
            vec![(OPERATION, json!(13))],
        ),
        feature(
            "aggregations[].windows",
            "none: unbounded",
            Snapshot,
            vec![(windows, Value::Null)],
        ),
        feature(
            "aggregations[].windows",
            "hours, SNAPSHOT events",
            Snapshot,
            vec![(windows, window(6, 0))],
        ),
        feature(
            "aggregations[].windows",
            "hours, TEMPORAL upload",
            Temporal,
            vec![(windows, window(6, 0))],
        )
        .step(AssetKind::Upload),
        feature(
            "aggregations[].windows",
            "no length",
            Snapshot,
            vec![(windows, window(0, 1))],
        ),
        feature(
            "aggregations[].windows",
            "snapshots without a time",
            Entities,
            vec![(
                FIRST,
                json!({ "inputColumn": "price", "operation": 7, "argMap": {}, "windows": [{ "length": 7, "timeUnit": 1 }] }),
            )],
        ),
        feature(
            "aggregations[].buckets",
            "a column",
            Snapshot,
            vec![("/aggregations/0/buckets", json!(["word"]))],
        ),
        feature(
            "aggregations[].buckets",
            "a number",
            Snapshot,
            vec![
                (
                    "/sources/0/events/query/selects/size",
                    json!("CAST(price AS INT)"),
                ),
                ("/aggregations/0/buckets", json!(["size"])),
            ],
        ),
        feature(
            "aggregations[].elementWise",
            "true, over a list",
            Snapshot,
            vec![
                (
                    "/sources/0/events/query/selects/price",
                    json!("ARRAY(price)"),
                ),
                ("/aggregations/0/elementWise", json!(1)),
            ],
        ),
        feature(
            "aggregations[].inputColumn",
            "a date",
            Snapshot,
            vec![(
                "/sources/0/events/query/selects/price",
                json!("CAST(price AS DATE)"),
            )],
        ),
        feature(
            "aggregations[].inputColumn",
            "SUM of text",
            Snapshot,
            vec![(
                "/sources/0/events/query/selects/price",
                json!("CAST(price AS STRING)"),
            )],
        ),
        feature(
            "derivations",
            "expressions",
            Snapshot,
            vec![(
                "/derivations",
                json!([{ "name": "double", "expression": "price_sum_7d * 2" }]),
            )],
        ),
        feature(
            "backfillStartDate",
            "none: the first day of the sources",
            Snapshot,
            vec![("/backfillStartDate", Value::Null)],
        ),
        feature(
            "isIncremental",
            "true",
            Snapshot,
            vec![("/isIncremental", json!(1))],
        ),
        feature(
            "isIncremental",
            "true, TEMPORAL",
            Temporal,
            vec![("/isIncremental", json!(1))],
        ),
        feature(
            "isIncremental",
            "true, unbounded",
            Snapshot,
            vec![("/isIncremental", json!(1)), (windows, Value::Null)],
        ),
        feature(
            "isIncremental",
            "true, with buckets",
            Snapshot,
            vec![
                ("/isIncremental", json!(1)),
                ("/aggregations/0/buckets", json!(["word"])),
            ],
        ),
        feature(
            "isIncremental",
            "true, APPROX_PERCENTILE",
            Snapshot,
            vec![("/isIncremental", json!(1)), (OPERATION, json!(12))],
        ),
        feature("metaData.online", "upload, SNAPSHOT", Snapshot, vec![]).step(AssetKind::Upload),
        feature("metaData.online", "upload, TEMPORAL", Temporal, vec![]).step(AssetKind::Upload),
        feature("metaData.online", "upload of entities", Entities, vec![]).step(AssetKind::Upload),
        feature(
            "metaData.online",
            "streaming",
            Temporal,
            vec![("/sources/0/events/topic", json!("buys"))],
        )
        .step(AssetKind::Streaming),
        feature(
            "metaData.historicalBackfill",
            "false",
            Snapshot,
            vec![("/metaData/historicalBackfill", json!(0))],
        ),
        feature(
            "metaData.tableProperties",
            "properties",
            Snapshot,
            vec![("/metaData/tableProperties", json!({ "source": "chronon" }))],
        ),
    ]
}

fn joins() -> Vec<Feature> {
    use Base::{Join, Labels, Panel};
    let external = |offline: bool| {
        let mut source =
            json!({ "metadata": { "name": "shop.ext.v1" }, "keySchema": {}, "valueSchema": {} });
        if offline {
            source["offlineGroupBy"] = events(1);
        }
        json!([{ "source": source, "keyMapping": {}, "prefix": "later" }])
    };
    let bootstrap =
        |query: Value| json!([{ "table": "in.ready", "query": query, "keyColumns": ["user"] }]);
    let ready =
        json!({ "selects": { "user": "user", "shop_buys_v1_price_sum_7d": "p" }, "setups": [] });
    let models = json!({ "transforms": [{ "model": {} }] });
    vec![
        feature("left", "events", Join, vec![]),
        feature("left", "entities", Panel, vec![]),
        feature("left", "joinSource", Join, vec![("/left", json!({ "joinSource": { "join": Base::Join.conf("shop.parent.v1"), "query": query() } }))]),
        feature("left.events.isCumulative", "true", Join, vec![("/left/events/isCumulative", json!(1))]),
        feature("left.query.partitionColumn", "another than `ds`", Join, vec![("/left/events/query/partitionColumn", json!("day"))]),
        feature("joinParts", "none", Join, vec![("/joinParts", json!([]))]),
        feature("joinParts", "TEMPORAL", Join, vec![("/joinParts/0/groupBy", events(0))]),
        feature("joinParts", "entities", Join, vec![("/joinParts/0/groupBy", entities())]),
        feature("joinParts", "windows of hours, TEMPORAL", Join, vec![("/joinParts/0/groupBy/accuracy", json!(0)), ("/joinParts/0/groupBy/aggregations/0/windows/0/timeUnit", json!(0))]),
        feature("joinParts", "windows of hours, entities on the left", Panel, vec![("/joinParts/0/groupBy/accuracy", json!(0)), ("/joinParts/0/groupBy/aggregations/0/windows/0/timeUnit", json!(0))]),
        feature("joinParts[].keyMapping", "other names", Join, vec![("/left/events/query/selects", json!({ "guest": "user" })), ("/joinParts/0/keyMapping", json!({ "guest": "user" }))]),
        feature("joinParts[].prefix", "a word", Join, vec![("/joinParts/0/prefix", json!("p"))]),
        feature("mode backfill-left", "", Join, vec![]).step(AssetKind::Left),
        feature("mode part", "", Join, vec![]).step(AssetKind::Part("shop_buys_v1".to_owned())),
        feature("mode backfill-final", "", Join, vec![]).step(AssetKind::Final),
        feature("bootstrapParts", "a table", Join, vec![("/bootstrapParts", bootstrap(ready.clone()))]),
        feature("bootstrapParts", "with partitionColumn", Join, vec![("/bootstrapParts", bootstrap(json!({ "selects": ready["selects"], "setups": [], "partitionColumn": "day" })))]),
        feature("onlineExternalParts", "online only", Join, vec![("/onlineExternalParts", external(false))]),
        feature("onlineExternalParts", "with offlineGroupBy", Join, vec![("/onlineExternalParts", external(true))]),
        feature("derivations", "expressions, and `*`", Join, vec![("/derivations", json!([{ "name": "*", "expression": "*" }, { "name": "double", "expression": "shop_buys_v1_price_sum_7d * 2" }]))]),
        feature("rowIds", "columns", Join, vec![]),
        feature("skewKeys", "of a key", Join, vec![("/skewKeys", json!({ "user": ["'robot'"] }))]),
        feature("skewKeys", "of another column", Join, vec![("/left/events/query/selects", json!({ "user": "user", "city": "city" })), ("/skewKeys", json!({ "city": ["'x'"] }))]),
        feature("modelTransforms", "models: backfill of `…_pre_mt`", Join, vec![("/modelTransforms", models.clone())]),
        feature("modelTransforms", "models: model-transform", Join, vec![("/modelTransforms", models.clone())]).step(AssetKind::ModelTransform),
        feature("modelTransforms", "consistency", Join, vec![("/modelTransforms", models)]).step(AssetKind::Consistency),
        feature("labelPart", "one window of days", Labels, vec![]).step(AssetKind::LabelJoin),
        feature("labelPart", "none, mode label-join", Join, vec![]).step(AssetKind::LabelJoin),
        feature("labelPart", "two aggregations", Labels, vec![("/labelPart/labels/0/groupBy/aggregations/1", json!({ "inputColumn": "price", "operation": 6, "argMap": {}, "windows": [{ "length": 7, "timeUnit": 1 }] }))]).step(AssetKind::LabelJoin),
        feature("labelPart", "entities on the left", Labels, vec![("/left", entities()["sources"][0].clone())]).step(AssetKind::LabelJoin),
        feature("labelPart", "leftStartOffset after leftEndOffset", Labels, vec![("/labelPart/leftEndOffset", json!(5))]).step(AssetKind::LabelJoin),
        feature("labelPart", "keys that are no rowIds", Labels, vec![("/rowIds", json!(["ts"]))]).step(AssetKind::LabelJoin),
        feature("metaData.samplePercent", "logging: log-flattener", Join, vec![("/metaData/samplePercent", json!(100.0))]).step(AssetKind::LogFlattener),
        feature("metaData.samplePercent", "logging: log-summary", Join, vec![("/metaData/samplePercent", json!(100.0))]).step(AssetKind::LogSummary),
        feature("mode stats-summary", "", Join, vec![]).step(AssetKind::StatsSummary),
        feature("metaData.customJson", "check_consistency", Join, vec![("/metaData/customJson", json!("{\"check_consistency\": true}"))]).step(AssetKind::Consistency),
        feature("metaData.consistencySamplePercent", "0", Join, vec![("/metaData/consistencySamplePercent", json!(0.0))]).step(AssetKind::Consistency),
        feature("rowIds", "no keys of the parts, mode consistency", Join, vec![("/rowIds", json!(["other", "ts"]))]).step(AssetKind::Consistency),
        feature("rowIds", "no time, mode consistency", Join, vec![("/rowIds", json!(["user"]))]).step(AssetKind::Consistency),
    ]
}

fn staging_queries() -> Vec<Feature> {
    use Base::StagingQuery;
    vec![
        feature("query", "start_date, end_date", StagingQuery, vec![]),
        feature(
            "query",
            "latest_date, max_date",
            StagingQuery,
            vec![(
                "/query",
                json!(
                    "SELECT '{{ latest_date }}' AS d, '{{ max_date(table=in.buys) }}' AS m, ds FROM in.buys"
                ),
            )],
        ),
        feature(
            "metaData.dependencies",
            "none, where the query reads tables",
            StagingQuery,
            vec![("/metaData/dependencies", Value::Null)],
        ),
        feature(
            "query",
            "another macro",
            StagingQuery,
            vec![(
                "/query",
                json!("SELECT '{{ other }}' AS d, ds FROM in.buys"),
            )],
        ),
        feature(
            "startPartition",
            "none",
            StagingQuery,
            vec![
                ("/startPartition", Value::Null),
                ("/query", json!("SELECT user, ds FROM in.buys")),
            ],
        ),
        feature(
            "createView",
            "true",
            StagingQuery,
            vec![
                ("/createView", json!(1)),
                ("/query", json!("SELECT user, ds FROM in.buys")),
            ],
        ),
        feature(
            "createView",
            "true, with start_date",
            StagingQuery,
            vec![("/createView", json!(1))],
        ),
        feature(
            "setups",
            "statements",
            StagingQuery,
            vec![("/setups", json!(["CREATE TEMPORARY FUNCTION f AS 'x.Y'"]))],
        ),
        feature(
            "metaData.customJson",
            "additional partition columns",
            StagingQuery,
            vec![(
                "/metaData/customJson",
                json!("{\"additional_partition_cols\": [\"user\"]}"),
            )],
        ),
    ]
}

/// Sets a value at a pointer, whose parent exists; a list grows by one.
fn put(conf: &mut Value, pointer: &str, value: Value) {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    if parent == "/aggregations" && conf.get("aggregations").is_none() {
        conf["aggregations"] = json!([]);
    }
    match conf.pointer_mut(parent).unwrap() {
        Value::Array(items) => match name.parse::<usize>().unwrap() {
            at if at < items.len() => items[at] = value,
            _ => items.push(value),
        },
        object => match value {
            Value::Null => drop(object.as_object_mut().unwrap().remove(name)),
            value => object[name] = value,
        },
    }
}

/// What the code says of a feature.
struct Said {
    /// Of the `sql` engine: its refusals, as they are printed.
    refusals: Vec<String>,
    /// Of any engine.
    findings: Vec<Diagnostic>,
    /// Of the Driver.
    driver: Vec<Diagnostic>,
}

impl Feature {
    fn said(&self) -> Said {
        let mut conf = self.base.conf("shop.feature.v1");
        for (pointer, value) in &self.edits {
            put(&mut conf, pointer, value.clone());
        }
        let root = tempfile::tempdir().unwrap();
        let folder = root
            .path()
            .join("production")
            .join(self.base.folder())
            .join("shop");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("feature.v1"), conf.to_string()).unwrap();
        let teams = json!({ "default": { "namespace": "out" }, "shop": { "namespace": "out" } });
        fs::write(root.path().join("teams.json"), teams.to_string()).unwrap();
        let repo = ConfRepo::load(root.path(), "production").repo;
        Said {
            refusals: self.refusals(&conf),
            findings: repo.check(),
            driver: repo.check_driver(),
        }
    }

    fn refusals(&self, conf: &Value) -> Vec<String> {
        let text = conf.to_string();
        let found = match self.base {
            Base::Snapshot | Base::Temporal | Base::Entities => {
                let conf: GroupBy = serde_json::from_str(&text).unwrap();
                sql::check(Conf::GroupBy(&conf), &self.step)
            }
            Base::Join | Base::Panel | Base::Labels => {
                let conf: Join = serde_json::from_str(&text).unwrap();
                sql::check(Conf::Join(&conf), &self.step)
            }
            Base::StagingQuery => {
                let conf: StagingQuery = serde_json::from_str(&text).unwrap();
                sql::check(Conf::StagingQuery(&conf), &self.step)
            }
        };
        let texts = found.iter().map(ToString::to_string);
        texts
            .map(|text| text.replacen("shop.feature.v1: ", "", 1))
            .collect()
    }
}

fn worst(findings: &[Diagnostic], severity: Severity) -> Option<String> {
    let found = findings
        .iter()
        .find(|finding| finding.severity == severity)?;
    let word = match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    Some(format!(
        "{word}: {}",
        found.message.replace("shop.feature.v1", "…")
    ))
}

impl Said {
    fn of_both(&self, own: Option<String>) -> String {
        let both = worst(&self.findings, Severity::Error);
        let warning = worst(&self.findings, Severity::Warning);
        let text = both.or(own).or(warning);
        text.unwrap_or_else(|| "made".to_owned())
            .replace('|', "\\|")
    }

    fn sql(&self) -> String {
        let refused = self.refusals.first().map(|text| format!("refused: {text}"));
        self.of_both(refused)
    }

    fn driver(&self) -> String {
        if self
            .refusals
            .iter()
            .any(|text| !text.ends_with(BY_DRIVER) && !text.ends_with(DRIVER_TOO))
        {
            return self.of_both(Some("not tried".to_owned()));
        }
        // What `sql` knows of the Driver is said of it too.
        let fails = self.refusals.iter().find(|text| text.ends_with(DRIVER_TOO));
        let error = worst(&self.driver, Severity::Error);
        let own = error.or(fails.map(|_| "fails".to_owned()));
        self.of_both(own.or(worst(&self.driver, Severity::Warning)))
    }
}

const DRIVER_TOO: &str = "; the Driver fails too";
const BY_DRIVER: &str = "; use engine kind = \"chronon\"";

fn all() -> Vec<(&'static str, Vec<Feature>)> {
    let mut group_bys = group_bys();
    group_bys.extend(operations());
    vec![
        ("GroupBy", group_bys),
        ("Join", joins()),
        ("StagingQuery", staging_queries()),
    ]
}

#[test]
fn the_table_of_conf_features_is_what_the_engines_do() {
    let mut text = String::from(
        "# Conf features\n\nWhat each engine does with a feature of a conf, before anything runs. Generated from the checks of the\nprogram over a small conf that has the feature: `UPDATE_DOCS=1 cargo test -p chronon-run-sql --test conf_features`.\n\n* **made**: the tables are those of Chronon's Driver, but for the differences in [sql-engine.md](sql-engine.md).\n* **refused**, **error**: the asset is excluded from plans, with this text.\n* **warning**: `check` prints it, and the asset is made.\n* **fails**: the Driver fails with it; nothing stops the run before.\n* **not tried**: what the Driver does is not known.\n\nWhat only tables show (a type, a missing table) is refused or reported when the plan or the script is made.\n",
    );
    for (kind, features) in all() {
        let _ = write!(
            text,
            "\n## {kind}\n\n| field | value | `sql` | `chronon` |\n|---|---|---|---|\n"
        );
        for feature in features {
            let said = feature.said();
            let (sql, driver) = (said.sql(), said.driver());
            let with = match feature.with {
                "" => "—",
                with => with,
            };
            let _ = writeln!(text, "| `{}` | {with} | {sql} | {driver} |", feature.field);
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/conf-features.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &text).unwrap();
    }
    assert!(
        fs::read_to_string(&path).unwrap_or_default() == text,
        "docs/conf-features.md is stale: run `UPDATE_DOCS=1 cargo test -p chronon-run-sql --test conf_features`"
    );
}

/// A refusal that names the Driver is of what the Driver can do; one that says that it fails does not
/// send the user there.
#[test]
fn no_refusal_names_an_engine_that_cannot_do_it() {
    let mut sent = 0;
    for feature in all().into_iter().flat_map(|(_, features)| features) {
        let said = feature.said();
        let name = format!("{} ({})", feature.field, feature.with);
        let error = worst(&said.driver, Severity::Error);
        for refusal in &said.refusals {
            if refusal.contains("kind = \"chronon\"") {
                sent += 1;
                assert!(refusal.ends_with(BY_DRIVER), "{name}: {refusal}");
                assert!(error.is_none(), "{name}: {refusal}, but {error:?}");
                assert!(!refusal.contains(DRIVER_TOO), "{name}: {refusal}");
            }
        }
    }
    assert!(sent > 5, "only {sent} refusals name the other engine");
}

/// Every field of a conf that changes what a job does has a row: those of the recorded corpora.
#[test]
fn every_field_of_the_recorded_confs_has_a_row() {
    let rows: Vec<&str> = all()
        .into_iter()
        .flat_map(|(_, features)| features)
        .map(|feature| feature.field)
        .collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/a/repo/production");
    let mut fields = std::collections::BTreeSet::new();
    collect(&root, &mut fields);
    let lacking: Vec<&String> = fields
        .iter()
        .filter(|field| !WITHOUT_ROW.contains(&field.as_str()))
        .filter(|field| {
            !rows
                .iter()
                .any(|row| row.split(['.', '[', ']', ' ']).any(|word| word == **field))
        })
        .collect();
    assert!(lacking.is_empty(), "no row for {lacking:?}");
}

/// Names and texts, what belongs to one of the rows, and what no job reads.
const WITHOUT_ROW: [&str; 22] = [
    "expression",
    "groupBy",
    "join",
    "keySchema",
    "labels",
    "leftEndOffset",
    "leftStartOffset",
    "length",
    "metadata",
    "modeToEnvMap",
    "mutationTimeColumn",
    "mutationTopic",
    "name",
    "offlineSchedule",
    "outputNamespace",
    "production",
    "reversalColumn",
    "snapshotTable",
    "source",
    "team",
    "timeUnit",
    "valueSchema",
];

/// The names of all fields below `folder`, but of maps.
fn collect(folder: &Path, fields: &mut std::collections::BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => collect(&path, fields),
            false => names(
                &serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap(),
                fields,
            ),
        }
    }
}

fn names(value: &Value, fields: &mut std::collections::BTreeSet<String>) {
    const MAPS: [&str; 8] = [
        "selects",
        "argMap",
        "tableProperties",
        "modeToEnvMap",
        "keyMapping",
        "skewKeys",
        "keySchema",
        "valueSchema",
    ];
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                fields.insert(name.clone());
                if !MAPS.contains(&name.as_str()) {
                    names(value, fields);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| names(item, fields)),
        _ => {}
    }
}
