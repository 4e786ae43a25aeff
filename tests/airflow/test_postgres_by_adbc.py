"""Postgres by ADBC: it gives what psycopg's cursor gives, and where it would not, the cursor reads."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_customer360.extract import postgres_adbc
from airflow_provider_customer360.extract import sql as sql_module
from airflow_provider_customer360.extract.postgres_columns import numeric_column
from airflow_provider_customer360.extract.sql import Query, TransientSourceError
from airflow_provider_customer360.unify.config import Source
from airflow_provider_customer360.unify.engine import Engine
from airflow_provider_customer360.unify.errors import SourceError
from airflow_provider_customer360.unify.frames import objects_column
from airflow_provider_customer360.unify.reading import read_sources
from tests.conftest import Postgres, unavailable


class Hook:
    """The two methods of a DbApiHook that are used."""

    def __init__(self, connect: Callable[[], Any]) -> None:
        self.get_conn = connect

    def get_conn_id(self) -> str:
        return "shop"


@pytest.fixture(autouse=True, scope="module")
def _driver() -> Iterator[None]:
    if importlib.util.find_spec("adbc_driver_postgresql") is None:
        unavailable("these tests need adbc-driver-postgresql")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sql_module, "PLAIN_HOOKS", sql_module.PLAIN_HOOKS | {__name__})
        yield


@pytest.fixture(scope="module")
def database(postgres: Postgres) -> str:
    """A database with types of its own."""
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS kinds CASCADE")
        connection.execute("CREATE SCHEMA kinds")
        connection.execute("CREATE TYPE kinds.mood AS ENUM ('sad', 'so so')")
        connection.execute("CREATE DOMAIN kinds.price AS numeric(10,2)")
        connection.execute("CREATE DOMAIN kinds.email AS varchar(50)")
        connection.execute("CREATE TYPE kinds.pair AS (a int, b text)")
    return postgres.dsn


@contextmanager
def _without_adbc() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(postgres_adbc, "_DRIVER", "no_such_driver")
        yield


def _query(connect: Callable[[], Any], sql: str, parameters: Any = None) -> Query:
    """A query that is connected, as by somebody who lets another thread read it."""
    query = Query(Hook(connect), sql, parameters)  # type: ignore[arg-type]
    query.connect()
    return query


def _read(dsn: str, sql: str, **options: Any) -> tuple[str, list[pa.Table]]:
    query = _query(lambda: psycopg.connect(dsn, **options), sql)
    tables = list(query)
    return query.way, tables


def _told(tables: list[pa.Table]) -> Any:
    whole = pa.concat_tables(tables)
    fields = [(field.name, str(field.type), field.metadata) for field in whole.schema]
    return fields, [column.to_pylist() for column in whole.columns]


def _both(dsn: str, sql: str, **options: Any) -> tuple[str, Any, Any]:
    """The way that was chosen, and what it and the cursor give: types and values, or the error."""

    def outcome() -> tuple[str, Any]:
        try:
            way, tables = _read(dsn, sql, **options)
            return way, _told(tables)
        except SourceError as error:
            return "", type(error)

    with _without_adbc():
        _, cursor = outcome()
    return *outcome(), cursor


#: Type -> values, as Postgres reads them.
VALUES: dict[str, list[str]] = {
    "bool": ["true", "false"],
    "int2": ["-32768", "32767"],
    "int4": ["-2147483648", "7"],
    "int8": ["-9223372036854775808", "9223372036854775807"],
    "oid": ["0", "4294967295"],
    "float4": ["0.1", "1e10", "3.4028235e38", "-0", "NaN", "Infinity", "-Infinity", "16777217"],
    "float8": ["0.1", "1e300", "5e-324", "-0", "NaN", "Infinity", "-Infinity", "9007199254740993"],
    "numeric": ["1.50", "0", "-0.05", "123456789012345678901234567890", "NaN"],
    "numeric(10,2)": ["1.5", "-99999999.99", "0", "NaN"],
    "numeric(38,10)": ["1234567890123456789012345678.0123456789"],
    "numeric(50,20)": ["1.5", "123456789012345678901234567890.5"],
    "numeric(5,-2)": ["123400", "-100"],
    "numeric(2,4)": ["0.0012"],
    "text": ["", " a ", "é😀", "line\nbreak", "007", "N/A", "%s"],
    "varchar(5)": ["a ", "abcde"],
    "char(5)": ["a", "", "abcde"],
    '"char"': ["x", ""],
    "name": ["a", 'quo"te'],
    "bytea": ["\\x00ff", ""],
    "date": ["0001-01-01", "9999-12-31", "2024-02-29"],
    "timestamp": ["0001-01-01 00:00:00", "9999-12-31 23:59:59.999999", "2024-01-01 05:00:00.5"],
    "timestamptz": ["2024-01-01 05:00:00.5+02", "1900-01-01 00:00:00-05", "9000-06-01 00:00+00"],
    "time": ["10:00:00", "10:00:00.5"],
    "timetz": ["10:00:00+02"],
    "interval": ["90 seconds", "1 day 2 hours"],
    "uuid": ["00000000-0000-0000-0000-00000000000a"],
    "json": ['{"a": 1}', ' [1]', "null"],
    "jsonb": ['{"a": 1}', '"text"', "1.5"],
    "int[]": ["{1,2}", "{}"],
    "text[]": ["{a,NULL}"],
    "numeric[]": ["{1.5}"],
    "kinds.mood[]": ["{sad}"],
    "int4range": ["[1,5)", "empty"],
    "int4multirange": ["{[1,5)}"],
    "inet": ["10.0.0.1", "10.0.0.0/8", "::1"],
    "cidr": ["10.0.0.0/8"],
    "macaddr": ["08:00:2b:01:02:03"],
    "kinds.mood": ["sad", "so so"],
    "kinds.price": ["1.5"],
    "kinds.email": ["a@b.example"],
    "kinds.pair": ["(1,x)", "(,)"],
    "money": ["-1234.56"],
    "bit(3)": ["101"],
    "varbit": ["1", ""],
    "xml": ["<a>b</a>"],
    "point": ["(1,2)"],
    "tsvector": ["a fat cat"],
    "regclass": ["pg_class"],
    "pg_lsn": ["0/16B3748"],
    "xid": ["7"],
    "aclitem": ["customer360=r/customer360"],
    "jsonpath": ["$.a"],
    "int2vector": ["1 2"],
}  # fmt: skip
#: Beside those above: what only one kind of value makes of a column.
MORE = [
    ("numeric", ["Infinity", "1.5"]), ("numeric", ["0"]), ("numeric", ["0.00", "0.05"]), ("numeric", ["NaN"]),
    ("numeric", ["1e50", "1e-30"]), ("numeric", ["1e100"]), ("numeric", ["99999999999999999999", "0.5"]),
    ("numeric(10,2)", ["NaN"]), ("float8", ["NaN"]),
    ("jsonb", ['"text"', '"other"']), ("jsonb", ["1", "2.5"]), ("jsonb", ["true"]), ("jsonb", ["null"]),
    ("jsonb", ["1", '"2"']), ("json", ['"\\ud800"']), ("json", ['{"a": 1}']),
    ("date", ["infinity"]), ("date", ["0044-03-15 BC", "2024-01-01"]), ("date", ["10000-01-01"]),
    ("timestamp", ["-infinity"]), ("timestamp", ["294276-01-01"]), ("timestamptz", ["infinity"]),
    ("timestamptz", ["4000-01-01 BC"]), ("time", ["24:00:00"]), ("interval", ["1 month"]),
]  # fmt: skip
#: Those that are left to the cursor.
BY_CURSOR = ("time", "timetz", "interval", "int4range", "int4multirange")


def _rows(kind: str, values: list[str]) -> str:
    literals = ", ".join("('" + value.replace("'", "''") + "')" for value in values)
    column = f"CAST(v AS {kind})"
    return f"SELECT {column} AS value FROM (VALUES {literals}, (NULL)) AS given (v)"


@pytest.mark.parametrize(("kind", "values"), [*VALUES.items(), *MORE])
def test_a_type_is_the_same_both_ways(database: str, kind: str, values: list[str]) -> None:
    """Arrow types, values and what is unusable, or an error: as the cursor has it."""
    way, by_adbc, by_cursor = _both(database, _rows(kind, values))
    assert by_adbc == by_cursor
    if by_cursor is not SourceError:
        assert way.startswith("psycopg in batches (column 'value'" if kind in BY_CURSOR else "ADBC")


@pytest.mark.parametrize("rows", ["WHERE false", ""], ids=["no row", "nulls only"])
def test_columns_without_values_are_the_same_both_ways(database: str, rows: str) -> None:
    """What the database says of a column counts when no value does."""
    kinds = [kind for kind in VALUES if kind not in BY_CURSOR]
    way, by_adbc, by_cursor = _both(
        database, f"SELECT {', '.join(f'CAST(NULL AS {kind})' for kind in kinds)} {rows}"
    )
    assert way == "ADBC"
    assert by_adbc == by_cursor
    assert {kind: str(found[1]) for kind, found in zip(kinds, by_adbc[0], strict=True)}[
        "text"
    ] == "large_string"


@given(st.lists(st.none() | st.decimals(), max_size=5))
def test_numbers_that_the_server_wrote_get_the_type_of_their_values(values: list[Decimal | None]) -> None:
    """The narrowest that holds all of them, as for objects."""
    texts = [None if value is None else _written(value) for value in values]
    found, unusable = numeric_column(pa.chunked_array([pa.array(texts, pa.string())]))
    wanted, _ = objects_column([None if text is None else Decimal(text) for text in texts])
    assert unusable is None
    assert (found.type, found.to_pylist()) == (wanted.type, wanted.to_pylist())


def _written(value: Decimal) -> str:
    """As Postgres writes it."""
    if value.is_nan() or value.is_infinite():
        return "NaN" if value.is_nan() else f"{'-' * value.is_signed()}Infinity"
    value = value if abs(value.adjusted()) < 60 else Decimal(0)
    return format(abs(value) if value == 0 else value, "f")


SQL = {
    "a semicolon": ("SELECT 1 AS a;", "ADBC"),
    "a comment": ("SELECT 1 AS a -- of one; or two", "psycopg in batches (its SQL has a semicolon)"),
    "a comment at the end": ("SELECT 1 AS a -- the end", "ADBC"),
    "a text with a semicolon": ("SELECT ';' AS a", "psycopg in batches (its SQL has a semicolon)"),
    "a percent sign": ("SELECT '100%' AS a, 7 % 4 AS b", "ADBC"),
    "names that repeat": ("SELECT 1 AS a, 'x' AS a, 2 AS \"A\"", "ADBC"),
    "a hostile name": ('SELECT 1 AS """); drop table x --"', "psycopg in batches (its SQL has a semicolon)"),
    "no names": ("SELECT 1, 2", "ADBC"),
    "an order": ("SELECT n FROM generate_series(1, 2000) n ORDER BY n % 7, n", "ADBC"),
    "with": ("WITH a AS (SELECT 1 AS b) SELECT * FROM a", "ADBC"),
    "values": ("VALUES (1, 'a'), (2, 'b')", "ADBC"),
    "a union": ("SELECT 1 AS a UNION ALL SELECT 2", "ADBC"),
    "no columns": ("SELECT FROM generate_series(1, 3)", ""),
    "two statements": ("SELECT 1 AS a; SELECT 2 AS b", ""),
    "a change": ("CREATE TABLE kinds.made (a int)", ""),
    "a changing with": ("WITH a AS (DELETE FROM pg_class RETURNING 1) SELECT * FROM a", ""),
    "show": ("SHOW TimeZone", ""),
    "brackets that do not match": ("SELECT 1) AS q (c0)) TO STDOUT --", ""),
    "nothing": ("", ""),
}


