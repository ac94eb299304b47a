//! What edits of confs are about: which filled days they concern, and which rows they change.

pub mod confs;
pub mod rows;
