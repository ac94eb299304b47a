//! Generates Chronon repos and catalogs of any size, for benchmarks and property tests.
//!
//! The same seed always gives the same files.

use std::path::{Path, PathBuf};

use chronon_run_core::{CatalogSnapshot, ConfType, Ds, PartitionRange, RangeSet, TableName};
use serde_json::{Value, json};

use crate::driver::Write;

/// What [`generate`] wrote.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Generated {
    /// The folder of `workspace.toml`, `teams.json` and `production/`.
    pub repo: PathBuf,
    /// The saved catalog snapshot.
    pub catalog: PathBuf,
    /// First day of every asset, inclusive.
    pub first: Ds,
    /// Last day, inclusive; the workspace's `as_of`.
    pub last: Ds,
}

/// First day of every generated asset.
const FIRST: &str = "2025-01-01";
/// History of the sources before that, for the longest window.
const HISTORY: i32 = 31;
/// Confs per team.
const TEAM_SIZE: usize = 50;
/// Windows in days, in turn.
const WINDOWS: [i32; 3] = [1, 7, 30];

/// Writes a repo of `assets` confs × `days` days below `dir`, with a catalog in which each output
/// lacks about a tenth of its days and the sources lack none.
///
/// A quarter of the confs are staging queries, a half GroupBys and a quarter joins. Every conf has
/// two inputs: a staging query two sources, a GroupBy a staging query and a source, a join a left
/// source and a GroupBy's source. Windows are 1, 7 and 30 days.
///
/// # Errors
/// If `dir` cannot be written.
pub fn generate(dir: &Path, assets: usize, days: u32, seed: u64) -> std::io::Result<Generated> {
    let first = FIRST.parse::<Ds>().unwrap_or(Ds::from_epoch_days(20_089));
    let span = i32::try_from(days).unwrap_or(i32::MAX).max(1);
    let last = first.plus(span - 1);
    let plan = Layout { assets, first };
    let mut catalog = CatalogSnapshot::default();
    let mut random = Random(seed);
    for source in 0..plan.sources() {
        let all = PartitionRange {
            start: first.plus(-HISTORY),
            end: last,
        };
        add(&mut catalog, &source_table(source), all.into());
    }
    for index in 0..assets {
        let conf = plan.conf(index);
        let path = dir
            .join("production")
            .join(conf.conf_type.folder())
            .join(&conf.team)
            .join(&conf.file);
        write(&path, &serde_json::to_string_pretty(&conf.tree)?)?;
        let all = PartitionRange {
            start: first,
            end: last,
        };
        add(&mut catalog, &conf.output, with_holes(all, &mut random));
    }
    let path = dir.join("catalog.json");
    write(&path, &serde_json::to_string(&catalog)?)?;
    write(&dir.join("teams.json"), &teams(assets).to_string())?;
    write(&dir.join("workspace.toml"), &workspace(last))?;
    Ok(Generated {
        repo: dir.to_owned(),
        catalog: path,
        first,
        last,
    })
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    std::fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
    std::fs::write(path, text)
}

fn add(catalog: &mut CatalogSnapshot, table: &str, days: RangeSet) {
    if let Ok(table) = table.parse::<TableName>() {
        // Alone, because a write looks at the partitions of all tables.
        let mut alone = CatalogSnapshot::default();
        Write::days(table, days).apply(&mut alone);
        // A catalog without columns tells of none that differ from the confs'.
        let states = alone.tables.values_mut().flatten();
        states.for_each(|state| state.info.columns.clear());
        catalog.tables.extend(alone.tables);
    }
}

/// splitmix64: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % n
    }
}

/// `all` without about a tenth of its days. The first day stays: without it the rest would be
/// a first hole (§5.1).
fn with_holes(all: PartitionRange, random: &mut Random) -> RangeSet {
    let first = RangeSet::from(PartitionRange::day(all.start));
    let rest = all.iter().skip(1).filter(|_| random.below(10) != 0);
    first.union(&rest.collect())
}

