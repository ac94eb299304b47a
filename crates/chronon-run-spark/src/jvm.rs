//! Options of every JVM, so that the settings of the machine change neither a value nor a file name.
//!
//! - *Charset*: a JVM takes its charset from the locale, and cron, containers and `C` locales have
//!   none. Scripts, arguments, file names and printed values are UTF-8. `LC_ALL` is what the JVM
//!   and the shell scripts around it read at their start; the properties are for systems that do
//!   not have the locale `C.UTF-8`. A locale of another language would also change how a JVM
//!   writes letters in upper case.
//! - *Time zone*: UTC, because Spark and Chronon convert some dates in the JVM's default zone.
//! - *Temporary files*: below one folder. Spark, Hive and the native libraries of snappy, lz4, zstd
//!   and netty follow `java.io.tmpdir`; the JVM's own `/tmp/hsperfdata_*` is switched off.
//! - *`_JAVA_OPTIONS`*: a JVM reads it after its command line, so that what it says wins. The options
//!   are appended to it where the user sets it: the last one of a name counts.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The locale of JVMs and of the scripts that start them.
const LOCALE: &str = "C.UTF-8";
/// The time zone of JVMs.
const ZONE: &str = "UTC";

/// `sun.std*.encoding` is for Java 8 to 18, `std*.encoding` for Java 19 and later.
const CHARSETS: [&str; 6] = [
    "-Dfile.encoding=UTF-8",
    "-Dsun.jnu.encoding=UTF-8",
    "-Dsun.stdout.encoding=UTF-8",
    "-Dsun.stderr.encoding=UTF-8",
    "-Dstdout.encoding=UTF-8",
    "-Dstderr.encoding=UTF-8",
];

/// Folders of the JVMs of one run.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Jvm {
    /// Temporary files of Spark and Hive go below it; absolute.
    pub scratch: PathBuf,
    /// Where native libraries are unpacked if [`Self::scratch`] does not allow to execute them.
    pub native: Option<PathBuf>,
    /// `user.home`, if the user has none that exists.
    pub home: Option<PathBuf>,
}

impl Jvm {
    /// Temporary files go below `scratch`.
    #[must_use]
    pub fn below(scratch: PathBuf) -> Self {
        Self {
            scratch,
            ..Self::default()
        }
    }

    /// `java.io.tmpdir`.
    #[must_use]
    pub fn temporary(&self) -> PathBuf {
        self.scratch.join("tmp")
    }

    /// Creates every folder that has to exist before a JVM starts.
    ///
    /// # Errors
    /// The first folder that cannot be created, and why.
    pub fn create_folders(&self) -> Result<(), (PathBuf, io::Error)> {
        for folder in self.folders() {
            fs::create_dir_all(&folder).map_err(|error| (folder, error))?;
        }
        Ok(())
    }

    fn folders(&self) -> Vec<PathBuf> {
        let mut folders = vec![self.temporary()];
        folders.extend(["hive", "local"].map(|name| self.scratch.join(name)));
        folders.extend(self.native.clone());
        folders.extend(self.home.clone());
        folders
    }

    /// JVM options.
    #[must_use]
    pub fn options(&self) -> Vec<String> {
        let mut options = common_options();
        let mut property = |name: &str, path: &Path| {
            options.push(format!("-D{name}={}", path.display()));
        };
        property("java.io.tmpdir", &self.temporary());
        if let Some(native) = &self.native {
            for name in [
                "org.xerial.snappy.tempdir",
                "ZstdTempFolder",
                "io.netty.native.workdir",
                "library.jansi.path",
            ] {
                property(name, native);
            }
        }
        if let Some(home) = &self.home {
            property("user.home", home);
        }
        options
    }

    /// The environment variable for temporary files of the scripts that start the JVM.
    #[must_use]
    pub fn env(&self) -> (String, Option<String>) {
        let temporary = self.temporary().display().to_string();
        ("TMPDIR".to_owned(), Some(temporary))
    }
}

