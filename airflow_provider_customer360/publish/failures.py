"""Errors of databases, retold without their messages: those quote rows, and rows are customers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from airflow_provider_customer360.database.failures import code_of, is_transient, said_by_postgres
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


class TransientPublishError(PublishError, TransientError):
    """A failure that passes by itself: connection lost, deadlock, table or file in use."""


def guarded(action: Callable[[], Result], subject: str) -> Result:
    """Do what talks to the database; only class, code and advice of a failure get out.

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
        error = _retold(failure, subject).with_traceback(failure.__traceback__)
    raise error


def _retold(error: Exception, subject: str) -> PublishError:
    code = code_of(error)
    label = code or type(error).__name__
    transient = is_transient(error)
    advice = [text for prefix, text in _ADVICE.items() if label.startswith(prefix)]
    if transient:
        advice = ["This passes by itself; run the task again, or give it retries."]
    named = f" ({code})" if code else ""
    return (TransientPublishError if transient else PublishError)(
        f"{subject} failed with {type(error).__name__}{named}{_constraint(error)}; nothing was written. "
        f"{' '.join(advice)} The database's own message may quote customers and is left out."
    )


def _constraint(error: Exception) -> str:
    # The name of a constraint or column is no customer's value, and without it nobody finds the rule.
    names = {kind: said_by_postgres(error, f"{kind}_name") for kind in ("constraint", "column")}
    return "".join(f", {kind} {name!r}" for kind, name in names.items() if name)
