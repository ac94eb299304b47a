//! How far each asset is: days by state, how fresh it is, how its last attempt went.

use std::collections::BTreeMap;

use chronon_run_core::{AssetId, Ds, PartitionRange, RangeSet, TableName};
use chronon_run_plan::{AssetPlan, Cause, Note, Plan, Reason, State};
use serde::Serialize;

use crate::reason_text;

/// What the ledger knows of an asset's last attempt.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct LastAttempt {
    /// Its run.
    pub run: String,
    /// The days that it was about.
    pub range: PartitionRange,
    /// When it ended, or else began, in milliseconds since the epoch.
    #[serde(serialize_with = "chronon_run_core::instant::seconds")]
    pub at: i64,
    /// How it ended, e.g. `exit code 1`.
    pub outcome: String,
}

/// What is known besides the plan.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The last attempt at each asset.
    pub last: BTreeMap<AssetId, LastAttempt>,
    /// Days whose last attempt failed.
    pub failing: BTreeMap<AssetId, RangeSet>,
    /// The day that each upload's table holds, and to which each load into the KV store has come.
    pub uploaded: BTreeMap<AssetId, Ds>,
}

/// How far one asset is. Every day asked for is in one of the sets.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct AssetStatus {
    /// The asset.
    pub asset: AssetId,
    /// Its table.
    pub table: TableName,
    /// Filled days that are up to date, as far as is known.
    pub done: RangeSet,
    /// Filled days that are out of date.
    pub stale: RangeSet,
    /// Days that are known to have no rows.
    pub empty: RangeSet,
    /// Filled days without a record of the conf and the inputs that they were made from.
    pub unrecorded: RangeSet,
    /// Why days are out of date, oldest first.
    pub why_stale: Vec<StaleDays>,
    /// Days that could be filled, and whose last attempt failed.
    pub failed: RangeSet,
    /// Other days that could be filled.
    pub missing: RangeSet,
    /// Days that wait for inputs.
    pub waiting: RangeSet,
    /// Days that will never be filled.
    pub excluded: RangeSet,
    /// Those of them that lie before the first partition of a source.
    pub before_history: RangeSet,
    /// Why it has no days at all, if so.
    pub why_none: Option<String>,
    /// Its newest filled day.
    pub newest: Option<Ds>,
    /// How many days that is before the last closed one.
    pub behind_days: Option<u32>,
    /// Its last attempt.
    pub last_attempt: Option<LastAttempt>,
}

/// Days that are out of date for the same causes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct StaleDays {
    /// The days.
    pub days: RangeSet,
    /// Why.
    pub because: Vec<Cause>,
}

/// The status of every asset of a plan over everything, in its order.
#[must_use]
pub fn status(plan: &Plan, facts: &Facts) -> Vec<AssetStatus> {
    let one = |asset: &AssetPlan| AssetStatus::new(plan, asset, facts);
    plan.assets.iter().map(one).collect()
}

fn why_stale(asset: &AssetPlan) -> Vec<StaleDays> {
    let mut found: Vec<StaleDays> = Vec::new();
    for cells in asset.cells.iter().filter(|c| c.state == State::Done) {
        let Reason::Stale { because } = &cells.reason else {
            continue;
        };
        let days = RangeSet::from(cells.range);
        match found.iter_mut().find(|one| one.because == *because) {
            Some(one) => one.days = one.days.union(&days),
            None => found.push(StaleDays {
                days,
                because: because.clone(),
            }),
        }
    }
    found
}

fn before_history(asset: &AssetPlan) -> RangeSet {
    let cells = asset.cells.iter();
    let early = cells.filter(|cells| matches!(cells.reason, Reason::BeforeHistory { .. }));
    early.map(|cells| cells.range).collect()
}

