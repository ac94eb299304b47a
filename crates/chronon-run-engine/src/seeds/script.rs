//! The SQL that loads seeds.

use std::{fmt::Write as _, path::Path};

use chronon_run_core::{Column, clean};

use super::{
    prepared::{Changes, LOADING, PROPERTY, Prepared},
    seed::Format,
};

/// One script that loads all of `seeds`, replacing what an earlier load left.
///
/// A seed whose state is [`Foreign`](super::State::Foreign) must not be among them.
#[must_use]
pub fn script(seeds: &[Prepared]) -> String {
    seeds.iter().map(load).collect::<Vec<_>>().join("\n")
}

fn load(prepared: &Prepared) -> String {
    if let Some(changes) = &prepared.changes {
        return reload(prepared, changes);
    }
    let table = prepared.table();
    let target = format!("`{}`.`{}`", table.namespace(), table.name());
    let view = format!("`seed_{}`", clean(table.as_str()));
    let mut sql = format!(
        "-- Seed {table}.\nCREATE DATABASE IF NOT EXISTS `{}`;\nDROP TABLE IF EXISTS {target};\n{}",
        table.namespace(),
        source_view(prepared, &view),
    );
    if prepared.file_columns.is_empty() {
        sql += &create_as_select(prepared, &target, &view);
    } else {
        sql += &create(prepared, &target);
        sql += &insert(prepared, &target, &view);
    }
    sql += &ending(prepared, &target, &view);
    sql
}

/// Empty partitions, and the mark that the table is whole.
fn ending(prepared: &Prepared, target: &str, view: &str) -> String {
    let mut sql = String::new();
    for partition in &prepared.seed.empty_partitions {
        let partition = partition_spec(&prepared.partition_by, partition);
        // Infallible: writing to a String.
        let _ = writeln!(
            sql,
            "ALTER TABLE {target} ADD IF NOT EXISTS PARTITION ({partition});"
        );
    }
    let done = properties(&prepared.fingerprint);
    let _ = writeln!(
        sql,
        "ALTER TABLE {target} SET TBLPROPERTIES ({done});\nDROP VIEW {view};"
    );
    sql
}

/// Replaces only the partitions whose rows changed: the others keep their files and their times.
fn reload(prepared: &Prepared, changes: &Changes) -> String {
    let table = prepared.table();
    let target = format!("`{}`.`{}`", table.namespace(), table.name());
    let view = format!("`seed_{}`", clean(table.as_str()));
    let spec = |values: &Vec<String>, separator: &str| {
        let pieces = prepared.partition_by.iter().zip(values);
        let pieces = pieces.map(|(column, value)| format!("`{column}` = {}", literal(value)));
        pieces.collect::<Vec<_>>().join(separator)
    };
    let loading = properties(LOADING);
    let mut sql = format!(
        "-- Seed {table}, changed partitions.\nSET spark.sql.sources.partitionOverwriteMode=dynamic;\nSET hive.exec.dynamic.partition.mode=nonstrict;\nALTER TABLE {target} SET TBLPROPERTIES ({loading});\n{}",
        source_view(prepared, &view),
    );
    for values in &changes.gone {
        let gone = spec(values, ", ");
        let _ = writeln!(
            sql,
            "ALTER TABLE {target} DROP IF EXISTS PARTITION ({gone});"
        );
    }
    if !changes.changed.is_empty() {
        let rows = changes.changed.iter().map(|values| spec(values, " AND "));
        let rows: Vec<String> = rows.map(|row| format!("({row})")).collect();
        let insert = insert(prepared, &target, &view);
        let insert = insert.trim_end().trim_end_matches(';');
        let _ = writeln!(sql, "{insert}\nWHERE {};", rows.join("\n  OR "));
    }
    sql + &ending(prepared, &target, &view)
}

