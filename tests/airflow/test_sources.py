"""Sources as Airflow hands them to the operator: each task here reads one kind, and its table is compared."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pandas as pd
import psycopg
import pytest

from tests.airflow.support import Ran, run_dag

if TYPE_CHECKING:
    from tests.conftest import Postgres

HOSTILE = 'or"ders; drop table "x" --'


def crm() -> pd.DataFrame:
    """Three contacts, of which the last has no e-mail; the numbers of two of them are known."""
    return pd.DataFrame(
        {"customer_id": [1001, None, 1003], "email": ["ada@a.example", "bob@b.example", None], "city": "Bath"}
    )


def orders() -> pd.DataFrame:
    """Three orders of two of the contacts."""
    return pd.DataFrame(
        {
            "order_id": [1, 2, 3],
            "email": ["ADA@a.example", "bob@b.example", "bob@b.example"],
            "amount": [1, 2, 3],
        }
    )


def as_arrow(frame: pd.DataFrame) -> Any:
    """The frame as an Arrow table."""
    import pyarrow as pa

    return pa.Table.from_pandas(frame)


def as_polars(frame: pd.DataFrame) -> Any:
    """The frame as polars has it."""
    import polars as pl

    return pl.from_pandas(frame)


def build_targets() -> None:
    """One task for each kind of source."""
    from airflow.sdk import task

    from airflow_provider_customer360 import Customer360Operator

    def frame(name: str, value: Callable[[], Any]) -> Any:
        return task(task_id=name, show_return_value_in_logs=False)(value)()

    def unify(name: str, sources: Any, **arguments: Any) -> Customer360Operator:
        arguments = {"target_conn_id": "target"} | arguments
        return Customer360Operator(task_id=name, asset_name=name, sources=sources, **arguments)

    @task(show_return_value_in_logs=False)
    def part(i: int) -> pd.DataFrame | None:
        return None if i == 2 else orders()[i : i + 1]

    contacts, sales, parts = frame("contacts", crm), frame("sales", orders), part.expand(i=[0, 1, 2])
    text, nothing = frame("text", lambda: "no frame"), frame("nothing", lambda: None)
    between = frame("between", lambda: 1)

    unify("in_a_mapping", {"crm": contacts, "orders": {"data": sales}})
    [contacts, sales, parts, text, nothing] >> unify("all_upstream", None)
    contacts >> between >> unify("pulled", {"crm": {"task_ids": "contacts", "attributes": ["city"]}})
    unify("pulled_unwired", {"crm": {"task_ids": "contacts"}})
    unify("pulled_unknown", {"crm": {"task_ids": "contatcs"}})
    unify("mapped", {"orders": parts})
    # XCom holds neither polars frames nor Arrow tables, but they can be made on the way out of it.
    unify("mapped_to_arrow", {"orders": parts.map(as_arrow)})
    unify("mapped_to_polars", {"orders": {"data": parts.map(as_polars)}})
    parts >> unify("mapped_and_pulled", {"orders": {"task_ids": "part"}})
    unify("not_a_frame", {"crm": contacts, "orders": text})
    unify("returned_nothing", {"crm": contacts, "orders": nothing})
    unify(
        "own_roles",
        {
            "crm": {"data": contacts, "identifiers": {"customer_id": "customer_id"}, "attributes": []},
            "orders": {"data": sales, "identifiers": ["email"], "metrics": {"amount": "max"}},
        },
    )
    unify(
        "sqlite_templated",
        {
            "orders": {
                "conn_id": "{{ 'shop' }}",
                "sql": "select * from orders where ordered_at <= '{{ ds }}' "
                "and amount > {{ dag_run.conf.least }} and email like '%example'",
            }
        },
    )
    unify(
        "sqlite_parameters",
        {
            "orders": {
                "conn_id": "shop",
                "sql": "select * from orders where ordered_at <= :day and amount > :least",
                "parameters": {"day": "{{ ds }}", "least": 10},
            }
        },
    )
    unify("sqlite_table", {"orders": {"conn_id": "shop", "table": '"' + HOSTILE.replace('"', '""') + '"'}})
    unify("sqlite_file", {"orders": {"conn_id": "shop", "sql": "orders.sql"}})
    unify("postgres_table", {"orders": {"conn_id": "pg", "table": "sales.orders"}}, target_conn_id="pg")
    unify(
        "postgres_hostile",
        {"orders": {"conn_id": "pg", "table": f'sales."{HOSTILE.replace(chr(34), chr(34) * 2)}"'}},
    )
    unify(
        "postgres_parameters",
        {
            "orders": {
                "conn_id": "pg",
                "sql": "select * from sales.orders where amount > %s and email like '%%example'",
                "parameters": ["{{ dag_run.conf.least }}"],
            }
        },
    )
    unify(
        "postgres_twice",
        {
            "orders": {"conn_id": "pg", "table": "sales.orders"},
            "shop": {"conn_id": "shop", "table": "orders"},
            "again": {
                "conn_id": "pg",
                "sql": "select * from sales.orders where amount > %s",
                "parameters": [15],
            },
            "duck": {"conn_id": "duck", "table": "orders"},
        },
    )
    unify("duckdb_table", {"orders": {"conn_id": "duck", "table": "orders"}})
    unify(
        "duckdb_parameters",
        {"orders": {"conn_id": "duck", "sql": "from orders where amount > ?", "parameters": [10]}},
    )
    unify("files", {"orders": {"path": "{{ dag_run.conf.folder }}/*.parquet"}})
    unify("no_files", {"orders": {"path": "{{ dag_run.conf.folder }}/*.csv"}})
    unify("mixed", {"crm": contacts, "orders": {"conn_id": "shop", "table": "orders"}, "parts": parts})


ROWS = [
    (1, "ADA@a.example", Decimal("10.50"), "2026-01-05 09:00:00+02:00"),
    (2, "bob@b.example", Decimal("20.25"), "2026-01-10 09:00:00+02:00"),
    (3, "bob@b.example", Decimal("40.10"), "2026-02-10 09:00:00+02:00"),
    (4, "cyd@c.example", Decimal("1.00"), "2026-01-02 09:00:00+02:00"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Databases and files with the same orders."""
    path = tmp_path_factory.mktemp("sources")
    with closing(sqlite3.connect(path / "shop.db")) as database, database:
        for name in ("orders", HOSTILE):
            name = name.replace('"', '""')
            database.execute(
                f'create table "{name}" (order_id integer, email text, amount real, ordered_at text)'
            )
            rows = [(number, email, float(amount), day[:10]) for number, email, amount, day in ROWS]
            database.executemany(f'insert into "{name}" values (?, ?, ?, ?)', rows)
    with duckdb.connect(path / "duck.duckdb") as database:
        database.execute(
            "create table orders (order_id int, email text, amount decimal(10, 2), ordered_at timestamptz)"
        )
        database.executemany("insert into orders values (?, ?, ?, ?)", ROWS)
    for number, row in enumerate(ROWS):
        frame = pd.DataFrame([row], columns=["order_id", "email", "amount", "ordered_at"])
        frame.to_parquet(path / f"{number}.parquet")
    (path / "orders.sql").write_text("select * from orders where ordered_at <= '{{ ds }}'")
    return path


