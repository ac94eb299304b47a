//! `docs/tutorial.md`, line by line: files are written, commands are run on a real Spark, and what the page shows is
//! what they print.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};

use crate::support::{Workspace, cache, repository};

/// The compiler of Chronon's Python files, without the Spark that it would bring.
const PACKAGES: [&str; 5] = [
    "chronon-ai==0.0.115",
    "click==8.5.1",
    "six==1.17.0",
    "sqlglot==30.30.0",
    "thrift==0.13.0",
];

/// What a reader does.
enum Task {
    /// Writes a file.
    Write(PathBuf, String),
    /// Runs commands in a shell.
    Run(String),
    /// Sees lines; `…` stands for any text.
    See(String),
}

/// A block of code, told apart by its language and by the text before it: a paragraph that ends with a
/// path in backquotes and a colon names the file.
fn task(language: &str, before: &[Event<'_>], text: String) -> Option<Task> {
    match (language, before) {
        ("sh", _) => Some(Task::Run(text)),
        ("text", _) => Some(Task::See(text)),
        (_, [.., Event::Code(path), Event::Text(colon)]) if colon.trim() == ":" => {
            Some(Task::Write(PathBuf::from(path.as_ref()), text))
        }
        _ => None,
    }
}

fn tasks(page: &str) -> Vec<Task> {
    let mut tasks = Vec::new();
    let mut before: Vec<Event<'_>> = Vec::new();
    let mut block: Option<(String, String)> = None;
    for event in Parser::new(page) {
        match (event, &mut block) {
            (Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(language))), _) => {
                block = Some((language.to_string(), String::new()));
            }
            (Event::Text(text), Some((_, code))) => code.push_str(&text),
            (Event::End(TagEnd::CodeBlock), _) => {
                if let Some((language, text)) = block.take() {
                    tasks.extend(task(&language, &before, text));
                }
                before.clear();
            }
            (Event::Start(Tag::Paragraph), _) => before.clear(),
            (event @ (Event::Text(_) | Event::Code(_)), None) => before.push(event),
            _ => {}
        }
    }
    tasks
}

/// A folder with the programs of Chronon's Python package, installed once into the test cache.
fn chronon_ai() -> PathBuf {
    let folder = cache().join("tutorial-chronon-ai-0.0.115");
    fs::create_dir_all(&folder).unwrap();
    let lock = File::create(folder.join("lock")).unwrap();
    lock.lock().unwrap();
    let venv = folder.join("venv");
    if !folder.join("done").exists() {
        let mut create = Command::new("python3");
        create.args(["-m", "venv", "--clear"]).arg(&venv);
        assert!(create.status().unwrap().success());
        let mut pip = Command::new(venv.join("bin/pip"));
        pip.args(["install", "--quiet", "--no-deps"]).args(PACKAGES);
        assert!(pip.status().unwrap().success());
        fs::write(folder.join("done"), "").unwrap();
    }
    venv.join("bin")
}

/// Runs a block in one shell, which stops at the first command that fails; what it prints.
fn run(folder: &Workspace, path: &str, script: &str) -> String {
    let mut shell = Command::new("bash");
    shell
        .args(["-euo", "pipefail", "-c"])
        .arg(format!("exec 2>&1\n{script}"));
    shell.current_dir(folder.root()).env("PATH", path);
    shell
        .env("HOME", folder.root())
        .env("CHRONON_RUN_CACHE", cache());
    shell
        .env("NO_COLOR", "1")
        .env("COLUMNS", "100")
        .env_remove("SPARK_HOME");
    let output = shell.stdin(Stdio::null()).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{script}\n{printed}");
    printed
}

/// Whether a line is the one that the page shows.
fn fits(shown: &str, line: &str) -> bool {
    let mut rest = line;
    let parts: Vec<&str> = shown.split('…').collect();
    for (number, part) in parts.iter().enumerate() {
        match rest.find(part) {
            Some(at) if at == 0 || number > 0 => rest = &rest[at + part.len()..],
            _ => return false,
        }
    }
    rest.is_empty() || shown.ends_with('…')
}

/// Each shown line is printed, in this order; a line of `…` alone stands for any lines.
fn expect_lines(shown: &str, printed: &str) {
    let mut lines = printed.lines().map(str::trim_end);
    for line in shown.lines().map(str::trim_end).filter(|line| *line != "…") {
        let found = lines.any(|printed| fits(line, printed));
        assert!(
            found,
            "the page shows\n{line}\nbut this is printed:\n{printed}"
        );
    }
}

#[test]
fn the_tutorial_works_line_by_line() {
    let page = fs::read_to_string(repository().join("docs/tutorial.md")).unwrap();
    let folder = Workspace::empty();
    let program = Path::new(env!("CARGO_BIN_EXE_chronon-run"))
        .parent()
        .unwrap();
    let path = format!(
        "{}:{}:{}",
        program.display(),
        chronon_ai().display(),
        std::env::var("PATH").unwrap()
    );
    let (mut printed, mut seen) = (String::new(), 0);
    for task in tasks(&page) {
        match task {
            Task::Write(path, text) => folder.write(path.to_str().unwrap(), &text),
            Task::Run(script) => printed = run(&folder, &path, &script),
            Task::See(shown) => {
                expect_lines(&shown, &printed);
                seen += 1;
            }
        }
    }
    assert!(seen >= 5, "only {seen} outputs are compared");
}

#[test]
fn lines_that_the_page_does_not_show_are_told_apart() {
    assert!(fits("done   …  3s", "done   x  3s") && fits("a", "a") && fits("a …", "a b"));
    assert!(!fits("a", "a b") && !fits("a", "b a") && !fits("a … c", "a b"));
}
