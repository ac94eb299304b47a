//! The sections whose keys the user names: seeds, sources, overrides and Spark properties.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use chronon_run_core::{
    PartitionFormat, PartitionFormatError, PartitionRange, RangeSet, TableName, TableNameError,
};
use indexmap::IndexMap;

use super::{
    driver_args::driver_args,
    paths::{FROM_ROOT, Paths},
    settings::{self, spark_properties},
};
use crate::{
    document::{Section, Value},
    model::{Override, Placed, Seed, SeedFormat, SourceSettings, Target},
    parse,
};

/// The entries of `value` whose names are tables, each table once.
fn by_table<'a>(value: &Value<'a>, section: &'static str) -> Vec<(TableName, Value<'a>)> {
    let mut seen = BTreeSet::new();
    let mut out = Vec::new();
    for (span, name, entry) in value.named(section) {
        let report = entry.report();
        match name.parse::<TableName>() {
            Err(error) => report.error(
                "bad-table",
                span,
                error.to_string(),
                format!(
                    "quote the whole name, for example `[{}.\"data.purchases\"]`",
                    value.shown()
                ),
            ),
            Ok(table) if !seen.insert(table.clone()) => report.error(
                "duplicate-table",
                span,
                format!("`{table}` is described twice"),
                "table names do not differ by case; keep one of them".to_owned(),
            ),
            Ok(table) => out.push((table, entry)),
        }
    }
    out
}

/// `[seeds]`: a path, or a table with `path`.
pub(super) fn seeds(value: &Value<'_>, paths: &Paths<'_>, partition_column: &str) -> Vec<Seed> {
    by_table(value, "seeds.<table>")
        .into_iter()
        .filter_map(|(table, entry)| seed(table, &entry, paths, partition_column))
        .collect()
}

fn seed(
    table: TableName,
    entry: &Value<'_>,
    paths: &Paths<'_>,
    partition_column: &str,
) -> Option<Seed> {
    if entry.is_text() {
        let path = seed_path(entry, paths);
        let format = path
            .as_deref()
            .and_then(|path| format_by_extension(entry, path));
        return Some(Seed {
            table,
            path: path?,
            format: format?,
            columns: IndexMap::new(),
            partition_by: vec![partition_column.to_owned()],
            null: None,
            empty_partitions: Vec::new(),
        });
    }
    entry
        .section("seeds.<table>", |section| {
            seed_table(table, entry, section, paths, partition_column)
        })
        .flatten()
}

fn seed_table(
    table: TableName,
    entry: &Value<'_>,
    section: &Section<'_>,
    paths: &Paths<'_>,
    partition_column: &str,
) -> Option<Seed> {
    let path_value = section.get("path");
    let format_value = section.get("format");
    let columns_value = section.get("columns");
    let columns = columns_value.as_ref().map(columns).unwrap_or_default();
    let partition_by = section.get("partition_by");
    let by = partition_columns(partition_by.as_ref(), partition_column);
    if let Some(at) = partition_by.as_ref().or(columns_value.as_ref()) {
        check_partition_columns(at, &by, &columns);
    }
    let empty = section.get("empty_partitions");
    let empty_partitions = empty
        .map(|value| empty_partitions(&value, &by))
        .unwrap_or_default();
    let null_value = section.get("null");
    let null = null_value.as_ref().and_then(Value::text);
    let Some(path_value) = path_value else {
        let message = format!("`{}` has no `path`", entry.shown());
        entry.refuse_with(
            "missing-key",
            message,
            "for example `path = \"data/purchases.csv\"`".to_owned(),
        );
        return None;
    };
    let path = seed_path(&path_value, paths);
    let format = match format_value {
        Some(value) => value.choice(&settings::SEED_FORMATS),
        None => path
            .as_deref()
            .and_then(|path| format_by_extension(&path_value, path)),
    };
    if let (Some(null), Some(SeedFormat::Json | SeedFormat::Parquet)) = (null_value, format) {
        let message = format!("`{}` has no effect", null.shown());
        null.doubt("no-effect", message, "only CSV files need it".to_owned());
    }
    Some(Seed {
        table,
        path: path?,
        format: format?,
        columns,
        partition_by: by,
        null: null.map(str::to_owned),
        empty_partitions,
    })
}

/// A file that is not there is doubted only: it excludes what reads it, as one that cannot be read does.
fn seed_path(value: &Value<'_>, paths: &Paths<'_>) -> Option<PathBuf> {
    let path = paths.of(value)?;
    if !path.exists() {
        let message = format!("seed file `{}` does not exist", path.display());
        value.doubt("no-such-path", message, FROM_ROOT.to_owned());
    }
    Some(path)
}

