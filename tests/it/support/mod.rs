//! A workspace of its own for each test, and the user's screen as one text: exit code, stdout,
//! stderr.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// The repository's own folder.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

/// Where every test finds (or once installs) Spark: shared, and kept between runs.
pub(crate) fn cache() -> PathBuf {
    std::env::var_os("CHRONON_RUN_CACHE")
        .map_or_else(|| repository().join("target/test-cache"), PathBuf::from)
}

/// A folder with a workspace in it, removed at the end.
pub(crate) struct Workspace {
    kept: Option<Kept>,
    _folder: TempDir,
    root: PathBuf,
}

impl Workspace {
    /// An empty folder. With `CHRONON_RUN_KEEP` in the environment it stays, to be looked at.
    pub(crate) fn empty() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("chronon-run-")
            .disable_cleanup(std::env::var_os("CHRONON_RUN_KEEP").is_some())
            .tempdir()
            .unwrap();
        let root = folder.path().canonicalize().unwrap();
        Self {
            kept: None,
            _folder: folder,
            root,
        }
    }

    /// An empty folder of this name that is not below `/tmp` and that every user can reach.
    pub(crate) fn outside_tmp(name: &str) -> Self {
        let target = repository().join("target");
        // The checkout may be below a folder that is its owner's alone.
        let is_open = |folder: &Path| {
            fs::metadata(folder).is_ok_and(|found| found.permissions().mode() & 0o001 != 0)
        };
        let target = match target.ancestors().all(is_open) {
            true => target,
            false => PathBuf::from("/var/tmp"),
        };
        let folder = tempfile::Builder::new()
            .prefix("chronon-run-")
            .permissions(Permissions::from_mode(0o755))
            .tempdir_in(target)
            .unwrap();
        let root = folder.path().canonicalize().unwrap().join(name);
        fs::create_dir(&root).unwrap();
        Self {
            kept: None,
            _folder: folder,
            root,
        }
    }

    /// A workspace in a folder of this name inside this one, created now.
    pub(crate) fn within(self, name: &str) -> Self {
        let root = self.root.join(name);
        fs::create_dir(&root).unwrap();
        Self { root, ..self }
    }

    /// Moves the workspace to another name in the same folder.
    pub(crate) fn renamed(self, name: &str) -> Self {
        let root = self.root.with_file_name(name);
        fs::rename(&self.root, &root).unwrap();
        Self { root, ..self }
    }

    /// A copy of `examples/<name>`, without what earlier runs left there.
    pub(crate) fn example(name: &str) -> Self {
        Self::copy_of(&repository().join("examples").join(name))
    }

    /// A copy of a folder, without what earlier runs left there.
    pub(crate) fn copy_of(folder: &Path) -> Self {
        let workspace = Self::empty();
        copy(folder, &workspace.root);
        workspace
    }

    /// Adds the files of a folder of this one, as far as there are none of their names.
    pub(crate) fn add(&self, folder: &Path, to: &str) {
        copy(folder, &self.path(to));
    }

    /// From now on one Spark process serves all commands: where a test starts many, half of its time would
    /// go into their starts.
    pub(crate) fn keep_spark(&mut self) {
        let settings = self.read("workspace.toml");
        let keep = "[engine]\nkeep_spark = \"5m\"\n";
        let kept = match settings.contains("[engine]\n") {
            true => settings.replacen("[engine]\n", keep, 1),
            false => settings + keep,
        };
        self.write("workspace.toml", &kept);
        self.keeps_spark();
    }

    /// The same where `workspace.toml` says so already.
    pub(crate) fn keeps_spark(&mut self) {
        let root = self.root.clone();
        self.kept = Some(Kept { root });
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    pub(crate) fn read(&self, relative: &str) -> String {
        fs::read_to_string(self.path(relative)).unwrap()
    }

    pub(crate) fn write(&self, relative: &str, text: &str) {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Replaces `from`, which must be there, by `to` in a file.
    pub(crate) fn edit(&self, relative: &str, from: &str, to: &str) {
        let text = self.read(relative);
        assert!(text.contains(from), "{relative} has no {from:?}");
        self.write(relative, &text.replacen(from, to, 1));
    }

    /// `chronon-run` in this folder, with an environment of its own.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = program(&self.root, args);
        match self.kept {
            Some(_) => command.env_remove("CI"),
            // No Spark process stays, also where a test has a terminal.
            None => command.env("CI", "true"),
        };
        command
    }

    /// Runs it to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Screen {
        Screen::new(self.command(args).output().unwrap(), &self.root)
    }
}