@pytest.mark.parametrize(("sql", "way"), SQL.values(), ids=SQL)
def test_sql_is_read_the_same_both_ways(database: str, sql: str, way: str) -> None:
    """However it is written; and what is no query is refused, and not run."""
    found, by_adbc, by_cursor = _both(database, sql)
    assert by_adbc == by_cursor
    assert not way or found == way


def test_a_table_with_a_hostile_column(database: str) -> None:
    """A name is only ever a name."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute('CREATE TABLE kinds.h AS SELECT 1 AS """; drop table kinds.h; --", 2 AS "c0"')
    way, by_adbc, by_cursor = _both(database, "SELECT * FROM kinds.h")
    assert (way, by_adbc) == ("ADBC", by_cursor)
    assert [name for name, *_ in by_adbc[0]] == ['"; drop table kinds.h; --', "c0"]


def test_the_session_is_the_same(postgres: Postgres) -> None:
    """User, database, search path and settings are what the connection states, whatever is in them."""
    word = 'it\'s a \\ "secret" % @:/ é'
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute('DROP ROLE IF EXISTS "o\'dd user"')
        connection.execute(f"CREATE ROLE \"o'dd user\" LOGIN PASSWORD '{word.replace(chr(39), chr(39) * 2)}'")
    settings = ("search_path", "TimeZone", "application_name", "work_mem")
    told = ", ".join(f"current_setting('{name}')" for name in settings)
    sql = f"SELECT current_user::text, {told}"
    options = {
        "user": "o'dd user", "password": word, "application_name": "it's \\ one",
        "options": "-c search_path=kinds,public -c timezone=Asia/Tokyo -c work_mem=5MB", "connect_timeout": 9,
    }  # fmt: skip
    way, by_adbc, by_cursor = _both(postgres.dsn, sql, **options)
    assert (way, by_adbc) == ("ADBC", by_cursor)
    assert by_adbc[1] == [["o'dd user"], ["kinds,public"], ["Asia/Tokyo"], ["it's \\ one"], ["5MB"]]


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("SET ROLE pg_read_all_data", "its session would have another user"),
        ("SET search_path = kinds", "its session would have another schemas"),
        ("CREATE TEMP TABLE t AS SELECT 1 AS a", "its session would have another schemas"),
        ("SET work_mem = '5MB'", "its session would have another work_mem"),
    ],
)
def test_a_session_that_was_changed_is_read_by_the_cursor(database: str, statement: str, reason: str) -> None:
    """What a hook does after it has connected is not lost."""

    def connect() -> Any:
        connection = psycopg.connect(database)
        connection.execute(statement)  # type: ignore[call-overload]
        return connection

    query = _query(connect, "SELECT current_user::text AS u")
    assert len(list(query)) == 1
    assert query.way == f"psycopg in batches ({reason})"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("-c statement_timeout=60000", "a statement_timeout is set"),
        ("-c extra_float_digits=0", "its session rounds numbers"),
        ("-c client_encoding=LATIN1", "its session is not in UTF8"),
    ],
)
def test_settings_that_a_cursor_takes_otherwise(database: str, options: str, reason: str) -> None:
    """A timeout is one of each batch, texts and rounded numbers are those that the server writes."""
    sql = "SELECT 'é' AS t, 0.1::float8 + 0.2 AS f"
    way, by_adbc, by_cursor = _both(database, sql, options=options)
    assert (way, by_adbc) == (f"psycopg in batches ({reason})", by_cursor)


