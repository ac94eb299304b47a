"""Runs Chronon's real run.py once per case, in one process, and records what it would start.

Reads a JSON list of cases on stdin: {"args": [...], "env": {...}, "cwd": "..."}; writes a JSON list of
{"argv": [...], "env": {...}} or {"error": "..."} on stdout.
"""

import contextlib
import io
import json
import logging
import os
import subprocess
import sys

with open(sys.argv[1]) as file:
    RUN_PY = compile(file.read(), sys.argv[1], "exec")
logging.disable(logging.CRITICAL)


def run(case):
    started = []
    os.environ.clear()
    os.environ.update(case["env"])
    os.chdir(case["cwd"])
    sys.argv = ["run.py", *case["args"]]
    subprocess.check_call = lambda argv, **_: started.append({"argv": argv, "env": dict(os.environ)})
    subprocess.check_output = lambda argv, **_: b""  # no streaming app is running
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            exec(RUN_PY, {"__name__": "__main__"})
        except (Exception, SystemExit) as error:
            return {"error": f"{type(error).__name__}: {error}"}
    return started[0] if len(started) == 1 else {"error": f"{len(started)} commands"}


json.dump([run(case) for case in json.load(sys.stdin)], sys.stdout)
