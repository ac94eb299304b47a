//! What the metastore and the local file system say of single partitions, so that one that was
//! written again can be told from one that was not. Partitions are asked for in batches.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use chronon_run_core::{DayEvidence, Digest, Ds, Evidence, PartitionFormat, RangeSet, Slice};
use futures_util::{StreamExt, TryStreamExt, stream};
use hive_metastore::Partition;
use pilota::FastStr;

use crate::{
    CatalogError, Hive,
    client::{CallError, Session},
    names::{days_of, partition_values},
};

/// Calls in flight at once, over all tables.
const CONCURRENCY: usize = 8;
/// Partitions asked for in one call.
const BATCH: usize = 400;
/// What changes when a partition is written. `numRows` and the like may also change when a table is
/// analysed, which changes no row.
const NOTED: [&str; 3] = ["transient_lastDdlTime", "numFiles", "totalSize"];
/// How deep the files of a partition may lie, so that a link that loops is left.
const DEPTH: u32 = 8;

/// Some days of a table whose evidence is wanted.
#[derive(Clone, Debug)]
pub struct EvidenceRequest {
    /// The partitions.
    pub slice: Slice,
    /// Which days of them.
    pub days: RangeSet,
    /// How the partitions write a day.
    pub format: PartitionFormat,
}

impl Hive {
    /// See [`crate::Catalog::evidence`].
    ///
    /// # Errors
    /// [`CatalogError`] if the metastore is out of reach, too slow, or refuses.
    pub fn evidence(
        &self,
        requests: &[EvidenceRequest],
    ) -> Result<BTreeMap<Slice, DayEvidence>, CatalogError> {
        self.run(|session| evidence(session, requests.to_vec()))
    }
}

async fn evidence(
    session: Session,
    requests: Vec<EvidenceRequest>,
) -> Result<BTreeMap<Slice, DayEvidence>, CallError> {
    let batches: Vec<Batch> = stream::iter(requests)
        .map(|request| batches(session.clone(), request))
        .buffer_unordered(CONCURRENCY)
        .try_collect::<Vec<_>>()
        .await?
        .into_iter()
        .flatten()
        .collect();
    let mut answers = stream::iter(batches)
        .map(|batch| look(session.clone(), batch))
        .buffer_unordered(CONCURRENCY);
    let mut found: BTreeMap<Slice, BTreeMap<Ds, Seen>> = BTreeMap::new();
    while let Some((slice, seen)) = answers.try_next().await? {
        let days = found.entry(slice).or_default();
        for (day, one) in seen {
            days.entry(day).or_default().push(one);
        }
    }
    let days = |seen: BTreeMap<Ds, Seen>| seen.into_iter().map(|(ds, seen)| (ds, together(seen)));
    Ok(found
        .into_iter()
        .map(|(slice, seen)| (slice, days(seen).collect()))
        .collect())
}

/// The evidence of each partition of a day, with the partition's other values.
type Seen = Vec<(String, Evidence)>;

/// Names of partitions that are asked for in one call.
pub(crate) struct Batch {
    slice: Slice,
    /// Where the day stands in the names.
    pub(crate) at: usize,
    format: PartitionFormat,
    pub(crate) names: Vec<FastStr>,
}

/// The names of the wanted partitions of one slice, in batches.
pub(crate) async fn batches(
    session: Session,
    request: EvidenceRequest,
) -> Result<Vec<Batch>, CallError> {
    let EvidenceRequest {
        slice,
        days: wanted,
        format,
    } = request;
    let names = session.partition_names(&slice.table).await?;
    let names = names.unwrap_or_default();
    let Some((at, days)) = days_of(names, &slice.day_column, &format) else {
        return Ok(Vec::new());
    };
    let has_all = |name: &FastStr| {
        let mut wanted = slice.sub_partitions.iter();
        wanted.all(|(column, value)| value_of(name, column).as_ref() == Some(value))
    };
    let names: Vec<FastStr> = days
        .into_iter()
        .filter(|(ds, _)| wanted.contains(*ds))
        .flat_map(|(_, names)| names)
        .filter(has_all)
        .collect();
    let batch = |names: &[FastStr]| Batch {
        slice: slice.clone(),
        at,
        format: format.clone(),
        names: names.to_vec(),
    };
    Ok(names.chunks(BATCH).map(batch).collect())
}

