"""A query's result as Arrow batches, for any Airflow SQL connection, never all of it in memory.

The hook's own ways are not used: `run` logs parameters, `get_df` loads everything and turns integers
with gaps into floats.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

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


def _rows_of(cursor: Any, sql: str, parameters: Parameters, batch_rows: int) -> Iterator[pa.Table]:
    """The batches of a DB-API cursor."""
    # Without parameters none are passed: a driver then leaves a percent sign in the SQL alone.
    cursor.execute(sql, parameters) if parameters else cursor.execute(sql)
    # psycopg2 describes the result of a server-side cursor only once it has fetched from it.
    if cursor.description is None and not getattr(cursor, "name", None):
        raise SourceError("The SQL of the source returns no rows and columns; give one SELECT.")
    rows = cursor.fetchmany(batch_rows)
    yield _table(cursor.description, rows)
    while rows := cursor.fetchmany(batch_rows) if len(rows) else ():
        yield _table(cursor.description, rows)


def _table(description: Sequence[Any], rows: Sequence[Sequence[Any]]) -> pa.Table:
    import pyarrow as pa

    from airflow_provider_customer360.unify.frames import objects_column, table_of

    values = zip(*rows, strict=True) if rows else [() for _ in description]
    columns = []
    for described, column in zip(description, values, strict=True):
        array, unusable = objects_column(column)
        declared = None if unusable else _declared(described)
        if declared is not None:
            try:
                array = array.cast(declared)
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
                pass  # the values know better than their declaration
        columns.append((array, unusable))
    return table_of([described[0] for described in description], columns)


#: PostgreSQL's type codes (pg_type.oid), which also its drivers report. No other driver's are numbers
#: of these values for other types: MySQL's end at 255 and are looked up only for these names.
_POSTGRES_TYPES = {
    16: "bool",
    **dict.fromkeys((20, 21, 23), "int64"),
    **dict.fromkeys((700, 701), "float64"),
    **dict.fromkeys((25, 1042, 1043), "large_string"),
    1082: "date32",
    1114: "timestamp",
    1184: "timestamptz",
    1700: "numeric",
}
