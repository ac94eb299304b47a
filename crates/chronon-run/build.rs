//! The commit that the program is built from, as far as git or the builder tells it.

use std::{env, path::Path, process::Command};

/// Names the commit for builds without git, e.g. from an archive.
const VARIABLE: &str = "CHRONON_RUN_COMMIT";

fn main() {
    println!("cargo:rerun-if-env-changed={VARIABLE}");
    println!("cargo:rerun-if-changed=build.rs");
    let named = env::var(VARIABLE).ok().filter(|commit| !commit.is_empty());
    let commit = named.or_else(of_git).unwrap_or_default();
    println!("cargo:rustc-env={VARIABLE}={commit}");
}

/// The commit of the checkout that holds this file. An archive that was unpacked in another checkout has none.
fn of_git() -> Option<String> {
    git(&["ls-files", "--error-unmatch", "build.rs"])?;
    let log = git(&["rev-parse", "--git-path", "logs/HEAD"])?;
    if Path::new(&log).exists() {
        println!("cargo:rerun-if-changed={log}");
    }
    git(&["rev-parse", "--short=9", "HEAD"])
}

#[allow(
    clippy::disallowed_methods,
    reason = "a build has no children that outlive it"
)]
fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