@pytest.fixture(scope="module")
def ran(folder: Path, postgres: Postgres, airflow_db: None, airflow_home: Path) -> Iterator[Ran]:
    """One run of all of them."""
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute("drop schema if exists sales cascade")
        connection.execute("create schema sales")
        for name in ("orders", HOSTILE):
            quoted = '"' + name.replace('"', '""') + '"'
            connection.execute(
                f"create table sales.{quoted} "
                "(order_id bigint, email text, amount numeric(10, 2), ordered_at timestamptz)"
            )
            with connection.cursor() as cursor:
                cursor.executemany(f"insert into sales.{quoted} values (%s, %s, %s, %s)", ROWS)
    with pytest.MonkeyPatch.context() as patch:
        for name, kind, file in (
            ("TARGET", "duckdb", "target.duckdb"),
            ("DUCK", "duckdb", "duck.duckdb"),
            ("SHOP", "sqlite", "shop.db"),
        ):
            value = json.dumps({"conn_type": kind, "host": str(folder / file)})
            patch.setenv(f"AIRFLOW_CONN_{name}", value)
        patch.setenv("AIRFLOW_CONN_PG", postgres.airflow_uri)
        conf = {"folder": str(folder), "least": 15}
        [ran] = run_dag(airflow_home, build_targets, searchpath=folder, run_conf=conf)
        yield ran


