//! Scripted spark-submit, builders and golden comparison; for tests only.
