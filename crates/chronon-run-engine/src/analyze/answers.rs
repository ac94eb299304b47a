//! What Spark said of each statement.

use std::collections::BTreeMap;

use regex::Regex;

use super::{
    finding::Finding,
    probes::{Analysis, FUNCTIONS, MARK, Probe, VIEW},
    types::{Described, nearest_of},
};

impl Analysis {
    /// What is wrong, from the output of the script. `None` if Spark did not come to its end.
    #[must_use]
    pub fn findings(&self, log: &str) -> Option<Vec<Finding>> {
        let chunks = chunks(log);
        if !chunks.contains_key("end") {
            return None;
        }
        let functions: Vec<String> = chunks
            .get(FUNCTIONS)
            .map(|text| text.lines().map(|line| line.trim().to_owned()).collect())
            .unwrap_or_default();
        let mut found = self.found.clone();
        let mut described = Described::new();
        for (number, probe) in self.probes.iter().enumerate() {
            let Some(chunk) = chunks.get(number.to_string().as_str()) else {
                continue;
            };
            match error_in(chunk) {
                Some(error) if probe.reported => {
                    found.extend(self.finding(probe, &error, &functions))
                }
                Some(_) => {}
                None => {
                    described.insert(number, columns(chunk));
                }
            }
        }
        found.extend(
            self.checks
                .iter()
                .filter_map(|check| check.finding(&described)),
        );
        let mut seen: Vec<Finding> = Vec::new();
        for finding in found {
            // One error of a field, and one of a table that every field reads.
            let same = |known: &Finding| {
                known.path == finding.path
                    && (known.field == finding.field || known.message == finding.message)
            };
            if !seen.iter().any(same) {
                seen.push(finding);
            }
        }
        Some(seen)
    }

    fn finding(&self, probe: &Probe, error: &SparkError, functions: &[String]) -> Option<Finding> {
        // What the view is made of has its own finding.
        if error.message.contains(VIEW) {
            return None;
        }
        let (message, hint) = match error.message.split_once(NO_TABLE) {
            // It is not filled yet.
            Some((_, table)) if self.unknown.iter().any(|known| known == table) => return None,
            Some((_, table)) => {
                let hint = nearest_of(table, &self.tables);
                (format!("there is no table `{table}`"), hint)
            }
            None => said(&error.message, functions),
        };
        let lines = probe.place.text.trim_end().lines().count();
        let line = error
            .line
            .and_then(|line| line.checked_sub(probe.lines_before));
        Some(Finding {
            line: line.filter(|line| lines > 1 && (1..=lines).contains(line)),
            ..Finding::new(&probe.place, message, hint)
        })
    }
}

const NO_TABLE: &str = "Table or view not found: ";

/// The output of each statement, by its number.
fn chunks(log: &str) -> BTreeMap<String, String> {
    let mut chunks = BTreeMap::new();
    let mark = format!("{MARK}\t");
    let mut rest = log.split(&mark);
    rest.next();
    for part in rest {
        let end = part
            .find(|c: char| !c.is_ascii_alphanumeric())
            .unwrap_or(part.len());
        let (number, text) = part.split_at(end);
        // The time of the statement that prints the mark.
        let text = text
            .split_once("Time taken")
            .and_then(|(_, rest)| rest.split_once('\n'))
            .map_or("", |(_, rest)| rest);
        chunks.insert(number.to_owned(), text.to_owned());
    }
    chunks
}

/// An error of Spark.
#[derive(Clone, PartialEq, Eq, Debug)]
struct SparkError {
    message: String,
    /// The line of the statement, from 1.
    line: Option<usize>,
}

const ERROR: &str = "Error in query:";

fn error_in(chunk: &str) -> Option<SparkError> {
    let text = match chunk.split_once(ERROR) {
        Some((_, rest)) => rest,
        None if chunk.contains("Time taken") => return None,
        None => chunk,
    };
    let first = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    let place = Regex::new(r"(; |\()line (\d+),? pos \d+\)?").ok()?;
    let line = place
        .captures(first)
        .and_then(|found| found[2].parse().ok());
    let message = place.split(first).next().unwrap_or(first);
    let views = Regex::new(&format!(r"`?{VIEW}\d+`?\.")).ok()?;
    let message = views.replace_all(message, "").replace("spark_catalog.", "");
    Some(SparkError {
        message: message.trim_end_matches([';', ' ']).to_owned(),
        line,
    })
}

