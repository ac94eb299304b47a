//! Whole repos: the golden one as it is, and edited until it is wrong.

#![expect(clippy::unwrap_used, reason = "a test stops at whatever it cannot do")]

use std::{fs, path::Path};

use chronon_run_conf::{ConfRepo, GroupBy, Join, Loaded, StagingQuery};
use chronon_run_core::Diagnostic;
use proptest::prelude::*;
use tempfile::TempDir;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/a/repo");

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

struct Repo(TempDir);

impl Repo {
    fn golden() -> Self {
        let folder = tempfile::tempdir().unwrap();
        copy(
            &Path::new(GOLDEN).join("production"),
            &folder.path().join("production"),
        );
        fs::copy(
            Path::new(GOLDEN).join("teams.json"),
            folder.path().join("teams.json"),
        )
        .unwrap();
        Self(folder)
    }

    fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.0.path().join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file} has no {from}");
        fs::write(path, text.replacen(from, to, 1)).unwrap();
    }

    fn load(&self) -> Loaded {
        ConfRepo::load(self.0.path(), "production")
    }

    /// Every finding as `code path:text of the span: message`.
    fn findings(&self) -> Vec<String> {
        let loaded = self.load();
        let all = loaded.diagnostics.into_iter().chain(loaded.repo.check());
        all.map(|finding| self.text(&finding)).collect()
    }

    fn text(&self, finding: &Diagnostic) -> String {
        let location = finding.location.as_ref().unwrap();
        let path = location
            .path
            .strip_prefix(self.0.path())
            .unwrap_or(&location.path);
        let file = fs::read_to_string(self.0.path().join(path)).unwrap_or_default();
        let span = location.span.clone().map_or("", |span| &file[span]);
        format!(
            "{} {}[{span}]: {}",
            finding.code,
            path.display(),
            finding.message
        )
    }
}

#[test]
fn the_golden_repo_is_read_without_a_finding() {
    let repo = Repo::golden();
    assert_eq!(repo.findings(), Vec::<String>::new());
    let loaded = repo.load().repo;
    assert_eq!(
        (
            loaded.group_bys.len(),
            loaded.joins.len(),
            loaded.staging_queries.len()
        ),
        (17, 13, 3)
    );
    let join = &loaded.joins["stays.search_train.v1"];
    assert_eq!(
        join.path,
        Path::new("production/joins/stays/search_train.v1")
    );
    assert_eq!(join.conf.join_parts.len(), 9);
}

#[test]
fn every_finding_points_at_its_place() {
    let repo = Repo::golden();
    repo.edit(
        "production/joins/stays/online.v1",
        "\"team\": \"stays\"",
        "\"team\": \"stay\"",
    );
    repo.edit(
        "production/group_bys/stays/listings.dim_v1",
        "\"startPartition\": \"2026-01-02\"",
        "\"startPartition\": \"2026-02-30\"",
    );
    repo.edit(
        "production/group_bys/trust/hosts.profile_v1",
        "\"superhost\": \"superhost\"",
        "\"superhost\": \"NOT superhost\"",
    );
    repo.edit(
        "production/joins/stays/search_train.v1",
        r#"[\"--step-days\", \"5\"]"#,
        r#"\"--step-days 5\""#,
    );
    let findings = repo.findings();
    let has = |wanted: &str| {
        assert!(
            findings.iter().any(|finding| finding.starts_with(wanted)),
            "{wanted} is not in {findings:#?}"
        )
    };
    has(
        "unknown-team production/joins/stays/online.v1[\"stay\"]: team `stay` is not in teams.json",
    );
    has(
        "bad-day production/group_bys/stays/listings.dim_v1[\"2026-02-30\"]: `startPartition`: `2026-02-30` is not a day",
    );
    has(
        "additional-args production/joins/stays/search_train.v1[\"customJson\"]: `additional_args` is not a list of texts",
    );
    // The joins still embed the GroupBys as they were (§10.9).
    has(
        "drift production/joins/stays/search_train.v1[\"trust.hosts.profile_v1\"]: the embedded copy of GroupBy `trust.hosts.profile_v1` differs from production/group_bys/trust/hosts.profile_v1",
    );
}

#[test]
fn a_table_that_the_declared_dependencies_leave_out_is_named_where_the_query_reads_it() {
    let repo = Repo::golden();
    repo.edit(
        "production/staging_queries/stays/sessions.daily_v1",
        "FROM lake.searches",
        "FROM Lake.Extra JOIN lake.searches",
    );
    repo.edit(
        "production/staging_queries/stays/sessions.daily_v1",
        "SELECT",
        "SELECT '{{ max_date(table=lake.newest) }}', (SELECT 1 FROM lake.newest), lake.extra_b,",
    );
    let findings = repo.findings();
    assert_eq!(
        findings,
        [
            "undeclared-dependency production/staging_queries/stays/sessions.daily_v1[Lake.Extra]: `stays.sessions.daily_v1` reads lake.extra, which its dependencies leave out: days are filled whether or not lake.extra has them"
        ]
    );
}

#[test]
fn tables_of_subqueries_in_expressions_are_named_where_they_are_read() {
    let repo = Repo::golden();
    repo.edit(
        "production/group_bys/trust/hosts.profile_v1",
        "\"superhost\": \"superhost\"",
        "\"superhost\": \"superhost AND h IN (SELECT h FROM lake.extra)\"",
    );
    let findings = repo.findings();
    let found = findings
        .iter()
        .filter(|finding| finding.starts_with("undeclared-dependency"));
    let found: Vec<&String> = found.collect();
    assert_eq!(
        found,
        [
            "undeclared-dependency production/group_bys/trust/hosts.profile_v1[lake.extra]: `trust.hosts.profile_v1` reads lake.extra in a subquery of `selects` or `wheres`: it is not waited for"
        ]
    );
}

