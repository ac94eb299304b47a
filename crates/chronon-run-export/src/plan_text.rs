//! A plan for people: the sums, then every asset's days by state and reason, then the steps.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Write},
};

use chronon_run_core::{BEFORE, Ds, RangeSet, TableChanges, TableName};
use chronon_run_plan::{
    Archived, AssetPlan, Cause, ChangedInput, ColumnsFate, Explanation, InputState, MissingInput,
    Need, Note, Origin, Plan, PlanTarget, Reason, State, Step, TimesSeen, Wait,
};

/// Every asset's days by state and reason, each asset after an empty line.
#[must_use]
pub fn assets_text(plan: &Plan) -> String {
    let mut out = String::new();
    for asset in &plan.assets {
        out.push('\n');
        asset_text(&mut out, asset);
    }
    out
}

/// The steps after an empty line; empty if there are none. `commands` also prints each step's command line.
#[must_use]
pub fn steps_text(plan: &Plan, commands: bool) -> String {
    if plan.steps.is_empty() {
        return String::new();
    }
    let mut out = "\nsteps\n".to_owned();
    for step in &plan.steps {
        step_text(&mut out, step, commands);
    }
    out
}

/// What a plan for a target writes, and where it reads its inputs.
#[must_use]
pub fn target_text(target: &PlanTarget) -> String {
    let namespaces: BTreeSet<&str> = target.namespaces.values().map(String::as_str).collect();
    let namespaces: Vec<&str> = namespaces.into_iter().collect();
    let mut out = format!(
        "target {}: writes only to {}\n",
        target.name,
        namespaces.join(", ")
    );
    if let Some(sample) = &target.sample {
        let _ = writeln!(out, "  sample: {}", sample.describe());
    }
    let from = [
        (Origin::Target, "the target"),
        (Origin::Production, "production"),
        (Origin::Source, "sources"),
    ];
    for (origin, name) in from {
        let tables = target.inputs.iter().filter(|(_, found)| **found == origin);
        let tables: Vec<String> = tables.map(|(table, _)| table.to_string()).collect();
        if !tables.is_empty() {
            let _ = writeln!(out, "  from {name}: {}", tables.join(", "));
        }
    }
    out
}

/// Only what waits or is blocked, and why: a line for each reason of each asset.
#[must_use]
pub fn open_text(plan: &Plan) -> String {
    let mut out = String::new();
    for asset in &plan.assets {
        for (state, reason, days) in grouped(asset) {
            if matches!(state, State::Waiting | State::Blocked) {
                let _ = writeln!(
                    out,
                    "{} {}: {days} {}",
                    state.as_str(),
                    asset.asset,
                    reason_text(&reason)
                );
            }
        }
    }
    out
}

/// What is left out of a plan, and why: a line for each reason of each asset.
#[must_use]
pub fn excluded_text(plan: &Plan) -> String {
    let mut out = String::new();
    for asset in &plan.assets {
        if let Some(reason) = asset.excluded.as_ref().filter(|reason| is_news(reason)) {
            let _ = writeln!(out, "excluded {}: {}", asset.asset, reason_text(reason));
        }
        for (state, reason, days) in grouped(asset) {
            if state == State::Excluded && is_news(&reason) {
                let reason = reason_text(&reason);
                let _ = writeln!(out, "excluded {}: {days} {reason}", asset.asset);
            }
        }
    }
    out + &never_text(plan) + &before_history_text(plan)
}

/// Why there is nothing at all to fill, if every day of a plan is excluded because its inputs never have
/// it: a line for each reason of each asset. Days of which only some are excluded so are no news.
#[must_use]
pub fn never_text(plan: &Plan) -> String {
    let mut cells = plan.assets.iter().flat_map(|asset| &asset.cells);
    if !cells.all(|cells| cells.state == State::Excluded) {
        return String::new();
    }
    let mut out = String::new();
    for asset in &plan.assets {
        for (_, reason, days) in grouped(asset) {
            if is_never(&reason) {
                let reason = reason_text(&reason);
                let _ = writeln!(out, "excluded {}: {days} {reason}", asset.asset);
            }
        }
    }
    out
}

/// Whether a reason is that the inputs of a day never have it.
fn is_never(reason: &Reason) -> bool {
    matches!(
        reason,
        Reason::SourceNeverLands { .. }
            | Reason::UpstreamExcludes { .. }
            | Reason::SourceEnds { .. }
            | Reason::NoRowsThere { .. }
    )
}

