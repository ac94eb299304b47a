//! The rows that a source of a conf selects of its table.

use std::collections::BTreeMap;

use chronon_run_conf::{DataModel, Query, Source};
use chronon_run_core::Ds;
use serde_json::{Value, json};

use super::{
    DAY, Event,
    expression::{Expression, Row, Unknown},
};

/// The rows of every source table, with their day in `ds`.
pub type Tables = BTreeMap<String, Vec<Row>>;

/// The rows of a source in partitions `from..=to`.
pub(super) fn read(
    source: &Source,
    keys: &[String],
    tables: &Tables,
    from: i64,
    to: i64,
) -> Result<Vec<Event>, Unknown> {
    let name = match source {
        Source::Events(events) if events.is_cumulative != Some(true) => events.table.clone(),
        Source::Entities(entities) if entities.mutation_table.is_none() => {
            entities.snapshot_table.clone()
        }
        // The parent's output, which the caller has computed before.
        Source::JoinSource(_) => {
            let table = source.table().map_err(|error| Unknown(error.to_string()))?;
            table.table.to_string()
        }
        _ => return Err(Unknown("this kind of source".to_owned())),
    };
    let query = source.query();
    rows_of(&name, query, keys, source.data_model(), tables, (from, to))
}

/// What a query selects of a table, in the partitions `from..=to`.
pub(super) fn rows_of(
    table: &str,
    query: &Query,
    keys: &[String],
    model: DataModel,
    tables: &Tables,
    (from, to): (i64, i64),
) -> Result<Vec<Event>, Unknown> {
    let rows = tables.get(table).ok_or_else(|| Unknown(table.to_owned()))?;
    let bound = |text: &Option<String>| -> Option<i64> {
        Some(i64::from(text.as_ref()?.parse::<Ds>().ok()?.epoch_days()))
    };
    let from = from.max(bound(&query.start_partition).unwrap_or(from));
    let to = to.min(bound(&query.end_partition).unwrap_or(to));
    let selection = Selection::new(query, keys, model)?;
    let mut events = Vec::new();
    for row in rows {
        let day = row
            .get("ds")
            .and_then(Value::as_str)
            .and_then(|text| text.parse::<Ds>().ok());
        let partition = i64::from(
            day.ok_or_else(|| Unknown("a row without ds".to_owned()))?
                .epoch_days(),
        );
        if (from..=to).contains(&partition) {
            events.extend(selection.event(row, partition)?);
        }
    }
    Ok(events)
}

/// The expressions of a query.
struct Selection {
    wheres: Vec<Expression>,
    /// None: all columns.
    selects: Option<Vec<(String, Expression)>>,
    time: Option<Expression>,
    events: bool,
}

impl Selection {
    fn new(query: &Query, keys: &[String], model: DataModel) -> Result<Self, Unknown> {
        let parse = |text: &String| Expression::parse(text);
        let wheres: Result<Vec<_>, _> = query.wheres.iter().flatten().map(parse).collect();
        let mut selects = None;
        if let Some(all) = query.selects.as_ref().filter(|all| !all.is_empty()) {
            let mut found = Vec::new();
            for (name, text) in all {
                found.push((name.clone(), Expression::parse(text)?));
            }
            for key in keys.iter().filter(|key| !all.contains_key(*key)) {
                found.push((key.clone(), Expression::Name(key.clone())));
            }
            selects = Some(found);
        }
        Ok(Self {
            wheres: wheres?,
            selects,
            time: query.time_column.as_ref().map(parse).transpose()?,
            events: model == DataModel::Events,
        })
    }

    fn event(&self, row: &Row, partition: i64) -> Result<Option<Event>, Unknown> {
        for condition in &self.wheres {
            if condition.of(row)? != json!(true) {
                return Ok(None);
            }
        }
        let time = self.time.as_ref().map(|time| time.of(row)).transpose()?;
        let ts = match &time {
            Some(value) => value.as_i64(),
            // Every row counts at the end of its partition.
            None => self.events.then_some((partition + 1) * DAY - 1),
        };
        let mut columns = Row::new();
        match &self.selects {
            Some(selects) => {
                for (name, expression) in selects {
                    columns.insert(name.clone(), expression.of(row)?);
                }
            }
            None => {
                let all = row
                    .iter()
                    .filter(|(name, _)| *name != "ds" && *name != "ts");
                columns.extend(all.map(|(name, value)| (name.clone(), value.clone())));
            }
        }
        Ok(Some(Event {
            partition,
            ts,
            columns,
        }))
    }
}
