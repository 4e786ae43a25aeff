"""MySQL's tables as sources: types are exact, rows stream, instants are instants, with either client."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from airflow_provider_customer360.extract.sql import Query, TransientSourceError, read_sql, table_query
from airflow_provider_customer360.unify import reading
from airflow_provider_customer360.unify.config import Source
from airflow_provider_customer360.unify.engine import Engine
from airflow_provider_customer360.unify.errors import SourceError
from airflow_provider_customer360.unify.reading import read_sources
from tests.alarm import alarm
from tests.mariadb_server import CLIENTS, MariaDB

Execute = Callable[..., None]


@pytest.fixture(params=CLIENTS)
def shop(
    request: pytest.FixtureRequest, mariadb: MariaDB, mariadb_database: str, monkeypatch: pytest.MonkeyPatch
) -> Any:
    """A hook of an empty database; the zone of the server is UTC-3:30."""
    from airflow.providers.mysql.hooks.mysql import MySqlHook

    monkeypatch.setenv("AIRFLOW_CONN_SHOP", mariadb.airflow_uri(mariadb_database, request.param))
    return MySqlHook("shop")


def execute(hook: Any, *statements: str) -> None:
    """Run and commit statements in a session as people have it."""
    with closing(hook.get_conn()) as connection, closing(connection.cursor()) as cursor:
        for statement in statements:
            cursor.execute(statement)
        connection.commit()


def read(hook: Any, sql: str, parameters: Any = None, **options: Any) -> list[pa.Table]:
    return list(read_sql(hook, sql, parameters, **options))


COLUMNS = [
    ("tinyint(1)", "1", "int64", 1),
    ("int unsigned", "4294967295", "int64", 2**32 - 1),
    ("bigint", "-9223372036854775808", "int64", -(2**63)),
    ("bigint unsigned", "18446744073709551615", "decimal128(38, 0)", Decimal(2**64 - 1)),
    ("decimal(10,2)", "1.50", "decimal128(3, 2)", Decimal("1.50")),
    ("double", "0.1", "double", 0.1),
    ("bit(1)", "b'1'", "int64", 1),
    ("year", "2024", "int64", 2024),
    ("varchar(20)", "'é😀 '", "large_string", "é😀 "),
    ("varchar(20) character set latin1", "'é'", "large_string", "é"),
    ("longtext", "'text'", "large_string", "text"),
    ("enum('a','b')", "'b'", "large_string", "b"),
    ("json", '\'{"a": 1}\'', "large_string", '{"a": 1}'),
    ("blob", "'x'", "null", None),
    ("date", "'2024-01-01'", "date32[day]", date(2024, 1, 1)),
    ("datetime(6)", "'2024-01-01 05:00:00.5'", "timestamp[us]", datetime(2024, 1, 1, 5, 0, 0, 500_000)),  # noqa: DTZ001
    ("timestamp null", "'2024-01-01 05:00:00'", "timestamp[us, tz=UTC]",
     datetime(2024, 1, 1, 8, 30, tzinfo=UTC)),
]  # fmt: skip


def test_types_are_exact(shop: Any) -> None:
    """Each type of the database has its Arrow counterpart, whatever the client; NULL is null."""
    definitions = ", ".join(f"c{number} {column[0]}" for number, column in enumerate(COLUMNS))
    execute(
        shop,
        f"CREATE TABLE t ({definitions}) DEFAULT CHARACTER SET utf8mb4",
        f"INSERT INTO t VALUES ({', '.join(column[1] for column in COLUMNS)})",
        "INSERT INTO t VALUES ()",
    )
    (table,) = read(shop, "SELECT * FROM t ORDER BY c0 IS NULL")
    found = [
        (column[0], str(field.type), values[0])
        for column, field, values in zip(
            COLUMNS, table.schema, (one.to_pylist() for one in table.columns), strict=True
        )
    ]
    assert found == [(native, kind, value) for native, _, kind, value in COLUMNS]
    assert all(one.to_pylist()[1] is None for one in table.columns)


def test_a_column_without_values_keeps_its_type(shop: Any) -> None:
    """What the database says of a column counts when no value does: with nulls only, and without rows."""
    kinds = {
        "bigint": "int64", "double": "double", "date": "date32[day]", "datetime(6)": "timestamp[us]",
        "varchar(9)": "large_string", "bit(3)": "int64",
    }  # fmt: skip
    execute(shop, f"CREATE TABLE t ({', '.join(f'`{kind}` {kind}' for kind in kinds)})")
    (nothing,) = read(shop, "SELECT * FROM t")
    execute(shop, "INSERT INTO t VALUES ()")
    (nulls,) = read(shop, "SELECT * FROM t")
    for table, rows in ((nothing, 0), (nulls, 1)):
        assert ({field.name: str(field.type) for field in table.schema}, table.num_rows) == (kinds, rows)


def test_dates_that_are_none(shop: Any) -> None:
    """The day 0 of an older server is no day."""
    execute(
        shop,
        "SET SESSION sql_mode = ''",
        "CREATE TABLE t (a date, b datetime)",
        "INSERT INTO t VALUES ('0000-00-00', '0000-00-00 00:00:00'), ('2024-00-00', '2024-01-01')",
    )
    (table,) = read(shop, "SELECT * FROM t ORDER BY b")
    assert [str(field.type) for field in table.schema] == ["date32[day]", "timestamp[us]"]
    assert table.to_pylist() == [{"a": None, "b": None}, {"a": None, "b": datetime(2024, 1, 1)}]  # noqa: DTZ001


def test_rows_stream(shop: Any) -> None:
    """A billion rows start at once, take the memory of a batch, and stopping does not wait for the rest."""
    endless = "SELECT seq AS n, repeat('x', 1000) AS x FROM seq_1_to_1000000000"
    tracemalloc.start()
    try:
        batches = read_sql(shop, endless, batch_rows=1000)
        assert [next(batches)["n"][0].as_py() for _ in range(3)] == [1, 1001, 2001]
        batches.close()  # type: ignore[attr-defined]
        assert tracemalloc.get_traced_memory()[1] < 50_000_000
    finally:
        tracemalloc.stop()
    rest = read(shop, "SELECT seq FROM seq_1_to_2500", batch_rows=1000)
    assert [batch.num_rows for batch in rest] == [1000, 1000, 500]


def test_sources_are_read_at_the_same_time(shop: Any) -> None:
    """Each over a connection that one thread has opened and another one reads."""
    rows = {f"s{k}": k * 20_000 for k in range(5)}
    with Engine() as engine:
        queries = {
            name: Source(data=Query(shop, f"SELECT seq AS n FROM seq_1_to_100000 WHERE seq <= {n}"))
            for name, n in rows.items()
        }
        staged = read_sources(engine, queries)
        assert {name: one.rows for name, one in staged.items()} == rows
        assert "in batches" in queries["s1"].data.way


@pytest.mark.parametrize("client", ["hook", "pymysql"])
def test_a_timeout_interrupts_a_query(
    shop: Any, client: str, mariadb: MariaDB, mariadb_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before there is a row, without waiting for one."""
    monkeypatch.setattr(reading, "PATIENCE", 60)
    if client == "pymysql":
        pymysql = pytest.importorskip("pymysql")
        monkeypatch.setattr(
            shop,
            "get_conn",
            lambda: pymysql.connect(
                host="127.0.0.1", port=mariadb.port, user="customer360", database=mariadb_database
            ),
        )
    begun = time.monotonic()
    with Engine() as engine, pytest.raises(TimeoutError), alarm(1):
        read_sources(engine, {"slow": Source(data=Query(shop, "SELECT SLEEP(30) AS n"))})
    assert time.monotonic() - begun < 20


