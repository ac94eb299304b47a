//! The JSON Schema of `workspace.toml`, written from the table of keys: editors complete and check with it.

use serde_json::{Map, Value, json};

use crate::{
    keys::{KEYS, Key},
    reference::SECTIONS,
};

/// The schema, of draft 7, which the TOML language servers read.
#[must_use]
pub fn schema() -> Value {
    let mut sections = Map::new();
    for (section, heading, about) in SECTIONS {
        let (name, value) = section_schema(section, heading, about);
        sections.insert(name, value);
    }
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "workspace.toml of chronon-run",
        "type": "object",
        "additionalProperties": false,
        "properties": sections,
    })
}

/// The name of a section in the file, and what it may hold.
fn section_schema(section: &str, heading: &str, about: &str) -> (String, Value) {
    let keys = KEYS.iter().filter(|key| key.section == section);
    let properties: Map<String, Value> = keys
        .map(|key| (key.key.to_owned(), key_schema(key)))
        .collect();
    let table = json!({
        "type": "object",
        "description": plain(about),
        "additionalProperties": false,
        "properties": properties,
    });
    let name = section.split(".<").next().unwrap_or(section).to_owned();
    let value = if heading.starts_with("[[") {
        json!({ "type": "array", "description": plain(about), "items": table })
    } else if !section.contains('<') {
        table
    } else {
        // A seed may be the path of its file.
        let one = match name.as_str() {
            "seeds" => json!({ "anyOf": [{ "type": "string" }, table] }),
            _ => table,
        };
        json!({ "type": "object", "description": plain(about), "additionalProperties": one })
    };
    (name, value)
}

fn key_schema(key: &Key) -> Value {
    let mut schema = kind_schema(key.kind);
    if let Some(found) = schema.as_object_mut() {
        found.insert("description".to_owned(), plain(key.meaning).into());
        if let Some(default) = key.default.and_then(toml_value) {
            found.insert("default".to_owned(), default);
        }
        if let Some(example) = toml_value(key.example) {
            found.insert("examples".to_owned(), json!([example]));
        }
    }
    schema
}

/// A value as the table of keys writes it, as JSON.
fn toml_value(text: &str) -> Option<Value> {
    let document: toml::Table = format!("value = {text}").parse().ok()?;
    serde_json::to_value(document.get("value")?).ok()
}

/// What a kind of value allows, from its words in the reference.
fn kind_schema(kind: &str) -> Value {
    let (first, rest) = kind.split_once(" or a ").unwrap_or((kind, ""));
    if first.starts_with('`') {
        let names: Vec<&str> = first.split('`').skip(1).step_by(2).collect();
        let names = json!({ "type": "string", "enum": names });
        return match rest.is_empty() {
            true => names,
            false => json!({ "anyOf": [names, kind_schema(rest)] }),
        };
    }
    match kind {
        "day" => json!({ "type": "string", "pattern": DAY }),
        "duration" => json!({ "type": "string", "pattern": DURATION }),
        "number" => json!({ "type": "integer", "minimum": 0 }),
        "boolean" => json!({ "type": "boolean" }),
        "share" => json!({ "type": "number", "minimum": 0 }),
        "table of shares, by column" => json!({
            "type": "object",
            "additionalProperties": { "type": "number", "minimum": 0, "maximum": 1 },
        }),
        "table of lists, by column" => json!({
            "type": "object",
            "additionalProperties": { "type": "array", "items": { "type": ["string", "number", "boolean"] } },
        }),
        "table of lists, by run.py mode" => json!({
            "type": "object",
            "additionalProperties": { "type": "array", "items": { "type": "string" } },
        }),
        kind if kind.starts_with("table of Spark properties") => json!({
            "type": "object",
            "additionalProperties": { "type": ["string", "number", "boolean"] },
        }),
        kind if kind.starts_with("table of ") => {
            json!({ "type": "object", "additionalProperties": { "type": "string" } })
        }
        kind if kind.starts_with("list of ") => {
            json!({ "type": "array", "items": { "type": "string" } })
        }
        _ => json!({ "type": "string" }),
    }
}

const DAY: &str = r"^\d{4}-\d{2}-\d{2}$";
const DURATION: &str = r"^\s*(\d+\s*[a-zA-Z]+\s*)+$";

/// Text without the marks of Markdown.
fn plain(text: &str) -> String {
    text.replace('`', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn property<'a>(schema: &'a Value, path: &[&str]) -> &'a Value {
        path.iter().fold(schema, |schema, name| {
            let schema = match schema.get("items") {
                Some(items) => items,
                None => schema,
            };
            &schema["properties"][*name]
        })
    }

    #[test]
    fn every_key_is_in_the_schema_with_its_type() {
        let schema = schema();
        for key in KEYS {
            let name = key.section.split(".<").next().unwrap();
            let section = &schema["properties"][name];
            let table = match (key.section.contains('<'), name) {
                (true, "seeds") => &section["additionalProperties"]["anyOf"][1],
                (true, _) => &section["additionalProperties"],
                (false, _) => section,
            };
            let found = property(table, &[key.key]);
            assert!(found["description"].is_string(), "{name}.{}", key.key);
        }
    }

    /// The default and the example of every key are values of its own type: a new kind of value
    /// that nothing here knows fails.
    #[test]
    fn defaults_and_examples_fit_their_own_schema() {
        for key in KEYS {
            let schema = kind_schema(key.kind);
            for text in key.default.into_iter().chain([key.example]) {
                let value = toml_value(text).unwrap();
                assert!(fits(&value, &schema), "{}: {value} {schema}", key.key);
            }
        }
    }

    fn fits(value: &Value, schema: &Value) -> bool {
        if let Some(any) = schema["anyOf"].as_array() {
            return any.iter().any(|schema| fits(value, schema));
        }
        if let Some(names) = schema["enum"].as_array() {
            return names.contains(value);
        }
        match schema["type"].as_str() {
            Some("string") => value.is_string(),
            Some("integer") => value.is_u64(),
            Some("number") => value.is_number(),
            Some("boolean") => value.is_boolean(),
            Some("array") => {
                let mut items = value.as_array().unwrap().iter();
                items.all(|item| fits(item, &schema["items"]))
            }
            Some("object") => value.is_object(),
            _ => false,
        }
    }

    #[test]
    fn names_in_backquotes_are_the_only_values() {
        let schema = schema();
        let kind = property(&schema, &["engine", "kind"]);
        assert_eq!(kind["enum"], json!(["sql", "chronon"]));
        let apps = property(&schema, &["streaming", "list_apps"]);
        assert_eq!(apps["anyOf"][0]["enum"], json!(["local", "spark", "yarn"]));
        assert_eq!(apps["anyOf"][1]["type"], "array");
        let repo = property(&schema, &["workspace", "production"]);
        assert_eq!(repo["type"], "string");
    }
}
