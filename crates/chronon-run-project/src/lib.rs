//! An opened workspace: its confs, their graph, its catalog, ledger and Spark; how days are planned and
//! filled with either engine; streaming apps, hooks, seeds and sampling.
//!
//! Invariant: no command line is parsed here. A command passes values and prints what it gets; only notes about
//! what happens on the way are written from here, through [`output`].

#![cfg_attr(not(test), warn(clippy::disallowed_methods, clippy::too_many_lines))]

pub mod changes;
pub mod cleaning;
pub mod comparing;
pub mod doctor;
pub mod engines;
pub mod exporting;
pub mod failure;
pub mod fetching;
pub mod findings;
pub mod init;
pub mod installation;
pub mod listing;
pub mod loading;
pub mod logs;
pub mod options;
pub mod output;
pub mod paging;
pub mod paths;
pub mod planning;
pub mod program;
pub mod rows;
pub mod runs;
pub mod scratch;
pub mod status;
pub mod streaming;
