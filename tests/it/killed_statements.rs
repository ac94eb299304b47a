//! A join's script whose JVM is killed before and during its statements, on a real Spark: the next run fills
//! the same rows as an undisturbed one, and no helper table is left.
//!
//! Each kill has a join of its own, so that one run is killed many times and one run fills everything.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use chronon_run_catalog::{Hive, Timeouts};
use chronon_run_core::RangeSet;
use chronon_run_testkit::scripted::{Fault, Output};
use serde_json::json;

use crate::{
    driven::Driven,
    staged::processes,
    support::{Workspace, signal, wait_until},
    tables::Warehouse,
};

/// The join that nothing happens to.
const WHOLE: &str = "whole";
/// The statements of the session before those of the script: `RESET` and `USE default`.
const PREAMBLE: usize = 2;

/// Kills a JVM once so many statements have ended and part of the next one's time has passed.
#[derive(Clone, Copy, Debug)]
struct Kill {
    ended: usize,
    /// Hundredths of the time that the statement takes when nothing happens.
    share: u32,
}

impl Kill {
    fn join(self) -> String {
        format!("killed_{}_{}", self.ended, self.share)
    }
}

fn join_conf(name: &str) -> String {
    let query = |selects| json!({"selects": selects, "startPartition": "2026-01-01", "timeColumn": "ts", "setups": []});
    let source = |selects| json!({"events": {"table": "src.events", "query": query(selects), "isCumulative": 0}});
    let meta = |name: &str| json!({"name": name, "outputNamespace": "shop_out", "team": "shop"});
    let group_by = json!({
        "metaData": meta("shop.spend"),
        // A computed column, so that the script has to make a helper table for its type.
        "sources": [source(json!({"user": "user", "amount": "amount + 0"}))],
        "keyColumns": ["user"],
        "aggregations": [{"inputColumn": "amount", "operation": 7, "argMap": {}, "windows": [{"length": 7, "timeUnit": 1}]}],
        "accuracy": 1,
        "backfillStartDate": "2026-01-01",
    });
    json!({
        "metaData": meta(&format!("shop.{name}")),
        "left": source(json!({"user": "user"})),
        "joinParts": [{"groupBy": group_by, "useLongNames": 0}],
    })
    .to_string()
}

struct Lab {
    workspace: Workspace,
    joins: BTreeSet<String>,
}

