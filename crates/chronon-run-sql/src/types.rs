//! What a column looks like, as far as its expression tells.

use chronon_run_conf::{GroupBy, Source};
use chronon_run_core::CatalogSnapshot;

use super::kind::Kind;

/// A column's type, as far as it matters here; `None` if it cannot be told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Shape {
    /// One value, of this type.
    Scalar(Option<String>),
    /// A list of values of this type.
    List(Option<String>),
    /// A map from texts to values of this type.
    Map(Option<String>),
}

impl Shape {
    /// From a type as Hive writes it.
    pub(super) fn of_type(data_type: &str) -> Self {
        Self::of_kind(&Kind::of_type(data_type))
    }

    fn of_kind(kind: &Kind) -> Self {
        match kind {
            Kind::List(item) => Self::List(item.text()),
            // Only texts name entries; other maps are values like any other.
            Kind::Map(key, value) => match key.text().as_deref() {
                None | Some("string") => Self::Map(value.text()),
                Some(_) => Self::Scalar(kind.text()),
            },
            kind => Self::Scalar(kind.text()),
        }
    }

    /// The type of a whole value.
    pub(super) fn kind(&self) -> Kind {
        let inner = |text: &Option<String>| {
            let kind = text.as_deref().map_or(Kind::Unknown, Kind::of_type);
            Box::new(kind)
        };
        match self {
            Self::Scalar(text) => *inner(text),
            Self::List(item) => Kind::List(inner(item)),
            Self::Map(value) => Kind::Map(Kind::of_type("string").into(), inner(value)),
        }
    }
}

/// The shape of an input column of a GroupBy: that which its sources have together, as in a union.
pub(super) fn input_shape(conf: &GroupBy, input: &str, tables: &CatalogSnapshot) -> Shape {
    let kinds = conf
        .sources
        .iter()
        .map(|source| selected(source, input, tables));
    let kind = kinds.reduce(|all, kind| all.common(&kind));
    Shape::of_kind(&kind.unwrap_or(Kind::Unknown))
}

/// The type of the times of a GroupBy's rows; `None` if it cannot be told, or there are none.
pub(super) fn time_type(sources: &[Source], tables: &CatalogSnapshot) -> Option<String> {
    let times = sources.iter().map(|source| {
        let query = source.query();
        let selects = query.selects.as_ref();
        let expression = selects
            .and_then(|all| all.get("ts"))
            .or(query.time_column.as_ref());
        let kind = expression.map(|expression| kind_of(source, expression, tables));
        kind.unwrap_or(Kind::Unknown)
    });
    times.reduce(|all, kind| all.common(&kind))?.text()
}

/// The type of a source's column.
fn selected(source: &Source, name: &str, tables: &CatalogSnapshot) -> Kind {
    let query = source.query();
    let expression = query.selects.as_ref().and_then(|all| all.get(name));
    match expression {
        None if name == "ts" && query.time_column.is_some() => Kind::of_type("bigint"),
        _ => kind_of(source, expression.map_or(name, String::as_str), tables),
    }
}

/// The type of an expression over a source's table.
fn kind_of(source: &Source, expression: &str, tables: &CatalogSnapshot) -> Kind {
    let table = source.table().ok().map(|spec| spec.table);
    let state = table.and_then(|table| tables.table(&table));
    let column_type = |name: &str| {
        let info = &state?.info;
        let mut columns = info.columns.iter().chain(&info.partition_columns);
        let column = columns.find(|column| column.name.eq_ignore_ascii_case(name))?;
        Some(column.data_type.clone())
    };
    Kind::of_expression(expression, &column_type)
}

/// The type of a selected column, as the catalog writes it, where it is certain: a column of the
/// table as it is, or a cast.
pub(super) fn certain_type(
    source: &Source,
    name: &str,
    tables: &CatalogSnapshot,
) -> Option<String> {
    let selected = source.query().selects.as_ref().and_then(|s| s.get(name));
    let expression = selected.map_or(name, String::as_str).trim();
    let table = source.table().ok().map(|spec| spec.table);
    let info = table.and_then(|table| tables.table(&table));
    let info = info.map(|state| &state.info);
    Kind::certain(expression, &|name| {
        let mut columns = info?.columns.iter().chain(&info?.partition_columns);
        let column = columns.find(|column| column.name.eq_ignore_ascii_case(name))?;
        Some(column.data_type.clone())
    })
}

/// The type of a column that every source selects, where each has the same certain one.
pub(super) fn certain_type_of_all(
    sources: &[Source],
    name: &str,
    tables: &CatalogSnapshot,
) -> Option<String> {
    let mut types = sources
        .iter()
        .map(|source| certain_type(source, name, tables));
    let first = types.next()??;
    types
        .all(|other| other.as_ref() == Some(&first))
        .then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_have_shapes() {
        let text = |text: &str| Some(text.to_owned());
        let expected = [
            ("array<string>", Shape::List(text("string"))),
            ("array<array<int>>", Shape::List(text("array<int>"))),
            ("map<string,int>", Shape::Map(text("int"))),
            ("MAP<INT, INT>", Shape::Scalar(text("map<int,int>"))),
            ("varchar(8)", Shape::Scalar(text("string"))),
        ];
        for (data_type, shape) in expected {
            assert_eq!(Shape::of_type(data_type), shape, "{data_type}");
            let again = shape.kind().text();
            assert_eq!(again.map(|text| Shape::of_type(&text)), Some(shape));
        }
    }
}
