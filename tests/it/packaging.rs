//! What the program is shipped in: crates, a wheel, a container image. An image cannot be built here, so its files are
//! read.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    process::Command,
};

use crate::support::{Workspace, repository};

fn read(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap()
}

/// `cargo publish` would take every crate but the test kit: nothing is missing in the manifests, and
/// no crate needs a file outside of its folder.
#[test]
fn every_crate_can_be_packaged() {
    let target = Workspace::empty();
    let mut package = Command::new(env!("CARGO"));
    package.current_dir(repository());
    package.args(["package", "--workspace", "--exclude", "chronon-run-testkit"]);
    package.args(["--no-verify", "--allow-dirty", "--locked", "--offline"]);
    let output = package
        .arg("--target-dir")
        .arg(target.root())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let packages = fs::read_dir(target.path("package")).unwrap();
    let count = packages
        .filter(|entry| {
            entry
                .as_ref()
                .unwrap()
                .path()
                .extension()
                .is_some_and(|e| e == "crate")
        })
        .count();
    let crates = fs::read_dir(repository().join("crates")).unwrap().count();
    assert_eq!(count, crates - 1, "{errors}");
}

/// The instructions of a Dockerfile, continued lines joined.
fn instructions(dockerfile: &str) -> Vec<Vec<String>> {
    let lines = dockerfile.lines().filter(|line| !line.starts_with('#'));
    let joined = lines.collect::<Vec<_>>().join("\n").replace("\\\n", " ");
    let split = |line: &str| line.split_whitespace().map(str::to_owned).collect();
    joined
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(split)
        .collect()
}

/// Whether a path is sent to the builder: the last line of `.dockerignore` that matches decides.
fn is_sent(path: &str) -> bool {
    let mut sent = true;
    for line in read(".dockerignore")
        .lines()
        .filter(|line| !line.starts_with('#'))
    {
        let (pattern, verdict) = match line.strip_prefix('!') {
            Some(pattern) => (pattern, true),
            None => (line, false),
        };
        let inside = path == pattern || path.starts_with(&format!("{pattern}/"));
        let anywhere = pattern
            .strip_prefix("**/")
            .is_some_and(|name| path.split('/').any(|part| part == name));
        if pattern == "*" || inside || anywhere {
            sent = verdict;
        }
    }
    sent
}

#[test]
fn the_image_is_made_of_what_exists_and_runs_as_a_number() {
    let steps = instructions(&read("Dockerfile"));
    let mut stages: BTreeSet<&str> = BTreeSet::new();
    for step in &steps {
        match step[0].as_str() {
            "FROM" => {
                stages.extend(step.get(3).map(String::as_str));
            }
            "COPY" => {
                if let Some(stage) = step[1].strip_prefix("--from=") {
                    assert!(stages.contains(stage), "{step:?}");
                } else {
                    for source in step[1..step.len() - 1]
                        .iter()
                        .filter(|source| *source != ".")
                    {
                        assert!(repository().join(source).exists(), "{step:?}");
                        assert!(is_sent(source), ".dockerignore keeps {source} back");
                    }
                }
            }
            "ADD" => panic!("{step:?}"),
            _ => {}
        }
    }
    let last = |name: &str| steps.iter().rfind(|step| step[0] == name).unwrap()[1..].join(" ");
    let user = last("USER");
    let (uid, gid) = user.split_once(':').unwrap();
    assert!(uid.parse::<u32>().unwrap() > 0 && gid == "0", "{user}");
    assert_eq!(last("ENTRYPOINT"), r#"["entrypoint"]"#);
    let toolchain = steps
        .iter()
        .find(|step| step[1].starts_with("RUST="))
        .unwrap();
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let oldest = manifest["workspace"]["package"]["rust-version"]
        .as_str()
        .unwrap();
    assert_eq!(toolchain[1], format!("RUST={oldest}"));
}

/// What `cargo build` of the image reads is sent to the builder; history, tests' data and state are not.
#[test]
fn the_image_is_built_of_sources_alone() {
    for sent in [
        "Cargo.lock",
        "crates/chronon-run/src/main.rs",
        "tests/it/main.rs",
        "examples/stays/workspace.toml",
    ] {
        assert!(is_sent(sent), "{sent}");
    }
    for kept in [
        ".git/config",
        "target/debug/chronon-run",
        "tests/golden/a/runs.jsonl",
        "examples/stays/.chronon-run/ledger.db",
        "README.md",
    ] {
        assert!(!is_sent(kept), "{kept}");
    }
}

/// A user id without a name gets one for chronon-run and its children; one with a name keeps its own.
#[test]
fn the_container_gives_every_user_id_a_name() {
    let folder = Workspace::empty();
    let script = |name: &str, text: &str| {
        folder.write(&format!("bin/{name}"), text);
        let path = folder.path(&format!("bin/{name}"));
        fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    };
    script("getent", "#!/bin/sh\nexit ${NAMED:-2}\n");
    script(
        "chronon-run",
        "#!/bin/sh\necho \"$*\"\n[ -z \"${NSS_WRAPPER_PASSWD:-}\" ] || cat \"$NSS_WRAPPER_PASSWD\"\n",
    );
    let path = format!("{}:/usr/bin:/bin", folder.path("bin").display());
    let start = |named: &str| {
        let mut entrypoint = Command::new("sh");
        entrypoint.arg(repository().join("docker/entrypoint.sh"));
        entrypoint.args(["plan", "a b"]);
        entrypoint
            .env_clear()
            .env("PATH", &path)
            .env("NAMED", named);
        entrypoint.env("TMPDIR", folder.root());
        let output = entrypoint.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let id = |option: &str| {
        let output = Command::new("id").arg(option).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(
        start("2"),
        format!(
            "plan a b\nchronon:x:{}:{}::/tmp:/bin/sh\n",
            id("-u"),
            id("-g")
        )
    );
    assert_eq!(start("0"), "plan a b\n");
}

/// Files of the two workflows that steps name exist, and so do the tiers of `.ci/run` that they ask for.
#[test]
fn the_workflows_call_what_exists() {
    let run = read(".ci/run");
    let mut tiers = BTreeMap::new();
    for workflow in ["ci", "release"] {
        let text = read(&format!(".github/workflows/{workflow}.yml"));
        for word in text.split_whitespace() {
            for file in ["tests/", "docs/", "crates/", "examples/"] {
                let path = word.trim_matches(|c: char| "',\"`)".contains(c));
                if path.starts_with(file) && !path.contains('*') {
                    assert!(repository().join(path).exists(), "{workflow}.yml: {path}");
                }
            }
        }
        let calls = text.split(".ci/run ").skip(1);
        for tier in calls.filter_map(|rest| rest.split_whitespace().next()) {
            *tiers.entry(tier.to_owned()).or_insert(0) += 1;
            assert!(
                run.contains(&format!("  {tier})")),
                "{workflow}.yml: .ci/run {tier}"
            );
        }
    }
    assert!(
        tiers.contains_key("fast") && tiers.contains_key("full"),
        "{tiers:?}"
    );
}
