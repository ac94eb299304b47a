//! A query of the user: whether it only reads, and the script that answers it.
//!
//! Rows come back as Parquet files, which hold every value and the schema exactly; what is no query
//! (`SHOW`, `DESCRIBE`, `EXPLAIN`) comes back as text between two marks.

use std::path::Path;

use sqlparser::{
    dialect::DatabricksDialect,
    tokenizer::{Token, Tokenizer},
};

use chronon_run_sql::literal;

/// A statement that only reads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reading {
    /// It has rows: `SELECT`, `WITH`, `VALUES`, `TABLE`.
    Rows(String),
    /// It has text: `SHOW`, `DESCRIBE`, `EXPLAIN`.
    Text(String),
}

/// Why a statement is not run.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum QueryError {
    /// There is no statement.
    #[error("the query is empty")]
    Empty,
    /// A string or comment does not end.
    #[error("the query is no SQL: {0}")]
    NotSql(String),
    /// There is more than one statement.
    #[error("the query holds a `;`: only one statement is run")]
    Several,
    /// It may change something.
    #[error(
        "`{0}` is not run: only statements that read are (SELECT, WITH, VALUES, TABLE, SHOW, DESCRIBE, EXPLAIN)"
    )]
    Writes(String),
    /// A condition closes what it did not open.
    #[error("the condition has parentheses that do not match")]
    Unbalanced,
}

const QUERIES: [&str; 4] = ["SELECT", "WITH", "VALUES", "TABLE"];
/// Words with which a statement changes something after `WITH … AS (…)`.
const CHANGES: [&str; 6] = ["INSERT", "UPDATE", "DELETE", "MERGE", "CREATE", "DROP"];
const EXPLAINED: [&str; 5] = ["EXTENDED", "CODEGEN", "COST", "FORMATTED", "LOGICAL"];

/// The statement, if it is one that reads; a semicolon at its end is left out.
///
/// # Errors
/// [`QueryError`]
pub fn read_only(text: &str) -> Result<Reading, QueryError> {
    let text = text
        .trim()
        .trim_end_matches(|c: char| c == ';' || c.is_whitespace());
    let tokens = tokens(text)?;
    // Parentheses may stand before a query.
    let is_open = |token: &&Token| **token == Token::LParen;
    let mut words = tokens.iter().skip_while(is_open);
    let first = words.next().ok_or(QueryError::Empty)?;
    let first = keyword(first).unwrap_or_else(|| first.to_string());
    match first.as_str() {
        word if QUERIES.contains(&word) => {
            changes_nothing(&tokens)?;
            Ok(Reading::Rows(text.to_owned()))
        }
        "SHOW" | "DESCRIBE" | "DESC" => Ok(Reading::Text(text.to_owned())),
        "EXPLAIN" => {
            let explained = words.find_map(|token| {
                let word = keyword(token)?;
                (!EXPLAINED.contains(&word.as_str())).then_some(word)
            });
            let explained = explained.unwrap_or_default();
            if !QUERIES.contains(&explained.as_str()) {
                return Err(QueryError::Writes(format!("EXPLAIN {explained}")));
            }
            changes_nothing(&tokens)?;
            Ok(Reading::Text(text.to_owned()))
        }
        _ => Err(QueryError::Writes(first)),
    }
}

/// A condition that stands in a `WHERE`.
///
/// # Errors
/// [`QueryError`]
pub fn condition(text: &str) -> Result<String, QueryError> {
    let tokens = tokens(text)?;
    let mut depth = 0_i64;
    for token in &tokens {
        match token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            _ => {}
        }
        if depth < 0 {
            return Err(QueryError::Unbalanced);
        }
    }
    match (tokens.is_empty(), depth) {
        (true, _) => Err(QueryError::Empty),
        (_, 0) => Ok(text.trim().to_owned()),
        _ => Err(QueryError::Unbalanced),
    }
}

