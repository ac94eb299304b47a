//! How keys and values of an upload are encoded.

use chronon_run_conf::GroupBy;

use super::super::{
    text::{ident, text},
    types::Shape,
};

/// The prefix of all views.
pub(super) const PREFIX: &str = "upload";

/// NULL fields are part of a decoded row.
pub(super) const JSON_OPTIONS: &str = "MAP('ignoreNullFields', 'false')";

/// `TO_JSON` of named values.
pub(super) fn json(fields: &[(String, String)]) -> String {
    format!("TO_JSON({}, {JSON_OPTIONS})", structure(fields))
}

/// `NAMED_STRUCT` of named values.
pub(super) fn structure(fields: &[(String, String)]) -> String {
    let pairs: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{}, {value}", text(name)))
        .collect();
    format!("NAMED_STRUCT(\n    {}\n  )", pairs.join(",\n    "))
}

/// The JSON of the keys.
pub(super) fn key_json(conf: &GroupBy) -> String {
    let keys = conf.key_columns.iter();
    let pairs: Vec<_> = keys.map(|key| (key.clone(), ident(key))).collect();
    json(&pairs)
}

pub(super) type Finding = (String, String);

/// The type of values, elements or entries, if it is known.
pub(super) fn item_type(shape: Shape) -> Option<String> {
    let (Shape::Scalar(item) | Shape::List(item) | Shape::Map(item)) = shape;
    item
}
