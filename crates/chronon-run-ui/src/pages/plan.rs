//! What `chronon-run plan` says of what is typed in.

use std::{borrow::Cow, collections::BTreeMap};

use chronon_run_core::{AssetId, RangeSet};
use chronon_run_export::reason_text;
use chronon_run_plan::{Plan, State};
use chronon_run_report::{count, duration, size};
use maud::{Markup, html};

use super::graph::of_plan;
use crate::{
    days::{DayState, labelled},
    frame::{Frame, Page, command, trouble},
    gantt::in_cell,
    safe::safe,
    source::{PlanForm, Source, Trouble, View},
};

/// What is planned, as typed.
#[derive(Default, Clone, serde::Deserialize)]
pub(crate) struct Wanted {
    /// Selectors; none means every offline table.
    pub(crate) select: Option<String>,
    /// First day.
    pub(crate) start: Option<String>,
    /// Last day.
    pub(crate) end: Option<String>,
}

impl Wanted {
    fn form(&self) -> Result<PlanForm, Trouble> {
        let day = |text: &Option<String>| match text.as_deref().map(str::trim) {
            None | Some("") => Ok(None),
            Some(text) => text
                .parse()
                .map(Some)
                .map_err(|error: chronon_run_core::DsError| Trouble {
                    message: error.to_string(),
                    hint: None,
                }),
        };
        Ok(PlanForm {
            select: self.select.as_deref().unwrap_or("").trim().to_owned(),
            start: day(&self.start)?,
            end: day(&self.end)?,
        })
    }
}

pub(crate) fn page(frame: &Frame<'_>, view: &View, source: &dyn Source, wanted: &Wanted) -> Page {
    let planned = |form: PlanForm| {
        let plan = match form == PlanForm::default() {
            true => Cow::Borrowed(&view.offline),
            false => Cow::Owned(source.plan(&form)?),
        };
        Ok((plan, form))
    };
    let found = wanted.form().and_then(planned);
    let body = html! {
        div.title { h1 { "Plan" } p.muted { "which days would be filled, and why the others would not; nothing is written" } }
        @if !frame.links.site { (asked(wanted)) }
        @match &found {
            Ok((plan, form)) => (shown(frame, view, plan, form)),
            Err(found) => (trouble(found)),
        }
    };
    Page {
        title: "Plan".to_owned(),
        under: "plan",
        body,
    }
}

fn asked(wanted: &Wanted) -> Markup {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    html! {
        form.inline method="get" {
            label.grow { "Selectors" input type="search" name="select" value=(text(&wanted.select)) placeholder="every offline table"; }
            label { "First day" input type="date" name="start" value=(text(&wanted.start)); }
            label { "Last day" input type="date" name="end" value=(text(&wanted.end)); }
            button type="submit" { "Plan" }
        }
    }
}

/// The command that fills what is planned.
pub(crate) fn materialize(form: &PlanForm) -> String {
    let mut words = vec!["chronon-run materialize".to_owned()];
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    for selector in form.select.split_whitespace() {
        words.push(match selector.chars().all(plain) {
            true => selector.to_owned(),
            false => format!("'{}'", selector.replace('\'', r"'\''")),
        });
    }
    words.extend(form.start.map(|ds| format!("--start-ds {ds}")));
    words.extend(form.end.map(|ds| format!("--end-ds {ds}")));
    words.join(" ")
}

fn shown(frame: &Frame<'_>, view: &View, plan: &Plan, form: &PlanForm) -> Markup {
    let estimates: Option<u64> = plan
        .steps
        .iter()
        .map(|step| view.paces.get(&step.asset)?.estimate(step.range.days()))
        .sum();
    html! {
        section #summary {
            p.facts {
                @for (state, of) in STATES {
                    @let days = plan.days_in(of);
                    @if days > 0 { (labelled(state, &format!("{}: {}", of.as_str(), count(days, "day")))) " " }
                }
            }
            @if plan.steps.is_empty() { p.good { "Nothing would run." } }
            @else {
                p {
                    strong { (count(plan.steps.len() as u64, "step")) } " would run"
                    @match estimates { Some(millis) => { "; by history about " (duration(millis)) " of steps, before they run side by side" }, None => "; some have no history to estimate from" }
                }
                (command(&materialize(form)))
                @if frame.allow_runs {
                    form method="post" action={ (frame.links.root) "act/materialize" } {
                        input type="hidden" name="select" value=(form.select);
                        input type="hidden" name="start" value=(form.start.map(|ds| ds.to_string()).unwrap_or_default());
                        input type="hidden" name="end" value=(form.end.map(|ds| ds.to_string()).unwrap_or_default());
                        button.primary type="submit" { "Run this" }
                    }
                }
            }
        }
        section { h2 { "Days and reasons" } (table(frame, plan)) }
        @if !plan.steps.is_empty() { section #steps { h2 { "Steps" } (steps(frame, plan)) } }
        section { h2 { "On the graph" } (of_plan(frame, view, plan)) }
    }
}

