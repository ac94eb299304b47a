#!/usr/bin/env python3
"""A streaming app on Redis: an example of a `command` under [streaming].

    stream_redis.py CONF

Chronon's own app reads a Kafka topic and needs its Driver. This one shows what `chronon-run stream`
does with an app, without either: it reads the Redis stream that is called like the topic of a GroupBy.
Each entry has one field, `event`, a JSON object. What the GroupBy selects of it is kept under its key,
by the time of the event: `DATASET:KEY` is a sorted set, `DATASET:position` the last entry that was read,
so an app that was killed goes on where it was.

Needs `pip install -r requirements.txt`. Redis is found at $REDIS_URL.
"""

import json
import os
import re
import sys

import redis

ENTRIES = 1_000  # read at once
PATIENCE = 1_000  # milliseconds that one question may take


def streamed(group_by):
    """The topic, and the query, of the first source that has a topic."""
    for source in group_by["sources"]:
        events = source.get("events", {})
        if "topic" in events:
            return events["topic"].split("/")[0], events["query"]
    sys.exit(f"{group_by['metaData']['name']} has no source of events with a topic")


def columns(query):
    """Output column -> column of the event. SQL is for the real app."""
    wanted = {**query["selects"], "ts": query.get("timeColumn", "ts")}
    for name, expression in wanted.items():
        if not re.fullmatch(r"\w+", expression):
            sys.exit(f"{name} is `{expression}`: this app knows plain columns only")
    return wanted


def text(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def main(conf):
    with open(conf, encoding="utf-8") as file:
        group_by = json.load(file)
    name = group_by["metaData"]["name"]
    topic, query = streamed(group_by)
    wanted, keys = columns(query), group_by["keyColumns"]
    dataset = re.sub(r"\W", "_", name).upper() + "_STREAMING"
    url = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")
    store = redis.Redis.from_url(url, decode_responses=True, protocol=2)
    position = store.get(f"{dataset}:position") or "0"
    print(f"{name} reads {topic} after {position}", flush=True)
    while True:
        for _, entries in store.xread({topic: position}, count=ENTRIES, block=PATIENCE):
            with store.pipeline(transaction=True) as written:
                for position, entry in entries:
                    event = json.loads(entry["event"])
                    row = {out: event.get(column) for out, column in wanted.items()}
                    key = text({column: row[column] for column in keys})
                    written.zadd(f"{dataset}:{key}", {text(row): row["ts"]})
                written.set(f"{dataset}:position", position)
                written.execute()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(*sys.argv[1:])
