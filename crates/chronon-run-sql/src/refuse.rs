//! What this engine does not do, by field.

use chronon_run_conf::{Accuracy, Aggregation, DataModel, GroupBy, Join, Source, TimeUnit};
use chronon_run_core::{AssetKind, CatalogSnapshot};

use super::{
    BY_DRIVER, Conf, DRIVER_TOO, Refusal, aggregate, consistency, incremental, inputs, label,
    source, staging, types::Shape, upload,
};

/// Collects the refusals of one conf.
struct Findings<'a> {
    conf: &'a str,
    found: Vec<Refusal>,
}

impl Findings<'_> {
    fn add(&mut self, field: impl Into<String>, why: impl Into<String>) {
        self.found.push(Refusal {
            conf: self.conf.to_owned(),
            field: field.into(),
            why: why.into(),
        });
    }

    fn extend(&mut self, problems: Vec<(String, String)>) {
        for (field, why) in problems {
            self.add(field, why);
        }
    }
}

/// See [`super::check`].
pub(super) fn check(conf: Conf<'_>, mode: &AssetKind) -> Vec<Refusal> {
    let mut findings = Findings {
        conf: conf.meta().name.as_str(),
        found: Vec::new(),
    };
    match (conf, mode) {
        (Conf::StagingQuery(staging_query), AssetKind::Backfill) => {
            for (field, why) in staging::check(staging_query) {
                findings.add(field, why);
            }
        }
        (Conf::GroupBy(group_by), AssetKind::Backfill) => {
            check_group_by(group_by, "", false, &mut findings);
            if group_by.is_incremental == Some(true) {
                for (field, why) in incremental::check(group_by) {
                    findings.add(field, why);
                }
            }
        }
        (Conf::GroupBy(group_by), AssetKind::Upload) => {
            let instants = group_by.accuracy() == Accuracy::Temporal;
            check_group_by(group_by, "", instants, &mut findings);
            findings.extend(upload::check(group_by));
        }
        (
            Conf::Join(join),
            AssetKind::Backfill | AssetKind::Left | AssetKind::Part(_) | AssetKind::Final,
        ) => check_join(join, mode, &mut findings),
        (Conf::Join(join), AssetKind::LabelJoin) => {
            findings.extend(label::check(join));
            let labels = join.label_part.iter().flat_map(|label| &label.labels);
            for part in labels {
                let path = format!("labelPart.labels[{}].groupBy.", part.full_prefix());
                check_group_by(&part.group_by, &path, false, &mut findings);
            }
        }
        (Conf::Join(join), AssetKind::Consistency) => {
            findings.extend(consistency::check(join, "ds"));
            if let Ok(comparison) = consistency::comparison(join) {
                check_join(&comparison, &AssetKind::Backfill, &mut findings);
            }
        }
        (Conf::Join(_), AssetKind::StatsSummary | AssetKind::LogSummary) => {}
        (_, mode) => findings.add(
            "step",
            format!("mode `{mode}` is not supported by the sql engine; {BY_DRIVER}"),
        ),
    }
    findings.found
}

fn check_group_by(conf: &GroupBy, path: &str, instants: bool, findings: &mut Findings<'_>) {
    for (index, source) in conf.sources.iter().enumerate() {
        let path = format!("{path}sources[{index}].");
        check_source(source, conf.data_model(), &path, findings);
    }
    let aggregations = conf.aggregations.as_deref().unwrap_or_default();
    let entities = conf.data_model() == DataModel::Entities;
    if aggregations.is_empty() && !entities {
        findings.add(
            format!("{path}aggregations"),
            format!("events need aggregations; {DRIVER_TOO}"),
        );
    }
    if entities && inputs::needs_time(conf) {
        check_entities_time(conf, path, findings);
    }
    if aggregations.is_empty() && conf.accuracy() == Accuracy::Temporal && instants {
        findings.add(
            format!("{path}aggregations"),
            "TEMPORAL values need aggregations",
        );
    }
    for (index, aggregation) in aggregations.iter().enumerate() {
        let path = format!("{path}aggregations[{index}].windows");
        check_windows(aggregation, path, instants || entities, findings);
    }
    // What expressions tell without the catalog.
    if let Some((field, why)) = inputs::rejected(conf, &CatalogSnapshot::default()) {
        findings.add(format!("{path}{field}"), why);
    }
    check_features(conf, path, findings);
}

