//! The route table of §2.1 as types: a mode that a conf type does not have cannot be written down.

use chronon_run_core::{AssetKind, ConfType};

/// What a GroupBy conf can be run as.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum GroupByMode {
    /// Its own table.
    Backfill,
    /// `O_upload`, the batch side of serving.
    Upload,
    /// The streaming side of serving.
    Streaming,
    /// The same in this process, for debugging.
    LocalStreaming,
    /// The conf into the KV store.
    MetadataUpload,
    /// Features out of the KV store.
    Fetch,
    /// Checks of the conf against the data.
    Analyze,
    /// The conf into a table or a folder.
    MetadataExport,
}

/// What a Join conf can be run as.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum JoinMode {
    /// The whole join in one job.
    Backfill,
    /// Modular flow, step 1: `O_bootstrap` (§6).
    Left,
    /// Modular flow, step 2: the table of the part with this `fullPrefix`, from a cached left (§6).
    Part(String),
    /// Modular flow, step 3: the output (§6).
    Final,
    /// The conf into the KV store.
    MetadataUpload,
    /// Features out of the KV store.
    Fetch,
    /// Logged against recomputed features.
    Consistency,
    /// The join against a staging query.
    Compare,
    /// Statistics of the output.
    StatsSummary,
    /// Statistics of the flattened log.
    LogSummary,
    /// Checks of the conf against the data.
    Analyze,
    /// `O_logged`.
    LogFlattener,
    /// The conf into a table or a folder.
    MetadataExport,
    /// `O_labels`.
    LabelJoin,
    /// `O` from `O_pre_mt`.
    ModelTransform,
}

/// What a StagingQuery conf can be run as.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum StagingQueryMode {
    /// Its table or view.
    Backfill,
    /// The conf into a table or a folder.
    MetadataExport,
}

/// A run.py mode of a conf type that has it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Mode {
    /// Of a GroupBy.
    GroupBy(GroupByMode),
    /// Of a Join.
    Join(JoinMode),
    /// Of a StagingQuery.
    StagingQuery(StagingQueryMode),
}

/// A conf type that has no such mode.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a {conf_type} has no mode `{mode}`; it has {}", .possible.join(", "))]
pub struct ModeError {
    /// The type of the conf.
    pub conf_type: ConfType,
    /// What was asked for.
    pub mode: String,
    /// What could have been.
    pub possible: Vec<&'static str>,
}

/// How run.py starts the Driver.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Runner {
    /// `scripts/spark_submit.sh`.
    Submit,
    /// `scripts/spark_streaming.sh`.
    SubmitStreaming,
    /// `java -cp`, with the embedded jar.
    Java,
}

/// One row of the route table: mode word, Driver subcommand, how it is started.
struct Route {
    word: &'static str,
    subcommand: &'static str,
    runner: Runner,
    /// `--conf-path`.
    conf: bool,
    /// `--end-date`.
    end_date: bool,
    /// `--online-jar`, `--online-class` and the online arguments.
    online: bool,
}

impl Route {
    /// `--conf-path` and `--end-date`, by spark-submit.
    const fn offline(word: &'static str, subcommand: &'static str) -> Self {
        Self {
            word,
            subcommand,
            runner: Runner::Submit,
            conf: true,
            end_date: true,
            online: false,
        }
    }

    /// `--conf-path` and the online jar.
    const fn online(word: &'static str, subcommand: &'static str, runner: Runner) -> Self {
        Self {
            word,
            subcommand,
            runner,
            conf: true,
            end_date: false,
            online: true,
        }
    }

    /// The online jar alone.
    const fn fetch() -> Self {
        Self {
            conf: false,
            ..Self::online("fetch", "fetch", Runner::Java)
        }
    }
}

impl GroupByMode {
    /// Every one.
    pub const ALL: [Self; 8] = [
        Self::Backfill,
        Self::Upload,
        Self::Streaming,
        Self::LocalStreaming,
        Self::MetadataUpload,
        Self::Fetch,
        Self::Analyze,
        Self::MetadataExport,
    ];

    const fn route(self) -> Route {
        let java = Runner::Java;
        match self {
            Self::Backfill => Route::offline("backfill", "group-by-backfill"),
            Self::Upload => Route::offline("upload", "group-by-upload"),
            Self::Streaming => {
                Route::online("streaming", "group-by-streaming", Runner::SubmitStreaming)
            }
            Self::LocalStreaming => Route::online("local-streaming", "group-by-streaming", java),
            Self::MetadataUpload => Route::online("metadata-upload", "metadata-upload", java),
            Self::Fetch => Route::fetch(),
            Self::Analyze => Route::offline("analyze", "analyze"),
            Self::MetadataExport => Route::offline("metadata-export", "metadata-export"),
        }
    }
}