/// How many assets a line names.
const NAMED: usize = 3;

/// The days before the first partitions of sources, a line for each reason: they are left out every day.
fn before_history_text(plan: &Plan) -> String {
    let mut found: Vec<(String, u64, Vec<String>)> = Vec::new();
    for asset in &plan.assets {
        for cells in &asset.cells {
            if !matches!(cells.reason, Reason::BeforeHistory { .. }) {
                continue;
            }
            let (reason, days) = (reason_text(&cells.reason), u64::from(cells.range.days()));
            let name = asset.asset.to_string();
            match found.iter_mut().find(|(known, ..)| *known == reason) {
                Some((_, count, names)) => {
                    *count += days;
                    if !names.contains(&name) {
                        names.push(name);
                    }
                }
                None => found.push((reason, days, vec![name])),
            }
        }
    }
    let line = |(reason, days, names): &(String, u64, Vec<String>)| {
        format!(
            "excluded {reason}: {} of {}\n",
            counted(*days, "day"),
            names_and_more(names)
        )
    };
    found.iter().map(line).collect()
}

/// The first names, and how many more there are.
pub(crate) fn names_and_more(names: &[String]) -> String {
    let named = names[..names.len().min(NAMED)].join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

/// Whether a reason is one that the user may not expect: what a source lacks, and what was asked for.
fn is_news(reason: &Reason) -> bool {
    matches!(
        reason,
        Reason::OutsideConf { .. }
            | Reason::AfterAsOf
            | Reason::NotOverYet
            | Reason::NoLeftPartition { .. }
    )
}

/// What a plan waits for, source by source: the missing days, when they usually land, how late
/// they are, and who waits; then what waits for those.
#[must_use]
pub fn waits_text(plan: &Plan, waits: &[Wait]) -> String {
    let mut out = String::new();
    for wait in waits {
        let missing = if wait.missing.is_empty() {
            "which does not exist".to_owned()
        } else {
            wait.missing.to_string()
        };
        let _ = writeln!(
            out,
            "waiting for {} {missing}{}",
            wait.table,
            landing_text(wait)
        );
        for asset in &wait.assets {
            let _ = writeln!(out, "  needed by {asset}");
        }
    }
    for asset in &plan.assets {
        let blocked = grouped(asset).into_iter();
        for (_, reason, days) in blocked.filter(|(state, ..)| *state == State::Blocked) {
            let reason = reason_text(&reason);
            let _ = writeln!(out, "blocked {}: {days} {reason}", asset.asset);
        }
    }
    out
}

fn landing_text(wait: &Wait) -> String {
    let usual = wait
        .lands_after_seconds
        .map(|seconds| format!("; usually there {} after the end of the day", span(seconds)));
    let late = match wait.late_seconds {
        Some(0) => Some(", not late yet".to_owned()),
        Some(seconds) => Some(format!(", {} late", span(seconds))),
        None => None,
    };
    usual.unwrap_or_default() + &late.unwrap_or_default()
}

/// `40s`, `15m`, `3h 20m`, `2d 4h`.
fn span(seconds: u64) -> String {
    let two = |whole: u64, rest: u64, unit: &str, smaller: &str| match rest {
        0 => format!("{whole}{unit}"),
        rest => format!("{whole}{unit} {rest}{smaller}"),
    };
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..86_400 => two(seconds / 3_600, seconds % 3_600 / 60, "h", "m"),
        _ => two(seconds / 86_400, seconds % 86_400 / 3_600, "d", "h"),
    }
}

fn asset_text(out: &mut String, asset: &AssetPlan) {
    let _ = writeln!(out, "{} → {}", asset.asset, asset.table);
    if let Some(reason) = &asset.excluded {
        let _ = writeln!(
            out,
            "  {:9} {}",
            State::Excluded.as_str(),
            reason_text(reason)
        );
    }
    for (state, reason, days) in grouped(asset) {
        let count = days.days();
        let unit = if count == 1 { "day" } else { "days" };
        let _ = writeln!(
            out,
            "  {:9} {days} ({count} {unit}): {}",
            state.as_str(),
            reason_text(&reason)
        );
    }
    for note in &asset.notes {
        note_text(out, note);
    }
}

