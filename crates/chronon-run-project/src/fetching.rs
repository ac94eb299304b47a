//! What is served online for a key, by the workspace's own command, beside the row of the same key in the table.

use std::{fs, path::PathBuf};

use chronon_run_conf::GroupBy;
use chronon_run_core::{AssetId, AssetKind, Column, ConfType, Ds};
use chronon_run_process::Stop;
use chronon_run_rows::{Form, Value, Writer, text_of};
use serde::Serialize;
use serde_json::{Map, json};

use crate::{
    engines::kv,
    failure::Failure,
    listing::session::CatalogSession,
    loading::project::Project,
    program::{now_millis, own_watchdog},
    rows::{self, Found, Place, Target},
    runs::hooks::{Call, Hooks},
};

/// What was found for a key.
#[derive(Serialize)]
pub struct Fetched {
    /// The GroupBy.
    pub group_by: String,
    /// Its data set in the KV store.
    pub dataset: String,
    /// The key.
    pub keys: Map<String, serde_json::Value>,
    /// What the command printed; null if it printed nothing.
    pub online: serde_json::Value,
    /// The day of the table that `batch` is of.
    pub ds: Option<Ds>,
    /// The rows of the key on that day.
    pub batch: Vec<serde_json::Value>,
    /// Why there is no batch value, if the table or day is not there.
    pub no_batch: Option<String>,
}

impl Fetched {
    /// A line for the key, one for what is served, and one for each row of the table.
    #[must_use]
    pub fn text(&self) -> String {
        let keys = serde_json::Value::Object(self.keys.clone());
        let mut text = format!("{} {keys}\n", self.group_by);
        text += &match &self.online {
            serde_json::Value::Null => format!("online  nothing in {}\n", self.dataset),
            value => format!("online  {value}\n"),
        };
        let day = self.ds.map(|day| format!(" {day}")).unwrap_or_default();
        for row in &self.batch {
            text += &format!("batch{day}  {row}\n");
        }
        if self.batch.is_empty() {
            let why = self.no_batch.as_deref().unwrap_or("no row of this key");
            text += &format!("batch{day}  {why}\n");
        }
        text
    }
}

/// Asks the command `kv_get` for a key, `NAME=VALUE` for each key column, and the table for its row.
pub fn fetch(
    context: &Project,
    name: &str,
    day: Option<Ds>,
    keys: &[String],
) -> Result<Fetched, Failure> {
    let conf = group_by(context, name)?;
    let name = conf.meta_data.name.clone();
    let template = context.workspace.hooks.kv_get.clone().ok_or_else(|| {
        Failure::hinted(
            "no command reads the KV store of this workspace",
            "set it in workspace.toml:\n[hooks]\nkv_get = [\"python3\", \"hooks/get_redis.py\", \"{dataset}\", \"{key}\"]",
        )
    })?;
    let given = given(conf, keys)?;
    let warehouse = CatalogSession::look(&context.workspace)?;
    let batch = batch(context, &warehouse, &name, day, &given);
    let (place, batch, no_batch) = match batch {
        Ok((place, batch)) => (Some(place), batch, None),
        Err(Failure::NotFilled { message, .. }) => (None, Vec::new(), Some(message)),
        Err(other) => return Err(other),
    };
    let columns = place
        .as_ref()
        .map(|place| place.storage.info.columns.as_slice());
    let keys = typed(&given, columns.unwrap_or_default())?;
    let upload = AssetId::new(ConfType::GroupBy, &name, AssetKind::Kv);
    let dataset = kv::dataset(&upload);
    let online = ask(context, &template, &name, &dataset, &keys)?;
    Ok(Fetched {
        group_by: name,
        dataset,
        keys,
        online,
        ds: place.and_then(|place| place.day),
        batch,
        no_batch,
    })
}

/// The GroupBy of a conf's name or of the id of one of its assets.
fn group_by<'p>(context: &'p Project, name: &str) -> Result<&'p GroupBy, Failure> {
    let of_id = name.parse::<AssetId>().ok().map(|id| id.conf.name);
    let found = context.repo.group_bys.get(of_id.as_deref().unwrap_or(name));
    let found = found.map(|file| &file.conf);
    found.ok_or_else(|| {
        Failure::hinted(
            format!("there is no GroupBy `{name}`"),
            "`chronon-run ls type:group_by` lists them; only what a GroupBy uploads can be fetched",
        )
    })
}

/// The value of each key column, in the order of the conf.
fn given(conf: &GroupBy, keys: &[String]) -> Result<Vec<(String, String)>, Failure> {
    let wanted = conf.key_columns.join(", ");
    let example = || {
        let all = conf
            .key_columns
            .iter()
            .map(|name| format!("--key {name}=VALUE"));
        all.collect::<Vec<_>>().join(" ")
    };
    let failed = |what: String| Failure::hinted(what, format!("give `{}`", example()));
    let mut pairs = Vec::new();
    for key in keys {
        let Some((name, value)) = key.split_once('=') else {
            return Err(failed(format!("`{key}` is not NAME=VALUE")));
        };
        if !conf.key_columns.iter().any(|known| known == name) {
            return Err(failed(format!(
                "`{name}` is no key of {}; its keys are {wanted}",
                conf.meta_data.name
            )));
        }
        pairs.push((name.to_owned(), value.to_owned()));
    }
    let value = |name: &String| {
        let mut found = pairs.iter().filter(|(known, _)| known == name);
        match (found.next(), found.next()) {
            (Some(pair), None) => Ok(pair.clone()),
            (None, _) => Err(failed(format!("the key `{name}` is missing"))),
            (Some(_), Some(_)) => Err(failed(format!("the key `{name}` is given twice"))),
        }
    };
    conf.key_columns.iter().map(value).collect()
}

