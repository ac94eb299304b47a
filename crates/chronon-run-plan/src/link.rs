//! Finds who fills what each asset reads, and puts producers before readers.

use std::collections::{BTreeMap, BTreeSet};

use chronon_run_core::{AssetKind, ConfType, Diagnostic, Location, TableName, TableSpec};

use crate::{
    graph::{Asset, AssetIndex, Fill, Graph, Input, Role},
    need::Need,
};

/// Orders the assets, producers first, and finds the producer of every input.
pub(crate) fn connect(assets: Vec<Asset>, diagnostics: &mut Vec<Diagnostic>) -> Graph {
    let producers = Producers::new(&assets);
    let mut assets = assets;
    join_families(&mut assets);
    for (index, asset) in assets.iter_mut().enumerate() {
        let also = &mut asset.also_reads;
        also.retain(|input| producers.of(&input.spec) != Some(index));
        for input in asset.inputs.iter_mut().chain(also) {
            input.producer = producers.of(&input.spec).filter(|&found| found != index);
        }
    }
    let embeds = embedded_confs(&assets);
    for (asset, embeds) in assets.iter_mut().zip(embeds) {
        asset.embeds = embeds;
    }
    look_through_views(&mut assets);
    break_guessed_cycles(&mut assets, diagnostics);
    let order = topological(&assets, diagnostics);
    let mut graph = reorder(assets, &order);
    drop_circular_reads(&mut graph);
    graph
}

/// Jobs that compute their parents themselves are of the parents' family, whose tables they may write
/// (§4.3).
fn join_families(assets: &mut [Asset]) {
    let mut joined: BTreeMap<String, String> = BTreeMap::new();
    let root = |joined: &BTreeMap<String, String>, family: &str| {
        let mut family = family;
        while let Some(next) = joined.get(family) {
            family = next;
        }
        family.to_owned()
    };
    for asset in assets.iter() {
        let computes = asset.inputs.iter().any(|input| input.role == Role::Parent);
        for parent in asset.also_locks.iter().filter(|_| computes) {
            let (child, parent) = (root(&joined, &asset.family), root(&joined, parent));
            if child != parent {
                joined.insert(child, parent);
            }
        }
    }
    for asset in assets {
        let family = root(&joined, &asset.family);
        if family != asset.family {
            // Another process may know the conf alone.
            let own = std::mem::replace(&mut asset.family, family);
            asset.also_locks.push(own);
        }
    }
}

/// Which asset fills which table.
struct Producers {
    by_table: BTreeMap<TableName, AssetIndex>,
    by_signal: BTreeMap<(TableName, String), AssetIndex>,
}

impl Producers {
    fn new(assets: &[Asset]) -> Self {
        let mut by_table = BTreeMap::new();
        let mut by_signal = BTreeMap::new();
        for (index, asset) in assets.iter().enumerate() {
            if asset.fill == Fill::App || asset.id.mode == AssetKind::Kv {
                continue;
            }
            for side in &asset.also_writes {
                by_table.entry(side.table.clone()).or_insert(index);
            }
            match asset.sub_partitions.first() {
                Some((_, value)) => {
                    by_signal.insert((asset.table.clone(), value.clone()), index);
                }
                None => {
                    by_table.insert(asset.table.clone(), index);
                }
            }
        }
        Self {
            by_table,
            by_signal,
        }
    }

    fn of(&self, spec: &TableSpec) -> Option<AssetIndex> {
        let signal = spec
            .sub_partitions
            .iter()
            .find_map(|(_, value)| self.by_signal.get(&(spec.table.clone(), value.clone())));
        signal.or_else(|| self.by_table.get(&spec.table)).copied()
    }
}

/// For each asset the backfills of the GroupBys whose definition it embeds.
fn embedded_confs(assets: &[Asset]) -> Vec<BTreeSet<AssetIndex>> {
    let is_backfill = |asset: &Asset| {
        asset.id.conf.conf_type == ConfType::GroupBy && asset.id.mode == AssetKind::Backfill
    };
    let by_name: BTreeMap<&str, AssetIndex> = assets
        .iter()
        .enumerate()
        .filter(|(_, asset)| is_backfill(asset))
        .map(|(index, asset)| (asset.id.conf.name.as_str(), index))
        .collect();
    let embedded = |asset: &Asset| {
        let names = asset.embedded_group_bys.iter();
        names
            .filter_map(|name| by_name.get(name.as_str()).copied())
            .collect()
    };
    assets.iter().map(embedded).collect()
}

