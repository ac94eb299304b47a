//! Which inputs an operation takes: those that the Driver takes, as far as the types are known.

use chronon_run_conf::{Aggregation, GroupBy, Operation};
use chronon_run_core::CatalogSnapshot;

use super::{
    DRIVER_TOO,
    types::{Shape, input_shape},
};

/// The first aggregation whose input or bucket the Driver does not take, as `(field, why)`.
pub(super) fn rejected(conf: &GroupBy, tables: &CatalogSnapshot) -> Option<(String, String)> {
    let all = conf.aggregations.iter().flatten().enumerate();
    all.into_iter().find_map(|(index, aggregation)| {
        let shape = input_shape(conf, &aggregation.input_column, tables);
        let field = |name: &str| format!("aggregations[{index}].{name}");
        if let Some(why) = rejected_input(aggregation, &shape) {
            return Some((field("inputColumn"), failing(why)));
        }
        aggregation.buckets.iter().flatten().find_map(|bucket| {
            let kind = match input_shape(conf, bucket, tables) {
                Shape::Scalar(kind) => plain(&kind?),
                Shape::List(_) => "list".to_owned(),
                Shape::Map(_) => "map".to_owned(),
            };
            let why =
                format!("the bucket `{bucket}` is a {kind}; only strings are supported, cast it");
            (kind != "string").then(|| (field("buckets"), failing(why)))
        })
    })
}

fn failing(why: String) -> String {
    format!("{why}; {DRIVER_TOO}")
}

fn rejected_input(aggregation: &Aggregation, shape: &Shape) -> Option<String> {
    let Aggregation {
        input_column: input,
        operation,
        ..
    } = aggregation;
    if let Shape::Scalar(Some(kind)) = shape
        && matches!(kind.as_str(), "date" | "timestamp")
    {
        let why = format!("`{input}` is a {kind}, which nothing aggregates; make a number of it");
        return Some(why);
    }
    if keeps_whole(*operation) {
        return None;
    }
    let bucketed = aggregation
        .buckets
        .as_ref()
        .is_some_and(|all| !all.is_empty());
    let element_wise = aggregation.element_wise == Some(true);
    let kind = match shape {
        Shape::Map(_) if bucketed => {
            return Some(format!("`{input}` is a map, which has no buckets"));
        }
        Shape::List(_) if bucketed && element_wise => {
            return Some("elementWise has no buckets".to_owned());
        }
        Shape::Map(_) | Shape::Scalar(Some(_)) if element_wise => {
            return Some(format!("elementWise needs a list, `{input}` is none"));
        }
        Shape::Scalar(kind) | Shape::Map(kind) => plain(kind.as_deref()?),
        Shape::List(item) => match plain(item.as_deref()?) {
            item if is_scalar(&item) => item,
            item => format!("list of {item}"),
        },
    };
    (!takes(*operation, &kind)).then(|| format!("{operation:?} does not take `{input}`: {kind}"))
}

/// Whether the rows need a time: for windows, and to be the first or last one.
pub(super) fn needs_time(conf: &GroupBy) -> bool {
    let all = conf.aggregations.iter().flatten();
    all.into_iter().any(|aggregation| {
        let windows = aggregation.windows.as_ref();
        windows.is_some_and(|all| !all.is_empty()) || keeps_whole(aggregation.operation)
    })
}

/// Whether lists and maps are inputs as they are.
pub(super) fn keeps_whole(operation: Operation) -> bool {
    use Operation::{First, FirstK, Last, LastK};
    matches!(operation, First | Last | FirstK | LastK)
}

/// Whether the elements of a list of this type are inputs; other lists are inputs as they are.
pub(super) fn is_scalar(item: &str) -> bool {
    let item = plain(item);
    is_number(&item) || matches!(item.as_str(), "string" | "binary" | "boolean")
}

fn is_number(kind: &str) -> bool {
    matches!(kind, "smallint" | "int" | "bigint" | "float" | "double")
}

/// Whether the operation takes values of this type.
fn takes(operation: Operation, kind: &str) -> bool {
    use Operation::{
        ApproxHistogramK, ApproxPercentile, ApproxUniqueCount, Average, BottomK,
        BoundedUniqueCount, Count, First, FirstK, Histogram, Kurtosis, Last, LastK, Max, Min, Skew,
        Sum, TopK, UniqueCount, Variance,
    };
    match operation {
        Count | First | Last | FirstK | LastK => true,
        Histogram => kind == "string",
        Sum => is_number(kind) || kind == "boolean",
        UniqueCount | ApproxUniqueCount | BoundedUniqueCount => {
            is_number(kind) || matches!(kind, "string" | "binary")
        }
        ApproxHistogramK | Min | Max | TopK | BottomK => is_number(kind) || kind == "string",
        ApproxPercentile | Average | Variance | Skew | Kurtosis => is_number(kind),
    }
}

/// One name per type.
fn plain(kind: &str) -> String {
    let kind = kind.trim().to_ascii_lowercase();
    match kind.as_str() {
        "integer" => "int".to_owned(),
        "long" => "bigint".to_owned(),
        "short" => "smallint".to_owned(),
        "byte" => "tinyint".to_owned(),
        "real" => "float".to_owned(),
        text if text.starts_with("varchar") || text.starts_with("char") => "string".to_owned(),
        _ => kind,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the Driver said to each combination; `timestamp` and `date` are rejected before.
    #[test]
    fn the_drivers_table_of_inputs() {
        let takes = |kind: &str| {
            let all = [
                ("count", Operation::Count),
                ("sum", Operation::Sum),
                ("average", Operation::Average),
                ("min", Operation::Min),
                ("unique", Operation::UniqueCount),
                ("histogram", Operation::Histogram),
            ];
            let taken = all.iter().filter(|(_, operation)| takes(*operation, kind));
            taken.map(|(name, _)| *name).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(takes("boolean"), "count sum");
        assert_eq!(takes("tinyint"), "count");
        assert_eq!(takes("decimal(10,2)"), "count");
        assert_eq!(takes("binary"), "count unique");
        assert_eq!(takes("string"), "count min unique histogram");
        assert_eq!(takes("smallint"), "count sum average min unique");
    }

    #[test]
    fn lists_and_maps_are_told_by_what_is_in_them() {
        let aggregation =
            |json: &str| -> Aggregation { serde_json::from_str(json).expect("an aggregation") };
        let sum = aggregation(r#"{"inputColumn": "x", "operation": 7}"#);
        let rejected = |shape| rejected_input(&sum, &shape);
        assert_eq!(rejected(Shape::List(Some("int".into()))), None);
        assert_eq!(rejected(Shape::Map(None)), None);
        assert_eq!(
            rejected(Shape::List(Some("date".into()))).as_deref(),
            Some("Sum does not take `x`: list of date")
        );
        assert_eq!(
            rejected(Shape::Map(Some("string".into()))).as_deref(),
            Some("Sum does not take `x`: string")
        );
        let last = aggregation(r#"{"inputColumn": "x", "operation": 3}"#);
        assert_eq!(rejected_input(&last, &Shape::List(None)), None);
        assert!(rejected_input(&last, &Shape::Scalar(Some("date".into()))).is_some());
    }
}
