//! Which apps run: processes of this machine, a cluster's applications, or what a command lists.

use std::{env, fs, time::Duration};

use chronon_run_core::{CommandLine, event::ProcessId};
use chronon_run_engine::cluster::Cluster;
use chronon_run_process::{
    Exit, Helper, HelperError, Instance, boot_id, end_group, end_instance, instances, is_alive,
};
use chronon_run_workspace::ListApps;
use serde_json::Value;

use crate::{failure::Failure, loading::project::Project};

use super::record::{Record, folder};

/// How long an application may take to end on a cluster, beyond the grace period.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long the user's command may take to list apps, or to end one.
const LISTING: Duration = Duration::from_secs(600);

/// Words of YARN and of Spark for applications that do not run any more.
const OVER: [&str; 6] = ["FINISHED", "FAILED", "KILLED", "EXITED", "LOST", "REMOVED"];

/// The detached processes of a workspace; those of another one are strangers.
pub(super) fn scope(context: &Project) -> String {
    context.workspace.state_dir.display().to_string()
}

/// Whom to ask.
pub(super) struct Lister<'a> {
    context: &'a Project,
}

/// What was seen.
pub(super) struct Seen {
    local: Vec<Instance>,
    /// `None` if only this machine counts.
    listed: Option<Vec<Running>>,
}

/// Something that runs under an app's name.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Running {
    /// Processes of this machine that were started here.
    Instance(Instance),
    /// A process of this machine that was started here and does not show its environment.
    Process(ProcessId),
    /// An application of a cluster.
    Application { id: String, name: String },
    /// A line of a command.
    Line {
        id: String,
        name: String,
        /// What ends it.
        kill: Vec<String>,
    },
}

impl<'a> Lister<'a> {
    pub(super) fn of(context: &'a Project) -> Self {
        Self { context }
    }

    pub(super) fn is_local(&self) -> bool {
        self.context.workspace.streaming.list_apps == ListApps::Local
    }

    /// What runs now.
    pub(super) fn look(&self) -> Result<Seen, Failure> {
        let listed = match &self.context.workspace.streaming.list_apps {
            ListApps::Local => None,
            ListApps::Spark | ListApps::Yarn => Some(applications(self.context)?),
            ListApps::Command(argv) => Some(lines(self.context, argv)?),
        };
        Ok(Seen {
            local: instances(&scope(self.context)),
            listed,
        })
    }
}

impl Seen {
    /// Everything that counts as the app of this name.
    pub(super) fn running(&self, name: &str, record: &Record) -> Vec<Running> {
        match &self.listed {
            None => self.processes(name, record),
            Some(listed) => {
                let of_name = listed.iter().filter(|running| running.name() == name);
                of_name.cloned().collect()
            }
        }
    }

    /// Processes of this machine that were started for the app, where they are not the app.
    pub(super) fn launchers(&self, name: &str, record: &Record) -> Vec<Running> {
        match &self.listed {
            None => Vec::new(),
            Some(_) => self.processes(name, record),
        }
    }

    fn processes(&self, name: &str, record: &Record) -> Vec<Running> {
        let of_name = self.local.iter().filter(|instance| instance.name == name);
        let mut found: Vec<Running> = of_name.cloned().map(Running::Instance).collect();
        if let (true, Some(process)) = (found.is_empty(), record.process)
            && record.boot == boot_id()
            && is_alive(process)
        {
            found.push(Running::Process(process));
        }
        found
    }
}

impl Running {
    fn name(&self) -> &str {
        match self {
            Self::Instance(instance) => &instance.name,
            Self::Process(_) => "",
            Self::Application { name, .. } | Self::Line { name, .. } => name,
        }
    }

    /// What a person calls it.
    pub(super) fn id(&self) -> String {
        match self {
            Self::Instance(instance) => format!("process {}", instance.process.pid),
            Self::Process(process) => format!("process {}", process.pid),
            Self::Application { id, .. } | Self::Line { id, .. } => id.clone(),
        }
    }

