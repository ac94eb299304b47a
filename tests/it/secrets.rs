//! Secrets of settings are in no output, no file of the state folder and no argument of a process.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use chronon_run_testkit::scripted::{Fault, Output};

use crate::{
    staged::{Staged, fault_of},
    support::files_below,
};

/// Settings whose value holds a secret: names that tell, and values that do.
const SETTINGS: [(&str, &str); 30] = [
    ("spark.hadoop.fs.s3a.secret.key", "{}"),
    ("spark.hadoop.fs.s3a.access.key", "{}"),
    ("spark.hadoop.fs.s3a.session.token", "{}"),
    ("spark.hadoop.fs.s3a.bucket.logs.secret.key", "{}"),
    ("spark.hadoop.fs.s3a.encryption.key", "{}"),
    (
        "spark.hadoop.fs.azure.account.key.acme.dfs.core.windows.net",
        "{}",
    ),
    (
        "spark.hadoop.fs.azure.sas.c.acme.blob.core.windows.net",
        "sv=2022-11-02&sig={}",
    ),
    ("spark.hadoop.fs.azure.account.oauth2.client.secret", "{}"),
    (
        "spark.acme.source",
        "https://acme.blob.core.windows.net/c?sv=2022&sp=r&sig={}%3D",
    ),
    ("spark.hadoop.fs.gs.auth.service.account.private.key", "{}"),
    (
        "spark.acme.gcs",
        "{\"type\": \"service_account\", \"private_key\": \"-----BEGIN PRIVATE KEY-----\\n{}\\n-----END PRIVATE KEY-----\\n\"}",
    ),
    (
        "spark.acme.pem",
        "-----BEGIN RSA PRIVATE KEY-----\n{}\nabc\n-----END RSA PRIVATE KEY-----\n",
    ),
    (
        "spark.hadoop.javax.jdo.option.ConnectionURL",
        "jdbc:mysql://h/db?user=u&password={}",
    ),
    (
        "spark.acme.jdbc",
        "jdbc:postgresql://admin:{}@db:5432/sales",
    ),
    (
        "spark.acme.sqlserver",
        "jdbc:sqlserver://h:1433;database=d;user=u;password={};encrypt=true",
    ),
    (
        "spark.acme.oracle",
        "jdbc:oracle:thin:scott/{}@//h:1521/orcl",
    ),
    (
        "spark.kafka.sasl.jaas.config",
        "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"u\" password=\"{}\";",
    ),
    (
        "spark.acme.kafka",
        "org.apache.kafka.common.security.scram.ScramLoginModule required username=\"u\" password='{}';",
    ),
    ("spark.acme.snowflake.pem_private_key", "{}"),
    ("spark.acme.snowflake.sfPassword", "{}"),
    ("spark.acme.auth", "Bearer {}"),
    ("spark.acme.headers", "{\"Authorization\": \"Basic {}\"}"),
    ("spark.jars", "https://user:{}@repo/x.jar"),
    (
        "spark.driver.extraJavaOptions",
        "-Djavax.net.ssl.trustStorePassword={} -Da=b",
    ),
    (
        "spark.executor.extraJavaOptions",
        "-Djavax.net.ssl.keyStorePassword={}",
    ),
    ("spark.acme.app.pwd", "{}"),
    ("spark.acme.passphrase", "{}"),
    ("spark.acme.DB_PASS", "{}"),
    ("spark.executorEnv.AWS_SECRET_ACCESS_KEY", "{}"),
    ("spark.executorEnv.SIGNING_KEY", "{}"),
];

/// What stands for the secret of the setting with this number.
fn secret(number: usize) -> String {
    format!("hunter2SECRET{number:02}")
}

/// The numbers of the secrets that are in a text.
fn leaked(text: &str) -> Vec<&'static str> {
    let in_it = |(number, _): &(usize, _)| text.contains(&secret(*number));
    let found = SETTINGS.iter().enumerate().filter(in_it);
    found.map(|(_, (name, _))| *name).collect()
}

fn staged() -> Staged {
    let staged = Staged::new(&[("one", &["lake.a"]), ("two", &["out.team_one"])]);
    let settings = SETTINGS.iter().enumerate().map(|(number, (name, value))| {
        let value = value.replace("{}", &secret(number));
        format!("{name:?} = {}", serde_json::to_string(&value).unwrap())
    });
    let table = settings.collect::<Vec<_>>().join("\n");
    let mut file = staged.workspace.read("workspace.toml");
    file.push_str(&format!(
        "\n[hooks]\non_success = [\"sh\", \"-c\", \"cat > payload.json; env > hook.env\"]\n\
         \n[engine.conf]\n{table}\n"
    ));
    staged.workspace.write("workspace.toml", &file);
    staged
}

