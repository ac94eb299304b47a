//! A workspace that is copied, moved or loses its state folder while its metastore is still there.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use sha2::{Digest, Sha256};

use crate::{
    environment,
    staged::Staged,
    support::{Screen, Workspace, files_below, wait_until},
    tables,
};

const TABLE: &str = "shop_out.shop_clean_v1";
const CONF: &str = "production/staging_queries/shop/clean.v1";

/// Every file of the warehouse with its checksum.
fn files(workspace: &Workspace) -> BTreeMap<PathBuf, String> {
    let files = files_below(&workspace.path(".chronon-run/warehouse"));
    let hash = |path: &PathBuf| format!("{:x}", Sha256::digest(fs::read(path).unwrap()));
    let hashed = files.into_iter().map(|path| (path.clone(), hash(&path)));
    let found: BTreeMap<PathBuf, String> = hashed.collect();
    assert!(!found.is_empty());
    found
}

fn copy(from: &Path, to: &Path) {
    let mut cp = Command::new("cp");
    cp.arg("-r").arg(from).arg(to);
    assert!(cp.status().unwrap().success());
}

fn cities(workspace: &Workspace) -> Vec<String> {
    let found = tables::read(workspace, &[TABLE.parse().unwrap()]);
    let content = &found[&TABLE.parse().unwrap()].content;
    let at = content.columns.iter().position(|(name, _)| name == "city");
    let rows = content.rows.iter().flatten();
    rows.map(|row| row[at.unwrap()].as_str().unwrap().to_owned())
        .collect()
}

fn recompute(workspace: &Workspace, from: &str, to: &str) -> Screen {
    workspace.edit(CONF, from, to);
    workspace
        .run(&["materialize", "shop.clean.v1", "--recompute"])
        .expect(0)
}

fn metastore_pid(workspace: &Workspace) -> u32 {
    let state = workspace.read(".chronon-run/metastore/metastore.json");
    let state: serde_json::Value = serde_json::from_str(&state).unwrap();
    u32::try_from(state["pid"].as_u64().unwrap()).unwrap()
}

fn wait_for_the_end_of(pid: u32) {
    let process = PathBuf::from(format!("/proc/{pid}"));
    wait_until("the metastore has ended", || !process.exists());
}

#[test]
fn a_copy_leaves_the_original_alone_and_a_moved_workspace_takes_its_tables_along() {
    let original = environment::workspace();
    // Its metastore is there for the whole test.
    original.edit("workspace.toml", "idle = \"2s\"", "idle = \"10m\"");
    original.run(&["materialize", "shop.clean.v1"]).expect(0);
    let before = files(&original);

    let copied = Workspace::outside_tmp("copies").within("a copy");
    fs::remove_dir(copied.root()).unwrap();
    copy(original.root(), copied.root());
    let screen = recompute(&copied, "→", "⇒");
    assert!(screen.stderr.contains("is a copy of"), "{}", screen.text());
    assert_eq!(files(&original), before);
    assert_eq!(cities(&copied), ["⇒ Zürich"; 2]);
    let again = original.run(&["plan"]).expect(0);
    assert!(!again.stderr.contains("copy"), "{}", again.text());

    let running = metastore_pid(&copied);
    let moved = copied.renamed("moved");
    wait_for_the_end_of(running);
    let screen = recompute(&moved, "⇒", "⇛");
    assert!(screen.stderr.contains("was at"), "{}", screen.text());
    assert_eq!(cities(&moved), ["⇛ Zürich"; 2]);
    moved
        .run(&["logs", "staging_query/shop.clean.v1/backfill"])
        .expect(0);
    assert_eq!(files(&original), before);

    the_state_folder_goes(&original);
    the_state_folder_goes(&moved);
}

/// The metastore ends and writes nothing there any more; half of a database is put aside.
fn the_state_folder_goes(workspace: &Workspace) {
    let running = metastore_pid(workspace);
    let state = workspace.path(".chronon-run");
    fs::remove_dir_all(&state).unwrap();
    wait_for_the_end_of(running);
    assert!(!state.exists());
    fs::create_dir_all(state.join("metastore/db/seg0")).unwrap();
    let screen = workspace.run(&["plan"]).expect(0);
    assert!(screen.stderr.contains("incomplete"), "{}", screen.text());
    let screen = workspace.run(&["plan"]).expect(0);
    assert!(!screen.stderr.contains("incomplete"), "{}", screen.text());
}

/// A copy that was made while the original runs ends nothing of it and is not locked by it.
#[test]
fn a_copy_is_not_the_originals_run() {
    let staged = Staged::chain();
    staged.run(&["materialize", "-s", "team.alone"]).expect(0);
    let settings = staged.workspace.read("workspace.toml");
    let target = "\n[targets.dev]\nnamespace = \"dev_{namespace}\"\n";
    staged
        .workspace
        .write("workspace.toml", &format!("{settings}{target}"));
    staged
        .run(&["materialize", "-s", "team.alone", "--target", "dev"])
        .expect(0);
    let root = staged.workspace.root();
    let log_of = |folder: &Path, more: &[&str]| {
        let args = ["logs", "--path", "staging_query/team.alone/backfill"];
        let mut command = staged.command(&[&args, more].concat());
        let output = command.current_dir(folder).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let log = |folder: &Path| log_of(folder, &[]);
    let other = Workspace::empty().within("copy");
    fs::remove_dir(other.root()).unwrap();
    copy(root, other.root());
    let original = root.display().to_string();
    assert!(log(root).starts_with(&original));
    let of_copy = log(other.root());
    assert!(of_copy.starts_with(&other.root().display().to_string()));
    assert!(Path::new(of_copy.trim()).is_file());
    let of_target = log_of(other.root(), &["--target", "dev"]);
    let folder = other.root().join(".chronon-run/targets/dev");
    assert!(
        Path::new(of_target.trim()).starts_with(folder),
        "{of_target}"
    );
    assert!(Path::new(of_target.trim()).is_file());
    assert!(log(root).starts_with(&original), "the original stays");
}

#[test]
fn what_is_written_is_not_for_git() {
    let staged = Staged::chain();
    staged.run(&["materialize", "-s", "team.alone"]).expect(0);
    let git = |args: &[&str]| {
        let mut command = Command::new("git");
        command.current_dir(staged.workspace.root()).args(args);
        let output = command.output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    git(&["init", "--quiet"]);
    let status = git(&["status", "--porcelain", "--untracked-files=all"]);
    assert!(!status.contains(".chronon-run"), "{status}");
}
