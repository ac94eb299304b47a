//! A command line → which engine, which asset, what would be written.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use chronon_run_core::{
    AssetId, AssetKind, CatalogSnapshot, ConfType, PartitionRange, RangeSet, TableName,
};
use serde_json::Value;

use crate::driver::{
    self, Commit, DS, DriverArgs, Facts, Outcome, UPLOADED_DAY, UPLOADED_ROWS, Write,
};

/// What a `spark-submit` command line asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Call {
    /// `--version`.
    Version,
    /// Spark's SQL class with a script.
    Sql {
        /// The script.
        script: PathBuf,
    },
    /// Chronon's Driver: what follows the jar.
    Driver {
        /// Subcommand and options.
        args: Vec<String>,
    },
    /// Some other class; it writes nothing.
    Other {
        /// Its name.
        class: String,
    },
}

/// A command line that spark-submit itself would refuse, or a script that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No `--class`.
    #[error("Missing application resource: there is no --class")]
    NoClass,
    /// The SQL class without `-f`.
    #[error("the SQL class needs -f <script>")]
    NoScript,
    /// A script.
    #[error("{0}: {1}")]
    Script(PathBuf, std::io::Error),
    /// A header line of a script.
    #[error("{0}: cannot read the header line `{1}`")]
    Header(PathBuf, String),
}

const DRIVER: &str = "ai.chronon.spark.Driver";
const SQL: &str = "org.apache.spark.sql.hive.thriftserver.SparkSQLCLIDriver";

impl Call {
    /// Reads the arguments after the program's name.
    ///
    /// # Errors
    /// [`CallError`] if there is nothing to start.
    pub fn parse(argv: &[String]) -> Result<Self, CallError> {
        if argv.iter().any(|argument| argument == "--version") {
            return Ok(Self::Version);
        }
        let class = argv.iter().position(|argument| argument == "--class");
        let class = class.ok_or(CallError::NoClass)?;
        let (name, rest) = argv[class + 1..].split_first().ok_or(CallError::NoClass)?;
        match name.as_str() {
            DRIVER => Ok(Self::Driver {
                args: rest.iter().skip(1).cloned().collect(),
            }),
            SQL => {
                let option = rest.iter().position(|argument| argument == "-f");
                let script = option.and_then(|index| rest.get(index + 1));
                let script = script.ok_or(CallError::NoScript)?.into();
                Ok(Self::Sql { script })
            }
            other => Ok(Self::Other {
                class: other.to_owned(),
            }),
        }
    }

    /// The Driver's subcommand, or `sql`.
    #[must_use]
    pub fn subcommand(&self) -> &str {
        match self {
            Self::Sql { .. } => "sql",
            Self::Driver { args } => args.first().map(String::as_str).unwrap_or_default(),
            Self::Version | Self::Other { .. } => "",
        }
    }

    /// The asset that the call is for, if it can be told.
    #[must_use]
    pub fn asset(&self, cwd: &Path) -> Option<AssetId> {
        match self {
            Self::Sql { script } => header(script).ok()?.asset,
            Self::Driver { args } => driver_asset(args, cwd),
            Self::Version | Self::Other { .. } => None,
        }
    }

    /// The tables that it counts the rows of.
    #[must_use]
    pub fn counts(&self) -> Vec<String> {
        match self {
            Self::Sql { script } => counted_tables(script),
            _ => Vec::new(),
        }
    }

    /// What the real thing would write.
    ///
    /// # Errors
    /// [`CallError`] if a SQL script cannot be read.
    pub fn outcome(
        &self,
        cwd: &Path,
        catalog: &CatalogSnapshot,
        facts: &Facts,
    ) -> Result<Outcome, CallError> {
        Ok(match self {
            Self::Driver { args } => driver::run(args, cwd, catalog, facts),
            Self::Sql { script } => Outcome {
                commits: header(script)?.commits,
                exit: 0,
                message: counted(script, catalog, facts)?
                    .unwrap_or_else(|| "Time taken: 0.1 seconds".to_owned()),
            },
            Self::Version | Self::Other { .. } => Outcome {
                commits: Vec::new(),
                exit: 0,
                message: "version 3.3.1".to_owned(),
            },
        })
    }
}

