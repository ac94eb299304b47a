//! `ls`, `check` and `plan` on the example, before anything was run: no Spark is needed.

use insta::assert_snapshot;

use serde_json::Value;

use crate::{
    staged::Staged,
    support::{Screen, Workspace},
};

#[test]
fn ls_shows_every_asset() {
    let example = Workspace::example("stays");
    assert_snapshot!(example.run(&["ls"]).text());
    let json: serde_json::Value =
        serde_json::from_str(&example.run(&["ls", "--output", "json"]).expect(0).stdout).unwrap();
    let join = json["assets"]
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["asset"] == "join/stays.sessions.v1/backfill")
        .unwrap();
    assert_eq!(
        join["upstream"][0],
        "staging_query/stays.bookings.confirmed_v1/backfill"
    );
    assert!(
        join["embeds"]
            .as_array()
            .unwrap()
            .iter()
            .any(|group_by| group_by == "group_by/stays.bookings.spend_v1/backfill")
    );
}

#[test]
fn ls_draws_the_graph() {
    let example = Workspace::example("stays");
    assert_snapshot!(
        "dot",
        example
            .run(&["ls", "-s", "+stays.sessions.v1", "--output", "dot"])
            .expect(0)
            .stdout
    );
    assert_snapshot!(
        "mermaid",
        example
            .run(&["ls", "-s", "+stays.sessions.v1", "--output", "mermaid"])
            .expect(0)
            .stdout
    );
}

#[test]
fn check_finds_nothing_in_the_example() {
    assert_snapshot!(Workspace::example("stays").run(&["check"]).text());
}

/// The approved plan of the example: read it as a diff when it changes.
#[test]
fn plan_of_the_example() {
    let example = Workspace::example("stays");
    assert_snapshot!("summary", example.run(&["plan"]).text());
    assert_snapshot!(example.run(&["plan", "--verbose"]).text());
}

#[test]
fn exit_codes_tell_whether_something_was_found() {
    let example = Workspace::example("stays");
    example.run(&["plan", "--exit-code"]).expect(1);
    example
        .run(&["plan", "--exit-code", "--ds", "2025-01-01"])
        .expect(0);
    // Nothing was filled yet, so nothing is out of date.
    example.run(&["diff", "--exit-code"]).expect(0);
    example.run(&["check", "--strict", "--offline"]).expect(0);
    example.edit("workspace.toml", "[run]\n", "[run]\nunknown_key = 1\n");
    example.run(&["check", "--offline"]).expect(0);
    example.run(&["check", "--strict", "--offline"]).expect(2);
}

#[test]
fn plan_of_the_example_with_modular_joins() {
    let example = Workspace::example("stays");
    example.edit(
        "workspace.toml",
        "[run]\n",
        "[run]\njoin_flow = \"modular\"\n",
    );
    assert_snapshot!(example.run(&["plan", "-s", "type:join"]).text());
}

#[test]
fn plan_says_what_it_waits_for() {
    let example = Workspace::example("stays");
    // Nobody says any more that the holes are for good.
    let text = example.read("workspace.toml");
    example.write(
        "workspace.toml",
        text.split("# Days that will never land.").next().unwrap(),
    );
    assert_snapshot!(example.run(&["plan", "-v"]).text());
}

/// The ids in the JSON of `ls`, in its order.
fn listed(screen: &Screen) -> Vec<&str> {
    let rows = screen.stdout.split("\"asset\":\"").skip(1);
    rows.filter_map(|row| row.split('"').next()).collect()
}

/// `ls` lists the modes, too, that only their id or `mode:` selects for a plan.
#[test]
fn a_selector_means_the_same_to_every_command() {
    let example = Workspace::example("stays");
    for selector in [
        "+group_by/stays.listings.dim_v1/kv",
        "+stays.search_ranking.v1",
        "group_by/stays.listings.dim_v1/upload",
        "production/group_bys/stays/listings.dim_v1",
        "team:trust",
        "table:stays_out.stays_bookings_spend_v1+",
    ] {
        let json = |command: &str| {
            let screen = example.run(&[command, selector, "--output", "json"]);
            screen.expect(0)
        };
        let ls = json("ls");
        let plan = json("plan");
        let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
        let assets = plan["assets"].as_array().unwrap();
        let planned: Vec<_> = assets.iter().map(|asset| asset["asset"].as_str()).collect();
        let names_mode = selector.matches('/').count() == 2;
        let by_id = [
            "stats-summary",
            "log-",
            "consistency",
            "upload",
            "kv",
            "streaming",
        ];
        let is_planned = |id: &str| {
            let mode = id.rsplit('/').next().unwrap_or_default();
            names_mode || !by_id.iter().any(|start| mode.starts_with(start))
        };
        let listed = listed(&ls).into_iter().filter(|id| is_planned(id));
        let listed: Vec<_> = listed.map(Some).collect();
        assert!(!listed.is_empty(), "{selector}");
        assert_eq!(planned, listed, "{selector}");
    }
}

