//! One Spark that runs scripts side by side, each in a session of its own (`SessionHost.java`).
//!
//! *Why not* Spark's SQL shell: it runs one script at a time, so that each slot paid for a JVM of its own.
//! *Not* the Thrift server: a client of its protocol would be needed, and it gives no log per statement.
//! Spark Connect does not exist before Spark 3.4.
//!
//! What sessions share, and what follows:
//! - *the catalog's client*: what one session has written is seen by the next at once; each script has a new
//!   session, so none knows a listing of files from before its start;
//! - *the cache of tables*: what a script has cached is removed at its end, else a later script with the
//!   same query would be answered from it;
//! - *jars, files and global views*: a script that adds any gets a process of its own ([`is_alone`]);
//! - *memory*: a script that runs out of it ends the process. Its steps are tried again in
//!   processes of their own.

use std::{fs, path::Path};

use super::Spark;

/// The program of the host.
pub const SOURCE: &str = include_str!("SessionHost.java");
/// Compiles and runs it; among Spark's jars.
pub const CLASS: &str = "org.codehaus.janino.SimpleCompiler";
/// The class in [`SOURCE`].
pub const MAIN: &str = "SessionHost";

/// Whether this Spark has the compiler of the host.
#[must_use]
pub fn runs_on(spark: &Spark) -> bool {
    let names = fs::read_dir(spark.jars()).into_iter().flatten().flatten();
    let mut names = names.map(|entry| entry.file_name());
    names.any(|name| name.to_string_lossy().starts_with("janino-"))
}

/// Keys that may differ between the sessions of one process.
const OF_SESSION: [&str; 14] = [
    "spark.sql.adaptive.",
    "spark.sql.shuffle.partitions",
    "spark.sql.autoBroadcastJoinThreshold",
    "spark.sql.broadcastTimeout",
    "spark.sql.files.",
    "spark.sql.parquet.",
    "spark.sql.orc.",
    "spark.sql.ansi.",
    "spark.sql.legacy.timeParserPolicy",
    "spark.sql.optimizer.",
    "spark.sql.join.preferSortMergeJoin",
    "spark.sql.codegen.wholeStage",
    "spark.sql.cbo.",
    "spark.sql.caseSensitive",
];

/// What a session of its own has to be told so that a process that was started with `common` runs as one
/// with `conf` would; `None` if that cannot be done.
#[must_use]
pub fn session_conf(
    common: &[(String, String)],
    conf: &[(String, String)],
) -> Option<Vec<(String, String)>> {
    // Later values win.
    let value = |of: &[(String, String)], key: &str| {
        let found = of.iter().rev().find(|(known, _)| known == key);
        found.map(|(_, value)| value.clone())
    };
    if common.iter().any(|(key, _)| value(conf, key).is_none()) {
        return None;
    }
    let mut told = Vec::new();
    for (key, _) in conf {
        let wanted = value(conf, key)?;
        if value(common, key).as_ref() == Some(&wanted)
            || told.iter().any(|(known, _)| known == key)
        {
            continue;
        }
        OF_SESSION.iter().find(|prefix| key.starts_with(*prefix))?;
        told.push((key.clone(), wanted));
    }
    Some(told)
}

/// Whether a script does something that its neighbours in one process would see, or that only Spark's SQL
/// shell understands.
#[must_use]
pub fn is_alone(script: &str) -> bool {
    let upper = script.to_uppercase();
    let words: Vec<&str> = upper.split_whitespace().collect();
    let pairs = words.windows(2);
    let shared = pairs.into_iter().any(|pair| {
        let first = pair[0].rsplit(['(', ';']).next().unwrap_or(pair[0]);
        let second = pair[1];
        matches!(
            (first, second.trim_end_matches('S')),
            ("ADD", "JAR" | "FILE" | "ARCHIVE")
                | ("USING", "JAR" | "FILE" | "ARCHIVE")
                | ("GLOBAL", "TEMPORARY" | "TEMP")
                | ("CLEAR", "CACHE" | "CACHE;")
        )
    });
    let of_shell = ["SOURCE ", "!", "DFS ", "COMPILE "];
    shared
        || upper.lines().any(|line| {
            of_shell
                .iter()
                .any(|word| line.trim_start().starts_with(word))
        })
}

/// What a host is asked: `script`, run with `settings`, against the metastore at `uri`.
#[must_use]
pub fn request(
    script: &Path,
    name: &str,
    uri: &str,
    settings: &[(String, String)],
) -> Vec<(String, String)> {
    let mut fields = vec![
        ("script".to_owned(), script.display().to_string()),
        ("name".to_owned(), name.to_owned()),
        ("metastore".to_owned(), uri.to_owned()),
    ];
    let told = settings.iter();
    fields.extend(told.map(|(key, value)| (format!("set:{key}"), value.clone())));
    fields
}

/// Properties of Spark's SQL shell as fields of a request; `None` if one of them is none.
#[must_use]
pub fn options(properties: &[(String, String)]) -> Option<Vec<(String, String)>> {
    let field = |(key, value): &(String, String)| {
        let name = match key.as_str() {
            "spark.hadoop.hive.cli.errors.ignore" => "lenient",
            "spark.hadoop.hive.cli.print.header" | "spark.sql.cli.print.header" => "header",
            _ => return None,
        };
        Some((name.to_owned(), value.clone()))
    };
    properties.iter().map(field).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conf(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        pairs.iter().map(owned).collect()
    }

    #[test]
    fn only_settings_of_sessions_may_differ() {
        let common = conf(&[
            ("spark.driver.memory", "1g"),
            ("spark.sql.ansi.enabled", "false"),
        ]);
        let with = |more: &[(&str, &str)]| {
            let mut all = common.clone();
            all.extend(conf(more));
            session_conf(&common, &all)
        };
        assert_eq!(with(&[]), Some(Vec::new()));
        assert_eq!(
            with(&[
                ("spark.sql.shuffle.partitions", "7"),
                ("spark.sql.ansi.enabled", "true")
            ]),
            Some(conf(&[
                ("spark.sql.ansi.enabled", "true"),
                ("spark.sql.shuffle.partitions", "7")
            ]))
        );
        assert_eq!(with(&[("spark.driver.memory", "2g")]), None);
        assert_eq!(with(&[("spark.jars", "/x.jar")]), None);
        assert_eq!(
            session_conf(&common, &conf(&[])),
            None,
            "a key cannot be unset"
        );
    }

    #[test]
    fn scripts_that_neighbours_would_notice_are_alone() {
        for script in [
            "ADD JAR /x.jar;",
            "add  jars /x.jar;",
            "CREATE TEMPORARY FUNCTION f AS 'a.B' USING JAR '/x.jar';",
            "CREATE GLOBAL TEMPORARY VIEW v AS SELECT 1;",
            "CLEAR CACHE;",
            "!ls;",
            "SELECT 1;\n source /x.sql;",
        ] {
            assert!(is_alone(script), "{script}");
        }
        assert!(!is_alone(
            "CREATE TABLE a.b USING PARQUET AS\nSELECT source, jar FROM x.y;"
        ));
    }
}
