//! Seeds: small sources that the workspace itself loads from files into Hive tables.
//!
//! [`prepare`] reads a seed's file: it finds the columns, infers the types that were not
//! declared, and takes a fingerprint. The rows are parsed once as long as the fingerprint stays the same,
//! however often a command asks. [`Prepared::state`] compares that with the table in the
//! catalog, and [`script`] is one SQL script for all seeds that have to be loaded, so that they
//! cost one Spark start together.
//!
//! Safety: a table that was not made from a seed is never touched ([`State::Foreign`]). A table
//! that is being loaded says so in its properties, so that a load that was cut off is repeated.

mod changed;
mod error;
mod files;
mod infer;
mod memo;
mod prepared;
mod read;
mod rows;
mod script;
mod seed;

pub use changed::Loaded;
pub use error::SeedError;
pub use prepared::{NoDay, PROPERTY, Prepared, State};
pub use read::prepare;
pub use script::script;
pub use seed::{Format, Partitioning, Seed};