#[test]
fn secrets_are_in_no_output_no_file_and_no_argument() {
    let staged = staged();
    let shown = |args: &[&str]| {
        let screen = staged.run(args);
        assert_eq!(leaked(&screen.text()), Vec::<&str>::new(), "{args:?}");
        screen
    };
    let one = "staging_query/team.one/backfill";
    shown(&["plan", "--commands"]).expect(0);
    shown(&["plan", "--output", "json"]).expect(0);
    shown(&["plan", "-o", "plan.json"]).expect(0);
    shown(&["materialize", "--metrics-file", "metrics.prom"]).expect(0);
    shown(&["materialize", "--recompute", "--output", "json"]).expect(0);
    let runs = shown(&["runs", "--output", "json"]).expect(0).stdout;
    let runs: serde_json::Value = serde_json::from_str(&runs).unwrap();
    let run = runs["runs"][0]["run"].as_str().unwrap().to_owned();
    shown(&["runs", "show", &run]).expect(0);
    shown(&["runs", "show", &run, "--output", "json"]).expect(0);
    shown(&["logs", one]).expect(0);
    shown(&["logs", one, "--output", "json"]).expect(0);
    shown(&["report"]).expect(0);
    shown(&["status", "--output", "json"]).expect(0);
    shown(&["check", "--output", "json"]);
    shown(&["engine", "info"]);
    let root = staged.workspace.root();
    for path in files_below(root) {
        let named = path.strip_prefix(root).unwrap();
        // The one place where they are written, and the record of what processes were given.
        if named == Path::new("workspace.toml") {
            continue;
        }
        let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
        assert_eq!(leaked(&text), Vec::<&str>::new(), "{}", named.display());
    }
    assert!(staged.workspace.path("payload.json").exists());
}

#[test]
fn a_job_gets_its_secrets_by_files_that_only_the_user_can_read() {
    let staged = staged();
    let submit = staged.workspace.path("spark/bin/spark-submit");
    let real = submit.with_file_name("real-submit");
    fs::rename(&submit, &real).unwrap();
    // Keeps what the files held while the job ran.
    let script = format!(
        "#!/bin/sh\n\
         cat \"$2\" >> {0}/seen.properties\nstat -c %a \"$2\" >> {0}/seen.modes\n\
         arguments=${{JDK_JAVA_OPTIONS##*@}}\ncat \"$arguments\" >> {0}/seen.args\n\
         stat -c %a \"$arguments\" >> {0}/seen.modes\nexec {1} \"$@\"\n",
        staged.workspace.root().display(),
        real.display()
    );
    fs::write(&submit, script).unwrap();
    let mode = fs::metadata(&real).unwrap().permissions();
    fs::set_permissions(&submit, mode).unwrap();
    staged
        .workspace
        .write("spark/conf/spark-defaults.conf", "spark.acme.default yes");
    staged.run(&["materialize", "team.one"]).expect(0);
    let seen = staged.workspace.read("seen.properties");
    assert!(seen.starts_with("spark.acme.default yes\n"), "{seen}");
    let arguments = staged.workspace.read("seen.args");
    let all = format!("{seen}{arguments}");
    assert_eq!(leaked(&all).len(), SETTINGS.len(), "{all}");
    assert!(arguments.contains("trustStorePassword"), "{arguments}");
    let modes = staged.workspace.read("seen.modes");
    assert!(modes.lines().all(|mode| mode == "600"), "{modes}");
    let left = files_below(&staged.workspace.path(".chronon-run"));
    let left = left
        .iter()
        .filter(|path| path.to_string_lossy().contains("secrets-"));
    assert_eq!(left.count(), 0);
    let ledger = fs::metadata(staged.workspace.path(".chronon-run/ledger.db")).unwrap();
    assert_eq!(ledger.mode() & 0o111, 0);
}

