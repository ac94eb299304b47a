//! One question to a program and its answer.

use std::{path::PathBuf, time::Duration};

use chronon_run_core::CommandLine;
use chronon_run_process::{Exit, Helper, HelperError, Stop};

use super::question::{ANSWER, ClusterError};

/// Such programs start a JVM or two first.
const START_UP: Duration = Duration::from_secs(60);
/// The arguments that end an application: of `yarn application` and of `spark-submit`.
const KILLS: [&str; 2] = ["-kill", "--kill"];

#[derive(Clone, Debug)]
pub(super) struct Program {
    pub(super) path: PathBuf,
    pub(super) env: Vec<(String, Option<String>)>,
}

impl Program {
    /// What it prints, stdout and stderr.
    ///
    /// # Errors
    /// It cannot be started, takes too long, or does not exit 0.
    pub(super) fn output(&self, arguments: &[&str]) -> Result<String, ClusterError> {
        let whom = || format!("`{} {}`", self.path.display(), arguments.join(" "));
        let out_of_reach = |error: HelperError| ClusterError::OutOfReach {
            whom: whom(),
            why: error.to_string(),
        };
        let (succeeded, text) = self.run(arguments).map_err(out_of_reach)?;
        if succeeded {
            return Ok(text);
        }
        let last: Vec<&str> = text.lines().rev().take(3).collect();
        Err(ClusterError::Refused {
            whom: whom(),
            answer: last.into_iter().rev().collect::<Vec<_>>().join(" "),
        })
    }

    fn run(&self, arguments: &[&str]) -> Result<(bool, String), HelperError> {
        let mut argv = vec![self.path.display().to_string()];
        argv.extend(arguments.iter().map(|&word| word.to_owned()));
        let command = CommandLine {
            argv,
            env: self.env.clone(),
            cwd: None,
        };
        // A question is given up at the first signal. But an interrupted run still ends what it has
        // started on the cluster, and asks whether it has ended.
        let ends = arguments.iter().any(|word| KILLS.contains(word));
        let helper = match ends || Stop::of_process().reason().is_some() {
            true => Helper::new(&command).until_urgent(),
            false => Helper::new(&command),
        };
        let (exit, text) = helper.limit(ANSWER + START_UP).output()?;
        Ok((exit == Exit::Code(0), text))
    }
}