/// What the Driver would rename of one asset, indented.
#[must_use]
pub fn archive_text(asset: &AssetPlan) -> String {
    let mut out = format!("  {}\n", asset.asset);
    let archives = asset
        .notes
        .iter()
        .filter(|note| matches!(note, Note::Archives { .. }));
    for note in archives {
        note_text(&mut out, note);
    }
    out.trim_end().to_owned()
}

pub(crate) fn note_text(out: &mut String, note: &Note) {
    let _ = match note {
        Note::NotReproducible { tables } => writeln!(
            out,
            "  note      not reproducible: of {} only the newest partition is read, whatever the day",
            names(tables)
        ),
        Note::AlsoFills { days } => {
            writeln!(
                out,
                "  note      the Driver takes no first day here and fills {days} too"
            )
        }
        Note::Unrecorded { days } => writeln!(
            out,
            "  unknown   {days} ({}): filled by another program or version; with which conf and inputs is not recorded",
            counted(days.days(), "day")
        ),
        Note::BecomesStale { days } => writeln!(
            out,
            "  note      {days} ({}) will be out of date after this; `materialize --stale` fills it again",
            counted(days.days(), "day")
        ),
        Note::EditedOverFilled { days, because } => writeln!(
            out,
            "  note      edited since {days} was filled{}: the Driver does not notice, and keeps the table's columns; use a new version, or fill the days again (`--recompute`; `--rebuild` where columns changed)",
            edited_text(because)
        ),
        Note::Drops { tables } => {
            let _ = writeln!(out, "  drop      before it is computed again");
            dropped_text(out, tables)
        }
        Note::Columns { changes, fate } => columns_note(out, changes, fate),
        Note::Premature { tables } => {
            let _ = writeln!(
                out,
                "  drop      part partitions that exist before the left rows of these days were handed to the part: they may lack keys, and the Driver would keep them"
            );
            dropped_text(out, tables)
        }
        Note::Alone { days, hopeless } => alone_note(out, days, hopeless),
        Note::TimesUnknown { table, days, nulls } => writeln!(
            out,
            "  note      row times of {days} ({}) of {table} are not known: {}",
            counted(days.days(), "day"),
            unknown_times_text(*nulls)
        ),
        Note::TimesNotJoined { seen } => writeln!(out, "  note      {}", times_text(seen)),
        Note::Archives { tables, because } => archives_note(out, tables, because),
    };
}

/// What was edited, in brackets.
fn edited_text(because: &[String]) -> String {
    match because {
        [] => String::new(),
        because => format!(" ({})", because.join("; ")),
    }
}

/// Tables that the Driver renames.
fn archives_note(out: &mut String, tables: &[Archived], because: &[String]) -> fmt::Result {
    writeln!(
        out,
        "  archive   the conf was edited{}: the Driver renames and computes again",
        edited_text(because)
    )?;
    tables.iter().try_for_each(|table| {
        writeln!(
            out,
            "            {}: {} ({}) thrown away, {} computed again",
            table.table,
            table.thrown_away,
            counted(table.thrown_away.days(), "day"),
            counted(table.recomputed.days(), "day")
        )
    })
}

fn columns_note(out: &mut String, changes: &[TableChanges], fate: &ColumnsFate) -> fmt::Result {
    for found in changes {
        writeln!(out, "  columns   {}: {}", found.table, found.changes)?;
    }
    writeln!(out, "            {}", fate_text(fate))?;
    let ColumnsFate::Rebuilt { tables } = fate else {
        return Ok(());
    };
    tables.iter().try_for_each(|(table, days)| {
        let count = counted(days.days(), "day");
        writeln!(
            out,
            "            {table}: {days} ({count}) set aside as {table}{BEFORE}<run>"
        )
    })
}

/// What happens to tables with other columns than the conf.
#[must_use]
pub fn fate_text(fate: &ColumnsFate) -> &'static str {
    match fate {
        ColumnsFate::Expanded => {
            "the next step adds new columns (NULL in the days that are filled); removed columns stay and are NULL from then on; `materialize --rebuild` makes the table anew instead"
        }
        ColumnsFate::NeedsRebuild => {
            "the existing table cannot take these columns: `materialize --rebuild` keeps it under another name until the new one is complete"
        }
        ColumnsFate::Rebuilt { .. } => {
            "rebuilt: the old table is kept under another name until the new one has all of its days, then dropped"
        }
        ColumnsFate::Archived => {
            "the Driver archives the table and computes it again (`materialize --accept-archive`)"
        }
    }
}

