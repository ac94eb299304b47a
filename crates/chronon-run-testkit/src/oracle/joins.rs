//! What the rows of a join's tables must be: the left with its additions, the tables of the parts, and the
//! output. All days are filled in one step.

use std::collections::{BTreeMap, BTreeSet};

use chronon_run_conf::{Accuracy, DataModel, Derivation, Join, OfflinePart, Source};
use chronon_run_core::Ds;
use serde_json::{Value, json};

use super::{
    Answer, DAY, Event,
    additions::{Additions, LeftRow, first_of},
    confs::{Cells, Expected, Tables, Values, derived, evaluated, text},
    expression::{Expression, Row, Unknown},
    sources::read,
};

/// The rows of a join's table for the days `first..=last` of its left, filled in one step.
///
/// # Errors
/// [`Unknown`] for a conf that the oracle does not understand.
pub fn join(conf: &Join, tables: &Tables, first: Ds, last: Ds) -> Result<Vec<Expected>, Unknown> {
    let steps = Steps::new(conf, tables, first, last)?;
    let mut rows = Vec::new();
    for row in &steps.left {
        for features in steps.features(row)? {
            rows.push(steps.output(row, features)?);
        }
    }
    Ok(rows)
}

/// The rows of `O_bootstrap`: the left with its additions.
///
/// # Errors
/// [`Unknown`] for a conf that the oracle does not understand.
pub fn left_table(
    conf: &Join,
    tables: &Tables,
    first: Ds,
    last: Ds,
) -> Result<Vec<Expected>, Unknown> {
    let steps = Steps::new(conf, tables, first, last)?;
    let rows = steps.left.iter().map(|row| {
        let (key, mut cells) = steps.left_cells(row);
        cells.extend(row.added.clone());
        // Hashes of confs, which the output shows only in what is not computed.
        cells.insert("matched_hashes".to_owned(), Answer::Undefined);
        if steps.timed {
            let day = json!(text(time_day(&row.event)));
            cells.insert("ts_ds".to_owned(), Answer::Exactly(day));
        }
        Expected { key, cells }
    });
    Ok(rows.collect())
}

/// The rows of the tables of all parts, by what follows the name of the output table.
///
/// # Errors
/// [`Unknown`] for a conf that the oracle does not understand.
pub fn part_tables(
    conf: &Join,
    tables: &Tables,
    first: Ds,
    last: Ds,
) -> Result<BTreeMap<String, Vec<Expected>>, Unknown> {
    let steps = Steps::new(conf, tables, first, last)?;
    let parts = steps.parts.iter();
    let named = parts.map(|part| Ok((part.part.table_suffix.clone(), part.table()?)));
    named.collect()
}

/// The day of a left row's own time.
fn time_day(row: &Event) -> i64 {
    row.ts.unwrap_or_default().div_euclid(DAY)
}

/// The parts of a join and its left rows.
struct Steps<'a> {
    conf: &'a Join,
    timed: bool,
    skewed: Skewed,
    additions: Additions,
    left: Vec<LeftRow>,
    parts: Vec<Part<'a>>,
}

impl<'a> Steps<'a> {
    fn new(conf: &'a Join, tables: &Tables, first: Ds, last: Ds) -> Result<Self, Unknown> {
        let (first, last) = (i64::from(first.epoch_days()), i64::from(last.epoch_days()));
        let additions = Additions::of(conf, tables, first, last)?;
        let skewed = Skewed::of(conf)?;
        let left = read(&conf.left, &[], tables, first, last)?.into_iter();
        let left = left.filter(|event| skewed.keeps_left(event));
        let left: Vec<LeftRow> = left.map(|event| additions.to(event)).collect();
        let mut steps = Self {
            conf,
            timed: conf.left.data_model() == DataModel::Events,
            skewed,
            additions,
            left,
            parts: Vec::new(),
        };
        if !steps.left.is_empty() {
            let parts = conf.offline_parts().map(|part| steps.part(part, tables));
            steps.parts = parts.collect::<Result<_, _>>()?;
        }
        Ok(steps)
    }

