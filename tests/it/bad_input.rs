//! Nonsense in, a clear message out: exit code 2, file, line, column, and what to do next.

use insta::assert_snapshot;

use crate::support::Workspace;

fn edited(file: &str, from: &str, to: &str) -> Workspace {
    let example = Workspace::example("stays");
    example.edit(file, from, to);
    example
}

#[test]
fn no_workspace() {
    assert_snapshot!(Workspace::empty().run(&["plan"]).text());
}

#[test]
fn broken_toml() {
    let example = edited("workspace.toml", "repo = \".\"", "repo = ");
    assert_snapshot!(example.run(&["plan"]).text());
}

#[test]
fn every_mistake_in_workspace_toml_at_once() {
    let example = edited(
        "workspace.toml",
        "timezone = \"UTC\"",
        "timezone = \"Mars/Phobos\"",
    );
    example.edit(
        "workspace.toml",
        "as_of = \"2026-01-30\"",
        "as_of = \"2026-02-30\"",
    );
    example.edit("workspace.toml", "jobs = 2", "jobs = 0\nretrys = 3");
    assert_snapshot!(example.run(&["plan"]).text());
}

#[test]
fn an_unknown_key_is_a_warning() {
    let example = edited("workspace.toml", "retries = 1", "retrys = 1");
    assert_snapshot!(example.run(&["plan", "-s", "stays.listings.dim_v1"]).text());
}

#[test]
fn a_half_written_conf() {
    let example = Workspace::example("stays");
    let conf = "production/joins/stays/sessions.v1";
    let text = example.read(conf);
    example.write(conf, &text[..text.len() / 2]);
    assert_snapshot!(example.run(&["check"]).text());
    example.run(&["materialize"]).expect(2);
}

#[test]
fn an_unknown_team() {
    let example = edited(
        "production/joins/stays/sessions.v1",
        "\"team\": \"stays\"",
        "\"team\": \"stay\"",
    );
    assert_snapshot!(example.run(&["check"]).text());
    let json = example.run(&["check", "--output", "json"]).expect(2).stdout;
    let findings: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (
            findings[0]["code"].as_str(),
            findings[0]["severity"].as_str()
        ),
        (Some("unknown-team"), Some("error"))
    );
    assert!(findings[0]["line"].is_u64() && findings[0]["column"].is_u64());
}

#[test]
fn impossible_dates() {
    let example = Workspace::example("stays");
    assert_snapshot!(
        "not_a_day",
        example.run(&["plan", "--ds", "2026-02-30"]).text()
    );
    assert_snapshot!(
        "wrong_order",
        example
            .run(&["plan", "--start-ds", "2026-01-20", "--end-ds", "2026-01-10"])
            .text()
    );
}

#[test]
fn a_selector_that_matches_nothing() {
    assert_snapshot!(
        Workspace::example("stays")
            .run(&["plan", "-s", "stays.sesions.v1"])
            .text()
    );
}

#[test]
fn a_wrong_spark_home() {
    let example = edited(
        "workspace.toml",
        "kind = \"sql\"",
        "spark_home = \"no/such/spark\"\nkind = \"sql\"",
    );
    assert_snapshot!(example.run(&["materialize"]).text());
}

#[test]
fn an_unreachable_metastore() {
    // Port 1 on loopback: nothing listens there.
    let example = edited(
        "workspace.toml",
        "kind = \"embedded\"",
        "kind = \"hive\"\nuri = \"thrift://127.0.0.1:1\"",
    );
    assert_snapshot!(example.run(&["plan"]).text());
}

#[test]
fn an_unreadable_seed() {
    let example = Workspace::example("stays");
    example.write(
        "data/lake.searches.csv",
        "search_id,ds\n\"never closed,2026-01-20\n",
    );
    assert_snapshot!(example.run(&["plan"]).text());
}

#[test]
fn two_confs_that_need_each_other() {
    let example = edited(
        "production/staging_queries/stays/sessions.daily_v1",
        "\"lake.searches/ds={{ ds }}\"",
        "\"stays_out.stays_sessions_v1/ds={{ ds }}\"",
    );
    assert_snapshot!(example.run(&["check"]).text());
}

#[test]
fn a_plan_that_is_none() {
    let example = Workspace::example("stays");
    example.write("plan.json", "{}");
    assert_snapshot!(example.run(&["materialize", "--plan", "plan.json"]).text());
}

#[test]
fn init_needs_a_repo_and_overwrites_nothing() {
    let example = Workspace::example("stays");
    assert_snapshot!("exists", example.run(&["init"]).text());
    assert_snapshot!("no_repo", Workspace::empty().run(&["init"]).text());
    std::fs::remove_file(example.path("workspace.toml")).unwrap();
    example.run(&["init"]).expect(0);
    example.run(&["check", "--offline"]).expect(0);
}
