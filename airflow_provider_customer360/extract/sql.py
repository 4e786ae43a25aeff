"""A query's result as Arrow batches, for any Airflow SQL connection, never all of it in memory.

The hook's own ways are not used: `run` logs parameters, `get_df` loads everything and turns integers
with gaps into floats.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from airflow_provider_customer360.database.failures import (
    code_of,
    driver_of,
    is_transient,
    message_of,
    number_of,
)
from airflow_provider_customer360.database.tables import parse_table
from airflow_provider_customer360.unify.errors import (
    ConfigError,
    Customer360Error,
    SourceError,
    TransientError,
)

if TYPE_CHECKING:
    import pyarrow as pa
    from airflow.providers.common.sql.hooks.sql import DbApiHook

Parameters = Mapping[str, Any] | Sequence[Any] | None


#: PostgreSQL's type codes (pg_type.oid): a column without any value keeps its type.
_POSTGRES_TYPES = {
    16: "bool_",
    **dict.fromkeys((20, 21, 23), "int64"),
    **dict.fromkeys((700, 701), "float64"),
    **dict.fromkeys((25, 1042, 1043), "large_string"),
    1082: "date32",
    1114: "timestamp",
    1184: "timestamptz",
    1700: "numeric",
}
#: MySQL's (enum_field_types). A TEXT is a BLOB there, and a DECIMAL does not tell its digits.
_MYSQL_TYPES = {
    **dict.fromkeys((1, 2, 3, 8, 9, 13), "int64"),
    **dict.fromkeys((4, 5), "float64"),
    7: "timestamptz",
    10: "date32",
    12: "timestamp",
    16: "bits",
    **dict.fromkeys((15, 253, 254), "large_string"),
}


@dataclass(frozen=True)
class _Way:
    """How a driver streams rows.

    Attributes:
        cursor: gives a cursor that does not fetch the whole result at once.
        types: the driver's type codes, as far as they are known.
        drains: closing the cursor early would read all that is left; closing the connection does not.
        prepare: is given the connection first.
    """

    cursor: Callable[[Any], Any]
    types: Mapping[int, str] = field(default_factory=dict)
    drains: bool = False
    prepare: Callable[[Any], None] = lambda connection: None


def _psycopg2_cursor(connection: Any) -> Any:
    # The class is stated because a connection's extras may ask for rows as dictionaries.
    plain = import_module("psycopg2.extensions").cursor
    return connection.cursor(name=_unique_name(), cursor_factory=plain)


def _psycopg_cursor(connection: Any) -> Any:
    return connection.cursor(name=_unique_name(), row_factory=import_module("psycopg.rows").tuple_row)


def _in_utc(connection: Any) -> None:
    """Let MySQL give a TIMESTAMP, which is an instant, in UTC; a DATETIME stays what it is."""
    if hasattr(connection, "set_character_set"):  # else old libraries lose what is not in latin1
        connection.set_character_set("utf8mb4")
    with closing(connection.cursor()) as cursor:
        cursor.execute("SET SESSION time_zone = '+00:00'")


def _unique_name() -> str:
    return f"customer360_{uuid4().hex}"


#: Driver (top module of the connection's class) -> its way; DuckDB speaks Arrow and needs none.
_WAYS = {
    "psycopg": _Way(_psycopg_cursor, _POSTGRES_TYPES),
    "psycopg2": _Way(_psycopg2_cursor, _POSTGRES_TYPES),
    "MySQLdb": _Way(
        lambda c: c.cursor(import_module("MySQLdb.cursors").SSCursor), _MYSQL_TYPES, True, _in_utc
    ),
    "mysql": _Way(lambda c: c.cursor(), _MYSQL_TYPES, True, _in_utc),
    "pymysql": _Way(
        lambda c: c.cursor(import_module("pymysql.cursors").SSCursor), _MYSQL_TYPES, True, _in_utc
    ),
}
_ANY_DRIVER = _Way(lambda connection: connection.cursor())

_ABOUT_NAMES = frozenset({"CatalogException", "BinderException"})
#: MySQL's numbers: no such database, column or table.
_ABOUT_NAMES_IN_MYSQL = frozenset({1049, 1054, 1146})
_NO_RESULT = "The SQL of the source returns no rows and columns; give one SELECT."


class TransientSourceError(SourceError, TransientError):
    """A failure that passes by itself: connection lost or refused, server restarting, file in use."""


def read_sql(
    hook: DbApiHook, sql: str, parameters: Parameters = None, *, batch_rows: int = 50_000
) -> Iterator[pa.Table]:
    """The rows of a query in batches; a query without rows gives one empty table with its columns.

    The connection is opened when the first batch is asked for, and closed with the iterator.

    Args:
        hook: the hook of the connection to read.
        sql: one query.
        parameters: values for the placeholders of the database's driver.
        batch_rows: rows in memory at a time.

    Raises:
        SourceError: there is no such connection, the SQL fails or returns no rows and columns.
        TransientSourceError: the connection is lost or refused.
    """
    failure: SourceError | None = None
    cursors: list[Any] = []  # MySQL's reads all that is left when it goes, unless its connection went before
    try:
        with closing(hook.get_conn()) as connection:
            yield from _batches(connection, cursors, sql, parameters, batch_rows)
    except Customer360Error:
        raise
    except Exception as error:
        failure = _retold(error, hook).with_traceback(error.__traceback__)
    # Raised after the handler, so that not even __context__ holds the driver's message. The traceback
    # stays: it has the lines of the code and no message.
    if failure is not None:
        raise failure


def table_query(hook: DbApiHook, table: str) -> str:
    """The query of a whole table, named ``table`` or ``schema.table``.

    Raises:
        SourceError: the text names no table.
    """
    try:
        return f"SELECT * FROM {parse_table(table).quoted_for(hook)}"
    except ConfigError:
        raise SourceError(
            f"table is {table!r}; give 'name' or 'schema.name', and put a part that has a dot in double "
            "quotes, such as '\"my.table\"'."
        ) from None


def _batches(
    connection: Any, cursors: list[Any], sql: str, parameters: Parameters, batch_rows: int
) -> Iterator[pa.Table]:
    driver = driver_of(type(connection))
    if driver == "duckdb":
        yield from _arrow_of_duckdb(connection, sql, parameters, batch_rows)
        return
    way = _WAYS.get(driver or "", _ANY_DRIVER)
    way.prepare(connection)
    cursor = way.cursor(connection)
    cursors.append(cursor)
    try:
        # Without parameters none are passed: a driver then leaves a percent sign in the SQL alone.
        cursor.execute(sql, parameters) if parameters else cursor.execute(sql)
        # psycopg2 describes the result of a server-side cursor only once it has fetched from it.
        if cursor.description is None and not getattr(cursor, "name", None):
            raise SourceError(_NO_RESULT)
        rows = cursor.fetchmany(batch_rows)
        yield _table(cursor.description, rows, way.types)
        while rows and (rows := cursor.fetchmany(batch_rows)):
            yield _table(cursor.description, rows, way.types)
    finally:
        if not way.drains:
            cursor.close()


def _arrow_of_duckdb(
    connection: Any, sql: str, parameters: Parameters, batch_rows: int
) -> Iterator[pa.Table]:
    from airflow_provider_customer360.unify.frames import arrow_tables

    statements = connection.extract_statements(sql)
    if not statements or [kind.name for kind in statements[-1].expected_result_type] != ["QUERY_RESULT"]:
        raise SourceError(_NO_RESULT)
    # A relation streams; execute() would build the whole result first.
    relation = connection.sql(sql, params=parameters or None)
    # Its name before DuckDB 1.5 is the second one.
    read = getattr(relation, "to_arrow_reader", None) or relation.fetch_arrow_reader
    yield from arrow_tables(read(batch_rows))


def _table(description: Sequence[Any], rows: Sequence[Sequence[Any]], types: Mapping[int, str]) -> pa.Table:
    import pyarrow as pa

    from airflow_provider_customer360.unify.frames import objects_column, table_of

    columns = []
    values: Any = zip(*rows, strict=True) if rows else [()] * len(description)
    for described, column in zip(description, values, strict=True):
        if types.get(described[1]) == "bits":
            column = [_number(value) for value in column]
        array, unusable = objects_column(column)
        declared = None if unusable else _declared(described, types)
        with suppress(pa.ArrowInvalid, pa.ArrowNotImplementedError):  # the values know better then
            array = array if declared is None else array.cast(declared)
        columns.append((array, unusable))
    return table_of([described[0] for described in description], columns)


def _number(bits: Any) -> Any:
    """A BIT as a number, which only one of MySQL's drivers makes of it."""
    return int.from_bytes(bits) if isinstance(bits, bytes) else bits


