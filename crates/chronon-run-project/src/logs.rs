//! Logs of attempts, printed with secrets masked, and why a step has none.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
    path::Path,
    thread,
    time::Duration,
};

use chronon_run_core::{
    AssetId, Ds,
    event::{SkipReason, StepIndex},
    secret::LogMask,
    shown::shown_log,
};
use chronon_run_ledger::{AttemptRecord, Ledger, RunState, StepRecord};
use chronon_run_spark::statements::{Labels, Statements};
use regex::Regex;

use crate::{failure::Failure, output::print};

/// How many of the last runs are searched for a step that was not started.
const SEARCHED: u32 = 100;

/// Why there is no attempt: the attempt's number is wrong, a run did not start the step, or no run had it.
pub fn never_run(
    ledger: &mut Ledger,
    asset: &AssetId,
    ds: Option<Ds>,
    attempt: Option<u32>,
) -> Failure {
    let on = ds.map(|ds| format!(" on {ds}")).unwrap_or_default();
    let lists = "`chronon-run runs` lists what was run";
    if let Some(number) = attempt {
        return Failure::hinted(format!("{asset}{on} has no attempt {number}"), lists);
    }
    let runs = ledger.runs(SEARCHED);
    let skipped = runs.iter().find_map(|run| {
        let steps = ledger.run(&run.run)?.steps;
        let is_it = |step: &&StepRecord| {
            &step.asset == asset && ds.is_none_or(|ds| step.range.contains(ds))
        };
        let step = steps.iter().find(is_it)?;
        let why = match &step.skipped {
            Some(reason) => not_started(reason, &steps),
            None => "the run ended before".to_owned(),
        };
        let message = format!(
            "{asset} {} has no log: run {} did not start it: {why}",
            step.range, run.run
        );
        let hint = format!("`chronon-run runs show {}` shows the whole run", run.run);
        Some(Failure::hinted(message, hint))
    });
    skipped
        .unwrap_or_else(|| Failure::hinted(format!("nothing was ever run for {asset}{on}"), lists))
}

/// Why a step was not started.
fn not_started(reason: &SkipReason, steps: &[StepRecord]) -> String {
    let name = |number: &StepIndex| {
        let step = steps.iter().find(|step| step.step == *number);
        step.map_or_else(|| "another step".to_owned(), |step| step.asset.to_string())
    };
    match reason {
        SkipReason::Upstream { step } => format!("it needs {}, which failed", name(step)),
        SkipReason::MayBeWritten { step } => {
            format!(
                "what is left of {} on the cluster may still write",
                name(step)
            )
        }
        SkipReason::Cancelled => "the run was stopped".to_owned(),
    }
}

/// Prints the Spark SQL that an attempt ran, which lies beside its log.
pub fn print_script(attempt: &AttemptRecord) -> Result<(), Failure> {
    let script = attempt.log.with_extension("sql");
    if !script.exists() {
        return Err(Failure::hinted(
            format!("{} has no script of its own", attempt.asset),
            "only engine kind = \"sql\" has; `--command` prints the command line",
        ));
    }
    let failed = |error| unreadable(&script, &error);
    print(&fs::read_to_string(&script).map_err(failed)?)
}

fn unreadable(file: &Path, error: &io::Error) -> Failure {
    Failure::setup(format!("cannot read {}: {error}", file.display()))
}

/// Prints a log as it is now.
///
/// # Errors
/// It cannot be read, or nothing can be printed.
pub fn print_whole(log: &Path) -> Result<(), Failure> {
    Copying::of(log).on(true)
}

/// Prints the lines of a log in which `pattern` is found.
pub fn print_matching(log: &Path, pattern: &Regex) -> Result<(), Failure> {
    let failed = |error| unreadable(log, &error);
    let mut lines = BufReader::new(File::open(log).map_err(failed)?);
    let mut mask = LogMask::default();
    let mut labels = labels(log);
    let mut line = Vec::new();
    loop {
        line.clear();
        // A line without an end is cut rather than held.
        let mut piece = Read::by_ref(&mut lines).take(PIECE as u64);
        if piece.read_until(b'\n', &mut line).map_err(failed)? == 0 {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&line);
        let text = labelled(&mut labels, &text);
        let shown = mask.mask(text.trim_end_matches(['\r', '\n']));
        if pattern.is_match(&text) {
            print(&(shown_log(&shown) + "\n"))?;
        }
    }
}

/// The statements of the script beside a log, if it has one.
fn labels(log: &Path) -> Option<Labels> {
    let script = fs::read_to_string(log.with_extension("sql")).ok()?;
    Some(Labels::of(Statements::of(&script)))
}

/// Lines of a log, with the statement behind each time that Spark's shell prints without it.
fn labelled(labels: &mut Option<Labels>, text: &str) -> String {
    let Some(labels) = labels else {
        return text.to_owned();
    };
    let line = |line: &str| {
        let (said, end) = line.split_at(line.trim_end_matches(['\r', '\n']).len());
        match labels.read(said) {
            Some(label) => format!("{said}; {label}{end}"),
            None => line.to_owned(),
        }
    };
    text.split_inclusive('\n').map(line).collect()
}

/// Which statement of its script failed, after the attempt with this log failed.
#[must_use]
pub fn failed_statement(log: &Path) -> Option<String> {
    let mut labels = labels(log)?;
    let mut lines = BufReader::new(File::open(log).ok()?);
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut piece = Read::by_ref(&mut lines).take(PIECE as u64);
        if piece.read_until(b'\n', &mut line).ok()? == 0 {
            return labels.failed();
        }
        labels.read(String::from_utf8_lossy(&line).trim_end());
    }
}

/// How much of a log is held at one time.
const PIECE: usize = 1 << 16;

