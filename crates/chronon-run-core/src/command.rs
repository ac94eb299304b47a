//! A command line as a value: what an engine builds, a plan shows and a runner starts.

use std::{fmt, path::PathBuf};

use serde::{Deserialize, Serialize};

/// One child process to start: an argv vector (never a shell string) and its surroundings.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct CommandLine {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Variables set on top of the inherited environment; `None` removes one.
    pub env: Vec<(String, Option<String>)>,
    /// Working directory; the runner's own if absent.
    pub cwd: Option<PathBuf>,
}

/// What stands in place of a value that looks secret.
pub const MASK: &str = "***";

/// Whether a variable or property of this name probably holds a secret.
#[must_use]
pub fn looks_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    [
        "password",
        "passwd",
        "secret",
        "token",
        "credential",
        "access.key",
        "access_key",
        "api_key",
        "apikey",
        "private",
    ]
    .iter()
    .any(|word| name.contains(word))
}

impl CommandLine {
    /// The same command with values that look secret masked, for logs, plans and the ledger:
    /// environment values, and the value of `key=value` arguments.
    #[must_use]
    pub fn masked(&self) -> Self {
        let argument = |argument: &String| match argument.split_once('=') {
            Some((key, _)) if looks_secret(key) => format!("{key}={MASK}"),
            _ => argument.clone(),
        };
        let variable = |(key, value): &(String, Option<String>)| {
            let hidden = value.is_some() && looks_secret(key);
            let value = if hidden {
                Some(MASK.to_owned())
            } else {
                value.clone()
            };
            (key.clone(), value)
        };
        Self {
            argv: self.argv.iter().map(argument).collect(),
            env: self.env.iter().map(variable).collect(),
            cwd: self.cwd.clone(),
        }
    }
}

/// As a person would type it: words with other characters than the harmless ones are quoted.
impl fmt::Display for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, word) in self.argv.iter().enumerate() {
            let separator = if index == 0 { "" } else { " " };
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+[]*".contains(c);
            if !word.is_empty() && word.chars().all(plain) {
                write!(f, "{separator}{word}")?;
            } else {
                write!(f, "{separator}'{}'", word.replace('\'', r"'\''"))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_and_words_quoted() {
        let command = CommandLine {
            argv: vec![
                "spark-submit".into(),
                "spark.hadoop.fs.s3a.secret.key=abc".into(),
                "two words".into(),
            ],
            env: vec![
                ("DB_PASSWORD".into(), Some("x".into())),
                ("HOME".into(), None),
            ],
            cwd: None,
        };
        assert_eq!(
            command.masked().to_string(),
            "spark-submit spark.hadoop.fs.s3a.secret.key=*** 'two words'"
        );
        assert_eq!(command.masked().env[0].1.as_deref(), Some(MASK));
    }
}
