//! YARN, asked through its ResourceManager's REST interface or, without an address, through
//! the program `yarn`, which finds the ResourceManager and logs in by Hadoop's own configuration.

use serde_json::{Value, json};

use super::{
    command::Program,
    http,
    question::{Application, ClusterError, Programs},
};

/// States of an application that has not ended.
const ACTIVE: [&str; 5] = ["NEW", "NEW_SAVING", "SUBMITTED", "ACCEPTED", "RUNNING"];

#[derive(Clone, Debug)]
pub(super) enum Yarn {
    Rest {
        /// `http://host:port`, or several that stand in for each other.
        urls: Vec<String>,
        /// `user.name` of every question.
        user: Option<String>,
    },
    Program(Program),
}

impl Yarn {
    /// `None` if there is neither an address nor the program.
    pub(super) fn new(url: Option<&str>, programs: &Programs, user: Option<&str>) -> Option<Self> {
        if let Some(url) = url {
            return Some(Self::rest(url, user));
        }
        let path = programs.yarn.clone()?;
        let env = programs.env.clone();
        Some(Self::Program(Program { path, env }))
    }

    pub(super) fn rest(url: &str, user: Option<&str>) -> Self {
        let trimmed = |url: &str| url.trim().trim_end_matches('/').to_owned();
        Self::Rest {
            urls: url.split(',').map(trimmed).collect(),
            user: user.map(str::to_owned),
        }
    }

    pub(super) fn applications(&self) -> Result<Vec<Application>, ClusterError> {
        let Self::Program(program) = self else {
            let (whom, answer) = self.get(
                "/ws/v1/cluster/apps",
                &format!("states={}", ACTIVE.join(",")),
            )?;
            let tree = answer.json(&whom)?;
            let apps = tree.pointer("/apps/app").and_then(Value::as_array);
            return Ok(apps.into_iter().flatten().filter_map(application).collect());
        };
        let states = ACTIVE.join(",");
        let text = program.output(&["application", "-list", "-appStates", &states])?;
        Ok(text.lines().filter_map(listed).collect())
    }

    pub(super) fn runs(&self, id: &str) -> Result<bool, ClusterError> {
        let state = match self {
            Self::Rest { .. } => {
                let (whom, answer) = self.get(&format!("/ws/v1/cluster/apps/{id}"), "")?;
                if answer.status == 404 {
                    // YARN forgets old applications.
                    return Ok(false);
                }
                let tree = answer.json(&whom)?;
                tree["app"]["state"].as_str().map(str::to_owned)
            }
            Self::Program(program) => match program.output(&["application", "-status", id]) {
                Ok(text) => state_in_report(&text),
                Err(ClusterError::Refused { answer, .. }) if is_unknown(&answer) => {
                    return Ok(false);
                }
                Err(error) => return Err(error),
            },
        };
        // An application whose state is unknown may still write.
        Ok(state.is_none_or(|state| ACTIVE.contains(&state.as_str())))
    }

    pub(super) fn kill(&self, id: &str) -> Result<(), ClusterError> {
        let urls = match self {
            Self::Rest { urls, .. } => urls,
            Self::Program(program) => {
                return program.output(&["application", "-kill", id]).map(|_| ());
            }
        };
        let mut problem = None;
        for url in urls {
            let url = self.url(url, &format!("/ws/v1/cluster/apps/{id}/state"), "");
            match http::put_json(&url, &json!({"state": "KILLED"})) {
                Ok(answer) if (200..300).contains(&answer.status) => return Ok(()),
                Ok(answer) => problem = Some(answer.refused(&url)),
                Err(error) => problem = Some(error),
            }
        }
        Err(problem.unwrap_or_else(no_address))
    }

    /// Asks each ResourceManager until one answers; one that stands by redirects.
    fn get(&self, path: &str, query: &str) -> Result<(String, http::Answer), ClusterError> {
        let Self::Rest { urls, .. } = self else {
            return Err(no_address());
        };
        let mut problem = None;
        for url in urls {
            let url = self.url(url, path, query);
            match http::get(&url) {
                Ok(answer) if (300..400).contains(&answer.status) => {
                    problem = Some(answer.refused(&url));
                }
                Ok(answer) => return Ok((url, answer)),
                Err(error) => problem = Some(error),
            }
        }
        Err(problem.unwrap_or_else(no_address))
    }

    fn url(&self, base: &str, path: &str, query: &str) -> String {
        let user = match self {
            Self::Rest {
                user: Some(user), ..
            } => format!("user.name={user}"),
            _ => String::new(),
        };
        let words: Vec<&str> = [query, &user]
            .into_iter()
            .filter(|word| !word.is_empty())
            .collect();
        let mark = if words.is_empty() { "" } else { "?" };
        format!("{base}{path}{mark}{}", words.join("&"))
    }
}

fn no_address() -> ClusterError {
    ClusterError::OutOfReach {
        whom: "YARN".to_owned(),
        why: "it has no address".to_owned(),
    }
}

fn application(entry: &Value) -> Option<Application> {
    let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
    Some(Application {
        id: entry["id"].as_str()?.to_owned(),
        name: text("name"),
        state: text("state"),
        user: text("user"),
        queue: text("queue"),
        tracking_url: text("trackingUrl"),
    })
}

/// One line of `yarn application -list`: id, name, type, user, queue, state, final state,
/// progress and address, separated by tabs and padded.
fn listed(line: &str) -> Option<Application> {
    let fields: Vec<&str> = line.split('\t').map(str::trim).collect();
    let field = |index: usize| fields.get(index).copied().unwrap_or_default().to_owned();
    fields
        .first()?
        .starts_with("application_")
        .then(|| Application {
            id: field(0),
            name: field(1),
            state: field(5),
            user: field(3),
            queue: field(4),
            tracking_url: field(8),
        })
}

/// The line `State : RUNNING` of `yarn application -status`.
fn state_in_report(report: &str) -> Option<String> {
    let state = |line: &str| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == "State").then(|| value.trim().to_owned())
    };
    report.lines().find_map(state)
}

fn is_unknown(answer: &str) -> bool {
    answer.contains("ApplicationNotFoundException") || answer.contains("doesn't exist in RM")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_s_tables_are_read() {
        let line = "application_1769860800000_0007\t      chronon_streaming\t               SPARK\t      ann\t   default\t           RUNNING\t         UNDEFINED\t            10%\thttp://am:4040";
        let found = listed(line).unwrap();
        assert_eq!(
            (
                found.name.as_str(),
                found.state.as_str(),
                found.queue.as_str()
            ),
            ("chronon_streaming", "RUNNING", "default")
        );
        assert_eq!(listed("Total number of applications: 1"), None);
        let report = "Application Report :\n\tApplication-Id : application_1_1\n\tState : FINISHED\n\tFinal-State : FAILED\n";
        assert_eq!(state_in_report(report).as_deref(), Some("FINISHED"));
    }

    #[test]
    fn questions_say_who_asks() {
        let yarn = Yarn::rest("http://rm:8088/", Some("ann"));
        assert_eq!(
            yarn.url("http://rm:8088", "/ws/v1/cluster/apps", "states=RUNNING"),
            "http://rm:8088/ws/v1/cluster/apps?states=RUNNING&user.name=ann"
        );
    }
}
