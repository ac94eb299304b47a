//! `compile`, and what `check`, `plan` and `materialize` know of sources that were not compiled.
//!
//! Most tests use a scripted compile.py: a source says in comments what compile.py prints and writes.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Command, Stdio},
};

use insta::assert_snapshot;

use crate::support::{Workspace, cache, signal, wait_until};

/// Each `#: ` line of a source is printed; `#= v1 TEXT` writes a conf. The code itself is run.
const SCRIPTED: &str = r##"
import os
import sys

class Command:
    def main(self, args, standalone_mode):
        given = dict(zip(args[::2], args[1::2]))
        root, production, path = given["--chronon_root"], given["--output_root"], given["--conf"]
        full = os.path.join(root, path)
        folder, team = path.split("/")[:2]
        prefix = ".".join(path[:-3].split("/")[2:])
        print("   GroupBy Team - " + team)
        text = open(full).read()
        exec(compile(text, full, "exec"), {})
        for line in text.splitlines():
            if line.startswith("#= "):
                _, name, content = line.split(" ", 2)
                target = os.path.join(root, production, folder, team, prefix + "." + name)
                os.makedirs(os.path.dirname(target), exist_ok=True)
                open(target, "w").write(content)
                print("  Writing GroupBy to - \033[34m" + target + "\033[0m")
            elif line.startswith("#: "):
                print(line[3:])
            elif line.startswith("#! "):
                os.kill(os.getpid(), 9)

extract_and_convert = Command()
"##;

fn scripted() -> Workspace {
    let workspace = Workspace::empty();
    workspace.write("fake/ai/__init__.py", "");
    workspace.write("fake/ai/chronon/__init__.py", "");
    workspace.write("fake/ai/chronon/repo/__init__.py", "");
    workspace.write("fake/ai/chronon/repo/compile.py", SCRIPTED);
    let fake = workspace.path("fake");
    workspace.write(
        "python",
        &format!(
            "#!/bin/sh\nPYTHONPATH='{}' exec python3 \"$@\"\n",
            fake.display()
        ),
    );
    fs::set_permissions(workspace.path("python"), Permissions::from_mode(0o755)).unwrap();
    workspace.write(
        "workspace.toml",
        "[workspace]\npython = \"python\"\nas_of = \"2026-01-30\"\n",
    );
    workspace.write(
        "teams.json",
        r#"{"default": {"namespace": "out"}, "shop": {}}"#,
    );
    workspace.write("lib/names.py", "KEY = 'a'\n");
    workspace.write(
        "staging_queries/shop/q.py",
        &staging("SELECT 1 AS a, '{{ start_date }}' AS ds"),
    );
    workspace.write("joins/shop/j.py", "from lib.names import KEY\n#= v1 {}\n");
    workspace.write("joins/shop/__init__.py", "");
    workspace
}

fn staging(query: &str) -> String {
    let conf = format!(
        r#"{{"metaData": {{"name": "shop.q.v1", "team": "shop", "outputNamespace": "out", "dependencies": []}}, "query": "{query}", "startPartition": "2026-01-29"}}"#
    );
    format!("#= v1 {conf}\n")
}

#[test]
fn what_changed_and_what_imports_it_is_compiled_once() {
    let workspace = scripted();
    workspace.write("workspace.toml", "[workspace]\npython = \"python\"\n");
    let all = workspace.run(&["compile"]);
    assert_snapshot!(all.text());
    assert_snapshot!(workspace.run(&["compile"]).text());
    // Time alone is no change; the content of an import is.
    workspace.write(
        "staging_queries/shop/q.py",
        &workspace.read("staging_queries/shop/q.py"),
    );
    workspace.write("lib/names.py", "KEY = 'b'\n");
    assert_snapshot!(workspace.run(&["compile"]).text());
    assert_snapshot!(workspace.run(&["compile", "lib/names.py"]).text());
    assert_snapshot!(workspace.run(&["compile", "lib/other.py"]).text());
}

#[test]
fn every_stumble_of_compile_py_is_one_line_and_an_error() {
    let workspace = scripted();
    workspace.write("group_bys/shop/code.py", "x = 1\ny = x.nothing\n");
    workspace.write("group_bys/shop/syntax.py", "x = (\n");
    workspace.write("group_bys/shop/killed.py", "#! now\n");
    workspace.write(
        "group_bys/shop/said.py",
        "#= v1 {}\n#: Skipping GroupBy said.v2: GroupBys should not be materialized if batch upload job is not needed\n#: Cannot overwrite GroupBy said.v3 with existing online conf\n#:      Could not write Join said.v4 - keys are missing\n",
    );
    workspace.write(
        "group_bys/shop/assertion.py",
        "#= v1 {}\nraise AssertionError(\"You must also materialize all dependent GroupBys or Joins. Detected dependencies are as follows: ['shop.j.v1', 'shop.k.v1']\")\n",
    );
    let screen = workspace.run(&["compile"]);
    assert_snapshot!(screen.text());
    // They are tried again, and what was compiled is not.
    assert_eq!(
        workspace.run(&["compile"]).stdout.lines().last(),
        Some("compiled 0 of 5 sources with chronon-ai unknown: 0 confs changed")
    );
}