    /// Ends it, and waits until it has ended.
    pub(super) fn end(&self, context: &Project) -> Result<(), Failure> {
        let grace = context.workspace.run.grace;
        match self {
            Self::Instance(instance) => end_instance(instance, grace),
            Self::Process(process) => {
                end_group(*process, grace);
            }
            Self::Application { id, .. } => {
                cluster(context)?
                    .end(id, grace + PATIENCE)
                    .map_err(Failure::setup)?;
            }
            Self::Line { id, name, kill } if kill.is_empty() => {
                return Err(Failure::hinted(
                    format!("there is no way to end {name} ({id})"),
                    "the command of `list_apps` should print a `kill_cmd` for each app",
                ));
            }
            Self::Line { kill, .. } => {
                run(context, kill)?;
            }
        }
        Ok(())
    }
}

fn cluster(context: &Project) -> Result<Cluster, Failure> {
    let streaming = &context.workspace.streaming;
    let url = streaming.url.as_deref().unwrap_or_default();
    Ok(match streaming.list_apps {
        ListApps::Yarn => Cluster::yarn(url, env::var("USER").ok().as_deref()),
        _ => Cluster::standalone(url),
    })
}

fn applications(context: &Project) -> Result<Vec<Running>, Failure> {
    let applications = cluster(context)?
        .applications()
        .map_err(|error| Failure::OutOfReach {
            message: error.to_string(),
        })?;
    let running = applications.into_iter().map(|found| Running::Application {
        id: found.id,
        name: found.name,
    });
    Ok(running.collect())
}

/// What the user's command lists (§2.6): each line of its output that is a JSON object with an
/// `app_name` is an app.
fn lines(context: &Project, argv: &[String]) -> Result<Vec<Running>, Failure> {
    Ok(run(context, argv)?.lines().filter_map(app_of).collect())
}

fn app_of(line: &str) -> Option<Running> {
    let value: Value = serde_json::from_str(line).ok()?;
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    if text("status").is_some_and(|status| OVER.contains(&status)) {
        return None;
    }
    let name = text("app_name")?.to_owned();
    let kill = text("kill_cmd").unwrap_or_default().split_whitespace();
    Some(Running::Line {
        id: text("app_id").unwrap_or("no id").to_owned(),
        name,
        kill: kill.map(str::to_owned).collect(),
    })
}

/// The output of a command that must end well; it runs in the workspace's folder.
fn run(context: &Project, argv: &[String]) -> Result<String, Failure> {
    let command = CommandLine {
        argv: argv.to_vec(),
        env: Vec::new(),
        cwd: Some(context.workspace.root.clone()),
    };
    let shown = command.masked().argv.join(" ");
    let log = folder(context).join("list-apps.log");
    let helper = Helper::new(&command)
        .limit(LISTING)
        .grace(context.workspace.run.grace);
    let failed = |why: &str| Failure::OutOfReach {
        message: format!(
            "`{shown}` failed: {why}; its output is in {}",
            log.display()
        ),
    };
    match helper.run(&log) {
        Ok(Exit::Code(0)) => {}
        Ok(exit) => return Err(failed(&exit.to_string())),
        Err(HelperError::Start(error)) => return Err(Failure::setup(error)),
        Err(HelperError::Stopped(reason)) => return Err(Failure::Interrupted(reason)),
        Err(error) => return Err(failed(&error.to_string())),
    }
    fs::read_to_string(&log)
        .map_err(|error| Failure::setup(format!("cannot read {}: {error}", log.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_no_running_app_are_left_out() {
        let line = |text: &str| app_of(text);
        assert_eq!(line("26/01/31 INFO client: connected"), None);
        assert_eq!(line(r#"{"app_id": "a"}"#), None);
        assert_eq!(line(r#"{"app_name": "x", "status": "KILLED"}"#), None);
        assert_eq!(
            line(
                r#"{"app_id": "a1", "app_name": "x", "status": "ACCEPTED", "kill_cmd": "yarn application -kill a1"}"#
            ),
            Some(Running::Line {
                id: "a1".to_owned(),
                name: "x".to_owned(),
                kill: ["yarn", "application", "-kill", "a1"]
                    .map(str::to_owned)
                    .to_vec(),
            })
        );
    }
}
