//! A Spark process that outlives the command that started it (`keep_spark`): found again, replaced, ended.

use std::{fs, process::Stdio};

use serde_json::json;

use crate::{
    staged::{anybody, processes},
    support::{Screen, Workspace, signal, wait_until},
    terminal::Terminal,
};

fn workspace(keep: &str) -> Workspace {
    let workspace = Workspace::empty();
    workspace.write("teams.json", r#"{"default": {}, "shop": {}}"#);
    let settings = "[workspace]\nas_of = \"2026-01-02\"\n\n[engine]\nmaster = \"local[1]\"\nkeep_spark = \"KEEP\"\nconf = { \"spark.sql.shuffle.partitions\" = \"1\" }\n";
    workspace.write("workspace.toml", &settings.replace("KEEP", keep));
    let query = json!({
        "metaData": {"name": "shop.days", "outputNamespace": "shop_out", "team": "shop", "dependencies": []},
        "query": "SELECT 1 AS id, ds FROM (SELECT explode(array('2026-01-01', '2026-01-02')) AS ds) AS d WHERE ds BETWEEN '{{ start_date }}' AND '{{ end_date }}'",
        "startPartition": "2026-01-01",
    });
    workspace.write("production/staging_queries/shop/days", &query.to_string());
    workspace
}

/// As outside of continuous integration, where no process is kept.
fn run(workspace: &Workspace, args: &[&str]) -> Screen {
    let mut command = workspace.command(args);
    command.env_remove("CI");
    Screen::new(command.output().unwrap(), workspace.root())
}

/// The kept process and how many scripts it has run, as `engine status` says.
fn status(workspace: &Workspace) -> Option<(u32, u32)> {
    let text = run(workspace, &["engine", "status"]).expect(0).stdout;
    let line = text.lines().find(|line| line.starts_with("Spark "))?;
    let number = |before: &str| {
        let start = line.find(before)? + before.len();
        let digits = line[start..].split(|c: char| !c.is_ascii_digit()).next()?;
        digits.parse().ok()
    };
    let scripts = line.split(" script").next()?.rsplit(", ").next()?;
    Some((number("(process ")?, scripts.parse().ok()?))
}

fn hosts(workspace: &Workspace) -> usize {
    let all = processes(workspace.root()).into_iter();
    all.filter(|(_, line)| line.contains("SessionHost")).count()
}

const QUERY: [&str; 4] = [
    "query",
    "SELECT count(*) AS n FROM shop_out.shop_days",
    "--output",
    "csv",
];

#[test]
fn the_next_commands_find_it() {
    let workspace = &workspace("5m");
    run(workspace, &["materialize", "--ds", "2026-01-01"]).expect(0);
    let (pid, scripts) = status(workspace).unwrap();
    assert_eq!(hosts(workspace), 1);
    run(workspace, &["materialize"]).expect(0);
    assert_eq!(run(workspace, &QUERY).expect(0).stdout, "n\n2\n");
    assert_eq!(status(workspace), Some((pid, scripts + 2)));

    // Commands that do without it.
    let mut alone = QUERY.to_vec();
    alone.push("--no-daemon");
    assert_eq!(run(workspace, &alone).expect(0).stdout, "n\n2\n");
    assert_eq!(workspace.run(&QUERY).expect(0).stdout, "n\n2\n");
    assert_eq!(status(workspace), Some((pid, scripts + 2)));

    // Killed hard, it is replaced; two commands at once start one.
    signal(pid, "KILL");
    let start = || {
        let mut command = workspace.command(&QUERY);
        command.env_remove("CI").stdout(Stdio::piped());
        command.spawn().unwrap()
    };
    for command in [start(), start()] {
        let output = command.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "n\n2\n");
    }
    let (other, _) = status(workspace).unwrap();
    assert_ne!(other, pid);
    assert_eq!(hosts(workspace), 1);

    // In use it is not stopped. A command that is interrupted or killed takes it along.
    let line = || run(workspace, &["engine", "status"]).expect(0).stdout;
    for how in ["INT", "KILL"] {
        let endless = "SELECT sum(id % 7) FROM range(100000000000000)";
        let mut command = workspace.command(&["query", endless]);
        let mut ended = command.env_remove("CI").spawn().unwrap();
        wait_until("the query runs", || line().contains("used by"));
        let stop = run(workspace, &["engine", "stop"]).expect(4);
        assert!(
            stop.stderr.contains("a command uses Spark"),
            "{}",
            stop.stderr
        );
        signal(ended.id(), how);
        let code = ended.wait().unwrap().code();
        assert_eq!(code, (how == "INT").then_some(130));
        wait_until("it ends with the command", || {
            anybody(workspace.root()).is_empty()
        });
    }

    run(workspace, &QUERY).expect(0);
    assert_eq!(
        run(workspace, &["engine", "stop"]).expect(0).stdout,
        "stopped\n"
    );
    assert_eq!(line(), "nothing runs\n");
    assert!(processes(workspace.root()).is_empty());
    assert_eq!(
        run(workspace, &["engine", "stop"]).expect(0).stdout,
        "nothing runs\n"
    );
}

#[test]
fn it_ends_by_itself() {
    let workspace = &workspace("3s");
    run(workspace, &["materialize", "--ds", "2026-01-01"]).expect(0);
    wait_until("it ends without use", || {
        anybody(workspace.root()).is_empty()
    });

    // With its folder, even if it would stay longer.
    workspace.edit("workspace.toml", "\"3s\"", "\"1h\"");
    run(workspace, &["materialize"]).expect(0);
    assert_eq!(hosts(workspace), 1);
    fs::remove_dir_all(workspace.path(".chronon-run")).unwrap();
    wait_until("it ends with its folder", || {
        processes(workspace.root()).is_empty()
    });
}

/// Without the key: where a person waits for the next command, and nowhere else.
#[test]
fn a_person_at_a_terminal_gets_one() {
    let workspace = &workspace("5m");
    workspace.edit("workspace.toml", "keep_spark = \"5m\"\n", "");
    run(workspace, &["materialize", "--ds", "2026-01-01"]).expect(0);
    assert!(anybody(workspace.root()).is_empty());
    let mut command = workspace.command(&QUERY);
    command.env_remove("CI");
    Terminal::open(&command, 80).exits_with(0);
    assert!(status(workspace).is_some());
    run(workspace, &["engine", "stop"]).expect(0);
}
