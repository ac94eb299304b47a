//! What the rows of the table of a label join must be (contract 3 and 4.2).

use std::collections::BTreeSet;

use chronon_run_conf::{GroupBy, Join};
use chronon_run_core::Ds;
use serde_json::{Value, json};

use super::{
    Answer,
    additions::one_value,
    confs::{Cells, Expected, Tables, Values, text},
    expression::{Row, Unknown},
    sources::read,
};

/// The rows of `O_labels`: for each label day, one for each row identifier of the left days.
///
/// # Errors
/// [`Unknown`] for a conf that the oracle does not understand.
pub fn table(conf: &Join, tables: &Tables, days: &[Ds]) -> Result<Vec<Expected>, Unknown> {
    let mut rows = Vec::new();
    for day in days {
        rows.extend(of_day(conf, tables, i64::from(day.epoch_days()))?);
    }
    Ok(rows)
}

fn of_day(conf: &Join, tables: &Tables, day: i64) -> Result<Vec<Expected>, Unknown> {
    let unknown = || Unknown("a join without labels".to_owned());
    let label = conf.label_part.as_ref().ok_or_else(unknown)?;
    let oldest = i64::from(label.left_start_offset.unwrap_or(1));
    let newest = i64::from(label.left_end_offset.unwrap_or(1));
    let left = read(&conf.left, &[], tables, day + 1 - oldest, day + 1 - newest)?;
    let ids = conf
        .row_ids
        .as_ref()
        .ok_or_else(|| Unknown("no row ids".to_owned()))?;
    let mut rows: Vec<Expected> = Vec::new();
    for row in &left {
        let mut key: Row = ids
            .iter()
            .map(|id| (id.clone(), row.get(id).clone()))
            .collect();
        key.insert("ds".to_owned(), json!(text(row.partition)));
        key.insert("label_ds".to_owned(), json!(text(day)));
        let mut cells = Cells::new();
        for part in &label.labels {
            // Derivations are no labels.
            let base = GroupBy {
                derivations: None,
                ..part.group_by.clone()
            };
            let values = Values::new(&base, tables, day, day)?;
            let keys: Vec<Value> = part
                .left_columns()
                .map(|(_, left)| row.get(left).clone())
                .collect();
            cells.extend(
                label_cells(&values, &keys, day)
                    .into_iter()
                    .map(|(name, cell)| (format!("{}_{name}", part.full_prefix()), cell)),
            );
        }
        match rows.iter_mut().find(|other| other.key == key) {
            // Of rows with one identifier any one is taken.
            Some(other) => {
                for (name, cell) in cells {
                    let same = other.cells.get(&name) == Some(&cell);
                    other
                        .cells
                        .insert(name, if same { cell } else { Answer::Undefined });
                }
            }
            None => rows.push(Expected { key, cells }),
        }
    }
    Ok(rows)
}

/// The labels of a key: any one of its rows in the snapshot.
fn label_cells(values: &Values<'_>, keys: &[Value], day: i64) -> Cells {
    let found = match keys.iter().any(Value::is_null) {
        true => Vec::new(),
        false => values.of_key(keys, day),
    };
    let names: BTreeSet<String> = values.nothing().into_keys().collect();
    let of_name = |name: String| {
        let mut exact = Vec::new();
        for row in &found {
            match &row[&name] {
                Answer::Exactly(value) => exact.push(value),
                other => return (name, other.clone()),
            }
        }
        let answer = one_value(exact.into_iter());
        (name, answer)
    };
    names.into_iter().map(of_name).collect()
}
