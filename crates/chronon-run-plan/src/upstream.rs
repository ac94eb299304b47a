//! Which days of selected assets are needed so that some days of all of them can be filled from nothing.

use std::collections::{BTreeMap, BTreeSet};

use chronon_run_core::{Ds, RangeSet};

use crate::{
    graph::{AssetIndex, Graph},
    need::{Bounds, Need},
};

/// For each of the selected assets the days `wanted`, and those that other selected assets read of it, directly
/// or not. `first` is the first day that an asset can have, for readers of its whole history.
#[must_use]
pub fn upstream_days(
    graph: &Graph,
    selected: &BTreeSet<AssetIndex>,
    wanted: &RangeSet,
    first: impl Fn(AssetIndex) -> Option<Ds>,
) -> BTreeMap<AssetIndex, RangeSet> {
    let all = selected.iter().map(|&index| (index, wanted.clone()));
    let mut days: BTreeMap<AssetIndex, RangeSet> = all.collect();
    // Readers come after what they read.
    for &index in selected.iter().rev() {
        let outputs = days.get(&index).cloned().unwrap_or_default();
        for input in &graph.assets[index].inputs {
            let Some(producer) = input.producer.filter(|index| selected.contains(index)) else {
                continue;
            };
            let bounds = Bounds {
                from: input.from,
                until: input.until,
            };
            let since = Bounds {
                from: input.from.or_else(|| first(producer)),
                ..bounds
            };
            let needed = match input.need {
                Need::Since { .. } => input.need.inputs_of(&outputs, since),
                other => other.inputs_of(&outputs, bounds),
            };
            let shift = graph.assets[producer].shift;
            let known = days.entry(producer).or_default();
            *known = known.union(&needed.widen(-shift, -shift));
        }
    }
    days
}

#[cfg(test)]
mod tests {
    use chronon_run_conf::ConfRepo;

    use super::*;
    use crate::{BuildOptions, Graph};

    fn graph() -> Graph {
        let root = std::path::Path::new(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/golden/a/repo"
        ));
        let repo = ConfRepo::load(root, "production").repo;
        Graph::build(&repo.views(), &BuildOptions::default()).0
    }

    #[test]
    fn what_is_read_of_a_selected_asset_is_wanted_of_it() {
        let graph = graph();
        let day: Ds = "2026-01-20".parse().unwrap();
        let wanted = RangeSet::from_iter([day]);
        let mut windows = 0;
        for (index, asset) in graph.assets.iter().enumerate() {
            for input in &asset.inputs {
                let (Some(producer), Need::Days { lo, hi }) = (input.producer, input.need) else {
                    continue;
                };
                let first = input
                    .from
                    .map_or(lo, |from| lo.max(from.epoch_days() - day.epoch_days()));
                let both = BTreeSet::from([index, producer]);
                let days = upstream_days(&graph, &both, &wanted, |_| None);
                let shift = graph.assets[producer].shift;
                for back in first..=hi {
                    let needed = day.plus(back - shift);
                    let until = input.until.is_none_or(|until| day.plus(back) <= until);
                    assert!(
                        !until || days[&producer].contains(needed),
                        "{} of {}",
                        needed,
                        asset.id
                    );
                }
                let alone = upstream_days(&graph, &BTreeSet::from([index]), &wanted, |_| None);
                assert_eq!(alone.len(), 1);
                windows += i32::from(lo < hi);
            }
        }
        assert!(windows > 0, "no input of the corpus has a window");
    }
}
