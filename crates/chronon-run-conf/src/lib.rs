//! Compiled Chronon confs and `teams.json`, typed and checked.
//!
//! Invariant: this crate only reads; a conf file is never rewritten, because the Driver
//! refuses one that differs from what it would itself write (§1.2). It does not know
//! `workspace.toml`.

#![cfg_attr(not(test), warn(clippy::too_many_lines))]

mod check;
mod dependency;
mod derive;
mod describe;
pub mod edits;
mod hazards;
mod iso_macros;
mod json;
pub mod model;
mod repo;
mod tables;
mod tables_read;
pub mod target;
mod teams;
mod value;
mod view;

pub use dependency::{DayPartition, Dependency, DependencyError};
pub use derive::{OfflinePart, left_column};
pub use describe::described_columns;
pub use iso_macros::unconverted_macro;
pub use model::{
    Accuracy, Aggregation, BootstrapPart, DataModel, Derivation, EntitySource, EventSource,
    ExternalPart, ExternalSource, GroupBy, Join, JoinPart, JoinSource, LabelPart, MetaData,
    ModelTransform, ModelTransforms, Operation, Query, Source, StagingQuery, TimeUnit, Window,
    is_null_literal,
};
pub use repo::{ConfFile, ConfRepo, Loaded};
pub use tables_read::{TablesRead, max_date_tables, tables_read};
pub use teams::{Env, Teams};
pub use view::{AnyConf, ConfView};
