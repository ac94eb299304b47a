//! What a person would have typed: the line of Chronon's own run.py for a job.

use chronon_run_core::CommandLine;

use super::{Job, Setup, command::own_args};

/// The run.py line for `job`, as far as it differs from run.py's own defaults. Dates and mode are
/// always there, since run.py's defaults for them are traps (§10.13, §10.15).
#[must_use]
pub fn run_py(setup: &Setup<'_>, job: &Job<'_>) -> CommandLine {
    let mut argv: Vec<String> = vec!["run.py".into()];
    let mut option = |name: &str, value: &str| argv.push(format!("--{name}={value}"));
    option("mode", job.mode.word());
    if job.mode.takes_conf() {
        option("conf", job.conf_path);
    }
    option("env", setup.env);
    if job.mode.takes_end_date() {
        option("ds", &job.ds.to_string());
    }
    if let Some(start) = job.start_ds {
        option("start-ds", &start.to_string());
    }
    let jars = [
        ("chronon-jar", setup.jar),
        (
            "online-jar",
            setup.online_jar.filter(|_| job.mode.is_online()),
        ),
        (
            "online-class",
            setup.online_class.filter(|_| job.mode.is_online()),
        ),
        ("app-name", setup.app_name),
    ];
    for (name, value) in jars {
        if let Some(value) = value {
            option(name, value);
        }
    }
    if job.mode.is_online() && !setup.online_args.is_empty() {
        option("online-args", &setup.online_args.join(" "));
    }
    argv.extend(own_args(job, &[]));
    argv.extend_from_slice(job.extra_args);
    CommandLine {
        argv,
        env: Vec::new(),
        cwd: Some(setup.repo.to_owned()),
    }
}
