"""DuckDB: Arrow read in place."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_customer360.database.tables import Table
from airflow_provider_customer360.publish import dialects
from airflow_provider_customer360.publish.dialects import DUCKDB

if TYPE_CHECKING:
    import pyarrow as pa


class DuckDBSession:
    """DuckDB. Between processes its lock on the file orders publishers, within one ours does."""

    dialect = DUCKDB
    _turn = threading.Lock()

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._has_turn = False

    def execute(self, statement: str) -> int:
        row = self._connection.execute(statement).fetchone()
        return int(row[0]) if row and isinstance(row[0], int) else 0

    def fetch(self, statement: str, parameters: Sequence[str | None] = ()) -> list[tuple[Any, ...]]:
        return list(self._connection.execute(statement, list(parameters)).fetchall())

    def describe(self, table: Table) -> list[tuple[Any, ...]]:
        return self.fetch(self.dialect.describe, (table.schema, table.name))

    def load(self, table: str, batches: Iterator[pa.RecordBatch]) -> None:
        import pyarrow as pa

        for batch in batches:
            self._connection.register("customer360_batch", pa.Table.from_batches([batch]))
            self._connection.execute(f"INSERT INTO {table} SELECT * FROM customer360_batch")
            self._connection.unregister("customer360_batch")

    def begin(self, targets: Sequence[Table]) -> None:
        # DuckDB does not wait for another writer, it fails; and it decides at the first statement what a
        # transaction sees, therefore the staging table was filled before.
        self._has_turn = self._turn.acquire(timeout=dialects.LOCK_SECONDS)
        if not self._has_turn:
            raise TimeoutError
        self.execute(self.dialect.begin)

    def release(self) -> None:
        self.rollback()
        self._has_turn = False
        self._turn.release()

    def commit(self, rename: str = "") -> None:
        self._connection.commit()

    def rollback(self) -> None:
        self._connection.rollback()

    def close(self) -> None:
        try:
            self._connection.close()
        finally:
            if self._has_turn:
                self._has_turn = False
                self._turn.release()
