//! The line of a Spark log that tells why a job failed.

use std::sync::LazyLock;

use regex::Regex;

/// Longer than this (in characters) is cut: it is one line of a summary.
const LONGEST: usize = 600;
/// So many lines of a message may come between an exception and its stack trace.
const MESSAGE_LINES: usize = 60;
/// What stands before a query that could not be analysed.
const IN_QUERY: &str = "Error in query:";
/// What stands before the exception that ended the JVM.
const IN_MAIN: &str = "Exception in thread \"main\" ";
/// What stands before the cause of an exception.
const CAUSED_BY: &str = "Caused by: ";
/// The exception of stages that failed at once: its causes are suppressed exceptions, which others are not.
const SEVERAL_STAGES: &str = "Multiple failures in stage materialization";
/// What stands before one of them.
const SUPPRESSED: &str = "Suppressed: ";

/// What is said once the job has failed for another reason.
const CONSEQUENCES: [&str; 8] = [
    "SparkContext was shut down",
    "Cannot call methods on a stopped SparkContext",
    "Failed to delete:",
    "RpcEnv already stopped",
    "RpcEnvStoppedException",
    "TaskKilledException",
    "RejectedExecutionException",
    "Filesystem closed",
];

/// Messages that only say that something deeper failed.
const WRAPPERS: [&str; 8] = [
    SEVERAL_STAGES,
    "Task failed while writing rows",
    "Exception thrown in awaitResult",
    "Job aborted",
    "Writing job aborted",
    "Unable to instantiate org.apache.hadoop.hive",
    "org.apache.spark.SparkException: Job aborted",
    "java.lang.reflect.InvocationTargetException",
];

/// The one line of a job's log that tells why it failed, if there is one.
///
/// `log` may be any tail of the log: cut lines, progress bars and echoed SQL do no harm.
#[must_use]
pub fn quote_error(log: &str) -> Option<String> {
    let mut lines: Vec<&str> = log.lines().map(visible).collect();
    if let Some(at) = lines.iter().position(|line| line.contains(SEVERAL_STAGES)) {
        lines[at..].iter_mut().for_each(|line| *line = outer(line));
    }
    let message = query_error(&lines)
        .or_else(|| out_of_memory(&lines))
        .or_else(|| metastore(&lines))
        .or_else(|| bare_message(&lines))
        .or_else(|| python(&lines))
        .or_else(|| exception(&lines))
        .or_else(|| launch_error(&lines))
        .or_else(|| logged_error(&lines))?;
    Some(shorten(&message))
}

/// A line of a suppressed exception as it would be printed of another one.
fn outer(line: &str) -> &str {
    let inner = line.strip_prefix('\t');
    let inner = inner.filter(|inner| {
        let starts = ["\t", SUPPRESSED, CAUSED_BY];
        starts.iter().any(|start| inner.starts_with(start))
    });
    inner.unwrap_or(line)
}

/// What is left on a terminal line after its carriage returns.
fn visible(line: &str) -> &str {
    line.trim_end_matches('\r')
        .rsplit('\r')
        .next()
        .unwrap_or(line)
        .trim_end()
}

/// `Error in query: …`: the analyser and the parser; `None` if it only wraps an exception.
fn query_error(lines: &[&str]) -> Option<String> {
    let at = lines.iter().rposition(|line| line.starts_with(IN_QUERY))?;
    let text = lines[at][IN_QUERY.len()..].trim();
    let rest = &lines[at + 1..];
    if text.is_empty() {
        return parse_error(rest);
    }
    if is_wrapper(text) || text.contains("Unable to instantiate org.apache.hadoop.hive") {
        return None;
    }
    // A semicolon stands before the plan, which is not quoted; a colon before what matters.
    let mut message = text.trim_end_matches(';').to_owned();
    if message.ends_with(':') {
        message = with_list(&message, rest);
    }
    Some(format!("{IN_QUERY} {message}"))
}

