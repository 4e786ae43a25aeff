"""Customers' values, planted in every source, are looked for wherever Airflow keeps or prints text."""

from __future__ import annotations

import io
import json
import re
import sqlite3
import traceback
from collections.abc import Iterator
from contextlib import closing, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import psycopg
import pytest

from tests.airflow.support import Ran, run_dag

if TYPE_CHECKING:
    from tests.conftest import Postgres

#: Parts of the planted values that a mask must not show either.
PLANTED = ("zaphod", "Beeblebrox", "5550199", "555-0199", "555 0199", "PLANT-77", "plant77", "Magrathea")

#: A value that a query is given.
PARAMETER = "secret-of-the-query"

ROW: dict[str, Any] = {
    "customer_id": "PLANT-77",
    "email": "Zaphod.Beeblebrox@magic.example",
    "phone": "+1 415 555 0199",
    "full_name": "Zaphod Beeblebrox",
    "city": "Magrathea",
}


def frame() -> pd.DataFrame:
    """The planted customer, and an amount for a metric."""
    return pd.DataFrame([ROW | {"amount": 7}])


def build() -> None:
    """The same customer from each kind of source; one success, and a failure at each stage."""
    from airflow.sdk import task

    from airflow_provider_customer360 import Customer360Operator

    @task(show_return_value_in_logs=False)
    def contacts() -> pd.DataFrame:
        return frame()

    def of(name: str, extra: dict[str, Any] | None = None, **arguments: Any) -> None:
        sources = {
            "frames": data,
            "mapped": {"data": parts},
            "postgres": {"conn_id": "pg", "table": "planted"},
            "sqlite": {"conn_id": "lite", "table": "planted"},
            "files": {"path": "{{ dag_run.conf.folder }}/planted.*sv"},
        }
        arguments = {"sources": sources | (extra or {}), "target_conn_id": "pg"} | arguments
        Customer360Operator(task_id=name, asset_name=f"privacy_{name}", **arguments)

    @task(show_return_value_in_logs=False)
    def part(i: int) -> pd.DataFrame:
        return frame()

    data, parts = contacts(), part.expand(i=[1, 2])
    of("success")
    of("to_sqlite", target_conn_id="lite")
    cast = "select customer_id, email::int as amount from planted"
    of("failing_sql", {"broken": {"conn_id": "pg", "sql": cast}})
    of(
        "failing_duckdb_sql",
        {"broken": {"conn_id": "duck", "sql": "select (email || '')::int as email from planted"}},
    )
    of(
        "failing_parameters",
        {
            "broken": {
                "conn_id": "pg",
                "sql": "select email, (%s)::int as x from planted",
                "parameters": [PARAMETER],
            }
        },
    )
    of("broken_file", {"broken": {"path": "{{ dag_run.conf.folder }}/broken.csv"}})
    of("broken_json", {"broken": {"path": "{{ dag_run.conf.folder }}/broken.jsonl"}})
    of("unknown_derived", derived={"x": "nothing_of_the_kind + 1"})
    of("impossible_derived", derived={"x": "full_name::int"})
    of("erring_derived", derived={"x": "error(full_name)"})
    of("type_conflict")
    of("constraint")
    of("not_null")
    of("sqlite_constraint", target_conn_id="lite")
    of("duckdb_constraint", target_conn_id="duck")
    of("raising_trigger")


