//! The same pages as a folder of files.

use std::{fs, io, path::Path};

use chronon_run_ledger::RunRecord;
use chronon_run_process::replace;

use crate::{
    frame::{Frame, whole},
    links::{Links, slug},
    pages::{self, NEWEST, Running},
    server::{FILES, now},
    source::{Source, View},
};

/// Runs that get a page.
const RUNS: u32 = 100;

/// Writes every page below `folder`, which is made if needed; returns how many. Files that are there already
/// are replaced; others are left alone.
///
/// # Errors
/// If a file cannot be written.
pub fn write_site(folder: &Path, source: &dyn Source, view: &View) -> io::Result<usize> {
    for below in ["asset", "columns", "run", "static"] {
        fs::create_dir_all(folder.join(below))?;
    }
    for (path, _, text) in FILES {
        replace(&folder.join(path.trim_start_matches('/')), text)?;
    }
    let runs = source.runs(RUNS);
    let running = Running::of(source, &runs[..runs.len().min(NEWEST as usize)]);
    let site = Site {
        folder,
        source,
        view,
        running: &running,
        now: now(),
    };
    Ok(site.write_top(&runs)? + site.write_assets()? + site.write_runs(&runs)?)
}

/// What all pages are made of.
struct Site<'a> {
    folder: &'a Path,
    source: &'a dyn Source,
    view: &'a View,
    running: &'a Running,
    now: i64,
}

impl<'a> Site<'a> {
    fn frame(&self, links: Links) -> Frame<'a> {
        Frame {
            links,
            workspace: &self.view.name,
            allow_runs: false,
            now: self.now,
        }
    }

    fn write(&self, name: &str, frame: &Frame<'_>, page: &pages::Page) -> io::Result<()> {
        replace(&self.folder.join(name), whole(frame, page))
    }

    /// The pages that are there whatever the workspace holds; returns how many.
    fn write_top(&self, runs: &[RunRecord]) -> io::Result<usize> {
        let (view, source, running) = (self.view, self.source, self.running);
        let frame = &self.frame(Links::top().in_site());
        let assets = pages::assets::Wanted::default();
        let graph = pages::graph::Wanted::default();
        let plan = pages::plan::Wanted::default();
        let all = [
            (
                "index.html",
                pages::overview::page(frame, view, runs, running),
            ),
            (
                "assets.html",
                pages::assets::page(frame, view, source, running, &assets),
            ),
            (
                "graph.html",
                pages::graph::page(frame, view, source, running, &graph),
            ),
            ("plan.html", pages::plan::page(frame, view, source, &plan)),
            ("diff.html", pages::diff::page(frame, source)),
            ("runs.html", pages::runs::page(frame, runs)),
        ];
        for (name, page) in &all {
            self.write(name, frame, page)?;
        }
        Ok(all.len())
    }

    fn write_assets(&self) -> io::Result<usize> {
        let frame = &self.frame(Links::below().in_site());
        let mut written = 0;
        for asset in self.view.rows.iter().map(|row| &row.asset) {
            let wanted = pages::asset::Wanted::default();
            let page =
                pages::asset::page(frame, self.view, self.source, self.running, asset, &wanted);
            if let Some(page) = page {
                self.write(&format!("asset/{}.html", slug(asset)), frame, &page)?;
                written += 1;
            }
            if self.source.columns(asset).is_ok() {
                let page = pages::columns::page(frame, self.source, asset);
                self.write(&format!("columns/{}.html", slug(asset)), frame, &page)?;
                written += 1;
            }
        }
        Ok(written)
    }

    fn write_runs(&self, runs: &[RunRecord]) -> io::Result<usize> {
        let frame = &self.frame(Links::below().in_site());
        let mut written = 0;
        for run in runs.iter().filter_map(|run| self.source.run(&run.run)) {
            let wanted = pages::run::Wanted::default();
            let page = pages::run::page(frame, self.view, self.source, &run, &wanted);
            let name = format!("run/{}.html", crate::links::query(&run.record.run));
            self.write(&name, frame, &page)?;
            written += 1;
        }
        Ok(written)
    }
}
