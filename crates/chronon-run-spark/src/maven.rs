//! Jars from a Maven repository: what they are called, where they are kept, and how they get there.
//!
//! A jar is fetched by the user's own programs, with the user's mirrors, proxies and credentials:
//! `curl` from `$CHRONON_MAVEN_MIRROR_PREFIX`, which run.py reads too (§9), else `mvn`, else
//! `curl` from the mirror of `settings.xml`. It appears in the cache by one rename, beside a record
//! of its checksum.

use std::{
    fmt, fs,
    fs::File,
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use chronon_run_core::{CommandLine, secret::mask_text};
use chronon_run_process::{Exit, Helper, replace};
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// The name of one jar: `group:artifact:version`, `group:artifact:version:classifier`, or Maven's
/// own `group:artifact:version:jar:classifier`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Coordinates {
    /// e.g. `ai.chronon`.
    pub group: String,
    /// e.g. `spark_uber_2.12`.
    pub artifact: String,
    /// e.g. `0.0.113`.
    pub version: String,
    /// e.g. `assembly`, which Chronon's Spark jars have unless another one is named (§9).
    pub classifier: Option<String>,
}

impl Coordinates {
    /// Chronon's Driver for a Scala such as `2.12`.
    #[must_use]
    pub fn driver(scala: &str, version: &str) -> Self {
        Self {
            group: "ai.chronon".to_owned(),
            artifact: format!("spark_uber_{scala}"),
            version: version.to_owned(),
            classifier: Some("assembly".to_owned()),
        }
    }

    /// Its file's name.
    #[must_use]
    pub fn file_name(&self) -> String {
        let classifier = self.classifier.as_ref();
        let classifier = classifier
            .map(|name| format!("-{name}"))
            .unwrap_or_default();
        format!("{}-{}{classifier}.jar", self.artifact, self.version)
    }

    /// The name of its POM.
    fn pom_name(&self) -> String {
        format!("{}-{}.pom", self.artifact, self.version)
    }

    /// Its place in any repository.
    fn folder(&self) -> String {
        let group = self.group.replace('.', "/");
        format!("{group}/{}/{}", self.artifact, self.version)
    }
}

impl FromStr for Coordinates {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split(':').collect();
        let (group, artifact, version, classifier) = match words[..] {
            [group, artifact, version] | [group, artifact, version, "jar"] => {
                (group, artifact, version, None)
            }
            [group, artifact, version, classifier]
            | [group, artifact, version, "jar", classifier] => {
                (group, artifact, version, Some(classifier))
            }
            _ => return Err(format!("`{text}` is not group:artifact:version")),
        };
        let plain = |word: &str| {
            let fits = |c: char| c.is_ascii_alphanumeric() || "._-+".contains(c);
            !word.is_empty() && !word.starts_with('.') && word.chars().all(fits)
        };
        let all = [group, artifact, version, classifier.unwrap_or("jar")];
        if !all.into_iter().all(plain) {
            return Err(format!("`{text}` holds a character that no Maven name has"));
        }
        let assembly = group == "ai.chronon" && artifact.starts_with("spark_");
        let classifier = classifier.or(assembly.then_some("assembly"));
        Ok(Self {
            group: group.to_owned(),
            artifact: artifact.to_owned(),
            version: version.to_owned(),
            classifier: classifier.map(str::to_owned),
        })
    }
}

impl fmt::Display for Coordinates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.group, self.artifact, self.version)?;
        match &self.classifier {
            Some(classifier) => write!(f, ":{classifier}"),
            None => Ok(()),
        }
    }
}

/// A jar in the cache.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cached {
    /// Where it is.
    pub path: PathBuf,
    /// Its SHA-256 in hexadecimal digits, as it was when it was fetched.
    pub sha256: String,
    /// Where it came from, without passwords.
    pub from: String,
}

/// What stands beside a jar in the cache.
#[derive(Serialize, Deserialize)]
struct Record {
    coordinates: String,
    sha256: String,
    bytes: u64,
    from: String,
}

