//! Names of files that are no data and no confs, although they lie beside them.

/// Whether a file's name is one that editors, merges and people give to what only lies beside other files:
/// backups, copies, notes.
#[must_use]
pub fn is_stray(name: &str) -> bool {
    const ENDINGS: [&str; 18] = [
        "~", ".bak", ".backup", ".copy", ".diff", ".lock", ".md", ".old", ".orig", ".patch", ".py",
        ".pyc", ".rej", ".rst", ".swo", ".swp", ".tmp", ".txt",
    ];
    const NAMES: [&str; 6] = [
        "thumbs.db",
        "desktop.ini",
        "readme",
        "license",
        "owners",
        "4913",
    ];
    let name = name.to_lowercase();
    let ends = ENDINGS.iter().any(|ending| name.ends_with(ending));
    let emacs = name.starts_with('#') && name.ends_with('#');
    ends || emacs || name.starts_with("~$") || NAMES.contains(&name.as_str()) || is_copy(&name)
}

/// Whether it is a name that file managers give to a copy: `x (copy).csv`, `x copy 2.csv`, `x - Copy.csv`.
fn is_copy(name: &str) -> bool {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    [name, stem].into_iter().any(|text| {
        let is_number = |letter: char| letter.is_ascii_digit() || matches!(letter, ' ' | '(' | ')');
        let text = text.trim_end_matches(is_number);
        text.ends_with(" copy") || text.ends_with("(copy")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backups_copies_and_notes_are_told_from_what_lies_beside_them() {
        for name in [
            "x.csv~",
            "x.csv.bak",
            "x (copy).csv",
            "x (copy 2).csv",
            "x (another copy).csv",
            "x copy.csv",
            "x copy 2.csv",
            "x - Copy.csv",
            "x - Copy (2).csv",
            "events.v1 (copy)",
            "README.md",
            "#x.csv#",
            "~$x.csv",
        ] {
            assert!(is_stray(name), "{name}");
        }
        for name in [
            "x.csv",
            "copy.csv",
            "copy",
            "x_copy.csv",
            "v1",
            "part-00000",
            "x (1).csv",
        ] {
            assert!(!is_stray(name), "{name}");
        }
    }
}