/// The file as Spark reads it.
fn source_view(prepared: &Prepared, view: &str) -> String {
    let columns: Vec<String> = prepared
        .file_columns
        .iter()
        .map(|column| format!("`{}` {}", column.name, read_type(prepared, column)))
        .collect();
    let columns = if columns.is_empty() || prepared.seed.format == Format::Parquet {
        String::new()
    } else {
        format!(" (\n  {}\n)", columns.join(",\n  "))
    };
    let format = match prepared.seed.format {
        Format::Csv => "csv",
        Format::Json => "json",
        Format::Parquet => "parquet",
    };
    let option = |(key, value): (String, String)| format!("{} {}", literal(&key), literal(&value));
    let options: Vec<String> = options(prepared).into_iter().map(option).collect();
    format!(
        "CREATE OR REPLACE TEMPORARY VIEW {view}{columns}\nUSING {format} OPTIONS (\n  {}\n);\n",
        options.join(",\n  ")
    )
}

/// The pattern that matches `path` alone: Spark takes paths as patterns.
fn pattern(path: &Path) -> String {
    let mut pattern = String::new();
    for character in path.display().to_string().chars() {
        if "*?[]{}\\".contains(character) {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

fn options(prepared: &Prepared) -> Vec<(String, String)> {
    let seed = &prepared.seed;
    let mut options: Vec<(String, String)> = Vec::new();
    let mut set = |key: &str, value: &str| {
        options.retain(|(known, _)| !known.eq_ignore_ascii_case(key));
        options.push((key.to_owned(), value.to_owned()));
    };
    set("path", &pattern(&seed.path));
    match seed.format {
        Format::Csv => {
            set("header", "true");
            // RFC 4180: a quote is doubled, and a quoted field may span lines.
            set("escape", "\"");
            set("multiLine", "true");
            set("nullValue", seed.null.as_deref().unwrap_or_default());
            set("emptyValue", "");
            set("mode", "FAILFAST");
        }
        Format::Json => set("mode", "FAILFAST"),
        Format::Parquet => (),
    }
    for (key, value) in &seed.options {
        set(key, value);
    }
    options
}

/// CSV fields hold no arrays or structs; those are written as JSON texts.
fn read_type<'a>(prepared: &Prepared, column: &'a Column) -> &'a str {
    if is_json_in_csv(prepared, column) {
        "string"
    } else {
        &column.data_type
    }
}

fn is_json_in_csv(prepared: &Prepared, column: &Column) -> bool {
    prepared.seed.format == Format::Csv && column.data_type.contains('<')
}

fn create(prepared: &Prepared, target: &str) -> String {
    let definition = |column: &Column| format!("`{}` {}", column.name, column.data_type);
    let data: Vec<String> = data_columns(prepared).map(definition).collect();
    let partitions: Vec<String> = partition_columns(prepared).map(definition).collect();
    let partitioned = if partitions.is_empty() {
        String::new()
    } else {
        format!("\nPARTITIONED BY ({})", partitions.join(", "))
    };
    format!(
        "CREATE TABLE {target} (\n  {}\n){partitioned}\nSTORED AS PARQUET TBLPROPERTIES ({});\n",
        data.join(",\n  "),
        properties(LOADING)
    )
}

fn insert(prepared: &Prepared, target: &str, view: &str) -> String {
    let select = |column: &Column| {
        let (name, data_type) = (&column.name, &column.data_type);
        if is_json_in_csv(prepared, column) {
            format!("from_json(`{name}`, {}) AS `{name}`", literal(data_type))
        } else if prepared.seed.format == Format::Parquet {
            format!("CAST(`{name}` AS {data_type}) AS `{name}`")
        } else {
            format!("`{name}`")
        }
    };
    let columns = data_columns(prepared).chain(partition_columns(prepared));
    let columns: Vec<String> = columns.map(select).collect();
    format!(
        "INSERT OVERWRITE TABLE {target}{}\nSELECT\n  {}\nFROM {view};\n",
        partition_clause(prepared, " PARTITION "),
        columns.join(",\n  ")
    )
}

/// For files of which only Spark knows the columns.
fn create_as_select(prepared: &Prepared, target: &str, view: &str) -> String {
    format!(
        "CREATE TABLE {target}\nSTORED AS PARQUET{}\nTBLPROPERTIES ({})\nAS SELECT * FROM {view};\n",
        partition_clause(prepared, "\nPARTITIONED BY "),
        properties(LOADING)
    )
}

fn partition_clause(prepared: &Prepared, words: &str) -> String {
    let names = prepared.partition_by.iter().map(|name| format!("`{name}`"));
    let names: Vec<String> = names.collect();
    if names.is_empty() {
        String::new()
    } else {
        format!("{words}({})", names.join(", "))
    }
}

fn data_columns(prepared: &Prepared) -> impl Iterator<Item = &Column> {
    let is_data = |column: &&Column| !prepared.partition_by.contains(&column.name);
    prepared.file_columns.iter().filter(is_data)
}

/// In the order of `partition_by`, which need not be that of the file.
fn partition_columns(prepared: &Prepared) -> impl Iterator<Item = &Column> {
    let column = |name: &String| {
        prepared
            .file_columns
            .iter()
            .find(|column| column.name == *name)
    };
    prepared.partition_by.iter().filter_map(column)
}

/// `` `ds` = '2026-01-23' `` of `2026-01-23` or `ds=2026-01-23`.
fn partition_spec(columns: &[String], partition: &str) -> String {
    let pieces = columns.iter().zip(partition.split('/'));
    let spec = |(column, piece): (&String, &str)| {
        let value = piece.split_once('=').map_or(piece, |(_, value)| value);
        format!("`{column}` = {}", literal(value))
    };
    pieces.map(spec).collect::<Vec<_>>().join(", ")
}

fn properties(value: &str) -> String {
    format!("{} = {}", literal(PROPERTY), literal(value))
}

/// A SQL string.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', r"\\").replace('\'', r"\'"))
}

