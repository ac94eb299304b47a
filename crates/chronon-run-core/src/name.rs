//! Table names and the cleaning rule of §3.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Replaces every character outside `[a-zA-Z0-9_]` by `_` (§3, EXT `cleanName`).
#[must_use]
pub fn clean(name: &str) -> String {
    name.chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '_' {
                c
            } else {
                '_'
            }
        })
        .collect()
}

/// `<namespace>.<table>`, lower-cased as the metastore does (engine-semantics 3, Names).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableName {
    full: String,
    dot: usize,
}

/// A text that cannot name a table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a table name of the form <namespace>.<table>")]
pub struct TableNameError(pub String);

impl TableName {
    /// The table `name` in `namespace`.
    ///
    /// # Errors
    /// [`TableNameError`] if either is empty or holds anything but letters, digits and `_`.
    pub fn new(namespace: &str, name: &str) -> Result<Self, TableNameError> {
        format!("{namespace}.{name}").parse()
    }

    /// The part before the dot, lower case.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.full[..self.dot]
    }

    /// The part after the dot, lower case.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.full[self.dot + 1..]
    }

    /// `<namespace>.<table>`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.full
    }

    /// The table whose name is this one's followed by `suffix`, e.g. `_bootstrap` (§3).
    #[must_use]
    pub fn suffixed(&self, suffix: &str) -> Self {
        Self {
            full: format!("{}{}", self.full, clean(suffix).to_lowercase()),
            dot: self.dot,
        }
    }
}

impl FromStr for TableName {
    type Err = TableNameError;

    fn from_str(text: &str) -> Result<Self, TableNameError> {
        let error = || TableNameError(text.to_owned());
        let (namespace, name) = text.split_once('.').ok_or_else(error)?;
        let word = |part: &str| {
            !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        if !word(namespace) || !word(name) {
            return Err(error());
        }
        Ok(Self {
            full: text.to_ascii_lowercase(),
            dot: namespace.len(),
        })
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.full)
    }
}

impl fmt::Debug for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.full)
    }
}

impl Serialize for TableName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.full)
    }
}

impl<'de> Deserialize<'de> for TableName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

/// A source's table as a conf spells it: `db.table` or `db.table/system=mobile/currency=USD`.
/// A bare `table` is one of the namespace `default`, as for Spark.
///
/// The sub-partitions count only when partitions are listed; the engine does not
/// add them to the scan (§3).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableSpec {
    /// The table before the first `/`.
    pub table: TableName,
    /// `(column, value)` in the order written.
    pub sub_partitions: Vec<(String, String)>,
}

impl FromStr for TableSpec {
    type Err = TableNameError;

    fn from_str(text: &str) -> Result<Self, TableNameError> {
        let mut pieces = text.split('/');
        let table = match pieces.next().unwrap_or_default() {
            bare if !bare.contains('.') => TableName::new("default", bare),
            full => full.parse(),
        };
        let table = table.map_err(|_| TableNameError(text.to_owned()))?;
        let sub_partitions = pieces
            .filter(|piece| !piece.is_empty())
            .map(|piece| {
                let (column, value) = piece.split_once('=')?;
                Some((column.to_owned(), value.to_owned()))
            })
            .collect::<Option<_>>()
            .ok_or_else(|| TableNameError(text.to_owned()))?;
        Ok(Self {
            table,
            sub_partitions,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cleans_as_the_engine_does() {
        assert_eq!(clean("team.a-b.v1"), "team_a_b_v1");
    }

    #[test]
    fn names_are_lower_case_and_strict() {
        let table: TableName = "Data.Purchases".parse().unwrap();
        assert_eq!(table.to_string(), "data.purchases");
        assert_eq!((table.namespace(), table.name()), ("data", "purchases"));
        assert_eq!(table.suffixed("_Upload").as_str(), "data.purchases_upload");
        for bad in ["", "a", "a.", ".b", "a.b.c", "a.b;drop", "a b.c"] {
            assert!(bad.parse::<TableName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn sub_partitions_follow_the_table() {
        let spec: TableSpec = "db.t/system=mobile/currency=USD".parse().unwrap();
        assert_eq!(spec.table.as_str(), "db.t");
        assert_eq!(spec.sub_partitions[1], ("currency".into(), "USD".into()));
        assert!("db.t/system".parse::<TableSpec>().is_err());
        let bare: TableSpec = "t/system=mobile".parse().unwrap();
        assert_eq!(bare.table.as_str(), "default.t");
        assert!("".parse::<TableSpec>().is_err());
    }
}
