//! Names of which one asset or table is meant.

use chronon_run_core::AssetId;

use crate::failure::Failure;

/// Fails if a name is empty: as a selector it would mean every asset.
pub fn named(name: &str) -> Result<(), Failure> {
    match name.trim().is_empty() {
        true => Err(Failure::hinted(
            "the name is empty",
            "name an asset, a conf or a table; `chronon-run ls` lists them",
        )),
        false => Ok(()),
    }
}

/// Why what a name selects is not one `noun`, e.g. `table`, but none or several.
pub fn not_one(name: &str, noun: &str, found: &[&AssetId]) -> Failure {
    if found.is_empty() {
        return Failure::hinted(
            format!("`{name}` selects no {noun} now"),
            format!("name one: `chronon-run ls` lists every {noun}"),
        );
    }
    let ids: Vec<String> = found.iter().map(ToString::to_string).collect();
    Failure::hinted(
        format!("`{name}` stands for {} {noun}s", ids.len()),
        format!("name one of {}", ids.join(", ")),
    )
}

#[cfg(test)]
mod tests {
    use chronon_run_core::{AssetKind, ConfType};

    use super::*;

    fn told(failure: Failure) -> (String, String) {
        match failure {
            Failure::Setup {
                message,
                hint: Some(hint),
            } => (message, hint),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_name_of_none_or_several_is_told_with_what_to_name_instead() {
        let (message, hint) = told(not_one("state:failed", "table", &[]));
        assert_eq!(message, "`state:failed` selects no table now");
        assert_eq!(hint, "name one: `chronon-run ls` lists every table");
        let ids = ["a", "b"].map(|name| AssetId::new(ConfType::Join, name, AssetKind::Backfill));
        let (message, hint) = told(not_one("x", "table", &ids.each_ref()));
        assert_eq!(message, "`x` stands for 2 tables");
        assert_eq!(hint, "name one of join/a/backfill, join/b/backfill");
    }

    #[test]
    fn an_empty_name_names_nothing() {
        for name in ["", "  "] {
            assert_eq!(told(named(name).unwrap_err()).0, "the name is empty");
        }
        assert!(named("team.a").is_ok());
    }
}
