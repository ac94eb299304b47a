//! Random histories: days are filled in pieces, rows arrive after their day was filled, confs are edited, joins
//! change between flows, and the stale days are filled again; with `CHRONON_RUN_KILLS=1` runs are killed, too, and
//! days filled again. The tables in the end are those of one backfill with the confs as they are then.

use std::{collections::BTreeMap, process::Stdio, thread, time::Duration};

use serde_json::Value;

use crate::{
    Outcome, compared, expected,
    generate::{Case, LEFT_FIRST, LEFT_LAST, day_text, punctual},
    number,
    random::Random,
    support::Workspace,
    write,
};

#[test]
fn random_histories_end_as_one_backfill() {
    let first = number("CHRONON_RUN_SEED", crate::FIXED_SEED);
    let last = first + number("CHRONON_RUN_HISTORIES", 1);
    let cases = (first..last).map(|seed| case(&format!("h{seed}"), seed));
    let mut history = History::new(cases.collect(), first);
    history.live();
    let mut wrong = Vec::new();
    let (mut rows, mut tables) = (0, 0);
    for outcome in history.outcomes() {
        tables += 1;
        rows += outcome.rows;
        for line in outcome.comparison.wrong.iter().take(3) {
            println!("{}: {line}", outcome.name);
        }
        if outcome.is_wrong() {
            wrong.push(outcome.name);
        }
    }
    println!("{}", history.runs.join("\n"));
    println!(
        "{} confs, {} runs, {tables} tables, {rows} rows; these differ: {wrong:?}",
        history.cases.iter().map(conf_count).sum::<usize>(),
        history.runs.len()
    );
    assert!(wrong.is_empty() && rows > 0, "{wrong:?}");
}

/// A random case whose rows are in the partitions of their days, without what depends on the rows of a
/// step: what a bootstrap covers. Labels are of their own days.
fn case(name: &str, seed: u64) -> Case {
    let mut case = punctual(name, seed);
    for conf in &mut case.joins {
        let conf = conf.as_object_mut().unwrap();
        conf.remove("bootstrapParts");
        conf.remove("labelPart");
    }
    case
}

/// How many days a step has, and the flow of each join.
fn settings(cases: &[Case], random: &mut Random) -> String {
    let mut settings = format!("step_days = {}\n", 1 + random.below(4));
    for conf in cases.iter().flat_map(|case| &case.joins) {
        if random.once_in(2) {
            let name = conf["metaData"]["name"].as_str().unwrap();
            settings += &format!("\n[[override]]\nselect = \"{name}\"\njoin_flow = \"modular\"\n");
        }
    }
    settings
}

/// Rows of one table no longer count, wherever a conf reads it: values change, columns do not.
fn edit(case: &mut Case, random: &mut Random) {
    const EDITS: [(&str, &str); 3] = [
        ("_events", "s IS NULL OR s <> 3"),
        ("_events", "i IS NOT NULL"),
        ("_left", "cx IS NULL OR cx <> 2"),
    ];
    let (table, condition) = *random.of(&EDITS);
    let confs = case.group_bys.iter_mut().chain(&mut case.joins);
    confs.for_each(|conf| filter(conf, table, condition));
}

/// Adds a condition to every query of such a table in a conf, embedded confs included.
fn filter(conf: &mut Value, table: &str, condition: &str) {
    let reads = |source: &Value| {
        let name = source["table"].as_str();
        name.is_some_and(|name| name.ends_with(table))
    };
    match conf {
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| filter(item, table, condition)),
        Value::Object(_) if reads(conf) => {
            let wheres = &mut conf["query"]["wheres"];
            let mut all = wheres.as_array().cloned().unwrap_or_default();
            all.push(condition.into());
            *wheres = all.into();
        }
        Value::Object(fields) => fields
            .values_mut()
            .for_each(|field| filter(field, table, condition)),
        _ => {}
    }
}

fn conf_count(case: &Case) -> usize {
    case.group_bys.len() + case.joins.len()
}

/// A workspace of several cases, and what was done to it.
struct History {
    cases: Vec<Case>,
    random: Random,
    workspace: Workspace,
    /// Settings of this history.
    settings: String,
    /// For each table, which rows have not arrived.
    late: BTreeMap<String, Vec<usize>>,
    runs: Vec<String>,
    /// Whether runs are killed, and days filled again although nothing has changed.
    kills: bool,
}