fn unrecorded(asset: &AssetPlan) -> RangeSet {
    let of_note = |note: &Note| match note {
        Note::Unrecorded { days } => Some(days.clone()),
        _ => None,
    };
    let mut notes = asset.notes.iter();
    notes.find_map(of_note).unwrap_or_default()
}

impl AssetStatus {
    fn new(plan: &Plan, asset: &AssetPlan, facts: &Facts) -> Self {
        let failing = facts.failing.get(&asset.asset).cloned();
        let run = asset.days_in(State::Run);
        let failed = run.intersect(&failing.unwrap_or_default());
        let filled = asset.days_in(State::Done);
        let why_stale = why_stale(asset);
        let stale = why_stale.iter().map(|one| &one.days);
        let stale = stale.fold(RangeSet::new(), |all, days| all.union(days));
        let empty = asset.cells.iter();
        let empty = empty.filter(|cells| cells.reason == Reason::KnownEmpty);
        let empty: RangeSet = empty.map(|cells| cells.range).collect();
        let uploaded = facts.uploaded.get(&asset.asset).copied();
        let newest = uploaded.or(filled.last());
        let behind = |newest: Ds| plan.as_of.epoch_days() - newest.epoch_days();
        Self {
            asset: asset.asset.clone(),
            table: asset.table.clone(),
            missing: run.minus(&failed),
            failed,
            waiting: asset
                .days_in(State::Waiting)
                .union(&asset.days_in(State::Blocked)),
            excluded: asset.days_in(State::Excluded),
            before_history: before_history(asset),
            done: filled.minus(&stale).minus(&empty),
            stale,
            empty,
            unrecorded: unrecorded(asset),
            why_stale,
            why_none: asset.excluded.as_ref().map(reason_text),
            newest,
            behind_days: newest.map(|newest| u32::try_from(behind(newest)).unwrap_or(0)),
            last_attempt: facts.last.get(&asset.asset).cloned(),
        }
    }