/// The first file, by name, of a folder whose own name does not say what it holds.
fn first_file(path: &Path) -> Option<PathBuf> {
    if path.extension().is_some() {
        return None;
    }
    let entries = std::fs::read_dir(path).ok()?;
    let names = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let is_hidden = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        name.starts_with(b"_") || name.starts_with(b".")
    };
    names
        .filter(|path| path.is_file() && !is_hidden(path))
        .min()
}

fn format_by_extension(value: &Value<'_>, path: &Path) -> Option<SeedFormat> {
    let named = first_file(path).unwrap_or_else(|| path.to_owned());
    let name = named.file_name().unwrap_or_default().to_string_lossy();
    let name = name.to_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    let format = match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("csv") => Some(SeedFormat::Csv),
        Some("json" | "jsonl" | "ndjson") => Some(SeedFormat::Json),
        Some("parquet") => Some(SeedFormat::Parquet),
        // A folder that is not there says nothing; its missing is found where seeds are read.
        None if !path.exists() => Some(SeedFormat::Csv),
        _ => None,
    };
    if format.is_none() {
        let message = format!("the name of `{}` does not say its format", path.display());
        let hint = "add `format = \"csv\"`, `\"json\"` or `\"parquet\"` to the seed's table";
        value.refuse_with("unknown-format", message, hint.to_owned());
    }
    format
}

fn columns(value: &Value<'_>) -> IndexMap<String, String> {
    let mut out: IndexMap<String, String> = IndexMap::new();
    for (name, span, entry) in value.properties() {
        let report = entry.report();
        let example =
            || "for example `columns = { user_id = \"bigint\", ds = \"string\" }`".to_owned();
        if let Err(why) = parse::column(&name) {
            report.error("bad-column", span, why, example());
            continue;
        }
        if out.keys().any(|known| known.eq_ignore_ascii_case(&name)) {
            let message = format!("column `{name}` is described twice");
            let hint = "column names do not differ by case; keep one of them";
            report.error("duplicate-column", span, message, hint.to_owned());
            continue;
        }
        if let Some(data_type) = entry.parsed("bad-type", parse::column_type) {
            out.insert(name, data_type);
        }
    }
    out
}

fn partition_columns(value: Option<&Value<'_>>, default: &str) -> Vec<String> {
    let default = || vec![default.to_owned()];
    let Some(value) = value else {
        return default();
    };
    let Some(items) = value.list() else {
        return default();
    };
    if items.is_empty() {
        let message = format!("`{}` names no column", value.shown());
        value.refuse("empty", message);
        return default();
    }
    let columns: Vec<_> = items
        .iter()
        .filter_map(|item| item.parsed("bad-column", parse::column))
        .collect();
    if columns.is_empty() {
        default()
    } else {
        columns
    }
}

/// Every partition column is one of the declared ones, if any are declared.
fn check_partition_columns(at: &Value<'_>, by: &[String], columns: &IndexMap<String, String>) {
    let is_column = |name: &String| columns.keys().any(|known| known.eq_ignore_ascii_case(name));
    if columns.is_empty() {
        return;
    }
    for name in by.iter().filter(|name| !is_column(name)) {
        let message = format!("partition column `{name}` is not one of the seed's `columns`");
        let hint = "partition columns stay in the file: add it to `columns`, or name another \
                    one in `partition_by`";
        at.refuse_with("unknown-column", message, hint.to_owned());
    }
}

fn empty_partitions(value: &Value<'_>, by: &[String]) -> Vec<String> {
    if by.len() != 1 {
        let message = format!("`{}` needs exactly one partition column", value.shown());
        let hint = "a day alone does not name a partition of this seed";
        value.refuse_with("bad-value", message, hint.to_owned());
        return Vec::new();
    }
    day_set(value).iter().map(|ds| ds.to_string()).collect()
}

/// A list of days and ranges of days.
fn day_set(value: &Value<'_>) -> RangeSet {
    let items = value.list().unwrap_or_default();
    items.iter().filter_map(day_range).collect()
}

fn day_range(item: &Value<'_>) -> Option<PartitionRange> {
    let text = item.date_text()?;
    let refuse = |why| {
        let message = format!("`{}`: {why}", item.shown());
        let hint = "write `\"2026-01-12\"` or, both days included, `\"2026-01-14..2026-01-16\"`";
        item.refuse_with("bad-day", message, hint.to_owned());
    };
    parse::days(&text).map_err(refuse).ok()
}

