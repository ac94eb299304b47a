//! How far a script is: Spark SQL's shell prints one line after every statement.

/// The statements of a script, each with the table that it writes, if it names one.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Statements {
    tables: Vec<Option<String>>,
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
        let mut tables = Vec::new();
        let mut statement = String::new();
        let lines = script.lines().filter(|line| !line.starts_with("--"));
        for line in lines {
            statement.push_str(line);
            statement.push('\n');
            if line.trim_end().ends_with(';') {
                tables.push(written(&statement));
                statement.clear();
            }
        }
        Self { tables }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tables.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    /// The tables that statements create, drop, change or fill, in order.
    pub fn tables(&self) -> impl Iterator<Item = &str> {
        self.tables.iter().flatten().map(String::as_str)
    }

    /// The table that the statement after `ended` others writes, or the last one before it.
    #[must_use]
    pub fn table(&self, ended: usize) -> Option<&str> {
        let begun = &self.tables[..self.tables.len().min(ended + 1)];
        begun.iter().rev().find_map(Option::as_deref)
    }

    /// `table`'s place among the tables that are written, in order of their first statement, and
    /// how many there are.
    #[must_use]
    pub fn place(&self, table: &str) -> (usize, usize) {
        let mut known: Vec<&str> = Vec::new();
        for name in self.tables.iter().flatten() {
            if !known.contains(&name.as_str()) {
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
}

/// What the host of sessions (`SessionHost.java`) says before the first statement.
const SCRIPT_BEGINS: &str = "script begins";

/// What `line` means, if anything.
#[must_use]
pub fn mark(line: &str) -> Option<Mark> {
    let line = line.rsplit('\r').next().unwrap_or(line);
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
