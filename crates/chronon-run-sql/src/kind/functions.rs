//! The types of Spark's functions.

use super::tree::Kind;

/// An argument of a call.
#[derive(Clone)]
pub(super) struct Argument {
    pub(super) kind: Kind,
    /// Its text, if it is a literal one.
    pub(super) literal: Option<String>,
    /// Its alias, or the column or field that it is.
    pub(super) name: Option<String>,
}

/// The types of a call's arguments.
struct Arguments<'a>(&'a [Argument]);

impl Arguments<'_> {
    fn kind(&self, at: usize) -> Kind {
        let argument = self.0.get(at);
        argument.map_or(Kind::Unknown, |argument| argument.kind.clone())
    }

    fn kinds(&self) -> Vec<Kind> {
        self.0.iter().map(|a| a.kind.clone()).collect()
    }

    /// Of the items of a list.
    fn item(&self, at: usize) -> Kind {
        match self.kind(at) {
            Kind::List(item) => *item,
            _ => Kind::Unknown,
        }
    }

    /// Of the keys and the values of a map.
    fn entry(&self, at: usize) -> (Kind, Kind) {
        match self.kind(at) {
            Kind::Map(key, value) => (*key, *value),
            _ => (Kind::Unknown, Kind::Unknown),
        }
    }
}

/// The type of a call; the name is in upper case.
pub(super) fn kind(function: &str, arguments: &[Argument]) -> Kind {
    let given = Arguments(arguments);
    let found = of_plain(function, &given)
        .or_else(|| of_list(function, &given))
        .or_else(|| of_map(function, &given))
        .or_else(|| of_struct(function, &given));
    found.unwrap_or_else(|| fixed(function).map_or(Kind::Unknown, Kind::plain))
}

/// Functions whose type is that of one or all of their arguments.
fn of_plain(function: &str, given: &Arguments<'_>) -> Option<Kind> {
    let kind = |at| given.kind(at);
    Some(match function {
        "COALESCE" | "NVL" | "IFNULL" | "GREATEST" | "LEAST" => common(&given.kinds()),
        "IF" | "IFF" | "NVL2" => common(&[kind(1), kind(2)]),
        "NULLIF" | "REVERSE" | "ABS" | "NEGATIVE" | "POSITIVE" | "SHIFTLEFT" | "SHIFTRIGHT" => {
            kind(0)
        }
        "PMOD" | "MOD" => kind(0).promoted(&kind(1)),
        "ROUND" | "BROUND" => match kind(0) {
            Kind::Plain(name) if name.starts_with("decimal") => Kind::plain("decimal"),
            Kind::Plain(name) if name == "string" => Kind::plain("double"),
            other => other,
        },
        "FLOOR" | "CEIL" | "CEILING" => match kind(0) {
            Kind::Plain(name) if name.starts_with("decimal") => Kind::plain("decimal"),
            Kind::Plain(_) if given.0.len() == 1 => Kind::plain("bigint"),
            _ => Kind::Unknown,
        },
        "CONCAT" => concatenated(&given.kinds()),
        "ARRAY_MIN" | "ARRAY_MAX" | "GET" => given.item(0),
        "ELEMENT_AT" | "TRY_ELEMENT_AT" => kind(0).item(),
        "AGGREGATE" | "REDUCE" => kind(if given.0.len() > 3 { 3 } else { 1 }),
        _ => return None,
    })
}

/// Functions that make lists.
fn of_list(function: &str, given: &Arguments<'_>) -> Option<Kind> {
    let kind = |at| given.kind(at);
    // They do so even if their arguments do not tell.
    let list = |found: Kind| match found {
        Kind::List(_) => found,
        _ => Kind::list(Kind::Unknown),
    };
    Some(match function {
        "ARRAY_DISTINCT" | "ARRAY_REMOVE" | "SORT_ARRAY" | "ARRAY_SORT" | "SLICE" | "FILTER"
        | "SHUFFLE" | "ARRAY_EXCEPT" | "ARRAY_INTERSECT" => list(kind(0)),
        "ARRAY_UNION" => list(common(&given.kinds())),
        "ARRAY" => Kind::list(common(&given.kinds())),
        "SEQUENCE" => Kind::list(common(&[kind(0), kind(1)])),
        "ARRAY_REPEAT" => Kind::list(kind(0)),
        "FLATTEN" => list(given.item(0)),
        "SPLIT" | "REGEXP_EXTRACT_ALL" => Kind::list(Kind::plain("string")),
        "SENTENCES" => Kind::list(Kind::list(Kind::plain("string"))),
        "TRANSFORM" => Kind::list(kind(1)),
        "ZIP_WITH" => Kind::list(kind(2)),
        "ARRAYS_ZIP" => Kind::list(Kind::Struct(named(given.0, &|at| given.item(at)))),
        "MAP_KEYS" => Kind::list(given.entry(0).0),
        "MAP_VALUES" => Kind::list(given.entry(0).1),
        "MAP_ENTRIES" => {
            let (key, value) = given.entry(0);
            let fields = vec![("key".to_owned(), key), ("value".to_owned(), value)];
            Kind::list(Kind::Struct(fields))
        }
        "COLLECT_LIST" | "COLLECT_SET" => Kind::list(kind(0)),
        _ => return None,
    })
}

