#!/usr/bin/env python3
"""Prints what Redis has for one key of a data set: an example of a `kv_get` hook.

    get_redis.py DATASET KEY

KEY is the JSON object of the key columns. It is looked up in the hash `DATASET` that load_redis.py
writes from uploads of the `sql` engine, whose key bytes are this text. Prints nothing if it is not there.

Needs `pip install -r requirements.txt`. Redis is found at $REDIS_URL.
"""

import os
import sys

import redis


def main(dataset, key):
    store = redis.Redis.from_url(os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0"))
    value = store.hget(dataset, key)
    if value is not None:
        print(value.decode())


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
