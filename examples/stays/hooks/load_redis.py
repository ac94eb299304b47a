#!/usr/bin/env python3
"""Loads one upload table of Chronon into Redis: an example of a `kv_upload` hook.

    load_redis.py LOCATION TABLE DS DATASET BATCH_END

A data set is one hash, `DATASET`: key bytes -> value bytes, as the table has them, the serving
information under its own key. Beside it `DATASET:batch_end` holds the end of the batch in
milliseconds: the time of every row. All rows go into a fresh hash, the serving information last;
then the fresh hash takes the place of the old one at once, so that no reader ever sees half of it.

Needs `pip install -r requirements.txt`. Redis is found at $REDIS_URL.
"""

import os
import sys

import pyarrow.dataset
import redis

SERVING_INFO = "group_by_serving_info"
ROWS = 10_000  # written at once


def rows(location, ds):
    """(key_json, key_bytes, value_bytes) of every row; all must be of the day `ds`."""
    path = location.removeprefix("file:") if location.startswith("file:") else location
    files = pyarrow.dataset.dataset(path, format="parquet")
    columns = ["key_json", "key_bytes", "value_bytes", "ds"]
    for batch in files.to_batches(columns=columns):
        for row in batch.to_pylist():
            if row["ds"] != ds:
                sys.exit(f"the table holds {row['ds']}, not {ds}: it was uploaded again meanwhile")
            yield row["key_json"], row["key_bytes"], row["value_bytes"]


def main(location, table, ds, dataset, batch_end):
    store = redis.Redis.from_url(os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0"))
    loaded = store.get(f"{dataset}:batch_end")
    if loaded is not None and int(loaded) > int(batch_end):
        sys.exit(f"{dataset} holds a newer day already: batch end {int(loaded)}")
    fresh = f"{dataset}:loading"
    store.delete(fresh)
    serving_info, written, waiting = None, 0, {}
    for key_json, key, value in rows(location, ds):
        if key_json == SERVING_INFO:
            serving_info = (key, value)
            continue
        waiting[key] = value
        if len(waiting) == ROWS:
            store.hset(fresh, mapping=waiting)
            written, waiting = written + len(waiting), {}
    if waiting:
        store.hset(fresh, mapping=waiting)
        written += len(waiting)
    if written == 0:
        sys.exit(f"{table} has no rows for {ds}")
    if serving_info is not None:
        store.hset(fresh, *serving_info)
    with store.pipeline(transaction=True) as swap:
        swap.rename(fresh, dataset)
        swap.set(f"{dataset}:batch_end", batch_end)
        swap.execute()
    print(f"loaded {written} rows of {table} on {ds} into {dataset}")


if __name__ == "__main__":
    if len(sys.argv) != 6:
        sys.exit(__doc__)
    main(*sys.argv[1:])
