//! `chronon-run doctor`: looks at everything that a report of a bug needs. Downloads and starts nothing.

use std::{
    env, fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    time::Duration,
};

use chronon_run_catalog::{Catalog, Timeouts, embedded};
use chronon_run_core::{
    Diagnostic, TableName,
    secret::{mask, mask_text},
};
use chronon_run_ledger::inspect;
use chronon_run_process::{User, allows_execution, disk, is_writable, open_files, processes, used};
use chronon_run_project::{
    failure::Failure,
    listing::session::{metastore_directory, spark_environment},
    loading::{
        jars, machine,
        project::{self as context, Project},
        supply,
    },
    output::{json, print},
};
use chronon_run_report::{Check, Verdict, checkup, count, having, screen_width, size};
use chronon_run_spark::{self as spark, Found, Origin, Spark};
use chronon_run_workspace::{Catalog as CatalogSettings, EngineKind, Workspace};
use serde::Serialize;

use crate::cli::{DoctorArgs, Output};

/// Below this many free bytes nothing of use can be written.
const LEAST_ROOM: u64 = 64 << 20;
/// Below this many, a run may fill the disk.
const LITTLE_ROOM: u64 = 1 << 30;

pub(crate) fn run(args: &DoctorArgs) -> Result<(), Failure> {
    let workspace = workspace();
    let of_workspace = workspace.as_ref().ok().and_then(Option::as_ref);
    let found = spark::find(&spark_environment(of_workspace)).map_err(|error| error.to_string());
    let mut checks = program();
    checks.extend(of_machine());
    checks.extend(environment());
    checks.extend(of_engine(of_workspace, &found));
    checks.extend(of_confs(&workspace));
    if let Some(workspace) = of_workspace {
        checks.extend(of_state(workspace));
        checks.push(of_catalog(workspace));
    }
    let problems = having(&checks, Verdict::Problem);
    print(&match args.output {
        Output::Text => checkup(&checks, screen_width()),
        Output::Json => json(&Report {
            version: 1,
            problems,
            checks: &checks,
        })?,
    })?;
    match problems {
        0 => Ok(()),
        _ => Err(Failure::StepFailed),
    }
}

#[derive(Serialize)]
struct Report<'a> {
    version: u32,
    problems: usize,
    checks: &'a [Check],
}

/// The workspace around here; an error says why it cannot be read.
fn workspace() -> Result<Option<Workspace>, Vec<Diagnostic>> {
    context::workspace().map_err(|failure| match failure {
        Failure::Findings(findings) => findings,
        other => vec![Diagnostic::error("environment", other.text())],
    })
}

/// Version and commit of this program.
pub(crate) fn version() -> String {
    let version = env!("CARGO_PKG_VERSION");
    match env!("CHRONON_RUN_COMMIT") {
        "" => format!("{version} (commit not known)"),
        commit => format!("{version} ({commit})"),
    }
}

/// What `--version` prints: this program, and the Spark and Java that it finds here.
pub(crate) fn versions() -> String {
    let mut text = format!("chronon-run {}\n", version());
    let workspace = workspace().ok().flatten();
    let found = match spark::find(&spark_environment(workspace.as_ref())) {
        Ok(found) => found,
        Err(error) => return text + &format!("Spark: {error}\n"),
    };
    text += &match &found.spark {
        Some(spark) => format!("Spark {} in {}\n", spark.version, spark.home.display()),
        None => "Spark: none found\n".to_owned(),
    };
    text += &match &found.java {
        Some(java) => format!("Java {} in {}\n", java.version, java.home.display()),
        None => "Java: none found\n".to_owned(),
    };
    text
}

