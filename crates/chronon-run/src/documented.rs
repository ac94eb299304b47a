//! Every command line in the documentation is one that this version takes, and every TOML block is a
//! `workspace.toml` without an unknown key or a wrong value.

use std::{
    fs,
    path::{Path, PathBuf},
};

use chronon_run_core::Diagnostic;
use chronon_run_workspace::Workspace;
use clap::{Command, CommandFactory, Parser, error::ErrorKind};
use pulldown_cmark::{CodeBlockKind, Event, Parser as Markdown, Tag, TagEnd};

use crate::cli::Cli;

/// A piece of code of a page.
struct Code {
    page: PathBuf,
    /// The words after the fence; empty for code within a line.
    language: String,
    text: String,
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The pages that a user reads. The generated ones are compared with their source elsewhere.
fn pages() -> Vec<PathBuf> {
    let docs = fs::read_dir(repository().join("docs")).unwrap();
    let mut pages: Vec<PathBuf> = docs.map(|entry| entry.unwrap().path()).collect();
    let howto = fs::read_dir(repository().join("docs/howto")).unwrap();
    pages.extend(howto.map(|entry| entry.unwrap().path()));
    pages.retain(|page| page.extension().is_some_and(|found| found == "md"));
    pages.retain(|page| !page.ends_with("docs/cli.md") && !page.ends_with("docs/workspace.md"));
    for page in ["README.md", "CONTRIBUTING.md", "examples/stays/README.md"] {
        pages.push(repository().join(page));
    }
    pages.sort();
    pages
}

fn codes() -> Vec<Code> {
    let mut codes = Vec::new();
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        let mut block: Option<(String, String)> = None;
        for event in Markdown::new(&text) {
            match (event, &mut block) {
                (Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(words))), _) => {
                    block = Some((words.to_string(), String::new()));
                }
                (Event::Text(text), Some((_, code))) => code.push_str(&text),
                (Event::End(TagEnd::CodeBlock), _) => {
                    if let Some((language, text)) = block.take() {
                        let page = page.clone();
                        codes.push(Code {
                            page,
                            language,
                            text,
                        });
                    }
                }
                (Event::Code(code), None) => codes.push(Code {
                    page: page.clone(),
                    language: String::new(),
                    text: code.to_string(),
                }),
                _ => {}
            }
        }
    }
    codes
}

/// The arguments of every call of chronon-run in a line of shell.
fn calls(line: &str) -> Vec<Vec<String>> {
    let Some(words) = shlex::split(line) else {
        panic!("cannot be split into words: {line}");
    };
    let parts = words.split(|word| ["|", "&&", "||", ";", "&"].contains(&word.as_str()));
    let calls = parts.filter_map(|part| {
        let start = match part.iter().position(|word| word == "chronon-run") {
            Some(at) => at + 1,
            None if line.trim_start().starts_with("cargo run") => {
                part.iter().position(|word| word == "--")? + 1
            }
            None => return None,
        };
        // An argument of another program, such as the name of an image, is none: it has to be first.
        let is_first = part[..start - 1].iter().all(|word| {
            word.contains('=')
                || word.starts_with('-')
                || ["cargo", "run", "env", "$"].contains(&word.as_str())
        });
        let end = part
            .iter()
            .position(|word| word.starts_with('>') || word.starts_with("2>"));
        let end = end.unwrap_or(part.len());
        is_first.then(|| {
            part[start..end]
                .iter()
                .map(|word| filled_in(word))
                .collect()
        })
    });
    calls.collect()
}

/// A word in capitals stands for a value.
fn filled_in(word: &str) -> String {
    match word {
        "DAY" | "DS" => "2026-01-30".to_owned(),
        "N" => "3".to_owned(),
        word => word
            .replace("@DS", "@2026-01-30")
            .replace("@DAY", "@2026-01-30"),
    }
}

/// Lines of a block, continued ones joined.
fn lines(text: &str) -> Vec<String> {
    text.replace("\\\n", " ")
        .lines()
        .map(str::to_owned)
        .collect()
}

/// Whether clap's answer is none to a mistake: help and version; and text may name a command without
/// its arguments.
fn is_answer(kind: ErrorKind, is_inline: bool) -> bool {
    match kind {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => true,
        ErrorKind::MissingRequiredArgument => is_inline,
        _ => false,
    }
}