/// One source of a GroupBy of this data model.
fn check_source(source: &Source, model: DataModel, path: &str, findings: &mut Findings<'_>) {
    let query = source.query();
    if source.data_model() != model {
        findings.add(
            path,
            format!("events and entities cannot be mixed; {DRIVER_TOO}"),
        );
    }
    if let Source::JoinSource(parent) = source
        && parent.join.has_model_transforms()
    {
        findings.add(
            format!("{path}joinSource.join.modelTransforms"),
            format!("models cannot run in SQL; {BY_DRIVER}"),
        );
    }
    let texts = query.selects.iter().flat_map(|selects| selects.values());
    let texts = texts.map(|text| source::with_run_day(text, ""));
    if texts
        .chain(query.wheres.iter().flatten().cloned())
        .any(|text| text.contains("CHRONON_RUN_DS"))
    {
        findings.add(
            format!("{path}query.selects"),
            format!(
                "the macro CHRONON_RUN_DS can only be a text of its own, in a select; {BY_DRIVER}"
            ),
        );
    }
}

/// Sources of entities whose rows have no time, of a GroupBy that needs it.
fn check_entities_time(conf: &GroupBy, path: &str, findings: &mut Findings<'_>) {
    for (index, source) in conf.sources.iter().enumerate() {
        let query = source.query();
        let selected = query
            .selects
            .as_ref()
            .is_some_and(|all| !all.contains_key("ts"));
        if query.time_column.is_none() && selected {
            findings.add(
                format!("{path}sources[{index}].query.timeColumn"),
                format!("windows, and the first and last rows, need a time; {DRIVER_TOO}"),
            );
        }
    }
}

/// The windows of one aggregation, at `path`; of hours only if `hours_allowed`.
fn check_windows(
    aggregation: &Aggregation,
    path: String,
    hours_allowed: bool,
    findings: &mut Findings<'_>,
) {
    let windows = aggregation.windows.as_deref().unwrap_or_default();
    let hours = |window: &chronon_run_conf::Window| window.time_unit == TimeUnit::Hours;
    // The Driver takes no hours for values at the end of a day, 24 of them neither; but any window
    // over the rows of a snapshot (`DailyResolution`, `snapshotEntitiesBase`).
    if windows.iter().any(hours) && !hours_allowed {
        findings.add(
            path.clone(),
            format!("end-of-day values need windows in days; {DRIVER_TOO}"),
        );
    }
    if windows.iter().any(|window| window.length <= 0) {
        findings.add(path, "the window must be at least one hour");
    }
}

/// Features without `k`, and names that two features have.
fn check_features(conf: &GroupBy, path: &str, findings: &mut Findings<'_>) {
    let features = aggregate::features(conf, &|_| Shape::Scalar(None));
    for (index, feature) in features.iter().enumerate() {
        if feature.partial.lacks_k() {
            findings.add(
                format!("{path}aggregations.argMap"),
                format!("`{}` needs k; {DRIVER_TOO}", feature.name),
            );
        }
        if features[..index]
            .iter()
            .any(|other| other.name == feature.name)
        {
            findings.add(
                format!("{path}aggregations"),
                format!(
                    "two of them are both called `{}`; rename an input or take one out",
                    feature.name
                ),
            );
        }
    }
}

fn check_join(conf: &Join, mode: &AssetKind, findings: &mut Findings<'_>) {
    if conf.left.is_cumulative() {
        findings.add("left.events.isCumulative", "a left cannot be cumulative");
    }
    if matches!(conf.left, Source::JoinSource(_)) {
        findings.add("left.joinSource", "a left cannot be another join");
    }
    for (column, values) in conf.skew_keys.iter().flatten() {
        if values.is_empty() {
            let why = format!("`{column}` has no value; {DRIVER_TOO}");
            findings.add("skewKeys", why);
        }
        let is_key = conf.offline_parts().any(|part| {
            let mapping = part.key_mapping.iter().flat_map(|all| all.iter());
            let mut mapped = mapping.filter(|(left, right)| {
                *left == column && part.group_by.key_columns.contains(right)
            });
            let other = part
                .key_mapping
                .is_some_and(|all| all.values().any(|right| right == column));
            mapped.next().is_some() || (part.group_by.key_columns.contains(column) && !other)
        });
        if !is_key {
            findings.add(
                "skewKeys",
                format!("`{column}` is no key of any part; {DRIVER_TOO}"),
            );
        }
    }
    let timed = conf.left.data_model() == DataModel::Events;
    for part in conf.offline_parts() {
        let wanted = match mode {
            AssetKind::Part(name) => part.full_prefix == *name,
            AssetKind::Left | AssetKind::Final => false,
            _ => true,
        };
        if wanted {
            let instants = timed && part.group_by.accuracy() == Accuracy::Temporal;
            let path = format!("joinParts[{}].groupBy.", part.full_prefix);
            check_group_by(part.group_by, &path, instants, findings);
        }
    }
}
