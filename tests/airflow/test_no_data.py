"""No data: what happens to the task, and above all to the table that is live."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest

from tests.airflow.support import Ran, run_dag

MODES = ("auto", "sample", "skip", "fail")


def build() -> None:
    """Each mode, without a source and with empty ones, onto a table that exists and one that does not."""
    from airflow.sdk import task

    from airflow_provider_customer360 import Customer360Operator

    @task
    def empty() -> pd.DataFrame:
        return pd.DataFrame({"email": pd.Series(dtype="str"), "amount": pd.Series(dtype="float")})

    @task
    def part(i: int) -> None:
        return None

    def of(name: str, **arguments: Any) -> Customer360Operator:
        return Customer360Operator(task_id=name, asset_name=name, target_conn_id="target", **arguments)

    frame, parts = empty(), part.expand(i=[1, 2])
    sql = {"conn_id": "target", "sql": "select 'x@x.example' as email where false"}
    for mode in MODES:
        for state in ("live", "new"):
            of(f"{state}_unwired_{mode}", when_no_data=mode)
            of(
                f"{state}_empty_{mode}",
                when_no_data=mode,
                sources={"frame": frame, "sql": sql, "parts": parts},
            )
    of("new_no_sources", sources={})
    frame >> of("new_upstream_empty")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The target, with the live tables in it."""
    path = tmp_path_factory.mktemp("no_data") / "target.duckdb"
    with duckdb.connect(path) as connection:
        for kind in ("unwired", "empty"):
            for mode in MODES:
                connection.execute(f"create table live_{kind}_{mode} (customer_id varchar, note varchar)")
                connection.execute(f"insert into live_{kind}_{mode} values ('precious', 'one')")
    return path


@pytest.fixture(scope="module")
def ran(database: Path, airflow_db: None, airflow_home: Path) -> Iterator[Ran]:
    """One run of all of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_TARGET", json.dumps({"conn_type": "duckdb", "host": str(database)}))
        [ran] = run_dag(airflow_home, build)
        yield ran


@pytest.fixture(scope="module")
def tables(ran: Ran, database: Path) -> Iterator[dict[str, list[tuple[Any, ...]]]]:
    """All tables after the run."""
    with closing(duckdb.connect(database, read_only=True)) as connection:
        names = [name for (name,) in connection.execute("select table_name from duckdb_tables()").fetchall()]
        yield {
            name: connection.execute(f"select columns('^(customer_id|note)$') from {name}").fetchall()
            for name in names
        }


@pytest.mark.parametrize(
    ("task", "mode", "state"),
    [
        ("unwired", "auto", "success"),
        ("unwired", "sample", "success"),
        ("unwired", "skip", "skipped"),
        ("unwired", "fail", "failed"),
        ("empty", "auto", "skipped"),
        ("empty", "sample", "success"),
        ("empty", "skip", "skipped"),
        ("empty", "fail", "failed"),
    ],
)
def test_no_data_and_the_table(
    ran: Ran, tables: dict[str, list[tuple[Any, ...]]], task: str, mode: str, state: str
) -> None:
    """A live table is never touched; a new one is only made of sample profiles, never of nothing."""
    live, new = f"live_{task}_{mode}", f"new_{task}_{mode}"
    assert (ran.states[live], ran.states[new]) == (state, state), ran.errors
    assert tables[live] == [("precious", "one")]
    assert (new in tables) == (state == "success")
    assert (new in ran.returned) == (new in ran.extras) == (state == "success")
    if state == "success":
        assert ran.returned[live]["rows_written"] == 0
        assert ran.returned[new]["rows_written"] == len(tables[new]) == 4
        for summary in (ran.returned[live], ran.returned[new]):
            assert summary["sample_data"] is True
            assert "sample profiles" in summary["warnings"][0]
            assert summary["total_customers"] == 4


def test_sources_without_entries_are_no_sources(ran: Ran) -> None:
    """An empty mapping wires nothing; the empty frame of an upstream task is wired by its edge alone."""
    assert ran.returned["new_no_sources"]["sample_data"] is True
    assert ran.states["new_upstream_empty"] == "skipped"


def test_the_log_says_that_profiles_are_samples(ran: Ran) -> None:
    """As a warning, and why an existing table was left alone; a skipped task says why as well."""
    assert "sample profiles do not replace it" in "\n".join(ran.log("live_unwired_auto"))
    warned = [line.text for line in ran.lines["new_unwired_auto"] if line.level == "warning"]
    assert any("sample profiles" in text for text in warned)
    skipped = "\n".join(line.text for line in ran.lines["live_empty_auto"])
    assert "The table was left as it is." in skipped


def test_a_failure_for_lack_of_data_is_final(ran: Ran) -> None:
    """The message says that there was no data; no retry would bring any."""
    from airflow.sdk.exceptions import AirflowFailException

    for task_id in ("new_unwired_fail", "new_empty_fail"):
        assert isinstance(ran.errors[task_id], AirflowFailException)
    assert "No source is wired" in ran.message("new_unwired_fail")


def test_the_documented_sample_profiles(ran: Ran, database: Path) -> None:
    """Exactly those that the documentation shows, relative to the run's own date."""
    with closing(duckdb.connect(database, read_only=True)) as connection:
        rows = connection.execute(
            "select customer_id, total_spend, total_interactions, support_tickets, data_sources, is_active "
            "from new_unwired_auto where customer_id in ('cust_001', 'cust_002') order by 1"
        ).fetchall()
    assert [(row[0], float(row[1]), *row[2:]) for row in rows] == [
        ("cust_001", 1250.0, 45, 2, 3, True),
        ("cust_002", 890.5, 32, 0, 3, True),
    ]