/// A view has no partitions of its own: its readers need the days of what the view reads.
fn look_through_views(assets: &mut [Asset]) {
    let behind: Vec<Option<Vec<Input>>> = assets.iter().map(behind_view).collect();
    let views: Vec<Vec<TableName>> = assets
        .iter()
        .map(|asset| {
            asset
                .also_writes
                .iter()
                .map(|side| side.table.clone())
                .collect()
        })
        .collect();
    for inputs in assets
        .iter_mut()
        .flat_map(|asset| [&mut asset.inputs, &mut asset.also_reads])
    {
        let mut extra = Vec::new();
        for input in inputs.iter_mut() {
            let Some(view) = input
                .producer
                .filter(|&view| views[view].contains(&input.spec.table))
            else {
                continue;
            };
            let Some(behind) = &behind[view] else {
                continue;
            };
            extra.extend(behind.iter().map(|source| Input {
                need: input.need,
                role: input.role.clone(),
                gates: input.gates,
                ..source.clone()
            }));
            input.need = Need::Table;
            input.gates = false;
        }
        inputs.extend(extra);
    }
}

/// What a view reads day by day; `None` if the asset is no view.
fn behind_view(asset: &Asset) -> Option<Vec<Input>> {
    let daily = asset
        .inputs
        .iter()
        .filter(|input| input.need == Need::SAME_DAY);
    (!asset.sub_partitions.is_empty()).then(|| daily.cloned().collect())
}

/// A query that reads what is made from its own output reads an earlier day of it: such an edge is only
/// guessed from the SQL, so it is taken out.
fn break_guessed_cycles(assets: &mut [Asset], diagnostics: &mut Vec<Diagnostic>) {
    loop {
        let Some(cycle) = cycle_of(assets) else {
            return;
        };
        let guessed = cycle.iter().find_map(|&index| {
            let mut inputs = assets[index].inputs.iter();
            let place = inputs.position(|input| {
                let on_cycle = |producer| cycle.contains(&producer);
                input.role == Role::Query && input.producer.is_some_and(on_cycle)
            })?;
            Some((index, place))
        });
        let Some((index, place)) = guessed else {
            return;
        };
        let input = assets[index].inputs.remove(place);
        let message = format!(
            "{} reads {}, which is filled from it: that it must be there first is left out",
            assets[index].id.conf.name, input.spec.table
        );
        diagnostics.push(
            Diagnostic::warning("query-cycle", message)
                .at(Location::file(&assets[index].path))
                .hint("declare `metaData.dependencies`, for example `db.t/ds={{ yesterday_ds }}`"),
        );
    }
}

/// Of what is read without waiting, tables that are filled from the reader's own output are left out: each
/// would make the other out of date forever.
fn drop_circular_reads(graph: &mut Graph) {
    let mut parents = parents_of(&graph.assets);
    for index in 0..graph.assets.len() {
        graph.assets[index].also_reads.retain(|input| {
            let Some(producer) = input.producer else {
                return true;
            };
            let circular = is_made_of(&parents, producer, index);
            if !circular {
                parents[index].insert(producer);
            }
            !circular
        });
    }
}

/// Whether `asset` is `other` or reads, directly or not, what `other` fills.
fn is_made_of(parents: &[BTreeSet<AssetIndex>], asset: AssetIndex, other: AssetIndex) -> bool {
    let mut seen = BTreeSet::new();
    let mut open = vec![asset];
    while let Some(next) = open.pop() {
        if next == other {
            return true;
        }
        if seen.insert(next) {
            open.extend(&parents[next]);
        }
    }
    false
}

/// One cycle, if there is any.
fn cycle_of(assets: &[Asset]) -> Option<Vec<AssetIndex>> {
    let parents = parents_of(assets);
    let stuck = stuck(&parents).1;
    find_cycle(&parents, &stuck)
}

