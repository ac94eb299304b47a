//! What is wrong between confs, or within one, that the Driver would find late or never.

use std::collections::{BTreeMap, BTreeSet};

use chronon_run_core::{Diagnostic, Ds, Location, TableName, TableNameError};

use crate::{
    dependency::Dependency,
    model::{GroupBy, Join, MetaData, Query, Source, StagingQuery},
    repo::{ConfFile, ConfRepo},
    tables_read::tables_read,
};

impl ConfRepo {
    /// Every finding about confs that could be read, in the order of the files.
    #[must_use]
    pub fn check(&self) -> Vec<Diagnostic> {
        let mut findings = Vec::new();
        for file in self.staging_queries.values() {
            findings.extend(self.check_meta(file, &file.conf.meta_data));
            findings.extend(check_day(
                file,
                "startPartition",
                file.conf.start_partition.as_deref(),
            ));
            findings.extend(check_query_inputs(file));
        }
        for file in self.group_bys.values() {
            findings.extend(self.check_meta(file, &file.conf.meta_data));
            findings.extend(check_group_by(file, &file.conf));
            let meta = &file.conf.meta_data;
            findings.extend(check_subqueries(file, meta, &[meta], &file.conf.sources));
            findings.extend(self.drift_of_parents(file, std::iter::once(&file.conf)));
        }
        for file in self.joins.values() {
            findings.extend(self.check_meta(file, &file.conf.meta_data));
            findings.extend(check_embedded_dependencies(file));
            findings.extend(check_subqueries_of_join(file));
            findings.extend(self.check_join(file));
        }
        findings.extend(self.shared_tables());
        findings
    }

    fn check_meta<T>(&self, file: &ConfFile<T>, meta: &MetaData) -> Vec<Diagnostic> {
        let mut findings = Vec::new();
        let team = meta.team();
        if !self.teams.has(team) {
            let nearest = nearest(team, self.teams.names());
            let mut finding = Diagnostic::error(
                "unknown-team",
                format!("team `{team}` is not in teams.json"),
            )
            .at(place(file, "team", Some(team)));
            finding.hint = Some(match nearest {
                Some(known) => format!(
                    "did you mean `{known}`? else add `{team}` to teams.json; run.py fails without it"
                ),
                None => format!("add `{team}` to teams.json; run.py fails without it"),
            });
            findings.push(finding);
        }
        findings.extend(check_dependencies(file, meta));
        findings.extend(check_foreign_fields(file));
        if meta
            .custom()
            .get("additional_args")
            .is_some_and(|value| !is_list_of_texts(value))
        {
            findings.push(
                Diagnostic::error(
                    "additional-args",
                    "`additional_args` is not a list of texts; run.py would pass something else to the Driver, which fails",
                )
                .at(place(file, "customJson", None))
                .hint("make it a list of texts, e.g. [\"--step-days\", \"14\"], and compile again"),
            );
        }
        if meta.custom_json.is_some() && !meta.custom().is_object() {
            findings.push(
                Diagnostic::error("custom-json", "`customJson` does not hold a JSON object")
                    .at(place(file, "customJson", None)),
            );
        }
        for (key, value) in meta.table_properties.iter().flatten() {
            if key == "owner" || value.contains('\'') {
                findings.push(
                    Diagnostic::warning(
                        "table-properties",
                        format!("table property `{key}` makes every job that writes a table fail"),
                    )
                    .at(place(file, "tableProperties", None))
                    .hint("`owner` is reserved, and values must not contain a single quote"),
                );
            }
        }
        findings
    }

