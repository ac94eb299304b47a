from ai.chronon.api.ttypes import EventSource, Source
from ai.chronon.join import Join, JoinPart
from ai.chronon.query import Query, select

from group_bys.stays import bookings, listings
from group_bys.trust import hosts

# Training rows of a ranking model: one row per search, with what was known at that moment.
v1 = Join(
    left=Source(events=EventSource(
        table="lake.searches",
        query=Query(
            selects=select("search_id", "guest_id", "listing_id", "host_id", "price_shown"),
            wheres=["channel IS NOT NULL"],
            start_partition="2026-01-15",
            time_column="ts",
        ),
    )),
    right_parts=[
        JoinPart(group_by=bookings.guest_v1),
        JoinPart(group_by=bookings.listing_daily_v1, prefix="lst"),
        JoinPart(group_by=listings.dim_v1),
        JoinPart(group_by=hosts.profile_v1, prefix="host"),
    ],
    online=True,
    sample_percent=100.0,
    check_consistency=True,
    consistency_sample_percent=100.0,
    tags={"model": "search_rank"},
)