/// Options of any JVM: charset, time zone, and no files of its own in `/tmp`.
#[must_use]
pub fn common_options() -> Vec<String> {
    let mut options = CHARSETS.map(str::to_owned).to_vec();
    options.push(format!("-Duser.timezone={ZONE}"));
    options.push("-XX:-UsePerfData".to_owned());
    options
}

/// Environment of any JVM: locale and time zone.
#[must_use]
pub fn common_env() -> Vec<(String, Option<String>)> {
    [("LC_ALL", LOCALE), ("TZ", ZONE)]
        .map(|(name, value)| (name.to_owned(), Some(value.to_owned())))
        .to_vec()
}

/// The variable whose options every JVM reads.
const TOOL_OPTIONS: &str = "JAVA_TOOL_OPTIONS";
/// JVM options that the environment of this program sets.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct InheritedOptions {
    /// `SPARK_SUBMIT_OPTS`, of the driver's JVM.
    pub submit: Option<String>,
    /// `_JAVA_OPTIONS`, of every JVM; they win over those of its command line.
    pub last: Option<String>,
}

impl InheritedOptions {
    /// Reads the variables with `variable`.
    pub fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        Self {
            submit: set("SPARK_SUBMIT_OPTS"),
            last: set(LAST_OPTIONS),
        }
    }

    /// `_JAVA_OPTIONS` with `options` behind what is inherited; `None` if nothing is.
    #[must_use]
    pub fn last(&self, options: &[String]) -> Option<(String, Option<String>)> {
        let inherited = self.last.clone()?;
        let quoted = options.iter().map(|option| quote_for_jvm(option));
        let all: Vec<String> = [inherited].into_iter().chain(quoted).collect();
        Some((LAST_OPTIONS.to_owned(), Some(all.join(" "))))
    }
}

const LAST_OPTIONS: &str = "_JAVA_OPTIONS";

/// As the JVM splits its variables: at blanks outside quotes, without escapes.
fn quote_for_jvm(option: &str) -> String {
    let parts = option
        .split('\'')
        .map(|part| match part.contains([' ', '\t', '"']) {
            true => format!("'{part}'"),
            false => part.to_owned(),
        });
    parts.collect::<Vec<_>>().join("\"'\"")
}

/// Spark properties that tell the same to the JVMs on the machines of a cluster; none for a local
/// master. `conf` is the user's: options that it gives those JVMs are kept.
#[must_use]
pub(super) fn cluster_conf(
    master: &str,
    deploy_mode: Option<&str>,
    conf: &[(String, String)],
) -> Vec<(String, String)> {
    if master.starts_with("local") {
        return Vec::new();
    }
    let in_cluster = deploy_mode == Some("cluster");
    let mut prefixes = vec!["spark.executorEnv."];
    if in_cluster && master.starts_with("yarn") {
        prefixes.push("spark.yarn.appMasterEnv.");
    } else if in_cluster && master.starts_with("k8s") {
        prefixes.push("spark.kubernetes.driverEnv.");
    }
    let mut found: Vec<(String, String)> = prefixes
        .iter()
        .flat_map(|prefix| variables(prefix, conf))
        .collect();
    if in_cluster && prefixes.len() == 1 {
        // A standalone cluster gives its drivers no variables.
        found.push(appended("spark.driver.extraJavaOptions", conf));
    }
    found
}

fn variables(prefix: &str, conf: &[(String, String)]) -> Vec<(String, String)> {
    let mut found = vec![
        (format!("{prefix}LC_ALL"), LOCALE.to_owned()),
        (format!("{prefix}TZ"), ZONE.to_owned()),
    ];
    found.push(appended(&format!("{prefix}{TOOL_OPTIONS}"), conf));
    found
}