    fn check_join(&self, file: &ConfFile<Join>) -> Vec<Diagnostic> {
        let join = &file.conf;
        let mut findings = check_query(file, join.left.query());
        if matches!(join.left, Source::JoinSource(_)) || join.left.is_cumulative() {
            findings.push(
                Diagnostic::error(
                    "join-left",
                    "the left side of a join can be neither cumulative events nor another join",
                )
                .at(place(file, "left", None))
                .hint("write the rows to a table with a staging query first"),
            );
        }
        let labels = join.label_part.iter().flat_map(|label| &label.labels);
        let labels = labels.map(|label| &label.group_by);
        let parts: Vec<&GroupBy> = join
            .offline_parts()
            .map(|part| part.group_by)
            .chain(labels)
            .collect();
        let mut names = BTreeSet::new();
        for part in join.offline_parts() {
            if !names.insert(part.full_prefix.clone()) {
                findings.push(
                    Diagnostic::error(
                        "part-twice",
                        format!(
                            "two parts are called `{}`: their tables and columns collide",
                            part.full_prefix
                        ),
                    )
                    .at(place(file, "joinParts", None))
                    .hint("give one of them a prefix"),
                );
            }
            findings.extend(unknown_keys(file, part.group_by, part.key_mapping));
        }
        findings.extend(parts.iter().filter_map(|part| self.drift_of(file, part)));
        findings.extend(self.drift_of_parents(file, parts.into_iter()));
        findings
    }

    /// The embedded copy of a GroupBy against its own file (§10.9).
    fn drift_of<T>(&self, file: &ConfFile<T>, embedded: &GroupBy) -> Option<Diagnostic> {
        let name = &embedded.meta_data.name;
        let own = self.group_bys.get(name)?;
        (meaning(&own.conf) != meaning(embedded))
            .then(|| drifted(file, &format!("GroupBy `{name}`"), name, own))
    }

    /// The embedded parent joins of chained GroupBys against their own files (§4.3, §10.9).
    fn drift_of_parents<'a, T>(
        &self,
        file: &ConfFile<T>,
        group_bys: impl Iterator<Item = &'a GroupBy>,
    ) -> Vec<Diagnostic> {
        let sources = group_bys.flat_map(|group_by| &group_by.sources);
        let parents = sources.filter_map(|source| match source {
            Source::JoinSource(parent) => Some(&parent.join),
            _ => None,
        });
        let drifts = parents.filter_map(|embedded| {
            let name = &embedded.meta_data.name;
            let own = self.joins.get(name)?;
            (join_meaning(&own.conf) != join_meaning(embedded))
                .then(|| drifted(file, &format!("parent join `{name}`"), name, own))
        });
        drifts.collect()
    }

    /// Two confs that write one table, or whose names differ only in characters that are cleaned.
    fn shared_tables(&self) -> Vec<Diagnostic> {
        let mut writers: BTreeMap<TableName, (&std::path::Path, &str)> = BTreeMap::new();
        let mut findings = Vec::new();
        let mut claim = |path, name, tables: Result<Vec<TableName>, TableNameError>| {
            for table in tables.unwrap_or_default() {
                match writers.get(&table) {
                    Some((other, _)) if *other == path => {}
                    Some((other, other_name)) => {
                        findings.push(collision(path, name, other, other_name, &table));
                        findings.push(collision(other, other_name, path, name, &table));
                    }
                    None => {
                        writers.insert(table, (path, name));
                    }
                }
            }
        };
        for file in self.staging_queries.values() {
            claim(&file.path, &file.conf.meta_data.name, file.conf.tables());
        }
        for file in self.group_bys.values() {
            claim(&file.path, &file.conf.meta_data.name, file.conf.tables());
        }
        for file in self.joins.values() {
            claim(&file.path, &file.conf.meta_data.name, file.conf.tables());
        }
        findings
    }
}

