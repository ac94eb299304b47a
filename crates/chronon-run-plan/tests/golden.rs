//! The plan against the recorded runs of the real engine: for each backfill of the golden corpus,
//! the days that the plan would run are the days that the Driver filled, and nothing waits.

#![expect(
    clippy::unwrap_used,
    reason = "a test stops at whatever it cannot read"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use chronon_run_conf::{GroupBy, Join, StagingQuery};
use chronon_run_core::{
    AssetId, AssetKind, CatalogSnapshot, ConfType, Ds, PartitionRange, Partitions, RangeSet,
    TableName, TableState,
};
use chronon_run_plan::{
    AnyConf, AssetSettings, BuildOptions, ConfView, DriverInput, DriverOptions, Fill, Graph,
    History, JoinFlow, Note, Plan, PlanInput, Reason, Request, Selection, SelectionError, State,
    explain, plan,
};
use serde::Deserialize;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/a")
}

#[derive(Default)]
struct Confs {
    group_bys: Vec<(PathBuf, GroupBy)>,
    joins: Vec<(PathBuf, Join)>,
    staging_queries: Vec<(PathBuf, StagingQuery)>,
}

fn read_folder<T: for<'de> Deserialize<'de>>(conf_type: ConfType) -> Vec<(PathBuf, T)> {
    let root = corpus().join("repo/production").join(conf_type.folder());
    let teams = fs::read_dir(root).unwrap().map(|team| team.unwrap().path());
    let files = teams.flat_map(|team| fs::read_dir(team).unwrap().map(|file| file.unwrap().path()));
    let mut read: Vec<(PathBuf, T)> = files
        .map(|path| {
            let conf = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
            (path, conf)
        })
        .collect();
    read.sort_by(|a, b| a.0.cmp(&b.0));
    read
}

fn confs() -> Confs {
    Confs {
        group_bys: read_folder(ConfType::GroupBy),
        joins: read_folder(ConfType::Join),
        staging_queries: read_folder(ConfType::StagingQuery),
    }
}

fn graph(flow: JoinFlow) -> Graph {
    graph_for(flow, None)
}

/// With the assets that only the real Driver fills, if there is one.
fn graph_for(flow: JoinFlow, driver: Option<DriverOptions>) -> Graph {
    let confs = confs();
    let view = |path, conf| ConfView {
        path,
        digest: "",
        conf,
    };
    let views: Vec<ConfView<'_>> = confs
        .staging_queries
        .iter()
        .map(|(path, conf)| view(path.as_path(), AnyConf::StagingQuery(conf)))
        .chain(
            confs
                .group_bys
                .iter()
                .map(|(path, conf)| view(path.as_path(), AnyConf::GroupBy(conf))),
        )
        .chain(
            confs
                .joins
                .iter()
                .map(|(path, conf)| view(path.as_path(), AnyConf::Join(conf))),
        )
        .collect();
    let (graph, diagnostics) = Graph::build(
        &views,
        &BuildOptions {
            flow,
            driver,
            ..BuildOptions::default()
        },
    );
    assert_eq!(diagnostics, []);
    graph
}

/// The source tables' partitions, read from the corpus' data.
fn sources() -> BTreeMap<TableName, (String, RangeSet)> {
    let data = corpus().join("data");
    let schema: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(data.join("schema.json")).unwrap()).unwrap();
    let tables = schema["tables"].as_object().unwrap();
    tables
        .iter()
        .map(|(name, table)| {
            let column = table["partition_columns"][0].as_str().unwrap().to_owned();
            let text = fs::read_to_string(data.join(format!("{name}.csv"))).unwrap();
            let last = |line: &str| line.rsplit(',').next().unwrap().parse::<Ds>().unwrap();
            let filled: RangeSet = text.lines().skip(1).map(last).collect();
            let empty = table["empty_partitions"].as_array().unwrap().iter();
            let empty: RangeSet = empty
                .map(|value| {
                    value
                        .as_str()
                        .unwrap()
                        .trim_start_matches("ds=")
                        .parse::<Ds>()
                        .unwrap()
                })
                .collect();
            (name.parse().unwrap(), (column, filled.union(&empty)))
        })
        .collect()
}

