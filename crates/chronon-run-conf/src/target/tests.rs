use serde_json::json;

use super::*;

fn repo() -> ConfRepo {
    let root = std::path::Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/golden/a/repo"
    ));
    ConfRepo::load(root, "production").repo
}

fn namespaces(repo: &ConfRepo) -> BTreeMap<String, String> {
    let metas = repo.joins.values().map(|file| &file.conf.meta_data);
    let metas = metas.chain(repo.group_bys.values().map(|file| &file.conf.meta_data));
    let metas = metas.chain(repo.staging_queries.values().map(|f| &f.conf.meta_data));
    metas
        .filter_map(|meta| meta.output_namespace.clone())
        .map(|name| (name.clone(), format!("dev_{name}")))
        .collect()
}

/// A conf of the JSON value, in a repo of its own.
fn one(kind: ConfType, conf: Value) -> ConfRepo {
    fn file<T: DeserializeOwned>(conf: &Value) -> BTreeMap<String, ConfFile<T>> {
        let text = conf.to_string();
        let file = ConfFile {
            path: "production/x/team/a".into(),
            digest: digest(&text),
            conf: parse(&text).unwrap(),
            text,
        };
        [("team.a".to_owned(), file)].into()
    }
    let mut repo = ConfRepo::default();
    match kind {
        ConfType::GroupBy => repo.group_bys = file(&conf),
        ConfType::Join => repo.joins = file(&conf),
        ConfType::StagingQuery => repo.staging_queries = file(&conf),
    }
    repo
}

fn meta() -> Value {
    json!({"name": "team.a", "team": "team", "outputNamespace": "out",
           "dependencies": ["out.other/ds={{ ds }}", "lake.events/ds={{ ds }}"]})
}

fn dev() -> Retarget {
    Retarget {
        namespaces: [("out".to_owned(), "dev_out".to_owned())].into(),
        tables: [(
            "out.other".parse().unwrap(),
            "dev_out.other".parse().unwrap(),
        )]
        .into(),
        ..Retarget::default()
    }
}

fn text(repo: &ConfRepo) -> Value {
    let files = repo.joins.values().map(|file| &file.text);
    let files = files.chain(repo.group_bys.values().map(|file| &file.text));
    let mut files = files.chain(repo.staging_queries.values().map(|file| &file.text));
    serde_json::from_str(files.next().unwrap()).unwrap()
}

#[test]
fn every_output_of_a_corpus_is_in_the_target_and_nothing_else_changes() {
    let repo = repo();
    let target = Retarget {
        namespaces: namespaces(&repo),
        ..Retarget::default()
    };
    let found = target.apply(&repo);
    assert_eq!(found.refused, BTreeMap::new());
    assert_eq!(found.repo.joins.len(), repo.joins.len());
    for (name, file) in &found.repo.joins {
        let before = &repo.joins[name];
        let table = file.conf.meta_data.output_table().unwrap();
        assert!(table.namespace().starts_with("dev_"), "{table}");
        assert_ne!(file.digest, before.digest);
        assert_eq!(
            file.conf.left.table().unwrap(),
            before.conf.left.table().unwrap()
        );
    }
    for file in found.repo.group_bys.values() {
        let table = file.conf.meta_data.output_table().unwrap();
        assert!(table.namespace().starts_with("dev_"), "{table}");
    }
}

#[test]
fn only_what_the_target_has_is_read_from_it() {
    let source = |table: &str| {
        json!({"events": {"table": table,
        "query": {"selects": {"x": "y"}, "wheres": ["y IN (SELECT y FROM out.other)"]}}})
    };
    let conf = json!({"metaData": meta(), "keyColumns": ["x"],
        "sources": [source("out.other/hr=3"), source("out.third")]});
    let found = dev().apply(&one(ConfType::GroupBy, conf));
    assert_eq!(found.refused, BTreeMap::new());
    let text = text(&found.repo);
    assert_eq!(text["sources"][0]["events"]["table"], "dev_out.other/hr=3");
    assert_eq!(text["sources"][1]["events"]["table"], "out.third");
    assert_eq!(
        text["sources"][0]["events"]["query"]["wheres"][0],
        "y IN (SELECT y FROM dev_out.other)"
    );
    assert_eq!(
        text["metaData"]["dependencies"],
        json!(["dev_out.other/ds={{ ds }}", "lake.events/ds={{ ds }}"])
    );
}

