//! What the partitions of part tables tell of the times of left rows.

use chronon_run_core::{CatalogSnapshot, Ds, StepKind, TableName};
use serde::{Deserialize, Serialize};

use super::parts::is_shifted_part;
use crate::graph::{Asset, Graph};

/// A part partition that only a left row makes whose time is not on its partition's day.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TimesSeen {
    /// The part table.
    pub table: TableName,
    /// Its partition.
    pub partition: Ds,
    /// Whether the row is early; else it is late.
    pub early: bool,
}

/// Whether part tables show early or late left rows of a modular join, of which `last` is the final
/// step. The left rows that were handed to the parts are those of the days that `O_bootstrap` has; a
/// part partition that none of these days needs was made by a row whose time is on another day.
/// Early and late rows in the middle of a history are not seen.
#[must_use]
pub fn times_seen(graph: &Graph, snapshot: &CatalogSnapshot, last: &Asset) -> Option<TimesSeen> {
    if last.id.step != StepKind::Final {
        return None;
    }
    let column = last.day_column.as_deref()?;
    let producers = last.inputs.iter().filter_map(|input| input.producer);
    let producers: Vec<&Asset> = producers.map(|index| &graph.assets[index]).collect();
    let left = producers
        .iter()
        .find(|asset| asset.id.step == StepKind::Left)?;
    let left = snapshot.days(&left.table, column, &[]);
    let (first, end) = (left.first()?, left.last()?);
    let mut parts = producers.into_iter().filter(|asset| is_shifted_part(asset));
    parts.find_map(|part| {
        let days = snapshot.days(&part.table, column, &[]);
        let seen = |partition: Ds, early: bool| TimesSeen {
            table: part.table.clone(),
            partition,
            early,
        };
        let newest = days.last().filter(|day| *day > end.plus(part.shift));
        let oldest = days.first().filter(|day| *day < first.plus(part.shift));
        let early = newest.map(|day| seen(day, true));
        early.or(oldest.map(|day| seen(day, false)))
    })
}