fn collision(
    path: &std::path::Path,
    name: &str,
    other: &std::path::Path,
    other_name: &str,
    table: &TableName,
) -> Diagnostic {
    let message = format!(
        "`{name}` writes {table}, and so does `{other_name}` ({})",
        other.display()
    );
    let misplaced = match (
        is_compiled_place(path, name),
        is_compiled_place(other, other_name),
    ) {
        (false, true) => Some((path, name)),
        (true, false) => Some((other, other_name)),
        _ => None,
    };
    let hint = match misplaced {
        Some((copy, name)) => format!(
            "delete {} if it is a copy: compile.py does not write `{name}` there",
            copy.display()
        ),
        None => "rename one of them; every character but letters, digits and `_` becomes `_` in a table's name".to_owned(),
    };
    Diagnostic::error("table-twice", message)
        .at(Location::file(path))
        .hint(hint)
}

/// Whether compile.py writes the conf of this name to such a path: `<team>/<rest of the name>`.
fn is_compiled_place(path: &std::path::Path, name: &str) -> bool {
    let mut pieces = path.iter().rev().filter_map(|piece| piece.to_str());
    let (file, team) = (pieces.next(), pieces.next());
    file.zip(team)
        .is_some_and(|(file, team)| name == format!("{team}.{file}"))
}

fn drifted<T, U>(file: &ConfFile<T>, what: &str, name: &str, own: &ConfFile<U>) -> Diagnostic {
    let message = format!(
        "the embedded copy of {what} differs from {}",
        own.path.display()
    );
    Diagnostic::warning("drift", message)
        .at(place(file, "name", Some(name)))
        .hint("compile this conf again, so that both compute the same")
}

/// A GroupBy without what does not change its values: metaData.
fn meaning(conf: &GroupBy) -> GroupBy {
    let mut conf = conf.clone();
    conf.meta_data = MetaData::default();
    for source in &mut conf.sources {
        if let Source::JoinSource(parent) = source {
            // The parent is compared with its own file.
            parent.join.join_parts.clear();
            parent.join.meta_data = MetaData {
                name: parent.join.meta_data.name.clone(),
                ..MetaData::default()
            };
        }
    }
    conf
}

/// A join without metaData, its own and that of its GroupBys.
fn join_meaning(conf: &Join) -> Join {
    let mut conf = conf.clone();
    conf.meta_data = MetaData::default();
    for part in &mut conf.join_parts {
        part.group_by = meaning(&part.group_by);
    }
    conf
}

fn check_group_by(file: &ConfFile<GroupBy>, conf: &GroupBy) -> Vec<Diagnostic> {
    let mut findings = check_day(
        file,
        "backfillStartDate",
        conf.backfill_start_date.as_deref(),
    );
    for source in &conf.sources {
        findings.extend(check_query(file, source.query()));
        if source.data_model() != conf.data_model() {
            findings.push(
                Diagnostic::error("mixed-sources", "one source holds events, another entities")
                    .at(place(file, "sources", None))
                    .hint("all sources of a GroupBy must be of one kind"),
            );
        }
    }
    for name in conf.names_taken_twice() {
        findings.push(
            Diagnostic::error(
                "column-twice",
                format!("two aggregations are both called `{name}`: one of them is lost"),
            )
            .at(place(file, "aggregations", None))
            .hint("percentiles and the `k` of sketches are not part of a name: give one a select of its own"),
        );
    }
    if conf.sources.is_empty() {
        findings.push(
            Diagnostic::error("no-source", "the GroupBy has no source")
                .at(place(file, "sources", None)),
        );
    }
    findings
}

fn check_query<T>(file: &ConfFile<T>, query: &Query) -> Vec<Diagnostic> {
    let (start, end) = (
        query.start_partition.as_deref(),
        query.end_partition.as_deref(),
    );
    let mut findings = check_day(file, "startPartition", start);
    findings.extend(check_day(file, "endPartition", end));
    let day = |text: Option<&str>| text?.parse::<Ds>().ok();
    if let (Some(first), Some(last)) = (day(start), day(end))
        && last < first
    {
        findings.push(
            Diagnostic::error(
                "bad-day",
                format!("`endPartition` {last} is before `startPartition` {first}"),
            )
            .at(place(file, "endPartition", end)),
        );
    }
    findings
}