#[test]
fn one_table_has_one_writer() {
    let repo = Repo::golden();
    let text = fs::read_to_string(
        repo.0
            .path()
            .join("production/staging_queries/stays/sessions.daily_v1"),
    )
    .unwrap();
    // The name differs from the GroupBy's only in a character that is cleaned (§3).
    let text = text.replace("stays.sessions.daily_v1", "stays.listings-dim_v1");
    fs::write(
        repo.0
            .path()
            .join("production/staging_queries/stays/listings-dim_v1"),
        text,
    )
    .unwrap();
    let findings = repo.findings();
    assert_eq!(findings.len(), 2, "{findings:#?}");
    assert!(findings[0].starts_with("table-twice production/group_bys/stays/listings.dim_v1[]: `stays.listings.dim_v1` writes stays_out.stays_listings_dim_v1, and so does `stays.listings-dim_v1`"), "{findings:#?}");
    let hints = |repo: &Repo| {
        let found = repo.load().repo.check().into_iter();
        found
            .map(|finding| finding.hint.unwrap())
            .collect::<Vec<_>>()
    };
    assert!(hints(&repo)[0].starts_with("rename one of them"));
    let folder = repo.0.path().join("production/staging_queries/stays");
    fs::rename(
        folder.join("listings-dim_v1"),
        folder.join("listings_saved"),
    )
    .unwrap();
    let wanted = "delete production/staging_queries/stays/listings_saved if it is a copy: compile.py does not write `stays.listings-dim_v1` there";
    assert_eq!(hints(&repo), [wanted, wanted]);
}

#[test]
fn broken_files_do_not_hide_the_others() {
    let repo = Repo::golden();
    let half = "production/joins/stays/sessions.v1";
    let text = fs::read_to_string(repo.0.path().join(half)).unwrap();
    fs::write(repo.0.path().join(half), &text[..text.len() / 2]).unwrap();
    repo.edit(
        "production/group_bys/stays/bookings.union_v1",
        "\"operation\": 7",
        "\"operation\": 70",
    );
    repo.edit(
        "production/group_bys/stays/rates.mutable_v1",
        "\"team\": \"stays\"",
        "\"squad\": \"stays\"",
    );
    fs::write(
        repo.0.path().join("production/joins/stays/.hidden"),
        "not json",
    )
    .unwrap();
    let loaded = repo.load();
    let codes: Vec<&str> = loaded
        .diagnostics
        .iter()
        .map(|finding| finding.code)
        .collect();
    assert_eq!(codes, ["bad-conf", "unnamed-conf", "bad-conf"]);
    assert!(
        loaded.diagnostics[0]
            .message
            .contains("70 is not a Chronon Operation"),
        "{:?}",
        loaded.diagnostics[0]
    );
    assert_eq!(
        (loaded.repo.group_bys.len(), loaded.repo.joins.len()),
        (15, 12)
    );
}

#[test]
fn a_folder_that_is_no_repo_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let codes: Vec<&str> = ConfRepo::load(folder.path(), "production")
        .diagnostics
        .iter()
        .map(|finding| finding.code)
        .collect();
    assert_eq!(codes, ["no-teams", "no-production"]);
}

/// A golden conf with some bytes overwritten, cut off, or with a value of another type.
fn mutated() -> impl Strategy<Value = (usize, Vec<(usize, u8)>, Option<usize>)> {
    (
        0..33_usize,
        prop::collection::vec(
            (
                0..20_000_usize,
                prop::sample::select(b"{}[]\",:019tnx\\ \xff".to_vec()),
            ),
            0..6,
        ),
        prop::option::of(0..20_000_usize),
    )
}

proptest! {
    #[test]
    fn no_conf_makes_it_panic((which, bytes, cut) in mutated()) {
        let mut files: Vec<_> = ["group_bys", "joins", "staging_queries"].iter()
            .flat_map(|folder| fs::read_dir(Path::new(GOLDEN).join("production").join(folder)).unwrap())
            .flat_map(|team| fs::read_dir(team.unwrap().path()).unwrap())
            .map(|file| file.unwrap().path())
            .collect();
        files.sort();
        let file = &files[which % files.len()];
        let mut text = fs::read(file).unwrap();
        for (at, byte) in bytes {
            let length = text.len();
            text[at % length] = byte;
        }
        if let Some(cut) = cut {
            text.truncate(cut % text.len());
        }
        let folder = tempfile::tempdir().unwrap();
        let relative = file.strip_prefix(GOLDEN).unwrap();
        let target = folder.path().join(relative);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::write(&target, &text).unwrap();
        fs::copy(Path::new(GOLDEN).join("teams.json"), folder.path().join("teams.json")).unwrap();
        let loaded = ConfRepo::load(folder.path(), "production");
        let read = loaded.repo.group_bys.len() + loaded.repo.joins.len() + loaded.repo.staging_queries.len();
        prop_assert_eq!(read + loaded.diagnostics.len(), 1);
        let _ = (loaded.repo.check(), loaded.repo.check_driver());
        // Whatever the type, reading is only ever an answer.
        let text = String::from_utf8_lossy(&text);
        let _ = serde_json::from_str::<GroupBy>(&text);
        let _ = serde_json::from_str::<Join>(&text);
        let _ = serde_json::from_str::<StagingQuery>(&text);
    }
}
