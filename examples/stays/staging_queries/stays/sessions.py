from ai.chronon.api.ttypes import MetaData, StagingQuery

# One row per guest and day. 2026-01-23 has a search partition without rows, so it yields no row.
daily_v1 = StagingQuery(
    query="""
        SELECT
            guest_id,
            COUNT(*) AS n_searches,
            COUNT(DISTINCT listing_id) AS n_listings,
            MIN(price_shown) AS cheapest,
            MAX(ts) AS last_ts,
            ds
        FROM lake.searches
        WHERE ds BETWEEN '{{ start_date }}' AND '{{ end_date }}'
          AND guest_id IS NOT NULL
        GROUP BY guest_id, ds
    """,
    startPartition="2026-01-10",
    metaData=MetaData(
        name="daily_v1",
        outputNamespace="stays_out",
        dependencies=["lake.searches/ds={{ ds }}"],
    ),
)
