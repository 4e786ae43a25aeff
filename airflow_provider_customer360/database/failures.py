"""What a database driver's error says, without its message: messages quote rows, and rows are customers."""

from __future__ import annotations

import re
from typing import Any

_ADBC = "adbc_driver_manager"
_DRIVERS = frozenset({"MySQLdb", _ADBC, "duckdb", "mysql", "psycopg", "psycopg2", "pymysql", "sqlite3"})
_MYSQL = frozenset({"MySQLdb", "mysql", "pymysql"})
#: What passes by itself: SQLSTATE classes and SQLite's names; MySQL's numbers.
_TRANSIENT_CODES = ("08", "40", "53", "55P03", "57P", "SQLITE_BUSY", "SQLITE_LOCKED")
#: ADBC's own words for what went wrong, where a driver has none that is more exact.
_TRANSIENT_STATES = frozenset({"IO", "TIMEOUT"})
#: Its numbers: too many connections, shutdown, disk or table full, locks, interrupted, connections lost.
_TRANSIENT_NUMBERS = frozenset(
    {1021, 1040, 1053, 1114, 1205, 1213, 1317, 1927, 2002, 2003, 2006, 2013, 2055, 3024, 4031}
)
#: Raised without a code when a connection is refused or breaks, or a DuckDB file is in use.
_BROKEN = frozenset({"OperationalError", "InterfaceError", "ConnectionTimeout"})
_DUCKDB_BUSY = frozenset({"IOException", "ConnectionException", "TransactionException"})
#: What SQLite's messages say, to its name of the error: ADBC gives the message alone.
_SQLITE_MESSAGES = {
    "constraint failed": "SQLITE_CONSTRAINT",
    "database is locked": "SQLITE_BUSY",
    "database table is locked": "SQLITE_LOCKED",
    "database or disk is full": "SQLITE_FULL",
    "disk I/O error": "SQLITE_IOERR",
    "unable to open database": "SQLITE_CANTOPEN",
    "attempt to write a readonly database": "SQLITE_READONLY",
}


def driver_of(kind: type) -> str | None:
    """The driver that an error's or connection's class is from, or derived from; None for any other class."""
    modules = (base.__module__.partition(".")[0].lstrip("_") for base in kind.__mro__)
    return next((module for module in modules if module in _DRIVERS), None)


def code_of(error: Exception) -> str | None:
    """SQLSTATE, or SQLite's or DuckDB's name of the error where that says more than its class, or None."""
    # Before 2.0 DuckDB reports a constraint that fails at the end of a transaction as trouble with that.
    if type(error).__name__ == "TransactionException" and "constraint" in str(error).lower():
        return "ConstraintException"
    for attribute in ("sqlstate", "pgcode", "sqlite_errorname"):
        code = getattr(error, attribute, None)
        if isinstance(code, str):
            return code
    return _adbc_code(error) if driver_of(type(error)) == _ADBC else None


def said_by_postgres(error: Exception, field: str) -> str | None:
    """A field of Postgres's report of an error, such as ``constraint_name``, or None."""
    said = getattr(getattr(error, "diag", None), field, None)
    said = said or _adbc_details(error).get(f"PG_DIAG_{field.upper()}")
    return said if isinstance(said, str) else None


def _adbc_code(error: Any) -> str:
    """The name that DuckDB's or SQLite's own driver has for the error, or else ADBC's."""
    message = str(error)
    duckdb = _adbc_details(error).get("duckdb:error_type")
    if match := re.match(r"[A-Z_]+: (\w+) Error: ", message):
        duckdb = duckdb or match[1]
    if duckdb:
        constraint = duckdb == "Transaction" and "constraint" in message.lower()  # as above
        return "ConstraintException" if constraint else f"{duckdb}Exception"
    return next((code for text, code in _SQLITE_MESSAGES.items() if text in message), error.status_code.name)


def _adbc_details(error: Any) -> dict[str, str]:
    """What a driver has to say beside its message, by name."""

    def text(value: str | bytes) -> str:
        return value.decode(errors="replace") if isinstance(value, bytes) else value

    return {text(key): text(value) for key, value in getattr(error, "details", None) or ()}


def number_of(error: Exception) -> int | None:
    """MySQL's number of the error, or None."""
    first = getattr(error, "errno", None) or (error.args[0] if error.args else None)
    return first if isinstance(first, int) and driver_of(type(error)) in _MYSQL else None


def is_transient(error: Exception) -> bool:
    """Whether the cause may be gone at the next attempt."""
    code, driver, name = code_of(error), driver_of(type(error)), type(error).__name__
    number = number_of(error)
    if isinstance(error, (ConnectionError, TimeoutError)):
        return True
    if code or number is not None:
        return (
            number in _TRANSIENT_NUMBERS
            or (code or "").startswith(_TRANSIENT_CODES)
            or code in _TRANSIENT_STATES | _DUCKDB_BUSY
        )
    return name in (_DUCKDB_BUSY if driver == "duckdb" else _BROKEN)