fn source_table(index: usize) -> String {
    format!("lake.source_{index:04}")
}

fn workspace(last: Ds) -> String {
    format!(
        "[workspace]\nrepo = \".\"\nenv = \"production\"\ntimezone = \"UTC\"\nas_of = \"{last}\"\n\n\
         [engine]\nkind = \"sql\"\n\n[catalog]\nkind = \"embedded\"\n"
    )
}

fn teams(assets: usize) -> Value {
    let mut teams = json!({"default": {"namespace": "bench_out", "common_env": {"JOB_MODE": "local[2]"}, "production": {}}});
    for team in 0..=assets / TEAM_SIZE {
        let settings =
            json!({"namespace": "bench_out", "production": {"backfill": {"EXECUTOR_CORES": "2"}}});
        teams[format!("team_{team:03}")] = settings;
    }
    teams
}

/// Which conf is what.
struct Layout {
    assets: usize,
    first: Ds,
}

struct Conf {
    conf_type: ConfType,
    team: String,
    file: String,
    output: String,
    tree: Value,
}

impl Layout {
    fn sources(&self) -> usize {
        self.assets.div_ceil(2) + 1
    }

    fn staging(&self) -> usize {
        self.assets / 4
    }

    fn group_bys(&self) -> usize {
        self.assets / 2
    }

    /// The conf at `index`: staging queries first, then GroupBys, then joins.
    fn conf(&self, index: usize) -> Conf {
        let group_bys = self.staging() + self.group_bys();
        if index < self.staging() {
            named(index, ConfType::StagingQuery, self.staging_query(index))
        } else if index < group_bys {
            named(index, ConfType::GroupBy, self.group_by(index))
        } else {
            named(index, ConfType::Join, self.join(index))
        }
    }

    fn staging_query(&self, index: usize) -> Value {
        let tables = [self.source_for(index), self.source_for(index + 1)];
        let [one, other] = &tables;
        let mut meta_data = meta_data(index);
        meta_data["dependencies"] = tables
            .iter()
            .map(|table| format!("{table}/ds={{{{ ds }}}}"))
            .collect();
        json!({
            "metaData": meta_data,
            "query": format!(
                "SELECT a.user_id, a.amount, b.kind, a.ts, a.ds FROM {one} a LEFT JOIN {other} b ON a.user_id = b.user_id AND a.ds = b.ds \
                 WHERE a.ds BETWEEN '{{{{ start_date }}}}' AND '{{{{ end_date }}}}'"
            ),
            "startPartition": self.first.to_string(),
        })
    }

    fn source_for(&self, index: usize) -> String {
        source_table(index % self.sources())
    }

    fn group_by(&self, index: usize) -> Value {
        let staged = match self.staging() {
            0 => self.source_for(index + 1),
            staging => output_of(index % staging),
        };
        let window = WINDOWS[index % WINDOWS.len()];
        let aggregation = |operation: i32| {
            json!({
                "inputColumn": "amount", "operation": operation, "argMap": {},
                "windows": [{"length": window, "timeUnit": 1}]
            })
        };
        json!({
            "metaData": meta_data(index),
            "sources": [self.events(&staged, &["amount"]), self.events(&self.source_for(index), &["amount"])],
            "keyColumns": ["user_id"],
            "aggregations": [aggregation(6), aggregation(7)],
            "accuracy": i32::from(index.is_multiple_of(2)),
            "backfillStartDate": self.first.to_string(),
        })
    }

    fn events(&self, table: &str, columns: &[&str]) -> Value {
        let mut selects = json!({"user_id": "user_id"});
        for column in columns {
            selects[*column] = json!(column);
        }
        let start = self.first.plus(-HISTORY).to_string();
        json!({"events": {"table": table, "query": {
            "selects": selects, "startPartition": start, "timeColumn": "ts", "setups": []
        }}})
    }