/// Fields of Zipline's fork that change which partitions are read or written, who writes them, and the names
/// of columns.
const FOREIGN: [&str; 11] = [
    "tableDependencies",
    "partitionInterval",
    "partitionFormat",
    "engineType",
    "subPartitionsToWaitFor",
    "partitionLag",
    "triggerExpr",
    "additionalOutputPartitionColumns",
    "recomputeDays",
    "clustered",
    "useLongNames",
];

/// Fields that Chronon does not know and whose meaning must not be passed over.
fn check_foreign_fields<T>(file: &ConfFile<T>) -> Vec<Diagnostic> {
    let named = FOREIGN
        .into_iter()
        .filter(|field| file.text.contains(&format!("\"{field}\"")));
    let named: Vec<&str> = named.collect();
    if named.is_empty() && !file.text.contains("\"executionInfo\"") {
        return Vec::new();
    }
    let tree: serde_json::Value = serde_json::from_str(&file.text).unwrap_or_default();
    let changes = |field: &&str| has_meaning(&tree, field);
    let finding = |field: &str| {
        let message =
            format!("`{field}` is a field of Zipline's fork of Chronon and is not supported");
        Diagnostic::error("foreign-field", message)
            .at(place(file, field, None))
            .hint("compile the conf with Chronon's compile.py, or run it with Zipline")
    };
    let settings = tree.pointer("/metaData/executionInfo");
    let settings = settings.filter(|found| found.as_object().is_some_and(|all| !all.is_empty()));
    let unused = settings.map(|_| {
        let message = "`executionInfo` is a field of Zipline's fork of Chronon: its schedule, environment and Spark properties are not used";
        Diagnostic::warning("foreign-settings", message)
            .at(place(file, "executionInfo", None))
            .hint("set them in the conf's `metaData`, in teams.json or in workspace.toml")
    });
    let fields = named.into_iter().filter(changes).map(finding);
    fields.chain(unused).collect()
}

/// Whether the tree has the field with a value other than nothing and Chronon's own.
fn has_meaning(tree: &serde_json::Value, field: &str) -> bool {
    use serde_json::Value;
    let same_as_chronon = |value: &Value| match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => {
            let length = entries.get("length").and_then(Value::as_i64);
            let unit = entries.get("timeUnit").and_then(Value::as_i64);
            entries.is_empty()
                || field == "partitionInterval" && (length, unit) == (Some(1), Some(1))
        }
        Value::String(text) => field == "partitionFormat" && text == "yyyy-MM-dd",
        Value::Number(number) => number.as_i64() == Some(0),
        Value::Bool(value) => !value,
    };
    match tree {
        Value::Object(entries) => entries.iter().any(|(name, value)| {
            name == field && !same_as_chronon(value) || has_meaning(value, field)
        }),
        Value::Array(items) => items.iter().any(|item| has_meaning(item, field)),
        _ => false,
    }
}

/// Those of the labels, bootstraps and GroupBys of a join that are not among its own.
fn check_embedded_dependencies(file: &ConfFile<Join>) -> Vec<Diagnostic> {
    let join = &file.conf;
    let mut seen: BTreeSet<&String> = join.meta_data.dependencies.iter().flatten().collect();
    let mut findings = Vec::new();
    for meta in join.embedded_metas() {
        let own = meta.dependencies.iter().flatten();
        let own: Vec<String> = own.filter(|text| seen.insert(text)).cloned().collect();
        let meta = MetaData {
            dependencies: Some(own),
            ..meta.clone()
        };
        findings.extend(check_dependencies(file, &meta));
    }
    findings
}

