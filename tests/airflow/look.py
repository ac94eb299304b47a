"""Prints what Airflow makes of a folder of DAGs: errors, warnings, tasks and what they come after."""

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
answer = {"errors": bag.import_errors, "warnings": warned, "dags": tasks}
print("@" + json.dumps(answer))