/// `[sources]`.
pub(super) fn sources(value: &Value<'_>) -> BTreeMap<TableName, SourceSettings> {
    by_table(value, "sources.<table>")
        .into_iter()
        .filter_map(|(table, entry)| {
            let settings = entry.section("sources.<table>", |section| SourceSettings {
                missing: section
                    .get("missing")
                    .map(|value| day_set(&value))
                    .unwrap_or_default(),
                first_ds: section.day("first_ds"),
                lands_after: section.duration("lands_after"),
                partition_format: section
                    .get("partition_format")
                    .and_then(|value| value.parsed("bad-format", partition_format)),
                last_hour: section
                    .get("last_hour")
                    .and_then(|value| value.number(0, 23)),
                days_from: section.get("days_from").and_then(|value| {
                    value.parsed("bad-table", |text| {
                        text.parse()
                            .map_err(|error: TableNameError| error.to_string())
                    })
                }),
            })?;
            Some((table, settings))
        })
        .collect()
}

fn partition_format(text: &str) -> Result<PartitionFormat, String> {
    text.parse()
        .map_err(|error: PartitionFormatError| error.to_string())
}

/// `[targets]`.
pub(super) fn targets(value: &Value<'_>) -> BTreeMap<String, Target> {
    let mut out = BTreeMap::new();
    for (span, name, entry) in value.named("targets.<name>") {
        let namespace = entry.section("targets.<name>", |section| {
            let value = section.get("namespace")?;
            let namespace = value.parsed("bad-namespace", target_namespace)?;
            let span = value.span();
            Some(Target { namespace, span })
        });
        if let Err(why) = parse::target_name(name) {
            let hint = "write a single word, for example `[targets.dev]`".to_owned();
            entry.report().error("bad-target", span, why, hint);
            continue;
        }
        match namespace {
            Some(Some(target)) => {
                out.insert(name.to_owned(), target);
            }
            Some(None) if !entry.has("namespace") => entry.refuse_with(
                "missing-key",
                format!("`{}` has no `namespace`", entry.shown()),
                "for example `namespace = \"dev_{user}_{namespace}\"`".to_owned(),
            ),
            _ => {}
        }
    }
    out
}

/// Words, `{user}` and `{namespace}`.
fn target_namespace(text: &str) -> Result<String, String> {
    let rest = text.replace("{user}", "").replace("{namespace}", "");
    if let Some((_, after)) = rest.split_once('{') {
        let name = after.split('}').next().unwrap_or_default();
        return Err(format!(
            "`{{{name}}}` is not known; known are `{{user}}` and `{{namespace}}`"
        ));
    }
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    match rest.chars().all(word) {
        true if text == "{namespace}" => {
            Err("these are the namespaces of production: put a word before it".to_owned())
        }
        true => Ok(text.to_owned()),
        false => Err(format!(
            "`{text}` is no name of a database: it holds letters, digits and `_`"
        )),
    }
}

/// `[[override]]`.
pub(super) fn overrides(value: &Value<'_>) -> Vec<Override> {
    if !value.is_list() {
        let message = "`override` must be a list of tables".to_owned();
        let hint = "write `[[override]]`, with two brackets, above each one";
        value.refuse_with("wrong-type", message, hint.to_owned());
        return Vec::new();
    }
    let items = value.list().unwrap_or_default();
    items
        .iter()
        .filter_map(|item| item.section("override", |section| one_override(item, section))?)
        .collect()
}

fn one_override(item: &Value<'_>, section: &Section<'_>) -> Option<Override> {
    let select_value = section.get("select");
    let out = Override {
        select: section.word("select").unwrap_or_default(),
        step_days: section.number("step_days", 1),
        retries: section.number("retries", 0),
        retry_delay: section.duration("retry_delay"),
        timeout: section.some_duration("timeout"),
        join_flow: section.choice("join_flow", &settings::JOIN_FLOWS),
        lag: section.number("lag", 0),
        bisect: section.boolean("bisect"),
        dependencies: section.get("dependencies").and_then(|value| {
            let items = value.list()?;
            let placed = |item: &Value<'_>| {
                Some(Placed {
                    text: item.text()?.to_owned(),
                    span: item.span(),
                })
            };
            items.iter().map(placed).collect::<Option<Vec<Placed>>>()
        }),
        more_memory: section
            .get("more_memory")
            .map(|value| spark_properties(&value))
            .unwrap_or_default(),
        conf: section
            .get("conf")
            .map(|value| spark_properties(&value))
            .unwrap_or_default(),
        driver_args: section
            .get("driver_args")
            .map(|value| driver_args(&value))
            .unwrap_or_default(),
        span: select_value.as_ref().map_or(item.span(), Value::span),
    };
    if select_value.is_none() {
        let message = "an override must say what it is for".to_owned();
        let hint = "for example `select = \"team:search type:join\"`";
        item.refuse_with("missing-key", message, hint.to_owned());
        return None;
    }
    if section.entries().count() == 1 {
        let message = "this override changes nothing".to_owned();
        let hint = "add what differs, for example `step_days = 7`";
        item.doubt("no-effect", message, hint.to_owned());
    }
    Some(out)
}
