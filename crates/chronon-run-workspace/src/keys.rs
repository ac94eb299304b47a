//! Every key of `workspace.toml`, once: what it is called, holds, defaults to and means.

/// One key.
pub(crate) struct Key {
    /// The section it belongs to.
    pub(crate) section: &'static str,
    /// Its name.
    pub(crate) key: &'static str,
    /// What it holds, in words.
    pub(crate) kind: &'static str,
    /// Its default as TOML, if it has one that can be written down.
    pub(crate) default: Option<&'static str>,
    /// A value as TOML.
    pub(crate) example: &'static str,
    /// What it means; what happens without it, if `default` does not say.
    pub(crate) meaning: &'static str,
}

/// The documentation of `key` in `section`.
pub(crate) fn find(section: &str, key: &str) -> Option<&'static Key> {
    KEYS.iter()
        .find(|doc| doc.section == section && doc.key == key)
}

/// The section that has `key`, if exactly one has.
pub(crate) fn section_of(key: &str) -> Option<&'static str> {
    let mut sections = KEYS.iter().filter(|doc| doc.key == key);
    let first = sections.next()?;
    sections.next().is_none().then_some(first.section)
}

/// How a section starts in the file, as code.
pub(crate) fn header(section: &str) -> String {
    match section {
        "override" => "`[[override]]`".to_owned(),
        "seeds" | "seeds.<table>" => "`[seeds.\"db.table\"]`".to_owned(),
        "sources" | "sources.<table>" => "`[sources.\"db.table\"]`".to_owned(),
        other => format!("`[{other}]`"),
    }
}

pub(crate) const KEYS: &[Key] = &[];