fn value_of(name: &str, column: &str) -> Option<String> {
    let mut pieces = name.split('/');
    let piece = pieces.find(|piece| piece.split('=').next() == Some(column))?;
    partition_values(piece).into_iter().next()
}

async fn look(
    session: Session,
    batch: Batch,
) -> Result<(Slice, Vec<(Ds, (String, Evidence))>), CallError> {
    let Batch {
        slice,
        at,
        format,
        names,
    } = batch;
    let namespace = FastStr::new(slice.table.namespace());
    let table = FastStr::new(slice.table.name());
    let future = session
        .client
        .get_partitions_by_names(namespace, table, names);
    let partitions = session.demand("get_partitions_by_names", future).await?;
    let one = |partition: &Partition| {
        let values: Vec<&str> = partition.values.iter().flatten().map(|v| &**v).collect();
        let ds = format.read(values.get(at)?)?.ds;
        Some((ds, (values.join("/"), of_partition(partition))))
    };
    Ok((slice, partitions.iter().filter_map(one).collect()))
}

fn of_partition(partition: &Partition) -> Evidence {
    let storage = partition.sd.as_ref();
    let location = storage.and_then(|storage| storage.location.as_deref());
    let location = location.unwrap_or_default();
    let parameters = partition.parameters.as_ref();
    let noted = |name: &&str| parameters.and_then(|all| all.get(*name)).map(|v| &**v);
    let mut digest = Digest::default().text(location);
    for value in NOTED.iter().map(noted) {
        digest = digest.text(value.unwrap_or_default());
    }
    let created = partition.create_time.unwrap_or_default().to_string();
    let files = local(location).and_then(|path| files_of(&path));
    let size = files
        .as_ref()
        .map(|files| files.iter().map(|file| file.bytes).sum());
    Evidence {
        files: files.map(|files| digest_of(location, files)),
        catalog: Some(digest.text(&created).value()),
        bytes: size.or_else(|| noted(&"totalSize")?.parse().ok()),
    }
}

/// The evidence of all partitions of one day.
fn together(mut seen: Seen) -> Evidence {
    seen.sort();
    let all = |of: fn(&Evidence) -> Option<i64>| {
        let digests: Option<Vec<i64>> = seen.iter().map(|(_, one)| of(one)).collect();
        let named = seen.iter().map(|(name, _)| name).zip(digests?);
        let digest = named.fold(Digest::default(), |all, (name, digest)| {
            all.text(name).text(&digest.to_string())
        });
        Some(digest.value())
    };
    let bytes = seen.iter().map(|(_, one)| one.bytes);
    Evidence {
        files: all(|one| one.files),
        catalog: all(|one| one.catalog),
        bytes: bytes.sum(),
    }
}

/// The path of a location on this machine.
pub(crate) fn local(location: &str) -> Option<PathBuf> {
    let path = match location.strip_prefix("file:") {
        Some(rest) => match rest.strip_prefix("//") {
            Some(rest) => &rest[rest.find('/')?..],
            None => rest,
        },
        None => location,
    };
    path.starts_with('/').then(|| PathBuf::from(path))
}

/// Whether there are files at a location on this machine. `None` if it is elsewhere or cannot be listed.
pub(crate) fn holds_files(location: &str) -> Option<bool> {
    let files = files_of(&local(location)?)?;
    Some(!files.is_empty())
}

/// The evidence of the files in a partition's folder.
fn digest_of(location: &str, files: Vec<SeenFile>) -> i64 {
    let mut texts: Vec<String> = files.into_iter().map(|file| file.text).collect();
    texts.sort();
    let digest = Digest::default().text(location);
    let texts = texts.iter();
    texts.fold(digest, |all, text| all.text(text)).value()
}

/// A file that Spark would read.
struct SeenFile {
    /// Its path, size and time.
    text: String,
    bytes: u64,
}

/// What lies in a partition's folder. `None` if it cannot be listed: it may be another machine's. A
/// folder that is not there yet, in one that is, has no files.
fn files_of(folder: &Path) -> Option<Vec<SeenFile>> {
    let mut files = Vec::new();
    if folder.exists() {
        list(folder, DEPTH, &mut files)?;
    } else if !folder.parent()?.exists() {
        return None;
    }
    Some(files)
}