/// What it means that the times of left rows are not known.
const UNKNOWN_TIMES: &str = "if rows are early or late, the Driver may leave their SNAPSHOT features NULL, and no command names them";

/// What may be wrong without notice where the times of left rows are not known, and what helps.
pub(crate) fn unknown_times_text(nulls: bool) -> String {
    let stale = "source days that only early or late rows need do not make a day out of date: after late data, fill such days again with `materialize --recompute`";
    match nulls {
        true => format!("{UNKNOWN_TIMES}; {stale}"),
        false => stale.to_owned(),
    }
}

/// What early or late left rows of a modular join lack with the Driver, and how they were seen.
#[must_use]
pub fn times_text(seen: &TimesSeen) -> String {
    let (kind, when) = match seen.early {
        true => ("early", "after"),
        false => ("late", "before"),
    };
    let seen_in = match seen.part {
        true => format!(
            "{} has the partition {}, {when} all days of the left rows",
            seen.table, seen.partition
        ),
        false => format!(
            "rows of the left partition {} ({})",
            seen.partition, seen.table
        ),
    };
    format!(
        "left rows are {kind}: {seen_in}. join-final of the Driver reads the parts of its own days only, so SNAPSHOT features of early and late rows are NULL, or stay as they are when a source is written again; those of other rows of the same step can be NULL too, if a late row follows a left day without rows; join_flow = \"whole\" computes them"
    )
}

/// Days that the Driver made, or will make, without the days beside them.
fn alone_note(out: &mut String, days: &RangeSet, hopeless: &RangeSet) -> fmt::Result {
    let lacking = "all left rows are early, or all are late, so the Driver leaves their SNAPSHOT features NULL";
    if !days.is_empty() {
        writeln!(
            out,
            "  note      {days}: {lacking}; filled again in one job with the days beside it, by the next run that can or by `materialize --stale`"
        )?;
    }
    if !hopeless.is_empty() {
        writeln!(
            out,
            "  note      {hopeless}: {lacking}; no day near it helps. kind = \"sql\" under [engine] computes them"
        )?;
    }
    Ok(())
}

fn dropped_text(out: &mut String, tables: &BTreeMap<TableName, RangeSet>) -> fmt::Result {
    tables.iter().try_for_each(|(table, days)| {
        let count = counted(days.days(), "partition");
        writeln!(out, "            {table}: {days} ({count})")
    })
}

/// Cells with one state and one reason on one line, in the order of their first day.
pub(crate) fn grouped(asset: &AssetPlan) -> Vec<(State, Reason, RangeSet)> {
    let mut groups: Vec<(State, Reason, RangeSet)> = Vec::new();
    for cells in &asset.cells {
        let same = |group: &&mut (State, Reason, RangeSet)| {
            group.0 == cells.state && group.1 == cells.reason
        };
        let days = RangeSet::from(cells.range);
        match groups.iter_mut().find(same) {
            Some(group) => group.2 = group.2.union(&days),
            None => groups.push((cells.state, cells.reason.clone(), days)),
        }
    }
    groups.sort_by_key(|(state, _, days)| (*state, days.first()));
    groups
}

fn step_text(out: &mut String, step: &Step, commands: bool) {
    let after = match step.after.as_slice() {
        [] => String::new(),
        after => {
            let numbers: Vec<String> = after.iter().map(|index| (index + 1).to_string()).collect();
            format!(", after {}", numbers.join(", "))
        }
    };
    let once_over: Vec<String> = step
        .once_over
        .iter()
        .map(|index| (index + 1).to_string())
        .collect();
    let once_over = match once_over.is_empty() {
        true => String::new(),
        false => format!(", once {} is over", once_over.join(", ")),
    };
    let first_hole = if step.run_first_hole {
        ", --run-first-hole"
    } else {
        ""
    };
    let _ = writeln!(
        out,
        "  {}. {} {}{first_hole}{after}{once_over}",
        step.index + 1,
        step.asset,
        step.range
    );
    if let Some(command) = step.command.as_ref().filter(|_| commands) {
        let _ = writeln!(out, "     {command}");
    }
}

/// How many assets, steps and days by state, on one line; and how many of the done days are stale or have no
/// rows.
#[must_use]
pub fn totals_text(plan: &Plan) -> String {
    let days: Vec<String> = State::ALL
        .iter()
        .map(|&state| (state, plan.days_in(state)))
        .filter(|(_, days)| *days > 0)
        .map(|(state, days)| format!("{days} {}", state.as_str()))
        .collect();
    let days = if days.is_empty() {
        "none".to_owned()
    } else {
        days.join(", ")
    };
    format!(
        "{}, {}; days: {days}{}",
        counted(plan.totals.assets, "asset"),
        counted(plan.totals.steps, "step"),
        freshness_text(plan)
    )
}

