//! How far a script is: Spark SQL's shell prints one line after every statement.

/// The statements of a script.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Statements {
    all: Vec<Statement>,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Statement {
    /// The table that it writes, if it names one.
    table: Option<String>,
    /// The comment above it, or above those before it.
    section: String,
    /// How it begins.
    head: String,
}

/// What a line of the shell's output means for the count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mark {
    /// The script begins: what was counted before belongs to something else.
    Begins,
    /// One more statement has ended.
    Ended,
}

impl Statements {
    /// The statements of `script`, which end with a semicolon at the end of a line.
    #[must_use]
    pub fn of(script: &str) -> Self {
        let mut all = Vec::new();
        let mut statement = String::new();
        let mut section = "";
        for line in script.lines() {
            if let Some(comment) = line.strip_prefix("--") {
                if statement.trim().is_empty() {
                    section = heading(comment.trim());
                }
                continue;
            }
            statement.push_str(line);
            statement.push('\n');
            if line.trim_end().ends_with(';') {
                all.push(Statement {
                    table: written(&statement),
                    section: section.to_owned(),
                    head: head(&statement),
                });
                statement.clear();
            }
        }
        Self { all }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The tables that statements create, drop, change or fill, in order.
    pub fn tables(&self) -> impl Iterator<Item = &str> {
        let tables = self.all.iter().map(|statement| &statement.table);
        tables.flatten().map(String::as_str)
    }

    /// The table that the statement after `ended` others writes, or the last one before it.
    #[must_use]
    pub fn table(&self, ended: usize) -> Option<&str> {
        let begun = &self.all[..self.len().min(ended + 1)];
        let mut latest = begun.iter().rev();
        latest.find_map(|statement| statement.table.as_deref())
    }

    /// `table`'s place among the tables that are written, in order of their first statement, and
    /// how many there are.
    #[must_use]
    pub fn place(&self, table: &str) -> (usize, usize) {
        let mut known: Vec<&str> = Vec::new();
        for name in self.tables() {
            if !known.contains(&name) {
                known.push(name);
            }
        }
        let place = known.iter().position(|&name| name == table);
        (place.map_or(0, |place| place + 1), known.len())
    }

    /// `statement 4 of 11 (out.a)`, once `ended` statements have ended.
    #[must_use]
    pub fn describe(&self, ended: usize) -> String {
        let number = (ended + 1).min(self.len());
        let table = self.table(ended).map(|table| format!(" ({table})"));
        format!(
            "statement {number} of {}{}",
            self.len(),
            table.unwrap_or_default()
        )
    }

    /// How the statement after `ended` others is called in a log, as by `SessionHost.java`:
    /// `statement 4 of 11 (output out.a): DROP TABLE out.b`. `None` if there is none.
    #[must_use]
    pub fn label(&self, ended: usize) -> Option<String> {
        let place = self.place_in_log(ended)?;
        Some(format!("{place}: {}", self.all.get(ended)?.head))
    }

    /// The same without its text: `statement 4 of 11 (output out.a)`.
    #[must_use]
    pub fn place_in_log(&self, ended: usize) -> Option<String> {
        let section = match self.all.get(ended)?.section.as_str() {
            "" => String::new(),
            section => format!(" ({section})"),
        };
        Some(format!(
            "statement {} of {}{section}",
            ended + 1,
            self.len()
        ))
    }
}

/// What statements below this comment are about; nothing is known of those of a script's header.
fn heading(comment: &str) -> &str {
    match comment.starts_with("step: ") || comment.starts_with("writes: ") {
        true => "",
        false => comment,
    }
}

/// So many characters of a statement are shown with its time.
const HEAD: usize = 100;

/// The first line of a statement. Of a setting the value is left out: it may be a secret.
fn head(statement: &str) -> String {
    let line = statement.trim().lines().next().unwrap_or_default();
    let line = line.trim_end().trim_end_matches(';');
    let is_setting =
        line.len() > 4 && line.is_char_boundary(4) && line[..4].eq_ignore_ascii_case("set ");
    let line = match line.split_once('=').filter(|_| is_setting) {
        Some((setting, _)) => setting,
        None => line,
    };
    match line.char_indices().nth(HEAD) {
        Some((cut, _)) => format!("{}...", &line[..cut]),
        None => line.to_owned(),
    }
}

/// A label without the text of its statement.
fn place_of(label: &str) -> &str {
    let start = label.split(": ").next().unwrap_or(label);
    // A section may have a colon of its own.
    let end = label.find("): ").filter(|_| start.contains(" ("));
    end.map_or(start, |end| &label[..=end])
}

/// What a log says of the statements of its script.
#[derive(Debug, Default)]
pub struct Labels {
    statements: Statements,
    ended: usize,
    failed: Option<String>,
    /// Whether the log says where the script begins.
    begun: bool,
    /// Whether a session runs the script, which prints a time for the whole script, too.
    is_session: bool,
    /// Whether that session runs what is not of the script.
    outside: bool,
    /// Whether a statement has failed, so that the next time is that of the script.
    broken: bool,
}

/// What the host of sessions says of the statement that failed.
const FAILED: &str = "Failed: ";
/// What it says behind the time of a statement, and other shells do not.
const LABELLED: &str = "; statement ";
/// What Spark's shell says of a statement that failed.
const ERRORS: [&str; 2] = ["Error in query", ": Failed in ["];

impl Labels {
    /// For a log that is read from its beginning.
    #[must_use]
    pub fn of(statements: Statements) -> Self {
        Self {
            statements,
            ..Self::default()
        }
    }

