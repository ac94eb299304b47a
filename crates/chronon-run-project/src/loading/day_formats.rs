//! How tables write the days of their partitions.

use std::collections::BTreeMap;

use chronon_run_core::{CatalogSnapshot, PartitionFormat, TableName};
use chronon_run_plan::{bases, with_views};

use crate::loading::project::Project;

/// How tables write days that are not of the form `yyyy-MM-dd`, and the last hour of a day.
pub type Formats = BTreeMap<TableName, (PartitionFormat, Option<u32>)>;

/// [`formats`] without those that a dependency tells and the table's partitions contradict: a mistake in one
/// conf must not make the table's days unreadable for all. Views that hand on such a day have its format.
pub fn formats_of(context: &Project, snapshot: &CatalogSnapshot) -> Formats {
    let settings = &context.workspace.sources;
    let declared = |table: &TableName| {
        let found = settings.get(table);
        found.is_some_and(|found| found.partition_format.is_some())
    };
    let mut formats = formats(context);
    formats.retain(|table, (format, _)| {
        let state = snapshot.table(table);
        declared(table) || !state.is_some_and(|state| state.contradicts(format))
    });
    if formats.is_empty() {
        return formats;
    }
    let bases = bases(snapshot, &context.days_from());
    let read = context.graph.sources();
    let column = &context.workspace.partition_column;
    with_views(formats, snapshot, &bases, &read, column)
}

/// How sources write days, as workspace.toml says, or else as dependencies tell; and the last hour of a
/// day, where partitions are of hours.
pub fn formats(context: &Project) -> Formats {
    let settings = &context.workspace.sources;
    let last_hour = |table: &TableName| settings.get(table).and_then(|found| found.last_hour);
    let mut formats = context.graph.formats.clone();
    formats.extend(
        settings.iter().filter_map(|(table, settings)| {
            Some((table.clone(), settings.partition_format.clone()?))
        }),
    );
    let with_hour = |(table, format): (TableName, PartitionFormat)| {
        let hour = last_hour(&table);
        (table, (format, hour))
    };
    formats.into_iter().map(with_hour).collect()
}
