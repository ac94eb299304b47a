//! Every table that a conf can write (§3).

use chronon_run_core::{TableName, TableNameError};

use crate::model::{GroupBy, Join, StagingQuery};

impl GroupBy {
    /// `O` and the tables of its upload and increments, as far as the conf enables them.
    ///
    /// # Errors
    /// If the namespace is missing or is not a word.
    pub fn tables(&self) -> Result<Vec<TableName>, TableNameError> {
        let output = self.meta_data.output_table()?;
        let upload = (self.meta_data.online == Some(true)).then(|| output.suffixed("_upload"));
        let increments = (self.is_incremental == Some(true)).then(|| output.suffixed("_daily_inc"));
        let backfill = self.backfill_start_date.is_some().then_some(output);
        Ok(backfill
            .into_iter()
            .chain(upload)
            .chain(increments)
            .collect())
    }
}

impl Join {
    /// `O` and the tables of its steps, labels, logs, statistics and consistency.
    ///
    /// # Errors
    /// If the namespace is missing or is not a word.
    pub fn tables(&self) -> Result<Vec<TableName>, TableNameError> {
        let output = self.meta_data.output_table()?;
        let mut tables = vec![output.clone(), output.suffixed("_bootstrap")];
        if self.has_model_transforms() {
            tables.push(output.suffixed("_pre_mt"));
        }
        for part in self.offline_parts() {
            let table = output.suffixed(&format!("_{}", part.table_suffix));
            if !tables.contains(&table) {
                tables.push(table);
            }
        }
        if self.label_part.is_some() {
            tables.extend(
                ["_labels", "_labeled", "_labeled_latest"].map(|suffix| output.suffixed(suffix)),
            );
        }
        if self
            .meta_data
            .sample_percent
            .is_some_and(|percent| percent > 0.0)
        {
            let suffixes = [
                "_logged",
                "_logged_daily_stats",
                "_logged_daily_stats_upload",
            ];
            tables.extend(suffixes.map(|suffix| output.suffixed(suffix)));
        }
        let suffixes = [
            "_daily_stats",
            "_daily_stats_upload",
            "_comparison",
            "_consistency",
            "_consistency_upload",
        ];
        tables.extend(suffixes.map(|suffix| output.suffixed(suffix)));
        Ok(tables)
    }
}

impl StagingQuery {
    /// `O`: a table, or a view.
    ///
    /// # Errors
    /// If the namespace is missing or is not a word.
    pub fn tables(&self) -> Result<Vec<TableName>, TableNameError> {
        Ok(vec![self.meta_data.output_table()?])
    }
}
