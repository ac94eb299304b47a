//! Scripts of the golden corpus' confs: what they promise whatever the conf, and some of them
//! word for word. Whether Spark computes the right values from them is for the end-to-end tests.

use std::path::{Path, PathBuf};

use chronon_run_conf::{GroupBy, Join, Source, StagingQuery, TimeUnit, Window};
use chronon_run_core::{
    AssetKind, CatalogSnapshot, Column, Ds, PartitionRange, Partitions, RangeSet, TableInfo,
    TableState,
};
use serde_json::Value;

use super::{Conf, Refusal, Request, check, compile};

enum AnyConf {
    GroupBy(GroupBy),
    Join(Box<Join>),
    StagingQuery(StagingQuery),
}

impl AnyConf {
    fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap();
        let folder = path.parent().unwrap().parent().unwrap();
        match folder.file_name().unwrap().to_str().unwrap() {
            "group_bys" => Self::GroupBy(serde_json::from_str(&text).unwrap()),
            "joins" => Self::Join(serde_json::from_str(&text).unwrap()),
            _ => Self::StagingQuery(serde_json::from_str(&text).unwrap()),
        }
    }

    fn get(&self) -> Conf<'_> {
        match self {
            Self::GroupBy(conf) => Conf::GroupBy(conf),
            Self::Join(conf) => Conf::Join(conf),
            Self::StagingQuery(conf) => Conf::StagingQuery(conf),
        }
    }
}

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/a")
}

fn conf(path: &str) -> AnyConf {
    AnyConf::read(&corpus().join("repo/production").join(path))
}

fn confs() -> Vec<AnyConf> {
    let mut all = Vec::new();
    for folder in ["group_bys", "joins", "staging_queries"] {
        let teams = std::fs::read_dir(corpus().join("repo/production").join(folder)).unwrap();
        for team in teams {
            for file in std::fs::read_dir(team.unwrap().path()).unwrap() {
                all.push(AnyConf::read(&file.unwrap().path()));
            }
        }
    }
    all
}

fn day(text: &str) -> Ds {
    text.parse().unwrap()
}

fn range() -> PartitionRange {
    PartitionRange::new(day("2026-01-26"), day("2026-01-28")).unwrap()
}

/// The corpus' source tables with their partitions of January.
fn catalog() -> CatalogSnapshot {
    let text = std::fs::read_to_string(corpus().join("data/schema.json")).unwrap();
    let schema: Value = serde_json::from_str(&text).unwrap();
    let mut catalog = CatalogSnapshot::default();
    for (name, table) in schema["tables"].as_object().unwrap() {
        let partition = table["partition_columns"][0].as_str().unwrap().to_owned();
        let columns = table["columns"].as_array().unwrap().iter();
        let columns: Vec<Column> = columns
            .map(|column| Column {
                name: column["name"].as_str().unwrap().to_owned(),
                data_type: column["type"].as_str().unwrap().to_owned(),
            })
            .collect();
        let (partition_columns, columns) = columns
            .into_iter()
            .partition(|column| column.name == partition);
        let january = PartitionRange::new(day("2026-01-01"), day("2026-01-30")).unwrap();
        let days = Partitions::of_days(RangeSet::from(january));
        let state = TableState {
            info: TableInfo {
                columns,
                partition_columns,
                ..TableInfo::default()
            },
            partitions: [(partition, days)].into(),
            ..TableState::default()
        };
        catalog.tables.insert(name.parse().unwrap(), Some(state));
    }
    catalog
}

fn script_of(
    conf: &AnyConf,
    step: &AssetKind,
    tables: &CatalogSnapshot,
) -> Result<String, Vec<Refusal>> {
    compile(&Request {
        conf: conf.get(),
        mode: step,
        range: range(),
        latest_date: day("2026-01-30"),
        partition_column: "ds",
        tables,
    })
}

fn backfill(path: &str) -> String {
    script_of(&conf(path), &AssetKind::Backfill, &catalog()).unwrap()
}

/// The statements of a script, comment lines left out.
fn statements(script: &str) -> Vec<String> {
    let lines: Vec<&str> = script
        .lines()
        .filter(|line| !line.trim().starts_with("--"))
        .collect();
    let text = lines.join("\n");
    let text = text.trim_end().trim_end_matches(';');
    text.split(";\n")
        .map(|statement| statement.trim().to_owned())
        .collect()
}

