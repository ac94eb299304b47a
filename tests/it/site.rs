//! The documentation site: its table of contents, and every link and anchor of every page.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use crate::support::{files_with, repository};

/// A page: the places that links can point to, and its links.
#[derive(Default)]
struct Page {
    anchors: BTreeSet<String>,
    links: Vec<String>,
}

fn parse(text: &str) -> Page {
    let mut page = Page::default();
    let mut heading: Option<String> = None;
    let options = Options::ENABLE_TABLES | Options::ENABLE_FOOTNOTES;
    for event in Parser::new_ext(text, options) {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::End(TagEnd::Heading(_)) => {
                let anchor = anchor(&heading.take().unwrap_or_default());
                let taken = page.anchors.contains(&anchor);
                page.anchors.insert(match taken {
                    true => format!("{anchor}-1"),
                    false => anchor,
                });
            }
            Event::Text(text) | Event::Code(text) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&text);
                }
            }
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                page.links.push(dest_url.to_string());
            }
            _ => {}
        }
    }
    page
}

/// The anchor of a heading, as GitHub and mdBook make it.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase();
    let kept = kept
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn pages() -> BTreeMap<PathBuf, Page> {
    let mut paths = files_with("md", &repository().join("docs"));
    for file in [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "CHANGELOG.md",
        "examples/stays/README.md",
    ] {
        paths.push(repository().join(file));
    }
    let read = |path: PathBuf| {
        let page = parse(&fs::read_to_string(&path).unwrap());
        (path, page)
    };
    paths.into_iter().map(read).collect()
}

/// What is wrong with a link of this page.
fn broken(pages: &BTreeMap<PathBuf, Page>, page: &Path, link: &str) -> Option<String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = match path {
        "" => page.to_owned(),
        path => page.parent()?.join(path),
    };
    let Ok(target) = target.canonicalize() else {
        return Some("there is no such file".to_owned());
    };
    // The site holds what is below docs/.
    let docs = repository().join("docs");
    if page.starts_with(&docs) && !target.starts_with(&docs) {
        return Some("it leaves docs/, and with it the site".to_owned());
    }
    if page.starts_with(&docs) && target.is_dir() {
        return Some("the site has no page for a folder".to_owned());
    }
    match pages.get(&target) {
        Some(found) if !anchor.is_empty() && !found.anchors.contains(anchor) => {
            Some(format!("{} has no such heading", target.display()))
        }
        _ => None,
    }
}

#[test]
fn every_link_and_anchor_exists() {
    let pages = pages();
    let mut wrong = Vec::new();
    let mut count = 0;
    for (path, page) in &pages {
        for link in &page.links {
            count += 1;
            if let Some(why) = broken(&pages, path, link) {
                wrong.push(format!("{}: {link}: {why}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 150, "only {count} links were found");
    let readme = repository().join("README.md");
    assert!(broken(&pages, &readme, "docs/gone.md").is_some());
    assert!(broken(&pages, &readme, "docs/json.md#gone").is_some());
}

/// Every page is in the table of contents, once, and the other way round.
#[test]
fn the_table_of_contents_lists_every_page_once() {
    let docs = repository().join("docs");
    let summary = parse(&fs::read_to_string(docs.join("SUMMARY.md")).unwrap());
    let mut listed = summary.links.clone();
    listed.sort();
    let count = listed.len();
    listed.dedup();
    assert_eq!(listed.len(), count, "a page is listed twice");
    let mut found: Vec<String> = files_with("md", &docs)
        .iter()
        .map(|path| path.strip_prefix(&docs).unwrap().display().to_string())
        .filter(|path| path != "SUMMARY.md")
        .collect();
    found.sort();
    assert_eq!(listed, found);
}

/// Every figure that the dashboard draws or the pages alert on is one that is written.
#[test]
fn every_figure_of_the_dashboard_is_written() {
    let source = |file: &str| {
        let path = repository()
            .join("crates/chronon-run-project/src/runs")
            .join(file);
        fs::read_to_string(path).unwrap()
    };
    let written = source("metrics.rs") + &source("stream_metrics.rs");
    let dashboard = fs::read_to_string(repository().join("docs/grafana-dashboard.json")).unwrap();
    let parsed: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
    assert!(parsed["panels"].as_array().unwrap().len() >= 6);
    let howto = fs::read_to_string(repository().join("docs/howto/prometheus.md")).unwrap();
    let mut names = BTreeSet::new();
    for text in [&dashboard, &howto] {
        for rest in text.split("chronon_run_").skip(1) {
            let end = rest.find(|c: char| !c.is_ascii_lowercase() && c != '_');
            names.insert(rest[..end.unwrap_or(rest.len())].to_owned());
        }
    }
    for name in &names {
        assert!(
            written.contains(&format!("\"{name}\"")),
            "chronon_run_{name} is not written"
        );
    }
    assert!(names.len() >= 8, "{names:?}");
}

/// The texts of the program's source, with continued strings joined.
fn sources() -> String {
    let files = files_with("rs", &repository().join("crates")).into_iter();
    let text: String = files
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let lines = text.split("\\\n").map(str::trim_start);
    lines.collect::<Vec<_>>().concat()
}

/// Every error that the page explains is one that the program prints.
#[test]
fn the_errors_of_the_troubleshooting_page_exist() {
    let sources = sources();
    let page = fs::read_to_string(repository().join("docs/troubleshooting.md")).unwrap();
    let mut count = 0;
    for line in page.lines().filter_map(|line| line.strip_prefix("### ")) {
        for part in line.trim_matches('`').split('…') {
            let part = part.trim();
            assert!(sources.contains(part), "no message has `{part}`");
        }
        count += 1;
    }
    assert!(count > 25, "only {count} errors are explained");
}

/// What the pages show of files beside them is what those files hold.
#[test]
fn the_files_that_pages_show_are_those() {
    let read = |path: &str| fs::read_to_string(repository().join("docs").join(path)).unwrap();
    for (page, file) in [
        ("howto/kubernetes.md", "kubernetes-cronjob.yaml"),
        ("howto/prometheus.md", "prometheus-rules.yaml"),
    ] {
        let shown = format!("```yaml\n{}```", read(file));
        assert!(read(page).contains(&shown), "{page} shows another {file}");
    }
}
