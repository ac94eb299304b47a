//! `chronon-run diff --data`: what the confs as they are now make of days that are filled, row by row.

use std::collections::BTreeSet;

use chronon_run_core::{AssetId, AssetKind, PartitionRange, RangeSet};
use chronon_run_engine::compare::Comparison;
use chronon_run_exec::signals;
use chronon_run_plan::Asset;
use chronon_run_project::{
    comparing::{self, Pairing, Table, comparison_text},
    failure::Failure,
    listing::session::CatalogSession,
    loading::{days::checked, project::Project},
    output::{json, note, print},
    planning::prepared::{Planned, Wanted},
    runs::run::Ended,
    scratch::{self, Scratch},
};
use serde::Serialize;

use super::diff::diff;
use crate::cli::{DiffArgs, Output, SelectArgs};

/// One table, as it is and as the conf makes it now.
#[derive(Serialize)]
struct Compared {
    asset: AssetId,
    /// The days that were computed and compared.
    days: RangeSet,
    /// The table as it is.
    before: String,
    /// The columns by which rows were paired.
    keys: Vec<String>,
    /// Whether rows were paired as a whole, because no columns identify them.
    whole_rows: bool,
    /// What differs; nothing if it could not be compared.
    #[serde(flatten)]
    found: Option<Comparison>,
    /// Why it was not compared.
    why_not: Option<String>,
}

impl Compared {
    fn differs(&self) -> bool {
        let found = self.found.as_ref();
        found.is_some_and(|found| !found.is_equal())
    }
}

pub(crate) fn run(args: &DiffArgs) -> Result<(), Failure> {
    let context = Project::load()?;
    let select = match args.select.is_empty() {
        true => edited(&context)?,
        false => args.select.clone(),
    };
    if select.is_empty() {
        return match args.output {
            Output::Json => print("[]\n"),
            Output::Text => print("no conf was edited since its tables were filled\n"),
        };
    }
    let (_listener, control) = signals::listen()?;
    let warehouse = CatalogSession::open(&context.workspace)?;
    let days = days(&context, &warehouse, args, &select)?;
    let scratch = Scratch::enter(&select, &warehouse)?;
    let ended = scratch.fill(&warehouse, &control, &days, args.jobs)?;
    if ended.stopped() {
        let outcome = ended.outcome();
        scratch.end(true)?;
        return outcome;
    }
    let found = compare_all(args, &context, &scratch, &warehouse, (&ended, &days))?;
    scratch.end(false)?;
    match args.output {
        Output::Json => print(&json(&found)?)?,
        Output::Text => print(&text(&found))?,
    }
    ended.outcome()?;
    match args.exit_code && found.iter().any(Compared::differs) {
        true => Err(Failure::Found),
        false => Ok(()),
    }
}

/// The confs that were edited since their tables were filled.
fn edited(context: &Project) -> Result<SelectArgs, Failure> {
    let found = diff(context, &SelectArgs::default())?.confs.into_iter();
    let names = found.filter(|conf| !conf.gone && !conf.tables.is_empty());
    let names = names.filter_map(|conf| Some(conf.conf.split_once('/')?.1.to_owned()));
    Ok(SelectArgs {
        selectors: names.collect::<BTreeSet<_>>().into_iter().collect(),
        ..SelectArgs::default()
    })
}

/// The days that are asked for; without any, the newest that is filled of all the selected assets.
fn days(
    context: &Project,
    warehouse: &CatalogSession,
    args: &DiffArgs,
    select: &SelectArgs,
) -> Result<RangeSet, Failure> {
    let given = checked(context, &args.days.as_days())?;
    if let Some(first) = given.ds.or(given.start_ds) {
        let last = given
            .ds
            .or(given.end_ds)
            .map_or_else(|| context.as_of(given.as_of), Ok)?;
        return match PartitionRange::new(first, last) {
            Some(range) => Ok(range.into()),
            None => Err(Failure::setup(format!(
                "the first day {first} is after the last day {last}"
            ))),
        };
    }
    let wanted = Wanted {
        select: select.clone(),
        ..Wanted::default()
    };
    let mut ledger = context.existing_ledger();
    let planned = Planned::make(context, &wanted, warehouse, ledger.as_mut())?;
    let filled = planned.plan.assets.iter();
    let newest = filled.filter_map(|asset| asset.days_in(chronon_run_plan::State::Done).last());
    match newest.min() {
        Some(day) => Ok(RangeSet::from_iter([day])),
        None => Err(Failure::hinted(
            "no day of the selected tables is filled: there is nothing to compare with",
            "`--ds YYYY-MM-DD` computes a day all the same; `chronon-run materialize` fills them",
        )),
    }
}