/// A property that holds JVM options: the user's, then charset and time zone.
fn appended(key: &str, conf: &[(String, String)]) -> (String, String) {
    let of_user = conf.iter().rfind(|(name, _)| name == key);
    let of_user = of_user.map(|(_, value)| value.clone());
    let own = CHARSETS[..2].iter().map(|option| (*option).to_owned());
    let all: Vec<String> = of_user
        .into_iter()
        .chain(own)
        .chain([format!("-Duser.timezone={ZONE}")])
        .collect();
    (key.to_owned(), all.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charset_zone_and_folders_are_always_given() {
        let jvm = Jvm::below("/w/scratch".into());
        let options = jvm.options();
        for option in [
            "-Dfile.encoding=UTF-8",
            "-Dsun.jnu.encoding=UTF-8",
            "-Duser.timezone=UTC",
            "-Djava.io.tmpdir=/w/scratch/tmp",
            "-XX:-UsePerfData",
        ] {
            assert!(options.iter().any(|given| given == option), "{option}");
        }
        assert!(!options.iter().any(|option| option.contains("user.home")));
        assert_eq!(
            jvm.env(),
            ("TMPDIR".to_owned(), Some("/w/scratch/tmp".to_owned()))
        );
    }

    #[test]
    fn options_that_would_win_get_these_behind_them() {
        let options = ["-Dfile.encoding=UTF-8", "-Da=/it's a\tb/\"x\""].map(str::to_owned);
        let inherited = |value: &'static str| {
            InheritedOptions::of(|name| (name == LAST_OPTIONS).then(|| value.to_owned()))
        };
        assert_eq!(InheritedOptions::default().last(&options), None);
        assert_eq!(inherited(" ").last(&options), None);
        let last = inherited("-Xmx1g -Dfile.encoding=ASCII").last(&options);
        let (name, value) = last.unwrap();
        assert_eq!(name, "_JAVA_OPTIONS");
        assert_eq!(
            value.as_deref(),
            Some("-Xmx1g -Dfile.encoding=ASCII -Dfile.encoding=UTF-8 -Da=/it\"'\"'s a\tb/\"x\"'")
        );
    }

    #[test]
    fn another_folder_for_native_libraries_and_home() {
        let jvm = Jvm {
            native: Some("/c/native".into()),
            home: Some("/w/home".into()),
            ..Jvm::below("/w/scratch".into())
        };
        let options = jvm.options().join("\n");
        for option in [
            "-Dorg.xerial.snappy.tempdir=/c/native",
            "-DZstdTempFolder=/c/native",
            "-Duser.home=/w/home",
        ] {
            assert!(options.contains(option), "{option}");
        }
        assert!(jvm.folders().contains(&"/c/native".into()));
    }

    #[test]
    fn executors_are_told_too_and_keep_the_users_options() {
        assert!(cluster_conf("local[2]", None, &[]).is_empty());
        let key = "spark.executorEnv.JAVA_TOOL_OPTIONS";
        let conf = [(key.to_owned(), "-Da=b".to_owned())];
        let found = cluster_conf("yarn", Some("cluster"), &conf);
        let value = |key: &str| {
            let found = found.iter().find(|(name, _)| name == key);
            found.map(|(_, value)| value.as_str())
        };
        assert_eq!(
            value(key),
            Some("-Da=b -Dfile.encoding=UTF-8 -Dsun.jnu.encoding=UTF-8 -Duser.timezone=UTC")
        );
        assert_eq!(value("spark.executorEnv.TZ"), Some("UTC"));
        assert_eq!(value("spark.yarn.appMasterEnv.LC_ALL"), Some("C.UTF-8"));
        assert_eq!(value("spark.driver.extraJavaOptions"), None);
        let standalone = cluster_conf("spark://m:7077", Some("cluster"), &[]);
        let driver = standalone
            .iter()
            .find(|(name, _)| name == "spark.driver.extraJavaOptions");
        assert!(driver.is_some_and(|(_, value)| value.contains("UTF-8")));
        let client = cluster_conf("spark://m:7077", None, &[]);
        assert!(
            client
                .iter()
                .all(|(name, _)| name.starts_with("spark.executorEnv."))
        );
    }
}
