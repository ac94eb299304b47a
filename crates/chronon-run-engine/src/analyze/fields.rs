//! The fields of GroupBys and joins.

use chronon_run_conf::{
    Aggregation, Derivation, EntitySource, GroupBy, Join, Operation, Query, Source,
};
use chronon_run_core::TableSpec;

use chronon_run_sql::quoted;

use super::{
    finding::{Finding, Place},
    probes::{Builder, Feature},
    types::{Check, nearest_of},
};

/// What is known of the rows of a source.
struct Rows {
    /// Their view.
    view: String,
    /// The statement that describes it.
    described: usize,
    /// Their names, if the conf says them.
    names: Option<Vec<String>>,
}

impl<'a> Builder<'a> {
    /// A GroupBy; one that is equal to an earlier one is not analysed again.
    pub(super) fn group_by(&mut self, conf: &'a GroupBy, place: &Place, reported: bool) -> Feature {
        let same = |known: &&(&GroupBy, Feature)| {
            let known = known.0;
            known.sources == conf.sources
                && known.key_columns == conf.key_columns
                && known.aggregations == conf.aggregations
                && known.derivations == conf.derivations
        };
        if let Some((_, feature)) = self.group_bys.iter().find(same) {
            return feature.clone();
        }
        let rows: Vec<Rows> = (conf.sources.iter().enumerate())
            .filter_map(|(index, source)| {
                self.source(
                    source,
                    &place.at(&format!("sources[{index}]"), ""),
                    reported,
                )
            })
            .collect();
        let outer = self.set_reported(reported);
        for rows in &rows {
            self.named_columns(conf, rows, place);
        }
        let feature = match rows.first() {
            Some(first) => self.features(conf, first, place),
            None => Feature::default(),
        };
        self.set_reported(outer);
        self.group_bys.push((conf, feature.clone()));
        feature
    }

    /// The source's fields, and the view of its rows.
    fn source(&mut self, source: &'a Source, place: &Place, reported: bool) -> Option<Rows> {
        let (relation, kind) = match source {
            Source::JoinSource(parent) => (self.join_output(&parent.join)?, "joinSource"),
            Source::Events(_) => (self.relation(&source.table().ok()?.table), "events"),
            Source::Entities(_) => (self.relation(&source.table().ok()?.table), "entities"),
        };
        let outer = self.set_reported(reported);
        let rows = self.query(
            source.query(),
            &relation,
            &place.at(&format!(".{kind}.query"), ""),
        );
        if let Source::Entities(entities) = source {
            self.mutations(entities, &place.at(".entities.query", ""));
        }
        self.set_reported(outer);
        Some(rows)
    }

    /// The fields that are read of the table of mutations only: its snapshots do not have them.
    fn mutations(&mut self, source: &EntitySource, place: &Place) {
        let table = source.mutation_table.as_deref();
        let Some(Ok(spec)) = table.map(str::parse::<TableSpec>) else {
            return;
        };
        let relation = self.relation(&spec.table);
        let others = [
            (".mutationTimeColumn", &source.query.mutation_time_column),
            (".reversalColumn", &source.query.reversal_column),
        ];
        for (field, expression) in others {
            if let Some(expression) = expression {
                let statement = format!("DESCRIBE QUERY SELECT (\n{expression}\n) FROM {relation}");
                self.probe(place.at(field, expression), &statement, 1);
            }
        }
    }

    fn query(&mut self, query: &Query, relation: &str, place: &Place) -> Rows {
        self.setups(
            query.setups.as_deref().unwrap_or_default(),
            &place.at(".setups", ""),
        );
        let mut columns = Vec::new();
        for (name, expression) in query.selects.iter().flatten() {
            let column = format!("({expression}) AS {}", quoted(name));
            let statement = format!(
                "DESCRIBE QUERY SELECT (\n{expression}\n) AS {} FROM {relation}",
                quoted(name)
            );
            self.probe(
                place.at(&format!(".selects.{name}"), expression),
                &statement,
                1,
            );
            columns.push(column);
        }
        for (index, condition) in query.wheres.iter().flatten().enumerate() {
            let statement =
                format!("DESCRIBE QUERY SELECT 1 FROM {relation} WHERE true AND (\n{condition}\n)");
            self.probe(
                place.at(&format!(".wheres[{index}]"), condition),
                &statement,
                1,
            );
        }
        if let Some(time) = &query.time_column {
            let statement = format!("DESCRIBE QUERY SELECT (\n{time}\n) AS `time` FROM {relation}");
            let at = place.at(".timeColumn", time);
            let described = self.probe(at.clone(), &statement, 1);
            if self.is_reported() {
                self.checks.push(Check::Time {
                    described,
                    place: at,
                });
            }
        }
        if let Some(column) = &query.partition_column {
            let statement = format!("DESCRIBE QUERY SELECT\n{}\nFROM {relation}", quoted(column));
            self.probe(place.at(".partitionColumn", column), &statement, 1);
        }
        self.rows(query, relation, columns)
    }

