//! `examples/stays` hangs together: run in order of the data, every conf fills its table from the
//! seeds and from what the confs before it wrote.

#![allow(clippy::unwrap_used, reason = "a test helper panics")]

use std::{collections::BTreeMap, path::Path};

use chronon_run_core::{CatalogSnapshot, Ds, PartitionRange, RangeSet};
use chronon_run_testkit::driver::{self, Facts, Write};

/// The partitions of a seed, from its file.
fn seed(data: &Path, table: &str, column: &str) -> Write {
    let text = std::fs::read_to_string(data.join(format!("{table}.csv"))).unwrap();
    let header: Vec<&str> = text.lines().next().unwrap().split(',').collect();
    let index = header.iter().position(|name| *name == column).unwrap();
    let days = text
        .lines()
        .skip(1)
        .map(|line| line.split(',').nth(index).unwrap().parse::<Ds>().unwrap());
    Write::Partitions {
        table: table.parse().unwrap(),
        others: Vec::new(),
        column: column.to_owned(),
        days: days.collect(),
    }
}

#[test]
fn every_conf_fills_its_table() {
    let repo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/stays");
    let mut catalog = CatalogSnapshot::default();
    for (table, column) in [
        ("lake.searches", "ds"),
        ("lake.bookings", "ds"),
        ("lake.bookings_legacy", "ds"),
        ("lake.listings", "ds"),
        ("lake.hosts", "snap_date"),
        ("lake.reviews", "dt"),
    ] {
        seed(&repo.join("data"), table, column).apply(&mut catalog);
    }
    let registered: RangeSet = PartitionRange::day("2026-01-23".parse().unwrap()).into();
    Write::days("lake.searches".parse().unwrap(), registered.clone()).apply(&mut catalog);
    let facts = Facts {
        empty: BTreeMap::from([("lake.searches".parse().unwrap(), registered)]),
        ..Facts::default()
    };
    let runs = [
        (
            "staging-query-backfill",
            "staging_queries/stays/bookings.confirmed_v1",
            "stays_out.stays_bookings_confirmed_v1",
        ),
        (
            "staging-query-backfill",
            "staging_queries/stays/sessions.daily_v1",
            "stays_out.stays_sessions_daily_v1",
        ),
        (
            "group-by-backfill",
            "group_bys/stays/bookings.listing_daily_v1",
            "stays_out.stays_bookings_listing_daily_v1",
        ),
        (
            "group-by-backfill",
            "group_bys/stays/bookings.spend_v1",
            "stays_out.stays_bookings_spend_v1",
        ),
        (
            "group-by-backfill",
            "group_bys/stays/listings.dim_v1",
            "stays_out.stays_listings_dim_v1",
        ),
        (
            "group-by-backfill",
            "group_bys/stays/reviews.listing_v1",
            "stays_out.stays_reviews_listing_v1",
        ),
        (
            "group-by-backfill",
            "group_bys/trust/hosts.profile_v1",
            "trust_out.trust_hosts_profile_v1",
        ),
        (
            "join",
            "joins/stays/search_ranking.v1",
            "stays_out.stays_search_ranking_v1",
        ),
        (
            "join",
            "joins/stays/sessions.v1",
            "stays_out.stays_sessions_v1",
        ),
        (
            "join",
            "joins/stays/listing_panel.v1",
            "stays_out.stays_listing_panel_v1",
        ),
    ];
    let mut filled = Vec::new();
    for (subcommand, conf, table) in runs {
        let argv = [
            subcommand,
            &format!("--conf-path=production/{conf}"),
            "--end-date=2026-01-30",
        ]
        .map(str::to_owned);
        let outcome = driver::run(&argv, &repo, &catalog, &facts);
        assert_eq!(outcome.exit, 0, "{conf}: {}", outcome.message);
        for write in outcome.commits.iter().flat_map(|commit| &commit.writes) {
            write.apply(&mut catalog);
        }
        filled.push(format!(
            "{table}: {}",
            catalog.days(&table.parse().unwrap(), "ds", &[])
        ));
    }
    insta::assert_snapshot!(filled.join("\n"), @r"
    stays_out.stays_bookings_confirmed_v1: 2026-01-01..2026-01-11, 2026-01-13..2026-01-30
    stays_out.stays_sessions_daily_v1: 2026-01-10..2026-01-16, 2026-01-18..2026-01-22, 2026-01-24..2026-01-30
    stays_out.stays_bookings_listing_daily_v1: 2026-01-10..2026-01-11, 2026-01-13..2026-01-30
    stays_out.stays_bookings_spend_v1: 2026-01-10..2026-01-30
    stays_out.stays_listings_dim_v1: 2026-01-10..2026-01-20, 2026-01-22..2026-01-30
    stays_out.stays_reviews_listing_v1: 2026-01-15..2026-01-30
    trust_out.trust_hosts_profile_v1: 2026-01-10..2026-01-30
    stays_out.stays_search_ranking_v1: 2026-01-15..2026-01-16, 2026-01-18..2026-01-22, 2026-01-24..2026-01-30
    stays_out.stays_sessions_v1: 2026-01-15..2026-01-16, 2026-01-18..2026-01-22, 2026-01-24..2026-01-30
    stays_out.stays_listing_panel_v1: 2026-01-15..2026-01-20, 2026-01-22..2026-01-30
    ");
}
