//! Which asset reads which, from left to right.

use std::collections::{BTreeMap, BTreeSet};

use chronon_run_core::{AssetId, AssetKind};
use chronon_run_plan::State;
use dagre::Point;
use maud::{Markup, html};

use super::{
    Known, Running, assets, or_problem,
    placed::{HEIGHT, Shape, placed},
};
use crate::{
    days::{DayState, labelled, legend, newest_state},
    frame::{Frame, Page, trouble},
    gantt::short,
    links::query,
    source::{Source, Trouble, View},
};

/// What the graph is limited to.
#[derive(Default, Clone, serde::Deserialize)]
pub(crate) struct Wanted {
    /// Selectors.
    pub(crate) select: Option<String>,
}

/// Larger graphs are grouped by team.
const SINGLE: usize = 500;
/// Larger ones are drawn without the tables that no asset fills.
const WITH_SOURCES: usize = 300;
/// Characters of a name.
const NAME: usize = 34;

/// A box of the drawing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Node {
    name: String,
    below: String,
    state: Option<DayState>,
    href: Option<String>,
    source: bool,
}

/// Boxes, and arrows between their numbers; an arrow of an embedded definition is dashed.
#[derive(Debug, Default)]
pub(crate) struct Drawing {
    pub(crate) nodes: Vec<Node>,
    pub(crate) edges: BTreeMap<(usize, usize), bool>,
}

pub(crate) fn page(
    frame: &Frame<'_>,
    view: &View,
    source: &dyn Source,
    running: &Running,
    wanted: &Wanted,
) -> Page {
    let select = wanted.select.as_deref().unwrap_or("").trim();
    let (chosen, problem) = or_problem(match select {
        "" => Ok(None),
        select => source.select(select).map(Some),
    });
    let body = html! {
        div.title { h1 { "Graph" } p.muted { "from inputs on the left to what reads them on the right" } }
        @if !frame.links.site { (filter(select)) }
        (drawn(frame, view, running, chosen.as_ref(), problem.as_ref()))
    };
    Page {
        title: "Graph".to_owned(),
        under: "graph",
        body,
    }
}

fn filter(select: &str) -> Markup {
    html! {
        form.inline method="get" {
            label.grow { "Selectors, as on the command line: names, globs, +x, x+, team:, type:, tag:, source:, state:"
                input type="search" name="select" value=(select) placeholder="e.g. +search.ranking.v1 or team:trust"; }
            button type="submit" { "Show" }
        }
    }
}

fn drawn(
    frame: &Frame<'_>,
    view: &View,
    running: &Running,
    chosen: Option<&BTreeSet<AssetId>>,
    problem: Option<&Trouble>,
) -> Markup {
    let all: Vec<Known<'_>> = assets(view)
        .filter(|known| chosen.is_none_or(|chosen| chosen.contains(&known.plan.asset)))
        .collect();
    let drawing = match all.len() > SINGLE {
        true => by_team(frame, &all, running),
        false => by_asset(frame, &all, running),
    };
    html! {
        @if let Some(problem) = problem { (trouble(problem)) }
        p.muted.small {
            (all.len()) " assets"
            @if all.len() > SINGLE { ", grouped by team: choose a team, or type a selector" }
            @else if chosen.is_some() { ", selected" }
        }
        div.logbar {
            @for (zoom, text) in [("1.25", "Larger"), ("0.8", "Smaller"), ("fit", "Fit"), ] { button type="button" data-zoom=(zoom) hidden { (text) } }
        }
        @if drawing.nodes.is_empty() { p.muted { "No asset is selected." } }
        @else { div.graph tabindex="0" role="region" aria-label="Graph of assets" { (picture(&drawing)) } }
        (legend())
    }
}

/// The asset whose box an asset is part of: left sides and parts of a join are steps towards its table.
fn folded(asset: &AssetId, known: &BTreeMap<&AssetId, usize>) -> AssetId {
    if !matches!(asset.mode, AssetKind::Left | AssetKind::Part(_)) {
        return asset.clone();
    }
    let towards = |mode| AssetId {
        conf: asset.conf.clone(),
        mode,
    };
    let joins = [towards(AssetKind::Final), towards(AssetKind::Backfill)];
    joins
        .into_iter()
        .find(|join| known.contains_key(join))
        .unwrap_or_else(|| asset.clone())
}