    fn rows(&mut self, query: &Query, relation: &str, mut columns: Vec<String>) -> Rows {
        let names = query
            .selects
            .as_ref()
            .map(|selects| selects.keys().cloned().collect::<Vec<_>>());
        let has = |name: &str| {
            query
                .selects
                .iter()
                .flatten()
                .any(|(known, _)| known == name)
        };
        if query.selects.is_none() {
            columns.push("*".to_owned());
        } else {
            columns.extend(
                query
                    .time_column
                    .iter()
                    .filter(|_| !has("ts"))
                    .map(|time| format!("({time}) AS ts")),
            );
            let ds = self.world.partition_column;
            if !has(ds) {
                columns.push(format!("'' AS {}", quoted(ds)));
            }
        }
        let view = self.new_view();
        self.silent(&format!(
            "CREATE OR REPLACE TEMPORARY VIEW {view} AS SELECT\n{}\nFROM {relation}",
            columns.join(",\n")
        ));
        let described = self.silent(&format!("DESCRIBE {view}"));
        Rows {
            view,
            described,
            names,
        }
    }

    /// Keys and inputs of aggregations: columns of the rows, of types that fit.
    fn named_columns(&mut self, conf: &GroupBy, rows: &Rows, place: &Place) {
        for (index, key) in conf.key_columns.iter().enumerate() {
            self.named(rows, key, place.at(&format!("keyColumns[{index}]"), key));
        }
        for (index, aggregation) in conf.aggregations.iter().flatten().enumerate() {
            let at =
                |field: &str, text: &str| place.at(&format!("aggregations[{index}].{field}"), text);
            let input = at("inputColumn", &aggregation.input_column);
            self.named(rows, &aggregation.input_column, input.clone());
            for bucket in aggregation.buckets.iter().flatten() {
                self.named(rows, bucket, at("buckets", bucket));
            }
            if self.is_reported() {
                self.checks.push(Check::Aggregation {
                    described: rows.described,
                    operation: aggregation.operation,
                    place: input,
                });
            }
        }
    }

    /// A column that rows must have.
    fn named(&mut self, rows: &Rows, column: &str, place: Place) {
        if !self.is_reported() {
            return;
        }
        match &rows.names {
            Some(names)
                if ["ts", self.world.partition_column].contains(&column)
                    || names.iter().any(|name| name == column) => {}
            Some(names) => {
                let message = format!("`{column}` is not among the selects");
                let hint = nearest_of(column, names);
                self.found.push(Finding::new(&place, message, hint));
            }
            None => self.checks.push(Check::Column {
                described: rows.described,
                place,
            }),
        }
    }

    /// The view of keys and features, and what is derived from them.
    fn features(&mut self, conf: &GroupBy, rows: &Rows, place: &Place) -> Feature {
        let keys = conf.key_columns.iter().map(|key| quoted(key));
        let mut columns: Vec<String> = keys.clone().collect();
        let names = match &conf.aggregations {
            Some(aggregations) => {
                let computed: Vec<(String, String)> =
                    aggregations.iter().flat_map(aggregated).collect();
                columns.extend(
                    computed
                        .iter()
                        .map(|(name, value)| format!("{value} AS {}", quoted(name))),
                );
                Some(
                    computed
                        .into_iter()
                        .map(|(name, _)| name)
                        .collect::<Vec<_>>(),
                )
            }
            None => {
                let others = rows.names.as_ref().map(|names| {
                    names
                        .iter()
                        .filter(|name| !conf.key_columns.contains(name))
                        .cloned()
                        .collect::<Vec<_>>()
                });
                columns.extend(others.iter().flatten().map(|name| quoted(name)));
                others
            }
        };
        let by = match conf.aggregations {
            Some(_) => format!(" GROUP BY {}", keys.collect::<Vec<_>>().join(", ")),
            None => String::new(),
        };
        if conf.derivations.is_some() {
            let known = conf.key_columns.iter().chain(names.iter().flatten());
            columns.extend(self.times_besides(&known.collect::<Vec<_>>()));
        }
        let view = self.new_view();
        self.silent(&format!(
            "CREATE OR REPLACE TEMPORARY VIEW {view} AS SELECT\n{}\nFROM {}{by}",
            columns.join(",\n"),
            rows.view
        ));
        let (output, names) = self.derived(
            conf.derivations.as_deref(),
            &view,
            &conf.key_columns,
            names,
            place,
        );
        Feature {
            output: Some(output),
            names,
            source: Some(rows.described),
        }
    }

