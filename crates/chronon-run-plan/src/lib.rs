//! Asset graph, input needs, plan and reasons. Pure.
