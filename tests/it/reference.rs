//! The generated documents are those that are committed.

use std::fs;

use crate::support::{Workspace, repository};

/// Compares `docs/<file>` with what the binary prints; `UPDATE_DOCS=1` writes it instead.
fn check(file: &str, topic: &str) {
    let printed = Workspace::empty()
        .run(&["reference", topic])
        .expect(0)
        .stdout;
    let path = repository().join("docs").join(file);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &printed).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == printed,
        "docs/{file} is stale: run `UPDATE_DOCS=1 cargo test --workspace --test it reference`"
    );
}

#[test]
fn reference_of_the_command_line() {
    check("cli.md", "cli");
}

#[test]
fn reference_of_workspace_toml() {
    check("workspace.md", "workspace");
}

#[test]
fn schema_of_workspace_toml() {
    check("schema/workspace.schema.json", "schema");
}

/// One page for each command that is not hidden.
#[test]
fn man_pages() {
    let folder = Workspace::empty();
    folder.run(&["reference", "man", "--out", "man"]).expect(0);
    let page = folder.read("man/chronon-run-plan.1");
    assert!(
        page.contains("explain") && page.starts_with(".ie"),
        "{page}"
    );
    let pages = fs::read_dir(folder.path("man")).unwrap().count();
    let commands = folder.run(&["--help"]).expect(0).stdout;
    let listed = commands
        .lines()
        .filter(|line| line.starts_with("  ") && line.trim().contains("  "));
    assert!(pages > listed.count().min(20), "{pages} pages");
}