#[test]
fn rows_are_joined_by_key_and_day_in_long_steps() {
    let tables = catalog();
    let conf = conf("joins/stays/chain_child.child_v1");
    let script = |first: &str| {
        compile(&Request {
            conf: conf.get(),
            mode: &AssetKind::Backfill,
            range: PartitionRange::new(day(first), day("2026-01-28")).unwrap(),
            latest_date: day("2026-01-30"),
            partition_column: "ds",
            tables: &tables,
        })
        .unwrap()
    };
    // Seven days are one pass over the rows, eight are two.
    let (short, long) = (script("2026-01-22"), script("2026-01-21"));
    assert!(
        short.contains("_pieces e\n") && !short.contains("__back"),
        "{short}"
    );
    assert!(!long.contains("_pieces e\n"), "{long}");
    assert!(long.contains("- q.__back AND e.ts < q.ts"), "{long}");
    assert!(long.contains("- e.__day NOT IN (0, 3, 7)"), "{long}");
    // Every window of the script ends at the instant; the shortest is the innermost ring.
    assert!(
        long.contains("IF(__ring <= 0, band_average_total, NULL)"),
        "{long}"
    );
}

#[test]
fn every_conf_of_the_corpus_compiles() {
    let tables = catalog();
    for conf in confs() {
        if let AnyConf::GroupBy(group_by) = &conf
            && group_by.backfill_start_date.is_none()
        {
            continue;
        }
        let name = conf.get().meta().name.clone();
        assert_eq!(check(conf.get(), &AssetKind::Backfill), [], "{name}");
        let script = script_of(&conf, &AssetKind::Backfill, &tables).unwrap();
        assert_eq!(
            script,
            script_of(&conf, &AssetKind::Backfill, &tables).unwrap(),
            "{name}"
        );
        assert!(script.starts_with("-- step: "), "{name}");
    }
}

#[test]
fn statements_end_at_line_ends_only() {
    let tables = catalog();
    for conf in confs() {
        let Ok(script) = script_of(&conf, &AssetKind::Backfill, &tables) else {
            continue;
        };
        for statement in statements(&script) {
            assert!(!statement.contains(';'), "{statement}");
        }
        let comments = script.lines().filter(|line| line.starts_with("-- "));
        for comment in comments {
            assert!(!comment.contains([';', '\'', '"', '`']), "{comment}");
        }
    }
}

#[test]
fn a_step_writes_no_day_outside_its_range() {
    let script = backfill("joins/stays/listing_panel.latest_v1");
    let days: Vec<&str> = script
        .lines()
        .filter(|line| line.starts_with("ALTER TABLE stays_out.stays_listing_panel_latest_v1 "))
        .flat_map(|line| line.split("ds='").skip(1).map(|rest| &rest[..10]))
        .collect();
    assert!(!days.is_empty());
    assert!(
        days.iter().all(|text| range().contains(day(text))),
        "{days:?}"
    );
}

#[test]
fn scans_are_pruned_by_literals_or_one_row_subqueries() {
    let script = backfill("group_bys/stays/bookings.listing_stats_v1");
    assert!(script.contains("WHERE ds >= '2026-01-01'\n"), "{script}");
    assert!(script.contains("AND ds <= '2026-01-28'"), "{script}");
    let join = backfill("joins/stays/chain.parent_v1");
    assert!(join.contains("FROM left_days"), "{join}");
}

