"""A task that is killed leaves the table that was there, and the next attempt makes it right."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import psycopg
import pytest

from tests.airflow.support import Line, run_dag

if TYPE_CHECKING:
    from tests.conftest import Postgres

CUSTOMERS = 20_000
#: So many customers leave, and as many come.
GONE = 5_000

#: Does the operator's work in a process of its own, forked from one that has imported everything. There is
#: no DAG run around it, because Airflow takes longer to start than the work takes.
WORKER = """
import os, sys
from types import SimpleNamespace

import duckdb, pendulum, pyarrow.parquet
import airflow.providers.postgres.hooks.postgres
from airflow_provider_customer360 import Customer360Operator, publish
from airflow_provider_customer360.database import connections
from airflow_provider_customer360.extract import sources, sql
from airflow_provider_customer360.unify import pipeline

for path in sys.stdin:
    if pid := os.fork():
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
        continue
    task = Customer360Operator(
        task_id="unify", asset_name="killed", target_conn_id="pg", sources={"orders": {"path": path.strip()}}
    )
    context = {
        "run_id": "killed",
        "dag_run": SimpleNamespace(run_after=pendulum.datetime(2026, 1, 31)),
        "outlet_events": {task.outlets[0]: SimpleNamespace(extra={})},
    }
    Customer360Operator.execute.__wrapped__(task, context)
    os._exit(0)
"""


@contextmanager
def worker(log: Path, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """The process that runs the operator once for each path that it is given."""
    with (
        log.open("w") as output,
        subprocess.Popen(
            [sys.executable, "-c", WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            env=os.environ | {"AIRFLOW__LOGGING__LOGGING_LEVEL": "CRITICAL"} | environment,
            cwd=Path(__file__).parents[2],
            text=True,
        ) as process,
    ):
        yield process
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture
def data(tmp_path: Path) -> tuple[Path, Path]:
    """Yesterday's data and today's: other amounts, some customers gone and some new."""
    paths = (tmp_path / "old.parquet", tmp_path / "new.parquet")
    for day, path in enumerate(paths):
        numbers = range(day * GONE, day * GONE + CUSTOMERS)
        emails = [f"user{number}@x.example" for number in numbers]
        pd.DataFrame({"email": emails, "amount": [number + day for number in numbers]}).to_parquet(path)
    return paths


@pytest.mark.slow
def test_killed_at_any_moment(
    postgres: Postgres, data: tuple[Path, Path], tmp_path: Path, airflow_db: None
) -> None:
    """SIGKILL while loading, while merging or whenever: the old table stays whole, nothing else does."""
    seed = random.randrange(2**32)
    print("seed", seed)
    old, new = data
    with (
        psycopg.connect(postgres.dsn, autocommit=True) as connection,
        psycopg.connect(postgres.dsn) as blocker,
        worker(tmp_path / "log", AIRFLOW_CONN_PG=postgres.airflow_uri) as process,
    ):
        connection.execute("drop table if exists killed")

        def start(path: Path) -> int:
            process.stdin.write(f"{path}\n")
            process.stdin.flush()
            return int(process.stdout.readline())

        def ended() -> int:
            return int(process.stdout.readline())

        def table() -> Any:
            query = "select count(*), sum(amount), min(email), max(email) from killed"
            return connection.execute(query).fetchone()

        def publishers(statement: str = "") -> bool:
            query = "select 1 from pg_stat_activity where backend_type = 'client backend' and query ~ %s"
            mine = [connection.info.backend_pid, blocker.info.backend_pid]
            query += " and pid <> all(%s)"
            return bool(connection.execute(query, (statement, mine)).fetchall())

        def wait_for(condition: Callable[[], bool]) -> None:
            deadline = time.monotonic() + 60
            while not condition():
                assert time.monotonic() < deadline, (tmp_path / "log").read_text()

        start(old)
        assert ended() == 0, (tmp_path / "log").read_text()
        before = table()
        started = time.monotonic()
        start(old)
        assert ended() == 0
        seconds = time.monotonic() - started

        def at_random_moments() -> Iterator[tuple[str, str, float]]:
            moments = random.Random(seed)
            for _ in range(3):
                yield "", "lock table killed in share row exclusive mode", moments.uniform(0, seconds)

        # What the publisher is kept from by a lock, and the statement at which it is killed.
        lock_row = "select from killed where email = 'user{}@x.example' for update"
        for statement, lock, delay in (
            ("^(CREATE TEMP|COPY|ANALYZE)", "lock table killed in share row exclusive mode", 0),
            ("^LOCK TABLE", "lock table killed in share row exclusive mode", 0),
            ("^DELETE", lock_row.format(0), 0),
            ("^UPDATE", lock_row.format(GONE), 0),
            *at_random_moments(),
        ):
            blocker.execute(lock)
            child = start(new)
            time.sleep(delay)
            if statement:
                wait_for(lambda statement=statement: publishers(statement))
            os.kill(child, signal.SIGKILL)
            assert ended() == -signal.SIGKILL
            blocker.rollback()
            wait_for(lambda: not publishers())
            assert table() == before, (statement, delay)
            debris = "select relname from pg_class where relname like '%staging%'"
            assert connection.execute(debris).fetchall() == []
        start(new)
        assert ended() == 0
        numbers = range(GONE, GONE + CUSTOMERS)
        emails = [f"user{number}@x.example" for number in numbers]
        assert table() == (CUSTOMERS, sum(numbers) + CUSTOMERS, min(emails), max(emails))


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
