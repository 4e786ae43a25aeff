"""Postgres: COPY of CSV, in one transaction from the connection on."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_customer360.database.tables import Table
from airflow_provider_customer360.publish.batches import to_csv
from airflow_provider_customer360.publish.dialects import POSTGRES
from airflow_provider_customer360.unify.quoting import quoted

if TYPE_CHECKING:
    import pyarrow as pa


class PostgresSession:
    """psycopg2 or psycopg 3: they differ in how COPY is fed."""

    dialect = POSTGRES

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        connection.autocommit = False
        # Whatever the server's default: rows that another run committed while this one waited for its
        # turn must be visible.
        self.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")

    def execute(self, statement: str) -> int:
        with self._connection.cursor() as cursor:
            cursor.execute(statement)
            return int(cursor.rowcount)

    def fetch(self, statement: str, parameters: Sequence[str | None] = ()) -> list[tuple[Any, ...]]:
        with self._connection.cursor() as cursor:
            cursor.execute(statement, parameters or None)
            # The connection's "cursor" extra may ask for rows that are dicts.
            return [tuple(row.values()) if isinstance(row, dict) else tuple(row) for row in cursor.fetchall()]

    def describe(self, table: Table) -> list[tuple[Any, ...]]:
        return self.fetch(self.dialect.describe, (table.schema, table.name))

    def load(self, staging: str, batch: pa.RecordBatch) -> None:
        statement = f"COPY {quoted(staging)} FROM STDIN (FORMAT csv, ENCODING 'UTF8')"
        text = to_csv(batch)
        with self._connection.cursor() as cursor:
            if hasattr(cursor, "copy_expert"):
                cursor.copy_expert(statement, io.BytesIO(text))
            else:
                with cursor.copy(statement) as copy:
                    copy.write(text)

    def begin(self, targets: Sequence[Table]) -> None:
        # One transaction from the connection on: behind a pooler, the temporary table would not outlast it.
        for target in targets:
            self.fetch(self.dialect.begin, (target.schema, target.name))

    def commit(self) -> None:
        self._connection.commit()

    def rollback(self) -> None:
        self._connection.rollback()

    def close(self) -> None:
        self._connection.close()