/// The message of the analyser and the parser as Spark 3.4 and later print it: without [`IN_QUERY`],
/// most with an error class. `None` if a stack trace follows, because that has the causes.
fn bare_message(lines: &[&str]) -> Option<String> {
    static SHAPE: LazyLock<Option<Regex>> = LazyLock::new(|| {
        let class = r"^\[[A-Z][A-Z0-9_]+(\.[A-Z0-9_]+)*\] ";
        Regex::new(&format!(
            r"{class}|^Cannot write incompatible data to table |; line \d+ pos \d+;?$"
        ))
        .ok()
    });
    let shape = SHAPE.as_ref()?;
    let is_message =
        |line: &&str| shape.is_match(line) && !is_logged(line) && !names_exception(line);
    let last = lines.iter().rposition(is_message)?;
    // A message of several lines has its class in the first and its place in the last one.
    let begin = lines[..last]
        .iter()
        .rposition(|line| line.is_empty() || line.starts_with("Time taken"));
    let begin = begin.map_or(0, |begin| begin + 1);
    let at = (begin..=last)
        .find(|&at| is_message(&lines[at]))
        .unwrap_or(last);
    let rest = &lines[at + 1..];
    if rest.iter().any(|line| line.starts_with("\tat ")) {
        return None;
    }
    let message = lines[at].trim_end_matches(';');
    if rest.iter().any(|line| line.starts_with("== SQL")) {
        let statement = parse_error(&lines[at..])?;
        return Some(statement.trim_start_matches(IN_QUERY).trim().to_owned());
    }
    Some(match message.ends_with(':') {
        true => with_list(message, rest),
        false => message.to_owned(),
    })
}

/// What the last traceback of Python ends with; of an exception without a message, its direct cause.
fn python(lines: &[&str]) -> Option<String> {
    const FILE: &str = "  File \"";
    const CAUSED: &str = "The above exception was the direct cause";
    let end_of = |lines: &[&str]| {
        let frame = lines.iter().rposition(|line| line.starts_with(FILE))?;
        let indented = |line: &&str| line.is_empty() || line.starts_with(' ');
        let end = lines[frame..].iter().position(|line| !indented(line))?;
        Some(lines[frame + end].to_owned())
    };
    let last = end_of(lines)?;
    let cause = lines.iter().rposition(|line| line.starts_with(CAUSED));
    let cause = cause.filter(|_| !last.contains(": "));
    Some(
        cause
            .and_then(|cause| end_of(&lines[..cause]))
            .unwrap_or(last),
    )
}

/// The parser puts its message on the next line and the statement below, with ^^^ under the place.
fn parse_error(rest: &[&str]) -> Option<String> {
    let message = rest.iter().find(|line| !line.is_empty())?;
    let caret = rest
        .iter()
        .position(|line| line.trim_start_matches([' ', '-']).starts_with("^^^"));
    let quoted = caret.and_then(|caret| rest.get(caret.checked_sub(1)?));
    Some(match quoted {
        Some(statement) => format!("{IN_QUERY} {message}: `{}`", statement.trim()),
        None => format!("{IN_QUERY} {message}"),
    })
}

/// A message that ends with a colon, and the lines that it announces.
fn with_list(message: &str, rest: &[&str]) -> String {
    let is_item = |line: &&&str| line.trim_start().starts_with("- ");
    let mut items: Vec<&str> = rest.iter().take_while(is_item).copied().collect();
    if items.is_empty() {
        let ends =
            |line: &&&str| line.is_empty() || line.starts_with("Time taken") || is_trace(line);
        items = rest
            .iter()
            .take(1)
            .filter(|line| !ends(line))
            .copied()
            .collect();
    }
    let items: Vec<&str> = items
        .iter()
        .map(|item| item.trim().trim_start_matches("- ").trim_end_matches(';'))
        .collect();
    match items.is_empty() {
        true => message.trim_end_matches(':').to_owned(),
        false => format!("{message} {}", items.join("; ")),
    }
}