    /// Reads the next line of the log. Returns how the statement is called whose time the line tells, unless
    /// the line does so.
    pub fn read(&mut self, line: &str) -> Option<String> {
        match mark(line) {
            Some(Mark::Begins) => {
                *self = Self {
                    begun: true,
                    is_session: visible(line).starts_with(PROMPT),
                    ..Self::of(std::mem::take(&mut self.statements))
                };
            }
            Some(Mark::Ended) if self.outside => {}
            Some(Mark::Ended) => {
                let label = self.statements.label(self.ended);
                self.ended += 1;
                let is_script = self.is_session && self.broken;
                return label.filter(|_| !is_script && !line.contains(LABELLED));
            }
            // The session's own statements, before and after those of the script.
            None if visible(line).starts_with(PROMPT) => {
                // The last time was that of the script.
                let is_over = self.is_session && !self.outside;
                self.ended = self.ended.saturating_sub(usize::from(is_over));
                self.outside = true;
            }
            None => {
                self.broken |= ERRORS.iter().any(|error| line.contains(error));
                let failed = line.strip_prefix(FAILED);
                let failed = failed.filter(|failed| failed.starts_with("statement "));
                self.failed = failed.map(str::to_owned).or(self.failed.take());
            }
        }
        None
    }

    /// Which statement failed, after the whole log of a failed script was read: `statement 4 of 11 (output
    /// out.a)`. `None` if the log does not say that the script has begun, and no statement has ended.
    #[must_use]
    pub fn failed(&self) -> Option<String> {
        let told = self
            .failed
            .as_deref()
            .map(|label| place_of(label).to_owned());
        let counted = || self.statements.place_in_log(self.ended);
        told.or_else(|| counted().filter(|_| self.begun || self.ended > 0))
    }
}

/// What the host of sessions (`SessionHost.java`) says before the first statement.
const SCRIPT_BEGINS: &str = "script begins";

/// Stands before a statement that a session reads from its standard input.
const PROMPT: &str = "spark-sql> ";

/// What is left of a line on a terminal after its carriage returns.
fn visible(line: &str) -> &str {
    line.rsplit('\r').next().unwrap_or(line)
}

/// What `line` means, if anything.
#[must_use]
pub fn mark(line: &str) -> Option<Mark> {
    let line = visible(line);
    if line.starts_with("Time taken: ") {
        return Some(Mark::Ended);
    }
    (line == SCRIPT_BEGINS || line.starts_with("spark-sql> source ")).then_some(Mark::Begins)
}

/// The table that a statement creates, drops, changes or fills.
fn written(statement: &str) -> Option<String> {
    let mut words = statement.split_whitespace();
    let verb = words.next()?.to_ascii_uppercase();
    if !["CREATE", "DROP", "ALTER", "INSERT"].contains(&verb.as_str()) {
        return None;
    }
    let is_noise = |word: &&str| {
        ["OVERWRITE", "INTO", "IF", "NOT", "EXISTS"].contains(&word.to_ascii_uppercase().as_str())
    };
    let mut words = words.skip_while(is_noise);
    if !words.next()?.eq_ignore_ascii_case("table") {
        return None;
    }
    let name = words.find(|word| !is_noise(word))?;
    Some(name.replace('`', "").trim_end_matches(';').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRIPT: &str = "-- A comment;\nSET a=b;\nCREATE OR REPLACE TEMPORARY VIEW v AS\nSELECT 1;\n\
        CREATE TABLE IF NOT EXISTS `o`.`a` USING PARQUET AS\nSELECT 1;\n\
        INSERT OVERWRITE TABLE o.b PARTITION (ds)\nSELECT ';' FROM x;\nDROP TABLE IF EXISTS o.a;\n";

    #[test]
    fn statements_are_counted_with_the_tables_they_write() {
        let statements = Statements::of(SCRIPT);
        assert_eq!(statements.len(), 5);
        let told: Vec<String> = (0..6).map(|ended| statements.describe(ended)).collect();
        assert_eq!(
            told,
            [
                "statement 1 of 5",
                "statement 2 of 5",
                "statement 3 of 5 (o.a)",
                "statement 4 of 5 (o.b)",
                "statement 5 of 5 (o.a)",
                "statement 5 of 5 (o.a)",
            ]
        );
        assert_eq!(statements.place("o.b"), (2, 2));
    }

    const SECTIONS: &str = "-- step: join/a.b/backfill 2026-01-01..2026-01-02\n-- writes: o.a\n\
        SET fs.s3a.secret.key=hunter2;\n\n-- output o.a\nCREATE DATABASE IF NOT EXISTS o;\n\
        INSERT OVERWRITE TABLE o.a\nWITH\n-- left\nx AS (SELECT 1)\nSELECT 2;\nDROP VIEW v;\n";

    #[test]
    fn a_statement_is_called_by_its_number_section_and_first_line() {
        let statements = Statements::of(SECTIONS);
        let labels: Vec<_> = (0..5).map(|ended| statements.label(ended)).collect();
        let wanted = [
            "statement 1 of 4: SET fs.s3a.secret.key",
            "statement 2 of 4 (output o.a): CREATE DATABASE IF NOT EXISTS o",
            "statement 3 of 4 (output o.a): INSERT OVERWRITE TABLE o.a",
            "statement 4 of 4 (output o.a): DROP VIEW v",
        ];
        let found: Vec<&str> = labels.iter().flatten().map(String::as_str).collect();
        assert_eq!(found, wanted);
        assert_eq!(labels[4], None);
        let long = format!("SELECT {};\n", "ü".repeat(200));
        let label = Statements::of(&long).label(0).unwrap();
        assert!(label.ends_with("ü..."), "{label}");
        assert_eq!(label.chars().count(), "statement 1 of 1: ".len() + 103);
    }

    #[test]
    fn a_log_names_the_statement_of_each_time_and_the_one_that_failed() {
        let mut labels = Labels::of(Statements::of(SECTIONS));
        assert_eq!(labels.read("Spark master: local[*]"), None);
        assert_eq!(labels.failed(), None, "it has not begun");
        let first = labels.read("Time taken: 0.01 seconds, Fetched 1 row(s)");
        assert_eq!(first.unwrap(), "statement 1 of 4: SET fs.s3a.secret.key");
        let told = "Time taken: 0.2 seconds; statement 2 of 4 (output o.a): CREATE";
        assert_eq!(labels.read(told), None, "the line says it");
        assert_eq!(labels.failed().unwrap(), "statement 3 of 4 (output o.a)");
        // The host says it itself.
        for (label, place) in [
            (
                "statement 2 of 4 (GroupBy a: sources): CREATE",
                "statement 2 of 4 (GroupBy a: sources)",
            ),
            ("statement 1 of 4: SET x", "statement 1 of 4"),
        ] {
            labels.read(&format!("Failed: {label}"));
            assert_eq!(labels.failed().unwrap(), place);
        }
        labels.read("script begins");
        assert_eq!(labels.failed().unwrap(), "statement 1 of 4");
    }

    #[test]
    fn a_session_prints_times_that_are_not_those_of_statements() {
        let mut labels = Labels::of(Statements::of(SECTIONS));
        for line in [
            "spark-sql> RESET;",
            "Time taken: 0.1 seconds",
            "spark-sql> source /x/attempt-1.sql;",
        ] {
            assert_eq!(labels.read(line), None);
        }
        let first = labels.read("Time taken: 0.1 seconds");
        assert_eq!(first.unwrap(), "statement 1 of 4: SET fs.s3a.secret.key");
        for line in [
            "Error in query: Table or view not found: x; line 3 pos 2",
            "Time taken: 1.5 seconds",
            "spark-sql> SELECT concat('a');",
            "Time taken: 0.1 seconds, Fetched 1 row(s)",
        ] {
            assert_eq!(labels.read(line), None, "{line}");
        }
        assert_eq!(labels.failed().unwrap(), "statement 2 of 4 (output o.a)");
    }

    #[test]
    fn the_shell_marks_the_beginning_and_each_end() {
        assert_eq!(
            mark("spark-sql> source /x/attempt-1.sql;"),
            Some(Mark::Begins)
        );
        assert_eq!(mark("script begins"), Some(Mark::Begins));
        assert_eq!(mark("Time taken: 0.7 seconds"), Some(Mark::Ended));
        assert_eq!(
            mark("[Stage 0:>  (0 + 1) / 1]\r      \rTime taken: 5.9 seconds"),
            Some(Mark::Ended)
        );
        assert_eq!(mark("2026-01-01 WARN x: Time taken: 1"), None);
    }
}