def test_parameters_are_the_cursors(database: str) -> None:
    """Placeholders are psycopg's own, and so is what reads them."""
    query = _query(lambda: psycopg.connect(database), "SELECT %s::int AS n", [7])
    assert [table["n"].to_pylist() for table in query] == [[7]]
    assert query.way == "psycopg in batches (its SQL has parameters)"


def test_without_the_driver_the_cursor_reads(database: str) -> None:
    """And says what would make it faster."""
    with _without_adbc():
        way, _ = _read(database, "SELECT 1 AS a")
    assert way == "psycopg in batches (adbc-driver-postgresql is not installed)"


def test_a_driver_that_does_not_load_leaves_it_to_the_cursor(database: str) -> None:
    """Whatever it fails with; where it could not be used, it is not even loaded."""

    def broken(module: str) -> Any:
        loaded.append(module)
        raise AttributeError(module)

    loaded: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(postgres_adbc, "import_module", broken)
        query = _query(lambda: psycopg.connect(database), "SELECT 1 AS a")
        patch.undo()
        assert [one.to_pylist() for one in query] == [[{"a": 1}]]
        assert query.way == "psycopg in batches (adbc-driver-postgresql fails with AttributeError)"
        assert loaded == ["adbc_driver_postgresql.dbapi"]
        patch.setattr(postgres_adbc, "import_module", broken)
        _query(lambda: psycopg.connect(database), "SELECT %s::int AS a", [1]).close()
        assert len(loaded) == 1


