//! BOUNDED_UNIQUE_COUNT as a point-in-time upload stores it (`BoundedUniqueCount` of the engine).
//!
//! The engine keeps a set of at most k values; texts are kept as the MD5 of the serialised Java
//! object. A row that finds k values in the set, or a merge of two sets that reaches k, leaves
//! nothing but a marker. So the result depends on the order of the rows: here they are taken in the
//! order of their time, and rows of several days are taken as merged sets.

use super::super::{
    aggregate::Partial,
    order::{java_hash, java_slot, power_of_two},
};

/// Milliseconds of a day.
const DAY: i64 = 86_400_000;
/// What is left of a set that was full.
const MARKER: &str = "__SENTINEL__";

/// A row's time and value; NULL for a NULL input.
pub(super) fn lift(partial: &Partial) -> String {
    let x = partial.row_column();
    format!("IF({x} IS NULL, NULL, NAMED_STRUCT('at', ts, 'value', {x}))")
}

/// All rows in the order of their time, from [`lift`].
pub(super) fn merge(cell: &str) -> String {
    format!("SORT_ARRAY(COLLECT_LIST({cell}))")
}

/// What the engine stores of the rows `rows`, from [`merge`]; NULL if there are none.
///
/// Numbers and bytes are kept as they are. Of those the engine cannot store the marker (it is no
/// number, and the job fails), so a full set keeps its first k values here.
pub(super) fn stored(partial: &Partial, rows: &str, input: Option<&str>) -> String {
    let k = partial.bound();
    let values = format!("ARRAY_DISTINCT(TRANSFORM({rows}, r -> r.value))");
    let value = if keeps_value(input) {
        let kept = format!("SLICE({values}, 1, {k})");
        match input {
            Some("float") => format!("CAST({kept} AS ARRAY<DOUBLE>)"),
            _ => kept,
        }
    } else {
        let before_last = format!(
            "SIZE(ARRAY_DISTINCT(TRANSFORM(SLICE({rows}, 1, SIZE({rows}) - 1), r -> r.value)))"
        );
        let days = format!(
            "(ELEMENT_AT({rows}, 1).at DIV {DAY}) <> (ELEMENT_AT({rows}, -1).at DIV {DAY})"
        );
        let is_full = format!("({before_last} >= {k} OR (SIZE({values}) >= {k} AND {days}))");
        format!(
            "IF({is_full}, ARRAY('{MARKER}'), {})",
            as_listed(&values, k)
        )
    };
    format!("IF(SIZE({rows}) > 0, {value}, NULL)")
}

/// Whether the engine keeps values of this type as they are.
fn keeps_value(input: Option<&str>) -> bool {
    matches!(
        input,
        Some("smallint" | "int" | "bigint" | "float" | "double" | "binary")
    )
}

/// The MD5s of texts, in the order of a `java.util.HashSet` that was made for k values.
fn as_listed(values: &str, k: usize) -> String {
    let slots = format!(
        "GREATEST({}L, {})",
        k.next_power_of_two(),
        power_of_two(&format!("((4L * SIZE({values}) + 2L) DIV 3L)"))
    );
    let hashed = format!(
        "TRANSFORM(TRANSFORM({values}, v -> {}), d -> NAMED_STRUCT('h', {}, 'd', d))",
        digest("v"),
        java_hash("d")
    );
    let slot = java_slot("x.h", &slots);
    format!(
        "TRANSFORM(SORT_ARRAY(TRANSFORM({hashed}, (x, i) -> NAMED_STRUCT('slot', {slot}, 'i', i, 'd', x.d))), x -> x.d)"
    )
}

/// The MD5 of a serialised `java.lang.String`: stream header, `TC_STRING`, length in bytes, bytes.
fn digest(text: &str) -> String {
    let long = format!(
        "CONCAT(X'ACED00057C', UNHEX(LPAD(HEX(OCTET_LENGTH({text})), 16, '0')), CAST({text} AS BINARY))"
    );
    let short = format!(
        "CONCAT(X'ACED000574', UNHEX(LPAD(HEX(OCTET_LENGTH({text})), 4, '0')), CAST({text} AS BINARY))"
    );
    format!("MD5(IF(OCTET_LENGTH({text}) > 65535, {long}, {short}))")
}
