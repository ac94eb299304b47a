//! `chronon-run report`: a run as one HTML page.

use std::path::Path;

use chronon_run_core::AssetId;
use chronon_run_ledger::RunDetail;
use chronon_run_project::{
    failure::Failure,
    loading::project::Project,
    output::{note, print},
    runs::history,
};
use chronon_run_report::{Activity, count, html};
use chronon_run_ui::{Source, write_site};

use crate::{cli::ReportArgs, ui::Pages};

pub(crate) fn run(args: &ReportArgs) -> Result<(), Failure> {
    if let Some(folder) = &args.site {
        return site(folder, args.target.name());
    }
    let context = args.target.project()?;
    let detail = wanted_run(&context, args.run.as_deref())?;
    let table_of = |asset: &AssetId| match context.graph.find(asset) {
        Some(index) => context.graph.assets[index].table.to_string(),
        None => String::new(),
    };
    let page = html::page(&detail, &table_of);
    let Some(path) = &args.out else {
        return print(&page);
    };
    chronon_run_process::replace(path, page)
        .map_err(|error| Failure::setup(format!("cannot write {}: {error}", path.display())))?;
    note(&format!("wrote {}", path.display()));
    Ok(())
}

/// The pages of `chronon-run ui` as files, of a target if one is named.
fn site(folder: &Path, target: Option<&str>) -> Result<(), Failure> {
    let source = Pages::of(target);
    let view = source.look().map_err(|trouble| Failure::Setup {
        message: trouble.message,
        hint: trouble.hint,
    })?;
    let doing = Activity::start("reading rows and writing pages");
    let written = write_site(folder, &source, &view).map_err(|error| {
        Failure::setup(format!("cannot write into {}: {error}", folder.display()))
    })?;
    drop(doing);
    note(&format!(
        "wrote {} into {}; open {}",
        count(written as u64, "page"),
        folder.display(),
        folder.join("index.html").display()
    ));
    Ok(())
}

fn wanted_run(context: &Project, id: Option<&str>) -> Result<RunDetail, Failure> {
    context.check_ledger_readable()?;
    let mut ledger = context.existing_ledger();
    let found = ledger.as_mut().and_then(|ledger| history::find(ledger, id));
    found.ok_or_else(|| match id {
        Some(id) => history::no_run(id),
        None => Failure::hinted("nothing was run yet", "`chronon-run materialize` runs"),
    })
}
