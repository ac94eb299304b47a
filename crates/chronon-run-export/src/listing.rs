//! `ls`: the assets as rows, and the graph as DOT or Mermaid.

use std::collections::{BTreeMap, BTreeSet};

use chronon_run_core::{AssetId, TableName};
use chronon_run_plan::{Asset, AssetIndex, Fill, Graph, SideTable};
use serde::Serialize;

/// One asset as `ls` shows it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct AssetRow {
    /// Its id.
    pub asset: AssetId,
    /// Its table.
    pub table: TableName,
    /// Tables and views that the same job writes.
    pub also_writes: Vec<SideTable>,
    /// Owning team.
    pub team: String,
    /// Tables that it reads, in the order of the conf.
    pub inputs: Vec<TableName>,
    /// Assets that fill some of them.
    pub upstream: BTreeSet<AssetId>,
    /// GroupBy backfills whose definition it embeds: lineage without data.
    pub embeds: BTreeSet<AssetId>,
    /// `offlineSchedule` or `uploadSchedule`.
    pub schedule: Option<String>,
    /// `key` and `key=value`.
    pub tags: BTreeSet<String>,
    /// The conf file, relative to the repo root.
    pub path: String,
}

/// The selected assets, producers first.
#[must_use]
pub fn listing(graph: &Graph, selected: &BTreeSet<AssetIndex>) -> Vec<AssetRow> {
    selected
        .iter()
        .map(|&index| row(graph, &graph.assets[index]))
        .collect()
}

fn row(graph: &Graph, asset: &Asset) -> AssetRow {
    let mut inputs = Vec::new();
    for input in &asset.inputs {
        if !inputs.contains(&input.spec.table) {
            inputs.push(input.spec.table.clone());
        }
    }
    let id = |index: AssetIndex| graph.assets[index].id.clone();
    AssetRow {
        asset: asset.id.clone(),
        table: asset.table.clone(),
        also_writes: asset.also_writes.clone(),
        team: asset.team.clone(),
        inputs,
        upstream: asset
            .inputs
            .iter()
            .filter_map(|input| input.producer)
            .map(id)
            .collect(),
        embeds: asset.embeds.iter().copied().map(id).collect(),
        schedule: asset.schedule.clone(),
        tags: asset.tags.clone(),
        path: asset.path.display().to_string(),
    }
}

/// An arrow of the drawn graph.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Edge {
    from: String,
    to: String,
    /// Dashed: the definition is embedded, no data flows.
    embeds: bool,
}

/// Nodes by name, with whether each is an asset, and arrows.
struct Drawing {
    nodes: BTreeMap<String, Node>,
    edges: BTreeSet<Edge>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Node {
    Source,
    Table,
    App,
}

impl Drawing {
    fn of(graph: &Graph, selected: &BTreeSet<AssetIndex>) -> Self {
        let mut drawing = Self {
            nodes: BTreeMap::new(),
            edges: BTreeSet::new(),
        };
        for &index in selected {
            let asset = &graph.assets[index];
            let to = asset.id.to_string();
            let kind = if asset.fill == Fill::App {
                Node::App
            } else {
                Node::Table
            };
            drawing.nodes.insert(to.clone(), kind);
            for input in &asset.inputs {
                let from = match input.producer {
                    Some(producer) if selected.contains(&producer) => {
                        graph.assets[producer].id.to_string()
                    }
                    _ => input.spec.table.to_string(),
                };
                drawing.nodes.entry(from.clone()).or_insert(Node::Source);
                drawing.edges.insert(Edge {
                    from,
                    to: to.clone(),
                    embeds: false,
                });
            }
            for &embedded in asset
                .embeds
                .iter()
                .filter(|embedded| selected.contains(embedded))
            {
                let from = graph.assets[embedded].id.to_string();
                drawing.edges.insert(Edge {
                    from,
                    to: to.clone(),
                    embeds: true,
                });
            }
        }
        drawing
    }
}

/// Graphviz.
#[must_use]
pub fn dot(graph: &Graph, selected: &BTreeSet<AssetIndex>) -> String {
    let drawing = Drawing::of(graph, selected);
    let mut out = String::from(
        "digraph chronon {\n  rankdir=LR;\n  node [shape=box, fontname=\"sans-serif\"];\n",
    );
    for (name, node) in &drawing.nodes {
        let style = match node {
            Node::Source => " [shape=cylinder]",
            Node::Table => "",
            Node::App => " [shape=ellipse]",
        };
        out.push_str(&format!("  {}{style};\n", quoted(name)));
    }
    for edge in &drawing.edges {
        let style = if edge.embeds { " [style=dashed]" } else { "" };
        out.push_str(&format!(
            "  {} -> {}{style};\n",
            quoted(&edge.from),
            quoted(&edge.to)
        ));
    }
    out.push_str("}\n");
    out
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Mermaid.
#[must_use]
pub fn mermaid(graph: &Graph, selected: &BTreeSet<AssetIndex>) -> String {
    let drawing = Drawing::of(graph, selected);
    let numbers: BTreeMap<&String, usize> = drawing.nodes.keys().zip(0..).collect();
    let mut out = String::from("flowchart LR\n");
    for (name, node) in &drawing.nodes {
        let label = name.replace('"', "#quot;");
        let (open, close) = match node {
            Node::Source => ("[(", ")]"),
            Node::Table => ("[", "]"),
            Node::App => ("([", "])"),
        };
        out.push_str(&format!("  n{}{open}\"{label}\"{close}\n", numbers[name]));
    }
    for edge in &drawing.edges {
        let arrow = if edge.embeds { "-.->" } else { "-->" };
        out.push_str(&format!(
            "  n{} {arrow} n{}\n",
            numbers[&edge.from], numbers[&edge.to]
        ));
    }
    out
}
