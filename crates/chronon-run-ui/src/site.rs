//! The same pages as a folder of files.

use std::{fs, io, path::Path};

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
    for below in ["asset", "run", "static"] {
        fs::create_dir_all(folder.join(below))?;
    }
    for (path, _, text) in FILES {
        fs::write(folder.join(path.trim_start_matches('/')), text)?;
    }
    let runs = source.runs(RUNS);
    let running = Running::of(source, &runs[..runs.len().min(NEWEST as usize)]);
    let (top, below) = (Links::top().in_site(), Links::below().in_site());
    let frame = |links| Frame {
        links,
        workspace: &view.name,
        allow_runs: false,
        now: now(),
    };
    let mut written = 0;
    let mut write = |name: String, links: Links, page: pages::Page| {
        written += 1;
        fs::write(folder.join(name), whole(&frame(links), &page))
    };
    write(
        "index.html".to_owned(),
        top,
        pages::overview::page(&frame(top), view, &runs, &running),
    )?;
    write(
        "assets.html".to_owned(),
        top,
        pages::assets::page(
            &frame(top),
            view,
            source,
            &running,
            &pages::assets::Wanted::default(),
        ),
    )?;
    write(
        "graph.html".to_owned(),
        top,
        pages::graph::page(
            &frame(top),
            view,
            source,
            &running,
            &pages::graph::Wanted::default(),
        ),
    )?;
    write(
        "plan.html".to_owned(),
        top,
        pages::plan::page(&frame(top), view, source, &pages::plan::Wanted::default()),
    )?;
    write(
        "diff.html".to_owned(),
        top,
        pages::diff::page(&frame(top), source),
    )?;
    write(
        "runs.html".to_owned(),
        top,
        pages::runs::page(&frame(top), &runs),
    )?;
    for row in &view.rows {
        let page = pages::asset::page(
            &frame(below),
            view,
            source,
            &running,
            &row.asset,
            &pages::asset::Wanted::default(),
        );
        if let Some(page) = page {
            write(format!("asset/{}.html", slug(&row.asset)), below, page)?;
        }
    }
    let upstream = pages::upstream(view);
    for run in runs.iter().filter_map(|run| source.run(&run.run)) {
        let page = pages::run::page(
            &frame(below),
            &run,
            &upstream,
            &source.logs(),
            &pages::run::Wanted::default(),
        );
        write(
            format!("run/{}.html", crate::links::query(&run.record.run)),
            below,
            page,
        )?;
    }
    Ok(written)
}