/// Functions that make maps.
fn of_map(function: &str, given: &Arguments<'_>) -> Option<Kind> {
    let kind = |at| given.kind(at);
    // They do so even if their arguments do not tell.
    let map = |found: Kind| match found {
        Kind::Map(..) => found,
        _ => map_of(Kind::Unknown, Kind::Unknown),
    };
    Some(match function {
        "MAP" => {
            let every_second = |from: usize| {
                let kinds = given.kinds().into_iter().skip(from).step_by(2);
                common(&kinds.collect::<Vec<_>>())
            };
            map_of(every_second(0), every_second(1))
        }
        "MAP_FROM_ARRAYS" => map_of(given.item(0), given.item(1)),
        "MAP_FROM_ENTRIES" => match given.item(0) {
            Kind::Struct(fields) => match fields.as_slice() {
                [(_, key), (_, value)] => map_of(key.clone(), value.clone()),
                _ => map(Kind::Unknown),
            },
            _ => map(Kind::Unknown),
        },
        "STR_TO_MAP" => map_of(Kind::plain("string"), Kind::plain("string")),
        "MAP_CONCAT" => map(common(&given.kinds())),
        "MAP_FILTER" => map(kind(0)),
        "TRANSFORM_VALUES" => map_of(given.entry(0).0, kind(1)),
        "TRANSFORM_KEYS" => map_of(kind(1), given.entry(0).1),
        "MAP_ZIP_WITH" => map_of(given.entry(0).0, kind(2)),
        _ => return None,
    })
}

/// Functions that make structs, and those that are given the type as a text.
fn of_struct(function: &str, given: &Arguments<'_>) -> Option<Kind> {
    Some(match function {
        "STRUCT" => Kind::Struct(named(given.0, &|at| given.kind(at))),
        "NAMED_STRUCT" => {
            let pairs = given.0.chunks_exact(2).filter_map(|pair| match pair {
                [name, value] => Some((name.literal.clone()?, value.kind.clone())),
                _ => None,
            });
            Kind::Struct(pairs.collect())
        }
        "FROM_JSON" | "FROM_CSV" => {
            let schema = given.0.get(1).and_then(|schema| schema.literal.as_deref());
            schema.map_or(Kind::Unknown, Kind::of_schema)
        }
        _ => return None,
    })
}

/// The types of the variables of a lambda that comes after these arguments.
pub(super) fn variables(function: &str, before: &[Argument]) -> Vec<Kind> {
    let given = Arguments(before);
    let (kind, entry) = (|at| given.kind(at), |at| given.entry(at));
    match function {
        "TRANSFORM" | "FILTER" => vec![kind(0).item(), Kind::plain("int")],
        "EXISTS" | "FORALL" | "ANY" => vec![kind(0).item()],
        "AGGREGATE" | "REDUCE" => vec![kind(1), kind(0).item()],
        "ARRAY_SORT" => vec![kind(0).item(), kind(0).item()],
        "ZIP_WITH" => vec![kind(0).item(), kind(1).item()],
        "TRANSFORM_VALUES" | "TRANSFORM_KEYS" | "MAP_FILTER" => {
            let (key, value) = entry(0);
            vec![key, value]
        }
        "MAP_ZIP_WITH" => {
            let (key, value) = entry(0);
            vec![key, value, entry(1).1]
        }
        _ => Vec::new(),
    }
}

/// Texts, binaries or lists one after the other.
pub(super) fn concatenated(kinds: &[Kind]) -> Kind {
    match common(kinds) {
        list @ Kind::List(_) => list,
        Kind::Plain(name) if name == "binary" => Kind::Plain(name),
        Kind::Unknown if !kinds.iter().any(Kind::is_number) => Kind::Unknown,
        _ => Kind::plain("string"),
    }
}

pub(super) fn common(kinds: &[Kind]) -> Kind {
    kinds.iter().fold(Kind::Null, |all, kind| all.common(kind))
}

fn map_of(key: Kind, value: Kind) -> Kind {
    Kind::Map(Box::new(key), Box::new(value))
}

/// The fields of a struct made of columns: their names, or `col1`, `col2`, ….
fn named(arguments: &[Argument], kind: &dyn Fn(usize) -> Kind) -> Vec<(String, Kind)> {
    let fields = arguments.iter().enumerate().map(|(at, argument)| {
        let name = argument.name.clone();
        (name.unwrap_or_else(|| format!("col{}", at + 1)), kind(at))
    });
    fields.collect()
}