const STATES: [(DayState, State); 5] = [
    (DayState::Run, State::Run),
    (DayState::Waiting, State::Waiting),
    (DayState::Blocked, State::Blocked),
    (DayState::Done, State::Done),
    (DayState::Excluded, State::Excluded),
];

/// Days of one asset with one state and reason.
fn table(frame: &Frame<'_>, plan: &Plan) -> Markup {
    let mut groups: Vec<(&AssetId, State, String, RangeSet)> = Vec::new();
    for asset in &plan.assets {
        let mut known: BTreeMap<(State, String), RangeSet> = BTreeMap::new();
        for cells in &asset.cells {
            let days = known
                .entry((cells.state, reason_text(&cells.reason)))
                .or_default();
            *days = days.union(&cells.range.into());
        }
        groups.extend(
            known
                .into_iter()
                .map(|((state, reason), days)| (&asset.asset, state, reason, days)),
        );
        if let Some(why) = &asset.excluded {
            groups.push((
                &asset.asset,
                State::Excluded,
                reason_text(why),
                RangeSet::new(),
            ));
        }
    }
    let place = |state: State| STATES.iter().position(|(_, of)| *of == state);
    groups.sort_by_key(|(_, state, ..)| place(*state));
    html! {
        table {
            thead { tr { th { "Asset" } th { "State" } th { "Days" } th { "Why" } } }
            tbody {
                @for (asset, state, reason, days) in groups.iter().take(MOST) {
                    tr {
                        td.name { a href=(frame.links.asset(asset)) { (in_cell(asset)) } }
                        td { @if let Some((shown, of)) = STATES.iter().find(|(_, of)| of == state) { (labelled(*shown, of.as_str())) } }
                        td { (few(days)) }
                        td { (safe(reason)) }
                    }
                }
            }
        }
        @if groups.len() > MOST { p.muted { "The first " (MOST) " lines are shown: choose fewer assets." } }
    }
}

/// What would run, in order, with what it is expected to take and to read.
fn steps(frame: &Frame<'_>, plan: &Plan) -> Markup {
    let estimates = plan.estimates.as_ref();
    let of = |at: usize| estimates.and_then(|estimates| estimates.steps.get(at));
    let all = estimates.and_then(|estimates| estimates.reads_bytes);
    html! {
        @if let Some(all) = all {
            p.muted.small { "Steps read " (size(all)) " in all, by the sizes of input partitions. Days whose size is not known count as the mean of the others." }
        }
        table {
            thead { tr { th.number { "Step" } th { "Asset" } th { "Days" } th.number { "Takes" } th.number { "Reads" } } }
            tbody {
                @for (at, step) in plan.steps.iter().enumerate().take(MOST) {
                    @let expected = of(at).and_then(|estimate| estimate.expected);
                    @let reads = of(at).and_then(|estimate| estimate.reads.as_ref());
                    tr {
                        td.number { (step.index + 1) }
                        td.name { a href=(frame.links.asset(&step.asset)) { (in_cell(&step.asset)) } }
                        td { (step.range) }
                        td.number { (expected.map_or("–".to_owned(), |expected| duration(expected.median_millis))) }
                        td.number {
                            @match reads {
                                Some(reads) => { (size(reads.bytes)) @if !reads.unknown.is_empty() { " and " (count(reads.unknown.len() as u64, "table")) " of unknown size" } },
                                None => "–",
                            }
                        }
                    }
                }
            }
        }
        @if plan.steps.len() > MOST { p.muted { "The first " (MOST) " steps are shown: choose fewer assets." } }
    }
}

/// Lines of a table.
const MOST: usize = 500;

/// Days in a few words.
pub(crate) fn few(days: &RangeSet) -> String {
    let ranges = days.ranges();
    let shown: Vec<String> = ranges.iter().take(6).map(ToString::to_string).collect();
    match ranges.len().saturating_sub(6) {
        0 => shown.join(", "),
        more => format!("{} and {more} more ranges", shown.join(", ")),
    }
}