def test_a_connection_that_is_interrupted_is_closed(database: str) -> None:
    """No session stays where a timeout comes between connecting and reading."""
    connection = psycopg.connect(database)

    def interrupted() -> Any:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sql_module, "driver", interrupted)
        with pytest.raises(KeyboardInterrupt):
            _query(lambda: connection, "SELECT 1 AS a")
    assert connection.closed


def test_who_just_iterates_gets_the_cursor(database: str) -> None:
    """In the main thread no signal interrupts what ADBC waits for, and nobody else would cancel it."""
    query = Query(Hook(lambda: psycopg.connect(database)), "SELECT 1 AS a")  # type: ignore[arg-type]
    assert [one.to_pylist() for one in query] == [[{"a": 1}]]
    assert query.way == "psycopg in batches (only one thread reads)"


def test_a_hook_that_connects_in_its_own_way(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenant, which no setting tells of, decides which rows there are; the provider's own hook has none."""
    from airflow.providers.postgres.hooks.postgres import PostgresHook

    class OfTenant(PostgresHook):
        def get_conn(self) -> Any:
            return _for_tenant(super().get_conn())

    class OfTenantToo(PostgresHook):
        def _create_connection(self, given: Any) -> Any:
            return _for_tenant(super()._create_connection(given))

    monkeypatch.setenv("AIRFLOW_CONN_SHOP", postgres.airflow_uri)
    sql = "SELECT n FROM generate_series(1, 5) n WHERE current_setting('app.tenant', true) = 'mine'"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sql_module, "PLAIN_HOOKS", sql_module.PLAIN_HOOKS - {__name__})
        for hook, rows, way in (
            (PostgresHook("shop"), 0, "ADBC"),
            (OfTenant("shop"), 5, "psycopg in batches (its hook connects in its own way)"),
            (OfTenantToo("shop"), 5, "psycopg in batches (its hook connects in its own way)"),
        ):
            query = Query(hook, sql)
            query.connect()
            assert (sum(one.num_rows for one in query), query.way) == (rows, way)