/// How many of the done days have no rows, and how many are stale, with the oldest.
fn freshness_text(plan: &Plan) -> String {
    let done = |is: fn(&Reason) -> bool| {
        let cells = plan.assets.iter().flat_map(|asset| &asset.cells);
        let found = cells.filter(move |cells| cells.state == State::Done && is(&cells.reason));
        let all: Vec<_> = found.map(|cells| cells.range).collect();
        let count: u64 = all.iter().map(|range| u64::from(range.days())).sum();
        let oldest = all.iter().map(|range| range.start).min();
        oldest.map(|oldest| (count, oldest))
    };
    let empty = done(|reason| *reason == Reason::KnownEmpty);
    let empty = empty.map(|(count, oldest)| format!("{count} without rows (oldest {oldest})"));
    let stale = done(|reason| matches!(reason, Reason::Stale { .. }));
    let stale = stale.map(|(count, oldest)| format!("{count} stale (oldest {oldest})"));
    let parts: Vec<String> = empty.into_iter().chain(stale).collect();
    match parts.is_empty() {
        true => String::new(),
        false => format!("; of the done {}", parts.join(", ")),
    }
}

fn counted(count: u64, word: &str) -> String {
    if count == 1 {
        format!("1 {word}")
    } else {
        format!("{count} {word}s")
    }
}

/// A reason as a fragment of a sentence.
#[must_use]
pub fn reason_text(reason: &Reason) -> String {
    match reason {
        Reason::PartitionExists => "partition exists".to_owned(),
        Reason::KnownEmpty => "known to have no rows".to_owned(),
        Reason::Uploaded => "uploaded".to_owned(),
        Reason::Loaded => "loaded into the KV store".to_owned(),
        Reason::NotLoaded => "not in the KV store yet".to_owned(),
        Reason::TableMissing => "the table does not exist yet".to_owned(),
        Reason::PartitionMissing => "no partition".to_owned(),
        Reason::BeforeFirstPartition => "no partition, left of the first one".to_owned(),
        Reason::Rebuilt => "the table is rebuilt".to_owned(),
        Reason::Archived => "the Driver renames the table, because the conf was edited".to_owned(),
        Reason::NotHandedOver => {
            "the part has the partition, but the output does not have the day: its left rows were not handed to the part".to_owned()
        }
        Reason::MadeAlone => {
            "filled again in one job with the day beside it: all left rows of one of them are early, or all are late".to_owned()
        }
        Reason::OutputExists { table } => format!("{table} has it"),
        Reason::FirstHole { first } => {
            format!("left of the table's first day {first}, which the Driver never fills")
        }
        Reason::EarlierDayWaits { day } => {
            format!("the Driver would fill {day} too, whose inputs are missing")
        }
        Reason::NotOverYet => "its end is in the future".to_owned(),
        Reason::Stale { because } => format!("out of date: {}", causes_text(because)),
        Reason::EmptyNoMore { because } => {
            format!("known to have no rows until now: {}", causes_text(because))
        }
        Reason::Recompute => "asked for with --recompute".to_owned(),
        Reason::AlwaysRedone => "redone each time".to_owned(),
        Reason::InputsMissing { inputs } => format!("waits for {}", blames(inputs)),
        Reason::UpstreamNotFilled { inputs } => format!("needs {}", blames(inputs)),
        Reason::SourceNeverLands { tables } => {
            format!("this day is declared missing in {}", names(tables))
        }
        Reason::UpstreamExcludes { tables } => {
            let excludes = if tables.len() == 1 { "excludes" } else { "exclude" };
            format!("{} {excludes} this day", names(tables))
        }
        Reason::SourceEnds { tables } => ends_text(tables),
        Reason::BeforeHistory { tables } => {
            let first = |(table, first)| format!("the first partition ({first}) of {table}");
            let all: Vec<String> = tables.iter().map(first).collect();
            format!("before {}", all.join(" and "))
        }
        Reason::NoRowsThere { tables } => format!("{} has no rows on this day", names(tables)),
        Reason::OutsideConf { first, last } => outside_text(*first, *last),
        Reason::OnlyLastDay => "only the last day is ever filled".to_owned(),
        Reason::AfterAsOf => "after the last closed day".to_owned(),
        Reason::NoLeftPartition { table } => {
            format!("{table} has no partition, so no day is known")
        }
        Reason::NotDue => "its schedule never calls for it".to_owned(),
        Reason::LongRunning => "a long-running app, this plan does not start it".to_owned(),
        Reason::EngineCannot { why } => why.clone(),
    }
}