#[test]
fn a_chained_join_is_that_of_production_unless_the_target_has_it() {
    let parent = |name: &str| {
        json!({"metaData": {"name": name, "team": "team", "outputNamespace": "out"},
        "left": {"events": {"table": "lake.events", "query": {}}}, "joinParts": []})
    };
    let source = |name: &str| json!({"joinSource": {"join": parent(name), "query": {}}});
    let conf = json!({"metaData": meta(), "keyColumns": ["x"],
        "sources": [source("other"), source("third")]});
    let found = dev().apply(&one(ConfType::GroupBy, conf));
    let sources = &found.repo.group_bys["team.a"].conf.sources;
    assert_eq!(
        sources[0].table().unwrap().table.to_string(),
        "dev_out.other"
    );
    assert_eq!(sources[1].table().unwrap().table.to_string(), "out.third");
}

#[test]
fn properties_are_put_where_thrift_writes_them() {
    let target = Retarget {
        properties: vec![("chronon_run.target".to_owned(), "dev".to_owned())],
        ..dev()
    };
    let conf = json!({"metaData": meta(), "query": "SELECT 1"});
    let found = target.apply(&one(ConfType::StagingQuery, conf));
    let text = text(&found.repo);
    let keys: Vec<&String> = text["metaData"].as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        [
            "name",
            "team",
            "tableProperties",
            "outputNamespace",
            "dependencies"
        ]
    );
    assert_eq!(
        text["metaData"]["tableProperties"]["chronon_run.target"],
        "dev"
    );
}

#[test]
fn what_could_write_elsewhere_or_read_the_wrong_table_is_refused() {
    let conf = json!({"metaData": meta(), "query": "SELECT 1",
        "setups": ["CREATE TEMPORARY FUNCTION f AS 'a.B'", "INSERT OVERWRITE TABLE out.other SELECT 1"]});
    let found = dev().apply(&one(ConfType::StagingQuery, conf));
    let why = found.refused.values().next().unwrap();
    assert!(
        why.contains("`INSERT OVERWRITE TABLE dev_out.other …`"),
        "{why}"
    );

    let mut target = dev();
    target.tables = [(
        "default.other".parse().unwrap(),
        "dev_default.other".parse().unwrap(),
    )]
    .into();
    let conf = json!({"metaData": meta(), "query": "SELECT * FROM other"});
    let found = target.apply(&one(ConfType::StagingQuery, conf));
    let why = found.refused.values().next().unwrap();
    assert!(why.contains("write `default.other`"), "{why}");
}

/// Keys of these columns, whose first row is on line 2.
fn keys(columns: &[&str], rows: &[&[&str]]) -> Result<KeyRows, KeysError> {
    let texts = |row: &[&str]| row.iter().map(|text| (*text).to_owned()).collect();
    let rows = rows.iter().enumerate();
    let rows = rows.map(|(at, row)| (at + 2, texts(row)));
    KeyRows::new(texts(columns), rows.collect())
}

#[test]
fn samples_limit_left_rows_and_sources_by_their_keys() {
    let group_by = json!({"metaData": meta(), "keyColumns": ["user"], "sources": [
        {"events": {"table": "lake.events", "query": {"selects": {"user": "cast(u AS STRING)"}, "startPartition": "2026-01-01"}}}]});
    let join = json!({"metaData": meta(), "left": {"events": {"table": "lake.left", "query":
        {"selects": {"guest": "g"}, "wheres": ["g > 0"]}}},
        "joinParts": [{"groupBy": group_by, "keyMapping": {"guest": "user"}}]});
    let sampled = |sample: Sample| Retarget {
        sample: Some(sample),
        ..dev()
    };
    let share = sampled(Sample::Share("2.5%".parse().unwrap()));
    let found = share.apply(&one(ConfType::Join, join.clone()));
    assert_eq!(found.refused, BTreeMap::new());
    let text_of_join = text(&found.repo);
    assert_eq!(
        text_of_join["left"]["events"]["query"]["wheres"],
        json!(["g > 0", "PMOD(HASH(CAST((g) AS STRING)), 1000000) < 25000"])
    );
    let part = &text_of_join["joinParts"][0]["groupBy"]["sources"][0]["events"]["query"];
    assert!(part.get("wheres").is_none(), "values are those of all rows");

    let keys = keys(&["user", "city"], &[&["it's", "a"], &["b", "c"]]).unwrap();
    let keys = sampled(Sample::Keys(keys));
    let found = keys.apply(&one(ConfType::GroupBy, group_by));
    let query = &text(&found.repo)["sources"][0]["events"]["query"];
    assert_eq!(
        query["wheres"],
        json!(["CAST((cast(u AS STRING)) AS STRING) IN ('it\\'s', 'b')"])
    );
    let order: Vec<&String> = query.as_object().unwrap().keys().collect();
    assert_eq!(order, ["selects", "wheres", "startPartition"]);
    let found = keys.apply(&one(ConfType::Join, join));
    let why = found.refused.values().next().unwrap();
    assert!(why.contains("none of its keys (guest)"), "{why}");
}

