"""Kills a task as Airflow does, and prints how many signals its chronon-run got.

Airflow signals the whole process group of the task; the task's handler calls `on_kill`. Airflow 2
raises there, Airflow 3 does not.
"""

import os
import runpy
import signal
import sys
import time
from pathlib import Path

CHRONON_RUN = """
import os, signal, sys, time
heard = 0
def hear(signum, frame):
    global heard
    heard += 1
signal.signal(signal.SIGTERM, hear)
with open(sys.argv[1] + ".part", "w") as started:
    started.write(str(os.getpid()))
os.rename(sys.argv[1] + ".part", sys.argv[1])
while not heard:
    time.sleep(0.01)
print("stopping", flush=True)
time.sleep(1)
with open(sys.argv[2], "w") as out:
    out.write(str(heard))
sys.exit(143)
"""


class Terminated(BaseException):
    pass


def become_a_task(file, argv, raises):
    def on_term(signum, frame):
        task.on_kill()
        if raises:
            raise Terminated

    class DagRun:
        conf = {"ds": "2026-01-30"}

    task = runpy.run_path(file)["ChrononRun"](task_id="killed", argv=argv, ready=None)
    os.setpgid(0, 0)
    signal.signal(signal.SIGTERM, on_term)
    task.poke({"dag_run": DagRun})


version, file, folder = sys.argv[1:]
started, heard = Path(folder, "started"), Path(folder, "heard")
child = os.fork()
if child == 0:
    argv = [sys.executable, "-c", CHRONON_RUN, str(started), str(heard)]
    try:
        become_a_task(file, argv, raises=version == "2")
    finally:
        os._exit(1)
while not started.exists():
    if os.waitpid(child, os.WNOHANG)[0]:
        sys.exit("the task ended before it was killed")
    time.sleep(0.01)
os.killpg(child, signal.SIGTERM)
os.waitpid(child, 0)
try:
    os.kill(int(started.read_text()), 0)
    sys.exit("chronon-run lives on")
except ProcessLookupError:
    print("@" + heard.read_text())
