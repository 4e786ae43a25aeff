"""Queries over Airflow connections arrive as typed Arrow batches, and their errors quote no row."""

from __future__ import annotations

import logging
import sqlite3
import subprocess
import sys
import traceback
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

import duckdb
import psycopg
import psycopg2
import pyarrow as pa
import pytest

from airflow_provider_customer360.extract import postgres_adbc
from airflow_provider_customer360.extract.sql import Query, TransientSourceError, read_sql, table_query
from airflow_provider_customer360.unify.errors import SourceError, TransientError
from airflow_provider_customer360.unify.staging import stage


class Hook:
    """The two methods of a DbApiHook that are used, and the connections that it gave."""

    def __init__(self, connect: Callable[[], Any]) -> None:
        self._connect = connect
        self.connections: list[Any] = []

    def get_conn(self) -> Any:
        self.connections.append(self._connect())
        return self.connections[-1]

    def get_conn_id(self) -> str:
        return "shop"


def read(hook: Any, sql: str, parameters: Any = None, **options: Any) -> list[pa.Table]:
    return list(connected(hook, sql, parameters, **options))


def connected(hook: Any, sql: str, parameters: Any = None, **options: Any) -> Query:
    """As by somebody who lets another thread read, so that ADBC may."""
    query = Query(hook, sql, parameters, **options)
    query.connect()
    return query


def types(table: pa.Table) -> dict[str, str]:
    return {field.name: str(field.type) for field in table.schema}


@pytest.fixture
def by_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    """ADBC's driver is not installed."""
    monkeypatch.setattr(postgres_adbc, "_DRIVER", "no_such_driver")


@pytest.fixture(params=["psycopg", "psycopg2", "PostgresHook", "ADBC"])
def postgres_hook(request: pytest.FixtureRequest, postgres: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The same server over both drivers, over Airflow's own hook, and with ADBC beside it."""
    if request.param != "ADBC":
        request.getfixturevalue("by_cursor")
    if request.param in ("PostgresHook", "ADBC"):
        from airflow.providers.postgres.hooks.postgres import PostgresHook

        monkeypatch.setenv("AIRFLOW_CONN_SHOP", postgres.airflow_uri)
        return PostgresHook("shop")
    driver: Any = {"psycopg": psycopg, "psycopg2": psycopg2}[request.param]
    return Hook(lambda: driver.connect(postgres.dsn))


ROW = """
SELECT 1::int AS i, 9223372036854775807::bigint AS b, 1.50::numeric(10,2) AS n, 0.5::float8 AS f,
  true AS t, 'x'::text AS s, date '2024-01-01' AS d, timestamp '2024-01-01 05:00' AS ts,
  timestamptz '2024-01-01 05:00+02' AS tz, '00000000-0000-0000-0000-000000000005'::uuid AS u,
  '{"a": 1}'::jsonb AS j, array[1] AS a, '\\x00'::bytea AS y, interval '90 seconds' AS v, time '10:00' AS c,
  'NaN'::numeric AS nan, 1 AS i
"""
ROW_TYPES = [
    ("i", "int64"), ("b", "int64"), ("n", "decimal128(10, 2)"), ("f", "double"), ("t", "bool"),
    ("s", "large_string"), ("d", "date32[day]"), ("ts", "timestamp[us]"), ("tz", "timestamp[us, tz=UTC]"),
    ("u", "large_string"), ("j", "null"), ("a", "null"), ("y", "null"), ("v", "double"),
    ("c", "large_string"), ("nan", "null"), ("i", "int64"),
]  # fmt: skip


def test_postgres_types_are_exact(postgres_hook: Any) -> None:
    """Each type of the database has its Arrow counterpart, whatever the driver."""
    (table,) = read(postgres_hook, ROW)
    assert [(field.name, str(field.type)) for field in table.schema] == ROW_TYPES
    row = {name: table.column(i)[0].as_py() for i, name in enumerate(table.column_names)}
    assert row["b"] == 2**63 - 1
    assert row["n"] == Decimal("1.50")
    assert row["tz"] == datetime(2024, 1, 1, 3, tzinfo=UTC)
    assert row["d"] == date(2024, 1, 1)
    assert row["v"] == 90.0


def test_a_postgres_column_without_values_keeps_its_type(postgres_hook: Any) -> None:
    """What the database says of a column counts when no value does: with nulls only, and without rows."""
    kinds = {
        "int": "int64", "numeric(10,2)": "decimal128(10, 2)", "numeric": "null", "real": "double",
        "bool": "bool", "varchar(9)": "large_string", "char(3)": "large_string", "date": "date32[day]",
        "timestamp": "timestamp[us]", "timestamptz": "timestamp[us, tz=UTC]", "json": "null",
    }  # fmt: skip
    columns = ", ".join(f'null::{kind} AS "{kind}"' for kind in kinds)
    (nulls,) = read(postgres_hook, f"SELECT {columns}")
    (nothing,) = read(postgres_hook, f"SELECT {columns} WHERE false")
    assert (types(nulls), nulls.num_rows) == (kinds, 1)
    assert (types(nothing), nothing.num_rows) == (kinds, 0)


def test_postgres_rows_stream(postgres_hook: Any, request: pytest.FixtureRequest) -> None:
    """Rows are made by the server as they are asked for: a billion of them start at once."""
    query = connected(postgres_hook, "SELECT generate_series(1, 1000000000) AS n", batch_rows=1000)
    batches: Any = iter(query)
    firsts = [next(batches)["n"][0].as_py() for _ in range(3)]
    batches.close()
    rest = read(postgres_hook, "SELECT generate_series(1, 2500)", batch_rows=1000)
    assert (query.way == "ADBC") == (request.node.callspec.params["postgres_hook"] == "ADBC")
    if query.way == "ADBC":  # its batches are of so many bytes
        assert firsts == sorted(firsts)
        assert sum(batch.num_rows for batch in rest) == 2500
    else:
        assert firsts == [1, 1001, 2001]
        assert [batch.num_rows for batch in rest] == [1000, 1000, 500]


def test_postgres_parameters_and_percent_signs(postgres_hook: Any) -> None:
    """Parameters are the driver's; without them a percent sign is one."""
    assert read(postgres_hook, "SELECT %s::int AS n", [7])[0]["n"].to_pylist() == [7]
    assert read(postgres_hook, "SELECT %(n)s::int AS n", {"n": 7})[0]["n"].to_pylist() == [7]
    assert read(postgres_hook, "SELECT 1 AS n WHERE 'abc' LIKE 'a%';")[0]["n"].to_pylist() == [1]


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT * FROM nowhere", '42P01): relation "nowhere" does not exist'),
        ("SELECT email FROM (SELECT 1) t", '42703): column "email" does not exist'),
        ("SELECT 'secret@example.com'::int", "22P02); its message may quote customers and is left out"),
        ("SELECT 'x' 'secret@example.com'", "42601); its message may quote customers and is left out"),
        ("SELECT 1 / (n - 5) FROM generate_series(1, 9) n", "22012); its message may quote"),
        ("CREATE TABLE t (a int)", "42601): syntax error at or near"),
    ],
)
def test_postgres_errors_name_things_and_quote_nothing(postgres_hook: Any, sql: str, expected: str) -> None:
    """The SQLSTATE always, the message only where it is about names; neither shows in the traceback."""
    with pytest.raises(SourceError) as error:
        read(postgres_hook, sql)
    assert expected in str(error.value)
    assert "'shop'" in str(error.value)
    assert not isinstance(error.value, TransientSourceError)
    assert error.value.__context__ is None
    assert "secret" not in "".join(traceback.format_exception_only(error.value))