#[derive(Deserialize)]
struct Run {
    id: String,
    kind: String,
    #[serde(default)]
    exit: i32,
    #[serde(default)]
    argv: Vec<String>,
    #[serde(default)]
    tables_changed: BTreeMap<String, Change>,
}

#[derive(Deserialize)]
struct Change {
    before: Option<Vec<String>>,
    after: Option<Vec<String>>,
}

fn recorded_runs() -> Vec<Run> {
    let text = fs::read_to_string(corpus().join("runs.jsonl")).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// `ds=a..b` and `ds=a`; other partition shapes are not read here.
fn days(listed: Option<&Vec<String>>) -> RangeSet {
    let read = |text: &String| {
        let (start, end) = text
            .strip_prefix("ds=")?
            .split('/')
            .next()?
            .split_once("..")
            .unwrap_or_else(|| {
                let day = text
                    .strip_prefix("ds=")
                    .and_then(|rest| rest.split('/').next())
                    .unwrap_or_default();
                (day, day)
            });
        PartitionRange::new(start.parse().ok()?, end.parse().ok()?)
    };
    listed.into_iter().flatten().filter_map(read).collect()
}

impl Run {
    fn option(&self, name: &str) -> Option<&str> {
        self.argv
            .iter()
            .find_map(|word| word.strip_prefix(&format!("--{name}=")))
    }

    /// The asset that the run fills.
    fn asset(&self) -> Option<AssetId> {
        let subcommand = self.argv.first()?;
        let part = self.option("selected-join-parts");
        let (conf_type, step) = match (subcommand.as_str(), part) {
            ("staging-query-backfill", _) => (ConfType::StagingQuery, AssetKind::Backfill),
            ("group-by-backfill", _) => (ConfType::GroupBy, AssetKind::Backfill),
            ("join", None) => (ConfType::Join, AssetKind::Backfill),
            ("join", Some(part)) => (ConfType::Join, AssetKind::Part(part.to_owned())),
            ("join-left", _) => (ConfType::Join, AssetKind::Left),
            ("join-final", _) => (ConfType::Join, AssetKind::Final),
            ("group-by-upload", _) => (ConfType::GroupBy, AssetKind::Upload),
            ("label-join", _) => (ConfType::Join, AssetKind::LabelJoin),
            ("stats-summary", _) => (ConfType::Join, AssetKind::StatsSummary),
            ("consistency-metrics-compute", _) => (ConfType::Join, AssetKind::Consistency),
            _ => return None,
        };
        let mut tokens = self.option("conf-path")?.rsplit('/');
        let (file, team) = (tokens.next()?, tokens.next()?);
        Some(AssetId::new(conf_type, &format!("{team}.{file}"), step))
    }
}

fn snapshot(
    sources: &BTreeMap<TableName, (String, RangeSet)>,
    written: &BTreeMap<TableName, RangeSet>,
) -> CatalogSnapshot {
    let state = |column: &str, days: &RangeSet| {
        let partitions = BTreeMap::from([(column.to_owned(), Partitions::of_days(days.clone()))]);
        Some(TableState {
            partitions,
            ..TableState::default()
        })
    };
    let tables = sources
        .iter()
        .map(|(table, (column, days))| (table.clone(), state(column, days)));
    let written = written
        .iter()
        .map(|(table, days)| (table.clone(), state("ds", days)));
    CatalogSnapshot {
        tables: tables.chain(written).collect(),
    }
}

/// Every hole of a source is declared never to land.
fn declared_holes(
    sources: &BTreeMap<TableName, (String, RangeSet)>,
) -> BTreeMap<TableName, RangeSet> {
    let holes = |days: &RangeSet| RangeSet::from(days.hull()).minus(days);
    sources
        .iter()
        .map(|(table, (_, days))| (table.clone(), holes(days)))
        .collect()
}

fn plan_of(
    graph: &Graph,
    asset: &AssetId,
    as_of: Ds,
    snapshot: &CatalogSnapshot,
    never: &BTreeMap<TableName, RangeSet>,
) -> Plan {
    plan_for(graph, asset, as_of, snapshot, never, None)
}

fn plan_for(
    graph: &Graph,
    asset: &AssetId,
    as_of: Ds,
    snapshot: &CatalogSnapshot,
    never: &BTreeMap<TableName, RangeSet>,
    driver: Option<&DriverInput>,
) -> Plan {
    let index = graph
        .find(asset)
        .unwrap_or_else(|| panic!("{asset} is not in the graph"));
    let settings = |_| AssetSettings {
        step_days: 0,
        lag: 0,
    };
    // The Driver leaves no partition for a day without rows (§5.2); the ledger knows of it.
    let others = graph.assets.iter().filter(|other| other.id != *asset);
    let empty = others.map(|other| {
        let partitions = days_without_rows(&other.id);
        (
            other.id.clone(),
            partitions.widen(-other.shift, -other.shift),
        )
    });
    let history = History {
        empty: empty.collect(),
        ..History::default()
    };
    plan(
        PlanInput {
            graph,
            snapshot,
            history: &history,
            never,
            first_ds: &BTreeMap::new(),
            refused: &BTreeMap::new(),
            driver,
        },
        &Request {
            selected: BTreeSet::from([index]),
            start_ds: None,
            end_ds: None,
            as_of,
            recompute: false,
            stale: false,
            only: &BTreeMap::new(),
            settings: &settings,
        },
    )
}

#[test]
fn the_plan_runs_what_the_driver_filled() {
    let mut compared = 0;
    each_recorded_run(None, |run, graph, plan| {
        if is_backfill(&plan.assets[0].asset.mode) {
            compare(run, graph, plan);
            compared += 1;
        }
    });
    assert_eq!(compared, 36, "every backfill of the corpus");
}

/// The rules for the real Driver on top: they keep nothing from a run that the Driver did, predict the
/// days that it filled unasked, and ask for no first hole where it had none.
#[test]
fn the_rules_for_the_driver_predict_what_it_did() {
    let mut compared: BTreeMap<&'static str, u32> = BTreeMap::new();
    each_recorded_run(Some(&DriverInput::default()), |run, graph, plan| {
        let planned = &plan.assets[0];
        match planned.asset.mode {
            AssetKind::Upload | AssetKind::LabelJoin => {
                let asked = RangeSet::from(PartitionRange::day(plan.as_of));
                assert!(
                    asked.minus(&planned.days_in(State::Run)).is_empty(),
                    "{}: {:?}",
                    run.id,
                    planned.cells
                );
            }
            AssetKind::StatsSummary | AssetKind::Consistency => {
                // Days are those of the rows' time, and late rows are of the day before (§10.23).
                let filled = days(run.tables_changed[planned.table.as_str()].after.as_ref());
                let predicted = planned
                    .days_in(State::Run)
                    .union(&unasked(&planned.notes))
                    .minus(&days_without_rows(&planned.asset));
                assert_eq!(predicted.minus(&filled), RangeSet::new(), "{}", run.id);
                let late = filled.minus(&predicted);
                let stray = late.widen(1, 1).minus(&predicted);
                assert!(stray.is_empty(), "{}: {late} besides {predicted}", run.id);
            }
            _ => compare(run, graph, plan),
        }
        assert!(
            plan.steps.iter().all(|step| !step.run_first_hole),
            "{}",
            run.id
        );
        *compared
            .entry(planned.asset.mode.run_py_mode())
            .or_default() += 1;
    });
    let expected = [
        ("backfill", 34),
        ("backfill-final", 1),
        ("backfill-left", 1),
        ("consistency-metrics-compute", 1),
        ("label-join", 4),
        ("stats-summary", 1),
        ("upload", 8),
    ];
    assert_eq!(compared, expected.into(), "every run of the corpus by mode");
}

fn is_backfill(step: &AssetKind) -> bool {
    matches!(
        step,
        AssetKind::Backfill | AssetKind::Left | AssetKind::Part(_) | AssetKind::Final
    )
}

/// Days that are filled although they were not asked for.
fn unasked(notes: &[Note]) -> RangeSet {
    let days = notes.iter().filter_map(|note| match note {
        Note::AlsoFills { days } => Some(days),
        _ => None,
    });
    days.fold(RangeSet::new(), |all, days| all.union(days))
}

/// Plans for each recorded run of the Driver that succeeded, on the tables as they were before it.
fn each_recorded_run(driver: Option<&DriverInput>, mut look: impl FnMut(&Run, &Graph, &Plan)) {
    let graph = |flow| graph_for(flow, driver.map(|_| DriverOptions::default()));
    let (whole, modular) = (graph(JoinFlow::Whole), graph(JoinFlow::Modular));
    let sources = sources();
    let never = declared_holes(&sources);
    let mut written: BTreeMap<TableName, RangeSet> = BTreeMap::new();
    for run in recorded_runs() {
        let asset = run
            .asset()
            .filter(|_| run.kind == "engine" && run.exit == 0)
            .and_then(|asset| {
                let graphs = [&whole, &modular];
                let graph = graphs
                    .into_iter()
                    .find(|graph| graph.find(&asset).is_some());
                Some((asset, graph?))
            });
        if let Some((asset, graph)) = asset {
            let as_of = run.option("end-date").unwrap().parse().unwrap();
            let tables = snapshot(&sources, &written);
            look(
                &run,
                graph,
                &plan_for(graph, &asset, as_of, &tables, &never, driver),
            );
        }
        for (table, change) in &run.tables_changed {
            written.insert(table.parse().unwrap(), days(change.after.as_ref()));
        }
    }
}

fn compare(run: &Run, graph: &Graph, plan: &Plan) {
    let planned = &plan.assets[0];
    let asset = &graph.assets[graph.find(&planned.asset).unwrap()];
    let change = run.tables_changed.get(planned.table.as_str());
    let filled = days(change.and_then(|change| change.after.as_ref()))
        .minus(&days(change.and_then(|change| change.before.as_ref())));
    // A query without `startPartition` writes every day that it returns; only the last is asked for.
    let filled = match asset.fill {
        Fill::LastDay => filled.intersect(&PartitionRange::day(plan.as_of).into()),
        _ => filled,
    };
    let shifted = planned.days_in(State::Run).widen(asset.shift, asset.shift);
    // Days that are registered but hold no rows: the Driver runs them and leaves no partition (§5.2).
    let empty: RangeSet = shifted.minus(&filled);
    let known = days_without_rows(&planned.asset);
    assert!(
        filled.minus(&shifted).is_empty() || asset.shift != 0,
        "{}: the Driver also filled {}",
        run.id,
        filled.minus(&shifted)
    );
    assert!(
        empty.minus(&known).is_empty(),
        "{}: the Driver did not fill {}",
        run.id,
        empty.minus(&known)
    );
    for state in [State::Waiting, State::Blocked] {
        assert_eq!(
            planned.days_in(state),
            RangeSet::new(),
            "{}: {state:?}: {:?}",
            run.id,
            planned.cells
        );
    }
}

/// Partitions that run but yield no rows: the left side's registered but empty 23rd; for the staging
/// query also the 17th, of which only the other of its two dependencies exists; for join parts
/// the 21st, which the snapshot table never had.
fn days_without_rows(asset: &AssetId) -> RangeSet {
    let listed: &[&str] = match (asset.conf.conf_type, &asset.mode) {
        (ConfType::StagingQuery, _) => &["2026-01-17", "2026-01-23"],
        (_, AssetKind::Part(_)) => &["2026-01-21", "2026-01-23"],
        // A GroupBy over a join counts the join's empty day as there; the Driver does not see it.
        (ConfType::Join | ConfType::GroupBy, _) => &["2026-01-23"],
    };
    listed.iter().map(|ds| ds.parse::<Ds>().unwrap()).collect()
}

#[test]
fn outputs_are_the_recorded_tables() {
    let whole = graph(JoinFlow::Whole);
    let mut tables: BTreeSet<String> = BTreeSet::new();
    for asset in &whole.assets {
        tables.insert(asset.table.to_string());
        tables.extend(asset.also_writes.iter().map(|side| side.table.to_string()));
    }
    for entry in fs::read_dir(corpus().join("expected")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some(table) = name.strip_suffix(".schema") else {
            continue;
        };
        // The label part's cache and the stats of a comparison are not assets.
        let cache = table.contains("trust_labels_spend_after");
        assert!(tables.contains(table) || cache, "{table} is not an output");
    }
}

#[test]
fn without_declared_holes_the_days_behind_them_wait() {
    let graph = graph(JoinFlow::Whole);
    let sources = sources();
    let asset = AssetId::new(
        ConfType::GroupBy,
        "stays.bookings.listing_daily_v1",
        AssetKind::Backfill,
    );
    let as_of = "2026-01-30".parse().unwrap();
    let plan = plan_of(
        &graph,
        &asset,
        as_of,
        &snapshot(&sources, &BTreeMap::new()),
        &BTreeMap::new(),
    );
    let waiting = plan.assets[0]
        .cells
        .iter()
        .find(|cells| cells.state == State::Waiting)
        .unwrap();
    let Reason::InputsMissing { inputs } = &waiting.reason else {
        panic!("{waiting:?}")
    };
    assert_eq!(inputs[0].table.as_str(), "lake.bookings");
    assert_eq!(inputs[0].missing.to_string(), "2026-01-12");
}

fn selected(graph: &Graph, include: &str, exclude: &str) -> Result<Vec<String>, SelectionError> {
    let words = |text: &str| {
        text.split('|')
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let selection = Selection::parse(&words(include), &words(exclude))?;
    let found = selection.resolve(graph, false)?;
    let mut names: Vec<String> = found
        .iter()
        .map(|&index| graph.assets[index].id.to_string())
        .collect();
    names.sort();
    Ok(names)
}

#[test]
fn selection_speaks_dbt() {
    let graph = graph(JoinFlow::Whole);
    let select = |include: &str, exclude: &str| selected(&graph, include, exclude).unwrap();
    let sessions = "staging_query/stays.sessions.daily_v1/backfill";
    let join = "join/stays.sessions.v1/backfill";
    // A conf's name stands for its offline tables, `mode:` and ids for any.
    assert_eq!(
        select("stays.online.v1", ""),
        ["join/stays.online.v1/backfill"]
    );
    assert_eq!(
        select("join/stays.online.v1/consistency", ""),
        ["join/stays.online.v1/consistency"]
    );
    assert_eq!(
        select("mode:consistency", ""),
        ["join/stays.online.v1/consistency"]
    );
    assert_eq!(select("type:staging_query,*daily*", ""), [sessions]);
    assert_eq!(select("table:stays_out.stays_sessions_v1", ""), [join]);
    // Upstream by data and by embedding, downstream, limited depth.
    let upstream = select("+stays.sessions.v1", "");
    assert!(upstream.contains(&sessions.to_owned()));
    assert!(upstream.contains(&"group_by/stays.bookings.union_v1/backfill".to_owned()));
    assert_eq!(select("stays.sessions.daily_v1+", ""), [join, sessions]);
    assert_eq!(
        select("1+stays.chain_child.child_v1", "type:group_by"),
        [
            "join/stays.chain.parent_v1/backfill",
            "join/stays.chain_child.child_v1/backfill"
        ]
    );
    // Union, intersection, exclusion.
    assert_eq!(
        select("stays.sessions.v1 stays.sessions.daily_v1", ""),
        [join, sessions]
    );
    assert_eq!(
        select("stays.sessions.v1|stays.sessions.daily_v1", "type:join"),
        [sessions]
    );
    assert_eq!(
        select("team:trust,type:group_by", ""),
        [
            "group_by/trust.hosts.portfolio_v1/backfill",
            "group_by/trust.hosts.profile_v1/backfill"
        ]
    );
    assert_eq!(
        select("tag:model=search_rank,stays.search_train.v1", ""),
        ["join/stays.search_train.v1/backfill"]
    );
    assert!(
        select("source:lake.hosts", "")
            .contains(&"group_by/trust.hosts.profile_v1/backfill".to_owned())
    );
    assert!(select("", "").iter().all(|name| !name.ends_with("/upload")));
}

#[test]
fn a_wrong_selector_says_what_is_right() {
    let graph = graph(JoinFlow::Whole);
    let error = |include: &str| selected(&graph, include, "").unwrap_err().to_string();
    assert_eq!(
        error("stays.sesions.v1"),
        "`stays.sesions.v1` matches no asset; did you mean `stays.sessions.v1`?"
    );
    assert_eq!(
        error("stays.bookings.guest_rt_v1"),
        "`stays.bookings.guest_rt_v1` matches no table that a backfill fills, only `group_by/stays.bookings.guest_rt_v1/upload`, `group_by/stays.bookings.guest_rt_v1/kv`, `group_by/stays.bookings.guest_rt_v1/streaming`: name one of these"
    );
    assert_eq!(
        error("colour:blue"),
        "`colour:blue`: there is no selection method `colour` (known: team, type, mode, tag, path, source, table, state)"
    );
    assert_eq!(error("team:"), "`team:` is not a selector");
    assert_eq!(error("[a"), "`[a` is not a selector");
}

#[test]
fn a_cell_is_explained_by_its_inputs() {
    let graph = graph(JoinFlow::Whole);
    let (sources, never) = (sources(), BTreeMap::new());
    let snapshot = snapshot(&sources, &BTreeMap::new());
    let asset = AssetId::new(
        ConfType::Join,
        "stays.search_train.derived_v1",
        AssetKind::Backfill,
    );
    let ds: Ds = "2026-01-22".parse().unwrap();
    let plan = plan_of(&graph, &asset, ds, &snapshot, &never);
    let world = PlanInput {
        graph: &graph,
        snapshot: &snapshot,
        history: &History::default(),
        never: &never,
        first_ds: &BTreeMap::new(),
        refused: &BTreeMap::new(),
        driver: None,
    };
    let explanation = explain(world, &plan, &asset, ds).unwrap();
    let state = |role: &str| {
        explanation
            .inputs
            .iter()
            .find(|input| input.role == role)
            .unwrap()
    };
    assert_eq!(explanation.cell.as_ref().unwrap().state, State::Waiting);
    assert_eq!(state("left").needed.to_string(), "2026-01-22");
    // Events × entities × SNAPSHOT needs the snapshot of the day before (§4.2), which has a hole.
    let listings = state("source of part stays_listings_dim_v1");
    assert_eq!(
        (listings.needed.to_string(), listings.missing.to_string()),
        ("2026-01-21".to_owned(), "2026-01-21".to_owned())
    );
    // Unbounded TEMPORAL aggregations reach back to `startPartition` (§4.2).
    let bookings = state("source of part stays_bookings_guest_rt_v1");
    assert_eq!(bookings.needed.to_string(), "2026-01-01..2026-01-22");
    assert_eq!(bookings.missing.to_string(), "2026-01-12");
}

#[test]
fn an_upload_before_the_start_of_its_sources_is_not_run() {
    let graph = graph(JoinFlow::Whole);
    let sources = sources();
    let asset = AssetId::new(
        ConfType::GroupBy,
        "stays.listings.dim_v1",
        AssetKind::Upload,
    );
    let planned = |as_of: &str| {
        let as_of = as_of.parse().unwrap();
        let snapshot = snapshot(&sources, &BTreeMap::new());
        let plan = plan_of(&graph, &asset, as_of, &snapshot, &BTreeMap::new());
        let asset = &plan.assets[0];
        (plan.steps.len(), asset.excluded.clone())
    };
    let (steps, reason) = planned("2025-12-20");
    assert_eq!(steps, 0);
    assert!(
        matches!(reason, Some(Reason::OutsideConf { .. })),
        "{reason:?}"
    );
    assert_eq!(planned("2026-01-20"), (1, None));
}

#[test]
fn a_saved_plan_knows_what_has_changed() {
    let graph = graph(JoinFlow::Whole);
    let sources = sources();
    let never = declared_holes(&sources);
    let asset = AssetId::new(
        ConfType::GroupBy,
        "stays.bookings.listing_daily_v1",
        AssetKind::Backfill,
    );
    let as_of = "2026-01-30".parse().unwrap();
    let plan = |written: &BTreeMap<TableName, RangeSet>| {
        plan_of(&graph, &asset, as_of, &snapshot(&sources, written), &never)
    };
    let saved = plan(&BTreeMap::new());
    let read: Plan = serde_json::from_str(&serde_json::to_string(&saved).unwrap()).unwrap();
    assert_eq!(read.differences(&plan(&BTreeMap::new())), []);

    let table: TableName = "stays_out.stays_bookings_listing_daily_v1".parse().unwrap();
    let filled = BTreeMap::from([(
        table,
        PartitionRange::day("2026-01-14".parse().unwrap()).into(),
    )]);
    let differences: Vec<String> = read
        .differences(&plan(&filled))
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        differences,
        ["stays_out.stays_bookings_listing_daily_v1: 2026-01-14 appeared"]
    );

    let mut edited = plan(&BTreeMap::new());
    edited
        .confs
        .values_mut()
        .for_each(|digest| digest.push('x'));
    assert!(
        read.differences(&edited)[0]
            .to_string()
            .ends_with("bookings.listing_daily_v1: the conf has changed since the plan was made")
    );
}
