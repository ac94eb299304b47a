from ai.chronon.api.ttypes import EventSource
from ai.chronon.group_by import Accuracy, Aggregation, GroupBy, Operation, TimeUnit, Window
from ai.chronon.query import Query, select

D7, D14 = Window(7, TimeUnit.DAYS), Window(14, TimeUnit.DAYS)

# The review table is partitioned by `dt`. Only inputs may be: what Chronon writes is partitioned by `ds`.
listing_v1 = GroupBy(
    sources=EventSource(
        table="lake.reviews",
        query=Query(
            selects=select("listing_id", "score", "words", lang="COALESCE(lang, 'unknown')"),
            time_column="review_ts",
            start_partition="2026-01-01",
            partition_column="dt",
        ),
    ),
    keys=["listing_id"],
    aggregations=[
        Aggregation(input_column="score", operation=Operation.AVERAGE, windows=[D7, D14]),
        Aggregation(input_column="score", operation=Operation.COUNT, windows=[D14]),
        Aggregation(input_column="words", operation=Operation.MAX, windows=[D14]),
        Aggregation(input_column="lang", operation=Operation.LAST),
    ],
    accuracy=Accuracy.SNAPSHOT,
    backfill_start_date="2026-01-15",
)