def test_a_lost_connection_is_transient(postgres: Any, by_cursor: None) -> None:
    """A server that ends the session, and one that is not there, are worth another try."""
    hook = Hook(lambda: psycopg.connect(postgres.dsn))
    batches = read_sql(hook, "SELECT generate_series(1, 1000000) AS n", batch_rows=10)  # type: ignore[arg-type]
    next(batches)
    with psycopg.connect(postgres.dsn, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s)", [hook.connections[0].info.backend_pid])
    with pytest.raises(TransientSourceError) as lost:
        list(batches)
    assert isinstance(lost.value, TransientError)
    nobody = "postgresql://x@127.0.0.1:1/x"
    for connect in (lambda: psycopg.connect(nobody), lambda: psycopg2.connect(nobody)):
        with pytest.raises(TransientSourceError, match="OperationalError"):
            read(Hook(connect), "SELECT 1")


@pytest.mark.parametrize("driver", [psycopg, psycopg2])
def test_the_connection_is_closed_however_it_ends(postgres: Any, driver: Any) -> None:
    """All rows read, stopped early, a failing query, a consumer that fails: no connection stays open."""
    hook = Hook(lambda: driver.connect(postgres.dsn))
    read(hook, "SELECT 1")
    stopped = read_sql(hook, "SELECT generate_series(1, 100000)", batch_rows=10)  # type: ignore[arg-type]
    next(stopped)
    stopped.close()
    with pytest.raises(SourceError):
        read(hook, "SELECT * FROM nowhere")
    failing = read_sql(hook, "SELECT generate_series(1, 100000)", batch_rows=10)  # type: ignore[arg-type]
    with pytest.raises(ZeroDivisionError), closing(failing) as batches:  # type: ignore[type-var]
        _ = [batch.num_rows / 0 for batch in batches]
    assert [bool(connection.closed) for connection in hook.connections] == [True] * 4


