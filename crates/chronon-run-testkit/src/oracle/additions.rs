//! What left rows have before any part is computed: ready values of `bootstrapParts`, and the columns of
//! external sources that have nothing offline (engine-semantics 3, Bootstrap; `Join.computeBootstrapTable`).

use std::collections::{BTreeMap, BTreeSet};

use chronon_run_conf::{BootstrapPart, DataModel, Derivation, ExternalPart, Join, left_column};
use serde_json::{Value, json};

use super::{
    Answer, Event,
    confs::{Cells, Tables},
    expression::{Row, Unknown},
    sources::rows_of,
};

/// What is added to the left rows of a join.
pub(super) struct Additions {
    parts: Vec<Part>,
    external: Vec<External>,
}

/// A bootstrap part: its rows by the values of its keys and the day.
struct Part {
    keys: Vec<String>,
    fields: Vec<String>,
    rows: BTreeMap<String, Vec<Row>>,
}

/// A column of an external source.
struct External {
    name: String,
    /// The column whose value a contextual source repeats.
    repeats: Option<String>,
    /// Whether it is a key by which the source is asked, not a value.
    is_key: bool,
}

/// A left row with what is added to it.
pub(super) struct LeftRow {
    pub(super) event: Event,
    pub(super) added: Cells,
    /// The bootstrap parts that have a row for it.
    matched: BTreeSet<usize>,
}

impl Additions {
    /// The additions for left rows of the days `first..=last`.
    pub(super) fn of(conf: &Join, tables: &Tables, first: i64, last: i64) -> Result<Self, Unknown> {
        let parts = conf.bootstrap_parts.iter().flatten();
        let parts: Result<Vec<Part>, Unknown> = parts
            .map(|part| Part::of(conf, part, tables, first, last))
            .collect();
        let external = conf.online_external_parts.iter().flatten();
        let external = external.filter(|part| part.source.offline_group_by.is_none());
        Ok(Self {
            parts: parts?,
            external: external.flat_map(external_columns).collect(),
        })
    }

    /// A left row and what is added to it.
    pub(super) fn to(&self, event: Event) -> LeftRow {
        let mut added = Cells::new();
        let mut matched = BTreeSet::new();
        for (index, part) in self.parts.iter().enumerate() {
            let rows = part.matches(&event);
            if !rows.is_empty() {
                matched.insert(index);
            }
            for field in &part.fields {
                let own = event.columns.get(field).cloned().map(Answer::Exactly);
                let before = added.get(field).cloned().or(own);
                let ready = one_value(rows.iter().map(|row| &row[field]));
                added.insert(field.clone(), first_of(before, ready));
            }
        }
        self.add_external(&event, &mut added);
        LeftRow {
            event,
            added,
            matched,
        }
    }

    /// Columns of external sources are NULL, but for those of contextual ones.
    fn add_external(&self, event: &Event, added: &mut Cells) {
        for column in &self.external {
            let own = |name: &str, added: &Cells| {
                let left = event.columns.get(name).cloned().map(Answer::Exactly);
                added.get(name).cloned().or(left)
            };
            let value = match &column.repeats {
                Some(name) => first_of(
                    own(name, added),
                    own(&column.name, added).unwrap_or_else(null),
                ),
                None if column.is_key && event.columns.contains_key(&column.name) => continue,
                None => own(&column.name, added).unwrap_or_else(null),
            };
            if let Some(name) = &column.repeats {
                added.insert(name.clone(), value.clone());
            }
            added.insert(column.name.clone(), value);
        }
    }

    /// The values of external sources: features, like those of parts.
    pub(super) fn external_values(&self) -> BTreeSet<&str> {
        let values = self.external.iter().filter(|column| !column.is_key);
        values.map(|column| column.name.as_str()).collect()
    }

    /// The columns that stay beside features: keys of external sources that the left lacks.
    pub(super) fn external_keys(&self) -> BTreeSet<&str> {
        let keys = self.external.iter().filter(|column| column.is_key);
        keys.map(|column| column.name.as_str()).collect()
    }

    /// Whether nothing is computed for the row of a part with these features, because a bootstrap has
    /// everything of the output that is made of them.
    pub(super) fn covers(
        &self,
        row: &LeftRow,
        features: &BTreeSet<String>,
        derivations: &[Derivation],
    ) -> bool {
        let fields: BTreeSet<&String> = row
            .matched
            .iter()
            .flat_map(|part| &self.parts[*part].fields)
            .collect();
        !row.matched.is_empty()
            && made_of(features, derivations).iter().all(|(output, made)| {
                fields.contains(output) || made.iter().all(|name| fields.contains(name))
            })
    }
}

