//! With what an app was started, and what of it is another today.

use std::{collections::BTreeMap, fs, io, path::Path, time::UNIX_EPOCH};

use chronon_run_conf::edits::streaming_edits;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use chronon_run_spark::maven::{self, text_sha256};

/// What an app was started with.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct StartedWith {
    /// What the app reads of its compiled conf.
    pub conf: Value,
    /// Key of workspace.toml → the jar.
    pub jars: BTreeMap<String, Jar>,
    /// The online class.
    pub class: Option<String>,
    /// Name of a setting → a digest of its value, which may be a secret.
    pub settings: BTreeMap<String, String>,
}

/// The content of a jar.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Jar {
    /// Its path or address.
    pub place: String,
    /// Its SHA-256; empty for an address.
    pub sha256: String,
    bytes: u64,
    /// When it was changed, in milliseconds since the epoch.
    changed: u64,
}

impl Jar {
    /// The jar at `place`. Its checksum is taken from `known` if it has not been touched since.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn of(place: &str, known: Option<&Self>) -> io::Result<Self> {
        if place.contains("://") {
            return Ok(Self {
                place: place.to_owned(),
                ..Self::default()
            });
        }
        let data = fs::metadata(place)?;
        let changed = data.modified()?.duration_since(UNIX_EPOCH);
        let changed = changed.map_or(0, |at| u64::try_from(at.as_millis()).unwrap_or(0));
        let same = |jar: &&Self| {
            (jar.place.as_str(), jar.bytes, jar.changed) == (place, data.len(), changed)
        };
        if let Some(known) = known.filter(same) {
            return Ok(known.clone());
        }
        Ok(Self {
            place: place.to_owned(),
            sha256: maven::sha256(Path::new(place))?,
            bytes: data.len(),
            changed,
        })
    }

    /// Whether it holds other bytes; of an address, whether it is another one.
    fn differs(&self, other: &Self) -> bool {
        match self.sha256.is_empty() || other.sha256.is_empty() {
            true => self.place != other.place,
            false => self.sha256 != other.sha256,
        }
    }
}

impl StartedWith {
    /// Notes a setting.
    pub fn set(&mut self, name: impl Into<String>, value: &str) {
        self.settings.insert(name.into(), text_sha256(value));
    }

    /// Whether the app read another conf.
    #[must_use]
    pub fn has_other_conf(&self, today: &Self) -> bool {
        !streaming_edits(&self.conf, &today.conf).is_empty()
    }

    /// What is another today, in words; empty if nothing is.
    #[must_use]
    pub fn differences(&self, today: &Self) -> Vec<String> {
        let edits = streaming_edits(&self.conf, &today.conf);
        let mut found: Vec<String> = edits.iter().map(|path| format!("conf {path}")).collect();
        let names = self.jars.keys().chain(today.jars.keys());
        for name in unique(names) {
            let (before, after) = (self.jars.get(name), today.jars.get(name));
            let other = match (before, after) {
                (Some(before), Some(after)) => before.differs(after),
                _ => true,
            };
            if other {
                found.push(name.clone());
            }
        }
        if self.class != today.class {
            found.push("online_class".to_owned());
        }
        let names = self.settings.keys().chain(today.settings.keys());
        let other = unique(names)
            .into_iter()
            .filter(|name| self.settings.get(*name) != today.settings.get(*name));
        found.extend(other.cloned());
        found
    }
}

fn unique<'a>(names: impl Iterator<Item = &'a String>) -> Vec<&'a String> {
    let names: std::collections::BTreeSet<&String> = names.collect();
    names.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_differs_is_named_and_secrets_are_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("online.jar");
        fs::write(&path, "one").unwrap();
        let place = path.display().to_string();
        let mut before = StartedWith {
            conf: json!({"sources": [{"events": {"topic": "a"}}], "metaData": {"name": "g", "team": "x"}}),
            class: Some("a.B".to_owned()),
            ..StartedWith::default()
        };
        before
            .jars
            .insert("online_jar".to_owned(), Jar::of(&place, None).unwrap());
        before.set("spark.password", "hunter2");
        before.set("master", "yarn");
        assert!(!serde_json::to_string(&before).unwrap().contains("hunter2"));
        let mut today = before.clone();
        today.conf["metaData"]["team"] = json!("y");
        assert!(before.differences(&today).is_empty());

        today.conf["sources"][0]["events"]["topic"] = json!("b");
        today.class = Some("a.C".to_owned());
        today.set("spark.password", "other");
        fs::write(&path, "other").unwrap();
        let jar = Jar::of(&place, before.jars.get("online_jar")).unwrap();
        today.jars.insert("online_jar".to_owned(), jar);
        assert!(before.has_other_conf(&today));
        assert_eq!(
            before.differences(&today),
            [
                "conf sources.0.events.topic",
                "online_jar",
                "online_class",
                "spark.password"
            ]
        );
    }

    #[test]
    fn the_same_bytes_under_another_name_are_the_same_jar() {
        let folder = tempfile::tempdir().unwrap();
        let jar = |name: &str| {
            let path = folder.path().join(name);
            fs::write(&path, "one").unwrap();
            Jar::of(&path.display().to_string(), None).unwrap()
        };
        assert!(!jar("a").differs(&jar("b")));
        let remote = |place: &str| Jar::of(place, None).unwrap();
        assert!(remote("s3a://x/1").differs(&remote("s3a://x/2")));
        assert!(Jar::of("/no/such.jar", None).is_err());
    }
}