fn program() -> Vec<Check> {
    const SECTION: &str = "chronon-run";
    let path = env::current_exe().map_or_else(|error| error.to_string(), |it| shown(&it));
    vec![
        Check::info(SECTION, "version", version()),
        Check::info(SECTION, "program", path),
    ]
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn of_machine() -> Vec<Check> {
    const SECTION: &str = "machine";
    let user = User::current();
    let uid = user.uid;
    let of_user = match user.name {
        Some(name) => Check::info(SECTION, "user", format!("{name} ({uid})")),
        None => Check::new(SECTION, "user", Verdict::Warning, format!("{uid}, which has no name"))
            .hint("Hadoop's login needs one: add an entry to /etc/passwd, or start the command under nss_wrapper"),
    };
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    let limit = |text: Option<String>| text.unwrap_or_else(|| "not limited".to_owned());
    let temporary = env::temp_dir();
    let (verdict, rights) = match (is_writable(&temporary), allows_execution(&temporary)) {
        (false, _) => (Verdict::Problem, ", not writable"),
        (true, false) => (Verdict::Info, ", mounted noexec"),
        (true, true) => (Verdict::Ok, ""),
    };
    vec![
        Check::info(SECTION, "system", system()),
        of_user,
        Check::info(SECTION, "processors", processors),
        Check::info(
            SECTION,
            "open files",
            limit(open_files().map(|n| n.to_string())),
        ),
        Check::info(
            SECTION,
            "processes",
            limit(processes().map(|it| format!("{} of {} in use", it.used, it.limit))),
        ),
        Check::new(SECTION, "temporary", verdict, shown(&temporary) + rights),
    ]
}

/// Kernel, architecture and distribution.
fn system() -> String {
    let line = |path: &str| fs::read_to_string(path).ok();
    let kernel = line("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = line("/etc/os-release").unwrap_or_default();
    let name = release
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let name = name.map(|name| format!(", {}", name.trim_matches('"')));
    format!(
        "{} {} {}{}",
        env::consts::OS,
        kernel.trim(),
        env::consts::ARCH,
        name.unwrap_or_default()
    )
}

/// Variables that change what this program, Spark or Java do.
const VARIABLES: [&str; 24] = [
    "LC_ALL",
    "LC_CTYPE",
    "LANG",
    "TZ",
    "SPARK_HOME",
    "SPARK_CONF_DIR",
    "SPARK_SUBMIT_OPTS",
    "SPARK_DIST_CLASSPATH",
    "SPARK_LOCAL_DIRS",
    "HADOOP_CONF_DIR",
    "HADOOP_USER_NAME",
    "YARN_CONF_DIR",
    "HIVE_CONF_DIR",
    "JAVA_HOME",
    "JAVA_TOOL_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "CHRONON_RUN_CACHE",
    "CHRONON_RUN_STATE",
    "CHRONON_MAVEN_MIRROR_PREFIX",
    "XDG_CACHE_HOME",
    "PIP_INDEX_URL",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

fn environment() -> Vec<Check> {
    let set = VARIABLES.iter().filter_map(|name| {
        let value = env::var_os(name)?;
        let value = mask(name, &value.to_string_lossy());
        Some(Check::info("environment", name, value))
    });
    let set: Vec<Check> = set.collect();
    match set.is_empty() {
        true => vec![Check::info("environment", "variables", "none that matter")],
        false => set,
    }
}

fn of_engine(workspace: Option<&Workspace>, found: &Result<Found, String>) -> Vec<Check> {
    const SECTION: &str = "engine";
    let install = "`chronon-run engine install` installs what is missing";
    let mut checks = Vec::new();
    if let Some(workspace) = workspace {
        let kind = match workspace.engine.kind {
            EngineKind::Sql => "sql",
            EngineKind::Chronon => "chronon",
        };
        checks.push(Check::info(SECTION, "kind", kind));
    }
    let found = match found {
        Ok(found) => found,
        Err(error) => {
            checks.push(Check::new(SECTION, "Spark", Verdict::Problem, error));
            return checks;
        }
    };
    checks.push(match &found.spark {
        Some(spark) => Check::new(
            SECTION,
            "Spark",
            Verdict::Ok,
            format!(
                "{} (Scala {}) in {}, {}",
                spark.version,
                spark.scala,
                spark.home.display(),
                whence(spark.origin, "spark_home", "SPARK_HOME")
            ),
        ),
        None => Check::new(SECTION, "Spark", Verdict::Warning, "none found").hint(install),
    });
    checks.push(match &found.java {
        Some(java) => Check::new(
            SECTION,
            "Java",
            Verdict::Ok,
            format!(
                "{} in {}, {}",
                java.version,
                java.home.display(),
                whence(java.origin, "java_home", "JAVA_HOME")
            ),
        ),
        None => Check::new(SECTION, "Java", Verdict::Warning, "none found").hint(install),
    });
    if let Some(unfit) = found.unfit_text() {
        checks.push(Check::info(SECTION, "not used", unfit));
    }
    if let (Some(spark), Some(java)) = (&found.spark, &found.java) {
        let spark = Spark {
            spark: spark.clone(),
            java: java.clone(),
        };
        checks.extend(files(workspace, &spark));
    }
    checks.extend(of_cache(workspace));
    checks
}

fn whence(origin: Origin, key: &str, variable: &str) -> String {
    match origin {
        Origin::Workspace => format!("from `{key}` of workspace.toml"),
        Origin::Environment => format!("from {variable}"),
        Origin::Path => "from PATH".to_owned(),
        Origin::Installed => "installed by chronon-run".to_owned(),
    }
}

/// Whether the files of Spark, Java and the jars are those that were installed, and the machine's limits
/// are high enough for this Spark.
fn files(workspace: Option<&Workspace>, spark: &Spark) -> Vec<Check> {
    const SECTION: &str = "engine";
    let mut findings = supply::findings(workspace, spark, false);
    if let Some(workspace) = workspace {
        findings.extend(jars::findings(workspace, Some(spark), false));
    }
    let mut checks: Vec<Check> = findings
        .iter()
        .map(|finding| of_finding(SECTION, finding))
        .collect();
    if checks.is_empty() {
        let homes = supply::installed(spark).into_iter();
        checks.extend(homes.map(|(what, home)| {
            let name = format!("files of {what}");
            Check::info(SECTION, &name, supply::words(home))
        }));
    }
    if let Some(words) = supply::foreign_words(workspace, spark) {
        let differs = words.starts_with("since");
        let verdict = if differs {
            Verdict::Warning
        } else {
            Verdict::Ok
        };
        checks.push(Check::new(SECTION, "files of Spark", verdict, words));
    }
    if let Err(Failure::Setup { message, hint }) = machine::check_limits(spark) {
        let check = Check::new(SECTION, "limits", Verdict::Problem, message);
        checks.push(check.hint(hint.unwrap_or_default()));
    }
    checks
}

fn of_finding(section: &'static str, finding: &Diagnostic) -> Check {
    let verdict = match finding.is_error() {
        true => Verdict::Problem,
        false => Verdict::Warning,
    };
    let check = Check::new(section, finding.code, verdict, mask_text(&finding.message));
    match &finding.hint {
        Some(hint) => check.hint(hint.as_str()),
        None => check,
    }
}

fn of_cache(workspace: Option<&Workspace>) -> Vec<Check> {
    const SECTION: &str = "engine";
    let Some(cache) = spark_environment(workspace).cache else {
        let nowhere = "none: neither CHRONON_RUN_CACHE nor HOME is set";
        return vec![Check::new(SECTION, "cache", Verdict::Warning, nowhere)];
    };
    let there = match cache.is_dir() {
        true if is_writable(&cache) => format!("{}, {}", cache.display(), size(used(&cache).bytes)),
        true => format!("{}, not writable", cache.display()),
        false => format!("{}, not there yet", cache.display()),
    };
    vec![
        Check::info(SECTION, "cache", there),
        room(SECTION, "free in cache", &cache),
    ]
}

/// How much room a folder's disk has.
fn room(section: &'static str, name: &str, folder: &Path) -> Check {
    let Some(found) = disk(folder) else {
        return Check::info(section, name, "not known");
    };
    let text = format!("{} of {}", size(found.free), size(found.total));
    match found.free {
        0..LEAST_ROOM => Check::new(section, name, Verdict::Problem, text)
            .hint(format!("make room on the disk of {}", folder.display())),
        LEAST_ROOM..LITTLE_ROOM => Check::new(section, name, Verdict::Warning, text),
        _ => Check::new(section, name, Verdict::Ok, text),
    }
}

/// How many findings `check --offline` has.
fn of_confs(workspace: &Result<Option<Workspace>, Vec<Diagnostic>>) -> Vec<Check> {
    const SECTION: &str = "workspace";
    let hint = "`chronon-run check` shows them";
    let summary = |findings: &[Diagnostic]| {
        let errors = findings.iter().filter(|it| it.is_error()).count();
        let warnings = findings.len() - errors;
        let text = format!(
            "{}, {}",
            count(errors as u64, "error"),
            count(warnings as u64, "warning")
        );
        match (errors, warnings) {
            (0, 0) => Check::new(SECTION, "findings", Verdict::Ok, "none"),
            (0, _) => Check::new(SECTION, "findings", Verdict::Warning, text).hint(hint),
            _ => Check::new(SECTION, "findings", Verdict::Problem, text).hint(hint),
        }
    };
    let workspace = match workspace {
        Ok(Some(workspace)) => workspace,
        Ok(None) => {
            let none = "there is no workspace.toml here or above";
            return vec![
                Check::new(SECTION, "file", Verdict::Warning, none)
                    .hint("`-C DIR` looks elsewhere; `chronon-run init REPO` writes one"),
            ];
        }
        Err(findings) => return vec![summary(findings)],
    };
    let file = Check::info(SECTION, "file", shown(&workspace.file));
    let repo = Check::info(SECTION, "repo", shown(&workspace.repo));
    match Project::load_with_findings() {
        Ok((context, findings)) => {
            let found = format!(
                "{}, {}",
                count(context.conf_count(), "conf"),
                count(context.graph.assets.len() as u64, "asset")
            );
            vec![
                file,
                repo,
                Check::info(SECTION, "confs", found),
                summary(&findings),
            ]
        }
        Err(Failure::Findings(findings)) => vec![file, repo, summary(&findings)],
        Err(failure) => vec![
            file,
            repo,
            Check::new(SECTION, "confs", Verdict::Problem, failure.text()),
        ],
    }
}

fn of_state(workspace: &Workspace) -> Vec<Check> {
    const SECTION: &str = "state folder";
    let folder = &workspace.state_dir;
    let Ok(found) = fs::metadata(folder) else {
        return vec![
            Check::info(
                SECTION,
                "folder",
                format!("{}, not there yet", folder.display()),
            ),
            room(SECTION, "free", folder),
        ];
    };
    let owner = User::owner_of(folder);
    let owner = owner.map_or_else(String::new, |owner| match owner.name {
        Some(name) => name,
        None => owner.uid.to_string(),
    });
    let mode = found.permissions().mode() & 0o7777;
    let rights = format!("{mode:04o}, owner {owner}, group {}", found.gid());
    let rights = match (mode & 0o002 != 0, is_writable(folder)) {
        (true, _) => Check::new(SECTION, "rights", Verdict::Warning, rights)
            .hint("every user of the machine can change what runs here: `chmod o-w` it"),
        (false, false) => {
            let text = rights + ", not writable by this user";
            Check::new(SECTION, "rights", Verdict::Warning, text)
        }
        (false, true) => Check::new(SECTION, "rights", Verdict::Ok, rights),
    };
    let held = used(folder);
    let held = format!("{} in {}", size(held.bytes), count(held.files, "file"));
    vec![
        Check::info(SECTION, "folder", shown(folder)),
        rights,
        Check::info(SECTION, "size", held),
        room(SECTION, "free", folder),
        of_ledger(&folder.join("ledger.db")),
    ]
}

fn of_ledger(path: &Path) -> Check {
    let check = |verdict, text: String| Check::new("state folder", "ledger", verdict, text);
    if fs::symlink_metadata(path).is_err() {
        return check(Verdict::Info, "nothing was run yet".to_owned());
    }
    let found = match inspect(path) {
        Ok(found) => found,
        Err(why) => return check(Verdict::Problem, format!("cannot be read: {why}")),
    };
    let held = format!(
        "{}, {}",
        count(found.runs, "run"),
        count(found.steps, "step")
    );
    match (found.damage, found.is_newer) {
        (Some(damage), _) => check(Verdict::Problem, format!("{held}; damaged: {damage}")).hint(
            "the next run keeps it under another name and begins a new one with what can be read",
        ),
        (None, true) => check(
            Verdict::Warning,
            format!("{held}; written by a newer version"),
        ),
        (None, false) => check(Verdict::Ok, format!("{held}, no damage")),
    }
}

/// How long a metastore may take to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// Whether the catalog answers. An embedded metastore is not started for this.
fn of_catalog(workspace: &Workspace) -> Check {
    let check = |verdict, text: String| Check::new("catalog", "metastore", verdict, text);
    match &workspace.catalog {
        CatalogSettings::Embedded { .. } => {
            let folder = metastore_directory(workspace);
            match (embedded::is_usable(&folder), embedded::is_running(&folder)) {
                (false, _) => check(
                    Verdict::Warning,
                    format!("embedded, {}, of another user", folder.display()),
                ),
                (true, true) => check(Verdict::Ok, "embedded, runs".to_owned()),
                (true, false) => check(
                    Verdict::Ok,
                    "embedded, does not run now; a command starts it".to_owned(),
                ),
            }
        }
        CatalogSettings::Hive { uri, .. } => {
            let shown = mask_text(uri);
            let timeouts = Timeouts {
                connect: ANSWER,
                call: ANSWER,
            };
            match Catalog::connect(uri, timeouts).and_then(|catalog| asked(&catalog)) {
                Ok(()) => check(Verdict::Ok, format!("{shown} answers")),
                Err(error) => check(
                    Verdict::Problem,
                    format!("{shown}: {}", mask_text(&error.to_string())),
                )
                .hint("correct `uri` under [catalog], or start the metastore"),
            }
        }
        CatalogSettings::Fixture { path } => match asked(&Catalog::fixture(path)) {
            Ok(()) => check(Verdict::Ok, format!("fixture {}", path.display())),
            Err(error) => check(Verdict::Problem, error.to_string()),
        },
    }
}

/// Asks for a table that need not exist.
fn asked(catalog: &Catalog) -> Result<(), chronon_run_catalog::CatalogError> {
    let Ok(table) = "default.chronon_run_doctor".parse::<TableName>() else {
        return Ok(());
    };
    catalog.snapshot(&[(table, Vec::new())]).map(drop)
}
