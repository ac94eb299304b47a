//! The partition column of a source, whose values need not be days of the form `yyyy-MM-dd`.
//!
//! Conditions compare the column in its own format, so that the metastore prunes partitions; where that is
//! not in the order of days, such as `dd-MM-yyyy`, they compare the day, with which Spark prunes them. The
//! value that the rest of a script works with, the day, is text of the form `yyyy-MM-dd`. What the author wrote in
//! `selects` and `wheres` sees the column as it is.

use chronon_run_conf::Query;
use chronon_run_core::{CatalogSnapshot, Ds, PartitionFormat, TableName};

use super::text::{ident, text};

/// The partition column of one source.
pub(super) struct DayColumn {
    name: String,
    format: Option<PartitionFormat>,
    kind: Kind,
}

/// What type the column has, as far as it matters.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Number,
    Date,
    Timestamp,
}

impl DayColumn {
    /// The column of a query over `table`; `ds` is the partition column of every output.
    pub(super) fn of(query: &Query, table: &TableName, tables: &CatalogSnapshot, ds: &str) -> Self {
        let name = query.partition_column.as_deref().unwrap_or(ds);
        let state = tables.table(table);
        // A view has the column among the others.
        let mut columns = state.into_iter().flat_map(|state| {
            let info = &state.info;
            info.partition_columns.iter().chain(&info.columns)
        });
        let column = columns.find(|column| column.name.eq_ignore_ascii_case(name));
        let data_type = column.map_or("string", |column| column.data_type.as_str());
        let format = state.and_then(|state| state.day_format.clone());
        Self {
            name: name.to_owned(),
            format: format.filter(|format| !format.is_iso()),
            kind: Kind::of(data_type),
        }
    }

    /// Whether the values are text of the form `yyyy-MM-dd`.
    pub(super) fn is_plain(&self) -> bool {
        self.format.is_none() && self.kind == Kind::Text
    }

    /// The column's name as the author writes it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The day as text of the form `yyyy-MM-dd`.
    pub(super) fn day(&self) -> String {
        let column = ident(&self.name);
        match (self.kind, &self.format) {
            (Kind::Text, None) => column,
            (Kind::Date, _) => format!("CAST({column} AS STRING)"),
            (Kind::Timestamp, _) => format!("DATE_FORMAT({column}, 'yyyy-MM-dd')"),
            (Kind::Number, None) => format!("CAST({column} AS STRING)"),
            (kind, Some(format)) => {
                let value = match kind {
                    Kind::Text => column,
                    _ => format!("CAST({column} AS STRING)"),
                };
                let [year, month, day] = format.places();
                format!(
                    "CONCAT(SUBSTR({value}, {year}, 4), '-', SUBSTR({value}, {month}, 2), '-', SUBSTR({value}, {day}, 2))"
                )
            }
        }
    }

    /// The partitions of a day, an SQL text, and of later ones.
    pub(super) fn from(&self, day: &str) -> String {
        if !self.is_ordered() {
            return format!("{} >= {day}", self.day());
        }
        format!("{} >= {}", ident(&self.name), self.value(day, Edge::First))
    }

    /// The partitions of a day, an SQL text, and of earlier ones.
    pub(super) fn until(&self, day: &str) -> String {
        match self.kind {
            // A timestamp may have a fraction of a second.
            Kind::Timestamp => format!(
                "{} < CAST(DATE_ADD({day}, 1) AS TIMESTAMP)",
                ident(&self.name)
            ),
            _ if !self.is_ordered() => format!("{} <= {day}", self.day()),
            _ => format!("{} <= {}", ident(&self.name), self.value(day, Edge::Last)),
        }
    }

    /// Whether later days have greater values.
    fn is_ordered(&self) -> bool {
        let is_typed = matches!(self.kind, Kind::Date | Kind::Timestamp);
        is_typed
            || self
                .format
                .as_ref()
                .is_none_or(PartitionFormat::sorts_as_text)
    }

    /// The partitions of one day.
    pub(super) fn on(&self, day: Ds) -> Vec<String> {
        let day = text(&day.to_string());
        if self.is_plain() {
            return vec![format!("{} = {day}", ident(&self.name))];
        }
        vec![self.from(&day), self.until(&day)]
    }

    /// The first or last value of a day in the column's own type and format.
    fn value(&self, day: &str, edge: Edge) -> String {
        match self.kind {
            Kind::Date => return format!("CAST({day} AS DATE)"),
            Kind::Timestamp => return format!("CAST({day} AS TIMESTAMP)"),
            Kind::Text | Kind::Number => {}
        }
        let Some(format) = &self.format else {
            return day.to_owned();
        };
        let written = match literal(day) {
            Some(ds) => text(&edge.of(format, ds)),
            None => edge.computed(format, day),
        };
        let digits = written.trim_matches('\'');
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        match self.kind {
            Kind::Number if is_number => digits.to_owned(),
            Kind::Number => format!("CAST({written} AS BIGINT)"),
            _ => written,
        }
    }
}

