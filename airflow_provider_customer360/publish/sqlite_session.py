"""SQLite: rows inserted one by one, in transactions of our own making."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_customer360.database.tables import Table
from airflow_provider_customer360.publish.batches import to_rows
from airflow_provider_customer360.publish.dialects import SQLITE
from airflow_provider_customer360.unify.errors import PublishError

if TYPE_CHECKING:
    import pyarrow as pa


class SqliteSession:
    """SQLite. Readers go on until the commit; in WAL mode they never wait."""

    dialect = SQLITE

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        connection.isolation_level = None  # transactions begin where we say, not where the driver thinks
        self._check_version()

    def _check_version(self) -> None:
        version = str(self.fetch("SELECT sqlite_version()")[0][0])
        if tuple(map(int, version.split("."))) < (3, 37):
            raise PublishError(f"SQLite {version} is too old to publish to; allowed: 3.37 or later.")

    def execute(self, statement: str) -> int:
        return int(self._connection.execute(statement).rowcount)

    def fetch(self, statement: str, parameters: Sequence[str | None] = ()) -> list[tuple[Any, ...]]:
        return list(map(tuple, self._connection.execute(statement, tuple(parameters))))

    def describe(self, table: Table) -> list[tuple[Any, ...]]:
        return self.fetch(self.dialect.describe, (table.schema, table.name))

    def load(self, table: str, batches: Iterator[pa.RecordBatch]) -> None:
        for batch in batches:
            marks = ", ".join("?" * batch.num_columns)
            # This transaction holds no lock: the staging table is in a file of its own.
            self._connection.execute("BEGIN")
            self._connection.executemany(f"INSERT INTO temp.{table} VALUES ({marks})", to_rows(batch))
            self._connection.execute("COMMIT")

    def begin(self, targets: Sequence[Table]) -> None:
        self.execute(self.dialect.begin)

    def release(self) -> None:
        self.rollback()

    def commit(self, rename: str = "") -> None:
        self._connection.commit()

    def rollback(self) -> None:
        self._connection.rollback()

    def close(self) -> None:
        self._connection.close()
