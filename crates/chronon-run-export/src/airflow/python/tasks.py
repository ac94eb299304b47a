
MANIFEST = json.loads(Path(__file__).with_name("chronon_run.json").read_text())

# Exit codes of chronon-run.
DONE, WAITING, LOCKED = 0, 3, 4


def on_day(argv, context):
    """The command line for the last day that had closed when the run's interval ended, or for the
    one that `--conf '{"ds": "2026-01-30"}'` names."""
    ds = (context["dag_run"].conf or {}).get("ds")
    if ds is None:
        end = context.get("data_interval_end") or context["dag_run"].run_after
        ds = end.astimezone(ZoneInfo(MANIFEST["timezone"])).date() - timedelta(days=1)
    return [word.replace("{ds}", str(ds)) for word in argv]


def ask(argv, log):
    """What `chronon-run ready` answers."""
    log.info("%s", shlex.join(argv))
    answer = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    for line in (answer.stdout + answer.stderr).splitlines():
        log.info("%s", line)
    if answer.returncode not in (DONE, WAITING) and not answer.stdout.startswith("{"):
        raise AirflowException(f"{argv[0]} ended with exit code {answer.returncode}")
    return json.loads(answer.stdout)


class ChrononRun(BaseSensorOperator):
    """Runs chronon-run. A sensor, so that the worker's slot is free, and no retry is used up, as
    long as an input is missing or another run writes the same tables."""

    def __init__(self, *, argv, ready, **kwargs):
        super().__init__(mode="reschedule", **kwargs)
        self.argv = argv
        self.ready = ready
        self.process = None

    def poke(self, context):
        code = self.run_to_end(on_day(self.argv, context))
        if code == LOCKED:
            return False
        if code == WAITING:
            # Filled, although an earlier day waits? That one is asked for again by the next run.
            return bool(self.ready) and ask(on_day(self.ready, context), self.log)["state"] == "done"
        if code != DONE:
            raise AirflowException(f"{self.argv[0]} ended with exit code {code}")
        return True

    def run_to_end(self, argv):
        self.log.info("%s", shlex.join(argv))
        # In a session of its own: Airflow signals a killed task's whole process group, and
        # chronon-run takes a second signal for "at once". It gets one, from `on_kill`.
        self.process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        try:
            for line in self.process.stdout:
                self.log.info("%s", line.rstrip())
        finally:
            self.process.communicate()
        return self.process.returncode

    def on_kill(self):
        """chronon-run ends its jobs in order when it is told to."""
        if self.process:
            self.process.terminate()


class InputsReady(BaseSensorOperator):
    """Waits until everything that the next task reads is there: its left and its right side, and
    their windows. Skips a day if a newer one is ready, whose run fills both."""

    def __init__(self, *, argv, newest, **kwargs):
        super().__init__(mode="reschedule", **kwargs)
        self.argv = argv
        self.newest = newest

    def poke(self, context):
        answer = ask(on_day(self.argv, context), self.log)
        if answer["state"] == "excluded" and not answer["ready"]:
            raise AirflowSkipException("this day will never be filled")
        if self.newest and answer["state"] == "run" and answer["newer_ds"]:
            raise AirflowSkipException(f"the run of {answer['newer_ds']} fills this day too")
        return answer["ready"]