/// The first or the last moment of a day.
#[derive(Clone, Copy)]
enum Edge {
    First,
    Last,
}

impl Edge {
    fn of(self, format: &PartitionFormat, ds: Ds) -> String {
        match self {
            Self::First => format.first_of(ds),
            Self::Last => format.last_of(ds),
        }
    }

    /// The value of a day that is only known when the script runs.
    fn computed(self, format: &PartitionFormat, day: &str) -> String {
        let part = |start: u32, length: u32| format!("SUBSTR({day}, {start}, {length})");
        let date = [part(1, 4), part(6, 2), part(9, 2)];
        let time = match self {
            Self::First => ["00", "00", "00"],
            Self::Last => ["23", "59", "59"],
        };
        let pieces = format.pieces_with([&date[0], &date[1], &date[2]], time);
        let sql = |piece: String| match date.contains(&piece) {
            true => piece,
            false => text(&piece),
        };
        let pieces: Vec<String> = pieces.into_iter().map(sql).collect();
        format!("CONCAT({})", pieces.join(", "))
    }
}

impl Kind {
    fn of(data_type: &str) -> Self {
        match data_type.to_ascii_lowercase().as_str() {
            "date" => Self::Date,
            "timestamp" => Self::Timestamp,
            "tinyint" | "smallint" | "int" | "integer" | "bigint" => Self::Number,
            _ => Self::Text,
        }
    }
}

/// The day of a literal.
fn literal(day: &str) -> Option<Ds> {
    let inner = day.strip_prefix('\'')?.strip_suffix('\'')?;
    inner.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(kind: Kind, format: &str) -> DayColumn {
        DayColumn {
            name: "dt".to_owned(),
            format: Some(format.parse::<PartitionFormat>().unwrap()).filter(|f| !f.is_iso()),
            kind,
        }
    }

    #[test]
    fn conditions_are_in_the_columns_own_format() {
        let conditions = |kind, format| {
            let column = column(kind, format);
            [column.from("'2026-01-02'"), column.until("'2026-01-03'")].join(" AND ")
        };
        for (kind, format, expected) in [
            (
                Kind::Text,
                "yyyy-MM-dd",
                "dt >= '2026-01-02' AND dt <= '2026-01-03'",
            ),
            (
                Kind::Text,
                "yyyyMMdd",
                "dt >= '20260102' AND dt <= '20260103'",
            ),
            (
                Kind::Number,
                "yyyyMMdd",
                "dt >= 20260102 AND dt <= 20260103",
            ),
            (
                Kind::Text,
                "yyyy/MM/dd",
                "dt >= '2026/01/02' AND dt <= '2026/01/03'",
            ),
            (
                Kind::Text,
                "yyyy-MM-dd-HH",
                "dt >= '2026-01-02-00' AND dt <= '2026-01-03-23'",
            ),
            (
                Kind::Date,
                "yyyy-MM-dd",
                "dt >= CAST('2026-01-02' AS DATE) AND dt <= CAST('2026-01-03' AS DATE)",
            ),
            (
                Kind::Text,
                "dd.MM.yyyy",
                "CONCAT(SUBSTR(dt, 7, 4), '-', SUBSTR(dt, 4, 2), '-', SUBSTR(dt, 1, 2)) >= '2026-01-02' AND CONCAT(SUBSTR(dt, 7, 4), '-', SUBSTR(dt, 4, 2), '-', SUBSTR(dt, 1, 2)) <= '2026-01-03'",
            ),
            (
                Kind::Timestamp,
                "yyyy-MM-dd HH:mm:ss",
                "dt >= CAST('2026-01-02' AS TIMESTAMP) AND dt < CAST(DATE_ADD('2026-01-03', 1) AS TIMESTAMP)",
            ),
        ] {
            assert_eq!(conditions(kind, format), expected);
        }
        assert_eq!(
            column(Kind::Number, "yyyyMMdd").from("(SELECT d FROM x)"),
            "dt >= CAST(CONCAT(SUBSTR((SELECT d FROM x), 1, 4), SUBSTR((SELECT d FROM x), 6, 2), SUBSTR((SELECT d FROM x), 9, 2)) AS BIGINT)"
        );
    }

    #[test]
    fn the_day_is_iso_text() {
        assert_eq!(column(Kind::Text, "yyyy-MM-dd").day(), "dt");
        assert_eq!(
            column(Kind::Number, "yyyyMMdd").day(),
            "CONCAT(SUBSTR(CAST(dt AS STRING), 1, 4), '-', SUBSTR(CAST(dt AS STRING), 5, 2), '-', SUBSTR(CAST(dt AS STRING), 7, 2))"
        );
        assert_eq!(column(Kind::Date, "yyyy-MM-dd").day(), "CAST(dt AS STRING)");
    }
}
