"""The example DAGs, run by Airflow: every task's state, and the table that they leave."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import psycopg
import pytest

if TYPE_CHECKING:
    from tests.conftest import Postgres

Run = Callable[[str], dict[str, Any]]


def xcom(home: Path, run_id: str, task_id: str) -> dict[str, Any]:
    """What a task returned, as it lies in the metadata database."""
    with closing(sqlite3.connect(f"file:{home / 'airflow.db'}?mode=ro", uri=True)) as database:
        [(value,)] = database.execute(
            "select value from xcom where run_id = ? and task_id = ? and key = 'return_value'",
            (run_id, task_id),
        ).fetchall()
    returned: dict[str, Any] = json.loads(value)
    return returned


def sqlite_connection(path: Path) -> str:
    return json.dumps({"conn_type": "sqlite", "host": str(path)})


def duckdb_rows(home: Path, table: str) -> list[dict[str, Any]]:
    """A table of the default target, by customer."""
    with duckdb.connect(home / "customer360.duckdb", read_only=True) as database:
        ordered = database.table(table).order("customer_id")
        return [dict(zip(ordered.columns, row, strict=True)) for row in ordered.fetchall()]


def picked(table: list[dict[str, Any]], *columns: str) -> list[tuple[Any, ...]]:
    return [tuple(row[column] for column in columns) for row in table]


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type,misc]


@pytest.fixture
def run(example_dags: Path, airflow_home: Path) -> Run:
    """Run a DAG for 31 January 2026; every task must succeed. Gives the summary of `unify_customers`."""
    import pendulum
    from airflow.dag_processing.dagbag import BundleDagBag

    def run_dag(dag_id: str) -> dict[str, Any]:
        bag = BundleDagBag(example_dags, bundle_path=example_dags, bundle_name="dags-folder")
        assert not bag.import_errors
        dag = bag.dags[dag_id]
        tested = dag.test(logical_date=pendulum.datetime(2026, 1, 31))
        instances = tested.get_task_instances()
        assert {ti.task_id: ti.state for ti in instances} == dict.fromkeys(dag.task_ids, "success")
        return xcom(airflow_home, tested.run_id, "unify_customers")

    return run_dag


def test_taskflow(run: Run, airflow_home: Path) -> None:
    """Frames of three tasks; a chain through three sources makes one customer; twice gives the same."""
    first = run("customer360_taskflow")
    table = duckdb_rows(airflow_home, "unified_customers")
    second = run("customer360_taskflow")
    assert duckdb_rows(airflow_home, "unified_customers") == table
    assert first["rows_inserted"] == second["rows_unchanged"] == len(table)
    newcomer = table[4]["customer_id"]
    assert re.fullmatch("email:[0-9a-f]{32}", newcomer)
    assert picked(table, "customer_id", "email", "phone", "full_name", "city") == [
        ("C-1001", "ada@engine.example", "+442079460018", "Ada Lovelace", "London"),
        ("C-1002", "grace@home.example", "+12025550143", "Grace Hopper", "Arlington"),
        ("C-1003", "katherine@orbit.example", None, "Katherine Johnson", "Hampton"),
        ("C-1004", "alan@machine.example", None, "Alan Turing", "Manchester"),
        (newcomer, "newcomer@first.example", None, None, None),
    ]
    assert picked(table, "amount", "support_minutes", "crm_records", "orders_records", "tickets_records") == [
        (199.9, 10, 1, 2, 1),
        (310.5, 25, 1, 1, 1),
        (45.0, 0, 1, 1, 0),
        (60.0, 0, 1, 1, 0),
        (19.9, 0, 0, 1, 0),
    ]
    assert picked(table, "total_records", "data_sources", "first_seen", "last_seen", "is_active") == [
        (4, 3, utc(2026, 1, 5, 9, 30), utc(2026, 1, 21, 15, 30), True),
        (3, 3, utc(2026, 1, 18, 12), utc(2026, 1, 19, 8), True),
        (2, 2, utc(2026, 1, 25, 7, 45), utc(2026, 1, 25, 7, 45), True),
        (2, 2, utc(2025, 10, 2, 16, 20), utc(2025, 10, 2, 16, 20), False),
        (1, 1, utc(2026, 1, 28, 21, 10), utc(2026, 1, 28, 21, 10), True),
    ]


def test_identity(run: Run, airflow_home: Path) -> None:
    """Duplicates are one, a phone of two people links nobody, a rule does; rows know their customers."""
    summary = run("customer360_identity")
    table = duckdb_rows(airflow_home, "known_customers")
    assert picked(table, "customer_id", "email", "full_name", "amount") == [
        ("C-1", "ada@engine.example", "Ada Lovelace", 120.0),
        ("C-3", "grace@navy.example", "Grace Hopper", 0.0),
        ("C-4", "vincent@navy.example", "Vincent Hopper", 15.5),
    ]
    with duckdb.connect(str(airflow_home / "customer360.duckdb"), read_only=True) as connection:
        rows = connection.execute(
            "select source_key, customer_id, reason from known_customers_assignments "
            "where source = 'orders' order by 1"
        ).fetchall()
    assert rows == [("o-1", "C-1", None), ("o-2", None, "shared value"), ("o-3", "C-4", None)]
    assert summary["identity_events"] == {
        "created": 3, "merged": 0, "split": 0, "retired": 0,
        "link_dropped": 0, "value_blocked": 0, "value_shared": 1,
    }  # fmt: skip


def test_sql(run: Run, postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL and SQLite joined by customer number and e-mail, written to PostgreSQL."""
    monkeypatch.setenv("AIRFLOW_CONN_CRM_DB", postgres.airflow_uri)
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", postgres.airflow_uri)
    monkeypatch.setenv("AIRFLOW_CONN_SHOP_DB", sqlite_connection(tmp_path / "shop.db"))
    summary = run("customer360_sql")
    with psycopg.connect(postgres.dsn) as connection:
        rows = connection.execute("select * from customer360 order by customer_id").fetchall()
    ada, grace, alan = utc(2026, 1, 5, 9, 30), utc(2026, 1, 18, 12), utc(2025, 10, 2, 16, 20)
    newcomer = rows[3][0]
    assert summary["rows_inserted"] == 4
    assert summary["checks"][-1] == {
        "check": "no_rows.no negative amounts", "live": None, "new": 0, "bound": 0, "result": "passed",
    }  # fmt: skip
    assert newcomer.startswith("email:")
    assert rows == [
        ("1001", "ada@engine.example", "Ada Lovelace", 200.0, 2, 1, 2, 3, 2, ada, ada, True, 100.0),
        ("1002", "grace@navy.example", "Grace Hopper", 310.5, 1, 1, 1, 2, 2, grace, grace, True, 310.5),
        ("1003", "alan@machine.example", "Alan Turing", 0.0, 0, 1, 0, 1, 1, alan, alan, False, None),
        (newcomer, "newcomer@first.example", None, 20.0, 1, 0, 1, 1, 1, None, None, False, 20.0),
    ]