#[test]
fn an_edit_that_was_not_compiled_is_known_to_check_and_plan() {
    let workspace = scripted();
    workspace.run(&["compile"]).expect(0);
    workspace.write("production/joins/shop/j.v1", "");
    fs::remove_file(workspace.path("production/joins/shop/j.v1")).unwrap();
    fs::remove_file(workspace.path("joins/shop/j.py")).unwrap();
    workspace.write(
        "staging_queries/shop/q.py",
        &staging("SELECT 2 AS a, '{{ start_date }}' AS ds"),
    );
    assert_snapshot!(workspace.run(&["check", "--offline"]).text());
    let plan = workspace.run(&["plan"]);
    assert!(
        plan.stderr.contains(
            "note: staging_queries/shop/q.py was edited since 1 conf was compiled from it"
        ),
        "{}",
        plan.text()
    );
    workspace.run(&["compile"]).expect(0);
    assert_eq!(workspace.run(&["check", "--offline"]).expect(0).stderr, "");
}

#[test]
fn an_interpreter_without_chronon_ai_is_named() {
    let workspace = scripted();
    fs::remove_dir_all(workspace.path("fake/ai")).unwrap();
    assert_snapshot!(workspace.run(&["compile"]).text());
}

/// Each save is compiled, checked and planned; a mistake stops neither; a signal ends it.
#[test]
fn watch_compiles_checks_and_plans_on_save_until_a_signal() {
    let workspace = scripted();
    fs::remove_file(workspace.path("joins/shop/j.py")).unwrap();
    let source = "staging_queries/shop/q.py";
    let save = |edit: (&str, &str)| {
        let conf = staging("SELECT 1 AS a, '{{ start_date }}' AS ds").replace(edit.0, edit.1);
        workspace.write(source, &format!("from lib.names import KEY\n{conf}"));
    };
    save(("", ""));
    let log = workspace.path("watch.log");
    let mut command = workspace.command(&["compile", "--watch"]);
    let output = fs::File::create(&log).unwrap();
    command
        .stdin(Stdio::null())
        .stderr(output.try_clone().unwrap())
        .stdout(output);
    let mut child = command.spawn().unwrap();
    let turn = |number: usize| {
        let printed = || fs::read_to_string(&log).unwrap();
        wait_until("the turn ends", || {
            printed().matches("watching").count() == number
        });
        let turns = printed();
        let all: Vec<&str> = turns.split("watching the Python sources").collect();
        all[number - 1].to_owned()
    };
    let sound = |text: &str, days: &str| {
        for part in [
            "compiled 1 of 1 source ",
            "1 conf and 1 asset: no findings",
            "staging_query/shop.q.v1/backfill",
            days,
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    };
    sound(&turn(1), "2 days");
    save(("2026-01-29", "2026-01-27"));
    sound(&turn(2), "4 days");
    // What it imports, and no conf changes.
    workspace.write("lib/names.py", "KEY = 'c'\n");
    sound(&turn(3), "0 confs changed");
    save(("\"team\": \"shop\"", "\"team\": \"shp\""));
    let wrong = turn(4);
    assert!(wrong.contains("error[unknown-team]"), "{wrong}");
    assert!(!wrong.contains("staging_query/shop.q.v1"), "{wrong}");
    workspace.write(source, "x = (\n");
    let broken = turn(5);
    assert!(broken.contains("q.py:1"), "{broken}");
    assert!(!broken.contains("no findings"), "{broken}");
    save(("", ""));
    sound(&turn(6), "2 days");
    signal(child.id(), "INT");
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

/// A virtual environment with chronon-ai and what its compile.py imports.
fn chronon_ai() -> PathBuf {
    let venv = cache().join("chronon-ai-0.0.115-compile");
    if !venv.join("installed").exists() {
        let run = |program: PathBuf, args: &[&str]| {
            let output = Command::new(program).args(args).output().unwrap();
            assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
        };
        run("python3".into(), &["-m", "venv", venv.to_str().unwrap()]);
        let packages = [
            "chronon-ai==0.0.115",
            "thrift==0.13.0",
            "click==8.5.1",
            "six==1.17.0",
            "sqlglot==30.30.0",
        ];
        let install = ["-m", "pip", "install", "--quiet", "--no-deps"];
        run(
            venv.join("bin/python"),
            &[&install[..], &packages[..]].concat(),
        );
        fs::write(venv.join("installed"), "").unwrap();
    }
    venv
}

#[test]
fn the_example_is_compiled_by_the_real_compile_py() {
    let workspace = Workspace::example("stays");
    let python = format!("[workspace]\npython = \"{}\"", chronon_ai().display());
    workspace.edit("workspace.toml", "[workspace]", &python);
    let screen = workspace.run(&["compile"]).expect(0);
    assert!(
        screen
            .stdout
            .ends_with("with chronon-ai 0.0.115: 0 confs changed\n"),
        "{}",
        screen.text()
    );
    let source = "group_bys/stays/bookings.py";
    workspace.edit(
        source,
        "operation=Operation.MAX)",
        "operation=Operation.MIN)",
    );
    // Its GroupBys are online: compile.py exits 0 or with an assertion, and keeps them.
    assert_snapshot!(workspace.run(&["compile"]).text());
    assert_snapshot!(workspace.run(&["compile", "--force-overwrite"]).text());
    workspace.edit(source, "online=True", "online=Ture");
    assert_snapshot!(workspace.run(&["compile"]).text());
}