def _for_tenant(connection: Any) -> Any:
    connection.execute("SET app.tenant = 'mine'")
    return connection


def test_values_that_psycopg_is_told_to_read_otherwise(database: str) -> None:
    """Whoever registers a loader gets what it gives, also where ADBC knows the type."""
    from psycopg.types.numeric import FloatLoader

    def connect() -> Any:
        connection = psycopg.connect(database)
        connection.adapters.register_loader("numeric", FloatLoader)
        return connection

    query = _query(connect, "SELECT 1.50::numeric AS a")
    assert [str(one.schema.field("a").type) for one in query] == ["double"]
    assert query.way == "psycopg in batches (column 'a' has a type that ADBC gives otherwise)"
    query = _query(connect, "SELECT 1 AS a")
    assert (len(list(query)), query.way) == (1, "ADBC")


def test_adbc_that_cannot_connect_leaves_it_to_the_cursor(postgres: Postgres) -> None:
    """Nothing fails that did not fail before."""
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS once")
        connection.execute("CREATE ROLE once LOGIN CONNECTION LIMIT 1")
    way, tables = _read(postgres.dsn, "SELECT 1 AS a", user="once")
    assert (way, tables[0].num_rows) == ("psycopg in batches (ADBC cannot connect)", 1)


def test_errors_in_the_middle_quote_nothing(database: str) -> None:
    """The SQLSTATE, not the message, also when rows have been read before."""
    sql = "SELECT CASE WHEN n > 900000 THEN ('secret@example.com' || n)::int END AS a, repeat('x', 50) AS x "
    query = _query(lambda: psycopg.connect(database), sql + "FROM generate_series(1, 1000000) n")
    batches = iter(query)
    assert next(batches).num_rows > 1000
    with pytest.raises(SourceError, match=r"\(22P02\); its message may quote customers") as error:
        list(batches)
    assert query.way == "ADBC"
    assert "secret" not in str(error.value)
    assert error.value.__context__ is None
    assert not isinstance(error.value, TransientSourceError)