/// The rows of a key on a day of the GroupBy's own table.
fn batch(
    context: &Project,
    warehouse: &CatalogSession,
    name: &str,
    day: Option<Ds>,
    keys: &[(String, String)],
) -> Result<(Place, Vec<serde_json::Value>), Failure> {
    let id = AssetId::new(ConfType::GroupBy, name, AssetKind::Backfill);
    let Some(index) = context.graph.find(&id) else {
        let what = format!("{name} has no table of its own: it has no `backfill_start_date`");
        return Err(rows::not_filled(&what, ""));
    };
    let target = Target {
        table: context.graph.assets[index].table.clone(),
        asset: Some(id),
    };
    let place = Place::of(context, warehouse, &target, name, day)?;
    let found = match warehouse.catalog() {
        Some(catalog) => rows::find(catalog, &place)?,
        None => Found::NeedsSpark("there is no catalog".to_owned()),
    };
    let answer;
    let scan = match &found {
        Found::Rows(scan) => scan,
        Found::NeedsSpark(_) => {
            let query = rows::select(&place, &[], None);
            answer = rows::rows_of(context, warehouse, &query, None)?;
            &answer.scan
        }
    };
    let columns = scan.columns();
    let places: Vec<(usize, &str)> = keys
        .iter()
        .filter_map(|(name, value)| {
            let mut columns = columns.iter();
            let at = columns.position(|column| column.name.eq_ignore_ascii_case(name))?;
            Some((at, value.as_str()))
        })
        .collect();
    let is_wanted = |row: &Vec<Value>| {
        places
            .iter()
            .all(|(at, value)| text_of(&row[*at]) == *value)
    };
    let wanted = scan
        .rows(None)
        .filter(|row| row.as_ref().map_or(true, is_wanted));
    let mut text = Vec::new();
    let writer = Writer::new(&columns, Form::Json, &mut text);
    writer.write(wanted).map_err(rows::failure)?;
    let batch = serde_json::from_slice(&text).map_err(Failure::setup)?;
    Ok((place, batch))
}

/// The key as the upload writes it: numbers as numbers, as far as the types are known.
fn typed(
    keys: &[(String, String)],
    columns: &[Column],
) -> Result<Map<String, serde_json::Value>, Failure> {
    let one = |(name, text): &(String, String)| {
        let mut columns = columns.iter();
        let column = columns.find(|column| column.name.eq_ignore_ascii_case(name));
        let kind = column
            .map(|column| column.data_type.to_lowercase())
            .unwrap_or_default();
        let plain = [
            "tinyint", "smallint", "int", "bigint", "float", "double", "boolean",
        ];
        let value = match plain.contains(&kind.as_str()) {
            true => serde_json::from_str(text)
                .ok()
                .filter(|value: &serde_json::Value| value.is_number() || value.is_boolean())
                .ok_or_else(|| {
                    Failure::setup(format!("`{text}` is no {kind}, which the key `{name}` is"))
                })?,
            false => json!(text),
        };
        Ok((name.clone(), value))
    };
    keys.iter().map(one).collect()
}

/// What the command prints, as JSON; as text if it is none.
fn ask(
    context: &Project,
    template: &[String],
    group_by: &str,
    dataset: &str,
    keys: &Map<String, serde_json::Value>,
) -> Result<serde_json::Value, Failure> {
    let key = serde_json::Value::Object(keys.clone()).to_string();
    let name = format!("kv-get-{}-{}.log", now_millis(), std::process::id());
    let folder: PathBuf = context.workspace.state_dir.join("queries");
    fs::create_dir_all(&folder)?;
    let log = folder.join(name);
    let call = Call {
        hook: "kv_get",
        template: template.to_vec(),
        values: vec![
            ("dataset", dataset.to_owned()),
            ("group_by", group_by.to_owned()),
            ("key", key),
        ],
        event: json!({"event": "get", "group_by": group_by, "dataset": dataset, "keys": keys}),
        log: log.clone(),
    };
    let watchdog = own_watchdog(context.workspace.run.grace)?;
    let done = Hooks::new(&context.workspace, &watchdog).run(&call, &Stop::new());
    let printed = fs::read(&log).unwrap_or_default();
    let _ = fs::remove_file(&log);
    let printed = String::from_utf8_lossy(&printed);
    let printed = printed.trim();
    if let Err(error) = done {
        let error = error.to_string();
        let how = error.split("; log:").next().unwrap_or_default();
        let last = printed.lines().last().unwrap_or("it printed nothing");
        return Err(Failure::setup(format!("hook kv_get: {how}: {last}")));
    }
    match printed {
        "" => Ok(serde_json::Value::Null),
        text => Ok(serde_json::from_str(text).unwrap_or_else(|_| json!(text))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_served_is_shown_beside_the_rows_of_the_table() {
        let mut found = Fetched {
            group_by: "team.g".to_owned(),
            dataset: "TEAM_G_BATCH".to_owned(),
            keys: Map::from_iter([("user".to_owned(), json!("u1"))]),
            online: serde_json::Value::Null,
            ds: None,
            batch: Vec::new(),
            no_batch: Some("the table does not exist yet".to_owned()),
        };
        let nothing = "team.g {\"user\":\"u1\"}
online  nothing in TEAM_G_BATCH
batch  the table does not exist yet
";
        assert_eq!(found.text(), nothing);
        found.online = json!({"n": 2});
        found.ds = "2026-01-02".parse().ok();
        found.no_batch = None;
        assert!(
            found
                .text()
                .ends_with("batch 2026-01-02  no row of this key\n")
        );
        found.batch = vec![json!({"n": 1})];
        let both = "online  {\"n\":2}\nbatch 2026-01-02  {\"n\":1}\n";
        assert!(found.text().ends_with(both), "{}", found.text());
    }
}
