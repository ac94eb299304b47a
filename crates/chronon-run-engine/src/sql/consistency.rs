//! Online/offline consistency: logged features against those that the join computes for the
//! same requests (§8.3).
//!
//! The comparison is the join itself with the log as its left (`O_comparison…`). Its rows and
//! the logged ones are joined, and what differs is counted per feature and hour of the request:
//! `O_consistency`. `left` is what was computed, `right` what was logged.

use chronon_run_conf::{EventSource, Join, MetaData, Query, Source};
