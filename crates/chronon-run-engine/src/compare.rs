//! Two tables, compared row by row in one Spark SQL query: rows are paired by their keys, every column of a
//! pair is compared, and the answer is a line of JSON for the sums and one for each example.

use std::collections::BTreeMap;

use chronon_run_core::{Column, TableName};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use chronon_run_sql::quoted;

/// Rows of one table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Side {
    /// The table.
    pub table: TableName,
    /// Which of its rows; all, if absent.
    pub condition: Option<String>,
    /// Its columns, partition columns included.
    pub columns: Vec<Column>,
}

/// What is compared.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Comparing {
    left: Side,
    right: Side,
    keys: Vec<String>,
    columns: Vec<Compared>,
    /// Columns of one side only.
    pub only_left: Vec<String>,
    /// Columns of the other side only.
    pub only_right: Vec<String>,
    /// Columns of one side only that are no difference, see [`Comparing::allow_more`].
    ignored: Vec<String>,
}

/// A side of a comparison.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Which {
    /// The first table.
    Left,
    /// The second one.
    Right,
}

/// A column of both sides.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Compared {
    name: String,
    is_number: bool,
    /// How its values are made comparable.
    form: Form,
    /// The types, if they differ.
    types: Option<[String; 2]>,
}

/// What is compared of a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    /// The value.
    Plain,
    /// Its text: the types of both sides differ, and not both are numbers.
    Text,
    /// A map as JSON, its entries in the order of their keys: Spark does not compare maps, and the order of
    /// entries is none of their value.
    Map,
    /// JSON: there are maps within.
    Json,
}

/// Why two tables cannot be compared.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CompareError {
    /// A key or column is not there.
    #[error("{table} has no column `{column}`; it has {known}")]
    NoColumn {
        /// The table.
        table: TableName,
        /// The column.
        column: String,
        /// Its columns.
        known: String,
    },
    /// A key holds maps.
    #[error("column `{0}` holds a map, which cannot be a key")]
    MapKey(String),
    /// There is nothing to compare.
    #[error("the tables have no column in common besides the keys")]
    NoColumns,
}

impl Comparing {
    /// Compares `left` with `right` by `keys`: these `columns`, or all that both have.
    ///
    /// # Errors
    /// [`CompareError`] if a key or column is not in both tables.
    pub fn new(
        left: Side,
        right: Side,
        keys: &[String],
        columns: &[String],
    ) -> Result<Self, CompareError> {
        for name in keys.iter().chain(columns) {
            for side in [&left, &right] {
                let found = side.column(name)?;
                if keys.contains(name) && has_map(found) {
                    return Err(CompareError::MapKey(name.clone()));
                }
            }
        }
        let is_key = |name: &str| keys.iter().any(|key| key.eq_ignore_ascii_case(name));
        let wanted = |name: &str| {
            !is_key(name)
                && (columns.is_empty() || columns.iter().any(|c| c.eq_ignore_ascii_case(name)))
        };
        let shared = left.columns.iter().filter(|column| wanted(&column.name));
        let shared: Vec<Compared> = shared
            .filter_map(|column| Some(Compared::of(column, right.find(&column.name)?)))
            .collect();
        if shared.is_empty() && !columns.is_empty() {
            return Err(CompareError::NoColumns);
        }
        Ok(Self {
            only_left: left.not_in(&right, columns),
            only_right: right.not_in(&left, columns),
            ignored: Vec::new(),
            keys: keys.to_vec(),
            columns: shared,
            left,
            right,
        })
    }

    /// Columns that only this side has are no difference.
    pub fn allow_more(&mut self, side: Which) {
        let columns = match side {
            Which::Left => &mut self.only_left,
            Which::Right => &mut self.only_right,
        };
        self.ignored = std::mem::take(columns);
    }