    /// The time and the day, which derivations may name, unless there are such columns.
    fn times_besides(&self, known: &[&String]) -> Vec<String> {
        let ds = self.world.partition_column;
        let all = [("ts", "CAST(NULL AS BIGINT)"), (ds, "''")].into_iter();
        let others = all.filter(|(name, _)| !known.iter().any(|known| known == name));
        others
            .map(|(name, value)| format!("{value} AS {}", quoted(name)))
            .collect()
    }

    /// Derivations of the columns of a view; the view of what comes out, and its names besides `kept`.
    fn derived(
        &mut self,
        derivations: Option<&[Derivation]>,
        view: &str,
        kept: &[String],
        names: Option<Vec<String>>,
        place: &Place,
    ) -> (String, Option<Vec<String>>) {
        let derivations = derivations.unwrap_or_default();
        if derivations.is_empty() {
            return (view.to_owned(), names);
        }
        let mut columns: Vec<String> = kept.iter().map(|key| quoted(key)).collect();
        let mut out = Vec::new();
        let renamed = |name: &String| {
            derivations
                .iter()
                .any(|d| d.expression == *name || d.name == *name)
        };
        for (index, Derivation { name, expression }) in derivations.iter().enumerate() {
            if name == "*" {
                let others = names.iter().flatten().filter(|name| !renamed(name));
                out.extend(others.clone().cloned());
                columns.extend(others.map(|name| quoted(name)));
                continue;
            }
            let at = place.at(&format!("derivations[{index}].expression"), expression);
            // What external sources give is known online only.
            if !expression.contains("ext_") {
                let statement = format!(
                    "DESCRIBE QUERY SELECT (\n{expression}\n) AS {} FROM {view}",
                    quoted(name)
                );
                self.probe(at, &statement, 1);
            }
            columns.push(format!("({expression}) AS {}", quoted(name)));
            out.push(name.clone());
        }
        let output = self.new_view();
        self.silent(&format!(
            "CREATE OR REPLACE TEMPORARY VIEW {output} AS SELECT\n{}\nFROM {view}",
            columns.join(",\n")
        ));
        let all = derivations.iter().any(|derivation| derivation.name == "*");
        (output, (names.is_some() || !all).then_some(out))
    }

    pub(super) fn join(&mut self, conf: &'a Join, place: &Place, reported: bool) {
        let left = self.source(&conf.left, &place.at("left", ""), reported);
        let mut parts = Vec::new();
        for (index, part) in conf.join_parts.iter().enumerate() {
            let at = place.at(&format!("joinParts[{index}]."), "");
            // A GroupBy with a conf of its own is reported there.
            let own = self.world.repo.group_bys.get(&part.group_by.meta_data.name);
            let feature = match own {
                Some(own)
                    if own.conf.sources == part.group_by.sources
                        && own.conf.aggregations == part.group_by.aggregations
                        && own.conf.derivations == part.group_by.derivations =>
                {
                    let own_place = Place {
                        conf: chronon_run_core::ConfId {
                            conf_type: chronon_run_core::ConfType::GroupBy,
                            name: own.conf.meta_data.name.clone(),
                        },
                        path: own.path.clone(),
                        ..at.at("", "")
                    };
                    let own_place = Place {
                        field: String::new(),
                        ..own_place
                    };
                    let wanted = self.world.selected.contains(&own_place.conf) || reported;
                    self.group_by(&own.conf, &own_place, wanted)
                }
                _ => self.group_by(&part.group_by, &at.at("groupBy.", ""), reported),
            };
            parts.push((part.full_prefix(), feature));
        }
        for label in conf.label_part.iter().flat_map(|labels| &labels.labels) {
            self.group_by(
                &label.group_by,
                &place.at("labelPart.labels.groupBy.", ""),
                reported,
            );
        }
        let Some(left) = left else { return };
        let outer = self.set_reported(reported);
        self.keys(conf, &left, &parts, place);
        self.bootstraps(conf, place);
        self.joined(conf, &left, &parts, place);
        self.set_reported(outer);
    }

