//! Addresses of pages: relative, so that the same pages work below any path and as files.

use chronon_run_core::{AssetId, Ds};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// How pages refer to each other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Links {
    /// From this page to the top: empty or `../`.
    pub(crate) root: &'static str,
    /// Whether the pages are files of a folder, without a server.
    pub(crate) site: bool,
}

const KEPT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// The longest slug, so that with `.html` it is a name that every file system takes.
const LONGEST: usize = 180;

/// The name of an asset's page: its id with `~` for `/`, other characters as `=XX`.
pub(crate) fn slug(asset: &AssetId) -> String {
    let text = asset.to_string();
    let mut slug = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'/' => slug.push('~'),
            b'-' | b'_' | b'.' => slug.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => slug.push(char::from(byte)),
            byte => slug.push_str(&format!("={byte:02X}")),
        }
    }
    if slug.len() > LONGEST {
        let digest = crate::cache::digest(text.as_bytes());
        slug.truncate(LONGEST - 17);
        slug.push_str(&format!("={digest:016x}"));
    }
    slug
}

/// `value` as a part of a query.
pub(crate) fn query(value: &str) -> String {
    utf8_percent_encode(value, KEPT).to_string()
}

impl Links {
    pub(crate) const fn top() -> Self {
        Self {
            root: "",
            site: false,
        }
    }

    pub(crate) const fn below() -> Self {
        Self {
            root: "../",
            site: false,
        }
    }

    pub(crate) const fn in_site(self) -> Self {
        Self { site: true, ..self }
    }

    fn suffix(self) -> &'static str {
        if self.site { ".html" } else { "" }
    }

    /// A page of the top folder, e.g. `runs`; the empty name is the overview.
    pub(crate) fn page(self, name: &str) -> String {
        match (name, self.site, self.root) {
            ("", true, root) => format!("{root}index.html"),
            ("", false, "") => "./".to_owned(),
            ("", false, root) => root.to_owned(),
            (name, _, root) => format!("{root}{name}{}", self.suffix()),
        }
    }

    pub(crate) fn file(self, name: &str) -> String {
        format!("{}static/{name}", self.root)
    }

    pub(crate) fn asset(self, asset: &AssetId) -> String {
        format!("{}asset/{}{}", self.root, slug(asset), self.suffix())
    }

    /// The page of an asset's columns.
    pub(crate) fn columns(self, asset: &AssetId) -> String {
        format!("{}columns/{}{}", self.root, slug(asset), self.suffix())
    }

    /// The page of an asset with one of its days chosen. A folder has the newest day only.
    pub(crate) fn day(self, asset: &AssetId, ds: Ds) -> String {
        match self.site {
            true => format!("{}#d{ds}", self.asset(asset)),
            false => format!("{}?ds={ds}#day", self.asset(asset)),
        }
    }

    pub(crate) fn run(self, run: &str) -> String {
        format!("{}run/{}{}", self.root, query(run), self.suffix())
    }

    /// A step of a run, with its last or the given attempt.
    pub(crate) fn step(self, run: &str, step: u32, attempt: Option<u32>) -> String {
        let attempt = attempt.map(|attempt| format!("&attempt={attempt}"));
        match self.site {
            true => format!("{}#step-{step}", self.run(run)),
            false => format!(
                "{}?step={step}{}#step",
                self.run(run),
                attempt.unwrap_or_default()
            ),
        }
    }

    pub(crate) fn assets_in(self, state: &str) -> String {
        match self.site {
            true => self.page("assets"),
            false => format!("{}?state={state}", self.page("assets")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_is_a_plain_file_name_whatever_the_asset_is_called() {
        let plain: AssetId = "join/a.b_c/part/x_y".parse().unwrap();
        assert_eq!(slug(&plain), "join~a.b_c~part~x_y");
        for name in [
            "a/../../etc",
            "<script>",
            "ü\u{1b}[31m",
            &"long".repeat(200),
        ] {
            let asset = AssetId::new(
                chronon_run_core::ConfType::Join,
                name,
                chronon_run_core::AssetKind::Backfill,
            );
            let slug = slug(&asset);
            assert!(slug.len() <= LONGEST, "{slug}");
            let kept = |c: char| c.is_ascii_alphanumeric() || "-_.~=".contains(c);
            assert!(slug.chars().all(kept), "{slug}");
        }
    }

    #[test]
    fn long_names_that_differ_at_their_ends_have_different_pages() {
        let asset = |end: &str| {
            let name = format!("{}{end}", "a".repeat(300));
            AssetId::new(
                chronon_run_core::ConfType::Join,
                &name,
                chronon_run_core::AssetKind::Backfill,
            )
        };
        assert_ne!(slug(&asset("1")), slug(&asset("2")));
    }
}
