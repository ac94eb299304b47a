//! Files with errors and confs of another meaning stop nothing but themselves.

use std::{fs, os::unix::fs::symlink};

use crate::{
    dependencies::ONE,
    staged::{FIRST, LAST, Staged, all_days, days},
    support::shows,
};

#[test]
fn stray_files_and_unreadable_confs_stop_only_themselves() {
    let staged = Staged::new(&[
        ("one", &["lake.a"]),
        ("two", &["lake.b"]),
        ("three", &["out.team_bad"]),
    ]);
    let workspace = &staged.workspace;
    let folder = "production/staging_queries/team";
    let conf = workspace.read(ONE);
    for stray in [
        "one~",
        "README.md",
        ".DS_Store",
        "one.swp",
        "#one#",
        "one.orig",
        "LICENSE",
    ] {
        workspace.write(&format!("{folder}/{stray}"), &conf);
    }
    symlink(
        workspace.path("production"),
        workspace.path(&format!("{folder}/up")),
    )
    .unwrap();
    shows(&staged.run(&["check"]).expect(0), "stray-file");
    staged
        .run(&["materialize", "--exclude", "team.three"])
        .expect(0);
    assert_eq!(staged.filled("one"), all_days());

    symlink("nowhere", workspace.path(&format!("{folder}/broken"))).unwrap();
    symlink("loop", workspace.path(&format!("{folder}/loop"))).unwrap();
    workspace.write(&format!("{folder}/half"), &conf[..conf.len() / 2]);
    workspace.write(&format!("{folder}/copy"), &conf);
    let bad = conf
        .replace("team.one", "team.bad")
        .replace("\"out\"", "\"cat.out\"");
    workspace.write(&format!("{folder}/bad"), &bad);
    workspace.write(
        "teams.json",
        r#"{"default": {"namespace": "out"}, "team": {}}"#,
    );
    for args in [
        vec!["ls"],
        vec!["plan"],
        vec!["status"],
        vec!["runs"],
        vec!["plan", "team.one"],
    ] {
        shows(
            &staged.run(&args).expect(0),
            "5 confs with errors will not be filled",
        );
    }
    for name in ["broken", "loop", "half", "copy", "bad"] {
        shows(
            &staged.run(&["check"]).expect(2),
            &format!("{folder}/{name}"),
        );
    }
    staged.set_source("lake.b", days(FIRST, LAST));
    let ended = staged.run(&["materialize"]).expect(2);
    shows(
        &ended,
        &format!("left out, everything else is done: {folder}/bad"),
    );
    assert_eq!(staged.filled("two"), all_days());
    staged.run(&["materialize", "team.one"]).expect(0);
    shows(
        &staged.run(&["materialize", "team.half"]).expect(2),
        "production/staging_queries/team/half has errors",
    );
    let left =
        ["broken", "loop", "half", "copy", "bad"].map(|name| format!("path:{folder}/{name}"));
    let mut args = vec!["materialize", "--exclude", "team.three"];
    left.iter()
        .for_each(|name| args.extend(["--exclude", name]));
    staged.run(&args).expect(0);
}

#[test]
fn saved_plans_and_nightly_runs_tell_what_they_leave_out_as_materialize_does() {
    let staged = Staged::new(&[("one", &["lake.a"]), ("two", &["lake.b"])]);
    let workspace = &staged.workspace;
    let conf = workspace.read(ONE);
    let half = "production/staging_queries/team/half";
    workspace.write(half, &conf[..conf.len() / 2]);
    let left_out = |what: &str| format!("left out, everything else is done: {what}");
    staged
        .run(&["plan", "--out", "plan.json", "--exclude", "team.two"])
        .expect(0);
    let applied = staged.run(&["materialize", "--plan", "plan.json"]);
    shows(&applied.expect(2), &left_out(half));
    assert_eq!(staged.filled("one"), all_days());
    let exclude = format!("path:{half}");
    let plan = ["plan", "--out", "plan.json", "--exclude", &exclude];
    staged.run(&plan).expect(0);
    staged
        .run(&["materialize", "--plan", "plan.json"])
        .expect(0);

    std::fs::remove_file(workspace.path(half)).unwrap();
    workspace.write(ONE, &conf.replace("lake.a", "lake.a /* {{ nowhere }} */"));
    let one = "staging_query/team.one/backfill";
    for command in ["materialize", "frontfill"] {
        shows(&staged.run(&[command]).expect(2), &left_out(one));
        staged.run(&[command, "--exclude", "team.one"]).expect(0);
    }
}