def _declared(described: Sequence[Any], types: Mapping[int, str]) -> pa.DataType | None:
    import pyarrow as pa

    name = types.get(described[1]) if types else None
    if name == "numeric":
        precision, scale = described[4], described[5]
        bounded = precision and 0 < precision <= 38 and 0 <= (scale or 0) <= precision
        return pa.decimal128(precision, scale or 0) if bounded else None
    if name in ("timestamp", "timestamptz"):
        return pa.timestamp("us", "UTC" if name == "timestamptz" else None)
    return getattr(pa, {"bits": "int64"}.get(name, name))() if name else None


def _retold(error: Exception, hook: DbApiHook) -> SourceError:
    """A driver's error without what may quote a row."""
    from airflow.providers.common.compat.sdk import AirflowNotFoundException

    conn_id = hook.get_conn_id()
    if isinstance(error, AirflowNotFoundException):
        return SourceError(
            f"There is no connection {conn_id!r}. Create it in the UI (Admin, Connections), with `airflow "
            f"connections add {conn_id!r} --conn-uri ...`, or in the variable AIRFLOW_CONN_{conn_id.upper()}."
        )
    code, name = number_of(error) or code_of(error), type(error).__name__
    label = f"{name} ({code})" if code else name
    message = _harmless_message(error, code)
    told = f": {message}" if message else "; its message may quote customers and is left out."
    kind = TransientSourceError if is_transient(error) else SourceError
    return kind(f"The query over connection {conn_id!r} failed with {label}{told}")


def _harmless_message(error: Exception, code: str | int | None) -> str | None:
    """The database's message where it is about names: SQLSTATE class 42, a catalog, a missing module."""
    if isinstance(error, ImportError):
        return str(error)
    message = None
    if code in _ABOUT_NAMES_IN_MYSQL:
        return message_of(error)
    if isinstance(code, str) and code.startswith("42"):
        message = getattr(getattr(error, "diag", None), "message_primary", None)
    elif driver_of(type(error)) == "duckdb" and type(error).__name__ in _ABOUT_NAMES:
        message = str(error).partition("\n")[0]
    elif str(error).startswith(("no such table: ", "no such column: ")):  # SQLite
        message = str(error)
    # A text literal of the SQL may be a parameter: a syntax error is reported near one.
    return message if message and "'" not in message else None
