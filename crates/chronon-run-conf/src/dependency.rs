//! One entry of `metaData.dependencies` (§4.5): `db.t`, `db.t/ds={{ ds }}[/sub=x]`, or a JSON object with
//! such a `spec`. Templates are those of Airflow and mean what they mean there for a daily schedule.

use chronon_run_core::{Diagnostic, Ds, PartitionFormat, TableName};

/// A table, and the partition of it that one day needs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dependency {
    /// The table.
    pub table: TableName,
    /// The partition of the day; `None` if no day is named and the table must only exist.
    pub day: Option<DayPartition>,
    /// `(column, value)` of further partition columns.
    pub sub_partitions: Vec<(String, String)>,
    /// First day on which it counts.
    pub start: Option<Ds>,
    /// Last day on which it counts.
    pub end: Option<Ds>,
    /// Whether its name is one that `chronon-ai` gives to the dependencies that it derives itself.
    pub derived: bool,
}

/// `<column>={{ … }}`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DayPartition {
    /// The partition column.
    pub column: String,
    /// Days from the day that is filled to the one that is needed.
    pub offset: i32,
    /// How the day is written.
    pub format: PartitionFormat,
}

/// What cannot be understood of a dependency.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message}")]
pub struct DependencyError {
    /// What is wrong.
    pub message: String,
    /// The part of the text that is wrong.
    pub fragment: String,
}

impl DependencyError {
    /// The error as a finding, without its place and what to do.
    #[must_use]
    pub fn finding(&self) -> Diagnostic {
        let message = format!("the dependency is not understood: {self}");
        Diagnostic::error("dependency", message)
    }
}

fn wrong<T>(fragment: &str, message: impl Into<String>) -> Result<T, DependencyError> {
    Err(DependencyError {
        message: message.into(),
        fragment: fragment.to_owned(),
    })
}

#[derive(serde::Deserialize)]
struct Entry {
    #[serde(default)]
    name: String,
    spec: String,
    start: Option<String>,
    end: Option<String>,
}

impl Dependency {
    /// Reads one entry. `daily` tells whether the conf's schedule is a daily one: `next_ds` and its like
    /// depend on it.
    ///
    /// # Errors
    /// What cannot be understood.
    pub fn parse(text: &str, daily: bool) -> Result<Self, DependencyError> {
        let entry = entry(text)?;
        let spec = entry.spec.trim();
        let mut pieces = pieces(spec).into_iter();
        let written = pieces.next().unwrap_or_default();
        let table = table(written)?;
        let mut day = None;
        let mut sub_partitions = Vec::new();
        for piece in pieces.filter(|piece| !piece.trim().is_empty()) {
            let Some((column, value)) = piece.split_once('=') else {
                return wrong(
                    piece,
                    format!("`{piece}` is not of the form <column>=<value>"),
                );
            };
            let column = self::column(column, piece)?;
            match template(value, piece)? {
                Some(_) if day.is_some() => {
                    return wrong(
                        piece,
                        "two partition columns have templates; one names the day",
                    );
                }
                Some(expression) => {
                    let of_template = day_of(expression, daily);
                    // The expression alone may be found in the table's name first.
                    let DayValue { offset, format, .. } =
                        of_template.map_err(|error| DependencyError {
                            fragment: value.trim().to_owned(),
                            ..error
                        })?;
                    day = Some(DayPartition {
                        column,
                        offset,
                        format,
                    });
                }
                None => sub_partitions.push((column, literal(value, piece)?)),
            }
        }
        if let (None, Some((column, value))) = (&day, sub_partitions.first()) {
            return wrong(
                spec,
                format!(
                    "it names `{column}={value}` but no day; write `{column}={{{{ ds }}}}` or the table alone"
                ),
            );
        }
        let derived = is_derived(&entry.name, written, day.as_ref());
        Ok(Self {
            table,
            day,
            sub_partitions,
            start: bound(entry.start.as_deref())?,
            end: bound(entry.end.as_deref())?,
            derived,
        })
    }
}

