//! The machine, its user and the environment.

use std::{env, fs, path::Path};

use chronon_run_core::secret::mask;
use chronon_run_process::{User, allows_execution, is_writable, open_files, processes};
use chronon_run_report::{Check, Verdict};

use super::disk::shown;

const SECTION: &str = "machine";

pub(super) fn of_machine() -> Vec<Check> {
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    let limit = |text: Option<String>| text.unwrap_or_else(|| "not limited".to_owned());
    let temporary = env::temp_dir();
    let (writable, executable) = (is_writable(&temporary), allows_execution(&temporary));
    vec![
        Check::info(SECTION, "system", system()),
        of_user(User::current()),
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
        of_temporary(&temporary, writable, executable),
    ]
}

fn of_user(user: User) -> Check {
    let uid = user.uid;
    match user.name {
        Some(name) => Check::info(SECTION, "user", format!("{name} ({uid})")),
        None => Check::new(SECTION, "user", Verdict::Warning, format!("{uid}, which has no name"))
            .hint("Hadoop's login needs one: add an entry to /etc/passwd, or start the command under nss_wrapper"),
    }
}

fn of_temporary(folder: &Path, writable: bool, executable: bool) -> Check {
    let (verdict, rights) = match (writable, executable) {
        (false, _) => (Verdict::Problem, ", not writable"),
        (true, false) => (Verdict::Info, ", mounted noexec"),
        (true, true) => (Verdict::Ok, ""),
    };
    Check::new(SECTION, "temporary", verdict, shown(folder) + rights)
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

pub(super) fn environment() -> Vec<Check> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_without_a_name_is_a_warning() {
        let user = |name: Option<&str>| User {
            uid: 4_711,
            name: name.map(str::to_owned),
            home: None,
        };
        let known = of_user(user(Some("ann")));
        assert_eq!(
            (known.verdict, known.value.as_str()),
            (Verdict::Info, "ann (4711)")
        );
        let unknown = of_user(user(None));
        assert_eq!(unknown.verdict, Verdict::Warning);
        assert!(
            unknown
                .hint
                .is_some_and(|hint| hint.contains("/etc/passwd"))
        );
    }

    #[test]
    fn a_temporary_folder_must_be_writable_only() {
        let of = |writable, executable| {
            let check = of_temporary(Path::new("/tmp"), writable, executable);
            (check.verdict, check.value)
        };
        assert_eq!(of(true, true), (Verdict::Ok, "/tmp".to_owned()));
        let noexec = "/tmp, mounted noexec".to_owned();
        assert_eq!(of(true, false), (Verdict::Info, noexec));
        let unwritable = "/tmp, not writable".to_owned();
        assert_eq!(of(false, true), (Verdict::Problem, unwritable));
    }
}
