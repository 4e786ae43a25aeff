"""Errors of databases, retold without their messages: those quote rows, and rows are customers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from airflow_provider_customer360.database.failures import (
    code_of,
    is_transient,
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
    "ConstraintException": _CONSTRAINT,
    "25006": _READ_ONLY,
    "SQLITE_READONLY": _READ_ONLY,
    "3F000": "The schema does not exist; create it first.",
    "42501": "Grant the connection's user what it lacks: to create tables, or all on this one.",
    "22": "A value is beyond what a column can hold, such as a date before 4713 BC.",
    "54000": "A value of the key is longer than the database can index (2,700 bytes in Postgres), which no "
    "identifier should be: correct the data, or do not use the column as one.",
    "54011": "The profiles have more columns than the database allows; name the attributes to keep.",
    "CatalogException": "Does the schema exist?",
}
#: The same for MySQL, whose SQLSTATE says little.
_MYSQL_ADVICE = {
    **dict.fromkeys((1048, 1062, 1169, 1216, 1217, 1451, 1452, 1557, 3819, 4025), _CONSTRAINT),
    **dict.fromkeys((1290, 1792, 1836), _READ_ONLY),
    **dict.fromkeys((1044, 1045, 1142, 1227, 1370), _ADVICE["42501"]),
    **dict.fromkeys((1264, 1292, 1366), _ADVICE["22"]),
    1049: _ADVICE["3F000"],
    1071: _ADVICE["54000"],
    1114: "The disk, or the space that the server may use for tables, is full; make room.",
    1406: "A text is longer than its column; identifiers may have 768 characters.",
}


class TransientPublishError(PublishError, TransientError):
    """A failure that passes by itself: connection lost, deadlock, table or file in use."""


def guarded(action: Callable[[], Result], subject: str, *, in_doubt: bool = False) -> Result:
    """Do what talks to the database; only class, code and advice of a failure get out.

    Args:
        action: what is done.
        subject: what it is, for the error.
        in_doubt: whether it was done cannot be known if the connection breaks.

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
        error = _retold(failure, subject, in_doubt).with_traceback(failure.__traceback__)
    raise error


def _retold(error: Exception, subject: str, in_doubt: bool) -> PublishError:
    code, number = code_of(error), number_of(error)
    label = code or type(error).__name__
    transient = is_transient(error)
    advice = [text for prefix, text in _ADVICE.items() if label.startswith(prefix)]
    if number is not None:
        code = f"MySQL's error {number}"
        advice = [_MYSQL_ADVICE[number]] if number in _MYSQL_ADVICE else []
    if transient:
        advice += ["This passes by itself; run the task again, or give it retries."]
    outcome = (
        "it is not known whether that was committed: the tables are all old or all new"
        if in_doubt and transient
        else "nothing was written"
    )
    named = f" ({code})" if code else ""
    return (TransientPublishError if transient else PublishError)(
        f"{subject} failed with {type(error).__name__}{named}{_constraint(error)}; {outcome}. "
        f"{' '.join(advice)} The database's own message may quote customers and is left out."
    )


def _constraint(error: Exception) -> str:
    # The name of a constraint or column is no customer's value, and without it nobody finds the rule.
    names = {kind: said_by_postgres(error, f"{kind}_name") for kind in ("constraint", "column")}
    return "".join(f", {kind} {name!r}" for kind, name in names.items() if name)
