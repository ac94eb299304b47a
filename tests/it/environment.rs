//! Where cron, containers and hardened machines run the program: no locale, another time zone, no
//! usable `/tmp`, no home, no user name.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::{
    support::{Screen, Workspace, cache},
    tables,
};

/// The user without a home that every Linux has.
pub(crate) const NOBODY: u32 = 65_534;

/// A workspace whose names, literals and values are not ASCII, with one seed, one staging query and
/// one GroupBy. The staging query also writes what its JVM was told.
pub(crate) fn workspace() -> Workspace {
    let workspace = Workspace::outside_tmp("Wörk späce; a,b");
    workspace.write(
        "workspace.toml",
        r#"[workspace]
repo = "."
as_of = "2026-01-02"
[engine]
master = "local[2]"
conf = { "spark.sql.shuffle.partitions" = "2" }
[run]
retries = 0
[seeds."src.events"]
path = "data/Ereignisse für März [1].csv"
columns = { user = "string", amount = "bigint", ts = "bigint", city = "string", ds = "string" }
partition_by = ["ds"]
[catalog]
idle = "2s"
"#,
    );
    workspace.write("teams.json", r#"{"default": {}, "shop": {}}"#);
    workspace.write(
        "data/Ereignisse für März [1].csv",
        "user,amount,ts,city,ds\n\
         käthe,10,1767229200000,Zürich,2026-01-01\n\
         u1,11,1767232800000,Bern,2026-01-01\n\
         東京,20,1767315600000,Zürich,2026-01-02\n",
    );
    let told = [
        "file.encoding",
        "sun.jnu.encoding",
        "java.io.tmpdir",
        "user.home",
    ]
    .map(|name| {
        format!(
            "reflect('java.lang.System', 'getProperty', '{name}') AS {}",
            name.replace('.', "_")
        )
    })
    .join(", ");
    workspace.write(
        "production/staging_queries/shop/clean.v1",
        &serde_json::json!({
            "metaData": {"name": "shop.clean.v1", "dependencies": ["src.events/ds={{ ds }}"],
                "outputNamespace": "shop_out", "team": "shop"},
            "query": format!("SELECT user, amount, '→ ' || city AS city, hour(timestamp_millis(ts)) AS hour, \
                date_format(timestamp_millis(ts), 'yyyy-MM-dd HH:mm') AS at, {told}, \
                reflect('java.time.ZoneId', 'systemDefault') AS zone, ds FROM src.events \
                WHERE city = 'Zürich' AND ds BETWEEN '{{{{ start_date }}}}' AND '{{{{ end_date }}}}'"),
            "startPartition": "2026-01-01",
        })
        .to_string(),
    );
    workspace.write(
        "production/group_bys/shop/spend.v1",
        &serde_json::json!({
            "metaData": {"name": "shop.spend.v1", "outputNamespace": "shop_out", "team": "shop",
                "online": 0, "production": 0,
                "dependencies": ["{\"name\": \"w\", \"spec\": \"src.events/ds={{ ds }}\"}"]},
            "sources": [{"events": {"table": "src.events", "isCumulative": 0, "query": {
                "selects": {"user": "user", "amount": "amount"}, "startPartition": "2026-01-01",
                "timeColumn": "ts", "setups": [], "wheres": ["city = 'Z\u{fc}rich'"]}}}],
            "keyColumns": ["user"],
            "aggregations": [{"inputColumn": "amount", "operation": 7, "argMap": {},
                "windows": [{"length": 7, "timeUnit": 1}]}],
            "accuracy": 1, "backfillStartDate": "2026-01-01",
        })
        .to_string(),
    );
    workspace
}

/// Whether this test may mount and become another user. Where it may not, it fails unless it is told
/// to do without: a test that needs rights must not pass silently.
pub(crate) fn has_rights() -> bool {
    let root = nix::unistd::Uid::effective().is_root();
    let without = std::env::var_os("CHRONON_RUN_TESTS_WITHOUT_ROOT").is_some();
    assert!(
        root || without,
        "this test mounts file systems and changes its user: run it as root, or set CHRONON_RUN_TESTS_WITHOUT_ROOT to leave those parts out"
    );
    root
}

/// A copy of the binary that other users can reach.
pub(crate) fn binary(workspace: &Workspace) -> PathBuf {
    let copy = workspace.path("chronon-run");
    fs::copy(env!("CARGO_BIN_EXE_chronon-run"), &copy).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
    copy
}

/// The command that goes on as another user, who may look into every folder: the checkout and Spark may
/// be below one that is root's alone.
pub(crate) fn becoming(user: u32) -> Vec<String> {
    let user = user.to_string();
    let read = "+dac_read_search";
    let words = [
        "setpriv",
        "--reuid",
        &user,
        "--regid",
        &user,
        "--clear-groups",
    ];
    let rights = ["--inh-caps", read, "--ambient-caps", read];
    words.into_iter().chain(rights).map(str::to_owned).collect()
}

pub(crate) fn give_to(folder: &Path, uid: u32) {
    std::os::unix::fs::chown(folder, Some(uid), Some(uid)).unwrap();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() && !path.is_symlink() {
            true => give_to(&path, uid),
            false => std::os::unix::fs::lchown(&path, Some(uid), Some(uid)).unwrap(),
        }
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// As cron in a hardened container: no variable but `PATH`, a user without a home, another time
/// zone, a `/tmp` from which nothing can be executed, and options that win over those of a JVM's command
/// line.
#[test]
fn a_run_without_locale_home_and_usable_tmp() {
    match has_rights() {
        true => run_with_tmp("mount -t tmpfs -o noexec,size=32m,mode=1777 tmpfs /tmp", ""),
        false => drop(run_as_cron("")),
    }
}

#[test]
#[ignore = "needs root, to mount /tmp"]
fn a_run_with_a_full_tmp() {
    let mount = "mount -t tmpfs -o size=64k,mode=1777 tmpfs /tmp && \
                 { head -c 1m /dev/zero > /tmp/filler 2>/dev/null || true; }";
    run_with_tmp(mount, "filler ");
}

#[test]
#[ignore = "needs root, to mount /tmp"]
fn a_run_with_a_read_only_tmp() {
    run_with_tmp("mount -t tmpfs -o ro,mode=1777 tmpfs /tmp", "");
}

/// A run leaves nothing but `left` in the `/tmp` that `mount` makes, where it has the rights to.
fn run_with_tmp(mount: &str, left: &str) {
    let screen = run_as_cron(&format!("{mount} && "));
    let left = format!("left: {left}\n");
    assert!(screen.stdout.ends_with(&left), "{}", screen.text());
}

/// Runs the workspace after `mount`, as a user without a home if it is not empty, and compares the rows.
fn run_as_cron(mount: &str) -> Screen {
    let rights = !mount.is_empty();
    let workspace = workspace();
    let elsewhere = Workspace::outside_tmp("elsewhere");
    let program = binary(&elsewhere);
    let here = elsewhere.path("cwd");
    fs::create_dir(&here).unwrap();
    if rights {
        give_to(workspace.root(), NOBODY);
        give_to(&here, NOBODY);
    }
    let become_nobody = match rights {
        true => format!("{} ", becoming(NOBODY).join(" ")),
        false => String::new(),
    };
    let script = format!(
        "{mount}{become_nobody}\"$1\" -C \"$2\" materialize; code=$?; echo \"left: $(ls -A /tmp | tr '\\n' ' ')\"; exit $code"
    );
    let mut command = match rights {
        true => {
            let mut unshare = Command::new("unshare");
            unshare.args(["-m", "sh"]);
            unshare
        }
        false => Command::new("sh"),
    };
    command
        .args(["-c", &script, "sh"])
        .arg(&program)
        .arg(workspace.root())
        .current_dir(&here)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("CHRONON_RUN_CACHE", cache())
        .env("TZ", "Asia/Kolkata")
        .env(
            "_JAVA_OPTIONS",
            "-Dfile.encoding=US-ASCII -Duser.timezone=Asia/Kolkata -Djava.io.tmpdir=/nonexistent",
        );
    let screen = Screen::new(command.output().unwrap(), workspace.root()).expect(0);
    assert!(entries(&here).is_empty(), "{:?}", entries(&here));
    let scratch = entries(&workspace.path(".chronon-run/scratch"));
    assert_eq!(scratch, [workspace.path(".chronon-run/scratch/lock")]);
    check_rows(&workspace);
    screen
}

pub(crate) fn check_rows(workspace: &Workspace) {
    let names = ["shop_out.shop_clean_v1", "shop_out.shop_spend_v1"];
    let found = tables::read(workspace, &names.map(|name| name.parse().unwrap()));
    let rows = |name: &str| {
        let content = &found[&name.parse().unwrap()].content;
        let names = content.columns.iter().map(|(name, _)| name.clone());
        let names: Vec<String> = names.collect();
        let rows = content.rows.iter().flatten();
        let named = rows.map(|row| names.iter().cloned().zip(row.iter().cloned()));
        let mut rows: Vec<BTreeMap<String, Value>> = named.map(Iterator::collect).collect();
        rows.sort_by_key(|row| row["ds"].as_str().unwrap().to_owned());
        rows
    };
    let clean = rows(names[0]);
    assert_eq!(clean.len(), 2);
    let text = |index: usize, column: &str| clean[index][column].as_str().unwrap().to_owned();
    assert_eq!(text(0, "user"), "käthe");
    assert_eq!(text(1, "user"), "東京");
    assert_eq!(text(0, "city"), "→ Zürich");
    assert_eq!(text(0, "at"), "2026-01-01 01:00");
    assert_eq!(clean[0]["hour"], 1);
    assert_eq!(text(0, "zone"), "UTC");
    assert_eq!(text(0, "file_encoding"), "UTF-8");
    assert_eq!(text(0, "sun_jnu_encoding"), "UTF-8");
    let state = workspace.path(".chronon-run").display().to_string();
    assert!(text(0, "java_io_tmpdir").starts_with(&state));
    let spend = rows(names[1]);
    let user = |index: usize| spend[index]["user"].as_str().unwrap();
    assert_eq!((spend.len(), user(0)), (3, "käthe"));
}

#[test]
fn a_user_without_a_name_is_told_what_to_do() {
    if !has_rights() {
        return;
    }
    let workspace = workspace();
    let elsewhere = Workspace::outside_tmp("elsewhere");
    let program = binary(&elsewhere);
    give_to(workspace.root(), 12_345);
    let become_unknown = becoming(12_345);
    let mut command = Command::new(&become_unknown[0]);
    command
        .args(&become_unknown[1..])
        .arg(&program)
        .arg("materialize")
        .current_dir(workspace.root())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", "/nonexistent")
        .env("CHRONON_RUN_CACHE", cache());
    let screen = Screen::new(command.output().unwrap(), workspace.root()).expect(2);
    assert!(
        screen.stderr.contains("user id 12345 has no name"),
        "{}",
        screen.text()
    );
    assert!(screen.stderr.contains("/etc/passwd"), "{}", screen.text());
}

/// A machine without Spark, whose metastore has been there before, and a `python3` that notes that
/// it was called.
struct Bare {
    workspace: Workspace,
    home: Workspace,
}

impl Bare {
    fn new() -> Self {
        let bare = Self {
            workspace: workspace(),
            home: Workspace::empty(),
        };
        bare.workspace
            .write(".chronon-run/metastore/db/service.properties", "");
        bare.home.write(
            "bin/python3",
            &format!(
                "#!/bin/sh\necho \"$@\" >> {}\nexit 1\n",
                bare.home.path("calls").display()
            ),
        );
        let executable = fs::Permissions::from_mode(0o755);
        fs::set_permissions(bare.home.path("bin/python3"), executable).unwrap();
        bare
    }

    fn run(&self, args: &[&str]) -> Screen {
        let mut command = self.workspace.command(args);
        command
            .env("PATH", self.home.path("bin"))
            .env("CHRONON_RUN_CACHE", self.home.path("cache"))
            .env_remove("JAVA_HOME");
        Screen::new(command.output().unwrap(), self.workspace.root())
    }
}

#[test]
fn a_question_downloads_nothing() {
    let bare = Bare::new();
    for (args, code) in [
        (&["plan"][..], 2),
        (&["status"], 2),
        (&["ready", "shop.clean.v1", "--ds", "2026-01-01"], 2),
        (&["materialize", "--dry-run"], 2),
        (&["check"], 0),
        (&["ls"], 0),
    ] {
        let screen = bare.run(args).expect(code);
        if code == 2 {
            let said = "Spark 3.3.1 (281 MB) and Java 17 (37 MB)";
            assert!(screen.stderr.contains(said), "{}", screen.text());
            assert!(
                screen.stderr.contains("engine install"),
                "{}",
                screen.text()
            );
        }
    }
    assert!(!bare.home.path("calls").exists());
    assert!(!bare.home.path("cache").exists());
}

#[test]
fn a_download_is_announced_with_its_size() {
    let bare = Bare::new();
    let screen = bare.run(&["materialize"]).expect(2);
    let first = screen.stderr.lines().next().unwrap();
    assert!(
        first.starts_with("downloading Spark 3.3.1 (281 MB) and Java 17 (37 MB) with pip"),
        "{}",
        screen.text()
    );
    assert!(bare.home.read("calls").contains("pyspark==3.3.1"));
}

#[test]
fn a_java_that_does_not_fit_is_reported_with_the_versions() {
    let bare = Bare::new();
    bare.home.write("jdk/release", "JAVA_VERSION=\"21.0.2\"\n");
    bare.home.write("jdk/bin/java", "#!/bin/sh\n");
    let jdk = bare.home.path("jdk").display().to_string();
    bare.workspace.edit(
        "workspace.toml",
        "[engine]",
        &format!("[engine]\njava_home = \"{jdk}\""),
    );
    let screen = bare.run(&["materialize"]).expect(2);
    let said = format!(
        "error: Java 21.0.2 ({jdk}, from `java_home` of workspace.toml) does not run Spark 3.3.1, which needs Java 8, 11 or 17"
    );
    assert!(screen.stderr.contains(&said), "{}", screen.text());
    assert!(!bare.home.path("calls").exists(), "{}", screen.text());
}