fn entry(text: &str) -> Result<Entry, DependencyError> {
    if text.trim_start().starts_with('{') && !text.trim_start().starts_with("{{") {
        return serde_json::from_str(text).or_else(|error| {
            let error = error.to_string();
            let error = error.split(" at line ").next().unwrap_or_default();
            wrong(text, format!("it is not JSON with a `spec`: {error}"))
        });
    }
    Ok(Entry {
        name: String::new(),
        spec: text.to_owned(),
        start: None,
        end: None,
    })
}

fn bound(text: Option<&str>) -> Result<Option<Ds>, DependencyError> {
    let Some(text) = text else {
        return Ok(None);
    };
    match text.parse() {
        Ok(ds) => Ok(Some(ds)),
        Err(error) => wrong(text, format!("its `start` or `end`: {error}")),
    }
}

/// `wait_for_<table>_<column>[_minus_<lag>]` (§4.5).
fn is_derived(name: &str, table: &str, day: Option<&DayPartition>) -> bool {
    let Some(day) = day else {
        return false;
    };
    let lag = match day.offset {
        0 => String::new(),
        offset => format!("_minus_{}", -offset),
    };
    name.eq_ignore_ascii_case(&format!("wait_for_{}_{}{lag}", table.trim(), day.column))
}

/// The text between slashes, of which those inside templates do not count.
fn pieces(spec: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let (mut start, mut depth) = (0, 0_usize);
    let bytes = spec.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if spec[at..].starts_with("{{") {
            depth += 1;
            at += 2;
        } else if spec[at..].starts_with("}}") {
            depth = depth.saturating_sub(1);
            at += 2;
        } else {
            if bytes[at] == b'/' && depth == 0 {
                pieces.push(&spec[start..at]);
                start = at + 1;
            }
            at += spec[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    pieces.push(&spec[start..]);
    pieces
}

fn table(text: &str) -> Result<TableName, DependencyError> {
    let bare = text.trim().replace('`', "");
    if bare.is_empty() || bare.contains(':') {
        return wrong(text, "it names a path, not a table");
    }
    if bare.contains('{') || bare.contains('$') || bare.contains('%') {
        return wrong(
            text,
            format!(
                "the table `{}` has a template that is not known",
                text.trim()
            ),
        );
    }
    let names: Vec<&str> = bare.split('.').map(str::trim).collect();
    let table = match names.as_slice() {
        [name] => TableName::new("default", name),
        [namespace, name] => TableName::new(namespace, name),
        [catalog, namespace, name] if catalog.eq_ignore_ascii_case("spark_catalog") => {
            TableName::new(namespace, name)
        }
        [catalog, _, _] => {
            return wrong(
                text,
                format!(
                    "`{bare}` is in the catalog `{catalog}`; only tables of the metastore can be waited for"
                ),
            );
        }
        _ => return wrong(text, format!("`{bare}` is not a table name")),
    };
    match table {
        Ok(table) => Ok(table),
        Err(_) => wrong(
            text,
            format!(
                "`{}` is not a table name of the form <namespace>.<table>",
                text.trim()
            ),
        ),
    }
}

fn column(text: &str, piece: &str) -> Result<String, DependencyError> {
    let column = text.trim().trim_matches('`').to_lowercase();
    let word = !column.is_empty()
        && column
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_');
    match word {
        true => Ok(column),
        false => wrong(piece, format!("`{column}` is not a partition column")),
    }
}

/// What is between `{{` and `}}`, if the value is a template and nothing else.
fn template<'a>(value: &'a str, piece: &str) -> Result<Option<&'a str>, DependencyError> {
    let value = value.trim().trim_matches(['\'', '"']).trim();
    if !value.contains("{{") {
        return Ok(None);
    }
    let inside = value
        .strip_prefix("{{")
        .and_then(|rest| rest.strip_suffix("}}"));
    match inside.filter(|inside| !inside.contains("{{")) {
        Some(inside) => Ok(Some(inside.trim())),
        None => wrong(
            piece,
            format!("`{value}` is a template with other text; one template names the day"),
        ),
    }
}

