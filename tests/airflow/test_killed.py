"""A task that is killed leaves the table that was there, and the next attempt makes it right."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import psycopg
import pytest

from tests.airflow.support import run_dag

if TYPE_CHECKING:
    from tests.conftest import Postgres

TABLE = "killed_customers"

#: A process of its own that does the operator's work without a DAG, because Airflow takes longer to start
#: than the work takes.
CHILD = """
import sys
from types import SimpleNamespace

import pandas as pd
import pendulum

from airflow_provider_customer360 import Customer360Operator

task = Customer360Operator(
    task_id="unify",
    asset_name="killed_customers",
    target_conn_id="pg",
    sources={"orders": {"path": sys.argv[1]}},
)
context = {
    "dag_run": SimpleNamespace(run_after=pendulum.datetime(2026, 1, 31)),
    "data_interval_end": None,
    "outlet_events": {task.outlets[0]: SimpleNamespace(extra={})},
}
print("ready", flush=True)
sys.stdin.readline()
task.execute.__wrapped__(task, context) if hasattr(task.execute, "__wrapped__") else task.execute(context)
print("done", flush=True)
"""
