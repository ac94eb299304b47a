//! The features, each with a small conf that has it.

use serde_json::{Value, json};

use super::*;

/// A feature: a place in a conf, and a conf that has it.
pub(super) struct Feature {
    pub(super) field: &'static str,
    pub(super) with: &'static str,
    pub(super) base: Base,
    pub(super) step: AssetKind,
    /// What is put where in the base, as JSON pointers; NULL takes away.
    pub(super) edits: Vec<(&'static str, Value)>,
}

/// The confs that features are put into.
#[derive(Clone, Copy)]
pub(super) enum Base {
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
    pub(super) fn folder(self) -> &'static str {
        match self {
            Self::Snapshot | Self::Temporal | Self::Entities => "group_bys",
            Self::Join | Self::Panel | Self::Labels => "joins",
            Self::StagingQuery => "staging_queries",
        }
    }

    pub(super) fn conf(self, name: &str) -> Value {
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

pub(super) fn query() -> Value {
    json!({ "selects": { "user": "user", "price": "price", "word": "word" }, "timeColumn": "ts",
        "startPartition": "2026-01-01", "setups": [] })
}

pub(super) fn events(accuracy: u8) -> Value {
    json!({
        "metaData": { "name": "shop.buys.v1", "team": "shop", "outputNamespace": "out" },
        "sources": [{ "events": { "table": "in.buys", "query": query() } }],
        "keyColumns": ["user"], "accuracy": accuracy, "backfillStartDate": "2026-01-01",
        "aggregations": [{ "inputColumn": "price", "operation": 7, "argMap": {},
            "windows": [{ "length": 7, "timeUnit": 1 }] }],
    })
}

pub(super) fn entities() -> Value {
    json!({
        "metaData": { "name": "shop.users.v1", "team": "shop", "outputNamespace": "out" },
        "sources": [{ "entities": { "snapshotTable": "in.users", "query": {
            "selects": { "user": "user", "price": "price" }, "startPartition": "2026-01-01", "setups": [] } } }],
        "keyColumns": ["user"], "accuracy": 1, "backfillStartDate": "2026-01-01",
    })
}

pub(super) fn left() -> Value {
    json!({ "events": { "table": "in.views", "query": { "selects": { "user": "user" },
        "timeColumn": "ts", "startPartition": "2026-01-01", "setups": [] } } })
}

pub(super) fn feature(
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
    pub(super) fn step(self, step: AssetKind) -> Self {
        Self { step, ..self }
    }
}

pub(super) const FIRST: &str = "/aggregations/0";
pub(super) const OPERATION: &str = "/aggregations/0/operation";
pub(super) const ARGUMENTS: &str = "/aggregations/0/argMap";

/// Every operation, with what it needs.
pub(super) fn operations() -> Vec<Feature> {
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

pub(super) fn group_bys() -> Vec<Feature> {
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

pub(super) fn joins() -> Vec<Feature> {
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
        feature("skewKeys", "of a key without values", Join, vec![("/skewKeys", json!({ "user": [] }))]),
        feature("skewKeys", "of no key", Join, vec![("/skewKeys", json!({}))]),
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

pub(super) fn staging_queries() -> Vec<Feature> {
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
pub(super) fn put(conf: &mut Value, pointer: &str, value: Value) {
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
