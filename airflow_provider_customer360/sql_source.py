"""A query's result as Arrow batches, for any Airflow SQL connection, never all of it in memory.

The hook's own ways are not used: `run` logs parameters, `get_df` loads everything and turns integers
with gaps into floats.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from airflow_provider_customer360.publish.names import parse_table
from airflow_provider_customer360.unify.errors import ConfigError, Customer360Error, SourceError

if TYPE_CHECKING:
    import pyarrow as pa
    from airflow.providers.common.sql.hooks.sql import DbApiHook

Parameters = Mapping[str, Any] | Sequence[Any] | None


class TransientSourceError(SourceError):
    """A failure that passes by itself: connection lost or refused, server restarting, file in use."""

    retryable = True


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
    try:
        with closing(hook.get_conn()) as connection:
            yield from _way_of(connection)(connection, sql, parameters, batch_rows)
    except Customer360Error:
        raise
    except Exception as error:
        failure = _retold(error, hook)
    # Raised after the handler, so that not even __context__ holds the driver's message.
    if failure is not None:
        raise failure


def table_query(table: str) -> str:
    """The query of a whole table, named ``table`` or ``schema.table``.

    Raises:
        SourceError: the text names no table.
    """
    try:
        return f"SELECT * FROM {parse_table(table).quoted}"  # noqa: S608 - quoted
    except ConfigError:
        raise SourceError(
            f"table is {table!r}; give 'name' or 'schema.name', and put a part that has a dot in double "
            "quotes, such as '\"my.table\"'."
        ) from None