    /// The query; its only column, `line`, is what [`parse`](Self::parse) reads. At most `examples` pairs of
    /// rows that differ are shown.
    #[must_use]
    pub fn query(&self, examples: u64) -> String {
        let on: Vec<String> = (0..self.keys.len())
            .map(|at| format!("l.k{at} <=> r.k{at}"))
            .collect();
        let on = match on.is_empty() {
            true => String::new(),
            false => format!("{} AND ", on.join(" AND ")),
        };
        let keys = (0..self.keys.len()).map(|at| format!(", COALESCE(l.k{at}, r.k{at}) AS k{at}"));
        let values =
            (0..self.columns.len()).map(|at| format!(", l.c{at} AS l{at}, r.c{at} AS r{at}"));
        let columns: String = keys.chain(values).collect();
        let differs = self.differs();
        format!(
            "WITH l AS (\n{}\n), r AS (\n{}\n), p AS (\n\
             SELECT l.n AS ln, r.n AS rn{columns}\nFROM l FULL OUTER JOIN r ON {on}l.n = r.n\n)\n\
             SELECT to_json(struct({})) AS line FROM p\nUNION ALL\n\
             SELECT line FROM (SELECT to_json(struct({})) AS line FROM p\nWHERE ln IS NULL OR rn IS NULL OR {differs}\nLIMIT {examples}) e",
            self.rows(&self.left),
            self.rows(&self.right),
            self.sums(),
            self.example(),
        )
    }

    /// The rows of a side: keys, values, and the row's number among those of the same keys.
    fn rows(&self, side: &Side) -> String {
        let keys = self.keys.iter().enumerate();
        let keys = keys.map(|(at, name)| format!("{} AS k{at}", quoted(name)));
        let values = self.columns.iter().enumerate();
        let values = values.map(|(at, column)| format!("{} AS c{at}", column.value()));
        let all: Vec<String> = keys.chain(values).collect();
        let by: Vec<String> = self.keys.iter().map(|name| quoted(name)).collect();
        let by = match by.is_empty() {
            true => "1".to_owned(),
            false => by.join(", "),
        };
        let order: Vec<String> = self.columns.iter().map(Compared::value).collect();
        let order = match order.is_empty() {
            true => "1".to_owned(),
            false => order.join(", "),
        };
        let number = format!("ROW_NUMBER() OVER (PARTITION BY {by} ORDER BY HASH({order})) AS n");
        let all: Vec<String> = all.into_iter().chain([number]).collect();
        let condition = side.condition.as_ref();
        let condition = condition.map_or(String::new(), |text| format!("\nWHERE {text}"));
        format!("SELECT {}\nFROM {}{condition}", all.join(", "), side.table)
    }

    fn differs(&self) -> String {
        let each = (0..self.columns.len()).map(|at| format!("NOT (l{at} <=> r{at})"));
        let each: Vec<String> = each.collect();
        match each.is_empty() {
            true => "false".to_owned(),
            false => each.join(" OR "),
        }
    }

    fn sums(&self) -> String {
        let count = |what: &str, name: &str| format!("COUNT_IF({what}) AS {name}");
        let mut all = vec![
            count("ln IS NOT NULL AND rn IS NULL", "only_left"),
            count("rn IS NOT NULL AND ln IS NULL", "only_right"),
            count("ln IS NOT NULL AND rn IS NOT NULL", "both"),
            count("ln > 1", "again_left"),
            count("rn > 1", "again_right"),
        ];
        let pair = "ln IS NOT NULL AND rn IS NOT NULL";
        all.push(count(
            &format!("{pair} AND ({})", self.differs()),
            "different",
        ));
        for (at, column) in self.columns.iter().enumerate() {
            all.push(count(
                &format!("{pair} AND NOT (l{at} <=> r{at})"),
                &format!("d{at}"),
            ));
            let only = |null: &str, other: &str| {
                format!("{pair} AND {null}{at} IS NULL AND {other}{at} IS NOT NULL")
            };
            all.push(count(&only("l", "r"), &format!("ln{at}")));
            all.push(count(&only("r", "l"), &format!("rn{at}")));
            if column.is_number {
                let distance = format!(
                    "CASE WHEN {pair} AND NOT (l{at} <=> r{at}) THEN ABS(CAST(l{at} AS DOUBLE) - CAST(r{at} AS DOUBLE)) END"
                );
                all.push(format!("MAX({distance}) AS m{at}"));
                all.push(format!("AVG({distance}) AS a{at}"));
            }
        }
        all.join(", ")
    }

