from ai.chronon.api.ttypes import EntitySource, Source
from ai.chronon.join import Join, JoinPart
from ai.chronon.query import Query, select

from group_bys.stays import bookings, reviews
from group_bys.trust import hosts

# Entities on the left: one row per listing and day, with the values of the end of that same day.
v1 = Join(
    left=Source(entities=EntitySource(
        snapshotTable="lake.listings",
        query=Query(
            selects=select("listing_id", host="host_id", asking_price="price"),
            start_partition="2026-01-15",
        ),
    )),
    right_parts=[
        JoinPart(group_by=bookings.listing_daily_v1),
        JoinPart(group_by=reviews.listing_v1),
        JoinPart(group_by=hosts.profile_v1, key_mapping={"host": "host_id"}),
    ],
    offline_schedule="0 4 * * *",
)
