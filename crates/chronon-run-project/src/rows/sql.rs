//! The same rows, asked of Spark.

use chronon_run_sql::{literal, quoted};

use super::Place;

/// The query with which Spark reads `columns` (all if empty) of the rows for which `condition` holds.
pub fn select(place: &Place, columns: &[String], condition: Option<&str>) -> String {
    let columns = match columns {
        [] => "*".to_owned(),
        names => names
            .iter()
            .map(|name| quoted(name))
            .collect::<Vec<_>>()
            .join(", "),
    };
    let table = &place.table;
    let mut conditions: Vec<String> = day_condition(place).into_iter().collect();
    conditions.extend(condition.map(|text| format!("(\n{text}\n)")));
    let conditions = match conditions.as_slice() {
        [] => String::new(),
        // `FROM t WHERE (a)` is a table with an alias and a column alias to Spark.
        conditions => format!("\nWHERE true\n  AND {}", conditions.join("\n  AND ")),
    };
    format!("SELECT {columns}\nFROM {table}{conditions}")
}

/// The condition under which a row is of the day that is shown; `None` for a table without days.
pub fn day_condition(place: &Place) -> Option<String> {
    let column = quoted(place.day_column.as_ref()?);
    if !place.is_seen_through() {
        let values: Vec<String> = place
            .day_values()
            .iter()
            .map(|value| literal(value))
            .collect();
        return Some(format!("{column} IN ({})", values.join(", ")));
    }
    Some(match place.day {
        Some(day) => format!("{column} = '{day}'"),
        None => format!("{column} = (SELECT MAX({column}) FROM {})", place.table),
    })
}