    fn derivations(&self) -> &'a [Derivation] {
        self.conf.derivations.as_deref().unwrap_or_default()
    }

    /// A part, computed for the left rows for which not everything is ready.
    fn part(&self, part: OfflinePart<'a>, tables: &Tables) -> Result<Part<'a>, Unknown> {
        let instants = self.timed && part.group_by.accuracy() == Accuracy::Temporal;
        let shift = i64::from(self.timed && !instants);
        let day = |row: &&LeftRow| match self.timed {
            true => time_day(&row.event) - shift,
            false => row.event.partition,
        };
        let hull = |rows: &[&LeftRow]| {
            let days = || rows.iter().map(day);
            (days().min().unwrap_or(0), days().max().unwrap_or(0))
        };
        let all: Vec<&LeftRow> = self.left.iter().collect();
        let names = Values::new(part.group_by, tables, hull(&all).0, hull(&all).1)?;
        let mut made = Part {
            values: names,
            instants,
            days: hull(&all),
            keys: Vec::new(),
            times: BTreeSet::new(),
            none: false,
            part,
        };
        let features: BTreeSet<String> = made.nothing()?.into_keys().collect();
        let lacking: Vec<&LeftRow> = all
            .into_iter()
            .filter(|row| !self.additions.covers(row, &features, self.derivations()))
            .collect();
        let (from, to) = hull(&lacking);
        made.none = lacking.is_empty();
        made.days = (from, to);
        made.values = Values::new(made.part.group_by, tables, from, to)?;
        let columns: Vec<&str> = made.part.left_columns().map(|(_, left)| left).collect();
        made.values
            .retain_keys(&|keys| self.skewed.keeps_right(&columns, keys));
        made.take_keys(&lacking);
        Ok(made)
    }

    /// What all parts have for a left row; several rows where a snapshot has a key several times.
    fn features(&self, row: &LeftRow) -> Result<Vec<Cells>, Unknown> {
        let mut all = vec![Cells::new()];
        for part in &self.parts {
            let day = match self.timed {
                true => time_day(&row.event) - 1,
                false => row.event.partition,
            };
            let own = part.of_row(&row.event, day)?;
            let mut longer = Vec::new();
            for cells in &all {
                for more in &own {
                    longer.push(cells.clone().into_iter().chain(more.clone()).collect());
                }
            }
            all = longer;
        }
        Ok(all)
    }

    /// The left columns of a row: those that identify it, and those that a bootstrap has values for.
    fn left_cells(&self, row: &LeftRow) -> (Row, Cells) {
        let mut key = row.event.columns.clone();
        let mut cells = Cells::new();
        for (name, value) in &row.added {
            if key.remove(name).is_some() {
                cells.insert(name.clone(), value.clone());
            }
        }
        key.insert("ds".to_owned(), json!(text(row.event.partition)));
        if self.timed {
            key.insert("ts".to_owned(), json!(row.event.ts));
        }
        (key, cells)
    }

    /// A row of the output (`DerivationUtils.applyDerivation`).
    fn output(&self, row: &LeftRow, computed: Cells) -> Result<Expected, Unknown> {
        let (key, mut cells) = self.left_cells(row);
        let mut base: Cells = computed
            .into_iter()
            .map(|(name, value)| {
                let ready = row.added.get(&name).cloned();
                (name, first_of(ready, value))
            })
            .collect();
        for name in self.additions.external_values() {
            base.insert(name.to_owned(), row.added[name].clone());
        }
        for name in self.additions.external_keys() {
            cells.extend(
                row.added
                    .get(name)
                    .map(|cell| (name.to_owned(), cell.clone())),
            );
        }
        if self.derivations().is_empty() {
            cells.extend(base);
            return Ok(Expected { key, cells });
        }
        let mut known = base.clone();
        known.extend(row.added.clone());
        known.extend(base.clone());
        for (name, expression) in projections(self.derivations(), &base) {
            let value = match known.get(&expression) {
                Some(value) => value.clone(),
                None => evaluated(&Expression::parse(&expression)?, &key, &known)?,
            };
            let before = known.get(&name).cloned();
            cells.insert(name.clone(), first_of(before, value));
        }
        Ok(Expected { key, cells })
    }
}

