//! One step of one conf → the Driver's command line.

use std::{collections::BTreeMap, path::Path};

use chronon_run_conf::{MetaData, Teams};
use chronon_run_core::{CommandLine, Ds};
use serde_json::Value;

use super::{
    ClassPath,
    environment::{Layers, UnknownTeam, team_layers},
    launcher::{DRIVER, Launcher, REMOVED},
    mode::{GroupByMode, JoinMode, Mode, Runner},
};

/// What does not change from job to job.
#[derive(Clone, Debug)]
pub struct Setup<'a> {
    /// The folder of `teams.json` and `production/`; jobs run in it, so that conf paths stay
    /// relative (§10.17).
    pub repo: &'a Path,
    /// `teams.json`; its own findings, such as values that are not texts, stop a run before this.
    pub teams: &'a Teams,
    /// run.py's `--env`, which block of `teams.json`; part of the app name (§10.13).
    pub env: &'a str,
    /// The environment that the job will inherit; its variables win over everything (§2.5).
    pub process_env: &'a BTreeMap<String, String>,
    /// Who starts the Driver.
    pub launcher: &'a Launcher,
    /// The Driver's jar; otherwise `CHRONON_DRIVER_JAR` of the environment.
    pub jar: Option<&'a str>,
    /// The jar of the online implementation; otherwise `CHRONON_ONLINE_JAR`.
    pub online_jar: Option<&'a str>,
    /// Its class; otherwise `CHRONON_ONLINE_CLASS`.
    pub online_class: Option<&'a str>,
    /// Arguments of every online mode, e.g. `-Zhost=kv`; if empty, `CHRONON_ONLINE_ARGS`.
    pub online_args: &'a [String],
    /// Overrides the app name of §2.5.
    pub app_name: Option<&'a str>,
    /// What reaches the class path of driver and tasks; `None` is exactly what run.py does.
    pub class_path: Option<&'a ClassPath>,
    /// Variables to set if they are not set otherwise, e.g. the `USER` that cron does not have, or
    /// `SPARK_SUBMIT_PATH` (§10.16). run.py has nothing like it.
    pub fallback_env: &'a [(String, String)],
}

/// One run of one conf.
#[derive(Clone, Debug)]
pub struct Job<'a> {
    /// The compiled conf, relative to the repo, e.g. `production/joins/team/name.v1`.
    pub conf_path: &'a str,
    /// The conf's `metaData`; `None` for a folder of confs.
    pub meta_data: Option<&'a MetaData>,
    /// What to do.
    pub mode: Mode,
    /// Last day, inclusive.
    pub ds: Ds,
    /// First day, inclusive; without it the Driver starts where the conf does.
    pub start_ds: Option<Ds>,
    /// Also fill days before the first existing partition (§5.1); left out where it has no effect.
    pub run_first_hole: bool,
    /// Days per commit; left out where it has no effect, the Driver's default is 30.
    pub step_days: Option<u32>,
    /// Passed on as they are.
    pub extra_args: &'a [String],
}

/// Why a job has no command line.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Error {
    /// The conf lies elsewhere than run.py expects it.
    #[error(
        "{conf_path}: a conf of mode `{mode}` must lie in <folder>/{folder}/<team>/<name>; move it or choose another mode"
    )]
    Folder {
        /// The conf as given.
        conf_path: String,
        /// run.py's word.
        mode: &'static str,
        /// The folder that was expected.
        folder: &'static str,
    },
    /// `teams.json` lacks the team.
    #[error("{conf_path}: teams.json has no team `{team}`; add it, or move the conf")]
    UnknownTeam {
        /// The conf as given.
        conf_path: String,
        /// The missing team.
        team: String,
    },
    /// run.py would join a dict's keys or a text's letters (§10.12).
    #[error(
        "{conf}: customJson.additional_args must be a list of texts such as [\"--step-days\", \"5\"]"
    )]
    AdditionalArgs {
        /// `metaData.name`.
        conf: String,
    },
    /// run.py splits the line on blanks and knows no quoting (§10.11).
    #[error(
        "argument `{argument}` of {conf_path} contains white space or is empty, which the Driver's launcher cannot pass on"
    )]
    WhiteSpace {
        /// The conf as given.
        conf_path: String,
        /// The argument.
        argument: String,
    },
    /// The Driver stops at an option that comes twice.
    #[error(
        "{conf_path}: `{option}` is both in driver_args and in customJson.additional_args of the conf; the Driver stops at an option that comes twice"
    )]
    Twice {
        /// The conf as given.
        conf_path: String,
        /// The option.
        option: String,
    },
    /// No Driver jar.
    #[error("there is no Chronon jar; set `chronon_jar` in [engine] or CHRONON_DRIVER_JAR")]
    NoJar,
    /// An online mode without its jar or class.
    #[error("mode `{mode}` needs `{key}` in [engine], or {variable}")]
    NoOnline {
        /// run.py's word.
        mode: &'static str,
        /// The key that is missing.
        key: &'static str,
        /// The variable that would do as well.
        variable: &'static str,
    },
    /// The scripts stop at an unset variable (§10.16).
    #[error(
        "scripts/{script} needs the variable {name}; set it in the environment or in teams.json"
    )]
    MissingVariable {
        /// The script that would stop.
        script: &'static str,
        /// The unset variable.
        name: &'static str,
    },
}