FAILING = (
    "failing_sql",
    "failing_duckdb_sql",
    "failing_parameters",
    "broken_file",
    "broken_json",
    "unknown_derived",
    "impossible_derived",
    "erring_derived",
    "type_conflict",
    "constraint",
    "not_null",
    "sqlite_constraint",
    "duckdb_constraint",
    "raising_trigger",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files and embedded databases with the planted customer."""
    import duckdb

    path = tmp_path_factory.mktemp("privacy")
    frame().to_csv(path / "planted.csv", index=False)
    header, line = (path / "planted.csv").read_text().splitlines()
    (path / "broken.csv").write_text(f'{header}\n{line}\n"{line},{line},{line}\n{line}"x"')
    (path / "broken.jsonl").write_text(json.dumps(ROW) + '\n{"email": "zaphod@magic.example", "phone"\n')
    columns = ", ".join(f"{name} text" for name in ROW)
    with closing(sqlite3.connect(path / "lite.db")) as connection, connection:
        connection.execute(f"create table planted ({columns})")
        connection.execute(f"insert into planted values ({', '.join('?' * len(ROW))})", list(ROW.values()))
        connection.execute(
            "create table privacy_sqlite_constraint "
            "(customer_id text primary key, email text check (length(email) < 3))"
        )
    with duckdb.connect(path / "duck.db") as database:
        database.execute(f"create table planted ({columns})")
        database.execute(f"insert into planted values ({', '.join('?' * len(ROW))})", list(ROW.values()))
        database.execute(
            "create table privacy_duckdb_constraint (customer_id text, email text check (length(email) < 3))"
        )
    return path


@pytest.fixture(scope="module")
def output(
    folder: Path, postgres: Postgres, airflow_db: None, airflow_home: Path
) -> Iterator[tuple[Ran, str]]:
    """One run of all of them, and all that it printed."""
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute("drop table if exists planted")
        connection.execute(f"create table planted ({', '.join(f'{name} text' for name in ROW)})")
        marks = ", ".join(["%s"] * len(ROW))
        connection.execute(f"insert into planted values ({marks})", list(ROW.values()))
        for name, columns in (
            ("type_conflict", "customer_id text primary key, email integer"),
            ("constraint", "customer_id text primary key, email text check (length(email) < 3)"),
            (
                "not_null",
                "customer_id text primary key, last_seen timestamptz not null",
            ),
            ("raising_trigger", "customer_id text primary key, full_name text"),
        ):
            connection.execute(f"drop table if exists privacy_{name}")
            connection.execute(f"create table privacy_{name} ({columns})")
        connection.execute(
            "create or replace function tell() returns trigger language plpgsql as "
            "$$ begin raise exception 'refused: %', new.full_name; end $$"
        )
        connection.execute(
            "create trigger tell before insert on privacy_raising_trigger "
            "for each row execute function tell()"
        )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_PG", postgres.airflow_uri)
        for name, kind in (("lite", "sqlite"), ("duck", "duckdb")):
            value = json.dumps({"conn_type": kind, "host": str(folder / f"{name}.db")})
            patch.setenv(f"AIRFLOW_CONN_{name.upper()}", value)
        printed = io.StringIO()
        with redirect_stdout(printed), redirect_stderr(printed):
            [ran] = run_dag(airflow_home, build, run_conf={"folder": str(folder)})
        yield ran, printed.getvalue()


@pytest.fixture(scope="module")
def ran(output: tuple[Ran, str]) -> Ran:
    """The run alone."""
    return output[0]


def found(text: str) -> list[str]:
    """The planted values in a text, each with what surrounds it."""
    return [f"…{match[0]}…" for match in re.finditer(rf"(?is).{{0,120}}({'|'.join(PLANTED)}).{{0,80}}", text)]


def test_it_is_found_where_it_is() -> None:
    """The search itself works: it finds the planted row as it is, and nothing in a mask."""
    assert len(found(str(ROW))) >= 1
    assert all(found(str(value)) for value in ROW.values())
    assert not found("Z***@magic.example PL***77 +1***99")


def test_success(ran: Ran) -> None:
    """The tasks that should succeed did, with the planted customer in their table."""
    assert ran.states["success"] == ran.states["to_sqlite"] == "success", ran.errors
    assert ran.returned["success"]["total_customers"] == 1


@pytest.mark.parametrize("task_id", FAILING)
def test_failures_tell_no_values(ran: Ran, task_id: str) -> None:
    """Each fails for good, with a message of the package's own; neither it nor its cause quotes a value."""
    from airflow.sdk.exceptions import AirflowFailException

    assert ran.states[task_id] == "failed"
    error = ran.errors[task_id]
    assert isinstance(error, AirflowFailException)
    text = "".join(traceback.format_exception(error))
    assert found(text) == []
    assert PARAMETER not in text


@pytest.mark.parametrize("task_id", ["success", "to_sqlite", *FAILING])
def test_logs_hold_no_values(ran: Ran, task_id: str) -> None:
    """No record of any logger at any level, Airflow's, the hooks' and the drivers' among them."""
    assert len(ran.lines[task_id]) > 5
    text = "\n".join(line.text for line in ran.lines[task_id])
    assert found(text) == []
    # Airflow keeps what the DAG's author wrote into a template field.
    others = [line.text for line in ran.lines[task_id] if "SetRenderedFields" not in line.text]
    assert PARAMETER not in "\n".join(others)


def test_output_holds_no_values(output: tuple[Ran, str]) -> None:
    """Neither does what was printed, tracebacks included."""
    printed = output[1]
    assert printed.count("Task failed with exception") == len(FAILING)
    assert found(printed) == []


def test_metadata_database_holds_no_values(ran: Ran) -> None:
    """Rendered templates, XCom, asset events, task instances and the audit log."""
    assert set(ran.returned) >= {"success", "to_sqlite"}
    assert set(ran.extras) == {"privacy_success", "privacy_to_sqlite"}
    assert "privacy_success" in ran.kept()
    assert found(ran.kept()) == []
