from ai.chronon.api.ttypes import EventSource
from ai.chronon.group_by import Accuracy, Aggregation, GroupBy, Operation, TimeUnit, Window
from ai.chronon.query import Query, select

H12, D1, D7, D14 = Window(12, TimeUnit.HOURS), *(Window(n, TimeUnit.DAYS) for n in (1, 7, 14))


def confirmed_bookings(topic=None):
    """The output of the staging query `stays.bookings.confirmed_v1`."""
    return EventSource(
        table="stays_out.stays_bookings_confirmed_v1",
        topic=topic,
        query=Query(
            selects=select("guest_id", "listing_id", "booking_id", "nights", "price", "per_night", "pay"),
            start_partition="2026-01-01",
            time_column="ts",
        ),
    )


# TEMPORAL, because it has a topic: a search sees the bookings of its guest up to that millisecond.
guest_v1 = GroupBy(
    sources=confirmed_bookings(topic="events.bookings/host=none/port=0"),
    keys=["guest_id"],
    aggregations=[
        Aggregation(input_column="booking_id", operation=Operation.COUNT, windows=[H12, D1, D7, D14]),
        Aggregation(input_column="booking_id", operation=Operation.COUNT),
        Aggregation(input_column="price", operation=Operation.SUM, windows=[D1, D7]),
        Aggregation(input_column="price", operation=Operation.AVERAGE, windows=[D14]),
        Aggregation(input_column="price", operation=Operation.MAX),
        Aggregation(input_column="pay", operation=Operation.LAST, windows=[D7]),
    ],
    online=True,
)

# SNAPSHOT: values of the end of each day, with a table of its own.
listing_daily_v1 = GroupBy(
    sources=confirmed_bookings(),
    keys=["listing_id"],
    aggregations=[
        Aggregation(input_column="booking_id", operation=Operation.COUNT, windows=[D1, D7, D14]),
        Aggregation(input_column="price", operation=Operation.SUM, windows=[D1, D7]),
        Aggregation(input_column="per_night", operation=Operation.MIN, windows=[D7]),
        Aggregation(input_column="per_night", operation=Operation.MAX, windows=[D7]),
        Aggregation(input_column="nights", operation=Operation.AVERAGE, windows=[D14]),
        Aggregation(input_column="guest_id", operation=Operation.LAST),
    ],
    accuracy=Accuracy.SNAPSHOT,
    backfill_start_date="2026-01-10",
    online=True,
)

# Two sources with different columns: the feed was replaced on 2026-01-11.
spend_v1 = GroupBy(
    sources=[
        EventSource(
            table="lake.bookings_legacy",  # seconds, cents and text ids
            query=Query(
                selects=select(
                    guest_id="CAST(SUBSTRING(guest, 3) AS BIGINT)",
                    amount="amount_cents / 100.0D",
                ),
                wheres=["state = 1", "guest IS NOT NULL"],
                start_partition="2025-12-25",
                end_partition="2026-01-10",
                time_column="booked_at * 1000",
            ),
        ),
        EventSource(
            table="stays_out.stays_bookings_confirmed_v1",
            query=Query(
                selects=select(guest_id="guest_id", amount="price"),
                start_partition="2026-01-11",
                time_column="ts",
            ),
        ),
    ],
    keys=["guest_id"],
    aggregations=[
        Aggregation(input_column="amount", operation=Operation.SUM, windows=[D7, D14]),
        Aggregation(input_column="amount", operation=Operation.COUNT, windows=[D7]),
        Aggregation(input_column="amount", operation=Operation.FIRST),
    ],
    accuracy=Accuracy.SNAPSHOT,
    backfill_start_date="2026-01-10",
)
