//! A command line as a value: what an engine builds, a plan shows and a runner starts.

use std::{fmt, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::secret::{MASK, looks_secret, mask, mask_text};

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

impl CommandLine {
    /// The same command with secrets masked, for logs, plans and the ledger: environment values, the
    /// value of `key=value` and `--key value` arguments, and what [`mask_text`] finds elsewhere.
    #[must_use]
    pub fn masked(&self) -> Self {
        let mut argv: Vec<String> = Vec::with_capacity(self.argv.len());
        let mut is_value = false;
        for argument in &self.argv {
            argv.push(match is_value {
                true => MASK.to_owned(),
                false => masked_argument(argument),
            });
            is_value = argument.starts_with("--")
                && !argument.contains('=')
                && looks_secret(argument.trim_start_matches('-'));
        }
        let variable = |(key, value): &(String, Option<String>)| {
            let value = value.as_ref().map(|value| mask(key, value));
            (key.clone(), value)
        };
        Self {
            argv,
            env: self.env.iter().map(variable).collect(),
            cwd: self.cwd.clone(),
        }
    }
}

fn masked_argument(argument: &str) -> String {
    match argument.split_once('=') {
        Some((key, value)) if !key.contains(char::is_whitespace) && !key.contains("://") => {
            // As an option of a JVM, `-Dkey=value`.
            format!(
                "{key}={}",
                mask(key.strip_prefix("-D").unwrap_or(key), value)
            )
        }
        _ => mask_text(argument),
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
                "--conf".into(),
                "spark.driver.extraJavaOptions=-Da.password=abc".into(),
                "--password".into(),
                "abc".into(),
            ],
            env: vec![
                ("DB_PASSWORD".into(), Some("x".into())),
                ("HOME".into(), None),
            ],
            cwd: None,
        };
        assert_eq!(
            command.masked().to_string(),
            "spark-submit spark.hadoop.fs.s3a.secret.key=*** 'two words' \
             --conf spark.driver.extraJavaOptions=-Da.password=*** --password ***"
        );
        assert_eq!(command.masked().env[0].1.as_deref(), Some(MASK));
    }
}
