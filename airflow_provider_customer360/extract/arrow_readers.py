"""Connections that give Arrow themselves: DuckDB's, and those of Airflow's ADBC hook."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from uuid import UUID

from airflow_provider_customer360.unify.errors import SourceError

if TYPE_CHECKING:
    import pyarrow as pa

    from airflow_provider_customer360.unify.frames import Column

NO_RESULT = "The SQL of the source returns no rows and columns; give one SELECT."


def tables_of_duckdb(connection: Any, sql: str, parameters: Any, batch_rows: int) -> Iterator[pa.Table]:
    """The rows of a query over a connection of DuckDB.

    Raises:
        SourceError: the SQL is no query; it is not run then.
    """
    from airflow_provider_customer360.unify.frames import arrow_tables

    statements = connection.extract_statements(sql)
    if not statements or [kind.name for kind in statements[-1].expected_result_type] != ["QUERY_RESULT"]:
        raise SourceError(NO_RESULT)
    # A relation streams; execute() would build the whole result first.
    relation = connection.sql(sql, params=parameters or None)
    # Its name before DuckDB 1.5 is the second one.
    read = getattr(relation, "to_arrow_reader", None) or relation.fetch_arrow_reader
    yield from arrow_tables(read(batch_rows))


def tables_of_adbc(cursor: Any) -> Iterator[pa.Table]:
    """The rows of an executed cursor of ADBC.

    Raises:
        SourceError: what was executed is no query.
    """
    import pyarrow as pa

    from airflow_provider_customer360.unify.frames import table_of

    if not cursor.description:
        raise SourceError(NO_RESULT)
    reader, names = reader_of(cursor), [described[0] for described in cursor.description]
    empty = True
    for batch in reader:
        empty = False
        yield table_of(names, map(_usable, pa.Table.from_batches([batch]).columns))
    if empty:
        yield table_of(names, map(_usable, reader.schema.empty_table().columns))


def reader_of(cursor: Any) -> Any:
    """The batches of an executed cursor of ADBC.

    Its own reader, if it has one, fails with the database's code for the reason; the one that it gives away
    knows the message alone.
    """
    own = getattr(getattr(cursor, "_results", None), "reader", None)
    return own if hasattr(own, "read_next_batch") else cursor.fetch_record_batch()


def _usable(column: pa.ChunkedArray) -> Column:
    """A column; what Postgres's driver has no type of Arrow for is read as psycopg reads it."""
    import pyarrow as pa

    from airflow_provider_customer360.extract.postgres_columns import numeric_column
    from airflow_provider_customer360.unify.frames import arrow_column, objects_column

    kind = column.type
    native = kind.type_name if getattr(kind, "extension_name", "") == "arrow.opaque" else None
    if native not in ("numeric", "uuid"):
        return arrow_column(column)
    stored = pa.chunked_array([chunk.storage for chunk in column.chunks], kind.storage_type)
    if native == "numeric":
        return numeric_column(stored)
    return objects_column([None if value is None else UUID(bytes=value) for value in stored.to_pylist()])