/// The user's way to a repository.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Maven {
    /// `$CHRONON_MAVEN_MIRROR_PREFIX`: the root of a repository.
    pub prefix: Option<String>,
    /// `mvn`.
    pub program: Option<PathBuf>,
    /// `~/.m2/settings.xml`, asked for a mirror if there is neither of the above.
    pub settings: Option<PathBuf>,
    /// `curl`.
    pub curl: Option<PathBuf>,
}

/// Why a jar cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum MavenError {
    /// No repository is known.
    #[error(
        "no Maven repository is known: set CHRONON_MAVEN_MIRROR_PREFIX to the root of one, put `mvn` on PATH, or download {file} and name its path as `chronon_jar`"
    )]
    NoRepository {
        /// The jar's file name.
        file: String,
    },
    /// A program that is needed is not there.
    #[error("`{program}` is not on PATH; it is needed to fetch {url}")]
    NoProgram {
        /// Its name.
        program: &'static str,
        /// What it would have fetched.
        url: String,
    },
    /// The program failed.
    #[error("cannot fetch {what}: {why}")]
    Fetch {
        /// Coordinates or an address.
        what: String,
        /// The program's own words.
        why: String,
    },
    /// The repository's own checksum does not fit.
    #[error("{url} is damaged: its SHA-1 is {found}, the repository says {wanted}; try again")]
    Damaged {
        /// Where it came from.
        url: String,
        /// What it is.
        found: String,
        /// What it should be.
        wanted: String,
    },
    /// The cache cannot be used.
    #[error("cannot use the cache {}: {source}", path.display())]
    Cache {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The jar in the cache, if it was fetched and still has its size.
#[must_use]
pub fn cached(coordinates: &Coordinates, cache: &Path) -> Option<Cached> {
    let path = place(coordinates, cache);
    let record = record_of(&path)?;
    let bytes = fs::metadata(&path).ok()?.len();
    (bytes == record.bytes).then_some(Cached {
        path,
        sha256: record.sha256,
        // Earlier versions recorded passwords.
        from: mask_text(&record.from),
    })
}

/// Fetches a jar into the cache, again if it is there already.
///
/// # Errors
/// See [`MavenError`]; the cache is as it was.
pub fn install(
    coordinates: &Coordinates,
    cache: &Path,
    maven: &Maven,
) -> Result<Cached, MavenError> {
    let path = place(coordinates, cache);
    let cache_error = |source| MavenError::Cache {
        path: path.clone(),
        source,
    };
    let work = fetching_folder(&path).map_err(cache_error)?;
    let fetched = work.path().join(coordinates.file_name());
    let from = maven.fetch(coordinates, Packaging::Jar, &fetched)?;
    let sha256 = checksum::<Sha256>(&fetched).map_err(cache_error)?;
    let record = Record {
        coordinates: coordinates.to_string(),
        sha256: sha256.clone(),
        bytes: fs::metadata(&fetched).map_err(cache_error)?.len(),
        from: from.clone(),
    };
    let text = serde_json::to_string_pretty(&record).unwrap_or_default();
    // A record without its jar is no record, and one of another jar has another size.
    replace(&record_path(&path), text).map_err(cache_error)?;
    fs::rename(&fetched, &path).map_err(cache_error)?;
    Ok(Cached { path, sha256, from })
}

/// The POM in the cache, if it was fetched.
#[must_use]
pub fn cached_pom(coordinates: &Coordinates, cache: &Path) -> Option<String> {
    fs::read_to_string(pom_path(coordinates, cache)).ok()
}

/// The POM of an artefact: from the cache, else fetched into it.
///
/// # Errors
/// See [`MavenError`].
pub fn pom(coordinates: &Coordinates, cache: &Path, maven: &Maven) -> Result<String, MavenError> {
    if let Some(text) = cached_pom(coordinates, cache) {
        return Ok(text);
    }
    let path = pom_path(coordinates, cache);
    let cache_error = |source| MavenError::Cache {
        path: path.clone(),
        source,
    };
    let work = fetching_folder(&path).map_err(cache_error)?;
    let fetched = work.path().join(coordinates.pom_name());
    maven.fetch(coordinates, Packaging::Pom, &fetched)?;
    let text = fs::read_to_string(&fetched).map_err(cache_error)?;
    fs::rename(&fetched, &path).map_err(cache_error)?;
    Ok(text)
}

fn pom_path(coordinates: &Coordinates, cache: &Path) -> PathBuf {
    let folder = cache.join("jars").join(coordinates.folder());
    folder.join(coordinates.pom_name())
}

/// Which file of an artefact.
#[derive(Clone, Copy, PartialEq)]
enum Packaging {
    Jar,
    Pom,
}

impl Packaging {
    fn file_name(self, coordinates: &Coordinates) -> String {
        match self {
            Self::Jar => coordinates.file_name(),
            Self::Pom => coordinates.pom_name(),
        }
    }
}

/// The SHA-256 of a file in hexadecimal digits.
///
/// # Errors
/// If it cannot be read.
pub fn sha256(path: &Path) -> io::Result<String> {
    checksum::<Sha256>(path)
}

/// The SHA-256 of a text in hexadecimal digits.
#[must_use]
pub fn text_sha256(text: &str) -> String {
    bytes_sha256(text.as_bytes())
}

/// The SHA-256 of bytes in hexadecimal digits.
pub(crate) fn bytes_sha256(bytes: &[u8]) -> String {
    let digits = Sha256::digest(bytes);
    digits.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The SHA-256 of a file that seldom changes: computed again only if the file's identity (inode,
/// size, times of change) is another than when it was computed last. The answer is kept beside the
/// file where that folder can be written.
///
/// # Errors
/// If the file cannot be read.
pub fn sha256_unless_unchanged(path: &Path) -> io::Result<String> {
    let identity = Identity::of(&fs::metadata(path)?);
    let kept = path.with_extension("jar.checked.json");
    let known = fs::read(&kept).ok();
    let known = known.and_then(|bytes| serde_json::from_slice::<Checked>(&bytes).ok());
    if let Some(known) = known.filter(|known| known.identity == identity) {
        return Ok(known.sha256);
    }
    let sha256 = checksum::<Sha256>(path)?;
    let checked = Checked {
        identity,
        sha256: sha256.clone(),
    };
    // Without it the file is read again next time.
    let _ = replace(&kept, serde_json::to_vec(&checked).unwrap_or_default());
    Ok(sha256)
}

/// A checksum, and the file that it is of.
#[derive(Serialize, Deserialize)]
struct Checked {
    identity: Identity,
    sha256: String,
}

/// What changes when a file is written or replaced. The time of change cannot be set by a program.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Identity {
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Identity {
    pub(crate) fn of(metadata: &fs::Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// Where a jar is in the cache, once it was fetched.
#[must_use]
pub fn place(coordinates: &Coordinates, cache: &Path) -> PathBuf {
    let folder = cache.join("jars").join(coordinates.folder());
    folder.join(coordinates.file_name())
}

fn record_path(jar: &Path) -> PathBuf {
    jar.with_extension("jar.json")
}

/// The record beside a jar of the cache.
fn record_of(jar: &Path) -> Option<Record> {
    serde_json::from_slice(&fs::read(record_path(jar)).ok()?).ok()
}

/// A folder beside `place` for a file that is being fetched; removed with the returned value.
fn fetching_folder(place: &Path) -> io::Result<tempfile::TempDir> {
    let folder = place.parent().unwrap_or(place);
    fs::create_dir_all(folder)?;
    tempfile::Builder::new()
        .prefix(".fetching-")
        .tempdir_in(folder)
}

impl Maven {
    /// Puts the file at `to`; where it came from.
    fn fetch(
        &self,
        coordinates: &Coordinates,
        packaging: Packaging,
        to: &Path,
    ) -> Result<String, MavenError> {
        if let Some(prefix) = &self.prefix {
            return self.get(prefix, coordinates, packaging, to);
        }
        if let Some(program) = &self.program {
            return copy_by_maven(program, coordinates, packaging, to);
        }
        match self.mirror() {
            Some(prefix) => self.get(&prefix, coordinates, packaging, to),
            None => Err(MavenError::NoRepository {
                file: packaging.file_name(coordinates),
            }),
        }
    }

    /// A plain download, checked against the repository's own checksum if it has one.
    fn get(
        &self,
        prefix: &str,
        coordinates: &Coordinates,
        packaging: Packaging,
        to: &Path,
    ) -> Result<String, MavenError> {
        let prefix = prefix.trim_end_matches('/');
        let (folder, file) = (coordinates.folder(), packaging.file_name(coordinates));
        let url = format!("{prefix}/{folder}/{file}");
        self.curl(&url, to)?;
        let beside = to.with_extension("sha1");
        if self.curl(&format!("{url}.sha1"), &beside).is_ok() {
            let cache_error = |source| MavenError::Cache {
                path: to.to_owned(),
                source,
            };
            let text = fs::read_to_string(&beside).map_err(cache_error)?;
            let wanted = text.split_whitespace().next().unwrap_or_default();
            let found = checksum::<Sha1>(to).map_err(cache_error)?;
            if !wanted.eq_ignore_ascii_case(&found) {
                let (url, wanted) = (mask_text(&url), wanted.to_owned());
                return Err(MavenError::Damaged { url, found, wanted });
            }
        }
        Ok(mask_text(&url))
    }

    /// Fetches an address, which curl reads from stdin: every user sees the arguments of processes, and
    /// the address may hold a password.
    fn curl(&self, url: &str, to: &Path) -> Result<(), MavenError> {
        let shown = mask_text(url);
        let program = self.curl.as_ref().ok_or_else(|| MavenError::NoProgram {
            program: "curl",
            url: shown.clone(),
        })?;
        let mut argv = vec![program.display().to_string()];
        argv.extend(CURL.map(str::to_owned));
        argv.push(to.display().to_string());
        let curl = CommandLine {
            argv,
            ..CommandLine::default()
        };
        let helper = Helper::new(&curl).input(curl_config(url).into_bytes());
        run(helper, &shown, |said| {
            let last = said.lines().last().unwrap_or("curl ended without a word");
            mask_text(last)
        })
    }

    /// The first mirror of `settings.xml` that stands for Maven Central.
    fn mirror(&self) -> Option<String> {
        let text = fs::read_to_string(self.settings.as_ref()?).ok()?;
        mirror_in(&text)
    }
}

/// How curl is called, before the file.
const CURL: [&str; 9] = [
    "--fail",
    "--silent",
    "--show-error",
    "--location",
    "--connect-timeout",
    "10",
    "--config",
    "-",
    "--output",
];

/// The lines of a configuration file of curl that name the address.
fn curl_config(url: &str) -> String {
    let quoted = url.replace('\\', "\\\\").replace('"', "\\\"");
    format!("url = \"{quoted}\"\n")
}

/// How long one jar may take: an assembly has hundreds of megabytes.
const FETCHING: Duration = Duration::from_secs(60 * 60);

fn mirror_in(settings: &str) -> Option<String> {
    let document = roxmltree::Document::parse(settings).ok()?;
    let named = |node: roxmltree::Node<'_, '_>, name: &str| {
        let mut children = node.children();
        let child = children.find(|child| child.tag_name().name() == name)?;
        child.text().map(|text| text.trim().to_owned())
    };
    let mut mirrors = document
        .descendants()
        .filter(|node| node.tag_name().name() == "mirror");
    mirrors.find_map(|mirror| {
        let of = named(mirror, "mirrorOf")?;
        let stands = of
            .split(',')
            .any(|word| matches!(word.trim(), "*" | "central" | "external:*"));
        let blocked = named(mirror, "blocked").as_deref() == Some("true");
        (stands && !blocked && !of.contains("!central")).then(|| named(mirror, "url"))?
    })
}

/// `mvn dependency:copy`, in an empty folder, so that no project of the user's takes part.
fn copy_by_maven(
    program: &Path,
    coordinates: &Coordinates,
    packaging: Packaging,
    to: &Path,
) -> Result<String, MavenError> {
    let folder = to.parent().unwrap_or(Path::new("."));
    let Coordinates {
        group,
        artifact,
        version,
        classifier,
    } = coordinates;
    let classifier = classifier.as_ref().map(|name| format!(":{name}"));
    let name = match packaging {
        Packaging::Jar => format!(
            "{group}:{artifact}:{version}:jar{}",
            classifier.unwrap_or_default()
        ),
        Packaging::Pom => format!("{group}:{artifact}:{version}:pom"),
    };
    let mut argv = vec![program.display().to_string()];
    argv.extend(["--batch-mode", "--quiet", "dependency:copy"].map(str::to_owned));
    argv.push(format!("-Dartifact={name}"));
    argv.push(format!("-DoutputDirectory={}", folder.display()));
    argv.extend(["-Dmdep.useBaseVersion=true", "-Dmdep.stripVersion=false"].map(str::to_owned));
    let maven = CommandLine {
        argv,
        env: Vec::new(),
        cwd: Some(folder.to_owned()),
    };
    run(Helper::new(&maven), &name, |said| maven_error(&said))?;
    if !to.exists() {
        return Err(MavenError::Fetch {
            what: name,
            why: format!(
                "mvn ended well but left no {}",
                packaging.file_name(coordinates)
            ),
        });
    }
    Ok("mvn".to_owned())
}

/// The first error that Maven names.
fn maven_error(said: &str) -> String {
    let mut lines = said.lines();
    let error = lines.find_map(|line| line.strip_prefix("[ERROR] "));
    let text = error
        .or(said.lines().last())
        .unwrap_or("mvn ended without a word");
    text.chars().take(400).collect()
}

fn run(
    helper: Helper<'_>,
    what: &str,
    explain: impl FnOnce(String) -> String,
) -> Result<(), MavenError> {
    let failed = |why: String| MavenError::Fetch {
        what: what.to_owned(),
        why,
    };
    match helper.limit(FETCHING).output() {
        Ok((Exit::Code(0), _)) => Ok(()),
        Ok((_, said)) => Err(failed(explain(said))),
        Err(error) => Err(failed(error.to_string())),
    }
}

fn checksum<D: Digest>(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut digest = D::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let length = file.read(&mut buffer)?;
        if length == 0 {
            break;
        }
        digest.update(&buffer[..length]);
    }
    let digits = digest.finalize();
    Ok(digits.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn driver() -> Coordinates {
        Coordinates::driver("2.12", "0.0.113")
    }

    #[test]
    fn coordinates_are_read_and_written() {
        let file = "spark_uber_2.12-0.0.113-assembly.jar";
        for text in [
            "ai.chronon:spark_uber_2.12:0.0.113",
            "ai.chronon:spark_uber_2.12:0.0.113:assembly",
            "ai.chronon:spark_uber_2.12:0.0.113:jar:assembly",
        ] {
            let read: Coordinates = text.parse().unwrap();
            assert_eq!(read, driver());
            assert_eq!(read.file_name(), file);
            assert_eq!(
                read.to_string(),
                "ai.chronon:spark_uber_2.12:0.0.113:assembly"
            );
        }
        let other: Coordinates = "com.example:online:1.0".parse().unwrap();
        assert_eq!(other.file_name(), "online-1.0.jar");
        for bad in ["a:b", "a:b:c:d:e:f", "a:../b:c", "a:b:", "a:b:c d"] {
            assert!(bad.parse::<Coordinates>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_mirror_of_central_is_found() {
        let settings = |of: &str| {
            format!(
                "<settings xmlns=\"http://maven.apache.org/SETTINGS/1.0.0\"><mirrors>\
                 <mirror><id>x</id><mirrorOf>internal</mirrorOf><url>http://no</url></mirror>\
                 <mirror><mirrorOf>{of}</mirrorOf><url> http://mirror/maven </url></mirror>\
                 </mirrors></settings>"
            )
        };
        let found = Some("http://mirror/maven".to_owned());
        assert_eq!(mirror_in(&settings("*")), found);
        assert_eq!(mirror_in(&settings("central")), found);
        assert_eq!(mirror_in(&settings("*,!central")), None);
        assert_eq!(mirror_in("<settings/>"), None);
        assert_eq!(mirror_in("no xml"), None);
    }

    /// A program of the user's that does `script`.
    fn program(folder: &Path, name: &str, script: &str) -> PathBuf {
        let path = folder.join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[test]
    fn the_user_s_maven_is_asked() {
        let folder = tempfile::tempdir().unwrap();
        let script = r#"for word in "$@"; do case "$word" in
            -Dartifact=*) artifact=${word#*=};; -DoutputDirectory=*) to=${word#*=};; esac; done
            [ "$artifact" = ai.chronon:spark_uber_2.12:0.0.113:jar:assembly ] || { echo "[ERROR] Could not find artifact $artifact"; exit 1; }
            printf jar > "$to/spark_uber_2.12-0.0.113-assembly.jar""#;
        let maven = Maven {
            program: Some(program(folder.path(), "mvn", script)),
            ..Maven::default()
        };
        let cache = folder.path().join("cache");
        assert_eq!(cached(&driver(), &cache), None);
        let got = install(&driver(), &cache, &maven).unwrap();
        assert_eq!(fs::read(&got.path).unwrap(), b"jar");
        assert_eq!(cached(&driver(), &cache), Some(got.clone()));
        // It was truncated.
        fs::write(&got.path, "j").unwrap();
        assert_eq!(cached(&driver(), &cache), None);
        let error = install(&Coordinates::driver("2.12", "9"), &cache, &maven).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot fetch ai.chronon:spark_uber_2.12:9:jar:assembly: Could not find artifact \
             ai.chronon:spark_uber_2.12:9:jar:assembly"
        );
    }

    #[test]
    fn a_password_of_the_repository_is_neither_an_argument_nor_recorded() {
        let folder = tempfile::tempdir().unwrap();
        let script = r#"here=${0%/*}; echo "$@" >> "$here/arguments"; cat >> "$here/stdin"
            while [ "$1" != --output ]; do shift; done
            case "$2" in *.jar) printf jar > "$2";; *) exit 22;; esac"#;
        let maven = Maven {
            prefix: Some("http://user:pass\"word@host/maven".to_owned()),
            curl: Some(program(folder.path(), "curl", script)),
            ..Maven::default()
        };
        let cache = folder.path().join("cache");
        let got = install(&driver(), &cache, &maven).unwrap();
        let read = |path: &Path| fs::read_to_string(path).unwrap();
        let arguments = read(&folder.path().join("arguments"));
        assert!(arguments.contains("--config -"), "{arguments}");
        let asked = read(&folder.path().join("stdin"));
        let wanted = "url = \"http://user:pass\\\"word@host/maven/ai/chronon/";
        assert!(asked.starts_with(wanted), "{asked}");
        for text in [arguments, got.from, read(&record_path(&got.path))] {
            assert!(!text.contains("pass"), "{text}");
        }
    }

    #[test]
    fn an_error_of_curl_has_no_password() {
        let folder = tempfile::tempdir().unwrap();
        let script = "echo 'curl: (3) bad URL http://user:password@host/maven'; exit 3";
        let mut maven = Maven {
            prefix: Some("http://user:password@host/maven".to_owned()),
            curl: Some(program(folder.path(), "curl", script)),
            ..Maven::default()
        };
        let cache = folder.path().join("cache");
        let failed = install(&driver(), &cache, &maven).unwrap_err().to_string();
        maven.curl = None;
        let missing = install(&driver(), &cache, &maven).unwrap_err().to_string();
        for text in [failed, missing] {
            assert!(text.contains("host/maven"), "{text}");
            assert!(!text.contains("password"), "{text}");
        }
    }

    #[test]
    fn without_any_way_the_error_names_them_all() {
        let folder = tempfile::tempdir().unwrap();
        let error = install(&driver(), folder.path(), &Maven::default()).unwrap_err();
        let text = error.to_string();
        for word in [
            "CHRONON_MAVEN_MIRROR_PREFIX",
            "mvn",
            "spark_uber_2.12-0.0.113-assembly.jar",
        ] {
            assert!(text.contains(word), "{text}");
        }
    }
}
