//! From Arrow's arrays to values of Spark's types, as far as Spark's Parquet reader goes.

use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, FixedSizeBinaryArray,
    Float32Array, Float64Array, Int8Array, Int16Array, Int32Array, Int64Array, ListArray, MapArray,
    StringArray, StructArray, TimestampMicrosecondArray, TimestampMillisecondArray,
    TimestampNanosecondArray, UInt32Array,
};
use arrow_schema::{DataType, TimeUnit};

use crate::{Field, SparkType, Value};

/// Whether Spark reads a column that is stored like this as `wanted`.
pub(crate) fn fits(wanted: &SparkType, stored: &DataType) -> bool {
    match (wanted, stored) {
        (SparkType::Boolean, DataType::Boolean)
        | (
            SparkType::Byte | SparkType::Short | SparkType::Int,
            DataType::Int8 | DataType::Int16 | DataType::Int32,
        )
        | (SparkType::Long, DataType::Int64 | DataType::UInt32)
        | (SparkType::Float, DataType::Float32)
        | (SparkType::Double, DataType::Float64)
        | (SparkType::Text, DataType::Utf8 | DataType::Binary)
        | (SparkType::Binary, DataType::Utf8 | DataType::Binary | DataType::FixedSizeBinary(_))
        | (SparkType::Date, DataType::Date32)
        | (
            SparkType::Timestamp,
            DataType::Timestamp(
                TimeUnit::Millisecond | TimeUnit::Microsecond | TimeUnit::Nanosecond,
                _,
            ),
        ) => true,
        (SparkType::Decimal(precision, scale), DataType::Decimal128(stored, stored_scale)) => {
            precision >= stored && i16::from(*scale) == i16::from(*stored_scale)
        }
        (SparkType::Array(element), DataType::List(stored)) => fits(element, stored.data_type()),
        (SparkType::Map(key, value), DataType::Map(entries, _)) => match entries.data_type() {
            DataType::Struct(stored) if stored.len() == 2 => {
                fits(key, stored[0].data_type()) && fits(value, stored[1].data_type())
            }
            _ => false,
        },
        (SparkType::Struct(fields), DataType::Struct(stored)) => fields.iter().all(|field| {
            let mut stored = stored.iter();
            let found = stored.find(|stored| stored.name().eq_ignore_ascii_case(&field.name));
            found.is_none_or(|stored| fits(&field.data_type, stored.data_type()))
        }),
        _ => false,
    }
}

/// The value in one row of an array whose type [`fits`]; `Null` where it does not.
pub(crate) fn value(wanted: &SparkType, array: &dyn Array, row: usize) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    convert(wanted, array, row).unwrap_or(Value::Null)
}

fn of<A: 'static>(array: &dyn Array) -> Option<&A> {
    array.as_any().downcast_ref::<A>()
}

fn convert(wanted: &SparkType, array: &dyn Array, row: usize) -> Option<Value> {
    Some(match wanted {
        SparkType::Boolean => Value::Boolean(of::<BooleanArray>(array)?.value(row)),
        // Spark keeps the low bits.
        SparkType::Byte => Value::Integer(i64::from(integer(array, row)? as i8)),
        SparkType::Short => Value::Integer(i64::from(integer(array, row)? as i16)),
        SparkType::Int | SparkType::Long => Value::Integer(integer(array, row)?),
        SparkType::Float => Value::Float(of::<Float32Array>(array)?.value(row)),
        SparkType::Double => Value::Double(of::<Float64Array>(array)?.value(row)),
        SparkType::Decimal(_, scale) => {
            Value::Decimal(of::<Decimal128Array>(array)?.value(row), *scale)
        }
        SparkType::Text => Value::Text(match of::<StringArray>(array) {
            Some(texts) => texts.value(row).to_owned(),
            None => String::from_utf8_lossy(bytes(array, row)?).into_owned(),
        }),
        SparkType::Binary => Value::Binary(bytes(array, row)?.to_owned()),
        SparkType::Date => Value::Date(of::<Date32Array>(array)?.value(row)),
        SparkType::Timestamp => Value::Timestamp(micros(array, row)?),
        SparkType::Array(element) => {
            Value::Array(values(element, &of::<ListArray>(array)?.value(row)))
        }
        SparkType::Map(key, value) => {
            let entries = of::<MapArray>(array)?.value(row);
            let keys = values(key, entries.column(0));
            Value::Map(
                keys.into_iter()
                    .zip(values(value, entries.column(1)))
                    .collect(),
            )
        }
        SparkType::Struct(fields) => structure(fields, of::<StructArray>(array)?, row),
    })
}

fn values(wanted: &SparkType, array: &ArrayRef) -> Vec<Value> {
    (0..array.len())
        .map(|row| value(wanted, array, row))
        .collect()
}

/// Fields that the file does not have are NULL.
fn structure(fields: &[Field], array: &StructArray, row: usize) -> Value {
    let field = |field: &Field| {
        let mut stored = array.fields().iter();
        let at = stored.position(|stored| stored.name().eq_ignore_ascii_case(&field.name));
        let found = at.map(|at| value(&field.data_type, array.column(at), row));
        (field.name.clone(), found.unwrap_or(Value::Null))
    };
    Value::Struct(fields.iter().map(field).collect())
}

fn integer(array: &dyn Array, row: usize) -> Option<i64> {
    Some(match array.data_type() {
        DataType::Int8 => of::<Int8Array>(array)?.value(row).into(),
        DataType::Int16 => of::<Int16Array>(array)?.value(row).into(),
        DataType::Int32 => of::<Int32Array>(array)?.value(row).into(),
        DataType::UInt32 => of::<UInt32Array>(array)?.value(row).into(),
        _ => of::<Int64Array>(array)?.value(row),
    })
}

pub(crate) fn bytes(array: &dyn Array, row: usize) -> Option<&[u8]> {
    match array.data_type() {
        DataType::Utf8 => Some(of::<StringArray>(array)?.value(row).as_bytes()),
        DataType::FixedSizeBinary(_) => Some(of::<FixedSizeBinaryArray>(array)?.value(row)),
        _ => Some(of::<BinaryArray>(array)?.value(row)),
    }
}

fn micros(array: &dyn Array, row: usize) -> Option<i64> {
    match array.data_type() {
        DataType::Timestamp(TimeUnit::Millisecond, _) => of::<TimestampMillisecondArray>(array)?
            .value(row)
            .checked_mul(1_000),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            Some(of::<TimestampMicrosecondArray>(array)?.value(row))
        }
        _ => Some(
            of::<TimestampNanosecondArray>(array)?
                .value(row)
                .div_euclid(1_000),
        ),
    }
}