/// What counts of the text. Spark's shell cuts statements at semicolons by rules of its own, so one is
/// taken only where it is beyond doubt inside a string.
fn tokens(text: &str) -> Result<Vec<Token>, QueryError> {
    let mut tokenizer = Tokenizer::new(&DatabricksDialect {}, text).with_unescape(false);
    let tokens = tokenizer.tokenize();
    let tokens = tokens.map_err(|error| QueryError::NotSql(error.to_string()))?;
    let inside: usize = tokens
        .iter()
        .map(|token| match token {
            Token::SingleQuotedString(text) | Token::DoubleQuotedString(text) => {
                text.matches(';').count()
            }
            _ => 0,
        })
        .sum();
    let all = text.matches(';').count();
    let doubtful = text.contains('\\') || text.contains("--") || text.contains("/*");
    if all > inside || (all > 0 && doubtful) {
        return Err(QueryError::Several);
    }
    let counts = |token: &Token| !matches!(token, Token::Whitespace(_) | Token::EOF);
    Ok(tokens.into_iter().filter(counts).collect())
}

fn keyword(token: &Token) -> Option<String> {
    match token {
        Token::Word(word) if word.quote_style.is_none() => Some(word.value.to_uppercase()),
        _ => None,
    }
}

/// No word outside parentheses begins a change.
fn changes_nothing(tokens: &[Token]) -> Result<(), QueryError> {
    let outside = outside_parentheses(tokens);
    let begins_change = |pair: &[&Token]| {
        let word = keyword(pair[1]).filter(|word| CHANGES.contains(&word.as_str()));
        // A statement's first word follows a closed parenthesis, never an operator or a comma.
        word.filter(|_| *pair[0] == Token::RParen)
    };
    if let Some(word) = outside.windows(2).find_map(begins_change) {
        return Err(QueryError::Writes(format!("WITH … {word}")));
    }
    // Hive's `FROM t INSERT …`, to which `WITH` may be put.
    let mut words = after_with(&outside).iter();
    let is = |token: &Token, wanted: &str| keyword(token).is_some_and(|word| word == wanted);
    let starts_from = words.next().is_some_and(|token| is(token, "FROM"));
    match starts_from && words.any(|token| is(token, "INSERT")) {
        true => Err(QueryError::Writes("WITH … FROM … INSERT".to_owned())),
        false => Ok(()),
    }
}

/// The tokens outside parentheses, and the outermost parentheses.
fn outside_parentheses(tokens: &[Token]) -> Vec<&Token> {
    let mut depth = 0_i64;
    let is_outside = |token: &&Token| {
        let before = depth;
        match token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            _ => {}
        }
        before == 0 || depth == 0
    };
    tokens.iter().filter(is_outside).collect()
}

/// What follows the list of a `WITH`, whose elements are `name AS (…)`, `name (…)` or `name (…) AS (…)`.
fn after_with<'t, 's>(outside: &'s [&'t Token]) -> &'s [&'t Token] {
    let is_with = |token: &&Token| keyword(token).is_some_and(|word| word == "WITH");
    let Some(start) = outside.iter().position(is_with) else {
        return &[];
    };
    let goes_on = |token: &Token| {
        let is_as = keyword(token).is_some_and(|word| word == "AS");
        is_as || matches!(token, Token::Comma | Token::LParen)
    };
    let pairs = outside[start..].windows(2);
    let ends = |pair: &[&Token]| *pair[0] == Token::RParen && !goes_on(pair[1]);
    let mut ends = pairs.enumerate().filter(|(_, pair)| ends(pair));
    let at = ends.next().map(|(at, _)| start + at + 1);
    at.map_or(&[], |at| &outside[at..])
}