    /// Keys of the parts: columns of the left side, of types that can be equal.
    fn keys(&mut self, conf: &Join, left: &Rows, parts: &[(String, Feature)], place: &Place) {
        for (index, (part, (_, feature))) in conf.join_parts.iter().zip(parts).enumerate() {
            for key in &part.group_by.key_columns {
                let mapping = part.key_mapping.iter().flatten();
                let mapped = mapping.clone().find(|(_, right)| *right == key);
                let (column, field) = match mapped {
                    Some((left, _)) => (left, "keyMapping"),
                    None => (key, "groupBy.keyColumns"),
                };
                let at = place.at(&format!("joinParts[{index}].{field}"), column);
                self.named(left, column, at.clone());
                if let (true, Some(right)) = (self.is_reported(), feature.source) {
                    self.checks.push(Check::Keys {
                        left: (left.described, column.clone()),
                        right: (right, key.clone()),
                        place: at,
                    });
                }
            }
            for (column, right) in part.key_mapping.iter().flatten() {
                if self.is_reported() && !part.group_by.key_columns.contains(right) {
                    let at = place.at(&format!("joinParts[{index}].keyMapping.{column}"), right);
                    let message =
                        format!("`{right}` is not a key of {}", part.group_by.meta_data.name);
                    self.found.push(Finding::new(
                        &at,
                        message,
                        nearest_of(right, &part.group_by.key_columns),
                    ));
                }
            }
        }
    }

    fn bootstraps(&mut self, conf: &Join, place: &Place) {
        for (index, part) in conf.bootstrap_parts.iter().flatten().enumerate() {
            if let (Some(query), Ok(table)) = (&part.query, part.table.parse()) {
                let relation = self.relation(&table);
                self.query(
                    query,
                    &relation,
                    &place.at(&format!("bootstrapParts[{index}].query"), ""),
                );
            }
        }
    }

    /// The joined row, and what is derived from it.
    fn joined(&mut self, conf: &Join, left: &Rows, parts: &[(String, Feature)], place: &Place) {
        let mut columns = vec!["l.*".to_owned()];
        let mut names: Option<Vec<String>> = Some(Vec::new());
        let mut from = format!("{} l", left.view);
        for (index, (prefix, feature)) in parts.iter().enumerate() {
            let (Some(view), Some(features)) = (&feature.output, &feature.names) else {
                names = None;
                continue;
            };
            from.push_str(&format!(" CROSS JOIN {view} p{index}"));
            for feature in features {
                let name = format!("{prefix}_{feature}");
                columns.push(format!("p{index}.{} AS {}", quoted(feature), quoted(&name)));
                names.iter_mut().for_each(|names| names.push(name.clone()));
            }
        }
        let view = self.new_view();
        self.silent(&format!(
            "CREATE OR REPLACE TEMPORARY VIEW {view} AS SELECT\n{}\nFROM {from}",
            columns.join(",\n")
        ));
        // What models and external sources add is not known here.
        let known = !conf.has_model_transforms() && names.is_some();
        let outer = self.set_reported(self.is_reported() && known);
        let mut kept = left.names.clone().unwrap_or_default();
        kept.retain(|name| name != self.world.partition_column);
        let (output, _) = self.derived(conf.derivations.as_deref(), &view, &kept, names, place);
        self.set_reported(outer);
        if let Ok(table) = conf.meta_data.output_table() {
            let query = match conf.derivations.as_deref().unwrap_or_default().is_empty() {
                true => format!("SELECT * FROM {output}"),
                false => format!(
                    "SELECT *, '' AS {} FROM {output}",
                    quoted(self.world.partition_column)
                ),
            };
            self.table_view(&table, &query);
        }
    }
}

/// The output columns of an aggregation, each with an expression of its type.
fn aggregated(aggregation: &Aggregation) -> Vec<(String, String)> {
    let input = quoted(&aggregation.input_column);
    let value = match aggregation.operation {
        Operation::Count
        | Operation::UniqueCount
        | Operation::ApproxUniqueCount
        | Operation::BoundedUniqueCount => format!("COUNT({input})"),
        Operation::Sum => format!("SUM({input})"),
        Operation::Average | Operation::Variance | Operation::Skew | Operation::Kurtosis => {
            format!("AVG(CAST({input} AS DOUBLE))")
        }
        Operation::Min | Operation::Max | Operation::First | Operation::Last => {
            format!("FIRST({input})")
        }
        Operation::ApproxPercentile => format!("COLLECT_LIST(CAST({input} AS FLOAT))"),
        Operation::LastK | Operation::FirstK | Operation::TopK | Operation::BottomK => {
            format!("COLLECT_LIST({input})")
        }
        Operation::Histogram | Operation::ApproxHistogramK => {
            format!("MAP(FIRST(CAST({input} AS STRING)), 1)")
        }
    };
    let split = aggregation
        .buckets
        .as_ref()
        .is_some_and(|buckets| !buckets.is_empty());
    let value = match split {
        true => format!("MAP('', {value})"),
        false => value,
    };
    aggregation
        .column_names()
        .map(|name| (name, value.clone()))
        .collect()
}