fn out_of_memory(lines: &[&str]) -> Option<String> {
    const ERROR: &str = "java.lang.OutOfMemoryError";
    let line = lines.iter().find(|line| line.contains(ERROR))?;
    Some(line[line.find(ERROR)?..].to_owned())
}

/// A metastore that is out of reach is reported by five exceptions around the one that says where.
fn metastore(lines: &[&str]) -> Option<String> {
    const ERROR: &str = "Could not connect to meta store";
    let line = lines.iter().find(|line| line.contains(ERROR))?;
    let text = &line[line.find(ERROR)?..];
    let is_open = text.matches('(').count() < text.matches(')').count();
    Some(
        text.strip_suffix(')')
            .filter(|_| is_open)
            .unwrap_or(text)
            .to_owned(),
    )
}

/// One exception, without what introduces it.
struct Thrown<'a> {
    at: usize,
    text: String,
    /// The first line of its stack trace.
    frame: Option<&'a str>,
}

impl Thrown<'_> {
    fn class(&self) -> &str {
        self.text.split(':').next().unwrap_or_default()
    }

    fn message(&self) -> &str {
        self.text
            .split_once(": ")
            .map_or("", |(_, message)| message.trim())
    }

    fn says_something(&self) -> bool {
        !self.message().is_empty() && !is_wrapper(self.message()) && !is_wrapper(&self.text)
    }
}

/// The deepest cause that says something of the last exception that is not only the consequence of
/// another one.
fn exception(lines: &[&str]) -> Option<String> {
    let chains = chains(lines);
    let follows = |chain: &&Vec<Thrown<'_>>| {
        let mut all = chain.iter();
        all.any(|thrown| CONSEQUENCES.iter().any(|text| thrown.text.contains(text)))
    };
    let survived = |chain: &&Vec<Thrown<'_>>| {
        let first = chain.first().map_or(0, |thrown| thrown.at);
        is_warning(lines, first)
    };
    let last = chains
        .iter()
        .rfind(|chain| !follows(chain) && !survived(chain))
        .or_else(|| chains.iter().rfind(|chain| !follows(chain)))
        .or_else(|| chains.last())?;
    Some(telling(last))
}

/// Each exception that was printed, followed by its causes.
fn chains<'a>(lines: &[&'a str]) -> Vec<Vec<Thrown<'a>>> {
    let mut chains: Vec<Vec<Thrown<'a>>> = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        if !names_exception(line) {
            continue;
        }
        let Some(frame) = frame(&lines[at + 1..]) else {
            continue;
        };
        let thrown = Thrown {
            at,
            text: with_message(thrown_text(line), &lines[at + 1..]),
            frame,
        };
        match chains.last_mut() {
            Some(chain) if line.starts_with(CAUSED_BY) || line.starts_with(SUPPRESSED) => {
                chain.push(thrown);
            }
            _ => chains.push(vec![thrown]),
        }
    }
    chains
}

/// An exception whose message begins on the next line.
fn with_message(text: String, rest: &[&str]) -> String {
    match rest.first() {
        Some(next) if begins_below(&text) && !is_trace(next) && !is_logged(next) => {
            format!("{text} {}", next.trim())
        }
        _ => text,
    }
}

/// A class without a message, or what Scala's `assert` and `require` put before one.
fn begins_below(text: &str) -> bool {
    text.ends_with(':') && (!text.contains(": ") || text.ends_with(" failed:"))
}

/// Where the stack trace begins, if the line before `rest` is an exception: perhaps after more lines
/// of its message. Exceptions of statements have none, but quote the statement.
fn frame<'a>(rest: &[&'a str]) -> Option<Option<&'a str>> {
    for (index, line) in rest.iter().take(MESSAGE_LINES).enumerate() {
        if line.starts_with("\tat ") {
            return Some(Some(*line));
        }
        if line.starts_with("\t... ") {
            return Some(None);
        }
        if line.starts_with("== SQL") || (index == 0 && line.starts_with("Time taken")) {
            return Some(None);
        }
        if names_exception(line) || is_logged(line) {
            return None;
        }
    }
    // The end of the log.
    (rest.len() < 2).then_some(None)
}

