//! Reads a seed's file: its columns, their types, and its fingerprint.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, Read as _, Seek as _, SeekFrom},
    path::Path,
};

use chronon_run_core::Column;
use sha2::{Digest, Sha256};

use super::{
    error::SeedError,
    files::{check_folder, malformed, unreadable},
    infer::Type,
    memo::Memo,
    prepared::Prepared,
    rows::{self, Rows},
    seed::{Format, Partitioning, Seed},
};

/// Changes when the same seed would be loaded in another way than before.
const LOADER: &str = "chronon-run seed 1";

/// What this process has read.
static READ: Memo = Memo::new();

/// Reads the seed's file and checks the configuration against it. Of a file that is as it was, only the
/// fingerprint is taken again.
///
/// # Errors
/// [`SeedError`] if the file cannot be read or understood, or the configuration names a column
/// that it does not have.
pub fn prepare(seed: Seed) -> Result<Prepared, SeedError> {
    check_name(&seed)?;
    check_kind(&seed)?;
    check_folder(&seed)?;
    let fingerprint = fingerprint(&seed).map_err(|error| unreadable(&seed, &seed.path, &error))?;
    READ.get(&seed, &fingerprint, || {
        parse(seed.clone(), fingerprint.clone())
    })
}

/// `fingerprint` was taken before: rows that are written in between are parsed again by the next command.
fn parse(seed: Seed, fingerprint: String) -> Result<Prepared, SeedError> {
    let rows = match seed.format {
        Format::Csv => rows::csv(&seed)?,
        Format::Json => rows::json(&seed)?,
        Format::Parquet => check_parquet(&seed).map(|()| Rows::default())?,
    };
    let Rows {
        columns: types,
        partitions,
    } = rows;
    let file_columns = match types.is_empty() {
        // Only Spark can tell, or there is no row.
        true => declared_columns(&seed),
        false => columns(&seed, types)?,
    };
    if file_columns.is_empty() && seed.format != Format::Parquet {
        let why = "no row and no `columns`, so the table would have no columns".to_owned();
        return Err(malformed(&seed, &seed.path, 1, why));
    }
    let names: Vec<String> = file_columns
        .iter()
        .map(|column| column.name.clone())
        .collect();
    let partition_by = partition_by(&seed, &names)?;
    if seed.format != Format::Parquet {
        let declared = seed.columns.keys();
        declared
            .map(|column| column.to_lowercase())
            .try_for_each(|column| known(&seed, &names, &column, "`columns`"))?;
    }
    check_values(&seed, partition_by.len())?;
    let first_rows = partitions.iter();
    let first_rows = first_rows.map(|(values, content)| (values.clone(), content.first.clone()));
    let first_rows = first_rows.collect();
    let sizes = partitions.iter();
    let sizes = sizes.map(|(values, content)| (values.clone(), content.bytes));
    let sizes = sizes.collect();
    let digests = partitions.into_iter();
    let digests = digests.map(|(values, content)| (values, content.digest()));
    Ok(Prepared {
        changes: None,
        digests: digests.collect(),
        first_rows,
        sizes,
        seed,
        file_columns,
        partition_by,
        fingerprint,
    })
}

/// Spark passes over hidden files without a word.
fn check_name(seed: &Seed) -> Result<(), SeedError> {
    let name = seed.path.file_name().and_then(|name| name.to_str());
    let why = match (name, seed.path.to_str()) {
        (Some(name), _) if name.starts_with(['_', '.']) => "its name starts with `_` or `.`",
        (Some(_), Some(path)) if path.contains(|c: char| c.is_control()) => {
            "its path holds a control character"
        }
        (Some(_), Some(_)) => return Ok(()),
        _ => "its name is not UTF-8",
    };
    Err(SeedError::BadName {
        table: seed.table.clone(),
        path: seed.path.clone(),
        why,
    })
}