def test_a_lost_connection_is_transient(database: str) -> None:
    """A server that ends the session in the middle is worth another try."""
    query = _query(
        lambda: psycopg.connect(database, application_name="lost"),
        "SELECT n, repeat('x', 100) AS x FROM generate_series(1, 10000000) n",
    )
    batches = iter(query)
    next(batches)
    assert query.way == "ADBC"
    with psycopg.connect(database, autocommit=True) as other:
        killed = (
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'lost'"
        )
        assert other.execute(killed).fetchall() == [(1,)]
    with pytest.raises(TransientSourceError):
        list(batches)


def test_a_query_is_cancelled(database: str) -> None:
    """From another thread, before there is a row."""
    query = _query(lambda: psycopg.connect(database), "SELECT pg_sleep(30)::text AS s")
    timer = threading.Timer(0.5, query.cancel)
    timer.start()
    begun = time.monotonic()
    with pytest.raises(SourceError):
        list(query)
    timer.join()
    assert time.monotonic() - begun < 10


def test_floating_point_sums_and_order_are_the_cursors(database: str) -> None:
    """Where the server would let workers help, who add and deliver in any order."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE TABLE kinds.f AS SELECT random() AS f FROM generate_series(1, 200000)")
    costs = ("parallel_setup_cost", "parallel_tuple_cost", "min_parallel_table_scan_size")
    options = " ".join(f"-c {name}=0" for name in costs)
    for sql in ("SELECT sum(f) AS s FROM kinds.f", "SELECT f FROM kinds.f WHERE f < 0.5"):
        way, by_adbc, by_cursor = _both(database, sql, options=options)
        assert way == "ADBC"
        assert by_adbc == by_cursor


def test_somebody_who_waits_for_the_table_is_not_waited_for(database: str) -> None:
    """An ALTER TABLE that queues after describing would wait for one session, and stop the other."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE TABLE kinds.locked AS SELECT 1 AS a")
    altering: list[threading.Thread] = []

    def alter() -> None:
        with psycopg.connect(database, autocommit=True, options="-c lock_timeout=20s") as connection:
            connection.execute("ALTER TABLE kinds.locked ADD COLUMN b int")

    class Slow(postgres_adbc.AdbcRows):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            altering.append(threading.Thread(target=alter))
            altering[0].start()
            time.sleep(0.5)

    begun = time.monotonic()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sql_module, "AdbcRows", Slow)
        way, tables = _read(database, "SELECT a FROM kinds.locked")
    altering[0].join()
    assert (way, tables[0].num_rows) == ("ADBC", 1)
    assert time.monotonic() - begun < 10


def test_a_server_that_refuses_copy_is_read_by_the_cursor(database: str) -> None:
    """What psycopg has declared before is declared again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(postgres_adbc, "_selecting", lambda *_: "SELECT no_such_function()")
        way, tables = _read(database, "SELECT 7 AS a")
    assert way == "psycopg in batches (ADBC fails with ProgrammingError)"
    assert tables[0].to_pylist() == [{"a": 7}]


def test_a_connection_of_adbc_gives_the_same(database: str) -> None:
    """What Postgres's driver has no type for becomes what psycopg makes of it, with values and without."""
    from adbc_driver_postgresql import dbapi

    columns = {
        "i": "1", "n": "1.50", "m": "'123456789012345678901'::numeric", "t": "'x'::text",
        "f": "0.5::float8", "u": "'00000000-0000-0000-0000-00000000000a'::uuid", "d": "date '2024-01-01'",
        "z": "timestamptz '2024-01-01 05:00+02'", "b": "true", "y": "'a'::bytea", "a": "array[1]",
    }  # fmt: skip
    sql = f"SELECT {', '.join(f'{value} AS {name}' for name, value in columns.items())}"
    query = _query(lambda: dbapi.connect(database), sql)
    with _without_adbc():
        _, by_cursor = _read(database, sql)
    assert _told(list(query)) == _told(by_cursor)
    assert query.way == "ADBC"
    empty = _query(lambda: dbapi.connect(database), f"{sql} WHERE false")
    assert [(one.num_rows, one.column_names) for one in empty] == [(0, list(columns))]
    changing = _query(lambda: dbapi.connect(database), "CREATE TABLE kinds.made (a int)")
    with pytest.raises(SourceError, match="give one SELECT"):
        list(changing)
    failing = _query(lambda: dbapi.connect(database), "SELECT * FROM nowhere")
    with pytest.raises(SourceError, match='42P01\\): relation "nowhere" does not exist'):
        list(failing)


