//! A plan of many assets for people: a line for each asset, then what is left open and why.

use std::{collections::HashMap, fmt::Write};

use chronon_run_core::{Ds, RangeSet};
use chronon_run_plan::{AssetPlan, Note, Plan, Reason, State};

use crate::plan_text::{grouped, note_text, reason_text, unknown_times_text};

/// Headers of the columns of [`summary_rows`]: the asset, its days by state, then what its days to run span.
///
/// `stale` counts some of the days that `done` counts.
pub const SUMMARY_COLUMNS: [&str; 9] = [
    "asset", "run", "waiting", "blocked", "stale", "excluded", "done", "from", "to",
];

/// How many assets a plan may have to be shown with all details unasked.
pub const FEW_ASSETS: usize = 5;

/// How many reasons for what is left open are shown at most.
const REASONS: usize = 20;

/// A row for each asset, in the order of the plan; a state without days is an empty cell.
#[must_use]
pub fn summary_rows(plan: &Plan) -> Vec<Vec<String>> {
    plan.assets.iter().map(row).collect()
}

fn row(asset: &AssetPlan) -> Vec<String> {
    let count = |days: u64| match days {
        0 => String::new(),
        days => days.to_string(),
    };
    let of = |state| count(asset.days_in(state).days());
    let run = asset.days_in(State::Run);
    let end = |day: Option<Ds>| day.map(|day| day.to_string()).unwrap_or_default();
    vec![
        asset.asset.to_string(),
        of(State::Run),
        of(State::Waiting),
        of(State::Blocked),
        count(stale_days(asset)),
        of(State::Excluded),
        of(State::Done),
        end(run.first()),
        end(run.last()),
    ]
}

/// How many filled days are out of date and stay so.
fn stale_days(asset: &AssetPlan) -> u64 {
    let stale = asset
        .cells
        .iter()
        .filter(|cells| cells.state == State::Done && matches!(cells.reason, Reason::Stale { .. }));
    stale.map(|cells| u64::from(cells.range.days())).sum()
}

/// What a plan does not fill and why: two lines for each state and reason, with the first of the assets that share it; then
/// what it would do to tables that exist. Empty if there is nothing of it.
#[must_use]
pub fn summary_reasons(plan: &Plan) -> String {
    let mut all = AllOpen::default();
    for asset in &plan.assets {
        for (state, reason, days) in open_days(asset) {
            all.add(asset, state, &reason, &days);
        }
    }
    let mut out = all.text();
    for asset in &plan.assets {
        out.push_str(&changes_text(asset));
    }
    for nulls in [true, false] {
        out.push_str(&unknown_times(plan, nulls));
    }
    out
}

/// The joins of which left row times are not known, in one line: those whose features the Driver may leave
/// NULL, or the others.
fn unknown_times(plan: &Plan, nulls: bool) -> String {
    let unknown_in = |asset: &AssetPlan| {
        let mut notes = asset.notes.iter();
        notes.find_map(|note| match note {
            Note::TimesUnknown {
                table,
                nulls: found,
                ..
            } if *found == nulls => Some(table.clone()),
            _ => None,
        })
    };
    let mut unknown = plan
        .assets
        .iter()
        .filter_map(|asset| Some((asset, unknown_in(asset)?)));
    let Some((first, table)) = unknown.next() else {
        return String::new();
    };
    let more = match unknown.count() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!(
        "row times of {table}, the left of {}{more}, are not known for some days: {}\n",
        first.asset,
        unknown_times_text(nulls)
    )
}

/// Everything that is left open, by state and reason.
#[derive(Default)]
struct AllOpen {
    found: Vec<Open>,
    index: HashMap<(State, String), usize>,
}

/// Days of several assets that are left open for one reason.
struct Open {
    state: State,
    why: String,
    days: RangeSet,
    first: String,
    more: usize,
}

impl AllOpen {
    fn add(&mut self, asset: &AssetPlan, state: State, reason: &Reason, days: &RangeSet) {
        let key = (state, reason_text(reason));
        let Some(&at) = self.index.get(&key) else {
            self.index.insert(key.clone(), self.found.len());
            return self.found.push(Open {
                state,
                why: key.1,
                days: days.clone(),
                first: asset.asset.to_string(),
                more: 0,
            });
        };
        let open = &mut self.found[at];
        open.days = open.days.union(days);
        open.more += 1;
    }

    fn text(&self) -> String {
        let mut sorted: Vec<&Open> = self.found.iter().collect();
        sorted.sort_by_key(|open| open.state);
        let shown = sorted.iter().take(REASONS);
        let mut out: String = shown.map(|open| open.lines()).collect();
        if let more @ 1.. = sorted.len().saturating_sub(REASONS) {
            let _ = writeln!(out, "and {more} more reasons");
        }
        out
    }
}