/// What the comments at the head of a step's script say:
/// `-- step: <asset id> <start>..<end>`, then `-- writes: <table> [<ranges>]` per table.
#[derive(Debug, Default)]
struct Header {
    asset: Option<AssetId>,
    commits: Vec<Commit>,
}

fn header(script: &Path) -> Result<Header, CallError> {
    let mut header = Header::default();
    let mut range = RangeSet::new();
    for line in &comments(script)? {
        let bad = || CallError::Header(script.to_owned(), line.to_owned());
        if let Some(step) = line.strip_prefix("-- step: ") {
            let (asset, days) = step.rsplit_once(' ').unwrap_or((step, ""));
            header.asset = asset.trim().parse().ok();
            range = ranges(days).unwrap_or_default();
        } else if let Some(table) = line.strip_prefix("-- writes: ") {
            let (table, days) = table.split_once(' ').unwrap_or((table, ""));
            let table: TableName = table.trim_end_matches(':').parse().map_err(|_| bad())?;
            // Words after the table are for people, unless they are ranges.
            let days = ranges(days).unwrap_or_else(|| range.clone());
            header.commits.push(Commit {
                writes: vec![Write::days(table, days)],
            });
        }
    }
    Ok(header)
}

/// What a script that counts rows prints, by the comments at its head: `-- rows: <day> <table>
/// <days>`, `-- labels:` likewise, and `-- upload: <table>`. `None` if it counts nothing.
fn counted(
    script: &Path,
    catalog: &CatalogSnapshot,
    facts: &Facts,
) -> Result<Option<String>, CallError> {
    let mut lines: BTreeMap<String, u64> = BTreeMap::new();
    for line in comments(script)? {
        if let Some(table) = line.strip_prefix("-- upload: ") {
            let state = table.parse().ok().and_then(|table| catalog.table(&table));
            let property = |name: &str| state?.info.properties.get(name).cloned();
            if let (Some(day), Some(rows)) = (property(UPLOADED_DAY), property(UPLOADED_ROWS)) {
                lines.insert(day, rows.parse().unwrap_or(0));
            }
        }
        let all = line.strip_prefix("-- labels: ");
        let Some(counted) = line.strip_prefix("-- rows: ").or(all) else {
            continue;
        };
        let mut words = counted.splitn(3, ' ');
        let (Some(day), Some(Ok(table)), Some(Some(days))) = (
            words.next(),
            words.next().map(str::parse::<TableName>),
            words.next().map(ranges),
        ) else {
            continue;
        };
        let empty = facts.empty.get(&table).cloned().unwrap_or_default();
        let rows = catalog
            .days(&table, DS, &[])
            .minus(&empty)
            .intersect(&days)
            .days();
        let known = lines.get(day).copied();
        let rows = match (all, known) {
            (Some(_), Some(known)) => known.min(rows),
            (_, known) => known.unwrap_or(0) + rows,
        };
        lines.insert(day.to_owned(), rows);
    }
    let answers: String = lines
        .iter()
        .map(|(day, rows)| format!("chronon-run-rows {day} {rows}\n"))
        .collect();
    Ok((!lines.is_empty()).then(|| format!("{answers}chronon-run-rows-done")))
}

/// The lines at the head of a script that are comments.
fn comments(script: &Path) -> Result<Vec<String>, CallError> {
    let text = std::fs::read_to_string(script);
    let text = text.map_err(|error| CallError::Script(script.to_owned(), error))?;
    let head = text
        .lines()
        .take_while(|line| line.starts_with("--") || line.is_empty());
    Ok(head.map(str::to_owned).collect())
}

