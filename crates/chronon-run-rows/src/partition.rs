//! The values of partition columns, which are text in the catalog.

use crate::{Column, RowsError, SparkType, Value, time};

/// The text of a partition's value as its column's type. `None` is Hive's partition without a value.
pub(crate) fn value(column: &Column, text: Option<&str>) -> Result<Value, RowsError> {
    let Some(text) = text else {
        return Ok(Value::Null);
    };
    parse(&column.data_type, text).ok_or_else(|| RowsError::BadPartition {
        column: column.name.clone(),
        wanted: column.data_type.to_string(),
        value: text.to_owned(),
    })
}

fn parse(wanted: &SparkType, text: &str) -> Option<Value> {
    let integer = |most: i64| {
        let number: i64 = text.trim().parse().ok()?;
        (-most - 1..=most)
            .contains(&number)
            .then_some(Value::Integer(number))
    };
    match wanted {
        SparkType::Text => Some(Value::Text(text.to_owned())),
        SparkType::Byte => integer(i64::from(i8::MAX)),
        SparkType::Short => integer(i64::from(i16::MAX)),
        SparkType::Int => integer(i64::from(i32::MAX)),
        SparkType::Long => integer(i64::MAX),
        SparkType::Float => text.trim().parse().ok().map(Value::Float),
        SparkType::Double => text.trim().parse().ok().map(Value::Double),
        SparkType::Boolean => text.trim().to_lowercase().parse().ok().map(Value::Boolean),
        SparkType::Date => time::parse_date(text.trim()).map(Value::Date),
        _ => None,
    }
}

/// Whether partition values of this type are understood.
pub(crate) fn is_understood(wanted: &SparkType) -> bool {
    !matches!(
        wanted,
        SparkType::Decimal(..)
            | SparkType::Binary
            | SparkType::Timestamp
            | SparkType::Array(_)
            | SparkType::Map(..)
            | SparkType::Struct(_)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_the_type_of_their_column() {
        let read = |data_type: &str, text: &str| {
            let column = Column {
                name: "p".to_owned(),
                data_type: data_type.parse().unwrap(),
            };
            value(&column, Some(text))
        };
        assert_eq!(read("string", "7").unwrap(), Value::Text("7".to_owned()));
        assert_eq!(read("int", "07").unwrap(), Value::Integer(7));
        assert_eq!(read("date", "1970-01-02").unwrap(), Value::Date(1));
        assert_eq!(read("boolean", "true").unwrap(), Value::Boolean(true));
        assert_eq!(
            read("bigint", "-9223372036854775808").unwrap(),
            Value::Integer(i64::MIN)
        );
        assert!(read("tinyint", "128").is_err());
        let error = read("int", "a").unwrap_err().to_string();
        assert_eq!(error, "the partition value `a` of column `p` is no int");
    }
}