fn literal(value: &str, piece: &str) -> Result<String, DependencyError> {
    let value = value.trim();
    let templated = ["{", "}", "$", "%(", "<"]
        .iter()
        .any(|mark| value.contains(mark));
    if templated {
        return wrong(
            piece,
            format!("`{value}` is a template of another kind; write `{{{{ ds }}}}`"),
        );
    }
    if value.contains(['*', '?']) {
        return wrong(
            piece,
            format!("`{value}` is a wildcard; name one value, such as that of the last partition"),
        );
    }
    if value.is_empty() || value.contains([',', ';', '&', '=']) {
        return wrong(
            piece,
            format!("`{value}` is not one value; partition columns are separated by `/`"),
        );
    }
    Ok(value.trim_matches(['\'', '"']).to_owned())
}

/// A day, or an instant, relative to the day that is filled.
#[derive(Clone, Debug)]
struct DayValue {
    offset: i32,
    format: PartitionFormat,
    /// An instant that is not yet written as text.
    instant: bool,
}

impl DayValue {
    /// Whether it is text of the form yyyy-MM-dd.
    fn is_iso_text(&self) -> bool {
        self.format.is_iso() && !self.instant
    }
}

/// `replace('-', '')` of a day.
fn without_dashes(mut value: DayValue, arguments: &[&str]) -> Option<DayValue> {
    let [dash, nothing] = two(arguments)?;
    let removes = unquoted(dash) == Some("-") && unquoted(nothing) == Some("");
    (removes && value.is_iso_text()).then_some(())?;
    value.format = "yyyyMMdd".parse().ok()?;
    Some(value)
}

fn day_of(expression: &str, daily: bool) -> Result<DayValue, DependencyError> {
    let unknown = || DependencyError {
        message: format!("the template `{{{{ {expression} }}}}` is not known"),
        fragment: expression.to_owned(),
    };
    let value = Expression { daily }.read(expression).ok_or_else(unknown)?;
    match value.instant {
        true => Err(DependencyError {
            message: format!("`{{{{ {expression} }}}}` is an instant, not a day; add ` | ds`"),
            fragment: expression.to_owned(),
        }),
        false => Ok(value),
    }
}

struct Expression {
    daily: bool,
}

impl Expression {
    fn read(&self, text: &str) -> Option<DayValue> {
        let text = text.trim();
        if let Some((value, filter)) = rsplit(text, '|') {
            return self.filtered(self.read(value)?, filter);
        }
        if let Some(value) = self.method(text) {
            return Some(value);
        }
        if let Some(inner) = enclosed(text) {
            return self.read(inner);
        }
        if let Some(value) = self.moved(text) {
            return Some(value);
        }
        if let Some(arguments) = call(text, "macros.ds_add") {
            let [day, days] = two(&arguments)?;
            let mut value = self
                .read(argument(day, "ds"))
                .filter(DayValue::is_iso_text)?;
            let days: i32 = argument(days, "days").parse().ok()?;
            value.offset = value.offset.checked_add(days)?;
            return Some(value);
        }
        if let Some(arguments) = call(text, "macros.ds_format") {
            return self.reformatted(&arguments);
        }
        self.name(text)
    }

    fn name(&self, text: &str) -> Option<DayValue> {
        let (offset, nodash, instant, any_schedule) = match text {
            "ds" => (0, false, false, true),
            "ds_nodash" => (0, true, false, true),
            "yesterday_ds" => (-1, false, false, true),
            "yesterday_ds_nodash" => (-1, true, false, true),
            "tomorrow_ds" => (1, false, false, true),
            "tomorrow_ds_nodash" => (1, true, false, true),
            "prev_ds" => (-1, false, false, false),
            "prev_ds_nodash" => (-1, true, false, false),
            "next_ds" => (1, false, false, false),
            "next_ds_nodash" => (1, true, false, false),
            "data_interval_start" | "execution_date" | "logical_date" => (0, false, true, true),
            "dag_run.logical_date" | "dag_run.execution_date" => (0, false, true, true),
            "prev_execution_date" => (-1, false, true, false),
            "data_interval_end" | "next_execution_date" => (1, false, true, false),
            _ => return None,
        };
        let format = match nodash {
            true => "yyyyMMdd".parse().ok()?,
            false => PartitionFormat::iso(),
        };
        (any_schedule || self.daily).then_some(DayValue {
            offset,
            format,
            instant,
        })
    }