#[test]
fn a_table_gets_new_columns_and_keeps_its_old_ones() {
    let mut tables = catalog();
    let column = |name: &str, data_type: &str| Column {
        name: name.to_owned(),
        data_type: data_type.to_owned(),
    };
    let info = TableInfo {
        columns: vec![
            column("listing_id", "string"),
            column("gone", "map<string,int>"),
        ],
        partition_columns: vec![column("ds", "string")],
        ..TableInfo::default()
    };
    let known = Partitions::of_days(RangeSet::from(range()));
    let state = TableState {
        info,
        partitions: [("ds".to_owned(), known)].into(),
        ..TableState::default()
    };
    let join = "stays_out.stays_chain_parent_v1".parse().unwrap();
    tables.tables.insert(join, Some(state.clone()));
    let conf_of_join = conf("joins/stays/chain.parent_v1");
    let script = script_of(&conf_of_join, &AssetKind::Backfill, &tables).unwrap();
    let added = script
        .lines()
        .find(|line| line.contains("ADD COLUMNS"))
        .unwrap();
    let start = "ALTER TABLE stays_out.stays_chain_parent_v1 ADD COLUMNS (ts bigint, ";
    assert!(added.starts_with(start), "{added}");
    assert!(
        script.contains(
            "SELECT /*+ REBALANCE(ds) */ listing_id, CAST(NULL AS map<string,int>) AS gone, "
        ),
        "{script}"
    );

    // Only Spark knows the types of what is derived.
    let join = "stays_out.stays_search_train_derived_v1".parse().unwrap();
    tables.tables.insert(join, Some(state.clone()));
    let conf_of_join = conf("joins/stays/search_train.derived_v1");
    let script = script_of(&conf_of_join, &AssetKind::Backfill, &tables).unwrap();
    let renames = "ALTER TABLE stays_out.stays_search_train_derived_v1 RENAME TO stays_out.stays_search_train_derived_v1__replaced;\n\
        ALTER TABLE stays_out.stays_search_train_derived_v1__expanding RENAME TO stays_out.stays_search_train_derived_v1;\n\
        DROP TABLE stays_out.stays_search_train_derived_v1__replaced;";
    assert!(script.contains(renames), "{script}");

    // The Driver writes the columns of a GroupBy by position, so one that is gone needs a rebuild.
    let table: chronon_run_core::TableName =
        "stays_out.stays_bookings_latest_only_v1".parse().unwrap();
    tables.tables.insert(table.clone(), Some(state.clone()));
    let group_by = conf("group_bys/stays/bookings.latest_only_v1");
    let refusals = script_of(&group_by, &AssetKind::Backfill, &tables).unwrap_err();
    let text = refusals[0].to_string();
    assert!(
        text.contains("has other columns than the conf (added "),
        "{text}"
    );
    assert!(
        text.ends_with("removed gone); `materialize --rebuild` makes the table anew"),
        "{text}"
    );

    // One that it lacks is added.
    let mut lacking = state;
    lacking.info.columns.retain(|column| column.name != "gone");
    tables.tables.insert(table, Some(lacking));
    let script = script_of(&group_by, &AssetKind::Backfill, &tables).unwrap();
    let added = "ALTER TABLE stays_out.stays_bookings_latest_only_v1 ADD COLUMNS (";
    assert!(script.contains(added), "{script}");
}

#[test]
fn what_cannot_be_done_is_refused_by_field() {
    let AnyConf::GroupBy(mut group_by) = conf("group_bys/stays/bookings.incremental_v1") else {
        unreachable!("the folder says what it is")
    };
    if let Some(aggregations) = &mut group_by.aggregations {
        aggregations[0].windows = None;
        aggregations[1].operation = chronon_run_conf::Operation::ApproxUniqueCount;
    }
    let found = check(Conf::GroupBy(&group_by), &AssetKind::Backfill);
    let fields: Vec<&str> = found.iter().map(|refusal| refusal.field.as_str()).collect();
    assert_eq!(
        fields,
        [
            "aggregations[0].windows",
            "aggregations (nights_approx_unique_count_7d)"
        ]
    );
    let streaming = check(Conf::GroupBy(&group_by), &AssetKind::Streaming);
    assert_eq!(
        streaming[0].to_string(),
        "stays.bookings.incremental_v1: mode `streaming` is not supported by the sql engine; use engine kind = \"chronon\""
    );
}

/// `DailyResolution` throws for any window in hours, `snapshotEntitiesBase` does not ask it.
#[test]
fn hours_are_windows_of_snapshots_only() {
    let day_of_hours = |path: &str| {
        let AnyConf::GroupBy(mut group_by) = conf(path) else {
            unreachable!("the folder says what it is")
        };
        let aggregations = group_by.aggregations.iter_mut().flatten();
        for window in aggregations.flat_map(|one| one.windows.iter_mut().flatten()) {
            *window = Window {
                length: 24,
                time_unit: TimeUnit::Hours,
            };
        }
        group_by
            .aggregations
            .iter_mut()
            .for_each(|all| all.truncate(1));
        check(Conf::GroupBy(&group_by), &AssetKind::Backfill)
    };
    let refused = day_of_hours("group_bys/stays/reviews.listing_v1");
    let why = "end-of-day values need windows in days; the Driver fails too";
    assert_eq!(refused[0].why, why, "{refused:?}");
    assert!(day_of_hours("group_bys/trust/hosts.portfolio_v1").is_empty());
}