pub(crate) fn by_asset(frame: &Frame<'_>, all: &[Known<'_>], running: &Running) -> Drawing {
    let places: BTreeMap<&AssetId, usize> = all
        .iter()
        .enumerate()
        .map(|(at, known)| (&known.plan.asset, at))
        .collect();
    let mut drawing = Drawing::default();
    let mut boxes: BTreeMap<AssetId, usize> = BTreeMap::new();
    for known in all {
        let asset = folded(&known.plan.asset, &places);
        if asset == known.plan.asset {
            boxes.insert(asset, drawing.nodes.len());
            drawing.nodes.push(node(frame, known, running));
        }
    }
    let filled: BTreeSet<_> = all.iter().map(|known| &known.status.table).collect();
    let mut sources = BTreeMap::new();
    for known in all {
        let Some(&to) = boxes.get(&folded(&known.plan.asset, &places)) else {
            continue;
        };
        for (inputs, embeds) in [(&known.row.upstream, false), (&known.row.embeds, true)] {
            for input in inputs {
                if let Some(&from) = boxes.get(&folded(input, &places))
                    && from != to
                {
                    let dashed = drawing.edges.entry((from, to)).or_insert(embeds);
                    *dashed &= embeds;
                }
            }
        }
        let read = known
            .row
            .inputs
            .iter()
            .filter(|table| !filled.contains(table) && all.len() <= WITH_SOURCES);
        for table in read {
            let nodes = &mut drawing.nodes;
            let from = *sources.entry(table).or_insert_with(|| {
                nodes.push(Node {
                    name: table.to_string(),
                    below: "source".to_owned(),
                    source: true,
                    ..Node::default()
                });
                nodes.len() - 1
            });
            drawing.edges.insert((from, to), false);
        }
    }
    drawing
}

fn node(frame: &Frame<'_>, known: &Known<'_>, running: &Running) -> Node {
    let state = newest_state(&known.stretches(running));
    Node {
        name: short(&known.plan.asset),
        below: format!(
            "{} · {}",
            known.plan.asset.conf.conf_type,
            known.status.freshness_text()
        ),
        state: Some(state.unwrap_or(DayState::Excluded)),
        href: Some(frame.links.asset(&known.plan.asset)),
        source: false,
    }
}

/// One box for each team, in the state that needs most attention.
fn by_team(frame: &Frame<'_>, all: &[Known<'_>], running: &Running) -> Drawing {
    let mut teams: BTreeMap<&str, (usize, DayState)> = BTreeMap::new();
    let mut team_of: BTreeMap<&AssetId, &str> = BTreeMap::new();
    for known in all {
        let state = newest_state(&known.stretches(running)).unwrap_or(DayState::Excluded);
        let entry = teams
            .entry(&known.row.team)
            .or_insert((0, DayState::Excluded));
        *entry = (entry.0 + 1, entry.1.min(state));
        team_of.insert(&known.plan.asset, &known.row.team);
    }
    let places: BTreeMap<&str, usize> = teams
        .keys()
        .enumerate()
        .map(|(at, team)| (*team, at))
        .collect();
    let nodes = teams.iter().map(|(team, (count, state))| Node {
        name: (*team).to_owned(),
        below: format!("{count} assets"),
        state: Some(*state),
        href: Some(match frame.links.site {
            true => frame.links.page("assets"),
            false => format!("{}?select=team:{}", frame.links.page("graph"), query(team)),
        }),
        source: false,
    });
    let mut drawing = Drawing {
        nodes: nodes.collect(),
        edges: BTreeMap::new(),
    };
    for known in all {
        for input in &known.row.upstream {
            let from = team_of.get(input).and_then(|team| places.get(team));
            if let (Some(&from), Some(&to)) = (from, places.get(known.row.team.as_str()))
                && from != to
            {
                drawing.edges.insert((from, to), false);
            }
        }
    }
    drawing
}

fn shortened(name: &str) -> String {
    match name.char_indices().nth(NAME) {
        Some((at, _)) => format!("{}…", &name[..at]),
        None => name.to_owned(),
    }
}

/// In pixels of the drawing; a character of the text is less than 8 wide.
fn width(node: &Node) -> f64 {
    let longest = shortened(&node.name)
        .chars()
        .count()
        .max(node.below.chars().count() * 5 / 6);
    longest as f64 * 7.6 + 44.0
}

fn picture(drawing: &Drawing) -> Markup {
    let placed = placed(Shape {
        widths: drawing.nodes.iter().map(width).collect(),
        edges: drawing.edges.keys().copied().collect(),
    });
    let (wide, high) = placed.size;
    html! {
        svg viewBox={ "0 0 " (wide) " " (high) } width=(wide) height=(high) role="group" aria-label="Assets and what they read" {
            @for (embeds, bends) in drawing.edges.values().zip(&placed.edges) { (arrow(bends, *embeds)) }
            @for (node, place) in drawing.nodes.iter().zip(&placed.nodes) {
                @if let Some((x, y)) = place { (drawn_node(node, *x, *y)) }
            }
        }
    }
}

fn arrow(points: &[Point], embeds: bool) -> Markup {
    let Some((first, rest)) = points.split_first() else {
        return html! {};
    };
    let mut path = format!("M{:.0} {:.0}", first.x, first.y);
    let mut before = first;
    for point in rest {
        let middle = f64::midpoint(before.x, point.x);
        path += &format!(
            "C{middle:.0} {:.0} {middle:.0} {:.0} {:.0} {:.0}",
            before.y, point.y, point.x, point.y
        );
        before = point;
    }
    html! {
        path class={ "edge" @if embeds { " embeds" } } d=(path) {}
        path.arrow d=(format!("M{:.0} {:.0}l-8 -4v8z", before.x, before.y)) {}
    }
}

