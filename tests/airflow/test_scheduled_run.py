"""A run by a real scheduler, executor and API server, triggered as a person or an asset triggers it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.airflow.support import metadata

DAG = '''
from datetime import timedelta

import pendulum
from airflow.sdk import Asset, dag, task

from airflow_provider_customer360 import Customer360Operator


@task(show_return_value_in_logs=False)
def orders(email):
    """One order 29 days ago and one 31 days ago, as seen from the time after which the run may start."""
    import pandas as pd
    from airflow.sdk import get_current_context

    now = get_current_context()["dag_run"].run_after
    return pd.DataFrame(
        {
            "email": [email, "late@x.example"],
            "amount": [1, 2],
            "ordered_at": [now - timedelta(days=29), now - timedelta(days=31)],
        }
    )


@task
def context_of(dag_run=None, data_interval_end=None):
    return [str(dag_run.logical_date), str(data_interval_end), dag_run.run_after.isoformat()]


@dag(schedule=None)
def by_hand():
    frame = orders("planted@x.example")
    Customer360Operator(task_id="unify", asset_name="by_hand_customers", sources={"orders": frame})
    context_of()


@dag(schedule=[Asset("by_hand_customers")])
def by_asset():
    frame = orders("planted@x.example")
    Customer360Operator(task_id="unify", asset_name="by_asset_customers", sources={"orders": frame})
    context_of()


by_hand()
by_asset()
'''


@contextmanager
def component(home: Path, environment: dict[str, str], *command: str) -> Iterator[None]:
    """A running part of Airflow, ended with all that it started."""
    with (home / f"{command[0]}.log").open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "airflow", *command],
            env=environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@contextmanager
def listening(port: int, seconds: float) -> Iterator[None]:
    """Enter once somebody answers on the port."""
    deadline = time.monotonic() + seconds
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        assert time.monotonic() < deadline, f"nothing listens on port {port}"
        time.sleep(0.2)
    yield


@pytest.mark.slow
def test_runs_without_logical_date(tmp_path: Path) -> None:
    """Triggered by hand and by an asset, ``run_after`` is the reference time; logs and summary are right."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "customers.py").write_text(DAG)
    environment = os.environ | {
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path / "dags"),
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "2",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "AIRFLOW__API_AUTH__JWT_SECRET": "only-for-this-test-only-for-this-test-only-for-this-test-padding",
    }
    run_id = "by-hand"
    for command in (
        ["db", "migrate"],
        ["dags", "reserialize"],
        ["dags", "trigger", "by_hand", "--run-id", run_id],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "airflow", *command],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    server = ("api-server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1")
    with (
        component(tmp_path, environment, *server),
        # A task that the scheduler starts before there is a server fails for good.
        listening(port, 120),
        component(tmp_path, environment, "scheduler", "--skip-serve-logs"),
        metadata(tmp_path) as database,
    ):
        states: dict[str, str] = {}
        deadline = time.monotonic() + 240
        while (
            "failed" not in states.values()
            and states.get("by_asset") != "success"
            and time.monotonic() < deadline
        ):
            time.sleep(0.5)
            states = dict(database.execute("select dag_id, state from dag_run").fetchall())
        runs = {
            row[0]: row[1:] for row in database.execute("select dag_id, run_type, logical_date from dag_run")
        }
        returned: dict[str, dict[str, Any]] = {"by_hand": {}, "by_asset": {}}
        for dag_id, task_id, value in database.execute(
            "select dag_id, task_id, value from xcom where key = 'return_value'"
        ):
            returned[dag_id][task_id] = json.loads(value)
        extras = {
            name: json.loads(extra)
            for name, extra in database.execute(
                "select a.name, e.extra from asset_event e join asset a on a.id = e.asset_id"
            )
        }
    log = (tmp_path / "scheduler.log").read_text()[-3000:]
    assert states == {"by_hand": "success", "by_asset": "success"}, log
    assert runs == {"by_hand": ("manual", None), "by_asset": ("asset_triggered", None)}
    for dag_id, values in returned.items():
        logical_date, interval_end, run_after = values["context_of"]
        summary = values["unify"]
        assert (logical_date, interval_end) == ("None", "None")
        assert datetime.fromisoformat(summary["as_of"]) == datetime.fromisoformat(run_after)
        assert datetime.fromisoformat(summary["as_of"]).utcoffset() == timedelta(0)
        assert (summary["total_customers"], summary["active_customers"]) == (2, 1)
        assert extras[f"{dag_id}_customers"] == summary
        with duckdb.connect(tmp_path / "customer360.duckdb", read_only=True) as connection:
            rows = connection.execute(
                f"select email, is_active from {dag_id}_customers order by 1"
            ).fetchall()
        assert rows == [("late@x.example", False), ("planted@x.example", True)]
        check_task_log(tmp_path / "logs" / f"dag_id={dag_id}")


def check_task_log(folder: Path) -> None:
    """The task's log file: groups are balanced, the outcome lies outside of them, nothing is in clear."""
    [path] = folder.glob("run_id=*/task_id=unify/attempt=1.log")
    events = [str(json.loads(line).get("event")) for line in path.read_text().splitlines()]
    depth, outside = 0, []
    for event in events:
        depth += event.startswith("::group::")
        if depth == 0:
            outside.append(event)
        depth -= event.startswith("::endgroup::")
        assert depth in (0, 1)
    assert depth == 0
    assert sum("2 customers (1 active) from 2 records of 1 sources" in event for event in outside) == 1
    assert any("p***@x.example" in event for event in outside)
    assert "planted@x" not in path.read_text()