#[test]
fn a_byte_order_mark_is_no_error_and_other_encodings_are_named() {
    let staged = Staged::new(&[("one", &["lake.a"]), ("two", &["lake.b"])]);
    for (file, marks) in [
        (ONE, "\u{feff}"),
        ("teams.json", "\u{feff}"),
        ("workspace.toml", "\u{feff}"),
        // Of two files that were put together.
        ("production/staging_queries/team/two", "\u{feff}\u{feff}"),
    ] {
        let text = staged.workspace.read(file);
        fs::write(staged.workspace.path(file), format!("{marks}{text}")).unwrap();
    }
    shows(&staged.run(&["check"]).expect(0), "no findings");
    let plan = staged.workspace.path("plan.json");
    staged
        .run(&["plan", "--out", plan.to_str().unwrap()])
        .expect(0);
    let text = fs::read_to_string(&plan).unwrap();
    fs::write(&plan, format!("\u{feff}{text}")).unwrap();
    staged
        .run(&["materialize", "--plan", plan.to_str().unwrap()])
        .expect(0);
    assert_eq!(staged.filled("one"), all_days());
    assert_eq!(staged.filled("two"), all_days());
    fs::write(staged.workspace.path("teams.json"), b"\xff\xfe{\0}\0").unwrap();
    shows(
        &staged.run(&["check"]).expect(2),
        "the file is not UTF-8 text",
    );
}

#[test]
fn the_path_of_a_conf_selects_it() {
    let staged = Staged::new(&[("one", &["lake.a"]), ("two", &["lake.b"])]);
    let absolute = staged.workspace.path(ONE);
    for path in [
        ONE,
        "./production/staging_queries/team/one",
        "staging_queries/team/one",
        "team/one",
        "path:staging_queries/team/one",
        absolute.to_str().unwrap(),
    ] {
        let plan = staged.run(&["plan", path]).expect(0);
        shows(&plan, "staging_query/team.one/backfill");
        assert!(!plan.text().contains("team.two"), "{}", plan.text());
    }
    // From a folder below, as a shell completes it.
    let team = "production/staging_queries/team";
    let plan = staged.run(&["-C", team, "plan", "one"]).expect(0);
    assert!(!plan.text().contains("team.two"), "{}", plan.text());
    let folder = staged.workspace.path(team);
    for path in [
        team,
        "production/staging_queries/",
        "production/staging_queries/team/*",
        "staging_queries/team/",
        folder.to_str().unwrap(),
    ] {
        let plan = staged.run(&["plan", path]).expect(0);
        shows(&plan, "staging_query/team.one/backfill");
        shows(&plan, "staging_query/team.two/backfill");
    }
    staged.run(&["plan", "production/joins/"]).expect(2);
    for path in [
        "production.staging_queries.team.one",
        "Production/Staging_Queries/Team/One",
        "production\\staging_queries\\team\\one",
        "Team.One",
    ] {
        let failed = staged.run(&["plan", path]).expect(2);
        shows(&failed, "matches no asset; did you mean `team.one`?");
    }
    shows(
        &staged.run(&["plan", "team:Team"]).expect(2),
        "did you mean `team:team`?",
    );
    let plan = staged.run(&["plan", "--exclude", ONE]).expect(0);
    assert!(!plan.text().contains("team.one"), "{}", plan.text());
    // What excludes nothing is said: it may be a typing error.
    let plan = staged.run(&["plan", "--exclude", "team.gone"]).expect(0);
    shows(&plan, "warning: `--exclude team.gone` matches no asset");
}

#[test]
fn fields_of_another_meaning_are_not_passed_over() {
    let staged = Staged::new(&[("one", &["lake.a"]), ("two", &["lake.b"])]);
    let text = staged.workspace.read(ONE);
    for (field, fails) in [
        (
            "\"tableDependencies\": [{\"tableInfo\": {\"table\": \"x.y\"}}],",
            true,
        ),
        ("\"engineType\": 1,", true),
        ("\"useLongNames\": 1,", true),
        ("\"useLongNames\": 0,", false),
        ("\"partitionFormat\": \"yyyyMMdd\",", true),
        (
            "\"partitionInterval\": {\"length\": 1, \"timeUnit\": 0},",
            true,
        ),
        (
            "\"engineType\": 0, \"partitionFormat\": \"yyyy-MM-dd\", \"tableDependencies\": [],",
            false,
        ),
    ] {
        staged
            .workspace
            .write(ONE, &text.replacen('{', &format!("{{{field}"), 1));
        let checked = staged.run(&["check"]).expect(if fails { 2 } else { 0 });
        assert_eq!(
            checked.text().contains("Zipline's fork"),
            fails,
            "{}",
            checked.text()
        );
    }
    let settings = "\"metaData\": {\"executionInfo\": {\"scheduleCron\": \"0 3 * * *\"},";
    let with_settings = text.replacen("\"metaData\": {", settings, 1);
    staged.workspace.write(ONE, &with_settings);
    shows(&staged.run(&["check"]).expect(0), "foreign-settings");
    let empty = crate::support::Workspace::empty();
    empty.write("teams.py", "");
    empty.write("compiled/joins/team/x", "{}");
    shows(&empty.run(&["init"]).expect(2), "a repo of Zipline");
}