/// Tables with the last days that the conf reads of them.
fn ends_text(tables: &BTreeMap<TableName, Ds>) -> String {
    let one = |(table, last): (&TableName, &Ds)| format!("{table} ({last})");
    let all: Vec<String> = tables.iter().map(one).collect();
    format!("after the endPartition of {}", all.join(" and "))
}

/// Which days a conf covers.
fn outside_text(first: Option<Ds>, last: Option<Ds>) -> String {
    match (first, last) {
        (Some(first), Some(last)) => format!("the conf covers {first}..{last}"),
        (Some(first), None) => format!("the conf starts on {first}"),
        (None, Some(last)) => format!("the conf ends on {last}"),
        (None, None) => "no day is asked for".to_owned(),
    }
}

/// How many filled days a plan leaves out of date, as far as it knows, and what to do; `None` if none.
#[must_use]
pub fn out_of_date_text(plan: &Plan) -> Option<String> {
    let of_asset = |asset: &AssetPlan| {
        let stale = asset.cells.iter().filter(|cells| {
            cells.state == State::Done && matches!(cells.reason, Reason::Stale { .. })
        });
        let stale: RangeSet = stale.map(|cells| cells.range).collect();
        let becomes = asset.notes.iter().filter_map(|note| match note {
            Note::BecomesStale { days } => Some(days),
            _ => None,
        });
        becomes.fold(stale, |all, days| all.union(days))
    };
    let all: Vec<RangeSet> = plan.assets.iter().map(of_asset).collect();
    let count: u64 = all.iter().map(RangeSet::days).sum();
    let oldest = all.iter().filter_map(RangeSet::first).min()?;
    let is = if count == 1 { "is" } else { "are" };
    Some(format!(
        "{} {is} out of date (oldest {oldest}); `chronon-run status --stale` says why, `materialize --stale` fills them again",
        counted(count, "filled day")
    ))
}

/// Why days are out of date, as a fragment of a sentence.
#[must_use]
pub fn causes_text(causes: &[Cause]) -> String {
    let texts: Vec<String> = causes.iter().map(cause_text).collect();
    texts.join("; ")
}

fn cause_text(cause: &Cause) -> String {
    match cause {
        Cause::ConfEdited { edits } if edits.is_empty() => "the conf was edited".to_owned(),
        Cause::ConfEdited { edits } => format!("the conf was edited ({})", edits.join("; ")),
        Cause::InputsChanged { inputs } => {
            let texts: Vec<String> = inputs.iter().map(changed_text).collect();
            texts.join("; ")
        }
        Cause::InputsFilledAgain { inputs } => {
            let one = |(table, days): (&TableName, &RangeSet)| format!("{table} {days}");
            let texts: Vec<String> = inputs.iter().map(one).collect();
            format!("{} filled again", texts.join(", "))
        }
        Cause::PartsFilledAgain { tables } => {
            let texts: Vec<String> = tables.iter().map(ToString::to_string).collect();
            format!("filled again, and the output was not: {}", texts.join(", "))
        }
        Cause::OutputFilledAgain => "the output is filled again from it".to_owned(),
        Cause::MadeAlone { beside } => format!(
            "the Driver has to fill {beside} in one job: all left rows of a day are early, or all are late"
        ),
        Cause::OtherFlow => "it was filled in the other `join_flow`".to_owned(),
        Cause::Unfinished => "an attempt to fill it again did not end".to_owned(),
        Cause::NothingRecorded => "what was seen of its inputs is not recorded".to_owned(),
    }
}

