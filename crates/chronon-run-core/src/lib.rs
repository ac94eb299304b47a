//! The words every other crate speaks: days ([`Ds`]), day ranges ([`RangeSet`]),
//! names ([`TableName`], [`AssetId`]), [`Diagnostic`]s and run [`event`]s.
//!
//! Invariant: nothing here reads a file, the clock, the environment or the network,
//! so nothing here can fail for a reason outside its arguments.

#![cfg_attr(not(test), warn(clippy::too_many_lines))]

pub mod asset;
pub mod columns;
pub mod command;
pub mod days;
pub mod diagnostic;
pub mod ds;
pub mod event;
pub mod evidence;
pub mod instant;
pub mod name;
pub mod partition_format;
pub mod range;
pub mod schedule;
pub mod secret;
pub mod shown;
pub mod stray;
pub mod table;

pub use asset::{AssetId, AssetIdError, AssetKind, ConfId, ConfType};
pub use columns::{BEFORE, ColumnChanges, Retyped, TableChanges};
pub use command::CommandLine;
pub use days::{Days, Packed, Row};
pub use diagnostic::{BYTE_ORDER_MARK, Diagnostic, Location, Severity};
pub use ds::{Ds, DsError, epoch_millis};
pub use evidence::{DayEvidence, Digest, Evidence, MadeDay, Memory, SeenDay, Slice};
pub use name::{TableName, TableNameError, TableSpec, clean};
pub use partition_format::{PartitionFormat, PartitionFormatError, PartitionTime};
pub use range::{PartitionRange, RangeSet};
pub use schedule::{Schedule, ScheduleError};
pub use stray::is_stray;
pub use table::{CatalogSnapshot, Column, Partitions, TableInfo, TableState};
