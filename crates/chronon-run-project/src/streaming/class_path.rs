//! The jars of an app that the Driver runs, checked before the start.

use std::path::Path;

use chronon_run_engine::{
    chronon::jar::{ClassSearch, find_class},
    kafka::SOURCE_CLASS,
};
use chronon_run_spark::Spark;

use crate::{
    failure::Failure,
    loading::{jars, project::Project},
};

use super::app::App;

/// Properties whose value is a list of jars, folders and `folder/*`, and what separates them.
const PLACES: [(&str, char); 2] = [("spark.jars", ','), ("spark.driver.extraClassPath", ':')];

/// Checks that the online class is in one of the jars. Returns the jars of the Kafka source, which
/// is installed if the app needs it and the user has none.
pub(super) fn complete(
    context: &Project,
    app: &App,
    spark: &Spark,
) -> Result<Vec<String>, Failure> {
    let conf = context.spark_conf(app.index);
    let property = |name: &str| {
        let mut named = conf.iter().rev().filter(|(key, _)| key == name);
        named.next().map(|(_, value)| value.as_str())
    };
    let packages = property("spark.jars.packages").unwrap_or_default();
    let mut places = own_jars(context)?;
    for (name, separator) in PLACES {
        let value = property(name).unwrap_or_default().split(separator);
        let named = value.map(str::trim).filter(|place| !place.is_empty());
        places.extend(named.map(str::to_owned));
    }
    if let Some(class) = &context.workspace.engine.online_class {
        let found = find(class, &places)?;
        if found == ClassSearch::Nowhere && packages.is_empty() {
            return Err(no_class(app, class, &places));
        }
    }
    let own_kafka = packages.contains("spark-sql-kafka")
        || places.iter().any(|place| place.contains("spark-sql-kafka"));
    if own_kafka || !needs_kafka(context, app) {
        return Ok(Vec::new());
    }
    places.push(format!("{}/*", spark.jars().display()));
    match find(SOURCE_CLASS, &places)? {
        ClassSearch::In(_) => Ok(Vec::new()),
        ClassSearch::Nowhere | ClassSearch::Unknown(_) => {
            jars::kafka_source(&context.workspace, spark)
        }
    }
}

/// The jars of `[engine]`: each an address, or a file that is there and, in the cache, is the pinned one.
fn own_jars(context: &Project) -> Result<Vec<String>, Failure> {
    let engine = &context.workspace.engine;
    let named = [
        ("online_jar", &engine.online_jar),
        ("chronon_jar", &engine.chronon_jar),
    ];
    let mut places = Vec::new();
    for (key, jar) in named {
        let Some(jar) = jar else { continue };
        if !jar.contains("://") && !Path::new(jar).is_file() {
            let (what, hint) = match jar.contains('/') {
                true => (
                    "there is no file",
                    "copy the jar there, or name another one",
                ),
                false => ("not installed:", jars::INSTALL),
            };
            let message = format!("`engine.{key}`: {what} {jar}");
            return Err(Failure::hinted(message, hint));
        }
        jars::refuse_changed(&context.workspace, key, jar)?;
        places.push(jar.clone());
    }
    Ok(places)
}

fn find(class: &str, places: &[String]) -> Result<ClassSearch, Failure> {
    find_class(class, places)
        .map_err(|(path, problem)| Failure::setup(format!("the jar {} {problem}", path.display())))
}

fn no_class(app: &App, class: &str, places: &[String]) -> Failure {
    Failure::hinted(
        format!(
            "{} cannot be started: the class {class} is in none of its jars ({})",
            app.name,
            places.join(", ")
        ),
        "correct `online_class` or `online_jar` under [engine], or add the jar to `spark.jars` in `conf`",
    )
}

/// Whether the app reads from Kafka: a topic with another scheme has a reader in the online jar.
fn needs_kafka(context: &Project, app: &App) -> bool {
    let group_by = context.repo.group_bys.get(&app.asset.conf.name);
    let topics = group_by.into_iter().flat_map(|file| {
        let sources = file.conf.sources.iter();
        sources.filter_map(|source| source.topic())
    });
    let kafka = |topic: &str| match topic.split_once("://") {
        Some((scheme, _)) => scheme == "kafka",
        None => true,
    };
    topics.into_iter().any(kafka)
}
