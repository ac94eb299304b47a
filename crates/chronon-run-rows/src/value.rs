//! One value of one cell.

/// A value, free of how it was stored.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// No value.
    Null,
    /// `boolean`
    Boolean(bool),
    /// Any integer type.
    Integer(i64),
    /// `float`
    Float(f32),
    /// `double`
    Double(f64),
    /// The unscaled number, and how many of its digits are after the point.
    Decimal(i128, u8),
    /// `string`
    Text(String),
    /// `binary`
    Binary(Vec<u8>),
    /// Days since 1970-01-01.
    Date(i32),
    /// Microseconds since 1970-01-01T00:00:00Z.
    Timestamp(i64),
    /// `array`
    Array(Vec<Value>),
    /// `map`, in the order of the file.
    Map(Vec<(Value, Value)>),
    /// `struct`: names and values.
    Struct(Vec<(String, Value)>),
}