/// Functions that have one type whatever they are given.
fn fixed(function: &str) -> Option<&'static str> {
    Some(match function {
        "UPPER" | "UCASE" | "LOWER" | "LCASE" | "SUBSTRING" | "SUBSTR" | "LEFT" | "RIGHT"
        | "TRIM" | "LTRIM" | "RTRIM" | "BTRIM" | "CONCAT_WS" | "REPLACE" | "TRANSLATE"
        | "REGEXP_REPLACE" | "REGEXP_EXTRACT" | "LPAD" | "RPAD" | "REPEAT" | "INITCAP"
        | "FORMAT_STRING" | "PRINTF" | "FORMAT_NUMBER" | "DATE_FORMAT" | "FROM_UNIXTIME"
        | "MD5" | "SHA" | "SHA1" | "SHA2" | "HEX" | "TO_JSON" | "TO_CSV" | "GET_JSON_OBJECT"
        | "BASE64" | "SPACE" | "SUBSTRING_INDEX" | "SPLIT_PART" | "STRING" | "CHAR" | "CHR"
        | "TYPEOF" | "UUID" | "BIN" | "CONV" | "SOUNDEX" | "PARSE_URL" | "OVERLAY"
        | "MONTHNAME" | "DAYNAME" => "string",
        "LENGTH" | "LEN" | "CHAR_LENGTH" | "CHARACTER_LENGTH" | "SIZE" | "CARDINALITY"
        | "ARRAY_SIZE" | "YEAR" | "MONTH" | "DAY" | "DAYOFMONTH" | "DAYOFWEEK" | "DAYOFYEAR"
        | "WEEKOFYEAR" | "WEEKDAY" | "QUARTER" | "HOUR" | "MINUTE" | "SECOND" | "DATEDIFF"
        | "DATE_DIFF" | "INSTR" | "LOCATE" | "POSITION" | "ASCII" | "BIT_LENGTH"
        | "OCTET_LENGTH" | "LEVENSHTEIN" | "HASH" | "FIND_IN_SET" | "INT" | "BIT_COUNT"
        | "JSON_ARRAY_LENGTH" | "UNIX_DATE" => "int",
        "BIGINT" | "UNIX_TIMESTAMP" | "TO_UNIX_TIMESTAMP" | "UNIX_MILLIS" | "UNIX_SECONDS"
        | "UNIX_MICROS" | "XXHASH64" | "CRC32" | "FACTORIAL" | "ARRAY_POSITION" => "bigint",
        "DOUBLE" | "SQRT" | "CBRT" | "EXP" | "EXPM1" | "LN" | "LOG" | "LOG10" | "LOG2"
        | "LOG1P" | "POW" | "POWER" | "SIN" | "COS" | "TAN" | "ASIN" | "ACOS" | "ATAN"
        | "ATAN2" | "SINH" | "COSH" | "TANH" | "DEGREES" | "RADIANS" | "RAND" | "RANDN"
        | "MONTHS_BETWEEN" | "SIGN" | "SIGNUM" | "HYPOT" | "E" | "PI" | "RINT" => "double",
        "FLOAT" => "float",
        "TINYINT" => "tinyint",
        "SMALLINT" => "smallint",
        "BINARY" | "UNHEX" | "UNBASE64" | "ENCODE" => "binary",
        "DECIMAL" => "decimal(10,0)",
        "BOOLEAN" | "ISNULL" | "ISNOTNULL" | "ISNAN" | "CONTAINS" | "STARTSWITH" | "ENDSWITH"
        | "ARRAY_CONTAINS" | "ARRAYS_OVERLAP" | "EXISTS" | "FORALL" | "LIKE" | "RLIKE"
        | "REGEXP" | "REGEXP_LIKE" | "MAP_CONTAINS_KEY" | "ANY" => "boolean",
        "DATE"
        | "TO_DATE"
        | "DATE_ADD"
        | "DATE_SUB"
        | "LAST_DAY"
        | "NEXT_DAY"
        | "CURRENT_DATE"
        | "DATE_FROM_UNIX_DATE"
        | "MAKE_DATE"
        | "ADD_MONTHS"
        | "TRUNC" => "date",
        "TIMESTAMP" | "TO_TIMESTAMP" | "DATE_TRUNC" | "TIMESTAMP_MILLIS" | "TIMESTAMP_SECONDS"
        | "TIMESTAMP_MICROS" | "CURRENT_TIMESTAMP" | "NOW" | "FROM_UTC_TIMESTAMP"
        | "TO_UTC_TIMESTAMP" | "MAKE_TIMESTAMP" => "timestamp",
        _ => return None,
    })
}