fn compare_all(
    args: &DiffArgs,
    context: &Project,
    scratch: &Scratch<'_>,
    warehouse: &CatalogSession,
    (ended, wanted_days): (&Ended, &RangeSet),
) -> Result<Vec<Compared>, Failure> {
    let is_output = |asset: &&Asset| !matches!(asset.id.step, AssetKind::Left | AssetKind::Part(_));
    let wanted = ended.plan.assets.iter().map(|planned| &planned.asset);
    let wanted: BTreeSet<&AssetId> = wanted.collect();
    let assets = scratch.project.graph.assets.iter();
    let assets = assets
        .filter(|asset| wanted.contains(&asset.id))
        .filter(is_output);
    assets
        .map(|asset| {
            let days = scratch::computed(ended, asset).intersect(wanted_days);
            one(args, context, scratch, warehouse, asset, days)
        })
        .collect()
}

fn one(
    args: &DiffArgs,
    context: &Project,
    scratch: &Scratch<'_>,
    warehouse: &CatalogSession,
    asset: &Asset,
    days: RangeSet,
) -> Result<Compared, Failure> {
    let before = &context.graph.assets[context.index_of(&asset.id)?];
    let mut shown = Compared {
        asset: asset.id.clone(),
        days: days.clone(),
        before: before.table.to_string(),
        keys: Vec::new(),
        whole_rows: false,
        found: None,
        why_not: None,
    };
    if days.is_empty() {
        shown.why_not = Some("none of the days could be computed".to_owned());
        return Ok(shown);
    }
    let table =
        |project: &Project, asset: &Asset| match Table::of_days(project, warehouse, asset, &days) {
            Err(Failure::NotFilled { message, .. }) => Ok(Err(message)),
            found => found.map(Ok),
        };
    let (left, right) = match (table(context, before)?, table(&scratch.project, asset)?) {
        (Ok(left), Ok(right)) => (left, right),
        (Err(why), _) => {
            shown.why_not = Some(why);
            return Ok(shown);
        }
        (_, Err(_)) => {
            shown.why_not = Some("the edited conf makes no rows".to_owned());
            return Ok(shown);
        }
    };
    let pairings = match args.on.as_slice() {
        [] => comparing::pairings(context, &asset.id, &left, &right),
        given => vec![Pairing::Keys(given.to_vec())],
    };
    for (at, pairing) in pairings.iter().enumerate() {
        let (keys, whole_rows) = match pairing {
            Pairing::Keys(keys) => (keys, false),
            Pairing::Whole(columns) => (columns, true),
        };
        let comparing = comparing::prepare(&left, &right, keys, &args.columns)?;
        let found = comparing::compare(&scratch.project, warehouse, &comparing, args.limit)?;
        let unique = found.repeated_left + found.repeated_right == 0;
        if unique || whole_rows || at + 1 == pairings.len() {
            if !whole_rows {
                comparing::check_keys(&found, keys, &left, &right)?;
            }
            shown.keys.clone_from(keys);
            shown.whole_rows = whole_rows;
            shown.found = Some(found);
            break;
        }
        note(&format!(
            "note: {} does not identify the rows of {}",
            keys.join(", "),
            left.text()
        ));
    }
    Ok(shown)
}

fn text(found: &[Compared]) -> String {
    let blocks: Vec<String> = found.iter().map(block).collect();
    blocks.join("\n")
}

fn block(compared: &Compared) -> String {
    let Compared { asset, days, .. } = compared;
    let what = match (&compared.found, &compared.why_not) {
        (Some(found), _) => {
            let by = match compared.whole_rows {
                true => "as whole rows".to_owned(),
                false => format!("by {}", compared.keys.join(", ")),
            };
            let same = match found.is_equal() {
                true => "nothing differs: ",
                false => "",
            };
            format!(
                "{by}\n{same}{}",
                comparison_text(found, ["before", "after"])
            )
        }
        (None, why) => format!("not compared: {}\n", why.as_deref().unwrap_or_default()),
    };
    format!(
        "{asset} {days}\n{} with its conf as it is now, {what}",
        compared.before
    )
}