#[test]
fn a_link_that_was_planted_in_the_state_folder_is_replaced() {
    let staged = Staged::chain();
    let victim = staged.workspace.path("victim");
    fs::write(&victim, "precious").unwrap();
    let planted = staged.workspace.path(".chronon-run/log4j2.properties");
    fs::create_dir_all(planted.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(&victim, &planted).unwrap();
    staged.run(&["materialize"]).expect(0);
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    assert!(!fs::symlink_metadata(&planted).unwrap().is_symlink());
}

#[test]
fn files_that_were_added_to_a_spark_home_are_named() {
    let staged = Staged::chain();
    staged.run(&["materialize"]).expect(0);
    let info = staged.run(&["engine", "info"]).expect(0);
    assert!(
        info.stdout.contains("as at its first use"),
        "{}",
        info.text()
    );
    staged.workspace.write("spark/jars/evil.jar", "x");
    let info = staged.run(&["engine", "info"]).expect(0);
    assert!(
        info.stdout.contains("jars/evil.jar (added)"),
        "{}",
        info.text()
    );
}

/// What a job prints when it fails; each `{}` is a secret.
const PRINTED: &str = "\
26/01/01 00:00:00 WARN Jdbc: retrying jdbc:postgresql://admin:{}@db:5432/sales
26/01/01 00:00:00 WARN Rest: sent Proxy-Authorization: Bearer {}
26/01/01 00:00:00 INFO Conf: (fs.s3a.secret.key -> {}, a -> b)
26/01/01 00:00:00 INFO Conf: fs.azure.sas.c.acme.blob.core.windows.net = sv=2022-11-02&sig={}
-----BEGIN RSA PRIVATE KEY-----
{}
-----END RSA PRIVATE KEY-----
Error in query: 401 of https://h/c?sv=2022&sig={} and jdbc:sqlserver://h;user=u;password={a;{}};encrypt=true
";

/// The same with numbered secrets.
fn printed() -> String {
    let mut parts = PRINTED.split("{}");
    let first = parts.next().unwrap().to_owned();
    let secret = |number| format!("hunter2SECRET{number:02}");
    let all = parts.enumerate();
    all.fold(first, |text, (number, part)| text + &secret(number) + part)
}

#[test]
fn secrets_that_a_program_prints_are_masked_wherever_they_are_shown() {
    let staged = Staged::new(&[("one", &["lake.a"])]);
    staged.faults(&[Fault {
        output: Output::None,
        exit: Some(1),
        says: printed(),
        ..fault_of("one")
    }]);
    let mut file = staged.workspace.read("workspace.toml");
    file.push_str(
        "\n[hooks]\non_failure = [\"sh\", \"-c\", \"cat > payload.json; echo token=hunter2SECRET99; exit 1\"]\n",
    );
    staged.workspace.write("workspace.toml", &file);
    let one = "staging_query/team.one/backfill";
    let shown = |args: &[&str], code: i32| {
        let screen = staged.run(args).expect(code);
        let text = screen.text();
        assert!(!text.contains("hunter2"), "{args:?}: {text}");
        screen
    };
    let failed = shown(&["materialize"], 1).stderr;
    assert!(
        failed.contains("401 of https://h/c?sv=2022&sig=***"),
        "{failed}"
    );
    shown(&["materialize", "--output", "json"], 1);
    let runs = shown(&["runs", "--output", "json"], 0).stdout;
    let runs: serde_json::Value = serde_json::from_str(&runs).unwrap();
    let run = runs["runs"][0]["run"].as_str().unwrap().to_owned();
    shown(&["runs", "show", &run], 0);
    shown(&["runs", "show", &run, "--output", "json"], 0);
    let log = shown(&["logs", one], 0).stdout;
    assert!(log.contains("user=u;password={***};encrypt=true"), "{log}");
    shown(&["logs", one, "--grep", "KEY|hunter2|sig="], 0);
    shown(&["logs", one, "--output", "json"], 0);
    shown(&["status"], 0);
    shown(&["status", "--output", "json"], 0);
    shown(&["report", "--out", "page.html"], 0);
    shown(&["report", "--site", "site"], 0);
    let root = staged.workspace.root();
    let mut seen = 0;
    for path in files_below(root) {
        let named = path.strip_prefix(root).unwrap().display().to_string();
        // What the programs themselves wrote, and what told them to.
        let is_log = named.ends_with(".log") && named.contains("/runs/");
        if is_log || ["workspace.toml", "faults.json"].contains(&named.as_str()) {
            continue;
        }
        seen += 1;
        let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
        assert!(!text.contains("hunter2"), "{named}");
    }
    assert!(seen > 20 && staged.workspace.path("payload.json").exists());
}

#[test]
fn a_finding_does_not_show_the_line_of_a_secret() {
    let staged = staged();
    staged.workspace.edit(
        "workspace.toml",
        "\"spark.acme.passphrase\" = \"",
        "\"spark.acme.password\" = [\"hunter2SECRET98\"]\n\"spark.acme.passphrase\" = \"",
    );
    for output in ["text", "json"] {
        let screen = staged.run(&["check", "--output", output]).expect(2);
        let text = screen.text();
        assert!(!text.contains("hunter2"), "{text}");
        assert!(text.contains("spark.acme.password"), "{text}");
    }
    let place = staged.run(&["check"]).stderr;
    let line = staged.workspace.read("workspace.toml");
    let line = 1 + line
        .lines()
        .position(|line| line.contains("SECRET98"))
        .unwrap();
    assert!(
        place.contains(&format!("workspace.toml:{line}:")),
        "{place}"
    );
}
