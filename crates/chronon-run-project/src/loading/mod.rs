//! The workspace and its confs, and what can be said of them before the catalog is asked.

pub mod compiling;
pub mod days;
mod excluded;
pub mod formats;
mod graph;
pub mod holdings;
pub mod installing;
pub mod iso_macros;
pub mod jars;
pub mod machine;
pub mod project;
pub mod seed_days;
pub mod selecting;
pub mod state;
pub mod supply;
pub mod targets;
