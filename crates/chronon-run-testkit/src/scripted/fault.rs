//! Faults by script: which call, and what goes wrong.

use chronon_run_core::{AssetId, Ds, PartitionRange, RangeSet, TableName};
use serde::{Deserialize, Serialize};

use crate::driver::{Commit, Write};

/// How much of its output a faulty call still writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    /// All of it.
    #[default]
    All,
    /// Nothing.
    None,
    /// The first `n` days, in every table.
    Days(u32),
    /// All of it, and so many days after the last, in every table.
    More(u32),
}

/// One fault. A call meets the first fault whose conditions all hold.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fault {
    /// Only calls for this asset.
    pub asset: Option<AssetId>,
    /// Only calls that would write this table.
    pub table: Option<TableName>,
    /// Only this Driver subcommand, or `sql`.
    pub subcommand: Option<String>,
    /// Only calls that would write this day of any table.
    pub day: Option<Ds>,
    /// Only the `nth` call that meets the conditions above, counted from 1.
    pub nth: Option<u32>,
    /// What is still written.
    pub output: Output,
    /// The exit code instead of the true one.
    pub exit: Option<i32>,
    /// What it prints to stderr before it does anything, as a line or several of Spark's log.
    pub says: String,
    /// Never ends by itself.
    pub hang: bool,
    /// Does not end at SIGTERM.
    pub ignore_term: bool,
    /// Leaves a grandchild that holds its output open.
    pub fork: bool,
    /// How long it takes, spread over what it writes.
    pub slow_millis: u64,
}

impl Fault {
    /// Whether a call meets the conditions other than [`Fault::nth`].
    #[must_use]
    pub fn matches(&self, asset: Option<&AssetId>, subcommand: &str, commits: &[Commit]) -> bool {
        let wanted_table = |table: &TableName| {
            let mut writes = commits.iter().flat_map(|commit| &commit.writes);
            writes.any(|write| write.table() == table)
        };
        let wanted_day = |ds: &Ds| {
            let mut writes = commits.iter().flat_map(|commit| &commit.writes);
            writes
                .any(|write| matches!(write, Write::Partitions { days, .. } if days.contains(*ds)))
        };
        self.asset
            .as_ref()
            .is_none_or(|wanted| Some(wanted) == asset)
            && self.day.as_ref().is_none_or(wanted_day)
            && self
                .subcommand
                .as_ref()
                .is_none_or(|wanted| wanted == subcommand)
            && self.table.as_ref().is_none_or(wanted_table)
    }
}

/// What is left of the commits of a call that stops early. Days count in the table that is
/// written last, so that a join that crashes after two days leaves two days of its output and
/// the same days of its parts.
#[must_use]
pub fn cut(commits: Vec<Commit>, output: Output) -> Vec<Commit> {
    let days = match output {
        Output::All => return commits,
        Output::None => return Vec::new(),
        Output::Days(days) => days,
        Output::More(more) => return with_days(commits, &|days| later(days, more)),
    };
    let Some(last) = last_day(&commits, days) else {
        return Vec::new();
    };
    let until = PartitionRange::new(Ds::from_epoch_days(i32::MIN), last);
    with_days(commits, &|days| days.intersect(&until.into()))
}

/// The commits with other days of their partitions.
fn with_days(commits: Vec<Commit>, other: &dyn Fn(&RangeSet) -> RangeSet) -> Vec<Commit> {
    let changed = |write: Write| match write {
        Write::Partitions {
            table,
            others,
            column,
            days,
        } => Write::Partitions {
            days: other(&days),
            table,
            others,
            column,
        },
        write => write,
    };
    let commit = |commit: Commit| Commit {
        writes: commit.writes.into_iter().map(changed).collect(),
    };
    commits.into_iter().map(commit).collect()
}

/// The days and `more` after the last.
fn later(days: &RangeSet, more: u32) -> RangeSet {
    let more = i32::try_from(more).unwrap_or(i32::MAX);
    let range = days
        .last()
        .and_then(|last| PartitionRange::new(last, last.plus(more)));
    days.union(&range.into())
}

/// The `n`th day of the table that is written last.
fn last_day(commits: &[Commit], n: u32) -> Option<Ds> {
    let main = commits.last()?.writes.last()?.table();
    let writes = commits.iter().flat_map(|commit| &commit.writes);
    let days = writes
        .filter(|write| write.table() == main)
        .fold(RangeSet::new(), |all, write| match write {
            Write::Partitions { days, .. } => all.union(days),
            _ => all,
        });
    days.iter()
        .nth(usize::try_from(n.checked_sub(1)?).ok()?)
        .or(days.last())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_leaves_the_first_days() {
        let days = |from: i32, to: i32| {
            RangeSet::from(PartitionRange::new(
                Ds::from_epoch_days(from),
                Ds::from_epoch_days(to),
            ))
        };
        let commit = |table: &str, days: RangeSet| Commit {
            writes: vec![Write::days(table.parse().unwrap(), days)],
        };
        let all = vec![
            commit("a.part", days(0, 4)),
            commit("a.o", days(1, 5)),
            commit("a.part", days(5, 9)),
            commit("a.o", days(6, 10)),
        ];
        let left = cut(all.clone(), Output::Days(7));
        let wanted = vec![
            commit("a.part", days(0, 4)),
            commit("a.o", days(1, 5)),
            commit("a.part", days(5, 7)),
            commit("a.o", days(6, 7)),
        ];
        assert_eq!(left, wanted);
        assert_eq!(cut(all.clone(), Output::None), vec![]);
        assert_eq!(cut(all.clone(), Output::Days(0)), vec![]);
        assert_eq!(cut(all.clone(), Output::All), all);
        let more = cut(vec![commit("a.o", days(1, 5))], Output::More(2));
        assert_eq!(more, vec![commit("a.o", days(1, 7))]);
    }

    #[test]
    fn faults_read_as_people_write_them() {
        let faults: Vec<Fault> = serde_json::from_str(
            r#"[{"asset": "join/a.b/backfill", "nth": 1, "exit": 137, "output": "none"}, {"output": {"days": 3}, "hang": true}]"#,
        )
        .unwrap();
        assert_eq!(faults[0].output, Output::None);
        assert_eq!(faults[1].output, Output::Days(3));
        let asset = "join/a.b/backfill".parse().unwrap();
        assert!(faults[0].matches(Some(&asset), "join", &[]));
        assert!(!faults[0].matches(None, "join", &[]));
        assert!(serde_json::from_str::<Fault>(r#"{"exits": 1}"#).is_err());
    }
}
