from ai.chronon.api.ttypes import MetaData, StagingQuery

# The confirmed bookings only, so that no feature has to remember the filter.
# About 4 % of the rows arrive a day late: their `ts` lies in the day before their `ds`.
confirmed_v1 = StagingQuery(
    query="""
        SELECT
            booking_id,
            guest_id,
            listing_id,
            nights,
            price,
            price / nights AS per_night,
            pay,
            ts,
            ds
        FROM lake.bookings
        WHERE ds BETWEEN '{{ start_date }}' AND '{{ end_date }}'
          AND status = 'confirmed'
    """,
    startPartition="2026-01-01",
    metaData=MetaData(
        name="confirmed_v1",
        outputNamespace="stays_out",
        # A staging query's inputs are what it says here: the SQL itself is not looked into.
        dependencies=["lake.bookings/ds={{ ds }}"],
    ),
)
