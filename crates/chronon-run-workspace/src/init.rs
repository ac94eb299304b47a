//! The first `workspace.toml` of an existing Chronon repo.

use chronon_run_core::TableName;

/// What `chronon-run init` found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RepoFacts {
    /// The repo's folder, as seen from the folder of the new file; `.` if it is the same.
    pub repo: String,
    /// The teams of `teams.json`.
    pub teams: Vec<String>,
    /// The tables that the confs read and none of them produces.
    pub sources: Vec<TableName>,
}

const HEAD: &str = "\
# What chronon-run needs to know besides the confs and teams.json. Every key is optional; lines
# that start with `#` show a default or an example. `chronon-run check` says what is wrong here.
";

const MIDDLE: &str = r#"
[engine]
kind = "sql"                   # Spark SQL, needs no jar; "chronon" is the real engine
master = "local[*]"            # or "yarn", "spark://host:7077", "k8s://…"
# chronon_jar = "jars/spark_uber_2.12-0.0.113-assembly.jar"
# spark_home = "/opt/spark"    # without it Spark is found or installed
conf = { "spark.sql.shuffle.partitions" = "4" }

[catalog]
kind = "embedded"              # a Hive metastore of the workspace's own
# kind = "hive"                # yours
# uri = "thrift://metastore:9083"

[run]
jobs = 2                       # steps at once
# retries = 1
# retry_delay = "1m"
# timeout = "4d"
# step_days = 30               # at most so many days per step
# on_failure = "continue"      # or "stop"
# join_flow = "whole"          # or "modular": left, parts side by side, output
"#;

/// The commented `workspace.toml` that `chronon-run init` writes. It loads as it is, if the
/// folder `facts.repo` exists.
#[must_use]
pub fn init_text(facts: &RepoFacts) -> String {
    [
        HEAD.to_owned(),
        workspace(&facts.repo),
        MIDDLE.to_owned(),
        sources(&facts.sources),
        overrides(&facts.teams),
    ]
    .concat()
}

fn workspace(repo: &str) -> String {
    let repo = if repo.is_empty() { "." } else { repo };
    let repo = toml::Value::from(repo).to_string();
    format!(
        "
[workspace]
repo = {repo}                     # holds teams.json and production/
env = \"production\"             # which block of teams.json
timezone = \"UTC\"               # where a day ends
# as_of = \"2026-01-30\"         # the last closed day; without it: yesterday
"
    )
}

/// One commented seed and one commented source for each table that has to come from elsewhere.
fn sources(tables: &[TableName]) -> String {
    let mut out = String::from(
        "
# Tables that the confs read and none of them makes. They must be in the catalog, or be loaded
# from small files as seeds:
# [seeds]
",
    );
    let example = || "data.purchases".to_owned();
    let names: Vec<String> = tables.iter().map(ToString::to_string).collect();
    let names = if names.is_empty() {
        vec![example()]
    } else {
        names
    };
    for name in &names {
        out.push_str(&format!("# \"{name}\" = \"data/{name}.csv\"\n"));
    }
    out.push_str(&format!(
        "
# Days of a source that will never land, and how late it usually is:
# [sources.\"{}\"]
# missing = [\"2026-01-12\", \"2026-01-14..2026-01-16\"]
# lands_after = \"3h\"
",
        names[0]
    ));
    out
}

fn overrides(teams: &[String]) -> String {
    let is_plain = |team: &&String| {
        !team.is_empty()
            && *team != "default"
            && team
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
    };
    let teams: Vec<_> = teams.iter().filter(is_plain).collect();
    let team = teams.first().map_or("search", |team| team.as_str());
    let known: Vec<_> = teams.iter().map(|team| team.as_str()).collect();
    let known = if known.is_empty() {
        String::new()
    } else {
        format!(" Teams here: {}.", known.join(", "))
    };
    format!(
        "
# Settings of some assets; later ones win.{known}
# [[override]]
# select = \"team:{team} type:join\"
# step_days = 7

# Commands that are run when something has happened: lists of words, never shell strings.
# [hooks]
# kv_upload = [\"python3\", \"hooks/load_redis.py\", \"{{table}}\", \"{{ds}}\", \"{{dataset}}\"]
# on_failure = [\"python3\", \"hooks/notify.py\", \"{{asset}}\"]
"
    )
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;
    use crate::Workspace;

    fn facts() -> RepoFacts {
        RepoFacts {
            repo: ".".to_owned(),
            teams: vec![
                "default".to_owned(),
                "search".to_owned(),
                "bad\nteam".to_owned(),
            ],
            sources: ["data.purchases", "data.users"]
                .map(|name| name.parse().unwrap())
                .to_vec(),
        }
    }

    fn load(folder: &Path, text: &str) -> Workspace {
        let file = folder.join("workspace.toml");
        fs::write(&file, text).unwrap();
        let loaded = Workspace::load(&file).unwrap();
        assert_eq!(loaded.warnings, []);
        loaded.workspace
    }

    #[test]
    fn the_first_file_loads_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("it's a \"repo\"")).unwrap();
        for repo in ["", ".", "it's a \"repo\""] {
            let facts = RepoFacts {
                repo: repo.to_owned(),
                ..facts()
            };
            let workspace = load(folder.path(), &init_text(&facts));
            assert_eq!(
                workspace.repo,
                std::path::absolute(folder.path().join(repo)).unwrap()
            );
        }
        load(folder.path(), &init_text(&RepoFacts::default()));
    }

    #[test]
    fn its_commented_lines_load_too() {
        let folder = tempfile::tempdir().unwrap();
        for file in [
            "data/data.purchases.csv",
            "data/data.users.csv",
            "opt",
            "jars/x",
        ] {
            let file = folder.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "").unwrap();
        }
        let text = init_text(&facts());
        let mut uncommented = String::new();
        for line in text.lines() {
            let code = line.strip_prefix("# ").filter(|rest| {
                rest.starts_with('[')
                    || rest
                        .split_once(" = ")
                        .is_some_and(|(key, _)| !key.contains(' '))
            });
            // Another way to say what the line above says, or a path of another machine.
            let other = line.starts_with("# kind") || line.starts_with("# uri");
            let other = other || line.contains("_jar = ") || line.contains("spark_home");
            uncommented.push_str(if other { "" } else { code.unwrap_or(line) });
            uncommented.push('\n');
        }
        let workspace = load(folder.path(), &uncommented);
        assert_eq!(workspace.seeds.len(), 2);
        assert_eq!(workspace.overrides[0].select, "team:search type:join");
        assert_eq!(workspace.sources.len(), 1);
        assert_eq!(workspace.hooks.kv_upload.unwrap().len(), 5);
    }

    #[test]
    fn the_first_file() {
        insta::assert_snapshot!(init_text(&facts()));
    }
}
