"""Postgres by ADBC: a query over a psycopg connection, read by COPY in a session that is the same.

psycopg has described the query before; whatever speaks against ADBC leaves it to psycopg's cursor.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from airflow_provider_customer360.database.failures import is_transient
from airflow_provider_customer360.extract.arrow_readers import reader_of
from airflow_provider_customer360.extract.cursors import POSTGRES_TYPES, as_declared
from airflow_provider_customer360.extract.postgres_columns import BeyondPython, Reading, reading_of
from airflow_provider_customer360.unify.errors import SourceError

if TYPE_CHECKING:
    import pyarrow as pa

_DRIVER = "adbc_driver_postgresql"
#: Of a batch, about: what is read ahead of the engine lies outside of the memory that it has.
_BATCH_BYTES = 8_000_000
# All that tells one session from another: who, where, encrypted or not, and every setting.
_SESSION = """
SELECT * FROM (VALUES
  ('user', current_user::text), ('login', session_user::text), ('database', current_database()::text),
  ('schemas', current_schemas(true)::text),
  ('encryption', (SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid())::text),
  ('encryption by GSSAPI', (SELECT encrypted FROM pg_stat_gssapi WHERE pid = pg_backend_pid())::text)
) AS own (name, setting) UNION ALL SELECT name, setting FROM pg_settings
"""


class Unsuitable(Exception):
    """ADBC cannot read this as psycopg does; the text says why."""


def driver() -> Any:
    """ADBC's driver for Postgres.

    Raises:
        Unsuitable: there is none that works.
    """
    try:
        return import_module(f"{_DRIVER}.dbapi")
    except ImportError:
        raise Unsuitable("adbc-driver-postgresql is not installed") from None
    except Exception as error:  # of another version of something that it needs
        raise Unsuitable(f"adbc-driver-postgresql fails with {type(error).__name__}") from None


class AdbcRows:
    """The rows of a query, as tables with the types that psycopg's rows would get.

    Args:
        connection: of psycopg, on which the query has been declared; needed only until this object is made.
        description: of the query, by psycopg.
        sql: one query, known to be that.

    Raises:
        Unsuitable: the query's columns or the session are not for ADBC.
    """

    def __init__(self, connection: Any, description: Sequence[Any], sql: str) -> None:
        self._description = description
        self._readings = _readings(connection, description)
        self._sql = _selecting(self._readings, sql)
        self._connection = _connected_like(connection)
        self._cursor = self._connection.cursor()
        self._closing, self._closed = threading.Lock(), False

    def execute(self) -> None:
        """Let the server begin.

        Raises:
            Unsuitable: it does not; why it does not, psycopg will tell.
        """
        try:
            options = {"adbc.postgresql.batch_size_hint_bytes": str(_BATCH_BYTES)}
            self._cursor.adbc_statement.set_options(**options)
            # As for a cursor: workers give the rows, and add floating point numbers up, in any order.
            self._cursor.execute("SET max_parallel_workers_per_gather = 0")
            self._cursor.execute(self._sql)
        except Exception as error:
            if is_transient(error):
                raise
            raise Unsuitable(f"ADBC fails with {type(error).__name__}") from None

    def __iter__(self) -> Iterator[pa.Table]:
        import pyarrow as pa

        reader = reader_of(self._cursor)
        empty = True
        for batch in reader:
            empty = False
            yield self._table(pa.Table.from_batches([batch]))
        if empty:
            yield self._table(reader.schema.empty_table())

    def cancel(self) -> None:
        """End the query, for another thread."""
        with self._closing:
            if not self._closed:
                self._cursor.adbc_cancel()

    def close(self) -> None:
        """Disconnect, whatever is left to read."""
        with self._closing:
            self._closed = True
        for one in (self._cursor, self._connection):
            with suppress(Exception):  # that a query ends in the middle is no failure
                one.close()

    def _table(self, batch: pa.Table) -> pa.Table:
        import pyarrow as pa

        from airflow_provider_customer360.unify.frames import table_of

        columns = []
        for described, reading, array in zip(self._description, self._readings, batch.columns, strict=True):
            column = pa.chunked_array([pa.nulls(len(array))]), None
            if array.null_count < len(array):
                column = _column(described, reading, array)
            columns.append(as_declared(column, described, POSTGRES_TYPES))
        return table_of([described[0] for described in self._description], columns)


def _column(described: Sequence[Any], reading: Reading, array: pa.ChunkedArray) -> Any:
    try:
        return reading.column(array)
    except BeyondPython:
        raise SourceError(
            f"Column {described[0]!r} has a date or time that is infinite or outside of the years 1 to 9999, "
            "which Python cannot hold. Let the query leave it out, for example by nullif(…, 'infinity')."
        ) from None


def _readings(connection: Any, description: Sequence[Any]) -> list[Reading]:
    text_format = import_module("psycopg.pq").Format.TEXT
    if not description:
        raise Unsuitable("the query has no columns")
    readings = []
    for described in description:
        # What has no loader is read by the one for unknown types.
        loader = connection.adapters.get_loader(described[1], text_format)
        usual = loader is _adapters().get_loader(described[1], text_format)
        reading = reading_of(described, loader.__name__ if loader else "TextLoader", usual=usual)
        if reading is None:
            raise Unsuitable(f"column {described[0]!r} has a type that ADBC gives otherwise")
        readings.append(reading)
    return readings


@cache
def _adapters() -> Any:
    """Those that psycopg has where nobody has registered others."""
    postgres = import_module("psycopg.postgres")
    adapters = import_module("psycopg.adapt").AdaptersMap(types=postgres.types)
    postgres.register_default_adapters(adapters)
    return adapters


def _selecting(readings: Sequence[Reading], sql: str) -> str:
    """The query around the query, in which columns go by number, whatever they are called."""
    sql = sql.strip().removesuffix(";")
    if ";" in sql:  # in a text or a name it would not matter, but who knows
        raise Unsuitable("its SQL has a semicolon")
    names = [f"c{number}" for number in range(len(readings))]
    selected = [reading.expression.replace("{}", name) for reading, name in zip(readings, names, strict=True)]
    # On a line of its own, for the SQL may end with a comment.
    return f"SELECT {', '.join(selected)} FROM (\n{sql}\n) AS query ({', '.join(names)})"


def _connected_like(connection: Any) -> Any:
    """A connection of ADBC whose session is the same in everything.

    Raises:
        Unsuitable: there is none, or not one in which ADBC and a cursor read the same.
    """
    if connection.info.server_version < 120_000:
        raise Unsuitable("the server is older than PostgreSQL 12")
    try:
        connected = driver().connect(_conninfo(connection))
    except Exception:
        raise Unsuitable("ADBC cannot connect") from None
    try:
        _check_session(connection, connected)
    except BaseException:
        connected.close()
        raise
    return connected


def _check_session(connection: Any, connected: Any) -> None:
    # First where a server that cannot answer does not abort the transaction of psycopg's cursor.
    try:
        with connected.cursor() as cursor:
            cursor.execute(_SESSION)
            found = dict(cursor.fetchall())
    except Exception:
        raise Unsuitable("the server does not tell its settings") from None
    with connection.cursor(row_factory=import_module("psycopg.rows").tuple_row) as cursor:
        wanted = dict(cursor.execute(_SESSION).fetchall())
    for name in wanted | found:
        if wanted.get(name) != found.get(name):
            raise Unsuitable(f"its session would have another {name}")
    if found.get("client_encoding") != "UTF8":
        raise Unsuitable("its session is not in UTF8")
    if int(found.get("extra_float_digits", 0)) < 1:
        raise Unsuitable("its session rounds numbers")
    if found.get("statement_timeout") != "0":  # a cursor meets it anew with every batch
        raise Unsuitable("a statement_timeout is set")


def _conninfo(connection: Any) -> str:
    """What libpq has connected psycopg with, for ADBC's libpq; whatever psycopg was given it in."""
    info = connection.info
    parameters = {**info.get_parameters(), "password": info.password}
    if info.pgconn.ssl_in_use and parameters.get("sslmode", "prefer") in ("allow", "prefer"):
        parameters["sslmode"] = "require"  # never less than psycopg got
    return str(import_module("psycopg.conninfo").make_conninfo(**parameters))
