//! What a Spark log says: how far a job is, and why it failed.

use std::sync::LazyLock;

use regex::Regex;

pub use super::quote::quote_error;

/// How far the stages that run now are, from one line of Spark's console progress.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StageProgress {
    /// `stage 3`, or `stages 3, 4`.
    pub stage: String,
    /// Tasks finished.
    pub done: u32,
    /// Tasks in all.
    pub total: u32,
}

static STAGE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\[Stage (\d+):[^\]]*?\((\d+) \+ (\d+)\) / (\d+)\]").ok());

/// Reads Spark's console progress: `[Stage 3:====>   (1 + 2) / 8]`, several of them if several
/// stages run, and several states in one line, separated by `\r`, of which the last counts.
///
/// Spark writes it for stages that take longer than half a second, to stderr, whether that is a
/// terminal or a file, as long as its log level is above INFO.
#[must_use]
pub fn parse_progress(line: &str) -> Option<StageProgress> {
    let state = line.rsplit('\r').find(|state| state.contains("[Stage "))?;
    let mut names = Vec::new();
    let (mut done, mut total) = (0_u32, 0_u32);
    for stage in STAGE.as_ref()?.captures_iter(state) {
        names.push(stage[1].to_owned());
        done = done.saturating_add(stage[2].parse().ok()?);
        total = total.saturating_add(stage[4].parse().ok()?);
    }
    let word = if names.len() == 1 { "stage" } else { "stages" };
    (!names.is_empty()).then(|| StageProgress {
        stage: format!("{word} {}", names.join(", ")),
        done,
        total,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_last_state_of_a_line_counts() {
        let line = "\r[Stage 0:>        (0 + 2) / 8]\r\r[Stage 0:=======>   (1 + 3) / 8]\r";
        let progress = parse_progress(line).unwrap();
        assert_eq!(
            (progress.stage.as_str(), progress.done, progress.total),
            ("stage 0", 1, 8)
        );
        let cleared = format!("{line}              \rTime taken: 1 seconds");
        assert_eq!(parse_progress(&cleared).unwrap().done, 1);
        assert_eq!(
            parse_progress("Time taken: 6.4 seconds, Fetched 1 row(s)"),
            None
        );
    }

    #[test]
    fn stages_side_by_side_are_added() {
        let line = "[Stage 3:==>  (3 + 1) / 4][Stage 4:>   (0 + 1) / 200]";
        let progress = parse_progress(line).unwrap();
        assert_eq!(
            (progress.stage.as_str(), progress.done, progress.total),
            ("stages 3, 4", 3, 204)
        );
    }

    proptest! {
        #[test]
        fn any_line_is_read(line in "(\\[Stage 1:|\r|\\(1 \\+ 2\\) / 3|\\]|.){0,40}") {
            let _ = parse_progress(&line);
        }
    }
}