fn changed_text(input: &ChangedInput) -> String {
    let part = |days: &RangeSet, word: &str| (!days.is_empty()).then(|| format!("{days} {word}"));
    let parts = [
        part(&input.appeared, "appeared"),
        part(&input.rewritten, "rewritten"),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    format!("{} {}", input.table, parts.join(", "))
}

fn blames(inputs: &[MissingInput]) -> String {
    let one = |blame: &MissingInput| {
        let who = match &blame.asset {
            Some(asset) => format!("{} from {asset}", blame.table),
            None => blame.table.to_string(),
        };
        let role = &blame.role;
        if blame.missing.is_empty() {
            format!("{who} ({role}), which does not exist")
        } else {
            let why = match (&blame.check, blame.no_table) {
                (Some(check), _) => format!(": {check}"),
                (None, true) => ", which does not exist".to_owned(),
                (None, false) => String::new(),
            };
            format!("{who} ({role}) {}{why}", blame.missing)
        }
    };
    inputs.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// One cell with its inputs.
#[must_use]
pub fn explanation_text(explanation: &Explanation) -> String {
    let mut out = String::new();
    let state = match &explanation.cell {
        Some(cell) => format!("{}: {}", cell.state.as_str(), reason_text(&cell.reason)),
        None => "not part of this plan".to_owned(),
    };
    let _ = writeln!(out, "{} on {}", explanation.asset, explanation.ds);
    let _ = writeln!(out, "  {state}");
    for input in &explanation.inputs {
        input_text(&mut out, input);
    }
    out
}

fn input_text(out: &mut String, input: &InputState) {
    let waited = match input.waited_for {
        true => "",
        false => ", not waited for",
    };
    let _ = write!(out, "\n  {} ({}{waited})", input.table, input.role);
    if let Some(asset) = &input.asset {
        let _ = write!(out, ", filled by {asset}");
    }
    let _ = writeln!(out, "\n    needs    {}", need_text(input));
    for (word, days) in [
        ("present", &input.present),
        ("planned", &input.planned),
        ("never", &input.never),
        ("missing", &input.missing),
    ] {
        if !days.is_empty() {
            let _ = writeln!(out, "    {word:8} {days}");
        }
    }
    if !input.table_exists {
        let _ = writeln!(out, "    missing  the table does not exist");
    }
}

fn need_text(input: &InputState) -> String {
    let column = &input.day_column;
    match input.need {
        Need::Table => "the table to exist".to_owned(),
        Need::Newest { .. } => format!("a partition {column} ≥ {}", input.needed),
        Need::Days { .. } | Need::Since { .. } if input.needed.is_empty() => {
            "nothing for this day".to_owned()
        }
        Need::Days { .. } => format!("{column} {}", input.needed),
        Need::Since { .. } => format!("{column} {} (unbounded: everything so far)", input.needed),
    }
}

fn names(tables: &BTreeSet<TableName>) -> String {
    let names: Vec<&str> = tables.iter().map(TableName::as_str).collect();
    names.join(" and ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use chronon_run_core::PartitionRange;
    use chronon_run_plan::Cells;

    use super::*;

    /// A plan of one asset with a day of each state.
    fn plan(days: &[(State, Reason)]) -> Plan {
        let cells = (1..).zip(days).map(|(day, (state, reason))| Cells {
            range: PartitionRange::day(format!("2026-01-{day:02}").parse().unwrap()),
            state: *state,
            reason: reason.clone(),
        });
        Plan {
            assets: vec![AssetPlan {
                asset: "group_by/team.g/backfill".parse().unwrap(),
                table: "out.g".parse().unwrap(),
                cells: cells.collect(),
                excluded: None,
                notes: Vec::new(),
            }],
            ..Plan::empty("2026-01-30".parse().unwrap())
        }
    }

    #[test]
    fn a_plan_without_any_day_says_why() {
        let never = Reason::SourceNeverLands {
            tables: BTreeSet::from(["lake.a".parse().unwrap()]),
        };
        let excluded = (State::Excluded, never);
        let all = plan(&[excluded.clone(), excluded.clone()]);
        let text = "excluded group_by/team.g/backfill: 2026-01-01..2026-01-02 this day is \
                    declared missing in lake.a\n";
        assert_eq!(never_text(&all), text);
        assert_eq!(excluded_text(&all), text);
        let done = (State::Done, Reason::PartitionExists);
        assert_eq!(excluded_text(&plan(&[excluded, done])), "");
    }

    #[test]
    fn spans_have_two_units_at_most() {
        let texts = [0, 59, 60, 3_599, 3_600, 12_000, 86_400, 187_200].map(span);
        let wanted = ["0s", "59s", "1m", "59m", "1h", "3h 20m", "1d", "2d 4h"];
        assert_eq!(texts, wanted);
    }
}