    fn join(&self, index: usize) -> Value {
        let mut left = self.events(&self.source_for(index), &["kind"]);
        left["events"]["query"]["startPartition"] = json!(self.first.to_string());
        let parts: Vec<Value> = match self.group_bys() {
            0 => Vec::new(),
            count => vec![json!({"groupBy": self.group_by(self.staging() + index % count)})],
        };
        json!({"metaData": meta_data(index), "left": left, "joinParts": parts})
    }
}

fn named(index: usize, conf_type: ConfType, tree: Value) -> Conf {
    Conf {
        conf_type,
        team: team_of(index),
        file: file_of(index),
        output: output_of(index),
        tree,
    }
}

fn team_of(index: usize) -> String {
    format!("team_{:03}", index / TEAM_SIZE)
}

fn file_of(index: usize) -> String {
    format!("conf_{index:05}.v1")
}

fn output_of(index: usize) -> String {
    let name = format!("{}.{}", team_of(index), file_of(index));
    format!("bench_out.{}", chronon_run_core::clean(&name))
}

fn meta_data(index: usize) -> Value {
    json!({
        "name": format!("{}.{}", team_of(index), file_of(index)),
        "team": team_of(index),
        "outputNamespace": "bench_out",
        "dependencies": [],
        "tableProperties": {},
        "offlineSchedule": "@daily",
    })
}

#[cfg(test)]
mod tests {
    use chronon_run_conf::{GroupBy, Join, StagingQuery};

    use super::*;

    fn files(folder: &Path) -> Vec<PathBuf> {
        let teams = std::fs::read_dir(folder)
            .unwrap()
            .map(|team| team.unwrap().path());
        teams
            .flat_map(|team| {
                std::fs::read_dir(team)
                    .unwrap()
                    .map(|file| file.unwrap().path())
            })
            .collect()
    }

    fn all<T: serde::de::DeserializeOwned>(repo: &Path, folder: &str) -> Vec<T> {
        let files = files(&repo.join("production").join(folder));
        files
            .iter()
            .map(|file| serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap())
            .collect()
    }

    #[test]
    fn two_hundred_assets_with_a_tenth_of_holes() {
        let folder = tempfile::tempdir().unwrap();
        let generated = generate(folder.path(), 200, 365, 1).unwrap();
        assert_eq!(
            all::<StagingQuery>(folder.path(), "staging_queries").len(),
            50
        );
        assert_eq!(all::<GroupBy>(folder.path(), "group_bys").len(), 100);
        let joins = all::<Join>(folder.path(), "joins");
        assert_eq!(joins.len(), 50);

        let text = std::fs::read(&generated.catalog).unwrap();
        let catalog: CatalogSnapshot = serde_json::from_slice(&text).unwrap();
        let outputs = catalog
            .tables
            .keys()
            .filter(|table| table.namespace() == "bench_out");
        let filled: u64 = outputs
            .map(|table| catalog.days(table, "ds", &[]).days())
            .sum();
        let share = filled as f64 / (200.0 * 365.0);
        assert!((0.89..0.91).contains(&share), "{share}");
        assert_eq!(generated.last.to_string(), "2025-12-31");
        for join in &joins {
            let copy = &join.join_parts[0].group_by;
            let file = copy.meta_data.name.split_once('.').unwrap();
            let path = folder
                .path()
                .join("production/group_bys")
                .join(file.0)
                .join(file.1);
            let standalone: GroupBy =
                serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
            assert_eq!(*copy, standalone, "embedded copies have not drifted");
        }
    }

    #[test]
    fn the_seed_decides() {
        let catalog = |seed| {
            let folder = tempfile::tempdir().unwrap();
            let generated = generate(folder.path(), 10, 100, seed).unwrap();
            std::fs::read_to_string(generated.catalog).unwrap()
        };
        assert_eq!(catalog(1), catalog(1));
        assert_ne!(catalog(1), catalog(2));
    }
}
