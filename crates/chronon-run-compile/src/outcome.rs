//! What compile.py did with one source, read from its lines.

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// What became of one source.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Outcome {
    /// The source, relative to the repo.
    pub source: PathBuf,
    /// The conf files that were written, relative to the repo, sorted.
    pub written: Vec<PathBuf>,
    /// What was not compiled, and why.
    pub problems: Vec<Problem>,
    /// Everything that compile.py printed.
    pub output: String,
}

/// Why something was not compiled.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Problem {
    /// The Python code failed.
    Failed {
        /// The exception's class, or `killed` or `exit`.
        error: String,
        /// Its message.
        message: String,
        /// The last line of the repo's own code that it went through.
        at: Option<(PathBuf, usize)>,
    },
    /// compile.py found the conf to be invalid, and exited with 0.
    Invalid {
        /// The conf's name.
        name: String,
        /// What compile.py says.
        why: String,
    },
    /// The conf that is there is online and differs, so that compile.py kept it, and exited with 0.
    Online {
        /// The conf's name.
        name: String,
    },
    /// compile.py writes no conf for it, and exited with 0.
    Skipped {
        /// The conf's name.
        name: String,
        /// What compile.py says.
        why: String,
        /// An earlier conf of it is still there.
        left: bool,
    },
    /// These confs embed what was compiled, and have to be compiled, too.
    Dependents(Vec<String>),
}

/// A line of the driver.
#[derive(Deserialize)]
pub(crate) struct Told {
    source: PathBuf,
    #[serde(default)]
    output: String,
    error: Option<String>,
    #[serde(default)]
    message: String,
    file: Option<PathBuf>,
    line: Option<usize>,
}

impl Outcome {
    pub(crate) fn new(told: Told, repo: &Path) -> Self {
        let mut reader = Reader::default();
        told.output.lines().for_each(|line| reader.line(line, repo));
        reader.written.sort();
        reader.written.dedup();
        let mut problems = reader.problems;
        if let Some(error) = told.error {
            problems.push(failed(error, told.message, told.file.zip(told.line)));
        }
        Self {
            source: told.source,
            written: reader.written,
            problems,
            output: told.output,
        }
    }
}

/// What precedes the list of names in the assertion about dependents.
const DEPENDENTS: &str = "You must also materialize all dependent";

fn failed(error: String, message: String, at: Option<(PathBuf, usize)>) -> Problem {
    if error == "AssertionError" && message.starts_with(DEPENDENTS) {
        let names = message.split('\'').skip(1).step_by(2);
        return Problem::Dependents(names.map(str::to_owned).collect());
    }
    Problem::Failed { error, message, at }
}

#[derive(Default)]
struct Reader {
    team: String,
    written: Vec<PathBuf>,
    problems: Vec<Problem>,
}

impl Reader {
    fn line(&mut self, line: &str, repo: &Path) {
        let line = line.trim();
        let (left, right) = line.split_once(" - ").unwrap_or((line, ""));
        if left.ends_with(" Team") {
            right.clone_into(&mut self.team);
        } else if left.starts_with("Writing ") && left.ends_with(" to") {
            let path = Path::new(right);
            self.written
                .push(path.strip_prefix(repo).unwrap_or(path).to_owned());
        } else if let Some(rest) = left.strip_prefix("Could not write ") {
            let name = self.named(second(rest));
            let why = right.to_owned();
            self.problems.push(Problem::Invalid { name, why });
        } else if let Some(rest) = line.strip_prefix("Cannot overwrite ") {
            let name = self.named(second(rest));
            self.problems.push(Problem::Online { name });
        } else if let Some(rest) = line.strip_prefix("Skipping ") {
            let (what, why) = rest.split_once(": ").unwrap_or((rest, ""));
            self.problems.push(Problem::Skipped {
                name: self.named(second(what)),
                why: why.to_owned(),
                left: false,
            });
        } else if line.starts_with("old file exists for skipped config")
            && let Some(Problem::Skipped { left, .. }) = self.problems.last_mut()
        {
            *left = true;
        }
    }

    /// compile.py prints names without their team.
    fn named(&self, name: &str) -> String {
        format!("{}.{name}", self.team)
    }
}

/// Of `GroupBy file.name …`, the name.
fn second(text: &str) -> &str {
    text.split_whitespace().nth(1).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = "  Using chronon root path - /repo
             GroupBy Team - shop
             GroupBy Name - a.v1
       Writing GroupBy to - /repo/production/group_bys/shop/a.v1
             GroupBy Name - a.v2
Skipping GroupBy a.v2: GroupBys should not be materialized if batch upload job is not needed
old file exists for skipped config: /repo/production/group_bys/shop/a.v2
Cannot overwrite GroupBy a.v3 with existing online conf
    Could not write Join a.v4 - join parts are wrong, keys too
Successfully wrote 1 GroupBy objects to /repo/production
";

    fn told(error: Option<&str>, message: &str) -> Outcome {
        let told = Told {
            source: "group_bys/shop/a.py".into(),
            output: PRINTED.to_owned(),
            error: error.map(str::to_owned),
            message: message.to_owned(),
            file: None,
            line: None,
        };
        Outcome::new(told, Path::new("/repo"))
    }

    #[test]
    fn every_line_about_something_that_was_not_compiled_is_read() {
        let outcome = told(None, "");
        assert_eq!(
            outcome.written,
            [PathBuf::from("production/group_bys/shop/a.v1")]
        );
        let why = "GroupBys should not be materialized if batch upload job is not needed";
        let expected = [
            Problem::Skipped {
                name: "shop.a.v2".into(),
                why: why.into(),
                left: true,
            },
            Problem::Online {
                name: "shop.a.v3".into(),
            },
            Problem::Invalid {
                name: "shop.a.v4".into(),
                why: "join parts are wrong, keys too".into(),
            },
        ];
        assert_eq!(outcome.problems, expected);
    }

    #[test]
    fn the_assertion_about_dependents_is_not_a_failure_of_the_code() {
        let message = "You must also materialize all dependent GroupBys or Joins. You can do this by passing the --force-overwrite flag to the compile.py command. Detected dependencies are as follows: ['shop.j.v1', 'shop.k.v1']";
        let outcome = told(Some("AssertionError"), message);
        let names = Problem::Dependents(vec!["shop.j.v1".into(), "shop.k.v1".into()]);
        assert_eq!(outcome.problems.last(), Some(&names));
        let other = told(Some("AssertionError"), "keys are missing");
        assert!(matches!(
            other.problems.last(),
            Some(Problem::Failed { .. })
        ));
    }
}
