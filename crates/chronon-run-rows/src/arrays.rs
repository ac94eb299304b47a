//! From values to Arrow's arrays, to write them.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array,
    Int8Array, Int16Array, Int32Array, Int64Array, ListArray, MapArray, StringArray, StructArray,
    TimestampMicrosecondArray,
};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{ArrowError, DataType, Field as ArrowField, Fields, TimeUnit};

use crate::{Field, SparkType, Value};

/// The type as which a column is written.
pub(crate) fn data_type(of: &SparkType) -> DataType {
    match of {
        SparkType::Boolean => DataType::Boolean,
        SparkType::Byte => DataType::Int8,
        SparkType::Short => DataType::Int16,
        SparkType::Int => DataType::Int32,
        SparkType::Long => DataType::Int64,
        SparkType::Float => DataType::Float32,
        SparkType::Double => DataType::Float64,
        SparkType::Decimal(precision, scale) => {
            DataType::Decimal128(*precision, i8::try_from(*scale).unwrap_or(0))
        }
        SparkType::Text => DataType::Utf8,
        SparkType::Binary => DataType::Binary,
        SparkType::Date => DataType::Date32,
        SparkType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        SparkType::Array(element) => DataType::List(element_field(element)),
        SparkType::Map(key, value) => DataType::Map(entries_field(key, value), false),
        SparkType::Struct(fields) => DataType::Struct(struct_fields(fields)),
    }
}

fn element_field(element: &SparkType) -> Arc<ArrowField> {
    Arc::new(ArrowField::new("element", data_type(element), true))
}

fn entries_fields(key: &SparkType, value: &SparkType) -> Fields {
    let fields = [
        ArrowField::new("key", data_type(key), false),
        ArrowField::new("value", data_type(value), true),
    ];
    fields.into_iter().collect()
}

fn entries_field(key: &SparkType, value: &SparkType) -> Arc<ArrowField> {
    let entries = DataType::Struct(entries_fields(key, value));
    Arc::new(ArrowField::new("key_value", entries, false))
}

fn struct_fields(fields: &[Field]) -> Fields {
    let field = |field: &Field| ArrowField::new(&field.name, data_type(&field.data_type), true);
    fields.iter().map(field).collect()
}

/// An array of the values, which are of this type or `Null`.
pub(crate) fn of(wanted: &SparkType, values: &[&Value]) -> Result<ArrayRef, ArrowError> {
    macro_rules! collect {
        ($array:ty, $pattern:pat => $value:expr) => {{
            let values = values.iter().map(|value| match value {
                $pattern => $value,
                _ => None,
            });
            Arc::new(values.collect::<$array>()) as ArrayRef
        }};
    }
    Ok(match wanted {
        SparkType::Boolean => collect!(BooleanArray, Value::Boolean(value) => Some(*value)),
        SparkType::Byte => {
            collect!(Int8Array, Value::Integer(number) => i8::try_from(*number).ok())
        }
        SparkType::Short => {
            collect!(Int16Array, Value::Integer(number) => i16::try_from(*number).ok())
        }
        SparkType::Int => {
            collect!(Int32Array, Value::Integer(number) => i32::try_from(*number).ok())
        }
        SparkType::Long => collect!(Int64Array, Value::Integer(number) => Some(*number)),
        SparkType::Float => collect!(Float32Array, Value::Float(number) => Some(*number)),
        SparkType::Double => collect!(Float64Array, Value::Double(number) => Some(*number)),
        SparkType::Text => collect!(StringArray, Value::Text(text) => Some(text.as_str())),
        SparkType::Binary => collect!(BinaryArray, Value::Binary(bytes) => Some(bytes.as_slice())),
        SparkType::Date => collect!(Date32Array, Value::Date(days) => Some(*days)),
        SparkType::Timestamp => timestamps(values),
        SparkType::Decimal(..) => decimals(wanted, values)?,
        SparkType::Array(element) => list(element, values)?,
        SparkType::Map(key, value) => map(key, value, values)?,
        SparkType::Struct(fields) => structure(fields, values)?,
    })
}

fn timestamps(values: &[&Value]) -> ArrayRef {
    let values = values.iter().map(|value| match value {
        Value::Timestamp(micros) => Some(*micros),
        _ => None,
    });
    let array: TimestampMicrosecondArray = values.collect();
    Arc::new(array.with_timezone("UTC"))
}

fn decimals(wanted: &SparkType, values: &[&Value]) -> Result<ArrayRef, ArrowError> {
    let values = values.iter().map(|value| match value {
        Value::Decimal(unscaled, _) => Some(*unscaled),
        _ => None,
    });
    let array: Decimal128Array = values.collect();
    Ok(Arc::new(array.with_data_type(data_type(wanted))))
}

fn list(element: &SparkType, values: &[&Value]) -> Result<ArrayRef, ArrowError> {
    let inner = |value: &&Value| match value {
        Value::Array(values) => values.len(),
        _ => 0,
    };
    let offsets = OffsetBuffer::from_lengths(values.iter().map(inner));
    let flat: Vec<&Value> = values
        .iter()
        .flat_map(|value| match value {
            Value::Array(values) => values.iter(),
            _ => [].iter(),
        })
        .collect();
    let flat = of(element, &flat)?;
    let array = ListArray::try_new(element_field(element), offsets, flat, nulls(values))?;
    Ok(Arc::new(array))
}

fn map(key: &SparkType, value: &SparkType, values: &[&Value]) -> Result<ArrayRef, ArrowError> {
    let entries = |value: &&Value| match value {
        Value::Map(entries) => entries.len(),
        _ => 0,
    };
    let offsets = OffsetBuffer::from_lengths(values.iter().map(entries));
    let (mut keys, mut inner) = (Vec::new(), Vec::new());
    for value in values {
        if let Value::Map(entries) = value {
            keys.extend(entries.iter().map(|(key, _)| key));
            inner.extend(entries.iter().map(|(_, value)| value));
        }
    }
    let columns = vec![of(key, &keys)?, of(value, &inner)?];
    let entries = StructArray::try_new(entries_fields(key, value), columns, None)?;
    let field = entries_field(key, value);
    Ok(Arc::new(MapArray::try_new(
        field,
        offsets,
        entries,
        nulls(values),
        false,
    )?))
}

fn structure(fields: &[Field], values: &[&Value]) -> Result<ArrayRef, ArrowError> {
    let column = |(at, field): (usize, &Field)| {
        let values: Vec<&Value> = values
            .iter()
            .map(|value| match value {
                Value::Struct(fields) => fields.get(at).map_or(&Value::Null, |(_, value)| value),
                _ => &Value::Null,
            })
            .collect();
        of(&field.data_type, &values)
    };
    let columns: Result<Vec<ArrayRef>, ArrowError> =
        fields.iter().enumerate().map(column).collect();
    let columns = columns?;
    if columns.is_empty() {
        return Ok(Arc::new(StructArray::new_empty_fields(
            values.len(),
            nulls(values),
        )));
    }
    Ok(Arc::new(StructArray::try_new(
        struct_fields(fields),
        columns,
        nulls(values),
    )?))
}

fn nulls(values: &[&Value]) -> Option<NullBuffer> {
    let valid: Vec<bool> = values.iter().map(|value| **value != Value::Null).collect();
    Some(NullBuffer::from(valid)).filter(|nulls| nulls.null_count() > 0)
}