def test_nothing_is_opened_before_the_first_batch_is_asked_for() -> None:
    """Sources are listed before any of them is read."""
    hook = Hook(lambda: sqlite3.connect(":memory:"))
    read_sql(hook, "SELECT 1")  # type: ignore[arg-type]
    assert hook.connections == []


def test_cursor_classes_from_the_connection_do_not_matter(postgres: Any) -> None:
    """A connection whose extras ask for dictionaries still gives rows by position."""
    from psycopg2.extras import RealDictCursor

    hooks = (
        Hook(lambda: psycopg2.connect(postgres.dsn, cursor_factory=RealDictCursor)),
        Hook(lambda: psycopg.connect(postgres.dsn, row_factory=psycopg.rows.dict_row)),  # type: ignore[arg-type]
    )
    for hook in hooks:
        assert read(hook, "SELECT 1 AS a, 2 AS a")[0].columns[1].to_pylist() == [2]


@pytest.fixture
def duckdb_hook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    from airflow.providers.duckdb.hooks.duckdb import DuckDBHook

    path = tmp_path / "shop.duckdb"
    with duckdb.connect(path) as connection:
        connection.execute("CREATE TABLE t AS SELECT range AS n, 1.50::DECIMAL(10,2) AS p FROM range(5000)")
    return DuckDBHook(database=str(path))


def test_duckdb_speaks_arrow(duckdb_hook: Any) -> None:
    """DuckDB's types arrive as they are, in batches, with parameters; an endless result starts at once."""
    batches = read(duckdb_hook, "SELECT * FROM t WHERE n >= ?", [10], batch_rows=2048)
    assert types(batches[0]) == {"n": "int64", "p": "decimal128(10, 2)"}
    assert len(batches) > 1
    assert sum(batch.num_rows for batch in batches) == 4990
    (empty,) = read(duckdb_hook, "SELECT * FROM t WHERE false")
    assert (types(empty), empty.num_rows) == ({"n": "int64", "p": "decimal128(10, 2)"}, 0)
    endless = read_sql(duckdb_hook, "SELECT range AS n FROM range(1000000000000)", batch_rows=2048)
    assert next(endless).num_rows > 0
    endless.close()


@pytest.mark.parametrize("sql", ["UPDATE t SET n = 0", "CREATE TABLE x (a int)", "DELETE FROM t", ""])
def test_duckdb_sql_that_is_no_query_is_not_run(duckdb_hook: Any, sql: str) -> None:
    """Only a SELECT is a source, and nothing else is executed."""
    with pytest.raises(SourceError, match="give one SELECT"):
        read(duckdb_hook, sql)
    assert read(duckdb_hook, "SELECT sum(n)::BIGINT AS s FROM t")[0]["s"].to_pylist() == [sum(range(5000))]


def test_duckdb_errors_name_things_and_quote_nothing(duckdb_hook: Any) -> None:
    """A missing table is named; a value that does not convert is not."""
    with pytest.raises(SourceError, match="nowhere"):
        read(duckdb_hook, "SELECT * FROM nowhere")
    with pytest.raises(SourceError, match="ConversionException; its message may quote") as error:
        read(duckdb_hook, "SELECT CAST(e AS INT) FROM (SELECT 'secret@example.com' || n AS e FROM t)")
    assert "secret" not in str(error.value)


def test_any_other_driver_is_read_in_batches(tmp_path: Path) -> None:
    """The DB-API is enough; types come from the values, and an empty result has its columns."""
    with sqlite3.connect(tmp_path / "a.db") as connection:
        connection.execute("CREATE TABLE t (n INTEGER, s TEXT)")
        connection.executemany("INSERT INTO t VALUES (?, ?)", [(i or None, f"x{i}") for i in range(25)])
    hook = Hook(lambda: sqlite3.connect(tmp_path / "a.db"))
    batches = read(hook, "SELECT * FROM t", batch_rows=10)
    assert [batch.num_rows for batch in batches] == [10, 10, 5]
    assert types(batches[0]) == {"n": "int64", "s": "large_string"}
    last = [read(hook, f"SELECT * FROM t LIMIT {n}", batch_rows=10)[-1].shape for n in (0, 10)]
    assert last == [(0, 2), (10, 2)]
    with pytest.raises(SourceError, match="give one SELECT"):
        read(hook, "UPDATE t SET s = 'y'")
    assert read(hook, "SELECT count(*) AS c FROM t WHERE s = 'y'")[0]["c"].to_pylist() == [0]
    with pytest.raises(SourceError, match="OperationalError") as error:
        read(hook, "SELECT * FROM nowhere")
    assert not isinstance(error.value, TransientSourceError)


