from ai.chronon.api.ttypes import EventSource, Source
from ai.chronon.join import Join, JoinPart
from ai.chronon.query import Query, select

from group_bys.stays import bookings

# The left side is the output of the staging query `stays.sessions.daily_v1`; its key has another name.
v1 = Join(
    left=Source(events=EventSource(
        table="stays_out.stays_sessions_daily_v1",
        query=Query(
            selects=select("n_searches", "cheapest", visitor="guest_id"),
            wheres=["n_searches >= 1"],
            time_column="last_ts",
            start_partition="2026-01-15",
        ),
    )),
    right_parts=[
        JoinPart(group_by=bookings.guest_v1, key_mapping={"visitor": "guest_id"}, prefix="visitor"),
        JoinPart(group_by=bookings.spend_v1, key_mapping={"visitor": "guest_id"}),
    ],
)