/// Rows without a time have none to compare a window with.
#[test]
fn windows_of_snapshots_need_a_time() {
    let AnyConf::GroupBy(mut group_by) = conf("group_bys/trust/hosts.portfolio_v1") else {
        unreachable!("the folder says what it is")
    };
    for source in &mut group_by.sources {
        let Source::Entities(entities) = source else {
            unreachable!("the conf has entities")
        };
        entities.query.time_column = None;
    }
    let refused = check(Conf::GroupBy(&group_by), &AssetKind::Backfill);
    assert_eq!(
        refused[0].field, "sources[0].query.timeColumn",
        "{refused:?}"
    );
}

/// `validateJoinKeys` compares the types of a key.
#[test]
fn keys_of_another_type_are_refused() {
    let mut tables = catalog();
    let searches = "lake.searches".parse().unwrap();
    let state = tables.tables.get_mut(&searches).unwrap().as_mut().unwrap();
    for column in &mut state.info.columns {
        if column.name == "listing_id" {
            column.data_type = "bigint".to_owned();
        }
    }
    let join = conf("joins/stays/chain.parent_v1");
    let refused = script_of(&join, &AssetKind::Backfill, &tables).unwrap_err();
    assert_eq!(
        refused[0].why,
        "`listing_id` is string, and `listing_id` on the left bigint; the Driver fails too"
    );
}