/// The exception of a line; of a failed task its own one, which stands behind where it ran.
fn thrown_text(line: &str) -> String {
    static TASK: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"most recent failure: Lost task [^(]*\(TID \d+\) \([^)]*\): (.+)$").ok()
    });
    let text = line.strip_prefix(CAUSED_BY).unwrap_or(line);
    let text = text.strip_prefix(SUPPRESSED).unwrap_or(text);
    let text = text.strip_prefix(IN_MAIN).unwrap_or(text);
    let task = TASK.as_ref().and_then(|task| task.captures(text));
    task.map_or(text, |found| {
        found.get(1).map_or(text, |part| part.as_str())
    })
    .to_owned()
}

/// Of an exception and its causes, the text that tells most.
fn telling(chain: &[Thrown<'_>]) -> String {
    let Some(deepest) = chain.last() else {
        return String::new();
    };
    let Some(at) = chain.iter().rposition(Thrown::says_something) else {
        let is_error = deepest.class().ends_with("Error");
        return match deepest.frame.map(str::trim) {
            Some(frame) if !is_error && deepest.message().is_empty() => {
                format!("{} {frame}", deepest.text)
            }
            _ => deepest.text.trim_end_matches([':', ' ']).to_owned(),
        };
    };
    let mut chosen = &chain[at];
    // The same exception again, with more around it: which host, which file.
    if let Some(above) = at.checked_sub(1).map(|above| &chain[above])
        && (above.class() == chosen.class() && above.message().contains(chosen.message())
            || above.message() == chosen.message())
    {
        chosen = above;
    }
    let text = chosen.text.trim_end_matches(':');
    match at + 1 == chain.len() || !deepest.message().is_empty() {
        true => text.to_owned(),
        false => format!("{text} ({})", deepest.text),
    }
}

fn is_wrapper(message: &str) -> bool {
    let class = message
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("] "));
    let message = class.map_or(message, |(_, message)| message);
    WRAPPERS.iter().any(|wrapper| message.starts_with(wrapper))
}

fn is_trace(line: &str) -> bool {
    line.starts_with("\tat ") || line.starts_with(CAUSED_BY) || names_exception(line)
}

/// Whether the exception at this line was printed by a warning: it was survived.
fn is_warning(lines: &[&str], at: usize) -> bool {
    let before = lines[..at].iter().rev().take(2);
    let logged = before.into_iter().find(|line| is_logged(line));
    logged.is_some_and(|line| line.contains(" WARN ") || line.contains(" INFO "))
}

/// A line with a time and a level.
fn is_logged(line: &str) -> bool {
    let starts = line.starts_with(|c: char| c.is_ascii_digit());
    let levels = [" ERROR ", " WARN ", " INFO ", " FATAL ", " DEBUG "];
    starts && levels.iter().any(|level| line.contains(level))
}

/// `package.Class` or `package.Class: message`, perhaps after words that introduce it.
fn names_exception(line: &str) -> bool {
    let text = line.strip_prefix(CAUSED_BY).unwrap_or(line);
    let text = text.strip_prefix(SUPPRESSED).unwrap_or(text);
    let text = text.strip_prefix(IN_MAIN).unwrap_or(text);
    if text.starts_with("MetaException(message:") {
        return true;
    }
    let class = text.split([':', ' ', '(']).next().unwrap_or_default();
    let word = |part: &str| part.starts_with(|c: char| c.is_alphabetic());
    let name = class.rsplit('.').next().unwrap_or_default();
    class.contains('.') && class.split('.').all(word) && name.starts_with(char::is_uppercase)
}