    fn example(&self) -> String {
        let side =
            "CASE WHEN rn IS NULL THEN 'left' WHEN ln IS NULL THEN 'right' ELSE 'both' END AS side";
        let keys = (0..self.keys.len()).map(|at| format!("CAST(k{at} AS STRING) AS k{at}"));
        let text = |name: String, column: &Compared| match column.form {
            Form::Plain => format!("CAST({name} AS STRING) AS {name}"),
            Form::Text | Form::Map | Form::Json => format!("{name} AS {name}"),
        };
        let values = self.columns.iter().enumerate().flat_map(|(at, column)| {
            [
                text(format!("l{at}"), column),
                text(format!("r{at}"), column),
            ]
        });
        let all: Vec<String> = std::iter::once(side.to_owned())
            .chain(keys)
            .chain(values)
            .collect();
        all.join(", ")
    }

    /// Reads the lines of the answer; `None` if they are not one.
    #[must_use]
    pub fn parse(&self, lines: &[String]) -> Option<Comparison> {
        let parsed: Vec<Value> = lines
            .iter()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        let sums = parsed
            .iter()
            .find(|line| line.get("both").is_some_and(Value::is_number))?;
        let sum = |name: &str| sums[name].as_u64().unwrap_or_default();
        let columns = self.columns.iter().enumerate();
        let columns = columns.map(|(at, column)| ColumnComparison {
            column: column.name.clone(),
            different: sum(&format!("d{at}")),
            null_left: sum(&format!("ln{at}")),
            null_right: sum(&format!("rn{at}")),
            max_difference: sums[format!("m{at}")].as_f64(),
            mean_difference: sums[format!("a{at}")].as_f64(),
        });
        let examples = parsed.iter().filter(|line| line["side"].is_string());
        Some(Comparison {
            only_left: sum("only_left"),
            only_right: sum("only_right"),
            both: sum("both"),
            different: sum("different"),
            repeated_left: sum("again_left"),
            repeated_right: sum("again_right"),
            columns: columns.collect(),
            columns_only_left: self.only_left.clone(),
            columns_only_right: self.only_right.clone(),
            columns_ignored: self.ignored.clone(),
            types: self.columns.iter().filter_map(Compared::types).collect(),
            examples: examples.map(|line| self.example_of(line)).collect(),
        })
    }

    fn example_of(&self, line: &Value) -> Example {
        let text = |name: String| line[name].as_str().map(str::to_owned);
        let keys = self.keys.iter().enumerate();
        let keys = keys.map(|(at, name)| (name.clone(), text(format!("k{at}"))));
        let side = line["side"].as_str().unwrap_or_default().to_owned();
        let columns = self.columns.iter().enumerate();
        let values = columns
            .map(|(at, column)| (column, text(format!("l{at}")), text(format!("r{at}"))))
            .filter(|(_, left, right)| side == "both" && left != right)
            .map(|(column, left, right)| (column.name.clone(), (left, right)));
        Example {
            keys: keys.collect(),
            values: values.collect(),
            side,
        }
    }
}

impl Side {
    fn find(&self, name: &str) -> Option<&Column> {
        let mut columns = self.columns.iter();
        columns.find(|column| column.name.eq_ignore_ascii_case(name))
    }

    fn column(&self, name: &str) -> Result<&Column, CompareError> {
        self.find(name).ok_or_else(|| CompareError::NoColumn {
            table: self.table.clone(),
            column: name.to_owned(),
            known: self
                .columns
                .iter()
                .map(|column| column.name.as_str())
                .collect::<Vec<_>>()
                .join(", "),
        })
    }

    fn not_in(&self, other: &Self, wanted: &[String]) -> Vec<String> {
        let names = self.columns.iter().map(|column| &column.name);
        let names = names.filter(|name| wanted.is_empty() && other.find(name).is_none());
        names.cloned().collect()
    }
}

impl Compared {
    fn of(left: &Column, right: &Column) -> Self {
        let kind = |column: &Column| column.data_type.to_lowercase();
        let (kinds, is_number) = (
            [kind(left), kind(right)],
            is_number(left) && is_number(right),
        );
        let differ = kinds[0] != kinds[1];
        let form = match (has_map(left) || has_map(right), differ) {
            // A map whose keys and values hold none.
            (true, false)
                if kinds[0].starts_with("map<") && kinds[0].matches("map<").count() == 1 =>
            {
                Form::Map
            }
            (true, _) => Form::Json,
            (false, true) if !is_number => Form::Text,
            (false, _) => Form::Plain,
        };
        Self {
            name: left.name.clone(),
            is_number,
            form,
            types: differ.then_some(kinds),
        }
    }