#[cfg(test)]
mod tests {
    use indexmap::IndexMap;

    use super::*;
    use crate::seeds::{Partitioning, Seed};

    fn prepared(format: Format, columns: &[(&str, &str)]) -> Prepared {
        let column = |(name, data_type): &(&str, &str)| Column {
            name: (*name).to_owned(),
            data_type: (*data_type).to_owned(),
        };
        Prepared {
            seed: Seed {
                table: "lake.searches".parse().unwrap(),
                path: "/w/it's.csv".into(),
                format,
                columns: IndexMap::new(),
                partition_by: Partitioning::default(),
                null: Some("\\N".to_owned()),
                empty_partitions: vec!["ds=2026-01-23".to_owned(), "2026-01-24".to_owned()],
                options: IndexMap::from([("HEADER".to_owned(), "false".to_owned())]),
            },
            file_columns: columns.iter().map(column).collect(),
            partition_by: vec!["ds".to_owned()],
            fingerprint: "f1".to_owned(),
            changes: None,
            digests: Default::default(),
            sizes: Default::default(),
            first_rows: Default::default(),
        }
    }

    #[test]
    fn a_path_is_no_pattern() {
        let path = Path::new("/w [1]/{a,b}/it's *?.csv");
        assert_eq!(pattern(path), r"/w \[1\]/\{a,b\}/it's \*\?.csv");
        assert_eq!(pattern(Path::new(r"/w\x")), r"/w\\x");
    }

