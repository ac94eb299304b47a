//! `chronon-run stream`: keeps the streaming apps of online GroupBys alive.

use chronon_run_exec::signals;
use chronon_run_project::{
    failure::Failure,
    loading::project::Project,
    output::{Page, list, print},
    planning::online,
    runs::stream_metrics,
    streaming::{self, App},
};

use crate::cli::{Output, StreamArgs};

pub(crate) fn run(args: &StreamArgs) -> Result<(), Failure> {
    let context = Project::load()?;
    let apps = apps(&context, args)?;
    let mut ledger = context.existing_ledger();
    let states = if args.status {
        streaming::look(&context, &apps, ledger.as_mut())?
    } else if args.stop {
        streaming::stop(&context, &apps, ledger.as_mut())?
    } else {
        let (_listener, control) = signals::listen()?;
        streaming::keep(&context, &apps, ledger.as_mut(), &control)?
    };
    let figures = args.metrics.metrics_file.as_deref();
    let paths = match args.status || figures.is_some() {
        true => online::of_apps(&context, ledger.as_mut(), &states),
        false => Vec::new(),
    };
    if let Some(file) = figures {
        stream_metrics::write(file, &states, &paths);
    }
    match args.output {
        Output::Json => print(&list("apps", &online::with_paths(&states, &paths))?)?,
        Output::Text if args.status => {
            let mut page = Page::default();
            streaming::add_to(&mut page, &states);
            page.say("\n");
            paths.iter().for_each(|path| page.say(&path.text()));
            page.print()?;
        }
        Output::Text if args.stop => {}
        Output::Text => streaming::tell(&states),
    }
    if args.stop {
        return Ok(());
    }
    streaming::outcome(&states)
}

fn apps(context: &Project, args: &StreamArgs) -> Result<Vec<App>, Failure> {
    let selected = context.select(&args.select, true)?;
    let apps = streaming::apps_of(context, selected);
    if apps.is_empty() && !args.select.is_empty() {
        return Err(Failure::hinted(
            "nothing selected streams: a streaming app belongs to an online GroupBy with a topic",
            "`chronon-run ls mode:streaming` lists them",
        ));
    }
    Ok(apps)
}