/// What spark-submit, its shell scripts and the JVM say when nothing started.
fn launch_error(lines: &[&str]) -> Option<String> {
    let starts = [
        "Error: ",
        "[scallop] Error: ",
        "python: ",
        "python3: ",
        IN_MAIN,
        "JAVA_HOME is not set",
        "Unrecognized ",
        "Error occurred during initialization of VM",
        "OpenJDK 64-Bit Server VM warning: INFO: os::commit_memory",
    ];
    let of_shell = [
        ": No such file or directory",
        ": command not found",
        ": Permission denied",
        ": cannot execute: required file not found",
        ": Text file busy",
    ];
    let says = |line: &&&str| {
        let starts = starts.iter().any(|start| line.starts_with(start));
        let of_shell = of_shell.iter().any(|end| line.ends_with(end));
        (starts || of_shell)
            && !line.contains("Could not create the Java Virtual Machine")
            && !line.contains("A fatal exception has occurred")
    };
    lines.iter().rfind(says).map(|line| (*line).to_owned())
}

/// The last line that was logged as an error.
fn logged_error(lines: &[&str]) -> Option<String> {
    let levels = [" ERROR ", " FATAL "];
    let found = lines.iter().rev().find_map(|line| {
        let mut texts = levels.iter().filter_map(|level| line.split_once(level));
        texts.next().map(|(_, text)| text)
    });
    found.map(str::to_owned)
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
    fn several_stages_that_failed_at_once_are_told_by_a_task() {
        let log = "2026-11-30 12:05:02 ERROR FileFormatWriter: Aborting job f1.\n\
            org.apache.spark.SparkException: Multiple failures in stage materialization.\n\
            \tat org.apache.spark.sql.execution.adaptive.AdaptiveSparkPlanExec.cleanUpAndThrowException(AdaptiveSparkPlanExec.scala:763)\n\
            \tSuppressed: org.apache.spark.SparkException: Job aborted due to stage failure: Task 0 in stage 24.0 failed 1 times, most recent failure: Lost task 0.0 in stage 24.0 (TID 16) (vm executor driver): org.apache.hadoop.fs.ChecksumException: Checksum error: file:/w/part-0.parquet\n\
            \tat org.apache.hadoop.fs.FSInputChecker.verifySums(FSInputChecker.java:347)\n\
            \n\
            Driver stacktrace:\n\
            \t\tat org.apache.spark.scheduler.DAGScheduler.failJobAndIndependentStages(DAGScheduler.scala:2672)\n\
            \tCaused by: org.apache.hadoop.fs.ChecksumException: Checksum error: file:/w/part-0.parquet at 1024\n\
            \t\tat org.apache.hadoop.fs.FSInputChecker.verifySums(FSInputChecker.java:347)\n\
            \t\t... 20 more\n\
            Time taken: 1.2 seconds\n";
        assert_eq!(
            quote_error(log).unwrap(),
            "org.apache.hadoop.fs.ChecksumException: Checksum error: file:/w/part-0.parquet at 1024"
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

    /// Logs of real failures, most of them of Spark 3.3.1, and for each the line that is quoted.
    #[test]
    fn each_known_failure_is_quoted_by_its_cause() {
        let text = include_str!("causes.txt");
        let mut wrong = Vec::new();
        let cases = text.split("\n=== ").skip(1);
        for case in cases.clone() {
            let (name, rest) = case.split_once('\n').unwrap();
            let (expected, log) = rest.split_once("\n--- log\n").unwrap();
            let found = quote_error(log).unwrap_or_default();
            if found != expected {
                wrong.push(format!(
                    "{name}\n  expected: {expected}\n  found:    {found}"
                ));
            }
        }
        assert!(cases.count() >= 40);
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    proptest! {
        #[test]
        fn any_log_is_read(log in "(Error in query:|Caused by: a.B|a.b.C: |== SQL|\r|\n|\\^\\^\\^|\tat x| ERROR |.){0,40}") {
            let _ = quote_error(&log);
        }
    }
}
