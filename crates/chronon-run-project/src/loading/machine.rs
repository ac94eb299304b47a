//! What JVMs need to know about this machine and its user.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use chronon_run_core::shown::shown;
use chronon_run_process::{
    Processes, User, allow_open_files, allows_execution, is_writable, open_files, processes,
};
use chronon_run_spark::{Jvm, Scratch, Spark};
use chronon_run_workspace::Workspace;

use crate::{
    failure::Failure,
    loading::{spark::spark_environment, state},
    paths::scratch_root,
};

/// The folders of this process's JVMs; removed when it is dropped.
#[derive(Debug)]
pub struct Machine {
    jvm: Jvm,
    _scratch: Scratch,
    _native: Option<Scratch>,
}

impl Machine {
    /// Creates the folders below the state folder.
    pub fn prepare(workspace: &Workspace, spark: Option<&Spark>) -> Result<Self, Failure> {
        if spark.is_none_or(|spark| has_hadoop(&spark.jars())) {
            check_user(&User::current())?;
        }
        let root = scratch_root(workspace);
        let scratch = create(&root)?;
        let native = match allows_execution(scratch.path()) {
            true => None,
            false => Some(executable_folder(workspace, &root)?),
        };
        let jvm = Jvm {
            native: native.as_ref().map(|native| native.path().to_owned()),
            home: home(&workspace.state_dir),
            ..Jvm::below(scratch.path().to_owned())
        };
        create_folders(&jvm)?;
        Ok(Self {
            jvm,
            _scratch: scratch,
            _native: native,
        })
    }

    /// Folders and options of JVMs that are started with it.
    pub fn jvm(&self) -> &Jvm {
        &self.jvm
    }
}

/// The folders of a streaming app, which outlives the process that starts it: its own, and the same
/// at each start.
pub fn of_app(workspace: &Workspace, app: &str) -> Result<Jvm, Failure> {
    let scratch = scratch_root(workspace).join("apps").join(app);
    lasting(workspace, scratch, &format!("apps/{app}"))
}

/// The folders of such a Spark process, below its own `folder`, which is called `name`.
pub fn of_kept(workspace: &Workspace, folder: &Path, name: &str) -> Result<Jvm, Failure> {
    lasting(workspace, folder.join("scratch"), &format!("spark/{name}"))
}

/// Folders that stay when this process ends.
fn lasting(workspace: &Workspace, scratch: PathBuf, name: &str) -> Result<Jvm, Failure> {
    state::create(workspace)?;
    check_user(&User::current())?;
    let mut jvm = Jvm {
        home: home(&workspace.state_dir),
        ..Jvm::below(scratch)
    };
    create_folders(&jvm)?;
    if !allows_execution(&jvm.scratch) {
        jvm.native = Some(lasting_executable_folder(workspace, &jvm.scratch, name)?);
        create_folders(&jvm)?;
    }
    Ok(jvm)
}

/// Whether Hadoop is among the jars of a Spark. A Spark that is a script of one's own has no login.
fn has_hadoop(jars: &Path) -> bool {
    let names = fs::read_dir(jars).into_iter().flatten().flatten();
    let mut names = names.map(|entry| entry.file_name());
    names.any(|name| name.to_string_lossy().starts_with("hadoop-"))
}

/// The same as [`executable_folder`], but it stays when this process ends.
fn lasting_executable_folder(
    workspace: &Workspace,
    scratch: &Path,
    name: &str,
) -> Result<PathBuf, Failure> {
    let cache = spark_environment(Some(workspace)).cache;
    let native = cache.map(|cache| cache.join("native").join(name));
    native
        .filter(|native| fs::create_dir_all(native).is_ok() && allows_execution(native))
        .ok_or_else(|| nothing_executable(scratch))
}

/// Hadoop's login fails for a user without a name, in every JVM and with every setting.
pub fn check_user(user: &User) -> Result<(), Failure> {
    if user.name.is_some() {
        return Ok(());
    }
    let uid = user.uid;
    Err(Failure::hinted(
        format!(
            "user id {uid} has no name (no entry in /etc/passwd), and Hadoop's login needs one"
        ),
        format!(
            "add an entry in the image, e.g. `echo 'chronon:x:{uid}:0::/tmp:/bin/sh' >> /etc/passwd`, or start the command under nss_wrapper"
        ),
    ))
}

/// What Hadoop's paths cannot hold, or Spark takes for a pattern where it creates a table.
const NOT_IN_PATHS: [char; 8] = [':', '*', '?', '[', ']', '{', '}', '\\'];

/// Fails where the tables of the embedded metastore would be in a folder that Spark cannot use.
pub fn check_folder(state_dir: &Path) -> Result<(), Failure> {
    let text = state_dir.display().to_string();
    let Some(bad) = text
        .chars()
        .find(|&c| NOT_IN_PATHS.contains(&c) || c.is_control())
    else {
        return Ok(());
    };
    let named = match bad.is_control() {
        true => "a control character".to_owned(),
        false => format!("`{bad}`"),
    };
    Err(Failure::hinted(
        format!(
            "Spark cannot keep tables in {}: its path holds {named}",
            shown(&text).replace('\n', "\\n")
        ),
        "rename the folder, or set `state_dir` in `[workspace]` or CHRONON_RUN_STATE to another one",
    ))
}

/// Files that a JVM of Spark has open besides Spark's jars: 300 were too few and 400 enough for its 248.
const FILES: u64 = 128;
/// Threads of the smallest run: a metastore has 35, `spark-submit` and a local Spark 65 or more.
const THREADS: u64 = 100;