/// A script that writes the first `limit` rows of a query, or all, into `folder` as Parquet.
#[must_use]
pub fn rows_script(query: &str, folder: &Path, limit: Option<u64>) -> String {
    let path = literal(&format!("file:{}", folder.display()));
    let limit = limit.map_or_else(String::new, |limit| format!("\nLIMIT {limit}"));
    format!(
        "SET spark.sql.sources.commitProtocolClass=org.apache.spark.sql.execution.datasources.SQLHadoopMapReduceCommitProtocol;\n\
         SET spark.sql.parquet.compression.codec=snappy;\n\
         SET spark.sql.parquet.outputTimestampType=TIMESTAMP_MICROS;\n\
         SET spark.sql.parquet.datetimeRebaseModeInWrite=CORRECTED;\n\
         SET spark.sql.parquet.int96RebaseModeInWrite=CORRECTED;\n\
         INSERT OVERWRITE DIRECTORY {path} USING parquet\nSELECT * FROM (\n{query}\n){limit};\n"
    )
}

const BEGIN: &str = "chronon-run-text-begin";
const END: &str = "chronon_run_text_end";

/// A script that prints what a statement has to say. To be run with [`HEADERS`].
#[must_use]
pub fn text_script(statement: &str) -> String {
    // The marks are computed, so that no echo of the statement is one.
    format!(
        "SELECT concat('chronon-run-text', '-begin') AS chronon_run_text;\n{statement}\n;\n\
         SELECT 1 AS {END};\n"
    )
}

/// With these properties every answer has its column names above it.
pub const HEADERS: [(&str, &str); 2] = [
    ("spark.hadoop.hive.cli.print.header", "true"),
    ("spark.sql.cli.print.header", "true"),
];

/// Names of the columns and rows of what [`text_script`] printed; `None` if it did not come to its end.
#[must_use]
pub fn parse_text(log: &str) -> Option<(Vec<String>, Vec<Vec<String>>)> {
    let visible = |line: &str| line.rsplit('\r').next().unwrap_or(line).to_owned();
    let lines: Vec<String> = log.lines().map(visible).collect();
    let begin = lines.iter().position(|line| line == BEGIN)?;
    let end = lines.iter().rposition(|line| line == END)?;
    let answer = lines.get(begin + 1..end)?;
    let mut rows = answer
        .iter()
        .filter(|line| !is_talk(line))
        .map(|line| fields(line));
    let columns = rows.next()?;
    let rows: Vec<Vec<String>> = rows.collect();
    let columns = printed(columns, &rows);
    let padded = rows.into_iter().map(|mut row| {
        row.resize(columns.len().max(1), String::new());
        row
    });
    let rows = padded.collect();
    Some((columns, rows))
}

/// The columns that are printed: of `SHOW TABLES` and `SHOW VIEWS` Spark prints the names alone, below a
/// header of three.
fn printed(columns: Vec<String>, rows: &[Vec<String>]) -> Vec<String> {
    let is_name = |name: &&String| ["tableName", "viewName"].contains(&name.as_str());
    match columns.iter().find(is_name) {
        Some(name) if columns.len() == 3 && rows.iter().all(|row| row.len() == 1) => {
            vec![name.clone()]
        }
        _ => columns,
    }
}

/// `DESCRIBE` pads its fields.
fn fields(line: &str) -> Vec<String> {
    line.split('\t')
        .map(|field| field.trim_end().to_owned())
        .collect()
}

