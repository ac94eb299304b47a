//! What a Spark log says: how far a job is, and why it failed.

use std::sync::LazyLock;

use regex::Regex;

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

const IN_MAIN: &str = "Exception in thread \"main\" ";

/// Longer than this (in characters) is cut: it is one line of a summary.
const LONGEST: usize = 400;

/// The one line of a job's log that tells why it failed, if there is one.
///
/// `log` may be any tail of the log: cut lines, progress bars and echoed SQL do no harm.
#[must_use]
pub fn quote_error(log: &str) -> Option<String> {
    let lines: Vec<&str> = log.lines().map(visible).collect();
    let message = query_error(&lines)
        .or_else(|| out_of_memory(&lines))
        .or_else(|| exception(&lines))
        .or_else(|| launch_error(&lines))
        .or_else(|| logged_error(&lines))?;
    Some(shorten(&message))
}

/// What is left on a terminal line after its carriage returns.
fn visible(line: &str) -> &str {
    line.trim_end_matches('\r')
        .rsplit('\r')
        .next()
        .unwrap_or(line)
        .trim_end()
}

/// `Error in query: …`: the analyser and the parser.
fn query_error(lines: &[&str]) -> Option<String> {
    let at = lines
        .iter()
        .rposition(|line| line.starts_with("Error in query:"))?;
    let text = lines[at]["Error in query:".len()..]
        .trim()
        .trim_end_matches(';');
    if !text.is_empty() {
        return Some(format!("Error in query: {text}"));
    }
    // The parser puts its message on the next line and the statement below, with ^^^ under the
    // place.
    let rest = &lines[at + 1..];
    let message = rest.iter().find(|line| !line.is_empty())?;
    let caret = rest
        .iter()
        .position(|line| line.starts_with("^^^") || line.trim_start().starts_with("^^^"));
    let quoted = caret.and_then(|caret| rest.get(caret.checked_sub(1)?));
    Some(match quoted {
        Some(statement) => format!("Error in query: {message}: `{}`", statement.trim()),
        None => format!("Error in query: {message}"),
    })
}

fn out_of_memory(lines: &[&str]) -> Option<String> {
    let line = lines
        .iter()
        .find(|line| line.contains("java.lang.OutOfMemoryError"))?;
    let at = line.find("java.lang.OutOfMemoryError")?;
    Some(line[at..].to_owned())
}

/// What everybody else says once the session has ended for another reason.
const CONSEQUENCES: [&str; 2] = [
    "SparkContext was shut down",
    "Cannot call methods on a stopped SparkContext",
];

/// The deepest cause of the last exception that was printed with a stack trace and is not only
/// the consequence of another one.
fn exception(lines: &[&str]) -> Option<String> {
    let is_trace = |index: usize| {
        let next: Option<&&str> = lines.get(index + 1);
        next.is_some_and(|next| next.starts_with("\tat "))
    };
    let follows = |index: usize| CONSEQUENCES.iter().any(|text| lines[index].contains(text));
    let traces = || {
        let indices = (0..lines.len()).rev();
        indices.filter(|&index| is_trace(index) && names_exception(lines[index]))
    };
    let last = traces()
        .find(|&index| !follows(index))
        .or_else(|| traces().next())?;
    let line = lines[last];
    let text = line.strip_prefix("Caused by: ").unwrap_or(line);
    let text = text
        .strip_prefix("Exception in thread \"main\" ")
        .unwrap_or(text);
    // A failed task's own exception stands behind where it ran.
    let text = match (
        text.contains("Job aborted due to stage failure"),
        text.rsplit_once("driver): "),
    ) {
        (true, Some((_, cause))) => cause,
        _ => text,
    };
    Some(text.to_owned())
}