@pytest.fixture
def table(ran: Ran, folder: Path) -> Callable[..., dict[str, tuple[Any, ...]]]:
    """The table of a task that succeeded: e-mail to the columns asked for."""

    def read(task_id: str, *columns: str) -> dict[str, tuple[Any, ...]]:
        assert ran.states[task_id] == "success", ran.errors.get(task_id)
        with duckdb.connect(folder / "target.duckdb", read_only=True) as database:
            rows = database.execute(f"select email, {', '.join(columns)} from {task_id}").fetchall()
        return {row[0]: row[1:] for row in rows}

    return read


Table = Callable[..., dict[str, tuple[Any, ...]]]


def test_frames_in_a_mapping(table: Table) -> None:
    """Two tasks' frames, one of them as ``data``; ids that pandas made floats are whole numbers."""
    found = table("in_a_mapping", "amount", "customer_id", "city")
    assert found.pop("bob@b.example")[1].startswith("email:")
    assert found == {"ada@a.example": (1, "1001", "Bath"), None: (0, "1003", "Bath")}


def test_nothing_given(ran: Ran, table: Table) -> None:
    """Each direct upstream frame is a source named by its task id; what is no frame is no source."""
    assert table("all_upstream", "amount", "sales_records", "part_records", "contacts_records") == {
        "ada@a.example": (2, 1, 1, 1),
        "bob@b.example": (7, 2, 1, 1),
        None: (0, 0, 0, 1),
    }
    assert set(ran.returned["all_upstream"]["sources"]) == {"contacts", "sales", "part"}
    assert any("text: returned no frame" in line.text for line in ran.lines["all_upstream"])


def test_task_ids(ran: Ran, table: Table) -> None:
    """A pull from any task upstream works, from another one it fails and says which line to add."""
    assert set(table("pulled", "city").values()) == {("Bath",)}
    assert ran.states["pulled_unwired"] == ran.states["pulled_unknown"] == "failed"
    assert "`contacts >> pulled_unwired`" in ran.message("pulled_unwired")
    assert "'contatcs'" in ran.message("pulled_unknown")


def test_a_mapped_upstream_is_one_source(ran: Ran, table: Table) -> None:
    """All its frames, without the instance that returned nothing; given, pulled, or mapped to other kinds."""
    for task_id in ("mapped", "mapped_and_pulled", "mapped_to_arrow", "mapped_to_polars"):
        assert table(task_id, "amount") == {"ada@a.example": (1,), "bob@b.example": (2,)}
        assert ran.returned[task_id]["sources"]["orders"]["records"] == 2


def test_no_frame(ran: Ran, table: Table) -> None:
    """What a task returned is no frame: fails and says what; a task returned nothing: an empty source."""
    assert ran.states["not_a_frame"] == "failed"
    assert "'orders'" in ran.message("not_a_frame")
    assert " str" in ran.message("not_a_frame")
    assert len(table("returned_nothing", "customer_id")) == 3
    assert ran.returned["returned_nothing"]["sources"]["orders"]["records"] == 0


