//! Where the nodes and edges of a graph are drawn: laid out from left to right by `dagre`, which takes half a second
//! for 500 nodes, so the last layouts are kept.

use std::sync::{Arc, Mutex, PoisonError};

use dagre::{
    EdgeLabel, GraphLabel, LayoutOptions, NodeLabel, Point, RankDir, Ranker,
    graph::{Graph, GraphOptions},
    layout,
};

/// The height of a node, in pixels of the drawing.
pub(super) const HEIGHT: f64 = 46.0;
/// Graphs whose layouts are kept: that of all assets, of the plan, and of selectors.
const KEPT: usize = 4;

/// All that a layout depends on.
#[derive(Clone, PartialEq)]
pub(super) struct Shape {
    /// The width of each node, in pixels of the drawing.
    pub(super) widths: Vec<f64>,
    /// From which node to which, by their places.
    pub(super) edges: Vec<(usize, usize)>,
}

/// A layout, in pixels of the drawing.
pub(super) struct Placed {
    /// Width and height of the whole.
    pub(super) size: (f64, f64),
    /// The middle of each node.
    pub(super) nodes: Vec<Option<(f64, f64)>>,
    /// The points that each edge goes through.
    pub(super) edges: Vec<Vec<Point>>,
}

static LAST: Mutex<Vec<(Shape, Arc<Placed>)>> = Mutex::new(Vec::new());

/// The layout of a graph.
pub(super) fn placed(shape: Shape) -> Arc<Placed> {
    if let Some(known) = known(&shape) {
        return known;
    }
    let new = Arc::new(lay_out(&shape));
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    last.insert(0, (shape, new.clone()));
    last.truncate(KEPT);
    new
}

fn known(shape: &Shape) -> Option<Arc<Placed>> {
    let last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    let (_, placed) = last.iter().find(|(known, _)| known == shape)?;
    Some(placed.clone())
}

fn lay_out(shape: &Shape) -> Placed {
    let mut graph: Graph<NodeLabel, EdgeLabel> = Graph::with_options(GraphOptions {
        directed: true,
        multigraph: true,
        compound: true,
    });
    for (at, width) in shape.widths.iter().enumerate() {
        let label = NodeLabel {
            width: *width,
            height: HEIGHT,
            ..NodeLabel::default()
        };
        graph.set_node(at.to_string(), Some(label));
    }
    for (from, to) in &shape.edges {
        let label = Some(EdgeLabel::default());
        graph.set_edge(from.to_string(), to.to_string(), label, None);
    }
    // The optimal layering of a large graph takes seconds.
    let ranker = match shape.widths.len() {
        0..=200 => Ranker::NetworkSimplex,
        _ => Ranker::LongestPath,
    };
    let options = LayoutOptions {
        rankdir: RankDir::LR,
        nodesep: 16.0,
        edgesep: 10.0,
        ranksep: 56.0,
        marginx: 16.0,
        marginy: 16.0,
        ranker,
        ..LayoutOptions::default()
    };
    layout(&mut graph, Some(options));
    let size = graph.graph_label::<GraphLabel>();
    let (wide, high) = size.map_or((0.0, 0.0), |label| (label.width, label.height));
    let place = |at: usize| {
        let node = graph.node(&at.to_string())?;
        node.x.zip(node.y)
    };
    let edges = shape.edges.iter();
    Placed {
        size: (wide.ceil().max(40.0), high.ceil().max(40.0)),
        nodes: (0..shape.widths.len()).map(place).collect(),
        edges: edges
            .map(|(from, to)| bends(&graph, &from.to_string(), &to.to_string()))
            .collect(),
    }
}

/// From the right side of one box to the left side of another, through the bends between.
fn bends(graph: &Graph<NodeLabel, EdgeLabel>, from: &str, to: &str) -> Vec<Point> {
    let side = |name: &str, sign: f64| {
        let node = graph.node(name)?;
        Some(Point::new(node.x? + sign * node.width / 2.0, node.y?))
    };
    let between = graph
        .edge(from, to, None)
        .map_or(&[][..], |edge| &edge.points);
    let between = between
        .get(1..between.len().saturating_sub(1))
        .unwrap_or_default();
    let (begin, end) = (side(from, 1.0), side(to, -1.0));
    begin
        .into_iter()
        .chain(between.iter().cloned())
        .chain(end)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_graph_is_laid_out_once_and_another_one_anew() {
        let shape = |edges: &[(usize, usize)]| Shape {
            widths: vec![80.0, 90.0, 100.0],
            edges: edges.to_vec(),
        };
        let first = placed(shape(&[(0, 1)]));
        assert!(Arc::ptr_eq(&first, &placed(shape(&[(0, 1)]))));
        let other = placed(shape(&[(0, 1), (1, 2)]));
        assert_eq!((first.edges.len(), other.edges.len()), (1, 2));
        assert!(other.nodes[1].unwrap().0 < other.nodes[2].unwrap().0);
    }
}
