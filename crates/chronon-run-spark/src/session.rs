//! One Spark that runs several scripts after one another: the SQL class without `-f`, statements
//! on standard input.
//!
//! What was found with Spark 3.3.1 and a pipe as standard input:
//! - the line editor echoes each line after a `spark-sql> ` prompt, so markers are computed by the
//!   statement (`concat(…)`) and the echo never looks like one;
//! - `source <file>;` runs a file up to its first failing statement; the session goes on
//!   afterwards, and nothing on standard output tells the failure. So the script's own last
//!   statement prints [`Marker::Ok`], and a statement after `source` prints [`Marker::End`]:
//!   an end without an ok is a failure, and [`super::log::quote_error`] finds why above it;
//! - what a script `SET`s stays set: [`request`] starts with `RESET`, which goes back to what the
//!   command line said, `--conf spark.hadoop.*` included, and with `USE default`;
//! - temporary views and functions stay as well: scripts should have CTEs, or `CREATE OR REPLACE
//!   TEMPORARY VIEW` with names of their own;
//! - it keeps the names of the files of partitions that it has read; without a size of 0 for that cache
//!   (`filesourcePartitionFileCacheSize`) it fails at those that another session has overwritten;
//! - at the end of its input it exits with 0, whatever failed before;
//! - the echoed lines also end up in `~/.hivehistory`; there is no switch against it;
//! - a step cannot be cancelled alone: only with the session.

use std::path::Path;

/// What a session says about a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Marker {
    /// The script ran to its end.
    Ok,
    /// The session has left the script, at its end or at an error.
    End,
}

/// The statement with which a script has to end, so that its success is seen. `token` is the
/// step's own: letters, digits, `-` and `_` only; anything else is left out.
#[must_use]
pub fn ok_statement(token: &str) -> String {
    marker_statement("-step-ok ", token)
}

/// What to write to the session's standard input to run `script`, which ends with
/// [`ok_statement`]; `None` if the path holds characters that `source` does not take.
#[must_use]
pub fn request(script: &Path, token: &str) -> Option<String> {
    let path = script.to_str()?;
    let awkward = |c: char| c.is_control() || ";'\"`\\".contains(c);
    if path.contains(awkward) || path.contains("--") || path.contains("/*") || path.trim() != path {
        return None;
    }
    let end = marker_statement("-step-end ", token);
    Some(format!("RESET;\nUSE default;\nsource {path};\n{end}\n"))
}

/// The marker of `token` in one line of output, if it is one.
#[must_use]
pub fn parse_marker(line: &str, token: &str) -> Option<Marker> {
    let line = line.rsplit('\r').next()?.trim();
    let rest = line.strip_prefix("chronon-run-step-")?;
    let (word, name) = rest.split_once(' ')?;
    if name != plain(token) {
        return None;
    }
    match word {
        "ok" => Some(Marker::Ok),
        "end" => Some(Marker::End),
        _ => None,
    }
}

/// Split in two so that the statement's own text, echoed, is not the marker.
fn marker_statement(word: &str, token: &str) -> String {
    format!(
        "SELECT concat('chronon-run', '{word}', '{}');",
        plain(token)
    )
}

fn plain(token: &str) -> String {
    let allowed = |c: &char| c.is_ascii_alphanumeric() || "-_".contains(*c);
    token.chars().filter(allowed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_are_found_and_their_echo_is_not() {
        let token = "a1-2";
        assert_eq!(
            parse_marker("chronon-run-step-ok a1-2", token),
            Some(Marker::Ok)
        );
        assert_eq!(
            parse_marker("\r   \rchronon-run-step-end a1-2 ", token),
            Some(Marker::End)
        );
        assert_eq!(parse_marker("chronon-run-step-ok a1", token), None);
        for statement in request(Path::new("/a/s.sql"), token).unwrap().lines() {
            assert_eq!(
                parse_marker(&format!("spark-sql> {statement}"), token),
                None
            );
            assert_eq!(parse_marker(statement, token), None);
        }
        assert_eq!(parse_marker(&ok_statement(token), token), None);
    }

    #[test]
    fn a_path_that_source_would_cut_is_refused() {
        assert!(request(Path::new("/a b/s.sql"), "t").is_some());
        for bad in ["/a;b", "/a'b", "/a\nb", "/a--b", "/a "] {
            assert_eq!(request(Path::new(bad), "t"), None, "{bad:?}");
        }
        assert_eq!(
            ok_statement("a';DROP"),
            "SELECT concat('chronon-run', '-step-ok ', 'aDROP');"
        );
    }
}
