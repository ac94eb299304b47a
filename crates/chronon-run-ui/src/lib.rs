//! The web page of one workspace: assets, days, runs and rows, over HTTP ([`serve`]) and as a folder
//! ([`write_site`]).
//!
//! Invariant: nothing here computes what it shows. A [`Source`] gives the values of the other libraries
//! (plan, status, runs, rows), and this crate turns them into pages. Whatever comes from files, logs and
//! tables is escaped by `maud`, after escape sequences and invisible characters are removed.

#![cfg_attr(not(test), warn(clippy::disallowed_methods, clippy::too_many_lines))]

mod cache;
mod days;
mod frame;
mod gantt;
mod guard;
mod links;
mod log;
mod pages;
mod plot;
mod safe;
mod server;
mod shared;
mod site;
mod source;

pub use guard::{Guard, Token};
pub use server::{ServeError, Settings, serve};
pub use site::write_site;
pub use source::{
    Action, ColumnHistory, Definition, EditedConf, OnlinePath, PlanForm, Script, Source, Trouble,
    View,
};
