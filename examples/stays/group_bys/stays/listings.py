from ai.chronon.api.ttypes import EntitySource
from ai.chronon.group_by import GroupBy
from ai.chronon.query import Query, select

# Entities: `lake.listings` holds every listing once a day. Without aggregations the features are the snapshot itself.
dim_v1 = GroupBy(
    sources=EntitySource(
        snapshotTable="lake.listings",
        query=Query(
            selects=select("listing_id", "city", "room_type", "rating", price_band="CAST(FLOOR(price / 50) AS INT)"),
            start_partition="2026-01-02",
        ),
    ),
    keys=["listing_id"],
    aggregations=None,
    backfill_start_date="2026-01-10",
    online=True,
)
