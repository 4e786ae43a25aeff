"""Reading by a driver's own cursor: how each one streams, and its rows as typed Arrow tables."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any
from uuid import uuid4

if TYPE_CHECKING:
    import pyarrow as pa

    from airflow_provider_customer360.unify.frames import Column

#: PostgreSQL's type codes (pg_type.oid): a column without any value keeps its type.
POSTGRES_TYPES = {
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
class Way:
    """How a driver streams rows.

    Attributes:
        cursor: gives a cursor that does not fetch the whole result at once.
        types: the driver's type codes, as far as they are known.
        drains: closing the cursor early would read all that is left; closing the connection does not.
        prepare: is given the connection first.
        canceller: of an idle connection, gives what ends its later work from another thread.
        any_thread: a connection may be read in another thread than the one that opened it.
    """

    cursor: Callable[[Any], Any]
    types: Mapping[int, str] = field(default_factory=dict)
    drains: bool = False
    prepare: Callable[[Any], None] = lambda connection: None
    canceller: Callable[[Any], Callable[[], None]] = lambda connection: lambda: None
    any_thread: bool = True


def way_of(driver: str | None) -> Way:
    """The way of a driver, named by the top module of its connection's class."""
    return _WAYS.get(driver or "", _ANY_DRIVER)


def table(description: Sequence[Any], rows: Sequence[Sequence[Any]], types: Mapping[int, str]) -> pa.Table:
    """Rows as a table, each column with the type that the database says, or else the one of its values."""
    from airflow_provider_customer360.unify.frames import objects_column, table_of

    columns = []
    values: Any = zip(*rows, strict=True) if rows else [()] * len(description)
    for described, column in zip(description, values, strict=True):
        if types.get(described[1]) == "bits":
            column = [_number(value) for value in column]
        columns.append(as_declared(objects_column(column), described, types))
    return table_of([described[0] for described in description], columns)


def as_declared(column: Column, described: Sequence[Any], types: Mapping[int, str]) -> Column:
    """A column as the type that the database says of it, unless the values know better."""
    import pyarrow as pa

    array, unusable = column
    declared = None if unusable else _declared(described, types)
    if declared is not None:
        with suppress(pa.ArrowInvalid, pa.ArrowNotImplementedError):
            array = array.cast(declared)
    return array, unusable


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


def _number(bits: Any) -> Any:
    """A BIT as a number, which only one of MySQL's drivers makes of it."""
    return int.from_bytes(bits) if isinstance(bits, bytes) else bits


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


class _Line:
    """A connection's socket; called, it hangs up. MySQL's own cancelling needs another connection.

    Taken while the connection is idle: mysqlclient gives it to nobody later, and afterwards its number may be
    that of another file.
    """

    def __init__(self, fileno: int) -> None:
        self._socket = socket.socket(fileno=os.dup(fileno))

    def __call__(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)

    def __del__(self) -> None:
        self._socket.close()


def _unique_name() -> str:
    return f"customer360_{uuid4().hex}"


_WAYS = {
    "psycopg": Way(_psycopg_cursor, POSTGRES_TYPES, canceller=lambda c: partial(c.cancel_safe, timeout=5)),
    "psycopg2": Way(_psycopg2_cursor, POSTGRES_TYPES, canceller=lambda c: c.cancel),
    "MySQLdb": Way(
        lambda c: c.cursor(import_module("MySQLdb.cursors").SSCursor),
        _MYSQL_TYPES,
        True,
        _in_utc,
        canceller=lambda c: _Line(c.fileno()),
    ),
    "mysql": Way(lambda c: c.cursor(), _MYSQL_TYPES, True, _in_utc, canceller=lambda c: c.shutdown),
    "pymysql": Way(
        lambda c: c.cursor(import_module("pymysql.cursors").SSCursor),
        _MYSQL_TYPES,
        True,
        _in_utc,
        canceller=lambda c: _Line(c._sock.fileno()),
    ),
}
# SQLite's connections belong to the thread that opened them; DuckDB, which works in this process with threads
# of its own, may open a file for one at a time; what all the drivers of ADBC's own connections bear is not
# known. So these are read in the main thread, where a signal, such as that of a timeout, interrupts no query
# that the driver waits for in C: it comes through once there are rows.
_ANY_DRIVER = Way(lambda connection: connection.cursor(), any_thread=False)