def test_a_locked_file_is_transient(tmp_path: Path) -> None:
    """Somebody else is writing: later it works."""
    path = tmp_path / "a.db"
    with sqlite3.connect(path, isolation_level=None) as writer:
        writer.execute("CREATE TABLE t (n)")
        writer.execute("BEGIN EXCLUSIVE")
        with pytest.raises(TransientSourceError, match="SQLITE_BUSY"):
            read(Hook(lambda: sqlite3.connect(path, timeout=0)), "SELECT * FROM t")
        writer.execute("ROLLBACK")


def test_pymysql_streams_and_is_not_drained(monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets its unbuffered cursor, and stopping early closes the connection, not that cursor."""
    log: list[str] = []

    class Cursor:
        description = (("n", 3, None, None, None, None, True),)

        def execute(self, sql: str) -> None:
            log.append(sql)

        def fetchmany(self, size: int) -> tuple[tuple[int], ...]:
            return ((1,),) * size

        def close(self) -> None:
            log.append("drained")

    def cursor(self: Any, kind: Any = None) -> Any:
        return Cursor() if kind == "unbuffered" else MagicMock()

    connection = type("Connection", (), {"__module__": "pymysql.connections", "cursor": cursor})()
    connection.close = lambda: log.append("closed")
    cursors = ModuleType("pymysql.cursors")
    cursors.SSCursor = "unbuffered"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pymysql", ModuleType("pymysql"))
    monkeypatch.setitem(sys.modules, "pymysql.cursors", cursors)
    batches = read_sql(Hook(lambda: connection), "SELECT n", batch_rows=5)  # type: ignore[arg-type]
    assert next(batches)["n"].to_pylist() == [1] * 5
    batches.close()
    assert log == ["SELECT n", "closed"]


def test_mysql_errors_are_told_apart_by_their_number() -> None:
    """MySQL has numbers instead of SQLSTATEs: server gone is transient, a syntax error is not."""
    failing = type("OperationalError", (Exception,), {"__module__": "MySQLdb"})

    def connect(number: int) -> Callable[[], Any]:
        def fail() -> Any:
            raise failing(number, "secret@example.com")

        return fail

    with pytest.raises(TransientSourceError, match=r"OperationalError \(2006\); its message"):
        read(Hook(connect(2006)), "SELECT 1")
    with pytest.raises(SourceError, match="1054") as error:
        read(Hook(connect(1054)), "SELECT 1")
    assert not isinstance(error.value, TransientSourceError)


def test_a_missing_connection_is_named_with_the_remedy() -> None:
    """The error says which connection and how to create it."""
    from airflow.providers.postgres.hooks.postgres import PostgresHook

    with pytest.raises(SourceError, match=r"no connection 'nowhere'.*airflow connections add 'nowhere'"):
        read(PostgresHook("nowhere"), "SELECT 1")


def test_parameters_stay_out_of_the_log(postgres: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing that is read or bound is logged."""
    hook = Hook(lambda: psycopg.connect(postgres.dsn))
    with caplog.at_level(logging.DEBUG):
        read(hook, "SELECT %s::text", ["secret@example.com"])
        with pytest.raises(SourceError):
            read(hook, "SELECT %s::int", ["secret@example.com"])
    assert "secret" not in caplog.text


def test_batches_stage_into_one_relation(postgres_hook: Any) -> None:
    """A batch of nulls followed by numbers is one column of numbers."""
    sql = "SELECT CASE WHEN n > 5 THEN n * 1.5 END AS x FROM generate_series(1, 10) n ORDER BY n"
    with duckdb.connect() as connection:
        staged = stage(connection, "source_0", connected(postgres_hook, sql, batch_rows=2))
        assert (staged.rows, staged.columns[0].type) == (10, "DECIMAL(3,1)")
        assert connection.execute("SELECT sum(c0) FROM source_0").fetchall() == [(Decimal("60.0"),)]


@pytest.mark.parametrize(
    ("table", "sql"),
    [
        ("orders", 'SELECT * FROM "orders"'),
        ("public.orders", 'SELECT * FROM "public"."orders"'),
        ('shop."my.table"', 'SELECT * FROM "shop"."my.table"'),
        ('x; DROP TABLE "y', None),
        ("a.b.c", None),
        ("", None),
    ],
)
def test_a_table_is_read_by_its_quoted_name(table: str, sql: str | None) -> None:
    """Whatever the name holds, it is only ever a name."""
    if sql is None:
        with pytest.raises(SourceError, match=r"give 'name' or 'schema.name'"):
            table_query(Hook(lambda: None), table)
    else:
        assert table_query(Hook(lambda: None), table) == sql


def test_importing_the_module_is_cheap() -> None:
    """Nothing heavy is loaded until a query is read."""
    code = (
        "import sys, airflow_provider_customer360.extract.sql\n"
        "heavy = {'pandas', 'pyarrow', 'duckdb', 'polars', 'airflow'}\n"
        "print(heavy & set(sys.modules))\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"