/// The columns after derivations: `*` is all features but those that are only renamed.
fn projections(derivations: &[Derivation], base: &Cells) -> Vec<(String, String)> {
    let renamed = |name: &&String| derivations.iter().any(|one| one.expression == **name);
    let of = |one: &Derivation| match one.name.as_str() {
        "*" => {
            let kept = base.keys().filter(|name| !renamed(name));
            kept.map(|name| (name.clone(), name.clone())).collect()
        }
        name => vec![(name.to_owned(), one.expression.clone())],
    };
    derivations.iter().flat_map(of).collect()
}

/// `skewKeys`: rows whose columns all have one of these values, or NULL, are left out, on the left and of
/// each part by those of its keys (`JoinUtils.skewFilter`, `partSkewFilter`).
struct Skewed {
    columns: Vec<(String, Vec<Value>)>,
}

impl Skewed {
    fn of(conf: &Join) -> Result<Self, Unknown> {
        let mut columns = Vec::new();
        for (column, texts) in conf.skew_keys.iter().flatten() {
            let literals = texts
                .iter()
                .filter(|text| !text.eq_ignore_ascii_case("null"));
            let values = literals.map(|text| match text.strip_prefix('\'') {
                Some(text) => Ok(json!(text.trim_end_matches('\''))),
                None => serde_json::from_str(text).map_err(|_| Unknown(text.clone())),
            });
            let values = values.collect::<Result<Vec<Value>, Unknown>>()?;
            columns.push((column.clone(), values));
        }
        Ok(Self { columns })
    }

    fn keeps_left(&self, row: &Event) -> bool {
        let mut columns = self.columns.iter();
        self.columns.is_empty() || columns.any(|(name, values)| is_other(row.get(name), values))
    }

    fn keeps_right(&self, left_columns: &[&str], keys: &[Value]) -> bool {
        let place = |name: &str| left_columns.iter().position(|column| *column == name);
        let own = self.columns.iter();
        let mut own = own.filter_map(|(name, values)| Some((&keys[place(name)?], values)));
        let first = own.next();
        first.is_none_or(|first| {
            let mut all = [first].into_iter().chain(own);
            all.any(|(key, values)| is_other(key, values))
        })
    }
}

fn is_other(key: &Value, values: &[Value]) -> bool {
    let same = |value: &Value| match (value.as_f64(), key.as_f64()) {
        (Some(value), Some(key)) => (value - key).abs() < f64::EPSILON,
        _ => value == key,
    };
    !key.is_null() && !values.iter().any(same)
}

/// A part with its values and the left rows that they are computed for.
struct Part<'a> {
    part: OfflinePart<'a>,
    values: Values<'a>,
    /// Values at the left row's own time.
    instants: bool,
    /// The days of its table.
    days: (i64, i64),
    /// For each key, its values on the left; empty: all keys are computed.
    keys: Vec<BTreeSet<String>>,
    /// The keys, times and days of the left rows, for values at those times.
    times: BTreeSet<String>,
    /// Nothing is computed.
    none: bool,
}