/// The second source of the GroupBy begins on 2026-01-11; Spark reads its columns on the day before, too.
#[test]
fn a_table_of_which_no_day_is_needed_must_exist() {
    let example = Workspace::example("stays");
    let blocked = "2026-01-10..2026-01-30 (21 days): needs stays_out.stays_bookings_confirmed_v1";
    let alone = example.run(&["plan", "stays.bookings.spend_v1"]).expect(0);
    assert!(alone.stdout.contains(blocked), "{}", alone.text());
    let without = [
        "plan",
        "+stays.bookings.spend_v1",
        "--exclude",
        "stays.bookings.confirmed_v1",
    ];
    let without = example.run(&without).expect(0);
    assert!(without.stdout.contains(blocked), "{}", without.text());
    let spend = "group_by/stays.bookings.spend_v1/backfill";
    let day = ["ready", spend, "--ds", "2026-01-10"];
    example.run(&day).expect(3);
}

/// With its producer, the step that needs no day waits for the first step that makes the table.
#[test]
fn a_table_of_which_no_day_is_needed_is_made_first() {
    let example = Workspace::example("stays");
    let plan = [
        "plan",
        "+stays.bookings.spend_v1",
        "--end-ds",
        "2026-01-10",
        "--output",
        "json",
    ];
    let plan = example.run(&plan).expect(0).stdout;
    let plan: serde_json::Value = serde_json::from_str(&plan).unwrap();
    let steps = plan["steps"].as_array().unwrap();
    let spend = steps.last().unwrap();
    assert_eq!(spend["asset"], "group_by/stays.bookings.spend_v1/backfill");
    assert_eq!(
        steps[0]["asset"],
        "staging_query/stays.bookings.confirmed_v1/backfill"
    );
    assert_eq!(spend["after"][0], 0, "{spend}");
}

#[test]
fn a_day_after_the_end_of_a_source_says_where_it_ends() {
    let example = Workspace::example("stays");
    let conf = "production/group_bys/stays/reviews.listing_v1";
    let start = "\"startPartition\": \"2026-01-01\"";
    let both = format!("\"endPartition\": \"2026-01-30\", {start}");
    example.edit(conf, start, &both);
    let days = ["--as-of", "2026-02-02"];
    let why = "after the endPartition of lake.reviews (2026-01-30)";
    let plan = [&["plan", "stays.reviews.listing_v1"], &days[..]].concat();
    let plan = example.run(&plan).expect(0);
    let line = format!("excluded  2026-01-31..2026-02-02 (3 days): {why}");
    assert!(plan.stdout.contains(&line), "{}", plan.text());
    let ready = [
        "ready",
        "group_by/stays.reviews.listing_v1/backfill",
        "--ds",
        "2026-02-02",
    ];
    let ready = example.run(&[&ready[..], &days[..]].concat()).expect(2);
    assert!(ready.text().contains(why), "{}", ready.text());
}

#[test]
fn a_macro_against_days_of_another_form_is_found() {
    let example = Workspace::example("stays");
    let section = "[sources.\"lake.bookings\"]\n";
    let format = format!("{section}partition_format = \"yyyyMMdd\"\n");
    example.edit("workspace.toml", section, &format);
    let check = example.run(&["check", "--offline"]);
    let found = "partitions are days of the form yyyyMMdd, and `{{ start_date }}` is a day of the form yyyy-MM-dd";
    assert!(check.text().contains(found), "{}", check.text());
    let place = "production/staging_queries/stays/bookings.confirmed_v1:13:";
    assert!(check.text().contains(place), "{}", check.text());
}

#[test]
fn one_cell_is_explained() {
    let example = Workspace::example("stays");
    assert_snapshot!(
        example
            .run(&[
                "plan",
                "--explain",
                "join/stays.search_ranking.v1/backfill@2026-01-22"
            ])
            .text()
    );
}

#[test]
fn plan_looks_and_changes_nothing() {
    let example = Workspace::example("stays");
    example.run(&["plan"]).expect(0);
    example.run(&["check"]).expect(0);
    example.run(&["materialize", "--dry-run"]).expect(0);
    assert!(!example.path(".chronon-run").exists());
}