impl Lab {
    fn new() -> Self {
        let workspace = Workspace::empty();
        workspace.write("teams.json", r#"{"default": {}, "shop": {}}"#);
        workspace.write(
            "data/events.csv",
            "user,amount,ts,ds\nu1,10,1767229200000,2026-01-01\nu1,20,1767315600000,2026-01-02\nu2,5,1767316600000,2026-01-02\n",
        );
        workspace.write(
            "workspace.toml",
            r#"[workspace]
as_of = "2026-01-02"

[engine]
master = "local[2]"
conf = { "spark.sql.shuffle.partitions" = "2", "spark.ui.enabled" = "false" }

[run]
retries = 0
jobs = 1

[seeds."src.events"]
path = "data/events.csv"
partition_by = ["ds"]
"#,
        );
        Self {
            workspace,
            joins: BTreeSet::new(),
        }
    }

    fn add(&mut self, join: &str) {
        let path = format!("production/joins/shop/{join}");
        self.workspace.write(&path, &join_conf(join));
        self.joins.insert(join.to_owned());
    }

    /// The statements that fill a join, given what the catalog shows.
    fn statements(&self, join: &str) -> Vec<String> {
        let asset = format!("join/shop.{join}/backfill");
        let days = ["--start-ds", "2026-01-01", "--end-ds", "2026-01-02"];
        let mut args = vec!["sql", &asset];
        args.extend(days);
        let script = self.workspace.run(&args).expect(0).stdout;
        let mut statements = vec![String::new()];
        for line in script.split_inclusive('\n') {
            let last = statements.len() - 1;
            statements[last].push_str(line);
            if line.ends_with(";\n") && !line.starts_with("--") {
                statements.push(String::new());
            }
        }
        statements.retain(|statement| statement.contains(';'));
        statements
    }

    /// Fills a join and kills the JVM that does it.
    fn kill(&mut self, kill: Kill, times: &[Duration]) {
        let join = kill.join();
        self.add(&join);
        let mut run = self
            .workspace
            .command(&["materialize", &format!("join/shop.{join}/backfill")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let wanted = PREAMBLE + kill.ended;
        wait_until("the statement begins", || self.times(&join).len() >= wanted);
        thread::sleep(times[kill.ended] * kill.share / 100);
        for (pid, line) in processes(self.workspace.root()) {
            if line.contains("org.apache.spark.deploy.SparkSubmit") {
                signal(pid, "KILL");
            }
        }
        let code = run.wait().unwrap().code();
        assert!(code == Some(1) || kill.share > 0, "{kill:?}: {code:?}");
    }

    /// How long the statements took that have ended, in the newest log of a join's step.
    fn times(&self, join: &str) -> Vec<Duration> {
        let runs = self.workspace.path(".chronon-run/runs");
        let mut logs: Vec<_> = fs::read_dir(runs)
            .unwrap()
            .flatten()
            .flat_map(|run| fs::read_dir(run.path()).unwrap().flatten())
            .map(|step| step.path().join("attempt-1.log"))
            .filter(|log| log.to_string_lossy().contains(&format!(".shop.{join}.")))
            .collect();
        logs.sort();
        let log = logs.last().map(fs::read_to_string);
        let text = log.and_then(Result::ok).unwrap_or_default();
        let seconds = text.lines().filter_map(|line| {
            let rest = line.trim().strip_prefix("Time taken: ")?;
            rest.split(' ').next()?.parse().ok()
        });
        seconds.map(Duration::from_secs_f64).collect()
    }

    /// The rows of each join, sorted.
    fn rows(&self, warehouse: &Warehouse) -> BTreeMap<String, BTreeSet<String>> {
        let select = |join: &String| {
            format!(
                "SELECT '@{join}', to_json(struct(*), map('ignoreNullFields', 'false')) FROM shop_out.shop_{join};\n"
            )
        };
        let printed = warehouse.printed(&self.joins.iter().map(select).collect::<String>());
        let mut rows: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for line in printed.lines().filter_map(|line| line.strip_prefix('@')) {
            let (join, row) = line.split_once('\t').unwrap();
            rows.entry(join.to_owned())
                .or_default()
                .insert(row.to_owned());
        }
        rows
    }

    /// The names of the tables in the user's database, none of which is a helper.
    fn tables_without_helpers(&self, warehouse: &Warehouse) -> BTreeSet<String> {
        let hive = Hive::new(&warehouse.uri(), Timeouts::default()).unwrap();
        let tables = hive.tables_like("shop_out", "*").unwrap();
        let tables: BTreeSet<String> = tables.iter().map(|table| table.name().to_owned()).collect();
        let helpers: Vec<_> = tables.iter().filter(|name| name.contains("__")).collect();
        assert!(helpers.is_empty(), "{helpers:?}");
        tables
    }

    /// Neither a helper table nor a folder without a table is left.
    fn has_no_helpers(&self, warehouse: &Warehouse) {
        let tables = self.tables_without_helpers(warehouse);
        let database = self.workspace.path(".chronon-run/warehouse/shop_out.db");
        let folders = fs::read_dir(database).unwrap().flatten();
        let folders = folders.map(|entry| entry.file_name().into_string().unwrap());
        let orphans: Vec<_> = folders.filter(|name| !tables.contains(name)).collect();
        assert!(orphans.is_empty(), "{orphans:?}");
    }

    /// Everything that is left is filled by one run, with the rows of the undisturbed join.
    fn ends_well(&self) {
        let run = self.workspace.run(&["materialize", "mode:backfill"]);
        run.expect(0);
        let warehouse = Warehouse::of(&self.workspace);
        let rows = self.rows(&warehouse);
        assert_eq!(rows[WHOLE].len(), 3);
        for join in &self.joins {
            assert_eq!(rows.get(join), rows.get(WHOLE), "{join}");
        }
        self.has_no_helpers(&warehouse);
    }
}

/// The first line of a statement that is no comment.
fn code(statement: &str) -> &str {
    let mut lines = statement.lines();
    let line = lines.find(|line| !line.is_empty() && !line.starts_with("--"));
    line.unwrap_or_default()
}

/// Whether a statement changes more than its session.
fn is_durable(statement: &str) -> bool {
    let starts = [
        "CREATE DATABASE",
        "CREATE TABLE",
        "DROP TABLE",
        "INSERT",
        "ALTER",
    ];
    starts
        .iter()
        .any(|start| code(statement).starts_with(start))
}

/// A lab whose undisturbed join is filled, with the statements of its script and their times.
fn filled() -> (Lab, Vec<String>, Vec<Duration>) {
    let mut lab = Lab::new();
    lab.add(WHOLE);
    let statements = lab.statements(WHOLE);
    lab.workspace
        .run(&["materialize", "mode:backfill"])
        .expect(0);
    let times = lab.times(WHOLE)[PREAMBLE..].to_vec();
    assert!(statements.len() > 25, "{statements:?}");
    assert!(times.len() >= statements.len(), "{times:?}");
    (lab, statements, times)
}

/// A selection of the kills of the test below. In the middle of statements the JVM is killed; between two
/// statements, nothing is left of the JVM that ran those before.
#[test]
fn a_join_killed_at_its_statements_is_filled_by_the_next_run() {
    let (mut lab, statements, times) = filled();
    let all = &statements;
    let starting =
        |start: &'static str| (0..all.len()).filter(move |&at| code(&all[at]).starts_with(start));
    let (mut creates, mut writes) = (starting("CREATE TABLE"), starting("INSERT"));
    let mut helpers = starting("CREATE TABLE").filter(|&at| all[at].contains("__types_"));
    // The creation of the first table and of the first helper, the first rows of a part, the last rows of
    // the output.
    for (ended, share) in [
        (creates.next(), 50),
        (helpers.next(), 50),
        (writes.nth(1), 30),
        (writes.next_back(), 60),
    ] {
        lab.kill(
            Kill {
                ended: ended.unwrap(),
                share,
            },
            &times,
        );
    }
    // The failed runs themselves have removed their helper tables.
    lab.tables_without_helpers(&Warehouse::of(&lab.workspace));
    let durable: Vec<usize> = (1..statements.len())
        .filter(|&at| is_durable(&statements[at - 1]))
        .collect();
    assert!(durable.len() > 12, "{durable:?}");
    let durable = durable.into_iter().step_by(3);
    let mut begun = String::new();
    for at in durable {
        let join = format!("cut_{at}");
        lab.add(&join);
        let script = statements[..at].concat();
        begun += &script.replace("shop_whole", &format!("shop_{join}"));
    }
    Warehouse::of(&lab.workspace).printed(&begun);
    lab.ends_well();
}

/// Every statement but those that only set options, killed before it and in its middle. By name:
/// `cargo test --workspace --test it every_statement -- --ignored --nocapture`.
#[test]
#[ignore = "takes many minutes; a selection of its kills runs with the other tests"]
fn every_statement_of_a_join_is_killed_before_and_in_its_middle() {
    let (mut lab, statements, times) = filled();
    let began = Instant::now();
    let kills = (0..statements.len()).filter(|&at| !code(&statements[at]).starts_with("SET"));
    let kills = kills.flat_map(|ended| [0, 50].map(|share| Kill { ended, share }));
    let kills: Vec<Kill> = kills.collect();
    for kill in &kills {
        lab.kill(*kill, &times);
    }
    let warehouse = Warehouse::of(&lab.workspace);
    lab.tables_without_helpers(&warehouse);
    drop(warehouse);
    lab.ends_well();
    println!(
        "{} statements, {} kills, filled by the next run: {:?}",
        statements.len(),
        kills.len(),
        began.elapsed()
    );
}

/// The Driver, scripted, killed together with the run before its first day and after each of the next ones:
/// later runs end with the partitions of an undisturbed one, and know how each day was made.
#[test]
fn a_driver_killed_after_each_of_its_days_is_continued() {
    let tables = |driven: &Driven| {
        [
            "",
            "_bootstrap",
            "_visitor_stays_bookings_guest_v1",
            "_stays_bookings_spend_v1",
        ]
        .map(|part| driven.days(&format!("stays_out.stays_sessions_v1{part}")))
    };
    let join = "+join/stays.sessions.v1/backfill";
    let whole = Driven::scripted("undisturbed", "");
    whole.run(&["materialize", join]).expect(0);

    let driven = Driven::scripted("killed_days", "");
    let hanging = |driven: &Driven| {
        driven
            .calls()
            .into_iter()
            .filter(|call| call.end.is_none())
            .count()
    };
    for days in 0..4 {
        let output = Output::Days(days);
        driven.faults(&[Fault {
            subcommand: Some("join".to_owned()),
            output,
            hang: true,
            ..Fault::default()
        }]);
        let (killed, filled) = (hanging(&driven), driven.days("stays_out.stays_sessions_v1"));
        let mut run = driven.command(&["materialize", join]);
        let mut run = run
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_until("the Driver has written its days", || {
            let count = |days: Option<RangeSet>| days.unwrap_or_default().days();
            let more = count(driven.days("stays_out.stays_sessions_v1")) - count(filled.clone());
            hanging(&driven) > killed && more >= u64::from(days)
        });
        signal(run.id(), "KILL");
        run.wait().unwrap();
    }
    driven.faults(&[]);
    driven.run(&["materialize", join]).expect(0);
    assert_eq!(tables(&driven), tables(&whole));
    let plan = driven.run(&["plan", join]).expect(0).stdout;
    assert!(plan.contains("0 steps"), "{plan}");
    assert!(!plan.contains("unknown"), "{plan}");
}
