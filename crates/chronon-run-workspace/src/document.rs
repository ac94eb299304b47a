//! The TOML document with its spans, read key by key.
//!
//! Every reader takes a key by name and gets either a value or `None`; what is wrong with it is
//! put down in the [`Report`], at its bytes, and reading goes on. Keys that no reader asked for are
//! unknown, so what is known cannot differ from what is read.

use std::{
    borrow::Cow,
    cell::RefCell,
    collections::BTreeSet,
    ops::Range,
    path::{Path, PathBuf},
    time::Duration,
};

use chronon_run_core::{Diagnostic, Ds, Location};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{
    keys, parse,
    words::{listed, nearest},
};

/// Bytes in the file, end exclusive.
pub(crate) type Span = Range<usize>;
/// No number in the file is larger; each costs a process, a request or a partition.
const MANY: u32 = 10_000;
type Key<'a> = Spanned<Cow<'a, str>>;
type Item<'a> = Spanned<DeValue<'a>>;

/// What was found wrong so far.
pub(crate) struct Report {
    file: PathBuf,
    findings: RefCell<Vec<Diagnostic>>,
    /// Every `(section, key)` that a reader asked for.
    asked: RefCell<BTreeSet<(&'static str, &'static str)>>,
}

impl Report {
    pub(crate) fn new(file: &Path) -> Self {
        Self {
            file: file.to_owned(),
            findings: RefCell::default(),
            asked: RefCell::default(),
        }
    }

    /// Puts down an error at `span`.
    pub(crate) fn error(&self, code: &'static str, span: Span, message: String, hint: String) {
        self.push(Diagnostic::error(code, message).hint(hint), span);
    }

    /// Puts down a warning at `span`.
    pub(crate) fn warning(&self, code: &'static str, span: Span, message: String, hint: String) {
        self.push(Diagnostic::warning(code, message).hint(hint), span);
    }

    fn push(&self, finding: Diagnostic, span: Span) {
        let finding = finding.at(Location::bytes(&self.file, span));
        self.findings.borrow_mut().push(finding);
    }

    /// How many findings there are so far.
    pub(crate) fn count(&self) -> usize {
        self.findings.borrow().len()
    }

    /// Every finding, in file order.
    pub(crate) fn into_findings(self) -> Vec<Diagnostic> {
        let mut findings = self.findings.into_inner();
        findings.sort_by_key(|finding| {
            let span = finding.location.as_ref().and_then(|at| at.span.clone());
            span.map(|span| span.start)
        });
        findings
    }

    /// Every `(section, key)` that was asked for.
    #[cfg(test)]
    pub(crate) fn asked(&self) -> BTreeSet<(&'static str, &'static str)> {
        self.asked.borrow().clone()
    }
}

/// One table of the file, or the absence of it.
pub(crate) struct Section<'a> {
    /// As the reference calls it, e.g. `seeds.<table>`; empty for the file itself.
    name: &'static str,
    /// As the user wrote it, e.g. `seeds."lake.searches"`.
    shown: String,
    table: Option<&'a DeTable<'a>>,
    report: &'a Report,
    /// Once each, first to last.
    asked: RefCell<Vec<&'static str>>,
}

impl<'a> Section<'a> {
    /// Reads the whole file with `read`, then warns about the keys that it did not ask for.
    pub(crate) fn file<T>(
        table: &'a DeTable<'a>,
        report: &'a Report,
        read: impl FnOnce(&Self) -> T,
    ) -> T {
        Self::visit("", String::new(), Some(table), report, read)
    }

    fn visit<T>(
        name: &'static str,
        shown: String,
        table: Option<&'a DeTable<'a>>,
        report: &'a Report,
        read: impl FnOnce(&Self) -> T,
    ) -> T {
        let section = Self {
            name,
            shown,
            table,
            report,
            asked: RefCell::default(),
        };
        let out = read(&section);
        section.warn_of_unknown_keys();
        out
    }