impl JoinMode {
    /// Every one without its arguments, i.e. without [`JoinMode::Part`].
    pub const PLAIN: [Self; 14] = [
        Self::Backfill,
        Self::Left,
        Self::Final,
        Self::MetadataUpload,
        Self::Fetch,
        Self::Consistency,
        Self::Compare,
        Self::StatsSummary,
        Self::LogSummary,
        Self::Analyze,
        Self::LogFlattener,
        Self::MetadataExport,
        Self::LabelJoin,
        Self::ModelTransform,
    ];

    const fn route(&self) -> Route {
        match self {
            Self::Backfill | Self::Part(_) => Route::offline("backfill", "join"),
            Self::Left => Route::offline("backfill-left", "join-left"),
            Self::Final => Route::offline("backfill-final", "join-final"),
            Self::MetadataUpload => {
                Route::online("metadata-upload", "metadata-upload", Runner::Java)
            }
            Self::Fetch => Route::fetch(),
            Self::Consistency => {
                Route::offline("consistency-metrics-compute", "consistency-metrics-compute")
            }
            Self::Compare => Route::offline("compare", "compare-join-query"),
            Self::StatsSummary => Route::offline("stats-summary", "stats-summary"),
            Self::LogSummary => Route::offline("log-summary", "log-summary"),
            Self::Analyze => Route::offline("analyze", "analyze"),
            Self::LogFlattener => Route::offline("log-flattener", "log-flattener"),
            Self::MetadataExport => Route::offline("metadata-export", "metadata-export"),
            Self::LabelJoin => Route::offline("label-join", "label-join"),
            Self::ModelTransform => Route {
                online: true,
                ..Route::offline("model-transform-batch", "model-transform-batch")
            },
        }
    }
}

impl StagingQueryMode {
    /// Every one.
    pub const ALL: [Self; 2] = [Self::Backfill, Self::MetadataExport];

    const fn route(self) -> Route {
        match self {
            Self::Backfill => Route::offline("backfill", "staging-query-backfill"),
            Self::MetadataExport => Route::offline("metadata-export", "metadata-export"),
        }
    }
}

impl Mode {
    /// Every mode of a conf type; a join's parts, which need a name, are left out.
    #[must_use]
    pub fn all_of(conf_type: ConfType) -> Vec<Self> {
        match conf_type {
            ConfType::GroupBy => GroupByMode::ALL.map(Self::GroupBy).to_vec(),
            ConfType::Join => JoinMode::PLAIN.map(Self::Join).to_vec(),
            ConfType::StagingQuery => StagingQueryMode::ALL.map(Self::StagingQuery).to_vec(),
        }
    }

    /// The mode that run.py calls `word` for confs of `conf_type`.
    ///
    /// # Errors
    /// [`ModeError`] if that type has no such mode.
    pub fn parse(conf_type: ConfType, word: &str) -> Result<Self, ModeError> {
        let all = Self::all_of(conf_type);
        let possible = all.iter().map(Self::word).collect();
        all.into_iter()
            .find(|mode| mode.word() == word)
            .ok_or_else(|| ModeError {
                conf_type,
                mode: word.to_owned(),
                possible,
            })
    }

    /// The mode that fills the asset `kind` of a conf of `conf_type`.
    ///
    /// # Errors
    /// [`ModeError`] if that type has no such asset.
    pub fn of(conf_type: ConfType, kind: &AssetKind) -> Result<Self, ModeError> {
        match (conf_type, kind) {
            (ConfType::Join, AssetKind::Part(part)) => Ok(Self::Join(JoinMode::Part(part.clone()))),
            (_, AssetKind::Part(part)) => Err(ModeError {
                conf_type,
                mode: format!("part/{part}"),
                possible: Self::all_of(conf_type).iter().map(Self::word).collect(),
            }),
            (_, kind) => Self::parse(conf_type, kind.run_py_mode()),
        }
    }

    const fn route(&self) -> Route {
        match self {
            Self::GroupBy(mode) => mode.route(),
            Self::Join(mode) => mode.route(),
            Self::StagingQuery(mode) => mode.route(),
        }
    }

    /// The type of conf that has it.
    #[must_use]
    pub const fn conf_type(&self) -> ConfType {
        match self {
            Self::GroupBy(_) => ConfType::GroupBy,
            Self::Join(_) => ConfType::Join,
            Self::StagingQuery(_) => ConfType::StagingQuery,
        }
    }