    fn filtered(&self, mut value: DayValue, filter: &str) -> Option<DayValue> {
        if let Some(arguments) = call(filter.trim(), "replace") {
            return without_dashes(value, &arguments);
        }
        if !value.instant {
            return None;
        }
        value.instant = false;
        value.format = match filter.trim() {
            "ds" => PartitionFormat::iso(),
            "ds_nodash" => "yyyyMMdd".parse().ok()?,
            _ => return None,
        };
        Some(value)
    }

    /// `x.strftime('…')`, `x.format('…')`, `x.to_date_string()`, `x.date()`, `x.add(days=1)`,
    /// `x.subtract(days=1)` of an instant; `x.replace('-', '')` of a day.
    fn method(&self, text: &str) -> Option<DayValue> {
        let (object, rest) = rsplit(text, '.')?;
        let (method, arguments) = rest.strip_suffix(')')?.split_once('(')?;
        if let Some(arguments) = call(rest, "replace") {
            return without_dashes(self.read(object)?, &arguments);
        }
        let mut value = self.read(object).filter(|value| value.instant)?;
        match method.trim() {
            "strftime" => value.format = PartitionFormat::of_strftime(unquoted(arguments)?)?,
            "format" => {
                let pendulum = unquoted(arguments)?;
                value.format = pendulum.replace('Y', "y").replace('D', "d").parse().ok()?;
            }
            "to_date_string" | "date" if arguments.trim().is_empty() => {
                value.format = PartitionFormat::iso();
            }
            "add" | "subtract" => {
                let days: i32 = keyword_days(arguments)?;
                let days = if method.trim() == "add" { days } else { -days };
                value.offset = value.offset.checked_add(days)?;
                return Some(value);
            }
            _ => return None,
        }
        value.instant = false;
        Some(value)
    }

    /// `x + macros.timedelta(days=1)`, `x - macros.timedelta(1)`.
    fn moved(&self, text: &str) -> Option<DayValue> {
        let (at, sign) = [('-', -1), ('+', 1)]
            .into_iter()
            .find_map(|(operator, sign)| Some((rsplit(text, operator)?, sign)))?;
        let (left, right) = at;
        let right = right.trim();
        let spans = [
            "macros.timedelta",
            "timedelta",
            "macros.dateutil.relativedelta.relativedelta",
        ];
        let arguments = spans.into_iter().find_map(|name| call(right, name))?;
        let [days] = arguments.as_slice() else {
            return None;
        };
        let days = keyword_days(days).or_else(|| days.trim().parse().ok())?;
        let mut value = self.read(left).filter(|value| value.instant)?;
        value.offset = value.offset.checked_add(sign * days)?;
        Some(value)
    }

    fn reformatted(&self, arguments: &[&str]) -> Option<DayValue> {
        let [day, from, to] = arguments else {
            return None;
        };
        let mut value = self.read(day).filter(|value| !value.instant)?;
        let from = PartitionFormat::of_strftime(unquoted(from)?)?;
        (from == value.format).then_some(())?;
        value.format = PartitionFormat::of_strftime(unquoted(to)?)?;
        Some(value)
    }
}

/// The two sides of the last `mark` outside parentheses and quotes.
fn rsplit(text: &str, mark: char) -> Option<(&str, &str)> {
    let (mut depth, mut quote, mut found) = (0_i32, None, None);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '(') => depth += 1,
            (None, ')') => depth -= 1,
            (None, _) if c == mark && depth == 0 && at > 0 => found = Some(at),
            _ => {}
        }
    }
    let at = found?;
    Some((&text[..at], &text[at + mark.len_utf8()..]))
}

/// What one pair of parentheses around the whole text encloses.
fn enclosed(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('(')?.strip_suffix(')')?;
    let mut depth = 0_i32;
    for c in inner.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth < 0 {
            return None;
        }
    }
    Some(inner)
}

/// The arguments of a call of `name`, which is the whole text.
fn call<'a>(text: &'a str, name: &str) -> Option<Vec<&'a str>> {
    let inner = enclosed(text.strip_prefix(name)?.trim_start())?;
    let mut arguments = Vec::new();
    let mut rest = inner;
    while let Some((before, last)) = rsplit(rest, ',') {
        arguments.push(last.trim());
        rest = before;
    }
    arguments.push(rest.trim());
    arguments.reverse();
    Some(arguments)
}