/// To open a pipe waits for its other end.
fn check_kind(seed: &Seed) -> Result<(), SeedError> {
    let found = fs::metadata(&seed.path).map_err(|error| unreadable(seed, &seed.path, &error))?;
    if found.is_file() || found.is_dir() {
        return Ok(());
    }
    let why = io::Error::other("it is neither a file nor a folder");
    Err(unreadable(seed, &seed.path, &why))
}

fn declared(seed: &Seed, name: &str) -> Option<String> {
    let mut declared = seed.columns.iter();
    let found = declared.find(|(column, _)| column.eq_ignore_ascii_case(name));
    found.map(|(_, data_type)| data_type.clone())
}

fn columns(
    seed: &Seed,
    types: impl IntoIterator<Item = (String, Type)>,
) -> Result<Vec<Column>, SeedError> {
    let partitions: &[String] = match &seed.partition_by {
        Partitioning::DsIfPresent => &["ds".to_owned()],
        Partitioning::By(columns) => columns,
    };
    let mut columns: Vec<Column> = Vec::new();
    for (name, inferred) in types {
        let twice = columns.iter().any(|column| column.name == name);
        let awkward = name.is_empty() || name.contains(['`', ',', ';', ':', '\n']);
        if twice || awkward {
            let why = format!("`{name}` cannot be a column's name, or is there twice");
            return Err(malformed(seed, &seed.path, 1, why));
        }
        let partition = partitions
            .iter()
            .any(|column| column.eq_ignore_ascii_case(&name));
        // Days are text everywhere in Chronon, whatever they look like.
        let inferred = || {
            if partition {
                "string".to_owned()
            } else {
                inferred.name()
            }
        };
        let data_type = declared(seed, &name).unwrap_or_else(inferred);
        columns.push(Column { name, data_type });
    }
    Ok(columns)
}

fn declared_columns(seed: &Seed) -> Vec<Column> {
    let column = |(name, data_type): (&String, &String)| Column {
        name: name.to_lowercase(),
        data_type: data_type.clone(),
    };
    seed.columns.iter().map(column).collect()
}

fn partition_by(seed: &Seed, names: &[String]) -> Result<Vec<String>, SeedError> {
    let anything = seed.format == Format::Parquet && names.is_empty();
    match &seed.partition_by {
        Partitioning::DsIfPresent => {
            let present = anything || names.iter().any(|name| name == "ds");
            Ok(if present {
                vec!["ds".to_owned()]
            } else {
                Vec::new()
            })
        }
        Partitioning::By(columns) => {
            let columns: Vec<String> = columns.iter().map(|name| name.to_lowercase()).collect();
            if !anything {
                columns
                    .iter()
                    .try_for_each(|column| known(seed, names, column, "`partition_by`"))?;
            }
            Ok(columns)
        }
    }
}

fn known(seed: &Seed, names: &[String], column: &str, key: &'static str) -> Result<(), SeedError> {
    if names.iter().any(|name| name == column) {
        return Ok(());
    }
    Err(SeedError::NoColumn {
        table: seed.table.clone(),
        path: seed.path.clone(),
        column: column.to_owned(),
        key,
        known: names.to_vec(),
    })
}

/// Types and partitions become part of SQL statements.
fn check_values(seed: &Seed, partition_columns: usize) -> Result<(), SeedError> {
    let bad = |key, value: &str, why| SeedError::BadValue {
        table: seed.table.clone(),
        key,
        value: value.to_owned(),
        why,
    };
    for data_type in seed.columns.values() {
        let plain = |c: char| c.is_ascii_alphanumeric() || "<>(),:_ ".contains(c);
        if data_type.is_empty() || !data_type.chars().all(plain) {
            return Err(bad("`columns`", data_type, "is no type of Hive's"));
        }
    }
    for partition in &seed.empty_partitions {
        if partition.split('/').count() != partition_columns {
            return Err(bad(
                "`empty_partitions`",
                partition,
                "does not give one value for each partition column",
            ));
        }
    }
    Ok(())
}

