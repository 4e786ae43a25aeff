"""What a database driver's error says, without its message: messages quote rows, and rows are customers."""

from __future__ import annotations

_DRIVERS = frozenset({"MySQLdb", "duckdb", "mysql", "psycopg", "psycopg2", "pymysql", "sqlite3"})
_MYSQL = frozenset({"MySQLdb", "mysql", "pymysql"})
#: What passes by itself: SQLSTATE classes and SQLite's names; MySQL's numbers.
_TRANSIENT_CODES = ("08", "40", "53", "55P03", "57P", "SQLITE_BUSY", "SQLITE_LOCKED")
#: Its numbers: too many connections, shutdown, disk or table full, locks, interrupted, connections lost.
_TRANSIENT_NUMBERS = frozenset(
    {1021, 1040, 1053, 1114, 1205, 1213, 1317, 1927, 2002, 2003, 2006, 2013, 2055, 3024, 4031}
)
#: Raised without a code when a connection is refused or breaks, or a DuckDB file is in use.
_BROKEN = frozenset({"OperationalError", "InterfaceError", "ConnectionTimeout"})
_DUCKDB_BUSY = frozenset({"IOException", "ConnectionException", "TransactionException"})


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
    return None


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
        return number in _TRANSIENT_NUMBERS or (code or "").startswith(_TRANSIENT_CODES)
    return name in (_DUCKDB_BUSY if driver == "duckdb" else _BROKEN)