    /// The sets that a bar shows, what needs attention most first, with their characters.
    fn sets(&self) -> [(&'static str, char, &RangeSet); 6] {
        [
            ("failed", '!', &self.failed),
            ("missing", '-', &self.missing),
            ("waiting", '.', &self.waiting),
            ("stale", '~', &self.stale),
            ("no rows", 'o', &self.empty),
            ("done", '#', &self.done),
        ]
    }

    /// All days in at most `width` characters. One that stands for several days shows `!` if one of them
    /// failed, their state if they share it, and else how many of them are filled: `▓` two thirds or
    /// more, `▒` one third or more, `░` fewer. Days that are never filled are left blank.
    #[must_use]
    pub fn bar(&self, width: u32) -> String {
        let all = self
            .sets()
            .iter()
            .fold(RangeSet::new(), |all, (_, _, days)| all.union(days));
        let Some(hull) = all.hull() else {
            return String::new();
        };
        let days = hull.days();
        let width = width.clamp(1, days.max(1));
        // Bounds are below the number of days, so they fit.
        let bound = |at: u32| {
            let days = u64::from(at) * u64::from(days) / u64::from(width);
            hull.start.plus(i32::try_from(days).unwrap_or(i32::MAX))
        };
        let character = |at: u32| {
            let bucket: RangeSet = PartitionRange::new(bound(at), bound(at + 1).plus(-1)).into();
            self.character(&bucket)
        };
        (0..width).map(character).collect()
    }

    /// The character of a bar that stands for the days of `bucket`.
    fn character(&self, bucket: &RangeSet) -> char {
        let sets = self.sets();
        let found = sets.iter().filter_map(|(word, character, days)| {
            let days = days.intersect(bucket).days();
            (days > 0).then_some((*word, *character, days))
        });
        let found: Vec<_> = found.collect();
        match found.as_slice() {
            [] => ' ',
            [(_, character, _)] | [("failed", character, _), ..] => *character,
            mixed => {
                let all: u64 = mixed.iter().map(|(.., days)| days).sum();
                let filled = mixed.iter().filter(|(word, ..)| FILLED.contains(word));
                let filled: u64 = filled.map(|(.., days)| days).sum();
                match filled * 3 {
                    0 => mixed[0].1,
                    // All are filled, and some are out of date or have no rows.
                    _ if filled == all => mixed[0].1,
                    thirds if thirds >= all * 2 => '▓',
                    thirds if thirds >= all => '▒',
                    _ => '░',
                }
            }
        }
    }

    /// `329/365 90 %`: how many of the days that can be filled are; empty if it has none.
    #[must_use]
    pub fn filled_text(&self) -> String {
        let (mut filled, mut all) = (0, 0);
        for (word, _, days) in self.sets() {
            all += days.days();
            if FILLED.contains(&word) {
                filled += days.days();
            }
        }
        match all {
            0 => String::new(),
            all => format!("{filled}/{all} {} %", filled * 100 / all),
        }
    }

    /// Whether a day failed or is out of date, waits or is missing.
    #[must_use]
    pub fn has_problems(&self) -> bool {
        [&self.failed, &self.stale, &self.waiting, &self.missing]
            .into_iter()
            .any(|days| !days.is_empty())
    }

    /// The days that are not done, as ranges; empty if all are.
    #[must_use]
    pub fn open_text(&self) -> String {
        let open = self
            .sets()
            .into_iter()
            .filter(|(word, _, days)| !FILLED.contains(word) && !days.is_empty());
        let texts: Vec<String> = open
            .map(|(word, _, days)| format!("{word} {days}"))
            .collect();
        texts.join("; ")
    }

    /// `2026-01-30`, `2026-01-28, 2 days behind`, `nothing yet` or `excluded`.
    #[must_use]
    pub fn freshness_text(&self) -> String {
        match (self.newest, self.behind_days, &self.why_none) {
            (Some(newest), Some(0) | None, _) => newest.to_string(),
            (Some(newest), Some(1), _) => format!("{newest}, 1 day behind"),
            (Some(newest), Some(days), _) => format!("{newest}, {days} days behind"),
            (None, _, Some(_)) => "excluded".to_owned(),
            (None, ..) => "nothing yet".to_owned(),
        }
    }
}

/// How many assets are complete, have problems or have no days, and how many of their days are filled or in which
/// other state. Two lines; the second is left out if there are no days.
#[must_use]
pub fn status_totals(assets: &[AssetStatus]) -> String {
    let mut days: [(&str, u64); 6] = [
        ("filled", 0),
        ("of them stale", 0),
        ("failed", 0),
        ("missing", 0),
        ("waiting", 0),
        ("excluded", 0),
    ];
    let (mut complete, mut problems, mut dayless) = (0, 0, 0);
    for asset in assets {
        let filled = asset.done.days() + asset.stale.days() + asset.empty.days();
        match (asset.has_problems(), filled) {
            (true, _) => problems += 1,
            (false, 0) => dayless += 1,
            (false, _) => complete += 1,
        }
        let found = [
            filled,
            asset.stale.days(),
            asset.failed.days(),
            asset.missing.days(),
            asset.waiting.days(),
            asset.excluded.days(),
        ];
        days.iter_mut()
            .zip(found)
            .for_each(|((_, all), days)| *all += days);
    }
    let kinds = [
        ("complete", complete),
        ("with problems", problems),
        ("without days", dayless),
    ];
    let unit = if assets.len() == 1 { "asset" } else { "assets" };
    let mut text = format!("{} {unit}{}\n", assets.len(), listed(": ", &kinds));
    let days = listed("days: ", &days);
    if !days.is_empty() {
        text += &days;
        text.push('\n');
    }
    text
}

/// Numbers other than 0 with their words behind `label`; empty if all are 0.
fn listed(label: &str, numbers: &[(&str, u64)]) -> String {
    let found = numbers.iter().filter(|(_, number)| *number > 0);
    let texts: Vec<String> = found
        .map(|(word, number)| format!("{number} {word}"))
        .collect();
    match texts.is_empty() {
        true => String::new(),
        false => format!("{label}{}", texts.join(", ")),
    }
}

/// The sets of days that count as filled.
const FILLED: [&str; 3] = ["done", "stale", "no rows"];

/// What the characters of a bar mean.
pub const BAR_LEGEND: &str = "# done  ▓▒░ partly done  ~ out of date  o without rows
. waiting for inputs  ! failed  - missing";

#[cfg(test)]
mod tests {
    use super::*;

