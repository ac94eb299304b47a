//! Lists tables and partitions; runs the embedded Hive metastore.
