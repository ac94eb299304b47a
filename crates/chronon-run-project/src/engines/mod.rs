//! The steps of a plan, with either engine.

pub mod access;
pub mod analyzing;
pub mod checking;
pub mod driver;
pub mod driver_work;
pub mod hosts;
pub mod keeping;
pub mod kv;
pub mod other_days;
pub mod other_form;
pub mod rechecking;
pub mod retrying;
pub mod scripts;
pub mod spark_sql;
pub mod sql_work;