/// The tables that a script says that it counts.
fn counted_tables(script: &Path) -> Vec<String> {
    let lines = comments(script).unwrap_or_default();
    let table = |line: &String| {
        let counted = line
            .strip_prefix("-- rows: ")
            .or(line.strip_prefix("-- labels: "));
        let counted = counted.and_then(|rest| rest.split(' ').nth(1));
        counted
            .or(line.strip_prefix("-- upload: "))
            .map(str::to_owned)
    };
    lines.iter().filter_map(table).collect()
}

/// `2026-01-01..2026-01-05, 2026-01-07`; `None` if it is anything else.
fn ranges(text: &str) -> Option<RangeSet> {
    text.split(',')
        .map(|range| {
            let range = range.trim();
            let (from, to) = range.split_once("..").unwrap_or((range, range));
            PartitionRange::new(from.parse().ok()?, to.parse().ok()?)
        })
        .collect()
}

fn driver_asset(args: &[String], cwd: &Path) -> Option<AssetId> {
    let parsed = DriverArgs::parse(args).ok()?;
    let conf: Value =
        serde_json::from_slice(&std::fs::read(cwd.join(&parsed.conf_path)).ok()?).ok()?;
    let name = conf["metaData"]["name"].as_str()?;
    let (conf_type, step) = match parsed.subcommand.as_str() {
        "staging-query-backfill" => (ConfType::StagingQuery, AssetKind::Backfill),
        "group-by-backfill" => (ConfType::GroupBy, AssetKind::Backfill),
        "group-by-upload" => (ConfType::GroupBy, AssetKind::Upload),
        "group-by-streaming" => (ConfType::GroupBy, AssetKind::Streaming),
        "join" => match parsed.selected_parts.first() {
            Some(part) => (ConfType::Join, AssetKind::Part(part.clone())),
            None => (ConfType::Join, AssetKind::Backfill),
        },
        "join-left" => (ConfType::Join, AssetKind::Left),
        "join-final" => (ConfType::Join, AssetKind::Final),
        "model-transform-batch" => (ConfType::Join, AssetKind::ModelTransform),
        "consistency-metrics-compute" => (ConfType::Join, AssetKind::Consistency),
        other => (ConfType::Join, other.parse().ok()?),
    };
    Some(AssetId::new(conf_type, name, step))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argv(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn both_engines_are_understood() {
        let driver = argv(
            "--conf a=b --master local --class ai.chronon.spark.Driver /c.jar join --conf-path=p --end-date=2026-01-01",
        );
        assert_eq!(
            Call::parse(&driver).unwrap(),
            Call::Driver {
                args: argv("join --conf-path=p --end-date=2026-01-01")
            }
        );
        let sql = argv(&format!(
            "--class {SQL} --conf a=b spark-internal -f /x/step.sql"
        ));
        assert_eq!(
            Call::parse(&sql).unwrap(),
            Call::Sql {
                script: "/x/step.sql".into()
            }
        );
        assert!(Call::parse(&argv("--master local")).is_err());
    }

    #[test]
    fn a_script_says_what_it_writes() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("step.sql");
        let text = "-- step: join/a.b.v1/backfill 2026-01-01..2026-01-03\n-- writes: ns.o\n\
                    -- writes: ns.seed 2026-01-01, 2026-01-03..2026-01-04\n\nSELECT 1;\n-- writes: ns.no\n";
        std::fs::write(&script, text).unwrap();
        let header = header(&script).unwrap();
        assert_eq!(header.asset.unwrap().to_string(), "join/a.b.v1/backfill");
        let days: Vec<_> = header
            .commits
            .iter()
            .map(|commit| match &commit.writes[0] {
                Write::Partitions { table, days, .. } => format!("{table} {days}"),
                other => format!("{other:?}"),
            })
            .collect();
        assert_eq!(
            days,
            [
                "ns.o 2026-01-01..2026-01-03",
                "ns.seed 2026-01-01, 2026-01-03..2026-01-04"
            ]
        );
    }
}