/// Dependencies that nothing can be waited for with, and what is read into others.
fn check_dependencies<T>(file: &ConfFile<T>, meta: &MetaData) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    for text in meta.dependencies.iter().flatten() {
        match Dependency::parse(text, meta.is_daily()) {
            Ok(found) if found.day.is_none() && !found.sub_partitions.is_empty() => findings.push(
                Diagnostic::warning(
                    "dependency",
                    format!("the dependency names no day, so only {} itself is waited for", found.table),
                )
                .at(place_of_entry(file, text, text))
                .hint("write the day, for example `db.t/ds={{ ds }}/hr=23`"),
            ),
            Ok(_) => {}
            Err(error) => findings.push(
                error
                    .finding()
                    .at(place_of_entry(file, text, &error.fragment))
                    .hint("write it as `db.t/ds={{ ds }}[/column=value]`, or name what to wait for with `dependencies` of an `[[override]]` in workspace.toml"),
            ),
        }
    }
    findings
}

/// Where `fragment` of a dependency stands. The dependency itself may be JSON within JSON.
fn place_of_entry<T>(file: &ConfFile<T>, text: &str, fragment: &str) -> Location {
    let escaped = |text: &str| serde_json::Value::from(text).to_string();
    let quoted = escaped(text);
    let Some(start) = file.text.find(&quoted) else {
        return place(file, "dependencies", None);
    };
    let inner = |text: &str| escaped(text).trim_matches('"').to_owned();
    let once = inner(fragment);
    let twice = inner(&once);
    let spellings = [once, twice];
    let mut found = spellings.iter().filter(|spelling| !spelling.is_empty());
    let at = found.find_map(|spelling| {
        let at = quoted.find(spelling.as_str())?;
        Some(start + at..start + at + spelling.len())
    });
    Location::bytes(&file.path, at.unwrap_or(start..start + quoted.len()))
}

/// Tables that the SQL of a staging query reads and that its declared dependencies leave out.
fn check_left_out(file: &ConfFile<StagingQuery>) -> Vec<Diagnostic> {
    let conf = &file.conf;
    let meta = &conf.meta_data;
    let declared = declared_tables(&[meta]);
    let written: BTreeSet<TableName> = conf.tables().unwrap_or_default().into_iter().collect();
    let read = tables_read(&conf.query, conf.setups.as_deref().unwrap_or_default());
    let left_out = read.tables.iter().filter(|table| {
        let known = declared.contains(*table) || written.contains(*table);
        !known && !read.newest.contains(*table)
    });
    let finding = |table: &TableName| {
        let message = format!(
            "`{}` reads {table}, which its dependencies leave out: days are filled whether or not {table} has them",
            meta.name
        );
        undeclared(file, "query", table, message).hint(format!(
            "add `{table}/ds={{{{ ds }}}}` to the dependencies if its day must be there first, or `{table}` if only the table must exist; a day that lands later makes the output stale"
        ))
    };
    left_out.map(finding).collect()
}

/// The tables that dependencies name.
fn declared_tables(metas: &[&MetaData]) -> BTreeSet<TableName> {
    let declared = metas.iter().flat_map(|meta| {
        let texts = meta.dependencies.iter().flatten();
        texts.filter_map(|text| Dependency::parse(text, meta.is_daily()).ok())
    });
    declared.map(|found| found.table).collect()
}

fn undeclared<T>(
    file: &ConfFile<T>,
    field: &str,
    table: &TableName,
    message: String,
) -> Diagnostic {
    Diagnostic::warning("undeclared-dependency", message).at(place_of_table(file, field, table))
}

/// Tables that subqueries in the expressions of a join's sources read, those of its parts with them.
fn check_subqueries_of_join(file: &ConfFile<Join>) -> Vec<Diagnostic> {
    let join = &file.conf;
    let labels = join.label_part.iter().flat_map(|label| &label.labels);
    let labels = labels.map(|label| &label.group_by);
    let group_bys = join.offline_parts().map(|part| part.group_by);
    let sources = group_bys.chain(labels).flat_map(|conf| &conf.sources);
    let metas: Vec<&MetaData> = { std::iter::once(&join.meta_data) }
        .chain(join.embedded_metas())
        .collect();
    let sources = std::iter::once(&join.left).chain(sources);
    check_subqueries(file, &join.meta_data, &metas, sources)
}

