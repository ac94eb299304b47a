from __future__ import annotations

import json
import shlex
import subprocess
from datetime import datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

from airflow.sdk import DAG, BaseSensorOperator, CronDataIntervalTimetable
from airflow.sdk.exceptions import AirflowException, AirflowSkipException