impl Open {
    fn lines(&self) -> String {
        let days = match self.days.is_empty() {
            true => String::new(),
            false => format!("{}: ", self.days),
        };
        let more = match self.more {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!(
            "{:9} {days}{}\n          {}{more}\n",
            self.state.as_str(),
            self.why,
            self.first
        )
    }
}

/// The days of an asset that are neither done nor run; no days where the whole asset is excluded.
fn open_days(asset: &AssetPlan) -> Vec<(State, Reason, RangeSet)> {
    let whole = asset.excluded.clone();
    let whole = whole.map(|reason| (State::Excluded, reason, RangeSet::default()));
    let days = grouped(asset).into_iter();
    let open = days.filter(|(state, ..)| !matches!(state, State::Done | State::Run));
    whole.into_iter().chain(open).collect()
}

/// What is done to tables that exist, and what stays NULL in them: never left to the details.
fn changes_text(asset: &AssetPlan) -> String {
    let mut text = String::new();
    let changes = asset.notes.iter().filter(|note| {
        matches!(
            note,
            Note::Archives { .. }
                | Note::Drops { .. }
                | Note::Premature { .. }
                | Note::Columns { .. }
                | Note::EditedOverFilled { .. }
                | Note::TimesNotJoined { .. }
                | Note::Alone { .. }
        )
    });
    changes.for_each(|note| note_text(&mut text, note));
    match text.is_empty() {
        true => text,
        false => format!("{}\n{text}", asset.asset),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use chronon_run_core::{AssetId, PartitionRange, TableName};
    use chronon_run_plan::{Cells, Totals};

    use super::*;

    /// An asset whose days of 2026 alternate between run, and excluded for a reason that `ragged` makes another one each day.
    fn asset(number: usize, ragged: bool) -> AssetPlan {
        let first: Ds = "2026-01-01".parse().unwrap();
        let cells = (0..365).map(|day| {
            let table = if ragged { day } else { day % 2 };
            let table: TableName = format!("lake.t{table}").parse().unwrap();
            let (state, reason) = match day % 2 {
                0 => (State::Run, Reason::PartitionMissing),
                _ => (
                    State::Excluded,
                    Reason::SourceNeverLands {
                        tables: BTreeSet::from([table]),
                    },
                ),
            };
            let range = PartitionRange::day(first.plus(day));
            Cells {
                range,
                state,
                reason,
            }
        });
        AssetPlan {
            asset: format!("group_by/team.g{number}/backfill")
                .parse::<AssetId>()
                .unwrap(),
            table: format!("out.g{number}").parse().unwrap(),
            cells: cells.collect(),
            excluded: None,
            notes: Vec::new(),
        }
    }

    fn plan(assets: Vec<AssetPlan>) -> Plan {
        Plan {
            totals: Totals {
                days: BTreeMap::new(),
                steps: 0,
                assets: assets.len() as u64,
            },
            assets,
            ..Plan::empty("2026-12-31".parse().unwrap())
        }
    }

    #[test]
    fn a_year_of_200_assets_is_a_line_for_each_and_few_reasons() {
        let all = plan(
            (0..200)
                .map(|number| asset(number, number % 2 == 0))
                .collect(),
        );
        let rows = summary_rows(&all);
        assert_eq!(rows.len(), 200);
        assert_eq!(
            rows[3][1..],
            ["183", "", "", "", "182", "", "2026-01-01", "2026-12-31"]
        );
        let reasons = summary_reasons(&all);
        assert_eq!(reasons.lines().count(), 2 * REASONS + 1);
        assert!(reasons.ends_with("and 162 more reasons\n"), "{reasons}");
    }

    #[test]
    fn stale_days_are_counted_in_the_totals_and_in_a_column() {
        let mut one = asset(0, false);
        one.cells[0].state = State::Done;
        one.cells[0].reason = Reason::Stale {
            because: Vec::new(),
        };
        let all = plan(vec![one]);
        let row = &summary_rows(&all)[0];
        assert_eq!(
            row[1..],
            ["182", "", "", "1", "182", "1", "2026-01-03", "2026-12-31"]
        );
        let totals = crate::totals_text(&all);
        let stale = "; of the done 1 stale (oldest 2026-01-01)";
        assert!(totals.ends_with(stale), "{totals}");
    }

    #[test]
    fn assets_that_share_a_reason_share_a_line() {
        let all = plan((0..5).map(|number| asset(number, false)).collect());
        let reasons = summary_reasons(&all);
        assert_eq!(reasons.lines().count(), 2, "{reasons}");
        assert!(
            reasons.contains("this day is declared missing in lake.t1\n"),
            "{reasons}"
        );
        let named = "          group_by/team.g0/backfill and 4 more\n";
        assert!(reasons.ends_with(named), "{reasons}");
    }
}