/// Tables that subqueries in the expressions of `sources` read and that neither a source nor a dependency of
/// `metas` names: nothing waits for them.
fn check_subqueries<'a, T>(
    file: &ConfFile<T>,
    own: &MetaData,
    metas: &[&MetaData],
    sources: impl IntoIterator<Item = &'a Source>,
) -> Vec<Diagnostic> {
    let mut known = declared_tables(metas);
    let mut read = BTreeSet::new();
    for source in sources {
        known.extend(source.table().ok().map(|spec| spec.table));
        read.extend(tables_of_subqueries(source.query()));
    }
    let finding = |table: &TableName| {
        let message = format!(
            "`{}` reads {table} in a subquery of `selects` or `wheres`: it is not waited for",
            own.name
        );
        undeclared(file, "wheres", table, message).hint(format!(
            "add `{table}/ds={{{{ ds }}}}` to `dependencies` if its day must be there first, or `{table}` if only the table must exist; or join it as a source or part"
        ))
    };
    read.difference(&known).map(finding).collect()
}

/// The tables that subqueries in the expressions of a query read.
fn tables_of_subqueries(query: &Query) -> BTreeSet<TableName> {
    let setups = query.setups.as_deref().unwrap_or_default();
    let selects = query.selects.iter().flat_map(|selects| selects.values());
    let expressions = selects
        .chain(query.wheres.iter().flatten())
        .chain(&query.time_column);
    let subqueries = expressions.filter(|text| text.to_ascii_lowercase().contains("select"));
    subqueries
        .flat_map(|text| tables_read(text, setups).tables)
        .collect()
}