fn fingerprint(seed: &Seed) -> io::Result<String> {
    let mut hash = Sha256::new();
    hash.update(LOADER);
    hash.update(serde_json::to_vec(seed)?);
    hash_path(&seed.path, &mut hash)?;
    Ok(format!("{:x}", hash.finalize()))
}

/// Names a file that Spark would fail to load, or would show as a table without partitions.
fn check_parquet(seed: &Seed) -> Result<(), SeedError> {
    let failed = |path: &Path, error: &io::Error| unreadable(seed, path, error);
    let mut left = vec![seed.path.clone()];
    while let Some(path) = left.pop() {
        if path.is_dir() {
            let entries = visible(&path).map_err(|error| failed(&path, &error))?;
            // The last one is looked at first.
            left.extend(entries.iter().rev().map(fs::DirEntry::path));
        } else if path.is_file() {
            match is_parquet(&path) {
                Ok(true) => {}
                Ok(false) => {
                    let why = "it is not a complete Parquet file";
                    return Err(failed(&path, &io::Error::other(why)));
                }
                Err(error) => return Err(failed(&path, &error)),
            }
        }
    }
    Ok(())
}

/// Whether a file begins and ends as Parquet does, encrypted or not.
fn is_parquet(path: &Path) -> io::Result<bool> {
    let mut file = File::open(path)?;
    // Both words, and the length of the footer.
    if file.metadata()?.len() < 12 {
        return Ok(false);
    }
    let (mut first, mut last) = ([0; 4], [0; 4]);
    file.read_exact(&mut first)?;
    file.seek(SeekFrom::End(-4))?;
    file.read_exact(&mut last)?;
    Ok(first == last && [*b"PAR1", *b"PARE"].contains(&last))
}

/// A file, or a directory of Parquet files in the order of their names.
fn hash_path(path: &Path, hash: &mut Sha256) -> io::Result<()> {
    if !path.is_dir() {
        return io::copy(&mut File::open(path)?, hash).map(|_| ());
    }
    for entry in visible(path)? {
        hash.update(entry.file_name().as_encoded_bytes());
        let path = entry.path();
        if path.is_file() || path.is_dir() {
            hash_path(&path, hash)?;
        }
    }
    Ok(())
}