/// Adds name, size and time of every file that Spark would read.
fn list(folder: &Path, depth: u32, files: &mut Vec<SeenFile>) -> Option<()> {
    for entry in fs::read_dir(folder).ok()? {
        let entry = entry.ok()?;
        let name = entry.file_name();
        if name.as_encoded_bytes().starts_with(b"_") || name.as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let path = entry.path();
        let metadata = fs::metadata(&path).ok()?;
        if metadata.is_dir() {
            list(&path, depth.checked_sub(1)?, files)?;
            continue;
        }
        let modified = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok();
        let modified = modified.unwrap_or_default().as_nanos();
        let bytes = metadata.len();
        let text = format!("{} {bytes} {modified}", path.display());
        files.push(SeenFile { text, bytes });
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The evidence of what lies in a folder. `None` if it cannot be listed.
    fn of_files(location: &str, folder: &Path) -> Option<i64> {
        Some(digest_of(location, files_of(folder)?))
    }

    #[test]
    fn locations_of_this_machine() {
        let path = |text: &str| local(text).map(|path| path.display().to_string());
        assert_eq!(path("file:/a/b").as_deref(), Some("/a/b"));
        assert_eq!(path("file:///a/b").as_deref(), Some("/a/b"));
        assert_eq!(path("file://localhost/a/b").as_deref(), Some("/a/b"));
        assert_eq!(path("/a/b").as_deref(), Some("/a/b"));
        assert_eq!(path("hdfs://n:8020/a"), None);
        assert_eq!(path("s3a://bucket/a"), None);
    }

    #[test]
    fn files_that_come_and_change_are_seen_and_hidden_ones_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let of = || of_files("x", folder.path()).unwrap();
        let empty = of();
        fs::write(folder.path().join("_SUCCESS"), "").unwrap();
        fs::write(folder.path().join(".part-0.crc"), "x").unwrap();
        assert_eq!(of(), empty);
        let location = format!("file:{}", folder.path().display());
        assert_eq!(holds_files(&location), Some(false));
        fs::write(folder.path().join("part-0"), "x").unwrap();
        assert_eq!(holds_files(&location), Some(true));
        let one = of();
        assert_ne!(one, empty);
        fs::write(folder.path().join("part-0"), "xy").unwrap();
        assert_ne!(of(), one);
    }

    #[test]
    fn the_size_is_that_of_the_files_or_what_the_catalog_notes() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("part-0"), "12345").unwrap();
        fs::write(folder.path().join("_SUCCESS"), "1").unwrap();
        let bytes = |location: &str| {
            let storage = hive_metastore::StorageDescriptor {
                location: Some(FastStr::new(location)),
                ..Default::default()
            };
            let noted = [(FastStr::new("totalSize"), FastStr::new("77"))];
            let partition = Partition {
                sd: Some(storage),
                parameters: Some(noted.into_iter().collect()),
                ..Default::default()
            };
            of_partition(&partition).bytes
        };
        assert_eq!(bytes(&folder.path().display().to_string()), Some(5));
        assert_eq!(bytes("s3a://bucket/table/ds=1"), Some(77));
    }

    #[test]
    fn a_folder_that_is_not_made_yet_is_empty_and_one_elsewhere_is_unknown() {
        let folder = tempfile::tempdir().unwrap();
        let partition = folder.path().join("ds=2026-01-01");
        let before = of_files("x", &partition);
        fs::create_dir(&partition).unwrap();
        assert_eq!(of_files("x", &partition), before);
        assert!(before.is_some());
        assert_eq!(of_files("x", Path::new("/no/such/table/ds=1")), None);
    }

    #[test]
    fn partitions_of_a_day_count_together_whatever_their_order() {
        let one = |name: &str, files: Option<i64>| {
            let evidence = Evidence {
                files,
                catalog: Some(1),
                bytes: files.map(|_| 10),
            };
            (name.to_owned(), evidence)
        };
        let there = together(vec![one("a", Some(1)), one("b", Some(2))]);
        assert_eq!(together(vec![one("b", Some(2)), one("a", Some(1))]), there);
        assert_eq!(there.bytes, Some(20));
        assert_ne!(together(vec![one("a", Some(1))]), there);
        let partly = together(vec![one("a", Some(1)), one("b", None)]);
        assert_eq!((partly.files, partly.bytes), (None, None));
    }
}