    #[test]
    fn a_csv_seed() {
        let columns = [
            ("id", "bigint"),
            ("ds", "string"),
            ("tags", "array<bigint>"),
        ];
        insta::assert_snapshot!(script(&[prepared(Format::Csv, &columns)]), @r#"
        -- Seed lake.searches.
        CREATE DATABASE IF NOT EXISTS `lake`;
        DROP TABLE IF EXISTS `lake`.`searches`;
        CREATE OR REPLACE TEMPORARY VIEW `seed_lake_searches` (
          `id` bigint,
          `ds` string,
          `tags` string
        )
        USING csv OPTIONS (
          'path' '/w/it\'s.csv',
          'escape' '"',
          'multiLine' 'true',
          'nullValue' '\\N',
          'emptyValue' '',
          'mode' 'FAILFAST',
          'HEADER' 'false'
        );
        CREATE TABLE `lake`.`searches` (
          `id` bigint,
          `tags` array<bigint>
        )
        PARTITIONED BY (`ds` string)
        STORED AS PARQUET TBLPROPERTIES ('chronon_run.seed' = 'loading');
        INSERT OVERWRITE TABLE `lake`.`searches` PARTITION (`ds`)
        SELECT
          `id`,
          from_json(`tags`, 'array<bigint>') AS `tags`,
          `ds`
        FROM `seed_lake_searches`;
        ALTER TABLE `lake`.`searches` ADD IF NOT EXISTS PARTITION (`ds` = '2026-01-23');
        ALTER TABLE `lake`.`searches` ADD IF NOT EXISTS PARTITION (`ds` = '2026-01-24');
        ALTER TABLE `lake`.`searches` SET TBLPROPERTIES ('chronon_run.seed' = 'f1');
        DROP VIEW `seed_lake_searches`;
        "#);
    }

    #[test]
    fn only_changed_days_are_loaded_again() {
        let mut prepared = prepared(Format::Csv, &[("id", "bigint"), ("ds", "string")]);
        prepared.seed.empty_partitions.clear();
        let day = |day: &str| vec![day.to_owned()];
        prepared.digests = [(day("2026-01-01"), "a"), (day("2026-01-02"), "b")]
            .map(|(values, digest)| (values, digest.to_owned()))
            .into();
        let before = prepared.loaded();
        prepared.digests.insert(day("2026-01-02"), "c".to_owned());
        prepared.digests.remove(&day("2026-01-01"));
        prepared.fingerprint = "f2".to_owned();
        let whole = prepared.clone().only_changed(&before, Some("loading"));
        assert!(
            script(&[whole]).contains("DROP TABLE"),
            "a load was cut off"
        );
        let sql = script(&[prepared.only_changed(&before, Some("f1"))]);
        assert!(!sql.contains("DROP TABLE"), "{sql}");
        for statement in [
            "ALTER TABLE `lake`.`searches` DROP IF EXISTS PARTITION (`ds` = '2026-01-01');",
            "FROM `seed_lake_searches`\nWHERE (`ds` = '2026-01-02');",
            "SET TBLPROPERTIES ('chronon_run.seed' = 'f2');",
        ] {
            assert!(sql.contains(statement), "{statement} in {sql}");
        }
    }

    #[test]
    fn a_parquet_seed_whose_columns_only_spark_knows() {
        insta::assert_snapshot!(script(&[prepared(Format::Parquet, &[])]), @r"
        -- Seed lake.searches.
        CREATE DATABASE IF NOT EXISTS `lake`;
        DROP TABLE IF EXISTS `lake`.`searches`;
        CREATE OR REPLACE TEMPORARY VIEW `seed_lake_searches`
        USING parquet OPTIONS (
          'path' '/w/it\'s.csv',
          'HEADER' 'false'
        );
        CREATE TABLE `lake`.`searches`
        STORED AS PARQUET
        PARTITIONED BY (`ds`)
        TBLPROPERTIES ('chronon_run.seed' = 'loading')
        AS SELECT * FROM `seed_lake_searches`;
        ALTER TABLE `lake`.`searches` ADD IF NOT EXISTS PARTITION (`ds` = '2026-01-23');
        ALTER TABLE `lake`.`searches` ADD IF NOT EXISTS PARTITION (`ds` = '2026-01-24');
        ALTER TABLE `lake`.`searches` SET TBLPROPERTIES ('chronon_run.seed' = 'f1');
        DROP VIEW `seed_lake_searches`;
        ");
    }
}
