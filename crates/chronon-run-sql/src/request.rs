//! What a script is asked to fill, and why it cannot.

use std::collections::BTreeMap;

use chronon_run_conf::{AnyConf as Conf, MetaData};
use chronon_run_core::{AssetKind, CatalogSnapshot, Ds, PartitionRange, TableName};

/// What a script is asked to fill.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The conf.
    pub conf: Conf<'a>,
    /// Which of its tables.
    pub mode: &'a AssetKind,
    /// The output days, both inclusive.
    pub range: PartitionRange,
    /// End date of the run: the macro `latest_date`.
    pub latest_date: Ds,
    /// The partition column of every output (`ds`).
    pub partition_column: &'a str,
    /// Partitions and column types of the inputs and of the output tables.
    pub tables: &'a CatalogSnapshot,
}

/// Hive types of columns, by name.
pub(crate) type Types = BTreeMap<String, String>;

impl Request<'_> {
    /// What only the catalog shows that cannot be done.
    pub(crate) fn refuse(&self, field: impl Into<String>, why: impl ToString) -> Refusal {
        Refusal {
            conf: self.conf.meta().name.clone(),
            field: field.into(),
            why: why.to_string(),
        }
    }

    /// The output table of a conf.
    pub(crate) fn output_table(&self, meta: &MetaData) -> Result<TableName, Refusal> {
        meta.output_table()
            .map_err(|error| self.refuse("metaData.outputNamespace", error))
    }
}

/// Something that the embedded engine cannot do.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{conf}: {}{why}", place(field))]
pub struct Refusal {
    /// Name of the conf.
    pub conf: String,
    /// The field, as in the compiled JSON.
    pub field: String,
    /// What is not possible, and what else is: another engine only if it can do it.
    pub why: String,
}

/// The field with a colon; nothing if it is the mode as a whole that is refused.
fn place(field: &str) -> String {
    match field {
        "step" => String::new(),
        field => format!("{field}: "),
    }
}

/// What ends the reason for a refusal if the Driver does it: only where that is known.
pub(crate) const BY_DRIVER: &str = "use engine kind = \"chronon\"";

/// What ends the reason for a refusal if the Driver fails as well.
pub(crate) const DRIVER_TOO: &str = "the Driver fails too";