/// The entries of a folder that Spark reads, in the order of their names.
fn visible(path: &Path) -> io::Result<Vec<fs::DirEntry>> {
    let is_hidden = |name: &OsStr| {
        let name = name.as_encoded_bytes();
        name.starts_with(b"_") || name.starts_with(b".")
    };
    let mut entries = fs::read_dir(path)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    // Spark does not read hidden files.
    entries.retain(|entry| !is_hidden(&entry.file_name()));
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use chronon_run_core::{Ds, TableInfo};
    use indexmap::IndexMap;

    use super::*;
    use crate::seeds::{NoDay, PROPERTY, State};

    fn seed(dir: &Path, name: &str, text: &str) -> Seed {
        let path = dir.join(name);
        fs::write(&path, text).unwrap();
        Seed {
            table: "data.t".parse().unwrap(),
            format: Format::of(&path).unwrap(),
            path,
            columns: IndexMap::new(),
            partition_by: Partitioning::default(),
            null: Some("\\N".to_owned()),
            empty_partitions: Vec::new(),
            options: IndexMap::new(),
        }
    }

    fn types(prepared: &Prepared) -> String {
        let column = |column: &Column| format!("{} {}", column.name, column.data_type);
        prepared
            .file_columns
            .iter()
            .map(column)
            .collect::<Vec<_>>()
            .join(", ")
    }

    #[test]
    fn a_folder_with_a_copy_or_another_kind_of_file_is_refused_by_the_name_of_that_file() {
        let dir = tempfile::Builder::new().prefix("seed").tempdir().unwrap();
        let file = seed(dir.path(), "x.csv", "id,ds\n1,2026-01-01\n");
        let folder = Seed {
            path: dir.path().to_owned(),
            ..file
        };
        for (name, why) in [
            ("x.csv~", "a backup, a copy or a note, not data"),
            ("x (copy).csv", "a backup, a copy or a note, not data"),
            ("x.csv.bak", "a backup, a copy or a note, not data"),
            ("README.md", "a backup, a copy or a note, not data"),
            ("y.json", "of another format than the seed"),
            ("y.json.gz", "of another format than the seed"),
        ] {
            let path = dir.path().join(name);
            fs::write(&path, "id,ds\n2,2026-01-02\n").unwrap();
            let error = prepare(folder.clone()).unwrap_err();
            fs::remove_file(&path).unwrap();
            let table = folder.table.clone();
            assert_eq!(error, SeedError::Stray { table, path, why });
        }
        fs::write(dir.path().join(".x.csv.swp"), "").unwrap();
        fs::write(dir.path().join("y.csv"), "id,ds\n2,2026-01-02\n").unwrap();
        assert_eq!(prepare(folder).unwrap().digests.len(), 2);
    }

    #[test]
    fn types_are_declared_or_inferred() {
        let dir = tempfile::tempdir().unwrap();
        let csv = "id,Score,name,flag,ds\n1,\\N,\"\",true,20260101\n2,1.5,x,\\N,20260102\n";
        let mut seed = seed(dir.path(), "a.csv", csv);
        let prepared = prepare(seed.clone()).unwrap();
        assert_eq!(
            types(&prepared),
            "id bigint, score double, name string, flag boolean, ds string"
        );
        assert_eq!(prepared.partition_by, ["ds"]);
        seed.columns.insert("ID".into(), "int".into());
        assert_eq!(
            types(&prepare(seed).unwrap()).split(", ").next(),
            Some("id int")
        );
    }

    #[test]
    fn without_ds_there_are_no_partitions() {
        let dir = tempfile::tempdir().unwrap();
        let seed = seed(
            dir.path(),
            "a.jsonl",
            "{\"a\":1}\n\n{\"b\":{\"c\":[true]}}\n",
        );
        let prepared = prepare(seed).unwrap();
        assert_eq!(types(&prepared), "a bigint, b struct<c:array<boolean>>");
        assert!(prepared.partition_by.is_empty());
    }

    #[test]
    fn errors_name_file_line_and_column() {
        let dir = tempfile::tempdir().unwrap();
        let message = |seed: Seed| {
            let message = prepare(seed).unwrap_err().to_string();
            message.replace(&dir.path().display().to_string(), "DIR")
        };
        let good = || seed(dir.path(), "a.csv", "a,ds\n1,2026-01-01\n");
        let mut gone = good();
        gone.path = dir.path().join("none.csv");
        insta::assert_snapshot!(message(gone), @"cannot read DIR/none.csv for seed data.t: there is no such file or folder");
        let mut missing = good();
        missing.columns.insert("b".into(), "int".into());
        insta::assert_snapshot!(message(missing), @"DIR/a.csv has no column `b`, which `columns` of seed data.t names; it has a, ds");
        let mut missing = good();
        missing.partition_by = Partitioning::By(vec!["dt".into()]);
        insta::assert_snapshot!(message(missing), @"DIR/a.csv has no column `dt`, which `partition_by` of seed data.t names; it has a, ds");
        let mut strange = good();
        strange.columns.insert("a".into(), "int); DROP".into());
        insta::assert_snapshot!(message(strange), @"`int); DROP` in `columns` of seed data.t is no type of Hive's");
        let mut strange = good();
        strange.empty_partitions.push("2026-01-01/10".into());
        insta::assert_snapshot!(message(strange), @"`2026-01-01/10` in `empty_partitions` of seed data.t does not give one value for each partition column");
        let ragged = seed(dir.path(), "r.csv", "a,ds\n1,2026-01-01\n2\n");
        insta::assert_snapshot!(message(ragged), @"DIR/r.csv:3: 1 fields, but the header has 2 (seed data.t)");
        let broken = seed(dir.path(), "j.json", "{\"a\":1}\n{\"a\":\n");
        assert!(message(broken).starts_with("DIR/j.json:2: not JSON"));
        insta::assert_snapshot!(message(seed(dir.path(), "_h.csv", "a\n1\n")), @"Spark cannot read DIR/_h.csv for seed data.t: its name starts with `_` or `.`; rename the file");
    }

    #[test]
    fn what_is_wrong_with_a_row_has_file_and_line() {
        let dir = tempfile::tempdir().unwrap();
        let message = |seed: Seed| {
            let error = prepare(seed).unwrap_err();
            assert!(!error.cure().is_empty());
            error
                .to_string()
                .replace(&dir.path().display().to_string(), "DIR")
        };
        let mut typed = seed(dir.path(), "t.csv", "a,ds\n1,2026-01-01\nx,2026-01-01\n");
        typed.columns.insert("a".into(), "bigint".into());
        insta::assert_snapshot!(message(typed), @"DIR/t.csv:3: `x` in column `a` is no bigint, which `columns` declares (seed data.t)");
        let mut typed = seed(dir.path(), "t.json", "{\"a\":1}\n{\"a\":\"x\"}\n");
        typed.columns.insert("a".into(), "int".into());
        insta::assert_snapshot!(message(typed), @r#"DIR/t.json:2: "x" in column `a` is no int, which `columns` declares (seed data.t)"#);
        insta::assert_snapshot!(message(seed(dir.path(), "e.csv", "")), @"DIR/e.csv:1: the file is empty; a CSV seed starts with a header line (seed data.t)");
        insta::assert_snapshot!(message(seed(dir.path(), "e.json", "\n")), @"DIR/e.json:1: no row and no `columns`, so the table would have no columns (seed data.t)");
        let mut folder = seed(dir.path(), "f.csv", "a\n1\n");
        folder.path = dir.path().join("empty");
        fs::create_dir(&folder.path).unwrap();
        insta::assert_snapshot!(message(folder), @"cannot read DIR/empty for seed data.t: the folder holds no file");
        let mut folder = seed(dir.path(), "f.csv", "a\n1\n");
        folder.path = dir.path().join("nested");
        fs::create_dir_all(folder.path.join("more")).unwrap();
        insta::assert_snapshot!(message(folder), @"cannot read DIR/nested/more for seed data.t: only files may be in a seed's folder");
        // A device stands for a pipe, to open which would wait.
        let mut device = seed(dir.path(), "d.csv", "");
        device.path = "/dev/null".into();
        insta::assert_snapshot!(message(device), @"cannot read /dev/null for seed data.t: it is neither a file nor a folder");
    }

    fn no_day<'a>(path: &'a Path, line: u64, value: &'a str, others: usize) -> Option<NoDay<'a>> {
        Some(NoDay {
            path,
            line,
            value,
            others,
        })
    }

    #[test]
    fn a_file_that_is_no_parquet_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let whole = "PAR1 anything PAR1";
        let mut seed = seed(dir.path(), "a.parquet", whole);
        assert!(prepare(seed.clone()).is_ok());
        let day = dir.path().join("folder/ds=2026-01-01");
        fs::create_dir_all(&day).unwrap();
        fs::write(day.join("_SUCCESS"), "").unwrap();
        fs::write(day.join("part-0.parquet"), whole).unwrap();
        for text in ["", "garbage, and enough of it", "PAR1 cut off"] {
            fs::write(&seed.path, text).unwrap();
            let error = prepare(seed.clone()).unwrap_err();
            assert_eq!(error.path(), Some(seed.path.as_path()));
            let text = error.to_string();
            assert!(text.contains("not a complete Parquet file"), "{text}");
        }
        seed.path = dir.path().join("folder");
        assert!(prepare(seed.clone()).is_ok());
        let bad = day.join("part-1.parquet");
        fs::write(&bad, "garbage, and enough of it").unwrap();
        let error = prepare(seed).unwrap_err();
        assert_eq!(error.path(), Some(bad.as_path()));
    }

    #[test]
    fn compressed_files_have_days_like_others() {
        use std::io::Write as _;
        let dir = tempfile::tempdir().unwrap();
        let mut seed = seed(dir.path(), "a.csv", "a,ds\n");
        seed.empty_partitions.push("ds=2026-01-03".into());
        let packed = dir.path().join("b.csv.gz");
        let file = File::create(&packed).unwrap();
        let mut writer = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
        writer
            .write_all(b"a,ds\n1,2026-01-01\n2,20260102\n")
            .unwrap();
        writer.finish().unwrap();
        seed.path = packed.clone();
        let prepared = prepare(seed.clone()).unwrap();
        assert_eq!(types(&prepared), "a bigint, ds string");
        assert_eq!(prepared.days("ds").to_string(), "2026-01-01, 2026-01-03");
        let is_day = |value: &str| value.parse::<Ds>().is_ok();
        assert_eq!(
            prepared.no_day("ds", &is_day),
            no_day(&packed, 3, "20260102", 0)
        );
        assert!(prepared.has_day("ds", &is_day));
        let text = "a,ds\n1,20260102\n1,20260102\n2,20260101\n3,x\n";
        fs::write(dir.path().join("c.csv"), text).unwrap();
        seed.path = dir.path().join("c.csv");
        seed.empty_partitions.clear();
        let prepared = prepare(seed.clone()).unwrap();
        assert_eq!(
            prepared.no_day("ds", &is_day),
            no_day(&seed.path, 2, "20260102", 2)
        );
        assert!(!prepared.has_day("ds", &is_day));
    }

    #[test]
    fn the_fingerprint_follows_file_and_configuration_but_not_the_place() {
        let dir = tempfile::tempdir().unwrap();
        let seed = seed(dir.path(), "a.csv", "a,ds\n1,2026-01-01\n");
        let of = |seed: &Seed| prepare(seed.clone()).unwrap().fingerprint;
        let first = of(&seed);
        let mut moved = seed.clone();
        moved.path = dir.path().join("b.csv");
        fs::copy(&seed.path, &moved.path).unwrap();
        assert_eq!(of(&moved), first);
        let mut other = seed.clone();
        other.null = None;
        assert_ne!(of(&other), first);
        fs::write(&moved.path, "a,ds\n2,2026-01-01\n").unwrap();
        assert_ne!(of(&moved), first);
    }

    #[test]
    fn the_files_of_a_folder_are_one_table() {
        let dir = tempfile::Builder::new().prefix("seed").tempdir().unwrap();
        let mut seed = seed(dir.path(), "a.csv", "a,ds\n1,2026-01-01\n");
        fs::write(dir.path().join("b.csv"), "a,ds\n1.5,2026-01-02\n").unwrap();
        fs::write(dir.path().join("_SUCCESS"), "").unwrap();
        seed.path = dir.path().to_owned();
        assert_eq!(
            types(&prepare(seed.clone()).unwrap()),
            "a double, ds string"
        );
        fs::write(seed.path.join("c.csv"), "b,ds\n1,2026-01-03\n").unwrap();
        assert!(
            prepare(seed)
                .unwrap_err()
                .to_string()
                .contains("another header")
        );
    }

    #[test]
    fn only_tables_made_from_seeds_are_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let prepared = prepare(seed(dir.path(), "a.csv", "a,ds\n1,2026-01-01\n")).unwrap();
        let with = |value: Option<&str>| {
            let mut info = TableInfo::default();
            info.properties
                .extend(value.map(|value| (PROPERTY.to_owned(), value.to_owned())));
            prepared.state(Some(&info))
        };
        assert_eq!(prepared.state(None), State::Missing);
        assert_eq!(with(None), State::Foreign);
        assert_eq!(with(Some("loading")), State::Stale);
        assert_eq!(with(Some(prepared.fingerprint())), State::Loaded);
    }
}