def test_sqlite_by_adbc(tmp_path: Path) -> None:
    """Columns of numbers and texts, with NULLs in front and parameters."""
    from adbc_driver_sqlite import dbapi

    with dbapi.connect(str(tmp_path / "a.db")) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE t (n INTEGER, s TEXT)")
        cursor.execute("INSERT INTO t VALUES (NULL, NULL), (7, 'x')")
        connection.commit()
    hook: Any = Hook(lambda: dbapi.connect(str(tmp_path / "a.db")))
    (found,) = Query(hook, "SELECT * FROM t")
    assert found.to_pylist() == [{"n": None, "s": None}, {"n": 7, "s": "x"}]
    assert [str(field.type) for field in found.schema] == ["int64", "large_string"]
    (found,) = Query(hook, "SELECT s FROM t WHERE n = ?", [7])
    assert found.to_pylist() == [{"s": "x"}]


def test_no_session_stays(database: str) -> None:
    """Read to the end or stopped early."""

    def connect() -> Any:
        return psycopg.connect(database, application_name="stays")

    sql = "SELECT n, repeat('x', 100) AS x FROM generate_series(1, 1000000) n"
    batches: Any = iter(_query(connect, sql))
    next(batches)
    assert _sessions(database, "stays") == 1
    batches.close()
    list(_query(connect, "SELECT 1 AS a"))
    deadline = time.monotonic() + 10
    while _sessions(database, "stays") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert _sessions(database, "stays") == 0


def _sessions(dsn: str, application: str) -> int:
    sql = f"SELECT count(*) FROM pg_stat_activity WHERE application_name = '{application}'"
    with psycopg.connect(dsn, autocommit=True) as other:
        return int(other.execute(sql).fetchall()[0][0])  # type: ignore[call-overload]


@pytest.mark.parametrize("adbc", [True, False])
def test_sources_that_are_read_at_once(database: str, adbc: bool) -> None:
    """All rows of all of them; where one fails, the others' queries end and no session stays."""

    def given(**queries: str) -> dict[str, Source]:
        hook: Any = Hook(lambda: psycopg.connect(database, application_name="at_once"))
        return {name: Source(data=Query(hook, sql)) for name, sql in queries.items()}

    many = "SELECT n, repeat('x', 100) AS x FROM generate_series(1, {}) n"
    failing = "SELECT 1 / (n - 300000) AS n, repeat('x', 100) AS x FROM generate_series(1, 400000) n"
    with nullcontext() if adbc else _without_adbc(), Engine() as engine:
        staged = read_sources(engine, given(**{f"s{k}": many.format(k * 50_000) for k in range(6)}))
        assert [one.rows for one in staged.values()] == [k * 50_000 for k in range(6)]
        begun = time.monotonic()
        slow, long = "SELECT pg_sleep(60)::text AS s", many.format(100_000_000)
        with pytest.raises(SourceError, match="22012"):
            read_sources(engine, given(slow=slow, failing=failing, long=long, more="SELECT 1"))
        assert time.monotonic() - begun < 30
    deadline = time.monotonic() + 10
    while _sessions(database, "at_once") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert _sessions(database, "at_once") == 0


def test_memory_is_that_of_batches(database: str) -> None:
    """Two million rows, 300 MB, take no more memory than a few batches do."""
    code = """
import resource, sys
import psycopg
from airflow_provider_customer360.extract import sql
from airflow_provider_customer360.extract.sql import Query
sql.PLAIN_HOOKS = {__name__}
class Hook:
    get_conn = staticmethod(lambda: psycopg.connect(sys.argv[1]))
    get_conn_id = staticmethod(lambda: "shop")
def read(rows):
    query = Query(Hook, f"SELECT n, repeat('x', 130) AS x, n * 1.5 AS m FROM generate_series(1, {rows}) n")
    query.connect()
    assert sum(table.num_rows for table in query) == rows
    assert query.way == "ADBC"
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
few = read(200_000)
print(read(2_000_000) - few)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, database], capture_output=True, text=True, check=False, cwd=Path.cwd()
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 60