/// The columns of the output that are made of the features, each with those that it is made of.
fn made_of(
    features: &BTreeSet<String>,
    derivations: &[Derivation],
) -> Vec<(String, BTreeSet<String>)> {
    let itself = |name: &String| (name.clone(), BTreeSet::from([name.clone()]));
    if derivations.is_empty() {
        return features.iter().map(itself).collect();
    }
    let mut all = Vec::new();
    for one in derivations {
        if one.name == "*" {
            let renamed = |name: &&String| derivations.iter().any(|one| one.expression == **name);
            all.extend(features.iter().filter(|name| !renamed(name)).map(itself));
        } else {
            let letters = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let words: BTreeSet<&str> = one.expression.split(|c| !letters(c)).collect();
            let made = features.iter().filter(|name| words.contains(name.as_str()));
            all.push((one.name.clone(), made.cloned().collect()));
        }
    }
    all.retain(|(_, made)| !made.is_empty());
    all
}

impl Part {
    fn of(
        conf: &Join,
        part: &BootstrapPart,
        tables: &Tables,
        first: i64,
        last: i64,
    ) -> Result<Self, Unknown> {
        let keys = part.key_columns.as_ref().or(conf.row_ids.as_ref());
        let keys = keys.ok_or_else(|| Unknown("a bootstrap without keys".to_owned()))?;
        let query = part.query.clone().unwrap_or_default();
        let found = rows_of(
            &part.table,
            &query,
            keys,
            DataModel::Entities,
            tables,
            (first, last),
        )?;
        let is_field = |name: &&String| !keys.contains(name) && *name != "ts" && *name != "ds";
        let mut fields: BTreeSet<String> = BTreeSet::new();
        let mut rows: BTreeMap<String, Vec<Row>> = BTreeMap::new();
        for row in found {
            fields.extend(row.columns.keys().filter(is_field).cloned());
            if let Some(place) = place(&row, keys) {
                rows.entry(place).or_default().push(row.columns);
            }
        }
        Ok(Self {
            keys: keys.clone(),
            fields: fields.into_iter().collect(),
            rows,
        })
    }

    fn matches(&self, event: &Event) -> &[Row] {
        let place = place(event, &self.keys);
        let rows = place.and_then(|place| self.rows.get(&place));
        rows.map_or(&[], Vec::as_slice)
    }
}

/// The values of the keys and the day; NULL matches nothing.
fn place(event: &Event, keys: &[String]) -> Option<String> {
    let keys = keys.iter().filter(|key| *key != "ds");
    let values: Vec<&Value> = keys.map(|key| event.get(key)).collect();
    let whole = values.iter().all(|value| !value.is_null());
    whole.then(|| json!([values, event.partition]).to_string())
}

/// Of rows with the same keys any one is taken.
pub(super) fn one_value<'v>(mut values: impl Iterator<Item = &'v Value>) -> Answer {
    let Some(first) = values.next() else {
        return null();
    };
    match values.all(|value| value == first) {
        true => Answer::Exactly(first.clone()),
        false => Answer::Undefined,
    }
}

fn null() -> Answer {
    Answer::Exactly(Value::Null)
}

/// The first answer, or the second where the first is NULL.
pub(super) fn first_of(first: Option<Answer>, second: Answer) -> Answer {
    match first {
        None | Some(Answer::Exactly(Value::Null)) => second,
        Some(first) => first,
    }
}

/// The columns of an external source: the keys under their left names, and its values.
fn external_columns(part: &ExternalPart) -> Vec<External> {
    let contextual = part.source.metadata.name == "contextual";
    let prefix = part.full_prefix();
    let keys = names(part.source.key_schema.as_ref()).into_iter();
    let keys = keys
        .filter(|_| !contextual)
        .map(|name| left_column(part.key_mapping.as_ref(), &name).to_owned());
    let keys = keys.map(|name| External {
        name,
        repeats: None,
        is_key: true,
    });
    let values = names(part.source.value_schema.as_ref()).into_iter();
    let values = values.map(|name| External {
        name: format!("{prefix}_{name}"),
        repeats: contextual.then_some(name),
        is_key: false,
    });
    keys.chain(values).collect()
}

/// The names of the fields of a Thrift data type.
fn names(data_type: Option<&Value>) -> Vec<String> {
    let fields = data_type.and_then(|kind| kind["params"].as_array());
    let names = fields.into_iter().flatten().map(|field| &field["name"]);
    names
        .filter_map(|name| name.as_str().map(str::to_owned))
        .collect()
}