/// `package.Class` or `package.Class: message`, perhaps after words that introduce it.
fn names_exception(line: &str) -> bool {
    let text = line.strip_prefix("Caused by: ").unwrap_or(line);
    let text = text.strip_prefix(IN_MAIN).unwrap_or(text);
    let class = text.split([':', ' ']).next().unwrap_or_default();
    let word = |part: &str| part.starts_with(|c: char| c.is_alphabetic());
    let name = class.rsplit('.').next().unwrap_or_default();
    class.contains('.') && class.split('.').all(word) && name.starts_with(char::is_uppercase)
}

/// What spark-submit, its shell scripts and the JVM say when nothing started.
fn launch_error(lines: &[&str]) -> Option<String> {
    let starts = [
        "Error: ",
        IN_MAIN,
        "JAVA_HOME is not set",
        "Unrecognized ",
        "Error occurred during initialization of VM",
    ];
    let says = |line: &&&str| {
        starts.iter().any(|start| line.starts_with(start))
            && !line.contains("Could not create the Java Virtual Machine")
            && !line.contains("A fatal exception has occurred")
    };
    lines.iter().rfind(says).map(|line| (*line).to_owned())
}

/// The last line that was logged as an error.
fn logged_error(lines: &[&str]) -> Option<String> {
    let line = lines.iter().rfind(|line| line.contains(" ERROR "))?;
    line.split_once(" ERROR ").map(|(_, text)| text.to_owned())
}