#[test]
fn every_command_line_in_the_documentation_parses() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for code in codes() {
        let is_shell = ["sh", "bash", "crontab", "sh,install"].contains(&code.language.as_str());
        let is_inline = code.language.is_empty() && code.text.starts_with("chronon-run ");
        if !is_shell && !is_inline || is_inline && code.text.contains('…') {
            continue;
        }
        for line in lines(&code.text) {
            // The five fields of cron.
            let line = match code.language == "crontab" && line.contains("chronon-run") {
                true => line
                    .split_whitespace()
                    .skip(5)
                    .collect::<Vec<_>>()
                    .join(" "),
                false => line,
            };
            if !line.contains("chronon-run") && !line.contains("cargo run") {
                continue;
            }
            for call in calls(&line) {
                count += 1;
                let arguments = std::iter::once("chronon-run".to_owned()).chain(call);
                if let Err(error) = Cli::try_parse_from(arguments)
                    && !is_answer(error.kind(), is_inline)
                {
                    wrong.push(format!("{}: {line}\n{error}", code.page.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 100, "only {count} command lines were found");
}

#[test]
fn a_wrong_command_line_would_be_found() {
    let found = calls("VAR=x chronon-run plan --nope | head && chronon-run ls > out");
    assert_eq!(found, [vec!["plan", "--nope"], vec!["ls"]]);
    assert!(Cli::try_parse_from(["chronon-run", "plan", "--nope"]).is_err());
    assert_eq!(calls("docker run --rm chronon-run plan").len(), 0);
    assert_eq!(calls("cargo run --release -- plan"), [vec!["plan"]]);
}

/// What is wrong with a block but for files that this machine does not have.
fn findings(block: &str) -> Vec<Diagnostic> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("workspace.toml");
    fs::write(&file, block).unwrap();
    let mut findings = match Workspace::load(&file) {
        Ok(loaded) => loaded.warnings,
        Err(findings) => findings,
    };
    findings.retain(|finding| {
        finding.code != "no-such-path" && !finding.message.contains("does not exist")
    });
    findings
}

#[test]
fn every_toml_block_in_the_documentation_is_a_workspace() {
    let mut count = 0;
    for code in codes().iter().filter(|code| code.language == "toml") {
        let found = findings(&code.text);
        assert!(
            found.is_empty(),
            "{}:\n{}\n{found:?}",
            code.page.display(),
            code.text
        );
        count += 1;
    }
    assert!(count > 10, "only {count} blocks were found");
    assert_eq!(findings("[engine]\nkindd = \"sql\"").len(), 1);
    assert_eq!(findings("[run]\njobs = \"x\"").len(), 1);
}

/// The examples of a command's help: the lines after `Examples:`, up to an empty one.
fn examples(command: &Command) -> Vec<String> {
    let help = command.get_after_help();
    let help = help.map(ToString::to_string).unwrap_or_default();
    let lines = help.lines().skip_while(|line| *line != "Examples:").skip(1);
    let lines = lines.take_while(|line| !line.is_empty());
    lines.map(|line| line.trim().to_owned()).collect()
}

/// What is wrong with the examples of a command and those below it; `path` are the words that name it.
fn wrong_examples(command: &Command, path: &[&str], wrong: &mut Vec<String>) {
    let found = examples(command);
    if found.len() < 2 {
        wrong.push(format!("{}: {} examples", path.join(" "), found.len()));
    }
    for line in found {
        let call = calls(&line).into_iter().next().unwrap_or_default();
        let words = || std::iter::once("chronon-run").chain(call.iter().map(String::as_str));
        if !words().take(path.len()).eq(path.iter().copied()) {
            wrong.push(format!("{}: an example of another: {line}", path.join(" ")));
        }
        if let Err(error) = Cli::try_parse_from(words()) {
            wrong.push(format!("{line}: {error}"));
        }
    }
    let below = command.get_subcommands();
    for below in below.filter(|below| below.get_name() != "help") {
        wrong_examples(below, &[path, &[below.get_name()]].concat(), wrong);
    }
}

#[test]
fn every_command_has_two_examples_that_parse() {
    let mut wrong = Vec::new();
    wrong_examples(&Cli::command(), &["chronon-run"], &mut wrong);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let none = Command::new("none").after_help("Examples:\n  chronon-run none\n\nmore");
    wrong_examples(&none, &["chronon-run", "none"], &mut wrong);
    assert_eq!(wrong.len(), 2, "{wrong:?}");
}