impl Part<'_> {
    /// The keys of a left row, in the order of the GroupBy's.
    fn keys_of(&self, row: &Event) -> Vec<Value> {
        let columns = self.part.left_columns();
        columns.map(|(_, left)| row.get(left).clone()).collect()
    }

    /// The left rows' keys become conditions on the sources, one for each key (`injectKeyFilter`), but not
    /// on join sources.
    fn take_keys(&mut self, rows: &[&LeftRow]) {
        let sources = &self.part.group_by.sources;
        let is_join = |source: &Source| matches!(source, Source::JoinSource(_));
        if !sources.iter().any(is_join) {
            self.keys = vec![BTreeSet::new(); self.part.group_by.key_columns.len()];
        }
        for row in rows {
            let keys = self.keys_of(&row.event);
            for (all, key) in self.keys.iter_mut().zip(&keys) {
                if !key.is_null() {
                    all.insert(key.to_string());
                }
            }
            if !keys.iter().any(Value::is_null) {
                self.times.insert(time(&keys, &row.event));
                self.values.ask(&keys, row.event.ts.unwrap_or_default());
            }
        }
    }

    fn takes(&self, keys: &[Value]) -> bool {
        let mut pairs = self.keys.iter().zip(keys);
        pairs.all(|(all, key)| all.contains(&key.to_string()))
    }

    /// Every column of the part is NULL.
    fn nothing(&self) -> Result<Cells, Unknown> {
        // Derivations are in the part's table, which has no such row.
        let names = self.derive(&Row::new(), self.values.nothing())?.into_keys();
        let null = || Answer::Exactly(Value::Null);
        Ok(names
            .map(|name| (format!("{}_{name}", self.part.full_prefix), null()))
            .collect())
    }

    fn derive(&self, key: &Row, cells: Cells) -> Result<Cells, Unknown> {
        derived(self.part.group_by.derivations.as_deref(), key, cells)
    }

    /// The features of a left row, under their full names.
    fn of_row(&self, row: &Event, day: i64) -> Result<Vec<Cells>, Unknown> {
        let keys = self.keys_of(row);
        let found = match (keys.iter().any(Value::is_null) || self.none, self.instants) {
            (true, _) => Vec::new(),
            (false, true) if self.times.contains(&time(&keys, row)) => {
                vec![self.values.instant(&keys, row.ts.unwrap_or_default())]
            }
            (false, true) => Vec::new(),
            (false, false) if self.takes(&keys) && (self.days.0..=self.days.1).contains(&day) => {
                self.values.of_key(&keys, day)
            }
            (false, false) => Vec::new(),
        };
        let mut own = Vec::new();
        for cells in found {
            let cells = self.derive(&Row::new(), cells)?.into_iter();
            let named =
                cells.map(|(name, cell)| (format!("{}_{name}", self.part.full_prefix), cell));
            own.push(named.collect());
        }
        if own.is_empty() {
            own.push(self.nothing()?);
        }
        Ok(own)
    }

    /// The rows of the part's table.
    fn table(&self) -> Result<Vec<Expected>, Unknown> {
        let mut rows = Vec::new();
        let mut add = |keys: Vec<Value>, more: &[(&str, Value)], cells: Cells| {
            let names = self.part.group_by.key_columns.iter().cloned();
            let mut key: Row = names.zip(keys).collect();
            key.extend(
                more.iter()
                    .map(|(name, value)| ((*name).to_owned(), value.clone())),
            );
            let cells = self.derive(&key, cells)?;
            rows.push(Expected { key, cells });
            Ok::<(), Unknown>(())
        };
        if self.none {
            return Ok(rows);
        }
        if self.instants {
            for place in &self.times {
                let (keys, ts, day): (Vec<Value>, i64, i64) =
                    serde_json::from_str(place).map_err(|error| Unknown(error.to_string()))?;
                let cells = self.values.instant(&keys, ts);
                let more = [("ts", json!(ts)), ("ds", json!(text(day)))];
                add(keys, &more, cells)?;
            }
            return Ok(rows);
        }
        for day in self.days.0..=self.days.1 {
            for (keys, cells) in self.values.day(day) {
                if self.takes(&keys) {
                    add(keys, &[("ds", json!(text(day)))], cells)?;
                }
            }
        }
        Ok(rows)
    }
}

/// What a value at a left row's own time is stored by.
fn time(keys: &[Value], row: &Event) -> String {
    json!([keys, row.ts.unwrap_or_default(), row.partition]).to_string()
}