def test_roles_of_one_source(ran: Ran, table: Table) -> None:
    """What a source states holds for that source, and nothing of it is detected instead."""
    assert ran.states["own_roles"] == "success"
    columns = {(one["source"], one["name"]): one["role"] for one in ran.returned["own_roles"]["columns"]}
    assert columns["crm", "email"] != "identifier"
    assert columns["crm", "city"] == "ignored"
    assert table("own_roles", "amount").pop("bob@b.example") == (3,)


@pytest.mark.parametrize("task_id", ["sqlite_templated", "sqlite_parameters", "sqlite_file"])
def test_sql_is_templated(table: Table, task_id: str) -> None:
    """Connection, statement (also from a file), parameters' values: all know the run's date and conf."""
    expected = {"ada@a.example": (10.5,), "bob@b.example": (20.25,), "cyd@c.example": (1.0,)}
    if task_id == "sqlite_templated":
        del expected["ada@a.example"]
    if task_id != "sqlite_file":
        del expected["cyd@c.example"]
    assert table(task_id, "amount") == expected


def test_percent_and_parameters_in_postgres(table: Table) -> None:
    """The driver's own placeholders, and its doubled percent sign when there are parameters."""
    assert table("postgres_parameters", "amount") == {"bob@b.example": (Decimal("60.35"),)}


@pytest.mark.parametrize("task_id", ["sqlite_table", "postgres_hostile", "duckdb_table", "files"])
def test_whole_tables_and_files(table: Table, task_id: str) -> None:
    """A table of any name in any database, and the files of a templated glob, give the same customers."""
    spent = {email: float(amount) for email, (amount,) in table(task_id, "amount").items()}
    assert spent == {"ada@a.example": 10.5, "bob@b.example": 60.35, "cyd@c.example": 1.0}


def test_duckdb_parameters(table: Table) -> None:
    """A DuckDB file is a source like any other, also while another one is the target."""
    assert table("duckdb_parameters", "amount") == {
        "ada@a.example": (Decimal("10.50"),),
        "bob@b.example": (Decimal("60.35"),),
    }


def test_types_survive_from_postgres_to_postgres(ran: Ran, postgres: Postgres) -> None:
    """Decimals are added as decimals, and instants stay instants."""
    assert ran.states["postgres_table"] == "success", ran.errors
    with psycopg.connect(postgres.dsn) as connection:
        rows = connection.execute(
            "select email, amount, last_seen = '2026-02-10 07:00:00+00', pg_typeof(amount)::text "
            "from postgres_table order by email"
        ).fetchall()
    assert rows == [
        ("ada@a.example", Decimal("10.50"), False, "numeric"),
        ("bob@b.example", Decimal("60.35"), True, "numeric"),
        ("cyd@c.example", Decimal("1.00"), False, "numeric"),
    ]


def test_the_log_says_how_each_source_was_read(ran: Ran, table: Table) -> None:
    """Also of those that other threads read."""
    assert table("postgres_twice", "data_sources", "total_records") == {
        "ada@a.example": (3, 3), "bob@b.example": (4, 8), "cyd@c.example": (3, 3),
    }  # fmt: skip
    lines = [line.text for line in ran.lines["postgres_twice"]]
    for told in (
        "orders: 4 rows, 4 columns by ADBC",
        "shop: 4 rows, 4 columns by sqlite3 in batches",
        "again: 2 rows, 4 columns by psycopg in batches (its SQL has parameters)",
        "duck: 4 rows, 4 columns by DuckDB's Arrow",
    ):
        assert any(told in line for line in lines), told


def test_a_glob_without_files(ran: Ran) -> None:
    """Fails and names the glob, as rendered."""
    assert ran.states["no_files"] == "failed"
    assert "/*.csv" in ran.message("no_files")
    assert "{{" not in ran.message("no_files")


def test_kinds_of_sources_mix(ran: Ran, table: Table) -> None:
    """Frames, mapped frames and SQL in one task."""
    assert table("mixed", "data_sources", "total_records") == {
        "ada@a.example": (3, 3),
        "bob@b.example": (3, 4),
        "cyd@c.example": (1, 1),
        None: (1, 1),
    }
