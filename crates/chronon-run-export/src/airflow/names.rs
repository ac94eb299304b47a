//! DAG and task ids (§7.1).

use chronon_run_core::{AssetId, AssetKind};
use chronon_run_workspace::Naming;

use super::manifest::DagKind;

/// `normalize_name` of Chronon's helpers: the parts between slashes, without those that name a
/// time partition, joined by `__`; every other character becomes `__`.
pub(super) fn normalized(name: &str, time_parts: &[String]) -> String {
    let is_time = |part: &str| {
        let column = part.split_once('=').map(|(column, _)| column);
        column.is_some_and(|column| time_parts.iter().any(|known| known == column))
    };
    let kept: Vec<&str> = name.split('/').filter(|part| !is_time(part)).collect();
    let mut out = String::new();
    for character in kept.join("__").chars() {
        if character.is_ascii_alphanumeric() || character == '_' {
            out.push(character);
        } else {
            out.push_str("__");
        }
    }
    out
}

/// The id of the DAG of this kind for `owner`, a team or a join; kinds with one DAG have none.
pub(super) fn dag_id(kind: DagKind, naming: Naming, owner: &str) -> String {
    let prefix = match (kind, naming) {
        (DagKind::Batch, Naming::Docs) => "chronon_batch_dag_",
        (DagKind::Batch, Naming::Code) => "chronon_group_by_batch_",
        (DagKind::Streaming, Naming::Docs) => "chronon_streaming_dag_",
        (DagKind::Streaming, Naming::Code) => "chronon_group_by_streaming_",
        (DagKind::Join, _) => "chronon_join_",
        (DagKind::StagingQuery, Naming::Docs) => "chronon_staging_query_",
        (DagKind::StagingQuery, Naming::Code) => "chronon_staging_query_batch_",
        (DagKind::Consistency, _) => "chronon_online_offline_comparison_",
        (DagKind::LogFlattening, _) => "chronon_log_flattening_",
        (DagKind::LabelJoin, _) => "chronon_label_join_",
        (DagKind::Stats, _) => "chronon_stats_compute",
        (DagKind::MetadataUpload, _) => "chronon_metadata_upload",
    };
    format!("{prefix}{owner}")
}

/// The id of an asset's task. `name` is the conf's name, normalised.
pub(super) fn task_id(asset: &AssetId, name: &str) -> String {
    use chronon_run_core::ConfType::{GroupBy, Join, StagingQuery};
    match (asset.conf.conf_type, &asset.mode) {
        (GroupBy, AssetKind::Backfill) => format!("group_by_batch_backfill__{name}"),
        (_, AssetKind::Upload) => format!("group_by_batch__{name}"),
        (_, AssetKind::Streaming) => format!("group_by_streaming__{name}"),
        (StagingQuery, _) => format!("staging_query__{name}"),
        (Join, AssetKind::Backfill) | (_, AssetKind::Final) => format!("compute_join__{name}"),
        (_, AssetKind::Part(part)) => format!("join_part__{name}__{}", normalized(part, &[])),
        (_, AssetKind::Consistency) => format!("compute_consistency__{name}"),
        (_, AssetKind::StatsSummary) => format!("feature_stats__{name}"),
        (_, AssetKind::LogFlattener) => format!("log_flattening__{name}"),
        (_, step) => format!("{}__{name}", step.word().replace('-', "_")),
    }
}

/// The id of the sensor before a task.
pub(super) fn sensor_id(task_id: &str) -> String {
    format!("ready__{task_id}")
}

/// The id of the task that loads an upload into the KV store.
pub(super) fn kv_id(name: &str) -> String {
    format!("kv_upload__{name}")
}

/// The one task of the DAG that publishes the confs.
pub(super) const METADATA_UPLOAD: &str = "chronon_join_metadata_upload";