fn drawn_node(node: &Node, x: f64, y: f64) -> Markup {
    let wide = width(node);
    let (left, top) = (x - wide / 2.0, y - HEIGHT / 2.0);
    let state = node.state.map_or("", |state| state.class());
    let word = node.state.map_or("", |state| state.word());
    let drawn = html! {
        g class={ "node s-" (state) @if node.source { " source" } } {
            title { (node.name) ", " (node.below) @if !word.is_empty() { ", " (word) } }
            rect x=(format!("{left:.0}")) y=(format!("{top:.0}")) width=(format!("{wide:.0}")) height=(HEIGHT) {}
            @if let Some(state) = node.state { text x=(format!("{:.0}", left + 12.0)) y=(format!("{:.0}", y + 5.0)) font-weight="700" { (state.mark()) } }
            text x=(format!("{:.0}", left + 30.0)) y=(format!("{:.0}", y - 3.0)) { (shortened(&node.name)) }
            text.sub x=(format!("{:.0}", left + 30.0)) y=(format!("{:.0}", y + 14.0)) { (node.below) }
        }
    };
    match &node.href {
        Some(href) => {
            html! { a href=(href) aria-label=(format!("{}, {}, {word}", node.name, node.below)) { (drawn) } }
        }
        None => drawn,
    }
}

/// The assets of a plan as a drawing, in the states of that plan.
pub(crate) fn of_plan(frame: &Frame<'_>, view: &View, plan: &chronon_run_plan::Plan) -> Markup {
    let planned: BTreeMap<&AssetId, &chronon_run_plan::AssetPlan> = plan
        .assets
        .iter()
        .map(|asset| (&asset.asset, asset))
        .collect();
    let all: Vec<Known<'_>> = assets(view)
        .filter(|known| planned.contains_key(&known.plan.asset))
        .collect();
    if all.len() > SINGLE {
        return html! { p.muted { "More than " (SINGLE) " assets: the graph is left out." } };
    }
    let mut drawing = by_asset(frame, &all, &Running::default());
    for node in &mut drawing.nodes {
        let found = planned
            .values()
            .find(|asset| short(&asset.asset) == node.name);
        let Some(found) = found else { continue };
        let has = |state| !found.days_in(state).is_empty();
        let (state, text) = match () {
            () if has(State::Run) => (
                DayState::Run,
                format!("{} days to run", found.days_in(State::Run).days()),
            ),
            () if has(State::Waiting) => (DayState::Waiting, "waits for inputs".to_owned()),
            () if has(State::Blocked) => (DayState::Blocked, "blocked".to_owned()),
            () if has(State::Done) => (DayState::Done, "done".to_owned()),
            () => (DayState::Excluded, "excluded".to_owned()),
        };
        node.state = Some(state);
        node.below = text;
    }
    html! {
        p.legend { (labelled(DayState::Run, "has days to run")) (labelled(DayState::Waiting, "waits")) (labelled(DayState::Done, "done")) }
        div.graph tabindex="0" role="region" aria-label="Graph of the plan" { (picture(&drawing)) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn boxes_are_laid_out_from_left_to_right_and_do_not_overlap() {
        let nodes = |count: usize| {
            (0..count)
                .map(|at| Node {
                    name: format!("node <{at}>"),
                    ..Node::default()
                })
                .collect()
        };
        let mut drawing = Drawing {
            nodes: nodes(150),
            edges: BTreeMap::new(),
        };
        for at in 0..150_usize {
            for other in [at / 3, at / 2] {
                if other < at {
                    drawing.edges.insert((other, at), at % 2 == 0);
                }
            }
        }
        let began = Instant::now();
        let text = picture(&drawing).into_string();
        println!("150 boxes in {:?}", began.elapsed());
        assert!(!text.contains("node <"), "names are escaped");
        assert_eq!(text.matches("class=\"node s-\"").count(), 150);
        assert_eq!(text.matches("class=\"arrow\"").count(), drawing.edges.len());
        let of = |attribute: &str, rect: &str| -> f64 {
            let (_, rest) = rect.split_once(&format!(" {attribute}=\"")).unwrap();
            rest.split('"').next().unwrap().parse().unwrap()
        };
        let rects: Vec<(f64, f64, f64)> = text
            .split("<rect")
            .skip(1)
            .map(|rect| (of("x", rect), of("y", rect), of("width", rect)))
            .collect();
        for (at, a) in rects.iter().enumerate() {
            for b in &rects[..at] {
                let apart = a.0 + a.2 <= b.0 || b.0 + b.2 <= a.0 || (a.1 - b.1).abs() >= HEIGHT;
                assert!(apart, "{a:?} {b:?}");
            }
        }
        for (from, to) in drawing.edges.keys() {
            assert!(rects[*from].0 < rects[*to].0);
        }
    }
}