/// The variable that carries `customJson.additional_args`.
const ADDITIONAL_ARGS: &str = "CHRONON_CONFIG_ADDITIONAL_ARGS";
/// The variable whose jar the scripts pass as `--jars`.
const ONLINE_JAR: &str = "CHRONON_ONLINE_JAR";

/// The command line that run.py would start for `job`.
///
/// # Errors
/// See [`Error`]; nothing is started that the Driver would misread.
pub fn command(setup: &Setup<'_>, job: &Job<'_>) -> Result<CommandLine, Error> {
    let layers = all_layers(setup, job)?;
    let mut env = layers.flatten();
    env.extend(setup.process_env.clone());
    let resolved = resolve(setup, job, &env)?;
    let mut argv = launcher_argv(setup, job, &env, &resolved);
    argv.push(job.mode.subcommand().to_owned());
    check_twice(job, &env)?;
    argv.extend(driver_args(job, &env, &resolved));
    check_white_space(setup, job, &argv)?;
    if matches!(setup.launcher, Launcher::Scripts) {
        check_script_variables(job, &env)?;
    }
    Ok(CommandLine {
        env: env_changes(setup, job, &layers, &resolved, &argv),
        argv,
        cwd: Some(setup.repo.to_owned()),
    })
}

/// Every layer below the process environment, in the order of §2.5.
fn all_layers(setup: &Setup<'_>, job: &Job<'_>) -> Result<Layers, Error> {
    let team = team_of(job)?;
    let mut layers = Layers::default();
    layers.push("the conf", conf_env(job)?);
    let mode = job.mode.settings_word();
    let teams = team_layers(setup.teams, team, setup.env, mode);
    let teams = teams.map_err(|UnknownTeam(team)| Error::UnknownTeam {
        conf_path: job.conf_path.to_owned(),
        team,
    })?;
    layers.layers.extend(teams.layers);
    layers.push("the command line", cli_env(setup, job));
    layers.push("chronon-run", setup.fallback_env.iter().cloned().collect());
    Ok(layers)
}

/// The team, i.e. the last token but one of `<folder>/<conf type>/<team>/<name>`.
fn team_of<'a>(job: &Job<'a>) -> Result<&'a str, Error> {
    let folder = job.mode.conf_type().folder();
    let mut tokens = job.conf_path.rsplit('/');
    let (_name, team, found) = (tokens.next(), tokens.next(), tokens.next());
    match (team, found, tokens.next()) {
        (Some(team), Some(found), Some(_)) if found == folder => Ok(team),
        _ => Err(Error::Folder {
            conf_path: job.conf_path.to_owned(),
            mode: job.mode.word(),
            folder,
        }),
    }
}

