from ai.chronon.api.ttypes import EntitySource
from ai.chronon.group_by import GroupBy
from ai.chronon.query import Query, select

# Another team, another namespace; the snapshots are partitioned by `snap_date`.
profile_v1 = GroupBy(
    sources=EntitySource(
        snapshotTable="lake.hosts",
        query=Query(
            selects=select("host_id", "superhost", "country", "response_rate"),
            start_partition="2026-01-01",
            partition_column="snap_date",
        ),
    ),
    keys=["host_id"],
    aggregations=None,
    backfill_start_date="2026-01-10",
    online=True,
)
