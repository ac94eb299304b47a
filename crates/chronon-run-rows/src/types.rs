//! Spark's types, from the two ways in which a catalog writes them down.

use std::{collections::BTreeMap, fmt};

use serde_json::Value as Json;

/// A type of Spark SQL.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SparkType {
    /// `boolean`
    Boolean,
    /// `tinyint`
    Byte,
    /// `smallint`
    Short,
    /// `int`
    Int,
    /// `bigint`
    Long,
    /// `float`
    Float,
    /// `double`
    Double,
    /// `decimal(precision,scale)`
    Decimal(u8, u8),
    /// `string`, and `char` and `varchar` of any length.
    Text,
    /// `binary`
    Binary,
    /// `date`
    Date,
    /// `timestamp`: an instant, shown in UTC as in every session of a workspace.
    Timestamp,
    /// `array<…>`
    Array(Box<SparkType>),
    /// `map<…,…>`
    Map(Box<SparkType>, Box<SparkType>),
    /// `struct<…>`
    Struct(Vec<Field>),
}

/// A named type.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Field {
    /// The name, in the case in which Spark shows it.
    pub name: String,
    /// The type.
    pub data_type: SparkType,
}

/// A column is a field of a row.
pub type Column = Field;

/// The columns of a table, in order; partition columns are the last.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Schema {
    /// All columns.
    pub columns: Vec<Column>,
}

/// A type that rows cannot be read as.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{0}` is not a type that is read here")]
pub struct TypeError(pub String);

impl Schema {
    /// From `(name, Hive type)` of every column, partition columns last.
    ///
    /// # Errors
    /// [`TypeError`] for a type that is not one of [`SparkType`].
    pub fn of_hive<'a>(
        columns: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, TypeError> {
        let field = |(name, text): (&str, &str)| {
            Ok(Field {
                name: name.to_owned(),
                data_type: text.parse()?,
            })
        };
        let columns: Result<_, TypeError> = columns.into_iter().map(field).collect();
        Ok(Self { columns: columns? })
    }

    /// From the JSON in which Spark writes a schema down, e.g. in a table's property
    /// `spark.sql.sources.schema` and in the footer of a Parquet file.
    ///
    /// # Errors
    /// [`TypeError`] for a type that is not one of [`SparkType`], or other JSON.
    pub fn of_spark_json(text: &str) -> Result<Self, TypeError> {
        let unknown = || TypeError(shortened(text));
        let json: Json = serde_json::from_str(text).map_err(|_| unknown())?;
        match of_json(&json)? {
            SparkType::Struct(columns) => Ok(Self { columns }),
            _ => Err(unknown()),
        }
    }

    /// Of a table: `(name, Hive type)` of every column in the metastore, partition columns last, and the
    /// table's properties, in which Spark keeps names in their own case and, for a data source of its
    /// own, the types that count.
    ///
    /// # Errors
    /// [`TypeError`] for a type that is not one of [`SparkType`].
    pub fn of_table<'a>(
        columns: impl IntoIterator<Item = (&'a str, &'a str)>,
        properties: &BTreeMap<String, String>,
    ) -> Result<Self, TypeError> {
        let written = written_schema(properties);
        if let (Some(text), Some(_)) = (&written, properties.get(PROVIDER)) {
            return Self::of_spark_json(text);
        }
        let hive = Self::of_hive(columns)?;
        // Hive may have changed the table since.
        let written = written.and_then(|text| Self::of_spark_json(&text).ok());
        Ok(written
            .filter(|written| written.is_same(&hive))
            .unwrap_or(hive))
    }

    /// Where a column of this name is; Spark's names are the same in any case.
    #[must_use]
    pub fn position(&self, name: &str) -> Option<usize> {
        let mut columns = self.columns.iter();
        columns.position(|column| column.name.eq_ignore_ascii_case(name))
    }

    /// Whether the two have the same columns and types, but for the case of names.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        same_fields(&self.columns, &other.columns)
    }
}

const PROVIDER: &str = "spark.sql.sources.provider";
const WRITTEN: &str = "spark.sql.sources.schema";

/// Long schemas are in parts.
fn written_schema(properties: &BTreeMap<String, String>) -> Option<String> {
    if let Some(text) = properties.get(WRITTEN) {
        return Some(text.clone());
    }
    let count: usize = properties
        .get(&format!("{WRITTEN}.numParts"))?
        .parse()
        .ok()?;
    let part = |index| properties.get(&format!("{WRITTEN}.part.{index}")).cloned();
    (0..count).map(part).collect()
}

fn same_fields(one: &[Field], other: &[Field]) -> bool {
    let same = |(one, other): (&Field, &Field)| {
        one.name.eq_ignore_ascii_case(&other.name) && same_type(&one.data_type, &other.data_type)
    };
    one.len() == other.len() && one.iter().zip(other).all(same)
}

