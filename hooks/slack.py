#!/usr/bin/env python3
"""Posts an event of chronon-run to a Slack channel: a hook for [hooks] of workspace.toml.

    on_failure = ["python3", "hooks/slack.py"]
    on_waiting = ["python3", "hooks/slack.py"]

The event is one JSON object on stdin. Needs Python 3.8 and nothing else. From the environment:

    SLACK_WEBHOOK_URL  the address of an incoming webhook. It is a secret: keep it out of workspace.toml.
    SLACK_PREFIX       text before every message, such as the name of the environment.

Exits 0 if Slack took the message, else 1 with the reason; the address is never printed.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request

TRIES = 3
TIMEOUT = 10  # seconds
LONGEST_WAIT = 30  # seconds, whatever Slack asks for


def escaped(text):
    """Slack's control characters as text."""
    return str(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def days(ranges):
    """`2026-01-01..2026-01-03, 2026-01-05` of a list of ranges."""
    texts = [r["start"] if r["start"] == r["end"] else f"{r['start']}..{r['end']}" for r in ranges]
    return ", ".join(texts)


def headline(event):
    """The first line, and the lines below it."""
    kind, asset = event.get("event"), event.get("asset")
    if kind == "failure":
        lines = [event.get("message"), f"log: {event.get('log')}", "when the cause is gone: `chronon-run retry`"]
        return f":x: {asset} failed for {event['start_ds']}..{event['end_ds']} after {event['attempts']} attempts", lines
    if kind == "success":
        seconds = (event.get("millis") or 0) // 1000
        return f":white_check_mark: {asset} {event['start_ds']}..{event['end_ds']} in {seconds} s", []
    if kind == "waiting":
        lines = [f"{table}: {days(missing)}" for table, missing in event.get("inputs", {}).items()]
        return f":hourglass: {asset} waits on {days(event['days'])}", lines
    return f":warning: {kind}: {event.get('app_name') or asset}", [event.get("reason")]


def message(event):
    first, lines = headline(event)
    prefix = os.environ.get("SLACK_PREFIX", "")
    text = "\n".join([f"*{escaped((prefix + ' ' + first).strip())}*"] + [escaped(line) for line in lines if line])
    return json.dumps({"text": text}).encode()


def post(url, body):
    """Sends it; the reason as text if that fails, and how long to wait before another try, or None."""
    try:
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=TIMEOUT):
            return None, None
    except urllib.error.HTTPError as error:
        answer = error.read(200).decode(errors="replace")
        again = error.code == 429 or error.code >= 500
        wait = error.headers.get("Retry-After", "1")
        return f"HTTP {error.code}: {answer}", min(int(wait) if wait.isdigit() else 1, LONGEST_WAIT) if again else None
    except ValueError:
        # The text of the error has the address in it.
        return "SLACK_WEBHOOK_URL is no address", None
    except OSError as error:
        reason = getattr(error, "reason", None) or type(error).__name__
        return f"no connection: {reason}", 1


def main():
    url = os.environ.get("SLACK_WEBHOOK_URL")
    if not url:
        sys.exit("SLACK_WEBHOOK_URL is not set")
    body = message(json.load(sys.stdin))
    for attempt in range(1, TRIES + 1):
        why, wait = post(url, body)
        if why is None:
            return
        if wait is None or attempt == TRIES:
            sys.exit(f"Slack did not take the message: {why}".replace(url, "***"))
        time.sleep(wait)


if __name__ == "__main__":
    main()