    fn value(&self) -> String {
        let name = quoted(&self.name);
        match self.form {
            Form::Plain => name,
            Form::Text => format!("CAST({name} AS STRING)"),
            Form::Map => format!("to_json(map_from_entries(array_sort(map_entries({name}))))"),
            Form::Json => format!("to_json({name})"),
        }
    }

    fn types(&self) -> Option<TypeDifference> {
        let [left, right] = self.types.clone()?;
        Some(TypeDifference {
            column: self.name.clone(),
            left,
            right,
        })
    }
}

fn is_number(column: &Column) -> bool {
    let kind = column.data_type.to_lowercase();
    let kinds = ["tinyint", "smallint", "int", "bigint", "float", "double"];
    kinds.contains(&kind.as_str()) || kind.starts_with("decimal")
}

fn has_map(column: &Column) -> bool {
    column.data_type.to_lowercase().contains("map<")
}

/// What a comparison found.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Comparison {
    /// Rows whose keys are on the left side only.
    pub only_left: u64,
    /// Rows whose keys are on the right side only.
    pub only_right: u64,
    /// Pairs of rows.
    pub both: u64,
    /// Pairs that differ in a column.
    pub different: u64,
    /// Rows of the left side beyond the first of their keys.
    pub repeated_left: u64,
    /// The same of the right side.
    pub repeated_right: u64,
    /// Every compared column.
    pub columns: Vec<ColumnComparison>,
    /// Columns of the left side only.
    pub columns_only_left: Vec<String>,
    /// Columns of the right side only.
    pub columns_only_right: Vec<String>,
    /// Columns that a join has beside those of the staging query that it is compared with: no difference.
    pub columns_ignored: Vec<String>,
    /// Columns that have another type on the other side.
    pub types: Vec<TypeDifference>,
    /// Some rows that are on one side only or differ.
    pub examples: Vec<Example>,
}

impl Comparison {
    /// Whether both sides hold the same.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        let rows = self.only_left + self.only_right + self.different;
        let columns = [&self.columns_only_left, &self.columns_only_right];
        rows == 0 && self.types.is_empty() && columns.iter().all(|names| names.is_empty())
    }
}

/// A column that has another type on the other side.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TypeDifference {
    /// Its name.
    pub column: String,
    /// Its type on the left side.
    pub left: String,
    /// Its type on the right side.
    pub right: String,
}

/// How a column differs.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ColumnComparison {
    /// Its name.
    pub column: String,
    /// Pairs of rows in which it differs.
    pub different: u64,
    /// Those in which only the left value is NULL.
    pub null_left: u64,
    /// Those in which only the right value is NULL.
    pub null_right: u64,
    /// The greatest difference of two numbers.
    pub max_difference: Option<f64>,
    /// The mean difference of the pairs of numbers that differ.
    pub mean_difference: Option<f64>,
}