/// The value of an argument that may be written as `name=value`.
fn argument<'a>(text: &'a str, name: &str) -> &'a str {
    let named = text.trim().strip_prefix(name).map(str::trim_start);
    let value = named.and_then(|rest| rest.strip_prefix('='));
    value.unwrap_or(text).trim()
}

fn two<'a>(arguments: &[&'a str]) -> Option<[&'a str; 2]> {
    match arguments {
        [first, second] => Some([first, second]),
        _ => None,
    }
}

fn unquoted(text: &str) -> Option<&str> {
    let text = text.trim();
    let mark = text
        .chars()
        .next()
        .filter(|mark| matches!(mark, '\'' | '"'))?;
    text.get(1..)?.strip_suffix(mark)
}

/// `n` of `days=n`.
fn keyword_days(text: &str) -> Option<i32> {
    let (name, days) = text.split_once('=')?;
    (name.trim() == "days").then_some(())?;
    days.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn day(template: &str, daily: bool) -> String {
        let text = format!("db.t/ds={{{{ {template} }}}}");
        match Dependency::parse(&text, daily) {
            Ok(found) => {
                let day = found.day.unwrap();
                format!("{} {}", day.offset, day.format)
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn airflows_macros_mean_what_they_mean_there() {
        for (template, meaning) in [
            ("ds", "0 yyyy-MM-dd"),
            ("ds_nodash", "0 yyyyMMdd"),
            ("yesterday_ds", "-1 yyyy-MM-dd"),
            ("tomorrow_ds_nodash", "1 yyyyMMdd"),
            ("prev_ds", "-1 yyyy-MM-dd"),
            ("next_ds", "1 yyyy-MM-dd"),
            ("macros.ds_add(ds, -7)", "-7 yyyy-MM-dd"),
            ("macros.ds_add(macros.ds_add(ds, -7), 2)", "-5 yyyy-MM-dd"),
            ("macros.ds_add(yesterday_ds, -1)", "-2 yyyy-MM-dd"),
            ("macros.ds_format(ds, '%Y-%m-%d', \"%Y%m%d\")", "0 yyyyMMdd"),
            (
                "macros.ds_format(macros.ds_add(ds, -1), '%Y-%m-%d', '%Y/%m/%d')",
                "-1 yyyy/MM/dd",
            ),
            ("data_interval_start | ds", "0 yyyy-MM-dd"),
            ("data_interval_end | ds_nodash", "1 yyyyMMdd"),
            ("data_interval_end.strftime('%Y%m%d')", "1 yyyyMMdd"),
            (
                "(data_interval_start - macros.timedelta(days=2)) | ds",
                "-2 yyyy-MM-dd",
            ),
            (
                "(execution_date + macros.timedelta(days=1)).strftime('%Y-%m-%d')",
                "1 yyyy-MM-dd",
            ),
            (
                "logical_date.subtract(days=1).format('YYYYMMDD')",
                "-1 yyyyMMdd",
            ),
            ("execution_date.to_date_string()", "0 yyyy-MM-dd"),
            ("macros.ds_add(ds, days=-1)", "-1 yyyy-MM-dd"),
            ("macros.ds_add(ds=ds, days = 2)", "2 yyyy-MM-dd"),
            ("ds.replace('-', '')", "0 yyyyMMdd"),
            (
                "macros.ds_add(ds, -1) | replace(\"-\", \"\")",
                "-1 yyyyMMdd",
            ),
            ("prev_execution_date.strftime('%Y-%m-%d')", "-1 yyyy-MM-dd"),
            ("next_execution_date | ds", "1 yyyy-MM-dd"),
            ("dag_run.logical_date | ds", "0 yyyy-MM-dd"),
            (
                "(execution_date + macros.dateutil.relativedelta.relativedelta(days=-2)) | ds",
                "-2 yyyy-MM-dd",
            ),
        ] {
            assert_eq!(day(template, true), meaning, "{template}");
        }
        assert_eq!(day("ds", false), "0 yyyy-MM-dd");
        for unknown in ["next_ds", "data_interval_end | ds"] {
            assert!(day(unknown, false).contains("is not known"), "{unknown}");
        }
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for unknown in [
            "start_date",
            "ts",
            "params.day",
            "macros.ds_add(ds, params.lag)",
            "macros.ds_add(ds_nodash, -1)",
            "macros.datetime.now()",
            "ds | upper",
            "ds.replace('-', '/')",
            "ds_nodash.replace('-', '')",
            "var.value.x",
            "",
            "macros.ds_format(ds, '%Y%m%d', '%Y')",
        ] {
            assert!(day(unknown, true).contains("is not known"), "{unknown}");
        }
        assert!(day("data_interval_start", true).contains("an instant"));
        for (text, fragment) in [
            ("iceberg.db.t/ds={{ ds }}", "iceberg.db.t"),
            ("s3://bucket/t/ds={{ ds }}", "s3:"),
            ("/data/t/ds={{ ds }}", ""),
            ("db.t ds={{ ds }}", "db.t ds={{ ds }}"),
            ("db.t,ds={{ ds }}", "db.t,ds={{ ds }}"),
            ("db/t/ds={{ ds }}", "t"),
            ("{{ db }}.t/ds={{ ds }}", "{{ db }}.t"),
            ("db.t/ds={{ ds }},hr=23", "ds={{ ds }},hr=23"),
            ("db.t/ds={{ ds }}-{{ hr }}", "ds={{ ds }}-{{ hr }}"),
            ("db.t/ds={ds}", "ds={ds}"),
            ("db.t/ds=${ds}", "ds=${ds}"),
            ("db.t/ds=<ds>", "ds=<ds>"),
            ("db.t/ds={{ ds }}/hr=23;x", "hr=23;x"),
            ("db.t/ds={{ ds }}/hr=*", "hr=*"),
            ("db.t/ds=2026-01-01", "db.t/ds=2026-01-01"),
            ("db.t/region=eu", "db.t/region=eu"),
            (
                "db.t/ds={{ ds }}/hour={{ execution_date.hour }}",
                "hour={{ execution_date.hour }}",
            ),
            ("", ""),
        ] {
            let error = Dependency::parse(text, true).unwrap_err();
            assert_eq!(error.fragment, fragment, "{text}: {error}");
        }
        assert!(Dependency::parse(r#"{"name": "x"}"#, true).is_err());
    }

    #[test]
    fn tables_may_be_quoted_and_have_sub_partitions() {
        let read = |text: &str| {
            let found = Dependency::parse(text, true).unwrap();
            format!("{} {:?}", found.table, found.sub_partitions)
        };
        for (text, shown) in [
            ("`Db`.`T`/ds={{ ds }}/hr=23", r#"db.t [("hr", "23")]"#),
            ("`db.t`/`DS`='{{ ds }}'/HR='23'", r#"db.t [("hr", "23")]"#),
            ("spark_catalog.db.t/ds={{ds}}/", "db.t []"),
            ("alone/ds={{ ds }}", "default.alone []"),
            ("db.t", "db.t []"),
        ] {
            assert_eq!(read(text), shown);
        }
    }

    #[test]
    fn what_chronon_ai_derives_is_known_by_its_name() {
        let derived = |name: &str, spec: &str| {
            let text =
                serde_json::json!({"name": name, "spec": spec, "start": "2026-01-01", "end": null});
            Dependency::parse(&text.to_string(), true).unwrap().derived
        };
        assert!(derived("wait_for_data.t_ds", "data.t/ds={{ ds }}"));
        assert!(derived("wait_for_Data.T_dt", "Data.T/dt={{ ds }}/hr=23"));
        assert!(derived(
            "wait_for_data.t_ds_minus_2",
            "data.t/ds={{ macros.ds_add(ds, -2) }}"
        ));
        assert!(!derived("wait_for_data_t_ds_ds", "data.t/ds={{ ds }}"));
        assert!(!derived(
            "wait_for_data.t_ds",
            "data.t/ds={{ yesterday_ds }}"
        ));
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in ".{0,40}", inside in "[a-z_.()'%,| =+-]{0,30}") {
            let _ = Dependency::parse(&text, true);
            let _ = day(&inside, true);
        }
    }
}