    /// The value of `key`, if it is there.
    pub(crate) fn get(&self, key: &'static str) -> Option<Value<'a>> {
        let mut asked = self.asked.borrow_mut();
        if !asked.contains(&key) {
            asked.push(key);
        }
        self.report.asked.borrow_mut().insert((self.name, key));
        let item = self.table?.get(key)?;
        Some(Value {
            section: self.name,
            key,
            shown: self.path(key),
            item,
            report: self.report,
        })
    }

    /// The string `key`; see [`Value::word`].
    pub(crate) fn word(&self, key: &'static str) -> Option<String> {
        self.get(key)?.word().map(str::to_owned)
    }

    /// The string `key` as `parse` reads it; see [`Value::parsed`].
    pub(crate) fn parsed<T>(
        &self,
        key: &'static str,
        code: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.get(key)?.parsed(code, parse)
    }

    /// The word `key`; see [`Value::choice`].
    pub(crate) fn choice<T: Clone>(
        &self,
        key: &'static str,
        choices: &[(&'static str, T)],
    ) -> Option<T> {
        self.get(key)?.choice(choices)
    }

    /// The boolean `key`.
    pub(crate) fn boolean(&self, key: &'static str) -> Option<bool> {
        self.get(key)?.boolean()
    }

    /// The whole number `key`, at least `least`.
    pub(crate) fn number(&self, key: &'static str, least: u32) -> Option<u32> {
        self.get(key)?.number(least, MANY)
    }

    /// The duration `key`, which may be zero.
    pub(crate) fn duration(&self, key: &'static str) -> Option<Duration> {
        self.parsed(key, "bad-duration", parse::duration)
    }

    /// The duration `key`, which may not be zero.
    pub(crate) fn some_duration(&self, key: &'static str) -> Option<Duration> {
        self.parsed(key, "bad-duration", parse::some_duration)
    }

    /// The day `key`.
    pub(crate) fn day(&self, key: &'static str) -> Option<Ds> {
        let value = self.get(key)?;
        let refuse = |why| value.refuse("bad-day", format!("`{}`: {why}", value.shown));
        parse::day(&value.date_text()?).map_err(refuse).ok()
    }

    /// The list of words `key`.
    pub(crate) fn words(&self, key: &'static str) -> Option<Vec<String>> {
        self.get(key)?.words()
    }

    /// Reads the table `key` of the file with `read`; an absent one is read as an empty one.
    pub(crate) fn child<T>(&self, key: &'static str, read: impl FnOnce(&Self) -> T) -> T {
        let table = self.get(key).and_then(|value| value.table());
        Self::visit(key, key.to_owned(), table, self.report, read)
    }

    /// The key and value of every entry of this table.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&'a Key<'a>, &'a Item<'a>)> {
        self.table.into_iter().flatten()
    }

    fn path(&self, key: &str) -> String {
        if self.shown.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{}", self.shown, quoted_if_needed(key))
        }
    }

    fn warn_of_unknown_keys(&self) {
        let asked = self.asked.borrow();
        let unknown = self
            .entries()
            .filter(|(key, _)| !asked.contains(&key.get_ref().as_ref()));
        for (key, _) in unknown {
            let hint = self.hint_for_unknown(key.get_ref(), &asked);
            let message = format!("unknown key `{}`", self.path(key.get_ref()));
            if self.name == "check" {
                // A rule that is not read would pass every day.
                self.report.error("unknown-key", key.span(), message, hint);
                continue;
            }
            let message = format!("{message} is ignored");
            self.report
                .warning("unknown-key", key.span(), message, hint);
        }
    }

    fn hint_for_unknown(&self, key: &str, known: &[&'static str]) -> String {
        if let Some(near) = nearest(key, known.iter().copied()) {
            return format!("did you mean `{near}`?");
        }
        if let Some(section) = keys::section_of(key) {
            return format!("`{key}` belongs in {}", keys::header(section));
        }
        format!("known here: {}", listed(known))
    }
}

/// One value of the file.
#[derive(Clone)]
pub(crate) struct Value<'a> {
    section: &'static str,
    key: &'static str,
    shown: String,
    item: &'a Item<'a>,
    report: &'a Report,
}

impl<'a> Value<'a> {
    /// Where findings go.
    pub(crate) fn report(&self) -> &'a Report {
        self.report
    }

    /// Its bytes.
    pub(crate) fn span(&self) -> Span {
        self.item.span()
    }

    /// Puts down that it is wrong, with the reference's example as the hint.
    pub(crate) fn refuse(&self, code: &'static str, message: String) {
        self.refuse_with(code, message, self.example());
    }

    /// Puts down that it is wrong.
    pub(crate) fn refuse_with(&self, code: &'static str, message: String, hint: String) {
        self.report.error(code, self.span(), message, hint);
    }

