//! The catalog: opened, listed, locked, and what earlier runs left in it.

pub mod applications;
pub mod landing;
pub mod leases;
pub mod left_times;
pub mod leftovers;
pub mod seeds;
pub mod session;
pub mod snapshot;
