//! Secrets of a command line, handed over in files that only the user can read: every user of the machine
//! sees arguments.
//!
//! Properties go into a `--properties-file`. Such a file stands in for `spark-defaults.conf`, so it begins
//! with that one's content. Options of JVMs (`-D…`) go into an argument file that `JDK_JAVA_OPTIONS` names,
//! because Spark would put a property of the same meaning into the arguments of its JVM; Java 8 knows no
//! such files.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use chronon_run_core::{
    CommandLine,
    secret::{holds_secret, mask_text},
};

use super::{Spark, command::quote};
use crate::maven::bytes_sha256;

/// How the files are called.
const PREFIX: &str = "secrets-";
/// The first Java that reads `JDK_JAVA_OPTIONS`.
const WITH_ARGUMENT_FILES: u32 = 9;
/// The variable with options for every JVM of Spark's scripts.
const SUBMIT_OPTIONS: &str = "SPARK_SUBMIT_OPTS";
/// The variable with options for every JVM that is started by `java`.
const JAVA_OPTIONS: &str = "JDK_JAVA_OPTIONS";
/// The property and the argument with options for the driver's JVM.
const DRIVER_OPTIONS: [&str; 2] = ["spark.driver.extraJavaOptions", "--driver-java-options"];

/// Where secrets go, and what has to be known of the machine.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The folder of the files; it is removed with what is started.
    pub folder: &'a Path,
    /// `$SPARK_HOME` of what is started.
    pub spark_home: &'a Path,
    /// The feature version of its Java.
    pub java: u32,
}

impl<'a> Place<'a> {
    /// For what is started with this Spark.
    #[must_use]
    pub fn of(spark: &'a Spark, folder: &'a Path) -> Self {
        Self {
            folder,
            spark_home: &spark.spark.home,
            java: spark.java.major,
        }
    }
}

/// The same command without secrets among its arguments. Without secrets it is as it was.
///
/// # Errors
/// A file cannot be written, or `spark-defaults.conf` cannot be read.
pub fn conceal(
    command: CommandLine,
    place: Place<'_>,
    env: impl Fn(&str) -> Option<String>,
) -> io::Result<CommandLine> {
    let mut command = command;
    let value = |command: &CommandLine, name: &str| match command
        .env
        .iter()
        .rev()
        .find(|(key, _)| key == name)
    {
        Some((_, value)) => value.clone(),
        None => env(name),
    };
    let has_argument_files = place.java >= WITH_ARGUMENT_FILES;
    let options = match has_argument_files {
        true => take_options(&mut command),
        false => Vec::new(),
    };
    if !options.is_empty() {
        let path = write(place.folder, "args", argument_file(&options).as_bytes())?;
        let before = value(&command, JAVA_OPTIONS).filter(|before| !before.is_empty());
        let before = before.map_or_else(String::new, |before| format!("{before} "));
        let all = format!("{before}@{}", path.display());
        command.env.retain(|(name, _)| name != JAVA_OPTIONS);
        command.env.push((JAVA_OPTIONS.to_owned(), Some(all)));
    }
    let properties = take_properties(&mut command);
    if !properties.is_empty() {
        let mut text = defaults(place.spark_home, value(&command, "SPARK_CONF_DIR"))?;
        text.extend(properties_text(&properties).into_bytes());
        let path = write(place.folder, "properties", &text)?;
        let at = 1.min(command.argv.len());
        let option = ["--properties-file".to_owned(), path.display().to_string()];
        command.argv.splice(at..at, option);
    }
    Ok(command)
}

