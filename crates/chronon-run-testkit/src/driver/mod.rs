//! What `ai.chronon.spark.Driver` does to tables, step by step and without data.
//!
//! Invariant: [`run`] is pure. It sees partitions, not rows: whether a day has rows comes from
//! [`Facts`], and follows for outputs from their inputs. Where the facts tell the rows of a left table,
//! values are written as well, as properties of the tables. Known limits: a staging query has rows where its first dependency has.

mod archive;
mod args;
mod facts;
mod group_by;
mod join;
mod label;
mod logs;
mod parts;
mod sql_model;
mod staging;
mod unfilled;
mod values;
mod world;

use std::path::Path;

use chronon_run_conf::{GroupBy, Join, StagingQuery};
use chronon_run_core::CatalogSnapshot;
use serde::de::DeserializeOwned;

pub use args::{ArgsError, DriverArgs};
pub(crate) use facts::Failure;
pub use facts::{Facts, LeftRow};
pub use sql_model::run_sql;
pub use unfilled::{InvalidRange, unfilled_ranges};
pub use values::{Landed, Values, at_time, day_end, labels, labels_of, landed_of, values_of};
pub use world::{Commit, Write};
pub(crate) use world::{DS, UPLOADED_DAY, UPLOADED_ROWS};

use world::World;

/// What a Driver run did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// Writes in the order in which they became visible; those before a failure stay (§5.1).
    pub commits: Vec<Commit>,
    /// The exit code (§5.7).
    pub exit: i32,
    /// What the log would end with.
    pub message: String,
}

/// Runs the Driver with the arguments after its jar, in a repo at `cwd`, on a catalog.
#[must_use]
pub fn run(argv: &[String], cwd: &Path, catalog: &CatalogSnapshot, facts: &Facts) -> Outcome {
    let args = match DriverArgs::parse(argv) {
        Ok(args) => args,
        Err(ArgsError::Help) => return ended(Vec::new(), 0, "usage"),
        Err(error) => return ended(Vec::new(), 1, &error.to_string()),
    };
    let mut world = World::new(catalog, facts);
    let result = dispatch(&mut world, &args, cwd);
    let commits = world.into_commits();
    match result {
        Ok(message) => ended(commits, 0, &message),
        Err(failure) => ended(commits, 1, &failure.to_string()),
    }
}

fn ended(commits: Vec<Commit>, exit: i32, message: &str) -> Outcome {
    Outcome {
        commits,
        exit,
        message: message.to_owned(),
    }
}

fn dispatch(world: &mut World, args: &DriverArgs, cwd: &Path) -> Result<String, Failure> {
    let path = cwd.join(&args.conf_path);
    match args.subcommand.as_str() {
        "staging-query-backfill" => staging::backfill(world, &conf::<StagingQuery>(&path)?, args),
        "group-by-backfill" => group_by::backfill(world, &conf::<GroupBy>(&path)?, args),
        "group-by-upload" => group_by::upload(world, &conf::<GroupBy>(&path)?, args),
        "join" | "join-left" | "join-final" => {
            let join = conf::<Join>(&path)?;
            world.hashes = hashes(&path, &join)?;
            match args.subcommand.as_str() {
                "join" => join::whole(world, &join, args),
                "join-left" => join::left(world, &join, args),
                _ => join::last(world, &join, args),
            }
        }
        "model-transform-batch" => join::model_transform(world, &conf::<Join>(&path)?, args),
        "label-join" => label::label_join(world, &conf::<Join>(&path)?, args),
        "log-flattener" => logs::flatten(world, &conf::<Join>(&path)?, args),
        "stats-summary" => logs::stats(world, &conf::<Join>(&path)?, args, ""),
        "log-summary" => logs::stats(world, &conf::<Join>(&path)?, args, "_logged"),
        "consistency-metrics-compute" => logs::consistency(world, &conf::<Join>(&path)?, args),
        other => Ok(format!("{other} writes no table")),
    }
}

/// A conf of the right type; anything else is refused within seconds (engine-semantics 1 [1.2]).
fn conf<T: DeserializeOwned>(path: &Path) -> Result<T, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
    serde_json::from_str(&text).map_err(|error| {
        let path = path.display();
        Failure::new(format!(
            "Parsed Json object isn't reversible: {path}: {error}"
        ))
    })
}

fn hashes(path: &Path, join: &Join) -> Result<world::Hashes, Failure> {
    let tree: serde_json::Value = conf(path)?;
    Ok(archive::hashes_of(&tree, &join::output_of(join)?))
}
