"""What a database driver's error says, without its message: messages quote rows, and rows are customers."""

from __future__ import annotations

import re
from typing import Any

_ADBC = "adbc_driver_manager"
_DRIVERS = frozenset({"MySQLdb", _ADBC, "duckdb", "mysql", "psycopg", "psycopg2", "pymysql", "sqlite3"})
_MYSQL = frozenset({"MySQLdb", "mysql", "pymysql"})
#: What passes by itself: SQLSTATE classes and SQLite's names; MySQL's numbers.
_TRANSIENT_CODES = ("08", "25P03", "40", "53", "55P03", "57014", "57P", "SQLITE_BUSY", "SQLITE_LOCKED")
#: ADBC's own words for what went wrong, where a driver has none that is more exact.
_TRANSIENT_STATES = frozenset({"IO", "TIMEOUT"})
#: Its numbers: too many connections, shutdown, disk or table full, locks, interrupted, connections lost.
_TRANSIENT_NUMBERS = frozenset(
    {
        *(1021, 1026, 1114),  # disk or table full
        *(1040, 1203, 1226, 2002, 2003, 2005),  # no connection: too many, server or its name not found
        *(1053, 1152, 1158, 1159, 1160, 1161, 1927, 2006, 2013, 2055, 4031),  # connection lost, server stops
        *(1205, 1213, 1412),  # a lock, a deadlock, somebody altered the table
        *(1317, 1969, 3024),  # interrupted, by somebody or because it took too long
    }
)
#: What its messages say of names, where no value follows. A value may have quotes: the last ones count.
_NAMED = {
    1048: r"Column '(?P<column>[^']+)' cannot be null",
    1062: r".* for key '(?P<constraint>[^']+)'",
    1264: r"Out of range value for column '(?P<column>[^']+)' at row \d+",
    1406: r"Data too long for column '(?P<column>[^']+)' at row \d+",
    **dict.fromkeys(
        (1216, 1217, 1451, 1452), r".*CONSTRAINT [\"`](?P<constraint>[^\"`]+)[\"`] FOREIGN KEY.*"
    ),
    3819: r"Check constraint '(?P<constraint>[^']+)' is violated\.",
    4025: r"CONSTRAINT `(?P<constraint>[^`]+)` failed for .*",
}
#: What publishing calls the columns of its own tables.
_STAGED = re.compile(r"c\d+")
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
    " after drop column: ": "SQLITE_ERROR",
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
    # A driver that has lost its connection before says -1 or 0.
    is_number = isinstance(first, int) and first > 0 and driver_of(type(error)) in _MYSQL
    return first if is_number else None


def message_of(error: Exception) -> str:
    """What MySQL says of an error whose number it has; it may quote a row."""
    return str(getattr(error, "msg", None) or (error.args[1] if len(error.args) > 1 else ""))


def named_by_mysql(error: Exception) -> tuple[str, str] | None:
    """ "constraint" or "column" and the name of the one that an error of MySQL is about."""
    pattern = _NAMED.get(number_of(error) or 0)
    match = re.fullmatch(pattern, message_of(error), re.DOTALL) if pattern else None
    ((kind, name),) = match.groupdict().items() if match else [("", "")]
    return (kind, name) if name and not _STAGED.fullmatch(name) else None


def is_transient(error: Exception) -> bool:
    """Whether the cause may be gone at the next attempt."""
    code, driver, name = code_of(error), driver_of(type(error)), type(error).__name__
    number = number_of(error)
    if isinstance(error, (ConnectionError, TimeoutError)):
        return True
    if number is not None:
        return number in _TRANSIENT_NUMBERS
    if driver == "mysql" and name == "ProgrammingError":
        return True  # the connector's own: a cursor whose connection has broken
    if code:
        return code.startswith(_TRANSIENT_CODES) or code in _TRANSIENT_STATES | _DUCKDB_BUSY
    return name in (_DUCKDB_BUSY if driver == "duckdb" else _BROKEN)
