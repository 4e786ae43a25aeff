"""Errors of databases, retold without their messages: those quote rows, and rows are customers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from airflow_provider_customer360.database.failures import (
    code_of,
    is_transient,
    named_by_mysql,
    number_of,
    said_by_postgres,
)
from airflow_provider_customer360.unify.errors import Customer360Error, PublishError, TransientError

Result = TypeVar("Result")

_CONSTRAINT = (
    "A constraint that somebody put on the table refuses the profiles: drop or relax it, or correct the data."
)
_READ_ONLY = "The database is read-only here; give target_conn_id a connection that may write."
_ADVICE = {
    "23": _CONSTRAINT,
    "SQLITE_CONSTRAINT": _CONSTRAINT,
    "ConstraintException": f"{_CONSTRAINT} DuckDB itself cannot update rows that a foreign key of another "
    "table refers to: drop that key.",
    "25006": _READ_ONLY,
    "SQLITE_READONLY": _READ_ONLY,
    "3F000": "The schema does not exist; create it first.",
    "42501": "Grant the connection's user what it lacks: to create tables, or all on this one.",
    "22": "A value is beyond what a column can hold, such as a date before 4713 BC.",
    "54000": "A value of the key is longer than the database can index (2,700 bytes in Postgres), which no "
    "identifier should be: correct the data, or do not use the column as one.",
    "54011": "The profiles have more columns than the database allows; name the attributes to keep.",
    "57014": "It took longer than the statement_timeout of the connection's user, or somebody cancelled it.",
    "25P03": "The session was ended by the server's idle_in_transaction_session_timeout.",
}
#: The same for MySQL, whose SQLSTATE says little.
_MYSQL_ADVICE = {
    1048: "A value is missing where NULL is refused, such as in a key: correct the data or alter the column.",
    **dict.fromkeys((1169, 1216, 1217, 1451, 1452, 1557, 1644, 3819, 4025), _CONSTRAINT),
    1062: f"{_CONSTRAINT} Where the collation of a key ignores case or accents, keys that differ by no more "
    "than that are the same: let the column have one that does not, such as utf8mb4_bin.",
    **dict.fromkeys((1290, 1792, 1836), _READ_ONLY),
    **dict.fromkeys((1044, 1142, 1143, 1227, 1370), _ADVICE["42501"]),
    1045: "User and password of the connection are not accepted.",
    **dict.fromkeys(
        (1264, 1265, 1292), "A value is beyond what a column can hold, such as a year after 9999."
    ),
    1366: "A text has characters that its column cannot hold: let that have the character set utf8mb4.",
    1046: "The connection names no database: set its schema, which temporary tables need, too.",
    1049: _ADVICE["3F000"],
    1071: "An index of this server cannot hold the key; let its row format be DYNAMIC and its pages 16 KB.",
    **dict.fromkeys((1005, 1117, 1118), _ADVICE["54011"]),
    1114: "The disk, or the space that the server may use for tables, is full; make room.",
    1137: "MySQL reads staged rows once in a query: name profiles once in a check.",
    1153: "A row is larger than the server's max_allowed_packet.",
    1406: "A text is longer than its column; in a key of a new table there is room for 768 characters.",
    1665: "The server's binlog_format is STATEMENT; let it be MIXED or ROW.",
}


class TransientPublishError(PublishError, TransientError):
    """A failure that passes by itself: connection lost, deadlock, table or file in use."""


NOTHING_WRITTEN = "nothing was written"


def guarded(
    action: Callable[[], Result],
    subject: str,
    *,
    in_doubt: bool = False,
    outcome: str = NOTHING_WRITTEN,
    advice: str = "",
) -> Result:
    """Do what talks to the database; only class, code and advice of a failure get out.

    Args:
        action: what is done.
        subject: what it is, for the error.
        in_doubt: whether it was done cannot be known if the connection breaks.
        outcome: what has come of it all if it fails.
        advice: what to do about a failure of which nothing else is known.

    Raises:
        PublishError: the action failed.
    """
    # Raised after the handler, so that not even __context__ refers to the driver's error. The traceback
    # stays: it has the lines of the code and no message.
    try:
        return action()
    except Customer360Error:
        raise  # already one of ours
    except Exception as failure:
        error = _retold(failure, subject, in_doubt, outcome, advice).with_traceback(failure.__traceback__)
    raise error


def _retold(error: Exception, subject: str, in_doubt: bool, outcome: str, otherwise: str) -> PublishError:
    code, number = code_of(error), number_of(error)
    label = code or type(error).__name__
    transient = is_transient(error)
    advice = [text for prefix, text in _ADVICE.items() if label.startswith(prefix)]
    if number is not None:
        named = named_by_mysql(error)
        code = f"MySQL's error {number}" + (f", {named[0]} {named[1]!r}" if named else "")
        advice = [_MYSQL_ADVICE[number]] if number in _MYSQL_ADVICE else []
    if otherwise and not transient:
        advice = advice or [otherwise]
    if transient:
        advice += ["This passes by itself; run the task again, or give it retries."]
    if in_doubt and transient:
        outcome = "it is not known whether that was committed: the tables are all old or all new"
    told = f" ({code})" if code else ""
    withheld = "The database's own message may quote customers and is left out."
    failed = f"{subject} failed with {type(error).__name__}{told}{_constraint(error)}; {outcome}."
    return (TransientPublishError if transient else PublishError)(" ".join([failed, *advice, withheld]))


def _constraint(error: Exception) -> str:
    # The name of a constraint or column is no customer's value, and without it nobody finds the rule.
    names = {kind: said_by_postgres(error, f"{kind}_name") for kind in ("constraint", "column")}
    return "".join(f", {kind} {name!r}" for kind, name in names.items() if name)
