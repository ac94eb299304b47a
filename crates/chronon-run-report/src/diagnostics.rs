//! Findings about the user's files: as text with the line and a caret, or as JSON.

use std::{fs, ops::Range, path::Path};

use annotate_snippets::{
    AnnotationKind, Group, Level, Origin, Renderer, Snippet, renderer::DecorStyle,
};
use chronon_run_core::{
    BYTE_ORDER_MARK, Diagnostic, Location, Severity, secret::mask_text, shown::shown,
};
use serde_json::{Map, Value, json};

use crate::wrapping::broken;

/// Whether text carries colours. Give coloured text to an `anstream` stream, which takes the
/// colours out again where they are not wanted (see [`crate::set_colours`]).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Colour {
    /// With colours.
    Yes,
    /// Without.
    No,
}

/// Reads a file that a finding points at; `None` if it cannot be read any more.
pub type ReadSource<'a> = dyn Fn(&Path) -> Option<String> + 'a;

/// The file as it is on disk.
#[must_use]
pub fn from_disk(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    // Places in a file do not count its byte order mark.
    Some(text.trim_start_matches(BYTE_ORDER_MARK).to_owned())
}

/// Every finding as text, most with `path:line:column`, the line, a caret and a hint, and a
/// last line that counts them. Empty if there is none. Sentences are broken at words to fit `width` columns.
#[must_use]
pub fn render(
    diagnostics: &[Diagnostic],
    read: &ReadSource<'_>,
    colour: Colour,
    width: Option<usize>,
) -> String {
    let renderer = match colour {
        Colour::Yes => Renderer::styled(),
        Colour::No => Renderer::plain(),
    };
    let renderer = renderer.decor_style(DecorStyle::Ascii);
    let mut text = String::new();
    for diagnostic in diagnostics {
        text += &render_one(&renderer, diagnostic, read, width);
        text += "\n\n";
    }
    text + &counts(diagnostics)
}

fn render_one(
    renderer: &Renderer,
    diagnostic: &Diagnostic,
    read: &ReadSource<'_>,
    width: Option<usize>,
) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level
        .primary_title(within(
            &diagnostic.message,
            width,
            TITLE + diagnostic.code.len(),
        ))
        .id(diagnostic.code);
    let mut group = Group::with_title(title);
    if let Some(location) = &diagnostic.location {
        let path = path_text(location);
        group = match spanned_source(location, read) {
            Some((source, span)) if shows_secret(&source, &span) => {
                let (line, column) = line_and_column(&source, span.start);
                group.element(Origin::path(path).line(line).char_column(column))
            }
            Some((source, span)) => group.element(
                Snippet::source(source)
                    .path(path)
                    .annotation(AnnotationKind::Primary.span(span)),
            ),
            None => group.element(Origin::path(path)),
        };
    }
    if let Some(hint) = &diagnostic.hint {
        group = group.element(Level::HELP.message(within(hint, width, HELP)));
    }
    renderer.render(&[group])
}

/// The columns before the text of a title, but for its code: `warning[]: `.
const TITLE: usize = 11;
/// The columns before the text of a hint, behind line numbers of up to four digits: `     = help: `.
const HELP: usize = 13;

/// A text in the columns that are left of `width`; the renderer indents its later lines itself.
fn within(text: &str, width: Option<usize>, before: usize) -> String {
    let text = mask_text(text);
    let text = shown(&text);
    match width {
        Some(width) => broken(&text, width.saturating_sub(before).max(LEAST), 0),
        None => text.into_owned(),
    }
}

/// Fewer columns than this are not fitted to.
const LEAST: usize = 20;

fn path_text(location: &Location) -> String {
    shown(&location.path.display().to_string()).into_owned()
}

/// The file and the span cut to what the file holds now.
fn spanned_source(location: &Location, read: &ReadSource<'_>) -> Option<(String, Range<usize>)> {
    let span = location.span.clone()?;
    let source = read(&location.path)?;
    let start = floor_char(&source, span.start);
    let end = floor_char(&source, span.end).max(start);
    Some((source, start..end))
}

/// Whether the lines of a span hold a secret: then only their number is shown.
fn shows_secret(source: &str, span: &Range<usize>) -> bool {
    let start = source[..span.start].rfind('\n').map_or(0, |at| at + 1);
    let end = source[span.end..].find('\n');
    let end = end.map_or(source.len(), |at| span.end + at);
    let lines = &source[start..end];
    mask_text(lines) != lines
}

/// The nearest character boundary at or before `at`.
fn floor_char(source: &str, at: usize) -> usize {
    let mut at = at.min(source.len());
    while !source.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn counts(diagnostics: &[Diagnostic]) -> String {
    let errors = diagnostics.iter().filter(|d| d.is_error()).count() as u64;
    let warnings = diagnostics.len() as u64 - errors;
    let parts = [(errors, "error"), (warnings, "warning")];
    let parts: Vec<String> = parts
        .into_iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, word)| crate::words::count(number, word))
        .collect();
    match parts.is_empty() {
        true => String::new(),
        false => parts.join(", ") + "\n",
    }
}