    /// run.py's `--mode`.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        self.route().word
    }

    /// The mode whose settings apply: both streaming modes share those of `streaming` (§2.5).
    #[must_use]
    pub const fn settings_word(&self) -> &'static str {
        match self {
            Self::GroupBy(GroupByMode::LocalStreaming) => "streaming",
            other => other.word(),
        }
    }

    /// The Driver's subcommand.
    #[must_use]
    pub const fn subcommand(&self) -> &'static str {
        self.route().subcommand
    }

    /// How run.py starts it.
    #[must_use]
    pub const fn runner(&self) -> Runner {
        self.route().runner
    }

    /// Whether `--conf-path` is passed.
    #[must_use]
    pub const fn takes_conf(&self) -> bool {
        self.route().conf
    }

    /// Whether `--end-date` is passed.
    #[must_use]
    pub const fn takes_end_date(&self) -> bool {
        self.route().end_date
    }

    /// Whether it needs the online jar and class.
    #[must_use]
    pub const fn is_online(&self) -> bool {
        self.route().online
    }

    /// Whether `customJson.additional_args` are added to its command line (§2.5).
    #[must_use]
    pub const fn takes_additional_args(&self) -> bool {
        matches!(
            self,
            Self::StagingQuery(StagingQueryMode::Backfill)
                | Self::GroupBy(GroupByMode::Backfill | GroupByMode::Upload)
                | Self::Join(
                    JoinMode::Backfill
                        | JoinMode::Part(_)
                        | JoinMode::Left
                        | JoinMode::Final
                        | JoinMode::ModelTransform
                )
        )
    }

    /// Whether `--run-first-hole` has an effect; the others always skip a first hole (§5.1).
    #[must_use]
    pub const fn honours_first_hole(&self) -> bool {
        matches!(
            self,
            Self::StagingQuery(StagingQueryMode::Backfill)
                | Self::GroupBy(GroupByMode::Backfill)
                | Self::Join(
                    JoinMode::Backfill | JoinMode::Part(_) | JoinMode::Left | JoinMode::Final
                )
        )
    }

    /// Whether `--step-days` has an effect (§5.1; `join-left` and `join-final` ignore it, §2.2).
    #[must_use]
    pub const fn honours_step_days(&self) -> bool {
        matches!(
            self,
            Self::StagingQuery(StagingQueryMode::Backfill)
                | Self::GroupBy(GroupByMode::Backfill)
                | Self::Join(
                    JoinMode::Backfill
                        | JoinMode::Part(_)
                        | JoinMode::LogFlattener
                        | JoinMode::StatsSummary
                        | JoinMode::LogSummary
                        | JoinMode::LabelJoin
                        | JoinMode::ModelTransform
                )
        )
    }

    /// Whether `--start-partition-override` has an effect (§2.2).
    #[must_use]
    pub const fn honours_start(&self) -> bool {
        self.honours_first_hole() || matches!(self, Self::Join(JoinMode::ModelTransform))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_asset_has_its_subcommand() {
        let subcommand = |conf_type, step: &str| {
            Mode::of(conf_type, &step.parse().unwrap()).map(|mode| mode.subcommand())
        };
        for (conf_type, step, wanted) in [
            (ConfType::StagingQuery, "backfill", "staging-query-backfill"),
            (ConfType::GroupBy, "backfill", "group-by-backfill"),
            (ConfType::GroupBy, "upload", "group-by-upload"),
            (ConfType::GroupBy, "streaming", "group-by-streaming"),
            (ConfType::Join, "backfill", "join"),
            (ConfType::Join, "left", "join-left"),
            (ConfType::Join, "part/p", "join"),
            (ConfType::Join, "final", "join-final"),
            (ConfType::Join, "model-transform", "model-transform-batch"),
            (ConfType::Join, "label-join", "label-join"),
            (ConfType::Join, "log-flattener", "log-flattener"),
            (ConfType::Join, "log-summary", "log-summary"),
            (ConfType::Join, "stats-summary", "stats-summary"),
            (ConfType::Join, "consistency", "consistency-metrics-compute"),
        ] {
            assert_eq!(subcommand(conf_type, step).unwrap(), wanted);
        }
        for (conf_type, step) in [
            (ConfType::StagingQuery, "upload"),
            (ConfType::GroupBy, "left"),
            (ConfType::GroupBy, "part/p"),
            (ConfType::Join, "streaming"),
        ] {
            assert!(subcommand(conf_type, step).is_err(), "{conf_type} {step}");
        }
    }

    #[test]
    fn an_impossible_mode_names_the_possible_ones() {
        let error = Mode::parse(ConfType::StagingQuery, "upload").unwrap_err();
        assert_eq!(
            error.to_string(),
            "a staging_query has no mode `upload`; it has backfill, metadata-export"
        );
    }
}