/// Removes what earlier starts left in a folder that stays.
pub fn forget(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(PREFIX) {
            // It is readable by its user only, and the next start tries again.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Takes the properties that hold secrets out of the options of `spark-submit`. Of several values of one
/// property the last counts, and none stays: an argument would win over the file.
fn take_properties(command: &mut CommandLine) -> BTreeMap<String, String> {
    let mut taken: BTreeMap<String, String> = BTreeMap::new();
    let pairs = pairs(&command.argv);
    let secret = pairs
        .iter()
        .filter(|pair| is_secret(&pair.name, &pair.value));
    let secret: BTreeSet<String> = secret.map(|pair| pair.name.clone()).collect();
    for pair in &pairs {
        if secret.contains(&pair.name) {
            taken.insert(pair.name.clone(), pair.value.clone());
        }
    }
    for pair in pairs
        .iter()
        .rev()
        .filter(|pair| secret.contains(&pair.name))
    {
        command.argv.drain(pair.at..pair.at + 2);
    }
    taken
}

fn is_secret(name: &str, value: &str) -> bool {
    let of_hadoop = name.strip_prefix("spark.hadoop.");
    holds_secret(name, value) || of_hadoop.is_some_and(|name| holds_secret(name, value))
}

/// A `--conf name=value`.
struct Pair {
    at: usize,
    name: String,
    value: String,
}

fn pairs(argv: &[String]) -> Vec<Pair> {
    let pair = |at: usize| {
        let is_conf = matches!(argv.get(at)?.as_str(), "--conf" | "-c");
        let (name, value) = argv.get(at + 1).filter(|_| is_conf)?.split_once('=')?;
        Some(Pair {
            at,
            name: name.to_owned(),
            value: value.to_owned(),
        })
    };
    option_places(argv).into_iter().filter_map(pair).collect()
}

/// Where the options of `spark-submit` are that come before the application, each with a value.
fn option_places(argv: &[String]) -> Vec<usize> {
    let is_submit = |program: &String| program.ends_with("spark-submit");
    if !argv.first().is_some_and(is_submit) {
        return Vec::new();
    }
    let mut places = Vec::new();
    let mut at = 1;
    while argv.get(at).is_some_and(|option| option.starts_with('-')) && at + 1 < argv.len() {
        places.push(at);
        at += 2;
    }
    places
}

/// Takes the options with secrets that are meant for the driver's JVM on this machine out of the command's
/// arguments and of `SPARK_SUBMIT_OPTS`, which Spark makes arguments of.
fn take_options(command: &mut CommandLine) -> Vec<String> {
    let mut taken = Vec::new();
    for (name, value) in &mut command.env {
        if name == SUBMIT_OPTIONS
            && let Some(text) = value
        {
            *text = without_secrets(text, &mut taken);
        }
    }
    let is_cluster = command
        .argv
        .windows(2)
        .any(|two| two == ["--deploy-mode", "cluster"]);
    if is_cluster {
        return taken;
    }
    for at in option_places(&command.argv) {
        if command.argv[at] == DRIVER_OPTIONS[1] {
            command.argv[at + 1] = without_secrets(&command.argv[at + 1], &mut taken);
        }
    }
    for pair in pairs(&command.argv) {
        if pair.name == DRIVER_OPTIONS[0] {
            let left = without_secrets(&pair.value, &mut taken);
            command.argv[pair.at + 1] = format!("{}={left}", pair.name);
        }
    }
    taken
}

/// The options without those that hold secrets, which are added to `taken`.
fn without_secrets(options: &str, taken: &mut Vec<String>) -> String {
    if mask_text(options) == options
        && !split(options).iter().any(|option| is_secret_option(option))
    {
        return options.to_owned();
    }
    let (secret, left): (Vec<String>, Vec<String>) = split(options)
        .into_iter()
        .partition(|option| is_secret_option(option));
    taken.extend(secret);
    let left: Vec<String> = left.iter().map(|option| quote(option)).collect();
    left.join(" ")
}

/// Whether an option is a system property that holds a secret.
fn is_secret_option(option: &str) -> bool {
    let property = option
        .strip_prefix("-D")
        .and_then(|rest| rest.split_once('='));
    property.is_some_and(|(name, value)| is_secret(name, value))
}

/// As Spark's launcher splits a text of options: at blanks outside quotes; a backslash takes the next
/// character as it is, within double quotes only a quote or a backslash.
fn split(options: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut characters = options.chars().peekable();
    while let Some(c) = characters.next() {
        match (c, quote) {
            ('\\', None) => word.get_or_insert_default().extend(characters.next()),
            ('\\', Some('"')) if characters.peek().is_some_and(|next| "\"\\".contains(*next)) => {
                word.get_or_insert_default().extend(characters.next());
            }
            (c, Some(open)) if c == open => quote = None,
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// Options as `java @file` reads them.
fn argument_file(options: &[String]) -> String {
    let mut text = String::new();
    for option in options {
        text.push('"');
        for c in option.chars() {
            match c {
                '"' | '\\' => text.extend(['\\', c]),
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                c => text.push(c),
            }
        }
        text.push_str("\"\n");
    }
    text
}

/// Properties as `java.util.Properties` reads them.
fn properties_text(properties: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    for (name, value) in properties {
        escape(name, true, &mut text);
        text.push('=');
        escape(value, false, &mut text);
        text.push('\n');
    }
    text
}

fn escape(text: &str, is_name: bool, to: &mut String) {
    for (at, c) in text.char_indices() {
        match c {
            '\n' => to.push_str("\\n"),
            '\r' => to.push_str("\\r"),
            '\t' => to.push_str("\\t"),
            '\u{c}' => to.push_str("\\f"),
            '\\' => to.push_str("\\\\"),
            ' ' if is_name || at == 0 => to.push_str("\\ "),
            '=' | ':' | '#' | '!' if is_name || at == 0 => to.extend(['\\', c]),
            c => to.push(c),
        }
    }
}

/// `spark-defaults.conf`, if there is one, with an end of its last line. `conf_dir` is `SPARK_CONF_DIR`; without
/// it the folder `conf` of `spark_home` counts.
///
/// # Errors
/// There is one that cannot be read.
pub fn defaults(spark_home: &Path, conf_dir: Option<String>) -> io::Result<Vec<u8>> {
    let conf_dir = conf_dir.filter(|folder| !folder.is_empty());
    let conf_dir = conf_dir.map_or_else(|| spark_home.join("conf"), PathBuf::from);
    let path = conf_dir.join("spark-defaults.conf");
    match fs::read(&path) {
        Ok(mut text) => {
            text.push(b'\n');
            Ok(text)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(io::Error::new(
            error.kind(),
            format!("{}: {error}", path.display()),
        )),
    }
}

/// Writes a file that only its user can read, named after its content; a link of that name is replaced.
fn write(folder: &Path, extension: &str, content: &[u8]) -> io::Result<PathBuf> {
    let digest = bytes_sha256(content);
    let name = format!(
        "{PREFIX}{}.{extension}",
        digest.get(..16).unwrap_or_default()
    );
    let path = folder.join(&name);
    let failed = |error: io::Error| {
        io::Error::new(
            error.kind(),
            format!("cannot write {}: {error}", path.display()),
        )
    };
    let file = tempfile::Builder::new()
        .prefix(PREFIX)
        .permissions(fs::Permissions::from_mode(0o600))
        .tempfile_in(folder);
    let mut file = file.map_err(failed)?;
    file.write_all(content).map_err(failed)?;
    file.persist(&path).map_err(|error| failed(error.error))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixture {
        folder: tempfile::TempDir,
    }

    impl Fixture {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            fs::create_dir(folder.path().join("conf")).unwrap();
            Self { folder }
        }

        fn conceal(&self, java: u32, words: &[&str], env: &[(&str, &str)]) -> CommandLine {
            let command = CommandLine {
                argv: words.iter().map(|word| (*word).to_owned()).collect(),
                env: env
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), Some((*value).to_owned())))
                    .collect(),
                cwd: None,
            };
            let place = Place {
                folder: self.folder.path(),
                spark_home: self.folder.path(),
                java,
            };
            conceal(command, place, |_| None).unwrap()
        }

        /// What the one file with this extension holds.
        fn written(&self, extension: &str) -> String {
            use std::os::unix::fs::MetadataExt;
            let files = fs::read_dir(self.folder.path()).unwrap();
            let mut files = files.map(|entry| entry.unwrap().path());
            let path = files
                .find(|path| path.extension().is_some_and(|found| found == extension))
                .unwrap();
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
            fs::read_to_string(path).unwrap()
        }
    }

    #[test]
    fn without_secrets_a_command_stays_as_it_is() {
        let fixture = Fixture::new();
        let words = [
            "/s/bin/spark-submit",
            "--conf",
            "spark.ui.enabled=false",
            "app",
        ];
        let env = [("SPARK_SUBMIT_OPTS", "-Da=\"b c\"  -Dx=y")];
        let command = fixture.conceal(17, &words, &env);
        assert_eq!(command.argv, words);
        assert_eq!(command.env[0].1.as_deref(), Some(env[0].1));
        assert_eq!(fs::read_dir(fixture.folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn secret_properties_go_into_a_file_behind_the_defaults() {
        let fixture = Fixture::new();
        let defaults = fixture.folder.path().join("conf/spark-defaults.conf");
        fs::write(defaults, "spark.eventLog.enabled true").unwrap();
        let words = [
            "/s/bin/spark-submit",
            "--master",
            "local",
            "--conf",
            "spark.hadoop.fs.s3a.secret.key=first",
            "--conf",
            "spark.ui.enabled=false",
            "--conf",
            "spark.hadoop.fs.s3a.secret.key= a=b\\c\nd",
            "--conf",
            "spark.x.url=jdbc:postgresql://u:hunter2@h/d",
            "--class",
            "C",
            "app",
            "--conf",
            "spark.y.password=of-the-application",
        ];
        let command = fixture.conceal(17, &words, &[]);
        let argv = command.argv.join(" ");
        assert!(
            !argv.contains("first") && !argv.contains("hunter2"),
            "{argv}"
        );
        assert_eq!(command.argv[1], "--properties-file");
        assert_eq!(
            command.argv[3..].join(" "),
            "--master local --conf spark.ui.enabled=false --class C app --conf \
             spark.y.password=of-the-application"
        );
        assert_eq!(
            fixture.written("properties"),
            "spark.eventLog.enabled true\n\
             spark.hadoop.fs.s3a.secret.key=\\ a=b\\\\c\\nd\n\
             spark.x.url=jdbc:postgresql://u:hunter2@h/d\n"
        );
    }

    #[test]
    fn secret_options_of_the_jvm_go_into_an_argument_file() {
        let fixture = Fixture::new();
        let words = [
            "spark-submit",
            "--driver-java-options",
            "-Xss4m -Djavax.net.ssl.keyStorePassword=one",
            "--conf",
            "spark.driver.extraJavaOptions=\"-Djavax.net.ssl.trustStorePassword=two words\" -Da='b c'",
            "app",
        ];
        let env = [
            (
                "SPARK_SUBMIT_OPTS",
                "-Dspark.hadoop.fs.s3a.secret.key=three -Xmx1g",
            ),
            ("JDK_JAVA_OPTIONS", "-Xlog:disable"),
        ];
        let command = fixture.conceal(17, &words, &env);
        let all = format!("{:?} {:?}", command.argv, command.env);
        for secret in ["one", "two words", "three"] {
            assert!(!all.contains(secret), "{all}");
        }
        assert_eq!(command.argv[2], "-Xss4m");
        assert_eq!(command.argv[4], "spark.driver.extraJavaOptions=\"-Da=b c\"");
        let options = command.env.iter().find(|(name, _)| name == JAVA_OPTIONS);
        let options = options.unwrap().1.clone().unwrap();
        assert!(options.starts_with("-Xlog:disable @/"), "{options}");
        assert_eq!(
            fixture.written("args"),
            "\"-Dspark.hadoop.fs.s3a.secret.key=three\"\n\
             \"-Djavax.net.ssl.keyStorePassword=one\"\n\
             \"-Djavax.net.ssl.trustStorePassword=two words\"\n"
        );
        // Java 8 reads no such file: a property is still better than an argument.
        let old = Fixture::new();
        let command = old.conceal(8, &words, &env);
        assert!(!command.argv.join(" ").contains("two words"));
        assert!(old.written("properties").contains("two words"));
    }

    #[test]
    fn a_link_in_place_of_the_file_is_replaced() {
        let fixture = Fixture::new();
        let words = ["spark-submit", "--conf", "spark.password=x", "app"];
        let path = fixture.conceal(17, &words, &[]).argv[2].clone();
        let other = fixture.folder.path().join("other");
        fs::write(&other, "kept").unwrap();
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(&other, &path).unwrap();
        fixture.conceal(17, &words, &[]);
        assert_eq!(fs::read_to_string(&other).unwrap(), "kept");
        assert!(!fs::symlink_metadata(&path).unwrap().is_symlink());
        forget(fixture.folder.path());
        assert!(!Path::new(&path).exists());
    }
}
