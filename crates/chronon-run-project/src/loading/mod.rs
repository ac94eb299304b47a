//! The workspace and its confs, and what can be said of them before the catalog is asked.

pub mod compiler;
pub mod compiling;
pub mod day_formats;
pub mod days;
pub mod definition;
pub mod dropping;
mod excluded;
pub mod formats;
mod graph;
pub mod here;
pub mod holdings;
pub mod in_target;
pub mod installing;
pub mod iso_macros;
pub mod jars;
pub mod load;
mod located;
pub mod machine;
pub mod naming;
pub mod project;
pub mod seed_days;
pub mod selecting;
pub mod spark;
pub mod state;
pub mod supply;
pub mod targets;
