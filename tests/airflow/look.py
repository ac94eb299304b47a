"""Prints what Airflow makes of a folder of DAGs: errors, warnings, tasks and what they come after,
and the settings of DAGs and tasks that differ."""

import json
import sys
import warnings

try:
    from airflow.dag_processing.dagbag import DagBag
except ImportError:
    from airflow.models import DagBag

with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    bag = DagBag(sys.argv[1])
warned = [str(w) for captured in bag.captured_warnings.values() for w in captured]
warned += [str(w.message) for w in seen if w.filename.startswith(sys.argv[1])]
tasks = {
    dag.dag_id: {task.task_id: sorted(task.upstream_task_ids) for task in dag.tasks}
    for dag in bag.dags.values()
}
settings = {
    (str(dag.start_date.date()), dag.catchup, task.owner, task.queue, task.pool, task.retries)
    for dag in bag.dags.values()
    for task in dag.tasks
    if task.task_type in ("ChrononRun", "InputsReady")
}
answer = {
    "errors": bag.import_errors,
    "warnings": warned,
    "dags": tasks,
    "settings": sorted(settings),
}
print("@" + json.dumps(answer))