def test_parameters_and_percent_signs(shop: Any) -> None:
    """Parameters are the driver's; without them a percent sign is one."""
    assert read(shop, "SELECT %s AS n", ["7'"])[0]["n"].to_pylist() == ["7'"]
    assert read(shop, "SELECT %(n)s + 1 AS n", {"n": 7})[0]["n"].to_pylist() == [8]
    assert read(shop, "SELECT 1 AS n FROM DUAL WHERE 'abc' LIKE 'a%'")[0]["n"].to_pylist() == [1]


def test_text_in_double_quotes(shop: Any) -> None:
    """A query is read as MySQL's users write it."""
    assert read(shop, 'SELECT "text" AS t')[0]["t"].to_pylist() == ["text"]


@pytest.mark.parametrize("name", ["order", "a`b", 'a"b', "100%", "%s"])
def test_a_table_is_read_by_its_name(shop: Any, name: str) -> None:
    """Whatever it is called, with its database or without."""
    execute(shop, f"CREATE TABLE `{name.replace('`', '``')}` AS SELECT 1 AS n")
    (((database,),),) = [
        list(zip(*read(shop, "SELECT database() AS d")[0].to_pydict().values(), strict=True))
    ]
    table = '"' + name.replace('"', '""') + '"'
    for stated in (table, f"{database}.{table}"):
        assert read(shop, table_query(shop, stated))[0]["n"].to_pylist() == [1]


def test_errors_name_things_and_quote_nothing(shop: Any) -> None:
    """MySQL's number always, its message only where that is about names."""
    execute(shop, "CREATE TABLE t (email varchar(50))", "INSERT INTO t VALUES ('secret@example.com')")
    for sql, expected in (
        ("SELECT * FROM nowhere", r"\(1146\): Table '.*nowhere' doesn't exist"),
        ("SELECT nothing FROM t", r"\(1054\): Unknown column 'nothing'"),
        ("SELECT * FRM t WHERE email = 'secret@example.com'", r"\(1064\); its message may quote customers"),
        ("SELECT json_value(email, 'secret@example.com', 1) FROM t", "its message may quote customers"),
    ):
        with pytest.raises(SourceError, match=expected) as error:
            read(shop, sql)
        assert not isinstance(error.value, TransientSourceError)
        assert "secret" not in str(error.value)
        assert error.value.__context__ is None


def test_what_is_no_query(shop: Any) -> None:
    """The message says what is wanted."""
    execute(shop, "CREATE TABLE t (n int)")
    with pytest.raises(SourceError, match="give one SELECT"):
        read(shop, "INSERT INTO t VALUES (1)")


def test_a_lost_connection_is_transient(shop: Any, mariadb: MariaDB) -> None:
    """A server that ends the session, and one that is not there, are worth another try."""
    batches = read_sql(shop, "SELECT seq, repeat('x', 1000) FROM seq_1_to_1000000", batch_rows=10)
    next(batches)
    ((session,),) = mariadb.query(
        "SELECT id FROM information_schema.processlist WHERE info LIKE 'SELECT seq, repeat%'"
    )
    mariadb.query(f"KILL {session}")
    with pytest.raises(TransientSourceError):
        list(batches)


def test_a_server_that_is_not_there_is_transient(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may come back; the message has no password."""
    monkeypatch.setattr(shop.connection, "port", 1)
    with pytest.raises(TransientSourceError, match=r"\(200[23]\)"):
        read(shop, "SELECT 1")