/// Where the file first names the table, which only the SQL of `field` does; the field itself if it is
/// spelled otherwise there.
fn place_of_table<T>(file: &ConfFile<T>, field: &str, table: &TableName) -> Location {
    let text = file.text.to_ascii_lowercase();
    let name = table.as_str();
    let is_part = |letter: char| letter.is_alphanumeric() || "_.".contains(letter);
    let mut found = text.match_indices(name).map(|(at, _)| at);
    let whole = found.find(|at| {
        let before = text[..*at].chars().next_back();
        let after = text[at + name.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    });
    match whole {
        Some(at) => Location::bytes(&file.path, at..at + name.len()),
        None => place(file, field, None),
    }
}

/// What gates a staging query that declares no dependencies: the tables that its SQL reads.
fn check_query_inputs(file: &ConfFile<StagingQuery>) -> Vec<Diagnostic> {
    let conf = &file.conf;
    let meta = &conf.meta_data;
    match meta.dependencies.as_deref() {
        None | Some([]) => {}
        Some(_) => return check_left_out(file),
    }
    let read = tables_read(&conf.query, conf.setups.as_deref().unwrap_or_default());
    let is_newest = |table: &&TableName| read.newest.contains(*table);
    let (newest, daily): (Vec<&TableName>, Vec<&TableName>) =
        read.tables.iter().partition(is_newest);
    let unclear: Vec<&str> = read.unclear.iter().map(String::as_str).collect();
    let hint = "say what to wait for in `metaData.dependencies`, or with `dependencies` of an `[[override]]` in workspace.toml (an empty list waits for nothing)";
    let at = || place(file, "query", None);
    let found = (!read.tables.is_empty()).then(|| {
        let message = format!(
            "`{}` declares no dependencies: {}",
            meta.name,
            waits(&daily, &newest)
        );
        Diagnostic::warning("derived-dependencies", message)
            .at(at())
            .hint(hint)
    });
    let open = (!unclear.is_empty()).then(|| {
        let message = format!(
            "`{}` declares no dependencies, and its SQL reads what cannot be waited for: {}",
            meta.name,
            unclear.join("; ")
        );
        Diagnostic::warning("unknown-dependencies", message)
            .at(at())
            .hint(hint)
    });
    found.into_iter().chain(open).collect()
}

/// What a query without dependencies waits for, by how its SQL reads its tables.
fn waits(daily: &[&TableName], newest: &[&TableName]) -> String {
    let names = |tables: &[&TableName]| {
        let names: Vec<&str> = tables.iter().map(|table| table.as_str()).collect();
        names.join(", ")
    };
    let of_day = (!daily.is_empty()).then(|| {
        let tables = names(daily);
        format!("each day waits for that day of {tables}, which its SQL reads")
    });
    let of_any = (!newest.is_empty()).then(|| {
        let tables = names(newest);
        format!("no day of {tables} is waited for, of which it reads the newest (`max_date`)")
    });
    let both: Vec<String> = of_day.into_iter().chain(of_any).collect();
    both.join("; ")
}

/// The Driver compares dates as text and accepts any (engine-semantics 1, [5.1]).
fn check_day<T>(file: &ConfFile<T>, field: &str, text: Option<&str>) -> Vec<Diagnostic> {
    let error = text.and_then(|text| text.parse::<Ds>().err());
    let finding = error.map(|error| {
        Diagnostic::error("bad-day", format!("`{field}`: {error}"))
            .at(place(file, field, text))
            .hint("write it as YYYY-MM-DD and compile again; the Driver would compare it as text")
    });
    finding.into_iter().collect()
}

/// Left columns are mapped to keys of the GroupBy; any other name makes the part all NULL.
fn unknown_keys<T>(
    file: &ConfFile<T>,
    group_by: &GroupBy,
    mapping: Option<&indexmap::IndexMap<String, String>>,
) -> Vec<Diagnostic> {
    let values = mapping.into_iter().flat_map(indexmap::IndexMap::values);
    let unknown = values.filter(|key| !group_by.key_columns.contains(key));
    let finding = |key: &String| {
        Diagnostic::warning(
            "unknown-key",
            format!(
                "`keyMapping` names `{key}`, which is no key of `{}`",
                group_by.meta_data.name
            ),
        )
        .at(place(file, "keyMapping", Some(key)))
        .hint(format!("its keys are {}", group_by.key_columns.join(", ")))
    };
    unknown.map(finding).collect()
}

/// What `additional_args` has to be (§1.4); `null` counts as absent.
fn is_list_of_texts(value: &serde_json::Value) -> bool {
    let texts = |list: &Vec<serde_json::Value>| list.iter().all(serde_json::Value::is_string);
    value.is_null() || value.as_array().is_some_and(texts)
}

/// Where `"field": "value"` stands in the file; the first `"field"` if no value is given.
pub(crate) fn place<T>(file: &ConfFile<T>, field: &str, value: Option<&str>) -> Location {
    let quoted_field = format!("\"{field}\"");
    let mut fields = file.text.match_indices(&quoted_field).map(|(at, _)| at);
    let Some(value) = value else {
        return match fields.next() {
            Some(at) => Location::bytes(&file.path, at..at + quoted_field.len()),
            None => Location::file(&file.path),
        };
    };
    let quoted = format!("\"{value}\"");
    let after = fields.find_map(|at| {
        let rest = &file.text[at + quoted_field.len()..];
        let gap = rest.len() - rest.trim_start_matches([':', ' ', '\n', '\t']).len();
        rest[gap..]
            .starts_with(&quoted)
            .then_some(at + quoted_field.len() + gap)
    });
    let at = after.or_else(|| file.text.find(&quoted));
    match at {
        Some(at) => Location::bytes(&file.path, at..at + quoted.len()),
        None => Location::file(&file.path),
    }
}

fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let likeness = known.map(|known| (strsim::jaro_winkler(word, known), known));
    let best = likeness.filter(|(likeness, _)| *likeness > 0.8);
    best.max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}