fn shorten(text: &str) -> String {
    let text = text.trim();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
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

    #[test]
    fn the_analyser() {
        let log = "Setting default log level to \"WARN\".\n\
            [Stage 0:>     (0 + 1) / 1]\r\r          \rTime taken: 6.464 seconds, Fetched 1 row(s)\n\
            Error in query: Table or view not found: does.not_exist; line 3 pos 2;\n\
            'Project ['nope]\n+- 'UnresolvedRelation [does, not_exist], [], false\n\n";
        assert_eq!(
            quote_error(log).unwrap(),
            "Error in query: Table or view not found: does.not_exist; line 3 pos 2"
        );
    }

    #[test]
    fn the_parser_with_its_line() {
        let log = "Time taken: 3.652 seconds, Fetched 1 row(s)\nError in query: \n\
            Syntax error at or near 'SELEC'(line 2, pos 0)\n\n== SQL ==\n\nSELEC 1\n^^^\n FROM\n\n";
        assert_eq!(
            quote_error(log).unwrap(),
            "Error in query: Syntax error at or near 'SELEC'(line 2, pos 0): `SELEC 1`"
        );
    }

    #[test]
    fn a_failed_task() {
        let log = "26/11/23 06:32:26 ERROR Executor: Exception in task 1.0 in stage 0.0 (TID 1)\n\
            java.lang.RuntimeException: boom\n\
            \tat org.apache.spark.sql.execution.BufferedRowIterator.hasNext(BufferedRowIterator.java:43)\n\
            26/11/23 06:32:26 ERROR TaskSetManager: Task 1 in stage 0.0 failed 1 times; aborting job\n\
            org.apache.spark.SparkException: Job aborted due to stage failure: Task 1 in stage 0.0 failed 1 times, most recent failure: Lost task 1.0 in stage 0.0 (TID 1) (192.0.2.2 executor driver): java.lang.RuntimeException: boom\n\
            \tat org.apache.spark.sql.execution.BufferedRowIterator.hasNext(BufferedRowIterator.java:43)\n\n\
            Driver stacktrace:\n\
            \tat org.apache.spark.scheduler.DAGScheduler.failJobAndIndependentStages(DAGScheduler.scala:2672)\n";
        assert_eq!(
            quote_error(log).unwrap(),
            "java.lang.RuntimeException: boom"
        );
        let caused = log.to_owned()
            + "Caused by: java.io.IOException: No space left on device\n\tat java.base/java.io.FileOutputStream.writeBytes(Native Method)\n\t... 9 more\n";
        assert_eq!(
            quote_error(&caused).unwrap(),
            "java.io.IOException: No space left on device"
        );
    }

    #[test]
    fn the_driver() {
        let log = "Exception in thread \"main\" java.lang.IllegalArgumentException: requirement failed: no such table\n\
            \tat scala.Predef$.require(Predef.scala:281)\n\
            Caused by: java.net.ConnectException: Connection refused\n\
            \tat java.base/sun.nio.ch.Net.pollConnect(Native Method)\n\t... 12 more\n";
        assert_eq!(
            quote_error(log).unwrap(),
            "java.net.ConnectException: Connection refused"
        );
    }

    #[test]
    fn out_of_memory_wins_over_what_it_causes() {
        let log = "2026-01-01 00:00:00 ERROR Executor: Exception in task 0.0\n\
            java.lang.OutOfMemoryError: Java heap space\n\tat java.base/java.util.Arrays.copyOf(Arrays.java:3537)\n\
            org.apache.spark.SparkException: Job 0 cancelled because SparkContext was shut down\n\
            \tat org.apache.spark.scheduler.DAGScheduler.$anonfun$cleanUp(DAGScheduler.scala:1085)\n";
        assert_eq!(
            quote_error(log).unwrap(),
            "java.lang.OutOfMemoryError: Java heap space"
        );
    }

    #[test]
    fn what_ended_the_session_wins_over_what_it_causes() {
        let log = "26/11/23 06:32:26 ERROR SparkUncaughtExceptionHandler: Uncaught exception in thread Thread[Executor task launch worker for task 0.0 in stage 4.0 (TID 9),5,main]\n\
            java.lang.StackOverflowError\n\
            \tat org.codehaus.janino.CodeContext.extract(CodeContext.java:700)\n\
            org.apache.spark.SparkException: Job 0 cancelled because SparkContext was shut down\n\
            \tat org.apache.spark.scheduler.DAGScheduler.$anonfun$cleanUp(DAGScheduler.scala:1085)\n";
        assert_eq!(quote_error(log).unwrap(), "java.lang.StackOverflowError");
        let only = log.rsplit_once("org.apache").unwrap().0.len();
        let only = &log[log[..only]
            .rfind("org.apache.spark.SparkException")
            .unwrap()..];
        assert_eq!(
            quote_error(only).unwrap(),
            "org.apache.spark.SparkException: Job 0 cancelled because SparkContext was shut down"
        );
    }

    #[test]
    fn nothing_started() {
        let log = "Unrecognized VM option 'UseNoGC'\nError: Could not create the Java Virtual Machine.\nError: A fatal exception has occurred. Program will exit.\n";
        assert_eq!(
            quote_error(log).unwrap(),
            "Unrecognized VM option 'UseNoGC'"
        );
        let log = "Error: Failed to load class org.example.Main.\n26/11/23 07:00:00 INFO ShutdownHookManager: Shutdown hook called\n";
        assert_eq!(
            quote_error(log).unwrap(),
            "Error: Failed to load class org.example.Main."
        );
        assert_eq!(
            quote_error("JAVA_HOME is not set\n").unwrap(),
            "JAVA_HOME is not set"
        );
    }

    #[test]
    fn a_good_log_has_no_error() {
        let log = "26/11/23 06:31:46 WARN Utils: Your hostname, vm resolves to a loopback address\n\
            Time taken: 1.853 seconds\nError_rate\t0.5\n";
        assert_eq!(quote_error(log), None);
        assert_eq!(quote_error(""), None);
    }

    #[test]
    fn a_long_message_is_cut() {
        let log = format!("Error in query: {}", "é".repeat(1000));
        assert_eq!(quote_error(&log).unwrap().chars().count(), LONGEST + 1);
    }

    proptest! {
        #[test]
        fn any_log_is_read(log in "(Error in query:|Caused by: a.B|\\[Stage 1:|\r|\n|\\^\\^\\^|\tat x| ERROR |.){0,40}") {
            let _ = (quote_error(&log), parse_progress(&log));
        }
    }
}
