"""A task that is killed leaves the table that was there, and the next attempt makes it right."""

from __future__ import annotations

import os
import random
import signal
import time
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pandas as pd
import pendulum
import psycopg
import pytest

from tests.airflow.support import Line, run_dag
from tests.publish.children import forked

if TYPE_CHECKING:
    from tests.conftest import Postgres

CUSTOMERS = 20_000
#: So many customers leave, and as many come.
GONE = 5_000
KILLS = 8


def unify(path: str, uri: str, parent: Connection) -> None:
    """Do the operator's work, without a DAG run around it: Airflow takes longer to start than that takes."""
    from airflow_provider_customer360 import Customer360Operator

    os.environ["AIRFLOW_CONN_PG"] = uri
    task = Customer360Operator(
        task_id="unify", asset_name="killed", target_conn_id="pg", sources={"orders": {"path": path}}
    )
    context = {
        "run_id": "killed",
        "dag_run": SimpleNamespace(run_after=pendulum.datetime(2026, 1, 31)),
        "params": {},
        "outlet_events": {task.outlets[0]: SimpleNamespace(extra={})},
    }
    parent.send("begins")
    Customer360Operator.execute.__wrapped__(task, context)
    parent.send("done")


def write(path: Path, day: int) -> tuple[int, int, str, str]:
    """The data of a day; return what is then in the table."""
    numbers = range(day * GONE, day * GONE + CUSTOMERS)
    emails = [f"user{number}@x.example" for number in numbers]
    amounts = [number + day for number in numbers]
    pd.DataFrame({"email": emails, "amount": amounts}).to_parquet(path)
    return CUSTOMERS, sum(amounts), min(emails), max(emails)


def run(path: Path, postgres: Postgres, connection: psycopg.Connection[Any], kill_after: float = 60) -> float:
    """Unify in a process of its own, until it is done or killed; return how long it took, in seconds."""
    with forked(unify, str(path), postgres.airflow_uri) as (_, pipe):
        assert pipe.poll(60)
        assert pipe.recv() == "begins"
        started = time.monotonic()
        assert not pipe.poll(kill_after) or pipe.recv() == "done"
        seconds = time.monotonic() - started
    others = "select from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
    while connection.execute(f"{others} and backend_type = 'client backend'").fetchall():
        assert time.monotonic() < started + 120, "the server keeps the session"
    return seconds


@pytest.mark.slow
def test_killed_at_any_moment(postgres: Postgres, tmp_path: Path, airflow_db: None) -> None:
    """SIGKILL while reading, while publishing or whenever: the table is of one day, and that is all."""
    there, other = (
        (path, write(path, day)) for day, path in enumerate([tmp_path / "0.parquet", tmp_path / "1.parquet"])
    )
    look = "select count(*), sum(amount), min(email), max(email) from killed"
    debris = "select relname from pg_class where relname ~ '^customer360_[a-z]+[0-9]*_[0-9a-f]{8}'"
    moments = random.Random(360)
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute("drop table if exists killed")
        run(there[0], postgres, connection)
        seconds = run(there[0], postgres, connection)
        for number in range(KILLS):
            run(other[0], postgres, connection, (number + moments.random()) / KILLS * seconds)
            found = connection.execute(look).fetchone()
            assert found in (there[1], other[1])
            assert connection.execute(debris).fetchall() == []
            if found == other[1]:
                there, other = other, there
        run(other[0], postgres, connection)
        assert connection.execute(look).fetchone() == other[1]


def test_on_kill(
    postgres: Postgres, airflow_db: None, airflow_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When Airflow ends a task, it stops before the next stage, at the latest before the commit."""
    from airflow.sdk import task

    from airflow_provider_customer360 import Customer360Operator

    monkeypatch.setenv("AIRFLOW_CONN_PG", postgres.airflow_uri)
    stages = ("Read sources", "Detect columns", "Resolve identities", "Build profiles", "Publish")
    tables = {f"stopped_{number}": stage for number, stage in enumerate(stages)}
    running: list[str] = []

    def terminate(line: Line) -> None:
        """As Airflow's supervisor does it, the first time that the stage is reached."""
        if line.text == f"::group::{tables.get(running[-1] if running else '')}":
            os.kill(os.getpid(), signal.SIGTERM)

    def build() -> None:
        @task(show_return_value_in_logs=False)
        def sales() -> pd.DataFrame:
            return pd.DataFrame({"customer_id": ["c1"], "amount": [5]})

        frame = sales()
        for name in tables:
            Customer360Operator(
                task_id=name,
                asset_name=name,
                target_conn_id="pg",
                sources={"sales": frame},
                pre_execute=lambda context: running.append(context["ti"].task_id),
            )

    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        for name in tables:
            connection.execute(f"drop table if exists {name}")
            connection.execute(f"create table {name} (customer_id text primary key, amount bigint)")
            connection.execute(f"insert into {name} values ('live', 1)")

        def content(name: str) -> list[tuple[Any, ...]]:
            return connection.execute(f"select customer_id, amount from {name}").fetchall()

        [ran] = run_dag(airflow_home, build, on_line=terminate)
        for name, stage in tables.items():
            assert ran.states[name] == "failed", stage
            assert "killed before it published" in ran.message(name)
            assert content(name) == [("live", 1)]
            reached = [
                line.removeprefix("::group::") for line in ran.log(name) if line.startswith("::group::")
            ]
            assert reached[-1] == stage
            assert ran.log(name).count("::endgroup::") == len(reached)
        assert ran.extras == {}
        [again] = run_dag(airflow_home, build)
        for name in tables:
            assert again.states[name] == "success"
            assert content(name) == [("c1", 5)]