/// A row that is on one side only, or a pair that differs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Example {
    /// `left`, `right` or `both`.
    pub side: String,
    /// The keys, as text.
    pub keys: BTreeMap<String, Option<String>>,
    /// The values that differ, as text, left and right.
    pub values: BTreeMap<String, (Option<String>, Option<String>)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(name: &str, columns: &[(&str, &str)]) -> Side {
        let column = |(name, kind): &(&str, &str)| Column {
            name: (*name).to_owned(),
            data_type: (*kind).to_owned(),
        };
        Side {
            table: name.parse().unwrap(),
            condition: Some("`ds` = '2026-01-01'".to_owned()),
            columns: columns.iter().map(column).collect(),
        }
    }

    fn words(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn comparing() -> Comparing {
        let left = side(
            "a.b",
            &[
                ("Id", "bigint"),
                ("x", "double"),
                ("m", "map<string,int>"),
                ("old", "int"),
            ],
        );
        let right = side(
            "c.d",
            &[
                ("id", "bigint"),
                ("X", "int"),
                ("m", "map<string,int>"),
                ("new", "int"),
            ],
        );
        Comparing::new(left, right, &words(&["id"]), &[]).unwrap()
    }

    #[test]
    fn columns_are_found_by_name_and_the_others_are_named() {
        let found = comparing();
        let names: Vec<&str> = found.columns.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names, ["x", "m"]);
        assert_eq!(found.only_left, ["old"]);
        assert_eq!(found.only_right, ["new"]);
        let query = found.query(3);
        for part in [
            "FULL OUTER JOIN r ON l.k0 <=> r.k0 AND l.n = r.n",
            "to_json(map_from_entries(array_sort(map_entries(`m`)))) AS c1",
            "COUNT_IF(ln IS NOT NULL AND rn IS NOT NULL AND l0 IS NULL AND r0 IS NOT NULL) AS ln0",
            "MAX(CASE WHEN ln IS NOT NULL AND rn IS NOT NULL AND NOT (l0 <=> r0) THEN ABS(CAST(l0 AS DOUBLE)",
            "LIMIT 3",
        ] {
            assert!(query.contains(part), "{part}: {query}");
        }
        assert!(!query.contains("AS m1"), "maps have no difference: {query}");
    }

    #[test]
    fn keys_and_columns_that_do_not_exist_are_named_with_those_that_do() {
        let (left, right) = (
            side("a.b", &[("id", "int"), ("m", "map<int,int>")]),
            side("c.d", &[("key", "int"), ("m", "map<int,int>")]),
        );
        let error = |keys: &[&str], columns: &[&str]| {
            let found = Comparing::new(left.clone(), right.clone(), &words(keys), &words(columns));
            found.unwrap_err().to_string()
        };
        assert_eq!(error(&["id"], &[]), "c.d has no column `id`; it has key, m");
        assert_eq!(error(&[], &["x"]), "a.b has no column `x`; it has id, m");
        assert!(error(&["m"], &[]).contains("cannot be a key"));
    }

    #[test]
    fn the_answer_is_read() {
        let lines = [
            r#"{"only_left":1,"only_right":2,"both":10,"again_left":0,"again_right":0,"different":3,"d0":3,"ln0":2,"rn0":1,"m0":0.5,"a0":0.25,"d1":0}"#,
            r#"{"side":"both","k0":"7","l0":"1.5","r0":"1","l1":"{}","r1":"{}"}"#,
            r#"{"side":"left","k0":"8","l0":"1.5"}"#,
        ];
        let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        let found = comparing().parse(&lines).unwrap();
        assert_eq!(
            (
                found.only_left,
                found.only_right,
                found.both,
                found.different
            ),
            (1, 2, 10, 3)
        );
        assert_eq!(found.columns[0].max_difference, Some(0.5));
        assert_eq!(found.columns[0].mean_difference, Some(0.25));
        assert_eq!(found.columns[1].different, 0);
        assert_eq!(
            (found.columns[0].null_left, found.columns[0].null_right),
            (2, 1)
        );
        assert!(!found.is_equal());
        let wanted = (Some("1.5".to_owned()), Some("1".to_owned()));
        assert_eq!(found.examples[0].values, [("x".to_owned(), wanted)].into());
        assert!(found.examples[1].values.is_empty());
        assert_eq!(comparing().parse(&[]), None);
    }

    /// Chronon's compare job drops what only the join has, and refuses columns of different types.
    #[test]
    fn more_columns_of_a_join_are_no_difference_and_other_types_are() {
        let equal = r#"{"only_left":0,"only_right":0,"both":1,"again_left":0,"again_right":0,"different":0}"#;
        let found = |comparing: &Comparing| comparing.parse(&[equal.to_owned()]).unwrap();
        let of = |left: &[(&str, &str)], right: &[(&str, &str)]| {
            let (left, right) = (side("a.b", left), side("c.d", right));
            Comparing::new(left, right, &words(&["id"]), &[]).unwrap()
        };
        let mut more = of(
            &[("id", "int"), ("x", "int"), ("more", "int")],
            &[("id", "int"), ("x", "INT")],
        );
        assert!(!found(&more).is_equal());
        more.allow_more(Which::Left);
        assert!(found(&more).is_equal());
        assert_eq!(found(&more).columns_ignored, ["more"]);
        let mut less = of(&[("id", "int")], &[("id", "int"), ("x", "int")]);
        less.allow_more(Which::Left);
        assert!(!found(&less).is_equal(), "the join lacks a column");

        let other = of(
            &[("id", "int"), ("x", "int"), ("y", "string")],
            &[("id", "int"), ("x", "double"), ("y", "array<int>")],
        );
        let types = found(&other).types;
        assert_eq!((types.len(), types[0].right.as_str()), (2, "double"));
        assert!(!found(&other).is_equal());
        assert!(
            other
                .query(1)
                .contains("`x` AS c0, CAST(`y` AS STRING) AS c1")
        );
    }
}