/// Layer (2): `modeToEnvMap` and the additional arguments.
fn conf_env(job: &Job<'_>) -> Result<BTreeMap<String, String>, Error> {
    let Some(meta_data) = job.meta_data else {
        return Ok(BTreeMap::new());
    };
    let modes = meta_data.mode_to_env_map.iter().flatten();
    let mut env: BTreeMap<_, _> = modes
        .filter(|(mode, _)| *mode == job.mode.settings_word())
        .flat_map(|(_, env)| env.clone())
        .collect();
    let custom = meta_data.custom();
    let has_custom = custom.as_object().is_some_and(|tree| !tree.is_empty());
    if has_custom && job.mode.takes_additional_args() {
        let arguments = additional_args(&custom).ok_or_else(|| Error::AdditionalArgs {
            conf: meta_data.name.clone(),
        })?;
        // Even an empty value is set, and so hides a team's (§2.5).
        env.insert(ADDITIONAL_ARGS.to_owned(), arguments.join(" "));
    }
    Ok(env)
}

/// `customJson.additional_args`; `None` if it is anything but a list of texts.
fn additional_args(custom: &Value) -> Option<Vec<&str>> {
    match custom.get("additional_args") {
        None => Some(Vec::new()),
        Some(value) => value.as_array()?.iter().map(Value::as_str).collect(),
    }
}

/// Layer (7): what run.py derives from its arguments.
fn cli_env(setup: &Setup<'_>, job: &Job<'_>) -> BTreeMap<String, String> {
    let repo = setup.process_env.get("CHRONON_REPO_PATH");
    let repo = repo.map_or(".", String::as_str);
    let optional = [
        ("CHRONON_DRIVER_JAR", setup.jar),
        (ONLINE_JAR, setup.online_jar),
        ("CHRONON_ONLINE_CLASS", setup.online_class),
    ];
    let mut env = BTreeMap::from([
        ("APP_NAME".to_owned(), app_name(setup, job)),
        (
            "CHRONON_CONF_PATH".to_owned(),
            join_path(repo, job.conf_path),
        ),
    ]);
    for (name, value) in optional {
        env.extend(value.map(|value| (name.to_owned(), value.to_owned())));
    }
    env
}

/// `APP_NAME`, by which a streaming app is found again (§2.6).
fn app_name(setup: &Setup<'_>, job: &Job<'_>) -> String {
    let folder = job.mode.conf_type().folder();
    match (setup.app_name, job.meta_data) {
        (Some(name), _) => name.to_owned(),
        (None, Some(meta_data)) => format!(
            "chronon_{folder}_{}_{}_{}",
            job.mode.settings_word(),
            setup.env,
            meta_data.name
        ),
        (None, None) => format!("chronon_{folder}_{}", job.mode.word().replace('-', "_")),
    }
}

/// Python's `os.path.join` for these two.
fn join_path(folder: &str, path: &str) -> String {
    if path.starts_with('/') || folder.is_empty() {
        path.to_owned()
    } else if folder.ends_with('/') {
        format!("{folder}{path}")
    } else {
        format!("{folder}/{path}")
    }
}

/// What the command line names and either the setup or the environment supplies.
struct Resolved {
    jar: String,
    online: Option<(String, String)>,
    online_args: Vec<String>,
}

fn resolve(
    setup: &Setup<'_>,
    job: &Job<'_>,
    env: &BTreeMap<String, String>,
) -> Result<Resolved, Error> {
    let given_or = |given: Option<&str>, variable: &str| {
        given
            .map(str::to_owned)
            .or_else(|| env.get(variable).cloned())
    };
    let jar = given_or(setup.jar, "CHRONON_DRIVER_JAR").ok_or(Error::NoJar)?;
    let mode = job.mode.word();
    let needed = |given, key, variable| {
        given_or(given, variable).ok_or(Error::NoOnline {
            mode,
            key,
            variable,
        })
    };
    let online = job
        .mode
        .is_online()
        .then(|| {
            Ok((
                needed(setup.online_jar, "online_jar", ONLINE_JAR)?,
                needed(setup.online_class, "online_class", "CHRONON_ONLINE_CLASS")?,
            ))
        })
        .transpose()?;
    let online_args = if setup.online_args.is_empty() {
        let text = env.get("CHRONON_ONLINE_ARGS").map(String::as_str);
        words(text.unwrap_or_default())
    } else {
        setup.online_args.to_vec()
    };
    Ok(Resolved {
        jar,
        online,
        online_args,
    })
}

