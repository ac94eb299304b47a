//! One question to a program and its answer.

use std::{
    fs::File,
    io::{self, Read, Seek},
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::{ANSWER, ClusterError};

/// Such programs start a JVM or two first.
const START_UP: Duration = Duration::from_secs(60);

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
        let out_of_reach = |error: io::Error| ClusterError::OutOfReach {
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

    fn run(&self, arguments: &[&str]) -> io::Result<(bool, String)> {
        let mut command = Command::new(&self.path);
        for (name, value) in &self.env {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        // A file, because nobody reads a pipe while the program is waited for.
        let mut output: File = tempfile::tempfile()?;
        let mut child = command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output.try_clone()?)
            .spawn()?;
        let deadline = Instant::now() + ANSWER + START_UP;
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if Instant::now() >= deadline {
                child.kill()?;
                child.wait()?;
                return Err(io::Error::new(io::ErrorKind::TimedOut, "it takes too long"));
            }
            thread::sleep(Duration::from_millis(50));
        };
        output.rewind()?;
        let mut bytes = Vec::new();
        output.read_to_end(&mut bytes)?;
        Ok((
            status.success(),
            String::from_utf8_lossy(&bytes).into_owned(),
        ))
    }
}
