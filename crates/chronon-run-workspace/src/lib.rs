//! `workspace.toml`: what it says, or everything that is wrong with it.
//!
//! Invariant: a [`Workspace`] has passed every check that needs no conf, and every finding about
//! the file points at the bytes it is about. Spans are kept until the last check is done: the
//! file is walked as a spanned document, never through serde, which would lose them wherever
//! tables are flattened or a value may have two shapes.
//!
//! To add a key: document it in `keys`, read it in `read`, hold it in `model`. A test fails until
//! all three agree.

#![cfg_attr(not(test), warn(clippy::disallowed_methods, clippy::too_many_lines))]

mod clean;
mod document;
mod init;
mod keys;
mod load;
mod model;
mod parse;
mod pins;
mod read;
mod reference;
mod schema;
mod state;
mod words;

pub use clean::{CleanError, Entry, Inventory};
pub use init::{RepoFacts, init_text};
pub use load::{FILE_NAME, Loaded, STATE_VARIABLE};
pub use model::{
    Airflow, Catalog, DataCheck, Engine, EngineKind, FastStart, Hooks, JoinFlow, Launcher,
    ListApps, Naming, OnFail, OnFailure, Override, Placed, Run, Seed, SeedFormat, SourceSettings,
    Streaming, Target, Workspace,
};
pub use pins::{Pins, PinsError};
pub use reference::reference;
pub use schema::schema;
pub use state::{Arrival, Relocation, StateFolder};