/// Python's `str.split()`.
fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// Everything before the subcommand.
fn launcher_argv(
    setup: &Setup<'_>,
    job: &Job<'_>,
    env: &BTreeMap<String, String>,
    resolved: &Resolved,
) -> Vec<String> {
    let runner = job.mode.runner();
    let mut argv = match (runner, setup.launcher) {
        (Runner::Java, _) => {
            let java = ["java", "-cp", &resolved.jar, DRIVER];
            return java.map(str::to_owned).to_vec();
        }
        (_, Launcher::Scripts) => {
            let folder = env.get("CHRONON_REPO_PATH").map_or(".", String::as_str);
            let script = join_path(folder, &format!("scripts/{}", script_of(runner)));
            vec!["bash".into(), script, "--class".into(), DRIVER.into()]
        }
        (_, Launcher::SparkSubmit(direct)) => {
            let derived = app_name(setup, job);
            let app_name = env.get("APP_NAME").unwrap_or(&derived);
            // An online mode names the jar itself, and the script then gets none as `--jars`.
            let online = resolved.online.as_ref().map(|(jar, _)| jar);
            let jars = env.get(ONLINE_JAR).filter(|jar| {
                !jar.is_empty() && online.is_none_or(|named| !named.contains(jar.as_str()))
            });
            let whole = class_path(setup, job, resolved);
            direct.argv(
                runner,
                env,
                app_name,
                whole.as_ref().or(jars).map(String::as_str),
            )
        }
    };
    argv.push(resolved.jar.clone());
    argv
}

/// `--jars` of an online mode that is submitted (see [`ClassPath`]).
fn class_path(setup: &Setup<'_>, job: &Job<'_>, resolved: &Resolved) -> Option<String> {
    let (jar, _) = resolved.online.as_ref()?;
    let submitted = job.mode.runner() != Runner::Java;
    let class_path = setup.class_path.filter(|_| submitted)?;
    Some(class_path.with_online_jar(jar))
}

const fn script_of(runner: Runner) -> &'static str {
    match runner {
        Runner::SubmitStreaming => "spark_streaming.sh",
        Runner::Submit | Runner::Java => "spark_submit.sh",
    }
}

/// The Driver's arguments in run.py's order: the mode's own, extra, online, start, additional.
fn driver_args(job: &Job<'_>, env: &BTreeMap<String, String>, resolved: &Resolved) -> Vec<String> {
    let mode = &job.mode;
    let mut args = Vec::new();
    if mode.takes_conf() {
        args.push(format!("--conf-path={}", job.conf_path));
    }
    if mode.takes_end_date() {
        args.push(format!("--end-date={}", job.ds));
    }
    if let Some((jar, class)) = &resolved.online {
        args.push(format!("--online-jar={jar}"));
        args.push(format!("--online-class={class}"));
    }
    if *mode == Mode::GroupBy(GroupByMode::LocalStreaming) {
        args.push("-d".to_owned());
    }
    let additional = additional_words(job, env);
    args.extend(own_args(job, &additional));
    args.extend_from_slice(job.extra_args);
    if mode.is_online() {
        args.extend_from_slice(&resolved.online_args);
    }
    if let (Runner::Submit, Some(start)) = (mode.runner(), job.start_ds) {
        args.push(format!("--start-partition-override={start}"));
    }
    args.extend(additional);
    args
}

/// The words of `CHRONON_CONFIG_ADDITIONAL_ARGS`, which the embedded jar does not get.
fn additional_words(job: &Job<'_>, env: &BTreeMap<String, String>) -> Vec<String> {
    let submitted = job.mode.runner() != Runner::Java;
    let additional = env.get(ADDITIONAL_ARGS).map(String::as_str);
    words(additional.filter(|_| submitted).unwrap_or_default())
}

/// No option of the extra arguments may be among the additional ones too.
fn check_twice(job: &Job<'_>, env: &BTreeMap<String, String>) -> Result<(), Error> {
    let options = |arguments: &[String]| -> Vec<String> {
        let long = arguments.iter().filter(|text| text.starts_with("--"));
        long.filter_map(|text| text.split('=').next().map(str::to_owned))
            .collect()
    };
    let additional = options(&additional_words(job, env));
    let mut given = options(job.extra_args).into_iter();
    match given.find(|option| additional.contains(option)) {
        None => Ok(()),
        Some(option) => Err(Error::Twice {
            conf_path: job.conf_path.to_owned(),
            option,
        }),
    }
}