impl History {
    fn new(cases: Vec<Case>, seed: u64) -> Self {
        let mut random = Random(!seed);
        random.next();
        let mut late: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (name, table) in cases.iter().flat_map(|case| &case.tables) {
            let last = name.rsplit('_').next();
            if !matches!(last, Some("events" | "more" | "left")) {
                continue;
            }
            // Rows without a key keep the partitions of their days.
            let has_key = |row: &usize| table.rows[*row].contains_key("n");
            let rows = (0..table.rows.len()).filter(has_key);
            let rows = rows.filter(|_| random.once_in(8)).collect();
            late.insert(name.clone(), rows);
        }
        let settings = settings(&cases, &mut random);
        let mut workspace = Workspace::empty();
        workspace.keeps_spark();
        Self {
            cases,
            random,
            workspace,
            settings,
            late,
            runs: Vec::new(),
            kills: number("CHRONON_RUN_KILLS", 0) > 0,
        }
    }

    /// Fills all days, in pieces.
    fn live(&mut self) {
        self.write();
        let mut day = LEFT_FIRST;
        while day < LEFT_LAST {
            self.run(&[], day);
            if self.random.once_in(2) {
                self.arrive(2);
                self.run(&["--stale"], day);
            }
            if self.kills && self.random.once_in(3) {
                self.run(&["--recompute", "--start-ds", &day_text(day)], day);
            }
            day += 1 + i64::try_from(self.random.below(3)).unwrap();
        }
        self.settings = settings(&self.cases, &mut self.random);
        self.write();
        self.run(&[], LEFT_LAST);
        for case in &mut self.cases {
            edit(case, &mut self.random);
        }
        self.arrive(1);
        self.run(&["--stale"], LEFT_LAST);
    }

    /// One of so many late rows arrives.
    fn arrive(&mut self, of: usize) {
        for rows in self.late.values_mut() {
            rows.retain(|_| !self.random.once_in(of));
        }
        self.write();
    }

    /// The workspace with the rows that have arrived.
    fn write(&self) {
        let mut cases = self.cases.clone();
        let mut tables = BTreeMap::new();
        for case in &mut cases {
            tables.extend(&mut case.tables);
        }
        for (name, late) in &self.late {
            let rows = &mut tables.get_mut(name).unwrap().rows;
            let mut index = 0..;
            rows.retain(|_| !late.contains(&index.next().unwrap()));
        }
        let cases: Vec<&Case> = cases.iter().collect();
        write(&cases, &self.settings, &|path, text| {
            self.workspace.write(path, text);
        });
    }

    fn run(&mut self, what: &[&str], day: i64) {
        let day = day_text(day);
        let args = [&["materialize", "--as-of", &day], what].concat();
        if self.kills && self.random.once_in(4) {
            self.kill(&args);
        }
        let screen = self.workspace.run(&args);
        self.runs
            .push(format!("{}: {:?}", args.join(" "), screen.code));
        if screen.code != Some(0) {
            println!("{}\n{}", args.join(" "), screen.text());
        }
    }

    /// A run that is killed somewhere between its beginning and its end, with the Spark that it uses.
    fn kill(&mut self, args: &[&str]) {
        let after = u64::try_from(self.random.between(300, 12_000)).unwrap();
        let mut command = self.workspace.command(args);
        let command = command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        thread::sleep(Duration::from_millis(after));
        let end = child.try_wait().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let what = match end {
            Some(status) => format!("over before: {status}"),
            None => format!("killed after {after} ms"),
        };
        self.runs.push(format!("{}: {what}", args.join(" ")));
    }

    /// The outputs; the keys in tables of parts are those of the steps.
    fn outcomes(&self) -> Vec<Outcome> {
        let is_output = |name: &str| name.matches("_v1").count() == 1 && name.ends_with("_v1");
        let tables = self.cases.iter().map(|case| {
            let mut tables = expected(case).unwrap();
            tables.retain(|(name, _)| is_output(name));
            tables
        });
        compared(&self.workspace, tables.collect())
            .into_iter()
            .flatten()
            .collect()
    }
}
