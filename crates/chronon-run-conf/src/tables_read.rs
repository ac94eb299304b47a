//! Which tables a SQL query reads.
//!
//! The query's tokens are read, not its tree: the words after `FROM` and `JOIN` mean the same in every
//! dialect, while no parser knows all of Spark's syntax. Names of common table expressions count within
//! their scope only.

use std::collections::{BTreeMap, BTreeSet};

use chronon_run_core::TableName;
use sqlparser::{
    dialect::DatabricksDialect,
    tokenizer::{Token, Tokenizer, Word},
};

/// What a query reads.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TablesRead {
    /// The tables, each once.
    pub tables: BTreeSet<TableName>,
    /// Those of them of which only the newest day is read, that of a `max_date` macro.
    pub newest: BTreeSet<TableName>,
    /// What cannot be told, in words: names with macros, other catalogs, files, text that is no SQL.
    pub unclear: BTreeSet<String>,
    /// How often each table is read.
    reads: BTreeMap<TableName, usize>,
    /// How often each table is named without a database.
    bare: BTreeMap<TableName, usize>,
}

impl TablesRead {
    /// The tables, where names without a database are of `namespace`, and a written `default` is what it says.
    #[must_use]
    pub fn in_namespace(&self, namespace: &str) -> BTreeSet<TableName> {
        let mut tables = BTreeSet::new();
        for (table, reads) in &self.reads {
            let bare = self.bare.get(table).copied().unwrap_or_default();
            if bare > 0 {
                let own = TableName::new(namespace, table.name());
                tables.insert(own.unwrap_or_else(|_| table.clone()));
            }
            if bare < *reads {
                tables.insert(table.clone());
            }
        }
        tables
    }
}

/// Stands for a macro. No table has such a name.
const MACRO: &str = "zz_macro_zz";
/// The catalog of Hive's tables in Spark.
const SESSION_CATALOG: &str = "spark_catalog";
/// Table functions of Spark, and words that a parenthesis may follow where a table may stand.
const TABLE_FUNCTIONS: [&str; 10] = [
    "range",
    "explode",
    "explode_outer",
    "posexplode",
    "posexplode_outer",
    "inline",
    "inline_outer",
    "stack",
    "json_tuple",
    "parse_url_tuple",
];
/// Data sources that read files by their path.
const FILE_FORMATS: [&str; 8] = [
    "parquet",
    "orc",
    "csv",
    "json",
    "text",
    "avro",
    "binaryfile",
    "delta",
];

/// The tables that `query` reads, given that `setups` run before it, which may create temporary views.
#[must_use]
pub fn tables_read(query: &str, setups: &[String]) -> TablesRead {
    let mut found = TablesRead::default();
    let mut views = BTreeSet::new();
    for text in setups.iter().map(String::as_str).chain([query]) {
        let Some(tokens) = tokens(text) else {
            let what = "its text is not SQL that can be read";
            found.unclear.insert(what.to_owned());
            continue;
        };
        let mut scan = Scan::new(&tokens, &views, &mut found);
        scan.run();
        views.extend(temporary_view(&tokens));
    }
    let mut macros: BTreeMap<TableName, usize> = BTreeMap::new();
    for table in max_date_tables(query) {
        *macros.entry(table).or_default() += 1;
    }
    let only_newest = |(table, reads): &(&TableName, &usize)| macros.get(*table) >= Some(*reads);
    let newest = found.reads.iter().filter(only_newest);
    found.newest = newest.map(|(table, _)| table.clone()).collect();
    found
}

/// The table of each `{{ max_date(table=db.t) }}` (§4.4), as often as it is named.
pub fn max_date_tables(query: &str) -> impl Iterator<Item = TableName> {
    query.split("{{").skip(1).filter_map(|rest| {
        let inside = rest.split_once("}}")?.0.trim();
        let arguments = inside.strip_prefix("max_date")?.trim();
        let arguments = arguments.strip_prefix('(')?.strip_suffix(')')?;
        let table = arguments
            .split(',')
            .find_map(|argument| argument.trim().strip_prefix("table="))?;
        table.trim().parse().ok()
    })
}