/// Printing a log, with secrets masked, a piece at a time, also while it grows.
struct Copying<'a> {
    log: &'a Path,
    /// The bytes that are printed.
    printed: u64,
    mask: LogMask,
    labels: Option<Labels>,
}

impl<'a> Copying<'a> {
    fn of(log: &'a Path) -> Self {
        Self {
            log,
            printed: 0,
            mask: LogMask::default(),
            labels: labels(log),
        }
    }

    /// Prints what is there and not printed. A line that has no end waits for it, unless this is the `last`
    /// call.
    fn on(&mut self, last: bool) -> Result<(), Failure> {
        let failed = |error| unreadable(self.log, &error);
        let mut file = File::open(self.log).map_err(failed)?;
        file.seek(SeekFrom::Start(self.printed)).map_err(failed)?;
        let mut piece: Vec<u8> = Vec::with_capacity(PIECE);
        loop {
            let room = (PIECE - piece.len()) as u64;
            let read = Read::by_ref(&mut file).take(room).read_to_end(&mut piece);
            let is_end = read.map_err(failed)? == 0 && piece.len() < PIECE;
            let whole = match is_end && last {
                true => piece.len(),
                false => whole_lines(&piece),
            };
            let text = labelled(&mut self.labels, &String::from_utf8_lossy(&piece[..whole]));
            print(&shown_log(&self.mask.mask(&text)))?;
            self.printed += whole as u64;
            piece.drain(..whole);
            if is_end {
                return Ok(());
            }
        }
    }
}

/// How many bytes are whole lines; programs that show progress end them with carriage returns. A full piece
/// without a line's end is cut at a blank, so that no secret is cut, and else between characters.
fn whole_lines(bytes: &[u8]) -> usize {
    let after = |wanted: &dyn Fn(&u8) -> bool| bytes.iter().rposition(wanted).map(|at| at + 1);
    let is_last = |byte: &u8| *byte == b'\n';
    let lines = after(&is_last).or_else(|| {
        // The last may be the first half of a line's end.
        let ended = bytes.split_last().map_or(bytes, |(_, before)| before);
        ended
            .iter()
            .rposition(|byte| *byte == b'\r')
            .map(|at| at + 1)
    });
    match lines {
        Some(lines) => lines,
        None if bytes.len() < PIECE => 0,
        None => after(&u8::is_ascii_whitespace).unwrap_or_else(|| whole_characters(bytes)),
    }
}

/// How many bytes end with a whole character. What is no UTF-8 counts as whole.
fn whole_characters(bytes: &[u8]) -> usize {
    let begun = (1..=3.min(bytes.len())).find(|back| {
        let length = match bytes[bytes.len() - back] {
            0xc0..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf7 => 4,
            _ => 0,
        };
        length > *back
    });
    bytes.len() - begun.unwrap_or(0)
}

/// Between two looks at a growing log.
const PAUSE: Duration = Duration::from_millis(200);

/// Prints a log as it grows, until its attempt is over.
pub fn follow(ledger: &mut Ledger, attempt: &AttemptRecord) -> Result<(), Failure> {
    let mut copying = Copying::of(&attempt.log);
    loop {
        // Asked before reading, so that the last words are not missed.
        let over = is_over(ledger, attempt);
        if over || attempt.log.exists() {
            copying.on(over)?;
        }
        if over {
            return Ok(());
        }
        thread::sleep(PAUSE);
    }
}

/// Whether the attempt's log is complete. An attempt that is not known any more, e.g.
/// because the ledger was deleted, is over.
fn is_over(ledger: &mut Ledger, attempt: &AttemptRecord) -> bool {
    let Some(run) = ledger.run(&attempt.run) else {
        return true;
    };
    let steps = run.steps.iter().filter(|step| step.step == attempt.step);
    let mut attempts = steps.flat_map(|step| &step.attempts);
    let now = attempts.find(|found| found.attempt == attempt.attempt);
    run.record.state != RunState::Running || now.is_none_or(|now| now.finished.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_the_shell_is_shown_with_its_statement() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("attempt-1.log");
        let text = "Spark\nTime taken: 0.1 seconds\n[Stage 0:> (0 + 1) / 1]\r   \rTime taken: 2 seconds\r\nError";
        fs::write(&log, text).unwrap();
        assert_eq!(labelled(&mut labels(&log), text), text, "it has no script");
        let script = "SET a=b;\n-- output o.a\nDROP TABLE o.a;\nDROP TABLE o.b;\n";
        fs::write(log.with_extension("sql"), script).unwrap();
        assert_eq!(
            labelled(&mut labels(&log), text),
            "Spark\nTime taken: 0.1 seconds; statement 1 of 3: SET a\n[Stage 0:> (0 + 1) / 1]\r   \r\
             Time taken: 2 seconds; statement 2 of 3 (output o.a): DROP TABLE o.a\r\nError"
        );
        let failed = failed_statement(&log).unwrap();
        assert_eq!(failed, "statement 3 of 3 (output o.a)");
    }

    #[test]
    fn a_piece_ends_with_a_line_or_a_character() {
        assert_eq!(whole_lines(b"a\nb"), 2);
        assert_eq!(whole_lines(b"1%\r2%\r"), 3);
        assert_eq!(whole_lines(b"no end yet"), 0);
        let mut full = vec![b'x'; PIECE];
        assert_eq!(whole_lines(&full), PIECE);
        full[PIECE - 10] = b' ';
        assert_eq!(whole_lines(&full), PIECE - 9);
        assert_eq!(whole_characters("aü".as_bytes()), 3);
        assert_eq!(whole_characters(&"aü".as_bytes()[..2]), 1);
        assert_eq!(whole_characters(b"\xff"), 1);
    }
}
