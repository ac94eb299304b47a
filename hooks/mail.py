#!/usr/bin/env python3
"""Mails an event of chronon-run: a hook for [hooks] of workspace.toml.

    on_failure = ["python3", "hooks/mail.py"]
    on_waiting = ["python3", "hooks/mail.py"]

The event is one JSON object on stdin. Needs Python 3.8 and nothing else. From the environment:

    MAIL_TO        the addresses, separated by commas.
    MAIL_FROM      the sender (default: chronon-run@ and the name of the machine).
    SMTP_HOST      the mail server (default: localhost).
    SMTP_PORT      its port (default: 25, with SMTP_TLS 465, with SMTP_USER 587).
    SMTP_TLS       `1`: TLS from the first byte. Without it STARTTLS is used wherever SMTP_USER is set.
    SMTP_USER, SMTP_PASSWORD  the account, if the server wants one. The password is a secret: keep it out of
                   workspace.toml.

Exits 0 if the server took the mail, else 1 with the reason.
"""

import email.message
import email.utils
import json
import os
import smtplib
import socket
import ssl
import sys

TIMEOUT = 30  # seconds


def days(ranges):
    """`2026-01-01..2026-01-03, 2026-01-05` of a list of ranges."""
    texts = [r["start"] if r["start"] == r["end"] else f"{r['start']}..{r['end']}" for r in ranges]
    return ", ".join(texts)


def subject(event):
    kind, asset = event.get("event"), event.get("asset") or event.get("app_name")
    if kind == "waiting":
        return f"{asset} waits on {days(event['days'])}"
    if kind in ("failure", "success"):
        verb = "failed for" if kind == "failure" else "filled"
        return f"{asset} {verb} {event['start_ds']}..{event['end_ds']}"
    return f"{kind}: {asset}"


def body(event):
    """What a reader needs first, then the whole event."""
    lines = [event.get("message") or event.get("reason")]
    lines += [f"{table}: {days(missing)}" for table, missing in event.get("inputs", {}).items()]
    if event.get("log"):
        lines += [f"log: {event['log']}", "when the cause is gone: chronon-run retry"]
    text = "\n".join(line for line in lines if line)
    return f"{text}\n\n{json.dumps(event, indent=2, ensure_ascii=False)}\n"


def mail(event, to):
    message = email.message.EmailMessage()
    # A header is one line.
    message["Subject"] = " ".join(f"[chronon-run] {subject(event)}".split())
    message["From"] = os.environ.get("MAIL_FROM") or f"chronon-run@{socket.gethostname()}"
    message["To"] = to
    message["Date"] = email.utils.formatdate()
    message["Message-ID"] = email.utils.make_msgid()
    message.set_content(body(event))
    return message


def send(message):
    host = os.environ.get("SMTP_HOST") or "localhost"
    user = os.environ.get("SMTP_USER")
    tls = os.environ.get("SMTP_TLS") == "1"
    port = int(os.environ.get("SMTP_PORT") or (465 if tls else 587 if user else 25))
    context = ssl.create_default_context()
    if tls:
        server = smtplib.SMTP_SSL(host, port, timeout=TIMEOUT, context=context)
    else:
        server = smtplib.SMTP(host, port, timeout=TIMEOUT)
    with server:
        if user:
            if not tls:
                # A password never goes over a connection that others can read.
                server.starttls(context=context)
            server.login(user, os.environ.get("SMTP_PASSWORD", ""))
        server.send_message(message)


def main():
    to = os.environ.get("MAIL_TO")
    if not to:
        sys.exit("MAIL_TO is not set")
    try:
        send(mail(json.load(sys.stdin), to))
    except (OSError, smtplib.SMTPException, ValueError) as error:
        sys.exit(f"the mail was not sent: {error}")


if __name__ == "__main__":
    main()
