"""MySQL and MariaDB: rows inserted many at a time, and tables that appear by being renamed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

from airflow_provider_customer360.database.tables import Table
from airflow_provider_customer360.publish import dialects
from airflow_provider_customer360.publish.batches import cut, to_values
from airflow_provider_customer360.publish.dialect import Dialect
from airflow_provider_customer360.publish.dialects import MARIADB, MYSQL

if TYPE_CHECKING:
    import pyarrow as pa

#: Rows of one INSERT, and their bytes: servers take a statement of 16 MiB by default.
_ROWS, _BYTES = 1_000, 4 << 20


class MySQLSession:
    """mysqlclient or mysql-connector-python. Readers go on, except while a table is altered."""

    dialect: Dialect = MYSQL

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        if callable(connection.autocommit):  # mysqlclient
            connection.autocommit(False)
        else:
            connection.autocommit = False
        ((version,),) = self.fetch("SELECT version()")
        if "mariadb" in str(version).lower():
            self.dialect = MARIADB

    def execute(self, statement: str) -> int:
        with closing(self._connection.cursor()) as cursor:
            cursor.execute(statement)
            return int(cursor.rowcount)

    def fetch(self, statement: str, parameters: Sequence[str | None] = ()) -> list[tuple[Any, ...]]:
        with closing(self._connection.cursor()) as cursor:
            cursor.execute(statement, tuple(parameters))
            return [tuple(row) for row in cursor.fetchall()]

    def describe(self, table: Table) -> list[tuple[Any, ...]]:
        return self.fetch(self.dialect.describe, (table.schema, table.name))

    def load(self, table: str, batches: Iterator[pa.RecordBatch]) -> None:
        with closing(self._connection.cursor()) as cursor:
            for batch in batches:
                marks = f"({', '.join(['%s'] * batch.num_columns)})"
                rows = max(1, min(_ROWS, _BYTES * batch.num_rows // max(batch.nbytes, 1)))
                for part in cut(batch, rows):
                    values = [value for row in to_values(part) for value in row]
                    lines = ", ".join([marks] * part.num_rows)
                    cursor.execute(f"INSERT INTO {table} VALUES {lines}", values)

    def begin(self, targets: Sequence[Table]) -> None:
        # What was staged stays if the rest is undone, and what others have committed becomes visible.
        self._connection.commit()
        begin = self.dialect.begin.format(seconds=round(dialects.LOCK_SECONDS))
        for target in targets:
            ((taken,),) = self.fetch(begin, (target.schema, target.name))
            if not taken:
                raise TimeoutError

    def release(self) -> None:
        self._connection.rollback()
        self.fetch("SELECT RELEASE_ALL_LOCKS()")

    def commit(self, rename: str = "") -> None:
        self._connection.commit()
        if rename:
            self.execute(rename)

    def rollback(self) -> None:
        self._connection.rollback()

    def close(self) -> None:
        self._connection.close()
