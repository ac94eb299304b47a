//! SQLite history of runs and attempts. Recording never fails a run.