def test_yaml(run: Run, airflow_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator configured with plain data, through dag-factory."""
    crm = tmp_path / "crm.db"
    with closing(sqlite3.connect(crm)) as connection, connection:
        connection.execute("create table contacts (customer_id integer, name text, email text)")
        connection.execute("insert into contacts values (1001, 'Ada Lovelace', 'ada@engine.example')")
        connection.execute("insert into contacts values (1002, 'Grace Hopper', 'grace@navy.example')")
    monkeypatch.setenv("AIRFLOW_CONN_CRM_DB", sqlite_connection(crm))
    summary = run("customer360_yaml")
    table = duckdb_rows(airflow_home, "yaml_customers")
    assert summary["description"] == "Unified customer 360 profiles"
    assert {one["check"]: one["result"] for one in summary["checks"]} == {
        "min_customers": "passed", "max_customers_fall": "not compared", "not_null.email": "passed"
    }  # fmt: skip
    assert picked(table, "customer_id", "email", "name", "support_minutes") == [
        ("1001", "ada@engine.example", "Ada Lovelace", 10),
        ("1002", "grace@navy.example", "Grace Hopper", 30),
    ]
    assert picked(table, "support_records", "crm_records", "total_records", "last_seen", "is_active") == [
        (1, 1, 2, utc(2026, 1, 21, 15, 30), True),
        (2, 1, 3, utc(2026, 1, 20, 10, 15), True),
    ]


@contextmanager
def airflow(*command: str, environment: dict[str, str], log: Path) -> Iterator[None]:
    """A running Airflow component, in a process group of its own, ended with everything it started."""
    with log.open("w") as output:
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


def wait_for_listener(port: int) -> None:
    """A task that starts before the API server answers would fail."""
    deadline = time.monotonic() + 120
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert time.monotonic() < deadline, "the API server did not start"
            time.sleep(0.2)


def task_logs(home: Path) -> str:
    return "\n".join(log.read_text() for log in sorted((home / "logs").rglob("attempt=*.log")))


@pytest.mark.slow
def test_downstream_of_a_scheduled_run(tmp_path: Path) -> None:
    """With a real scheduler: the schedule starts the first DAG, its asset starts the second."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    dags = tmp_path / "dags"
    dags.mkdir()
    for name in ("customer360_taskflow.py", "customer360_downstream.py"):
        shutil.copy(Path(__file__).parents[2] / "example_dags" / name, dags)
    environment = os.environ | {
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "2",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "AIRFLOW__API_AUTH__JWT_SECRET": "only-for-this-test-only-for-this-test-only-for-this-test-padding",
    }
    for command in (["db", "migrate"], ["dags", "reserialize"]):
        subprocess.run(
            [sys.executable, "-m", "airflow", *command], env=environment, capture_output=True, check=True
        )
    server = ["api-server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    with (
        airflow(*server, environment=environment, log=tmp_path / "api-server.log"),
        closing(sqlite3.connect(f"file:{tmp_path / 'airflow.db'}?mode=ro", uri=True)) as database,
    ):
        wait_for_listener(port)
        with airflow(
            "scheduler", "--skip-serve-logs", environment=environment, log=tmp_path / "scheduler.log"
        ):
            states: dict[str, str] = {}
            deadline = time.monotonic() + 180
            while states.get("customer360_downstream") != "success" and time.monotonic() < deadline:
                assert "failed" not in states.values(), task_logs(tmp_path)
                time.sleep(0.5)
                states = dict(database.execute("select dag_id, state from dag_run").fetchall())
        runs = database.execute(
            "select dag_id, run_type, state, logical_date is null from dag_run order by dag_id"
        ).fetchall()
        tasks = database.execute("select task_id, state from task_instance").fetchall()
        values = database.execute("select value from xcom where task_id = 'report'").fetchall()
    assert runs == [
        ("customer360_downstream", "asset_triggered", "success", 1),
        ("customer360_taskflow", "scheduled", "success", 0),
    ], task_logs(tmp_path)
    assert {state for _, state in tasks} == {"success"}
    assert json.loads(values[0][0]) == {
        "target_table": "unified_customers",
        "total_customers": 5,
        "active_customers": 0,
    }