/// Rows of DESCRIBE.
fn columns(chunk: &str) -> Vec<(String, String)> {
    let rows = chunk.lines().filter_map(|line| {
        let mut cells = line.rsplit('\r').next()?.split('\t');
        Some((
            cells.next()?.trim().to_owned(),
            cells.next()?.trim().to_owned(),
        ))
    });
    rows.take_while(|(name, _)| !name.starts_with('#'))
        .collect()
}

/// Spark's message in short, and the nearest name.
fn said(message: &str, functions: &[String]) -> (String, Option<String>) {
    let find = |pattern: &str| {
        let found = Regex::new(pattern).ok()?.captures(message)?;
        let group = |index: usize| {
            found
                .get(index)
                .map(|text| text.as_str().to_owned())
                .unwrap_or_default()
        };
        Some((group(1), group(2)))
    };
    let column = find(r"Column '([^']+)' does not exist(?:.*?\[(.*)\])?")
        .or_else(|| find(r"cannot resolve '([^']+)' given input columns: \[(.*)\]"))
        .or_else(|| find(r"with name `(.+?)` cannot be resolved(?:.*?\[(.*)\])?"));
    if let Some((column, known)) = column {
        let known = known.split(',').map(|name| name.trim().replace('`', ""));
        let known: Vec<String> = known
            .filter_map(|name| name.rsplit('.').next().map(str::to_owned))
            .filter(|name| !name.is_empty())
            .collect();
        let word = column
            .rsplit('.')
            .next()
            .unwrap_or(&column)
            .replace('`', "");
        let hint = nearest_of(&word, &known)
            .or_else(|| (!known.is_empty()).then(|| format!("there are {}", known.join(", "))));
        return (
            format!("there is no column `{}`", column.replace('`', "")),
            hint,
        );
    }
    if let Some((function, _)) = find(r"Undefined function: '?`?([\w.]+)")
        .or_else(|| find(r"routine `?([\w.`]+?)`? cannot be found"))
    {
        let function = function.trim_end_matches('.').to_owned();
        let hint = nearest_of(function.rsplit('.').next().unwrap_or(&function), functions);
        return (format!("there is no function `{function}`"), hint);
    }
    (message.to_owned(), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "Spark master: local[2]\nchronon.run.probe\tfunctions\nTime taken: 0.1 seconds, Fetched 1 row(s)\nabs\nupper\nTime taken: 0.1 seconds, Fetched 2 row(s)\nchronon.run.probe\t0\nTime taken: 0.02 seconds, Fetched 1 row(s)\nError in query: Column 'pric' does not exist. Did you mean one of the following? [spark_catalog.lake.b.price, spark_catalog.lake.b.ds]; line 2 pos 0;\n'Project ['pric]\n+- Relation\n\nchronon.run.probe\t1\nTime taken: 0.02 seconds, Fetched 1 row(s)\nprice\tdouble\tNULL\nTime taken: 0.02 seconds, Fetched 1 row(s)\nchronon.run.probe\tend\nTime taken: 0.02 seconds, Fetched 1 row(s)\n";

    #[test]
    fn the_output_is_told_apart_by_statement() {
        let chunks = chunks(LOG);
        let error = error_in(&chunks["0"]).unwrap();
        assert_eq!(error.line, Some(2));
        let (message, hint) = said(&error.message, &[]);
        assert_eq!(message, "there is no column `pric`");
        assert_eq!(hint.as_deref(), Some("did you mean `price`?"));
        assert_eq!(error_in(&chunks["1"]), None);
        assert_eq!(
            columns(&chunks["1"]),
            [("price".to_owned(), "double".to_owned())]
        );
    }

    #[test]
    fn functions_and_syntax_errors_are_told() {
        let functions = ["upper".to_owned(), "abs".to_owned()];
        let text = "Undefined function: uper. This function is neither a built-in/temporary function, nor a persistent function that is qualified as spark_catalog.default.uper.";
        let (message, hint) = said(text, &functions);
        assert_eq!(
            (message.as_str(), hint.as_deref()),
            ("there is no function `uper`", Some("did you mean `upper`?"))
        );
        let error = error_in(
            "Error in query: \nSyntax error at or near 'FORM'(line 3, pos 4)\n\n== SQL ==\nx",
        )
        .unwrap();
        assert_eq!(
            (error.message.as_str(), error.line),
            ("Syntax error at or near 'FORM'", Some(3))
        );
    }
}
