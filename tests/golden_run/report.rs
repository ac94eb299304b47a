//! The comparison of all tables of a corpus, as one printed table.

use std::collections::{BTreeMap, BTreeSet};

use chronon_run_testkit::golden::{Defect, Kind, Recorded, Rows, compare};
use serde_json::Value;

use crate::tables::Found;

/// The comparison as it grows.
#[derive(Default)]
pub(crate) struct Report {
    /// Table, rows, what was found.
    lines: Vec<[String; 3]>,
    equal: usize,
    pub(crate) different: Vec<String>,
    /// Tables that the engine refuses to make.
    pub(crate) refused: BTreeSet<String>,
}

impl Report {
    pub(crate) fn refused(&mut self, table: &Recorded, why: &str) {
        self.line(table, String::from("-"), &[format!("refused: {why}")]);
        self.refused.insert(table.name.clone());
    }

    /// `found` is the table with its properties, if it exists.
    pub(crate) fn compare(
        &mut self,
        table: &Recorded,
        found: Option<(&Found, &BTreeMap<String, String>)>,
        defects: &[Defect],
    ) {
        let Some((found, properties)) = found else {
            self.line(table, "0".to_owned(), &["does not exist".to_owned()]);
            self.different.push(table.name.clone());
            return;
        };
        let mut content = found.content.clone();
        if table.kind == Kind::Upload {
            content.rows = Some(decoded(&content));
        }
        let mut verdict = compare(table, &content, defects);
        for (key, value) in &table.properties {
            let ours = properties.get(key);
            if ours != Some(value) && table.kind == Kind::Table {
                verdict
                    .differences
                    .push(format!("property {key}: {ours:?}, recorded {value:?}"));
            }
        }
        let mut said = vec![];
        if verdict.differences.is_empty() {
            self.equal += 1;
            said.push("equal".to_owned());
        } else {
            self.different.push(table.name.clone());
        }
        said.extend(verdict.differences.into_iter().chain(verdict.notes));
        self.line(table, verdict.rows.to_string(), &said);
    }

    fn line(&mut self, table: &Recorded, rows: String, said: &[String]) {
        self.lines.push([
            table.name.clone(),
            rows,
            said.join(&format!("\n{:>91}", "")),
        ]);
    }

    /// `95 of 99 tables equal, …`
    pub(crate) fn summary(&self) -> String {
        format!(
            "{} of {} tables equal, {} differ, {} refused by name before anything runs",
            self.equal,
            self.lines.len(),
            self.different.len(),
            self.refused.len()
        )
    }

    pub(crate) fn text(&self) -> String {
        let lines = self.lines.iter();
        let lines = lines.map(|[table, rows, said]| format!("{table:<82} {rows:>6}  {said}"));
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// The rows of an upload table as keys and values, without the row that describes the others.
fn decoded(content: &Rows) -> Vec<Vec<Value>> {
    let at = |name: &str| {
        content
            .columns
            .iter()
            .position(|(column, _)| column == name)
            .unwrap()
    };
    let (key, value) = (at("key_json"), at("value_json"));
    let json = |cell: &Value| {
        cell.as_str().map_or(Value::Null, |text| {
            serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
        })
    };
    let rows = content.rows.iter().flatten();
    rows.filter(|row| row[key] != "group_by_serving_info")
        .map(|row| vec![json(&row[key]), json(&row[value])])
        .collect()
}