/// Every finding as a JSON object: `severity`, `code`, `message`, and where there is one
/// `path`, `line` and `column` (from 1; columns count characters), `span` (bytes) and `hint`.
#[must_use]
pub fn to_json(diagnostics: &[Diagnostic], read: &ReadSource<'_>) -> Vec<Value> {
    diagnostics.iter().map(|d| one_to_json(d, read)).collect()
}

fn one_to_json(diagnostic: &Diagnostic, read: &ReadSource<'_>) -> Value {
    let mut object = Map::new();
    object.insert("severity".to_owned(), json!(diagnostic.severity));
    object.insert("code".to_owned(), json!(diagnostic.code));
    object.insert("message".to_owned(), json!(mask_text(&diagnostic.message)));
    if let Some(location) = &diagnostic.location {
        let path = location.path.to_string_lossy();
        object.insert("path".to_owned(), json!(path));
        if let Some((source, span)) = spanned_source(location, read) {
            let (line, column) = line_and_column(&source, span.start);
            object.insert("line".to_owned(), json!(line));
            object.insert("column".to_owned(), json!(column));
            object.insert("span".to_owned(), json!([span.start, span.end]));
        }
    }
    if let Some(hint) = &diagnostic.hint {
        object.insert("hint".to_owned(), json!(mask_text(hint)));
    }
    Value::Object(object)
}

fn line_and_column(source: &str, at: usize) -> (usize, usize) {
    let before = &source[..at];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.matches('\n').count() + 1;
    (line, before[line_start..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SOURCE: &str = "[workspace]\nrepo = \"é\"\nteem = \"search\"\n";

    fn read(path: &Path) -> Option<String> {
        (path == Path::new("workspace.toml")).then(|| SOURCE.to_owned())
    }

    fn findings() -> Vec<Diagnostic> {
        let at = SOURCE.find("teem").unwrap();
        vec![
            Diagnostic::warning("unknown-key", "unknown key `teem`")
                .at(Location::bytes("workspace.toml", at..at + 4))
                .hint("did you mean `team`?"),
            Diagnostic::error("no-team", "team `x` is not in teams.json")
                .at(Location::file("production/joins/x/a.v1")),
            Diagnostic::error("cycle", "two confs need each other"),
        ]
    }

    #[test]
    fn text_points_at_the_place() {
        insta::assert_snapshot!(render(&findings(), &read, Colour::No, None), @r#"
        warning[unknown-key]: unknown key `teem`
         --> workspace.toml:3:1
          |
        3 | teem = "search"
          | ^^^^
          |
          = help: did you mean `team`?

        error[no-team]: team `x` is not in teams.json
        --> production/joins/x/a.v1

        error[cycle]: two confs need each other

        2 errors, 1 warning
        "#);
        assert_eq!(render(&[], &read, Colour::No, None), "");
    }

    #[test]
    fn json_has_line_and_column() {
        insta::assert_snapshot!(Value::from(to_json(&findings(), &read)), @r#"[{"severity":"warning","code":"unknown-key","message":"unknown key `teem`","path":"workspace.toml","line":3,"column":1,"span":[24,28],"hint":"did you mean `team`?"},{"severity":"error","code":"no-team","message":"team `x` is not in teams.json","path":"production/joins/x/a.v1"},{"severity":"error","code":"cycle","message":"two confs need each other"}]"#);
    }

    #[test]
    fn colours_are_only_there_on_request() {
        assert!(render(&findings(), &read, Colour::Yes, None).contains('\u{1b}'));
        assert!(!render(&findings(), &read, Colour::No, None).contains('\u{1b}'));
    }

    #[test]
    fn findings_fit_a_terminal_between_words() {
        let read = |_: &Path| Some("{\n".to_owned());
        let finding = Diagnostic::error(
            "bad-conf",
            "a message that is longer than sixty columns of a terminal can be",
        )
        .at(Location::bytes("a/long/path/of/a/conf.v1", 0..1))
        .hint("`chronon-run compile` compiles the conf again with Chronon's compile.py");
        let text = render(&[finding], &read, Colour::No, Some(60));
        insta::assert_snapshot!(text, @r"
        error[bad-conf]: a message that is longer than sixty
                         columns of a terminal can be
         --> a/long/path/of/a/conf.v1:1:1
          |
        1 | {
          | ^
          |
          = help: `chronon-run compile` compiles the conf again
                  with Chronon's compile.py

        1 error
        ");
        assert!(
            text.lines().all(|line| line.chars().count() <= 60),
            "{text}"
        );
    }

    proptest! {
        /// A file may have changed since it was read: no span may be a problem.
        #[test]
        fn any_span_of_any_file_can_be_shown(source in "(\\PC|\n|\t|\r){0,40}", start in 0..60_usize, length in 0..60_usize) {
            let finding = Diagnostic::error("x", "y").at(Location::bytes("f", start..start + length));
            let read = |_: &Path| Some(source.clone());
            prop_assert!(render(std::slice::from_ref(&finding), &read, Colour::No, None).contains("error[x]"));
            prop_assert!(to_json(&[finding], &read)[0]["line"].is_u64());
        }
    }
}