/// The tokens that count: no white space, no comments. `None` if a string or comment does not end.
fn tokens(text: &str) -> Option<Vec<Token>> {
    let text = without_macros(text);
    let mut tokenizer = Tokenizer::new(&DatabricksDialect {}, &text).with_unescape(false);
    let tokens = tokenizer.tokenize().ok()?;
    let counts = |token: &Token| !matches!(token, Token::Whitespace(_));
    Some(tokens.into_iter().filter(counts).collect())
}

/// The text with a word in place of every `{{ … }}`, `{% … %}`, `{# … #}` and `${…}`.
fn without_macros(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let pairs = [("{{", "}}"), ("{%", "%}"), ("{#", "#}"), ("${", "}")];
        let opened = pairs.iter().find(|(open, _)| rest.starts_with(open));
        let closed = opened.and_then(|(open, close)| {
            let (inside, after) = rest[open.len()..].split_once(close)?;
            Some((inside, after, *open))
        });
        match closed {
            Some((_, after, open)) => {
                out.push_str(if matches!(open, "{{" | "${") {
                    MACRO
                } else {
                    " "
                });
                rest = after;
            }
            None => {
                out.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    out
}

/// The name that `CREATE … TEMPORARY VIEW name` or `CACHE TABLE name AS` creates.
fn temporary_view(tokens: &[Token]) -> Option<String> {
    let words: Vec<String> = tokens.iter().take(12).map(keyword).collect();
    let place = |word: &str| words.iter().position(|found| found == word);
    let at = match words.first().map(String::as_str) {
        Some("CREATE") if place("TEMPORARY").or(place("TEMP")).is_some() => place("VIEW")?,
        Some("CACHE") => place("TABLE")?,
        _ => return None,
    };
    let skipped = ["IF", "NOT", "EXISTS"];
    let name = tokens[at + 1..]
        .iter()
        .find(|token| !skipped.contains(&keyword(token).as_str()))?;
    match name {
        Token::Word(word) => Some(word.value.to_lowercase()),
        _ => None,
    }
}

/// The token as a keyword in upper case; empty if it is none.
fn keyword(token: &Token) -> String {
    match token {
        Token::Word(word) if word.quote_style.is_none() => word.value.to_uppercase(),
        _ => String::new(),
    }
}

/// What stands between one pair of parentheses, or the whole text.
#[derive(Default)]
struct Frame {
    /// Names of common table expressions that are known from here on.
    names: Vec<String>,
    /// The expression whose text this is.
    defines: Option<String>,
    /// Whether it is a query, so that `FROM` begins a list of tables.
    query: bool,
    /// Between `WITH` and the query itself.
    with: bool,
    /// The last name seen there.
    next_name: Option<String>,
    /// Whether a table comes next.
    wants_table: bool,
    /// Whether a comma is followed by another table.
    listing: bool,
    /// Within the rows of an inline table.
    values: bool,
}

struct Scan<'a> {
    tokens: &'a [Token],
    views: &'a BTreeSet<String>,
    found: &'a mut TablesRead,
    frames: Vec<Frame>,
    at: usize,
}

impl<'a> Scan<'a> {
    fn new(tokens: &'a [Token], views: &'a BTreeSet<String>, found: &'a mut TablesRead) -> Self {
        Self {
            tokens,
            views,
            found,
            frames: vec![Frame::default()],
            at: 0,
        }
    }

    fn run(&mut self) {
        while self.at < self.tokens.len() {
            let next = match &self.tokens[self.at] {
                Token::LParen => self.open(),
                Token::RParen => self.close(),
                Token::Comma => self.comma(),
                Token::SemiColon => self.restart(),
                Token::Word(word) => self.word(word),
                _ => self.other(),
            };
            self.at = next.max(self.at + 1);
        }
    }

    fn frame(&mut self) -> &mut Frame {
        if self.frames.is_empty() {
            self.frames.push(Frame::default());
        }
        let last = self.frames.len() - 1;
        &mut self.frames[last]
    }

    fn open(&mut self) -> usize {
        let after_as = self.before(1) == "AS";
        let frame = self.frame();
        let defines = match frame.with && after_as {
            true => frame.next_name.take(),
            false => None,
        };
        let wants_table = std::mem::take(&mut frame.wants_table);
        self.frames.push(Frame {
            defines,
            wants_table,
            // `(a JOIN b)` is a list of tables, too.
            query: wants_table,
            ..Frame::default()
        });
        self.at + 1
    }

    fn close(&mut self) -> usize {
        let closed = self.frames.pop();
        if let Some(name) = closed.and_then(|closed| closed.defines) {
            self.frame().names.push(name);
        }
        self.at + 1
    }

    fn comma(&mut self) -> usize {
        // `VALUES (1, 2), (3, 4) AS t, b.c`
        let row = self.tokens.get(self.at + 1) == Some(&Token::LParen);
        let frame = self.frame();
        frame.values &= row;
        frame.wants_table = frame.listing && !frame.values;
        self.at + 1
    }

    fn restart(&mut self) -> usize {
        self.frames = vec![Frame::default()];
        self.at + 1
    }

    fn other(&mut self) -> usize {
        if std::mem::take(&mut self.frame().wants_table) {
            let text = self.tokens[self.at].to_string();
            self.found
                .unclear
                .insert(format!("`{text}` after FROM or JOIN"));
        }
        self.at + 1
    }

    fn word(&mut self, word: &Word) -> usize {
        let text = match word.quote_style {
            None => word.value.to_uppercase(),
            Some(_) => String::new(),
        };
        // A field of something, or an alias, is no keyword.
        let is_field = self.at > 0 && self.tokens[self.at - 1] == Token::Period;
        match text.as_str() {
            _ if is_field => self.at + 1,
            "WITH" if self.begins() || !self.frame().query => {
                self.frame().with = true;
                self.at + 1
            }
            "SELECT" => self.begin_query(),
            "VALUES" if self.frame().wants_table => {
                let frame = self.frame();
                frame.wants_table = false;
                frame.values = true;
                self.at + 1
            }
            "VALUES" => self.begin_query(),
            "FROM" => self.from(),
            "JOIN" => self.expect_table(true),
            "TABLE" if self.begins() => self.expect_table(false),
            "LATERAL" => {
                let frame = self.frame();
                frame.listing = frame.wants_table;
                self.at + 1
            }
            "ONLY" | "STREAM" if self.frame().wants_table && !self.next_is_period() => self.at + 1,
            "WHERE" | "GROUP" | "HAVING" | "ORDER" | "SORT" | "CLUSTER" | "DISTRIBUTE"
            | "LIMIT" | "UNION" | "EXCEPT" | "INTERSECT" | "MINUS" | "WINDOW" | "QUALIFY"
            | "INSERT"
                if !self.frame().wants_table =>
            {
                let frame = self.frame();
                frame.listing = false;
                frame.with = false;
                self.at + 1
            }
            _ if self.frame().wants_table => self.table(),
            _ if self.frame().with && text != "AS" && text != "RECURSIVE" => {
                self.frame().next_name = Some(word.value.to_lowercase());
                self.at + 1
            }
            _ => self.at + 1,
        }
    }

    fn begin_query(&mut self) -> usize {
        let frame = self.frame();
        frame.query = true;
        frame.with = false;
        frame.wants_table = false;
        frame.listing = false;
        self.at + 1
    }

    fn from(&mut self) -> usize {
        // `a IS NOT DISTINCT FROM b`, `extract(year FROM ts)`.
        let distinct =
            self.before(1) == "DISTINCT" && matches!(self.before(2).as_str(), "IS" | "NOT");
        let begins = self.begins();
        let frame = self.frame();
        let is_clause = frame.query || frame.with || begins;
        if distinct || !is_clause {
            return self.at + 1;
        }
        frame.query = true;
        self.expect_table(true)
    }

    fn expect_table(&mut self, listing: bool) -> usize {
        let frame = self.frame();
        frame.wants_table = true;
        frame.listing = listing;
        frame.with = false;
        self.at + 1
    }

    /// Whether this is the first token of the text or of a parenthesis.
    fn begins(&self) -> bool {
        let before = self.at.checked_sub(1).map(|at| &self.tokens[at]);
        matches!(before, None | Some(Token::LParen | Token::SemiColon)) && !self.is_call()
            || matches!(
                self.before(1).as_str(),
                "UNION" | "ALL" | "EXCEPT" | "INTERSECT" | "AS"
            )
    }

    /// Whether the parenthesis before this token is that of a function's arguments.
    fn is_call(&self) -> bool {
        let named = self.at.checked_sub(2).map(|at| &self.tokens[at]);
        let words = [
            "AS",
            "FROM",
            "JOIN",
            "IN",
            "EXISTS",
            "UNION",
            "ALL",
            "LATERAL",
            "EXCEPT",
            "INTERSECT",
        ];
        matches!(named, Some(token @ Token::Word(_)) if !words.contains(&keyword(token).as_str()))
    }

    /// The keyword so many tokens before this one.
    fn before(&self, count: usize) -> String {
        let token = self.at.checked_sub(count).map(|at| &self.tokens[at]);
        token.map(keyword).unwrap_or_default()
    }

    fn next_is_period(&self) -> bool {
        self.tokens.get(self.at + 1) == Some(&Token::Period)
    }

    /// Reads the name that begins here; the place after it.
    fn table(&mut self) -> usize {
        self.frame().wants_table = false;
        let mut parts = Vec::new();
        let mut at = self.at;
        while let Some(Token::Word(word)) = self.tokens.get(at) {
            parts.push(word.value.clone());
            at += 1;
            if self.tokens.get(at) != Some(&Token::Period) {
                break;
            }
            at += 1;
        }
        let call = self.tokens.get(at) == Some(&Token::LParen);
        if call {
            let name = parts.join(".").to_lowercase();
            if !TABLE_FUNCTIONS.contains(&name.as_str()) {
                self.found
                    .unclear
                    .insert(format!("the table function `{name}`"));
            }
        } else {
            self.add(&parts);
        }
        at
    }

    fn add(&mut self, parts: &[String]) {
        let shown = parts.join(".").replace(MACRO, "{{ … }}");
        let mut names: Vec<&str> = parts.iter().map(String::as_str).collect();
        if let [catalog, _, _] = names.as_slice()
            && catalog.eq_ignore_ascii_case(SESSION_CATALOG)
        {
            names.remove(0);
        }
        let is_macro = parts.iter().any(|part| part.contains(MACRO));
        let why = match names.as_slice() {
            _ if is_macro => format!("`{shown}`, whose name has a macro"),
            [name] if self.is_known(name) => return,
            [name] => match TableName::new("default", name) {
                Ok(table) => {
                    *self.found.bare.entry(table.clone()).or_default() += 1;
                    *self.found.reads.entry(table.clone()).or_default() += 1;
                    self.found.tables.insert(table);
                    return;
                }
                Err(_) => format!("`{shown}`, which is no table name"),
            },
            [format, _] if FILE_FORMATS.contains(&format.to_lowercase().as_str()) => {
                format!("the files of `{shown}`")
            }
            [namespace, name] => match TableName::new(namespace, name) {
                Ok(table) => {
                    *self.found.reads.entry(table.clone()).or_default() += 1;
                    self.found.tables.insert(table);
                    return;
                }
                Err(_) => format!("`{shown}`, which is no table name"),
            },
            _ => format!("`{shown}`, which is in another catalog"),
        };
        self.found.unclear.insert(why);
    }

    /// Whether it is the name of a common table expression or of a temporary view.
    fn is_known(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        let mut frames = self.frames.iter();
        self.views.contains(&name) || frames.any(|frame| frame.names.contains(&name))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(query: &str) -> String {
        let found = tables_read(query, &[]);
        let tables: Vec<&str> = found.tables.iter().map(TableName::as_str).collect();
        let unclear: Vec<&str> = found.unclear.iter().map(String::as_str).collect();
        match unclear.is_empty() {
            true => tables.join(" "),
            false => format!("{} ? {}", tables.join(" "), unclear.join("; ")),
        }
    }

    #[test]
    fn a_written_default_is_not_the_database_of_names_without_one() {
        let tables = |query: &str| {
            let found = tables_read(query, &[]).in_namespace("lake");
            found.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(tables("SELECT * FROM ev JOIN b.c"), ["b.c", "lake.ev"]);
        assert_eq!(tables("SELECT * FROM default.ev"), ["default.ev"]);
        assert_eq!(
            tables("SELECT * FROM spark_catalog.default.ev JOIN ev"),
            ["default.ev", "lake.ev"]
        );
    }

    #[test]
    fn every_kind_of_from_is_read() {
        for (query, tables) in [
            ("SELECT 1", ""),
            ("SELECT a FROM db.t WHERE ds = '{{ start_date }}'", "db.t"),
            (
                "select * from Db.T t, `x`.`y` join z.z using (a), q.q where 1 in (1, 2)",
                "db.t q.q x.y z.z",
            ),
            (
                "SELECT a, (SELECT max(b) FROM d.sub), c FROM d.main",
                "d.main d.sub",
            ),
            (
                "SELECT * FROM (SELECT * FROM a.a UNION ALL SELECT * FROM b.b) u LEFT ANTI JOIN c.c ON u.x = c.x AND u.y IN (SELECT y FROM d.d)",
                "a.a b.b c.c d.d",
            ),
            (
                "SELECT * FROM (a.a JOIN b.b ON a.x = b.x), c.c",
                "a.a b.b c.c",
            ),
            ("SELECT * FROM ((a.a))", "a.a"),
            (
                "SELECT x, y FROM a.a LATERAL VIEW OUTER explode(split(s, ',')) e AS x, y LATERAL VIEW posexplode(m) AS p, q WHERE x = 1",
                "a.a",
            ),
            (
                "SELECT * FROM a.a, LATERAL (SELECT * FROM b.b WHERE b.x = a.x), c.c",
                "a.a b.b c.c",
            ),
            (
                "SELECT /*+ BROADCAST(b.b) */ * FROM a.a -- FROM c.c\n/* JOIN d.d */ WHERE s = 'FROM e.e' AND t = \"JOIN f.f\"",
                "a.a",
            ),
            ("SELECT 'it\\'s FROM x.x' FROM a.a", "a.a"),
            (
                "SELECT extract(YEAR FROM ts), trim(BOTH 'x' FROM s), substring(s FROM 1 FOR 2) FROM a.a",
                "a.a",
            ),
            (
                "SELECT a IS DISTINCT FROM b, c IS NOT DISTINCT FROM d FROM a.a",
                "a.a",
            ),
            ("FROM a.a SELECT x DISTRIBUTE BY x SORT BY x, y", "a.a"),
            (
                "SELECT * FROM a.a TABLESAMPLE (10 PERCENT) s PIVOT (sum(x) FOR y IN (1, 2)) GROUP BY a, b",
                "a.a",
            ),
            (
                "SELECT * FROM a.a VERSION AS OF 3 x JOIN b.b TIMESTAMP AS OF '2026-01-01'",
                "a.a b.b",
            ),
            ("SELECT * FROM range(10) r CROSS JOIN a.a", "a.a"),
            ("SELECT * FROM VALUES (1, 2) AS v(x, y), a.a", "a.a"),
            ("TABLE a.a", "a.a"),
            ("SELECT t.from, t.join FROM a.a t", "a.a"),
            (
                "SELECT * FROM a.a WHERE EXISTS (SELECT 1 FROM b.b) ORDER BY x, y LIMIT 3",
                "a.a b.b",
            ),
            ("SELECT * FROM spark_catalog.a.a", "a.a"),
            ("SELECT * FROM alone", "default.alone"),
            (
                "SELECT m['x'], s.f[0], x::int, y -> 1, filter(l, v -> v > 0) FROM a.a",
                "a.a",
            ),
            (
                "SELECT sum(x) OVER (PARTITION BY a ORDER BY b ROWS BETWEEN 3 PRECEDING AND CURRENT ROW), z FROM a.a",
                "a.a",
            ),
        ] {
            assert_eq!(read(query), tables, "{query}");
        }
    }

    #[test]
    fn names_of_common_table_expressions_are_no_tables() {
        for (query, tables) in [
            (
                "WITH x AS (SELECT * FROM a.a), y (p, q) AS (SELECT * FROM x JOIN b.b) SELECT * FROM x, y JOIN c.c",
                "a.a b.b c.c",
            ),
            (
                "SELECT * FROM (WITH x AS (SELECT 1) SELECT * FROM x) JOIN x",
                "default.x",
            ),
            ("WITH x AS (SELECT * FROM x) SELECT * FROM X", "default.x"),
            ("WITH x AS (SELECT 1) FROM x SELECT *", ""),
            (
                "WITH x AS (WITH y AS (SELECT * FROM a.a) SELECT * FROM y) SELECT * FROM x",
                "a.a",
            ),
            (
                "WITH RECURSIVE x AS (SELECT * FROM a.a) SELECT * FROM db.x",
                "a.a db.x",
            ),
        ] {
            assert_eq!(read(query), tables, "{query}");
        }
        let setups = ["CREATE OR REPLACE TEMPORARY VIEW v AS SELECT * FROM a.a".to_owned()];
        let found = tables_read("SELECT * FROM v JOIN b.b", &setups);
        let tables: Vec<&str> = found.tables.iter().map(TableName::as_str).collect();
        assert_eq!(tables, ["a.a", "b.b"]);
    }

    #[test]
    fn tables_of_max_date_are_read_for_any_day_unless_they_are_read_otherwise_too() {
        let newest = |query: &str| {
            let found = tables_read(query, &[]);
            let names: Vec<&str> = found.newest.iter().map(TableName::as_str).collect();
            names.join(" ")
        };
        let once = "SELECT * FROM a.a JOIN b.b WHERE a.a.ds = '{{ max_date(table=a.a) }}'";
        assert_eq!(newest(once), "a.a");
        let twice = format!("{once} UNION ALL SELECT * FROM a.a WHERE ds = '{{{{ ds }}}}'");
        assert_eq!(newest(&twice), "");
        assert_eq!(newest(&format!("{once} UNION ALL {once}")), "a.a");
        assert_eq!(newest("SELECT '{{ max_date(table=c.c) }}' FROM a.a"), "");
    }

    #[test]
    fn what_cannot_be_told_is_named() {
        for (query, shown) in [
            (
                "SELECT * FROM {{ db }}.t JOIN a.a",
                "a.a ? `{{ … }}.t`, whose name has a macro",
            ),
            (
                "SELECT * FROM a.t_{{ ds_nodash }}",
                " ? `a.t_{{ … }}`, whose name has a macro",
            ),
            (
                "SELECT * FROM ${hiveconf:db}.t",
                " ? `{{ … }}.t`, whose name has a macro",
            ),
            (
                "SELECT * FROM ice.db.t",
                " ? `ice.db.t`, which is in another catalog",
            ),
            (
                "SELECT * FROM parquet.`s3://bucket/x`",
                " ? the files of `parquet.s3://bucket/x`",
            ),
            (
                "SELECT * FROM my_udtf(1)",
                " ? the table function `my_udtf`",
            ),
            ("SELECT * FROM 'a.b'", " ? `'a.b'` after FROM or JOIN"),
            (
                "SELECT 'never closed FROM a.a",
                " ? its text is not SQL that can be read",
            ),
        ] {
            assert_eq!(read(query), shown, "{query}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in ".{0,60}") {
            let _ = tables_read(&text, &[]);
        }

        #[test]
        fn any_words_are_read_without_panic(words in prop::collection::vec(prop::sample::select(vec!["SELECT", "FROM", "WITH", "x", "AS", "(", ")", ",", "JOIN", ".", "LATERAL", "UNION", "TABLE", ";", "'s'"]), 0..30)) {
            let _ = tables_read(&words.join(" "), &[]);
        }
    }
}
