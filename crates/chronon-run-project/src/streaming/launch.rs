//! What starts an app.

use chronon_run_core::{AssetId, CommandLine, event::Outcome};
use chronon_run_process::Exit;
use chronon_run_report::outcome;
use chronon_run_spark::conceal::forget;

use crate::{
    engines::{driver::Driver, retrying, spark_sql::SparkSql},
    failure::Failure,
    listing::session::CatalogSession,
    loading::{machine, project::Project},
    runs::hooks,
};

use super::{app::App, class_path, record::Record};

/// `APP_NAME` of a GroupBy's streaming app (§2.5, §10.13).
pub(super) fn app_name(context: &Project, asset: &AssetId) -> String {
    format!(
        "chronon_{}_streaming_{}_{}",
        asset.conf.conf_type.folder(),
        context.workspace.env,
        asset.conf.name
    )
}

/// The command line that starts an app: the user's own, or that of the Driver.
pub(super) fn launch(context: &Project, app: &App) -> Result<CommandLine, Failure> {
    match &context.workspace.streaming.command {
        Some(template) => Ok(own(context, app, template)),
        None => driver(context, app),
    }
}

/// The Driver's `group-by-streaming`, whichever engine fills the tables.
fn driver(context: &Project, app: &App) -> Result<CommandLine, Failure> {
    let workspace = &context.workspace;
    let engine = &workspace.engine;
    if [
        &engine.chronon_jar,
        &engine.online_jar,
        &engine.online_class,
    ]
    .contains(&&None)
    {
        return Err(Failure::hinted(
            format!("there is nothing to start {} with", app.name),
            "set `chronon_jar`, `online_jar` and `online_class` under [engine], or your own `command` under [streaming]",
        ));
    }
    let warehouse = CatalogSession::look(workspace)?;
    let jvm = machine::of_app(workspace, &app.name)?;
    let sql = SparkSql::new(workspace, warehouse.spark())?.with_jvm(jvm);
    let asset = &context.graph.assets[app.index];
    let kafka = class_path::complete(context, app, sql.spark())?;
    let mut driver = Driver::new(context, Some(&sql)).with_jars(kafka);
    let command = driver.app(asset, &app.name).map_err(Failure::setup)?;
    // What an earlier start has read is of no use any more.
    forget(&sql.jvm().scratch);
    sql.concealed(command).map_err(Failure::setup)
}

fn own(context: &Project, app: &App, template: &[String]) -> CommandLine {
    let workspace = &context.workspace;
    let conf = &context.graph.assets[app.index].path;
    let values = [
        ("group_by", app.asset.conf.name.clone()),
        ("conf", workspace.repo.join(conf).display().to_string()),
        ("app_name", app.name.clone()),
        ("env", workspace.env.clone()),
    ];
    CommandLine {
        argv: hooks::fill(template, &values),
        env: vec![("APP_NAME".to_owned(), Some(app.name.clone()))],
        cwd: Some(workspace.root.clone()),
    }
}

/// Why a start died, in one line.
pub(super) fn explain(record: &Record, exit: Exit) -> String {
    let ended = match exit {
        Exit::Code(0) => return "it ended by itself, with exit code 0".to_owned(),
        Exit::Code(code) => Outcome::Failed { code },
        Exit::Signal(signal) => Outcome::Killed { signal },
    };
    let log = record.log.as_deref();
    let quote = log.and_then(|log| retrying::explain_any(log, &ended));
    match quote {
        Some(quote) => format!("{}: {quote}", outcome(&ended)),
        None => outcome(&ended),
    }
}