/// What the shell and the log say between the lines of an answer.
fn is_talk(line: &str) -> bool {
    let is_stamp = |c: char| c.is_ascii_digit() || "-: ".contains(c);
    let after = line.trim_start_matches(is_stamp);
    let logged = line.len() - after.len() >= "2026-01-30 08:15:00 ".len()
        && ["WARN ", "ERROR ", "INFO "]
            .iter()
            .any(|level| after.starts_with(level));
    logged || line.starts_with("Time taken: ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_told_from_changes() {
        for text in [
            "select 1",
            " SELECT ';' ; ",
            "WITH x AS (SELECT 1) SELECT * FROM x;",
            "(SELECT 1) UNION ALL (SELECT 2)",
            "VALUES (1, 'a')",
            "TABLE lake.searches",
            "SELECT a.update, `insert` FROM t a",
            "WITH a AS (SELECT 1), b (x) AS (SELECT 2) SELECT (1) FROM a JOIN b",
            "WITH a AS (SELECT 1 AS insert) FROM a SELECT *",
            "WITH a AS (SELECT 1 AS insert) SELECT (insert) FROM a",
            "-- a comment\nSELECT 1",
            "SELECT /*+ BROADCAST(b) */ * FROM a JOIN b",
        ] {
            assert!(matches!(read_only(text), Ok(Reading::Rows(_))), "{text}");
        }
        for text in [
            "SHOW TABLES IN lake",
            "desc lake.searches",
            "DESCRIBE QUERY SELECT 1",
            "EXPLAIN FORMATTED SELECT 1",
            "explain with x as (select 1) select * from x",
        ] {
            assert!(matches!(read_only(text), Ok(Reading::Text(_))), "{text}");
        }
        for text in [
            "DROP TABLE lake.searches",
            "INSERT INTO t SELECT 1",
            "FROM t INSERT OVERWRITE TABLE u SELECT *",
            "WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x",
            "WITH a AS (SELECT 1) FROM a INSERT INTO b SELECT *",
            "with a (x) as (select 1), c as (select 2) from a insert overwrite table b select *",
            "WITH a (SELECT 1) FROM (SELECT * FROM a) x INSERT INTO b SELECT *",
            "EXPLAIN WITH a AS (SELECT 1) FROM a INSERT INTO b SELECT *",
            "EXPLAIN DROP TABLE t",
            "EXPLAIN",
            "SET spark.x=1",
            "!rm -rf /",
            "CACHE TABLE t",
            "MSCK REPAIR TABLE t",
        ] {
            assert!(
                matches!(read_only(text), Err(QueryError::Writes(_))),
                "{text}"
            );
        }
        for text in [
            "SELECT 1; DROP TABLE t",
            "SELECT `a; DROP TABLE t; b` FROM t",
            "SELECT '\\'; DROP TABLE t; --'",
            "SELECT 1 -- ; x",
        ] {
            assert_eq!(read_only(text), Err(QueryError::Several), "{text}");
        }
        assert_eq!(read_only(" ; "), Err(QueryError::Empty));
        assert!(matches!(read_only("SELECT 'a"), Err(QueryError::NotSql(_))));
    }

    #[test]
    fn a_condition_stays_within_its_parentheses() {
        assert_eq!(condition(" a = ')' ").unwrap(), "a = ')'");
        assert_eq!(condition("1 = 1) OR (2 = 2"), Err(QueryError::Unbalanced));
        assert_eq!(condition("(a"), Err(QueryError::Unbalanced));
        assert_eq!(condition(""), Err(QueryError::Empty));
    }

    #[test]
    fn text_is_found_in_a_log() {
        let log = "2026-01-30 08:15:00 WARN X: y\nchronon_run_text\nchronon-run-text-begin\nTime taken: 1.2 seconds\n\
                   col_name\tdata_type\tcomment\nlisting_id          \tstring              \t\n2026-01-30 08:15:01 WARN X: y\n\
                   Time taken: 0.2 seconds, Fetched 1 row(s)\nchronon_run_text_end\n1\n";
        let (columns, rows) = parse_text(log).unwrap();
        assert_eq!(columns, ["col_name", "data_type", "comment"]);
        assert_eq!(rows, [["listing_id", "string", ""]]);
        assert_eq!(parse_text("chronon-run-text-begin\n"), None);
    }

    #[test]
    fn names_of_tables_are_below_their_own_column() {
        let log = "chronon-run-text-begin\nnamespace\ttableName\tisTemporary\na\nb\nchronon_run_text_end\n";
        let (columns, rows) = parse_text(log).unwrap();
        assert_eq!(columns, ["tableName"]);
        assert_eq!(rows, [["a"], ["b"]]);
    }
}