fn parents_of(assets: &[Asset]) -> Vec<BTreeSet<AssetIndex>> {
    let producers = |asset: &Asset| {
        asset
            .inputs
            .iter()
            .filter_map(|input| input.producer)
            .collect()
    };
    assets.iter().map(producers).collect()
}

/// Producers before readers, otherwise in the order given. Assets on a cycle come last and are
/// reported.
fn topological(assets: &[Asset], diagnostics: &mut Vec<Diagnostic>) -> Vec<AssetIndex> {
    let parents = parents_of(assets);
    let (order, stuck) = stuck(&parents);
    if let Some(cycle) = find_cycle(&parents, &stuck) {
        let names: Vec<String> = cycle
            .iter()
            .map(|&index| assets[index].id.to_string())
            .collect();
        for &index in &cycle[1..] {
            diagnostics.push(
                Diagnostic::error(
                    "dependency-cycle",
                    format!("these assets need each other: {}", names.join(" → ")),
                )
                .at(Location::file(&assets[index].path))
                .hint("break the cycle: no table can be an input of itself"),
            );
        }
        for index in stuck.into_iter().filter(|index| !cycle.contains(index)) {
            let message = format!("{} needs assets that need each other", assets[index].id);
            diagnostics.push(
                Diagnostic::error("needs-cycle", message)
                    .at(Location::file(&assets[index].path))
                    .hint("break the cycle first"),
            );
        }
    }
    order
}

/// Producers before readers, and what is on a cycle or needs something that is.
fn stuck(parents: &[BTreeSet<AssetIndex>]) -> (Vec<AssetIndex>, Vec<AssetIndex>) {
    let mut readers = vec![Vec::new(); parents.len()];
    let mut waiting: Vec<usize> = parents.iter().map(BTreeSet::len).collect();
    for (index, parents) in parents.iter().enumerate() {
        for &parent in parents {
            readers[parent].push(index);
        }
    }
    let mut ready: BTreeSet<AssetIndex> = (0..parents.len())
        .filter(|&index| waiting[index] == 0)
        .collect();
    let mut order = Vec::with_capacity(parents.len());
    while let Some(index) = ready.pop_first() {
        order.push(index);
        for &reader in &readers[index] {
            waiting[reader] -= 1;
            if waiting[reader] == 0 {
                ready.insert(reader);
            }
        }
    }
    let stuck = (0..parents.len()).filter(|&index| waiting[index] > 0);
    (order, stuck.collect())
}

/// One cycle among `stuck`, its first asset repeated at the end.
fn find_cycle(parents: &[BTreeSet<AssetIndex>], stuck: &[AssetIndex]) -> Option<Vec<AssetIndex>> {
    let mut path: Vec<AssetIndex> = vec![*stuck.first()?];
    loop {
        let here = *path.last()?;
        let next = *parents[here].iter().find(|parent| stuck.contains(parent))?;
        if let Some(start) = path.iter().position(|&seen| seen == next) {
            let mut cycle = path.split_off(start);
            cycle.push(next);
            cycle.reverse();
            return Some(cycle);
        }
        path.push(next);
    }
}

/// The graph whose assets stand in `order`; assets that are not in it are dropped.
fn reorder(assets: Vec<Asset>, order: &[AssetIndex]) -> Graph {
    let mut place = vec![None; assets.len()];
    for (new, &old) in order.iter().enumerate() {
        place[old] = Some(new);
    }
    let mut slots: Vec<Option<Asset>> = assets.into_iter().map(Some).collect();
    let mut graph = Graph::default();
    for &old in order {
        let Some(mut asset) = slots[old].take() else {
            continue;
        };
        for input in asset.inputs.iter_mut().chain(&mut asset.also_reads) {
            input.producer = input.producer.and_then(|producer| place[producer]);
        }
        asset.embeds = asset
            .embeds
            .iter()
            .filter_map(|&index| place[index])
            .collect();
        graph.by_id.insert(asset.id.clone(), graph.assets.len());
        graph.assets.push(asset);
    }
    graph.readers = vec![BTreeSet::new(); graph.assets.len()];
    for index in 0..graph.assets.len() {
        for parent in graph.parents(index).collect::<Vec<_>>() {
            graph.readers[parent].insert(index);
        }
    }
    graph
}
