

def define_task(spec, task):
    if not task["argv"]:
        return None
    args = mail(dict(task["args"]))
    args["retry_delay"] = timedelta(seconds=args["retry_delay"])
    operator = ChrononRun(
        task_id=task["task_id"],
        argv=task["argv"],
        ready=task["ready"],
        poke_interval=MANIFEST["locked_poke_interval"],
        timeout=spec["dagrun_timeout"],
        max_active_tis_per_dag=1,
        **args,
    )
    if task["sensor_id"]:
        operator << InputsReady(
            task_id=task["sensor_id"],
            argv=task["ready"],
            newest=task["newest"],
            poke_interval=MANIFEST["poke_interval"],
            timeout=MANIFEST["sensor_timeout"],
            **args,
        )
    return operator


def define(spec):
    schedule = spec["schedule"]
    if isinstance(schedule, int):
        schedule = timedelta(seconds=schedule)
    else:
        schedule = CronDataIntervalTimetable(schedule, timezone=MANIFEST["timezone"])
    with DAG(
        spec["dag_id"],
        description=spec["description"],
        schedule=schedule,
        start_date=datetime.fromisoformat(spec["start_date"]).replace(tzinfo=timezone.utc),
        catchup=False,
        max_active_runs=spec["max_active_runs"],
        max_active_tasks=spec["max_active_tasks"],
        dagrun_timeout=timedelta(seconds=spec["dagrun_timeout"]),
        tags=spec["tags"],
    ) as dag:
        tasks = {}
        for task in spec["tasks"]:
            operator = own_kv_operator(dag, task) or define_task(spec, task)
            if operator is not None:
                operator.set_upstream([tasks[name] for name in task["after"]])
                tasks[task["task_id"]] = operator
    return dag


for dag_spec in MANIFEST["dags"].get(KIND, []):
    globals()[dag_spec["dag_id"]] = define(dag_spec)