#[test]
fn the_json_plan_is_versioned() {
    let example = Workspace::example("stays");
    let plan: serde_json::Value =
        serde_json::from_str(&example.run(&["plan", "--output", "json"]).expect(0).stdout).unwrap();
    assert_eq!(plan["version"], 1);
    assert_eq!(plan["totals"]["days"]["waiting"], 0);
    assert_eq!(
        plan["assets"][0]["cells"][0]["reason"]["kind"],
        "table_missing"
    );
}

#[test]
fn completions_end_with_their_reader() {
    let staged = Staged::chain();
    for shell in ["bash", "zsh", "fish"] {
        let mut command = staged.command(&["completions", shell]);
        let mut child = command
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let screen = Screen::new(child.wait_with_output().unwrap(), staged.workspace.root());
        assert_eq!((screen.code, screen.stderr.as_str()), (Some(0), ""));
    }
    let script = staged.run(&["completions", "bash"]).expect(0).stdout;
    assert!(!script.contains("__watchdog") && !script.contains("build-archives"));
    let typo = staged.run(&["build-archive"]).expect(2);
    assert!(!typo.stderr.contains("__build"), "{}", typo.text());
}

/// Commands, assets, runs and targets, as the script of `completions bash` asks for them.
#[test]
fn completions_know_assets_runs_and_targets() {
    let staged = Staged::chain();
    let settings = staged.workspace.read("workspace.toml");
    let target = "\n[targets.dev]\nnamespace = \"dev_{namespace}\"\n";
    staged
        .workspace
        .write("workspace.toml", &format!("{settings}{target}"));
    staged.run(&["materialize", "team.one"]).expect(0);
    let complete = |words: &[&str]| -> Vec<String> {
        let mut command = staged.command(&[&["--", "chronon-run"], words].concat());
        let command = command
            .env("CHRONON_RUN_COMPLETE", "bash")
            .env("_CLAP_IFS", "\n")
            .env("_CLAP_COMPLETE_INDEX", words.len().to_string());
        let output = command.output().unwrap();
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(str::to_owned).collect()
    };
    assert_eq!(complete(&["mater"]), ["materialize"]);
    assert_eq!(complete(&["show", "team.o"]), ["team.one"]);
    assert_eq!(complete(&["plan", "+team.t"]), ["+team.three", "+team.two"]);
    assert_eq!(
        complete(&["logs", "staging_query/team.one"]),
        ["staging_query/team.one/backfill"]
    );
    assert_eq!(complete(&["status", "--target", ""]), ["dev"]);
    let run = complete(&["runs", "show", "2"]);
    assert_eq!(run.len(), 1, "{run:?}");
    staged.run(&["runs", "show", &run[0]]).expect(0);
    assert_eq!(complete(&["show", "no.such"]), [""; 0]);
    let script = staged.run(&["completions", "bash"]).expect(0).stdout;
    assert!(script.contains("CHRONON_RUN_COMPLETE"), "{script}");
}

#[test]
fn a_plan_says_how_long_its_steps_took_before() {
    let staged = Staged::chain();
    let first = staged.run(&["plan"]).expect(0);
    assert!(!first.stdout.contains("expected"), "{}", first.text());
    let filled = ["materialize", "team.one", "team.two", "--ds", "2026-01-01"];
    staged.run(&filled).expect(0);
    let plan = staged.run(&["plan"]).expect(0).stdout;
    let (_, expected) = plan
        .split_once("expected, by the last steps of each asset: ")
        .unwrap();
    let lines: Vec<&str> = expected.lines().collect();
    assert_eq!(lines.len(), 3, "{plan}");
    assert!(
        lines[0].ends_with("of steps in all; 2 steps of assets that never ran not counted"),
        "{plan}"
    );
    assert!(
        lines[1].starts_with("  staging_query/team.one/backfill  1 step, 2 days: "),
        "{plan}"
    );
    let plan = staged.run(&["plan", "--output", "json"]).expect(0).stdout;
    let plan: Value = serde_json::from_str(&plan).unwrap();
    let estimates = &plan["estimates"];
    assert_eq!(estimates["unknown_steps"], 2, "{estimates}");
    let known = &estimates["steps"][1];
    assert_eq!(known["runs_seen"], 1, "{estimates}");
    let median = known["median_millis"].as_u64().unwrap();
    assert!(estimates["total"]["median_millis"].as_u64().unwrap() >= median);
    // It is still a plan that can be applied.
    staged.workspace.write("plan.json", &plan.to_string());
    staged
        .run(&["materialize", "--plan", "plan.json"])
        .expect(0);
}
