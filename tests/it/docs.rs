//! What the documentation says to type, and what it says of keys, is true.

use std::{fs, process::Command};

use chronon_run_core::Schedule;

use crate::{
    staged::Staged,
    support::{Workspace, repository},
};

fn read(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap()
}

/// The README's first commands run without `-C`, on the example.
#[test]
fn the_workspace_of_the_repository_is_the_example() {
    for command in ["check", "plan"] {
        let output = Command::new(env!("CARGO_BIN_EXE_chronon-run"))
            .arg(command)
            .current_dir(repository())
            .env("CHRONON_RUN_CACHE", crate::support::cache())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
}

/// Every line of the crontab has a schedule and a command that works.
#[test]
fn the_crontab_works() {
    let crontab = read("docs/crontab");
    assert!(
        read("docs/cron.md").contains(&crontab),
        "cron.md shows another one"
    );
    let staged = Staged::chain();
    let root = staged.workspace.root().display().to_string();
    let mut lines = 0;
    for line in crontab.lines().filter(|line| line.contains("chronon-run")) {
        let words: Vec<&str> = line.split_whitespace().collect();
        words[..5].join(" ").parse::<Schedule>().unwrap();
        let place = words.iter().position(|word| *word == "-C").unwrap();
        let mut args = words[6..].to_vec();
        assert_eq!(words[5], "chronon-run");
        args[place - 5] = &root;
        let screen = staged.run(&args).expect(0);
        assert!(!screen.stderr.contains("error"), "{}", screen.text());
        lines += 1;
    }
    assert!(lines >= 3);
    assert_eq!(
        staged.calls().len(),
        4,
        "frontfill has filled everything, once"
    );
}

/// `systemd-analyze verify` finds nothing.
#[test]
#[ignore = "needs systemd-analyze"]
fn the_systemd_units_are_sound() {
    let copy = Workspace::empty();
    let program = env!("CARGO_BIN_EXE_chronon-run");
    let mut verify = Command::new("systemd-analyze");
    verify.arg("verify");
    for entry in fs::read_dir(repository().join("docs/systemd")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        copy.write(&name, &text.replace("/usr/local/bin/chronon-run", program));
        verify.arg(copy.path(&name));
    }
    let output = verify.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let of_ours: Vec<&str> = said
        .lines()
        .filter(|line| line.contains("chronon-run"))
        .collect();
    assert_eq!(of_ours, Vec::<&str>::new());
    assert!(output.status.success(), "{said}");
}

/// Each constant of Chronon's Airflow code has a key that exists.
#[test]
fn the_migration_page_maps_every_constant_to_a_key() {
    let page = read("docs/howto/migrate.md");
    let reference = read("docs/workspace.md");
    for constant in [
        "CHRONON_PATH",
        "TEST_TEAM_NAME",
        "GROUP_BY_BATCH_CONCURRENCY",
        "JOIN_CONCURRENCY",
        "time_parts",
        "UPLOAD_SCHEDULE_KEY",
        "DEFAULT_UPLOAD_SCHEDULE",
    ] {
        let row = page
            .lines()
            .find(|line| line.starts_with(&format!("| `{constant}`")))
            .unwrap_or_else(|| panic!("migrate.md does not map {constant}"));
        let key = row.split('`').nth(3).unwrap();
        let (section, key) = key.split_once('.').unwrap();
        let at = reference.find(&format!("## `[{section}]`")).unwrap();
        let section = &reference[at..];
        let end = section[3..]
            .find("\n## ")
            .map_or(section.len(), |end| end + 3);
        assert!(section[..end].contains(&format!("| `{key}` |")), "{row}");
    }
}
