from __future__ import annotations

import json
import shlex
import subprocess
from datetime import datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

from airflow.sdk import DAG, BaseSensorOperator

try:
    from airflow.sdk import CronDataIntervalTimetable
    from airflow.sdk.exceptions import AirflowException, AirflowSkipException
except ImportError:  # 3.0 and 3.1
    from airflow.exceptions import AirflowException, AirflowSkipException
    from airflow.timetables.interval import CronDataIntervalTimetable