#[test]
fn a_limit_of_left_rows_ranks_those_of_the_conf_by_day_and_leaves_group_bys_alone() {
    let limited = Retarget {
        sample: Some(Sample::LeftRows(7)),
        day_column: "ds".to_owned(),
        ..dev()
    };
    let group_by = json!({"metaData": meta(), "keyColumns": ["user"], "sources": [
        {"events": {"table": "lake.events", "query": {"selects": {"user": "u"}}}}]});
    let left = |left: Value| {
        let join = json!({"metaData": meta(), "left": left,
            "joinParts": [{"groupBy": group_by, "keyMapping": {"guest": "user"}}]});
        let found = limited.apply(&one(ConfType::Join, join));
        assert_eq!(found.refused, BTreeMap::new());
        text(&found.repo)
    };
    let events = left(json!({"events": {"table": "out.other/hr=1", "query":
        {"selects": {"guest": "g"}, "wheres": ["g > 0", "x OR y"], "timeColumn": "t * 1000"}}}));
    let wheres = events["left"]["events"]["query"]["wheres"].as_array();
    let hashes = "XXHASH64(CAST((g) AS STRING)) AS s_key, XXHASH64(t * 1000) AS s_time";
    let limit = [
        format!("STRUCT({hashes}) <= (SELECT MAX(STRUCT(s_key, s_time)) FROM ("),
        "SELECT *, RANK() OVER (PARTITION BY s_day ORDER BY s_key, s_time) AS s_place FROM (".into(),
        "SELECT *, RANK() OVER (PARTITION BY s_day, PMOD(s_key, 64) ORDER BY s_key, s_time) AS s_among FROM (".into(),
        format!("SELECT `ds` AS s_day, {hashes} FROM dev_out.other WHERE (g > 0) AND (x OR y)"),
        ")) WHERE s_among <= 7) WHERE s_place <= 7 AND s_day = `ds`)".into(),
    ];
    assert_eq!(wheres.unwrap()[2], limit.concat());
    assert_eq!(
        events["metaData"]["tableProperties"][SAMPLE_PROPERTY],
        "7 left rows of a day"
    );

    // Snapshots have no time, and a day column of their own.
    let entities = left(json!({"entities": {"snapshotTable": "lake.guests", "query":
        {"selects": {"guest": "g"}, "partitionColumn": "day"}}}));
    let wheres = entities["left"]["entities"]["query"]["wheres"][0].as_str();
    let wheres = wheres.unwrap();
    assert!(
        wheres.starts_with(
            "STRUCT(XXHASH64(CAST((g) AS STRING)) AS s_key, XXHASH64(0) AS s_time) <= ("
        ),
        "{wheres}"
    );
    assert!(wheres.contains("FROM lake.guests))"), "{wheres}");
    assert!(wheres.ends_with("s_day = `day`)"), "{wheres}");

    let found = limited.apply(&one(ConfType::GroupBy, group_by.clone()));
    let plain = dev().apply(&one(ConfType::GroupBy, group_by.clone()));
    assert_eq!(text(&found.repo), text(&plain.repo));
}

#[test]
fn shares_and_keys_that_are_none_are_refused_with_their_line() {
    for text in ["0", "0%", "101%", "-1%", "1e-2", "NaN", "inf", "x", "", "%"] {
        assert!(text.parse::<Share>().is_err(), "{text}");
    }
    let shown = |text: &str| text.parse::<Share>().unwrap().to_string();
    assert_eq!(shown("1%"), "1%");
    assert_eq!(shown("0.025"), "2.5%");
    assert_eq!(shown("100 %"), "100%");
    assert_eq!(keys(&[], &[]), Err(KeysError::Header));
    assert_eq!(keys(&["a", ""], &[]), Err(KeysError::Header));
    assert_eq!(keys(&["a"], &[]), Err(KeysError::Empty));
    let twice = Err(KeysError::Twice("A".to_owned()));
    assert_eq!(keys(&["a", "A"], &[&["1", "2"]]), twice);
    let error = |columns, rows| keys(columns, rows).unwrap_err().to_string();
    assert_eq!(
        error(&["a", "b"], &[&["1", "2"], &["3"]]),
        "line 3 has 1 value, but line 1 names 2 columns"
    );
    assert_eq!(
        error(&["a"], &[&["1", "2"]]),
        "line 2 has 2 values, but line 1 names 1 column"
    );
    assert_eq!(
        error(&["1"], &[&["2"]]),
        "line 1 must name the key columns, and `1` is not a column name"
    );
}

#[test]
fn a_sample_of_one_key_is_called_so() {
    let described = |rows| Sample::Keys(keys(&["a"], rows).unwrap()).describe();
    assert_eq!(described(&[&["1"]]), "1 key (a)");
    assert_eq!(described(&[&["1"], &["2"]]), "2 keys (a)");
}
