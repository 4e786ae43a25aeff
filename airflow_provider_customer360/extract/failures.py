"""What a source's failure is told as: without what may quote a row, and whether it passes by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_customer360.database.failures import (
    code_of,
    driver_of,
    is_transient,
    message_of,
    number_of,
    said_by_postgres,
)
from airflow_provider_customer360.unify.errors import SourceError, TransientError

if TYPE_CHECKING:
    from airflow.providers.common.sql.hooks.sql import DbApiHook

_ABOUT_NAMES = frozenset({"CatalogException", "BinderException"})
#: MySQL's numbers: no such database, column or table.
_ABOUT_NAMES_IN_MYSQL = frozenset({1049, 1054, 1146})


class TransientSourceError(SourceError, TransientError):
    """A failure that passes by itself: connection lost or refused, server restarting, file in use."""


def retold(error: Exception, hook: DbApiHook) -> SourceError:
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
        message = said_by_postgres(error, "message_primary")
    elif driver_of(type(error)) == "duckdb" and type(error).__name__ in _ABOUT_NAMES:
        message = str(error).partition("\n")[0]
    elif str(error).startswith(("no such table: ", "no such column: ")):  # SQLite
        message = str(error)
    # A text literal of the SQL may be a parameter: a syntax error is reported near one.
    return message if message and "'" not in message else None