    fn days(first: &str, last: &str) -> RangeSet {
        PartitionRange::new(first.parse().unwrap(), last.parse().unwrap()).into()
    }

    fn example() -> AssetStatus {
        AssetStatus {
            asset: "join/a.b/backfill".parse().unwrap(),
            table: "a.b".parse().unwrap(),
            done: days("2026-01-01", "2026-01-18").union(&days("2026-01-22", "2026-01-23")),
            failed: days("2026-01-25", "2026-01-25"),
            missing: days("2026-01-26", "2026-01-28"),
            waiting: days("2026-01-29", "2026-01-30"),
            excluded: days("2026-01-21", "2026-01-21"),
            stale: days("2026-01-19", "2026-01-20"),
            empty: days("2026-01-24", "2026-01-24"),
            unrecorded: RangeSet::new(),
            before_history: RangeSet::new(),
            why_stale: Vec::new(),
            why_none: None,
            newest: Some("2026-01-24".parse().unwrap()),
            behind_days: Some(6),
            last_attempt: None,
        }
    }

    #[test]
    fn a_bar_shows_what_needs_attention() {
        let status = example();
        assert_eq!(status.bar(60), "##################~~ ##o!---..");
        assert_eq!(status.bar(10), "######~o!-");
        assert_eq!(status.bar(1), "!");
        assert_eq!(
            status.open_text(),
            "failed 2026-01-25; missing 2026-01-26..2026-01-28; waiting 2026-01-29..2026-01-30"
        );
        assert_eq!(status.freshness_text(), "2026-01-24, 6 days behind");
        assert_eq!(status.filled_text(), "23/29 79 %");
    }

    #[test]
    fn a_bucket_of_a_bar_is_shaded_by_its_share_of_filled_days() {
        let status = AssetStatus {
            done: days("2026-01-01", "2026-01-10")
                .union(&days("2026-01-12", "2026-01-17"))
                .union(&days("2026-01-21", "2026-01-21")),
            missing: days("2026-01-11", "2026-01-11")
                .union(&days("2026-01-18", "2026-01-20"))
                .union(&days("2026-01-22", "2026-01-30")),
            failed: RangeSet::new(),
            waiting: RangeSet::new(),
            stale: RangeSet::new(),
            empty: RangeSet::new(),
            ..example()
        };
        assert_eq!(status.bar(3), "#▒░");
        assert_eq!(status.bar(2), "▓░");
    }

    #[test]
    fn totals_count_assets_by_what_is_to_be_done() {
        let complete = AssetStatus {
            failed: RangeSet::new(),
            missing: RangeSet::new(),
            waiting: RangeSet::new(),
            stale: RangeSet::new(),
            ..example()
        };
        let dayless = AssetStatus {
            done: RangeSet::new(),
            empty: RangeSet::new(),
            excluded: RangeSet::new(),
            ..complete.clone()
        };
        assert_eq!(
            status_totals(&[example(), complete, dayless.clone()]),
            "3 assets: 1 complete, 1 with problems, 1 without days\n\
             days: 44 filled, 2 of them stale, 1 failed, 3 missing, 2 waiting, 2 excluded\n"
        );
        assert_eq!(status_totals(&[dayless]), "1 asset: 1 without days\n");
        assert_eq!(status_totals(&[]), "0 assets\n");
    }
}