/// The options that a job asks for by fields, unless the user passes the same one by hand:
/// the Driver refuses an option that comes twice.
pub(super) fn own_args(job: &Job<'_>, additional: &[String]) -> Vec<String> {
    let mut own = Vec::new();
    if let Mode::Join(JoinMode::Part(part)) = &job.mode {
        own.push(format!("--selected-join-parts={part}"));
        own.push("--use-cached-left".to_owned());
    }
    if job.run_first_hole && job.mode.honours_first_hole() {
        own.push("--run-first-hole".to_owned());
    }
    if let Some(days) = job.step_days.filter(|_| job.mode.honours_step_days()) {
        own.push(format!("--step-days={days}"));
    }
    let option = |argument: &str| argument.split('=').next().map(str::to_owned);
    let by_hand = job.extra_args.iter().chain(additional);
    let by_hand: Vec<_> = by_hand.filter_map(|argument| option(argument)).collect();
    own.retain(|argument| option(argument).is_none_or(|name| !by_hand.contains(&name)));
    own
}

/// run.py's line knows no quoting; the direct launcher's own options may hold blanks, the Driver's
/// arguments may not, so that both launchers accept the same jobs.
fn check_white_space(setup: &Setup<'_>, job: &Job<'_>, argv: &[String]) -> Result<(), Error> {
    let direct = matches!(setup.launcher, Launcher::SparkSubmit(_));
    let class = argv.iter().position(|argument| argument == DRIVER);
    let first = class.filter(|_| direct).unwrap_or(0);
    let bad = |argument: &&String| argument.is_empty() || argument.contains(char::is_whitespace);
    match argv[first..].iter().find(bad) {
        None => Ok(()),
        Some(argument) => Err(Error::WhiteSpace {
            conf_path: job.conf_path.to_owned(),
            argument: argument.clone(),
        }),
    }
}

/// `set -u` in the scripts.
fn check_script_variables(job: &Job<'_>, env: &BTreeMap<String, String>) -> Result<(), Error> {
    if job.mode.runner() == Runner::Java {
        return Ok(());
    }
    let script = script_of(job.mode.runner());
    match ["USER", "SPARK_SUBMIT_PATH"]
        .into_iter()
        .find(|name| !env.contains_key(*name))
    {
        None => Ok(()),
        Some(name) => Err(Error::MissingVariable { script, name }),
    }
}

/// What the child's environment has on top of the inherited one.
fn env_changes(
    setup: &Setup<'_>,
    job: &Job<'_>,
    layers: &Layers,
    resolved: &Resolved,
    argv: &[String],
) -> Vec<(String, Option<String>)> {
    let mut changes: BTreeMap<String, Option<String>> = layers
        .flatten()
        .into_iter()
        .filter(|(name, _)| !setup.process_env.contains_key(name))
        .map(|(name, value)| (name, Some(value)))
        .collect();
    let jar = layers.get(ONLINE_JAR).map(|(value, _)| value);
    let jar = setup
        .process_env
        .get(ONLINE_JAR)
        .map(String::as_str)
        .or(jar);
    // The script would pass it a second time as `--jars`.
    if jar.is_some_and(|jar| !jar.is_empty() && argv.join(" ").contains(jar)) {
        if setup.process_env.contains_key(ONLINE_JAR) {
            changes.insert(ONLINE_JAR.to_owned(), None);
        } else {
            changes.remove(ONLINE_JAR);
        }
    }
    if let (Launcher::Scripts, Some(jars)) = (setup.launcher, class_path(setup, job, resolved)) {
        // The scripts pass this variable, and nothing else, as `--jars`.
        changes.insert(ONLINE_JAR.to_owned(), Some(jars));
    }
    if let (Launcher::SparkSubmit(direct), true) =
        (setup.launcher, job.mode.runner() != Runner::Java)
    {
        for name in REMOVED {
            changes.insert(name.to_owned(), None);
        }
        if let Some(home) = &direct.spark_home {
            changes.insert("SPARK_HOME".to_owned(), Some(home.clone()));
        }
    }
    changes.into_iter().collect()
}

#[cfg(test)]
mod tests;