    /// Puts down that it is doubtful.
    pub(crate) fn doubt(&self, code: &'static str, message: String, hint: String) {
        self.report.warning(code, self.span(), message, hint);
    }

    /// As the user would find it in the file, e.g. `run.jobs`.
    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    fn example(&self) -> String {
        match keys::find(self.section, self.key) {
            Some(doc) => format!("for example `{} = {}`", self.key, doc.example),
            None => format!("see the reference of `{}`", self.shown),
        }
    }

    fn refuse_type(&self, wanted: &str) {
        let found = type_name(self.item.get_ref());
        let message = format!("`{}` must be {wanted}, not {found}", self.shown);
        self.refuse("wrong-type", message);
    }

    /// A string.
    pub(crate) fn text(&self) -> Option<&'a str> {
        let text = self.as_text();
        if text.is_none() {
            self.refuse_type("a string");
        }
        text
    }

    fn as_text(&self) -> Option<&'a str> {
        match self.item.get_ref() {
            DeValue::String(text) => Some(text.as_ref()),
            _ => None,
        }
    }

    /// A string with at least one character that is not a blank, without surrounding blanks.
    pub(crate) fn word(&self) -> Option<&'a str> {
        let text = self.text()?.trim();
        if text.is_empty() {
            self.refuse("empty", format!("`{}` is empty", self.shown));
            return None;
        }
        Some(text)
    }

    /// A string that `parse` accepts; its error completes the sentence "`key` …".
    pub(crate) fn parsed<T>(
        &self,
        code: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.word()?;
        parse(text)
            .map_err(|why| self.refuse(code, format!("`{}`: {why}", self.shown)))
            .ok()
    }

    /// One of the words of `choices`.
    pub(crate) fn choice<T: Clone>(&self, choices: &[(&'static str, T)]) -> Option<T> {
        let text = self.text()?;
        let found = choices.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
            let message = format!("`{}` has no value `{text}`", self.shown);
            let near = nearest(text, words.iter().copied())
                .map(|near| format!("did you mean `{near}`? "))
                .unwrap_or_default();
            let hint = format!("{near}allowed: {}", listed(&words));
            self.refuse_with("unknown-value", message, hint);
        }
        found.map(|(_, value)| value.clone())
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&self) -> Option<bool> {
        match self.item.get_ref() {
            DeValue::Boolean(value) => Some(*value),
            _ => {
                self.refuse_type("true or false");
                None
            }
        }
    }

    /// A whole number from `least` to `most`.
    pub(crate) fn number(&self, least: u32, most: u32) -> Option<u32> {
        let DeValue::Integer(digits) = self.item.get_ref() else {
            self.refuse_type("a whole number");
            return None;
        };
        let number = i64::from_str_radix(digits.as_str(), digits.radix()).ok();
        let number = number
            .and_then(|number| u32::try_from(number).ok())
            .filter(|number| (least..=most).contains(number));
        if number.is_none() {
            let message = format!("`{}` must be from {least} to {most}", self.shown);
            self.refuse("out-of-range", message);
        }
        number
    }

    /// A whole number from 0 on.
    pub(crate) fn count(&self) -> Option<u64> {
        let DeValue::Integer(digits) = self.item.get_ref() else {
            self.refuse_type("a whole number");
            return None;
        };
        let number = u64::from_str_radix(digits.as_str(), digits.radix()).ok();
        if number.is_none() {
            self.refuse(
                "out-of-range",
                format!("`{}` must be 0 or more", self.shown),
            );
        }
        number
    }

    /// A number from 0 to `most`.
    pub(crate) fn share(&self, most: f64) -> Option<f64> {
        let number = match self.item.get_ref() {
            DeValue::Integer(_) | DeValue::Float(_) => self.scalar(),
            _ => {
                self.refuse_type("a number");
                return None;
            }
        };
        let number = number.and_then(|text| text.parse::<f64>().ok());
        let number = number.filter(|number| (0.0..=most).contains(number));
        if number.is_none() {
            let range = match most {
                most if most < f64::MAX => format!("from 0 to {most}"),
                _ => "0 or more".to_owned(),
            };
            self.refuse("out-of-range", format!("`{}` must be {range}", self.shown));
        }
        number
    }

    /// A list of strings, numbers or truth values as text.
    pub(crate) fn scalars(&self) -> Option<Vec<String>> {
        self.list()?.iter().map(Value::scalar).collect()
    }

    /// A day or a list element that may be one: a string, or TOML's own date.
    pub(crate) fn date_text(&self) -> Option<String> {
        match self.item.get_ref() {
            DeValue::Datetime(date) => Some(date.to_string()),
            _ => self.word().map(str::to_owned),
        }
    }

    /// The elements of a list.
    pub(crate) fn list(&self) -> Option<Vec<Self>> {
        let DeValue::Array(items) = self.item.get_ref() else {
            self.refuse_type("a list");
            return None;
        };
        let element = |item| Self {
            item,
            ..self.clone()
        };
        Some(items.iter().map(element).collect())
    }

    /// Whether it is a table with this key.
    pub(crate) fn has(&self, key: &str) -> bool {
        match self.item.get_ref() {
            DeValue::Table(table) => table.contains_key(key),
            _ => false,
        }
    }

    /// Whether it is a list.
    pub(crate) fn is_list(&self) -> bool {
        matches!(self.item.get_ref(), DeValue::Array(_))
    }

    /// Whether it is a string.
    pub(crate) fn is_text(&self) -> bool {
        self.as_text().is_some()
    }

    /// A list of words.
    pub(crate) fn words(&self) -> Option<Vec<String>> {
        let all = self.list()?;
        let words: Vec<_> = all.iter().filter_map(Value::word).collect();
        (words.len() == all.len()).then(|| words.into_iter().map(str::to_owned).collect())
    }

    fn table(&self) -> Option<&'a DeTable<'a>> {
        match self.item.get_ref() {
            DeValue::Table(table) => Some(table),
            _ => {
                let found = type_name(self.item.get_ref());
                let message = format!("`{}` must be a table, not {found}", self.shown);
                let hint = format!("write {} on a line of its own", keys::header(self.key));
                self.refuse_with("wrong-type", message, hint);
                None
            }
        }
    }

    /// Every entry of a table of scalars, as text; tables within are dotted keys that were not
    /// quoted, so `spark.sql.shuffle.partitions = 4` means what it looks like.
    pub(crate) fn properties(&self) -> Vec<(String, Span, Self)> {
        let mut out = Vec::new();
        match self.item.get_ref() {
            DeValue::Table(table) => self.flatten(table, "", &mut out),
            _ => self.refuse_type("a table of properties"),
        }
        out
    }

    fn flatten(&self, table: &'a DeTable<'a>, prefix: &str, out: &mut Vec<(String, Span, Self)>) {
        for (key, item) in table {
            let name = format!("{prefix}{}", key.get_ref());
            match item.get_ref() {
                DeValue::Table(inner) => self.flatten(inner, &format!("{name}."), out),
                _ => out.push((name.clone(), key.span(), self.entry(&name, item))),
            }
        }
    }

    fn entry(&self, name: &str, item: &'a Item<'a>) -> Self {
        Self {
            shown: format!("{}.{}", self.shown, quoted_if_needed(name)),
            item,
            ..self.clone()
        }
    }

    /// A string, number or boolean as text.
    pub(crate) fn scalar(&self) -> Option<String> {
        match self.item.get_ref() {
            DeValue::String(text) => Some(text.to_string()),
            DeValue::Integer(number) => Some(number.to_string()),
            DeValue::Float(number) => Some(number.to_string()),
            DeValue::Boolean(value) => Some(value.to_string()),
            _ => {
                self.refuse_type("a string");
                None
            }
        }
    }

    /// Reads this value as the table `name` of the reference.
    pub(crate) fn section<T>(
        &self,
        name: &'static str,
        read: impl FnOnce(&Section<'a>) -> T,
    ) -> Option<T> {
        let table = self.table()?;
        let shown = self.shown.clone();
        Some(Section::visit(name, shown, Some(table), self.report, read))
    }

    /// The named tables within: the bytes of each name, the name, and its value.
    pub(crate) fn named(&self, section: &'static str) -> Vec<(Span, &'a str, Self)> {
        let entries = self.table().into_iter().flatten();
        entries
            .map(|(key, item)| {
                let value = Self {
                    section,
                    ..self.entry(key.get_ref(), item)
                };
                (key.span(), key.get_ref().as_ref(), value)
            })
            .collect()
    }
}

fn quoted_if_needed(key: &str) -> Cow<'_, str> {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !key.is_empty() && key.chars().all(bare) {
        Cow::Borrowed(key)
    } else {
        Cow::Owned(format!("{key:?}"))
    }
}

fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
