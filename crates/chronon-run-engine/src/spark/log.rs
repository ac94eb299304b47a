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

/// The deepest cause of the last exception that was printed with a stack trace.
fn exception(lines: &[&str]) -> Option<String> {
    let is_trace = |index: usize| {
        let next: Option<&&str> = lines.get(index + 1);
        next.is_some_and(|next| next.starts_with("\tat "))
    };
    let last = (0..lines.len())
        .rev()
        .find(|&index| is_trace(index) && names_exception(lines[index]))?;
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

fn names_exception(line: &str) -> bool {
    let class = line
        .trim_start_matches("Caused by: ")
        .trim_start_matches("Exception in thread \"main\" ")
        .split([':', ' '])
        .next()
        .unwrap_or_default();
    !line.starts_with([' ', '\t'])
        && class.contains('.')
        && class.ends_with(['n', 'r', 't', 'e', 'd'])
        && class
            .rsplit('.')
            .next()
            .is_some_and(|name| name.starts_with(char::is_uppercase))
}

/// What spark-submit, its shell scripts and the JVM say when nothing started.
fn launch_error(lines: &[&str]) -> Option<String> {
    let starts = [
        "Error: ",
        "Exception in thread \"main\" ",
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
