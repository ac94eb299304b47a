//! What a conf produces, and how it is called: `<type>/<conf name>/<mode>`.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The kind of a compiled Chronon file, named as the selection `type:` and asset ids name it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConfType {
    /// `production/staging_queries`.
    StagingQuery,
    /// `production/group_bys`.
    GroupBy,
    /// `production/joins`.
    Join,
}

impl ConfType {
    /// Every type, in the order in which data usually flows.
    pub const ALL: [Self; 3] = [Self::StagingQuery, Self::GroupBy, Self::Join];

    /// `staging_query`, `group_by` or `join`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::StagingQuery => "staging_query",
            Self::GroupBy => "group_by",
            Self::Join => "join",
        }
    }

    /// The folder below `production/` and run.py's conf type (§1.1, §2.1).
    #[must_use]
    pub const fn folder(self) -> &'static str {
        match self {
            Self::StagingQuery => "staging_queries",
            Self::GroupBy => "group_bys",
            Self::Join => "joins",
        }
    }
}

impl fmt::Display for ConfType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One conf: its type and its `metaData.name`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConfId {
    /// Which folder it comes from.
    pub conf_type: ConfType,
    /// `metaData.name`, e.g. `search.ranking.v1`.
    pub name: String,
}

impl fmt::Display for ConfId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.conf_type, self.name)
    }
}

/// Which of a conf's products an asset is. One word each, after the run.py modes of §2.1.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum AssetKind {
    /// The table of a staging query or GroupBy, or a whole join in one job.
    Backfill,
    /// Modular join: `join-left`, the table `O_bootstrap`.
    Left,
    /// Modular join: one join part, by its `fullPrefix` (§6).
    Part(String),
    /// Modular join: `join-final`, the table `O` (or `O_pre_mt`).
    Final,
    /// `model-transform-batch`: `O` from `O_pre_mt`.
    ModelTransform,
    /// `group-by-upload`: the unpartitioned `O_upload`.
    Upload,
    /// Loading the upload table into the KV store: no table of its own, only the ledger knows.
    Kv,
    /// The long-running streaming app of an online GroupBy.
    Streaming,
    /// `label-join`: `O_labels`.
    LabelJoin,
    /// `log-flattener`: `O_logged`.
    LogFlattener,
    /// `log-summary`: `O_logged_daily_stats`.
    LogSummary,
    /// `stats-summary`: `O_daily_stats`.
    StatsSummary,
    /// `consistency-metrics-compute`: `O_consistency`.
    Consistency,
}

impl AssetKind {
    /// The word for it in ids, in `mode:` selectors and in JSON; a part's own name is left out.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Backfill => "backfill",
            Self::Left => "left",
            Self::Part(_) => "part",
            Self::Final => "final",
            Self::ModelTransform => "model-transform",
            Self::Upload => "upload",
            Self::Kv => "kv",
            Self::Streaming => "streaming",
            Self::LabelJoin => "label-join",
            Self::LogFlattener => "log-flattener",
            Self::LogSummary => "log-summary",
            Self::StatsSummary => "stats-summary",
            Self::Consistency => "consistency",
        }
    }

    /// The run.py mode that fills it (§2.1); parts run as `backfill` (§6), and there is none for `kv`
    /// (§8.1).
    #[must_use]
    pub const fn run_py_mode(&self) -> &'static str {
        match self {
            Self::Backfill | Self::Part(_) => "backfill",
            Self::Left => "backfill-left",
            Self::Final => "backfill-final",
            Self::ModelTransform => "model-transform-batch",
            Self::Consistency => "consistency-metrics-compute",
            Self::Upload
            | Self::Kv
            | Self::Streaming
            | Self::LabelJoin
            | Self::LogFlattener
            | Self::LogSummary
            | Self::StatsSummary => self.word(),
        }
    }

    /// Whether the Driver takes no first day for it: every day up to the last is filled that has its
    /// input (§2.2: `--start-partition-override` is not used).
    #[must_use]
    pub const fn fills_everything_before(&self) -> bool {
        matches!(
            self,
            Self::StatsSummary | Self::LogSummary | Self::LogFlattener | Self::Consistency
        )
    }

    /// Whether the Driver never fills days left of the table's first one, `--run-first-hole` or not
    /// (§5.1).
    #[must_use]
    pub const fn never_fills_first_hole(&self) -> bool {
        self.fills_everything_before() || matches!(self, Self::ModelTransform)
    }

    /// Whether `materialize` fills it without being asked for it by `mode:` or by id:
    /// the offline feature tables.
    #[must_use]
    pub const fn is_offline_table(&self) -> bool {
        matches!(
            self,
            Self::Backfill | Self::Left | Self::Part(_) | Self::Final | Self::ModelTransform
        )
    }
}

impl fmt::Display for AssetKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Part(name) => write!(f, "part/{name}"),
            other => f.write_str(other.word()),
        }
    }
}

impl FromStr for AssetKind {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let plain = [
            Self::Backfill,
            Self::Left,
            Self::Final,
            Self::ModelTransform,
            Self::Upload,
            Self::Kv,
            Self::Streaming,
            Self::LabelJoin,
            Self::LogFlattener,
            Self::LogSummary,
            Self::StatsSummary,
            Self::Consistency,
        ];
        match text.strip_prefix("part/") {
            Some("") => Err(()),
            Some(name) => Ok(Self::Part(name.to_owned())),
            None => plain.into_iter().find(|kind| kind.word() == text).ok_or(()),
        }
    }
}

/// The name of one asset: `<type>/<conf name>/<mode>`, e.g. `join/search.ranking.v1/left`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AssetId {
    /// The conf that produces it.
    pub conf: ConfId,
    /// Which of the conf's products it is.
    pub mode: AssetKind,
}

/// A text that is not an asset id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an asset id of the form <type>/<conf name>/<mode>")]
pub struct AssetIdError(pub String);

impl AssetId {
    /// The asset of the conf `name` in this mode.
    #[must_use]
    pub fn new(conf_type: ConfType, name: &str, mode: AssetKind) -> Self {
        let conf = ConfId {
            conf_type,
            name: name.to_owned(),
        };
        Self { conf, mode }
    }
}

impl FromStr for AssetId {
    type Err = AssetIdError;

    fn from_str(text: &str) -> Result<Self, AssetIdError> {
        let parse = || {
            let (conf_type, rest) = text.split_once('/')?;
            let (name, mode) = rest.split_once('/')?;
            let conf_type = ConfType::ALL
                .into_iter()
                .find(|t| t.as_str() == conf_type)?;
            Some(Self::new(conf_type, name, mode.parse().ok()?))
        };
        parse().ok_or_else(|| AssetIdError(text.to_owned()))
    }
}

impl fmt::Display for AssetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.conf, self.mode)
    }
}

impl fmt::Debug for AssetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for AssetId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AssetId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_back() {
        for text in [
            "join/search.ranking.v1/left",
            "join/search.ranking.v1/part/lst_stays_bookings_v1",
            "group_by/a.b.c/upload",
            "staging_query/a.b/backfill",
        ] {
            assert_eq!(text.parse::<AssetId>().unwrap().to_string(), text);
        }
        for bad in [
            "",
            "join",
            "join/x",
            "join/x/nope",
            "table/x/left",
            "join/x/part/",
        ] {
            assert!(bad.parse::<AssetId>().is_err(), "{bad}");
        }
    }
}