fn same_type(one: &SparkType, other: &SparkType) -> bool {
    match (one, other) {
        (SparkType::Struct(one), SparkType::Struct(other)) => same_fields(one, other),
        (SparkType::Array(one), SparkType::Array(other)) => same_type(one, other),
        (SparkType::Map(key, value), SparkType::Map(other_key, other_value)) => {
            same_type(key, other_key) && same_type(value, other_value)
        }
        (one, other) => one == other,
    }
}

impl fmt::Display for SparkType {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Boolean => "boolean",
            Self::Byte => "tinyint",
            Self::Short => "smallint",
            Self::Int => "int",
            Self::Long => "bigint",
            Self::Float => "float",
            Self::Double => "double",
            Self::Decimal(precision, scale) => {
                return write!(out, "decimal({precision},{scale})");
            }
            Self::Text => "string",
            Self::Binary => "binary",
            Self::Date => "date",
            Self::Timestamp => "timestamp",
            Self::Array(element) => return write!(out, "array<{element}>"),
            Self::Map(key, value) => return write!(out, "map<{key},{value}>"),
            Self::Struct(fields) => {
                out.write_str("struct<")?;
                for (index, field) in fields.iter().enumerate() {
                    let comma = if index > 0 { "," } else { "" };
                    write!(out, "{comma}{}:{}", field.name, field.data_type)?;
                }
                ">"
            }
        };
        out.write_str(name)
    }
}

/// Reads Hive's name of a type, which is also Spark's `catalogString`.
impl std::str::FromStr for SparkType {
    type Err = TypeError;

    fn from_str(text: &str) -> Result<Self, TypeError> {
        let mut rest = text.trim();
        match hive_type(&mut rest, 0) {
            Some(found) if rest.is_empty() => Ok(found),
            _ => Err(TypeError(shortened(text))),
        }
    }
}

/// How deep types may nest: hostile text must not exhaust the stack.
const DEPTH: u32 = 64;

fn hive_type(rest: &mut &str, depth: u32) -> Option<SparkType> {
    if depth > DEPTH {
        return None;
    }
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
    *rest = after;
    match word.to_ascii_lowercase().as_str() {
        "array" => {
            skip(rest, '<')?;
            let element = hive_type(rest, depth + 1)?;
            skip(rest, '>')?;
            Some(SparkType::Array(Box::new(element)))
        }
        "map" => {
            skip(rest, '<')?;
            let key = hive_type(rest, depth + 1)?;
            skip(rest, ',')?;
            let value = hive_type(rest, depth + 1)?;
            skip(rest, '>')?;
            Some(SparkType::Map(Box::new(key), Box::new(value)))
        }
        "struct" => hive_struct(rest, depth),
        word => simple(word, &lengths(rest)?),
    }
}

fn hive_struct(rest: &mut &str, depth: u32) -> Option<SparkType> {
    skip(rest, '<')?;
    let mut fields = Vec::new();
    while skip(rest, '>').is_none() {
        if !fields.is_empty() {
            skip(rest, ',')?;
        }
        let (name, after) = rest.split_once(':')?;
        *rest = after;
        fields.push(Field {
            name: name.trim().trim_matches('`').to_owned(),
            data_type: hive_type(rest, depth + 1)?,
        });
    }
    Some(SparkType::Struct(fields))
}

fn skip(rest: &mut &str, expected: char) -> Option<()> {
    *rest = rest.trim_start().strip_prefix(expected)?.trim_start();
    Some(())
}

/// `(10,2)` and the like; nothing is no numbers.
fn lengths(rest: &mut &str) -> Option<Vec<u8>> {
    let Some(inside) = rest.strip_prefix('(') else {
        return Some(Vec::new());
    };
    let (inside, after) = inside.split_once(')')?;
    *rest = after;
    // The length of a varchar may exceed a byte, and does not matter.
    let number = |text: &str| Some(text.trim().parse::<u32>().ok()?.min(255) as u8);
    inside.split(',').map(number).collect()
}

fn simple(word: &str, lengths: &[u8]) -> Option<SparkType> {
    Some(match (word, lengths) {
        ("boolean", []) => SparkType::Boolean,
        ("tinyint" | "byte", []) => SparkType::Byte,
        ("smallint" | "short", []) => SparkType::Short,
        ("int" | "integer", []) => SparkType::Int,
        ("bigint" | "long", []) => SparkType::Long,
        ("float", []) => SparkType::Float,
        ("double", []) => SparkType::Double,
        ("decimal", []) => SparkType::Decimal(10, 0),
        ("decimal", [precision]) => decimal(*precision, 0)?,
        ("decimal", [precision, scale]) => decimal(*precision, *scale)?,
        ("string", []) | ("char" | "varchar", [_]) => SparkType::Text,
        ("binary", []) => SparkType::Binary,
        ("date", []) => SparkType::Date,
        ("timestamp", []) => SparkType::Timestamp,
        _ => return None,
    })
}