/// A Spark process that commands leave running; ended when this goes out of scope.
struct Kept {
    root: PathBuf,
}

impl Drop for Kept {
    fn drop(&mut self) {
        let stopped = program(&self.root, &["engine", "stop"]).output();
        let stopped = stopped.is_ok_and(|output| output.status.success());
        assert!(
            stopped || thread::panicking(),
            "the kept Spark is not ended"
        );
    }
}

fn program(root: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chronon-run"));
    command
        .args(args)
        .current_dir(root)
        .env("HOME", root)
        .env("CHRONON_RUN_CACHE", cache())
        .env("NO_COLOR", "1")
        .env("COLUMNS", "400")
        .env_remove("SPARK_HOME")
        .env_remove("RUST_BACKTRACE");
    command
}

/// Until the end of the scope, snapshots do not see what differs from run to run: run ids, times
/// and process ids.
pub(crate) fn steady() -> impl Drop {
    let mut settings = insta::Settings::clone_current();
    for (pattern, shown) in [
        (r"\b\d{8}-\d{6}(-\d+)?\b", "[RUN]"),
        (r"\b\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z", "[INSTANT]"),
        (r"\b(\d+m)?\d+(\.\d)?s\b", "[TIME]"),
        (r"\bjust now\b|\b\d+ (min|h|days) ago\b", "[AGO]"),
        (r"process \d+", "process [PID]"),
        (r"\d+-\d+\.owner", "[PID].owner"),
        (r"damaged-\d+", "damaged-[MILLIS]"),
        (r"\.\d{14}\.log", ".[START].log"),
        // Columns are as wide as what is hidden.
        (r"\[(RUN|INSTANT|AGO|TIME)\] +", "[$1]  "),
        (r"\b(run|started|took) +", "$1  "),
    ] {
        settings.add_filter(pattern, shown);
    }
    settings.bind_to_scope()
}

/// Waits until `happened`, looking again and again; five minutes are for a machine under load.
///
/// # Panics
/// If it does not happen.
pub(crate) fn wait_until(what: &str, mut happened: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(300);
    while !happened() {
        assert!(Instant::now() < deadline, "never: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Sends a signal, e.g. `KILL`.
pub(crate) fn signal(pid: u32, name: &str) {
    let mut kill = Command::new("kill");
    kill.args(["-s", name, &pid.to_string()]);
    assert!(kill.status().unwrap().success());
}

/// Every file below a folder that exists; links are not followed.
pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap().is_dir() {
            true => found.extend(files_below(&entry.path())),
            false => found.push(entry.path()),
        }
    }
    found
}

/// Those whose names end with `.` and this extension.
pub(crate) fn files_with(extension: &str, folder: &Path) -> Vec<PathBuf> {
    let has = |path: &PathBuf| path.extension().is_some_and(|end| end == extension);
    files_below(folder).into_iter().filter(has).collect()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        if name == ".chronon-run" || name == "__pycache__" {
            continue;
        }
        let (from, to) = (entry.path(), to.join(&name));
        if entry.file_type().unwrap().is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(&from, &to).unwrap();
        }
    }
}

/// What the user sees.
pub(crate) struct Screen {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Screen {
    pub(crate) fn new(output: Output, root: &Path) -> Self {
        let clean = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes).into_owned();
            text.replace(&root.display().to_string(), "[ROOT]")
        };
        Self {
            code: output.status.code(),
            stdout: clean(&output.stdout),
            stderr: clean(&output.stderr),
        }
    }

    /// [`Screen::text`] of a command that has nothing to say, and is content.
    pub(crate) fn silent() -> String {
        "exit code: 0\n----- stdout -----\n----- stderr -----\n".to_owned()
    }

    /// Everything, for a snapshot.
    pub(crate) fn text(&self) -> String {
        let code = self
            .code
            .map_or_else(|| "none".to_owned(), |code| code.to_string());
        format!(
            "exit code: {code}\n----- stdout -----\n{}----- stderr -----\n{}",
            self.stdout, self.stderr
        )
    }

    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}", self.text());
        self
    }
}

/// Fails unless the screen has this text.
pub(crate) fn shows(screen: &Screen, text: &str) {
    assert!(
        screen.text().contains(text),
        "no {text:?} in\n{}",
        screen.text()
    );
}