/// `GroupBy.from` asserts a LONG, `skewFilter` that the column is a key.
#[test]
fn times_are_milliseconds_and_skewed_columns_are_keys() {
    let AnyConf::Join(mut join) = conf("joins/stays/chain.parent_v1") else {
        unreachable!("the folder says what it is")
    };
    let skewed = serde_json::from_str(r#"{"guest_id": ["1"], "listing_id": ["'a'"]}"#).unwrap();
    join.skew_keys = Some(skewed);
    let refused = check(Conf::Join(&join), &AssetKind::Backfill);
    let whys: Vec<&str> = refused.iter().map(|refusal| refusal.why.as_str()).collect();
    assert_eq!(
        whys,
        ["`guest_id` is no key of any part; the Driver fails too"]
    );

    let AnyConf::GroupBy(mut group_by) = conf("group_bys/stays/reviews.listing_v1") else {
        unreachable!("the folder says what it is")
    };
    if let Source::Events(events) = &mut group_by.sources[0] {
        events.query.time_column = Some("score + 1".to_owned());
        events.query.selects.iter_mut().for_each(|all| {
            all.shift_remove("ts");
        });
    }
    let group_by = AnyConf::GroupBy(group_by);
    let refused = script_of(&group_by, &AssetKind::Backfill, &catalog()).unwrap_err();
    let why = "the time is int, not bigint; the Driver fails too";
    assert_eq!(refused[0].why, why);
}

/// Missing days on both sides of a gap are filled apart: what came late behind it is not seen.
#[test]
fn increments_read_the_partitions_of_their_own_days() {
    let mut tables = catalog();
    let bookings = "lake.bookings".parse().unwrap();
    let state = tables.tables.get_mut(&bookings).unwrap().as_mut().unwrap();
    let days = |start, end| RangeSet::from(PartitionRange::new(day(start), day(end)).unwrap());
    let gap = days("2026-01-01", "2026-01-24").union(&days("2026-01-26", "2026-01-30"));
    state.partitions = [("ds".to_owned(), Partitions::of_days(gap))].into();
    let group_by = conf("group_bys/stays/bookings.incremental_v1");
    let script = script_of(&group_by, &AssetKind::Backfill, &tables).unwrap();
    for partitions in [
        "ds >= '2026-01-10' AND ds <= '2026-01-24'",
        "ds >= '2026-01-24' AND ds <= '2026-01-28'",
    ] {
        assert!(script.contains(partitions), "{script}");
    }
}

#[test]
fn scripts_word_for_word() {
    let cases = [
        ("staging_query", "staging_queries/stays/sessions.daily_v1"),
        (
            "staging_view",
            "staging_queries/stays/sessions.open_listings_view_v1",
        ),
        (
            "entities_without_aggregations",
            "group_bys/stays/listings.dim_v1",
        ),
        (
            "entities_with_windows",
            "group_bys/trust/hosts.portfolio_v1",
        ),
        (
            "end_of_day_values_with_buckets",
            "group_bys/stays/reviews.listing_v1",
        ),
        ("union_and_derivations", "group_bys/stays/bookings.union_v1"),
        ("cumulative", "group_bys/stays/payments.cumulative_v1"),
        ("incremental", "group_bys/stays/bookings.incremental_v1"),
        ("join_at_instants", "joins/stays/chain_child.child_v1"),
        ("bootstraps", "joins/stays/search_boot.v1"),
    ];
    for (name, path) in cases {
        insta::assert_snapshot!(name, backfill(path));
    }
    let part = |name: &str| AssetKind::Part(name.to_owned());
    let steps = [
        (
            "mutations",
            "joins/stays/search_train.v1",
            part("stays_rates_mutable_v1"),
        ),
        ("join_left", "joins/stays/search_train.v1", AssetKind::Left),
        (
            "part_of_entities",
            "joins/stays/listing_panel.v1",
            part("stays_listings_dim_v1"),
        ),
        (
            "upload_of_partial_results",
            "group_bys/stays/bookings.guest_listing_rt_v1",
            AssetKind::Upload,
        ),
    ];
    for (name, path, step) in steps {
        let script = script_of(&conf(path), &step, &catalog()).unwrap();
        insta::assert_snapshot!(name, script);
    }
}

#[test]
fn a_source_without_selects_reads_its_columns_and_keys_need_no_select() {
    let AnyConf::GroupBy(mut group_by) = conf("group_bys/stays/bookings.latest_only_v1") else {
        unreachable!("the folder says what it is")
    };
    let chronon_run_conf::Source::Events(events) = &mut group_by.sources[0] else {
        unreachable!("bookings are events")
    };
    let selects = events.query.selects.as_mut().unwrap();
    let key = group_by.key_columns[0].clone();
    selects.shift_remove(&key);
    let script = |group_by: &GroupBy| {
        let request = Request {
            conf: Conf::GroupBy(group_by),
            mode: &AssetKind::Backfill,
            range: range(),
            latest_date: day("2026-01-30"),
            partition_column: "ds",
            tables: &catalog(),
        };
        compile(&request)
    };
    assert!(
        script(&group_by)
            .unwrap()
            .contains(&format!("      {key},\n"))
    );
    let chronon_run_conf::Source::Events(events) = &mut group_by.sources[0] else {
        unreachable!("bookings are events")
    };
    events.query.selects = None;
    assert!(script(&group_by).unwrap().contains("      booking_id,\n"));
    events_of(&mut group_by, "lake.nowhere");
    assert_eq!(
        script(&group_by).unwrap_err()[0].why,
        "lake.nowhere is not known, so its columns are not"
    );
}

fn events_of(group_by: &mut GroupBy, table: &str) {
    if let chronon_run_conf::Source::Events(events) = &mut group_by.sources[0] {
        events.table = table.to_owned();
    }
}

/// Rows with skewed values in all columns are left out; a part leaves out those of its own keys.
#[test]
fn skewed_keys_of_several_columns() {
    let join: chronon_run_conf::Join = serde_json::from_value(serde_json::json!({
        "metaData": {"name": "team.a"},
        "left": {"events": {"table": "src.views", "query": {}}},
        "joinParts": [],
        "skewKeys": {"item": ["'a'"], "user": ["1", "6"]}
    }))
    .expect("a join");
    assert_eq!(
        super::join::without_skew(&join),
        "\nWHERE item NOT IN ('a') OR user NOT IN (1, 6)  -- skewKeys"
    );
    let keys = ["guest".to_owned()];
    let mapping = [("user".to_owned(), "guest".to_owned())]
        .into_iter()
        .collect();
    assert_eq!(
        super::join::part_skew(&join, Some(&mapping), &keys).as_deref(),
        Some("guest NOT IN (1, 6)")
    );
    assert_eq!(super::join::part_skew(&join, None, &keys), None);
    let mut join = join;
    let nulls = serde_json::from_str(r#"{"item": ["'a'", "NULL"], "user": ["null"]}"#);
    join.skew_keys = Some(nulls.expect("keys"));
    assert_eq!(
        super::join::without_skew(&join),
        "\nWHERE item NOT IN ('a') OR user IS NOT NULL  -- skewKeys"
    );
}

#[test]
fn settings_come_behind_the_first_lines_of_a_script() {
    let script = "-- step: join/a.b/backfill 2026-01-01..2026-01-02\n-- writes: o.a\nSET a=1;\n\n-- left\nSELECT 1;\n";
    let with = crate::with_settings(script, &[("b", "2")]);
    assert_eq!(with, script.replace("SET a=1;\n", "SET b=2;\nSET a=1;\n"));
    assert_eq!(crate::with_settings(script, &[]), script);
}
