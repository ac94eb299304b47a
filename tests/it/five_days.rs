//! `examples/stays` on a real Spark for five days, unattended: sources land late, one day
//! is bad, one night the machine is switched off in the middle. In the end every table is what one
//! clean backfill makes of it.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader},
    process::Stdio,
};

use chronon_run_core::{Ds, TableName};
use serde_json::Value;

use crate::{
    staged::anybody,
    support::{Screen, Workspace, wait_until},
    tables,
};

const BOOKINGS: &str = "data/lake.bookings.csv";
const SEARCHES: &str = "data/lake.searches.csv";

/// What one clean backfill fills, and `frontfill` too.
const MODES: [&str; 3] = ["mode:backfill", "mode:upload", "mode:consistency"];

/// The example, with a staging query that refuses bookings of more than a year.
fn example() -> Workspace {
    let example = Workspace::example("stays");
    example.edit(
        "production/staging_queries/stays/bookings.confirmed_v1",
        "AND status = 'confirmed'",
        "AND status = 'confirmed' AND assert_true(nights < 365) IS NULL",
    );
    example.edit("workspace.toml", "retries = 1", "retries = 0");
    for file in [BOOKINGS, SEARCHES] {
        let rows = in_their_own_day(&example.read(file));
        example.write(file, &rows);
    }
    example
}

/// The rows, each in the partition of its own day. Some of the example's are in the one after, and
/// whether a day sees those depends, as it does with Chronon itself, on what its step reads beyond it.
fn in_their_own_day(file: &str) -> String {
    let own_day = |line: &str| {
        let (rest, ds) = line.rsplit_once(',').unwrap();
        let millis = rest.rsplit(',').next().unwrap().parse::<i64>();
        match millis.map(|millis| Ds::at(millis, "UTC").unwrap()) {
            Ok(day) => format!("{rest},{day}\n"),
            Err(_) => format!("{rest},{ds}\n"),
        }
    };
    file.lines().map(own_day).collect()
}

/// What a source has once `last` has landed: the rows of the whole file up to that day.
fn land(example: &Workspace, file: &str, whole: &str, last: &str) {
    let mut lines = whole.lines();
    let header = lines.next().unwrap();
    let landed = lines.filter(|line| line.rsplit(',').next().unwrap() <= last);
    let text: Vec<&str> = std::iter::once(header).chain(landed).collect();
    example.write(file, &(text.join("\n") + "\n"));
}

fn frontfill(example: &Workspace, day: &str) -> Screen {
    example.run(&["frontfill", "--as-of", day])
}

/// The tables of all assets that have one.
fn filled(example: &Workspace) -> Vec<TableName> {
    let plan = example.run(&[&["plan", "--output", "json"], &MODES[..]].concat());
    let plan = plan.expect(0).stdout;
    let plan: Value = serde_json::from_str(&plan).unwrap();
    let assets = plan["assets"].as_array().unwrap().iter();
    let tables: BTreeSet<&str> = assets.filter_map(|asset| asset["table"].as_str()).collect();
    let exists = |table: &&str| !plan["observed"][*table].is_null();
    let names = tables.into_iter().filter(exists);
    names.map(|name| name.parse().unwrap()).collect()
}

/// Every row of every table, and every partition.
fn content(
    example: &Workspace,
    names: &[TableName],
) -> Vec<(String, BTreeSet<String>, Vec<String>)> {
    let found = tables::read(example, names);
    let content = names.iter().map(|name| {
        let content = &found[name].content;
        let rows = content.rows.iter().flatten();
        let mut rows: Vec<String> = rows
            .map(|row| Value::from(row.clone()).to_string())
            .collect();
        rows.sort();
        let partitions = content.partitions.clone().unwrap_or_default();
        (name.to_string(), partitions, rows)
    });
    content.collect()
}

#[test]
fn unattended_nights_end_as_one_clean_backfill() {
    let example = example();
    let bookings = example.read(BOOKINGS);
    let searches = example.read(SEARCHES);
    let bad = bookings
        .lines()
        .find(|line| line.ends_with(",2026-01-28") && line.contains(",confirmed,"))
        .unwrap();
    let mut fields: Vec<&str> = bad.split(',').collect();
    fields[3] = "999";
    let broken = bookings.replace(bad, &fields.join(","));

    // The first night fills all the history.
    land(&example, BOOKINGS, &bookings, "2026-01-26");
    land(&example, SEARCHES, &searches, "2026-01-26");
    frontfill(&example, "2026-01-26").expect(0);

    // Searches are late.
    land(&example, BOOKINGS, &bookings, "2026-01-27");
    let late = frontfill(&example, "2026-01-27").expect(3);
    let said = "waiting for lake.searches 2026-01-27";
    assert!(late.stderr.contains(said), "{}", late.text());

    // A bad day of bookings; the searches of both days are filled all the same.
    land(&example, BOOKINGS, &broken, "2026-01-28");
    land(&example, SEARCHES, &searches, "2026-01-28");
    let failed = frontfill(&example, "2026-01-28").expect(1);
    assert!(
        failed.stderr.contains("bookings.confirmed_v1"),
        "{}",
        failed.text()
    );

    // The day is corrected, but the machine is switched off in the middle.
    land(&example, BOOKINGS, &bookings, "2026-01-29");
    land(&example, SEARCHES, &searches, "2026-01-29");
    let mut night = example.command(&["frontfill", "--as-of", "2026-01-29"]);
    night.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut night = night.spawn().unwrap();
    let mut lines = BufReader::new(night.stderr.take().unwrap())
        .lines()
        .map_while(Result::ok);
    assert!(
        lines.any(|line| line.starts_with("start")),
        "it ended before a step began"
    );
    night.kill().unwrap();
    night.wait().unwrap();
    wait_until("no process is left", || anybody(example.root()).is_empty());

    // The last night makes everything good, and nothing is left to do.
    land(&example, BOOKINGS, &bookings, "2026-01-30");
    land(&example, SEARCHES, &searches, "2026-01-30");
    frontfill(&example, "2026-01-30").expect(0);
    let args = ["frontfill", "--quiet", "--as-of", "2026-01-30"];
    let again = example.run(&args).expect(0);
    assert_eq!((again.stdout.as_str(), again.stderr.as_str()), ("", ""));

    let mut clean = self::example();
    clean.keep_spark();
    clean
        .run(&[&["materialize"], &MODES[..]].concat())
        .expect(0);
    let names = filled(&clean);
    assert_eq!(names.len(), 15, "{names:?}");
    for (found, wanted) in content(&example, &names)
        .iter()
        .zip(content(&clean, &names))
    {
        assert_eq!(*found, wanted);
        assert!(!found.2.is_empty(), "{} has no rows", found.0);
    }
}