fn decimal(precision: u8, scale: u8) -> Option<SparkType> {
    let fits = (1..=38).contains(&precision) && scale <= precision;
    fits.then_some(SparkType::Decimal(precision, scale))
}

fn of_json(json: &Json) -> Result<SparkType, TypeError> {
    let unknown = || TypeError(shortened(&json.to_string()));
    if let Some(name) = json.as_str() {
        return name.parse();
    }
    let part = |key: &str| json.get(key).ok_or_else(unknown);
    match part("type")?.as_str() {
        Some("struct") => {
            let fields = part("fields")?.as_array().ok_or_else(unknown)?;
            let fields: Result<_, TypeError> = fields.iter().map(field_of_json).collect();
            Ok(SparkType::Struct(fields?))
        }
        Some("array") => Ok(SparkType::Array(Box::new(of_json(part("elementType")?)?))),
        Some("map") => Ok(SparkType::Map(
            Box::new(of_json(part("keyType")?)?),
            Box::new(of_json(part("valueType")?)?),
        )),
        _ => Err(unknown()),
    }
}

fn field_of_json(json: &Json) -> Result<Field, TypeError> {
    let unknown = || TypeError(shortened(&json.to_string()));
    Ok(Field {
        name: json["name"].as_str().ok_or_else(unknown)?.to_owned(),
        data_type: of_json(json.get("type").ok_or_else(unknown)?)?,
    })
}

/// A type's text, short enough for a message.
fn shortened(text: &str) -> String {
    const SHOWN: usize = 60;
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_hive_are_read_and_written() {
        for text in [
            "bigint",
            "decimal(38,18)",
            "array<struct<a:int,b:map<string,array<double>>>>",
            "struct<>",
            "map<string,timestamp>",
        ] {
            assert_eq!(text.parse::<SparkType>().unwrap().to_string(), text);
        }
        assert_eq!("varchar(4000)".parse(), Ok(SparkType::Text));
        assert_eq!("decimal".parse(), Ok(SparkType::Decimal(10, 0)));
        for text in [
            "",
            "uniontype<int,string>",
            "array<int",
            "int)",
            "decimal(39,0)",
            "interval",
        ] {
            assert!(text.parse::<SparkType>().is_err(), "{text}");
        }
        let deep = "array<".repeat(100_000);
        assert!(deep.parse::<SparkType>().is_err());
    }

    #[test]
    fn what_spark_wrote_down_counts_where_it_still_holds() {
        let json = |kind: &str| {
            format!(
                "{{\"type\":\"struct\",\"fields\":[{{\"name\":\"userId\",\"type\":\"{kind}\"}}]}}"
            )
        };
        let of = |entries: &[(&str, String)]| {
            let owned = |(key, text): &(&str, String)| ((*key).to_owned(), text.clone());
            let properties = entries.iter().map(owned).collect();
            Schema::of_table([("userid", "bigint")], &properties).unwrap()
        };
        assert_eq!(of(&[]).columns[0].name, "userid");
        assert_eq!(of(&[(WRITTEN, json("long"))]).columns[0].name, "userId");
        assert_eq!(of(&[(WRITTEN, json("string"))]).columns[0].name, "userid");
        let parts = json("string");
        let (first, second) = parts.split_at(20);
        let schema = of(&[
            (PROVIDER, "parquet".to_owned()),
            ("spark.sql.sources.schema.numParts", "2".to_owned()),
            ("spark.sql.sources.schema.part.0", first.to_owned()),
            ("spark.sql.sources.schema.part.1", second.to_owned()),
        ]);
        assert_eq!(schema.columns[0].data_type, SparkType::Text);
    }

    #[test]
    fn the_json_of_spark_is_read() {
        let text = r#"{"type":"struct","fields":[
            {"name":"Id","type":"long","nullable":true,"metadata":{}},
            {"name":"tags","type":{"type":"array","elementType":"string","containsNull":true},"nullable":true,"metadata":{}},
            {"name":"m","type":{"type":"map","keyType":"string","valueType":"decimal(10,2)","valueContainsNull":true},"nullable":true,"metadata":{}},
            {"name":"s","type":{"type":"struct","fields":[{"name":"innerCase","type":"date","nullable":true,"metadata":{}}]},"nullable":true,"metadata":{}}]}"#;
        let schema = Schema::of_spark_json(text).unwrap();
        let hive = Schema::of_hive([
            ("id", "bigint"),
            ("tags", "array<string>"),
            ("m", "map<string,decimal(10,2)>"),
            ("s", "struct<innercase:date>"),
        ])
        .unwrap();
        assert!(schema.is_same(&hive));
        assert_ne!(schema, hive);
        assert_eq!(schema.position("ID"), Some(0));
        assert!(Schema::of_spark_json("{\"type\":\"udt\"}").is_err());
        assert!(Schema::of_spark_json("[").is_err());
    }
}
