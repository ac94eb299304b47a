//! One module per command.

pub(crate) mod check;
pub(crate) mod clean;
pub(crate) mod compare;
pub(crate) mod compile;
pub(crate) mod diff;
mod diff_data;
pub(crate) mod doctor;
pub(crate) mod engine;
pub(crate) mod export;
pub(crate) mod frontfill;
pub(crate) mod init;
pub(crate) mod logs;
pub(crate) mod ls;
pub(crate) mod materialize;
pub(crate) mod plan;
pub(crate) mod query;
pub(crate) mod ready;
pub(crate) mod reference;
pub(crate) mod report;
pub(crate) mod retry;
pub(crate) mod runs;
pub(crate) mod show;
pub(crate) mod sql;
pub(crate) mod status;
pub(crate) mod stream;
pub(crate) mod target;
pub(crate) mod ui;
