//! Lists tables and partitions; runs the embedded Hive metastore.
//!
//! Invariant: a plan costs a fixed number of calls per table, never one per partition, and a
//! table or database that does not exist is an answer, not an error.
//!
//! - [`Catalog`] is where partitions are listed: a metastore over Thrift ([`Hive`]) or a file
//!   ([`Catalog::fixture`]), with [`CatalogSnapshot`] as the only answer;
//! - [`Hive`] also changes tables, for `--recompute` and for test doubles of the engine;
//! - [`embedded`] starts, shares and ends the metastore of a workspace that has none of its own.

#![cfg_attr(not(test), warn(clippy::disallowed_methods, clippy::too_many_lines))]

mod address;
mod answer;
mod catalog;
mod client;
pub mod embedded;
mod empty;
mod error;
mod evidence;
mod fixture;
mod landing;
mod listing;
mod names;
mod partition_names;
mod probe;
pub mod recorded;
mod request;
mod row_times;
mod storage;
mod write;

pub use address::{BadUri, Uri};
pub use catalog::Catalog;
pub use chronon_run_core::{CatalogSnapshot, TableName};
pub use client::Hive;
pub use error::CatalogError;
pub use evidence::EvidenceRequest;
pub use names::{partition_name, partition_values};
pub use request::{Request, Timeouts};
pub use row_times::{RowTimes, RowTimesRequest};
pub use storage::{Format, PartitionStorage, TableStorage, local_path};
pub use write::NewTable;