/// Fails where the limits of the system (`ulimit`) do not let Spark run: a JVM that runs into one of
/// them fails in the middle, with an unrelated message.
pub fn check_limits(spark: &Spark) -> Result<(), Failure> {
    let jars = fs::read_dir(spark.jars()).map_or(0, |jars| jars.count() as u64);
    let wanted = jars + FILES;
    if !allow_open_files(wanted) {
        let limit = open_files().unwrap_or_default();
        return Err(Failure::hinted(
            format!(
                "a process may have {limit} open files (`ulimit -n`), and a JVM of Spark {} needs {wanted}: it keeps its {jars} jars open",
                spark.spark.version
            ),
            "raise the limit to 1024 or more: `ulimit -n` in the shell, limits.conf, or LimitNOFILE of the systemd unit",
        ));
    }
    processes().map_or(Ok(()), check_processes)
}

fn check_processes(found: Processes) -> Result<(), Failure> {
    if found.limit >= found.used + THREADS {
        return Ok(());
    }
    Err(Failure::hinted(
        format!(
            "this user may have {} processes and threads (`ulimit -u`) and has {}; Spark needs {THREADS} or more",
            found.limit, found.used
        ),
        "raise the limit, e.g. to 4096: `ulimit -u` in the shell, limits.conf, or LimitNPROC of the systemd unit",
    ))
}

/// `user.home` for JVMs, if theirs would not be a folder of the user.
fn home(state: &Path) -> Option<PathBuf> {
    let usable = |home: &Path| is_writable(home) || (home.is_dir() && home != Path::new("/"));
    if User::current().home.is_some_and(|home| usable(&home)) {
        return None;
    }
    let variable = env::var_os("HOME").map(PathBuf::from);
    Some(
        variable
            .filter(|home| home.is_absolute() && is_writable(home))
            .unwrap_or_else(|| state.join("home")),
    )
}

/// A folder for native libraries where the state folder's file system is mounted noexec.
fn executable_folder(workspace: &Workspace, scratch: &Path) -> Result<Scratch, Failure> {
    let cache = spark_environment(Some(workspace)).cache;
    let native = cache.map(|cache| cache.join("native"));
    let created = native.and_then(|native| Scratch::create(&native).ok());
    created
        .filter(|native| allows_execution(native.path()))
        .ok_or_else(|| nothing_executable(scratch))
}

fn nothing_executable(scratch: &Path) -> Failure {
    Failure::hinted(
        format!(
            "{} is on a file system that is mounted noexec, and so is the cache folder: Spark cannot load its native libraries (snappy, lz4, zstd)",
            scratch.display()
        ),
        "set `state_dir` under [workspace] or CHRONON_RUN_CACHE to a folder on another file system",
    )
}

fn create(root: &Path) -> Result<Scratch, Failure> {
    Scratch::create(root).map_err(|error| unwritable(root, &error))
}

fn create_folders(jvm: &Jvm) -> Result<(), Failure> {
    jvm.create_folders()
        .map_err(|(folder, error)| unwritable(&folder, &error))
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::hinted(
        format!("cannot write {}: {error}", path.display()),
        "the state folder must be writable; `state_dir` under [workspace] or the variable CHRONON_RUN_STATE puts it elsewhere",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_few_threads_are_reported_with_the_numbers() {
        let limits = |limit, used| check_processes(Processes { limit, used });
        assert!(limits(4_096, 300).is_ok());
        let Err(Failure::Setup { message, .. }) = limits(64, 3) else {
            panic!("accepted");
        };
        assert!(
            message.contains("64") && message.contains("has 3"),
            "{message}"
        );
    }

    #[test]
    fn a_spark_without_hadoop_needs_no_name() {
        let jars = tempfile::tempdir().unwrap();
        fs::write(jars.path().join("spark-core_2.12-3.3.1.jar"), "").unwrap();
        assert!(!has_hadoop(jars.path()));
        fs::write(jars.path().join("hadoop-client-api-3.3.2.jar"), "").unwrap();
        assert!(has_hadoop(jars.path()));
    }

    #[test]
    fn a_folder_that_spark_cannot_use_is_named_with_the_reason() {
        for fine in ["/w/Wörk späce/.chronon-run", "/w/a;b,c#d%20'\"$+&=@~/x"] {
            assert!(check_folder(Path::new(fine)).is_ok(), "{fine}");
        }
        for (bad, named) in [
            ("/w/2026-01-01T10:00/x", "`:`"),
            ("/w/a[1]/x", "`[`"),
            ("/w/{a}/x", "`{`"),
            ("/w/a\nb/x", "control"),
        ] {
            let Err(Failure::Setup { message, hint }) = check_folder(Path::new(bad)) else {
                panic!("accepted {bad}");
            };
            assert!(
                message.contains(named) && !message.contains('\n'),
                "{message}"
            );
            assert!(hint.is_some_and(|hint| hint.contains("state_dir")));
        }
    }

    #[test]
    fn a_user_without_a_name_is_told_what_to_do() {
        let nameless = User {
            uid: 12345,
            name: None,
            home: None,
        };
        let Err(Failure::Setup { message, hint }) = check_user(&nameless) else {
            panic!("accepted");
        };
        assert!(message.contains("12345"), "{message}");
        assert!(hint.is_some_and(|hint| hint.contains("/etc/passwd")));
        let named = User {
            name: Some("chronon".to_owned()),
            ..nameless
        };
        assert!(check_user(&named).is_ok());
    }
}
